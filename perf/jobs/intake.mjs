/*
 * An intake of events as one would write it in Node: Fastify with a JSON schema, for
 * perf/peers. One process, one route; the answer is that of weir.
 *
 *     intake.mjs --mode none|redis|pgboss --port N --store N
 *
 * none    stores nothing: what the framework alone costs
 * redis   XADD to a stream; commands of one turn of the event loop go out together
 * pgboss  one job per event, through pg-boss on PostgreSQL
 */
import { parseArgs } from 'node:util';
import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import Redis from 'ioredis';
import { PgBoss } from 'pg-boss';

const STREAM = 'events';
const POOL = 64;

/* What weir checks as well; unknown members pass. */
const SCHEMA = {
    type: 'object',
    required: ['event_type', 'occurred_at', 'message'],
    properties: {
        event_type: { enum: ['error', 'http_request', 'signup', 'deploy', 'feedback', 'custom'] },
        occurred_at: { type: 'string', format: 'date-time' },
        message: { type: 'string', minLength: 1 },
        environment: { enum: ['prod', 'staging', 'dev'] },
        severity: { enum: ['debug', 'info', 'warn', 'error', 'critical'] },
        event_id: { type: 'string', format: 'uuid' },
        attributes: { type: 'object' },
        payload: { type: 'object' },
    },
};

const STORES = {
    async none() {
        return async () => {};
    },
    async redis(port) {
        const redis = new Redis({ host: '127.0.0.1', port, enableAutoPipelining: true });
        return event => redis.xadd(STREAM, '*', 'event', JSON.stringify(event));
    },
    async pgboss(port) {
        const boss = new PgBoss({
            host: '127.0.0.1', port, user: 'bench', database: 'postgres', max: POOL,
            schedule: false, supervise: false,
        });
        boss.on('error', error => { console.error(error); process.exit(1); });
        await boss.start();
        await boss.createQueue(STREAM);
        return event => boss.send(STREAM, event);
    },
};

const { values } = parseArgs({
    options: { mode: { type: 'string' }, port: { type: 'string' }, store: { type: 'string' } },
});
const store = await STORES[values.mode](Number(values.store));
const app = Fastify({ logger: false, keepAliveTimeout: 600000 });

app.get('/readyz', async () => ({ ready: true }));
app.post('/v1/events', { schema: { body: SCHEMA } }, async (request, reply) => {
    if (request.headers['x-api-key'] !== 'dev-api-key-12345')
        return reply.code(401).send({ error: 'Invalid API key' });
    const event = request.body;
    event.event_id ??= randomUUID();
    const receivedAt = new Date().toISOString();
    event.received_at = receivedAt;
    await store(event);
    return reply.code(202).send({
        accepted: true, event_id: event.event_id, received_at: receivedAt, duplicate: false,
    });
});
await app.listen({ host: '127.0.0.1', port: Number(values.port) });

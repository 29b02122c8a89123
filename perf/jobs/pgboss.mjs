/*
 * Pg-boss on PostgreSQL, as load.mjs wants it.
 *
 * Closed modes: send, fetch and complete called in a loop, without the polling worker, which
 * takes one batch per interval of at least half a second: this is the most that it can do.
 * Open mode: its worker as it is meant for low latency, woken by LISTEN/NOTIFY.
 * The pool of 64 is where the rate one by one stopped growing: 4, 10, 32, 64 and 128 connections
 * gave 86, 302, 391, 394 and 421 jobs/s in one sitting on a busy machine. --connections N tries.
 */
import { PgBoss } from 'pg-boss';
import pg from 'pg';
import { run, sleep } from './load.mjs';

const QUEUE = 'bench';
const POOL_SINGLE = 64;
const POOL_BATCH = 16;
const WORKER_COUNT = 64;
const BATCH_WORKER_COUNT = 16;
const OPEN_WORKER_COUNT = 2;
const OPEN_BATCH_COUNT = 100;
const EMPTY_MS = 2; /* after a fetch that found nothing */
const RESULT = { ok: true };

class PgBossPeer {
    async open(options) {
        const database = { host: '127.0.0.1', port: options.port, user: 'bench', database: 'postgres' };
        this.options = options;
        this.pool = new pg.Pool({ ...database, max: 2 });
        await this.pool.query('DROP SCHEMA IF EXISTS pgboss CASCADE');
        const isOpen = options.mode === 'open';
        this.boss = new PgBoss({
            ...database,
            max: options.connections || (options.mode === 'batch' ? POOL_BATCH : POOL_SINGLE),
            schedule: false,
            useListenNotify: isOpen,
        });
        this.boss.on('error', error => { console.error(error); process.exit(1); });
        this.boss.on('warning', warning => console.error('warning:', warning.message));
        await this.boss.start();
        await this.boss.createQueue(QUEUE, { notify: isOpen });
    }

    async put(payloads) {
        if (this.options.mode === 'batch')
            await this.boss.insert(QUEUE, payloads.map(data => ({ data })));
        else
            await this.boss.send(QUEUE, payloads[0]);
    }

    async work(onStart, onCompleted) {
        const isBatch = this.options.mode === 'batch';
        if (this.options.mode === 'open') {
            await this.workNotified(onStart, onCompleted);
            return;
        }
        for (let i = 0; i < (isBatch ? BATCH_WORKER_COUNT : WORKER_COUNT); i++)
            this.loop(isBatch ? this.options.batchCount : 1, onStart, onCompleted)
                .catch(error => { console.error(error); process.exit(1); });
    }

    async loop(batchSize, onStart, onCompleted) {
        while (!this.isClosing) {
            const jobs = await this.boss.fetch(QUEUE, { batchSize });
            if (jobs.length === 0) {
                await sleep(EMPTY_MS);
                continue;
            }
            jobs.forEach(job => onStart(job.data));
            await this.boss.complete(QUEUE, jobs.map(job => job.id), RESULT);
            jobs.forEach(job => onCompleted(job.data));
        }
    }

    /* The worker completes when its handler has returned, and does not say when it has done so. */
    async workNotified(onStart, onCompleted) {
        const options = {
            batchSize: OPEN_BATCH_COUNT, burstWhenBatchFull: true,
            localConcurrency: OPEN_WORKER_COUNT,
        };
        await this.boss.work(QUEUE, options, async jobs => {
            jobs.forEach(job => onStart(job.data));
            jobs.forEach(job => onCompleted(job.data));
            return RESULT;
        });
    }

    async count(condition) {
        const { rows } = await this.pool.query(
            `SELECT count(*)::int AS count FROM pgboss.job WHERE name = $1 AND ${condition}`, [QUEUE]);
        return rows[0].count;
    }

    async completedCount() {
        if (this.options.mode === 'open')
            await this.boss.offWork(QUEUE); /* waits for its last completions */
        return this.count(`state = 'completed'`);
    }

    async remainingCount() {
        return this.count(`state <> 'completed'`);
    }

    async close() {
        this.isClosing = true;
        await this.pool.end();
    }
}

await run(new PgBossPeer());

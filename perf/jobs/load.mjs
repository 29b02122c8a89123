/*
 * Load: the load program for the peers, the same for each; what bench_jobs.c is for weir.
 *
 *     node pgboss.mjs --port N [--mode single|batch|open] [--rate N] [--warmup S] [--seconds S]
 *
 * A peer is an object with
 *
 *     open(options)       connect; make an empty queue
 *     put(payloads)       resolves when the jobs are durable
 *     work(onStart, onCompleted)   start the workers: onStart(payload) as the handler begins,
 *                         onCompleted(payload) when the completion is durable
 *     completedCount()    how many jobs the server itself holds as completed
 *     remainingCount()    how many it holds that are not
 *     close()
 *
 * The protocol with whoever started it, the modes, the bound on the backlog, the checks and the
 * names in the result are those of bench_jobs.c, but for one thing, in the peers' favour: timers
 * here have a resolution of a millisecond, so latency counts from when a job is handed over, not
 * from when it was due.
 */
import { parseArgs } from 'node:util';

const BATCH_COUNT = 100;
const CLIENT_COUNT = 64;
const BATCH_CLIENT_COUNT = 16;
const PAYLOAD_SIZE = 256;
const DRAIN_MS_MAX = 60_000;
const FILL_MS_MAX = 60_000;

const MADE = 1;
const STARTED = 2;
const COMPLETED = 3;

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

const monoNs = () => Number(process.hrtime.bigint());

function fail(why) {
    console.error(`load: ${why}`);
    process.exit(1);
}

function summarize(delays) {
    delays.sort((a, b) => a - b);
    const at = percent => delays.length === 0
        ? 0
        : delays[Math.ceil(delays.length * percent / 100) - 1] / 1e3;
    return { count: delays.length, p50: at(50), p99: at(99), max: at(100) };
}

/* What became of every job; see tally.h. */
class Tally {
    states = new Uint8Array(16_000_000);
    made = 0;
    acknowledged = 0;
    completed = 0;
    isRecording = false;
    start = [];
    schedule = [];

    make(dueNs) {
        const now = monoNs();
        const payload = { n: this.made, t: now, pad: '' };
        payload.pad = 'x'.repeat(PAYLOAD_SIZE - JSON.stringify(payload).length);
        if (this.isRecording)
            this.schedule.push(now - dueNs);
        this.states[this.made++] = MADE;
        return payload;
    }

    started(payload) {
        if (this.states[payload.n] !== MADE)
            fail('a job was leased twice, or nobody made it');
        this.states[payload.n] = STARTED;
        if (this.isRecording)
            this.start.push(monoNs() - payload.t);
    }

    done(payload) {
        if (this.states[payload.n] !== STARTED)
            fail('a job was completed twice, or was not started');
        this.states[payload.n] = COMPLETED;
        this.completed++;
    }
}

function parse() {
    const { values } = parseArgs({
        options: {
            port: { type: 'string' },
            mode: { type: 'string', default: 'single' },
            rate: { type: 'string', default: '0' },
            warmup: { type: 'string', default: '2' },
            seconds: { type: 'string', default: '5' },
            connections: { type: 'string', default: '0' },
        },
    });
    const options = {
        port: Number(values.port),
        mode: values.mode,
        rate: Number(values.rate),
        warmup: Number(values.warmup),
        seconds: Number(values.seconds),
        connections: Number(values.connections), /* 0: the peer's own choice */
        batchCount: BATCH_COUNT,
        clientCount: values.mode === 'batch' ? BATCH_CLIENT_COUNT : CLIENT_COUNT,
    };
    if (!(options.port > 0) || !['single', 'batch', 'open'].includes(options.mode))
        fail('--port N, --mode single|batch|open');
    if (options.mode === 'open' && !(options.rate > 0))
        fail('--mode open needs --rate');
    return options;
}

export async function run(peer) {
    const options = parse();
    const tally = new Tally();
    const backlogMax = options.mode === 'batch' ? 4000 : 500;
    let isStopping = false;
    let waiting = [];

    function onCompleted(payload) {
        tally.done(payload);
        while (waiting.length > 0 && hasRoom())
            waiting.shift()();
    }

    function hasRoom() {
        const count = options.mode === 'batch' ? BATCH_COUNT : 1;
        return isStopping || tally.made - tally.completed + count <= backlogMax;
    }

    async function put(payloads) {
        await peer.put(payloads);
        tally.acknowledged += payloads.length;
    }

    async function closedLoop() {
        const count = options.mode === 'batch' ? BATCH_COUNT : 1;
        while (!isStopping) {
            if (!hasRoom()) {
                await new Promise(resolve => waiting.push(resolve));
                continue;
            }
            const now = monoNs();
            await put(Array.from({ length: count }, () => tally.make(now)));
        }
    }

    async function openLoop() {
        const startedNs = monoNs();
        const dueNs = () => Math.round(startedNs + tally.made * 1e9 / options.rate);
        const puts = [];
        while (!isStopping) {
            while (dueNs() <= monoNs())
                puts.push(put([tally.make(dueNs())]));
            await sleep((dueNs() - monoNs()) / 1e6);
        }
        await Promise.all(puts);
    }

    function mark(line) {
        const cpu = process.cpuUsage();
        process.stdout.write(`${line}\n`);
        return {
            ns: monoNs(), cpuUs: cpu.user + cpu.system,
            acknowledged: tally.acknowledged, completed: tally.completed,
        };
    }

    await peer.open(options);
    await peer.work(payload => tally.started(payload), onCompleted);
    const clients = options.mode === 'open'
        ? [openLoop()]
        : Array.from({ length: options.clientCount }, closedLoop);
    const failed = Promise.all(clients).then(() => {}, error => fail(error.stack));

    await sleep(options.warmup * 1000);
    /* Not while the backlog is still filling up: there clients are quicker than they can last. */
    for (let ms = 0; options.mode !== 'open' && tally.completed < 2 * backlogMax; ms += 20) {
        if (ms > FILL_MS_MAX)
            fail('too slow to get warm');
        await sleep(20);
    }
    const begin = mark('BEGIN');
    tally.isRecording = true;
    await sleep(options.seconds * 1000);
    tally.isRecording = false;
    const end = mark('END');

    isStopping = true;
    waiting.forEach(resolve => resolve());
    waiting = [];
    await failed;
    for (let ms = 0; tally.completed < tally.made; ms += 20) {
        if (ms > DRAIN_MS_MAX)
            fail(`${tally.made - tally.completed} jobs were never completed`);
        await sleep(20);
    }
    if (tally.acknowledged !== tally.made)
        fail('a job was never acknowledged');
    const [stored, remaining] = [await peer.completedCount(), await peer.remainingCount()];
    if (stored !== tally.made || remaining !== 0)
        fail(`the server holds ${stored} of ${tally.made} as completed, ${remaining} not`);

    const seconds = (end.ns - begin.ns) / 1e9;
    const completed = end.completed - begin.completed;
    console.log('RESULT ' + JSON.stringify({
        mode: options.mode, seconds,
        enqueued: end.acknowledged - begin.acknowledged, completed,
        rate: completed / seconds,
        client_cpu_us: (end.cpuUs - begin.cpuUs) / Math.max(1, completed),
        total: tally.made, total_completed: tally.completed, read_back: stored,
        start_us: summarize(tally.start), schedule_us: summarize(tally.schedule),
    }));
    await peer.close();
    process.exit(0);
}

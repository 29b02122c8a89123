/*
 * BullMQ on Redis, as load.mjs wants it.
 *
 * Its own worker in all modes: it has no call that takes or completes many jobs, so its batched
 * mode is addBulk() with a higher concurrency. All commands of one turn of the event loop go to
 * Redis in one write and share one flush there, which is its group commit.
 */
import { Queue, Worker } from 'bullmq';
import { run } from './load.mjs';

const QUEUE = 'bench';
const CONCURRENCY = 64;
const BATCH_CONCURRENCY = 200;
const RESULT = { ok: true };

class BullMqPeer {
    async open(options) {
        this.options = options;
        this.connection = { host: '127.0.0.1', port: options.port, maxRetriesPerRequest: null };
        this.queue = new Queue(QUEUE, { connection: this.connection });
        this.queue.on('error', error => { console.error(error); process.exit(1); });
        await this.queue.waitUntilReady();
        await this.queue.obliterate({ force: true });
    }

    async put(payloads) {
        if (this.options.mode === 'batch')
            await this.queue.addBulk(payloads.map(data => ({ name: 'job', data })));
        else
            await this.queue.add('job', payloads[0]);
    }

    async work(onStart, onCompleted) {
        const concurrency = this.options.connections ||
            (this.options.mode === 'batch' ? BATCH_CONCURRENCY : CONCURRENCY);
        this.worker = new Worker(QUEUE, async job => {
            onStart(job.data);
            return RESULT;
        }, { connection: this.connection, concurrency });
        this.worker.on('completed', job => onCompleted(job.data));
        this.worker.on('error', error => { console.error(error); process.exit(1); });
        await this.worker.waitUntilReady();
    }

    async completedCount() {
        return (await this.queue.getJobCounts('completed')).completed;
    }

    async remainingCount() {
        const counts = await this.queue.getJobCounts('active', 'waiting', 'prioritized', 'delayed', 'failed');
        return Object.values(counts).reduce((sum, count) => sum + count, 0);
    }

    async close() {
        await this.worker.close();
        await this.queue.close();
    }
}

await run(new BullMqPeer());

/*
 * From staged bytes to acknowledgements.
 *
 *     journal_flush()          seals and submits while fewer than writes_in_flight
 *                              writes run; also called whenever a write has ended
 *     journal_on_write_done()  durable, to be repeated, or the end
 *     advance()                the contiguous prefix of WRITTEN batches is durable:
 *                              release them, start the next write, then tell the
 *                              appends, in order of LSN
 *
 * One write is one operation: O_DIRECT, durable by itself, at an offset nobody
 * else writes to. A write that was short or interrupted is repeated as a whole,
 * before anything in it is acknowledged. A failed one ends the journal: what the
 * disk holds now cannot be known, so every append in hand is UNKNOWN.
 *
 * Watermark: when nothing happens for JOURNAL_WATERMARK_IDLE_NS after a write, one
 * empty block states the durable LSN, so that damage to the last write can be told
 * from a torn tail. Until it is written, the last write alone cannot be vouched for.
 */
#include "store/journal_internals.h"

#include <errno.h>

#include "runtime/sim_point.h"

static void advance(struct journal *journal);
static void acknowledge(struct journal *journal, uint64_t lsn);

void journal_seal(struct journal *journal, struct staging_batch *batch)
{
    struct staging_seal seal = {
        .durable_lsn = journal->durable_lsn,
        .boot_generation = journal->config.boot_generation,
        .log = journal->config.log,
        .header = &journal->header,
    };

    staging_seal(&journal->staging, batch, &seal);
    journal->write_block = batch->block_index + batch->block_count;
    journal->write_block_lsn = batch->block_lsn + batch->block_count;
    assert(journal->write_block <= journal->segment_blocks);
}

static void drop_appends(struct journal *journal)
{
    struct list_node *node;

    if (!list_is_empty(&journal->appends))
        SOMETIMES("the outcome of appends is unknown");
    journal->emission.append = NULL;
    while ((node = list_pop_front(&journal->appends)) != NULL) {
        struct journal_append *append = container_of(node, struct journal_append, link);

        append->on_durable(append, JOURNAL_OUTCOME_UNKNOWN);
    }
}

void journal_fail(struct journal *journal, int error, const char *text)
{
    assert(error < 0);
    if (journal->state == JOURNAL_STATE_FAILED || journal->state == JOURNAL_STATE_STOPPED)
        return;
    SOMETIMES("a journal fails");
    journal->state = JOURNAL_STATE_FAILED;
    segment_pool_stop(&journal->pool);
    if (journal->config.timers != NULL)
        timer_stop(journal->config.timers, &journal->timer);
    drop_appends(journal);
    journal->config.owner->on_failed(journal->config.owner, error, text);
}

bool journal_is_idle(const struct journal *journal)
{
    return journal->staging.count == 0 && list_is_empty(&journal->appends);
}

/* Puts an empty block out that states the durable LSN. */
void journal_write_watermark(struct journal *journal)
{
    struct staging_batch *batch;

    assert(journal_is_idle(journal));
    if (journal->write_block >= journal->segment_blocks) {
        SOMETIMES("a full segment has no block for a watermark");
        return;
    }
    SOMETIMES("a watermark is written");
    batch = staging_begin(&journal->staging, journal->write_seq, journal->write_block,
                          journal->write_block_lsn);
    assert(batch != NULL);
    batch->watermark = true;
    journal_seal(journal, batch);
    journal->stats.watermark_count++;
    journal_flush(journal);
}

/* The next step of journal_stop(), whenever something has ended. */
void journal_go_on_stopping(struct journal *journal)
{
    if (journal->state != JOURNAL_STATE_STOPPING || !journal_is_idle(journal))
        return;
    if (journal->vouched_lsn < journal->durable_lsn &&
        journal->write_block < journal->segment_blocks) {
        SOMETIMES("the last write of a life is vouched for");
        journal_write_watermark(journal);
        return;
    }
    segment_pool_stop(&journal->pool);
    if (!segment_pool_is_idle(&journal->pool)) {
        SOMETIMES("a journal stops while a segment file is being made");
        return;
    }
    journal->state = JOURNAL_STATE_STOPPED;
    if (journal->config.timers != NULL)
        timer_stop(journal->config.timers, &journal->timer);
    journal->config.owner->on_stopped(journal->config.owner);
}

void journal_stop(struct journal *journal)
{
    journal_check(journal);
    if (journal->state != JOURNAL_STATE_OPEN)
        return;
    if (journal->writing_count > 0)
        SOMETIMES("a journal stops with writes in flight");
    journal->state = JOURNAL_STATE_STOPPING;
    journal_flush(journal);
    journal_go_on_stopping(journal);
}

/* The descriptor for the batch's segment; -EAGAIN while its file is not ready. */
static int descriptor(struct journal *journal, const struct staging_batch *batch)
{
    int fd;

    if (batch->seq == journal->file_seq)
        return journal->file_fd;
    if (batch->seq < journal->file_seq) {
        assert(batch->seq == journal->file_seq - 1);
        assert(journal->old_fd >= 0);
        SOMETIMES("a write goes to the segment before");
        return journal->old_fd;
    }
    if (journal->old_fd >= 0) {
        SOMETIMES("a switch of segments waits for the switch before");
        return -EAGAIN;
    }
    fd = segment_pool_take(&journal->pool, batch->seq);
    if (fd < 0) {
        SOMETIMES("a write waits for the file of its segment");
        return fd;
    }
    /* Writes to the segment before may still run, or be repeated. */
    journal->old_fd = journal->file_fd;
    journal->old_writing_count = journal->writing_count;
    journal->file_fd = fd;
    journal->file_seq = batch->seq;
    if (journal->old_writing_count == 0) {
        segment_pool_put(&journal->pool, journal->old_fd);
        journal->old_fd = -1;
    } else {
        SOMETIMES("the journal switches segments with a write in flight");
    }
    journal_arm_timer(journal);
    return fd;
}

static void write_batch(struct journal *journal, struct staging_batch *batch, int fd)
{
    batch->state = STAGING_WRITING;
    io_write(journal->config.io, &batch->op, fd, batch->data,
             batch->block_count * SEGMENT_BLOCK_SIZE, batch->block_index * SEGMENT_BLOCK_SIZE,
             MUTANT("write_not_durable") ? 0 : IO_WRITE_DURABLE);
}

/* The oldest batch that waits to be written, sealing the one being filled if need be; or NULL. */
static struct staging_batch *next_to_write(struct journal *journal)
{
    struct staging_batch *batch;

    for (uint32_t i = 0; (batch = staging_at(&journal->staging, i)) != NULL; i++) {
        if (batch->state == STAGING_SEALED)
            return batch;
        if (batch->state != STAGING_FILLING)
            continue;
        /* The end of a record is enough, also one that fills its block: no batch is empty. */
        assert(journal->emission.append == NULL);
        journal_seal(journal, batch);
        return batch;
    }
    return NULL;
}

void journal_flush(struct journal *journal)
{
    journal_check(journal);
    if (journal->state != JOURNAL_STATE_OPEN && journal->state != JOURNAL_STATE_STOPPING)
        return;
    while (journal->writing_count < journal->config.writes_in_flight &&
           journal->write_retry_ns == 0) {
        struct staging_batch *batch = next_to_write(journal);
        int fd;

        if (batch == NULL)
            break;
        fd = descriptor(journal, batch);
        if (fd < 0)
            break;
        batch->submitted_ns = journal->config.clock->mono_ns;
        journal->writing_count++;
        if (batch->seq < journal->file_seq)
            journal->old_writing_count++;
        write_batch(journal, batch, fd);
        if (MUTANT("ack_before_flush"))
            acknowledge(journal, batch->lsn_complete);
    }
}

bool journal_needs_flush(const struct journal *journal)
{
    return journal->staging.count > journal->writing_count;
}

/* True while a batch that met a full disk will be written to the old segment again. */
static bool is_old_file_needed(struct journal *journal)
{
    const struct staging_batch *batch;

    for (uint32_t i = 0; (batch = staging_at(&journal->staging, i)) != NULL; i++) {
        if (batch->seq < journal->file_seq && batch->state == STAGING_SEALED)
            return true;
    }
    return false;
}

/* The batch's write has ended, however: closes the old segment's file after its last one. */
static void end_write(struct journal *journal, const struct staging_batch *batch)
{
    assert(journal->writing_count > 0);
    journal->writing_count--;
    if (batch->seq == journal->file_seq)
        return;
    assert(journal->old_writing_count > 0);
    journal->old_writing_count--;
    if (journal->old_writing_count > 0)
        return;
    if (is_old_file_needed(journal)) {
        SOMETIMES("a full disk keeps the segment before open");
        return;
    }
    segment_pool_put(&journal->pool, journal->old_fd);
    journal->old_fd = -1;
}

/* True when all of the batch was written. */
static bool is_whole(const struct staging_batch *batch, int32_t value)
{
    return value == (int32_t)(batch->block_count * SEGMENT_BLOCK_SIZE) ||
           (value > 0 && MUTANT("short_write_accepted")) ||
           (value == -EIO && MUTANT("write_error_ignored"));
}

void journal_on_write_done(struct io_op *op, const struct io_result *result)
{
    struct staging_batch *batch = container_of(op, struct staging_batch, op);
    struct journal *journal = container_of(batch->staging, struct journal, staging);
    int32_t value = result->value;

    assert(batch->state == STAGING_WRITING);
    if (journal->state == JOURNAL_STATE_FAILED) {
        SOMETIMES("a write ends after its journal has failed");
        return;
    }
    if (is_whole(batch, value)) {
        batch->state = STAGING_WRITTEN;
        if (batch != staging_at(&journal->staging, 0))
            SOMETIMES("a later write ends before an earlier one");
        if (MUTANT("ack_all_in_flight"))
            acknowledge(journal, batch->lsn_complete);
        if (journal->write_no_space) {
            SOMETIMES("a write that met a full disk goes through");
            journal->write_no_space = false;
            journal->pool.no_space = false;
        }
        end_write(journal, batch);
        advance(journal);
    } else if (value >= 0 || value == -EINTR || value == -EAGAIN || value == -ECANCELED) {
        if (++batch->rewrite_count > JOURNAL_REWRITE_MAX) {
            SOMETIMES("a write stays short");
            journal_fail(journal, -EIO, "a journal write stays short");
            return;
        }
        if (value >= 0)
            SOMETIMES("a write is repeated after a short one");
        else
            SOMETIMES("a write is repeated after an interrupted one");
        journal->stats.rewrite_count++;
        if (journal->config.series != NULL && journal->config.metrics != NULL)
            metrics_add(journal->config.metrics, journal->config.series->rewrites, 1);
        write_batch(journal, batch,
                    batch->seq == journal->file_seq ? journal->file_fd : journal->old_fd);
    } else if (value == -ENOSPC || value == -EDQUOT) {
        SOMETIMES("a write meets a full disk");
        batch->state = STAGING_SEALED;
        end_write(journal, batch);
        journal->pool.no_space = true;
        journal->write_no_space = true;
        journal->write_retry_ns =
            journal->config.clock->mono_ns + JOURNAL_SPACE_POLL_MS * JOURNAL_NS_PER_MS;
        journal_arm_timer(journal);
    } else {
        journal_fail(journal, value, "a journal write failed");
    }
}

/* Tells the appends that are durable now, in order. They may append again from inside. */
static void deliver(struct journal *journal)
{
    if (journal->delivering)
        return;
    journal->delivering = true;
    while (!list_is_empty(&journal->appends)) {
        struct journal_append *append =
            container_of(journal->appends.next, struct journal_append, link);

        if (append->lsn_last > journal->durable_lsn || append == journal->emission.append)
            break;
        list_remove(&append->link);
        append->on_durable(append, JOURNAL_DURABLE);
    }
    journal->delivering = false;
}

/* What only a mutant does: takes for durable what advance() has not come to. */
static void acknowledge(struct journal *journal, uint64_t lsn)
{
    journal->durable_lsn = max_u64(journal->durable_lsn, lsn);
    deliver(journal);
}

static void observe_flush(struct journal *journal, const struct staging_batch *batch)
{
    const struct journal_metrics *series = journal->config.series;
    uint64_t size = (uint64_t)batch->block_count * SEGMENT_BLOCK_SIZE;

    journal->stats.flush_count++;
    journal->stats.byte_count += size;
    journal->stats.record_count += batch->record_count;
    if (series == NULL || journal->config.metrics == NULL)
        return;
    metrics_add(journal->config.metrics, series->flushes, 1);
    metrics_add(journal->config.metrics, series->bytes, size);
    metrics_observe(journal->config.metrics, series->flush_duration,
                    journal->config.clock->mono_ns - batch->submitted_ns);
    metrics_observe(journal->config.metrics, series->batch_records, batch->record_count);
}

static void advance(struct journal *journal)
{
    struct staging_batch *batch;
    bool released = false;

    while ((batch = staging_at(&journal->staging, 0)) != NULL && batch->state == STAGING_WRITTEN) {
        observe_flush(journal, batch);
        journal->durable_lsn = max_u64(journal->durable_lsn, batch->lsn_complete);
        journal->vouched_lsn = max_u64(journal->vouched_lsn, batch->durable_lsn);
        if (batch->block_index == 0)
            journal->started_seq = batch->seq;
        staging_release(&journal->staging);
        released = true;
    }
    if (released)
        (void)journal_emit(journal);
    journal_flush(journal); /* a write slot is free, also when an earlier write still runs */
    if (!released)
        return;
    journal_export_gauges(journal);
    deliver(journal);
    if (journal->vouched_lsn < journal->durable_lsn && journal_is_idle(journal)) {
        journal->watermark_due_ns = journal->config.clock->mono_ns + JOURNAL_WATERMARK_IDLE_NS;
        journal_arm_timer(journal);
    }
    if (journal->state == JOURNAL_STATE_OPEN &&
        (journal->room_wanted ||
         (journal->space_wanted && !journal_must_spare_reserve(journal, true)))) {
        journal->room_wanted = false;
        journal->space_wanted &= journal_must_spare_reserve(journal, true);
        if (journal->config.owner->on_room != NULL)
            journal->config.owner->on_room(journal->config.owner);
    }
    journal_go_on_stopping(journal);
}

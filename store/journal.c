/*
 * How a group gets from journal_append() to on_durable:
 *
 *     place()    is there room in the segment, in staging, on the disk? else roll
 *                over to the next segment, or answer FULL or NO_SPACE
 *     emit()     records go into the batch being filled, from batch to batch
 *     journal_flush()   seals and submits while fewer than writes_in_flight
 *                       writes run; also called whenever a write has ended
 *     advance()  the contiguous prefix of WRITTEN batches is durable: release them,
 *                start the next write, then tell the appends, in order of LSN
 *
 * One write is one operation: O_DIRECT, durable by itself, at an offset nobody
 * else writes to. A write that was short or interrupted is repeated as a whole,
 * before anything in it is acknowledged. A failed one ends the journal: what the
 * disk holds now cannot be known, so every append in hand is UNKNOWN.
 *
 * Durable LSN is a matter of whole groups: a batch that ends inside a group does
 * not move it past the group before. A group larger than staging is copied piece by
 * piece as batches come free; meanwhile others are answered FULL.
 *
 * Segments: write_seq is where new batches go, file_seq the newest segment whose
 * descriptor is here. They differ by at most one: a batch for the next segment may
 * be built before its file is ready, but not one for the segment after that. The
 * last block of each segment is kept for a watermark.
 *
 * Watermark: when nothing happens for JOURNAL_WATERMARK_IDLE_NS after a write, one
 * empty block states the durable LSN, so that damage to the last write can be told
 * from a torn tail. Until it is written, the last write alone cannot be vouched for.
 */
#include "store/journal.h"

#include <errno.h>

#include "runtime/memory.h"
#include "store/crc32c.h"
#include "store/recovery.h"
#include "store/segment_pool.h"
#include "store/staging.h"

static_assert((int)JOURNAL_BATCH_COUNT == (int)STAGING_BATCH_COUNT, "one ring");
static_assert((int)JOURNAL_BATCH_SIZE_MAX == (int)STAGING_BATCH_SIZE_MAX, "one bound");

enum { JOURNAL_MAGIC = 0x70a17b4e, RETENTION_CHECK_MS = 60000, SPARE_DEFAULT = 2 };

static const uint64_t RESERVE_BYTES_DEFAULT = 64 << 20;
static const uint64_t NS_PER_MS = 1000000;

enum journal_state {
    JOURNAL_STATE_OPEN,
    JOURNAL_STATE_STOPPING,
    JOURNAL_STATE_STOPPED,
    JOURNAL_STATE_FAILED,
};

/* How far the newest group has been copied; append is NULL when it is whole. */
struct emission {
    struct journal_append *append;
    uint32_t record; /* index */
    uint32_t part;   /* 0: header; 1..part_count: payload parts; part_count + 1: padding */
    uint64_t offset; /* within the part */
    struct segment_record_header header;
};

struct journal {
    uint32_t magic;
    enum journal_state state;
    struct journal_config config;
    uint8_t uuid[SEGMENT_UUID_SIZE];
    uint32_t segment_blocks;

    struct staging staging;
    struct emission emission;
    struct list_node appends; /* struct journal_append.link, in order of LSN */
    uint64_t next_lsn;
    uint64_t durable_lsn;
    uint64_t vouched_lsn; /* the highest durable LSN that a durable block states */
    bool delivering;
    bool room_wanted; /* FULL or NO_SPACE was answered */

    struct segment_pool pool;
    struct segment_pool_owner pool_owner;
    struct segment_header header; /* of segment write_seq */
    uint64_t write_seq;
    uint64_t write_block;     /* where in it the next batch begins */
    uint64_t write_block_lsn; /* and its number in the log */
    uint64_t file_seq;
    int file_fd; /* of file_seq */
    int old_fd;  /* of file_seq - 1 while writes to it run, or -1 */
    uint32_t writing_count;
    uint32_t old_writing_count;
    uint64_t write_retry_ns;   /* a write met a full disk: not before this; 0: none */
    bool write_no_space;       /* and none has succeeded since */
    uint64_t watermark_due_ns; /* 0: none */

    struct journal_segment *segments; /* ring of JOURNAL_SEGMENT_COUNT_MAX, oldest first */
    uint32_t segment_head;
    uint32_t segment_count;
    uint64_t segment_bytes_total;
    uint64_t started_seq;  /* newest segment whose header is durable */
    uint64_t retiring_seq; /* on_retire was called for it; 0: none */
    enum journal_drop_reason retiring_reason;

    struct timer timer;
    uint64_t timer_ns; /* what the timer is set to; 0: not set */
    struct journal_stats stats;
};

static const uint64_t FLUSH_BOUNDS_NS[] = {100000,   200000,    300000,    500000,    700000,
                                           1000000,  2000000,   5000000,   10000000,  20000000,
                                           50000000, 100000000, 250000000, 1000000000};
static const uint64_t BATCH_BOUNDS[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096};

static void advance(struct journal *journal);
static void arm_timer(struct journal *journal);
static void retain(struct journal *journal);

static void journal_check(const struct journal *journal)
{
    assert(journal->magic == JOURNAL_MAGIC);
    assert(journal->durable_lsn < journal->next_lsn);
    assert(journal->vouched_lsn <= journal->durable_lsn);
    assert(journal->write_block <= journal->segment_blocks);
    assert(journal->write_seq <= journal->file_seq + 1);
    assert(journal->old_writing_count <= journal->writing_count);
    assert(journal->writing_count <= journal->config.writes_in_flight);
}

static void count(struct journal *journal, size_t series_offset, uint64_t amount)
{
    const struct journal_metrics *series = journal->config.series;
    struct metric metric;

    if (series == NULL || journal->config.metrics == NULL)
        return;
    memcpy(&metric, (const char *)series + series_offset, sizeof(metric));
    metrics_add(journal->config.metrics, metric, amount);
}

#define COUNT(journal, field, amount)                                                              \
    count((journal), offsetof(struct journal_metrics, field), (amount))

static void export_gauges(struct journal *journal)
{
    const struct journal_metrics *series = journal->config.series;
    struct metrics *metrics = journal->config.metrics;

    if (series == NULL || metrics == NULL)
        return;
    metrics_set(metrics, series->durable_lsn, journal->durable_lsn);
    metrics_set(metrics, series->retained_segments, journal->segment_count);
    metrics_set(metrics, series->retained_bytes, journal->segment_bytes_total);
    metrics_set(metrics, series->no_space, journal->pool.no_space ? 1 : 0);
}

void journal_metrics_add(struct metrics_registry *registry, struct journal_metrics *ret_series)
{
    static const char *const reasons[JOURNAL_DROP_REASON_COUNT] = {
        [JOURNAL_DROP_BYTES] = "reason=\"bytes\"",
        [JOURNAL_DROP_AGE] = "reason=\"age\"",
        [JOURNAL_DROP_ENTRIES] = "reason=\"entries\"",
        [JOURNAL_DROP_COUNT] = "reason=\"count\"",
    };
    struct journal_metrics series;

    series.flush_duration =
        metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "weir_journal_flush_duration_seconds",
                              "", "Time from handing a write to the disk to its being durable.",
                              FLUSH_BOUNDS_NS, ARRAY_COUNT(FLUSH_BOUNDS_NS));
    series.batch_records = metrics_add_histogram(
        registry, METRIC_UNIT_NONE, "weir_journal_batch_records", "",
        "Records made durable by one write.", BATCH_BOUNDS, ARRAY_COUNT(BATCH_BOUNDS));
    series.bytes = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                      "weir_journal_bytes_total", "", "Bytes written to the log.");
    series.durable_lsn =
        metrics_add_series(registry, METRIC_GAUGE_MAX, METRIC_UNIT_NONE, "weir_journal_durable_lsn",
                           "", "Highest durable LSN of the log that is furthest.");
    series.flushes = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                        "weir_journal_flushes_total", "", "Writes made durable.");
    series.rewrites = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                         "weir_journal_rewrites_total", "",
                                         "Writes repeated because they were short or interrupted.");
    series.retained_segments =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE,
                           "weir_journal_retained_segments", "", "Segments kept.");
    series.retained_bytes =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_journal_retained_bytes",
                           "", "Bytes of the segments kept.");
    series.no_space =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_journal_no_space", "",
                           "Logs that found the disk full but for the reserve.");
    for (uint32_t i = 0; i < JOURNAL_DROP_REASON_COUNT; i++)
        series.dropped[i] = metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE,
                                               "weir_journal_segments_dropped_total", reasons[i],
                                               "Segments dropped by retention, by reason.");
    *ret_series = series;
}

/* ---- segments ---- */

static struct journal_segment *segment_at(const struct journal *journal, uint32_t n)
{
    assert(n < journal->segment_count);
    return &journal->segments[(journal->segment_head + n) % JOURNAL_SEGMENT_COUNT_MAX];
}

static void add_segment(struct journal *journal, const struct journal_segment *segment)
{
    assert(journal->segment_count < JOURNAL_SEGMENT_COUNT_MAX);
    journal->segment_count++;
    *segment_at(journal, journal->segment_count - 1) = *segment;
    journal->segment_bytes_total += segment->size;
}

/* Makes segment write_seq the one that batches go to from now on. */
static void begin_segment(struct journal *journal, uint64_t previous_seq)
{
    const struct journal_config *config = &journal->config;

    journal->write_block = 0;
    journal->header = (struct segment_header){
        .boot_generation = config->boot_generation,
        .seq = journal->write_seq,
        .previous_seq = previous_seq,
        .first_lsn = journal->next_lsn,
        .first_block_lsn = journal->write_block_lsn,
        .created_unix_ms = config->clock->unix_ms,
        .size = config->segment_bytes,
        .log = config->log,
    };
    memcpy(journal->header.uuid, journal->uuid, SEGMENT_UUID_SIZE);
    add_segment(journal, &(struct journal_segment){
                             .seq = journal->write_seq,
                             .first_lsn = journal->next_lsn,
                             .last_lsn = journal->next_lsn - 1,
                             .created_unix_ms = config->clock->unix_ms,
                             .size = config->segment_bytes,
                         });
}

static void seal_filling(struct journal *journal, struct staging_batch *batch)
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

/* Ends the present segment and goes on in the next one. */
static void roll(struct journal *journal)
{
    struct staging_batch *filling = staging_filling(&journal->staging);
    uint64_t previous_seq = journal->write_seq;

    assert(journal->write_seq == journal->file_seq);
    if (filling != NULL)
        seal_filling(journal, filling);
    segment_at(journal, journal->segment_count - 1)->last_lsn = journal->next_lsn - 1;
    journal->write_seq++;
    begin_segment(journal, previous_seq);
    retain(journal);
}

/* ---- failure and the end ---- */

static void drop_appends(struct journal *journal)
{
    struct list_node *node;

    journal->emission.append = NULL;
    while ((node = list_pop_front(&journal->appends)) != NULL) {
        struct journal_append *append = container_of(node, struct journal_append, link);

        append->on_durable(append, JOURNAL_OUTCOME_UNKNOWN);
    }
}

static void fail(struct journal *journal, int error, const char *text)
{
    assert(error < 0);
    if (journal->state == JOURNAL_STATE_FAILED || journal->state == JOURNAL_STATE_STOPPED)
        return;
    journal->state = JOURNAL_STATE_FAILED;
    segment_pool_stop(&journal->pool);
    if (journal->config.timers != NULL)
        timer_stop(journal->config.timers, &journal->timer);
    drop_appends(journal);
    journal->config.owner->on_failed(journal->config.owner, error, text);
}

static bool is_idle(const struct journal *journal)
{
    return journal->staging.count == 0 && list_is_empty(&journal->appends);
}

/* Puts an empty block out that states the durable LSN. */
static void write_watermark(struct journal *journal)
{
    struct staging_batch *batch;

    assert(is_idle(journal));
    if (journal->write_block >= journal->segment_blocks)
        return;
    batch = staging_begin(&journal->staging, journal->write_seq, journal->write_block,
                          journal->write_block_lsn);
    assert(batch != NULL);
    batch->watermark = true;
    seal_filling(journal, batch);
    journal->stats.watermark_count++;
    journal_flush(journal);
}

/* The next step of journal_stop(), whenever something has ended. */
static void go_on_stopping(struct journal *journal)
{
    if (journal->state != JOURNAL_STATE_STOPPING || !is_idle(journal))
        return;
    if (journal->vouched_lsn < journal->durable_lsn &&
        journal->write_block < journal->segment_blocks) {
        write_watermark(journal);
        return;
    }
    segment_pool_stop(&journal->pool);
    if (!segment_pool_is_idle(&journal->pool))
        return;
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
    journal->state = JOURNAL_STATE_STOPPING;
    journal_flush(journal);
    go_on_stopping(journal);
}

/* ---- writing ---- */

/* The descriptor for the batch's segment; -EAGAIN while its file is not ready. */
static int descriptor(struct journal *journal, const struct staging_batch *batch)
{
    int fd;

    if (batch->seq == journal->file_seq)
        return journal->file_fd;
    if (batch->seq < journal->file_seq) {
        assert(batch->seq == journal->file_seq - 1);
        assert(journal->old_fd >= 0);
        return journal->old_fd;
    }
    if (journal->old_fd >= 0)
        return -EAGAIN;
    fd = segment_pool_take(&journal->pool, batch->seq);
    if (fd < 0)
        return fd;
    /* Writes to the segment before may still run, or be repeated. */
    journal->old_fd = journal->file_fd;
    journal->old_writing_count = journal->writing_count;
    journal->file_fd = fd;
    journal->file_seq = batch->seq;
    if (journal->old_writing_count == 0) {
        segment_pool_put(&journal->pool, journal->old_fd);
        journal->old_fd = -1;
    }
    arm_timer(journal);
    return fd;
}

static void write_batch(struct journal *journal, struct staging_batch *batch, int fd)
{
    batch->state = STAGING_WRITING;
    io_write(journal->config.io, &batch->op, fd, batch->data,
             batch->block_count * SEGMENT_BLOCK_SIZE, batch->block_index * SEGMENT_BLOCK_SIZE,
             IO_WRITE_DURABLE);
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
        if (batch->record_count == 0 && staging_block_room(batch) == 0)
            return NULL;
        assert(journal->emission.append == NULL);
        seal_filling(journal, batch);
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
    if (journal->old_writing_count == 0 && !is_old_file_needed(journal)) {
        segment_pool_put(&journal->pool, journal->old_fd);
        journal->old_fd = -1;
    }
}

static void on_write_done(struct io_op *op, const struct io_result *result)
{
    struct staging_batch *batch = container_of(op, struct staging_batch, op);
    struct journal *journal = container_of(batch->staging, struct journal, staging);
    int32_t value = result->value;

    assert(batch->state == STAGING_WRITING);
    if (journal->state == JOURNAL_STATE_FAILED)
        return;
    if (value == (int32_t)(batch->block_count * SEGMENT_BLOCK_SIZE)) {
        batch->state = STAGING_WRITTEN;
        if (journal->write_no_space) {
            journal->write_no_space = false;
            journal->pool.no_space = false;
        }
        end_write(journal, batch);
        advance(journal);
    } else if (value >= 0 || value == -EINTR || value == -EAGAIN || value == -ECANCELED) {
        if (++batch->rewrite_count > JOURNAL_REWRITE_MAX) {
            fail(journal, -EIO, "a journal write stays short");
            return;
        }
        journal->stats.rewrite_count++;
        COUNT(journal, rewrites, 1);
        write_batch(journal, batch,
                    batch->seq == journal->file_seq ? journal->file_fd : journal->old_fd);
    } else if (value == -ENOSPC || value == -EDQUOT) {
        batch->state = STAGING_SEALED;
        end_write(journal, batch);
        journal->pool.no_space = true;
        journal->write_no_space = true;
        journal->write_retry_ns =
            journal->config.clock->mono_ns + JOURNAL_SPACE_POLL_MS * NS_PER_MS;
        arm_timer(journal);
    } else {
        fail(journal, value, "a journal write failed");
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

/* Copies more of a group that did not fit; true when it is whole or nothing is pending. */
static bool emit(struct journal *journal);

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
        (void)emit(journal);
    journal_flush(journal); /* a write slot is free, also when an earlier write still runs */
    if (!released)
        return;
    export_gauges(journal);
    deliver(journal);
    if (journal->vouched_lsn < journal->durable_lsn && is_idle(journal)) {
        journal->watermark_due_ns = journal->config.clock->mono_ns + JOURNAL_WATERMARK_IDLE_NS;
        arm_timer(journal);
    }
    if (journal->room_wanted && journal->state == JOURNAL_STATE_OPEN) {
        journal->room_wanted = false;
        if (journal->config.owner->on_room != NULL)
            journal->config.owner->on_room(journal->config.owner);
    }
    go_on_stopping(journal);
}

/* ---- appending ---- */

/* Goes on in a new batch after the full one; NULL when none is free. */
static struct staging_batch *next_batch(struct journal *journal)
{
    struct staging_batch *filling = staging_filling(&journal->staging);

    if (journal->staging.count == STAGING_BATCH_COUNT && filling == NULL)
        return NULL;
    if (filling != NULL)
        seal_filling(journal, filling);
    return staging_begin(&journal->staging, journal->write_seq, journal->write_block,
                         journal->write_block_lsn);
}

/* Prepares the header of the emission's present record. */
static void prepare_header(struct journal *journal)
{
    struct emission *emission = &journal->emission;
    const struct journal_append *append = emission->append;
    const struct journal_record *record = &append->records[emission->record];
    uint64_t payload_size = 0;
    uint32_t crc;

    for (uint32_t i = 0; i < record->part_count; i++)
        payload_size += record->parts[i].size;
    emission->header = (struct segment_record_header){
        .payload_size = (uint32_t)payload_size,
        .type = record->type,
        .version = record->version,
        .flags = (uint16_t)((emission->record == 0 ? SEGMENT_RECORD_GROUP_FIRST : 0) |
                            (emission->record == append->record_count - 1 ? SEGMENT_RECORD_GROUP_END
                                                                          : 0)),
        .lsn = append->lsn_first + emission->record,
        .mailbox = segment_mailbox_pack(record->partition, record->mailbox),
    };
    crc = segment_record_crc_begin(&emission->header);
    for (uint32_t i = 0; i < record->part_count; i++)
        crc = crc32c(crc, record->parts[i].data, record->parts[i].size);
    emission->header.payload_crc = crc;
    emission->header.header_crc =
        crc32c(0, &emission->header, offsetof(struct segment_record_header, header_crc));
}

/* The bytes of the emission's present part. */
static struct slice emission_part(const struct emission *emission)
{
    static const char padding[SEGMENT_RECORD_ALIGNMENT];
    const struct journal_record *record = &emission->append->records[emission->record];
    uint64_t payload_size = emission->header.payload_size;

    if (emission->part == 0)
        return (struct slice){(const char *)&emission->header, sizeof(emission->header)};
    if (emission->part <= record->part_count)
        return record->parts[emission->part - 1];
    return (struct slice){padding,
                          round_up_u64(payload_size, SEGMENT_RECORD_ALIGNMENT) - payload_size};
}

/* Puts one part, over as many batches as it takes. False when no batch is free. */
static bool emit_part(struct journal *journal, struct staging_batch **batch)
{
    struct emission *emission = &journal->emission;
    struct slice part = emission_part(emission);

    for (;;) {
        emission->offset += staging_put(&journal->staging, *batch, part.data + emission->offset,
                                        part.size - emission->offset);
        if (emission->offset == part.size)
            break;
        *batch = next_batch(journal);
        if (*batch == NULL)
            return false;
    }
    emission->offset = 0;
    emission->part++;
    return true;
}

/* Notes where the present record begins. False when no batch is free. */
static bool emit_begin(struct journal *journal, struct staging_batch **batch)
{
    struct emission *emission = &journal->emission;
    struct journal_append *append = emission->append;
    int64_t offset = staging_begin_record(&journal->staging, *batch);

    if (offset < 0) {
        *batch = next_batch(journal);
        if (*batch == NULL)
            return false;
        offset = staging_begin_record(&journal->staging, *batch);
    }
    assert(offset >= SEGMENT_BLOCK_SIZE);
    prepare_header(journal);
    append->records[emission->record].location =
        journal_location_make(journal->config.log, (*batch)->seq, (uint64_t)offset);
    if (emission->record == 0)
        append->location = append->records[0].location;
    return true;
}

static bool emit(struct journal *journal)
{
    struct emission *emission = &journal->emission;
    struct journal_append *append = emission->append;
    struct staging_batch *batch;

    if (append == NULL)
        return true;
    batch = staging_filling(&journal->staging);
    if (batch == NULL)
        batch = next_batch(journal);
    while (batch != NULL && emission->record < append->record_count) {
        const struct journal_record *record = &append->records[emission->record];

        if (emission->part == 0 && emission->offset == 0 && !emit_begin(journal, &batch))
            return false;
        while (emission->part <= record->part_count + 1) {
            if (!emit_part(journal, &batch))
                return false;
        }
        emission->part = 0;
        emission->record++;
    }
    if (batch == NULL)
        return false;
    batch->lsn_complete = append->lsn_last;
    emission->append = NULL;
    return true;
}

uint64_t journal_group_copy_max(const struct journal *journal)
{
    return 2 * (staging_batch_capacity(&journal->staging) - SEGMENT_PAYLOAD_SIZE);
}

/* The largest group a segment holds besides its header and its watermark. */
static uint64_t segment_capacity(const struct journal *journal)
{
    return (uint64_t)(journal->segment_blocks - 2) * SEGMENT_PAYLOAD_SIZE;
}

/* Bytes of the group in the stream; 0 when it can never be taken. */
static uint64_t measure(const struct journal *journal, const struct journal_record *records,
                        uint32_t count)
{
    uint64_t size = 0;

    if (count > JOURNAL_GROUP_RECORDS_MAX)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t payload_size = 0;

        assert(records[i].type != 0);
        assert(records[i].partition <= JOURNAL_PARTITION_MAX);
        assert(records[i].mailbox < (uint64_t)1 << 48);
        for (uint32_t j = 0; j < records[i].part_count; j++)
            payload_size += records[i].parts[j].size;
        size += segment_record_size(payload_size);
    }
    if (size > JOURNAL_GROUP_SIZE_MAX || size > segment_capacity(journal))
        return 0;
    return size;
}

/* True when size bytes more do not fit into the present segment. */
static bool needs_roll(struct journal *journal, uint64_t size)
{
    struct staging_batch *filling = staging_filling(&journal->staging);
    uint64_t end_block = journal->write_block == 0 ? 1 : journal->write_block;
    uint64_t room = 0;
    uint64_t more;

    if (filling != NULL) {
        end_block = filling->block_index + staging_block_count(filling);
        room = staging_block_room(filling);
    }
    more = size <= room ? 0 : (size - room + SEGMENT_PAYLOAD_SIZE - 1) / SEGMENT_PAYLOAD_SIZE;
    return end_block + more > journal->segment_blocks - 1;
}

/* True when an append must leave what is left to more important ones. */
static bool must_spare_reserve(const struct journal *journal, bool rolls)
{
    uint32_t ready = segment_pool_ready_count(&journal->pool);
    uint32_t reserve = journal->pool.config.reserve_count;

    if (!journal->pool.no_space)
        return false;
    return journal->write_retry_ns != 0 || ready < reserve || (rolls && ready <= reserve);
}

/* Finds room for a group, rolling over to the next segment if need be. */
static int place(struct journal *journal, uint64_t size, uint32_t flags)
{
    struct staging_batch *filling = staging_filling(&journal->staging);
    bool rolls = needs_roll(journal, size);
    uint64_t free_count = STAGING_BATCH_COUNT - journal->staging.count;
    uint64_t room = free_count * staging_batch_capacity(&journal->staging);

    if ((flags & JOURNAL_IMPORTANT) == 0 && must_spare_reserve(journal, rolls))
        return JOURNAL_NO_SPACE;
    if (journal->emission.append != NULL)
        return JOURNAL_FULL;
    if (rolls && (journal->write_seq != journal->file_seq || free_count == 0 ||
                  journal->segment_count == JOURNAL_SEGMENT_COUNT_MAX))
        return JOURNAL_FULL;
    if (!rolls && filling != NULL)
        room += staging_room(&journal->staging, filling);
    else if (room > 0 && (rolls || journal->write_block == 0))
        room -= SEGMENT_PAYLOAD_SIZE; /* the segment's header */
    if (room == 0 || (size <= journal_group_copy_max(journal) && size > room))
        return JOURNAL_FULL;
    if (rolls)
        roll(journal);
    return JOURNAL_OK;
}

int journal_append(struct journal *journal, struct journal_append *append,
                   struct journal_record *records, uint32_t count, uint32_t flags)
{
    uint64_t size;
    int result;

    journal_check(journal);
    assert(count > 0);
    assert(append->on_durable != NULL);
    if (journal->state != JOURNAL_STATE_OPEN || journal->config.sealed)
        return JOURNAL_STOPPED;
    size = measure(journal, records, count);
    if (size == 0)
        return -EMSGSIZE;
    result = place(journal, size, flags);
    if (result != JOURNAL_OK) {
        journal->room_wanted = true;
        return result;
    }
    list_init(&append->link);
    append->lsn_first = journal->next_lsn;
    append->lsn_last = journal->next_lsn + count - 1;
    append->records = records;
    append->record_count = count;
    journal->next_lsn += count;
    list_push_back(&journal->appends, &append->link);
    journal->emission = (struct emission){.append = append};
    if (!emit(journal))
        assert(size > journal_group_copy_max(journal));
    return JOURNAL_OK;
}

/* ---- retention ---- */

/* Why the oldest segment should go; JOURNAL_DROP_REASON_COUNT when it may stay. */
static enum journal_drop_reason drop_reason(const struct journal *journal)
{
    const struct journal_config *config = &journal->config;
    uint64_t now_ms = config->clock->unix_ms;

    if (journal->segment_count < 2)
        return JOURNAL_DROP_REASON_COUNT;
    if (journal->segment_count >= JOURNAL_SEGMENT_COUNT_MAX - 1)
        return JOURNAL_DROP_COUNT;
    if (config->retain_bytes != 0 && journal->segment_bytes_total > config->retain_bytes)
        return JOURNAL_DROP_BYTES;
    /* Its newest record is about as old as the segment after it. */
    if (config->retain_ms != 0 &&
        segment_at(journal, 1)->created_unix_ms + config->retain_ms <= now_ms)
        return JOURNAL_DROP_AGE;
    return JOURNAL_DROP_REASON_COUNT;
}

bool journal_retire_oldest(struct journal *journal, enum journal_drop_reason reason)
{
    const struct journal_segment *oldest;
    struct journal_segment copy;

    assert(reason < JOURNAL_DROP_REASON_COUNT);
    if (journal->retiring_seq != 0 || journal->segment_count < 2 ||
        journal->state != JOURNAL_STATE_OPEN)
        return false;
    oldest = segment_at(journal, 0);
    /* A later segment must carry the log's position on, or the next start would begin anew. */
    if (oldest->seq >= journal->started_seq)
        return false;
    journal->retiring_seq = oldest->seq;
    journal->retiring_reason = reason;
    copy = *oldest;
    if (journal->config.owner->on_retire != NULL)
        journal->config.owner->on_retire(journal->config.owner, &copy);
    else
        journal_retire_done(journal, copy.seq);
    return true;
}

static void retain(struct journal *journal)
{
    enum journal_drop_reason reason = drop_reason(journal);

    if (reason != JOURNAL_DROP_REASON_COUNT)
        (void)journal_retire_oldest(journal, reason);
}

void journal_retire_done(struct journal *journal, uint64_t seq)
{
    assert(seq == journal->retiring_seq);
    if (journal->state == JOURNAL_STATE_OPEN)
        segment_pool_retire(&journal->pool, seq, segment_at(journal, 0)->size);
    arm_timer(journal);
}

static void on_pool_retired(struct segment_pool_owner *owner, uint64_t seq)
{
    struct journal *journal = container_of(owner, struct journal, pool_owner);

    assert(seq == journal->retiring_seq);
    assert(segment_at(journal, 0)->seq == seq);
    journal->segment_bytes_total -= segment_at(journal, 0)->size;
    journal->segment_head = (journal->segment_head + 1) % JOURNAL_SEGMENT_COUNT_MAX;
    journal->segment_count--;
    journal->retiring_seq = 0;
    journal->stats.dropped_count++;
    if (journal->config.series != NULL && journal->config.metrics != NULL)
        metrics_add(journal->config.metrics,
                    journal->config.series->dropped[journal->retiring_reason], 1);
    export_gauges(journal);
    retain(journal);
}

uint64_t journal_oldest_seq(const struct journal *journal)
{
    return journal->segment_count > 0 ? segment_at(journal, 0)->seq : journal->write_seq;
}

/* ---- time ---- */

static void on_pool_ready(struct segment_pool_owner *owner)
{
    struct journal *journal = container_of(owner, struct journal, pool_owner);

    if (journal->state == JOURNAL_STATE_STOPPING) {
        journal_flush(journal);
        go_on_stopping(journal);
        return;
    }
    if (journal->state != JOURNAL_STATE_OPEN)
        return;
    journal_flush(journal);
    export_gauges(journal);
    arm_timer(journal);
    if (journal->room_wanted && !journal->pool.no_space) {
        journal->room_wanted = false;
        if (journal->config.owner->on_room != NULL)
            journal->config.owner->on_room(journal->config.owner);
    }
}

static void on_pool_error(struct segment_pool_owner *owner, int error, const char *text)
{
    struct journal *journal = container_of(owner, struct journal, pool_owner);

    fail(journal, error, text);
}

/* The watermark's turn: either its time has come, or the log is busy and needs none. */
static void tick_watermark(struct journal *journal, uint64_t now_ns)
{
    if (journal->watermark_due_ns == 0)
        return;
    if (!is_idle(journal) || journal->vouched_lsn == journal->durable_lsn) {
        journal->watermark_due_ns = 0;
    } else if (journal->watermark_due_ns <= now_ns) {
        journal->watermark_due_ns = 0;
        write_watermark(journal);
    }
}

uint64_t journal_tick(struct journal *journal)
{
    uint64_t now_ns = journal->config.clock->mono_ns;
    uint64_t next_ns;

    if (journal->state != JOURNAL_STATE_OPEN && journal->state != JOURNAL_STATE_STOPPING)
        return UINT64_MAX;
    if (journal->write_retry_ns != 0 && journal->write_retry_ns <= now_ns) {
        journal->write_retry_ns = 0;
        journal_flush(journal);
    }
    tick_watermark(journal, now_ns);
    next_ns = segment_pool_tick(&journal->pool);
    retain(journal);
    if (journal->state == JOURNAL_STATE_FAILED)
        return UINT64_MAX;
    if (journal->write_retry_ns != 0)
        next_ns = min_u64(next_ns, journal->write_retry_ns);
    if (journal->watermark_due_ns != 0)
        next_ns = min_u64(next_ns, journal->watermark_due_ns);
    if (journal->config.retain_ms != 0)
        next_ns = min_u64(next_ns, now_ns + RETENTION_CHECK_MS * NS_PER_MS);
    return next_ns;
}

/* The earliest instant at which there is something to do; without doing it. */
static uint64_t wanted_ns(const struct journal *journal)
{
    uint64_t next_ns = UINT64_MAX;

    if (journal->watermark_due_ns != 0)
        next_ns = journal->watermark_due_ns;
    if (journal->write_retry_ns != 0)
        next_ns = min_u64(next_ns, journal->write_retry_ns);
    if (journal->pool.no_space || journal->pool.maker.retry_ns != 0 ||
        journal->pool.namer.retry_ns != 0)
        next_ns =
            min_u64(next_ns, journal->config.clock->mono_ns + JOURNAL_SPACE_POLL_MS * NS_PER_MS);
    return next_ns;
}

/* Sets the timer earlier if need be; a timer that comes too early does no harm. */
static void arm_timer(struct journal *journal)
{
    uint64_t next_ns = wanted_ns(journal);

    if (journal->config.timers == NULL || next_ns == UINT64_MAX ||
        journal->state == JOURNAL_STATE_FAILED)
        return;
    if (journal->timer_ns == 0 || journal->timer_ns > next_ns) {
        journal->timer_ns = next_ns;
        timer_start(journal->config.timers, &journal->timer, next_ns);
    }
}

static void on_timer(struct timer *timer)
{
    struct journal *journal = container_of(timer, struct journal, timer);
    uint64_t next_ns;

    journal->timer_ns = 1; /* earlier than anything wanted: the tick itself must not set it */
    next_ns = journal_tick(journal);
    journal->timer_ns = next_ns == UINT64_MAX ? 0 : next_ns;
    if (next_ns != UINT64_MAX)
        timer_start(journal->config.timers, &journal->timer, next_ns);
}

/* ---- opening ---- */

/* Fills in what was left at its default and refuses what cannot work. */
static int complete_config(struct journal_config *config)
{
    if (config->segment_bytes == 0)
        config->segment_bytes = SEGMENT_SIZE_MAX;
    if (config->batch_bytes == 0)
        config->batch_bytes = JOURNAL_BATCH_SIZE_DEFAULT;
    if (config->writes_in_flight == 0)
        config->writes_in_flight = JOURNAL_WRITES_IN_FLIGHT_DEFAULT;
    if (config->spare_segments == 0)
        config->spare_segments = SPARE_DEFAULT;
    if (config->reserve_bytes == 0)
        config->reserve_bytes = RESERVE_BYTES_DEFAULT;
    if (config->segment_bytes < SEGMENT_SIZE_MIN || config->segment_bytes > SEGMENT_SIZE_MAX ||
        config->segment_bytes % SEGMENT_BLOCK_SIZE != 0 ||
        config->batch_bytes < 2 * SEGMENT_BLOCK_SIZE ||
        config->batch_bytes > JOURNAL_BATCH_SIZE_MAX ||
        config->batch_bytes % SEGMENT_BLOCK_SIZE != 0 ||
        config->writes_in_flight > JOURNAL_WRITES_IN_FLIGHT_MAX || config->spare_segments > 4 ||
        config->log > SEGMENT_LOG_MAX || strlen(config->data_path) >= SUPERBLOCK_PATH_SIZE_MAX)
        return -EINVAL;
    return 0;
}

static int open_pool(struct journal *journal, uint64_t first_seq)
{
    const struct journal_config *config = &journal->config;
    uint64_t reserve = (config->reserve_bytes + config->segment_bytes - 1) / config->segment_bytes;
    uint32_t reserve_count = (uint32_t)min_u64(reserve, JOURNAL_RESERVE_SEGMENTS_MAX);
    struct segment_pool_config pool = {
        .io = config->io,
        .disk = config->disk,
        .clock = config->clock,
        .data_path = config->data_path,
        .log = config->log,
        .segment_bytes = config->segment_bytes,
        .spare_target = config->sealed ? 0 : config->spare_segments + reserve_count,
        .reserve_count = config->sealed ? 0 : reserve_count,
        .sealed = config->sealed,
        .unsafe_storage = config->unsafe_storage,
    };

    journal->pool_owner = (struct segment_pool_owner){
        .on_ready = on_pool_ready,
        .on_retired = on_pool_retired,
        .on_error = on_pool_error,
    };
    return segment_pool_open(&journal->pool, &pool, &journal->pool_owner, first_seq,
                             &journal->file_fd);
}

/* Takes over what recovery found and begins the first segment of this start. */
static void take_position(struct journal *journal, const struct recovered_log *position)
{
    journal->next_lsn = position->next_lsn;
    journal->durable_lsn = position->next_lsn - 1;
    journal->vouched_lsn = journal->durable_lsn;
    journal->write_seq = position->next_seq;
    journal->file_seq = position->next_seq;
    journal->write_block_lsn = position->next_block_lsn;
    for (uint32_t i = 0; i < position->segment_count; i++)
        add_segment(journal, &position->segments[i]);
    journal->started_seq = position->last_seq;
    if (!journal->config.sealed)
        begin_segment(journal, position->last_seq);
}

int journal_open(const struct journal_config *config, const struct recovered_log *position,
                 struct journal **ret_journal)
{
    struct journal_config complete = *config;
    struct journal *journal = NULL;
    char *memory = NULL;
    int r;

    assert(position->next_lsn > 0);
    assert(position->next_seq > position->last_seq);
    assert(config->owner != NULL);
    r = complete_config(&complete);
    if (r < 0)
        return r;
    if (position->segment_count >= JOURNAL_SEGMENT_COUNT_MAX - 1)
        return -E2BIG;
    journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        return -ENOMEM;
    journal->magic = JOURNAL_MAGIC;
    journal->config = complete;
    memcpy(journal->uuid, config->uuid, SEGMENT_UUID_SIZE);
    journal->segment_blocks = (uint32_t)(complete.segment_bytes / SEGMENT_BLOCK_SIZE);
    journal->old_fd = -1;
    journal->file_fd = -1;
    list_init(&journal->appends);
    timer_init(&journal->timer, on_timer);
    r = staging_init(&journal->staging, (uint32_t)complete.batch_bytes, on_write_done);
    if (r < 0)
        goto free;
    r = memory_map(JOURNAL_SEGMENT_COUNT_MAX * sizeof(struct journal_segment), &memory);
    if (r < 0)
        goto free;
    journal->segments = (struct journal_segment *)(void *)memory;
    r = open_pool(journal, position->next_seq);
    if (r < 0)
        goto free;
    take_position(journal, position);
    segment_pool_kick(&journal->pool);
    export_gauges(journal);
    if (complete.timers != NULL) {
        journal->timer_ns = complete.clock->mono_ns + JOURNAL_SPACE_POLL_MS * NS_PER_MS;
        timer_start(complete.timers, &journal->timer, journal->timer_ns);
    }
    *ret_journal = journal;
    return 0;

free:
    memory_unmap(&memory, JOURNAL_SEGMENT_COUNT_MAX * sizeof(struct journal_segment));
    if (journal->staging.memory != NULL)
        staging_deinit(&journal->staging);
    free(journal);
    return r;
}

void journal_free(struct journal **journal)
{
    struct journal *self = *journal;
    char *memory;

    if (self == NULL)
        return;
    assert(self->magic == JOURNAL_MAGIC);
    if (self->config.timers != NULL)
        timer_stop(self->config.timers, &self->timer);
    if (self->file_fd >= 0)
        disk_close(self->config.disk, self->file_fd);
    if (self->old_fd >= 0)
        disk_close(self->config.disk, self->old_fd);
    segment_pool_close(&self->pool);
    staging_deinit(&self->staging);
    memory = (char *)self->segments;
    memory_unmap(&memory, JOURNAL_SEGMENT_COUNT_MAX * sizeof(struct journal_segment));
    self->magic = 0;
    free(self);
    *journal = NULL;
}

uint64_t journal_durable_lsn(const struct journal *journal)
{
    return journal->durable_lsn;
}

void journal_stats(const struct journal *journal, struct journal_stats *ret_stats)
{
    struct journal_stats stats = journal->stats;

    stats.durable_lsn = journal->durable_lsn;
    stats.next_lsn = journal->next_lsn;
    stats.segment_count = journal->segment_count;
    stats.segment_bytes = journal->segment_bytes_total;
    stats.spare_count = segment_pool_ready_count(&journal->pool);
    stats.active_seq = journal->write_seq;
    *ret_stats = stats;
}

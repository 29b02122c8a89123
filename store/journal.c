/*
 * Opening, closing and time; journal_internals.h names the other parts.
 *
 * Durable LSN is a matter of whole groups: a batch that ends inside a group does
 * not move it past the group before.
 *
 * Segments: write_seq is where new batches go, file_seq the newest segment whose
 * descriptor is here. They differ by at most one: a batch for the next segment may
 * be built before its file is ready, but not one for the segment after that.
 *
 * The timer runs only while something waits: a watermark, a full disk, a
 * retention by age.
 */
#include "store/journal_internals.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/log_position.h"

enum { AGE_CHECK_MS = 60000, SPENT_CHECK_MS = 1000, SPARE_DEFAULT = 2 };

static const uint64_t RESERVE_BYTES_DEFAULT = 64 << 20;

void journal_check(const struct journal *journal)
{
    assert(journal->magic == JOURNAL_MAGIC);
    assert(journal->durable_lsn < journal->next_lsn);
    assert(journal->vouched_lsn <= journal->durable_lsn);
    assert(journal->write_block <= journal->segment_blocks);
    assert(journal->write_seq <= journal->file_seq + 1);
    assert(journal->old_writing_count <= journal->writing_count);
    assert(journal->writing_count <= journal->config.writes_in_flight);
}

static void on_pool_ready(struct segment_pool_owner *owner)
{
    struct journal *journal = container_of(owner, struct journal, pool_owner);

    if (journal->state == JOURNAL_STATE_STOPPING) {
        SOMETIMES("a segment file is ready when its journal stops");
        journal_flush(journal);
        journal_go_on_stopping(journal);
        return;
    }
    if (journal->state != JOURNAL_STATE_OPEN)
        return;
    journal_flush(journal);
    journal_export_gauges(journal);
    journal_arm_timer(journal);
    if ((journal->room_wanted || journal->space_wanted) &&
        !journal_must_spare_reserve(journal, true)) {
        if (journal->space_wanted)
            SOMETIMES("space has come back");
        else
            SOMETIMES("a new segment file makes room");
        journal->room_wanted = false;
        journal->space_wanted = false;
        if (journal->config.owner->on_room != NULL)
            journal->config.owner->on_room(journal->config.owner);
    }
}

static void on_pool_error(struct segment_pool_owner *owner, int error, const char *text)
{
    struct journal *journal = container_of(owner, struct journal, pool_owner);

    journal_fail(journal, error, text);
}

/* The watermark's turn: either its time has come, or the log is busy and needs none. */
static void tick_watermark(struct journal *journal, uint64_t now_ns)
{
    if (journal->watermark_due_ns == 0)
        return;
    if (!journal_is_idle(journal) || journal->vouched_lsn == journal->durable_lsn) {
        SOMETIMES("a busy log needs no watermark");
        journal->watermark_due_ns = 0;
    } else if (journal->watermark_due_ns <= now_ns) {
        journal->watermark_due_ns = 0;
        journal_write_watermark(journal);
    }
}

uint64_t journal_tick(struct journal *journal)
{
    uint64_t now_ns = journal->config.clock->mono_ns;
    uint64_t next_ns;

    if (journal->state != JOURNAL_STATE_OPEN && journal->state != JOURNAL_STATE_STOPPING)
        return UINT64_MAX;
    if (journal->write_retry_ns != 0 && journal->write_retry_ns <= now_ns) {
        SOMETIMES("a write is tried again on a full disk");
        journal->write_retry_ns = 0;
        journal_flush(journal);
    }
    tick_watermark(journal, now_ns);
    next_ns = segment_pool_tick(&journal->pool);
    journal_retain(journal);
    if (journal->state == JOURNAL_STATE_FAILED)
        return UINT64_MAX;
    if (journal->write_retry_ns != 0)
        next_ns = min_u64(next_ns, journal->write_retry_ns);
    if (journal->watermark_due_ns != 0)
        next_ns = min_u64(next_ns, journal->watermark_due_ns);
    if (journal->config.retain_ms != 0)
        next_ns = min_u64(next_ns, now_ns + AGE_CHECK_MS * JOURNAL_NS_PER_MS);
    /* What is alive becomes less without a word: of that the journal hears by asking only. */
    if (journal->segment_count > 1 && journal->config.owner->is_spent != NULL)
        next_ns = min_u64(next_ns, now_ns + SPENT_CHECK_MS * JOURNAL_NS_PER_MS);
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
        next_ns = min_u64(next_ns, journal->config.clock->mono_ns +
                                       JOURNAL_SPACE_POLL_MS * JOURNAL_NS_PER_MS);
    return next_ns;
}

/* Sets the timer earlier if need be; a timer that comes too early does no harm. */
void journal_arm_timer(struct journal *journal)
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
        .on_retired = journal_on_pool_retired,
        .on_error = on_pool_error,
    };
    return segment_pool_open(&journal->pool, &pool, &journal->pool_owner, first_seq,
                             &journal->file_fd);
}

/* True when the newest segment of a log that is not written any more should be able to go. */
static bool needs_position(const struct recovered_log *position)
{
    const struct journal_segment *newest;

    if (position->segment_count == 0)
        return false;
    newest = &position->segments[position->segment_count - 1];
    return newest->last_lsn >= newest->first_lsn;
}

/* Puts a segment without records behind the newest one. 0 or -errno. */
MUST_USE static int write_position(struct journal *journal, const struct recovered_log *position)
{
    const struct journal_config *config = &journal->config;
    struct segment_header header = {
        .boot_generation = config->boot_generation,
        .seq = position->next_seq,
        .previous_seq = position->last_seq,
        .first_lsn = position->next_lsn,
        .first_block_lsn = position->next_block_lsn,
        .created_unix_ms = config->clock->unix_ms,
        .size = SEGMENT_SIZE_MIN,
        .log = config->log,
    };
    int r;

    memcpy(header.uuid, journal->uuid, SEGMENT_UUID_SIZE);
    r = log_position_write(config->disk, journal->pool.directory, &header, position->next_lsn - 1,
                           config->unsafe_storage);
    if (r == -ENOSPC || r == -EDQUOT) {
        SOMETIMES("there is no room for a position");
        return 0; /* the newest segment stays, as it did before */
    }
    if (r < 0)
        return r;
    journal_add_segment(journal, &(struct journal_segment){
                                     .seq = header.seq,
                                     .first_lsn = header.first_lsn,
                                     .last_lsn = header.first_lsn - 1,
                                     .created_unix_ms = header.created_unix_ms,
                                     .size = LOG_POSITION_SIZE,
                                 });
    journal->started_seq = header.seq;
    return 0;
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
        journal_add_segment(journal, &position->segments[i]);
    journal->started_seq = position->last_seq;
    if (!journal->config.sealed)
        journal_begin_segment(journal, position->last_seq);
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
    r = staging_init(&journal->staging, (uint32_t)complete.batch_bytes, journal_on_write_done);
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
    if (complete.sealed && needs_position(position))
        r = write_position(journal, position);
    if (r < 0) {
        segment_pool_close(&journal->pool);
        goto free;
    }
    segment_pool_kick(&journal->pool);
    journal_export_gauges(journal);
    if (complete.timers != NULL) {
        journal->timer_ns = complete.clock->mono_ns + JOURNAL_SPACE_POLL_MS * JOURNAL_NS_PER_MS;
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

bool journal_is_low(const struct journal *journal)
{
    journal_check(journal);
    return journal_must_spare_reserve(journal, true);
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

/*
 * The ring of segments from the oldest retained to the active one, and what makes
 * the oldest go: bytes, age, or the owner's word that nothing is left in it to keep. One goes at a
 * time, though the owner is told of all that are to follow: on_retire lets the owner append again
 * what must live on, journal_retire_done() has the pool remove or recycle the file,
 * on_pool_retired() forgets it when its name is durably gone, and lets the owner forget its ids by
 * on_retired. The log's position must survive on disk: a segment stays until a later one has a
 * durable header. Of a log that is not written any more that is a position (log_position.h).
 */
#include "store/journal_internals.h"

#include "runtime/sim_point.h"

struct journal_segment *journal_segment_at(const struct journal *journal, uint32_t n)
{
    assert(n < journal->segment_count);
    return &journal->segments[(journal->segment_head + n) % JOURNAL_SEGMENT_COUNT_MAX];
}

void journal_add_segment(struct journal *journal, const struct journal_segment *segment)
{
    assert(journal->segment_count < JOURNAL_SEGMENT_COUNT_MAX);
    journal->segment_count++;
    *journal_segment_at(journal, journal->segment_count - 1) = *segment;
    journal->segment_bytes_total += segment->size;
}

/* Makes segment write_seq the one that batches go to from now on. */
void journal_begin_segment(struct journal *journal, uint64_t previous_seq)
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
    journal_add_segment(journal, &(struct journal_segment){
                                     .seq = journal->write_seq,
                                     .first_lsn = journal->next_lsn,
                                     .last_lsn = journal->next_lsn - 1,
                                     .created_unix_ms = config->clock->unix_ms,
                                     .size = config->segment_bytes,
                                 });
}

/* What the segments can hold of records: blocks' ends are not held against the owner. */
static uint64_t capacity(const struct journal *journal)
{
    uint64_t blocks = journal->segment_bytes_total / SEGMENT_BLOCK_SIZE;

    uint64_t ends = 2 * (uint64_t)journal->segment_count; /* a position is one block */

    return blocks > ends ? (blocks - ends) * SEGMENT_PAYLOAD_SIZE : 0;
}

/* What the log may hold of things that are appended again, however old it is. */
static uint64_t kept_bytes(const struct journal *journal)
{
    struct journal_owner *owner = journal->config.owner;

    return owner->live_bytes == NULL ? 0 : JOURNAL_LIVE_FACTOR * owner->live_bytes(owner);
}

/* Bytes of segments beyond retain_bytes. */
static uint64_t excess_bytes(const struct journal *journal, uint64_t kept)
{
    uint64_t bound = journal->config.retain_bytes + kept;

    if (journal->config.retain_bytes == 0 || capacity(journal) <= kept)
        return 0;
    return journal->segment_bytes_total > bound ? journal->segment_bytes_total - bound : 0;
}

/* Bytes of segments out of proportion to what is alive. */
static uint64_t spent_bytes(const struct journal *journal, uint64_t kept)
{
    uint64_t bound = kept + JOURNAL_SPENT_SEGMENTS * journal->config.segment_bytes;

    if (journal->config.sealed)
        return journal->segment_bytes_total;
    return capacity(journal) > bound ? capacity(journal) - bound : 0;
}

/*
 * The newest record of the oldest segment is about as old as the segment after it, and not older
 * than its own segment: that counts where the clock was behind when the later one began.
 */
static bool is_oldest_too_old(const struct journal *journal)
{
    const struct journal_config *config = &journal->config;
    uint64_t newest_ms = max_u64(journal_segment_at(journal, 0)->created_unix_ms,
                                 journal_segment_at(journal, 1)->created_unix_ms);

    return config->retain_ms != 0 && newest_ms + config->retain_ms <= config->clock->unix_ms;
}

/* Why the oldest segment should go; JOURNAL_DROP_REASON_COUNT when it may stay. */
static enum journal_drop_reason drop_reason(const struct journal *journal)
{
    struct journal_owner *owner = journal->config.owner;
    uint64_t kept;

    if (journal->segment_count < 2 || journal->retiring_seq != 0)
        return JOURNAL_DROP_REASON_COUNT;
    kept = kept_bytes(journal);
    if (journal->segment_count >= JOURNAL_SEGMENT_COUNT_MAX - 1)
        return JOURNAL_DROP_COUNT;
    if (excess_bytes(journal, kept) > 0)
        return JOURNAL_DROP_BYTES;
    if (is_oldest_too_old(journal))
        return JOURNAL_DROP_AGE;
    if (spent_bytes(journal, kept) > 0 && owner->is_spent != NULL &&
        owner->is_spent(owner, journal_segment_at(journal, 0)))
        return JOURNAL_DROP_RECLAIMED;
    return JOURNAL_DROP_REASON_COUNT;
}

/* The last of the segments that will have to go for this reason, as things stand. */
static uint64_t run_last_seq(const struct journal *journal, enum journal_drop_reason reason)
{
    uint64_t left = 0, last_seq = journal_segment_at(journal, 0)->seq;

    if (reason == JOURNAL_DROP_BYTES)
        left = excess_bytes(journal, kept_bytes(journal));
    if (reason == JOURNAL_DROP_RECLAIMED)
        left = spent_bytes(journal, kept_bytes(journal));
    left = min_u64(left, JOURNAL_RUN_BYTES_MAX);
    for (uint32_t i = 0; i + 1 < journal->segment_count; i++) {
        const struct journal_segment *segment = journal_segment_at(journal, i);

        if (segment->size > left || segment->seq >= journal->started_seq)
            break;
        left -= segment->size;
        last_seq = segment->seq;
    }
    return last_seq;
}

static void note_reason(enum journal_drop_reason reason)
{
    switch (reason) {
    case JOURNAL_DROP_BYTES:
        SOMETIMES("a segment is dropped: too many bytes");
        break;
    case JOURNAL_DROP_AGE:
        SOMETIMES("a segment is dropped: too old");
        break;
    case JOURNAL_DROP_ENTRIES:
        SOMETIMES("a segment is dropped: the event index is full");
        break;
    case JOURNAL_DROP_RECLAIMED:
        SOMETIMES("a segment is dropped: nothing in it is to be kept");
        break;
    case JOURNAL_DROP_COUNT:
    case JOURNAL_DROP_REASON_COUNT:
        break;
    }
}

bool journal_retire_oldest(struct journal *journal, enum journal_drop_reason reason)
{
    const struct journal_segment *oldest;
    struct journal_segment copy;

    assert(reason < JOURNAL_DROP_REASON_COUNT);
    if (journal->retiring_seq != 0 || journal->segment_count < 2 ||
        journal->state != JOURNAL_STATE_OPEN)
        return false;
    oldest = journal_segment_at(journal, 0);
    /* A later segment must carry the log's position on, or the next start would begin anew. */
    if (oldest->seq >= journal->started_seq) {
        SOMETIMES("the oldest segment stays until a later one has begun");
        return false;
    }
    note_reason(reason);
    journal->retiring_seq = oldest->seq;
    journal->retiring_reason = reason;
    copy = *oldest;
    if (journal->config.owner->on_retire != NULL)
        journal->config.owner->on_retire(journal->config.owner, &copy,
                                         run_last_seq(journal, reason));
    else
        journal_retire_done(journal, copy.seq);
    return true;
}

void journal_retain(struct journal *journal)
{
    enum journal_drop_reason reason = drop_reason(journal);

    if (reason != JOURNAL_DROP_REASON_COUNT)
        (void)journal_retire_oldest(journal, reason);
}

void journal_retire_done(struct journal *journal, uint64_t seq)
{
    assert(seq == journal->retiring_seq);
    if (journal->state == JOURNAL_STATE_OPEN)
        segment_pool_retire(&journal->pool, seq, journal_segment_at(journal, 0)->size);
    journal_arm_timer(journal);
}

void journal_on_pool_retired(struct segment_pool_owner *owner, uint64_t seq)
{
    struct journal *journal = container_of(owner, struct journal, pool_owner);

    SOMETIMES("a dropped segment is gone");
    assert(seq == journal->retiring_seq);
    assert(journal_segment_at(journal, 0)->seq == seq);
    journal->segment_bytes_total -= journal_segment_at(journal, 0)->size;
    journal->segment_head = (journal->segment_head + 1) % JOURNAL_SEGMENT_COUNT_MAX;
    journal->segment_count--;
    journal->retiring_seq = 0;
    journal->stats.dropped_count++;
    if (journal->config.series != NULL && journal->config.metrics != NULL)
        metrics_add(journal->config.metrics,
                    journal->config.series->dropped[journal->retiring_reason], 1);
    journal_export_gauges(journal);
    if (journal->config.owner->on_retired != NULL)
        journal->config.owner->on_retired(journal->config.owner, seq);
    journal_retain(journal);
}

uint64_t journal_active_seq(const struct journal *journal)
{
    return journal->write_seq;
}

uint64_t journal_oldest_seq(const struct journal *journal)
{
    return journal->segment_count > 0 ? journal_segment_at(journal, 0)->seq : journal->write_seq;
}

/*
 * From records to staged bytes.
 *
 *     place()          is there room in the segment, in staging, on the disk? else
 *                      roll over to the next segment, or answer FULL or NO_SPACE
 *     journal_emit()   records go into the batch being filled, from batch to batch
 *
 * A group larger than staging is copied piece by piece as batches come free;
 * meanwhile others are answered FULL. A group never leaves its segment, and the last
 * block of each segment is kept for a watermark.
 */
#include "store/journal_internals.h"

#include <errno.h>

#include "runtime/sim_point.h"
#include "store/crc32c.h"

/* Ends the present segment and goes on in the next one. */
static void roll(struct journal *journal)
{
    struct staging_batch *filling = staging_filling(&journal->staging);
    uint64_t previous_seq = journal->write_seq;

    assert(journal->write_seq == journal->file_seq);
    SOMETIMES("a log rolls over to its next segment");
    if (filling != NULL)
        journal_seal(journal, filling);
    journal_segment_at(journal, journal->segment_count - 1)->last_lsn = journal->next_lsn - 1;
    journal->write_seq++;
    journal_begin_segment(journal, previous_seq);
    journal_retain(journal);
}

/* Goes on in a new batch after the full one; NULL when none is free. */
static struct staging_batch *next_batch(struct journal *journal)
{
    struct staging_batch *filling = staging_filling(&journal->staging);

    if (journal->staging.count == STAGING_BATCH_COUNT && filling == NULL)
        return NULL;
    if (filling != NULL)
        journal_seal(journal, filling);
    return staging_begin(&journal->staging, journal->write_seq, journal->write_block,
                         journal->write_block_lsn);
}

/* Prepares the header of the emission's present record. */
static void prepare_header(struct journal *journal)
{
    struct journal_emission *emission = &journal->emission;
    const struct journal_append *append = emission->append;
    const struct journal_record *record = &append->records[emission->record];
    bool alone = MUTANT("batch_split");
    bool is_first = alone || emission->record == 0;
    bool is_last = alone || emission->record == append->record_count - 1;
    uint64_t payload_size = 0;
    uint32_t crc;

    for (uint32_t i = 0; i < record->part_count; i++)
        payload_size += record->parts[i].size;
    emission->header = (struct segment_record_header){
        .payload_size = (uint32_t)payload_size,
        .type = record->type,
        .version = record->version,
        .flags = (uint16_t)((is_first ? SEGMENT_RECORD_GROUP_FIRST : 0) |
                            (is_last ? SEGMENT_RECORD_GROUP_END : 0)),
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
static struct slice emission_part(const struct journal_emission *emission)
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
    struct journal_emission *emission = &journal->emission;
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
    struct journal_emission *emission = &journal->emission;
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

bool journal_emit(struct journal *journal)
{
    struct journal_emission *emission = &journal->emission;
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

bool journal_must_spare_reserve(const struct journal *journal, bool rolls)
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

    if (journal_must_spare_reserve(journal, rolls)) {
        if ((flags & JOURNAL_IMPORTANT) == 0) {
            SOMETIMES("the reserve is spared: no space");
            return JOURNAL_NO_SPACE;
        }
        SOMETIMES("an important append takes from the reserve");
    }
    if (journal->emission.append != NULL) {
        SOMETIMES("an append waits until a large group is copied");
        return JOURNAL_FULL;
    }
    /* Only while something is in hand, whose end makes room. */
    if (journal->staging.count > 0 && FAILPOINT("staging is full"))
        return JOURNAL_FULL;
    if (rolls && (journal->write_seq != journal->file_seq || free_count == 0 ||
                  journal->segment_count == JOURNAL_SEGMENT_COUNT_MAX)) {
        SOMETIMES("an append waits for the switch of segments");
        return JOURNAL_FULL;
    }
    if (!rolls && filling != NULL)
        room += staging_room(&journal->staging, filling);
    else if (room > 0 && (rolls || journal->write_block == 0))
        room -= SEGMENT_PAYLOAD_SIZE; /* the segment's header */
    if (room == 0 || (size <= journal_group_copy_max(journal) && size > room)) {
        SOMETIMES("an append finds no room in the staging");
        return JOURNAL_FULL;
    }
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
    if (journal->state != JOURNAL_STATE_OPEN || journal->config.sealed) {
        SOMETIMES("an append comes when its journal takes nothing more");
        return JOURNAL_STOPPED;
    }
    size = measure(journal, records, count);
    if (size == 0) {
        SOMETIMES("a group is too large for a segment");
        return -EMSGSIZE;
    }
    result = place(journal, size, flags);
    if (result != JOURNAL_OK) {
        journal->room_wanted |= result == JOURNAL_FULL;
        journal->space_wanted |= result == JOURNAL_NO_SPACE;
        return result;
    }
    list_init(&append->link);
    append->lsn_first = journal->next_lsn;
    append->lsn_last = journal->next_lsn + count - 1;
    append->records = records;
    append->record_count = count;
    journal->next_lsn += count;
    list_push_back(&journal->appends, &append->link);
    journal->emission = (struct journal_emission){.append = append};
    if (!journal_emit(journal)) {
        SOMETIMES("a group is larger than what is free and is borrowed");
        assert(size > journal_group_copy_max(journal));
    }
    return JOURNAL_OK;
}

#include "store/staging.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"

/*
 * position is lazy: after the last byte of a payload area it stays there and is
 * moved over the trailer by the next byte. So a position inside a block is always
 * in [0, SEGMENT_PAYLOAD_SIZE], and 0 only in a batch without any record byte.
 */

static void batch_check(const struct staging_batch *batch)
{
    assert(batch->position % SEGMENT_BLOCK_SIZE <= SEGMENT_PAYLOAD_SIZE);
    assert(batch->position < batch->staging->batch_bytes);
    assert(batch->seq > 0);
}

int staging_init(struct staging *staging, uint32_t batch_bytes,
                 void (*on_done)(struct io_op *op, const struct io_result *result))
{
    int r;

    assert(batch_bytes % SEGMENT_BLOCK_SIZE == 0);
    assert(batch_bytes >= 2 * SEGMENT_BLOCK_SIZE && batch_bytes <= STAGING_BATCH_SIZE_MAX);
    memset(staging, 0, sizeof(*staging));
    staging->batch_bytes = batch_bytes;
    r = memory_map((size_t)batch_bytes * STAGING_BATCH_COUNT, &staging->memory);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < STAGING_BATCH_COUNT; i++) {
        struct staging_batch *batch = &staging->batches[i];

        batch->data = staging->memory + (size_t)i * batch_bytes;
        batch->staging = staging;
        io_op_init(&batch->op, on_done);
    }
    return 0;
}

void staging_deinit(struct staging *staging)
{
    memory_unmap(&staging->memory, (size_t)staging->batch_bytes * STAGING_BATCH_COUNT);
}

struct staging_batch *staging_begin(struct staging *staging, uint64_t seq, uint64_t block_index,
                                    uint64_t block_lsn)
{
    struct staging_batch *batch;

    assert(staging_filling(staging) == NULL);
    if (staging->count == STAGING_BATCH_COUNT)
        return NULL;
    batch = &staging->batches[(staging->head + staging->count) % STAGING_BATCH_COUNT];
    assert(batch->state == STAGING_FREE);
    staging->count++;
    batch->state = STAGING_FILLING;
    batch->seq = seq;
    batch->block_index = block_index;
    batch->block_lsn = block_lsn;
    batch->durable_lsn = 0;
    batch->position = block_index == 0 ? SEGMENT_BLOCK_SIZE : 0;
    batch->block_count = 0;
    batch->watermark = false;
    batch->lsn_complete = 0;
    batch->record_count = 0;
    batch->rewrite_count = 0;
    memset(batch->first_record, 0xff,
           staging->batch_bytes / SEGMENT_BLOCK_SIZE * sizeof(batch->first_record[0]));
    return batch;
}

uint64_t staging_batch_capacity(const struct staging *staging)
{
    return (uint64_t)(staging->batch_bytes / SEGMENT_BLOCK_SIZE) * SEGMENT_PAYLOAD_SIZE;
}

uint64_t staging_block_room(const struct staging_batch *batch)
{
    uint32_t used = batch->position % SEGMENT_BLOCK_SIZE;

    return used == 0 ? 0 : SEGMENT_PAYLOAD_SIZE - used;
}

uint64_t staging_block_count(const struct staging_batch *batch)
{
    return round_up_u64(batch->position, SEGMENT_BLOCK_SIZE) / SEGMENT_BLOCK_SIZE;
}

uint64_t staging_room(const struct staging *staging, const struct staging_batch *batch)
{
    uint64_t blocks_left = staging->batch_bytes / SEGMENT_BLOCK_SIZE - staging_block_count(batch);

    return staging_block_room(batch) + blocks_left * SEGMENT_PAYLOAD_SIZE;
}

/* Moves a position at the end of a payload area over the trailer; false when the batch is full. */
static bool skip_trailer(const struct staging *staging, struct staging_batch *batch)
{
    if (batch->position % SEGMENT_BLOCK_SIZE < SEGMENT_PAYLOAD_SIZE)
        return true;
    if (batch->position + SEGMENT_TRAILER_SIZE == staging->batch_bytes)
        return false;
    batch->position += SEGMENT_TRAILER_SIZE;
    return true;
}

int64_t staging_begin_record(struct staging *staging, struct staging_batch *batch)
{
    uint32_t block;

    batch_check(batch);
    assert(batch->state == STAGING_FILLING);
    if (!skip_trailer(staging, batch))
        return -ENOBUFS;
    block = batch->position / SEGMENT_BLOCK_SIZE;
    if (batch->first_record[block] == UINT16_MAX)
        batch->first_record[block] = (uint16_t)(batch->position % SEGMENT_BLOCK_SIZE);
    batch->record_count++;
    return (int64_t)(batch->block_index * SEGMENT_BLOCK_SIZE + batch->position);
}

size_t staging_put(struct staging *staging, struct staging_batch *batch, const char *data,
                   size_t size)
{
    size_t done = 0;

    assert(batch->state == STAGING_FILLING);
    while (done < size && skip_trailer(staging, batch)) {
        size_t room = SEGMENT_PAYLOAD_SIZE - batch->position % SEGMENT_BLOCK_SIZE;
        size_t part = min_u64(room, size - done);

        memcpy(batch->data + batch->position, data + done, part);
        batch->position += (uint32_t)part;
        done += part;
    }
    batch_check(batch);
    return done;
}

/* Zeros what the last block does not use, so that nothing of an earlier batch is written. */
static uint32_t finish_last_block(struct staging_batch *batch)
{
    uint32_t used = batch->position % SEGMENT_BLOCK_SIZE;
    uint32_t count = (uint32_t)staging_block_count(batch);

    if (used != 0) {
        memset(batch->data + batch->position, 0, SEGMENT_PAYLOAD_SIZE - used);
        return count;
    }
    if (batch->watermark) {
        memset(batch->data + batch->position, 0, SEGMENT_PAYLOAD_SIZE);
        return count + 1;
    }
    return count;
}

void staging_seal(struct staging *staging, struct staging_batch *batch,
                  const struct staging_seal *seal)
{
    uint32_t used = batch->position % SEGMENT_BLOCK_SIZE;
    uint32_t first = batch->block_index == 0 ? 1 : 0;
    uint64_t durable_lsn = MUTANT("durable_lsn_not_vouched") ? 0 : seal->durable_lsn;

    batch_check(batch);
    assert(batch == staging_filling(staging));
    assert(!batch->watermark || batch->record_count == 0);
    batch->block_count = finish_last_block(batch);
    batch->durable_lsn = seal->durable_lsn;
    assert(batch->block_count > first);
    if (first == 1)
        segment_header_seal(batch->data, seal->header, durable_lsn);
    for (uint32_t i = first; i < batch->block_count; i++) {
        bool last = i == batch->block_count - 1;
        uint32_t flags = (i == 0 ? (uint32_t)SEGMENT_BLOCK_FLUSH_FIRST : 0) |
                         (batch->watermark ? (uint32_t)SEGMENT_BLOCK_WATERMARK : 0);
        struct segment_trailer trailer = {
            .segment_seq = batch->seq,
            .block_lsn = batch->block_lsn + i,
            .durable_lsn = durable_lsn,
            .boot_generation = seal->boot_generation,
            .payload_size = (uint16_t)(last ? used : SEGMENT_PAYLOAD_SIZE),
            .first_record = batch->first_record[i],
            .log = (uint16_t)seal->log,
            .flags = (uint16_t)flags,
        };

        segment_block_seal(batch->data + (size_t)i * SEGMENT_BLOCK_SIZE, &trailer);
    }
    batch->state = STAGING_SEALED;
}

void staging_release(struct staging *staging)
{
    struct staging_batch *batch = staging_at(staging, 0);

    assert(batch != NULL);
    assert(batch->state == STAGING_WRITTEN);
    batch->state = STAGING_FREE;
    staging->head = (staging->head + 1) % STAGING_BATCH_COUNT;
    staging->count--;
}

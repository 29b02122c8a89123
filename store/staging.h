/*
 * Staging: the batches between an append and the disk, as a ring of four.
 *
 * Bytes are put into the newest batch in the form in which they are written: in
 * blocks with room left for the trailers, so that nothing is copied twice. Sealing
 * fills the trailers in. Batches leave in the order in which they came. Memory only,
 * no I/O; owned by the journal.
 *
 *     FREE --begin--> FILLING --seal--> SEALED --> WRITING --> WRITTEN --release--> FREE
 *                                         ^-----------/ (no space: later again)
 */
#pragma once

#include "runtime/io.h"
#include "store/segment.h"

enum {
    STAGING_BATCH_COUNT = 4,
    STAGING_BATCH_SIZE_MAX = 4 << 20,
    STAGING_BLOCK_COUNT_MAX = STAGING_BATCH_SIZE_MAX / SEGMENT_BLOCK_SIZE,
};

enum staging_batch_state {
    STAGING_FREE,
    STAGING_FILLING,
    STAGING_SEALED,
    STAGING_WRITING,
    STAGING_WRITTEN,
};

/* One write. The journal reads all fields and sets those of the second group. */
struct staging_batch {
    char *data;           /* aligned to the block */
    uint64_t seq;         /* of the segment */
    uint64_t block_index; /* of the first block in the segment's file */
    uint64_t block_lsn;   /* of the first block */
    uint64_t durable_lsn; /* stated by the trailers, once sealed */
    uint32_t position;    /* where the next byte goes */
    uint32_t block_count; /* once sealed */
    bool watermark;

    struct staging *staging;
    struct io_op op;
    enum staging_batch_state state;
    uint64_t lsn_complete; /* last LSN of the last group that ends here; 0: none does */
    uint64_t submitted_ns;
    uint32_t record_count;
    uint32_t rewrite_count;
    uint16_t first_record[STAGING_BLOCK_COUNT_MAX];
};

/* Private to staging.c, but for batches. Embedded by value in the journal. */
struct staging {
    struct staging_batch batches[STAGING_BATCH_COUNT];
    uint32_t head; /* index of the oldest batch in use */
    uint32_t count;
    uint32_t batch_bytes;
    char *memory;
};

/* What trailers say that the batch does not know. */
struct staging_seal {
    uint64_t durable_lsn;
    uint32_t boot_generation;
    uint32_t log;
    const struct segment_header *header; /* of the segment, for a batch that begins it */
};

/* Reserves the batches. 0 or -ENOMEM. Start-up only. */
MUST_USE int staging_init(struct staging *staging, uint32_t batch_bytes,
                          void (*on_done)(struct io_op *op, const struct io_result *result));

/* Gives the memory back; no batch may be WRITING unless the backend is gone. */
void staging_deinit(struct staging *staging);

/* The batch being filled, or NULL. */
static inline struct staging_batch *staging_filling(struct staging *staging)
{
    struct staging_batch *newest =
        &staging->batches[(staging->head + staging->count + STAGING_BATCH_COUNT - 1) %
                          STAGING_BATCH_COUNT];

    return staging->count > 0 && newest->state == STAGING_FILLING ? newest : NULL;
}

/* The n-th batch in use, the oldest first; NULL when there are fewer. */
static inline struct staging_batch *staging_at(struct staging *staging, uint32_t n)
{
    return n < staging->count ? &staging->batches[(staging->head + n) % STAGING_BATCH_COUNT] : NULL;
}

/*
 * Makes a free batch FILLING, to be written from block_index of segment seq on; at
 * block 0 it leaves room for the header. NULL when no batch is free. Only for who has
 * something to put into it: an empty one cannot be sealed, unless it is a watermark.
 */
MUST_USE struct staging_batch *staging_begin(struct staging *staging, uint64_t seq,
                                             uint64_t block_index, uint64_t block_lsn);

/* Bytes of records that one batch holds that does not begin a segment. */
uint64_t staging_batch_capacity(const struct staging *staging);

/* Record bytes that still fit into the batch, and how many of them in its last begun block. */
uint64_t staging_room(const struct staging *staging, const struct staging_batch *batch);
uint64_t staging_block_room(const struct staging_batch *batch);

/* Blocks that the batch takes with what it has now. */
uint64_t staging_block_count(const struct staging_batch *batch);

/*
 * Notes that a record begins here: the file offset of its header. -ENOBUFS when the batch
 * is full.
 */
MUST_USE int64_t staging_begin_record(struct staging *staging, struct staging_batch *batch);

/* Copies as much of data as fits into the batch; returns how much. */
size_t staging_put(struct staging *staging, struct staging_batch *batch, const char *data,
                   size_t size);

/* FILLING to SEALED: trailers, and the header in block 0. A watermark batch has one empty block. */
void staging_seal(struct staging *staging, struct staging_batch *batch,
                  const struct staging_seal *seal);

/* Takes the oldest batch, which must be WRITTEN, out of use. */
void staging_release(struct staging *staging);

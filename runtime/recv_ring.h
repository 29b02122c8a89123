/*
 * Recv ring: the receive buffers of one ring, offered to the kernel in advance.
 *
 * The kernel takes a buffer only when bytes arrive, so an idle connection costs
 * none. All buffers lie in one block; an entry of the shared ring names one of
 * them by index. A buffer is either offered or lent to a caller, never both;
 * lending or returning one twice asserts. Owned by the shard's thread.
 */
#pragma once

#include <liburing.h>

#include "runtime/base.h"

enum { RECV_RING_BUFFER_COUNT_MAX = 32768, RECV_RING_GROUP = 0 };

/* Private to recv_ring.c; embedded by value. */
struct recv_ring {
    struct io_uring_buf_ring *ring; /* shared with the kernel */
    char *ring_memory;
    size_t ring_memory_size;
    char *buffers;
    char *lent; /* one byte per buffer: 1 while a caller has it */
    uint32_t buffer_count;
    uint32_t buffer_size;
    uint32_t lent_count;
};

/*
 * Maps buffer_count (a power of two) buffers of buffer_size bytes, registers them
 * with the ring and offers all of them. 0 or -errno.
 */
MUST_USE int recv_ring_init(struct recv_ring *recv_ring, struct io_uring *ring,
                            uint32_t buffer_count, uint32_t buffer_size);

/* Unmaps everything. The io_uring must have ended before: it writes into the buffers. */
void recv_ring_deinit(struct recv_ring *recv_ring);

/* Notes that the kernel filled this buffer with size bytes; gives its address. */
char *recv_ring_lend(struct recv_ring *recv_ring, uint32_t index, uint32_t size);

/* Offers a lent buffer to the kernel again. */
void recv_ring_return(struct recv_ring *recv_ring, uint32_t index);

/* Buffers on offer, exact when every completion has been looked at. */
static inline uint32_t recv_ring_free_count(const struct recv_ring *recv_ring)
{
    return recv_ring->buffer_count - recv_ring->lent_count;
}

/* Bytes of the shared ring itself, which count as locked memory; the buffers do not. */
size_t recv_ring_locked_size(uint32_t buffer_count);

#include "runtime/recv_ring.h"

#include "runtime/memory.h"

/*
 * The shared ring is an array of (address, size, index) entries whose tail we
 * advance; the kernel keeps the head to itself. It has as many slots as there
 * are buffers, so it cannot be overrun as long as no buffer is offered twice,
 * which the lent bytes see to.
 *
 * The buffers are plain memory: registering the ring does not pin them, so they
 * cost address space until bytes arrive and nothing of RLIMIT_MEMLOCK.
 */
static_assert(sizeof(struct io_uring_buf) == 16, "the kernel's ring entry");

static void offer(struct recv_ring *recv_ring, uint32_t index)
{
    char *buffer = recv_ring->buffers + (size_t)index * recv_ring->buffer_size;
    int mask = io_uring_buf_ring_mask(recv_ring->buffer_count);

    memory_poison(buffer, recv_ring->buffer_size);
    io_uring_buf_ring_add(recv_ring->ring, buffer, recv_ring->buffer_size, (unsigned short)index,
                          mask, 0);
    io_uring_buf_ring_advance(recv_ring->ring, 1);
}

size_t recv_ring_locked_size(uint32_t buffer_count)
{
    return round_up_u64((size_t)buffer_count * sizeof(struct io_uring_buf), MEMORY_PAGE_SIZE);
}

int recv_ring_init(struct recv_ring *recv_ring, struct io_uring *ring, uint32_t buffer_count,
                   uint32_t buffer_size)
{
    struct io_uring_buf_reg reg;
    int r;

    assert(is_power_of_two(buffer_count));
    assert(buffer_count <= RECV_RING_BUFFER_COUNT_MAX);
    assert(buffer_size > 0);

    *recv_ring = (struct recv_ring){.buffer_count = buffer_count, .buffer_size = buffer_size};
    recv_ring->ring_memory_size = recv_ring_locked_size(buffer_count);
    r = memory_map(recv_ring->ring_memory_size, &recv_ring->ring_memory);
    if (r < 0)
        goto fail;
    r = memory_map((size_t)buffer_count * buffer_size, &recv_ring->buffers);
    if (r < 0)
        goto fail;
    r = memory_map(buffer_count, &recv_ring->lent);
    if (r < 0)
        goto fail;

    reg = (struct io_uring_buf_reg){.ring_addr = (uint64_t)(uintptr_t)recv_ring->ring_memory,
                                    .ring_entries = buffer_count,
                                    .bgid = RECV_RING_GROUP};
    r = io_uring_register_buf_ring(ring, &reg, 0);
    if (r < 0)
        goto fail;

    recv_ring->ring = (struct io_uring_buf_ring *)(void *)recv_ring->ring_memory;
    io_uring_buf_ring_init(recv_ring->ring);
    for (uint32_t i = 0; i < buffer_count; i++)
        offer(recv_ring, i);
    return 0;

fail:
    recv_ring_deinit(recv_ring);
    return r;
}

void recv_ring_deinit(struct recv_ring *recv_ring)
{
    memory_unmap(&recv_ring->ring_memory, recv_ring->ring_memory_size);
    memory_unmap(&recv_ring->buffers, (size_t)recv_ring->buffer_count * recv_ring->buffer_size);
    memory_unmap(&recv_ring->lent, recv_ring->buffer_count);
    recv_ring->ring = NULL;
}

char *recv_ring_lend(struct recv_ring *recv_ring, uint32_t index, uint32_t size)
{
    char *buffer = recv_ring->buffers + (size_t)index * recv_ring->buffer_size;

    assert(index < recv_ring->buffer_count);
    assert(size <= recv_ring->buffer_size);
    assert(recv_ring->lent[index] == 0);

    recv_ring->lent[index] = 1;
    recv_ring->lent_count++;
    /* Only what was received: reading on is a bug that AddressSanitizer then reports. */
    memory_unpoison(buffer, size);
    return buffer;
}

void recv_ring_return(struct recv_ring *recv_ring, uint32_t index)
{
    assert(index < recv_ring->buffer_count);
    assert(recv_ring->lent[index] == 1);
    assert(recv_ring->lent_count > 0);

    recv_ring->lent[index] = 0;
    recv_ring->lent_count--;
    offer(recv_ring, index);
}

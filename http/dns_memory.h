/*
 * DNS memory: the bounded memory that a shard's look-ups live in.
 *
 * The DNS library allocates for every query. It is given this instead of the heap, so
 * that a running shard allocates nothing and a flood of look-ups meets a bound: a buddy
 * allocator over one mapping. One thread at a time.
 */
#pragma once

#include "runtime/base.h"

enum {
    DNS_MEMORY_ORDER_COUNT = 15, /* blocks of 64 bytes << order */
    DNS_MEMORY_BLOCK_SIZE_MIN = 64,
};

struct dns_memory;

/* A block that nobody uses. Private to dns_memory.c. */
struct dns_memory_block {
    struct dns_memory_block *next;
    struct dns_memory_block *previous;
};

/* Private to dns_memory.c, except used_size; embedded by value. */
struct dns_memory {
    char *bytes;
    uint8_t
        *free_orders; /* per smallest block: the order of a free one, plus 1, that begins here */
    size_t size;
    size_t used_size; /* with what rounding up costs */
    uint32_t order_max;
    struct dns_memory_block free_blocks[DNS_MEMORY_ORDER_COUNT]; /* heads of rings */
};

/* Reserves size bytes, a power of two from 64 to 1 MiB. 0 or -ENOMEM. Start-up only. */
MUST_USE int dns_memory_init(struct dns_memory *memory, size_t size);

/* Gives the memory back, also what is in use. */
void dns_memory_deinit(struct dns_memory *memory);

/* Gives size bytes, aligned to 16, contents undefined; NULL when there is no room. */
MUST_USE void *dns_memory_acquire(struct dns_memory *memory, size_t size);

/* Takes a piece back. NULL is accepted. */
void dns_memory_release(struct dns_memory *memory, void *piece);

/* Moves the piece's bytes into one of size bytes, as realloc() does; NULL leaves it as it is. */
MUST_USE void *dns_memory_resize(struct dns_memory *memory, void *piece, size_t size);

/*
 * Buddies: a block of order n is 64 << n bytes and begins at a multiple of its size. A
 * free one is halved until it fits; when both halves are free again they are one again,
 * so what was cut small for a flood is whole after it.
 *
 *     a piece in use:  | order, 16 bytes | what was asked for ...        |
 *     a free block:    | next | previous |                               |
 *
 * free_orders, one byte for each 64, tells whether a block begins there that is free,
 * and of which order: all that is needed to know if a buddy can be merged with.
 */
#include "http/dns_memory.h"

#include <errno.h>

#include "runtime/memory.h"

enum { HEADER_SIZE = 16, HEADER_MAGIC = 0x444e534d };

struct header {
    uint32_t magic;
    uint32_t order;
    uint64_t padding;
};

static_assert(sizeof(struct header) == HEADER_SIZE, "what follows is aligned to 16");
static_assert(sizeof(struct dns_memory_block) <= DNS_MEMORY_BLOCK_SIZE_MIN, "a free one fits");

static void dns_memory_check(const struct dns_memory *memory)
{
    assert(memory->bytes != NULL);
    assert(memory->used_size <= memory->size);
    assert(memory->order_max < DNS_MEMORY_ORDER_COUNT);
}

static size_t block_size(uint32_t order)
{
    return (size_t)DNS_MEMORY_BLOCK_SIZE_MIN << order;
}

static uint8_t *free_order_of(const struct dns_memory *memory, size_t offset)
{
    assert(offset < memory->size);
    return &memory->free_orders[offset / DNS_MEMORY_BLOCK_SIZE_MIN];
}

static struct dns_memory_block *block_at(const struct dns_memory *memory, size_t offset)
{
    return (struct dns_memory_block *)(void *)(memory->bytes + offset);
}

static void push_free(struct dns_memory *memory, size_t offset, uint32_t order)
{
    struct dns_memory_block *head, *block;

    assert(order < DNS_MEMORY_ORDER_COUNT);
    assert(offset % block_size(order) == 0);
    head = &memory->free_blocks[order];
    block = block_at(memory, offset);
    block->next = head->next;
    block->previous = head;
    head->next->previous = block;
    head->next = block;
    *free_order_of(memory, offset) = (uint8_t)(order + 1);
}

static void remove_free(struct dns_memory *memory, size_t offset)
{
    struct dns_memory_block *block = block_at(memory, offset);

    assert(*free_order_of(memory, offset) > 0);
    block->previous->next = block->next;
    block->next->previous = block->previous;
    *free_order_of(memory, offset) = 0;
}

int dns_memory_init(struct dns_memory *memory, size_t size)
{
    size_t marks_size = size / DNS_MEMORY_BLOCK_SIZE_MIN;
    int r;

    assert(is_power_of_two(size));
    assert(size >= DNS_MEMORY_BLOCK_SIZE_MIN);
    *memory = (struct dns_memory){.size = size};
    while (block_size(memory->order_max) < size)
        memory->order_max++;
    assert(memory->order_max < DNS_MEMORY_ORDER_COUNT);
    r = memory_map(size + marks_size, &memory->bytes);
    if (r < 0)
        return r;
    memory->free_orders = (uint8_t *)memory->bytes + size;
    for (uint32_t order = 0; order < DNS_MEMORY_ORDER_COUNT; order++)
        memory->free_blocks[order] =
            (struct dns_memory_block){&memory->free_blocks[order], &memory->free_blocks[order]};
    push_free(memory, 0, memory->order_max);
    dns_memory_check(memory);
    return 0;
}

void dns_memory_deinit(struct dns_memory *memory)
{
    memory_unmap(&memory->bytes, memory->size + memory->size / DNS_MEMORY_BLOCK_SIZE_MIN);
}

static bool has_free(const struct dns_memory *memory, uint32_t order)
{
    return memory->free_blocks[order].next != &memory->free_blocks[order];
}

void *dns_memory_acquire(struct dns_memory *memory, size_t size)
{
    struct header *header;
    uint32_t wanted = 0;
    uint32_t order;
    size_t offset;

    dns_memory_check(memory);
    if (size > memory->size - HEADER_SIZE)
        return NULL;
    while (block_size(wanted) < size + HEADER_SIZE)
        wanted++;
    order = wanted;
    while (order <= memory->order_max && !has_free(memory, order))
        order++;
    if (order > memory->order_max)
        return NULL;
    offset = (size_t)((char *)memory->free_blocks[order].next - memory->bytes);
    remove_free(memory, offset);
    while (order > wanted) {
        order--;
        push_free(memory, offset + block_size(order), order);
    }
    memory->used_size += block_size(wanted);
    header = (struct header *)(void *)(memory->bytes + offset);
    *header = (struct header){.magic = HEADER_MAGIC, .order = wanted};
    return header + 1;
}

static struct header *header_of(const struct dns_memory *memory, void *piece)
{
    struct header *header = (struct header *)piece - 1;

    assert((char *)header >= memory->bytes);
    assert((char *)header < memory->bytes + memory->size);
    assert(header->magic == HEADER_MAGIC);
    return header;
}

void dns_memory_release(struct dns_memory *memory, void *piece)
{
    struct header *header;
    uint32_t order;
    size_t offset;

    dns_memory_check(memory);
    if (piece == NULL)
        return;
    header = header_of(memory, piece);
    order = header->order;
    offset = (size_t)((char *)header - memory->bytes);
    header->magic = 0;
    memory->used_size -= block_size(order);
    while (order < memory->order_max) {
        size_t buddy = offset ^ block_size(order);

        if (*free_order_of(memory, buddy) != order + 1)
            break;
        remove_free(memory, buddy);
        offset = min_u64(offset, buddy);
        order++;
    }
    push_free(memory, offset, order);
}

void *dns_memory_resize(struct dns_memory *memory, void *piece, size_t size)
{
    size_t room;
    void *moved;

    dns_memory_check(memory);
    if (piece == NULL)
        return dns_memory_acquire(memory, size);
    room = block_size(header_of(memory, piece)->order) - HEADER_SIZE;
    if (size <= room)
        return piece;
    moved = dns_memory_acquire(memory, size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, piece, room);
    dns_memory_release(memory, piece);
    return moved;
}

#include "runtime/buffer.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/pool.h"
#include "runtime/sim_point.h"

/*
 * Each class is a pool of struct buffer and one mapping of bytes; a buffer's
 * index in the pool is also the place of its bytes, so neither holds a list of
 * the other. Bytes of a class of at least a page are page-aligned, which O_DIRECT
 * and giving pages back both need. Under ASan a gap stands behind every buffer
 * and released bytes are poisoned.
 */

enum {
    BYTES_ALIGNMENT = 64,
    DROP_PAGES_SIZE_MIN = 1024 * 1024, /* below, faulting the pages in again costs more */
};

struct class_state {
    struct pool headers;
    char *bytes;
    size_t bytes_size;
    size_t stride;
    uint32_t capacity;
};

struct buffer_pool {
    struct class_state classes[BUFFER_CLASS_COUNT_MAX];
    uint32_t class_count;
    uint64_t capacity;
    uint64_t used;
};

static void buffer_pool_check(const struct buffer_pool *pool)
{
    assert(pool->class_count > 0);
    assert(pool->class_count <= BUFFER_CLASS_COUNT_MAX);
    assert(pool->used <= pool->capacity);
}

static void buffer_check(const struct buffer *buffer)
{
    assert(buffer->ref_count > 0);
    assert(buffer->class_index < buffer->pool->class_count);
    assert(buffer->size <= buffer->capacity);
}

static size_t stride_of(uint32_t capacity)
{
    size_t alignment = capacity < MEMORY_PAGE_SIZE ? BYTES_ALIGNMENT : MEMORY_PAGE_SIZE;

    return round_up_u64(capacity, alignment) + (MEMORY_ASAN ? alignment : 0);
}

static int class_init(struct class_state *class, const struct buffer_class *config)
{
    int r;

    assert(config->capacity > 0);
    r = pool_init(&class->headers, "buffer", sizeof(struct buffer), config->count);
    if (r < 0)
        return r;
    class->capacity = config->capacity;
    class->stride = stride_of(config->capacity);
    class->bytes_size = class->stride * config->count;
    return memory_map(class->bytes_size, &class->bytes);
}

int buffer_pool_new(const struct buffer_class *classes, uint32_t class_count,
                    struct buffer_pool **ret_pool)
{
    struct buffer_pool *pool;
    char *memory = NULL;
    int r;

    assert(class_count > 0);
    assert(class_count <= BUFFER_CLASS_COUNT_MAX);
    r = memory_map(sizeof(*pool), &memory);
    if (r < 0)
        return r;
    pool = (struct buffer_pool *)(void *)memory;
    for (uint32_t i = 0; i < class_count; i++) {
        assert(i == 0 || classes[i].capacity > classes[i - 1].capacity);
        pool->class_count = i + 1;
        r = class_init(&pool->classes[i], &classes[i]);
        if (r < 0)
            goto free_pool;
        pool->capacity += (uint64_t)classes[i].capacity * classes[i].count;
    }
    *ret_pool = pool;
    return 0;

free_pool:
    buffer_pool_free(&pool);
    return r;
}

void buffer_pool_free(struct buffer_pool **pool)
{
    if (*pool == NULL)
        return;
    assert((*pool)->used == 0);
    buffer_pool_abandon(pool);
}

void buffer_pool_abandon(struct buffer_pool **pool)
{
    char *memory = (char *)*pool;

    if (*pool == NULL)
        return;
    for (uint32_t i = 0; i < (*pool)->class_count; i++) {
        pool_abandon(&(*pool)->classes[i].headers);
        memory_unmap(&(*pool)->classes[i].bytes, (*pool)->classes[i].bytes_size);
    }
    memory_unmap(&memory, sizeof(**pool));
    *pool = NULL;
}

static struct buffer *acquire_from(struct buffer_pool *pool, uint32_t class_index)
{
    struct class_state *class = &pool->classes[class_index];
    struct buffer *buffer = pool_acquire(&class->headers);
    char *data;

    if (buffer == NULL)
        return NULL;
    data = class->bytes + pool_index(&class->headers, buffer) * class->stride;
    *buffer = (struct buffer){
        .data = data,
        .capacity = class->capacity,
        .ref_count = 1,
        .class_index = class_index,
        .pool = pool,
    };
    memory_poison(data, class->stride);
    memory_unpoison(data, class->capacity);
    pool->used += class->capacity;
    return buffer;
}

int buffer_acquire(struct buffer_pool *pool, size_t capacity_min, struct buffer **ret_buffer)
{
    buffer_pool_check(pool);
    if (capacity_min > pool->classes[pool->class_count - 1].capacity)
        return -EMSGSIZE;
    if (FAILPOINT("no buffer is free"))
        return -ENOBUFS;
    for (uint32_t i = 0; i < pool->class_count; i++) {
        struct buffer *buffer;

        if (pool->classes[i].capacity < capacity_min)
            continue;
        buffer = acquire_from(pool, i);
        if (buffer != NULL) {
            *ret_buffer = buffer;
            return 0;
        }
    }
    return -ENOBUFS;
}

struct buffer *buffer_ref(struct buffer *buffer)
{
    buffer_check(buffer);
    assert(buffer->ref_count < UINT32_MAX);
    buffer->ref_count++;
    return buffer;
}

void buffer_unref(struct buffer **buffer)
{
    struct buffer *last = *buffer;
    struct class_state *class;

    if (last == NULL)
        return;
    buffer_check(last);
    *buffer = NULL;
    last->ref_count--;
    if (last->ref_count > 0)
        return;

    buffer_pool_check(last->pool);
    class = &last->pool->classes[last->class_index];
    if (class->capacity >= DROP_PAGES_SIZE_MIN)
        memory_drop_pages(last->data, class->capacity);
    memory_poison(last->data, class->stride);
    last->pool->used -= class->capacity;
    pool_release(&class->headers, (void **)&last);
}

int buffer_grow(struct buffer **buffer, size_t capacity_min)
{
    struct buffer *bigger = NULL;
    int r;

    buffer_check(*buffer);
    assert((*buffer)->ref_count == 1);
    if ((*buffer)->capacity >= capacity_min)
        return 0;
    r = buffer_acquire((*buffer)->pool, capacity_min, &bigger);
    if (r < 0)
        return r;
    memcpy(bigger->data, (*buffer)->data, (*buffer)->size);
    bigger->size = (*buffer)->size;
    buffer_unref(buffer);
    *buffer = bigger;
    return 0;
}

uint64_t buffer_pool_capacity(const struct buffer_pool *pool)
{
    return pool->capacity;
}

uint64_t buffer_pool_used(const struct buffer_pool *pool)
{
    return pool->used;
}

#include "runtime/buffer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "runtime/memory.h"

static const struct buffer_class CLASSES[] = {{1000, 2}, {8192, 1}, {1024 * 1024, 1}};

static struct buffer_pool *pool;

static void setup(void)
{
    cr_assert(eq(int, buffer_pool_new(CLASSES, ARRAY_COUNT(CLASSES), &pool), 0));
}

static struct buffer *acquire(size_t capacity_min)
{
    struct buffer *buffer = NULL;

    cr_assert(eq(int, buffer_acquire(pool, capacity_min, &buffer), 0));
    return buffer;
}

TestSuite(buffer, .init = setup, .timeout = 10);

Test(buffer, comes_from_the_smallest_class_that_fits)
{
    cr_expect(eq(u32, acquire(0)->capacity, 1000));
    cr_expect(eq(u32, acquire(1000)->capacity, 1000));
    cr_expect(eq(u32, acquire(1001)->capacity, 8192));
}

Test(buffer, comes_from_a_bigger_class_when_the_small_one_is_empty)
{
    (void)!acquire(10);
    (void)!acquire(10);

    cr_expect(eq(u32, acquire(10)->capacity, 8192));
}

Test(buffer, says_no_buffers_when_all_that_fit_are_in_use)
{
    struct buffer *untouched = NULL;

    (void)!acquire(8192);
    (void)!acquire(8192);

    cr_expect(eq(int, buffer_acquire(pool, 8192, &untouched), -ENOBUFS));
    cr_expect(eq(ptr, untouched, NULL));
    cr_expect(eq(u32, acquire(10)->capacity, 1000));
}

Test(buffer, says_too_big_when_no_class_could_ever_fit)
{
    struct buffer *untouched = NULL;

    cr_expect(eq(int, buffer_acquire(pool, 1024 * 1024 + 1, &untouched), -EMSGSIZE));
    cr_expect(eq(ptr, untouched, NULL));
}

Test(buffer, lives_until_the_last_reference_is_dropped)
{
    struct buffer *first = acquire(8000);
    struct buffer *second = buffer_ref(first);

    cr_expect(eq(u64, buffer_pool_used(pool), 8192));
    buffer_unref(&first);
    cr_expect(eq(ptr, first, NULL));
    cr_expect(eq(u64, buffer_pool_used(pool), 8192));
    buffer_unref(&second);
    cr_expect(eq(u64, buffer_pool_used(pool), 0));
    buffer_unref(&second);
    buffer_pool_free(&pool);
    cr_expect(eq(ptr, pool, NULL));
}

Test(buffer, keeps_its_bytes_when_it_grows)
{
    struct buffer *buffer = acquire(10);

    memcpy(buffer->data, "hello", 5);
    buffer->size = 5;
    cr_assert(eq(int, buffer_grow(&buffer, 5000), 0));

    cr_expect(eq(u32, buffer->capacity, 8192));
    cr_expect(eq(u32, buffer->size, 5));
    cr_expect(eq(int, memcmp(buffer->data, "hello", 5), 0));
    cr_expect(eq(u64, buffer_pool_used(pool), 8192));
}

Test(buffer, stays_as_it_is_when_it_cannot_grow)
{
    struct buffer *buffer = acquire(10);
    struct buffer *before = buffer;

    cr_expect(eq(int, buffer_grow(&buffer, 1000), 0));
    cr_expect(eq(ptr, buffer, before));
    cr_expect(eq(int, buffer_grow(&buffer, 2 * 1024 * 1024), -EMSGSIZE));
    (void)!acquire(1024 * 1024);
    cr_expect(eq(int, buffer_grow(&buffer, 10000), -ENOBUFS));
    cr_expect(eq(ptr, buffer, before));
}

Test(buffer, offers_every_byte_of_its_capacity)
{
    struct buffer *small = acquire(1000);
    struct buffer *page = acquire(8192);

    memset(small->data, 1, small->capacity);
    memset(page->data, 2, page->capacity);
    cr_expect(eq(u64, (uintptr_t)page->data % MEMORY_PAGE_SIZE, 0));
    cr_expect(small->data[999] == 1);
}

Test(buffer, gives_the_pages_of_a_big_class_back)
{
    struct buffer *big = acquire(1024 * 1024);
    char *data = big->data;
    unsigned char resident = 1;

    memset(big->data, 1, big->capacity);
    buffer_unref(&big);

    cr_assert(eq(int, mincore(data, 1, &resident), 0));
    cr_expect(eq(int, resident & 1, 0));
}

Test(buffer, adds_its_classes_up)
{
    cr_expect(eq(u64, buffer_pool_capacity(pool), 2 * 1000 + 8192 + 1024 * 1024));
}

Test(buffer, pool_fails_when_the_address_space_has_no_room)
{
    static const struct buffer_class HUGE_CLASSES[] = {{64, 1}, {UINT32_MAX - 8192, 100000}};
    struct buffer_pool *untouched = NULL;

    cr_expect(eq(int, buffer_pool_new(HUGE_CLASSES, 2, &untouched), -ENOMEM));
    cr_expect(eq(ptr, untouched, NULL));
}

Test(buffer, aborts_when_a_shared_one_grows, .signal = SIGABRT)
{
    struct buffer *buffer = acquire(10);

    (void)buffer_ref(buffer);
    (void)!buffer_grow(&buffer, 5000);
}

Test(buffer, aborts_when_the_pool_ends_with_one_in_use, .signal = SIGABRT)
{
    (void)!acquire(10);
    buffer_pool_free(&pool);
}

#if MEMORY_ASAN
Test(buffer, poisons_released_bytes_and_the_gap_behind)
{
    struct buffer *buffer = acquire(1000);
    char *data = buffer->data;

    cr_expect(not(__asan_address_is_poisoned(data + 999)));
    cr_expect(__asan_address_is_poisoned(data + 1000));
    buffer_unref(&buffer);
    cr_expect(__asan_address_is_poisoned(data));
}
#endif

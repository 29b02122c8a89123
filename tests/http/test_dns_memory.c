#include "http/dns_memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

#include "runtime/rng.h"

enum { SIZE = 64 * 1024, PIECE_COUNT = 512, STEP_COUNT = 20000 };

static struct dns_memory memory;

static void begin(void)
{
    cr_assert(eq(int, dns_memory_init(&memory, SIZE), 0));
}

static void end(void)
{
    dns_memory_deinit(&memory);
}

TestSuite(dns_memory, .init = begin, .fini = end);

Test(dns_memory, gives_pieces_that_are_aligned_and_apart)
{
    char *a = dns_memory_acquire(&memory, 1);
    char *b = dns_memory_acquire(&memory, 100);

    cr_assert(ne(ptr, a, NULL));
    cr_assert(ne(ptr, b, NULL));
    cr_assert(eq(u64, (uintptr_t)a % 16, 0));
    cr_assert(eq(u64, (uintptr_t)b % 16, 0));
    cr_assert(b >= a + 1 || a >= b + 100);
    dns_memory_release(&memory, a);
    dns_memory_release(&memory, b);
    dns_memory_release(&memory, NULL);
    cr_assert(eq(sz, memory.used_size, 0));
}

Test(dns_memory, says_when_there_is_no_room)
{
    void *all = dns_memory_acquire(&memory, SIZE - 16);

    cr_assert(ne(ptr, all, NULL));
    cr_assert(eq(ptr, dns_memory_acquire(&memory, 1), NULL));
    dns_memory_release(&memory, all);
    cr_assert(eq(ptr, dns_memory_acquire(&memory, SIZE - 15), NULL));
    cr_assert(eq(ptr, dns_memory_acquire(&memory, SIZE_MAX), NULL));
}

Test(dns_memory, is_whole_again_after_it_was_cut_into_the_smallest_pieces)
{
    static void *pieces[SIZE / DNS_MEMORY_BLOCK_SIZE_MIN];
    void *all;

    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        pieces[i] = dns_memory_acquire(&memory, 48);
        cr_assert(ne(ptr, pieces[i], NULL));
    }
    cr_assert(eq(ptr, dns_memory_acquire(&memory, 1), NULL));
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i += 2)
        dns_memory_release(&memory, pieces[i]);
    cr_assert(eq(ptr, dns_memory_acquire(&memory, 49), NULL));
    for (size_t i = 1; i < ARRAY_COUNT(pieces); i += 2)
        dns_memory_release(&memory, pieces[i]);
    all = dns_memory_acquire(&memory, SIZE - 16);
    cr_assert(ne(ptr, all, NULL));
    dns_memory_release(&memory, all);
}

Test(dns_memory, keeps_the_bytes_of_a_piece_that_grows)
{
    char *piece = dns_memory_resize(&memory, NULL, 40);
    char *moved;

    memset(piece, 'x', 40);
    cr_assert(eq(ptr, dns_memory_resize(&memory, piece, 48), piece));
    moved = dns_memory_resize(&memory, piece, 5000);
    cr_assert(ne(ptr, moved, NULL));
    for (int i = 0; i < 40; i++)
        cr_assert(eq(chr, moved[i], 'x'));
    cr_assert(eq(ptr, dns_memory_resize(&memory, moved, SIZE), NULL));
    cr_assert(eq(chr, moved[0], 'x'));
    dns_memory_release(&memory, moved);
    cr_assert(eq(sz, memory.used_size, 0));
}

struct piece {
    unsigned char *bytes;
    size_t size;
    unsigned char fill;
};

static void check_piece(const struct piece *piece)
{
    for (size_t i = 0; i < piece->size; i++)
        cr_assert(eq(u8, piece->bytes[i], piece->fill));
}

Test(dns_memory, never_lets_two_pieces_meet)
{
    static struct piece pieces[PIECE_COUNT];
    uint32_t full_count = 0;
    struct rng rng;

    rng_init_seed(&rng, 1);
    for (int step = 0; step < STEP_COUNT; step++) {
        struct piece *piece = &pieces[rng_below(&rng, PIECE_COUNT)];

        if (piece->bytes != NULL) {
            check_piece(piece);
            dns_memory_release(&memory, piece->bytes);
            piece->bytes = NULL;
            continue;
        }
        piece->size = rng_below(&rng, 1 + (UINT64_C(1) << rng_below(&rng, 12)));
        piece->fill = (unsigned char)step;
        piece->bytes = dns_memory_acquire(&memory, piece->size);
        full_count += piece->bytes == NULL;
        if (piece->bytes != NULL)
            memset(piece->bytes, piece->fill, piece->size);
    }
    for (int i = 0; i < PIECE_COUNT; i++) {
        if (pieces[i].bytes != NULL)
            check_piece(&pieces[i]);
        dns_memory_release(&memory, pieces[i].bytes);
    }
    cr_assert(eq(sz, memory.used_size, 0));
    cr_assert(lt(u32, 0, full_count));
    cr_assert(ne(ptr, dns_memory_acquire(&memory, SIZE - 16), NULL));
}

Test(dns_memory, stops_at_a_piece_that_is_given_back_twice, .signal = SIGABRT)
{
    void *piece = dns_memory_acquire(&memory, 10);

    dns_memory_release(&memory, piece);
    dns_memory_release(&memory, piece);
}

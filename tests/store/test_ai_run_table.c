#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/ai_run_table.h"

enum { COUNT_MAX = 100 };

static struct ai_run_table table;

static void setup(void)
{
    cr_assert(eq(int, ai_run_table_init(&table, COUNT_MAX), 0));
}

static void teardown(void)
{
    ai_run_table_deinit(&table);
}

TestSuite(ai_run_table, .init = setup, .fini = teardown, .timeout = 20);

static void apply(uint64_t id_low, uint32_t revision, uint64_t seq, uint64_t offset)
{
    const struct ai_run_header header = {
        .id_low = id_low, .created_ms = 1000 + id_low, .revision = revision};

    ai_run_table_apply(&table, &header, journal_location_make(1, seq, offset), 64);
}

static uint32_t count_up_to(uint64_t seq)
{
    uint32_t cursor = 1, count = 0;

    while (ai_run_table_next_up_to(&table, &cursor, 1, seq) != NULL)
        count++;
    return count;
}

Test(ai_run_table, knows_where_the_latest_image_lies)
{
    const struct ai_run_entry *entry;

    apply(7, 1, 3, 4096);
    apply(7, 2, 4, 8192);
    entry = ai_run_table_find(&table, 7);
    cr_assert(ne(ptr, (void *)entry, NULL));
    cr_assert(eq(u32, entry->revision, 2));
    cr_assert(eq(u64, entry->created_ms, 1007));
    cr_assert(eq(u64, journal_location_seq(entry->location), 4));
    cr_assert(eq(u32, ai_run_table_count(&table), 1));
    cr_assert(eq(u64, table.live_bytes, 64));
    cr_assert(eq(ptr, (void *)ai_run_table_find(&table, 8), NULL));
}

Test(ai_run_table, is_not_led_back_by_an_earlier_image_that_was_carried_forward)
{
    apply(7, 2, 3, 4096);
    apply(7, 1, 9, 4096);
    cr_assert(eq(u64, journal_location_seq(ai_run_table_find(&table, 7)->location), 3));
    apply(7, 2, 10, 4096);
    cr_assert(eq(u64, journal_location_seq(ai_run_table_find(&table, 7)->location), 10));
}

Test(ai_run_table, finds_what_lies_in_the_oldest_segments)
{
    for (uint64_t i = 1; i <= 40; i++)
        apply(i, 1, 1 + i % 4, 4096 + i * 64);
    cr_assert(eq(u32, count_up_to(0), 0));
    cr_assert(eq(u32, count_up_to(1), 10));
    cr_assert(eq(u32, count_up_to(4), 40));
    apply(4, 2, 5, 4096);
    cr_assert(eq(u32, count_up_to(1), 9));
    cr_assert(eq(u32, count_up_to(4), 39));
    cr_assert(eq(u32, count_up_to(5), 40));
}

Test(ai_run_table, forgets)
{
    apply(7, 1, 1, 4096);
    apply(8, 1, 1, 8192);
    ai_run_table_forget(&table, ai_run_table_find(&table, 7));
    cr_assert(eq(ptr, (void *)ai_run_table_find(&table, 7), NULL));
    cr_assert(ne(ptr, (void *)ai_run_table_find(&table, 8), NULL));
    cr_assert(eq(u32, count_up_to(1), 1));
    cr_assert(eq(u64, table.live_bytes, 64));
}

Test(ai_run_table, makes_room_by_forgetting_the_oldest)
{
    for (uint64_t i = 1; i <= COUNT_MAX + 30; i++)
        apply(i, 1, 1, 4096 + i * 64);
    cr_assert(eq(u32, ai_run_table_count(&table), COUNT_MAX));
    cr_assert(eq(u64, table.forgotten_count, 30));
    cr_assert(eq(ptr, (void *)ai_run_table_find(&table, 30), NULL));
    cr_assert(ne(ptr, (void *)ai_run_table_find(&table, 31), NULL));
    cr_assert(eq(u64, table.live_bytes, COUNT_MAX * 64));
    cr_assert(eq(u32, count_up_to(1), COUNT_MAX));
}

/* Deterministic noise, enough to mix ids. */
static uint64_t next_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

Test(ai_run_table, agrees_with_a_plain_array_whatever_happens)
{
    uint32_t revisions[64] = {0};
    uint64_t seqs[64] = {0}, state = 42;

    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t n = (uint32_t)next_number(&state) % 63 + 1;
        uint32_t revision = (uint32_t)next_number(&state) % 5 + 1;
        uint64_t seq = next_number(&state) % 7 + 1;

        if (next_number(&state) % 4 == 0) {
            struct ai_run_entry *entry = ai_run_table_find(&table, n);

            cr_assert(eq(int, entry != NULL, revisions[n] != 0));
            if (entry != NULL)
                ai_run_table_forget(&table, entry);
            revisions[n] = 0;
            continue;
        }
        apply(n, revision, seq, 4096);
        if (revision < revisions[n])
            continue;
        revisions[n] = revision;
        seqs[n] = seq;
    }
    for (uint32_t n = 1; n < 64; n++) {
        struct ai_run_entry *entry = ai_run_table_find(&table, n);

        cr_assert(eq(int, entry != NULL, revisions[n] != 0));
        if (entry == NULL)
            continue;
        cr_assert(eq(u32, entry->revision, revisions[n]));
        cr_assert(eq(u64, journal_location_seq(entry->location), seqs[n]));
    }
}

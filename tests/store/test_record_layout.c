#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/record_layout.h"

static const struct slice PARTS[] = {SLICE_INITIALIZER("one"), {NULL, 0}, SLICE_INITIALIZER("x")};
static const uint32_t SIZES[] = {3, 0, 1};
static const struct slice UNTOUCHED = SLICE_INITIALIZER("untouched");

Test(record_layout, writes_sections_one_behind_the_other_and_finds_them_again)
{
    char bytes[16] = "head";
    struct slice found[3];
    uint64_t size = record_sections_write(PARTS, 3, bytes + 4);

    cr_assert(eq(u64, size, 4));
    cr_assert(eq(u64, record_sections_size(PARTS, 3), 4));
    cr_assert(record_sections_read((struct slice){bytes, 4 + size}, 4, SIZES, 3, found));
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(slice_equal(found[i], PARTS[i]));
    cr_assert(eq(ptr, (void *)found[2].data, bytes + 7));
}

Test(record_layout, refuses_sizes_that_do_not_add_up_to_the_payload)
{
    static const char bytes[] = "headonex";
    static const uint32_t huge[] = {UINT32_MAX, UINT32_MAX, 6};
    struct slice found[3] = {UNTOUCHED, UNTOUCHED, UNTOUCHED};

    cr_expect(not(record_sections_read((struct slice){bytes, 7}, 4, SIZES, 3, found)));
    cr_expect(not(record_sections_read((struct slice){bytes, 9}, 4, SIZES, 3, found)));
    cr_expect(not(record_sections_read((struct slice){bytes, 3}, 4, SIZES, 3, found)));
    /* In 32 bits these would be 4. */
    cr_expect(not(record_sections_read((struct slice){bytes, 8}, 4, huge, 3, found)));
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(slice_equal(found[i], UNTOUCHED));
}

Test(record_layout, knows_sections_that_are_too_small_or_too_large)
{
    static const struct record_section_bounds as_they_are[] = {{3, 3}, {0, 0}, {0, 1}};
    static const struct record_section_bounds wants_more[] = {{3, 3}, {1, 8}, {0, 1}};
    static const struct record_section_bounds wants_less[] = {{0, 2}, {0, 0}, {0, 1}};

    cr_expect(record_sections_fit(PARTS, as_they_are, 3));
    cr_expect(not(record_sections_fit(PARTS, wants_more, 3)));
    cr_expect(not(record_sections_fit(PARTS, wants_less, 3)));
}

Test(record_layout, tells_bytes_that_are_all_0_from_others)
{
    static const char last_is_set[] = {0, 0, 0, 1};

    cr_expect(record_is_zero(last_is_set, 3));
    cr_expect(not(record_is_zero(last_is_set, 4)));
    cr_expect(record_is_zero(NULL, 0));
}

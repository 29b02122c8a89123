#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>

#include "contracts/cursor.h"
#include "tests/support/guarded_text.h"

static const struct cursor PLACE = {{1763719200123, 0xffffffffffffffff, 0, 42}};

static struct cursor_seal seal;
static struct guarded_text guarded;
static char text[CURSOR_TEXT_SIZE];
static struct cursor found;

static void setup(void)
{
    guarded_text_init(&guarded);
    seal = (struct cursor_seal){.key = "a server's key!", .filter = 17};
    cursor_write(&seal, &PLACE, text);
}

static bool read_text(size_t size)
{
    return cursor_read(&seal, guarded_text_put(&guarded, (struct slice){text, size}), &found);
}

TestSuite(cursor, .init = setup, .timeout = 20);

Test(cursor, gives_back_the_place_that_was_written)
{
    cr_assert(read_text(sizeof(text)));
    cr_expect(eq(int, memcmp(&found, &PLACE, sizeof(PLACE)), 0));
}

Test(cursor, needs_no_escape_in_a_url)
{
    for (size_t i = 0; i < sizeof(text); i++) {
        bool is_plain = isalnum((unsigned char)text[i]) || text[i] == '-' || text[i] == '_';

        cr_expect(is_plain, "%c", text[i]);
    }
}

Test(cursor, is_refused_when_any_bit_of_it_was_changed)
{
    for (size_t i = 0; i < sizeof(text); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            cr_expect(not(read_text(sizeof(text))), "character %zu, bit %u", i, bit);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
    }
    cr_expect(read_text(sizeof(text)));
}

Test(cursor, is_refused_when_it_is_shorter_or_longer)
{
    char longer[CURSOR_TEXT_SIZE + 1];

    for (size_t size = 0; size < sizeof(text); size++)
        cr_expect(not(read_text(size)));
    memcpy(longer, text, sizeof(text));
    longer[sizeof(text)] = 'A';
    cr_expect(not(cursor_read(&seal, (struct slice){longer, sizeof(longer)}, &found)));
}

Test(cursor, is_good_only_for_the_list_that_it_came_from)
{
    seal.filter++;
    cr_expect(not(read_text(sizeof(text))));
}

Test(cursor, is_good_only_for_the_server_that_made_it)
{
    seal.key[0] ^= 1;
    cr_expect(not(read_text(sizeof(text))));
}

Test(cursor, tells_filters_apart_by_where_one_thing_ends)
{
    uint64_t first = cursor_filter_add(&seal, 0, SLICE_LITERAL("ab"));
    uint64_t second = cursor_filter_add(&seal, 0, SLICE_LITERAL("a"));

    first = cursor_filter_add(&seal, first, SLICE_LITERAL("c"));
    second = cursor_filter_add(&seal, second, SLICE_LITERAL("bc"));
    cr_expect(ne(u64, first, second));
    cr_expect(ne(u64, cursor_filter_add(&seal, 1, SLICE_LITERAL("")),
                 cursor_filter_add(&seal, 2, SLICE_LITERAL(""))));
}

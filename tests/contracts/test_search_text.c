#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/search_text.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct search_term terms[SEARCH_TERM_COUNT_MAX];

static void setup(void)
{
    guarded_text_init(&guarded);
}

static uint32_t read_text(const char *text)
{
    return search_text_read(guarded_text_put(&guarded, slice_of(text)), terms);
}

/* The terms with | between them; * behind those that stand for any ending. */
static const char *joined(const char *text)
{
    static char all[4096];
    uint32_t count = read_text(text);
    size_t size = 0;

    all[0] = '\0';
    for (uint32_t i = 0; i < count && i < SEARCH_TERM_COUNT_MAX; i++)
        size += (size_t)snprintf(all + size, sizeof(all) - size, "%s%.*s%s", i > 0 ? "|" : "",
                                 (int)terms[i].text.size, terms[i].text.data,
                                 terms[i].is_prefix ? "*" : "");
    return all;
}

TestSuite(search_text, .init = setup, .timeout = 20);

Test(search_text, takes_words_apart_at_spaces)
{
    cr_expect(eq(str, (char *)joined("timeout"), "timeout"));
    cr_expect(eq(str, (char *)joined("  payment\ttimed \n out "), "payment|timed|out"));
    cr_expect(eq(u32, read_text(""), 0));
    cr_expect(eq(u32, read_text(" \t\n"), 0));
}

Test(search_text, keeps_a_phrase_together)
{
    cr_expect(eq(str, (char *)joined("\"timed out\" payment"), "timed out|payment"));
    cr_expect(eq(str, (char *)joined("payment\"timed out\"now"), "payment|timed out|now"));
    cr_expect(eq(str, (char *)joined("\"timed out"), "timed out"));
    cr_expect(eq(u32, read_text("\"\""), 0));
    cr_expect(eq(u32, read_text("\""), 0));
}

Test(search_text, knows_a_star_at_the_end_only)
{
    cr_expect(eq(str, (char *)joined("time*"), "time*"));
    cr_expect(eq(str, (char *)joined("time**"), "time*"));
    cr_expect(eq(str, (char *)joined("\"timed o\"*"), "timed o*"));
    cr_expect(eq(str, (char *)joined("\"timed o*\""), "timed o*"));
    cr_expect(not(terms[0].is_prefix));
    cr_expect(eq(str, (char *)joined("ti*me"), "ti*me"));
    cr_expect(not(terms[0].is_prefix));
    cr_expect(eq(u32, read_text("*"), 0));
}

Test(search_text, gives_operators_no_meaning)
{
    cr_expect(eq(str, (char *)joined("a OR b NOT c NEAR(d e) message:f ^g -h +i"),
                 "a|OR|b|NOT|c|NEAR(d|e)|message:f|^g|-h|+i"));
    cr_expect(eq(str, (char *)joined("'; DROP TABLE events; --"), "DROP|TABLE|events;"));
}

Test(search_text, leaves_out_what_has_no_letter_and_no_digit)
{
    cr_expect(
        eq(str, (char *)joined("!!! - payment \xe2\x80\x94 \xf0\x9f\x98\x80 7"), "payment|7"));
    cr_expect(eq(u32, read_text("() {} [] \"...\""), 0));
}

Test(search_text, takes_letters_of_any_script)
{
    cr_expect(eq(str, (char *)joined("\xc3\xa9t\xc3\xa9 \xe6\x94\xaf\xe6\x89\x95 \xd0\xb0"),
                 "\xc3\xa9t\xc3\xa9|\xe6\x94\xaf\xe6\x89\x95|\xd0\xb0"));
}

Test(search_text, counts_more_terms_than_it_gives)
{
    char text[SEARCH_TEXT_SIZE_MAX + 1] = "";

    for (uint32_t i = 0; i < SEARCH_TERM_COUNT_MAX + 5; i++)
        memcpy(text + 2 * (size_t)i, "w ", 3);
    cr_expect(eq(u32, read_text(text), SEARCH_TERM_COUNT_MAX + 5));
}

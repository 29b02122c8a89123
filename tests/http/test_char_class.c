/* Rebuilds the table from the grammar's own words. */
#include <ctype.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/char_class.h"

static bool is_one_of(int c, const char *set)
{
    return c != 0 && c < 128 && strchr(set, c) != NULL;
}

static bool is_alphanumeric(int c)
{
    return c < 128 && isalnum(c);
}

Test(char_class, table_says_what_the_grammar_says)
{
    for (int c = 0; c < 256; c++) {
        bool is_unreserved = is_alphanumeric(c) || is_one_of(c, "-._~");
        bool is_path = is_unreserved || is_one_of(c, "!$&'()*+,;=:@/%");

        cr_expect(eq(int, char_is((char)c, CHAR_TOKEN),
                     is_alphanumeric(c) || is_one_of(c, "!#$%&'*+-.^_`|~")),
                  "%d", c);
        cr_expect(eq(int, char_is((char)c, CHAR_UNRESERVED), is_unreserved), "%d", c);
        cr_expect(eq(int, char_is((char)c, CHAR_PATH), is_path), "%d", c);
        cr_expect(eq(int, char_is((char)c, CHAR_TARGET), is_path || is_one_of(c, "?[]{}|\\^`")),
                  "%d", c);
        cr_expect(eq(int, char_is((char)c, CHAR_FIELD_VALUE), c == '\t' || (c >= 32 && c != 127)),
                  "%d", c);
        cr_expect(eq(int, char_hex_value((char)c),
                     c < 128 && isxdigit(c) ? (isdigit(c) ? c - '0' : (c | 32) - 'a' + 10) : -1),
                  "%d", c);
    }
}

#include "runtime/text_writer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>

static char memory[64];
static struct text_writer writer;

static void setup(void)
{
    text_writer_init(&writer, memory, sizeof(memory));
}

static const char *written(void)
{
    cr_assert(lt(sz, writer.size, sizeof(memory)));
    memory[writer.size] = '\0';
    return memory;
}

TestSuite(text_writer, .init = setup, .timeout = 5);

Test(text_writer, writes_numbers_at_their_limits)
{
    text_writer_u64(&writer, 0);
    text_writer_char(&writer, ' ');
    text_writer_u64(&writer, UINT64_MAX);
    text_writer_char(&writer, ' ');
    text_writer_i64(&writer, INT64_MIN);

    cr_expect(eq(str, (char *)written(), "0 18446744073709551615 -9223372036854775808"));
}

Test(text_writer, writes_hexadecimal_and_padded_numbers)
{
    text_writer_hex(&writer, 0);
    text_writer_hex(&writer, UINT64_MAX);
    text_writer_padded(&writer, 7, 3);
    text_writer_padded(&writer, 999, 3);

    cr_expect(eq(str, (char *)written(), "0x00xffffffffffffffff007999"));
}

Test(text_writer, leaves_out_whole_what_does_not_fit)
{
    struct text_writer narrow;

    text_writer_init(&narrow, memory, 4);
    text_writer_text(&narrow, "abc");
    text_writer_text(&narrow, "de");
    cr_expect(narrow.overflowed);
    cr_expect(eq(sz, narrow.size, 3));
    text_writer_text(&narrow, "f");
    cr_expect(eq(sz, narrow.size, 4));
    cr_expect(eq(int, memcmp(memory, "abcf", 4), 0));
}

Test(text_writer, accepts_an_empty_slice)
{
    text_writer_put(&writer, (struct slice){NULL, 0});

    cr_expect(eq(sz, writer.size, 0));
    cr_expect(not(writer.overflowed));
}

Test(text_writer, aborts_when_a_padded_number_is_too_wide, .signal = SIGABRT)
{
    text_writer_padded(&writer, 100, 2);
}

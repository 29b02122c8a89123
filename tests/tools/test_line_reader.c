#include "tools/line_reader.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <unistd.h>

static struct line_reader reader;

/* A pipe that holds text, its writing end closed. */
static int pipe_of(const char *text)
{
    int fds[2];

    cr_assert(eq(int, pipe(fds), 0));
    cr_assert(eq(int, (int)write(fds[1], text, strlen(text)), (int)strlen(text)));
    close(fds[1]);
    return fds[0];
}

static bool next_is(const char *text)
{
    struct slice line;

    return line_reader_next(&reader, &line) == LINE_OK && slice_equal(line, slice_of(text));
}

static bool next_answers(int result)
{
    struct slice line;

    return line_reader_next(&reader, &line) == result;
}

Test(line_reader, gives_lines_without_their_ends)
{
    cr_assert(eq(int, line_reader_init(&reader, pipe_of("one\ntwo\r\n\nfour"), 16), 0));
    cr_assert(next_is("one"));
    cr_assert(next_is("two"));
    cr_assert(next_is(""));
    cr_assert(eq(u64, reader.line_number, 3));
    cr_assert(next_is("four"));
    cr_assert(next_answers(LINE_END));
    cr_assert(next_answers(LINE_END));
    cr_assert(eq(u64, reader.line_number, 4));
    line_reader_deinit(&reader);
}

Test(line_reader, takes_lines_up_to_the_bound_and_passes_over_longer_ones)
{
    cr_assert(eq(int,
                 line_reader_init(&reader,
                                  pipe_of("12345678\r\n123456789\nx\n"
                                          "a line that is much longer\r\n12345678"),
                                  8),
                 0));
    cr_assert(next_is("12345678"));
    cr_assert(next_answers(LINE_TOO_LONG));
    cr_assert(next_is("x"));
    cr_assert(next_answers(LINE_TOO_LONG));
    cr_assert(eq(u64, reader.line_number, 4));
    cr_assert(next_is("12345678"));
    cr_assert(next_answers(LINE_END));
    line_reader_deinit(&reader);
}

Test(line_reader, reports_a_last_line_that_is_too_long)
{
    cr_assert(eq(int, line_reader_init(&reader, pipe_of("x\n123456789012345"), 4), 0));
    cr_assert(next_is("x"));
    cr_assert(next_answers(LINE_TOO_LONG));
    cr_assert(next_answers(LINE_END));
    line_reader_deinit(&reader);
}

Test(line_reader, waits_for_a_line_that_comes_in_pieces)
{
    int fds[2];

    cr_assert(eq(int, pipe(fds), 0));
    cr_assert(eq(int, line_reader_init(&reader, fds[0], 16), 0));
    cr_assert(eq(int, (int)write(fds[1], "a\nb", 3), 3));
    cr_assert(next_is("a"));
    cr_assert(eq(int, (int)write(fds[1], "c\nd", 3), 3));
    cr_assert(next_is("bc"));
    close(fds[1]);
    cr_assert(next_is("d"));
    cr_assert(next_answers(LINE_END));
    line_reader_deinit(&reader);
}

Test(line_reader, has_no_lines_in_an_empty_file)
{
    cr_assert(eq(int, line_reader_init(&reader, pipe_of(""), 16), 0));
    cr_assert(next_answers(LINE_END));
    cr_assert(eq(u64, reader.line_number, 0));
    line_reader_deinit(&reader);
}

Test(line_reader, forwards_the_error_of_a_descriptor_that_cannot_be_read)
{
    cr_assert(eq(int, line_reader_init(&reader, -1, 16), 0));
    cr_assert(next_answers(-EBADF));
    line_reader_deinit(&reader);
}

Test(line_reader, says_where_each_line_begins)
{
    static const char TEXT[] =
        "one\ntwo\r\n\nthis line is much too long for it\nfour five six\nlast";
    static const uint64_t OFFSETS[] = {0, 4, 9, 10, 44, 58};
    struct slice line;
    int result;

    cr_assert(eq(int, line_reader_init(&reader, pipe_of(TEXT), 14), 0));
    for (size_t i = 0; i < ARRAY_COUNT(OFFSETS); i++) {
        result = line_reader_next(&reader, &line);
        cr_assert(eq(int, result, i == 3 ? LINE_TOO_LONG : LINE_OK));
        if (result == LINE_OK)
            cr_assert(eq(u64, reader.line_offset, OFFSETS[i]));
        if (result == LINE_OK)
            cr_assert(eq(int, strncmp(TEXT + OFFSETS[i], line.data, line.size), 0));
    }
    cr_assert(next_answers(LINE_END));
    line_reader_deinit(&reader);
}

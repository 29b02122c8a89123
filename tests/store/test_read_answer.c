#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/read_answer.h"

static char data[4096];
static struct read_query query;
static struct read_answer answer;

static void begin(uint32_t size)
{
    query = (struct read_query){.type = READ_INCIDENTS, .answer = data, .answer_max = size};
    read_answer_begin(&answer, &query);
    read_answer_begin_rows(&answer, SLICE_LITERAL("rows"));
}

Test(read_answer, cuts_a_page_after_the_last_row_that_fits)
{
    struct read_cursor next = {{1, 2, 3}};

    begin(READ_ANSWER_RESERVE + 24);
    json_writer_string(&answer.writer, SLICE_LITERAL("0123456789"));
    cr_assert(read_answer_keep_row(&answer));
    json_writer_string(&answer.writer, SLICE_LITERAL("0123456789"));
    cr_assert(not(read_answer_keep_row(&answer)));
    cr_assert(eq(u32, answer.row_count, 1));
    read_answer_end_rows(&answer, &next);
    cr_assert(eq(int, read_answer_finish(&answer), READ_OK));
    data[query.answer_size] = '\0';
    cr_assert(ne(ptr, strstr(data, "{\"rows\":[\"0123456789\"],\"next_cursor\":\""), NULL), "%s",
              data);
}

Test(read_answer, says_when_a_single_thing_does_not_fit)
{
    query = (struct read_query){.answer = data, .answer_max = 16};
    read_answer_begin(&answer, &query);
    json_writer_key(&answer.writer, SLICE_LITERAL("thing"));
    json_writer_string(&answer.writer, SLICE_LITERAL("much longer than that"));
    cr_assert(eq(int, read_answer_finish(&answer), READ_TOO_BIG));
}

Test(read_answer, has_no_cursor_on_the_last_page)
{
    begin(sizeof(data));
    read_answer_end_rows(&answer, NULL);
    cr_assert(eq(int, read_answer_finish(&answer), READ_OK));
    data[query.answer_size] = '\0';
    cr_assert(eq(str, data, "{\"rows\":[],\"next_cursor\":null}"));
}

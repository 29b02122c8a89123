#include "store/read_answer.h"

/*
 * A cursor is sealed with what was asked for, and with the type of the query, so none can be
 * used where it does not belong. It names a place and not a row, and gives no right to
 * anything: the scope is the query's, whatever the cursor says.
 */
static_assert((int)CURSOR_TEXT_SIZE <= (int)READ_CURSOR_SIZE_MAX, "its text fits");

static struct cursor_seal seal_of(const struct read_query *query)
{
    struct cursor_seal seal = query->seal;
    uint64_t type = query->type;

    seal.filter =
        cursor_filter_add(&query->seal, seal.filter, (struct slice){(const char *)&type, 8});
    return seal;
}

void read_answer_begin(struct read_answer *answer, struct read_query *query)
{
    size_t capacity = query->answer_max;

    assert(query->answer != NULL);
    answer->query = query;
    answer->row_count = 0;
    json_writer_init(&answer->writer, query->answer,
                     capacity > READ_ANSWER_RESERVE ? capacity - READ_ANSWER_RESERVE : 0);
    json_writer_begin_object(&answer->writer);
    answer->kept = answer->writer;
}

void read_answer_begin_rows(struct read_answer *answer, struct slice name)
{
    json_writer_key(&answer->writer, name);
    json_writer_begin_array(&answer->writer);
    answer->kept = answer->writer;
    answer->row_count = 0;
}

bool read_answer_keep_row(struct read_answer *answer)
{
    if (answer->writer.overflowed) {
        answer->writer = answer->kept;
        return false;
    }
    answer->kept = answer->writer;
    answer->row_count++;
    return true;
}

void read_answer_use_reserve(struct read_answer *answer)
{
    answer->writer.capacity = answer->query->answer_max;
}

void read_answer_cursor(struct read_answer *answer, struct slice name,
                        const struct read_cursor *next)
{
    struct cursor_seal seal = seal_of(answer->query);
    struct cursor cursor = {{0}};
    char text[CURSOR_TEXT_SIZE];

    json_writer_key(&answer->writer, name);
    if (next == NULL) {
        json_writer_null(&answer->writer);
        return;
    }
    memcpy(cursor.words, next->words, sizeof(next->words));
    cursor_write(&seal, &cursor, text);
    json_writer_string(&answer->writer, (struct slice){text, sizeof(text)});
}

void read_answer_end_rows(struct read_answer *answer, const struct read_cursor *next)
{
    read_answer_use_reserve(answer);
    json_writer_end_array(&answer->writer);
    read_answer_cursor(answer, SLICE_LITERAL("next_cursor"), next);
}

enum read_result read_answer_finish(struct read_answer *answer)
{
    struct slice text;

    read_answer_use_reserve(answer);
    json_writer_end_object(&answer->writer);
    if (!json_writer_finish(&answer->writer, &text))
        return READ_TOO_BIG;
    answer->query->answer_size = (uint32_t)text.size;
    return READ_OK;
}

enum read_cursor_result read_cursor_read(const struct read_query *query,
                                         struct read_cursor *ret_cursor)
{
    struct cursor_seal seal = seal_of(query);
    struct cursor cursor;

    if (query->cursor.size == 0)
        return READ_CURSOR_NONE;
    if (!cursor_read(&seal, query->cursor, &cursor))
        return READ_CURSOR_BAD;
    memcpy(ret_cursor->words, cursor.words, sizeof(ret_cursor->words));
    return READ_CURSOR_GIVEN;
}

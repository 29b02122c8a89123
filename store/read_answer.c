#include "store/read_answer.h"

/*
 * A cursor's text is the number of its query's type and its words, hexadecimal, with points
 * between them. It names a place and not a row, and gives no right to anything: the scope
 * is the query's, whatever the cursor says.
 */
enum { CURSOR_NUMBER_COUNT = READ_CURSOR_WORD_COUNT + 1 };

static_assert(CURSOR_NUMBER_COUNT * 17 < READ_CURSOR_SIZE_MAX, "16 digits and a point each");

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
    char text[READ_CURSOR_SIZE_MAX];
    int size;

    json_writer_key(&answer->writer, name);
    if (next == NULL) {
        json_writer_null(&answer->writer);
        return;
    }
    size = snprintf(text, sizeof(text), "%x.%llx.%llx.%llx", (uint32_t)answer->query->type,
                    (unsigned long long)next->words[0], (unsigned long long)next->words[1],
                    (unsigned long long)next->words[2]);
    assert(size > 0 && size < READ_CURSOR_SIZE_MAX);
    json_writer_string(&answer->writer, (struct slice){text, (size_t)size});
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

/* Takes one number off text, and the point behind it. */
static bool take_number(struct slice *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; i < text->size && text->data[i] != '.'; i++) {
        char c = text->data[i];

        if (i == 16)
            return false;
        if (c >= '0' && c <= '9')
            number = number << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    if (i == 0)
        return false;
    *ret_number = number;
    i += i < text->size;
    *text = (struct slice){text->data + i, text->size - i};
    return true;
}

enum read_cursor_result read_cursor_read(const struct read_query *query,
                                         struct read_cursor *ret_cursor)
{
    struct slice text = query->cursor;
    uint64_t numbers[CURSOR_NUMBER_COUNT];

    if (text.size == 0)
        return READ_CURSOR_NONE;
    for (uint32_t i = 0; i < CURSOR_NUMBER_COUNT; i++)
        if (!take_number(&text, &numbers[i]))
            return READ_CURSOR_BAD;
    if (text.size != 0 || numbers[0] != (uint64_t)query->type)
        return READ_CURSOR_BAD;
    memcpy(ret_cursor->words, numbers + 1, sizeof(ret_cursor->words));
    return READ_CURSOR_GIVEN;
}

/*
 * Nearly all heads come in one piece and are parsed where they lie. Else the pieces are
 * put together in answer->head, and parsed again from the beginning each time: there are
 * few, and a head is short.
 */
#include "tools/load/load_answer.h"

#include <errno.h>
#include <sys/types.h>

static void load_answer_check(const struct load_answer *answer)
{
    assert(answer->head != NULL);
    assert(answer->scratch != NULL);
    assert(answer->head_size <= LOAD_ANSWER_HEAD_SIZE_MAX);
    assert(answer->has_head || !answer->is_complete);
}

void load_answer_init(struct load_answer *answer, char *head, struct http_response *scratch)
{
    *answer = (struct load_answer){.head = head, .scratch = scratch};
    load_answer_check(answer);
}

void load_answer_begin(struct load_answer *answer, bool answers_head)
{
    answer->answers_head = answers_head;
    answer->has_head = false;
    answer->is_complete = false;
    answer->head_size = 0;
    load_answer_check(answer);
}

static void note_head(struct load_answer *answer, const struct http_response *response)
{
    answer->has_head = true;
    answer->status = response->status;
    answer->body = response->body;
    answer->body_left = response->content_length;
    answer->keeps_alive = response->keep_alive && response->body != RESPONSE_BODY_UNTIL_CLOSE;
    if (response->body == RESPONSE_BODY_CHUNKED)
        chunked_init(&answer->chunked, UINT64_MAX / 2);
    answer->is_complete = response->body == RESPONSE_BODY_NONE ||
                          (response->body == RESPONSE_BODY_LENGTH && response->content_length == 0);
}

/* Parses a head at data; passes over those of 1xx. How much of data they take, or -EPROTO. */
static ssize_t parse_head(struct load_answer *answer, const char *data, size_t size)
{
    struct http_response *response = answer->scratch;
    size_t used = 0;

    while (used < size) {
        struct response_parser parser;

        response_parser_init(&parser, LOAD_ANSWER_HEAD_SIZE_MAX, answer->answers_head);
        switch (response_parser_feed(&parser, data + used,
                                     min_u64(size - used, LOAD_ANSWER_HEAD_SIZE_MAX), response)) {
        case HTTP_PARSE_DONE:
            used += response->head_size;
            if (response->status >= 200) {
                note_head(answer, response);
                return (ssize_t)used;
            }
            break;
        case HTTP_PARSE_NEED_MORE:
            return (ssize_t)used;
        case HTTP_PARSE_BAD:
            return -EPROTO;
        }
    }
    return (ssize_t)used;
}

/* Passes over the body. How much of data it takes, or -EPROTO. */
static ssize_t skip_body(struct load_answer *answer, const char *data, size_t size)
{
    size_t used = 0;

    switch (answer->body) {
    case RESPONSE_BODY_NONE:
        return 0;
    case RESPONSE_BODY_LENGTH:
        used = min_u64(answer->body_left, size);
        answer->body_left -= used;
        answer->is_complete = answer->body_left == 0;
        return (ssize_t)used;
    case RESPONSE_BODY_UNTIL_CLOSE:
        return (ssize_t)size;
    case RESPONSE_BODY_CHUNKED:
        break;
    }
    while (used < size) {
        struct slice piece;
        size_t consumed;
        enum chunked_result result =
            chunked_feed(&answer->chunked, data + used, size - used, &consumed, &piece);

        used += consumed;
        answer->is_complete = result == CHUNKED_DONE;
        if (result == CHUNKED_BAD || result == CHUNKED_TOO_LARGE)
            return -EPROTO;
        if (result != CHUNKED_DATA)
            break;
    }
    return (ssize_t)used;
}

/* Head, then body, of bytes that lie together. What they do not need, or -EPROTO. */
static ssize_t read_answer(struct load_answer *answer, const char *data, size_t size)
{
    size_t used = 0;
    ssize_t n;

    if (!answer->has_head) {
        n = parse_head(answer, data, size);
        if (n < 0 || !answer->has_head)
            return n < 0 ? n : (ssize_t)(size - (size_t)n);
        used = (size_t)n;
    }
    if (!answer->is_complete && used < size) {
        n = skip_body(answer, data + used, size - used);
        if (n < 0)
            return n;
        used += (size_t)n;
    }
    return (ssize_t)(size - used);
}

/* Bytes of a head that is not complete are kept, and go before those that come. */
static enum load_answer_result read_kept(struct load_answer *answer, const char *data, size_t size)
{
    while (size > 0 && !answer->has_head) {
        size_t count = min_u64(size, LOAD_ANSWER_HEAD_SIZE_MAX - answer->head_size);
        ssize_t left;

        if (count == 0)
            return LOAD_ANSWER_BAD;
        memcpy(answer->head + answer->head_size, data, count);
        answer->head_size += count;
        data += count;
        size -= count;
        left = read_answer(answer, answer->head, answer->head_size);
        if (left < 0 || (answer->is_complete && left + (ssize_t)size > 0))
            return LOAD_ANSWER_BAD;
        if (answer->has_head)
            break;
        memmove(answer->head, answer->head + answer->head_size - (size_t)left, (size_t)left);
        answer->head_size = (size_t)left;
    }
    if (size > 0)
        return read_answer(answer, data, size) == 0 ? LOAD_ANSWER_MORE : LOAD_ANSWER_BAD;
    return LOAD_ANSWER_MORE;
}

static enum load_answer_result read_more(struct load_answer *answer, const char *data, size_t size)
{
    ssize_t left;

    if (answer->head_size > 0 && !answer->has_head)
        return read_kept(answer, data, size);
    left = read_answer(answer, data, size);
    if (likely(left == 0))
        return LOAD_ANSWER_MORE;
    if (left < 0 || answer->has_head)
        return LOAD_ANSWER_BAD;
    return read_kept(answer, data + size - (size_t)left, (size_t)left);
}

enum load_answer_result load_answer_feed(struct load_answer *answer, const char *data, size_t size)
{
    load_answer_check(answer);
    assert(!answer->is_complete);
    assert(size > 0);
    if (read_more(answer, data, size) == LOAD_ANSWER_BAD)
        return LOAD_ANSWER_BAD;
    return answer->is_complete ? LOAD_ANSWER_DONE : LOAD_ANSWER_MORE;
}

bool load_answer_end(struct load_answer *answer)
{
    load_answer_check(answer);
    if (answer->has_head && answer->body == RESPONSE_BODY_UNTIL_CLOSE)
        answer->is_complete = true;
    return answer->is_complete;
}

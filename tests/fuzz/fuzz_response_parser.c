/* As fuzz_request_parser.c, for responses. */
#include "http/response_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_response whole;
static struct http_response cut_up;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct response_parser parser;
    enum http_parse_result result;
    enum http_parse_result cut_result = HTTP_PARSE_NEED_MORE;
    enum http_parse_error error;
    const char *text;
    bool answers_head;
    size_t step;

    if (size < 1)
        return 0;
    step = (size_t)data[0] % 16 + 1;
    answers_head = data[0] >= 128;
    text = (const char *)data + 1;
    size--;
    response_parser_init(&parser, 512, answers_head);
    result = response_parser_feed(&parser, text, size, &whole);
    error = response_parser_error(&parser);

    response_parser_init(&parser, 512, answers_head);
    for (size_t at = 0; cut_result == HTTP_PARSE_NEED_MORE; at += step) {
        cut_result = response_parser_feed(&parser, text, min_u64(at, size), &cut_up);
        if (at >= size)
            break;
    }
    assert((result == HTTP_PARSE_BAD) == (error != HTTP_ERROR_NONE));
    if (result == HTTP_PARSE_BAD && cut_result == HTTP_PARSE_NEED_MORE)
        return 0; /* an incomplete head in pieces is refused a little later */
    assert(cut_result == result);
    assert(response_parser_error(&parser) == error);
    if (result != HTTP_PARSE_DONE)
        return 0;
    assert(whole.head_size <= size);
    assert(whole.head_size == cut_up.head_size);
    assert(whole.body == cut_up.body);
    assert(whole.content_length == cut_up.content_length);
    assert(whole.status >= 100 && whole.status <= 599);
    assert(!answers_head || whole.body == RESPONSE_BODY_NONE);
    assert(whole.body != RESPONSE_BODY_UNTIL_CLOSE || !whole.keep_alive);
    return 0;
}

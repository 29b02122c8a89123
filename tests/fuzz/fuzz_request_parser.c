/*
 * The verdict on a head must not depend on how it was cut, only when it comes may;
 * what is accepted must lie inside the input. The first byte chooses the cut.
 */
#include "http/request_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_request whole;
static struct http_request cut_up;

static void check_inside(struct slice slice, const char *text, size_t size)
{
    if (slice.size == 0 || (slice.size == 1 && slice.data[0] == '/'))
        return;
    assert(slice.data >= text);
    assert(slice.data + slice.size <= text + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request_parser parser;
    enum http_parse_result result;
    enum http_parse_result cut_result = HTTP_PARSE_NEED_MORE;
    enum http_parse_error error;
    const char *text;
    size_t step;

    if (size < 1)
        return 0;
    step = (size_t)data[0] % 16 + 1;
    text = (const char *)data + 1;
    size--;
    request_parser_init(&parser, 512);
    result = request_parser_feed(&parser, text, size, &whole);
    error = request_parser_error(&parser);

    request_parser_init(&parser, 512);
    for (size_t at = 0; cut_result == HTTP_PARSE_NEED_MORE; at += step) {
        cut_result = request_parser_feed(&parser, text, min_u64(at, size), &cut_up);
        if (at >= size)
            break;
    }
    assert((result == HTTP_PARSE_BAD) == (error != HTTP_ERROR_NONE));
    if (result == HTTP_PARSE_BAD && cut_result == HTTP_PARSE_NEED_MORE)
        return 0; /* an incomplete head in pieces is refused a little later */
    assert(cut_result == result);
    assert(request_parser_error(&parser) == error);
    if (result != HTTP_PARSE_DONE)
        return 0;
    assert(whole.head_size <= size);
    assert(whole.head_size == cut_up.head_size);
    assert(whole.headers.count == cut_up.headers.count);
    assert(!whole.is_chunked || !whole.has_content_length);
    check_inside(whole.target, text, whole.head_size);
    check_inside(whole.path, text, whole.head_size);
    check_inside(whole.query, text, whole.head_size);
    check_inside(whole.host, text, whole.head_size);
    for (uint32_t i = 0; i < whole.headers.count; i++) {
        assert(header_name_is_valid(whole.headers.items[i].name));
        assert(header_value_is_valid(whole.headers.items[i].value));
        check_inside(whole.headers.items[i].value, text, whole.head_size);
    }
    return 0;
}

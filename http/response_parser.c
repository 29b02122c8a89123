/*
 * The mirror image of request_parser.c: status line, field lines, then what the
 * fields mean for the body.
 *
 * A response that is framed in two ways is refused like such a request: whoever
 * sits between us and the server might see other boundaries than we do, and the
 * next answer on the connection would be somebody else's. The length of the body
 * follows RFC 9112 6.3: the request's method and the status come before fields.
 */
#include "http/response_parser.h"

#include "http/char_class.h"

/* What the fields say before they are weighed against each other. */
struct field_notes {
    struct slice transfer_encoding;
    bool has_length;
    bool wants_close;
    bool wants_keep_alive;
};

static enum http_parse_result refuse(enum http_parse_error *ret_error, enum http_parse_error error)
{
    assert(error > HTTP_ERROR_NONE);
    assert(error < HTTP_ERROR_COUNT);
    *ret_error = error;
    return HTTP_PARSE_BAD;
}

/* True when c may stand at that place of "HTTP/1.1 200"; d is any digit. */
static bool start_char_fits(size_t index, char c)
{
    static const char PATTERN[] = "HTTP/d.d ddd";

    assert(index < sizeof(PATTERN) - 1);
    return PATTERN[index] == 'd' ? char_is_digit(c) : PATTERN[index] == c;
}

/* Moves *at behind the version and the three digits of the status. */
static enum http_parse_result parse_status(const char **at, const char *end,
                                           struct http_response *response,
                                           enum http_parse_error *ret_error)
{
    static const size_t STATUS_END = 12;
    const char *start = *at;

    for (size_t i = 0; i < STATUS_END; i++) {
        if (start + i == end)
            return HTTP_PARSE_NEED_MORE;
        if (!start_char_fits(i, start[i]))
            return refuse(ret_error, HTTP_ERROR_BAD_STATUS_LINE);
        if (i == 7 && (start[5] != '1' || start[7] > '1'))
            return refuse(ret_error, HTTP_ERROR_UNSUPPORTED_VERSION);
    }
    response->version = start[7] == '1' ? HTTP_VERSION_1_1 : HTTP_VERSION_1_0;
    response->status =
        (unsigned)((start[9] - '0') * 100 + (start[10] - '0') * 10 + (start[11] - '0'));
    if (response->status < 100 || response->status > 599)
        return refuse(ret_error, HTTP_ERROR_BAD_STATUS_LINE);
    *at = start + STATUS_END;
    return HTTP_PARSE_DONE;
}

/* Moves *at behind the status line; the space before an empty reason may lack. */
static enum http_parse_result parse_reason(const char **at, const char *end,
                                           struct http_response *response,
                                           enum http_parse_error *ret_error)
{
    const char *start = *at;
    const char *stop = char_skip(start, end, CHAR_FIELD_VALUE);

    if (stop > start && *start != ' ')
        return refuse(ret_error, HTTP_ERROR_BAD_STATUS_LINE);
    if (stop == end)
        return HTTP_PARSE_NEED_MORE;
    if (*stop != '\r')
        return refuse(ret_error, *stop == '\n' ? HTTP_ERROR_BARE_LF : HTTP_ERROR_BAD_STATUS_LINE);
    if (end - stop < 2)
        return HTTP_PARSE_NEED_MORE;
    if (stop[1] != '\n')
        return refuse(ret_error, HTTP_ERROR_BARE_CR);
    response->reason = header_text_trim((struct slice){start, (size_t)(stop - start)});
    *at = stop + 2;
    return HTTP_PARSE_DONE;
}

static enum http_parse_result parse_status_line(const char **at, const char *end,
                                                struct http_response *response,
                                                enum http_parse_error *ret_error)
{
    static const ptrdiff_t WINDOW_SIZE = RESPONSE_LINE_SIZE_MAX + 2;
    bool is_cut = end - *at >= WINDOW_SIZE;
    enum http_parse_result result;

    if (is_cut)
        end = *at + WINDOW_SIZE;
    result = parse_status(at, end, response, ret_error);
    if (result == HTTP_PARSE_DONE)
        result = parse_reason(at, end, response, ret_error);
    if (result == HTTP_PARSE_NEED_MORE && is_cut)
        return refuse(ret_error, HTTP_ERROR_BAD_STATUS_LINE);
    return result;
}

static void note_connection(struct field_notes *notes, struct slice value)
{
    struct header_tokens tokens;
    struct slice token;

    header_tokens_init(&tokens, value);
    while (header_tokens_next(&tokens, &token)) {
        if (header_text_equal(token, SLICE_LITERAL("close")))
            notes->wants_close = true;
        else if (header_text_equal(token, SLICE_LITERAL("keep-alive")))
            notes->wants_keep_alive = true;
    }
}

static enum http_parse_error take_field(struct http_response *response, struct field_notes *notes,
                                        const struct header *header)
{
    struct slice name = header->name;

    if (header_text_equal(name, SLICE_LITERAL("content-length"))) {
        if (notes->has_length)
            return HTTP_ERROR_DUPLICATE_CONTENT_LENGTH;
        if (!header_parse_length(header->value, &response->content_length))
            return HTTP_ERROR_BAD_CONTENT_LENGTH;
        notes->has_length = true;
    } else if (header_text_equal(name, SLICE_LITERAL("transfer-encoding"))) {
        if (notes->transfer_encoding.data != NULL)
            return HTTP_ERROR_DUPLICATE_TRANSFER_ENCODING;
        notes->transfer_encoding = header->value;
    } else if (header_text_equal(name, SLICE_LITERAL("connection"))) {
        note_connection(notes, header->value);
    } else if (header_text_equal(name, SLICE_LITERAL("content-type"))) {
        response->content_type = header->value;
    } else if (header_text_equal(name, SLICE_LITERAL("retry-after"))) {
        response->retry_after = header->value;
    }
    return HTTP_ERROR_NONE;
}

static enum http_parse_error settle_body(struct http_response *response,
                                         const struct field_notes *notes, bool answers_head)
{
    if (notes->transfer_encoding.data != NULL) {
        if (notes->has_length)
            return HTTP_ERROR_CONFLICTING_FRAMING;
        if (response->version == HTTP_VERSION_1_0)
            return HTTP_ERROR_TRANSFER_ENCODING_IN_1_0;
        if (!header_text_equal(notes->transfer_encoding, SLICE_LITERAL("chunked")))
            return HTTP_ERROR_UNSUPPORTED_TRANSFER_ENCODING;
    }
    if (answers_head || response->status < 200 || response->status == 204 ||
        response->status == 304) {
        response->body = RESPONSE_BODY_NONE;
        response->content_length = 0;
    } else if (notes->transfer_encoding.data != NULL) {
        response->body = RESPONSE_BODY_CHUNKED;
    } else if (notes->has_length) {
        response->body = RESPONSE_BODY_LENGTH;
    } else {
        response->body = RESPONSE_BODY_UNTIL_CLOSE;
    }
    return HTTP_ERROR_NONE;
}

static enum http_parse_error settle_fields(struct http_response *response, bool answers_head)
{
    struct field_notes notes = {0};
    enum http_parse_error error;

    assert(response->headers.count <= HEADER_COUNT_MAX);
    for (uint32_t i = 0; i < response->headers.count; i++) {
        error = take_field(response, &notes, &response->headers.items[i]);
        if (error != HTTP_ERROR_NONE)
            return error;
    }
    error = settle_body(response, &notes, answers_head);
    if (error != HTTP_ERROR_NONE)
        return error;
    response->keep_alive = !notes.wants_close && response->body != RESPONSE_BODY_UNTIL_CLOSE &&
                           (response->version == HTTP_VERSION_1_1 || notes.wants_keep_alive);
    assert(response->body == RESPONSE_BODY_LENGTH || response->content_length == 0);
    return HTTP_ERROR_NONE;
}

/* The full pass. is_cut says that end is the limit and not the end of the bytes. */
static enum http_parse_result parse_head(const char *data, const char *end, bool is_cut,
                                         bool answers_head, struct http_response *response,
                                         enum http_parse_error *ret_error)
{
    const char *at = data;
    enum http_parse_result result;
    enum http_parse_error error;
    size_t fields_size;

    memset(response, 0, offsetof(struct http_response, headers));
    result = parse_status_line(&at, end, response, ret_error);
    if (result == HTTP_PARSE_DONE)
        result = headers_parse(at, (size_t)(end - at), &response->headers, &fields_size, ret_error);
    if (result == HTTP_PARSE_NEED_MORE && is_cut)
        return refuse(ret_error, HTTP_ERROR_HEAD_TOO_LARGE);
    if (result != HTTP_PARSE_DONE)
        return result;
    error = settle_fields(response, answers_head);
    if (error != HTTP_ERROR_NONE)
        return refuse(ret_error, error);
    response->head_size = (size_t)(at - data) + fields_size;
    return HTTP_PARSE_DONE;
}

void response_parser_init(struct response_parser *parser, size_t head_size_max, bool answers_head)
{
    assert(head_size_max >= HEAD_SCAN_SIZE_MIN);
    head_scan_init(&parser->scan, head_size_max, RESPONSE_LINE_SIZE_MAX);
    parser->answers_head = answers_head;
    parser->error = HTTP_ERROR_NONE;
}

enum http_parse_result response_parser_feed(struct response_parser *parser, const char *data,
                                            size_t size, struct http_response *ret_response)
{
    size_t visible_size = min_u64(size, parser->scan.head_size_max);
    enum http_parse_result result;

    assert(parser->error == HTTP_ERROR_NONE);
    assert(ret_response != NULL);
    if (!head_scan_is_due(&parser->scan, data, visible_size))
        return HTTP_PARSE_NEED_MORE;
    result = parse_head(data, data + visible_size, visible_size == parser->scan.head_size_max,
                        parser->answers_head, ret_response, &parser->error);
    if (result == HTTP_PARSE_NEED_MORE)
        head_scan_note_parse(&parser->scan, visible_size);
    return result;
}

enum http_parse_error response_parser_error(const struct response_parser *parser)
{
    assert(parser->error < HTTP_ERROR_COUNT);
    return parser->error;
}

/*
 * A head is parsed in one pass over complete bytes; head_scan.c says when. The
 * order of a pass: request line (within its own window of 8 KiB, so that an
 * endless line is 414 whatever it holds), target, field lines, then what the
 * fields mean: each alone, then together as framing, Host and persistence.
 */
#include "http/request_parser.h"

#include "http/char_class.h"
#include "http/url.h"

/* What the fields say before they are weighed against each other. */
struct field_notes {
    struct slice host;
    struct slice transfer_encoding;
    bool wants_close;
    bool wants_keep_alive;
};

static const struct slice METHOD_NAMES[HTTP_METHOD_COUNT] = {
    [HTTP_METHOD_UNKNOWN] = {"UNKNOWN", 7}, [HTTP_METHOD_GET] = {"GET", 3},
    [HTTP_METHOD_HEAD] = {"HEAD", 4},       [HTTP_METHOD_POST] = {"POST", 4},
    [HTTP_METHOD_PUT] = {"PUT", 3},         [HTTP_METHOD_PATCH] = {"PATCH", 5},
    [HTTP_METHOD_DELETE] = {"DELETE", 6},   [HTTP_METHOD_OPTIONS] = {"OPTIONS", 7},
};

static enum http_parse_result refuse(enum http_parse_error *ret_error, enum http_parse_error error)
{
    assert(error > HTTP_ERROR_NONE);
    assert(error < HTTP_ERROR_COUNT);
    *ret_error = error;
    return HTTP_PARSE_BAD;
}

struct slice http_method_name(enum http_method method)
{
    assert(method < HTTP_METHOD_COUNT);
    return METHOD_NAMES[method];
}

static enum http_method find_method(struct slice name)
{
    for (unsigned i = HTTP_METHOD_GET; i < HTTP_METHOD_COUNT; i++) {
        if (METHOD_NAMES[i].size == name.size &&
            memcmp(METHOD_NAMES[i].data, name.data, name.size) == 0)
            return (enum http_method)i;
    }
    return HTTP_METHOD_UNKNOWN;
}

/* Moves *at behind the method and its space. */
static enum http_parse_result parse_method(const char **at, const char *end,
                                           struct http_request *request,
                                           enum http_parse_error *ret_error)
{
    const char *start = *at;
    const char *limit =
        end - start > REQUEST_METHOD_SIZE_MAX ? start + REQUEST_METHOD_SIZE_MAX + 1 : end;
    const char *stop = char_skip(start, limit, CHAR_TOKEN);

    if (stop - start > REQUEST_METHOD_SIZE_MAX)
        return refuse(ret_error, HTTP_ERROR_METHOD_TOO_LONG);
    if (stop == end)
        return HTTP_PARSE_NEED_MORE;
    if (*stop != ' ' || stop == start) {
        if (*stop == '\n')
            return refuse(ret_error, HTTP_ERROR_BARE_LF);
        return refuse(ret_error,
                      *stop == '\r' ? HTTP_ERROR_BAD_REQUEST_LINE : HTTP_ERROR_BAD_METHOD);
    }
    request->method_name = (struct slice){start, (size_t)(stop - start)};
    request->method = find_method(request->method_name);
    *at = stop + 1;
    return HTTP_PARSE_DONE;
}

/* Moves *at behind the target and its space; the form is looked at later. */
static enum http_parse_result parse_target(const char **at, const char *end,
                                           struct http_request *request,
                                           enum http_parse_error *ret_error)
{
    const char *start = *at;
    const char *stop = char_skip(start, end, CHAR_TARGET);

    if (stop == end)
        return HTTP_PARSE_NEED_MORE;
    if (*stop == '\n')
        return refuse(ret_error, HTTP_ERROR_BARE_LF);
    if (*stop == '\r' || stop == start)
        return refuse(ret_error, HTTP_ERROR_BAD_REQUEST_LINE);
    if (*stop != ' ')
        return refuse(ret_error, HTTP_ERROR_BAD_TARGET);
    request->target = (struct slice){start, (size_t)(stop - start)};
    *at = stop + 1;
    return HTTP_PARSE_DONE;
}

/* True when c may stand at that place of "HTTP/1.1" CRLF; d is any digit. */
static bool version_char_fits(size_t index, char c)
{
    static const char PATTERN[] = "HTTP/d.d\r\n";

    assert(index < sizeof(PATTERN) - 1);
    return PATTERN[index] == 'd' ? char_is_digit(c) : PATTERN[index] == c;
}

/* Moves *at behind the CRLF that ends the request line. */
static enum http_parse_result parse_version(const char **at, const char *end,
                                            struct http_request *request,
                                            enum http_parse_error *ret_error)
{
    static const size_t VERSION_SIZE = 8;
    const char *start = *at;
    size_t size = (size_t)(end - start);

    if (likely(size >= VERSION_SIZE + 2 && memcmp(start, "HTTP/1.1\r\n", VERSION_SIZE + 2) == 0)) {
        request->version = HTTP_VERSION_1_1;
        *at = start + VERSION_SIZE + 2;
        return HTTP_PARSE_DONE;
    }
    for (size_t i = 0; i < VERSION_SIZE + 2; i++) {
        if (i == size)
            return HTTP_PARSE_NEED_MORE;
        if (start[i] == '\n' && i <= VERSION_SIZE)
            return refuse(ret_error, HTTP_ERROR_BARE_LF);
        if (!version_char_fits(i, start[i]))
            return refuse(ret_error,
                          i == VERSION_SIZE + 1 ? HTTP_ERROR_BARE_CR : HTTP_ERROR_BAD_REQUEST_LINE);
        if (i == VERSION_SIZE - 1 && (start[5] != '1' || start[7] > '1'))
            return refuse(ret_error, HTTP_ERROR_UNSUPPORTED_VERSION);
    }
    request->version = start[7] == '1' ? HTTP_VERSION_1_1 : HTTP_VERSION_1_0;
    *at = start + VERSION_SIZE + 2;
    return HTTP_PARSE_DONE;
}

/* http://host/path: RFC 9112 3.2.2 wants servers to take it, and its host counts. */
static enum http_parse_error split_absolute_target(struct http_request *request)
{
    struct url url;

    if (url_parse(request->target, &url) != URL_OK)
        return HTTP_ERROR_BAD_TARGET;
    request->host = url.authority;
    request->path = url.path;
    request->query = url.query;
    return HTTP_ERROR_NONE;
}

/* Tells the four forms of a target apart; only authority-form has no use here. */
static enum http_parse_error split_target(struct http_request *request)
{
    const char *start = request->target.data;
    const char *end = start + request->target.size;
    const char *path_end;

    assert(request->target.size > 0);
    if (*start != '/') {
        if (request->target.size > 1 || *start != '*')
            return split_absolute_target(request);
        if (request->method != HTTP_METHOD_OPTIONS)
            return HTTP_ERROR_BAD_TARGET;
        request->path = request->target;
        return HTTP_ERROR_NONE;
    }
    path_end = char_skip(start, end, CHAR_PATH);
    if (path_end < end && *path_end != '?')
        return HTTP_ERROR_BAD_TARGET;
    request->path = (struct slice){start, (size_t)(path_end - start)};
    if (!url_percents_are_valid(request->path))
        return HTTP_ERROR_BAD_PERCENT_ENCODING;
    if (path_end < end)
        request->query = (struct slice){path_end + 1, (size_t)(end - path_end - 1)};
    return HTTP_ERROR_NONE;
}

/* Moves *at to the first field line. */
static enum http_parse_result parse_request_line(const char **at, const char *end,
                                                 struct http_request *request,
                                                 enum http_parse_error *ret_error)
{
    static const ptrdiff_t WINDOW_SIZE = REQUEST_LINE_SIZE_MAX + 2;
    bool is_cut = end - *at >= WINDOW_SIZE;
    enum http_parse_error error;
    enum http_parse_result result;

    if (is_cut)
        end = *at + WINDOW_SIZE;
    result = parse_method(at, end, request, ret_error);
    if (result == HTTP_PARSE_DONE)
        result = parse_target(at, end, request, ret_error);
    if (result == HTTP_PARSE_DONE)
        result = parse_version(at, end, request, ret_error);
    if (result == HTTP_PARSE_NEED_MORE && is_cut)
        return refuse(ret_error, HTTP_ERROR_REQUEST_LINE_TOO_LONG);
    if (result != HTTP_PARSE_DONE)
        return result;
    error = split_target(request);
    return error == HTTP_ERROR_NONE ? HTTP_PARSE_DONE : refuse(ret_error, error);
}

/* RFC 9112 2.2: at least one empty line before a request line is to be ignored. */
static enum http_parse_result skip_empty_line(const char **at, const char *end,
                                              enum http_parse_error *ret_error)
{
    if (*at < end && **at != '\r')
        return HTTP_PARSE_DONE;
    if (end - *at < 2)
        return HTTP_PARSE_NEED_MORE;
    if ((*at)[1] != '\n')
        return refuse(ret_error, HTTP_ERROR_BARE_CR);
    *at += 2;
    return HTTP_PARSE_DONE;
}

/*
 * Exact for a name made of letters, digits and '-' only: no other token
 * character becomes one of those when bit 5 is set. Word by word, the last word
 * overlapping; inlined with a constant size it is a handful of instructions.
 */
static inline bool name_is(const char *name, const char *lower, size_t size)
{
    static const uint64_t CASE_BITS = 0x2020202020202020;
    uint64_t difference = 0;
    uint64_t a;
    uint64_t b;

    if (size < sizeof(a)) {
        for (size_t i = 0; i < size; i++)
            difference |= (uint64_t)((name[i] | 0x20) ^ lower[i]);
        return difference == 0;
    }
    for (size_t i = 0; i + sizeof(a) <= size; i += sizeof(a)) {
        memcpy(&a, name + i, sizeof(a));
        memcpy(&b, lower + i, sizeof(b));
        difference |= (a | CASE_BITS) ^ b;
    }
    memcpy(&a, name + size - sizeof(a), sizeof(a));
    memcpy(&b, lower + size - sizeof(b), sizeof(b));
    return (difference | ((a | CASE_BITS) ^ b)) == 0;
}

#define NAME_IS(header, lower) name_is((header)->name.data, (lower), sizeof(lower) - 1)

/* Keeps the value of a field that may come once. */
static enum http_parse_error take_once(struct slice *field, struct slice value,
                                       enum http_parse_error if_again)
{
    assert(value.data != NULL);
    if (field->data != NULL)
        return if_again;
    *field = value;
    return HTTP_ERROR_NONE;
}

static enum http_parse_error take_content_length(struct http_request *request, struct slice value)
{
    if (request->has_content_length)
        return HTTP_ERROR_DUPLICATE_CONTENT_LENGTH;
    if (!header_parse_length(value, &request->content_length))
        return HTTP_ERROR_BAD_CONTENT_LENGTH;
    request->has_content_length = true;
    return HTTP_ERROR_NONE;
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

/* An HTTP/1.0 client cannot mean it (RFC 9110 10.1.1). */
static enum http_parse_error take_expect(struct http_request *request, struct slice value)
{
    if (request->version == HTTP_VERSION_1_0)
        return HTTP_ERROR_NONE;
    if (!header_text_equal(value, SLICE_LITERAL("100-continue")))
        return HTTP_ERROR_UNKNOWN_EXPECTATION;
    request->expects_continue = true;
    return HTTP_ERROR_NONE;
}

/* One switch on the size leaves at most two names to compare with. */
static enum http_parse_error take_field(struct http_request *request, struct field_notes *notes,
                                        const struct header *header)
{
    static const enum http_parse_error AGAIN = HTTP_ERROR_DUPLICATE_HEADER;
    struct slice value = header->value;

    switch (header->name.size) {
    case 4:
        if (NAME_IS(header, "host"))
            return take_once(&notes->host, value, HTTP_ERROR_DUPLICATE_HOST);
        break;
    case 6:
        if (NAME_IS(header, "expect"))
            return take_expect(request, value);
        break;
    case 9:
        if (NAME_IS(header, "x-api-key"))
            return take_once(&request->api_key, value, AGAIN);
        break;
    case 10:
        if (NAME_IS(header, "connection"))
            note_connection(notes, value);
        break;
    case 11:
        if (NAME_IS(header, "traceparent"))
            return take_once(&request->traceparent, value, AGAIN);
        break;
    case 12:
        if (NAME_IS(header, "content-type"))
            return take_once(&request->content_type, value, AGAIN);
        break;
    case 13:
        if (NAME_IS(header, "authorization"))
            return take_once(&request->authorization, value, AGAIN);
        break;
    case 14:
        if (NAME_IS(header, "content-length"))
            return take_content_length(request, value);
        break;
    case 15:
        if (NAME_IS(header, "idempotency-key"))
            return take_once(&request->idempotency_key, value, AGAIN);
        break;
    case 16:
        if (NAME_IS(header, "content-encoding"))
            return take_once(&request->content_encoding, value, AGAIN);
        if (NAME_IS(header, "x-correlation-id"))
            return take_once(&request->correlation_id, value, AGAIN);
        break;
    case 17:
        if (NAME_IS(header, "transfer-encoding"))
            return take_once(&notes->transfer_encoding, value,
                             HTTP_ERROR_DUPLICATE_TRANSFER_ENCODING);
        break;
    default:
        break;
    }
    return HTTP_ERROR_NONE;
}

static enum http_parse_error settle_framing(struct http_request *request,
                                            const struct field_notes *notes)
{
    if (notes->transfer_encoding.data == NULL)
        return HTTP_ERROR_NONE;
    if (request->has_content_length)
        return HTTP_ERROR_CONFLICTING_FRAMING;
    if (request->version == HTTP_VERSION_1_0)
        return HTTP_ERROR_TRANSFER_ENCODING_IN_1_0;
    if (!header_text_equal(notes->transfer_encoding, SLICE_LITERAL("chunked")))
        return HTTP_ERROR_UNSUPPORTED_TRANSFER_ENCODING;
    request->is_chunked = true;
    return HTTP_ERROR_NONE;
}

/* The Host of an absolute target wins, but the field must be in order all the same. */
static enum http_parse_error settle_host(struct http_request *request,
                                         const struct field_notes *notes)
{
    struct slice host;
    uint16_t port;
    bool is_ipv6;

    if (notes->host.data == NULL)
        return request->version == HTTP_VERSION_1_0 ? HTTP_ERROR_NONE : HTTP_ERROR_MISSING_HOST;
    if (url_parse_authority(notes->host, 80, &host, &port, &is_ipv6) != URL_OK)
        return HTTP_ERROR_BAD_HOST;
    if (request->host.data == NULL)
        request->host = notes->host;
    return HTTP_ERROR_NONE;
}

/* Gives the fields their meaning, first each alone, then together. */
static enum http_parse_error settle_fields(struct http_request *request)
{
    struct field_notes notes = {0};
    enum http_parse_error error;

    assert(request->headers.count <= HEADER_COUNT_MAX);
    for (uint32_t i = 0; i < request->headers.count; i++) {
        error = take_field(request, &notes, &request->headers.items[i]);
        if (error != HTTP_ERROR_NONE)
            return error;
    }
    error = settle_framing(request, &notes);
    if (error != HTTP_ERROR_NONE)
        return error;
    error = settle_host(request, &notes);
    if (error != HTTP_ERROR_NONE)
        return error;
    request->keep_alive =
        !notes.wants_close && (request->version == HTTP_VERSION_1_1 || notes.wants_keep_alive);
    assert(!request->is_chunked || !request->has_content_length);
    return HTTP_ERROR_NONE;
}

/* The full pass. is_cut says that data goes on beyond end but the limit does not. */
static enum http_parse_result parse_head(const char *data, const char *end, bool is_cut,
                                         struct http_request *request,
                                         enum http_parse_error *ret_error)
{
    const char *at = data;
    enum http_parse_result result;
    enum http_parse_error error;
    size_t fields_size;

    memset(request, 0, offsetof(struct http_request, headers));
    result = skip_empty_line(&at, end, ret_error);
    if (result == HTTP_PARSE_DONE)
        result = parse_request_line(&at, end, request, ret_error);
    if (result == HTTP_PARSE_NEED_MORE && is_cut)
        return refuse(ret_error, HTTP_ERROR_REQUEST_LINE_TOO_LONG);
    if (result != HTTP_PARSE_DONE)
        return result;
    result = headers_parse(at, (size_t)(end - at), &request->headers, &fields_size, ret_error);
    if (result == HTTP_PARSE_NEED_MORE && is_cut)
        return refuse(ret_error, HTTP_ERROR_HEAD_TOO_LARGE);
    if (result != HTTP_PARSE_DONE)
        return result;
    error = settle_fields(request);
    if (error != HTTP_ERROR_NONE)
        return refuse(ret_error, error);
    request->head_size = (size_t)(at - data) + fields_size;
    return HTTP_PARSE_DONE;
}

void request_parser_init(struct request_parser *parser, size_t head_size_max)
{
    assert(head_size_max >= REQUEST_HEAD_SIZE_MIN);
    head_scan_init(&parser->scan, head_size_max, REQUEST_LINE_SIZE_MAX);
    parser->error = HTTP_ERROR_NONE;
}

enum http_parse_result request_parser_feed(struct request_parser *parser, const char *data,
                                           size_t size, struct http_request *ret_request)
{
    size_t visible_size = min_u64(size, parser->scan.head_size_max);
    enum http_parse_result result;

    assert(parser->error == HTTP_ERROR_NONE);
    assert(ret_request != NULL);
    if (!head_scan_is_due(&parser->scan, data, visible_size))
        return HTTP_PARSE_NEED_MORE;
    result = parse_head(data, data + visible_size, visible_size == parser->scan.head_size_max,
                        ret_request, &parser->error);
    if (result == HTTP_PARSE_NEED_MORE)
        head_scan_note_parse(&parser->scan, visible_size);
    return result;
}

enum http_parse_error request_parser_error(const struct request_parser *parser)
{
    assert(parser->error < HTTP_ERROR_COUNT);
    return parser->error;
}

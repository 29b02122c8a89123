/*
 * A field line is a token, a colon, a value and CRLF. Two scans do the work:
 * to the first byte that is no token character, and to the first that is no
 * value character. Both look at 16 bytes at a time while 16 are left, and never
 * read past the end; the rest goes byte by byte through CHAR_CLASSES.
 *
 * The token scan classifies by nibbles: TOKEN_BY_LOW_NIBBLE[c & 15] has bit h
 * set when the byte (h << 4 | c & 15) is a token character, HIGH_NIBBLE_BIT[h]
 * is 1 << h, and their AND is zero for exactly the bytes that end a token. A
 * byte of 0x80 and up makes the shuffle return zero, so it ends a token too.
 *
 * The reason for a refusal depends only on the bytes up to the offending one,
 * never on how the input was cut: the tests hold every split to that.
 */
#include "http/headers.h"

#ifdef __SSE4_2__
#include <immintrin.h>
#endif

#include "http/char_class.h"

#ifdef __SSE4_2__

static inline const char *find_token_end(const char *at, const char *end)
{
    const __m128i token_by_low_nibble = _mm_setr_epi8(
        (char)0xe8, (char)0xfc, (char)0xf8, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc,
        (char)0xfc, (char)0xf8, (char)0xf8, (char)0xf4, 0x54, (char)0xd0, 0x54, (char)0xf4, 0x70);
    const __m128i high_nibble_bit =
        _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i nibble = _mm_set1_epi8(15);

    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble);
        __m128i class = _mm_and_si128(_mm_shuffle_epi8(token_by_low_nibble, bytes),
                                      _mm_shuffle_epi8(high_nibble_bit, high));
        int stops = _mm_movemask_epi8(_mm_cmpeq_epi8(class, _mm_setzero_si128()));

        if (stops != 0)
            return at + __builtin_ctz((unsigned)stops);
    }
    return char_skip(at, end, CHAR_TOKEN);
}

static inline const char *find_value_end(const char *at, const char *end)
{
    const __m128i last_control = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);

    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        __m128i stop = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control),
                                    _mm_cmpeq_epi8(bytes, del));
        int stops = _mm_movemask_epi8(stop);

        if (stops != 0)
            return at + __builtin_ctz((unsigned)stops);
    }
    return char_skip(at, end, CHAR_FIELD_VALUE);
}

#else

static inline const char *find_token_end(const char *at, const char *end)
{
    return char_skip(at, end, CHAR_TOKEN);
}

static inline const char *find_value_end(const char *at, const char *end)
{
    return char_skip(at, end, CHAR_FIELD_VALUE);
}

#endif

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* What is wrong with a line whose token, which may be empty, stops at a non-colon. */
static enum http_parse_error explain_name(const char *name, const char *stop)
{
    if (*stop == '\n')
        return HTTP_ERROR_BARE_LF;
    if (stop == name && *stop == ':')
        return HTTP_ERROR_EMPTY_HEADER_NAME;
    if (is_blank(*stop))
        return stop == name ? HTTP_ERROR_LINE_FOLDING : HTTP_ERROR_SPACE_BEFORE_COLON;
    return HTTP_ERROR_BAD_HEADER_NAME;
}

/* Parses one line and moves *at behind its CRLF; nothing is written otherwise. */
static inline enum http_parse_result parse_line(const char **at, const char *end,
                                                struct header *ret_header,
                                                enum http_parse_error *ret_error)
{
    const char *name = *at;
    const char *colon = find_token_end(name, end);
    const char *value;
    const char *stop;
    const char *value_end;

    if (colon == end)
        return HTTP_PARSE_NEED_MORE;
    if (unlikely(*colon != ':' || colon == name)) {
        *ret_error = explain_name(name, colon);
        return HTTP_PARSE_BAD;
    }
    value = colon + 1;
    while (value < end && is_blank(*value))
        value++;
    stop = find_value_end(value, end);
    if (stop == end)
        return HTTP_PARSE_NEED_MORE;
    if (unlikely(*stop != '\r')) {
        *ret_error = *stop == '\n' ? HTTP_ERROR_BARE_LF : HTTP_ERROR_BAD_HEADER_VALUE;
        return HTTP_PARSE_BAD;
    }
    if (end - stop < 2)
        return HTTP_PARSE_NEED_MORE;
    if (unlikely(stop[1] != '\n')) {
        *ret_error = HTTP_ERROR_BARE_CR;
        return HTTP_PARSE_BAD;
    }
    value_end = stop;
    while (value_end > value && is_blank(value_end[-1]))
        value_end--;
    ret_header->name = (struct slice){name, (size_t)(colon - name)};
    ret_header->value = (struct slice){value, (size_t)(value_end - value)};
    *at = stop + 2;
    return HTTP_PARSE_DONE;
}

enum http_parse_result headers_parse(const char *data, size_t size, struct headers *ret_headers,
                                     size_t *ret_size, enum http_parse_error *ret_error)
{
    const char *at = data;
    const char *end = data + size;
    enum http_parse_result result;
    uint32_t count = 0;

    assert(data != NULL);
    assert(ret_headers != NULL);
    while (at < end && *at != '\r') {
        if (unlikely(count == HEADER_COUNT_MAX)) {
            *ret_error = HTTP_ERROR_TOO_MANY_HEADERS;
            return HTTP_PARSE_BAD;
        }
        result = parse_line(&at, end, &ret_headers->items[count], ret_error);
        if (result != HTTP_PARSE_DONE)
            return result;
        count++;
    }
    if (end - at < 2)
        return HTTP_PARSE_NEED_MORE;
    if (at[1] != '\n') {
        *ret_error = HTTP_ERROR_BARE_CR;
        return HTTP_PARSE_BAD;
    }
    ret_headers->count = count;
    *ret_size = (size_t)(at + 2 - data);
    assert(*ret_size <= size);
    return HTTP_PARSE_DONE;
}

bool header_text_equal(struct slice text, struct slice lower)
{
    if (text.size != lower.size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        assert(char_lower(lower.data[i]) == lower.data[i]);
        if (char_lower(text.data[i]) != lower.data[i])
            return false;
    }
    return true;
}

bool header_name_is_valid(struct slice name)
{
    if (name.size == 0)
        return false;
    assert(name.data != NULL);
    return find_token_end(name.data, name.data + name.size) == name.data + name.size;
}

bool header_value_is_valid(struct slice value)
{
    if (value.size == 0)
        return true;
    assert(value.data != NULL);
    return find_value_end(value.data, value.data + value.size) == value.data + value.size;
}

bool header_parse_length(struct slice value, uint64_t *ret_length)
{
    static const size_t DIGIT_COUNT_MAX = 19; /* of INT64_MAX */
    uint64_t length = 0;

    assert(ret_length != NULL);
    if (value.size == 0 || value.size > DIGIT_COUNT_MAX)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (!char_is_digit(value.data[i]))
            return false;
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    if (length > INT64_MAX)
        return false;
    *ret_length = length;
    return true;
}

struct slice header_text_trim(struct slice text)
{
    while (text.size > 0 && is_blank(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

const struct header *headers_find(const struct headers *headers, struct slice lower_name)
{
    assert(headers->count <= HEADER_COUNT_MAX);
    assert(lower_name.size > 0);
    for (uint32_t i = 0; i < headers->count; i++) {
        if (header_text_equal(headers->items[i].name, lower_name))
            return &headers->items[i];
    }
    return NULL;
}

struct slice headers_value(const struct headers *headers, struct slice lower_name)
{
    const struct header *header = headers_find(headers, lower_name);

    return header != NULL ? header->value : (struct slice){NULL, 0};
}

size_t headers_count_of(const struct headers *headers, struct slice lower_name)
{
    size_t count = 0;

    assert(headers->count <= HEADER_COUNT_MAX);
    for (uint32_t i = 0; i < headers->count; i++)
        count += header_text_equal(headers->items[i].name, lower_name);
    return count;
}

bool headers_have_token(const struct headers *headers, struct slice lower_name,
                        struct slice lower_token)
{
    struct header_tokens tokens;
    struct slice token;

    assert(headers->count <= HEADER_COUNT_MAX);
    assert(lower_token.size > 0);
    for (uint32_t i = 0; i < headers->count; i++) {
        if (!header_text_equal(headers->items[i].name, lower_name))
            continue;
        header_tokens_init(&tokens, headers->items[i].value);
        while (header_tokens_next(&tokens, &token)) {
            if (header_text_equal(token, lower_token))
                return true;
        }
    }
    return false;
}

void header_tokens_init(struct header_tokens *tokens, struct slice value)
{
    tokens->rest = value;
}

bool header_tokens_next(struct header_tokens *tokens, struct slice *ret_token)
{
    while (tokens->rest.size > 0) {
        struct slice element = tokens->rest;
        const char *comma = memchr(element.data, ',', element.size);

        if (comma != NULL) {
            element.size = (size_t)(comma - element.data);
            tokens->rest.data += element.size + 1;
            tokens->rest.size -= element.size + 1;
        } else {
            tokens->rest.data += element.size;
            tokens->rest.size = 0;
        }
        element = header_text_trim(element);
        if (element.size > 0) {
            *ret_token = element;
            return true;
        }
    }
    return false;
}

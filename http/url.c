/*
 * Decoding never grows: %41 is three bytes for one. That is why a buffer of the
 * input's size always suffices and why decoding in place is safe: the write
 * position never overtakes the read position.
 *
 * NUL, as %00 or as it is, is refused everywhere: no name here may hold one, and
 * code further down may hand the result to something that ends at it.
 */
#include "http/url.h"

#include <stdio.h>

#include "http/char_class.h"

enum {
    PORT_DIGIT_COUNT_MAX = 5,
    NUMBER_SIZE_MAX = 16, /* of the text of a number in a query */
};

/* Empty is allowed by the grammar and means the default. */
static bool parse_port(struct slice text, uint16_t default_port, uint16_t *ret_port)
{
    unsigned port = 0;

    assert(default_port > 0);
    if (text.size > PORT_DIGIT_COUNT_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!char_is_digit(text.data[i]))
            return false;
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    if (port > UINT16_MAX || (text.size > 0 && port == 0))
        return false;
    *ret_port = text.size > 0 ? (uint16_t)port : default_port;
    return true;
}

/* Only the alphabet is checked: whoever connects parses the address itself. */
static bool is_ipv6_text(struct slice text)
{
    size_t colon_count = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (c == ':')
            colon_count++;
        else if (c != '.' && char_hex_value(c) < 0)
            return false;
    }
    return colon_count >= 2;
}

enum url_result url_parse_authority(struct slice authority, uint16_t default_port,
                                    struct slice *ret_host, uint16_t *ret_port, bool *ret_is_ipv6)
{
    bool is_ipv6 = authority.size > 0 && authority.data[0] == '[';
    struct slice host = authority;
    struct slice port = {NULL, 0};
    const char *after;
    const char *end;

    if (authority.size == 0)
        return URL_BAD;
    end = authority.data + authority.size;
    if (is_ipv6) {
        after = memchr(authority.data, ']', authority.size);
        if (after == NULL)
            return URL_BAD;
        host = (struct slice){authority.data + 1, (size_t)(after - authority.data - 1)};
        if (!is_ipv6_text(host))
            return URL_BAD;
        after++;
    } else {
        after = char_skip(authority.data, end, CHAR_UNRESERVED);
        host.size = (size_t)(after - authority.data);
    }
    if (host.size == 0 || (after < end && *after != ':'))
        return URL_BAD;
    if (after < end)
        port = (struct slice){after + 1, (size_t)(end - after - 1)};
    if (!parse_port(port, default_port, ret_port))
        return URL_BAD;
    *ret_host = host;
    *ret_is_ipv6 = is_ipv6;
    return URL_OK;
}

static bool skip_scheme(struct slice *text, enum url_scheme *ret_scheme)
{
    static const struct slice PREFIXES[] = {
        [URL_SCHEME_HTTP] = {"http://", 7},
        [URL_SCHEME_HTTPS] = {"https://", 8},
    };

    for (unsigned i = 0; i < ARRAY_COUNT(PREFIXES); i++) {
        size_t matched = 0;

        while (matched < PREFIXES[i].size && matched < text->size &&
               char_lower(text->data[matched]) == PREFIXES[i].data[matched])
            matched++;
        if (matched == PREFIXES[i].size) {
            text->data += matched;
            text->size -= matched;
            *ret_scheme = (enum url_scheme)i;
            return true;
        }
    }
    return false;
}

enum url_result url_parse(struct slice text, struct url *ret_url)
{
    struct url url = {0};
    const char *end;
    const char *path;
    const char *path_end;

    if (!skip_scheme(&text, &url.scheme))
        return URL_BAD;
    end = text.data + text.size;
    path = text.data;
    while (path < end && *path != '/' && *path != '?')
        path++;
    url.authority = (struct slice){text.data, (size_t)(path - text.data)};
    if (url_parse_authority(url.authority, url.scheme == URL_SCHEME_HTTPS ? 443 : 80, &url.host,
                            &url.port, &url.host_is_ipv6) != URL_OK)
        return URL_BAD;
    path_end = char_skip(path, end, CHAR_PATH);
    url.path = (struct slice){path, (size_t)(path_end - path)};
    if (!url_percents_are_valid(url.path))
        return URL_BAD;
    if (url.path.size == 0)
        url.path = SLICE_LITERAL("/");
    if (path_end < end) {
        if (*path_end != '?' || char_skip(path_end, end, CHAR_TARGET) != end)
            return URL_BAD;
        url.query = (struct slice){path_end + 1, (size_t)(end - path_end - 1)};
    }
    assert(url.path.data[0] == '/');
    *ret_url = url;
    return URL_OK;
}

bool url_is_loopback(const struct url *url)
{
    struct slice host = url->host;
    bool is_number = host.size > 0;

    for (size_t i = 0; i < host.size; i++)
        is_number &= host.data[i] == '.' || (host.data[i] >= '0' && host.data[i] <= '9');
    return slice_equal(host, SLICE_LITERAL("localhost")) ||
           slice_equal(host, SLICE_LITERAL("::1")) ||
           (is_number && host.size > 4 && memcmp(host.data, "127.", 4) == 0);
}

bool url_origin_write(const struct url *url, char *buffer, size_t capacity,
                      struct slice *ret_origin)
{
    int size =
        snprintf(buffer, capacity, "%s://%s%.*s%s:%u",
                 url->scheme == URL_SCHEME_HTTPS ? "https" : "http", url->host_is_ipv6 ? "[" : "",
                 (int)url->host.size, url->host.data, url->host_is_ipv6 ? "]" : "", url->port);

    assert(size > 0);
    if ((size_t)size >= capacity)
        return false;
    for (int i = 0; i < size; i++)
        buffer[i] = char_lower(buffer[i]);
    *ret_origin = (struct slice){buffer, (size_t)size};
    return true;
}

bool url_percents_are_valid(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%')
            continue;
        if (text.size - i < 3 || char_hex_value(text.data[i + 1]) < 0 ||
            char_hex_value(text.data[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

/* The byte encoded at *index, which moves behind it; -1 for what is refused. */
static int decode_byte(struct slice text, bool plus_is_space, size_t *index)
{
    char c = text.data[*index];
    int high;
    int low;

    assert(*index < text.size);
    if (c == '\0')
        return -1;
    if (c != '%') {
        *index += 1;
        return c == '+' && plus_is_space ? ' ' : (unsigned char)c;
    }
    if (text.size - *index < 3)
        return -1;
    high = char_hex_value(text.data[*index + 1]);
    low = char_hex_value(text.data[*index + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0))
        return -1;
    *index += 3;
    return high * 16 + low;
}

static enum url_result decode(struct slice text, bool plus_is_space, char *buffer,
                              size_t buffer_size, size_t *ret_size)
{
    size_t size = 0;

    for (size_t i = 0; i < text.size;) {
        int byte = decode_byte(text, plus_is_space, &i);

        if (byte < 0)
            return URL_BAD;
        if (size == buffer_size)
            return URL_TOO_LONG;
        buffer[size++] = (char)byte;
    }
    assert(size <= text.size);
    *ret_size = size;
    return URL_OK;
}

enum url_result url_decode(struct slice text, char *buffer, size_t buffer_size, size_t *ret_size)
{
    assert(buffer != NULL);
    assert(ret_size != NULL);
    return decode(text, false, buffer, buffer_size, ret_size);
}

void url_query_init(struct url_query *query, struct slice raw)
{
    query->rest = raw;
}

/* The next non-empty piece between ampersands, still encoded. */
static bool next_pair(struct url_query *query, struct slice *ret_pair)
{
    while (query->rest.size > 0) {
        struct slice pair = query->rest;
        const char *ampersand = memchr(pair.data, '&', pair.size);
        size_t skipped;

        if (ampersand != NULL)
            pair.size = (size_t)(ampersand - pair.data);
        skipped = ampersand != NULL ? pair.size + 1 : pair.size;
        query->rest.data += skipped;
        query->rest.size -= skipped;
        if (pair.size > 0) {
            *ret_pair = pair;
            return true;
        }
    }
    return false;
}

static void split_pair(struct slice pair, struct slice *ret_key, struct slice *ret_value)
{
    const char *equals = memchr(pair.data, '=', pair.size);

    assert(pair.size > 0);
    *ret_key = pair;
    *ret_value = (struct slice){NULL, 0};
    if (equals != NULL) {
        ret_key->size = (size_t)(equals - pair.data);
        *ret_value = (struct slice){equals + 1, pair.size - ret_key->size - 1};
    }
}

enum url_result url_query_next(struct url_query *query, char *buffer, size_t buffer_size,
                               struct slice *ret_key, struct slice *ret_value)
{
    struct slice pair;
    struct slice key;
    struct slice value;
    enum url_result result;
    size_t value_size;
    size_t key_size;

    assert(buffer != NULL);
    if (!next_pair(query, &pair))
        return URL_END;
    split_pair(pair, &key, &value);
    result = decode(key, true, buffer, buffer_size, &key_size);
    if (result != URL_OK)
        return result;
    result = decode(value, true, buffer + key_size, buffer_size - key_size, &value_size);
    if (result != URL_OK)
        return result;
    *ret_key = (struct slice){buffer, key_size};
    *ret_value = (struct slice){buffer + key_size, value_size};
    return URL_OK;
}

/* Compares without a buffer, so that keys of any length can pass by. */
static bool encoded_equals(struct slice encoded, struct slice plain)
{
    size_t matched = 0;

    for (size_t i = 0; i < encoded.size; matched++) {
        int byte = decode_byte(encoded, true, &i);

        if (matched == plain.size || byte != (unsigned char)plain.data[matched])
            return false;
    }
    return matched == plain.size;
}

enum url_result url_query_find(struct slice raw, struct slice key, char *buffer, size_t buffer_size,
                               struct slice *ret_value)
{
    struct url_query query;
    struct slice pair;
    struct slice found_key;
    struct slice value;
    enum url_result result;
    size_t size;

    assert(key.size > 0);
    assert(buffer != NULL);
    url_query_init(&query, raw);
    while (next_pair(&query, &pair)) {
        split_pair(pair, &found_key, &value);
        if (!encoded_equals(found_key, key))
            continue;
        result = decode(value, true, buffer, buffer_size, &size);
        if (result == URL_OK)
            *ret_value = (struct slice){buffer, size};
        return result;
    }
    return URL_END;
}

bool url_query_text(struct slice raw, struct slice key, char *buffer, size_t buffer_size,
                    struct slice *ret_value)
{
    *ret_value = (struct slice){NULL, 0};
    if (raw.data == NULL)
        return true;
    switch (url_query_find(raw, key, buffer, buffer_size, ret_value)) {
    case URL_END:
    case URL_OK:
        return true;
    case URL_BAD:
    case URL_TOO_LONG:
        break;
    }
    return false;
}

bool url_query_number(struct slice raw, struct slice key, uint64_t min, uint64_t max,
                      uint64_t *ret_value)
{
    char text[NUMBER_SIZE_MAX];
    struct slice found;
    uint64_t number = 0;

    assert(max <= UINT32_MAX);
    if (!url_query_text(raw, key, text, sizeof(text), &found))
        return false;
    if (found.data == NULL)
        return true;
    for (size_t i = 0; i < found.size; i++) {
        if (!char_is_digit(found.data[i]) || number > max)
            return false;
        number = number * 10 + (uint64_t)(found.data[i] - '0');
    }
    if (found.size == 0 || number < min || number > max)
        return false;
    *ret_value = number;
    return true;
}

/*
 * What is accepted is made of parts of the input, decoding shrinks and can be
 * done in place, and no decoded byte is NUL; what is encoded decodes to itself;
 * a parameter of the query is found under its name.
 */
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char buffer[4096];
static char in_place[4096];

static void check_url(struct slice text)
{
    struct url url;

    if (url_parse(text, &url) != URL_OK)
        return;
    assert(url.host.size > 0);
    assert(url.port > 0);
    assert(url.path.size > 0);
    assert(url.path.data[0] == '/');
    assert(url_percents_are_valid(url.path));
    assert(url.authority.data >= text.data);
    assert(url.authority.data + url.authority.size <= text.data + text.size);
}

static void check_decode(struct slice text)
{
    size_t size;
    size_t again;

    if (url_decode(text, buffer, sizeof(buffer), &size) != URL_OK)
        return;
    assert(size <= text.size);
    assert(memchr(buffer, '\0', size) == NULL);
    assert(url_percents_are_valid(text));
    if (text.size == 0)
        return;
    memcpy(in_place, text.data, text.size);
    if (url_decode((struct slice){in_place, text.size}, in_place, size > 0 ? size : 1, &again) !=
        URL_OK)
        assert(false && "what fits elsewhere fits in place");
    assert(again == size);
    assert(memcmp(buffer, in_place, size) == 0);
}

/* Every byte as %XX must decode to itself. */
static void check_encoded(struct slice text)
{
    static char encoded[3 * sizeof(in_place)];
    size_t size;

    if (text.size == 0 || memchr(text.data, '\0', text.size) != NULL)
        return;
    for (size_t i = 0; i < text.size; i++) {
        static const char DIGITS[] = "0123456789aBcDeF";
        unsigned char byte = (unsigned char)text.data[i];

        encoded[3 * i] = '%';
        encoded[3 * i + 1] = DIGITS[byte >> 4];
        encoded[3 * i + 2] = DIGITS[byte & 15];
    }
    if (url_decode((struct slice){encoded, 3 * text.size}, buffer, sizeof(buffer), &size) != URL_OK)
        assert(false && "whatever is encoded decodes");
    assert(size == text.size);
    assert(memcmp(buffer, text.data, size) == 0);
}

static void check_authority(struct slice text)
{
    struct slice host;
    uint16_t port;
    bool is_ipv6;

    if (url_parse_authority(text, 80, &host, &port, &is_ipv6) != URL_OK)
        return;
    assert(host.size > 0);
    assert(host.data >= text.data);
    assert(host.data + host.size <= text.data + text.size);
    assert(port > 0);
}

/* What the iteration has shown is found by its name; the first of that name wins. */
static void check_find(struct slice raw, struct slice key, struct slice value, bool is_first)
{
    static char found_buffer[64];
    struct slice found = {NULL, 0};
    enum url_result result;

    if (key.size == 0)
        return;
    result = url_query_find(raw, key, found_buffer, sizeof(found_buffer), &found);
    assert(result != URL_END);
    if (!is_first)
        return;
    assert(result == URL_OK);
    assert(found.size == value.size);
    assert(memcmp(found.data, value.data, value.size) == 0);
}

static void check_query(struct slice text)
{
    struct url_query query;
    struct slice key;
    struct slice value;
    size_t count = 0;

    url_query_init(&query, text);
    for (;;) {
        enum url_result result = url_query_next(&query, buffer, 64, &key, &value);

        if (result == URL_END)
            break;
        assert(++count <= text.size);
        if (result != URL_OK)
            continue;
        assert(key.size + value.size <= 64);
        assert(memchr(buffer, '\0', key.size + value.size) == NULL);
        check_find(text, key, value, count == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};

    if (size > sizeof(in_place))
        return 0;
    check_url(text);
    check_authority(text);
    check_decode(text);
    check_encoded(text);
    check_query(text);
    return 0;
}

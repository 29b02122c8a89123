/*
 * What is accepted is made of parts of the input, decoding shrinks and can be
 * done in place, and no decoded byte is NUL.
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
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};

    if (size > sizeof(in_place))
        return 0;
    check_url(text);
    check_decode(text);
    check_query(text);
    return 0;
}

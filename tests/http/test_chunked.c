/* Each body is fed whole, cut in two at every place, and byte by byte. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/chunked.h"
#include "tests/http/guarded.h"

enum { BODY_SIZE_MAX = 1000 };

struct outcome {
    enum chunked_result result;
    enum http_parse_error error;
    size_t consumed;
    size_t body_size;
    char body[BODY_SIZE_MAX];
};

/* Feeds one piece until it is used up or the verdict is there. */
static void feed_piece(struct chunked *chunked, const char *data, size_t size, struct outcome *out)
{
    size_t at = 0;

    do {
        struct slice body;
        size_t consumed;
        const char *piece = guarded_copy(data + at, size - at);

        out->result = chunked_feed(chunked, piece, size - at, &consumed, &body);
        cr_assert(le(sz, consumed, size - at));
        cr_assert(le(sz, out->body_size + body.size, BODY_SIZE_MAX));
        if (body.size > 0)
            memcpy(out->body + out->body_size, body.data, body.size);
        out->body_size += body.size;
        out->consumed += consumed;
        at += consumed;
    } while (out->result == CHUNKED_DATA);
}

static struct outcome decode(const char *data, size_t size, size_t step)
{
    struct outcome out = {.result = CHUNKED_NEED_MORE};
    struct chunked chunked;

    chunked_init(&chunked, BODY_SIZE_MAX);
    for (size_t at = 0; at < size && out.result == CHUNKED_NEED_MORE; at += step) {
        size_t left = size - at;

        feed_piece(&chunked, data + at, left < step ? left : step, &out);
    }
    out.error = chunked_error(&chunked);
    return out;
}

static struct outcome decode_in_two(const char *data, size_t size, size_t cut)
{
    struct outcome out = {.result = CHUNKED_NEED_MORE};
    struct chunked chunked;

    chunked_init(&chunked, BODY_SIZE_MAX);
    feed_piece(&chunked, data, cut, &out);
    if (out.result == CHUNKED_NEED_MORE)
        feed_piece(&chunked, data + cut, size - cut, &out);
    out.error = chunked_error(&chunked);
    return out;
}

static const struct {
    const char *text;
    const char *body;
    size_t rest_size;
} GOOD_ROWS[] = {
    {"0\r\n\r\n", "", 0},
    {"00000\r\n\r\n", "", 0},
    {"5\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "hello world", 16},
    {"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0},
    {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0},
    {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0},
    {"5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", 0},
    {"5;a=\"q;\t \xff\"\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {"0\r\nA: b\r\n\r\n", "", 0},
    {"0\r\nA:\r\nX-Checksum: abc \t\xff\r\n\r\nrest", "", 4},
    {"0\r\nContent-Length-: 5\r\nHos: t\r\n\r\n", "", 0},
};

Test(chunked, decodes_each_good_body_at_every_cut)
{
    for (size_t i = 0; i < ARRAY_COUNT(GOOD_ROWS); i++) {
        const char *text = GOOD_ROWS[i].text;
        size_t size = strlen(text);

        for (size_t cut = 0; cut <= size + 1; cut++) {
            struct outcome out =
                cut <= size ? decode_in_two(text, size, cut) : decode(text, size, 1);
            struct slice body = {out.body, out.body_size};

            cr_expect(eq(int, out.result, CHUNKED_DONE), "%s at %zu", text, cut);
            cr_expect(slice_equal(body, slice_of(GOOD_ROWS[i].body)), "%s at %zu", text, cut);
            cr_expect(eq(sz, out.consumed, size - GOOD_ROWS[i].rest_size), "%s at %zu", text, cut);
        }
    }
}

Test(chunked, wants_more_for_every_true_prefix)
{
    for (size_t i = 0; i < ARRAY_COUNT(GOOD_ROWS); i++) {
        size_t size = strlen(GOOD_ROWS[i].text) - GOOD_ROWS[i].rest_size;

        for (size_t shorter = 0; shorter < size; shorter++)
            cr_expect(eq(int, decode(GOOD_ROWS[i].text, shorter, size).result, CHUNKED_NEED_MORE),
                      "%s at %zu", GOOD_ROWS[i].text, shorter);
    }
}

#define BAD(reason, text)                                                                          \
    {                                                                                              \
        HTTP_ERROR_##reason, (text), sizeof(text) - 1                                              \
    }

static const struct {
    enum http_parse_error reason;
    const char *text;
    size_t size;
} BAD_ROWS[] = {
    BAD(BAD_CHUNK_SIZE, "\r\n\r\n"),
    BAD(BAD_CHUNK_SIZE, ";a\r\n"),
    BAD(BAD_CHUNK_SIZE, " 5\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "5 \r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "5 ;a\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "5\t\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "+5\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "-5\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "0x5\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "5h\r\n"),
    BAD(BAD_CHUNK_SIZE, "g\r\n"),
    BAD(BAD_CHUNK_SIZE, "5,5\r\n"),
    BAD(BAD_CHUNK_SIZE, "5_0\r\n"),
    BAD(BAD_CHUNK_SIZE, "\0005\r\n"),
    BAD(BAD_CHUNK_SIZE, "00000000000000005\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "10000000000000005\r\nhello\r\n"),
    BAD(BAD_CHUNK_SIZE, "ffffffffffffffff\r\n"),
    BAD(BAD_CHUNK_SIZE, "8000000000000000\r\n"),
    BAD(BARE_LF, "\n"),
    BAD(BARE_LF, "5\nhello\r\n"),
    BAD(BARE_LF, "5;a\nhello\r\n"),
    BAD(BARE_CR, "5\rhello\r\n"),
    BAD(BARE_CR, "5\r\rhello\r\n"),
    BAD(BARE_CR, "5;a\rX\r\nhello\r\n"),
    BAD(BAD_CHUNK_EXTENSION, "5;a\0\r\n"),
    BAD(BAD_CHUNK_EXTENSION, "5;\x7f\r\n"),
    BAD(BAD_CHUNK_END, "5\r\nhello!\r\n"),
    BAD(BAD_CHUNK_END, "5\r\nhello0\r\n\r\n"),
    BAD(BAD_CHUNK_END, "5\r\nhello\n0\r\n\r\n"),
    BAD(BARE_CR, "5\r\nhello\r0\r\n\r\n"),
    BAD(BARE_CR, "0\r\n\rX"),
    BAD(BARE_LF, "0\r\n\n"),
    BAD(BARE_LF, "0\r\nA: b\n\r\n"),
    BAD(BARE_LF, "0\r\nA\n"),
    BAD(BARE_CR, "0\r\nA: b\rC: d\r\n\r\n"),
    BAD(BAD_TRAILER, "0\r\n: b\r\n\r\n"),
    BAD(BAD_TRAILER, "0\r\nA : b\r\n\r\n"),
    BAD(BAD_TRAILER, "0\r\n A: b\r\n\r\n"),
    BAD(BAD_TRAILER, "0\r\nA\r\n\r\n"),
    BAD(BAD_TRAILER, "0\r\nA: b\r\n c\r\n\r\n"),
    BAD(BAD_TRAILER, "0\r\nA: \0\r\n\r\n"),
    BAD(BAD_TRAILER, "0\r\nGET / HTTP/1.1\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nContent-Length: 5\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nTRANSFER-ENCODING: chunked\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nA: b\r\nHost: a\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nauthorization: a\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nX-API-Key: a\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nProxy-Authorization: a\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nContent-Type: a/b\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nContent-Encoding: gzip\r\n\r\n"),
    BAD(FORBIDDEN_TRAILER, "0\r\nConnection: close\r\n\r\n"),
    BAD(TRAILERS_TOO_LARGE,
        "0\r\nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: b\r\n"),
};

Test(chunked, refuses_each_bad_body_for_its_reason_at_every_cut)
{
    for (size_t i = 0; i < ARRAY_COUNT(BAD_ROWS); i++) {
        for (size_t cut = 0; cut <= BAD_ROWS[i].size; cut++) {
            struct outcome out = cut < BAD_ROWS[i].size
                                     ? decode_in_two(BAD_ROWS[i].text, BAD_ROWS[i].size, cut)
                                     : decode(BAD_ROWS[i].text, BAD_ROWS[i].size, 1);

            cr_expect(eq(int, out.result, CHUNKED_BAD), "%s at %zu", BAD_ROWS[i].text, cut);
            cr_expect(eq(int, out.error, BAD_ROWS[i].reason), "%s at %zu: got %d", BAD_ROWS[i].text,
                      cut, (int)out.error);
        }
    }
}

Test(chunked, refuses_a_body_over_its_limit_when_the_size_says_so)
{
    struct outcome out = decode("3e8\r\n", 5, 5);

    cr_expect(eq(int, out.result, CHUNKED_NEED_MORE), "the limit itself is allowed");
    out = decode("3e9\r\n", 5, 5);
    cr_expect(eq(int, out.result, CHUNKED_TOO_LARGE));
    cr_expect(eq(int, out.error, HTTP_ERROR_BODY_TOO_LARGE));
    out = decode("1\r\nx\r\n3e8\r\n", 11, 1);
    cr_expect(eq(int, out.result, CHUNKED_TOO_LARGE), "chunks add up");
    out = decode("7fffffffffffffff\r\n", 18, 18);
    cr_expect(eq(int, out.result, CHUNKED_TOO_LARGE), "sizes do not wrap");
}

static char big[64 * 1024];

Test(chunked, bounds_extensions_over_the_whole_body)
{
    struct chunked chunked;
    struct slice body;
    size_t consumed;
    size_t size = 0;

    for (int i = 0; i < 2; i++) {
        memcpy(big + size, "1;", 2);
        memset(big + size + 2, 'e', CHUNKED_EXTENSIONS_SIZE_MAX / 2);
        size += 2 + CHUNKED_EXTENSIONS_SIZE_MAX / 2;
        memcpy(big + size, "\r\nx\r\n", 5);
        size += 5;
    }
    cr_expect(eq(int, decode(big, size, size).result, CHUNKED_NEED_MORE));
    memcpy(big + size, "1;e", 3);
    chunked_init(&chunked, BODY_SIZE_MAX);
    size += 3;
    for (size_t at = 0; at < size; at += consumed) {
        enum chunked_result result = chunked_feed(&chunked, big + at, size - at, &consumed, &body);

        if (result != CHUNKED_DATA) {
            cr_expect(eq(int, result, CHUNKED_BAD));
            break;
        }
    }
    cr_expect(eq(int, chunked_error(&chunked), HTTP_ERROR_CHUNK_EXTENSIONS_TOO_LARGE));
}

Test(chunked, bounds_the_trailer_section)
{
    size_t size = 3;

    memcpy(big, "0\r\n", 3);
    while (size < CHUNKED_TRAILERS_SIZE_MAX - 5) {
        memcpy(big + size, "a: b\r\n", 6);
        size += 6;
    }
    memcpy(big + size, "\r\n", 2);
    cr_expect(eq(int, decode(big, size + 2, 7).result, CHUNKED_DONE));
    for (int i = 0; i < 2; i++, size += 6)
        memcpy(big + size, "a: b\r\n", 6);
    cr_expect(eq(int, decode(big, size, 7).error, HTTP_ERROR_TRAILERS_TOO_LARGE));
}

Test(chunked, gives_slices_of_the_input_itself)
{
    static const char TEXT[] = "5\r\nhello\r\n";
    struct chunked chunked;
    struct slice body;
    size_t consumed;

    chunked_init(&chunked, BODY_SIZE_MAX);
    cr_assert(eq(int, chunked_feed(&chunked, TEXT, 10, &consumed, &body), CHUNKED_DATA));
    cr_expect(eq(ptr, (void *)body.data, (void *)(TEXT + 3)));
    cr_expect(eq(sz, consumed, 8));
}

#include "tools/load/load_answer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/support/guarded_text.h"

static struct load_answer answer;
static struct http_response scratch;
static char head[LOAD_ANSWER_HEAD_SIZE_MAX];
static struct guarded_text guarded;

/* From memory that ends where a byte too many would be read. */
static enum load_answer_result feed(const char *data, size_t size)
{
    struct slice copy = guarded_text_put(&guarded, (struct slice){data, size});

    return load_answer_feed(&answer, copy.data, copy.size);
}

static void setup(void)
{
    guarded_text_init(&guarded);
    load_answer_init(&answer, head, &scratch);
}

TestSuite(load_answer, .init = setup, .timeout = 60);

/* Feeds text in pieces of piece_size; what the last one gave. */
static enum load_answer_result feed_in_pieces(const char *text, size_t size, size_t piece_size)
{
    enum load_answer_result result = LOAD_ANSWER_MORE;

    load_answer_begin(&answer, false);
    for (size_t at = 0; at < size && result == LOAD_ANSWER_MORE; at += piece_size)
        result = feed(text + at, min_u64(piece_size, size - at));
    return result;
}

/* In two pieces, at every place, and byte by byte: each must give the same. */
static void expect(const char *text, enum load_answer_result expected, unsigned status,
                   bool keeps_alive)
{
    size_t size = strlen(text);

    for (size_t split = 1; split <= size; split++) {
        enum load_answer_result result;

        load_answer_begin(&answer, false);
        result = feed(text, split);
        if (split < size) {
            if (expected == LOAD_ANSWER_BAD && result == LOAD_ANSWER_BAD)
                continue;
            /* What lies behind the answer may only show with the second piece. */
            if (expected == LOAD_ANSWER_BAD && result == LOAD_ANSWER_DONE)
                continue;
            cr_assert(eq(int, result, LOAD_ANSWER_MORE), "%s at %zu", text, split);
            result = feed(text + split, size - split);
        }
        cr_assert(eq(int, result, expected), "%s at %zu", text, split);
        if (expected != LOAD_ANSWER_DONE)
            continue;
        cr_assert(eq(u32, answer.status, status));
        cr_assert(eq(int, answer.keeps_alive, keeps_alive));
    }
    for (size_t piece_size = 1; piece_size < 6 && expected == LOAD_ANSWER_DONE; piece_size++)
        cr_assert(eq(int, feed_in_pieces(text, size, piece_size), LOAD_ANSWER_DONE));
}

Test(load_answer, reads_every_form_wherever_it_is_split)
{
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", LOAD_ANSWER_DONE, 200, true);
    expect("HTTP/1.1 202 \r\nContent-Length: 0\r\n\r\n", LOAD_ANSWER_DONE, 202, true);
    expect("HTTP/1.1 204 No Content\r\n\r\n", LOAD_ANSWER_DONE, 204, true);
    expect("HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", LOAD_ANSWER_DONE,
           503, false);
    expect("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", LOAD_ANSWER_DONE, 200, false);
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n"
           "X-Sum: t\r\n\r\n",
           LOAD_ANSWER_DONE, 200, true);
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: l\r\n\r\n"
           "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
           LOAD_ANSWER_DONE, 404, true);
}

Test(load_answer, refuses_what_is_no_answer_wherever_it_is_split)
{
    expect("SSH-2.0-OpenSSH\r\n\r\n", LOAD_ANSWER_BAD, 0, false);
    expect("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx", LOAD_ANSWER_BAD, 0, false);
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", LOAD_ANSWER_BAD, 0,
           false);
    expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokand more", LOAD_ANSWER_BAD, 0, false);
}

Test(load_answer, ends_with_the_stream_only_when_it_says_no_length)
{
    static const char UNTIL_CLOSE[] = "HTTP/1.1 200 OK\r\n\r\nall of it";
    static const char CUT[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";

    cr_assert(eq(int, feed_in_pieces(UNTIL_CLOSE, strlen(UNTIL_CLOSE), 7), LOAD_ANSWER_MORE));
    cr_assert(load_answer_end(&answer));
    cr_assert(eq(u32, answer.status, 200));
    cr_assert(not(answer.keeps_alive));
    cr_assert(eq(int, feed_in_pieces(CUT, strlen(CUT), 7), LOAD_ANSWER_MORE));
    cr_assert(not(load_answer_end(&answer)));
    load_answer_begin(&answer, false);
    cr_assert(not(load_answer_end(&answer)));
}

Test(load_answer, expects_no_body_after_head)
{
    static const char TEXT[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";

    load_answer_begin(&answer, true);
    cr_assert(eq(int, feed(TEXT, strlen(TEXT)), LOAD_ANSWER_DONE));
}

Test(load_answer, bounds_the_head_in_one_piece_and_in_many)
{
    static char text[2 * LOAD_ANSWER_HEAD_SIZE_MAX];
    size_t size = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n");

    while (size < LOAD_ANSWER_HEAD_SIZE_MAX + 100)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "X-A: %064d\r\n", 0);
    cr_assert(eq(int, feed_in_pieces(text, size, size), LOAD_ANSWER_BAD));
    cr_assert(eq(int, feed_in_pieces(text, size, 1000), LOAD_ANSWER_BAD));
}

Test(load_answer, passes_over_a_body_larger_than_any_buffer)
{
    static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n";
    static char zeros[1 << 20];
    uint64_t left = 10000000000;

    load_answer_begin(&answer, false);
    cr_assert(eq(int, feed(HEAD, strlen(HEAD)), LOAD_ANSWER_MORE));
    while (left > sizeof(zeros)) {
        cr_assert(eq(int, feed(zeros, sizeof(zeros)), LOAD_ANSWER_MORE));
        left -= sizeof(zeros);
    }
    cr_assert(eq(int, feed(zeros, left), LOAD_ANSWER_DONE));
}

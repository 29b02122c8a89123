#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/http/http_fixture.h"

/*
 * Bodies: plain, chunked and compressed, over many receive buffers, cut anywhere,
 * refused on the head, too large, damaged. And heads that cannot be parsed.
 */
enum { SEED_COUNT = 60 };

TestSuite(connection_body, .timeout = 100);

static void fill(struct fixture *f, char *body, size_t size)
{
    for (size_t i = 0; i < size; i++)
        body[i] = (char)rng_below(&f->world->rng, 256);
}

/* What /upload answers. */
static void describe(const char *body, size_t size, char text[64])
{
    uint64_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + (unsigned char)body[i];
    (void)snprintf(text, 64, "%zu %lu", size, sum);
}

static bool has_code(const struct raw_answer *answer, const char *code)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "\"code\":\"%s\"", code);

    return memmem(answer->body.data, answer->body.size, text, (size_t)size) != NULL;
}

/* True when the next answer is this problem and ends the connection. */
static bool refused_and_closed(struct raw_client *client, uint32_t status, const char *code)
{
    struct raw_answer answer;

    return raw_client_next(client, false, &answer) && answer.status == status &&
           has_code(&answer, code) && answer.says_close && raw_client_unread_size(client) == 0 &&
           !client->saw_reset;
}

Test(connection_body, reads_a_body_of_many_receive_buffers)
{
    static char body[FIXTURE_UPLOAD_SIZE_MAX];
    char text[64];

    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;
        size_t size = seed % 4 == 0 ? sizeof(body) : 1 + seed * 17000;

        options.receive_buffer_size = seed % 3 == 0 ? 512 : 4096;
        options.receive_buffer_count = seed % 2 == 0 ? 4 : 64;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        fill(f, body, size);
        describe(body, size, text);
        raw_client_post(client, "/upload", "", body, size);
        raw_client_post_chunked(client, "/upload", "", body, size, 20000);
        raw_client_ask(client, "GET", "/hello", "");
        fixture_until_answers(f, client, 3);
        cr_assert(raw_client_next_is(client, 200, text), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, text), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "hello"), "seed %lu", seed);
        fixture_run_for(f, 10);
        cr_assert(eq(u64, fixture_buffer_used(f), 0));
        fixture_end(&f);
    }
}

Test(connection_body, reads_a_chunked_body_that_is_cut_anywhere_and_the_request_behind_it)
{
    static const char text[] =
        "POST /echo HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;name=value\r\nabc\r\n0A;x=\"q\"\r\n0123456789\r\n1\r\nZ\r\n0\r\nX-Trailer: t\r\n\r\n"
        "POST /echo HTTP/1.1\r\nHost: weir\r\nContent-Length: 5\r\n\r\nafter";
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);

    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        raw_client_send(client, text, cut);
        fixture_run_for(f, 2);
        raw_client_send(client, text + cut, sizeof(text) - 1 - cut);
        fixture_until_answers(f, client, (uint32_t)cut * 2);
        cr_assert(raw_client_next_is(client, 200, "abc0123456789Z"), "cut at %zu", cut);
        cr_assert(raw_client_next_is(client, 200, "after"), "cut at %zu", cut);
    }
    fixture_end(&f);
}

Test(connection_body, reads_chunked_bodies_of_any_shape)
{
    static char body[FIXTURE_ECHO_SIZE_MAX];

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);
        size_t sizes[4];

        client->piece_size_max = (uint32_t)(seed % 3) * 700;
        fill(f, body, sizeof(body));
        for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            sizes[i] = rng_below(&f->world->rng, i == 3 ? sizeof(body) + 1 : 3000);
            raw_client_post_chunked(client, "/echo", "", body, sizes[i],
                                    1 + rng_below(&f->world->rng, sizes[i] / 4 + 1));
        }
        fixture_until_answers(f, client, ARRAY_COUNT(sizes));
        for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++)
            cr_assert(raw_client_next_has(client, 200, body, sizes[i]), "seed %lu, %u", seed, i);
        fixture_end(&f);
    }
}

Test(connection_body, says_100_continue_when_the_body_is_wanted_and_still_to_come)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);
        struct raw_answer answer;

        raw_client_send_text(client, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                     "Content-Length: 4\r\n\r\n");
        fixture_run_for(f, 5);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 100));
        raw_client_send_text(client, "body");
        fixture_until_answers(f, client, 1);
        cr_assert(raw_client_next_is(client, 200, "body"), "seed %lu", seed);

        raw_client_send_text(client, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                                     "Transfer-Encoding: chunked\r\n\r\n");
        fixture_run_for(f, 5);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 100));
        raw_client_send_text(client, "4\r\nmore\r\n0\r\n\r\n");
        fixture_until_answers(f, client, 2);
        cr_assert(raw_client_next_is(client, 200, "more"), "seed %lu", seed);
        cr_assert(eq(sz, raw_client_unread_size(client), 0));
        fixture_end(&f);
    }
}

Test(connection_body, says_100_continue_only_in_its_turn)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    f->held = true;
    raw_client_send_text(client, "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
                                 "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                 "Content-Length: 6\r\n\r\n");
    fixture_run_for(f, 50);
    cr_assert(eq(sz, client->in_size, 0));
    f->held = false;
    fixture_run_for(f, 50);
    cr_assert(raw_client_next_is(client, 200, "first"));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 100));
    raw_client_send_text(client, "second");
    fixture_run_for(f, 50);
    cr_assert(raw_client_next_is(client, 200, "second"));
    fixture_end(&f);
}

Test(connection_body, does_not_say_100_continue_when_there_is_nothing_to_wait_for)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);

    raw_client_send_text(client, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                 "Content-Length: 4\r\n\r\nbody"
                                 "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                 "Content-Length: 0\r\n\r\n"
                                 "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                 "Content-Length: 4\r\n\r\nbe"); /* it does not wait */
    f->laptop->faults.split.chance_ppm = 0;
    fixture_until_answers(f, client, 2);
    fixture_run_for(f, 10);
    raw_client_send_text(client, "gun");
    fixture_until_answers(f, client, 3);
    cr_assert(raw_client_next_is(client, 200, "body"));
    cr_assert(raw_client_next_is(client, 200, ""));
    cr_assert(raw_client_next_is(client, 200, "begu"));
    fixture_end(&f);
}

Test(connection_body, refuses_an_expected_body_without_saying_100_continue)
{
    static const struct {
        const char *path;
        const char *length;
        uint32_t status;
        const char *code;
    } cases[] = {
        {"/guarded", "10", 401, "missing_api_key"},   {"/nowhere", "10", 404, "not_found"},
        {"/hello", "10", 405, "method_not_allowed"},  {"/echo", "65537", 413, "payload_too_large"},
        {"/admit", "1001", 413, "payload_too_large"}, {"/busy", "3", 503, "overloaded"},
    };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
            struct fixture *f = fixture_begin_seed(seed);
            struct raw_client *client = fixture_connect(f);
            char fields[64];

            (void)snprintf(fields, sizeof(fields), "Expect: 100-continue\r\nContent-Length: %s\r\n",
                           cases[i].length);
            raw_client_ask(client, "POST", cases[i].path, fields);
            fixture_until_closed(f, client);
            cr_assert(refused_and_closed(client, cases[i].status, cases[i].code), "seed %lu, %u",
                      seed, i);
            fixture_end(&f);
        }
    }
}

Test(connection_body, refuses_on_the_head_and_the_answer_is_not_lost_to_the_unread_body)
{
    static char body[400000];

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;
        struct raw_answer answer;

        options.socket_buffer_size = 8192;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        client->stays_open = true;
        raw_client_post(client, seed % 2 == 0 ? "/guarded" : "/busy", "", body, sizeof(body));
        raw_client_finish(client);
        fixture_run_for(f, 490);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, seed % 2 == 0 ? 401 : 503), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(client->saw_end, "seed %lu", seed);
        cr_assert(not(client->saw_reset), "seed %lu", seed);
        cr_assert(eq(sz, client->out_sent, client->out_size), "seed %lu", seed);
        cr_assert(eq(sz, raw_client_unread_size(client), 0), "seed %lu", seed);
        cr_assert(eq(u32, f->request_count, 0), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_body, goes_on_after_a_refusal_on_the_head_when_the_body_is_there)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    f->laptop->faults.split.chance_ppm = 0;
    raw_client_send_text(client,
                         "POST /guarded HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
                         "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    fixture_until_answers(f, client, 2);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 401));
    cr_assert(raw_answer_says(&answer, "www-authenticate", "Bearer"));
    cr_assert(not(answer.says_close));
    cr_assert(raw_client_next_is(client, 200, "hello"));
    fixture_end(&f);
}

Test(connection_body, refuses_what_is_too_large_by_its_length_or_its_chunks)
{
    static char body[2000];

    memset(body, 'b', sizeof(body));
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *clients[4] = {fixture_connect(f), fixture_connect(f), fixture_connect(f),
                                         fixture_connect(f)};

        raw_client_ask(clients[0], "POST", "/admit", "Content-Length: 1001\r\n");
        raw_client_post_chunked(clients[1], "/admit", "", body, sizeof(body), 300);
        raw_client_post(clients[2], "/admit", "", body, FIXTURE_ADMIT_SIZE_MAX);
        raw_client_post_chunked(clients[3], "/admit", "", body, FIXTURE_ADMIT_SIZE_MAX, 300);
        fixture_run_for(f, 2);
        raw_client_send(clients[0], body, FIXTURE_ADMIT_SIZE_MAX + 1);
        fixture_until_closed(f, clients[0]);
        fixture_until_closed(f, clients[1]);
        fixture_until_answers(f, clients[2], 1);
        fixture_until_answers(f, clients[3], 1);
        cr_assert(refused_and_closed(clients[0], 413, "payload_too_large"), "seed %lu", seed);
        cr_assert(refused_and_closed(clients[1], 413, "payload_too_large"), "seed %lu", seed);
        cr_assert(raw_client_next_has(clients[2], 200, body, FIXTURE_ADMIT_SIZE_MAX));
        cr_assert(raw_client_next_has(clients[3], 200, body, FIXTURE_ADMIT_SIZE_MAX));
        cr_assert(eq(u32, f->given_count, 2));
        cr_assert(eq(u32, f->abandon_count, 2), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_body, refuses_a_huge_length_at_once)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_client *other = fixture_connect(f);

    raw_client_ask(client, "POST", "/echo", "Content-Length: 9223372036854775807\r\n");
    raw_client_ask(other, "POST", "/echo", "Content-Length: 9223372036854775808\r\n");
    fixture_until_closed(f, client);
    fixture_until_closed(f, other);
    cr_assert(refused_and_closed(client, 413, "payload_too_large"));
    cr_assert(refused_and_closed(other, 400, "bad_content_length"));
    fixture_end(&f);
}

/* --- compressed -------------------------------------------------------------- */

static size_t compress_zlib(const char *body, size_t size, int window_bits, char *out,
                            size_t out_size)
{
    z_stream stream = {0};

    cr_assert(
        eq(int, deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK));
    stream.next_in = (unsigned char *)(uintptr_t)body;
    stream.avail_in = (unsigned)size;
    stream.next_out = (unsigned char *)out;
    stream.avail_out = (unsigned)out_size;
    cr_assert(eq(int, deflate(&stream, Z_FINISH), Z_STREAM_END));
    size = stream.total_out;
    (void)deflateEnd(&stream);
    return size;
}

static const char *const ENCODINGS[] = {"gzip", "deflate", "zstd"};

/* The field that announces the encoding. */
static const char *encoding_field(uint32_t encoding, char text[64])
{
    (void)snprintf(text, 64, "Content-Encoding: %s\r\n", ENCODINGS[encoding]);
    return text;
}

static size_t compress_body(uint32_t encoding, const char *body, size_t size, char *out,
                            size_t out_size)
{
    size_t r;

    if (encoding < 2)
        return compress_zlib(body, size, encoding == 0 ? 31 : 15, out, out_size);
    r = ZSTD_compress(out, out_size, body, size, 3);
    cr_assert(not(ZSTD_isError(r)));
    return r;
}

static char plain[4 << 20];
static char packed[1 << 20];

Test(connection_body, decompresses_bodies)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);
        char field[64];

        client->piece_size_max = (uint32_t)(seed % 3) * 300;
        for (uint32_t i = 0; i < ARRAY_COUNT(ENCODINGS); i++) {
            size_t size = rng_below(&f->world->rng, 20000);
            size_t packed_size;

            memset(plain, (int)('a' + i), size);
            fill(f, plain, size / 10);
            packed_size = compress_body(i, plain, size, packed, sizeof(packed));
            raw_client_post(client, "/echo", encoding_field(i, field), packed, packed_size);
            raw_client_post_chunked(client, "/echo", encoding_field(i, field), packed, packed_size,
                                    1 + packed_size / 3);
            fixture_until_answers(f, client, 2 * i + 2);
            cr_assert(raw_client_next_has(client, 200, plain, size), "seed %lu, %u", seed, i);
            cr_assert(raw_client_next_has(client, 200, plain, size), "seed %lu, %u", seed, i);
        }
        fixture_run_for(f, 10);
        cr_assert(eq(u64, fixture_buffer_used(f), 0));
        fixture_end(&f);
    }
}

Test(connection_body, refuses_a_compressed_bomb)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(ENCODINGS); i++) {
        struct fixture *f = fixture_begin_seed(i + 1);
        struct raw_client *client = fixture_connect(f);
        struct raw_answer answer;
        char field[64];
        size_t size;

        memset(plain, 0, sizeof(plain));
        size = compress_body(i, plain, sizeof(plain), packed, sizeof(packed));
        raw_client_post(client, "/echo", encoding_field(i, field), packed, size);
        raw_client_ask(client, "GET", "/hello", "");
        fixture_until_answers(f, client, 2);
        cr_assert(raw_client_next(client, false, &answer));
        cr_assert(eq(u32, answer.status, 413));
        cr_assert(has_code(&answer, "decompressed_too_large"));
        cr_assert(raw_client_next_is(client, 200, "hello")); /* the framing was never in doubt */
        fixture_run_for(f, 10);
        cr_assert(eq(u64, fixture_buffer_used(f), 0));
        fixture_end(&f);
    }
}

Test(connection_body, accepts_a_body_that_decompresses_to_just_the_limit)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(ENCODINGS); i++) {
        struct fixture *f = fixture_begin_seed(i + 1);
        struct raw_client *client = fixture_connect(f);
        struct raw_answer answer;
        char field[64];
        size_t size;

        memset(plain, 'p', sizeof(plain));
        size = compress_body(i, plain, FIXTURE_DECODED_SIZE_MAX, packed, sizeof(packed));
        raw_client_post(client, "/echo", encoding_field(i, field), packed, size);
        fixture_until_answers(f, client, 1);
        cr_assert(raw_client_next_has(client, 200, plain, FIXTURE_DECODED_SIZE_MAX), "%u", i);
        size = compress_body(i, plain, FIXTURE_DECODED_SIZE_MAX + 1, packed, sizeof(packed));
        raw_client_post(client, "/echo", encoding_field(i, field), packed, size);
        fixture_until_answers(f, client, 2);
        cr_assert(raw_client_next(client, false, &answer));
        cr_assert(eq(u32, answer.status, 413));
        fixture_end(&f);
    }
}

Test(connection_body, refuses_damaged_and_unknown_encodings_and_gives_back_what_was_taken)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);
        struct raw_client *other = fixture_connect(f);
        uint32_t encoding = (uint32_t)(seed % ARRAY_COUNT(ENCODINGS));
        struct raw_answer answer;
        char field[64];
        size_t size;

        memset(plain, 'p', 500);
        size = compress_body(encoding, plain, 500, packed, sizeof(packed));
        if (seed % 2 == 0)
            size -= 1 + rng_below(&f->world->rng, size - 1); /* cut short */
        else
            packed[0] ^= 0x40;
        raw_client_post(client, "/admit", encoding_field(encoding, field), packed, size);
        raw_client_post(other, "/admit", "Content-Encoding: br\r\n", "x", 1);
        raw_client_ask(client, "GET", "/hello", "");
        raw_client_ask(other, "GET", "/hello", "");
        fixture_until_answers(f, client, 2);
        fixture_until_answers(f, other, 2);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 400), "seed %lu", seed);
        cr_assert(has_code(&answer, "decode_error"), "seed %lu", seed);
        cr_assert(raw_client_next(other, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 415), "seed %lu", seed);
        cr_assert(raw_answer_says(&answer, "accept-encoding", "gzip, deflate, zstd, identity"));
        cr_assert(raw_client_next_is(client, 200, "hello"), "seed %lu", seed);
        cr_assert(raw_client_next_is(other, 200, "hello"), "seed %lu", seed);
        cr_assert(eq(u32, f->abandon_count, 2), "seed %lu", seed);
        fixture_end(&f);
    }
}

/* --- what cannot be parsed ----------------------------------------------------- */

static const struct {
    const char *text;
    uint32_t status;
    const char *code;
} BAD[] = {
    {"nonsense\r\n\r\n", 400, "bad_request_line"},
    {"GET\t/ HTTP/1.1\r\n\r\n", 400, NULL},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_not_supported"},
    {"GET /hello HTTP/1.1\r\n\r\n", 400, "missing_host"},
    {"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "duplicate_host"},
    {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_percent_encoding"},
    {"GET /hello HTTP/1.1\nHost: a\n\n", 400, "bare_lf"},
    {"GET /hello HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400, "line_folding"},
    {"GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400, "space_before_colon"},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     400, "conflicting_framing"},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400, "bad_content_length"},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400,
     "duplicate_content_length"},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501,
     "transfer_encoding_not_implemented"},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417, "expectation_failed"},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400,
     "bad_chunk_size"},
    {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400,
     "bad_chunk_end"},
    {"POST /admit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nContent-"
     "Length: 1\r\n\r\n",
     400, "forbidden_trailer"},
};

Test(connection_body, refuses_what_cannot_be_parsed_and_closes)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);

        for (uint32_t i = 0; i < ARRAY_COUNT(BAD); i++) {
            struct raw_client *client = fixture_connect(f);
            struct raw_answer answer;

            client->piece_size_max = (uint32_t)(seed % 3) * 20;
            raw_client_ask(client, "GET", "/hello", "");
            raw_client_send_text(client, BAD[i].text);
            raw_client_send_text(client, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
            fixture_until_closed(f, client);
            cr_assert(raw_client_next_is(client, 200, "hello"), "seed %lu, %u", seed, i);
            if (BAD[i].code != NULL)
                cr_assert(refused_and_closed(client, BAD[i].status, BAD[i].code),
                          "seed %lu, %u: %.*s", seed, i, (int)raw_client_unread_size(client),
                          client->in + client->in_read);
            else
                cr_assert(raw_client_next(client, false, &answer) &&
                              answer.status == BAD[i].status && answer.says_close,
                          "seed %lu, %u", seed, i);
        }
        fixture_end(&f);
    }
}

Test(connection_body, refuses_a_head_that_is_too_large)
{
    static char field[20000];

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);

        memset(field, 'x', sizeof(field));
        raw_client_send_text(client, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Field: ");
        raw_client_send(client, field, sizeof(field));
        fixture_until_closed(f, client);
        cr_assert(refused_and_closed(client, 431, "header_fields_too_large"), "seed %lu", seed);
        fixture_end(&f);
    }
}

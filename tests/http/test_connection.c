#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/http/http_fixture.h"

/*
 * What a client sees of one connection whose requests are in order: answers, their
 * order and their heads, however the bytes are cut on the way. Bodies are the
 * business of test_connection_body.c, ends that of test_connection_end.c.
 */
enum { SEED_COUNT = 60 };

TestSuite(connection, .timeout = 100);

/* A fixture whose client's machine cuts every send, with the seed's luck. */
static struct fixture *begin_cutting(uint64_t seed)
{
    struct fixture *f = fixture_begin_seed(seed);

    f->laptop->faults.split.chance_ppm = (uint32_t)(seed % 5) * SIM_PPM / 4;
    f->server->faults.split.chance_ppm = (uint32_t)(seed % 3) * SIM_PPM / 2;
    return f;
}

static size_t number_text(char text[32], uint32_t number)
{
    return (size_t)snprintf(text, 32, "number %u", number);
}

Test(connection, answers_one_request_after_the_other)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_cutting(seed);
        struct raw_client *client = fixture_connect(f);

        for (uint32_t i = 1; i <= 20; i++) {
            raw_client_ask(client, "GET", "/hello", "");
            fixture_until_answers(f, client, i);
            cr_assert(raw_client_next_is(client, 200, "hello"), "seed %lu", seed);
        }
        fixture_run_for(f, 5);
        cr_assert(eq(u32, fixture_connection_count(f), 1));
        cr_assert(eq(u64, fixture_buffer_used(f), 0)); /* idle means: without a buffer */
        cr_assert(eq(u32, fixture_lent_count(f), 0));
        cr_assert(not(client->saw_end));
        fixture_end(&f);
    }
}

Test(connection, answers_pipelined_requests_in_their_order)
{
    enum { COUNT = 150 };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_cutting(seed);
        struct raw_client *client = fixture_connect(f);
        char text[32];

        client->piece_size_max = (uint32_t)(seed % 4) * 500;
        for (uint32_t i = 0; i < COUNT; i++)
            raw_client_post(client, "/echo", "", text, number_text(text, i));
        fixture_until_answers(f, client, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) {
            (void)number_text(text, i);
            cr_assert(raw_client_next_is(client, 200, text), "seed %lu, answer %u", seed, i);
        }
        cr_assert(eq(sz, raw_client_unread_size(client), 0));
        fixture_end(&f);
    }
}

Test(connection, answers_pipelined_requests_in_their_order_though_some_wait_for_a_message)
{
    enum { COUNT = 60 };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;
        char text[32];

        options.shard_count = 1 + seed % 2;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        client->piece_size_max = (uint32_t)(seed % 4) * 400;
        for (uint32_t i = 0; i < COUNT; i++)
            raw_client_post(client,
                            seed % 3 == 0 || rng_below(&f->world->rng, 2) ? "/slow" : "/echo", "",
                            text, number_text(text, i));
        fixture_until_answers(f, client, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) {
            (void)number_text(text, i);
            cr_assert(raw_client_next_is(client, 200, text), "seed %lu, answer %u", seed, i);
        }
        fixture_end(&f);
    }
}

Test(connection, takes_no_notice_of_an_answer_that_comes_twice)
{
    enum { COUNT = 30 };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_cutting(seed);
        struct raw_client *client = fixture_connect(f);
        char text[32];

        f->twice = true;
        for (uint32_t i = 0; i < COUNT; i++)
            raw_client_post(client, "/slow", "", text, number_text(text, i));
        fixture_until_answers(f, client, COUNT);
        for (uint32_t i = 0; i < COUNT; i++) {
            (void)number_text(text, i);
            cr_assert(raw_client_next_is(client, 200, text), "seed %lu, answer %u", seed, i);
        }
        fixture_run_for(f, 10);
        cr_assert(eq(sz, raw_client_unread_size(client), 0));
        fixture_end(&f);
    }
}

Test(connection, reads_a_request_that_is_cut_anywhere)
{
    static const char text[] = "GET /hello HTTP/1.1\r\nHost: weir\r\nX-Field: value\r\n\r\n"
                               "POST /echo HTTP/1.1\r\nHost: weir\r\nContent-Length: 4\r\n\r\nbody";
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);

    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        raw_client_send(client, text, cut);
        fixture_run_for(f, 2);
        raw_client_send(client, text + cut, sizeof(text) - 1 - cut);
        fixture_until_answers(f, client, (uint32_t)cut * 2);
        cr_assert(raw_client_next_is(client, 200, "hello"), "cut at %zu", cut);
        cr_assert(raw_client_next_is(client, 200, "body"), "cut at %zu", cut);
    }
    fixture_end(&f);
}

Test(connection, reads_requests_that_come_byte_by_byte)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_cutting(seed);
        struct raw_client *client = fixture_connect(f);

        client->piece_size_max = 1;
        client->pause_ns_max = seed % 2 * 100000;
        raw_client_post(client, "/slow", "", "first", 5);
        raw_client_ask(client, "GET", "/hello", "");
        raw_client_post_chunked(client, "/echo", "", "third", 5, 3);
        fixture_until_answers(f, client, 3);
        cr_assert(raw_client_next_is(client, 200, "first"), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "hello"), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "third"), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection, answers_head_without_the_body_but_with_its_length)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    raw_client_ask(client, "HEAD", "/hello", "");
    raw_client_ask(client, "HEAD", "/large", "");
    raw_client_ask(client, "HEAD", "/nowhere", "");
    raw_client_ask(client, "GET", "/hello", "");
    fixture_run_for(f, 20);
    cr_assert(raw_client_next(client, true, &answer));
    cr_assert(eq(u32, answer.status, 200));
    cr_assert(raw_answer_says(&answer, "content-length", "5"));
    cr_assert(raw_client_next(client, true, &answer));
    cr_assert(eq(u32, answer.status, 200));
    cr_assert(raw_answer_says(&answer, "content-length", "1000000"));
    cr_assert(raw_client_next(client, true, &answer));
    cr_assert(eq(u32, answer.status, 404));
    cr_assert(raw_client_next_is(client, 200, "hello"));
    cr_assert(eq(sz, raw_client_unread_size(client), 0));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_GET, "/hello", 200), 2));
    fixture_end(&f);
}

Test(connection, answers_204_without_length_or_body)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);

    raw_client_ask(client, "GET", "/empty", "");
    raw_client_ask(client, "DELETE", "/things", "");
    raw_client_ask(client, "GET", "/hello", "");
    fixture_until_answers(f, client, 3);
    cr_assert(raw_client_next_is(client, 204, ""));
    cr_assert(raw_client_next_is(client, 204, ""));
    cr_assert(raw_client_next_is(client, 200, "hello"));
    fixture_end(&f);
}

Test(connection, gives_the_path_segments_to_the_handler_however_the_request_comes)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_cutting(seed);
        struct raw_client *client = fixture_connect(f);

        client->piece_size_max = (uint32_t)(seed % 20);
        raw_client_ask(client, "GET", "/items/a1/parts/b%20", "");
        raw_client_ask(client, "GET", "/items/x/parts/y?q=1", "");
        raw_client_ask(client, "GET", "http://weir/items/absolute/parts/form", "");
        fixture_until_answers(f, client, 3);
        cr_assert(raw_client_next_is(client, 200, "a1 b%20"), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "x y"), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "absolute form"), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection, refuses_an_unknown_path_and_goes_on)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    raw_client_ask(client, "GET", "/nowhere", "");
    raw_client_ask(client, "GET", "/items/a/parts/b/", "");
    raw_client_ask(client, "BREW", "/coffee", "");
    raw_client_ask(client, "OPTIONS", "*", "");
    raw_client_ask(client, "GET", "/hello", "");
    fixture_until_answers(f, client, 5);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 404));
    cr_assert(raw_answer_says(&answer, "content-type", "application/problem+json"));
    cr_assert(
        ne(ptr, memmem(answer.body.data, answer.body.size, "\"code\":\"not_found\"", 18), NULL));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 404));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 501));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 404));
    cr_assert(raw_client_next_is(client, 200, "hello"));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_UNKNOWN, "other", 404), 3));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_UNKNOWN, "other", 501), 1));
    fixture_end(&f);
}

Test(connection, names_the_allowed_methods_beside_405)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    raw_client_ask(client, "PUT", "/things", "");
    raw_client_ask(client, "GET", "/echo", "");
    raw_client_ask(client, "BREW", "/hello", "");
    fixture_until_answers(f, client, 3);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 405));
    cr_assert(raw_answer_says(&answer, "allow", "GET, HEAD, POST, DELETE"));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 405));
    cr_assert(raw_answer_says(&answer, "allow", "POST"));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 405));
    cr_assert(raw_answer_says(&answer, "allow", "GET, HEAD"));
    cr_assert(not(answer.says_close));
    fixture_end(&f);
}

Test(connection, does_not_take_the_body_of_a_refused_request_for_a_request)
{
    static const char inner[] = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);
        struct raw_answer answer;

        raw_client_post(client, "/nowhere", "", inner, sizeof(inner) - 1);
        fixture_run_for(f, 100);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 404), "seed %lu", seed);
        cr_assert(eq(int, answer.says_close, client->saw_end), "seed %lu", seed);
        cr_assert(eq(sz, raw_client_unread_size(client), 0), "seed %lu", seed);
        cr_assert(not(client->saw_reset), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection, closes_after_refusing_a_path_when_the_body_is_still_to_come)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    raw_client_ask(client, "POST", "/nowhere", "content-length: 4\r\n");
    fixture_run_for(f, 2);
    raw_client_send_text(client, "body");
    fixture_until_closed(f, client);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 404));
    cr_assert(answer.says_close);
    cr_assert(not(client->saw_reset));
    fixture_end(&f);
}

Test(connection, keeps_http_1_0_open_only_when_asked)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    raw_client_send_text(client, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    fixture_until_answers(f, client, 1);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(raw_answer_says(&answer, "connection", "keep-alive"));
    raw_client_send_text(client, "GET /hello HTTP/1.0\r\n\r\n");
    fixture_until_closed(f, client);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 200));
    cr_assert(answer.says_close);
    fixture_end(&f);
}

Test(connection, closes_when_the_client_or_the_handler_says_so)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_cutting(seed);
        struct raw_client *client = fixture_connect(f);
        struct raw_answer answer;

        raw_client_send_text(client, requests[seed % ARRAY_COUNT(requests)]);
        /* What follows is none of our business any more. */
        raw_client_ask(client, "GET", "/hello", "");
        fixture_until_closed(f, client);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 200), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(eq(sz, raw_client_unread_size(client), 0), "seed %lu", seed);
        cr_assert(not(client->saw_reset), "seed %lu", seed);
        fixture_end(&f);
    }
}

static bool is_made_id(struct slice id)
{
    if (id.size != 32)
        return false;
    for (size_t i = 0; i < id.size; i++)
        if (memchr("0123456789abcdef", id.data[i], 16) == NULL)
            return false;
    return true;
}

Test(connection, gives_the_correlation_id_back_or_makes_one)
{
    static const char too_long[] =
        "X-Correlation-Id: 0123456789012345678901234567890123456789012345678901234567890123x\r\n";
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;
    char made[32];

    raw_client_ask(client, "GET", "/hello", "X-Correlation-Id: my-id-7\r\n");
    raw_client_ask(client, "GET", "/nowhere", "x-correlation-id: another\r\n");
    raw_client_ask(client, "GET", "/hello", "");
    raw_client_ask(client, "GET", "/hello", "");
    raw_client_ask(client, "GET", "/hello", too_long);
    raw_client_ask(client, "GET", "/hello", "X-Correlation-Id:\r\n");
    raw_client_post(client, "/slow", "X-Correlation-Id: waits\r\n", "x", 1);
    fixture_until_answers(f, client, 7);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(raw_answer_says(&answer, "x-correlation-id", "my-id-7"));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(raw_answer_says(&answer, "x-correlation-id", "another"));
    cr_assert(ne(ptr,
                 memmem(answer.body.data, answer.body.size, "\"correlation_id\":\"another\"", 26),
                 NULL));
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(is_made_id(raw_answer_field(&answer, "x-correlation-id")));
    memcpy(made, raw_answer_field(&answer, "x-correlation-id").data, 32);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(raw_client_next(client, false, &answer));
        cr_assert(is_made_id(raw_answer_field(&answer, "x-correlation-id")));
        cr_assert(ne(int, memcmp(made, raw_answer_field(&answer, "x-correlation-id").data, 32), 0));
    }
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(raw_answer_says(&answer, "x-correlation-id", "waits"));
    fixture_end(&f);
}

Test(connection, sends_the_security_headers_and_the_date_with_every_answer)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST /guarded HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "nonsense\r\n\r\n",
    };
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);
    struct raw_answer answer;

    for (uint32_t i = 0; i < ARRAY_COUNT(requests); i++)
        raw_client_send_text(client, requests[i]);
    fixture_until_answers(f, client, ARRAY_COUNT(requests));
    for (uint32_t i = 0; i < ARRAY_COUNT(requests); i++) {
        cr_assert(raw_client_next(client, false, &answer));
        cr_assert(raw_answer_says(&answer, "x-content-type-options", "nosniff"), "%u", i);
        cr_assert(raw_answer_says(&answer, "x-frame-options", "DENY"), "%u", i);
        cr_assert(raw_answer_says(&answer, "referrer-policy", "no-referrer"), "%u", i);
        cr_assert(raw_answer_says(&answer, "cache-control", "no-store"), "%u", i);
        cr_assert(raw_answer_says(&answer, "content-security-policy",
                                  "default-src 'none'; frame-ancestors 'none'"),
                  "%u", i);
        cr_assert(raw_answer_says(&answer, "date", "Wed, 01 Jan 2025 00:00:01 GMT"), "%u", i);
        cr_assert(ge(sz, raw_answer_field(&answer, "x-correlation-id").size, 1), "%u", i);
    }
    client = fixture_connect(f);
    fixture_run_for(f, 5000);
    raw_client_ask(client, "GET", "/hello", "");
    fixture_until_answers(f, client, 1);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(raw_answer_says(&answer, "date", "Wed, 01 Jan 2025 00:00:06 GMT"));
    fixture_end(&f);
}

Test(connection, counts_requests_by_route_and_status_and_times_them)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);

    for (uint32_t i = 0; i < 5; i++)
        raw_client_ask(client, "GET", "/hello", "");
    raw_client_post(client, "/slow", "", "x", 1);
    raw_client_ask(client, "GET", "/nowhere", "");
    raw_client_ask(client, "PUT", "/hello", "");
    raw_client_post(client, "/guarded", "", "", 0);
    raw_client_send_text(client, "bad\r\n\r\n");
    fixture_until_closed(f, client);
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_GET, "/hello", 200), 5));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_POST, "/slow", 200), 1));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_POST, "/guarded", 401), 1));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_UNKNOWN, "other", 404), 1));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_UNKNOWN, "other", 405), 1));
    cr_assert(eq(u64, fixture_answered(f, HTTP_METHOD_UNKNOWN, "other", 400), 1));
    cr_assert(eq(u64, fixture_metric(f, f->metrics.duration[0]), 5));
    cr_assert(eq(u64, fixture_metric(f, f->metrics.connections_accepted), 1));
    cr_assert(eq(u64, fixture_metric(f, f->metrics.connections), 1));
    fixture_run_for(f, 1000);
    cr_assert(eq(u64, fixture_metric(f, f->metrics.connections), 0));
    fixture_end(&f);
}

Test(connection, knows_a_series_for_every_status_that_a_problem_or_parse_error_has)
{
    for (enum problem_code code = 0; code < PROBLEM_COUNT; code++)
        cr_assert(lt(u32, http_status_index(problem_status(code)), HTTP_STATUS_SERIES_COUNT));
#define X(name, status, code, text)                                                                \
    cr_assert(lt(u32, http_status_index(status), HTTP_STATUS_SERIES_COUNT));
#include "http/parse_errors.inc"
#undef X
}

Test(connection, serves_clients_on_every_shard)
{
    struct fixture_options options = fixture_options(3);
    struct fixture *f;
    struct raw_client *clients[20];

    options.shard_count = 2;
    f = fixture_begin(&options);
    for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++) {
        clients[i] = fixture_connect(f);
        raw_client_post(clients[i], "/slow", "", "across", 6);
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++) {
        fixture_until_answers(f, clients[i], 1);
        cr_assert(raw_client_next_is(clients[i], 200, "across"));
    }
    for (uint32_t i = 0; i < 2; i++)
        cr_assert(lt(u32, 0, f->shards[i].http.connection_count));
    fixture_end(&f);
}

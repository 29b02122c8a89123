#include "http/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/http/client_fixture.h"

/*
 * What a call does when all goes well, and what becomes of each kind of answer. The way to
 * a peer is in test_client_reach.c, time and limits in test_client_limits.c, ends that are
 * no answers in test_client_end.c, random faults in test_client_swarm.c.
 */
#define HOST "93.184.216.34"

static struct client_fixture *fixture;
static struct peer *peer;
static const char *answer;           /* what on_request sends ... */
static bool closes;                  /* ... and whether it closes then */
static char last_request[64 * 1024]; /* as it came */

static void on_request(struct peer_connection *c, struct slice head, struct slice body)
{
    size_t size = min_u64(head.size + body.size, sizeof(last_request) - 1);

    memcpy(last_request, head.data, size);
    last_request[size] = '\0';
    if (answer != NULL)
        peer_send(c, answer);
    if (closes)
        peer_close(c);
}

static void begin(void)
{
    fixture = client_fixture_begin(1);
    peer = client_fixture_peer(fixture, HOST, 80);
    peer->on_request = on_request;
    client_fixture_name(fixture, "example.com", HOST);
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
}

static void end(void)
{
    client_fixture_end(&fixture);
}

TestSuite(client, .init = begin, .fini = end);

/* One GET to its end. */
static struct fixture_call *get(const char *url)
{
    struct fixture_call *c = client_fixture_call(fixture, HTTP_METHOD_GET, url);

    client_fixture_until_done(fixture, c);
    cr_assert(eq(u32, c->done_count, 1));
    return c;
}

static void assert_result(const struct fixture_call *c, enum http_client_outcome outcome,
                          unsigned status, const char *body)
{
    cr_assert(eq(int, c->call.result.outcome, outcome), "%.*s",
              (int)http_client_outcome_name(c->call.result.outcome).size,
              http_client_outcome_name(c->call.result.outcome).data);
    cr_assert(eq(u32, c->call.result.status, status));
    cr_assert(eq(str, c->body, (char *)body));
}

Test(client, resolves_connects_asks_and_brings_the_answer)
{
    struct fixture_call *c = get("http://Example.com/a?b");

    assert_result(c, HTTP_CLIENT_RESPONSE, 200, "hi");
    cr_assert(eq(str, last_request,
                 "GET /a?b HTTP/1.1\r\nHost: Example.com\r\nUser-Agent: weir\r\n"
                 "Accept-Encoding: identity\r\n\r\n"));
}

Test(client, says_where_the_answer_came_from_and_when_it_got_how_far)
{
    struct fixture_call *c = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com");
    const struct http_client_result *result = &c->call.result;
    char text[ADDRESS_TEXT_SIZE];

    fixture->names[0].delay_ms = 5;
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    (void)address_format(&result->remote, text);
    cr_assert(eq(str, text, HOST ":80"));
    cr_assert(ge(u64, result->resolved_ns, result->started_ns + 5000000));
    cr_assert(lt(u64, result->resolved_ns, result->connected_ns));
    cr_assert(lt(u64, result->connected_ns, result->first_byte_ns));
    cr_assert(ge(u64, result->done_ns, result->first_byte_ns));
    cr_assert(eq(u64, result->secured_ns, 0));
    cr_assert(eq(int, result->stage, HTTP_CLIENT_RECEIVING));
}

Test(client, sends_fields_and_body_as_they_are)
{
    static const struct header HEADERS[] = {
        {SLICE_INITIALIZER("Content-Type"), SLICE_INITIALIZER("application/json")},
        {SLICE_INITIALIZER("webhook-id"), SLICE_INITIALIZER("msg_1")}};
    struct fixture_call *c =
        client_fixture_prepare(fixture, HTTP_METHOD_POST, "http://" HOST "/hook");

    c->call.headers = HEADERS;
    c->call.header_count = 2;
    c->call.body = SLICE_LITERAL("{\"a\": 1}");
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    assert_result(c, HTTP_CLIENT_RESPONSE, 200, "hi");
    cr_assert(eq(str, last_request,
                 "POST /hook HTTP/1.1\r\nHost: " HOST "\r\nUser-Agent: weir\r\n"
                 "Accept-Encoding: identity\r\nContent-Type: application/json\r\n"
                 "webhook-id: msg_1\r\nContent-Length: 8\r\n\r\n{\"a\": 1}"));
}

Test(client, lends_content_type_and_every_other_field)
{
    struct fixture_call *c;

    answer = "HTTP/1.1 404 Not Found\r\nX-Test: some value\r\nContent-Type: text/plain\r\n"
             "Content-Length: 4\r\n\r\nnope";
    c = get("http://example.com/");
    assert_result(c, HTTP_CLIENT_RESPONSE, 404, "nope");
    cr_assert(eq(str, c->content_type, "text/plain"));
    cr_assert(eq(str, c->x_test, "some value"));
    cr_assert(not(c->call.result.has_retry_after));
}

Test(client, reads_both_forms_of_retry_after)
{
    struct fixture_call *c;

    answer = "HTTP/1.1 429 Slow Down\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
    c = get("http://example.com/");
    cr_assert(c->call.result.has_retry_after);
    cr_assert(eq(u64, c->call.result.retry_after_ms, 120000));
    /* The world begins at 2025-01-01T00:00:00Z. */
    answer = "HTTP/1.1 503 Busy\r\nRetry-After: Wed, 01 Jan 2025 01:00:00 GMT\r\n"
             "Content-Length: 0\r\n\r\n";
    c = get("http://example.com/");
    cr_assert(c->call.result.has_retry_after);
    cr_assert(le(u64, c->call.result.retry_after_ms, 3600000));
    cr_assert(lt(u64, 3590000, c->call.result.retry_after_ms));
    answer = "HTTP/1.1 503 Busy\r\nRetry-After: later\r\nContent-Length: 0\r\n\r\n";
    c = get("http://example.com/");
    cr_assert(not(c->call.result.has_retry_after));
}

Test(client, does_not_follow_a_redirect)
{
    struct peer *other = client_fixture_peer(fixture, "93.184.216.35", 80);

    answer = "HTTP/1.1 307 Elsewhere\r\nLocation: http://93.184.216.35/\r\n"
             "Content-Length: 0\r\n\r\n";
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 307, "");
    client_fixture_run_for(fixture, 1000);
    cr_assert(eq(u32, other->connection_count, 0));
}

/* --- framing ------------------------------------------------------------------------ */

Test(client, decodes_chunks_and_drops_extensions_and_trailers)
{
    answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "abc0123456789");
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "abc0123456789");
    cr_assert(eq(u32, peer->connection_count, 1));
}

Test(client, reads_a_body_without_a_length_until_the_peer_closes)
{
    answer = "HTTP/1.1 200 OK\r\n\r\nall of it";
    closes = true;
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "all of it");
    answer = "HTTP/1.0 200 OK\r\n\r\n";
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "");
    cr_assert(eq(u32, peer->connection_count, 2));
}

Test(client, knows_answers_that_have_no_body_whatever_their_fields_say)
{
    struct fixture_call *c;

    answer = "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n";
    c = client_fixture_call(fixture, HTTP_METHOD_HEAD, "http://example.com/");
    client_fixture_until_done(fixture, c);
    assert_result(c, HTTP_CLIENT_RESPONSE, 200, "");
    answer = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 204, "");
    answer = "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n";
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 304, "");
    cr_assert(eq(u32, peer->connection_count, 1));
}

Test(client, skips_interim_answers)
{
    answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
             "HTTP/1.1 201 Created\r\nContent-Length: 1\r\nX-Test: last\r\n\r\n!";
    for (int i = 0; i < 2; i++) {
        struct fixture_call *c = get("http://example.com/");

        assert_result(c, HTTP_CLIENT_RESPONSE, 201, "!");
        cr_assert(eq(str, c->x_test, "last"));
    }
    cr_assert(eq(u32, peer->connection_count, 1));
}

Test(client, gives_up_on_a_peer_that_sends_interim_answers_only)
{
    static const char INTERIM[] = "HTTP/1.1 102 Processing\r\n\r\n";
    static char text[sizeof(INTERIM) * (HTTP_CLIENT_INTERIM_COUNT_MAX + 1)];

    for (size_t i = 0; i <= HTTP_CLIENT_INTERIM_COUNT_MAX; i++)
        memcpy(text + i * (sizeof(INTERIM) - 1), INTERIM, sizeof(INTERIM) - 1);
    answer = text;
    assert_result(get("http://example.com/"), HTTP_CLIENT_BAD_RESPONSE, 0, "");
}

Test(client, refuses_what_is_no_answer_and_closes)
{
    static const char *const BAD[] = {
        "HTTP/2 200 OK\r\n\r\n",
        "220 smtp.example.com ESMTP\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "\r\n\r\n\r\n\r\n\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        answer = BAD[i];
        assert_result(get("http://example.com/"), HTTP_CLIENT_BAD_RESPONSE, 0, "");
    }
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, peer->connection_count, ARRAY_COUNT(BAD)));
    cr_assert(eq(u32, peer_open_count(peer), 0));
}

Test(client, tells_the_status_of_an_answer_whose_body_is_broken)
{
    answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n";
    assert_result(get("http://example.com/"), HTTP_CLIENT_BAD_RESPONSE, 200, "abc");
}

Test(client, tells_an_answer_that_ends_early_from_one_that_is_whole)
{
    closes = true;
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    assert_result(get("http://example.com/"), HTTP_CLIENT_CLOSED_EARLY, 200, "half");
    answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    assert_result(get("http://example.com/"), HTTP_CLIENT_CLOSED_EARLY, 200, "half");
    answer = "HTTP/1.1 200 OK\r\nContent-";
    assert_result(get("http://example.com/"), HTTP_CLIENT_CLOSED_EARLY, 0, "");
    answer = "";
    assert_result(get("http://example.com/"), HTTP_CLIENT_CLOSED_EARLY, 0, "");
}

/* --- keeping connections -------------------------------------------------------------- */

Test(client, keeps_a_connection_for_the_next_call_to_the_same_host)
{
    for (int i = 0; i < 5; i++) {
        struct fixture_call *c = get("http://example.com/");

        cr_assert(eq(int, c->call.result.was_reused, i > 0));
    }
    cr_assert(eq(u32, peer->connection_count, 1));
    cr_assert(eq(u64, fixture->client.stats.reused_count, 4));
    cr_assert(eq(u32, fixture->names[0].lookup_count, 1));
}

Test(client, does_not_use_one_hosts_connection_for_another)
{
    (void)client_fixture_peer(fixture, HOST, 81);
    fixture->peers[1]->on_request = on_request;
    client_fixture_name(fixture, "example.org", HOST);
    (void)get("http://example.com/");
    (void)get("http://example.org/");
    (void)get("http://" HOST "/");
    (void)get("http://EXAMPLE.com/");
    cr_assert(eq(u32, peer->connection_count, 3));
    (void)get("http://example.com:81/");
    cr_assert(eq(u32, fixture->peers[1]->connection_count, 1));
}

Test(client, does_not_keep_what_the_peer_wants_closed)
{
    answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    (void)get("http://example.com/");
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, peer_open_count(peer), 0));
    answer = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    (void)get("http://example.com/");
    (void)get("http://example.com/");
    cr_assert(eq(u32, peer->connection_count, 3));
}

Test(client, does_not_keep_a_connection_with_bytes_behind_the_answer)
{
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n"
             "Content-Length: 5\r\n\r\nwrong";
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "hi");
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "hi");
    cr_assert(eq(u32, peer->connection_count, 2));
}

Test(client, closes_a_kept_connection_on_which_something_comes)
{
    (void)get("http://example.com/");
    peer_send(peer->connections[0], "HTTP/1.1 408 Too Slow\r\nContent-Length: 0\r\n\r\n");
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, peer_open_count(peer), 0));
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "hi");
    cr_assert(eq(u32, peer->connection_count, 2));
}

Test(client, closes_a_kept_connection_when_it_was_idle_for_long)
{
    (void)get("http://example.com/");
    client_fixture_run_for(fixture, fixture->config.idle_timeout_ms - 100);
    cr_assert(eq(u32, peer_open_count(peer), 1));
    client_fixture_run_for(fixture, 200);
    cr_assert(eq(u32, peer_open_count(peer), 0));
    cr_assert(eq(u32, fixture->client.connection_count, 0));
}

Test(client, notices_that_a_peer_closes_a_kept_connection)
{
    (void)get("http://example.com/");
    peer_close(peer->connections[0]);
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, fixture->client.connection_count, 0));
    assert_result(get("http://example.com/"), HTTP_CLIENT_RESPONSE, 200, "hi");
    cr_assert(eq(u64, fixture->client.stats.repeated_count, 0));
}

/* The peer's close and our request meet on the way. */
static struct fixture_call *call_into_a_close(enum http_method method, bool is_repeatable)
{
    struct fixture_call *c;

    (void)get("http://example.com/");
    c = client_fixture_prepare(fixture, method, "http://example.com/");
    c->call.is_repeatable = is_repeatable;
    peer_close(peer->connections[0]);
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    return c;
}

Test(client, repeats_once_what_met_a_connection_that_the_peer_closed)
{
    struct fixture_call *c = call_into_a_close(HTTP_METHOD_GET, false);

    assert_result(c, HTTP_CLIENT_RESPONSE, 200, "hi");
    cr_assert(c->call.result.was_repeated);
    cr_assert(not(c->call.result.was_reused));
    cr_assert(eq(u32, peer->connection_count, 2));
    cr_assert(eq(u64, fixture->client.stats.repeated_count, 1));
}

Test(client, repeats_a_post_that_could_not_even_be_sent)
{
    struct fixture_call *c = call_into_a_close(HTTP_METHOD_POST, false);

    assert_result(c, HTTP_CLIENT_RESPONSE, 200, "hi");
    cr_assert(c->call.result.was_repeated);
    cr_assert(eq(u32, peer->request_count, 2));
}

/* The peer takes the second request and closes without an answer. */
static struct fixture_call *call_into_silence(enum http_method method, bool is_repeatable)
{
    struct fixture_call *c;

    (void)get("http://example.com/");
    answer = NULL;
    closes = true;
    c = client_fixture_prepare(fixture, method, "http://example.com/");
    c->call.is_repeatable = is_repeatable;
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    return c;
}

Test(client, does_not_repeat_what_may_have_been_done)
{
    struct fixture_call *c = call_into_silence(HTTP_METHOD_POST, false);

    assert_result(c, HTTP_CLIENT_CLOSED_EARLY, 0, "");
    cr_assert(not(c->call.result.was_repeated));
    cr_assert(eq(u32, peer->request_count, 2));
    cr_assert(eq(u32, peer->connection_count, 1));
}

Test(client, repeats_a_post_that_its_caller_calls_repeatable)
{
    struct fixture_call *c = call_into_silence(HTTP_METHOD_POST, true);

    assert_result(c, HTTP_CLIENT_CLOSED_EARLY, 0, "");
    cr_assert(c->call.result.was_repeated);
    cr_assert(eq(u32, peer->request_count, 3));
}

Test(client, does_not_repeat_when_a_byte_of_an_answer_has_come)
{
    struct fixture_call *c;

    (void)get("http://example.com/");
    answer = "H";
    closes = true;
    c = get("http://example.com/");
    assert_result(c, HTTP_CLIENT_CLOSED_EARLY, 0, "");
    cr_assert(c->call.result.was_reused);
    cr_assert(not(c->call.result.was_repeated));
}

Test(client, does_not_repeat_on_a_connection_that_was_new)
{
    struct fixture_call *c;

    answer = "";
    closes = true;
    c = get("http://example.com/");
    assert_result(c, HTTP_CLIENT_CLOSED_EARLY, 0, "");
    cr_assert(eq(u32, peer->request_count, 1));
}

Test(client, repeats_only_once_and_on_a_connection_of_its_own)
{
    struct fixture_call *first =
        client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    struct fixture_call *second =
        client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    struct fixture_call *c;

    client_fixture_until_done(fixture, first);
    client_fixture_until_done(fixture, second);
    cr_assert(eq(u32, peer->connection_count, 2));
    answer = "";
    closes = true;
    c = get("http://example.com/");
    assert_result(c, HTTP_CLIENT_CLOSED_EARLY, 0, "");
    cr_assert(c->call.result.was_repeated);
    cr_assert(eq(u32, peer->request_count, 4));
    cr_assert(eq(u32, peer->connection_count, 3));
}

/* --- answers before their time ----------------------------------------------------------- */

static void refuse_at_once(struct peer_connection *c)
{
    if (c->out_size == 0)
        peer_send(c, "HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n");
}

Test(client, takes_an_answer_that_comes_before_the_request_is_sent)
{
    static char body[1000 * 1000];
    struct fixture_call *c =
        client_fixture_prepare(fixture, HTTP_METHOD_POST, "http://example.com/");

    memset(body, 'b', sizeof(body));
    peer->on_bytes = refuse_at_once;
    fixture->away->socket_buffer_size = 4096;
    fixture->home->socket_buffer_size = 4096;
    c->call.body = (struct slice){body, sizeof(body)};
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    assert_result(c, HTTP_CLIENT_RESPONSE, 413, "");
    client_fixture_run_for(fixture, 1000);
    cr_assert(eq(u32, fixture->client.connection_count, 0));
}

Test(client, sends_and_receives_what_fills_many_buffers)
{
    static char body[900 * 1000];
    struct fixture_call *c =
        client_fixture_prepare(fixture, HTTP_METHOD_POST, "http://example.com/");
    char *text = calloc(1, sizeof(body) + 128);
    int size;

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i % 23);
    size = snprintf(text, 128, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof(body));
    memcpy(text + size, body, sizeof(body));
    answer = text;
    c->call.body = (struct slice){body, sizeof(body)};
    c->call.body_size_max = sizeof(body);
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    cr_assert(eq(int, c->call.result.outcome, HTTP_CLIENT_RESPONSE));
    cr_assert(eq(sz, c->body_size, sizeof(body)));
    cr_assert(eq(int, memcmp(c->body, body, sizeof(body)), 0));
    cr_assert(eq(sz, peer->connections[0]->in_used, peer->connections[0]->in_size));
    free(text);
}

/* --- refusing to start --------------------------------------------------------------------- */

Test(client, refuses_what_is_no_request)
{
    static const char *const BAD[] = {"",
                                      "example.com",
                                      "ftp://example.com/",
                                      "http://",
                                      "http:///path",
                                      "http://user:secret@example.com/",
                                      "http://example.com:0/",
                                      "http://example.com:65536/",
                                      "http://exa mple.com/",
                                      "http://example.com/#fragment",
                                      "http://example.com/\r\nHost: other",
                                      "http://[::1/",
                                      "http://[fe80::1%25eth0]/"};
    static const struct header HOST_HEADER = {SLICE_INITIALIZER("Host"), SLICE_INITIALIZER("x")};
    struct fixture_call *c;

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        c = client_fixture_prepare(fixture, HTTP_METHOD_GET, BAD[i]);
        cr_assert(eq(int, http_client_start(&fixture->client, &c->call), -EINVAL), "%s", BAD[i]);
        cr_assert(not(http_client_is_open(&c->call)));
    }
    c = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com/");
    c->call.headers = &HOST_HEADER;
    c->call.header_count = 1;
    cr_assert(eq(int, http_client_start(&fixture->client, &c->call), -EINVAL));
    c->call.header_count = 0;
    c->call.body = (struct slice){last_request, fixture->config.request_size_max};
    cr_assert(eq(int, http_client_start(&fixture->client, &c->call), -EMSGSIZE));
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, c->done_count, 0));
    cr_assert(eq(u32, fixture->client.call_count, 0));
}

Test(client, is_not_started_when_it_has_stopped)
{
    struct fixture_call *c = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com");

    client_fixture_stop(fixture);
    cr_assert(eq(int, http_client_start(&fixture->client, &c->call), -ESHUTDOWN));
}

/* --- names of things -------------------------------------------------------------------------- */

Test(client, names_outcomes_and_stages)
{
    cr_assert(
        slice_equal(http_client_outcome_name(HTTP_CLIENT_TLS_FAILED), SLICE_LITERAL("tls_failed")));
    cr_assert(
        slice_equal(http_client_outcome_name(HTTP_CLIENT_CANCELLED), SLICE_LITERAL("cancelled")));
    cr_assert(
        slice_equal(http_client_stage_name(HTTP_CLIENT_RECEIVING), SLICE_LITERAL("receiving")));
}

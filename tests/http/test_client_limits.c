#include "http/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "tests/http/client_scene.h"

/*
 * How long a call may take at each of its stages, how much it may bring, how many
 * connections there may be, and what is said when memory has run out.
 */

TestSuite(client_limits, .init = scene_begin, .fini = scene_end);

/* --- one deadline for everything ------------------------------------------------ */

static struct fixture_call *run_timed(const char *url, uint64_t timeout_ms)
{
    struct fixture_call *c = client_fixture_prepare(fixture, HTTP_METHOD_GET, url);

    c->call.timeout_ms = timeout_ms;
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    return c;
}

Test(client_limits, ends_in_time_while_a_name_is_looked_up)
{
    struct fixture_call *c;

    fixture->names[0].delay_ms = 60000;
    c = run_timed("http://example.com/", 1500);
    assert_outcome(c, HTTP_CLIENT_TIMED_OUT, HTTP_CLIENT_RESOLVING);
    assert_took(c, 1500);
    client_fixture_run_for(fixture, 60000);
    cr_assert(eq(u32, fixture->client.connection_count, 0));
}

Test(client_limits, ends_in_time_while_it_connects)
{
    struct fixture_call *c;

    make_deaf("93.184.216.50");
    c = run_timed("http://93.184.216.50/", 1500);
    assert_outcome(c, HTTP_CLIENT_TIMED_OUT, HTTP_CLIENT_CONNECTING);
    assert_took(c, 1500);
}

Test(client_limits, ends_in_time_while_it_sends)
{
    static char body[1000 * 1000];
    struct fixture_call *c =
        client_fixture_prepare(fixture, HTTP_METHOD_POST, "http://93.184.216.50/");

    /* Nobody accepts, so nobody reads; a connection is there all the same. */
    (void)peer_listen_deaf(fixture->away_io, "93.184.216.50", 80);
    fixture->away->socket_buffer_size = 4096;
    c->call.body = (struct slice){body, sizeof(body)};
    c->call.timeout_ms = 1500;
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    assert_outcome(c, HTTP_CLIENT_TIMED_OUT, HTTP_CLIENT_SENDING);
    assert_took(c, 1500);
}

Test(client_limits, ends_in_time_while_no_answer_comes)
{
    struct fixture_call *c;

    is_silent = true;
    c = run_timed("http://example.com/", 1500);
    assert_outcome(c, HTTP_CLIENT_TIMED_OUT, HTTP_CLIENT_SENDING);
    assert_took(c, 1500);
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, peer_open_count(peer), 0));
}

static void drip_head(struct peer_connection *c, struct slice head, struct slice body)
{
    (void)head;
    (void)body;
    peer_drip(c, 1, 1000000000);
    peer_send(c, OK);
}

Test(client_limits, ends_in_time_though_a_byte_comes_each_second)
{
    struct fixture_call *c;

    peer->on_request = drip_head;
    c = run_timed("http://example.com/", 15000);
    assert_outcome(c, HTTP_CLIENT_TIMED_OUT, HTTP_CLIENT_RECEIVING);
    assert_took(c, 15000);
    cr_assert(eq(u32, c->call.result.status, 0));
}

static void drip_body(struct peer_connection *c, struct slice head, struct slice body)
{
    (void)head;
    (void)body;
    peer_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    peer_drip(c, 1, 1000000000);
    peer_send(c, "0123456789012345678901234567890123456789");
}

Test(client_limits, tells_what_had_come_when_time_was_over)
{
    struct fixture_call *c;

    peer->on_request = drip_body;
    c = run_timed("http://example.com/", 5500);
    assert_outcome(c, HTTP_CLIENT_TIMED_OUT, HTTP_CLIENT_RECEIVING);
    assert_took(c, 5500);
    cr_assert(eq(u32, c->call.result.status, 200));
    cr_assert(ge(sz, c->body_size, 4));
    cr_assert(le(sz, c->body_size, 6));
    cr_assert(eq(int, strncmp(c->body, "0123456789", c->body_size), 0));
}

Test(client_limits, ends_in_time_while_it_waits_for_a_connection_and_blames_nobody)
{
    struct fixture_call *c;

    is_silent = true;
    for (uint32_t i = 0; i < fixture->config.connections_per_host_max; i++)
        (void)client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    c = run_timed("http://example.com/", 1500);
    assert_outcome(c, HTTP_CLIENT_NO_CAPACITY, HTTP_CLIENT_WAITING);
    assert_took(c, 1500);
    cr_assert(eq(u32, peer->connection_count, fixture->config.connections_per_host_max));
}

/* --- how much ------------------------------------------------------------------- */

static void send_much(struct peer_connection *c, struct slice head, struct slice body)
{
    static char text[200 * 1000];

    (void)body;
    memset(text, 't', sizeof(text));
    if (memmem(head.data, head.size, "GET /length", 11) != NULL)
        peer_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
    else if (memmem(head.data, head.size, "GET /chunks", 11) != NULL)
        peer_send(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n");
    else
        peer_send(c, "HTTP/1.1 200 OK\r\n\r\n");
    peer_send_bytes(c, text, sizeof(text));
}

Test(client_limits, reads_no_more_of_a_body_than_was_asked_for)
{
    static const char *const URLS[] = {"http://example.com/length", "http://example.com/chunks",
                                       "http://example.com/close"};

    peer->on_request = send_much;
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        struct fixture_call *c = client_fixture_prepare(fixture, HTTP_METHOD_GET, URLS[i]);

        c->call.body_size_max = 16384;
        client_fixture_go(c);
        client_fixture_until_done(fixture, c);
        assert_outcome(c, HTTP_CLIENT_TOO_LARGE, HTTP_CLIENT_RECEIVING);
        cr_assert(eq(u32, c->call.result.status, 200));
        cr_assert(eq(sz, c->body_size, 16384));
        cr_assert(eq(sz, strspn(c->body, "t"), 16384));
        client_fixture_run_for(fixture, 100);
        cr_assert(eq(u32, peer_open_count(peer), 0));
    }
}

Test(client_limits, takes_a_body_of_exactly_the_size_that_was_asked_for)
{
    struct fixture_call *c = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com");

    c->call.body_size_max = 2;
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    cr_assert(eq(str, c->body, "hi"));
}

static void send_head_only(struct peer_connection *c, struct slice head, struct slice body)
{
    (void)head;
    (void)body;
    peer_send(c, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 1000; i++)
        peer_send(c, "X-Filler: 0123456789012345678901234567890123456789\r\n");
}

Test(client_limits, reads_no_more_of_a_head_than_its_limit)
{
    peer->on_request = send_head_only;
    assert_outcome(run("http://example.com/"), HTTP_CLIENT_BAD_RESPONSE, HTTP_CLIENT_RECEIVING);
}

/* --- how many ------------------------------------------------------------------- */

Test(client_limits, opens_no_more_connections_to_a_host_than_allowed)
{
    struct fixture_call *calls[64];

    is_silent = true;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        calls[i] = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    for (int round = 0; round < 4; round++) {
        client_fixture_run_for(fixture, 200);
        cr_assert(eq(u32, hold_count, fixture->config.connections_per_host_max));
        answer_held();
    }
    client_fixture_run_for(fixture, 200);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        assert_outcome(calls[i], HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    cr_assert(eq(u32, peer->connection_count, fixture->config.connections_per_host_max));
}

Test(client_limits, serves_the_calls_of_one_host_in_their_order)
{
    struct fixture_call *calls[8];

    client_fixture_end(&fixture);
    fixture = client_fixture_new(3);
    fixture->config.connections_per_host_max = 1;
    client_fixture_start(fixture);
    scene_begin_with(fixture);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        calls[i] = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_until_done(fixture, calls[7]);
    for (size_t i = 1; i < ARRAY_COUNT(calls); i++)
        cr_assert(lt(u64, calls[i - 1]->call.result.done_ns, calls[i]->call.result.done_ns));
    cr_assert(eq(u32, peer->connection_count, 1));
}

/* A client that may have few connections in all, and a peer on each of several ports. */
static void begin_small(uint32_t connection_count_max, uint32_t peer_count)
{
    client_fixture_end(&fixture);
    fixture = client_fixture_new(4);
    fixture->config.connection_count_max = connection_count_max;
    client_fixture_start(fixture);
    scene_begin_with(fixture);
    for (uint32_t i = 1; i < peer_count; i++)
        client_fixture_peer(fixture, HOST, (uint16_t)(80 + i))->on_request = on_request;
}

Test(client_limits, ends_the_connection_that_was_idle_longest_to_make_room)
{
    begin_small(3, 5);
    for (uint32_t i = 0; i < 5; i++)
        client_fixture_until_done(fixture, call_port(i));
    cr_assert(eq(u64, fixture->client.stats.evicted_count, 2));
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, peer_open_count(fixture->peers[0]), 0));
    cr_assert(eq(u32, peer_open_count(fixture->peers[1]), 0));
    cr_assert(eq(u32, peer_open_count(fixture->peers[2]), 1));
}

Test(client_limits, lets_hosts_take_turns_when_there_is_not_room_for_all)
{
    struct fixture_call *busy[20];
    struct fixture_call *other;

    begin_small(1, 2);
    for (size_t i = 0; i < ARRAY_COUNT(busy); i++)
        busy[i] = call_port(0);
    other = call_port(1);
    client_fixture_until_done(fixture, other);
    assert_outcome(other, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    cr_assert(http_client_is_open(&busy[19]->call));
    client_fixture_until_done(fixture, busy[19]);
    for (size_t i = 0; i < ARRAY_COUNT(busy); i++)
        assert_outcome(busy[i], HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
}

Test(client_limits, does_not_let_hosts_that_hang_hold_up_another)
{
    struct fixture_call *c;

    (void)client_fixture_peer(fixture, HOST, 81); /* never answers */
    for (int i = 0; i < 100; i++)
        (void)call_port(1);
    client_fixture_run_for(fixture, 1000);
    c = run("http://example.com/");
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    cr_assert(le(u64, client_fixture_duration_ms(c), SLACK_MS));
}

Test(client_limits, says_when_too_many_calls_are_open)
{
    struct fixture_call *c;

    client_fixture_end(&fixture);
    fixture = client_fixture_new(5);
    fixture->config.call_count_max = 3;
    client_fixture_start(fixture);
    scene_begin_with(fixture);
    is_silent = true;
    for (int i = 0; i < 3; i++)
        (void)client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    c = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com/");
    cr_assert(eq(int, http_client_start(&fixture->client, &c->call), -EAGAIN));
    http_client_cancel(&fixture->calls[0]->call);
    client_fixture_go(c);
}

/* --- no memory left ------------------------------------------------------------- */

Test(client_limits, says_when_no_buffer_is_left_for_a_request)
{
    static const char *const HOSTS[] = {"93.184.216.60", "93.184.216.61", "93.184.216.62"};
    static char body[100 * 1000];
    struct fixture_call *calls[3];

    client_fixture_end(&fixture);
    fixture = client_fixture_new(6);
    fixture->buffers[3].count = 1;
    fixture->buffers[4].count = 1;
    client_fixture_start(fixture);
    fixture->away->socket_buffer_size = 4096;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        char url[64];

        (void)peer_listen_deaf(fixture->away_io, HOSTS[i], 80);
        snprintf(url, sizeof(url), "http://%s/", HOSTS[i]);
        calls[i] = client_fixture_prepare(fixture, HTTP_METHOD_POST, url);
        calls[i]->call.body = (struct slice){body, sizeof(body)};
        client_fixture_go(calls[i]);
        client_fixture_run_for(fixture, 100);
    }
    cr_assert(http_client_is_open(&calls[0]->call));
    cr_assert(http_client_is_open(&calls[1]->call));
    assert_outcome(calls[2], HTTP_CLIENT_NO_CAPACITY, HTTP_CLIENT_CONNECTING);
    cr_assert(eq(int, calls[2]->call.result.error, -ENOBUFS));
}

Test(client_limits, says_when_no_buffer_is_left_for_an_answer)
{
    struct fixture_call *c;

    client_fixture_end(&fixture);
    fixture = client_fixture_new(7);
    fixture->buffer_class_count = 2;
    client_fixture_start(fixture);
    scene_begin_with(fixture);
    peer->on_request = send_much;
    c = run("http://example.com/length");
    assert_outcome(c, HTTP_CLIENT_NO_CAPACITY, HTTP_CLIENT_RECEIVING);
    cr_assert(eq(int, c->call.result.error, -EMSGSIZE));
    cr_assert(eq(u32, c->call.result.status, 200));
}

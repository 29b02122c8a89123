#include "http/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/http/client_fixture.h"

/*
 * What a call may not do and how long it may take: addresses, each stage's time, the
 * number of connections, what an answer may weigh, and the ends that are nobody's answer.
 * Time is the simulation's, so the bounds are exact.
 */
#define HOST "93.184.216.34"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

enum {
    SLACK_MS = 50, /* latencies of the simulated network and a turn or two */
    SWARM_SEED_COUNT = 40,
    SWARM_CALL_COUNT = 60,
};

static struct client_fixture *fixture;
static struct peer *peer;
static bool is_silent;
static uint32_t hold_count; /* requests that are not answered until released */
static struct peer_connection *held[256];

static void on_request(struct peer_connection *c, struct slice head, struct slice body)
{
    (void)head;
    (void)body;
    if (is_silent)
        held[hold_count++] = c;
    else
        peer_send(c, OK);
}

static void answer_held(void)
{
    for (uint32_t i = 0; i < hold_count; i++)
        peer_send(held[i], OK);
    hold_count = 0;
}

static void begin_with(struct client_fixture *f)
{
    fixture = f;
    peer = client_fixture_peer(fixture, HOST, 80);
    peer->on_request = on_request;
    client_fixture_name(fixture, "example.com", HOST);
}

static void begin(void)
{
    begin_with(client_fixture_begin(2));
}

static void end(void)
{
    if (fixture != NULL)
        client_fixture_end(&fixture);
}

TestSuite(client_limits, .init = begin, .fini = end);

static struct fixture_call *run(const char *url)
{
    struct fixture_call *c = client_fixture_call(fixture, HTTP_METHOD_GET, url);

    client_fixture_until_done(fixture, c);
    return c;
}

static void assert_outcome(const struct fixture_call *c, enum http_client_outcome outcome,
                           enum http_client_stage stage)
{
    struct slice name = http_client_outcome_name(c->call.result.outcome);

    cr_assert(eq(int, c->call.result.outcome, outcome), "%s: %.*s, error %d", c->url,
              (int)name.size, name.data, c->call.result.error);
    cr_assert(eq(int, c->call.result.stage, stage), "%s", c->url);
    cr_assert(eq(u32, c->done_count, 1));
}

static void assert_took(const struct fixture_call *c, uint64_t duration_ms)
{
    cr_assert(ge(u64, client_fixture_duration_ms(c) + SLACK_MS, duration_ms));
    cr_assert(le(u64, client_fixture_duration_ms(c), duration_ms + SLACK_MS));
}

/* --- addresses -------------------------------------------------------------------- */

Test(client_limits, refuses_addresses_that_only_we_can_reach)
{
    static const char *const URLS[] = {
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fd00:ec2::254]/",
        "http://192.168.1.1:8080/",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://metadata.internal/x",
        "http://localhost/",
    };

    client_fixture_name(fixture, "metadata.internal", "169.254.169.254");
    client_fixture_name(fixture, "localhost", "127.0.0.1");
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++)
        assert_outcome(run(URLS[i]), HTTP_CLIENT_ADDRESS_REFUSED, HTTP_CLIENT_RESOLVING);
    cr_assert(eq(u64, fixture->client.stats.connect_count, 0));
}

Test(client_limits, does_not_ask_a_resolver_what_another_might_read_as_an_address)
{
    static const char *const URLS[] = {"http://2130706433/", "http://0x7f000001/",
                                       "http://0x7f.1/",     "http://0177.0.0.1/",
                                       "http://127.1/",      "http://127.0.0.1./"};

    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++)
        assert_outcome(run(URLS[i]), HTTP_CLIENT_RESOLVE_FAILED, HTTP_CLIENT_RESOLVING);
    cr_assert(eq(u64, fixture->client.resolver.lookup_count, 0));
}

Test(client_limits, leaves_out_the_addresses_that_are_refused)
{
    struct fixture_name *name = client_fixture_name(fixture, "mixed.example", "10.0.0.1");
    struct fixture_call *c;

    client_fixture_add_address(name, "fd00::1");
    client_fixture_add_address(name, HOST);
    c = run("http://mixed.example/");
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    cr_assert(eq(u64, fixture->client.stats.connect_count, 1));
}

Test(client_limits, checks_again_what_a_name_means_now)
{
    struct fixture_name *name = &fixture->names[0];

    assert_outcome(run("http://example.com/"), HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    name->address_count = 0;
    client_fixture_add_address(name, "127.0.0.1");
    client_fixture_run_for(fixture, 120000);
    assert_outcome(run("http://example.com/"), HTTP_CLIENT_ADDRESS_REFUSED, HTTP_CLIENT_RESOLVING);
}

Test(client_limits, goes_where_the_calls_own_policy_permits)
{
    static const struct address_policy neighbours = {.allow_private = true};
    struct fixture_call *c =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://inside.example/");
    struct peer *inside = client_fixture_peer(fixture, "10.0.0.200", 80);

    inside->on_request = on_request;
    client_fixture_name(fixture, "inside.example", "10.0.0.200");
    c->call.policy = &neighbours;
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    /* The kept connection is not for a call that may not go there. */
    assert_outcome(run("http://inside.example/"), HTTP_CLIENT_ADDRESS_REFUSED,
                   HTTP_CLIENT_RESOLVING);
    cr_assert(eq(u32, inside->request_count, 1));
}

/* --- the way there ------------------------------------------------------------------ */

Test(client_limits, tells_a_name_that_is_not_from_one_that_cannot_be_asked_for)
{
    struct fixture_name *name = client_fixture_name(fixture, "broken.example", NULL);

    name->status = RESOLVER_FAILED;
    assert_outcome(run("http://nowhere.example/"), HTTP_CLIENT_RESOLVE_FAILED,
                   HTTP_CLIENT_RESOLVING);
    assert_outcome(run("http://broken.example/"), HTTP_CLIENT_RESOLVE_FAILED,
                   HTTP_CLIENT_RESOLVING);
}

Test(client_limits, says_when_nobody_listens)
{
    struct fixture_call *c = run("http://93.184.216.99/");

    assert_outcome(c, HTTP_CLIENT_CONNECT_FAILED, HTTP_CLIENT_CONNECTING);
    cr_assert(eq(int, c->call.result.error, -ECONNREFUSED));
}

Test(client_limits, tries_one_address_after_the_other)
{
    struct fixture_name *name = client_fixture_name(fixture, "many.example", "93.184.216.1");
    struct fixture_call *c;

    client_fixture_add_address(name, "2606:4700::1");
    client_fixture_add_address(name, HOST);
    c = run("http://many.example/");
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    cr_assert(eq(u64, fixture->client.stats.connect_count, 2));
}

/* An address where the first connection waits for ever and the next gets no answer at all. */
static void make_deaf(const char *host)
{
    struct fixture_call *c;
    char url[64];

    (void)peer_listen_deaf(fixture->away_io, host, 80);
    snprintf(url, sizeof(url), "http://%s/", host);
    c = client_fixture_call(fixture, HTTP_METHOD_GET, url);
    client_fixture_run_for(fixture, 100);
    http_client_cancel(&c->call);
}

Test(client_limits, goes_on_to_the_next_address_when_one_takes_too_long)
{
    struct fixture_name *name = client_fixture_name(fixture, "slow.example", "93.184.216.50");
    struct fixture_call *c;

    make_deaf("93.184.216.50");
    client_fixture_add_address(name, HOST);
    c = run("http://slow.example/");
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    assert_took(c, fixture->config.connect_timeout_ms);
}

Test(client_limits, says_that_the_last_address_took_too_long)
{
    struct fixture_call *c;

    make_deaf("93.184.216.50");
    c = run("http://93.184.216.50/");
    assert_outcome(c, HTTP_CLIENT_CONNECT_FAILED, HTTP_CLIENT_CONNECTING);
    cr_assert(eq(int, c->call.result.error, -ETIMEDOUT));
    assert_took(c, fixture->config.connect_timeout_ms);
}

Test(client_limits, says_when_descriptors_have_run_out)
{
    struct fixture_call *c;

    fixture->home->fd_count_max = fixture->home->fd_count;
    c = run("http://example.com/");
    assert_outcome(c, HTTP_CLIENT_NO_CAPACITY, HTTP_CLIENT_CONNECTING);
    cr_assert(eq(int, c->call.result.error, -EMFILE));
}

Test(client_limits, does_not_speak_https_without_tls)
{
    (void)client_fixture_peer(fixture, HOST, 443);
    assert_outcome(run("https://example.com/"), HTTP_CLIENT_TLS_FAILED, HTTP_CLIENT_SECURING);
}

/* --- one deadline for everything ------------------------------------------------------- */

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

/* --- how much ------------------------------------------------------------------------------ */

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
    begin_with(fixture);
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
    begin_with(fixture);
    for (uint32_t i = 1; i < peer_count; i++)
        client_fixture_peer(fixture, HOST, (uint16_t)(80 + i))->on_request = on_request;
}

static struct fixture_call *call_port(uint32_t index)
{
    char url[64];

    snprintf(url, sizeof(url), "http://example.com:%u/", 80 + index);
    return client_fixture_call(fixture, HTTP_METHOD_GET, url);
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
    begin_with(fixture);
    is_silent = true;
    for (int i = 0; i < 3; i++)
        (void)client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    c = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com/");
    cr_assert(eq(int, http_client_start(&fixture->client, &c->call), -EAGAIN));
    http_client_cancel(&fixture->calls[0]->call);
    client_fixture_go(c);
}

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
    begin_with(fixture);
    peer->on_request = send_much;
    c = run("http://example.com/length");
    assert_outcome(c, HTTP_CLIENT_NO_CAPACITY, HTTP_CLIENT_RECEIVING);
    cr_assert(eq(int, c->call.result.error, -EMSGSIZE));
    cr_assert(eq(u32, c->call.result.status, 200));
}

/* --- ends that are no answers ------------------------------------------------------------------
 */

static void cancel_after(uint64_t delay_ms)
{
    struct fixture_call *c = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");

    if (delay_ms > 0)
        client_fixture_run_for(fixture, delay_ms);
    http_client_cancel(&c->call);
    cr_assert(not(http_client_is_open(&c->call)));
    http_client_cancel(&c->call);
    memset(&c->call, 0xa5, sizeof(c->call));
    client_fixture_run_for(fixture, 30000);
    memset(&c->call, 0, sizeof(c->call));
    cr_assert(eq(u32, c->done_count, 0));
    cr_assert(eq(u32, fixture->client.call_count, 0));
    cr_assert(eq(u32, fixture->client.connection_count, 0));
}

Test(client_limits, forgets_a_cancelled_call_at_once_wherever_it_is)
{
    is_silent = true;
    fixture->names[0].delay_ms = 10;
    cancel_after(0);
    cancel_after(5);
    cancel_after(1000);
    make_deaf("93.184.216.50");
    fixture->names[0].address_count = 0;
    client_fixture_add_address(&fixture->names[0], "93.184.216.50");
    client_fixture_run_for(fixture, 120000);
    cancel_after(500);
}

Test(client_limits, forgets_a_cancelled_call_that_waits)
{
    struct fixture_call *waiting;

    is_silent = true;
    for (uint32_t i = 0; i < fixture->config.connections_per_host_max; i++)
        (void)client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    waiting = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    http_client_cancel(&waiting->call);
    answer_held();
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, peer->request_count, fixture->config.connections_per_host_max));
    cr_assert(eq(u32, waiting->done_count, 0));
}

static struct fixture_call *other_call;

static void cancel_other(struct fixture_call *c)
{
    (void)c;
    http_client_cancel(&other_call->call);
}

Test(client_limits, lets_who_is_told_cancel_one_who_is_about_to_be)
{
    struct fixture_call *first =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");

    other_call = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");
    first->on_told = cancel_other;
    client_fixture_go(first);
    client_fixture_go(other_call);
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, first->done_count, 1));
    cr_assert(eq(u32, other_call->done_count, 0));
}

static void start_again(struct fixture_call *c)
{
    if (c->done_count < 1000)
        client_fixture_go(c);
}

Test(client_limits, lets_who_is_told_start_again_without_holding_up_the_shard)
{
    struct fixture_call *hopeless =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");
    struct fixture_call *steady =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com/");

    hopeless->on_told = start_again;
    steady->on_told = start_again;
    client_fixture_go(hopeless);
    client_fixture_go(steady);
    client_fixture_run_for(fixture, 60000);
    cr_assert(eq(u32, hopeless->done_count, 1000));
    cr_assert(eq(u32, steady->done_count, 1000));
    cr_assert(eq(u32, peer->connection_count, 1));
}

static void panic(struct fixture_call *c)
{
    (void)c;
    actor_panic("on_done");
}

Test(client_limits, tells_all_others_when_a_caller_panics_and_goes_on)
{
    struct fixture_call *waiting;
    struct fixture_call *bad;

    is_silent = true;
    waiting = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    bad = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");
    bad->on_told = panic;
    client_fixture_go(bad);
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, bad->done_count, 1));
    assert_outcome(waiting, HTTP_CLIENT_CANCELLED, HTTP_CLIENT_SENDING);
    cr_assert(eq(u32, fixture->log_line_count, 1));
    is_silent = false;
    assert_outcome(run("http://example.com/"), HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
}

Test(client_limits, tells_all_even_when_one_panics_in_the_end_of_another)
{
    struct fixture_call *calls[5];

    is_silent = true;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        calls[i] = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
        calls[i]->on_told = i % 2 == 0 ? panic : NULL;
    }
    client_fixture_run_for(fixture, 100);
    http_client_cancel(&calls[0]->call);
    calls[0]->call.url = SLICE_LITERAL("http://127.0.0.1/");
    client_fixture_go(calls[0]);
    client_fixture_run_for(fixture, 5000);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        cr_assert(eq(u32, calls[i]->done_count, 1), "call %zu", i);
    is_silent = false;
    assert_outcome(run("http://example.com/"), HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
}

Test(client_limits, tells_open_calls_that_it_stops)
{
    struct fixture_call *calls[40];

    is_silent = true;
    fixture->names[0].delay_ms = 10;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        calls[i] = client_fixture_call(fixture, HTTP_METHOD_GET,
                                       i % 2 == 0 ? "http://example.com/" : "http://" HOST "/");
    client_fixture_run_for(fixture, 5);
    client_fixture_stop(fixture);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        cr_assert(eq(u32, calls[i]->done_count, 1));
        cr_assert(eq(int, calls[i]->call.result.outcome, HTTP_CLIENT_CANCELLED));
    }
}

/* --- resets and worse
 * ------------------------------------------------------------------------------ */

Test(client_limits, tells_a_reset_from_an_end)
{
    struct fixture_call *c;

    is_silent = true;
    c = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    fixture->away->faults.reset.once_count = 1;
    answer_held();
    client_fixture_until_done(fixture, c);
    assert_outcome(c, HTTP_CLIENT_CLOSED_EARLY, HTTP_CLIENT_SENDING);
    cr_assert(eq(int, c->call.result.error, -ECONNRESET));
}

Test(client_limits, survives_the_death_of_its_peer)
{
    struct fixture_call *c;

    is_silent = true;
    c = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    sim_driver_remove_io(&fixture->driver, fixture->away_io);
    sim_host_kill(fixture->away);
    client_fixture_until_done(fixture, c);
    cr_assert(eq(int, c->call.result.outcome, HTTP_CLIENT_CLOSED_EARLY));
}

/* --- anything may happen
 * ----------------------------------------------------------------------------- */

static const char *const SWARM_ANSWERS[] = {
    OK,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    ("HTTP/1.1 100 Continue\r\n\r\n" OK),
    "HTTP/1.1 200 OK\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi",
    "nonsense",
    "",
};

static void answer_by_lot(struct peer_connection *c, struct slice head, struct slice body)
{
    struct rng *rng = &fixture->world->rng;
    uint64_t kind = rng_below(rng, ARRAY_COUNT(SWARM_ANSWERS) * 2);

    (void)head;
    (void)body;
    if (rng_chance(rng, 1, 8))
        return;
    peer_send(c, SWARM_ANSWERS[kind < ARRAY_COUNT(SWARM_ANSWERS) ? kind : 0]);
    if (kind == 4 || rng_chance(rng, 1, 4))
        peer_close(c);
}

static uint32_t right_count;

static void check_told(struct fixture_call *c)
{
    const struct http_client_result *result = &c->call.result;

    if (result->outcome != HTTP_CLIENT_RESPONSE)
        return;
    cr_assert(eq(u32, result->status, 200));
    cr_assert(eq(str, c->body, "hi"), "seed %lu", fixture->seed);
    right_count++;
}

static void swarm(uint64_t seed)
{
    fixture = client_fixture_new(seed);
    fixture->config.connection_count_max = 6;
    fixture->config.connections_per_host_max = 3;
    fixture->config.idle_timeout_ms = 300;
    fixture->home->receive_buffer_size = 64;
    fixture->home->receive_buffer_count = 8;
    client_fixture_start(fixture);
    begin_with(fixture);
    for (uint32_t i = 1; i < 4; i++)
        client_fixture_peer(fixture, HOST, (uint16_t)(80 + i));
    for (uint32_t i = 0; i < 4; i++)
        fixture->peers[i]->on_request = answer_by_lot;
    sim_faults_draw(&fixture->home->faults, &fixture->world->rng, 50000);
    sim_faults_draw(&fixture->away->faults, &fixture->world->rng, 50000);
    fixture->away->faults.accept_error = (struct sim_fault){0};
    for (uint32_t i = 0; i < SWARM_CALL_COUNT; i++) {
        struct fixture_call *c = call_port((uint32_t)rng_below(&fixture->world->rng, 4));

        c->on_told = check_told;
        client_fixture_run_for(fixture, rng_below(&fixture->world->rng, 200));
        if (rng_chance(&fixture->world->rng, 1, 10))
            http_client_cancel(&fixture->calls[rng_below(&fixture->world->rng, i + 1)]->call);
    }
    if (rng_chance(&fixture->world->rng, 1, 2))
        client_fixture_run_for(fixture, 60000);
    client_fixture_end(&fixture);
}

Test(client_limits, ends_every_call_once_and_leaves_nothing_whatever_happens, .timeout = 100)
{
    client_fixture_end(&fixture);
    for (uint64_t seed = 100; seed < 100 + SWARM_SEED_COUNT; seed++)
        swarm(seed);
    cr_assert(lt(u32, SWARM_SEED_COUNT, right_count));
}

static uint64_t hash_of_run(uint64_t seed)
{
    uint64_t hash;

    begin_with(client_fixture_begin(seed));
    for (int i = 0; i < 20; i++)
        (void)client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 1000);
    hash = fixture->world->trace.hash;
    client_fixture_end(&fixture);
    return hash;
}

Test(client_limits, does_the_same_again_with_the_same_seed)
{
    client_fixture_end(&fixture);
    cr_assert(eq(u64, hash_of_run(7), hash_of_run(7)));
    cr_assert(ne(u64, hash_of_run(7), hash_of_run(8)));
}

/*
 * Client scene: the client with one peer, which answers or holds what it is asked.
 *
 * A suite takes scene_begin() and scene_end() as its .init and .fini; a test that wants
 * another client makes it and calls scene_begin_with(). Time is the simulation's, so the
 * bounds are exact.
 */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/http/client_fixture.h"

#define HOST "93.184.216.34"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

enum { SLACK_MS = 50 }; /* latencies of the simulated network and a turn or two */

static struct client_fixture *fixture;
static struct peer *peer;
static bool is_silent;
static uint32_t hold_count; /* requests that are not answered until released */
static struct peer_connection *held[256];

/* Answers, or holds the request when is_silent. */
static inline void on_request(struct peer_connection *c, struct slice head, struct slice body)
{
    (void)head;
    (void)body;
    if (is_silent)
        held[hold_count++] = c;
    else
        peer_send(c, OK);
}

/* Answers all that is held. */
static inline void answer_held(void)
{
    for (uint32_t i = 0; i < hold_count; i++)
        peer_send(held[i], OK);
    hold_count = 0;
}

/* With this client, started: a peer at HOST, which example.com is the name of. */
static inline void scene_begin_with(struct client_fixture *f)
{
    fixture = f;
    peer = client_fixture_peer(fixture, HOST, 80);
    peer->on_request = on_request;
    client_fixture_name(fixture, "example.com", HOST);
}

/* The .init of a suite. */
static inline void scene_begin(void)
{
    scene_begin_with(client_fixture_begin(2));
}

/* Its .fini. */
static inline void scene_end(void)
{
    if (fixture != NULL)
        client_fixture_end(&fixture);
}

/* One GET to its end. */
static inline struct fixture_call *run(const char *url)
{
    struct fixture_call *c = client_fixture_call(fixture, HTTP_METHOD_GET, url);

    client_fixture_until_done(fixture, c);
    return c;
}

/* What became of the call, which was told so once. */
static inline void assert_outcome(const struct fixture_call *c, enum http_client_outcome outcome,
                                  enum http_client_stage stage)
{
    struct slice name = http_client_outcome_name(c->call.result.outcome);

    cr_assert(eq(int, c->call.result.outcome, outcome), "%s: %.*s, error %d", c->url,
              (int)name.size, name.data, c->call.result.error);
    cr_assert(eq(int, c->call.result.stage, stage), "%s", c->url);
    cr_assert(eq(u32, c->done_count, 1));
}

/* Within SLACK_MS. */
static inline void assert_took(const struct fixture_call *c, uint64_t duration_ms)
{
    cr_assert(ge(u64, client_fixture_duration_ms(c) + SLACK_MS, duration_ms));
    cr_assert(le(u64, client_fixture_duration_ms(c), duration_ms + SLACK_MS));
}

/* An address where the first connection waits for ever and the next gets no answer at all. */
static inline void make_deaf(const char *host)
{
    struct fixture_call *c;
    char url[64];

    (void)peer_listen_deaf(fixture->away_io, host, 80);
    snprintf(url, sizeof(url), "http://%s/", host);
    c = client_fixture_call(fixture, HTTP_METHOD_GET, url);
    client_fixture_run_for(fixture, 100);
    http_client_cancel(&c->call);
}

/* Starts a GET of example.com at port 80 + index. */
static inline struct fixture_call *call_port(uint32_t index)
{
    char url[64];

    snprintf(url, sizeof(url), "http://example.com:%u/", 80 + index);
    return client_fixture_call(fixture, HTTP_METHOD_GET, url);
}

/*
 * Demo traffic: events of a shop that does not exist, for who looks at weir for the first time.
 *
 * Only with [server] demo and [demo] traffic. An actor of shard 0 sends events to the first
 * plain listener of its own process, with the demo key, as any client would; so what is shown
 * has come the way that every event comes. Four sources go on side by side:
 *
 *     normal    every 6 s, 1 s more or less: requests, signups, feedback; the first after 1 s
 *     error     one of five, every 7 to 12 minutes; the first after 1 minute
 *     deploy    every 2 to 4 hours; the first after 30 minutes
 *     burst     35 errors of one code, 50 to 150 ms apart, every 15 to 20 minutes; the first
 *               after 8 s, so that there is an incident to look at within a minute
 *
 * Bounds: one call at a time, one deadline per source. What could not be sent is not sent again;
 * after ten failures in a row the next event waits for a minute.
 */
#pragma once

#include "http/address.h"
#include "http/client.h"
#include "runtime/actor.h"

enum {
    DEMO_TRAFFIC_MAGIC = 0x44454d4f,
    DEMO_TRAFFIC_BODY_SIZE_MAX = 640,
    DEMO_TRAFFIC_BURST_SIZE = 35, /* an error spike is 30 of one fingerprint in 5 minutes */
    DEMO_TRAFFIC_FAILURE_COUNT_MAX = 10,
    DEMO_TRAFFIC_PAUSE_MS = 60000,
};

struct app_shard;

enum demo_source {
    DEMO_NORMAL,
    DEMO_ERROR,
    DEMO_DEPLOY,
    DEMO_BURST,
    DEMO_SOURCE_COUNT,
};

/* Private to demo_traffic.c, except the counters; embedded in the app_shard. */
struct demo_traffic {
    struct actor actor;
    struct app_shard *home;
    struct address_policy policy; /* loopback is what it is about */
    struct http_client_call call;
    struct timer timer;
    uint64_t due_ns[DEMO_SOURCE_COUNT];
    bool is_begun;       /* the deadlines are set */
    uint32_t burst;      /* which of the codes it has */
    uint32_t burst_sent; /* of it */
    uint32_t failures;   /* in a row */
    uint64_t paused_until_ns;
    uint64_t sent_count; /* these two may be read */
    uint64_t refused_count;
    char url[ADDRESS_TEXT_SIZE + 32];
    char body[DEMO_TRAFFIC_BODY_SIZE_MAX];
};

extern const struct actor_type demo_traffic_type;

/* True when the settings ask for it and there is a plain listener to send to. */
bool demo_traffic_is_wanted(const struct app_shard *home);

/* Prepares the actor; it runs as a child of the shard's root. Start-up only. */
void demo_traffic_init(struct demo_traffic *traffic, struct app_shard *home);

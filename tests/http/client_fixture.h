/*
 * Client fixture: the outgoing client on a simulated machine, with peers to call.
 *
 * One shard whose root has one child, the client. Names are answered from a table, each
 * after its own delay. A test starts calls from outside, lets the world run, and looks at
 * what was told. client_fixture_end() stops the shard and asserts that nothing is left:
 * connections, hosts, buffers, receive buffers, descriptors, calls.
 */
#pragma once

#include "http/client.h"
#include "runtime/supervisor.h"
#include "tools/sim/peer.h"
#include "tools/sim/sim_driver.h"

enum {
    CLIENT_FIXTURE_PEER_COUNT_MAX = 8,
    CLIENT_FIXTURE_NAME_COUNT_MAX = 16,
    CLIENT_FIXTURE_CALL_COUNT_MAX = 4096,
    CLIENT_FIXTURE_TEXT_SIZE = 256,
};

/* A name of the table. */
struct fixture_name {
    struct client_fixture *fixture;
    const char *text;
    enum resolver_status status;
    struct address addresses[RESOLVER_ADDRESS_COUNT_MAX];
    uint32_t address_count;
    uint64_t ttl_ms;
    uint64_t delay_ms;
    uint32_t lookup_count;
    struct resolver_name *asked; /* while it waits */
    struct timer due;
};

/* A call with what it was told; the fixture's. call may be changed before it is started again. */
struct fixture_call {
    struct http_client_call call;
    struct client_fixture *fixture;
    uint32_t done_count;
    char url[CLIENT_FIXTURE_TEXT_SIZE];
    char content_type[CLIENT_FIXTURE_TEXT_SIZE];
    char x_test[CLIENT_FIXTURE_TEXT_SIZE]; /* the field of that name */
    char *body;                            /* of the latest answer, terminated */
    size_t body_size;
    void (*on_told)(struct fixture_call *call); /* inside on_done; or NULL */
};

/* Fields may be read; config and buffers be changed before client_fixture_start(). */
struct client_fixture {
    uint64_t seed;
    struct http_client_config config;
    struct buffer_class buffers[BUFFER_CLASS_COUNT_MAX];
    uint32_t buffer_class_count;
    struct sim_world *world;
    struct sim_host *home; /* the client's machine */
    struct sim_host *away; /* the peers' */
    struct io *away_io;
    struct sim_driver driver;
    struct runtime *runtime;
    struct metrics_registry *registry;
    struct buffer_pool *pool;
    struct http_client client;
    struct peer *peers[CLIENT_FIXTURE_PEER_COUNT_MAX];
    uint32_t peer_count;
    struct fixture_name names[CLIENT_FIXTURE_NAME_COUNT_MAX];
    uint32_t name_count;
    struct fixture_call *calls[CLIENT_FIXTURE_CALL_COUNT_MAX];
    uint32_t call_count;
    uint32_t log_line_count;

    struct runtime_hooks hooks; /* private from here on */
    struct resolver_backend backend;
    struct actor *owner;
    struct supervisor_child_spec child_spec;
    struct supervisor_spec root_spec;
    struct supervisor root;
    struct sim_goal goal;
    const struct fixture_call *goal_call;
};

/* A world with the usual settings; nothing runs yet. */
struct client_fixture *client_fixture_new(uint64_t seed);

/* Starts the client. */
void client_fixture_start(struct client_fixture *fixture);

/* Both. */
struct client_fixture *client_fixture_begin(uint64_t seed);

/* A peer at an address of the simulated network. */
struct peer *client_fixture_peer(struct client_fixture *fixture, const char *host, uint16_t port);

/* A name with one address, or none (NULL): then it is not found. After the start. */
struct fixture_name *client_fixture_name(struct client_fixture *fixture, const char *text,
                                         const char *address);

/* One more address for the name. */
void client_fixture_add_address(struct fixture_name *name, const char *address);

/* A call, not started: 10 s, 64 KiB. */
struct fixture_call *client_fixture_prepare(struct client_fixture *fixture, enum http_method method,
                                            const char *url);

/* Starts it; asserts that it can be. */
void client_fixture_go(struct fixture_call *call);

/* Both. */
struct fixture_call *client_fixture_call(struct client_fixture *fixture, enum http_method method,
                                         const char *url);

/* Lets simulated time pass. */
void client_fixture_run_for(struct client_fixture *fixture, uint64_t duration_ms);

/* Goes on until the call was told once more; asserts that it is. */
void client_fixture_until_done(struct client_fixture *fixture, const struct fixture_call *call);

/* The milliseconds that the call took. */
uint64_t client_fixture_duration_ms(const struct fixture_call *call);

/* Stops the client; calls that are open are told. */
void client_fixture_stop(struct client_fixture *fixture);

/* Stops if need be, asserts that nothing is left, frees all and nulls the pointer. */
void client_fixture_end(struct client_fixture **fixture);

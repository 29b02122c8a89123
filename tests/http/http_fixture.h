/*
 * Http fixture: a small server on the real http floor, in a simulated world.
 *
 * Shards with a supervision tree as the product has it (helper, connections,
 * listener), routes that do what handlers may do, and an account of what they take
 * and give back. fixture_end() stops the server and asserts that nothing is left:
 * connections, buffers, receive buffers, descriptors, what handlers took.
 *
 *     GET  /hello            "hello"            GET  /empty   204, no body
 *     POST /echo             the body           GET  /large   1 MB
 *     POST /slow             the body (at most 40 bytes), later, by a message
 *     POST /patient          as /slow, with 500 ms more for the answer
 *     POST /attended         as /slow, but ends when the peer closes its side
 *     POST /upload           how many bytes there were and their sum; 1 MiB
 *     POST /admit            takes something on the head, gives it back on the request
 *     POST /guarded          401 on the head
 *     POST /busy             503 on the head when the body is not read
 *     POST /panic            panics with the request, /panic-head, /panic-reply
 *     POST /fail             answers -EIO, /fail-head, /fail-reply
 *     GET  /close            ends the connection
 *     GET  /items/{item}/parts/{part}   "item part"
 *     GET, POST, DELETE /things
 */
#pragma once

#include "http/connection.h"
#include "http/listener.h"
#include "runtime/buffer.h"
#include "tests/http/raw_client.h"
#include "tools/sim/sim_driver.h"

enum {
    FIXTURE_SHARD_COUNT_MAX = 2,
    FIXTURE_WORK_COUNT_MAX = 4096,
    FIXTURE_ECHO_SIZE_MAX = 64 * 1024,
    FIXTURE_DECODED_SIZE_MAX = 128 * 1024,
    FIXTURE_SLOW_SIZE_MAX = 40,
    FIXTURE_PATIENCE_MS = 500,
    FIXTURE_ADMIT_SIZE_MAX = 1000,
    FIXTURE_UPLOAD_SIZE_MAX = 1024 * 1024,
    FIXTURE_LARGE_SIZE = 1000 * 1000,
    FIXTURE_HELPER_MAGIC = 0x48454c50,
};

/* What may differ from test to test; fixture_options() gives the usual. */
struct fixture_options {
    uint64_t seed;
    uint32_t shard_count;
    struct http_limits limits;
    struct buffer_class buffers[BUFFER_CLASS_COUNT_MAX];
    uint32_t buffer_class_count;
    uint32_t receive_buffer_size;
    uint32_t receive_buffer_count;
    uint32_t fd_count_max;
    uint32_t socket_buffer_size;
    bool is_tls; /* the listener speaks TLS, and so do clients of fixture_connect() */
    struct http_tls_limits tls_limits;
};

/* Something a connection waits for. */
struct fixture_work {
    struct actor_id connection;
    uint64_t token;
    uint64_t due_ns;
    uint32_t size;
    char text[FIXTURE_SLOW_SIZE_MAX];
};

/* Answers work after a drawn time, from the next shard, so in another order than it came. */
struct fixture_helper {
    struct actor actor;
    struct fixture *fixture;
    struct timer timer;
    uint32_t work_count;
    struct fixture_work work[FIXTURE_WORK_COUNT_MAX];
};

struct fixture_shard {
    struct fixture *fixture;
    struct http_server http;
    struct buffer_pool *buffers;
    struct supervisor root;
    struct listener listener;
    struct fixture_helper helper;
    struct supervisor_child_spec children[3];
    struct supervisor_spec root_spec;
    uint32_t no_descriptor_count; /* how often its listener had none */
};

/* All fields may be read; faults and held be set. */
struct fixture {
    struct fixture_options options;
    struct sim_world *world;
    struct sim_host *server;
    struct sim_host *laptop;
    struct io *laptop_io;
    struct sim_driver driver;
    struct runtime *runtime;
    struct metrics_registry *registry;
    struct http_metrics metrics;
    struct fixture_shard *shards;
    struct list_node clients;
    struct actor_id listeners[FIXTURE_SHARD_COUNT_MAX];

    bool held;  /* helpers keep their work */
    bool twice; /* helpers answer everything twice */
    bool has_ended;
    uint32_t request_count; /* handlers called with a whole request */
    uint32_t taken_count;   /* resources that handlers took ... */
    uint32_t given_count;   /* ... gave back themselves ... */
    uint32_t abandon_count; /* ... and gave back by on_abandon */
    uint32_t stale_count;   /* on_abandon came twice, or after the answer */

    uint32_t log_line_count; /* of errors */
    struct runtime_hooks hooks;

    struct sim_goal goal; /* private to http_fixture.c, with the next two */
    struct raw_client *goal_client;
    uint32_t goal_count;
};

/* The usual options. */
struct fixture_options fixture_options(uint64_t seed);

/* Starts server and network; fixture_end() frees all. */
struct fixture *fixture_begin(const struct fixture_options *options);

/* The same with the usual options. */
struct fixture *fixture_begin_seed(uint64_t seed);

/* A client that connects to the server without TLS; freed by fixture_end(). */
struct raw_client *fixture_connect_plain(struct fixture *fixture);

/* The same, with TLS when the server speaks it. */
struct raw_client *fixture_connect(struct fixture *fixture);

/* Lets simulated time pass. */
void fixture_run_for(struct fixture *fixture, uint64_t duration_ms);

/* Goes on until client has so many answers, or asserts that it does so. */
void fixture_until_answers(struct fixture *fixture, struct raw_client *client, uint32_t count);

/* Goes on until the server has closed the client's connection. */
void fixture_until_closed(struct fixture *fixture, struct raw_client *client);

/* Connections that the server has now. */
uint32_t fixture_connection_count(const struct fixture *fixture);

/* Bytes of the server's buffers in use. */
uint64_t fixture_buffer_used(const struct fixture *fixture);

/* Receive buffers that the server's shards have been lent. */
uint32_t fixture_lent_count(const struct fixture *fixture);

/* The sum over the shards of a counter or gauge. */
uint64_t fixture_metric(const struct fixture *fixture, struct metric metric);

/* Answers counted for the route with this pattern and method ("other": -) and status. */
uint64_t fixture_answered(const struct fixture *fixture, enum http_method method,
                          const char *pattern, uint32_t status);

/* Asks the server to stop, as SIGTERM does, without waiting. */
void fixture_stop(struct fixture *fixture);

/* Goes on until the server has stopped. */
void fixture_until_stopped(struct fixture *fixture);

/* Stops if need be, asserts that nothing is left, frees all and nulls the pointer. */
void fixture_end(struct fixture **fixture);

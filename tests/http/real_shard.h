/*
 * Real shard: the outgoing client on this thread, with the kernel's own network.
 *
 * What the simulation cannot show: our ring, c-ares and TLS against programs that are not
 * ours, all on 127.0.0.1. real_shard_end() stops the client and asserts that it leaves
 * nothing behind, descriptors included.
 */
#pragma once

#include "http/client.h"
#include "runtime/supervisor.h"

/* Fields may be read; config be changed before real_shard_start(). */
struct real_shard {
    struct http_client_config config;
    struct resolver_backend *backend; /* or NULL; set before the start */
    struct http_client client;
    struct buffer_pool *pool;

    struct metrics_registry *registry; /* private from here on */
    struct runtime *runtime;
    struct supervisor_child_spec child_spec;
    struct supervisor_spec root_spec;
    struct supervisor root;
    uint32_t fd_count;
};

/* One call, with a copy of what it was told. */
struct real_call {
    struct http_client_call call;
    uint32_t done_count;
    size_t body_size;
    char body[256 * 1024];
};

/* Prepares; private networks are allowed. Static memory will do. */
void real_shard_init(struct real_shard *shard);

/* Starts the client. */
void real_shard_start(struct real_shard *shard);

/* Turns the loop until *count has become at least so much; asserts that it does in 30 s. */
void real_shard_run(struct real_shard *shard, const uint32_t *count, uint32_t count_min);

/* Starts a call (10 s, as much as fits into body) and waits until it is told. */
void real_shard_call(struct real_shard *shard, struct real_call *call, enum http_method method,
                     const char *url);

/* The same without waiting. */
void real_shard_begin_call(struct real_shard *shard, struct real_call *call,
                           enum http_method method, const char *url);

/* Stops, asserts that nothing is left, frees. */
void real_shard_end(struct real_shard *shard);

/* How many descriptors this process has open. */
uint32_t real_shard_fd_count(void);

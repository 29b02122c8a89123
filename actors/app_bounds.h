/*
 * App bounds: how much of everything a process reserves, as its settings say.
 *
 * Nothing is allocated once shards run, so every part is told at the start how much it
 * may need. Each number that depends on more than one setting is worked out here, for
 * whoever makes the part, and once more for the sum that an operator is shown.
 */
#pragma once

#include "actors/settings.h"
#include "http/client.h"
#include "http/server.h"
#include "runtime/buffer.h"
#include "runtime/limits.h"
#include "runtime/shard.h"

/* Sets the bounds of the runtime in config; the rest of it is left as it is. */
void app_bounds_runtime(const struct settings *settings, uint32_t shard_count,
                        struct runtime_config *config);

/* The buffers of one shard. Returns the number of classes. */
MUST_USE uint32_t app_bounds_buffers(const struct settings *settings, uint32_t shard_count,
                                     struct buffer_class ret_classes[BUFFER_CLASS_COUNT_MAX]);

/* The connections of one shard. */
void app_bounds_http(const struct settings *settings, uint32_t shard_count,
                     struct http_limits *ret_limits);

/* Those of them that have TLS. */
void app_bounds_tls(const struct settings *settings, uint32_t shard_count,
                    struct http_tls_limits *ret_limits);

/* The requests of ours of one shard; whose they are (user_agent, trust) is left empty. */
void app_bounds_client(const struct settings *settings, uint32_t shard_count,
                       struct http_client_config *ret_config);

/* Adds all of it, line by line, for all shards together. */
void app_bounds_add_limits(const struct settings *settings, uint32_t shard_count,
                           struct limits *lines);

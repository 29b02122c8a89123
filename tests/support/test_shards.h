/*
 * Test shards: a runtime on one thread with virtual time and a backend that does
 * nothing until the test says so.
 *
 * Operations rest in the backend until test_io_complete() or a cancel ends them;
 * waiting returns at once. Log lines and dead letters are kept for the test to read.
 */
#pragma once

#include "runtime/shard.h"

enum { TEST_SHARDS_MAX = 4, TEST_LOG_SIZE = 256 * 1024 };

struct test_io {
    struct io io;
    struct list_node armed;     /* waiting for the test */
    struct list_node cancelled; /* complete at the next reap */
    uint32_t released_buffers;
    uint32_t closed_count;
    uint32_t wake_count;
};

struct test_shards {
    struct runtime_config config;
    struct runtime_hooks hooks;
    struct clock_source clock_source;
    uint64_t mono_ns;
    struct metrics_registry *registry;
    struct runtime *runtime;
    struct test_io ios[TEST_SHARDS_MAX];
    uint64_t dead_count;
    uint64_t dead_by_reason[DEAD_LETTER_REASON_COUNT];
    struct message last_dead;
    size_t log_size;
    char log[TEST_LOG_SIZE];
};

/* The only instance: the backends' constructor finds it here. */
extern struct test_shards test_shards;

/* A runtime of shard_count shards at time 1 s; default bounds unless set in config before. */
void test_shards_new(uint32_t shard_count);

/* Frees it. */
void test_shards_free(void);

/* One turn of each shard in order; true while any has work at this instant. */
bool test_shards_turn(void);

/* Turns until no shard has work; fails the test after 100000 turns. */
void test_shards_settle(void);

/* Moves time on in steps of 1 ms, settling at each. */
void test_shards_advance_ms(uint64_t delay_ms);

/* Completes the oldest armed operation of shard index. False when there is none. */
bool test_io_complete(uint32_t index, const struct io_result *result);

/* True when the log holds text. */
bool test_log_has(const char *text);

/* How often the log holds text. */
uint32_t test_log_count(const char *text);

/* Shard 0, or any other. */
struct shard *test_shard(uint32_t index);

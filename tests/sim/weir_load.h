/*
 * Weir load: clients that send numbered events until each is acknowledged.
 *
 * A client sends unit after unit; a unit is one event, a JSON batch or an NDJSON
 * batch, of a drawn size. What was lost or refused is sent again, byte for byte the
 * same, after a little rest. The load remembers what was acknowledged, and
 * weir_load_check() compares that with the log: everything acknowledged is there,
 * nothing is there twice, units are whole or absent, and what one client sent stands
 * in one log in the order in which it was sent.
 */
#pragma once

#include "tests/sim/weir_fixture.h"

enum {
    WEIR_LOAD_CLIENT_COUNT_MAX = 16,
    WEIR_LOAD_BATCH_MAX = 100,
};

enum weir_unit_kind {
    WEIR_UNIT_SINGLE,
    WEIR_UNIT_BATCH,
    WEIR_UNIT_LINES,
};

/* One client of a load. Private to weir_load.c, but that counts may be read. */
struct weir_sender {
    struct weir_client client;
    struct weir_load *load;
    struct sim_event rest_over;
    uint32_t end;        /* its events are below */
    uint32_t unit_begin; /* the unit that is being sent */
    uint32_t unit_end;
    enum weir_unit_kind kind;
    char body[WEIR_REQUEST_SIZE_MAX - 1024];
};

/* Set batch_max and payload_size after init, before the start. */
struct weir_load {
    uint32_t batch_max;    /* largest unit; 1: single events only (default) */
    uint32_t payload_size; /* filler in each event */
    struct sim_range rest_ns;

    struct weir *weir;
    uint32_t sender_count;
    uint32_t event_count; /* of all senders */
    uint32_t acknowledged_count;
    uint32_t duplicate_count; /* answers that said so */
    uint32_t lost_count;
    uint32_t refused_count;
    uint32_t unknown_count; /* 503 with outcome unknown */
    uint32_t status_counts[600];
    bool is_paused;                         /* nobody begins a new unit */
    uint32_t unit_of[WEIR_EVENT_COUNT_MAX]; /* the first number of its unit */
    bool acknowledged[WEIR_EVENT_COUNT_MAX];
    struct weir_sender senders[WEIR_LOAD_CLIENT_COUNT_MAX];
};

/* sender_count clients with event_count / sender_count events each. Borrows weir. */
void weir_load_init(struct weir_load *load, struct weir *weir, uint32_t sender_count,
                    uint32_t event_count);

/* Everybody begins to send. */
void weir_load_start(struct weir_load *load);

/* True when no request is without an answer. */
bool weir_load_is_quiet(const struct weir_load *load);

/* Compares what was acknowledged with the census; assertions name the seed. */
void weir_load_check(const struct weir_load *load, const struct weir_census *census);

/*
 * Sim workload: clients that ask for everything the server does, and judge the answers.
 *
 * Each client asks one thing after another, drawn by the world's seed: new events one by
 * one and in batches, with and without Idempotency-Keys, the same again, the same id with
 * another body, ids that several clients send at once, events back, other projects'
 * events, requests that must be refused, API keys made and revoked. What was lost or
 * refused for the moment is asked again, byte for byte the same, after a rest; a few
 * are given up. The model (sim_model.h) is told of each attempt and each answer; an answer
 * that a correct server cannot have given ends the run.
 */
#pragma once

#include <netinet/in.h>

#include "tools/sim/sim_client.h"
#include "tools/sim/sim_keys.h"

enum {
    SIM_CLIENT_COUNT_MAX = 16,
    SIM_CLIENT_HOST_COUNT = 2,
    SIM_BATCH_COUNT_MAX = 99, /* and perhaps one more */
};

/* What a run draws. Set before sim_workload_start(). */
struct sim_workload_spec {
    uint32_t client_count;
    bool keys_only; /* no events: the administrator makes keys, others look at what is not there */
    uint32_t batch_count_max; /* 1: single events only */
    uint32_t payload_size;
    uint32_t shared_count; /* ids that several clients send, per tenant */
    struct sim_range rest_ns;
    uint32_t split_ppm_max;
    uint32_t drop_odds;     /* one new request in so many comes over a new connection */
    uint64_t answer_ms_max; /* an answer comes within this time; 0: whenever it comes */
    uint64_t pause_ns_max;
};

/* A machine with clients. Private to sim_workload.c. */
struct sim_client_host {
    struct sim_host *host;
    struct io *io;
};

/* One run's clients. Large; counters may be read. */
struct sim_workload {
    struct sim_workload_spec spec;
    struct sim_world *world;
    struct sim_driver *driver;
    struct sim_story *story;
    struct sim_model *model;
    struct sim_check *check;
    struct sockaddr_in address;
    bool is_paused;         /* nobody begins anything new */
    bool gives_up_never;    /* the end of the run: everything must come to its end */
    bool reads_may_fail;    /* GET may answer 500 */
    bool sees_damage;       /* and what was damaged may be gone */
    uint32_t life;          /* counts the server's processes */
    uint64_t request_count; /* sent */
    uint64_t unknown_count; /* lost, or 503 unknown */
    uint64_t unit_count;    /* begun */
    uint64_t acknowledged_unit_count;
    uint64_t acknowledged_count; /* events, of units */
    uint64_t given_up_count;
    struct sim_client_host hosts[SIM_CLIENT_HOST_COUNT];
    struct sim_keys keys;
    struct sim_client clients[SIM_CLIENT_COUNT_MAX];
};

/* Makes clients and their machines; draws from the world. Borrows all. */
void sim_workload_init(struct sim_workload *workload, const struct sim_workload_spec *spec,
                       struct sim_driver *driver, struct sim_story *story, struct sim_model *model,
                       struct sim_check *check);

/* Takes everything out of the world. */
void sim_workload_deinit(struct sim_workload *workload);

/* Everybody who rests begins to ask. */
void sim_workload_start(struct sim_workload *workload);

/* True when nobody has an open request or unit. */
bool sim_workload_is_quiet(const struct sim_workload *workload);

/* One of the client machines loses its power: its connections stay half open at the server. */
void sim_workload_cut_off(struct sim_workload *workload);

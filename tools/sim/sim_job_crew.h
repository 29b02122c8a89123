/*
 * Sim job crew: producers, workers and an operator of durable jobs, and what they ask.
 *
 * Each client asks one thing after another, drawn by the world's seed. Producers enqueue
 * jobs one by one, in batches and in flows, delayed, keyed, unique, with Idempotency-Keys.
 * Workers lease, wait for jobs, complete, fail, ask for more time, and misbehave: they let
 * leases run out, walk away with them, come back too late, say things twice, or what is not
 * true. The operator pauses, drains and limits queues, cancels and looks. The model
 * (sim_job_model.h) is told of each request and each answer; an answer that a correct
 * server cannot have given ends the run.
 *
 * At the end of a run the crew settles: nothing new is made, the queues are opened, workers
 * work until nothing is left, and every job that was ever seen is looked at.
 *
 *     BUSY --sim_job_crew_settle()--> OPENING --queues set--> WORKING --nothing live-->
 *     LOOKING --all seen--> SETTLED
 */
#pragma once

#include <netinet/in.h>

#include "tools/sim/sim_check.h"
#include "tools/sim/sim_job_client.h"
#include "tools/sim/sim_keys.h"

enum {
    SIM_JOB_CLIENT_COUNT_MAX = 12,
    SIM_JOB_HOST_COUNT = 2,
    SIM_JOB_FLOW_COUNT_MAX = 16, /* jobs of a flow */
};

/* What a run draws. Set before sim_job_crew_start(). client_count 0: there are no jobs. */
struct sim_job_crew_spec {
    uint32_t client_count; /* 0, or 2 and more: the first is the operator */
    uint32_t producer_count;
    uint32_t job_count_max;
    uint32_t kind_count;
    uint32_t batch_count_max; /* 1: no batches */
    uint32_t flow_count_max;  /* 1: no flows */
    bool flows_only;
    uint32_t key_count;    /* serial keys; 0: none */
    uint32_t unique_count; /* unique keys; 0: none */
    uint32_t filler_size;
    uint32_t delay_ms_max;
    uint32_t deadline_odds; /* one job in so many has a deadline; 0: none */
    uint32_t lease_limit_max;
    uint32_t lease_s_max;
    uint32_t wait_s_max;
    uint32_t fail_percent;  /* of outcomes */
    uint32_t sloth_percent; /* of leases that a worker never answers for */
    uint32_t cancel_percent;
    bool has_limits; /* the operator sets some */
    bool has_claims; /* Idempotency-Keys: only when their window outlasts any run */
    uint32_t split_ppm_max;
    uint32_t drop_odds;
    uint64_t pause_ns_max;
    struct sim_range rest_ns;
};

enum sim_job_crew_stage {
    SIM_JOB_CREW_BUSY,
    SIM_JOB_CREW_OPENING,
    SIM_JOB_CREW_WORKING,
    SIM_JOB_CREW_LOOKING,
    SIM_JOB_CREW_SETTLED,
};

/* A machine with clients. Private to sim_job_crew.c. */
struct sim_job_host {
    struct sim_host *host;
    struct io *io;
};

/* One run's crew. Large; the fields of the first groups may be read. */
struct sim_job_crew {
    struct sim_job_crew_spec spec;
    struct sim_world *world;
    struct sim_driver *driver;
    struct sim_story *story;
    struct sim_job_model *model;
    struct sim_check *check;
    const struct sim_keys *keys; /* the second tenant's is keys[0] */
    bool is_paused;              /* nobody begins anything new */
    bool gives_up_never;
    enum sim_job_crew_stage stage;
    uint32_t cursor;      /* OPENING, WORKING: the operator's queue; LOOKING: the next job */
    uint32_t empty_count; /* WORKING: queues in a row that were empty */

    uint64_t request_count;
    uint64_t accepted_count; /* jobs */
    uint64_t leased_count;
    uint64_t ended_count; /* outcomes that were accepted */
    uint64_t unknown_count;

    struct sockaddr_in address;
    struct sim_job_host hosts[SIM_JOB_HOST_COUNT];
    struct sim_job_client clients[SIM_JOB_CLIENT_COUNT_MAX];
};

/* The number that a story knows a job by. */
uint32_t sim_job_number(uint32_t job);

/* Makes clients and their machines; draws from the world. Borrows all. */
void sim_job_crew_init(struct sim_job_crew *crew, const struct sim_job_crew_spec *spec,
                       struct sim_driver *driver, struct sim_story *story,
                       struct sim_job_model *model, struct sim_check *check,
                       const struct sim_keys *keys);

/* Takes everything out of the world. */
void sim_job_crew_deinit(struct sim_job_crew *crew);

/* Everybody who rests begins to ask. */
void sim_job_crew_start(struct sim_job_crew *crew);

/* True when nobody has an open request. */
bool sim_job_crew_is_quiet(const struct sim_job_crew *crew);

/* True when no more jobs will be made. */
bool sim_job_crew_is_full(const struct sim_job_crew *crew);

/* From now on everything is brought to its end, see above. Call sim_job_crew_start() then. */
void sim_job_crew_settle(struct sim_job_crew *crew);

/* One of the machines loses its power: its connections stay half open at the server. */
void sim_job_crew_cut_off(struct sim_job_crew *crew);

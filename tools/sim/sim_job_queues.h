/*
 * Sim job queues: the settings of each queue, as far as its operator can know them.
 *
 * One operator changes settings, one change at a time, so a change that was acknowledged
 * is known. One whose answer was lost may take effect at any time while that process lives:
 * until a change is acknowledged by a later process nothing is held against the server.
 */
#pragma once

#include "runtime/base.h"

enum {
    SIM_JOB_KIND_COUNT = 3,
    SIM_JOB_TENANT_COUNT = 2,
    SIM_JOB_QUEUE_COUNT = SIM_JOB_KIND_COUNT * SIM_JOB_TENANT_COUNT, /* tenant by tenant */
};

/* All that an operator sets. 0: no limit. */
struct sim_job_settings {
    uint32_t concurrency;
    uint32_t rate_per_s;
    uint32_t depth_max;
    bool is_paused;
    bool is_draining;
};

/* Private to sim_job_queues.c, but that it may be read. */
struct sim_job_queue {
    struct sim_job_settings settings; /* as acknowledged last */
    struct sim_job_settings changing; /* under way */
    uint64_t since_tick;              /* settings: when that was told */
    uint32_t doubt_life;
    bool is_changing;
    bool is_doubtful;
    uint32_t lost_count; /* requests for leases whose answer was not seen */
    uint32_t lost_life;  /* in this life, or earlier ones */
    uint32_t open_count; /* those that are under way */
};

/* The operator sends settings; then what came of it. life counts the server's processes. */
void sim_job_queue_change(struct sim_job_queue *queue, const struct sim_job_settings *settings);
void sim_job_queue_changed(struct sim_job_queue *queue, uint64_t tick, uint32_t life);
void sim_job_queue_refused(struct sim_job_queue *queue);
void sim_job_queue_in_doubt(struct sim_job_queue *queue, uint32_t life);

/* The greatest number of leases that it may have allowed since tick; UINT32_MAX: no limit. */
uint32_t sim_job_queue_concurrency(const struct sim_job_queue *queue, uint64_t tick);

/* True when it was surely paused, or draining, from before tick until now. */
bool sim_job_queue_is_paused(const struct sim_job_queue *queue, uint64_t tick);
bool sim_job_queue_is_draining(const struct sim_job_queue *queue, uint64_t tick);

/* True when a refusal since tick for its settings may be right. */
bool sim_job_queue_may_be_full(const struct sim_job_queue *queue, uint64_t tick);
bool sim_job_queue_may_be_draining(const struct sim_job_queue *queue, uint64_t tick);

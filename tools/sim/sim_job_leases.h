/*
 * Sim job leases: the part of the reference queue that is about running jobs: who was given
 * what, and what may be said of it. See sim_job_model.h.
 */
#pragma once

#include "tools/sim/sim_job_model.h"

/* One job in the answer to a lease. */
struct sim_job_leased {
    struct slice id;
    uint32_t job; /* the number in its payload */
    uint8_t queue;
    uint64_t epoch;
    uint32_t attempt;
    uint32_t max_attempts;
    uint32_t failed_dependencies;
    uint32_t lease_ms; /* as was asked for */
};

/* What became of an outcome that was sent. */
enum sim_job_outcome {
    SIM_JOB_OUTCOME_COMPLETED,
    SIM_JOB_OUTCOME_FAILED,
    SIM_JOB_OUTCOME_DUPLICATE,
    SIM_JOB_OUTCOME_STALE,
    SIM_JOB_OUTCOME_NOT_FOUND,
    SIM_JOB_OUTCOME_BUSY,
    SIM_JOB_OUTCOME_UNKNOWN, /* no answer, or one that says so */
    SIM_JOB_OUTCOME_REFUSED, /* nothing was written */
};

/* What a worker says at the end. */
struct sim_job_finish {
    uint32_t lease;
    bool is_failure;
    bool is_retryable;
    uint32_t retry_after_ms; /* 0: as the server likes */
};

/* Those that return text: NULL, or why a correct server cannot have said so. */

/* A worker is given a job. *ret_lease is it. */
const char *sim_job_lease(struct sim_job_model *model, const struct sim_job_leased *leased,
                          const struct sim_job_ask *ask, uint32_t *ret_lease);

/* Somebody asks for jobs of this queue; then the answer is there, before any of sim_job_lease(). */
void sim_job_lease_ask(struct sim_job_model *model, uint32_t queue);
void sim_job_lease_answered(struct sim_job_model *model, uint32_t queue);

/* The answer to a lease was not seen: somebody may have been given anything of this queue. */
void sim_job_lease_lost(struct sim_job_model *model, uint32_t queue);

/* An outcome goes out; then what came of it. */
void sim_job_finish(struct sim_job_model *model, const struct sim_job_finish *finish);
const char *sim_job_finished(struct sim_job_model *model, const struct sim_job_finish *finish,
                             enum sim_job_outcome outcome, const struct sim_job_ask *ask);

/* The lease was made longer, to lease_ms from then. */
const char *sim_job_extended(struct sim_job_model *model, uint32_t lease, uint32_t lease_ms,
                             const struct sim_job_ask *ask);

/* Somebody is told that the lease is no longer his, when he wanted to end it or not. */
const char *sim_job_called_stale(struct sim_job_model *model, uint32_t lease, bool is_ending);

/* Whether the lease was surely in force from its answer until now. */
bool sim_job_is_in_force(const struct sim_job_model *model, uint32_t lease);

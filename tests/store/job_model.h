/*
 * Job model: what a job table has to do, said as plainly as possible.
 *
 * One array of jobs and nothing else: what the table finds by lists and heaps is searched
 * for here each time. Positions in a FIFO are numbers. It is for comparing, not for use.
 */
#pragma once

#include "store/job_table.h"

enum { MODEL_JOBS_MAX = 1 << 16, MODEL_QUEUES = 3, MODEL_KEYS = 4, MODEL_AFTER_MAX = 3 };

struct model_job {
    uint64_t id;          /* index + 1 */
    enum job_state state; /* FREE: forgotten */
    bool is_committing;
    bool is_overdue;
    bool is_replayed;
    uint32_t queue;
    uint32_t key; /* 0: none */
    uint8_t priority;
    uint8_t attempt;
    uint64_t created_ms;
    uint64_t when_ms;
    uint64_t logged_due_ms; /* what recovery makes of when_ms */
    uint64_t ready_ms;
    uint64_t timer_ms; /* deadline or end of window; 0: none */
    uint64_t deadline_ms;
    uint32_t delivery;
    bool is_linked; /* in its FIFO, or in the list of finished ones */
    bool is_resting;
    bool holds_key;
    int64_t position;
    uint64_t order;         /* of its JOBs; set by the caller */
    enum job_unique unique; /* NONE: owns no key any more */
    uint64_t unique_key;
    uint64_t unique_until_ms;
    uint32_t body_hash;
    enum job_on_failure on_failure;
    uint64_t after[MODEL_AFTER_MAX]; /* 0: ended or never there */
    bool after_told[MODEL_AFTER_MAX];
    uint32_t after_failed;
    bool is_failed; /* to be written DEAD */
    bool is_named;  /* and nobody has to be told now */
    uint64_t named_again_ms;
    bool is_held;
};

struct job_model {
    struct job_table_config config;
    struct job_queue_settings queues[MODEL_QUEUES];
    struct model_job *jobs;
    uint32_t first; /* before this one all are forgotten */
    uint32_t count;
    uint64_t now_ms;
    int64_t next_position;
    int64_t front_position;
    uint32_t dead_claimed;
    uint64_t failed_later_ms;
};

/* The job with this id. */
struct model_job *model_job(struct job_model *model, uint64_t id);

/* As job_table_admit(); *ret_id is the other job, or the new one. */
enum job_admission model_admit(struct job_model *model, const struct model_job *ask,
                               uint64_t *ret_id);

/* As job_table_withdraw() of a job that is PENDING. */
void model_withdraw(struct job_model *model, uint64_t id);

/* The JOB is durable; ask says what it holds. */
void model_apply_job(struct job_model *model, uint64_t id, const struct model_job *ask);

/* The id that is next in this queue, 0: none. Takes back keys as the table does. */
uint64_t model_next(struct job_model *model, uint32_t queue);

/* The job is leased. */
void model_lease(struct job_model *model, uint64_t id, uint32_t delivery, uint32_t lease_ms);

/* As job_table_return(). */
void model_return(struct job_model *model, uint64_t id, uint64_t due_ms);

/* As job_table_claim(). */
enum job_claim model_claim(struct job_model *model, uint64_t id, bool has_delivery,
                           uint32_t delivery, enum job_fact_kind kind);

/* As job_table_unclaim(); kind is that of the claim, 0: a JOB. */
void model_unclaim(struct job_model *model, uint64_t id, enum job_fact_kind kind);

/* The claimed fact is durable. */
void model_apply(struct job_model *model, uint64_t id, const struct job_fact *fact);

/* Everything that time brings without a word. */
void model_pass_time(struct job_model *model);

/* The time at which something is to be named by job_table_due(), UINT64_MAX: nothing is. */
uint64_t model_due_ms(struct job_model *model);

/* What job_table_due() has just named happens. */
bool model_due(struct job_model *model, uint64_t id, enum job_due due);

/* As job_table_tidy(). */
void model_tidy(struct job_model *model);

/* What the table forgets after each record that is applied. */
void model_retire_crowd(struct job_model *model);

/* Live and remembered jobs of one queue in one state. */
uint32_t model_count(const struct job_model *model, uint32_t queue, enum job_state state);

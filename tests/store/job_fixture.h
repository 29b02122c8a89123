/*
 * A job table with a log beside it: what is applied is kept, so that it can be applied to
 * another table, as recovery does.
 */
#pragma once

#include "store/job_table.h"

static const uint64_t T0 = 1735689600000;

/* What a job asks for; zero is the default of everything. */
struct job_ask {
    const char *kind;    /* NULL: "mail" */
    const char *project; /* NULL: "p" */
    const char *key;
    uint64_t delay_ms;
    uint64_t deadline_ms;
    uint32_t timeout_ms;
    uint8_t priority;
    uint8_t max_attempts;
    uint8_t unique;
    uint64_t unique_key;
    uint64_t unique_until_ms;
    uint32_t body_hash;
    uint8_t on_failure;
    uint32_t after_count;
    uint64_t after[JOB_AFTER_COUNT_MAX];
};

/* One record as it was applied. */
struct job_logged {
    bool is_fact;
    struct job_image image;
    struct job_fact fact;
    uint64_t after[JOB_AFTER_COUNT_MAX];
    struct journal_location location;
};

extern struct job_table *table;
extern uint64_t now_ms;
extern struct job_logged *job_log;
extern uint32_t job_log_count;
extern uint64_t job_log_oldest_seq;

/* A table that has nothing to recover; forgets what was logged. */
void job_fixture_new(const struct job_table_config *config);

/* Frees it all. */
void job_fixture_end(void);

/* The usual configuration. */
struct job_table_config job_fixture_config(void);

/* The image of what is asked for. */
struct job_image job_fixture_image(const struct job_ask *ask, uint64_t id);

/* A location that was not used before, in this log. */
struct journal_location job_fixture_location(uint32_t log);

/* The queue of this kind of project "p". */
struct job_queue *job_fixture_queue(const char *kind);

/* Admits it. */
enum job_admission job_fixture_admit(const struct job_ask *ask, uint64_t id,
                                     struct job_ref *ret_ref);

/* The JOB is durable. */
void job_fixture_apply_job(const struct job_image *image, uint32_t log);

/* Admits and applies; gives the id. */
uint64_t job_fixture_enqueue(const struct job_ask *ask);

/* The fact is durable. */
void job_fixture_apply(struct job_fact fact, uint32_t log);

/* Claims and applies. */
enum job_claim job_fixture_do(uint64_t id, bool has_epoch, uint64_t epoch, struct job_fact fact);

/* Takes from the queue: the id, 0 when there is none. */
uint64_t job_fixture_take(const char *kind, uint32_t lease_ms);

/* By id; asserts that it is known. */
struct job_view job_fixture_view(uint64_t id);

/* Its state, JOB_FREE when it is not known. */
enum job_state job_fixture_state(uint64_t id);

/* Works off what is due without an answer to what it says. Returns how many. */
uint32_t job_fixture_due(void);

/* Mismatches of a whole round. */
uint32_t job_fixture_audit(void);

/* A new table that has read back the log. */
struct job_table *job_fixture_recover(const struct job_table_config *config);

/* Goes on with a table that has read back the log, as after a restart. */
void job_fixture_restart(void);

/* Carries the job forward into the log. key must outlive the log. */
void job_fixture_carry(uint64_t id, const char *key, uint32_t log);

/* The oldest segment of log 0 has gone. */
void job_fixture_drop_segment(void);

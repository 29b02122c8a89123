/*
 * Sim job model: a small reference queue: what a perfect server may have done with each job.
 *
 * The workload tells the model what it sends and what it is answered; the model says
 * whether a server that keeps its promises could have answered so. It knows nothing of HTTP,
 * disks or the server's code, and only what clients can know: a job has an end when
 * somebody was told of it, and may have one as soon as a command went out that could
 * end it, or time passed that could.
 *
 *     SENT --202--> there: never lost, one end, run in order and within limits
 *       |  --any refusal--> never run
 *       \--lost, or 503 with outcome unknown--> may be there, once
 *
 *     there --leased--> one lease at a time is in force, epochs grow, attempts are those
 *       |              whose outcome may have been recorded
 *       \--told: completed, dead, cancelled--> that it stays, and is never leased again
 *
 * A job is one line of a request, known by the number in its payload. Debounced ones that
 * replaced one another share an id; the first of them that was met, their root, has the
 * life of all. What holds for leases and their outcomes is in sim_job_leases.h, for settings
 * of queues in sim_job_queues.h.
 *
 * Two moments are compared by tick, which grows with all that is told: an answer came
 * before a request went out when its tick is smaller. Times are the world's.
 */
#pragma once

#include "tools/sim/sim_job_queues.h"

enum {
    SIM_JOB_COUNT_MAX = 6144,
    SIM_JOB_LEASE_COUNT_MAX = 24576,
    SIM_JOB_AFTER_COUNT_MAX = 6,
    SIM_JOB_ID_SIZE = 36,
    SIM_JOB_ID_SLOT_COUNT = 16384, /* a power of two */
};

/* The index of no job, lease or queue. */
#define SIM_JOB_NONE UINT32_MAX

/* Times of the server are whole ms, and it reads its clock once per turn. */
#define SIM_JOB_SLACK_NS ((uint64_t)3000000)

enum sim_job_unique {
    SIM_JOB_UNIQUE_NONE,
    SIM_JOB_UNIQUE_SINGLETON,
    SIM_JOB_UNIQUE_THROTTLE,
    SIM_JOB_UNIQUE_DEBOUNCE,
    SIM_JOB_UNIQUE_IDEMPOTENCY, /* Idempotency-Key */
};

enum sim_job_on_failure {
    SIM_JOB_ON_FAILURE_NONE,
    SIM_JOB_ON_FAILURE_FAIL,
    SIM_JOB_ON_FAILURE_CONTINUE,
    SIM_JOB_ON_FAILURE_IGNORE,
};

/* What somebody was told of a job's end. */
enum sim_job_end {
    SIM_JOB_LIVE, /* nothing yet */
    SIM_JOB_COMPLETED,
    SIM_JOB_DEAD,
    SIM_JOB_CANCELLED,
};

/* What a client asks for. */
struct sim_job_spec {
    uint8_t queue;
    uint8_t priority;
    uint8_t max_attempts;
    uint8_t unique;     /* enum sim_job_unique */
    uint8_t on_failure; /* enum sim_job_on_failure */
    uint8_t after_count;
    bool is_in_flow;
    uint16_t filler_size;
    uint32_t request; /* jobs with the same one are stored together or not at all */
    uint32_t key;     /* serial key; 0: none */
    /* Of the mode; for IDEMPOTENCY the same for all requests that bring the same key. */
    uint32_t unique_key;
    uint32_t unique_ms; /* THROTTLE: window; DEBOUNCE: wait */
    uint32_t delay_ms;
    uint32_t deadline_ms; /* 0: none */
    uint32_t after[SIM_JOB_AFTER_COUNT_MAX];
};

/* When a request went out. */
struct sim_job_ask {
    uint64_t tick;
    uint64_t ns;
    uint32_t life; /* of the server */
};

/* One job as sent; the second group is the root's. Private to sim_job_*.c, may be read. */
struct sim_job {
    struct sim_job_spec spec;
    uint32_t root;
    uint16_t open_count;
    uint16_t unknown_count;
    uint16_t send_count;
    uint16_t refused_count;
    uint64_t sent_tick; /* first attempt; 0: not yet */
    uint64_t sent_ns;
    uint32_t sent_life;
    uint32_t told_life;
    uint64_t latest_sent_tick;
    uint64_t told_tick; /* accepted, first answer that said so */
    uint64_t told_ns;
    bool was_new;      /* told that it is no duplicate */
    bool is_another;   /* a duplicate of another job: never stored itself */
    uint64_t mark;     /* private to sim_job_may_have_failed() */
    bool mark_failing; /* its answer */

    char id[SIM_JOB_ID_SIZE + 1]; /* "" while nobody knows */
    uint64_t there_tick;          /* since when it is known to be there; 0: it is not */
    uint8_t end;                  /* enum sim_job_end */
    uint64_t end_tick;
    uint64_t end_epoch;   /* under which it ended; 0: not known */
    uint64_t cancel_tick; /* when the first cancel went out */
    bool complete_sent;
    bool fatal_sent;       /* a failure that is not to be retried, or the last one */
    uint8_t attempt_told;  /* the most recorded attempts that an answer named */
    uint64_t attempt_tick; /* and when it did */
    uint16_t cancel_count; /* sent */
    uint32_t latest_lease; /* of all that were told, the greatest epoch */
};

/* A lease that a worker was given. Private to sim_job_*.c, may be read. */
struct sim_job_lease {
    uint32_t job; /* the root */
    uint32_t previous;
    uint64_t epoch;
    uint8_t attempt;
    struct sim_job_ask ask;
    uint32_t lease_ms;
    uint64_t told_tick;
    uint64_t told_ns;
    uint64_t until_ns;       /* in force until then at least */
    uint64_t ending_tick;    /* when the first outcome went out */
    uint16_t complete_count; /* sent */
    uint16_t complete_open;
    uint16_t complete_unknown;
    uint16_t fail_count;
    uint32_t retry_after_ms;
    uint64_t failed_ns;   /* when the failure went out that was acknowledged */
    uint64_t failed_tick; /* when it was */
    bool is_completed;    /* acknowledged */
    bool is_failed;       /* acknowledged */
};

/* Zeroed is empty, but for sim_job_model_init(). Large. */
struct sim_job_model {
    /* What the run allows. */
    bool forgets;     /* jobs that have ended may be unknown */
    bool dead_limit;  /* there may be no room for a dead letter: the job goes on */
    bool clock_jumps; /* what waits for a time of the wall clock may come early or late */
    bool reads_fail;  /* a job whose body cannot be read comes later */
    uint32_t tenant_concurrency; /* 0: no limit */

    uint64_t tick;
    uint64_t now_ns;    /* kept by the caller */
    uint32_t life;      /* kept by the caller: counts the server's processes */
    uint64_t boot_max;  /* greatest boot generation that an epoch had */
    uint64_t boot_tick; /* since when */
    uint64_t mark;
    uint32_t other; /* the job that stands in the way of the one that was judged last */
    uint32_t job_count;
    uint32_t lease_count;
    uint32_t request_count;
    struct sim_job_queue queues[SIM_JOB_QUEUE_COUNT];
    struct sim_job jobs[SIM_JOB_COUNT_MAX];
    struct sim_job_lease leases[SIM_JOB_LEASE_COUNT_MAX];
    uint32_t by_id[SIM_JOB_ID_SLOT_COUNT]; /* root + 1 */
};

/* A world without jobs. */
void sim_job_model_init(struct sim_job_model *model);

/* Something is told: the moment's tick. */
uint64_t sim_job_model_tick(struct sim_job_model *model);

/* A request goes out now. */
struct sim_job_ask sim_job_model_ask(struct sim_job_model *model);

/* Adds a job that will be sent; returns its number. */
uint32_t sim_job_model_add(struct sim_job_model *model, const struct sim_job_spec *spec);

/* An attempt to enqueue it begins. */
void sim_job_send(struct sim_job_model *model, uint32_t job);

/* The functions that follow return NULL, or static text: why a correct server cannot have
 * said so. ask is the request that was answered. */

/* It was accepted under this id. */
const char *sim_job_accepted(struct sim_job_model *model, uint32_t job, struct slice id,
                             bool is_duplicate, const struct sim_job_ask *ask);

/* Nothing was stored by this attempt. */
void sim_job_refused(struct sim_job_model *model, uint32_t job);

/* No answer, or one that says that nobody knows. */
void sim_job_unknown(struct sim_job_model *model, uint32_t job);

/* Whether another body with the same Idempotency-Key explains a conflict. */
bool sim_job_may_conflict(const struct sim_job_model *model, uint32_t job);

/* Whether another attempt with the same unique key may be under way. */
bool sim_job_may_be_in_flight(const struct sim_job_model *model, uint32_t job);

/* A cancel goes out; job is a root. */
void sim_job_cancel(struct sim_job_model *model, uint32_t job);

/* What it was answered: cancelled, or ended already, or nothing known of such a job. */
const char *sim_job_cancelled(struct sim_job_model *model, uint32_t job,
                              const struct sim_job_ask *ask);
const char *sim_job_called_ended(struct sim_job_model *model, uint32_t job);
const char *sim_job_called_unknown(struct sim_job_model *model, uint32_t job);

/* What GET says about a root. */
struct sim_job_look {
    enum sim_job_end end;
    bool is_waiting; /* for jobs that it comes after */
    uint8_t attempt;
    uint8_t max_attempts;
    bool has_result;
    uint32_t result_job; /* as the worker wrote them into its result */
    uint64_t result_epoch;
};

/* GET told this of the job. NULL, or what of it cannot be; ask is the request that asked. */
const char *sim_job_looked(struct sim_job_model *model, uint32_t job,
                           const struct sim_job_look *look, const struct sim_job_ask *ask);

/* --- what may be ------------------------------------------------------------ */

/* The job with this id; SIM_JOB_NONE. */
uint32_t sim_job_find(const struct sim_job_model *model, struct slice id);

/* Whether the root may be dead or cancelled, or completed, or any of these by now. */
bool sim_job_may_have_failed(struct sim_job_model *model, uint32_t job);
bool sim_job_may_have_ended(struct sim_job_model *model, uint32_t job);

/* Whether the deadline may have passed. */
bool sim_job_may_be_late(const struct sim_job_model *model, const struct sim_job *job);

/* How many attempts may have been recorded by now, and must have been by tick. */
uint32_t sim_job_attempts_max(const struct sim_job_model *model, const struct sim_job *job);
uint32_t sim_job_attempts_min(const struct sim_job_model *model, const struct sim_job *job,
                              uint64_t tick);

/* True when no attempt to send it can have stored it. */
bool sim_job_is_refused(const struct sim_job *job);

/* --- for sim_job_*.c -------------------------------------------------------- */

/* This job was seen under this id: its root, made or joined; *ret_why is set when that cannot be.
 */
uint32_t sim_job_identify(struct sim_job_model *model, uint32_t job, struct slice id,
                          const char **ret_why);

/* Somebody was told that the root has ended. */
const char *sim_job_note_end(struct sim_job_model *model, uint32_t job, enum sim_job_end end,
                             uint64_t epoch);

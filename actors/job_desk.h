/*
 * Job desk: keeps the jobs of the projects that this shard owns.
 *
 * One per shard. Requests come from the HTTP handlers of any shard (job_request.h). What
 * they want is asked of the job table (store/job_table.h), written as facts
 * (store/job_record.h) and answered when these are durable and applied; leases, which are
 * not written, are answered at once, or when there is something to lease. The desk also
 * does what nobody asks for: leases that expire, deadlines, jobs that wait for others,
 * retention, carrying forward.
 *
 *     job_desk.c      the actor: messages, time, queues woken
 *     job_facts.c     what the log says, when it is durable and after a start
 *     job_step.c      facts that nobody asked for: leases that expire, deadlines, age
 *     job_metrics.c   what /metrics says
 *     job_request.c   requests on their way to the owner and back
 *     job_commands.c  enqueue, complete, fail, extend, cancel, settings
 *     job_delivery.c  lease, wait, look up: whatever reads bodies
 *     job_carrier.c   carrying jobs out of a segment that is about to go
 *     job_handler.c   kinds that the process itself carries out: jobs taken, in turns
 *     job_run.c       one of these jobs, from its lease to its outcome
 */
#pragma once

#include "actors/job_body_cache.h"
#include "actors/job_carrier.h"
#include "actors/job_handler.h"
#include "actors/job_metrics.h"
#include "actors/job_request.h"
#include "actors/job_step.h"
#include "actors/outbox.h"
#include "runtime/metrics.h"
#include "runtime/pool.h"

enum {
    JOB_DESK_MAGIC = 0x4a4f4244,
    JOB_JITTER_PERCENT = 20, /* of queues that ask for proportional jitter */
    JOB_QUEUE_RECORD_SIZE_MAX = sizeof(struct job_queue_header) + 3 * JOB_NAME_SIZE_MAX,
    JOB_TIDY_MS = 1000,              /* between looks at retention and at the auditor's next part */
    JOB_AUDIT_STEP_MAX = 262144,     /* a round takes a minute up to 15 million jobs */
    JOB_DLQ_FULL_RETRY_MS = 60000,   /* a job that has no room as a dead letter comes again */
    JOB_UNREADABLE_RETRY_MS = 60000, /* and one whose body cannot be read */
};

struct app_shard;
struct job_desk;

/* Private to the job_*.c files; embedded in the app_shard. */
struct job_desk {
    struct actor actor;
    struct durable durable;
    struct app_shard *home;
    struct outbox outbox;
    struct pool requests; /* of this shard's connections */
    struct pool steps;
    struct job_table *table;
    struct job_body_cache bodies;
    struct job_carrier carrier;
    struct job_handlers handlers;
    struct list_node waiting; /* leases that wait, of all queues: none when draining */
    uint32_t waiting_count;
    struct timer due_timer;
    struct timer tidy_timer;
    uint64_t due_armed_ms; /* what due_timer is set for; UINT64_MAX: not armed */
    uint64_t anchor_unix_ms;
    uint64_t anchor_mono_ns;
    struct list_node queue_changes; /* requests that wait for the settings before them */
    uint32_t queue_change_count;    /* settings on their way into the log: one at a time */
    uint32_t live_count;            /* jobs that had not ended when all had been read */
    bool is_resumed;
    bool is_waking;
    bool is_stopping;
};

/* Reserves the tables. 0 or -errno. Start-up only; the durable is added by the caller. */
MUST_USE int job_desk_init(struct job_desk *desk, struct app_shard *home);

/* Frees what job_desk_init() made. */
void job_desk_deinit(struct job_desk *desk);

/* The type and magic for the shard's supervision tree. */
extern const struct actor_type job_desk_type;

/* What earlier starts wrote to logs of other shards has gone: see job_table_old_logs_gone(). */
void job_desk_old_logs_gone(struct job_desk *desk);

/* Answers every lease that waits with what there is, and lets none wait from now on. */
void job_desk_drain(struct job_desk *desk);

/* The desk that keeps this project's jobs. */
struct job_desk *job_desk_of_project(struct app_shard *home, struct slice org,
                                     struct slice project);

/* Unix ms on the desk's steady clock. */
uint64_t job_desk_now(const struct job_desk *desk);

/* True when every request of this shard has been answered. */
bool job_desk_is_idle(const struct job_desk *desk);

/* The retry policy of queues that set none. */
extern const struct job_queue_retry JOB_RETRY_DEFAULT;

/* job_facts.c: what the log knows of jobs. */
extern const struct durable_type job_durable_type;

/* --- for the job_*.c files ------------------------------------------------- */

/* Carries out a request that has arrived at its owner. */
void job_desk_do(struct job_desk *desk, struct job_request *request);

/* The owner is done with it: back home. */
void job_desk_decide(struct job_desk *desk, struct job_request *request);

/* A request has arrived at home again. */
void job_request_came_back(struct job_request *request);

/* Lets waiting leases have what has become ready, and sets the timer for what comes next. */
void job_desk_wake(struct job_desk *desk);

/* A job has been handed to whoever works on it: counts how long it had been ready. */
void job_desk_note_lease(struct job_desk *desk, const struct job_view *view);

/* The auditor's next step_max entries; what it finds is counted and logged. */
void job_desk_audit(struct job_desk *desk, uint32_t step_max);

/* The numbers of a queue. */
void job_desk_show_queue(struct job_desk *desk, const struct job_queue *queue,
                         struct job_queue_view *ret_view);

/* How long the oldest job that may run has waited, in the queue that is furthest behind. */
uint64_t job_desk_oldest_ready_ms(const struct job_desk *desk);

/* A record about the job; part is borrowed. */
void job_desk_fill_record(struct job_desk *desk, struct job_ref ref, uint8_t type,
                          const struct slice *part, struct journal_record *ret_record);

/* job_commands.c */
void job_command_enqueue(struct job_desk *desk, struct job_request *request);
void job_command_finish(struct job_desk *desk, struct job_request *request, uint32_t count);
void job_command_extend(struct job_desk *desk, struct job_request *request);
void job_command_cancel(struct job_desk *desk, struct job_request *request);
void job_command_set_queue(struct job_desk *desk, struct job_request *request);
void job_command_get_queue(struct job_desk *desk, struct job_request *request);
void job_command_list_queues(struct job_desk *desk, struct job_request *request);

/* What a failure of the leased job leads to: a RETRY, or DEAD with its reason. */
void job_command_judge_failure(struct job_desk *desk, const struct job_view *view,
                               bool is_retryable, uint64_t retry_after_ms,
                               enum job_dead_reason last_reason,
                               struct job_fact_header *ret_header);

/* Writes the payload of a JOB_QUEUE to JOB_QUEUE_RECORD_SIZE_MAX bytes; returns its size. */
size_t job_command_encode_queue(const struct job_queue *queue,
                                const struct job_queue_settings *settings, char *bytes);

/* There is no room for a dead letter: no attempt is counted, the job comes again later. */
void job_command_judge_postponed(struct job_desk *desk, struct job_fact_header *header);

/* job_delivery.c */
void job_delivery_lease(struct job_desk *desk, struct job_request *request);
void job_delivery_return(struct job_desk *desk, struct job_request *request);
void job_delivery_get(struct job_desk *desk, struct job_request *request);
void job_delivery_serve(struct job_desk *desk, struct job_queue *queue);
void job_delivery_on_wait_timer(struct job_desk *desk, struct job_request *request);
void job_delivery_stop_waiting(struct job_desk *desk, struct job_request *request);

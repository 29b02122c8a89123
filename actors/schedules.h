/*
 * Schedules: enqueues jobs by the clock, for the projects that this shard owns.
 *
 * One actor per shard. A schedule belongs to a project and lives where the project's jobs
 * do; requests come from the HTTP handlers of any shard (schedule_request.h). That it is
 * there, and what has run, are facts (store/schedule_record.h); a run is one record group,
 * {the schedule with the run counted, its job}, so a crash neither loses nor doubles one.
 *
 *     table --earliest--> timer --> due? (store/schedule_due.h) --> job_internal.h, commit
 *       ^                  30 s at most: a wall clock may jump              |
 *       +---------------- applied: counted, the next time is known --------+
 *
 * When the job's queue refuses it (draining, full) the run is skipped and the schedule goes
 * on; when the server has no room for it just now, it is tried again.
 *
 *     schedules.c          the actor: time, facts applied, carrying forward
 *     schedule_commands.c  what requests want, and the answers' JSON
 *     schedule_request.c   requests, as errands to the owner and back
 */
#pragma once

#include "actors/job_internal.h"
#include "actors/schedule_request.h"
#include "actors/zone_cache.h"
#include "runtime/metrics.h"
#include "store/schedule_due.h"
#include "store/schedule_table.h"

enum {
    SCHEDULES_MAGIC = 0x53434845,
    SCHEDULE_STEP_COUNT_MAX = 64, /* runs and records carried forward, in flight */
    SCHEDULE_TICK_MS = 30000,     /* longest time without a look at the wall clock */
    SCHEDULE_RETRY_MS = 100,      /* after something was short */
    SCHEDULE_STOP_POLL_MS = 1,
    /* A wall clock that went back so far is taken for a correction, not for another time. */
    SCHEDULE_STEP_BACK_MS_MAX = 3600000,
};

struct app_shard;

/* Series; registered once. */
struct schedule_metrics {
    struct metric count;
    struct metric fired;
    struct metric missed;
    struct metric skipped;
};

/* A run, or a schedule carried forward, on its way into the log. Private to schedules.c. */
struct schedule_step {
    struct schedules *owner;
    struct schedule *schedule;
    struct buffer *image;
    struct slice part;
    struct job_internal job; /* zeroed: none */
    struct journal_record records[2];
    struct durable_step step;
    uint32_t missed_count;
    bool is_skipped;
};

/* Private to the schedule*.c files; embedded in the app_shard. */
struct schedules {
    struct actor actor;
    struct durable durable;
    struct app_shard *home;
    struct errands errands;
    struct pool steps;
    struct schedule_table *table;
    struct zone_cache zones;
    struct list_node waiting; /* requests: for a zone, or for a record that is being written */
    struct timer timer;
    struct timer carry_timer;
    uint64_t zones_tried_ns; /* when MISSING zones were last asked for */
    uint32_t carry_log;
    uint64_t carry_seq;    /* 0: nothing is being carried */
    uint32_t commit_count; /* of requests, in flight */
    bool is_resumed;
    bool is_short; /* something due could not be done for want of room */
    bool is_stopping;
};

/* Registers the series. Boot only. */
void schedule_metrics_add(struct metrics_registry *registry, struct schedule_metrics *ret_metrics);

/* Reserves the tables. 0 or -errno. Start-up only; the durable is added by the caller. */
MUST_USE int schedules_init(struct schedules *schedules, struct app_shard *home);

/* Frees what schedules_init() made. */
void schedules_deinit(struct schedules *schedules);

/* The type and magic for the shard's supervision tree. */
extern const struct actor_type schedules_type;

/* The actor that keeps this project's schedules. */
struct schedules *schedules_of_project(struct app_shard *home, struct slice org,
                                       struct slice project);

/* True when every request of this shard has been answered. */
bool schedules_is_idle(const struct schedules *schedules);

/* --- for the schedule*.c files ------------------------------------------------ */

/* Unix ms by the wall clock. */
uint64_t schedules_now(const struct schedules *schedules);

/* Carries out a request that has arrived at its owner. schedule_commands.c */
void schedules_do(struct schedules *schedules, struct schedule_request *request);

/* The owner is done with it: back home. schedule_commands.c */
void schedules_decide(struct schedules *schedules, struct schedule_request *request);

/* Something about this LIVE schedule has changed: when is it due next? */
void schedules_settle(struct schedules *schedules, const struct schedule *schedule);

/* A record has been written, or a zone read: whoever waited for that goes on. */
void schedules_go_on(struct schedules *schedules);

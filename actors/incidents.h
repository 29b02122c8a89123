/*
 * Incidents: finds out what is wrong in the projects that this shard owns.
 *
 * One actor per shard, which keeps the series of all its projects, each of them with its own
 * minutes and its own incident (store/incident_table.h). A project's series are where its jobs
 * are, so that an incident and the job that summarises it stand in one record group.
 *
 *     intake, after durability --incidents_fold()--> table --changes--> INCIDENT (+ JOB) --+
 *         ^                                            ^                                   |
 *         |                                      timers, PATCH                          written
 *         +------- the event is answered when what it led to is on stable storage <--------+
 *
 * Events come from the intake of any shard, with the request they came in: it is lent, as for
 * deduplication, and goes back when its events are counted. When one of them has led to a
 * decision, that is when the decision is durable; so whoever has got his 202 finds the incident.
 * When the journal is slow the requests wait here, in order, and their senders with them.
 *
 *     incidents.c             the actor: folding, time, facts
 *     incident_writer.c       what has been decided on its way into the log, with its job
 *     incident_texts.c        what a new incident is about, from its newest event's record
 *     incident_carrier.c      records carried forward
 *     incident_step.c         memory of one record for both
 *     incident_metrics.c      what /metrics says
 *     incident_commands.c     what requests want, and the answers' JSON
 *     incident_request.c      requests, as errands to the owner and back
 */
#pragma once

#include "actors/incident_carrier.h"
#include "actors/incident_metrics.h"
#include "actors/incident_request.h"
#include "actors/incident_writer.h"
#include "store/incident_table.h"

enum {
    INCIDENTS_MAGIC = 0x494e4349,
    INCIDENT_RETRY_MS = 100,  /* after something was short */
    INCIDENT_LOOK_MS = 250,   /* between looks at the clock while something may happen */
    INCIDENT_TICK_MS = 60000, /* and else */
    INCIDENT_STOP_POLL_MS = 1,
    INCIDENT_PROJECTS_MAX = 4096, /* per process, with series or rules of their own */
};

struct app_shard;
struct settings;
struct intake_request;

/* Private to the incident*.c files; embedded in the app_shard. */
struct incidents {
    struct actor actor;
    struct durable durable;       /* of incidents */
    struct durable rules_durable; /* of rules */
    struct app_shard *home;
    struct errands errands;
    struct pool steps;
    struct incident_table *table;
    struct incident_writer writer;
    struct incident_carrier carrier;
    struct list_node folding;  /* intake requests that wait for room */
    struct list_node settling; /* and those that wait for their decisions to be durable */
    struct list_node asking;   /* incident requests that wait for theirs */
    struct timer timer;
    struct incident_table_stats exported; /* what the metrics have */
    uint32_t commit_count;                /* of requests, in flight */
    uint64_t expired_ms;                  /* when old incidents were last looked for */
    bool is_resumed;
    bool is_behind; /* what a restart left undecided is not decided yet */
    bool is_working;
    bool is_watching; /* the timer looks often */
    bool is_stopping;
};

/* Reserves the memory. 0 or -errno. Start-up only; both durables are added by the caller. */
MUST_USE int incidents_init(struct incidents *incidents, struct app_shard *home);

/* Frees what incidents_init() made. */
void incidents_deinit(struct incidents *incidents);

/* The type and magic for the shard's supervision tree. */
extern const struct actor_type incidents_type;

/* How large the table of one shard is, but for its hash key and seed. */
void incidents_table_config(const struct settings *settings, uint32_t shard_count,
                            struct incident_table_config *ret_config);

/* The actor that keeps the series of projects of this partition. */
struct incidents *incidents_of_partition(struct app_shard *home, uint32_t partition);

/* True when every request of this shard has been answered. */
bool incidents_is_idle(const struct incidents *incidents);

/* Recovery: an event of a project of this shard. Boot thread, before the hand-over. */
void incidents_recover(struct incidents *incidents, const struct record_event *event,
                       struct journal_location location);

/* True when the event is too old for its series; see RECORD_EVENT_LATE. */
MUST_USE bool incidents_is_late(const struct incidents *incidents,
                                const struct record_event *event);

/*
 * Counts the durable events of a request, which this shard owns. False when that takes its
 * time: then intake_request_folded() is called later.
 */
MUST_USE bool incidents_fold(struct incidents *incidents, struct intake_request *request);

/* Copies levels and totals of the table into the shard's metrics. */
void incidents_export(struct incidents *incidents);

/* --- for the incident*.c files ------------------------------------------------ */

/* Unix ms by the wall clock. */
uint64_t incidents_now(const struct incidents *incidents);

/* The series of metrics. */
const struct incident_metrics *incidents_series(const struct incidents *incidents);

/* Adds n to one of them. */
void incidents_count(struct incidents *incidents, struct metric metric, uint64_t n);

/* Carries out a request that has arrived at its owner. incident_commands.c */
void incidents_do(struct incidents *incidents, struct incident_request *request);

/* The request's change is decided: answers it when it is durable. */
void incidents_wait(struct incidents *incidents, struct incident_request *request);

/* What the request has waited for is durable, or never will be. incident_commands.c */
void incidents_answer(struct incidents *incidents, struct incident_request *request,
                      bool is_durable);

/* Writes what has been decided, and lets those go on who wait. */
void incidents_go_on(struct incidents *incidents);

/*
 * Job call: the run of a job that calls a server, past the breaker of that server.
 *
 *     acquire --> job_call_admit() --no--> parked behind the breaker
 *                      \--yes--> http_client_start(), which the handler calls
 *                                     \--> on_done --> job_call_end() --> the run's outcome
 *
 * What handlers of such jobs have in common. A handler embeds a struct job_call first in its
 * own struct for a run, and a struct job_calls in its own struct for a shard. The breaker is
 * told before the job is: whom it lets come must be there when the desk looks for more to do.
 */
#pragma once

#include "actors/breakers.h"
#include "actors/job_handler.h"
#include "http/client.h"
#include "runtime/pool.h"

enum {
    JOB_CALL_BUSY_MS = 500, /* until a job comes again that could not be sent for our sake */
};

struct app_shard;
struct job_calls;

/* One run. The first three may be used by its handler. */
struct job_call {
    struct job_run run;
    struct http_client_call http;
    bool is_probe; /* the call that is, or was, admitted tells whether the server is back */
    /* Private to job_call.c. */
    bool is_admitted;
    uint32_t generation;
    struct job_calls *calls;
    const struct breaker_policy *policy;
    struct breakers_entry *destination;
};

/* All of one handler on a shard. */
struct job_calls {
    struct job_handler handler;
    struct app_shard *home;
    struct address_policy addresses; /* where they may go; the handler's to set */
    /* Private to job_call.c, but for its counts. */
    struct pool pool;
    size_t slot_size;
};

/*
 * Reserves concurrency slots of slot_size bytes, each of which begins with a struct job_call,
 * and registers the handler at the shard's desk, which there must be. calls is zeroed, but for
 * its addresses. 0 or -errno. Start-up only.
 */
MUST_USE int job_calls_init(struct job_calls *calls, struct app_shard *home,
                            const struct job_handler_type *type, const char *name, size_t slot_size,
                            uint32_t concurrency);

/* Frees what job_calls_init() made. */
void job_calls_deinit(struct job_calls *calls);

/* For job_handler_type.acquire: a zeroed slot, or NULL. */
MUST_USE struct job_run *job_call_acquire(struct job_handler *handler);

/* For job_handler_type.release: takes the slot back. Its call is over. */
void job_call_release(struct job_call *call);

/*
 * Asks the breaker of origin, in the name of that project. True: the call may be made, and
 * job_call_end() is owed. False: the run is parked behind the breaker, and gone.
 */
MUST_USE bool job_call_admit(struct job_call *call, struct slice org, struct slice project,
                             struct slice origin, const struct breaker_policy *policy);

/* Tells the breaker what the call has shown. Nothing when none is admitted. */
void job_call_end(struct job_call *call, enum breakers_result result);

/* After job_call_end() of a probe: parks the run behind the breaker again. It is gone. */
void job_call_park(struct job_call *call);

/* Parks the run for so long, for our sake: the breaker learns nothing. It is gone. */
void job_call_rest(struct job_call *call, uint64_t delay_ms);

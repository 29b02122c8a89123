#include "actors/job_call.h"

#include "actors/app.h"

/*
 *     idle --admit--> admitted --end--> idle       parked: from idle, and the slot is released
 *
 * The destination is an entry of the breakers' table and may be used by another name once
 * another turn has begun, so it is looked up anew for each call and only park() uses it after
 * the call has ended, which follows at once.
 */

static struct job_calls *calls_of(struct job_handler *handler)
{
    return container_of(handler, struct job_calls, handler);
}

struct job_run *job_call_acquire(struct job_handler *handler)
{
    struct job_calls *calls = calls_of(handler);
    void *slot = pool_acquire(&calls->pool);
    struct job_call *call = slot;

    if (slot == NULL)
        return NULL;
    memset(slot, 0, calls->slot_size);
    call->calls = calls;
    return &call->run;
}

void job_call_release(struct job_call *call)
{
    struct job_calls *calls = call->calls;
    void *slot = call;

    assert(!http_client_is_open(&call->http));
    assert(!call->is_admitted);
    pool_release(&calls->pool, &slot);
}

bool job_call_admit(struct job_call *call, struct slice org, struct slice project,
                    struct slice origin, const struct breaker_policy *policy)
{
    struct breakers *breakers = &call->calls->home->breakers;
    uint64_t now_ms = job_desk_now(call->run.desk);

    assert(!call->is_admitted);
    call->policy = policy;
    call->destination = breakers_get(breakers, org, project, origin, now_ms);
    if (!breakers_admit(breakers, call->destination, policy, now_ms, &call->generation)) {
        job_call_park(call);
        return false;
    }
    call->is_admitted = true;
    call->is_probe = breaker_state(&call->destination->breaker) == BREAKER_HALF_OPEN;
    return true;
}

void job_call_end(struct job_call *call, enum breakers_result result)
{
    if (!call->is_admitted)
        return;
    call->is_admitted = false;
    breakers_end(&call->calls->home->breakers, call->destination, call->policy,
                 job_desk_now(call->run.desk), call->generation, result);
}

void job_call_park(struct job_call *call)
{
    uint64_t now_ms = job_desk_now(call->run.desk);

    assert(!call->is_admitted);
    assert(call->destination != NULL);
    job_run_park(&call->run, breakers_park(&call->calls->home->breakers, call->destination,
                                           call->policy, call->run.id_low, now_ms));
}

void job_call_rest(struct job_call *call, uint64_t delay_ms)
{
    job_call_end(call, BREAKERS_NOTHING);
    job_run_park(&call->run, job_desk_now(call->run.desk) + delay_ms);
}

int job_calls_init(struct job_calls *calls, struct app_shard *home,
                   const struct job_handler_type *type, const char *name, size_t slot_size,
                   uint32_t concurrency)
{
    int r;

    assert(slot_size >= sizeof(struct job_call));
    calls->home = home;
    calls->slot_size = slot_size;
    calls->handler.type = type;
    calls->handler.concurrency = concurrency;
    r = pool_init(&calls->pool, name, slot_size, concurrency);
    if (r == 0)
        job_handlers_add(&home->jobs.handlers, &calls->handler);
    return r;
}

void job_calls_deinit(struct job_calls *calls)
{
    pool_abandon(&calls->pool);
}

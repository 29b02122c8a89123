#include "actors/incident_request.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * Both ways a request is lent by message; when home and owner are the same shard it is
 * handed over by a call.
 */

static void request_check(const struct incident_request *request)
{
    assert(request->magic == INCIDENT_REQUEST_MAGIC);
    assert(request->home != NULL);
    assert(request->phase <= INCIDENT_REQUEST_DECIDED);
}

struct incident_request *incident_request_acquire(struct incidents *home, struct exchange *exchange)
{
    struct incident_request *request =
        FAILPOINT("no incident request is free") ? NULL : pool_acquire(&home->requests);

    if (request == NULL)
        return NULL;
    memset(request, 0, offsetof(struct incident_request, text));
    request->magic = INCIDENT_REQUEST_MAGIC;
    request->code = PROBLEM_NONE;
    request->home = home;
    request->connection = exchange->actor->id;
    request->token = exchange->token;
    list_init(&request->link);
    return request;
}

static void free_request(struct incident_request *request)
{
    struct incidents *home = request->home;
    void *slot = request;

    assert(list_is_empty(&request->link));
    request->magic = 0;
    pool_release(&home->requests, &slot);
}

void incident_request_submit(struct incident_request *request)
{
    struct incidents *home = request->home;
    uint32_t partition = job_partition((struct slice){request->org, request->org_size},
                                       (struct slice){request->project, request->project_size},
                                       home->home->app->superblock.partition_count);

    request_check(request);
    assert(request->phase == INCIDENT_REQUEST_FILLING);
    request->owner = incidents_of_partition(home->home, partition);
    request->phase = INCIDENT_REQUEST_LENT;
    if (request->owner == home) {
        incidents_do(home, request);
    } else {
        SOMETIMES("an incident request goes to another shard");
        outbox_send(&home->outbox, &home->actor, request->owner->actor.id, MSG_INCIDENT_DO, 0,
                    request);
    }
}

void incidents_decide(struct incidents *incidents, struct incident_request *request)
{
    request_check(request);
    assert(request->owner == incidents);
    assert(request->phase == INCIDENT_REQUEST_LENT);
    if (request->home == incidents)
        incident_request_came_back(request);
    else
        outbox_send(&incidents->outbox, &incidents->actor, request->home->actor.id,
                    MSG_INCIDENT_DONE, 0, request);
}

void incident_request_came_back(struct incident_request *request)
{
    struct incidents *home = request->home;

    request_check(request);
    assert(request->phase == INCIDENT_REQUEST_LENT);
    request->phase = INCIDENT_REQUEST_DECIDED;
    if (request->abandoned)
        free_request(request);
    else
        outbox_send(&home->outbox, &home->actor, request->connection, MSG_INCIDENT_ANSWER,
                    request->token, request);
}

void incident_request_release(struct incident_request **request)
{
    struct incident_request *it = *request;

    request_check(it);
    *request = NULL;
    if (it->phase != INCIDENT_REQUEST_LENT) {
        free_request(it);
        return;
    }
    SOMETIMES("a connection goes while its incident request is away");
    it->abandoned = true;
}

#include "actors/incident_request.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

struct incident_request *incident_request_acquire(struct incidents *home, struct exchange *exchange)
{
    struct incident_request *request =
        FAILPOINT("no incident request is free") ? NULL : pool_acquire(&home->errands.pool);

    if (request == NULL)
        return NULL;
    memset(request, 0, offsetof(struct incident_request, text));
    errand_begin(&request->errand, &home->errands, exchange);
    return request;
}

void incident_request_submit(struct incident_request *request)
{
    struct errand *errand = &request->errand;
    struct app_shard *home = container_of(errand->home, struct incidents, errands)->home;
    uint32_t partition = job_partition(errand_org(errand), errand_project(errand),
                                       home->app->superblock.partition_count);
    struct errands *owner = &incidents_of_partition(home, partition)->errands;

    if (owner != errand->home)
        SOMETIMES("an incident request goes to another shard");
    errand_submit(errand, owner);
}

static void carry_out(struct errand *errand)
{
    incidents_do(container_of(errand->owner, struct incidents, errands),
                 incident_request_of(errand));
}

static void free_request(struct errand *errand)
{
    void *slot = incident_request_of(errand);

    pool_release(&errand->home->pool, &slot);
}

const struct errand_type incident_request_type = {
    .name = "incident requests",
    .size = sizeof(struct incident_request),
    .count_max = INCIDENT_REQUEST_COUNT_MAX,
    .message_do = MSG_INCIDENT_DO,
    .message_done = MSG_INCIDENT_DONE,
    .message_answer = MSG_INCIDENT_ANSWER,
    .carry_out = carry_out,
    .free = free_request,
};

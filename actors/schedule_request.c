#include "actors/schedule_request.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * Both ways a request is lent by message; when home and owner are the same shard it is
 * handed over by a call. What has to be written is encoded at home, where the body is, so
 * that the owner only fills in the head; the buffer for the answer comes from home too.
 */

static void request_check(const struct schedule_request *request)
{
    assert(request->magic == SCHEDULE_REQUEST_MAGIC);
    assert(request->home != NULL);
    assert(request->phase <= SCHEDULE_REQUEST_DECIDED);
}

struct schedule_request *schedule_request_acquire(struct schedules *home, struct exchange *exchange)
{
    struct schedule_request *request =
        FAILPOINT("no schedule request is free") ? NULL : pool_acquire(&home->requests);

    if (request == NULL)
        return NULL;
    memset(request, 0, sizeof(*request));
    request->magic = SCHEDULE_REQUEST_MAGIC;
    request->code = PROBLEM_NONE;
    request->home = home;
    request->connection = exchange->actor->id;
    request->token = exchange->token;
    list_init(&request->link);
    return request;
}

static void free_request(struct schedule_request *request)
{
    struct schedules *home = request->home;
    void *slot = request;

    assert(request->zone == NULL);
    assert(list_is_empty(&request->link));
    buffer_unref(&request->image);
    buffer_unref(&request->text);
    request->magic = 0;
    pool_release(&home->requests, &slot);
}

int schedule_request_take_spec(struct schedule_request *request, const struct schedule_spec *spec,
                               struct slice key)
{
    struct schedule_image image = {
        /* Valid for those who check; the owner says what they really are. */
        .header = {.revision = 1,
                   .timeout_ms = spec->timeout_ms,
                   .missed = spec->missed,
                   .priority = spec->priority,
                   .max_attempts = spec->max_attempts,
                   .flags = spec->is_paused ? SCHEDULE_FLAG_PAUSED : 0},
        .sections = {
            [SCHEDULE_SECTION_ORG] = {request->org, request->org_size},
            [SCHEDULE_SECTION_PROJECT] = {request->project, request->project_size},
            [SCHEDULE_SECTION_NAME] = {request->name, request->name_size},
            [SCHEDULE_SECTION_CRON] = {spec->cron_text, spec->cron_size},
            [SCHEDULE_SECTION_ZONE] = {spec->zone, spec->zone_size},
            [SCHEDULE_SECTION_KIND] = {spec->kind, spec->kind_size},
            [SCHEDULE_SECTION_KEY] = key,
            [SCHEDULE_SECTION_PAYLOAD] = spec->payload,
        }};
    int r;

    request_check(request);
    assert(request->phase == SCHEDULE_REQUEST_FILLING);
    r = buffer_acquire(request->home->home->buffers, schedule_image_size(&image), &request->image);
    if (r < 0)
        return r;
    request->image->size = (uint32_t)schedule_image_encode(&image, request->image->data);
    return 0;
}

/* --- there and back ------------------------------------------------------------- */

int schedule_request_submit(struct schedule_request *request)
{
    struct schedules *home = request->home;
    size_t size = request->operation == SCHEDULE_LIST
                      ? (size_t)SCHEDULE_LIST_SIZE_MAX
                      : (size_t)SCHEDULE_TEXT_SIZE_MAX + SCHEDULE_SPEC_PAYLOAD_SIZE_MAX;
    int r;

    request_check(request);
    assert(request->phase == SCHEDULE_REQUEST_FILLING);
    r = buffer_acquire(home->home->buffers, size, &request->text);
    if (r < 0)
        return r;
    request->owner =
        schedules_of_project(home->home, (struct slice){request->org, request->org_size},
                             (struct slice){request->project, request->project_size});
    request->phase = SCHEDULE_REQUEST_LENT;
    if (request->owner == home) {
        schedules_do(home, request);
    } else {
        SOMETIMES("a schedule request goes to another shard");
        outbox_send(&home->outbox, &home->actor, request->owner->actor.id, MSG_SCHEDULE_DO, 0,
                    request);
    }
    return 0;
}

void schedules_decide(struct schedules *schedules, struct schedule_request *request)
{
    request_check(request);
    assert(request->owner == schedules);
    assert(request->phase == SCHEDULE_REQUEST_LENT);
    zone_cache_put(&schedules->zones, &request->zone);
    if (request->home == schedules)
        schedule_request_came_back(request);
    else
        outbox_send(&schedules->outbox, &schedules->actor, request->home->actor.id,
                    MSG_SCHEDULE_DONE, 0, request);
}

void schedule_request_came_back(struct schedule_request *request)
{
    struct schedules *home = request->home;

    request_check(request);
    assert(request->phase == SCHEDULE_REQUEST_LENT);
    request->phase = SCHEDULE_REQUEST_DECIDED;
    if (request->abandoned)
        free_request(request);
    else
        outbox_send(&home->outbox, &home->actor, request->connection, MSG_SCHEDULE_ANSWER,
                    request->token, request);
}

void schedule_request_release(struct schedule_request **request)
{
    struct schedule_request *it = *request;

    request_check(it);
    *request = NULL;
    if (it->phase != SCHEDULE_REQUEST_LENT) {
        free_request(it);
        return;
    }
    SOMETIMES("a connection goes while its schedule request is away");
    it->abandoned = true;
}

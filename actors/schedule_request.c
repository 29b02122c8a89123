#include "actors/schedule_request.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * What has to be written is encoded at home, where the body is, so that the owner only fills
 * in the head; the buffer for the answer comes from home too.
 */

static struct schedules *home_of(const struct schedule_request *request)
{
    return container_of(request->errand.home, struct schedules, errands);
}

struct schedule_request *schedule_request_acquire(struct schedules *home, struct exchange *exchange)
{
    struct schedule_request *request =
        FAILPOINT("no schedule request is free") ? NULL : pool_acquire(&home->errands.pool);

    if (request == NULL)
        return NULL;
    memset(request, 0, sizeof(*request));
    errand_begin(&request->errand, &home->errands, exchange);
    return request;
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
            [SCHEDULE_SECTION_ORG] = errand_org(&request->errand),
            [SCHEDULE_SECTION_PROJECT] = errand_project(&request->errand),
            [SCHEDULE_SECTION_NAME] = {request->name, request->name_size},
            [SCHEDULE_SECTION_CRON] = {spec->cron_text, spec->cron_size},
            [SCHEDULE_SECTION_ZONE] = {spec->zone, spec->zone_size},
            [SCHEDULE_SECTION_KIND] = {spec->kind, spec->kind_size},
            [SCHEDULE_SECTION_KEY] = key,
            [SCHEDULE_SECTION_PAYLOAD] = spec->payload,
        }};
    int r;

    assert(request->errand.phase == ERRAND_FILLING);
    assert(request->image == NULL);
    r = buffer_acquire(home_of(request)->home->buffers, schedule_image_size(&image),
                       &request->image);
    if (r < 0)
        return r;
    request->image->size = (uint32_t)schedule_image_encode(&image, request->image->data);
    return 0;
}

int schedule_request_submit(struct schedule_request *request)
{
    struct errand *errand = &request->errand;
    struct app_shard *home = home_of(request)->home;
    size_t size = request->operation == SCHEDULE_LIST
                      ? (size_t)SCHEDULE_LIST_SIZE_MAX
                      : (size_t)SCHEDULE_TEXT_SIZE_MAX + SCHEDULE_SPEC_PAYLOAD_SIZE_MAX;
    struct errands *owner =
        &schedules_of_project(home, errand_org(errand), errand_project(errand))->errands;
    int r = buffer_acquire(home->buffers, size, &request->text);

    if (r < 0)
        return r;
    if (owner != errand->home)
        SOMETIMES("a schedule request goes to another shard");
    errand_submit(errand, owner);
    return 0;
}

/* --- as an errand ----------------------------------------------------------------- */

static void carry_out(struct errand *errand)
{
    schedules_do(container_of(errand->owner, struct schedules, errands),
                 schedule_request_of(errand));
}

static void free_request(struct errand *errand)
{
    struct schedule_request *request = schedule_request_of(errand);
    void *slot = request;

    assert(request->zone == NULL);
    buffer_unref(&request->image);
    buffer_unref(&request->text);
    pool_release(&errand->home->pool, &slot);
}

const struct errand_type schedule_request_type = {
    .name = "schedule requests",
    .size = sizeof(struct schedule_request),
    .count_max = SCHEDULE_REQUEST_COUNT_MAX,
    .message_do = MSG_SCHEDULE_DO,
    .message_done = MSG_SCHEDULE_DONE,
    .message_answer = MSG_SCHEDULE_ANSWER,
    .carry_out = carry_out,
    .free = free_request,
};

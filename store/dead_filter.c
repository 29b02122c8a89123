/*
 * The rules are the words that a client is told when a text breaks one. A letter has died
 * at view.when_ms.
 */
#include "store/dead_filter.h"

#include "contracts/timestamp.h"

static const struct slice ORIGIN_PREFIX = SLICE_INITIALIZER("job:");

static const struct slice NAMES[] = {
    [DEAD_FIELD_ORG] = SLICE_INITIALIZER("org"),
    [DEAD_FIELD_PROJECT] = SLICE_INITIALIZER("project"),
    [DEAD_FIELD_ORIGIN] = SLICE_INITIALIZER("origin"),
    [DEAD_FIELD_REASON] = SLICE_INITIALIZER("reason"),
    [DEAD_FIELD_SINCE] = SLICE_INITIALIZER("since"),
    [DEAD_FIELD_UNTIL] = SLICE_INITIALIZER("until"),
};

static const char *const RULES[] = {
    [DEAD_FIELD_ORG] = "must be a string of 1 to 64 bytes",
    [DEAD_FIELD_PROJECT] = "must be a string of 1 to 64 bytes",
    [DEAD_FIELD_ORIGIN] = "must be job: and a kind",
    [DEAD_FIELD_REASON] = "must be attempts_exhausted or another reason of dead letters",
    [DEAD_FIELD_SINCE] = "must be a date-time such as 2025-01-31T12:00:00Z",
    [DEAD_FIELD_UNTIL] = "must be a date-time such as 2025-01-31T12:00:00Z",
};

struct slice dead_field_name(enum dead_field field)
{
    assert(field < DEAD_FIELD_COUNT);
    return NAMES[field];
}

static bool set_name(struct slice text, char name[JOB_NAME_SIZE_MAX], uint8_t *ret_size)
{
    if (text.size == 0 || text.size > JOB_NAME_SIZE_MAX)
        return false;
    memcpy(name, text.data, text.size);
    *ret_size = (uint8_t)text.size;
    return true;
}

static bool set_origin(struct dead_filter *filter, struct slice text)
{
    struct slice kind = {text.data + ORIGIN_PREFIX.size, text.size - ORIGIN_PREFIX.size};

    if (text.size <= ORIGIN_PREFIX.size ||
        memcmp(text.data, ORIGIN_PREFIX.data, ORIGIN_PREFIX.size) != 0)
        return false;
    return set_name(kind, filter->kind, &filter->kind_size);
}

static bool set_reason(struct dead_filter *filter, struct slice text)
{
    for (uint8_t i = JOB_DEAD_ATTEMPTS; i < JOB_DEAD_REASON_COUNT; i++)
        if (slice_equal(text, slice_of(job_dead_reason_name((enum job_dead_reason)i)))) {
            filter->reason = i;
            return true;
        }
    return false;
}

/* A bound before 1970 is one that every letter is after; 0 means none. */
static bool set_time(struct slice text, uint64_t *ret_ms)
{
    int64_t unix_ms;

    if (!timestamp_parse(text, &unix_ms))
        return false;
    *ret_ms = unix_ms > 0 ? (uint64_t)unix_ms : 1;
    return true;
}

const char *dead_filter_set(struct dead_filter *filter, enum dead_field field, struct slice text)
{
    bool is_set = false;

    switch (field) {
    case DEAD_FIELD_ORG:
        is_set = set_name(text, filter->org, &filter->org_size);
        break;
    case DEAD_FIELD_PROJECT:
        is_set = set_name(text, filter->project, &filter->project_size);
        break;
    case DEAD_FIELD_ORIGIN:
        is_set = set_origin(filter, text);
        break;
    case DEAD_FIELD_REASON:
        is_set = set_reason(filter, text);
        break;
    case DEAD_FIELD_SINCE:
        is_set = set_time(text, &filter->since_ms);
        break;
    case DEAD_FIELD_UNTIL:
        is_set = set_time(text, &filter->until_ms);
        break;
    case DEAD_FIELD_COUNT:
        break;
    }
    return is_set ? NULL : RULES[field];
}

bool dead_filter_is_of_project(const struct dead_filter *filter)
{
    return filter->org_size > 0 && filter->project_size > 0;
}

static bool is_any_or(const char *wanted, uint8_t wanted_size, const char *name, uint8_t size)
{
    return wanted_size == 0 || (wanted_size == size && memcmp(wanted, name, size) == 0);
}

bool dead_filter_takes(const struct dead_filter *filter, const struct job_view *view)
{
    const struct job_queue *queue = view->queue;

    assert(view->state == JOB_DEAD);
    if (filter->reason != JOB_DEAD_NONE && filter->reason != view->reason)
        return false;
    if (view->when_ms < filter->since_ms ||
        (filter->until_ms != 0 && view->when_ms >= filter->until_ms))
        return false;
    return is_any_or(filter->org, filter->org_size, queue->org, queue->org_size) &&
           is_any_or(filter->project, filter->project_size, queue->project, queue->project_size) &&
           is_any_or(filter->kind, filter->kind_size, queue->kind, queue->kind_size);
}

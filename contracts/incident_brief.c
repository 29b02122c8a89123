#include "contracts/incident_brief.h"

#include "contracts/json_number.h"
#include "contracts/json_string.h"
#include "contracts/timestamp.h"
#include "contracts/utf8.h"

/*
 * Groups are found by looking through those there are: fifty events make at most fifty.
 * Two strings are the same when their characters are, however they were spelled; anything
 * else when its text is.
 */

static const struct json_value ABSENT = {.type = JSON_ABSENT};

static struct json_value member(const struct json_value *parent, struct slice name)
{
    struct json_value value;

    if (parent->type != JSON_OBJECT || !json_find_member(parent->raw, name, &value) ||
        value.type == JSON_NULL)
        return ABSENT;
    return value;
}

static struct json_value string_member(const struct json_value *parent, struct slice name)
{
    struct json_value value = member(parent, name);

    return value.type == JSON_STRING ? value : ABSENT;
}

/* A value that can be shown: objects and arrays cannot. */
static struct json_value plain_member(const struct json_value *parent, struct slice name)
{
    struct json_value value = member(parent, name);

    return value.type == JSON_OBJECT || value.type == JSON_ARRAY ? ABSENT : value;
}

static struct json_value attribute(const struct json_value *event,
                                   const struct json_value *attributes, struct slice name)
{
    struct json_value value = plain_member(event, name);

    return value.type != JSON_ABSENT ? value : plain_member(attributes, name);
}

static bool is_same(const struct json_value *a, const struct json_value *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == JSON_ABSENT)
        return true;
    return a->type == JSON_STRING ? json_string_same(a, b) : slice_equal(a->raw, b->raw);
}

static void count_value(struct brief_group *groups, uint32_t *count, const struct json_value *value)
{
    for (uint32_t i = 0; i < *count; i++)
        if (is_same(&groups[i].value, value)) {
            groups[i].count++;
            return;
        }
    assert(*count < BRIEF_EVENT_COUNT_MAX);
    groups[(*count)++] = (struct brief_group){*value, 1};
}

/* By count, those equal in the order in which they were met. */
static void sort_groups(struct brief_group *groups, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct brief_group group = groups[i];
        uint32_t at = i;

        for (; at > 0 && groups[at - 1].count < group.count; at--)
            groups[at] = groups[at - 1];
        groups[at] = group;
    }
}

static bool time_of(const struct brief_event *event, int64_t *ret_ms)
{
    char scratch[64];
    struct slice text;

    return event->occurred_at.type == JSON_STRING &&
           json_string_text(&event->occurred_at, scratch, sizeof(scratch), &text) &&
           timestamp_parse(text, ret_ms);
}

static void find_span(struct incident_brief *brief)
{
    int64_t first_ms = INT64_MAX, last_ms = INT64_MIN, at_ms;

    for (uint32_t i = 0; i < brief->event_count; i++) {
        const struct brief_event *event = &brief->events[i];

        if (!time_of(event, &at_ms))
            continue;
        if (at_ms < first_ms) {
            first_ms = at_ms;
            brief->first = event;
        }
        if (at_ms > last_ms) {
            last_ms = at_ms;
            brief->last = event;
        }
    }
}

static void read_event(const struct json_value *value, struct brief_event *event)
{
    struct json_value attributes = member(value, SLICE_LITERAL("attributes"));

    event->occurred_at = string_member(value, SLICE_LITERAL("occurred_at"));
    event->event_type = string_member(value, SLICE_LITERAL("event_type"));
    event->severity = string_member(value, SLICE_LITERAL("severity"));
    event->error_code = attribute(value, &attributes, SLICE_LITERAL("error_code"));
    event->route = attribute(value, &attributes, SLICE_LITERAL("route"));
    event->status_code = attribute(value, &attributes, SLICE_LITERAL("status_code"));
}

MUST_USE static bool read_events(const struct json_value *events, struct incident_brief *brief)
{
    struct json_reader reader;
    struct json_value value;
    enum json_result r;

    if (events->type != JSON_ARRAY)
        return false;
    json_reader_init(&reader, events->raw, BRIEF_DEPTH_MAX);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && brief->event_count < BRIEF_EVENT_COUNT_MAX &&
           (r = json_reader_next_element(&reader)) == JSON_OK) {
        r = json_reader_read(&reader, &value);
        assert(r == JSON_OK);
        if (value.type != JSON_OBJECT)
            return false;
        read_event(&value, &brief->events[brief->event_count++]);
    }
    return true;
}

static void read_incident(const struct json_value *incident, struct incident_brief *brief)
{
    brief->id = string_member(incident, SLICE_LITERAL("id"));
    brief->title = string_member(incident, SLICE_LITERAL("title"));
    brief->status = string_member(incident, SLICE_LITERAL("status"));
    brief->severity = string_member(incident, SLICE_LITERAL("severity"));
    brief->environment = string_member(incident, SLICE_LITERAL("environment"));
    brief->rule = string_member(incident, SLICE_LITERAL("rule"));
    brief->fingerprint = string_member(incident, SLICE_LITERAL("fingerprint"));
    brief->opened_at = string_member(incident, SLICE_LITERAL("opened_at"));
    brief->last_seen_at = string_member(incident, SLICE_LITERAL("last_seen_at"));
}

static void read_total(const struct json_value *whole, struct incident_brief *brief)
{
    struct json_value total = member(whole, SLICE_LITERAL("event_count"));
    int64_t count;

    brief->has_event_total =
        total.type == JSON_NUMBER && json_number_to_i64(total.raw, &count) && count >= 0;
    if (brief->has_event_total)
        brief->event_total = (uint64_t)count;
}

bool incident_brief_read(struct slice text, struct incident_brief *ret_brief)
{
    struct json_value whole, incident, events;
    struct json_reader reader;

    memset(ret_brief, 0, sizeof(*ret_brief));
    if (json_read_document(text, BRIEF_DEPTH_MAX, &reader, &whole) != JSON_OK)
        return false;
    incident = member(&whole, SLICE_LITERAL("incident"));
    events = member(&whole, SLICE_LITERAL("events"));
    if (incident.type != JSON_OBJECT || !read_events(&events, ret_brief))
        return false;
    read_incident(&incident, ret_brief);
    read_total(&whole, ret_brief);
    for (uint32_t i = 0; i < ret_brief->event_count; i++) {
        count_value(ret_brief->codes, &ret_brief->code_count, &ret_brief->events[i].error_code);
        count_value(ret_brief->routes, &ret_brief->route_count, &ret_brief->events[i].route);
    }
    sort_groups(ret_brief->codes, ret_brief->code_count);
    sort_groups(ret_brief->routes, ret_brief->route_count);
    find_span(ret_brief);
    return true;
}

/* Copies what fits of the run; false when the rest of the value is to be left out. */
static bool copy_run(struct slice run, char text[BRIEF_TEXT_SIZE_MAX], size_t *size)
{
    size_t taken = utf8_cut(run, BRIEF_TEXT_SIZE_MAX - *size);

    for (size_t i = 0; i < taken; i++) {
        unsigned char c = (unsigned char)run.data[i];

        text[(*size)++] = c < 0x20 || c == 0x7f ? ' ' : run.data[i];
    }
    return taken == run.size;
}

void incident_brief_text(const struct json_value *value, struct slice absent,
                         struct json_writer *writer)
{
    char text[BRIEF_TEXT_SIZE_MAX], scratch[4];
    struct slice rest = value->raw, run;
    bool is_whole = true;
    size_t size = 0;

    if (value->type == JSON_ABSENT) {
        json_writer_verbatim(writer, absent);
        return;
    }
    if (value->type == JSON_STRING) {
        rest = json_string_body(value);
        while (is_whole && (run = json_string_next_run(&rest, scratch)).size > 0)
            is_whole = copy_run(run, text, &size);
    } else {
        is_whole = copy_run(rest, text, &size);
    }
    json_writer_verbatim(writer, (struct slice){text, size});
    if (!is_whole)
        json_writer_verbatim(writer, SLICE_LITERAL("..."));
}

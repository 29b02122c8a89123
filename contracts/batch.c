/*
 *     AT_START --{--> IN_OBJECT --"events":[--> IN_ARRAY --]--> IN_OBJECT --}--> AT_END
 *     AT_START --[--> IN_ARRAY --]--> AT_END                    (BATCH_ARRAY)
 *     AT_START --line--> AT_START ... --no more lines--> AT_END (BATCH_LINES)
 *
 * What makes the body invalid but leaves it JSON is noted, the rest is skipped with
 * validation, and BATCH_INVALID is the last word. The batch's own brackets come on
 * top of the depth limit, so an event may nest as deeply here as on its own.
 */
#include "contracts/batch.h"

#include "contracts/json_string.h"

/* Levels of nesting that belong to the batch itself. */
enum { OBJECT_DEPTH = 2, ARRAY_DEPTH = 1 };

static const struct json_value EVENTS_KEY = {.type = JSON_STRING, .raw = {"\"events\"", 8}};

static void batch_check(const struct batch *batch)
{
    assert(batch->limits.event_count_max >= 1);
    assert(batch->line_next <= batch->body.size);
    assert(batch->event_count <= batch->limits.event_count_max + 1);
}

void batch_init(struct batch *batch, struct slice body, enum batch_format format,
                struct batch_limits limits)
{
    static const uint32_t OWN_DEPTH[] = {
        [BATCH_OBJECT] = OBJECT_DEPTH, [BATCH_ARRAY] = ARRAY_DEPTH, [BATCH_LINES] = 0};

    assert(limits.event_count_max < INT32_MAX);
    *batch = (struct batch){.body = body, .limits = limits, .format = format};
    batch_check(batch);
    json_reader_init(&batch->reader, body, limits.depth_max + OWN_DEPTH[format]);
}

static enum batch_result result_of_json(enum json_result result)
{
    assert(result == JSON_TRUNCATED || result == JSON_BAD);
    return result == JSON_TRUNCATED ? BATCH_TRUNCATED : BATCH_BAD_JSON;
}

static void add_issue(struct batch *batch, struct issue_list *issues, struct issue issue)
{
    issue.index = ISSUE_NO_INDEX;
    if (batch->format == BATCH_OBJECT && issue.key.type == JSON_ABSENT &&
        batch->position != BATCH_AT_START)
        issue.key = EVENTS_KEY;
    issue_list_begin_event(issues);
    issue_list_add(issues, &issue);
    batch->is_invalid = true;
}

/* One more event; false when it is one too many, which becomes an issue once. */
static bool count_event(struct batch *batch, struct issue_list *issues)
{
    if (batch->event_count < batch->limits.event_count_max) {
        batch->event_count++;
        return true;
    }
    if (batch->event_count == batch->limits.event_count_max) {
        batch->event_count++;
        add_issue(
            batch, issues,
            (struct issue){.kind = ISSUE_ARRAY_TOO_BIG, .limit = batch->limits.event_count_max});
    }
    return false;
}

/* Consumes a value of the wrong type and adds the issue. */
static enum json_result refuse_type(struct batch *batch, struct issue_list *issues,
                                    struct slice expected)
{
    struct json_value value;
    enum json_result result = json_reader_read(&batch->reader, &value);

    if (result == JSON_OK)
        add_issue(batch, issues,
                  (struct issue){.kind = ISSUE_TYPE, .received = value.type, .expected = expected});
    return result;
}

/* Opens the outermost bracket, or refuses what is there instead. */
static enum json_result start(struct batch *batch, struct issue_list *issues)
{
    enum json_type type;
    enum json_result result = json_reader_peek(&batch->reader, &type);

    if (result != JSON_OK)
        return result;
    if (batch->format == BATCH_OBJECT && type == JSON_OBJECT) {
        batch->position = BATCH_IN_OBJECT;
        return json_reader_enter_object(&batch->reader);
    }
    if (batch->format == BATCH_ARRAY && type == JSON_ARRAY) {
        batch->position = BATCH_IN_ARRAY;
        return json_reader_enter_array(&batch->reader);
    }
    result = refuse_type(batch, issues,
                         batch->format == BATCH_OBJECT ? SLICE_LITERAL("object")
                                                       : SLICE_LITERAL("array"));
    batch->position = BATCH_AT_END;
    return result;
}

/* The value of "events" is due. */
static enum json_result open_events(struct batch *batch, struct issue_list *issues)
{
    struct json_value ignored;
    enum json_type type;
    enum json_result result = json_reader_peek(&batch->reader, &type);

    if (result != JSON_OK)
        return result;
    if (batch->has_events) {
        add_issue(batch, issues, (struct issue){.kind = ISSUE_DUPLICATE_KEY});
        return json_reader_read(&batch->reader, &ignored);
    }
    batch->has_events = true;
    if (type != JSON_ARRAY)
        return refuse_type(batch, issues, SLICE_LITERAL("array"));
    batch->position = BATCH_IN_ARRAY;
    return json_reader_enter_array(&batch->reader);
}

/* One member of the outer object, or its end. */
static enum json_result step_in_object(struct batch *batch, struct issue_list *issues)
{
    struct json_value key;
    struct json_value ignored;
    enum json_result result = json_reader_next_member(&batch->reader, &key);

    if (result == JSON_OK) {
        if (json_string_equal(&key, SLICE_LITERAL("events")))
            return open_events(batch, issues);
        return json_reader_read(&batch->reader, &ignored);
    }
    if (result != JSON_END)
        return result;
    if (!batch->has_events)
        add_issue(batch, issues,
                  (struct issue){.kind = ISSUE_TYPE, .expected = SLICE_LITERAL("array")});
    batch->position = BATCH_AT_END;
    return JSON_OK;
}

/* One element, or the end of the array. JSON_END here means that an event is due. */
static enum json_result step_in_array(struct batch *batch, struct issue_list *issues)
{
    struct json_value ignored;
    enum json_result result = json_reader_next_element(&batch->reader);

    if (result == JSON_OK) {
        if (count_event(batch, issues))
            return JSON_END;
        return json_reader_read(&batch->reader, &ignored);
    }
    if (result != JSON_END)
        return result;
    if (batch->event_count == 0)
        add_issue(batch, issues, (struct issue){.kind = ISSUE_ARRAY_EMPTY});
    batch->position = batch->format == BATCH_OBJECT ? BATCH_IN_OBJECT : BATCH_AT_END;
    return JSON_OK;
}

static enum batch_result next_in_document(struct batch *batch, struct issue_list *issues)
{
    enum json_result result = JSON_OK;

    while (result == JSON_OK && batch->position != BATCH_AT_END) {
        if (batch->position == BATCH_AT_START)
            result = start(batch, issues);
        else if (batch->position == BATCH_IN_OBJECT)
            result = step_in_object(batch, issues);
        else
            result = step_in_array(batch, issues);
    }
    if (result == JSON_END)
        return BATCH_EVENT;
    if (result == JSON_OK)
        result = json_reader_finish(&batch->reader);
    if (result != JSON_OK)
        return result_of_json(result);
    return batch->is_invalid ? BATCH_INVALID : BATCH_END;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

static enum batch_result next_line(struct batch *batch, struct issue_list *issues)
{
    while (batch->line_next < batch->body.size && !batch->is_invalid) {
        size_t begin = batch->line_next;
        const char *at = batch->body.data + begin;
        const char *newline = memchr(at, '\n', batch->body.size - begin);
        size_t end = newline == NULL ? batch->body.size : (size_t)(newline - batch->body.data);

        batch->line_next = newline == NULL ? end : end + 1;
        if (is_blank((struct slice){at, end - begin}))
            continue;
        if (!count_event(batch, issues))
            break;
        json_reader_init_at(&batch->reader, (struct slice){batch->body.data, end}, begin,
                            batch->limits.depth_max);
        return BATCH_EVENT;
    }
    if (batch->event_count == 0)
        add_issue(batch, issues, (struct issue){.kind = ISSUE_ARRAY_EMPTY});
    return batch->is_invalid ? BATCH_INVALID : BATCH_END;
}

enum batch_result batch_next(struct batch *batch, struct issue_list *issues)
{
    batch_check(batch);
    if (batch->format == BATCH_LINES)
        return next_line(batch, issues);
    return next_in_document(batch, issues);
}

enum raw_event_result batch_read_event(struct batch *batch, struct issue_list *issues,
                                       struct raw_event *ret_event)
{
    enum raw_event_result result;

    batch_check(batch);
    assert(batch->event_count > 0);
    result = raw_event_read(&batch->reader, (int32_t)batch_index(batch), issues, ret_event);
    if (batch->format != BATCH_LINES || (result != RAW_EVENT_OK && result != RAW_EVENT_INVALID))
        return result;
    return json_reader_finish(&batch->reader) == JSON_OK ? result : RAW_EVENT_BAD_JSON;
}

uint32_t batch_index(const struct batch *batch)
{
    assert(batch->event_count > 0);
    return batch->event_count - 1;
}

struct slice batch_array_key(const struct batch *batch)
{
    return batch->format == BATCH_OBJECT ? SLICE_LITERAL("events") : SLICE_LITERAL("");
}

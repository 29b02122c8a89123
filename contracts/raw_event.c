/*
 * Two steps over one pass of the text: collect() walks the members once and keeps
 * the value of each known field, which the reader has then validated as JSON; the
 * checks look only at those values. So issues come in the order of the fields, not
 * of the text, and the text is never scanned twice.
 *
 * attributes is entered instead of skipped, because fingerprint and partition key
 * need two of its members. Repeated names inside of it are the client's: the last
 * one counts, as in JavaScript.
 */
#include "contracts/raw_event.h"

#include "contracts/json_key_set.h"
#include "contracts/json_string.h"
#include "contracts/timestamp.h"

#define EVENT_NAME(name, text) {text, sizeof(text) - 1},
static const struct slice TYPE_NAMES[] = {EVENT_TYPES(EVENT_NAME)};
static const struct slice ENVIRONMENT_NAMES[] = {EVENT_ENVIRONMENTS(EVENT_NAME)};
static const struct slice SEVERITY_NAMES[] = {EVENT_SEVERITIES(EVENT_NAME)};
#undef EVENT_NAME

/* In the order in which issues are reported. received_at is known for envelopes only. */
#define FIELDS(X)                                                                                  \
    X(EVENT_TYPE, "event_type")                                                                    \
    X(OCCURRED_AT, "occurred_at")                                                                  \
    X(MESSAGE, "message")                                                                          \
    X(ENVIRONMENT, "environment")                                                                  \
    X(SEVERITY, "severity")                                                                        \
    X(EVENT_ID, "event_id")                                                                        \
    X(ATTRIBUTES, "attributes")                                                                    \
    X(PAYLOAD, "payload")                                                                          \
    X(ORG_ID, "org_id")                                                                            \
    X(PROJECT_ID, "project_id")                                                                    \
    X(RECEIVED_AT, "received_at")

#define FIELD_ENUM(name, text) FIELD_##name,
enum field { FIELDS(FIELD_ENUM) FIELD_COUNT, FIELD_NONE = FIELD_COUNT };
#undef FIELD_ENUM

/* With the quotes, as json_value wants its raw form. */
#define FIELD_KEY(name, text) {.type = JSON_STRING, .raw = {"\"" text "\"", sizeof(text) + 1}},
static const struct json_value FIELD_KEYS[] = {FIELDS(FIELD_KEY)};
#undef FIELD_KEY

static_assert(ARRAY_COUNT(FIELD_KEYS) == FIELD_COUNT, "one key per field");

/* What one pass over the text leaves behind. */
struct fields {
    struct json_value values[FIELD_COUNT];
    struct json_value error_code;
    struct json_value route;
    struct json_value fingerprint;
};

/* An event under examination and where its issues go. */
struct inspection {
    struct issue_list *issues;
    int32_t index;
    bool is_valid;
};

#define KEY_IS(key, literal) (memcmp((key).data, literal, sizeof(literal) - 1) == 0)

/* key has no escapes: its size leaves at most three candidates. */
static inline enum field find_plain_field(struct slice key)
{
    switch (key.size) {
    case 6:
        return KEY_IS(key, "org_id") ? FIELD_ORG_ID : FIELD_NONE;
    case 7:
        return KEY_IS(key, "message")   ? FIELD_MESSAGE
               : KEY_IS(key, "payload") ? FIELD_PAYLOAD
                                        : FIELD_NONE;
    case 8:
        return KEY_IS(key, "severity")   ? FIELD_SEVERITY
               : KEY_IS(key, "event_id") ? FIELD_EVENT_ID
                                         : FIELD_NONE;
    case 10:
        return KEY_IS(key, "event_type")   ? FIELD_EVENT_TYPE
               : KEY_IS(key, "attributes") ? FIELD_ATTRIBUTES
               : KEY_IS(key, "project_id") ? FIELD_PROJECT_ID
                                           : FIELD_NONE;
    case 11:
        return KEY_IS(key, "occurred_at")   ? FIELD_OCCURRED_AT
               : KEY_IS(key, "environment") ? FIELD_ENVIRONMENT
               : KEY_IS(key, "received_at") ? FIELD_RECEIVED_AT
                                            : FIELD_NONE;
    default:
        return FIELD_NONE;
    }
}

static enum field find_field(const struct json_value *key)
{
    if (likely(!key->has_escapes))
        return find_plain_field(json_string_body(key));
    for (int field = 0; field < FIELD_COUNT; field++)
        if (json_string_same(key, &FIELD_KEYS[field]))
            return (enum field)field;
    return FIELD_NONE;
}

static void add_issue(struct inspection *inspection, struct issue issue)
{
    issue.index = inspection->index;
    issue_list_add(inspection->issues, &issue);
    inspection->is_valid = false;
}

static void add_type_issue(struct inspection *inspection, struct json_value key,
                           enum json_type received, struct slice expected)
{
    add_issue(
        inspection,
        (struct issue){.kind = ISSUE_TYPE, .key = key, .received = received, .expected = expected});
}

/* Reads attributes member by member when it is an object, else as any value. */
static enum json_result read_attributes(struct json_reader *reader, struct fields *fields)
{
    struct json_value *attributes = &fields->values[FIELD_ATTRIBUTES];
    struct json_value key;
    struct json_value value;
    enum json_type type;
    enum json_result result = json_reader_peek(reader, &type);
    size_t begin = json_reader_offset(reader);

    if (result != JSON_OK)
        return result;
    if (type != JSON_OBJECT)
        return json_reader_read(reader, attributes);
    result = json_reader_enter_object(reader);
    while (result == JSON_OK) {
        result = json_reader_next_member(reader, &key);
        if (result != JSON_OK)
            break;
        result = json_reader_read(reader, &value);
        if (result != JSON_OK)
            break;
        if (unlikely(key.has_escapes) || key.raw.size == sizeof("\"error_code\"") - 1 ||
            key.raw.size == sizeof("\"route\"") - 1 ||
            key.raw.size == sizeof("\"fingerprint\"") - 1) {
            if (json_string_equal(&key, SLICE_LITERAL("error_code")))
                fields->error_code = value;
            else if (json_string_equal(&key, SLICE_LITERAL("route")))
                fields->route = value;
            else if (json_string_equal(&key, SLICE_LITERAL("fingerprint")))
                fields->fingerprint = value;
        }
    }
    if (result != JSON_END)
        return result;
    *attributes = (struct json_value){.type = JSON_OBJECT, .raw = json_reader_since(reader, begin)};
    return JSON_OK;
}

/* Files one member under its field; its value is due. */
static inline enum json_result collect_member(struct json_reader *reader,
                                              const struct json_value *key,
                                              struct inspection *inspection,
                                              struct json_key_set *unknown_keys,
                                              struct fields *fields)
{
    struct json_value ignored;
    enum json_result result;
    enum field field = find_field(key);
    bool is_repeated;

    if (likely(field != FIELD_NONE)) {
        is_repeated = fields->values[field].type != JSON_ABSENT;
        result = field == FIELD_ATTRIBUTES ? read_attributes(reader, fields)
                                           : json_reader_read(reader, &fields->values[field]);
    } else {
        is_repeated = json_key_set_add(unknown_keys, key) == JSON_KEY_REPEATED;
        result = json_reader_read(reader, &ignored);
    }
    if (unlikely(result != JSON_OK))
        return result;
    if (unlikely(is_repeated))
        add_issue(inspection, (struct issue){.kind = ISSUE_DUPLICATE_KEY, .key = *key});
    return JSON_OK;
}

/* The reader is at an object. JSON_END when all of it was collected. */
static enum json_result collect(struct json_reader *reader, struct inspection *inspection,
                                struct fields *fields)
{
    struct json_key_set unknown_keys;
    struct json_value key;
    enum json_result result = json_reader_enter_object(reader);

    json_key_set_init(&unknown_keys);
    while (result == JSON_OK) {
        result = json_reader_next_member(reader, &key);
        if (result == JSON_OK)
            result = collect_member(reader, &key, inspection, &unknown_keys, fields);
    }
    return result;
}

static bool option_from_name(const struct slice *names, size_t name_count,
                             const struct json_value *value, unsigned *ret_option)
{
    for (size_t i = 0; i < name_count; i++) {
        if (json_string_equal(value, names[i])) {
            *ret_option = (unsigned)i;
            return true;
        }
    }
    return false;
}

/* The place of the field's string among names; adds an issue when it has none. */
static unsigned check_option(struct inspection *inspection, const struct fields *fields,
                             enum field field, const struct slice *names, size_t name_count)
{
    const struct json_value *value = &fields->values[field];
    unsigned option = 0;
    bool is_string = value->type == JSON_STRING;

    if (likely(is_string) && likely(option_from_name(names, name_count, value, &option)))
        return option;
    add_issue(inspection, (struct issue){.kind = is_string ? ISSUE_OPTION : ISSUE_TYPE,
                                         .key = FIELD_KEYS[field],
                                         .received = value->type,
                                         .options = names,
                                         .option_count = name_count,
                                         .value = *value});
    return 0;
}

/* True when the field is a string; else adds an issue. */
static bool check_string(struct inspection *inspection, const struct fields *fields,
                         enum field field)
{
    enum json_type type = fields->values[field].type;

    if (likely(type == JSON_STRING))
        return true;
    add_type_issue(inspection, FIELD_KEYS[field], type, SLICE_LITERAL("string"));
    return false;
}

static int64_t check_occurred_at(struct inspection *inspection, const struct fields *fields)
{
    const struct json_value *value = &fields->values[FIELD_OCCURRED_AT];
    char decoded[RAW_EVENT_TIME_TEXT_MAX];
    struct slice text;
    int64_t unix_ms = 0;

    if (!check_string(inspection, fields, FIELD_OCCURRED_AT))
        return 0;
    if (unlikely(!json_string_text(value, decoded, sizeof(decoded), &text)) ||
        unlikely(!timestamp_parse(text, &unix_ms)))
        add_issue(inspection,
                  (struct issue){.kind = ISSUE_DATETIME, .key = FIELD_KEYS[FIELD_OCCURRED_AT]});
    return unix_ms;
}

static void check_message(struct inspection *inspection, const struct fields *fields)
{
    if (!check_string(inspection, fields, FIELD_MESSAGE))
        return;
    if (unlikely(fields->values[FIELD_MESSAGE].raw.size == sizeof("\"\"") - 1))
        add_issue(inspection,
                  (struct issue){.kind = ISSUE_STRING_EMPTY, .key = FIELD_KEYS[FIELD_MESSAGE]});
}

/* The field is there. */
static void check_event_id(struct inspection *inspection, const struct fields *fields,
                           char ret_event_id[UUID_TEXT_SIZE])
{
    const struct json_value *value = &fields->values[FIELD_EVENT_ID];
    char decoded[UUID_TEXT_SIZE];
    struct slice text;

    if (!check_string(inspection, fields, FIELD_EVENT_ID))
        return;
    if (unlikely(!json_string_text(value, decoded, sizeof(decoded), &text)) ||
        unlikely(!uuid_is_valid(text))) {
        add_issue(inspection,
                  (struct issue){.kind = ISSUE_UUID, .key = FIELD_KEYS[FIELD_EVENT_ID]});
        return;
    }
    memcpy(ret_event_id, text.data, UUID_TEXT_SIZE);
}

/* The object, or {} when the field is missing; adds an issue for anything else. */
static struct slice check_object(struct inspection *inspection, const struct fields *fields,
                                 enum field field)
{
    const struct json_value *value = &fields->values[field];

    if (value->type == JSON_ABSENT)
        return SLICE_LITERAL("{}");
    if (unlikely(value->type != JSON_OBJECT))
        add_type_issue(inspection, FIELD_KEYS[field], value->type, SLICE_LITERAL("object"));
    return value->raw;
}

static bool is_present(const struct fields *fields, enum field field)
{
    return fields->values[field].type != JSON_ABSENT;
}

/*
 * Applies the rules and sets every member of the event but raw, and event_id only
 * when there is one. The event is whole only when no issue was added.
 */
static void check_fields(struct inspection *inspection, const struct fields *fields,
                         struct raw_event *event)
{
    event->type = (enum event_type)check_option(inspection, fields, FIELD_EVENT_TYPE, TYPE_NAMES,
                                                ARRAY_COUNT(TYPE_NAMES));
    event->occurred_ms = check_occurred_at(inspection, fields);
    event->occurred_at = fields->values[FIELD_OCCURRED_AT].raw;
    check_message(inspection, fields);
    event->message = fields->values[FIELD_MESSAGE].raw;
    event->environment = EVENT_ENVIRONMENT_DEV;
    if (is_present(fields, FIELD_ENVIRONMENT))
        event->environment =
            (enum event_environment)check_option(inspection, fields, FIELD_ENVIRONMENT,
                                                 ENVIRONMENT_NAMES, ARRAY_COUNT(ENVIRONMENT_NAMES));
    event->severity = EVENT_SEVERITY_INFO;
    if (is_present(fields, FIELD_SEVERITY))
        event->severity = (enum event_severity)check_option(
            inspection, fields, FIELD_SEVERITY, SEVERITY_NAMES, ARRAY_COUNT(SEVERITY_NAMES));
    event->has_event_id = is_present(fields, FIELD_EVENT_ID);
    if (event->has_event_id)
        check_event_id(inspection, fields, event->event_id);
    event->attributes = check_object(inspection, fields, FIELD_ATTRIBUTES);
    event->error_code = fields->error_code;
    event->route = fields->route;
    event->fingerprint = fields->fingerprint;
    event->payload = check_object(inspection, fields, FIELD_PAYLOAD);
    if (is_present(fields, FIELD_ORG_ID))
        (void)check_string(inspection, fields, FIELD_ORG_ID);
    event->org_id = fields->values[FIELD_ORG_ID];
    if (is_present(fields, FIELD_PROJECT_ID))
        (void)check_string(inspection, fields, FIELD_PROJECT_ID);
    event->project_id = fields->values[FIELD_PROJECT_ID];
    event->received_at = fields->values[FIELD_RECEIVED_AT];
}

static enum raw_event_result result_of_json(enum json_result result)
{
    assert(result == JSON_TRUNCATED || result == JSON_BAD);
    return result == JSON_TRUNCATED ? RAW_EVENT_TRUNCATED : RAW_EVENT_BAD_JSON;
}

/* Any other value than an object: consumes it and adds the issue. */
static enum raw_event_result read_other(struct json_reader *reader, struct inspection *inspection)
{
    struct json_value value;
    enum json_result result = json_reader_read(reader, &value);

    if (result != JSON_OK)
        return result_of_json(result);
    add_type_issue(inspection, (struct json_value){0}, value.type, SLICE_LITERAL("object"));
    return RAW_EVENT_INVALID;
}

enum raw_event_result raw_event_read(struct json_reader *reader, int32_t index,
                                     struct issue_list *issues, struct raw_event *ret_event)
{
    struct inspection inspection = {.issues = issues, .index = index, .is_valid = true};
    struct fields fields = {0};
    enum json_type type;
    enum json_result result = json_reader_peek(reader, &type);
    size_t begin = json_reader_offset(reader);

    if (unlikely(result != JSON_OK))
        return result_of_json(result);
    issue_list_begin_event(issues);
    if (unlikely(type != JSON_OBJECT))
        return read_other(reader, &inspection);
    result = collect(reader, &inspection, &fields);
    if (unlikely(result != JSON_END))
        return result_of_json(result);
    ret_event->raw = json_reader_since(reader, begin);
    check_fields(&inspection, &fields, ret_event);
    return likely(inspection.is_valid) ? RAW_EVENT_OK : RAW_EVENT_INVALID;
}

enum raw_event_result raw_event_read_document(struct slice body, uint32_t depth_max,
                                              struct issue_list *issues,
                                              struct json_reader *ret_reader,
                                              struct raw_event *ret_event)
{
    enum raw_event_result verdict;
    enum json_result result;

    json_reader_init(ret_reader, body, depth_max);
    verdict = raw_event_read(ret_reader, ISSUE_NO_INDEX, issues, ret_event);
    if (verdict == RAW_EVENT_TRUNCATED || verdict == RAW_EVENT_BAD_JSON)
        return verdict;
    result = json_reader_finish(ret_reader);
    return result == JSON_OK ? verdict : result_of_json(result);
}

struct slice event_type_name(enum event_type type)
{
    assert(type < EVENT_TYPE_COUNT);
    return TYPE_NAMES[type];
}

struct slice event_environment_name(enum event_environment environment)
{
    assert(environment < EVENT_ENVIRONMENT_COUNT);
    return ENVIRONMENT_NAMES[environment];
}

struct slice event_severity_name(enum event_severity severity)
{
    assert(severity < EVENT_SEVERITY_COUNT);
    return SEVERITY_NAMES[severity];
}

/* The place of text among names, or name_count. */
static size_t find_name(const struct slice *names, size_t name_count, struct slice text)
{
    size_t place = 0;

    while (place < name_count && !slice_equal(names[place], text))
        place++;
    return place;
}

bool event_type_from_name(struct slice text, enum event_type *ret_type)
{
    size_t place = find_name(TYPE_NAMES, EVENT_TYPE_COUNT, text);

    if (place == EVENT_TYPE_COUNT)
        return false;
    *ret_type = (enum event_type)place;
    return true;
}

bool event_environment_from_name(struct slice text, enum event_environment *ret_environment)
{
    size_t place = find_name(ENVIRONMENT_NAMES, EVENT_ENVIRONMENT_COUNT, text);

    if (place == EVENT_ENVIRONMENT_COUNT)
        return false;
    *ret_environment = (enum event_environment)place;
    return true;
}

bool event_severity_from_name(struct slice text, enum event_severity *ret_severity)
{
    size_t place = find_name(SEVERITY_NAMES, EVENT_SEVERITY_COUNT, text);

    if (place == EVENT_SEVERITY_COUNT)
        return false;
    *ret_severity = (enum event_severity)place;
    return true;
}

#include "contracts/job_kinds.h"

#include "contracts/json_number.h"
#include "contracts/json_string.h"
#include "contracts/members.h"

/*
 * Attempts and timeout are those under which the desk's jobs ran before: three attempts of
 * a quarter of an hour.
 */

enum { DESK_ATTEMPTS = 3, DESK_TIMEOUT_MS = 15 * 60 * 1000 };

/* Those of the summaries are of what called models before: 5 s, 10 s, ... 120 s. */
enum { SUMMARY_ATTEMPTS = 3, SUMMARY_BASE_MS = 5000, SUMMARY_CAP_MS = 120000 };

#define DESK_KIND(text, ...)                                                                       \
    {                                                                                              \
        .name = SLICE_INITIALIZER(text), .fields = {__VA_ARGS__},                                  \
        .field_count = sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice),               \
        .max_attempts = DESK_ATTEMPTS, .timeout_ms = DESK_TIMEOUT_MS, .factor = 1,                 \
    }

static const struct job_kind KINDS[] = {
    DESK_KIND("triage.ticket", MEMBER_NAME("ticket_id")),
    DESK_KIND("response.template_select", MEMBER_NAME("ticket_id")),
    DESK_KIND("extract.document", MEMBER_NAME("ticket_id"), MEMBER_NAME("document_id")),
    DESK_KIND("knowledge.ingest", MEMBER_NAME("source_id")),
    DESK_KIND("retrieve.context", MEMBER_NAME("ticket_id")),
    DESK_KIND("agent.evaluate", MEMBER_NAME("evaluation_id")),
    DESK_KIND("suggest.followup", MEMBER_NAME("ticket_id")),
    DESK_KIND("webhook.deliver", MEMBER_NAME("delivery_id")),
    DESK_KIND("audit.event.project", MEMBER_NAME("event_id")),
    {
        .name = SLICE_INITIALIZER(JOB_KIND_SUMMARIZE),
        .fields = {MEMBER_NAME("incident_id")},
        .field_count = 1,
        .max_attempts = SUMMARY_ATTEMPTS,
        .timeout_ms = DESK_TIMEOUT_MS,
        .base_ms = SUMMARY_BASE_MS,
        .cap_ms = SUMMARY_CAP_MS,
        .factor = 2,
        .has_jitter = true,
    },
};

enum request_member {
    REQUEST_URL,
    REQUEST_METHOD,
    REQUEST_HEADERS,
    REQUEST_BODY,
    REQUEST_TIMEOUT,
    REQUEST_EXPECT,
};

static const struct slice REQUEST_NAMES[] = {
    [REQUEST_URL] = MEMBER_NAME("url"),
    [REQUEST_METHOD] = MEMBER_NAME("method"),
    [REQUEST_HEADERS] = MEMBER_NAME("headers"),
    [REQUEST_BODY] = MEMBER_NAME("body"),
    [REQUEST_TIMEOUT] = MEMBER_NAME("timeout_ms"),
    [REQUEST_EXPECT] = MEMBER_NAME("expect"),
};

static const struct slice METHODS[] = {
    SLICE_INITIALIZER("GET"), SLICE_INITIALIZER("HEAD"),  SLICE_INITIALIZER("POST"),
    SLICE_INITIALIZER("PUT"), SLICE_INITIALIZER("PATCH"), SLICE_INITIALIZER("DELETE"),
};

const struct job_kind *job_kind_at(uint32_t n)
{
    assert(n < ARRAY_COUNT(KINDS));
    return &KINDS[n];
}

uint32_t job_kind_count(void)
{
    return ARRAY_COUNT(KINDS);
}

const struct job_kind *job_kind_find(struct slice name)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        if (slice_equal(KINDS[i].name, name))
            return &KINDS[i];
    return NULL;
}

/* Reads the payload, whose members then stand under the parent "payload". */
static void read_payload(struct members *members, struct slice payload)
{
    struct json_reader reader;
    struct json_value value;
    enum json_result r = json_read_document(payload, JSON_DEPTH_MAX, &reader, &value);

    assert(r == JSON_OK);
    members_read_value(members, SLICE_LITERAL("payload"), &value);
}

static bool check_desk(const struct job_kind *kind, struct slice payload, int32_t index,
                       struct issue_list *issues)
{
    char scratch[JOB_KIND_ID_SIZE_MAX];
    struct members members;
    struct slice text;

    members_init(&members, kind->fields, kind->field_count, issues, index);
    members.is_open = true;
    read_payload(&members, payload);
    if (!members.is_valid)
        return false;
    for (uint32_t i = 0; i < kind->field_count; i++)
        if (members_require(&members, i, "string"))
            members_text(&members, i, scratch, sizeof(scratch),
                         "must be a string of 1 to 128 bytes", &text);
    return members.is_valid;
}

/* --- http.request ----------------------------------------------------------- */

static bool is_url(struct slice url)
{
    static const struct slice schemes[] = {SLICE_INITIALIZER("http://"),
                                           SLICE_INITIALIZER("https://")};

    for (size_t i = 0; i < url.size; i++)
        if ((unsigned char)url.data[i] <= ' ' || (unsigned char)url.data[i] >= 0x7f)
            return false;
    for (uint32_t i = 0; i < ARRAY_COUNT(schemes); i++)
        if (url.size > schemes[i].size && memcmp(url.data, schemes[i].data, schemes[i].size) == 0 &&
            url.data[schemes[i].size] != '/')
            return true;
    return false;
}

static void check_url(struct members *members)
{
    static const char rule[] = "must be an http or https URL of at most 2048 bytes";
    char scratch[JOB_KIND_URL_SIZE_MAX];
    struct slice url;

    if (members_require(members, REQUEST_URL, "string") &&
        members_text(members, REQUEST_URL, scratch, sizeof(scratch), rule, &url) && !is_url(url))
        members_refuse(members, REQUEST_URL, rule);
}

/* A field name is a token of RFC 9110. */
static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool is_alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.size > 0;
}

/* Nothing in a value may end its line, or the client could write fields of its own. */
static bool is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (((unsigned char)text.data[i] < 0x20 && text.data[i] != '\t') || text.data[i] == 0x7f)
            return false;
    return true;
}

static bool headers_are_valid(const struct json_value *headers)
{
    char name_scratch[JOB_KIND_ID_SIZE_MAX], scratch[JOB_KIND_HEADER_SIZE_MAX];
    struct json_reader reader;
    struct json_value key, value;
    struct slice text;
    uint32_t count = 0;
    enum json_result r;

    if (headers->type != JSON_OBJECT)
        return false;
    json_reader_init(&reader, headers->raw, JSON_DEPTH_MAX);
    r = json_reader_enter_object(&reader);
    while (r == JSON_OK && (r = json_reader_next_member(&reader, &key)) == JSON_OK) {
        r = json_reader_read(&reader, &value);
        assert(r == JSON_OK);
        if (++count > JOB_KIND_HEADER_COUNT_MAX || value.type != JSON_STRING)
            return false;
        if (!json_string_text(&key, name_scratch, sizeof(name_scratch), &text) ||
            text.size > sizeof(name_scratch) || !is_token(text))
            return false;
        if (!json_string_text(&value, scratch, sizeof(scratch), &text) ||
            text.size > sizeof(scratch) || !is_field_value(text))
            return false;
    }
    return count > 0;
}

static bool expect_is_valid(const struct json_value *expect)
{
    struct json_reader reader;
    struct json_value value;
    uint32_t count = 0;
    int64_t status;

    if (expect->type != JSON_ARRAY)
        return false;
    json_reader_init(&reader, expect->raw, JSON_DEPTH_MAX);
    if (json_reader_enter_array(&reader) != JSON_OK)
        return false;
    while (json_reader_next_element(&reader) == JSON_OK) {
        if (json_reader_read(&reader, &value) != JSON_OK || value.type != JSON_NUMBER)
            return false;
        if (!json_number_to_i64(value.raw, &status) || status < 100 || status > 599)
            return false;
        if (++count > JOB_KIND_EXPECT_COUNT_MAX)
            return false;
    }
    return count > 0;
}

static bool check_request(struct slice payload, int32_t index, struct issue_list *issues)
{
    struct members members;
    uint32_t method = 0;
    uint64_t timeout_ms;

    members_init(&members, REQUEST_NAMES, ARRAY_COUNT(REQUEST_NAMES), issues, index);
    read_payload(&members, payload);
    if (!members.is_valid)
        return false;
    check_url(&members);
    if (members_option(&members, REQUEST_METHOD, METHODS, ARRAY_COUNT(METHODS), &method) &&
        method < 2 && members_has(&members, REQUEST_BODY))
        members_refuse(&members, REQUEST_BODY, "is not for GET and HEAD");
    if (members_has(&members, REQUEST_HEADERS) &&
        !headers_are_valid(&members.values[REQUEST_HEADERS]))
        members_refuse(&members, REQUEST_HEADERS,
                       "must be an object of 1 to 32 field names with their values, strings");
    members_integer(&members, REQUEST_TIMEOUT, JOB_KIND_TIMEOUT_MS_MIN, JOB_KIND_TIMEOUT_MS_MAX,
                    "must be a whole number from 100 to 300000", &timeout_ms);
    if (members_has(&members, REQUEST_EXPECT) && !expect_is_valid(&members.values[REQUEST_EXPECT]))
        members_refuse(&members, REQUEST_EXPECT,
                       "must be an array of 1 to 16 statuses from 100 to 599");
    return members.is_valid;
}

bool job_kind_check(struct slice kind, struct slice payload, int32_t index,
                    struct issue_list *issues)
{
    const struct job_kind *known = job_kind_find(kind);

    if (known != NULL)
        return check_desk(known, payload, index, issues);
    if (slice_equal(kind, SLICE_LITERAL("http.request")))
        return check_request(payload, index, issues);
    return true;
}

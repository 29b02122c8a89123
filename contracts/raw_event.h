/*
 * Raw event: one event as a client sends it, validated in the pass that parses it.
 *
 * Required: event_type, occurred_at, message. Optional: environment, severity,
 * event_id, attributes, payload; org_id and project_id are accepted and mean
 * nothing, since the API key decides. An explicit null is not "missing". Any other
 * member is checked to be JSON and dropped. A repeated member name is refused, for
 * two readers might each believe another one (among the names that are dropped,
 * the first JSON_KEY_SET_COUNT_MAX are watched).
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "contracts/uuid.h"
#include "runtime/base.h"

enum { RAW_EVENT_TIME_TEXT_MAX = 128 }; /* of an occurred_at spelled with escapes */

/* X(name, text): the one list of event types; enum and names are made from it. */
#define EVENT_TYPES(X)                                                                             \
    X(ERROR, "error")                                                                              \
    X(HTTP_REQUEST, "http_request")                                                                \
    X(SIGNUP, "signup")                                                                            \
    X(DEPLOY, "deploy")                                                                            \
    X(FEEDBACK, "feedback")                                                                        \
    X(CUSTOM, "custom")

#define EVENT_ENVIRONMENTS(X)                                                                      \
    X(PROD, "prod")                                                                                \
    X(STAGING, "staging")                                                                          \
    X(DEV, "dev")

#define EVENT_SEVERITIES(X)                                                                        \
    X(DEBUG, "debug")                                                                              \
    X(INFO, "info")                                                                                \
    X(WARN, "warn")                                                                                \
    X(ERROR, "error")                                                                              \
    X(CRITICAL, "critical")

#define EVENT_TYPE_ENUM(name, text) EVENT_TYPE_##name,
enum event_type { EVENT_TYPES(EVENT_TYPE_ENUM) EVENT_TYPE_COUNT };
#undef EVENT_TYPE_ENUM

#define EVENT_ENVIRONMENT_ENUM(name, text) EVENT_ENVIRONMENT_##name,
enum event_environment { EVENT_ENVIRONMENTS(EVENT_ENVIRONMENT_ENUM) EVENT_ENVIRONMENT_COUNT };
#undef EVENT_ENVIRONMENT_ENUM

#define EVENT_SEVERITY_ENUM(name, text) EVENT_SEVERITY_##name,
enum event_severity { EVENT_SEVERITIES(EVENT_SEVERITY_ENUM) EVENT_SEVERITY_COUNT };
#undef EVENT_SEVERITY_ENUM

/* Borrows from the text it was read from. Defaults are already applied. */
struct raw_event {
    struct slice raw; /* the whole event as it was sent */
    enum event_type type;
    enum event_environment environment; /* default: dev */
    enum event_severity severity;       /* default: info */
    bool has_event_id;
    char event_id[UUID_TEXT_SIZE]; /* as sent, in its case; else undefined */
    int64_t occurred_ms;           /* occurred_at in milliseconds since 1970 */
    struct slice occurred_at;      /* raw, with quotes */
    struct slice message;          /* raw, with quotes */
    struct slice attributes;       /* raw; default {} */
    struct slice payload;          /* raw; default {} */
    struct json_value error_code;  /* attributes.error_code of any type, or JSON_ABSENT */
    struct json_value route;       /* attributes.route of any type, or JSON_ABSENT */
    struct json_value fingerprint; /* attributes.fingerprint of any type, or JSON_ABSENT */
    struct json_value org_id;      /* as claimed by the sender; only for stored envelopes */
    struct json_value project_id;  /* as org_id */
    struct json_value received_at; /* as org_id */
};

enum raw_event_result {
    RAW_EVENT_OK,
    RAW_EVENT_INVALID,   /* well-formed JSON, but issues were added; reading may go on */
    RAW_EVENT_TRUNCATED, /* the reader's JSON_TRUNCATED */
    RAW_EVENT_BAD_JSON,  /* the reader's JSON_BAD */
};

/*
 * Consumes the value that reader is at. index is the event's place in its batch, or
 * ISSUE_NO_INDEX. The event borrows from the reader's text. Issues of an event that
 * turns out not to be JSON may be in the list; they are true, but beside the point.
 */
MUST_USE enum raw_event_result raw_event_read(struct json_reader *reader, int32_t index,
                                              struct issue_list *issues,
                                              struct raw_event *ret_event);

/*
 * Reads a body that is one event and nothing else. ret_reader tells where and why
 * it is not JSON. Nothing of ret_event is meaningful unless RAW_EVENT_OK.
 */
MUST_USE enum raw_event_result raw_event_read_document(struct slice body, uint32_t depth_max,
                                                       struct issue_list *issues,
                                                       struct json_reader *ret_reader,
                                                       struct raw_event *ret_event);

/* The name on the wire. */
struct slice event_type_name(enum event_type type);

/* The name on the wire. */
struct slice event_environment_name(enum event_environment environment);

/* The name on the wire. */
struct slice event_severity_name(enum event_severity severity);

/* True when text is the name of one; for filters in queries. */
MUST_USE bool event_type_from_name(struct slice text, enum event_type *ret_type);

/* True when text is the name of one. */
MUST_USE bool event_environment_from_name(struct slice text,
                                          enum event_environment *ret_environment);

/* True when text is the name of one. */
MUST_USE bool event_severity_from_name(struct slice text, enum event_severity *ret_severity);

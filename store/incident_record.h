/*
 * Incident record: what the log says about incidents and their rules, byte for byte.
 *
 *     INCIDENT        an incident as a whole, as it is from now on: written when it opens,
 *                     with each change, and before its segment goes
 *     INCIDENT_RULES  the rules of a project, as they are from now on
 *
 * Little-endian. Of two images of the same incident the one with the higher revision is the
 * later; one that is carried forward keeps its revision, so whoever has seen it already can
 * tell. An incident's id is a store/job_id.h of (created_ms, id_low, partition), where the
 * partition is the record's. Encoding and decoding only; what one encodes the other accepts:
 * encoding asserts what decoding checks. What is reserved is 0.
 *
 * All times but created_ms and written_ms are in the time of the events: when the 30th error
 * happened, not when it came in.
 */
#pragma once

#include "contracts/raw_event.h"
#include "contracts/series.h"
#include "store/job_id.h"
#include "store/job_record.h"

enum {
    INCIDENT_RECORD_VERSION = 1,
    INCIDENT_RULES_RECORD_VERSION = 1,
    INCIDENT_TITLE_SIZE_MAX = 256,
    INCIDENT_ACTOR_SIZE_MAX = 64,
};

/* X(name, text): what is wrong. On disk: only ever append. */
#define INCIDENT_RULES(X)                                                                          \
    X(ERROR_SPIKE, "error_spike")                                                                  \
    X(NEW_ERROR, "new_error")                                                                      \
    X(SIGNUP_DROP, "signup_drop")                                                                  \
    X(OVERFLOW, "overflow")

#define INCIDENT_STATUSES(X)                                                                       \
    X(OPEN, "open")                                                                                \
    X(INVESTIGATING, "investigating")                                                              \
    X(RESOLVED, "resolved")

#define INCIDENT_SEVERITIES(X)                                                                     \
    X(WARN, "warn")                                                                                \
    X(ERROR, "error")                                                                              \
    X(CRITICAL, "critical")

/* Why the image was written: the line that the change is in the timeline. */
#define INCIDENT_CAUSES(X)                                                                         \
    X(OPENED, "opened")                                                                            \
    X(REOPENED, "reopened")                                                                        \
    X(ESCALATED, "escalated")         /* the severity went up */                                   \
    X(AUTO_RESOLVED, "auto_resolved") /* nothing of it for long enough */                          \
    X(CHANGED, "status_changed")      /* by actor, through the API */                              \
    X(FLAPPING, "flapping_started")                                                                \
    X(SETTLED, "flapping_ended")                                                                   \
    X(SEEN, "seen") /* last_seen_ms only: no line */

#define INCIDENT_RULE_ENUM(name, text) INCIDENT_RULE_##name,
enum incident_rule { INCIDENT_RULES(INCIDENT_RULE_ENUM) INCIDENT_RULE_COUNT };
#undef INCIDENT_RULE_ENUM

#define INCIDENT_STATUS_ENUM(name, text) INCIDENT_##name,
enum incident_status { INCIDENT_STATUSES(INCIDENT_STATUS_ENUM) INCIDENT_STATUS_COUNT };
#undef INCIDENT_STATUS_ENUM

#define INCIDENT_SEVERITY_ENUM(name, text) INCIDENT_SEVERITY_##name,
enum incident_severity { INCIDENT_SEVERITIES(INCIDENT_SEVERITY_ENUM) INCIDENT_SEVERITY_COUNT };
#undef INCIDENT_SEVERITY_ENUM

#define INCIDENT_CAUSE_ENUM(name, text) INCIDENT_CAUSE_##name,
enum incident_cause { INCIDENT_CAUSES(INCIDENT_CAUSE_ENUM) INCIDENT_CAUSE_COUNT };
#undef INCIDENT_CAUSE_ENUM

enum {
    INCIDENT_FLAG_FLAPPING = 1,
    INCIDENT_FLAG_NOTIFY = 2, /* whoever is told of incidents is to be told of this change */
};

/* The variable parts, in the order in which they follow the header. All are text. */
enum incident_section {
    INCIDENT_SECTION_ORG,
    INCIDENT_SECTION_PROJECT,
    INCIDENT_SECTION_FINGERPRINT, /* as people read it, see contracts/series.h */
    INCIDENT_SECTION_TITLE,
    INCIDENT_SECTION_ACTOR, /* id of the API key that asked for the change; may be empty */
    INCIDENT_SECTION_COUNT,
};

/* On disk: the head of an INCIDENT; the sections follow. Times are unix ms. */
struct incident_image_header {
    uint64_t id_low;     /* with created_ms and the partition: the id */
    uint64_t created_ms; /* by the server's clock */
    uint64_t written_ms; /* when this change was made, by the server's clock */
    uint64_t revision;   /* 1 and up, within the incident */
    uint64_t series[2];  /* as in struct record_event */
    uint64_t project;    /* as in struct record_event */
    int64_t opened_ms;   /* first time */
    int64_t reopened_ms; /* when it last became open; opened_ms when it always was */
    int64_t last_seen_ms;
    int64_t resolved_ms;     /* 0: it is not */
    int64_t changed_ms;      /* when this change was true */
    uint64_t window_count;   /* events in the window of the rule that opened it, then */
    uint64_t baseline_milli; /* thousandths of what was to be expected there; 0: unknown */
    uint32_t reopen_count;
    uint8_t fingerprint_version; /* SERIES_VERSION that series was made with */
    uint8_t environment;         /* enum event_environment */
    uint8_t rule;                /* enum incident_rule */
    uint8_t status;              /* enum incident_status */
    uint8_t severity;            /* enum incident_severity */
    uint8_t cause;               /* enum incident_cause */
    uint8_t flags;               /* INCIDENT_FLAG_* */
    uint8_t reserved[5];
    uint16_t sizes[INCIDENT_SECTION_COUNT];
    uint16_t reserved_2[3];
};

static_assert(sizeof(struct incident_image_header) == 144, "on disk");
static_assert(offsetof(struct incident_image_header, opened_ms) == 56, "on disk");
static_assert(offsetof(struct incident_image_header, reopen_count) == 112, "on disk");
static_assert(offsetof(struct incident_image_header, flags) == 122, "on disk");
static_assert(offsetof(struct incident_image_header, sizes) == 128, "on disk");

enum {
    INCIDENT_RECORD_SIZE_MAX = 144 + 2 * JOB_NAME_SIZE_MAX + FINGERPRINT_SIZE_MAX +
                               INCIDENT_TITLE_SIZE_MAX + INCIDENT_ACTOR_SIZE_MAX,
};

/* An INCIDENT, decoded or to be encoded; slices are borrowed. */
struct incident_image {
    struct incident_image_header header;
    struct slice sections[INCIDENT_SECTION_COUNT];
};

/* Bytes that incident_image_encode() will write, at most INCIDENT_RECORD_SIZE_MAX. */
uint64_t incident_image_size(const struct incident_image *image);

/*
 * Writes the payload of an INCIDENT to at least incident_image_size() bytes; returns its size.
 * The image must be one that incident_image_decode() accepts, but for header.sizes.
 */
uint64_t incident_image_encode(const struct incident_image *image, char *buffer);

/* Reads an INCIDENT's payload; *ret_image borrows it. 0, or -EBADMSG when it is not one. */
MUST_USE int incident_image_decode(struct slice payload, struct incident_image *ret_image);

/* The incident's id; partition is the record's. */
struct job_id incident_image_id(const struct incident_image_header *header, uint32_t partition);

/* The names on the wire; "unknown" for a number of a later version. */
struct slice incident_rule_name(uint32_t rule);
struct slice incident_status_name(uint32_t status);
struct slice incident_severity_name(uint32_t severity);
struct slice incident_cause_name(uint32_t cause);

/* --- rules -------------------------------------------------------------------- */

enum {
    INCIDENT_PENDING_MINUTES_MAX = 60,
    INCIDENT_RESOLVE_MINUTES_MIN = 5, /* an incident fires on for five minutes at least */
    INCIDENT_RESOLVE_MINUTES_MAX = 60,
    INCIDENT_REOPEN_MINUTES_MAX = 60,
    INCIDENT_COUNT_MAX = 1000000000,
    INCIDENT_PERCENT_MAX = 1000000,
};

/* The rules of a project, on disk as in memory. Percentages are of what was to be expected. */
struct incident_rules {
    uint32_t spike_count;            /* errors in 5 minutes */
    uint32_t spike_percent;          /* and so much of the mean of the hour before */
    uint32_t spike_error_percent;    /* from here on its severity is error */
    uint32_t spike_critical_percent; /* and from here on critical */
    uint32_t drop_count;             /* signups in 15 minutes: no more */
    uint32_t drop_baseline;          /* in the 60 minutes before: at least */
    uint32_t drop_percent;           /* and no more than so much of what they make expect */
    uint32_t drop_error_percent;     /* down to here its severity is error */
    uint32_t drop_critical_percent;  /* and down to here critical */
    uint32_t reserved_2;
    uint8_t pending_minutes; /* a breach must last so long before an incident opens */
    uint8_t resolve_minutes; /* without activity, then it is resolved */
    uint8_t reopen_minutes;  /* after that it is reopened, later a new one opens */
    uint8_t spike_is_off;
    uint8_t drop_is_off;
    uint8_t reserved[3];
};

static_assert(sizeof(struct incident_rules) == 48, "on disk");
static_assert(offsetof(struct incident_rules, pending_minutes) == 40, "on disk");

/* On disk: an INCIDENT_RULES as a whole. */
struct incident_rules_record {
    uint64_t revision;   /* 1 and up, within the project */
    uint64_t updated_ms; /* by the server's clock */
    uint64_t project;    /* as in struct record_event */
    struct incident_rules rules;
    uint8_t org_size;
    uint8_t project_size;
    uint8_t reserved[6];
    char org[JOB_NAME_SIZE_MAX];
    char project_name[JOB_NAME_SIZE_MAX];
};

static_assert(sizeof(struct incident_rules_record) == 80 + 2 * JOB_NAME_SIZE_MAX, "on disk");
static_assert(offsetof(struct incident_rules_record, org_size) == 72, "on disk");

/* What is in force for projects that have no rules of their own. */
extern const struct incident_rules INCIDENT_RULES_DEFAULT;

/* True when every number is within its bounds. */
MUST_USE bool incident_rules_are_valid(const struct incident_rules *rules);

/* Reads an INCIDENT_RULES. 0, or -EBADMSG when it is not one. */
MUST_USE int incident_rules_decode(struct slice payload, struct incident_rules_record *ret_record);

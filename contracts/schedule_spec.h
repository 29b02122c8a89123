/*
 * Schedule spec: a cron schedule of jobs as a client asks for it, validated.
 *
 *     {"cron", "timezone"?: "UTC", "kind", "payload"?, "key"?, "priority"?, "max_attempts"?,
 *      "timeout_seconds"?, "missed"?: "fire_once" | "fire_all" | "skip", "paused"?}
 *
 * cron is cron.h's, timezone a name below the zoneinfo directory: whether there is such a
 * zone only the server knows. kind to timeout_seconds are those of a job (job_spec.h).
 * Members of other names are refused; null stands for left out, but for payload.
 */
#pragma once

#include "contracts/cron.h"
#include "contracts/issue.h"
#include "contracts/job_spec.h"
#include "contracts/time_zone.h"

enum {
    SCHEDULE_SPEC_NAME_SIZE_MAX = 64,
    SCHEDULE_SPEC_PAYLOAD_SIZE_MAX = 16384,
    SCHEDULE_SPEC_RULE_SIZE_MAX = 128,
};

/* What becomes of runs that were due while the server was down or its clock was wrong. */
enum schedule_missed {
    SCHEDULE_FIRE_ONCE, /* one run stands for all of them */
    SCHEDULE_FIRE_ALL,  /* each is made up for, oldest first, up to CRON_MISSED_COUNT_MAX */
    SCHEDULE_SKIP,      /* none */
    SCHEDULE_MISSED_COUNT,
};

/* Borrows payload and key from the text it was read from. */
struct schedule_spec {
    uint8_t kind_size;
    uint8_t zone_size;
    uint16_t cron_size;
    char kind[JOB_SPEC_KIND_SIZE_MAX];
    char zone[TIME_ZONE_NAME_SIZE_MAX];
    char cron_text[CRON_TEXT_SIZE_MAX];
    struct cron cron;
    uint8_t missed; /* enum schedule_missed */
    uint8_t priority;
    uint8_t max_attempts; /* 0: the queue's */
    bool is_paused;
    uint32_t timeout_ms;   /* 0: the queue's */
    struct slice payload;  /* raw */
    struct json_value key; /* a string of 1 to JOB_SPEC_KEY_SIZE_MAX bytes, or JSON_ABSENT */
    char rule[SCHEDULE_SPEC_RULE_SIZE_MAX]; /* what an issue says of cron; borrowed by it */
};

/* True for 1 to SCHEDULE_SPEC_NAME_SIZE_MAX of a-z A-Z 0-9 . _ - that are not "." or "..". */
MUST_USE bool schedule_name_is_valid(struct slice name);

/* The word for a policy in requests and answers. */
struct slice schedule_missed_name(enum schedule_missed missed);

/*
 * Reads a body that is one schedule; results as job_spec_read(). The issues may borrow from
 * *ret_spec.
 */
MUST_USE enum job_spec_result schedule_spec_read(struct slice body, uint32_t depth_max,
                                                 struct issue_list *issues,
                                                 struct json_reader *ret_reader,
                                                 struct schedule_spec *ret_spec);

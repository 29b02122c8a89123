/*
 * Dead filter: which dead letters are meant.
 *
 * All conditions that are set must hold. A zeroed filter takes every letter. What it looks
 * at is in memory, so that a filter over a million letters reads no log.
 */
#pragma once

#include "store/job_table.h"

/* What may be asked for. */
enum dead_field {
    DEAD_FIELD_ORG,
    DEAD_FIELD_PROJECT,
    DEAD_FIELD_ORIGIN, /* "job:<kind>" */
    DEAD_FIELD_REASON, /* a word of job_dead_reason_name() */
    DEAD_FIELD_SINCE,  /* a time: died then or later */
    DEAD_FIELD_UNTIL,  /* a time: died before */
    DEAD_FIELD_COUNT,
};

/* Empty and 0: any. */
struct dead_filter {
    uint64_t since_ms;
    uint64_t until_ms;
    uint8_t reason; /* enum job_dead_reason */
    uint8_t org_size;
    uint8_t project_size;
    uint8_t kind_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char kind[JOB_NAME_SIZE_MAX];
};

/* Sets one condition from its text. NULL, or what the text has to be; static. */
const char *dead_filter_set(struct dead_filter *filter, enum dead_field field, struct slice text);

/* The name of a condition in requests: "org", "since" ... */
struct slice dead_field_name(enum dead_field field);

/* True when it names one project: its letters are all on one shard. */
bool dead_filter_is_of_project(const struct dead_filter *filter);

/* True when the job, a dead letter, is meant. */
bool dead_filter_takes(const struct dead_filter *filter, const struct job_view *view);

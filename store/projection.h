/*
 * Projection: what a record of the logs means as rows.
 *
 *     EVENT                    a row of events
 *     INCIDENT                 a row of incidents, and one of their changes
 *     AI_RUN                   a row of AI runs
 *     JOB, JOB_FACT            of kind incident.*: a row of jobs
 *
 * A pure function of the records, in their order: the same logs give the same rows, whenever
 * they are read and however often. Records of other types mean nothing here.
 */
#pragma once

#include "store/read_backend.h"
#include "store/record.h"

enum { PROJECTION_ATTEMPTS_SIZE_MAX = AI_RUN_ATTEMPT_COUNT_MAX * 640 };

/* One projection, of one thread. backend and before_ms are the caller's to set. */
struct projection {
    struct read_backend *backend;
    uint64_t before_ms;        /* events received earlier would be removed at once: not projected */
    uint64_t unreadable_count; /* records that make no sense; left out */
    uint64_t row_count;        /* records that put a row; without facts, which change them */
    /* Private to projection.c. */
    char org[TENANT_NAME_SIZE_MAX];
    char project[TENANT_NAME_SIZE_MAX];
    char incident_id[UUID_TEXT_SIZE];
    char message[READ_MODEL_MESSAGE_MAX];
    char attempts[PROJECTION_ATTEMPTS_SIZE_MAX];
};

/* Puts what the record means. 0, or the backend's negative errno. */
MUST_USE int projection_apply(struct projection *projection,
                              const struct journal_record_view *record);

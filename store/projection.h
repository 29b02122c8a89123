/*
 * Projection: what a record of the logs means as rows.
 *
 *     EVENT                    a row of events
 *     JOB, JOB_FACT            of kind incident.*: a row of jobs
 *
 * A pure function of the records, in their order: the same logs give the same rows, whenever
 * they are read and however often. Records of other types mean nothing here.
 */
#pragma once

#include "store/read_backend.h"
#include "store/record.h"

/* One projection, of one thread. backend and before_ms are the caller's to set. */
struct projection {
    struct read_backend *backend;
    uint64_t before_ms;        /* events received earlier would be removed at once: not projected */
    uint64_t unreadable_count; /* records that make no sense; left out */
    /* Private to projection.c. */
    char org[TENANT_NAME_SIZE_MAX];
    char project[TENANT_NAME_SIZE_MAX];
    char incident_id[UUID_TEXT_SIZE];
    char message[READ_MODEL_MESSAGE_MAX];
};

/* Puts what the record means. 0, or the backend's negative errno. */
MUST_USE int projection_apply(struct projection *projection,
                              const struct journal_record_view *record);

/*
 * SQLite internals: the parts of the SQLite backend among themselves. Included by
 * store/sqlite_backend.c and the files it names only.
 *
 *     sqlite_backend.c   transactions, places, retention, queries
 *     sqlite_events.c    rows of events, numbers of projects, counts per minute
 *     sqlite_rows.c      rows of incidents, AI runs and jobs
 *     sqlite_open.c      opening, checking, migrating
 */
#pragma once

#include "store/sqlite_backend.h"
#include "store/sqlite_session.h"

enum {
    SQLITE_PROJECT_SLOT_COUNT = 1024,
    SQLITE_MINUTE_SLOT_COUNT = 4096, /* a power of two */
};

/* A project whose number is known. */
struct sqlite_project {
    int64_t id; /* 0: free */
    uint8_t org_size;
    uint8_t project_size;
    char names[2 * JOB_NAME_SIZE_MAX]; /* organisation, then project */
};

/* Events of one minute that are not in the database yet. */
struct sqlite_minute {
    int64_t project; /* 0: free */
    int64_t minute_ms;
    uint32_t environment;
    uint32_t type;
    uint64_t count;
    uint64_t received_ms; /* of the newest */
};

/* One database. */
struct sqlite_backend {
    struct read_backend backend;
    struct sqlite_session writer;
    struct sqlite_session reader; /* not open when there is only one connection */
    bool is_shared;               /* the writer answers, too */
    uint32_t retain_count;        /* rounds that found no more old events */
    int wal_pages;                /* in the WAL after the last commit */
    struct sqlite_project projects[SQLITE_PROJECT_SLOT_COUNT];
    struct sqlite_minute minutes[SQLITE_MINUTE_SLOT_COUNT];
    uint32_t minute_count;
};

extern const struct read_backend_vtable SQLITE_BACKEND_VTABLE;

/* From the interface to the implementation. */
static inline struct sqlite_backend *sqlite_backend_of(struct read_backend *backend)
{
    return container_of(backend, struct sqlite_backend, backend);
}

/* The number of a project, which is made when it has none. 0; -EBADMSG when no record can have
 * such names; or another -errno. */
MUST_USE int sqlite_find_project(struct sqlite_backend *self, struct slice org,
                                 struct slice project, int64_t *ret_id);

/* Writes the counts per minute that are only in memory. 0 or -errno. */
MUST_USE int sqlite_write_minutes(struct sqlite_backend *self);

/* Forgets what was in memory of a transaction that is rolled back. */
void sqlite_forget(struct sqlite_backend *self);

/* The puts of read_backend.h. */
int sqlite_put_event(struct read_backend *backend, const struct read_event_row *row);
int sqlite_put_incident(struct read_backend *backend, uint32_t partition,
                        const struct incident_image *image);
int sqlite_put_run(struct read_backend *backend, const struct read_run_row *row);
int sqlite_put_job(struct read_backend *backend, const struct read_job_row *row);
int sqlite_put_job_fact(struct read_backend *backend, uint32_t partition,
                        const struct job_fact *fact);

/* Closes what is open of it and frees it. */
void sqlite_backend_close(struct read_backend **backend);

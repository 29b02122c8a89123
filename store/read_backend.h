/*
 * Read backend: where the rows of the read model are.
 *
 * One implementation per database. Calls block; those that write, and open, come from
 * one thread (or, before there are threads, from the boot thread), query() from another.
 * Between begin() and commit() rows are put in the order of the logs; commit() makes them
 * and the places durable together, or nothing of them has happened. Every put of what is there
 * already changes nothing but what the row says is newer.
 *
 * Errors are those of store/sqlite_session.h, whatever the database: -ENOSPC, -EIO, -EBUSY
 * and -ENOMEM may pass; -EBADMSG means that the database is damaged.
 */
#pragma once

#include "store/ai_run_record.h"
#include "store/incident_record.h"
#include "store/job_record.h"
#include "store/read_model.h"

struct read_backend;

/* How far a log has been read: where its next record begins. */
struct read_place {
    uint32_t log;
    uint64_t seq; /* 0: nothing was read yet */
    uint64_t offset;
    uint64_t next_lsn;
    struct journal_location last; /* nothing up to here is wanted any more */
};

/* One event. Slices are borrowed for the call, here and below. */
struct read_event_row {
    struct journal_location location;
    struct slice org;
    struct slice project;
    uint8_t event_id[UUID_SIZE];
    struct slice spelled_id; /* empty when it is event_id in lower case */
    int64_t occurred_ms;
    uint64_t received_ms;
    enum event_environment environment;
    enum event_type type;
    enum event_severity severity;
    uint64_t series[2]; /* 0 0: none */
    struct slice message;
    struct slice attributes;
};

/* A job of kind incident.*, as a JOB says. */
struct read_job_row {
    const struct job_image *image;
    uint32_t partition;
    struct slice incident_id; /* empty: none in its payload */
};

/* The work of a model, as an AI_RUN says. */
struct read_run_row {
    const struct ai_run_image *image;
    uint32_t partition;
    struct slice attempts; /* a JSON array of objects, ready for answers */
};

/* What is done with a database. */
struct read_backend_vtable {
    const char *name;
    /* The place of each log; zeroed, but for log, where nothing was read. */
    int (*load_places)(struct read_backend *backend, struct read_place *ret_places,
                       uint32_t log_count);
    int (*begin)(struct read_backend *backend);
    int (*put_event)(struct read_backend *backend, const struct read_event_row *row);
    int (*put_incident)(struct read_backend *backend, uint32_t partition,
                        const struct incident_image *image);
    int (*put_run)(struct read_backend *backend, const struct read_run_row *row);
    int (*put_job)(struct read_backend *backend, const struct read_job_row *row);
    int (*put_job_fact)(struct read_backend *backend, uint32_t partition,
                        const struct job_fact *fact);
    int (*put_place)(struct read_backend *backend, const struct read_place *place);
    int (*commit)(struct read_backend *backend);
    void (*roll_back)(struct read_backend *backend);
    /* Removes some of what is older, in a transaction of its own. */
    int (*retain)(struct read_backend *backend, uint64_t before_ms, bool *ret_more);
    /* deadline_ns: monotonic, not 0. Any result but READ_BUSY; on_done is not called. */
    enum read_result (*query)(struct read_backend *backend, struct read_query *query,
                              uint64_t deadline_ns);
    /* Bytes on disk, as far as they are known. */
    uint64_t (*size)(struct read_backend *backend);
    void (*close)(struct read_backend **backend);
};

/* One database; each implementation embeds it first. */
struct read_backend {
    const struct read_backend_vtable *vtable;
};

/*
 * Read writer: brings the read model up to date with the logs, a transaction at a time.
 *
 *                        records           rows and places
 *     log follower -----------------> projection -----------------> backend
 *
 * One thread's. What goes wrong is rolled back and tried again later from what the database
 * holds; only a damaged database ends it.
 */
#pragma once

#include "store/log_follower.h"
#include "store/projection.h"

enum {
    READ_BATCH_RECORDS_MAX = 65536, /* of one transaction, about: groups are not torn apart */
    READ_BATCH_BYTES_MAX = 32 << 20,
    READ_LOG_COUNT_MAX = SEGMENT_LOG_MAX + 1,
    READ_RETRY_MS = 1000,
    READ_RETAIN_PERIOD_MS = 60000,
};

/* What one step came to. */
enum read_step {
    READ_STEP_MORE,   /* there is more to do now */
    READ_STEP_IDLE,   /* up to date; until something is published, or due_ns */
    READ_STEP_FAILED, /* text says why; again at due_ns */
    READ_STEP_ENDED,  /* the database is damaged: never again; text says so */
};

/* Private to read_writer.c, but that what is marked so may be read. */
struct read_writer {
    struct read_backend *backend; /* read; its owner is who called init */
    struct log_follower follower;
    struct projection projection;
    struct clock clock;
    uint64_t retain_ms; /* 0: rows stay */
    uint64_t retain_due_ns;
    uint64_t due_ns; /* read: when the next step is to be made, at the latest */
    uint32_t log_count;
    uint32_t turn; /* which log comes first, so that none waits for ever */
    uint64_t committed_skipped;
    uint64_t record_count;                           /* read: committed since init */
    struct read_place committed[READ_LOG_COUNT_MAX]; /* read: what the database holds */
    struct read_place batch[READ_LOG_COUNT_MAX];     /* the same, with the batch at hand */
    char text[READ_MODEL_TEXT_SIZE];                 /* read */
};

/* Where from. Pointers are borrowed for the writer's life, backend too. */
struct read_writer_config {
    struct read_backend *backend;
    struct disk *disk;
    const char *data_path;
    const uint8_t *uuid;
    uint32_t log_count;
    bool unsafe_storage;
    const struct clock_source *clock_source;
    uint64_t retain_ms;
};

/*
 * Loads the places. 0; -EBADMSG when the database is damaged, or another -errno with text
 * (READ_MODEL_TEXT_SIZE) saying why. A failed one needs no deinit.
 */
MUST_USE int read_writer_init(struct read_writer *writer, const struct read_writer_config *config,
                              char *text);

/* Gives everything but the backend back. A zeroed one is accepted. */
void read_writer_deinit(struct read_writer *writer);

/* Log log is durable up to lsn. */
void read_writer_advance(struct read_writer *writer, uint32_t log, uint64_t lsn);

/* False when the database holds records of the log that the log, which ends with lsn, does not. */
MUST_USE bool read_writer_agrees(const struct read_writer *writer, uint32_t log, uint64_t lsn);

/* Does the next thing there is to do. */
MUST_USE enum read_step read_writer_step(struct read_writer *writer);

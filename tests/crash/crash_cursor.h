/*
 * Crash cursor: walks through a write log and says what the disk may hold at each moment.
 *
 *     crash_cursor_init(&cursor, &log, 0);
 *     while (crash_cursor_next(&cursor)) {                     (to the next moment that matters)
 *         crash_choice_none(&cursor, &choice);                 (or any other choice)
 *         crash_cursor_build(&cursor, &choice, &rng, &state);
 *         ... the power failed just after cursor.position entries: recover from state ...
 *     }
 *
 * What is certain: a durable write from its completion on; any other write or truncation
 * from the completion of an fsync that was begun after it had completed; a name from the
 * completion of such an fsync of its directory. Everything else that was handed over is
 * there, or not, or (a write) in part, by blocks of 4 KiB or sectors of 512 bytes.
 * Names of one directory come in order: those that are missing are the latest ones.
 */
#pragma once

#include "runtime/rng.h"
#include "tests/crash/write_log.h"

enum {
    CRASH_PENDING_COUNT_MAX = 256,
    CRASH_DIRECTORY_COUNT_MAX = 8,
    CRASH_PENDING_NAME_COUNT_MAX = 128,
};

/* Ways of having written the log that the server must not rely on: to see that they are found. */
enum crash_flaw {
    CRASH_FLAW_NO_DURABLE_WRITES = 1, /* RWF_DSYNC does nothing */
    CRASH_FLAW_NO_DIRECTORY_SYNC = 2, /* neither does fsync of a directory */
    CRASH_FLAW_RENAME_BEFORE_SYNC =
        4, /* fsyncs of a file come after the rename that follows them */
};

/* What may have become of one write or truncation. */
enum crash_fate {
    CRASH_ABSENT,
    CRASH_PRESENT,
    CRASH_SIZE_ONLY,     /* the file is longer, the data is not there */
    CRASH_FIRST_BLOCKS,  /* the first ones */
    CRASH_SOME_BLOCKS,   /* any of them */
    CRASH_FIRST_SECTORS, /* likewise */
    CRASH_SOME_SECTORS,
    CRASH_FATE_COUNT,
};

/* One effect whose end is open, or that waits for an earlier one in its place. */
struct crash_pending {
    uint32_t op;
    bool is_settled;
};

/* The names of one directory that are not certain, in order; those completed come first. */
struct crash_directory {
    char path[CRASH_PATH_SIZE_MAX];
    uint32_t ops[CRASH_PENDING_NAME_COUNT_MAX];
    uint32_t count;
};

/* Read-only but for the functions below. */
struct crash_cursor {
    const struct write_log *log;
    uint32_t flaws;
    uint32_t position;      /* entries passed: the crash comes before entry position */
    struct crash_disk base; /* what is certain */
    struct crash_pending pending[CRASH_PENDING_COUNT_MAX];
    uint32_t pending_count;
    struct crash_directory directories[CRASH_DIRECTORY_COUNT_MAX];
    uint32_t directory_count;
};

/* One crash state at a cursor's position. */
struct crash_choice {
    uint8_t fates[CRASH_PENDING_COUNT_MAX];       /* enum crash_fate of each pending effect */
    uint8_t names[CRASH_DIRECTORY_COUNT_MAX];     /* how many of each directory's are there */
    uint8_t swap_last[CRASH_DIRECTORY_COUNT_MAX]; /* the last two came the other way round */
};

/* Before the first entry. flaws is 0 or a sum of enum crash_flaw. Borrows log. */
void crash_cursor_init(struct crash_cursor *cursor, const struct write_log *log, uint32_t flaws);

/* Frees what the cursor holds. */
void crash_cursor_deinit(struct crash_cursor *cursor);

/*
 * Passes the next entry that concerns the disk, and all marks that follow it: a crash
 * right after it finds the same disk with less to answer for. False at the end.
 */
bool crash_cursor_next(struct crash_cursor *cursor);

/* How many states there are when no write is torn; UINT64_MAX for very many. */
uint64_t crash_cursor_state_count(const struct crash_cursor *cursor);

/* State number n of these; 0 has nothing that is not certain, the last one everything. */
void crash_choice_number(const struct crash_cursor *cursor, uint64_t n,
                         struct crash_choice *ret_choice);

/* Everything; or the one uncertain effect number n alone. */
void crash_choice_all(const struct crash_cursor *cursor, struct crash_choice *ret_choice);
void crash_choice_alone(const struct crash_cursor *cursor, uint32_t n,
                        struct crash_choice *ret_choice);

/* Any state, with each uncertain write torn with a chance of one half. */
void crash_choice_random(const struct crash_cursor *cursor, struct rng *rng,
                         struct crash_choice *ret_choice);

/* True when there is a write that can be torn. */
bool crash_cursor_has_torn(const struct crash_cursor *cursor);

/* Makes the disk of a choice; rng decides where writes are torn. End it with crash_disk_deinit().
 */
void crash_cursor_build(const struct crash_cursor *cursor, const struct crash_choice *choice,
                        struct rng *rng, struct crash_disk *ret_state);

/* The choice in words, one line per uncertain effect. */
void crash_choice_describe(const struct crash_cursor *cursor, const struct crash_choice *choice,
                           char *text, size_t text_size);

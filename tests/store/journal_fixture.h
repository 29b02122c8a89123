/*
 * Journal fixture: one log on a simulated host, and a model of what must be in it.
 *
 * The model knows every group that was appended, in order, and which of them were
 * acknowledged. After any crash the log must hold all of those that were there
 * before, then the appended ones up to some point, which is not before the last
 * acknowledged one. Payloads are made from the number of the group, so a wrong
 * byte is seen.
 */
#pragma once

#include "runtime/io_sim.h"
#include "runtime/sim_disk.h"
#include "runtime/timer_wheel.h"
#include "store/journal.h"
#include "store/journal_reader.h"
#include "store/recovery.h"
#include "store/superblock.h"

enum {
    FIXTURE_GROUPS_MAX = 20000,
    FIXTURE_RECORDS_MAX = 8,
    FIXTURE_PAYLOAD_MAX = 300000,
};

/* One appended group. */
struct fixture_group {
    struct journal_append append;
    struct journal_record records[FIXTURE_RECORDS_MAX];
    struct slice parts[FIXTURE_RECORDS_MAX][2];
    char *payload; /* of all records, one after the other */
    uint64_t id;
    uint64_t lsn_first;
    uint32_t count;
    bool acked;
    bool unknown;
    struct fixture *fixture;
};

struct fixture {
    struct sim_world *world;
    struct sim_host *host;
    struct disk *disk;
    struct io *io;
    struct clock clock;
    struct timer_wheel wheel;
    struct rng rng; /* the test's own */
    bool exact;     /* payloads have the largest size asked for */
    struct superblock superblock;
    struct journal_config config; /* sizes: set before fixture_open() */
    struct journal_owner owner;
    struct journal *journal;
    struct journal_reader *reader; /* the test's, or NULL; goes with a crash */
    bool failed;
    int failure;
    bool stopped;
    uint32_t room_count;
    uint32_t retired_count;
    uint64_t run_last_seq; /* the newest that on_retire was told will go */
    uint64_t run_max;      /* the most of them at a time */
    uint64_t last_acked_lsn;

    struct fixture_group *groups[FIXTURE_GROUPS_MAX]; /* all appended that may exist */
    uint32_t group_count;
    uint32_t committed_count; /* of them, known to be in the log */
    uint64_t id_next;

    /* The latest recovery. */
    struct recovery_visitor visitor;
    uint64_t *recovered_lsns; /* lsn_first of each group seen */
    uint32_t recovered_count;
    uint32_t lost_count;     /* groups that were acknowledged or seen before, and are gone */
    uint32_t mismatch_count; /* groups that are not what was appended */
    uint32_t match_index;    /* the next of groups to be seen */
    uint32_t skipped_count;  /* groups before the first one seen: dropped by retention */
    struct recovered *recovered;
    char text[RECOVERY_TEXT_SIZE];
};

/* A world and a host, nothing opened. */
void fixture_init(struct fixture *fixture, uint64_t seed);

/* Frees all. */
void fixture_deinit(struct fixture *fixture);

/* Superblock and recovery; no journal. 0 or -errno. */
int fixture_recover(struct fixture *fixture);

/* Superblock, recovery, journal. 0 or -errno; after an error fixture_crash() is due. */
int fixture_open(struct fixture *fixture);

/* Appends one group of count records with random payloads up to size_max. The journal's answer. */
int fixture_append(struct fixture *fixture, uint32_t count, uint32_t size_max, uint32_t flags);

/* Steps world and journal until idle or step_count steps are done. */
void fixture_run(struct fixture *fixture, uint32_t step_count);

/* Runs until all appended groups have been told an outcome; false after too many steps. */
bool fixture_settle(struct fixture *fixture);

/* Stops the journal cleanly and closes everything. */
void fixture_stop(struct fixture *fixture);

/* Power cut (or SIGKILL), then the host is up again. */
void fixture_crash(struct fixture *fixture, bool kill);

/* Changes a byte of a file of the data directory. */
void fixture_flip(struct fixture *fixture, const char *name, uint64_t offset, uint8_t mask);

/* Reads or writes whole blocks of a file; makes the change durable. */
void fixture_read(struct fixture *fixture, const char *name, uint64_t offset, char *data,
                  uint64_t size);
void fixture_write(struct fixture *fixture, const char *name, uint64_t offset, const char *data,
                   uint64_t size);

/* The file's size. */
uint64_t fixture_size(struct fixture *fixture, const char *name);

/* True when the file exists; removes it durably. */
bool fixture_exists(struct fixture *fixture, const char *name);
void fixture_remove(struct fixture *fixture, const char *name);

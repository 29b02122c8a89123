/*
 * Sim check: compares what is on the simulated disk with the reference model.
 *
 * While the server runs: an acknowledged event must be on the medium at the moment
 * of the acknowledgement (sim_check_is_durable). When the process is down: the whole
 * log is read and counted (sim_check_log), recovery is run twice and must do the
 * same both times, the disk must keep to its bound, and the server's own count of
 * accepted events must be that of the records (sim_check_accounting). What is wrong
 * ends the run through the story.
 */
#pragma once

#include "tools/sim/sim_model.h"
#include "tools/sim/sim_server.h"
#include "tools/sim/sim_story.h"

enum {
    SIM_ID_SIZE = 36,
    SIM_TENANT_COUNT = 2,
    SIM_GROUP_COUNT_MAX = 65536,
};

/* Where one item was found in the log. */
struct sim_found {
    uint32_t count;
    uint32_t group;    /* of the latest copy: its record group, counted over the whole log */
    uint32_t position; /* in the order of recovery */
    uint32_t log;
    uint32_t boot_generation;
    uint32_t variant;
    struct journal_location location;
    uint32_t size; /* of the record's payload */
};

/* One run's checker. Large; fields below the first group may be read. */
struct sim_check {
    struct sim_server *server;
    struct sim_model *model;
    struct sim_story *story;
    const char *projects[SIM_TENANT_COUNT];
    uint32_t shared_count; /* numbers below twice this share their ids across tenants */
    bool may_lack_old;     /* retention drops segments: what is gone may be gone */
    bool may_lack_last;    /* acknowledged writes were damaged: what is missing must be the last */

    uint64_t check_count;
    uint64_t durable_count; /* acknowledgements proven on the medium */
    uint32_t found_count;   /* events in the log, at the latest check */
    uint64_t found_bytes;   /* their payloads */
    uint64_t log_hash;      /* of all records, at the latest check */
    uint32_t group_count;
    uint32_t life_count;    /* of found_count, of the latest life */
    uint32_t log_count_max; /* logs that the data directory ever had */
    struct journal_location acknowledged[SIM_ITEM_COUNT_MAX]; /* where, when it was checked */
    bool is_group_in_doubt[SIM_GROUP_COUNT_MAX]; /* part of it may be in the page cache only */
    struct sim_found found[SIM_ITEM_COUNT_MAX];
};

/* Nothing found yet. Borrows all. */
void sim_check_init(struct sim_check *check, struct sim_server *server, struct sim_model *model,
                    struct sim_story *story);

/* The event id that number has in every run. */
void sim_check_write_id(const struct sim_check *check, uint32_t number, char id[SIM_ID_SIZE + 1]);

/* The event has just been acknowledged: its record must be on the medium now. */
void sim_check_is_durable(struct sim_check *check, uint32_t number);

/*
 * Reads the log of a server that is down, compares, and tells the model how it is.
 * False when the log refuses to be read because of damage (never without damage).
 */
bool sim_check_log(struct sim_check *check);

/* Runs recovery twice, for real: the second must find and leave what the first did. */
void sim_check_recovery_repeats(struct sim_check *check);

/* The disk takes no more than settings allow. */
void sim_check_disk_bound(struct sim_check *check);

/* Nobody asks anything any more, for a while: every request's memory has been given back. */
void sim_check_leaks(const struct sim_check *check);

/*
 * After sim_check_log(): the server's own count of accepted events, as it was when its
 * process ended (sim_server.h), against the records of that life. All counted ones must
 * be there; after an orderly stop there are no others.
 */
void sim_check_accounting(const struct sim_check *check, bool was_orderly);

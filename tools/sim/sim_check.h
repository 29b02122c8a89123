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

#include "tools/sim/sim_census.h"

enum { SIM_GROUP_COUNT_MAX = 262144 };

/* One run's checker. Large; fields below the first group may be read. */
struct sim_check {
    struct sim_server *server;
    struct sim_model *model;
    struct sim_story *story;
    struct sim_census census; /* of the latest look at the log */
    bool may_lack_old;        /* retention drops segments: what is gone may be gone */
    bool reads_fail;          /* an incident whose events cannot be read is not opened */
    bool may_lack_last; /* acknowledged writes were damaged: what is missing must be the last */

    bool has_summary_job;         /* some look at the log has found one */
    uint32_t lone_incident_count; /* opened without a job, for want of room; the run counts them */
    uint64_t check_count;
    struct journal_location acknowledged[SIM_ITEM_COUNT_MAX]; /* where, when it was checked */
    bool is_group_in_doubt[SIM_GROUP_COUNT_MAX]; /* part of it may be in the page cache only */
};

/* Nothing found yet. Borrows all. */
void sim_check_init(struct sim_check *check, struct sim_server *server, struct sim_model *model,
                    struct sim_story *story);

/* The event has just been acknowledged: its record must be on the medium now. */
void sim_check_is_durable(struct sim_check *check, uint32_t number);

/* True when the medium, not just the page cache, holds text in a record at the location. */
bool sim_check_is_on_medium(const struct sim_check *check, struct journal_location location,
                            const char *text);

/*
 * Reads the log of a server that is down, compares, and tells the model how it is.
 * False when the log refuses to be read because of damage (never without damage).
 */
bool sim_check_log(struct sim_check *check);

/* Runs recovery twice, for real: the second must find and leave what the first did. */
void sim_check_recovery_repeats(struct sim_check *check);

/* The disk takes no more than settings allow, and what came while something hung. */
void sim_check_disk_bound(struct sim_check *check);

/* The same of a server that runs, and has had the time to let go of all that may go. */
void sim_check_disk_at_rest(const struct sim_check *check);

/* Nobody asks anything any more, for a while: every request's memory has been given back. */
void sim_check_leaks(const struct sim_check *check);

/*
 * After sim_check_log(): the server's own count of accepted events, as it was when its
 * process ended (sim_server.h), against the records of that life. All counted ones must
 * be there; after an orderly stop there are no others.
 */
void sim_check_accounting(const struct sim_check *check, bool was_orderly);

/*
 * After sim_check_log(). When the process has ended in order: where enough errors are in the
 * log there is an incident, and incidents have asked for summaries.
 */
void sim_check_incidents(struct sim_check *check, bool was_orderly);

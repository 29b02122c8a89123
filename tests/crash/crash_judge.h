/*
 * Crash judge: starts from one crash state and says whether it kept its promises.
 *
 * A start must succeed; every event acknowledged before the crash is there exactly
 * once, unless retention has begun to drop its segment; nothing is there that was not
 * sent; the events of one request are there together or not at all, in one group, and
 * those of one client, as far as they are in one log, in the order in which they were sent; the API
 * key is there; and a second recovery finds the same and changes nothing.
 */
#pragma once

#include "tests/crash/crash_ledger.h"

enum { CRASH_TEXT_SIZE = 1024 };

enum crash_finding {
    CRASH_GOOD,
    CRASH_REFUSED, /* the start fails */
    CRASH_LOST,    /* an acknowledged event, or the key, is not there */
    CRASH_TWICE,   /* an event is there more than once */
    CRASH_UNKNOWN, /* an event is there that was not sent, or came back after it was lost */
    CRASH_PARTED,  /* a request is there in part, or in several groups */
    CRASH_REORDERED,
    CRASH_CHANGED, /* a repeated recovery is not the same */
};

/* What one recovery found. */
struct crash_census {
    struct {
        uint32_t count;
        uint32_t group;
        uint32_t position;
        uint32_t segment;
    } events[CRASH_EVENT_COUNT_MAX];
    uint32_t event_count;
    uint32_t group_count;
    uint32_t key_count;
    uint32_t foreign_count; /* events that are not of our making, or damaged */
};

/* Large: have one, static. */
struct crash_judge {
    struct crash_ledger *ledger;
    struct crash_census census;  /* of the latest state */
    struct crash_census second;  /* of the recovery after it */
    struct crash_disk opened;    /* the latest state when recovery began */
    struct crash_disk recovered; /* and when it had ended */
    bool has_disks;              /* the two above are there */
    bool was_changed;            /* recovery had something to put right */
    uint64_t recovery_count;     /* over the judge's life */
    uint64_t
        retired[CRASH_EVENT_COUNT_MAX]; /* by segment: entry at which its end began, plus one */
    char text[CRASH_TEXT_SIZE];         /* of the latest finding */
};

/* Judges states of this round's log. Borrows ledger. */
void crash_judge_begin_round(struct crash_judge *judge, struct crash_ledger *ledger);

/*
 * Starts from state, which is the caller's and is changed, after a crash before entry
 * position. The result of recovery stays in judge until the next call.
 */
enum crash_finding crash_judge_start(struct crash_judge *judge, struct crash_disk *state,
                                     uint32_t position);

/*
 * Recovery was cut short in its turn, and left state: what it comes to now must be what
 * it came to before. For states made from a log of the latest recovery.
 */
enum crash_finding crash_judge_repeat(struct crash_judge *judge, struct crash_disk *state);

/* Runs the latest recovery once more on a disk that records it; disk must show judge->opened. */
void crash_judge_record(struct crash_judge *judge, struct disk *disk);

/* Notes in the ledger where the events of state are. */
void crash_judge_survey(struct crash_judge *judge, struct crash_disk *state);

/* Frees the disks. */
void crash_judge_deinit(struct crash_judge *judge);

/* The finding's name. */
const char *crash_finding_name(enum crash_finding finding);

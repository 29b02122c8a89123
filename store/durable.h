/*
 * Durable: state that must not be forgotten, kept by facts in the log.
 *
 * The event-sourcing pattern. An actor decides what a command means and commits the
 * facts it wants remembered; they are one atomic record group. When they are on stable
 * storage each fact is applied to the state, then the step's on_done runs: only there do
 * replies, messages and effects go out. Recovery applies the same facts, in the order of
 * the log and with no step behind them, then calls resume. So there is one way to change
 * the state, and it is always backed by the log.
 *
 *     command --decide--> durable_commit() --written--> apply() each fact --> on_done()
 *                                                           ^
 *     start ---------- records read back -------------------+--> settle() --> resume()
 *
 *     segments are about to go --> carry_up_to(): commit again what still matters in them
 *
 * Carrying forward is the snapshot: incremental, record by record, while intake goes on,
 * and it lets the log drop a segment however long one job in it lives.
 *
 * What one step commits may belong to several durables of the shard ("the timer fired"
 * and "here is a job"): types are looked up by record. When the journal is full, a step
 * that may wait is kept, in order, and committed when there is room; their number is
 * bounded by the steps their owners have. One shard, one thread; recovery runs on the
 * boot thread, while the shard's does not look at any of it.
 */
#pragma once

#include "runtime/list.h"
#include "store/journal.h"

enum { DURABLE_OWNERS_MAX = 16 };

struct durable;
struct durable_step;

/* One fact, as it is in the log. payload is borrowed for the call. */
struct durable_fact {
    uint8_t type; /* record type */
    uint8_t version;
    uint32_t partition;
    struct slice payload;
    struct journal_location location;
    uint32_t size;    /* bytes it takes in the log */
    bool is_recovery; /* read back: no step is behind it, no effect may follow */
};

/* What one kind of durable state does. Static. */
struct durable_type {
    const char *name;
    uint8_t record_first; /* the record types it owns, both included */
    uint8_t record_last;
    uint8_t version_max; /* the newest payload version it reads */
    /*
     * The fact is true now. 0; a negative errno only in recovery, for a payload that
     * makes no sense (-EBADMSG) or does not fit (-ENOSPC): the start then fails.
     */
    int (*apply)(struct durable *self, const struct durable_fact *fact);
    /*
     * These records come next, as far as they are its own: all of a step, or in recovery those of
     * a group. A hint, so that what they need is brought near in memory while others are applied.
     * May be NULL.
     */
    void (*expect)(struct durable *self, const struct journal_record_view *record, bool is_near);
    /*
     * Everything has been read back, and recovery's thread still has it all: puts in order what
     * takes a shard too long. May be NULL.
     */
    void (*settle)(struct durable *self);
    /* After that, when the log is open: arm timers, start effects. May be NULL. */
    void (*resume)(struct durable *self);
    /*
     * The log's segments up to seq are about to go: commit again whatever in them is still
     * needed, however old it is, then call durable_carried(), now or later. NULL: nothing of
     * it outlives a segment.
     */
    void (*carry_up_to)(struct durable *self, uint32_t log, uint64_t seq);
    /*
     * Bytes of all its records that are still needed, as durable_fact.size counts them. What
     * the log is larger than that is reclaimed early. NULL: 0.
     */
    uint64_t (*live_bytes)(struct durable *self);
    /* Room again after a commit was refused. May be NULL. */
    void (*on_room)(struct durable *self);
};

/* Embedded in the owner's struct. Fill type; the rest is durable.c's. */
struct durable {
    const struct durable_type *type;
    struct durable_set *set;
    bool is_carrying;
};

/* Who writes: embedded in what owns the journal. */
struct durable_writer {
    /* As journal_append(). */
    int (*append)(struct durable_writer *writer, struct journal_append *append,
                  struct journal_record *records, uint32_t count, uint32_t flags);
    /* Every durable of this shard has carried what it needs out of the segments. */
    void (*on_carried)(struct durable_writer *writer, uint32_t log, uint64_t seq);
};

/* The durables of one shard. Private to durable.c; embedded by value. */
struct durable_set {
    struct durable_writer *writer;
    struct durable *owners[DURABLE_OWNERS_MAX];
    uint32_t owner_count;
    uint8_t by_type[256];     /* owner number + 1, by record type */
    struct list_node waiting; /* steps that wait for room, in order */
    uint64_t step_count;      /* in flight */
    uint32_t carry_log;
    uint64_t carry_seq;  /* 0: nothing is being carried */
    uint32_t carry_left; /* owners that have not answered yet */
    bool is_stopped;
};

/* How a step ended. */
enum durable_outcome {
    DURABLE_DONE,    /* durable and applied */
    DURABLE_UNKNOWN, /* the journal failed, or stopped first: the process is ending; not applied */
};

/*
 * One command's facts on their way. The caller's memory until on_done, and with it the
 * records and every byte they point to. A record's payload must be one part, its type
 * an owner's.
 */
struct durable_step {
    void (*on_done)(struct durable_step *step, enum durable_outcome outcome);
    struct journal_record *records;
    uint32_t record_count;
    uint32_t flags; /* JOURNAL_IMPORTANT */
    /* Private to durable.c. */
    struct durable_set *set;
    struct journal_append append;
    struct list_node link; /* of those that wait */
};

/* An empty set. Borrows writer. */
void durable_set_init(struct durable_set *set, struct durable_writer *writer);

/* Adds owner, whose type is set. Start-up only; record types must not overlap. */
void durable_add(struct durable_set *set, struct durable *owner);

/*
 * Commits the step's records as one group: JOURNAL_OK, and on_done comes once, later. Else
 * JOURNAL_FULL, JOURNAL_NO_SPACE, JOURNAL_STOPPED or a negative errno, as journal_append(),
 * and nothing has happened. While other steps wait for room, JOURNAL_FULL.
 */
MUST_USE int durable_commit(struct durable_set *set, struct durable_step *step);

/*
 * As durable_commit() with JOURNAL_IMPORTANT, but waits for room, in order, when there is none;
 * for what is already bounded and must happen. False when it never will: the journal has
 * stopped, or the group is larger than a segment. on_done never comes then.
 */
MUST_USE bool durable_commit_later(struct durable_set *set, struct durable_step *step);

/*
 * Recovery: applies one record. 1 when applied, 0 when nobody here owns its type; -EPROTO for a
 * version of later, or the owner's -errno.
 */
MUST_USE int durable_recover(struct durable_set *set, const struct journal_record_view *record);

/* Recovery: this record comes soon, or (is_near) very soon. */
void durable_expect(struct durable_set *set, const struct journal_record_view *record,
                    bool is_near);

/* Recovery: all has been read. settle() of each owner, in the order they were added. */
void durable_settle(struct durable_set *set);

/* After recovery, when the log is open: resume() of each owner, in the order they were added. */
void durable_resume(struct durable_set *set);

/*
 * The log's segments up to seq are about to go: asks every owner; writer->on_carried() when all
 * have answered, perhaps at once. One question at a time: see durable_is_carrying().
 */
void durable_carry(struct durable_set *set, uint32_t log, uint64_t seq);

/* True from durable_carry() until the last owner's answer. */
bool durable_is_carrying(const struct durable_set *set);

/* An owner's answer to carry(). */
void durable_carried(struct durable *owner);

/* The journal has room again: commits what waits, then tells the owners. */
void durable_on_room(struct durable_set *set);

/* The sum of what the owners still need. */
uint64_t durable_live_bytes(const struct durable_set *set);

/*
 * The journal is about to stop: nothing more is committed, and steps that wait for room end
 * at once with DURABLE_UNKNOWN. Those in flight end as ever.
 */
void durable_stop(struct durable_set *set);

/* True when no step is in flight or waiting. */
bool durable_is_idle(const struct durable_set *set);

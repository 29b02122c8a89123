/*
 * Job table: one shard's jobs in memory, and what may be done with them.
 *
 * The table decides and remembers; it writes nothing and knows no time but what it is
 * told. Whoever owns it (actors/job_desk.c) follows one pattern, so that a start after
 * a crash and a running server take the same path:
 *
 *     admit or claim     may this be done? reserves it, so that no second command can
 *     (the caller appends the JOB or JOB_FACT and waits until it is durable)
 *     apply              it is so now: also what recovery calls, in order of the log
 *     withdraw/unclaim   the append was refused: as if nothing had been asked
 *
 *     PENDING --apply JOB--> SCHEDULED --due--> QUEUED --take--> LEASED --claim, apply-->
 *                      \---> WAITING --the last it comes after ends--^       |
 *                                                                            +-> COMPLETED
 *         ^------ SCHEDULED <---------------- RETRY -------------------------+-> DEAD
 *                  (every state but a terminal one may go to CANCELLED) -----+-> CANCELLED
 *
 * Being due, being leased and giving a lease back are not logged: the first follows
 * from the clock, the others die with the process. After recovery there is no LEASED.
 *
 * Per queue there are 8 FIFOs, one per priority, with ageing: a job counts one class
 * higher for each JOB_AGEING_MS it has been ready. Jobs with the same serial key run in
 * the order in which they were enqueued, key_concurrency at a time; those behind rest
 * with their key and not in a FIFO, and one that waits for its next attempt holds its
 * key. Concurrency limits are counts of leases, released on every way out of LEASED.
 *
 * 64 bytes per parked job with all tables, more only for what few jobs ask for
 * (struct job_extra). Memory is reserved at start, touched when used. One thread. Bounds decide
 * about what is new: recovery takes all that was acknowledged, and reserves more for that.
 * Times are unix ms on a steady clock: the caller's, which never goes back.
 */
#pragma once

#include "runtime/list.h"
#include "runtime/shard.h"
#include "runtime/token_bucket.h"
#include "store/job_record.h"
#include "store/segment.h"

enum {
    JOB_AGEING_MS = 30000,
    JOB_QUEUE_COUNT_MAX = 4096,  /* per shard, by admission */
    JOB_TENANT_COUNT_MAX = 4096, /* the same */
    /* What a start finds: it may have one shard, and the one before had as many as can be. */
    JOB_QUEUE_SLOT_COUNT_MAX = JOB_QUEUE_COUNT_MAX * SHARD_COUNT_MAX,
    JOB_TENANT_SLOT_COUNT_MAX = JOB_TENANT_COUNT_MAX * SHARD_COUNT_MAX,
    JOB_COUNT_DEFAULT = 16 << 20,
    JOB_COUNT_MAX = 1 << 30,
    JOB_LEASE_MS_MAX = 3600000,
};

/* A job's place in the table. 0 is none. */
struct job_ref {
    uint32_t index;
};

#define JOB_REF_NONE ((struct job_ref){0})

struct job_table;

/* One queue: the jobs of one kind of one project. Fields may be read; job_table.c writes. */
struct job_queue {
    uint32_t index;
    uint32_t tenant;    /* index of its project in the table */
    uint32_t partition; /* of its project: see job_partition() */
    struct job_queue_settings settings;
    struct journal_location settings_location; /* of its JOB_QUEUE; NONE: never set */
    uint8_t org_size;
    uint8_t project_size;
    uint8_t kind_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char kind[JOB_NAME_SIZE_MAX];
    uint32_t counts[JOB_STATE_COUNT]; /* jobs in each state */
    uint64_t accepted_count;          /* JOBs applied for the first time, since the data began */
    uint64_t dropped_count;           /* terminal ones that were forgotten */
    struct list_node waiters;         /* the owner's: requests that wait for a job; list head */
    struct list_node ready_link;      /* the owner's: e.g. queues that a runner has to visit */
    /* Private to job_*.c. */
    uint32_t first[JOB_PRIORITY_COUNT];
    uint32_t last[JOB_PRIORITY_COUNT];
    uint32_t ready_count;  /* in the FIFOs */
    uint32_t permit_count; /* leases */
    uint32_t hash_next;
    struct list_node wake_link;
    struct token_bucket rate;
};

/* What a job looks like from outside; copied out, valid until the next call. */
struct job_view {
    struct job_ref ref;
    uint64_t id_low;
    const struct job_queue *queue;
    enum job_state state;
    bool is_committing; /* a fact about it is being written */
    bool is_replayed;   /* DEAD: no dead letter any more, link has taken its place */
    bool is_replay;     /* it replays the dead letter link */
    uint8_t priority;
    uint8_t attempt;      /* recorded; the running one is this + 1 */
    uint8_t max_attempts; /* in force */
    uint8_t crash_count;
    enum job_dead_reason reason;
    uint64_t created_ms;
    uint64_t
        when_ms; /* SCHEDULED: due; QUEUED: ready since; LEASED: leased until; terminal: ended */
    uint64_t leased_ms; /* LEASED: since when */
    uint64_t ready_ms;  /* LEASED: since when it had been ready */
    uint64_t first_failed_ms;
    uint64_t deadline_ms; /* 0: none */
    uint64_t link;        /* REPLAYED, IS_REPLAY: id_low of the other; else 0 */
    uint64_t last_epoch;  /* of the lease that failed last; 0: not known, or none has */
    uint32_t delivery;    /* LEASED: low half of the epoch */
    uint64_t epoch;       /* LEASED: what its worker has to show */
    uint32_t after_failed_count;
    struct journal_location location;    /* of the JOB */
    struct journal_location first_error; /* of the record that holds it; NONE: there is none */
    struct journal_location last_error;
    struct journal_location result; /* COMPLETED */
    struct journal_location progress;
};

struct job_table_config {
    uint32_t job_count_max;      /* admitted, in all states together; 0: JOB_COUNT_DEFAULT */
    uint32_t finished_count_max; /* COMPLETED and CANCELLED jobs that are remembered */
    uint64_t finished_ms;        /* and for how long */
    uint32_t dead_count_max;     /* dead letters; more are refused, see job_table_claim() */
    uint64_t dead_ms;
    uint32_t tenant_concurrency;  /* leased at a time per project; 0: no limit */
    struct job_queue_retry retry; /* of queues that set none */
    uint8_t hash_key[16];
    uint32_t boot_generation; /* the high half of every epoch */
    uint32_t partition_count; /* of the data directory; 0: JOB_PARTITION_COUNT_MAX */
};

/* Reserves the memory. 0 or -errno. Start-up only. */
MUST_USE int job_table_new(const struct job_table_config *config, struct job_table **ret_table);

/* Frees it and nulls the pointer. NULL is accepted. */
void job_table_free(struct job_table **table);

/* --- queues ---------------------------------------------------------------- */

/*
 * The queue of this kind; NULL when it is not there, or (make) when there are too many, which in
 * recovery are those of all shards.
 */
struct job_queue *job_table_queue(struct job_table *table, struct slice org, struct slice project,
                                  struct slice kind, bool make);

/* The n-th queue, 0 <= n < job_table_queue_count(). */
struct job_queue *job_table_queue_at(const struct job_table *table, uint32_t n);
uint32_t job_table_queue_count(const struct job_table *table);

/*
 * These settings are durable at location. They take effect at once; a higher
 * key_concurrency for keys that are held now when one of their jobs ends.
 */
void job_table_apply_queue(struct job_table *table, struct job_queue *queue,
                           const struct job_queue_settings *settings,
                           struct journal_location location);

/* How long the oldest job that stands ready in the queue has waited; 0: none. */
uint64_t job_table_oldest_ready_ms(const struct job_table *table, const struct job_queue *queue,
                                   uint64_t now_ms);

/* --- enqueueing -------------------------------------------------------------- */

enum job_admission {
    JOB_ADMITTED,     /* reserved: the caller appends the image and then applies it, or withdraws */
    JOB_DUPLICATE,    /* ret_ref is the job that is there already; its view says more */
    JOB_REPLACES,     /* debounce: ret_ref is the job to be written again under its own id */
    JOB_CONFLICT,     /* same idempotency key, another body */
    JOB_IN_FLIGHT,    /* the first of these is being written: answer 409 with Retry-After */
    JOB_TABLE_FULL,   /* no entry: 503 */
    JOB_QUEUE_FULL,   /* depth_max: 429 */
    JOB_QUEUE_CLOSED, /* draining: 503 */
};

/*
 * May this be enqueued? image holds what the client asks for, with id_low drawn by the
 * caller and state SCHEDULED, WAITING or QUEUED. For JOB_REPLACES the caller completes
 * the image with that job's id and times. The ids it comes after must be admitted or known.
 */
MUST_USE enum job_admission job_table_admit(struct job_table *table, struct job_queue *queue,
                                            const struct job_image *image, uint64_t now_ms,
                                            struct job_ref *ret_ref);

/* The append of an admitted or replacing job was refused. */
void job_table_withdraw(struct job_table *table, struct job_ref ref);

/*
 * This JOB is in the log at location, of size bytes: an admitted one, one carried
 * forward, or one read back by recovery (then without an admission before it).
 * 0, or -EBADMSG when it contradicts itself; in recovery -ENOMEM, or -ENOSPC when there are more
 * jobs or queues than can be told apart.
 */
MUST_USE int job_table_apply_job(struct job_table *table, const struct job_image *image,
                                 struct journal_location location, uint32_t size, uint64_t now_ms);

/* --- leasing ------------------------------------------------------------------ */

/*
 * Leases the queue's next job for lease_ms from now. JOB_REF_NONE when nothing may run:
 * empty, paused, or at a limit; *ret_retry_ms is then when a rate allows the next one,
 * UINT64_MAX when only an event can change it.
 */
MUST_USE struct job_ref job_table_take(struct job_table *table, struct job_queue *queue,
                                       uint64_t now_ms, uint32_t lease_ms, uint64_t *ret_retry_ms);

/* True when job_table_take() would find one. */
bool job_table_is_ready(struct job_table *table, struct job_queue *queue, uint64_t now_ms);

enum job_claim {
    JOB_CLAIMED,
    JOB_CLAIM_UNKNOWN, /* no such job, or forgotten */
    JOB_CLAIM_STALE,   /* not leased under this epoch: counted */
    JOB_CLAIM_BUSY,    /* another fact about it is being written */
    /* COMPLETED under this very epoch, by this process or one before it: the same answer again */
    JOB_CLAIM_REPEATED,
    JOB_CLAIM_TERMINAL, /* it has ended (for commands without an epoch) */
    JOB_CLAIM_DLQ_FULL, /* (becoming DEAD) no room for dead letters: retry later instead */
};

/* Longer lease, never beyond the timeout; *ret_until_ms is what it got. CLAIMED, UNKNOWN or STALE.
 */
MUST_USE enum job_claim job_table_extend(struct job_table *table, uint64_t id_low, uint64_t epoch,
                                         uint64_t now_ms, uint32_t lease_ms,
                                         uint64_t *ret_until_ms);

/*
 * Gives a lease back as if it had never been: nobody got it, or its target is known to be
 * down. It is QUEUED again at the front of its class, or SCHEDULED until due_ms when that is
 * later than now. No attempt is used.
 */
void job_table_return(struct job_table *table, struct job_ref ref, uint64_t now_ms,
                      uint64_t due_ms);

/*
 * A SCHEDULED job waits until due_ms instead, or no longer when that is not later than now.
 * For one that was given back until later: what it waited for has come. One about which a
 * fact is being written stays as it is.
 */
void job_table_reschedule(struct job_table *table, struct job_ref ref, uint64_t now_ms,
                          uint64_t due_ms);

/*
 * May this fact be written about the job? Reserves the job for it. has_epoch: only
 * while it is leased under this epoch. COMPLETED and RETRY need a lease; DEAD and
 * CANCELLED any state but a terminal one; REPLAYED and DROPPED a dead one; PROGRESS a lease.
 */
MUST_USE enum job_claim job_table_claim(struct job_table *table, uint64_t id_low, bool has_epoch,
                                        uint64_t epoch, enum job_fact_kind kind,
                                        struct job_ref *ret_ref);

/* The append of the claimed fact was refused. A lease that ended meanwhile ends now. */
void job_table_unclaim(struct job_table *table, struct job_ref ref);

/*
 * This fact is in the log at location. Facts about jobs that are not known are passed
 * over: the job has been forgotten. Jobs that came after this one may become ready, or
 * have to be failed: see job_table_next_failed().
 */
void job_table_apply_fact(struct job_table *table, const struct job_fact *fact,
                          struct journal_location location, uint64_t now_ms);

/* --- time --------------------------------------------------------------------- */

enum job_due {
    JOB_DUE_NONE,
    JOB_DUE_READY,    /* became QUEUED: ret_ref's queue may have work */
    JOB_DUE_EXPIRED,  /* its lease is over: write RETRY or DEAD */
    JOB_DUE_DEADLINE, /* its deadline has passed: write DEAD */
};

/*
 * The next thing that time brings, until JOB_DUE_NONE. An expired or late job is left
 * alone for a second, so that a caller who cannot write now meets it again.
 */
MUST_USE enum job_due job_table_due(struct job_table *table, uint64_t now_ms,
                                    struct job_ref *ret_ref);

/* When job_table_due() has something; UINT64_MAX when never. */
uint64_t job_table_next_due_ms(const struct job_table *table);

/* A WAITING job that must be written DEAD (dependency), once each; JOB_REF_NONE: no more. */
MUST_USE struct job_ref job_table_next_failed(struct job_table *table);

/* A queue that got something to run since it was last named; NULL: no more. */
MUST_USE struct job_queue *job_table_next_ready(struct job_table *table);

/*
 * A record about this job comes soon: has its place in memory brought near, in two steps with
 * some time between them. A hint, for reading many at a time.
 */
void job_table_expect(const struct job_table *table, uint64_t id_low, bool is_near);

/* After recovery: resolves who waits for whom, readies what is due. Returns live jobs. */
uint32_t job_table_resume(struct job_table *table, uint64_t now_ms);

/* Forgets finished jobs and names dead letters past their time or bound; a few per call. */
void job_table_tidy(struct job_table *table, uint64_t now_ms);

/*
 * The logs of shards that are no more have no segment left: what was remembered only
 * because its records were in more than one log need not be any longer.
 */
void job_table_old_logs_gone(struct job_table *table);

/* A dead letter that is past its time, to be DROPPED; JOB_REF_NONE: none. */
MUST_USE struct job_ref job_table_expired_dead(struct job_table *table, uint64_t now_ms);

/* --- looking ------------------------------------------------------------------ */

/* False when it is not known. */
MUST_USE bool job_table_find(const struct job_table *table, uint64_t id_low,
                             struct job_ref *ret_ref);

/* ref must be in use. */
void job_table_view(const struct job_table *table, struct job_ref ref, struct job_view *ret_view);

/*
 * The next job in use after ref, in table order (which stays the same while a job lives),
 * JOB_REF_NONE at the end. Looks at no more than step_max entries: *ret_step_done tells
 * whether the answer is a job, or just where to go on.
 */
struct job_ref job_table_next(const struct job_table *table, struct job_ref ref, uint32_t step_max,
                              bool *ret_is_job);

/* Where a dead letter stands among the others: by these, in this order. */
struct job_dead_place {
    uint64_t dead_ms;
    uint64_t created_ms;
    uint64_t order; /* place of those with a serial key behind it; else 0 */
    uint64_t id_low;
};

/* Dead letters in the order of their places: the one after ref (JOB_REF_NONE: the first). */
struct job_ref job_table_next_dead(const struct job_table *table, struct job_ref ref);

/* ref must be DEAD. */
void job_table_dead_place(const struct job_table *table, struct job_ref ref,
                          struct job_dead_place *ret_place);

/* Negative, 0 or positive: a stands before b, is the same, or behind it. */
int job_dead_place_compare(const struct job_dead_place *a, const struct job_dead_place *b);

/* The ids that a WAITING job still comes after; returns how many, at most JOB_AFTER_COUNT_MAX. */
uint32_t job_table_after(const struct job_table *table, struct job_ref ref, uint64_t *ret_ids);

/*
 * Completes an image for carrying the job forward: header from the table's knowledge, after
 * from job_table_after(); sections are the caller's, who has read the records.
 */
void job_table_describe(const struct job_table *table, struct job_ref ref,
                        struct job_image_header *ret_header);

/* True when the job needs a record in a segment of this log up to seq. */
bool job_table_rests_on(const struct job_table *table, struct job_ref ref, uint32_t log,
                        uint64_t seq);

/* What the running handlers of a job are called; the caller's own word, 0 at first. */
void job_table_set_cache(struct job_table *table, struct job_ref ref, uint32_t cache);
uint32_t job_table_cache(const struct job_table *table, struct job_ref ref);

struct job_table_stats {
    uint32_t counts[JOB_STATE_COUNT];
    uint64_t accepted_count; /* = all counts but FREE and PENDING, + dropped */
    uint64_t dropped_count;  /* forgotten, replayed or removed */
    uint64_t stale_count;    /* claims and extensions refused as stale */
    uint64_t live_bytes;     /* size of the records that are still needed */
    uint32_t timer_count;    /* entries in the due heap */
    uint32_t extra_count;
    uint64_t memory_bytes; /* touched for jobs, without queues */
    uint32_t job_count_max;
    uint32_t dead_count_max;
};

/* Sums that agree at any instant, of the table and of all its queues. */
struct job_table_sums {
    uint64_t accepted_count; /* = state_count + dropped_count */
    uint64_t state_count;    /* in states from SCHEDULED on */
    uint64_t dropped_count;
    uint64_t queue_accepted_count; /* the same three, summed over the queues */
    uint64_t queue_state_count;
    uint64_t queue_dropped_count;
    uint64_t leased_count; /* = both counts of permits */
    uint64_t queue_permit_count;
    uint64_t project_permit_count;
};

/* Adds up; O(queues). */
void job_table_sums(const struct job_table *table, struct job_table_sums *ret_sums);

/* O(1): a copy of the counters. */
void job_table_stats(const struct job_table *table, struct job_table_stats *ret_stats);

/*
 * The auditor: checks the next step_max entries against all tables: every SCHEDULED or LEASED
 * job has exactly one place in the due heap, every QUEUED one stands in exactly one FIFO or
 * behind its key, counts and permits add up (when a round is complete), every location is at
 * or after oldest_seq[log]. Returns the mismatches found (0), after repairing what a missing
 * heap entry is; *ret_round_done tells that the whole table has been seen.
 */
MUST_USE uint32_t job_table_audit(struct job_table *table, uint32_t step_max,
                                  const uint64_t oldest_seq[SEGMENT_LOG_MAX + 1],
                                  bool *ret_round_done);

/* What the auditor compares. */
enum job_check {
    JOB_CHECK_DUE,       /* places in the due heap */
    JOB_CHECK_LISTS,     /* neighbours in FIFOs and among the dead letters */
    JOB_CHECK_LOCATIONS, /* records in segments that are there */
    JOB_CHECK_FLOWS,     /* jobs that wait for something */
    JOB_CHECK_KEYS,      /* serial keys */
    JOB_CHECK_SUMS,      /* all that is counted, against a scan */
    JOB_CHECK_COUNT,
};

/* What the auditor has found since the table was made. */
struct job_audit_tally {
    uint64_t mismatch_counts[JOB_CHECK_COUNT];
    uint64_t round_count;    /* complete ones */
    uint64_t compared_count; /* of these, in which sums could be compared */
    bool is_between;         /* the next step begins a round */
};

/* A copy of it. */
void job_table_audit_tally(const struct job_table *table, struct job_audit_tally *ret_tally);

/*
 * Job table internals: the parts of the job table among themselves. Included by
 * store/job_*.c only.
 *
 *     job_table.c         the table and its entries
 *     job_admission.c     admission, and reading JOBs into entries
 *     job_views.c         what is shown of jobs
 *     job_queues.c        queues and the projects they belong to
 *     job_states.c        the ways into and out of each state
 *     job_leases.c        taking, extending, claiming, facts
 *     job_clock.c         what time brings, and what is to be done now
 *     job_finished.c      what is remembered of jobs that have ended
 *     job_dead.c          the order of the dead letters
 *     job_heap.c          who is due when
 *     job_unique.c        unique keys
 *     job_keys.c          serial keys
 *     job_flow.c          who comes after whom
 *     job_table_audit.c   the auditor
 *     job_pool.c          numbered items and hash buckets
 */
#pragma once

#include "store/job_pool.h"
#include "store/job_table.h"

enum {
    JOB_TABLE_MAGIC = 0x70b7ab1e,
    JOB_SIZE_UNIT = 64,
    JOB_AGAIN_MS = 1000,       /* after this, what could not be done is tried again */
    JOB_WORK_MAX = 64,         /* things done at a time on behalf of nobody */
    JOB_SPARE_FINISHED = 1024, /* kept beyond the bound until there is time */
    JOB_QUEUE_BUCKETS = 8192,
};

/* In place of the kind of the fact that is being written: it is a JOB. */
enum { JOB_CLAIMED_BY_JOB = 255 };

enum {
    JOB_BIT_COMMITTING = 1, /* a record about it is being written */
    JOB_BIT_OVERDUE = 2,    /* its time came while that was so */
    JOB_BIT_LINKED = 4,     /* in the list of its state: FIFO, failed, finished ... */
    JOB_BIT_RESTING = 8,    /* QUEUED: behind its key */
    JOB_BIT_HOLDS_KEY = 16,
    JOB_BIT_FOREIGN = 32, /* its records are in more than one log */
    JOB_BIT_REPLAYED = 64,
    JOB_BIT_IS_REPLAY = 128,
    /* WAITING: must be written DEAD; PENDING: see job_flow.h; CANCELLED: a dropped dead letter */
    JOB_BIT_FAILED = 256,
};

/* One job. What a free one holds is job_pool.c's. */
struct job {
    uint64_t id_low;
    struct journal_location location;
    uint64_t when_ms : 48; /* see struct job_view; SCHEDULED and LEASED: key in the due heap */
    uint64_t attempt : 8;
    uint64_t max_attempts : 8;
    uint64_t created_ms : 46; /* up to the year 4199 */
    uint64_t queue : 18;      /* index */
    uint32_t state : 4;
    uint32_t priority : 3;
    uint32_t bits : 9;
    uint32_t units : 16; /* what is needed of the JOB in the log, in JOB_SIZE_UNIT */
    union {
        struct { /* in a list */
            uint32_t next;
            uint32_t previous;
        };
        struct {                 /* SCHEDULED and LEASED */
            uint32_t heap_index; /* 0: not there; else one more than the index */
            uint32_t delivery;
        };
    };
    uint32_t hash_next;
    uint32_t extra; /* 0: none */
    uint32_t cache; /* the owner's word; COMPLETED: job_epoch_mark() */
};

static const uint64_t JOB_CREATED_MS_MAX = ((uint64_t)1 << 46) - 1;

static_assert((int)JOB_QUEUE_SLOT_COUNT_MAX <= 1 << 18, "struct job names each of them");
static_assert(sizeof(struct job) == 56, "64 bytes with its places in hash and heap");

/* The texts that are in facts of their own. */
enum job_text {
    JOB_TEXT_FIRST_ERROR,
    JOB_TEXT_LAST_ERROR,
    JOB_TEXT_RESULT,
    JOB_TEXT_PROGRESS,
    JOB_TEXT_COUNT,
};

/* What only few jobs need. All zero but for the first field means: not needed. */
struct job_extra {
    uint32_t job;   /* index */
    uint32_t key;   /* its group; 0: no serial key */
    uint64_t order; /* among the jobs of its key: see job_keys.c */
    uint64_t unique_key[2];
    uint64_t unique_until_ms;
    uint64_t deadline_ms;
    uint64_t timer_ms; /* key of its second place in the due heap: deadline, or end of window */
    uint64_t link;
    uint64_t last_epoch; /* of the lease that failed last */
    uint64_t first_failed_ms;
    uint64_t leased_ms; /* LEASED */
    uint64_t ready_ms;  /* LEASED: since when it was QUEUED */
    struct journal_location texts[JOB_TEXT_COUNT];
    uint16_t text_units[JOB_TEXT_COUNT];
    uint32_t unique_next;
    uint32_t timer_index; /* 0: not there; else one more than the index */
    uint32_t unique_wait_ms;
    uint32_t body_hash;
    uint32_t timeout_ms;
    uint32_t first_after;     /* edges to those it comes after */
    uint32_t first_dependent; /* edges to those that come after it */
    uint32_t last_dependent;
    uint32_t unresolved;     /* the first of those edges that has not been followed */
    uint32_t resolving_next; /* in the list of ended jobs with such edges */
    uint16_t after_pending;
    uint16_t after_failed;
    uint8_t unique;
    uint8_t on_failure;
    uint8_t reason;
    uint8_t crash_count;
    uint8_t claimed_kind; /* of the fact being written, where it matters */
    uint8_t job_texts;    /* bit set of enum job_text: those that the JOB itself holds */
    bool is_unique_owner; /* in the table of unique keys */
    bool is_resolving;
    bool is_held;         /* ended and past its time, but others come after it */
    bool is_split;        /* facts about it are in another log than its JOB */
    bool is_failed_later; /* in the list of those to be named again */
};

/* A list of jobs through next and previous. */
struct job_list {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

/* A project: what its queues share. */
struct job_tenant {
    uint64_t hash;
    uint32_t next; /* in its bucket; index + 1 */
    uint32_t permit_count;
    uint8_t org_size;
    uint8_t project_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    struct list_node blocked; /* its queues that found it at its limit */
};

/* What the auditor has seen of the table so far. */
struct job_audit {
    uint32_t cursor;
    uint64_t change_count; /* of the table, when the round began */
    uint32_t counts[JOB_STATE_COUNT];
    uint32_t replayed_count;
    uint32_t timer_count;
    uint32_t linked_count; /* QUEUED and in a FIFO */
    uint64_t live_bytes;
};

struct job_table {
    uint32_t magic;
    struct job_table_config config;
    bool is_recovering; /* until resume: jobs have states, but stand in no queue */
    bool is_resuming;
    bool old_logs_gone;
    uint64_t now_ms;    /* the latest that was told; in recovery, that was read */
    uint64_t resume_ms; /* rates count from here: they cannot count from 1970 */
    uint64_t change_count;
    uint32_t delivery; /* the last one given out */

    uint32_t room; /* jobs for which memory is reserved; more than are admitted: job_make_room() */
    struct job_pool jobs;
    struct job_pool extras;
    struct job_pool keys;
    struct job_pool edges;
    struct job_buckets by_id;
    struct job_buckets by_unique;
    struct job_buckets by_key;
    uint32_t *heap;
    uint32_t heap_count;
    uint32_t heap_count_seen; /* the most there ever were */

    struct job_queue *queues;
    struct job_tenant *tenants;
    uint32_t queue_count;
    uint32_t tenant_count;
    uint32_t queue_heads[JOB_QUEUE_BUCKETS]; /* index + 1 */
    uint32_t tenant_heads[JOB_QUEUE_BUCKETS];
    struct list_node ready; /* queues to be named by job_table_next_ready() */

    struct job_list finished;    /* COMPLETED and CANCELLED, and what was replayed; oldest first */
    struct job_list failed_read; /* CANCELLED ones in recovery: see job_finished.c */
    struct job_list foreign;     /* the same as finished, but kept until the old logs have gone */
    struct job_list dead;
    struct job_list failed;       /* WAITING, to be named by job_table_next_failed() */
    struct job_list failed_later; /* the same, from failed_later_ms on */
    uint64_t failed_later_ms;
    uint32_t resolving_first; /* ended jobs whose dependents have to be told */
    uint32_t resolving_last;
    uint32_t dead_claimed_count; /* DEADs being written */

    uint32_t counts[JOB_STATE_COUNT];
    uint64_t accepted_count;
    uint64_t dropped_count;
    uint64_t stale_count;
    uint64_t live_bytes;
    struct job_audit audit;
    struct job_audit_tally tally;
};

/* --- items ------------------------------------------------------------------- */

/* The entry, in use or free. */
static inline struct job *job_at(const struct job_table *table, uint32_t index)
{
    return job_pool_at(&table->jobs, index);
}

/* The queue of a job in use. */
static inline struct job_queue *job_queue_of(const struct job_table *table, const struct job *job)
{
    assert(job->queue < table->queue_count);
    return &table->queues[job->queue];
}

/* It is of this queue. */
static inline void job_set_queue(struct job *job, uint32_t queue)
{
    assert(queue < JOB_QUEUE_SLOT_COUNT_MAX);
    job->queue = queue & 0x3ffff;
}

/* NULL when it has none. */
static inline struct job_extra *job_extra_of(const struct job_table *table, const struct job *job)
{
    return job->extra == 0 ? NULL : job_pool_at(&table->extras, job->extra);
}

/* True when it has ended. */
static inline bool job_is_terminal(const struct job *job)
{
    return job->state >= JOB_COMPLETED;
}

/* True when it has any of these bits. */
static inline bool job_has(const struct job *job, uint32_t bit)
{
    return (job->bits & bit) != 0;
}

/* Sets these bits. */
static inline void job_set(struct job *job, uint32_t bit)
{
    job->bits = (job->bits | bit) & 0x1ff;
}

/* Clears these bits. */
static inline void job_clear(struct job *job, uint32_t bit)
{
    job->bits = job->bits & ~bit & 0x1ff;
}

/*
 * What is remembered of the epoch that completed a job. Of one boot all differ; a mark of one
 * that was carried forward is itself. That two boots leased the same job by the same mark takes
 * as many leases as the factor moves them apart.
 */
static inline uint32_t job_epoch_mark(uint64_t epoch)
{
    return (uint32_t)epoch + (uint32_t)(epoch >> 32) * 0x9e3779b1;
}

/* Times are kept in 48 bits: one beyond that is far enough away. */
static inline uint64_t job_time(uint64_t ms)
{
    return min_u64(ms, ((uint64_t)1 << 48) - 1);
}

/* The caller puts its entry in the due heap right, if it has one. */
static inline void job_set_when(struct job *job, uint64_t ms)
{
    job->when_ms = job_time(ms) & 0xffffffffffff;
}

/* Something has changed and so did time; the cheap part of the invariants. job_table.c */
void job_table_enter(struct job_table *table, uint64_t now_ms);

/* The job's extra, made when there is none: there are as many as jobs. job_table.c */
struct job_extra *job_extra_make(struct job_table *table, uint32_t index);

/* Gives the job's extra back when nothing is in it. job_table.c */
void job_extra_trim(struct job_table *table, uint32_t index);

/* Looks the id up, 0 when it is not there. job_table.c */
uint32_t job_lookup(const struct job_table *table, uint64_t id_low);

/* Everything has been read: the table of ids gets the size that it would have grown to. job_table.c
 */
void job_ids_settle(struct job_table *table);

/* A new entry under this id, in state PENDING; 0 when there is no room. job_table.c */
MUST_USE uint32_t job_make(struct job_table *table, uint64_t id_low, uint32_t queue);

/*
 * Recovery: there are places for one job more that comes after so many. Entries may move. 0,
 * -ENOMEM, or -ENOSPC when no index is left. job_table.c
 */
MUST_USE int job_make_room(struct job_table *table, uint32_t after_count);

/* Forgets a job that stands nowhere any more. job_table.c */
void job_forget(struct job_table *table, uint32_t index);

/* The record of this text of the job is at location, of size bytes. job_table.c */
void job_note_text(struct job_table *table, uint32_t index, enum job_text text,
                   struct journal_location location, uint64_t size);

/* Its payload is not needed any more, and does not count as alive. job_table.c */
void job_note_no_payload(struct job_table *table, uint32_t index);

/* All its texts are in its JOB, or there are none. job_table.c */
void job_note_no_texts(struct job_table *table, uint32_t index);

/* --- lists ------------------------------------------------------------------- */

/* Adds at the end. job_states.c */
void job_list_push_back(struct job_table *table, struct job_list *list, uint32_t index);

/* Adds at the front. job_states.c */
void job_list_push_front(struct job_table *table, struct job_list *list, uint32_t index);

/* Adds behind previous; 0: at the front. job_states.c */
void job_list_insert_after(struct job_table *table, struct job_list *list, uint32_t previous,
                           uint32_t index);

/* Takes out. job_states.c */
void job_list_remove(struct job_table *table, struct job_list *list, uint32_t index);

/*
 * Sorts the jobs that are linked through next, from first on; previous is left alone. Of two of
 * which neither is before the other, the first stays first. Gives the new first. A list in order
 * costs one look at each. job_states.c
 */
uint32_t job_list_sort(struct job_table *table, uint32_t first,
                       bool (*is_before)(const struct job_table *, uint32_t, uint32_t));

/* --- states ------------------------------------------------------------------ */

/* Out of everything that its present state means; the state is stale after that. job_states.c */
void job_leave(struct job_table *table, uint32_t index);

/* SCHEDULED until when_ms. It must have left. job_states.c */
void job_enter_scheduled(struct job_table *table, uint32_t index, uint64_t when_ms);

/* QUEUED since ready_ms, in front of its class or behind it. It must have left. job_states.c */
void job_enter_queued(struct job_table *table, uint32_t index, uint64_t ready_ms, bool in_front);

/* COMPLETED, DEAD or CANCELLED at ended_ms. It must have left. job_states.c */
void job_enter_terminal(struct job_table *table, uint32_t index, enum job_state state,
                        uint64_t ended_ms);

/* QUEUED and in no list: puts it into its FIFO. job_states.c */
void job_link_ready(struct job_table *table, uint32_t index, bool in_front);

/* Out of its FIFO, still QUEUED. job_states.c */
void job_unlink_ready(struct job_table *table, uint32_t index);

/* Sets the state and keeps the counts. job_states.c */
void job_set_state(struct job_table *table, uint32_t index, enum job_state state);

/* The job's records are in more than one log. job_states.c */
void job_set_foreign(struct job_table *table, uint32_t index);

/* Sets when the job's second heap entry is due, 0: never. job_states.c */
void job_set_timer(struct job_table *table, uint32_t index, uint64_t timer_ms);

/* The claim on the job is over. job_leases.c */
void job_end_claim(struct job_table *table, uint32_t index);

/* --- queues ------------------------------------------------------------------ */

/* The queue may have something to run. job_queues.c */
void job_queue_wake(struct job_table *table, struct job_queue *queue);

/* A lease has begun. job_queues.c */
void job_queue_take_permit(struct job_table *table, struct job_queue *queue);

/* A lease has ended: whoever waited for that may run. job_queues.c */
void job_queue_give_permit(struct job_table *table, struct job_queue *queue);

/* False when a limit on leases is reached; then its end wakes the queue. job_queues.c */
bool job_queue_has_permit(struct job_table *table, struct job_queue *queue);

/* --- finished ---------------------------------------------------------------- */

/* An ended job is remembered from now on. job_finished.c */
void job_remember(struct job_table *table, uint32_t index);

/* A dead letter has become another job: no longer one, but remembered. job_finished.c */
void job_mark_replayed(struct job_table *table, uint32_t index);

/* Forgets it, or keeps it for as long as somebody needs it; it is in no list. job_finished.c */
void job_retire(struct job_table *table, uint32_t index);

/* Everything has been read: what was kept for reading on alone goes. job_finished.c */
void job_remember_read(struct job_table *table);

/* After each record that is read back: forgets what is too much. job_finished.c */
void job_retire_read(struct job_table *table);

/*
 * After each record that is applied: forgets two when they are past their time, or far past
 * their bound. So however many end in a second, as many go. job_finished.c
 */
void job_retire_crowd(struct job_table *table);

/* Forgets up to step_max of those past their bound or time. job_finished.c */
void job_retire_some(struct job_table *table, uint32_t step_max);

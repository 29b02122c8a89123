/*
 * Job record: what the log says about jobs, byte for byte.
 *
 * Three kinds of payload, all little-endian:
 *
 *     JOB        a job as a whole, in whatever state: written when it is enqueued,
 *                when a debounced job gets a new payload, and when it is carried
 *                forward before its segment goes. It replaces all that was said
 *                about this job before.
 *     JOB_FACT   one thing that happened to a job: an attempt failed, it completed,
 *                it is dead, it was cancelled ...
 *     JOB_QUEUE  the settings of one queue as they are from now on.
 *
 * A lease is in none of them: an epoch holds the boot generation, which is durable
 * before anything is delivered, so a lease costs no write and dies with its process.
 * Encoding and decoding only; no I/O, no clock, no allocation. What one encodes the
 * other must accept: encoding asserts all that decoding checks. A field that a kind does
 * not use is 0; so is what is reserved.
 */
#pragma once

#include "runtime/base.h"

enum {
    JOB_RECORD_VERSION = 1,
    JOB_AFTER_COUNT_MAX = 64, /* jobs that one job waits for */
    JOB_NAME_SIZE_MAX = 64,   /* organisation, project, kind: each */
    JOB_KEY_SIZE_MAX = 255,   /* serial key */
    JOB_CORRELATION_SIZE_MAX = 64,
    JOB_TEXT_SIZE_MAX = 4096,       /* an error text, kept */
    JOB_PROGRESS_SIZE_MAX = 1024,   /* JSON */
    JOB_PAYLOAD_SIZE_MAX = 1 << 20, /* JSON; the setting jobs.payload_bytes may be lower */
    JOB_RESULT_SIZE_MAX = 1 << 16,  /* JSON */
    JOB_ATTEMPTS_MAX = 255,
    JOB_PRIORITY_COUNT = 8, /* 7 goes first */
    JOB_PRIORITY_DEFAULT = 3,
    JOB_PRESET_COUNT_MAX = 64, /* of runtime/policy_presets.h, and of later versions */
};

/* The states of a job. The numbers are on disk. */
enum job_state {
    JOB_FREE = 0,      /* never on disk: an entry not in use */
    JOB_PENDING = 1,   /* never on disk: admitted, its record is being written */
    JOB_SCHEDULED = 2, /* until due: delayed, or after a failed attempt */
    JOB_WAITING = 3,   /* for the jobs it comes after */
    JOB_QUEUED = 4,
    JOB_LEASED = 5, /* never on disk */
    JOB_COMPLETED = 6,
    JOB_DEAD = 7,
    JOB_CANCELLED = 8,
    JOB_STATE_COUNT,
};

/* What "unique" asks for. The numbers are on disk. */
enum job_unique {
    JOB_UNIQUE_NONE = 0,
    JOB_UNIQUE_SINGLETON = 1, /* while one with this key lives, the next is a duplicate */
    JOB_UNIQUE_THROTTLE = 2,  /* within the window the first wins, whatever became of it */
    JOB_UNIQUE_DEBOUNCE = 3,  /* the last wins: it replaces the payload, the wait starts again */
    JOB_UNIQUE_IDEMPOTENCY =
        4, /* throttle that also compares the body: another one is a conflict */
};

/* What becomes of a job when one that it comes after ends dead or cancelled. On disk. */
enum job_on_failure {
    JOB_ON_FAILURE_NONE = 0,     /* it comes after nothing */
    JOB_ON_FAILURE_FAIL = 1,     /* it is dead too, at once */
    JOB_ON_FAILURE_CONTINUE = 2, /* it runs when all have ended, and is told how many failed */
    JOB_ON_FAILURE_IGNORE = 3,   /* it runs when all have ended */
};

/* The variable parts of a JOB, in the order in which they follow the header. */
enum job_section {
    JOB_SECTION_ORG,
    JOB_SECTION_PROJECT,
    JOB_SECTION_KIND,
    JOB_SECTION_KEY,         /* serial key; empty: none */
    JOB_SECTION_CORRELATION, /* correlation id of the request that enqueued it */
    JOB_SECTION_PAYLOAD,
    JOB_SECTION_FIRST_ERROR,
    JOB_SECTION_LAST_ERROR,
    JOB_SECTION_RESULT,
    JOB_SECTION_PROGRESS,
    JOB_SECTION_COUNT,
};

/* Flags of a JOB. */
enum {
    JOB_FLAG_CARRIED = 1,   /* written again before its segment goes */
    JOB_FLAG_REPLAYED = 2,  /* DEAD only: replaced by replayed_as */
    JOB_FLAG_IS_REPLAY = 4, /* replays the dead letter replay_of */
    JOB_FLAG_LAPSED = 8,    /* DEAD only: its unique key is what a replay asks for, not held */
};

/* On disk: the head of a JOB. after_count ids and then the sections follow. */
struct job_image_header {
    uint64_t id_low; /* see job_id.h */
    uint64_t created_ms;
    uint64_t due_ms;          /* SCHEDULED: when it becomes ready */
    uint64_t ended_ms;        /* terminal states */
    uint64_t deadline_ms;     /* dead when it has not completed by then; 0: none */
    uint64_t unique_key[2];   /* keyed hash; 0 0: none */
    uint64_t unique_until_ms; /* THROTTLE, IDEMPOTENCY: end of window; DEBOUNCE: latest start */
    /*
     * REPLAYED, IS_REPLAY: id_low of the other. Else COMPLETED: a mark of the epoch. Else the
     * epoch of the lease that failed last.
     */
    uint64_t link;
    uint64_t first_failed_ms;
    uint32_t body_hash;      /* IDEMPOTENCY */
    uint32_t timeout_ms;     /* longest lease with all its extensions; 0: the queue's */
    uint32_t unique_wait_ms; /* DEBOUNCE: the wait that starts again */
    uint8_t state;           /* enum job_state */
    uint8_t priority;
    uint8_t attempt;      /* attempts whose outcome is recorded */
    uint8_t max_attempts; /* 0: the queue's */
    uint8_t unique;       /* enum job_unique */
    uint8_t on_failure;   /* enum job_on_failure */
    uint8_t crash_count;  /* times the process crashed in its handler */
    uint8_t flags;
    uint16_t after_count;
    uint16_t after_failed_count; /* of those it came after and that have ended */
    uint8_t reason;              /* DEAD: enum job_dead_reason */
    uint8_t order[7]; /* CARRIED: its place among the jobs of its serial key, see job_keys.c */
    uint32_t sizes[JOB_SECTION_COUNT];
};

static_assert(sizeof(struct job_image_header) == 152, "on disk");
static_assert(offsetof(struct job_image_header, unique_key) == 40, "on disk");
static_assert(offsetof(struct job_image_header, body_hash) == 80, "on disk");
static_assert(offsetof(struct job_image_header, state) == 92, "on disk");
static_assert(offsetof(struct job_image_header, after_count) == 100, "on disk");
static_assert(offsetof(struct job_image_header, sizes) == 112, "on disk");

/* A JOB, decoded or to be encoded; slices are borrowed. header.sizes and after_count follow them.
 */
struct job_image {
    struct job_image_header header;
    const uint64_t
        *after; /* id_low of each; may be unaligned after decoding: use job_image_after() */
    uint32_t after_count;
    struct slice sections[JOB_SECTION_COUNT];
};

/* What happened. The numbers are on disk. */
enum job_fact_kind {
    JOB_FACT_RETRY = 1,     /* an attempt failed; SCHEDULED until due_ms. text: error */
    JOB_FACT_COMPLETED = 2, /* text: result */
    JOB_FACT_DEAD = 3,      /* text: error */
    JOB_FACT_CANCELLED = 4,
    JOB_FACT_PROGRESS = 5, /* text: progress */
    JOB_FACT_REPLAYED = 6, /* a dead letter became the job link */
    JOB_FACT_DROPPED = 7,  /* a dead letter was removed by an operator or by its age */
    JOB_FACT_BLAMED = 8,   /* the process crashed in its handler: crash_count is from now on */
    JOB_FACT_KIND_COUNT,
};

/* Why a job is dead. The numbers are on disk; the words are job_dead_reason_name()'s. */
enum job_dead_reason {
    JOB_DEAD_NONE = 0,
    JOB_DEAD_ATTEMPTS = 1,      /* attempts exhausted */
    JOB_DEAD_NOT_RETRYABLE = 2, /* the worker said so */
    JOB_DEAD_LEASE_EXPIRED = 3, /* the last attempt's worker was not heard of again */
    JOB_DEAD_DEADLINE = 4,
    JOB_DEAD_POISON = 5,     /* crashed the process too often */
    JOB_DEAD_DEPENDENCY = 6, /* one that it comes after failed, and it asked for that */
    JOB_DEAD_REASON_COUNT,
};

/* On disk: the head of a JOB_FACT; text follows to the end. */
struct job_fact_header {
    uint64_t id_low;
    uint64_t at_ms;
    uint64_t due_ms; /* RETRY */
    uint64_t link;   /* REPLAYED: id_low of the new job. Else the epoch of the lease that ended */
    uint32_t text_size;
    uint8_t kind;    /* enum job_fact_kind */
    uint8_t attempt; /* attempts recorded, with this one */
    uint8_t crash_count;
    uint8_t reason; /* DEAD: enum job_dead_reason */
};

static_assert(sizeof(struct job_fact_header) == 40, "on disk");
static_assert(offsetof(struct job_fact_header, kind) == 36, "on disk");

/* A JOB_FACT, decoded or to be encoded; text is borrowed. */
struct job_fact {
    struct job_fact_header header;
    struct slice text;
};

/* Flags of a JOB_QUEUE. */
enum {
    JOB_QUEUE_PAUSED = 1,   /* nothing is leased */
    JOB_QUEUE_DRAINING = 2, /* nothing new is taken */
};

/* The retry policy of a queue; on disk. All 0: the server's default. */
struct job_queue_retry {
    uint32_t base_ms;
    uint32_t cap_ms;
    uint8_t factor;
    uint8_t jitter; /* enum retry_jitter */
    uint8_t max_attempts;
    uint8_t is_set; /* 1; or copied from preset number is_set - 2, whose breaker is in force */
};

/* Settings of a queue, as a user sets them and as they are on disk. 0 is the default throughout. */
struct job_queue_settings {
    struct job_queue_retry retry;
    uint32_t concurrency;     /* leased at a time; 0: no limit */
    uint32_t key_concurrency; /* leased at a time per serial key; 0: 1 */
    uint32_t rate_per_s;      /* leases; 0: no limit */
    uint32_t burst;
    uint32_t timeout_ms; /* longest lease with all its extensions; 0: one hour */
    uint32_t flags;      /* JOB_QUEUE_* */
    uint32_t depth_max;  /* jobs that have not ended; 0: the server's bound */
    uint32_t reserved;
};

/* On disk: the head of a JOB_QUEUE; org, project and kind follow. */
struct job_queue_header {
    struct job_queue_settings settings;
    uint8_t org_size;
    uint8_t project_size;
    uint8_t kind_size;
    uint8_t reserved[5];
};

static_assert(sizeof(struct job_queue_settings) == 44, "on disk");
static_assert(offsetof(struct job_queue_settings, concurrency) == 12, "on disk");
static_assert(sizeof(struct job_queue_header) == 52, "on disk");

/* A JOB_QUEUE, decoded or to be encoded; the names are borrowed. */
struct job_queue_record {
    struct job_queue_settings settings;
    struct slice org;
    struct slice project;
    struct slice kind;
};

/* Bytes that job_image_encode() will write. */
uint64_t job_image_size(const struct job_image *image);

/*
 * Writes the payload of a JOB to at least job_image_size() bytes; returns its size. The
 * image must be one that job_image_decode() accepts, but for sizes and after_count of its
 * header, which are set from the parts.
 */
uint64_t job_image_encode(const struct job_image *image, char *buffer);

/*
 * Reads a JOB's payload; *ret_image borrows it. 0, or -EBADMSG when it is not one: sizes,
 * states and numbers are all checked.
 */
MUST_USE int job_image_decode(struct slice payload, struct job_image *ret_image);

/* The id of the n-th job that this one comes after. */
uint64_t job_image_after(const struct job_image *image, uint32_t n);

/* Bytes that job_fact_encode() will write. */
uint64_t job_fact_size(const struct job_fact *fact);

/* As job_image_encode(), for a JOB_FACT; text_size of its header is set. */
uint64_t job_fact_encode(const struct job_fact *fact, char *buffer);

/* As job_image_decode(), for a JOB_FACT. */
MUST_USE int job_fact_decode(struct slice payload, struct job_fact *ret_fact);

/* Bytes that job_queue_record_encode() will write. */
uint64_t job_queue_record_size(const struct job_queue_record *record);

/* As job_image_encode(), for a JOB_QUEUE. */
uint64_t job_queue_record_encode(const struct job_queue_record *record, char *buffer);

/* As job_image_decode(), for a JOB_QUEUE. */
MUST_USE int job_queue_record_decode(struct slice payload, struct job_queue_record *ret_record);

/* True for the states that a job never leaves. */
bool job_state_is_terminal(enum job_state state);

/* The word in answers: "scheduled", "queued", "waiting", "leased", "completed", "dead" ... */
const char *job_state_name(enum job_state state);

/* The word in dumps: "retry", "completed" ... */
const char *job_fact_name(enum job_fact_kind kind);

/* The word in answers and metrics: "attempts_exhausted", "poison" ... */
const char *job_dead_reason_name(enum job_dead_reason reason);

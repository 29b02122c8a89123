/*
 * Read model: events, incidents and AI runs as rows that can be listed and searched.
 *
 * Derived from the logs and from nothing else: one writer thread follows the log files up
 * to what is durable, and writes rows together with the position that they reflect, so that
 * every record has its effect exactly once, across crashes too, and the whole can be thrown
 * away and built again. It lags behind the logs by as little as it can; nothing that a shard
 * does waits for it. A second thread answers queries.
 *
 *     keeper --read_model_publish()--> writer thread --rows, positions--> database
 *     route  --read_query_start()----> query thread  --rows as JSON----> on_done()
 *
 * The database is a backend (store/read_backend.h): SQLite in the data directory by default.
 * When it cannot be used, queries answer READ_UNAVAILABLE and everything else goes on. In the
 * simulator there are no threads: read_model_step() does the work of both.
 *
 * Nothing of one project is ever shown to another: every query has a scope, and what is
 * not in it does not exist.
 */
#pragma once

#include "contracts/cursor.h"
#include "contracts/raw_event.h"
#include "runtime/clock.h"
#include "runtime/disk.h"
#include "runtime/list.h"
#include "runtime/metrics.h"
#include "runtime/shard.h"
#include "store/segment.h"

struct read_model;
struct read_port;
struct read_query;

enum {
    READ_LIMIT_MAX = 100,       /* rows of one page */
    READ_QUEUE_MAX = 1024,      /* queries that wait or run, of all shards */
    READ_SLOW_MS = 2000,        /* a query that takes longer is ended: READ_TIMEOUT */
    READ_CURSOR_SIZE_MAX = 128, /* the text of a cursor */
    READ_INCIDENT_EVENTS_MAX = 100,
    READ_MODEL_TEXT_SIZE = 512,
    READ_MODEL_CACHE_BYTES = 80 << 20, /* pages of the database in memory, of both threads */
    READ_MODEL_MESSAGE_MAX = 8192,     /* bytes kept of an event's message */
    READ_MODEL_ATTRIBUTES_MAX = 16384, /* an event's attributes beyond that are kept as {} */
};

/* What is asked. In brackets the member of struct read_query that holds the parameters. */
enum read_query_type {
    /* A page of incidents, the newest opened first: {"incidents":[...],"next_cursor"}. [incidents]
     */
    READ_INCIDENTS,
    /*
     * One incident: {"incident":{...},"events":[newest first],"timeline":[oldest first],
     * "ai_summary":{...}|null,"events_next_cursor"}. [incident]
     */
    READ_INCIDENT,
    /* More of its events: {"events":[...],"next_cursor"}. [incident] */
    READ_INCIDENT_EVENTS,
    /*
     * What a model is told about an incident: {"incident":{...},"events":[newest first, at most
     * limit],"event_count"}; events with error_code, route and status_code apart. [incident]
     */
    READ_INCIDENT_BRIEF,
    /* {"events":[...],"facets":{...}?,"total","total_is_exact","next_cursor"}. [search] */
    READ_SEARCH,
    /* Numbers for an overview: incidents, errors, signups, ai, as of now_ms. [none] */
    READ_OVERVIEW,
    /* {"data":[{"timestamp","value"}],"summary":{...}}: counts per step of time. [trends] */
    READ_TRENDS,
    /* A page of AI runs, the newest first: {"runs":[...],"next_cursor"}. [ai] */
    READ_AI_RUNS,
    /* {"run":{...}}, all of it. [ai] */
    READ_AI_RUN,
    /* {"total_summaries","summaries_last_24h","success_rate",...}. [none] */
    READ_AI_STATS,
    /* A page of finished summaries with their incidents: {"activity":[...],"next_cursor"}. [ai] */
    READ_AI_ACTIVITY,
    /* A page of the jobs of kind incident.*: {"jobs":[...],"next_cursor"}. [ai] */
    READ_AI_JOBS,
    READ_QUERY_TYPE_COUNT,
};

/* How a query ended. */
enum read_result {
    READ_OK,          /* answer[0..answer_size) is one JSON object */
    READ_NOT_FOUND,   /* there is no such thing in this scope */
    READ_BAD_CURSOR,  /* the cursor is not one of this query */
    READ_TOO_BIG,     /* a single thing that does not fit answer_max; pages are cut instead */
    READ_TIMEOUT,     /* deadline_ns passed, or it ran longer than READ_SLOW_MS */
    READ_BUSY,        /* READ_QUEUE_MAX are there already */
    READ_UNAVAILABLE, /* off, refused, failed or ending: see read_model_info() */
};

/* Whose data. Borrowed until on_done; both must be given. */
struct read_scope {
    struct slice org;
    struct slice project;
};

/* Sets are bit masks, bit n for number n of the enum; 0: any. Times in Unix ms; 0: open. */

/* Parameters of READ_INCIDENTS. */
struct read_incidents {
    uint32_t statuses;   /* of enum incident_status */
    uint32_t severities; /* of enum incident_severity */
    uint32_t environments;
    uint64_t since_ms;        /* opened at or after */
    uint64_t until_ms;        /* opened before */
    struct slice fingerprint; /* its text; empty: any */
};

/* Parameters of READ_INCIDENT, READ_INCIDENT_EVENTS, READ_INCIDENT_BRIEF. */
struct read_incident {
    struct slice id; /* UUID text, in any case; what is none is not found */
};

enum read_order {
    READ_NEWEST_FIRST,
    READ_BEST_FIRST, /* by relevance (BM25); newest first without text */
};

/* Parameters of READ_SEARCH. */
struct read_search {
    struct slice text; /* words and "phrases", a trailing * is a prefix; empty: no text */
    uint32_t environments;
    uint32_t event_types;
    uint32_t severities;
    uint64_t from_ms; /* occurred at or after */
    uint64_t to_ms;   /* occurred before */
    enum read_order order;
    bool wants_facets;
    bool wants_highlights;
};

/* Parameters of READ_TRENDS. */
struct read_trends {
    enum event_type event_type;
    uint64_t from_ms; /* a multiple of step_ms */
    uint64_t to_ms;
    uint64_t step_ms; /* a multiple of 60,000 */
    uint32_t environments;
    struct slice metric; /* these two: as they were asked for, written into the answer */
    struct slice period;
};

/* Parameters of the AI queries. */
struct read_ai {
    struct slice id;          /* READ_AI_RUN: the run's */
    struct slice incident_id; /* of one incident; empty: any */
    uint32_t states; /* READ_AI_JOBS: of enum job_state; READ_AI_RUNS: of enum ai_run_state */
};

/*
 * One query in flight; the caller's memory, with all that its slices refer to, until
 * on_done. Set the first group of fields, everything else zero.
 */
struct read_query {
    /*
     * On the thread of the shard that asked, at the end of a turn and outside of any actor: it
     * must not panic, and goes on by sending a message. Exactly once, never from
     * inside read_query_start().
     */
    void (*on_done)(struct read_query *query, enum read_result result);
    enum read_query_type type;
    struct read_scope scope;
    union {
        struct read_incidents incidents;
        struct read_incident incident;
        struct read_search search;
        struct read_trends trends;
        struct read_ai ai;
    };
    struct slice cursor;     /* from the page before; empty: the first page */
    struct cursor_seal seal; /* filter: a hash of the scope and all parameters but limit */
    uint32_t limit;          /* 1..READ_LIMIT_MAX, where there are rows */
    uint64_t now_ms;         /* the asker's clock */
    /* This record must be in the read model first: "read your writes". NONE: whatever is there. */
    struct journal_location after;
    uint64_t deadline_ns; /* in the time of the shard's clock; 0: only READ_SLOW_MS */
    char *answer;
    uint32_t answer_max;

    uint32_t answer_size; /* result */

    /* Private to read_model.c. */
    struct list_node link;
    struct read_port *port;
    struct read_query *next_done;
    uint64_t started_ns;
    enum read_result result;
};

/* What became of the read model at start, and how it is. */
enum read_model_state {
    READ_MODEL_OFF,      /* [store] read_model = off */
    READ_MODEL_STARTING, /* the logs are being recovered */
    READ_MODEL_RUNNING,
    READ_MODEL_REFUSED, /* the file is damaged or of a later version: text says what to do */
    READ_MODEL_FAILED,  /* the database fails; it is tried again */
};

/* A copy of how it is. */
struct read_model_info {
    enum read_model_state state;
    char text[READ_MODEL_TEXT_SIZE]; /* why, for REFUSED and FAILED; else "" */
    uint64_t lag_records;            /* durable, but not in the read model yet */
    uint64_t lag_ms;                 /* for how long it has not been up to date; 0: it is */
    uint64_t projected_records;      /* since start */
    uint64_t skipped_records;        /* gone from the logs before they were read */
    uint64_t file_bytes;
};

/* Series of the read model; made once at boot. */
struct read_model_metrics {
    struct metric lag_records; /* gauges are set by one shard only */
    struct metric lag_seconds;
    struct metric records;
    struct metric skipped_records;
    struct metric queries[READ_UNAVAILABLE + 1];
    struct metric query_duration;
    struct metric file_bytes;
    struct metric state;
};

/* How to make one. Pointers are borrowed for its life. */
struct read_model_config {
    struct disk *disk;
    const char *data_path;
    const uint8_t *uuid; /* of the data directory */
    uint32_t log_count;
    const struct clock_source *clock_source;
    uint64_t retain_ms;  /* rows go when they are older; 0: never */
    bool unsafe_storage; /* the logs are read without O_DIRECT */
    bool has_threads;    /* false: the simulator's, which calls read_model_step() */
    uint64_t seed;       /* without threads: of what little randomness a database needs */
};

/* A shard's end of it. Private to read_model.c; embedded by value. */
struct read_port {
    struct turn_hook hook;
    struct read_model *read_model;
    struct shard *shard;
    const struct read_model_metrics *series; /* or NULL */
    struct read_query *done; /* newest first: pushed by the query thread, taken by the shard's */
};

/* Registers the series. Boot only. */
void read_model_metrics_add(struct metrics_registry *registry,
                            struct read_model_metrics *ret_series);

/*
 * Opens the database, making or migrating it when needed. 0 also when it is refused or cannot
 * be opened (see read_model_info()): only a lack of memory or threads is an error. Blocking:
 * boot thread only.
 */
MUST_USE int read_model_new(const struct read_model_config *config,
                            struct read_model **ret_read_model);

/*
 * Begins to follow the logs, which have been recovered: log n is durable up to durable_lsns[n].
 * 0 or -errno. Boot thread only.
 */
MUST_USE int read_model_start(struct read_model *read_model, const uint64_t *durable_lsns);

/*
 * Log log is durable up to lsn. Cheap; at most one thread per log. From a shard's turn end.
 * May be called before read_model_start(), which then counts the higher one; NULL is accepted.
 */
void read_model_publish(struct read_model *read_model, uint32_t log, uint64_t lsn);

/*
 * Makes the shard able to ask; read_model NULL: to be told that there is none. After
 * read_model_new(), before the shard's first turn. series may be NULL.
 */
void read_port_init(struct read_port *port, struct read_model *read_model, struct shard *shard,
                    const struct read_model_metrics *series);

/*
 * Starts a query from the shard that port belongs to. READ_OK: on_done will come. READ_BUSY or
 * READ_UNAVAILABLE: it will not.
 */
MUST_USE enum read_result read_query_start(struct read_port *port, struct read_query *query);

/* How it is now; OFF for NULL. Any thread. */
void read_model_info(struct read_model *read_model, struct read_model_info *ret_info);

/* Exports the present levels into the metrics of the calling shard. */
void read_model_export(struct read_model *read_model, const struct read_model_metrics *series,
                       struct metrics *metrics);

/* Without threads: does what there is to do now. True when it did something. */
bool read_model_step(struct read_model *read_model);

/* Ends the threads. Queries that have not ended are answered by nobody. Frees; accepts NULL. */
void read_model_free(struct read_model **read_model);

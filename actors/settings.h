/*
 * Settings: every value that a user can set, with its default.
 *
 * The keys are one table (settings.c) for runtime/config.h, which reads file,
 * environment and command line into the struct. Read-only after the start.
 */
#pragma once

#include "runtime/config.h"

enum { SETTINGS_LISTEN_COUNT_MAX = 8 };

enum settings_io {
    SETTINGS_IO_AUTO,
    SETTINGS_IO_URING,
    SETTINGS_IO_EPOLL,
};

enum settings_read_model {
    SETTINGS_READ_MODEL_SQLITE,
    SETTINGS_READ_MODEL_OFF,
};

/* Sizes in bytes, times in milliseconds, the rest are counts. */
struct settings {
    /* [server] */
    const char *data;
    struct config_list listen;     /* ADDR:PORT */
    struct config_list listen_tls; /* likewise, for https */
    uint32_t io;                   /* enum settings_io */
    uint32_t role;
    uint32_t log_level;  /* enum log_level */
    uint32_t log_format; /* enum log_format */
    int64_t shards;      /* 0: one per processor */
    uint64_t drain_timeout_ms;
    bool demo;
    bool unsafe_storage;
    bool strict_alloc;
    /* [limits] */
    int64_t connections;        /* per process */
    int64_t requests_in_flight; /* per process */
    int64_t batch_events;
    int64_t events_per_second; /* per API key that has no rate of its own; 0: no limit */
    int64_t events_burst;      /* 0: two seconds' worth */
    int64_t event_index_entries;
    uint64_t head_bytes;
    uint64_t event_bytes;
    uint64_t batch_bytes;
    uint64_t batch_decoded_bytes;
    uint64_t header_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t write_timeout_ms;
    uint64_t answer_timeout_ms;
    uint64_t queue_delay_ms;
    /* [journal] */
    int64_t writes_in_flight;
    uint64_t segment_bytes;
    uint64_t reserve_bytes;
    uint64_t retain_bytes;
    int64_t retain_hours;
    /* [dedup] */
    int64_t dedup_entries;
    uint64_t dedup_window_ms;
    bool dedup_strict;
    /* [store] */
    uint32_t read_model;     /* enum settings_read_model */
    int64_t read_model_days; /* 0: rows stay */
    /* [incidents] */
    int64_t incident_series;         /* per process */
    int64_t incident_project_series; /* of these, of one project */
    int64_t incident_new_series;     /* of these, new ones in a minute */
    int64_t incident_count;          /* remembered, per process */
    uint64_t incident_lateness_ms;
    /* [jobs] */
    int64_t job_count;
    int64_t job_finished;
    uint64_t job_finished_ms;
    int64_t job_dead;
    uint64_t job_dead_ms;
    int64_t job_tenant_concurrency;
    uint64_t job_payload_bytes;
    uint64_t job_cache_bytes;
    int64_t job_http_concurrency; /* per process */
    bool job_http_allow_private;
    struct config_list job_http_allow; /* networks, ADDRESS/BITS */
    const char *zoneinfo;
    /* [tls] */
    const char *tls_certificate; /* empty: none */
    const char *tls_key;
    const char *tls_ca;      /* empty: the system's authorities alone */
    int64_t tls_connections; /* per process */
    int64_t tls_sessions;    /* per process */
    uint64_t tls_session_lifetime_ms;
    /* [ai] */
    const char *ai_base_url; /* empty: summaries are made by the process itself */
    const char *ai_model;
    const char *ai_api_key_file; /* empty: no key is sent */
    const char *ai_temperature;
    int64_t ai_max_tokens;
    uint64_t ai_call_timeout_ms;
    uint64_t ai_deadline_ms;    /* of an attempt, with all its calls */
    int64_t ai_concurrency;     /* per process */
    const char *ai_price_table; /* empty: costs are unknown */
    int64_t ai_price_input;     /* these three: micro-USD per million tokens */
    int64_t ai_price_cached;
    int64_t ai_price_output;
    int64_t ai_runs; /* per shard */
    /* [demo] */
    bool demo_traffic;
};

/* The table of keys, in the order in which they are printed. */
extern const struct config_key SETTINGS_KEYS[];
extern const uint32_t SETTINGS_KEY_COUNT;

/*
 * Checks what one key alone cannot say. NULL, or what is wrong, naming the keys;
 * static text.
 */
const char *settings_check(const struct settings *settings);

#include "actors/app_bounds.h"

#include "actors/app.h"
#include "http/connection.h"
#include "store/segment_scan.h"

/*
 * Every bound in settings is of the process and divided by the shards here; buffers,
 * messages and pools follow from connections and requests in flight. The sum for a
 * reader, app_bounds_add_limits(), goes by the functions and constants with which the
 * parts are made.
 */

static uint32_t per_shard(uint64_t total, uint32_t shard_count)
{
    uint64_t share = (total + shard_count - 1) / shard_count;

    return share > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)share;
}

/*
 * Where a message can rest: every request may have one on its way to each other
 * shard, one back, and the same of theirs here; each connection one answer; and a
 * little for the rest (keys, scrapes, exits).
 */
static uint32_t message_count(const struct settings *settings, uint32_t shard_count)
{
    uint64_t requests = per_shard((uint64_t)settings->requests_in_flight, shard_count);
    uint64_t lookups = LOOKUP_REQUEST_COUNT_MAX;
    uint64_t schedules = SCHEDULE_REQUEST_COUNT_MAX;
    uint64_t incidents = INCIDENT_REQUEST_COUNT_MAX;
    uint64_t jobs = requests; /* one there, one back, and for half of them one to forget */

    return (uint32_t)(4 * (requests + lookups + schedules + incidents + jobs) * (shard_count - 1) +
                      requests + jobs + per_shard((uint64_t)settings->connections, shard_count) +
                      8192);
}

/* Small buffers for every connection's answer and input, larger ones for the few that need them. */
uint32_t app_bounds_buffers(const struct settings *settings, uint32_t shard_count,
                            struct buffer_class ret_classes[BUFFER_CLASS_COUNT_MAX])
{
    uint32_t connections = per_shard((uint64_t)settings->connections, shard_count);
    uint32_t requests = per_shard((uint64_t)settings->requests_in_flight, shard_count);
    const struct buffer_class wanted[] = {
        {4096, connections * 2 + requests + 1024},
        {16384, 2048},
        {65536, 512},
        {262144, 128},
        {2 << 20, 32},
        {8 << 20, 8},
        {32 << 20, 4},
    };

    static_assert(ARRAY_COUNT(wanted) <= BUFFER_CLASS_COUNT_MAX, "classes");
    memcpy(ret_classes, wanted, sizeof(wanted));
    return ARRAY_COUNT(wanted);
}

void app_bounds_runtime(const struct settings *settings, uint32_t shard_count,
                        struct runtime_config *config)
{
    config->shard_count = shard_count;
    config->actor_count_max =
        per_shard((uint64_t)settings->connections, shard_count) + HTTP_CONNECTION_SPARE_COUNT + 64;
    config->message_count_max = message_count(settings, shard_count);
    config->inbox_capacity = shard_count > 16 ? 256 : 1024;
}

void app_bounds_http(const struct settings *settings, uint32_t shard_count,
                     struct http_limits *ret_limits)
{
    *ret_limits = (struct http_limits){
        .connection_count_max = per_shard((uint64_t)settings->connections, shard_count),
        .head_size_max = (uint32_t)settings->head_bytes,
        .header_timeout_ms = settings->header_timeout_ms,
        .body_timeout_ms = settings->body_timeout_ms,
        .idle_timeout_ms = settings->idle_timeout_ms,
        .write_timeout_ms = settings->write_timeout_ms,
        .answer_timeout_ms = settings->answer_timeout_ms,
        .linger_timeout_ms = 1000,
    };
}

void app_bounds_tls(const struct settings *settings, uint32_t shard_count,
                    struct http_tls_limits *ret_limits)
{
    *ret_limits = (struct http_tls_limits){
        .connection_count_max = per_shard((uint64_t)settings->tls_connections, shard_count),
        .session_count = (uint32_t)settings->tls_sessions,
        .session_lifetime_ms = settings->tls_session_lifetime_ms,
    };
}

void app_bounds_client(const struct settings *settings, uint32_t shard_count,
                       struct http_client_config *ret_config)
{
    uint32_t calls = http_requests_concurrency(settings->job_http_concurrency, shard_count) +
                     incident_summaries_concurrency(settings->ai_concurrency, shard_count) +
                     1; /* the demo's */

    *ret_config = http_client_config_default();
    ret_config->call_count_max = calls;
    ret_config->connection_count_max = calls;
    ret_config->connections_per_host_max = calls; /* what one destination gets is for who calls */
}

/* --- the sum -------------------------------------------------------------- */

/* Without a listener with TLS nothing is reserved for it. */
static void add_tls_limits(const struct settings *settings, uint32_t shard_count,
                           struct limits *lines)
{
    if (settings->listen_tls.count == 0)
        return;
    limits_add(lines, "connections with TLS",
               (uint64_t)settings->tls_connections +
                   (uint64_t)HTTP_CONNECTION_SPARE_COUNT * shard_count,
               http_server_tls_connection_size());
    limits_add(lines, "TLS sessions", shard_count,
               tls_server_sessions_size((uint32_t)settings->tls_sessions));
}

static void add_incident_limits(const struct settings *settings, uint32_t shard_count,
                                struct limits *lines)
{
    struct incident_table_config config;

    incidents_table_config(settings, shard_count, &config);
    limits_add(lines, "series and incidents", shard_count, incident_table_bytes(&config));
    limits_add(lines, "incident requests", (uint64_t)INCIDENT_REQUEST_COUNT_MAX * shard_count,
               sizeof(struct incident_request));
    limits_add(lines, "incident steps", (uint64_t)INCIDENT_STEP_COUNT_MAX * shard_count,
               sizeof(struct incident_step));
}

static void add_job_limits(const struct settings *settings, uint32_t shard_count,
                           struct limits *lines)
{
    limits_add(lines, "job requests", (uint64_t)settings->requests_in_flight,
               sizeof(struct job_request));
    limits_add(lines, "job steps", (uint64_t)JOB_STEP_COUNT_MAX * shard_count,
               sizeof(struct job_step));
    limits_add(lines, "jobs", (uint64_t)settings->job_count, 64);
    limits_add(lines, "schedules", (uint64_t)SCHEDULE_COUNT_MAX * shard_count,
               sizeof(struct schedule));
    limits_add(lines, "schedule requests", (uint64_t)SCHEDULE_REQUEST_COUNT_MAX * shard_count,
               sizeof(struct schedule_request));
    limits_add(lines, "schedule steps", (uint64_t)SCHEDULE_STEP_COUNT_MAX * shard_count,
               sizeof(struct schedule_step));
}

/* What carries jobs out inside of the process. */
static void add_handler_limits(const struct settings *settings, uint32_t shard_count,
                               struct limits *lines)
{
    struct http_client_config client;
    uint64_t requests =
        (uint64_t)http_requests_concurrency(settings->job_http_concurrency, shard_count) *
        shard_count;
    uint64_t summaries =
        (uint64_t)incident_summaries_concurrency(settings->ai_concurrency, shard_count) *
        shard_count;

    app_bounds_client(settings, shard_count, &client);
    http_client_add_limits(&client, shard_count, lines);
    limits_add(lines, "HTTP requests of jobs", requests, sizeof(struct http_request_call));
    limits_add(lines, "summaries of incidents", summaries, sizeof(struct incident_summary));
    limits_add(lines, "inputs of summaries", 2 * summaries, sizeof(struct summary_input));
    limits_add(lines, "AI runs", (uint64_t)settings->ai_runs * shard_count,
               sizeof(struct ai_run_entry) + sizeof(uint32_t));
    limits_add(lines, "AI runs being carried", (uint64_t)AI_RUNS_CARRY_SLOT_COUNT * shard_count,
               AI_RUNS_READ_SIZE);
    limits_add(lines, "breakers", (uint64_t)BREAKERS_COUNT_MAX * shard_count,
               sizeof(struct breakers_entry));
    limits_add(lines, "jobs that wait for a breaker", (uint64_t)BREAKERS_PARKED_MAX * shard_count,
               64);
}

static void add_journal_limits(const struct settings *settings, uint32_t shard_count,
                               struct limits *lines)
{
    limits_add(lines, "deduplication entries", (uint64_t)settings->dedup_entries, 40);
    limits_add(lines, "event index entries", (uint64_t)settings->event_index_entries, 8);
    limits_add(lines, "journal staging", (uint64_t)JOURNAL_BATCH_COUNT * shard_count,
               JOURNAL_BATCH_SIZE_DEFAULT);
    if (settings->read_model == SETTINGS_READ_MODEL_OFF)
        return;
    limits_add(lines, "read model: pages in memory", 1, READ_MODEL_CACHE_BYTES);
    limits_add(lines, "read model: window on the logs", 1, SEGMENT_SCAN_BYTES_MAX);
}

/* Messages, buffers and connections. */
static void add_base_limits(const struct settings *settings, uint32_t shard_count,
                            struct limits *lines)
{
    static const char *const NAMES[] = {
        "buffers of 4 KiB", "buffers of 16 KiB", "buffers of 64 KiB", "buffers of 256 KiB",
        "buffers of 2 MiB", "buffers of 8 MiB",  "buffers of 32 MiB",
    };
    struct buffer_class classes[BUFFER_CLASS_COUNT_MAX];
    uint32_t class_count = app_bounds_buffers(settings, shard_count, classes);
    struct runtime_config runtime = {0};

    assert(class_count == ARRAY_COUNT(NAMES));
    app_bounds_runtime(settings, shard_count, &runtime);
    runtime_add_limits(&runtime, lines);
    for (uint32_t i = 0; i < class_count; i++)
        limits_add(lines, NAMES[i], (uint64_t)classes[i].count * shard_count, classes[i].capacity);
    limits_add(lines, "connections",
               (uint64_t)settings->connections +
                   (uint64_t)HTTP_CONNECTION_SPARE_COUNT * shard_count,
               sizeof(struct connection));
    add_tls_limits(settings, shard_count, lines);
}

void app_bounds_add_limits(const struct settings *settings, uint32_t shard_count,
                           struct limits *lines)
{
    assert(shard_count > 0);
    add_base_limits(settings, shard_count, lines);
    limits_add(lines, "intake requests", (uint64_t)settings->requests_in_flight,
               sizeof(struct intake_request));
    add_job_limits(settings, shard_count, lines);
    add_incident_limits(settings, shard_count, lines);
    limits_add(lines, "time zones", (uint64_t)ZONE_COUNT_MAX * shard_count, sizeof(struct zone));
    limits_add(lines, "requests for dead letters", (uint64_t)DEAD_REQUEST_COUNT_MAX * shard_count,
               sizeof(struct dead_request));
    limits_add(lines, "replays of dead letters", (uint64_t)DEAD_REPLAY_COUNT_MAX * shard_count,
               sizeof(struct dead_replay));
    limits_add(lines, "job bodies", settings->job_cache_bytes, 1);
    add_handler_limits(settings, shard_count, lines);
    limits_add(lines, "lookup requests", (uint64_t)LOOKUP_REQUEST_COUNT_MAX * shard_count,
               sizeof(struct lookup_request));
    limits_add(lines, "reader requests", (uint64_t)READER_REQUEST_COUNT_MAX * shard_count,
               sizeof(struct reader_request));
    limits_add(lines, "key requests", (uint64_t)TENANT_REQUEST_COUNT_MAX * shard_count,
               sizeof(struct tenant_request));
    limits_add(lines, "blocks of numbers for scrapes",
               (uint64_t)SCRAPE_REQUEST_COUNT_MAX * shard_count * shard_count,
               sizeof(struct metrics));
    limits_add(lines, "blocks of views for operators", shard_count,
               inspector_memory_size(shard_count));
    add_journal_limits(settings, shard_count, lines);
    limits_add(lines, "decoder workspaces", shard_count,
               content_decoder_workspace_size(CONTENT_DECODER_WINDOW_LOG_MAX));
    limits_add(lines, "API keys", (uint64_t)KEYRING_KEY_COUNT_MAX * shard_count,
               sizeof(struct keyring_key));
}

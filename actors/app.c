#include "actors/app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>

#include "actors/bootstrap.h"
#include "actors/message_types.h"
#include "http/connection.h"
#include "http/url.h"
#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "runtime/token_bucket.h"

/*
 * How the memory of a process is planned: every bound in settings is per process and
 * divided by the shards here; buffers, messages and pools follow from connections
 * and requests in flight, and app_limits() adds up the same numbers for a reader.
 *
 * The order of the children decides two things. Started from the first to the last,
 * the journal's keeper is there before anybody appends. Stopped from the last to
 * the first, the listeners go before the connections, and intake stays until every
 * shard's connections have ended, because its deduplication serves them all.
 */

enum {
    EXIT_UNAVAILABLE = 69,
    EXIT_CANNOT_CREATE = 73,
    EXIT_IO = 74,
    EXIT_CONFIG = 78,
    STOP_GRACE_MS = 5000, /* what the parts behind the connections get beyond the drain time */
};

/* The reason and the exit code of a failed start. */
PRINTF_LIKE(4, 5)
static int fail(char *text, int *ret_exit_code, int exit_code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, APP_TEXT_SIZE, format, arguments);
    va_end(arguments);
    *ret_exit_code = exit_code;
    return -ECANCELED;
}

/* --- bounds --------------------------------------------------------------- */

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
static uint32_t fill_buffer_classes(const struct settings *settings, uint32_t shard_count,
                                    struct buffer_class classes[BUFFER_CLASS_COUNT_MAX])
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
    memcpy(classes, wanted, sizeof(wanted));
    return ARRAY_COUNT(wanted);
}

/* The bounds of the runtime; the rest of its configuration is left as it is. */
static void fill_runtime_bounds(const struct settings *settings, uint32_t shard_count,
                                struct runtime_config *config)
{
    config->shard_count = shard_count;
    config->actor_count_max =
        per_shard((uint64_t)settings->connections, shard_count) + HTTP_CONNECTION_SPARE_COUNT + 64;
    config->message_count_max = message_count(settings, shard_count);
    config->inbox_capacity = shard_count > 16 ? 256 : 1024;
}

static void fill_runtime_config(const struct app_config *config, struct app *app,
                                struct runtime_config *ret_config)
{
    *ret_config = (struct runtime_config){
        .clock_source = config->clock_source,
        .registry = app->registry,
        .log_level = config->log_level,
        .log_format = config->log_format,
        .pin_threads = !config->simulated && app->shard_count > 1,
        .simulated = config->simulated,
        .seed = config->seed,
        .hooks = config->hooks,
        .io_new = config->io_new,
    };
    fill_runtime_bounds(config->settings, app->shard_count, ret_config);
}

static void fill_http_limits(const struct settings *settings, uint32_t shard_count,
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

/* Only listeners with TLS cost anything. */
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

void app_limits(const struct settings *settings, uint32_t shard_count, struct limits *lines)
{
    struct buffer_class classes[BUFFER_CLASS_COUNT_MAX];
    uint32_t class_count = fill_buffer_classes(settings, shard_count, classes);
    static const char *const names[] = {
        "buffers of 4 KiB", "buffers of 16 KiB", "buffers of 64 KiB", "buffers of 256 KiB",
        "buffers of 2 MiB", "buffers of 8 MiB",  "buffers of 32 MiB",
    };
    struct runtime_config runtime_config = {0};

    fill_runtime_bounds(settings, shard_count, &runtime_config);
    runtime_add_limits(&runtime_config, lines);
    for (uint32_t i = 0; i < class_count; i++)
        limits_add(lines, names[i], (uint64_t)classes[i].count * shard_count, classes[i].capacity);
    limits_add(lines, "connections",
               (uint64_t)settings->connections +
                   (uint64_t)HTTP_CONNECTION_SPARE_COUNT * shard_count,
               sizeof(struct connection));
    add_tls_limits(settings, shard_count, lines);
    limits_add(lines, "intake requests", (uint64_t)settings->requests_in_flight,
               sizeof(struct intake_request));
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
    add_incident_limits(settings, shard_count, lines);
    limits_add(lines, "time zones", (uint64_t)ZONE_COUNT_MAX * shard_count, sizeof(struct zone));
    limits_add(lines, "requests for dead letters", (uint64_t)DEAD_REQUEST_COUNT_MAX * shard_count,
               sizeof(struct dead_request));
    limits_add(lines, "replays of dead letters", (uint64_t)DEAD_REPLAY_COUNT_MAX * shard_count,
               sizeof(struct dead_replay));
    limits_add(lines, "job bodies", settings->job_cache_bytes, 1);
    limits_add(lines, "HTTP requests of jobs",
               (uint64_t)http_requests_concurrency(settings->job_http_concurrency, shard_count) *
                   shard_count,
               sizeof(struct http_request_call));
    limits_add(lines, "summaries of incidents",
               (uint64_t)incident_summaries_concurrency(settings->ai_concurrency, shard_count) *
                   shard_count,
               sizeof(struct incident_summary));
    limits_add(lines, "inputs of summaries",
               2 * (uint64_t)incident_summaries_concurrency(settings->ai_concurrency, shard_count) *
                   shard_count,
               sizeof(struct summary_input));
    limits_add(lines, "AI runs", (uint64_t)settings->ai_runs * shard_count,
               sizeof(struct ai_run_entry) + sizeof(uint32_t));
    limits_add(lines, "AI runs being carried", (uint64_t)AI_RUNS_CARRY_SLOT_COUNT * shard_count,
               AI_RUNS_READ_SIZE);
    limits_add(lines, "breakers", (uint64_t)BREAKERS_COUNT_MAX * shard_count,
               sizeof(struct breakers_entry));
    limits_add(lines, "jobs that wait for a breaker", (uint64_t)BREAKERS_PARKED_MAX * shard_count,
               64);
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
    limits_add(lines, "deduplication entries", (uint64_t)settings->dedup_entries, 40);
    limits_add(lines, "event index entries", (uint64_t)settings->event_index_entries, 8);
    limits_add(lines, "journal staging", (uint64_t)JOURNAL_BATCH_COUNT * shard_count,
               JOURNAL_BATCH_SIZE_DEFAULT);
    if (settings->read_model != SETTINGS_READ_MODEL_OFF) {
        limits_add(lines, "read model: pages in memory", 1, READ_MODEL_CACHE_BYTES);
        limits_add(lines, "read model: window on the logs", 1, SEGMENT_SCAN_BYTES_MAX);
    }
    limits_add(lines, "decoder workspaces", shard_count,
               content_decoder_workspace_size(CONTENT_DECODER_WINDOW_LOG_MAX));
    limits_add(lines, "API keys", (uint64_t)KEYRING_KEY_COUNT_MAX * shard_count,
               sizeof(struct keyring_key));
}

/* --- listening ------------------------------------------------------------ */

/* An IP literal with a port, as a socket address. False when it is not one. */
static bool parse_address(struct slice text, struct sockaddr_storage *ret_address,
                          socklen_t *ret_size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    const char *colon = memrchr(text.data, ':', text.size);
    char host[64];
    struct slice host_text;
    uint32_t port = 0;

    memset(ret_address, 0, sizeof(*ret_address));
    if (colon == NULL || colon + 1 == text.data + text.size)
        return false;
    for (const char *p = colon + 1; p < text.data + text.size; p++) {
        if (*p < '0' || *p > '9' || port > 65535)
            return false;
        port = port * 10 + (uint32_t)(*p - '0');
    }
    host_text = (struct slice){text.data, (size_t)(colon - text.data)};
    if (host_text.size > 2 && host_text.data[0] == '[' &&
        host_text.data[host_text.size - 1] == ']') {
        host_text.data++;
        host_text.size -= 2;
    }
    if (port > 65535 || host_text.size == 0 || host_text.size >= sizeof(host))
        return false;
    memcpy(host, host_text.data, host_text.size);
    host[host_text.size] = '\0';
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *ret_size = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *ret_size = sizeof(*v6);
        return true;
    }
    return false;
}

/*
 * The address must be ours alone. The sockets of a process that was just killed are
 * closed a little after its end, when the kernel has taken its rings apart.
 */
MUST_USE static int wait_for_address(struct app *app, const struct sockaddr_storage *address,
                                     socklen_t size)
{
    int r;

    for (uint32_t i = 0; i < START_TRY_COUNT_MAX; i++) {
        r = io_probe_address(app->shards[0].shard->io, (const struct sockaddr *)address, size);
        if (r != -EADDRINUSE)
            return r;
        clock_sleep_ms(START_TRY_MS);
    }
    return r;
}

/* Every shard listens on the address; a port of 0 is chosen once, by shard 0. */
static int listen_on(struct app *app, struct slice text, bool is_tls, char *reason,
                     int *ret_exit_code)
{
    struct sockaddr_storage address;
    socklen_t size;
    int r;

    if (!parse_address(text, &address, &size))
        return fail(reason, ret_exit_code, EXIT_CONFIG,
                    "server.listen%s: \"%.*s\" is not ADDRESS:PORT with a numeric address",
                    is_tls ? "_tls" : "", (int)text.size, text.data);
    r = wait_for_address(app, &address, size);
    if (r < 0)
        return fail(reason, ret_exit_code, EXIT_UNAVAILABLE, "cannot listen on %.*s: %s%s",
                    (int)text.size, text.data, strerror(-r),
                    r == -EADDRINUSE ? " (another process listens there; choose another port with "
                                       "--listen)"
                                     : "");
    for (uint32_t i = 0; i < app->shard_count; i++) {
        struct app_shard *home = &app->shards[i];
        int fd;

        if (home->listener_count == SETTINGS_LISTEN_COUNT_MAX)
            return fail(reason, ret_exit_code, EXIT_CONFIG, "server.listen: at most %d addresses",
                        SETTINGS_LISTEN_COUNT_MAX);
        fd = io_listen(home->shard->io, (struct sockaddr *)&address, size, LISTENER_BACKLOG);
        if (fd < 0)
            return fail(reason, ret_exit_code, EXIT_UNAVAILABLE, "cannot listen on %.*s: %s",
                        (int)text.size, text.data, strerror(-fd));
        r = io_local_address(home->shard->io, fd, &address);
        assert(r == 0);
        listener_init(&home->listeners[home->listener_count++], &home->http, fd, is_tls);
    }
    return 0;
}

static int listen_on_list(struct app *app, const struct config_list *list, bool is_tls,
                          char *reason, int *ret_exit_code)
{
    for (uint32_t i = 0; i < list->count; i++) {
        int r = listen_on(app, slice_of(list->items[i]), is_tls, reason, ret_exit_code);

        if (r < 0)
            return r;
    }
    return 0;
}

static int listen_on_all(struct app *app, char *reason, int *ret_exit_code)
{
    int r = listen_on_list(app, &app->settings->listen, false, reason, ret_exit_code);

    if (r == 0)
        r = listen_on_list(app, &app->settings->listen_tls, true, reason, ret_exit_code);
    if (r == 0 && app->shards[0].listener_count == 0)
        return fail(reason, ret_exit_code, EXIT_CONFIG, "server.listen is empty");
    return r;
}

int app_local_address(struct app *app, uint32_t index, struct sockaddr_storage *ret_address)
{
    assert(index < app->shards[0].listener_count);
    return io_local_address(app->shards[0].shard->io, app->shards[0].listeners[index].fd,
                            ret_address);
}

/* --- one shard ------------------------------------------------------------ */

static void fill_client_config(const struct app *app, struct http_client_config *ret_config)
{
    uint32_t calls =
        http_requests_concurrency(app->settings->job_http_concurrency, app->shard_count) +
        incident_summaries_concurrency(app->settings->ai_concurrency, app->shard_count) +
        1; /* the demo's */

    *ret_config = http_client_config_default();
    ret_config->call_count_max = calls;
    ret_config->connection_count_max = calls;
    ret_config->connections_per_host_max = calls; /* what one destination gets is for who calls */
    ret_config->user_agent = slice_of(app->user_agent);
    ret_config->trust = app->trust;
}

/* The shard's own requests: names, connections, breakers, jobs that are requests. */
static int init_client(struct app_shard *home)
{
    const struct resolver_dns_config dns = {0};
    struct resolver_backend *backend = NULL;
    struct http_client_config config;
    int r = 0;

    fill_client_config(home->app, &config);
    if (!home->app->is_simulated)
        r = resolver_dns_new(&dns, &home->dns);
    if (r == 0 && home->dns != NULL)
        backend = resolver_dns_backend(home->dns);
    if (r == 0)
        r = http_client_init(&home->client, home->shard, &config, home->buffers, backend);
    if (r == 0)
        r = breakers_init(&home->breakers, home);
    if (r == 0)
        r = ai_runs_init(&home->ai_runs, home);
    /* The handler that comes first is offered jobs first: summaries are few. */
    if (r == 0)
        r = incident_summaries_init(&home->incident_summaries, home);
    if (r == 0)
        r = http_requests_init(&home->http_requests, home);
    return r;
}

/* The shard's own copy of the identity, and the memory of its connections. */
static int init_tls(struct app_shard *home)
{
    const struct settings *settings = home->app->settings;
    const struct http_tls_limits limits = {
        .connection_count_max =
            per_shard((uint64_t)settings->tls_connections, home->app->shard_count),
        .session_count = (uint32_t)settings->tls_sessions,
        .session_lifetime_ms = settings->tls_session_lifetime_ms,
    };
    struct tls_identity *identity;
    int r;

    if (home->app->identity == NULL)
        return 0;
    r = tls_identity_copy(home->app->identity, &identity);
    if (r < 0)
        return r;
    r = http_server_add_tls(&home->http, &limits, &identity);
    if (r < 0)
        tls_identity_unref(&identity);
    return r;
}

static int init_shard(struct app *app, uint32_t index)
{
    struct app_shard *home = &app->shards[index];
    const struct router router = {APP_ROUTES, APP_ROUTE_COUNT};
    struct buffer_class classes[BUFFER_CLASS_COUNT_MAX];
    struct http_limits limits;
    uint32_t class_count = fill_buffer_classes(app->settings, app->shard_count, classes);
    int r;

    home->app = app;
    home->shard = runtime_shard(app->runtime, index);
    home->phase = APP_RECOVERING;
    fill_http_limits(app->settings, app->shard_count, &limits);
    r = buffer_pool_new(classes, class_count, &home->buffers);
    if (r == 0)
        r = http_server_init(&home->http, home->shard, &router, &limits, &app->metrics.http,
                             home->buffers);
    if (r == 0)
        r = init_tls(home);
    if (r == 0)
        r = intake_init(&home->intake, home);
    if (r == 0)
        r = tenant_init(&home->tenant, home);
    if (r == 0)
        r = scrape_init(&home->scrape, home);
    if (r == 0)
        r = inspector_init(&home->inspector, home);
    if (r == 0)
        r = lookup_init(&home->lookup, home);
    if (r == 0)
        r = reader_init(&home->reader, home);
    if (r == 0)
        r = job_desk_init(&home->jobs, home);
    if (r == 0)
        r = init_client(home);
    if (r == 0)
        r = schedules_init(&home->schedules, home);
    if (r == 0)
        r = incidents_init(&home->incidents, home);
    if (r == 0)
        r = dead_letters_init(&home->dead_letters, home);
    if (r == 0)
        r = keeper_init(&home->keeper, home);
    if (r < 0)
        return r;
    demo_traffic_init(&home->demo_traffic, home);
    read_port_init(&home->read_port, app->read_model, home->shard, &app->metrics.read_model);
    read_watch_init(&home->read_watch, app->read_model, home->shard, &app->metrics.read_model);
    durable_add(&home->keeper.durables, &home->breakers.durable);
    durable_add(&home->keeper.durables, &home->jobs.durable);
    durable_add(&home->keeper.durables, &home->schedules.durable);
    durable_add(&home->keeper.durables, &home->dead_letters.durable);
    durable_add(&home->keeper.durables, &home->ai_runs.durable);
    durable_add(&home->keeper.durables, &home->incidents.durable);
    durable_add(&home->keeper.durables, &home->incidents.rules_durable);
    return 0;
}

static void add_child(struct app_shard *home, const char *name, struct actor *actor,
                      const struct actor_type *type, uint32_t magic, int32_t shutdown_ms)
{
    struct supervisor_spec *spec = &home->root_spec;

    assert(spec->child_count < APP_CHILD_COUNT_MAX);
    home->children[spec->child_count++] = (struct supervisor_child_spec){
        .name = name,
        .actor = actor,
        .type = type,
        .type_magic = magic,
        .restart = RESTART_PERMANENT,
        .shutdown_ms = shutdown_ms,
    };
}

/* The tree of app.h. 0 or -errno. */
static int start_tree(struct app_shard *home)
{
    int32_t drain_ms = (int32_t)home->app->settings->drain_timeout_ms;

    home->connection_spec = (struct supervisor_child_spec){
        .name = "connection",
        .type = &connection_type,
        .type_magic = CONNECTION_MAGIC,
        .restart = RESTART_TEMPORARY,
        .shutdown_ms = drain_ms,
    };
    home->connections_spec = (struct supervisor_spec){
        .name = "connections",
        .strategy = SUPERVISE_SIMPLE_ONE_FOR_ONE,
        .children = &home->connection_spec,
        .child_count = 1,
    };
    supervisor_init(&home->connections, &home->connections_spec);
    home->http.supervisor = &home->connections;
    home->root_spec = (struct supervisor_spec){
        .name = "root",
        .strategy = SUPERVISE_REST_FOR_ONE,
        .children = home->children,
    };
    add_child(home, "keeper", &home->keeper.actor, &keeper_type, KEEPER_MAGIC, STOP_GRACE_MS);
    add_child(home, "tenant", &home->tenant.actor, &tenant_type, TENANT_MAGIC, 0);
    add_child(home, "scrape", &home->scrape.actor, &scrape_type, SCRAPE_MAGIC, 0);
    add_child(home, "inspector", &home->inspector.actor, &inspector_type, INSPECTOR_MAGIC, 0);
    add_child(home, "lookup", &home->lookup.actor, &lookup_type, LOOKUP_MAGIC, 0);
    add_child(home, "reader", &home->reader.actor, &reader_type, READER_MAGIC,
              READ_SLOW_MS + STOP_GRACE_MS);
    add_child(home, "client", &home->client.actor, &http_client_type, HTTP_CLIENT_MAGIC, 0);
    add_child(home, "jobs", &home->jobs.actor, &job_desk_type, JOB_DESK_MAGIC,
              drain_ms + STOP_GRACE_MS);
    add_child(home, "schedules", &home->schedules.actor, &schedules_type, SCHEDULES_MAGIC,
              STOP_GRACE_MS);
    add_child(home, "incidents", &home->incidents.actor, &incidents_type, INCIDENTS_MAGIC,
              STOP_GRACE_MS);
    add_child(home, "dead_letters", &home->dead_letters.actor, &dead_letters_type,
              DEAD_LETTERS_MAGIC, STOP_GRACE_MS);
    add_child(home, "intake", &home->intake.actor, &intake_type, INTAKE_MAGIC,
              drain_ms + STOP_GRACE_MS);
    add_child(home, "connections", &home->connections.actor, &supervisor_type, SUPERVISOR_MAGIC,
              SHUTDOWN_INFINITY);
    for (uint32_t i = 0; i < home->listener_count; i++)
        add_child(home, "listener", &home->listeners[i].actor, &listener_type, LISTENER_MAGIC, 0);
    if (demo_traffic_is_wanted(home))
        add_child(home, "demo_traffic", &home->demo_traffic.actor, &demo_traffic_type,
                  DEMO_TRAFFIC_MAGIC, 0);
    return supervisor_spawn(home->shard, &home->root, &home->root_spec, ACTOR_ID_NONE);
}

/* --- the process ---------------------------------------------------------- */

static void register_metrics(struct app *app, const struct app_config *config)
{
    const struct router router = {APP_ROUTES, APP_ROUTE_COUNT};

    http_metrics_register(&app->metrics.http, app->registry, &router);
    journal_metrics_add(app->registry, &app->metrics.journal);
    intake_metrics_add(app->registry, &app->metrics.intake);
    job_metrics_add(app->registry, &app->metrics.jobs);
    schedule_metrics_add(app->registry, &app->metrics.schedules);
    incident_metrics_add(app->registry, &app->metrics.incidents);
    read_model_metrics_add(app->registry, &app->metrics.read_model);
    ai_metrics_add(app->registry, &app->metrics.ai);
    app->metrics.unindexed = metrics_add_series(
        app->registry, METRIC_COUNTER, METRIC_UNIT_NONE, "weir_events_unindexed_total", "",
        "Stored events that GET cannot find because the event index is full.");
    app->metrics.io_backend = metrics_add_series(
        app->registry, METRIC_GAUGE_MAX, METRIC_UNIT_NONE, "weir_io_backend",
        config->simulated ? "backend=\"sim\"" : "backend=\"uring\"", "The I/O backend; 1.");
    app->metrics.build_info = metrics_add_series(
        app->registry, METRIC_GAUGE_MAX, METRIC_UNIT_NONE, "weir_build_info",
        metrics_text(app->registry, "version=\"%s\",commit=\"%s\"", app->version, app->commit),
        "The build; 1.");
}

/* One for all shards, beside them. */
MUST_USE static int open_read_model(struct app *app, const struct app_config *config)
{
    struct read_model_config read_model = {
        .disk = app->disk,
        .data_path = app->settings->data,
        .uuid = app->superblock.uuid,
        .log_count = app->superblock.log_count,
        .clock_source = config->clock_source,
        .retain_ms = (uint64_t)app->settings->read_model_days * 86400000,
        .unsafe_storage = app->settings->unsafe_storage,
        .has_threads = !config->simulated,
        .seed = config->seed,
    };

    if (app->settings->read_model == SETTINGS_READ_MODEL_OFF)
        return 0;
    return read_model_new(&read_model, &app->read_model);
}

/* Lets clients resume on every shard what they began on one. */
static void share_sessions(struct app *app)
{
    for (uint32_t i = 0; i < app->shard_count; i++) {
        app->tls_listeners[i] = app->shards[i].listeners[0].actor.id;
        http_server_share_sessions(&app->shards[i].http, app->tls_listeners, app->shard_count);
    }
}

static int init_shards(struct app *app, const struct app_config *config, char *text,
                       int *ret_exit_code)
{
    struct runtime_config runtime_config;
    int r;

    r = metrics_registry_new(&app->registry);
    if (r < 0)
        return fail(text, ret_exit_code, 1, "out of memory");
    register_metrics(app, config);
    fill_runtime_config(config, app, &runtime_config);
    r = runtime_new(&runtime_config, &app->runtime);
    if (r < 0)
        return fail(text, ret_exit_code, 1, "the runtime could not be set up: %s", strerror(-r));
    job_metrics_add_letters(app->registry, &app->metrics.jobs);
    metrics_set(&runtime_shard(app->runtime, 0)->metrics, app->metrics.build_info, 1);
    metrics_set(&runtime_shard(app->runtime, 0)->metrics, app->metrics.io_backend, 1);
    r = open_read_model(app, config);
    if (r < 0)
        return fail(text, ret_exit_code, 1, "the read model could not be set up: %s", strerror(-r));
    for (uint32_t i = 0; i < app->shard_count; i++) {
        r = init_shard(app, i);
        if (r < 0)
            return fail(text, ret_exit_code, 1, "shard %u could not be set up: %s", i,
                        strerror(-r));
    }
    r = listen_on_all(app, text, ret_exit_code);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < app->shard_count; i++) {
        r = start_tree(&app->shards[i]);
        if (r < 0)
            return fail(text, ret_exit_code, 1, "shard %u could not be started: %s", i,
                        strerror(-r));
    }
    if (app->identity != NULL)
        share_sessions(app);
    return 0;
}

/* Without any authorities everything but https calls works; those that are named must be there. */
static int open_trust(struct app *app, char *text, int *ret_exit_code)
{
    const char *path = app->settings->tls_ca;
    bool has_any;
    int r;

    if (app->is_simulated)
        return 0;
    if (trust_store_new(&app->trust) < 0)
        return fail(text, ret_exit_code, 1, "out of memory");
    has_any = trust_store_add_file(app->trust, TRUST_STORE_SYSTEM_PATH) >= 0;
    if (path[0] != '\0') {
        r = trust_store_add_file(app->trust, path);
        if (r <= 0)
            return fail(text, ret_exit_code, EXIT_CONFIG, "[tls] ca: %s: %s", path,
                        r == 0 || r == -EBADMSG ? "holds no certificates that can be used"
                                                : strerrordesc_np(-r));
        has_any = true;
    }
    if (!has_any)
        trust_store_free(&app->trust);
    return 0;
}

/* Reads certificate and key, if some listener needs them. */
static int open_identity(struct app *app, char *text, int *ret_exit_code)
{
    const struct settings *settings = app->settings;
    char reason[APP_TEXT_SIZE / 2];

    if (app->is_simulated || settings->listen_tls.count == 0)
        return 0;
    if (tls_identity_load(settings->tls_certificate, settings->tls_key, &app->identity, reason,
                          sizeof(reason)) < 0)
        return fail(text, ret_exit_code, EXIT_CONFIG, "[tls] %s", reason);
    app->identity_end_ms = app->identity->not_after_ms;
    return 0;
}

uint64_t app_identity_end_ms(const struct app *app)
{
    return app->identity_end_ms;
}

/* Gives one shard its copy. 0 or -errno. */
static int send_identity(struct app_shard *home, const struct tls_identity *identity)
{
    struct tls_identity *copy;
    uint64_t words[1];
    int r = tls_identity_copy(identity, &copy);

    if (r < 0)
        return r;
    words[0] = (uintptr_t)copy;
    if (runtime_post(home->app->runtime, home->listeners[0].actor.id, MSG_LISTENER_IDENTITY, 0,
                     words, sizeof(words)) == SEND_FULL) {
        tls_identity_unref(&copy);
        return -EAGAIN;
    }
    return 0;
}

int app_reload_identity(struct app *app, const char *certificate_path, const char *key_path,
                        char *text)
{
    struct tls_identity *identity;
    int r;

    assert(!app->is_simulated);
    if (app->settings->listen_tls.count == 0)
        return 0;
    r = tls_identity_load(certificate_path, key_path, &identity, text, APP_TEXT_SIZE);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < app->shard_count && r == 0; i++)
        r = send_identity(&app->shards[i], identity);
    if (r < 0)
        snprintf(text, APP_TEXT_SIZE, "not all shards could be told: %s", strerror(-r));
    else
        app->identity_end_ms = identity->not_after_ms;
    tls_identity_unref(&identity);
    return r;
}

/* Who is asked about incidents, with the key that this needs. */
static int open_model(struct app *app, char *text, int *ret_exit_code)
{
    char error[AI_MODEL_ERROR_SIZE_MAX] = "out of memory";
    int r = ai_model_init(&app->ai_model, app->settings, error);

    return r == 0 ? 0 : fail(text, ret_exit_code, EXIT_CONFIG, "%s", error);
}

/* Where it cannot be had nobody is ever blamed for a crash; see job_handler.h. */
static void open_breadcrumbs(struct app *app)
{
    char path[APP_TEXT_SIZE];
    uint32_t blamed_count;
    int size = snprintf(path, sizeof(path), "%s/running", app->settings->data);

    if (size > 0 && size < APP_TEXT_SIZE &&
        breadcrumbs_open(&app->breadcrumbs, app->disk, path, app->shard_count, &blamed_count) < 0)
        SOMETIMES("there is no page for breadcrumbs");
}

int app_new(const struct app_config *config, char *text, int *ret_exit_code)
{
    struct app *app = config->app;
    int r;

    assert(config->shard_count > 0);
    assert(config->shard_count <= SHARD_COUNT_MAX);
    app->settings = config->settings;
    app->is_simulated = config->simulated;
    app->journal_batch_bytes = config->journal_batch_bytes;
    app->disk = config->disk;
    app->shard_count = config->shard_count;
    app->version = config->version;
    app->commit = config->commit;
    app->superblock.lock_fd = -1;
    app->shards = calloc(app->shard_count, sizeof(*app->shards));
    app->buckets = calloc(KEYRING_KEY_COUNT_MAX, sizeof(*app->buckets));
    app->tls_listeners = calloc(app->shard_count, sizeof(*app->tls_listeners));
    if (app->shards == NULL || app->buckets == NULL || app->tls_listeners == NULL)
        return fail(text, ret_exit_code, 1, "out of memory");
    snprintf(app->user_agent, sizeof(app->user_agent), "weir/%s", config->version);
    r = bootstrap_open(app, config, text, ret_exit_code);
    if (r == 0)
        r = open_trust(app, text, ret_exit_code);
    if (r == 0)
        r = open_identity(app, text, ret_exit_code);
    if (r == 0)
        r = open_model(app, text, ret_exit_code);
    if (r == 0)
        open_breadcrumbs(app);
    if (r == 0)
        r = init_shards(app, config, text, ret_exit_code);
    tls_identity_unref(&app->identity);
    return r;
}

void app_drain(struct app *app)
{
    breadcrumbs_forgive(&app->breadcrumbs); /* whoever ends us now, it was asked for */
    for (uint32_t i = 0; i < app->shard_count; i++)
        if (runtime_post(app->runtime, app->shards[i].keeper.actor.id, MSG_KEEPER_DRAIN, 0, NULL,
                         0) == SEND_FULL)
            continue; /* runtime_stop() does not need it: only readyz says less */
    runtime_stop(app->runtime);
}

static void check_shard_is_idle(const struct app_shard *home)
{
    assert(home->http.connection_count == 0);
    assert(buffer_pool_used(home->buffers) == 0);
    assert(pool_used_count(&home->intake.requests) == 0);
    assert(pool_used_count(&home->lookup.requests) == 0);
    assert(reader_is_idle(&home->reader));
    assert(pool_used_count(&home->tenant.requests) == 0);
    assert(job_desk_is_idle(&home->jobs));
    assert(home->jobs.handlers.runs.count == 0);
    assert(pool_used_count(&home->dead_letters.requests) == 0);
    assert(schedules_is_idle(&home->schedules));
    assert(incidents_is_idle(&home->incidents));
}

void app_abandon(struct app *app)
{
    read_model_free(&app->read_model); /* first: it knows the shards */
    /* Journals take their timers out of the wheels, in which timers of lent requests stand. */
    for (uint32_t i = 0; app->shards != NULL && i < app->shard_count; i++)
        if (app->shards[i].shard != NULL)
            keeper_deinit(&app->shards[i].keeper);
    for (uint32_t i = 0; app->shards != NULL && i < app->shard_count; i++) {
        struct app_shard *home = &app->shards[i];

        if (home->shard == NULL)
            continue;
        intake_deinit(&home->intake);
        tenant_deinit(&home->tenant);
        scrape_deinit(&home->scrape);
        inspector_deinit(&home->inspector);
        lookup_deinit(&home->lookup);
        reader_deinit(&home->reader);
        job_desk_deinit(&home->jobs);
        http_requests_deinit(&home->http_requests);
        incident_summaries_deinit(&home->incident_summaries);
        ai_runs_deinit(&home->ai_runs);
        breakers_deinit(&home->breakers);
        http_client_abandon(&home->client);
        resolver_dns_free(&home->dns);
        schedules_deinit(&home->schedules);
        incidents_deinit(&home->incidents);
        dead_letters_deinit(&home->dead_letters);
        http_server_abandon(&home->http);
        buffer_pool_abandon(&home->buffers);
    }
    runtime_free(&app->runtime);
    breadcrumbs_close(&app->breadcrumbs);
    trust_store_free(&app->trust);
    ai_model_deinit(&app->ai_model);
    recovered_free(&app->recovered);
    metrics_registry_free(&app->registry);
    if (app->superblock.lock_fd >= 0)
        superblock_close(&app->superblock, app->disk);
    free(app->shards);
    free(app->buckets);
    free(app->tls_listeners);
    app->shards = NULL;
    app->buckets = NULL;
    app->tls_listeners = NULL;
}

void app_free(struct app *app)
{
    for (uint32_t i = 0; app->shards != NULL && i < app->shard_count; i++)
        if (app->shards[i].shard != NULL)
            check_shard_is_idle(&app->shards[i]);
    app_abandon(app);
}

#include "actors/app.h"

#include <errno.h>

#include "actors/app_bounds.h"
#include "actors/app_listeners.h"
#include "actors/bootstrap.h"
#include "actors/message_types.h"
#include "http/connection.h"
#include "http/url.h"
#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "runtime/token_bucket.h"

/*
 * The order of the children decides two things. Started from the first to the last,
 * the journal's keeper is there before anybody appends. Stopped from the last to
 * the first, the listeners go before the connections, and intake stays until every
 * shard's connections have ended, because its deduplication serves them all.
 */

enum {
    STOP_GRACE_MS = 5000, /* what the parts behind the connections get beyond the drain time */
};

/* --- one shard ------------------------------------------------------------ */

/* The shard's own requests: names, connections, breakers, jobs that are requests. */
static int init_client(struct app_shard *home)
{
    const struct resolver_dns_config dns = {0};
    struct resolver_backend *backend = NULL;
    struct http_client_config config;
    int r = 0;

    app_bounds_client(home->app->settings, home->app->shard_count, &config);
    config.user_agent = slice_of(home->app->user_agent);
    config.trust = home->app->trust;
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
    struct http_tls_limits limits;
    struct tls_identity *identity;
    int r;

    if (home->app->identity == NULL)
        return 0;
    app_bounds_tls(home->app->settings, home->app->shard_count, &limits);
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
    uint32_t class_count = app_bounds_buffers(app->settings, app->shard_count, classes);
    int r;

    home->app = app;
    home->shard = runtime_shard(app->runtime, index);
    home->phase = APP_RECOVERING;
    app_bounds_http(app->settings, app->shard_count, &limits);
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
    app_bounds_runtime(config->settings, app->shard_count, ret_config);
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
        return app_fail(text, ret_exit_code, APP_EXIT_FAILED, "out of memory");
    register_metrics(app, config);
    fill_runtime_config(config, app, &runtime_config);
    r = runtime_new(&runtime_config, &app->runtime);
    if (r < 0)
        return app_fail(text, ret_exit_code, APP_EXIT_FAILED, "the runtime could not be set up: %s",
                        strerror(-r));
    job_metrics_add_letters(app->registry, &app->metrics.jobs);
    metrics_set(&runtime_shard(app->runtime, 0)->metrics, app->metrics.build_info, 1);
    metrics_set(&runtime_shard(app->runtime, 0)->metrics, app->metrics.io_backend, 1);
    r = open_read_model(app, config);
    if (r < 0)
        return app_fail(text, ret_exit_code, APP_EXIT_FAILED,
                        "the read model could not be set up: %s", strerror(-r));
    for (uint32_t i = 0; i < app->shard_count; i++) {
        r = init_shard(app, i);
        if (r < 0)
            return app_fail(text, ret_exit_code, APP_EXIT_FAILED,
                            "shard %u could not be set up: %s", i, strerror(-r));
    }
    r = app_listeners_open(app, text, ret_exit_code);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < app->shard_count; i++) {
        r = start_tree(&app->shards[i]);
        if (r < 0)
            return app_fail(text, ret_exit_code, APP_EXIT_FAILED,
                            "shard %u could not be started: %s", i, strerror(-r));
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
        return app_fail(text, ret_exit_code, APP_EXIT_FAILED, "out of memory");
    has_any = trust_store_add_file(app->trust, TRUST_STORE_SYSTEM_PATH) >= 0;
    if (path[0] != '\0') {
        r = trust_store_add_file(app->trust, path);
        if (r <= 0)
            return app_fail(text, ret_exit_code, APP_EXIT_CONFIG, "[tls] ca: %s: %s", path,
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
        return app_fail(text, ret_exit_code, APP_EXIT_CONFIG, "[tls] %s", reason);
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

    return r == 0 ? 0 : app_fail(text, ret_exit_code, APP_EXIT_CONFIG, "%s", error);
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
        return app_fail(text, ret_exit_code, APP_EXIT_FAILED, "out of memory");
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

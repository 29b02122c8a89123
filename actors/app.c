#include "actors/app.h"

#include <errno.h>

#include "actors/app_bounds.h"
#include "actors/app_listeners.h"
#include "actors/bootstrap.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"
#include "runtime/token_bucket.h"

/*
 * app_new() is the start in order, up to the point where threads can run: first what is read
 * from outside (the data directory, certificates, secrets), then the parts that all shards
 * share, then each shard's own, the listeners, and last the supervision trees, whose actors
 * have their first turn when the threads run. app_abandon() takes it apart again.
 */

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

/* What all shards share. */
static int open_common(struct app *app, const struct app_config *config, char *text,
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
    return 0;
}

/* The shards' parts, then their listeners, then their trees. */
static int open_shards(struct app *app, char *text, int *ret_exit_code)
{
    int r;

    for (uint32_t i = 0; i < app->shard_count; i++) {
        r = app_shard_init(&app->shards[i], app, i);
        if (r < 0)
            return app_fail(text, ret_exit_code, APP_EXIT_FAILED,
                            "shard %u could not be set up: %s", i, strerror(-r));
    }
    r = app_listeners_open(app, text, ret_exit_code);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < app->shard_count; i++) {
        r = app_shard_start(&app->shards[i]);
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
        r = open_common(app, config, text, ret_exit_code);
    if (r == 0)
        r = open_shards(app, text, ret_exit_code);
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

void app_abandon(struct app *app)
{
    read_model_free(&app->read_model); /* first: it knows the shards */
    /* Journals take their timers out of the wheels, in which timers of lent requests stand. */
    for (uint32_t i = 0; app->shards != NULL && i < app->shard_count; i++)
        if (app->shards[i].shard != NULL)
            keeper_deinit(&app->shards[i].keeper);
    for (uint32_t i = 0; app->shards != NULL && i < app->shard_count; i++)
        if (app->shards[i].shard != NULL)
            app_shard_deinit(&app->shards[i]);
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
            app_shard_check_idle(&app->shards[i]);
    app_abandon(app);
}

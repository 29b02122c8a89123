#include "tools/sim/sim_server.h"

#include "runtime/sim_disk.h"

/*
 * app_abandon() is for a process that is gone: it gives memory back and nothing
 * else, as an operating system would. app_free(), after an orderly stop, asserts
 * that every pool got back what it had lent.
 */

/* Keeps the latest error, so that a failure can say why the process ended. */
static void on_log_line(struct runtime_hooks *hooks, uint32_t shard_index, const char *data,
                        size_t size)
{
    struct sim_server *server = container_of(hooks, struct sim_server, hooks);

    (void)shard_index;
    if (memmem(data, size, "\"error\"", 7) != NULL)
        snprintf(server->text, sizeof(server->text), "%.*s", (int)size, data);
}

static void server_check(const struct sim_server *server)
{
    assert(server->host != NULL);
    assert(server->driver->world == server->world);
    assert(server->shard_count > 0);
}

static void make_small(struct settings *s)
{
    s->data = SIM_SERVER_DATA;
    s->listen.items[0] = "127.0.0.1:3000";
    s->listen.count = 1;
    s->demo = true;
    s->demo_traffic = false; /* so that tests know what there is */
    s->connections = 64;
    s->batch_events = 100;
    s->requests_in_flight = 256;
    s->event_index_entries = 65536;
    s->segment_bytes = 1 << 20;
    s->reserve_bytes = 1 << 20;
    s->dedup_entries = 32768;
    s->read_model = SETTINGS_READ_MODEL_OFF; /* switched on by those who look at it */
}

void sim_server_init(struct sim_server *server, struct sim_driver *driver, struct sim_host *host)
{
    int r;

    memset(server, 0, sizeof(*server));
    r = config_new(SETTINGS_KEYS, SETTINGS_KEY_COUNT, (char *)&server->settings, &server->config);
    assert(r == 0);
    make_small(&server->settings);
    server->keeps_summaries = true;
    server->world = driver->world;
    server->host = host;
    server->driver = driver;
    server->shard_count = 1;
    server->hooks.log_out = on_log_line;
}

void sim_server_deinit(struct sim_server *server)
{
    if (server->is_running)
        sim_server_kill(server);
    config_free(&server->config);
}

/*
 * Without a read model an incident has no job. A run wants both: the group that they stand in,
 * and what becomes of the job, without the time that a database takes.
 */
static void keep_summaries(struct sim_server *server)
{
    for (uint32_t i = 0; i < server->app.shard_count; i++)
        server->app.shards[i].incidents.writer.has_summaries = true;
}

/* What a process whose start failed leaves behind. */
static void clear_failed_start(struct sim_server *server)
{
    if (server->host->state == SIM_HOST_DYING)
        sim_host_crash(server->host);
    else if (server->host->state == SIM_HOST_UP)
        sim_host_kill(server->host);
    app_abandon(&server->app);
    sim_host_start(server->host);
}

bool sim_server_try_start(struct sim_server *server, int *ret_exit_code)
{
    struct app_config config = {
        .settings = &server->settings,
        .disk = sim_host_disk(server->host),
        .clock_source = &server->world->clock_source,
        .hooks = &server->hooks,
        .shard_count = server->shard_count,
        .log_level = LOG_WARN,
        .simulated = true,
        .journal_batch_bytes = server->journal_batch_bytes,
        .seed = rng_next(&server->world->rng),
        .admin_token = SLICE_LITERAL(SIM_SERVER_ADMIN_TOKEN),
        .version = "test",
        .commit = "test",
        .io_new = sim_driver_io_new,
        .app = &server->app,
    };
    int r;

    server_check(server);
    assert(!server->is_running);
    server->accepted_count = 0;
    server->boot_generation = 0;
    memset(&server->app, 0, sizeof(server->app));
    sim_driver_name_host(server->host);
    server->text[0] = '\0';
    r = app_new(&config, server->text, ret_exit_code);
    if (r == 0) {
        if (server->keeps_summaries)
            keep_summaries(server);
        if (server->on_new != NULL)
            server->on_new(server);
        runtime_freeze_metrics(server->app.runtime);
        r = app_recover(&server->app, server->text, ret_exit_code);
    }
    if (r < 0) {
        clear_failed_start(server);
        return false;
    }
    sim_driver_add_runtime(server->driver, server->host, server->app.runtime);
    server->is_running = true;
    return true;
}

/* What the process can no longer say once it is gone. */
static void write_down(struct sim_server *server)
{
    const struct intake_metrics *series = &server->app.metrics.intake;

    server->accepted_count = sim_server_metric(server, series->outcome[EVENT_ACCEPTED]);
    server->boot_generation = server->app.superblock.boot_generation;
    server->kept_bytes = sim_server_kept_bytes(server);
}

static void forget_process(struct sim_server *server)
{
    assert(server->is_running);
    write_down(server);
    sim_driver_remove_runtime(server->driver, server->app.runtime);
    app_abandon(&server->app);
    server->is_running = false;
    sim_host_start(server->host);
}

void sim_server_crash(struct sim_server *server)
{
    server_check(server);
    sim_host_crash(server->host);
    forget_process(server);
}

void sim_server_kill(struct sim_server *server)
{
    server_check(server);
    sim_host_kill(server->host);
    forget_process(server);
}

int sim_server_bury(struct sim_server *server)
{
    int exit_code = runtime_exit_code(server->app.runtime);

    sim_server_kill(server);
    return exit_code;
}

enum sim_server_stop sim_server_try_stop(struct sim_server *server, uint64_t limit_ms,
                                         int *ret_exit_code)
{
    enum sim_outcome outcome;

    server_check(server);
    app_drain(&server->app);
    outcome = sim_driver_run_for(server->driver, limit_ms * 1000000);
    if (outcome == SIM_HOST_DIED)
        return SIM_SERVER_HOST_DIED;
    if (outcome != SIM_ENDED)
        return SIM_SERVER_HANGS;
    *ret_exit_code = runtime_exit_code(server->app.runtime);
    if (*ret_exit_code != 0) {
        sim_server_kill(server);
        return SIM_SERVER_FAILED;
    }
    write_down(server);
    sim_driver_remove_runtime(server->driver, server->app.runtime);
    app_free(&server->app);
    server->is_running = false;
    sim_host_kill(server->host);
    sim_host_start(server->host);
    return SIM_SERVER_STOPPED;
}

bool sim_server_is_ready(const struct sim_server *server)
{
    for (uint32_t i = 0; i < server->app.shard_count; i++)
        if (server->app.shards[i].phase != APP_READY)
            return false;
    return true;
}

uint64_t sim_server_metric(const struct sim_server *server, struct metric metric)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < server->app.shard_count; i++)
        sum += metrics_value(&server->app.shards[i].shard->metrics, metric);
    return sum;
}

uint64_t sim_server_kept_bytes(const struct sim_server *server)
{
    const struct app *app = &server->app;
    uint64_t sum = tenant_live_bytes(&app->shards[0].tenant);

    for (uint32_t i = 0; i < app->shard_count; i++)
        sum += durable_live_bytes(&app->shards[i].keeper.durables);
    return JOURNAL_LIVE_FACTOR * sum;
}

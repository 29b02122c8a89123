#include "actors/app_shard.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/app_bounds.h"
#include "http/connection.h"

/*
 * The order of the children decides two things. Started from the first to the last,
 * the journal's keeper is there before anybody appends. Stopped from the last to
 * the first, the listeners go before the connections, and intake stays until every
 * shard's connections have ended, because its deduplication serves them all.
 */

enum {
    STOP_GRACE_MS = 5000, /* what the parts behind the connections get beyond the drain time */
};

/* --- making --------------------------------------------------------------- */

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

static void on_no_descriptor(struct http_server *server)
{
    keeper_yield_descriptors(&container_of(server, struct app_shard, http)->keeper);
}

int app_shard_init(struct app_shard *home, struct app *app, uint32_t index)
{
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
    home->http.on_no_descriptor = on_no_descriptor;
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

/* --- the tree ------------------------------------------------------------- */

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

int app_shard_start(struct app_shard *home)
{
    int32_t drain_ms = (int32_t)home->app->settings->drain_timeout_ms;

    connection_supervise(&home->http, drain_ms);
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
    add_child(home, "connections", &home->http.supervisor.actor, &supervisor_type, SUPERVISOR_MAGIC,
              SHUTDOWN_INFINITY);
    for (uint32_t i = 0; i < home->listener_count; i++)
        add_child(home, "listener", &home->listeners[i].actor, &listener_type, LISTENER_MAGIC, 0);
    if (demo_traffic_is_wanted(home))
        add_child(home, "demo_traffic", &home->demo_traffic.actor, &demo_traffic_type,
                  DEMO_TRAFFIC_MAGIC, 0);
    return supervisor_spawn(home->shard, &home->root, &home->root_spec, ACTOR_ID_NONE);
}

/* --- the end -------------------------------------------------------------- */

void app_shard_check_idle(const struct app_shard *home)
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

void app_shard_deinit(struct app_shard *home)
{
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

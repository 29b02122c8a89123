#include "tests/http/client_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "runtime/io_sim.h"

/*
 * The test's code runs outside of the shard, between two steps of the world. That is
 * allowed: the client defers what it has to tell to its next turn. Only the shard's clock
 * has to be set right before a call is started.
 */
enum { STEP_COUNT_MAX = 3000000, STOP_MS_MAX = 60000, TIMEOUT_MS = 10000, BODY_SIZE_MAX = 65536 };

/* --- names --------------------------------------------------------------------- */

static void settle(struct fixture_name *name)
{
    struct resolver_name *asked = name->asked;

    name->asked = NULL;
    resolver_settle(asked, name->status, name->addresses, name->address_count, name->ttl_ms);
}

static void lookup(struct resolver_backend *backend, struct resolver_name *asked, const char *text)
{
    struct client_fixture *f = container_of(backend, struct client_fixture, backend);

    for (uint32_t i = 0; i < f->name_count; i++) {
        struct fixture_name *name = &f->names[i];

        if (strcmp(name->text, text) != 0)
            continue;
        name->lookup_count++;
        name->asked = asked;
        if (name->delay_ms == 0)
            settle(name);
        else
            actor_timer_start(f->owner, &name->due, name->delay_ms);
        return;
    }
    resolver_settle(asked, RESOLVER_NOT_FOUND, NULL, 0, 0);
}

static void start_lookups(struct resolver_backend *backend, struct actor *owner)
{
    struct client_fixture *f = container_of(backend, struct client_fixture, backend);

    f->owner = owner;
    for (uint32_t i = 0; i < CLIENT_FIXTURE_NAME_COUNT_MAX; i++)
        actor_timer_init(owner, &f->names[i].due);
}

static bool receive_lookups(struct resolver_backend *backend, const struct message *msg)
{
    struct client_fixture *f = container_of(backend, struct client_fixture, backend);

    for (uint32_t i = 0; msg->type == MSG_TIMER && i < f->name_count; i++) {
        if (msg->as.timer.timer != &f->names[i].due)
            continue;
        settle(&f->names[i]);
        return true;
    }
    return false;
}

static void stop_lookups(struct resolver_backend *backend)
{
    struct client_fixture *f = container_of(backend, struct client_fixture, backend);

    for (uint32_t i = 0; i < f->name_count; i++) {
        struct fixture_name *name = &f->names[i];

        if (name->asked != NULL)
            resolver_settle(name->asked, RESOLVER_FAILED, NULL, 0, 0);
        name->asked = NULL;
    }
}

void client_fixture_add_address(struct fixture_name *name, const char *text)
{
    struct address *address = &name->addresses[name->address_count];

    cr_assert(lt(u32, name->address_count, RESOLVER_ADDRESS_COUNT_MAX));
    cr_assert(eq(int, address_parse(slice_of(text), strchr(text, ':') != NULL, 1, address),
                 ADDRESS_LITERAL));
    name->address_count++;
}

struct fixture_name *client_fixture_name(struct client_fixture *f, const char *text,
                                         const char *address)
{
    struct fixture_name *name = &f->names[f->name_count++];

    cr_assert(le(u32, f->name_count, CLIENT_FIXTURE_NAME_COUNT_MAX));
    name->fixture = f;
    name->text = text;
    name->status = address != NULL ? RESOLVER_FOUND : RESOLVER_NOT_FOUND;
    name->ttl_ms = 60000;
    if (address != NULL)
        client_fixture_add_address(name, address);
    return name;
}

/* --- the client ----------------------------------------------------------------- */

static void on_log(struct runtime_hooks *hooks, uint32_t shard_index, const char *data, size_t size)
{
    struct client_fixture *f = container_of(hooks, struct client_fixture, hooks);

    assert(shard_index == 0);
    for (size_t i = 0; i < size; i++)
        f->log_line_count += data[i] == '\n';
}

struct client_fixture *client_fixture_new(uint64_t seed)
{
    static const struct buffer_class BUFFERS[] = {
        {1024, 256}, {4096, 256}, {65536, 64}, {262144, 16}, {2 << 20, 4}};
    struct client_fixture *f = calloc(1, sizeof(*f));

    f->seed = seed;
    f->config = http_client_config_default();
    memcpy(f->buffers, BUFFERS, sizeof(BUFFERS));
    f->buffer_class_count = ARRAY_COUNT(BUFFERS);
    f->backend = (struct resolver_backend){
        .lookup = lookup, .start = start_lookups, .receive = receive_lookups, .stop = stop_lookups};
    f->hooks.log_out = on_log;
    f->world = sim_world_new(seed);
    f->home = sim_host_new(f->world, "home");
    f->away = sim_host_new(f->world, "away");
    f->home->receive_buffer_size = 4096;
    f->home->receive_buffer_count = 64;
    sim_driver_init(&f->driver, f->world);
    cr_assert(eq(int, io_sim_new(f->away, &f->away_io), 0));
    sim_driver_add_io(&f->driver, f->away_io);
    return f;
}

void client_fixture_start(struct client_fixture *f)
{
    struct runtime_config config = {
        .shard_count = 1,
        .actor_count_max = 64,
        .message_count_max = 1024,
        .inbox_capacity = 64,
        .clock_source = &f->world->clock_source,
        .log_level = LOG_ERROR,
        .simulated = true,
        .seed = rng_next(&f->world->rng),
        .hooks = &f->hooks,
        .io_new = sim_driver_io_new,
    };

    cr_assert(eq(int, metrics_registry_new(&f->registry), 0));
    config.registry = f->registry;
    sim_driver_name_host(f->home);
    cr_assert(eq(int, runtime_new(&config, &f->runtime), 0));
    cr_assert(eq(int, buffer_pool_new(f->buffers, f->buffer_class_count, &f->pool), 0));
    cr_assert(eq(int,
                 http_client_init(&f->client, runtime_shard(f->runtime, 0), &f->config, f->pool,
                                  &f->backend),
                 0));
    f->child_spec = (struct supervisor_child_spec){.name = "client",
                                                   .actor = &f->client.actor,
                                                   .type = &http_client_type,
                                                   .type_magic = HTTP_CLIENT_MAGIC};
    f->root_spec =
        (struct supervisor_spec){.name = "root", .children = &f->child_spec, .child_count = 1};
    cr_assert(eq(
        int, supervisor_spawn(runtime_shard(f->runtime, 0), &f->root, &f->root_spec, ACTOR_ID_NONE),
        0));
    runtime_freeze_metrics(f->runtime);
    sim_driver_add_runtime(&f->driver, f->home, f->runtime);
}

struct client_fixture *client_fixture_begin(uint64_t seed)
{
    struct client_fixture *f = client_fixture_new(seed);

    client_fixture_start(f);
    return f;
}

struct peer *client_fixture_peer(struct client_fixture *f, const char *host, uint16_t port)
{
    struct peer *peer = peer_new(f->world, f->away_io, host, port);

    cr_assert(lt(u32, f->peer_count, CLIENT_FIXTURE_PEER_COUNT_MAX));
    f->peers[f->peer_count++] = peer;
    return peer;
}

/* --- calls ------------------------------------------------------------------------ */

static void copy_text(char *target, struct slice text)
{
    size_t size = min_u64(text.size, CLIENT_FIXTURE_TEXT_SIZE - 1);

    if (size > 0)
        memcpy(target, text.data, size);
    target[size] = '\0';
}

static void on_done(struct http_client_call *call)
{
    struct fixture_call *c = container_of(call, struct fixture_call, call);
    const struct http_client_result *result = &call->result;

    c->done_count++;
    cr_assert(not(http_client_is_open(call)));
    cr_assert(eq(int, result->headers != NULL, result->status != 0));
    copy_text(c->content_type, result->content_type);
    copy_text(c->x_test, result->headers != NULL
                             ? headers_value(result->headers, SLICE_LITERAL("x-test"))
                             : (struct slice){NULL, 0});
    c->body = realloc(c->body, result->body.size + 1);
    if (result->body.size > 0)
        memcpy(c->body, result->body.data, result->body.size);
    c->body[result->body.size] = '\0';
    c->body_size = result->body.size;
    if (c->on_told != NULL)
        c->on_told(c);
}

struct fixture_call *client_fixture_prepare(struct client_fixture *f, enum http_method method,
                                            const char *url)
{
    struct fixture_call *c = calloc(1, sizeof(*c));

    cr_assert(lt(u32, f->call_count, CLIENT_FIXTURE_CALL_COUNT_MAX));
    f->calls[f->call_count++] = c;
    c->fixture = f;
    copy_text(c->url, slice_of(url));
    c->call.method = method;
    c->call.url = slice_of(c->url);
    c->call.timeout_ms = TIMEOUT_MS;
    c->call.body_size_max = BODY_SIZE_MAX;
    c->call.on_done = on_done;
    return c;
}

void client_fixture_go(struct fixture_call *c)
{
    clock_update(&runtime_shard(c->fixture->runtime, 0)->clock);
    cr_assert(eq(int, http_client_start(&c->fixture->client, &c->call), 0));
    cr_assert(http_client_is_open(&c->call));
}

struct fixture_call *client_fixture_call(struct client_fixture *f, enum http_method method,
                                         const char *url)
{
    struct fixture_call *c = client_fixture_prepare(f, method, url);

    client_fixture_go(c);
    return c;
}

void client_fixture_run_for(struct client_fixture *f, uint64_t duration_ms)
{
    enum sim_outcome outcome = sim_driver_run_for(&f->driver, duration_ms * 1000000);

    cr_assert(eq(int, outcome, SIM_REACHED), "seed %lu", f->seed);
}

static bool is_told(struct sim_goal *goal)
{
    return !http_client_is_open(&container_of(goal, struct client_fixture, goal)->goal_call->call);
}

void client_fixture_until_done(struct client_fixture *f, const struct fixture_call *c)
{
    enum sim_outcome outcome;

    f->goal.reached = is_told;
    f->goal_call = c;
    outcome = sim_driver_run(&f->driver, &f->goal, STEP_COUNT_MAX);
    cr_assert(eq(int, outcome, SIM_REACHED), "seed %lu: %s", f->seed, c->url);
}

uint64_t client_fixture_duration_ms(const struct fixture_call *c)
{
    return (c->call.result.done_ns - c->call.result.started_ns) / 1000000;
}

/* --- the end ------------------------------------------------------------------------ */

void client_fixture_stop(struct client_fixture *f)
{
    enum sim_outcome outcome = SIM_REACHED;

    runtime_stop(f->runtime);
    for (uint32_t i = 0; i < STOP_MS_MAX && outcome == SIM_REACHED; i++)
        outcome = sim_driver_run_for(&f->driver, 1000000);
    cr_assert(eq(int, outcome, SIM_ENDED), "seed %lu", f->seed);
    sim_driver_remove_runtime(&f->driver, f->runtime);
}

static void check_nothing_is_left(const struct client_fixture *f)
{
    const struct io_sim *sim = container_of(runtime_shard(f->runtime, 0)->io, struct io_sim, io);

    cr_assert(eq(u32, f->client.call_count, 0), "seed %lu", f->seed);
    cr_assert(eq(u32, f->client.connection_count, 0), "seed %lu", f->seed);
    cr_assert(eq(u32, client_hosts_count(&f->client.hosts), 0), "seed %lu", f->seed);
    cr_assert(eq(u32, pool_used_count(&f->client.connection_pool), 0), "seed %lu", f->seed);
    cr_assert(eq(u64, buffer_pool_used(f->pool), 0), "seed %lu", f->seed);
    cr_assert(eq(u32, sim->free_buffer_count, sim->buffer_count), "seed %lu", f->seed);
    cr_assert(eq(u32, f->home->fd_count, 0), "seed %lu", f->seed);
    for (uint32_t i = 0; i < f->call_count; i++)
        cr_assert(not(http_client_is_open(&f->calls[i]->call)), "seed %lu", f->seed);
}

void client_fixture_end(struct client_fixture **fixture)
{
    struct client_fixture *f = *fixture;

    if (actor_is_running(&f->client.actor))
        client_fixture_stop(f);
    check_nothing_is_left(f);
    io_free(&f->away_io);
    for (uint32_t i = 0; i < f->peer_count; i++)
        peer_free(&f->peers[i]);
    runtime_free(&f->runtime);
    http_client_deinit(&f->client);
    buffer_pool_free(&f->pool);
    metrics_registry_free(&f->registry);
    sim_world_free(&f->world);
    for (uint32_t i = 0; i < f->call_count; i++) {
        free(f->calls[i]->body);
        free(f->calls[i]);
    }
    free(f);
    *fixture = NULL;
}

#include "tests/http/real_shard.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>

#include "runtime/io_uring.h"

/*
 * The runtime is told that it is simulated, which means: no threads of its own. Ring and
 * clock are the real ones, and the test's thread turns the loop.
 */
enum { PATIENCE_MS = 30000, BUFFER_COUNT = 64 };

static int make_io(struct runtime *runtime, uint32_t index, struct io **ret_io)
{
    static const struct io_uring_config config = {
        .entries = 64, .cq_entries = 256, .recv_buffer_size = 16384, .recv_buffer_count = 32};

    (void)runtime;
    (void)index;
    return io_uring_new(&config, ret_io);
}

uint32_t real_shard_fd_count(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint32_t count = 0;

    cr_assert(ne(ptr, directory, NULL));
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static struct shard *shard_of(struct real_shard *s)
{
    return runtime_shard(s->runtime, 0);
}

void real_shard_init(struct real_shard *s)
{
    *s = (struct real_shard){.config = http_client_config_default()};
    s->config.policy.allow_private = true;
}

void real_shard_start(struct real_shard *s)
{
    static const struct buffer_class buffers[] = {
        {1024, BUFFER_COUNT}, {65536, BUFFER_COUNT}, {1 << 20, 8}};
    struct runtime_config config = {
        .shard_count = 1,
        .actor_count_max = 64,
        .message_count_max = 1024,
        .inbox_capacity = 64,
        .clock_source = &clock_source_system,
        .log_level = LOG_ERROR,
        .simulated = true,
        .seed = 1,
        .io_new = make_io,
    };

    s->fd_count = real_shard_fd_count();
    cr_assert(eq(int, metrics_registry_new(&s->registry), 0));
    config.registry = s->registry;
    cr_assert(eq(int, runtime_new(&config, &s->runtime), 0));
    cr_assert(eq(int, io_enable(shard_of(s)->io), 0));
    cr_assert(eq(int, buffer_pool_new(buffers, ARRAY_COUNT(buffers), &s->pool), 0));
    cr_assert(
        eq(int, http_client_init(&s->client, shard_of(s), &s->config, s->pool, s->backend), 0));
    s->child_spec = (struct supervisor_child_spec){.name = "client",
                                                   .actor = &s->client.actor,
                                                   .type = &http_client_type,
                                                   .type_magic = HTTP_CLIENT_MAGIC};
    s->root_spec =
        (struct supervisor_spec){.name = "root", .children = &s->child_spec, .child_count = 1};
    cr_assert(eq(int, supervisor_spawn(shard_of(s), &s->root, &s->root_spec, ACTOR_ID_NONE), 0));
    runtime_freeze_metrics(s->runtime);
}

void real_shard_run(struct real_shard *s, const uint32_t *count, uint32_t count_min)
{
    uint64_t end_ns;

    clock_update(&shard_of(s)->clock);
    end_ns = shard_of(s)->clock.mono_ns + UINT64_C(1000000) * PATIENCE_MS;
    while (*count < count_min) {
        cr_assert(shard_turn(shard_of(s), true));
        cr_assert(lt(u64, shard_of(s)->clock.mono_ns, end_ns));
    }
}

static void on_done(struct http_client_call *call)
{
    struct real_call *c = container_of(call, struct real_call, call);

    c->done_count++;
    c->body_size = call->result.body.size;
    cr_assert(lt(sz, c->body_size, sizeof(c->body)));
    if (c->body_size > 0)
        memcpy(c->body, call->result.body.data, c->body_size);
    c->body[c->body_size] = '\0';
    io_wake(call->client->actor.shard->io); /* or the turn that told us waits for the next event */
}

void real_shard_begin_call(struct real_shard *s, struct real_call *c, enum http_method method,
                           const char *url)
{
    clock_update(&shard_of(s)->clock);
    c->call.method = method;
    c->call.url = slice_of(url);
    if (c->call.timeout_ms == 0)
        c->call.timeout_ms = 10000;
    c->call.body_size_max = sizeof(c->body) - 1;
    c->call.on_done = on_done;
    cr_assert(eq(int, http_client_start(&s->client, &c->call), 0));
}

void real_shard_call(struct real_shard *s, struct real_call *c, enum http_method method,
                     const char *url)
{
    uint32_t done_count = c->done_count;

    real_shard_begin_call(s, c, method, url);
    real_shard_run(s, &c->done_count, done_count + 1);
}

void real_shard_end(struct real_shard *s)
{
    runtime_stop(s->runtime);
    while (shard_turn(shard_of(s), true))
        continue;
    cr_assert(eq(u32, s->client.connection_count, 0));
    cr_assert(eq(u64, buffer_pool_used(s->pool), 0));
    runtime_free(&s->runtime);
    http_client_deinit(&s->client);
    buffer_pool_free(&s->pool);
    metrics_registry_free(&s->registry);
    cr_assert(eq(u32, real_shard_fd_count(), s->fd_count));
}

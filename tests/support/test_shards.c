#include "tests/support/test_shards.h"

#include <errno.h>

/*
 * The backend keeps armed operations in a list through backend_link, in the order
 * in which they were armed. A cancelled one moves to a second list, from which the
 * next reap completes it with -ECANCELED: never inside io_cancel(), as promised by
 * runtime/io.h.
 */

enum { SETTLE_TURNS_MAX = 100000 };

struct test_shards test_shards;

static void read_clock(const struct clock_source *source, uint64_t *ret_mono_ns,
                       uint64_t *ret_unix_ms)
{
    const struct test_shards *self = container_of(source, struct test_shards, clock_source);

    *ret_mono_ns = self->mono_ns;
    *ret_unix_ms = 1700000000000 + self->mono_ns / 1000000;
}

static void submit(struct io *io, struct io_op *op)
{
    struct test_io *self = container_of(io, struct test_io, io);

    list_push_back(&self->armed, &op->backend_link);
}

static void cancel(struct io *io, struct io_op *op)
{
    struct test_io *self = container_of(io, struct test_io, io);

    list_remove(&op->backend_link);
    list_push_back(&self->cancelled, &op->backend_link);
}

static uint32_t reap(struct io *io, uint32_t completion_count_max)
{
    struct test_io *self = container_of(io, struct test_io, io);
    uint32_t count = 0;

    while (count < completion_count_max && !list_is_empty(&self->cancelled)) {
        struct list_node *node = list_pop_front(&self->cancelled);

        count++;
        io_op_complete(io, container_of(node, struct io_op, backend_link),
                       &(struct io_result){.value = -ECANCELED});
    }
    return count;
}

static int wait_not(struct io *io, uint64_t timeout_ns)
{
    (void)io;
    (void)timeout_ns;
    return 0;
}

static void count_wake(struct io *io)
{
    container_of(io, struct test_io, io)->wake_count++;
}

static void count_buffer(struct io *io, uint32_t buffer_index)
{
    (void)buffer_index;
    container_of(io, struct test_io, io)->released_buffers++;
}

static void count_close(struct io *io, int fd)
{
    (void)fd;
    container_of(io, struct test_io, io)->closed_count++;
}

static void forget(struct io **io)
{
    *io = NULL;
}

static const struct io_vtable TEST_IO_VTABLE = {
    .name = "test",
    .submit = submit,
    .cancel = cancel,
    .reap = reap,
    .wait = wait_not,
    .wake = count_wake,
    .buffer_release = count_buffer,
    .close_now = count_close,
    .free = forget,
};

static int make_io(struct runtime *runtime, uint32_t index, struct io **ret_io)
{
    struct test_io *self = &test_shards.ios[index];

    (void)runtime;
    *self = (struct test_io){.io = {.vtable = &TEST_IO_VTABLE, .stats.buffer_count = 16}};
    list_init(&self->armed);
    list_init(&self->cancelled);
    *ret_io = &self->io;
    return 0;
}

static void keep_log(struct runtime_hooks *hooks, uint32_t shard_index, const char *data,
                     size_t size)
{
    struct test_shards *self = container_of(hooks, struct test_shards, hooks);

    (void)shard_index;
    if (size >= sizeof(self->log) - self->log_size)
        return;
    memcpy(self->log + self->log_size, data, size);
    self->log_size += size;
    self->log[self->log_size] = '\0';
}

static void keep_dead_letter(struct runtime_hooks *hooks, struct shard *shard,
                             const struct message *msg, enum dead_letter_reason reason,
                             const char *actor_name)
{
    struct test_shards *self = container_of(hooks, struct test_shards, hooks);

    (void)shard;
    (void)actor_name;
    self->dead_count++;
    self->dead_by_reason[reason]++;
    self->last_dead = *msg;
}

static uint64_t or_default(uint64_t value, uint64_t default_value)
{
    return value != 0 ? value : default_value;
}

void test_shards_new(uint32_t shard_count)
{
    struct test_shards *self = &test_shards;
    struct runtime_config *config = &self->config;
    int r;

    self->hooks = (struct runtime_hooks){keep_log, keep_dead_letter};
    self->clock_source.read = read_clock;
    self->mono_ns = 1000000000;
    self->dead_count = 0;
    memset(self->dead_by_reason, 0, sizeof(self->dead_by_reason));
    self->log_size = 0;
    self->log[0] = '\0';
    r = metrics_registry_new(&self->registry);
    assert(r == 0);
    config->shard_count = shard_count;
    config->actor_count_max = (uint32_t)or_default(config->actor_count_max, 4096);
    config->message_count_max = (uint32_t)or_default(config->message_count_max, 4096);
    config->inbox_capacity = (uint32_t)or_default(config->inbox_capacity, 64);
    config->clock_source = &self->clock_source;
    config->registry = self->registry;
    config->log_level = LOG_DEBUG;
    config->log_format = LOG_FORMAT_TEXT;
    config->simulated = true;
    config->seed = or_default(config->seed, 1);
    config->hooks = &self->hooks;
    config->io_new = make_io;
    r = runtime_new(config, &self->runtime);
    assert(r == 0);
}

void test_shards_free(void)
{
    runtime_free(&test_shards.runtime);
    metrics_registry_free(&test_shards.registry);
}

bool test_shards_turn(void)
{
    bool busy = false;

    runtime_freeze_metrics(test_shards.runtime);
    for (uint32_t i = 0; i < test_shards.config.shard_count; i++)
        (void)shard_turn(test_shard(i), false);
    for (uint32_t i = 0; i < test_shards.config.shard_count; i++)
        busy =
            busy || !shard_is_idle(test_shard(i)) || !list_is_empty(&test_shards.ios[i].cancelled);
    return busy && runtime_exit_code(test_shards.runtime) == 0;
}

void test_shards_settle(void)
{
    uint32_t turns = 0;

    while (test_shards_turn()) {
        turns++;
        assert(turns < SETTLE_TURNS_MAX);
    }
}

void test_shards_advance_ms(uint64_t delay_ms)
{
    for (uint64_t i = 0; i < delay_ms; i++) {
        test_shards.mono_ns += 1000000;
        test_shards_settle();
    }
}

bool test_io_complete(uint32_t index, const struct io_result *result)
{
    struct test_io *self = &test_shards.ios[index];
    struct io_op *op;

    if (list_is_empty(&self->armed))
        return false;
    op = container_of(self->armed.next, struct io_op, backend_link);
    if (!result->more)
        list_remove(&op->backend_link);
    io_op_complete(&self->io, op, result);
    return true;
}

bool test_log_has(const char *text)
{
    return strstr(test_shards.log, text) != NULL;
}

uint32_t test_log_count(const char *text)
{
    uint32_t count = 0;

    for (const char *at = strstr(test_shards.log, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

struct shard *test_shard(uint32_t index)
{
    return runtime_shard(test_shards.runtime, index);
}

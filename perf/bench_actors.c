/*
 * Bench actors: what messages, actors and shards cost on this machine.
 *
 *     bench_actors [SECONDS]    per row; default 1
 *
 * Everything is the product's own runtime on the io_uring backend: ids, bounded
 * mailboxes, batches, panic guard, counters. "Local" runs one shard's loop on one
 * thread; "cross" runs two shards, each on a thread of its own. A message counts when
 * it has been handled. A shared machine takes time away: run it several times.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/utsname.h>
#include <time.h>

#include "runtime/internals.h"
#include "runtime/io_uring.h"
#include "runtime/supervisor.h"

enum {
    BENCH_MAGIC = 0x0be4c4,
    PAIRS_MAX = 100000,
    ACTORS_MAX = 2 * PAIRS_MAX + 16,
    SAMPLES_MAX = 1 << 20,
    FLOOD_BATCH = 48,
    SPAWN_BATCH = 48,
};

enum bench_message {
    BENCH_BALL = MSG_ACTORS,
    BENCH_GO,
    BENCH_DIE,
};

/* Aligned, because neighbours may be of different shards. */
struct player {
    struct actor actor;
    struct actor_id peer;
} __attribute__((aligned(64)));

static struct player players[ACTORS_MAX];
static struct supervisor root[2];
static struct supervisor nursery;
static struct counted {
    uint64_t count __attribute__((aligned(64)));
} handled[2];
static uint64_t freed_count;
static uint64_t samples[SAMPLES_MAX];
static uint32_t sample_count;
static uint64_t asked_ns;
static double seconds = 1.0;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void must(bool held, const char *what)
{
    if (held)
        return;
    fprintf(stderr, "bench_actors: %s failed\n", what);
    exit(1);
}

static bool send_one(struct actor *self, struct actor_id to, uint16_t type)
{
    struct message *msg = actor_message(self, to, type);

    if (msg == NULL)
        return false;
    if (actor_send(self, &msg) == SEND_OK)
        return true;
    if (msg != NULL)
        actor_message_release(self, &msg);
    return false;
}

/* The main thread reads it while the shard counts. */
static void add_one(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static int start_nothing(struct actor *self)
{
    (void)self;
    return 0;
}

static int play(struct actor *self, const struct message *msg)
{
    struct player *player = ACTOR_CAST(self, struct player, BENCH_MAGIC);

    if (msg->type != BENCH_BALL)
        return ACTOR_STOP;
    add_one(&handled[self->shard->index].count);
    must(send_one(self, player->peer, BENCH_BALL), "a send");
    return ACTOR_OK;
}

/* Sends as much as fits, then comes back by a message to itself. */
static int flood(struct actor *self, const struct message *msg)
{
    struct player *player = ACTOR_CAST(self, struct player, BENCH_MAGIC);

    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    for (uint32_t i = 0; i < FLOOD_BATCH && send_one(self, player->peer, BENCH_BALL); i++) {
    }
    must(send_one(self, self->id, BENCH_GO), "a message to itself");
    return ACTOR_OK;
}

static int count(struct actor *self, const struct message *msg)
{
    (void)self;
    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    add_one(&handled[1].count);
    return ACTOR_OK;
}

/* Keeps its shard awake: a message to itself for ever. */
static int spin(struct actor *self, const struct message *msg)
{
    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    must(send_one(self, self->id, BENCH_GO), "a message to itself");
    return ACTOR_OK;
}

static int answer(struct actor *self, const struct message *msg)
{
    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    must(send_one(self, msg->from, BENCH_BALL), "an answer");
    return ACTOR_OK;
}

static int ask(struct actor *self, const struct message *msg)
{
    struct player *player = ACTOR_CAST(self, struct player, BENCH_MAGIC);

    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    if (msg->type == BENCH_BALL && sample_count < SAMPLES_MAX)
        samples[sample_count++] = now_ns() - asked_ns;
    asked_ns = now_ns();
    must(send_one(self, player->peer, BENCH_BALL), "a request");
    return ACTOR_OK;
}

static void free_player(struct actor *self)
{
    (void)self;
    freed_count++;
}

/* Starts children that are asked to stop at once, then comes back. */
static int breed(struct actor *self, const struct message *msg)
{
    static uint32_t next;

    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    for (uint32_t i = 0; i < SPAWN_BATCH; i++) {
        struct player *child = &players[16 + next % 1024];

        if (child->actor.state != ACTOR_NEW && child->actor.state != ACTOR_GONE)
            break;
        next++;
        must(supervisor_start_child(&nursery, &child->actor) == 0, "a spawn");
        must(send_one(self, child->actor.id, BENCH_DIE), "a send to a child");
    }
    must(send_one(self, self->id, BENCH_GO), "a message to itself");
    return ACTOR_OK;
}

static const struct actor_type player_type = {
    .name = "player", .start = start_nothing, .receive = play, .free = free_player};
static const struct actor_type flooder_type = {
    .name = "flooder", .start = start_nothing, .receive = flood};
static const struct actor_type counter_type = {
    .name = "counter", .start = start_nothing, .receive = count, .mailbox_max = 1024};
static const struct actor_type spinner_type = {
    .name = "spinner", .start = start_nothing, .receive = spin};
static const struct actor_type answerer_type = {
    .name = "answerer", .start = start_nothing, .receive = answer};
static const struct actor_type asker_type = {
    .name = "asker", .start = start_nothing, .receive = ask};
static const struct actor_type breeder_type = {
    .name = "breeder", .start = start_nothing, .receive = breed};

static const struct supervisor_child_spec ANY = {.name = "any",
                                                 .type = &player_type,
                                                 .type_magic = BENCH_MAGIC,
                                                 .restart = RESTART_TEMPORARY,
                                                 .shutdown_ms = SHUTDOWN_INFINITY};
static const struct supervisor_spec SPEC = {
    .name = "bench", .strategy = SUPERVISE_SIMPLE_ONE_FOR_ONE, .children = &ANY, .child_count = 1};

static int make_io(struct runtime *runtime, uint32_t index, struct io **ret_io)
{
    static const struct io_uring_config CONFIG = {0};

    (void)runtime;
    (void)index;
    return io_uring_new(&CONFIG, ret_io);
}

static struct runtime *new_runtime(uint32_t shard_count)
{
    struct runtime_config config = {.shard_count = shard_count,
                                    .actor_count_max = ACTORS_MAX,
                                    .message_count_max = PAIRS_MAX + 8192,
                                    .inbox_capacity = 1024,
                                    .clock_source = &clock_source_system,
                                    .log_level = LOG_ERROR,
                                    .pin_threads = true,
                                    .io_new = make_io};
    struct runtime *runtime = NULL;

    must(metrics_registry_new(&config.registry) == 0, "the registry");
    must(runtime_new(&config, &runtime) == 0, "runtime_new (is io_uring allowed?)");
    for (uint32_t i = 0; i < shard_count; i++) {
        memset(&root[i], 0, sizeof(root[i]));
        must(supervisor_spawn(runtime_shard(runtime, i), &root[i], &SPEC, ACTOR_ID_NONE) == 0,
             "the root");
    }
    return runtime;
}

static void free_runtime(struct runtime **runtime)
{
    struct metrics_registry *registry = runtime_settings(*runtime)->registry;

    runtime_free(runtime);
    metrics_registry_free(&registry);
    memset(players, 0, sizeof(players));
}

static void spawn(struct runtime *runtime, uint32_t index, struct player *player,
                  const struct actor_type *type)
{
    must(actor_spawn(runtime_shard(runtime, index), &player->actor, type, BENCH_MAGIC,
                     root[index].actor.id) == 0,
         "a spawn");
}

static void report(const char *what, uint64_t operations, uint64_t elapsed_ns)
{
    double ns = (double)elapsed_ns / (double)(operations > 0 ? operations : 1);

    printf("%-52s %10.2f M/s %10.1f ns each\n", what, 1000.0 / ns, ns);
}

/* Turns one shard on this thread; what counted says how far it got. */
static void run_local(struct runtime *runtime, const uint64_t *counted, const char *what)
{
    struct shard *shard = runtime_shard(runtime, 0);
    uint64_t started_ns;
    uint64_t until_ns;
    uint64_t before;

    runtime_freeze_metrics(runtime);
    must(io_enable(shard->io) == 0, "io_enable");
    for (uint32_t i = 0; i < 100; i++)
        must(shard_turn(shard, false), "a turn");
    before = *counted;
    started_ns = now_ns();
    until_ns = started_ns + (uint64_t)(seconds * 1e9);
    while (now_ns() < until_ns)
        must(shard_turn(shard, false), "a turn");
    report(what, *counted - before, now_ns() - started_ns);
}

static void bench_pairs(uint32_t pair_count, const char *what)
{
    struct runtime *runtime = new_runtime(1);

    for (uint32_t i = 0; i < 2 * pair_count; i++)
        spawn(runtime, 0, &players[i], &player_type);
    for (uint32_t i = 0; i < pair_count; i++) {
        players[2 * i].peer = players[2 * i + 1].actor.id;
        players[2 * i + 1].peer = players[2 * i].actor.id;
        must(send_one(&players[2 * i].actor, players[2 * i].peer, BENCH_BALL), "the first ball");
    }
    run_local(runtime, &handled[0].count, what);
    free_runtime(&runtime);
}

static void bench_spawn(void)
{
    struct runtime *runtime = new_runtime(1);

    memset(&nursery, 0, sizeof(nursery));
    must(supervisor_spawn(runtime_shard(runtime, 0), &nursery, &SPEC, root[0].actor.id) == 0,
         "the nursery");
    spawn(runtime, 0, &players[0], &breeder_type);
    must(send_one(&players[0].actor, players[0].actor.id, BENCH_GO), "the first message");
    run_local(runtime, &freed_count, "spawn, one message, stop, supervised");
    free_runtime(&runtime);
}

static void sleep_for_row(void)
{
    struct timespec row = {.tv_sec = (time_t)seconds,
                           .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&row, NULL);
}

static void stop_threads(struct runtime *runtime)
{
    runtime_fail(runtime, 1, "the row is over");
    runtime_join(runtime);
}

static void bench_flood(void)
{
    struct runtime *runtime = new_runtime(2);
    uint64_t started_ns;
    uint64_t before;

    spawn(runtime, 0, &players[0], &flooder_type);
    spawn(runtime, 1, &players[1], &counter_type);
    players[0].peer = players[1].actor.id;
    must(send_one(&players[0].actor, players[0].actor.id, BENCH_GO), "the first message");
    must(runtime_start(runtime) == 0, "runtime_start");
    before = __atomic_load_n(&handled[1].count, __ATOMIC_RELAXED);
    started_ns = now_ns();
    sleep_for_row();
    report("cross-shard, one direction",
           __atomic_load_n(&handled[1].count, __ATOMIC_RELAXED) - before, now_ns() - started_ns);
    stop_threads(runtime);
    free_runtime(&runtime);
}

static void bench_cross_pairs(uint32_t pair_count, const char *what)
{
    struct runtime *runtime = new_runtime(2);
    uint64_t started_ns;
    uint64_t before;

    for (uint32_t i = 0; i < 2 * pair_count; i++)
        spawn(runtime, i % 2, &players[i], &player_type);
    for (uint32_t i = 0; i < pair_count; i++) {
        players[2 * i].peer = players[2 * i + 1].actor.id;
        players[2 * i + 1].peer = players[2 * i].actor.id;
        must(send_one(&players[2 * i].actor, players[2 * i].peer, BENCH_BALL), "the first ball");
    }
    must(runtime_start(runtime) == 0, "runtime_start");
    before = __atomic_load_n(&handled[1].count, __ATOMIC_RELAXED);
    started_ns = now_ns();
    sleep_for_row();
    report(what, 2 * (__atomic_load_n(&handled[1].count, __ATOMIC_RELAXED) - before),
           now_ns() - started_ns);
    stop_threads(runtime);
    free_runtime(&runtime);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static void bench_request(bool busy, const char *what)
{
    struct runtime *runtime = new_runtime(2);

    sample_count = 0;
    spawn(runtime, 0, &players[0], &asker_type);
    spawn(runtime, 1, &players[1], &answerer_type);
    players[0].peer = players[1].actor.id;
    for (uint32_t i = 0; busy && i < 2; i++) {
        spawn(runtime, i, &players[2 + i], &spinner_type);
        must(send_one(&players[2 + i].actor, players[2 + i].actor.id, BENCH_GO), "a message");
    }
    must(send_one(&players[0].actor, players[0].actor.id, BENCH_GO), "the first message");
    must(runtime_start(runtime) == 0, "runtime_start");
    sleep_for_row();
    stop_threads(runtime);
    must(sample_count > 0, "a request");
    qsort(samples, sample_count, sizeof(samples[0]), compare);
    printf("%-52s p50 %8.2f us   p99 %8.2f us   (%u)\n", what,
           (double)samples[sample_count / 2] / 1e3,
           (double)samples[(uint64_t)sample_count * 99 / 100] / 1e3, sample_count);
    free_runtime(&runtime);
}

static void print_machine(void)
{
    struct utsname system;
    double load = 0;

    uname(&system);
    must(getloadavg(&load, 1) == 1, "getloadavg");
    printf("kernel %s %s, load %.2f, actor %zu B, timer %zu B, message %zu B\n", system.release,
           system.machine, load, sizeof(struct actor), sizeof(struct timer),
           sizeof(struct message));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    must(seconds > 0, "reading SECONDS");
    print_machine();
    bench_pairs(1, "local ping-pong, 1 pair");
    bench_pairs(1000, "local ping-pong, 1000 pairs");
    bench_pairs(PAIRS_MAX, "local ping-pong, 100000 pairs");
    bench_spawn();
    bench_flood();
    bench_cross_pairs(500, "cross-shard ping-pong, 500 pairs, both directions");
    bench_request(true, "cross-shard request and reply, both busy");
    bench_request(false, "cross-shard request and reply, both asleep between");
    return 0;
}

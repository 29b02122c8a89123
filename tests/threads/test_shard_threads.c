/*
 * Three shards on three threads with the io_uring backend: actors pass balls around
 * across shards while the boot thread posts; then the tree is stopped and everything
 * that was sent has been handled or is accounted for. Last, a stuck handler is seen by
 * the watchdog, and a failure from a foreign thread ends the loops. Skipped (77) where
 * io_uring is not permitted.
 */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "runtime/internals.h"
#include "runtime/io_uring.h"
#include "runtime/supervisor.h"

enum {
    SHARDS = 3,
    PLAYERS = 60,
    PLAYER_MAGIC = 0x9147e4,
    BALL = MSG_ACTORS,
    STUCK,
    HOPS = 20000,
    POSTS = 5000,
    SKIPPED = 77,
    DEADLINE_S = 60,
};

struct player {
    struct actor actor;
    uint64_t handled; /* the shard's thread writes, the main thread reads after the join */
};

static struct player players[PLAYERS];
static struct actor_id ids[PLAYERS]; /* set before the threads start */
static uint64_t finished_count;      /* atomic: balls that made all their hops, and posts */
static uint32_t release_stuck;       /* atomic */

static void must(bool held, const char *what)
{
    if (held)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void finish_one(void)
{
    __atomic_fetch_add(&finished_count, 1, __ATOMIC_RELAXED);
}

static int start_player(struct actor *self)
{
    (void)self;
    return 0;
}

/* token counts the hops that are left; a ball that finds a full ring stays and is retried. */
static int receive_ball(struct actor *self, const struct message *msg)
{
    struct player *player = ACTOR_CAST(self, struct player, PLAYER_MAGIC);
    struct message *next;

    if (msg->type == STUCK) {
        while (__atomic_load_n(&release_stuck, __ATOMIC_RELAXED) == 0)
            sched_yield();
        return ACTOR_OK;
    }
    if (msg->type != BALL)
        return ACTOR_UNHANDLED;
    player->handled++;
    if (msg->token == 0) {
        finish_one();
        return ACTOR_OK;
    }
    next = actor_message(self, ids[rng_below(&self->shard->rng, PLAYERS)], BALL);
    must(next != NULL, "the message pool is empty");
    next->token = msg->token - 1;
    must(actor_send(self, &next) == SEND_OK, "a ring or mailbox is full");
    return ACTOR_OK;
}

static const struct actor_type player_type = {
    .name = "player", .start = start_player, .receive = receive_ball};
static const struct supervisor_child_spec PLAYER = {
    .name = "player", .type = &player_type, .type_magic = PLAYER_MAGIC};
static const struct supervisor_spec ROOT = {.name = "root",
                                            .strategy = SUPERVISE_SIMPLE_ONE_FOR_ONE,
                                            .children = &PLAYER,
                                            .child_count = 1};

static struct supervisor roots[SHARDS];
static struct metrics_registry *registry;

static int make_io(struct runtime *runtime, uint32_t index, struct io **ret_io)
{
    static const struct io_uring_config CONFIG = {
        .entries = 64, .cq_entries = 256, .recv_buffer_count = 16};

    (void)runtime;
    (void)index;
    return io_uring_new(&CONFIG, ret_io);
}

static struct runtime *new_runtime(void)
{
    struct runtime_config config = {.shard_count = SHARDS,
                                    .actor_count_max = 256,
                                    .message_count_max = 1024,
                                    .inbox_capacity = 256,
                                    .clock_source = &clock_source_system,
                                    .log_level = LOG_ERROR,
                                    .io_new = make_io};
    struct runtime *runtime = NULL;
    int r;

    must(metrics_registry_new(&registry) == 0, "no registry");
    config.registry = registry;
    r = runtime_new(&config, &runtime);
    if (r == -EPERM || r == -ENOSYS)
        exit(SKIPPED);
    must(r == 0, "runtime_new failed");
    memset(players, 0, sizeof(players));
    memset(roots, 0, sizeof(roots));
    for (uint32_t i = 0; i < SHARDS; i++)
        must(supervisor_spawn(runtime_shard(runtime, i), &roots[i], &ROOT, ACTOR_ID_NONE) == 0,
             "a root did not start");
    for (uint32_t i = 0; i < PLAYERS; i++) {
        must(supervisor_start_child(&roots[i % SHARDS], &players[i].actor) == 0,
             "a player did not start");
        ids[i] = players[i].actor.id;
    }
    return runtime;
}

static void free_runtime(struct runtime **runtime)
{
    runtime_free(runtime);
    metrics_registry_free(&registry);
}

static void nap(void)
{
    static const struct timespec MILLISECOND = {.tv_nsec = 1000000};

    nanosleep(&MILLISECOND, NULL);
}

static void post(struct runtime *runtime, uint32_t index, uint16_t type, uint64_t token)
{
    while (runtime_post(runtime, ids[index], type, token, NULL, 0) == SEND_FULL)
        nap();
}

/* Gives up, and fails the program, when the count is not reached in time. */
static void await_finished(uint64_t count)
{
    for (uint32_t i = 0; i < DEADLINE_S * 1000; i++) {
        if (__atomic_load_n(&finished_count, __ATOMIC_RELAXED) == count)
            return;
        nap();
    }
    must(false, "the balls did not arrive: a message or a wake-up was lost");
}

static void pass_balls(void)
{
    struct runtime *runtime = new_runtime();
    uint64_t handled = 0;

    must(runtime_start(runtime) == 0, "runtime_start failed");
    for (uint32_t i = 0; i < 4; i++)
        post(runtime, i, BALL, HOPS);
    for (uint32_t i = 0; i < POSTS; i++)
        post(runtime, i % PLAYERS, BALL, 0);
    await_finished(4 + POSTS);
    runtime_stop(runtime);
    runtime_join(runtime);
    must(runtime_exit_code(runtime) == 0, "the exit code is not 0");
    for (uint32_t i = 0; i < PLAYERS; i++)
        handled += players[i].handled;
    must(handled == 4 * (HOPS + 1) + POSTS, "what was handled is not what was sent");
    free_runtime(&runtime);
}

/* One ball between sleeping shards: every hop is a park and a wake-up. */
static void wake_sleepers(void)
{
    struct runtime *runtime = new_runtime();

    finished_count = 0;
    must(runtime_start(runtime) == 0, "runtime_start failed");
    post(runtime, 0, BALL, HOPS);
    await_finished(1);
    runtime_stop(runtime);
    runtime_join(runtime);
    free_runtime(&runtime);
}

static void see_the_stuck(void)
{
    struct runtime *runtime = new_runtime();
    const struct heartbeat *heartbeat = &runtime_shard(runtime, 0)->internals->heartbeat;
    bool seen = false;

    must(runtime_start(runtime) == 0, "runtime_start failed");
    for (uint32_t i = 0; i < 500; i++)
        nap();
    must(heartbeat_stall_count(heartbeat) == 0, "a sleeping shard was reported");
    post(runtime, 0, STUCK, 0);
    for (uint32_t i = 0; i < DEADLINE_S * 1000 && !seen; i++) {
        nap();
        seen = heartbeat_stall_count(heartbeat) == 1;
    }
    must(seen, "the watchdog did not see a stuck handler");
    __atomic_store_n(&release_stuck, 1, __ATOMIC_RELAXED);
    runtime_fail(runtime, 74, "told to by another thread");
    runtime_join(runtime);
    must(runtime_exit_code(runtime) == 74, "the exit code is not 74");
    free_runtime(&runtime);
}

int main(void)
{
    pass_balls();
    wake_sleepers();
    see_the_stuck();
    return 0;
}

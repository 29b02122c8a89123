#include "runtime/shard.h"

#include <errno.h>

#include "runtime/internals.h"

/*
 * The loop. shard_turn() is the first function to read: each line is a phase, and
 * each phase is a function above it, in the same order.
 *
 * Panics. The phases that call handlers run under run_guarded(): actor_panic()
 * comes back to it, the actor at fault is crashed and the phase is called again. So
 * a phase keeps all its progress in shard_internals (bounds left, run queue) and the
 * backend and the wheel note a completion or an expiry before they call back. The
 * guard is armed once per phase, not once per message.
 *
 * Time. The shard's clock is read once per turn. The loop itself reads the source more
 * often, which a handler cannot see: after sixteen handlers, or after each one while
 * they take long, to end slices and to count the slow ones; and before it waits.
 *
 * Sleeping. Before it waits, the shard says that it is parked and looks at its
 * inboxes once more (see inbox.h); then it waits until the next timer, a completion,
 * or io_wake(). An idle shard with no timer armed sleeps for ever.
 */

enum {
    MESSAGES_PER_CLOCK_READ = 16,
    EXCHANGE_WORK = 32,        /* activations and messages between two looks at the inboxes */
    POURING_MIN = 64,          /* messages from peers between two sleeps: no sleep yet */
    AWAIT_LOOKS_MAX = 400,     /* at the inboxes, about 20 us */
    BLOCKED_WAIT_NS = 1000000, /* how soon to look again for a place in the message pool */
};

static void shard_check(const struct shard *shard)
{
    assert(shard->internals != NULL);
    assert(shard->internals->guard == NULL);
    assert(shard->internals->current == NULL);
    assert(shard->internals->in_hand == NULL);
}

void shard_schedule(struct shard *shard, struct actor *actor)
{
    if (list_is_empty(&actor->run_link))
        list_push_back(&shard->internals->run_queue, &actor->run_link);
}

struct actor *shard_find(struct shard *shard, struct actor_id id)
{
    return actor_table_find(&shard->internals->actors, id);
}

struct actor *shard_actor(struct shard *shard, struct actor_id id)
{
    struct actor *actor = shard_find(shard, id);

    return actor != NULL && actor->state == ACTOR_RUNNING ? actor : NULL;
}

void shard_add_turn_hook(struct shard *shard, struct turn_hook *hook)
{
    list_init(&hook->link);
    list_push_back(&shard->internals->turn_hooks, &hook->link);
}

void shard_end(struct shard *shard)
{
    shard->internals->ended = true;
}

static void begin_turn(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;

    clock_update(&shard->clock);
    internals->now_ns = shard->clock.mono_ns;
    internals->checked_activation = internals->activation_count + 1;
    internals->messages_to_check = MESSAGES_PER_CLOCK_READ;
    internals->reap_left = SHARD_REAP_MAX;
    internals->timers_left = SHARD_TIMER_FIRE_MAX;
    internals->run_left = SHARD_RUN_WORK_MAX;
    internals->exchange_at = SHARD_RUN_WORK_MAX - EXCHANGE_WORK;
    internals->counters.turns++;
    if (!internals->stop_seen && runtime_stop_is_wanted(shard->runtime)) {
        internals->stop_seen = true;
        actor_stop(shard, shard->root);
    }
    if (shard->clock.mono_ns - internals->metrics_updated_ns >= RUNTIME_METRICS_PERIOD_NS)
        shard_update_metrics(shard);
}

static void run_guarded(struct shard *shard, void (*phase)(struct shard *shard))
{
    jmp_buf guard;

    shard->internals->guard = &guard;
    if (_setjmp(guard) != 0)
        actor_settle_panic(shard);
    phase(shard);
    shard->internals->guard = NULL;
}

static void reap_completions(struct shard *shard)
{
    (void)io_reap(shard->io, shard->internals->reap_left);
}

static void drain_inbox(struct shard *shard, struct inbox *inbox)
{
    for (uint32_t i = 0; i < SHARD_INBOX_DRAIN_MAX; i++) {
        const struct message *msg = inbox_front(inbox);

        if (msg == NULL || !actor_accept(shard, msg))
            break;
        inbox_pop(inbox);
        shard->internals->drained_count++;
    }
    inbox_return(inbox);
}

static void drain_inboxes(struct shard *shard)
{
    struct runtime *runtime = shard->runtime;

    shard->internals->inbound_blocked = false;
    for (uint32_t from = 0; from <= runtime->shard_count; from++) {
        if (from != shard->index)
            drain_inbox(shard, runtime_inbox(runtime, shard->index, from));
    }
}

static void fire_timers(struct shard *shard)
{
    (void)timer_wheel_advance(&shard->timers, shard->clock.mono_ns, shard->internals->timers_left);
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint64_t read_now(const struct shard *shard)
{
    uint64_t mono_ns = 0;
    uint64_t unix_ms = 0;

    shard->clock.source->read(shard->clock.source, &mono_ns, &unix_ms);
    return mono_ns;
}

/* Who took long is known when no other actor ran since the clock was read before. */
static void count_slow(struct shard_internals *internals, const struct actor *actor)
{
    bool alone = internals->checked_activation == internals->activation_count;

    internals->types[alone ? actor->type_index : RUNTIME_TYPE_OTHER].slow++;
}

/* Reads the clock when enough handlers ran since; true when it did. */
static bool read_now_and_then(struct shard *shard, const struct actor *actor)
{
    struct shard_internals *internals = shard->internals;
    uint64_t now_ns;
    uint64_t elapsed_ns;

    if (likely(--internals->messages_to_check > 0))
        return false;
    now_ns = read_now(shard);
    elapsed_ns = now_ns - internals->now_ns;
    if (elapsed_ns >= SHARD_SLOW_NS)
        count_slow(internals, actor);
    internals->now_ns = now_ns;
    internals->checked_activation = internals->activation_count;
    internals->messages_to_check =
        elapsed_ns > SHARD_ACTOR_SLICE_NS / 2 ? 1 : MESSAGES_PER_CLOCK_READ;
    return true;
}

bool shard_slice_is_over(struct shard *shard, const struct actor *actor)
{
    struct shard_internals *internals = shard->internals;

    if (likely(!read_now_and_then(shard, actor)))
        return false;
    internals->run_left -= min_u32(internals->run_left, MESSAGES_PER_CLOCK_READ);
    return internals->now_ns - internals->activation_started_ns >= SHARD_ACTOR_SLICE_NS;
}

void shard_count_callback(struct shard *shard, const struct actor *actor)
{
    shard->internals->activation_count++;
    (void)read_now_and_then(shard, actor);
}

/* Not guarded itself: what the callbacks took is not held against the actors. */
static void begin_run_slice(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;

    if (list_is_empty(&internals->run_queue))
        return;
    internals->now_ns = read_now(shard);
    internals->run_started_ns = internals->now_ns;
    internals->checked_activation = internals->activation_count + 1;
    internals->messages_to_check = MESSAGES_PER_CLOCK_READ;
}

void shard_publish(struct shard *shard, uint32_t peer_index)
{
    struct runtime *runtime = shard->runtime;
    struct shard *peer = runtime->shards[peer_index];

    inbox_publish(runtime_inbox(runtime, peer_index, shard->index));
    shard->internals->outbound_dirty &= ~(UINT64_C(1) << peer_index);
    if (doorbell_ring(&peer->internals->doorbell)) {
        shard->internals->counters.wakes++;
        io_wake(peer->io);
    }
}

static void flush_outboxes(struct shard *shard)
{
    while (shard->internals->outbound_dirty != 0)
        shard_publish(shard, (uint32_t)__builtin_ctzll(shard->internals->outbound_dirty));
}

/* In the middle of a long run phase: other shards do not wait for its end. */
void shard_exchange(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;

    if (internals->run_left > internals->exchange_at)
        return;
    internals->exchange_at = internals->run_left - min_u32(internals->run_left, EXCHANGE_WORK);
    drain_inboxes(shard);
}

static void run_actors(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;

    while (!list_is_empty(&internals->run_queue) && internals->run_left > 0) {
        struct actor *actor = container_of(internals->run_queue.next, struct actor, run_link);

        if (internals->now_ns - internals->run_started_ns >= SHARD_RUN_SLICE_NS)
            return;
        /* Before the activation, which may take a whole slice. */
        if (internals->outbound_dirty != 0)
            flush_outboxes(shard);
        shard_exchange(shard);
        internals->run_left--;
        internals->activation_started_ns = internals->now_ns;
        internals->activation_count++;
        actor_activate(actor);
    }
}

static void hand_over_log(struct shard *shard)
{
    log_writer_hand_over(&shard->internals->log_writer);
}

static bool inbound_is_empty(const struct shard *shard)
{
    struct runtime *runtime = shard->runtime;

    for (uint32_t from = 0; from <= runtime->shard_count; from++) {
        if (inbox_has_message(runtime_inbox(runtime, shard->index, from)))
            return false;
    }
    return true;
}

/* The last look at the time in a turn: how long it took, and what the wait is reckoned from. */
static void end_turn(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;

    internals->now_ns = read_now(shard);
    if (shard->runtime->frozen)
        metrics_observe(&shard->metrics, shard->runtime->series.turn_time,
                        internals->now_ns - shard->clock.mono_ns);
}

/* How long there is nothing to do, leaving the inboxes aside. */
static uint64_t idle_ns(const struct shard *shard)
{
    const struct shard_internals *internals = shard->internals;
    uint64_t next_ns;

    if (internals->ended || !list_is_empty(&internals->run_queue) || internals->reap_left == 0)
        return 0;
    next_ns = timer_wheel_next_ns(&shard->timers);
    if (next_ns != UINT64_MAX)
        next_ns = next_ns > internals->now_ns ? next_ns - internals->now_ns : 0;
    return internals->inbound_blocked ? min_u64(BLOCKED_WAIT_NS, next_ns) : next_ns;
}

/*
 * While a peer pours messages in, to sleep and be woken costs both sides more than to
 * look again for some microseconds. Not after a few messages: waiting burns CPU time,
 * and completions wait meanwhile.
 */
static bool await_more(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;
    bool pouring = internals->drained_count >= POURING_MIN;

    internals->drained_count = 0;
    if (!pouring || internals->inbound_blocked)
        return false;
    for (uint32_t i = 0; i < AWAIT_LOOKS_MAX; i++) {
        (void)read_now(shard); /* some 50 ns in which the peers have the cache lines */
        if (!inbound_is_empty(shard)) {
            internals->drained_count = POURING_MIN;
            return true;
        }
    }
    return false;
}

static void submit_and_wait(struct shard *shard, bool may_wait)
{
    struct shard_internals *internals = shard->internals;
    uint64_t timeout_ns = may_wait ? idle_ns(shard) : 0;
    bool parked = false;
    int r;

    if (timeout_ns > 0 && await_more(shard))
        timeout_ns = 0;
    if (timeout_ns > 0) {
        doorbell_park(&internals->doorbell);
        parked = true;
        if (!internals->inbound_blocked && !inbound_is_empty(shard))
            timeout_ns = 0;
        else
            internals->counters.parks++;
    }
    r = io_wait(shard->io, timeout_ns);
    if (parked)
        doorbell_unpark(&internals->doorbell);
    if (r < 0)
        runtime_fail(shard->runtime, SHARD_EXIT_IO, "the I/O backend failed");
}

static void run_hooks(struct shard *shard)
{
    struct list_node *head = &shard->internals->turn_hooks;

    for (struct list_node *node = head->next; node != head; node = node->next) {
        struct turn_hook *hook = container_of(node, struct turn_hook, link);

        hook->on_turn_end(hook);
    }
}

bool shard_turn(struct shard *shard, bool may_wait)
{
    struct shard *outer = shard_of_thread;

    shard_check(shard);
    if (runtime_exit_code(shard->runtime) != 0 || shard->internals->ended)
        return false;
    shard_of_thread = shard;
    begin_turn(shard);
    run_guarded(shard, reap_completions);
    drain_inboxes(shard);
    run_guarded(shard, fire_timers);
    begin_run_slice(shard);
    run_guarded(shard, run_actors);
    run_hooks(shard);
    flush_outboxes(shard);
    hand_over_log(shard);
    end_turn(shard);
    submit_and_wait(shard, may_wait);
    shard_of_thread = outer;
    return !shard->internals->ended;
}

bool shard_is_running(uint16_t *ret_message_type)
{
    const struct shard *shard = shard_of_thread;
    const struct trace *trace;

    *ret_message_type = MSG_NONE;
    if (shard == NULL)
        return false;
    trace = &shard->internals->trace;
    if (trace->running)
        *ret_message_type = (uint16_t)trace_at(trace, 0)->message_type;
    return true;
}

bool shard_is_idle(const struct shard *shard)
{
    return list_is_empty(&shard->internals->run_queue) && inbound_is_empty(shard) &&
           timer_wheel_next_ns(&shard->timers) > shard->clock.mono_ns;
}

uint64_t shard_next_timer_ns(const struct shard *shard)
{
    return timer_wheel_next_ns(&shard->timers);
}

/* The backend takes the lines as long as it does; what it cannot is written at once. */
void shard_finish_log(struct shard *shard)
{
    const struct runtime_config *config = &shard->runtime->config;
    struct log_writer *writer = &shard->internals->log_writer;

    for (uint32_t i = 0; i < SHARD_LOG_FINISH_TURNS_MAX && !log_writer_cancel(writer); i++) {
        if (io_wait(shard->io, SHARD_RUN_SLICE_NS) < 0)
            break;
        (void)io_reap(shard->io, SHARD_REAP_MAX);
    }
    if (config->simulated || (config->hooks != NULL && config->hooks->log_out != NULL))
        log_writer_hand_over(writer);
    else
        log_writer_finish(writer);
}

static int init_tables(struct shard *shard)
{
    const struct runtime_config *config = &shard->runtime->config;
    struct shard_internals *internals = shard->internals;
    int r;

    r = actor_table_init(&internals->actors, shard->index, config->actor_count_max);
    if (r < 0)
        return r;
    return pool_init(&internals->messages, "messages", sizeof(struct message),
                     config->message_count_max);
}

int shard_init(struct shard *shard, struct runtime *runtime, uint32_t index)
{
    const struct runtime_config *config = &runtime->config;
    struct shard_internals *internals = shard->internals;

    assert(shard->io != NULL);
    assert(internals != NULL);
    shard->runtime = runtime;
    shard->index = index;
    list_init(&internals->turn_hooks);
    list_init(&internals->run_queue);
    clock_init(&shard->clock, config->clock_source);
    log_init(&shard->log, &shard->clock, config->log_level, config->log_format);
    metrics_init(&shard->metrics, config->registry);
    timer_wheel_init(&shard->timers, shard->clock.mono_ns);
    log_writer_init(&internals->log_writer, shard);
    if (config->simulated)
        rng_init_seed(&shard->rng, config->seed + index);
    else if (rng_init_system(&shard->rng) < 0)
        return -EIO;
    return init_tables(shard);
}

void shard_deinit(struct shard *shard)
{
    if (shard->internals->actors.rows != NULL)
        actor_table_deinit(&shard->internals->actors);
    pool_abandon(&shard->internals->messages);
    if (shard->io != NULL)
        io_free(&shard->io);
}

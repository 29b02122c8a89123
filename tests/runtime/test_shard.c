#include "runtime/shard.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "runtime/internals.h"
#include "runtime/limits.h"
#include "tests/support/probe.h"

/* One parent per shard as its root, under which the tests spawn. */
static struct probe parents[3], a, b;

static void new_shards(uint32_t shard_count)
{
    test_shards_new(shard_count);
    for (uint32_t i = 0; i < shard_count; i++)
        cr_assert(eq(int, probe_spawn(&parents[i], i, ACTOR_ID_NONE), 0));
}

static void spawn(struct probe *probe, uint32_t index)
{
    cr_assert(eq(int, probe_spawn(probe, index, parents[index].actor.id), 0));
}

static uint64_t counted(struct metric metric)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < test_shards.config.shard_count; i++) {
        shard_update_metrics(test_shard(i));
        sum += metrics_value(&test_shard(i)->metrics, metric);
    }
    return sum;
}

TestSuite(shard, .fini = test_shards_free, .timeout = 30);

Test(shard, carries_messages_to_another_shard_in_order)
{
    new_shards(2);
    spawn(&a, 1);
    for (uint64_t i = 0; i < 1000; i++) {
        while (probe_send(&parents[0], a.actor.id, PROBE_NOTE, i) == SEND_FULL)
            (void)test_shards_turn();
    }
    test_shards_settle();
    cr_assert(eq(u32, a.seen_count, 1000));
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert(eq(u64, a.seen[i], i));
    for (uint32_t i = 0; i < 2; i++)
        cr_expect(eq(u32, pool_used_count(&test_shard(i)->internals->messages), 0));
}

Test(shard, tells_the_sender_when_the_ring_is_full)
{
    new_shards(2);
    spawn(&a, 1);
    for (uint64_t i = 0; i < 64; i++)
        cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, i), SEND_OK));
    cr_expect(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, 64), SEND_FULL));
    test_shards_settle();
    cr_expect(eq(u32, a.seen_count, 64));
    cr_expect(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, 64), SEND_OK));
}

Test(shard, leaves_messages_in_the_ring_while_the_receivers_mailbox_is_full)
{
    new_shards(2);
    cr_assert(eq(
        int,
        actor_spawn(test_shard(1), &a.actor, &probe_small_type, PROBE_MAGIC, parents[1].actor.id),
        0));
    for (uint64_t i = 0; i < 64; i++)
        cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, i), SEND_OK));
    (void)shard_turn(test_shard(0), false);
    (void)shard_turn(test_shard(1), false);
    cr_expect(eq(u32, a.seen_count, 4));
    test_shards_settle();
    cr_assert(eq(u32, a.seen_count, 64));
    for (uint64_t i = 0; i < 64; i++)
        cr_assert(eq(u64, a.seen[i], i));
    cr_expect(eq(u64, test_shards.dead_count, 0));
}

Test(shard, leaves_messages_in_the_ring_while_its_pool_is_empty)
{
    struct message *held[32];

    test_shards.config.message_count_max = 32;
    new_shards(2);
    spawn(&a, 1);
    for (uint32_t i = 0; i < 32; i++)
        held[i] = actor_message(&a.actor, a.actor.id, PROBE_NOTE);
    cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, 5), SEND_OK));
    for (uint32_t i = 0; i < 5; i++)
        (void)test_shards_turn();
    cr_expect(eq(u32, a.seen_count, 0));
    for (uint32_t i = 0; i < 32; i++)
        actor_message_release(&a.actor, &held[i]);
    test_shards_settle();
    cr_expect(eq(u32, a.seen_count, 1));
}

Test(shard, makes_a_dead_letter_of_a_message_to_a_stale_id_on_another_shard)
{
    struct actor_id old;

    new_shards(2);
    spawn(&a, 1);
    old = a.actor.id;
    actor_stop(test_shard(1), old);
    test_shards_settle();
    cr_expect(eq(int, probe_send(&parents[0], old, PROBE_NOTE, 3), SEND_OK));
    test_shards_settle();
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_STALE_ID], 1));
}

Test(shard, refuses_a_shard_that_does_not_exist)
{
    struct actor_id nowhere = {UINT64_C(9) << 56 | 1};

    new_shards(2);
    cr_expect(eq(int, probe_send(&parents[0], nowhere, PROBE_NOTE, 3), SEND_DEAD));
    cr_expect(eq(u64, test_shards.dead_count, 1));
}

Test(shard, stops_an_actor_of_another_shard_by_message)
{
    new_shards(2);
    spawn(&a, 1);
    cr_expect(eq(int, probe_send(&parents[0], a.actor.id, MSG_STOP, 0), SEND_OK));
    test_shards_settle();
    cr_expect(eq(u32, a.stop_count, 1));
    cr_expect(eq(u32, a.free_count, 1));
}

Test(shard, takes_posts_from_the_boot_thread)
{
    uint64_t payload = 0x1122334455667788;

    new_shards(2);
    spawn(&a, 1);
    for (uint64_t i = 0; i < 64; i++)
        cr_assert(eq(int, runtime_post(test_shards.runtime, a.actor.id, PROBE_NOTE, i, &payload, 8),
                     SEND_OK));
    cr_expect(
        eq(int, runtime_post(test_shards.runtime, a.actor.id, PROBE_NOTE, 64, NULL, 0), SEND_FULL));
    test_shards_settle();
    cr_assert(eq(u32, a.seen_count, 64));
    cr_expect(eq(u64, a.seen[63], 63));
}

Test(shard, does_not_let_a_self_sender_delay_others)
{
    new_shards(1);
    spawn(&a, 0);
    spawn(&b, 0);
    cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_AGAIN, 0), SEND_OK));
    (void)test_shards_turn();
    a.seen_count = 0;
    for (uint64_t i = 0; i < 10; i++)
        cr_assert(eq(int, probe_send(&parents[0], b.actor.id, PROBE_NOTE, i), SEND_OK));
    (void)test_shards_turn();
    cr_expect(eq(u32, b.seen_count, 10));
    cr_expect(le(u32, a.seen_count, SHARD_RUN_WORK_MAX));
    actor_stop(test_shard(0), a.actor.id);
    test_shards_settle();
}

Test(shard, goes_on_with_timers_and_completions_after_one_of_them_panics)
{
    static struct probe many[200];

    new_shards(1);
    for (uint32_t i = 0; i < 200; i++) {
        spawn(&many[i], 0);
        actor_timer_start(&many[i].actor, &many[i].timer, 5);
        many[i].panics_on_timer = i % 3 == 0;
    }
    test_shards_advance_ms(5);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert(eq(u32, many[i].timer_count, 1));
        cr_assert(eq(u32, many[i].free_count, i % 3 == 0));
    }
    cr_expect(eq(u32, parents[0].exit_count, 67));
}

Test(shard, ends_with_its_root)
{
    new_shards(1);
    actor_stop(test_shard(0), parents[0].actor.id);
    test_shards_settle();
    cr_expect(not(shard_turn(test_shard(0), false)));
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), 0));
}

Test(shard, fails_the_runtime_when_its_root_crashes)
{
    new_shards(2);
    cr_assert(eq(int, probe_send(&parents[0], parents[0].actor.id, PROBE_PANIC, 0), SEND_OK));
    test_shards_settle();
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
    cr_expect(not(shard_turn(test_shard(1), false)));
}

Test(shard, keeps_the_first_failure_and_runs_no_further_turn)
{
    new_shards(2);
    runtime_fail(test_shards.runtime, 74, "the disk is gone");
    runtime_fail(test_shards.runtime, 70, "too late");
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), 74));
    cr_expect(not(shard_turn(test_shard(0), false)));
    cr_expect(not(shard_turn(test_shard(1), false)));
    cr_expect(ge(u32, test_shards.ios[1].wake_count, 1));
}

Test(shard, is_idle_exactly_when_nothing_is_to_do_at_this_instant)
{
    new_shards(2);
    spawn(&a, 0);
    test_shards_settle();
    cr_expect(shard_is_idle(test_shard(0)));
    cr_expect(eq(u64, shard_next_timer_ns(test_shard(0)), UINT64_MAX));
    actor_timer_start(&a.actor, &a.timer, 7);
    cr_expect(shard_is_idle(test_shard(0)));
    cr_expect(eq(u64, shard_next_timer_ns(test_shard(0)), test_shards.mono_ns + 7000000));
    cr_assert(eq(int, probe_send(&parents[1], a.actor.id, PROBE_NOTE, 0), SEND_OK));
    (void)shard_turn(test_shard(1), false);
    cr_expect(not(shard_is_idle(test_shard(0))));
    cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, 0), SEND_OK));
    test_shards_settle();
    cr_expect(shard_is_idle(test_shard(0)));
}

Test(shard, counts_messages_by_type_and_outcome)
{
    struct runtime_series *series;
    uint32_t row;

    new_shards(1);
    series = &test_shards.runtime->series;
    cr_assert(eq(
        int,
        actor_spawn(test_shard(0), &a.actor, &probe_small_type, PROBE_MAGIC, parents[0].actor.id),
        0));
    row = a.actor.type_index;
    runtime_freeze_metrics(test_shards.runtime);
    for (uint32_t i = 0; i < 5; i++)
        (void)!probe_send(&parents[0], a.actor.id, i == 3 ? PROBE_IGNORE : PROBE_NOTE, 0);
    cr_expect(eq(u64, counted(series->depth[row]), 4));
    test_shards_settle();
    cr_expect(eq(u64, counted(series->depth[row]), 0));
    cr_expect(eq(u64, counted(series->handled[row]), 3));
    cr_expect(eq(u64, counted(series->unhandled[row]), 1));
    cr_expect(eq(u64, counted(series->full[row]), 1));
    cr_expect(eq(u64, counted(series->dead_letters[DEAD_LETTER_UNHANDLED]), 1));
}

Test(shard, renders_its_series)
{
    static char text[512 * 1024];
    const struct metrics *blocks[1];

    new_shards(1);
    spawn(&a, 0);
    runtime_freeze_metrics(test_shards.runtime);
    cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, 0), SEND_OK));
    test_shards_settle();
    shard_update_metrics(test_shard(0));
    blocks[0] = &test_shard(0)->metrics;
    cr_assert(lt(i64, 0, metrics_render(test_shards.registry, blocks, 1, text, sizeof(text))));
    cr_expect(strstr(text, "weir_messages_total{actor=\"probe\",outcome=\"handled\"} 1\n") != NULL);
    cr_expect(strstr(text, "weir_actors 2\n") != NULL);
    cr_expect(strstr(text, "# TYPE weir_timer_lateness_seconds histogram") != NULL);
}

Test(shard, handles_dead_letters_and_what_is_left_with_senders_add_up_to_what_was_sent)
{
    enum { ACTORS = 12, ROUNDS = 40000 };
    static struct probe probes[ACTORS];
    struct rng rng;
    uint64_t tried = 0;
    uint64_t full = 0;
    uint64_t seen = 0;
    uint64_t dead = 0;

    test_shards.config.message_count_max = 64;
    test_shards.config.inbox_capacity = 16;
    new_shards(3);
    rng_init_seed(&rng, 42);
    for (uint32_t i = 0; i < ACTORS; i++)
        spawn(&probes[i], i % 3);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct probe *to = &probes[rng_below(&rng, ACTORS)];
        struct probe *from = &parents[rng_below(&rng, 3)];
        uint16_t type = PROBE_NOTE;

        if (rng_chance(&rng, 1, 50))
            type = (uint16_t)(PROBE_QUIT + rng_below(&rng, 4));
        tried++;
        if (probe_send(from, to->actor.id, type, 1) == SEND_FULL)
            full++;
        if (rng_chance(&rng, 1, 8))
            (void)shard_turn(test_shard((uint32_t)rng_below(&rng, 3)), false);
        if (to->actor.state == ACTOR_GONE)
            spawn(to, (uint32_t)(to - probes) % 3);
    }
    test_shards_settle();
    for (uint32_t i = 0; i < ACTORS; i++)
        seen += probes[i].seen_count;
    /* What receive() saw and still became a dead letter is in both counts. */
    dead = test_shards.dead_by_reason[DEAD_LETTER_STALE_ID] +
           test_shards.dead_by_reason[DEAD_LETTER_ACTOR_GONE] +
           test_shards.dead_by_reason[DEAD_LETTER_MAILBOX_FULL];
    cr_expect(eq(u64, tried, full + seen + dead));
    cr_expect(lt(u64, 0, full));
    cr_expect(lt(u64, 0, dead));
    for (uint32_t i = 0; i < 3; i++)
        cr_expect(eq(u32, pool_used_count(&test_shard(i)->internals->messages), 0));
}

Test(shard, keeps_the_order_of_each_pair_under_back_pressure)
{
    enum { SENDERS = 6, EACH = 5000 };
    static struct probe senders[SENDERS];
    static uint64_t next[SENDERS];
    static struct probe receivers[3];
    struct rng rng;
    uint32_t done = 0;

    test_shards.config.inbox_capacity = 16;
    new_shards(3);
    rng_init_seed(&rng, 5);
    for (uint32_t i = 0; i < SENDERS; i++)
        spawn(&senders[i], i % 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(eq(int,
                     actor_spawn(test_shard(i), &receivers[i].actor, &probe_small_type, PROBE_MAGIC,
                                 parents[i].actor.id),
                     0));
        receivers[i].checks_order = true;
    }
    while (done < SENDERS) {
        uint32_t i = (uint32_t)rng_below(&rng, SENDERS);
        struct probe *to = &receivers[next[i] % 3];

        if (next[i] == 3 * EACH)
            continue;
        if (probe_send(&senders[i], to->actor.id, PROBE_NOTE, (uint64_t)i << 32 | next[i]) ==
            SEND_OK)
            done += ++next[i] == 3 * EACH;
        if (rng_chance(&rng, 1, 4))
            (void)shard_turn(test_shard((uint32_t)rng_below(&rng, 3)), false);
    }
    test_shards_settle();
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect(eq(u32, receivers[i].seen_count, SENDERS * EACH));
        cr_expect(eq(u32, receivers[i].out_of_order, 0));
    }
}

Test(shard, keeps_a_trace_of_what_it_handled)
{
    struct trace *trace;

    new_shards(1);
    trace = &test_shard(0)->internals->trace;
    spawn(&a, 0);
    cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, 0), SEND_OK));
    cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_PANIC, 0), SEND_OK));
    test_shards_settle();
    cr_expect(not(trace->running));
    cr_assert(eq(u32, trace_count(trace), 3));
    cr_expect(eq(u32, trace_at(trace, 2)->message_type, PROBE_NOTE));
    cr_expect(eq(u32, trace_at(trace, 1)->message_type, PROBE_PANIC));
    cr_expect(eq(u64, trace_at(trace, 1)->actor_id, parents[0].last_exit.id.bits));
    cr_expect(eq(u32, trace_at(trace, 0)->message_type, MSG_EXIT));
}

/* Calls itself for ever; its tenth call lets the other shard's parent call probe a, too. */
static struct actor selfish;
static uint32_t selfish_count, selfish_count_at_call;

enum { SELFISH_MAGIC = 0x5e1f15 };

static int start_selfish(struct actor *self)
{
    (void)self;
    return 0;
}

static int receive_selfish(struct actor *self, const struct message *msg)
{
    struct message *next = actor_message(self, self->id, PROBE_NOTE);

    if (msg->type == MSG_STOP)
        return ACTOR_STOP;
    if (++selfish_count == 10) {
        cr_assert(eq(int, probe_send(&parents[1], a.actor.id, PROBE_NOTE, 0), SEND_OK));
        shard_publish(parents[1].actor.shard, self->shard->index);
    }
    if (a.seen_count == 0)
        selfish_count_at_call = selfish_count;
    cr_assert(next != NULL);
    cr_assert(eq(int, actor_send(self, &next), SEND_OK));
    return ACTOR_OK;
}

static const struct actor_type selfish_type = {
    .name = "selfish", .start = start_selfish, .receive = receive_selfish};

Test(shard, lets_who_is_called_by_a_peer_run_before_who_calls_himself)
{
    struct message *msg;

    new_shards(2);
    spawn(&a, 0);
    cr_assert(
        eq(int,
           actor_spawn(test_shard(0), &selfish, &selfish_type, SELFISH_MAGIC, parents[0].actor.id),
           0));
    msg = actor_message(&selfish, selfish.id, PROBE_NOTE);
    cr_assert(eq(int, actor_send(&selfish, &msg), SEND_OK));
    (void)shard_turn(test_shard(0), false);
    cr_expect(eq(u32, a.seen_count, 1));
    cr_expect(eq(u32, selfish_count_at_call, SHARD_ACTOR_BATCH_MAX));
    cr_expect(lt(u32, SHARD_ACTOR_BATCH_MAX, selfish_count));
}

struct hook_probe {
    struct turn_hook hook;
    uint32_t call_count;
};

static void count_call(struct turn_hook *hook)
{
    container_of(hook, struct hook_probe, hook)->call_count++;
}

Test(shard, calls_its_hooks_once_at_the_end_of_each_turn)
{
    struct hook_probe first = {.hook.on_turn_end = count_call};
    struct hook_probe second = {.hook.on_turn_end = count_call};

    new_shards(1);
    shard_add_turn_hook(test_shard(0), &first.hook);
    shard_add_turn_hook(test_shard(0), &second.hook);
    for (uint32_t i = 0; i < 3; i++)
        (void)shard_turn(test_shard(0), false);
    cr_expect(eq(u32, first.call_count, 3));
    cr_expect(eq(u32, second.call_count, 3));
}

Test(shard, adds_its_lines_to_the_limits)
{
    struct limits limits;

    new_shards(2);
    limits_init(&limits);
    runtime_add_limits(&test_shards.config, &limits);
    cr_expect(ge(u32, limits.line_count, 4));
    cr_expect(ge(u64, limits_total(&limits), UINT64_C(2) * 4096 * sizeof(struct message)));
}

Test(shard, counts_a_handler_that_takes_a_millisecond_under_its_own_type)
{
    struct type_counters *types;

    new_shards(1);
    types = test_shard(0)->internals->types;
    a.takes_ns = 2000000;
    spawn(&a, 0);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert(eq(int, probe_send(&parents[0], a.actor.id, PROBE_NOTE, i), SEND_OK));
    (void)shard_turn(test_shard(0), false);
    cr_expect(eq(u64, types[a.actor.type_index].slow, 1));
    cr_expect(eq(u32, a.seen_count, 16)); /* then its slice was over */
    test_shards_settle();
    cr_expect(eq(u32, a.seen_count, 40));
}

#include "runtime/actor.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "runtime/internals.h"
#include "tests/support/probe.h"

/* parent is the root: probes under it are let go when they end. */
static struct probe parent, a, b;

static void setup(void)
{
    test_shards_new(1);
    cr_assert(eq(int, probe_spawn(&parent, 0, ACTOR_ID_NONE), 0));
}

static void teardown(void)
{
    test_shards_free();
}

static void spawn(struct probe *probe)
{
    cr_assert(eq(int, probe_spawn(probe, 0, parent.actor.id), 0));
}

static void tell(struct probe *probe, uint16_t type, uint64_t token)
{
    cr_assert(eq(int, probe_send(&parent, probe->actor.id, type, token), SEND_OK));
}

static uint32_t messages_in_use(void)
{
    return pool_used_count(&test_shard(0)->internals->messages);
}

TestSuite(actor, .init = setup, .fini = teardown, .timeout = 20);

Test(actor, receives_what_was_sent_in_order)
{
    spawn(&a);
    for (uint64_t i = 0; i < 200; i++)
        tell(&a, PROBE_NOTE, i);
    test_shards_settle();
    cr_assert(eq(u32, a.seen_count, 200));
    for (uint64_t i = 0; i < 200; i++)
        cr_assert(eq(u64, a.seen[i], i));
    cr_expect(eq(u32, messages_in_use(), 0));
}

Test(actor, tells_the_sender_when_the_mailbox_is_full_and_leaves_the_message)
{
    struct message *msg;

    cr_assert(eq(
        int, actor_spawn(test_shard(0), &a.actor, &probe_small_type, PROBE_MAGIC, parent.actor.id),
        0));
    for (uint64_t i = 0; i < 4; i++)
        tell(&a, PROBE_NOTE, i);
    msg = actor_message(&parent.actor, a.actor.id, PROBE_NOTE);
    cr_assert(ne(ptr, msg, NULL));
    cr_expect(eq(int, actor_send(&parent.actor, &msg), SEND_FULL));
    cr_assert(ne(ptr, msg, NULL));
    test_shards_settle();
    cr_expect(eq(int, actor_send(&parent.actor, &msg), SEND_OK));
    cr_expect(eq(ptr, msg, NULL));
    test_shards_settle();
    cr_expect(eq(u32, a.seen_count, 5));
}

Test(actor, gives_no_message_when_the_pool_is_empty)
{
    struct message *held[4096];

    for (uint32_t i = 0; i < 4096; i++) {
        held[i] = actor_message(&parent.actor, parent.actor.id, PROBE_NOTE);
        cr_assert(ne(ptr, held[i], NULL));
    }
    cr_expect(eq(ptr, actor_message(&parent.actor, parent.actor.id, PROBE_NOTE), NULL));
    for (uint32_t i = 0; i < 4096; i++)
        actor_message_release(&parent.actor, &held[i]);
    cr_expect(eq(u32, messages_in_use(), 0));
}

Test(actor, turns_a_send_to_an_ended_actor_into_a_dead_letter)
{
    struct actor_id old;

    spawn(&a);
    old = a.actor.id;
    tell(&a, PROBE_QUIT, 0);
    test_shards_settle();
    cr_expect(eq(u32, a.free_count, 1));
    cr_expect(eq(int, probe_send(&parent, old, PROBE_NOTE, 77), SEND_DEAD));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_STALE_ID], 1));
    cr_expect(eq(u64, test_shards.last_dead.token, 77));
    cr_expect(eq(u32, messages_in_use(), 0));
}

Test(actor, keeps_no_dead_letter_of_a_droppable_message_but_counts_it)
{
    struct actor_id old;
    struct message *msg;

    spawn(&a);
    old = a.actor.id;
    tell(&a, PROBE_QUIT, 0);
    test_shards_settle();
    msg = actor_message(&parent.actor, old, PROBE_NOTE);
    msg->flags = MESSAGE_DROPPABLE;
    cr_expect(eq(int, actor_send(&parent.actor, &msg), SEND_DEAD));
    cr_expect(eq(u64, test_shards.dead_count, 0));
    cr_expect(eq(u64, test_shard(0)->internals->types[RUNTIME_TYPE_OTHER].dead, 1));
}

Test(actor, does_not_find_an_old_id_in_a_row_that_is_used_again)
{
    struct actor_id old;

    spawn(&a);
    old = a.actor.id;
    for (uint32_t i = 0; i < 3 * 4096; i++) {
        tell(&a, PROBE_QUIT, 0);
        test_shards_settle();
        cr_assert(eq(ptr, shard_actor(test_shard(0), old), NULL));
        spawn(&a);
    }
    cr_expect(eq(u32, a.free_count, 3 * 4096));
}

Test(actor, never_finds_anything_under_random_ids)
{
    struct rng *rng = &test_shard(0)->rng;
    uint64_t dead_count = 0;

    spawn(&a);
    for (uint32_t i = 0; i < 1000000; i++) {
        struct actor_id id = {rng_next(rng)};

        if (i % 2 == 0)
            id.bits &= 0x3ffffff; /* this shard, and a row that exists */
        if (actor_id_equal(id, a.actor.id) || actor_id_equal(id, parent.actor.id))
            continue;
        cr_assert(eq(ptr, shard_actor(test_shard(0), id), NULL));
        cr_assert(eq(int, probe_send(&parent, id, PROBE_NOTE, 0), SEND_DEAD));
        dead_count++;
    }
    cr_expect(eq(u64, test_shards.dead_count, dead_count));
    cr_expect(eq(u32, messages_in_use(), 0));
    cr_expect(eq(u32, a.seen_count, 0));
}

Test(actor, makes_dead_letters_of_what_waits_when_it_ends)
{
    spawn(&a);
    tell(&a, PROBE_QUIT, 1);
    tell(&a, PROBE_NOTE, 2);
    tell(&a, PROBE_NOTE, 3);
    test_shards_settle();
    cr_expect(eq(u32, a.seen_count, 1));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_ACTOR_GONE], 2));
    cr_expect(eq(u32, messages_in_use(), 0));
}

Test(actor, tells_its_supervisor_how_it_ended)
{
    struct actor_id id;

    spawn(&a);
    id = a.actor.id;
    tell(&a, PROBE_FAIL, 0);
    test_shards_settle();
    cr_assert(eq(u32, parent.exit_count, 1));
    cr_expect(eq(u64, parent.last_exit.id.bits, id.bits));
    cr_expect(eq(int, parent.last_exit.reason, EXIT_ERROR));
    cr_expect(eq(int, parent.last_exit.error, -EPROTO));
    spawn(&b);
    tell(&b, PROBE_PANIC, 0);
    test_shards_settle();
    cr_expect(eq(int, parent.last_exit.reason, EXIT_PANIC));
    cr_expect(eq(str, (char *)parent.last_exit.text, "told to"));
}

Test(actor, counts_a_message_nobody_wants_as_a_dead_letter)
{
    spawn(&a);
    tell(&a, PROBE_IGNORE, 9);
    test_shards_settle();
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_UNHANDLED], 1));
    cr_expect(eq(int, a.actor.state, ACTOR_RUNNING));
    cr_expect(eq(u32, messages_in_use(), 0));
}

Test(actor, stops_when_asked_before_it_handles_what_waits)
{
    spawn(&a);
    for (uint64_t i = 0; i < 200; i++)
        tell(&a, PROBE_NOTE, i);
    actor_stop(test_shard(0), a.actor.id);
    test_shards_settle();
    cr_expect(eq(u32, a.stop_count, 1));
    cr_expect(eq(u32, a.seen_count, 0));
    cr_expect(eq(int, parent.last_exit.reason, EXIT_SHUTDOWN));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_ACTOR_GONE], 200));
}

Test(actor, stops_a_flooded_self_sender_within_one_turn)
{
    spawn(&a);
    tell(&a, PROBE_AGAIN, 0);
    (void)test_shards_turn();
    cr_expect(lt(u32, 0, a.seen_count));
    actor_stop(test_shard(0), a.actor.id);
    (void)test_shards_turn();
    cr_expect(eq(u32, a.free_count, 1));
}

Test(actor, that_leaves_the_stop_message_alone_is_stopped_at_once)
{
    a.leaves_stop = true;
    spawn(&a);
    actor_stop(test_shard(0), a.actor.id);
    test_shards_settle();
    cr_expect(eq(u32, a.free_count, 1));
    cr_expect(eq(int, parent.last_exit.reason, EXIT_SHUTDOWN));
}

Test(actor, may_finish_its_work_after_it_was_asked_to_stop)
{
    a.ignores_stop = true;
    spawn(&a);
    actor_stop(test_shard(0), a.actor.id);
    tell(&a, PROBE_NOTE, 5);
    test_shards_settle();
    cr_expect(eq(u32, a.seen_count, 1));
    cr_expect(eq(int, a.actor.state, ACTOR_RUNNING));
    tell(&a, PROBE_QUIT, 6);
    test_shards_settle();
    cr_expect(eq(int, parent.last_exit.reason, EXIT_SHUTDOWN));
}

Test(actor, waits_for_its_armed_operations_before_it_is_released)
{
    spawn(&a);
    tell(&a, PROBE_ARM, 0);
    test_shards_settle();
    tell(&a, PROBE_FAIL, 0);
    (void)test_shards_turn();
    cr_expect(eq(int, a.op.state, IO_OP_CANCELLING));
    cr_expect(eq(u32, a.release_count, 0));
    test_shards_settle();
    cr_expect(eq(u32, a.release_count, 1));
    cr_expect(eq(u32, a.free_count, 1));
    cr_expect(eq(u32, a.io_count, 0));
}

Test(actor, gives_back_what_a_late_completion_carries)
{
    static const struct io_result DATA = {.value = 10, .more = true, .buffer_index = 3};
    struct io *io;

    spawn(&a);
    io = test_shard(0)->io;
    io_recv(io, &a.op, 5);
    actor_stop(test_shard(0), a.actor.id);
    (void)test_shards_turn();
    io_op_complete(io, &a.op, &DATA);
    cr_expect(eq(u32, test_shards.ios[0].released_buffers, 1));
    cr_expect(eq(u32, a.io_count, 0));
    test_shards_settle();
    cr_expect(eq(u32, a.free_count, 1));
}

Test(actor, receives_completions_and_timers_at_once)
{
    static const struct io_result DONE = {.value = 4};

    spawn(&a);
    tell(&a, PROBE_ARM, 0);
    tell(&a, PROBE_TIMER, 20);
    test_shards_settle();
    cr_assert(test_io_complete(0, &DONE));
    cr_expect(eq(u32, a.io_count, 1));
    cr_expect(eq(int, a.last_io_value, 4));
    test_shards_advance_ms(19);
    cr_expect(eq(u32, a.timer_count, 0));
    test_shards_advance_ms(1);
    cr_expect(eq(u32, a.timer_count, 1));
}

Test(actor, has_no_timer_left_once_it_ends)
{
    spawn(&a);
    tell(&a, PROBE_TIMER, 20);
    test_shards_settle();
    cr_expect(eq(u64, test_shard(0)->timers.armed_count, 1));
    tell(&a, PROBE_PANIC, 0);
    test_shards_settle();
    cr_expect(eq(u64, test_shard(0)->timers.armed_count, 0));
    test_shards_advance_ms(30);
    cr_expect(eq(u32, a.timer_count, 0));
}

Test(actor, that_panics_does_not_disturb_its_neighbours)
{
    spawn(&a);
    spawn(&b);
    for (uint64_t i = 0; i < 50; i++)
        tell(&b, PROBE_NOTE, i);
    tell(&a, PROBE_NOTE, 1);
    tell(&a, PROBE_PANIC, 2);
    tell(&a, PROBE_NOTE, 3);
    for (uint64_t i = 50; i < 100; i++)
        tell(&b, PROBE_NOTE, i);
    test_shards_settle();
    cr_assert(eq(u32, b.seen_count, 100));
    for (uint64_t i = 0; i < 100; i++)
        cr_assert(eq(u64, b.seen[i], i));
    cr_expect(eq(u32, a.seen_count, 2));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_CRASHED], 1));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_ACTOR_GONE], 1));
}

Test(actor, leaks_nothing_in_a_hundred_thousand_panics)
{
    for (uint32_t i = 0; i < 100000; i++) {
        spawn(&a);
        io_poll(test_shard(0)->io, &a.op, 0, 1);
        actor_timer_start(&a.actor, &a.timer, 1000);
        tell(&a, PROBE_PANIC, i);
        tell(&a, PROBE_NOTE, i);
        test_shards_settle();
        cr_assert(eq(u32, a.free_count, i + 1));
    }
    cr_expect(eq(u32, a.release_count, 100000));
    cr_expect(eq(u32, messages_in_use(), 0));
    cr_expect(eq(u32, test_shard(0)->internals->actors.used_count, 1));
    cr_expect(eq(u64, test_shard(0)->timers.armed_count, 0));
    cr_expect(eq(u32, test_shard(0)->io->armed_count, 0));
}

Test(actor, goes_on_with_its_end_when_its_release_panics)
{
    a.release_panics = true;
    spawn(&a);
    tell(&a, PROBE_QUIT, 0);
    test_shards_settle();
    cr_expect(eq(u32, a.release_count, 1));
    cr_expect(eq(u32, a.free_count, 1));
    cr_expect(eq(int, parent.last_exit.reason, EXIT_NORMAL));
}

Test(actor, that_cannot_start_leaves_its_memory_with_the_caller)
{
    a.start_result = -ENOSPC;
    cr_expect(eq(int, probe_spawn(&a, 0, parent.actor.id), -ENOSPC));
    cr_expect(eq(int, a.actor.state, ACTOR_NEW));
    cr_expect(eq(u32, a.release_count, 1));
    cr_expect(eq(u32, a.free_count, 0));
    a.start_result = 0;
    a.start_panics = true;
    cr_expect(eq(int, probe_spawn(&a, 0, parent.actor.id), -ENOTRECOVERABLE));
    a.start_panics = false;
    spawn(&a);
    tell(&a, PROBE_NOTE, 1);
    test_shards_settle();
    cr_expect(eq(u32, a.seen_count, 1));
    cr_expect(eq(u32, parent.exit_count, 0));
}

Test(actor, that_fails_to_start_with_operations_armed_ends_as_a_crash)
{
    a.start_arms = true;
    a.start_result = -ENOSPC;
    cr_expect(eq(int, probe_spawn(&a, 0, parent.actor.id), 0));
    test_shards_settle();
    cr_expect(eq(u32, parent.exit_count, 1));
    cr_expect(eq(int, parent.last_exit.error, -ENOSPC));
    cr_expect(eq(u32, a.free_count, 1));
}

Test(actor, table_that_is_full_refuses_one_more)
{
    static struct probe many[4095];
    static struct probe one_more;

    for (uint32_t i = 0; i < 4095; i++)
        spawn(&many[i]);
    cr_expect(eq(int, probe_spawn(&one_more, 0, parent.actor.id), -EAGAIN));
    tell(&many[17], PROBE_QUIT, 0);
    test_shards_settle();
    cr_expect(eq(int, probe_spawn(&one_more, 0, parent.actor.id), 0));
}

Test(actor, cast_aborts_on_the_wrong_type, .signal = SIGABRT)
{
    spawn(&a);
    (void)actor_cast_check(&a.actor, PROBE_MAGIC + 1);
}

Test(actor, panic_outside_of_every_handler_ends_the_process, .signal = SIGABRT)
{
    actor_panic("nobody to crash");
}

Test(actor, has_a_name_for_every_state_and_reason)
{
    for (int i = ACTOR_NEW; i <= ACTOR_GONE; i++)
        cr_expect(ne(str, (char *)actor_state_name(i), "unknown"));
    for (int i = EXIT_NORMAL; i <= EXIT_KILLED; i++)
        cr_expect(ne(str, (char *)exit_reason_name(i), "unknown"));
    for (int i = 0; i < DEAD_LETTER_REASON_COUNT; i++)
        cr_expect(ne(str, (char *)dead_letter_reason_name(i), "unknown"));
}

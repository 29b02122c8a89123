#include "actors/outbox.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/internals.h"
#include "tests/support/probe.h"

enum { OWNER_MAGIC = 0x0a7b0c01, SMALL_MAILBOX = 4, SENT_COUNT = 11 };

/* An actor that only sends. */
struct owner {
    struct actor actor;
    struct outbox outbox;
};

static int start(struct actor *self)
{
    outbox_init(&container_of(self, struct owner, actor)->outbox, self);
    return 0;
}

static int receive(struct actor *self, const struct message *msg)
{
    struct owner *owner = ACTOR_CAST(self, struct owner, OWNER_MAGIC);

    if (msg->type != MSG_TIMER)
        return ACTOR_UNHANDLED;
    return outbox_on_timer(&owner->outbox, self, msg->as.timer.timer) ? ACTOR_OK : ACTOR_UNHANDLED;
}

static const struct actor_type owner_type = {.name = "owner", .start = start, .receive = receive};

static struct owner owner;
static struct probe receiver;

static void setup(void)
{
    test_shards_new(2);
    memset(&owner, 0, sizeof(owner));
    memset(&receiver, 0, sizeof(receiver));
    cr_assert(eq(int,
                 actor_spawn(runtime_shard(test_shards.runtime, 0), &owner.actor, &owner_type,
                             OWNER_MAGIC, ACTOR_ID_NONE),
                 0));
}

static void teardown(void)
{
    test_shards_free();
}

static void spawn_receiver(uint32_t shard_index)
{
    cr_assert(eq(int,
                 actor_spawn(runtime_shard(test_shards.runtime, shard_index), &receiver.actor,
                             &probe_small_type, PROBE_MAGIC, ACTOR_ID_NONE),
                 0));
}

static void send_all(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        outbox_send(&owner.outbox, &owner.actor, receiver.actor.id, PROBE_NOTE, i, NULL);
}

static uint32_t messages_in_use(uint32_t shard_index)
{
    return pool_used_count(&runtime_shard(test_shards.runtime, shard_index)->internals->messages);
}

TestSuite(outbox, .init = setup, .fini = teardown, .timeout = 20);

Test(outbox, keeps_what_a_full_mailbox_of_its_own_shard_does_not_take)
{
    spawn_receiver(0);
    send_all(SENT_COUNT);
    test_shards_settle();
    cr_expect(eq(u32, receiver.seen_count, SMALL_MAILBOX));
    cr_expect(eq(u32, messages_in_use(0), SENT_COUNT - SMALL_MAILBOX));
    test_shards_advance_ms(OUTBOX_RETRY_MS);
    cr_expect(eq(u32, receiver.seen_count, 2 * SMALL_MAILBOX));
    test_shards_advance_ms(OUTBOX_RETRY_MS);
    cr_assert(eq(u32, receiver.seen_count, SENT_COUNT));
    for (uint64_t i = 0; i < SENT_COUNT; i++)
        cr_expect(eq(u64, receiver.seen[i], i));
    cr_expect(eq(u32, messages_in_use(0), 0));
}

Test(outbox, sends_behind_what_it_keeps)
{
    spawn_receiver(0);
    send_all(SMALL_MAILBOX + 2);
    test_shards_settle();
    outbox_send(&owner.outbox, &owner.actor, receiver.actor.id, PROBE_NOTE, 100, NULL);
    test_shards_settle();
    cr_expect(eq(u32, receiver.seen_count, SMALL_MAILBOX), "there was room, but two came first");
    test_shards_advance_ms(OUTBOX_RETRY_MS);
    cr_assert(eq(u32, receiver.seen_count, SMALL_MAILBOX + 3));
    cr_expect(eq(u64, receiver.seen[SMALL_MAILBOX + 2], 100));
}

Test(outbox, keeps_what_a_full_ring_to_a_peer_does_not_take)
{
    uint64_t count = test_shards.runtime->config.inbox_capacity + (uint64_t)SENT_COUNT;

    spawn_receiver(1);
    send_all(count);
    cr_expect(eq(u32, messages_in_use(0), SENT_COUNT));
    test_shards_advance_ms(1000);
    cr_assert(eq(u32, receiver.seen_count, count));
    for (uint64_t i = 0; i < count; i++)
        cr_assert(eq(u64, receiver.seen[i], i));
}

Test(outbox, lets_go_of_what_is_for_an_actor_that_ended)
{
    spawn_receiver(0);
    send_all(SENT_COUNT);
    actor_kill(&receiver.actor);
    test_shards_settle();
    test_shards_advance_ms(OUTBOX_RETRY_MS);
    cr_expect(eq(u32, messages_in_use(0), 0));
    cr_expect(eq(u64, test_shards.dead_count, 0), "they may be dropped");
}

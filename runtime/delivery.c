/*
 * Delivery: how messages, completions and timers get to an actor's receive().
 *
 *     actor_send() --same shard--> mailbox --run queue--> actor_activate()
 *          \--other shard--> ring --> actor_accept() --> mailbox
 *     io_reap(), timer_wheel_advance(), supervision --> actor_deliver(), at once
 *
 * A message from a pool is always in exactly one place: with its sender, in a
 * mailbox, or in hand; from there it is handled or becomes a dead letter, and
 * returns to the pool. What crosses to another shard is copied into the ring.
 *
 * Back-pressure between shards: a message whose receiver's mailbox is full, or for
 * which there is no place in the pool, stays in the ring; when the ring is full the
 * sender is told. This cannot lock up: no handler ever waits, so a running actor with
 * a full mailbox is in the run queue and empties it. Only an actor that is down does
 * not; what comes for it when its mailbox is full becomes a dead letter, lest it hold
 * up everybody behind it.
 */
#include <errno.h>

#include "runtime/sim_point.h"

#include "runtime/internals.h"

static struct type_counters *counters_of(const struct actor *actor)
{
    return &actor->shard->internals->types[actor->type_index];
}

static void release_message(struct shard *shard, struct message **msg)
{
    pool_release(&shard->internals->messages, (void **)msg);
}

/* Records msg as dead; it stays the caller's. actor is NULL when the id is stale. */
static void bury(struct shard *shard, const struct message *msg, enum dead_letter_reason reason,
                 const struct actor *actor)
{
    bool expected = reason == DEAD_LETTER_STALE_ID || reason == DEAD_LETTER_ACTOR_GONE;

    shard->internals->types[actor != NULL ? actor->type_index : RUNTIME_TYPE_OTHER].dead++;
    if (expected && (msg->flags & MESSAGE_DROPPABLE) != 0)
        return;
    dead_letter_record(shard, msg, reason, actor != NULL ? actor->type->name : NULL);
}

struct message *actor_message(struct actor *self, struct actor_id to, uint16_t type)
{
    struct message *msg = pool_acquire(&self->shard->internals->messages);

    if (msg != NULL)
        message_init(msg, self->id, to, type);
    return msg;
}

void actor_message_release(struct actor *self, struct message **msg)
{
    release_message(self->shard, msg);
}

/* Puts msg into the mailbox of a known actor. */
static enum send_result push_message(struct actor *to, struct message **msg)
{
    /* Only while the receiver runs: it makes room, and whoever was refused tries again. */
    if (to->state == ACTOR_RUNNING && FAILPOINT("a mailbox is full"))
        return SEND_FULL;
    switch (mailbox_push(&to->mailbox, msg)) {
    case MAILBOX_OK:
        counters_of(to)->depth++;
        if (to->state == ACTOR_RUNNING)
            shard_schedule(to->shard, to);
        return SEND_OK;
    case MAILBOX_FULL:
        return SEND_FULL;
    case MAILBOX_CLOSED:
        break;
    }
    return SEND_DEAD;
}

static enum send_result send_here(struct shard *shard, struct message **msg)
{
    struct actor *to = actor_table_find(&shard->internals->actors, (*msg)->to);
    enum send_result result;

    if (unlikely(to == NULL)) {
        SOMETIMES("a message comes for an actor that is gone");
        bury(shard, *msg, DEAD_LETTER_STALE_ID, NULL);
        release_message(shard, msg);
        return SEND_DEAD;
    }
    if (unlikely((*msg)->type == MSG_STOP)) {
        actor_request_stop(to);
        release_message(shard, msg);
        return SEND_OK;
    }
    result = push_message(to, msg);
    if (result == SEND_FULL)
        counters_of(to)->full++;
    assert(result != SEND_DEAD); /* a closed mailbox has no id any more */
    return result;
}

static enum send_result send_there(struct shard *shard, uint32_t peer_index, struct message **msg)
{
    struct inbox *inbox = runtime_inbox(shard->runtime, peer_index, shard->index);

    if (FAILPOINT("a ring to a peer is full") || !inbox_push(inbox, *msg)) {
        SOMETIMES("a ring to a peer takes no more");
        shard_publish(shard, peer_index);
        shard->internals->types[RUNTIME_TYPE_OTHER].full++;
        return SEND_FULL;
    }
    release_message(shard, msg);
    shard->internals->outbound_dirty |= UINT64_C(1) << peer_index;
    if (inbox_unpublished_count(inbox) >= INBOX_BATCH_MAX)
        shard_publish(shard, peer_index);
    return SEND_OK;
}

enum send_result actor_send(struct actor *self, struct message **msg)
{
    struct shard *shard = self->shard;
    uint32_t peer_index = actor_id_shard((*msg)->to);

    assert((*msg)->type != MSG_NONE);
    (*msg)->sent_ns = shard->clock.mono_ns;
    if (likely(peer_index == shard->index))
        return send_here(shard, msg);
    if (likely(peer_index < shard->runtime->shard_count))
        return send_there(shard, peer_index, msg);
    bury(shard, *msg, DEAD_LETTER_STALE_ID, NULL);
    release_message(shard, msg);
    return SEND_DEAD;
}

/* True: settled one way or the other. False: no place, leave it in the ring. */
static bool accept_for(struct actor *to, const struct message *msg)
{
    struct shard *shard = to->shard;
    struct message *copy;
    enum send_result result;

    copy = FAILPOINT("no message is free for that of a peer")
               ? NULL
               : pool_acquire(&shard->internals->messages);
    if (copy == NULL) {
        SOMETIMES("a peer's message waits for a place");
        shard->internals->inbound_blocked = true;
        return false;
    }
    *copy = *msg;
    copy->next = NULL;
    result = push_message(to, &copy);
    if (result == SEND_OK)
        return true;
    release_message(shard, &copy);
    if (to->state == ACTOR_RUNNING) {
        SOMETIMES("a peer's message waits before a full mailbox");
        return false;
    }
    bury(shard, msg, DEAD_LETTER_MAILBOX_FULL, to);
    return true;
}

bool actor_accept(struct shard *shard, const struct message *msg)
{
    struct actor *to = actor_table_find(&shard->internals->actors, msg->to);

    if (to == NULL) {
        SOMETIMES("a peer's message comes for an actor that is gone");
        bury(shard, msg, DEAD_LETTER_STALE_ID, NULL);
        return true;
    }
    if (msg->type == MSG_STOP) {
        actor_request_stop(to);
        return true;
    }
    return accept_for(to, msg);
}

/* May leave by longjmp; then current and in_hand still say what was going on. */
static int call_receive(struct actor *self, const struct message *msg)
{
    struct shard_internals *internals = self->shard->internals;
    int verdict;

    assert(self->state == ACTOR_RUNNING);
    internals->current = self;
    heartbeat_enter(&internals->heartbeat, self->type, msg->type);
    trace_begin(&internals->trace, self->shard->clock.mono_ns, self->id.bits, self->type->name,
                msg->type);
    verdict = self->type->receive(self, msg);
    trace_end(&internals->trace);
    heartbeat_leave(&internals->heartbeat);
    internals->current = NULL;
    assert(verdict <= ACTOR_UNHANDLED);
    return verdict;
}

static void apply_verdict(struct actor *self, int verdict)
{
    if (likely(verdict == ACTOR_OK) || verdict == ACTOR_UNHANDLED)
        return;
    if (self->state != ACTOR_RUNNING)
        return; /* it had itself killed meanwhile */
    if (verdict == ACTOR_STOP)
        actor_end_normally(self);
    else
        actor_crash(self, EXIT_ERROR, verdict, NULL);
}

int actor_deliver(struct actor *self, const struct message *msg)
{
    int verdict = call_receive(self, msg);

    shard_count_callback(self->shard, self);
    apply_verdict(self, verdict);
    return verdict;
}

/* The message was in hand when its actor crashed: once more, or never again. */
static void settle_in_hand(struct actor *self, struct message *msg)
{
    uint32_t redeliver_max = self->type->redeliver_max;

    if (msg->crash_count < redeliver_max) {
        msg->crash_count++;
        counters_of(self)->depth++;
        mailbox_push_front(&self->mailbox, &msg);
        return;
    }
    bury(self->shard, msg, redeliver_max > 0 ? DEAD_LETTER_POISON : DEAD_LETTER_CRASHED, self);
    release_message(self->shard, &msg);
}

static void handle_message(struct actor *self, struct message *msg)
{
    struct shard_internals *internals = self->shard->internals;
    int verdict;

    counters_of(self)->depth--;
    internals->in_hand = msg;
    verdict = call_receive(self, msg);
    internals->in_hand = NULL;
    apply_verdict(self, verdict);
    if (unlikely(verdict < 0)) {
        settle_in_hand(self, msg);
        return;
    }
    if (unlikely(verdict == ACTOR_UNHANDLED)) {
        counters_of(self)->unhandled++;
        bury(self->shard, msg, DEAD_LETTER_UNHANDLED, self);
    } else {
        counters_of(self)->handled++;
    }
    release_message(self->shard, &msg);
}

void actor_settle_panic(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;
    struct actor *self = internals->current;
    struct message *msg = internals->in_hand;

    assert(self != NULL);
    trace_end(&internals->trace);
    heartbeat_leave(&internals->heartbeat);
    internals->current = NULL;
    internals->in_hand = NULL;
    if (self->state == ACTOR_RUNNING)
        actor_crash(self, EXIT_PANIC, -ENOTRECOVERABLE, internals->panic_text);
    if (msg != NULL)
        settle_in_hand(self, msg);
}

void actor_drop_mail(struct actor *self)
{
    struct message *msg;

    while ((msg = mailbox_pop(&self->mailbox)) != NULL) {
        SOMETIMES("an actor ends with mail");
        counters_of(self)->depth--;
        bury(self->shard, msg, DEAD_LETTER_ACTOR_GONE, self);
        release_message(self->shard, &msg);
    }
}

static void deliver_stop(struct actor *self)
{
    struct message msg;

    message_init(&msg, self->supervisor, self->id, MSG_STOP);
    msg.flags = MESSAGE_SYSTEM;
    self->stop_delivered = true;
    if (actor_deliver(self, &msg) == ACTOR_UNHANDLED && self->state == ACTOR_RUNNING)
        actor_end_normally(self);
}

/* Handles mail until the batch or the slice is over, or the actor ends. */
static void handle_batch(struct actor *self)
{
    for (uint32_t i = 0; i < SHARD_ACTOR_BATCH_MAX; i++) {
        struct message *msg;

        if (unlikely(self->stop_wanted && !self->stop_delivered)) {
            deliver_stop(self);
            if (self->state != ACTOR_RUNNING)
                return;
        }
        msg = mailbox_pop(&self->mailbox);
        if (msg == NULL)
            return;
        handle_message(self, msg);
        if (self->state != ACTOR_RUNNING || shard_slice_is_over(self->shard, self))
            return;
    }
}

void actor_activate(struct actor *self)
{
    list_remove(&self->run_link);
    if (self->state != ACTOR_RUNNING) {
        actor_continue_end(self);
        return;
    }
    handle_batch(self);
    if (self->state != ACTOR_RUNNING)
        return;
    /* Whatever it sent to itself: those who were called meanwhile come first. */
    list_remove(&self->run_link);
    shard_exchange(self->shard);
    if (mailbox_count(&self->mailbox) > 0 || (self->stop_wanted && !self->stop_delivered))
        shard_schedule(self->shard, self);
}

/* Gives back what a completion carries to an actor that does not want it. */
static void drop_result(struct shard *shard, const struct io_op *op, const struct io_result *result)
{
    if (op->type == IO_RECV && result->value > 0)
        io_buffer_release(shard->io, result->buffer_index);
    if ((op->type == IO_ACCEPT || op->type == IO_OPEN) && result->value >= 0) {
        SOMETIMES("a descriptor comes for an actor that ends");
        io_close_now(shard->io, result->value);
    }
}

static void on_actor_io(struct io_op *op, const struct io_result *result)
{
    struct actor *self = op->owner;
    struct shard *shard = self->shard;
    struct message msg;

    message_init(&msg, self->id, self->id, MSG_IO);
    msg.as.io = (struct message_io){.op = op, .result = result};
    if (shard->internals->reap_left > 0)
        shard->internals->reap_left--;
    if (self->state == ACTOR_RUNNING && self->incarnation == op->owner_incarnation) {
        if (actor_deliver(self, &msg) == ACTOR_UNHANDLED)
            drop_result(shard, op, result);
        return;
    }
    SOMETIMES("a completion comes for an actor that ends");
    shard->internals->counters.stale_completions++;
    drop_result(shard, op, result);
    if (self->state != ACTOR_RUNNING && list_is_empty(&self->ops))
        shard_schedule(shard, self);
}

void actor_op_init(struct actor *self, struct io_op *op)
{
    assert(op->magic != IO_OP_MAGIC || !io_op_is_armed(op));
    io_op_init(op, on_actor_io);
    op->owner = self;
    op->owner_ops = &self->ops;
    op->owner_incarnation = self->incarnation;
}

static void on_actor_timer(struct timer *timer)
{
    struct actor *self = timer->owner;
    struct shard *shard = self->shard;
    struct message msg;

    message_init(&msg, self->id, self->id, MSG_TIMER);
    msg.as.timer.timer = timer;
    /* An actor that ends has stopped its timers: what fires is of this life. */
    assert(self->state == ACTOR_RUNNING);
    assert(self->incarnation == timer->owner_incarnation);
    list_remove(&timer->owner_link);
    if (shard->internals->timers_left > 0)
        shard->internals->timers_left--;
    shard_count_timer(shard, timer);
    (void)actor_deliver(self, &msg);
}

void actor_timer_init(struct actor *self, struct timer *timer)
{
    timer_init(timer, on_actor_timer);
    timer->owner = self;
    timer->owner_incarnation = self->incarnation;
    list_init(&timer->owner_link);
}

void actor_timer_start(struct actor *self, struct timer *timer, uint64_t delay_ms)
{
    uint64_t now_ns = self->shard->clock.mono_ns;
    uint64_t delay_ns = delay_ms > UINT64_MAX / 1000000 ? UINT64_MAX : delay_ms * 1000000;

    assert(timer->owner == self);
    assert(self->state == ACTOR_RUNNING);
    list_remove(&timer->owner_link);
    list_push_back(&self->timers, &timer->owner_link);
    timer_start(&self->shard->timers, timer, now_ns + min_u64(delay_ns, UINT64_MAX - now_ns));
}

void actor_timer_stop(struct actor *self, struct timer *timer)
{
    assert(timer->owner == self);
    list_remove(&timer->owner_link);
    timer_stop(&self->shard->timers, timer);
}

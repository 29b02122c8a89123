/*
 * The queue is a chain through message.next, which a mailbox uses too: a message
 * leaves the queue before it is sent, and comes back to its front when there is
 * still no room. The first one that does not fit ends an attempt, so messages to
 * one receiver stay in order; those to another wait with them, a millisecond.
 */
#include "actors/outbox.h"

#include "runtime/shard.h"
#include "runtime/sim_point.h"

void outbox_init(struct outbox *outbox, struct actor *self)
{
    outbox->first = NULL;
    outbox->last = NULL;
    actor_timer_init(self, &outbox->timer);
}

static void keep(struct outbox *outbox, struct message *msg)
{
    msg->next = NULL;
    if (outbox->last != NULL)
        outbox->last->next = msg;
    else
        outbox->first = msg;
    outbox->last = msg;
}

/* Sends in order until one does not go. A dead receiver takes its message with it. */
static void drain(struct outbox *outbox, struct actor *self)
{
    while (outbox->first != NULL) {
        struct message *msg = outbox->first;
        struct message *next = msg->next;

        msg->next = NULL; /* of this queue; a mailbox has its own */
        if (actor_send(self, &msg) == SEND_FULL) {
            SOMETIMES("an outbox waits until its receiver takes more");
            if (!MUTANT("outbox_never_tries_again"))
                actor_timer_start(self, &outbox->timer, OUTBOX_RETRY_MS);
            outbox->first->next = next;
            return;
        }
        outbox->first = next;
    }
    outbox->last = NULL;
}

static void post(struct outbox *outbox, struct actor *self, struct message *msg)
{
    msg->flags |= MESSAGE_DROPPABLE;
    keep(outbox, msg);
    if (outbox->first == msg)
        drain(outbox, self);
}

void outbox_send(struct outbox *outbox, struct actor *self, struct actor_id to, uint16_t type,
                 uint64_t token, const void *lent)
{
    struct message *msg = actor_message(self, to, type);

    assert(msg != NULL);
    msg->token = token;
    msg->size = sizeof(uint64_t);
    msg->as.words[0] = (uint64_t)(uintptr_t)lent;
    post(outbox, self, msg);
}

void outbox_send_words(struct outbox *outbox, struct actor *self, struct actor_id to, uint16_t type,
                       uint64_t first, uint64_t second)
{
    struct message *msg = actor_message(self, to, type);

    assert(msg != NULL);
    msg->size = 2 * sizeof(uint64_t);
    msg->as.words[0] = first;
    msg->as.words[1] = second;
    post(outbox, self, msg);
}

bool outbox_on_timer(struct outbox *outbox, struct actor *self, const struct timer *timer)
{
    if (timer != &outbox->timer)
        return false;
    drain(outbox, self);
    return true;
}

/*
 * Outbox: messages between the product's actors that must not be lost.
 *
 * A send that finds the receiver's ring or mailbox full is kept here, in order,
 * and tried again by a timer; the number of messages is bounded by the message
 * pool, whose sum counts each of them. For conversations whose number is already
 * bounded (one per request in flight), so that giving up is never needed.
 */
#pragma once

#include "runtime/actor.h"

enum { OUTBOX_RETRY_MS = 1 };

/* Private to outbox.c; embedded in the sending actor's struct. */
struct outbox {
    struct message *first;
    struct message *last;
    struct timer timer;
};

/* Once per start of the actor. */
void outbox_init(struct outbox *outbox, struct actor *self);

/*
 * Sends a message of this type whose payload is one lent pointer. The pool of
 * messages is sized for it: running out is a bug and aborts.
 */
void outbox_send(struct outbox *outbox, struct actor *self, struct actor_id to, uint16_t type,
                 uint64_t token, const void *lent);

/* As outbox_send(), with two words instead of a lent pointer. */
void outbox_send_words(struct outbox *outbox, struct actor *self, struct actor_id to, uint16_t type,
                       uint64_t first, uint64_t second);

/* True when timer was this outbox's, after trying again. */
bool outbox_on_timer(struct outbox *outbox, struct actor *self, const struct timer *timer);

/* The lent pointer of such a message. */
static inline void *outbox_lent(const struct message *msg)
{
    return (void *)(uintptr_t)msg->as.words[0];
}

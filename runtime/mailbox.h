/*
 * Mailbox: the two bounded FIFOs through which an actor receives its work.
 *
 * System messages go before user messages and have their own bound. A mailbox
 * belongs to one actor on one shard and only that shard's thread touches it, so
 * nothing is atomic. Messages are linked through their own next field: an empty
 * mailbox holds no memory. Bounded so that overload reaches the sender while it
 * can still act. Nothing here allocates, blocks or logs.
 */
#pragma once

#include "runtime/base.h"

enum {
    MAILBOX_DEFAULT = 256,    /* user messages, unless the type says otherwise */
    MAILBOX_SYSTEM_MAX = 1024 /* system messages: exits of children, stop requests */
};

enum mailbox_result {
    MAILBOX_OK,
    MAILBOX_FULL,   /* apply back-pressure; retrying in a loop is a bug */
    MAILBOX_CLOSED, /* the actor has stopped; dead-letter the message */
};

struct message;

/* Private to mailbox.c; spelled out only so that struct actor can embed it. */
struct mailbox_queue {
    struct message *first;
    struct message *last;
    uint32_t count;
    uint32_t count_max;
};

struct mailbox {
    struct mailbox_queue system;
    struct mailbox_queue user;
    bool closed;
};

/* An empty open mailbox with room for user_count_max user messages. */
void mailbox_init(struct mailbox *mailbox, uint32_t user_count_max);

/* Takes *msg and nulls it, but only on MAILBOX_OK; else it stays the caller's. */
MUST_USE enum mailbox_result mailbox_push(struct mailbox *mailbox, struct message **msg);

/* Puts a message back at the head of its queue (redelivery); the bound does not apply. */
void mailbox_push_front(struct mailbox *mailbox, struct message **msg);

/* Removes the oldest system message, else the oldest user message. NULL when empty. */
MUST_USE struct message *mailbox_pop(struct mailbox *mailbox);

/* From now on every push answers MAILBOX_CLOSED; what waits can still be popped. */
void mailbox_close(struct mailbox *mailbox);

/* Messages waiting in both queues. */
uint32_t mailbox_count(const struct mailbox *mailbox);

/*
 * Actor: a state, a mailbox and one function; run to completion, never blocking.
 *
 * An actor lives on one shard for ever and only that shard's thread touches it.
 * The struct is embedded first in the actor's own struct, whose memory the owner
 * provides (static, or a pool slot that type->free returns). Rules for a handler:
 * no blocking call, no allocation but from its pools and arena, time and
 * randomness only from actor_shard(). Completions and timers of the actor arrive
 * through receive() as MSG_IO and MSG_TIMER, at once, not through the mailbox.
 *
 *     spawn -> RUNNING --ACTOR_STOP / MSG_STOP handled--> STOPPING -> gone
 *                 |                                          ^
 *                 +--negative errno or actor_panic()--> CRASHED --+-> RUNNING (restarted, same id,
 *                                                                     next incarnation)
 *
 * In STOPPING and CRASHED the runtime cancels the armed operations, waits for
 * their completions, then calls type->release and either starts the actor again
 * or calls type->free. Late completions and timers of an earlier incarnation are
 * dropped.
 */
#pragma once

#include "runtime/mailbox.h"
#include "runtime/message.h"

struct shard;

enum { ACTOR_MAGIC = 0x2c707a11 };

/* What receive() answers; anything negative is an errno and crashes the actor. */
enum actor_verdict {
    ACTOR_OK,
    ACTOR_STOP,      /* done: normal exit */
    ACTOR_UNHANDLED, /* not for me: becomes a dead letter, is counted */
};

enum actor_state {
    ACTOR_NEW,
    ACTOR_RUNNING,
    ACTOR_STOPPING,
    ACTOR_CRASHED,
    ACTOR_GONE,
};

struct actor;

/* Static description of one kind of actor. */
struct actor_type {
    const char *name;
    /* Makes a fresh state; also after each restart. 0 or -errno (counts as a crash). */
    int (*start)(struct actor *self);
    /* Borrows msg for the call. An enum actor_verdict, or a negative errno: crash. */
    int (*receive)(struct actor *self, const struct message *msg);
    /* Gives back whatever the state holds; no operation is armed any more. May be NULL. */
    void (*release)(struct actor *self);
    /* Takes the memory home after the end. May be NULL for a static actor. */
    void (*free)(struct actor *self);
    uint32_t mailbox_max;  /* user messages that may wait; 0 means MAILBOX_DEFAULT */
    uint8_t redeliver_max; /* a message in hand at a crash is given again this often; 0: never */
};

/* Private to runtime/, except shard and id, which may be read. Embedded first. */
struct actor {
    uint32_t magic;
    uint32_t type_magic; /* of the struct around it; see ACTOR_CAST */
    const struct actor_type *type;
    struct shard *shard;
    struct actor_id id;
    struct actor_id supervisor;
    struct mailbox mailbox;
    struct list_node run_link; /* run queue, or unlinked */
    struct list_node ops;      /* armed operations */
    struct list_node children_link;
    uint64_t started_ns;
    uint64_t stop_deadline_ns;
    uint32_t incarnation; /* counts starts */
    uint32_t restart_count;
    uint8_t state; /* enum actor_state */
    uint8_t exit_reason;
    bool restart_wanted;
    int32_t exit_error;
    const char *exit_text;
    struct timer stop_timer;
};

/* From the embedded actor to the struct around it, whose first member it must be. */
#define ACTOR_CAST(self, type_name, magic_value)                                                   \
    ((type_name *)actor_cast_check((self), (magic_value)))

/* Aborts unless self carries this type magic; gives self back. */
static inline struct actor *actor_cast_check(struct actor *self, uint32_t type_magic)
{
    assert(self->magic == ACTOR_MAGIC);
    assert(self->type_magic == type_magic);
    return self;
}

/*
 * Starts self (zeroed but for its own fields) on shard, as a child of supervisor
 * (ACTOR_ID_NONE for the root). 0, -EAGAIN when the shard's actor table is full,
 * or what start() answered; on an error the memory is the caller's again.
 */
MUST_USE int actor_spawn(struct shard *shard, struct actor *self, const struct actor_type *type,
                         uint32_t type_magic, struct actor_id supervisor);

enum send_result {
    SEND_OK,
    SEND_FULL, /* mailbox or ring full: park, shed or dead-letter; never loop */
    SEND_DEAD, /* the receiver is gone; the message was counted as a dead letter */
};

/*
 * Gives a blank message of this shard to be filled and sent, NULL when the pool
 * is empty (back-pressure). type and to are set, from is self, token 0.
 */
MUST_USE struct message *actor_message(struct actor *self, struct actor_id to, uint16_t type);

/*
 * Sends. Takes *msg and nulls it on SEND_OK and SEND_DEAD; on SEND_FULL it stays
 * the caller's, who sends it later or releases it.
 */
MUST_USE enum send_result actor_send(struct actor *self, struct message **msg);

/* Takes back a message that was not sent. */
void actor_message_release(struct actor *self, struct message **msg);

/* Makes op report to self as MSG_IO. Once per start; op must be idle. */
void actor_op_init(struct actor *self, struct io_op *op);

/* Makes timer report to self as MSG_TIMER. Once per start. */
void actor_timer_init(struct actor *self, struct timer *timer);

/* (Re)arms for delay_ms from now; disarms. Timers die with the incarnation. */
void actor_timer_start(struct actor *self, struct timer *timer, uint64_t delay_ms);
void actor_timer_stop(struct actor *self, struct timer *timer);

/* Unwinds to the shard's loop and crashes the running actor. text must be static. */
NORETURN void actor_panic(const char *text);

/* Asks another actor on the same shard to stop (as its supervisor would). */
void actor_stop(struct shard *shard, struct actor_id id);

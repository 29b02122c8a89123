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
 *     spawn -> RUNNING --ACTOR_STOP, or asked to stop--> STOPPING --+
 *               ^  |                                                v
 *               |  +--negative errno or actor_panic()--> CRASHED -> DOWN -> GONE
 *               |                                                   |
 *               +--restarted: same id, next incarnation-------------+
 *
 * In STOPPING and CRASHED the timers are stopped, the armed operations cancelled
 * and their completions awaited; then type->release runs and the actor is DOWN.
 * Its supervisor hears MSG_EXIT and starts it again, now or after a back-off
 * (the mailbox is kept), or lets it go: what still waits in the mailbox becomes
 * dead letters, the id becomes stale and type->free takes the memory home. Late
 * completions of an earlier incarnation are dropped and what they carry is given
 * back. A handler that is lent a receive buffer or given a descriptor by a
 * completion must record it in its state before it does anything that may fail,
 * so that release() finds it.
 *
 * MSG_STOP and MSG_EXIT come straight from the loop, before any waiting message.
 * An actor that answers ACTOR_UNHANDLED to MSG_STOP is stopped at once.
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
    ACTOR_DOWN, /* ended and released; its supervisor has yet to restart it or let it go */
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
    /*
     * Gives back whatever the state holds; no operation is armed any more. Also called
     * when start() failed, so start() needs no clean-up of its own, but must put every
     * field in order before it acquires anything. May be NULL.
     */
    void (*release)(struct actor *self);
    /* Takes the memory home after the end. May be NULL for a static actor. */
    void (*free)(struct actor *self);
    uint32_t mailbox_max;  /* user messages that may wait; 0 means MAILBOX_DEFAULT */
    uint8_t redeliver_max; /* a message in hand at a crash is given again this often; 0: never */
};

/*
 * Private to runtime/, except shard and id, which may be read. Embedded first. What a
 * message touches comes first: two cache lines.
 */
struct actor {
    uint32_t magic;
    uint32_t type_magic; /* of the struct around it; see ACTOR_CAST */
    const struct actor_type *type;
    struct shard *shard;
    struct actor_id id;
    struct mailbox mailbox;
    struct list_node run_link; /* run queue, or unlinked */
    uint32_t incarnation;      /* counts starts */
    uint16_t type_index;       /* row of the per-type counters */
    uint8_t state;             /* enum actor_state */
    uint8_t exit_reason;       /* enum exit_reason */
    bool stop_wanted;          /* MSG_STOP is to be delivered, or was */
    bool stop_delivered;
    bool exit_untold;    /* the supervisor has not heard of this end yet */
    bool restart_wanted; /* the supervisor keeps a DOWN actor for a later start */
    uint8_t backoff_count;
    int32_t exit_error;
    uint32_t restart_count;
    const char *exit_text;
    struct list_node ops;           /* armed operations */
    struct list_node timers;        /* armed timers */
    struct list_node children_link; /* supervisor.c's */
    struct actor_id supervisor;
    uint64_t started_ns;
    struct timer stop_timer; /* supervisor.c's: shutdown time or back-off of this child */
};

static_assert(sizeof(struct actor) <= 320, "an idle actor stays small");

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

/* True from its start until it stops or crashes: then it may arm operations and timers. */
static inline bool actor_is_running(const struct actor *self)
{
    return self->state == ACTOR_RUNNING;
}

/*
 * Starts self (zeroed but for its own fields) on shard, as a child of supervisor,
 * which hears MSG_EXIT. With ACTOR_ID_NONE the first such actor becomes the shard's
 * root, with which the shard ends. 0, -EAGAIN when the shard's actor table is full,
 * or what start() answered (-ENOTRECOVERABLE: it panicked); on an error the memory is
 * the caller's again. A start() that fails with operations armed is answered by 0 and
 * ends as a crash instead, because their memory is still in use.
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
 * the caller's, who sends it later or releases it. To another shard SEND_OK means
 * that the ring took it: a stale receiver is then a dead letter over there.
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

/* Asks another actor on the same shard to stop (as its supervisor would). Stale ids: nothing. */
void actor_stop(struct shard *shard, struct actor_id id);

/* What the state is called in logs and in the admin API. */
const char *actor_state_name(enum actor_state state);

/* What the reason is called in logs. */
const char *exit_reason_name(enum exit_reason reason);

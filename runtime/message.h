/*
 * Message: what actors send each other.
 *
 * 128 bytes, from the sending shard's pool; local delivery passes the pointer,
 * delivery to another shard copies into the ring and back into a message of the
 * receiving shard's pool, so a message never leaves its shard. Larger things are
 * lent: the payload holds a pointer that stays valid until the reply comes.
 * A message is borrowed for the duration of receive().
 */
#pragma once

#include "runtime/io.h"
#include "runtime/timer_wheel.h"

/* shard:8 | index:32 | generation:24; 0 is nobody. */
struct actor_id {
    uint64_t bits;
};

#define ACTOR_ID_NONE ((struct actor_id){0})

enum { MESSAGE_PAYLOAD_SIZE = 80 };

/* Types below MSG_USER belong to the runtime; each floor above has its own block of 64. */
enum message_type {
    MSG_NONE,
    MSG_IO,    /* as.io: a completion of an operation of this actor */
    MSG_TIMER, /* as.timer: a timer of this actor fired */
    MSG_EXIT,  /* as.exit: a child has ended (system) */
    MSG_STOP,  /* stop soon: finish, then answer ACTOR_STOP from any receive (system) */
    MSG_RUNTIME_MAX = 64,
    MSG_HTTP = 64,
    MSG_STORE = 128,
    MSG_ACTORS = 192,
};

enum exit_reason {
    EXIT_NORMAL,   /* receive() answered ACTOR_STOP */
    EXIT_SHUTDOWN, /* stopped by its supervisor */
    EXIT_ERROR,    /* start() or receive() answered a negative errno */
    EXIT_PANIC,    /* actor_panic() */
    EXIT_KILLED,   /* did not stop within its shutdown time */
};

struct message_io {
    struct io_op *op;
    const struct io_result *result;
};

struct message_timer {
    struct timer *timer;
};

struct message_exit {
    struct actor_id id;
    enum exit_reason reason;
    int32_t error;    /* negative errno for EXIT_ERROR */
    const char *text; /* a literal or in static memory; for EXIT_PANIC */
};

struct message {
    struct message *next; /* the queue it rests in */
    struct actor_id from;
    struct actor_id to;
    uint16_t type; /* enum message_type or a floor's own */
    uint8_t flags; /* MESSAGE_* */
    uint8_t crash_count;
    uint32_t size;  /* payload bytes in use */
    uint64_t token; /* the sender's own; replies carry it back */
    uint64_t sent_ns;
    union {
        struct message_io io;
        struct message_timer timer;
        struct message_exit exit;
        uint64_t words[MESSAGE_PAYLOAD_SIZE / 8];
        char bytes[MESSAGE_PAYLOAD_SIZE];
    } as;
};

enum {
    MESSAGE_SYSTEM = 1,   /* goes before user messages, from the reserved slots */
    MESSAGE_DROPPABLE = 2 /* a stale receiver is expected: count, no dead letter */
};

static_assert(sizeof(struct message) == 128, "two cache lines");

/* Makes a blank message: everything 0 but the address and the type. */
static inline void message_init(struct message *msg, struct actor_id from, struct actor_id to,
                                uint16_t type)
{
    msg->next = NULL;
    msg->from = from;
    msg->to = to;
    msg->type = type;
    msg->flags = 0;
    msg->crash_count = 0;
    msg->size = 0;
    msg->token = 0;
    msg->sent_ns = 0;
    /* In two parts, which compile to plain stores; one of 128 bytes is a slow instruction. */
    memset(msg->as.bytes, 0, MESSAGE_PAYLOAD_SIZE / 2);
    memset(msg->as.bytes + MESSAGE_PAYLOAD_SIZE / 2, 0, MESSAGE_PAYLOAD_SIZE / 2);
}

/* The payload seen as a type; the size is checked when compiled. */
#define MESSAGE_AS(msg, type_name)                                                                 \
    ((type_name *)(void *)((msg)->as.bytes +                                                       \
                           sizeof(char[sizeof(type_name) <= MESSAGE_PAYLOAD_SIZE ? 1 : -1]) - 1))
#define MESSAGE_AS_CONST(msg, type_name)                                                           \
    ((const type_name                                                                              \
          *)(const void *)((msg)->as.bytes +                                                       \
                           sizeof(char[sizeof(type_name) <= MESSAGE_PAYLOAD_SIZE ? 1 : -1]) - 1))

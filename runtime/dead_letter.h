/*
 * Dead letter: the record of a message that nobody handled.
 *
 * Every message that is neither handled nor left with its sender ends here: it is
 * counted by reason, logged (at most a few lines per second and shard, the rest
 * is said as a number) and shown to the hook of the floor above, which may keep
 * it durably. Counted conservation rests on it: sent = handled + dead.
 */
#pragma once

#include "runtime/base.h"

struct message;
struct shard;

enum dead_letter_reason {
    DEAD_LETTER_STALE_ID,     /* no such actor, or not any more */
    DEAD_LETTER_ACTOR_GONE,   /* waited in the mailbox of an actor that ended for good */
    DEAD_LETTER_MAILBOX_FULL, /* from another shard, for an actor that is down and full */
    DEAD_LETTER_UNHANDLED,    /* receive() answered ACTOR_UNHANDLED */
    DEAD_LETTER_CRASHED,      /* in hand when the actor crashed, and never given again */
    DEAD_LETTER_POISON,       /* crashed its actor on every delivery it had */
    DEAD_LETTER_REASON_COUNT,
};

enum { DEAD_LETTER_LOG_LINES_MAX = 10 /* per second and shard */ };

/* The label of metrics and log lines. */
const char *dead_letter_reason_name(enum dead_letter_reason reason);

/*
 * Counts, logs and shows msg, which stays the caller's. actor_name is the
 * receiver's type, or NULL when it is not known.
 */
void dead_letter_record(struct shard *shard, const struct message *msg,
                        enum dead_letter_reason reason, const char *actor_name);

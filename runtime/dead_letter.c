#include "runtime/dead_letter.h"

#include "runtime/internals.h"

/*
 * Lines are limited per second of the shard's clock: a storm of dead letters is
 * itself a message, and says how many lines were left out.
 */

const char *dead_letter_reason_name(enum dead_letter_reason reason)
{
    switch (reason) {
    case DEAD_LETTER_STALE_ID:
        return "stale_id";
    case DEAD_LETTER_ACTOR_GONE:
        return "actor_gone";
    case DEAD_LETTER_MAILBOX_FULL:
        return "mailbox_full";
    case DEAD_LETTER_UNHANDLED:
        return "unhandled";
    case DEAD_LETTER_CRASHED:
        return "crashed";
    case DEAD_LETTER_POISON:
        return "poison";
    case DEAD_LETTER_REASON_COUNT:
        break;
    }
    return "unknown";
}

/* True when one more line may be written in this second. */
static bool take_line(struct shard *shard)
{
    struct shard_internals *internals = shard->internals;
    uint64_t second = shard->clock.mono_ns / 1000000000;

    if (second != internals->dead_letter_second) {
        internals->dead_letter_second = second;
        internals->dead_letter_lines = 0;
    }
    if (internals->dead_letter_lines >= DEAD_LETTER_LOG_LINES_MAX) {
        internals->dead_letter_unsaid++;
        return false;
    }
    internals->dead_letter_lines++;
    return true;
}

static void write_line(struct shard *shard, const struct message *msg,
                       enum dead_letter_reason reason, const char *actor_name)
{
    log_event(&shard->log, LOG_WARN, "actor", "dead letter",
              LOG_TEXT("reason", slice_of(dead_letter_reason_name(reason))),
              LOG_TEXT("actor", slice_of(actor_name != NULL ? actor_name : "unknown")),
              LOG_NUMBER("message_type", msg->type), LOG_NUMBER("to", msg->to.bits),
              LOG_NUMBER("from", msg->from.bits), LOG_NUMBER("token", msg->token),
              LOG_NUMBER("attempts", msg->crash_count + (reason == DEAD_LETTER_POISON)),
              LOG_NUMBER("unsaid", shard->internals->dead_letter_unsaid));
    shard->internals->dead_letter_unsaid = 0;
}

void dead_letter_record(struct shard *shard, const struct message *msg,
                        enum dead_letter_reason reason, const char *actor_name)
{
    struct runtime_hooks *hooks = shard->runtime->config.hooks;

    assert(reason < DEAD_LETTER_REASON_COUNT);
    shard->internals->counters.dead_letters[reason]++;
    if (take_line(shard))
        write_line(shard, msg, reason, actor_name);
    if (hooks != NULL && hooks->dead_letter != NULL)
        hooks->dead_letter(hooks, shard, msg, reason, actor_name);
}

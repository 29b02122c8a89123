#include "actors/retirement.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 *     keeper of the log --CARRY--> every shard's keeper --> durable_carry()
 *            ^                                                    |
 *            +-------------------CARRIED--------------------------+
 *
 * One question is about all segments that will have to go as things stand: for each of them
 * a shard may have to look at all it has. The keeper lets them go one after the other, and asks
 * about those that come after them meanwhile.
 *
 * Even its own shard is asked by message: a segment may begin to go in the middle of an
 * append, where nothing else may be appended. A shard that has not opened its log yet
 * keeps the question. Nobody waits for an answer but the segment: when a shard stops, it
 * forgets what it was asked, the segment stays, and the next start asks again.
 */

static struct keeper *keeper_of_log(const struct keeper *keeper, uint32_t log)
{
    struct app *app = keeper->home->app;

    return &app->shards[log % app->shard_count].keeper;
}

void retirement_ask(struct keeper *keeper, uint32_t log, uint64_t seq)
{
    struct app *app = keeper->home->app;

    assert(keeper_of_log(keeper, log) == keeper);
    for (uint32_t i = 0; i < app->shard_count; i++)
        outbox_send_words(&keeper->outbox, &keeper->actor, app->shards[i].keeper.actor.id,
                          MSG_KEEPER_CARRY, log, seq);
}

/* Answers one question after the other; stops at one that takes time. */
static void look(struct keeper *keeper)
{
    struct retirement *retirement = &keeper->retirement;

    if (!retirement->is_open || retirement->is_looking || keeper->is_stopping)
        return;
    retirement->is_looking = true;
    while (retirement->asked_count > 0 && !durable_is_carrying(&keeper->durables)) {
        uint32_t log = retirement->next_log;

        retirement->next_log = (log + 1) % (uint32_t)ARRAY_COUNT(retirement->asked_seqs);
        if (retirement->asked_seqs[log] != 0)
            durable_carry(&keeper->durables, log, retirement->asked_seqs[log]);
    }
    retirement->is_looking = false;
}

void retirement_open(struct keeper *keeper)
{
    assert(!keeper->retirement.is_open);
    keeper->retirement.is_open = true;
    look(keeper);
}

void retirement_on_asked(struct keeper *keeper, uint32_t log, uint64_t seq)
{
    struct retirement *retirement = &keeper->retirement;

    assert(log <= SEGMENT_LOG_MAX);
    assert(retirement->asked_seqs[log] == 0); /* its keeper asks one question at a time */
    if (!retirement->is_open)
        SOMETIMES("a shard is asked what it needs before it has recovered");
    retirement->asked_seqs[log] = seq;
    if (retirement->asked_count++ == 0)
        retirement->since_ns = keeper->home->shard->clock.mono_ns;
    look(keeper);
}

void retirement_on_carried(struct keeper *keeper, uint32_t log, uint64_t seq)
{
    struct retirement *retirement = &keeper->retirement;

    assert(retirement->asked_seqs[log] == seq);
    retirement->asked_seqs[log] = 0;
    retirement->asked_count--;
    retirement->since_ns = keeper->home->shard->clock.mono_ns;
    if (keeper->is_stopping)
        return;
    outbox_send_words(&keeper->outbox, &keeper->actor, keeper_of_log(keeper, log)->actor.id,
                      MSG_KEEPER_CARRIED, log, seq);
    look(keeper);
}

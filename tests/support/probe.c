#include "tests/support/probe.h"

#include <errno.h>

/*
 * The one receive() is a switch over what the message asks for; everything else
 * here writes down that it was called.
 */

char probe_events[4096];

static void note_event(char kind, char name)
{
    size_t size = strlen(probe_events);

    if (name == '\0' || size + 3 > sizeof(probe_events))
        return;
    probe_events[size] = kind;
    probe_events[size + 1] = name;
    probe_events[size + 2] = '\0';
}

void probe_events_clear(void)
{
    probe_events[0] = '\0';
}

static int probe_start(struct actor *self)
{
    struct probe *probe = ACTOR_CAST(self, struct probe, PROBE_MAGIC);

    probe->start_count++;
    actor_op_init(self, &probe->op);
    actor_timer_init(self, &probe->timer);
    if (probe->start_arms)
        io_poll(self->shard->io, &probe->op, 0, 1);
    if (probe->start_panics)
        actor_panic("start told to");
    if (probe->start_fails > 0) {
        probe->start_fails--;
        return -EIO;
    }
    if (probe->start_result == 0)
        note_event('+', probe->name);
    return probe->start_result;
}

static int obey(struct probe *probe, const struct message *msg)
{
    switch (msg->type) {
    case PROBE_NOTE:
        return ACTOR_OK;
    case PROBE_QUIT:
        return ACTOR_STOP;
    case PROBE_FAIL:
        return -EPROTO;
    case PROBE_PANIC:
        actor_panic("told to");
    case PROBE_ARM:
        io_poll(probe->actor.shard->io, &probe->op, 0, 1);
        return ACTOR_OK;
    case PROBE_TIMER:
        actor_timer_start(&probe->actor, &probe->timer, msg->token);
        return ACTOR_OK;
    case PROBE_AGAIN:
        return probe_send(probe, probe->actor.id, PROBE_AGAIN, msg->token) == SEND_OK ? ACTOR_OK
                                                                                      : -ENOBUFS;
    default:
        return ACTOR_UNHANDLED;
    }
}

static void check_order(struct probe *probe, uint64_t token)
{
    uint64_t *latest = &probe->latest[token >> 32];

    if (token <= *latest && *latest != 0)
        probe->out_of_order++;
    *latest = token;
}

static int probe_receive(struct actor *self, const struct message *msg)
{
    struct probe *probe = ACTOR_CAST(self, struct probe, PROBE_MAGIC);

    switch (msg->type) {
    case MSG_IO:
        probe->io_count++;
        probe->last_io_value = msg->as.io.result->value;
        return ACTOR_OK;
    case MSG_TIMER:
        probe->timer_count++;
        if (probe->panics_on_timer)
            actor_panic("timer told to");
        return ACTOR_OK;
    case MSG_EXIT:
        probe->exit_count++;
        probe->last_exit = msg->as.exit;
        return ACTOR_OK;
    case MSG_STOP:
        probe->stop_count++;
        if (probe->leaves_stop)
            return ACTOR_UNHANDLED;
        return probe->ignores_stop ? ACTOR_OK : ACTOR_STOP;
    default:
        if (probe->seen_count < PROBE_SEEN_MAX)
            probe->seen[probe->seen_count] = msg->token;
        probe->seen_count++;
        test_shards.mono_ns += probe->takes_ns;
        if (probe->checks_order)
            check_order(probe, msg->token);
        return obey(probe, msg);
    }
}

static void probe_release(struct actor *self)
{
    struct probe *probe = ACTOR_CAST(self, struct probe, PROBE_MAGIC);

    assert(!io_op_is_armed(&probe->op));
    assert(!probe->timer.armed);
    probe->release_count++;
    note_event('-', probe->name);
    if (probe->release_panics)
        actor_panic("release told to");
}

static void probe_free(struct actor *self)
{
    ACTOR_CAST(self, struct probe, PROBE_MAGIC)->free_count++;
}

const struct actor_type probe_type = {
    .name = "probe",
    .start = probe_start,
    .receive = probe_receive,
    .release = probe_release,
    .free = probe_free,
};

const struct actor_type probe_stubborn_type = {
    .name = "stubborn",
    .start = probe_start,
    .receive = probe_receive,
    .release = probe_release,
    .free = probe_free,
    .redeliver_max = 2,
};

const struct actor_type probe_small_type = {
    .name = "small",
    .start = probe_start,
    .receive = probe_receive,
    .release = probe_release,
    .free = probe_free,
    .mailbox_max = 4,
};

int probe_spawn(struct probe *probe, uint32_t shard_index, struct actor_id supervisor)
{
    return actor_spawn(test_shard(shard_index), &probe->actor, &probe_type, PROBE_MAGIC,
                       supervisor);
}

enum send_result probe_send(struct probe *from, struct actor_id to, uint16_t type, uint64_t token)
{
    struct message *msg = actor_message(&from->actor, to, type);
    enum send_result result;

    if (msg == NULL)
        return SEND_FULL;
    msg->token = token;
    result = actor_send(&from->actor, &msg);
    if (result == SEND_FULL)
        actor_message_release(&from->actor, &msg);
    return result;
}

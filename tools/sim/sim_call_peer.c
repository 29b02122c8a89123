#include "tools/sim/sim_call_peer.h"

#include <stdlib.h>

#include "runtime/io_sim.h"

/*
 * A request is told apart by its path, /call/NUMBER, and by its Idempotency-Key. What is not
 * answered stays out, in the model's line, until the server ends the connection: that is
 * looked for whenever another request comes.
 */
enum {
    MOOD_S_MAX = 200,
    STORY_FIRST = 1 << 20, /* among the numbers of jobs */
};

uint32_t sim_call_number(uint32_t order)
{
    return SIM_STORY_JOB_FIRST + STORY_FIRST + order;
}

const char *sim_call_host(uint32_t destination)
{
    static const char *const hosts[SIM_CALL_DESTINATION_COUNT] = {"93.184.216.34", "93.184.216.35"};

    return hosts[destination];
}

static uint32_t draw(const struct sim_call_peer *machine, uint32_t below)
{
    return (uint32_t)rng_below(&machine->world->rng, below);
}

/* --- moods ------------------------------------------------------------------------- */

static void await_mood(struct sim_call_destination *destination)
{
    const struct sim_call_peer *machine = destination->machine;

    sim_world_schedule(machine->world, &destination->mood_over,
                       1 + rng_below(&machine->world->rng, machine->mood_ns_max));
}

static void on_mood_over(struct sim_event *event)
{
    struct sim_call_destination *destination =
        container_of(event, struct sim_call_destination, mood_over);
    struct sim_call_peer *machine = destination->machine;

    destination->mood = destination->mood == SIM_CALL_WELL ? SIM_CALL_DOWN : SIM_CALL_WELL;
    if (!machine->is_calm)
        sim_story_tell(machine->story, SIM_NO_NUMBER, 0, "the peer %s is %s",
                       sim_call_host((uint32_t)(destination - machine->destinations)),
                       destination->mood == SIM_CALL_WELL ? "well" : "down");
    await_mood(destination);
}

/* --- requests ---------------------------------------------------------------------- */

/* What follows name in the head, up to one of the ends; the head ends with an empty line. */
static struct slice find_text(struct slice head, const char *name, const char *ends)
{
    const char *at = memmem(head.data, head.size, name, strlen(name));

    if (at == NULL)
        return (struct slice){NULL, 0};
    at += strlen(name);
    return (struct slice){at, strcspn(at, ends)};
}

/* Requests of the line on connections that the server has ended are done with. */
static void reap(struct sim_call_destination *destination, uint32_t order)
{
    struct sim_call_model *model = destination->machine->model;
    struct sim_call_line *line = sim_call_line_of(model, order);

    for (uint32_t i = line->out_count; i-- > 0;) {
        const struct sim_call_out out = line->outs[i];

        if (!destination->peer.connections[out.connection]->is_open)
            sim_call_answered(model, out.call, out.connection, SIM_CALL_LEFT);
    }
}

static void say(struct peer_connection *c, enum sim_call_answer how, uint32_t drawn)
{
    static const char *const failures[] = {
        "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"};

    switch (how) {
    case SIM_CALL_GOOD:
        peer_send(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
                     "taken");
        break;
    case SIM_CALL_NEVER:
        peer_send(c, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
        break;
    case SIM_CALL_WAITING:
        peer_send(c, "HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n");
        break;
    case SIM_CALL_FAILED:
        peer_send(c, failures[drawn % 2]);
        break;
    case SIM_CALL_CLOSED:
        peer_close(c);
        break;
    case SIM_CALL_LEFT:
        break;
    }
}

/* SIM_CALL_LEFT: nothing is said. */
static enum sim_call_answer draw_answer(const struct sim_call_destination *destination)
{
    const struct sim_call_peer *machine = destination->machine;
    uint32_t drawn = draw(machine, 100);

    if (machine->is_calm)
        return SIM_CALL_GOOD;
    if (destination->mood == SIM_CALL_DOWN)
        return drawn < 40 ? SIM_CALL_FAILED : drawn < 60 ? SIM_CALL_CLOSED : SIM_CALL_LEFT;
    if (drawn < 80)
        return SIM_CALL_GOOD;
    if (drawn < 88)
        return SIM_CALL_NEVER;
    if (drawn < 92)
        return SIM_CALL_WAITING;
    return drawn < 96 ? SIM_CALL_CLOSED : SIM_CALL_FAILED;
}

static void tell_arrival(const struct sim_call_peer *machine, uint32_t order, struct slice id,
                         const struct peer_connection *c, enum sim_call_answer how)
{
    static const char *const names[] = {"taken",         "refused for good",
                                        "failed",        "closed upon",
                                        "asked to wait", "left without an answer"};

    sim_story_tell(machine->story, sim_call_number(order), 1,
                   "call %u arrives under %.*s on connection %u, and is %s", order, (int)id.size,
                   id.data, c->index, names[how]);
}

static void on_request(struct peer_connection *c, struct slice head, struct slice body)
{
    struct sim_call_destination *destination =
        container_of(c->peer, struct sim_call_destination, peer);
    struct sim_call_peer *machine = destination->machine;
    struct slice number = find_text(head, "POST /call/", " ");
    struct slice id = find_text(head, "\r\nIdempotency-Key: ", "\r");
    uint32_t order = (uint32_t)strtoul(number.data != NULL ? number.data : "", NULL, 10), call;
    enum sim_call_answer how = draw_answer(destination);
    char wanted[32];
    const char *why;

    machine->call_count++;
    if (machine->sees_damage) {
        say(c, SIM_CALL_GOOD, 0);
        return;
    }
    machine->model->now_ns = machine->world->mono_ns;
    tell_arrival(machine, order, id, c, how);
    if (number.size == 0 || order >= machine->model->order_count)
        sim_story_fail(machine->story, SIM_NO_NUMBER, "a call arrives that nobody ordered: %.*s",
                       (int)min_u64(head.size, 60), head.data);
    snprintf(wanted, sizeof(wanted), "{\"n\":%u}", order);
    if (!slice_equal(body, slice_of(wanted)))
        sim_story_fail(machine->story, sim_call_number(order), "call %u has another body", order);
    reap(destination, order);
    why = sim_call_arrived(machine->model, order, (uint32_t)(destination - machine->destinations),
                           id, c->index, &call);
    if (why != NULL)
        sim_story_fail(machine->story, sim_call_number(order), "call %u, %.*s: %s", order,
                       (int)id.size, id.data, why);
    if (how != SIM_CALL_LEFT)
        sim_call_answered(machine->model, call, c->index, how);
    say(c, how, draw(machine, 3));
}

/* --- the machine --------------------------------------------------------------------- */

void sim_call_peer_init(struct sim_call_peer *machine, struct sim_driver *driver,
                        struct sim_story *story, struct sim_call_model *model)
{
    int r;

    memset(machine, 0, sizeof(*machine));
    machine->world = driver->world;
    machine->driver = driver;
    machine->story = story;
    machine->model = model;
    machine->host = sim_host_new(machine->world, "peer");
    machine->mood_ns_max = (uint64_t)1000000000 * (20 + draw(machine, MOOD_S_MAX));
    r = io_sim_new(machine->host, &machine->io);
    assert(r == 0);
    sim_driver_add_io(driver, machine->io);
    for (uint32_t i = 0; i < SIM_CALL_DESTINATION_COUNT; i++) {
        struct sim_call_destination *destination = &machine->destinations[i];

        destination->machine = machine;
        destination->mood = sim_world_coin(machine->world) ? SIM_CALL_WELL : SIM_CALL_DOWN;
        destination->mood_over.on_due = on_mood_over;
        peer_init(&destination->peer, machine->world, machine->io, sim_call_host(i), SIM_CALL_PORT);
        destination->peer.on_request = on_request;
        await_mood(destination);
    }
}

void sim_call_peer_deinit(struct sim_call_peer *machine)
{
    sim_driver_remove_io(machine->driver, machine->io);
    io_free(&machine->io);
    for (uint32_t i = 0; i < SIM_CALL_DESTINATION_COUNT; i++) {
        sim_world_unschedule(machine->world, &machine->destinations[i].mood_over);
        peer_deinit(&machine->destinations[i].peer);
    }
}

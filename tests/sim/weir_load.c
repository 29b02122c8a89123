#include "tests/sim/weir_load.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/*
 * What is refused is tried again after a rest that grows with nothing: the servers
 * of these tests are small and so is the number of clients.
 */

static void on_rest_over(struct sim_event *event);
static void on_answer(struct weir_client *client);

void weir_load_init(struct weir_load *load, struct weir *weir, uint32_t sender_count,
                    uint32_t event_count)
{
    cr_assert(le(u32, sender_count, WEIR_LOAD_CLIENT_COUNT_MAX));
    cr_assert(le(u32, event_count, WEIR_EVENT_COUNT_MAX));
    memset(load, 0, sizeof(*load));
    load->weir = weir;
    load->batch_max = 1;
    load->rest_ns = (struct sim_range){500000, 20000000};
    load->sender_count = sender_count;
    load->event_count = event_count / sender_count * sender_count;
    for (uint32_t i = 0; i < load->event_count; i++)
        load->unit_of[i] = i;
    for (uint32_t i = 0; i < sender_count; i++) {
        struct weir_sender *sender = &load->senders[i];

        weir_client_init(&sender->client, weir, i, on_answer);
        sender->load = load;
        sender->rest_over.on_due = on_rest_over;
        sender->unit_begin = load->event_count / sender_count * i;
        sender->unit_end = sender->unit_begin;
        sender->end = load->event_count / sender_count * (i + 1);
    }
}

/* --- sending -------------------------------------------------------------- */

static uint32_t write_event(const struct weir_load *load, char *data, size_t size, uint32_t number)
{
    static const char filler[] = "0123456789abcdef";
    char id[WEIR_ID_SIZE + 1];
    uint32_t used;

    weir_write_id(id, number);
    used = weir_write_event(data, size, number, id);
    if (load->payload_size == 0)
        return used;
    used--; /* the closing brace */
    used += (uint32_t)snprintf(data + used, size - used, ",\"payload\":{\"filler\":\"");
    for (uint32_t i = 0; i < load->payload_size; i++)
        data[used++] = filler[(number + i) % 16];
    used += (uint32_t)snprintf(data + used, size - used, "\"}}");
    return used;
}

static void write_body(struct weir_sender *sender)
{
    size_t size = sizeof(sender->body);
    size_t used = 0;

    if (sender->kind == WEIR_UNIT_BATCH)
        used += (size_t)snprintf(sender->body, size, "{\"events\":[");
    for (uint32_t number = sender->unit_begin; number < sender->unit_end; number++) {
        used += write_event(sender->load, sender->body + used, size - used, number);
        if (sender->kind == WEIR_UNIT_LINES)
            sender->body[used++] = '\n';
        else if (number + 1 < sender->unit_end)
            sender->body[used++] = ',';
        cr_assert(lt(u64, used, size));
    }
    if (sender->kind == WEIR_UNIT_BATCH)
        used += (size_t)snprintf(sender->body + used, size - used, "]}");
    sender->body[used] = '\0';
}

static void send_unit(struct weir_sender *sender)
{
    struct weir_call call = {.path = "/v1/events"};

    if (sender->kind != WEIR_UNIT_SINGLE)
        call.path = "/v1/events/batch";
    if (sender->kind == WEIR_UNIT_LINES)
        call.content_type = "application/x-ndjson";
    weir_client_call(&sender->client, &call, sender->body);
}

static void begin_unit(struct weir_sender *sender)
{
    struct weir_load *load = sender->load;
    struct rng *rng = &load->weir->world->rng;
    uint32_t left = sender->end - sender->unit_end;
    uint32_t size = 1;

    sender->unit_begin = sender->unit_end;
    if (left == 0 || load->is_paused)
        return;
    sender->kind = WEIR_UNIT_SINGLE;
    if (load->batch_max > 1 && rng_below(rng, 3) != 0) {
        sender->kind = rng_below(rng, 3) == 0 ? WEIR_UNIT_LINES : WEIR_UNIT_BATCH;
        size = 1 + (uint32_t)rng_below(rng, load->batch_max);
        /* The bounds are where mistakes live. */
        if (rng_below(rng, 4) == 0)
            size = sim_world_coin(load->weir->world) ? 1 : load->batch_max;
    }
    sender->unit_end = sender->unit_begin + (size < left ? size : left);
    for (uint32_t number = sender->unit_begin; number < sender->unit_end; number++)
        load->unit_of[number] = sender->unit_begin;
    write_body(sender);
    send_unit(sender);
}

void weir_load_start(struct weir_load *load)
{
    load->is_paused = false;
    for (uint32_t i = 0; i < load->sender_count; i++)
        if (load->senders[i].unit_begin == load->senders[i].unit_end)
            begin_unit(&load->senders[i]);
}

/* --- answers -------------------------------------------------------------- */

/* Every id of the unit, in its order. */
static void check_ids(const struct weir_sender *sender)
{
    const struct sim_http_request *answer = &sender->client.request;
    uint64_t seed = sender->load->weir->seed;
    const char *at = answer->body;

    for (uint32_t number = sender->unit_begin; number < sender->unit_end; number++) {
        char id[WEIR_ID_SIZE + 1];

        weir_write_id(id, number);
        at = memmem(at, (size_t)(answer->body + answer->body_size - at), id, WEIR_ID_SIZE);
        cr_assert(at != NULL, "seed %lu: event %u is not in the answer", seed, number);
        at += WEIR_ID_SIZE;
    }
}

static void acknowledge(struct weir_sender *sender)
{
    struct weir_load *load = sender->load;

    check_ids(sender);
    load->duplicate_count += weir_answer_has(&sender->client.request, "\"duplicate\":true");
    for (uint32_t number = sender->unit_begin; number < sender->unit_end; number++) {
        cr_assert(not(load->acknowledged[number]));
        load->acknowledged[number] = true;
        load->acknowledged_count++;
    }
    begin_unit(sender);
}

static void on_rest_over(struct sim_event *event)
{
    send_unit(container_of(event, struct weir_sender, rest_over));
}

static void rest(struct weir_sender *sender)
{
    struct sim_world *world = sender->load->weir->world;

    sim_world_schedule(world, &sender->rest_over,
                       sim_range_draw(&sender->load->rest_ns, &world->rng));
}

static void on_answer(struct weir_client *client)
{
    struct weir_sender *sender = container_of(client, struct weir_sender, client);
    struct weir_load *load = sender->load;
    const struct sim_http_request *answer = &client->request;

    if (answer->lost) {
        load->lost_count++;
        rest(sender);
        return;
    }
    load->status_counts[answer->status]++;
    if (answer->status == 202) {
        acknowledge(sender);
        return;
    }
    /* Recovering, overloaded, failed; in flight from a lost attempt; stalled on the way. */
    cr_assert(answer->status == 503 || answer->status == 409 || answer->status == 408,
              "seed %lu: status %u: %.*s", load->weir->seed, answer->status, (int)answer->body_size,
              answer->body);
    load->refused_count++;
    load->unknown_count += weir_answer_has(answer, "\"outcome\":\"unknown\"");
    rest(sender);
}

bool weir_load_is_quiet(const struct weir_load *load)
{
    for (uint32_t i = 0; i < load->sender_count; i++)
        if (load->senders[i].unit_begin != load->senders[i].unit_end)
            return false;
    return true;
}

/* --- checking ------------------------------------------------------------- */

static void check_one(const struct weir_load *load, const struct weir_census *census,
                      uint32_t number)
{
    const struct weir_stored *stored = &census->events[number];
    uint64_t seed = load->weir->seed;
    char id[WEIR_ID_SIZE + 1];

    cr_assert(le(u32, stored->count, 1), "seed %lu: event %u is there %u times", seed, number,
              stored->count);
    if (load->acknowledged[number])
        cr_assert(eq(u32, stored->count, 1), "seed %lu: event %u is lost", seed, number);
    if (stored->count == 0)
        return;
    weir_write_id(id, number);
    cr_assert(eq(int, strcmp(stored->id, id), 0), "seed %lu: event %u has id %s", seed, number,
              stored->id);
}

/* Against the event before it, of the same sender. */
static void check_pair(const struct weir_load *load, const struct weir_census *census,
                       uint32_t number)
{
    const struct weir_stored *before = &census->events[number - 1];
    const struct weir_stored *stored = &census->events[number];
    uint64_t seed = load->weir->seed;

    if (load->unit_of[number] == load->unit_of[number - 1]) {
        cr_assert(eq(u32, stored->count, before->count), "seed %lu: event %u is torn off", seed,
                  number);
        cr_assert(eq(u32, stored->group, before->group), "seed %lu: event %u is apart", seed,
                  number);
    }
    if (stored->count == 0 || before->count == 0)
        return;
    if (stored->log == before->log || stored->boot_generation != before->boot_generation)
        cr_assert(lt(u32, before->position, stored->position), "seed %lu: event %u came first",
                  seed, number);
}

void weir_load_check(const struct weir_load *load, const struct weir_census *census)
{
    uint32_t each = load->event_count / load->sender_count;

    for (uint32_t number = 0; number < load->event_count; number++) {
        check_one(load, census, number);
        if (number % each != 0)
            check_pair(load, census, number);
    }
}

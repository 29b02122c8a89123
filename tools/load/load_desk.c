/*
 * A schedule error is our own lateness and nothing else: for a request that finds a free
 * connection, from when it was due to when the kernel had it; for one that does not, from
 * when it was due to when we noticed. What it then waits for is the target's doing, and
 * stands in the corrected latency.
 */
#include "tools/load/load_desk.h"

#include "runtime/memory.h"

static void load_desk_check(const struct load_desk *desk)
{
    assert(is_power_of_two(desk->ring_size));
    assert(desk->pushed - desk->popped <= desk->ring_size);
    assert(desk->open_count <= desk->taken_count);
}

static size_t ring_bytes(const struct load_desk *desk)
{
    return desk->ring_size * sizeof(struct load_waiting);
}

static void fetch_next(struct load_desk *desk)
{
    desk->has_next = desk->config.is_open_loop && load_scenario_next(&desk->scenario, &desk->next);
}

int load_desk_init(struct load_desk *desk, const struct load_desk_config *config,
                   struct load_tally *tally)
{
    char *memory = NULL;
    int r;

    assert(config->queue_count_max >= 1);
    assert(config->queue_count_max <= LOAD_QUEUE_COUNT_MAX);
    *desk = (struct load_desk){.config = *config, .tally = tally, .ring_size = 1};
    while (desk->ring_size < config->queue_count_max)
        desk->ring_size *= 2;
    /* Only what is used of it costs memory. */
    r = memory_map(ring_bytes(desk), &memory);
    if (r < 0)
        return r;
    desk->ring = (struct load_waiting *)(void *)memory;
    load_scenario_init(&desk->scenario, &config->scenario);
    fetch_next(desk);
    load_desk_check(desk);
    return 0;
}

void load_desk_deinit(struct load_desk *desk)
{
    char *memory = (char *)desk->ring;

    memory_unmap(&memory, ring_bytes(desk));
    desk->ring = NULL;
}

uint32_t load_desk_waiting(const struct load_desk *desk)
{
    return (uint32_t)(desk->pushed - desk->popped);
}

static struct load_waiting *slot_at(const struct load_desk *desk, uint64_t number)
{
    return &desk->ring[number & (desk->ring_size - 1)];
}

uint64_t load_desk_oldest(const struct load_desk *desk)
{
    return load_desk_waiting(desk) == 0 ? 0 : slot_at(desk, desk->popped)->arrival.due_ns;
}

static bool is_measured(const struct load_desk *desk, uint64_t due_ns)
{
    return due_ns >= desk->config.warmup_ns;
}

void load_desk_advance(struct load_desk *desk, uint64_t now_ns)
{
    load_desk_check(desk);
    while (desk->has_next && desk->next.due_ns <= now_ns) {
        if (load_desk_waiting(desk) < desk->config.queue_count_max)
            *slot_at(desk, desk->pushed++) = (struct load_waiting){desk->next, now_ns};
        else
            desk->tally->skipped += is_measured(desk, desk->next.due_ns);
        fetch_next(desk);
    }
}

uint64_t load_desk_next_due(const struct load_desk *desk)
{
    return desk->has_next ? desk->next.due_ns : UINT64_MAX;
}

/* The next request, and when we knew that it was due. */
static bool pop(struct load_desk *desk, uint64_t now_ns, struct load_waiting *ret_waiting)
{
    if (!desk->config.is_open_loop) {
        if (desk->is_stopped || now_ns >= desk->config.end_ns)
            return false;
        *ret_waiting = (struct load_waiting){load_scenario_at(&desk->scenario, now_ns), now_ns};
        return true;
    }
    if (load_desk_waiting(desk) == 0)
        return false;
    *ret_waiting = *slot_at(desk, desk->popped++);
    return true;
}

bool load_desk_take(struct load_desk *desk, uint64_t now_ns, struct load_ticket *ret_ticket)
{
    struct load_waiting waiting;

    if (!pop(desk, now_ns, &waiting))
        return false;
    assert(waiting.arrival.due_ns <= now_ns);
    *ret_ticket = (struct load_ticket){
        .intended_ns = waiting.arrival.due_ns,
        .sent_ns = now_ns,
        .mix = waiting.arrival.mix,
        .batch_count = waiting.arrival.event_count,
        .is_measured = is_measured(desk, waiting.arrival.due_ns),
        .is_prompt = waiting.noticed_ns == now_ns,
    };
    desk->taken_count++;
    desk->open_count++;
    desk->tally->sent += ret_ticket->is_measured;
    if (desk->config.is_open_loop && ret_ticket->is_measured && !ret_ticket->is_prompt)
        load_tally_schedule_error(desk->tally, waiting.noticed_ns - waiting.arrival.due_ns);
    return true;
}

void load_desk_sent(struct load_desk *desk, const struct load_ticket *ticket, uint64_t now_ns)
{
    assert(ticket->intended_ns <= now_ns);
    if (desk->config.is_open_loop && ticket->is_measured && ticket->is_prompt)
        load_tally_schedule_error(desk->tally, now_ns - ticket->intended_ns);
}

void load_desk_answer(struct load_desk *desk, const struct load_ticket *ticket, unsigned status,
                      uint64_t now_ns)
{
    load_desk_check(desk);
    assert(desk->open_count > 0);
    desk->open_count--;
    load_tally_answer(desk->tally, ticket, status, now_ns);
}

void load_desk_fail(struct load_desk *desk, const struct load_ticket *ticket, enum load_error error,
                    uint64_t now_ns)
{
    load_desk_check(desk);
    assert(desk->open_count > 0);
    desk->open_count--;
    load_tally_fail(desk->tally, ticket, error, now_ns);
}

void load_desk_stop(struct load_desk *desk, uint64_t now_ns)
{
    load_desk_check(desk);
    desk->has_next = false;
    desk->is_stopped = true;
    for (; desk->popped < desk->pushed; desk->popped++)
        desk->tally->skipped += is_measured(desk, slot_at(desk, desk->popped)->arrival.due_ns);
    /* What was not measured any more does not belong to the time that was. */
    desk->tally->end_ns = max_u64(min_u64(desk->tally->end_ns, now_ns), desk->tally->begin_ns);
}

bool load_desk_is_over(const struct load_desk *desk, uint64_t now_ns)
{
    bool is_due = desk->config.is_open_loop ? desk->has_next || load_desk_waiting(desk) > 0
                                            : !desk->is_stopped && now_ns < desk->config.end_ns;

    return !is_due && desk->open_count == 0;
}

#include "tools/sim/sim_job_producer.h"

#include "tools/sim/sim_job_asks.h"

/*
 * What is not asked with an Idempotency-Key is never sent again: nobody could tell the
 * second from the first. A flow is drawn in an order of its own, so that what comes first in
 * it need not stand first in the request.
 */
enum { PICK_COUNT_MAX = 12 /* tries to find a key by chance */ };

static_assert((int)SIM_JOB_BATCH_COUNT_MAX <= (int)SIM_JOB_CLAIM_PLACES, "places");

static void draw_unique(const struct sim_job_crew *crew, struct sim_job_spec *spec)
{
    spec->unique =
        (uint8_t)(SIM_JOB_UNIQUE_SINGLETON + sim_job_draw(crew, SIM_JOB_UNIQUE_DEBOUNCE));
    spec->unique_key = 1 + sim_job_draw(crew, crew->spec.unique_count);
    if (spec->unique != SIM_JOB_UNIQUE_SINGLETON)
        spec->unique_ms = 1 + sim_job_draw_small(crew, 30000);
    /* Those that replace one another differ in nothing but their payload. */
    if (spec->unique == SIM_JOB_UNIQUE_DEBOUNCE) {
        spec->delay_ms = 0;
        spec->deadline_ms = 0;
        spec->key = 0;
        spec->max_attempts = 3;
    }
    /* The mode belongs to the key, or one of another mode would stand in the way. */
    spec->unique_key = spec->unique_key * 4 + spec->unique;
}

static void draw_spec(const struct sim_job_crew *crew, uint32_t tenant, bool may_be_unique,
                      struct sim_job_spec *spec)
{
    const struct sim_job_crew_spec *its = &crew->spec;

    *spec = (struct sim_job_spec){
        .queue = (uint8_t)(tenant * SIM_JOB_KIND_COUNT + sim_job_draw(crew, its->kind_count)),
        .priority = sim_world_coin(crew->world) ? 3 : (uint8_t)sim_job_draw(crew, 8),
        .max_attempts = (uint8_t)(1 + sim_job_draw(crew, sim_job_draw(crew, 4) == 0 ? 2 : 6)),
        .filler_size = (uint16_t)sim_job_draw_small(crew, its->filler_size + 1),
        .request = crew->model->request_count,
    };
    if (its->key_count > 0 && sim_job_draw(crew, 3) == 0)
        spec->key = 1 + sim_job_draw(crew, its->key_count);
    if (its->delay_ms_max > 0 && sim_job_draw(crew, 4) == 0)
        spec->delay_ms = sim_job_draw_small(crew, its->delay_ms_max);
    if (its->deadline_odds > 0 && sim_job_draw(crew, its->deadline_odds) == 0)
        spec->deadline_ms = 1 + sim_job_draw_small(crew, 120000);
    if (may_be_unique && its->unique_count > 0 && sim_job_draw(crew, 3) == 0)
        draw_unique(crew, spec);
}

/* What it comes after are any of the flow's jobs before it in a drawn order. */
static void draw_after(const struct sim_job_crew *crew, uint32_t first, uint32_t place,
                       const uint32_t *order, struct sim_job_spec *spec)
{
    uint32_t count = (uint32_t)min_u64(place, SIM_JOB_AFTER_COUNT_MAX);

    spec->is_in_flow = true;
    if (place == 0 || sim_job_draw(crew, 4) == 0)
        return;
    count = 1 + sim_job_draw(crew, count);
    spec->delay_ms = 0;
    spec->on_failure = (uint8_t)(SIM_JOB_ON_FAILURE_FAIL + sim_job_draw(crew, 3));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t earlier = first + order[sim_job_draw(crew, place)];
        bool is_there = false;

        for (uint32_t n = 0; n < spec->after_count; n++)
            is_there = is_there || spec->after[n] == earlier;
        if (!is_there)
            spec->after[spec->after_count++] = earlier;
    }
}

static void draw_order(const struct sim_job_crew *crew, uint32_t count, uint32_t *ret_order)
{
    for (uint32_t i = 0; i < count; i++)
        ret_order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = sim_job_draw(crew, i), kept = ret_order[i - 1];

        ret_order[i - 1] = ret_order[other];
        ret_order[other] = kept;
    }
}

/* The place of n in order. */
static uint32_t place_of(uint32_t n, const uint32_t *order)
{
    uint32_t place = 0;

    while (order[place] != n)
        place++;
    return place;
}

static void draw_form(struct sim_job_client *client)
{
    const struct sim_job_crew *crew = client->crew;
    uint32_t drawn = crew->spec.flows_only ? SIM_JOB_FORM_FLOW : sim_job_draw(crew, 3);

    client->form = SIM_JOB_FORM_SINGLE;
    client->count = 1;
    if (drawn == SIM_JOB_FORM_BATCH && crew->spec.batch_count_max > 1) {
        client->form = SIM_JOB_FORM_BATCH;
        client->count = 1 + sim_job_draw(crew, crew->spec.batch_count_max);
    } else if (drawn == SIM_JOB_FORM_FLOW && crew->spec.flow_count_max > 1) {
        client->form = SIM_JOB_FORM_FLOW;
        client->count = 1 + sim_job_draw(crew, crew->spec.flow_count_max);
    }
    client->repeats = crew->spec.has_claims && sim_job_draw(crew, 3) == 0;
}

static void ask_jobs(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    struct sim_job_model *model = crew->model;
    uint32_t tenant = sim_job_has_second_tenant(crew) && sim_world_coin(crew->world);
    uint32_t order[SIM_JOB_BATCH_COUNT_MAX];

    draw_form(client);
    draw_order(crew, client->count, order);
    client->job = model->job_count;
    model->request_count++;
    for (uint32_t i = 0; i < client->count; i++) {
        struct sim_job_spec spec;

        draw_spec(crew, tenant, !client->repeats && client->form != SIM_JOB_FORM_FLOW, &spec);
        if (client->form == SIM_JOB_FORM_FLOW)
            draw_after(crew, client->job, place_of(i, order), order, &spec);
        if (client->repeats) {
            spec.unique = SIM_JOB_UNIQUE_IDEMPOTENCY;
            spec.unique_key = model->request_count * SIM_JOB_CLAIM_PLACES + i;
        }
        (void)sim_job_model_add(model, &spec);
    }
    sim_job_ask_jobs(client);
}

/* An Idempotency-Key that was accepted, with another job. False: none was found. */
static bool ask_misused(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    for (uint32_t i = 0; i < PICK_COUNT_MAX && crew->model->job_count > 0; i++) {
        uint32_t job = sim_job_draw(crew, crew->model->job_count);
        struct sim_job_spec spec = crew->model->jobs[job].spec;

        if (spec.unique != SIM_JOB_UNIQUE_IDEMPOTENCY ||
            spec.unique_key % SIM_JOB_CLAIM_PLACES != 0 || spec.is_in_flow ||
            crew->model->jobs[job].told_tick == 0)
            continue;
        spec.request = ++crew->model->request_count;
        spec.queue = (uint8_t)(spec.queue / SIM_JOB_KIND_COUNT * SIM_JOB_KIND_COUNT +
                               sim_job_draw(crew, crew->spec.kind_count));
        client->form = SIM_JOB_FORM_SINGLE;
        client->count = 1;
        client->repeats = false;
        client->job = sim_job_model_add(crew->model, &spec);
        sim_job_ask_jobs(client);
        return true;
    }
    return false;
}

void sim_job_produce(struct sim_job_client *client)
{
    if (sim_job_draw(client->crew, 20) != 0 || !ask_misused(client))
        ask_jobs(client);
}

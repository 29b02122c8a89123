#include "tools/sim/sim_job_worker.h"

#include "tools/sim/sim_job_asks.h"

/*
 * A worker has a drawn number of leases and does what comes to its mind with them: most it
 * answers for, one by one, several at once or together with the question for more. Some it
 * forgets, and later it may remember what is no longer its own. At the end of a run it is
 * only diligent.
 */
enum {
    CRASH_ODDS = 60, /* one turn in so many ends with all leases forgotten */
    FALSE_DELIVERIES = 1000000,
};

void sim_job_let_go(struct sim_job_client *client, uint32_t lease)
{
    for (uint32_t i = 0; i < client->held_count; i++) {
        if (client->held[i] != lease)
            continue;
        client->held[i] = client->held[--client->held_count];
        client->past[client->past_count++ % SIM_JOB_PAST_COUNT_MAX] = lease;
        return;
    }
}

static void draw_finish(struct sim_job_client *client, uint32_t lease)
{
    const struct sim_job_crew *crew = client->crew;
    struct sim_job_finish *finish = &client->finishes[client->finish_count++];

    *finish = (struct sim_job_finish){.lease = lease, .is_retryable = true};
    if (crew->stage != SIM_JOB_CREW_BUSY || !sim_job_strikes(crew, crew->spec.fail_percent))
        return;
    finish->is_failure = true;
    finish->is_retryable = sim_job_draw(crew, 6) != 0;
    if (sim_job_draw(crew, 3) == 0)
        finish->retry_after_ms = 1 + sim_job_draw_small(crew, 30000);
}

/* Outcomes for some of what it holds. */
static void draw_finishes(struct sim_job_client *client)
{
    uint32_t count = 1 + sim_job_draw(client->crew, client->held_count);

    client->finish_count = 0;
    for (uint32_t i = 0; i < count; i++)
        draw_finish(client, client->held[i]);
}

/* The model hears of what is being sent. */
static void tell_finishes(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    for (uint32_t i = 0; i < client->finish_count; i++) {
        const struct sim_job_finish *finish = &client->finishes[i];
        uint32_t job = crew->model->leases[finish->lease].job;

        sim_job_finish(crew->model, finish);
        sim_story_tell(crew->story, sim_job_number(job), 1,
                       "crew %u says that job %u %s, under epoch %llx", client->index, job,
                       finish->is_failure ? "failed" : "completed",
                       (unsigned long long)crew->model->leases[finish->lease].epoch);
    }
}

static void ask_lease(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    const struct sim_job_crew_spec *spec = &crew->spec;
    uint32_t room = SIM_JOB_HELD_COUNT_MAX - client->held_count;
    char path[64];

    client->asks = SIM_JOB_ASK_LEASE;
    client->queue = sim_job_draw_queue(client);
    /* Outcomes are of the same project as the queue. */
    for (uint32_t i = 0; i < client->finish_count; i++) {
        uint32_t job = crew->model->leases[client->finishes[i].lease].job;

        if (crew->model->jobs[job].spec.queue / SIM_JOB_KIND_COUNT !=
            client->queue / SIM_JOB_KIND_COUNT)
            client->finishes[i--] = client->finishes[--client->finish_count];
    }
    client->limit = (uint32_t)min_u64(1 + sim_job_draw_small(crew, spec->lease_limit_max), room);
    client->lease_s = 5 + sim_job_draw(crew, spec->lease_s_max);
    client->wait_s = sim_world_coin(crew->world) ? 0 : sim_job_draw(crew, spec->wait_s_max + 1);
    if (crew->stage != SIM_JOB_CREW_BUSY)
        client->wait_s = 1 + sim_job_draw(crew, 20);
    client->ask = sim_job_model_ask(crew->model);
    tell_finishes(client);
    sim_job_lease_ask(crew->model, client->queue);
    sim_job_client_write_lease(client, crew->model);
    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", sim_job_kind(client->queue));
    sim_story_tell(crew->story, SIM_NO_NUMBER, 0,
                   "crew %u leases %u of queue %u for %u s, waits %u s", client->index,
                   client->limit, client->queue, client->lease_s, client->wait_s);
    sim_job_ask(client, "POST", path, sim_job_key_of(crew, client->queue), NULL);
}

static void ask_finish_many(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t queue =
        crew->model->jobs[crew->model->leases[client->finishes[0].lease].job].spec.queue;

    client->asks = SIM_JOB_ASK_FINISH_MANY;
    for (uint32_t i = 1; i < client->finish_count; i++) {
        uint32_t job = crew->model->leases[client->finishes[i].lease].job;

        if (crew->model->jobs[job].spec.queue / SIM_JOB_KIND_COUNT != queue / SIM_JOB_KIND_COUNT)
            client->finishes[i--] = client->finishes[--client->finish_count];
    }
    client->ask = sim_job_model_ask(crew->model);
    tell_finishes(client);
    sim_job_client_write_finishes(client, crew->model);
    sim_job_ask(client, "POST", "/v1/jobs/complete", sim_job_key_of(crew, queue), NULL);
}

static void ask_finish(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    client->asks = SIM_JOB_ASK_FINISH;
    client->finish_count = 1;
    client->job = crew->model->leases[client->finishes[0].lease].job;
    client->ask = sim_job_model_ask(crew->model);
    tell_finishes(client);
    sim_job_client_write_finish(client, crew->model,
                                crew->model->leases[client->finishes[0].lease].epoch);
    sim_job_ask_about(client, "POST", client->finishes[0].is_failure ? "/fail" : "/complete");
}

/* Says that the job of a lease is done, under an epoch that nobody was ever given. */
static void ask_false(struct sim_job_client *client, uint32_t lease)
{
    struct sim_job_crew *crew = client->crew;
    uint64_t epoch = crew->model->leases[lease].epoch;

    client->asks = SIM_JOB_ASK_FINISH_FALSE;
    client->lease = lease;
    client->job = crew->model->leases[lease].job;
    client->finishes[0] = (struct sim_job_finish){.lease = lease};
    epoch = sim_world_coin(crew->world) ? epoch + FALSE_DELIVERIES : epoch + ((uint64_t)1 << 40);
    client->ask = sim_job_model_ask(crew->model);
    sim_job_client_write_finish(client, crew->model, epoch);
    client->finish_count = 0;
    sim_job_ask_about(client, "POST", "/complete");
}

static void ask_extend(struct sim_job_client *client, uint32_t lease)
{
    struct sim_job_crew *crew = client->crew;

    client->asks = SIM_JOB_ASK_EXTEND;
    client->lease = lease;
    client->job = crew->model->leases[lease].job;
    client->lease_s = 5 + sim_job_draw(crew, crew->spec.lease_s_max);
    client->ask = sim_job_model_ask(crew->model);
    sim_job_client_write_extend(client, crew->model);
    sim_job_ask_about(client, "POST", "/extend");
}

/* Something that only a confused worker would say. False: there is nothing to be confused about. */
static bool ask_confused(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t count = (uint32_t)min_u64(client->past_count, SIM_JOB_PAST_COUNT_MAX), lease;

    if (count == 0)
        return false;
    lease = client->past[sim_job_draw(crew, count)];
    if (sim_job_draw(crew, 4) == 0) {
        ask_false(client, lease);
    } else if (sim_job_draw(crew, 4) == 0) {
        ask_extend(client, lease);
    } else {
        client->finish_count = 0;
        draw_finish(client, lease);
        ask_finish(client);
    }
    return true;
}

static void forget_leases(struct sim_job_client *client)
{
    while (client->held_count > 0)
        sim_job_let_go(client, client->held[0]);
}

void sim_job_work(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    bool is_busy = crew->stage == SIM_JOB_CREW_BUSY;
    uint32_t drawn = sim_job_draw(crew, 100);

    client->finish_count = 0;
    if (is_busy && sim_job_draw(crew, CRASH_ODDS) == 0) {
        forget_leases(client);
        sim_http_client_drop(&client->http);
    }
    while (is_busy && client->held_count > 0 && sim_job_strikes(crew, crew->spec.sloth_percent))
        sim_job_let_go(client, client->held[sim_job_draw(crew, client->held_count)]);
    if (is_busy && drawn < 6 && ask_confused(client))
        return;
    if (client->held_count == 0 ||
        (drawn < 25 && client->held_count + 1 < SIM_JOB_HELD_COUNT_MAX && is_busy)) {
        ask_lease(client);
        return;
    }
    if (is_busy && drawn < 33) {
        ask_extend(client, client->held[sim_job_draw(crew, client->held_count)]);
        return;
    }
    draw_finishes(client);
    if (drawn < 60 && client->held_count < SIM_JOB_HELD_COUNT_MAX)
        ask_lease(client);
    else if (drawn < 80)
        ask_finish_many(client);
    else
        ask_finish(client);
}

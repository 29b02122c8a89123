#include "tools/sim/sim_job_operator.h"

#include "tools/sim/sim_job_asks.h"

/*
 * The operator alone changes settings, so that the model can know them; only the second
 * project's key allows it to.
 */
enum { PICK_COUNT_MAX = 12 /* tries to find a job by chance */ };

/* A root that is known to be there, by chance; SIM_JOB_NONE when none was met. */
static uint32_t pick_job(const struct sim_job_crew *crew)
{
    const struct sim_job_model *model = crew->model;

    for (uint32_t i = 0; i < PICK_COUNT_MAX && model->job_count > 0; i++) {
        uint32_t job = sim_job_draw(crew, model->job_count);

        if (model->jobs[job].id[0] != '\0')
            return job;
    }
    return SIM_JOB_NONE;
}

void sim_job_look_at(struct sim_job_client *client, uint32_t job)
{
    client->asks = SIM_JOB_ASK_GET;
    client->job = job;
    client->body[0] = '\0';
    client->ask = sim_job_model_ask(client->crew->model);
    sim_job_ask_about(client, "GET", "");
}

static void ask_cancel(struct sim_job_client *client, uint32_t job)
{
    client->asks = SIM_JOB_ASK_CANCEL;
    client->job = job;
    client->body[0] = '\0';
    client->ask = sim_job_model_ask(client->crew->model);
    sim_job_cancel(client->crew->model, job);
    sim_job_ask_about(client, "POST", "/cancel");
}

static void ask_foreign(struct sim_job_client *client, uint32_t job)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t lease = crew->model->jobs[job].latest_lease;

    client->asks = SIM_JOB_ASK_FOREIGN;
    client->job = job;
    client->body[0] = '\0';
    client->ask = sim_job_model_ask(crew->model);
    if (lease != SIM_JOB_NONE && sim_world_coin(crew->world)) {
        client->finishes[0] = (struct sim_job_finish){.lease = lease};
        sim_job_client_write_finish(client, crew->model, crew->model->leases[lease].epoch);
        sim_job_ask_about(client, "POST", "/complete");
    } else if (sim_world_coin(crew->world)) {
        sim_job_ask_about(client, "POST", "/cancel");
    } else {
        sim_job_ask_about(client, "GET", "");
    }
}

void sim_job_look_at_queue(struct sim_job_client *client, uint32_t queue)
{
    client->asks = SIM_JOB_ASK_QUEUE_GET;
    client->queue = queue;
    client->body[0] = '\0';
    client->ask = sim_job_model_ask(client->crew->model);
    sim_job_ask_of_queue(client, "GET");
}

void sim_job_change_queue(struct sim_job_client *client, uint32_t queue,
                          const struct sim_job_settings *settings)
{
    client->asks = SIM_JOB_ASK_QUEUE_SET;
    client->queue = queue;
    client->settings = *settings;
    client->opens_queue = client->crew->stage == SIM_JOB_CREW_OPENING;
    sim_job_client_write_settings(client);
    client->ask = sim_job_model_ask(client->crew->model);
    sim_job_queue_change(&client->crew->model->queues[queue], settings);
    sim_job_ask_of_queue(client, "PUT");
}

static void ask_change(struct sim_job_client *client)
{
    const struct sim_job_crew *crew = client->crew;
    struct sim_job_settings settings = {
        .concurrency = sim_job_draw(crew, 3) == 0 ? 0 : 1 + sim_job_draw_small(crew, 8),
        .rate_per_s = sim_job_draw(crew, 4) == 0 ? 1 + sim_job_draw_small(crew, 50) : 0,
        .depth_max = sim_job_draw(crew, 6) == 0 ? 5 + sim_job_draw_small(crew, 200) : 0,
        .is_paused = sim_job_draw(crew, 4) == 0,
        .is_draining = sim_job_draw(crew, 12) == 0,
    };

    sim_job_change_queue(client, SIM_JOB_KIND_COUNT + sim_job_draw(crew, crew->spec.kind_count),
                         &settings);
}

static void ask_bad(struct sim_job_client *client)
{
    static const struct {
        const char *path;
        const char *body;
    } bads[] = {
        {"/v1/jobs", "{"},
        {"/v1/jobs", "{\"kind\":\"weir.internal\"}"},
        {"/v1/jobs", "{\"kind\":\"mail\",\"priority\":8}"},
        {"/v1/jobs/batch", "{\"jobs\":[{\"kind\":\"mail\",\"payload\":{\"job\":99999}},{}]}"},
        {"/v1/flows",
         "{\"jobs\":[{\"name\":\"a\",\"kind\":\"mail\",\"after\":[\"b\"],\"on_failure\":"
         "\"fail\"},{\"name\":\"b\",\"kind\":\"mail\",\"after\":[\"a\"],\"on_failure\":"
         "\"fail\"}]}"},
        {"/v1/flows",
         "{\"jobs\":[{\"name\":\"a\",\"kind\":\"mail\",\"after\":[\"x\"],\"on_failure\":"
         "\"fail\"}]}"},
        {"/v1/jobs/mail/lease", "{\"limit\":0}"},
        {"/v1/jobs/complete", "{\"jobs\":[]}"},
    };
    uint32_t i = sim_job_draw(client->crew, ARRAY_COUNT(bads));

    client->asks = SIM_JOB_ASK_BAD;
    client->ask = sim_job_model_ask(client->crew->model);
    snprintf(client->body, sizeof(client->body), "%s", bads[i].body);
    sim_story_tell(client->crew->story, SIM_NO_NUMBER, 0, "crew %u: POST %s %s", client->index,
                   bads[i].path, bads[i].body);
    sim_job_ask(client, "POST", bads[i].path, SIM_SERVER_DEMO_KEY, NULL);
}

/* Looking and cancelling. False when there is nothing to look at. */
bool sim_job_look_around(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t job = pick_job(crew);

    if (job == SIM_JOB_NONE)
        return false;
    if (sim_job_strikes(crew, crew->spec.cancel_percent))
        ask_cancel(client, job);
    else if (sim_job_has_second_tenant(crew) && sim_job_draw(crew, 8) == 0)
        ask_foreign(client, job);
    else
        sim_job_look_at(client, job);
    return true;
}

void sim_job_operate(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t drawn = sim_job_draw(crew, 10);

    if (drawn < 3 && crew->spec.has_limits && sim_job_has_second_tenant(crew)) {
        ask_change(client);
        return;
    }
    if (drawn < 8 && sim_job_look_around(client))
        return;
    if (drawn == 8)
        ask_bad(client);
    else
        sim_job_look_at_queue(client, sim_job_draw_queue(client));
}

#include "tools/sim/sim_job_asks.h"

/*
 * Nothing is decided here: whoever asks has set the client to what is asked, and here it is put
 * into words, told to the story and the model, and sent. Everybody knows the second project's
 * key, too, once there is one.
 */

uint32_t sim_job_draw(const struct sim_job_crew *crew, uint32_t below)
{
    return (uint32_t)rng_below(&crew->world->rng, below);
}

bool sim_job_strikes(const struct sim_job_crew *crew, uint32_t percent)
{
    return sim_job_draw(crew, 100) < percent;
}

uint32_t sim_job_draw_small(const struct sim_job_crew *crew, uint32_t max)
{
    return (uint32_t)sim_world_draw_small(crew->world, max);
}

bool sim_job_has_second_tenant(const struct sim_job_crew *crew)
{
    return crew->keys->keys[0].state == SIM_KEY_LIVE;
}

const char *sim_job_key_of(const struct sim_job_crew *crew, uint32_t queue)
{
    return queue / SIM_JOB_KIND_COUNT == 0 ? SIM_SERVER_DEMO_KEY : crew->keys->keys[0].secret;
}

void sim_job_ask(struct sim_job_client *client, const char *method, const char *path,
                 const char *key, const char *claim)
{
    client->crew->request_count++;
    sim_job_client_send(client, method, path, key, claim);
}

/* What is special about a job, for the story. */
static void tell_spec(const struct sim_job_crew *crew, uint32_t job)
{
    static const char *const modes[] = {"", ", singleton", ", throttle", ", debounce", ""};
    static const char *const on_failures[] = {"", ", fail", ", continue", ", ignore"};
    const struct sim_job_spec *spec = &crew->model->jobs[job].spec;
    char after[8 * SIM_JOB_AFTER_COUNT_MAX] = "";

    for (uint32_t i = 0, used = 0; i < spec->after_count; i++)
        used += (uint32_t)snprintf(after + used, sizeof(after) - used, " %u", spec->after[i]);
    sim_story_tell(crew->story, sim_job_number(job), 1,
                   "job %u: queue %u, priority %u, attempts %u, key %u, delay %u ms, deadline %u "
                   "ms%s %u%s%s",
                   job, spec->queue, spec->priority, spec->max_attempts, spec->key, spec->delay_ms,
                   spec->deadline_ms, modes[spec->unique], spec->unique_key,
                   on_failures[spec->on_failure], after);
}

void sim_job_ask_jobs(struct sim_job_client *client)
{
    static const char *const paths[] = {"/v1/jobs", "/v1/jobs/batch", "/v1/flows"};
    struct sim_job_crew *crew = client->crew;
    const struct sim_job_spec *spec = &crew->model->jobs[client->job].spec;
    char claim[32] = "";

    client->asks = SIM_JOB_ASK_ENQUEUE;
    sim_job_client_write_jobs(client, crew->model);
    client->ask = sim_job_model_ask(crew->model);
    for (uint32_t i = 0; i < client->count; i++) {
        if (client->attempt_count == 0)
            tell_spec(crew, client->job + i);
        sim_job_send(crew->model, client->job + i);
    }
    if (spec->unique == SIM_JOB_UNIQUE_IDEMPOTENCY)
        snprintf(claim, sizeof(claim), "claim-%u", spec->unique_key / SIM_JOB_CLAIM_PLACES);
    sim_story_tell(crew->story, sim_job_number(client->job), client->count,
                   "crew %u: POST %s, jobs %u..%u%s%s, attempt %u", client->index,
                   paths[client->form], client->job, client->job + client->count - 1,
                   claim[0] != '\0' ? ", " : "", claim, client->attempt_count + 1);
    sim_job_ask(client, "POST", paths[client->form], sim_job_key_of(crew, spec->queue),
                claim[0] != '\0' ? claim : NULL);
}

/* Sends something about one job; the body is written. */
void sim_job_ask_about(struct sim_job_client *client, const char *method, const char *what)
{
    struct sim_job_crew *crew = client->crew;
    const struct sim_job *job = &crew->model->jobs[client->job];
    uint32_t queue = job->spec.queue;
    char path[96];

    snprintf(path, sizeof(path), "/v1/jobs/%s%s", job->id, what);
    sim_story_tell(crew->story, sim_job_number(client->job), 1, "crew %u: %s job %u%s",
                   client->index, method, client->job, what);
    if (client->asks == SIM_JOB_ASK_FOREIGN)
        queue = (queue + SIM_JOB_KIND_COUNT) % SIM_JOB_QUEUE_COUNT;
    sim_job_ask(client, method, path, sim_job_key_of(crew, queue), NULL);
}

/* Sends something about a queue; the body is written. */
void sim_job_ask_of_queue(struct sim_job_client *client, const char *method)
{
    char path[96];

    snprintf(path, sizeof(path), "/v1/queues/%s", sim_job_kind(client->queue));
    sim_story_tell(client->crew->story, SIM_NO_NUMBER, 0, "crew %u: %s queue %u %s", client->index,
                   method, client->queue, client->body);
    sim_job_ask(client, method, path, sim_job_key_of(client->crew, client->queue), NULL);
}

uint32_t sim_job_draw_queue(const struct sim_job_client *client)
{
    const struct sim_job_crew *crew = client->crew;
    uint32_t tenant = sim_job_has_second_tenant(crew) && sim_world_coin(crew->world);

    return tenant * SIM_JOB_KIND_COUNT + sim_job_draw(crew, crew->spec.kind_count);
}

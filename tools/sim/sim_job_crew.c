#include "tools/sim/sim_job_crew.h"

#include <arpa/inet.h>

#include "runtime/io_sim.h"
#include "tools/sim/sim_job_judgement.h"

/*
 * What is not asked with an Idempotency-Key is never sent again: nobody could tell the
 * second from the first. Everybody knows the second project's key, too, once there is one.
 * The operator alone changes settings, so that the model can know them; only the second
 * project's key allows it to.
 */
enum {
    GIVE_UP_ODDS = 40,   /* one refused attempt in so many is the last one */
    PICK_COUNT_MAX = 12, /* tries to find a job by chance */
    CLAIM_PLACES = 64,   /* jobs that one Idempotency-Key may stand for */
    CRASH_ODDS = 60,     /* one worker's turn in so many ends with all its leases forgotten */
    FALSE_DELIVERIES = 1000000,
    BODY_TOLD_SIZE_MAX = 120, /* of an answer, in the story */
    IDLE_REST_MS_MAX = 500,   /* of a worker that found nothing to do */
    CHECK_REST_MS = 1000,     /* between looks at the queues at the end */
};

static const uint64_t RETRY_AFTER_NS = 1000000000;

static_assert((int)SIM_JOB_BATCH_COUNT_MAX <= (int)CLAIM_PLACES, "places");

static void on_done(struct sim_http_request *request);
static void on_rest_over(struct sim_event *event);

uint32_t sim_job_number(uint32_t job)
{
    return SIM_STORY_JOB_FIRST + job;
}

static uint32_t draw(const struct sim_job_crew *crew, uint32_t below)
{
    return (uint32_t)rng_below(&crew->world->rng, below);
}

static bool strikes(const struct sim_job_crew *crew, uint32_t percent)
{
    return draw(crew, 100) < percent;
}

/* Up to max, but most of the time far less. */
static uint32_t draw_small(const struct sim_job_crew *crew, uint32_t max)
{
    return draw(crew, 1 + draw(crew, max));
}

/* --- machines and clients ------------------------------------------------- */

static void connect_client(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    sim_http_client_init(&client->http, crew->world, crew->hosts[client->host].io,
                         (struct sockaddr *)&crew->address, sizeof(crew->address));
    client->http.split_ppm = draw(crew, crew->spec.split_ppm_max + 1);
    client->http.pause_ns.max = rng_below(&crew->world->rng, crew->spec.pause_ns_max + 1);
}

static void switch_on(struct sim_job_crew *crew, struct sim_job_host *host)
{
    int r = io_sim_new(host->host, &host->io);

    assert(r == 0);
    sim_driver_add_io(crew->driver, host->io);
}

void sim_job_crew_init(struct sim_job_crew *crew, const struct sim_job_crew_spec *spec,
                       struct sim_driver *driver, struct sim_story *story,
                       struct sim_job_model *model, struct sim_check *check,
                       const struct sim_keys *keys)
{
    static const char *const names[SIM_JOB_HOST_COUNT] = {"office", "worker"};

    assert(spec->client_count != 1);
    assert(spec->client_count <= SIM_JOB_CLIENT_COUNT_MAX);
    memset(crew, 0, sizeof(*crew));
    crew->spec = *spec;
    crew->world = driver->world;
    crew->driver = driver;
    crew->story = story;
    crew->model = model;
    crew->check = check;
    crew->keys = keys;
    crew->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(SIM_SERVER_PORT)};
    crew->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (uint32_t i = 0; i < SIM_JOB_HOST_COUNT; i++) {
        crew->hosts[i].host = sim_host_new(crew->world, names[i]);
        switch_on(crew, &crew->hosts[i]);
    }
    for (uint32_t i = 0; i < spec->client_count; i++) {
        struct sim_job_client *client = &crew->clients[i];

        client->crew = crew;
        client->index = i;
        client->host = i % 3 == 2;
        client->rest_over.on_due = on_rest_over;
        client->request.on_done = on_done;
        connect_client(client);
    }
}

void sim_job_crew_deinit(struct sim_job_crew *crew)
{
    for (uint32_t i = 0; i < SIM_JOB_HOST_COUNT; i++) {
        sim_driver_remove_io(crew->driver, crew->hosts[i].io);
        io_free(&crew->hosts[i].io);
    }
    for (uint32_t i = 0; i < crew->spec.client_count; i++) {
        sim_http_client_deinit(&crew->clients[i].http);
        sim_world_unschedule(crew->world, &crew->clients[i].rest_over);
    }
}

/* --- sending -------------------------------------------------------------------- */

static bool has_second_tenant(const struct sim_job_crew *crew)
{
    return crew->keys->keys[0].state == SIM_KEY_LIVE;
}

static const char *key_of(const struct sim_job_crew *crew, uint32_t queue)
{
    return queue / SIM_JOB_KIND_COUNT == 0 ? SIM_SERVER_DEMO_KEY : crew->keys->keys[0].secret;
}

static void send_request(struct sim_job_client *client, const char *method, const char *path,
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

static void send_jobs(struct sim_job_client *client)
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
        snprintf(claim, sizeof(claim), "claim-%u", spec->unique_key / CLAIM_PLACES);
    sim_story_tell(crew->story, sim_job_number(client->job), client->count,
                   "crew %u: POST %s, jobs %u..%u%s%s, attempt %u", client->index,
                   paths[client->form], client->job, client->job + client->count - 1,
                   claim[0] != '\0' ? ", " : "", claim, client->attempt_count + 1);
    send_request(client, "POST", paths[client->form], key_of(crew, spec->queue),
                 claim[0] != '\0' ? claim : NULL);
}

/* Sends something about one job; the body is written. */
static void send_about(struct sim_job_client *client, const char *method, const char *what)
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
    send_request(client, method, path, key_of(crew, queue), NULL);
}

/* Sends something about a queue; the body is written. */
static void send_queue(struct sim_job_client *client, const char *method)
{
    char path[96];

    snprintf(path, sizeof(path), "/v1/queues/%s", sim_job_kind(client->queue));
    sim_story_tell(client->crew->story, SIM_NO_NUMBER, 0, "crew %u: %s queue %u %s", client->index,
                   method, client->queue, client->body);
    send_request(client, method, path, key_of(client->crew, client->queue), NULL);
}

/* --- what to ask: producers -------------------------------------------------------- */

static void draw_unique(const struct sim_job_crew *crew, struct sim_job_spec *spec)
{
    spec->unique = (uint8_t)(SIM_JOB_UNIQUE_SINGLETON + draw(crew, SIM_JOB_UNIQUE_DEBOUNCE));
    spec->unique_key = 1 + draw(crew, crew->spec.unique_count);
    if (spec->unique != SIM_JOB_UNIQUE_SINGLETON)
        spec->unique_ms = 1 + draw_small(crew, 30000);
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
        .queue = (uint8_t)(tenant * SIM_JOB_KIND_COUNT + draw(crew, its->kind_count)),
        .priority = sim_world_coin(crew->world) ? 3 : (uint8_t)draw(crew, 8),
        .max_attempts = (uint8_t)(1 + draw(crew, draw(crew, 4) == 0 ? 2 : 6)),
        .filler_size = (uint16_t)draw_small(crew, its->filler_size + 1),
        .request = crew->model->request_count,
    };
    if (its->key_count > 0 && draw(crew, 3) == 0)
        spec->key = 1 + draw(crew, its->key_count);
    if (its->delay_ms_max > 0 && draw(crew, 4) == 0)
        spec->delay_ms = draw_small(crew, its->delay_ms_max);
    if (its->deadline_odds > 0 && draw(crew, its->deadline_odds) == 0)
        spec->deadline_ms = 1 + draw_small(crew, 120000);
    if (may_be_unique && its->unique_count > 0 && draw(crew, 3) == 0)
        draw_unique(crew, spec);
}

/* What it comes after are any of the flow's jobs before it in a drawn order. */
static void draw_after(const struct sim_job_crew *crew, uint32_t first, uint32_t place,
                       const uint32_t *order, struct sim_job_spec *spec)
{
    uint32_t count = (uint32_t)min_u64(place, SIM_JOB_AFTER_COUNT_MAX);

    spec->is_in_flow = true;
    if (place == 0 || draw(crew, 4) == 0)
        return;
    count = 1 + draw(crew, count);
    spec->delay_ms = 0;
    spec->on_failure = (uint8_t)(SIM_JOB_ON_FAILURE_FAIL + draw(crew, 3));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t earlier = first + order[draw(crew, place)];
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
        uint32_t other = draw(crew, i), kept = ret_order[i - 1];

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
    uint32_t drawn = crew->spec.flows_only ? SIM_JOB_FORM_FLOW : draw(crew, 3);

    client->form = SIM_JOB_FORM_SINGLE;
    client->count = 1;
    if (drawn == SIM_JOB_FORM_BATCH && crew->spec.batch_count_max > 1) {
        client->form = SIM_JOB_FORM_BATCH;
        client->count = 1 + draw(crew, crew->spec.batch_count_max);
    } else if (drawn == SIM_JOB_FORM_FLOW && crew->spec.flow_count_max > 1) {
        client->form = SIM_JOB_FORM_FLOW;
        client->count = 1 + draw(crew, crew->spec.flow_count_max);
    }
    client->repeats = crew->spec.has_claims && draw(crew, 3) == 0;
}

static void ask_jobs(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    struct sim_job_model *model = crew->model;
    uint32_t tenant = has_second_tenant(crew) && sim_world_coin(crew->world);
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
            spec.unique_key = model->request_count * CLAIM_PLACES + i;
        }
        (void)sim_job_model_add(model, &spec);
    }
    send_jobs(client);
}

/* An Idempotency-Key that was accepted, with another job. False: none was found. */
static bool ask_misused(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    for (uint32_t i = 0; i < PICK_COUNT_MAX && crew->model->job_count > 0; i++) {
        uint32_t job = draw(crew, crew->model->job_count);
        struct sim_job_spec spec = crew->model->jobs[job].spec;

        if (spec.unique != SIM_JOB_UNIQUE_IDEMPOTENCY || spec.unique_key % CLAIM_PLACES != 0 ||
            spec.is_in_flow || crew->model->jobs[job].told_tick == 0)
            continue;
        spec.request = ++crew->model->request_count;
        spec.queue = (uint8_t)(spec.queue / SIM_JOB_KIND_COUNT * SIM_JOB_KIND_COUNT +
                               draw(crew, crew->spec.kind_count));
        client->form = SIM_JOB_FORM_SINGLE;
        client->count = 1;
        client->repeats = false;
        client->job = sim_job_model_add(crew->model, &spec);
        send_jobs(client);
        return true;
    }
    return false;
}

/* --- what to ask: workers ------------------------------------------------------------ */

static uint32_t draw_queue(const struct sim_job_client *client)
{
    const struct sim_job_crew *crew = client->crew;
    uint32_t tenant = has_second_tenant(crew) && sim_world_coin(crew->world);

    return tenant * SIM_JOB_KIND_COUNT + draw(crew, crew->spec.kind_count);
}

void sim_job_crew_let_go(struct sim_job_client *client, uint32_t lease)
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
    if (crew->stage != SIM_JOB_CREW_BUSY || !strikes(crew, crew->spec.fail_percent))
        return;
    finish->is_failure = true;
    finish->is_retryable = draw(crew, 6) != 0;
    if (draw(crew, 3) == 0)
        finish->retry_after_ms = 1 + draw_small(crew, 30000);
}

/* Outcomes for some of what it holds. */
static void draw_finishes(struct sim_job_client *client)
{
    uint32_t count = 1 + draw(client->crew, client->held_count);

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
    client->queue = draw_queue(client);
    /* Outcomes are of the same project as the queue. */
    for (uint32_t i = 0; i < client->finish_count; i++) {
        uint32_t job = crew->model->leases[client->finishes[i].lease].job;

        if (crew->model->jobs[job].spec.queue / SIM_JOB_KIND_COUNT !=
            client->queue / SIM_JOB_KIND_COUNT)
            client->finishes[i--] = client->finishes[--client->finish_count];
    }
    client->limit = (uint32_t)min_u64(1 + draw_small(crew, spec->lease_limit_max), room);
    client->lease_s = 5 + draw(crew, spec->lease_s_max);
    client->wait_s = sim_world_coin(crew->world) ? 0 : draw(crew, spec->wait_s_max + 1);
    if (crew->stage != SIM_JOB_CREW_BUSY)
        client->wait_s = 1 + draw(crew, 20);
    client->ask = sim_job_model_ask(crew->model);
    tell_finishes(client);
    sim_job_lease_ask(crew->model, client->queue);
    sim_job_client_write_lease(client, crew->model);
    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", sim_job_kind(client->queue));
    sim_story_tell(crew->story, SIM_NO_NUMBER, 0,
                   "crew %u leases %u of queue %u for %u s, waits %u s", client->index,
                   client->limit, client->queue, client->lease_s, client->wait_s);
    send_request(client, "POST", path, key_of(crew, client->queue), NULL);
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
    send_request(client, "POST", "/v1/jobs/complete", key_of(crew, queue), NULL);
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
    send_about(client, "POST", client->finishes[0].is_failure ? "/fail" : "/complete");
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
    send_about(client, "POST", "/complete");
}

static void ask_extend(struct sim_job_client *client, uint32_t lease)
{
    struct sim_job_crew *crew = client->crew;

    client->asks = SIM_JOB_ASK_EXTEND;
    client->lease = lease;
    client->job = crew->model->leases[lease].job;
    client->lease_s = 5 + draw(crew, crew->spec.lease_s_max);
    client->ask = sim_job_model_ask(crew->model);
    sim_job_client_write_extend(client, crew->model);
    send_about(client, "POST", "/extend");
}

/* Something that only a confused worker would say. False: there is nothing to be confused about. */
static bool ask_confused(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t count = (uint32_t)min_u64(client->past_count, SIM_JOB_PAST_COUNT_MAX), lease;

    if (count == 0)
        return false;
    lease = client->past[draw(crew, count)];
    if (draw(crew, 4) == 0) {
        ask_false(client, lease);
    } else if (draw(crew, 4) == 0) {
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
        sim_job_crew_let_go(client, client->held[0]);
}

static void work(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    bool is_busy = crew->stage == SIM_JOB_CREW_BUSY;
    uint32_t drawn = draw(crew, 100);

    client->finish_count = 0;
    if (is_busy && draw(crew, CRASH_ODDS) == 0) {
        forget_leases(client);
        sim_http_client_drop(&client->http);
    }
    while (is_busy && client->held_count > 0 && strikes(crew, crew->spec.sloth_percent))
        sim_job_crew_let_go(client, client->held[draw(crew, client->held_count)]);
    if (is_busy && drawn < 6 && ask_confused(client))
        return;
    if (client->held_count == 0 ||
        (drawn < 25 && client->held_count + 1 < SIM_JOB_HELD_COUNT_MAX && is_busy)) {
        ask_lease(client);
        return;
    }
    if (is_busy && drawn < 33) {
        ask_extend(client, client->held[draw(crew, client->held_count)]);
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

/* --- what to ask: everybody, and the operator ------------------------------------------ */

/* A root that is known to be there, by chance; SIM_JOB_NONE when none was met. */
static uint32_t pick_job(const struct sim_job_crew *crew)
{
    const struct sim_job_model *model = crew->model;

    for (uint32_t i = 0; i < PICK_COUNT_MAX && model->job_count > 0; i++) {
        uint32_t job = draw(crew, model->job_count);

        if (model->jobs[job].id[0] != '\0')
            return job;
    }
    return SIM_JOB_NONE;
}

static void ask_get(struct sim_job_client *client, uint32_t job)
{
    client->asks = SIM_JOB_ASK_GET;
    client->job = job;
    client->body[0] = '\0';
    client->ask = sim_job_model_ask(client->crew->model);
    send_about(client, "GET", "");
}

static void ask_cancel(struct sim_job_client *client, uint32_t job)
{
    client->asks = SIM_JOB_ASK_CANCEL;
    client->job = job;
    client->body[0] = '\0';
    client->ask = sim_job_model_ask(client->crew->model);
    sim_job_cancel(client->crew->model, job);
    send_about(client, "POST", "/cancel");
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
        send_about(client, "POST", "/complete");
    } else if (sim_world_coin(crew->world)) {
        send_about(client, "POST", "/cancel");
    } else {
        send_about(client, "GET", "");
    }
}

static void ask_queue(struct sim_job_client *client, uint32_t queue)
{
    client->asks = SIM_JOB_ASK_QUEUE_GET;
    client->queue = queue;
    client->body[0] = '\0';
    client->ask = sim_job_model_ask(client->crew->model);
    send_queue(client, "GET");
}

static void change_queue(struct sim_job_client *client, uint32_t queue,
                         const struct sim_job_settings *settings)
{
    client->asks = SIM_JOB_ASK_QUEUE_SET;
    client->queue = queue;
    client->settings = *settings;
    client->opens_queue = client->crew->stage == SIM_JOB_CREW_OPENING;
    sim_job_client_write_settings(client);
    client->ask = sim_job_model_ask(client->crew->model);
    sim_job_queue_change(&client->crew->model->queues[queue], settings);
    send_queue(client, "PUT");
}

static void ask_change(struct sim_job_client *client)
{
    const struct sim_job_crew *crew = client->crew;
    struct sim_job_settings settings = {
        .concurrency = draw(crew, 3) == 0 ? 0 : 1 + draw_small(crew, 8),
        .rate_per_s = draw(crew, 4) == 0 ? 1 + draw_small(crew, 50) : 0,
        .depth_max = draw(crew, 6) == 0 ? 5 + draw_small(crew, 200) : 0,
        .is_paused = draw(crew, 4) == 0,
        .is_draining = draw(crew, 12) == 0,
    };

    change_queue(client, SIM_JOB_KIND_COUNT + draw(crew, crew->spec.kind_count), &settings);
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
    uint32_t i = draw(client->crew, ARRAY_COUNT(bads));

    client->asks = SIM_JOB_ASK_BAD;
    client->ask = sim_job_model_ask(client->crew->model);
    snprintf(client->body, sizeof(client->body), "%s", bads[i].body);
    sim_story_tell(client->crew->story, SIM_NO_NUMBER, 0, "crew %u: POST %s %s", client->index,
                   bads[i].path, bads[i].body);
    send_request(client, "POST", bads[i].path, SIM_SERVER_DEMO_KEY, NULL);
}

/* Looking and cancelling. False when there is nothing to look at. */
static bool look_around(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t job = pick_job(crew);

    if (job == SIM_JOB_NONE)
        return false;
    if (strikes(crew, crew->spec.cancel_percent))
        ask_cancel(client, job);
    else if (has_second_tenant(crew) && draw(crew, 8) == 0)
        ask_foreign(client, job);
    else
        ask_get(client, job);
    return true;
}

bool sim_job_crew_is_full(const struct sim_job_crew *crew)
{
    return crew->model->job_count + SIM_JOB_BATCH_COUNT_MAX > crew->spec.job_count_max;
}

static void operate(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t drawn = draw(crew, 10);

    if (drawn < 3 && crew->spec.has_limits && has_second_tenant(crew)) {
        ask_change(client);
        return;
    }
    if (drawn < 8 && look_around(client))
        return;
    if (drawn == 8)
        ask_bad(client);
    else
        ask_queue(client, draw_queue(client));
}

static void ask_busy(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    if (client->index == 0) {
        operate(client);
        return;
    }
    if (draw(crew, 12) == 0 && look_around(client))
        return;
    if (client->index > crew->spec.producer_count || sim_job_crew_is_full(crew))
        work(client);
    else if (draw(crew, 20) != 0 || !ask_misused(client))
        ask_jobs(client);
}

/* --- the end ------------------------------------------------------------------------------ */

static bool is_enqueueing(const struct sim_job_crew *crew)
{
    for (uint32_t i = 0; i < crew->spec.client_count; i++)
        if (crew->clients[i].is_asking && crew->clients[i].asks == SIM_JOB_ASK_ENQUEUE)
            return true;
    return false;
}

/* The next job that was ever seen, from the cursor on; or SIM_JOB_NONE, and nobody looks more. */
static uint32_t next_to_look_at(struct sim_job_crew *crew)
{
    while (crew->cursor < crew->model->job_count) {
        uint32_t job = crew->cursor++;

        if (crew->model->jobs[job].id[0] != '\0')
            return job;
    }
    return SIM_JOB_NONE;
}

static void open_queues(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    /* The one before was set when the answer said so: the judgement moves the cursor. */
    if (crew->cursor < crew->spec.kind_count && crew->spec.has_limits && has_second_tenant(crew)) {
        change_queue(client, SIM_JOB_KIND_COUNT + crew->cursor,
                     &(struct sim_job_settings){.concurrency = 0});
        return;
    }
    crew->stage = SIM_JOB_CREW_WORKING;
    crew->cursor = 1;
    ask_queue(client, 0);
}

static void look_at_queues(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t count = has_second_tenant(crew) ? SIM_JOB_QUEUE_COUNT : SIM_JOB_KIND_COUNT;

    if (is_enqueueing(crew))
        crew->empty_count = 0;
    if (crew->empty_count < count) {
        ask_queue(client, crew->cursor++ % count);
        return;
    }
    sim_story_tell(crew->story, SIM_NO_NUMBER, 0, "all queues are empty");
    crew->stage = SIM_JOB_CREW_LOOKING;
    crew->cursor = 0;
    client->is_asking = false;
    sim_job_crew_start(crew);
}

static void ask_settling(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t job;

    if (crew->stage == SIM_JOB_CREW_LOOKING) {
        job = next_to_look_at(crew);
        if (job != SIM_JOB_NONE)
            ask_get(client, job);
        else if (sim_job_crew_is_quiet(crew))
            crew->stage = SIM_JOB_CREW_SETTLED;
        return;
    }
    if (client->index != 0)
        work(client);
    else if (crew->stage == SIM_JOB_CREW_OPENING)
        open_queues(client);
    else
        look_at_queues(client);
}

void sim_job_crew_settle(struct sim_job_crew *crew)
{
    assert(crew->stage == SIM_JOB_CREW_BUSY);
    crew->gives_up_never = true;
    crew->is_paused = false;
    crew->stage = crew->spec.client_count > 0 ? SIM_JOB_CREW_OPENING : SIM_JOB_CREW_SETTLED;
    crew->cursor = 0;
}

/* --- asking and answers ------------------------------------------------------------------- */

static void ask_new(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    client->is_asking = false;
    client->attempt_count = 0;
    client->finish_count = 0;
    client->asks = SIM_JOB_ASK_NOTHING;
    if (crew->is_paused || crew->stage == SIM_JOB_CREW_SETTLED)
        return;
    crew->model->now_ns = crew->world->mono_ns;
    if (draw(crew, crew->spec.drop_odds) == 0)
        sim_http_client_drop(&client->http);
    if (crew->stage == SIM_JOB_CREW_BUSY)
        ask_busy(client);
    else
        ask_settling(client);
}

static void ask_again(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    crew->model->now_ns = crew->world->mono_ns;
    if (client->asks == SIM_JOB_ASK_ENQUEUE)
        send_jobs(client);
    else
        ask_get(client, client->job);
}

static void rest(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint64_t rest_ns = sim_range_draw(&crew->spec.rest_ns, &crew->world->rng);

    /* As Retry-After asks for. */
    if (!client->request.lost && (client->request.status == 429 || client->request.status == 503))
        rest_ns += RETRY_AFTER_NS;
    /* Who only looks brings nothing forward, however often. */
    if (client->found_nothing || (client->index == 0 && crew->stage == SIM_JOB_CREW_BUSY))
        rest_ns += rng_below(&crew->world->rng, (uint64_t)IDLE_REST_MS_MAX * 1000000);
    client->found_nothing = false;
    if (crew->stage == SIM_JOB_CREW_LOOKING)
        rest_ns = crew->spec.rest_ns.min;
    if (crew->stage == SIM_JOB_CREW_WORKING && client->index == 0)
        rest_ns += (uint64_t)CHECK_REST_MS * 1000000;
    sim_world_schedule(crew->world, &client->rest_over, rest_ns);
}

static void on_done(struct sim_http_request *request)
{
    struct sim_job_client *client = container_of(request, struct sim_job_client, request);
    struct sim_job_crew *crew = client->crew;
    bool is_about_one = client->asks == SIM_JOB_ASK_ENQUEUE || client->asks == SIM_JOB_ASK_FINISH ||
                        client->asks == SIM_JOB_ASK_GET || client->asks == SIM_JOB_ASK_CANCEL ||
                        client->asks == SIM_JOB_ASK_EXTEND;
    char text[80];

    crew->model->now_ns = crew->world->mono_ns;
    sim_answer_describe(request, text, sizeof(text));
    sim_story_tell(crew->story, is_about_one ? sim_job_number(client->job) : SIM_NO_NUMBER,
                   client->asks == SIM_JOB_ASK_ENQUEUE ? client->count : is_about_one,
                   "crew %u is told %s %.*s", client->index, text,
                   request->lost ? 0 : (int)min_u64(request->body_size, BODY_TOLD_SIZE_MAX),
                   request->body);
    if (!sim_job_judge(client) || (!crew->gives_up_never && draw(crew, GIVE_UP_ODDS) == 0))
        client->asks = SIM_JOB_ASK_NOTHING;
    rest(client);
}

static void on_rest_over(struct sim_event *event)
{
    struct sim_job_client *client = container_of(event, struct sim_job_client, rest_over);

    if (client->asks == SIM_JOB_ASK_NOTHING)
        ask_new(client);
    else
        ask_again(client);
}

void sim_job_crew_start(struct sim_job_crew *crew)
{
    crew->is_paused = false;
    for (uint32_t i = 0; i < crew->spec.client_count; i++)
        if (!crew->clients[i].is_asking)
            ask_new(&crew->clients[i]);
}

bool sim_job_crew_is_quiet(const struct sim_job_crew *crew)
{
    for (uint32_t i = 0; i < crew->spec.client_count; i++)
        if (crew->clients[i].is_asking)
            return false;
    return true;
}

void sim_job_crew_cut_off(struct sim_job_crew *crew)
{
    struct sim_job_host *host = &crew->hosts[SIM_JOB_HOST_COUNT - 1];

    sim_story_tell(crew->story, SIM_NO_NUMBER, 0, "the %s loses its power", host->host->name);
    sim_host_crash(host->host);
    sim_driver_remove_io(crew->driver, host->io);
    io_free(&host->io);
    sim_host_start(host->host);
    switch_on(crew, host);
    for (uint32_t i = 0; i < crew->spec.client_count; i++) {
        struct sim_job_client *client = &crew->clients[i];

        if (crew->hosts[client->host].host != host->host)
            continue;
        sim_http_client_deinit(&client->http);
        connect_client(client);
        if (!client->is_asking || sim_event_is_pending(&client->rest_over))
            continue;
        client->request.lost = true;
        on_done(&client->request);
    }
}

#include "tools/sim/sim_job_crew.h"

#include <arpa/inet.h>

#include "runtime/io_sim.h"
#include "tools/sim/sim_job_asks.h"
#include "tools/sim/sim_job_judgement.h"
#include "tools/sim/sim_job_operator.h"
#include "tools/sim/sim_job_producer.h"
#include "tools/sim/sim_job_worker.h"

/*
 * The crew's machines and connections, whose turn it is and for what, and the rest in between.
 * What a member asks is in sim_job_producer.c, sim_job_worker.c and sim_job_operator.c, and
 * whether the answer can be true in sim_job_judgement.c.
 */
enum {
    GIVE_UP_ODDS = 40,        /* one refused attempt in so many is the last one */
    BODY_TOLD_SIZE_MAX = 120, /* of an answer, in the story */
    IDLE_REST_MS_MAX = 500,   /* of a worker that found nothing to do */
    CHECK_REST_MS = 1000,     /* between looks at the queues at the end */
};

static const uint64_t RETRY_AFTER_NS = 1000000000;
static const uint64_t BACK_OFF_NS = 50000000; /* for each attempt there was */
static const uint64_t BACK_OFF_NS_MAX = 5000000000;

static void on_done(struct sim_http_request *request);
static void on_rest_over(struct sim_event *event);

uint32_t sim_job_number(uint32_t job)
{
    return SIM_STORY_JOB_FIRST + job;
}

/* --- machines and clients ------------------------------------------------- */

static void connect_client(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    sim_http_client_init(&client->http, crew->world, crew->hosts[client->host].io,
                         (struct sockaddr *)&crew->address, sizeof(crew->address));
    client->http.split_ppm = sim_job_draw(crew, crew->spec.split_ppm_max + 1);
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

/* --- what to ask ------------------------------------------------------------------------- */

bool sim_job_crew_is_full(const struct sim_job_crew *crew)
{
    return crew->model->job_count + SIM_JOB_BATCH_COUNT_MAX > crew->spec.job_count_max;
}

static void ask_busy(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    if (client->index == 0) {
        sim_job_operate(client);
        return;
    }
    if (sim_job_draw(crew, 12) == 0 && sim_job_look_around(client))
        return;
    if (client->index > crew->spec.producer_count || sim_job_crew_is_full(crew))
        sim_job_work(client);
    else
        sim_job_produce(client);
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
    if (crew->cursor < crew->spec.kind_count && crew->spec.has_limits &&
        sim_job_has_second_tenant(crew)) {
        sim_job_change_queue(client, SIM_JOB_KIND_COUNT + crew->cursor,
                             &(struct sim_job_settings){.concurrency = 0});
        return;
    }
    crew->stage = SIM_JOB_CREW_WORKING;
    crew->cursor = 1;
    sim_job_look_at_queue(client, 0);
}

static void look_at_queues(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t count = sim_job_has_second_tenant(crew) ? SIM_JOB_QUEUE_COUNT : SIM_JOB_KIND_COUNT;

    if (is_enqueueing(crew))
        crew->empty_count = 0;
    if (crew->empty_count < count) {
        sim_job_look_at_queue(client, crew->cursor++ % count);
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
            sim_job_look_at(client, job);
        else if (sim_job_crew_is_quiet(crew))
            crew->stage = SIM_JOB_CREW_SETTLED;
        return;
    }
    if (client->index != 0)
        sim_job_work(client);
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
    if (sim_job_draw(crew, crew->spec.drop_odds) == 0)
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
        sim_job_ask_jobs(client);
    else
        sim_job_look_at(client, client->job);
}

static void rest(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;
    uint64_t rest_ns = sim_range_draw(&crew->spec.rest_ns, &crew->world->rng);

    /* As Retry-After asks for. */
    if (!client->request.lost && (client->request.status == 429 || client->request.status == 503))
        rest_ns += RETRY_AFTER_NS;
    /* Who is put off again and again asks less and less often. */
    if (client->asks != SIM_JOB_ASK_NOTHING)
        rest_ns += min_u64(client->attempt_count * BACK_OFF_NS, BACK_OFF_NS_MAX);
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
    if (!sim_job_judge(client) || (!crew->gives_up_never && sim_job_draw(crew, GIVE_UP_ODDS) == 0))
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

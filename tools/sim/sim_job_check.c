#include "tools/sim/sim_job_check.h"

/*
 * A job's record is found through the running server's own table, and looked for on the
 * medium without any of its code: the text of the payload, of the result, of the error
 * stands there as it was sent.
 */

enum { LIVE_TOLD_MAX = 10 };

/* The view of the job in the running server, or false. */
static bool find_view(const struct sim_job_crew *crew, struct slice id, struct job_view *ret_view)
{
    const struct app *app = &crew->check->server->app;
    struct job_id parsed;
    struct job_ref ref;
    const struct job_table *table;

    if (!crew->check->server->is_running || !sim_host_is_up(crew->check->server->host) ||
        !job_id_parse(id, &parsed))
        return false;
    table = app->shards[parsed.partition % app->shard_count].jobs.table;
    if (!job_table_find(table, parsed.id_low, &ref))
        return false;
    job_table_view(table, ref, ret_view);
    return true;
}

void sim_job_check_tell(const struct sim_job_crew *crew, uint32_t job)
{
    uint32_t root = crew->model->jobs[job].root;
    const char *id = crew->model->jobs[root].id;
    struct job_view view;

    if (!find_view(crew, (struct slice){id, strlen(id)}, &view))
        sim_story_tell(crew->story, sim_job_number(job), 1, "the server does not know job %u", job);
    else
        sim_story_tell(crew->story, sim_job_number(job), 1,
                       "the server has job %u as %s, attempt %u, delivery %x, created %llu, when "
                       "%llu, log %u, segment %llu",
                       job, job_state_name(view.state), view.attempt, view.delivery,
                       (unsigned long long)view.created_ms, (unsigned long long)view.when_ms,
                       journal_location_log(view.location),
                       (unsigned long long)journal_location_seq(view.location));
}

static void tell_live(const struct sim_job_crew *crew, uint32_t shard, const struct job_view *view)
{
    sim_story_tell(crew->story, SIM_NO_NUMBER, 0,
                   "shard %u: %.*s %012llx of %.*s is %s, attempt %u, crashes %u, when %llu", shard,
                   view->queue->kind_size, view->queue->kind, (unsigned long long)view->id_low,
                   view->queue->project_size, view->queue->project, job_state_name(view->state),
                   view->attempt, view->crash_count, (unsigned long long)view->when_ms);
}

void sim_job_check_tell_live(const struct sim_job_crew *crew)
{
    const struct app *app = &crew->check->server->app;
    uint32_t told_count = 0;

    for (uint32_t i = 0; i < app->shard_count && sim_host_is_up(crew->check->server->host); i++) {
        const struct job_table *table = app->shards[i].jobs.table;
        struct job_ref ref = JOB_REF_NONE;
        struct job_view view;
        bool is_job;

        while (told_count < LIVE_TOLD_MAX) {
            ref = job_table_next(table, ref, UINT32_MAX, &is_job);
            if (ref.index == JOB_REF_NONE.index)
                break;
            job_table_view(table, ref, &view);
            if (!is_job || view.state >= JOB_COMPLETED)
                continue;
            told_count++;
            tell_live(crew, i, &view);
        }
    }
}

static void check_text(const struct sim_job_crew *crew, uint32_t job,
                       struct journal_location location, const char *text, const char *what)
{
    if (sim_check_is_on_medium(crew->check, location, text))
        return;
    sim_story_fail(crew->story, sim_job_number(job),
                   "%s job %u is acknowledged and not on the medium (log %u, segment %llu, "
                   "offset %llu)",
                   what, job, journal_location_log(location),
                   (unsigned long long)journal_location_seq(location),
                   (unsigned long long)journal_location_offset(location));
}

void sim_job_check_is_durable(const struct sim_job_crew *crew, uint32_t job, struct slice id)
{
    struct job_view view;
    char text[32];

    if (!find_view(crew, id, &view)) {
        if (crew->check->server->is_running && sim_host_is_up(crew->check->server->host) &&
            !crew->model->forgets)
            sim_story_fail(crew->story, sim_job_number(job),
                           "job %u is acknowledged, and the server does not know it", job);
        return;
    }
    /* What has ended leaves its payload behind when it is carried, one that was replaced too. */
    if (view.state >= JOB_COMPLETED ||
        crew->model->jobs[job].spec.unique == SIM_JOB_UNIQUE_DEBOUNCE)
        return;
    snprintf(text, sizeof(text), "{\"job\":%u,", job);
    check_text(crew, job, view.location, text, "the payload of");
}

void sim_job_check_outcome_is_durable(const struct sim_job_crew *crew,
                                      const struct sim_job_finish *finish)
{
    const struct sim_job_lease *lease = &crew->model->leases[finish->lease];
    uint32_t job = lease->job;
    const char *id = crew->model->jobs[job].id;
    struct job_view view;
    char text[48];

    if (!find_view(crew, (struct slice){id, strlen(id)}, &view))
        return;
    if (finish->is_failure) {
        snprintf(text, sizeof(text), "job %u failed", job);
        /* Who hears late of it: the lease after it may have run out by now, and said so. */
        if (view.state == JOB_SCHEDULED && view.attempt == lease->attempt &&
            view.last_error.bits != 0)
            check_text(crew, job, view.last_error, text, "the failure of");
        return;
    }
    snprintf(text, sizeof(text), "{\"of\":%u,\"under\":", job);
    if (view.state == JOB_COMPLETED)
        check_text(crew, job, view.result, text, "the result of");
}

void sim_job_check_tables(const struct sim_job_crew *crew)
{
    const struct app *app = &crew->check->server->app;
    const uint64_t oldest_seq[SEGMENT_LOG_MAX + 1] = {0};

    for (uint32_t i = 0; i < app->shard_count; i++) {
        bool round_done = false;
        uint32_t mismatches = 0;

        /* The first round may have begun before; the second one sees all. */
        for (uint32_t round = 0; round < 2; round++)
            do
                mismatches +=
                    job_table_audit(app->shards[i].jobs.table, 4096, oldest_seq, &round_done);
            while (!round_done);
        if (mismatches > 0)
            sim_story_fail(crew->story, SIM_NO_NUMBER,
                           "the tables of shard %u do not add up: %u mismatches", i, mismatches);
    }
    if (sim_server_metric(crew->check->server, app->metrics.jobs.audit_mismatches) > 0)
        sim_story_fail(crew->story, SIM_NO_NUMBER, "the server itself found jobs out of place");
}

void sim_job_check_leaks(const struct sim_job_crew *crew)
{
    const struct app *app = &crew->check->server->app;

    for (uint32_t i = 0; i < app->shard_count; i++) {
        const struct job_desk *desk = &app->shards[i].jobs;

        if (!job_desk_is_idle(desk) || desk->waiting_count > 0)
            sim_story_fail(crew->story, SIM_NO_NUMBER,
                           "shard %u keeps job requests that nobody waits for, %u of them waiting",
                           i, desk->waiting_count);
    }
    sim_job_check_tables(crew);
}

/* What is known to have happened to it, or cannot have: it is not there. */
static bool is_surely_missing(const struct sim_job_crew *crew, uint32_t job)
{
    const struct sim_job *it = &crew->model->jobs[job];

    return it->id[0] == '\0' && it->root == job && !it->is_another &&
           it->spec.unique == SIM_JOB_UNIQUE_NONE && !sim_job_may_have_ended(crew->model, job);
}

void sim_job_check_requests(const struct sim_job_crew *crew)
{
    const struct sim_job_model *model = crew->model;

    for (uint32_t i = 1; i < model->job_count; i++) {
        uint32_t before = i - 1;

        if (model->jobs[i].spec.request != model->jobs[before].spec.request)
            continue;
        if (model->jobs[i].there_tick != 0 && is_surely_missing(crew, before))
            sim_story_fail(crew->story, sim_job_number(before),
                           "job %u is there, and job %u of the same request is not", i, before);
        if (model->jobs[before].there_tick != 0 && is_surely_missing(crew, i))
            sim_story_fail(crew->story, sim_job_number(i),
                           "job %u is there, and job %u of the same request is not", before, i);
    }
}

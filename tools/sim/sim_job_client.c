#include "tools/sim/sim_job_client.h"

#include <stdarg.h>
#include <stdio.h>

/*
 * A body is written piece by piece behind what there is. Numbers that JSON allows to be
 * written in two ways (epochs, seconds) are written in both, job by job.
 */

static const char *const MODES[] = {
    [SIM_JOB_UNIQUE_SINGLETON] = "singleton",
    [SIM_JOB_UNIQUE_THROTTLE] = "throttle",
    [SIM_JOB_UNIQUE_DEBOUNCE] = "debounce",
};

static const char *const ON_FAILURES[] = {
    [SIM_JOB_ON_FAILURE_FAIL] = "fail",
    [SIM_JOB_ON_FAILURE_CONTINUE] = "continue",
    [SIM_JOB_ON_FAILURE_IGNORE] = "ignore",
};

const char *sim_job_kind(uint32_t queue)
{
    static const char *const kinds[SIM_JOB_KIND_COUNT] = {"mail", "report.daily", "image-resize"};

    return kinds[queue % SIM_JOB_KIND_COUNT];
}

char sim_job_filler(uint32_t job, uint32_t index)
{
    return "fedcba9876543210"[(job + index) % 16];
}

PRINTF_LIKE(2, 3)
static void add(struct sim_job_client *client, const char *format, ...)
{
    size_t used = strlen(client->body);
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(client->body + used, sizeof(client->body) - used, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    assert((size_t)size < sizeof(client->body) - used);
}

static void add_filler(struct sim_job_client *client, uint32_t job, uint32_t count)
{
    size_t used = strlen(client->body);

    assert(used + count < sizeof(client->body));
    for (uint32_t i = 0; i < count; i++)
        client->body[used + i] = sim_job_filler(job, i);
    client->body[used + count] = '\0';
}

/* --- jobs --------------------------------------------------------------------- */

static void add_unique(struct sim_job_client *client, const struct sim_job_spec *spec)
{
    if (spec->unique == SIM_JOB_UNIQUE_NONE || spec->unique == SIM_JOB_UNIQUE_IDEMPOTENCY)
        return;
    if (spec->unique == SIM_JOB_UNIQUE_SINGLETON) {
        add(client, ",\"unique\":\"u%u\"", spec->unique_key);
        return;
    }
    add(client, ",\"unique\":{\"key\":\"u%u\",\"mode\":\"%s\",\"seconds\":%u.%03u}",
        spec->unique_key, MODES[spec->unique], spec->unique_ms / 1000, spec->unique_ms % 1000);
}

/* Names and what it comes after, by the job's own number. */
static void add_flow(struct sim_job_client *client, const struct sim_job_spec *spec, uint32_t job)
{
    add(client, "\"name\":\"n%u\",", job);
    if (spec->after_count == 0)
        return;
    add(client, "\"on_failure\":\"%s\",\"after\":[", ON_FAILURES[spec->on_failure]);
    for (uint32_t i = 0; i < spec->after_count; i++)
        add(client, "%s\"n%u\"", i > 0 ? "," : "", spec->after[i]);
    add(client, "],");
}

static void add_job(struct sim_job_client *client, const struct sim_job_model *model, uint32_t job)
{
    const struct sim_job_spec *spec = &model->jobs[job].spec;

    add(client, "{");
    if (client->form == SIM_JOB_FORM_FLOW)
        add_flow(client, spec, job);
    add(client, "\"kind\":\"%s\",\"payload\":{\"job\":%u,\"filler\":\"", sim_job_kind(spec->queue),
        job);
    add_filler(client, job, spec->filler_size);
    add(client, "\"},\"max_attempts\":%u,\"priority\":%u", spec->max_attempts, spec->priority);
    if (spec->key != 0)
        add(client, ",\"key\":\"key %u\"", spec->key);
    if (spec->delay_ms != 0)
        add(client, ",\"delay_seconds\":%u.%03u", spec->delay_ms / 1000, spec->delay_ms % 1000);
    if (spec->deadline_ms != 0)
        add(client, ",\"deadline_seconds\":%u.%03u", spec->deadline_ms / 1000,
            spec->deadline_ms % 1000);
    add_unique(client, spec);
    add(client, "}");
}

void sim_job_client_write_jobs(struct sim_job_client *client, const struct sim_job_model *model)
{
    assert(client->count > 0);
    client->body[0] = '\0';
    if (client->form == SIM_JOB_FORM_SINGLE) {
        add_job(client, model, client->job);
        return;
    }
    add(client, "{\"jobs\":[");
    for (uint32_t i = 0; i < client->count; i++) {
        add(client, "%s", i > 0 ? "," : "");
        add_job(client, model, client->job + i);
    }
    add(client, "]}");
}

/* --- leases and outcomes -------------------------------------------------------- */

static void add_outcome(struct sim_job_client *client, const struct sim_job_model *model,
                        const struct sim_job_finish *finish, uint64_t epoch)
{
    const struct sim_job_lease *lease = &model->leases[finish->lease];
    const char *quote = finish->lease % 2 == 0 ? "\"" : "";

    add(client, "\"epoch\":%s%llu%s", quote, (unsigned long long)epoch, quote);
    if (!finish->is_failure) {
        add(client, ",\"result\":{\"of\":%u,\"under\":\"%llu\"}", lease->job,
            (unsigned long long)epoch);
        return;
    }
    add(client, ",\"error\":\"job %u failed\",\"retryable\":%s", lease->job,
        finish->is_retryable ? "true" : "false");
    if (finish->retry_after_ms != 0)
        add(client, ",\"retry_after_seconds\":%u.%03u", finish->retry_after_ms / 1000,
            finish->retry_after_ms % 1000);
}

static void add_outcomes(struct sim_job_client *client, const struct sim_job_model *model)
{
    for (uint32_t i = 0; i < client->finish_count; i++) {
        const struct sim_job_lease *lease = &model->leases[client->finishes[i].lease];

        add(client, "%s{\"id\":\"%s\",", i > 0 ? "," : "", model->jobs[lease->job].id);
        add_outcome(client, model, &client->finishes[i], lease->epoch);
        add(client, "}");
    }
}

void sim_job_client_write_lease(struct sim_job_client *client, const struct sim_job_model *model)
{
    client->body[0] = '\0';
    add(client, "{\"limit\":%u,\"wait_seconds\":%u,\"lease_seconds\":%u", client->limit,
        client->wait_s, client->lease_s);
    if (client->finish_count > 0) {
        add(client, ",\"complete\":[");
        add_outcomes(client, model);
        add(client, "]");
    }
    add(client, "}");
}

void sim_job_client_write_finishes(struct sim_job_client *client, const struct sim_job_model *model)
{
    client->body[0] = '\0';
    add(client, "{\"jobs\":[");
    add_outcomes(client, model);
    add(client, "]}");
}

void sim_job_client_write_finish(struct sim_job_client *client, const struct sim_job_model *model,
                                 uint64_t epoch)
{
    client->body[0] = '\0';
    add(client, "{");
    add_outcome(client, model, &client->finishes[0], epoch);
    add(client, "}");
}

void sim_job_client_write_extend(struct sim_job_client *client, const struct sim_job_model *model)
{
    const struct sim_job_lease *lease = &model->leases[client->lease];

    client->body[0] = '\0';
    add(client, "{\"epoch\":\"%llu\",\"lease_seconds\":%u", (unsigned long long)lease->epoch,
        client->lease_s);
    if (client->lease % 2 == 0)
        add(client, ",\"progress\":{\"of\":%u,\"part\":%u}", lease->job, client->lease % 100);
    add(client, "}");
}

void sim_job_client_write_settings(struct sim_job_client *client)
{
    const struct sim_job_settings *settings = &client->settings;

    client->body[0] = '\0';
    add(client,
        "{\"concurrency\":%u,\"rate_per_second\":%u,\"max_depth\":%u,\"paused\":%s,"
        "\"draining\":%s}",
        settings->concurrency, settings->rate_per_s, settings->depth_max,
        settings->is_paused ? "true" : "false", settings->is_draining ? "true" : "false");
}

void sim_job_client_send(struct sim_job_client *client, const char *method, const char *path,
                         const char *key, const char *claim)
{
    char header[64] = "";
    int size;

    if (claim != NULL)
        snprintf(header, sizeof(header), "idempotency-key: %s\r\n", claim);
    size = snprintf(client->data, sizeof(client->data),
                    "%s %s HTTP/1.1\r\nhost: sim\r\nx-api-key: %s\r\n%scontent-type: "
                    "application/json\r\ncontent-length: %zu\r\n\r\n%s",
                    method, path, key, header, strlen(client->body), client->body);
    assert(size < (int)sizeof(client->data));
    client->request.data = client->data;
    client->request.size = (uint32_t)size;
    client->is_asking = true;
    client->attempt_count++;
    sim_http_client_submit(&client->http, &client->request);
}

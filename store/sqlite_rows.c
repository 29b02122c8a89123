#include "store/sqlite_internals.h"

#include "contracts/job_kinds.h"
#include "store/job_id.h"

/*
 * Rows that are replaced as their records go on. Incidents and runs have revisions: a record that
 * is carried forward says nothing new, and one from an earlier log may say less than the row.
 * Jobs have none, but their records come in order.
 */

/* The instant, or NULL for 0. */
static void bind_instant(sqlite3_stmt *statement, int index, uint64_t unix_ms)
{
    if (unix_ms != 0)
        sqlite_bind_number(statement, index, (int64_t)unix_ms);
}

/* Remembers the change, unless it is known. */
MUST_USE static int put_change(struct sqlite_backend *self, struct slice id,
                               const struct incident_image *image)
{
    const struct incident_image_header *header = &image->header;
    sqlite3_stmt *statement;
    int r;

    if (header->cause == INCIDENT_CAUSE_SEEN)
        return 0;
    r = sqlite_session_prepare(&self->writer,
                               "INSERT INTO incident_changes (incident_id, revision, at_ms,"
                               " written_ms, cause, actor, status, severity)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
                               &statement);
    if (r < 0)
        return r;
    sqlite_bind_slice(statement, 1, id);
    sqlite_bind_number(statement, 2, (int64_t)header->revision);
    sqlite_bind_number(statement, 3, header->changed_ms);
    sqlite_bind_number(statement, 4, (int64_t)header->written_ms);
    sqlite_bind_number(statement, 5, header->cause);
    sqlite_bind_slice(statement, 6, image->sections[INCIDENT_SECTION_ACTOR]);
    sqlite_bind_number(statement, 7, header->status);
    sqlite_bind_number(statement, 8, header->severity);
    return sqlite_finish(statement);
}

static void bind_incident(sqlite3_stmt *statement, const struct incident_image *image)
{
    const struct incident_image_header *header = &image->header;

    sqlite_bind_number(statement, 3, header->environment);
    sqlite_bind_number(statement, 4, header->rule);
    sqlite_bind_slice(statement, 5, image->sections[INCIDENT_SECTION_FINGERPRINT]);
    sqlite_bind_bytes(statement, 6, header->series, sizeof(header->series));
    sqlite_bind_number(statement, 7, header->status);
    sqlite_bind_number(statement, 8, header->severity);
    sqlite_bind_slice(statement, 9, image->sections[INCIDENT_SECTION_TITLE]);
    sqlite_bind_number(statement, 10, (int64_t)header->created_ms);
    sqlite_bind_number(statement, 11, header->opened_ms);
    sqlite_bind_number(statement, 12, header->reopened_ms);
    sqlite_bind_number(statement, 13, header->last_seen_ms);
    bind_instant(statement, 14, (uint64_t)header->resolved_ms);
    sqlite_bind_number(statement, 15, (int64_t)header->written_ms);
    sqlite_bind_number(statement, 16, header->reopen_count);
    sqlite_bind_number(statement, 17, (header->flags & INCIDENT_FLAG_FLAPPING) != 0);
    sqlite_bind_number(statement, 18, (int64_t)header->window_count);
    sqlite_bind_number(statement, 19, (int64_t)header->baseline_milli);
    sqlite_bind_number(statement, 20, (int64_t)header->revision);
}

/*
 * A later image replaces the row. What a carried one says may be older than what the row says
 * already, when the two come from different logs.
 */
int sqlite_put_incident(struct read_backend *backend, uint32_t partition,
                        const struct incident_image *image)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    char text[UUID_TEXT_SIZE];
    struct slice id = {text, sizeof(text)};
    sqlite3_stmt *statement;
    int64_t project;
    int r = sqlite_find_project(self, image->sections[INCIDENT_SECTION_ORG],
                                image->sections[INCIDENT_SECTION_PROJECT], &project);

    job_id_format(incident_image_id(&image->header, partition), text);
    if (r == 0)
        r = put_change(self, id, image);
    if (r == 0)
        r = sqlite_session_prepare(
            &self->writer,
            "INSERT INTO incidents (id, project_id, environment, rule, fingerprint, series,"
            " status, severity, title, created_ms, opened_ms, reopened_ms, last_seen_ms,"
            " resolved_ms, updated_ms, reopen_count, is_flapping, window_count, baseline_milli,"
            " revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
            " ?15, ?16, ?17, ?18, ?19, ?20) ON CONFLICT DO UPDATE SET"
            " status = excluded.status, severity = excluded.severity, title = excluded.title,"
            " reopened_ms = excluded.reopened_ms, last_seen_ms = excluded.last_seen_ms,"
            " resolved_ms = excluded.resolved_ms, updated_ms = excluded.updated_ms,"
            " reopen_count = excluded.reopen_count, is_flapping = excluded.is_flapping,"
            " window_count = excluded.window_count, baseline_milli = excluded.baseline_milli,"
            " rule = excluded.rule, revision = excluded.revision"
            " WHERE excluded.revision > revision",
            &statement);
    if (r < 0)
        return r;
    sqlite_bind_slice(statement, 1, id);
    sqlite_bind_number(statement, 2, project);
    bind_incident(statement, image);
    return sqlite_finish(statement);
}

/* From which section of the image each column of text comes. */
static const struct {
    int parameter;
    enum ai_run_section section;
} RUN_TEXTS[] = {
    {3, AI_RUN_SECTION_KIND},    {4, AI_RUN_SECTION_INCIDENT},  {8, AI_RUN_SECTION_PROVIDER},
    {9, AI_RUN_SECTION_MODEL},   {10, AI_RUN_SECTION_ANSWERED}, {11, AI_RUN_SECTION_PROMPT},
    {14, AI_RUN_SECTION_SCHEMA}, {15, AI_RUN_SECTION_PRICES},   {30, AI_RUN_SECTION_CORRELATION},
    {31, AI_RUN_SECTION_ERROR},  {32, AI_RUN_SECTION_PROBLEMS},
};

static void bind_run(sqlite3_stmt *statement, const struct ai_run_image *image)
{
    const struct ai_run_header *header = &image->header;
    struct slice output = image->sections[AI_RUN_SECTION_OUTPUT];

    for (uint32_t i = 0; i < ARRAY_COUNT(RUN_TEXTS); i++)
        sqlite_bind_slice(statement, RUN_TEXTS[i].parameter, image->sections[RUN_TEXTS[i].section]);
    sqlite_bind_number(statement, 5, header->state);
    sqlite_bind_number(statement, 6, (int64_t)header->created_ms);
    sqlite_bind_number(statement, 7, (int64_t)header->written_ms);
    sqlite_bind_bytes(statement, 12, header->prompt_sha256, sizeof(header->prompt_sha256));
    sqlite_bind_bytes(statement, 13, header->input_sha256, sizeof(header->input_sha256));
    sqlite_bind_number(statement, 16, header->max_tokens);
    sqlite_bind_number(statement, 17, header->temperature_milli);
    if (header->cost_micro_usd != TOKEN_COST_UNKNOWN)
        sqlite_bind_number(statement, 18, (int64_t)header->cost_micro_usd);
    sqlite_bind_number(statement, 19, (int64_t)header->input_tokens);
    sqlite_bind_number(statement, 20, (int64_t)header->output_tokens);
    sqlite_bind_number(statement, 21, (int64_t)header->cached_tokens);
    sqlite_bind_number(statement, 22, (int64_t)header->reasoning_tokens);
    if (header->confidence_ppm != AI_RUN_CONFIDENCE_UNKNOWN)
        sqlite_bind_number(statement, 23, header->confidence_ppm);
    sqlite_bind_number(statement, 24, header->finish);
    sqlite_bind_number(statement, 25, header->error);
    sqlite_bind_number(statement, 26, header->validation);
    sqlite_bind_number(statement, 27, header->repair_count);
    sqlite_bind_number(statement, 28, header->attempt_count);
    if (output.size != 0)
        sqlite_bind_slice(statement, 33, output);
    sqlite_bind_number(statement, 34, header->revision);
}

/*
 * A job may end otherwise than by an attempt: cancelled, dead by its deadline or as poison. Its
 * run, which no record says more of, has then ended with it. The records of the two may come in
 * either order, since each is carried forward by itself.
 */
MUST_USE static int end_run_with_job(struct sqlite_backend *self, uint32_t partition,
                                     uint64_t id_low)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(
        &self->writer,
        "UPDATE ai_runs SET state = CASE jobs.state WHEN ?3 THEN ?4 ELSE ?5 END,"
        " updated_ms = max(ai_runs.updated_ms, ifnull(jobs.ended_ms, 0)),"
        " last_error = CASE jobs.last_error WHEN '' THEN ai_runs.last_error"
        " ELSE jobs.last_error END FROM jobs WHERE jobs.partition = ?1 AND jobs.id_low = ?2"
        " AND jobs.state IN (?3, ?6) AND ai_runs.id = jobs.id AND ai_runs.state = ?7",
        &statement);

    if (r < 0)
        return r;
    sqlite_bind_number(statement, 1, partition);
    sqlite_bind_number(statement, 2, (int64_t)id_low);
    sqlite_bind_number(statement, 3, JOB_DEAD);
    sqlite_bind_number(statement, 4, AI_RUN_FAILED);
    sqlite_bind_number(statement, 5, AI_RUN_CANCELLED);
    sqlite_bind_number(statement, 6, JOB_CANCELLED);
    sqlite_bind_number(statement, 7, AI_RUN_QUEUED);
    return sqlite_finish(statement);
}

int sqlite_put_run(struct read_backend *backend, const struct read_run_row *row)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    const struct ai_run_image *image = row->image;
    char text[UUID_TEXT_SIZE];
    sqlite3_stmt *statement;
    int64_t project;
    int r = sqlite_find_project(self, image->sections[AI_RUN_SECTION_ORG],
                                image->sections[AI_RUN_SECTION_PROJECT], &project);

    if (r == 0)
        r = sqlite_session_prepare(
            &self->writer,
            "INSERT INTO ai_runs (id, project_id, kind, incident_id, state, created_ms, updated_ms,"
            " provider, model, model_answered, prompt, prompt_sha256, input_sha256, schema_name,"
            " prices, max_tokens, temperature_milli, cost_micro_usd, input_tokens, output_tokens,"
            " cached_tokens, reasoning_tokens, confidence_ppm, finish, error, validation,"
            " repair_count, attempt_count, attempts, correlation_id, last_error, problems, output,"
            " revision) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
            " ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31,"
            " ?32, ?33, ?34) ON CONFLICT DO UPDATE SET state = excluded.state,"
            " updated_ms = excluded.updated_ms, provider = excluded.provider,"
            " model = excluded.model, model_answered = excluded.model_answered,"
            " prompt = excluded.prompt, prompt_sha256 = excluded.prompt_sha256,"
            " input_sha256 = excluded.input_sha256, schema_name = excluded.schema_name,"
            " prices = excluded.prices, max_tokens = excluded.max_tokens,"
            " temperature_milli = excluded.temperature_milli,"
            " cost_micro_usd = excluded.cost_micro_usd, input_tokens = excluded.input_tokens,"
            " output_tokens = excluded.output_tokens, cached_tokens = excluded.cached_tokens,"
            " reasoning_tokens = excluded.reasoning_tokens,"
            " confidence_ppm = excluded.confidence_ppm, finish = excluded.finish,"
            " error = excluded.error, validation = excluded.validation,"
            " repair_count = excluded.repair_count, attempt_count = excluded.attempt_count,"
            " attempts = excluded.attempts, last_error = excluded.last_error,"
            " problems = excluded.problems, output = excluded.output,"
            " revision = excluded.revision WHERE excluded.revision > revision",
            &statement);
    if (r < 0)
        return r;
    job_id_format(ai_run_id(&image->header, row->partition), text);
    sqlite_bind_slice(statement, 1, (struct slice){text, sizeof(text)});
    sqlite_bind_number(statement, 2, project);
    sqlite_bind_slice(statement, 29, row->attempts);
    bind_run(statement, image);
    r = sqlite_finish(statement);
    if (r == 0 && image->header.state == AI_RUN_QUEUED)
        r = end_run_with_job(self, row->partition, image->header.id_low);
    return r;
}

/* What its record leaves to the kind is what the kind says. */
static uint32_t attempts_allowed(const struct job_image *image)
{
    const struct job_kind *kind;

    if (image->header.max_attempts != 0)
        return image->header.max_attempts;
    kind = job_kind_find(image->sections[JOB_SECTION_KIND]);
    return kind != NULL ? kind->max_attempts : 0;
}

int sqlite_put_job(struct read_backend *backend, const struct read_job_row *row)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    const struct job_image *image = row->image;
    const struct job_image_header *header = &image->header;
    struct job_id id = {header->created_ms, header->id_low, row->partition};
    uint64_t updated_ms = max_u64(header->created_ms, header->first_failed_ms);
    char text[UUID_TEXT_SIZE];
    sqlite3_stmt *statement;
    int64_t project;
    int r = sqlite_find_project(self, image->sections[JOB_SECTION_ORG],
                                image->sections[JOB_SECTION_PROJECT], &project);

    if (r == 0)
        r = sqlite_session_prepare(
            &self->writer,
            "INSERT OR REPLACE INTO jobs (id_low, partition, id, project_id, kind, incident_id,"
            " state, attempt, max_attempts, reason, created_ms, updated_ms, due_ms, ended_ms,"
            " last_error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
            " ?15)",
            &statement);
    if (r < 0)
        return r;
    job_id_format(id, text);
    sqlite_bind_number(statement, 1, (int64_t)header->id_low);
    sqlite_bind_number(statement, 2, row->partition);
    sqlite_bind_slice(statement, 3, (struct slice){text, sizeof(text)});
    sqlite_bind_number(statement, 4, project);
    sqlite_bind_slice(statement, 5, image->sections[JOB_SECTION_KIND]);
    if (row->incident_id.size != 0)
        sqlite_bind_slice(statement, 6, row->incident_id);
    sqlite_bind_number(statement, 7, header->state);
    sqlite_bind_number(statement, 8, header->attempt);
    sqlite_bind_number(statement, 9, attempts_allowed(image));
    sqlite_bind_number(statement, 10, header->reason);
    sqlite_bind_number(statement, 11, (int64_t)header->created_ms);
    sqlite_bind_number(statement, 12, (int64_t)max_u64(updated_ms, header->ended_ms));
    bind_instant(statement, 13, header->due_ms);
    bind_instant(statement, 14, header->ended_ms);
    sqlite_bind_slice(statement, 15, image->sections[JOB_SECTION_LAST_ERROR]);
    r = sqlite_finish(statement);
    if (r == 0 && (header->state == JOB_DEAD || header->state == JOB_CANCELLED))
        r = end_run_with_job(self, row->partition, header->id_low);
    return r;
}

/* What a fact does to a row: the rest of the UPDATE, or NULL for nothing. */
static const char *sql_of_fact(enum job_fact_kind kind)
{
    switch (kind) {
    case JOB_FACT_RETRY:
        return "UPDATE jobs SET state = ?3, attempt = ?4, updated_ms = ?5, due_ms = ?6,"
               " last_error = ?7 WHERE partition = ?1 AND id_low = ?2";
    case JOB_FACT_COMPLETED:
    case JOB_FACT_CANCELLED:
        return "UPDATE jobs SET state = ?3, attempt = ?4, updated_ms = ?5, ended_ms = ?5"
               " WHERE partition = ?1 AND id_low = ?2";
    case JOB_FACT_DEAD:
        return "UPDATE jobs SET state = ?3, attempt = ?4, updated_ms = ?5, ended_ms = ?5,"
               " last_error = ?7, reason = ?8 WHERE partition = ?1 AND id_low = ?2";
    case JOB_FACT_DROPPED:
        return "DELETE FROM jobs WHERE partition = ?1 AND id_low = ?2";
    case JOB_FACT_PROGRESS:
    case JOB_FACT_REPLAYED:
    case JOB_FACT_BLAMED:
    case JOB_FACT_KIND_COUNT:
        break;
    }
    return NULL;
}

static enum job_state state_after(enum job_fact_kind kind)
{
    switch (kind) {
    case JOB_FACT_COMPLETED:
        return JOB_COMPLETED;
    case JOB_FACT_CANCELLED:
        return JOB_CANCELLED;
    case JOB_FACT_DEAD:
        return JOB_DEAD;
    case JOB_FACT_RETRY:
    case JOB_FACT_PROGRESS:
    case JOB_FACT_REPLAYED:
    case JOB_FACT_DROPPED:
    case JOB_FACT_BLAMED:
    case JOB_FACT_KIND_COUNT:
        break;
    }
    return JOB_SCHEDULED;
}

int sqlite_put_job_fact(struct read_backend *backend, uint32_t partition,
                        const struct job_fact *fact)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    const struct job_fact_header *header = &fact->header;
    const char *sql = sql_of_fact(header->kind);
    sqlite3_stmt *statement;
    int count;
    int r;

    if (sql == NULL)
        return 0;
    r = sqlite_session_prepare(&self->writer, sql, &statement);
    if (r < 0)
        return r;
    count = sqlite3_bind_parameter_count(statement);
    sqlite_bind_number(statement, 1, partition);
    sqlite_bind_number(statement, 2, (int64_t)header->id_low);
    if (count >= 5) {
        sqlite_bind_number(statement, 3, state_after(header->kind));
        sqlite_bind_number(statement, 4, header->attempt);
        sqlite_bind_number(statement, 5, (int64_t)header->at_ms);
    }
    if (count >= 7) {
        bind_instant(statement, 6, header->due_ms);
        sqlite_bind_slice(statement, 7, fact->text);
    }
    if (count >= 8)
        sqlite_bind_number(statement, 8, header->reason);
    r = sqlite_finish(statement);
    if (r == 0 && (header->kind == JOB_FACT_DEAD || header->kind == JOB_FACT_CANCELLED))
        r = end_run_with_job(self, partition, header->id_low);
    return r;
}

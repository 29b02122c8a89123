/*
 * AI: what models were asked about incidents, what they answered and what that cost.
 *
 * There is one success rate: of the runs that have ended by themselves, the share that
 * succeeded. A run that waits has neither succeeded nor failed, and one that was cancelled says
 * nothing about models. Without any there is no rate.
 *
 * A run is on record when its first attempt has an outcome; before, only its job is. A lease
 * is in no record, so a job that runs is shown as queued here.
 */
#include "contracts/job_kinds.h"
#include "contracts/json_reader.h"
#include "contracts/uuid.h"
#include "store/ai_run_record.h"
#include "store/incident_record.h"
#include "store/sqlite_queries_internals.h"

static const int64_t DAY_MS = INT64_C(24) * 60 * 60000;

enum { MODELS_MAX = 20, SUMMARY_DEPTH = 32 };

#define RUN_COLUMNS                                                                                \
    "ai_runs.id, incident_id, state, ai_runs.created_ms, ai_runs.updated_ms, provider, model,"     \
    " model_answered, prompt, cost_micro_usd, input_tokens, output_tokens, cached_tokens,"         \
    " reasoning_tokens, confidence_ppm, error, last_error, attempt_count, repair_count"

enum { RUN_ID, RUN_CREATED = 3, RUN_CONFIDENCE = 14, RUN_COLUMN_COUNT = 19 };

/* A number that may be unknown. */
static void write_number_or_null(struct json_writer *writer, const char *name, sqlite3_stmt *row,
                                 int column)
{
    json_writer_key(writer, slice_of(name));
    if (sqlite_is_null(row, column))
        json_writer_null(writer);
    else
        json_writer_i64(writer, sqlite_number(row, column));
}

static void write_text_or_null(struct json_writer *writer, const char *name, struct slice text)
{
    json_writer_key(writer, slice_of(name));
    if (text.size > 0)
        json_writer_string(writer, text);
    else
        json_writer_null(writer);
}

/* 0 to 1, from millionths. */
static void write_confidence(struct json_writer *writer, sqlite3_stmt *row, int column)
{
    json_writer_key(writer, SLICE_LITERAL("confidence"));
    if (sqlite_is_null(row, column))
        json_writer_null(writer);
    else
        json_writer_double(writer, (double)sqlite_number(row, column) / 1000000);
}

/* The model that answered, or the one that was asked. */
static struct slice model_of(sqlite3_stmt *row, int asked, int answered)
{
    struct slice model = sqlite_slice(row, answered);

    return model.size > 0 ? model : sqlite_slice(row, asked);
}

static void write_run_members(struct json_writer *writer, sqlite3_stmt *row)
{
    uint32_t error = (uint32_t)sqlite_number(row, 15);

    sqlite_write_text(writer, "id", sqlite_slice(row, RUN_ID));
    write_text_or_null(writer, "incident_id", sqlite_slice(row, 1));
    sqlite_write_text(writer, "status", ai_run_state_name((uint32_t)sqlite_number(row, 2)));
    sqlite_write_time(writer, "created_at", row, RUN_CREATED);
    sqlite_write_time(writer, "updated_at", row, 4);
    sqlite_write_text(writer, "provider", sqlite_slice(row, 5));
    sqlite_write_text(writer, "model", model_of(row, 6, 7));
    sqlite_write_text(writer, "prompt_version", sqlite_slice(row, 8));
    write_number_or_null(writer, "cost_micro_usd", row, 9);
    sqlite_write_number(writer, "input_tokens", sqlite_number(row, 10));
    sqlite_write_number(writer, "output_tokens", sqlite_number(row, 11));
    sqlite_write_number(writer, "cached_tokens", sqlite_number(row, 12));
    sqlite_write_number(writer, "reasoning_tokens", sqlite_number(row, 13));
    write_confidence(writer, row, RUN_CONFIDENCE);
    write_text_or_null(writer, "error",
                       error == AI_RUN_ERROR_NONE ? (struct slice){NULL, 0}
                                                  : ai_run_error_name(error));
    write_text_or_null(writer, "error_detail", sqlite_slice(row, 16));
    sqlite_write_number(writer, "attempt_count", sqlite_number(row, 17));
    sqlite_write_number(writer, "repair_count", sqlite_number(row, 18));
}

static void write_run(struct sqlite_query *run, sqlite3_stmt *row)
{
    json_writer_begin_object(&run->answer.writer);
    write_run_members(&run->answer.writer, row);
    json_writer_end_object(&run->answer.writer);
}

/* (created_ms, id), of rows that begin with the id and have created_ms fourth. */
static void place_created(sqlite3_stmt *row, struct read_cursor *ret_place)
{
    ret_place->words[0] = (uint64_t)sqlite_number(row, RUN_CREATED);
    sqlite_uuid_words(row, RUN_ID, &ret_place->words[1]);
}

/*
 * Runs a page of what was created when, the newest first. ?1 project, ?2 and ?3 the place, ?4
 * how many, ?5 states or 0, ?6 an incident's id or "".
 */
MUST_USE static enum read_result run_page(struct sqlite_query *run, const char *sql,
                                          const struct sqlite_rows *rows)
{
    const struct read_ai *asked = &run->query->ai;
    struct read_cursor place = {{INT64_MAX, UINT64_MAX, UINT64_MAX}};
    char id[UUID_TEXT_SIZE], incident[UUID_TEXT_SIZE];
    uint8_t bytes[UUID_SIZE];
    sqlite3_stmt *row;
    int r;

    if (read_cursor_read(run->query, &place) == READ_CURSOR_BAD)
        return READ_BAD_CURSOR;
    r = sqlite_query_prepare(run, sql, &row);
    if (r < 0)
        return sqlite_query_result(r);
    sqlite_bind_number(row, 2, (int64_t)place.words[0]);
    sqlite_bind_uuid(row, 3, &place.words[1], id);
    sqlite_bind_number(row, 4, (int64_t)run->query->limit + 1);
    sqlite_bind_number(row, 5, asked->states);
    sqlite_bind_slice(row, 6, asked->incident_id);
    if (uuid_parse(asked->incident_id, bytes)) {
        uuid_format(bytes, incident);
        sqlite_bind_slice(row, 6, (struct slice){incident, sizeof(incident)});
    }
    return sqlite_query_page(run, row, rows);
}

enum read_result sqlite_run_ai_runs(struct sqlite_query *run)
{
    static const struct sqlite_rows rows = {SLICE_INITIALIZER("runs"), write_run, place_created};

    return run_page(run,
                    "SELECT " RUN_COLUMNS " FROM ai_runs INDEXED BY ai_runs_by_created"
                    " WHERE project_id = ?1 AND (created_ms, id) < (?2, ?3)"
                    " AND (?5 = 0 OR (?5 >> state) & 1) AND (?6 = '' OR incident_id = ?6)"
                    " ORDER BY created_ms DESC, id DESC LIMIT ?4",
                    &rows);
}

/* --- one run ---------------------------------------------------------------------------- */

static void write_hash(struct json_writer *writer, const char *name, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * SHA256_SIZE];

    assert(bytes.size == SHA256_SIZE);
    for (size_t i = 0; i < bytes.size; i++) {
        text[2 * i] = digits[(uint8_t)bytes.data[i] >> 4];
        text[2 * i + 1] = digits[(uint8_t)bytes.data[i] & 15];
    }
    sqlite_write_text(writer, name, (struct slice){text, sizeof(text)});
}

static void write_whole_run(struct json_writer *writer, sqlite3_stmt *row)
{
    int at = RUN_COLUMN_COUNT;

    json_writer_begin_object(writer);
    write_run_members(writer, row);
    write_hash(writer, "prompt_sha256", sqlite_slice(row, at));
    write_hash(writer, "input_sha256", sqlite_slice(row, at + 1));
    sqlite_write_text(writer, "output_schema", sqlite_slice(row, at + 2));
    write_text_or_null(writer, "price_table", sqlite_slice(row, at + 3));
    sqlite_write_number(writer, "max_tokens", sqlite_number(row, at + 4));
    json_writer_key(writer, SLICE_LITERAL("temperature"));
    json_writer_double(writer, (double)sqlite_number(row, at + 5) / 1000);
    sqlite_write_text(writer, "finish_reason",
                      chat_finish_name((uint32_t)sqlite_number(row, at + 6)));
    sqlite_write_text(writer, "validation",
                      ai_run_validation_name((uint32_t)sqlite_number(row, at + 7)));
    write_text_or_null(writer, "problems", sqlite_slice(row, at + 8));
    write_text_or_null(writer, "correlation_id", sqlite_slice(row, at + 9));
    json_writer_key(writer, SLICE_LITERAL("attempts"));
    json_writer_raw(writer, sqlite_slice(row, at + 10));
    json_writer_key(writer, SLICE_LITERAL("output"));
    if (sqlite_is_null(row, at + 11))
        json_writer_null(writer);
    else
        json_writer_raw(writer, sqlite_slice(row, at + 11));
    json_writer_end_object(writer);
}

enum read_result sqlite_run_ai_run(struct sqlite_query *run)
{
    char id[UUID_TEXT_SIZE];
    uint8_t bytes[UUID_SIZE];
    sqlite3_stmt *row;
    int r;

    if (!uuid_parse(run->query->ai.id, bytes))
        return READ_NOT_FOUND;
    uuid_format(bytes, id);
    r = sqlite_query_prepare(run,
                             "SELECT " RUN_COLUMNS ", prompt_sha256, input_sha256, schema_name,"
                             " prices, max_tokens, temperature_milli, finish, validation,"
                             " problems, correlation_id, attempts, output FROM ai_runs"
                             " WHERE project_id = ?1 AND id = ?2",
                             &row);
    if (r < 0)
        return sqlite_query_result(r);
    sqlite_bind_slice(row, 2, (struct slice){id, sizeof(id)});
    r = sqlite_step(row);
    if (r <= 0)
        return r == 0 ? READ_NOT_FOUND : sqlite_query_result(r);
    read_answer_begin(&run->answer, run->query);
    json_writer_key(&run->answer.writer, SLICE_LITERAL("run"));
    write_whole_run(&run->answer.writer, row);
    sqlite_reset(row);
    return read_answer_finish(&run->answer);
}

/* --- what came of them -------------------------------------------------------------------- */

/* The title that the model gave; null when the output has none. */
static void write_output_title(struct json_writer *writer, struct slice output)
{
    struct json_value title;

    json_writer_key(writer, SLICE_LITERAL("title"));
    if (output.size > 0 && json_find_member(output, SLICE_LITERAL("title"), &title))
        json_writer_raw(writer, title.raw);
    else
        json_writer_null(writer);
}

/* The incident of a row may be gone: it is kept for a time of its own. */
static void write_incident_of(struct json_writer *writer, sqlite3_stmt *row, int title,
                              int severity)
{
    write_text_or_null(writer, "incident_title", sqlite_slice(row, title));
    write_text_or_null(writer, "incident_severity",
                       sqlite_is_null(row, severity)
                           ? (struct slice){NULL, 0}
                           : incident_severity_name((uint32_t)sqlite_number(row, severity)));
}

static void write_activity(struct sqlite_query *run, sqlite3_stmt *row)
{
    struct json_writer *writer = &run->answer.writer;

    json_writer_begin_object(writer);
    sqlite_write_text(writer, "id", sqlite_slice(row, RUN_ID));
    write_text_or_null(writer, "incident_id", sqlite_slice(row, 1));
    write_incident_of(writer, row, 7, 8);
    sqlite_write_text(writer, "output_type", SLICE_LITERAL("summary"));
    sqlite_write_text(writer, "model", model_of(row, 4, 5));
    write_confidence(writer, row, 6);
    write_output_title(writer, sqlite_slice(row, 9));
    sqlite_write_time(writer, "created_at", row, 2);
    json_writer_end_object(writer);
}

enum read_result sqlite_run_ai_activity(struct sqlite_query *run)
{
    static const struct sqlite_rows rows = {SLICE_INITIALIZER("activity"), write_activity,
                                            place_created};

    return run_page(run,
                    "SELECT ai_runs.id, incident_id, ai_runs.updated_ms, ai_runs.created_ms,"
                    " model, model_answered, confidence_ppm, incidents.title,"
                    " incidents.severity, output FROM ai_runs INDEXED BY ai_runs_by_created"
                    " LEFT JOIN incidents ON incidents.id = ai_runs.incident_id"
                    " AND incidents.project_id = ai_runs.project_id"
                    " WHERE ai_runs.project_id = ?1"
                    " AND (ai_runs.created_ms, ai_runs.id) < (?2, ?3) AND output IS NOT NULL"
                    " AND ?5 = 0 AND (?6 = '' OR incident_id = ?6)"
                    " ORDER BY ai_runs.created_ms DESC, ai_runs.id DESC LIMIT ?4",
                    &rows);
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* The words of the system that went before. */
static struct slice status_of(enum job_state state)
{
    switch (state) {
    case JOB_COMPLETED:
        return SLICE_LITERAL("succeeded");
    case JOB_DEAD:
        return SLICE_LITERAL("failed");
    case JOB_CANCELLED:
        return SLICE_LITERAL("cancelled");
    case JOB_LEASED:
        return SLICE_LITERAL("running");
    case JOB_FREE:
    case JOB_PENDING:
    case JOB_SCHEDULED:
    case JOB_WAITING:
    case JOB_QUEUED:
    case JOB_STATE_COUNT:
        break;
    }
    return SLICE_LITERAL("queued");
}

/* Attempts that a job may have: its own number, or that of its kind. */
static int64_t attempts_of(sqlite3_stmt *row)
{
    int64_t own = sqlite_number(row, 6);
    const struct job_kind *kind = job_kind_find(sqlite_slice(row, 2));

    return own == 0 && kind != NULL ? kind->max_attempts : own;
}

static void write_job(struct sqlite_query *run, sqlite3_stmt *row)
{
    struct json_writer *writer = &run->answer.writer;
    enum job_state state = (enum job_state)sqlite_number(row, 4);

    json_writer_begin_object(writer);
    sqlite_write_text(writer, "id", sqlite_slice(row, RUN_ID));
    write_text_or_null(writer, "incident_id", sqlite_slice(row, 1));
    write_incident_of(writer, row, 10, 11);
    sqlite_write_text(writer, "job_type", sqlite_slice(row, 2));
    sqlite_write_text(writer, "status", status_of(state));
    sqlite_write_text(writer, "state", slice_of(job_state_name(state)));
    sqlite_write_number(writer, "attempt_count", sqlite_number(row, 5));
    sqlite_write_number(writer, "max_attempts", attempts_of(row));
    sqlite_write_time(writer, "run_after", row, 7);
    write_text_or_null(writer, "last_error", sqlite_slice(row, 8));
    sqlite_write_time(writer, "created_at", row, RUN_CREATED);
    sqlite_write_time(writer, "updated_at", row, 9);
    json_writer_end_object(writer);
}

enum read_result sqlite_run_ai_jobs(struct sqlite_query *run)
{
    static const struct sqlite_rows rows = {SLICE_INITIALIZER("jobs"), write_job, place_created};

    return run_page(run,
                    "SELECT jobs.id, incident_id, kind, jobs.created_ms, state, attempt,"
                    " max_attempts, due_ms, last_error, jobs.updated_ms, incidents.title,"
                    " incidents.severity FROM jobs INDEXED BY jobs_by_created"
                    " LEFT JOIN incidents ON incidents.id = jobs.incident_id"
                    " AND incidents.project_id = jobs.project_id"
                    " WHERE jobs.project_id = ?1 AND (jobs.created_ms, jobs.id) < (?2, ?3)"
                    " AND (?5 = 0 OR (?5 >> state) & 1) AND (?6 = '' OR incident_id = ?6)"
                    " ORDER BY jobs.created_ms DESC, jobs.id DESC LIMIT ?4",
                    &rows);
}

/* --- statistics ------------------------------------------------------------------------------- */

int sqlite_count_ai_runs(struct sqlite_query *run, struct sqlite_ai_counts *ret_counts)
{
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run,
                                 "SELECT coalesce(sum(state = 3), 0), coalesce(sum(state = 4), 0),"
                                 " coalesce(sum(state = 3 AND updated_ms > ?2), 0)"
                                 " FROM ai_runs WHERE project_id = ?1",
                                 &row);

    static_assert(AI_RUN_SUCCEEDED == 3 && AI_RUN_FAILED == 4, "the numbers in the SQL");
    if (r < 0)
        return r;
    sqlite_bind_number(row, 2, (int64_t)run->query->now_ms - DAY_MS);
    r = sqlite_step(row);
    if (r < 0)
        return r;
    ret_counts->succeeded = sqlite_number(row, 0);
    ret_counts->failed = sqlite_number(row, 1);
    ret_counts->succeeded_last_24h = sqlite_number(row, 2);
    sqlite_reset(row);
    r = sqlite_query_prepare(run,
                             "SELECT count(*) FROM jobs WHERE project_id = ?1"
                             " AND ended_ms IS NULL",
                             &row);
    if (r == 0)
        r = sqlite_step(row);
    if (r < 0)
        return r;
    ret_counts->pending = sqlite_number(row, 0);
    sqlite_reset(row);
    return 0;
}

void sqlite_write_success_rate(struct json_writer *writer, const struct sqlite_ai_counts *counts)
{
    int64_t ended = counts->succeeded + counts->failed;

    json_writer_key(writer, SLICE_LITERAL("success_rate"));
    if (ended == 0)
        json_writer_null(writer);
    else
        json_writer_double(writer, (double)((counts->succeeded * 2000 + ended) / (2 * ended)) / 10);
}

/* Sums over all runs of the project: confidence, tokens, cost. 0 or a negative errno. */
MUST_USE static int write_sums(struct sqlite_query *run)
{
    struct json_writer *writer = &run->answer.writer;
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run,
                                 "SELECT avg(confidence_ppm), coalesce(sum(input_tokens), 0),"
                                 " coalesce(sum(output_tokens), 0), sum(cost_micro_usd)"
                                 " FROM ai_runs WHERE project_id = ?1",
                                 &row);

    if (r == 0)
        r = sqlite_step(row);
    if (r < 0)
        return r;
    json_writer_key(writer, SLICE_LITERAL("avg_confidence"));
    if (sqlite_is_null(row, 0))
        json_writer_null(writer);
    else
        json_writer_double(writer, (double)((sqlite_number(row, 0) + 5000) / 10000) / 100);
    sqlite_write_number(writer, "input_tokens", sqlite_number(row, 1));
    sqlite_write_number(writer, "output_tokens", sqlite_number(row, 2));
    write_number_or_null(writer, "cost_micro_usd", row, 3);
    sqlite_reset(row);
    return 0;
}

/* 0 or a negative errno. */
MUST_USE static int write_jobs_by_status(struct sqlite_query *run)
{
    static const struct {
        const char *name;
        uint32_t states;
    } groups[] = {
        {"queued", 1u << JOB_SCHEDULED | 1u << JOB_WAITING | 1u << JOB_QUEUED},
        {"running", 1u << JOB_LEASED},
        {"succeeded", 1u << JOB_COMPLETED},
        {"failed", 1u << JOB_DEAD},
        {"cancelled", 1u << JOB_CANCELLED},
    };
    int64_t counts[ARRAY_COUNT(groups)] = {0};
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(
        run, "SELECT state, count(*) FROM jobs WHERE project_id = ?1 GROUP BY state", &row);

    if (r < 0)
        return r;
    while ((r = sqlite_step(row)) == 1)
        for (uint32_t i = 0; i < ARRAY_COUNT(groups); i++)
            if ((groups[i].states >> sqlite_number(row, 0) & 1) != 0)
                counts[i] += sqlite_number(row, 1);
    if (r < 0)
        return r;
    json_writer_key(&run->answer.writer, SLICE_LITERAL("jobs_by_status"));
    json_writer_begin_object(&run->answer.writer);
    for (uint32_t i = 0; i < ARRAY_COUNT(groups); i++)
        sqlite_write_number(&run->answer.writer, groups[i].name, counts[i]);
    json_writer_end_object(&run->answer.writer);
    return 0;
}

/* 0 or a negative errno. */
MUST_USE static int write_models(struct sqlite_query *run)
{
    struct json_writer *writer = &run->answer.writer;
    sqlite3_stmt *row;
    int r = sqlite_query_prepare(run,
                                 "SELECT iif(model_answered = '', model, model_answered) AS name,"
                                 " count(*) AS runs FROM ai_runs WHERE project_id = ?1"
                                 " AND output IS NOT NULL GROUP BY name"
                                 " ORDER BY runs DESC, name LIMIT ?2",
                                 &row);

    if (r < 0)
        return r;
    sqlite_bind_number(row, 2, MODELS_MAX);
    json_writer_key(writer, SLICE_LITERAL("models_used"));
    json_writer_begin_array(writer);
    while ((r = sqlite_step(row)) == 1) {
        json_writer_begin_object(writer);
        sqlite_write_text(writer, "model", sqlite_slice(row, 0));
        sqlite_write_number(writer, "count", sqlite_number(row, 1));
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
    return r;
}

enum read_result sqlite_run_ai_stats(struct sqlite_query *run)
{
    struct json_writer *writer = &run->answer.writer;
    struct sqlite_ai_counts counts;
    int r = sqlite_count_ai_runs(run, &counts);

    if (r < 0)
        return sqlite_query_result(r);
    read_answer_begin(&run->answer, run->query);
    sqlite_write_number(writer, "total_summaries", counts.succeeded);
    sqlite_write_number(writer, "summaries_last_24h", counts.succeeded_last_24h);
    sqlite_write_success_rate(writer, &counts);
    sqlite_write_number(writer, "pending_jobs", counts.pending);
    r = write_sums(run);
    if (r == 0)
        r = write_jobs_by_status(run);
    if (r == 0)
        r = write_models(run);
    return r < 0 ? sqlite_query_result(r) : read_answer_finish(&run->answer);
}

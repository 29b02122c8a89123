#include "store/sqlite_backend.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/job_id.h"
#include "store/migrations.h"
#include "store/sqlite_queries.h"

/*
 * What makes it fast: statements prepared once, one transaction for as many records as are
 * there, numbers of projects and counts per minute kept in memory until the commit.
 *
 * Durability: synchronous = NORMAL, so a commit costs no flush. A power cut may take the last
 * commits back, whole and in order, rows and places together: the logs still have what is
 * missing, and it is read again. What must not happen is that the database holds more than
 * the logs, and it cannot: only durable records are projected.
 *
 * A project's number is looked up in a small table, the newest entry of a slot wins.
 */
enum {
    APPLICATION_ID = 0x77656972, /* "weir", in the file's header */
    PROJECT_SLOT_COUNT = 1024,
    MINUTE_SLOT_COUNT = 4096, /* a power of two */
    MINUTE_COUNT_MAX = MINUTE_SLOT_COUNT / 2,
    RETAIN_ROWS = 500,
    WAL_PAGES_MIN = 4000,  /* a checkpoint is tried when the WAL has so many pages */
    WAL_PAGES_MAX = 64000, /* and forced, against readers, from here on */
};
static const int64_t MINUTE_MS = 60000;

/* A project whose number is known. */
struct project_slot {
    int64_t id; /* 0: free */
    uint8_t org_size;
    uint8_t project_size;
    char names[2 * JOB_NAME_SIZE_MAX]; /* organisation, then project */
};

/* Events of one minute that are not in the database yet. */
struct minute_slot {
    int64_t project; /* 0: free */
    int64_t minute_ms;
    uint32_t environment;
    uint32_t type;
    uint64_t count;
    uint64_t received_ms; /* of the newest */
};

struct sqlite_backend {
    struct read_backend backend;
    struct sqlite_session writer;
    struct sqlite_session reader; /* not open when there is only one connection */
    bool is_shared;               /* the writer answers, too */
    int wal_pages;                /* in the WAL after the last commit */
    struct project_slot projects[PROJECT_SLOT_COUNT];
    struct minute_slot minutes[MINUTE_SLOT_COUNT];
    uint32_t minute_count;
};

static struct sqlite_backend *backend_of(struct read_backend *backend)
{
    return container_of(backend, struct sqlite_backend, backend);
}

/* ---- projects ---- */

static uint64_t mix(uint64_t hash, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static struct project_slot *slot_of_project(struct sqlite_backend *self, struct slice org,
                                            struct slice project)
{
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), org.data, org.size);

    hash = mix(mix(hash, "/", 1), project.data, project.size);
    return &self->projects[(hash ^ hash >> 32) % PROJECT_SLOT_COUNT];
}

static bool is_slot_of(const struct project_slot *slot, struct slice org, struct slice project)
{
    return slot->id != 0 && slot->org_size == org.size && slot->project_size == project.size &&
           memcmp(slot->names, org.data, org.size) == 0 &&
           memcmp(slot->names + org.size, project.data, project.size) == 0;
}

MUST_USE static int add_project(struct sqlite_backend *self, struct slice org, struct slice project,
                                int64_t *ret_id)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(&self->writer,
                                   "INSERT INTO projects (org, project) VALUES (?1, ?2)"
                                   " ON CONFLICT DO UPDATE SET org = org RETURNING id",
                                   &statement);

    if (r < 0)
        return r;
    sqlite_bind_slice(statement, 1, org);
    sqlite_bind_slice(statement, 2, project);
    r = sqlite_step(statement);
    if (r < 0)
        return r;
    assert(r == 1);
    *ret_id = sqlite_number(statement, 0);
    return sqlite_finish(statement);
}

MUST_USE static int find_project(struct sqlite_backend *self, struct slice org,
                                 struct slice project, int64_t *ret_id)
{
    struct project_slot *slot = slot_of_project(self, org, project);
    int r;

    if (org.size > JOB_NAME_SIZE_MAX || project.size > JOB_NAME_SIZE_MAX)
        return -EBADMSG; /* no record has such a name */
    if (!is_slot_of(slot, org, project)) {
        slot->id = 0;
        r = add_project(self, org, project, ret_id);
        if (r < 0)
            return r;
        slot->org_size = (uint8_t)org.size;
        slot->project_size = (uint8_t)project.size;
        memcpy(slot->names, org.data, org.size);
        memcpy(slot->names + org.size, project.data, project.size);
        slot->id = *ret_id;
    }
    *ret_id = slot->id;
    return 0;
}

/* ---- counts per minute ---- */

MUST_USE static int write_minute(struct sqlite_backend *self, const struct minute_slot *slot)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(
        &self->writer,
        "INSERT INTO metric_minutes (project_id, event_type, minute_ms, environment, value,"
        " received_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET"
        " value = value + excluded.value, received_ms = max(received_ms, excluded.received_ms)",
        &statement);

    if (r < 0)
        return r;
    sqlite_bind_number(statement, 1, slot->project);
    sqlite_bind_number(statement, 2, slot->type);
    sqlite_bind_number(statement, 3, slot->minute_ms);
    sqlite_bind_number(statement, 4, slot->environment);
    sqlite_bind_number(statement, 5, (int64_t)slot->count);
    sqlite_bind_number(statement, 6, (int64_t)slot->received_ms);
    return sqlite_finish(statement);
}

MUST_USE static int write_minutes(struct sqlite_backend *self)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && self->minute_count > 0 && i < MINUTE_SLOT_COUNT; i++) {
        if (self->minutes[i].project == 0)
            continue;
        r = write_minute(self, &self->minutes[i]);
        self->minutes[i].project = 0;
        self->minute_count--;
    }
    return r;
}

MUST_USE static int count_minute(struct sqlite_backend *self, const struct read_event_row *row,
                                 int64_t project)
{
    int64_t minute_ms = row->occurred_ms - ((row->occurred_ms % MINUTE_MS) + MINUTE_MS) % MINUTE_MS;
    uint64_t hash = (uint64_t)minute_ms / (uint64_t)MINUTE_MS * 31 + (uint64_t)project * 127 +
                    (uint64_t)row->type * 7 + row->environment;
    int r;

    if (self->minute_count == MINUTE_COUNT_MAX) {
        r = write_minutes(self);
        if (r < 0)
            return r;
    }
    for (uint64_t i = hash;; i++) {
        struct minute_slot *slot = &self->minutes[i % MINUTE_SLOT_COUNT];

        if (slot->project == 0) {
            *slot = (struct minute_slot){.project = project,
                                         .minute_ms = minute_ms,
                                         .environment = row->environment,
                                         .type = row->type,
                                         .count = 1,
                                         .received_ms = row->received_ms};
            self->minute_count++;
            return 0;
        }
        if (slot->project == project && slot->minute_ms == minute_ms &&
            slot->environment == row->environment && slot->type == row->type) {
            slot->count++;
            slot->received_ms = max_u64(slot->received_ms, row->received_ms);
            return 0;
        }
    }
}

/* ---- rows ---- */

/* 1 when the row was made, 0 when the event was there before, or a negative errno. */
MUST_USE static int insert_event(struct sqlite_backend *self, const struct read_event_row *row,
                                 int64_t project)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(
        &self->writer,
        "INSERT INTO events (id, project_id, event_id, spelled_id, occurred_ms, received_ms,"
        " environment, event_type, severity, series, message, attributes)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
        &statement);

    if (r < 0)
        return r;
    sqlite_bind_number(statement, 1, (int64_t)row->location.bits);
    sqlite_bind_number(statement, 2, project);
    sqlite_bind_bytes(statement, 3, row->event_id, sizeof(row->event_id));
    if (row->spelled_id.size != 0)
        sqlite_bind_slice(statement, 4, row->spelled_id);
    sqlite_bind_number(statement, 5, row->occurred_ms);
    sqlite_bind_number(statement, 6, (int64_t)row->received_ms);
    sqlite_bind_number(statement, 7, row->environment);
    sqlite_bind_number(statement, 8, row->type);
    sqlite_bind_number(statement, 9, row->severity);
    if ((row->series[0] | row->series[1]) != 0)
        sqlite_bind_bytes(statement, 10, row->series, sizeof(row->series));
    sqlite_bind_slice(statement, 11, row->message);
    sqlite_bind_slice(statement, 12, row->attributes);
    r = sqlite_finish(statement);
    return r < 0 ? r : sqlite3_changes(self->writer.db);
}

MUST_USE static int index_event(struct sqlite_backend *self, const struct read_event_row *row,
                                int64_t project)
{
    char scope[24];
    sqlite3_stmt *statement;
    int size;
    int r = sqlite_session_prepare(
        &self->writer, "INSERT INTO event_search (rowid, scope, message) VALUES (?1, ?2, ?3)",
        &statement);

    if (r < 0)
        return r;
    size = snprintf(scope, sizeof(scope), "p%lld", (long long)project);
    sqlite_bind_number(statement, 1, (int64_t)row->location.bits);
    sqlite_bind_slice(statement, 2, (struct slice){scope, (size_t)size});
    sqlite_bind_slice(statement, 3, row->message);
    return sqlite_finish(statement);
}

static int put_event(struct read_backend *backend, const struct read_event_row *row)
{
    struct sqlite_backend *self = backend_of(backend);
    int64_t project;
    int r = find_project(self, row->org, row->project, &project);

    if (r == 0)
        r = insert_event(self, row, project);
    if (r <= 0) {
        if (r == 0)
            SOMETIMES("an event is in the read model already");
        return r;
    }
    r = index_event(self, row, project);
    if (r == 0)
        r = count_minute(self, row, project);
    return r;
}

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
static int put_incident(struct read_backend *backend, uint32_t partition,
                        const struct incident_image *image)
{
    struct sqlite_backend *self = backend_of(backend);
    char text[UUID_TEXT_SIZE];
    struct slice id = {text, sizeof(text)};
    sqlite3_stmt *statement;
    int64_t project;
    int r = find_project(self, image->sections[INCIDENT_SECTION_ORG],
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

static int put_run(struct read_backend *backend, const struct read_run_row *row)
{
    struct sqlite_backend *self = backend_of(backend);
    const struct ai_run_image *image = row->image;
    char text[UUID_TEXT_SIZE];
    sqlite3_stmt *statement;
    int64_t project;
    int r = find_project(self, image->sections[AI_RUN_SECTION_ORG],
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
    return sqlite_finish(statement);
}

static int put_job(struct read_backend *backend, const struct read_job_row *row)
{
    struct sqlite_backend *self = backend_of(backend);
    const struct job_image *image = row->image;
    const struct job_image_header *header = &image->header;
    struct job_id id = {header->created_ms, header->id_low, row->partition};
    uint64_t updated_ms = max_u64(header->created_ms, header->first_failed_ms);
    char text[UUID_TEXT_SIZE];
    sqlite3_stmt *statement;
    int64_t project;
    int r = find_project(self, image->sections[JOB_SECTION_ORG],
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
    sqlite_bind_number(statement, 9, header->max_attempts);
    sqlite_bind_number(statement, 10, header->reason);
    sqlite_bind_number(statement, 11, (int64_t)header->created_ms);
    sqlite_bind_number(statement, 12, (int64_t)max_u64(updated_ms, header->ended_ms));
    bind_instant(statement, 13, header->due_ms);
    bind_instant(statement, 14, header->ended_ms);
    sqlite_bind_slice(statement, 15, image->sections[JOB_SECTION_LAST_ERROR]);
    return sqlite_finish(statement);
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

static int put_job_fact(struct read_backend *backend, uint32_t partition,
                        const struct job_fact *fact)
{
    struct sqlite_backend *self = backend_of(backend);
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
    return sqlite_finish(statement);
}

/* ---- places and transactions ---- */

static int load_places(struct read_backend *backend, struct read_place *ret_places,
                       uint32_t log_count)
{
    struct sqlite_backend *self = backend_of(backend);
    sqlite3_stmt *row;
    int r = sqlite_session_prepare(
        &self->writer, "SELECT log, seq, place, next_lsn, location FROM positions", &row);

    if (r < 0)
        return r;
    for (uint32_t log = 0; log < log_count; log++)
        ret_places[log] = (struct read_place){.log = log};
    while ((r = sqlite_step(row)) == 1) {
        uint64_t log = (uint64_t)sqlite_number(row, 0);

        if (log >= log_count)
            continue;
        ret_places[log] = (struct read_place){
            .log = (uint32_t)log,
            .seq = (uint64_t)sqlite_number(row, 1),
            .offset = (uint64_t)sqlite_number(row, 2),
            .next_lsn = (uint64_t)sqlite_number(row, 3),
            .last = {(uint64_t)sqlite_number(row, 4)},
        };
    }
    return r;
}

static int put_place(struct read_backend *backend, const struct read_place *place)
{
    struct sqlite_backend *self = backend_of(backend);
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(&self->writer,
                                   "INSERT OR REPLACE INTO positions (log, seq, place, next_lsn,"
                                   " location) VALUES (?1, ?2, ?3, ?4, ?5)",
                                   &statement);

    if (r < 0)
        return r;
    sqlite_bind_number(statement, 1, place->log);
    sqlite_bind_number(statement, 2, (int64_t)place->seq);
    sqlite_bind_number(statement, 3, (int64_t)place->offset);
    sqlite_bind_number(statement, 4, (int64_t)place->next_lsn);
    sqlite_bind_number(statement, 5, (int64_t)place->last.bits);
    return sqlite_finish(statement);
}

/* SQLite calls it after each commit. */
static int on_wal(void *argument, sqlite3 *db, const char *name, int page_count)
{
    struct sqlite_backend *self = argument;

    (void)db;
    (void)name;
    self->wal_pages = page_count;
    return SQLITE_OK;
}

/*
 * Brings what the WAL holds into the file. SQLite would do it by itself, but not say that it
 * failed. Readers that are in the way are waited for only when the WAL has become long.
 */
MUST_USE static int checkpoint(struct sqlite_backend *self)
{
    int mode =
        self->wal_pages < WAL_PAGES_MAX ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
    int r;

    if (self->wal_pages < WAL_PAGES_MIN)
        return 0;
    r = sqlite_error(sqlite3_wal_checkpoint_v2(self->writer.db, NULL, mode, NULL, NULL));
    if (r == -EBUSY) {
        SOMETIMES("a reader is in the way of a checkpoint");
        return 0;
    }
    return r;
}

static int begin(struct read_backend *backend)
{
    return sqlite_session_run(&backend_of(backend)->writer, "BEGIN IMMEDIATE");
}

static int commit(struct read_backend *backend)
{
    struct sqlite_backend *self = backend_of(backend);
    int r = write_minutes(self);

    if (r == 0)
        r = sqlite_session_run(&self->writer, "COMMIT");
    if (r == 0)
        r = checkpoint(self);
    return r;
}

static void roll_back(struct read_backend *backend)
{
    struct sqlite_backend *self = backend_of(backend);

    /* Some errors have rolled back already; then there is nothing left to do. */
    if (sqlite3_get_autocommit(self->writer.db) == 0 &&
        sqlite_session_run(&self->writer, "ROLLBACK") < 0)
        SOMETIMES("a transaction of the read model cannot be rolled back");
    memset(self->projects, 0, sizeof(self->projects));
    memset(self->minutes, 0, sizeof(self->minutes));
    self->minute_count = 0;
}

/* ---- retention ---- */

/* The newest of the oldest rows that may go; INT64_MIN when there is none. Or -errno. */
MUST_USE static int find_old(struct sqlite_backend *self, uint64_t before_ms, int64_t log,
                             int64_t *ret_last, uint32_t *ret_count)
{
    int64_t first = (int64_t)((uint64_t)log << 56);
    sqlite3_stmt *row;
    int r = sqlite_session_prepare(
        &self->writer,
        "SELECT id, received_ms FROM events WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3", &row);

    if (r < 0)
        return r;
    *ret_last = INT64_MIN;
    *ret_count = 0;
    sqlite_bind_number(row, 1, first);
    sqlite_bind_number(row, 2, first + ((INT64_C(1) << 56) - 1));
    sqlite_bind_number(row, 3, RETAIN_ROWS);
    while ((r = sqlite_step(row)) == 1) {
        if ((uint64_t)sqlite_number(row, 1) >= before_ms)
            break;
        *ret_last = sqlite_number(row, 0);
        ++*ret_count;
    }
    sqlite_reset(row);
    return r < 0 ? r : 0;
}

/* Runs sql with two parameters. */
MUST_USE static int run_range(struct sqlite_backend *self, const char *sql, int64_t first,
                              int64_t last)
{
    sqlite3_stmt *statement;
    int r = sqlite_session_prepare(&self->writer, sql, &statement);

    if (r < 0)
        return r;
    sqlite_bind_number(statement, 1, first);
    sqlite_bind_number(statement, 2, last);
    return sqlite_finish(statement);
}

/* The text index must be told what it is to forget while the row is still there. */
MUST_USE static int remove_events(struct sqlite_backend *self, int64_t log, int64_t last)
{
    int64_t first = (int64_t)((uint64_t)log << 56);
    int r = run_range(self,
                      "INSERT INTO event_search (event_search, rowid, scope, message)"
                      " SELECT 'delete', id, scope, message FROM event_texts"
                      " WHERE id BETWEEN ?1 AND ?2",
                      first, last);

    if (r == 0)
        r = run_range(self, "DELETE FROM events WHERE id BETWEEN ?1 AND ?2", first, last);
    return r;
}

MUST_USE static int retain_events(struct sqlite_backend *self, uint64_t before_ms, bool *ret_more)
{
    int r = 0;

    for (int64_t log = 0; r == 0 && log <= SEGMENT_LOG_MAX; log++) {
        int64_t last;
        uint32_t count;

        r = find_old(self, before_ms, log, &last, &count);
        if (r == 0 && count > 0)
            r = remove_events(self, log, last);
        if (r == 0 && count == RETAIN_ROWS)
            *ret_more = true;
    }
    return r;
}

static const char *const RETAIN_OTHERS[] = {
    "DELETE FROM metric_minutes WHERE received_ms < ?1 - ?2",
    ("DELETE FROM incident_changes WHERE incident_id IN"
     " (SELECT id FROM incidents WHERE resolved_ms < ?1 - ?2)"),
    "DELETE FROM incidents WHERE resolved_ms < ?1 - ?2",
    "DELETE FROM ai_runs WHERE updated_ms < ?1 - ?2",
    "DELETE FROM jobs WHERE ended_ms < ?1 - ?2",
};

static int retain(struct read_backend *backend, uint64_t before_ms, bool *ret_more)
{
    struct sqlite_backend *self = backend_of(backend);
    bool more = false;
    int r = begin(backend);

    if (r == 0)
        r = retain_events(self, before_ms, &more);
    for (uint32_t i = 0; r == 0 && !more && i < ARRAY_COUNT(RETAIN_OTHERS); i++)
        r = run_range(self, RETAIN_OTHERS[i], (int64_t)before_ms, 0);
    if (r == 0)
        r = commit(backend);
    if (r < 0) {
        roll_back(backend);
        return r;
    }
    *ret_more = more;
    return 0;
}

/* ---- queries, size, the end ---- */

static enum read_result query(struct read_backend *backend, struct read_query *query,
                              uint64_t deadline_ns)
{
    struct sqlite_backend *self = backend_of(backend);
    struct sqlite_session *session = self->is_shared ? &self->writer : &self->reader;
    enum read_result result;

    sqlite_session_limit(session, deadline_ns);
    if (sqlite_session_run(session, "BEGIN") < 0)
        return READ_UNAVAILABLE;
    result = sqlite_query_run(session, query);
    sqlite_session_limit(session, UINT64_MAX);
    if (sqlite_session_run(session, "COMMIT") < 0 && sqlite3_get_autocommit(session->db) == 0 &&
        sqlite_session_run(session, "ROLLBACK") < 0)
        result = READ_UNAVAILABLE;
    return result;
}

static uint64_t size(struct read_backend *backend)
{
    struct sqlite_backend *self = backend_of(backend);
    int64_t pages = 0;
    int64_t page_size = 0;

    if (sqlite_session_number(&self->writer, "PRAGMA page_count", &pages) < 0 ||
        sqlite_session_number(&self->writer, "PRAGMA page_size", &page_size) < 0)
        return 0;
    return (uint64_t)pages * (uint64_t)page_size;
}

static void close_backend(struct read_backend **backend)
{
    struct sqlite_backend *self = backend_of(*backend);
    char *memory = (char *)self;

    sqlite_session_close(&self->reader);
    sqlite_session_close(&self->writer);
    memory_unmap(&memory, sizeof(*self));
    *backend = NULL;
}

static const struct read_backend_vtable SQLITE_VTABLE = {
    .name = "sqlite",
    .load_places = load_places,
    .begin = begin,
    .put_event = put_event,
    .put_incident = put_incident,
    .put_run = put_run,
    .put_job = put_job,
    .put_job_fact = put_job_fact,
    .put_place = put_place,
    .commit = commit,
    .roll_back = roll_back,
    .retain = retain,
    .query = query,
    .size = size,
    .close = close_backend,
};

/* ---- opening ---- */

void sqlite_backend_path(const char *data_path, const char *file_name, char *path)
{
    int size = snprintf(path, SQLITE_PATH_SIZE_MAX, "%s/read-model/%s", data_path,
                        file_name == NULL ? "read-model.db" : file_name);

    assert(size > 0 && size < SQLITE_PATH_SIZE_MAX);
}

MUST_USE static int make_directory(struct disk *disk, const char *data_path)
{
    char path[SQLITE_PATH_SIZE_MAX];
    int size = snprintf(path, sizeof(path), "%s/read-model", data_path);
    int r;

    assert(size > 0 && size < SQLITE_PATH_SIZE_MAX);
    r = disk_make_directory(disk, path, 0700);
    if (r < 0 && r != -EEXIST)
        return r;
    return r == 0 ? disk_sync_directory(disk, data_path) : 0;
}

/* Says why, and what to do. Answers error. */
static int refuse(char *text, int error, const char *path, const char *why)
{
    snprintf(text, READ_MODEL_TEXT_SIZE,
             "%.200s %s stop weir and run `weir migrate --rebuild` to make it anew from the logs",
             path, why);
    return error;
}

/* Whose file it is: -1 not a read model, else its version. Or an error in *ret_version's stead. */
MUST_USE static int read_version(struct sqlite_session *session, int64_t *ret_version)
{
    int64_t application_id = 0;
    int64_t table_count = 0;
    int64_t version = 0;
    int r = sqlite_session_number(session, "PRAGMA application_id", &application_id);

    if (r == 0)
        r = sqlite_session_number(session, "PRAGMA user_version", &version);
    if (r == 0)
        r = sqlite_session_number(session, "SELECT count(*) FROM sqlite_schema", &table_count);
    if (r == 0)
        *ret_version =
            application_id == APPLICATION_ID || (version == 0 && table_count == 0) ? version : -1;
    return r;
}

MUST_USE static int run_migration(struct sqlite_session *session, uint32_t number)
{
    char sql[64];
    int r = sqlite_session_run(session, "BEGIN IMMEDIATE");

    if (r == 0)
        r = sqlite_session_run(session, MIGRATIONS[number].sql);
    snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", number + 1);
    if (r == 0)
        r = sqlite_session_run(session, sql);
    snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
    if (r == 0)
        r = sqlite_session_run(session, sql);
    if (r == 0)
        r = sqlite_session_run(session, "COMMIT");
    if (r < 0 && sqlite3_get_autocommit(session->db) == 0 &&
        sqlite_session_run(session, "ROLLBACK") < 0)
        SOMETIMES("a migration cannot be rolled back");
    return r;
}

/* The directory whose logs the rows come from: written once, compared ever after. */
MUST_USE static int check_owner(struct sqlite_session *session, const uint8_t *uuid, bool is_new)
{
    struct slice owner = {(const char *)uuid, SEGMENT_UUID_SIZE};
    sqlite3_stmt *row;
    int r;

    r = sqlite_session_prepare(
        session, is_new ? "INSERT INTO owner (uuid) VALUES (?1)" : "SELECT uuid = ?1 FROM owner",
        &row);
    if (r < 0)
        return r;
    sqlite_bind_bytes(row, 1, owner.data, owner.size);
    r = sqlite_step(row);
    if (r <= 0)
        return r < 0 || is_new ? r : -EPROTO;
    r = sqlite_number(row, 0) == 1 ? 0 : -EPROTO;
    sqlite_reset(row);
    return r;
}

MUST_USE static int migrate(struct sqlite_backend *self, const struct sqlite_backend_config *config,
                            const char *path, uint32_t *ret_migrated, char *text)
{
    uint32_t migrated = 0;
    int64_t version = 0;
    int r = read_version(&self->writer, &version);

    if (r < 0)
        return r;
    if (version < 0)
        return refuse(text, -EPROTO, path, "is not a read model:");
    if (version > MIGRATION_COUNT)
        return refuse(text, -EPROTO, path,
                      "was made by a later version of weir: use that version, or");
    if (version < MIGRATION_COUNT && !config->may_migrate)
        return refuse(text, -EPROTO, path, "is of an earlier version of weir:");
    for (uint32_t n = (uint32_t)version; r == 0 && n < MIGRATION_COUNT; n++, migrated++)
        r = run_migration(&self->writer, n);
    if (r == 0)
        r = check_owner(&self->writer, config->uuid, version == 0);
    if (r == -EPROTO)
        return refuse(text, r, path, "belongs to another data directory:");
    if (r == 0)
        *ret_migrated = migrated;
    return r;
}

/* Settings of the connection that writes. */
static const char *const WRITER_SETTINGS[] = {
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA journal_size_limit = 33554432",
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA trusted_schema = OFF",
};

static const char *const READER_SETTINGS[] = {
    "PRAGMA cache_size = -16384",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA query_only = ON",
};

MUST_USE static int run_all(struct sqlite_session *session, const char *const *settings,
                            uint32_t count)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = sqlite_session_run(session, settings[i]);
    return r;
}

MUST_USE static int open_sessions(struct sqlite_backend *self,
                                  const struct sqlite_backend_config *config, const char *path,
                                  uint32_t *ret_migrated, char *text)
{
    struct sqlite_session_config session = {
        .path = path,
        .vfs = config->vfs,
        .exclusive = config->vfs != NULL,
        .clock_source = config->clock_source,
    };
    int r = sqlite_session_open(&self->writer, &session);

    if (r < 0)
        return r;
    r = run_all(&self->writer, WRITER_SETTINGS, ARRAY_COUNT(WRITER_SETTINGS));
    /* Only now: one of the settings takes any hook away. */
    sqlite3_wal_hook(self->writer.db, on_wal, self);
    if (r == 0)
        r = migrate(self, config, path, ret_migrated, text);
    self->is_shared = session.exclusive;
    if (r < 0 || self->is_shared)
        return r;
    r = sqlite_session_open(&self->reader, &session);
    if (r == 0)
        r = run_all(&self->reader, READER_SETTINGS, ARRAY_COUNT(READER_SETTINGS));
    return r;
}

int sqlite_backend_open(const struct sqlite_backend_config *config,
                        struct read_backend **ret_backend, uint32_t *ret_migrated, char *text)
{
    char path[SQLITE_PATH_SIZE_MAX];
    struct sqlite_backend *self;
    struct read_backend *backend;
    char *memory = NULL;
    int r;

    text[0] = 0;
    sqlite_backend_path(config->data_path, config->file_name, path);
    r = make_directory(config->disk, config->data_path);
    if (r == 0)
        r = memory_map(sizeof(*self), &memory);
    if (r < 0)
        return r;
    self = (struct sqlite_backend *)(void *)memory;
    self->backend.vtable = &SQLITE_VTABLE;
    r = open_sessions(self, config, path, ret_migrated, text);
    if (r == 0) {
        *ret_backend = &self->backend;
        return 0;
    }
    if (r == -EBADMSG)
        (void)refuse(text, r, path, "is damaged:");
    else if (text[0] == 0)
        snprintf(text, READ_MODEL_TEXT_SIZE, "%.300s cannot be opened: %s", path,
                 sqlite3_errstr(self->writer.db == NULL ? SQLITE_CANTOPEN
                                                        : sqlite3_errcode(self->writer.db)));
    backend = &self->backend;
    close_backend(&backend);
    return r;
}

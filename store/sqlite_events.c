#include "store/sqlite_internals.h"

#include <errno.h>

#include "runtime/sim_point.h"

/*
 * The hot path of the projection. A project's number is looked up in a small table in memory,
 * where the newest entry of a slot wins; events per minute are counted in another one, and
 * written when the transaction ends or the table is half full.
 */
enum { MINUTE_COUNT_MAX = SQLITE_MINUTE_SLOT_COUNT / 2 };
static const int64_t MINUTE_MS = 60000;

/* ---- projects ---- */

static uint64_t mix(uint64_t hash, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static struct sqlite_project *slot_of_project(struct sqlite_backend *self, struct slice org,
                                              struct slice project)
{
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), org.data, org.size);

    hash = mix(mix(hash, "/", 1), project.data, project.size);
    return &self->projects[(hash ^ hash >> 32) % SQLITE_PROJECT_SLOT_COUNT];
}

static bool is_slot_of(const struct sqlite_project *slot, struct slice org, struct slice project)
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

int sqlite_find_project(struct sqlite_backend *self, struct slice org, struct slice project,
                        int64_t *ret_id)
{
    struct sqlite_project *slot = slot_of_project(self, org, project);
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

MUST_USE static int write_minute(struct sqlite_backend *self, const struct sqlite_minute *slot)
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

int sqlite_write_minutes(struct sqlite_backend *self)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && self->minute_count > 0 && i < SQLITE_MINUTE_SLOT_COUNT; i++) {
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
        r = sqlite_write_minutes(self);
        if (r < 0)
            return r;
    }
    for (uint64_t i = hash;; i++) {
        struct sqlite_minute *slot = &self->minutes[i % SQLITE_MINUTE_SLOT_COUNT];

        if (slot->project == 0) {
            *slot = (struct sqlite_minute){.project = project,
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

int sqlite_put_event(struct read_backend *backend, const struct read_event_row *row)
{
    struct sqlite_backend *self = sqlite_backend_of(backend);
    int64_t project;
    int r = sqlite_find_project(self, row->org, row->project, &project);

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

void sqlite_forget(struct sqlite_backend *self)
{
    memset(self->projects, 0, sizeof(self->projects));
    memset(self->minutes, 0, sizeof(self->minutes));
    self->minute_count = 0;
}

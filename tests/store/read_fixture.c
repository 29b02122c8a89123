#include "read_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "runtime/rng.h"
#include "store/record.h"
#include "store/sqlite_backend.h"
#include "store/sqlite_session.h"

/*
 * The read model's disk is the log's, so one crash takes from both what was not synced. To look
 * at rows the read model is closed and opened again: there is one connection at a time.
 */
static const uint64_t FIRST_MS = 1735689600000; /* 2025-01-01T00:00:00Z */

static void open_log(struct read_fixture *fixture)
{
    int r = fixture_open(&fixture->log);

    cr_assert(eq(int, r, 0), "%s", fixture->log.text);
}

void read_fixture_begin(struct read_fixture *fixture, uint64_t seed)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture_init(&fixture->log, seed);
    open_log(fixture);
}

void read_fixture_end(struct read_fixture *fixture)
{
    read_fixture_close(fixture);
    fixture_deinit(&fixture->log);
}

/* ---- events ---- */

size_t read_fixture_event(uint32_t number, char *buffer, size_t capacity)
{
    static const char *const TYPES[] = {"error", "http_request", "signup"};
    struct record_event head = {
        .key = {number, ~(uint64_t)number},
        .received_ms = FIRST_MS + number,
        .event_type = (uint8_t)(number % 3),
        .environment = EVENT_ENVIRONMENT_PROD,
        .severity = EVENT_SEVERITY_ERROR,
        .occurred_ms = (int64_t)FIRST_MS + number * 1000,
        .series = {number % 3 == 0 ? 77 : 0, number % 3 == 0 ? number % 5 : 0},
        .project = 1,
        .partition = 1,
    };
    uint64_t second = number % 60;
    uint64_t minute = number / 60;
    int size;

    memcpy(buffer, &head, sizeof(head));
    size = snprintf(
        buffer + sizeof(head), capacity - sizeof(head),
        "{\"schema_version\":\"1.0\",\"event_id\":\"00000000-0000-4000-8000-%012x\","
        "\"occurred_at\":\"2025-01-01T%02u:%02u:%02uZ\","
        "\"received_at\":\"2025-01-01T00:00:%02u.%03uZ\",\"org_id\":\"org\",\"project_id\":\"p%u\","
        "\"environment\":\"prod\",\"event_type\":\"%s\",\"severity\":\"error\","
        "\"message\":\"number %u of \\\"many\\\" timeouts\",\"attributes\":{\"n\":%u},"
        "\"payload\":{}}",
        number, (unsigned)(minute / 60), (unsigned)(minute % 60), (unsigned)second,
        number / 1000 % 60, number % 1000, number % 2, TYPES[number % 3], number, number);
    assert(size > 0 && (size_t)size < capacity - sizeof(head));
    return sizeof(head) + (size_t)size;
}

static struct read_fixture *adding; /* one at a time */

static void on_durable(struct journal_append *append, enum journal_outcome outcome)
{
    (void)append;
    if (outcome == JOURNAL_DURABLE)
        adding->durable_count++;
}

/* One turn of what a shard's loop does. */
static void turn(struct read_fixture *fixture)
{
    fixture_run(&fixture->log, 1);
}

void read_fixture_add(struct read_fixture *fixture, uint32_t count)
{
    uint32_t end = fixture->event_count + count;

    adding = fixture;
    cr_assert(le(u32, end, READ_FIXTURE_EVENTS_MAX));
    while (fixture->event_count < end) {
        struct journal_append *append = &fixture->appends[fixture->event_count];
        char payload[2048];
        struct slice part = {payload, 0};
        struct journal_record record = {.partition = 1,
                                        .type = RECORD_EVENT,
                                        .version = EVENT_RECORD_VERSION,
                                        .parts = &part,
                                        .part_count = 1};

        part.size = read_fixture_event(fixture->event_count, payload, sizeof(payload));
        append->on_durable = on_durable;
        if (journal_append(fixture->log.journal, append, &record, 1, 0) == JOURNAL_OK)
            fixture->event_count++;
        else
            turn(fixture);
    }
    for (uint32_t i = 0; i < 100000 && fixture->durable_count < fixture->event_count; i++)
        turn(fixture);
    cr_assert(eq(u32, fixture->durable_count, fixture->event_count));
}

/* ---- the read model ---- */

int read_fixture_open(struct read_fixture *fixture)
{
    const struct clock_source *clock_source = &fixture->log.world->clock_source;
    struct sqlite_backend_config backend = {
        .disk = fixture->log.disk,
        .data_path = "data",
        .uuid = fixture->log.superblock.uuid,
        .clock_source = clock_source,
        .may_migrate = true,
    };
    struct read_writer_config writer = {
        .disk = fixture->log.disk,
        .data_path = "data",
        .uuid = fixture->log.superblock.uuid,
        .log_count = 1,
        .clock_source = clock_source,
        .retain_ms = fixture->retain_ms,
    };
    uint32_t migrated;
    int r;

    cr_assert(fixture->backend == NULL);
    r = sqlite_disk_vfs_new(fixture->log.disk, clock_source, 1, &fixture->vfs);
    cr_assert(eq(int, r, 0));
    backend.vfs = sqlite_disk_vfs_name(fixture->vfs);
    r = sqlite_backend_open(&backend, &fixture->backend, &migrated, fixture->text);
    writer.backend = fixture->backend;
    if (r == 0)
        r = read_writer_init(&fixture->writer, &writer, fixture->text);
    fixture->has_writer = r == 0;
    if (r == 0)
        read_writer_advance(&fixture->writer, 0, journal_durable_lsn(fixture->log.journal));
    else
        read_fixture_close(fixture);
    return r;
}

void read_fixture_close(struct read_fixture *fixture)
{
    if (fixture->has_writer)
        read_writer_deinit(&fixture->writer);
    fixture->has_writer = false;
    if (fixture->backend != NULL)
        fixture->backend->vtable->close(&fixture->backend);
    sqlite_disk_vfs_free(&fixture->vfs);
}

enum read_step read_fixture_follow(struct read_fixture *fixture)
{
    enum read_step step;

    read_writer_advance(&fixture->writer, 0, journal_durable_lsn(fixture->log.journal));
    do {
        step = read_writer_step(&fixture->writer);
    } while (step == READ_STEP_MORE);
    return step;
}

void read_fixture_crash(struct read_fixture *fixture, bool kill)
{
    if (kill && sim_host_is_up(fixture->log.host))
        sim_host_kill(fixture->log.host);
    else
        sim_host_crash(fixture->log.host);
    read_fixture_close(fixture);
    journal_free(&fixture->log.journal);
    io_free(&fixture->log.io);
    sim_host_start(fixture->log.host);
    open_log(fixture);
}

/* ---- looking at it ---- */

static const char *const DUMPS[] = {
    "SELECT * FROM projects ORDER BY org, project",
    "SELECT * FROM positions ORDER BY log",
    "SELECT id, project_id, hex(event_id), spelled_id, occurred_ms, received_ms, environment,"
    " event_type, severity, hex(series), message, attributes FROM events ORDER BY id",
    "SELECT * FROM metric_minutes ORDER BY project_id, event_type, minute_ms, environment",
    "SELECT * FROM incidents ORDER BY id",
    "SELECT * FROM incident_changes ORDER BY incident_id, revision",
    "SELECT id, state, revision, attempts FROM ai_runs ORDER BY id",
    "SELECT * FROM jobs ORDER BY partition, id_low",
    "SELECT rowid FROM event_search WHERE event_search MATCH 'scope : p1 AND message : timeout'"
    " ORDER BY rowid",
};

static void dump_rows(struct sqlite_session *session, const char *sql, FILE *out)
{
    sqlite3_stmt *row;
    int r = sqlite_session_prepare(session, sql, &row);

    cr_assert(eq(int, r, 0), "%s: %s", sql, sqlite3_errmsg(session->db));
    while ((r = sqlite_step(row)) == 1) {
        for (int i = 0; i < sqlite3_column_count(row); i++) {
            struct slice value = sqlite_slice(row, i);

            fprintf(out, "%.*s|", (int)value.size, value.data);
        }
        fputc('\n', out);
    }
    cr_assert(eq(int, r, 0), "%s: %s", sql, sqlite3_errmsg(session->db));
}

/* A connection of the test's own; the read model must not have one at the time. */
static void open_session(struct read_fixture *fixture, struct sqlite_session *session)
{
    struct sqlite_session_config config = {
        .path = "data/read-model/read-model.db",
        .vfs = sqlite_disk_vfs_name(fixture->vfs),
        .exclusive = true,
        .clock_source = &fixture->log.world->clock_source,
    };
    int r;

    memset(session, 0, sizeof(*session));
    r = sqlite_session_open(session, &config);
    cr_assert(eq(int, r, 0));
}

/* Closes the read model, has a look, and opens it again. */
static void with_session(struct read_fixture *fixture, const char *const *statements,
                         uint32_t count, FILE *out)
{
    struct sqlite_session session;
    int r;

    read_fixture_close(fixture);
    r = sqlite_disk_vfs_new(fixture->log.disk, &fixture->log.world->clock_source, 1, &fixture->vfs);
    cr_assert(eq(int, r, 0));
    open_session(fixture, &session);
    for (uint32_t i = 0; i < count; i++)
        dump_rows(&session, statements[i], out);
    sqlite_session_close(&session);
    sqlite_disk_vfs_free(&fixture->vfs);
    r = read_fixture_open(fixture);
    cr_assert(eq(int, r, 0), "%s", fixture->text);
}

char *read_fixture_dump(struct read_fixture *fixture)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    with_session(fixture, DUMPS, ARRAY_COUNT(DUMPS), out);
    fclose(out);
    return text;
}

int64_t read_fixture_number(struct read_fixture *fixture, const char *sql)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int64_t number;

    with_session(fixture, &sql, 1, out);
    fclose(out);
    number = strtoll(text, NULL, 10);
    free(text);
    return number;
}

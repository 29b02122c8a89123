#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "read_fixture.h"
#include "store/migrations.h"
#include "store/sqlite_session.h"

static struct read_fixture fixture;

static void setup(void)
{
    read_fixture_begin(&fixture, 7);
}

static void teardown(void)
{
    read_fixture_end(&fixture);
}

TestSuite(sqlite_backend, .init = setup, .fini = teardown, .timeout = 60);

/* Does something to the file while the read model is closed. */
static void tamper(const char *sql)
{
    struct sqlite_session session = {.db = NULL};
    struct sqlite_session_config config = {
        .path = "data/read-model/read-model.db",
        .exclusive = true,
        .clock_source = &fixture.log.world->clock_source,
    };
    int r = sqlite_disk_vfs_new(fixture.log.disk, config.clock_source, 1, &fixture.vfs);

    cr_assert(eq(int, r, 0));
    config.vfs = sqlite_disk_vfs_name(fixture.vfs);
    cr_assert(eq(int, sqlite_session_open(&session, &config), 0));
    cr_assert(eq(int, sqlite_session_run(&session, sql), 0), "%s", sqlite3_errmsg(session.db));
    sqlite_session_close(&session);
    sqlite_disk_vfs_free(&fixture.vfs);
}

static void make_one(void)
{
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    read_fixture_add(&fixture, 10);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE));
    read_fixture_close(&fixture);
}

static void assert_refused(int error, const char *why)
{
    cr_assert(eq(int, read_fixture_open(&fixture), error));
    cr_assert(ne(ptr, strstr(fixture.text, why), NULL), "%s", fixture.text);
    cr_assert(ne(ptr, strstr(fixture.text, "weir migrate --rebuild"), NULL), "%s", fixture.text);
}

Test(sqlite_backend, refuses_a_file_of_a_later_version)
{
    make_one();
    tamper("PRAGMA user_version = 4711");
    assert_refused(-EPROTO, "later version");
}

Test(sqlite_backend, refuses_the_file_of_another_data_directory)
{
    make_one();
    tamper("UPDATE owner SET uuid = x'00112233445566778899aabbccddeeff'");
    assert_refused(-EPROTO, "another data directory");
}

Test(sqlite_backend, refuses_what_is_no_read_model)
{
    make_one();
    tamper("PRAGMA application_id = 1");
    assert_refused(-EPROTO, "not a read model");
}

Test(sqlite_backend, says_that_a_file_is_damaged)
{
    make_one();
    fixture_flip(&fixture.log, "read-model/read-model.db", 0, 0xff);
    assert_refused(-EBADMSG, "damaged");
}

Test(sqlite_backend, ends_when_damage_shows_while_it_is_used)
{
    uint64_t size;

    make_one();
    read_fixture_add(&fixture, 300);
    size = fixture_size(&fixture.log, "read-model/read-model.db");
    for (uint64_t offset = 8192; offset < size; offset += 4096)
        fixture_flip(&fixture.log, "read-model/read-model.db", offset, 0xff);
    if (read_fixture_open(&fixture) == 0) {
        cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_ENDED));
        cr_assert(ne(ptr, strstr(fixture.writer.text, "weir migrate --rebuild"), NULL));
    }
}

Test(sqlite_backend, does_not_believe_a_file_after_a_failed_flush)
{
    enum read_step step = READ_STEP_IDLE;

    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    /* Enough for the file to be flushed. */
    for (uint32_t i = 0; i < 600 && step == READ_STEP_IDLE; i++) {
        fixture.log.host->faults.sync_error.always = false;
        read_fixture_add(&fixture, 30);
        fixture.log.host->faults.sync_error.always = true;
        step = read_fixture_follow(&fixture);
    }
    fixture.log.host->faults.sync_error.always = false;
    cr_assert(eq(int, step, READ_STEP_ENDED));
}

Test(sqlite_backend, takes_an_event_that_is_there_for_the_same)
{
    uint8_t id[UUID_SIZE] = {1};
    struct read_event_row row = {
        .location = journal_location_make(0, 1, 4096),
        .org = SLICE_LITERAL("org"),
        .project = SLICE_LITERAL("p"),
        .occurred_ms = 60000,
        .received_ms = 1,
        .message = SLICE_LITERAL("first"),
        .attributes = SLICE_LITERAL("{}"),
    };
    struct read_backend *backend;

    memcpy(row.event_id, id, sizeof(id));
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    backend = fixture.backend;
    cr_assert(eq(int, backend->vtable->begin(backend), 0));
    cr_assert(eq(int, backend->vtable->put_event(backend, &row), 0));
    row.location = journal_location_make(0, 1, 8192);
    row.message = SLICE_LITERAL("second");
    cr_assert(eq(int, backend->vtable->put_event(backend, &row), 0));
    row.project = SLICE_LITERAL("q");
    cr_assert(eq(int, backend->vtable->put_event(backend, &row), 0));
    cr_assert(eq(int, backend->vtable->commit(backend), 0));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM events"), 2));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT sum(value) FROM metric_minutes"), 2));
    cr_assert(eq(i64,
                 read_fixture_number(&fixture, "SELECT count(*) FROM event_search WHERE"
                                               " event_search MATCH 'scope : p1'"),
                 1));
}

Test(sqlite_backend, forgets_all_of_a_batch_that_is_rolled_back)
{
    struct read_event_row row = {
        .location = journal_location_make(0, 1, 4096),
        .org = SLICE_LITERAL("org"),
        .project = SLICE_LITERAL("p"),
        .message = SLICE_LITERAL("first"),
        .attributes = SLICE_LITERAL("{}"),
    };
    struct read_backend *backend;

    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    backend = fixture.backend;
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(eq(int, backend->vtable->begin(backend), 0));
        cr_assert(eq(int, backend->vtable->put_event(backend, &row), 0));
        if (i == 0)
            backend->vtable->roll_back(backend);
        else
            cr_assert(eq(int, backend->vtable->commit(backend), 0));
    }
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM projects"), 1));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT sum(value) FROM metric_minutes"), 1));
}

/* An incident of one series, as it is from this revision on. */
static struct incident_image image_of(uint64_t revision, enum incident_status status,
                                      enum incident_cause cause)
{
    return (struct incident_image){
        .header = {.id_low = 9,
                   .created_ms = 1000,
                   .written_ms = 1000 + revision,
                   .revision = revision,
                   .series = {1, 2},
                   .project = 1,
                   .opened_ms = 900,
                   .reopened_ms = 900,
                   .last_seen_ms = 900 + (int64_t)revision,
                   .resolved_ms = status == INCIDENT_RESOLVED ? 5000 : 0,
                   .changed_ms = 900,
                   .fingerprint_version = 1,
                   .status = (uint8_t)status,
                   .cause = (uint8_t)cause},
        .sections = {[INCIDENT_SECTION_ORG] = SLICE_LITERAL("org"),
                     [INCIDENT_SECTION_PROJECT] = SLICE_LITERAL("p"),
                     [INCIDENT_SECTION_FINGERPRINT] = SLICE_LITERAL("A|/b|prod"),
                     [INCIDENT_SECTION_TITLE] = SLICE_LITERAL("title")},
    };
}

Test(sqlite_backend, believes_the_later_image_of_an_incident_whatever_comes_last)
{
    const struct incident_image images[] = {
        image_of(1, INCIDENT_OPEN, INCIDENT_CAUSE_OPENED),
        image_of(2, INCIDENT_OPEN, INCIDENT_CAUSE_SEEN),
        image_of(3, INCIDENT_RESOLVED, INCIDENT_CAUSE_AUTO_RESOLVED),
        image_of(1, INCIDENT_OPEN, INCIDENT_CAUSE_OPENED),            /* of another log, late */
        image_of(3, INCIDENT_RESOLVED, INCIDENT_CAUSE_AUTO_RESOLVED), /* carried forward */
    };
    struct read_backend *backend;

    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    backend = fixture.backend;
    cr_assert(eq(int, backend->vtable->begin(backend), 0));
    for (uint32_t i = 0; i < ARRAY_COUNT(images); i++)
        cr_assert(eq(int, backend->vtable->put_incident(backend, 3, &images[i]), 0));
    cr_assert(eq(int, backend->vtable->commit(backend), 0));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM incidents"), 1));
    cr_assert(
        eq(i64, read_fixture_number(&fixture, "SELECT status FROM incidents"), INCIDENT_RESOLVED));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT last_seen_ms FROM incidents"), 903));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM incident_changes"), 2),
              "opened and resolved; that it was seen is no line");
}

Test(sqlite_backend, forgets_what_was_resolved_long_ago_but_nothing_that_is_open)
{
    struct incident_image open = image_of(1, INCIDENT_OPEN, INCIDENT_CAUSE_OPENED);
    struct incident_image resolved = image_of(1, INCIDENT_RESOLVED, INCIDENT_CAUSE_AUTO_RESOLVED);
    struct read_backend *backend;
    bool more;

    open.header.id_low = 10;
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    backend = fixture.backend;
    cr_assert(eq(int, backend->vtable->begin(backend), 0));
    cr_assert(eq(int, backend->vtable->put_incident(backend, 3, &open), 0));
    cr_assert(eq(int, backend->vtable->put_incident(backend, 3, &resolved), 0));
    cr_assert(eq(int, backend->vtable->commit(backend), 0));
    cr_assert(eq(int, backend->vtable->retain(backend, 1 << 30, &more), 0));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM incidents"), 1));
    cr_assert(
        eq(i64, read_fixture_number(&fixture, "SELECT status FROM incidents"), INCIDENT_OPEN));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM incident_changes"), 1));
}

/* A job about an incident, and what happens to it. */
Test(sqlite_backend, follows_a_job_from_fact_to_fact)
{
    struct job_image image = {
        .header = {.id_low = 5, .created_ms = 9, .state = JOB_QUEUED, .max_attempts = 3},
        .sections = {[JOB_SECTION_ORG] = SLICE_LITERAL("org"),
                     [JOB_SECTION_PROJECT] = SLICE_LITERAL("p"),
                     [JOB_SECTION_KIND] = SLICE_LITERAL("incident.summarize")},
    };
    struct read_job_row row = {.image = &image, .partition = 3};
    struct job_fact facts[] = {
        {.header = {.id_low = 5, .at_ms = 10, .due_ms = 60, .kind = JOB_FACT_RETRY, .attempt = 1},
         .text = SLICE_LITERAL("no answer")},
        {.header = {.id_low = 6, .at_ms = 11, .kind = JOB_FACT_COMPLETED, .attempt = 1}},
        {.header = {.id_low = 5,
                    .at_ms = 12,
                    .kind = JOB_FACT_DEAD,
                    .attempt = 2,
                    .reason = JOB_DEAD_NOT_RETRYABLE},
         .text = SLICE_LITERAL("refused")},
    };
    struct read_backend *backend;

    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    backend = fixture.backend;
    cr_assert(eq(int, backend->vtable->begin(backend), 0));
    cr_assert(eq(int, backend->vtable->put_job(backend, &row), 0));
    for (uint32_t i = 0; i < ARRAY_COUNT(facts); i++)
        cr_assert(eq(int, backend->vtable->put_job_fact(backend, 3, &facts[i]), 0));
    cr_assert(eq(int, backend->vtable->commit(backend), 0));
    cr_assert(eq(i64,
                 read_fixture_number(&fixture, "SELECT count(*) FROM jobs WHERE attempt = 2 AND"
                                               " updated_ms = 12 AND ended_ms = 12 AND due_ms = 60"
                                               " AND last_error = 'refused'"),
                 1));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT state FROM jobs"), JOB_DEAD));
    cr_assert(
        eq(i64, read_fixture_number(&fixture, "SELECT reason FROM jobs"), JOB_DEAD_NOT_RETRYABLE));
}

/* Most jobs say nothing of their own on attempts. */
Test(sqlite_backend, takes_from_the_kind_how_often_a_job_is_tried)
{
    struct job_image image = {
        .header = {.id_low = 5, .created_ms = 9, .state = JOB_QUEUED},
        .sections = {[JOB_SECTION_ORG] = SLICE_LITERAL("org"),
                     [JOB_SECTION_PROJECT] = SLICE_LITERAL("p"),
                     [JOB_SECTION_KIND] = SLICE_LITERAL("incident.summarize")},
    };
    struct read_job_row row = {.image = &image, .partition = 3};
    struct read_backend *backend;

    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    backend = fixture.backend;
    cr_assert(eq(int, backend->vtable->begin(backend), 0));
    cr_assert(eq(int, backend->vtable->put_job(backend, &row), 0));
    cr_assert(eq(int, backend->vtable->commit(backend), 0));
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT max_attempts FROM jobs"), 3));
}

/* The indexes of the first version, in place of what the second one made of them. */
static const char FIRST_VERSION[] =
    "DROP INDEX events_by_time;"
    "DROP INDEX events_by_series;"
    "CREATE UNIQUE INDEX events_by_event_id ON events (project_id, event_id);"
    "CREATE INDEX events_by_time"
    " ON events (project_id, occurred_ms, environment, event_type, severity);"
    "CREATE INDEX events_by_series ON events (series, occurred_ms) WHERE series IS NOT NULL;"
    "DELETE FROM event_search_config WHERE k IN ('hashsize', 'automerge');"
    "PRAGMA user_version = 1";

Test(sqlite_backend, keeps_all_rows_of_a_file_of_an_earlier_version)
{
    char *before;
    char *after;

    make_one();
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    before = read_fixture_dump(&fixture);
    read_fixture_close(&fixture);
    tamper(FIRST_VERSION);
    cr_assert(eq(int, read_fixture_open(&fixture), 0), "%s", fixture.text);
    after = read_fixture_dump(&fixture);
    cr_assert(eq(str, after, before));
    cr_assert(eq(i64, read_fixture_number(&fixture, "PRAGMA user_version"), MIGRATION_COUNT));
    cr_assert(eq(i64,
                 read_fixture_number(&fixture, "SELECT count(*) FROM sqlite_schema"
                                               " WHERE name = 'events_by_event_id'"),
                 0));
    read_fixture_add(&fixture, 10);
    cr_assert(eq(int, read_fixture_follow(&fixture), READ_STEP_IDLE), "%s", fixture.writer.text);
    cr_assert(eq(i64, read_fixture_number(&fixture, "SELECT count(*) FROM events"), 20));
    free(before);
    free(after);
}

Test(sqlite_backend, has_migrations_that_are_numbered_without_a_gap)
{
    cr_assert(MIGRATION_COUNT > 0);
    for (uint32_t i = 0; i < MIGRATION_COUNT; i++)
        cr_assert(eq(ulong, strtoul(MIGRATIONS[i].name, NULL, 10), i + 1));
}

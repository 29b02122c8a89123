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

Test(sqlite_backend, has_migrations_that_are_numbered_without_a_gap)
{
    cr_assert(MIGRATION_COUNT > 0);
    for (uint32_t i = 0; i < MIGRATION_COUNT; i++)
        cr_assert(eq(ulong, strtoul(MIGRATIONS[i].name, NULL, 10), i + 1));
}

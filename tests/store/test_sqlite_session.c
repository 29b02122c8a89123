#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "store/sqlite_session.h"

/* A clock that goes on by a millisecond each time that somebody looks. */
static uint64_t now_ns;

static void read_clock(const struct clock_source *source, uint64_t *ret_mono_ns,
                       uint64_t *ret_unix_ms)
{
    (void)source;
    now_ns += 1000000;
    *ret_mono_ns = now_ns;
    *ret_unix_ms = now_ns / 1000000;
}

static const struct clock_source CLOCK = {.read = read_clock};
static struct sqlite_session session;

static void setup(void)
{
    struct sqlite_session_config config = {
        .path = ":memory:", .exclusive = true, .clock_source = &CLOCK};

    cr_assert(eq(int, sqlite_session_open(&session, &config), 0));
}

static void teardown(void)
{
    sqlite_session_close(&session);
}

TestSuite(sqlite_session, .init = setup, .fini = teardown, .timeout = 30);

static const char ENDLESS[] =
    "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";

Test(sqlite_session, ends_a_statement_that_takes_too_long)
{
    int64_t number = 7;

    sqlite_session_limit(&session, now_ns + 50000000);
    cr_assert(eq(int, sqlite_session_number(&session, ENDLESS, &number), -ETIME));
    cr_assert(eq(i64, number, 7), "not written on failure");
    sqlite_session_limit(&session, UINT64_MAX);
    cr_assert(eq(int, sqlite_session_number(&session, "SELECT 1", &number), 0));
    cr_assert(eq(i64, number, 1));
}

Test(sqlite_session, prepares_a_statement_once)
{
    sqlite3_stmt *first;
    sqlite3_stmt *again;

    cr_assert(eq(int, sqlite_session_prepare(&session, "SELECT ?1", &first), 0));
    sqlite_bind_number(first, 1, 5);
    cr_assert(eq(int, sqlite_step(first), 1));
    cr_assert(eq(i64, sqlite_number(first, 0), 5));
    sqlite_reset(first);
    cr_assert(eq(int, sqlite_session_prepare(&session, "SELECT ?1", &again), 0));
    cr_assert(eq(ptr, again, first));
    cr_assert(eq(int, sqlite_step(again), 1));
    cr_assert(sqlite_is_null(again, 0), "nothing is bound any more");
    sqlite_reset(again);
}

Test(sqlite_session, makes_room_for_one_more_statement)
{
    sqlite3_stmt *statement;
    char sql[32];

    for (int i = 0; i < 3 * SQLITE_STATEMENTS_MAX; i++) {
        snprintf(sql, sizeof(sql), "SELECT %d", i);
        cr_assert(eq(int, sqlite_session_prepare(&session, sql, &statement), 0));
        cr_assert(eq(int, sqlite_step(statement), 1));
        cr_assert(eq(i64, sqlite_number(statement, 0), i));
        sqlite_reset(statement);
    }
    cr_assert(eq(u32, session.statement_count, SQLITE_STATEMENTS_MAX));
}

Test(sqlite_session, says_what_kind_of_error_it_was)
{
    sqlite3_stmt *statement;

    cr_assert(eq(int, sqlite_session_prepare(&session, "SELEKT", &statement), -EPROTO));
    cr_assert(eq(int, sqlite_error(SQLITE_FULL), -ENOSPC));
    cr_assert(eq(int, sqlite_error(SQLITE_IOERR_READ), -EIO));
    cr_assert(eq(int, sqlite_error(SQLITE_IOERR_FSYNC), -EBADMSG));
    cr_assert(eq(int, sqlite_error(SQLITE_CORRUPT_VTAB), -EBADMSG));
    cr_assert(eq(int, sqlite_error(SQLITE_BUSY_SNAPSHOT), -EBUSY));
    cr_assert(eq(int, sqlite_error(SQLITE_ROW), 0));
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/search_text.h"
#include "query_fixture.h"
#include "runtime/rng.h"
#include "store/sqlite_session.h"

/* Search: what is found, in which order, and that nothing typed is ever an error. */

static const int64_t NOON_MS = INT64_C(1736942400000); /* 2025-01-15T12:00:00Z */

static struct query_fixture fixture;
static struct read_query query;
static struct rng rng;

static void setup(void)
{
    query_fixture_init(&fixture);
    query = query_fixture_query(READ_SEARCH);
}

static void teardown(void)
{
    query_fixture_deinit(&fixture);
}

TestSuite(sqlite_search, .init = setup, .fini = teardown, .timeout = 120);

static void put(int64_t occurred_ms, const char *message)
{
    struct read_event_row row = query_fixture_event(&fixture, occurred_ms, message);

    query_fixture_put(&fixture, &row);
}

/* The number of events that have the words. */
static uint32_t search(const char *text)
{
    query.search.text = slice_of(text);
    query.cursor = (struct slice){NULL, 0};
    cr_assert(eq(int, query_fixture_ask(&fixture, &query), READ_OK), "%s", text);
    return query_fixture_count(&fixture, "events");
}

static bool is(const char *path, const char *raw)
{
    return query_fixture_is(&fixture, path, raw);
}

Test(sqlite_search, finds_words_in_any_form_and_order)
{
    put(NOON_MS, "Payment timed out");
    put(NOON_MS + 1, "timeouts of payments");
    put(NOON_MS + 2, "Caf\xc3\xa9 is closed");
    cr_expect(eq(u32, search("payment"), 2));
    cr_expect(eq(u32, search("OUT payment"), 1));
    cr_expect(eq(u32, search("\"timed out\""), 1));
    cr_expect(eq(u32, search("\"out timed\""), 0));
    cr_expect(eq(u32, search("timeou*"), 1));
    cr_expect(eq(u32, search("pay*"), 2));
    cr_expect(eq(u32, search("payments*"), 2));
    cr_expect(eq(u32, search("\"timed ou\"*"), 1));
    cr_expect(eq(u32, search("\"payment time\"*"), 1));
    cr_expect(eq(u32, search("CAF*"), 1));
    cr_expect(eq(u32, search("cafe"), 1));
    cr_expect(eq(u32, search("payment closed"), 0));
    cr_expect(eq(u32, search(""), 3));
}

Test(sqlite_search, gives_the_newest_first_with_the_total)
{
    for (int i = 0; i < 30; i++)
        put(NOON_MS + i % 7, "timeout");
    cr_expect(eq(u32, search("timeout"), 20));
    cr_expect(is("total", "30"));
    cr_expect(is("total_is_exact", "true"));
    cr_expect(is("order", "\"newest\""));
    cr_expect(is("events/0/occurred_at", "\"2025-01-15T12:00:00.006Z\""));
    cr_assert(query_fixture_next(&fixture, &query));
    cr_assert(eq(int, query_fixture_ask(&fixture, &query), READ_OK));
    cr_expect(eq(u32, query_fixture_count(&fixture, "events"), 10));
    cr_expect(is("events/9/occurred_at", "\"2025-01-15T12:00:00.000Z\""));
    cr_expect(not(query_fixture_next(&fixture, &query)));
}

/* Which of the first hundred events the pages of the query show, while others come. */
static void walk(uint32_t seen[100])
{
    uint32_t guard = 0;

    do {
        struct read_event_row row =
            query_fixture_event(&fixture, NOON_MS + (int64_t)rng_below(&rng, 200), "timeout");

        cr_assert(eq(int, query_fixture_ask(&fixture, &query), READ_OK));
        for (uint32_t i = 0; i < query_fixture_count(&fixture, "events"); i++) {
            char path[64];
            struct slice id;
            uint8_t bytes[UUID_SIZE];
            uint64_t number;

            snprintf(path, sizeof(path), "events/%u/event_id", i);
            id = query_fixture_at(&fixture, path);
            cr_assert(uuid_parse((struct slice){id.data + 1, id.size - 2}, bytes));
            memcpy(&number, bytes, sizeof(number));
            if (number <= 100)
                seen[number - 1]++;
        }
        query_fixture_put(&fixture, &row);
        cr_assert(lt(u32, ++guard, 500));
    } while (query_fixture_next(&fixture, &query));
}

Test(sqlite_search, shows_every_event_exactly_once_while_others_come)
{
    static const char *const texts[] = {"", "timeout"};

    rng_init_seed(&rng, 7);
    for (int i = 0; i < 100; i++)
        put(NOON_MS + (int64_t)rng_below(&rng, 40), "timeout");
    for (uint32_t n = 0; n < ARRAY_COUNT(texts); n++) {
        uint32_t seen[100] = {0};

        query = query_fixture_query(READ_SEARCH);
        query.limit = 7;
        query.search.text = slice_of(texts[n]);
        walk(seen);
        for (uint32_t i = 0; i < 100; i++)
            cr_expect(eq(u32, seen[i], 1), "event %u with \"%s\"", i, texts[n]);
    }
}

/* So many events, at_once of them each millisecond, that nine of ten have the word "timeout". */
static void put_many(int count, int at_once)
{
    const struct read_backend_vtable *vtable = fixture.backend->vtable;

    cr_assert(eq(int, vtable->begin(fixture.backend), 0));
    for (int i = 0; i < count; i++) {
        struct read_event_row row =
            query_fixture_event(&fixture, NOON_MS + i / at_once, i % 10 == 0 ? "other" : "timeout");

        cr_assert(eq(int, vtable->put_event(fixture.backend, &row), 0));
    }
    cr_assert(eq(int, vtable->commit(fixture.backend), 0));
}

/* So many hits that the rows are asked one after the other. */
Test(sqlite_search, shows_every_event_exactly_once_when_nearly_all_have_the_word)
{
    enum { COUNT = 25000 };
    uint32_t seen = 0;

    put_many(COUNT, 3);
    query.search.text = SLICE_LITERAL("timeout");
    query.search.from_ms = (uint64_t)NOON_MS + COUNT / 3 - 200;
    query.limit = 100;
    do {
        cr_assert(eq(int, query_fixture_ask(&fixture, &query), READ_OK));
        cr_expect(is("total", "541"), "%.*s", 80, fixture.answer);
        seen += query_fixture_count(&fixture, "events");
    } while (query_fixture_next(&fixture, &query) && seen <= COUNT);
    cr_expect(eq(u32, seen, 541));
}

/* The first page counts what there is; those behind it cost what they show. */
Test(sqlite_search, does_no_more_for_a_page_of_very_many_events_of_one_instant)
{
    static const char *const texts[] = {"", "timeout"};
    enum { COUNT = 25000 };

    put_many(COUNT, COUNT);
    for (uint32_t n = 0; n < ARRAY_COUNT(texts); n++) {
        query = query_fixture_query(READ_SEARCH);
        query.limit = 100;
        cr_assert(eq(u32, search(texts[n]), 100));
        for (uint32_t page = 2; page <= 4; page++) {
            cr_assert(query_fixture_next(&fixture, &query));
            cr_assert(eq(int, query_fixture_ask(&fixture, &query), READ_OK));
            cr_expect(eq(u32, query_fixture_count(&fixture, "events"), 100));
            cr_expect(lt(u64, query_fixture_steps(&fixture), 5 * SQLITE_PROGRESS_STEPS),
                      "page %u with \"%s\"", page, texts[n]);
        }
    }
}

Test(sqlite_search, puts_the_most_relevant_first_when_asked)
{
    put(NOON_MS, "timeout timeout timeout");
    put(NOON_MS + 1, "a timeout in a very long message about many other things than this one");
    put(NOON_MS + 2, "nothing of it");
    query.search.order = READ_BEST_FIRST;
    query.limit = 1;
    cr_expect(eq(u32, search("timeout"), 1));
    cr_expect(is("order", "\"relevance\""));
    cr_expect(is("events/0/message", "\"timeout timeout timeout\""));
    cr_expect(query_fixture_at(&fixture, "events/0/score").size > 0);
    cr_assert(query_fixture_next(&fixture, &query));
    cr_assert(eq(int, query_fixture_ask(&fixture, &query), READ_OK));
    cr_expect(is("events/0/occurred_at", "\"2025-01-15T12:00:00.001Z\""));
    cr_expect(not(query_fixture_next(&fixture, &query)));
    cr_expect(eq(u32, search(""), 1));
    cr_expect(is("order", "\"newest\""));
}

Test(sqlite_search, filters_by_columns_and_time)
{
    for (int i = 0; i < 12; i++) {
        struct read_event_row row = query_fixture_event(&fixture, NOON_MS + i, "timeout");

        row.environment = (enum event_environment)(i % 3);
        row.type = i % 2 == 0 ? EVENT_TYPE_ERROR : EVENT_TYPE_DEPLOY;
        row.severity = i < 6 ? EVENT_SEVERITY_WARN : EVENT_SEVERITY_CRITICAL;
        query_fixture_put(&fixture, &row);
    }
    for (int with_text = 0; with_text < 2; with_text++) {
        const char *text = with_text ? "timeout" : "";

        query.search = (struct read_search){.environments = 1u << EVENT_ENVIRONMENT_DEV};
        cr_expect(eq(u32, search(text), 4));
        cr_expect(is("total", "4"));
        query.search.event_types = 1u << EVENT_TYPE_DEPLOY;
        cr_expect(eq(u32, search(text), 2));
        query.search = (struct read_search){.severities = 1u << EVENT_SEVERITY_CRITICAL |
                                                          1u << EVENT_SEVERITY_ERROR};
        cr_expect(eq(u32, search(text), 6));
        query.search =
            (struct read_search){.from_ms = (uint64_t)NOON_MS + 3, .to_ms = (uint64_t)NOON_MS + 5};
        cr_expect(eq(u32, search(text), 2));
        cr_expect(is("total", "2"));
        cr_expect(is("events/1/occurred_at", "\"2025-01-15T12:00:00.003Z\""));
    }
}

Test(sqlite_search, counts_facets_of_all_that_was_found)
{
    for (int i = 0; i < 30; i++) {
        struct read_event_row row =
            query_fixture_event(&fixture, NOON_MS + i, i % 2 == 0 ? "timeout" : "other");

        row.environment = (enum event_environment)(i % 3);
        query_fixture_put(&fixture, &row);
    }
    query.search.wants_facets = true;
    cr_expect(eq(u32, search("timeout"), 15));
    cr_expect(is("facets/environment/prod", "5"));
    cr_expect(is("facets/event_type/error", "15"));
    cr_expect(is("facets/event_type/signup", "0"));
    cr_expect(is("facets/severity/error", "15"));
    cr_expect(is("facets/counted", "15"));
    cr_expect(eq(u32, search(""), 20));
    cr_expect(is("facets/environment/dev", "10"));
}

Test(sqlite_search, marks_what_was_found_in_html_that_is_safe)
{
    put(NOON_MS, "<b>timeout</b> & \"timeouts\" \xee\x80\x80 here");
    query.search.wants_highlights = true;
    cr_expect(eq(u32, search("timeout"), 1));
    cr_expect(is("events/0/highlight", "\"&lt;b&gt;<em>timeout</em>&lt;/b&gt; &amp; "
                                       "\\\"<em>timeouts</em>\\\" <em> here\""));
    cr_expect(eq(u32, search(""), 1));
    cr_expect(eq(sz, query_fixture_at(&fixture, "events/0/highlight").size, 0));
}

Test(sqlite_search, finds_nothing_rather_than_failing_on_what_is_no_word)
{
    put(NOON_MS, "timeout");
    cr_expect(eq(u32, search("!!!"), 0));
    cr_expect(is("total", "0"));
    cr_expect(eq(u32, search("\"\" * ()"), 0));
    cr_expect(eq(u32, search("\xe2\x98\x83"), 0));
    cr_expect(eq(u32, search("!!! timeout ..."), 1));
}

Test(sqlite_search, gives_nothing_that_is_typed_a_meaning)
{
    static const char *const hostile[] = {
        "timeout OR other",
        "NOT timeout",
        "timeout AND",
        "NEAR(timeout other, 3)",
        "scope : p1",
        "scope:p1 timeout",
        "^timeout",
        "timeout + other",
        "-timeout",
        "{message scope} : timeout",
        "\"timeout",
        "\"\"\"",
        "timeout\"",
        "a\" OR \"b",
        "\\\" --",
        "'; DROP TABLE events; --",
        "p1",
        "(((",
        ")))",
        "*",
        "**",
        "\"*",
        "\"a\"*\"b\"*",
        "timeout*\"",
        "\x01\x02 timeout",
        "message:\"x\" OR scope:\"p2\"",
        "%s%n",
        "?1",
        ":name",
        "@a",
        "$b",
    };

    put(NOON_MS, "timeout");
    for (uint32_t i = 0; i < ARRAY_COUNT(hostile); i++)
        cr_expect(le(u32, search(hostile[i]), 1), "%s", hostile[i]);
    /* Of a project that is not there either. */
    query.scope.project = SLICE_LITERAL("nobody");
    for (uint32_t i = 0; i < ARRAY_COUNT(hostile); i++)
        cr_expect(eq(u32, search(hostile[i]), 0), "%s", hostile[i]);
    cr_expect(eq(u32, search(""), 0));
}

Test(sqlite_search, takes_any_bytes_of_any_length)
{
    static const char alphabet[] = "ab\"*'()^:-+{}|\\%_ ,.;\t\xc3\xa9\xe2\x98\x83";
    char text[SEARCH_TEXT_SIZE_MAX + 1];
    struct search_term terms[SEARCH_TERM_COUNT_MAX];

    rng_init_seed(&rng, 11);
    put(NOON_MS, "ab a b");
    for (int round = 0; round < 2000; round++) {
        size_t size = (size_t)rng_below(&rng, SEARCH_TEXT_SIZE_MAX);

        for (size_t i = 0; i < size; i++)
            text[i] = alphabet[(size_t)rng_below(&rng, sizeof(alphabet) - 1)];
        text[size] = '\0';
        if (search_text_read(slice_of(text), terms) > SEARCH_TERM_COUNT_MAX)
            continue;
        query.search.wants_highlights = round % 2 == 0;
        query.search.order = round % 3 == 0 ? READ_BEST_FIRST : READ_NEWEST_FIRST;
        search(text);
    }
}

Test(sqlite_search, keeps_to_the_project_of_the_question)
{
    struct read_event_row row = query_fixture_event(&fixture, NOON_MS, "timeout canary");

    row.project = SLICE_LITERAL("other");
    query_fixture_put(&fixture, &row);
    put(NOON_MS, "timeout");
    cr_expect(eq(u32, search("timeout"), 1));
    cr_expect(eq(u32, search("canary"), 0));
    cr_expect(eq(u32, search(""), 1));
    cr_expect(is("events/0/message", "\"timeout\""));
}

#include "query_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdlib.h>

#include "contracts/json_reader.h"
#include "runtime/disk.h"
#include "store/sqlite_session.h"

/*
 * The database is the one that serves, in a file; only the log is not there: locations are
 * counted up, 512 bytes a record. The directory is made where the test runs.
 */

static const uint8_t OWNER[SEGMENT_UUID_SIZE] = "a data directory";

/* The database looks at the clock every SQLITE_PROGRESS_STEPS steps of a question. */
static void read_clock(const struct clock_source *source, uint64_t *ret_mono_ns,
                       uint64_t *ret_unix_ms)
{
    struct query_fixture *fixture =
        container_of((struct clock_source *)(uintptr_t)source, struct query_fixture, clock_source);

    fixture->clock_read_count++;
    clock_source_system.read(&clock_source_system, ret_mono_ns, ret_unix_ms);
}

void query_fixture_init(struct query_fixture *fixture)
{
    struct sqlite_backend_config config = {
        .disk = disk_posix(),
        .uuid = OWNER,
        .clock_source = &fixture->clock_source,
        .may_migrate = true,
    };
    char text[READ_MODEL_TEXT_SIZE];
    uint32_t migrated;

    memset(fixture, 0, sizeof(*fixture));
    fixture->clock_source.read = read_clock;
    snprintf(fixture->path, sizeof(fixture->path), "query-fixture-XXXXXX");
    cr_assert(mkdtemp(fixture->path) != NULL);
    config.data_path = fixture->path;
    cr_assert(eq(int, sqlite_backend_open(&config, &fixture->backend, &migrated, text), 0), "%s",
              text);
    fixture->answer = malloc(QUERY_FIXTURE_ANSWER_SIZE);
    cr_assert(fixture->answer != NULL);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void query_fixture_deinit(struct query_fixture *fixture)
{
    fixture->backend->vtable->close(&fixture->backend);
    free(fixture->answer);
    cr_expect(eq(int, nftw(fixture->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0));
}

struct read_event_row query_fixture_event(struct query_fixture *fixture, int64_t occurred_ms,
                                          const char *message)
{
    struct read_event_row row = {
        .location = {++fixture->event_count * 512},
        .org = SLICE_LITERAL("o"),
        .project = SLICE_LITERAL("p"),
        .occurred_ms = occurred_ms,
        .received_ms = (uint64_t)occurred_ms + 5,
        .environment = EVENT_ENVIRONMENT_PROD,
        .type = EVENT_TYPE_ERROR,
        .severity = EVENT_SEVERITY_ERROR,
        .message = slice_of(message),
        .attributes = SLICE_LITERAL("{\"error_code\":\"E\"}"),
    };

    memcpy(row.event_id, &fixture->event_count, sizeof(fixture->event_count));
    return row;
}

void query_fixture_put(struct query_fixture *fixture, const struct read_event_row *row)
{
    const struct read_backend_vtable *vtable = fixture->backend->vtable;

    cr_assert(eq(int, vtable->begin(fixture->backend), 0));
    cr_assert(eq(int, vtable->put_event(fixture->backend, row), 0));
    cr_assert(eq(int, vtable->commit(fixture->backend), 0));
}

struct incident_image query_fixture_incident(uint64_t number, int64_t opened_ms)
{
    return (struct incident_image){
        .header = {.id_low = number + 1,
                   .created_ms = (uint64_t)opened_ms,
                   .written_ms = (uint64_t)opened_ms + 7,
                   .revision = 1,
                   .series = {1, 2},
                   .opened_ms = opened_ms,
                   .reopened_ms = opened_ms,
                   .last_seen_ms = opened_ms,
                   .changed_ms = opened_ms,
                   .window_count = 30,
                   .baseline_milli = 1500,
                   .fingerprint_version = 1,
                   .environment = EVENT_ENVIRONMENT_PROD,
                   .rule = INCIDENT_RULE_ERROR_SPIKE,
                   .severity = INCIDENT_SEVERITY_ERROR,
                   .cause = INCIDENT_CAUSE_OPENED},
        .sections = {SLICE_LITERAL("o"), SLICE_LITERAL("p"), SLICE_LITERAL("E|/x|prod"),
                     SLICE_LITERAL("Error spike: E on /x"), SLICE_LITERAL("")},
    };
}

void query_fixture_put_incident(struct query_fixture *fixture, const struct incident_image *image)
{
    const struct read_backend_vtable *vtable = fixture->backend->vtable;

    cr_assert(eq(int, vtable->begin(fixture->backend), 0));
    cr_assert(eq(int, vtable->put_incident(fixture->backend, 3, image), 0));
    cr_assert(eq(int, vtable->commit(fixture->backend), 0));
}

struct read_query query_fixture_query(enum read_query_type type)
{
    return (struct read_query){
        .type = type,
        .scope = {SLICE_LITERAL("o"), SLICE_LITERAL("p")},
        .limit = 20,
    };
}

enum read_result query_fixture_ask(struct query_fixture *fixture, const struct read_query *query)
{
    struct json_reader reader;
    struct json_value value;
    enum read_result result;

    fixture->query = *query;
    fixture->query.answer = fixture->answer;
    if (fixture->query.answer_max == 0)
        fixture->query.answer_max = QUERY_FIXTURE_ANSWER_SIZE - 1;
    fixture->clock_read_count = 0;
    result = fixture->backend->vtable->query(fixture->backend, &fixture->query, UINT64_MAX - 1);
    if (result != READ_OK)
        return result;
    fixture->answer[fixture->query.answer_size] = '\0';
    cr_assert(eq(int,
                 json_read_document((struct slice){fixture->answer, fixture->query.answer_size},
                                    JSON_DEPTH_MAX, &reader, &value),
                 JSON_OK),
              "%s", fixture->answer);
    return result;
}

uint64_t query_fixture_steps(const struct query_fixture *fixture)
{
    return fixture->clock_read_count * SQLITE_PROGRESS_STEPS;
}

/* The n-th element of an array, or the member of an object. */
static struct slice enter(struct slice raw, struct slice name)
{
    struct json_reader reader;
    struct json_value value;
    unsigned long n;

    if (raw.size == 0)
        return raw;
    if (raw.data[0] == '{')
        return json_find_member(raw, name, &value) ? value.raw : (struct slice){NULL, 0};
    json_reader_init(&reader, raw, JSON_DEPTH_MAX);
    if (raw.data[0] != '[' || json_reader_enter_array(&reader) != JSON_OK)
        return (struct slice){NULL, 0};
    n = strtoul(name.data, NULL, 10);
    do {
        if (json_reader_next_element(&reader) != JSON_OK ||
            json_reader_read(&reader, &value) != JSON_OK)
            return (struct slice){NULL, 0};
    } while (n-- > 0);
    return value.raw;
}

struct slice query_fixture_at(const struct query_fixture *fixture, const char *path)
{
    struct slice at = {fixture->answer, fixture->query.answer_size};

    while (*path != '\0') {
        size_t size = strcspn(path, "/");

        at = enter(at, (struct slice){path, size});
        path += size + (path[size] == '/');
    }
    return at;
}

bool query_fixture_is(const struct query_fixture *fixture, const char *path, const char *raw)
{
    return slice_equal(query_fixture_at(fixture, path), slice_of(raw));
}

uint32_t query_fixture_count(const struct query_fixture *fixture, const char *path)
{
    struct slice array = query_fixture_at(fixture, path);
    struct json_reader reader;
    struct json_value value;
    uint32_t count = 0;

    json_reader_init(&reader, array, JSON_DEPTH_MAX);
    cr_assert(array.size > 0 && json_reader_enter_array(&reader) == JSON_OK, "%s", path);
    while (json_reader_next_element(&reader) == JSON_OK &&
           json_reader_read(&reader, &value) == JSON_OK)
        count++;
    return count;
}

bool query_fixture_next(struct query_fixture *fixture, struct read_query *query)
{
    struct slice cursor = query_fixture_at(fixture, "next_cursor");

    if (cursor.size < 2 || cursor.data[0] != '"')
        return false;
    cr_assert(le(sz, cursor.size, sizeof(fixture->cursor)));
    memcpy(fixture->cursor, cursor.data + 1, cursor.size - 2);
    query->cursor = (struct slice){fixture->cursor, cursor.size - 2};
    return true;
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "store/projection.h"

/* A backend that remembers the last row of each kind. */
struct spy {
    struct read_backend backend;
    struct read_event_row event;
    char message[READ_MODEL_MESSAGE_MAX + 1];
    char spelled[UUID_TEXT_SIZE + 1];
    char project[TENANT_NAME_SIZE_MAX + 1];
    char attempts[PROJECTION_ATTEMPTS_SIZE_MAX + 1];
    char incident_id[UUID_TEXT_SIZE + 1];
    uint32_t event_count;
    uint32_t incident_count;
    uint32_t run_count;
    uint32_t job_count;
    uint32_t fact_count;
    int answer;
};

static struct spy spy;
static struct projection projection;
static char payload[1 << 17];

static void copy(char *to, struct slice from)
{
    if (from.size > 0)
        if (from.size > 0)
            memcpy(to, from.data, from.size);
    to[from.size] = '\0';
}

static int put_event(struct read_backend *backend, const struct read_event_row *row)
{
    (void)backend;
    spy.event_count++;
    spy.event = *row;
    copy(spy.message, row->message);
    copy(spy.spelled, row->spelled_id);
    copy(spy.project, row->project);
    return spy.answer;
}

static int put_incident(struct read_backend *backend, uint32_t partition,
                        const struct incident_image *image)
{
    (void)backend;
    cr_assert(eq(u32, partition, 3));
    cr_assert(eq(u64, image->header.revision, 1));
    spy.incident_count++;
    return 0;
}

static int put_run(struct read_backend *backend, const struct read_run_row *row)
{
    (void)backend;
    spy.run_count++;
    copy(spy.attempts, row->attempts);
    return 0;
}

static int put_job(struct read_backend *backend, const struct read_job_row *row)
{
    (void)backend;
    spy.job_count++;
    copy(spy.incident_id, row->incident_id);
    return 0;
}

static int put_job_fact(struct read_backend *backend, uint32_t partition,
                        const struct job_fact *fact)
{
    (void)backend;
    (void)partition;
    (void)fact;
    spy.fact_count++;
    return 0;
}

static const struct read_backend_vtable SPY = {
    .name = "spy",
    .put_event = put_event,
    .put_incident = put_incident,
    .put_run = put_run,
    .put_job = put_job,
    .put_job_fact = put_job_fact,
};

static void setup(void)
{
    memset(&spy, 0, sizeof(spy));
    spy.backend.vtable = &SPY;
    projection = (struct projection){.backend = &spy.backend};
}

TestSuite(projection, .init = setup, .timeout = 10);

static int apply(uint8_t type, uint8_t version, size_t size)
{
    struct journal_record_view record = {
        .type = type,
        .version = version,
        .partition = 3,
        .location = journal_location_make(0, 1, 4096),
        .payload = {payload, size},
    };

    return projection_apply(&projection, &record);
}

/* An event's record; head_size tells its version. Returns the size. */
static size_t write_event(size_t head_size, const char *id, const char *message,
                          const char *attributes)
{
    struct record_event head = {.received_ms = 5, .series = {7, 8}};
    int size;

    memcpy(payload, &head, head_size);
    size = snprintf(payload + head_size, sizeof(payload) - head_size,
                    "{\"schema_version\":\"1.0\",\"event_id\":\"%s\","
                    "\"occurred_at\":\"2025-01-01T00:00:01Z\","
                    "\"received_at\":\"2025-01-01T00:00:02.000Z\",\"org_id\":\"org\","
                    "\"project_id\":\"a\\u0062c\",\"environment\":\"prod\",\"event_type\":"
                    "\"signup\",\"severity\":\"warn\",\"message\":\"%s\",\"attributes\":%s,"
                    "\"payload\":{}}",
                    id, message, attributes);
    cr_assert(lt(int, size, (int)(sizeof(payload) - head_size)));
    return head_size + (size_t)size;
}

static const char ID[] = "550e8400-e29b-41d4-a716-446655440000";

Test(projection, makes_a_row_of_an_event)
{
    size_t size = write_event(sizeof(struct record_event), ID, "it \\\"broke\\\"", "{\"a\":1}");

    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size), 0));
    cr_assert(eq(u32, spy.event_count, 1));
    cr_assert(eq(str, spy.message, "it \"broke\""));
    cr_assert(eq(str, spy.project, "abc"));
    cr_assert(eq(str, spy.spelled, ""));
    cr_assert(eq(u8, spy.event.event_id[0], 0x55));
    cr_assert(eq(i64, spy.event.occurred_ms, 1735689601000));
    cr_assert(eq(u64, spy.event.received_ms, 1735689602000));
    cr_assert(eq(int, spy.event.type, EVENT_TYPE_SIGNUP));
    cr_assert(eq(int, spy.event.severity, EVENT_SEVERITY_WARN));
    cr_assert(eq(int, spy.event.environment, EVENT_ENVIRONMENT_PROD));
    cr_assert(eq(u64, spy.event.series[1], 8));
    cr_assert(slice_equal(spy.event.attributes, SLICE_LITERAL("{\"a\":1}")));
}

Test(projection, reads_the_first_version_of_events)
{
    size_t size = write_event(EVENT_RECORD_V1_SIZE, ID, "old", "{}");

    cr_assert(eq(int, apply(RECORD_EVENT, 1, size), 0));
    cr_assert(eq(str, spy.message, "old"));
    cr_assert(eq(u64, spy.event.series[0] | spy.event.series[1], 0));
}

Test(projection, keeps_an_unusual_spelling_of_an_id)
{
    size_t size =
        write_event(sizeof(struct record_event), "550E8400-e29b-41d4-a716-446655440000", "x", "{}");

    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size), 0));
    cr_assert(eq(str, spy.spelled, "550E8400-e29b-41d4-a716-446655440000"));
    cr_assert(eq(u8, spy.event.event_id[0], 0x55));
}

Test(projection, cuts_a_long_message_after_a_whole_character)
{
    static char message[3 * READ_MODEL_MESSAGE_MAX];
    size_t size;

    for (size_t i = 0; i + 2 < sizeof(message); i += 2)
        memcpy(message + i, "\xc3\xa4", 3);
    memcpy(message, "a", 1);
    memcpy(message + 1, "b", 1);
    message[1] = '\\';
    message[2] = 'n';
    message[3] = 'x';
    size = write_event(sizeof(struct record_event), ID, message, "{}");
    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size), 0));
    cr_assert(eq(u32, spy.event_count, 1));
    cr_assert(spy.event.message.size > READ_MODEL_MESSAGE_MAX - 4);
    cr_assert(le(sz, spy.event.message.size, READ_MODEL_MESSAGE_MAX));
    cr_assert(eq(u8, (uint8_t)spy.message[spy.event.message.size - 1], 0xa4));
}

Test(projection, leaves_attributes_out_that_are_too_large)
{
    static char attributes[READ_MODEL_ATTRIBUTES_MAX + 64];
    size_t size;

    memset(attributes, 'x', sizeof(attributes) - 1);
    memcpy(attributes, "{\"a\":\"", 6);
    memcpy(attributes + sizeof(attributes) - 3, "\"}", 2);
    size = write_event(sizeof(struct record_event), ID, "x", attributes);
    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size), 0));
    cr_assert(eq(u32, spy.event_count, 1));
    cr_assert(slice_equal(spy.event.attributes, SLICE_LITERAL("{}")));
}

Test(projection, leaves_out_and_counts_what_it_cannot_read)
{
    size_t size = write_event(sizeof(struct record_event), ID, "x", "{}");

    cr_assert(eq(int, apply(RECORD_EVENT, 200, size), 0));
    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size - 5), 0));
    cr_assert(eq(int, apply(RECORD_JOB, 1, 3), 0));
    cr_assert(eq(int, apply(RECORD_JOB_FACT, 1, 3), 0));
    cr_assert(eq(int, apply(RECORD_INCIDENT, 1, 3), 0));
    cr_assert(eq(int, apply(RECORD_AI_RUN, 1, 3), 0));
    cr_assert(eq(u64, projection.unreadable_count, 6));
    cr_assert(eq(u32, spy.event_count, 0));
}

Test(projection, makes_nothing_of_other_records)
{
    cr_assert(eq(int, apply(RECORD_CLAIM, 1, 0), 0));
    cr_assert(eq(int, apply(RECORD_KEY, 1, 0), 0));
    cr_assert(eq(int, apply(RECORD_INCIDENT_RULES, 1, 0), 0));
    cr_assert(eq(int, apply(255, 1, 0), 0));
    cr_assert(eq(u64, projection.unreadable_count, 0));
}

Test(projection, passes_on_what_the_database_answers)
{
    size_t size = write_event(sizeof(struct record_event), ID, "x", "{}");

    spy.answer = -ENOSPC;
    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size), -ENOSPC));
}

Test(projection, leaves_events_out_that_are_too_old)
{
    size_t size = write_event(sizeof(struct record_event), ID, "x", "{}");

    projection.before_ms = 1735689602001;
    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size), 0));
    cr_assert(eq(u32, spy.event_count, 0));
    projection.before_ms = 1735689602000;
    cr_assert(eq(int, apply(RECORD_EVENT, EVENT_RECORD_VERSION, size), 0));
    cr_assert(eq(u32, spy.event_count, 1));
}

Test(projection, makes_a_row_of_an_incident)
{
    struct incident_image image = {
        .header = {.id_low = 1,
                   .created_ms = 1,
                   .written_ms = 1,
                   .revision = 1,
                   .series = {1, 2},
                   .project = 1,
                   .opened_ms = 1,
                   .reopened_ms = 1,
                   .last_seen_ms = 1,
                   .changed_ms = 1,
                   .fingerprint_version = 1},
        .sections = {[INCIDENT_SECTION_ORG] = SLICE_LITERAL("org"),
                     [INCIDENT_SECTION_PROJECT] = SLICE_LITERAL("p"),
                     [INCIDENT_SECTION_FINGERPRINT] = SLICE_LITERAL("A|/b|prod"),
                     [INCIDENT_SECTION_TITLE] = SLICE_LITERAL("title")},
    };
    size_t size = incident_image_encode(&image, payload);

    cr_assert(eq(int, apply(RECORD_INCIDENT, INCIDENT_RECORD_VERSION, size), 0));
    cr_assert(eq(u32, spy.incident_count, 1));
}

static size_t write_job(struct slice kind, struct slice body)
{
    struct job_image image = {
        .header = {.id_low = 5, .created_ms = 9, .state = JOB_QUEUED, .priority = 3},
        .sections = {[JOB_SECTION_ORG] = SLICE_LITERAL("org"),
                     [JOB_SECTION_PROJECT] = SLICE_LITERAL("p"),
                     [JOB_SECTION_KIND] = kind,
                     [JOB_SECTION_PAYLOAD] = body},
    };

    return job_image_encode(&image, payload);
}

Test(projection, keeps_jobs_about_incidents_and_no_others)
{
    struct slice body = SLICE_LITERAL("{\"x\":[1],\"incident_id\":\"the-incident\"}");

    cr_assert(eq(int, apply(RECORD_JOB, 1, write_job(SLICE_LITERAL("http.request"), body)), 0));
    cr_assert(eq(int, apply(RECORD_JOB, 1, write_job(SLICE_LITERAL("incidents"), body)), 0));
    cr_assert(eq(u32, spy.job_count, 0));
    cr_assert(
        eq(int, apply(RECORD_JOB, 1, write_job(SLICE_LITERAL("incident.summarize"), body)), 0));
    cr_assert(eq(u32, spy.job_count, 1));
    cr_assert(eq(str, spy.incident_id, "the-incident"));
    cr_assert(eq(u64, projection.unreadable_count, 0));
}

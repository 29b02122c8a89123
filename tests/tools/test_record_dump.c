#include "tools/record_dump.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/json_reader.h"
#include "store/ai_run_record.h"
#include "store/incident_record.h"
#include "store/job_record.h"
#include "store/record.h"
#include "store/schedule_record.h"

static char payload[4096], text[32768];

/* The record as JSON, terminated; it must be one valid document. */
static const char *dump(uint8_t type, uint8_t version, size_t size)
{
    struct journal_record_view record = {.lsn = 7,
                                         .partition = 3,
                                         .type = type,
                                         .version = version,
                                         .location = journal_location_make(2, 1, 4096),
                                         .payload = {payload, size}};
    struct json_writer writer;
    struct json_reader reader;
    struct json_value document;
    struct slice json;

    cr_assert(le(sz, record_dump_size_max(size), sizeof(text) - 1));
    json_writer_init(&writer, text, record_dump_size_max(size));
    record_dump_write(&record, &writer);
    cr_assert(json_writer_finish(&writer, &json));
    cr_assert(eq(int, json_read_document(json, JSON_DEPTH_DEFAULT, &reader, &document), JSON_OK));
    text[json.size] = '\0';
    return text;
}

static size_t put_event(const char *envelope)
{
    struct record_event event = {.received_ms = 1736942400000, .flags = RECORD_EVENT_CLIENT_ID};

    memcpy(payload, &event, sizeof(event));
    memcpy(payload + sizeof(event), envelope, strlen(envelope));
    return sizeof(event) + strlen(envelope);
}

static size_t put_key(void)
{
    struct record_key key = {.scopes = KEY_SCOPE_INGEST | KEY_SCOPE_READ,
                             .org_size = 4,
                             .project_size = 4,
                             .prefix_size = 6,
                             .created_ms = 1736942400000};

    memcpy(key.id, "550e8400-e29b-41d4-a716-446655440000", UUID_TEXT_SIZE);
    memset(key.hash, 'H', sizeof(key.hash));
    memcpy(key.org, "acme", 4);
    memcpy(key.project, "shop", 4);
    memcpy(key.prefix, "weir_a", 6);
    memcpy(payload, &key, sizeof(key));
    return sizeof(key);
}

static size_t put_claim(uint32_t event_count)
{
    struct record_claim claim = {.received_ms = 1736942400000,
                                 .event_count = event_count,
                                 .key_size = 5,
                                 .project_size = 4,
                                 .is_batch = 1,
                                 .project = "shop"};
    struct record_claim_event event = {.status = 0};

    memcpy(event.event_id, "550e8400-e29b-41d4-a716-446655440000", UUID_TEXT_SIZE);
    memcpy(payload, &claim, sizeof(claim));
    memcpy(payload + sizeof(claim), "k\"\x01\xff.", 5);
    for (uint32_t i = 0; i < event_count; i++)
        memcpy(payload + sizeof(claim) + 5 + i * sizeof(event), &event, sizeof(event));
    return sizeof(claim) + 5 + event_count * sizeof(event);
}

Test(record_dump, writes_an_event_with_its_envelope)
{
    cr_assert(eq(str, (char *)dump(RECORD_EVENT, EVENT_RECORD_VERSION, put_event("{\"a\":[1, 2]}")),
                 "{\"log\":2,\"lsn\":7,\"partition\":3,\"type\":\"event\",\"received_at\":"
                 "\"2025-01-15T12:00:00.000Z\",\"client_id\":true,\"event\":{\"a\":[1, 2]}}"));
}

Test(record_dump, writes_the_series_of_an_event_and_reads_the_first_version)
{
    struct record_event event = {.received_ms = 1736942400000,
                                 .flags = RECORD_EVENT_LATE,
                                 .series = {0xab, 1},
                                 .project = 2};

    memcpy(payload, &event, sizeof(event));
    memcpy(payload + sizeof(event), "{}", 2);
    cr_assert(ne(ptr,
                 strstr(dump(RECORD_EVENT, EVENT_RECORD_VERSION, sizeof(event) + 2),
                        "\"series\":\"00000000000000ab0000000000000001\",\"late\":true,"
                        "\"event\":{}"),
                 NULL));
    memcpy(payload + EVENT_RECORD_V1_SIZE, "[]", 2);
    cr_assert(ne(
        ptr,
        strstr(dump(RECORD_EVENT, 1, EVENT_RECORD_V1_SIZE + 2), "\"client_id\":false,\"event\":[]"),
        NULL));
}

static size_t put_incident(void)
{
    struct incident_image image = {
        .header = {.id_low = 77,
                   .created_ms = 1736942400000,
                   .revision = 2,
                   .series = {1, 2},
                   .project = 3,
                   .opened_ms = 1736942400000,
                   .reopened_ms = 1736942400000,
                   .last_seen_ms = 1736942401000,
                   .rule = INCIDENT_RULE_ERROR_SPIKE,
                   .severity = INCIDENT_SEVERITY_ERROR,
                   .cause = INCIDENT_CAUSE_ESCALATED},
        .sections = {[INCIDENT_SECTION_ORG] = SLICE_LITERAL("acme"),
                     [INCIDENT_SECTION_PROJECT] = SLICE_LITERAL("shop"),
                     [INCIDENT_SECTION_FINGERPRINT] = SLICE_LITERAL("A|/b|prod"),
                     [INCIDENT_SECTION_TITLE] = SLICE_LITERAL("Error spike: A on /b")}};

    return (size_t)incident_image_encode(&image, payload);
}

Test(record_dump, writes_an_incident)
{
    const char *json = dump(RECORD_INCIDENT, INCIDENT_RECORD_VERSION, put_incident());

    cr_assert(ne(ptr, strstr(json, "\"type\":\"incident\",\"id\":\"01946"), NULL));
    cr_assert(ne(ptr,
                 strstr(json, "\"revision\":2,\"org_id\":\"acme\",\"project_id\":\"shop\","
                              "\"fingerprint\":\"A|/b|prod\",\"title\":\"Error spike: A on /b\","),
                 NULL));
    cr_assert(ne(ptr,
                 strstr(json, "\"rule\":\"error_spike\",\"status\":\"open\",\"severity\":"
                              "\"error\",\"cause\":\"escalated\",\"flapping\":false"),
                 NULL));
    cr_assert(eq(ptr, strstr(json, "resolved_at"), NULL));
}

/* The largest numbers in each of so many attempts, which are what grows most. */
static size_t put_run(uint8_t attempt_count)
{
    struct ai_run_image image = {
        .header = {.id_low = 77,
                   .created_ms = 1736942400000,
                   .written_ms = 1736942401000,
                   .cost_micro_usd = 1000,
                   .revision = 2,
                   .state = AI_RUN_SUCCEEDED},
        .sections = {[AI_RUN_SECTION_ORG] = SLICE_LITERAL("acme"),
                     [AI_RUN_SECTION_PROJECT] = SLICE_LITERAL("shop"),
                     [AI_RUN_SECTION_KIND] = SLICE_LITERAL("incident.summarize"),
                     [AI_RUN_SECTION_INCIDENT] = SLICE_LITERAL("i"),
                     [AI_RUN_SECTION_PROVIDER] = SLICE_LITERAL("local"),
                     [AI_RUN_SECTION_MODEL] = SLICE_LITERAL("m"),
                     [AI_RUN_SECTION_PROMPT] = SLICE_LITERAL("p"),
                     [AI_RUN_SECTION_SCHEMA] = SLICE_LITERAL("s"),
                     [AI_RUN_SECTION_OUTPUT] = SLICE_LITERAL("{\"title\":\"t\"}")}};
    const struct ai_run_attempt attempt = {.started_ms = 1736942400000,
                                           .first_byte_ms = 1736942400000,
                                           .ended_ms = 1736942400000,
                                           .cost_micro_usd = UINT64_MAX / 100,
                                           .input_tokens = UINT32_MAX - 1,
                                           .output_tokens = UINT32_MAX - 1,
                                           .cached_tokens = UINT32_MAX - 1,
                                           .reasoning_tokens = UINT32_MAX - 1,
                                           .http_status = 599,
                                           .number = UINT8_MAX,
                                           .call_count = UINT8_MAX,
                                           .finish = CHAT_FINISH_FILTER,
                                           .error = AI_RUN_ERROR_REFUSED};

    for (uint8_t i = 0; i < attempt_count; i++)
        ai_run_add_attempt(&image, &attempt);
    assert(ai_run_size(&image) <= sizeof(payload));
    return (size_t)ai_run_encode(&image, payload);
}

Test(record_dump, writes_the_run_of_a_model)
{
    const char *json = dump(RECORD_AI_RUN, AI_RUN_RECORD_VERSION, put_run(1));

    cr_assert(ne(ptr, strstr(json, "\"type\":\"ai_run\",\"id\":\"01946"), NULL));
    cr_assert(
        ne(ptr, strstr(json, "\"revision\":2,\"state\":\"succeeded\",\"org_id\":\"acme\""), NULL));
    cr_assert(ne(ptr,
                 strstr(json, "\"finish_reason\":\"content_filter\",\"error\":"
                              "\"request_refused\",\"validation\":\"unchecked\"}]"),
                 NULL));
    cr_assert(ne(ptr, strstr(json, "\"output\":{\"title\":\"t\"}}"), NULL));
    (void)dump(RECORD_AI_RUN, AI_RUN_RECORD_VERSION, put_run(AI_RUN_ATTEMPT_COUNT_MAX));
}

Test(record_dump, writes_the_rules_of_a_project)
{
    struct incident_rules_record record = {.revision = 1,
                                           .project = 2,
                                           .rules = INCIDENT_RULES_DEFAULT,
                                           .org_size = 4,
                                           .project_size = 4,
                                           .org = "acme",
                                           .project_name = "shop"};
    const char *json;

    memcpy(payload, &record, sizeof(record));
    json = dump(RECORD_INCIDENT_RULES, INCIDENT_RULES_RECORD_VERSION, sizeof(record));
    cr_assert(ne(ptr, strstr(json, "\"project_id\":\"shop\",\"spike_count\":30"), NULL));
}

Test(record_dump, writes_a_key_without_its_hash)
{
    const char *json = dump(RECORD_KEY, RECORD_VERSION, put_key());

    cr_assert(ne(ptr, strstr(json, "\"scopes\":[\"ingest\",\"read\"]"), NULL));
    cr_assert(ne(ptr, strstr(json, "\"org_id\":\"acme\",\"project_id\":\"shop\""), NULL));
    cr_assert(eq(ptr, strstr(json, "HH"), NULL));
    cr_assert(eq(ptr, strstr(json, "4848"), NULL));
    cr_assert(eq(ptr, strstr(json, "revoked_at"), NULL));
}

Test(record_dump, writes_a_claim_with_the_ids_it_stands_for)
{
    const char *json = dump(RECORD_CLAIM, RECORD_VERSION, put_claim(2));
    const char *first = strstr(json, "550e8400");

    cr_assert(ne(ptr, (void *)first, NULL));
    cr_assert(ne(ptr, strstr(first + 1, "550e8400"), NULL));
    cr_assert(ne(ptr, strstr(json, "\"status\":\"accepted\""), NULL));
    cr_assert(ne(ptr, strstr(json, "\"key\":\"k\\\"\\u0001"), NULL));
    cr_assert(ne(ptr, strstr(json, "\"batch\":true"), NULL));
}

static size_t put_job(void)
{
    static const uint64_t after[] = {5};
    struct job_image job = {.header = {.id_low = 0x3123456789abcdef,
                                       .created_ms = 1736942400000,
                                       .state = JOB_WAITING,
                                       .priority = 3,
                                       .unique = JOB_UNIQUE_SINGLETON,
                                       .on_failure = JOB_ON_FAILURE_FAIL},
                            .after = after,
                            .after_count = 1,
                            .sections = {[JOB_SECTION_ORG] = SLICE_LITERAL("acme"),
                                         [JOB_SECTION_PROJECT] = SLICE_LITERAL("shop"),
                                         [JOB_SECTION_KIND] = SLICE_LITERAL("mail"),
                                         [JOB_SECTION_PAYLOAD] = SLICE_LITERAL("{\"to\": 1}"),
                                         [JOB_SECTION_LAST_ERROR] = SLICE_LITERAL("a\"b")}};

    return job_image_encode(&job, payload);
}

static size_t put_fact(enum job_fact_kind kind, const char *said)
{
    struct job_fact fact = {.header = {.id_low = 0x3123456789abcdef,
                                       .at_ms = 1736942400000,
                                       .kind = (uint8_t)kind,
                                       .attempt = 2,
                                       .reason = kind == JOB_FACT_DEAD ? JOB_DEAD_POISON : 0},
                            .text = slice_of(said)};

    return job_fact_encode(&fact, payload);
}

static size_t put_queue(void)
{
    struct job_queue_record queue = {.settings = {.concurrency = 7, .flags = JOB_QUEUE_PAUSED},
                                     .org = SLICE_LITERAL("acme"),
                                     .project = SLICE_LITERAL("shop"),
                                     .kind = SLICE_LITERAL("mail")};

    return job_queue_record_encode(&queue, payload);
}

Test(record_dump, writes_a_job_with_its_id_and_its_payload)
{
    cr_assert(
        eq(str, (char *)dump(RECORD_JOB, JOB_RECORD_VERSION, put_job()),
           "{\"log\":2,\"lsn\":7,\"partition\":3,\"type\":\"job\",\"id\":"
           "\"019469d5-b200-7003-b123-456789abcdef\",\"state\":\"waiting\",\"created_at\":"
           "\"2025-01-15T12:00:00.000Z\",\"priority\":3,\"attempt\":0,\"unique\":\"singleton\","
           "\"org_id\":\"acme\",\"project_id\":\"shop\",\"kind\":\"mail\",\"after\":"
           "[\"8000-000000000005\"],\"payload\":{\"to\": 1},\"last_error\":\"a\\\"b\"}"));
}

Test(record_dump, writes_a_fact_with_the_end_of_its_jobs_id)
{
    const char *json =
        dump(RECORD_JOB_FACT, JOB_RECORD_VERSION, put_fact(JOB_FACT_DEAD, "it is dead"));

    cr_assert(ne(ptr, strstr(json, "\"id_end\":\"b123-456789abcdef\",\"fact\":\"dead\""), NULL));
    cr_assert(ne(ptr, strstr(json, "\"reason\":\"poison\",\"error\":\"it is dead\""), NULL));
    json = dump(RECORD_JOB_FACT, JOB_RECORD_VERSION, put_fact(JOB_FACT_COMPLETED, "[1]"));
    cr_assert(ne(ptr, strstr(json, "\"result\":[1]"), NULL));
    json = dump(RECORD_JOB_FACT, JOB_RECORD_VERSION, put_fact(JOB_FACT_COMPLETED, "not JSON"));
    cr_assert(ne(ptr, strstr(json, "\"result\":\"not JSON\""), NULL));
}

Test(record_dump, writes_the_settings_of_a_queue)
{
    const char *json = dump(RECORD_JOB_QUEUE, JOB_RECORD_VERSION, put_queue());

    cr_assert(ne(ptr, strstr(json, "\"kind\":\"mail\",\"paused\":true,\"draining\":false"), NULL));
    cr_assert(ne(ptr, strstr(json, "\"concurrency\":7"), NULL));
    cr_assert(eq(ptr, strstr(json, "retry"), NULL));
}

static size_t put_schedule(uint8_t flags)
{
    struct schedule_image schedule = {.header = {.revision = 4,
                                                 .created_ms = 1736942400000,
                                                 .updated_ms = 1736942400000,
                                                 .settled_ms = 1736942400000,
                                                 .fired_count = 9,
                                                 .flags = flags},
                                      .sections = {
                                          [SCHEDULE_SECTION_ORG] = SLICE_LITERAL("acme"),
                                          [SCHEDULE_SECTION_PROJECT] = SLICE_LITERAL("shop"),
                                          [SCHEDULE_SECTION_NAME] = SLICE_LITERAL("nightly"),
                                      }};

    if ((flags & SCHEDULE_FLAG_DELETED) == 0) {
        schedule.sections[SCHEDULE_SECTION_CRON] = SLICE_LITERAL("@daily");
        schedule.sections[SCHEDULE_SECTION_ZONE] = SLICE_LITERAL("Europe/Berlin");
        schedule.sections[SCHEDULE_SECTION_KIND] = SLICE_LITERAL("mail");
        schedule.sections[SCHEDULE_SECTION_PAYLOAD] = SLICE_LITERAL("{\"a\":1}");
    }
    return schedule_image_encode(&schedule, payload);
}

Test(record_dump, writes_a_schedule)
{
    const char *json = dump(RECORD_SCHEDULE, SCHEDULE_RECORD_VERSION, put_schedule(0));

    cr_assert(
        ne(ptr, strstr(json, "\"name\":\"nightly\",\"revision\":4,\"cron\":\"@daily\""), NULL));
    cr_assert(ne(ptr, strstr(json, "\"payload\":{\"a\":1}"), NULL));
    cr_assert(ne(ptr, strstr(json, "\"fired\":9"), NULL));
    json = dump(RECORD_SCHEDULE, SCHEDULE_RECORD_VERSION, put_schedule(SCHEDULE_FLAG_DELETED));
    cr_assert(ne(ptr, strstr(json, "\"name\":\"nightly\",\"revision\":4,\"deleted\":true}"), NULL));
    json = dump(RECORD_SCHEDULE, SCHEDULE_RECORD_VERSION, 100);
    cr_assert(ne(ptr, strstr(json, "\"type\":\"schedule\",\"type_number\":7"), NULL));
}

Test(record_dump, shows_only_the_outside_of_jobs_it_does_not_know)
{
    size_t size = put_job();

    cr_assert(ne(ptr, strstr(dump(RECORD_JOB, 2, size), "\"version\":2"), NULL));
    for (size_t i = 0; i < size; i++)
        cr_assert(ne(ptr, strstr(dump(RECORD_JOB, JOB_RECORD_VERSION, i), "\"size\":"), NULL));
    cr_assert(
        ne(ptr, strstr(dump(RECORD_REPLAY, 1, 4), "\"type\":\"replay\",\"type_number\":9"), NULL));
}

/* A REPLAY that names two letters. */
static size_t put_replay(void)
{
    struct record_replay replay = {.id_low = 7,
                                   .began_ms = 1735689600000,
                                   .total = 5,
                                   .rate_per_s = 100,
                                   .id_count = 2,
                                   .reason = JOB_DEAD_POISON,
                                   .kind_size = 4,
                                   .kind = "mail"};
    struct record_replay_id ids[] = {{.id_low = 1}, {.id_low = 2}};

    memcpy(payload, &replay, sizeof(replay));
    memcpy(payload + sizeof(replay), ids, sizeof(ids));
    return sizeof(replay) + sizeof(ids);
}

Test(record_dump, shows_a_replay_of_dead_letters)
{
    const char *json = dump(RECORD_REPLAY, REPLAY_RECORD_VERSION, put_replay());

    cr_assert(ne(ptr, strstr(json, "\"began_at\":\"2025-01-01T00:00:00.000Z\""), NULL), "%s", json);
    cr_assert(ne(ptr, strstr(json, "\"total\":5"), NULL));
    cr_assert(ne(ptr, strstr(json, "\"kind\":\"mail\",\"reason\":\"poison\",\"ids\":[\"0"), NULL));
    cr_assert(ne(ptr, strstr(json, "-8000-000000000002\"]}"), NULL), "%s", json);
    for (size_t size = put_replay(); size-- > 0;)
        cr_assert(ne(ptr, strstr(dump(RECORD_REPLAY, 1, size), "\"type_number\":9"), NULL));
}

Test(record_dump, shows_only_the_outside_of_what_it_does_not_know)
{
    cr_assert(ne(ptr,
                 strstr(dump(99, RECORD_VERSION, 10), "\"type\":\"unknown\",\"type_number\":99"),
                 NULL));
    cr_assert(ne(ptr,
                 strstr(dump(RECORD_EVENT, EVENT_RECORD_VERSION + 1, put_event("{}")),
                        "\"version\":3,\"size\":82"),
                 NULL));
}

Test(record_dump, does_not_read_past_a_payload_that_lies_about_its_size)
{
    size_t sizes[] = {put_claim(2), put_event("{}"), put_key()};
    static const uint8_t TYPES[] = {RECORD_CLAIM, RECORD_EVENT, RECORD_KEY};

    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++)
        for (size_t size = 0; size < sizes[i]; size++) {
            if (i == 0)
                (void)put_claim(2);
            else if (i == 1)
                (void)put_event("{}");
            else
                (void)put_key();
            cr_assert(ne(ptr, strstr(dump(TYPES[i], RECORD_VERSION, size), "type_number"), NULL));
        }
}

Test(record_dump, survives_the_largest_counts)
{
    size_t size = put_claim(2);
    struct record_claim claim;

    memcpy(&claim, payload, sizeof(claim));
    claim.event_count = UINT32_MAX;
    memcpy(payload, &claim, sizeof(claim));
    cr_assert(ne(ptr, strstr(dump(RECORD_CLAIM, RECORD_VERSION, size), "type_number"), NULL));
    claim.event_count = 2;
    claim.project_size = 255;
    memcpy(payload, &claim, sizeof(claim));
    cr_assert(ne(ptr, strstr(dump(RECORD_CLAIM, RECORD_VERSION, size), "type_number"), NULL));
}

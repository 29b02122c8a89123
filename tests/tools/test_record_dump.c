#include "tools/record_dump.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/record.h"
#include "contracts/json_reader.h"

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
    cr_assert(eq(str, (char *)dump(RECORD_EVENT, RECORD_VERSION, put_event("{\"a\":[1, 2]}")),
                 "{\"log\":2,\"lsn\":7,\"partition\":3,\"type\":\"event\",\"received_at\":"
                 "\"2025-01-15T12:00:00.000Z\",\"client_id\":true,\"event\":{\"a\":[1, 2]}}"));
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

Test(record_dump, shows_only_the_outside_of_what_it_does_not_know)
{
    cr_assert(ne(ptr, strstr(dump(9, RECORD_VERSION, 10), "\"type\":\"unknown\",\"type_number\":9"),
                 NULL));
    cr_assert(ne(ptr,
                 strstr(dump(RECORD_EVENT, RECORD_VERSION + 1, put_event("{}")),
                        "\"version\":2,\"size\":42"),
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

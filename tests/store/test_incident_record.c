#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "store/event_record.h"
#include "store/incident_record.h"

static char bytes[INCIDENT_RECORD_SIZE_MAX + 1];
static struct incident_image decoded;

static struct incident_image whole_image(void)
{
    return (struct incident_image){.header = {.id_low = 77,
                                              .created_ms = 1,
                                              .written_ms = 2,
                                              .revision = 3,
                                              .series = {4, 5},
                                              .project = 6,
                                              .opened_ms = 7,
                                              .reopened_ms = 8,
                                              .last_seen_ms = 9,
                                              .resolved_ms = 10,
                                              .changed_ms = 11,
                                              .window_count = 12,
                                              .baseline_milli = 13,
                                              .reopen_count = 14,
                                              .fingerprint_version = 1,
                                              .environment = EVENT_ENVIRONMENT_STAGING,
                                              .rule = INCIDENT_RULE_NEW_ERROR,
                                              .status = INCIDENT_RESOLVED,
                                              .severity = INCIDENT_SEVERITY_CRITICAL,
                                              .cause = INCIDENT_CAUSE_AUTO_RESOLVED,
                                              .flags = INCIDENT_FLAG_NOTIFY},
                                   .sections = {
                                       [INCIDENT_SECTION_ORG] = SLICE_LITERAL("org"),
                                       [INCIDENT_SECTION_PROJECT] = SLICE_LITERAL("project"),
                                       [INCIDENT_SECTION_FINGERPRINT] = SLICE_LITERAL("A|/b|prod"),
                                       [INCIDENT_SECTION_TITLE] = SLICE_LITERAL("Error spike"),
                                       [INCIDENT_SECTION_ACTOR] = SLICE_LITERAL("key"),
                                   }};
}

static int decode(uint64_t size)
{
    return incident_image_decode((struct slice){bytes, size}, &decoded);
}

Test(incident_record, comes_back_as_it_was)
{
    struct incident_image image = whole_image();
    uint64_t size = incident_image_encode(&image, bytes);

    cr_assert(eq(u64, size, incident_image_size(&image)));
    cr_assert(eq(int, decode(size), 0));
    for (uint32_t i = 0; i < INCIDENT_SECTION_COUNT; i++) {
        cr_assert(slice_equal(decoded.sections[i], image.sections[i]));
        image.header.sizes[i] = (uint16_t)image.sections[i].size;
    }
    cr_assert(eq(int, memcmp(&decoded.header, &image.header, sizeof(image.header)), 0));
}

/* The format, to the byte. It may not change: raise the version and read both. */
Test(incident_record, has_the_layout_that_is_on_disk)
{
    struct incident_image image = whole_image();
    uint64_t size = incident_image_encode(&image, bytes);

    cr_assert(eq(u64, size, 144 + 3 + 7 + 9 + 11 + 3));
    cr_assert(eq(u8, (uint8_t)bytes[0], 77));
    cr_assert(eq(u8, (uint8_t)bytes[24], 3));
    cr_assert(eq(u8, (uint8_t)bytes[56], 7));
    cr_assert(eq(u8, (uint8_t)bytes[80], 10));
    cr_assert(eq(u8, (uint8_t)bytes[112], 14));
    cr_assert(eq(u8, (uint8_t)bytes[119], INCIDENT_RESOLVED));
    cr_assert(eq(u8, (uint8_t)bytes[128], 3));
    cr_assert(eq(int, memcmp(bytes + 144, "orgprojectA|/b|prodError spikekey", 33), 0));
}

Test(incident_record, is_refused_when_it_is_cut_or_too_long)
{
    struct incident_image image = whole_image();
    uint64_t size = incident_image_encode(&image, bytes);

    for (uint64_t i = 0; i < size; i++)
        cr_assert(eq(int, decode(i), -EBADMSG));
    bytes[size] = 'x';
    cr_assert(eq(int, decode(size + 1), -EBADMSG));
}

/* Encodes a sound image, then spoils its head. */
static int decode_spoilt(void (*spoil)(struct incident_image_header *header))
{
    struct incident_image image = whole_image();
    uint64_t size = incident_image_encode(&image, bytes);
    struct incident_image_header header;

    memcpy(&header, bytes, sizeof(header));
    spoil(&header);
    memcpy(bytes, &header, sizeof(header));
    return decode(size);
}

static void spoil_id(struct incident_image_header *header)
{
    header->id_low = 0;
}

static void spoil_rule(struct incident_image_header *header)
{
    header->rule = INCIDENT_RULE_COUNT;
}

static void spoil_status(struct incident_image_header *header)
{
    header->status = INCIDENT_OPEN; /* but resolved_ms is set */
}

static void spoil_severity(struct incident_image_header *header)
{
    header->severity = INCIDENT_SEVERITY_COUNT;
}

static void spoil_cause(struct incident_image_header *header)
{
    header->cause = INCIDENT_CAUSE_COUNT;
}

static void spoil_flags(struct incident_image_header *header)
{
    header->flags = 4;
}

static void spoil_time(struct incident_image_header *header)
{
    header->last_seen_ms = -1;
}

static void spoil_order(struct incident_image_header *header)
{
    header->reopened_ms = header->opened_ms - 1;
}

static void spoil_reserved(struct incident_image_header *header)
{
    header->reserved_2[2] = 1;
}

static void spoil_title(struct incident_image_header *header)
{
    header->sizes[INCIDENT_SECTION_TITLE] = 0;
    header->sizes[INCIDENT_SECTION_ACTOR] = 14;
}

static void spoil_series(struct incident_image_header *header)
{
    header->series[0] = header->series[1] = 0;
}

Test(incident_record, is_refused_when_it_makes_no_sense)
{
    void (*const spoils[])(struct incident_image_header *) = {
        spoil_id,   spoil_rule,  spoil_status,   spoil_severity, spoil_cause, spoil_flags,
        spoil_time, spoil_order, spoil_reserved, spoil_title,    spoil_series};

    for (uint32_t i = 0; i < ARRAY_COUNT(spoils); i++)
        cr_assert(eq(int, decode_spoilt(spoils[i]), -EBADMSG), "spoilt in way %u", i);
}

Test(incident_record, cannot_be_made_from_what_makes_no_sense, .signal = SIGABRT)
{
    struct incident_image image = whole_image();

    image.header.status = INCIDENT_STATUS_COUNT;
    incident_image_encode(&image, bytes);
}

Test(incident_record, has_an_id_that_names_its_partition)
{
    struct incident_image image = whole_image();
    struct job_id id;
    char text[UUID_TEXT_SIZE];

    job_id_format(incident_image_id(&image.header, 9), text);
    cr_assert(job_id_parse((struct slice){text, sizeof(text)}, &id));
    cr_assert(eq(u64, id.id_low, 77));
    cr_assert(eq(u32, id.partition, 9));
}

Test(incident_record, names_what_it_holds)
{
    cr_assert(
        slice_equal(incident_rule_name(INCIDENT_RULE_SIGNUP_DROP), SLICE_LITERAL("signup_drop")));
    cr_assert(slice_equal(incident_cause_name(INCIDENT_CAUSE_SEEN), SLICE_LITERAL("seen")));
    cr_assert(slice_equal(incident_status_name(99), SLICE_LITERAL("unknown")));
}

static struct incident_rules_record whole_rules(void)
{
    return (struct incident_rules_record){.revision = 1,
                                          .updated_ms = 2,
                                          .project = 3,
                                          .rules = INCIDENT_RULES_DEFAULT,
                                          .org_size = 3,
                                          .project_size = 4,
                                          .org = "org",
                                          .project_name = "shop"};
}

static int decode_rules(const struct incident_rules_record *record, size_t size)
{
    struct incident_rules_record back;
    int r = incident_rules_decode((struct slice){(const char *)record, size}, &back);

    if (r == 0)
        cr_assert(eq(int, memcmp(&back, record, sizeof(back)), 0));
    return r;
}

Test(incident_rules_record, comes_back_as_it_was)
{
    struct incident_rules_record record = whole_rules();

    cr_assert(eq(int, decode_rules(&record, sizeof(record)), 0));
    cr_assert(eq(int, decode_rules(&record, sizeof(record) - 1), -EBADMSG));
}

Test(incident_rules_record, is_refused_out_of_bounds)
{
    struct incident_rules_record record = whole_rules();

    record.rules.resolve_minutes = INCIDENT_RESOLVE_MINUTES_MIN - 1;
    cr_assert(eq(int, decode_rules(&record, sizeof(record)), -EBADMSG));
    record = whole_rules();
    record.rules.spike_count = 0;
    cr_assert(eq(int, decode_rules(&record, sizeof(record)), -EBADMSG));
    record = whole_rules();
    record.rules.spike_error_percent = record.rules.spike_critical_percent + 1;
    cr_assert(eq(int, decode_rules(&record, sizeof(record)), -EBADMSG));
    record = whole_rules();
    record.rules.reserved[1] = 1;
    cr_assert(eq(int, decode_rules(&record, sizeof(record)), -EBADMSG));
    record = whole_rules();
    record.project_size = JOB_NAME_SIZE_MAX + 1;
    cr_assert(eq(int, decode_rules(&record, sizeof(record)), -EBADMSG));
}

/* --- EVENT ---------------------------------------------------------------------- */

Test(event_record, of_the_first_version_has_what_it_knows_and_its_envelope)
{
    struct record_event event = {.received_ms = 5, .flags = RECORD_EVENT_CLIENT_ID}, back;
    struct slice envelope;

    memcpy(bytes, &event, EVENT_RECORD_V1_SIZE);
    memcpy(bytes + EVENT_RECORD_V1_SIZE, "{}", 2);
    cr_assert(
        event_record_decode(1, (struct slice){bytes, EVENT_RECORD_V1_SIZE + 2}, &back, &envelope));
    cr_assert(eq(u64, back.received_ms, 5));
    cr_assert(eq(u64, back.project, 0));
    cr_assert(not(event_record_has_series(&back)));
    cr_assert(slice_equal(envelope, SLICE_LITERAL("{}")));
}

Test(event_record, of_the_second_version_has_its_series)
{
    struct record_event event = {.series = {0, 1}, .occurred_ms = -6, .project = 7}, back;
    struct slice envelope;

    memcpy(bytes, &event, sizeof(event));
    cr_assert(event_record_decode(2, (struct slice){bytes, sizeof(event)}, &back, &envelope));
    cr_assert(eq(i64, back.occurred_ms, -6));
    cr_assert(event_record_has_series(&back));
    cr_assert(eq(sz, envelope.size, 0));
}

Test(event_record, is_refused_when_short_or_of_a_later_version)
{
    struct record_event back;
    struct slice envelope;

    cr_assert(
        not(event_record_decode(2, (struct slice){bytes, sizeof(back) - 1}, &back, &envelope)));
    cr_assert(not(
        event_record_decode(1, (struct slice){bytes, EVENT_RECORD_V1_SIZE - 1}, &back, &envelope)));
    cr_assert(not(event_record_decode(EVENT_RECORD_VERSION + 1, (struct slice){bytes, sizeof(back)},
                                      &back, &envelope)));
    cr_assert(not(event_record_decode(0, (struct slice){bytes, sizeof(back)}, &back, &envelope)));
}

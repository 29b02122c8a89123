#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/incident_texts.h"
#include "store/event_record.h"
#include "store/record_types.h"

/*
 * An envelope is a raw event with what the server has added, so one is written here by hand
 * around the attributes that a title is made of.
 */

static struct incident_texts texts;
static char payload[4096];

static bool read_record(uint8_t type, enum incident_rule rule, const char *attributes)
{
    struct record_event head = {.event_type = 0};
    struct journal_record_view view = {.type = type, .version = EVENT_RECORD_VERSION};
    int size = snprintf(payload + sizeof(head), sizeof(payload) - sizeof(head),
                        "{\"schema_version\":\"1.0\","
                        "\"event_id\":\"550e8400-e29b-41d4-a716-446655440000\","
                        "\"occurred_at\":\"2025-01-15T11:59:00Z\","
                        "\"received_at\":\"2025-01-15T12:00:00.000Z\",\"org_id\":\"o\\u0072g\","
                        "\"project_id\":\"project\",\"environment\":\"prod\","
                        "\"event_type\":\"error\",\"severity\":\"error\",\"message\":\"m\","
                        "\"attributes\":%s,\"payload\":{}}",
                        attributes);

    memcpy(payload, &head, sizeof(head));
    view.payload = (struct slice){payload, sizeof(head) + (size_t)size};
    memset(&texts, 0, sizeof(texts));
    return incident_texts_read(&view, rule, &texts);
}

static struct slice title(void)
{
    return texts.sections[INCIDENT_SECTION_TITLE];
}

Test(incident_texts, are_those_of_the_event)
{
    cr_assert(read_record(RECORD_EVENT, INCIDENT_RULE_ERROR_SPIKE,
                          "{\"error_code\":\"DECLINED\",\"route\":\"/pay\"}"));
    cr_expect(slice_equal(texts.sections[INCIDENT_SECTION_ORG], SLICE_LITERAL("org")));
    cr_expect(slice_equal(texts.sections[INCIDENT_SECTION_PROJECT], SLICE_LITERAL("project")));
    cr_expect(slice_equal(texts.sections[INCIDENT_SECTION_FINGERPRINT],
                          SLICE_LITERAL("DECLINED|/pay|prod")));
    cr_expect(eq(sz, texts.sections[INCIDENT_SECTION_ACTOR].size, 0));
    cr_expect(slice_equal(title(), SLICE_LITERAL("Error spike: DECLINED on /pay")));
}

Test(incident_texts, name_what_the_rule_is_about)
{
    cr_assert(read_record(RECORD_EVENT, INCIDENT_RULE_NEW_ERROR, "{}"));
    cr_expect(slice_equal(title(), SLICE_LITERAL("Error spike: Unknown on unknown")));
    cr_assert(read_record(RECORD_EVENT, INCIDENT_RULE_SIGNUP_DROP, "{}"));
    cr_expect(slice_equal(title(), SLICE_LITERAL("Signup drop detected in prod")));
    cr_assert(read_record(RECORD_EVENT, INCIDENT_RULE_OVERFLOW, "{\"error_code\":\"E\"}"));
    cr_expect(slice_equal(title(), SLICE_LITERAL("Too many different errors in prod: the rest are "
                                                 "counted together")));
    cr_expect(
        slice_equal(texts.sections[INCIDENT_SECTION_FINGERPRINT], slice_of(SERIES_OVERFLOW_TEXT)));
}

Test(incident_texts, keep_a_title_on_one_line_and_cut_what_is_long)
{
    char attributes[1024], longest[401];
    int size;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    size = snprintf(attributes, sizeof(attributes), "{\"error_code\":\"a\\nb\",\"route\":\"%s\"}",
                    longest);
    cr_assert(lt(int, size, (int)sizeof(attributes)));
    cr_assert(read_record(RECORD_EVENT, INCIDENT_RULE_ERROR_SPIKE, attributes));
    cr_expect(eq(sz, title().size, strlen("Error spike: a b on ") + 110));
    cr_expect(eq(int, memcmp(title().data, "Error spike: a b on xxx", 23), 0));
}

Test(incident_texts, are_of_no_other_record)
{
    cr_expect(not(read_record(RECORD_JOB, INCIDENT_RULE_ERROR_SPIKE, "{}")));
    cr_expect(not(read_record(RECORD_EVENT, INCIDENT_RULE_ERROR_SPIKE, "7")));
}

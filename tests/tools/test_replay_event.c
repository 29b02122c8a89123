#include "tools/replay_event.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define ID "550e8400-e29b-41d4-a716-446655440000"
#define EVENT                                                                                      \
    "{\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T12:00:00Z\",\"message\":\"a\"}"
#define EVENT_WITH_ID                                                                              \
    "{\"event_id\":\"" ID                                                                          \
    "\",\"event_type\":\"error\",\"occurred_at\":\"2025-01-15T12:00:00Z\",\"message\":\"a\"}"
#define ENVELOPE                                                                                   \
    "{\"schema_version\":\"1.0\",\"event_id\":\"" ID                                               \
    "\",\"occurred_at\":\"2025-01-15T12:00:00Z\","                                                 \
    "\"received_at\":\"2025-01-15T12:00:01.000Z\",\"org_id\":\"o\",\"project_id\":\"p\","          \
    "\"environment\":\"dev\",\"event_type\":\"error\",\"severity\":\"info\",\"message\":\"a\","    \
    "\"attributes\":{},\"payload\":{}}"

static char buffer[REPLAY_EVENT_SIZE_MAX], buffer_2[REPLAY_EVENT_SIZE_MAX];
static struct replay_event event, event_2;
static const struct replay_rewrite UNCHANGED = {0};

static enum replay_event_result read_line(const char *line, uint64_t number,
                                          const struct replay_rewrite *rewrite)
{
    return replay_event_read(slice_of(line), number, rewrite, buffer, &event);
}

static bool text_is(const char *text)
{
    return slice_equal(event.text, slice_of(text));
}

static bool text_has(const char *text)
{
    return memmem(event.text.data, event.text.size, text, strlen(text)) != NULL;
}

Test(replay_event, sends_an_event_that_has_an_id_as_it_stands)
{
    cr_assert(eq(int, read_line("  " EVENT_WITH_ID " ", 1, &UNCHANGED), REPLAY_EVENT_OK));
    cr_assert(text_is(EVENT_WITH_ID));
    cr_assert(eq(int, memcmp(event.event_id, ID, UUID_TEXT_SIZE), 0));
    cr_assert(event.has_time);
    cr_assert(eq(i64, event.occurred_ms, 1736942400000));
}

Test(replay_event, makes_up_the_same_id_each_time_and_another_for_each_line)
{
    char first[UUID_TEXT_SIZE];

    cr_assert(eq(int, read_line(EVENT, 1, &UNCHANGED), REPLAY_EVENT_OK));
    memcpy(first, event.event_id, UUID_TEXT_SIZE);
    cr_assert(uuid_is_valid((struct slice){first, UUID_TEXT_SIZE}));
    cr_assert(eq(int, read_line(EVENT, 1, &UNCHANGED), REPLAY_EVENT_OK));
    cr_assert(eq(int, memcmp(event.event_id, first, UUID_TEXT_SIZE), 0));
    cr_assert(eq(int, read_line(EVENT, 2, &UNCHANGED), REPLAY_EVENT_OK));
    cr_assert(ne(int, memcmp(event.event_id, first, UUID_TEXT_SIZE), 0));
    cr_assert(text_has("\"message\":\"a\""));
    cr_assert(eq(int, memcmp(event.text.data, "{\"event_id\":\"", 13), 0));
    cr_assert(eq(int, memcmp(event.text.data + 13, event.event_id, UUID_TEXT_SIZE), 0));
}

Test(replay_event, gives_new_ids_that_follow_from_the_seed)
{
    struct replay_rewrite rewrite = {.new_ids = true, .seed = 7};
    char first[UUID_TEXT_SIZE];

    cr_assert(eq(int, read_line(EVENT_WITH_ID, 1, &rewrite), REPLAY_EVENT_OK));
    memcpy(first, event.event_id, UUID_TEXT_SIZE);
    cr_assert(not(text_has(ID)));
    cr_assert(eq(int, read_line(EVENT_WITH_ID, 1, &rewrite), REPLAY_EVENT_OK));
    cr_assert(eq(int, memcmp(event.event_id, first, UUID_TEXT_SIZE), 0));
    rewrite.seed = 8;
    cr_assert(eq(int, read_line(EVENT_WITH_ID, 1, &rewrite), REPLAY_EVENT_OK));
    cr_assert(ne(int, memcmp(event.event_id, first, UUID_TEXT_SIZE), 0));
    rewrite.seed = 0;
    cr_assert(eq(int, read_line(EVENT, 1, &rewrite), REPLAY_EVENT_OK));
    cr_assert(eq(int, replay_event_read(slice_of(EVENT), 1, &UNCHANGED, buffer_2, &event_2),
                 REPLAY_EVENT_OK));
    cr_assert(ne(int, memcmp(event.event_id, event_2.event_id, UUID_TEXT_SIZE), 0));
}

Test(replay_event, shifts_the_time_and_keeps_a_given_id)
{
    struct replay_rewrite rewrite = {.shift = true, .shift_ms = 86400250};

    cr_assert(eq(int, read_line(EVENT_WITH_ID, 1, &rewrite), REPLAY_EVENT_OK));
    cr_assert(text_has("\"occurred_at\":\"2025-01-16T12:00:00.250Z\""));
    cr_assert(not(text_has("2025-01-15")));
    cr_assert(text_has("\"event_id\":\"" ID "\""));
    cr_assert(eq(i64, event.occurred_ms, 1736942400000));
}

Test(replay_event, leaves_a_time_that_is_none_to_the_server)
{
    struct replay_rewrite rewrite = {.shift = true, .shift_ms = 1};

    cr_assert(eq(int,
                 read_line("{\"event_id\":\"" ID "\",\"occurred_at\":\"yesterday\"}", 1, &rewrite),
                 REPLAY_EVENT_OK));
    cr_assert(not(event.has_time));
    cr_assert(text_is("{\"event_id\":\"" ID "\",\"occurred_at\":\"yesterday\"}"));
}

Test(replay_event, finds_members_whose_names_are_escaped)
{
    struct replay_rewrite rewrite = {.new_ids = true, .seed = 1};

    cr_assert(eq(int,
                 read_line("{\"event\\u005fid\":\"" ID "\",\"me\\u0073sage\":\"x\"}", 1, &rewrite),
                 REPLAY_EVENT_OK));
    cr_assert(not(text_has(ID)));
    cr_assert(text_has("\"me\\u0073sage\":\"x\""));
}

Test(replay_event, takes_the_envelope_out_of_a_dumped_record)
{
    cr_assert(eq(
        int,
        read_line("{\"log\":0,\"lsn\":7,\"partition\":3,\"type\":\"event\",\"event\":" ENVELOPE "}",
                  1, &UNCHANGED),
        REPLAY_EVENT_OK));
    cr_assert(text_is(ENVELOPE));
}

Test(replay_event, knows_when_a_recorded_event_arrived)
{
    cr_assert(eq(
        int,
        read_line("{\"log\":0,\"lsn\":7,\"partition\":3,\"type\":\"event\",\"event\":" ENVELOPE "}",
                  1, &UNCHANGED),
        REPLAY_EVENT_OK));
    cr_assert(event.has_arrival);
    cr_assert(eq(i64, event.arrival_ms, 1736942401000));
    cr_assert(eq(i64, event.occurred_ms, 1736942400000));
    cr_assert(eq(int, read_line(EVENT_WITH_ID, 1, &UNCHANGED), REPLAY_EVENT_OK));
    cr_assert(not(event.has_arrival));
}

Test(replay_event, skips_dumped_records_that_are_no_events_and_blank_lines)
{
    cr_assert(eq(int,
                 read_line("{\"log\":0,\"lsn\":7,\"type\":\"key\",\"id\":\"x\"}", 1, &UNCHANGED),
                 REPLAY_EVENT_SKIP));
    cr_assert(eq(int, read_line("", 1, &UNCHANGED), REPLAY_EVENT_SKIP));
    cr_assert(eq(int, read_line(" \t\r", 1, &UNCHANGED), REPLAY_EVENT_SKIP));
}

Test(replay_event, says_why_a_line_is_no_event)
{
    static const char *const BAD[] = {"{broken",
                                      "[]",
                                      "\"text\"",
                                      "{} {}",
                                      "{\"a\":1,}",
                                      "\xff",
                                      "{\"log\":0,\"lsn\":7,\"type\":\"event\",\"event\":[]}"};

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        event.reason = NULL;
        cr_assert(eq(int, read_line(BAD[i], 1, &UNCHANGED), REPLAY_EVENT_BAD), "%s", BAD[i]);
        cr_assert(ne(ptr, (void *)event.reason, NULL));
    }
}

Test(replay_event, refuses_what_grows_too_long_with_an_id)
{
    static char line[REPLAY_EVENT_SIZE_MAX];
    const size_t size = sizeof(line) - 8;

    memset(line, 'x', size);
    memcpy(line, "{\"a\":\"", 6);
    memcpy(line + size - 2, "\"}", 2);
    cr_assert(eq(int, replay_event_read((struct slice){line, size}, 1, &UNCHANGED, buffer, &event),
                 REPLAY_EVENT_BAD));
}

Test(replay_event, finds_no_difference_between_an_event_and_its_envelope)
{
    cr_assert(
        eq(ptr, (void *)replay_event_compare(SLICE_LITERAL(EVENT_WITH_ID), SLICE_LITERAL(ENVELOPE)),
           NULL));
    cr_assert(eq(
        ptr, (void *)replay_event_compare(SLICE_LITERAL(ENVELOPE), SLICE_LITERAL(ENVELOPE)), NULL));
}

Test(replay_event, names_the_member_that_differs)
{
    static const struct {
        const char *from, *to, *member;
    } CASES[] = {
        {"\"message\":\"a\"", "\"message\":\"b\"", "message"},
        {"550e8400", "550e8401", "event_id"},
        {"12:00:00Z", "12:00:02Z", "occurred_at"},
        {"\"event_type\":\"error\"", "\"event_type\":\"other\"", "envelope"},
        {"\"error\"", "\"signup\"", "event_type"},
        {"\"dev\"", "\"prod\"", "environment"},
        {"\"info\"", "\"warn\"", "severity"},
        {"\"attributes\":{}", "\"attributes\":{\"a\":1}", "attributes"},
        {"\"payload\":{}", "\"payload\":{\"a\":1}", "payload"},
        {"\"received_at\"", "\"perceived_at\"", "envelope"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const char *at = strstr(ENVELOPE, CASES[i].from);
        char text[1024];

        cr_assert(ne(ptr, (void *)at, NULL));
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - ENVELOPE), ENVELOPE, CASES[i].to,
                 at + strlen(CASES[i].from));
        cr_assert(eq(str,
                     (char *)replay_event_compare(SLICE_LITERAL(EVENT_WITH_ID), slice_of(text)),
                     (char *)CASES[i].member));
    }
    cr_assert(eq(str,
                 (char *)replay_event_compare(SLICE_LITERAL(EVENT_WITH_ID), SLICE_LITERAL("{")),
                 "envelope"));
}

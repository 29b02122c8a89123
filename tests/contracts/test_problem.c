#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/problem.h"
#include "contracts/raw_event.h"

static char buffer[1 << 16];

static const char *written(const struct problem *problem, size_t capacity)
{
    struct json_writer writer;
    struct slice text;

    json_writer_init(&writer, buffer, capacity);
    problem_write(problem, &writer);
    if (!json_writer_finish(&writer, &text))
        return NULL;
    buffer[text.size] = '\0';
    return buffer;
}

TestSuite(problem, .timeout = 10);

Test(problem, writes_the_members_of_rfc_9457_and_the_old_error)
{
    struct problem problem = {.code = PROBLEM_INVALID_API_KEY,
                              .detail = SLICE_LITERAL("The key is \"unknown\"."),
                              .correlation_id = SLICE_LITERAL("c-1")};

    cr_expect(eq(str, (char *)written(&problem, PROBLEM_SIZE_MAX),
                 "{\"type\":\"/problems/invalid_api_key\",\"title\":\"Invalid API key\","
                 "\"status\":401,\"detail\":\"The key is \\\"unknown\\\".\","
                 "\"code\":\"invalid_api_key\",\"correlation_id\":\"c-1\","
                 "\"error\":\"Invalid API key\"}"));
}

Test(problem, names_the_limit_that_was_exceeded)
{
    struct problem problem = {
        .code = PROBLEM_PAYLOAD_TOO_LARGE, .has_limit = true, .limit = 1048576};

    cr_expect(eq(str, (char *)written(&problem, PROBLEM_SIZE_MAX),
                 "{\"type\":\"/problems/payload_too_large\",\"title\":\"Payload too large\","
                 "\"status\":413,\"detail\":\"Payload too large\",\"code\":\"payload_too_large\","
                 "\"error\":\"Payload too large\",\"limit\":1048576}"));
}

Test(problem, admits_an_unknown_outcome_only_when_the_write_may_have_happened)
{
    for (int code = 0; code < PROBLEM_COUNT; code++) {
        struct problem problem = {.code = (enum problem_code)code};
        bool admits =
            strstr(written(&problem, PROBLEM_SIZE_MAX), "\"outcome\":\"unknown\"") != NULL;

        cr_expect(
            eq(int, admits, code == PROBLEM_STORAGE_FAILED || code == PROBLEM_ANSWER_TIMEOUT));
    }
}

Test(problem, lists_the_issues_of_an_event)
{
    struct issue_list issues;
    struct json_reader reader;
    struct raw_event event;
    struct problem problem = {.code = PROBLEM_INVALID_EVENT, .issues = &issues};

    issue_list_init(&issues);
    cr_assert(eq(int, raw_event_read_document(SLICE_LITERAL("7"), 1, &issues, &reader, &event),
                 RAW_EVENT_INVALID));
    cr_expect(eq(str, (char *)written(&problem, PROBLEM_SIZE_MAX),
                 "{\"type\":\"/problems/invalid_event\",\"title\":\"Invalid event format\","
                 "\"status\":400,\"detail\":\"Invalid event format\",\"code\":\"invalid_event\","
                 "\"error\":\"Invalid event format\",\"details\":[{\"code\":\"invalid_type\","
                 "\"expected\":\"object\",\"received\":\"number\",\"path\":[],\"message\":"
                 "\"Expected object, received number\",\"pointer\":\"\"}]}"));
}

Test(problem, gives_as_many_issues_as_fit_and_counts_the_rest)
{
    struct issue_list issues;
    struct json_reader reader;
    struct json_value value;
    struct raw_event event;
    struct problem problem = {.code = PROBLEM_INVALID_EVENT, .issues = &issues};
    size_t count_of_omissions = 0;

    issue_list_init(&issues);
    cr_assert(eq(int, raw_event_read_document(SLICE_LITERAL("{}"), 1, &issues, &reader, &event),
                 RAW_EVENT_INVALID));
    for (size_t capacity = 300; capacity < 1200; capacity++) {
        const char *text = written(&problem, capacity);

        cr_assert(ne(ptr, (void *)text, NULL));
        cr_assert(eq(int, json_read_document(slice_of(text), 8, &reader, &value), JSON_OK));
        count_of_omissions += strstr(text, "\"details_omitted\":") != NULL;
    }
    cr_expect(lt(sz, 0, count_of_omissions));
    cr_expect(lt(sz, count_of_omissions, 900));
}

Test(problem, has_a_unique_snake_case_code_and_an_error_status_for_each)
{
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        struct slice name = problem_code_name((enum problem_code)i);

        cr_expect(ge(u16, problem_status((enum problem_code)i), 400));
        cr_expect(lt(u16, problem_status((enum problem_code)i), 600));
        cr_expect(lt(sz, 0, problem_title((enum problem_code)i).size));
        for (size_t at = 0; at < name.size; at++)
            cr_expect(
                ne(ptr, strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name.data[at]), NULL));
        for (int j = 0; j < i; j++)
            cr_expect(not(slice_equal(name, problem_code_name((enum problem_code)j))));
    }
}

Test(problem, keeps_the_titles_of_the_old_system)
{
    cr_expect(
        slice_equal(problem_title(PROBLEM_MISSING_API_KEY), SLICE_LITERAL("Missing API key")));
    cr_expect(
        slice_equal(problem_title(PROBLEM_INVALID_API_KEY), SLICE_LITERAL("Invalid API key")));
    cr_expect(
        slice_equal(problem_title(PROBLEM_INVALID_EVENT), SLICE_LITERAL("Invalid event format")));
    cr_expect(
        slice_equal(problem_title(PROBLEM_INVALID_BATCH), SLICE_LITERAL("Invalid batch format")));
}

Test(problem, has_a_code_for_every_reason_a_reader_stops)
{
    cr_expect(eq(int, problem_of_json_error(JSON_ERROR_TRUNCATED), PROBLEM_TRUNCATED_JSON));
    cr_expect(eq(int, problem_of_json_error(JSON_ERROR_UTF8), PROBLEM_INVALID_UTF8));
    cr_expect(eq(int, problem_of_json_error(JSON_ERROR_DEPTH), PROBLEM_JSON_TOO_DEEP));
    cr_expect(eq(int, problem_of_json_error(JSON_ERROR_TRAILING), PROBLEM_MALFORMED_JSON));
    cr_expect(eq(int, problem_of_json_error(JSON_ERROR_VALUE), PROBLEM_MALFORMED_JSON));
}

Test(problem, fits_the_announced_size_with_the_longest_texts)
{
    char detail[300];

    memset(detail, 'd', sizeof(detail));
    for (int code = 0; code < PROBLEM_COUNT; code++) {
        struct problem problem = {.code = (enum problem_code)code,
                                  .detail = {detail, sizeof(detail)},
                                  .correlation_id = {detail, 128},
                                  .has_limit = true,
                                  .limit = UINT64_MAX};

        cr_expect(ne(ptr, (void *)written(&problem, PROBLEM_SIZE_MAX), NULL));
    }
}

/*
 * STORAGE_FAILED and ANSWER_TIMEOUT do not promise "nothing was stored": the write
 * may have reached the disk before the error, or may reach it yet. Its outcome member says so.
 */
#include "contracts/problem.h"

/* Closing brackets and ,"details_omitted":4294967295 */
enum { AFTER_ISSUES_SIZE_MAX = 40 };

#define X(name, code, status, title)                                                               \
    [PROBLEM_##name] = {code, title, sizeof(code) - 1, sizeof(title) - 1, status},
static const struct problem_entry {
    const char *code;
    const char *title;
    uint16_t code_size;
    uint16_t title_size;
    uint16_t status;
} ENTRIES[] = {
#include "contracts/problem_codes.inc"
};
#undef X

static_assert(ARRAY_COUNT(ENTRIES) == PROBLEM_COUNT, "one entry per code");

static const struct problem_entry *find_entry(enum problem_code code)
{
    assert(code < PROBLEM_COUNT);
    return &ENTRIES[code];
}

uint16_t problem_status(enum problem_code code)
{
    return find_entry(code)->status;
}

struct slice problem_code_name(enum problem_code code)
{
    const struct problem_entry *entry = find_entry(code);

    return (struct slice){entry->code, entry->code_size};
}

struct slice problem_title(enum problem_code code)
{
    const struct problem_entry *entry = find_entry(code);

    return (struct slice){entry->title, entry->title_size};
}

enum problem_code problem_of_json_error(enum json_error error)
{
    assert(error != JSON_ERROR_NONE);
    switch (error) {
    case JSON_ERROR_TRUNCATED:
        return PROBLEM_TRUNCATED_JSON;
    case JSON_ERROR_UTF8:
        return PROBLEM_INVALID_UTF8;
    case JSON_ERROR_DEPTH:
        return PROBLEM_JSON_TOO_DEEP;
    case JSON_ERROR_NONE:
    case JSON_ERROR_VALUE:
    case JSON_ERROR_KEY:
    case JSON_ERROR_COLON:
    case JSON_ERROR_SEPARATOR:
    case JSON_ERROR_CONTROL:
    case JSON_ERROR_ESCAPE:
    case JSON_ERROR_SURROGATE:
    case JSON_ERROR_NUMBER:
    case JSON_ERROR_TRAILING:
        break;
    }
    return PROBLEM_MALFORMED_JSON;
}

static void write_issues(const struct problem *problem, struct json_writer *writer)
{
    uint32_t omitted_count;

    json_writer_key(writer, SLICE_LITERAL("details"));
    omitted_count =
        issue_list_write(problem->issues, problem->array_key, AFTER_ISSUES_SIZE_MAX, writer);
    if (omitted_count == 0)
        return;
    json_writer_key(writer, SLICE_LITERAL("details_omitted"));
    json_writer_u64(writer, omitted_count);
}

void problem_write(const struct problem *problem, struct json_writer *writer)
{
    bool is_own = problem->code == PROBLEM_NONE;
    struct slice code = is_own ? problem->own_code : problem_code_name(problem->code);
    struct slice title = is_own ? problem->own_title : problem_title(problem->code);

    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("type"));
    json_writer_begin_string(writer);
    json_writer_string_piece(writer, SLICE_LITERAL("/problems/"));
    json_writer_string_piece(writer, code);
    json_writer_end_string(writer);
    json_writer_key(writer, SLICE_LITERAL("title"));
    json_writer_string(writer, title);
    json_writer_key(writer, SLICE_LITERAL("status"));
    json_writer_u64(writer, is_own ? problem->own_status : problem_status(problem->code));
    json_writer_key(writer, SLICE_LITERAL("detail"));
    json_writer_string(writer, problem->detail.size > 0 ? problem->detail : title);
    json_writer_key(writer, SLICE_LITERAL("code"));
    json_writer_string(writer, code);
    if (problem->correlation_id.size > 0) {
        json_writer_key(writer, SLICE_LITERAL("correlation_id"));
        json_writer_string(writer, problem->correlation_id);
    }
    json_writer_key(writer, SLICE_LITERAL("error"));
    json_writer_string(writer, title);
    if (problem->has_limit) {
        json_writer_key(writer, SLICE_LITERAL("limit"));
        json_writer_u64(writer, problem->limit);
    }
    if (problem->code == PROBLEM_STORAGE_FAILED || problem->code == PROBLEM_ANSWER_TIMEOUT) {
        json_writer_key(writer, SLICE_LITERAL("outcome"));
        json_writer_string(writer, SLICE_LITERAL("unknown"));
    }
    if (problem->issues != NULL && problem->issues->count > 0)
        write_issues(problem, writer);
    json_writer_end_object(writer);
}

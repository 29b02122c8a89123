/*
 * Doctor: `weir doctor`, over the admin API of a running server.
 *
 * The server examines itself (actors/examination.h); this prints one line for each check,
 * with its numbers, and ends with 1 when one has failed. A warning is no failure: it says
 * that something wants looking at before it becomes one, or could not be checked.
 */
#include <stdio.h>

#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "tools/admin_client.h"

enum { TEXT_SIZE = 256, NAME_WIDTH = 12 };

static const struct option_spec OPTIONS[] = {ADMIN_CLIENT_OPTIONS};

static const struct command_spec DOCTOR = {
    .name = "doctor",
    .summary = "check every invariant of a running server; exit code 1 when one is broken",
    .example = "weir doctor --url http://127.0.0.1:3000",
    .options = OPTIONS,
    .option_count = ARRAY_COUNT(OPTIONS),
};

/* One run. */
struct doctor {
    struct admin_client client;
    uint32_t check_count;
    uint32_t warning_count;
    uint32_t failure_count;
};

/* The text of a string member; empty when it is not there. */
static struct slice text_of(struct slice object, struct slice name, char *buffer)
{
    struct slice text = {NULL, 0};
    struct json_value value;

    if (!json_find_member(object, name, &value) || value.type != JSON_STRING ||
        !json_string_text(&value, buffer, TEXT_SIZE, &text))
        return (struct slice){"", 0};
    return text;
}

/* "ok", "WARN" and "FAIL", so that the eye finds what matters. */
static const char *count_status(struct doctor *doctor, struct slice status)
{
    doctor->check_count++;
    if (slice_equal(status, SLICE_LITERAL("ok")))
        return "ok";
    if (slice_equal(status, SLICE_LITERAL("warn"))) {
        doctor->warning_count++;
        return "WARN";
    }
    doctor->failure_count++; /* also what a later server says and we do not know */
    return "FAIL";
}

/* Prints " (accepted 12, dropped 2)". */
static void print_numbers(struct slice check)
{
    struct json_value numbers, key, value;
    struct json_reader reader;
    char buffer[TEXT_SIZE];
    struct slice name;
    uint32_t count = 0;
    enum json_result r;

    if (!json_find_member(check, SLICE_LITERAL("numbers"), &numbers) || numbers.type != JSON_OBJECT)
        return;
    json_reader_init(&reader, numbers.raw, JSON_DEPTH_DEFAULT);
    r = json_reader_enter_object(&reader);
    while (r == JSON_OK && json_reader_next_member(&reader, &key) == JSON_OK) {
        r = json_reader_read(&reader, &value);
        if (r != JSON_OK || !json_string_text(&key, buffer, sizeof(buffer), &name))
            continue;
        printf("%s%.*s %.*s", count++ == 0 ? " (" : ", ", (int)name.size, name.data,
               (int)value.raw.size, value.raw.data);
    }
    if (count > 0)
        putchar(')');
}

/* Prints ", on shards [1,3]" when there are some. */
static void print_shards(struct slice check)
{
    struct json_value shards;

    if (json_find_member(check, SLICE_LITERAL("shards"), &shards) && shards.raw.size > 2)
        printf(", on shards %.*s", (int)shards.raw.size, shards.raw.data);
}

static void print_check(struct doctor *doctor, struct slice check)
{
    char status_buffer[TEXT_SIZE], name_buffer[TEXT_SIZE], detail_buffer[TEXT_SIZE];
    struct slice name = text_of(check, SLICE_LITERAL("name"), name_buffer);
    struct slice detail = text_of(check, SLICE_LITERAL("detail"), detail_buffer);
    const char *status =
        count_status(doctor, text_of(check, SLICE_LITERAL("status"), status_buffer));

    printf("%-5s%-*.*s%.*s", status, NAME_WIDTH, (int)name.size, name.data, (int)detail.size,
           detail.data);
    print_numbers(check);
    print_shards(check);
    putchar('\n');
}

/* Prints all lines. 0 or an exit code. */
static int print_checks(struct doctor *doctor, struct slice object)
{
    struct json_value checks, check;
    struct json_reader reader;
    enum json_result r;

    if (!json_find_member(object, SLICE_LITERAL("checks"), &checks) || checks.type != JSON_ARRAY)
        return admin_client_fail(&doctor->client, COMMAND_FAILED, "the answer holds no checks");
    json_reader_init(&reader, checks.raw, JSON_DEPTH_DEFAULT);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && json_reader_next_element(&reader) == JSON_OK) {
        r = json_reader_read(&reader, &check);
        if (r == JSON_OK && check.type == JSON_OBJECT)
            print_check(doctor, check.raw);
    }
    printf("%u checks: %u warnings, %u failures\n", doctor->check_count, doctor->warning_count,
           doctor->failure_count);
    return doctor->failure_count == 0 ? COMMAND_DONE : COMMAND_FAILED;
}

static int examine(struct doctor *doctor)
{
    struct http_call_request request = {.method = "GET", .path = "/v1/admin/doctor"};
    struct http_call_answer answer;
    char buffer[TEXT_SIZE];
    struct slice object;
    int r = admin_client_call(&doctor->client, &request, 200, 0, &answer);

    if (r == COMMAND_DONE)
        r = admin_client_read(&doctor->client, answer.body, &object);
    if (r != COMMAND_DONE)
        return r;
    if (!options_has(&doctor->client.options, "json"))
        return print_checks(doctor, object);
    printf("%.*s\n", (int)object.size, object.data);
    return slice_equal(text_of(object, SLICE_LITERAL("status"), buffer), SLICE_LITERAL("fail"))
               ? COMMAND_FAILED
               : COMMAND_DONE;
}

int command_doctor(int argc, char **argv)
{
    struct doctor doctor = {0};
    int exit_code = COMMAND_DONE;

    if (admin_client_begin(&doctor.client, &DOCTOR, argc, argv, &exit_code))
        exit_code = examine(&doctor);
    admin_client_end(&doctor.client);
    return exit_code;
}

/*
 * Keys: `weir keys create|list|revoke`, over the admin API of a running server.
 *
 * The text of a key is shown once, when it is made: the server itself stores only its
 * hash.
 */
#include "contracts/json_reader.h"
#include "contracts/json_writer.h"
#include "tools/admin_client.h"

enum {
    BODY_SIZE = 4096,
    PAGE_COUNT_MAX = 1000, /* of a list; a server that never ends one is broken */
};

static const struct option_spec CREATE_OPTIONS[] = {
    {.name = "org",
     .kind = OPTION_TEXT,
     .argument = "ORG",
     .help = "organisation id; required",
     .required = true},
    {.name = "project",
     .kind = OPTION_TEXT,
     .argument = "PROJECT",
     .help = "project id; required",
     .required = true},
    {.name = "scopes",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .help = "of ingest, read, admin, separated by commas (default ingest,read)"},
    {.name = "rate",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .help = "events per second (default: the server's)"},
    {.name = "burst",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .help = "events at once (default: the server's)"},
    ADMIN_CLIENT_OPTIONS,
};

static const struct option_spec OTHER_OPTIONS[] = {ADMIN_CLIENT_OPTIONS};

static const struct command_spec CREATE = {
    .name = "keys create",
    .summary = "make an API key and print it, this once",
    .example = "weir keys create --org acme --project shop --scopes ingest,read",
    .options = CREATE_OPTIONS,
    .option_count = ARRAY_COUNT(CREATE_OPTIONS),
};

static const struct command_spec LIST = {
    .name = "keys list",
    .summary = "list API keys, without their text",
    .example = "weir keys list --json",
    .options = OTHER_OPTIONS,
    .option_count = ARRAY_COUNT(OTHER_OPTIONS),
};

static const struct command_spec REVOKE = {
    .name = "keys revoke",
    .operands = "ID",
    .summary = "end an API key at once",
    .example = "weir keys revoke 7d0f1f4e-5a0c-4d53-9d0e-3b1f0a5b2c11",
    .options = OTHER_OPTIONS,
    .option_count = ARRAY_COUNT(OTHER_OPTIONS),
    .operand_count_min = 1,
    .operand_count_max = 1,
};

/* --- create --------------------------------------------------------------- */

/* Writes "ingest,read" as a list of strings. */
static void write_scopes(struct json_writer *writer, const char *scopes)
{
    json_writer_key(writer, SLICE_LITERAL("scopes"));
    json_writer_begin_array(writer);
    while (*scopes != '\0') {
        size_t size = strcspn(scopes, ",");

        json_writer_string(writer, (struct slice){scopes, size});
        scopes += size;
        scopes += *scopes == ',' ? 1 : 0;
    }
    json_writer_end_array(writer);
}

static bool write_create(const struct options *options, char *data, struct slice *ret_body)
{
    struct json_writer writer;

    json_writer_init(&writer, data, BODY_SIZE);
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("org_id"));
    json_writer_string(&writer, slice_of(options_text(options, "org", "")));
    json_writer_key(&writer, SLICE_LITERAL("project_id"));
    json_writer_string(&writer, slice_of(options_text(options, "project", "")));
    write_scopes(&writer, options_text(options, "scopes", "ingest,read"));
    if (options_has(options, "rate")) {
        json_writer_key(&writer, SLICE_LITERAL("rate_per_second"));
        json_writer_u64(&writer, options_number(options, "rate", 0));
    }
    if (options_has(options, "burst")) {
        json_writer_key(&writer, SLICE_LITERAL("burst"));
        json_writer_u64(&writer, options_number(options, "burst", 0));
    }
    json_writer_end_object(&writer);
    return json_writer_finish(&writer, ret_body);
}

static int create_key(struct admin_client *keys)
{
    struct http_call_request request = {
        .method = "POST", .path = "/v1/admin/keys", .content_type = "application/json"};
    struct http_call_answer answer;
    struct slice object;
    char data[BODY_SIZE];
    int r;

    if (!write_create(&keys->options, data, &request.body))
        return command_usage_error(keys->command, "the values are too long");
    r = admin_client_call(keys, &request, 201, 0, &answer);
    if (r == 0)
        r = admin_client_read(keys, answer.body, &object);
    if (r != 0)
        return r;
    if (options_has(&keys->options, "json")) {
        printf("%.*s\n", (int)object.size, object.data);
        return COMMAND_DONE;
    }
    fputs("id      ", stdout);
    admin_client_print_member(object, "id", 0, 0);
    fputs("\nkey     ", stdout);
    admin_client_print_member(object, "key", 0, 0);
    fputs("\nscopes  ", stdout);
    admin_client_print_member(object, "scopes", 0, 0);
    fputs("\nkeep the key: it is not shown again\n", stdout);
    return COMMAND_DONE;
}

/* --- list ----------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *title;
    int width;
} COLUMNS[] = {
    {"id", "ID", 38},
    {"prefix", "PREFIX", 18},
    {"org_id", "ORG", 18},
    {"project_id", "PROJECT", 18},
    {"scopes", "SCOPES", 28},
    {"created_at", "CREATED", 26},
    {"revoked_at", "REVOKED", 0},
};

/* Prints the elements of "keys": as JSON with commas, or as lines of a table. */
static int print_page(const struct admin_client *keys, struct slice object, bool as_json,
                      uint64_t *count)
{
    struct json_reader reader;
    struct json_value list, key;
    enum json_result r;

    if (!json_find_member(object, SLICE_LITERAL("keys"), &list) || list.type != JSON_ARRAY)
        return admin_client_fail(keys, COMMAND_FAILED, "the answer holds no keys");
    json_reader_init(&reader, list.raw, JSON_DEPTH_DEFAULT);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && json_reader_next_element(&reader) == JSON_OK) {
        r = json_reader_read(&reader, &key);
        if (r != JSON_OK || key.type != JSON_OBJECT)
            continue;
        if (as_json)
            printf("%s%.*s", *count > 0 ? "," : "", (int)key.raw.size, key.raw.data);
        for (size_t i = 0; !as_json && i < ARRAY_COUNT(COLUMNS); i++)
            admin_client_print_member(key.raw, COLUMNS[i].name, COLUMNS[i].width, 0);
        if (!as_json)
            putchar('\n');
        *count += 1;
    }
    return COMMAND_DONE;
}

static int list_keys(struct admin_client *keys)
{
    bool as_json = options_has(&keys->options, "json"), more = true;
    char path[ADMIN_CLIENT_PATH_SIZE] = "/v1/admin/keys?limit=100";
    uint64_t count = 0;
    int r = 0;

    for (uint32_t page = 0; r == 0 && more && page < PAGE_COUNT_MAX; page++) {
        struct http_call_request request = {.method = "GET", .path = path};
        struct http_call_answer answer;
        struct slice object;

        r = admin_client_call(keys, &request, 200, 0, &answer);
        if (r == 0)
            r = admin_client_read(keys, answer.body, &object);
        if (r != 0)
            return r;
        if (page == 0 && as_json)
            fputs("{\"keys\":[", stdout);
        for (size_t i = 0; page == 0 && !as_json && i < ARRAY_COUNT(COLUMNS); i++)
            printf("%-*s", COLUMNS[i].width, COLUMNS[i].title);
        if (page == 0 && !as_json)
            putchar('\n');
        r = print_page(keys, object, as_json, &count);
        more = admin_client_next_page(object, "/v1/admin/keys?limit=100", path);
    }
    if (r == 0 && as_json)
        fputs("],\"next_cursor\":null}\n", stdout);
    return r;
}

/* --- revoke --------------------------------------------------------------- */

static int revoke_key(struct admin_client *keys)
{
    const char *id = keys->options.operands[0];
    struct http_call_request request = {.method = "DELETE"};
    struct http_call_answer answer;
    char path[ADMIN_CLIENT_PATH_SIZE];
    int r;

    if (id[strspn(id, "0123456789abcdefABCDEF-")] != '\0' ||
        snprintf(path, sizeof(path), "/v1/admin/keys/%s", id) >= (int)sizeof(path))
        return command_usage_error(keys->command, "\"%.64s\" is not the id of a key", id);
    request.path = path;
    r = admin_client_call(keys, &request, 200, 0, &answer);
    if (r != 0)
        return r;
    if (options_has(&keys->options, "json"))
        printf("%.*s\n", (int)answer.body.size, answer.body.data);
    else
        printf("revoked %s\n", id);
    return COMMAND_DONE;
}

int command_keys(int argc, char **argv)
{
    static const struct command_action ACTIONS[] = {
        {"create", &CREATE}, {"list", &LIST}, {"revoke", &REVOKE}};
    static int (*const RUN[])(struct admin_client * keys) = {create_key, list_keys, revoke_key};
    struct admin_client keys = {0};
    int exit_code = COMMAND_DONE;
    uint32_t action = command_find_action(ACTIONS, ARRAY_COUNT(ACTIONS), argc, argv, &exit_code);

    if (action == ARRAY_COUNT(ACTIONS))
        return exit_code;
    if (admin_client_begin(&keys, ACTIONS[action].command, argc - 1, argv + 1, &exit_code))
        exit_code = RUN[action](&keys);
    admin_client_end(&keys);
    return exit_code;
}

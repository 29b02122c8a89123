/*
 * Keys: `weir keys create|list|revoke`, over the admin API of a running server.
 *
 * The admin token comes from --admin-token, WEIR_ADMIN_TOKEN, or the file that the
 * server keeps in its data directory. The text of a key is shown once, when it is
 * made: the server itself stores only its hash.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "tools/commands.h"
#include "tools/http_call.h"
#include "tools/options.h"

enum {
    TEXT_SIZE = 512,
    TOKEN_SIZE_MAX = 256,
    BODY_SIZE = 4096,
    PATH_SIZE = 512,
    PAGE_COUNT_MAX = 1000, /* of a list; a server that never ends one is broken */
};

#define COMMON_OPTIONS                                                                             \
    {.name = "url",                                                                                \
     .kind = OPTION_TEXT,                                                                          \
     .argument = "URL",                                                                            \
     .help = "the server (default http://127.0.0.1:3000)"},                                        \
        {.name = "admin-token",                                                                    \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "TOKEN",                                                                      \
         .help = "default: WEIR_ADMIN_TOKEN, else the file admin.token in the data directory"},    \
        {.name = "data",                                                                           \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "DIR",                                                                        \
         .help = "the server's data directory (default ./weir-data)"},                             \
    {                                                                                              \
        .name = "json", .kind = OPTION_FLAG, .help = "print the server's answer"                   \
    }

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
    COMMON_OPTIONS,
};

static const struct option_spec OTHER_OPTIONS[] = {COMMON_OPTIONS};

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

/* One run. */
struct keys {
    const struct command_spec *command;
    struct options options;
    struct http_call *call;
    char token[TOKEN_SIZE_MAX];
};

static int fail(const struct keys *keys, int exit_code, const char *text)
{
    fprintf(stderr, "weir %s: %s\n", keys->command->name, text);
    return exit_code;
}

/* --- set-up --------------------------------------------------------------- */

/* Reads <data>/admin.token. 0 or -errno. */
static int read_token_file(const struct keys *keys, char *path, char *token)
{
    const char *data = options_text(&keys->options, "data", "./weir-data");
    ssize_t n;
    int fd;

    if (snprintf(path, PATH_SIZE, "%s/admin.token", data) >= PATH_SIZE)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, token, TOKEN_SIZE_MAX - 1);
    if (n < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    close(fd);
    token[n] = '\0';
    token[strcspn(token, " \r\n")] = '\0';
    return token[0] != '\0' ? 0 : -ENODATA;
}

/* Finds the admin token. 0 or an exit code. */
static int find_token(struct keys *keys)
{
    const char *given = options_text(&keys->options, "admin-token", getenv("WEIR_ADMIN_TOKEN"));
    char path[PATH_SIZE] = "", text[PATH_SIZE + TEXT_SIZE];
    int r;

    if (given != NULL && *given != '\0') {
        if (strlen(given) >= sizeof(keys->token))
            return command_usage_error(keys->command, "the admin token is too long");
        memcpy(keys->token, given, strlen(given) + 1);
        return 0;
    }
    r = read_token_file(keys, path, keys->token);
    if (r == 0)
        return 0;
    snprintf(text, sizeof(text),
             "no admin token: neither --admin-token nor WEIR_ADMIN_TOKEN, and %s: %s", path,
             strerror(-r));
    return fail(keys, COMMAND_BAD_DATA_DIR, text);
}

/* True to go on; false to return *ret_exit_code. */
static bool begin(struct keys *keys, const struct command_spec *command, int argc, char **argv,
                  int *ret_exit_code)
{
    const char *url;
    int r;

    keys->command = command;
    if (!command_begin(command, argc, argv, &keys->options, ret_exit_code))
        return false;
    *ret_exit_code = find_token(keys);
    if (*ret_exit_code != 0)
        return false;
    url = options_text(&keys->options, "url", "http://127.0.0.1:3000");
    r = http_call_new(url, HTTP_CALL_TIMEOUT_MS_DEFAULT, &keys->call);
    if (r < 0)
        *ret_exit_code =
            command_usage_error(command, "--url needs http://HOST[:PORT], not \"%s\"", url);
    return r == 0;
}

/* Sends; answers other than wanted are said. 0 or an exit code. */
static int call(struct keys *keys, struct http_call_request *request, unsigned wanted,
                struct http_call_answer *ret_answer)
{
    char text[TEXT_SIZE];
    int r;

    request->token = keys->token;
    r = http_call_send(keys->call, request, ret_answer);
    if (r < 0) {
        http_call_describe(keys->call, r, text, sizeof(text));
        return fail(keys, http_call_is_unreachable(r) ? COMMAND_UNAVAILABLE : COMMAND_FAILED, text);
    }
    if (ret_answer->status == wanted)
        return 0;
    http_call_describe_refusal(ret_answer, text, sizeof(text));
    return fail(keys, ret_answer->status == 503 ? COMMAND_TRY_AGAIN : COMMAND_FAILED, text);
}

/* The answer as a validated object. 0 or an exit code. */
static int read_answer(const struct keys *keys, struct slice body, struct slice *ret_object)
{
    struct json_reader reader;
    struct json_value document;

    if (json_read_document(body, JSON_DEPTH_DEFAULT, &reader, &document) != JSON_OK ||
        document.type != JSON_OBJECT)
        return fail(keys, COMMAND_FAILED, "the answer is not that of a weir server");
    *ret_object = document.raw;
    return 0;
}

/* "ingest,read" out of ["ingest","read"]; the names of scopes need no escapes. */
static struct slice join_list(struct slice list, char *buffer, size_t capacity)
{
    size_t size = 0;

    for (size_t i = 0; i < list.size && size < capacity; i++)
        if (strchr("[]\" ", list.data[i]) == NULL)
            buffer[size++] = list.data[i];
    return (struct slice){buffer, size};
}

/* Prints a member as text: a string without its quotes, null as "-". */
static void print_member(struct slice object, const char *name, int width)
{
    struct json_value value;
    struct slice text = SLICE_LITERAL("-");
    char buffer[TEXT_SIZE];

    if (json_find_member(object, slice_of(name), &value) && value.type != JSON_NULL) {
        if (value.type == JSON_ARRAY)
            text = join_list(value.raw, buffer, sizeof(buffer));
        else if (value.type != JSON_STRING ||
                 !json_string_text(&value, buffer, sizeof(buffer), &text))
            text = value.raw;
    }
    printf("%-*.*s", width, (int)text.size, text.data);
}

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

static int create_key(struct keys *keys)
{
    struct http_call_request request = {
        .method = "POST", .path = "/v1/admin/keys", .content_type = "application/json"};
    struct http_call_answer answer;
    struct slice object;
    char data[BODY_SIZE];
    int r;

    if (!write_create(&keys->options, data, &request.body))
        return command_usage_error(keys->command, "the values are too long");
    r = call(keys, &request, 201, &answer);
    if (r == 0)
        r = read_answer(keys, answer.body, &object);
    if (r != 0)
        return r;
    if (options_has(&keys->options, "json")) {
        printf("%.*s\n", (int)object.size, object.data);
        return COMMAND_DONE;
    }
    fputs("id      ", stdout);
    print_member(object, "id", 0);
    fputs("\nkey     ", stdout);
    print_member(object, "key", 0);
    fputs("\nscopes  ", stdout);
    print_member(object, "scopes", 0);
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
static int print_page(const struct keys *keys, struct slice object, bool as_json, uint64_t *count)
{
    struct json_reader reader;
    struct json_value list, key;
    enum json_result r;

    if (!json_find_member(object, SLICE_LITERAL("keys"), &list) || list.type != JSON_ARRAY)
        return fail(keys, COMMAND_FAILED, "the answer holds no keys");
    json_reader_init(&reader, list.raw, JSON_DEPTH_DEFAULT);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && json_reader_next_element(&reader) == JSON_OK) {
        r = json_reader_read(&reader, &key);
        if (r != JSON_OK || key.type != JSON_OBJECT)
            continue;
        if (as_json)
            printf("%s%.*s", *count > 0 ? "," : "", (int)key.raw.size, key.raw.data);
        for (size_t i = 0; !as_json && i < ARRAY_COUNT(COLUMNS); i++)
            print_member(key.raw, COLUMNS[i].name, COLUMNS[i].width);
        if (!as_json)
            putchar('\n');
        *count += 1;
    }
    return COMMAND_DONE;
}

/* Makes the path of the page after this one; false at the end of the list. */
static bool next_page(struct slice object, char *path)
{
    struct json_value cursor;
    struct slice text;
    char buffer[PATH_SIZE / 2];

    if (!json_find_member(object, SLICE_LITERAL("next_cursor"), &cursor) ||
        cursor.type != JSON_STRING || !json_string_text(&cursor, buffer, sizeof(buffer), &text) ||
        text.size == 0)
        return false;
    return snprintf(path, PATH_SIZE, "/v1/admin/keys?limit=100&cursor=%.*s", (int)text.size,
                    text.data) < PATH_SIZE;
}

static int list_keys(struct keys *keys)
{
    bool as_json = options_has(&keys->options, "json"), more = true;
    char path[PATH_SIZE] = "/v1/admin/keys?limit=100";
    uint64_t count = 0;
    int r = 0;

    for (uint32_t page = 0; r == 0 && more && page < PAGE_COUNT_MAX; page++) {
        struct http_call_request request = {.method = "GET", .path = path};
        struct http_call_answer answer;
        struct slice object;

        r = call(keys, &request, 200, &answer);
        if (r == 0)
            r = read_answer(keys, answer.body, &object);
        if (r != 0)
            return r;
        if (page == 0 && as_json)
            fputs("{\"keys\":[", stdout);
        for (size_t i = 0; page == 0 && !as_json && i < ARRAY_COUNT(COLUMNS); i++)
            printf("%-*s", COLUMNS[i].width, COLUMNS[i].title);
        if (page == 0 && !as_json)
            putchar('\n');
        r = print_page(keys, object, as_json, &count);
        more = next_page(object, path);
    }
    if (r == 0 && as_json)
        fputs("],\"next_cursor\":null}\n", stdout);
    return r;
}

/* --- revoke --------------------------------------------------------------- */

static int revoke_key(struct keys *keys)
{
    const char *id = keys->options.operands[0];
    struct http_call_request request = {.method = "DELETE"};
    struct http_call_answer answer;
    char path[PATH_SIZE];
    int r;

    if (id[strspn(id, "0123456789abcdefABCDEF-")] != '\0' ||
        snprintf(path, sizeof(path), "/v1/admin/keys/%s", id) >= (int)sizeof(path))
        return command_usage_error(keys->command, "\"%.64s\" is not the id of a key", id);
    request.path = path;
    r = call(keys, &request, 200, &answer);
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
    static int (*const RUN[])(struct keys * keys) = {create_key, list_keys, revoke_key};
    struct keys keys = {0};
    int exit_code = COMMAND_DONE;
    uint32_t action = command_find_action(ACTIONS, ARRAY_COUNT(ACTIONS), argc, argv, &exit_code);

    if (action == ARRAY_COUNT(ACTIONS))
        return exit_code;
    if (begin(&keys, ACTIONS[action].command, argc - 1, argv + 1, &exit_code))
        exit_code = RUN[action](&keys);
    http_call_free(&keys.call);
    return exit_code;
}

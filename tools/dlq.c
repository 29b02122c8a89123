/*
 * DLQ: `weir dlq list|show|replay|drop`, over the admin API of a running server.
 *
 * Letters are named by id, as operands or with --id, or by conditions; `drop` wants one of
 * them or --all, for what is dropped is gone. A replay runs in the server: the command
 * watches it to its end, but need not: interrupted, or with --no-wait, it goes on.
 */
#include <unistd.h>

#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "contracts/timestamp.h"
#include "runtime/clock.h"
#include "tools/admin_client.h"

enum {
    ID_COUNT_MAX = 100,
    ID_SIZE_MAX = 64,
    BODY_SIZE = 16384,
    TEXT_SIZE = 256,
    PAGE_COUNT_MAX = 1000000, /* of a list; a server that never ends one is broken */
    POLL_MS = 100,
    ERROR_SIZE_SHOWN = 60,
};

#define PAGE_PATH "/v1/admin/dlq?limit=100"

/* The conditions, as the options and the API call them. */
static const char *const CONDITIONS[] = {"org", "project", "origin", "reason", "since", "until"};

#define ID_OPTION                                                                                  \
    {                                                                                              \
        .name = "id", .kind = OPTION_TEXT, .argument = "ID", .repeatable = true,                   \
        .help = "this letter; may be given more than once, and goes without other conditions"      \
    }

#define CONDITION_OPTIONS                                                                          \
    {.name = "org", .kind = OPTION_TEXT, .argument = "ORG", .help = "of this organisation"},       \
        {.name = "project",                                                                        \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "PROJECT",                                                                    \
         .help = "of this project"},                                                               \
        {.name = "origin",                                                                         \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "ORIGIN",                                                                     \
         .help = "where it comes from: job: and a kind"},                                          \
        {.name = "reason",                                                                         \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "REASON",                                                                     \
         .help = "why it died, such as attempts_exhausted or poison"},                             \
        {.name = "since",                                                                          \
         .kind = OPTION_TEXT,                                                                      \
         .argument = "TIME",                                                                       \
         .help = "died then or later: 2025-01-31T12:00:00Z, or 2h for two hours ago"},             \
        {.name = "until", .kind = OPTION_TEXT, .argument = "TIME", .help = "died before"},         \
        ID_OPTION

static const struct option_spec LIST_OPTIONS[] = {CONDITION_OPTIONS, ADMIN_CLIENT_OPTIONS};

static const struct option_spec SHOW_OPTIONS[] = {ID_OPTION, ADMIN_CLIENT_OPTIONS};

static const struct option_spec REPLAY_OPTIONS[] = {
    CONDITION_OPTIONS,
    {.name = "rate",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = 10000,
     .help = "letters per second (default 100)"},
    {.name = "dry-run", .kind = OPTION_FLAG, .help = "only say how many letters are meant"},
    {.name = "no-wait", .kind = OPTION_FLAG, .help = "do not wait for the end of it"},
    ADMIN_CLIENT_OPTIONS,
};

static const struct option_spec DROP_OPTIONS[] = {
    CONDITION_OPTIONS,
    {.name = "all", .kind = OPTION_FLAG, .help = "every letter there is"},
    {.name = "dry-run", .kind = OPTION_FLAG, .help = "only say how many letters are meant"},
    ADMIN_CLIENT_OPTIONS,
};

static const struct command_spec LIST = {
    .name = "dlq list",
    .operands = "[ID ...]",
    .summary = "list dead letters, the oldest first",
    .example = "weir dlq list --origin job:mail --since 24h",
    .options = LIST_OPTIONS,
    .option_count = ARRAY_COUNT(LIST_OPTIONS),
    .operand_count_max = OPTIONS_OPERAND_COUNT_MAX,
};

static const struct command_spec SHOW = {
    .name = "dlq show",
    .operands = "ID",
    .summary = "show one dead letter with its payload",
    .example = "weir dlq show 01939d2c-7a00-7001-8000-000000000001 --json",
    .options = SHOW_OPTIONS,
    .option_count = ARRAY_COUNT(SHOW_OPTIONS),
    .operand_count_max = 1,
};

static const struct command_spec REPLAY = {
    .name = "dlq replay",
    .operands = "[ID ...]",
    .summary = "make jobs of dead letters again, at a rate",
    .details = "Without conditions every letter is meant. A letter that has been replayed is none "
               "any more, so replaying twice does nothing the second time.",
    .example = "weir dlq replay --origin job:mail --reason attempts_exhausted --dry-run\n"
               "weir dlq replay --origin job:mail --reason attempts_exhausted --rate 50",
    .options = REPLAY_OPTIONS,
    .option_count = ARRAY_COUNT(REPLAY_OPTIONS),
    .operand_count_max = OPTIONS_OPERAND_COUNT_MAX,
};

static const struct command_spec DROP = {
    .name = "dlq drop",
    .operands = "[ID ...]",
    .summary = "remove dead letters for good",
    .example = "weir dlq drop --origin job:mail --until 720h --dry-run",
    .options = DROP_OPTIONS,
    .option_count = ARRAY_COUNT(DROP_OPTIONS),
    .operand_count_max = OPTIONS_OPERAND_COUNT_MAX,
};

static const struct option_spec PLAIN_OPTIONS[] = {ADMIN_CLIENT_OPTIONS};

static const struct command_spec REPLAYS = {
    .name = "dlq replays",
    .summary = "list the replays that run, and the latest that ended",
    .example = "weir dlq replays",
    .options = PLAIN_OPTIONS,
    .option_count = ARRAY_COUNT(PLAIN_OPTIONS),
};

static const struct command_spec STOP = {
    .name = "dlq stop",
    .operands = "ID",
    .summary = "stop a replay where it is",
    .details = "Letters that it has not reached stay dead letters.",
    .example = "weir dlq stop 01939d2c-7a00-7001-8000-000000000001",
    .options = PLAIN_OPTIONS,
    .option_count = ARRAY_COUNT(PLAIN_OPTIONS),
    .operand_count_max = 1,
};

/* One run. */
struct dlq {
    struct admin_client client;
    const char *ids[ID_COUNT_MAX];
    uint32_t id_count;
    char since[TIMESTAMP_TEXT_SIZE + 1]; /* made from a duration */
    char until[TIMESTAMP_TEXT_SIZE + 1];
    bool as_json;
    bool shows_progress;
};

/* --- what is meant --------------------------------------------------------------- */

static bool has_condition(const struct dlq *dlq)
{
    for (size_t i = 0; i < ARRAY_COUNT(CONDITIONS); i++)
        if (options_has(&dlq->client.options, CONDITIONS[i]))
            return true;
    return false;
}

/* "2h" is a time two hours ago; anything else is for the server to read. */
static void resolve_time(const char *text, char *ret_time)
{
    struct clock now;
    uint64_t ago_ms;

    *ret_time = '\0';
    if (text == NULL || !option_parse_duration_ms(text, &ago_ms))
        return;
    clock_init(&now, &clock_source_system);
    timestamp_format((int64_t)now.unix_ms - (int64_t)min_u64(ago_ms, now.unix_ms), ret_time);
    ret_time[TIMESTAMP_TEXT_SIZE] = '\0';
}

/* The text of a condition, or NULL. */
static const char *condition(const struct dlq *dlq, size_t n)
{
    const char *name = CONDITIONS[n];

    if (strcmp(name, "since") == 0 && dlq->since[0] != '\0')
        return dlq->since;
    if (strcmp(name, "until") == 0 && dlq->until[0] != '\0')
        return dlq->until;
    return options_text(&dlq->client.options, name, NULL);
}

static bool add_id(struct dlq *dlq, const char *id)
{
    if (dlq->id_count == ID_COUNT_MAX || strlen(id) > ID_SIZE_MAX ||
        id[strspn(id, "0123456789abcdefABCDEF-")] != '\0')
        return false;
    dlq->ids[dlq->id_count++] = id;
    return true;
}

/* Ids from operands and options. 0 or an exit code. */
static int collect_ids(struct dlq *dlq)
{
    const struct options *options = &dlq->client.options;
    const struct command_spec *command = dlq->client.command;

    for (uint32_t i = 0; i < options->operand_count; i++)
        if (!add_id(dlq, options->operands[i]))
            return command_usage_error(command, "\"%.64s\" is not the id of a dead letter",
                                       options->operands[i]);
    for (uint32_t i = 0; i < options_count(options, "id"); i++)
        if (!add_id(dlq, options_at(options, "id", i)))
            return command_usage_error(command, "\"%.64s\" is not the id of a dead letter",
                                       options_at(options, "id", i));
    return COMMAND_DONE;
}

/* The same with conditions, which do not go together with ids. */
static int collect(struct dlq *dlq)
{
    const struct options *options = &dlq->client.options;
    int r = collect_ids(dlq);

    if (r != COMMAND_DONE)
        return r;
    if (dlq->id_count > 0 && has_condition(dlq))
        return command_usage_error(dlq->client.command, "ids go without other conditions");
    resolve_time(options_text(options, "since", NULL), dlq->since);
    resolve_time(options_text(options, "until", NULL), dlq->until);
    return COMMAND_DONE;
}

/* Appends &name=value, percent-encoded. False: too long. */
static bool append_parameter(char *path, const char *name, const char *value)
{
    size_t size = strlen(path);
    int n = snprintf(path + size, ADMIN_CLIENT_PATH_SIZE - size, "&%s=", name);

    if (n < 0 || (size_t)n >= ADMIN_CLIENT_PATH_SIZE - size)
        return false;
    size += (size_t)n;
    for (; *value != '\0'; value++) {
        bool is_plain = strchr("-._~:", *value) != NULL || (*value >= '0' && *value <= '9') ||
                        (*value >= 'a' && *value <= 'z') || (*value >= 'A' && *value <= 'Z');

        n = snprintf(path + size, ADMIN_CLIENT_PATH_SIZE - size, is_plain ? "%c" : "%%%02X",
                     (unsigned char)*value);
        if (n < 0 || (size_t)n >= ADMIN_CLIENT_PATH_SIZE - size)
            return false;
        size += (size_t)n;
    }
    return true;
}

/* The path of the first page of what is meant, of the n-th id when there are any. */
static int make_path(struct dlq *dlq, uint32_t n, char path[ADMIN_CLIENT_PATH_SIZE])
{
    bool fits = true;

    snprintf(path, ADMIN_CLIENT_PATH_SIZE, "%s", PAGE_PATH);
    if (dlq->id_count > 0)
        fits = append_parameter(path, "id", dlq->ids[n]);
    for (size_t i = 0; fits && i < ARRAY_COUNT(CONDITIONS); i++)
        if (condition(dlq, i) != NULL)
            fits = append_parameter(path, CONDITIONS[i], condition(dlq, i));
    return fits ? COMMAND_DONE
                : command_usage_error(dlq->client.command, "the conditions are too long");
}

static void show_progress(const struct dlq *dlq, const char *what, uint64_t done, uint64_t total)
{
    if (!dlq->shows_progress)
        return;
    if (total > 0)
        fprintf(stderr, "\r\033[K%s %llu of %llu", what, (unsigned long long)done,
                (unsigned long long)total);
    else
        fprintf(stderr, "\r\033[K%s %llu", what, (unsigned long long)done);
}

static void clear_progress(const struct dlq *dlq)
{
    if (dlq->shows_progress)
        fputs("\r\033[K", stderr);
}

/* --- pages ------------------------------------------------------------------------- */

/* What is done with each letter of a walk. 0 to go on, or an exit code. */
struct visitor {
    int (*visit)(struct visitor *visitor, struct slice letter);
};

static int visit_members(struct dlq *dlq, struct slice object, struct slice name,
                         struct visitor *visitor)
{
    struct json_reader reader;
    struct json_value list, letter;
    enum json_result result;
    int r = COMMAND_DONE;

    if (!json_find_member(object, name, &list) || list.type != JSON_ARRAY)
        return admin_client_fail(&dlq->client, COMMAND_FAILED, "the answer holds no list");
    json_reader_init(&reader, list.raw, JSON_DEPTH_DEFAULT);
    result = json_reader_enter_array(&reader);
    while (r == COMMAND_DONE && result == JSON_OK && json_reader_next_element(&reader) == JSON_OK) {
        result = json_reader_read(&reader, &letter);
        if (result == JSON_OK && letter.type == JSON_OBJECT)
            r = visitor->visit(visitor, letter.raw);
    }
    return r;
}

/* Keeps a page, which the next call of the same connection would overwrite. */
static char *keep(struct slice body)
{
    char *copy = malloc(body.size + 1);

    if (copy != NULL)
        memcpy(copy, body.data, body.size);
    return copy;
}

/* All pages that begin with this path. */
static int walk(struct dlq *dlq, const char *begin, struct visitor *visitor)
{
    char path[ADMIN_CLIENT_PATH_SIZE];
    bool more = true;
    int r = COMMAND_DONE;

    snprintf(path, sizeof(path), "%s", begin);
    for (uint32_t page = 0; r == COMMAND_DONE && more && page < PAGE_COUNT_MAX; page++) {
        struct http_call_request request = {.method = "GET", .path = path};
        struct http_call_answer answer;
        struct slice object;
        char *copy;

        r = admin_client_call(&dlq->client, &request, 200, 0, &answer);
        if (r != COMMAND_DONE)
            return r;
        copy = keep(answer.body);
        if (copy == NULL)
            return admin_client_fail(&dlq->client, COMMAND_FAILED, "out of memory");
        r = admin_client_read(&dlq->client, (struct slice){copy, answer.body.size}, &object);
        if (r == COMMAND_DONE)
            r = visit_members(dlq, object, SLICE_LITERAL("dead_letters"), visitor);
        more = r == COMMAND_DONE && admin_client_next_page(object, begin, path);
        free(copy);
    }
    return r;
}

/* All that is meant, by id or by conditions. */
static int walk_meant(struct dlq *dlq, struct visitor *visitor)
{
    uint32_t count = dlq->id_count > 0 ? dlq->id_count : 1;
    int r = COMMAND_DONE;

    for (uint32_t i = 0; r == COMMAND_DONE && i < count; i++) {
        char path[ADMIN_CLIENT_PATH_SIZE];

        r = make_path(dlq, i, path);
        if (r == COMMAND_DONE)
            r = walk(dlq, path, visitor);
    }
    return r;
}

/* --- list ---------------------------------------------------------------------------- */

struct column {
    const char *name;
    const char *title;
    int width;
};

static const struct column COLUMNS[] = {
    {"id", "ID", 38},         {"origin", "ORIGIN", 24}, {"reason", "REASON", 20},
    {"attempts", "TRIES", 7}, {"dead_at", "DEAD", 26},  {"last_error", "LAST ERROR", 0},
};

struct printer {
    struct visitor visitor;
    bool as_json;
    uint64_t count;
};

static int print_letter(struct visitor *visitor, struct slice letter)
{
    struct printer *printer = container_of(visitor, struct printer, visitor);

    if (printer->as_json)
        printf("%s%.*s", printer->count > 0 ? "," : "", (int)letter.size, letter.data);
    for (size_t i = 0; !printer->as_json && i < ARRAY_COUNT(COLUMNS); i++)
        admin_client_print_member(letter, COLUMNS[i].name, COLUMNS[i].width, ERROR_SIZE_SHOWN);
    if (!printer->as_json)
        putchar('\n');
    printer->count++;
    return COMMAND_DONE;
}

static int list_letters(struct dlq *dlq)
{
    struct printer printer = {.visitor = {.visit = print_letter}, .as_json = dlq->as_json};
    int r = collect(dlq);

    if (r != COMMAND_DONE)
        return r;
    if (dlq->as_json)
        fputs("{\"dead_letters\":[", stdout);
    for (size_t i = 0; !dlq->as_json && i < ARRAY_COUNT(COLUMNS); i++)
        printf("%-*s", COLUMNS[i].width, COLUMNS[i].title);
    if (!dlq->as_json)
        putchar('\n');
    r = walk_meant(dlq, &printer.visitor);
    if (r == COMMAND_DONE && dlq->as_json)
        fputs("],\"next_cursor\":null}\n", stdout);
    return r;
}

/* --- show ---------------------------------------------------------------------------- */

static int show_letter(struct dlq *dlq)
{
    static const char *const FIELDS[] = {"id",          "origin",         "org",
                                         "project",     "reason",         "key",
                                         "attempts",    "created_at",     "first_failed_at",
                                         "dead_at",     "correlation_id", "replayed_as",
                                         "replay_of",   "bytes",          "last_epoch",
                                         "first_error", "last_error"};
    struct http_call_request request = {.method = "GET"};
    char path[ADMIN_CLIENT_PATH_SIZE];
    struct http_call_answer answer;
    struct json_value payload;
    struct slice object;
    int r = collect_ids(dlq);

    if (r != COMMAND_DONE)
        return r;
    if (dlq->id_count != 1)
        return command_usage_error(dlq->client.command, "the id of one dead letter is needed");
    snprintf(path, sizeof(path), "/v1/admin/dlq/%s", dlq->ids[0]);
    request.path = path;
    r = admin_client_call(&dlq->client, &request, 200, 0, &answer);
    if (r == COMMAND_DONE)
        r = admin_client_read(&dlq->client, answer.body, &object);
    if (r != COMMAND_DONE)
        return r;
    if (dlq->as_json) {
        printf("%.*s\n", (int)object.size, object.data);
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++) {
        printf("%-17s", FIELDS[i]);
        admin_client_print_member(object, FIELDS[i], 0, 0);
        putchar('\n');
    }
    if (json_find_member(object, SLICE_LITERAL("payload"), &payload))
        printf("%-17s%.*s\n", "payload", (int)payload.raw.size, payload.raw.data);
    return COMMAND_DONE;
}

/* --- replay ---------------------------------------------------------------------------- */

static bool write_replay(struct dlq *dlq, char *data, struct slice *ret_body)
{
    const struct options *options = &dlq->client.options;
    struct json_writer writer;

    json_writer_init(&writer, data, BODY_SIZE);
    json_writer_begin_object(&writer);
    if (dlq->id_count > 0) {
        json_writer_key(&writer, SLICE_LITERAL("ids"));
        json_writer_begin_array(&writer);
        for (uint32_t i = 0; i < dlq->id_count; i++)
            json_writer_string(&writer, slice_of(dlq->ids[i]));
        json_writer_end_array(&writer);
    } else {
        json_writer_key(&writer, SLICE_LITERAL("filter"));
        json_writer_begin_object(&writer);
        for (size_t i = 0; i < ARRAY_COUNT(CONDITIONS); i++)
            if (condition(dlq, i) != NULL) {
                json_writer_key(&writer, slice_of(CONDITIONS[i]));
                json_writer_string(&writer, slice_of(condition(dlq, i)));
            }
        json_writer_end_object(&writer);
    }
    if (options_has(options, "rate")) {
        json_writer_key(&writer, SLICE_LITERAL("rate"));
        json_writer_u64(&writer, options_number(options, "rate", 0));
    }
    if (options_has(options, "dry-run")) {
        json_writer_key(&writer, SLICE_LITERAL("dry_run"));
        json_writer_boolean(&writer, true);
    }
    json_writer_end_object(&writer);
    return json_writer_finish(&writer, ret_body);
}

/* A number in an answer; 0 when there is none. */
static uint64_t read_count(struct slice object, const char *name)
{
    struct json_value value;
    char text[24];
    uint64_t number = 0;

    if (!json_find_member(object, slice_of(name), &value) || value.raw.size >= sizeof(text))
        return 0;
    memcpy(text, value.raw.data, value.raw.size);
    text[value.raw.size] = '\0';
    return option_parse_number(text, &number) ? number : 0;
}

static bool is_running(struct slice object)
{
    struct json_value state;

    return json_find_member(object, SLICE_LITERAL("state"), &state) && state.type == JSON_STRING &&
           json_string_equal(&state, SLICE_LITERAL("running"));
}

/* Asks again until the replay has ended. *object is that of the last answer. */
static int watch(struct dlq *dlq, struct slice *object)
{
    char path[ADMIN_CLIENT_PATH_SIZE], buffer[TEXT_SIZE];
    struct json_value value;
    struct slice id;
    int r = COMMAND_DONE;

    if (!json_find_member(*object, SLICE_LITERAL("id"), &value) || value.type != JSON_STRING ||
        !json_string_text(&value, buffer, sizeof(buffer), &id))
        return admin_client_fail(&dlq->client, COMMAND_FAILED, "the answer names no replay");
    snprintf(path, sizeof(path), "/v1/admin/dlq/replays/%.*s", (int)id.size, id.data);
    while (r == COMMAND_DONE && is_running(*object)) {
        struct http_call_request request = {.method = "GET", .path = path};
        struct http_call_answer answer;

        show_progress(dlq, "replayed", read_count(*object, "done"), read_count(*object, "total"));
        clock_sleep_ms(POLL_MS);
        r = admin_client_call(&dlq->client, &request, 200, 0, &answer);
        if (r == COMMAND_DONE)
            r = admin_client_read(&dlq->client, answer.body, object);
    }
    clear_progress(dlq);
    return r;
}

static int report_replay(const struct dlq *dlq, struct slice object)
{
    uint64_t failed = read_count(object, "failed");

    if (dlq->as_json) {
        printf("%.*s\n", (int)object.size, object.data);
    } else if (is_running(object)) {
        fputs("replay ", stdout);
        admin_client_print_member(object, "id", 0, 0);
        printf(" has begun: %llu dead letters\n", (unsigned long long)read_count(object, "total"));
    } else {
        printf("replayed %llu of %llu dead letters", (unsigned long long)read_count(object, "done"),
               (unsigned long long)read_count(object, "total"));
        if (failed > 0)
            printf(", %llu could not be replayed", (unsigned long long)failed);
        putchar('\n');
    }
    return failed > 0 ? COMMAND_FAILED : COMMAND_DONE;
}

static int replay_letters(struct dlq *dlq)
{
    const struct options *options = &dlq->client.options;
    bool is_dry_run = options_has(options, "dry-run");
    struct http_call_request request = {
        .method = "POST", .path = "/v1/admin/dlq/replay", .content_type = "application/json"};
    struct http_call_answer answer;
    struct slice object;
    char data[BODY_SIZE];
    int r = collect(dlq);

    if (r != COMMAND_DONE)
        return r;
    if (!write_replay(dlq, data, &request.body))
        return command_usage_error(dlq->client.command, "the conditions are too long");
    r = admin_client_call(&dlq->client, &request, is_dry_run ? 200 : 202, 0, &answer);
    if (r == COMMAND_DONE)
        r = admin_client_read(&dlq->client, answer.body, &object);
    if (r != COMMAND_DONE)
        return r;
    if (is_dry_run) {
        if (dlq->as_json)
            printf("%.*s\n", (int)object.size, object.data);
        else
            printf("%llu dead letters would be replayed\n",
                   (unsigned long long)read_count(object, "matching"));
        return COMMAND_DONE;
    }
    if (!options_has(options, "no-wait"))
        r = watch(dlq, &object);
    return r == COMMAND_DONE ? report_replay(dlq, object) : r;
}

/* --- replays, stop ------------------------------------------------------------------------ */

static const struct column REPLAY_COLUMNS[] = {
    {"id", "ID", 38},        {"state", "STATE", 11}, {"total", "LETTERS", 9},  {"done", "DONE", 9},
    {"failed", "FAILED", 8}, {"rate", "RATE", 7},    {"began_at", "BEGAN", 0},
};

static int print_replay(struct visitor *visitor, struct slice replay)
{
    (void)visitor;
    for (size_t i = 0; i < ARRAY_COUNT(REPLAY_COLUMNS); i++)
        admin_client_print_member(replay, REPLAY_COLUMNS[i].name, REPLAY_COLUMNS[i].width, 0);
    putchar('\n');
    return COMMAND_DONE;
}

static int list_replays(struct dlq *dlq)
{
    struct http_call_request request = {.method = "GET", .path = "/v1/admin/dlq/replays"};
    struct visitor visitor = {.visit = print_replay};
    struct http_call_answer answer;
    struct slice object;
    int r = admin_client_call(&dlq->client, &request, 200, 0, &answer);

    if (r == COMMAND_DONE)
        r = admin_client_read(&dlq->client, answer.body, &object);
    if (r != COMMAND_DONE)
        return r;
    if (dlq->as_json) {
        printf("%.*s\n", (int)object.size, object.data);
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(REPLAY_COLUMNS); i++)
        printf("%-*s", REPLAY_COLUMNS[i].width, REPLAY_COLUMNS[i].title);
    putchar('\n');
    return visit_members(dlq, object, SLICE_LITERAL("replays"), &visitor);
}

static int stop_replay(struct dlq *dlq)
{
    struct http_call_request request = {.method = "DELETE"};
    char path[ADMIN_CLIENT_PATH_SIZE];
    struct http_call_answer answer;
    const struct options *options = &dlq->client.options;
    struct slice object;
    int r;

    if (options->operand_count != 1 || !add_id(dlq, options->operands[0]))
        return command_usage_error(dlq->client.command, "the id of one replay is needed");
    snprintf(path, sizeof(path), "/v1/admin/dlq/replays/%s", dlq->ids[0]);
    request.path = path;
    r = admin_client_call(&dlq->client, &request, 200, 0, &answer);
    if (r == COMMAND_DONE)
        r = admin_client_read(&dlq->client, answer.body, &object);
    return r == COMMAND_DONE ? report_replay(dlq, object) : r;
}

/* --- drop -------------------------------------------------------------------------------- */

struct dropper {
    struct visitor visitor;
    struct dlq *dlq;
    bool is_dry_run;
    uint64_t count;
};

static int drop_letter(struct visitor *visitor, struct slice letter)
{
    struct dropper *dropper = container_of(visitor, struct dropper, visitor);
    struct http_call_request request = {.method = "DELETE"};
    char path[ADMIN_CLIENT_PATH_SIZE], buffer[TEXT_SIZE];
    struct http_call_answer answer;
    struct json_value value;
    struct slice id;
    int r;

    if (json_find_member(letter, SLICE_LITERAL("replayed_as"), &value))
        return COMMAND_DONE; /* named by id, but no dead letter any more */
    if (dropper->is_dry_run) {
        dropper->count++;
        return COMMAND_DONE;
    }
    if (!json_find_member(letter, SLICE_LITERAL("id"), &value) || value.type != JSON_STRING ||
        !json_string_text(&value, buffer, sizeof(buffer), &id))
        return admin_client_fail(&dropper->dlq->client, COMMAND_FAILED,
                                 "the answer names no dead letter");
    snprintf(path, sizeof(path), "/v1/admin/dlq/%.*s", (int)id.size, id.data);
    request.path = path;
    r = admin_client_call(&dropper->dlq->client, &request, 200, 404, &answer);
    if (r == COMMAND_DONE && answer.status == 200)
        dropper->count++;
    show_progress(dropper->dlq, "dropped", dropper->count, 0);
    return r;
}

static int drop_letters(struct dlq *dlq)
{
    struct dropper dropper = {.visitor = {.visit = drop_letter},
                              .dlq = dlq,
                              .is_dry_run = options_has(&dlq->client.options, "dry-run")};
    int r = collect(dlq);

    if (r != COMMAND_DONE)
        return r;
    if (dlq->id_count == 0 && !has_condition(dlq) && !options_has(&dlq->client.options, "all"))
        return command_usage_error(dlq->client.command,
                                   "say which: ids, conditions, or --all for every letter");
    r = walk_meant(dlq, &dropper.visitor);
    clear_progress(dlq);
    if (r != COMMAND_DONE)
        return r;
    if (dlq->as_json)
        printf("{\"%s\":%llu}\n", dropper.is_dry_run ? "matching" : "dropped",
               (unsigned long long)dropper.count);
    else
        printf(dropper.is_dry_run ? "%llu dead letters would be dropped\n"
                                  : "dropped %llu dead letters\n",
               (unsigned long long)dropper.count);
    return dlq->id_count > 0 && dropper.count < dlq->id_count ? COMMAND_FAILED : COMMAND_DONE;
}

int command_dlq(int argc, char **argv)
{
    static const struct command_action ACTIONS[] = {{"list", &LIST},     {"show", &SHOW},
                                                    {"replay", &REPLAY}, {"replays", &REPLAYS},
                                                    {"stop", &STOP},     {"drop", &DROP}};
    static int (*const RUN[])(struct dlq * dlq) = {list_letters, show_letter, replay_letters,
                                                   list_replays, stop_replay, drop_letters};
    struct dlq dlq = {.shows_progress = isatty(STDERR_FILENO) == 1};
    int exit_code = COMMAND_DONE;
    uint32_t action = command_find_action(ACTIONS, ARRAY_COUNT(ACTIONS), argc, argv, &exit_code);

    if (action == ARRAY_COUNT(ACTIONS))
        return exit_code;
    if (admin_client_begin(&dlq.client, ACTIONS[action].command, argc - 1, argv + 1, &exit_code)) {
        dlq.as_json = options_has(&dlq.client.options, "json");
        exit_code = RUN[action](&dlq);
    }
    admin_client_end(&dlq.client);
    return exit_code;
}

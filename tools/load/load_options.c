/*
 * The command line is read in the order in which its parts depend on each other: the URL
 * says whether events are sent, that and --scenario whether there must be a rate, and all
 * together what the durations are when none is given. What contradicts itself is refused
 * here, before anything is connected; the texts of templates and headers are checked by
 * load_payload, also before.
 */
#include "tools/load/load_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/load/load_desk.h"
#include "tools/load/load_run.h"

enum {
    RATE_DEFAULT = 100,
    LIMIT_RATE_DEFAULT = 1000,
    CONNECTION_COUNT_DEFAULT = 64,
    DURATION_MS_DEFAULT = 10000,
    LIMIT_DURATION_MS_DEFAULT = 5000,
    LIMIT_WARMUP_MS_DEFAULT = 1000,
    TIMEOUT_MS_DEFAULT = 10000,
    QUEUE_COUNT_DEFAULT = 1 << 20,
};

static const uint64_t MS = 1000000;

static const struct option_spec OPTIONS[] = {
    {.name = "url",
     .kind = OPTION_TEXT,
     .argument = "URL",
     .help = "what to load (default http://127.0.0.1:3000). Without a path: the intake of events"},
    {.name = "key",
     .kind = OPTION_TEXT,
     .argument = "KEY",
     .help = "X-API-Key (default for events: WEIR_API_KEY, else on loopback the demo key)"},
    {.name = "rate",
     .kind = OPTION_TEXT,
     .argument = "N|A..B|max",
     .help = "requests per second; A..B: from A to B over the duration; max: closed loop, each "
             "connection sends when it is answered (default 100, or the scenario's own rhythm)"},
    {.name = "duration",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 86400000,
     .help = "how long to send, the warm-up not counted (default 10s)"},
    {.name = "warmup",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .max = 86400000,
     .help = "before that, send without measuring (default none)"},
    {.name = "connections",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = LOAD_CONNECTION_COUNT_MAX,
     .help = "one request at a time on each (default 64)"},
    {.name = "arrivals",
     .kind = OPTION_CHOICE,
     .argument = "constant|poisson",
     .help = "even gaps, or those of many independent clients (default constant)"},
    {.name = "steps",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 2,
     .max = LOAD_STEP_COUNT_MAX,
     .help = "go from A to B in N steps instead of a ramp"},
    {.name = "scenario",
     .kind = OPTION_CHOICE,
     .argument = "normal|spike_errors|drop_signups|deploy_then_spike|burst",
     .help = "which events are sent; without --rate also when"},
    {.name = "batch",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = LOAD_BATCH_COUNT_MAX,
     .help = "events per request (default 1)"},
    {.name = "events",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = LOAD_SCENARIO_EVENTS_MAX,
     .help = "errors of a spike or burst without --rate (default 50, 40 after a deploy, 35)"},
    {.name = "event-ids", .kind = OPTION_FLAG, .help = "give events ids of their own"},
    {.name = "method",
     .kind = OPTION_TEXT,
     .argument = "METHOD",
     .help = "of any other request (default GET, with a body POST)"},
    {.name = "header",
     .kind = OPTION_TEXT,
     .argument = "\"NAME: VALUE\"",
     .repeatable = true,
     .help = "added to each request"},
    {.name = "body", .kind = OPTION_TEXT, .argument = "TEXT", .help = "of each request"},
    {.name = "body-file", .kind = OPTION_TEXT, .argument = "FILE", .help = "the same from a file"},
    {.name = "no-template", .kind = OPTION_FLAG, .help = "send double braces as they are"},
    {.name = "no-keepalive",
     .kind = OPTION_FLAG,
     .help = "a new connection for each request, which is part of its time"},
    {.name = "connect",
     .kind = OPTION_TEXT,
     .argument = "HOST[:PORT]",
     .help = "connect there, whatever host the URL names"},
    {.name = "ca",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "certificates to trust for https, beside the system's"},
    {.name = "timeout",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 3600000,
     .help = "of one request, and of what waits at the end (default 10s)"},
    {.name = "find-limit",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .max = 60000,
     .help = "search for the highest rate with a corrected p99 below TIME, from --rate (1000) on, "
             "--duration (5s) each"},
    {.name = "queue",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = LOAD_QUEUE_COUNT_MAX,
     .help = "requests that may wait for a free connection; more are skipped (default 1048576)"},
    {.name = "spin-us",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = LOAD_SPIN_US_MAX,
     .help = "wait awake for the last N microseconds before a send (default 150)"},
    {.name = "core",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = 1023,
     .help = "run on this core only"},
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .help = "of everything random (default 1)"},
    {.name = "hgrm",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "write the corrected percentiles, in ms, for HdrHistogram's plotters"},
    {.name = "hgrm-uncorrected",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "the uncorrected ones"},
    {.name = "html", .kind = OPTION_TEXT, .argument = "FILE", .help = "write a report with plots"},
    {.name = "json", .kind = OPTION_FLAG, .help = "print the result as one JSON object"},
};

static const struct command_spec COMMAND = {
    .name = "load",
    .summary = "put a target under load and measure it, stalls included",
    .details =
        "Requests are meant to start by a schedule that the target cannot slow down, and latency "
        "is\n"
        "counted from there (corrected); from the actual send it is shown beside (uncorrected).\n"
        "In URL, headers and body these are filled in: {{uuid}} {{now}} {{seq}} {{random}}\n"
        "{{random:1..6}} {{pick:a|b|c}}.\n"
        "The run is void, exit code 1, when sends were skipped, when they were late by more than\n"
        "100 us at p99, or when this program used more than 80 % of its core: then it has "
        "measured\n"
        "itself. Waiting awake before each send keeps them on time and costs up to one core.",
    .example =
        "weir load --rate 2000 --duration 30s --warmup 5s\n"
        "weir load --scenario deploy_then_spike\n"
        "weir load --rate 100..5000 --steps 10 --arrivals poisson --html ramp.html\n"
        "weir load --url http://127.0.0.1:8080/cart/{{random:1..99}} --rate max --connections 64\n"
        "weir load --find-limit 10ms --batch 100 --json",
    .options = OPTIONS,
    .option_count = ARRAY_COUNT(OPTIONS),
};

/* --- files ---------------------------------------------------------------- */

/* Reads a file whole into memory that the caller frees. 0 or -errno. */
static int read_file(const char *path, char **ret_data, size_t *ret_size)
{
    FILE *file = fopen(path, "rbe");
    char *data = NULL;
    long size = 0;
    int r = 0;

    if (file == NULL)
        return -errno;
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
        r = -errno;
    else if (size > LOAD_BODY_SIZE_MAX)
        r = -EFBIG;
    else if ((data = malloc((size_t)size + 1)) == NULL)
        r = -ENOMEM;
    else if (fread(data, 1, (size_t)size, file) != (size_t)size)
        r = -EIO;
    fclose(file);
    if (r < 0) {
        free(data);
        return r;
    }
    *ret_data = data;
    *ret_size = (size_t)size;
    return 0;
}

/* --- the parts ------------------------------------------------------------ */

/* What is sent. 0 or an exit code. */
static int read_request(struct load_options *options)
{
    const struct options *raw = &options->raw;
    struct load_payload_config *payload = &options->payload;
    const char *body = options_text(raw, "body", NULL);
    const char *path = options_text(raw, "body-file", NULL);
    bool is_other =
        options_has(raw, "method") || body != NULL || path != NULL || options->target.has_path;
    size_t size = 0;
    int r;

    if (options_has(raw, "scenario") &&
        (options_has(raw, "method") || body != NULL || path != NULL))
        return command_usage_error(&COMMAND,
                                   "--scenario sends events; it takes no method and body");
    payload->sends_events = options_has(raw, "scenario") || !is_other;
    if (!payload->sends_events && (options_has(raw, "batch") || options_has(raw, "event-ids")))
        return command_usage_error(&COMMAND, "--batch and --event-ids are for events");
    if (body != NULL && path != NULL)
        return command_usage_error(&COMMAND, "--body or --body-file, not both");
    if (body != NULL)
        payload->body = slice_of(body);
    if (path != NULL) {
        r = read_file(path, &options->body, &size);
        if (r < 0)
            return command_usage_error(&COMMAND, "cannot read %s: %s", path, strerror(-r));
        payload->body = (struct slice){options->body, size};
    }
    payload->method = options_text(raw, "method", payload->body.size > 0 ? "POST" : "GET");
    if (strspn(payload->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(payload->method))
        return command_usage_error(&COMMAND, "--method is a word in capitals, not \"%s\"",
                                   payload->method);
    payload->header_count = options_count(raw, "header");
    if (payload->header_count > LOAD_HEADER_COUNT_MAX)
        return command_usage_error(&COMMAND, "at most %d headers", LOAD_HEADER_COUNT_MAX);
    for (uint32_t i = 0; i < payload->header_count; i++)
        options->headers[i] = options_at(raw, "header", i);
    payload->headers = options->headers;
    return COMMAND_DONE;
}

static void finish_request(struct load_options *options)
{
    const struct options *raw = &options->raw;
    struct load_payload_config *payload = &options->payload;
    const char *key =
        options_text(raw, "key", payload->sends_events ? getenv("WEIR_API_KEY") : NULL);

    options->wants_demo_key = payload->sends_events && (key == NULL || *key == '\0') &&
                              url_is_loopback(&options->target.url);
    payload->key = key != NULL && *key != '\0' ? key : NULL;
    payload->authority = options->target.url.authority;
    payload->target = options->target.target;
    /* /v1/events is appended, so a slash at the end would make two. */
    if (payload->sends_events && payload->target.data[payload->target.size - 1] == '/')
        payload->target.size--;
    payload->event_ids = options_has(raw, "event-ids");
    payload->has_places = !options_has(raw, "no-template");
    payload->closes = options_has(raw, "no-keepalive");
    payload->seed = options_number(raw, "seed", 1);
}

/* When it is sent. 0 or an exit code. */
static int read_schedule(struct load_options *options)
{
    const struct options *raw = &options->raw;
    struct load_scenario_config *scenario = &options->scenario;
    bool is_limit = options_has(raw, "find-limit");
    const char *rate = options_text(raw, "rate", NULL);
    char standard[16];

    options->is_open_loop = rate == NULL || strcmp(rate, "max") != 0;
    options->limit_ns = options_duration_ms(raw, "find-limit", 0) * MS;
    scenario->has_rate = rate != NULL || !options_has(raw, "scenario") || is_limit;
    scenario->arrivals = strcmp(options_text(raw, "arrivals", "constant"), "poisson") == 0
                             ? LOAD_ARRIVALS_POISSON
                             : LOAD_ARRIVALS_CONSTANT;
    snprintf(standard, sizeof(standard), "%d", is_limit ? LIMIT_RATE_DEFAULT : RATE_DEFAULT);
    if (!load_rate_parse(rate != NULL && options->is_open_loop ? rate : standard,
                         &scenario->profile.rate_first, &scenario->profile.rate_last))
        return command_usage_error(&COMMAND,
                                   "--rate needs max, a number from %g to %g, or two "
                                   "as in 100..5000, not \"%s\"",
                                   LOAD_RATE_MIN, LOAD_RATE_MAX, rate);
    if (scenario->has_rate)
        options->rate_text = rate != NULL ? rate : is_limit ? "1000" : "100";
    scenario->profile.step_count = (uint32_t)options_number(raw, "steps", 0);
    if (scenario->profile.step_count > 0 &&
        scenario->profile.rate_first == scenario->profile.rate_last)
        return command_usage_error(&COMMAND, "--steps needs --rate A..B");
    if (is_limit &&
        (!options->is_open_loop || scenario->profile.rate_first != scenario->profile.rate_last))
        return command_usage_error(&COMMAND, "--find-limit begins at one --rate");
    if (!options->is_open_loop && options_has(raw, "arrivals"))
        return command_usage_error(&COMMAND,
                                   "--rate max has no --arrivals: it follows the answers");
    if (!scenario->has_rate && (options_has(raw, "warmup") || options_has(raw, "batch")))
        return command_usage_error(&COMMAND, "--warmup and --batch go with --rate");
    return COMMAND_DONE;
}

static void finish_schedule(struct load_options *options)
{
    const struct options *raw = &options->raw;
    struct load_scenario_config *scenario = &options->scenario;
    bool is_limit = options->limit_ns > 0;
    uint64_t duration_ms = options_duration_ms(
        raw, "duration", is_limit ? LIMIT_DURATION_MS_DEFAULT : DURATION_MS_DEFAULT);
    uint64_t warmup_ms = options_duration_ms(raw, "warmup", is_limit ? LIMIT_WARMUP_MS_DEFAULT : 0);

    options->warmup_ns = warmup_ms * MS;
    scenario->profile.duration_ns = (warmup_ms + duration_ms) * MS;
    scenario->kind = LOAD_SCENARIO_REQUEST;
    if (options->payload.sends_events &&
        !load_scenario_parse(options_text(raw, "scenario", "normal"), &scenario->kind))
        assert(false); /* the names are those of the option */
    scenario->batch_count = (uint32_t)options_number(raw, "batch", 1);
    scenario->event_count = (uint32_t)options_number(raw, "events", 0);
    scenario->seed = options->payload.seed;
}

static void read_rest(struct load_options *options)
{
    const struct options *raw = &options->raw;

    options->is_json = options_has(raw, "json");
    options->connection_count =
        (uint32_t)options_number(raw, "connections", CONNECTION_COUNT_DEFAULT);
    options->queue_count_max = (uint32_t)options_number(raw, "queue", QUEUE_COUNT_DEFAULT);
    options->timeout_ns = options_duration_ms(raw, "timeout", TIMEOUT_MS_DEFAULT) * MS;
    options->spin_ns = options_number(raw, "spin-us", LOAD_SPIN_US_DEFAULT) * 1000;
    options->core = options_has(raw, "core") ? (int32_t)options_number(raw, "core", 0) : -1;
    options->connect = options_text(raw, "connect", NULL);
    options->ca_path = options_text(raw, "ca", NULL);
    options->hgrm_path = options_text(raw, "hgrm", NULL);
    options->hgrm_uncorrected_path = options_text(raw, "hgrm-uncorrected", NULL);
    options->html_path = options_text(raw, "html", NULL);
}

bool load_options_init(struct load_options *options, int argc, char **argv, int *ret_exit_code)
{
    char message[LOAD_TARGET_MESSAGE_SIZE];
    int r;

    *options = (struct load_options){0};
    if (!command_begin(&COMMAND, argc, argv, &options->raw, ret_exit_code))
        return false;
    if (!load_target_parse(&options->target,
                           options_text(&options->raw, "url", "http://127.0.0.1:3000"), message)) {
        *ret_exit_code = command_usage_error(&COMMAND, "%s", message);
        return false;
    }
    r = read_request(options);
    if (r == COMMAND_DONE)
        r = read_schedule(options);
    if (r != COMMAND_DONE) {
        *ret_exit_code = r;
        return false;
    }
    finish_request(options);
    finish_schedule(options);
    read_rest(options);
    return true;
}

void load_options_deinit(struct load_options *options)
{
    free(options->body);
    options->body = NULL;
}

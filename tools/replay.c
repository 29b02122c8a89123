/*
 * Replay: `weir replay`, from a recording to the requests in their original rhythm.
 *
 *     replay_recording -> replay_event -> replay_schedule -> (wait) -> replay_sender
 *
 * Before a wait the batch that has gathered is sent, so that --batch never delays an
 * event. --shift-time and --sort have to know the end before the start: they go over the
 * recording twice.
 */
#include <errno.h>
#include <unistd.h>

#include "actors/tenant.h"
#include "contracts/json_writer.h"
#include "runtime/clock.h"
#include "runtime/rng.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/replay_event.h"
#include "tools/replay_recording.h"
#include "tools/replay_schedule.h"
#include "tools/replay_sender.h"

enum {
    GAP_MS_MAX_DEFAULT = 60000,
    PROGRESS_INTERVAL_NS = 200000000,
    SUMMARY_SIZE = 2048,
};

static const char TOO_LONG[] = "it is longer than an event may be";

static const struct option_spec OPTIONS[] = {
    {.name = "url",
     .kind = OPTION_TEXT,
     .argument = "URL",
     .help = "the server (default http://127.0.0.1:3000)"},
    {.name = "ca",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "for https: trust the PEM certificates in it, too"},
    {.name = "key",
     .kind = OPTION_TEXT,
     .argument = "KEY",
     .help = "API key with scopes ingest and, for --verify, read (default: WEIR_API_KEY, else on "
             "loopback the demo key)"},
    {.name = "speed",
     .kind = OPTION_TEXT,
     .argument = "X|max",
     .help = "divide all gaps by X, or leave none (default 1)"},
    {.name = "gaps",
     .kind = OPTION_CHOICE,
     .argument = "arrival|occurred",
     .help = "between which times: received_at, where it was recorded, or occurred_at (default "
             "arrival, with --shift-time occurred)"},
    {.name = "sort",
     .kind = OPTION_FLAG,
     .help = "put the lines in the order of these times first, as for a dump of several logs"},
    {.name = "max-gap",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .help = "cut longer gaps to this, before --speed (default 60s)"},
    {.name = "shift-time",
     .kind = OPTION_FLAG,
     .help = "move every occurred_at so that the last event occurs when it is sent"},
    {.name = "new-ids",
     .kind = OPTION_FLAG,
     .help = "give every event a new id, so that nothing counts as a duplicate"},
    {.name = "seed",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .help = "makes the ids of --new-ids repeatable (default: a random one, shown at the end)"},
    {.name = "batch",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = REPLAY_BATCH_COUNT_MAX,
     .help = "up to N events per request, of those that are due (default 1)"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     .help = "read every accepted event back and compare it"},
    {.name = "skip-bad",
     .kind = OPTION_FLAG,
     .help = "succeed even if lines are no events or the server finds them invalid"},
    {.name = "timeout",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .min = 1,
     .help = "of one request (default 30s)"},
    {.name = "json", .kind = OPTION_FLAG, .help = "print the summary as one JSON object"},
};

static const struct command_spec COMMAND = {
    .name = "replay",
    .operands = "FILE|-",
    .summary = "send NDJSON events with their original gaps",
    .details =
        "Each line is one event, or one record of `weir journal dump`. Blank lines are skipped.\n"
        "An event without event_id gets one that follows from its line, so a repeated replay adds\n"
        "nothing. 429 and 503 are waited out. Exit code 0 means that every event was accepted.",
    .example = "weir replay tests/fixtures/spike.ndjson --speed 10 --verify\n"
               "weir journal dump --data ./old | weir replay - --sort --speed 10",
    .options = OPTIONS,
    .option_count = ARRAY_COUNT(OPTIONS),
    .operand_count_min = 1,
    .operand_count_max = 1,
};

/* One run. */
struct replay {
    struct options options;
    const char *url;
    struct http_call *call;
    struct replay_sender *sender;
    struct replay_recording recording;
    char *buffer; /* for events that are written anew */
    struct replay_rewrite rewrite;
    struct replay_schedule schedule;
    struct clock clock;
    uint64_t start_ns;
    uint64_t progress_ns; /* when it was shown last */
    uint64_t bad_line_count;
    const volatile sig_atomic_t *is_interrupted;
    bool by_arrival;
    bool is_sorted;
    bool shows_progress;
};

/* --- set-up --------------------------------------------------------------- */

/* Says why the recording cannot be read; gives the exit code. */
static int fail_to_read(const struct replay *replay, int error)
{
    return command_fail("replay", COMMAND_CORRUPT, "%s: %s", replay->options.operands[0],
                        error == -ENODATA ? "it has become shorter" : strerror(-error));
}

/* Opens the recording, as something that can be read twice if need be. 0 or an exit code. */
static int open_input(struct replay *replay)
{
    const char *path = replay->options.operands[0];
    int r = replay_recording_open(&replay->recording, path);

    if (r < 0)
        return command_fail("replay", COMMAND_FAILED, "%s: %s", path, strerror(-r));
    if (replay->rewrite.shift || replay->is_sorted)
        r = replay_recording_keep(&replay->recording);
    if (r < 0)
        return command_fail("replay", COMMAND_CORRUPT, "cannot keep the input: %s", strerror(-r));
    return 0;
}

/* 0, or the exit code for a URL that cannot be used. */
static int open_call(struct replay *replay)
{
    uint64_t timeout_ms =
        options_duration_ms(&replay->options, "timeout", HTTP_CALL_TIMEOUT_MS_DEFAULT);
    char text[512];
    int r;

    replay->url = options_text(&replay->options, "url", "http://127.0.0.1:3000");
    r = http_call_new(replay->url, timeout_ms, &replay->call);
    if (r < 0)
        return command_usage_error(&COMMAND, "--url needs http[s]://HOST[:PORT], not \"%s\"",
                                   replay->url);
    if (http_call_trust(replay->call, options_text(&replay->options, "ca", NULL), text,
                        sizeof(text)) < 0)
        return command_fail("replay", COMMAND_FAILED, "--url: %s", text);
    return 0;
}

/* The key to use; NULL when there is none. */
static const char *find_key(const struct replay *replay)
{
    const char *key = options_text(&replay->options, "key", getenv("WEIR_API_KEY"));

    if ((key == NULL || *key == '\0') && http_call_is_loopback(replay->call)) {
        fprintf(stderr, "weir replay: no --key and no WEIR_API_KEY: using the demo key\n");
        key = TENANT_DEMO_SECRET;
    }
    return key != NULL && *key != '\0' ? key : NULL;
}

static int open_sender(struct replay *replay)
{
    struct replay_sender_config config = {
        .call = replay->call,
        .key = find_key(replay),
        .batch_count = (uint32_t)options_number(&replay->options, "batch", 1),
        .verify = options_has(&replay->options, "verify"),
    };

    if (config.key == NULL)
        return command_usage_error(&COMMAND, "it needs --key or WEIR_API_KEY");
    replay->buffer = malloc(REPLAY_EVENT_SIZE_MAX);
    if (replay->buffer == NULL || replay_sender_new(&config, &replay->sender) < 0)
        return command_fail("replay", COMMAND_FAILED, "start: out of memory");
    return 0;
}

/* Speed, gaps and ids. 0 or an exit code. */
static int read_plan(struct replay *replay)
{
    const char *text = options_text(&replay->options, "speed", "1");
    struct rng rng;
    double speed;

    if (!replay_speed_parse(text, &speed))
        return command_usage_error(&COMMAND, "--speed needs max or a number above 0, not \"%s\"",
                                   text);
    replay_schedule_init(&replay->schedule, speed,
                         options_duration_ms(&replay->options, "max-gap", GAP_MS_MAX_DEFAULT));
    replay->rewrite.new_ids = options_has(&replay->options, "new-ids");
    replay->rewrite.shift = options_has(&replay->options, "shift-time");
    replay->is_sorted = options_has(&replay->options, "sort");
    replay->by_arrival = strcmp(options_text(&replay->options, "gaps",
                                             replay->rewrite.shift ? "occurred" : "arrival"),
                                "arrival") == 0;
    if (replay->rewrite.shift && replay->by_arrival)
        return command_usage_error(&COMMAND, "--shift-time goes by --gaps occurred");
    if (!replay->rewrite.new_ids && options_has(&replay->options, "seed"))
        return command_usage_error(&COMMAND, "--seed goes with --new-ids");
    if (replay->rewrite.new_ids && !options_has(&replay->options, "seed") &&
        rng_init_system(&rng) < 0)
        return command_fail("replay", COMMAND_FAILED, "start: the kernel gives no random numbers");
    /* 32 bits are enough to tell runs apart, and survive every JSON reader. */
    if (replay->rewrite.new_ids)
        replay->rewrite.seed = options_has(&replay->options, "seed")
                                   ? options_number(&replay->options, "seed", 0)
                                   : rng_next(&rng) >> 32;
    return 0;
}

/* --- the run -------------------------------------------------------------- */

static uint64_t now_ns(struct replay *replay)
{
    clock_update(&replay->clock);
    return replay->clock.mono_ns;
}

static void show_progress(struct replay *replay)
{
    const struct replay_tally *tally = replay_sender_tally(replay->sender);
    uint64_t now = now_ns(replay);

    if (!replay->shows_progress || now - replay->progress_ns < PROGRESS_INTERVAL_NS)
        return;
    replay->progress_ns = now;
    fprintf(stderr, "\r\033[Kline %llu: %llu sent, %llu duplicates, %llu rejected",
            (unsigned long long)replay->recording.line_number, (unsigned long long)tally->sent,
            (unsigned long long)tally->duplicates, (unsigned long long)tally->rejected);
}

static void clear_progress(const struct replay *replay)
{
    if (replay->shows_progress && replay->progress_ns > 0)
        fputs("\r\033[K", stderr);
}

static void note_bad_line(struct replay *replay, const char *reason)
{
    replay->bad_line_count++;
    replay_sender_complain(replay->sender, replay->recording.line_number, "no event: %s", reason);
}

/* The time that gaps are between. False when the event has none. */
static bool find_time(const struct replay *replay, const struct replay_event *event,
                      int64_t *ret_unix_ms)
{
    if (replay->by_arrival && event->has_arrival) {
        *ret_unix_ms = event->arrival_ms;
        return true;
    }
    *ret_unix_ms = event->occurred_ms;
    return event->has_time;
}

/* One line of the survey. 0 or -errno. */
static int survey_line(struct replay *replay, struct slice line, struct replay_schedule *whole)
{
    static const struct replay_rewrite UNCHANGED = {0};
    struct replay_event event;
    int64_t unix_ms = 0;
    bool has_time = replay_event_read(line, replay->recording.line_number, &UNCHANGED,
                                      replay->buffer, &event) == REPLAY_EVENT_OK &&
                    find_time(replay, &event, &unix_ms);

    /* Where events are out of order, the schedule sees them in the order in which they go. */
    if (has_time && !replay->is_sorted)
        (void)replay_schedule_next(whole, unix_ms);
    return replay->is_sorted ? replay_recording_index(&replay->recording, line, has_time, unix_ms)
                             : 0;
}

/* Goes over the whole recording to learn its order and how far to shift. 0 or an exit code. */
static int survey(struct replay *replay)
{
    struct replay_recording *recording = &replay->recording;
    struct replay_schedule whole = replay->schedule;
    struct slice line;
    int r = 0, result = LINE_OK;

    while (r == 0 && (result = replay_recording_next(recording, &line)) >= 0 &&
           result != LINE_END) {
        if (result == LINE_OK)
            r = survey_line(replay, line, &whole);
        else if (replay->is_sorted) /* else it is read again, and complained about then */
            note_bad_line(replay, TOO_LONG);
    }
    if (r == 0 && result >= 0)
        r = replay_recording_rewind(recording, replay->is_sorted);
    if (r < 0 || result < 0)
        return fail_to_read(replay, r < 0 ? r : result);
    for (size_t i = 0; i < recording->order.count; i++)
        if (recording->order.lines[i].unix_ms != INT64_MIN)
            (void)replay_schedule_next(&whole, recording->order.lines[i].unix_ms);
    clock_update(&replay->clock);
    replay->rewrite.shift_ms = replay_schedule_shift_ms(&whole, (int64_t)replay->clock.unix_ms);
    return 0;
}

/* Waits until the event is due; what gathered before it goes out first. 0 or an exit code. */
static int wait_for_turn(struct replay *replay, const struct replay_event *event)
{
    int64_t unix_ms;
    uint64_t due_ns;
    int r = 0;

    if (!find_time(replay, event, &unix_ms))
        return 0;
    due_ns = replay->start_ns + replay_schedule_next(&replay->schedule, unix_ms);
    if (now_ns(replay) < due_ns && !replay_sender_is_empty(replay->sender))
        r = replay_sender_flush(replay->sender);
    while (r == 0 && !*replay->is_interrupted && now_ns(replay) < due_ns) {
        replay_sleep_until(replay->shows_progress
                               ? min_u64(due_ns, replay->clock.mono_ns + PROGRESS_INTERVAL_NS)
                               : due_ns);
        show_progress(replay);
    }
    return r;
}

static int send_line(struct replay *replay, struct slice line)
{
    struct replay_event event;
    int r;

    switch (replay_event_read(line, replay->recording.line_number, &replay->rewrite, replay->buffer,
                              &event)) {
    case REPLAY_EVENT_OK:
        break;
    case REPLAY_EVENT_SKIP:
        return 0;
    case REPLAY_EVENT_BAD:
        note_bad_line(replay, event.reason);
        return 0;
    }
    r = wait_for_turn(replay, &event);
    if (r != 0 || *replay->is_interrupted)
        return r;
    r = replay_sender_add(replay->sender, replay->recording.line_number, &event);
    show_progress(replay);
    return r;
}

/* All lines, to the end or until something ends the run. 0 or an exit code. */
static int send_all(struct replay *replay)
{
    int r = 0;

    replay->start_ns = now_ns(replay);
    while (r == 0 && !*replay->is_interrupted) {
        struct slice line;
        int result = replay_recording_next(&replay->recording, &line);

        if (result < 0)
            return fail_to_read(replay, result);
        if (result == LINE_END)
            break;
        if (result == LINE_OK)
            r = send_line(replay, line);
        else
            note_bad_line(replay, TOO_LONG);
    }
    return r == 0 ? replay_sender_flush(replay->sender) : r;
}

/* --- the end -------------------------------------------------------------- */

static void write_count(struct json_writer *writer, struct slice name, uint64_t count)
{
    json_writer_key(writer, name);
    json_writer_u64(writer, count);
}

static void print_json(const struct replay *replay, double duration_s, bool is_ok)
{
    const struct replay_tally *tally = replay_sender_tally(replay->sender);
    char text[SUMMARY_SIZE];
    struct json_writer writer;
    struct slice json;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    write_count(&writer, SLICE_LITERAL("lines"), replay_recording_line_count(&replay->recording));
    write_count(&writer, SLICE_LITERAL("sent"), tally->sent);
    write_count(&writer, SLICE_LITERAL("accepted"), tally->accepted);
    write_count(&writer, SLICE_LITERAL("duplicates"), tally->duplicates);
    write_count(&writer, SLICE_LITERAL("rejected"), tally->rejected);
    write_count(&writer, SLICE_LITERAL("bad_lines"), replay->bad_line_count);
    write_count(&writer, SLICE_LITERAL("verified"), tally->verified);
    write_count(&writer, SLICE_LITERAL("differing"), tally->differing);
    write_count(&writer, SLICE_LITERAL("retries"), tally->retries);
    if (replay->rewrite.new_ids)
        write_count(&writer, SLICE_LITERAL("seed"), replay->rewrite.seed);
    json_writer_key(&writer, SLICE_LITERAL("duration_s"));
    json_writer_double(&writer, (double)(uint64_t)(duration_s * 1e6) / 1e6);
    write_count(&writer, SLICE_LITERAL("rate_per_s"),
                duration_s > 0 ? (uint64_t)((double)tally->sent / duration_s) : 0);
    json_writer_key(&writer, SLICE_LITERAL("ok"));
    json_writer_boolean(&writer, is_ok);
    json_writer_end_object(&writer);
    if (json_writer_finish(&writer, &json))
        printf("%.*s\n", (int)json.size, json.data);
}

static void print_text(const struct replay *replay, double duration_s)
{
    const struct replay_tally *tally = replay_sender_tally(replay->sender);

    printf("sent %llu: accepted %llu, duplicates %llu, rejected %llu",
           (unsigned long long)tally->sent, (unsigned long long)tally->accepted,
           (unsigned long long)tally->duplicates, (unsigned long long)tally->rejected);
    if (replay->bad_line_count > 0)
        printf("; bad lines %llu", (unsigned long long)replay->bad_line_count);
    if (options_has(&replay->options, "verify"))
        printf("; verified %llu, differing %llu", (unsigned long long)tally->verified,
               (unsigned long long)tally->differing);
    if (tally->retries > 0)
        printf("; retries %llu", (unsigned long long)tally->retries);
    if (replay->rewrite.new_ids)
        printf("; seed %llu", (unsigned long long)replay->rewrite.seed);
    printf("; %.2f s, %.0f/s\n", duration_s, duration_s > 0 ? (double)tally->sent / duration_s : 0);
}

/* Prints the summary and gives the exit code; r is how sending ended. */
static int finish(struct replay *replay, int r)
{
    const struct replay_tally *tally = replay_sender_tally(replay->sender);
    double duration_s = (double)(now_ns(replay) - replay->start_ns) / 1e9;
    uint64_t failed = tally->rejected + replay->bad_line_count;
    bool is_ok;

    if (options_has(&replay->options, "skip-bad"))
        failed = tally->rejected - tally->invalid;
    is_ok = r == 0 && failed == 0 && tally->differing == 0 && !*replay->is_interrupted;
    clear_progress(replay);
    if (*replay->is_interrupted)
        fputs("weir replay: interrupted\n", stderr);
    if (options_has(&replay->options, "json"))
        print_json(replay, duration_s, is_ok);
    else
        print_text(replay, duration_s);
    if (r == 0 && !is_ok)
        r = COMMAND_FAILED;
    return r;
}

static void close_all(struct replay *replay)
{
    replay_sender_free(&replay->sender);
    http_call_free(&replay->call);
    replay_recording_close(&replay->recording);
    free(replay->buffer);
}

int command_replay(int argc, char **argv)
{
    struct replay replay = {.shows_progress = isatty(STDERR_FILENO) == 1};
    int r;

    if (!command_begin(&COMMAND, argc, argv, &replay.options, &r))
        return r;
    replay_recording_init(&replay.recording);
    clock_init(&replay.clock, &clock_source_system);
    r = read_plan(&replay);
    if (r == 0)
        r = open_call(&replay);
    if (r == 0)
        r = open_input(&replay);
    if (r == 0)
        r = open_sender(&replay);
    replay.is_interrupted = interrupt_catch();
    if (r == 0 && (replay.rewrite.shift || replay.is_sorted))
        r = survey(&replay);
    if (r == 0)
        r = finish(&replay, send_all(&replay));
    close_all(&replay);
    return r;
}

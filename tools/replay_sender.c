/*
 * Replay sender: one request in flight, one batch in memory.
 *
 *     add ... add -> flush: POST -> settle each event -> read back -> empty
 *                             |         \-- put off by the server: stays in the batch
 *                             \-- 429, 503, connection lost: the whole batch stays
 *
 * What stays is sent again after the wait that Retry-After asks for, or a growing
 * one, until REPLAY_ATTEMPT_COUNT_MAX times nothing has moved. Batches ask for an
 * answer per event (partial=true): one bad line does not take its neighbours along.
 */
#include "tools/replay_sender.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "http/headers.h"
#include "runtime/clock.h"
#include "tools/commands.h"
#include "tools/options.h"

enum {
    TEXT_SIZE = 512,
    BACKOFF_MS_FIRST = 100,
    BACKOFF_MS_MAX = 5000,
};

/* One event in the batch. */
struct entry {
    uint64_t line_number;
    size_t offset; /* in body */
    size_t size;
    char event_id[UUID_TEXT_SIZE];
    bool is_settled;
    bool is_stored; /* settled as accepted or duplicate */
};

struct replay_sender {
    struct http_call *call;
    const char *key;
    uint32_t batch_count;
    bool verify;
    bool was_connected; /* the server answered once: later silence may be a restart */
    struct replay_tally tally;
    uint64_t complaint_count;
    struct entry *entries;
    uint32_t entry_count;
    char *body; /* the events, each followed by LF */
    size_t body_size;
};

static void check(const struct replay_sender *sender)
{
    assert(sender->entry_count <= sender->batch_count);
    assert(sender->tally.sent ==
           sender->tally.accepted + sender->tally.duplicates + sender->tally.rejected);
}

int replay_sender_new(const struct replay_sender_config *config, struct replay_sender **ret_sender)
{
    struct replay_sender *sender = calloc(1, sizeof(*sender));

    assert(config->batch_count >= 1);
    assert(config->batch_count <= REPLAY_BATCH_COUNT_MAX);
    if (sender == NULL)
        return -ENOMEM;
    sender->call = config->call;
    sender->key = config->key;
    sender->batch_count = config->batch_count;
    sender->verify = config->verify;
    sender->entries = calloc(config->batch_count, sizeof(*sender->entries));
    /* A batch within its bound and one event more, which may be as long as a line. */
    sender->body = malloc((size_t)REPLAY_BATCH_SIZE_MAX + REPLAY_EVENT_SIZE_MAX);
    if (sender->entries == NULL || sender->body == NULL) {
        replay_sender_free(&sender);
        return -ENOMEM;
    }
    *ret_sender = sender;
    return 0;
}

void replay_sender_free(struct replay_sender **sender)
{
    if (*sender == NULL)
        return;
    free((*sender)->entries);
    free((*sender)->body);
    free(*sender);
    *sender = NULL;
}

bool replay_sender_is_empty(const struct replay_sender *sender)
{
    return sender->entry_count == 0;
}

const struct replay_tally *replay_sender_tally(const struct replay_sender *sender)
{
    return &sender->tally;
}

void replay_sender_complain(struct replay_sender *sender, uint64_t line_number, const char *format,
                            ...)
{
    char text[TEXT_SIZE];
    va_list arguments;

    sender->complaint_count++;
    if (sender->complaint_count > REPLAY_COMPLAINT_COUNT_MAX + 1)
        return;
    if (sender->complaint_count == REPLAY_COMPLAINT_COUNT_MAX + 1) {
        fputs("weir replay: further lines are only counted\n", stderr);
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* On a terminal the line may hold the progress. */
    fprintf(stderr, "%sweir replay: line %llu: %s\n", isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "",
            (unsigned long long)line_number, text);
}

void replay_sleep_until(uint64_t mono_ns)
{
    struct timespec until = {.tv_sec = (time_t)(mono_ns / 1000000000),
                             .tv_nsec = (long)(mono_ns % 1000000000)};

    /* A signal ends the sleep early: whoever asked for it decides whether to go on. */
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* --- waiting -------------------------------------------------------------- */

/* Waits before attempt number attempt (from 1) for as long as the server or the back-off says. */
static void wait_before(struct replay_sender *sender, uint32_t attempt, uint64_t retry_after_s)
{
    uint64_t ms = min_u64((uint64_t)BACKOFF_MS_FIRST << (attempt - 1), BACKOFF_MS_MAX);
    struct clock clock;

    assert(attempt >= 1);
    if (retry_after_s > 0)
        ms = min_u64(retry_after_s, REPLAY_WAIT_MS_MAX / 1000) * 1000;
    sender->tally.retries++;
    clock_init(&clock, &clock_source_system);
    replay_sleep_until(clock.mono_ns + ms * 1000000);
}

static bool is_put_off(const struct http_call_answer *answer)
{
    return answer->status == 429 || answer->status == 503 || answer->status == 408 ||
           (answer->status == 409 && answer->retry_after_s > 0);
}

/* As http_call_send() with patience. 0 with an answer that is not put off, or an exit code. */
static int send_patiently(struct replay_sender *sender, const struct http_call_request *request,
                          uint32_t *attempt, struct http_call_answer *ret_answer)
{
    char text[TEXT_SIZE];

    while (true) {
        uint64_t retry_after_s = 0;
        int r = http_call_send(sender->call, request, ret_answer);

        if (r == 0) {
            sender->was_connected = true;
            if (!is_put_off(ret_answer))
                return 0;
            retry_after_s = ret_answer->retry_after_s;
        }
        *attempt += 1;
        if (r < 0 && !http_call_is_unreachable(r)) {
            http_call_describe(sender->call, r, text, sizeof(text));
            return command_fail("replay", COMMAND_FAILED, "%s", text);
        }
        if (r < 0 && (!sender->was_connected || *attempt >= REPLAY_ATTEMPT_COUNT_MAX)) {
            http_call_describe(sender->call, r, text, sizeof(text));
            return command_fail("replay", COMMAND_UNAVAILABLE, "%s", text);
        }
        if (*attempt >= REPLAY_ATTEMPT_COUNT_MAX) {
            http_call_describe_refusal(ret_answer, text, sizeof(text));
            return command_fail("replay", COMMAND_TRY_AGAIN, "%s", text);
        }
        wait_before(sender, *attempt, retry_after_s);
    }
}

/* --- settling ------------------------------------------------------------- */

static void settle_stored(struct replay_sender *sender, struct entry *entry, bool is_duplicate)
{
    assert(!entry->is_settled);
    entry->is_settled = true;
    entry->is_stored = true;
    sender->tally.sent++;
    if (is_duplicate)
        sender->tally.duplicates++;
    else
        sender->tally.accepted++;
}

static void settle_refused(struct replay_sender *sender, struct entry *entry, bool is_invalid,
                           const char *text)
{
    assert(!entry->is_settled);
    entry->is_settled = true;
    sender->tally.sent++;
    sender->tally.rejected++;
    if (is_invalid)
        sender->tally.invalid++;
    replay_sender_complain(sender, entry->line_number, "%s", text);
}

/* The whole request was refused for good. */
static int settle_refusal(struct replay_sender *sender, const struct http_call_answer *answer)
{
    char text[TEXT_SIZE];
    bool is_invalid = answer->status == 400 || answer->status == 413 || answer->status == 422;

    http_call_describe_refusal(answer, text, sizeof(text));
    if (!is_invalid && answer->status != 409)
        return command_fail("replay", COMMAND_FAILED, "%s", text);
    /* Each event of a batch is answered by itself: this refusal is about the batch. */
    if (sender->entry_count > 1)
        return command_fail("replay", COMMAND_FAILED, "%s; try a smaller --batch", text);
    for (uint32_t i = 0; i < sender->entry_count; i++)
        settle_refused(sender, &sender->entries[i], is_invalid, text);
    return 0;
}

/* One element of "results"; what is put off stays unsettled. False when it makes no sense. */
static bool settle_result(struct replay_sender *sender, const struct json_value *result)
{
    struct json_value index, status, code;
    struct slice code_text = SLICE_LITERAL("refused");
    char text[TEXT_SIZE], buffer[64];
    uint64_t number = 0;
    struct entry *entry;

    if (result->type != JSON_OBJECT ||
        !json_find_member(result->raw, SLICE_LITERAL("index"), &index) ||
        !json_find_member(result->raw, SLICE_LITERAL("status"), &status) ||
        !header_parse_length(index.raw, &number) || number >= sender->entry_count ||
        status.type != JSON_STRING || sender->entries[number].is_settled)
        return false;
    entry = &sender->entries[number];
    if (json_string_equal(&status, SLICE_LITERAL("accepted"))) {
        settle_stored(sender, entry, false);
    } else if (json_string_equal(&status, SLICE_LITERAL("duplicate"))) {
        settle_stored(sender, entry, true);
    } else if (!json_string_equal(&status, SLICE_LITERAL("retry")) &&
               !json_string_equal(&status, SLICE_LITERAL("quota"))) {
        bool is_invalid = json_string_equal(&status, SLICE_LITERAL("invalid"));

        if (json_find_member(result->raw, SLICE_LITERAL("code"), &code) &&
            code.type == JSON_STRING &&
            !json_string_text(&code, buffer, sizeof(buffer), &code_text))
            code_text = SLICE_LITERAL("refused");
        /* Another event under a known id is not a matter of this event's own form. */
        is_invalid &= !slice_equal(code_text, SLICE_LITERAL("event_id_conflict"));
        snprintf(text, sizeof(text), "%.*s", (int)code_text.size, code_text.data);
        settle_refused(sender, entry, is_invalid, text);
    }
    return true;
}

/* Walks "results". False when the answer is not one to a batch. */
static bool settle_results(struct replay_sender *sender, struct slice answer)
{
    struct json_reader reader;
    struct json_value results, result;
    enum json_result r;

    if (!json_find_member(answer, SLICE_LITERAL("results"), &results) || results.type != JSON_ARRAY)
        return false;
    json_reader_init(&reader, results.raw, JSON_DEPTH_DEFAULT);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && (r = json_reader_next_element(&reader)) == JSON_OK) {
        r = json_reader_read(&reader, &result);
        if (r == JSON_OK && !settle_result(sender, &result))
            return false;
    }
    return r == JSON_END;
}

/* Reads an answer of 200 or 202. 0 or an exit code. */
static int settle_answer(struct replay_sender *sender, const struct http_call_answer *answer)
{
    struct json_reader reader;
    struct json_value document, duplicate;
    bool is_sound;

    is_sound =
        json_read_document(answer->body, JSON_DEPTH_DEFAULT, &reader, &document) == JSON_OK &&
        document.type == JSON_OBJECT;
    if (is_sound && sender->batch_count == 1) {
        is_sound = json_find_member(document.raw, SLICE_LITERAL("event_id"), &duplicate);
        if (is_sound)
            settle_stored(sender, &sender->entries[0],
                          json_find_member(document.raw, SLICE_LITERAL("duplicate"), &duplicate) &&
                              duplicate.is_true);
    } else if (is_sound) {
        is_sound = settle_results(sender, document.raw);
    }
    if (!is_sound)
        return command_fail("replay", COMMAND_FAILED, "the answer is not that of a weir server");
    return 0;
}

/* --- reading back --------------------------------------------------------- */

static int verify_entry(struct replay_sender *sender, const struct entry *entry)
{
    struct http_call_request request = {.method = "GET", .api_key = sender->key};
    struct http_call_answer answer;
    const char *differs;
    char path[64], text[TEXT_SIZE];
    uint32_t attempt = 0;
    int r;

    snprintf(path, sizeof(path), "/v1/events/%.*s", UUID_TEXT_SIZE, entry->event_id);
    request.path = path;
    r = send_patiently(sender, &request, &attempt, &answer);
    if (r != 0)
        return r;
    if (answer.status != 200 && answer.status != 404) {
        http_call_describe_refusal(&answer, text, sizeof(text));
        return command_fail("replay", COMMAND_FAILED, "%s", text);
    }
    if (answer.status == 404) {
        sender->tally.differing++;
        replay_sender_complain(sender, entry->line_number, "%.*s was accepted but is not there",
                               UUID_TEXT_SIZE, entry->event_id);
        return 0;
    }
    differs = replay_event_compare((struct slice){sender->body + entry->offset, entry->size},
                                   answer.body);
    if (differs != NULL) {
        sender->tally.differing++;
        replay_sender_complain(sender, entry->line_number, "%.*s is stored with another %s",
                               UUID_TEXT_SIZE, entry->event_id, differs);
        return 0;
    }
    sender->tally.verified++;
    return 0;
}

static int verify_stored(struct replay_sender *sender)
{
    for (uint32_t i = 0; i < sender->entry_count; i++) {
        int r = sender->entries[i].is_stored ? verify_entry(sender, &sender->entries[i]) : 0;

        if (r != 0)
            return r;
    }
    return 0;
}

/* --- sending -------------------------------------------------------------- */

/* Removes what is settled. True when something was. */
static bool drop_settled(struct replay_sender *sender)
{
    uint32_t before = sender->entry_count, kept = 0;
    size_t size = 0;

    for (uint32_t i = 0; i < before; i++) {
        struct entry entry = sender->entries[i];

        if (entry.is_settled)
            continue;
        memmove(sender->body + size, sender->body + entry.offset, entry.size + 1);
        entry.offset = size;
        size += entry.size + 1;
        sender->entries[kept++] = entry;
    }
    sender->entry_count = kept;
    sender->body_size = size;
    return kept < before;
}

int replay_sender_flush(struct replay_sender *sender)
{
    bool is_batch = sender->batch_count > 1;
    uint32_t attempt = 0;

    check(sender);
    while (sender->entry_count > 0) {
        struct http_call_request request = {
            .method = "POST",
            .path = is_batch ? "/v1/events/batch?partial=true" : "/v1/events",
            .content_type = is_batch ? "application/x-ndjson" : "application/json",
            .api_key = sender->key,
            .body = {sender->body, sender->body_size - (is_batch ? 0 : 1)},
        };
        struct http_call_answer answer;
        uint64_t retry_after_s;
        int r = send_patiently(sender, &request, &attempt, &answer);

        if (r != 0)
            return r;
        retry_after_s = answer.retry_after_s;
        if (answer.status == 200 || answer.status == 202)
            r = settle_answer(sender, &answer);
        else
            r = settle_refusal(sender, &answer);
        if (r == 0 && sender->verify)
            r = verify_stored(sender);
        if (r != 0)
            return r;
        attempt = drop_settled(sender) ? 0 : attempt;
        if (sender->entry_count > 0 && ++attempt >= REPLAY_ATTEMPT_COUNT_MAX)
            return command_fail("replay", COMMAND_TRY_AGAIN,
                                "the server goes on putting events off");
        if (sender->entry_count > 0)
            wait_before(sender, attempt, retry_after_s);
    }
    check(sender);
    return 0;
}

int replay_sender_add(struct replay_sender *sender, uint64_t line_number,
                      const struct replay_event *event)
{
    struct entry *entry;
    int r;

    assert(event->text.size < REPLAY_EVENT_SIZE_MAX);
    if (sender->entry_count > 0 &&
        sender->body_size + event->text.size + 1 > REPLAY_BATCH_SIZE_MAX) {
        r = replay_sender_flush(sender);
        if (r != 0)
            return r;
    }
    assert(sender->entry_count < sender->batch_count);
    entry = &sender->entries[sender->entry_count++];
    *entry = (struct entry){
        .line_number = line_number, .offset = sender->body_size, .size = event->text.size};
    memcpy(entry->event_id, event->event_id, UUID_TEXT_SIZE);
    memcpy(sender->body + entry->offset, event->text.data, entry->size);
    sender->body[entry->offset + entry->size] = '\n';
    sender->body_size += entry->size + 1;
    return sender->entry_count == sender->batch_count ? replay_sender_flush(sender) : 0;
}

#include "tests/crash/crash_judge.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/record.h"
#include "store/recovery.h"

/*
 * A start is superblock_open() and recovery_run(), as in bootstrap_open() and
 * app_recover(); what comes after it is in the log of the next round. The payload of an
 * event is compared with what was sent: the number, then so many bytes of padding.
 */
enum { CLIENT_COUNT_MAX = 64, SEED = 17 };

static const char DATA_PATH[] = "/data";

struct census_visitor {
    struct recovery_visitor visitor;
    struct crash_census *census;
    const struct crash_ledger *ledger;
};

PRINTF_LIKE(3, 4)
static enum crash_finding find_fault(struct crash_judge *judge, enum crash_finding finding,
                                     const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(judge->text, sizeof(judge->text), format, arguments);
    va_end(arguments);
    return finding;
}

/* One number for a segment of any log. */
static uint32_t segment_number(uint32_t log, uint64_t seq)
{
    assert(log < CRASH_LOG_COUNT_MAX);
    assert(seq < CRASH_SEGMENT_COUNT_MAX / CRASH_LOG_COUNT_MAX);
    return log * (CRASH_SEGMENT_COUNT_MAX / CRASH_LOG_COUNT_MAX) + (uint32_t)seq;
}

static uint32_t log_of(uint32_t segment)
{
    return segment / (CRASH_SEGMENT_COUNT_MAX / CRASH_LOG_COUNT_MAX);
}

/* --- the census ----------------------------------------------------------- */

/* The number of the event, or CRASH_EVENT_COUNT_MAX when it is not as it was sent. */
static uint32_t read_number(const struct crash_ledger *ledger, struct slice envelope)
{
    static const char before[] = "\"message\":\"number ";
    const char *at = memmem(envelope.data, envelope.size, before, sizeof(before) - 1);
    const char *end = envelope.data + envelope.size;
    uint32_t number = 0;

    if (at == NULL)
        return CRASH_EVENT_COUNT_MAX;
    for (at += sizeof(before) - 1; at < end && *at >= '0' && *at <= '9'; at++)
        number = min_u64(number * 10 + (uint32_t)(*at - '0'), CRASH_EVENT_COUNT_MAX);
    if (number >= ledger->event_count || at >= end || *at++ != '.')
        return CRASH_EVENT_COUNT_MAX;
    if ((uint64_t)(end - at) <= ledger->events[number].padding_size ||
        memcmp(at, crash_ledger_padding(), ledger->events[number].padding_size) != 0 ||
        at[ledger->events[number].padding_size] != '"')
        return CRASH_EVENT_COUNT_MAX;
    return number;
}

static void count_event(const struct census_visitor *counter,
                        const struct journal_record_view *record)
{
    struct crash_census *census = counter->census;
    uint32_t number = CRASH_EVENT_COUNT_MAX;
    struct record_event event;
    struct slice envelope;

    if (event_record_decode(record->version, record->payload, &event, &envelope))
        number = read_number(counter->ledger, envelope);
    census->event_count++;
    if (number == CRASH_EVENT_COUNT_MAX) {
        census->foreign_count++;
        return;
    }
    census->events[number].count++;
    census->events[number].group = census->group_count;
    census->events[number].position = census->event_count;
    census->events[number].segment = segment_number(journal_location_log(record->location),
                                                    journal_location_seq(record->location));
}

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    struct census_visitor *counter = container_of(visitor, struct census_visitor, visitor);

    for (uint32_t i = 0; i < group->record_count; i++) {
        counter->census->key_count += group->records[i].type == RECORD_KEY;
        if (group->records[i].type == RECORD_EVENT)
            count_event(counter, &group->records[i]);
    }
    counter->census->group_count++;
    return 0;
}

/* Only what is in use: there are many recoveries. */
static void census_clear(struct crash_census *census, uint32_t event_count)
{
    memset(census->events, 0, event_count * sizeof(census->events[0]));
    census->event_count = 0;
    census->group_count = 0;
    census->key_count = 0;
    census->foreign_count = 0;
}

static bool census_equals(const struct crash_census *a, const struct crash_census *b,
                          uint32_t event_count)
{
    return a->event_count == b->event_count && a->group_count == b->group_count &&
           a->key_count == b->key_count && a->foreign_count == b->foreign_count &&
           memcmp(a->events, b->events, event_count * sizeof(a->events[0])) == 0;
}

/* 0 or -errno with the reason in judge->text. */
MUST_USE static int recover(struct crash_judge *judge, struct disk *disk,
                            const struct superblock *superblock, bool read_only,
                            struct crash_census *ret_census)
{
    struct census_visitor counter = {
        .visitor = {.on_group = on_group}, .census = ret_census, .ledger = judge->ledger};
    struct recovery_config config = {
        .disk = disk,
        .data_path = DATA_PATH,
        .superblock = superblock,
        .visitor = &counter.visitor,
        .read_only = read_only,
    };
    struct recovered *recovered = NULL;
    char text[RECOVERY_TEXT_SIZE];
    int r;

    census_clear(ret_census, judge->ledger->event_count);
    judge->recovery_count++;
    r = recovery_run(&config, &recovered, text);
    recovered_free(&recovered);
    if (r < 0)
        (void)find_fault(judge, CRASH_REFUSED, "recovery: error %d: %s", -r, text);
    return r;
}

/* --- promises ------------------------------------------------------------- */

static bool is_retired(const struct crash_judge *judge, uint32_t segment, uint32_t position)
{
    assert(segment < CRASH_SEGMENT_COUNT_MAX);
    return segment != 0 && judge->retired[segment] != 0 && judge->retired[segment] <= position;
}

static enum crash_finding judge_event(struct crash_judge *judge, uint32_t number, uint32_t position)
{
    const struct crash_event *event = &judge->ledger->events[number];
    uint32_t count = judge->census.events[number].count;
    const uint32_t first_count = judge->census.events[event->first].count;

    if (count > 1)
        return find_fault(judge, CRASH_TWICE, "event %u is there %u times", number, count);
    if (count == 1 && (event->sent == WRITE_LOG_NONE || event->sent >= position))
        return find_fault(judge, CRASH_UNKNOWN, "event %u is there, but was %s", number,
                          event->sent == WRITE_LOG_NONE ? "gone after an earlier crash"
                                                        : "not sent yet");
    if (count == 0 && event->acknowledged < position &&
        !is_retired(judge, event->segment, position))
        return find_fault(judge, CRASH_LOST,
                          "event %u was acknowledged at entry %u and is not there (segment %x)",
                          number, event->acknowledged, event->segment);
    if (count != first_count)
        return find_fault(judge, CRASH_PARTED,
                          "of the request of events %u to %u only a part is there", event->first,
                          event->last);
    if (count == 1 &&
        judge->census.events[number].group != judge->census.events[event->first].group)
        return find_fault(judge, CRASH_PARTED, "events %u and %u are in different groups", number,
                          event->first);
    return CRASH_GOOD;
}

static enum crash_finding judge_census(struct crash_judge *judge, uint32_t position)
{
    const struct crash_ledger *ledger = judge->ledger;
    uint32_t positions[CRASH_LOG_COUNT_MAX][CLIENT_COUNT_MAX] = {{0}};
    enum crash_finding finding = CRASH_GOOD;
    bool is_any_acknowledged = false;

    if (judge->census.foreign_count > 0)
        return find_fault(judge, CRASH_UNKNOWN, "%u events are not as they were sent",
                          judge->census.foreign_count);
    for (uint32_t i = 0; i < ledger->event_count && finding == CRASH_GOOD; i++) {
        const struct crash_event *event = &ledger->events[i];
        uint32_t *position_before;

        assert(event->client < CLIENT_COUNT_MAX);
        finding = judge_event(judge, i, position);
        is_any_acknowledged |= event->acknowledged < position;
        if (finding != CRASH_GOOD || judge->census.events[i].count == 0)
            continue;
        /* A client's next connection may come to another shard, hence to another log. */
        position_before = &positions[log_of(judge->census.events[i].segment)][event->client];
        if (judge->census.events[i].position < *position_before)
            finding =
                find_fault(judge, CRASH_REORDERED, "event %u stands before an earlier one", i);
        *position_before = judge->census.events[i].position;
    }
    if (finding == CRASH_GOOD && is_any_acknowledged && judge->census.key_count == 0)
        finding = find_fault(judge, CRASH_LOST, "the API key is not there");
    return finding;
}

/* What recovery came to must be what it came to before. */
static enum crash_finding judge_repetition(struct crash_judge *judge,
                                           const struct crash_disk *state)
{
    char difference[256];

    if (!census_equals(&judge->census, &judge->second, judge->ledger->event_count))
        return find_fault(judge, CRASH_CHANGED,
                          "a repeated recovery finds %u events in %u groups instead of %u in %u",
                          judge->second.event_count, judge->second.group_count,
                          judge->census.event_count, judge->census.group_count);
    if (!crash_disk_equals(&judge->recovered, state, difference))
        return find_fault(judge, CRASH_CHANGED, "a repeated recovery leaves another disk: %s",
                          difference);
    return CRASH_GOOD;
}

/* --- starting ------------------------------------------------------------- */

static void drop_disks(struct crash_judge *judge)
{
    if (judge->has_disks) {
        crash_disk_deinit(&judge->opened);
        crash_disk_deinit(&judge->recovered);
    }
    judge->has_disks = false;
}

MUST_USE static int open_superblock(struct crash_judge *judge, struct disk *disk,
                                    struct superblock *ret_superblock)
{
    struct rng rng;
    struct superblock_config config = {
        .disk = disk, .rng = &rng, .data_path = DATA_PATH, .log_count = 1};
    char text[SUPERBLOCK_TEXT_SIZE];
    int r;

    rng_init_seed(&rng, SEED);
    r = superblock_open(&config, ret_superblock, text);
    if (r < 0)
        (void)find_fault(judge, CRASH_REFUSED, "superblock: error %d: %s", -r, text);
    else
        superblock_close(ret_superblock, disk);
    return r;
}

enum crash_finding crash_judge_start(struct crash_judge *judge, struct crash_disk *state,
                                     uint32_t position)
{
    struct superblock superblock;
    enum crash_finding finding;
    char difference[256];

    drop_disks(judge);
    judge->text[0] = '\0';
    if (open_superblock(judge, &state->disk, &superblock) < 0)
        return CRASH_REFUSED;
    crash_disk_copy(&judge->opened, state);
    crash_disk_copy(&judge->recovered, state); /* so that there are two to drop */
    judge->has_disks = true;
    if (recover(judge, &state->disk, &superblock, false, &judge->census) < 0)
        return CRASH_REFUSED;
    crash_disk_deinit(&judge->recovered);
    crash_disk_copy(&judge->recovered, state);
    judge->was_changed = !crash_disk_equals(&judge->opened, state, difference);
    finding = judge_census(judge, position);
    if (finding != CRASH_GOOD)
        return finding;
    if (recover(judge, &state->disk, &superblock, false, &judge->second) < 0)
        return CRASH_REFUSED;
    return judge_repetition(judge, state);
}

enum crash_finding crash_judge_repeat(struct crash_judge *judge, struct crash_disk *state)
{
    struct superblock superblock;

    assert(judge->has_disks);
    if (superblock_read(&state->disk, DATA_PATH, &superblock) < 0)
        return find_fault(judge, CRASH_REFUSED, "the superblock cannot be read");
    if (recover(judge, &state->disk, &superblock, false, &judge->second) < 0)
        return CRASH_REFUSED;
    return judge_repetition(judge, state);
}

void crash_judge_record(struct crash_judge *judge, struct disk *disk)
{
    struct superblock superblock;
    int r = superblock_read(disk, DATA_PATH, &superblock);

    if (r == 0)
        r = recover(judge, disk, &superblock, false, &judge->second);
    assert(r == 0); /* it has just succeeded on the same disk */
}

void crash_judge_survey(struct crash_judge *judge, struct crash_disk *state)
{
    struct superblock superblock;

    if (superblock_read(&state->disk, DATA_PATH, &superblock) < 0)
        return;
    if (recover(judge, &state->disk, &superblock, true, &judge->second) < 0)
        return; /* the judgement of this state will say so */
    for (uint32_t i = 0; i < judge->ledger->event_count; i++)
        if (judge->second.events[i].count > 0)
            judge->ledger->events[i].segment = judge->second.events[i].segment;
}

/* The segment that the operation takes out of its log; 0: none. */
static uint32_t retired_by(const struct write_log_op *op)
{
    char directory[CRASH_PATH_SIZE_MAX];
    uint64_t seq = 0;

    if (op->kind != WRITE_LOG_RENAME && op->kind != WRITE_LOG_UNLINK)
        return 0;
    for (uint32_t log = 0; log < CRASH_LOG_COUNT_MAX; log++) {
        size_t size = (size_t)snprintf(directory, sizeof(directory), "/data/log-%02u/", log);

        if (strncmp(op->path, directory, size) == 0 &&
            segment_name_parse(op->path + size, "seg", &seq))
            return segment_number(log, seq);
    }
    return 0;
}

void crash_judge_begin_round(struct crash_judge *judge, struct crash_ledger *ledger)
{
    judge->ledger = ledger;
    memset(judge->retired, 0, sizeof(judge->retired));
    for (uint32_t i = 0; i < ledger->log->op_count; i++) {
        uint32_t segment = retired_by(&ledger->log->ops[i]);

        if (segment != 0)
            judge->retired[segment] = (uint64_t)ledger->log->ops[i].submitted + 1;
    }
}

void crash_judge_deinit(struct crash_judge *judge)
{
    drop_disks(judge);
}

const char *crash_finding_name(enum crash_finding finding)
{
    static const char *const names[] = {
        [CRASH_GOOD] = "good",           [CRASH_REFUSED] = "start refused",
        [CRASH_LOST] = "lost",           [CRASH_TWICE] = "twice",
        [CRASH_UNKNOWN] = "unknown",     [CRASH_PARTED] = "request in parts",
        [CRASH_REORDERED] = "reordered", [CRASH_CHANGED] = "recovery not repeatable",
    };

    return names[finding];
}

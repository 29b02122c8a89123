#include "tests/crash/crash_campaign.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/disk_recorder.h"

/*
 * Two passes over the log. The survey recovers read-only what is visible just before
 * each segment goes, and at the end, and so learns which segment every event is in;
 * the second pass then knows which events retention may have taken.
 *
 * Where a write is torn is drawn from a generator that is seeded for each state anew,
 * so that the state of a finding can be made a second time, untouched, to be kept.
 */
enum { DESCRIPTION_SIZE = 8192, CONTEXT_ENTRY_COUNT = 14 };

void crash_campaign_init(struct crash_campaign *campaign, struct crash_judge *judge,
                         const struct crash_bounds *bounds, uint64_t seed)
{
    memset(campaign, 0, sizeof(*campaign));
    campaign->judge = judge;
    campaign->bounds = bounds;
    rng_init_seed(&campaign->rng, seed);
}

static void forget_chosen(struct crash_campaign *campaign)
{
    if (campaign->has_chosen)
        crash_disk_deinit(&campaign->chosen);
    campaign->has_chosen = false;
}

void crash_campaign_deinit(struct crash_campaign *campaign)
{
    forget_chosen(campaign);
}

static void build(const struct crash_cursor *cursor, const struct crash_choice *choice,
                  uint64_t seed, struct crash_disk *ret_state)
{
    struct rng rng;

    rng_init_seed(&rng, seed);
    crash_cursor_build(cursor, choice, &rng, ret_state);
}

/* --- findings ------------------------------------------------------------- */

/* The entries before the crash, without those of the clients. */
static void print_entries(const struct crash_cursor *cursor)
{
    const struct write_log *log = cursor->log;
    uint32_t from = cursor->position;
    char line[512];

    for (uint32_t count = 0; from > 0 && count < CONTEXT_ENTRY_COUNT;)
        count += log->ops[log->entries[--from].op].kind != WRITE_LOG_MARK;
    for (uint32_t i = from; i < cursor->position; i++) {
        if (log->ops[log->entries[i].op].kind == WRITE_LOG_MARK)
            continue;
        write_log_describe(log, i, line, sizeof(line));
        printf("#   %s\n", line);
    }
}

/* Says what was found, and keeps the disk as the crash left it. */
static void report(struct crash_campaign *campaign, const struct crash_cursor *cursor,
                   const struct crash_choice *choice, uint64_t seed, enum crash_finding finding)
{
    static char description[DESCRIPTION_SIZE];
    struct crash_disk state;

    campaign->finding = finding;
    if (campaign->failure_path == NULL)
        return;
    crash_choice_describe(cursor, choice, description, sizeof(description));
    printf("# FOUND %s: %s\n# the power fails after entry %u; before it:\n",
           crash_finding_name(finding), campaign->judge->text, cursor->position - 1);
    print_entries(cursor);
    printf("# what was not certain then:\n%s", description);
    build(cursor, choice, seed, &state);
    (void)mkdir(campaign->failure_path, 0700);
    if (crash_disk_export(&state, disk_posix(), campaign->failure_path) == 0)
        printf("# the disk after the crash: weir journal verify --data %s/data\n",
               campaign->failure_path);
    crash_disk_deinit(&state);
}

/* --- crashes of recovery -------------------------------------------------- */

static bool crash_recovery_at(struct crash_campaign *campaign, struct crash_cursor *cursor)
{
    uint64_t count = crash_cursor_state_count(cursor);
    uint64_t untorn = min_u64(count, campaign->bounds->state_count_max);
    uint64_t torn = crash_cursor_has_torn(cursor) ? campaign->bounds->recovery_torn_count : 0;

    for (uint64_t i = 0; i < untorn + torn; i++) {
        struct crash_choice choice;
        struct crash_disk state;
        enum crash_finding finding;
        uint64_t seed = rng_next(&campaign->rng);

        if (i < untorn)
            crash_choice_number(cursor, count <= untorn ? i : rng_below(&campaign->rng, count),
                                &choice);
        else
            crash_choice_random(cursor, &campaign->rng, &choice);
        build(cursor, &choice, seed, &state);
        finding = crash_judge_repeat(campaign->judge, &state);
        crash_disk_deinit(&state);
        campaign->recovery_state_count++;
        if (finding != CRASH_GOOD) {
            report(campaign, cursor, &choice, seed, finding);
            return false;
        }
    }
    return true;
}

/* Records the latest recovery and crashes it everywhere. */
static void crash_recovery(struct crash_campaign *campaign)
{
    static struct write_log log;
    static struct crash_cursor cursor;
    struct disk_recorder recorder;
    struct crash_disk disk;

    write_log_init(&log, "", &campaign->judge->opened);
    crash_disk_copy(&disk, &campaign->judge->opened);
    disk_recorder_init(&recorder, &disk.disk, &log);
    crash_judge_record(campaign->judge, &recorder.disk);
    crash_disk_deinit(&disk);
    crash_cursor_init(&cursor, &log, 0);
    campaign->recovery_crash_count++;
    while (crash_cursor_next(&cursor) && crash_recovery_at(campaign, &cursor))
        continue;
    crash_cursor_deinit(&cursor);
    write_log_deinit(&log);
}

/* --- crashes of the server ------------------------------------------------ */

/* True when something of a write is there and something is not. */
static bool is_torn(const struct crash_cursor *cursor, const struct crash_choice *choice)
{
    for (uint32_t i = 0; i < cursor->pending_count; i++)
        if (choice->fates[i] > CRASH_SIZE_ONLY)
            return true;
    return false;
}

/* Keeps one of all torn and repaired states, each with the same chance, for the next round. */
static void choose(struct crash_campaign *campaign, const struct crash_cursor *cursor,
                   const struct crash_choice *choice, uint64_t seed)
{
    if (!is_torn(cursor, choice))
        return;
    campaign->chosen_from_count++;
    if (rng_below(&campaign->rng, campaign->chosen_from_count) != 0)
        return;
    forget_chosen(campaign);
    build(cursor, choice, seed, &campaign->chosen);
    campaign->has_chosen = true;
    for (uint32_t i = 0; i < CRASH_EVENT_COUNT_MAX; i++)
        campaign->is_there[i] = campaign->judge->census.events[i].count > 0;
}

static bool crash_as(struct crash_campaign *campaign, const struct crash_cursor *cursor,
                     const struct crash_choice *choice)
{
    uint64_t seed = rng_next(&campaign->rng);
    struct crash_disk state;
    enum crash_finding finding;

    build(cursor, choice, seed, &state);
    finding = crash_judge_start(campaign->judge, &state, cursor->position);
    crash_disk_deinit(&state);
    campaign->state_count++;
    if (finding != CRASH_GOOD && campaign->wanted != CRASH_GOOD && finding != campaign->wanted)
        return true;
    if (finding != CRASH_GOOD) {
        report(campaign, cursor, choice, seed, finding);
        return false;
    }
    if (!campaign->judge->was_changed)
        return true;
    campaign->repaired_count++;
    choose(campaign, cursor, choice, seed);
    if (campaign->bounds->recovery_period > 0 &&
        campaign->repaired_count % campaign->bounds->recovery_period == 0)
        crash_recovery(campaign);
    return campaign->finding == CRASH_GOOD;
}

static bool crash_untorn(struct crash_campaign *campaign, const struct crash_cursor *cursor)
{
    uint64_t count = crash_cursor_state_count(cursor);
    struct crash_choice choice;

    if (count <= campaign->bounds->state_count_max) {
        for (uint64_t i = 0; i < count; i++) {
            crash_choice_number(cursor, i, &choice);
            if (!crash_as(campaign, cursor, &choice))
                return false;
        }
        return true;
    }
    crash_choice_number(cursor, 0, &choice);
    if (!crash_as(campaign, cursor, &choice))
        return false;
    crash_choice_all(cursor, &choice);
    if (!crash_as(campaign, cursor, &choice))
        return false;
    for (uint32_t i = 0; i < min_u64(cursor->pending_count, campaign->bounds->alone_count_max);
         i++) {
        crash_choice_alone(cursor, i, &choice);
        if (!crash_as(campaign, cursor, &choice))
            return false;
    }
    for (uint32_t i = 2; i < campaign->bounds->state_count_max; i++) {
        crash_choice_number(cursor, rng_below(&campaign->rng, count), &choice);
        if (!crash_as(campaign, cursor, &choice))
            return false;
    }
    return true;
}

static bool crash_at(struct crash_campaign *campaign, const struct crash_cursor *cursor)
{
    struct crash_choice choice;

    campaign->moment_count++;
    if (!crash_untorn(campaign, cursor))
        return false;
    for (uint32_t i = 0; crash_cursor_has_torn(cursor) && i < campaign->bounds->torn_count; i++) {
        crash_choice_random(cursor, &campaign->rng, &choice);
        if (!crash_as(campaign, cursor, &choice))
            return false;
    }
    return true;
}

static void survey_here(struct crash_campaign *campaign, const struct crash_cursor *cursor)
{
    struct crash_choice choice;
    struct crash_disk state;

    crash_choice_all(cursor, &choice);
    build(cursor, &choice, 0, &state);
    crash_judge_survey(campaign->judge, &state);
    crash_disk_deinit(&state);
}

/* True when the next entry begins to take a file away. */
static bool is_before_removal(const struct crash_cursor *cursor)
{
    const struct write_log_entry *entry = &cursor->log->entries[cursor->position];
    enum write_log_kind kind = cursor->log->ops[entry->op].kind;

    return !entry->is_completion && (kind == WRITE_LOG_RENAME || kind == WRITE_LOG_UNLINK);
}

static void survey(struct crash_campaign *campaign, struct crash_cursor *cursor,
                   const struct write_log *log)
{
    crash_cursor_init(cursor, log, 0);
    while (crash_cursor_next(cursor))
        if (cursor->position == log->entry_count || is_before_removal(cursor))
            survey_here(campaign, cursor);
    crash_cursor_deinit(cursor);
}

enum crash_finding crash_campaign_run(struct crash_campaign *campaign, struct crash_ledger *ledger,
                                      uint32_t flaws)
{
    static struct crash_cursor cursor;

    forget_chosen(campaign);
    campaign->chosen_from_count = 0;
    campaign->finding = CRASH_GOOD;
    crash_judge_begin_round(campaign->judge, ledger);
    survey(campaign, &cursor, ledger->log);
    crash_cursor_init(&cursor, ledger->log, flaws);
    while (crash_cursor_next(&cursor) && crash_at(campaign, &cursor))
        continue;
    crash_cursor_deinit(&cursor);
    return campaign->finding;
}

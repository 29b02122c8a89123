#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "runtime/rng.h"
#include "tests/store/incident_fixture.h"
#include "tests/store/incident_model.h"

/*
 * Random streams of events, people who interfere, time that passes and processes that die:
 * the table and the model must have the same incidents, with the same times in them and the
 * same number of changes of each kind.
 */

static struct incident_fixture fx;
static struct incident_model *model;
static struct rng rng;
static int64_t now_ms; /* of the sender, and of the events it sends in time */

static bool is_mortal;
static uint32_t loss_chance; /* per hundred events: the process dies before it writes */

enum { SECOND = 1000, MINUTE = 60000 };

static void begin(uint64_t seed, bool is_picky)
{
    memset(&fx, 0, sizeof(fx));
    rng_init_seed(&rng, seed);
    fx.rules = INCIDENT_RULES_DEFAULT;
    fx.rules.spike_count = 6 + (uint32_t)rng_below(&rng, 20);
    fx.rules.drop_count = 4;
    fx.rules.drop_baseline = 20;
    fx.rules.resolve_minutes = (uint8_t)(5 + rng_below(&rng, 20));
    fx.rules.reopen_minutes = (uint8_t)rng_below(&rng, 60);
    if (is_picky)
        fx.rules.pending_minutes = (uint8_t)rng_below(&rng, 4);
    fx.rules_project = 1;
    fx.config.incidents_max = 2000;
    fixture_begin(&fx);
    now_ms = FIXTURE_NOON_MS + (int64_t)rng_below(&rng, 100000);
    model = calloc(1, sizeof(*model));
    incident_model_init(model, FIXTURE_NOON_MS - 1000 * MINUTE, &fx.rules);
}

static void end(void)
{
    fixture_end(&fx);
    free(model);
}

static void send(uint32_t series, int64_t at_ms)
{
    struct record_event event =
        series == 0 ? fixture_signup(at_ms, 1) : fixture_error(at_ms, 1, series);

    event.received_ms = (uint64_t)now_ms + rng_below(&rng, 400);
    if (event.received_ms < fx.now_ms)
        event.received_ms = fx.now_ms;
    if (rng_chance(&rng, loss_chance, 100))
        fixture_send_and_crash(&fx, event);
    else
        fixture_send(&fx, event);
    incident_model_event(model, series, at_ms, event.received_ms);
}

/* Some errors of one series, not quite in order. */
static void burst(void)
{
    uint32_t series = 1 + (uint32_t)rng_below(&rng, MODEL_SERIES_MAX - 1);
    uint32_t count = 1 + (uint32_t)rng_below(&rng, 60);
    int64_t step_ms = (int64_t)rng_below(&rng, 8 * SECOND);

    for (uint32_t i = 0; i < count; i++) {
        int64_t back_ms = rng_chance(&rng, 1, 4) ? (int64_t)rng_below(&rng, 4 * MINUTE) : 0;

        now_ms += step_ms;
        /*
         * One that has been on its way for minutes and is the newest all the same: a restart
         * cannot know how far the clock had come without it, and is behind until the next.
         */
        if (is_mortal && now_ms - back_ms > model->newest_ms)
            back_ms = 0;
        send(series, now_ms - back_ms);
    }
}

static void signups(void)
{
    uint32_t count = 5 + (uint32_t)rng_below(&rng, 40);

    for (uint32_t i = 0; i < count; i++) {
        now_ms += (int64_t)rng_below(&rng, 100 * SECOND);
        send(0, now_ms);
    }
}

static void late(void)
{
    int64_t at_ms = now_ms - (5 + (int64_t)rng_below(&rng, 100)) * MINUTE;

    if (model->newest_ms > 0)
        send((uint32_t)rng_below(&rng, MODEL_SERIES_MAX), at_ms);
}

static void pass(int64_t ms)
{
    now_ms += ms;
    if ((uint64_t)now_ms < fx.now_ms)
        now_ms = (int64_t)fx.now_ms;
    fixture_pass(&fx, (uint64_t)now_ms);
    incident_model_pass(model, (uint64_t)now_ms);
}

/* The record of the model's n-th incident, found by its series and when it opened. */
static const struct incident_image_header *find_record(const struct model_incident *wanted,
                                                       int64_t tolerance_ms)
{
    uint64_t key = wanted->series == 0 ? fixture_signup(0, 1).series[0]
                                       : fixture_error(0, 1, wanted->series).series[0];

    for (uint32_t i = 0; i < fx.record_count; i++)
        if (fx.records[i].series[0] == key &&
            llabs(fx.records[i].opened_ms - wanted->header.opened_ms) <= tolerance_ms)
            return &fx.records[i];
    return NULL;
}

static uint32_t count_changes(uint64_t id_low, uint32_t cause)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fx.change_count; i++)
        count += fx.changes[i].header.id_low == id_low && fx.changes[i].header.cause == cause;
    return count;
}

static void compare(uint64_t seed, bool is_exact)
{
    int64_t tolerance_ms = is_exact ? 0 : MINUTE;

    cr_assert(eq(u32, fx.record_count, model->incident_count), "seed %lu", seed);
    for (uint32_t i = 0; i < model->incident_count; i++) {
        const struct model_incident *wanted = &model->incidents[i];
        const struct incident_image_header *found = find_record(wanted, tolerance_ms);

        if (found == NULL)
            cr_fatal("seed %lu: incident %u of series %u, opened %ld, is missing", seed, i,
                     wanted->series, wanted->header.opened_ms);
        cr_assert(eq(int, found->status, wanted->header.status), "seed %lu, %u", seed, i);
        cr_assert(eq(u32, found->reopen_count, wanted->header.reopen_count), "seed %lu, %u", seed,
                  i);
        cr_assert(le(i64, llabs(found->resolved_ms - wanted->header.resolved_ms), tolerance_ms),
                  "seed %lu, %u: %ld, %ld", seed, i, found->resolved_ms,
                  wanted->header.resolved_ms);
        cr_assert(le(i64, llabs(found->reopened_ms - wanted->header.reopened_ms), tolerance_ms),
                  "seed %lu, %u", seed, i);
        if (!is_exact)
            continue;
        cr_assert(eq(int, found->rule, wanted->header.rule), "seed %lu, %u", seed, i);
        cr_assert(eq(int, found->severity, wanted->header.severity), "seed %lu, %u", seed, i);
        cr_assert(eq(int, found->flags &INCIDENT_FLAG_FLAPPING,
                     wanted->header.flags &INCIDENT_FLAG_FLAPPING),
                  "seed %lu, %u", seed, i);
        if (found->status == INCIDENT_RESOLVED && wanted->causes[INCIDENT_CAUSE_CHANGED] == 0)
            cr_assert(eq(i64, found->last_seen_ms, wanted->header.last_seen_ms), "seed %lu, %u",
                      seed, i);
        for (uint32_t cause = 0; cause < INCIDENT_CAUSE_SEEN; cause++)
            cr_assert(eq(u32, count_changes(found->id_low, cause), wanted->causes[cause]),
                      "seed %lu, %u, cause %u", seed, i, cause);
    }
}

static void interfere(void)
{
    uint32_t number = (uint32_t)rng_below(&rng, MODEL_SERIES_MAX);
    enum incident_status status = (enum incident_status)rng_below(&rng, INCIDENT_STATUS_COUNT);
    const struct incident_image_header *found;
    enum incident_moved moved;
    uint32_t slot;
    bool may;

    if (model->series[number].incident < 0)
        return;
    pass(0);
    if (model->series[number].incident < 0)
        return;
    found = find_record(&model->incidents[model->series[number].incident], 0);
    cr_assert(ne(ptr, (void *)found, NULL));
    may = incident_model_move(model, number, status, fx.now_ms);
    moved = incident_table_move(fx.table, found->id_low, 1, status, SLICE_LITERAL("me"), fx.now_ms,
                                &slot);
    cr_assert(eq(int, moved == INCIDENT_MOVED, may));
    fixture_write(&fx);
}

/* rounds of misfortune; crashes is the chance of one per hundred. */
static void live(uint32_t rounds, uint32_t crashes, bool people)
{
    for (uint32_t i = 0; i < rounds; i++) {
        switch (rng_below(&rng, 8)) {
        case 0:
        case 1:
        case 2:
            burst();
            break;
        case 3:
            signups();
            break;
        case 4:
            late();
            break;
        case 5:
            pass((int64_t)rng_below(&rng, 2 * MINUTE));
            break;
        case 6:
            pass((int64_t)rng_below(&rng, rng_chance(&rng, 1, 8) ? 300 * MINUTE : 20 * MINUTE));
            break;
        default:
            if (people)
                interfere();
            break;
        }
        if (rng_chance(&rng, crashes, 100))
            fixture_crash(&fx);
        if (minute_of(now_ms) > model->base + MODEL_MINUTES_MAX - 1000)
            break;
    }
}

TestSuite(incident_model, .timeout = 240);

Test(incident_model, agrees_with_the_table)
{
    for (uint64_t seed = 0; seed < 60; seed++) {
        begin(seed, false);
        live(200, 0, false);
        pass(0);
        compare(seed, true);
        end();
    }
}

Test(incident_model, agrees_when_people_interfere_and_breaches_must_last)
{
    for (uint64_t seed = 100; seed < 160; seed++) {
        begin(seed, true);
        live(200, 0, true);
        pass(0);
        compare(seed, true);
        end();
    }
}

Test(incident_model, agrees_when_processes_die)
{
    is_mortal = true;
    for (uint64_t seed = 200; seed < 260; seed++) {
        begin(seed, true);
        live(150, 10, true);
        pass(0);
        compare(seed, true);
        end();
    }
}

/* What had been decided, but not written, is decided again: in the same minute at least. */
Test(incident_model, agrees_to_the_minute_when_decisions_are_lost)
{
    is_mortal = true;
    loss_chance = 1;
    for (uint64_t seed = 300; seed < 330; seed++) {
        begin(seed, false);
        live(100, 0, false);
        pass(0);
        compare(seed, false);
        end();
    }
}

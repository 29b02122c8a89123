#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>

#include "job_fixture.h"
#include "job_model.h"
#include "runtime/rng.h"

/*
 * The table against the model: random operations, some left in flight, everything that
 * can be seen compared. A seed decides a run; what is printed on failure is the step.
 */

enum { FLIGHTS_MAX = 24, STEPS = 40000, COMPARE_EVERY = 64, LIVE_MAX = 120, IS_JOB = 0 };

/* A record that is being written. */
struct flight {
    uint64_t id;
    uint32_t kind; /* enum job_fact_kind, or IS_JOB */
    bool is_replacing;
    struct model_job ask;
};

static struct job_model model;
static struct flight flights[FLIGHTS_MAX];
static uint32_t flight_count;
static struct rng rng;
static uint32_t step;
static uint64_t order;
static bool is_idle[MODEL_QUEUES]; /* the last take found nothing */
static bool is_named[MODEL_QUEUES];

static const char *const KINDS[MODEL_QUEUES] = {"mail", "sms", "fax"};
static const char *const KEYS[MODEL_KEYS + 1] = {NULL, "a", "b", "c", "d"};

#define AGREE(...) cr_assert(__VA_ARGS__, "step %u", step)

static uint64_t pick(uint64_t bound)
{
    return rng_below(&rng, bound);
}

static bool chance(uint32_t percent)
{
    return rng_chance(&rng, percent, 100);
}

static struct job_queue *queue_at(uint32_t n)
{
    return job_fixture_queue(KINDS[n]);
}

/* A job in use, 0: none was met. */
static uint64_t pick_job(enum job_state state)
{
    for (uint32_t i = 0; i < 16; i++) {
        uint64_t id = model.first + 1 + pick(model.count - model.first + 1);

        if (id <= model.count && (state == JOB_FREE ? model_job(&model, id)->state != JOB_FREE
                                                    : model_job(&model, id)->state == state))
            return id;
    }
    return 0;
}

/* --- comparing ---------------------------------------------------------------------- */

static void compare_job(uint64_t id)
{
    const struct model_job *job = model_job(&model, id);
    uint64_t ids[JOB_AFTER_COUNT_MAX];
    uint32_t after_count = 0;
    struct job_view view;
    struct job_ref ref;

    AGREE(eq(int, job_table_find(table, id, &ref), job->state != JOB_FREE));
    if (job->state == JOB_FREE)
        return;
    job_table_view(table, ref, &view);
    AGREE(eq(int, view.state, job->state));
    AGREE(eq(int, view.is_committing, job->is_committing));
    if (job->state == JOB_PENDING)
        return;
    AGREE(eq(int, view.is_replayed, job->is_replayed));
    AGREE(eq(ptr, (void *)view.queue, (void *)queue_at(job->queue)));
    AGREE(eq(u64, view.when_ms, job->when_ms));
    AGREE(eq(u64, view.created_ms, job->created_ms));
    AGREE(eq(u64, view.deadline_ms, job->deadline_ms));
    AGREE(eq(int, view.priority, job->priority));
    AGREE(eq(int, view.attempt, job->attempt));
    AGREE(eq(u32, view.after_failed_count, job->after_failed));
    if (job->state == JOB_LEASED || job->state == JOB_COMPLETED)
        if (view.state == JOB_LEASED)
            AGREE(eq(u32, view.delivery, job->delivery));
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        after_count += job->after[i] != 0 && !job->after_told[i] ? 1 : 0;
    AGREE(eq(u32, job_table_after(table, ref, ids), after_count));
}

static void compare_all(void)
{
    for (uint64_t id = model.first + 1; id <= model.count; id++)
        compare_job(id);
    for (uint32_t i = 0; i < MODEL_QUEUES; i++)
        for (uint32_t state = JOB_PENDING; state < JOB_STATE_COUNT; state++)
            AGREE(
                eq(u32, queue_at(i)->counts[state], model_count(&model, i, (enum job_state)state)));
    AGREE(eq(u32, job_fixture_audit(), 0));
}

/* A queue in which nothing could be taken is named when that has changed. */
static void check_wakes(void)
{
    struct job_queue *queue;

    while ((queue = job_table_next_ready(table)) != NULL)
        is_named[queue->index] = true;
    for (uint32_t i = 0; i < MODEL_QUEUES; i++)
        if (is_idle[i] && !is_named[i])
            AGREE(eq(u64, model_next(&model, i), 0));
}

/* --- records in flight ----------------------------------------------------------------- */

static void apply_job(const struct flight *flight)
{
    struct job_ask ask = {.kind = KINDS[flight->ask.queue],
                          .key = KEYS[flight->ask.key],
                          .deadline_ms = flight->ask.deadline_ms,
                          .priority = flight->ask.priority,
                          .unique = (uint8_t)flight->ask.unique,
                          .unique_key = flight->ask.unique_key,
                          .unique_until_ms = flight->ask.unique_until_ms,
                          .body_hash = flight->ask.body_hash,
                          .on_failure = (uint8_t)flight->ask.on_failure};
    struct job_image image;

    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        if (flight->ask.after[i] != 0)
            ask.after[ask.after_count++] = flight->ask.after[i];
    image = job_fixture_image(&ask, flight->id);
    image.header.created_ms = flight->ask.created_ms;
    image.header.state = (uint8_t)flight->ask.state;
    image.header.due_ms = flight->ask.when_ms;
    job_fixture_apply_job(&image, 0);
    model_apply_job(&model, flight->id, &flight->ask);
    model_retire_crowd(&model);
    model_job(&model, flight->id)->order = ++order;
}

static void apply_fact(const struct flight *flight)
{
    struct job_fact fact = {
        .header = {.id_low = flight->id,
                   .at_ms = now_ms,
                   .kind = (uint8_t)flight->kind,
                   .due_ms = now_ms + pick(3000),
                   .reason = flight->kind == JOB_FACT_DEAD,
                   .link = flight->kind == JOB_FACT_COMPLETED || flight->kind == JOB_FACT_REPLAYED
                               ? model_job(&model, flight->id)->delivery
                               : 0,
                   .attempt = (uint8_t)(job_fixture_view(flight->id).attempt + 1)}};

    if (chance(50))
        fact.text = SLICE_LITERAL("some text");
    job_fixture_apply(fact, 0);
    model_apply(&model, flight->id, &fact);
    model_retire_crowd(&model);
}

static void end_flight(const struct flight *flight, bool is_written)
{
    struct job_ref ref;

    AGREE(job_table_find(table, flight->id, &ref));
    if (flight->kind == IS_JOB && is_written) {
        apply_job(flight);
    } else if (flight->kind == IS_JOB) {
        job_table_withdraw(table, ref);
        if (flight->is_replacing)
            model_unclaim(&model, flight->id, (enum job_fact_kind)0);
        else
            model_withdraw(&model, flight->id);
    } else if (is_written) {
        apply_fact(flight);
    } else {
        job_table_unclaim(table, ref);
        model_unclaim(&model, flight->id, (enum job_fact_kind)flight->kind);
    }
    compare_job(flight->id);
}

static void begin_flight(struct flight flight)
{
    if (flight_count == FLIGHTS_MAX || chance(75))
        end_flight(&flight, chance(85));
    else
        flights[flight_count++] = flight;
}

/* In the order in which they were begun, as a log does. */
static void land(void)
{
    struct flight flight = flights[0];

    if (flight_count == 0)
        return;
    memmove(flights, flights + 1, --flight_count * sizeof(flights[0]));
    end_flight(&flight, chance(85));
}

static const struct flight *flight_of(uint64_t id)
{
    for (uint32_t i = 0; i < flight_count; i++)
        if (flights[i].id == id)
            return &flights[i];
    return NULL;
}

/* --- operations ------------------------------------------------------------------------- */

static void choose_after(struct model_job *ask)
{
    ask->on_failure = (enum job_on_failure)(1 + pick(3));
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++) {
        uint64_t id = pick_job(JOB_FREE);
        bool is_known = id == 0 || id == ask->after[0] || id == ask->after[1] ||
                        model_job(&model, id)->state == JOB_PENDING;

        if (!is_known)
            ask->after[i] = id;
    }
    if (ask->after[0] == 0 && ask->after[1] == 0 && ask->after[2] == 0)
        ask->on_failure = JOB_ON_FAILURE_NONE;
    else
        ask->state = JOB_WAITING;
}

static struct model_job choose_ask(void)
{
    struct model_job ask = {.queue = (uint32_t)pick(MODEL_QUEUES),
                            .priority = (uint8_t)pick(JOB_PRIORITY_COUNT),
                            .created_ms = now_ms,
                            .state = JOB_QUEUED};

    if (chance(40))
        ask.key = 1 + (uint32_t)pick(MODEL_KEYS);
    if (chance(15))
        ask.deadline_ms = now_ms + 1 + pick(20000);
    if (chance(25)) {
        ask.unique = (enum job_unique)(1 + pick(4));
        ask.unique_key = 1 + pick(6);
        ask.unique_until_ms = now_ms + 1 + pick(10000);
        ask.body_hash = (uint32_t)pick(2);
    }
    if (chance(25) || ask.unique == JOB_UNIQUE_DEBOUNCE) {
        ask.state = JOB_SCHEDULED;
        ask.when_ms = now_ms + 1 + pick(4000);
    }
    if (chance(20) && ask.unique != JOB_UNIQUE_DEBOUNCE)
        choose_after(&ask);
    return ask;
}

static void do_admit(void)
{
    struct flight flight = {.kind = IS_JOB, .ask = choose_ask()};
    struct job_ask ask = {.kind = KINDS[flight.ask.queue],
                          .unique = (uint8_t)flight.ask.unique,
                          .unique_key = flight.ask.unique_key,
                          .unique_until_ms = flight.ask.unique_until_ms,
                          .body_hash = flight.ask.body_hash,
                          .on_failure = (uint8_t)flight.ask.on_failure};
    enum job_admission admission, expected;
    struct job_ref ref = JOB_REF_NONE;
    struct job_view view;

    if (model.count - model.first > 4 * LIVE_MAX)
        return;
    for (uint32_t i = 0; i < MODEL_AFTER_MAX; i++)
        if (flight.ask.after[i] != 0)
            ask.after[ask.after_count++] = flight.ask.after[i];
    admission = job_fixture_admit(&ask, model.count + 1, &ref);
    expected = model_admit(&model, &flight.ask, &flight.id);
    AGREE(eq(int, admission, expected));
    if (ref.index != 0) {
        job_table_view(table, ref, &view);
        AGREE(eq(u64, view.id_low, flight.id));
    }
    flight.is_replacing = admission == JOB_REPLACES;
    if (flight.is_replacing) {
        flight.ask.created_ms = model_job(&model, flight.id)->created_ms;
        flight.ask.unique_until_ms = model_job(&model, flight.id)->unique_until_ms;
    }
    if (admission == JOB_ADMITTED || admission == JOB_REPLACES)
        begin_flight(flight);
}

static void do_take(void)
{
    uint32_t queue = (uint32_t)pick(MODEL_QUEUES), lease_ms = 1 + (uint32_t)pick(5000);
    uint64_t expected, retry_ms, id = 0;
    struct job_view view;
    struct job_ref ref;

    if (chance(30))
        AGREE(eq(int, job_table_is_ready(table, queue_at(queue), now_ms),
                 model_next(&model, queue) != 0));
    expected = model_next(&model, queue);
    ref = job_table_take(table, queue_at(queue), now_ms, lease_ms, &retry_ms);
    if (ref.index != 0) {
        job_table_view(table, ref, &view);
        id = view.id_low;
    }
    AGREE(eq(u64, id, expected));
    is_idle[queue] = id == 0;
    is_named[queue] = false;
    if (id == 0)
        return;
    model_lease(&model, id, view.delivery, lease_ms);
    compare_job(id);
}

static void do_claim(uint64_t id, bool has_delivery, uint32_t delivery, enum job_fact_kind kind)
{
    struct job_ref ref;
    enum job_claim expected = model_claim(&model, id, has_delivery, delivery, kind);
    enum job_claim claim = job_table_claim(table, id, has_delivery, delivery, kind, &ref);

    AGREE(eq(int, claim, expected));
    if (claim == JOB_CLAIMED)
        begin_flight((struct flight){.id = id, .kind = kind});
    else
        compare_job(id);
}

static void do_finish(void)
{
    static const enum job_fact_kind ENDS[] = {JOB_FACT_COMPLETED, JOB_FACT_COMPLETED,
                                              JOB_FACT_RETRY, JOB_FACT_DEAD, JOB_FACT_PROGRESS};
    uint64_t id = pick_job(JOB_LEASED);

    if (id != 0)
        do_claim(id, true, model_job(&model, id)->delivery, ENDS[pick(ARRAY_COUNT(ENDS))]);
}

static void do_anything(void)
{
    uint64_t id = pick_job(JOB_FREE);

    if (id == 0 || chance(2))
        id = 1 + pick(model.count + 1);
    if (id > model.count)
        return;
    do_claim(id, chance(30), model_job(&model, id)->delivery + (uint32_t)pick(2),
             (enum job_fact_kind)(1 + pick(JOB_FACT_KIND_COUNT - 1)));
}

/* The oldest is not left to live for ever, or the model gets slow. */
static void do_oldest(void)
{
    const struct model_job *job;

    if (model.first == model.count)
        return;
    job = &model.jobs[model.first];
    do_claim(job->id, false, 0, job->state == JOB_DEAD ? JOB_FACT_DROPPED : JOB_FACT_CANCELLED);
}

static void do_return(void)
{
    uint64_t id = pick_job(JOB_LEASED), due_ms = chance(50) ? 0 : now_ms + pick(2000);

    if (id == 0)
        return;
    job_table_return(table, job_fixture_view(id).ref, now_ms, due_ms);
    model_return(&model, id, due_ms);
    compare_job(id);
}

static void do_extend(void)
{
    uint64_t id = pick_job(JOB_LEASED), until_ms = 0, asked_ms;
    uint32_t wrong = (uint32_t)pick(2), lease_ms = (uint32_t)pick(5000);
    const struct flight *flight = flight_of(id);
    struct model_job *job;
    bool is_stale;

    if (id == 0)
        return;
    job = model_job(&model, id);
    is_stale = wrong != 0 || (flight != NULL && flight->kind != JOB_FACT_PROGRESS);
    AGREE(eq(int, job_table_extend(table, id, job->delivery + wrong, now_ms, lease_ms, &until_ms),
             is_stale ? JOB_CLAIM_STALE : JOB_CLAIMED));
    if (is_stale)
        return;
    asked_ms = min_u64(now_ms + lease_ms, job_fixture_view(id).leased_ms + JOB_LEASE_MS_MAX);
    if (asked_ms > job->when_ms) {
        job->when_ms = asked_ms;
        job->is_overdue = false;
    }
    AGREE(eq(u64, until_ms, job->when_ms));
    compare_job(id);
}

static void do_time(void)
{
    enum job_due due;
    struct job_view view;
    struct job_ref ref;

    now_ms += chance(3) ? pick(60000) : pick(800);
    model.now_ms = now_ms;
    model_pass_time(&model);
    while ((due = job_table_due(table, now_ms, &ref)) != JOB_DUE_NONE) {
        job_table_view(table, ref, &view);
        AGREE(model_due(&model, view.id_low, due));
        compare_job(view.id_low);
        if (due == JOB_DUE_EXPIRED)
            do_claim(view.id_low, true, view.delivery, JOB_FACT_RETRY);
        if (due == JOB_DUE_DEADLINE)
            do_claim(view.id_low, false, 0, JOB_FACT_DEAD);
        model_pass_time(&model);
    }
    AGREE(eq(u64, model_due_ms(&model), UINT64_MAX));
    AGREE(lt(u64, now_ms, job_table_next_due_ms(table)));
}

static void do_failed(void)
{
    struct job_view view;
    struct job_ref ref;

    while ((ref = job_table_next_failed(table)).index != 0) {
        struct model_job *job;

        job_table_view(table, ref, &view);
        job = model_job(&model, view.id_low);
        AGREE(eq(int, job->is_failed, 1));
        AGREE(eq(int, job->is_named, 0));
        AGREE(eq(int, job->is_committing, 0));
        job->is_named = true;
        do_claim(view.id_low, false, 0, JOB_FACT_DEAD);
    }
    for (uint64_t id = model.first + 1; id <= model.count; id++) {
        struct model_job *job = model_job(&model, id);

        if (job->state != JOB_WAITING || !job->is_failed || job->is_named)
            continue;
        AGREE(eq(int, job->is_committing, 1));
        job->is_named = true;
    }
}

static void do_settings(void)
{
    uint32_t queue = (uint32_t)pick(MODEL_QUEUES);
    struct job_queue_settings settings = {.concurrency = (uint32_t)pick(4),
                                          .key_concurrency = (uint32_t)pick(4),
                                          .depth_max = chance(20) ? 1 + (uint32_t)pick(60) : 0};

    if (chance(15))
        settings.flags |= JOB_QUEUE_PAUSED;
    if (chance(10))
        settings.flags |= JOB_QUEUE_DRAINING;
    model.queues[queue] = settings;
    job_table_apply_queue(table, queue_at(queue), &settings, job_fixture_location(0));
}

static void do_tidy(void)
{
    struct job_view view;
    struct job_ref ref;

    job_table_tidy(table, now_ms);
    model_tidy(&model);
    ref = job_table_expired_dead(table, now_ms);
    if (ref.index == 0)
        return;
    job_table_view(table, ref, &view);
    AGREE(le(u64, view.when_ms + model.config.dead_ms, now_ms));
    do_claim(view.id_low, false, 0, JOB_FACT_DROPPED);
}

/* What recovery will make of a job that has just been carried. */
static void note_carried(struct model_job *job)
{
    if (job->holds_key && job->attempt == 0)
        job->logged_due_ms = job->created_ms;
    else if (job->state == JOB_SCHEDULED || job->state == JOB_QUEUED)
        job->logged_due_ms = job->when_ms;
    else if (job->state == JOB_LEASED)
        job->logged_due_ms = job->ready_ms;
}

/* The oldest segment goes: what is needed of it is written again before, or it stays. */
static void do_carry(void)
{
    struct job_ref ref = JOB_REF_NONE;
    bool is_job = false;

    if (job_log_count < 128)
        return;
    do {
        struct job_view view;
        bool is_over;

        ref = job_table_next(table, ref, 16, &is_job);
        if (!is_job || !job_table_rests_on(table, ref, 0, job_log_oldest_seq))
            continue;
        job_table_view(table, ref, &view);
        if (view.is_committing)
            return;
        is_over = view.state == JOB_COMPLETED || view.state == JOB_CANCELLED;
        job_fixture_carry(view.id_low, is_over ? NULL : KEYS[model_job(&model, view.id_low)->key],
                          0);
        note_carried(model_job(&model, view.id_low));
        model_retire_crowd(&model);
        compare_job(view.id_low);
        if (job_fixture_state(view.id_low) != JOB_FREE)
            AGREE(not(job_table_rests_on(table, ref, 0, job_log_oldest_seq)));
    } while (ref.index != 0);
    job_fixture_drop_segment();
}

static void do_step(void)
{
    static void (*const OPERATIONS[])(void) = {
        do_admit,  do_admit,  do_admit,  do_take,     do_take,   do_take, do_take,
        do_finish, do_finish, do_finish, do_anything, do_oldest, land,    land,
        do_return, do_extend, do_time,   do_time,     do_failed, do_tidy, do_tidy,
    };

    if (chance(1))
        do_settings();
    if (chance(2))
        do_carry();
    OPERATIONS[pick(ARRAY_COUNT(OPERATIONS))]();
    check_wakes();
}

/* --- recovery --------------------------------------------------------------------------- */

/* What the log says about a job, as far as the model knows it. */
static enum job_state state_after_restart(const struct model_job *job)
{
    if (job->state == JOB_SCHEDULED || job->state == JOB_QUEUED || job->state == JOB_LEASED)
        return job->logged_due_ms > now_ms ? JOB_SCHEDULED : JOB_QUEUED;
    return job->state;
}

static void compare_recovered(const struct job_table *other)
{
    for (uint64_t id = model.first + 1; id <= model.count; id++) {
        const struct model_job *job = model_job(&model, id);
        struct job_view view;
        struct job_ref ref;

        if (job->state == JOB_FREE || job->state == JOB_PENDING || job->state == JOB_COMPLETED ||
            job->state == JOB_CANCELLED || job->is_replayed)
            continue;
        AGREE(job_table_find(other, id, &ref));
        job_table_view(other, ref, &view);
        AGREE(eq(int, view.state, state_after_restart(job)));
        AGREE(eq(int, view.attempt, job->attempt));
        AGREE(eq(u64, view.deadline_ms, job->deadline_ms));
        AGREE(eq(u32, view.after_failed_count, job->after_failed));
        if (view.state == JOB_SCHEDULED || view.state == JOB_QUEUED)
            AGREE(eq(u64, view.when_ms, job->logged_due_ms));
    }
}

/* Takes and completes whatever there is; a number for the order in which it came. */
static uint64_t drain(struct job_table *other)
{
    uint64_t digest = 0, retry_ms;

    for (uint32_t i = 0; i < 2 * MODEL_QUEUES; i++) {
        struct job_queue *queue = job_table_queue(other, SLICE_LITERAL("o"), SLICE_LITERAL("p"),
                                                  slice_of(KINDS[i % MODEL_QUEUES]), true);
        struct job_ref ref;

        while ((ref = job_table_take(other, queue, now_ms, 1000, &retry_ms)).index != 0) {
            struct job_fact fact = {.header = {.kind = JOB_FACT_COMPLETED, .at_ms = now_ms}};
            struct job_view view;

            job_table_view(other, ref, &view);
            fact.header.id_low = view.id_low;
            digest = digest * 31 + view.id_low;
            job_table_apply_fact(other, &fact, view.location, now_ms);
        }
    }
    return digest;
}

static void check_recovery(void)
{
    static const uint64_t oldest_seq[SEGMENT_LOG_MAX + 1];
    struct job_table *first = job_fixture_recover(&model.config);
    struct job_table *second = job_fixture_recover(&model.config);
    bool done = false;

    compare_recovered(first);
    AGREE(eq(u32, job_table_audit(first, UINT32_MAX, oldest_seq, &done), 0));
    AGREE(eq(u64, drain(first), drain(second)));
    AGREE(eq(u32, job_table_audit(first, UINT32_MAX, oldest_seq, &done), 0));
    job_table_free(&first);
    job_table_free(&second);
}

/* --- runs -------------------------------------------------------------------------------- */

static void setup(void)
{
    model = (struct job_model){
        .config = {.job_count_max = 1024,
                   .finished_count_max = 20,
                   .finished_ms = 20000,
                   .dead_count_max = 8,
                   .dead_ms = 30000,
                   .tenant_concurrency = 6,
                   .retry = {.max_attempts = 8}},
    };
    model.jobs = calloc(MODEL_JOBS_MAX, sizeof(*model.jobs));
    cr_assert(ne(ptr, model.jobs, NULL));
    flight_count = 0;
    job_fixture_new(&model.config);
    model.now_ms = now_ms;
    for (uint32_t i = 0; i < MODEL_QUEUES; i++)
        cr_assert(eq(u32, queue_at(i)->index, i));
}

static void teardown(void)
{
    free(model.jobs);
    job_fixture_end();
}

static void run(uint64_t seed)
{
    rng_init_seed(&rng, seed);
    for (step = 1; step <= STEPS; step++) {
        do_step();
        if (step % COMPARE_EVERY == 0)
            compare_all();
        if (step % (STEPS / 4) == 0)
            check_recovery();
    }
}

TestSuite(job_table_model, .init = setup, .fini = teardown, .timeout = 120);

Test(job_table_model, agrees_over_the_first_seed)
{
    run(1);
}

Test(job_table_model, agrees_over_the_second_seed)
{
    run(2);
}

Test(job_table_model, agrees_over_the_third_seed)
{
    run(3);
}

Test(job_table_model, agrees_over_the_fourth_seed)
{
    run(4);
}

Test(job_table_model, agrees_over_the_fifth_seed)
{
    run(5);
}

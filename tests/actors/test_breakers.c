#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/app.h"
#include "actors/breakers_view.h"
#include "runtime/policy_presets.h"
#include "tests/store/job_fixture.h"

/*
 * A shard of which only what breakers touch is there: a table with jobs, a clock that the
 * test sets and a log that keeps what is appended until the test says that it is durable.
 */
enum { IN_FLIGHT_MAX = 64, LEASE_MS = 60000, FAILURES = 5, OPEN_MS = 30000 };

struct fake_log {
    struct durable_writer writer;
    struct journal_append *appends[IN_FLIGHT_MAX];
    uint32_t in_flight;
    uint32_t append_count;
    uint32_t carried_count;
    uint64_t segment; /* that is written to */
    int answer;       /* of append() */
    char last[BREAKERS_RECORD_SIZE_MAX];
    size_t last_size;
};

static struct fake_log journal;
static struct app *app;
static struct app_shard *home;
static struct breakers *breakers;
static struct breakers_samples samples;

static const struct breaker_policy *usual(void)
{
    return &policy_presets_default()->breaker;
}

static int fake_append(struct durable_writer *self, struct journal_append *append,
                       struct journal_record *records, uint32_t count, uint32_t flags)
{
    (void)self;
    (void)flags;
    if (journal.answer != JOURNAL_OK)
        return journal.answer;
    cr_assert(lt(u32, journal.in_flight, IN_FLIGHT_MAX));
    cr_assert(eq(u32, count, 1));
    cr_assert(eq(u8, records[0].type, RECORD_BREAKER));
    cr_assert(eq(u32, records[0].part_count, 1));
    records[0].location =
        journal_location_make(0, journal.segment, 4096 + 512 * ++journal.append_count);
    journal.last_size = records[0].parts[0].size;
    cr_assert(le(sz, journal.last_size, sizeof(journal.last)));
    memcpy(journal.last, records[0].parts[0].data, journal.last_size);
    journal.appends[journal.in_flight++] = append;
    return JOURNAL_OK;
}

static void fake_carried(struct durable_writer *self, uint32_t log, uint64_t seq)
{
    (void)self;
    cr_assert(eq(u32, log, 0));
    cr_assert(eq(u64, seq, 7));
    journal.carried_count++;
}

/* All that is on its way arrives, and what is appended because of that. */
static void settle(void)
{
    while (journal.in_flight > 0) {
        struct journal_append *first = journal.appends[0];

        journal.in_flight--;
        memmove(journal.appends, journal.appends + 1,
                journal.in_flight * sizeof(journal.appends[0]));
        first->on_durable(first, JOURNAL_DURABLE);
    }
}

static void begin_process(void)
{
    app = calloc(1, sizeof(*app));
    home = calloc(1, sizeof(*home));
    cr_assert(app != NULL);
    cr_assert(home != NULL);
    home->app = app;
    home->shard = calloc(1, sizeof(*home->shard));
    cr_assert(home->shard != NULL);
    home->shard->clock.unix_ms = now_ms;
    home->jobs.table = table;
    app->superblock.partition_count = 64;
    journal.writer = (struct durable_writer){.append = fake_append, .on_carried = fake_carried};
    durable_set_init(&home->keeper.durables, &journal.writer);
    breakers = &home->breakers;
    cr_assert(eq(int, breakers_init(breakers, home), 0));
    durable_add(&home->keeper.durables, &breakers->durable);
}

static void end_process(void)
{
    breakers_deinit(breakers);
    free(home->shard);
    free(home);
    free(app);
}

static void set_up(void)
{
    struct job_table_config config = job_fixture_config();

    memset(&journal, 0, sizeof(journal));
    journal.segment = 7;
    job_fixture_new(&config);
    begin_process();
}

static void tear_down(void)
{
    end_process();
    job_fixture_end();
}

TestSuite(breakers, .init = set_up, .fini = tear_down);

/* The process ends and another one reads back the record of this payload. */
static int restart_with(struct slice payload)
{
    struct journal_record_view record = {
        .type = RECORD_BREAKER,
        .version = BREAKERS_RECORD_VERSION,
        .location = journal_location_make(0, 7, 8192),
        .payload = payload,
    };

    end_process();
    journal.in_flight = 0;
    begin_process();
    return durable_recover(&home->keeper.durables, &record);
}

static void pass(uint64_t duration_ms)
{
    now_ms += duration_ms;
    home->shard->clock.unix_ms = now_ms;
}

static struct breakers_entry *peer(const char *origin)
{
    return breakers_get(breakers, SLICE_LITERAL("o"), SLICE_LITERAL("p"), slice_of(origin), now_ms);
}

static uint32_t state_of(const struct breakers_entry *entry)
{
    return (uint32_t)breaker_state(&entry->breaker);
}

/* One call that is admitted and ends so. */
static void call(struct breakers_entry *entry, const struct breaker_policy *policy,
                 enum breakers_result result)
{
    uint32_t generation;

    cr_assert(breakers_admit(breakers, entry, policy, now_ms, &generation));
    breakers_end(breakers, entry, policy, now_ms, generation, result);
}

static void open_it(struct breakers_entry *entry)
{
    for (uint32_t i = 0; i < FAILURES; i++)
        call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
}

static bool is_admitted(struct breakers_entry *entry, const struct breaker_policy *policy)
{
    uint32_t generation;

    return breakers_admit(breakers, entry, policy, now_ms, &generation);
}

/* A job is leased, asks, is not admitted and goes back until it is told to come. */
static uint64_t park_one(struct breakers_entry *entry)
{
    uint64_t id, due_ms;

    job_fixture_enqueue(&(struct job_ask){.kind = NULL});
    id = job_fixture_take("mail", LEASE_MS);
    cr_assert(ne(u64, id, 0));
    cr_assert(not(is_admitted(entry, usual())));
    due_ms = breakers_park(breakers, entry, usual(), id, now_ms);
    job_table_return(table, job_fixture_view(id).ref, now_ms, due_ms);
    cr_assert(eq(int, job_fixture_state(id), JOB_SCHEDULED));
    cr_assert(eq(u64, job_fixture_view(id).when_ms, due_ms));
    return id;
}

/* --- opening ------------------------------------------------------------------------- */

Test(breakers, opens_after_failures_in_a_row)
{
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < FAILURES - 1; i++)
        call(entry, usual(), BREAKERS_FAILURE);
    call(entry, usual(), BREAKERS_SUCCESS);
    for (uint32_t i = 0; i < FAILURES - 1; i++)
        call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
    cr_assert(not(is_admitted(entry, usual())));
}

Test(breakers, opens_when_half_of_the_last_calls_failed)
{
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < usual()->window_calls - 1; i++)
        call(entry, usual(), i % 2 == 0 ? BREAKERS_SUCCESS : BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
}

Test(breakers, learns_nothing_from_calls_that_say_nothing_of_the_peer)
{
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < 10 * FAILURES; i++)
        call(entry, usual(), BREAKERS_NOTHING);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    cr_assert(eq(u32, journal.append_count, 0));
}

Test(breakers, admits_everything_under_a_policy_without_a_breaker)
{
    const struct policy_preset *preset = policy_presets_find(SLICE_LITERAL("ai-job"));
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < 10 * FAILURES; i++)
        call(entry, &preset->breaker, BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
}

Test(breakers, keeps_a_destination_apart_for_each_project_and_organisation)
{
    const struct slice origin = SLICE_INITIALIZER("http://a:80"), o = SLICE_INITIALIZER("o");
    struct breakers_entry *entry = peer("http://a:80");
    struct breakers_entry *other = breakers_get(breakers, o, SLICE_LITERAL("q"), origin, now_ms);
    struct breakers_entry *stranger =
        breakers_get(breakers, SLICE_LITERAL("x"), SLICE_LITERAL("p"), origin, now_ms);

    open_it(entry);
    cr_assert(eq(ptr, peer("http://a:80"), entry));
    cr_assert(is_admitted(other, usual()));
    cr_assert(is_admitted(stranger, usual()));
    cr_assert(is_admitted(peer("http://a:81"), usual()));
    cr_assert(not(is_admitted(entry, usual())));
}

/* --- the parked ---------------------------------------------------------------------- */

Test(breakers, parks_without_using_attempts_and_probes_with_one_when_the_time_is_over)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t ids[4];

    open_it(entry);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = park_one(entry);
    cr_assert(eq(u64, job_fixture_view(ids[0]).when_ms, now_ms + OPEN_MS + 1));
    for (uint32_t i = 1; i < ARRAY_COUNT(ids); i++)
        cr_assert(ge(u64, job_fixture_view(ids[i]).when_ms, now_ms + BREAKERS_PARK_MS));
    pass(OPEN_MS + 1);
    job_fixture_due();
    cr_assert(eq(u64, job_fixture_take("mail", LEASE_MS), ids[0]));
    cr_assert(eq(u64, job_fixture_take("mail", LEASE_MS), 0));
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        cr_assert(eq(u8, job_fixture_view(ids[i]).attempt, 0));
    cr_assert(eq(u32, job_fixture_audit(), 0));
}

Test(breakers, calls_two_of_the_parked_for_each_success_once_the_peer_is_well)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t ids[5];

    open_it(entry);
    for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
        ids[i] = park_one(entry);
    pass(OPEN_MS + 1);
    call(entry, usual(), BREAKERS_SUCCESS);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    cr_assert(eq(int, job_fixture_state(ids[1]), JOB_QUEUED));
    cr_assert(eq(int, job_fixture_state(ids[2]), JOB_QUEUED));
    cr_assert(eq(int, job_fixture_state(ids[3]), JOB_SCHEDULED));
    call(entry, usual(), BREAKERS_SUCCESS);
    cr_assert(eq(int, job_fixture_state(ids[3]), JOB_QUEUED));
    cr_assert(eq(int, job_fixture_state(ids[4]), JOB_QUEUED));
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 0));
}

Test(breakers, appoints_another_probe_when_the_first_has_failed)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t first, second, third;

    open_it(entry);
    first = park_one(entry);
    second = park_one(entry);
    third = park_one(entry);
    pass(OPEN_MS + 1);
    job_fixture_due();
    cr_assert(eq(u64, job_fixture_take("mail", LEASE_MS), first));
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
    cr_assert(eq(u64, job_fixture_view(second).when_ms, now_ms + OPEN_MS + 1));
    cr_assert(lt(u64, now_ms + OPEN_MS + 1, job_fixture_view(third).when_ms));
}

Test(breakers, passes_over_parked_jobs_that_wait_no_more)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t probe, cancelled, moved, waiting;

    open_it(entry);
    probe = park_one(entry);
    cancelled = park_one(entry);
    moved = park_one(entry);
    waiting = park_one(entry);
    cr_assert(eq(int,
                 job_fixture_do(cancelled, false, 0,
                                (struct job_fact){.header = {.kind = JOB_FACT_CANCELLED}}),
                 JOB_CLAIMED));
    job_table_reschedule(table, job_fixture_view(moved).ref, now_ms, now_ms + 5);
    pass(OPEN_MS + 1);
    call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u64, job_fixture_view(waiting).when_ms, now_ms + OPEN_MS + 1));
    cr_assert(eq(u64, job_fixture_view(moved).when_ms, now_ms - OPEN_MS - 1 + 5));
    cr_assert(eq(u64, job_fixture_view(probe).when_ms, now_ms));
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 0));
}

Test(breakers, lets_sixteen_calls_out_at_a_time)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint32_t generation;
    uint64_t waiting;

    for (uint32_t i = 0; i < BREAKERS_CALLS_MAX; i++)
        cr_assert(breakers_admit(breakers, entry, usual(), now_ms, &generation));
    waiting = park_one(entry);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
    breakers_end(breakers, entry, usual(), now_ms, generation, BREAKERS_SUCCESS);
    cr_assert(eq(int, job_fixture_state(waiting), JOB_QUEUED));
    cr_assert(is_admitted(entry, usual()));
    cr_assert(not(is_admitted(entry, usual())));
}

Test(breakers, remembers_a_bounded_number_and_the_others_come_by_themselves)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t due_ms = 0, first_ms;

    open_it(entry);
    (void)breakers_park(breakers, entry, usual(), 1, now_ms); /* the probe */
    first_ms = breakers_park(breakers, entry, usual(), 2, now_ms);
    for (uint32_t i = 1; i < BREAKERS_PARKED_MAX + 10; i++) {
        uint64_t next_ms = breakers_park(breakers, entry, usual(), 3 + i, now_ms);

        cr_assert(ge(u64, next_ms, due_ms)); /* in line, not all at once */
        due_ms = next_ms;
    }
    cr_assert(eq(u32, pool_used_count(&breakers->parked), BREAKERS_PARKED_MAX));
    cr_assert(
        eq(u64, due_ms - first_ms, (uint64_t)(BREAKERS_PARKED_MAX + 9) * BREAKERS_LINE_US / 1000));
    /* Those whose time has passed are forgotten when somebody comes. */
    pass(due_ms - now_ms + 1);
    (void)breakers_park(breakers, entry, usual(), 1, now_ms);
    (void)breakers_park(breakers, entry, usual(), 2, now_ms);
    cr_assert(le(u32, pool_used_count(&breakers->parked), 2));
}

/* --- half-open ----------------------------------------------------------------------- */

Test(breakers, lets_one_probe_out_and_parks_the_rest_until_it_is_back)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint32_t generation;
    uint64_t waiting;

    open_it(entry);
    pass(OPEN_MS + 1);
    cr_assert(breakers_admit(breakers, entry, usual(), now_ms, &generation));
    cr_assert(eq(u32, state_of(entry), BREAKER_HALF_OPEN));
    waiting = park_one(entry);
    cr_assert(eq(int, job_fixture_state(waiting), JOB_SCHEDULED));
    /* The probe was never sent: another one takes its place. */
    breakers_end(breakers, entry, usual(), now_ms, generation, BREAKERS_NOTHING);
    cr_assert(eq(u32, state_of(entry), BREAKER_HALF_OPEN));
    cr_assert(eq(int, job_fixture_state(waiting), JOB_QUEUED));
    call(entry, usual(), BREAKERS_SUCCESS);
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
}

Test(breakers, lets_as_many_probes_out_as_the_policy_says_and_closes_when_all_succeed)
{
    const struct breaker_policy *three =
        &policy_presets_find(SLICE_LITERAL("order-integration"))->breaker;
    struct breakers_entry *entry = peer("http://a:80");
    uint32_t generations[3];

    for (uint32_t i = 0; i < FAILURES; i++)
        call(entry, three, BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
    pass(three->open_ms + 1);
    for (uint32_t i = 0; i < three->probe_count; i++)
        cr_assert(breakers_admit(breakers, entry, three, now_ms, &generations[i]));
    cr_assert(not(is_admitted(entry, three)));
    for (uint32_t i = 0; i < three->probe_count; i++) {
        cr_assert(eq(u32, state_of(entry), BREAKER_HALF_OPEN));
        breakers_end(breakers, entry, three, now_ms, generations[i], BREAKERS_SUCCESS);
    }
    cr_assert(eq(u32, state_of(entry), BREAKER_CLOSED));
}

Test(breakers, stays_open_longer_each_time_a_probe_fails_up_to_the_cap)
{
    static const struct breaker_policy policy = {.consecutive_failures = 1,
                                                 .open_ms = 1000,
                                                 .open_ms_cap = 5000,
                                                 .open_factor = 2,
                                                 .probe_count = 1,
                                                 .probe_successes = 1};
    static const uint32_t TIMES[] = {1000, 2000, 4000, 5000, 5000};
    struct breakers_entry *entry = peer("http://a:80");

    for (uint32_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
        call(entry, &policy, BREAKERS_FAILURE);
        pass(TIMES[i]);
        cr_assert(not(is_admitted(entry, &policy)), "opening %u", i);
        pass(1);
    }
    call(entry, &policy, BREAKERS_SUCCESS);
    call(entry, &policy, BREAKERS_FAILURE);
    pass(TIMES[0] + 1);
    cr_assert(is_admitted(entry, &policy));
}

/* --- durable ------------------------------------------------------------------------- */

Test(breakers, is_open_again_after_a_restart_until_the_same_time)
{
    uint64_t until_ms = now_ms + OPEN_MS;

    open_it(peer("http://a:80"));
    settle();
    cr_assert(eq(u32, journal.append_count, 1));
    pass(10000);
    cr_assert(eq(int, restart_with((struct slice){journal.last, journal.last_size}), 1));
    cr_assert(eq(u32, state_of(peer("http://a:80")), BREAKER_OPEN));
    cr_assert(eq(u32, state_of(peer("http://b:80")), BREAKER_CLOSED));
    pass(until_ms - now_ms);
    cr_assert(not(is_admitted(peer("http://a:80"), usual())));
    pass(1);
    cr_assert(is_admitted(peer("http://a:80"), usual()));
    cr_assert(not(is_admitted(peer("http://a:80"), usual())));
}

Test(breakers, forgets_a_probe_that_was_out_at_a_restart)
{
    open_it(peer("http://a:80"));
    pass(OPEN_MS + 1);
    cr_assert(is_admitted(peer("http://a:80"), usual()));
    settle();
    cr_assert(eq(u32, journal.append_count, 2));
    cr_assert(eq(int, restart_with((struct slice){journal.last, journal.last_size}), 1));
    pass(1);
    cr_assert(is_admitted(peer("http://a:80"), usual()));
}

Test(breakers, is_closed_after_a_restart_when_it_was_closed_and_needs_no_record_for_that)
{
    open_it(peer("http://a:80"));
    settle();
    cr_assert(lt(u64, 0, breakers->live_bytes));
    pass(OPEN_MS + 1);
    call(peer("http://a:80"), usual(), BREAKERS_SUCCESS);
    settle();
    cr_assert(eq(u64, breakers->live_bytes, 0));
    cr_assert(eq(int, restart_with((struct slice){journal.last, journal.last_size}), 1));
    cr_assert(eq(u32, state_of(peer("http://a:80")), BREAKER_CLOSED));
    cr_assert(eq(u64, breakers->live_bytes, 0));
}

Test(breakers, writes_what_changed_while_a_record_was_on_its_way_after_it)
{
    struct breakers_record record;
    struct slice org, project, origin;
    struct breaker saved = {0};

    open_it(peer("http://a:80"));
    pass(OPEN_MS + 1);
    call(peer("http://a:80"), usual(), BREAKERS_SUCCESS);
    cr_assert(eq(u32, journal.append_count, 1));
    settle();
    cr_assert(eq(u32, journal.append_count, 2));
    cr_assert(breakers_record_decode((struct slice){journal.last, journal.last_size}, &record, &org,
                                     &project, &origin));
    cr_assert(slice_equal(org, SLICE_LITERAL("o")));
    cr_assert(slice_equal(project, SLICE_LITERAL("p")));
    cr_assert(slice_equal(origin, SLICE_LITERAL("http://a:80")));
    breaker_init(&saved, usual(), now_ms, 0);
    cr_assert(eq(int, breaker_load(&saved, &record.saved), 0));
    cr_assert(eq(int, breaker_state(&saved), BREAKER_CLOSED));
}

Test(breakers, writes_more_changes_than_records_fit_on_their_way_at_a_time)
{
    char origin[32];

    for (uint32_t i = 0; i < 3 * BREAKERS_WRITE_COUNT; i++) {
        snprintf(origin, sizeof(origin), "http://a:%u", i + 1);
        open_it(peer(origin));
    }
    cr_assert(eq(u32, journal.in_flight, BREAKERS_WRITE_COUNT));
    settle();
    cr_assert(eq(u32, journal.append_count, 3 * BREAKERS_WRITE_COUNT));
    cr_assert(eq(u32, pool_used_count(&breakers->writes), 0));
}

Test(breakers, goes_on_in_memory_when_the_journal_has_stopped)
{
    struct breakers_entry *entry = peer("http://a:80");

    journal.answer = JOURNAL_STOPPED;
    open_it(entry);
    cr_assert(not(is_admitted(entry, usual())));
    cr_assert(eq(u32, pool_used_count(&breakers->writes), 0));
}

Test(breakers, carries_what_is_not_closed_out_of_segments_that_go)
{
    open_it(peer("http://a:80"));
    open_it(peer("http://b:80"));
    settle();
    pass(OPEN_MS + 1);
    call(peer("http://b:80"), usual(), BREAKERS_SUCCESS);
    settle();
    cr_assert(eq(u32, journal.append_count, 4));
    journal.segment = 8;
    durable_carry(&home->keeper.durables, 0, 7);
    cr_assert(eq(u32, journal.in_flight, 1));
    cr_assert(eq(u32, journal.carried_count, 0));
    settle();
    cr_assert(eq(u32, journal.append_count, 5));
    cr_assert(eq(u32, journal.carried_count, 1));
    durable_carry(&home->keeper.durables, 0, 7);
    cr_assert(eq(u32, journal.carried_count, 2)); /* nothing is left there */
}

Test(breakers, refuses_records_that_are_none)
{
    struct breakers_record record;
    struct slice org, project, origin, payload = {journal.last, 0};

    open_it(peer("http://a:80"));
    for (payload.size = 0; payload.size < journal.last_size; payload.size++)
        cr_assert(not(breakers_record_decode(payload, &record, &org, &project, &origin)));
    payload.size = journal.last_size;
    cr_assert(breakers_record_decode(payload, &record, &org, &project, &origin));
    settle();
    journal.last[8] ^= 1; /* the breaker's magic */
    cr_assert(eq(int, restart_with(payload), -EBADMSG));
    cr_assert(eq(u32, pool_used_count(&breakers->entries), 0));
}

/* --- what is shown ------------------------------------------------------------------- */

Test(breakers, are_shown_as_0_closed_1_open_and_2_half_open)
{
    call(peer("http://a:80"), usual(), BREAKERS_SUCCESS);
    open_it(peer("http://b:80"));
    pass(OPEN_MS + 1);
    cr_assert(is_admitted(peer("http://b:80"), usual()));
    open_it(peer("http://c:80"));
    breakers_sample(breakers, &samples);
    cr_assert(eq(u32, samples.count, 3));
    cr_assert(eq(str, samples.samples[0].name, "p/http://a:80"));
    cr_assert(eq(u32, samples.samples[0].state, 0));
    cr_assert(eq(str, samples.samples[1].name, "p/http://b:80"));
    cr_assert(eq(u32, samples.samples[1].state, 2));
    cr_assert(eq(str, samples.samples[2].name, "p/http://c:80"));
    cr_assert(eq(u32, samples.samples[2].state, 1));
}

Test(breakers, are_shown_by_name_up_to_a_bound_and_summed_up_above)
{
    char origin[32];

    for (uint32_t i = 0; i < BREAKERS_SAMPLE_MAX + 3; i++) {
        snprintf(origin, sizeof(origin), "http://a:%u", i + 1);
        (void)peer(origin);
    }
    open_it(peer(origin));
    breakers_sample(breakers, &samples);
    cr_assert(eq(u32, samples.count, BREAKERS_SAMPLE_MAX));
    cr_assert(eq(u32, samples.other_count, 3));
    cr_assert(eq(u32, samples.other_sum, 1));
}

Test(breakers, are_shown_without_characters_that_would_have_to_be_escaped)
{
    char origin[BREAKERS_ORIGIN_SIZE_MAX];

    memset(origin, 'x', sizeof(origin));
    (void)peer("a\"b\\c\nd");
    (void)breakers_get(breakers, SLICE_LITERAL("o"), SLICE_LITERAL("p"),
                       (struct slice){origin, sizeof(origin)}, now_ms);
    breakers_sample(breakers, &samples);
    cr_assert(eq(str, samples.samples[0].name, "p/a_b_c_d"));
    cr_assert(eq(sz, strlen(samples.samples[1].name), BREAKERS_NAME_SIZE_MAX - 1));
}

static struct breakers_view view;

static void look(const char *project)
{
    breakers_view_take(breakers, SLICE_LITERAL("o"), slice_of(project), now_ms, &view);
}

static bool is_line(uint32_t at, const char *origin)
{
    const struct breakers_view_line *line = &view.lines[at];

    return slice_equal((struct slice){line->origin, line->origin_size}, slice_of(origin));
}

Test(breakers, that_keep_most_away_are_viewed_first)
{
    uint64_t since_ms = now_ms;

    (void)peer("http://idle:80");
    call(peer("http://weak:80"), usual(), BREAKERS_FAILURE);
    open_it(peer("http://down:80"));
    open_it(peer("http://busy:80"));
    park_one(peer("http://busy:80"));
    park_one(peer("http://busy:80"));
    pass(1000);
    look("");
    cr_assert(eq(u32, view.line_count, 4));
    cr_assert(is_line(0, "http://busy:80"));
    cr_assert(is_line(1, "http://down:80"));
    cr_assert(is_line(2, "http://weak:80"));
    cr_assert(is_line(3, "http://idle:80"));
    cr_assert(eq(u32, view.lines[0].parked_count, 1)); /* the other one is the probe */
    cr_assert(eq(u64, view.lines[0].since_ms, since_ms));
    cr_assert(eq(u64, view.lines[0].breaker.until_ms, since_ms + OPEN_MS));
    cr_assert(eq(u32, view.lines[0].breaker.open_count, 1));
    cr_assert(eq(u32, view.lines[2].breaker.failure_count, 1));
    cr_assert(eq(u32, view.counts[BREAKER_CLOSED], 2));
    cr_assert(eq(u32, view.counts[BREAKER_OPEN], 2));
    cr_assert(eq(u32, view.parked_count, 1));
}

Test(breakers, are_viewed_for_one_project_and_up_to_a_bound)
{
    char origin[32];

    (void)breakers_get(breakers, SLICE_LITERAL("o"), SLICE_LITERAL("q"),
                       SLICE_LITERAL("http://q:80"), now_ms);
    for (uint32_t i = 0; i < 3 * BREAKERS_VIEW_COUNT_MAX; i++) {
        snprintf(origin, sizeof(origin), "http://a:%u", i + 1);
        (void)peer(origin);
    }
    open_it(peer(origin));
    look("q");
    cr_assert(eq(u32, view.line_count, 1));
    cr_assert(is_line(0, "http://q:80"));
    cr_assert(eq(u32, view.counts[BREAKER_OPEN], 1)); /* of the shard */
    look("");
    cr_assert(eq(u32, view.line_count, BREAKERS_VIEW_COUNT_MAX));
    cr_assert(is_line(0, origin));
}

Test(breakers, of_all_shards_are_written_in_one_order_and_fit_their_bound_at_the_worst)
{
    static struct breakers_view views[2];
    static char text[2 * BREAKERS_VIEW_COUNT_MAX * BREAKERS_VIEW_JSON_SIZE_MAX];
    const struct breakers_view *both[] = {&views[0], &views[1]};
    struct json_writer writer;
    struct slice written;

    for (uint32_t i = 0; i < 2 * BREAKERS_VIEW_COUNT_MAX; i++) {
        struct breakers_view_line *line = &views[i % 2].lines[i / 2];

        memset(line, 1, sizeof(*line)); /* control characters: six bytes for each */
        views[i % 2].line_count = i / 2 + 1;
        line->rank = 1000 - i;
        line->breaker = (struct breaker_view){BREAKER_OPEN, UINT32_MAX, UINT32_MAX, T0 + i};
        line->since_ms = T0;
        line->call_count = line->parked_count = UINT32_MAX;
        line->org_size = line->project_size = JOB_NAME_SIZE_MAX;
        line->origin_size = BREAKERS_ORIGIN_SIZE_MAX;
    }
    json_writer_init(&writer, text, BREAKERS_VIEW_COUNT_MAX * BREAKERS_VIEW_JSON_SIZE_MAX);
    breakers_view_write(both, 2, &writer);
    cr_assert(json_writer_finish(&writer, &written));
    text[written.size] = '\0';
    cr_assert(ne(ptr, strstr(text, "\"next_probe_at\":\"2025-01-01T00:00:00.001Z\""), NULL));
    cr_assert(ne(ptr, strstr(text, "\"next_probe_at\":\"2025-01-01T00:00:00.020Z\""), NULL));
    cr_assert(eq(ptr, strstr(text, "\"next_probe_at\":\"2025-01-01T00:00:00.021Z\""), NULL));
    cr_assert(lt(ptr, strstr(text, "00.001Z"), strstr(text, "00.002Z")));
}

/* --- the audit ----------------------------------------------------------------------- */

static struct breakers_audit audit(void)
{
    struct breakers_audit result;

    breakers_audit(breakers, now_ms, &result);
    return result;
}

Test(breakers, add_up_whatever_they_have_been_through)
{
    uint32_t generation;

    open_it(peer("http://a:80"));
    for (uint32_t i = 0; i < 5; i++)
        park_one(peer("http://a:80"));
    cr_assert(breakers_admit(breakers, peer("http://b:80"), usual(), now_ms, &generation));
    settle();
    cr_assert(eq(u32, audit().mismatch_count, 0));
    cr_assert(eq(u32, audit().count, 2));
    cr_assert(eq(u32, audit().open_count, 1));
    cr_assert(eq(u32, audit().call_count, 1));
    cr_assert(eq(u32, audit().parked_count, 4));
    pass(OPEN_MS + 1);
    call(peer("http://a:80"), usual(), BREAKERS_SUCCESS);
    breakers_end(breakers, peer("http://b:80"), usual(), now_ms, generation, BREAKERS_SUCCESS);
    settle();
    cr_assert(eq(u32, audit().mismatch_count, 0));
    cr_assert(eq(u32, audit().parked_count, 2));
    pass(2 * BREAKERS_PARK_MS);
    breakers_forget_late(breakers, now_ms);
    cr_assert(eq(u32, audit().parked_count, 0));
    cr_assert(eq(u32, audit().mismatch_count, 0));
}

Test(breakers, are_found_out_when_they_do_not_add_up)
{
    struct breakers_entry *entry = peer("http://a:80");

    entry->parked_count++;
    cr_assert(eq(u32, audit().mismatch_count, 3));
    entry->parked_count--;
    entry->call_count = BREAKERS_CALLS_MAX + 1;
    cr_assert(eq(u32, audit().mismatch_count, 1));
    entry->call_count = 0;
    breakers->live_bytes++;
    cr_assert(eq(u32, audit().mismatch_count, 1));
    breakers->live_bytes--;
    cr_assert(eq(u32, audit().mismatch_count, 0));
}

Test(breakers, are_unprobed_when_a_job_waits_and_none_has_come_in_time)
{
    struct breakers_entry *entry = peer("http://a:80");
    uint64_t waiting;

    open_it(entry);
    park_one(entry); /* the probe, which never comes */
    waiting = park_one(entry);
    pass(OPEN_MS + 1 + BREAKERS_LATE_MS);
    cr_assert(eq(u32, audit().unprobed_count, 0));
    pass(1);
    cr_assert(eq(u32, audit().unprobed_count, 1));
    cr_assert(eq(u32, audit().mismatch_count, 0));
    cr_assert(eq(int,
                 job_fixture_do(waiting, false, 0,
                                (struct job_fact){.header = {.kind = JOB_FACT_CANCELLED}}),
                 JOB_CLAIMED));
    cr_assert(eq(u32, audit().unprobed_count, 0)); /* nobody waits */
}

/* --- too many destinations ------------------------------------------------------------ */

static struct breakers_entry *numbered(uint32_t number)
{
    char origin[32];

    snprintf(origin, sizeof(origin), "http://a:%u", number);
    return peer(origin);
}

Test(breakers, gives_the_place_of_the_closed_one_used_longest_ago_to_a_new_destination)
{
    uint32_t generation;

    open_it(numbered(0));
    settle();
    cr_assert(breakers_admit(breakers, numbered(1), usual(), now_ms, &generation));
    for (uint32_t i = 2; i < BREAKERS_COUNT_MAX; i++)
        (void)numbered(i);
    (void)numbered(2); /* used just now: 3 is the one to go */
    call(numbered(3), usual(), BREAKERS_FAILURE);
    call(numbered(4), usual(), BREAKERS_FAILURE);
    for (uint32_t i = 5; i < BREAKERS_COUNT_MAX; i++)
        (void)numbered(i);
    (void)numbered(2);
    (void)numbered(BREAKERS_COUNT_MAX);
    cr_assert(eq(u32, pool_used_count(&breakers->entries), BREAKERS_COUNT_MAX));
    cr_assert(eq(u16, numbered(4)->breaker.consecutive_failures, 1));
    cr_assert(eq(u32, state_of(numbered(0)), BREAKER_OPEN));
    cr_assert(eq(u32, numbered(1)->call_count, 1)); /* its call is still out */
    cr_assert(eq(u16, numbered(3)->breaker.consecutive_failures, 0));
    breakers_end(breakers, numbered(1), usual(), now_ms, generation, BREAKERS_SUCCESS);
}

Test(breakers, gives_the_place_of_an_open_one_when_none_of_the_oldest_is_closed)
{
    enum { OPEN_COUNT = 80 };
    uint64_t live_bytes;

    for (uint32_t i = 0; i < OPEN_COUNT; i++)
        open_it(numbered(i));
    settle();
    (void)breakers_park(breakers, numbered(0), usual(), 1, now_ms);
    (void)breakers_park(breakers, numbered(0), usual(), 2, now_ms);
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 1));
    for (uint32_t i = 1; i < BREAKERS_COUNT_MAX; i++)
        (void)numbered(i);
    live_bytes = breakers->live_bytes;
    (void)numbered(BREAKERS_COUNT_MAX);
    cr_assert(lt(u64, breakers->live_bytes, live_bytes));
    cr_assert(eq(u32, pool_used_count(&breakers->parked), 0)); /* they come by themselves */
    cr_assert(eq(u32, state_of(numbered(1)), BREAKER_OPEN));
    cr_assert(eq(u32, state_of(numbered(0)), BREAKER_CLOSED));
}

Test(breakers, aborts_when_a_call_ends_that_was_not_admitted, .signal = SIGABRT)
{
    breakers_end(breakers, peer("http://a:80"), usual(), now_ms, 1, BREAKERS_SUCCESS);
}

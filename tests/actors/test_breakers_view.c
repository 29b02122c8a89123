#include "actors/breakers_view.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/actors/breakers_fixture.h"

/*
 * What is seen of breakers from outside: samples for metrics, views for operators, and what
 * the audit adds up.
 */

TestSuite(breakers_view, .init = breakers_fixture_begin, .fini = breakers_fixture_end);

static struct breakers_samples samples;

/* --- what is shown ------------------------------------------------------------------- */

Test(breakers_view, are_shown_as_0_closed_1_open_and_2_half_open)
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

Test(breakers_view, are_shown_by_name_up_to_a_bound_and_summed_up_above)
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

Test(breakers_view, are_shown_without_characters_that_would_have_to_be_escaped)
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

Test(breakers_view, that_keep_most_away_are_viewed_first)
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

Test(breakers_view, are_viewed_for_one_project_and_up_to_a_bound)
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

Test(breakers_view, of_all_shards_are_written_in_one_order_and_fit_their_bound_at_the_worst)
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
        views[i % 2].ranks[i / 2] = 1000 - i;
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

Test(breakers_view, add_up_whatever_they_have_been_through)
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

Test(breakers_view, are_found_out_when_they_do_not_add_up)
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

Test(breakers_view, are_unprobed_when_a_job_waits_and_none_has_come_in_time)
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

#include <errno.h>
#include <signal.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/durable.h"

/*
 * A writer that keeps what is appended until the test says that it is durable, and
 * two owners that write down what happens to them. The story of a test is a line of
 * words in the order in which they were said.
 */
enum { IN_FLIGHT_MAX = 16, STORY_SIZE = 1024 };

struct fake_writer {
    struct durable_writer writer;
    int answer; /* of append() */
    uint32_t flags;
    uint32_t append_count;
    struct journal_append *appends[IN_FLIGHT_MAX];
    uint32_t in_flight;
    uint64_t offset; /* of the next record */
    uint32_t carried_count;
    uint64_t carried_seq;
};

struct fake_owner {
    struct durable durable;
    const char *name;
    int recovery_answer;
    bool answers_at_once;
    uint64_t live;
    struct durable_fact last;
};

struct fake_step {
    struct durable_step step;
    struct journal_record records[2];
    struct slice parts[2];
    enum durable_outcome outcome;
    uint32_t done_count;
    struct fake_step *next; /* committed from on_done */
};

static struct fake_writer writer;
static struct durable_set set;
static struct fake_owner counters, timers;
static struct fake_step steps[8];
static char story[STORY_SIZE];

static void say(const char *text)
{
    size_t size = strlen(story);

    cr_assert(lt(sz, size + strlen(text) + 2, sizeof(story)));
    snprintf(story + size, sizeof(story) - size, "%s%s", size > 0 ? " " : "", text);
}

static void expect_story(const char *text)
{
    cr_expect(eq(str, story, (char *)text));
    story[0] = '\0';
}

static int fake_append(struct durable_writer *self, struct journal_append *append,
                       struct journal_record *records, uint32_t count, uint32_t flags)
{
    cr_assert(eq(ptr, self, &writer.writer));
    writer.flags = flags;
    writer.append_count++;
    if (writer.answer != JOURNAL_OK)
        return writer.answer;
    cr_assert(lt(u32, writer.in_flight, IN_FLIGHT_MAX));
    for (uint32_t i = 0; i < count; i++) {
        writer.offset += 64;
        records[i].location = journal_location_make(1, 7, writer.offset);
    }
    writer.appends[writer.in_flight++] = append;
    return JOURNAL_OK;
}

static void fake_carried(struct durable_writer *self, uint32_t log, uint64_t seq)
{
    cr_assert(eq(ptr, self, &writer.writer));
    cr_assert(eq(u32, log, 3));
    writer.carried_count++;
    writer.carried_seq = seq;
    say("carried");
}

/* What is in flight ends, in order; more may be appended meanwhile. */
static void end_all(enum journal_outcome outcome)
{
    for (uint32_t i = 0; i < writer.in_flight; i++)
        writer.appends[i]->on_durable(writer.appends[i], outcome);
    writer.in_flight = 0;
}

static struct fake_owner *owner_of(struct durable *durable)
{
    return container_of(durable, struct fake_owner, durable);
}

static int fake_apply(struct durable *self, const struct durable_fact *fact)
{
    struct fake_owner *owner = owner_of(self);
    char text[64];

    owner->last = *fact;
    if (fact->is_recovery && owner->recovery_answer < 0)
        return owner->recovery_answer;
    snprintf(text, sizeof(text), "%s:%.*s", owner->name, (int)fact->payload.size,
             fact->payload.size > 0 ? fact->payload.data : "");
    say(text);
    return 0;
}

static void fake_settle(struct durable *self)
{
    say(owner_of(self)->name);
    say("settles");
}

static void fake_resume(struct durable *self)
{
    say(owner_of(self)->name);
    say("resumes");
}

static void fake_carry(struct durable *self, uint32_t log, uint64_t seq)
{
    cr_assert(eq(u32, log, 3));
    cr_assert(lt(u64, 0, seq));
    say(owner_of(self)->name);
    say("carries");
    if (owner_of(self)->answers_at_once)
        durable_carried(self);
}

static void fake_room(struct durable *self)
{
    say(owner_of(self)->name);
    say("has room");
}

static uint64_t fake_live(struct durable *self)
{
    return owner_of(self)->live;
}

static const struct durable_type counter_type = {
    .name = "counters",
    .record_first = 10,
    .record_last = 12,
    .version_max = 2,
    .apply = fake_apply,
    .settle = fake_settle,
    .resume = fake_resume,
    .carry_up_to = fake_carry,
    .live_bytes = fake_live,
    .on_room = fake_room,
};

static const struct durable_type timer_type = {
    .name = "timers",
    .record_first = 255,
    .record_last = 255,
    .version_max = 1,
    .apply = fake_apply,
    .carry_up_to = fake_carry,
    .live_bytes = fake_live,
};

static const struct durable_type plain_type = {
    .name = "plain", .record_first = 20, .record_last = 20, .version_max = 1, .apply = fake_apply};

static void on_done(struct durable_step *step, enum durable_outcome outcome)
{
    struct fake_step *it = container_of(step, struct fake_step, step);

    it->outcome = outcome;
    it->done_count++;
    say(outcome == DURABLE_DONE ? "done" : "unknown");
    if (it->next != NULL)
        cr_assert(eq(int, durable_commit(&set, &it->next->step), JOURNAL_OK));
}

/* A step of one fact, or two when second is not 0. */
static struct durable_step *step_of(uint32_t n, uint8_t first, const char *payload, uint8_t second)
{
    struct fake_step *it = &steps[n];

    *it = (struct fake_step){.parts = {slice_of(payload), slice_of("second")}};
    for (uint32_t i = 0; i < 2; i++)
        it->records[i] = (struct journal_record){.type = i == 0 ? first : second,
                                                 .version = 1,
                                                 .partition = 5,
                                                 .parts = &it->parts[i],
                                                 .part_count = 1};
    it->step = (struct durable_step){
        .on_done = on_done, .records = it->records, .record_count = second == 0 ? 1 : 2};
    return &it->step;
}

static void setup(void)
{
    writer = (struct fake_writer){.writer = {.append = fake_append, .on_carried = fake_carried},
                                  .offset = 4096};
    counters = (struct fake_owner){.durable.type = &counter_type, .name = "counter"};
    timers = (struct fake_owner){.durable.type = &timer_type, .name = "timer"};
    story[0] = '\0';
    durable_set_init(&set, &writer.writer);
    durable_add(&set, &counters.durable);
    durable_add(&set, &timers.durable);
}

TestSuite(durable, .init = setup, .timeout = 30);

Test(durable, applies_a_fact_when_it_is_durable_and_not_before)
{
    cr_assert(eq(int, durable_commit(&set, step_of(0, 10, "one", 0)), JOURNAL_OK));
    expect_story("");
    cr_assert(not(durable_is_idle(&set)));
    end_all(JOURNAL_DURABLE);
    expect_story("counter:one done");
    cr_assert(durable_is_idle(&set));
}

Test(durable, tells_what_the_log_knows_of_a_fact)
{
    cr_assert(eq(int, durable_commit(&set, step_of(0, 11, "abc", 0)), JOURNAL_OK));
    end_all(JOURNAL_DURABLE);
    cr_assert(eq(u8, counters.last.type, 11));
    cr_assert(eq(u8, counters.last.version, 1));
    cr_assert(eq(u32, counters.last.partition, 5));
    cr_assert(eq(u32, counters.last.size, 40)); /* header, and the payload padded */
    cr_assert(eq(u64, journal_location_seq(counters.last.location), 7));
    cr_assert(eq(u64, journal_location_offset(counters.last.location), 4096 + 64));
    cr_assert(not(counters.last.is_recovery));
}

Test(durable, finds_the_owner_of_each_fact_of_a_step)
{
    cr_assert(eq(int, durable_commit(&set, step_of(0, 255, "fired", 10)), JOURNAL_OK));
    cr_assert(eq(u32, writer.append_count, 1)); /* one group */
    end_all(JOURNAL_DURABLE);
    expect_story("timer:fired counter:second done");
}

Test(durable, keeps_the_order_of_commits_and_allows_more_from_a_commits_end)
{
    (void)step_of(2, 10, "three", 0);
    (void)step_of(0, 10, "one", 0);
    steps[0].next = &steps[2];
    cr_assert(eq(int, durable_commit(&set, &steps[0].step), JOURNAL_OK));
    cr_assert(eq(int, durable_commit(&set, step_of(1, 10, "two", 0)), JOURNAL_OK));
    end_all(JOURNAL_DURABLE);
    expect_story("counter:one done counter:two done counter:three done");
}

Test(durable, applies_nothing_when_the_journal_fails)
{
    cr_assert(eq(int, durable_commit(&set, step_of(0, 10, "one", 0)), JOURNAL_OK));
    end_all(JOURNAL_OUTCOME_UNKNOWN);
    expect_story("unknown");
    cr_assert(durable_is_idle(&set));
}

Test(durable, forwards_every_refusal_and_does_nothing_then)
{
    static const int ANSWERS[] = {JOURNAL_FULL, JOURNAL_NO_SPACE, JOURNAL_STOPPED, -EMSGSIZE};

    for (size_t i = 0; i < ARRAY_COUNT(ANSWERS); i++) {
        writer.answer = ANSWERS[i];
        cr_assert(eq(int, durable_commit(&set, step_of(0, 10, "one", 0)), ANSWERS[i]));
        cr_assert(durable_is_idle(&set));
    }
    expect_story("");
}

Test(durable, passes_the_importance_on)
{
    struct durable_step *step = step_of(0, 10, "one", 0);

    cr_assert(eq(int, durable_commit(&set, step), JOURNAL_OK));
    cr_assert(zero(u32, writer.flags));
    step = step_of(1, 10, "two", 0);
    step->flags = JOURNAL_IMPORTANT;
    cr_assert(eq(int, durable_commit(&set, step), JOURNAL_OK));
    cr_assert(eq(u32, writer.flags, JOURNAL_IMPORTANT));
    end_all(JOURNAL_DURABLE);
}

Test(durable, keeps_what_may_wait_until_there_is_room_and_in_order)
{
    writer.answer = JOURNAL_FULL;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(durable_commit_later(&set, step_of(i, 10, i == 0 ? "a" : i == 1 ? "b" : "c", 0)));
    cr_assert(eq(u32, writer.append_count, 1)); /* nobody tries behind one that waits */
    cr_assert(eq(u32, writer.flags, JOURNAL_IMPORTANT));
    cr_assert(not(durable_is_idle(&set)));
    writer.answer = JOURNAL_OK;
    /* Nor does anybody overtake. */
    cr_assert(eq(int, durable_commit(&set, step_of(3, 10, "d", 0)), JOURNAL_FULL));
    durable_on_room(&set);
    expect_story("counter has room");
    end_all(JOURNAL_DURABLE);
    expect_story("counter:a done counter:b done counter:c done");
    cr_assert(durable_is_idle(&set));
}

Test(durable, lets_the_owners_wait_until_all_that_waits_has_found_room)
{
    writer.answer = JOURNAL_NO_SPACE;
    cr_assert(durable_commit_later(&set, step_of(0, 10, "a", 0)));
    cr_assert(durable_commit_later(&set, step_of(1, 10, "b", 0)));
    writer.answer = JOURNAL_FULL;
    durable_on_room(&set);
    expect_story("");
    cr_assert(eq(u32, writer.append_count, 2)); /* the first alone tried again */
    writer.answer = JOURNAL_OK;
    durable_on_room(&set);
    end_all(JOURNAL_DURABLE);
    expect_story("counter has room counter:a done counter:b done");
}

Test(durable, does_not_keep_what_will_never_find_room)
{
    writer.answer = JOURNAL_STOPPED;
    cr_assert(not(durable_commit_later(&set, step_of(0, 10, "a", 0))));
    writer.answer = -EMSGSIZE;
    cr_assert(not(durable_commit_later(&set, step_of(0, 10, "a", 0))));
    cr_assert(durable_is_idle(&set));
    writer.answer = JOURNAL_OK;
    durable_on_room(&set);
    cr_assert(zero(u32, writer.in_flight));
}

Test(durable, ends_what_waits_when_it_stops_and_takes_nothing_more)
{
    cr_assert(eq(int, durable_commit(&set, step_of(0, 10, "in flight", 0)), JOURNAL_OK));
    writer.answer = JOURNAL_FULL;
    cr_assert(durable_commit_later(&set, step_of(1, 10, "waits", 0)));
    writer.answer = JOURNAL_OK;
    durable_stop(&set);
    expect_story("unknown");
    cr_assert(eq(int, steps[1].outcome, DURABLE_UNKNOWN));
    cr_assert(eq(int, durable_commit(&set, step_of(2, 10, "late", 0)), JOURNAL_STOPPED));
    cr_assert(not(durable_commit_later(&set, step_of(2, 10, "late", 0))));
    durable_on_room(&set);
    end_all(JOURNAL_DURABLE);
    expect_story("counter:in flight done");
    cr_assert(durable_is_idle(&set));
}

static struct journal_record_view view_of(uint8_t type, uint8_t version, const char *payload)
{
    return (struct journal_record_view){.partition = 9,
                                        .type = type,
                                        .version = version,
                                        .location = journal_location_make(2, 3, 4096),
                                        .payload = slice_of(payload)};
}

Test(durable, applies_what_is_read_back_with_no_step_behind_it)
{
    struct journal_record_view record = view_of(12, 2, "old");

    cr_assert(eq(int, durable_recover(&set, &record), 1));
    expect_story("counter:old");
    cr_assert(counters.last.is_recovery);
    cr_assert(eq(u8, counters.last.version, 2));
    cr_assert(eq(u32, counters.last.partition, 9));
    cr_assert(eq(u32, counters.last.size, 40));
    cr_assert(eq(u32, journal_location_log(counters.last.location), 2));
}

Test(durable, leaves_records_that_nobody_owns_to_the_caller)
{
    static const uint8_t TYPES[] = {1, 9, 13, 254};

    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        struct journal_record_view record = view_of(TYPES[i], 1, "x");

        cr_assert(zero(int, durable_recover(&set, &record)));
    }
    expect_story("");
}

Test(durable, refuses_versions_it_does_not_know)
{
    static const uint8_t VERSIONS[] = {0, 3, 255};

    for (size_t i = 0; i < ARRAY_COUNT(VERSIONS); i++) {
        struct journal_record_view record = view_of(10, VERSIONS[i], "x");

        cr_assert(eq(int, durable_recover(&set, &record), -EPROTO));
    }
    expect_story("");
}

Test(durable, forwards_what_an_owner_finds_wrong_in_recovery)
{
    struct journal_record_view record = view_of(10, 1, "x");

    counters.recovery_answer = -EBADMSG;
    cr_assert(eq(int, durable_recover(&set, &record), -EBADMSG));
    counters.recovery_answer = -ENOSPC;
    cr_assert(eq(int, durable_recover(&set, &record), -ENOSPC));
}

static int refuse(struct durable *self, const struct durable_fact *fact)
{
    (void)self;
    (void)fact;
    return -EBADMSG;
}

Test(durable, dies_when_a_committed_fact_cannot_be_applied, .signal = SIGABRT)
{
    static const struct durable_type stubborn_type = {
        .record_first = 30, .record_last = 30, .version_max = 1, .apply = refuse};
    struct fake_owner stubborn = {.durable.type = &stubborn_type};

    durable_add(&set, &stubborn.durable);
    if (durable_commit(&set, step_of(0, 30, "x", 0)) == JOURNAL_OK)
        end_all(JOURNAL_DURABLE);
}

Test(durable, dies_when_two_own_the_same_record, .signal = SIGABRT)
{
    struct fake_owner other = {.durable.type = &counter_type, .name = "other"};

    durable_add(&set, &other.durable);
}

Test(durable, dies_when_nobody_owns_what_is_committed, .signal = SIGABRT)
{
    cr_assert(eq(int, durable_commit(&set, step_of(0, 99, "x", 0)), JOURNAL_OK));
}

Test(durable, settles_and_resumes_those_that_want_it)
{
    durable_settle(&set);
    expect_story("counter settles");
    durable_resume(&set);
    expect_story("counter resumes");
}

Test(durable, asks_every_owner_before_a_segment_goes)
{
    durable_carry(&set, 3, 41);
    expect_story("counter carries timer carries");
    cr_assert(durable_is_carrying(&set));
    durable_carried(&timers.durable);
    expect_story("");
    durable_carried(&counters.durable);
    expect_story("carried");
    cr_assert(eq(u64, writer.carried_seq, 41));
    cr_assert(not(durable_is_carrying(&set)));
    /* And again, for the next one. */
    durable_carry(&set, 3, 42);
    cr_assert(durable_is_carrying(&set));
}

Test(durable, waits_for_the_slow_owner_whoever_answers_at_once)
{
    counters.answers_at_once = true;
    durable_carry(&set, 3, 41);
    expect_story("counter carries timer carries");
    durable_carried(&timers.durable);
    expect_story("carried");
    counters.answers_at_once = false;
    timers.answers_at_once = true;
    durable_carry(&set, 3, 42);
    expect_story("counter carries timer carries");
    durable_carried(&counters.durable);
    expect_story("carried");
}

Test(durable, lets_a_segment_go_at_once_when_all_answer_at_once)
{
    counters.answers_at_once = true;
    timers.answers_at_once = true;
    durable_carry(&set, 3, 41);
    expect_story("counter carries timer carries carried");
    cr_assert(eq(u32, writer.carried_count, 1));
}

Test(durable, lets_a_segment_go_at_once_when_nobody_carries)
{
    struct fake_owner plain = {.durable.type = &plain_type, .name = "plain"};

    durable_set_init(&set, &writer.writer);
    durable_carry(&set, 3, 1);
    expect_story("carried");
    durable_add(&set, &plain.durable);
    durable_carry(&set, 3, 2);
    expect_story("carried");
    cr_assert(not(durable_is_carrying(&set)));
}

Test(durable, dies_when_an_owner_answers_unasked, .signal = SIGABRT)
{
    durable_carried(&counters.durable);
}

Test(durable, adds_up_what_is_alive)
{
    struct fake_owner plain = {.durable.type = &plain_type, .name = "plain", .live = 1000};

    durable_add(&set, &plain.durable);
    counters.live = 5;
    timers.live = (uint64_t)1 << 40;
    cr_assert(eq(u64, durable_live_bytes(&set), ((uint64_t)1 << 40) + 5));
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/dead_walk.h"
#include "tests/store/job_fixture.h"

enum { LETTER_COUNT = 200, STEPS = 1000000 };

static const struct job_ask PLAIN;
static const struct job_fact DEAD = {
    .header = {.kind = JOB_FACT_DEAD, .reason = JOB_DEAD_ATTEMPTS, .attempt = 1}};
static const struct job_fact DROPPED = {.header = {.kind = JOB_FACT_DROPPED}};

static void setup(void)
{
    struct job_table_config config = job_fixture_config();

    config.dead_count_max = 4 * LETTER_COUNT;
    job_fixture_new(&config);
}

TestSuite(dead_walk, .init = setup, .fini = job_fixture_end, .timeout = 20);
TestSuite(dead_filter, .init = setup, .fini = job_fixture_end, .timeout = 20);

static uint64_t make_letter(const struct job_ask *ask, uint64_t at_ms)
{
    uint64_t id = job_fixture_enqueue(ask);
    struct job_fact fact = DEAD;

    fact.header.at_ms = at_ms;
    cr_assert(eq(int, job_fixture_do(id, false, 0, fact), JOB_CLAIMED));
    return id;
}

static uint64_t make_letter_as(const struct job_ask *ask, uint64_t id, uint64_t at_ms)
{
    struct job_image image = job_fixture_image(ask, id);
    struct job_fact fact = DEAD;
    struct job_ref ref;

    cr_assert(eq(int, job_fixture_admit(ask, id, &ref), JOB_ADMITTED));
    job_fixture_apply_job(&image, 0);
    fact.header.at_ms = at_ms;
    cr_assert(eq(int, job_fixture_do(id, false, 0, fact), JOB_CLAIMED));
    return id;
}

static void drop(uint64_t id)
{
    struct job_fact fact = DROPPED;

    fact.header.at_ms = now_ms;
    cr_assert(eq(int, job_fixture_do(id, false, 0, fact), JOB_CLAIMED));
}

/* The id of the next letter; 0 at the end. Looks at step_max at a time. */
static uint64_t next(struct dead_walk *walk, const struct dead_filter *filter, uint32_t step_max)
{
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t steps_left = step_max;
        struct job_view view;
        struct job_ref ref;

        switch (dead_walk_next(walk, table, filter, &steps_left, &ref)) {
        case DEAD_STEP_LETTER:
            job_table_view(table, ref, &view);
            return view.id_low;
        case DEAD_STEP_PAUSE:
            break;
        case DEAD_STEP_END:
            return 0;
        }
    }
    cr_assert(false, "the walk does not end");
    return 0;
}

Test(dead_walk, goes_by_the_time_of_death)
{
    struct dead_filter all = {.reason = 0};
    struct dead_walk walk = {.takes_away = false};
    uint64_t late = make_letter(&PLAIN, T0 + 300), early = make_letter(&PLAIN, T0 + 100),
             middle = make_letter(&PLAIN, T0 + 200);

    cr_expect(eq(u64, next(&walk, &all, 1), early));
    cr_expect(eq(u64, next(&walk, &all, 1), middle));
    cr_expect(eq(u64, next(&walk, &all, 1), late));
    cr_expect(eq(u64, next(&walk, &all, 1), 0));
}

Test(dead_walk, keeps_the_order_of_a_serial_key_within_a_millisecond_and_over_a_restart)
{
    struct job_ask ask = {.key = "k"};
    struct dead_filter all = {.reason = 0};
    struct dead_walk walk = {.takes_away = false};
    uint64_t ids[8];

    /* The later one has the smaller id: ids are drawn. */
    for (uint32_t i = 0; i < 8; i++)
        ids[i] = make_letter_as(&ask, 1000 - i, T0 + 500);
    /* Carried forward in any order, they stand in that of the log when it is read. */
    for (uint32_t i = 8; i-- > 0;)
        job_fixture_carry(ids[i], "k", 0);
    job_fixture_restart();
    for (uint32_t i = 0; i < 8; i++)
        cr_expect(eq(u64, next(&walk, &all, STEPS), ids[i]), "letter %u", i);
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(dead_walk, is_sorted_after_a_restart_whatever_the_order_of_the_log)
{
    struct dead_filter all = {.reason = 0};
    struct dead_walk walk = {.takes_away = false};
    struct job_dead_place before = {.dead_ms = 0}, place;
    struct job_ref ref;
    uint32_t count = 0;

    for (uint32_t i = 0; i < LETTER_COUNT; i++)
        make_letter(&PLAIN, T0 + 1 + (uint64_t)i * 7919 % 97);
    job_fixture_restart();
    for (uint64_t id; (id = next(&walk, &all, 3)) != 0; count++) {
        cr_assert(job_table_find(table, id, &ref));
        job_table_dead_place(table, ref, &place);
        cr_assert(job_dead_place_compare(&before, &place) < 0, "letter %u", count);
        before = place;
    }
    cr_expect(eq(u32, count, LETTER_COUNT));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(dead_walk, neither_skips_nor_repeats_while_letters_come_and_go)
{
    struct dead_filter all = {.reason = 0};
    struct dead_walk walk = {.takes_away = false};
    uint64_t ids[LETTER_COUNT], id;
    uint32_t seen = 0;

    for (uint32_t i = 0; i < LETTER_COUNT; i++)
        ids[i] = make_letter(&PLAIN, T0 + 1000 + i);
    while ((id = next(&walk, &all, 5)) != 0) {
        cr_assert(eq(u64, id, ids[seen]));
        /* The one just seen goes, with the place that the walk remembers; older ones come. */
        drop(id);
        if (seen % 10 == 0)
            make_letter(&PLAIN, T0 + 1 + seen);
        seen++;
    }
    cr_expect(eq(u32, seen, LETTER_COUNT));
}

Test(dead_walk, goes_on_behind_a_place_whose_letter_is_gone)
{
    struct dead_filter all = {.reason = 0};
    struct dead_walk walk = {.takes_away = false};
    uint64_t first = make_letter(&PLAIN, T0 + 1), second = make_letter(&PLAIN, T0 + 2);
    struct job_ref ref;

    cr_assert(job_table_find(table, first, &ref));
    job_table_dead_place(table, ref, &walk.from);
    drop(first);
    cr_expect(eq(u64, next(&walk, &all, 1), second));
    cr_expect(eq(u64, next(&walk, &all, 1), 0));
}

Test(dead_walk, that_takes_away_finds_its_place_behind_those_that_stay)
{
    struct dead_filter mail = {.reason = 0};
    struct dead_walk walk = {.takes_away = true};
    struct job_ask other = {.kind = "other"};
    uint64_t id;
    uint32_t count = 0, steps_left;
    struct job_ref ref;

    cr_assert(dead_filter_set(&mail, DEAD_FIELD_ORIGIN, SLICE_LITERAL("job:mail")) == NULL);
    for (uint32_t i = 0; i < LETTER_COUNT; i++)
        make_letter(i % 2 == 0 ? &other : &PLAIN, T0 + 1 + i);
    while ((id = next(&walk, &mail, 5)) != 0) {
        drop(id);
        count++;
    }
    cr_expect(eq(u32, count, LETTER_COUNT / 2));
    /* What it has passed over is not looked at again: one more letter, one more step. */
    id = make_letter(&PLAIN, T0 + 1000);
    steps_left = 2;
    cr_assert(eq(int, dead_walk_next(&walk, table, &mail, &steps_left, &ref), DEAD_STEP_LETTER));
    cr_expect(eq(u32, job_fixture_view(id).ref.index, ref.index));
}

static bool takes(const struct dead_filter *filter, uint64_t id)
{
    struct job_view view = job_fixture_view(id);

    return dead_filter_takes(filter, &view);
}

Test(dead_filter, takes_what_meets_every_condition)
{
    struct job_ask ask = {.kind = "report", .project = "q"};
    uint64_t id = make_letter(&ask, T0 + 5000), other = make_letter(&PLAIN, T0 + 5000);
    struct dead_filter filter = {.reason = 0};

    cr_expect(takes(&filter, id));
    cr_assert(dead_filter_set(&filter, DEAD_FIELD_ORIGIN, SLICE_LITERAL("job:report")) == NULL);
    cr_expect(takes(&filter, id));
    cr_expect(not(takes(&filter, other)));
    cr_assert(dead_filter_set(&filter, DEAD_FIELD_PROJECT, SLICE_LITERAL("q")) == NULL);
    cr_assert(dead_filter_set(&filter, DEAD_FIELD_REASON, SLICE_LITERAL("attempts_exhausted")) ==
              NULL);
    cr_assert(dead_filter_set(&filter, DEAD_FIELD_SINCE, SLICE_LITERAL("2025-01-01T00:00:05Z")) ==
              NULL);
    cr_expect(takes(&filter, id));
    cr_assert(dead_filter_set(&filter, DEAD_FIELD_UNTIL, SLICE_LITERAL("2025-01-01T00:00:05Z")) ==
              NULL);
    cr_expect(not(takes(&filter, id)));
    cr_assert(dead_filter_set(&filter, DEAD_FIELD_UNTIL,
                              SLICE_LITERAL("2025-01-01T00:00:05.001Z")) == NULL);
    cr_expect(takes(&filter, id));
    cr_assert(dead_filter_set(&filter, DEAD_FIELD_REASON, SLICE_LITERAL("poison")) == NULL);
    cr_expect(not(takes(&filter, id)));
}

Test(dead_filter, refuses_what_is_no_condition_and_leaves_it_unset)
{
    static const struct {
        enum dead_field field;
        const char *text;
    } BAD[] = {
        {DEAD_FIELD_ORG, ""},
        {DEAD_FIELD_PROJECT, "01234567890123456789012345678901234567890123456789012345678901234"},
        {DEAD_FIELD_ORIGIN, "mail"},
        {DEAD_FIELD_ORIGIN, "job:"},
        {DEAD_FIELD_ORIGIN, "webhook:mail"},
        {DEAD_FIELD_REASON, "none"},
        {DEAD_FIELD_REASON, "Poison"},
        {DEAD_FIELD_SINCE, "yesterday"},
        {DEAD_FIELD_UNTIL, "2025-02-30T00:00:00Z"},
    };
    static const struct dead_filter EMPTY;
    struct dead_filter filter = {.reason = 0};

    for (uint32_t i = 0; i < ARRAY_COUNT(BAD); i++)
        cr_expect(dead_filter_set(&filter, BAD[i].field, slice_of(BAD[i].text)) != NULL, "%s",
                  BAD[i].text);
    cr_expect(memcmp(&filter, &EMPTY, sizeof(filter)) == 0);
}

/* --- replaying ------------------------------------------------------------------------- */

static struct job_image replay_of(const struct job_ask *ask, uint64_t old, uint64_t id)
{
    struct job_image image = job_fixture_image(ask, id);

    image.header.flags = JOB_FLAG_IS_REPLAY;
    image.header.link = old;
    return image;
}

static void replay(const struct job_ask *ask, uint64_t old, uint64_t id)
{
    struct job_fact replayed = {.header = {.kind = JOB_FACT_REPLAYED, .link = id}};
    struct job_image image = replay_of(ask, old, id);
    struct job_ref ref;

    cr_assert(eq(int, job_table_admit(table, job_fixture_queue("mail"), &image, now_ms, &ref),
                 JOB_ADMITTED));
    job_fixture_apply_job(&image, 0);
    cr_assert(eq(int, job_fixture_do(old, false, 0, replayed), JOB_CLAIMED));
}

Test(dead_walk, lets_the_replay_of_a_letter_have_its_idempotency_key)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_IDEMPOTENCY,
                          .unique_key = 7,
                          .unique_until_ms = T0 + 86400000,
                          .body_hash = 3};
    uint64_t old = make_letter(&ask, now_ms);
    struct job_ref ref;

    /* Anybody else with this key is still a duplicate of the letter. */
    cr_assert(eq(int, job_fixture_admit(&ask, 900, &ref), JOB_DUPLICATE));
    replay(&ask, old, 901);
    cr_assert(eq(int, job_fixture_admit(&ask, 902, &ref), JOB_DUPLICATE));
    cr_expect(eq(u32, ref.index, job_fixture_view(901).ref.index));
    job_fixture_restart();
    cr_expect(job_fixture_view(old).is_replayed);
    cr_expect(eq(u64, job_fixture_view(901).link, old));
    cr_assert(eq(int, job_fixture_admit(&ask, 903, &ref), JOB_DUPLICATE));
    cr_expect(eq(u32, ref.index, job_fixture_view(901).ref.index));
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(dead_walk, refuses_the_replay_of_a_singleton_while_another_one_lives)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_SINGLETON, .unique_key = 8};
    uint64_t old = make_letter(&ask, now_ms), other = job_fixture_enqueue(&ask);
    struct job_image image = replay_of(&ask, old, 910);
    struct job_ref ref;

    cr_assert(eq(int, job_table_admit(table, job_fixture_queue("mail"), &image, now_ms, &ref),
                 JOB_DUPLICATE));
    cr_expect(eq(u32, ref.index, job_fixture_view(other).ref.index));
}

Test(dead_walk, does_not_bring_back_a_claim_with_a_key_that_has_lapsed)
{
    struct job_ask ask = {.unique = JOB_UNIQUE_SINGLETON, .unique_key = 9};
    uint64_t old = make_letter(&ask, now_ms);
    struct job_image image = job_fixture_image(&ask, old);
    struct job_ref ref;

    image.header.state = JOB_DEAD;
    image.header.reason = JOB_DEAD_ATTEMPTS;
    image.header.flags = JOB_FLAG_CARRIED | JOB_FLAG_LAPSED;
    image.header.ended_ms = now_ms;
    job_fixture_apply_job(&image, 0);
    job_fixture_restart();
    cr_expect(eq(int, job_fixture_state(old), JOB_DEAD));
    cr_expect(eq(int, job_fixture_admit(&ask, 920, &ref), JOB_ADMITTED));
}

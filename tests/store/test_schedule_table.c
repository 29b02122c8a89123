#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "store/schedule_due.h"
#include "store/schedule_table.h"

static struct schedule_table *table;
static char bytes[SCHEDULE_RECORD_SIZE_MAX];
static uint64_t offset;

static const struct slice ORG = SLICE_INITIALIZER("org");
static const struct slice PROJECT = SLICE_INITIALIZER("project");

static void setup(void)
{
    cr_assert(eq(int, schedule_table_new(&table), 0));
    offset = 0;
}

static void teardown(void)
{
    schedule_table_free(&table);
    cr_assert(table == NULL);
}

TestSuite(schedule_table, .init = setup, .fini = teardown);

static struct schedule_image image_of(struct slice name, uint64_t revision)
{
    return (struct schedule_image){
        .header = {.revision = revision, .created_ms = 1, .updated_ms = 2, .settled_ms = 3},
        .sections = {
            [SCHEDULE_SECTION_ORG] = ORG,
            [SCHEDULE_SECTION_PROJECT] = PROJECT,
            [SCHEDULE_SECTION_NAME] = name,
            [SCHEDULE_SECTION_CRON] = SLICE_LITERAL("0 * * * *"),
            [SCHEDULE_SECTION_ZONE] = SLICE_LITERAL("UTC"),
            [SCHEDULE_SECTION_KIND] = SLICE_LITERAL("mail.send"),
            [SCHEDULE_SECTION_PAYLOAD] = SLICE_LITERAL("{\"a\":1}"),
        }};
}

static struct schedule_image tombstone_of(struct slice name, uint64_t revision)
{
    struct schedule_image image = image_of(name, revision);

    image.header.flags = SCHEDULE_FLAG_DELETED;
    for (uint32_t i = SCHEDULE_SECTION_CRON; i < SCHEDULE_SECTION_COUNT; i++)
        image.sections[i] = (struct slice){NULL, 0};
    return image;
}

/* As if it stood in segment seq of log. */
static struct schedule *apply(const struct schedule_image *image, uint32_t log, uint64_t seq)
{
    struct slice payload = {bytes, schedule_image_encode(image, bytes)};
    struct schedule *schedule = NULL;

    offset += 4096;
    cr_assert(eq(int,
                 schedule_table_apply(table, payload, journal_location_make(log, seq, offset), 100,
                                      &schedule),
                 0));
    return schedule;
}

static struct schedule *find(const char *name)
{
    return schedule_table_find(table, ORG, PROJECT, slice_of(name));
}

Test(schedule_table, finds_what_was_applied_under_its_own_tenant_only)
{
    struct schedule_image image = image_of(SLICE_LITERAL("nightly"), 1);
    struct schedule *schedule = apply(&image, 0, 1);

    cr_assert(eq(int, schedule->state, SCHEDULE_LIVE));
    cr_assert(find("nightly") == schedule);
    cr_assert(find("other") == NULL);
    cr_assert(schedule_table_find(table, ORG, ORG, SLICE_LITERAL("nightly")) == NULL);
    cr_assert(
        slice_equal(schedule_text(schedule, SCHEDULE_SECTION_PAYLOAD), SLICE_LITERAL("{\"a\":1}")));
    cr_assert(eq(u32, schedule_table_count(table), 1));
    cr_assert(eq(u64, schedule_table_live_bytes(table), 100));
}

Test(schedule_table, forgets_a_name_whose_record_was_refused)
{
    struct schedule *schedule = schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("new"));

    cr_assert(eq(int, schedule->state, SCHEDULE_NEW));
    cr_assert(schedule->is_committing);
    cr_assert(find("new") == schedule);
    schedule_table_withdraw(table, schedule);
    cr_assert(find("new") == NULL);
    cr_assert(eq(u32, schedule_table_count(table), 0));
    cr_assert(eq(u32, schedule_table_end(table), 0));
}

Test(schedule_table, keeps_a_schedule_whose_change_was_refused)
{
    struct schedule_image image = image_of(SLICE_LITERAL("nightly"), 1);
    struct schedule *schedule = apply(&image, 0, 1);

    cr_assert(schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("nightly")) == schedule);
    schedule_table_withdraw(table, schedule);
    cr_assert(find("nightly") == schedule);
    cr_assert(not(schedule->is_committing));
}

Test(schedule_table, aborts_on_a_second_claim, .signal = SIGABRT)
{
    cr_assert(schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("new")) != NULL);
    cr_assert(schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("new")) == NULL);
}

Test(schedule_table, forgets_what_was_removed)
{
    struct schedule_image image = image_of(SLICE_LITERAL("nightly"), 1);
    struct schedule_image tombstone = tombstone_of(SLICE_LITERAL("nightly"), 2);
    struct schedule *schedule = apply(&image, 0, 1);

    cr_assert(apply(&tombstone, 0, 1) == schedule);
    cr_assert(eq(int, schedule->state, SCHEDULE_GONE));
    cr_assert(find("nightly") == NULL);
    schedule_table_forget(table, schedule);
    cr_assert(eq(u32, schedule_table_end(table), 0));
    cr_assert(eq(u64, schedule_table_live_bytes(table), 0));
}

Test(schedule_table, lets_no_older_image_of_another_log_bring_back_what_was_removed)
{
    struct schedule_image image = image_of(SLICE_LITERAL("nightly"), 7);
    struct schedule_image tombstone = tombstone_of(SLICE_LITERAL("nightly"), 8);

    apply(&tombstone, 0, 5);
    cr_assert(apply(&image, 1, 3) == NULL);
    cr_assert(find("nightly") == NULL);
    schedule_table_resume(table);
    /* It has to be carried, for the other log may outlive this segment. */
    cr_assert(ne(u32, schedule_table_find_up_to(table, 0, 0, 5), SCHEDULE_SLOT_COUNT_MAX));
    cr_assert(eq(u64, schedule_table_next_revision(table), 9));
}

Test(schedule_table, takes_the_latest_revision_whatever_the_order_of_the_logs)
{
    struct schedule_image old = image_of(SLICE_LITERAL("nightly"), 7);
    struct schedule_image latest = image_of(SLICE_LITERAL("nightly"), 9);

    latest.sections[SCHEDULE_SECTION_KIND] = SLICE_LITERAL("latest");
    apply(&latest, 1, 3);
    cr_assert(apply(&old, 2, 8) == NULL);
    cr_assert(slice_equal(schedule_text(find("nightly"), SCHEDULE_SECTION_KIND),
                          SLICE_LITERAL("latest")));
    cr_assert(eq(u32, schedule_table_find_up_to(table, 0, 2, 8), SCHEDULE_SLOT_COUNT_MAX));
}

Test(schedule_table, can_be_made_again_while_its_removal_is_remembered)
{
    struct schedule_image image = image_of(SLICE_LITERAL("nightly"), 7);
    struct schedule_image tombstone = tombstone_of(SLICE_LITERAL("nightly"), 8);
    struct schedule *schedule;

    apply(&image, 1, 3);
    schedule = apply(&tombstone, 0, 5);
    schedule_table_forget(table, schedule);
    cr_assert(eq(int, schedule->state, SCHEDULE_GONE));
    cr_assert(schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("nightly")) == schedule);
    cr_assert(find("nightly") == schedule);
    image.header.revision = schedule_table_next_revision(table);
    cr_assert(apply(&image, 0, 6) == schedule);
    cr_assert(eq(int, schedule->state, SCHEDULE_LIVE));
    cr_assert(eq(u32, schedule_table_count(table), 1));
}

Test(schedule_table, names_what_is_due_and_not_being_written)
{
    struct schedule_image first = image_of(SLICE_LITERAL("first"), 1);
    struct schedule_image second = image_of(SLICE_LITERAL("second"), 2);
    struct schedule *one = apply(&first, 0, 1);
    struct schedule *two = apply(&second, 0, 1);

    cr_assert(eq(u64, schedule_table_earliest(table), SCHEDULE_NEVER_MS));
    schedule_table_set_next(table, one, 500);
    schedule_table_set_next(table, two, 400);
    cr_assert(eq(u64, schedule_table_earliest(table), 400));
    cr_assert(schedule_table_due(table, 0, 399) == NULL);
    cr_assert(schedule_table_due(table, 0, 400) == two);
    cr_assert(schedule_table_due(table, 0, 500) == one);
    cr_assert(schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("first")) == one);
    cr_assert(schedule_table_due(table, 0, 500) == two);
}

Test(schedule_table, refuses_more_than_its_bound)
{
    char name[16];

    for (uint32_t i = 0; i < SCHEDULE_COUNT_MAX; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        cr_assert(schedule_table_claim(table, ORG, PROJECT, slice_of(name)) != NULL);
    }
    cr_assert(schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("one.more")) == NULL);
}

Test(schedule_table, takes_those_of_many_shards_from_a_log)
{
    struct schedule_image image = image_of(SLICE_LITERAL("x"), 1);
    char name[16];

    for (uint32_t i = 0; i < 8 * SCHEDULE_COUNT_MAX; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        image.sections[SCHEDULE_SECTION_NAME] = slice_of(name);
        cr_assert(apply(&image, 0, 1) != NULL);
    }
    cr_expect(schedule_table_claim(table, ORG, PROJECT, SLICE_LITERAL("one.more")) == NULL);
}

Test(schedule_table, refuses_a_payload_that_makes_no_sense)
{
    struct schedule_image image = image_of(SLICE_LITERAL("nightly"), 1);
    uint64_t size = schedule_image_encode(&image, bytes);
    struct schedule *schedule;

    for (uint64_t i = 0; i < size; i++)
        cr_assert(eq(int,
                     schedule_table_apply(table, (struct slice){bytes, i},
                                          journal_location_make(0, 1, 0), 1, &schedule),
                     -EBADMSG));
    cr_assert(eq(u32, schedule_table_end(table), 0));
}

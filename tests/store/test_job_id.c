#include <signal.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/job_id.h"

TestSuite(job_id, .timeout = 30);

static const char TEXT[] = "018bcfe5-687b-7abc-b123-456789abcdef";

Test(job_id, is_a_version_7_uuid_with_the_partition_in_it)
{
    struct job_id id = {0x018bcfe5687b, 0x3123456789abcdef, 0xabc};
    char text[UUID_TEXT_SIZE];

    job_id_format(id, text);
    cr_assert(slice_equal((struct slice){text, sizeof(text)}, SLICE_LITERAL(TEXT)));
}

Test(job_id, is_read_back_in_either_case)
{
    static const char *const TEXTS[] = {TEXT, "018BCFE5-687B-7ABC-B123-456789ABCDEF"};

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        struct job_id id;

        cr_assert(job_id_parse(slice_of(TEXTS[i]), &id));
        cr_assert(eq(u64, id.created_ms, 0x018bcfe5687b));
        cr_assert(eq(u64, id.id_low, 0x3123456789abcdef));
        cr_assert(eq(u32, id.partition, 0xabc));
    }
}

Test(job_id, survives_the_round_trip_at_its_limits)
{
    static const uint64_t TIMES[] = {0, 1, ((uint64_t)1 << 48) - 1};
    static const uint64_t RANDOMS[] = {0, 1, (uint64_t)1 << 62, UINT64_MAX};
    static const uint32_t PARTITIONS[] = {0, 1, JOB_PARTITION_COUNT_MAX - 1};

    for (size_t i = 0; i < 3 * 4 * 3; i++) {
        struct job_id made = job_id_make(TIMES[i % 3], PARTITIONS[i / 3 % 3], RANDOMS[i / 9]);
        struct job_id read;
        char text[UUID_TEXT_SIZE];

        cr_assert(ne(u64, made.id_low, 0));
        cr_assert(le(u64, made.id_low, JOB_ID_LOW_MAX));
        job_id_format(made, text);
        cr_assert(job_id_parse((struct slice){text, sizeof(text)}, &read));
        cr_assert(eq(u64, read.created_ms, made.created_ms));
        cr_assert(eq(u64, read.id_low, made.id_low));
        cr_assert(eq(u32, read.partition, made.partition));
    }
}

Test(job_id, sorts_by_age_as_text)
{
    char before[UUID_TEXT_SIZE];
    char after[UUID_TEXT_SIZE];

    job_id_format(job_id_make(1700000000000, 4095, UINT64_MAX), before);
    job_id_format(job_id_make(1700000000001, 0, 1), after);
    cr_assert(lt(int, memcmp(before, after, UUID_TEXT_SIZE), 0));
}

Test(job_id, is_not_any_other_uuid)
{
    static const char *const TEXTS[] = {
        "",
        "018bcfe5-687b-7abc-b123-456789abcde",
        "018bcfe5-687b-7abc-b123-456789abcdef0",
        "018bcfe5-687b-7abc-b123-456789abcdeg",
        "018bcfe5687b7abcb123456789abcdef",
        "018bcfe5-687b-4abc-b123-456789abcdef", /* version 4 */
        "018bcfe5-687b-8abc-b123-456789abcdef",
        "018bcfe5-687b-7abc-3123-456789abcdef", /* another variant */
        "018bcfe5-687b-7abc-7123-456789abcdef",
        "018bcfe5-687b-7abc-f123-456789abcdef",
        "018bcfe5-687b-7abc-8000-000000000000", /* no id at all */
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    };

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        struct job_id id = {7, 8, 9};

        cr_assert(not(job_id_parse(slice_of(TEXTS[i]), &id)), "%s", TEXTS[i]);
        cr_assert(eq(u64, id.id_low, 8));
    }
}

Test(job_id, cannot_be_made_for_a_partition_that_does_not_fit, .signal = SIGABRT)
{
    (void)job_id_make(1, JOB_PARTITION_COUNT_MAX, 1);
}

/* Moving a project to another partition would lose its jobs: these may never change. */
Test(job_partition, stays_what_it_is)
{
    cr_assert(
        eq(u32, job_partition(SLICE_LITERAL("org_demo"), SLICE_LITERAL("proj_demo"), 64), 51));
    cr_assert(eq(u32, job_partition(SLICE_LITERAL("a"), SLICE_LITERAL("b"), 64), 10));
}

Test(job_partition, fits_into_an_id_whatever_the_data_directory_has)
{
    char name[65];
    uint32_t seen_max = 0;

    for (int i = 0; i < 20000; i++) {
        size_t size = (size_t)snprintf(name, sizeof(name), "p%d", i);
        uint32_t partition =
            job_partition(SLICE_LITERAL("o"), (struct slice){name, size}, UINT32_MAX);

        cr_assert(lt(u32, partition, JOB_PARTITION_COUNT_MAX));
        seen_max = seen_max > partition ? seen_max : partition;
        cr_assert(zero(u32, job_partition(SLICE_LITERAL("o"), (struct slice){name, size}, 1)));
    }
    cr_assert(lt(u32, JOB_PARTITION_COUNT_MAX - 64, seen_max));
}

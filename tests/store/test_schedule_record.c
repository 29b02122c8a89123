#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "store/schedule_record.h"

static char bytes[SCHEDULE_RECORD_SIZE_MAX];
static struct schedule_image decoded;

static struct schedule_image whole_image(void)
{
    return (struct schedule_image){.header = {.revision = 9,
                                              .created_ms = 1,
                                              .updated_ms = 2,
                                              .settled_ms = 3,
                                              .last_ms = 4,
                                              .last_job_ms = 5,
                                              .last_job_low = 6,
                                              .fired_count = 7,
                                              .missed_count = 8,
                                              .skipped_count = 10,
                                              .timeout_ms = 11,
                                              .catch_up_left = 12,
                                              .missed = SCHEDULE_SKIP,
                                              .priority = 7,
                                              .max_attempts = 13,
                                              .flags = SCHEDULE_FLAG_PAUSED},
                                   .sections = {
                                       [SCHEDULE_SECTION_ORG] = SLICE_LITERAL("org"),
                                       [SCHEDULE_SECTION_PROJECT] = SLICE_LITERAL("project"),
                                       [SCHEDULE_SECTION_NAME] = SLICE_LITERAL("nightly"),
                                       [SCHEDULE_SECTION_CRON] = SLICE_LITERAL("30 2 * * *"),
                                       [SCHEDULE_SECTION_ZONE] = SLICE_LITERAL("Europe/Berlin"),
                                       [SCHEDULE_SECTION_KIND] = SLICE_LITERAL("report"),
                                       [SCHEDULE_SECTION_KEY] = SLICE_LITERAL("customer 7"),
                                       [SCHEDULE_SECTION_PAYLOAD] = SLICE_LITERAL("{\"a\":[1]}"),
                                   }};
}

static int decode(uint64_t size)
{
    return schedule_image_decode((struct slice){bytes, size}, &decoded);
}

Test(schedule_record, comes_back_as_it_was)
{
    struct schedule_image image = whole_image();
    uint64_t size = schedule_image_encode(&image, bytes);

    cr_assert(eq(u64, size, schedule_image_size(&image)));
    cr_assert(eq(int, decode(size), 0));
    for (uint32_t i = 0; i < SCHEDULE_SECTION_COUNT; i++) {
        cr_assert(slice_equal(decoded.sections[i], image.sections[i]));
        image.header.sizes[i] = (uint32_t)image.sections[i].size;
    }
    cr_assert(eq(int, memcmp(&decoded.header, &image.header, sizeof(image.header)), 0));
}

Test(schedule_record, of_a_removed_schedule_has_names_only)
{
    struct schedule_image image = whole_image();

    image.header.flags = SCHEDULE_FLAG_DELETED;
    for (uint32_t i = SCHEDULE_SECTION_CRON; i < SCHEDULE_SECTION_COUNT; i++)
        image.sections[i] = (struct slice){NULL, 0};
    cr_assert(eq(int, decode(schedule_image_encode(&image, bytes)), 0));
    cr_assert(slice_equal(decoded.sections[SCHEDULE_SECTION_NAME], SLICE_LITERAL("nightly")));
}

Test(schedule_record, is_refused_when_it_is_cut_or_too_long)
{
    struct schedule_image image = whole_image();
    uint64_t size = schedule_image_encode(&image, bytes);

    for (uint64_t i = 0; i < size; i++)
        cr_assert(eq(int, decode(i), -EBADMSG));
    bytes[size] = 'x';
    cr_assert(eq(int, decode(size + 1), -EBADMSG));
}

/* What becomes of a good record when one field of its head is set. */
#define WITH(field, value)                                                                         \
    __extension__({                                                                                \
        struct schedule_image image = whole_image();                                               \
        struct schedule_image_header head;                                                         \
        uint64_t size = schedule_image_encode(&image, bytes);                                      \
                                                                                                   \
        memcpy(&head, bytes, sizeof(head));                                                        \
        head.field = (value);                                                                      \
        memcpy(bytes, &head, sizeof(head));                                                        \
        decode(size);                                                                              \
    })

Test(schedule_record, is_refused_when_a_number_is_impossible)
{
    cr_assert(eq(int, WITH(revision, 1), 0));
    cr_assert(eq(int, WITH(revision, 0), -EBADMSG));
    cr_assert(eq(int, WITH(settled_ms, UINT64_MAX), -EBADMSG));
    cr_assert(eq(int, WITH(last_job_low, UINT64_MAX), -EBADMSG));
    cr_assert(eq(int, WITH(catch_up_left, 1001), -EBADMSG));
    cr_assert(eq(int, WITH(missed, SCHEDULE_MISSED_COUNT), -EBADMSG));
    cr_assert(eq(int, WITH(priority, 8), -EBADMSG));
    cr_assert(eq(int, WITH(flags, 4), -EBADMSG));
    cr_assert(eq(int, WITH(flags, SCHEDULE_FLAG_DELETED), -EBADMSG)); /* with a payload */
    cr_assert(eq(int, WITH(reserved[5], 1), -EBADMSG));
    cr_assert(eq(int, WITH(sizes[SCHEDULE_SECTION_PAYLOAD], UINT32_MAX), -EBADMSG));
    cr_assert(eq(int, WITH(sizes[SCHEDULE_SECTION_ORG], 0), -EBADMSG));
}

Test(schedule_record, is_refused_when_its_cron_or_zone_could_not_have_been_accepted)
{
    struct schedule_image image = whole_image();
    uint64_t size = schedule_image_encode(&image, bytes);
    char *cron = memmem(bytes, size, "30 2", 4), *zone = memmem(bytes, size, "Europe", 6);

    *cron = '9';
    cr_assert(eq(int, decode(size), -EBADMSG));
    *cron = '3';
    cr_assert(eq(int, decode(size), 0));
    *zone = '/';
    cr_assert(eq(int, decode(size), -EBADMSG));
}

Test(schedule_record, aborts_when_what_it_writes_could_not_be_read, .signal = SIGABRT)
{
    struct schedule_image image = whole_image();

    image.sections[SCHEDULE_SECTION_PAYLOAD].size = 0;
    cr_assert(eq(u64, schedule_image_encode(&image, bytes), 0));
}

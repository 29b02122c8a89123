#include <errno.h>
#include <signal.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/job_id.h"
#include "store/job_record.h"
#include "tests/support/guarded_text.h"

/* The format, to the byte. It may not change: raise JOB_RECORD_VERSION and read both. */
static const unsigned char GOLDEN_JOB[] = {
    0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x31, 0x7b, 0x68, 0xe5, 0xcf, 0x8b, 0x01, 0x00, 0x00,
    0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
    0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, 0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31,
    0x48, 0x47, 0x46, 0x45, 0x44, 0x43, 0x42, 0x41, 0x58, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51,
    0x68, 0x67, 0x66, 0x65, 0x64, 0x63, 0x62, 0x21, 0x78, 0x77, 0x76, 0x75, 0x74, 0x73, 0x72, 0x71,
    0x84, 0x83, 0x82, 0x81, 0x94, 0x93, 0x92, 0x91, 0xa4, 0xa3, 0xa2, 0xa1, 0x02, 0x07, 0x02, 0x09,
    0x04, 0x02, 0x01, 0x05, 0x02, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x02, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x0c, 0x0b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x0e, 0x0d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x6f, 0x31, 0x70, 0x32, 0x6b, 0x33, 0x6b, 0x65,
    0x79, 0x63, 0x7b, 0x22, 0x61, 0x22, 0x3a, 0x31, 0x7d, 0x66, 0x6c, 0x32, 0x7b, 0x7d,
};

static const unsigned char GOLDEN_FACT[] = {
    0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x31, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02,
    0x01, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23,
    0x22, 0x21, 0x04, 0x00, 0x00, 0x00, 0x03, 0x04, 0x02, 0x05, 0x62, 0x6f, 0x6f, 0x6d,
};

static const unsigned char GOLDEN_QUEUE[] = {
    0xe8, 0x03, 0x00, 0x00, 0xe0, 0x93, 0x04, 0x00, 0x02, 0x01, 0x08, 0x01, 0x0a, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x64, 0x00, 0x00, 0x00, 0xc8, 0x00, 0x00, 0x00, 0x60, 0xea, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x88, 0x13, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x09, 0x09, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x6f, 0x72, 0x67, 0x5f, 0x64, 0x65, 0x6d, 0x6f, 0x70, 0x72, 0x6f, 0x6a,
    0x5f, 0x64, 0x65, 0x6d, 0x6f, 0x6d, 0x61, 0x69, 0x6c, 0x2e, 0x73, 0x65, 0x6e, 0x64,
};

/* A number written over a payload, in place of what stands there. */
struct change {
    size_t offset;
    size_t size;
    uint64_t value;
};

static struct guarded_text guarded;
static char buffer[JOB_PAYLOAD_SIZE_MAX + 65536];
static const uint64_t golden_after[] = {0x0b0c, 0x0d0e};

static void setup(void)
{
    guarded_text_init(&guarded);
}

TestSuite(job_record, .init = setup, .timeout = 60);

static struct job_image golden_image(void)
{
    return (struct job_image){
        .header = {.id_low = 0x3123456789abcdef,
                   .created_ms = 0x018bcfe5687b,
                   .due_ms = 0x0102030405060708,
                   .ended_ms = 0x1112131415161718,
                   .deadline_ms = 0x2122232425262728,
                   .unique_key = {0x3132333435363738, 0x4142434445464748},
                   .unique_until_ms = 0x5152535455565758,
                   .link = 0x2162636465666768,
                   .first_failed_ms = 0x7172737475767778,
                   .body_hash = 0x81828384,
                   .timeout_ms = 0x91929394,
                   .unique_wait_ms = 0xa1a2a3a4,
                   .state = JOB_SCHEDULED,
                   .priority = 7,
                   .attempt = 2,
                   .max_attempts = 9,
                   .unique = JOB_UNIQUE_IDEMPOTENCY,
                   .on_failure = JOB_ON_FAILURE_CONTINUE,
                   .crash_count = 1,
                   .flags = JOB_FLAG_CARRIED | JOB_FLAG_IS_REPLAY,
                   .after_failed_count = 3},
        .after = golden_after,
        .after_count = 2,
        .sections = {[JOB_SECTION_ORG] = SLICE_LITERAL("o1"),
                     [JOB_SECTION_PROJECT] = SLICE_LITERAL("p2"),
                     [JOB_SECTION_KIND] = SLICE_LITERAL("k3"),
                     [JOB_SECTION_KEY] = SLICE_LITERAL("key"),
                     [JOB_SECTION_CORRELATION] = SLICE_LITERAL("c"),
                     [JOB_SECTION_PAYLOAD] = SLICE_LITERAL("{\"a\":1}"),
                     [JOB_SECTION_FIRST_ERROR] = SLICE_LITERAL("f"),
                     [JOB_SECTION_LAST_ERROR] = SLICE_LITERAL("l"),
                     [JOB_SECTION_RESULT] = SLICE_LITERAL("2"),
                     [JOB_SECTION_PROGRESS] = SLICE_LITERAL("{}")},
    };
}

static struct job_fact golden_fact(void)
{
    return (struct job_fact){.header = {.id_low = 0x3123456789abcdef,
                                        .at_ms = 0x0102030405060708,
                                        .due_ms = 0x1112131415161718,
                                        .link = 0x2122232425262728,
                                        .kind = JOB_FACT_DEAD,
                                        .attempt = 4,
                                        .crash_count = 2,
                                        .reason = JOB_DEAD_POISON},
                             .text = SLICE_LITERAL("boom")};
}

static struct job_queue_record golden_queue(void)
{
    return (struct job_queue_record){.settings = {.retry = {.base_ms = 1000,
                                                            .cap_ms = 300000,
                                                            .factor = 2,
                                                            .jitter = 1,
                                                            .max_attempts = 8,
                                                            .is_set = 1},
                                                  .concurrency = 10,
                                                  .key_concurrency = 1,
                                                  .rate_per_s = 100,
                                                  .burst = 200,
                                                  .timeout_ms = 60000,
                                                  .flags = JOB_QUEUE_PAUSED,
                                                  .depth_max = 5000},
                                     .org = SLICE_LITERAL("org_demo"),
                                     .project = SLICE_LITERAL("proj_demo"),
                                     .kind = SLICE_LITERAL("mail.send")};
}

static struct slice slice_of_golden(const unsigned char *bytes, size_t size)
{
    return (struct slice){(const char *)bytes, size};
}

/* The payload with the changes made, in front of a page that must not be touched. */
static struct slice changed(struct slice payload, const struct change *change)
{
    memcpy(buffer, payload.data, payload.size);
    memcpy(buffer + change->offset, &change->value, change->size);
    return guarded_text_put(&guarded, (struct slice){buffer, payload.size});
}

Test(job_record, writes_a_job_as_it_always_has)
{
    struct job_image image = golden_image();
    struct slice golden = slice_of_golden(GOLDEN_JOB, sizeof(GOLDEN_JOB));
    uint64_t size = job_image_encode(&image, buffer);

    cr_assert(eq(u64, size, job_image_size(&image)));
    cr_assert(slice_equal((struct slice){buffer, size}, golden));
}

Test(job_record, writes_a_fact_as_it_always_has)
{
    struct job_fact fact = golden_fact();
    struct slice golden = slice_of_golden(GOLDEN_FACT, sizeof(GOLDEN_FACT));
    uint64_t size = job_fact_encode(&fact, buffer);

    cr_assert(eq(u64, size, job_fact_size(&fact)));
    cr_assert(slice_equal((struct slice){buffer, size}, golden));
}

Test(job_record, writes_the_settings_of_a_queue_as_it_always_has)
{
    struct job_queue_record record = golden_queue();
    struct slice golden = slice_of_golden(GOLDEN_QUEUE, sizeof(GOLDEN_QUEUE));
    uint64_t size = job_queue_record_encode(&record, buffer);

    cr_assert(eq(u64, size, job_queue_record_size(&record)));
    cr_assert(slice_equal((struct slice){buffer, size}, golden));
}

Test(job_record, reads_a_job_at_any_address)
{
    for (size_t shift = 0; shift < 8; shift++) {
        struct job_image expected = golden_image();
        struct job_image image;

        memcpy(buffer + shift, GOLDEN_JOB, sizeof(GOLDEN_JOB));
        cr_assert(zero(
            int, job_image_decode((struct slice){buffer + shift, sizeof(GOLDEN_JOB)}, &image)));
        cr_assert(eq(u64, image.header.id_low, expected.header.id_low));
        cr_assert(eq(u64, image.header.unique_key[1], expected.header.unique_key[1]));
        cr_assert(eq(u32, image.header.unique_wait_ms, expected.header.unique_wait_ms));
        cr_assert(eq(u16, image.header.after_failed_count, 3));
        cr_assert(eq(u32, image.after_count, 2));
        cr_assert(eq(u64, job_image_after(&image, 0), 0x0b0c));
        cr_assert(eq(u64, job_image_after(&image, 1), 0x0d0e));
        for (uint32_t i = 0; i < JOB_SECTION_COUNT; i++)
            cr_assert(slice_equal(image.sections[i], expected.sections[i]), "section %u", i);
        /* And back, from the unaligned ids. */
        cr_assert(eq(u64, job_image_encode(&image, buffer + 4096), sizeof(GOLDEN_JOB)));
        cr_assert(zero(int, memcmp(buffer + 4096, GOLDEN_JOB, sizeof(GOLDEN_JOB))));
    }
}

Test(job_record, reads_a_fact_at_any_address)
{
    for (size_t shift = 0; shift < 8; shift++) {
        struct job_fact fact;

        memcpy(buffer + shift, GOLDEN_FACT, sizeof(GOLDEN_FACT));
        cr_assert(
            zero(int, job_fact_decode((struct slice){buffer + shift, sizeof(GOLDEN_FACT)}, &fact)));
        cr_assert(eq(u64, fact.header.link, 0x2122232425262728));
        cr_assert(eq(u8, fact.header.reason, JOB_DEAD_POISON));
        cr_assert(slice_equal(fact.text, SLICE_LITERAL("boom")));
    }
}

Test(job_record, reads_the_settings_of_a_queue_at_any_address)
{
    for (size_t shift = 0; shift < 8; shift++) {
        struct job_queue_record expected = golden_queue();
        struct job_queue_record record;

        memcpy(buffer + shift, GOLDEN_QUEUE, sizeof(GOLDEN_QUEUE));
        cr_assert(zero(int, job_queue_record_decode(
                                (struct slice){buffer + shift, sizeof(GOLDEN_QUEUE)}, &record)));
        cr_assert(zero(int, memcmp(&record.settings, &expected.settings, sizeof(record.settings))));
        cr_assert(slice_equal(record.org, expected.org));
        cr_assert(slice_equal(record.project, expected.project));
        cr_assert(slice_equal(record.kind, expected.kind));
    }
}

Test(job_record, keeps_the_largest_job)
{
    struct job_image image = golden_image();
    static uint64_t after[JOB_AFTER_COUNT_MAX];
    static char text[JOB_PAYLOAD_SIZE_MAX];
    static const uint32_t sizes[JOB_SECTION_COUNT] = {
        JOB_NAME_SIZE_MAX,        JOB_NAME_SIZE_MAX,    JOB_NAME_SIZE_MAX, JOB_KEY_SIZE_MAX,
        JOB_CORRELATION_SIZE_MAX, JOB_PAYLOAD_SIZE_MAX, JOB_TEXT_SIZE_MAX, JOB_TEXT_SIZE_MAX,
        JOB_RESULT_SIZE_MAX,      JOB_PROGRESS_SIZE_MAX};
    static char large[JOB_PAYLOAD_SIZE_MAX + 200000];
    struct job_image read;
    uint64_t size;

    memset(text, 'x', sizeof(text));
    for (uint32_t i = 0; i < JOB_AFTER_COUNT_MAX; i++)
        after[i] = JOB_ID_LOW_MAX - i;
    image.after = after;
    image.after_count = JOB_AFTER_COUNT_MAX;
    for (uint32_t i = 0; i < JOB_SECTION_COUNT; i++)
        image.sections[i] = (struct slice){text, sizes[i]};
    cr_assert(lt(u64, job_image_size(&image), sizeof(large)));
    size = job_image_encode(&image, large);
    cr_assert(zero(int, job_image_decode((struct slice){large, size}, &read)));
    cr_assert(eq(u64, job_image_after(&read, 63), JOB_ID_LOW_MAX - 63));
    cr_assert(eq(u64, read.sections[JOB_SECTION_PAYLOAD].size, JOB_PAYLOAD_SIZE_MAX));
    for (uint32_t i = 0; i < JOB_SECTION_COUNT; i++) {
        struct change more = {offsetof(struct job_image_header, sizes) + 4 * i, 4, sizes[i] + 1};

        memcpy(large + more.offset, &more.value, more.size);
        cr_assert(eq(int, job_image_decode((struct slice){large, size + 1}, &read), -EBADMSG),
                  "section %u", i);
        more.value = sizes[i];
        memcpy(large + more.offset, &more.value, more.size);
    }
}

Test(job_record, refuses_every_other_length)
{
    struct job_image image;
    struct job_fact fact;
    struct job_queue_record record;
    struct slice payload;

    memset(buffer, 0, sizeof(GOLDEN_JOB) + 1);
    for (size_t size = 0; size <= sizeof(GOLDEN_JOB) + 1; size++) {
        memcpy(buffer, GOLDEN_JOB, sizeof(GOLDEN_JOB));
        payload = guarded_text_put(&guarded, (struct slice){buffer, size});
        cr_assert(
            eq(int, job_image_decode(payload, &image), size == sizeof(GOLDEN_JOB) ? 0 : -EBADMSG));
    }
    for (size_t size = 0; size <= sizeof(GOLDEN_FACT) + 1; size++) {
        memcpy(buffer, GOLDEN_FACT, sizeof(GOLDEN_FACT));
        payload = guarded_text_put(&guarded, (struct slice){buffer, size});
        cr_assert(
            eq(int, job_fact_decode(payload, &fact), size == sizeof(GOLDEN_FACT) ? 0 : -EBADMSG));
    }
    for (size_t size = 0; size <= sizeof(GOLDEN_QUEUE) + 1; size++) {
        memcpy(buffer, GOLDEN_QUEUE, sizeof(GOLDEN_QUEUE));
        payload = guarded_text_put(&guarded, (struct slice){buffer, size});
        cr_assert(eq(int, job_queue_record_decode(payload, &record),
                     size == sizeof(GOLDEN_QUEUE) ? 0 : -EBADMSG));
    }
}

#define JOB_AT(field) offsetof(struct job_image_header, field)
#define FACT_AT(field) offsetof(struct job_fact_header, field)
#define QUEUE_AT(field) offsetof(struct job_queue_header, field)

Test(job_record, refuses_a_job_with_an_impossible_field)
{
    static const struct change CHANGES[] = {
        {JOB_AT(id_low), 8, 0},
        {JOB_AT(id_low), 8, (uint64_t)1 << 62},
        {JOB_AT(created_ms), 8, (uint64_t)1 << 48},
        {JOB_AT(link), 8, (uint64_t)1 << 62},
        {JOB_AT(link), 8, 0}, /* it is a replay: of what? */
        {JOB_AT(state), 1, JOB_FREE},
        {JOB_AT(state), 1, JOB_PENDING},
        {JOB_AT(state), 1, JOB_LEASED},
        {JOB_AT(state), 1, JOB_STATE_COUNT},
        {JOB_AT(state), 1, JOB_DEAD}, /* of nothing */
        {JOB_AT(priority), 1, JOB_PRIORITY_COUNT},
        {JOB_AT(unique), 1, JOB_UNIQUE_IDEMPOTENCY + 1},
        {JOB_AT(on_failure), 1, JOB_ON_FAILURE_IGNORE + 1},
        {JOB_AT(on_failure), 1, JOB_ON_FAILURE_NONE}, /* but it comes after two */
        {JOB_AT(flags), 1, 8},
        {JOB_AT(flags), 1, JOB_FLAG_REPLAYED}, /* not dead */
        {JOB_AT(after_count), 2, 1},
        {JOB_AT(after_count), 2, 3},
        {JOB_AT(after_count), 2, JOB_AFTER_COUNT_MAX + 1},
        {JOB_AT(after_count), 2, UINT16_MAX},
        {JOB_AT(after_failed_count), 2, JOB_AFTER_COUNT_MAX + 1},
        {JOB_AT(reason), 1, JOB_DEAD_ATTEMPTS}, /* not dead */
        {JOB_AT(sizes), 4, 0},
        {JOB_AT(sizes) + 4 * JOB_SECTION_ORG, 4, 1},
        {JOB_AT(sizes) + 4 * JOB_SECTION_PAYLOAD, 4, UINT32_MAX},
        {JOB_AT(sizes) + 4 * JOB_SECTION_PROGRESS, 4, UINT32_MAX},
        {sizeof(struct job_image_header), 8, 0},                      /* after nobody */
        {sizeof(struct job_image_header) + 8, 8, UINT64_MAX},         /* no id */
        {sizeof(struct job_image_header) + 8, 8, 0x3123456789abcdef}, /* after itself */
    };
    struct job_image image;

    for (size_t i = 0; i < ARRAY_COUNT(CHANGES); i++) {
        struct slice golden = slice_of_golden(GOLDEN_JOB, sizeof(GOLDEN_JOB));

        cr_expect(eq(int, job_image_decode(changed(golden, &CHANGES[i]), &image), -EBADMSG),
                  "change %zu", i);
    }
}

Test(job_record, refuses_a_place_in_an_order_from_a_job_that_was_not_carried)
{
    uint8_t bytes[sizeof(GOLDEN_JOB)];
    struct slice payload = {(const char *)bytes, sizeof(bytes)};
    struct job_image image;

    memcpy(bytes, GOLDEN_JOB, sizeof(bytes));
    bytes[JOB_AT(order) + 6] = 1;
    bytes[JOB_AT(flags)] = JOB_FLAG_IS_REPLAY;
    cr_expect(eq(int, job_image_decode(payload, &image), -EBADMSG));
    bytes[JOB_AT(flags)] = JOB_FLAG_IS_REPLAY | JOB_FLAG_CARRIED;
    cr_expect(eq(int, job_image_decode(payload, &image), 0));
}

Test(job_record, refuses_a_job_without_a_name)
{
    for (uint32_t i = JOB_SECTION_ORG; i <= JOB_SECTION_KIND; i++) {
        struct change shorter = {JOB_AT(sizes) + 4 * i, 4, 0};
        struct job_image image;
        struct slice payload = changed(slice_of_golden(GOLDEN_JOB, sizeof(GOLDEN_JOB)), &shorter);

        payload.size -= 2; /* so that the sum is right */
        cr_expect(eq(int, job_image_decode(payload, &image), -EBADMSG), "section %u", i);
    }
}

Test(job_record, reads_every_state_that_can_be_stored)
{
    static const uint8_t STATES[] = {JOB_SCHEDULED, JOB_WAITING, JOB_QUEUED,
                                     JOB_COMPLETED, JOB_DEAD,    JOB_CANCELLED};

    for (size_t i = 0; i < ARRAY_COUNT(STATES); i++) {
        struct job_image image = golden_image();
        struct job_image read;
        uint64_t size;

        image.header.state = STATES[i];
        image.header.reason = STATES[i] == JOB_DEAD ? JOB_DEAD_POISON : JOB_DEAD_NONE;
        size = job_image_encode(&image, buffer);
        cr_assert(zero(int, job_image_decode((struct slice){buffer, size}, &read)));
        cr_assert(eq(u8, read.header.state, STATES[i]));
    }
}

Test(job_record, refuses_a_fact_with_an_impossible_field)
{
    static const struct change CHANGES[] = {
        {FACT_AT(id_low), 8, 0},
        {FACT_AT(id_low), 8, UINT64_MAX},
        {FACT_AT(link), 8, (uint64_t)1 << 62},
        {FACT_AT(text_size), 4, 3},
        {FACT_AT(text_size), 4, 5},
        {FACT_AT(text_size), 4, UINT32_MAX},
        {FACT_AT(kind), 1, 0},
        {FACT_AT(kind), 1, JOB_FACT_KIND_COUNT},
        {FACT_AT(kind), 1, UINT8_MAX},
        {FACT_AT(kind), 1, JOB_FACT_RETRY}, /* with a reason for being dead */
        {FACT_AT(reason), 1, JOB_DEAD_NONE},
        {FACT_AT(reason), 1, JOB_DEAD_REASON_COUNT},
    };
    struct job_fact fact;

    for (size_t i = 0; i < ARRAY_COUNT(CHANGES); i++) {
        struct slice golden = slice_of_golden(GOLDEN_FACT, sizeof(GOLDEN_FACT));

        cr_expect(eq(int, job_fact_decode(changed(golden, &CHANGES[i]), &fact), -EBADMSG),
                  "change %zu", i);
    }
}

Test(job_record, bounds_the_text_of_each_kind_of_fact)
{
    static const uint32_t SIZE_MAX_OF[JOB_FACT_KIND_COUNT] = {
        [JOB_FACT_RETRY] = JOB_TEXT_SIZE_MAX,
        [JOB_FACT_COMPLETED] = JOB_RESULT_SIZE_MAX,
        [JOB_FACT_DEAD] = JOB_TEXT_SIZE_MAX,
        [JOB_FACT_PROGRESS] = JOB_PROGRESS_SIZE_MAX,
    };

    for (uint8_t kind = 1; kind < JOB_FACT_KIND_COUNT; kind++) {
        struct job_fact_header header = {.id_low = 7,
                                         .link = 8,
                                         .kind = kind,
                                         .text_size = SIZE_MAX_OF[kind],
                                         .reason = kind == JOB_FACT_DEAD};
        struct job_fact fact;
        uint64_t size = sizeof(header) + SIZE_MAX_OF[kind];

        memcpy(buffer, &header, sizeof(header));
        cr_assert(zero(int, job_fact_decode((struct slice){buffer, size}, &fact)), "kind %u", kind);
        header.text_size++;
        memcpy(buffer, &header, sizeof(header));
        cr_assert(eq(int, job_fact_decode((struct slice){buffer, size + 1}, &fact), -EBADMSG));
    }
}

Test(job_record, refuses_a_replay_of_or_by_nothing)
{
    struct job_fact_header header = {.id_low = 7, .link = 7, .kind = JOB_FACT_REPLAYED};
    struct job_fact fact;

    cr_assert(
        eq(int, job_fact_decode((struct slice){(char *)&header, sizeof(header)}, &fact), -EBADMSG));
    header.link = 0;
    cr_assert(
        eq(int, job_fact_decode((struct slice){(char *)&header, sizeof(header)}, &fact), -EBADMSG));
}

Test(job_record, refuses_settings_with_an_impossible_field)
{
    static const struct change CHANGES[] = {
        {QUEUE_AT(settings.retry.is_set), 1, 2 + JOB_PRESET_COUNT_MAX},
        {QUEUE_AT(settings.retry.jitter), 1, 3},
        {QUEUE_AT(settings.retry.max_attempts), 1, 0},
        {QUEUE_AT(settings.retry.cap_ms), 4, 999}, /* below base_ms */
        {QUEUE_AT(settings.flags), 4, 4},
        {QUEUE_AT(settings.reserved), 4, 1},
        {QUEUE_AT(org_size), 1, 0},
        {QUEUE_AT(org_size), 1, 7},
        {QUEUE_AT(project_size), 1, 0},
        {QUEUE_AT(project_size), 1, 65},
        {QUEUE_AT(kind_size), 1, 0},
        {QUEUE_AT(kind_size), 1, 255},
        {QUEUE_AT(reserved) + 4, 1, 1},
    };
    struct job_queue_record record;

    for (size_t i = 0; i < ARRAY_COUNT(CHANGES); i++) {
        struct slice golden = slice_of_golden(GOLDEN_QUEUE, sizeof(GOLDEN_QUEUE));

        cr_expect(eq(int, job_queue_record_decode(changed(golden, &CHANGES[i]), &record), -EBADMSG),
                  "change %zu", i);
    }
}

Test(job_record, leaves_the_callers_image_alone_when_it_refuses)
{
    struct job_image image = {.after_count = 77};
    struct job_fact fact = {.header.kind = 77};
    struct job_queue_record record = {.settings.flags = 77};

    cr_assert(eq(int, job_image_decode(SLICE_LITERAL("short"), &image), -EBADMSG));
    cr_assert(eq(int, job_fact_decode(SLICE_LITERAL("short"), &fact), -EBADMSG));
    cr_assert(eq(int, job_queue_record_decode(SLICE_LITERAL("short"), &record), -EBADMSG));
    cr_assert(eq(u32, image.after_count, 77));
    cr_assert(eq(u8, fact.header.kind, 77));
    cr_assert(eq(u32, record.settings.flags, 77));
}

Test(job_record, never_writes_what_it_would_not_read, .signal = SIGABRT)
{
    struct job_fact fact = golden_fact();

    fact.header.reason = JOB_DEAD_NONE;
    (void)job_fact_encode(&fact, buffer);
}

Test(job_record, has_a_word_for_every_number)
{
    for (int state = 0; state < JOB_STATE_COUNT; state++)
        cr_assert(not(zero(sz, strlen(job_state_name(state)))));
    for (int reason = 0; reason < JOB_DEAD_REASON_COUNT; reason++)
        cr_assert(not(zero(sz, strlen(job_dead_reason_name(reason)))));
    for (int kind = 1; kind < JOB_FACT_KIND_COUNT; kind++)
        cr_assert(not(zero(sz, strlen(job_fact_name(kind)))));
    cr_assert(eq(str, (char *)job_state_name(JOB_DEAD), "dead"));
    cr_assert(eq(str, (char *)job_dead_reason_name(JOB_DEAD_ATTEMPTS), "attempts_exhausted"));
    cr_assert(job_state_is_terminal(JOB_DEAD));
    cr_assert(not(job_state_is_terminal(JOB_LEASED)));
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "store/ai_run_record.h"

static char bytes[AI_RUN_RECORD_SIZE_MAX];
static struct ai_run_image image;
static struct ai_run_image decoded;

/* A number in every field, no two the same where the field is wide enough. */
static void setup(void)
{
    image = (struct ai_run_image){
        .header = {.id_low = 1001,
                   .created_ms = 1002,
                   .written_ms = 1003,
                   .cost_micro_usd = 1004,
                   .input_tokens = 1005,
                   .output_tokens = 1006,
                   .cached_tokens = 1007,
                   .reasoning_tokens = 1008,
                   .revision = 1009,
                   .max_tokens = 1010,
                   .temperature_milli = 1011,
                   .confidence_ppm = 750000,
                   .state = AI_RUN_SUCCEEDED,
                   .finish = CHAT_FINISH_STOP,
                   .error = AI_RUN_ERROR_NONE,
                   .validation = AI_RUN_VALID,
                   .repair_count = 2,
                   .attempt_count = 2},
        .attempts = {{.started_ms = 2001,
                      .first_byte_ms = 2002,
                      .ended_ms = 2003,
                      .cost_micro_usd = TOKEN_COST_UNKNOWN,
                      .input_tokens = CHAT_TOKENS_UNKNOWN,
                      .output_tokens = 2005,
                      .cached_tokens = 2006,
                      .reasoning_tokens = 2007,
                      .http_status = 503,
                      .number = 1,
                      .call_count = 1,
                      .finish = CHAT_FINISH_UNKNOWN,
                      .error = AI_RUN_ERROR_SERVER,
                      .validation = AI_RUN_UNCHECKED},
                     {.started_ms = 3001,
                      .ended_ms = 3003,
                      .cost_micro_usd = 3004,
                      .input_tokens = 3005,
                      .http_status = 200,
                      .number = 2,
                      .call_count = 3,
                      .finish = CHAT_FINISH_STOP,
                      .validation = AI_RUN_VALID}},
        .sections = {[AI_RUN_SECTION_ORG] = SLICE_LITERAL("org"),
                     [AI_RUN_SECTION_PROJECT] = SLICE_LITERAL("project"),
                     [AI_RUN_SECTION_KIND] = SLICE_LITERAL("incident.summarize"),
                     [AI_RUN_SECTION_INCIDENT] = SLICE_LITERAL("0199-incident"),
                     [AI_RUN_SECTION_PROVIDER] = SLICE_LITERAL("https://models.example:443"),
                     [AI_RUN_SECTION_MODEL] = SLICE_LITERAL("llama3.3-70b-instruct"),
                     [AI_RUN_SECTION_ANSWERED] = SLICE_LITERAL("llama3.3-70b-instruct-2026"),
                     [AI_RUN_SECTION_PROMPT] = SLICE_LITERAL("incident-summary-1"),
                     [AI_RUN_SECTION_SCHEMA] = SLICE_LITERAL(SUMMARY_SCHEMA_NAME),
                     [AI_RUN_SECTION_PRICES] = SLICE_LITERAL("2026-11"),
                     [AI_RUN_SECTION_CORRELATION] = SLICE_LITERAL("c-1"),
                     [AI_RUN_SECTION_OUTPUT] = SLICE_LITERAL("{\"title\":\"t\"}")},
    };
    memset(image.header.prompt_sha256, 0x5a, SHA256_SIZE);
    memset(image.header.input_sha256, 0xa5, SHA256_SIZE);
}

TestSuite(ai_run_record, .init = setup);

static int decode(uint64_t size)
{
    return ai_run_decode((struct slice){bytes, size}, &decoded);
}

Test(ai_run_record, comes_back_as_it_was)
{
    uint64_t size = ai_run_encode(&image, bytes);

    cr_assert(eq(u64, size, ai_run_size(&image)));
    cr_assert(eq(int, decode(size), 0));
    for (uint32_t i = 0; i < AI_RUN_SECTION_COUNT; i++) {
        cr_assert(slice_equal(decoded.sections[i], image.sections[i]));
        image.header.sizes[i] = (uint32_t)image.sections[i].size;
    }
    cr_assert(eq(int, memcmp(&decoded.header, &image.header, sizeof(image.header)), 0));
    cr_assert(eq(int, memcmp(decoded.attempts, image.attempts, 2 * sizeof(image.attempts[0])), 0));
}

Test(ai_run_record, of_a_failed_run_has_an_error_and_no_output)
{
    image.header.state = AI_RUN_FAILED;
    image.header.error = AI_RUN_ERROR_INVALID;
    image.header.validation = AI_RUN_INVALID;
    image.header.confidence_ppm = AI_RUN_CONFIDENCE_UNKNOWN;
    image.sections[AI_RUN_SECTION_OUTPUT] = (struct slice){NULL, 0};
    image.sections[AI_RUN_SECTION_ERROR] = SLICE_LITERAL("why");
    image.sections[AI_RUN_SECTION_PROBLEMS] = SLICE_LITERAL("- /title: is required\n");
    cr_assert(eq(int, decode(ai_run_encode(&image, bytes)), 0));
    cr_assert(slice_equal(decoded.sections[AI_RUN_SECTION_ERROR], SLICE_LITERAL("why")));
    cr_assert(eq(u32, decoded.header.confidence_ppm, AI_RUN_CONFIDENCE_UNKNOWN));
}

Test(ai_run_record, is_refused_at_any_other_size)
{
    uint64_t size = ai_run_encode(&image, bytes);

    for (uint64_t cut = 0; cut < size; cut++)
        cr_assert(eq(int, decode(cut), -EBADMSG));
    cr_assert(eq(int, decode(size + 1), -EBADMSG));
}

static void check_refused(size_t offset, uint64_t value, size_t value_size)
{
    uint64_t size = ai_run_encode(&image, bytes);

    memcpy(bytes + offset, &value, value_size);
    cr_assert(eq(int, decode(size), -EBADMSG), "offset %zu value %lu", offset, value);
}

#define REFUSED(member, value)                                                                     \
    check_refused(offsetof(struct ai_run_header, member), (value),                                 \
                  sizeof(((struct ai_run_header *)0)->member))
#define ATTEMPT_REFUSED(member, value)                                                             \
    check_refused(sizeof(struct ai_run_header) + offsetof(struct ai_run_attempt, member), (value), \
                  sizeof(((struct ai_run_attempt *)0)->member))

Test(ai_run_record, is_refused_with_numbers_that_make_no_sense)
{
    REFUSED(id_low, 0);
    REFUSED(id_low, JOB_ID_LOW_MAX + 1);
    REFUSED(created_ms, UINT64_MAX);
    REFUSED(written_ms, UINT64_MAX);
    REFUSED(revision, 0);
    REFUSED(temperature_milli, 2001);
    REFUSED(confidence_ppm, 1000001);
    REFUSED(state, 0);
    REFUSED(state, AI_RUN_RUNNING);
    REFUSED(state, AI_RUN_CANCELLED + 1);
    REFUSED(state, AI_RUN_FAILED); /* with an output */
    REFUSED(finish, CHAT_FINISH_COUNT);
    REFUSED(error, AI_RUN_ERROR_COUNT);
    REFUSED(validation, AI_RUN_VALIDATION_COUNT);
    REFUSED(attempt_count, AI_RUN_ATTEMPT_COUNT_MAX + 1);
    REFUSED(reserved, 1);
    REFUSED(sizes[AI_RUN_SECTION_ORG], JOB_NAME_SIZE_MAX + 1);
    REFUSED(sizes[AI_RUN_SECTION_OUTPUT], UINT32_MAX);
    ATTEMPT_REFUSED(started_ms, UINT64_MAX);
    ATTEMPT_REFUSED(finish, CHAT_FINISH_COUNT);
    ATTEMPT_REFUSED(error, AI_RUN_ERROR_COUNT);
    ATTEMPT_REFUSED(validation, AI_RUN_VALIDATION_COUNT);
    ATTEMPT_REFUSED(reserved[8], 1);
}

Test(ai_run_record, is_never_written_as_running, .signal = SIGABRT)
{
    image.header.state = AI_RUN_RUNNING;
    ai_run_encode(&image, bytes);
}

Test(ai_run_record, fits_its_bound_with_the_longest_of_everything)
{
    static char text[AI_RUN_OUTPUT_SIZE_MAX];
    static const uint32_t sizes[AI_RUN_SECTION_COUNT] = {
        JOB_NAME_SIZE_MAX,        JOB_NAME_SIZE_MAX,        JOB_NAME_SIZE_MAX,
        AI_RUN_NAME_SIZE_MAX,     AI_RUN_NAME_SIZE_MAX,     AI_RUN_NAME_SIZE_MAX,
        AI_RUN_NAME_SIZE_MAX,     AI_RUN_NAME_SIZE_MAX,     AI_RUN_NAME_SIZE_MAX,
        AI_RUN_NAME_SIZE_MAX,     JOB_CORRELATION_SIZE_MAX, AI_RUN_ERROR_SIZE_MAX,
        AI_RUN_PROBLEMS_SIZE_MAX, AI_RUN_OUTPUT_SIZE_MAX};

    memset(text, 'x', sizeof(text));
    for (uint32_t i = 0; i < AI_RUN_SECTION_COUNT; i++)
        image.sections[i] = (struct slice){text, sizes[i]};
    image.header.attempt_count = AI_RUN_ATTEMPT_COUNT_MAX;
    cr_assert(eq(u64, ai_run_encode(&image, bytes), AI_RUN_RECORD_SIZE_MAX));
    cr_assert(eq(int, decode(AI_RUN_RECORD_SIZE_MAX), 0));
}

Test(ai_run_record, sums_its_attempts_and_keeps_the_latest)
{
    struct ai_run_attempt attempt = {.number = 1,
                                     .call_count = 2,
                                     .cost_micro_usd = 10,
                                     .input_tokens = 100,
                                     .output_tokens = 7,
                                     .cached_tokens = CHAT_TOKENS_UNKNOWN,
                                     .error = AI_RUN_ERROR_SERVER};

    image.header = (struct ai_run_header){0};
    for (uint32_t i = 0; i < AI_RUN_ATTEMPT_COUNT_MAX + 3; i++) {
        attempt.number = (uint8_t)(i + 1);
        ai_run_add_attempt(&image, &attempt);
    }
    cr_assert(eq(u8, image.header.attempt_count, AI_RUN_ATTEMPT_COUNT_MAX));
    cr_assert(eq(u8, image.attempts[0].number, 4));
    cr_assert(
        eq(u8, image.attempts[AI_RUN_ATTEMPT_COUNT_MAX - 1].number, AI_RUN_ATTEMPT_COUNT_MAX + 3));
    cr_assert(eq(u64, image.header.cost_micro_usd, 190));
    cr_assert(eq(u64, image.header.input_tokens, 1900));
    cr_assert(eq(u64, image.header.output_tokens, 133));
    cr_assert(eq(u64, image.header.cached_tokens, 0));
    cr_assert(eq(u8, image.header.repair_count, 19));
    cr_assert(eq(u8, image.header.error, AI_RUN_ERROR_SERVER));
    attempt.cost_micro_usd = TOKEN_COST_UNKNOWN;
    ai_run_add_attempt(&image, &attempt);
    attempt.cost_micro_usd = 1;
    ai_run_add_attempt(&image, &attempt);
    cr_assert(eq(u64, image.header.cost_micro_usd, TOKEN_COST_UNKNOWN));
}

Test(ai_run_record, knows_which_moves_are_legal)
{
    static const bool legal[6][6] = {
        [AI_RUN_QUEUED] =
            {[AI_RUN_RUNNING] = true, [AI_RUN_FAILED] = true, [AI_RUN_CANCELLED] = true},
        [AI_RUN_RUNNING] = {[AI_RUN_QUEUED] = true,
                            [AI_RUN_SUCCEEDED] = true,
                            [AI_RUN_FAILED] = true,
                            [AI_RUN_CANCELLED] = true},
    };

    for (uint32_t from = AI_RUN_QUEUED; from <= AI_RUN_CANCELLED; from++)
        for (uint32_t to = AI_RUN_QUEUED; to <= AI_RUN_CANCELLED; to++)
            cr_assert(eq(int, ai_run_may_move((enum ai_run_state)from, (enum ai_run_state)to),
                         legal[from][to]));
}

Test(ai_run_record, has_names_for_what_it_says)
{
    enum ai_run_state state;

    cr_assert(slice_equal(ai_run_state_name(AI_RUN_QUEUED), SLICE_LITERAL("queued")));
    cr_assert(slice_equal(ai_run_state_name(0), SLICE_LITERAL("unknown")));
    cr_assert(slice_equal(ai_run_state_name(6), SLICE_LITERAL("unknown")));
    cr_assert(slice_equal(ai_run_error_name(AI_RUN_ERROR_CUT_OFF), SLICE_LITERAL("cut_off")));
    cr_assert(slice_equal(ai_run_error_name(255), SLICE_LITERAL("unknown")));
    cr_assert(slice_equal(ai_run_validation_name(AI_RUN_VALID), SLICE_LITERAL("valid")));
    cr_assert(slice_equal(ai_run_validation_name(3), SLICE_LITERAL("unknown")));
    cr_assert(ai_run_state_from_name(SLICE_LITERAL("cancelled"), &state));
    cr_assert(eq(int, state, AI_RUN_CANCELLED));
    cr_assert(not(ai_run_state_from_name(SLICE_LITERAL("done"), &state)));
    cr_assert(not(ai_run_state_from_name(SLICE_LITERAL(""), &state)));
}

Test(ai_run_record, has_the_id_of_its_job)
{
    char text[UUID_TEXT_SIZE];
    struct job_id id;

    job_id_format(ai_run_id(&image.header, 7), text);
    cr_assert(job_id_parse((struct slice){text, sizeof(text)}, &id));
    cr_assert(eq(u64, id.id_low, 1001));
    cr_assert(eq(u64, id.created_ms, 1002));
    cr_assert(eq(u32, id.partition, 7));
}

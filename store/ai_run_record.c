#include "store/ai_run_record.h"

#include <errno.h>

#include "store/record_layout.h"

/*
 *     struct ai_run_header, attempt_count struct ai_run_attempt, sections
 *     (store/record_layout.h) in the order of enum ai_run_section
 *
 * Attempts are copied out like the head. One check serves both ways.
 */

static const struct record_section_bounds SECTIONS[AI_RUN_SECTION_COUNT] = {
    [AI_RUN_SECTION_ORG] = {1, JOB_NAME_SIZE_MAX},
    [AI_RUN_SECTION_PROJECT] = {1, JOB_NAME_SIZE_MAX},
    [AI_RUN_SECTION_KIND] = {1, JOB_NAME_SIZE_MAX},
    [AI_RUN_SECTION_INCIDENT] = {1, AI_RUN_NAME_SIZE_MAX},
    [AI_RUN_SECTION_PROVIDER] = {1, AI_RUN_NAME_SIZE_MAX},
    [AI_RUN_SECTION_MODEL] = {1, AI_RUN_NAME_SIZE_MAX},
    [AI_RUN_SECTION_ANSWERED] = {0, AI_RUN_NAME_SIZE_MAX},
    [AI_RUN_SECTION_PROMPT] = {1, AI_RUN_NAME_SIZE_MAX},
    [AI_RUN_SECTION_SCHEMA] = {1, AI_RUN_NAME_SIZE_MAX},
    [AI_RUN_SECTION_PRICES] = {0, AI_RUN_NAME_SIZE_MAX},
    [AI_RUN_SECTION_CORRELATION] = {0, JOB_CORRELATION_SIZE_MAX},
    [AI_RUN_SECTION_ERROR] = {0, AI_RUN_ERROR_SIZE_MAX},
    [AI_RUN_SECTION_PROBLEMS] = {0, AI_RUN_PROBLEMS_SIZE_MAX},
    [AI_RUN_SECTION_OUTPUT] = {0, AI_RUN_OUTPUT_SIZE_MAX},
};

static const struct slice UNKNOWN_NAME = SLICE_INITIALIZER("unknown");

static const struct slice STATE_NAMES[] = {
#define AI_RUN_STATE_NAME(name, number, text) [number] = SLICE_INITIALIZER(text),
    AI_RUN_STATES(AI_RUN_STATE_NAME)
#undef AI_RUN_STATE_NAME
};

static const struct slice ERROR_NAMES[] = {
#define AI_RUN_ERROR_NAME(name, text) SLICE_INITIALIZER(text),
    AI_RUN_ERRORS(AI_RUN_ERROR_NAME)
#undef AI_RUN_ERROR_NAME
};

static const struct slice VALIDATION_NAMES[AI_RUN_VALIDATION_COUNT] = {
    [AI_RUN_UNCHECKED] = SLICE_INITIALIZER("unchecked"),
    [AI_RUN_VALID] = SLICE_INITIALIZER("valid"),
    [AI_RUN_INVALID] = SLICE_INITIALIZER("invalid"),
};

static const uint32_t CONFIDENCE_PPM_MAX = 1000000;

/* --- names and moves ------------------------------------------------------------------ */

struct slice ai_run_state_name(uint32_t state)
{
    return state > 0 && state < ARRAY_COUNT(STATE_NAMES) ? STATE_NAMES[state] : UNKNOWN_NAME;
}

struct slice ai_run_error_name(uint32_t error)
{
    return error < AI_RUN_ERROR_COUNT ? ERROR_NAMES[error] : UNKNOWN_NAME;
}

struct slice ai_run_validation_name(uint32_t validation)
{
    return validation < AI_RUN_VALIDATION_COUNT ? VALIDATION_NAMES[validation] : UNKNOWN_NAME;
}

bool ai_run_state_from_name(struct slice text, enum ai_run_state *ret_state)
{
    for (uint32_t i = AI_RUN_QUEUED; i < ARRAY_COUNT(STATE_NAMES); i++)
        if (slice_equal(STATE_NAMES[i], text)) {
            *ret_state = (enum ai_run_state)i;
            return true;
        }
    return false;
}

bool ai_run_may_move(enum ai_run_state from, enum ai_run_state to)
{
    switch (from) {
    case AI_RUN_QUEUED:
        /* FAILED: its lease ended too often, or it was its deadline. */
        return to == AI_RUN_RUNNING || to == AI_RUN_CANCELLED || to == AI_RUN_FAILED;
    case AI_RUN_RUNNING:
        return to != AI_RUN_RUNNING;
    case AI_RUN_SUCCEEDED:
    case AI_RUN_FAILED:
    case AI_RUN_CANCELLED:
        return false;
    }
    assert(false);
    return false;
}

struct job_id ai_run_id(const struct ai_run_header *header, uint32_t partition)
{
    return (struct job_id){header->created_ms, header->id_low, partition};
}

/* --- checks ------------------------------------------------------------------------------- */

static bool attempt_is_valid(const struct ai_run_attempt *attempt)
{
    if (attempt->started_ms > RECORD_TIME_MS_MAX || attempt->first_byte_ms > RECORD_TIME_MS_MAX ||
        attempt->ended_ms > RECORD_TIME_MS_MAX)
        return false;
    return attempt->finish < CHAT_FINISH_COUNT && attempt->error < AI_RUN_ERROR_COUNT &&
           attempt->validation < AI_RUN_VALIDATION_COUNT &&
           record_is_zero(attempt->reserved, sizeof(attempt->reserved));
}

static bool state_is_valid(uint8_t state)
{
    return state == AI_RUN_QUEUED || state == AI_RUN_SUCCEEDED || state == AI_RUN_FAILED ||
           state == AI_RUN_CANCELLED;
}

static bool header_is_valid(const struct ai_run_header *header)
{
    if (header->id_low == 0 || header->id_low > JOB_ID_LOW_MAX ||
        header->created_ms > RECORD_TIME_MS_MAX || header->written_ms > RECORD_TIME_MS_MAX)
        return false;
    if (header->confidence_ppm > CONFIDENCE_PPM_MAX &&
        header->confidence_ppm != AI_RUN_CONFIDENCE_UNKNOWN)
        return false;
    return header->revision > 0 && header->temperature_milli <= CHAT_TEMPERATURE_MILLI_MAX &&
           state_is_valid(header->state) && header->finish < CHAT_FINISH_COUNT &&
           header->error < AI_RUN_ERROR_COUNT && header->validation < AI_RUN_VALIDATION_COUNT &&
           header->attempt_count <= AI_RUN_ATTEMPT_COUNT_MAX &&
           record_is_zero(header->reserved, sizeof(header->reserved));
}

static bool image_is_valid(const struct ai_run_image *image)
{
    bool has_output = image->sections[AI_RUN_SECTION_OUTPUT].size > 0;

    if (!header_is_valid(&image->header))
        return false;
    for (uint32_t i = 0; i < image->header.attempt_count; i++)
        if (!attempt_is_valid(&image->attempts[i]))
            return false;
    return record_sections_fit(image->sections, SECTIONS, AI_RUN_SECTION_COUNT) &&
           has_output == (image->header.state == AI_RUN_SUCCEEDED);
}

/* --- both ways ------------------------------------------------------------------------------ */

uint64_t ai_run_size(const struct ai_run_image *image)
{
    return sizeof(image->header) + image->header.attempt_count * sizeof(image->attempts[0]) +
           record_sections_size(image->sections, AI_RUN_SECTION_COUNT);
}

uint64_t ai_run_encode(const struct ai_run_image *image, char *buffer)
{
    struct ai_run_header header = image->header;
    size_t attempts_size = header.attempt_count * sizeof(image->attempts[0]);
    size_t head_size = sizeof(header) + attempts_size;

    assert(image_is_valid(image));
    for (uint32_t i = 0; i < AI_RUN_SECTION_COUNT; i++)
        header.sizes[i] = (uint32_t)image->sections[i].size;
    memcpy(buffer, &header, sizeof(header));
    memcpy(buffer + sizeof(header), image->attempts, attempts_size);
    return head_size +
           record_sections_write(image->sections, AI_RUN_SECTION_COUNT, buffer + head_size);
}

int ai_run_decode(struct slice payload, struct ai_run_image *ret_image)
{
    struct ai_run_header *header = &ret_image->header;
    uint64_t attempts_size, head_size;

    if (payload.size < sizeof(*header))
        return -EBADMSG;
    memcpy(header, payload.data, sizeof(*header));
    if (!header_is_valid(header))
        return -EBADMSG;
    attempts_size = header->attempt_count * sizeof(ret_image->attempts[0]);
    head_size = sizeof(*header) + attempts_size;
    if (head_size > payload.size)
        return -EBADMSG;
    memcpy(ret_image->attempts, payload.data + sizeof(*header), attempts_size);
    return record_sections_read(payload, head_size, header->sizes, AI_RUN_SECTION_COUNT,
                                ret_image->sections) &&
                   image_is_valid(ret_image)
               ? 0
               : -EBADMSG;
}

/* --- attempts ------------------------------------------------------------------------------- */

/* A sum that has an unknown part is unknown. */
static uint64_t add_cost(uint64_t sum, uint64_t cost)
{
    if (sum == TOKEN_COST_UNKNOWN || cost == TOKEN_COST_UNKNOWN)
        return TOKEN_COST_UNKNOWN;
    return sum + cost;
}

static uint64_t known(uint32_t tokens)
{
    return tokens == CHAT_TOKENS_UNKNOWN ? 0 : tokens;
}

void ai_run_add_attempt(struct ai_run_image *image, const struct ai_run_attempt *attempt)
{
    struct ai_run_header *header = &image->header;

    assert(attempt_is_valid(attempt));
    if (header->attempt_count == AI_RUN_ATTEMPT_COUNT_MAX) {
        memmove(&image->attempts[0], &image->attempts[1],
                sizeof(image->attempts) - sizeof(image->attempts[0]));
        header->attempt_count--;
    }
    image->attempts[header->attempt_count++] = *attempt;
    header->finish = attempt->finish;
    header->error = attempt->error;
    header->validation = attempt->validation;
    header->cost_micro_usd = add_cost(header->cost_micro_usd, attempt->cost_micro_usd);
    header->input_tokens += known(attempt->input_tokens);
    header->output_tokens += known(attempt->output_tokens);
    header->cached_tokens += known(attempt->cached_tokens);
    header->reasoning_tokens += known(attempt->reasoning_tokens);
    if (attempt->call_count > 1)
        header->repair_count =
            (uint8_t)min_u64((uint64_t)header->repair_count + attempt->call_count - 1, UINT8_MAX);
}

#include "actors/record.h"

/* On disk: the index is the number. Only ever append. */
static const enum problem_code CLAIM_CODES[] = {
    PROBLEM_NONE,         PROBLEM_INVALID_EVENT, PROBLEM_EVENT_TOO_LARGE, PROBLEM_EVENT_ID_CONFLICT,
    PROBLEM_IN_FLIGHT,    PROBLEM_DEDUP_FULL,    PROBLEM_MALFORMED_JSON,  PROBLEM_TRUNCATED_JSON,
    PROBLEM_INVALID_UTF8, PROBLEM_JSON_TOO_DEEP,
};

uint8_t record_claim_code(enum problem_code code)
{
    for (uint8_t i = 1; i < ARRAY_COUNT(CLAIM_CODES); i++)
        if (CLAIM_CODES[i] == code)
            return i;
    return 0;
}

enum problem_code record_claim_problem(uint8_t number)
{
    return number > 0 && number < ARRAY_COUNT(CLAIM_CODES) ? CLAIM_CODES[number]
                                                           : PROBLEM_INTERNAL_ERROR;
}

struct slice record_status_name(uint32_t status)
{
    switch (status) {
    case EVENT_ACCEPTED:
        return SLICE_LITERAL("accepted");
    case EVENT_DUPLICATE:
        return SLICE_LITERAL("duplicate");
    case EVENT_INVALID:
        return SLICE_LITERAL("invalid");
    case EVENT_QUOTA:
        return SLICE_LITERAL("quota");
    case EVENT_RETRY:
        return SLICE_LITERAL("retry");
    default:
        return SLICE_LITERAL("unknown");
    }
}

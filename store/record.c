#include "store/record.h"

#include "store/job_id.h"
#include "store/job_record.h"

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

bool record_replay_decode(struct slice payload, struct record_replay *ret_record)
{
    struct record_replay record;

    static_assert((int)REPLAY_NAME_SIZE_MAX == (int)JOB_NAME_SIZE_MAX, "names of a filter");
    if (payload.size < sizeof(record))
        return false;
    memcpy(&record, payload.data, sizeof(record));
    if (record.id_low == 0 || record.id_low > JOB_ID_LOW_MAX || record.rate_per_s == 0 ||
        record.reason >= JOB_DEAD_REASON_COUNT || record.is_stopped > 1)
        return false;
    if (record.org_size > REPLAY_NAME_SIZE_MAX || record.project_size > REPLAY_NAME_SIZE_MAX ||
        record.kind_size > REPLAY_NAME_SIZE_MAX || record.id_count > REPLAY_ID_COUNT_MAX)
        return false;
    if (payload.size != sizeof(record) + record.id_count * sizeof(struct record_replay_id))
        return false;
    *ret_record = record;
    return true;
}

struct record_replay_id record_replay_id(struct slice payload, uint32_t n)
{
    size_t offset = sizeof(struct record_replay) + n * sizeof(struct record_replay_id);
    struct record_replay_id id;

    assert(offset + sizeof(id) <= payload.size);
    memcpy(&id, payload.data + offset, sizeof(id));
    return id;
}

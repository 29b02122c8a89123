/*
 * Job id: a version 7 UUID that says which partition keeps the job.
 *
 *     unix ms:48 | version 7:4 | partition:12 | variant 2:2 | id_low:62
 *
 * So any shard can send a request for a job to the shard that has it, ids sort by
 * age, and the table in memory is keyed by the 62 random bits alone. Source of the
 * layout: RFC 9562, 5.7; its 12 bits "rand_a" are ours to use.
 */
#pragma once

#include "contracts/uuid.h"

enum { JOB_PARTITION_COUNT_MAX = 4096 };

/* The highest id_low: what 62 bits hold. */
static const uint64_t JOB_ID_LOW_MAX = ((uint64_t)1 << 62) - 1;

struct job_id {
    uint64_t created_ms; /* 48 bits */
    uint64_t id_low;     /* 62 bits, not 0 */
    uint32_t partition;  /* below JOB_PARTITION_COUNT_MAX */
};

/* Makes an id from random bits, of which all but two are used; never an id_low of 0. */
struct job_id job_id_make(uint64_t created_ms, uint32_t partition, uint64_t random_bits);

/* Writes the text, without a terminator. */
void job_id_format(struct job_id id, char ret_text[UUID_TEXT_SIZE]);

/* True when text is such an id. */
MUST_USE bool job_id_parse(struct slice text, struct job_id *ret_id);

/*
 * The partition that keeps the jobs of a project; partition_count is the data directory's.
 * Neither name may be longer than JOB_NAME_SIZE_MAX (job_record.h).
 */
uint32_t job_partition(struct slice org, struct slice project, uint32_t partition_count);

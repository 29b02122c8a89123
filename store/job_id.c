#include "store/job_id.h"

#include "contracts/fingerprint.h"
#include "store/job_record.h"

/*
 * The partition is that of Kafka's partitioners for the key <org>|<project>, as an
 * event's is for its longer key: who reads the log finds jobs by the same rule.
 */

enum {
    VERSION_BITS = 0x7000, /* version 7, above the 12 bits of the partition */
    VERSION_MASK = 0xf000,
    CREATED_BITS = 48,
};

static const uint64_t VARIANT_BITS = (uint64_t)2 << 62;

static void put_big_endian(uint8_t *bytes, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_big_endian(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

struct job_id job_id_make(uint64_t created_ms, uint32_t partition, uint64_t random_bits)
{
    uint64_t id_low = random_bits & JOB_ID_LOW_MAX;

    assert(created_ms >> CREATED_BITS == 0);
    assert(partition < JOB_PARTITION_COUNT_MAX);
    return (struct job_id){created_ms, id_low == 0 ? 1 : id_low, partition};
}

void job_id_format(struct job_id id, char ret_text[UUID_TEXT_SIZE])
{
    uint8_t bytes[UUID_SIZE];

    assert(id.created_ms >> CREATED_BITS == 0);
    assert(id.partition < JOB_PARTITION_COUNT_MAX);
    assert(id.id_low != 0 && id.id_low <= JOB_ID_LOW_MAX);
    put_big_endian(bytes, id.created_ms << 16 | VERSION_BITS | id.partition);
    put_big_endian(bytes + 8, VARIANT_BITS | id.id_low);
    uuid_format(bytes, ret_text);
}

bool job_id_parse(struct slice text, struct job_id *ret_id)
{
    uint8_t bytes[UUID_SIZE];
    uint64_t high, low;

    if (!uuid_parse(text, bytes))
        return false;
    high = get_big_endian(bytes);
    low = get_big_endian(bytes + 8);
    if ((high & VERSION_MASK) != VERSION_BITS || (low & ~JOB_ID_LOW_MAX) != VARIANT_BITS ||
        low == VARIANT_BITS)
        return false;
    *ret_id =
        (struct job_id){high >> 16, low & JOB_ID_LOW_MAX, high & (JOB_PARTITION_COUNT_MAX - 1)};
    return true;
}

uint32_t job_partition(struct slice org, struct slice project, uint32_t partition_count)
{
    char key[2 * JOB_NAME_SIZE_MAX + 1];

    assert(org.size <= JOB_NAME_SIZE_MAX);
    assert(project.size <= JOB_NAME_SIZE_MAX);
    if (org.size > 0)
        memcpy(key, org.data, org.size);
    key[org.size] = '|';
    if (project.size > 0)
        memcpy(key + org.size + 1, project.data, project.size);
    return partition_of((struct slice){key, org.size + 1 + project.size},
                        (uint32_t)min_u64(partition_count, JOB_PARTITION_COUNT_MAX));
}

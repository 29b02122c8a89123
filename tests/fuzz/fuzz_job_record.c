/*
 * Fuzz job_record: arbitrary bytes as the payload of a JOB, JOB_FACT or JOB_QUEUE.
 *
 * The first byte picks the kind. What is accepted must encode to the very same bytes:
 * so nothing in a payload is passed over, and there is one form of each.
 */
#include <stdlib.h>

#include "store/job_record.h"

enum { KIND_COUNT = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *buffer_of(uint64_t size)
{
    char *buffer = malloc(size);

    assert(buffer != NULL);
    return buffer;
}

static void expect_same(struct slice payload, char *buffer, uint64_t size)
{
    assert(slice_equal((struct slice){buffer, size}, payload));
    free(buffer);
}

static void try_image(struct slice payload)
{
    struct job_image image;
    char *buffer;

    if (job_image_decode(payload, &image) < 0)
        return;
    for (uint32_t i = 0; i < image.after_count; i++)
        assert(job_image_after(&image, i) != 0);
    assert(job_state_name(image.header.state) != NULL);
    assert(job_dead_reason_name(image.header.reason) != NULL);
    buffer = buffer_of(job_image_size(&image));
    expect_same(payload, buffer, job_image_encode(&image, buffer));
}

static void try_fact(struct slice payload)
{
    struct job_fact fact;
    char *buffer;

    if (job_fact_decode(payload, &fact) < 0)
        return;
    assert(job_fact_name(fact.header.kind) != NULL);
    assert(job_dead_reason_name(fact.header.reason) != NULL);
    buffer = buffer_of(job_fact_size(&fact));
    expect_same(payload, buffer, job_fact_encode(&fact, buffer));
}

static void try_queue(struct slice payload)
{
    struct job_queue_record record;
    char *buffer;

    if (job_queue_record_decode(payload, &record) < 0)
        return;
    buffer = buffer_of(job_queue_record_size(&record));
    expect_same(payload, buffer, job_queue_record_encode(&record, buffer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice payload;

    if (size < 1)
        return 0;
    payload = (struct slice){(const char *)data + 1, size - 1};
    switch (data[0] % KIND_COUNT) {
    case 0:
        try_image(payload);
        break;
    case 1:
        try_fact(payload);
        break;
    default:
        try_queue(payload);
        break;
    }
    return 0;
}

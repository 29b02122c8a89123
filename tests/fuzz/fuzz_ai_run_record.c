/*
 * Fuzz ai_run_record: arbitrary bytes as the payload of an AI_RUN.
 *
 * What is accepted encodes to the very same bytes, and takes one more attempt.
 */
#include <stdlib.h>

#include "store/ai_run_record.h"

static char buffer[AI_RUN_RECORD_SIZE_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ai_run_image image;
    struct slice payload = {(const char *)data, size};
    struct ai_run_attempt attempt = {.number = 1, .call_count = 1};

    if (ai_run_decode(payload, &image) < 0)
        return 0;
    require(size <= AI_RUN_RECORD_SIZE_MAX);
    require(ai_run_size(&image) == size);
    require(ai_run_encode(&image, buffer) == size);
    require(memcmp(buffer, data, size) == 0);
    ai_run_add_attempt(&image, &attempt);
    require(image.header.attempt_count <= AI_RUN_ATTEMPT_COUNT_MAX);
    require(ai_run_encode(&image, buffer) <= AI_RUN_RECORD_SIZE_MAX);
    return 0;
}

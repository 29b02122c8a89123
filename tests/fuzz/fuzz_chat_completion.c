/*
 * Fuzz: a body as the answer of a model server.
 *
 * Whatever is given borrows from the body, and a body that is accepted is JSON.
 */
#include <stdlib.h>

#include "contracts/chat_completion.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_string(struct slice body, const struct json_value *value)
{
    require(value->type == JSON_STRING || value->type == JSON_ABSENT);
    if (value->type == JSON_ABSENT)
        return;
    require(value->raw.data >= body.data);
    require(value->raw.data + value->raw.size <= body.data + body.size);
    require(value->raw.size >= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = {(const char *)data, size};
    struct chat_response response;
    struct json_reader reader;
    struct json_value value;

    if (!chat_response_read(body, &response))
        return 0;
    require(json_read_document(body, CHAT_DEPTH_MAX, &reader, &value) == JSON_OK);
    check_string(body, &response.content);
    check_string(body, &response.id);
    check_string(body, &response.model);
    require(response.finish < CHAT_FINISH_COUNT);
    return 0;
}

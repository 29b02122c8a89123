/*
 * However the body is cut, the verdict, the bytes used and the data (by size and
 * checksum) are the same, and the limit holds. The first byte chooses the cut.
 */
#include "http/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_SIZE_MAX = 300 };

struct outcome {
    enum chunked_result result;
    enum http_parse_error error;
    size_t consumed;
    size_t body_size;
    uint64_t checksum;
};

static void take_body(struct outcome *outcome, struct slice body)
{
    for (size_t i = 0; i < body.size; i++)
        outcome->checksum = outcome->checksum * 31 + (unsigned char)body.data[i];
    outcome->body_size += body.size;
    assert(outcome->body_size <= BODY_SIZE_MAX);
}

static struct outcome decode(const char *text, size_t size, size_t step)
{
    struct outcome outcome = {.result = CHUNKED_NEED_MORE};
    struct chunked chunked;
    size_t shown = 0;

    chunked_init(&chunked, BODY_SIZE_MAX);
    while (outcome.result == CHUNKED_DATA ||
           (outcome.result == CHUNKED_NEED_MORE && shown < size)) {
        struct slice body;
        size_t consumed;

        if (outcome.result == CHUNKED_NEED_MORE)
            shown += min_u64(step, size - shown);
        outcome.result = chunked_feed(&chunked, text + outcome.consumed, shown - outcome.consumed,
                                      &consumed, &body);
        assert(consumed <= shown - outcome.consumed);
        assert(outcome.result != CHUNKED_NEED_MORE || consumed == shown - outcome.consumed);
        outcome.consumed += consumed;
        take_body(&outcome, body);
    }
    outcome.error = chunked_error(&chunked);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole;
    struct outcome cut_up;
    const char *text = (const char *)data + 1;

    if (size < 1)
        return 0;
    whole = decode(text, size - 1, size);
    cut_up = decode(text, size - 1, (size_t)data[0] % 16 + 1);
    assert(whole.result == cut_up.result);
    assert(whole.error == cut_up.error);
    assert(whole.consumed == cut_up.consumed);
    assert(whole.body_size == cut_up.body_size);
    assert(whole.checksum == cut_up.checksum);
    return 0;
}

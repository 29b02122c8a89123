/*
 * Chat completion: the request and the answer of an OpenAI-compatible model server.
 *
 *     POST <base_url>/chat/completions
 *     {"model": "...", "messages": [{"role": "system", "content": "..."}, ...],
 *      "max_tokens": 1024, "temperature": 0.7}
 *
 * Of the answer these are read, everything else is ignored, since every server adds its own:
 *
 *     id, model, choices[0].message.content, choices[0].message.refusal,
 *     choices[0].finish_reason, usage.prompt_tokens, usage.completion_tokens,
 *     usage.prompt_tokens_details.cached_tokens,
 *     usage.completion_tokens_details.reasoning_tokens
 *
 * It must be JSON, have a choice with a message, and what is read of it must be of its type.
 * What a server did not say is said to be unknown, not 0.
 */
#pragma once

#include "contracts/json_reader.h"
#include "contracts/json_writer.h"
#include "runtime/base.h"

enum {
    CHAT_MESSAGE_COUNT_MAX = 8,
    CHAT_TEMPERATURE_MILLI_MAX = 2000,
    CHAT_DEPTH_MAX = 32,
    CHAT_RESPONSE_SIZE_MAX = 1 << 20,
    CHAT_NAME_SIZE_MAX = 128, /* of an id or model in an answer; a longer one is unknown */
};

/* Tokens that the server did not count. */
static const uint32_t CHAT_TOKENS_UNKNOWN = UINT32_MAX;

enum chat_role {
    CHAT_SYSTEM,
    CHAT_USER,
    CHAT_ASSISTANT,
};

/* What was said, borrowed. */
struct chat_message {
    enum chat_role role;
    struct slice text; /* UTF-8; what is not becomes U+FFFD */
};

/* Everything borrowed. */
struct chat_request {
    struct slice model;
    const struct chat_message *messages;
    uint32_t message_count; /* 1 to CHAT_MESSAGE_COUNT_MAX */
    uint32_t max_tokens;
    uint32_t temperature_milli; /* at most CHAT_TEMPERATURE_MILLI_MAX */
};

/* X(name, text): why the model stopped. On disk: only ever append. */
#define CHAT_FINISHES(X)                                                                           \
    X(UNKNOWN, "unknown") /* it did not say, or something new */                                   \
    X(STOP, "stop")                                                                                \
    X(LENGTH, "length") /* the text is cut off at max_tokens */                                    \
    X(FILTER, "content_filter")                                                                    \
    X(TOOLS, "tool_calls")

enum chat_finish {
#define CHAT_FINISH_ENUM(name, text) CHAT_FINISH_##name,
    CHAT_FINISHES(CHAT_FINISH_ENUM)
#undef CHAT_FINISH_ENUM
        CHAT_FINISH_COUNT,
};

/* Borrows from the answer. */
struct chat_response {
    struct json_value content; /* a string, or JSON_ABSENT when there is none */
    bool has_refusal;          /* the model says that it will not */
    enum chat_finish finish;
    struct json_value id;    /* a string, or JSON_ABSENT */
    struct json_value model; /* as id; what answered, which need not be what was asked */
    uint32_t input_tokens;   /* these four may be CHAT_TOKENS_UNKNOWN */
    uint32_t output_tokens;
    uint32_t cached_tokens;    /* part of input_tokens */
    uint32_t reasoning_tokens; /* part of output_tokens */
};

/* Writes the request as one value. */
void chat_request_write(const struct chat_request *request, struct json_writer *writer);

/* What chat_request_write() takes at most for that many bytes of model and texts. */
size_t chat_request_size_max(size_t text_size);

/* False when body is not such an answer; *ret_response is then undefined. */
MUST_USE bool chat_response_read(struct slice body, struct chat_response *ret_response);

/* "stop"; "unknown" for a number of a later version. Static. */
struct slice chat_finish_name(uint32_t finish);

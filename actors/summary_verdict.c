#include "actors/summary_verdict.h"

#include <stdio.h>

#include "contracts/json_string.h"
#include "runtime/sim_point.h"

/*
 * A server that answers is there, whatever it says: its breaker counts what comes without an
 * answer, 5xx, and what is no answer of such a server. An answer that was cut off is never
 * asked for again with the same bound: an operator raises it and replays.
 */

static void fail(struct summary_verdict *verdict, enum ai_run_error error, struct slice text,
                 enum breakers_result breaker, bool is_retryable)
{
    verdict->kind = SUMMARY_FAILED;
    verdict->error = error;
    verdict->text = text;
    verdict->breaker = breaker;
    verdict->is_retryable = is_retryable;
}

/* The text of the model as it is. False: there is no room to decode it. */
MUST_USE static bool decode_content(struct summary_verdict *verdict, struct buffer_pool *buffers)
{
    const struct json_value *content = &verdict->response.content;

    verdict->content = (struct slice){"", 0};
    if (content->type == JSON_ABSENT)
        return true;
    verdict->content = json_string_body(content);
    if (!content->has_escapes)
        return true;
    return buffer_acquire(buffers, verdict->content.size, &verdict->memory) == 0 &&
           json_string_text(content, verdict->memory->data, verdict->memory->capacity,
                            &verdict->content);
}

static void judge_content(struct summary_verdict *verdict, const struct ai_model *model,
                          struct buffer_pool *buffers, struct summary_output *output)
{
    const struct chat_response *response = &verdict->response;

    if (response->has_refusal || response->finish == CHAT_FINISH_FILTER) {
        fail(verdict, AI_RUN_ERROR_FILTERED, SLICE_LITERAL("the model refused to answer"),
             BREAKERS_SUCCESS, false);
        return;
    }
    if (!decode_content(verdict, buffers)) {
        verdict->kind = SUMMARY_UNHEARD;
        return;
    }
    if (ai_model_is_told(model, verdict->content))
        verdict->content = (struct slice){"", 0};
    if (summary_output_read(verdict->content, output)) {
        verdict->kind = SUMMARY_VALID;
        return;
    }
    verdict->has_problems = true;
    verdict->kind = SUMMARY_INVALID;
    if (response->finish == CHAT_FINISH_LENGTH) {
        SOMETIMES("an answer is cut off");
        fail(verdict, AI_RUN_ERROR_CUT_OFF,
             SLICE_LITERAL("the model's answer was cut off: [ai] max_tokens is too low for it"),
             BREAKERS_SUCCESS, false);
    }
}

/* An answer of status 200. */
static void judge_answer(struct summary_verdict *verdict, const struct http_client_result *result,
                         const struct ai_model *model, struct buffer_pool *buffers,
                         struct summary_output *output)
{
    if (ai_model_is_told(model, result->body) ||
        !chat_response_read(result->body, &verdict->response)) {
        fail(verdict, AI_RUN_ERROR_BAD_ANSWER,
             SLICE_LITERAL("the model's server answered 200, but with no chat completion"),
             BREAKERS_FAILURE, true);
        return;
    }
    verdict->has_response = true;
    judge_content(verdict, model, buffers, output);
}

static void judge_status(struct summary_verdict *verdict, const struct http_client_result *result)
{
    unsigned status = result->status;
    enum ai_run_error error = AI_RUN_ERROR_REFUSED;
    int size =
        snprintf(verdict->words, sizeof(verdict->words), "the model's server answered %u", status);

    assert(size > 0);
    if (status == 429)
        error = AI_RUN_ERROR_RATE_LIMITED;
    else if (status >= 500 || status == 408 || status == 425)
        error = AI_RUN_ERROR_SERVER;
    fail(verdict, error, (struct slice){verdict->words, (size_t)size},
         status >= 500 ? BREAKERS_FAILURE : BREAKERS_SUCCESS, error != AI_RUN_ERROR_REFUSED);
    verdict->retry_after_ms = result->has_retry_after ? result->retry_after_ms : 0;
}

static void judge_silence(struct summary_verdict *verdict, const struct http_client_result *result)
{
    struct slice outcome = http_client_outcome_name(result->outcome);
    struct slice stage = http_client_stage_name(result->stage);
    int size = snprintf(verdict->words, sizeof(verdict->words),
                        "no answer of the model's server: %.*s while %.*s", (int)outcome.size,
                        outcome.data, (int)stage.size, stage.data);

    assert(size > 0);
    fail(verdict,
         result->outcome == HTTP_CLIENT_TIMED_OUT ? AI_RUN_ERROR_TIMEOUT : AI_RUN_ERROR_NO_ANSWER,
         (struct slice){verdict->words, min_u64((uint64_t)size, sizeof(verdict->words) - 1)},
         BREAKERS_FAILURE, true);
    verdict->is_silence = true;
}

void summary_verdict_init(struct summary_verdict *verdict, const struct http_client_result *result,
                          const struct ai_model *model, struct buffer_pool *buffers,
                          struct summary_output *ret_output)
{
    memset(verdict, 0, sizeof(*verdict));
    switch (result->outcome) {
    case HTTP_CLIENT_RESPONSE:
        if (result->status == 200)
            judge_answer(verdict, result, model, buffers, ret_output);
        else
            judge_status(verdict, result);
        return;
    case HTTP_CLIENT_TOO_LARGE:
        fail(verdict, AI_RUN_ERROR_BAD_ANSWER,
             SLICE_LITERAL("the answer of the model's server is larger than 1 MiB"),
             BREAKERS_SUCCESS, true);
        return;
    case HTTP_CLIENT_NO_CAPACITY:
    case HTTP_CLIENT_CANCELLED:
        verdict->kind = SUMMARY_UNHEARD;
        return;
    case HTTP_CLIENT_ADDRESS_REFUSED:
    case HTTP_CLIENT_TIMED_OUT:
    case HTTP_CLIENT_CONNECT_FAILED:
    case HTTP_CLIENT_RESOLVE_FAILED:
    case HTTP_CLIENT_TLS_FAILED:
    case HTTP_CLIENT_BAD_RESPONSE:
    case HTTP_CLIENT_CLOSED_EARLY:
        judge_silence(verdict, result);
        return;
    case HTTP_CLIENT_OUTCOME_COUNT:
        break;
    }
    assert(false);
}

void summary_verdict_deinit(struct summary_verdict *verdict)
{
    buffer_unref(&verdict->memory);
}

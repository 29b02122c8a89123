/*
 * Summary verdict: what the answer of a model's server means for the summary that it is for.
 *
 *     200, a chat completion   its text is a summary ---------------------> VALID
 *                              it is none: cut off, or the model refuses -> FAILED, for good
 *                              it is none for any other reason -----------> INVALID
 *     200, anything else; larger than we read ----------------------------> FAILED
 *     another status      5xx, 429, 408, 425: for now; else for good -----> FAILED
 *     no answer ----------------------------------------------------------> FAILED, for now
 *     it was never sent, or there is no room to read it ------------------> UNHEARD
 *
 * Judging changes nothing but the output, so whoever asked for it tells the breaker, the run's
 * record and the job, in that order.
 */
#pragma once

#include "actors/ai_model.h"
#include "actors/breakers.h"
#include "contracts/chat_completion.h"
#include "contracts/summary_output.h"
#include "http/client.h"
#include "runtime/buffer.h"
#include "store/ai_run_record.h"

enum summary_verdict_kind {
    SUMMARY_VALID,   /* the output is a summary */
    SUMMARY_INVALID, /* the content is not of the shape: the model may be told so */
    SUMMARY_FAILED,  /* error, text and how it may be tried again are set */
    SUMMARY_UNHEARD, /* for our sake: the attempt does not count */
};

/* The slices and the output borrow from the result, from memory or from the verdict itself. */
struct summary_verdict {
    enum summary_verdict_kind kind;
    struct slice content; /* INVALID: what the model said */

    enum ai_run_error error; /* these are of FAILED */
    struct slice text;       /* never what a server said */
    enum breakers_result breaker;
    bool is_silence; /* there was no answer at all */
    bool is_retryable;
    uint64_t retry_after_ms;

    bool has_response; /* it is a chat completion, and has used what it says */
    struct chat_response response;
    bool has_problems;     /* the output says what is wrong with the content */
    struct buffer *memory; /* private to summary_verdict.c from here on */
    char words[AI_RUN_ERROR_SIZE_MAX];
};

/*
 * Judges the result of a call to model, which are both borrowed until summary_verdict_deinit().
 * *ret_output is what was read of the content, if VALID or has_problems.
 */
void summary_verdict_init(struct summary_verdict *verdict, const struct http_client_result *result,
                          const struct ai_model *model, struct buffer_pool *buffers,
                          struct summary_output *ret_output);

/* Gives back what the content lies in. */
void summary_verdict_deinit(struct summary_verdict *verdict);

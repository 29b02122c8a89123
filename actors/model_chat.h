/*
 * Model chat: what is said to a model about one incident, and said again when its answer is
 * not of the shape that was asked for.
 *
 *     1st request   system text, the incident
 *     2nd, 3rd      system text, the incident, the latest answer, what is wrong with it
 *
 * Only the latest answer is shown to the model again, and no more of it than
 * MODEL_CHAT_SHOWN_SIZE_MAX, so that requests do not grow without end.
 */
#pragma once

#include "actors/ai_model.h"
#include "contracts/incident_brief.h"
#include "contracts/summary_output.h"
#include "contracts/uuid.h"
#include "http/client.h"
#include "runtime/buffer.h"
#include "store/job_id.h"

enum {
    MODEL_CHAT_REPAIR_COUNT_MAX = 2,
    MODEL_CHAT_SHOWN_SIZE_MAX = 16384, /* of an answer, when its model sees it again */
    MODEL_CHAT_KEY_SIZE = UUID_TEXT_SIZE + 16,
};

/* Private to model_chat.c. Zeroed, it is one that has not begun. */
struct model_chat {
    const struct ai_model *model;
    struct buffer_pool *buffers;
    uint32_t repair_count;
    struct buffer *prompt;  /* the user's text */
    struct buffer *answer;  /* what the model said last, to be shown to it again */
    struct buffer *repair;  /* what was wrong with it */
    struct buffer *request; /* the body on its way */
    char idempotency_key[MODEL_CHAT_KEY_SIZE];
    struct header headers[AI_MODEL_HEADER_COUNT_MAX + 1];
};

/* Begins; borrows model and buffers. False: there is no buffer. */
MUST_USE bool model_chat_begin(struct model_chat *chat, const struct ai_model *model,
                               struct buffer_pool *buffers);

/* Gives the buffers back. One that has not begun is accepted. */
void model_chat_end(struct model_chat *chat);

/* Writes what is said about the incident, and lends the text. */
struct slice model_chat_ask(struct model_chat *chat, const struct incident_brief *brief);

/* Answers for a model that is not there: the text, lent, has the place of what was asked. */
struct slice model_chat_answer_locally(struct model_chat *chat, const struct incident_brief *brief);

/* True while the model may be told once more what is wrong with its answer. */
MUST_USE bool model_chat_may_repair(const struct model_chat *chat);

/* Notes the answer, and output's problems with it, for the next request. False: no buffer. */
MUST_USE bool model_chat_repair(struct model_chat *chat, struct slice answer,
                                const struct summary_output *output);

/*
 * Writes the next request and what call needs to send it: method, URL, fields and body, which
 * are lent until the next one. The number of the attempt and of the call within it make it one
 * that a server can tell from others. False: no buffer.
 */
MUST_USE bool model_chat_fill_call(struct model_chat *chat, struct job_id id, uint32_t attempt,
                                   uint32_t number, struct http_client_call *call);

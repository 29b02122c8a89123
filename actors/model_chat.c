#include "actors/model_chat.h"

#include <stdio.h>

#include "contracts/chat_completion.h"
#include "contracts/local_summary.h"
#include "contracts/summary_prompt.h"
#include "contracts/utf8.h"

/*
 * Each text has a buffer of its own, since the request repeats them all, escaped. The prompt
 * is made once; the answer and what is wrong with it are those of the latest request.
 */

static_assert((int)LOCAL_SUMMARY_SIZE_MAX <= (int)SUMMARY_PROMPT_SIZE_MAX, "they share a buffer");

static struct slice text_of(const struct buffer *buffer)
{
    return (struct slice){buffer->data, buffer->size};
}

static struct slice finish(struct json_writer *writer, struct buffer *buffer)
{
    struct slice text = {NULL, 0};
    bool fits = json_writer_finish(writer, &text);

    assert(fits);
    buffer->size = (uint32_t)text.size;
    return text;
}

bool model_chat_begin(struct model_chat *chat, const struct ai_model *model,
                      struct buffer_pool *buffers)
{
    assert(chat->prompt == NULL);
    chat->model = model;
    chat->buffers = buffers;
    return buffer_acquire(buffers, SUMMARY_PROMPT_SIZE_MAX, &chat->prompt) == 0;
}

void model_chat_end(struct model_chat *chat)
{
    buffer_unref(&chat->prompt);
    buffer_unref(&chat->answer);
    buffer_unref(&chat->repair);
    buffer_unref(&chat->request);
}

struct slice model_chat_ask(struct model_chat *chat, const struct incident_brief *brief)
{
    struct json_writer writer;

    json_writer_init(&writer, chat->prompt->data, chat->prompt->capacity);
    summary_prompt_write(brief, &writer);
    return finish(&writer, chat->prompt);
}

struct slice model_chat_answer_locally(struct model_chat *chat, const struct incident_brief *brief)
{
    struct json_writer writer;

    assert(chat->model->is_local);
    json_writer_init(&writer, chat->prompt->data, chat->prompt->capacity);
    local_summary_write(brief, &writer);
    return finish(&writer, chat->prompt);
}

bool model_chat_may_repair(const struct model_chat *chat)
{
    return chat->repair_count < MODEL_CHAT_REPAIR_COUNT_MAX;
}

bool model_chat_repair(struct model_chat *chat, struct slice answer,
                       const struct summary_output *output)
{
    size_t shown_size = utf8_cut(answer, MODEL_CHAT_SHOWN_SIZE_MAX);
    struct json_writer writer;

    assert(model_chat_may_repair(chat));
    chat->repair_count++;
    buffer_unref(&chat->answer);
    buffer_unref(&chat->repair);
    if (buffer_acquire(chat->buffers, SUMMARY_REPAIR_SIZE_MAX, &chat->repair) < 0 ||
        buffer_acquire(chat->buffers, MODEL_CHAT_SHOWN_SIZE_MAX, &chat->answer) < 0)
        return false;
    memcpy(chat->answer->data, answer.data, shown_size);
    chat->answer->size = (uint32_t)shown_size;
    json_writer_init(&writer, chat->repair->data, chat->repair->capacity);
    summary_prompt_write_repair(output, &writer);
    finish(&writer, chat->repair);
    return true;
}

/* --- a request -------------------------------------------------------------------------------- */

/* The conversation so far, as one request body. False: no buffer. */
MUST_USE static bool write_request(struct model_chat *chat)
{
    const struct ai_model *model = chat->model;
    struct chat_message messages[4] = {
        {CHAT_SYSTEM, summary_prompt_system()},
        {CHAT_USER, text_of(chat->prompt)},
    };
    struct chat_request request = {
        .model = model->name,
        .messages = messages,
        .message_count = 2,
        .max_tokens = model->max_tokens,
        .temperature_milli = model->temperature_milli,
    };
    size_t size = model->name.size;
    struct json_writer writer;

    if (chat->repair_count > 0) {
        messages[2] = (struct chat_message){CHAT_ASSISTANT, text_of(chat->answer)};
        messages[3] = (struct chat_message){CHAT_USER, text_of(chat->repair)};
        request.message_count = 4;
    }
    for (uint32_t i = 0; i < request.message_count; i++)
        size += messages[i].text.size;
    buffer_unref(&chat->request);
    if (buffer_acquire(chat->buffers, chat_request_size_max(size), &chat->request) < 0)
        return false;
    json_writer_init(&writer, chat->request->data, chat->request->capacity);
    chat_request_write(&request, &writer);
    finish(&writer, chat->request);
    return true;
}

/* A key of its own for each call, so that a server that knows of such tells a repetition. */
static uint32_t fill_headers(struct model_chat *chat, struct job_id id, uint32_t attempt,
                             uint32_t number)
{
    const struct ai_model *model = chat->model;
    char text[UUID_TEXT_SIZE];
    int size;

    job_id_format(id, text);
    size = snprintf(chat->idempotency_key, sizeof(chat->idempotency_key), "%.*s-%u-%u",
                    UUID_TEXT_SIZE, text, attempt, number);
    assert(size > 0);
    assert((size_t)size < sizeof(chat->idempotency_key));
    memcpy(chat->headers, model->headers, model->header_count * sizeof(chat->headers[0]));
    chat->headers[model->header_count] =
        (struct header){SLICE_LITERAL("Idempotency-Key"), {chat->idempotency_key, (size_t)size}};
    return model->header_count + 1;
}

bool model_chat_fill_call(struct model_chat *chat, struct job_id id, uint32_t attempt,
                          uint32_t number, struct http_client_call *call)
{
    assert(!chat->model->is_local);
    if (!write_request(chat))
        return false;
    call->method = HTTP_METHOD_POST;
    call->url = chat->model->url;
    call->headers = chat->headers;
    call->header_count = fill_headers(chat, id, attempt, number);
    call->body = text_of(chat->request);
    return true;
}

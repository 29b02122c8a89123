#include "contracts/chat_completion.h"

#include "contracts/json_number.h"
#include "contracts/json_string.h"

/*
 * The answer is validated once as a whole; members are then looked up in what is known to be
 * JSON. Answers are small and rare, so looking a member up costs nothing worth saving.
 * A member that occurs twice counts as its last, as for every client of these servers.
 */

static const struct slice ROLES[] = {
    [CHAT_SYSTEM] = SLICE_INITIALIZER("system"),
    [CHAT_USER] = SLICE_INITIALIZER("user"),
    [CHAT_ASSISTANT] = SLICE_INITIALIZER("assistant"),
};

static const struct slice FINISHES[] = {
#define CHAT_FINISH_TEXT(name, text) SLICE_INITIALIZER(text),
    CHAT_FINISHES(CHAT_FINISH_TEXT)
#undef CHAT_FINISH_TEXT
};

struct slice chat_finish_name(uint32_t finish)
{
    return finish < CHAT_FINISH_COUNT ? FINISHES[finish] : FINISHES[CHAT_FINISH_UNKNOWN];
}

/* --- request ------------------------------------------------------------------------ */

size_t chat_request_size_max(size_t text_size)
{
    enum { FRAME_SIZE = 512 }; /* names, roles, numbers of at most CHAT_MESSAGE_COUNT_MAX */

    return 6 * text_size + FRAME_SIZE; /* \u0000 for a byte */
}

static void write_message(const struct chat_message *message, struct json_writer *writer)
{
    assert(message->role < ARRAY_COUNT(ROLES));
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("role"));
    json_writer_string(writer, ROLES[message->role]);
    json_writer_key(writer, SLICE_LITERAL("content"));
    json_writer_string(writer, message->text);
    json_writer_end_object(writer);
}

void chat_request_write(const struct chat_request *request, struct json_writer *writer)
{
    assert(request->message_count > 0);
    assert(request->message_count <= CHAT_MESSAGE_COUNT_MAX);
    assert(request->temperature_milli <= CHAT_TEMPERATURE_MILLI_MAX);
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("model"));
    json_writer_string(writer, request->model);
    json_writer_key(writer, SLICE_LITERAL("messages"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < request->message_count; i++)
        write_message(&request->messages[i], writer);
    json_writer_end_array(writer);
    json_writer_key(writer, SLICE_LITERAL("max_tokens"));
    json_writer_u64(writer, request->max_tokens);
    json_writer_key(writer, SLICE_LITERAL("temperature"));
    json_writer_double(writer, request->temperature_milli / 1000.0);
    json_writer_end_object(writer);
}

/* --- answer -------------------------------------------------------------------------- */

/* The member, JSON_ABSENT when it is not there, null, or parent is no object. */
static struct json_value member(const struct json_value *parent, struct slice name)
{
    struct json_value value = {.type = JSON_ABSENT};

    if (parent->type != JSON_OBJECT || !json_find_member(parent->raw, name, &value) ||
        value.type == JSON_NULL)
        value.type = JSON_ABSENT;
    return value;
}

/* A short string; JSON_ABSENT when it is anything else. */
static struct json_value name_of(const struct json_value *parent, struct slice name)
{
    struct json_value value = member(parent, name);
    bool is_name = value.type == JSON_STRING && json_string_body(&value).size > 0 &&
                   json_string_body(&value).size <= CHAT_NAME_SIZE_MAX;

    if (!is_name)
        value.type = JSON_ABSENT;
    return value;
}

static uint32_t tokens_of(const struct json_value *parent, struct slice name)
{
    struct json_value value = member(parent, name);
    int64_t count;

    if (value.type != JSON_NUMBER || !json_number_to_i64(value.raw, &count) || count < 0 ||
        count >= CHAT_TOKENS_UNKNOWN)
        return CHAT_TOKENS_UNKNOWN;
    return (uint32_t)count;
}

static void read_usage(const struct json_value *answer, struct chat_response *response)
{
    struct json_value usage = member(answer, SLICE_LITERAL("usage"));
    struct json_value input = member(&usage, SLICE_LITERAL("prompt_tokens_details"));
    struct json_value output = member(&usage, SLICE_LITERAL("completion_tokens_details"));

    response->input_tokens = tokens_of(&usage, SLICE_LITERAL("prompt_tokens"));
    response->output_tokens = tokens_of(&usage, SLICE_LITERAL("completion_tokens"));
    response->cached_tokens = tokens_of(&input, SLICE_LITERAL("cached_tokens"));
    response->reasoning_tokens = tokens_of(&output, SLICE_LITERAL("reasoning_tokens"));
}

/* False when there is no first choice that is an object. */
MUST_USE static bool first_choice(const struct json_value *answer, struct json_value *ret_choice)
{
    struct json_value choices = member(answer, SLICE_LITERAL("choices"));
    struct json_reader reader;

    if (choices.type != JSON_ARRAY)
        return false;
    json_reader_init(&reader, choices.raw, CHAT_DEPTH_MAX);
    return json_reader_enter_array(&reader) == JSON_OK &&
           json_reader_next_element(&reader) == JSON_OK &&
           json_reader_read(&reader, ret_choice) == JSON_OK && ret_choice->type == JSON_OBJECT;
}

static enum chat_finish finish_of(const struct json_value *choice)
{
    struct json_value value = member(choice, SLICE_LITERAL("finish_reason"));

    for (uint32_t i = 0; i < CHAT_FINISH_COUNT && value.type == JSON_STRING; i++)
        if (json_string_equal(&value, FINISHES[i]))
            return (enum chat_finish)i;
    return CHAT_FINISH_UNKNOWN;
}

bool chat_response_read(struct slice body, struct chat_response *ret_response)
{
    struct json_value answer, choice, message, refusal;
    struct json_reader reader;

    if (body.size > CHAT_RESPONSE_SIZE_MAX ||
        json_read_document(body, CHAT_DEPTH_MAX, &reader, &answer) != JSON_OK ||
        !first_choice(&answer, &choice))
        return false;
    message = member(&choice, SLICE_LITERAL("message"));
    if (message.type != JSON_OBJECT)
        return false;
    ret_response->content = member(&message, SLICE_LITERAL("content"));
    if (ret_response->content.type != JSON_STRING && ret_response->content.type != JSON_ABSENT)
        return false;
    refusal = member(&message, SLICE_LITERAL("refusal"));
    ret_response->has_refusal = refusal.type != JSON_ABSENT;
    ret_response->finish = finish_of(&choice);
    ret_response->id = name_of(&answer, SLICE_LITERAL("id"));
    ret_response->model = name_of(&answer, SLICE_LITERAL("model"));
    read_usage(&answer, ret_response);
    return true;
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/chat_completion.h"
#include "contracts/json_string.h"
#include "tests/support/guarded_text.h"

static struct guarded_text guarded;
static struct chat_response response;
static char buffer[65536];

static void setup(void)
{
    guarded_text_init(&guarded);
}

TestSuite(chat_completion, .init = setup, .timeout = 10);

static bool read_text(const char *body)
{
    return chat_response_read(guarded_text_put(&guarded, slice_of(body)), &response);
}

static const char *raw_of(const struct json_value *value)
{
    if (value->type == JSON_ABSENT)
        return "";
    memcpy(buffer, value->raw.data, value->raw.size);
    buffer[value->raw.size] = '\0';
    return buffer;
}

Test(chat_completion, writes_what_the_servers_expect)
{
    const struct chat_message messages[] = {
        {CHAT_SYSTEM, SLICE_INITIALIZER("Be brief.")},
        {CHAT_USER, SLICE_INITIALIZER("line\n\"two\"")},
        {CHAT_ASSISTANT, SLICE_INITIALIZER("{}")},
    };
    struct chat_request request = {
        .model = SLICE_INITIALIZER("llama3.3-70b-instruct"),
        .messages = messages,
        .message_count = 3,
        .max_tokens = 1024,
        .temperature_milli = 700,
    };
    struct json_writer writer;
    struct slice body;

    json_writer_init(&writer, buffer, sizeof(buffer) - 1);
    chat_request_write(&request, &writer);
    cr_assert(json_writer_finish(&writer, &body));
    buffer[body.size] = '\0';
    cr_assert(eq(str, buffer,
                 "{\"model\":\"llama3.3-70b-instruct\",\"messages\":["
                 "{\"role\":\"system\",\"content\":\"Be brief.\"},"
                 "{\"role\":\"user\",\"content\":\"line\\n\\\"two\\\"\"},"
                 "{\"role\":\"assistant\",\"content\":\"{}\"}],"
                 "\"max_tokens\":1024,\"temperature\":0.7}"));
}

Test(chat_completion, says_how_much_room_the_worst_request_needs)
{
    char worst[1000] = {0};
    struct chat_message messages[CHAT_MESSAGE_COUNT_MAX];
    struct chat_request request = {
        .model = {worst, 100},
        .messages = messages,
        .message_count = CHAT_MESSAGE_COUNT_MAX,
        .max_tokens = UINT32_MAX,
        .temperature_milli = 1999,
    };
    size_t size = chat_request_size_max(100 + CHAT_MESSAGE_COUNT_MAX * sizeof(worst));
    struct json_writer writer;
    struct slice body;

    for (uint32_t i = 0; i < CHAT_MESSAGE_COUNT_MAX; i++)
        messages[i] = (struct chat_message){CHAT_ASSISTANT, {worst, sizeof(worst)}};
    cr_assert(size <= sizeof(buffer));
    json_writer_init(&writer, buffer, size);
    chat_request_write(&request, &writer);
    cr_assert(json_writer_finish(&writer, &body));
}

Test(chat_completion, reads_an_answer)
{
    cr_assert(read_text("{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,"
                        "\"model\":\"m-2026\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                        "\"assistant\",\"content\":\"{\\\"a\\\":1}\",\"refusal\":null},"
                        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                        "\"prompt_tokens\":812,\"completion_tokens\":91,\"total_tokens\":903,"
                        "\"prompt_tokens_details\":{\"cached_tokens\":512},"
                        "\"completion_tokens_details\":{\"reasoning_tokens\":7}}}"));
    cr_assert(json_string_equal(&response.content, SLICE_LITERAL("{\"a\":1}")));
    cr_assert(not(response.has_refusal));
    cr_assert(eq(int, response.finish, CHAT_FINISH_STOP));
    cr_assert(eq(u32, response.input_tokens, 812));
    cr_assert(eq(u32, response.output_tokens, 91));
    cr_assert(eq(u32, response.cached_tokens, 512));
    cr_assert(eq(u32, response.reasoning_tokens, 7));
    cr_assert(eq(str, (char *)raw_of(&response.model), "\"m-2026\""));
    cr_assert(eq(str, (char *)raw_of(&response.id), "\"chatcmpl-1\""));
}

Test(chat_completion, does_not_take_what_was_not_said_for_nothing)
{
    cr_assert(read_text("{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"));
    cr_assert(eq(u32, response.input_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(eq(u32, response.output_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(eq(u32, response.cached_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(eq(u32, response.reasoning_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(eq(int, response.finish, CHAT_FINISH_UNKNOWN));
    cr_assert(eq(int, response.model.type, JSON_ABSENT));
    cr_assert(read_text("{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{"
                        "\"prompt_tokens\":-1,\"completion_tokens\":1.5,"
                        "\"prompt_tokens_details\":[],\"completion_tokens_details\":{"
                        "\"reasoning_tokens\":\"7\"}}}"));
    cr_assert(eq(u32, response.input_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(eq(u32, response.output_tokens, CHAT_TOKENS_UNKNOWN));
    cr_assert(eq(u32, response.reasoning_tokens, CHAT_TOKENS_UNKNOWN));
}

Test(chat_completion, knows_why_the_model_stopped)
{
    static const struct {
        const char *text;
        enum chat_finish finish;
    } cases[] = {
        {"\"stop\"", CHAT_FINISH_STOP},
        {"\"length\"", CHAT_FINISH_LENGTH},
        {"\"l\\u0065ngth\"", CHAT_FINISH_LENGTH},
        {"\"content_filter\"", CHAT_FINISH_FILTER},
        {"\"tool_calls\"", CHAT_FINISH_TOOLS},
        {"\"else\"", CHAT_FINISH_UNKNOWN},
        {"null", CHAT_FINISH_UNKNOWN},
        {"3", CHAT_FINISH_UNKNOWN},
    };
    char body[256];

    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        snprintf(body, sizeof(body),
                 "{\"choices\":[{\"message\":{\"content\":null},\"finish_reason\":%s}]}",
                 cases[i].text);
        cr_assert(read_text(body), "%s", body);
        cr_assert(eq(int, response.finish, cases[i].finish));
        cr_assert(eq(int, response.content.type, JSON_ABSENT));
    }
    cr_assert(slice_equal(chat_finish_name(CHAT_FINISH_LENGTH), SLICE_LITERAL("length")));
    cr_assert(slice_equal(chat_finish_name(200), SLICE_LITERAL("unknown")));
}

Test(chat_completion, sees_a_refusal)
{
    cr_assert(read_text("{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"}}]}"));
    cr_assert(response.has_refusal);
}

Test(chat_completion, refuses_what_is_no_answer)
{
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"choices\":[]}",
        "{\"choices\":{}}",
        "{\"choices\":[1]}",
        "{\"choices\":[{}]}",
        "{\"choices\":[{\"message\":\"x\"}]}",
        "{\"choices\":[{\"message\":{\"content\":1}}]}",
        "{\"choices\":[{\"message\":{\"content\":[\"x\"]}}]}",
        "{\"error\":{\"message\":\"no\"}}",
        "{\"choices\":[{\"message\":{\"content\":\"x\"}}]",
        "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}x",
        "{\"choices\":[{\"message\":{\"content\":\"\xff\"}}]}",
        "<html>502</html>",
    };

    for (uint32_t i = 0; i < ARRAY_COUNT(bodies); i++)
        cr_assert(not(read_text(bodies[i])), "%s", bodies[i]);
}

Test(chat_completion, forgets_a_name_that_is_too_long)
{
    char body[512];

    snprintf(body, sizeof(body),
             "{\"model\":\"%0129u\",\"id\":\"\",\"choices\":[{\"message\":{}}]}", 1U);
    cr_assert(read_text(body));
    cr_assert(eq(int, response.model.type, JSON_ABSENT));
    cr_assert(eq(int, response.id.type, JSON_ABSENT));
}

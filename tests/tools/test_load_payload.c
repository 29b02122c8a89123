#include "tools/load/load_payload.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "contracts/json_reader.h"
#include "http/request_parser.h"

static struct load_payload_config config;
static struct load_payload *payload;
static char message[LOAD_TEMPLATE_MESSAGE_SIZE];
static char *buffer;
static uint32_t event_count;

static void setup(void)
{
    config = (struct load_payload_config){.authority = SLICE_LITERAL("localhost:3000"),
                                          .target = SLICE_LITERAL("/"),
                                          .method = "GET",
                                          .has_places = true,
                                          .seed = 9};
}

static void teardown(void)
{
    load_payload_free(&payload);
    free(buffer);
}

TestSuite(load_payload, .init = setup, .fini = teardown);

static void make(void)
{
    cr_assert(eq(int, load_payload_new(&config, message, &payload), 0), "%s", message);
    buffer = malloc(load_payload_size_max(payload) + 1);
}

static const char *render(enum load_mix mix, uint32_t count)
{
    struct load_arrival arrival = {.mix = (uint16_t)mix, .event_count = (uint16_t)count};
    struct slice request =
        load_payload_render(payload, &arrival, 1736942400123, buffer, &event_count);

    cr_assert(request.data >= buffer);
    cr_assert(request.data + request.size <= buffer + load_payload_size_max(payload));
    buffer[request.data - buffer + (ptrdiff_t)request.size] = '\0';
    return request.data;
}

Test(load_payload, writes_a_plain_request_once_for_all)
{
    static const char EXPECTED[] = "GET / HTTP/1.1\r\nHost: localhost:3000\r\n"
                                   "User-Agent: weir-load\r\n\r\n";
    struct slice request;

    make();
    cr_assert(load_payload_is_fixed(payload, &request));
    cr_assert(slice_equal(request, SLICE_LITERAL(EXPECTED)));
    cr_assert(eq(str, (char *)render(LOAD_MIX_REQUEST, 0), (char *)EXPECTED));
}

Test(load_payload, writes_headers_key_and_body_with_its_length)
{
    static const char *const HEADERS[] = {"content-type: text/plain", "X-Id: {{seq}}"};
    struct slice request;

    config.method = "PUT";
    config.headers = HEADERS;
    config.header_count = 2;
    config.key = "k";
    config.closes = true;
    config.target = SLICE_LITERAL("/a/{{seq}}?b");
    config.body = SLICE_LITERAL("n={{seq}}");
    make();
    cr_assert(not(load_payload_is_fixed(payload, &request)));
    render(LOAD_MIX_REQUEST, 0);
    for (int i = 1; i < 10; i++)
        render(LOAD_MIX_REQUEST, 0);
    cr_assert(eq(str, (char *)render(LOAD_MIX_REQUEST, 0),
                 "PUT /a/10?b HTTP/1.1\r\nHost: localhost:3000\r\nUser-Agent: weir-load\r\n"
                 "X-API-Key: k\r\nConnection: close\r\ncontent-type: text/plain\r\nX-Id: 10\r\n"
                 "Content-Length: 4\r\n\r\nn=10"));
}

Test(load_payload, says_that_a_post_without_a_body_has_none)
{
    struct slice request;

    config.method = "POST";
    make();
    cr_assert(load_payload_is_fixed(payload, &request));
    cr_assert(memmem(request.data, request.size, "Content-Length: 0\r\n\r\n", 21) != NULL);
}

/* Reads a request as a server would; gives its body. */
static struct slice read_body(const char *text, const char *path)
{
    static struct http_request request;
    struct request_parser parser;

    request_parser_init(&parser, 64 * 1024);
    cr_assert(eq(int, request_parser_feed(&parser, text, strlen(text), &request), HTTP_PARSE_DONE));
    cr_assert(eq(int, request.method, HTTP_METHOD_POST));
    cr_assert(slice_equal(request.path, slice_of(path)));
    cr_assert(eq(u64, request.content_length, strlen(text) - request.head_size));
    return (struct slice){text + request.head_size, strlen(text) - request.head_size};
}

/* Counts the events of a batch; each is an object with a time. */
static uint32_t count_batch(struct slice body)
{
    struct json_reader reader;
    struct json_value events, event, time;
    uint32_t count = 0;

    cr_assert(json_find_member(body, SLICE_LITERAL("events"), &events));
    json_reader_init(&reader, events.raw, JSON_DEPTH_DEFAULT);
    cr_assert(eq(int, json_reader_enter_array(&reader), JSON_OK));
    while (json_reader_next_element(&reader) == JSON_OK) {
        cr_assert(eq(int, json_reader_read(&reader, &event), JSON_OK));
        cr_assert(json_find_member(event.raw, SLICE_LITERAL("occurred_at"), &time));
        cr_assert(slice_equal(time.raw, SLICE_LITERAL("\"2025-01-15T12:00:00.123Z\"")));
        count++;
    }
    return count;
}

Test(load_payload, sends_events_of_every_mix_singly_and_in_batches)
{
    static const enum load_mix MIXES[] = {LOAD_MIX_NORMAL, LOAD_MIX_SIGNUP, LOAD_MIX_PAYMENT_ERROR,
                                          LOAD_MIX_DEPLOY, LOAD_MIX_BURST_ERROR};
    struct json_value id;

    config.sends_events = true;
    config.event_ids = true;
    config.target = SLICE_LITERAL("");
    make();
    for (size_t i = 0; i < ARRAY_COUNT(MIXES); i++) {
        cr_assert(json_find_member(read_body(render(MIXES[i], 1), "/v1/events"),
                                   SLICE_LITERAL("event_id"), &id));
        cr_assert(eq(u32, event_count, 1));
        cr_assert(eq(u32, count_batch(read_body(render(MIXES[i], 100), "/v1/events/batch")), 100));
        cr_assert(eq(u32, event_count, 100));
    }
}

Test(load_payload, makes_a_second_of_everyday_life_of_7_to_13_events)
{
    config.sends_events = true;
    config.target = SLICE_LITERAL("/prefix");
    make();
    for (int i = 0; i < 300; i++) {
        uint32_t count =
            count_batch(read_body(render(LOAD_MIX_NORMAL_SECOND, 0), "/prefix/v1/events/batch"));

        cr_assert(ge(u32, count, 7));
        cr_assert(le(u32, count, 13));
        cr_assert(eq(u32, event_count, count));
    }
}

Test(load_payload, cycles_through_the_three_errors_of_a_burst)
{
    static const char *const CODES[] = {"REDIS_CLUSTER_FAILOVER", "API_GATEWAY_TIMEOUT",
                                        "DB_CONNECTION_POOL_EXHAUSTED"};

    config.sends_events = true;
    config.target = SLICE_LITERAL("");
    make();
    for (size_t i = 0; i < 9; i++)
        cr_assert(strstr(render(LOAD_MIX_BURST_ERROR, 1), CODES[i % 3]) != NULL);
}

Test(load_payload, refuses_headers_that_would_break_the_request)
{
    static const char *const BAD[] = {
        "no colon",      ": empty",           "a b: c",
        "a: b\r\nc: d",  "Content-Length: 5", "transfer-encoding: chunked",
        "X: {{nothing}}"};

    config.header_count = 1;
    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++) {
        config.headers = &BAD[i];
        cr_assert(eq(int, load_payload_new(&config, message, &payload), -EINVAL), "%s", BAD[i]);
    }
}

Test(load_payload, refuses_a_head_that_is_too_long)
{
    static char header[LOAD_HEAD_SIZE_MAX + 1];
    static const char *const HEADERS[] = {header};

    memset(header, 'a', sizeof(header) - 1);
    header[1] = ':';
    config.headers = HEADERS;
    config.header_count = 1;
    cr_assert(eq(int, load_payload_new(&config, message, &payload), -EINVAL));
}

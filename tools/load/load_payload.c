/*
 * A request is written body first, so that its size is known, behind the room that the
 * longest head takes; then the head is written so that it ends where the body begins:
 *
 *     buffer  [ ......... | head | body ]
 *                         ^ the request
 *
 * Events are JSON templates of our own. In a batch they stand in {"events":[...]}.
 */
#include "tools/load/load_payload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    LENGTH_SIZE_MAX = 48, /* "Content-Length: ...", CRLF CRLF */
    EVENT_SIZE_MAX = 512, /* of the text of a template */
    NORMAL_SECOND_COUNT_MAX = 3 + 9 + 1,
};

enum event {
    EVENT_SIGNUP,
    EVENT_HTTP,
    EVENT_DB_ERROR,
    EVENT_PAYMENT_ERROR,
    EVENT_DEPLOY,
    EVENT_BURST_CACHE,
    EVENT_BURST_GATEWAY,
    EVENT_BURST_POOL,
    EVENT_COUNT,
};

/* Without the brace that opens the object. */
static const char *const EVENTS[EVENT_COUNT] = {
    [EVENT_SIGNUP] =
        "\"event_type\":\"signup\",\"occurred_at\":\"{{now}}\",\"environment\":\"prod\","
        "\"severity\":\"info\",\"message\":\"A user has signed up\",\"attributes\":"
        "{\"method\":\"{{pick:email|google|github|apple}}\",\"user\":{{random}}}}",
    [EVENT_HTTP] = "\"event_type\":\"http_request\",\"occurred_at\":\"{{now}}\",\"environment\":"
                   "\"prod\",\"severity\":\"info\",\"message\":\"GET /api/products 200\","
                   "\"attributes\":{\"method\":\"GET\",\"route\":\"/api/products\",\"status_code\":"
                   "200,\"response_time_ms\":{{random:50..249}}}}",
    [EVENT_DB_ERROR] =
        "\"event_type\":\"error\",\"occurred_at\":\"{{now}}\",\"environment\":\"prod\","
        "\"severity\":\"error\",\"message\":\"The database did not answer in time\","
        "\"attributes\":{\"error_code\":\"DB_TIMEOUT\",\"route\":\"/api/users\"}}",
    [EVENT_PAYMENT_ERROR] =
        "\"event_type\":\"error\",\"occurred_at\":\"{{now}}\",\"severity\":\"error\",\"message\":"
        "\"The payment was not processed\",\"attributes\":{\"error_code\":\"PAYMENT_FAILED\","
        "\"route\":\"/api/checkout\",\"status_code\":500}}",
    [EVENT_DEPLOY] =
        "\"event_type\":\"deploy\",\"occurred_at\":\"{{now}}\",\"environment\":\"prod\","
        "\"severity\":\"info\",\"message\":\"Version v2.5.0 is live\",\"attributes\":"
        "{\"version\":\"v2.5.0\"}}",
    [EVENT_BURST_CACHE] = "\"event_type\":\"error\",\"occurred_at\":\"{{now}}\",\"environment\":"
                          "\"prod\",\"severity\":"
                          "\"critical\",\"message\":\"The cache has lost its "
                          "primary\",\"attributes\":{\"error_code\":"
                          "\"REDIS_CLUSTER_FAILOVER\",\"route\":\"/api/critical-path\"}}",
    [EVENT_BURST_GATEWAY] =
        "\"event_type\":\"error\",\"occurred_at\":\"{{now}}\",\"environment\":\"prod\","
        "\"severity\":"
        "\"critical\",\"message\":\"The gateway gave up waiting\",\"attributes\":{\"error_code\":"
        "\"API_GATEWAY_TIMEOUT\",\"route\":\"/api/critical-path\"}}",
    [EVENT_BURST_POOL] =
        "\"event_type\":\"error\",\"occurred_at\":\"{{now}}\",\"environment\":\"prod\","
        "\"severity\":"
        "\"critical\",\"message\":\"No connection to the database is free\",\"attributes\":"
        "{\"error_code\":\"DB_CONNECTION_POOL_EXHAUSTED\",\"route\":\"/api/critical-path\"}}",
};

/* A head up to Content-Length, as text and as template. */
struct head {
    char text[LOAD_HEAD_SIZE_MAX];
    size_t size;
    struct load_template template;
};

struct load_payload {
    struct load_values values;
    struct head single; /* the request of the command line, or of one event */
    struct head batch;
    struct load_template body;
    struct load_template events[EVENT_COUNT];
    char event_texts[EVENT_COUNT][EVENT_SIZE_MAX];
    bool sends_events;
    bool has_body;
    size_t head_size_max; /* of what a head becomes, with the length */
    size_t size_max;
    char *fixed; /* the one request there is, or NULL */
    size_t fixed_size;
};

/* --- making --------------------------------------------------------------- */

static bool complain(char message[LOAD_TEMPLATE_MESSAGE_SIZE], const char *text)
{
    snprintf(message, LOAD_TEMPLATE_MESSAGE_SIZE, "%s", text);
    return false;
}

PRINTF_LIKE(2, 3) static bool put(struct head *head, const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(head->text + head->size, sizeof(head->text) - head->size, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof(head->text) - head->size)
        return false;
    head->size += (size_t)size;
    return true;
}

static bool is_header_named(const char *header, const char *name)
{
    size_t size = strlen(name);

    return strncasecmp(header, name, size) == 0 && header[size] == ':';
}

static bool has_header(const struct load_payload_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->header_count; i++)
        if (is_header_named(config->headers[i], name))
            return true;
    return false;
}

/* Printable, and with a name before the colon. */
static bool is_header(const char *text)
{
    const char *colon = strchr(text, ':');

    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    return colon != NULL && colon > text && strcspn(text, " \t") > (size_t)(colon - text);
}

/* One head without its end. suffix is appended to the path. */
static bool write_head(const struct load_payload_config *config, const char *method,
                       const char *suffix, bool has_body, struct head *head)
{
    bool fits = put(head, "%s %.*s%s HTTP/1.1\r\n", method, (int)config->target.size,
                    config->target.data, suffix);

    if (!has_header(config, "host"))
        fits = fits &&
               put(head, "Host: %.*s\r\n", (int)config->authority.size, config->authority.data);
    if (!has_header(config, "user-agent"))
        fits = fits && put(head, "User-Agent: weir-load\r\n");
    if (has_body && !has_header(config, "content-type"))
        fits = fits && put(head, "Content-Type: application/json\r\n");
    if (config->key != NULL)
        fits = fits && put(head, "X-API-Key: %s\r\n", config->key);
    if (config->closes)
        fits = fits && put(head, "Connection: close\r\n");
    for (uint32_t i = 0; i < config->header_count; i++)
        fits = fits && put(head, "%s\r\n", config->headers[i]);
    return fits;
}

static bool compile_head(const struct load_payload_config *config, struct head *head,
                         char message[LOAD_TEMPLATE_MESSAGE_SIZE])
{
    struct slice text = {head->text, head->size};

    if (!config->has_places)
        load_template_literal(&head->template, text);
    else if (!load_template_compile(&head->template, text, message))
        return false;
    if (head->template.size_max > LOAD_HEAD_SIZE_MAX)
        return complain(message, "URL and headers are too long");
    return true;
}

/* Texts of events never fail to compile: they are ours. */
static void compile_events(struct load_payload *payload, bool with_ids)
{
    char message[LOAD_TEMPLATE_MESSAGE_SIZE];

    for (uint32_t i = 0; i < EVENT_COUNT; i++) {
        char *text = payload->event_texts[i];
        int size = snprintf(text, EVENT_SIZE_MAX, "{%s%s",
                            with_ids ? "\"event_id\":\"{{uuid}}\"," : "", EVENTS[i]);
        bool is_sound;

        assert(size > 0);
        assert(size < EVENT_SIZE_MAX);
        is_sound =
            load_template_compile(&payload->events[i], (struct slice){text, (size_t)size}, message);
        assert(is_sound);
    }
}

static bool make_heads(const struct load_payload_config *config, struct load_payload *payload,
                       char message[LOAD_TEMPLATE_MESSAGE_SIZE])
{
    bool fits;

    for (uint32_t i = 0; i < config->header_count; i++)
        if (!is_header(config->headers[i]))
            return complain(message, "a header is \"Name: value\"");
    if (has_header(config, "content-length") || has_header(config, "transfer-encoding"))
        return complain(message, "the length of the body is not yours to say");
    if (config->sends_events)
        fits = write_head(config, "POST", "/v1/events", true, &payload->single) &&
               write_head(config, "POST", "/v1/events/batch", true, &payload->batch);
    else
        fits = write_head(config, config->method, "", config->body.size > 0, &payload->single);
    if (!fits)
        return complain(message, "URL and headers are too long");
    return compile_head(config, &payload->single, message) &&
           compile_head(config, &payload->batch, message);
}

static bool make_body(const struct load_payload_config *config, struct load_payload *payload,
                      char message[LOAD_TEMPLATE_MESSAGE_SIZE])
{
    size_t event_size_max = 0;

    payload->sends_events = config->sends_events;
    payload->has_body = config->sends_events || config->body.size > 0 ||
                        strcmp(config->method, "POST") == 0 || strcmp(config->method, "PUT") == 0 ||
                        strcmp(config->method, "PATCH") == 0;
    if (config->sends_events) {
        compile_events(payload, config->event_ids);
        for (uint32_t i = 0; i < EVENT_COUNT; i++)
            event_size_max = max_u64(event_size_max, payload->events[i].size_max + 1);
        payload->size_max = LOAD_BATCH_COUNT_MAX * event_size_max + sizeof("{\"events\":[]}");
        return true;
    }
    if (!config->has_places)
        load_template_literal(&payload->body, config->body);
    else if (!load_template_compile(&payload->body, config->body, message))
        return false;
    payload->size_max = payload->body.size_max;
    return true;
}

/* Writes the one request there is, if there is only one. */
static int make_fixed(struct load_payload *payload)
{
    struct load_arrival arrival = {.mix = LOAD_MIX_REQUEST};
    struct slice request;
    uint32_t event_count;

    if (payload->sends_events || !payload->single.template.is_fixed || !payload->body.is_fixed)
        return 0;
    payload->fixed = malloc(payload->size_max);
    if (payload->fixed == NULL)
        return -ENOMEM;
    request = load_payload_render(payload, &arrival, 0, payload->fixed, &event_count);
    memmove(payload->fixed, request.data, request.size);
    payload->fixed_size = request.size;
    return 0;
}

int load_payload_new(const struct load_payload_config *config,
                     char message[LOAD_TEMPLATE_MESSAGE_SIZE], struct load_payload **ret_payload)
{
    struct load_payload *payload = calloc(1, sizeof(*payload));
    int r;

    assert(config->sends_events || config->method != NULL);
    assert(config->header_count <= LOAD_HEADER_COUNT_MAX);
    if (payload == NULL)
        return -ENOMEM;
    load_values_init(&payload->values, config->seed);
    if (!make_heads(config, payload, message) || !make_body(config, payload, message)) {
        load_payload_free(&payload);
        return -EINVAL;
    }
    payload->head_size_max =
        max_u64(payload->single.template.size_max, payload->batch.template.size_max) +
        LENGTH_SIZE_MAX;
    payload->size_max += payload->head_size_max;
    r = make_fixed(payload);
    if (r < 0) {
        load_payload_free(&payload);
        return r;
    }
    *ret_payload = payload;
    return 0;
}

void load_payload_free(struct load_payload **payload)
{
    if (*payload == NULL)
        return;
    free((*payload)->fixed);
    free(*payload);
    *payload = NULL;
}

bool load_payload_is_fixed(const struct load_payload *payload, struct slice *ret_request)
{
    if (payload->fixed == NULL)
        return false;
    *ret_request = (struct slice){payload->fixed, payload->fixed_size};
    return true;
}

size_t load_payload_size_max(const struct load_payload *payload)
{
    return payload->size_max;
}

/* --- writing -------------------------------------------------------------- */

static size_t write_event(struct load_payload *payload, enum event event, char *buffer)
{
    return load_template_render(&payload->events[event], &payload->values, buffer);
}

/* The events of everyday life: 2.5 signups to 7 requests, 1 error to 100 such seconds. */
static enum event pick_normal(struct load_payload *payload)
{
    uint64_t ticket = rng_below(&payload->values.rng, 951);

    if (ticket < 250)
        return EVENT_SIGNUP;
    return ticket < 950 ? EVENT_HTTP : EVENT_DB_ERROR;
}

static enum event pick_event(struct load_payload *payload, enum load_mix mix, uint64_t number)
{
    switch (mix) {
    case LOAD_MIX_NORMAL:
        return pick_normal(payload);
    case LOAD_MIX_SIGNUP:
        return EVENT_SIGNUP;
    case LOAD_MIX_PAYMENT_ERROR:
        return EVENT_PAYMENT_ERROR;
    case LOAD_MIX_DEPLOY:
        return EVENT_DEPLOY;
    case LOAD_MIX_BURST_ERROR:
        return (enum event)(EVENT_BURST_CACHE + number % 3);
    case LOAD_MIX_REQUEST:
    case LOAD_MIX_NORMAL_SECOND:
    case LOAD_MIX_COUNT:
        break;
    }
    assert(false);
    return EVENT_HTTP;
}

/* A second of everyday life: which events, and how many. */
static uint32_t plan_second(struct load_payload *payload,
                            enum event events[NORMAL_SECOND_COUNT_MAX])
{
    struct rng *rng = &payload->values.rng;
    uint32_t signup_count = 2 + (uint32_t)rng_below(rng, 2);
    uint32_t http_count = 5 + (uint32_t)rng_below(rng, 5);
    uint32_t count = 0;

    for (uint32_t i = 0; i < signup_count; i++)
        events[count++] = EVENT_SIGNUP;
    for (uint32_t i = 0; i < http_count; i++)
        events[count++] = EVENT_HTTP;
    if (rng_chance(rng, 1, 100))
        events[count++] = EVENT_DB_ERROR;
    assert(count <= NORMAL_SECOND_COUNT_MAX);
    return count;
}

static size_t write_batch(struct load_payload *payload, const struct load_arrival *arrival,
                          char *buffer, uint32_t *ret_event_count)
{
    static const struct slice OPEN = SLICE_INITIALIZER("{\"events\":[");
    enum event second[NORMAL_SECOND_COUNT_MAX];
    bool is_second = arrival->mix == LOAD_MIX_NORMAL_SECOND;
    uint32_t count = is_second ? plan_second(payload, second) : arrival->event_count;
    size_t size = OPEN.size;

    assert(count >= 1);
    assert(count <= LOAD_BATCH_COUNT_MAX);
    memcpy(buffer, OPEN.data, OPEN.size);
    for (uint32_t i = 0; i < count; i++) {
        enum event event =
            is_second ? second[i] : pick_event(payload, (enum load_mix)arrival->mix, i);

        if (i > 0)
            buffer[size++] = ',';
        size += write_event(payload, event, buffer + size);
    }
    buffer[size++] = ']';
    buffer[size++] = '}';
    *ret_event_count = count;
    return size;
}

/* Writes the body; gives the head that goes with it. */
static struct head *write_body(struct load_payload *payload, const struct load_arrival *arrival,
                               char *buffer, size_t *ret_size, uint32_t *ret_event_count)
{
    if (!payload->sends_events) {
        assert(arrival->mix == LOAD_MIX_REQUEST);
        *ret_event_count = 0;
        *ret_size = load_template_render(&payload->body, &payload->values, buffer);
        return &payload->single;
    }
    if (arrival->event_count != 1) {
        *ret_size = write_batch(payload, arrival, buffer, ret_event_count);
        return &payload->batch;
    }
    *ret_event_count = 1;
    *ret_size = write_event(
        payload, pick_event(payload, (enum load_mix)arrival->mix, payload->values.seq), buffer);
    return &payload->single;
}

struct slice load_payload_render(struct load_payload *payload, const struct load_arrival *arrival,
                                 uint64_t unix_ms, char *buffer, uint32_t *ret_event_count)
{
    char head_text[LOAD_HEAD_SIZE_MAX + LENGTH_SIZE_MAX];
    char *body = buffer + payload->head_size_max;
    size_t body_size, head_size;
    const struct head *head;

    payload->values.unix_ms = unix_ms;
    head = write_body(payload, arrival, body, &body_size, ret_event_count);
    assert(head->template.size_max <= LOAD_HEAD_SIZE_MAX);
    head_size = load_template_render(&head->template, &payload->values, head_text);
    if (payload->has_body)
        head_size += (size_t)snprintf(head_text + head_size, LENGTH_SIZE_MAX,
                                      "Content-Length: %zu\r\n\r\n", body_size);
    else
        head_size += (size_t)snprintf(head_text + head_size, LENGTH_SIZE_MAX, "\r\n");
    assert(head_size <= payload->head_size_max);
    memcpy(body - head_size, head_text, head_size);
    payload->values.seq++;
    return (struct slice){body - head_size, head_size + body_size};
}

#include "http/exchange.h"

#include "http/connection.h"
#include "runtime/shard.h"

/*
 * Everything that every answer has in common is here: keep-alive, the body that
 * HEAD leaves out, correlation id, counting and timing.
 */

enum { PROBLEM_BODY_SIZE_MAX = 16 * 1024, RETRY_AFTER_SIZE_MAX = 16 };

static struct connection *connection_of(struct exchange *x)
{
    return container_of(x, struct connection, exchange);
}

static void count_answer(const struct exchange *x, uint32_t status)
{
    const struct http_metrics *series = x->server->metrics;
    struct shard *shard = x->server->shard;

    metrics_add(&shard->metrics, series->requests[x->route_index][http_status_index(status)], 1);
    metrics_observe(&shard->metrics, series->duration[x->route_index],
                    shard->clock.mono_ns - x->started_ns);
}

int exchange_respond(struct exchange *x, const struct response *response)
{
    struct response_head head = {
        .status = response->status,
        .framing = response->status == 204 ? RESPONSE_NO_BODY : RESPONSE_CONTENT_LENGTH,
        .policy = RESPONSE_POLICY_API,
        .keep_alive = x->keep_alive && !response->close && !x->refusal_closes,
        .speaks_1_0 = x->speaks_1_0,
        .date = http_server_date(x->server),
        .content_type = response->content_type,
        .content_length = response->body.size,
        .correlation_id = exchange_correlation(x),
        .extra = response->fields,
        .extra_count = response->field_count,
    };
    struct slice body = response->body;
    int r;

    assert(!x->answered);
    assert(response->field_count <= EXCHANGE_HEADER_COUNT_MAX);
    if (x->method == HTTP_METHOD_HEAD)
        body.size = 0;
    r = connection_write(connection_of(x), &head, body);
    if (r < 0)
        return r;
    x->answered = true;
    count_answer(x, response->status);
    return EXCHANGE_ANSWERED;
}

/* Decimal text of a small number, without a terminator. */
static struct slice format_seconds(char text[RETRY_AFTER_SIZE_MAX], uint32_t seconds)
{
    int size = snprintf(text, RETRY_AFTER_SIZE_MAX, "%u", seconds);

    assert(size > 0);
    return (struct slice){text, (size_t)size};
}

static int respond_problem(struct exchange *x, struct problem *problem, uint32_t status,
                           const struct exchange_problem_options *options)
{
    static const struct exchange_problem_options none;
    struct response response = {.status = status,
                                .content_type = SLICE_LITERAL("application/problem+json")};
    char retry_text[RETRY_AFTER_SIZE_MAX];
    char body[PROBLEM_BODY_SIZE_MAX];
    struct json_writer writer;
    bool fits;

    if (options == NULL)
        options = &none;
    problem->detail = options->detail;
    problem->correlation_id = exchange_correlation(x);
    problem->has_limit = options->has_limit;
    problem->limit = options->limit;
    problem->issues = options->issues;
    problem->array_key = options->array_key;
    json_writer_init(&writer, body, sizeof(body));
    problem_write(problem, &writer);
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    if (options->retry_after_s > 0)
        response.fields[response.field_count++] = (struct header){
            SLICE_LITERAL("retry-after"), format_seconds(retry_text, options->retry_after_s)};
    if (options->field.name.size > 0)
        response.fields[response.field_count++] = options->field;
    if (status == 401)
        response.fields[response.field_count++] =
            (struct header){SLICE_LITERAL("www-authenticate"), SLICE_LITERAL("Bearer")};
    response.close = options->close;
    return exchange_respond(x, &response);
}

int exchange_problem(struct exchange *x, enum problem_code code,
                     const struct exchange_problem_options *options)
{
    struct problem problem = {.code = code};

    assert(code < PROBLEM_COUNT);
    return respond_problem(x, &problem, problem_status(code), options);
}

int exchange_parse_error(struct exchange *x, enum http_parse_error error)
{
    struct problem problem = {
        .code = PROBLEM_NONE,
        .own_status = (uint16_t)http_parse_error_status(error),
        .own_code = http_parse_error_code(error),
        .own_title = http_parse_error_text(error),
    };
    struct exchange_problem_options options = {.close = true};

    return respond_problem(x, &problem, problem.own_status, &options);
}

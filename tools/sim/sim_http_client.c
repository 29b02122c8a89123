#include "tools/sim/sim_http_client.h"

#include <errno.h>
#include <strings.h>

/*
 * Callbacks of operations and events change the state, then call go_on(), which
 * starts whatever can be started. on_done of a request may submit the next one,
 * so it is called last and never while a list is being walked.
 */

static void on_connect(struct io_op *op, const struct io_result *result);
static void on_recv(struct io_op *op, const struct io_result *result);
static void on_send(struct io_op *op, const struct io_result *result);
static void on_close(struct io_op *op, const struct io_result *result);
static void on_pause_over(struct sim_event *event);
static void on_rest_over(struct sim_event *event);
static void go_on(struct sim_http_client *client);

static void client_check(const struct sim_http_client *client)
{
    assert(client->io != NULL);
    assert(client->input_size <= SIM_HTTP_INPUT_SIZE_MAX);
    assert((client->fd >= 0) ==
           (client->state != SIM_HTTP_IDLE && client->state != SIM_HTTP_RESTING));
}

void sim_http_client_init(struct sim_http_client *client, struct sim_world *world, struct io *io,
                          const struct sockaddr *address, socklen_t address_size)
{
    memset(client, 0, sizeof(*client));
    client->pipeline_count_max = 1;
    client->split_ppm = SIM_PPM / 4;
    client->pause_ns = (struct sim_range){0, 2000000};
    client->rest_ns = (struct sim_range){100000, 50000000};
    client->world = world;
    client->io = io;
    client->address = address;
    client->address_size = address_size;
    client->fd = -1;
    io_op_init(&client->connect_op, on_connect);
    io_op_init(&client->recv_op, on_recv);
    io_op_init(&client->send_op, on_send);
    io_op_init(&client->close_op, on_close);
    client->pause_over.on_due = on_pause_over;
    client->rest_over.on_due = on_rest_over;
    list_init(&client->queue);
    list_init(&client->in_flight);
}

void sim_http_client_deinit(struct sim_http_client *client)
{
    sim_world_unschedule(client->world, &client->pause_over);
    sim_world_unschedule(client->world, &client->rest_over);
    while (list_pop_front(&client->queue) != NULL)
        continue;
    while (list_pop_front(&client->in_flight) != NULL)
        continue;
}

void sim_http_client_submit(struct sim_http_client *client, struct sim_http_request *request)
{
    client_check(client);
    assert(request->on_done != NULL);
    assert(request->size > 0);
    list_init(&request->link);
    request->sent_size = 0;
    request->whole_ns = 0;
    request->lost = false;
    list_push_back(&client->queue, &request->link);
    go_on(client);
}

uint32_t sim_http_client_pending(const struct sim_http_client *client)
{
    uint32_t count = client->in_flight_count + (client->early != NULL);

    for (const struct list_node *n = client->queue.next; n != &client->queue; n = n->next)
        count++;
    return count;
}

static struct sim_http_request *take_oldest(struct sim_http_client *client)
{
    struct list_node *node = list_pop_front(&client->in_flight);

    assert(node != NULL);
    assert(client->in_flight_count > 0);
    client->in_flight_count--;
    return container_of(node, struct sim_http_request, link);
}

static void tell(struct sim_http_client *client, struct sim_http_request *request)
{
    if (request->lost)
        client->lost_count++;
    else
        client->answered_count++;
    request->on_done(request);
}

static void begin_close(struct sim_http_client *client)
{
    if (client->state == SIM_HTTP_CLOSING)
        return;
    client->state = SIM_HTTP_CLOSING;
    sim_world_unschedule(client->world, &client->pause_over);
    client->input_size = 0;
    io_cancel(client->io, &client->connect_op);
    io_cancel(client->io, &client->recv_op);
    io_cancel(client->io, &client->send_op);
}

void sim_http_client_drop(struct sim_http_client *client)
{
    client_check(client);
    if (client->state != SIM_HTTP_OPEN && client->state != SIM_HTTP_CONNECTING)
        return;
    begin_close(client);
    go_on(client);
}

/* The next piece of the request that is being sent, or the first of the next one. */
static void send_next(struct sim_http_client *client)
{
    struct rng *rng = &client->world->rng;
    struct sim_http_request *request = NULL;
    uint32_t size;

    if (client->in_flight_count > 0)
        request = container_of(client->in_flight.previous, struct sim_http_request, link);
    if (request == NULL || request->sent_size == request->size) {
        struct list_node *node;

        if (client->in_flight_count >= client->pipeline_count_max)
            return;
        node = list_pop_front(&client->queue);
        if (node == NULL)
            return;
        list_push_back(&client->in_flight, node);
        client->in_flight_count++;
        request = container_of(node, struct sim_http_request, link);
    }
    size = request->size - request->sent_size;
    if (size > 1 && rng_below(rng, SIM_PPM) < client->split_ppm)
        size = 1 + (uint32_t)rng_below(rng, size - 1);
    io_send(client->io, &client->send_op, client->fd, request->data + request->sent_size, size);
}

static void connect_now(struct sim_http_client *client)
{
    client->fd = io_socket(client->io, client->address->sa_family);
    assert(client->fd >= 0);
    client->state = SIM_HTTP_CONNECTING;
    client->connect_count++;
    io_connect(client->io, &client->connect_op, client->fd, client->address, client->address_size);
}

static bool is_any_armed(const struct sim_http_client *client)
{
    return io_op_is_armed(&client->connect_op) || io_op_is_armed(&client->recv_op) ||
           io_op_is_armed(&client->send_op) || io_op_is_armed(&client->close_op);
}

static void go_on(struct sim_http_client *client)
{
    client_check(client);
    switch (client->state) {
    case SIM_HTTP_IDLE:
        if (!list_is_empty(&client->queue))
            connect_now(client);
        break;
    case SIM_HTTP_OPEN:
        if (!io_op_is_armed(&client->send_op) && !sim_event_is_pending(&client->pause_over))
            send_next(client);
        break;
    case SIM_HTTP_CLOSING:
        if (!is_any_armed(client))
            io_close(client->io, &client->close_op, client->fd);
        break;
    case SIM_HTTP_CONNECTING:
    case SIM_HTTP_RESTING:
        break;
    }
}

static void on_connect(struct io_op *op, const struct io_result *result)
{
    struct sim_http_client *client = container_of(op, struct sim_http_client, connect_op);

    if (client->state == SIM_HTTP_CONNECTING && result->value == 0) {
        client->state = SIM_HTTP_OPEN;
        io_recv(client->io, &client->recv_op, client->fd);
    } else {
        client->refused_count += result->value < 0 && result->value != -ECANCELED;
        begin_close(client);
    }
    go_on(client);
}

static void on_send(struct io_op *op, const struct io_result *result)
{
    struct sim_http_client *client = container_of(op, struct sim_http_client, send_op);
    struct sim_http_request *last;

    if (client->state != SIM_HTTP_OPEN || result->value < 0) {
        begin_close(client);
        go_on(client);
        return;
    }
    assert(client->in_flight_count > 0);
    last = container_of(client->in_flight.previous, struct sim_http_request, link);
    last->sent_size += (uint32_t)result->value;
    if (last->sent_size == last->size)
        last->whole_ns = client->world->mono_ns;
    if (last->sent_size < last->size)
        sim_world_schedule(client->world, &client->pause_over,
                           sim_range_draw(&client->pause_ns, &client->world->rng));
    go_on(client);
}

static void on_pause_over(struct sim_event *event)
{
    go_on(container_of(event, struct sim_http_client, pause_over));
}

static void on_rest_over(struct sim_event *event)
{
    struct sim_http_client *client = container_of(event, struct sim_http_client, rest_over);

    client->state = SIM_HTTP_IDLE;
    go_on(client);
}

/* The connection is gone: everything begun on it is lost. */
static void on_close(struct io_op *op, const struct io_result *result)
{
    struct sim_http_client *client = container_of(op, struct sim_http_client, close_op);
    struct sim_http_request *early = client->early;
    uint32_t lost_count = client->in_flight_count;

    assert(result->value == 0);
    client->fd = -1;
    client->early = NULL;
    client->state = SIM_HTTP_RESTING;
    sim_world_schedule(client->world, &client->rest_over,
                       sim_range_draw(&client->rest_ns, &client->world->rng));
    if (early != NULL)
        tell(client, early);
    for (uint32_t i = 0; i < lost_count; i++) {
        struct sim_http_request *request = take_oldest(client);

        request->lost = true;
        tell(client, request);
    }
}

/* The value of a header field in the head, or an empty slice. */
static struct slice find_field(struct slice head, const char *name)
{
    size_t name_size = strlen(name);
    const char *line = head.data;
    const char *end = head.data + head.size;

    while (line < end) {
        const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        size_t size = (size_t)((next == NULL ? end : next) - line);

        if (size > name_size && line[name_size] == ':' && strncasecmp(line, name, name_size) == 0) {
            size_t skip = name_size + 1;

            while (skip < size && line[skip] == ' ')
                skip++;
            return (struct slice){line + skip, size - skip};
        }
        line += size + 2;
    }
    return (struct slice){NULL, 0};
}

static bool parse_number(struct slice text, uint32_t *ret_number)
{
    uint32_t number = 0;

    if (text.size == 0 || text.size > 8)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

/* What the input begins with. */
enum response {
    RESPONSE_PARTIAL,
    RESPONSE_WHOLE,
    RESPONSE_INTERIM, /* 1xx */
    RESPONSE_BAD,
};

struct parsed {
    uint32_t status;
    uint32_t head_size;
    uint32_t body_size;
    bool closes;
};

static enum response parse(const struct sim_http_client *client, struct parsed *ret_parsed)
{
    const char *end = memmem(client->input, client->input_size, "\r\n\r\n", 4);
    struct parsed parsed = {.status = 0};
    struct slice head;
    struct slice length;

    if (end == NULL)
        return client->input_size == SIM_HTTP_INPUT_SIZE_MAX ? RESPONSE_BAD : RESPONSE_PARTIAL;
    head = (struct slice){client->input, (size_t)(end - client->input)};
    parsed.head_size = (uint32_t)head.size + 4;
    if (head.size < 12 || memcmp(head.data, "HTTP/1.1 ", 9) != 0)
        return RESPONSE_BAD;
    if (!parse_number((struct slice){head.data + 9, 3}, &parsed.status))
        return RESPONSE_BAD;
    length = find_field(head, "content-length");
    if (length.size > 0 && !parse_number(length, &parsed.body_size))
        return RESPONSE_BAD;
    if (length.size == 0 && parsed.status >= 200 && parsed.status != 204)
        return RESPONSE_BAD;
    if (parsed.body_size > SIM_HTTP_BODY_SIZE_MAX)
        return RESPONSE_BAD;
    if (client->input_size < parsed.head_size + parsed.body_size)
        return RESPONSE_PARTIAL;
    parsed.closes = slice_equal(find_field(head, "connection"), SLICE_LITERAL("close"));
    *ret_parsed = parsed;
    return parsed.status < 200 ? RESPONSE_INTERIM : RESPONSE_WHOLE;
}

static void consume(struct sim_http_client *client, uint32_t size)
{
    assert(size <= client->input_size);
    client->input_size -= size;
    memmove(client->input, client->input + size, client->input_size);
}

/* Hands out one answer whose bytes are at the front of the input. */
static void take_response(struct sim_http_client *client, const struct parsed *parsed)
{
    static char body[SIM_HTTP_BODY_SIZE_MAX];
    struct sim_http_request *request = take_oldest(client);

    request->status = (uint16_t)parsed->status;
    request->body_size = parsed->body_size;
    request->body = client->input + parsed->head_size;
    if (request->sent_size < request->size) {
        /* Its bytes are still lent to a send, and the connection is of no use any more. */
        client->early = request;
        begin_close(client);
        return;
    }
    /* The answer is moved aside: what follows moves up, and on_done may submit. */
    memcpy(body, request->body, parsed->body_size);
    request->body = body;
    consume(client, parsed->head_size + parsed->body_size);
    if (parsed->closes)
        begin_close(client);
    tell(client, request);
}

static void read_responses(struct sim_http_client *client)
{
    while (client->state == SIM_HTTP_OPEN && client->input_size > 0) {
        struct parsed parsed;
        enum response response = parse(client, &parsed);

        if (response == RESPONSE_PARTIAL)
            return;
        if (response == RESPONSE_INTERIM) {
            consume(client, parsed.head_size);
        } else if (response == RESPONSE_WHOLE && client->in_flight_count > 0) {
            take_response(client, &parsed);
        } else {
            client->malformed_count++;
            begin_close(client);
        }
    }
}

static void on_recv(struct io_op *op, const struct io_result *result)
{
    struct sim_http_client *client = container_of(op, struct sim_http_client, recv_op);
    uint32_t size;

    if (result->value > 0) {
        size = (uint32_t)min_u64((uint64_t)result->value,
                                 SIM_HTTP_INPUT_SIZE_MAX - client->input_size);
        if (client->state == SIM_HTTP_OPEN) {
            memcpy(client->input + client->input_size, result->data, size);
            client->input_size += size;
        }
        io_buffer_release(client->io, result->buffer_index);
        read_responses(client);
    } else {
        begin_close(client);
    }
    go_on(client);
}

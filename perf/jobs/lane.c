/*
 * Lane: the client's side of keep-alive, without anything a client for users needs:
 * no time-outs, no retries, no second try on another connection.
 *
 * The head is written so that it ends where the body begins, at a fixed place in
 * the request buffer: one send, no copy of the body.
 */
#include "perf/jobs/lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void lane_must(bool held, const char *what)
{
    if (held)
        return;
    fprintf(stderr, "bench_jobs: %s\n", what);
    exit(1);
}

static void check(const struct lane *lane)
{
    assert(lane->fd >= 0);
    assert(lane->answer_size <= LANE_ANSWER_SIZE_MAX);
    assert(lane->is_busy || lane->answer_size == 0);
}

/* True when the whole answer is there. */
static bool answer_is_complete(struct lane *lane)
{
    enum http_parse_result parsed;

    if (!lane->has_head) {
        parsed = response_parser_feed(&lane->parser, lane->answer, lane->answer_size, &lane->head);
        lane_must(parsed != HTTP_PARSE_BAD, "an answer is not HTTP");
        if (parsed != HTTP_PARSE_DONE)
            return false;
        lane_must(lane->head.body == RESPONSE_BODY_LENGTH, "an answer has no Content-Length");
        lane_must(lane->head.keep_alive, "the server closes the connection");
        lane_must(lane->head.head_size + lane->head.content_length <= LANE_ANSWER_SIZE_MAX,
                  "an answer is too long");
        lane->has_head = true;
    }
    return lane->answer_size >= lane->head.head_size + lane->head.content_length;
}

/* Gives the answer away, once it is complete and the ring has let go of the request. */
static void deliver(struct lane *lane)
{
    struct slice body;

    if (!answer_is_complete(lane) || io_op_is_armed(&lane->send))
        return;
    body = (struct slice){lane->answer + lane->head.head_size, lane->head.content_length};
    lane_must(lane->answer_size == lane->head.head_size + body.size, "bytes after an answer");
    lane->is_busy = false;
    lane->answer_size = 0;
    lane->on_answer(lane, lane->head.status, body);
}

static void on_sent(struct io_op *op, const struct io_result *result)
{
    struct lane *lane = container_of(op, struct lane, send);

    check(lane);
    lane_must(result->value > 0, "a request could not be sent");
    /* Completions come in any order: the answer may have been first. */
    if (lane->answer_size > 0)
        deliver(lane);
}

static void on_received(struct io_op *op, const struct io_result *result)
{
    struct lane *lane = container_of(op, struct lane, recv);
    size_t size = result->value > 0 ? (size_t)result->value : 0;

    check(lane);
    if (size == 0) {
        lane_must(!lane->is_busy, "the server closed a connection that waits for its answer");
        return;
    }
    lane_must(lane->is_busy, "an answer to no request");
    lane_must(lane->answer_size + size <= LANE_ANSWER_SIZE_MAX, "an answer is too long");
    memcpy(lane->answer + lane->answer_size, result->data, size);
    lane->answer_size += size;
    io_buffer_release(lane->io, result->buffer_index);
    deliver(lane);
}

void lane_open(struct lane *lane, struct io *io, const struct sockaddr_in *address, const char *key,
               void (*on_answer)(struct lane *lane, unsigned status, struct slice body))
{
    *lane = (struct lane){.io = io, .key = key, .on_answer = on_answer};
    lane->answer = malloc(LANE_ANSWER_SIZE_MAX);
    lane->request = malloc(LANE_HEAD_SIZE_MAX + LANE_BODY_SIZE_MAX);
    lane_must(lane->answer != NULL && lane->request != NULL, "no memory");
    lane->fd = io_socket(io, AF_INET);
    lane_must(lane->fd >= 0, "no socket");
    lane_must(connect(lane->fd, (const struct sockaddr *)address, sizeof(*address)) == 0,
              "the server does not accept a connection");
    io_op_init(&lane->recv, on_received);
    io_op_init(&lane->send, on_sent);
    io_recv(io, &lane->recv, lane->fd);
    check(lane);
}

void lane_close(struct lane *lane)
{
    check(lane);
    assert(!lane->is_busy);
    /* The ring, freed before, has dropped the receive; nothing else holds the socket. */
    close(lane->fd);
    free(lane->answer);
    free(lane->request);
    *lane = (struct lane){.fd = -1};
}

bool lane_is_busy(const struct lane *lane)
{
    return lane->is_busy;
}

char *lane_body(struct lane *lane)
{
    check(lane);
    assert(!lane->is_busy);
    return lane->request + LANE_HEAD_SIZE_MAX;
}

static void request(struct lane *lane, const char *method, const char *path, size_t body_size)
{
    char head[LANE_HEAD_SIZE_MAX];
    char *start;
    int size;

    check(lane);
    assert(!lane->is_busy);
    assert(body_size <= LANE_BODY_SIZE_MAX);
    size = snprintf(head, sizeof(head),
                    "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %s\r\n"
                    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                    method, path, lane->key, body_size);
    lane_must(size > 0 && (size_t)size < sizeof(head), "the key or the path is too long");
    start = lane->request + LANE_HEAD_SIZE_MAX - size;
    memcpy(start, head, (size_t)size);
    lane->is_busy = true;
    lane->has_head = false;
    response_parser_init(&lane->parser, 4096, false);
    io_send(lane->io, &lane->send, lane->fd, start, (uint32_t)((size_t)size + body_size));
}

void lane_post(struct lane *lane, const char *path, size_t body_size)
{
    assert(body_size > 0);
    request(lane, "POST", path, body_size);
}

void lane_get(struct lane *lane, const char *path)
{
    request(lane, "GET", path, 0);
}

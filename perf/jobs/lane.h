/*
 * Lane: one kept HTTP/1.1 connection of the load program, one request in flight.
 *
 *     IDLE --lane_post(), lane_get()--> BUSY --answer complete--> IDLE, on_answer
 *
 * Made of the server's own ring and response parser. A benchmark that loses a
 * connection or is answered in a way it does not expect has no result: every such
 * thing ends the process with a message.
 */
#pragma once

#include <netinet/in.h>

#include "http/response_parser.h"
#include "runtime/io.h"

enum {
    LANE_HEAD_SIZE_MAX = 512,
    LANE_BODY_SIZE_MAX = 64 * 1024, /* of a request: 100 jobs of 256 bytes with their fields */
    LANE_ANSWER_SIZE_MAX = 256 * 1024,
};

/* Private to lane.c, but that an embedding struct finds itself by container_of(). */
struct lane {
    struct io *io;
    struct io_op recv;
    struct io_op send;
    int fd;
    bool is_busy;
    const char *key;
    void (*on_answer)(struct lane *lane, unsigned status, struct slice body);
    struct response_parser parser;
    bool has_head;
    struct http_response head;
    char *answer;
    size_t answer_size;
    char *request;
};

/*
 * Connects, blocking, and keeps the connection; key is borrowed and goes with every
 * request. on_answer may send the next request; body is borrowed for its call.
 */
void lane_open(struct lane *lane, struct io *io, const struct sockaddr_in *address, const char *key,
               void (*on_answer)(struct lane *lane, unsigned status, struct slice body));

/* Shuts an idle lane down at the end of the program. */
void lane_close(struct lane *lane);

/* True while an answer is to come. */
bool lane_is_busy(const struct lane *lane);

/* Where the body of the next request may be written: LANE_BODY_SIZE_MAX bytes. Idle lanes only. */
char *lane_body(struct lane *lane);

/* POSTs the first body_size bytes of lane_body() to path. Idle lanes only. */
void lane_post(struct lane *lane, const char *path, size_t body_size);

/* GETs path. Idle lanes only. */
void lane_get(struct lane *lane, const char *path);

/* Ends the process with the message, unless held. */
void lane_must(bool held, const char *what);

/*
 * Load answer: reads one HTTP answer from the bytes as they come, and keeps what is
 * measured: its status, and whether the connection lives on. Bodies are passed over.
 *
 *     begin -> feed ... until DONE or BAD; end() when the stream ends before
 *
 * Sans-I/O. Heads of 1xx are passed over. Bytes behind the answer make it BAD: nobody asked
 * for them.
 */
#pragma once

#include "http/chunked.h"
#include "http/response_parser.h"

enum { LOAD_ANSWER_HEAD_SIZE_MAX = 16 * 1024 };

enum load_answer_result {
    LOAD_ANSWER_MORE, /* all bytes are used up, more are needed */
    LOAD_ANSWER_DONE, /* status and keeps_alive hold */
    LOAD_ANSWER_BAD,  /* not HTTP/1.1 as we understand it, or too long a head */
};

/* Embedded by value; private to load_answer.c, but for status and keeps_alive. */
struct load_answer {
    unsigned status;
    bool keeps_alive;
    bool answers_head; /* the request was HEAD */
    bool has_head;
    bool is_complete;
    enum response_body body;
    uint64_t body_left;
    struct chunked chunked;
    char *head; /* of one that comes in pieces */
    size_t head_size;
    struct http_response *scratch;
};

/*
 * Borrows head, LOAD_ANSWER_HEAD_SIZE_MAX bytes, for its life, and scratch, which may be
 * shared by all answers of a thread.
 */
void load_answer_init(struct load_answer *answer, char *head, struct http_response *scratch);

/* Makes it ready for the answer to one request. */
void load_answer_begin(struct load_answer *answer, bool answers_head);

/* Reads the bytes that have come; not after DONE or BAD. */
MUST_USE enum load_answer_result load_answer_feed(struct load_answer *answer, const char *data,
                                                  size_t size);

/* The stream has ended: whether the answer was one that ends like this. */
MUST_USE bool load_answer_end(struct load_answer *answer);

/*
 * Sim answer: what an HTTP answer says, found by plain searching.
 *
 * A client that used the product's own JSON reader would share its mistakes.
 */
#pragma once

#include "tools/sim/sim_http_client.h"

/* What a client was told, as far as its status and code say. */
enum sim_reply {
    SIM_REPLY_LOST,
    SIM_REPLY_ACCEPTED, /* 200, 201, 202, 204 */
    SIM_REPLY_CONFLICT,
    SIM_REPLY_IN_FLIGHT,
    SIM_REPLY_UNKNOWN,     /* 503 that says so */
    SIM_REPLY_UNAVAILABLE, /* 503, 429, 408: nothing was stored, try again */
    SIM_REPLY_NOT_FOUND,
    SIM_REPLY_UNAUTHORIZED,
    SIM_REPLY_BAD, /* any other 4xx */
    SIM_REPLY_STRANGE,
};

/* What the answer says. */
enum sim_reply sim_answer_reply(const struct sim_http_request *answer);

/* True when the answer's body contains text. */
bool sim_answer_has(const struct sim_http_request *answer, const char *text);

/*
 * The value of "name":"..." after *offset in the answer, moving *offset past it. An empty
 * slice when there is none.
 */
struct slice sim_answer_value(const struct sim_http_request *answer, const char *name,
                              uint32_t *offset);

/* The number in "name":123 or "name":"123" after *offset, moving *offset past it; else otherwise.
 */
uint64_t sim_answer_number(const struct sim_http_request *answer, const char *name,
                           uint32_t *offset, uint64_t otherwise);

/* What the answer calls the request, for the story: status and code. */
void sim_answer_describe(const struct sim_http_request *answer, char *text, size_t size);

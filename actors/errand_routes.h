/*
 * Errand routes: what the handlers of routes share that send errands (actors/errand.h).
 *
 * Who may come in and what a body looks like is decided as for jobs: on_head is
 * job_check_head(), whose note is the first part of theirs. Then:
 *
 *     on_request   errand_take(x, one of its kind), fill it in, errand_submit(), PENDING
 *     on_reply     errand_of_answer(x, msg), errand_answer() or errand_answer_problem()
 *     on_abandon   errand_on_abandon
 */
#pragma once

#include "actors/errand.h"
#include "actors/job_routes_internals.h"

/* What these routes keep in an exchange. */
struct errand_note {
    struct job_note job; /* auth, for job_check_head() */
    struct errand *errand;
};

/* The note of an exchange of theirs. */
static inline struct errand_note *errand_note_of(struct exchange *exchange)
{
    return EXCHANGE_NOTE(exchange, struct errand_note);
}

/*
 * Puts a blank errand for the caller's project into the note; NULL: none was free.
 * EXCHANGE_READ_BODY, or EXCHANGE_ANSWERED after a 503, or a negative errno.
 */
MUST_USE int errand_take(struct exchange *exchange, struct errand *errand);

/* Answers 503 since there was no room for what it needs; gives back what the note holds. */
MUST_USE int errand_refuse_overloaded(struct exchange *exchange);

/* The decided errand when msg is the answer that the exchange waits for, or NULL. */
struct errand *errand_of_answer(struct exchange *exchange, const struct message *msg);

/* Answers with this status and the errand's JSON, and gives the errand back. */
MUST_USE int errand_answer(struct exchange *exchange, uint32_t status);

/* Answers with the errand's problem, and gives the errand back. detail may be empty. */
MUST_USE int errand_answer_problem(struct exchange *exchange, struct slice detail);

/* Nobody waits for the answer any more: on_abandon of struct route. */
void errand_on_abandon(struct exchange *exchange);

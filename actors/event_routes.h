/*
 * Event routes: the HTTP side of intake.
 *
 * POST /v1/events and POST /v1/events/batch: from the bytes of a request to an
 * intake_request with validated, canonical events, and from its outcome to an
 * answer.
 */
#pragma once

#include "http/router.h"

/* POST /v1/events: admits, authenticates, checks the headers. */
int event_on_head(struct exchange *exchange);

/* POST /v1/events: validates the one event and hands it to intake. */
int event_on_request(struct exchange *exchange);

/* POST /v1/events/batch: as event_on_head(). */
int batch_on_head(struct exchange *exchange);

/* POST /v1/events/batch: as event_on_request(). */
int batch_on_request(struct exchange *exchange);

/* Both: intake has decided. */
int event_on_reply(struct exchange *exchange, const struct message *msg);

/* Both: the client went away before the answer. */
void event_on_abandon(struct exchange *exchange);

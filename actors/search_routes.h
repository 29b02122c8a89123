/*
 * Search routes: events of the caller's project by their words and columns.
 *
 *     GET /v1/search/events   scope read   200
 *
 * q: words and "phrases" of the message, all of which must be there; * at the end of one
 * stands for any ending. Filters: environment, event_type and severity (several each, with
 * commas), from and to (occurred at or after, occurred before). sort=newest, or relevance with
 * words; facets=true counts the columns' values; highlight=true marks the words in the
 * messages, as HTML that is safe to show. Nothing that q may hold is an error, but its size.
 */
#pragma once

#include "http/router.h"

/* GET /v1/search/events. */
int search_events_on_request(struct exchange *exchange);

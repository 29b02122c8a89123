/*
 * Incident routes: what the events of the caller's project add up to, for reading.
 *
 *     GET /v1/incidents               scope read: a page, the newest opened first      200
 *     GET /v1/incidents/{id}          one, with its newest events, its timeline and
 *                                     what a model said about it                       200, 404
 *     GET /v1/incidents/{id}/events   all of its events, page by page                  200, 404
 *
 * Filters of the list: status, severity and environment (several each, with commas), from and
 * to (opened at or after, opened before), fingerprint. An incident of another project is not
 * there: 404. Answered from the read model, which is a moment behind the logs: 503 with
 * Retry-After when it cannot answer.
 */
#pragma once

#include "http/router.h"

/* GET of the list. */
int incident_list_on_request(struct exchange *exchange);

/* GET of one. */
int incident_get_on_request(struct exchange *exchange);

/* GET of its events. */
int incident_events_on_request(struct exchange *exchange);

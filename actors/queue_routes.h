/*
 * Queue routes: settings and numbers of one project's queues over HTTP.
 *
 *     GET  /v1/queues                            scope read: all of them, by kind
 *     GET  /v1/queues/{kind}                     scope read: settings, counts
 *     PUT  /v1/queues/{kind}                     scope admin: changes, queue_spec.h
 *     POST /v1/queues/{kind}/pause|resume|drain  scope admin
 *
 * All but the list answer 200 with the queue as it is then. pause: nothing is leased; drain:
 * nothing new is taken, what is there runs; resume ends both. They last until they are undone, also
 * across a restart. A queue is there as soon as a job or a setting was; before, GET is 404.
 * One of a kind of contracts/job_kinds.h begins with that kind's attempts and timeout.
 */
#pragma once

#include "http/router.h"

/* Both GETs: scope read. */
int queue_get_on_head(struct exchange *exchange);

/* The others: scope admin; allowed though the disk is low. */
int queue_set_on_head(struct exchange *exchange);

/* GET of one. */
int queue_get_on_request(struct exchange *exchange);

/* GET of all, page by page: limit, cursor. */
int queue_list_on_request(struct exchange *exchange);

/* PUT: what the body gives. */
int queue_put_on_request(struct exchange *exchange);

/* POST .../pause. */
int queue_pause_on_request(struct exchange *exchange);

/* POST .../resume. */
int queue_resume_on_request(struct exchange *exchange);

/* POST .../drain. */
int queue_drain_on_request(struct exchange *exchange);

/* The owner has decided: the settings as they are, or as they have become. */
int queue_on_reply(struct exchange *exchange, const struct message *msg);

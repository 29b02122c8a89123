/*
 * Schedule routes: cron schedules of jobs over HTTP, for the project of the caller's key.
 *
 *     PUT    /v1/schedules/{name}   scope admin: makes or replaces it   201, 200
 *     DELETE /v1/schedules/{name}   scope admin                         200, 404
 *     GET    /v1/schedules/{name}   scope read                          200, 404
 *     GET    /v1/schedules          scope read: limit, cursor           200
 *
 * The body of a PUT is contracts/schedule_spec.h's. A schedule of another project is not
 * there: 404.
 */
#pragma once

#include "http/router.h"

/* PUT: on_head and on_request of struct route. */
int schedule_put_on_head(struct exchange *exchange);
/* 201 or 200 with the schedule; 422 with what is wrong with it. */
int schedule_put_on_request(struct exchange *exchange);

/* DELETE likewise. */
int schedule_delete_on_head(struct exchange *exchange);
/* 200, or 404. */
int schedule_delete_on_request(struct exchange *exchange);

/* Both GET. */
int schedule_look_on_head(struct exchange *exchange);
/* The schedule, with its payload, when it is due next and what ran; or 404. */
int schedule_get_on_request(struct exchange *exchange);
/* A page of the project's schedules, without their payloads. */
int schedule_list_on_request(struct exchange *exchange);

/* The owner has decided. */
int schedule_on_reply(struct exchange *exchange, const struct message *msg);

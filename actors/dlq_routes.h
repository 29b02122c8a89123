/*
 * DLQ routes: dead letters over HTTP, for operators.
 *
 *     GET    /v1/admin/dlq                scope admin: a page of letters           200
 *     GET    /v1/admin/dlq/{id}           one, with its payload                    200, 404
 *     DELETE /v1/admin/dlq/{id}           it leaves for good                       200, 404
 *     POST   /v1/admin/dlq/replay         letters become jobs again, dlq_spec.h    202
 *                                         with "dry_run": how many would           200
 *     GET    /v1/admin/dlq/replays        those that run and the latest that ended 200
 *     GET    /v1/admin/dlq/replays/{id}   how far that is                          200, 404
 *     DELETE /v1/admin/dlq/replays/{id}   it stops where it is                     200, 404
 *
 * The admin token sees the letters of all projects. A key with scope admin sees and touches
 * those of its own project, and the replays of this project alone; others are not there.
 * Pages are ordered by the time of death, the oldest first, and filtered by org, project,
 * origin, reason, since, until and id; the cursor names a place in that order, so letters
 * that come and go are neither skipped nor shown twice.
 */
#pragma once

#include "http/router.h"

/* For all of them: who asks, and how much a body may hold. */
int dlq_on_head(struct exchange *exchange);

/* What is asked goes on its way, or is refused at once; results as struct route says. */
int dlq_list_on_request(struct exchange *exchange);
int dlq_get_on_request(struct exchange *exchange);
int dlq_drop_on_request(struct exchange *exchange);
int dlq_replay_on_request(struct exchange *exchange);
int dlq_progress_on_request(struct exchange *exchange);
int dlq_replays_on_request(struct exchange *exchange);
int dlq_stop_on_request(struct exchange *exchange);

/* The answer to any of them has come. */
int dlq_on_reply(struct exchange *exchange, const struct message *msg);

/* The client went away. What was begun goes on. */
void dlq_on_abandon(struct exchange *exchange);

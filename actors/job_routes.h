/*
 * Job routes: durable jobs over HTTP, for the project of the caller's key.
 *
 *     POST /v1/jobs                    scope ingest: one job             202, job_spec.h
 *     POST /v1/jobs/batch              1..100 jobs, all or nothing       202
 *     POST /v1/flows                   jobs that come after one another  202, flow_spec.h
 *     POST /v1/jobs/{kind}/lease       jobs to work on; may wait         200, lease_spec.h
 *     POST /v1/jobs/complete           many outcomes, each for itself    200
 *     POST /v1/jobs/{id}/complete|fail|extend|cancel                     200, 404, 409
 *     GET  /v1/jobs/{id}               scope read                        200, 404
 *
 * A job of another project is not there: 404. Idempotency-Key goes with the first three and
 * stands, per project, for path and body: the same again is answered with the first one's ids
 * and "duplicate":true, another body or path with 409. It does not go together with "unique".
 * Jobs count against the key's rate like events: 429.
 *
 *     job_routes.c         what all share, and what makes jobs
 *     job_worker_routes.c  leases, outcomes, cancelling, looking
 *     queue_routes.c       settings of queues
 *     job_answers.c        what was decided, as JSON
 */
#pragma once

#include "http/router.h"

/* --- making jobs: job_routes.c ----------------------------------------------- */

/* POST /v1/jobs: as event_on_head(), with the limits of one payload. */
int job_enqueue_on_head(struct exchange *exchange);

/* POST /v1/jobs: hands the one job to its owner. */
int job_enqueue_on_request(struct exchange *exchange);

/* Batch and flow: the limits of a batch. */
int job_batch_on_head(struct exchange *exchange);

/* POST /v1/jobs/batch. */
int job_batch_on_request(struct exchange *exchange);

/* POST /v1/flows. */
int job_flow_on_request(struct exchange *exchange);

/* --- working on them: job_worker_routes.c ------------------------------------- */

/* For what is said about one job; allowed though the disk is low. */
int job_outcome_on_head(struct exchange *exchange);

/* For a lease and for outcomes of many jobs: the same with the limits of a batch. */
int job_outcomes_on_head(struct exchange *exchange);

/* For looking: scope read. */
int job_get_on_head(struct exchange *exchange);

/* POST /v1/jobs/{kind}/lease: may wait, but not for longer than the client is there. */
int job_lease_on_request(struct exchange *exchange);

/* POST /v1/jobs/complete. */
int job_finish_on_request(struct exchange *exchange);

/* POST /v1/jobs/{id}/complete. */
int job_complete_on_request(struct exchange *exchange);

/* POST /v1/jobs/{id}/fail. */
int job_fail_on_request(struct exchange *exchange);

/* POST /v1/jobs/{id}/extend. */
int job_extend_on_request(struct exchange *exchange);

/* POST /v1/jobs/{id}/cancel; a body means nothing. */
int job_cancel_on_request(struct exchange *exchange);

/* GET /v1/jobs/{id}. */
int job_get_on_request(struct exchange *exchange);

/* --- all: job_answers.c, job_routes.c ------------------------------------------ */

/* The owner has decided. */
int job_on_reply(struct exchange *exchange, const struct message *msg);

/* The client went away: what was leased for it goes back. */
void job_on_abandon(struct exchange *exchange);

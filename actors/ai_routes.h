/*
 * AI routes: the work of models on the incidents of the caller's project.
 *
 *     GET /v1/ai/runs        scope read: a page of runs, the newest first           200
 *     GET /v1/ai/runs/{id}   one, with its attempts and its output                  200, 404
 *     GET /v1/ai/stats       counts, the success rate, tokens and cost              200
 *     GET /v1/ai/activity    a page of summaries with their incidents               200
 *     GET /v1/ai/jobs        a page of the jobs that make them                      200
 *
 * Filters: incident_id; status of runs (queued, succeeded, failed, cancelled) and of jobs
 * (queued, running, succeeded, failed, cancelled). A run is there when its first attempt has an
 * outcome, and a job that runs is shown as queued: a lease is in no record.
 */
#pragma once

#include "http/router.h"

/* GET /v1/ai/runs. */
int ai_runs_on_request(struct exchange *exchange);

/* GET /v1/ai/runs/{id}. */
int ai_run_on_request(struct exchange *exchange);

/* GET /v1/ai/stats. */
int ai_stats_on_request(struct exchange *exchange);

/* GET /v1/ai/activity. */
int ai_activity_on_request(struct exchange *exchange);

/* GET /v1/ai/jobs. */
int ai_jobs_on_request(struct exchange *exchange);

/*
 * Sim job asks: how what a member of the crew wants to ask gets on its way.
 *
 * Drawing by the world's seed, and sending what a client is set to: told to the story and, for
 * jobs, to the model. What to ask is the business of producers (sim_job_producer.h), workers
 * (sim_job_worker.h) and the operator (sim_job_operator.h).
 */
#pragma once

#include "tools/sim/sim_job_crew.h"

enum { SIM_JOB_CLAIM_PLACES = 64 /* jobs that one Idempotency-Key may stand for */ };

/* A number below the bound, which is not 0; true so often out of 100. */
uint32_t sim_job_draw(const struct sim_job_crew *crew, uint32_t below);
bool sim_job_strikes(const struct sim_job_crew *crew, uint32_t percent);

/* Below max, but most of the time far less; max is not 0. */
uint32_t sim_job_draw_small(const struct sim_job_crew *crew, uint32_t max);

/* Any queue that the client knows a key for. */
uint32_t sim_job_draw_queue(const struct sim_job_client *client);

/* True once there is a key of the second project. */
bool sim_job_has_second_tenant(const struct sim_job_crew *crew);

/* The key of the project whose queue it is; the second project's only when there is one. */
const char *sim_job_key_of(const struct sim_job_crew *crew, uint32_t queue);

/* Sends the body and counts the request. claim: Idempotency-Key, or NULL. */
void sim_job_ask(struct sim_job_client *client, const char *method, const char *path,
                 const char *key, const char *claim);

/* Sends the jobs that the client is set to, for the first time or again. */
void sim_job_ask_jobs(struct sim_job_client *client);

/* Sends something about one job, client->job; the body is written. */
void sim_job_ask_about(struct sim_job_client *client, const char *method, const char *what);

/* Sends something about a queue, client->queue; the body is written. */
void sim_job_ask_of_queue(struct sim_job_client *client, const char *method);

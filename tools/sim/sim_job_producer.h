/*
 * Sim job producer: which jobs a client of the crew makes.
 *
 * One by one, in batches and in flows, delayed, keyed, unique, with Idempotency-Keys; now and
 * then a key that was used before with another job.
 */
#pragma once

#include "tools/sim/sim_job_client.h"

/* Draws jobs and sends them. There is room for them in the model. */
void sim_job_produce(struct sim_job_client *client);

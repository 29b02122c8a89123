/*
 * Sim job worker: what a client of the crew does with leases.
 *
 * It asks for jobs, waits for them, completes, fails, asks for more time, and misbehaves: lets
 * leases run out, walks away with them, comes back too late, says things twice, or what is
 * not true. When the crew settles it does nothing but its work.
 */
#pragma once

#include "tools/sim/sim_job_client.h"

/* One turn of a worker: sends one request. */
void sim_job_work(struct sim_job_client *client);

/* The worker is done with the lease, which it may hold. */
void sim_job_let_go(struct sim_job_client *client, uint32_t lease);

/*
 * Sim job operator: who pauses, drains and limits queues, cancels jobs and looks at them.
 *
 * The crew's first client is the operator. Looking is for everybody.
 */
#pragma once

#include "tools/sim/sim_job_client.h"

/* One turn of the operator: sends one request. */
void sim_job_operate(struct sim_job_client *client);

/* Looks at a job, cancels one, or tries that with another project's. False: there is none. */
bool sim_job_look_around(struct sim_job_client *client);

/* Ask for a job that was seen; for a queue. */
void sim_job_look_at(struct sim_job_client *client, uint32_t job);
void sim_job_look_at_queue(struct sim_job_client *client, uint32_t queue);

/* Sets a queue of the second project, whose key is there. For the operator only. */
void sim_job_change_queue(struct sim_job_client *client, uint32_t queue,
                          const struct sim_job_settings *settings);

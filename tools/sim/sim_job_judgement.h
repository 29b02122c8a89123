/*
 * Sim job judgement: whether an answer can be one of a correct server, and what it changes.
 *
 * The rules are the model's (sim_job_model.h); here is how they read an answer of HTTP. What
 * cannot be ends the run.
 */
#pragma once

#include "tools/sim/sim_job_crew.h"

/* Judges the answer to the client's request; true when the same has to be asked again. */
MUST_USE bool sim_job_judge(struct sim_job_client *client);

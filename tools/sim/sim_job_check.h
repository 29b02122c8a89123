/*
 * Sim job check: what the real server holds of jobs, against what clients were told.
 *
 * While it runs: what was acknowledged must be on the medium at that moment, and the
 * tables must be sound. When all is settled: requests are there as a whole or not at all.
 * What is wrong ends the run through the story.
 */
#pragma once

#include "tools/sim/sim_job_crew.h"

/* The job has just been accepted under this id: its record must be on the medium now. */
void sim_job_check_is_durable(const struct sim_job_crew *crew, uint32_t job, struct slice id);

/* An outcome has just been accepted: what the worker said must be on the medium now. */
void sim_job_check_outcome_is_durable(const struct sim_job_crew *crew,
                                      const struct sim_job_finish *finish);

/* Tells what the running server knows of a job. */
void sim_job_check_tell(const struct sim_job_crew *crew, uint32_t job);

/* Tells of some jobs that are alive in the running server. */
void sim_job_check_tell_live(const struct sim_job_crew *crew);

/* Every job of every shard has its place: one timer, one list, one permit; counts add up. */
void sim_job_check_tables(const struct sim_job_crew *crew);

/* Nobody asks anything any more, for a while: nothing is lent, every lease has its permit. */
void sim_job_check_leaks(const struct sim_job_crew *crew);

/* All is settled: what was sent together is there together. */
void sim_job_check_requests(const struct sim_job_crew *crew);

/*
 * Sim judgement: whether what a client was told can be true.
 *
 * Asks the model, looks at the medium for what was acknowledged, and ends the run with
 * the story of the event concerned when it cannot be.
 */
#pragma once

#include "tools/sim/sim_workload.h"

/* Notes what could explain a refusal, when the request goes out. */
void sim_judge_note(struct sim_client *client);

/* What a client does next. */
enum sim_next {
    SIM_NEXT_NEW,  /* something new */
    SIM_NEXT_AGAIN /* the same again, after a rest */
};

/* Judges the answer that the client has just got. */
enum sim_next sim_judge(struct sim_client *client);

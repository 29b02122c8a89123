/*
 * Sim act: what each kind of operation does to the simulated disk and network.
 *
 * For sim_op.c and io_sim.c only.
 */
#pragma once

#include "runtime/sim_op.h"

/* The process arms the operation: from now on its descriptor may not be closed, nor its bytes
 * change. */
void sim_act_enter(struct sim_op *sim_op);

/* Begins an operation that was entered: it parks, pends, or completes with an error. */
void sim_act_start(struct sim_op *sim_op);

/* True when a parked operation could do something now. */
bool sim_act_is_possible(const struct sim_op *sim_op);

/* The operation's event is due: does what can be done now. */
void sim_act(struct sim_op *sim_op);

/* The process no longer hears of the operation: what it was about may happen, or half of it. */
void sim_act_abandon(struct sim_op *sim_op);

/*
 * Sim exit: whether faults explain that a process ended by itself, with this exit code.
 *
 *     73, 74   the disk, or what keeps it waiting
 *     70       a root supervisor gave up: more listeners failed than it bears
 *
 * Any other code, and any end without its fault, is a bug of the server.
 */
#pragma once

#include "tools/sim/sim_weather.h"

/* The FAILPOINT that makes a listener fail: no other ends an actor that is started again. */
#define SIM_EXIT_LISTENER_FAILS "a listener fails"

/*
 * faults: bit set of enum sim_fault_group, of the run. failure_count: how often
 * SIM_EXIT_LISTENER_FAILS struck in this life of the process, on all shards.
 */
bool sim_exit_is_explained(int exit_code, uint32_t faults, uint32_t failure_count);

#include "tools/sim/sim_exit.h"

#include "runtime/shard.h"
#include "runtime/supervisor.h"

/*
 * The failures of a listener are counted, but not when they were: a supervisor gives up only
 * when they come within its period, by its own clock, which a pause moves apart from the
 * world's. What this lets pass is a supervisor that gives up too early, which is for
 * tests/runtime to see; one that gives up without failures is noticed.
 */
enum { EXIT_UNUSABLE = 73, EXIT_IO = 74 };

static const uint32_t DISK_REASONS = 1U << SIM_FAULT_DISK | 1U << SIM_FAULT_SPACE |
                                     1U << SIM_FAULT_SLOW | 1U << SIM_FAULT_MEMORY |
                                     1U << SIM_FAULT_DAMAGE | 1U << SIM_FAULT_PAUSE;

bool sim_exit_is_explained(int exit_code, uint32_t faults, uint32_t failure_count)
{
    assert(exit_code != 0);
    switch (exit_code) {
    case EXIT_UNUSABLE:
    case EXIT_IO:
        return (faults & DISK_REASONS) != 0;
    case SHARD_EXIT_SOFTWARE:
        return (faults & 1U << SIM_FAULT_MEMORY) != 0 &&
               failure_count > SUPERVISOR_INTENSITY_DEFAULT;
    default:
        return false;
    }
}

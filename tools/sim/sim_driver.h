/*
 * Sim driver: turns shards and clients of a simulated world until a goal is reached.
 *
 * One step delivers the events that are due, gives one turn to every shard that
 * has work (in drawn order, now and then to an idle one too), lets clients reap,
 * and charges a little time for it. When nobody has work the clock jumps to the
 * next event or timer. A machine whose host died inside a disk call is left
 * alone: run() answers SIM_HOST_DIED and the caller crashes and restarts it.
 */
#pragma once

#include "runtime/shard.h"
#include "runtime/sim_host.h"
#include "runtime/sim_world.h"

enum {
    SIM_DRIVER_MACHINE_COUNT_MAX = 8,
    SIM_DRIVER_IO_COUNT_MAX = 1024,
};

/* What run() waits for; embedded in whatever knows. */
struct sim_goal {
    bool (*reached)(struct sim_goal *goal);
};

enum sim_outcome {
    SIM_REACHED,
    SIM_STEPS_OVER, /* the bound was reached first */
    SIM_QUIET,      /* nothing will ever happen again */
    SIM_HOST_DIED,  /* a host is dying, goal or no goal: crash or kill it */
    SIM_ENDED,      /* all shards of a runtime have ended, see runtime_exit_code() */
};

/* A runtime on a host. Private to sim_driver.c. */
struct sim_machine {
    struct sim_host *host;
    struct runtime *runtime;
    uint64_t ended; /* bit n: shard n */
    uint64_t paused_until_ns[SHARD_COUNT_MAX];
};

/* Embedded by value. turn_ns may be set: what a round of turns costs. */
struct sim_driver {
    struct sim_world *world;
    struct sim_range turn_ns;
    uint64_t step_count;
    uint64_t turn_count;
    struct sim_machine machines[SIM_DRIVER_MACHINE_COUNT_MAX];
    uint32_t machine_count;
    struct io *ios[SIM_DRIVER_IO_COUNT_MAX];
    uint32_t io_count;
};

/* A driver of world with nothing to drive. Borrows world. */
void sim_driver_init(struct sim_driver *driver, struct sim_world *world);

/*
 * For config.io_new of a simulated runtime: makes backends on the host that was
 * named last.
 */
void sim_driver_name_host(struct sim_host *host);
int sim_driver_io_new(struct runtime *runtime, uint32_t index, struct io **ret_io);

/* Drives runtime (simulated, on io_sim backends of host) from now on. Borrows both. */
void sim_driver_add_runtime(struct sim_driver *driver, struct sim_host *host,
                            struct runtime *runtime);

/* Leaves runtime alone from now on; it may then be freed. */
void sim_driver_remove_runtime(struct sim_driver *driver, const struct runtime *runtime);

/* Gives shard index of the runtime on host no turn for duration_ns. Nothing, without a runtime. */
void sim_driver_pause(struct sim_driver *driver, const struct sim_host *host, uint32_t index,
                      uint64_t duration_ns);

/* Reaps io from now on, for clients that have no shard. Borrows it. */
void sim_driver_add_io(struct sim_driver *driver, struct io *io);

/* Leaves io alone from now on. */
void sim_driver_remove_io(struct sim_driver *driver, const struct io *io);

/* Steps until goal (NULL: never reached) is, or step_count_max steps are over, or it makes no
 * sense to go on. */
MUST_USE enum sim_outcome sim_driver_run(struct sim_driver *driver, struct sim_goal *goal,
                                         uint64_t step_count_max);

/* Steps until duration_ns of simulated time have passed. SIM_REACHED, or what came in between. */
MUST_USE enum sim_outcome sim_driver_run_for(struct sim_driver *driver, uint64_t duration_ns);

/*
 * Sim world: one seed, one clock, one queue of things to come.
 *
 * A world has hosts (sim_host.h); a host has a disk (sim_disk.h) that outlives
 * a crash and any number of I/O backends (io_sim.h), one per shard, and hosts
 * talk over a simulated network (sim_net.h). Faults are switches of the host
 * (sim_faults.h), all off at first. Production code is linked unchanged: it sees
 * a struct io, a struct disk and a clock source. All runs on one OS thread; the
 * only source of chance is the world's seed, so a run can be repeated exactly.
 *
 *     struct sim_world *world = sim_world_new(seed);
 *     struct sim_host *server = sim_host_new(world, "server");
 *     struct sim_host *laptop = sim_host_new(world, "laptop");
 *     struct io *io;                                     (per shard, in config.io_new)
 *     r = io_sim_new(server, &io);
 *     config.clock_source = &world->clock_source;
 *     config.simulated = true;
 *     config.seed = rng_next(&world->rng);
 *     ... runtime_new(&config, &runtime), files through sim_host_disk(server) ...
 *     server->faults.write_error.once_count = 1;         (the next write fails)
 *     for (;;) {
 *         uint64_t next_ns = sim_world_step(world);      (delivers what is due now)
 *         busy = ... shard_turn(shard, false) for every shard that is not idle ...
 *         if (!busy)
 *             sim_world_advance_to(world, min_u64(next_ns, earliest shard timer));
 *     }
 *     sim_host_crash(server);                            (power cut; or sim_host_kill())
 *     runtime_free(&runtime);                            (frees the dead backends)
 *     sim_host_start(server);                            (then a new runtime, and recovery)
 *     world->trace.hash                                  (same seed, same number)
 *     sim_world_free(&world);
 *
 * tools/sim/sim_driver.h is that loop, tools/sim/sim_http_client.h a client.
 * Memory comes from the heap and running out of it aborts: the simulator lives
 * in processes that only simulate.
 */
#pragma once

#include "runtime/clock.h"
#include "runtime/list.h"
#include "runtime/rng.h"
#include "runtime/sim_trace.h"

enum {
    SIM_EVENT_COUNT_MAX = 1 << 20,      /* pending at once */
    SIM_STEP_EVENT_COUNT_MAX = 1 << 14, /* delivered by one step */
};

/* The instant at which every world begins: 2025-01-01T00:00:00Z, one second after boot. */
#define SIM_START_UNIX_MS 1735689600000U
#define SIM_START_MONO_NS 1000000000U

/* Something to come; embedded by value in whatever waits for it. Zeroed but for on_due. */
struct sim_event {
    void (*on_due)(struct sim_event *event);
    uint64_t due_ns; /* read-only */
    uint64_t tie;    /* the rest is private to sim_world.c */
    uint32_t slot;   /* position in the queue plus one; 0: not pending */
};

/* Owned by one thread. Fields are read-only but for rng, from which callers draw. */
struct sim_world {
    struct clock_source clock_source; /* lend it to clocks and to the runtime */
    struct rng rng;
    uint64_t seed;
    uint64_t mono_ns;
    int64_t unix_skew_ms; /* how far the wall clock was set off */
    struct sim_trace trace;
    uint64_t event_count;   /* delivered so far */
    struct list_node hosts; /* struct sim_host.link */
    uint32_t host_count;
    struct list_node listeners; /* struct sim_socket.listener_link, kept by sim_net.c */
    uint16_t port_next;         /* for sockets that ask for any port */
    struct sim_event **heap;    /* private to sim_world.c, with the next two */
    uint32_t heap_count;
    uint32_t heap_capacity;
};

/* Makes an empty world that everything in it is decided by seed. Never NULL. */
struct sim_world *sim_world_new(uint64_t seed);

/* Frees the world with its hosts and nulls the pointer; their backends must be free. NULL is
 * accepted. */
void sim_world_free(struct sim_world **world);

/*
 * Delivers the events that are due at the present instant, those included that
 * they cause for the same instant, in seeded order. Returns when the next one is
 * due (the present instant if the step's bound was reached), UINT64_MAX for never.
 */
uint64_t sim_world_step(struct sim_world *world);

/* When the next event is due; UINT64_MAX for never. Delivers nothing. */
uint64_t sim_world_next_ns(const struct sim_world *world);

/* Moves time forward to mono_ns; events that it passes are delivered late, by the next step. */
void sim_world_advance_to(struct sim_world *world, uint64_t mono_ns);

/* Sets the wall clock off by delta_ms, forward or back; monotonic time does not notice. */
void sim_world_jump_unix(struct sim_world *world, int64_t delta_ms);

/* Lets event come delay_ns from now. It must not be pending. */
void sim_world_schedule(struct sim_world *world, struct sim_event *event, uint64_t delay_ns);

/* Takes event out of the queue; one that is not pending stays as it is. */
void sim_world_unschedule(struct sim_world *world, struct sim_event *event);

/* True while event waits in the queue. */
static inline bool sim_event_is_pending(const struct sim_event *event)
{
    return event->slot != 0;
}

/* Writes the readable trace to file (borrowed) from now on; NULL ends it. */
void sim_world_trace_to(struct sim_world *world, FILE *file);

/* True with a chance of one half. */
bool sim_world_coin(struct sim_world *world);

/* 0 or more and below max, most of the time far less: below a bound that is drawn, too. max > 0. */
uint64_t sim_world_draw_small(struct sim_world *world, uint64_t max);

/* size zeroed bytes; aborts when there are none. Give them back with free(). */
void *sim_alloc(size_t size);

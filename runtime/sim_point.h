/*
 * Sim point: a place in production code that the simulator knows by name.
 *
 * Three kinds, all of them free of effect outside of the simulator:
 *
 *     SOMETIMES("a torn tail is cut");          was here: a simulation that never
 *                                               comes here proves nothing about it;
 *                                               also a place to end the process at
 *     if (FAILPOINT("a pool is empty"))         may come out true by the seed's choice:
 *         return NULL;                          the failure that is hard to provoke
 *     if (MUTANT("ack_before_flush"))           true in a build with the option
 *         acknowledge(append);                  `mutants`, when that mutant was chosen:
 *                                               a planted bug that must be found
 *
 * Without a hook a point costs one load and one branch that is never taken; MUTANT
 * is the constant false unless the build asks for it. The hook is set before any
 * shard runs, in a process that only simulates, so nothing here is atomic.
 *
 * Every point puts itself into a linker section at compile time, so that those
 * never met can be listed too. A name is one point, however many places bear it.
 */
#pragma once

#include "runtime/base.h"

enum sim_point_kind {
    SIM_POINT_SOMETIMES,
    SIM_POINT_FAILPOINT,
    SIM_POINT_MUTANT,
};

/* One place. Made by the macros; hit_count is the hook's to use. */
struct sim_point {
    const char *name;
    const char *file;
    uint32_t line;
    enum sim_point_kind kind;
    uint64_t hit_count;
};

/* What the simulator wants to know; embedded in its own struct. */
struct sim_point_hook {
    /* The point was met. True makes a FAILPOINT or MUTANT strike; else without meaning. */
    bool (*on_hit)(struct sim_point_hook *hook, struct sim_point *point);
};

/* NULL but in a process that simulates. Read by sim_point_hit() only. */
extern struct sim_point_hook *sim_point_hook_installed;

/* Installs hook (borrowed), or takes it away with NULL. Before shards run. */
void sim_point_install(struct sim_point_hook *hook);

/* All places of this binary, in no useful order: *ret_count pointers. */
struct sim_point *const *sim_point_all(size_t *ret_count);

/* For the macros: tells the hook, if there is one. */
static inline bool sim_point_hit(struct sim_point *point)
{
    return unlikely(sim_point_hook_installed != NULL) &&
           sim_point_hook_installed->on_hit(sim_point_hook_installed, point);
}

#define SIM_POINT(point_kind, point_name)                                                          \
    __extension__({                                                                                \
        static struct sim_point sim_point_here = {                                                 \
            .name = (point_name), .file = __FILE__, .line = __LINE__, .kind = (point_kind)};       \
        static struct sim_point *const sim_point_entry                                             \
            __attribute__((used, section("sim_points"))) = &sim_point_here;                        \
        (void)sim_point_entry;                                                                     \
        sim_point_hit(&sim_point_here);                                                            \
    })

#define SOMETIMES(name) ((void)SIM_POINT(SIM_POINT_SOMETIMES, name))
#define FAILPOINT(name) SIM_POINT(SIM_POINT_FAILPOINT, name)
#ifdef WEIR_MUTANTS
#define MUTANT(name) SIM_POINT(SIM_POINT_MUTANT, name)
#else
#define MUTANT(name) false
#endif

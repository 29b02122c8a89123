/*
 * Sim weather: which faults a seed draws, and how hard they blow.
 *
 * Faults come in groups, so that a user can switch some off (--faults). For each run
 * every kind of fault within a group is off with a chance of one half, so that rare
 * faults meet calm as well as storm (swarm testing); each life draws anew how often
 * the remaining ones strike.
 */
#pragma once

#include "runtime/sim_host.h"

/* X(name in --faults, identifier, what it does) */
#define SIM_FAULT_GROUPS(X)                                                                        \
    X("disk", DISK, "errors, short and interrupted reads and writes")                              \
    X("slow", SLOW, "slow and stuck disks")                                                        \
    X("space", SPACE, "a disk that is full, and later not")                                        \
    X("net", NET, "resets, stalls, split segments, refused and half-open connections")             \
    X("clock", CLOCK, "a wall clock that jumps by up to an hour")                                  \
    X("crash", CRASH, "power cuts, with torn, dropped and reordered blocks")                       \
    X("kill", KILL, "kill -9, also at the edges of the journal's states")                          \
    X("recovery", RECOVERY, "power cuts during recovery")                                          \
    X("pause", PAUSE, "shards that stand still for up to a minute")                                \
    X("memory", MEMORY, "pools, buffers and rings that are exhausted")                             \
    X("damage", DAMAGE, "bit flips, lost, misdirected and stale blocks: must be refused")

enum sim_fault_group {
#define SIM_FAULT_GROUP_ENUM(name, id, text) SIM_FAULT_##id,
    SIM_FAULT_GROUPS(SIM_FAULT_GROUP_ENUM)
#undef SIM_FAULT_GROUP_ENUM
        SIM_FAULT_GROUP_COUNT,
};

enum { SIM_FAULTS_ALL = (1 << SIM_FAULT_GROUP_COUNT) - 1 };

/*
 * Sim weather: which faults a seed draws, and how hard they blow.
 *
 * Faults come in groups, so that a user can switch some off (--faults). For each run
 * every kind of fault within a group is off with a chance of one half, so that rare
 * faults meet calm as well as storm (swarm testing); each life draws anew how often
 * the remaining ones strike.
 */
#pragma once

#include "tools/sim/sim_job_crew.h"
#include "tools/sim/sim_workload.h"

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

enum {
    SIM_FAULTS_ALL = (1 << SIM_FAULT_GROUP_COUNT) - 1,
    SIM_WEATHER_OTHER_COUNT = 2, /* machines of neither workload nor crew */
};

/* One run's weather. Private to sim_weather.c. */
struct sim_weather {
    struct sim_server *server;
    struct sim_workload *workload;
    struct sim_job_crew *crew;
    struct sim_host *others[SIM_WEATHER_OTHER_COUNT]; /* set by the caller, or NULL */
    struct sim_story *story;
    uint32_t groups;        /* bit set of those that this run has */
    uint64_t kinds;         /* bit set of the kinds of fault that this run has */
    uint64_t capacity;      /* of the disk, when there is space */
    uint32_t failpoint_ppm; /* chance of a FAILPOINT to strike; 0 when calm */
    uint32_t edge_ppm;      /* chance of the process to end at a SOMETIMES point */
    uint64_t gust_ns_max;
    struct sim_event gust; /* the next sudden change */
};

/* Draws what this run has, out of the allowed groups. Borrows all. */
void sim_weather_init(struct sim_weather *weather, uint32_t allowed_groups,
                      struct sim_server *server, struct sim_workload *workload,
                      struct sim_job_crew *crew, struct sim_story *story);

/* True when the run has faults of this group. */
static inline bool sim_weather_has(const struct sim_weather *weather, enum sim_fault_group group)
{
    return (weather->groups >> group & 1) != 0;
}

/* True when some life may have reads that fail. */
bool sim_weather_fails_reads(const struct sim_weather *weather);

/* A life begins: draws how hard it blows. */
void sim_weather_rise(struct sim_weather *weather);

/* From now on no fault strikes and everything is fast; what has struck stays as it is. */
void sim_weather_calm(struct sim_weather *weather);

/* Writes from now on reach the medium damaged, now and then. Until the weather is calmed. */
void sim_weather_damage(struct sim_weather *weather);

/*
 * Sim faults: the switches of a host's misfortune, all off at first.
 *
 * Each kind of fault can strike by chance, for the next few operations for
 * sure, or always; a test sets the fields at any time. The draws come from the
 * world's seed. Latencies and segmentation are here too: they are the weather
 * and have defaults.
 */
#pragma once

#include "runtime/rng.h"

enum { SIM_PPM = 1000000 };

/* One kind of fault. Callers set the fields. */
struct sim_fault {
    uint32_t chance_ppm; /* of every operation, in parts per million */
    uint32_t skip_count; /* lets this many operations pass first ... */
    uint32_t once_count; /* ... then strikes this many for sure */
    bool always;
};

/* Uniform between both bounds, both included. */
struct sim_range {
    uint64_t min;
    uint64_t max;
};

/* Callers set the fields at any time. */
struct sim_faults {
    /* Disk. What ends with an error of these has happened in part, or not at all. */
    struct sim_fault read_error;     /* -EIO */
    struct sim_fault write_error;    /* -EIO; what was to be written is partly there */
    struct sim_fault sync_error;     /* -EIO; some blocks are clean but not on the medium */
    struct sim_fault name_error;     /* -EIO from open, rename, unlink, mkdir, list */
    struct sim_fault read_short;     /* fewer bytes than asked for */
    struct sim_fault write_short;    /* fewer bytes than given */
    struct sim_fault write_no_space; /* -ENOSPC although there is room */
    struct sim_fault disk_stuck;     /* takes stuck_ns longer */
    /* An asynchronous read, write or sync: -EINTR, -EAGAIN or -ECANCELED; a write partly there.
     * Blocking calls repeat what was interrupted and never say so. */
    struct sim_fault op_interrupted;
    bool direct_refused; /* open with O_DIRECT: -EINVAL */
    /* Of a sector that a crash tears: neither the old bytes nor the new (default: one in 8). */
    struct sim_fault crash_garbage;
    struct sim_range disk_latency_ns;
    struct sim_range stuck_ns;

    /*
     * A disk that lies: all is reported as done, and as durable if it was to be. They
     * break what a server promises, so they are drawn by sim_faults_draw_damage()
     * only, and each strike is noted (sim_damage.h).
     */
    struct sim_fault write_lost;        /* the old bytes stay */
    struct sim_fault write_misdirected; /* they stay, and the new ones land elsewhere */
    struct sim_fault write_flipped;     /* with one bit flipped */
    struct sim_fault sync_lies;         /* a sync, or a durable write, makes nothing durable */
    struct sim_fault read_flipped;      /* one bit of what is read; the medium is fine */

    /* Rings. */
    struct sim_fault ring_full;        /* an operation waits for the next turn, with all behind */
    struct sim_fault completions_held; /* a reap gives fewer than there are; the next one all */
    struct sim_fault recv_starved;     /* a receive finds no free buffer for starve_ns */
    struct sim_range starve_ns;

    /* Network. The sender's, the connecting and the vanishing host's faults count. */
    struct sim_fault connect_refused; /* although somebody listens */
    struct sim_fault accept_error;    /* -ECONNABORTED in place of a connection */
    struct sim_fault reset;           /* of a segment: both ends see ECONNRESET */
    struct sim_fault stall;           /* of a segment: arrives stall_ns later */
    struct sim_fault split;           /* of a segment: arrives in pieces (default: one in four) */
    struct sim_fault half_open;       /* after a crash the peer hears nothing for half_open_ns */
    struct sim_range net_latency_ns;
    struct sim_range stall_ns;
    struct sim_range vanish_ns; /* until the peer of a crashed host sees a reset, otherwise */
    struct sim_range half_open_ns;

    /* From "it happened" to "the completion is there". */
    struct sim_range completion_latency_ns;
};

/* Everything off, with mild weather. */
void sim_faults_init(struct sim_faults *faults);

/*
 * Draws a swarm: each kind is wholly off with a chance of one half, else gets a
 * chance of up to chance_ppm_max per operation; interruptions at most one in 20, since
 * whoever repeats an operation gives up some time. Counts and always stay as they are,
 * and so do the faults of a disk that lies.
 */
void sim_faults_draw(struct sim_faults *faults, struct rng *rng, uint32_t chance_ppm_max);

/* Draws a swarm, likewise, of the faults of a disk that lies, and of no others. */
void sim_faults_draw_damage(struct sim_faults *faults, struct rng *rng, uint32_t chance_ppm_max);

/* Private to sim_fault_strikes(): the fault is on. */
bool sim_fault_draw(struct sim_fault *fault, struct rng *rng);

/* True when the fault strikes this operation; counts it. */
static inline bool sim_fault_strikes(struct sim_fault *fault, struct rng *rng)
{
    if (likely((fault->chance_ppm | fault->once_count | fault->always) == 0))
        return false;
    return sim_fault_draw(fault, rng);
}

/* A number in range. */
uint64_t sim_range_draw(const struct sim_range *range, struct rng *rng);

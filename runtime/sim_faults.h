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
    /* Disk. */
    struct sim_fault read_error;     /* -EIO */
    struct sim_fault write_error;    /* -EIO; what was to be written is partly there */
    struct sim_fault sync_error;     /* -EIO; some blocks are clean but not on the medium */
    struct sim_fault name_error;     /* -EIO from open, rename, unlink, mkdir, list */
    struct sim_fault read_short;     /* fewer bytes than asked for */
    struct sim_fault write_short;    /* fewer bytes than given */
    struct sim_fault write_no_space; /* -ENOSPC although there is room */
    struct sim_fault disk_stuck;     /* takes stuck_ns longer */
    bool direct_refused;             /* open with O_DIRECT: -EINVAL */
    struct sim_range disk_latency_ns;
    struct sim_range stuck_ns;

    /* Network. The sender's and the connecting host's faults count. */
    struct sim_fault connect_refused; /* although somebody listens */
    struct sim_fault accept_error;    /* -ECONNABORTED in place of a connection */
    struct sim_fault reset;           /* of a segment: both ends see ECONNRESET */
    struct sim_fault stall;           /* of a segment: arrives stall_ns later */
    struct sim_fault split;           /* of a segment: arrives in pieces (default: one in four) */
    struct sim_range net_latency_ns;
    struct sim_range stall_ns;

    /* From "it happened" to "the completion is there". */
    struct sim_range completion_latency_ns;
};

/* Everything off, with mild weather. */
void sim_faults_init(struct sim_faults *faults);

/*
 * Draws a swarm: each kind is wholly off with a chance of one half, else gets a
 * chance of up to chance_ppm_max per operation. Counts and always stay as they are.
 */
void sim_faults_draw(struct sim_faults *faults, struct rng *rng, uint32_t chance_ppm_max);

/* True when the fault strikes this operation; counts it. */
bool sim_fault_strikes(struct sim_fault *fault, struct rng *rng);

/* A number in range. */
uint64_t sim_range_draw(const struct sim_range *range, struct rng *rng);

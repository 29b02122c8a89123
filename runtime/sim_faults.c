#include "runtime/sim_faults.h"

/*
 * The weather of a host: defaults that are mild but not still (latencies, segments cut
 * in pieces), and the drawing of swarms. Whether a fault strikes is decided where it
 * would strike, one draw for each operation whose kind of fault has a chance at all, so
 * that a fault that is off costs nothing and draws nothing.
 */

/* More than nine interruptions of one operation in a row must not happen by chance. */
enum { INTERRUPTED_PPM_MAX = SIM_PPM / 20 };

void sim_faults_init(struct sim_faults *faults)
{
    *faults = (struct sim_faults){
        .disk_latency_ns = {50000, 500000},
        .stuck_ns = {30000000000U, 30000000000U},
        .crash_garbage = {.chance_ppm = SIM_PPM / 8},
        .starve_ns = {100000, 20000000},
        .split = {.chance_ppm = SIM_PPM / 4},
        .net_latency_ns = {10000, 200000},
        .stall_ns = {1000000000U, 5000000000U},
        .vanish_ns = {1000000, 100999999},
        .half_open_ns = {60000000000U, 600000000000U},
        .completion_latency_ns = {0, 5000},
    };
}

static void draw_one(struct sim_fault *fault, struct rng *rng, uint32_t chance_ppm_max)
{
    fault->chance_ppm = 0;
    if (rng_chance(rng, 1, 2))
        fault->chance_ppm = (uint32_t)rng_below(rng, (uint64_t)chance_ppm_max + 1);
}

void sim_faults_draw(struct sim_faults *faults, struct rng *rng, uint32_t chance_ppm_max)
{
    assert(chance_ppm_max <= SIM_PPM);
    draw_one(&faults->read_error, rng, chance_ppm_max);
    draw_one(&faults->write_error, rng, chance_ppm_max);
    draw_one(&faults->sync_error, rng, chance_ppm_max);
    draw_one(&faults->name_error, rng, chance_ppm_max);
    draw_one(&faults->read_short, rng, chance_ppm_max);
    draw_one(&faults->write_short, rng, chance_ppm_max);
    draw_one(&faults->write_no_space, rng, chance_ppm_max);
    draw_one(&faults->disk_stuck, rng, chance_ppm_max);
    draw_one(&faults->connect_refused, rng, chance_ppm_max);
    draw_one(&faults->accept_error, rng, chance_ppm_max);
    draw_one(&faults->reset, rng, chance_ppm_max);
    draw_one(&faults->stall, rng, chance_ppm_max);
    draw_one(&faults->split, rng, SIM_PPM);
    draw_one(&faults->op_interrupted, rng, (uint32_t)min_u64(chance_ppm_max, INTERRUPTED_PPM_MAX));
    draw_one(&faults->crash_garbage, rng, SIM_PPM / 2);
    draw_one(&faults->ring_full, rng, chance_ppm_max);
    draw_one(&faults->completions_held, rng, chance_ppm_max);
    draw_one(&faults->recv_starved, rng, chance_ppm_max);
    draw_one(&faults->half_open, rng, chance_ppm_max);
}

void sim_faults_draw_damage(struct sim_faults *faults, struct rng *rng, uint32_t chance_ppm_max)
{
    assert(chance_ppm_max <= SIM_PPM);
    draw_one(&faults->write_lost, rng, chance_ppm_max);
    draw_one(&faults->write_misdirected, rng, chance_ppm_max);
    draw_one(&faults->write_flipped, rng, chance_ppm_max);
    draw_one(&faults->sync_lies, rng, chance_ppm_max);
    draw_one(&faults->read_flipped, rng, chance_ppm_max);
}

bool sim_fault_draw(struct sim_fault *fault, struct rng *rng)
{
    assert(fault->chance_ppm <= SIM_PPM);
    if (fault->always)
        return true;
    if (fault->once_count > 0 && fault->skip_count > 0) {
        fault->skip_count--;
    } else if (fault->once_count > 0) {
        fault->once_count--;
        return true;
    }
    return fault->chance_ppm > 0 && rng_below(rng, SIM_PPM) < fault->chance_ppm;
}

uint64_t sim_range_draw(const struct sim_range *range, struct rng *rng)
{
    assert(range->min <= range->max);
    assert(range->max < UINT64_MAX);
    if (range->min == range->max)
        return range->min;
    return range->min + rng_below(rng, range->max - range->min + 1);
}

#include "tools/sim/sim_driver.h"

#include "runtime/io_sim.h"

/*
 * Real shards run at the same time; here they take turns, in an order drawn anew
 * for each round, and one round costs as much time as one turn would. A round of
 * zero cost would let an actor that waits for time to pass spin for ever.
 */
enum {
    SPURIOUS_TURN_ODDS = 64, /* one idle shard in so many gets a turn for nothing */
    REAP_COUNT_MAX = 256,
};

/* io_new has no argument of ours; runtimes are made one after the other. */
static struct sim_host *named_host;

static void driver_check(const struct sim_driver *driver)
{
    assert(driver->world != NULL);
    assert(driver->machine_count <= SIM_DRIVER_MACHINE_COUNT_MAX);
    assert(driver->io_count <= SIM_DRIVER_IO_COUNT_MAX);
}

void sim_driver_init(struct sim_driver *driver, struct sim_world *world)
{
    *driver = (struct sim_driver){.world = world, .turn_ns = {200, 3000}};
}

void sim_driver_name_host(struct sim_host *host)
{
    assert(host != NULL);
    named_host = host;
}

int sim_driver_io_new(struct runtime *runtime, uint32_t index, struct io **ret_io)
{
    (void)runtime;
    (void)index;
    assert(named_host != NULL);
    return io_sim_new(named_host, ret_io);
}

void sim_driver_add_runtime(struct sim_driver *driver, struct sim_host *host,
                            struct runtime *runtime)
{
    driver_check(driver);
    assert(driver->machine_count < SIM_DRIVER_MACHINE_COUNT_MAX);
    driver->machines[driver->machine_count++] =
        (struct sim_machine){.host = host, .runtime = runtime};
}

void sim_driver_remove_runtime(struct sim_driver *driver, const struct runtime *runtime)
{
    driver_check(driver);
    for (uint32_t i = 0; i < driver->machine_count; i++) {
        if (driver->machines[i].runtime == runtime) {
            driver->machines[i] = driver->machines[--driver->machine_count];
            return;
        }
    }
    assert(false);
}

void sim_driver_pause(struct sim_driver *driver, const struct sim_host *host, uint32_t index,
                      uint64_t duration_ns)
{
    driver_check(driver);
    assert(index < SHARD_COUNT_MAX);
    for (uint32_t i = 0; i < driver->machine_count; i++)
        if (driver->machines[i].host == host)
            driver->machines[i].paused_until_ns[index] = driver->world->mono_ns + duration_ns;
}

void sim_driver_add_io(struct sim_driver *driver, struct io *io)
{
    driver_check(driver);
    assert(driver->io_count < SIM_DRIVER_IO_COUNT_MAX);
    driver->ios[driver->io_count++] = io;
}

void sim_driver_remove_io(struct sim_driver *driver, const struct io *io)
{
    driver_check(driver);
    for (uint32_t i = 0; i < driver->io_count; i++) {
        if (driver->ios[i] == io) {
            driver->ios[i] = driver->ios[--driver->io_count];
            return;
        }
    }
    assert(false);
}

static bool has_ended(const struct sim_machine *machine)
{
    uint32_t count = runtime_shard_count(machine->runtime);

    return machine->ended == (count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1);
}

static bool is_busy(const struct sim_driver *driver, const struct shard *shard)
{
    return !shard_is_idle(shard) || io_sim_ready_count(shard->io) > 0 ||
           shard_next_timer_ns(shard) <= driver->world->mono_ns;
}

/* One turn for each shard of the machine that has work; true when there was one. */
static bool turn_machine(struct sim_driver *driver, struct sim_machine *machine)
{
    struct rng *rng = &driver->world->rng;
    uint32_t count = runtime_shard_count(machine->runtime);
    uint32_t order[SHARD_COUNT_MAX];
    bool worked = false;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = (uint32_t)rng_below(rng, i + 1);

        order[i] = order[other];
        order[other] = i;
    }
    for (uint32_t i = 0; i < count && sim_host_is_up(machine->host); i++) {
        struct shard *shard = runtime_shard(machine->runtime, order[i]);
        bool busy;

        if ((machine->ended >> order[i] & 1) != 0 ||
            machine->paused_until_ns[order[i]] > driver->world->mono_ns)
            continue;
        /* Somebody may have tried to wake it while it stood still. */
        busy = is_busy(driver, shard) || machine->paused_until_ns[order[i]] != 0;
        machine->paused_until_ns[order[i]] = 0;
        if (!busy && rng_below(rng, SPURIOUS_TURN_ODDS) != 0)
            continue;
        worked = worked || busy;
        driver->turn_count++;
        if (!shard_turn(shard, false)) {
            machine->ended |= UINT64_C(1) << order[i];
            worked = true;
        }
    }
    return worked;
}

/* When the shard wants its next turn: its earliest timer, or the end of its pause. */
static uint64_t next_turn_ns(const struct sim_driver *driver, const struct sim_machine *machine,
                             uint32_t index)
{
    uint64_t until_ns = machine->paused_until_ns[index];
    uint64_t timer_ns = shard_next_timer_ns(runtime_shard(machine->runtime, index));

    return until_ns > driver->world->mono_ns ? until_ns : timer_ns;
}

/* The earliest of all shards that still run. */
static uint64_t next_turns_ns(const struct sim_driver *driver)
{
    uint64_t next_ns = UINT64_MAX;

    for (uint32_t m = 0; m < driver->machine_count; m++) {
        const struct sim_machine *machine = &driver->machines[m];

        for (uint32_t i = 0; i < runtime_shard_count(machine->runtime); i++) {
            if ((machine->ended >> i & 1) == 0)
                next_ns = min_u64(next_ns, next_turn_ns(driver, machine, i));
        }
    }
    return next_ns;
}

/* One step that does not move the clock past end_ns. SIM_REACHED: go on. */
static enum sim_outcome step(struct sim_driver *driver, uint64_t end_ns)
{
    struct sim_world *world = driver->world;
    bool worked = false;
    uint64_t next_ns;

    driver->step_count++;
    next_ns = sim_world_step(world);
    for (uint32_t i = 0; i < driver->machine_count; i++) {
        struct sim_machine *machine = &driver->machines[i];

        worked = turn_machine(driver, machine) || worked;
        if (machine->host->state == SIM_HOST_DYING)
            return SIM_HOST_DIED;
        if (has_ended(machine))
            return SIM_ENDED;
    }
    for (uint32_t i = 0; i < driver->io_count; i++)
        worked = io_reap(driver->ios[i], REAP_COUNT_MAX) > 0 || worked;

    if (worked) {
        sim_world_advance_to(world, world->mono_ns + sim_range_draw(&driver->turn_ns, &world->rng));
        return SIM_REACHED;
    }
    next_ns = min_u64(min_u64(next_ns, sim_world_next_ns(world)), next_turns_ns(driver));
    if (next_ns == UINT64_MAX && end_ns == UINT64_MAX)
        return SIM_QUIET;
    sim_world_advance_to(world, max_u64(min_u64(next_ns, end_ns), world->mono_ns));
    return SIM_REACHED;
}

/* A host may have died where no step saw it: a start can succeed on one that is dying. */
static enum sim_outcome reached_unless_dying(const struct sim_driver *driver)
{
    for (uint32_t i = 0; i < driver->machine_count; i++)
        if (driver->machines[i].host->state == SIM_HOST_DYING)
            return SIM_HOST_DIED;
    return SIM_REACHED;
}

enum sim_outcome sim_driver_run(struct sim_driver *driver, struct sim_goal *goal,
                                uint64_t step_count_max)
{
    driver_check(driver);
    for (uint64_t i = 0; i < step_count_max; i++) {
        enum sim_outcome outcome;

        if (goal != NULL && goal->reached(goal))
            return reached_unless_dying(driver);
        outcome = step(driver, UINT64_MAX);
        if (outcome != SIM_REACHED)
            return outcome;
    }
    return goal != NULL && goal->reached(goal) ? reached_unless_dying(driver) : SIM_STEPS_OVER;
}

enum sim_outcome sim_driver_run_for(struct sim_driver *driver, uint64_t duration_ns)
{
    uint64_t end_ns = driver->world->mono_ns + duration_ns;

    driver_check(driver);
    while (driver->world->mono_ns < end_ns) {
        enum sim_outcome outcome = step(driver, end_ns);

        if (outcome != SIM_REACHED)
            return outcome;
    }
    return reached_unless_dying(driver);
}

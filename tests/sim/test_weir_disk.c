#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_disk.h"
#include "tests/sim/weir_load.h"

/*
 * The whole server on a disk that fails, fills up, stalls or dies at a bad moment.
 * Whatever happens, what was acknowledged is there after the next start, once. What
 * the server does meanwhile is tested too: it ends with exit code 74 after an error
 * of a write, refuses and comes back by itself when there is no room or no speed.
 */
enum {
    CLIENT_COUNT = 8,
    EVENT_TOTAL = 1200,
    SEED_COUNT = 25,
    CRASH_CALL_MAX = 250,
};

static struct weir weir;
static struct weir_load load;
static struct weir_census census;
static struct weir_client prober;
static uint32_t goal_count;
static bool probe_is_done;
static uint32_t probe_status;
static bool probe_says_disk_low;

static bool is_reached(void)
{
    return load.acknowledged_count >= goal_count;
}

static enum sim_outcome run_until(uint32_t acknowledged_count)
{
    goal_count = acknowledged_count;
    return weir_run_until(&weir, is_reached);
}

static void on_probe_answer(struct weir_client *client)
{
    probe_is_done = true;
    cr_assert(not(client->request.lost));
    probe_status = client->request.status;
    probe_says_disk_low = weir_answer_has(&client->request, "disk_low");
}

static void begin(uint64_t seed, uint32_t batch_max, uint32_t payload_size)
{
    weir_begin(&weir, seed, 1 + (uint32_t)(seed % 3));
    weir.process.settings.segment_bytes = 256 << 10;
    weir.process.settings.reserve_bytes = 256 << 10;
    weir_start(&weir);
    weir_client_init(&prober, &weir, 0, on_probe_answer);
    weir_load_init(&load, &weir, CLIENT_COUNT, EVENT_TOTAL);
    load.batch_max = batch_max;
    load.payload_size = payload_size;
    weir_load_start(&load);
}

static void calm(void)
{
    sim_faults_init(&weir.server->faults);
}

static void check_journal(void)
{
    calm();
    weir_census(&weir, &census);
    weir_load_check(&load, &census);
}

/* Without faults from here on everything comes to its end. */
static void finish(void)
{
    calm();
    cr_assert(eq(int, run_until(EVENT_TOTAL), SIM_REACHED), "seed %lu: %u acknowledged", weir.seed,
              load.acknowledged_count);
    weir_stop(&weir);
    check_journal();
    cr_assert(eq(u32, census.event_count, EVENT_TOTAL), "seed %lu", weir.seed);
    weir_end(&weir);
}

static uint32_t draw_count(uint32_t max)
{
    return load.acknowledged_count + 1 + (uint32_t)rng_below(&weir.world->rng, max);
}

/* --- errors --------------------------------------------------------------- */

/* The process ends by itself, or nobody noticed. True when it ended. */
static bool run_into_fault(const struct sim_fault *fault)
{
    enum sim_outcome outcome = run_until(EVENT_TOTAL);

    cr_assert(outcome == SIM_ENDED || outcome == SIM_REACHED, "seed %lu: outcome %d", weir.seed,
              outcome);
    if (outcome == SIM_REACHED)
        return false;
    cr_assert(eq(u32, fault->once_count, 0), "seed %lu: it ended for no reason", weir.seed);
    cr_assert(eq(int, runtime_exit_code(weir.process.app.runtime), 74), "seed %lu", weir.seed);
    weir_bury(&weir);
    check_journal();
    weir_start(&weir);
    return true;
}

/* The server's fault at this offset of struct sim_faults. */
static struct sim_fault *fault_at(size_t offset)
{
    return (struct sim_fault *)(void *)((char *)&weir.server->faults + offset);
}

/* Lets the fault strike in the middle of the load, goes on after the restart. Counts the ends. */
static uint32_t strike_once(size_t fault_offset)
{
    uint32_t end_count = 0;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct sim_fault *fault;

        begin(seed, seed % 2 == 0 ? 20 : 1, 300);
        cr_assert(eq(int, run_until(draw_count(EVENT_TOTAL / 2)), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
        fault = fault_at(fault_offset);
        fault->skip_count = (uint32_t)rng_below(&weir.world->rng, 20);
        fault->once_count = 1;
        end_count += run_into_fault(fault);
        finish();
    }
    return end_count;
}

/* --- probing -------------------------------------------------------------- */

static bool is_probed(void)
{
    return probe_is_done;
}

static void probe(void)
{
    struct weir_call call = {.method = "GET", .path = "/readyz"};

    probe_is_done = false;
    weir_client_call(&prober, &call, "");
    cr_assert(eq(int, weir_run_until(&weir, is_probed), SIM_REACHED));
}

/* --- tests ---------------------------------------------------------------- */

TestSuite(weir_disk, .timeout = 110);

Test(weir_disk, ends_with_74_when_a_write_fails_and_keeps_what_it_acknowledged)
{
    uint32_t end_count = strike_once(offsetof(struct sim_faults, write_error));

    cr_expect(ge(u32, end_count, SEED_COUNT / 2), "%u", end_count);
}

Test(weir_disk, survives_a_failed_sync)
{
    (void)strike_once(offsetof(struct sim_faults, sync_error));
}

Test(weir_disk, survives_an_error_of_a_name)
{
    (void)strike_once(offsetof(struct sim_faults, name_error));
}

Test(weir_disk, survives_errors_of_reads)
{
    (void)strike_once(offsetof(struct sim_faults, read_error));
}

Test(weir_disk, does_not_mind_short_and_interrupted_calls)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, 50, 100);
        weir_run_until_ready(&weir); /* opening writes with blocking calls, which repeat */
        weir.server->faults.write_short.chance_ppm = SIM_PPM / 20;
        weir.server->faults.read_short.chance_ppm = SIM_PPM / 5;
        cr_assert(eq(int, run_until(draw_count(EVENT_TOTAL / 2)), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
        weir_crash(&weir);
        weir.server->faults.write_short.chance_ppm = 0;
        weir_start(&weir);
        weir_run_until_ready(&weir);
        weir.server->faults.write_short.chance_ppm = SIM_PPM / 20;
        cr_assert(eq(int, run_until(draw_count(EVENT_TOTAL / 4)), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
        finish();
    }
}

Test(weir_disk, refuses_while_it_is_full_and_comes_back_by_itself)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct sim_disk *disk;

        begin(seed, 20, 1000);
        cr_assert(eq(int, run_until(draw_count(EVENT_TOTAL / 4)), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
        disk = weir.server->disk;
        sim_disk_set_capacity(disk, disk->used + rng_below(&weir.world->rng, 1 << 20));
        while (!keeper_disk_is_low(&weir.process.app.shards[0].keeper) &&
               load.acknowledged_count < EVENT_TOTAL)
            cr_assert(eq(int, weir_run_for(&weir, 1), SIM_REACHED), "seed %lu", seed);
        if (load.acknowledged_count < EVENT_TOTAL) {
            cr_assert(eq(int, weir_run_for(&weir, 100), SIM_REACHED));
            probe();
            cr_assert(eq(u32, probe_status, 503), "seed %lu", seed);
            cr_assert(probe_says_disk_low, "seed %lu", seed);
            cr_assert(lt(u32, 0, load.status_counts[503]), "seed %lu", seed);
            /* A full disk and a power cut together. */
            if (sim_world_coin(weir.world)) {
                weir_crash(&weir);
                check_journal();
                sim_disk_set_capacity(disk, disk->used + (4 << 20));
                weir_start(&weir);
            }
        }
        sim_disk_set_capacity(disk, (uint64_t)1 << 40);
        cr_assert(eq(int, weir_run_for(&weir, 3000), SIM_REACHED));
        probe();
        cr_assert(eq(u32, probe_status, 200), "seed %lu", seed);
        finish();
    }
}

Test(weir_disk, sheds_while_it_is_slow_and_recovers)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        begin(seed, 1, 0);
        load.rest_ns = (struct sim_range){20000000, 200000000};
        cr_assert(eq(int, run_until(draw_count(EVENT_TOTAL / 4)), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
        weir.server->faults.disk_latency_ns = (struct sim_range){600000000, 900000000};
        cr_assert(eq(int, weir_run_for(&weir, 10000), SIM_REACHED));
        cr_assert(lt(u32, 0, load.status_counts[503]), "seed %lu: nothing was shed", seed);
        finish();
    }
}

Test(weir_disk, answers_in_time_although_it_is_stuck)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint32_t acknowledged_count;

        begin(seed, 5, 0);
        load.rest_ns = (struct sim_range){20000000, 200000000};
        cr_assert(eq(int, run_until(draw_count(EVENT_TOTAL / 4)), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
        weir.server->faults.disk_stuck.once_count = 4;
        cr_assert(eq(int, weir_run_for(&weir, 12000), SIM_REACHED));
        cr_assert(lt(u32, 0, load.unknown_count), "seed %lu: nobody was told", seed);
        acknowledged_count = load.acknowledged_count;
        cr_assert(eq(int, weir_run_for(&weir, 20000), SIM_REACHED));
        cr_assert(lt(u32, acknowledged_count, load.acknowledged_count), "seed %lu", seed);
        finish();
    }
}

Test(weir_disk, recovers_from_a_crash_in_any_call_of_a_recovery)
{
    uint32_t died_count = 0;
    uint32_t opened_count = 0;

    for (uint32_t call = 1; call <= CRASH_CALL_MAX; call++) {
        int exit_code = 0;

        if (call % 10 == 1) /* each start adds a segment to be read by the next */
            begin(call, 4, 200);
        cr_assert(eq(int, run_until(load.acknowledged_count + 1), SIM_REACHED), "call %u", call);
        weir_crash(&weir);
        weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
        sim_host_crash_after(weir.server, call);
        if (weir_try_start(&weir, &exit_code)) {
            /* The rest of the calls: opening the logs, making spare segments. */
            enum sim_outcome outcome = weir_run_for(&weir, 2);

            cr_assert(outcome == SIM_HOST_DIED || outcome == SIM_REACHED, "call %u: %d", call,
                      outcome);
            opened_count += outcome == SIM_HOST_DIED;
            weir_crash(&weir);
        } else {
            died_count++;
        }
        sim_host_crash_after(weir.server, 0);
        check_journal();
        weir_start(&weir);
        if (call % 10 == 0)
            finish();
    }
    cr_expect(lt(u32, 20, opened_count), "%u", opened_count);
    cr_expect(lt(u32, 50, died_count), "%u", died_count);
}

Test(weir_disk, says_what_is_wrong_when_a_start_fails)
{
    static const size_t offsets[] = {
        offsetof(struct sim_faults, read_error),  offsetof(struct sim_faults, write_error),
        offsetof(struct sim_faults, sync_error),  offsetof(struct sim_faults, name_error),
        offsetof(struct sim_faults, write_short),
    };
    uint32_t fail_count = 0;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct sim_fault *fault;
        int exit_code = 0;

        begin(seed, 20, 200);
        cr_assert(eq(int, run_until(draw_count(EVENT_TOTAL / 2)), SIM_REACHED), "seed %lu: %s",
                  weir.seed, weir.process.text);
        weir_crash(&weir);
        fault = fault_at(offsets[seed % ARRAY_COUNT(offsets)]);
        fault->once_count = 1;
        fault->skip_count = (uint32_t)rng_below(&weir.world->rng, 30);
        if (!weir_try_start(&weir, &exit_code)) {
            fail_count++;
            cr_assert(exit_code == 73 || exit_code == 74, "seed %lu: %d", seed, exit_code);
            calm();
            weir_start(&weir);
        }
        (void)run_into_fault(fault);
        finish();
    }
    cr_expect(lt(u32, 3, fail_count), "%u", fail_count);
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "journal_fixture.h"

#include <errno.h>

static struct sim_world *world;
static struct sim_host *host;
static struct rng rng;
static struct superblock superblock;
static char text[SUPERBLOCK_TEXT_SIZE];

static void setup(void)
{
    world = sim_world_new(5);
    host = sim_host_new(world, "server");
    rng_init_seed(&rng, 1);
}

static void teardown(void)
{
    sim_world_free(&world);
}

TestSuite(superblock, .init = setup, .fini = teardown, .timeout = 60);

static int open_it(uint32_t log_count)
{
    struct superblock_config config = {
        .disk = sim_host_disk(host), .rng = &rng, .data_path = "some/data", .log_count = log_count};

    return superblock_open(&config, &superblock, text);
}

static void make_parent(void)
{
    cr_assert(eq(int, disk_make_directory(sim_host_disk(host), "some", 0700), 0));
    cr_assert(eq(int, disk_sync_directory(sim_host_disk(host), "."), 0));
}

static void restart(bool crash)
{
    if (crash)
        sim_host_crash(host);
    else
        sim_host_kill(host);
    sim_host_start(host);
}

Test(superblock, counts_starts_and_keeps_what_the_directory_is)
{
    uint8_t uuid[SEGMENT_UUID_SIZE];

    make_parent();
    cr_assert(eq(int, open_it(2), 0), "%s", text);
    cr_expect(eq(u32, superblock.boot_generation, 1));
    cr_expect(eq(u32, superblock.partition_count, SUPERBLOCK_PARTITION_COUNT_DEFAULT));
    memcpy(uuid, superblock.uuid, sizeof(uuid));
    restart(true);
    cr_assert(eq(int, open_it(1), 0), "%s", text);
    cr_expect(eq(u32, superblock.boot_generation, 2));
    cr_expect(eq(u32, superblock.log_count, 2), "a log that was there stays");
    cr_expect(memcmp(uuid, superblock.uuid, sizeof(uuid)) == 0);
    superblock_close(&superblock, sim_host_disk(host));
    cr_assert(eq(int, superblock_read(sim_host_disk(host), "some/data", &superblock), 0));
    cr_expect(eq(u32, superblock.boot_generation, 2));
}

Test(superblock, is_held_by_one_process)
{
    make_parent();
    cr_assert(eq(int, open_it(1), 0));
    cr_expect(eq(int, open_it(1), -EWOULDBLOCK));
    cr_expect(strstr(text, "held by another process") != NULL, "%s", text);
}

Test(superblock, survives_the_loss_of_any_two_copies_and_not_of_three)
{
    make_parent();
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = a + 1; b < 4; b++) {
            uint32_t before;

            cr_assert(eq(int, open_it(1), 0), "%s", text);
            before = superblock.boot_generation;
            restart(false);
            cr_assert(
                eq(int, sim_disk_flip(host->disk, "some/data/superblock", a * 4096 + 50, 4), 0));
            cr_assert(
                eq(int, sim_disk_flip(host->disk, "some/data/superblock", b * 4096 + 17, 1), 0));
            cr_assert(eq(int, open_it(1), 0), "copies %u and %u: %s", a, b, text);
            cr_expect(eq(u32, superblock.boot_generation, before + 1));
            restart(false);
        }
    }
    for (uint32_t copy = 0; copy < 3; copy++)
        cr_assert(
            eq(int, sim_disk_flip(host->disk, "some/data/superblock", copy * 4096 + 9, 4), 0));
    cr_expect(eq(int, open_it(1), -EBADMSG));
    cr_expect(strstr(text, "two of the four") != NULL, "%s", text);
}

/* A generation that was given out is never given out again, wherever the crash falls. */
Test(superblock, never_repeats_a_generation_whatever_call_the_crash_falls_in)
{
    uint32_t highest = 0;
    uint32_t finished_count = 0;

    make_parent();
    for (uint64_t call = 1; finished_count < 3; call++) {
        for (uint32_t life = 0; life < 40; life++) {
            int r;

            sim_host_crash_after(host, call);
            r = open_it(1 + life % 3);
            if (r == 0) {
                cr_assert(lt(u32, highest, superblock.boot_generation));
                highest = superblock.boot_generation;
                finished_count += sim_host_is_up(host) ? 1 : 0;
            }
            restart(true);
            if (disk_make_directory(sim_host_disk(host), "some", 0700) == 0)
                cr_assert(eq(int, disk_sync_directory(sim_host_disk(host), "."), 0));
        }
    }
    cr_expect(lt(u32, 3, highest));
}

/* Starts that are cut off one after the other, anywhere: none may take the last good pair. */
Test(superblock, survives_several_starts_that_are_cut_off)
{
    enum { SEED_COUNT = 400, START_COUNT = 6, CALL_COUNT_MAX = 16 };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint32_t generation = 1;

        teardown();
        world = sim_world_new(seed);
        host = sim_host_new(world, "server");
        make_parent();
        cr_assert(eq(int, open_it(1), 0), "%s", text);
        restart(true);
        for (uint32_t i = 0; i < START_COUNT; i++) {
            host->faults.write_short.once_count = sim_world_coin(world);
            sim_host_crash_after(host, 1 + rng_below(&world->rng, CALL_COUNT_MAX));
            if (open_it(1) == 0) {
                cr_assert(lt(u32, generation, superblock.boot_generation), "seed %lu", seed);
                generation = superblock.boot_generation;
            }
            restart(host->state == SIM_HOST_DYING || sim_world_coin(world));
        }
        sim_faults_init(&host->faults);
        cr_assert(eq(int, open_it(1), 0), "seed %lu: %s", seed, text);
        cr_assert(lt(u32, generation, superblock.boot_generation), "seed %lu", seed);
        superblock_close(&superblock, sim_host_disk(host));
    }
}

Test(superblock, does_not_make_a_new_one_beside_logs)
{
    make_parent();
    cr_assert(eq(int, disk_make_directory(sim_host_disk(host), "some/data", 0700), 0));
    cr_assert(eq(int, disk_make_directory(sim_host_disk(host), "some/data/log-00", 0700), 0));
    cr_expect(eq(int, open_it(1), -EBADMSG));
    cr_expect(strstr(text, "is missing") != NULL, "%s", text);
}

#include "runtime/sim_damage.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>

#include "runtime/disk.h"
#include "runtime/sim_disk.h"

/*
 * A disk that lies, and the looks that a checker takes at the medium. Each lie is
 * told to a write through the page cache and to a direct one: the first shows after
 * a crash, the second at once.
 */
enum {
    SEED_COUNT = 500,
    BLOCK = SIM_BLOCK_SIZE,
};

static struct sim_world *world;
static struct sim_host *host;
static struct disk *disk;
static _Alignas(512) char page[BLOCK];

static void make(uint64_t seed)
{
    world = sim_world_new(seed);
    host = sim_host_new(world, "server");
    disk = sim_host_disk(host);
    host->faults.crash_garbage.chance_ppm = 0;
}

static void unmake(void)
{
    sim_world_free(&world);
}

static void setup(void)
{
    make(1);
}

TestSuite(sim_damage, .init = setup, .fini = unmake, .timeout = 60);

static int open_file(const char *path, int flags)
{
    int fd = disk_open(disk, path, O_RDWR | O_CREAT | flags, 0644);

    cr_assert(ge(int, fd, 0));
    return fd;
}

static void fill(int fd, char byte, uint32_t first, uint32_t count)
{
    memset(page, byte, BLOCK);
    for (uint32_t i = first; i < first + count; i++)
        cr_assert(eq(i64, disk_write(disk, fd, page, BLOCK, (uint64_t)i * BLOCK), BLOCK));
}

/* A file of old bytes whose content and name are durable; its blocks are bytes of 'o'. */
static int durable_file(const char *path, uint32_t count, int flags)
{
    int fd = open_file(path, flags);

    fill(fd, 'o', 0, count);
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    cr_assert(eq(int, disk_sync_directory(disk, "."), 0));
    return fd;
}

static void crash_and_start(void)
{
    sim_host_crash(host);
    sim_host_start(host);
}

/* How many bytes of a block differ from byte. */
static uint32_t differing(const char *path, uint32_t block, char byte)
{
    int fd = disk_open(disk, path, O_RDONLY, 0);
    uint32_t count = 0;

    cr_assert(eq(i64, disk_read(disk, fd, page, BLOCK, (uint64_t)block * BLOCK), BLOCK));
    for (uint32_t i = 0; i < BLOCK; i++)
        count += page[i] != byte;
    disk_close(disk, fd);
    return count;
}

Test(sim_damage, loses_a_direct_write_at_once)
{
    int fd = durable_file("a", 2, O_DIRECT);

    host->faults.write_lost.once_count = 1;
    fill(fd, 'n', 1, 1);
    cr_assert(eq(u32, differing("a", 1, 'o'), 0));
    cr_assert(eq(u64, host->disk->damage_count, 1));
    cr_assert(eq(int, sim_disk_last_damage(host->disk)->kind, SIM_DAMAGE_WRITE_LOST));
    cr_assert(eq(str, (char *)sim_disk_last_damage(host->disk)->path, "a"));
    cr_assert(eq(u64, sim_disk_last_damage(host->disk)->offset, BLOCK));
    cr_assert(eq(u64, sim_disk_last_damage(host->disk)->size, BLOCK));
    fill(fd, 'n', 1, 1);
    cr_assert(eq(u32, differing("a", 1, 'n'), 0), "the next one is good");
}

Test(sim_damage, loses_a_cached_write_behind_the_back_of_a_sync)
{
    int fd = durable_file("a", 2, 0);

    host->faults.write_lost.once_count = 1;
    fill(fd, 'n', 1, 1);
    cr_assert(eq(u32, differing("a", 1, 'n'), 0), "the page cache has it");
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    crash_and_start();
    cr_assert(eq(u32, differing("a", 1, 'o'), 0));
    cr_assert(eq(u32, differing("a", 0, 'o'), 0));
}

Test(sim_damage, grows_a_file_by_zeroes_when_the_write_is_lost)
{
    int fd = durable_file("a", 1, O_DIRECT);
    uint64_t size;

    host->faults.write_lost.once_count = 1;
    fill(fd, 'n', 1, 1);
    cr_assert(eq(int, disk_size(disk, fd, &size), 0));
    cr_assert(eq(u64, size, 2 * BLOCK));
    cr_assert(eq(u32, differing("a", 1, '\0'), 0));
    cr_assert(eq(u64, host->disk->used, 2 * BLOCK));
}

/* Where blocks of 'n' are in both files: bit n for a's, bit 8 + n for b's. */
static uint32_t places(void)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < 4; i++) {
        found |= (uint32_t)(differing("a", i, 'n') == 0) << i;
        found |= (uint32_t)(differing("b", i, 'n') == 0) << (8 + i);
    }
    return found;
}

Test(sim_damage, lets_a_write_land_elsewhere)
{
    uint32_t all = 0;

    unmake();
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        const struct sim_damage *damage;
        bool direct = seed % 2 == 0;
        uint32_t expected;
        int fd;

        make(seed);
        (void)durable_file("b", 4, 0);
        fd = durable_file("a", 4, direct ? O_DIRECT : 0);
        host->faults.write_misdirected.once_count = 1;
        fill(fd, 'n', 2, 1);
        damage = sim_disk_last_damage(host->disk);
        cr_assert(eq(u64, damage->offset, 2 * BLOCK));
        cr_assert(eq(u64, damage->other_size, BLOCK));
        cr_assert(eq(u64, damage->other_offset % BLOCK, 0));
        cr_assert(eq(u64, host->disk->used, 8 * BLOCK));
        expected = 1U << damage->other_offset / BLOCK << (damage->other_path[0] == 'b' ? 8 : 0);
        cr_assert(eq(u32, places(), direct ? expected : 4), "seed %lu", seed);
        cr_assert(eq(int, disk_sync(disk, fd), 0));
        crash_and_start();
        cr_assert(eq(u32, places(), expected), "seed %lu", seed);
        all |= expected;
        unmake();
    }
    cr_assert(eq(u32, all, 0xf0b), "everywhere but where it belongs");
    make(1);
}

Test(sim_damage, has_nowhere_else_to_write_on_a_disk_of_one_block)
{
    int fd = durable_file("a", 1, O_DIRECT);

    for (uint32_t i = 0; i < 20; i++) {
        host->faults.write_misdirected.once_count = 1;
        fill(fd, 'n', 0, 1);
        cr_assert(eq(u32, differing("a", 0, 'o'), 0));
        cr_assert(eq(u64, sim_disk_last_damage(host->disk)->other_size, 0));
    }
    cr_assert(eq(u64, host->disk->damage_count, 20), "counted beyond those remembered");
}

Test(sim_damage, flips_one_bit_of_a_direct_write)
{
    int fd = durable_file("a", 1, O_DIRECT);
    const struct sim_damage *damage;
    char wrong;

    host->faults.write_flipped.once_count = 1;
    fill(fd, 'n', 0, 1);
    cr_assert(eq(u32, differing("a", 0, 'n'), 1));
    damage = sim_disk_last_damage(host->disk);
    wrong = (char)(page[damage->offset] ^ 'n');
    cr_assert(ne(int, wrong, 0));
    cr_assert(eq(int, wrong &(wrong - 1), 0), "one bit");
}

Test(sim_damage, flips_one_bit_of_a_cached_write_on_the_medium_only)
{
    int fd = durable_file("a", 1, 0);

    host->faults.write_flipped.once_count = 1;
    fill(fd, 'n', 0, 1);
    cr_assert(eq(u32, differing("a", 0, 'n'), 0));
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    crash_and_start();
    cr_assert(eq(u32, differing("a", 0, 'n'), 1));
}

Test(sim_damage, heals_what_is_written_again_and_synced)
{
    int fd = durable_file("a", 1, 0);

    host->faults.write_flipped.once_count = 1;
    fill(fd, 'n', 0, 1);
    fill(fd, 'm', 0, 1);
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    crash_and_start();
    cr_assert(eq(u32, differing("a", 0, 'm'), 0));
}

/* How many of the seeds lost what a sync was said to have made durable. */
static uint32_t lost_by_lies(bool lies)
{
    uint32_t lost_count = 0;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        int fd;

        make(seed);
        fd = durable_file("a", 1, 0);
        host->faults.sync_lies.always = lies;
        fill(fd, 'n', 0, 1);
        cr_assert(eq(int, disk_sync(disk, fd), 0));
        cr_assert(eq(u64, host->disk->damage_count, lies));
        crash_and_start();
        lost_count += differing("a", 0, 'n') > 0;
        unmake();
    }
    return lost_count;
}

Test(sim_damage, lies_about_a_sync)
{
    unmake();
    cr_assert(eq(u32, lost_by_lies(false), 0));
    cr_assert(lt(u32, SEED_COUNT / 4, lost_by_lies(true)));
    make(1);
}

Test(sim_damage, lies_about_a_directory_until_an_honest_sync)
{
    char byte;
    int fd = open_file("a", 0);

    fill(fd, 'n', 0, 1);
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    host->faults.sync_lies.once_count = 1;
    cr_assert(eq(int, disk_sync_directory(disk, "."), 0));
    cr_assert(eq(u64, host->disk->damage_count, 1));
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "a", &byte, 1, 0), -ENOENT));
    cr_assert(eq(int, disk_sync_directory(disk, "."), 0));
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "a", &byte, 1, 0), 1));
    host->faults.sync_lies.once_count = 1;
    cr_assert(eq(int, disk_sync_directory(disk, "."), 0));
    cr_assert(eq(u64, host->disk->damage_count, 1), "nothing to lie about is no lie");
}

Test(sim_damage, lies_about_a_durable_write)
{
    char byte = 0;
    int fd = durable_file("a", 1, O_DIRECT);

    memset(page, 'n', BLOCK);
    host->faults.sync_lies.once_count = 1;
    cr_assert(eq(i64, sim_disk_write(host->disk, fd, page, BLOCK, 0, true), BLOCK));
    cr_assert(eq(u32, differing("a", 0, 'n'), 0));
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "a", &byte, 1, 0), 1));
    cr_assert(eq(int, byte, 'o'));
    cr_assert(eq(int, sim_disk_last_damage(host->disk)->kind, SIM_DAMAGE_SYNC_LIED));
}

Test(sim_damage, misreads_once_what_is_good_on_the_medium)
{
    (void)durable_file("a", 1, 0);
    host->faults.read_flipped.once_count = 1;
    cr_assert(eq(u32, differing("a", 0, 'o'), 1));
    cr_assert(eq(int, sim_disk_last_damage(host->disk)->kind, SIM_DAMAGE_READ_FLIPPED));
    cr_assert(eq(u32, differing("a", 0, 'o'), 0));
}

Test(sim_damage, is_drawn_apart_from_other_faults)
{
    struct sim_faults faults;
    uint32_t on_count = 0;

    for (uint32_t i = 0; i < 100; i++) {
        sim_faults_init(&faults);
        sim_faults_draw(&faults, &world->rng, SIM_PPM);
        cr_assert(eq(u32, faults.write_lost.chance_ppm + faults.write_misdirected.chance_ppm, 0));
        cr_assert(eq(u32, faults.write_flipped.chance_ppm + faults.sync_lies.chance_ppm, 0));
        cr_assert(eq(u32, faults.read_flipped.chance_ppm, 0));
        cr_assert(le(u32, faults.op_interrupted.chance_ppm, SIM_PPM / 20));

        sim_faults_init(&faults);
        sim_faults_draw_damage(&faults, &world->rng, 1000);
        cr_assert(le(u32, faults.write_lost.chance_ppm, 1000));
        cr_assert(eq(u32, faults.write_error.chance_ppm, 0));
        on_count += faults.write_lost.chance_ppm > 0;
    }
    cr_assert(lt(u32, 30, on_count));
    cr_assert(lt(u32, on_count, 70));
}

/* --- Looks at the medium ------------------------------------------------------------------ */

Test(sim_damage, shows_the_medium_without_what_is_not_synced)
{
    char data[BLOCK];
    uint64_t hash;
    int fd;

    cr_assert(eq(int, disk_make_directory(disk, "d", 0755), 0));
    fd = open_file("d/a", 0);
    fill(fd, 'o', 0, 2);
    hash = world->trace.hash;
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "d/a", data, BLOCK, 0), -ENOENT));
    cr_assert(eq(int, disk_sync_directory(disk, "d"), 0));
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "d/a", data, BLOCK, 0), -ENOENT),
              "its directory may be lost");
    cr_assert(eq(int, disk_sync_directory(disk, "."), 0));
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "d/a", data, BLOCK, 0), 0), "no size");
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "d", data, BLOCK, 0), -EISDIR));
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    fill(fd, 'n', 1, 2);
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "/d/./a", data, BLOCK, BLOCK), BLOCK));
    cr_assert(eq(int, data[0], 'o'));
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "d/a", data, BLOCK, 2 * BLOCK), 0));
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "d/a", data, BLOCK, 2 * BLOCK - 9), 9));
    cr_assert(ne(u64, world->trace.hash, hash));
}

Test(sim_damage, leaves_no_trace_of_a_look_at_the_medium)
{
    struct rng rng;
    uint64_t call_count;
    uint64_t hash;
    char byte;

    (void)durable_file("a", 1, 0);
    rng = world->rng;
    hash = world->trace.hash;
    call_count = host->disk_call_count;
    cr_assert(eq(i64, sim_disk_read_medium(host->disk, "a", &byte, 1, 0), 1));
    sim_disk_clone(host->disk, sim_host_new(world, "copy"));
    sim_disk_clone_medium(host->disk, sim_host_new(world, "worst"));
    cr_assert(eq(u64, world->trace.hash, hash));
    cr_assert(eq(u64, host->disk_call_count, call_count));
    cr_assert(eq(int, memcmp(&rng, &world->rng, sizeof(rng)), 0));
}

/* A disk in full motion: synced, unsynced, renamed, unlinked and still open. */
static void stir(void)
{
    int fd = durable_file("a", 6, 0);

    fill(fd, 'n', 2, 8);
    host->faults.sync_error.once_count = 1;
    cr_assert(eq(int, disk_sync(disk, fd), -EIO));
    fill(fd, 'm', 3, 2);
    cr_assert(eq(int, disk_make_directory(disk, "d", 0755), 0));
    fd = open_file("d/b", 0);
    fill(fd, 'b', 0, 3);
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    cr_assert(eq(int, disk_rename(disk, "d/b", "d/c"), 0));
    fd = durable_file("gone", 2, 0);
    fd = durable_file("cut", 5, 0);
    cr_assert(eq(int, disk_unlink(disk, "gone"), 0));
    cr_assert(eq(int, disk_truncate(disk, fd, BLOCK + 7), 0));
}

Test(sim_damage, crashes_a_copy_as_it_would_the_original)
{
    unmake();
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct sim_world *other_world = sim_world_new(seed);
        struct sim_host *other = sim_host_new(other_world, "copy");

        make(seed);
        stir();
        sim_disk_clone(host->disk, other);
        cr_assert(eq(u64, sim_disk_hash(other->disk), sim_disk_hash(host->disk)));
        cr_assert(eq(u32, other->disk->change_count, host->disk->change_count));
        other->faults = host->faults;
        other_world->rng = world->rng;
        sim_host_crash(host);
        sim_host_crash(other);
        cr_assert(eq(u64, sim_disk_hash(other->disk), sim_disk_hash(host->disk)), "seed %lu", seed);
        cr_assert(eq(u64, other->disk->used, host->disk->used));
        sim_world_free(&other_world);
        unmake();
    }
    make(1);
}

Test(sim_damage, copies_what_the_worst_crash_leaves)
{
    struct sim_host *worst = sim_host_new(world, "worst");
    char data[BLOCK];
    int fd;

    stir();
    sim_disk_clone_medium(host->disk, worst);
    disk = sim_host_disk(worst);
    cr_assert(eq(int, disk_open(disk, "d/c", O_RDONLY, 0), -ENOENT));
    cr_assert(eq(u32, differing("gone", 1, 'o'), 0));
    for (uint32_t i = 0; i < 5; i++)
        cr_assert(eq(u32, differing("cut", i, 'o'), 0));
    fd = disk_open(disk, "a", O_RDONLY, 0);
    for (uint64_t i = 0; i < 6; i++) {
        char medium[BLOCK];

        cr_assert(eq(i64, disk_read(disk, fd, data, BLOCK, i * BLOCK), BLOCK));
        cr_assert(eq(i64, sim_disk_read_medium(host->disk, "a", medium, BLOCK, i * BLOCK), BLOCK));
        cr_assert(eq(int, memcmp(data, medium, BLOCK), 0));
    }
    cr_assert(eq(i64, disk_read(disk, fd, data, BLOCK, 6 * BLOCK), 0));
    disk_close(disk, fd);
    cr_assert(eq(u32, worst->disk->change_count, 0));
}

Test(sim_damage, leaves_the_original_alone_when_the_copy_changes)
{
    struct sim_host *other = sim_host_new(world, "copy");
    uint64_t hash;
    int fd;

    stir();
    sim_disk_clone(host->disk, other);
    hash = sim_disk_hash(host->disk);
    fd = disk_open(sim_host_disk(other), "a", O_RDWR, 0);
    memset(page, 'z', BLOCK);
    cr_assert(eq(i64, disk_write(sim_host_disk(other), fd, page, BLOCK, 0), BLOCK));
    cr_assert(eq(int, disk_unlink(sim_host_disk(other), "cut"), 0));
    disk_close(sim_host_disk(other), fd);
    cr_assert(eq(u64, sim_disk_hash(host->disk), hash));
    cr_assert(ne(u64, sim_disk_hash(other->disk), hash));
}

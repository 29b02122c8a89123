#include "runtime/sim_disk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "runtime/disk.h"
#include "runtime/io.h"
#include "runtime/io_sim.h"

/*
 * What a crash may take from a simulated disk and what it may not, over many
 * seeds; then each fault, through the blocking calls.
 */
enum {
    SEED_COUNT = 2000,
    BLOCK = SIM_BLOCK_SIZE,
};

static struct sim_world *world;
static struct sim_host *host;
static struct disk *disk;

static void make(uint64_t seed)
{
    world = sim_world_new(seed);
    host = sim_host_new(world, "server");
    disk = sim_host_disk(host);
}

static void unmake(void)
{
    sim_world_free(&world);
}

static void setup(void)
{
    make(1);
}

TestSuite(sim_disk, .init = setup, .fini = unmake, .timeout = 60);

static int open_file(const char *path)
{
    int fd = disk_open(disk, path, O_RDWR | O_CREAT, 0644);

    cr_assert(ge(int, fd, 0));
    return fd;
}

Test(sim_disk, reads_ahead_when_it_is_asked)
{
    struct disk_ahead ahead = {.disk = NULL};
    char data[4] = "";
    int fd = open_file("/ahead");

    disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 0);
    cr_assert(eq(i64, disk_write(disk, fd, "abc", 4, 0), 4));
    cr_expect(eq(i64, disk_ahead_end(&ahead), 4));
    cr_expect(eq(str, data, "abc"));
    disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 1);
    disk_ahead_drop(&ahead);
    cr_expect(eq(str, data, "abc"));
    disk_close(disk, fd);
}

static void write_blocks(int fd, char byte, uint32_t count)
{
    char block[BLOCK];

    memset(block, byte, sizeof(block));
    for (uint32_t i = 0; i < count; i++)
        cr_assert(eq(i64, disk_write(disk, fd, block, BLOCK, (uint64_t)i * BLOCK), BLOCK));
}

static void crash_and_start(void)
{
    sim_host_crash(host);
    sim_host_start(host);
}

/* A file of old bytes whose content and name are durable. */
static int durable_file(const char *path, uint32_t count)
{
    int fd = open_file(path);

    write_blocks(fd, 'o', count);
    cr_assert(eq(int, disk_sync(disk, fd), 0));
    cr_assert(eq(int, disk_sync_directory(disk, "."), 0));
    return fd;
}

Test(sim_disk, reads_back_what_was_written)
{
    char data[6] = "";
    int fd = open_file("a");

    cr_assert(eq(i64, disk_write(disk, fd, "hello", 5, 4094), 5));
    cr_assert(eq(i64, disk_read(disk, fd, data, 5, 4094), 5));
    cr_assert(eq(str, data, "hello"));
    cr_assert(eq(i64, disk_read(disk, fd, data, 5, 4097), 2));
    cr_assert(eq(i64, disk_read(disk, fd, data, 5, 5000), 0));
    cr_assert(eq(i64, disk_read(disk, fd, data, 1, 7), 1));
    cr_assert(eq(int, data[0], 0), "a hole reads as zeroes");
}

Test(sim_disk, keeps_synced_content_through_every_crash)
{
    unmake();
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char data[BLOCK];
        int fd;

        make(seed);
        (void)durable_file("a", 4);
        crash_and_start();
        fd = disk_open(disk, "a", O_RDONLY, 0);
        cr_assert(ge(int, fd, 0));
        for (uint32_t i = 0; i < 4; i++) {
            cr_assert(eq(i64, disk_read(disk, fd, data, BLOCK, (uint64_t)i * BLOCK), BLOCK));
            cr_assert(eq(int, data[0], 'o'));
            cr_assert(eq(int, memcmp(data, data + 1, BLOCK - 1), 0));
        }
        unmake();
    }
    make(1);
}

/* What became of an overwritten block: bit 0 an old sector was seen, 1 a new one, 2 neither. */
static uint32_t mixture(int fd, uint32_t block_index)
{
    char data[BLOCK];
    uint32_t seen = 0;

    cr_assert(eq(i64, disk_read(disk, fd, data, BLOCK, (uint64_t)block_index * BLOCK), BLOCK));
    for (uint32_t i = 0; i < BLOCK; i += SIM_SECTOR_SIZE) {
        bool is_whole = memcmp(data + i, data + i + 1, SIM_SECTOR_SIZE - 1) == 0;

        cr_assert(data[i] == 'o' || data[i] == 'n' || !is_whole);
        seen |= is_whole ? (data[i] == 'o' ? 1 : 2) : 4;
    }
    return seen;
}

Test(sim_disk, keeps_loses_or_tears_what_was_not_synced)
{
    uint32_t counts[8] = {0};
    uint32_t garbage_count = 0;
    uint32_t reordered_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        uint32_t seen[8];
        bool lost_before = false;
        int fd;

        make(seed);
        write_blocks(durable_file("a", 8), 'n', 8);
        crash_and_start();
        fd = disk_open(disk, "a", O_RDONLY, 0);
        for (uint32_t i = 0; i < 8; i++) {
            seen[i] = mixture(fd, i);
            counts[seen[i]]++;
            garbage_count += (seen[i] & 4) != 0;
            reordered_count += lost_before && seen[i] == 2;
            lost_before = lost_before || seen[i] == 1;
        }
        unmake();
    }
    cr_assert(lt(u32, SEED_COUNT, counts[1]), "lost");
    cr_assert(lt(u32, SEED_COUNT, counts[2]), "kept");
    cr_assert(lt(u32, SEED_COUNT, counts[3] + garbage_count), "torn");
    cr_assert(lt(u32, SEED_COUNT, garbage_count), "neither old nor new");
    cr_assert(lt(u32, SEED_COUNT, reordered_count), "a later write survives an earlier one");
    make(1);
}

Test(sim_disk, tears_into_old_and_new_only_when_garbage_is_off)
{
    uint32_t torn_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        int fd;

        make(seed);
        host->faults.crash_garbage.chance_ppm = 0;
        write_blocks(durable_file("a", 4), 'n', 4);
        crash_and_start();
        fd = disk_open(disk, "a", O_RDONLY, 0);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t seen = mixture(fd, i);

            cr_assert(lt(u32, seen, 4), "seed %lu", seed);
            torn_count += seen == 3;
        }
        cr_assert(eq(u64, host->disk->stats.garbage_count, 0));
        unmake();
    }
    cr_assert(lt(u32, SEED_COUNT / 2, torn_count));
    make(1);
}

Test(sim_disk, puts_no_garbage_where_the_sector_was_not_written)
{
    unmake();
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char data[BLOCK];
        char sector[SIM_SECTOR_SIZE];
        int fd;

        make(seed);
        host->faults.crash_garbage.always = true;
        fd = durable_file("a", 1);
        memset(sector, 'n', sizeof(sector));
        cr_assert(eq(i64, disk_write(disk, fd, sector, sizeof(sector), 1024), SIM_SECTOR_SIZE));
        crash_and_start();
        fd = disk_open(disk, "a", O_RDONLY, 0);
        cr_assert(eq(i64, disk_read(disk, fd, data, BLOCK, 0), BLOCK));
        for (uint32_t i = 0; i < BLOCK; i++)
            cr_assert(data[i] == 'o' || i / SIM_SECTOR_SIZE == 2, "seed %lu", seed);
        unmake();
    }
    make(1);
}

Test(sim_disk, may_lose_a_name_until_its_directory_is_synced)
{
    uint32_t kept_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= 200; seed++) {
        int fd;

        make(seed);
        fd = open_file("a");
        cr_assert(eq(int, disk_sync(disk, fd), 0));
        crash_and_start();
        fd = disk_open(disk, "a", O_RDONLY, 0);
        cr_assert(fd >= 0 || fd == -ENOENT);
        kept_count += fd >= 0;
        unmake();
    }
    cr_assert(lt(u32, 20, kept_count));
    cr_assert(lt(u32, kept_count, 180));
    make(1);
}

Test(sim_disk, replaces_a_synced_file_by_rename_wholly_or_not_at_all)
{
    uint32_t new_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= 500; seed++) {
        uint64_t size;
        int fd;

        make(seed);
        (void)durable_file("current", 1);
        fd = open_file("next");
        write_blocks(fd, 'n', 2);
        cr_assert(eq(int, disk_sync(disk, fd), 0));
        cr_assert(eq(int, disk_rename(disk, "next", "current"), 0));
        crash_and_start();
        fd = disk_open(disk, "current", O_RDONLY, 0);
        cr_assert(ge(int, fd, 0));
        cr_assert(eq(int, disk_size(disk, fd, &size), 0));
        cr_assert(size == BLOCK || size == 2 * BLOCK);
        cr_assert(eq(u32, mixture(fd, 0), size == BLOCK ? 1 : 2));
        new_count += size == 2 * BLOCK;
        unmake();
    }
    cr_assert(lt(u32, 50, new_count));
    cr_assert(lt(u32, new_count, 450));
    make(1);
}

Test(sim_disk, keeps_the_rename_once_the_directory_is_synced)
{
    unmake();
    for (uint64_t seed = 1; seed <= 200; seed++) {
        make(seed);
        (void)durable_file("next", 1);
        cr_assert(eq(int, disk_rename(disk, "next", "current"), 0));
        cr_assert(eq(int, disk_sync_directory(disk, "/"), 0));
        crash_and_start();
        cr_assert(ge(int, disk_open(disk, "current", O_RDONLY, 0), 0));
        cr_assert(eq(int, disk_open(disk, "next", O_RDONLY, 0), -ENOENT));
        unmake();
    }
    make(1);
}

Test(sim_disk, loses_files_with_the_directory_that_was_never_synced)
{
    bool lost = false;

    unmake();
    for (uint64_t seed = 1; seed <= 50; seed++) {
        int fd;

        make(seed);
        cr_assert(eq(int, disk_make_directory(disk, "data", 0755), 0));
        fd = open_file("data/a");
        cr_assert(eq(int, disk_sync(disk, fd), 0));
        cr_assert(eq(int, disk_sync_directory(disk, "data"), 0));
        crash_and_start();
        fd = disk_open(disk, "data/a", O_RDONLY, 0);
        cr_assert(fd >= 0 || fd == -ENOENT);
        lost = lost || fd < 0;
        unmake();
    }
    cr_assert(lost);
    make(1);
}

Test(sim_disk, does_not_believe_a_sync_that_is_repeated_after_a_failure)
{
    uint32_t old_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= 200; seed++) {
        int fd;

        make(seed);
        fd = durable_file("a", 1);
        write_blocks(fd, 'n', 1);
        host->faults.sync_error.once_count = 1;
        cr_assert(eq(int, disk_sync(disk, fd), -EIO));
        cr_assert(eq(int, disk_sync(disk, fd), 0), "the kernel forgot that the block was dirty");
        cr_assert(eq(u32, mixture(fd, 0), 2), "readers still see it");
        crash_and_start();
        old_count += mixture(disk_open(disk, "a", O_RDONLY, 0), 0) == 1;
        unmake();
    }
    cr_assert(lt(u32, 50, old_count));
    cr_assert(lt(u32, old_count, 150));
    make(1);
}

Test(sim_disk, survives_the_end_of_the_process_with_all_that_was_written)
{
    int fd = open_file("a");

    write_blocks(fd, 'n', 3);
    sim_host_kill(host);
    sim_host_start(host);
    fd = disk_open(disk, "a", O_RDONLY, 0);
    cr_assert(ge(int, fd, 0));
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(eq(u32, mixture(fd, i), 2));
}

Test(sim_disk, dies_inside_the_call_it_was_told_to_and_answers_eio_from_then_on)
{
    uint32_t done_count = 0;

    unmake();
    for (uint64_t seed = 1; seed <= 100; seed++) {
        make(seed);
        (void)open_file("a");
        cr_assert(eq(int, disk_sync_directory(disk, "."), 0));
        sim_host_crash_after(host, 2);
        cr_assert(eq(int, disk_make_directory(disk, "b", 0755), 0));
        cr_assert(eq(int, disk_rename(disk, "a", "c"), -EIO));
        cr_assert(not(sim_host_is_up(host)));
        cr_assert(eq(int, disk_open(disk, "a", O_RDONLY, 0), -EIO));
        sim_host_kill(host);
        sim_host_start(host);
        done_count += disk_open(disk, "c", O_RDONLY, 0) >= 0;
        unmake();
    }
    cr_assert(lt(u32, 20, done_count));
    cr_assert(lt(u32, done_count, 80));
    make(1);
}

Test(sim_disk, writes_what_fits_and_then_says_that_the_disk_is_full)
{
    static char data[4 * BLOCK];
    uint64_t free_size;
    uint64_t total;
    int fd = open_file("a");

    sim_disk_set_capacity(host->disk, 3 * BLOCK);
    cr_assert(eq(i64, disk_write(disk, fd, data, sizeof(data), 0), 3 * BLOCK));
    cr_assert(eq(i64, disk_write(disk, fd, data, BLOCK, 3 * BLOCK), -ENOSPC));
    cr_assert(eq(i64, disk_write(disk, fd, data, BLOCK, 0), BLOCK), "overwriting needs no room");
    cr_assert(eq(int, disk_space(disk, ".", &free_size, &total), 0));
    cr_assert(eq(u64, free_size, 0));
    cr_assert(eq(u64, total, 3 * BLOCK));

    cr_assert(eq(int, disk_truncate(disk, fd, BLOCK), 0));
    cr_assert(eq(int, disk_space(disk, ".", &free_size, &total), 0));
    cr_assert(eq(u64, free_size, 2 * BLOCK));
    cr_assert(eq(int, disk_unlink(disk, "a"), 0));
    cr_assert(eq(int, disk_space(disk, ".", &free_size, &total), 0));
    cr_assert(eq(u64, free_size, 2 * BLOCK), "the open descriptor still holds it");
    disk_close(disk, fd);
    cr_assert(eq(int, disk_space(disk, ".", &free_size, &total), 0));
    cr_assert(eq(u64, free_size, 3 * BLOCK));
}

Test(sim_disk, strikes_with_each_fault_when_told)
{
    char data[BLOCK] = "";
    int fd = open_file("a");

    write_blocks(fd, 'x', 1);
    host->faults.read_error.once_count = 1;
    cr_assert(eq(i64, disk_read(disk, fd, data, BLOCK, 0), -EIO));
    host->faults.read_short.once_count = 1;
    cr_assert(lt(i64, disk_read(disk, fd, data, BLOCK, 0), BLOCK));
    host->faults.write_error.skip_count = 1;
    host->faults.write_error.once_count = 1;
    cr_assert(eq(i64, disk_write(disk, fd, data, BLOCK, 0), BLOCK));
    cr_assert(eq(i64, disk_write(disk, fd, data, BLOCK, 0), -EIO));
    host->faults.write_short.always = true;
    cr_assert(lt(i64, disk_write(disk, fd, data, BLOCK, 0), BLOCK));
    host->faults.write_no_space.once_count = 1;
    cr_assert(eq(i64, disk_write(disk, fd, data, BLOCK, 0), -ENOSPC));
    host->faults.name_error.once_count = 1;
    cr_assert(eq(int, disk_unlink(disk, "a"), -EIO));
    cr_assert(eq(int, disk_unlink(disk, "a"), 0));
    host->faults.direct_refused = true;
    cr_assert(eq(int, disk_open(disk, "b", O_RDWR | O_CREAT | O_DIRECT, 0644), -EINVAL));
}

Test(sim_disk, notes_how_full_it_is_when_something_begins_to_hang)
{
    int fd = open_file("/a");
    uint64_t start_ns = world->mono_ns;

    write_blocks(fd, 'a', 3);
    sim_host_hang(host, 5000);
    cr_expect(eq(u64, host->hang_until_ns, start_ns + 5000));
    cr_expect(eq(u64, host->hang_used, 3 * BLOCK));
    write_blocks(fd, 'b', 4);
    sim_host_hang(host, 1000);
    cr_expect(eq(u64, host->hang_until_ns, start_ns + 5000), "the longer one counts");
    cr_expect(eq(u64, host->hang_used, 3 * BLOCK));
    sim_host_hang(host, 6000);
    cr_expect(eq(u64, host->hang_used, 4 * BLOCK));
    sim_host_kill(host);
    cr_expect(eq(u64, host->hang_until_ns, start_ns), "nothing hangs in a process that is gone");
    sim_host_start(host);
}

Test(sim_disk, locks_a_file_for_one_descriptor_at_a_time)
{
    int first = open_file("lock");
    int second = open_file("lock");

    cr_assert(eq(int, disk_lock(disk, first), 0));
    cr_assert(eq(int, disk_lock(disk, first), 0));
    cr_assert(eq(int, disk_lock(disk, second), -EWOULDBLOCK));
    disk_close(disk, first);
    cr_assert(eq(int, disk_lock(disk, second), 0));
    crash_and_start();
    first = open_file("lock");
    cr_assert(eq(int, disk_lock(disk, first), 0), "the lock went with the process");
}

Test(sim_disk, answers_like_a_file_system)
{
    cr_assert(eq(int, disk_open(disk, "none", O_RDONLY, 0), -ENOENT));
    cr_assert(eq(int, disk_open(disk, "none/a", O_RDWR | O_CREAT, 0644), -ENOENT));
    cr_assert(eq(int, disk_make_directory(disk, "d", 0755), 0));
    cr_assert(eq(int, disk_make_directory(disk, "./d/", 0755), -EEXIST));
    cr_assert(eq(int, disk_unlink(disk, "d"), -EISDIR));
    cr_assert(eq(int, disk_open(disk, "d", O_RDWR, 0), -EISDIR));
    cr_assert(ge(int, disk_open(disk, "d", O_RDONLY | O_DIRECTORY, 0), 0));
    disk_close(disk, open_file("d/a"));
    cr_assert(eq(int, disk_open(disk, "d/a", O_RDONLY | O_DIRECTORY, 0), -ENOTDIR));
    cr_assert(eq(int, disk_open(disk, "d/a", O_RDWR | O_CREAT | O_EXCL, 0644), -EEXIST));
    cr_assert(ge(int, disk_open(disk, "/d/../d//a", O_RDONLY, 0), 0));
    cr_assert(eq(int, disk_rename(disk, "d/none", "x"), -ENOENT));
    cr_assert(eq(int, disk_rename(disk, "d/a", "d"), -EISDIR));
    cr_assert(eq(int, disk_sync_directory(disk, "none"), -ENOENT));
}

struct name_counter {
    struct disk_visitor visitor;
    uint32_t count;
};

static int count_and_unlink(struct disk_visitor *visitor, const char *name)
{
    struct name_counter *counter = container_of(visitor, struct name_counter, visitor);
    char path[64];

    counter->count++;
    cr_assert(lt(int, snprintf(path, sizeof(path), "d/%s", name), 64));
    return disk_unlink(disk, path);
}

Test(sim_disk, lists_a_directory_while_the_visitor_changes_it)
{
    struct name_counter counter = {.visitor.visit = count_and_unlink};

    cr_assert(eq(int, disk_make_directory(disk, "d", 0755), 0));
    disk_close(disk, open_file("d/a"));
    disk_close(disk, open_file("d/b"));
    disk_close(disk, open_file("d/c"));
    disk_close(disk, open_file("other"));
    cr_assert(eq(int, disk_list(disk, "d", &counter.visitor), 0));
    cr_assert(eq(u32, counter.count, 3));
    cr_assert(eq(int, disk_list(disk, "d", &counter.visitor), 0));
    cr_assert(eq(u32, counter.count, 3));
    cr_assert(eq(int, disk_list(disk, "none", &counter.visitor), -ENOENT));
}

Test(sim_disk, flips_bits_on_the_medium)
{
    char data[1];
    int fd = durable_file("a", 1);

    cr_assert(eq(int, sim_disk_flip(host->disk, "a", 5, 1), 0));
    cr_assert(eq(int, sim_disk_flip(host->disk, "a", BLOCK, 1), -EINVAL));
    cr_assert(eq(int, sim_disk_flip(host->disk, "b", 0, 1), -ENOENT));
    cr_assert(eq(i64, disk_read(disk, fd, data, 1, 5), 1));
    cr_assert(eq(int, data[0], 'o' ^ 1));
    crash_and_start();
    fd = disk_open(disk, "a", O_RDONLY, 0);
    cr_assert(eq(i64, disk_read(disk, fd, data, 1, 5), 1));
    cr_assert(eq(int, data[0], 'o' ^ 1));
}

Test(sim_disk, aborts_on_direct_io_that_is_not_aligned, .signal = SIGABRT)
{
    static _Alignas(512) char data[1024];
    int fd = disk_open(disk, "a", O_RDWR | O_CREAT | O_DIRECT, 0644);

    cr_assert(eq(i64, disk_write(disk, fd, data + 1, 512, 0), 0));
}

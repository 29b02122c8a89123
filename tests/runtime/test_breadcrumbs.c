#include "runtime/breadcrumbs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/sim_disk.h"

/* Real files for what is the same everywhere, the simulated disk for reboots. */

static char directory[64], path[96];
static struct breadcrumbs crumbs;
static uint32_t blamed_count;

static void begin(void)
{
    snprintf(directory, sizeof(directory), "/tmp/breadcrumbs.XXXXXX");
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/running", directory);
}

static void end(void)
{
    breadcrumbs_close(&crumbs);
    unlink(path);
    rmdir(directory);
}

static void open_page(struct disk *disk, uint32_t shard_count)
{
    cr_assert(eq(int, breadcrumbs_open(&crumbs, disk, path, shard_count, &blamed_count), 0));
}

TestSuite(breadcrumbs, .init = begin, .fini = end);

Test(breadcrumbs, blames_what_lay_there_when_the_process_crashed)
{
    const struct breadcrumb *crumb;

    open_page(disk_posix(), 2);
    cr_assert(zero(u32, blamed_count));
    breadcrumbs_lay(&crumbs, 1, 7, 42, 3);
    breadcrumbs_lay(&crumbs, 0, 7, 43, 4);
    breadcrumbs_pick_up(&crumbs, 0, 7);
    breadcrumbs_close(&crumbs); /* as the end of the process does */
    open_page(disk_posix(), 2);
    cr_assert(eq(u32, blamed_count, 1));
    crumb = breadcrumbs_blamed(&crumbs, 1, 0);
    cr_assert(crumb != NULL);
    cr_assert(eq(u64, crumb->id, 42));
    cr_assert(eq(u32, crumb->group, 3));
    cr_assert(breadcrumbs_blamed(&crumbs, 0, 0) == NULL);
}

Test(breadcrumbs, keeps_a_blame_until_it_is_picked_up_and_counts_it_once)
{
    open_page(disk_posix(), 1);
    breadcrumbs_lay(&crumbs, 0, 0, 42, 0);
    breadcrumbs_close(&crumbs);
    open_page(disk_posix(), 1);
    breadcrumbs_lay(&crumbs, 0, 5, 42, 0); /* the same job, run again */
    breadcrumbs_close(&crumbs);
    open_page(disk_posix(), 1);
    cr_assert(eq(u32, blamed_count, 1));
    breadcrumbs_pick_up_blamed(&crumbs, 0, 0);
    breadcrumbs_close(&crumbs);
    open_page(disk_posix(), 1);
    cr_assert(zero(u32, blamed_count));
}

Test(breadcrumbs, blames_nobody_for_an_end_in_order)
{
    open_page(disk_posix(), 1);
    breadcrumbs_lay(&crumbs, 0, 0, 42, 0);
    breadcrumbs_forgive(&crumbs);
    breadcrumbs_close(&crumbs);
    open_page(disk_posix(), 1);
    cr_assert(zero(u32, blamed_count));
}

Test(breadcrumbs, finds_the_shard_that_has_the_group_now)
{
    open_page(disk_posix(), 4);
    breadcrumbs_lay(&crumbs, 3, 0, 42, 7);
    breadcrumbs_close(&crumbs);
    open_page(disk_posix(), 3);
    cr_assert(breadcrumbs_blamed(&crumbs, 1, 0) != NULL);
    breadcrumbs_close(&crumbs);
    open_page(disk_posix(), 2); /* it had no time to be dealt with */
    cr_assert(eq(u32, blamed_count, 1));
    cr_assert(breadcrumbs_blamed(&crumbs, 1, 0) != NULL);
    breadcrumbs_close(&crumbs);
    open_page(disk_posix(), 1);
    cr_assert(breadcrumbs_blamed(&crumbs, 0, 0) != NULL);
}

Test(breadcrumbs, blames_nobody_for_a_power_cut)
{
    for (uint32_t crash = 0; crash < 2; crash++) { /* the page comes back stale, or empty */
        struct sim_world *world = sim_world_new(1);
        struct sim_host *host = sim_host_new(world, "host");
        struct disk *disk = sim_host_disk(host);

        for (uint32_t i = 0; i <= crash; i++) {
            open_page(disk, 1);
            cr_assert(zero(u32, blamed_count));
            breadcrumbs_lay(&crumbs, 0, 0, 42, 0);
            breadcrumbs_close(&crumbs);
            sim_host_crash(host);
            sim_host_start(host);
        }
        open_page(disk, 1);
        cr_assert(zero(u32, blamed_count));
        breadcrumbs_lay(&crumbs, 0, 0, 42, 0);
        breadcrumbs_close(&crumbs);
        sim_host_kill(host); /* and a kill is no power cut */
        sim_host_start(host);
        open_page(disk, 1);
        cr_assert(eq(u32, blamed_count, 1));
        breadcrumbs_close(&crumbs);
        sim_world_free(&world);
    }
}

Test(breadcrumbs, takes_a_file_of_something_else_for_an_empty_page)
{
    int fd = disk_open(disk_posix(), path, O_RDWR | O_CREAT, 0600);
    char junk[8192];

    memset(junk, 0xa5, sizeof(junk));
    cr_assert(ge(int, fd, 0));
    cr_assert(eq(i64, disk_write(disk_posix(), fd, junk, sizeof(junk), 0), (int64_t)sizeof(junk)));
    disk_close(disk_posix(), fd);
    open_page(disk_posix(), 1);
    cr_assert(zero(u32, blamed_count));
}

Test(breadcrumbs, works_without_a_page_when_it_cannot_be_made)
{
    cr_assert(eq(int, breadcrumbs_open(&crumbs, disk_posix(), "/nowhere/running", 1, &blamed_count),
                 -ENOENT));
    breadcrumbs_lay(&crumbs, 0, 0, 42, 0);
    breadcrumbs_pick_up(&crumbs, 0, 0);
    breadcrumbs_forgive(&crumbs);
    cr_assert(breadcrumbs_blamed(&crumbs, 0, 0) == NULL);
}

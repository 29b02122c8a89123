#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/disk.h"

static struct disk *disk;
static char directory[64];
static char path[128];
static char other_path[128];

static void teardown(void)
{
    unlink(path);
    unlink(other_path);
    rmdir(other_path);
    rmdir(directory);
}

/* An assert that a test wants leaves no other moment to tidy up. */
static void on_abort(int number)
{
    (void)number;
    teardown();
}

static void setup(void)
{
    disk = disk_posix();
    snprintf(directory, sizeof(directory), "/tmp/weir-disk-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(directory), NULL));
    snprintf(path, sizeof(path), "%s/file", directory);
    snprintf(other_path, sizeof(other_path), "%s/other", directory);
    signal(SIGABRT, on_abort);
}

static int create(void)
{
    int fd = disk_open(disk, path, O_RDWR | O_CREAT, 0600);

    cr_assert(ge(int, fd, 0));
    return fd;
}

TestSuite(disk_posix, .init = setup, .fini = teardown, .timeout = 20);

Test(disk_posix, reads_back_what_it_wrote)
{
    char data[8] = "";
    int fd = create();

    cr_expect(eq(i64, disk_write(disk, fd, "abcdef", 6, 10), 6));
    cr_expect(eq(int, disk_sync(disk, fd), 0));
    cr_expect(eq(i64, disk_read(disk, fd, data, 6, 10), 6));
    cr_expect(eq(str, data, "abcdef"));
    disk_close(disk, fd);
}

Test(disk_posix, reads_short_at_the_end_of_the_file)
{
    char data[16];
    int fd = create();

    cr_assert(eq(i64, disk_write(disk, fd, "abc", 3, 0), 3));
    cr_expect(eq(i64, disk_read(disk, fd, data, sizeof(data), 1), 2));
    cr_expect(eq(i64, disk_read(disk, fd, data, sizeof(data), 3), 0));
    disk_close(disk, fd);
}

Test(disk_posix, reads_ahead)
{
    struct disk_ahead ahead = {.disk = NULL};
    char data[16] = "";
    int fd = create();

    cr_assert(eq(i64, disk_write(disk, fd, "abcdef", 6, 10), 6));
    disk_ahead_begin(&ahead, disk, fd, data, 4, 11);
    cr_expect(eq(i64, disk_ahead_end(&ahead), 4));
    cr_expect(eq(str, data, "bcde"));
    disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 14); /* beyond the end */
    cr_expect(eq(i64, disk_ahead_end(&ahead), 2));
    disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 16);
    cr_expect(eq(i64, disk_ahead_end(&ahead), 0));
    disk_close(disk, fd);
}

Test(disk_posix, drops_what_it_read_ahead)
{
    static char data[1 << 20];
    struct disk_ahead ahead = {.disk = NULL};
    int fd = create();

    disk_ahead_drop(&ahead); /* none is under way */
    cr_assert(eq(int, disk_truncate(disk, fd, sizeof(data)), 0));
    for (int i = 0; i < 20; i++) {
        disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 0);
        disk_ahead_drop(&ahead);
        memset(data, 1, sizeof(data)); /* ours again */
        cr_expect(eq(i8, data[sizeof(data) - 1], 1));
    }
    disk_close(disk, fd);
}

Test(disk_posix, tells_the_error_of_what_it_read_ahead)
{
    struct disk_ahead ahead = {.disk = NULL};
    char data[4];
    int fd;

    disk_close(disk, create());
    fd = disk_open(disk, path, O_WRONLY, 0);
    disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 0);
    cr_expect(eq(i64, disk_ahead_end(&ahead), -EBADF));
    disk_close(disk, fd);
}

Test(disk_posix, has_one_read_ahead_at_a_time, .signal = SIGABRT)
{
    struct disk_ahead ahead = {.disk = NULL};
    char data[4];
    int fd = create();

    disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 0);
    disk_ahead_begin(&ahead, disk, fd, data, sizeof(data), 0);
}

Test(disk_posix, tells_and_changes_the_size)
{
    uint64_t size = 0;
    int fd = create();

    cr_assert(eq(int, disk_truncate(disk, fd, 5000), 0));
    cr_expect(eq(int, disk_size(disk, fd, &size), 0));
    cr_expect(eq(u64, size, 5000));
    disk_close(disk, fd);
}

Test(disk_posix, keeps_descriptors_from_other_programs)
{
    int fd = create();

    cr_expect(eq(int, fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC));
    disk_close(disk, fd);
}

Test(disk_posix, renames_and_unlinks)
{
    disk_close(disk, create());

    cr_expect(eq(int, disk_rename(disk, path, other_path), 0));
    cr_expect(eq(int, disk_open(disk, path, O_RDONLY, 0), -ENOENT));
    cr_expect(eq(int, disk_sync_directory(disk, directory), 0));
    cr_expect(eq(int, disk_unlink(disk, other_path), 0));
    cr_expect(eq(int, disk_unlink(disk, other_path), -ENOENT));
}

Test(disk_posix, makes_a_directory_once)
{
    struct stat status;

    cr_expect(eq(int, disk_make_directory(disk, other_path, 0700), 0));
    cr_assert(eq(int, stat(other_path, &status), 0));
    cr_expect(eq(int, (int)(status.st_mode & 0777), 0700));
    cr_expect(eq(int, disk_make_directory(disk, other_path, 0700), -EEXIST));
}

struct counting_visitor {
    struct disk_visitor visitor;
    int count;
    int answer;
};

static int count_entry(struct disk_visitor *visitor, const char *name)
{
    struct counting_visitor *counting = container_of(visitor, struct counting_visitor, visitor);

    cr_expect(ne(str, (char *)name, "."));
    cr_expect(ne(str, (char *)name, ".."));
    counting->count++;
    return counting->answer;
}

Test(disk_posix, lists_every_entry_but_the_dots)
{
    struct counting_visitor counting = {.visitor.visit = count_entry};

    disk_close(disk, create());
    cr_assert(eq(int, disk_make_directory(disk, other_path, 0700), 0));
    cr_expect(eq(int, disk_list(disk, directory, &counting.visitor), 0));
    cr_expect(eq(int, counting.count, 2));
}

Test(disk_posix, ends_a_listing_when_the_visitor_refuses)
{
    struct counting_visitor counting = {.visitor.visit = count_entry, .answer = -EUCLEAN};

    disk_close(disk, create());
    cr_assert(eq(int, disk_make_directory(disk, other_path, 0700), 0));
    cr_expect(eq(int, disk_list(disk, directory, &counting.visitor), -EUCLEAN));
    cr_expect(eq(int, counting.count, 1));
    cr_expect(eq(int, disk_list(disk, path, &counting.visitor), -ENOTDIR));
}

Test(disk_posix, gives_a_lock_to_one_descriptor_only)
{
    int first = create();
    int second = create();

    cr_expect(eq(int, disk_lock(disk, first), 0));
    cr_expect(eq(int, disk_lock(disk, second), -EWOULDBLOCK));
    disk_close(disk, first);
    cr_expect(eq(int, disk_lock(disk, second), 0));
    disk_close(disk, second);
}

Test(disk_posix, tells_the_space_of_the_file_system)
{
    uint64_t free_size = 0, total_size = 0;

    cr_expect(eq(int, disk_space(disk, directory, &free_size, &total_size), 0));
    cr_expect(lt(u64, 0, total_size));
    cr_expect(le(u64, free_size, total_size));
    cr_expect(eq(int, disk_space(disk, path, &free_size, &total_size), -ENOENT));
}

Test(disk_posix, writes_short_then_fails_when_no_more_fits)
{
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    char data[6000] = {1};
    int fd = create();

    signal(SIGXFSZ, SIG_IGN);
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
    cr_expect(eq(i64, disk_write(disk, fd, data, sizeof(data), 0), 4096));
    cr_expect(eq(i64, disk_write(disk, fd, data, sizeof(data), 4096), -EFBIG));
    disk_close(disk, fd);
}

Test(disk_posix, reports_a_device_without_space)
{
    int fd = disk_open(disk, "/dev/full", O_WRONLY, 0);

    cr_assert(ge(int, fd, 0));
    cr_expect(eq(i64, disk_write(disk, fd, "x", 1, 0), -ENOSPC));
    disk_close(disk, fd);
}

Test(disk_posix, reports_an_unreadable_descriptor)
{
    char data[4];
    int fd = disk_open(disk, directory, O_RDONLY | O_DIRECTORY, 0);

    cr_assert(ge(int, fd, 0));
    cr_expect(eq(i64, disk_read(disk, fd, data, sizeof(data), 0), -EISDIR));
    cr_expect(eq(int, disk_truncate(disk, fd, 0), -EINVAL));
    disk_close(disk, fd);
}

Test(disk_posix, aborts_when_a_descriptor_is_closed_twice, .signal = SIGABRT)
{
    int fd = create();

    disk_close(disk, fd);
    disk_close(disk, fd);
}

#include "tests/runtime/io_conformance.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "tests/runtime/probe_op.h"

/*
 * Cases of io_conformance.h: files, and a thousand operations on one of them at once.
 * Files are made below the fixture's directory, each by one case, which removes it.
 */

static int open_file(struct io *io, const char *path, int flags)
{
    struct probe_op probe;

    probe_init(&probe, io);
    io_open(io, &probe.op, path, flags, 0600);
    return probe_finish(io, &probe);
}

void writes_syncs_renames_reads_and_unlinks_a_file(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    char path[256], new_path[256], data[8] = "";
    struct probe_op probe;
    int fd, directory;

    snprintf(path, sizeof(path), "%s/before", fixture->directory);
    snprintf(new_path, sizeof(new_path), "%s/after", fixture->directory);
    probe_init(&probe, io);
    fd = open_file(io, path, O_RDWR | O_CREAT | O_EXCL);
    cr_assert(ge(int, fd, 0));
    io_write(io, &probe.op, fd, "abcd", 4, 0, IO_WRITE_DURABLE);
    cr_expect(eq(i32, probe_finish(io, &probe), 4));
    io_write(io, &probe.op, fd, "efg", 3, 4, 0);
    cr_expect(eq(i32, probe_finish(io, &probe), 3));
    io_fsync(io, &probe.op, fd, IO_FSYNC_DATA);
    cr_expect(eq(i32, probe_finish(io, &probe), 0));
    io_rename(io, &probe.op, path, new_path);
    cr_expect(eq(i32, probe_finish(io, &probe), 0));
    directory = open_file(io, fixture->directory, O_RDONLY | O_DIRECTORY);
    cr_assert(ge(int, directory, 0));
    io_fsync(io, &probe.op, directory, 0);
    cr_expect(eq(i32, probe_finish(io, &probe), 0));
    probe_close(io, directory);
    probe_close(io, fd);

    fd = open_file(io, new_path, O_RDONLY);
    cr_assert(ge(int, fd, 0));
    io_read(io, &probe.op, fd, data, 4, 3);
    cr_expect(eq(i32, probe_finish(io, &probe), 4));
    cr_expect(eq(str, data, "defg"));
    probe_close(io, fd);
    io_unlink(io, &probe.op, new_path);
    cr_expect(eq(i32, probe_finish(io, &probe), 0));
    cr_expect(eq(int, open_file(io, new_path, O_RDONLY), -ENOENT));
}

void reports_the_errors_of_files(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_op probe;
    char path[256], new_path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/none", fixture->directory);
    snprintf(new_path, sizeof(new_path), "%s/other", fixture->directory);
    probe_init(&probe, io);
    cr_expect(eq(int, open_file(io, path, O_RDWR), -ENOENT));
    io_unlink(io, &probe.op, path);
    cr_expect(eq(i32, probe_finish(io, &probe), -ENOENT));
    io_rename(io, &probe.op, path, new_path);
    cr_expect(eq(i32, probe_finish(io, &probe), -ENOENT));
    fd = open_file(io, path, O_RDONLY | O_CREAT);
    cr_assert(ge(int, fd, 0));
    cr_expect(eq(int, open_file(io, path, O_RDWR | O_CREAT | O_EXCL), -EEXIST));
    io_write(io, &probe.op, fd, "x", 1, 0, 0);
    cr_expect(eq(i32, probe_finish(io, &probe), -EBADF));
    probe_close(io, fd);
    io_unlink(io, &probe.op, path);
    cr_expect(eq(i32, probe_finish(io, &probe), 0));
}

void reads_short_at_the_end_of_a_file(struct io_fixture *fixture)
{
    struct io *io = fixture->io;
    struct probe_op probe;
    char path[256], data[16];
    int fd;

    snprintf(path, sizeof(path), "%s/short", fixture->directory);
    probe_init(&probe, io);
    fd = open_file(io, path, O_RDWR | O_CREAT);
    cr_assert(ge(int, fd, 0));
    io_write(io, &probe.op, fd, "abc", 3, 0, 0);
    cr_expect(eq(i32, probe_finish(io, &probe), 3));
    io_read(io, &probe.op, fd, data, sizeof(data), 1);
    cr_expect(eq(i32, probe_finish(io, &probe), 2));
    io_read(io, &probe.op, fd, data, sizeof(data), 3);
    cr_expect(eq(i32, probe_finish(io, &probe), 0));
    probe_close(io, fd);
    io_unlink(io, &probe.op, path);
    cr_expect(eq(i32, probe_finish(io, &probe), 0));
}

void completes_a_thousand_operations_armed_at_once(struct io_fixture *fixture)
{
    enum { COUNT = 1000 };
    static struct probe_op reads[COUNT];
    static char data[COUNT];
    struct io *io = fixture->io;
    struct probe_op write;
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/many", fixture->directory);
    probe_fill(data, sizeof(data));
    probe_init(&write, io);
    fd = open_file(io, path, O_RDWR | O_CREAT);
    cr_assert(ge(int, fd, 0));
    io_write(io, &write.op, fd, data, COUNT, 0, 0);
    cr_assert(eq(i32, probe_finish(io, &write), COUNT));
    memset(data, 0, sizeof(data));

    for (uint32_t i = 0; i < COUNT; i++) {
        probe_init(&reads[i], io);
        io_read(io, &reads[i].op, fd, &data[i], 1, i);
    }
    cr_expect(eq(u32, io->armed_count, COUNT));
    for (uint32_t i = 0; i < COUNT; i++) {
        cr_assert(eq(i32, probe_finish(io, &reads[i]), 1));
        cr_assert(eq(u32, reads[i].completion_count, 1));
        cr_assert(eq(chr, data[i], (char)(i * 7 + i / 251)));
    }
    probe_close(io, fd);
    io_unlink(io, &write.op, path);
    cr_expect(eq(i32, probe_finish(io, &write), 0));
}

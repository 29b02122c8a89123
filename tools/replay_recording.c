/*
 * As they stand, lines come from the line reader. By time, each is read from where it was
 * found before; then the file must still be what it was, of which a line that is cut short
 * is the one sign that can be seen.
 */
#include "tools/replay_recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/replay_event.h"

enum { SPOOL_SIZE = 64 * 1024 };

static void replay_recording_check(const struct replay_recording *recording)
{
    assert(recording->fd >= 0);
    assert(recording->next <= recording->order.count);
    assert(!recording->is_sorted || recording->line != NULL);
}

void replay_recording_init(struct replay_recording *recording)
{
    *recording = (struct replay_recording){.fd = -1};
}

int replay_recording_open(struct replay_recording *recording, const char *path)
{
    assert(recording->fd < 0);
    recording->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (recording->fd < 0)
        return -errno;
    return line_reader_init(&recording->lines, recording->fd, REPLAY_EVENT_SIZE_MAX - 1);
}

static void close_fd(struct replay_recording *recording)
{
    if (recording->fd > STDIN_FILENO)
        close(recording->fd);
    recording->fd = -1;
}

/* Copies a pipe into an unnamed file. Its descriptor or -errno. */
static int spool(int fd)
{
    char data[SPOOL_SIZE];
    FILE *file = tmpfile();
    int copy = -1, r = 0;
    ssize_t n = 0;

    if (file == NULL)
        return -errno;
    while (r == 0 && (n = read(fd, data, sizeof(data))) != 0) {
        if (n > 0 && fwrite(data, 1, (size_t)n, file) != (size_t)n)
            r = -EIO;
        else if (n < 0 && errno != EINTR)
            r = -errno;
    }
    if (r == 0 && (fflush(file) != 0 || (copy = dup(fileno(file))) < 0))
        r = -errno;
    fclose(file);
    if (r == 0 && lseek(copy, 0, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? r : copy;
}

int replay_recording_keep(struct replay_recording *recording)
{
    int fd;

    replay_recording_check(recording);
    assert(recording->lines.line_number == 0);
    recording->begin = lseek(recording->fd, 0, SEEK_CUR);
    if (recording->begin >= 0)
        return 0;
    recording->begin = 0;
    fd = spool(recording->fd);
    if (fd < 0)
        return fd;
    close_fd(recording);
    line_reader_deinit(&recording->lines);
    recording->fd = fd;
    return line_reader_init(&recording->lines, fd, REPLAY_EVENT_SIZE_MAX - 1);
}

static int next_by_time(struct replay_recording *recording, struct slice *ret_line)
{
    const struct replay_line *place;
    ssize_t n;

    if (recording->next == recording->order.count)
        return LINE_END;
    place = &recording->order.lines[recording->next++];
    n = pread(recording->fd, recording->line, place->size, recording->begin + (off_t)place->offset);
    if (n < 0)
        return -errno;
    if ((size_t)n != place->size)
        return -ENODATA;
    recording->line_number = place->line_number;
    *ret_line = (struct slice){recording->line, place->size};
    return LINE_OK;
}

int replay_recording_next(struct replay_recording *recording, struct slice *ret_line)
{
    int result;

    replay_recording_check(recording);
    if (recording->is_sorted)
        return next_by_time(recording, ret_line);
    result = line_reader_next(&recording->lines, ret_line);
    if (result == LINE_OK || result == LINE_TOO_LONG)
        recording->line_number = recording->lines.line_number;
    return result;
}

int replay_recording_index(struct replay_recording *recording, struct slice line, bool has_time,
                           int64_t unix_ms)
{
    struct replay_line place = {.unix_ms = unix_ms,
                                .offset = recording->lines.line_offset,
                                .line_number = recording->lines.line_number,
                                .size = (uint32_t)line.size};

    replay_recording_check(recording);
    assert(line.size < REPLAY_EVENT_SIZE_MAX);
    return replay_order_add(&recording->order, &place, has_time);
}

int replay_recording_rewind(struct replay_recording *recording, bool by_time)
{
    replay_recording_check(recording);
    recording->line_count = recording->lines.line_number;
    if (lseek(recording->fd, recording->begin, SEEK_SET) < 0)
        return -errno;
    line_reader_restart(&recording->lines);
    if (!by_time)
        return 0;
    recording->line = malloc(REPLAY_EVENT_SIZE_MAX);
    if (recording->line == NULL)
        return -ENOMEM;
    replay_order_sort(&recording->order);
    recording->is_sorted = true;
    return 0;
}

uint64_t replay_recording_line_count(const struct replay_recording *recording)
{
    return recording->is_sorted ? recording->line_count : recording->lines.line_number;
}

void replay_recording_close(struct replay_recording *recording)
{
    close_fd(recording);
    if (recording->lines.data != NULL)
        line_reader_deinit(&recording->lines);
    replay_order_deinit(&recording->order);
    free(recording->line);
    replay_recording_init(recording);
}

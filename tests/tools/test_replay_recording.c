#include "tools/replay_recording.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/replay_event.h"

/*
 * A recording in a file of its own, and on standard input as a pipe. Times are given by the
 * test: line number i has times[i - 1], below 0 none.
 */
static const char LINES[] = "third\nfirst\nsecond\nno time\nfourth";
static const int64_t TIMES[] = {30, 10, 20, -1, 40};

static struct replay_recording recording;
static char path[64];

static void write_file(const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(int, (int)write(fd, text, size), (int)size));
    close(fd);
}

/* Standard input becomes a pipe that ends behind text, which must be short. */
static void give_pipe(const char *text)
{
    int ends[2];

    cr_assert(eq(int, pipe(ends), 0));
    cr_assert(eq(int, (int)write(ends[1], text, strlen(text)), (int)strlen(text)));
    close(ends[1]);
    cr_assert(eq(int, dup2(ends[0], STDIN_FILENO), STDIN_FILENO));
    close(ends[0]);
}

static void begin(void)
{
    snprintf(path, sizeof(path), "/tmp/test_replay_recording_%d", (int)getpid());
    replay_recording_init(&recording);
}

static void end(void)
{
    replay_recording_close(&recording);
    replay_recording_close(&recording); /* does nothing more */
    unlink(path);
}

TestSuite(replay_recording, .init = begin, .fini = end);

static void expect_line(const char *text, uint64_t line_number)
{
    struct slice line;

    cr_assert(eq(int, replay_recording_next(&recording, &line), LINE_OK), "%s", text);
    cr_assert(slice_equal(line, slice_of(text)), "%.*s", (int)line.size, line.data);
    cr_assert(eq(u64, recording.line_number, line_number));
}

static void expect_end(void)
{
    struct slice line;

    cr_assert(eq(int, replay_recording_next(&recording, &line), LINE_END));
}

static void expect_as_they_stand(void)
{
    expect_line("third", 1);
    expect_line("first", 2);
    expect_line("second", 3);
    expect_line("no time", 4);
    expect_line("fourth", 5);
    expect_end();
    cr_assert(eq(u64, replay_recording_line_count(&recording), 5));
}

static void index_all(void)
{
    struct slice line;

    while (replay_recording_next(&recording, &line) == LINE_OK) {
        int64_t unix_ms = TIMES[recording.line_number - 1];

        cr_assert(eq(int, replay_recording_index(&recording, line, unix_ms >= 0, unix_ms), 0));
    }
}

static void expect_by_time(void)
{
    index_all();
    cr_assert(eq(int, replay_recording_rewind(&recording, true), 0));
    expect_line("first", 2);
    expect_line("second", 3);
    expect_line("no time", 4);
    expect_line("third", 1);
    expect_line("fourth", 5);
    expect_end();
    cr_assert(eq(u64, replay_recording_line_count(&recording), 5));
}

Test(replay_recording, gives_the_lines_of_a_file_and_of_a_pipe)
{
    write_file(LINES, strlen(LINES));
    cr_assert(eq(int, replay_recording_open(&recording, path), 0));
    expect_as_they_stand();
    replay_recording_close(&recording);
    give_pipe(LINES);
    cr_assert(eq(int, replay_recording_open(&recording, "-"), 0));
    expect_as_they_stand();
}

Test(replay_recording, can_be_read_twice_from_a_file_and_from_a_pipe)
{
    write_file(LINES, strlen(LINES));
    for (int round = 0; round < 2; round++) {
        if (round == 1)
            give_pipe(LINES);
        cr_assert(eq(int, replay_recording_open(&recording, round == 0 ? path : "-"), 0));
        cr_assert(eq(int, replay_recording_keep(&recording), 0));
        expect_as_they_stand();
        cr_assert(eq(int, replay_recording_rewind(&recording, false), 0));
        cr_assert(eq(u64, replay_recording_line_count(&recording), 0));
        expect_as_they_stand();
        replay_recording_close(&recording);
    }
}

Test(replay_recording, gives_lines_in_the_order_of_their_times)
{
    write_file(LINES, strlen(LINES));
    cr_assert(eq(int, replay_recording_open(&recording, path), 0));
    cr_assert(eq(int, replay_recording_keep(&recording), 0));
    expect_by_time();
    replay_recording_close(&recording);
    give_pipe(LINES);
    cr_assert(eq(int, replay_recording_open(&recording, "-"), 0));
    cr_assert(eq(int, replay_recording_keep(&recording), 0));
    expect_by_time();
}

Test(replay_recording, begins_where_a_shared_file_stands)
{
    int fd;

    write_file("passed\nthird\nfirst\nsecond\nno time\nfourth", 40);
    fd = open(path, O_RDONLY);
    cr_assert(eq(int, (int)lseek(fd, 7, SEEK_SET), 7));
    cr_assert(eq(int, dup2(fd, STDIN_FILENO), STDIN_FILENO));
    close(fd);
    cr_assert(eq(int, replay_recording_open(&recording, "-"), 0));
    cr_assert(eq(int, replay_recording_keep(&recording), 0));
    expect_by_time();
}

Test(replay_recording, passes_over_a_line_that_is_too_long_with_its_number)
{
    static char text[REPLAY_EVENT_SIZE_MAX + 10];
    struct slice line;

    memset(text, 'x', sizeof(text));
    memcpy(text + sizeof(text) - 6, "\nshort", 6);
    write_file(text, sizeof(text));
    cr_assert(eq(int, replay_recording_open(&recording, path), 0));
    cr_assert(eq(int, replay_recording_next(&recording, &line), LINE_TOO_LONG));
    cr_assert(eq(u64, recording.line_number, 1));
    expect_line("short", 2);
}

Test(replay_recording, notices_that_a_file_has_become_shorter)
{
    struct slice line;

    write_file(LINES, strlen(LINES));
    cr_assert(eq(int, replay_recording_open(&recording, path), 0));
    cr_assert(eq(int, replay_recording_keep(&recording), 0));
    index_all();
    cr_assert(eq(int, replay_recording_rewind(&recording, true), 0));
    expect_line("first", 2);
    cr_assert(eq(int, truncate(path, 14), 0));
    cr_assert(eq(int, replay_recording_next(&recording, &line), -ENODATA));
}

Test(replay_recording, says_when_there_is_no_such_file)
{
    cr_assert(eq(int, replay_recording_open(&recording, "/nonexistent/file"), -ENOENT));
}

/*
 * Line reader: one buffer of the longest line, with room for its CR and LF.
 *
 *     data ... start ........ searched ........ end ... capacity
 *              not given out  |no LF before|    received
 *
 * Full without a LF: what has been given out is moved away; if nothing has, the line is
 * too long, and its bytes are dropped until its LF comes.
 */
#include "tools/line_reader.h"

#include <errno.h>
#include <unistd.h>

int line_reader_init(struct line_reader *reader, int fd, size_t line_size_max)
{
    assert(line_size_max > 0);
    *reader = (struct line_reader){.fd = fd};
    reader->capacity = line_size_max + 2; /* with CR and LF */
    reader->data = malloc(reader->capacity);
    return reader->data != NULL ? 0 : -ENOMEM;
}

void line_reader_deinit(struct line_reader *reader)
{
    free(reader->data);
    reader->data = NULL;
}

void line_reader_restart(struct line_reader *reader)
{
    reader->line_number = reader->line_offset = reader->base = 0;
    reader->start = reader->end = reader->searched = 0;
    reader->at_end = false;
}

/* Reads behind what is there. 0 or -errno. */
static int fill(struct line_reader *reader)
{
    ssize_t n;

    assert(reader->end < reader->capacity);
    do
        n = read(reader->fd, reader->data + reader->end, reader->capacity - reader->end);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    reader->at_end = n == 0;
    reader->end += (size_t)n;
    return 0;
}

/* Takes the bytes up to the LF at stop, or to the end, off the front. */
static struct slice take(struct line_reader *reader, size_t stop)
{
    struct slice line = {reader->data + reader->start, stop - reader->start};

    reader->line_offset = reader->base + reader->start;
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    reader->start = stop < reader->end ? stop + 1 : stop;
    reader->searched = reader->start;
    reader->line_number++;
    return line;
}

int line_reader_next(struct line_reader *reader, struct slice *ret_line)
{
    bool too_long = false;

    assert(reader->data != NULL);
    while (true) {
        const char *lf = NULL;
        int r;

        assert(reader->start <= reader->searched);
        assert(reader->searched <= reader->end);
        if (reader->searched < reader->end)
            lf = memchr(reader->data + reader->searched, '\n', reader->end - reader->searched);
        if (lf != NULL || (reader->at_end && (too_long || reader->start < reader->end))) {
            struct slice line =
                take(reader, lf != NULL ? (size_t)(lf - reader->data) : reader->end);

            if (too_long || line.size > reader->capacity - 2)
                return LINE_TOO_LONG;
            *ret_line = line;
            return LINE_OK;
        }
        if (reader->at_end)
            return LINE_END;
        reader->searched = reader->end;
        if (reader->end == reader->capacity && reader->start > 0) {
            memmove(reader->data, reader->data + reader->start, reader->end - reader->start);
            reader->end -= reader->start;
            reader->searched -= reader->start;
            reader->base += reader->start;
            reader->start = 0;
        } else if (reader->end == reader->capacity) {
            too_long = true;
            reader->base += reader->end;
            reader->start = reader->end = reader->searched = 0;
        }
        r = fill(reader);
        if (r < 0)
            return r;
    }
}

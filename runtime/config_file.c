#include "runtime/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <unistd.h>

#include "runtime/config_internals.h"
#include "runtime/memory.h"

/*
 * inih does the syntax. It is fed line by line through a reader of ours, which is
 * how on_setting() knows the line: inih tells it only for syntax errors.
 *
 * inih takes its limits from global variables; configure_inih() sets them before
 * each use, so reading belongs to one thread at a time: the boot thread.
 */

/* One reading of a file; inih hands it to both callbacks. */
struct reading {
    struct config *config;
    struct config_error *error;
    const char *rest; /* text not yet handed to inih */
    struct config_origin origin;
    int result;
};

/* fgets() over the text: counts lines, so that on_setting() knows where it is. */
static char *read_line(char *line, int size, void *argument)
{
    struct reading *reading = argument;
    size_t line_size = strcspn(reading->rest, "\n");

    if (*reading->rest == '\0' || reading->result < 0)
        return NULL;
    reading->origin.line++;
    if (line_size + 2 > (size_t)size) {
        reading->result = config_refuse(reading->error, &reading->origin,
                                        "the line is too long (16 KiB at most)");
        return NULL;
    }
    memcpy(line, reading->rest, line_size);
    line[line_size] = '\0';
    reading->rest += line_size + (reading->rest[line_size] == '\n');
    return line;
}

/* inih's own convention: not 0 is success. */
static int on_setting(void *argument, const char *section, const char *name, const char *value)
{
    struct reading *reading = argument;
    uint32_t key_index = config_find_key(reading->config, section, name);

    if (key_index == CONFIG_NOT_FOUND)
        reading->result =
            config_refuse_name(reading->error, &reading->origin, reading->config, section, name);
    else
        reading->result =
            config_assign(reading->config, key_index, &reading->origin, value, reading->error);
    return reading->result == 0;
}

static void configure_inih(void)
{
    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_initial_alloc = CONFIG_LINE_SIZE_MAX;
    ini_max_line = CONFIG_LINE_SIZE_MAX;
    ini_stop_on_first_error = true;
    /* Else an indented key = value would quietly become part of the key above. */
    ini_allow_multiline = false;
}

int config_read_text(struct config *config, const char *name, const char *text,
                     struct config_error *ret_error)
{
    struct reading reading = {
        .config = config,
        .error = ret_error,
        .rest = text,
        .origin = {.rank = CONFIG_RANK_FILE, .name = name},
    };
    int line;

    config_check(config);
    configure_inih();
    line = ini_parse_stream(read_line, &reading, on_setting, &reading);
    if (reading.result == 0 && line > 0)
        return config_refuse(ret_error, &reading.origin, "neither [section] nor key = value");
    if (reading.result == 0 && line < 0)
        return config_refuse(ret_error, &reading.origin, "out of memory");
    return reading.result;
}

/* Reads the whole file into text[0..CONFIG_FILE_SIZE_MAX], terminated. */
static int read_whole(int fd, char *text)
{
    size_t size = 0;

    for (;;) {
        ssize_t r = read(fd, text + size, CONFIG_FILE_SIZE_MAX + 1 - size);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        size += (size_t)r;
        if (size > CONFIG_FILE_SIZE_MAX)
            return -EFBIG;
    }
    text[size] = '\0';
    return memchr(text, '\0', size) != NULL ? -EILSEQ : 0;
}

int config_read_file(struct config *config, const char *path, struct config_error *ret_error)
{
    struct config_origin origin = {.rank = CONFIG_RANK_FILE, .name = path};
    size_t memory_size = CONFIG_FILE_SIZE_MAX + 1;
    char *text = NULL;
    int fd = -1;
    int r;

    config_check(config);
    r = memory_map(memory_size, &text);
    if (r < 0)
        goto explain;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    r = fd < 0 ? -errno : read_whole(fd, text);
    if (r < 0)
        goto explain;
    r = config_read_text(config, path, text, ret_error);
    close(fd);
    memory_unmap(&text, memory_size);
    return r;

explain:
    (void)config_refuse(ret_error, &origin,
                        r == -EILSEQ ? "this is not text: it holds a zero byte" : strerror(-r));
    if (fd >= 0)
        close(fd);
    memory_unmap(&text, memory_size);
    return r == -EILSEQ ? -EINVAL : r;
}

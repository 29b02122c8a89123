#include "tests/crash/write_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The names that the server sees change when it sees the completion; only then can it
 * act on them. A call that must fail by these names (a rename of nothing, the mkdir of
 * what exists) is not in the log. Everything is under one mutex, which makes the order.
 */
enum { CAPACITY_MIN = 1024 };

static void *grow(void *items, uint32_t count, uint32_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity == 0 ? CAPACITY_MIN : *capacity * 2;
    items = realloc(items, *capacity * item_size);
    if (items == NULL)
        abort();
    return items;
}

void write_log_init(struct write_log *log, const char *root, const struct crash_disk *initial)
{
    memset(log, 0, sizeof(*log));
    assert(strlen(root) < sizeof(log->root));
    memcpy(log->root, root, strlen(root));
    pthread_mutex_init(&log->mutex, NULL);
    crash_disk_copy(&log->initial, initial);
    log->visible = initial->names;
    log->file_count = initial->file_count;
}

void write_log_deinit(struct write_log *log)
{
    for (uint32_t i = 0; i < log->op_count; i++)
        free(log->ops[i].data);
    free(log->ops);
    free(log->entries);
    crash_disk_deinit(&log->initial);
    pthread_mutex_destroy(&log->mutex);
}

/* The path below the root, or false. */
static bool inside(const struct write_log *log, const char *path, char ret_path[])
{
    size_t size = strlen(log->root);

    if (strncmp(path, log->root, size) != 0 || path[size] != '/')
        return false;
    path += size;
    size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    if (size >= CRASH_PATH_SIZE_MAX)
        return false;
    memcpy(ret_path, path, size);
    ret_path[size] = '\0';
    return true;
}

static void add_entry(struct write_log *log, uint32_t op, bool is_completion)
{
    log->entries =
        grow(log->entries, log->entry_count, &log->entry_capacity, sizeof(*log->entries));
    log->entries[log->entry_count++] = (struct write_log_entry){op, is_completion};
}

/* With the mutex held. */
static uint32_t submit(struct write_log *log, struct write_log_op op)
{
    op.submitted = log->entry_count;
    op.completed = WRITE_LOG_NONE;
    log->ops = grow(log->ops, log->op_count, &log->op_capacity, sizeof(*log->ops));
    log->ops[log->op_count] = op;
    add_entry(log, log->op_count, false);
    return log->op_count++;
}

static const struct write_log_fd *ours(const struct write_log *log, int fd)
{
    assert(fd >= 0);
    if (fd >= WRITE_LOG_FD_COUNT_MAX || log->fds[fd].file == 0)
        return NULL;
    return &log->fds[fd];
}

uint32_t write_log_write(struct write_log *log, int fd, const char *data, uint64_t size,
                         uint64_t offset, bool durable)
{
    const struct write_log_fd *target;
    uint32_t op = WRITE_LOG_NONE;

    pthread_mutex_lock(&log->mutex);
    target = ours(log, fd);
    if (target != NULL) {
        char *copy = malloc(size + 1);

        if (copy == NULL)
            abort();
        memcpy(copy, data, size);
        op = submit(log, (struct write_log_op){.kind = WRITE_LOG_WRITE,
                                               .file = target->file - 1,
                                               .offset = offset,
                                               .size = size,
                                               .data = copy,
                                               .durable = durable});
    }
    pthread_mutex_unlock(&log->mutex);
    return op;
}

uint32_t write_log_resize(struct write_log *log, int fd, uint64_t size)
{
    const struct write_log_fd *target;
    uint32_t op = WRITE_LOG_NONE;

    pthread_mutex_lock(&log->mutex);
    target = ours(log, fd);
    if (target != NULL)
        op = submit(log, (struct write_log_op){
                             .kind = WRITE_LOG_RESIZE, .file = target->file - 1, .offset = size});
    pthread_mutex_unlock(&log->mutex);
    return op;
}

uint32_t write_log_sync(struct write_log *log, int fd)
{
    const struct write_log_fd *target;
    struct write_log_op op = {.kind = WRITE_LOG_SYNC};
    uint32_t number = WRITE_LOG_NONE;

    pthread_mutex_lock(&log->mutex);
    target = ours(log, fd);
    if (target != NULL) {
        op.file = target->file - 1;
        if (target->directory[0] != '\0') {
            op.kind = WRITE_LOG_SYNC_DIRECTORY;
            memcpy(op.path, target->directory, sizeof(op.path));
        }
        number = submit(log, op);
    }
    pthread_mutex_unlock(&log->mutex);
    return number;
}

uint32_t write_log_make_directory(struct write_log *log, const char *path)
{
    struct write_log_op op = {.kind = WRITE_LOG_MAKE_DIRECTORY};
    uint32_t number = WRITE_LOG_NONE;

    pthread_mutex_lock(&log->mutex);
    if (inside(log, path, op.path) && strcmp(op.path, "/") != 0 &&
        crash_names_find(&log->visible, op.path) == CRASH_FILE_NONE) {
        op.file = log->file_count++;
        number = submit(log, op);
    }
    pthread_mutex_unlock(&log->mutex);
    return number;
}

uint32_t write_log_rename(struct write_log *log, const char *path, const char *new_path)
{
    struct write_log_op op = {.kind = WRITE_LOG_RENAME};
    uint32_t number = WRITE_LOG_NONE;

    pthread_mutex_lock(&log->mutex);
    if (inside(log, path, op.path) && inside(log, new_path, op.new_path)) {
        op.file = crash_names_find(&log->visible, op.path);
        if (op.file != CRASH_FILE_NONE)
            number = submit(log, op);
    }
    pthread_mutex_unlock(&log->mutex);
    return number;
}

uint32_t write_log_unlink(struct write_log *log, const char *path)
{
    struct write_log_op op = {.kind = WRITE_LOG_UNLINK};
    uint32_t number = WRITE_LOG_NONE;

    pthread_mutex_lock(&log->mutex);
    if (inside(log, path, op.path)) {
        op.file = crash_names_find(&log->visible, op.path);
        if (op.file != CRASH_FILE_NONE)
            number = submit(log, op);
    }
    pthread_mutex_unlock(&log->mutex);
    return number;
}

uint32_t write_log_sync_directory(struct write_log *log, const char *path)
{
    struct write_log_op op = {.kind = WRITE_LOG_SYNC_DIRECTORY, .file = CRASH_FILE_NONE};
    uint32_t number = WRITE_LOG_NONE;

    pthread_mutex_lock(&log->mutex);
    if (inside(log, path, op.path))
        number = submit(log, op);
    pthread_mutex_unlock(&log->mutex);
    return number;
}

void write_log_op_name(const struct write_log_op *op, struct crash_names *names)
{
    switch (op->kind) {
    case WRITE_LOG_CREATE:
    case WRITE_LOG_MAKE_DIRECTORY:
        crash_names_set(names, op->path, op->file);
        break;
    case WRITE_LOG_RENAME:
        crash_names_remove(names, op->path);
        crash_names_set(names, op->new_path, op->file);
        break;
    case WRITE_LOG_UNLINK:
        crash_names_remove(names, op->path);
        break;
    case WRITE_LOG_WRITE:
    case WRITE_LOG_RESIZE:
    case WRITE_LOG_SYNC:
    case WRITE_LOG_SYNC_DIRECTORY:
    case WRITE_LOG_MARK:
        break;
    }
}

static void complete(struct write_log *log, uint32_t number, int64_t result)
{
    struct write_log_op *op = &log->ops[number];

    assert(number < log->op_count);
    assert(op->completed == WRITE_LOG_NONE);
    op->completed = log->entry_count;
    op->result = result;
    add_entry(log, number, true);
    if (result >= 0)
        write_log_op_name(op, &log->visible);
}

void write_log_complete(struct write_log *log, uint32_t op, int64_t result)
{
    if (op == WRITE_LOG_NONE)
        return;
    pthread_mutex_lock(&log->mutex);
    complete(log, op, result);
    pthread_mutex_unlock(&log->mutex);
}

struct write_log_open write_log_open_begin(struct write_log *log, const char *path, int flags)
{
    struct write_log_open call = {.op = WRITE_LOG_NONE, .file = CRASH_FILE_NONE};

    call.is_directory = (flags & O_DIRECTORY) != 0;
    pthread_mutex_lock(&log->mutex);
    if (inside(log, path, call.path)) {
        struct write_log_op op = {.kind = WRITE_LOG_CREATE};

        call.file = crash_names_find(&log->visible, call.path);
        if (call.file == CRASH_FILE_NONE && (flags & O_CREAT) != 0) {
            op.file = call.file = log->file_count++;
            memcpy(op.path, call.path, sizeof(op.path));
            call.op = submit(log, op);
        } else if (call.file != CRASH_FILE_NONE && (flags & O_TRUNC) != 0) {
            op.kind = WRITE_LOG_RESIZE;
            op.file = call.file;
            call.op = submit(log, op);
        }
    }
    pthread_mutex_unlock(&log->mutex);
    return call;
}

void write_log_open_end(struct write_log *log, const struct write_log_open *call, int fd)
{
    pthread_mutex_lock(&log->mutex);
    if (call->op != WRITE_LOG_NONE)
        complete(log, call->op, fd);
    if (fd >= 0 && call->file != CRASH_FILE_NONE) {
        assert(fd < WRITE_LOG_FD_COUNT_MAX);
        log->fds[fd].file = call->file + 1;
        log->fds[fd].directory[0] = '\0';
        if (call->is_directory)
            memcpy(log->fds[fd].directory, call->path, sizeof(call->path));
    }
    pthread_mutex_unlock(&log->mutex);
}

void write_log_close(struct write_log *log, int fd)
{
    pthread_mutex_lock(&log->mutex);
    if (ours(log, fd) != NULL)
        log->fds[fd].file = 0;
    pthread_mutex_unlock(&log->mutex);
}

uint32_t write_log_mark(struct write_log *log)
{
    uint32_t entry;

    pthread_mutex_lock(&log->mutex);
    entry = log->entry_count;
    (void)submit(log, (struct write_log_op){.kind = WRITE_LOG_MARK});
    pthread_mutex_unlock(&log->mutex);
    return entry;
}

void write_log_describe(const struct write_log *log, uint32_t entry, char *text, size_t text_size)
{
    static const char *const names[] = {
        [WRITE_LOG_WRITE] = "write",   [WRITE_LOG_RESIZE] = "truncate",
        [WRITE_LOG_SYNC] = "fsync",    [WRITE_LOG_CREATE] = "create",
        [WRITE_LOG_RENAME] = "rename", [WRITE_LOG_MAKE_DIRECTORY] = "mkdir",
        [WRITE_LOG_UNLINK] = "unlink", [WRITE_LOG_SYNC_DIRECTORY] = "fsync of directory",
        [WRITE_LOG_MARK] = "client",
    };
    const struct write_log_op *op = &log->ops[log->entries[entry].op];
    const char *phase = log->entries[entry].is_completion ? "done" : "begins";
    char place[256];

    snprintf(text, text_size, "entry %u op %u: %s %s", entry, log->entries[entry].op,
             names[op->kind], phase);
    if (op->path[0] != '\0')
        snprintf(place, sizeof(place), " %s%s%s", op->path, op->new_path[0] != '\0' ? " -> " : "",
                 op->new_path);
    else if (op->kind == WRITE_LOG_WRITE)
        snprintf(place, sizeof(place), ", file %u at %llu, %llu bytes%s", op->file,
                 (unsigned long long)op->offset, (unsigned long long)op->size,
                 op->durable ? ", durable" : "");
    else
        snprintf(place, sizeof(place), ", file %u", op->file);
    snprintf(text + strlen(text), text_size - strlen(text), "%s", place);
}

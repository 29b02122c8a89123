/*
 * Write log: everything a server asked of its disk, in one order over all threads.
 *
 * An operation has two entries: it was handed over, and its completion was seen. The
 * first is noted before the kernel hears of it and the second before the server does,
 * so whatever the server knew at a moment is in the log by then. Files are numbers
 * that survive a rename. Acknowledgements and sends of clients are marks in the same
 * order. io_recorder.h and disk_recorder.h fill a log in; crash_cursor.h reads it.
 *
 * All functions but the readers may be called by any thread.
 */
#pragma once

#include <pthread.h>

#include "tests/crash/crash_disk.h"

enum {
    WRITE_LOG_ROOT_SIZE_MAX = 512,
    WRITE_LOG_FD_COUNT_MAX = 4096,
};

#define WRITE_LOG_NONE UINT32_MAX

enum write_log_kind {
    WRITE_LOG_WRITE,
    WRITE_LOG_RESIZE,         /* truncate(2), O_TRUNC */
    WRITE_LOG_SYNC,           /* of a file */
    WRITE_LOG_CREATE,         /* a name for a new file */
    WRITE_LOG_MAKE_DIRECTORY, /* likewise, of a directory */
    WRITE_LOG_RENAME,
    WRITE_LOG_UNLINK,
    WRITE_LOG_SYNC_DIRECTORY,
    WRITE_LOG_MARK, /* one entry, no effect: something was sent or acknowledged */
};

/* One operation. Paths are those of the crash disk: without the root. */
struct write_log_op {
    enum write_log_kind kind;
    uint32_t file;
    uint64_t offset; /* the new size of a RESIZE */
    uint64_t size;
    char *data; /* owned by the log */
    bool durable;
    char path[CRASH_PATH_SIZE_MAX];     /* of the directory of a SYNC_DIRECTORY */
    char new_path[CRASH_PATH_SIZE_MAX]; /* of a RENAME */
    uint32_t submitted;                 /* entry */
    uint32_t completed;                 /* entry, or WRITE_LOG_NONE */
    int64_t result;
};

/* One moment. */
struct write_log_entry {
    uint32_t op;
    bool is_completion;
};

/* What a descriptor stands for. */
struct write_log_fd {
    uint32_t file; /* plus one; 0: not one of ours */
    char directory[CRASH_PATH_SIZE_MAX];
};

/* Read-only for others once nobody records any more. */
struct write_log {
    pthread_mutex_t mutex;
    char root[WRITE_LOG_ROOT_SIZE_MAX]; /* what real paths begin with; "" when they do not differ */
    struct crash_disk initial;          /* the disk before the first entry */
    struct crash_names visible;         /* the names now */
    uint32_t file_count;
    struct write_log_op *ops;
    uint32_t op_count;
    uint32_t op_capacity;
    struct write_log_entry *entries;
    uint32_t entry_count;
    uint32_t entry_capacity;
    struct write_log_fd fds[WRITE_LOG_FD_COUNT_MAX];
};

/* An open(2) on its way. */
struct write_log_open {
    uint32_t op;   /* CREATE or RESIZE, or WRITE_LOG_NONE */
    uint32_t file; /* CRASH_FILE_NONE when it does not exist */
    bool is_directory;
    char path[CRASH_PATH_SIZE_MAX];
};

/* An empty log of a disk that is now as initial, of which it takes a copy. */
void write_log_init(struct write_log *log, const char *root, const struct crash_disk *initial);

/* Frees what the log holds. */
void write_log_deinit(struct write_log *log);

/* A write to an open file of ours; the operation, or WRITE_LOG_NONE for any other descriptor. */
uint32_t write_log_write(struct write_log *log, int fd, const char *data, uint64_t size,
                         uint64_t offset, bool durable);

/* Likewise for ftruncate(2) and fsync(2). */
uint32_t write_log_resize(struct write_log *log, int fd, uint64_t size);
uint32_t write_log_sync(struct write_log *log, int fd);

/* Likewise for names; WRITE_LOG_NONE when the call cannot succeed or is not below the root. */
uint32_t write_log_make_directory(struct write_log *log, const char *path);
uint32_t write_log_rename(struct write_log *log, const char *path, const char *new_path);
uint32_t write_log_unlink(struct write_log *log, const char *path);
uint32_t write_log_sync_directory(struct write_log *log, const char *path);

/* The operation's completion was seen; op may be WRITE_LOG_NONE. */
void write_log_complete(struct write_log *log, uint32_t op, int64_t result);

/* open(2) begins, and ends with fd or -errno. */
struct write_log_open write_log_open_begin(struct write_log *log, const char *path, int flags);
void write_log_open_end(struct write_log *log, const struct write_log_open *call, int fd);

/* The descriptor is being closed. */
void write_log_close(struct write_log *log, int fd);

/* A moment of the clients; its entry. */
uint32_t write_log_mark(struct write_log *log);

/* Changes names as the operation does; one that concerns no name changes nothing. */
void write_log_op_name(const struct write_log_op *op, struct crash_names *names);

/* One line on an entry, for people. */
void write_log_describe(const struct write_log *log, uint32_t entry, char *text, size_t text_size);

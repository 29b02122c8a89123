/*
 * Disk: blocking file calls for start-up, recovery and command-line tools.
 *
 * A running shard uses io.h; nothing here may be called from an actor. The
 * implementations are disk_posix.c and the simulator's disk, where the
 * descriptors are the same ones that its io backend reads and writes.
 * Every call answers 0 or a count on success and -errno otherwise.
 */
#pragma once

#include <aio.h>

#include "runtime/base.h"

enum {
    DISK_NAME_SIZE_MAX = 256,
    DISK_BOOT_ID_SIZE = 16,
};

struct disk;

/* Called for each entry of a directory except "." and ".."; a negative answer ends the listing. */
struct disk_visitor {
    int (*visit)(struct disk_visitor *visitor, const char *name);
};

/* A read that goes on while its owner does something else. Zeroed: none is under way. */
struct disk_ahead {
    struct disk *disk;
    char *data;
    size_t size;
    uint64_t offset;
    int fd;
    bool is_begun;        /* else it is done when it is waited for */
    struct aiocb control; /* of disk_posix.c */
};

/* One implementation; each embeds struct disk first. */
struct disk_vtable {
    int (*open)(struct disk *disk, const char *path, int flags, uint32_t mode);
    void (*close)(struct disk *disk, int fd);
    int64_t (*read)(struct disk *disk, int fd, void *data, size_t size, uint64_t offset);
    int64_t (*write)(struct disk *disk, int fd, const void *data, size_t size, uint64_t offset);
    int (*sync)(struct disk *disk, int fd);
    int (*sync_directory)(struct disk *disk, const char *path);
    int (*size)(struct disk *disk, int fd, uint64_t *ret_size);
    int (*truncate)(struct disk *disk, int fd, uint64_t size);
    int (*rename)(struct disk *disk, const char *path, const char *new_path);
    int (*unlink)(struct disk *disk, const char *path);
    int (*make_directory)(struct disk *disk, const char *path, uint32_t mode);
    int (*list)(struct disk *disk, const char *path, struct disk_visitor *visitor);
    int (*lock)(struct disk *disk, int fd);
    int (*space)(struct disk *disk, const char *path, uint64_t *ret_free, uint64_t *ret_total);
    bool (*is_volatile)(struct disk *disk, const char *path); /* NULL: never */
    int (*map)(struct disk *disk, const char *path, size_t size, char **ret_memory); /* or NULL */
    void (*unmap)(struct disk *disk, char *memory, size_t size);
    int (*boot_id)(struct disk *disk, uint8_t ret_id[DISK_BOOT_ID_SIZE]); /* or NULL */
    /* Both or none. An error of the first: it is done when it is waited for. */
    int (*ahead_begin)(struct disk *disk, struct disk_ahead *ahead);
    int64_t (*ahead_end)(struct disk *disk, struct disk_ahead *ahead);
};

struct disk {
    const struct disk_vtable *vtable;
};

/* The real file system. Stateless, usable from any thread. */
struct disk *disk_posix(void);

/* open(2) with O_CLOEXEC added: descriptor or -errno. */
MUST_USE int disk_open(struct disk *disk, const char *path, int flags, uint32_t mode);

/* close(2). */
void disk_close(struct disk *disk, int fd);

/* pread(2) and pwrite(2), EINTR repeated; may be short at the end of the file. */
MUST_USE int64_t disk_read(struct disk *disk, int fd, void *data, size_t size, uint64_t offset);
MUST_USE int64_t disk_write(struct disk *disk, int fd, const void *data, size_t size,
                            uint64_t offset);

/*
 * A disk_read() whose answer is asked for later, of one who has none under way. data belongs to
 * the disk, and fd stays open, until it has ended or been dropped.
 */
void disk_ahead_begin(struct disk_ahead *ahead, struct disk *disk, int fd, char *data, size_t size,
                      uint64_t offset);
MUST_USE int64_t disk_ahead_end(struct disk_ahead *ahead);

/* Ends it, if one is under way; what it read, if anything, does not matter. */
void disk_ahead_drop(struct disk_ahead *ahead);

/* fsync(2) of the file. */
MUST_USE int disk_sync(struct disk *disk, int fd);

/* fsync(2) of the directory: makes names durable. */
MUST_USE int disk_sync_directory(struct disk *disk, const char *path);

/* The file's size in bytes. */
MUST_USE int disk_size(struct disk *disk, int fd, uint64_t *ret_size);

/* ftruncate(2). */
MUST_USE int disk_truncate(struct disk *disk, int fd, uint64_t size);

/* rename(2), unlink(2), mkdir(2). */
MUST_USE int disk_rename(struct disk *disk, const char *path, const char *new_path);
MUST_USE int disk_unlink(struct disk *disk, const char *path);
MUST_USE int disk_make_directory(struct disk *disk, const char *path, uint32_t mode);

/* Visits the entries of a directory in no particular order. */
MUST_USE int disk_list(struct disk *disk, const char *path, struct disk_visitor *visitor);

/* Exclusive advisory lock, dropped with the descriptor or the process. -EWOULDBLOCK when held. */
MUST_USE int disk_lock(struct disk *disk, int fd);

/* Free (for this user) and total bytes of the file system that holds path. */
MUST_USE int disk_space(struct disk *disk, const char *path, uint64_t *ret_free,
                        uint64_t *ret_total);

/* True when path lies on a file system that lives in memory (tmpfs, ramfs). */
bool disk_is_volatile(struct disk *disk, const char *path);

/*
 * Maps a file of size bytes, made when it is not there, into memory: what is written to it
 * outlives the process, however that ends, but not the machine. The space is the file's, so
 * that no later write can fail. -ENOSYS where there is no such thing.
 */
MUST_USE int disk_map(struct disk *disk, const char *path, size_t size, char **ret_memory);

/* Ends the mapping and nulls the pointer; the file stays. NULL is accepted. */
void disk_unmap(struct disk *disk, char **memory, size_t size);

/* What tells this boot of the machine from every other one. -errno when it cannot be known. */
MUST_USE int disk_boot_id(struct disk *disk, uint8_t ret_id[DISK_BOOT_ID_SIZE]);

/*
 * Crash disk: a file system in memory that is cheap to copy.
 *
 * One crash state is one disk. Thousands of them differ in a few blocks, so files and
 * blocks are shared between copies and parted on the first write. Nothing is ever lost
 * here and nothing fails: which effects reached the medium has been decided before
 * (crash_cursor.h). As a struct disk it serves recovery like any other.
 */
#pragma once

#include "runtime/disk.h"
#include "tests/crash/crash_names.h"

enum {
    CRASH_BLOCK_SIZE = 4096,
    CRASH_FILE_COUNT_MAX = 512,
    CRASH_FD_COUNT_MAX = 32,
};

struct crash_block;
struct crash_file;

/* The numbers of files are the owner's; those without a name cannot be opened. */
struct crash_disk {
    struct disk disk;
    struct crash_names names;
    struct crash_file *files[CRASH_FILE_COUNT_MAX]; /* by number; shared, NULL: none */
    uint32_t file_count;                            /* one above the highest number */
    uint32_t fds[CRASH_FD_COUNT_MAX];               /* file plus one; 0: free */
};

/* An empty disk. */
void crash_disk_init(struct crash_disk *cd);

/* A copy with no descriptor open; *copy need not be initialised. */
void crash_disk_copy(struct crash_disk *copy, const struct crash_disk *cd);

/* Frees what the disk holds. */
void crash_disk_deinit(struct crash_disk *cd);

/* An empty file of this number, without a name. It must not exist. */
void crash_disk_add_file(struct crash_disk *cd, uint32_t file, bool is_directory);

/* Writes to a file by its number; data NULL writes nothing and only makes the file longer. */
void crash_disk_put(struct crash_disk *cd, uint32_t file, const char *data, uint64_t size,
                    uint64_t offset);

/* Sets the size of a file by its number. */
void crash_disk_resize(struct crash_disk *cd, uint32_t file, uint64_t size);

/* True when both show the same names with the same bytes; else difference (256 bytes) says which
 * name. */
bool crash_disk_equals(const struct crash_disk *cd, const struct crash_disk *other,
                       char *difference);

/* Makes the same files on another disk under root, which must exist. 0 or -errno. */
MUST_USE int crash_disk_export(const struct crash_disk *cd, struct disk *target, const char *root);

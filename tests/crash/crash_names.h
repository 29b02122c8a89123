/*
 * Crash names: which path means which file, on a disk that is in memory.
 *
 * Paths are absolute and plain ("/data/superblock"); a file is a number that the
 * owner gives it. Directories are named like files; the root "/" always exists and
 * is not listed. A fixed array: the directories of a small server have few names.
 */
#pragma once

#include "runtime/base.h"

enum {
    CRASH_PATH_SIZE_MAX = 96,
    CRASH_NAME_COUNT_MAX = 96,
};

#define CRASH_FILE_NONE UINT32_MAX

/* One name. */
struct crash_name {
    char path[CRASH_PATH_SIZE_MAX];
    uint32_t file;
};

/* Embedded by value, zeroed when empty; copied by assignment. */
struct crash_names {
    struct crash_name entries[CRASH_NAME_COUNT_MAX];
    uint32_t count;
};

/* The file that path means, or CRASH_FILE_NONE. */
uint32_t crash_names_find(const struct crash_names *names, const char *path);

/* Lets path mean file from now on. */
void crash_names_set(struct crash_names *names, const char *path, uint32_t file);

/* Forgets path, if it is there. */
void crash_names_remove(struct crash_names *names, const char *path);

/* The directory that holds path, as a path of its own. */
void crash_names_parent(const char *path, char ret_parent[CRASH_PATH_SIZE_MAX]);

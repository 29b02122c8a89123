/*
 * Sim names: which path means which file; one map for readers, one for the medium.
 *
 * Paths are kept whole and normal: no leading slash (the working directory is
 * the root), no empty, "." or ".." component; the root is "". For sim_disk.c.
 */
#pragma once

#include "runtime/sim_file.h"

enum {
    SIM_PATH_SIZE_MAX = 256,
    SIM_NAME_COUNT_MAX = 1 << 16,
};

/* Private to sim_names.c, but that sim_disk.c reads the entries in order. */
struct sim_name {
    uint64_t hash;
    struct sim_file *file;
    char path[SIM_PATH_SIZE_MAX];
};

/* Embedded by value. */
struct sim_names {
    struct sim_name *entries;
    uint32_t count;
    uint32_t capacity;
};

/* An empty map. */
void sim_names_init(struct sim_names *names);

/* Forgets all names, with their references. */
void sim_names_clear(struct sim_names *names);

/* The file that path (normal) means, or NULL. Borrowed. */
struct sim_file *sim_names_find(const struct sim_names *names, const char *path);

/* Lets path mean file, of which it takes a reference of its own; what it meant before is let go. */
void sim_names_set(struct sim_names *names, const char *path, struct sim_file *file);

/* Forgets path, if it is there. */
void sim_names_remove(struct sim_names *names, const char *path);

/* Makes path normal. 0, -ENAMETOOLONG, or -ENOENT for an empty path. */
MUST_USE int sim_path_normalise(const char *path, char ret_normal[SIM_PATH_SIZE_MAX]);

/* The directory that holds the normal path; "" for what stands in the root. */
void sim_path_parent(const char *path, char ret_parent[SIM_PATH_SIZE_MAX]);

/* The last component of the normal path. Borrowed from it. */
const char *sim_path_base(const char *path);

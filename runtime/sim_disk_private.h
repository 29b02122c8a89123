/*
 * Sim disk, private: what sim_disk.c, sim_disk_data.c and sim_disk_calls.c share.
 *
 * Every call on the disk passes sim_disk_begin(), which counts it and may let the
 * host die inside it. A dying call has its effect or not, by a coin, and answers
 * -EIO either way.
 */
#pragma once

#include <errno.h>

#include "runtime/sim_disk.h"

/* What sim_disk_begin() decided about a call. */
enum fate {
    FATE_GO_ON,
    FATE_DIES_AFTER,
    FATE_DIES_BEFORE,
    FATE_DEAD,
};

/* The blocking calls; in sim_disk_calls.c. */
extern const struct disk_vtable sim_disk_vtable;

/* Asserts what holds between calls. */
static inline void sim_disk_check(const struct sim_disk *sd)
{
    assert(sd->disk.vtable == &sim_disk_vtable);
    assert(sd->change_count <= sd->change_capacity);
    assert(sd->change_capacity <= SIM_CHANGE_COUNT_MAX);
}

/* Counts a call and draws its fate. */
static inline enum fate sim_disk_begin(struct sim_disk *sd)
{
    int r;

    sim_disk_check(sd);
    r = sim_host_enter_disk(sd->host);
    if (r < 0)
        return FATE_DEAD;
    if (r == 0)
        return FATE_GO_ON;
    return sim_world_coin(sd->host->world) ? FATE_DIES_AFTER : FATE_DIES_BEFORE;
}

/* True when a call of this fate does what it is there for. */
static inline bool fate_has_effect(enum fate fate)
{
    return fate == FATE_GO_ON || fate == FATE_DIES_AFTER;
}

/* True when the fault strikes this call. */
static inline bool sim_disk_strikes(struct sim_disk *sd, struct sim_fault *fault)
{
    return sim_fault_strikes(fault, &sd->host->world->rng);
}

/* Bytes that a file of this size takes. */
static inline uint64_t sim_disk_space_of(uint64_t size)
{
    return round_up_u64(size, SIM_BLOCK_SIZE);
}

/* Lets path (normal) mean file for readers; what it meant before is let go. */
void sim_disk_link_name(struct sim_disk *sd, const char *path, struct sim_file *file);

/* An empty file of this disk with one reference; directory_path as sim_file_new() has it. */
struct sim_file *sim_disk_make_file(struct sim_disk *sd, const char *directory_path);

/* Forgets the changes of names that the medium does not have. */
void sim_disk_drop_changes(struct sim_disk *sd);

/* Settles as the worst crash would: all that is not durable is lost. Draws nothing. */
void sim_disk_drop_unsynced(struct sim_disk *sd);

/* Changes the size of a file in use and the space it takes. For open and truncate. */
void sim_disk_resize(struct sim_disk *sd, struct sim_file *file, uint64_t size);

/* Brings to the medium the changes of names in directory (a normal path). */
void sim_disk_sync_names(struct sim_disk *sd, const char *directory);

/* mkdir(2), fsync(2) of a directory, a listing: as struct disk has them. */
MUST_USE int sim_disk_make_directory(struct sim_disk *sd, const char *path);
MUST_USE int sim_disk_sync_directory(struct sim_disk *sd, const char *path);
MUST_USE int sim_disk_list(struct sim_disk *sd, const char *path, struct disk_visitor *visitor);

/* ftruncate(2), fstat(2), flock(2), statfs(2): as struct disk has them. */
MUST_USE int sim_disk_truncate(struct sim_disk *sd, int fd, uint64_t size);
MUST_USE int sim_disk_size(struct sim_disk *sd, int fd, uint64_t *ret_size);
MUST_USE int sim_disk_lock(struct sim_disk *sd, int fd);
MUST_USE int sim_disk_space(struct sim_disk *sd, uint64_t *ret_free, uint64_t *ret_total);

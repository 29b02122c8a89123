/*
 * Sim damage: what a disk that lies does to bytes, and the note of it.
 *
 * A write that never reached the medium, or reached another place, or with one bit
 * flipped; a sync that did nothing; a read that differs once. The caller is told
 * that all is well. A server cannot keep its promise on such a disk, but it must
 * notice; a checker reads here whether there was anything to notice. The switches
 * are in sim_faults.h. Functions are for sim_disk*.c only.
 *
 * Writes that bypass the page cache (O_DIRECT, or durable by themselves) are damaged
 * for readers at once. Others are damaged on the medium: readers see it when the
 * page cache has gone, after a crash, unless the place is written again before.
 */
#pragma once

#include "runtime/sim_names.h"

struct sim_disk;

enum { SIM_DAMAGE_COUNT_MAX = 16 }; /* remembered; all are counted */

enum sim_damage_kind {
    SIM_DAMAGE_WRITE_LOST,
    SIM_DAMAGE_WRITE_MISDIRECTED,
    SIM_DAMAGE_WRITE_FLIPPED,
    SIM_DAMAGE_SYNC_LIED,
    SIM_DAMAGE_READ_FLIPPED, /* nothing is wrong with the medium */
};

/* One strike. */
struct sim_damage {
    enum sim_damage_kind kind;
    char path[SIM_PATH_SIZE_MAX]; /* "" for a file without a name, and for the root */
    uint64_t offset;              /* where the bytes should have gone, or the byte that differs */
    uint64_t size;                /* 0 for a sync */
    char other_path[SIM_PATH_SIZE_MAX]; /* where misdirected bytes went; else "" */
    uint64_t other_offset;
    uint64_t other_size; /* 0: nowhere */
};

/* A write that is about to succeed. Borrowed for the call. */
struct sim_write {
    struct sim_file *file;
    const char *data;
    uint64_t size;
    uint64_t offset;
    bool durable;
    bool direct; /* past the page cache: readers see what the medium has */
    int fd;      /* for the trace */
};

/* Writes, with damage when a fault strikes. The space that the file takes is the caller's. */
void sim_damage_write(struct sim_disk *sd, const struct sim_write *write);

/* True when a sync of file is to do nothing and say that it did. */
bool sim_damage_sync(struct sim_disk *sd, int fd, const struct sim_file *file);

/* Flips a bit of what was read, if the fault strikes. */
void sim_damage_read(struct sim_disk *sd, int fd, const struct sim_file *file, char *data,
                     uint64_t size, uint64_t offset);

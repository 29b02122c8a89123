/*
 * Sim disk: a host's file system, its fault injection and its crashes.
 *
 * The same files serve the blocking calls of struct disk and the operations of
 * io_sim.h. What a crash may take: blocks and sizes that no sync or durable
 * write covered (sim_file.h), and names that no sync of their directory covered.
 * What it may not take: anything else. An fsync of a file does not make its name
 * durable, a rename is all or nothing, a directory cannot be renamed or removed.
 * Space is counted by file size, holes included. A mapped file (one) stays as it is when the
 * process dies; of a machine's crash it comes back as it was, or empty, in turns.
 */
#pragma once

#include "runtime/disk.h"
#include "runtime/sim_damage.h"
#include "runtime/sim_host.h"
#include "runtime/sim_names.h"

/* One change of names that the medium may not have yet. Private to sim_disk.c. */
struct sim_change {
    struct sim_file *file;   /* what new_path means from now on, or NULL */
    uint64_t removed_number; /* the file that path meant: it is forgotten, unless 0 */
    char path[SIM_PATH_SIZE_MAX];
    char new_path[SIM_PATH_SIZE_MAX]; /* set, unless file is NULL */
};

enum { SIM_CHANGE_COUNT_MAX = 1 << 16 };

/* Private to sim_disk*.c, but that stats, capacity and damages may be read. */
struct sim_disk {
    struct disk disk;
    struct sim_host *host;
    struct sim_names names;         /* what readers see */
    struct sim_names durable_names; /* what the medium holds */
    struct sim_change *changes;     /* from the second to the first, in order */
    uint32_t change_count;
    uint32_t change_capacity;
    struct list_node files;
    uint64_t file_count;     /* made so far */
    uint64_t write_sequence; /* of the latest write */
    uint64_t capacity;       /* bytes */
    uint64_t used;           /* bytes */
    char *mapped; /* the one file that is mapped, apart from the others; NULL: none yet */
    uint64_t mapped_size;
    uint64_t crash_count; /* the boot, as far as disk_boot_id() goes */
    struct sim_crash_stats stats;
    uint64_t damage_count;                           /* since the disk was made */
    struct sim_damage damages[SIM_DAMAGE_COUNT_MAX]; /* number n (from 0) at n modulo the size */
};

/* An empty disk of 1 TiB for host. */
struct sim_disk *sim_disk_new(struct sim_host *host);

/* Frees the disk with its files and nulls the pointer. */
void sim_disk_free(struct sim_disk **sd);

/* Sets the size of the medium; what is there stays, even if it is more. */
void sim_disk_set_capacity(struct sim_disk *sd, uint64_t capacity);

/*
 * Flips the bits of mask in the byte at offset of the file at path, as if the
 * medium had rotted. 0, -ENOENT, or -EINVAL beyond the end.
 */
MUST_USE int sim_disk_flip(struct sim_disk *sd, const char *path, uint64_t offset, uint8_t mask);

/* Settles all that is not durable. No descriptor may be open. For sim_host_crash(). */
void sim_disk_crash(struct sim_disk *sd);

/* A hash of all names and bytes that readers see: two disks with the same content have the same. */
uint64_t sim_disk_hash(const struct sim_disk *sd);

/* The latest damage, or NULL when there was none. */
const struct sim_damage *sim_disk_last_damage(const struct sim_disk *sd);

/*
 * What the medium is sure to hold, whatever a crash at this very moment did: bytes
 * of the file that its durable names call path, without what is not synced. The
 * count; -ENOENT when no durable name says path, or a directory above it is not
 * durable; -EISDIR. Nothing strikes, nothing is drawn, traced or counted.
 */
MUST_USE int64_t sim_disk_read_medium(const struct sim_disk *sd, const char *path, char *data,
                                      uint64_t size, uint64_t offset);

/*
 * Copies the content of a disk onto the empty one of host, which may belong to
 * another world: what readers see, what is durable, what is not yet; descriptors
 * and locks are left out. sim_disk_clone_medium() copies only what the medium is
 * sure to hold: the disk after the worst crash possible now. Neither draws, traces
 * or changes anything at the source.
 */
void sim_disk_clone(const struct sim_disk *sd, struct sim_host *host);
void sim_disk_clone_medium(const struct sim_disk *sd, struct sim_host *host);

/* open(2) and the others as asynchronous operations do them; same answers as struct disk. */
MUST_USE int sim_disk_open(struct sim_disk *sd, const char *path, int flags);
MUST_USE int sim_disk_rename(struct sim_disk *sd, const char *path, const char *new_path);
MUST_USE int sim_disk_unlink(struct sim_disk *sd, const char *path);
MUST_USE int64_t sim_disk_read(struct sim_disk *sd, int fd, char *data, uint64_t size,
                               uint64_t offset);
MUST_USE int64_t sim_disk_write(struct sim_disk *sd, int fd, const char *data, uint64_t size,
                                uint64_t offset, bool durable);

/* Makes durable what was written up to sequence (sd->write_sequence when the call was made). */
MUST_USE int sim_disk_sync(struct sim_disk *sd, int fd, uint64_t sequence);

/* What a write that never completes leaves behind: all, some or nothing of it. */
void sim_disk_abandon_write(struct sim_disk *sd, int fd, const char *data, uint64_t size,
                            uint64_t offset);

/* Lets go of a descriptor's file and of its lock; nulls the pointer. For sim_host.c. */
void sim_disk_let_go(struct sim_disk *sd, int fd, struct sim_file **file);

/*
 * Sim file: the bytes of one file, and which of them the medium holds.
 *
 * Content is a sparse map of 4 KiB blocks. A block that was written and not
 * synced keeps the medium's version (base) beside what readers see (data); a
 * sync drops the base, a crash settles each block one way or the other. The
 * same goes for the size. Names are not the file's business (sim_disk.h).
 * For runtime/sim_*.c only.
 */
#pragma once

#include "runtime/list.h"
#include "runtime/rng.h"

enum {
    SIM_BLOCK_SIZE = 4096,
    SIM_SECTOR_SIZE = 512,
};

/* What crashes and tests did to unsynced blocks, over the life of a disk. */
struct sim_crash_stats {
    uint64_t kept_count;
    uint64_t dropped_count;
    uint64_t torn_count;
    uint64_t garbage_count; /* sectors */
    uint64_t size_lost_count;
    uint64_t name_kept_count;
    uint64_t name_lost_count;
};

/* How one crash treats unsynced blocks; drawn once per crash. */
enum sim_crash_mode {
    SIM_CRASH_MIXED, /* each block its own way */
    SIM_CRASH_KEEP,
    SIM_CRASH_DROP,
    SIM_CRASH_TEAR,
};

struct sim_fault;

/* One crash. Borrowed for the call. */
struct sim_crash {
    enum sim_crash_mode mode;
    struct sim_fault *garbage; /* strikes torn sectors */
    struct rng *rng;
    struct sim_crash_stats *stats;
};

/* Private to sim_file.c. */
struct sim_block {
    struct list_node dirty_link; /* file->dirty while base is set */
    uint64_t index;
    uint64_t dirty_sequence; /* of the first write that base does not have */
    char *base;              /* what the medium holds; NULL: the same as data */
    bool sync_failed;        /* a sync gave up on it: only another write makes it dirty again */
    char data[SIM_BLOCK_SIZE];
};

/* Private to sim_file.c, sim_disk*.c and sim_damage.c. */
struct sim_file {
    struct list_node link; /* the disk's files */
    uint64_t number;       /* in order of creation; never used again */
    uint64_t size;
    uint64_t durable_size;
    struct sim_block **blocks; /* NULL: a hole, zeroes both on the medium and for readers */
    uint64_t block_capacity;
    struct list_node dirty;
    uint32_t ref_count;    /* names, durable names, pending changes, descriptors */
    uint32_t in_use_count; /* names and descriptors: while positive, the space is taken */
    int32_t lock_fd;       /* descriptor that holds the lock, or -1 */
    char *directory_path;  /* for a directory, its own; else NULL */
};

/* An empty file with one reference; for a directory directory_path is copied, else NULL. */
struct sim_file *sim_file_new(uint64_t number, const char *directory_path);

/* One more reference. */
struct sim_file *sim_file_ref(struct sim_file *file);

/* Drops one reference, the last one frees the file; nulls the pointer. NULL is accepted. */
void sim_file_unref(struct sim_file **file);

/* Copies what is there of size bytes at offset; the count. */
uint64_t sim_file_read(const struct sim_file *file, char *data, uint64_t size, uint64_t offset);

/*
 * Writes; sequence numbers writes so that a sync can tell older from newer. A
 * durable one is on the medium at once, with the size.
 */
void sim_file_write(struct sim_file *file, const char *data, uint64_t size, uint64_t offset,
                    uint64_t sequence, bool durable);

/* Writes a part, not durably: each block wholly, in some sectors, or not at all. */
void sim_file_write_torn(struct sim_file *file, struct rng *rng, const char *data, uint64_t size,
                         uint64_t offset, uint64_t sequence);

/* Cuts or extends with zeroes; durable after a sync. */
void sim_file_truncate(struct sim_file *file, uint64_t size, uint64_t sequence);

/* Makes durable what was written up to sequence, and the size. */
void sim_file_sync(struct sim_file *file, uint64_t sequence);

/*
 * A sync that failed, as kernels do it: each dirty block is either on the medium
 * or not, all count as clean, and the next sync knows of nothing to write.
 */
void sim_file_sync_fail(struct sim_file *file, struct rng *rng);

/* Settles what was not durable. Readers then see what the medium holds. */
void sim_file_crash(struct sim_file *file, const struct sim_crash *crash);

/* Copies what the medium holds of size bytes at offset; the count. */
uint64_t sim_file_read_medium(const struct sim_file *file, char *data, uint64_t size,
                              uint64_t offset);

/* Copies content, sizes and what is not durable into copy, which is empty. */
void sim_file_copy(const struct sim_file *file, struct sim_file *copy);

/* Makes the file at least size long, as a write does; its bytes stay. */
void sim_file_extend(struct sim_file *file, uint64_t size, bool durable);

/*
 * Damage. Wrong bytes on the medium at offset, within the size; seen by readers, or
 * else only when the page cache has gone. What syncs still have to do stays as it is.
 */
void sim_file_damage(struct sim_file *file, const char *data, uint64_t size, uint64_t offset,
                     bool seen);

/* The kernel believes that it wrote these bytes back, and the medium never saw them. */
void sim_file_forget(struct sim_file *file, uint64_t size, uint64_t offset);

/* The kernel wrote the block at offset back, but for the bits of mask in the byte there. */
void sim_file_write_back_flipped(struct sim_file *file, uint64_t offset, uint8_t mask);

/* Flips the bits of mask in the byte at offset, on the medium and for readers. */
void sim_file_flip(struct sim_file *file, uint64_t offset, uint8_t mask);

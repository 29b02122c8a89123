/*
 * Segment pool: the files of one log, made before they are needed.
 *
 * Keeps spare files zeroed and renamed ahead of the journal, so that switching to
 * the next segment costs no metadata write; takes retired segments back as spares or
 * removes them. One file is zeroed at a time, one chunk in flight. The reserve is
 * a number of spares that ordinary appends leave alone once the disk is full.
 * Owned by the journal of the shard; all work is asynchronous after the open.
 *
 *     nothing --zero, sync, rename, sync dir--> spare --rename, sync dir--> next --take--> active
 */
#pragma once

#include "runtime/clock.h"
#include "runtime/disk.h"
#include "runtime/io.h"
#include "store/segment.h"
#include "store/superblock.h"

enum {
    SEGMENT_POOL_SPARES_MAX = 16,
    SEGMENT_POOL_RECYCLE_MAX = 2, /* spares kept above the target, from retired segments */
    SEGMENT_POOL_CHUNK_SIZE = 1 << 20,
    SEGMENT_POOL_CLOSES_MAX = 4,
    SEGMENT_POOL_RETIRE_TURNS = 2, /* retired segments that go before another is named */
    SEGMENT_POOL_RETRY_MS = 1000,
    SEGMENT_POOL_PATH_SIZE = SUPERBLOCK_PATH_SIZE_MAX + DISK_NAME_SIZE_MAX,
};

/* What the pool tells the journal. */
struct segment_pool_owner {
    /*
     * The next segment is ready, or space came back: try again what waited. After
     * segment_pool_stop(): something in flight ended, see segment_pool_is_idle().
     */
    void (*on_ready)(struct segment_pool_owner *owner);
    /* The retired segment seq is gone from the log's directory, durably. */
    void (*on_retired)(struct segment_pool_owner *owner, uint64_t seq);
    /* The file system failed; the pool does nothing more. */
    void (*on_error)(struct segment_pool_owner *owner, int error, const char *text);
};

struct segment_pool_config {
    struct io *io;
    struct disk *disk;
    const struct clock *clock;
    const char *data_path;
    uint32_t log;
    uint64_t segment_bytes;
    uint32_t spare_target;  /* ready files wanted, the reserve and the next one included */
    uint32_t reserve_count; /* of these, for important appends only */
    bool sealed;            /* make nothing, only retire */
    bool unsafe_storage;    /* no O_DIRECT */
};

/* A file that waits to be used, open. */
struct segment_spare {
    int fd;
    uint64_t number;
};

/* Steps of the two workers; see segment_pool.c. */
enum segment_pool_step {
    POOL_IDLE,
    POOL_OPEN,
    POOL_ZERO,
    POOL_SYNC,
    POOL_RENAME,
    POOL_SYNC_DIRECTORY,
    POOL_UNLINK,
    POOL_DISCARD, /* unlink of a file that could not be finished */
};

/* What the second worker does. */
enum segment_pool_job {
    POOL_JOB_NEXT,    /* spare becomes the next segment */
    POOL_JOB_RECYCLE, /* retired segment becomes a spare */
    POOL_JOB_REMOVE,  /* retired segment goes */
};

/* One close(2) in flight. */
struct segment_pool_closer {
    struct io_op op;
    struct segment_pool *pool;
};

/* Private to segment_pool.c; embedded by value in the journal. */
struct segment_pool {
    struct segment_pool_config config;
    struct segment_pool_owner *owner;
    char directory[SUPERBLOCK_PATH_SIZE_MAX + 16];
    int directory_fd;
    uint64_t number_next; /* for spare names */
    struct segment_spare spares[SEGMENT_POOL_SPARES_MAX];
    uint32_t spare_count;

    struct { /* the file being zeroed */
        struct io_op op;
        enum segment_pool_step step;
        int fd;
        uint64_t number;
        uint64_t offset;
        uint64_t retry_ns; /* not before; 0: at once */
        char path[SEGMENT_POOL_PATH_SIZE];
        char new_path[SEGMENT_POOL_PATH_SIZE];
    } maker;
    struct { /* the file being renamed or removed */
        struct io_op op;
        enum segment_pool_step step;
        enum segment_pool_job job;
        struct segment_spare spare;
        uint64_t retry_ns;
        char path[SEGMENT_POOL_PATH_SIZE];
        char new_path[SEGMENT_POOL_PATH_SIZE];
    } namer;

    uint64_t next_seq;   /* of the next segment, ready or wanted */
    int next_fd;         /* -1 until ready */
    uint64_t retire_seq; /* waiting to be retired, 0: none */
    uint64_t retire_size;
    uint32_t retire_turns; /* of SEGMENT_POOL_RETIRE_TURNS: left */
    struct segment_pool_closer closers[SEGMENT_POOL_CLOSES_MAX];
    char *zeros; /* SEGMENT_POOL_CHUNK_SIZE bytes, only read */
    bool no_space;
    bool stopped;
    bool failed;
};

/*
 * Opens the log's directory (made when missing), adopts its spares, removes what
 * was left half made, and gives the file of segment first_seq, under its name and
 * durable, unless sealed (-1 then). Blocks: start-up only. 0 or -errno.
 */
MUST_USE int segment_pool_open(struct segment_pool *pool, const struct segment_pool_config *config,
                               struct segment_pool_owner *owner, uint64_t first_seq, int *ret_fd);

/* Gives descriptors and memory back. The backend must have nothing of the pool in flight. */
void segment_pool_close(struct segment_pool *pool);

/* Starts what there is to do. To be called once after open and from segment_pool_tick(). */
void segment_pool_kick(struct segment_pool *pool);

/* Gives the descriptor of segment seq, which must be the next one; -EAGAIN when not ready. */
MUST_USE int segment_pool_take(struct segment_pool *pool, uint64_t seq);

/* Takes a descriptor that is no longer needed and closes it. */
void segment_pool_put(struct segment_pool *pool, int fd);

/* Starts retiring a segment file of this size; on_retired follows. One at a time. */
void segment_pool_retire(struct segment_pool *pool, uint64_t seq, uint64_t size);

/* Files ready for use, the next segment included. */
uint32_t segment_pool_ready_count(const struct segment_pool *pool);

/* Does delayed work; the mono_ns of the next call wanted, UINT64_MAX for none. */
uint64_t segment_pool_tick(struct segment_pool *pool);

/* Starts nothing more; what is in flight ends. */
void segment_pool_stop(struct segment_pool *pool);

/* True when stopped and nothing is in flight. */
bool segment_pool_is_idle(const struct segment_pool *pool);

/* "<data_path>/log-NN" into path; how every part of the store names a log's directory. */
void segment_log_path(char *path, size_t path_size, const char *data_path, uint32_t log);

/*
 * Two workers, each with one operation in flight:
 *
 *     maker   OPEN .tmp -> ZERO chunk by chunk -> SYNC -> RENAME to .spare
 *             -> SYNC_DIRECTORY -> one more spare
 *             on ENOSPC: DISCARD (unlink .tmp), then again when there is room
 *
 *     namer   next:    RENAME .spare to .seg -> SYNC_DIRECTORY -> next is ready
 *             recycle: OPEN .seg -> RENAME to .spare -> SYNC_DIRECTORY -> spare
 *             remove:  UNLINK .seg -> SYNC_DIRECTORY
 *
 * A name is only given to a file whose contents are durable, and the name is
 * durable before anyone relies on it, so a crash between any two steps leaves a
 * .tmp (removed at start), a spare (adopted), or an unused .seg (recovery makes it
 * a spare). The directory is synced after every removal, so segments disappear
 * strictly from the oldest on, and a hole in the middle is damage.
 *
 * Room on the disk is looked at with disk_space() before a file is begun: the one
 * blocking call in a running shard. statvfs(2) answers from memory, and the other
 * way to learn it, writing zeros until ENOSPC, would starve everybody else.
 *
 * Errors that pass (no descriptor left, interrupted, no space) are tried again
 * after SEGMENT_POOL_RETRY_MS; any other ends the journal.
 */
#include "store/segment_pool.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"

enum { DIRECTORY_MODE = 0700, FILE_MODE = 0600 };

static void maker_step(struct segment_pool *pool);
static void namer_step(struct segment_pool *pool);

static void pool_check(const struct segment_pool *pool)
{
    assert(pool->spare_count <= SEGMENT_POOL_SPARES_MAX);
    assert(pool->config.reserve_count <= pool->config.spare_target);
    assert(pool->config.spare_target + SEGMENT_POOL_RECYCLE_MAX < SEGMENT_POOL_SPARES_MAX);
    assert(pool->directory_fd >= 0);
}

void segment_log_path(char *path, size_t path_size, const char *data_path, uint32_t log)
{
    int size = snprintf(path, path_size, "%s/log-%02u", data_path, log);

    assert(size > 0);
    assert((size_t)size < path_size);
}

static void file_path(const struct segment_pool *pool, char *path, uint64_t number,
                      const char *suffix)
{
    char name[SEGMENT_NAME_SIZE];
    int size;

    segment_name_format(name, number, suffix);
    size = snprintf(path, SEGMENT_POOL_PATH_SIZE, "%s/%s", pool->directory, name);
    assert(size > 0);
    assert(size < SEGMENT_POOL_PATH_SIZE);
}

static int open_flags(const struct segment_pool *pool)
{
    return O_RDWR | O_CLOEXEC | (pool->config.unsafe_storage ? 0 : O_DIRECT);
}

static bool is_passing(int error)
{
    switch (error) {
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -EINTR:
    case -EAGAIN:
    case -ECANCELED:
    case -ENOSPC:
    case -EDQUOT:
        return true;
    default:
        return false;
    }
}

static bool is_no_space(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static uint64_t retry_time(const struct segment_pool *pool)
{
    return pool->config.clock->mono_ns + (uint64_t)SEGMENT_POOL_RETRY_MS * 1000000;
}

static void fail(struct segment_pool *pool, int error, const char *text)
{
    assert(error < 0);
    if (pool->failed)
        return;
    pool->failed = true;
    pool->stopped = true;
    pool->owner->on_error(pool->owner, error, text);
}

static void add_spare(struct segment_pool *pool, struct segment_spare spare)
{
    assert(spare.fd >= 0);
    assert(pool->spare_count < SEGMENT_POOL_SPARES_MAX);
    pool->spares[pool->spare_count++] = spare;
}

uint32_t segment_pool_ready_count(const struct segment_pool *pool)
{
    bool naming = pool->namer.step != POOL_IDLE && pool->namer.job == POOL_JOB_NEXT;

    return pool->spare_count + (pool->next_fd >= 0 || naming ? 1 : 0);
}

/* True when the file system has room for one more segment. */
static bool has_room(struct segment_pool *pool)
{
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;
    int r = disk_space(pool->config.disk, pool->directory, &free_bytes, &total_bytes);

    return r < 0 || free_bytes >= pool->config.segment_bytes;
}

static void maker_start(struct segment_pool *pool)
{
    if (pool->stopped || pool->config.sealed || pool->maker.step != POOL_IDLE)
        return;
    if (segment_pool_ready_count(pool) >= pool->config.spare_target) {
        pool->maker.retry_ns = 0; /* nothing to try again: a tick must not wait for it */
        return;
    }
    if (pool->maker.retry_ns > pool->config.clock->mono_ns)
        return;
    if (!has_room(pool)) {
        SOMETIMES("there is no room for a spare");
        pool->no_space = true;
        pool->maker.retry_ns = retry_time(pool);
        return;
    }
    pool->maker.retry_ns = 0;
    pool->maker.number = pool->number_next++;
    pool->maker.offset = 0;
    pool->maker.fd = -1;
    pool->maker.step = POOL_OPEN;
    file_path(pool, pool->maker.path, pool->maker.number, "tmp");
    file_path(pool, pool->maker.new_path, pool->maker.number, "spare");
    maker_step(pool);
}

/* Arms the operation of the maker's present step. */
static void maker_step(struct segment_pool *pool)
{
    struct io *io = pool->config.io;
    struct io_op *op = &pool->maker.op;
    uint64_t left = pool->config.segment_bytes - pool->maker.offset;

    switch (pool->maker.step) {
    case POOL_OPEN:
        io_open(io, op, pool->maker.path, open_flags(pool) | O_CREAT | O_TRUNC, FILE_MODE);
        break;
    case POOL_ZERO:
        io_write(io, op, pool->maker.fd, pool->zeros,
                 (uint32_t)min_u64(left, SEGMENT_POOL_CHUNK_SIZE), pool->maker.offset, 0);
        break;
    case POOL_SYNC:
        io_fsync(io, op, pool->maker.fd, 0);
        break;
    case POOL_RENAME:
        io_rename(io, op, pool->maker.path, pool->maker.new_path);
        break;
    case POOL_SYNC_DIRECTORY:
        io_fsync(io, op, pool->directory_fd, 0);
        break;
    case POOL_DISCARD:
        io_unlink(io, op, pool->maker.path);
        break;
    case POOL_IDLE:
    case POOL_UNLINK:
        assert(false);
    }
}

/* A step failed: give the half-made file up, and come back later if that makes sense. */
static void maker_failed(struct segment_pool *pool, int error)
{
    if (!is_passing(error)) {
        SOMETIMES("making a spare fails");
        fail(pool, error, "cannot prepare a segment file");
        pool->maker.step = POOL_IDLE;
        return;
    }
    if (is_no_space(error)) {
        SOMETIMES("making a spare meets a full disk");
        pool->no_space = true;
    }
    pool->maker.retry_ns = retry_time(pool);
    if (pool->maker.step == POOL_OPEN || pool->maker.step == POOL_DISCARD ||
        pool->maker.step == POOL_SYNC_DIRECTORY) {
        /* Nothing to remove, or its name is in doubt: what is left goes at the next start. */
        if (pool->maker.fd >= 0)
            segment_pool_put(pool, pool->maker.fd);
        pool->maker.fd = -1;
        pool->maker.step = POOL_IDLE;
        pool->owner->on_ready(pool->owner);
        return;
    }
    SOMETIMES("a spare that is half made is removed");
    segment_pool_put(pool, pool->maker.fd);
    pool->maker.fd = -1;
    pool->maker.step = POOL_DISCARD;
    maker_step(pool);
}

static void maker_finished(struct segment_pool *pool)
{
    SOMETIMES("a spare is made");
    add_spare(pool, (struct segment_spare){pool->maker.fd, pool->maker.number});
    pool->maker.fd = -1;
    pool->maker.step = POOL_IDLE;
    pool->no_space = false;
    segment_pool_kick(pool);
    pool->owner->on_ready(pool->owner);
}

static void on_maker_done(struct io_op *op, const struct io_result *result)
{
    struct segment_pool *pool = container_of(op, struct segment_pool, maker.op);

    if (pool->stopped) {
        SOMETIMES("a spare stays half made at the end");
        if (pool->maker.step == POOL_OPEN && result->value >= 0)
            pool->maker.fd = result->value;
        pool->maker.step = POOL_IDLE;
        pool->owner->on_ready(pool->owner);
        return;
    }
    if (result->value < 0 && pool->maker.step != POOL_DISCARD) {
        maker_failed(pool, result->value);
        return;
    }
    switch (pool->maker.step) {
    case POOL_OPEN:
        pool->maker.fd = result->value;
        pool->maker.step = POOL_ZERO;
        break;
    case POOL_ZERO:
        if (result->value == 0) {
            maker_failed(pool, -EIO);
            return;
        }
        if (result->value % SEGMENT_BLOCK_SIZE != 0)
            SOMETIMES("a spare is zeroed in part of a block");
        /* Only whole blocks count: O_DIRECT wants the rest from an aligned offset. */
        pool->maker.offset += (uint64_t)result->value / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
        if (pool->maker.offset == pool->config.segment_bytes)
            pool->maker.step = POOL_SYNC;
        break;
    case POOL_SYNC:
        pool->maker.step = POOL_RENAME;
        break;
    case POOL_RENAME:
        pool->maker.step = POOL_SYNC_DIRECTORY;
        break;
    case POOL_SYNC_DIRECTORY:
        maker_finished(pool);
        return;
    case POOL_DISCARD:
        pool->maker.step = POOL_IDLE;
        segment_pool_kick(pool);
        pool->owner->on_ready(pool->owner);
        return;
    case POOL_IDLE:
    case POOL_UNLINK:
        assert(false);
    }
    maker_step(pool);
}

/*
 * Chooses the namer's next job: the next segment goes before a retired one, but after it up to
 * SEGMENT_POOL_RETIRE_TURNS of these have their turn. Where naming is what everybody waits for the
 * log grows while what is needed of old segments is carried forward. With one turn each it would
 * never become smaller again: it would grow without a bound.
 */
static void namer_start(struct segment_pool *pool)
{
    if (pool->stopped || pool->namer.step != POOL_IDLE ||
        pool->namer.retry_ns > pool->config.clock->mono_ns)
        return;
    pool->namer.retry_ns = 0;
    if (pool->next_fd < 0 && pool->spare_count > 0 && !pool->config.sealed &&
        (pool->retire_seq == 0 || pool->retire_turns == 0)) {
        pool->retire_turns = SEGMENT_POOL_RETIRE_TURNS;
        pool->namer.job = POOL_JOB_NEXT;
        pool->namer.spare = pool->spares[--pool->spare_count];
        pool->namer.step = POOL_RENAME;
        file_path(pool, pool->namer.path, pool->namer.spare.number, "spare");
        file_path(pool, pool->namer.new_path, pool->next_seq, "seg");
    } else if (pool->retire_seq != 0) {
        bool recycle =
            !pool->config.sealed && pool->retire_size == pool->config.segment_bytes &&
            segment_pool_ready_count(pool) < pool->config.spare_target + SEGMENT_POOL_RECYCLE_MAX;

        pool->retire_turns -= pool->retire_turns > 0;
        pool->namer.job = recycle ? POOL_JOB_RECYCLE : POOL_JOB_REMOVE;
        pool->namer.step = recycle ? POOL_OPEN : POOL_UNLINK;
        pool->namer.spare = (struct segment_spare){-1, pool->number_next++};
        file_path(pool, pool->namer.path, pool->retire_seq, "seg");
        file_path(pool, pool->namer.new_path, pool->namer.spare.number, "spare");
    } else {
        return;
    }
    namer_step(pool);
}

/* Arms the operation of the namer's present step. */
static void namer_step(struct segment_pool *pool)
{
    struct io *io = pool->config.io;
    struct io_op *op = &pool->namer.op;

    switch (pool->namer.step) {
    case POOL_OPEN:
        io_open(io, op, pool->namer.path, open_flags(pool), 0);
        break;
    case POOL_RENAME:
        io_rename(io, op, pool->namer.path, pool->namer.new_path);
        break;
    case POOL_UNLINK:
        io_unlink(io, op, pool->namer.path);
        break;
    case POOL_SYNC_DIRECTORY:
        io_fsync(io, op, pool->directory_fd, 0);
        break;
    case POOL_IDLE:
    case POOL_ZERO:
    case POOL_SYNC:
    case POOL_DISCARD:
        assert(false);
    }
}

static void namer_failed(struct segment_pool *pool, int error)
{
    if (!is_passing(error) || pool->namer.step == POOL_SYNC_DIRECTORY) {
        SOMETIMES("naming a segment fails");
        fail(pool, error, "cannot rename or remove a segment file");
        if (pool->namer.spare.fd >= 0)
            segment_pool_put(pool, pool->namer.spare.fd);
    } else if (pool->namer.job == POOL_JOB_NEXT) {
        add_spare(pool, pool->namer.spare);
    } else if (pool->namer.spare.fd >= 0) {
        segment_pool_put(pool, pool->namer.spare.fd);
    }
    pool->namer.spare.fd = -1;
    pool->namer.step = POOL_IDLE;
    pool->namer.retry_ns = retry_time(pool);
    if (!pool->failed)
        pool->owner->on_ready(pool->owner);
}

static void namer_finished(struct segment_pool *pool)
{
    enum segment_pool_job job = pool->namer.job; /* the kick below may begin another */
    uint64_t retired_seq = pool->retire_seq;

    pool->namer.step = POOL_IDLE;
    switch (job) {
    case POOL_JOB_NEXT:
        SOMETIMES("the next segment has its name");
        pool->next_fd = pool->namer.spare.fd;
        break;
    case POOL_JOB_RECYCLE:
        SOMETIMES("a segment is recycled");
        add_spare(pool, pool->namer.spare);
        pool->no_space = false;
        pool->retire_seq = 0;
        break;
    case POOL_JOB_REMOVE:
        SOMETIMES("a segment is removed");
        pool->retire_seq = 0;
        pool->maker.retry_ns = 0; /* there is room now */
        break;
    }
    pool->namer.spare.fd = -1;
    if (job != POOL_JOB_NEXT)
        pool->owner->on_retired(pool->owner, retired_seq); /* and another may go */
    segment_pool_kick(pool);
    pool->owner->on_ready(pool->owner);
}

static void on_namer_done(struct io_op *op, const struct io_result *result)
{
    struct segment_pool *pool = container_of(op, struct segment_pool, namer.op);

    if (pool->stopped) {
        SOMETIMES("a file stays half named at the end");
        if (pool->namer.step == POOL_OPEN && result->value >= 0)
            pool->namer.spare.fd = result->value;
        pool->namer.step = POOL_IDLE;
        pool->owner->on_ready(pool->owner);
        return;
    }
    if (result->value < 0) {
        namer_failed(pool, result->value);
        return;
    }
    switch (pool->namer.step) {
    case POOL_OPEN:
        pool->namer.spare.fd = result->value;
        pool->namer.step = POOL_RENAME;
        break;
    case POOL_RENAME:
    case POOL_UNLINK:
        SOMETIMES("a name is changed and not yet durable");
        pool->namer.step = POOL_SYNC_DIRECTORY;
        if (!MUTANT("lost_rename_sync"))
            break;
        namer_finished(pool);
        return;
    case POOL_SYNC_DIRECTORY:
        namer_finished(pool);
        return;
    case POOL_IDLE:
    case POOL_ZERO:
    case POOL_SYNC:
    case POOL_DISCARD:
        assert(false);
    }
    namer_step(pool);
}

static void on_close_done(struct io_op *op, const struct io_result *result)
{
    struct segment_pool_closer *closer = container_of(op, struct segment_pool_closer, op);

    /* The file's contents were durable before; close(2) has nothing to add. */
    assert(!result->more);
    if (closer->pool->stopped)
        closer->pool->owner->on_ready(closer->pool->owner);
}

void segment_pool_put(struct segment_pool *pool, int fd)
{
    assert(fd >= 0);
    for (uint32_t i = 0; i < SEGMENT_POOL_CLOSES_MAX; i++) {
        if (!io_op_is_armed(&pool->closers[i].op)) {
            io_close(pool->config.io, &pool->closers[i].op, fd);
            return;
        }
    }
    disk_close(pool->config.disk, fd);
}

void segment_pool_kick(struct segment_pool *pool)
{
    pool_check(pool);
    namer_start(pool);
    maker_start(pool);
}

int segment_pool_take(struct segment_pool *pool, uint64_t seq)
{
    int fd = pool->next_fd;

    pool_check(pool);
    assert(seq == pool->next_seq);
    if (fd < 0)
        return -EAGAIN;
    pool->next_fd = -1;
    pool->next_seq = seq + 1;
    segment_pool_kick(pool);
    return fd;
}

void segment_pool_retire(struct segment_pool *pool, uint64_t seq, uint64_t size)
{
    pool_check(pool);
    assert(pool->retire_seq == 0);
    assert(seq > 0 && seq < pool->next_seq);
    pool->retire_seq = seq;
    pool->retire_size = size;
    segment_pool_kick(pool);
}

uint64_t segment_pool_tick(struct segment_pool *pool)
{
    uint64_t next_ns = UINT64_MAX;

    segment_pool_kick(pool);
    if (pool->stopped)
        return UINT64_MAX;
    if (pool->maker.retry_ns != 0 && pool->maker.step == POOL_IDLE)
        next_ns = pool->maker.retry_ns;
    if (pool->namer.retry_ns != 0 && pool->namer.step == POOL_IDLE)
        next_ns = min_u64(next_ns, pool->namer.retry_ns);
    return next_ns;
}

void segment_pool_stop(struct segment_pool *pool)
{
    pool->stopped = true;
}

bool segment_pool_is_idle(const struct segment_pool *pool)
{
    if (!pool->stopped || io_op_is_armed(&pool->maker.op) || io_op_is_armed(&pool->namer.op))
        return false;
    for (uint32_t i = 0; i < SEGMENT_POOL_CLOSES_MAX; i++) {
        if (io_op_is_armed(&pool->closers[i].op))
            return false;
    }
    return true;
}

/* Collects the spares of the directory and removes half-made files. */
struct pool_scan {
    struct disk_visitor visitor;
    struct segment_pool *pool;
    uint64_t numbers[SEGMENT_POOL_SPARES_MAX];
    uint32_t count;
    uint64_t surplus[SEGMENT_POOL_SPARES_MAX]; /* spares too many, and unfinished files */
    bool surplus_is_tmp[SEGMENT_POOL_SPARES_MAX];
    uint32_t surplus_count;
};

static int visit_file(struct disk_visitor *visitor, const char *name)
{
    struct pool_scan *scan = container_of(visitor, struct pool_scan, visitor);
    uint64_t number = 0;
    bool is_tmp = segment_name_parse(name, "tmp", &number);

    if (!is_tmp && !segment_name_parse(name, "spare", &number))
        return 0;
    scan->pool->number_next = max_u64(scan->pool->number_next, number + 1);
    if (!is_tmp && scan->count < scan->pool->config.spare_target + SEGMENT_POOL_RECYCLE_MAX) {
        scan->numbers[scan->count++] = number;
    } else if (scan->surplus_count < SEGMENT_POOL_SPARES_MAX) {
        scan->surplus[scan->surplus_count] = number;
        scan->surplus_is_tmp[scan->surplus_count++] = is_tmp;
    }
    return 0;
}

/* Opens a spare; one of another size, from an earlier configuration, is removed. */
MUST_USE static int adopt(struct segment_pool *pool, uint64_t number)
{
    struct disk *disk = pool->config.disk;
    uint64_t size = 0;
    int fd;
    int r;

    file_path(pool, pool->maker.path, number, "spare");
    fd = disk_open(disk, pool->maker.path, open_flags(pool), 0);
    if (fd < 0)
        return fd;
    r = disk_size(disk, fd, &size);
    if (r < 0) {
        disk_close(disk, fd);
        return r;
    }
    if (size != pool->config.segment_bytes) {
        SOMETIMES("a spare of another size is removed");
        disk_close(disk, fd);
        return disk_unlink(disk, pool->maker.path);
    }
    SOMETIMES("a spare of an earlier start is adopted");
    add_spare(pool, (struct segment_spare){fd, number});
    return 0;
}

MUST_USE static int adopt_all(struct segment_pool *pool)
{
    struct pool_scan scan = {.visitor = {.visit = visit_file}, .pool = pool};
    int r = disk_list(pool->config.disk, pool->directory, &scan.visitor);

    for (uint32_t i = 0; r == 0 && i < scan.surplus_count; i++) {
        if (scan.surplus_is_tmp[i])
            SOMETIMES("a half made spare of an earlier start is removed");
        else
            SOMETIMES("a surplus spare is removed");
        file_path(pool, pool->maker.path, scan.surplus[i],
                  scan.surplus_is_tmp[i] ? "tmp" : "spare");
        r = disk_unlink(pool->config.disk, pool->maker.path);
    }
    for (uint32_t i = 0; r == 0 && i < scan.count; i++)
        r = adopt(pool, scan.numbers[i]);
    return r;
}

/* Zeroes and syncs a new file, as the maker does, but at once. */
MUST_USE static int make_spare(struct segment_pool *pool)
{
    struct disk *disk = pool->config.disk;
    uint64_t number = pool->number_next++;
    int64_t size = 0;
    int fd;
    int r = 0;

    file_path(pool, pool->maker.path, number, "tmp");
    file_path(pool, pool->maker.new_path, number, "spare");
    fd = disk_open(disk, pool->maker.path, open_flags(pool) | O_CREAT | O_TRUNC, FILE_MODE);
    if (fd < 0)
        return fd;
    for (uint64_t offset = 0; offset < pool->config.segment_bytes;) {
        uint64_t left = pool->config.segment_bytes - offset;

        size = disk_write(disk, fd, pool->zeros, min_u64(left, SEGMENT_POOL_CHUNK_SIZE), offset);
        if (size < SEGMENT_BLOCK_SIZE) {
            r = size < 0 ? (int)size : -EIO;
            break;
        }
        offset += (uint64_t)size / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
    }
    if (r == 0)
        r = disk_sync(disk, fd);
    if (r == 0)
        r = disk_rename(disk, pool->maker.path, pool->maker.new_path);
    if (r < 0) {
        disk_close(disk, fd);
        return r;
    }
    add_spare(pool, (struct segment_spare){fd, number});
    return 0;
}

/* Gives the first segment its name. */
MUST_USE static int name_first(struct segment_pool *pool, uint64_t seq, int *ret_fd)
{
    struct disk *disk = pool->config.disk;
    struct segment_spare spare;
    int r = 0;

    if (pool->spare_count == 0)
        r = make_spare(pool);
    if (r < 0)
        return r;
    spare = pool->spares[--pool->spare_count];
    file_path(pool, pool->maker.path, spare.number, "spare");
    file_path(pool, pool->maker.new_path, seq, "seg");
    r = disk_rename(disk, pool->maker.path, pool->maker.new_path);
    if (r == 0) {
        SOMETIMES("the first segment of a start has its name, not yet durable");
        r = disk_sync_directory(disk, pool->directory);
    }
    if (r < 0) {
        disk_close(disk, spare.fd);
        return r;
    }
    *ret_fd = spare.fd;
    return 0;
}

/* Makes the log's directory when missing, durably, and opens it. */
MUST_USE static int open_directory(struct segment_pool *pool)
{
    struct disk *disk = pool->config.disk;
    int r = disk_make_directory(disk, pool->directory, DIRECTORY_MODE);

    if (r < 0 && r != -EEXIST)
        return r;
    r = disk_sync_directory(disk, pool->config.data_path);
    if (r < 0)
        return r;
    return disk_open(disk, pool->directory, O_RDONLY | O_DIRECTORY, 0);
}

static void closer_init(struct segment_pool *pool, struct segment_pool_closer *closer)
{
    closer->pool = pool;
    io_op_init(&closer->op, on_close_done);
}

int segment_pool_open(struct segment_pool *pool, const struct segment_pool_config *config,
                      struct segment_pool_owner *owner, uint64_t first_seq, int *ret_fd)
{
    int fd = -1;
    int r;

    assert(config->spare_target + SEGMENT_POOL_RECYCLE_MAX < SEGMENT_POOL_SPARES_MAX);
    assert(first_seq > 0);
    memset(pool, 0, sizeof(*pool));
    pool->config = *config;
    pool->owner = owner;
    pool->number_next = first_seq;
    pool->next_seq = first_seq + 1;
    pool->next_fd = -1;
    pool->maker.fd = -1;
    pool->namer.spare.fd = -1;
    pool->directory_fd = -1;
    io_op_init(&pool->maker.op, on_maker_done);
    io_op_init(&pool->namer.op, on_namer_done);
    for (uint32_t i = 0; i < SEGMENT_POOL_CLOSES_MAX; i++)
        closer_init(pool, &pool->closers[i]);
    segment_log_path(pool->directory, sizeof(pool->directory), config->data_path, config->log);
    r = memory_map(SEGMENT_POOL_CHUNK_SIZE, &pool->zeros);
    if (r < 0)
        return r;
    r = open_directory(pool);
    if (r >= 0) {
        pool->directory_fd = r;
        r = adopt_all(pool);
    }
    if (r == 0 && !config->sealed)
        r = name_first(pool, first_seq, &fd);
    if (r < 0) {
        SOMETIMES("a log cannot be opened for writing");
        segment_pool_close(pool);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

void segment_pool_close(struct segment_pool *pool)
{
    struct disk *disk = pool->config.disk;

    for (uint32_t i = 0; i < pool->spare_count; i++)
        disk_close(disk, pool->spares[i].fd);
    pool->spare_count = 0;
    if (pool->next_fd >= 0)
        disk_close(disk, pool->next_fd);
    if (pool->maker.fd >= 0)
        disk_close(disk, pool->maker.fd);
    if (pool->namer.spare.fd >= 0)
        disk_close(disk, pool->namer.spare.fd);
    if (pool->directory_fd >= 0)
        disk_close(disk, pool->directory_fd);
    pool->next_fd = -1;
    pool->maker.fd = -1;
    pool->namer.spare.fd = -1;
    pool->directory_fd = -1;
    memory_unmap(&pool->zeros, SEGMENT_POOL_CHUNK_SIZE);
}

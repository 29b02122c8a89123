/*
 * What recovery refuses is cut at the first gap, as if it were a torn tail, but
 * nothing is thrown away: the files from the gap on are kept as .broken, and every
 * intact group in them is copied into new segments. Records keep their LSNs; where
 * some are missing a new segment begins that is marked as following a gap, which is
 * the one thing that lets recovery accept it.
 *
 *     before   1.seg [good | bad | good]  2.seg [good]
 *     after    1.seg [good]   3.seg (gap) [good from 1, then good from 2]
 *              0000000000000001.broken  0000000000000002.broken
 *
 * An intact group is a run of intact records from one marked first to one marked
 * last with consecutive LSNs, all in intact blocks with consecutive numbers. Inside a
 * run of such blocks the trailers say where a record begins.
 *
 * A new segment is as old as the one that its first group comes from, as far as that
 * can still be read: retention takes it for the age of what comes before it.
 *
 * Order: the new segments are written and synced as .tmp, the damaged files copied to
 * .broken, both made durable; then the .tmp get their names, the old files go, the one
 * with the damage last. A crash before the names leaves the log as it was; after, the
 * new segments win over the old ones because of their later boot generation, or the
 * start is refused as before, and the next salvage finds all of it.
 */
#include "store/salvage.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/memory.h"
#include "store/crc32c.h"
#include "store/log_files.h"
#include "store/recovery.h"
#include "store/staging.h"

enum { BATCH_SIZE = 1 << 20, FILE_MODE = 0600, NEW_SEGMENTS_MAX = 4096 };

struct salvage {
    struct disk *disk;
    const struct superblock *superblock;
    struct journal_tool_visitor *visitor;
    struct log_files files;
    char *file;                               /* one whole segment file */
    char *stream;                             /* the records of a run of intact blocks */
    uint64_t starts[SEGMENT_BLOCK_COUNT_MAX]; /* of the run, see keep_run() */
    uint64_t lsn_next;                        /* after the last record that is kept */
    uint64_t vouched_lsn;                     /* the highest durable LSN stated behind the cut */
    uint64_t unix_ms;                         /* when this salvage began */
    uint64_t created_unix_ms;                 /* of a new segment; as that of the file being read */

    /* The new segments. */
    struct staging staging;
    struct segment_header header;
    uint64_t seqs[NEW_SEGMENTS_MAX];
    uint32_t seq_count;
    int fd; /* of the newest, -1: none yet */
    uint64_t previous_seq;
    uint64_t block_lsn;
    uint64_t write_block; /* in the newest */
};

/* Salvage writes at once; no operation of a batch is ever armed. */
static void on_never(struct io_op *op, const struct io_result *result)
{
    (void)op;
    (void)result;
    assert(false);
}

/* ---- writing new segments ---- */

MUST_USE static int write_batch(struct salvage *salvage)
{
    struct staging_batch *batch = staging_filling(&salvage->staging);
    struct staging_seal seal = {
        /* All of it is durable before the file gets its name. */
        .durable_lsn = salvage->lsn_next - 1,
        .boot_generation = salvage->superblock->boot_generation,
        .log = salvage->files.log,
        .header = &salvage->header,
    };
    int64_t size;
    uint64_t done = 0;

    if (batch == NULL)
        return 0;
    staging_seal(&salvage->staging, batch, &seal);
    while (done < (uint64_t)batch->block_count * SEGMENT_BLOCK_SIZE) {
        size = disk_write(salvage->disk, salvage->fd, batch->data + done,
                          batch->block_count * SEGMENT_BLOCK_SIZE - done,
                          batch->block_index * SEGMENT_BLOCK_SIZE + done);
        if (size <= 0)
            return size < 0 ? (int)size : -EIO;
        done += (uint64_t)size;
    }
    salvage->write_block = batch->block_index + batch->block_count;
    salvage->block_lsn = batch->block_lsn + batch->block_count;
    batch->state = STAGING_WRITTEN;
    staging_release(&salvage->staging);
    return 0;
}

MUST_USE static int end_segment(struct salvage *salvage)
{
    int r;

    if (salvage->fd < 0)
        return 0;
    r = write_batch(salvage);
    if (r == 0)
        r = disk_sync(salvage->disk, salvage->fd);
    disk_close(salvage->disk, salvage->fd);
    salvage->fd = -1;
    return r;
}

MUST_USE static int begin_segment(struct salvage *salvage, uint64_t first_lsn, bool gap)
{
    char path[SEGMENT_POOL_PATH_SIZE];
    uint64_t seq = salvage->files.number_max + 1 + salvage->seq_count;
    int r = end_segment(salvage);

    if (r < 0)
        return r;
    if (salvage->seq_count == NEW_SEGMENTS_MAX)
        return -E2BIG;
    log_files_path(&salvage->files, path, seq, "tmp");
    salvage->fd = disk_open(salvage->disk, path, O_RDWR | O_CREAT | O_TRUNC, FILE_MODE);
    if (salvage->fd < 0)
        return salvage->fd;
    salvage->header = (struct segment_header){
        .boot_generation = salvage->superblock->boot_generation,
        .seq = seq,
        .previous_seq = salvage->previous_seq,
        .first_lsn = first_lsn,
        .first_block_lsn = salvage->block_lsn,
        .created_unix_ms = salvage->created_unix_ms,
        .size = SEGMENT_SIZE_MAX,
        .log = salvage->files.log,
        .flags = gap ? SEGMENT_HEADER_GAP : 0,
    };
    memcpy(salvage->header.uuid, salvage->superblock->uuid, SEGMENT_UUID_SIZE);
    salvage->seqs[salvage->seq_count++] = seq;
    salvage->previous_seq = seq;
    salvage->write_block = 0;
    return 0;
}

/* The batch to go on in, after writing the full one. */
MUST_USE static int next_batch(struct salvage *salvage, struct staging_batch **ret_batch)
{
    int r = write_batch(salvage);

    if (r < 0)
        return r;
    *ret_batch = staging_begin(&salvage->staging, salvage->header.seq, salvage->write_block,
                               salvage->block_lsn);
    assert(*ret_batch != NULL);
    return 0;
}

/* Copies one record as it is. */
MUST_USE static int write_record(struct salvage *salvage, const char *record, uint64_t size)
{
    struct staging_batch *batch = staging_filling(&salvage->staging);
    uint64_t done = 0;
    int r = 0;

    if (batch == NULL)
        r = next_batch(salvage, &batch);
    if (r == 0 && staging_begin_record(&salvage->staging, batch) < 0) {
        r = next_batch(salvage, &batch);
        if (r == 0 && staging_begin_record(&salvage->staging, batch) < 0)
            return -EIO;
    }
    while (r == 0) {
        done += staging_put(&salvage->staging, batch, record + done, size - done);
        if (done == size)
            break;
        r = next_batch(salvage, &batch);
    }
    return r;
}

/* True when the newest segment cannot take size bytes more. */
static bool is_segment_full(struct salvage *salvage, uint64_t size)
{
    const struct staging_batch *batch = staging_filling(&salvage->staging);
    uint64_t end = salvage->write_block + (batch == NULL ? 1 : staging_block_count(batch));

    return end + size / SEGMENT_PAYLOAD_SIZE + 3 > SEGMENT_BLOCK_COUNT_MAX;
}

static void tell_loss(struct salvage *salvage, uint64_t lsn_last)
{
    struct journal_tool_loss loss = {salvage->files.log, salvage->lsn_next, lsn_last};

    if (salvage->visitor->on_loss != NULL)
        salvage->visitor->on_loss(salvage->visitor, &loss);
}

/* Copies a whole group of this size in the stream. */
MUST_USE static int keep_group(struct salvage *salvage, const char *group, uint64_t size,
                               uint64_t lsn_first, uint64_t lsn_last)
{
    bool gap = lsn_first != salvage->lsn_next;
    uint64_t done = 0;
    int r = 0;

    assert(lsn_first >= salvage->lsn_next);
    if (gap)
        tell_loss(salvage, lsn_first - 1);
    if (gap || salvage->fd < 0 || is_segment_full(salvage, size))
        r = begin_segment(salvage, lsn_first, gap);
    while (r == 0 && done < size) {
        struct segment_record_header header;
        uint64_t record_size;

        memcpy(&header, group + done, sizeof(header));
        record_size = segment_record_size(header.payload_size);
        r = write_record(salvage, group + done, record_size);
        done += record_size;
    }
    if (r == 0)
        salvage->lsn_next = lsn_last + 1;
    return r;
}

/*
 * After the last group: records that were durable once and are nowhere now leave a
 * gap at the end. The log must not give their LSNs out again, so an empty segment says
 * where it goes on. It also is what lets a log that ends in a damaged record be opened.
 */
MUST_USE static int mark_end(struct salvage *salvage)
{
    struct staging_batch *batch = NULL;
    int r;

    if (salvage->seq_count > 0 && salvage->vouched_lsn < salvage->lsn_next)
        return end_segment(salvage);
    if (salvage->vouched_lsn >= salvage->lsn_next) {
        tell_loss(salvage, salvage->vouched_lsn);
        r = begin_segment(salvage, salvage->vouched_lsn + 1, true);
        salvage->lsn_next = salvage->vouched_lsn + 1;
    } else {
        r = begin_segment(salvage, salvage->lsn_next, true);
    }
    if (r == 0)
        r = next_batch(salvage, &batch);
    if (r < 0)
        return r;
    batch->watermark = true;
    return end_segment(salvage);
}

/* ---- finding intact groups ---- */

/* Size of the intact record at data, or 0. */
static uint64_t record_at(const char *data, uint64_t room, struct segment_record_header *header)
{
    uint64_t size;

    if (room < sizeof(*header))
        return 0;
    memcpy(header, data, sizeof(*header));
    if (!segment_record_header_check(header))
        return 0;
    size = segment_record_size(header->payload_size);
    if (size > room || header->payload_crc != crc32c(segment_record_crc_begin(header),
                                                     data + sizeof(*header), header->payload_size))
        return 0;
    return size;
}

/* Size of the intact group at data with its last LSN, or 0. */
static uint64_t group_at(const char *data, uint64_t room, uint64_t *lsn_first, uint64_t *lsn_last)
{
    struct segment_record_header header;
    uint64_t done = 0;
    uint64_t lsn = 0;

    for (uint32_t count = 0; count < JOURNAL_GROUP_RECORDS_MAX; count++) {
        uint64_t size = record_at(data + done, room - done, &header);
        bool first = (header.flags & SEGMENT_RECORD_GROUP_FIRST) != 0;

        if (size == 0 || first != (count == 0) || (count > 0 && header.lsn != lsn + 1))
            return 0;
        lsn = header.lsn;
        if (count == 0)
            *lsn_first = lsn;
        done += size;
        if ((header.flags & SEGMENT_RECORD_GROUP_END) != 0) {
            *lsn_last = lsn;
            return done;
        }
    }
    return 0;
}

/*
 * Keeps the groups of one run of intact blocks. starts[i] is the stream position of the
 * first record that begins in block i, or UINT64_MAX: where to go on after damage.
 */
MUST_USE static int keep_run(struct salvage *salvage, uint64_t size, const uint64_t *starts,
                             uint64_t block_count)
{
    uint64_t position = UINT64_MAX;
    uint64_t block = 0;
    int r = 0;

    while (r == 0) {
        uint64_t lsn_first = 0;
        uint64_t lsn_last = 0;
        uint64_t group_size = 0;

        if (position != UINT64_MAX && position < size)
            group_size =
                group_at(salvage->stream + position, size - position, &lsn_first, &lsn_last);
        if (group_size == 0) {
            /* On to the next block in which a record begins, past where we are. */
            while (block < block_count && (starts[block] == UINT64_MAX ||
                                           (position != UINT64_MAX && starts[block] <= position)))
                block++;
            if (block == block_count)
                return 0;
            position = starts[block];
            continue;
        }
        if (lsn_first >= salvage->lsn_next)
            r = keep_group(salvage, salvage->stream + position, group_size, lsn_first, lsn_last);
        position += group_size;
    }
    return r;
}

/* Reads a file and keeps the groups of all its runs of intact blocks from block on. */
MUST_USE static int keep_file(struct salvage *salvage, const struct log_file *file, uint64_t block)
{
    uint64_t *starts = salvage->starts;
    uint64_t block_count = min_u64(file->size, SEGMENT_SIZE_MAX) / SEGMENT_BLOCK_SIZE;
    uint64_t run_count = 0;
    uint64_t stream_size = 0;
    uint64_t block_lsn = 0;
    int64_t size;
    int fd = log_files_open(&salvage->files, file->seq);
    int r = 0;

    if (fd < 0)
        return fd;
    size = segment_scan_read(salvage->disk, fd, salvage->file, block_count * SEGMENT_BLOCK_SIZE, 0);
    disk_close(salvage->disk, fd);
    if (size < 0)
        return (int)size;
    salvage->created_unix_ms = file->begun ? file->header.created_unix_ms : salvage->unix_ms;
    for (uint64_t i = block; r == 0 && i <= block_count; i++) {
        const char *data = salvage->file + i * SEGMENT_BLOCK_SIZE;
        struct segment_trailer trailer;
        struct segment_block_place place = {.seq = file->seq, .log = salvage->files.log};
        bool good = false;

        if (i < block_count) {
            memcpy(&trailer, data + SEGMENT_PAYLOAD_SIZE, sizeof(trailer));
            place.block_lsn = trailer.block_lsn;
            place.boot_generation = trailer.boot_generation;
            good = segment_block_check(data, &place, &trailer) == SEGMENT_BLOCK_GOOD;
        }
        if (good)
            salvage->vouched_lsn = max_u64(salvage->vouched_lsn, trailer.durable_lsn);
        if (!good || (run_count > 0 && trailer.block_lsn != block_lsn + 1)) {
            if (run_count > 0)
                r = keep_run(salvage, stream_size, starts, run_count);
            run_count = 0;
            stream_size = 0;
        }
        if (!good)
            continue;
        block_lsn = trailer.block_lsn;
        starts[run_count++] = trailer.first_record < trailer.payload_size
                                  ? stream_size + trailer.first_record
                                  : UINT64_MAX;
        memcpy(salvage->stream + stream_size, data, trailer.payload_size);
        stream_size += trailer.payload_size;
    }
    return r;
}

/* ---- the files ---- */

/* Copies a whole file to <seq>.broken, durably but for the name. */
MUST_USE static int copy_broken(struct salvage *salvage, const struct log_file *file)
{
    char path[SEGMENT_POOL_PATH_SIZE];
    int64_t size = 0;
    uint64_t done = 0;
    int source = log_files_open(&salvage->files, file->seq);
    int target;
    int r;

    if (source < 0)
        return source;
    log_files_path(&salvage->files, path, file->seq, "broken");
    target = disk_open(salvage->disk, path, O_RDWR | O_CREAT | O_TRUNC, FILE_MODE);
    if (target < 0) {
        disk_close(salvage->disk, source);
        return target;
    }
    while (size >= 0 && done + SEGMENT_BLOCK_SIZE <= file->size) {
        size = segment_scan_read(salvage->disk, source, salvage->file, BATCH_SIZE, done);
        if (size == 0)
            break;
        if (size > 0)
            size = disk_write(salvage->disk, target, salvage->file, (size_t)size, done);
        done += size > 0 ? (uint64_t)size / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE : 0;
    }
    r = size < 0 ? (int)size : disk_sync(salvage->disk, target);
    disk_close(salvage->disk, source);
    disk_close(salvage->disk, target);
    return r;
}

MUST_USE static int truncate_file(struct salvage *salvage, uint64_t seq, uint64_t size)
{
    char path[SEGMENT_POOL_PATH_SIZE];
    int fd;
    int r;

    log_files_path(&salvage->files, path, seq, "seg");
    fd = disk_open(salvage->disk, path, O_RDWR, 0);
    if (fd < 0)
        return fd;
    r = disk_truncate(salvage->disk, fd, size);
    if (r == 0)
        r = disk_sync(salvage->disk, fd);
    disk_close(salvage->disk, fd);
    return r;
}

MUST_USE static int remove_file(struct salvage *salvage, uint64_t seq)
{
    char path[SEGMENT_POOL_PATH_SIZE];

    log_files_path(&salvage->files, path, seq, "seg");
    return disk_unlink(salvage->disk, path);
}

/*
 * Gives the new segments their names and takes the old ones away. The one with the damage goes
 * last: without it those behind it could pass for a log whose beginning retention has dropped.
 */
MUST_USE static int swap_files(struct salvage *salvage, uint32_t cut_file, uint64_t cut_block)
{
    char path[SEGMENT_POOL_PATH_SIZE];
    char new_path[SEGMENT_POOL_PATH_SIZE];
    const char *directory = salvage->files.directory;
    uint64_t cut_seq = salvage->files.count == 0 ? 0 : salvage->files.files[cut_file].seq;
    int r = disk_sync_directory(salvage->disk, directory);

    for (uint32_t i = 0; r == 0 && i < salvage->seq_count; i++) {
        log_files_path(&salvage->files, path, salvage->seqs[i], "tmp");
        log_files_path(&salvage->files, new_path, salvage->seqs[i], "seg");
        r = disk_rename(salvage->disk, path, new_path);
    }
    if (r == 0)
        r = disk_sync_directory(salvage->disk, directory);
    for (uint32_t i = salvage->files.count; r == 0 && i > cut_file + 1; i--)
        r = remove_file(salvage, salvage->files.files[i - 1].seq);
    if (r == 0)
        r = disk_sync_directory(salvage->disk, directory);
    if (r == 0 && cut_seq != 0)
        r = cut_block > 0 ? truncate_file(salvage, cut_seq, cut_block * SEGMENT_BLOCK_SIZE)
                          : remove_file(salvage, cut_seq);
    return r == 0 ? disk_sync_directory(salvage->disk, directory) : r;
}

/*
 * Where the log breaks off: file and block, both 0 when at the very beginning, and from which
 * block on there may be more to keep.
 */
MUST_USE static int find_cut(struct salvage *salvage, struct segment_scan *scan, uint32_t *ret_file,
                             uint64_t *ret_block, uint64_t *ret_resume)
{
    const struct log_files *files = &salvage->files;
    uint32_t file = log_files_first(files) == 0 ? 0 : LOG_FILES_NONE;
    uint32_t cut_file = 0;
    uint64_t cut_block = 0;
    uint64_t resume = 0;

    salvage->lsn_next = 1;
    salvage->block_lsn = 0;
    salvage->previous_seq = 0;
    while (file != LOG_FILES_NONE) {
        const struct journal_record_view *records;
        uint32_t after = log_files_after(files, file);
        uint64_t lsn_end =
            after == LOG_FILES_NONE ? UINT64_MAX : files->files[after].header.first_lsn;
        uint32_t count;
        int fd = log_files_open(files, files->files[file].seq);
        int r;

        if (fd < 0)
            return fd;
        segment_scan_begin(scan, fd, files->files[file].size, &files->files[file].header, lsn_end);
        while ((r = segment_scan_next(scan, &records, &count)) == SEGMENT_SCAN_GROUP)
            continue;
        disk_close(salvage->disk, fd);
        if (r < 0)
            return r;
        cut_file = file;
        cut_block = scan->block;
        /* The block of a damaged record also holds what comes before it, and stays. */
        resume = scan->why == SEGMENT_SCAN_BAD_RECORD ? scan->bad_offset / SEGMENT_BLOCK_SIZE
                                                      : scan->block;
        salvage->lsn_next = scan->lsn_next;
        salvage->block_lsn = files->files[file].header.first_block_lsn + cut_block;
        salvage->previous_seq = files->files[file].seq;
        if (after == LOG_FILES_NONE ||
            (scan->lsn_next != lsn_end &&
             (files->files[after].header.flags & SEGMENT_HEADER_GAP) == 0))
            break;
        file = after;
    }
    *ret_file = cut_file;
    *ret_block = cut_block;
    *ret_resume = resume;
    return 0;
}

/* Rebuilds the log behind the cut. */
MUST_USE static int rebuild(struct salvage *salvage, uint32_t cut_file, uint64_t cut_block,
                            uint64_t resume)
{
    int r = 0;

    for (uint32_t i = cut_file; r == 0 && i < salvage->files.count; i++) {
        uint64_t block = i == cut_file ? resume : 0;

        r = keep_file(salvage, &salvage->files.files[i], block);
        if (r == 0)
            r = copy_broken(salvage, &salvage->files.files[i]);
    }
    if (r == 0)
        r = mark_end(salvage);
    if (r == 0)
        r = swap_files(salvage, cut_file, cut_block);
    return r;
}

/* Counts nothing, keeps nothing: whether recovery accepts the log is all that is asked. */
static int ignore_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    (void)visitor;
    (void)group;
    return 0;
}

/* 0 when every log up to this one is accepted as it is, -EBADMSG when one is not. */
MUST_USE static int check_logs(struct disk *disk, const char *data_path,
                               const struct superblock *superblock, uint32_t log, char *text)
{
    struct superblock part = *superblock;
    struct recovery_visitor visitor = {.on_group = ignore_group};
    struct recovered *recovered = NULL;
    struct recovery_config config = {
        .disk = disk,
        .data_path = data_path,
        .superblock = &part,
        .visitor = &visitor,
        .unsafe_storage = true,
        .read_only = true,
    };
    int r;

    part.log_count = log + 1;
    r = recovery_run(&config, &recovered, text);
    recovered_free(&recovered);
    return r;
}

static void salvage_free(struct salvage **salvage)
{
    struct salvage *self = *salvage;

    if (self->fd >= 0)
        disk_close(self->disk, self->fd);
    log_files_free(&self->files);
    if (self->staging.memory != NULL)
        staging_deinit(&self->staging);
    memory_unmap(&self->file, SEGMENT_SIZE_MAX);
    memory_unmap(&self->stream, SEGMENT_SIZE_MAX);
    free(self);
    *salvage = NULL;
}

MUST_USE static int salvage_new(struct disk *disk, const struct superblock *superblock,
                                uint64_t unix_ms, struct journal_tool_visitor *visitor,
                                struct salvage **ret_salvage)
{
    struct salvage *salvage = calloc(1, sizeof(*salvage));
    int r;

    if (salvage == NULL)
        return -ENOMEM;
    salvage->disk = disk;
    salvage->superblock = superblock;
    salvage->visitor = visitor;
    salvage->unix_ms = unix_ms;
    salvage->created_unix_ms = unix_ms; /* when there is no file at all */
    salvage->fd = -1;
    r = memory_map(SEGMENT_SIZE_MAX, &salvage->file);
    if (r == 0)
        r = memory_map(SEGMENT_SIZE_MAX, &salvage->stream);
    if (r == 0)
        r = staging_init(&salvage->staging, BATCH_SIZE, on_never);
    if (r < 0) {
        salvage_free(&salvage);
        return r;
    }
    *ret_salvage = salvage;
    return 0;
}

int salvage_log(struct disk *disk, const char *data_path, const struct superblock *superblock,
                uint32_t log, uint64_t unix_ms, struct journal_tool_visitor *visitor,
                bool *ret_changed, char *text)
{
    struct salvage *salvage;
    struct segment_scan scan;
    uint32_t cut_file = 0;
    uint64_t cut_block = 0;
    uint64_t resume = 0;
    int r = check_logs(disk, data_path, superblock, log, text);

    if (r != -EBADMSG) {
        *ret_changed = false;
        return r;
    }
    text[0] = 0;
    r = salvage_new(disk, superblock, unix_ms, visitor, &salvage);
    if (r < 0)
        return r;
    r = segment_scan_init(&scan, disk);
    if (r == 0)
        r = log_files_load(disk, data_path, log, superblock->uuid, true, true, &salvage->files,
                           text);
    if (r == 0)
        r = find_cut(salvage, &scan, &cut_file, &cut_block, &resume);
    if (r == 0)
        r = rebuild(salvage, cut_file, cut_block, resume);
    if (r < 0 && text[0] == 0)
        snprintf(text, JOURNAL_TOOL_TEXT_SIZE, "log-%02u: cannot salvage: %s (error %d)", log,
                 strerrordesc_np(-r), -r);
    segment_scan_deinit(&scan);
    salvage_free(&salvage);
    if (r == 0)
        *ret_changed = true;
    return r;
}

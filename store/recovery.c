/*
 * From files to records: which files make the log, where it ends, what lies behind.
 *
 * A log is a chain of segments: each header names the one before and the LSN of
 * its first record. The chain begins at the oldest file with an intact header.
 * Every segment but the last must hold all records below the next one's first LSN;
 * what it holds from there on is a leftover and never looked at again. So a
 * discarded block cannot come back: the start that discarded it goes on in a new
 * segment, whose header says where the old one ended.
 *
 * L is the LSN of the last record of the last whole group before the first gap.
 * Beyond the gap every block is looked at: "vouched" means that an intact block of
 * this log, anywhere beyond the gap, states a durable LSN above L, which proves that
 * what is missing had been acknowledged. What is not vouched for is discarded even
 * if it looks valid.
 *
 *      found                                              done
 *   1  no directory, or no file in it                     empty log
 *   2  first file never begun, nothing vouched            empty log; file becomes a spare
 *   3  header of the only file torn, nothing vouched      empty log; kept as .torn
 *   4  header of the only file bad, vouched               refuse
 *   5  header of the oldest file bad, later ones vouch    refuse
 *   6  last file ends in zeros                            end of log
 *   7  last file ends in blocks of an earlier use         end of log
 *   8  last file is full, or was cut by an earlier start  end of log
 *   9  bad block, nothing vouched beyond                  cut, keep .torn
 *  10  bad block, intact blocks beyond, not vouched       cut, keep .torn, discard them
 *  11  bad block, vouched beyond in the same file         refuse
 *  12  bad block, vouched in a later file                 refuse
 *  13  zeros in the middle, vouched beyond                refuse (a lost write)
 *  14  zeros in the middle, not vouched                   cut, keep .torn
 *  15  group without an end, then nothing                 group discarded
 *  16  group without an end, then a new start's segment   group discarded, log goes on there
 *  17  next file never begun                              end of log; file becomes a spare
 *  18  next file's header torn, nothing vouched           end of log; kept as .torn
 *  19  file missing in the middle, vouched later          refuse
 *  20  segment too short for its successor, not vouched   cut before it, discard the successor
 *  21  segment too short for its successor, vouched       refuse
 *  22  intact block with a record that makes no sense     refuse
 *  23  intact block at the wrong place (misdirected)      as a bad block: 9 to 12
 *  24  file of another log, directory or format version   refuse
 *  25  two files continue the same one                    the later start's; other is discarded
 *  26  the disk cannot read                               refuse with its error
  27  next segment is marked as following a gap          go on there (verify --salvage)
 *
 * "Bad" and "zeros" in rows 3 to 14, 18 and 23 mean: in two reads. A header or block that
 * would end the log is read once more before that is believed, for a bit that flips on
 * its way from the disk must not cut what was acknowledged (segment_scan.c).
 *
 * What this cannot see: damage to the last write, when no watermark followed it,
 * looks like a torn tail (9), and loss of the newest files altogether looks like a
 * log that never had them.
 *
 * Order of the changes: copies to .torn, sync, names; then truncation of the last
 * segment to its valid blocks; then leftovers become spares; then the directory; then all but
 * the newest 8 copies of the log are removed. Each can be repeated, and the log reads the same
 * before and after each.
 */
#include "store/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#include "runtime/sim_point.h"
#include "store/log_files.h"
#include "store/segment_scan.h"
#include "store/torn_files.h"

static_assert((int)LOG_FILES_TEXT_SIZE == (int)RECOVERY_TEXT_SIZE, "one text");

/* One log on its way. */
struct log_state {
    struct log_files files;
    uint32_t last;      /* index of the last segment of the log, LOG_FILES_NONE: empty */
    uint64_t lsn_next;  /* L + 1 */
    uint64_t end_block; /* blocks of the last segment that count */
    bool ended;
    bool *kept; /* by file: part of the log */
    struct recovered_log result;
};

/* One segment to visit. */
struct stop {
    uint32_t log;
    uint32_t file;
    uint32_t boot_generation;
    uint64_t seq;
};

struct recovery {
    const struct recovery_config *config;
    struct segment_scan scan;
    struct log_state *logs;
    uint32_t log_count;
    struct stop *stops;
    uint32_t stop_count;
    uint64_t total_bytes;
    uint64_t done_bytes;
    char *text;
};

PRINTF_LIKE(2, 3) static void say(const struct recovery *recovery, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(recovery->text, RECOVERY_TEXT_SIZE, format, arguments);
    va_end(arguments);
}

/* ---- which files make the log ---- */

MUST_USE static int load_log(struct recovery *recovery, uint32_t log)
{
    const struct recovery_config *config = recovery->config;
    struct log_state *state = &recovery->logs[log];
    int r;

    r = log_files_load(config->disk, config->data_path, log, config->superblock->uuid,
                       !config->read_only, config->unsafe_storage, &state->files, recovery->text);
    if (r < 0)
        return r;
    state->kept = calloc(state->files.count + 1, sizeof(bool));
    if (state->kept == NULL)
        return -ENOMEM;
    state->last = LOG_FILES_NONE;
    state->lsn_next = 1;
    state->result.log = log;
    return 0;
}

static int compare_stops(const void *a, const void *b)
{
    const struct stop *left = a;
    const struct stop *right = b;

    if (left->boot_generation != right->boot_generation)
        return left->boot_generation < right->boot_generation ? -1 : 1;
    if (left->log != right->log)
        return left->log < right->log ? -1 : 1;
    return left->seq < right->seq ? -1 : left->seq > right->seq;
}

/*
 * Where the chain begins. A damaged header before the first intact one ends the log at
 * once: what comes after is refused when vouched for, and else discarded.
 */
static uint32_t chain_start(const struct log_files *files)
{
    uint32_t first = log_files_first(files);

    if (first != 0 && first != LOG_FILES_NONE)
        SOMETIMES("damage: the header of the oldest segment is bad");
    return first == 0 ? 0 : LOG_FILES_NONE;
}

/* Lists the segments of all chains in the order in which they are visited. */
MUST_USE static int plan(struct recovery *recovery)
{
    uint32_t file_count = 0;

    for (uint32_t i = 0; i < recovery->log_count; i++)
        file_count += recovery->logs[i].files.count;
    recovery->stops = calloc(file_count + 1, sizeof(recovery->stops[0]));
    if (recovery->stops == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < recovery->log_count; i++) {
        const struct log_files *files = &recovery->logs[i].files;

        for (uint32_t j = chain_start(files); j != LOG_FILES_NONE; j = log_files_after(files, j)) {
            recovery->stops[recovery->stop_count++] = (struct stop){
                .log = i,
                .file = j,
                .boot_generation = files->files[j].header.boot_generation,
                .seq = files->files[j].seq,
            };
            recovery->total_bytes += files->files[j].size;
        }
    }
    qsort(recovery->stops, recovery->stop_count, sizeof(recovery->stops[0]), compare_stops);
    return 0;
}

/* ---- reading ---- */

MUST_USE static int visit_group(struct recovery *recovery, struct log_state *state,
                                const struct log_file *file,
                                const struct journal_record_view *records, uint32_t count)
{
    struct recovery_visitor *visitor = recovery->config->visitor;
    struct recovery_group group = {
        .log = state->files.log,
        .segment_seq = file->seq,
        .boot_generation = file->header.boot_generation,
        .lsn_first = records[0].lsn,
        .lsn_last = records[count - 1].lsn,
        .records = records,
        .record_count = count,
    };

    state->result.group_count++;
    state->result.record_count += count;
    return visitor->on_group(visitor, &group);
}

/* Gives out the groups of one segment. 0 with the scan at its end, or -errno. */
MUST_USE static int read_segment(struct recovery *recovery, struct log_state *state, int fd,
                                 const struct log_file *file, uint64_t lsn_end)
{
    struct segment_scan *scan = &recovery->scan;
    struct recovery_visitor *visitor = recovery->config->visitor;
    uint64_t read_before = scan->read_bytes;
    int r;

    segment_scan_begin(scan, fd, file->size, &file->header, lsn_end);
    for (;;) {
        const struct journal_record_view *records;
        uint32_t count;

        r = segment_scan_next(scan, &records, &count);
        if (scan->read_bytes != read_before) {
            recovery->done_bytes += scan->read_bytes - read_before;
            read_before = scan->read_bytes;
            if (visitor->on_progress != NULL)
                visitor->on_progress(visitor, min_u64(recovery->done_bytes, recovery->total_bytes),
                                     recovery->total_bytes);
        }
        if (r != SEGMENT_SCAN_GROUP)
            break;
        r = visit_group(recovery, state, file, records, count);
        if (r < 0)
            break;
    }
    segment_scan_end(scan);
    if (r < 0 && recovery->text[0] == 0)
        say(recovery, "log-%02u/%016llx.seg: after LSN %llu: error %d", state->files.log,
            (unsigned long long)file->seq, (unsigned long long)(scan->lsn_next - 1), -r);
    return r < 0 ? r : 0;
}

/* ---- what lies beyond the end ---- */

/* The rows of the table that tell what lies beyond the end of a log. */
static void note_remains(const struct log_state *state, const struct log_file *file,
                         const struct segment_remains *remains)
{
    bool is_last =
        state->last != LOG_FILES_NONE && file->seq == state->files.files[state->last].seq;
    bool is_vouched = remains->durable_lsn > state->lsn_next - 1;

    if (is_vouched && is_last)
        SOMETIMES("damage: acknowledged records are missing before blocks of the same file");
    else if (is_vouched)
        SOMETIMES("damage: acknowledged records are missing before a later file");
    else if (remains->used_count > 0 && is_last)
        SOMETIMES("a torn tail is cut");
    else if (remains->used_count > 0 && state->last == LOG_FILES_NONE)
        SOMETIMES("the only header of a log is torn");
    else if (remains->used_count > 0)
        SOMETIMES("a file beyond the end is discarded");
    else if (!is_last)
        SOMETIMES("a file was named but never begun");
}

/* Looks beyond the end in one file: refuses when vouched, else keeps a copy of what was torn. */
MUST_USE static int judge_file(struct recovery *recovery, struct log_state *state,
                               const struct log_file *file, uint64_t block)
{
    struct disk *disk = recovery->config->disk;
    struct segment_remains remains;
    uint64_t lsn = state->lsn_next - 1;
    int fd = log_files_open(&state->files, file->seq);
    int r;

    if (fd < 0)
        return fd;
    r = segment_scan_remains(&recovery->scan, fd, file->size, state->files.log, file->seq, block,
                             &remains);
    if (r == 0)
        note_remains(state, file, &remains);
    if (r == 0 && remains.durable_lsn > lsn) {
        const struct log_file *last =
            &state->files.files[state->last == LOG_FILES_NONE ? 0 : state->last];

        say(recovery,
            "log-%02u/%016llx.seg: offset %llu: the log breaks off after LSN %llu, but block %llu "
            "of %016llx.seg states that LSN %llu was durable",
            state->files.log, (unsigned long long)last->seq,
            (unsigned long long)state->end_block * SEGMENT_BLOCK_SIZE, (unsigned long long)lsn,
            (unsigned long long)remains.durable_block, (unsigned long long)file->seq,
            (unsigned long long)remains.durable_lsn);
        r = -EBADMSG;
    }
    state->result.torn_block_count += r == 0 ? remains.used_count : 0;
    if (r == 0 && remains.used_count > 0 && !recovery->config->read_only)
        r = torn_file_write(&recovery->scan, &state->files, fd, file->seq, block, remains.used_end);
    disk_close(disk, fd);
    return r;
}

/* Cuts the last segment after its valid blocks. */
MUST_USE static int truncate_last(struct recovery *recovery, struct log_state *state)
{
    struct disk *disk = recovery->config->disk;
    struct log_file *file = &state->files.files[state->last];
    uint64_t size = state->end_block * SEGMENT_BLOCK_SIZE;
    char path[SEGMENT_POOL_PATH_SIZE];
    int fd;
    int r;

    assert(state->end_block > 0);
    if (recovery->config->read_only || file->size <= size)
        return 0;
    log_files_path(&state->files, path, file->seq, "seg");
    fd = disk_open(disk, path, O_RDWR, 0);
    if (fd < 0)
        return fd;
    r = disk_truncate(disk, fd, size);
    if (r == 0)
        r = disk_sync(disk, fd);
    disk_close(disk, fd);
    if (r == 0) {
        SOMETIMES("the last segment is cut to its valid blocks");
        file->size = size;
    }
    return r;
}

/* Files that are not part of the log wait to be used again. */
MUST_USE static int put_leftovers_aside(struct recovery *recovery, struct log_state *state)
{
    struct disk *disk = recovery->config->disk;
    char path[SEGMENT_POOL_PATH_SIZE];
    char new_path[SEGMENT_POOL_PATH_SIZE];
    bool changed = false;
    int r = 0;

    if (recovery->config->read_only)
        return 0;
    for (uint32_t i = 0; r == 0 && i < state->files.count; i++) {
        if (state->kept[i])
            continue;
        log_files_path(&state->files, path, state->files.files[i].seq, "seg");
        log_files_path(&state->files, new_path, state->files.files[i].seq, "spare");
        r = disk_rename(disk, path, new_path);
        changed = true;
        SOMETIMES("recovery puts a leftover aside");
    }
    if (r == 0 && changed)
        r = disk_sync_directory(disk, state->files.directory);
    return r;
}

/* Fills in what journal_open() needs. */
MUST_USE static int conclude(struct log_state *state)
{
    struct recovered_log *result = &state->result;
    const struct log_files *files = &state->files;

    result->segments = calloc(files->count + 1, sizeof(result->segments[0]));
    if (result->segments == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < files->count; i++) {
        const struct log_file *file = &files->files[i];
        struct journal_segment *previous = &result->segments[result->segment_count];

        if (!state->kept[i])
            continue;
        if (result->segment_count > 0)
            previous[-1].last_lsn = file->header.first_lsn - 1;
        *previous = (struct journal_segment){
            .seq = file->seq,
            .first_lsn = file->header.first_lsn,
            .last_lsn = state->lsn_next - 1,
            .created_unix_ms = file->header.created_unix_ms,
            .size = file->size,
        };
        result->segment_count++;
    }
    result->next_seq = files->number_max + 1;
    result->next_lsn = state->lsn_next;
    if (state->last != LOG_FILES_NONE) {
        const struct segment_header *header = &files->files[state->last].header;

        result->last_seq = header->seq;
        result->next_block_lsn = header->first_block_lsn + state->end_block;
    }
    return 0;
}

/* The rows of the table that tell how a log ends. has_next: a later segment continues it. */
static void note_end(const struct segment_scan *scan, bool has_next)
{
    if (scan->group_cut)
        SOMETIMES("a group without its end is discarded");
    if (has_next)
        SOMETIMES("a segment is too short for its successor");
    switch (scan->why) {
    case SEGMENT_SCAN_FILE_END:
        SOMETIMES("a log ends where its file ends");
        break;
    case SEGMENT_SCAN_UNWRITTEN:
        SOMETIMES("a log ends in blocks that were not written");
        break;
    case SEGMENT_SCAN_BAD_BLOCK:
        SOMETIMES("a log ends at a bad block");
        break;
    case SEGMENT_SCAN_BOUND:
    case SEGMENT_SCAN_BAD_RECORD:
        break;
    }
}

/* The log has been read up to its first gap: judges what lies beyond and sets things right. */
MUST_USE static int end_log(struct recovery *recovery, struct log_state *state)
{
    struct recovery_visitor *visitor = recovery->config->visitor;
    int r = 0;

    assert(!state->ended);
    state->ended = true;
    if (state->files.count == 0)
        SOMETIMES("a log has no file yet");
    for (uint32_t i = 0; r == 0 && i < state->files.count; i++) {
        if (i == state->last)
            r = judge_file(recovery, state, &state->files.files[i], state->end_block);
        else if (!state->kept[i])
            r = judge_file(recovery, state, &state->files.files[i], 0);
    }
    if (r == 0 && state->last != LOG_FILES_NONE)
        r = truncate_last(recovery, state);
    if (r == 0)
        r = put_leftovers_aside(recovery, state);
    if (r == 0 && !recovery->config->read_only)
        r = torn_files_trim(&state->files);
    if (r == 0)
        r = conclude(state);
    if (r < 0 && recovery->text[0] == 0)
        say(recovery, "log-%02u: cannot finish recovery: %s (error %d)", state->files.log,
            strerrordesc_np(-r), -r);
    if (r == 0 && visitor->on_log_end != NULL)
        visitor->on_log_end(visitor, &state->result);
    return r;
}

/* Reads one segment of the plan. A gap ends its log. */
MUST_USE static int visit_stop(struct recovery *recovery, const struct stop *stop)
{
    struct log_state *state = &recovery->logs[stop->log];
    const struct log_file *file = &state->files.files[stop->file];
    const struct segment_scan *scan = &recovery->scan;
    uint32_t after = log_files_after(&state->files, stop->file);
    uint64_t lsn_end =
        after == LOG_FILES_NONE ? UINT64_MAX : state->files.files[after].header.first_lsn;
    int fd;
    int r;

    if (state->ended)
        return 0;
    fd = log_files_open(&state->files, file->seq);
    if (fd < 0)
        return fd;
    r = read_segment(recovery, state, fd, file, lsn_end);
    disk_close(recovery->config->disk, fd);
    if (r < 0)
        return r;
    state->last = stop->file;
    state->kept[stop->file] = true;
    state->lsn_next = scan->lsn_next;
    state->end_block = scan->block;
    if (after != LOG_FILES_NONE &&
        (state->files.files[after].header.flags & SEGMENT_HEADER_GAP) != 0) {
        SOMETIMES("damage: a log goes on behind a salvaged gap");
        return 0;
    }
    if (scan->why == SEGMENT_SCAN_BAD_RECORD) {
        SOMETIMES("damage: an intact block holds a damaged record");
        say(recovery,
            "log-%02u/%016llx.seg: offset %llu: an intact block holds a damaged record after "
            "LSN %llu",
            stop->log, (unsigned long long)file->seq, (unsigned long long)scan->bad_offset,
            (unsigned long long)(scan->lsn_next - 1));
        return -EBADMSG;
    }
    if (after != LOG_FILES_NONE && state->lsn_next == lsn_end) {
        if (state->files.files[after].header.boot_generation > file->header.boot_generation)
            SOMETIMES("a log goes on in the segment of a later start");
        return 0;
    }
    note_end(scan, after != LOG_FILES_NONE);
    return end_log(recovery, state);
}

/* ---- all of it ---- */

MUST_USE static int run(struct recovery *recovery)
{
    int r = segment_scan_init(&recovery->scan, recovery->config->disk);

    for (uint32_t i = 0; r == 0 && i < recovery->log_count; i++)
        r = load_log(recovery, i);
    if (r == 0)
        r = plan(recovery);
    for (uint32_t i = 0; r == 0 && i < recovery->stop_count; i++)
        r = visit_stop(recovery, &recovery->stops[i]);
    for (uint32_t i = 0; r == 0 && i < recovery->log_count; i++) {
        if (!recovery->logs[i].ended)
            r = end_log(recovery, &recovery->logs[i]);
    }
    if (r < 0 && recovery->text[0] == 0)
        say(recovery, "cannot read the logs: error %d", -r);
    if (r == -EIO)
        SOMETIMES("recovery meets a disk that cannot read");
    return r;
}

MUST_USE static int make_result(struct recovery *recovery, struct recovered **ret_recovered)
{
    struct recovered *recovered = calloc(1, sizeof(*recovered));

    if (recovered == NULL)
        return -ENOMEM;
    recovered->logs = calloc(recovery->log_count + 1, sizeof(recovered->logs[0]));
    if (recovered->logs == NULL) {
        free(recovered);
        return -ENOMEM;
    }
    recovered->log_count = recovery->log_count;
    recovered->byte_count = recovery->scan.read_bytes;
    for (uint32_t i = 0; i < recovery->log_count; i++) {
        recovered->logs[i] = recovery->logs[i].result;
        recovery->logs[i].result.segments = NULL;
    }
    *ret_recovered = recovered;
    return 0;
}

int recovery_run(const struct recovery_config *config, struct recovered **ret_recovered, char *text)
{
    struct recovery recovery = {
        .config = config,
        .log_count = config->superblock->log_count,
        .text = text,
    };
    int r = -ENOMEM;

    assert(config->visitor->on_group != NULL);
    assert(recovery.log_count <= SEGMENT_LOG_MAX + 1);
    text[0] = 0;
    recovery.logs = calloc(recovery.log_count + 1, sizeof(recovery.logs[0]));
    if (recovery.logs != NULL)
        r = run(&recovery);
    if (r == 0)
        r = make_result(&recovery, ret_recovered);
    for (uint32_t i = 0; recovery.logs != NULL && i < recovery.log_count; i++) {
        log_files_free(&recovery.logs[i].files);
        free(recovery.logs[i].kept);
        free(recovery.logs[i].result.segments);
    }
    free(recovery.logs);
    free(recovery.stops);
    segment_scan_deinit(&recovery.scan);
    return r;
}

void recovered_free(struct recovered **recovered)
{
    struct recovered *self = *recovered;

    if (self == NULL)
        return;
    for (uint32_t i = 0; i < self->log_count; i++)
        free(self->logs[i].segments);
    free(self->logs);
    free(self);
    *recovered = NULL;
}

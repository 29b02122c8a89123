#include "store/journal_tool.h"

#include <errno.h>

#include "store/log_files.h"
#include "store/recovery.h"
#include "store/salvage.h"

/*
 * Dump and verify are recovery with nothing changed, so they cannot disagree with
 * the next start. Verify on a directory in use repeats itself when it finds damage:
 * a block that was being written when it was read is whole the next time.
 */
static_assert((int)JOURNAL_TOOL_TEXT_SIZE == (int)RECOVERY_TEXT_SIZE, "one text");

enum { VERIFY_ATTEMPTS_MAX = 3 };

const char *journal_tool_end_name(enum segment_scan_why end)
{
    switch (end) {
    case SEGMENT_SCAN_BOUND:
        return "continued";
    case SEGMENT_SCAN_FILE_END:
        return "end of file";
    case SEGMENT_SCAN_UNWRITTEN:
        return "unwritten";
    case SEGMENT_SCAN_BAD_BLOCK:
        return "torn or damaged block";
    case SEGMENT_SCAN_BAD_RECORD:
        return "damaged record";
    }
    return "unknown";
}

MUST_USE static int load_superblock(struct disk *disk, const char *data_path,
                                    struct superblock *superblock, char *text)
{
    int r = superblock_read(disk, data_path, superblock);

    text[0] = 0;
    if (r < 0)
        snprintf(text, JOURNAL_TOOL_TEXT_SIZE, "%.300s: no readable superblock: error %d",
                 data_path, -r);
    return r;
}

/* Reads one file as far as it goes. */
MUST_USE static int inspect_file(const struct log_files *files, const struct log_file *file,
                                 struct segment_scan *scan, struct journal_tool_visitor *visitor)
{
    struct journal_tool_segment segment = {
        .log = files->log, .seq = file->seq, .size = file->size, .begun = file->begun};
    const struct journal_record_view *records;
    uint32_t count;
    int fd;
    int r;

    if (!file->begun)
        return visitor->on_segment(visitor, &segment);
    fd = log_files_open(files, file->seq);
    if (fd < 0)
        return fd;
    segment_scan_begin(scan, fd, file->size, &file->header, UINT64_MAX);
    while ((r = segment_scan_next(scan, &records, &count)) == SEGMENT_SCAN_GROUP) {
        segment.group_count++;
        segment.record_count += count;
    }
    disk_close(files->disk, fd);
    if (r < 0)
        return r;
    segment.follows_gap = (file->header.flags & SEGMENT_HEADER_GAP) != 0;
    segment.boot_generation = file->header.boot_generation;
    segment.previous_seq = file->header.previous_seq;
    segment.first_lsn = file->header.first_lsn;
    segment.last_lsn = scan->lsn_next - 1;
    segment.created_unix_ms = file->header.created_unix_ms;
    segment.block_count = scan->block;
    segment.durable_lsn = scan->durable_lsn;
    segment.end = scan->why;
    segment.group_cut = scan->group_cut;
    return visitor->on_segment(visitor, &segment);
}

int journal_tool_inspect(struct disk *disk, const char *data_path,
                         struct journal_tool_visitor *visitor, char *text)
{
    struct superblock superblock;
    struct segment_scan scan;
    int r;

    assert(visitor->on_segment != NULL);
    r = load_superblock(disk, data_path, &superblock, text);
    if (r < 0)
        return r;
    r = segment_scan_init(&scan, disk);
    for (uint32_t log = 0; r == 0 && log < superblock.log_count; log++) {
        struct log_files files;

        r = log_files_load(disk, data_path, log, superblock.uuid, false, true, &files, text);
        if (r < 0)
            break;
        for (uint32_t i = 0; r == 0 && i < files.count; i++)
            r = inspect_file(&files, &files.files[i], &scan, visitor);
        log_files_free(&files);
    }
    if (r < 0 && text[0] == 0)
        snprintf(text, JOURNAL_TOOL_TEXT_SIZE, "cannot read the logs: error %d", -r);
    segment_scan_deinit(&scan);
    return r;
}

/* Recovery's visitor, on behalf of a tool's. */
struct reader {
    struct recovery_visitor visitor;
    struct journal_tool_visitor *tool; /* or NULL: only count */
};

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    struct reader *reader = container_of(visitor, struct reader, visitor);
    int r = 0;

    for (uint32_t i = 0; reader->tool != NULL && r == 0 && i < group->record_count; i++)
        r = reader->tool->on_record(reader->tool, group->boot_generation, &group->records[i]);
    return r;
}

MUST_USE static int read_logs(struct disk *disk, const char *data_path,
                              struct journal_tool_visitor *tool, struct recovered **ret_recovered,
                              char *text)
{
    struct reader reader = {.visitor = {.on_group = on_group}, .tool = tool};
    struct superblock superblock;
    struct recovery_config config = {
        .disk = disk,
        .data_path = data_path,
        .superblock = &superblock,
        .visitor = &reader.visitor,
        .unsafe_storage = true,
        .read_only = true,
    };
    int r = load_superblock(disk, data_path, &superblock, text);

    if (r < 0)
        return r;
    return recovery_run(&config, ret_recovered, text);
}

int journal_tool_dump(struct disk *disk, const char *data_path,
                      struct journal_tool_visitor *visitor, char *text)
{
    struct recovered *recovered = NULL;
    int r;

    assert(visitor->on_record != NULL);
    r = read_logs(disk, data_path, visitor, &recovered, text);
    recovered_free(&recovered);
    return r;
}

int journal_tool_verify(struct disk *disk, const char *data_path,
                        struct journal_tool_summary *ret_summary, char *text)
{
    struct journal_tool_summary summary = {.log_count = 0};
    struct recovered *recovered = NULL;
    int r = -EBADMSG;

    for (uint32_t i = 0; i < VERIFY_ATTEMPTS_MAX && r == -EBADMSG; i++)
        r = read_logs(disk, data_path, NULL, &recovered, text);
    if (r < 0)
        return r;
    summary.log_count = recovered->log_count;
    summary.byte_count = recovered->byte_count;
    for (uint32_t i = 0; i < recovered->log_count; i++) {
        summary.segment_count += recovered->logs[i].segment_count;
        summary.group_count += recovered->logs[i].group_count;
        summary.record_count += recovered->logs[i].record_count;
        summary.torn_block_count += recovered->logs[i].torn_block_count;
    }
    recovered_free(&recovered);
    *ret_summary = summary;
    return 0;
}

int journal_tool_salvage(struct disk *disk, struct rng *rng, const char *data_path,
                         uint64_t unix_ms, struct journal_tool_visitor *visitor,
                         uint32_t *ret_salvaged_count, char *text)
{
    struct superblock superblock;
    struct superblock_config config = {
        .disk = disk, .rng = rng, .data_path = data_path, .log_count = 1};
    uint32_t salvaged_count = 0;
    int r = load_superblock(disk, data_path, &superblock, text);

    if (r < 0)
        return r; /* there is nothing here: do not make a directory */
    r = superblock_open(&config, &superblock, text);
    if (r < 0)
        return r;
    for (uint32_t log = 0; r == 0 && log < superblock.log_count; log++) {
        bool changed = false;

        r = salvage_log(disk, data_path, &superblock, log, unix_ms, visitor, &changed, text);
        salvaged_count += r == 0 && changed;
    }
    superblock_close(&superblock, disk);
    if (r == 0)
        *ret_salvaged_count = salvaged_count;
    return r;
}

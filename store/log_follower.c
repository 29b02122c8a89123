#include "store/log_follower.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"

/*
 * One scan serves all logs: it is begun anew where a log's place is when another log had it,
 * and whenever it came to blocks that were not written yet, for those are read again later.
 *
 *     durable beyond the place? --no--> nothing to read
 *         | yes
 *     locate: the segment that holds the next record, by the headers
 *         |       gone: the oldest one behind it, and the gap is counted
 *     scan:   a group --> give it out
 *             the end --> list the files again; the next segment, or it is damage
 *
 * Which log may be read: of those that have something, only the ones whose next record is
 * of the earliest start (boot generation). Within one start a partition is in one log.
 */

static void close_scan(struct log_follower *follower)
{
    if (follower->fd >= 0)
        disk_close(follower->disk, follower->fd);
    follower->fd = -1;
    follower->scanned = NULL;
}

static void forget_files(struct log_follower_log *log)
{
    log_files_free(&log->files);
    log->index = LOG_FILES_NONE;
}

int log_follower_init(struct log_follower *follower, struct disk *disk, const char *data_path,
                      const uint8_t *uuid, bool unsafe_storage, const struct read_place *places,
                      uint32_t log_count)
{
    char *memory = NULL;
    int r;

    assert(log_count <= SEGMENT_LOG_MAX + 1);
    *follower = (struct log_follower){
        .disk = disk,
        .data_path = data_path,
        .unsafe_storage = unsafe_storage,
        .log_count = log_count,
        .fd = -1,
    };
    memcpy(follower->uuid, uuid, sizeof(follower->uuid));
    r = memory_map(log_count * sizeof(*follower->logs), &memory);
    if (r < 0)
        return r;
    follower->logs = (struct log_follower_log *)(void *)memory;
    for (uint32_t i = 0; i < log_count; i++) {
        assert(places[i].log == i);
        follower->logs[i].place = places[i];
        follower->logs[i].index = LOG_FILES_NONE;
    }
    r = segment_scan_init(&follower->scan, disk);
    if (r < 0)
        log_follower_deinit(follower);
    return r;
}

void log_follower_deinit(struct log_follower *follower)
{
    char *memory = (char *)follower->logs;

    if (memory == NULL)
        return;
    close_scan(follower);
    segment_scan_deinit(&follower->scan);
    for (uint32_t i = 0; i < follower->log_count; i++)
        log_files_free(&follower->logs[i].files);
    memory_unmap(&memory, follower->log_count * sizeof(*follower->logs));
    follower->logs = NULL;
}

void log_follower_advance(struct log_follower *follower, uint32_t log, uint64_t lsn)
{
    struct log_follower_log *entry = &follower->logs[log];

    assert(log < follower->log_count);
    entry->durable_lsn = max_u64(entry->durable_lsn, lsn);
}

/* The first LSN that is wanted; before anything was read that is the oldest there is. */
static uint64_t wanted_lsn(const struct log_follower_log *log)
{
    return max_u64(log->place.next_lsn, 1);
}

static bool has_work(const struct log_follower_log *log)
{
    return wanted_lsn(log) <= log->durable_lsn;
}

uint64_t log_follower_lag(const struct log_follower *follower)
{
    uint64_t lag = 0;

    for (uint32_t i = 0; i < follower->log_count; i++)
        if (has_work(&follower->logs[i]))
            lag += follower->logs[i].durable_lsn + 1 - wanted_lsn(&follower->logs[i]);
    return lag;
}

void log_follower_return(struct log_follower *follower, const struct read_place *places)
{
    close_scan(follower);
    for (uint32_t i = 0; i < follower->log_count; i++) {
        follower->logs[i].place = places[i];
        forget_files(&follower->logs[i]);
    }
}

const struct read_place *log_follower_place(const struct log_follower *follower, uint32_t log)
{
    assert(log < follower->log_count);
    return &follower->logs[log].place;
}

/* ---- which segment ---- */

static const struct log_file *file_of(const struct log_follower_log *log)
{
    assert(log->index < log->files.count);
    return &log->files.files[log->index];
}

MUST_USE static int list_files(struct log_follower *follower, struct log_follower_log *log)
{
    struct log_files files;
    int r = log_files_load(follower->disk, follower->data_path, log->place.log, follower->uuid,
                           false, follower->unsafe_storage, &files, follower->text);

    if (r < 0)
        return r;
    forget_files(log);
    log->files = files;
    return 0;
}

/* The segment that the place is in, else the oldest one behind it; LOG_FILES_NONE. */
static uint32_t find_start(const struct log_follower_log *log)
{
    for (uint32_t i = 0; i < log->files.count; i++)
        if (log->files.files[i].begun && log->files.files[i].seq >= log->place.seq)
            return i;
    return LOG_FILES_NONE;
}

/*
 * Moves the place to the beginning of the segment at index; what lies between is gone. Who waits
 * for a record before it waits no more: it has been read, or never will be.
 */
static void enter_file(struct log_follower *follower, struct log_follower_log *log, uint32_t index)
{
    const struct segment_header *header = &log->files.files[index].header;

    log->index = index;
    if (log->place.seq == header->seq)
        return;
    if (log->place.seq != 0 && header->first_lsn > log->place.next_lsn) {
        SOMETIMES("records are gone before the read model has read them");
        follower->skipped_count += header->first_lsn - log->place.next_lsn;
    }
    log->place.seq = header->seq;
    log->place.offset = 0;
    log->place.next_lsn = header->first_lsn;
    log->place.last = journal_location_make(log->place.log, header->seq, 0);
}

/*
 * Steps from the segment at hand to the one that has the wanted record, if it is known. Where the
 * records between them were given up by a salvage, only once the first has been read to its end.
 */
static bool step_on(struct log_follower *follower, struct log_follower_log *log, bool at_end)
{
    uint32_t after = log_files_after(&log->files, log->index);
    const struct segment_header *header;

    if (after == LOG_FILES_NONE)
        return false;
    header = &log->files.files[after].header;
    if (header->first_lsn > wanted_lsn(log) &&
        (!at_end || (header->flags & SEGMENT_HEADER_GAP) == 0))
        return false;
    enter_file(follower, log, after);
    return true;
}

/* Finds the segment of the place. 0; -EAGAIN when there is no file yet; or another -errno. */
MUST_USE static int locate(struct log_follower *follower, struct log_follower_log *log)
{
    uint32_t start;
    int r;

    if (log->index == LOG_FILES_NONE) {
        r = list_files(follower, log);
        if (r < 0)
            return r;
        start = find_start(log);
        if (start == LOG_FILES_NONE)
            return -EAGAIN;
        enter_file(follower, log, start);
    }
    while (step_on(follower, log, false))
        ;
    return 0;
}

/* The start that the log's next record is of. Or -errno. */
MUST_USE static int find_generation(struct log_follower *follower, struct log_follower_log *log,
                                    uint32_t *ret_generation)
{
    int r = locate(follower, log);

    if (r < 0)
        return r;
    *ret_generation = file_of(log)->header.boot_generation;
    return 0;
}

int log_follower_pick(struct log_follower *follower, uint32_t first, uint32_t *ret_log)
{
    uint32_t generation_min = UINT32_MAX;
    uint32_t found = UINT32_MAX;

    for (uint32_t i = 0; i < follower->log_count; i++) {
        uint32_t log = (first + i) % follower->log_count;
        uint32_t generation;
        int r;

        if (!has_work(&follower->logs[log]))
            continue;
        r = find_generation(follower, &follower->logs[log], &generation);
        if (r < 0)
            return r;
        if (found != UINT32_MAX && generation >= generation_min)
            continue;
        generation_min = generation;
        found = log;
    }
    if (found == UINT32_MAX)
        return 0;
    *ret_log = found;
    return 1;
}

/* ---- reading ---- */

/* Makes the scan stand at the log's place. 0 or -errno. */
MUST_USE static int begin_scan(struct log_follower *follower, struct log_follower_log *log)
{
    uint64_t size = 0;
    int r;

    close_scan(follower);
    r = log_files_open(&log->files, log->place.seq);
    if (r < 0)
        return r;
    follower->fd = r;
    r = disk_size(follower->disk, follower->fd, &size);
    if (r < 0)
        return r;
    segment_scan_begin_at(&follower->scan, follower->fd, size, &file_of(log)->header,
                          log->durable_lsn + 1, log->place.offset, log->place.next_lsn);
    follower->scanned = log;
    return 0;
}

/* The scan has ended before the durable end. 0: it is to be begun anew; or -errno. */
MUST_USE static int on_end(struct log_follower *follower, struct log_follower_log *log)
{
    enum segment_scan_why why = follower->scan.why;
    uint64_t block = follower->scan.block;
    uint64_t seq = log->place.seq;
    int r;

    close_scan(follower);
    forget_files(log);
    r = locate(follower, log);
    if (r < 0)
        return r == -EAGAIN ? -EBADMSG : r;
    if (log->place.seq != seq || step_on(follower, log, true))
        return 0;
    snprintf(follower->text, sizeof(follower->text),
             "log-%02u/%016llx.seg: block %llu: record %llu is durable, but cannot be read (%s)",
             log->place.log, (unsigned long long)seq, (unsigned long long)block,
             (unsigned long long)wanted_lsn(log),
             why == SEGMENT_SCAN_BAD_BLOCK || why == SEGMENT_SCAN_BAD_RECORD ? "damaged"
                                                                             : "not there");
    return -EBADMSG;
}

int log_follower_next(struct log_follower *follower, uint32_t log,
                      struct log_follower_group *ret_group)
{
    struct log_follower_log *entry = &follower->logs[log];
    struct segment_scan *scan = &follower->scan;
    int r = 0;

    assert(log < follower->log_count);
    while (r == 0) {
        if (!has_work(entry))
            return 0;
        r = locate(follower, entry);
        if (r == 0 && (follower->scanned != entry || scan->header.seq != entry->place.seq))
            r = begin_scan(follower, entry);
        if (r < 0)
            break;
        scan->lsn_end = entry->durable_lsn + 1;
        r = segment_scan_next(scan, &ret_group->records, &ret_group->count);
        if (r == SEGMENT_SCAN_GROUP) {
            entry->place.offset = segment_scan_place(scan);
            entry->place.next_lsn = scan->lsn_next;
            entry->place.last = ret_group->records[ret_group->count - 1].location;
            ret_group->place = entry->place;
            return 1;
        }
        if (r == SEGMENT_SCAN_END)
            r = on_end(follower, entry);
    }
    close_scan(follower);
    forget_files(entry);
    return r;
}

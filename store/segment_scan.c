#include "store/segment_scan.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/crc32c.h"

/*
 * Blocks are read a chunk at a time, the next one while this one is looked at. They are
 * checked, and their payload areas put one after the other into the stream window; groups
 * are cut out of the window where they lie. The window holds the largest group and a block
 * more, so there is always room for the next block while a group is incomplete: a stream
 * that claims more is bad. block_ends translates stream positions back to file offsets.
 *
 * A block that is intact but whose record stream makes no sense did not come from a
 * torn write: that is reported apart, and recovery refuses it.
 *
 * No block is believed to be bad, or to be where the log ends, after one look: what
 * was acknowledged would be cut because a bit flipped on its way from the disk. It is
 * read once more, and what the second read brings counts.
 */
enum {
    CHUNK_SIZE = 2 << 20,
    CHUNK_SIZE_FIRST = 32 << 10, /* of who goes on where he was */
    STREAM_SIZE = JOURNAL_GROUP_SIZE_MAX + 2 * CHUNK_SIZE,
    READ_REPEAT_MAX = 8, /* reads that end inside a block, in one call */
};

static const size_t BLOCK_ENDS_SIZE = SEGMENT_BLOCK_COUNT_MAX * sizeof(uint64_t);
static const size_t VIEWS_SIZE = JOURNAL_GROUP_RECORDS_MAX * sizeof(struct journal_record_view);

static_assert(STREAM_SIZE + 2 * CHUNK_SIZE + SEGMENT_BLOCK_COUNT_MAX * 8 +
                      JOURNAL_GROUP_RECORDS_MAX * sizeof(struct journal_record_view) <=
                  SEGMENT_SCAN_BYTES_MAX,
              "what segment_scan_init() maps");

static void scan_check(const struct segment_scan *scan)
{
    assert(scan->stream_start <= scan->position);
    assert(scan->position <= scan->stream_end || scan->stream_end == 0);
    assert(scan->stream_end - scan->stream_start <= STREAM_SIZE);
    assert(scan->block <= SEGMENT_BLOCK_COUNT_MAX);
}

int segment_scan_init(struct segment_scan *scan, struct disk *disk)
{
    char *ends = NULL;
    char *views = NULL;
    int r;

    memset(scan, 0, sizeof(*scan));
    scan->disk = disk;
    r = memory_map(CHUNK_SIZE, &scan->chunk);
    if (r == 0)
        r = memory_map(CHUNK_SIZE, &scan->chunk_ahead);
    if (r == 0)
        r = memory_map(STREAM_SIZE, &scan->stream);
    if (r == 0)
        r = memory_map(BLOCK_ENDS_SIZE, &ends);
    if (r == 0)
        r = memory_map(VIEWS_SIZE, &views);
    scan->block_ends = (uint64_t *)(void *)ends;
    scan->views = (struct journal_record_view *)(void *)views;
    if (r < 0)
        segment_scan_deinit(scan);
    return r;
}

void segment_scan_deinit(struct segment_scan *scan)
{
    char *ends = (char *)scan->block_ends;
    char *views = (char *)scan->views;

    segment_scan_end(scan);
    memory_unmap(&scan->chunk, CHUNK_SIZE);
    memory_unmap(&scan->chunk_ahead, CHUNK_SIZE);
    memory_unmap(&scan->stream, STREAM_SIZE);
    memory_unmap(&ends, BLOCK_ENDS_SIZE);
    memory_unmap(&views, VIEWS_SIZE);
    scan->block_ends = NULL;
    scan->views = NULL;
}

void segment_scan_begin(struct segment_scan *scan, int fd, uint64_t file_size,
                        const struct segment_header *header, uint64_t lsn_end)
{
    assert(fd >= 0);
    assert(header->first_lsn > 0);
    segment_scan_end(scan);
    scan->fd = fd;
    scan->file_size = min_u64(file_size, SEGMENT_SIZE_MAX);
    scan->header = *header;
    scan->lsn_next = header->first_lsn;
    scan->lsn_end = lsn_end;
    scan->why = SEGMENT_SCAN_FILE_END;
    scan->block = 0;
    scan->bad_offset = 0;
    scan->group_cut = false;
    scan->durable_lsn = 0;
    scan->chunk_want = CHUNK_SIZE;
    scan->reads_ahead = true;
    scan->chunk_start = 0;
    scan->chunk_size = 0;
    scan->chunk_lsn_end = lsn_end;
    scan->stream_start = 0;
    scan->stream_end = 0;
    scan->position = 0;
    scan->cursor = 0;
    scan->view_count = 0;
    scan->stopped = false;
}

void segment_scan_begin_at(struct segment_scan *scan, int fd, uint64_t file_size,
                           const struct segment_header *header, uint64_t lsn_end, uint64_t place,
                           uint64_t lsn_first)
{
    uint64_t block = place / SEGMENT_BLOCK_SIZE;

    assert(place % SEGMENT_BLOCK_SIZE <= SEGMENT_PAYLOAD_SIZE);
    assert(block < SEGMENT_BLOCK_COUNT_MAX);
    segment_scan_begin(scan, fd, file_size, header, lsn_end);
    scan->chunk_want = CHUNK_SIZE_FIRST;
    scan->reads_ahead = false; /* what follows is not written yet, as soon as he has caught up */
    scan->lsn_next = lsn_first;
    if (block == 0)
        return;
    /* The stream begins with this block; the part of it that was read before is stepped over. */
    scan->block = block;
    scan->block_ends[block - 1] = 0;
    scan->cursor = block;
    scan->position = place % SEGMENT_BLOCK_SIZE;
}

uint64_t segment_scan_place(const struct segment_scan *scan)
{
    uint64_t block = scan->cursor;
    uint64_t start;

    while (scan->block_ends[block] < scan->position)
        block++;
    assert(block < scan->block);
    start = block == 0 ? 0 : scan->block_ends[block - 1];
    return block * SEGMENT_BLOCK_SIZE + (scan->position - start);
}

int64_t segment_scan_read(struct disk *disk, int fd, char *data, uint64_t size, uint64_t offset)
{
    uint64_t done = 0;
    uint32_t short_count = 0;
    uint64_t file_size;
    int r;

    assert(size % SEGMENT_BLOCK_SIZE == 0);
    assert(offset % SEGMENT_BLOCK_SIZE == 0);
    while (done < size) {
        int64_t count = disk_read(disk, fd, data + done, size - done, offset + done);

        if (count < 0)
            return count;
        done += (uint64_t)count / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
        if (count >= SEGMENT_BLOCK_SIZE)
            continue;
        /* Not a whole block: the end, or a read that stopped early. That is no end of the log. */
        r = disk_size(disk, fd, &file_size);
        if (r < 0)
            return r;
        if (offset + done + SEGMENT_BLOCK_SIZE > file_size)
            break;
        SOMETIMES("a read of a log stops early");
        if (++short_count > READ_REPEAT_MAX)
            return -EIO;
    }
    return (int64_t)done;
}

void segment_scan_end(struct segment_scan *scan)
{
    disk_ahead_drop(&scan->ahead);
}

/* Makes what was read ahead the chunk, if that is whole blocks from offset on. Count or -errno. */
MUST_USE static int64_t take_ahead(struct segment_scan *scan, uint64_t offset)
{
    char *chunk = scan->chunk;
    int64_t size;

    if (scan->ahead.disk == NULL)
        return 0;
    if (scan->ahead.offset != offset) {
        segment_scan_end(scan);
        return 0;
    }
    size = disk_ahead_end(&scan->ahead);
    if (size < 0)
        return size;
    scan->chunk = scan->chunk_ahead;
    scan->chunk_ahead = chunk;
    return size / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
}

/* Begins to read what follows the chunk. */
static void read_ahead(struct segment_scan *scan)
{
    uint64_t offset = scan->chunk_start + scan->chunk_size;
    uint64_t left = scan->file_size - min_u64(scan->file_size, offset);

    if (!scan->reads_ahead || left < SEGMENT_BLOCK_SIZE)
        return;
    disk_ahead_begin(&scan->ahead, scan->disk, scan->fd, scan->chunk_ahead,
                     min_u64(left / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE, CHUNK_SIZE), offset);
}

/* Loads the chunk that holds the scan's block. 1, 0 at the end of the file, or -errno. */
MUST_USE static int load_chunk(struct segment_scan *scan)
{
    uint64_t offset = scan->block * SEGMENT_BLOCK_SIZE;
    uint64_t left;
    int64_t size;

    if (offset >= scan->chunk_start && offset < scan->chunk_start + scan->chunk_size)
        return 1;
    if (offset + SEGMENT_BLOCK_SIZE > scan->file_size)
        return 0;
    left = (scan->file_size - offset) / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
    size = take_ahead(scan, offset);
    if (size == 0)
        size = segment_scan_read(scan->disk, scan->fd, scan->chunk, min_u64(left, scan->chunk_want),
                                 offset);
    if (size < 0)
        return (int)size;
    scan->chunk_want = min_u64(scan->chunk_want * 2, CHUNK_SIZE);
    scan->chunk_start = offset;
    scan->chunk_size = (uint64_t)size;
    scan->chunk_lsn_end = scan->lsn_end;
    scan->read_bytes += (uint64_t)size;
    read_ahead(scan);
    return size > 0 ? 1 : 0;
}

/* Reads one block of the file again, in place. 0 or -errno. */
MUST_USE static int look_again(struct segment_scan *scan, int fd, char *block, uint64_t index)
{
    int64_t size =
        segment_scan_read(scan->disk, fd, block, SEGMENT_BLOCK_SIZE, index * SEGMENT_BLOCK_SIZE);

    assert(block >= scan->chunk && block < scan->chunk + CHUNK_SIZE);
    return size < 0 ? (int)size : 0;
}

/*
 * Makes room for one more payload area at the end of the window. While no more than a block of it
 * is in use it begins anew, so that it stays small and near, however long the log is.
 */
static void slide_window(struct segment_scan *scan)
{
    bool is_full = scan->stream_end - scan->stream_start + SEGMENT_PAYLOAD_SIZE > STREAM_SIZE;
    uint64_t used;

    if (scan->position > scan->stream_end)
        return; /* in the first block, of which a part is stepped over */
    used = scan->stream_end - scan->position;
    if (!is_full && used > SEGMENT_PAYLOAD_SIZE)
        return;
    if (used > 0)
        memmove(scan->stream, scan->stream + (scan->position - scan->stream_start), used);
    scan->stream_start = scan->position;
}

static void stop(struct segment_scan *scan, enum segment_scan_why why)
{
    scan->why = why;
    scan->stopped = true;
}

/*
 * Brings the scan's block and says what it is. 1, 0 at the end of the file, or -errno.
 *
 * Who follows a log reads more than is durable at the time. What he finds there is what the disk
 * held before it was written, so when it has become durable meanwhile the chunk is read anew from
 * there; looking again block by block would be a read for each.
 */
MUST_USE static int look(struct segment_scan *scan, struct segment_trailer *trailer, char **block,
                         enum segment_block_kind *kind)
{
    const struct segment_header *header = &scan->header;
    struct segment_block_place place = {
        .seq = header->seq,
        .block_lsn = header->first_block_lsn + scan->block,
        .boot_generation = header->boot_generation,
        .log = header->log,
    };
    int r = load_chunk(scan);

    if (r <= 0)
        return r;
    *block = scan->chunk + (scan->block * SEGMENT_BLOCK_SIZE - scan->chunk_start);
    *kind = segment_block_check(*block, &place, trailer);
    if (*kind != SEGMENT_BLOCK_GOOD && scan->chunk_lsn_end != scan->lsn_end) {
        SOMETIMES("a chunk of a log is read anew where more has become durable");
        scan->chunk_size = 0;
        scan->chunk_want = CHUNK_SIZE_FIRST;
        r = load_chunk(scan);
        if (r <= 0)
            return r;
        *block = scan->chunk;
        *kind = segment_block_check(*block, &place, trailer);
    }
    if (*kind != SEGMENT_BLOCK_GOOD) {
        r = look_again(scan, scan->fd, *block, scan->block);
        if (r < 0)
            return r;
        *kind = segment_block_check(*block, &place, trailer);
        if (*kind == SEGMENT_BLOCK_GOOD)
            SOMETIMES("a second look at a block finds it sound");
    }
    return 1;
}

/* Takes the next block into the window. 0 (perhaps stopped) or -errno. */
MUST_USE static int take_block(struct segment_scan *scan)
{
    enum segment_block_kind kind = SEGMENT_BLOCK_GOOD;
    struct segment_trailer trailer;
    char *block = NULL;
    int r = look(scan, &trailer, &block, &kind);

    if (r < 0)
        return r;
    if (r == 0) {
        stop(scan, SEGMENT_SCAN_FILE_END);
        return 0;
    }
    switch (kind) {
    case SEGMENT_BLOCK_GOOD:
        break;
    case SEGMENT_BLOCK_STALE:
        SOMETIMES("the blocks of an earlier use end a log");
        stop(scan, SEGMENT_SCAN_UNWRITTEN);
        return 0;
    case SEGMENT_BLOCK_ZERO:
        stop(scan, SEGMENT_SCAN_UNWRITTEN);
        return 0;
    case SEGMENT_BLOCK_BAD:
        if (MUTANT("torn_tail_accepts_later_blocks")) {
            scan->block_ends[scan->block++] = scan->stream_end;
            return 0;
        }
        stop(scan, SEGMENT_SCAN_BAD_BLOCK);
        return 0;
    }
    slide_window(scan);
    memcpy(scan->stream + (scan->stream_end - scan->stream_start), block, trailer.payload_size);
    scan->stream_end += trailer.payload_size;
    scan->durable_lsn = max_u64(scan->durable_lsn, trailer.durable_lsn);
    scan->block_ends[scan->block++] = scan->stream_end;
    return 0;
}

/* Reads on until the window reaches stream position end. False when it does not. */
static bool fill(struct segment_scan *scan, uint64_t end, int *error)
{
    while (scan->stream_end < end) {
        if (scan->stopped)
            return false;
        *error = take_block(scan);
        if (*error < 0)
            return false;
    }
    return true;
}

/* The file offset of the stream position, which must be in a block that was taken. */
static uint64_t locate(struct segment_scan *scan, uint64_t position)
{
    uint64_t start;

    while (scan->block_ends[scan->cursor] <= position)
        scan->cursor++;
    assert(scan->cursor < scan->block);
    start = scan->cursor == 0 ? 0 : scan->block_ends[scan->cursor - 1];
    return scan->cursor * SEGMENT_BLOCK_SIZE + (position - start);
}

static bool is_header_right(const struct segment_scan *scan,
                            const struct segment_record_header *header)
{
    bool first = (header->flags & SEGMENT_RECORD_GROUP_FIRST) != 0;

    return segment_record_header_check(header) && first == (scan->view_count == 0) &&
           header->lsn == scan->lsn_next + scan->view_count &&
           scan->view_count < JOURNAL_GROUP_RECORDS_MAX;
}

/* What one attempt to read a record gave. */
enum record_result {
    RECORD_WHOLE,
    RECORD_CUT, /* the stream ends before it does */
    RECORD_BAD,
    RECORD_BOUND,
    RECORD_ERROR,
};

/* Reads the record at stream position *position into the next view and moves past it. */
static enum record_result read_record(struct segment_scan *scan, uint64_t *position, int *error)
{
    struct segment_record_header header;
    struct journal_record_view *view = &scan->views[scan->view_count];
    const char *payload;
    uint64_t size;

    if (!fill(scan, *position + sizeof(header), error))
        return *error < 0 ? RECORD_ERROR : RECORD_CUT;
    memcpy(&header, scan->stream + (*position - scan->stream_start), sizeof(header));
    if (scan->view_count == 0 && scan->lsn_next >= scan->lsn_end)
        return RECORD_BOUND;
    if (!is_header_right(scan, &header))
        return RECORD_BAD;
    size = segment_record_size(header.payload_size);
    if (*position - scan->position + size > JOURNAL_GROUP_SIZE_MAX)
        return RECORD_BAD;
    if (!fill(scan, *position + size, error))
        return *error < 0 ? RECORD_ERROR : RECORD_CUT;
    payload = scan->stream + (*position - scan->stream_start) + sizeof(header);
    if (header.payload_crc !=
            crc32c(segment_record_crc_begin(&header), payload, header.payload_size) &&
        !MUTANT("skip_all_crcs"))
        return RECORD_BAD;
    *view = (struct journal_record_view){
        .lsn = header.lsn,
        .mailbox = header.mailbox & (((uint64_t)1 << 48) - 1),
        .partition = (uint32_t)(header.mailbox >> 48),
        .type = header.type,
        .version = header.version,
        .flags = header.flags,
        .location =
            journal_location_make(scan->header.log, scan->header.seq, locate(scan, *position)),
        /* An offset for now: the window may still move. */
        .payload = {NULL, header.payload_size},
    };
    *position += size;
    return RECORD_WHOLE;
}

/* Points the views of a whole group at their payloads. */
static void place_payloads(struct segment_scan *scan)
{
    uint64_t offset = scan->position - scan->stream_start;

    for (uint32_t i = 0; i < scan->view_count; i++) {
        struct journal_record_view *view = &scan->views[i];

        view->payload.data = scan->stream + offset + SEGMENT_RECORD_HEADER_SIZE;
        offset += segment_record_size(view->payload.size);
    }
}

int segment_scan_next(struct segment_scan *scan, const struct journal_record_view **ret_records,
                      uint32_t *ret_count)
{
    uint64_t position = scan->position;
    enum record_result result = RECORD_BOUND;
    int error = 0;

    scan_check(scan);
    scan->view_count = 0;
    if (scan->lsn_next < scan->lsn_end) {
        do {
            result = read_record(scan, &position, &error);
            if (result == RECORD_WHOLE)
                scan->view_count++;
        } while (result == RECORD_WHOLE &&
                 (scan->views[scan->view_count - 1].flags & SEGMENT_RECORD_GROUP_END) == 0);
    }
    if (result == RECORD_CUT && scan->view_count > 0)
        SOMETIMES("a log ends in the midst of a group");
    if (result == RECORD_CUT && scan->view_count > 0 && MUTANT("skip_group_end"))
        result = RECORD_WHOLE;
    switch (result) {
    case RECORD_WHOLE:
        place_payloads(scan);
        scan->position = position;
        scan->lsn_next += scan->view_count;
        *ret_records = scan->views;
        *ret_count = scan->view_count;
        return SEGMENT_SCAN_GROUP;
    case RECORD_BOUND:
        scan->why = SEGMENT_SCAN_BOUND;
        break;
    case RECORD_BAD:
        scan->why = SEGMENT_SCAN_BAD_RECORD;
        scan->bad_offset = locate(scan, position);
        break;
    case RECORD_CUT:
        scan->group_cut = scan->stream_end > scan->position;
        break;
    case RECORD_ERROR:
        segment_scan_end(scan);
        return error;
    }
    segment_scan_end(scan);
    return SEGMENT_SCAN_END;
}

/* What a block of the remains is. *ret_trailer is written unless it is zero or bad. */
static enum segment_block_kind check_remains(const char *block, uint32_t log, uint64_t seq,
                                             struct segment_trailer *ret_trailer)
{
    struct segment_trailer trailer;
    struct segment_block_place place = {.seq = seq, .log = log};

    /* Its own trailer says where it belongs: only log and seq must be right. */
    memcpy(&trailer, block + SEGMENT_PAYLOAD_SIZE, sizeof(trailer));
    place.block_lsn = trailer.block_lsn;
    place.boot_generation = trailer.boot_generation;
    return segment_block_check(block, &place, ret_trailer);
}

/* Notes one block of the remains. */
static void note_remains(enum segment_block_kind kind, const struct segment_trailer *trailer,
                         uint64_t index, struct segment_remains *remains)
{
    if (kind == SEGMENT_BLOCK_ZERO || kind == SEGMENT_BLOCK_STALE)
        return;
    if (kind == SEGMENT_BLOCK_GOOD)
        SOMETIMES("an intact block lies beyond the end of its log");
    remains->used_end = index + 1;
    remains->used_count++;
    if (kind == SEGMENT_BLOCK_GOOD && trailer->durable_lsn > remains->durable_lsn) {
        remains->durable_lsn = trailer->durable_lsn;
        remains->durable_block = index;
    }
}

int segment_scan_remains(struct segment_scan *scan, int fd, uint64_t file_size, uint32_t log,
                         uint64_t seq, uint64_t block, struct segment_remains *ret_remains)
{
    struct segment_remains remains = {.used_end = block};
    uint64_t offset = block * SEGMENT_BLOCK_SIZE;

    segment_scan_end(scan);
    while (offset + SEGMENT_BLOCK_SIZE <= file_size) {
        uint64_t left = (file_size - offset) / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
        int64_t size =
            segment_scan_read(scan->disk, fd, scan->chunk, min_u64(left, CHUNK_SIZE), offset);

        if (size < 0)
            return (int)size;
        if (size == 0)
            break;
        scan->read_bytes += (uint64_t)size;
        for (uint64_t i = 0; i < (uint64_t)size; i += SEGMENT_BLOCK_SIZE) {
            uint64_t index = (offset + i) / SEGMENT_BLOCK_SIZE;
            struct segment_trailer trailer;
            enum segment_block_kind kind = check_remains(scan->chunk + i, log, seq, &trailer);

            if (kind == SEGMENT_BLOCK_BAD) {
                int r = look_again(scan, fd, scan->chunk + i, index);

                if (r < 0)
                    return r;
                kind = check_remains(scan->chunk + i, log, seq, &trailer);
                if (kind == SEGMENT_BLOCK_GOOD)
                    SOMETIMES("a second look finds that a block vouches");
            }
            note_remains(kind, &trailer, index, &remains);
        }
        offset += (uint64_t)size;
    }
    scan->chunk_size = 0; /* the chunk was used for something else */
    *ret_remains = remains;
    return 0;
}

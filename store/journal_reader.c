/*
 * A read goes through these steps; at each the request is in exactly one place:
 *
 *     waiting (list)  for a place in the cache of files, or for its open(2)
 *     reading (op)    first two blocks; when the record is longer, all of it at once
 *     done            on_done
 *
 * A file in the cache is OPENING, OPEN or CLOSING; it is closed when its place is
 * needed and nobody uses it, least recently used first, or when its segment was
 * retired: an open descriptor would keep the space of a removed file.
 *
 * Where the process has no descriptor left, a file is opened when another of the reader's own
 * has been closed: each that ends being opened, read or closed lets those that wait try again. Only
 * a reader that has none itself fails the request.
 *
 * A retired segment's file may have been given to a later segment under the
 * descriptor that is still open here. The blocks' seq shows that: JOURNAL_READ_GONE.
 *
 * The blocks lie in the caller's buffer as read; the record is put together in
 * place by moving the payload areas over the trailers.
 */
#include "store/journal_reader.h"

#include <errno.h>
#include <fcntl.h>

#include "runtime/sim_point.h"
#include "store/crc32c.h"
#include "store/segment_pool.h"

enum file_state {
    FILE_FREE,
    FILE_OPENING,
    FILE_OPEN,
    FILE_CLOSING,
};

/* One place in the cache. */
struct file {
    struct io_op op; /* open and close */
    struct journal_reader *reader;
    enum file_state state;
    uint32_t log;
    uint64_t seq;
    int fd;
    uint32_t user_count;
    uint64_t used_at; /* order of use */
    bool retired;     /* close when unused */
    char path[SEGMENT_POOL_PATH_SIZE];
};

struct journal_reader {
    struct io *io;
    struct disk *disk;
    const char *data_path;
    bool unsafe_storage;
    bool stopped;
    uint64_t use_count;
    uint32_t reading_count;
    struct list_node waiting; /* struct journal_read.link */
    struct file files[JOURNAL_READER_FILES_MAX];
};

static void serve(struct journal_reader *reader);
static void on_read_done(struct io_op *op, const struct io_result *result);

static void reader_check(const struct journal_reader *reader)
{
    assert(reader->io != NULL);
    assert(reader->data_path != NULL);
}

static void finish(struct journal_read *read, enum journal_read_result result,
                   const struct journal_record_view *view)
{
    read->on_done(read, result, view);
}

/* ---- taking a record out of blocks ---- */

/* What putting the blocks together gave. */
struct assembly {
    enum journal_read_result result;
    uint64_t size; /* of the stream, from the record's header on */
};

static enum journal_read_result check_block(const char *block, struct journal_location location,
                                            uint64_t block_lsn, uint32_t boot_generation,
                                            struct segment_trailer *ret_trailer)
{
    struct segment_block_place place = {
        .seq = journal_location_seq(location),
        .block_lsn = block_lsn,
        .boot_generation = boot_generation,
        .log = journal_location_log(location),
    };
    enum segment_block_kind kind = segment_block_check(block, &place, ret_trailer);

    if (kind == SEGMENT_BLOCK_GOOD)
        return JOURNAL_READ_OK;
    /* The file has gone on to a later segment: then the first block's seq is greater. */
    if (kind == SEGMENT_BLOCK_BAD)
        return JOURNAL_READ_CORRUPT;
    return JOURNAL_READ_GONE;
}

/* True when the block is intact and of a later segment in the same log. */
static bool is_reused(const char *block, struct journal_location location)
{
    struct segment_trailer trailer;
    struct segment_block_place place = {.log = journal_location_log(location)};

    memcpy(&trailer, block + SEGMENT_PAYLOAD_SIZE, sizeof(trailer));
    place.seq = trailer.segment_seq;
    place.block_lsn = trailer.block_lsn;
    place.boot_generation = trailer.boot_generation;
    return trailer.segment_seq > journal_location_seq(location) &&
           segment_block_check(block, &place, &trailer) == SEGMENT_BLOCK_GOOD;
}

/* Puts the stream together in place, from the record's header on. */
static struct assembly assemble(char *buffer, uint64_t block_count,
                                struct journal_location location)
{
    uint64_t skip = journal_location_offset(location) % SEGMENT_BLOCK_SIZE;
    struct assembly assembly = {.result = JOURNAL_READ_OK};
    struct segment_trailer first;

    memcpy(&first, buffer + SEGMENT_PAYLOAD_SIZE, sizeof(first));
    for (uint64_t i = 0; i < block_count; i++) {
        char *block = buffer + i * SEGMENT_BLOCK_SIZE;
        struct segment_trailer trailer;

        assembly.result =
            check_block(block, location, first.block_lsn + i, first.boot_generation, &trailer);
        if (assembly.result != JOURNAL_READ_OK) {
            if (i == 0 && is_reused(block, location)) {
                SOMETIMES("a read meets a file that was recycled");
                assembly.result = JOURNAL_READ_GONE;
            }
            return assembly;
        }
        if (trailer.payload_size <= skip)
            return assembly; /* the stream ends before the record does */
        memmove(buffer + assembly.size, block + skip, trailer.payload_size - skip);
        assembly.size += trailer.payload_size - skip;
        skip = 0;
    }
    return assembly;
}

/* What the blocks in the buffer gave. */
struct extraction {
    enum journal_read_result result;
    uint64_t block_count; /* needed for the whole record, when result is TOO_BIG */
    struct journal_record_view view;
};

/*
 * Takes the record at location out of block_count blocks. TOO_BIG means that more
 * blocks are needed. Blocks after the record may be anything.
 */
static struct extraction extract(char *buffer, uint64_t block_count,
                                 struct journal_location location)
{
    struct extraction extraction = {.result = JOURNAL_READ_CORRUPT};
    uint64_t offset = journal_location_offset(location) % SEGMENT_BLOCK_SIZE;
    struct segment_record_header header;
    struct assembly assembly;
    uint64_t stream_size = sizeof(header);
    uint64_t blocks = offset + stream_size > SEGMENT_PAYLOAD_SIZE ? 2 : 1;

    if (offset >= SEGMENT_PAYLOAD_SIZE) {
        extraction.result = JOURNAL_READ_GONE;
        return extraction;
    }
    assert(blocks <= block_count);
    /* Only as many blocks as the header needs, then as the record needs, have to be right. */
    if (blocks == 1) {
        memcpy(&header, buffer + offset, sizeof(header));
    } else {
        uint64_t head_size = SEGMENT_PAYLOAD_SIZE - offset;

        memcpy(&header, buffer + offset, head_size);
        memcpy((char *)&header + head_size, buffer + SEGMENT_BLOCK_SIZE,
               sizeof(header) - head_size);
    }
    if (segment_record_header_check(&header)) {
        stream_size = sizeof(header) + header.payload_size;
        blocks = (offset + stream_size + SEGMENT_PAYLOAD_SIZE - 1) / SEGMENT_PAYLOAD_SIZE;
        if (blocks > block_count) {
            extraction.result = JOURNAL_READ_TOO_BIG;
            extraction.block_count = blocks;
            return extraction;
        }
    }
    assembly = assemble(buffer, blocks, location);
    extraction.result = assembly.result;
    if (assembly.result != JOURNAL_READ_OK)
        return extraction;
    extraction.result = JOURNAL_READ_CORRUPT;
    if (assembly.size < stream_size || !segment_record_header_check(&header) ||
        header.payload_crc !=
            crc32c(segment_record_crc_begin(&header), buffer + sizeof(header), header.payload_size))
        return extraction;
    extraction.result = JOURNAL_READ_OK;
    extraction.view = (struct journal_record_view){
        .lsn = header.lsn,
        .mailbox = header.mailbox & (((uint64_t)1 << 48) - 1),
        .partition = (uint32_t)(header.mailbox >> 48),
        .type = header.type,
        .version = header.version,
        .flags = header.flags,
        .location = location,
        .payload = {buffer + sizeof(header), header.payload_size},
    };
    return extraction;
}

/* ---- the cache of files ---- */

static void file_path(const struct journal_reader *reader, struct file *file)
{
    char directory[SUPERBLOCK_PATH_SIZE_MAX + 16];
    char name[SEGMENT_NAME_SIZE];
    int size;

    segment_log_path(directory, sizeof(directory), reader->data_path, file->log);
    segment_name_format(name, file->seq, "seg");
    size = snprintf(file->path, sizeof(file->path), "%s/%s", directory, name);
    assert(size > 0 && size < (int)sizeof(file->path));
}

static int open_flags(bool unsafe_storage)
{
    return O_RDONLY | O_CLOEXEC | (unsafe_storage ? 0 : O_DIRECT);
}

static struct file *find_file(struct journal_reader *reader, struct journal_location location)
{
    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        struct file *file = &reader->files[i];

        if ((file->state == FILE_OPEN || file->state == FILE_OPENING) && !file->retired &&
            file->seq == journal_location_seq(location) &&
            file->log == journal_location_log(location))
            return file;
    }
    return NULL;
}

static void close_file(struct file *file)
{
    assert(file->state == FILE_OPEN);
    assert(file->user_count == 0);
    file->state = FILE_CLOSING;
    io_close(file->reader->io, &file->op, file->fd);
}

/* The open file that nobody uses and that was not used longest, or NULL. */
static struct file *find_oldest(struct journal_reader *reader)
{
    struct file *oldest = NULL;

    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        struct file *file = &reader->files[i];

        if (file->state == FILE_OPEN && file->user_count == 0 &&
            (oldest == NULL || file->used_at < oldest->used_at))
            oldest = file;
    }
    return oldest;
}

/* A free place; or starts emptying the one that was not used longest, and NULL. */
static struct file *find_place(struct journal_reader *reader)
{
    struct file *oldest;

    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        struct file *file = &reader->files[i];

        if (file->state == FILE_FREE)
            return file;
        if (file->state == FILE_CLOSING)
            return NULL; /* will be free soon */
    }
    oldest = find_oldest(reader);
    if (oldest != NULL) {
        SOMETIMES("an open file gives its place to another");
        close_file(oldest);
    }
    return NULL;
}

/* Reads what is still missing. */
static void go_on_reading(struct journal_read *read, struct file *file)
{
    uint64_t offset = journal_location_offset(read->location);

    assert(read->filled_size < read->read_size);
    io_op_init(&read->op, on_read_done);
    io_read(file->reader->io, &read->op, file->fd, read->buffer + read->filled_size,
            read->read_size - read->filled_size,
            offset / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE + read->filled_size);
}

static void start_reading(struct journal_read *read, struct file *file, uint32_t size)
{
    read->file_index = (uint32_t)(file - file->reader->files);
    read->read_size = size;
    read->filled_size = 0;
    read->try_count = 0;
    go_on_reading(read, file);
}

/* One more step for a waiting request; true when it no longer waits. */
static bool serve_one(struct journal_reader *reader, struct journal_read *read)
{
    struct file *file = find_file(reader, read->location);

    if (file != NULL && file->state == FILE_OPEN) {
        list_remove(&read->link);
        file->user_count++;
        file->used_at = ++reader->use_count;
        reader->reading_count++;
        start_reading(read, file, JOURNAL_READ_BUFFER_SIZE_MIN);
        return true;
    }
    if (file != NULL)
        return false;
    file = find_place(reader);
    if (file == NULL)
        return false;
    file->state = FILE_OPENING;
    file->log = journal_location_log(read->location);
    file->seq = journal_location_seq(read->location);
    file->retired = false;
    file->user_count = 0;
    file->used_at = ++reader->use_count;
    file_path(reader, file);
    io_open(reader->io, &file->op, file->path, open_flags(reader->unsafe_storage), 0);
    return false;
}

/* Gives every waiting request its next step. */
static void serve(struct journal_reader *reader)
{
    struct list_node *node = reader->waiting.next;

    while (node != &reader->waiting) {
        struct list_node *next = node->next;

        (void)serve_one(reader, container_of(node, struct journal_read, link));
        node = next;
    }
}

/* Answers every request that waits for a file that could not be opened. */
static void fail_waiting(struct journal_reader *reader, const struct file *file, int error)
{
    struct list_node failed;
    struct list_node *node = reader->waiting.next;

    list_init(&failed);
    while (node != &reader->waiting) {
        struct journal_read *read = container_of(node, struct journal_read, link);

        node = node->next;
        if (journal_location_seq(read->location) != file->seq ||
            journal_location_log(read->location) != file->log)
            continue;
        list_remove(&read->link);
        list_push_back(&failed, &read->link);
    }
    while ((node = list_pop_front(&failed)) != NULL) {
        struct journal_read *read = container_of(node, struct journal_read, link);

        if (error == -ENOENT)
            SOMETIMES("a read finds that its segment is gone");
        else
            SOMETIMES("a segment cannot be opened for reading");
        read->error = error;
        finish(read, error == -ENOENT ? JOURNAL_READ_GONE : JOURNAL_READ_ERROR, NULL);
    }
}

static bool lacks_descriptor(int error)
{
    return error == -EMFILE || error == -ENFILE;
}

/* True when the reader has a descriptor that can be had in place of the one it was refused. */
MUST_USE static bool give_one_for_another(struct journal_reader *reader)
{
    bool has_any = false;
    struct file *oldest;

    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        if (reader->files[i].state == FILE_CLOSING)
            return true; /* soon */
        has_any |= reader->files[i].state == FILE_OPEN;
    }
    oldest = find_oldest(reader);
    if (oldest != NULL)
        close_file(oldest);
    return has_any; /* one that is read is not in use for long */
}

static void on_file_done(struct io_op *op, const struct io_result *result)
{
    struct file *file = container_of(op, struct file, op);
    struct journal_reader *reader = file->reader;

    if (file->state == FILE_CLOSING) {
        file->state = FILE_FREE;
    } else if (result->value >= 0) {
        file->fd = result->value;
        file->state = FILE_OPEN;
        if (file->retired) {
            SOMETIMES("a segment is dropped while its file is being opened");
            close_file(file);
        }
    } else {
        file->state = FILE_FREE;
        if (lacks_descriptor(result->value) && give_one_for_another(reader)) {
            SOMETIMES("a segment is opened for reading in place of another");
            return; /* to try again at once would be in vain */
        }
        fail_waiting(reader, file, result->value);
    }
    serve(reader);
}

/*
 * Counts what a read has brought. True when more is to be read: it was short, though not for
 * the end of the file, or interrupted. Blocks are read whole, for direct I/O is aligned.
 */
static bool is_to_go_on(struct journal_read *read, int32_t value)
{
    uint32_t filled = value > 0 ? (uint32_t)value / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE : 0;

    read->filled_size += filled;
    read->try_count = filled > 0 ? 0 : read->try_count + 1;
    if (value == 0 || read->filled_size == read->read_size ||
        read->try_count >= JOURNAL_READ_TRY_MAX)
        return false;
    return value > 0 || value == -EINTR || value == -EAGAIN || value == -ECANCELED;
}

static void on_read_done(struct io_op *op, const struct io_result *result)
{
    struct journal_read *read = container_of(op, struct journal_read, op);
    struct journal_reader *reader = read->reader;
    struct file *file = &reader->files[read->file_index];
    struct extraction extraction = {.result = JOURNAL_READ_ERROR};
    uint64_t offset = journal_location_offset(read->location) % SEGMENT_BLOCK_SIZE;
    uint64_t block_count;
    bool is_complete; /* all that was asked for, or all up to the end of the file */

    if (is_to_go_on(read, result->value)) {
        SOMETIMES("a short or interrupted read is gone on with");
        go_on_reading(read, file);
        return;
    }
    is_complete = result->value == 0 || read->filled_size == read->read_size;
    if (!is_complete)
        SOMETIMES("reading a record fails");
    read->error = result->value < 0 ? result->value : -EIO;
    if (is_complete) {
        block_count = read->filled_size / SEGMENT_BLOCK_SIZE;
        if (block_count * SEGMENT_PAYLOAD_SIZE < offset + SEGMENT_RECORD_HEADER_SIZE)
            extraction.result = JOURNAL_READ_GONE; /* the file ends before the record */
        else
            extraction = extract(read->buffer, block_count, read->location);
    }
    if (extraction.result == JOURNAL_READ_TOO_BIG) {
        uint64_t needed = extraction.block_count * SEGMENT_BLOCK_SIZE;

        if (needed <= read->buffer_size && needed > read->read_size) {
            SOMETIMES("a record is read in two steps");
            start_reading(read, file, (uint32_t)needed);
            return;
        }
        read->size_needed = (uint32_t)needed;
        if (needed <= read->read_size)
            extraction.result = JOURNAL_READ_CORRUPT; /* the file is too short for it */
    }
    assert(file->user_count > 0);
    file->user_count--;
    reader->reading_count--;
    if (file->retired && file->user_count == 0) {
        SOMETIMES("a segment is dropped while it is read");
        close_file(file);
    }
    finish(read, extraction.result, extraction.result == JOURNAL_READ_OK ? &extraction.view : NULL);
    serve(reader);
}

/* ---- the outside ---- */

int journal_reader_new(struct io *io, struct disk *disk, const char *data_path, bool unsafe_storage,
                       struct journal_reader **ret_reader)
{
    struct journal_reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return -ENOMEM;
    assert(strlen(data_path) < SUPERBLOCK_PATH_SIZE_MAX);
    reader->io = io;
    reader->disk = disk;
    reader->data_path = data_path;
    reader->unsafe_storage = unsafe_storage;
    list_init(&reader->waiting);
    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        reader->files[i].reader = reader;
        reader->files[i].fd = -1;
        io_op_init(&reader->files[i].op, on_file_done);
    }
    *ret_reader = reader;
    return 0;
}

void journal_read_start(struct journal_reader *reader, struct journal_read *read)
{
    reader_check(reader);
    assert(read->on_done != NULL);
    assert((uintptr_t)read->buffer % SEGMENT_BLOCK_SIZE == 0);
    assert(read->buffer_size >= JOURNAL_READ_BUFFER_SIZE_MIN);
    assert(read->buffer_size % SEGMENT_BLOCK_SIZE == 0);
    assert(!reader->stopped);
    read->reader = reader;
    read->size_needed = 0;
    read->error = 0;
    list_init(&read->link);
    list_push_back(&reader->waiting, &read->link);
    (void)serve_one(reader, read);
}

void journal_reader_drop_segments(struct journal_reader *reader, uint32_t log, uint64_t oldest_seq)
{
    reader_check(reader);
    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        struct file *file = &reader->files[i];

        if (file->log != log || file->seq >= oldest_seq || file->state == FILE_FREE)
            continue;
        file->retired = true;
        if (file->state == FILE_OPEN && file->user_count == 0)
            close_file(file);
    }
}

void journal_reader_yield(struct journal_reader *reader)
{
    struct file *oldest;

    reader_check(reader);
    oldest = find_oldest(reader);
    if (oldest == NULL || reader->stopped)
        return;
    SOMETIMES("an open file gives its descriptor back");
    close_file(oldest);
}

void journal_reader_stop(struct journal_reader *reader)
{
    reader_check(reader);
    reader->stopped = true;
}

bool journal_reader_is_idle(const struct journal_reader *reader)
{
    if (reader->reading_count > 0 || !list_is_empty(&reader->waiting))
        return false;
    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        if (io_op_is_armed(&reader->files[i].op))
            return false;
    }
    return true;
}

void journal_reader_free(struct journal_reader **reader)
{
    struct journal_reader *self = *reader;

    if (self == NULL)
        return;
    for (uint32_t i = 0; i < JOURNAL_READER_FILES_MAX; i++) {
        if (self->files[i].state == FILE_OPEN)
            disk_close(self->disk, self->files[i].fd);
    }
    free(self);
    *reader = NULL;
}

/* From a result to the errno of the blocking variant. */
static int to_errno(enum journal_read_result result)
{
    switch (result) {
    case JOURNAL_READ_OK:
        return 0;
    case JOURNAL_READ_GONE:
        return -ENOENT;
    case JOURNAL_READ_CORRUPT:
        return -EBADMSG;
    case JOURNAL_READ_TOO_BIG:
        return -EMSGSIZE;
    case JOURNAL_READ_ERROR:
        break;
    }
    return -EIO;
}

int journal_read_blocking(struct disk *disk, const char *data_path,
                          struct journal_location location, char *buffer, uint32_t buffer_size,
                          struct journal_record_view *ret_view)
{
    uint64_t offset = journal_location_offset(location);
    uint64_t block_offset = offset / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
    struct journal_reader name = {.data_path = data_path};
    struct file file = {
        .log = journal_location_log(location),
        .seq = journal_location_seq(location),
    };
    struct extraction extraction = {.result = JOURNAL_READ_GONE};
    uint64_t size = JOURNAL_READ_BUFFER_SIZE_MIN;
    int64_t count = 0;
    int fd;

    assert(buffer_size >= JOURNAL_READ_BUFFER_SIZE_MIN);
    file_path(&name, &file);
    fd = disk_open(disk, file.path, open_flags(false) & ~O_DIRECT, 0);
    if (fd < 0)
        return fd;
    for (int attempt = 0; attempt < 2; attempt++) {
        count = disk_read(disk, fd, buffer, size, block_offset);
        if (count / SEGMENT_BLOCK_SIZE * SEGMENT_PAYLOAD_SIZE <
            (int64_t)(offset % SEGMENT_BLOCK_SIZE + SEGMENT_RECORD_HEADER_SIZE))
            break;
        extraction = extract(buffer, (uint64_t)count / SEGMENT_BLOCK_SIZE, location);
        size = extraction.block_count * SEGMENT_BLOCK_SIZE;
        if (extraction.result != JOURNAL_READ_TOO_BIG || size > buffer_size)
            break;
    }
    disk_close(disk, fd);
    if (count < 0)
        return (int)count;
    if (extraction.result == JOURNAL_READ_OK)
        *ret_view = extraction.view;
    return to_errno(extraction.result);
}

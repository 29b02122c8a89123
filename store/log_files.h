/*
 * Log files: the segment files of one log, as found on disk, and how they continue
 * each other. Blocking; for recovery and tools.
 */
#pragma once

#include "runtime/disk.h"
#include "store/segment.h"
#include "store/segment_pool.h"

enum { LOG_FILES_TEXT_SIZE = 512 };
static const uint32_t LOG_FILES_NONE = UINT32_MAX;

/* One <seq>.seg. */
struct log_file {
    uint64_t seq;
    uint64_t size;
    bool begun; /* block 0 is an intact header; else the header is not set */
    struct segment_header header;
};

/* All of one log, ascending by seq. Read-only for everybody else. */
struct log_files {
    struct disk *disk;
    uint32_t log;
    char directory[SUPERBLOCK_PATH_SIZE_MAX + 16];
    struct log_file *files;
    uint32_t count;
    uint64_t number_max; /* the highest number in any name: none above it was ever used */
    bool unsafe_storage;
};

/*
 * Lists log's directory (a missing one is an empty log) and reads the headers. With
 * sync, makes files and names durable first: what is read must not vanish later.
 * 0; -EPROTO when a file belongs to another directory or format version; or another
 * -errno. text (LOG_FILES_TEXT_SIZE) says why. Allocates.
 */
MUST_USE int log_files_load(struct disk *disk, const char *data_path, uint32_t log,
                            const uint8_t *uuid, bool sync, bool unsafe_storage,
                            struct log_files *ret_files, char *text);

/* Frees what load allocated. */
void log_files_free(struct log_files *files);

/* Index of the first file that was begun, or LOG_FILES_NONE. */
uint32_t log_files_first(const struct log_files *files);

/*
 * Index of the file that continues the one at index: its header names it as the previous one.
 * Of several, which only leftovers of interrupted starts can be, the latest. Or LOG_FILES_NONE.
 */
uint32_t log_files_after(const struct log_files *files, uint32_t index);

/* Path of a file of the log by number and suffix, into path[SEGMENT_POOL_PATH_SIZE]. */
void log_files_path(const struct log_files *files, char *path, uint64_t number, const char *suffix);

/* Opens <seq>.seg for reading. Descriptor or -errno. */
MUST_USE int log_files_open(const struct log_files *files, uint64_t seq);

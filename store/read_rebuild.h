/*
 * Read rebuild: makes the read model of a stopped server what this binary wants.
 *
 * Either brings the file to this schema, or makes it anew from the logs, beside the old one,
 * which it replaces when it is complete. Blocking; for the command line. The directory must be
 * locked by the caller.
 */
#pragma once

#include "store/read_writer.h"
#include "store/superblock.h"

/* Told how it goes; embedded in the caller's struct. */
struct read_rebuild_visitor {
    /* After each transaction: records done, of so many. */
    void (*on_progress)(struct read_rebuild_visitor *visitor, uint64_t done, uint64_t total);
};

/* What is to be done. Borrowed for the call. */
struct read_rebuild_config {
    struct disk *disk;
    const char *data_path;
    const struct superblock *superblock;
    const struct clock_source *clock_source;
    struct read_rebuild_visitor *visitor; /* or NULL */
    const char *vfs;                      /* NULL: the operating system's files */
    bool unsafe_storage;
};

/* What was done. */
struct read_rebuild_result {
    uint32_t migrated; /* migrations that were run */
    uint64_t record_count;
    uint64_t unreadable_count; /* records that this version does not know */
    uint64_t file_bytes;
};

/*
 * Brings the file to this binary's schema, making it when there is none. 0; -EPROTO or -EBADMSG
 * when it is of a later version, not ours, or damaged; or another -errno. text
 * (READ_MODEL_TEXT_SIZE) says why.
 */
MUST_USE int read_migrate(const struct read_rebuild_config *config,
                          struct read_rebuild_result *ret_result, char *text);

/*
 * Makes the read model anew from the logs. 0; -EBADMSG when the logs are damaged; or another
 * -errno. text as above. Until it answers 0 the old one stays.
 */
MUST_USE int read_rebuild(const struct read_rebuild_config *config,
                          struct read_rebuild_result *ret_result, char *text);

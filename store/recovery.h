/*
 * Recovery: reads every log of a data directory back at start.
 *
 * Blocking, before any shard runs. The directory must be locked and its boot
 * generation incremented (superblock.h). Segments are visited in order of (boot
 * generation, log, seq): within one start a partition lives in one log, so the
 * records of a partition come in the order in which they were appended, also when
 * the number of shards changed in between. Groups come whole or not at all.
 *
 * A torn tail is cut, with a copy kept as .torn; damage before the durable
 * watermark is refused. The decision table is in recovery.c. Recovery may be
 * interrupted at any write and repeated: it ends in the same state.
 */
#pragma once

#include "runtime/disk.h"
#include "store/journal.h"
#include "store/superblock.h"

struct recovery_visitor;

/* One group. Borrowed for the call. */
struct recovery_group {
    uint32_t log;
    uint64_t segment_seq;
    uint32_t boot_generation;
    uint64_t lsn_first;
    uint64_t lsn_last;
    const struct journal_record_view *records;
    uint32_t record_count;
};

/* What one log ended in; input of journal_open(). segments is owned by struct recovered. */
struct recovered_log {
    uint32_t log;
    uint64_t last_seq; /* of the last segment that holds records; 0 when the log is empty */
    uint64_t next_seq; /* of the segment to go on in; above every number ever used here */
    uint64_t next_lsn;
    uint64_t next_block_lsn;
    struct journal_segment *segments; /* retained, ascending by seq */
    uint32_t segment_count;
    uint64_t group_count;
    uint64_t record_count;
    uint64_t torn_block_count; /* blocks discarded after the end, 0 after a clean stop */
};

/* The result for all logs: index is the number of the log. */
struct recovered {
    struct recovered_log *logs;
    uint32_t log_count;
    uint64_t byte_count; /* read */
};

/* Called during recovery; embedded in the caller's struct. All but on_group may be NULL. */
struct recovery_visitor {
    /* 0 to go on; a negative errno ends recovery with that answer. */
    int (*on_group)(struct recovery_visitor *visitor, const struct recovery_group *group);
    /* A log has been read to its end. */
    void (*on_log_end)(struct recovery_visitor *visitor, const struct recovered_log *log);
    /* After each chunk read. */
    void (*on_progress)(struct recovery_visitor *visitor, uint64_t done_bytes,
                        uint64_t total_bytes);
};

enum { RECOVERY_TEXT_SIZE = 512 };

/* How to recover. Pointers are borrowed for the call. */
struct recovery_config {
    struct disk *disk;
    const char *data_path;
    const struct superblock *superblock; /* with this start's boot generation */
    struct recovery_visitor *visitor;
    bool unsafe_storage; /* read without O_DIRECT */
    bool read_only;      /* change nothing on disk: for tools on a live directory */
};

/*
 * Reads all logs. 0 with *ret_recovered; -EBADMSG when damage was found before the
 * durable watermark (text then names file, offset and LSN; exit code 74); any other
 * -errno from the disk or the visitor, text naming the place. text holds
 * RECOVERY_TEXT_SIZE bytes and is "" on success. Allocates: start-up only.
 */
MUST_USE int recovery_run(const struct recovery_config *config, struct recovered **ret_recovered,
                          char *text);

/* Frees the result and nulls the pointer. NULL is accepted. */
void recovered_free(struct recovered **recovered);

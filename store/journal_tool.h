/*
 * Journal tool: looks at the logs of a data directory from outside.
 *
 * Inspect, dump and verify read only and may be used while a process has the
 * directory open; what that process is writing at the moment may then look like a
 * torn tail. Salvage needs the directory for itself. All block and allocate: for
 * command-line tools.
 */
#pragma once

#include "runtime/disk.h"
#include "runtime/rng.h"
#include "store/segment.h"
#include "store/segment_scan.h"

enum { JOURNAL_TOOL_TEXT_SIZE = 512 };

/* One segment file, read by itself. */
struct journal_tool_segment {
    uint32_t log;
    uint64_t seq;
    uint64_t size;
    bool begun;       /* has an intact header; the rest is 0 otherwise */
    bool follows_gap; /* was salvaged: records before first_lsn are lost */
    uint32_t boot_generation;
    uint64_t previous_seq;
    uint64_t first_lsn;
    uint64_t last_lsn; /* of the last whole group; first_lsn - 1 when there is none */
    uint64_t created_unix_ms;
    uint64_t block_count; /* intact ones from the beginning */
    uint64_t group_count;
    uint64_t record_count;
    uint64_t durable_lsn; /* the highest that its blocks state */
    enum segment_scan_why end;
    bool group_cut; /* ends inside a group */
};

/* A range of records that salvage could not keep. */
struct journal_tool_loss {
    uint32_t log;
    uint64_t lsn_first;
    uint64_t lsn_last;
};

/* Called with what is found; embedded in the caller's struct. Unused ones may be NULL. */
struct journal_tool_visitor {
    /* For inspect. 0 to go on, a negative errno ends with that answer. */
    int (*on_segment)(struct journal_tool_visitor *visitor,
                      const struct journal_tool_segment *segment);
    /* For dump: each record of each whole group, in order of recovery. Likewise. */
    int (*on_record)(struct journal_tool_visitor *visitor, uint32_t boot_generation,
                     const struct journal_record_view *record);
    /* For salvage. */
    void (*on_loss)(struct journal_tool_visitor *visitor, const struct journal_tool_loss *loss);
};

/* What verify found. */
struct journal_tool_summary {
    uint32_t log_count;
    uint64_t segment_count;
    uint64_t group_count;
    uint64_t record_count;
    uint64_t byte_count;
    uint64_t torn_block_count; /* would be discarded by the next start */
};

/* Name of an end for people: "unwritten", "torn or damaged block" ... Static text. */
const char *journal_tool_end_name(enum segment_scan_why end);

/* Reads each segment file by itself. 0, or -errno with text (JOURNAL_TOOL_TEXT_SIZE) saying why. */
MUST_USE int journal_tool_inspect(struct disk *disk, const char *data_path,
                                  struct journal_tool_visitor *visitor, char *text);

/* Gives out every record that a start would recover. Answers as recovery_run(). */
MUST_USE int journal_tool_dump(struct disk *disk, const char *data_path,
                               struct journal_tool_visitor *visitor, char *text);

/*
 * Checks everything that a start would check. 0 with the summary, -EBADMSG with the exact place
 * in text when a start would be refused, or another -errno.
 */
MUST_USE int journal_tool_verify(struct disk *disk, const char *data_path,
                                 struct journal_tool_summary *ret_summary, char *text);

/*
 * Makes a refused directory usable: what is damaged is kept as .broken, intact groups
 * behind it are copied into new segments, lost LSNs go to on_loss. Counts as a start (boot
 * generation). rng as in superblock_open(), unix_ms: now. *ret_salvaged_count: logs that were
 * changed. 0; -EWOULDBLOCK when a process holds the directory; or another -errno with text.
 */
MUST_USE int journal_tool_salvage(struct disk *disk, struct rng *rng, const char *data_path,
                                  uint64_t unix_ms, struct journal_tool_visitor *visitor,
                                  uint32_t *ret_salvaged_count, char *text);

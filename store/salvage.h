/*
 * Salvage: makes a damaged log openable again. For journal_tool.c only.
 */
#pragma once

#include "store/journal_tool.h"
#include "store/superblock.h"

/*
 * Salvages one log of a directory that is held, under the boot generation of
 * superblock. unix_ms: now. *ret_changed: false when the log needs nothing. 0 or -errno with text.
 */
MUST_USE int salvage_log(struct disk *disk, const char *data_path,
                         const struct superblock *superblock, uint32_t log, uint64_t unix_ms,
                         struct journal_tool_visitor *visitor, bool *ret_changed, char *text);

/*
 * SQLite disk VFS: lets SQLite keep its files on a struct disk.
 *
 * For the simulator, whose disk forgets, fails and lies as it does to the journal. One
 * connection at a time per file, with exclusive locking: there is no shared memory. Time and
 * randomness come from outside, so that a run can be repeated.
 */
#pragma once

#include "runtime/clock.h"
#include "runtime/disk.h"

struct sqlite_disk_vfs;

/* Makes it known to SQLite. Borrows disk and clock_source. 0 or -errno. Start-up only. */
MUST_USE int sqlite_disk_vfs_new(struct disk *disk, const struct clock_source *clock_source,
                                 uint64_t seed, struct sqlite_disk_vfs **ret_vfs);

/* The name to open connections with. */
const char *sqlite_disk_vfs_name(const struct sqlite_disk_vfs *vfs);

/* Makes SQLite forget it; no connection may be open. Frees and nulls; NULL is accepted. */
void sqlite_disk_vfs_free(struct sqlite_disk_vfs **vfs);

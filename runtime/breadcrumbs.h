/*
 * Breadcrumbs: what was being worked on when the process crashed.
 *
 * A page of memory that a file stands behind: what is written there is not durable and
 * costs no system call, but it outlives the process, however that ends. So the next
 * process knows whom to blame. After a reboot the page says nothing: it may be stale, and a
 * power cut is nobody's fault; the kernel's boot id tells.
 *
 *     start:  mark left by a process that crashed in this boot -> RUNNING becomes BLAMED
 *     work:   lay --> (the process may crash here) --> pick up
 *     end:    forgive, when the process ends by itself: nobody is to blame
 *
 * A blamed crumb stays until what follows from it is durable; a crash in between loses
 * nothing. Each shard has a part of its own. The file, little-endian:
 *
 *       0  u64  magic and version
 *       8  u32  1 while a process runs that has not ended in order
 *      16  16 B boot id
 *    4096  per shard: 256 crumbs RUNNING, then 256 crumbs BLAMED;
 *          a crumb: u64 id, u32 group, u32 1 when it lies there
 */
#pragma once

#include "runtime/disk.h"

enum {
    BREADCRUMBS_SHARD_COUNT_MAX = 64,
    BREADCRUMBS_PER_SHARD_MAX = 256,
    BREADCRUMBS_HEADER_SIZE = 4096,
};

/* One piece of work. id and group are the caller's words. */
struct breadcrumb {
    uint64_t id;
    uint32_t group;
    uint32_t is_there;
};

struct breadcrumbs_page;

/* Private to breadcrumbs.c; embedded by value. Zeroed is a closed one: nothing is noted. */
struct breadcrumbs {
    struct disk *disk;
    struct breadcrumbs_page *page;
};

/*
 * Opens the page at path (borrowed for the call) and sorts out what the process before has
 * left: a crumb is blamed on shard group % shard_count. *ret_blamed_count is how many there
 * are. 0, or -errno: then there are no crumbs, and everything else works. Start-up only; one
 * process at a time, which is the caller's to see to.
 */
MUST_USE int breadcrumbs_open(struct breadcrumbs *crumbs, struct disk *disk, const char *path,
                              uint32_t shard_count, uint32_t *ret_blamed_count);

/* Lets go of the page as it is: what lies there is blamed unless it was forgiven. */
void breadcrumbs_close(struct breadcrumbs *crumbs);

/* The process ends, and no work is to blame for it. Any thread. */
void breadcrumbs_forgive(struct breadcrumbs *crumbs);

/* Work begins, in a slot of this shard that is free. The shard's thread, as below. */
void breadcrumbs_lay(struct breadcrumbs *crumbs, uint32_t shard, uint32_t slot, uint64_t id,
                     uint32_t group);

/* It has ended. */
void breadcrumbs_pick_up(struct breadcrumbs *crumbs, uint32_t shard, uint32_t slot);

/* The blamed crumb in this slot of the shard; NULL when none lies there. */
const struct breadcrumb *breadcrumbs_blamed(const struct breadcrumbs *crumbs, uint32_t shard,
                                            uint32_t slot);

/* What follows from the blame is durable. */
void breadcrumbs_pick_up_blamed(struct breadcrumbs *crumbs, uint32_t shard, uint32_t slot);

#include "runtime/breadcrumbs.h"

#include <errno.h>

/*
 * Stores are made through volatile pointers, so that each is in the page when the next
 * statement of the handler runs; the page cache does the rest. Blame is handed over before
 * the RUNNING half is cleared: a crash in the middle finds a crumb in both, and the next start
 * takes the two for one.
 */

static const uint64_t MAGIC = 0x3143524257454952; /* format 1 */

struct shard_part {
    struct breadcrumb running[BREADCRUMBS_PER_SHARD_MAX];
    struct breadcrumb blamed[BREADCRUMBS_PER_SHARD_MAX];
};

struct breadcrumbs_page {
    uint64_t magic;
    uint32_t is_running;
    uint32_t reserved;
    uint8_t boot_id[DISK_BOOT_ID_SIZE];
    char filler[BREADCRUMBS_HEADER_SIZE - 32];
    struct shard_part shards[BREADCRUMBS_SHARD_COUNT_MAX];
};

static_assert(sizeof(struct breadcrumb) == 16, "on disk");
static_assert(offsetof(struct breadcrumbs_page, shards) == BREADCRUMBS_HEADER_SIZE, "on disk");

static void put(struct breadcrumb *crumb, uint64_t id, uint32_t group)
{
    volatile struct breadcrumb *place = crumb;

    place->id = id;
    place->group = group;
    place->is_there = 1;
}

static void clear(struct breadcrumb *crumb)
{
    volatile struct breadcrumb *place = crumb;

    place->is_there = 0;
}

/* Adds it to those blamed on the shard, once; one too many is let off. */
static void blame(struct shard_part *part, const struct breadcrumb *crumb)
{
    struct breadcrumb *place = NULL;

    for (uint32_t i = BREADCRUMBS_PER_SHARD_MAX; i-- > 0;) {
        if (part->blamed[i].is_there == 0)
            place = &part->blamed[i];
        else if (part->blamed[i].id == crumb->id)
            return;
    }
    if (place != NULL)
        put(place, crumb->id, crumb->group);
}

/* Another number of shards may run now: what was blamed before goes to whose it is. */
static void move_blamed(struct breadcrumbs_page *page, uint32_t shard_count)
{
    for (uint32_t s = 0; s < BREADCRUMBS_SHARD_COUNT_MAX; s++)
        for (uint32_t i = 0; i < BREADCRUMBS_PER_SHARD_MAX; i++) {
            struct breadcrumb *crumb = &page->shards[s].blamed[i];

            if (crumb->is_there == 0 || crumb->group % shard_count == s)
                continue;
            blame(&page->shards[crumb->group % shard_count], crumb);
            clear(crumb);
        }
}

static void blame_running(struct breadcrumbs_page *page, uint32_t shard_count)
{
    for (uint32_t s = 0; s < BREADCRUMBS_SHARD_COUNT_MAX; s++)
        for (uint32_t i = 0; i < BREADCRUMBS_PER_SHARD_MAX; i++) {
            struct breadcrumb *crumb = &page->shards[s].running[i];

            if (crumb->is_there == 0)
                continue;
            if (page->is_running != 0)
                blame(&page->shards[crumb->group % shard_count], crumb);
            clear(crumb);
        }
}

static uint32_t count_blamed(const struct breadcrumbs_page *page)
{
    uint32_t count = 0;

    for (uint32_t s = 0; s < BREADCRUMBS_SHARD_COUNT_MAX; s++)
        for (uint32_t i = 0; i < BREADCRUMBS_PER_SHARD_MAX; i++)
            count += page->shards[s].blamed[i].is_there != 0;
    return count;
}

int breadcrumbs_open(struct breadcrumbs *crumbs, struct disk *disk, const char *path,
                     uint32_t shard_count, uint32_t *ret_blamed_count)
{
    uint8_t boot_id[DISK_BOOT_ID_SIZE];
    struct breadcrumbs_page *page;
    char *memory;
    int r;

    assert(shard_count > 0);
    assert(shard_count <= BREADCRUMBS_SHARD_COUNT_MAX);
    memset(crumbs, 0, sizeof(*crumbs));
    r = disk_boot_id(disk, boot_id);
    if (r == 0)
        r = disk_map(disk, path, sizeof(*page), &memory);
    if (r < 0)
        return r;
    page = (struct breadcrumbs_page *)(void *)memory;
    if (page->magic != MAGIC || memcmp(page->boot_id, boot_id, sizeof(boot_id)) != 0) {
        memset(page, 0, sizeof(*page));
        page->magic = MAGIC;
        memcpy(page->boot_id, boot_id, sizeof(boot_id));
    }
    move_blamed(page, shard_count);
    blame_running(page, shard_count);
    page->is_running = 1;
    crumbs->disk = disk;
    crumbs->page = page;
    *ret_blamed_count = count_blamed(page);
    return 0;
}

void breadcrumbs_close(struct breadcrumbs *crumbs)
{
    char *memory = (char *)crumbs->page;

    if (memory != NULL)
        disk_unmap(crumbs->disk, &memory, sizeof(*crumbs->page));
    crumbs->page = NULL;
}

void breadcrumbs_forgive(struct breadcrumbs *crumbs)
{
    volatile uint32_t *is_running;

    if (crumbs->page == NULL)
        return;
    is_running = &crumbs->page->is_running;
    *is_running = 0;
}

void breadcrumbs_lay(struct breadcrumbs *crumbs, uint32_t shard, uint32_t slot, uint64_t id,
                     uint32_t group)
{
    assert(shard < BREADCRUMBS_SHARD_COUNT_MAX);
    assert(slot < BREADCRUMBS_PER_SHARD_MAX);
    if (crumbs->page == NULL)
        return;
    assert(crumbs->page->shards[shard].running[slot].is_there == 0);
    put(&crumbs->page->shards[shard].running[slot], id, group);
}

void breadcrumbs_pick_up(struct breadcrumbs *crumbs, uint32_t shard, uint32_t slot)
{
    assert(shard < BREADCRUMBS_SHARD_COUNT_MAX);
    assert(slot < BREADCRUMBS_PER_SHARD_MAX);
    if (crumbs->page != NULL)
        clear(&crumbs->page->shards[shard].running[slot]);
}

const struct breadcrumb *breadcrumbs_blamed(const struct breadcrumbs *crumbs, uint32_t shard,
                                            uint32_t slot)
{
    assert(shard < BREADCRUMBS_SHARD_COUNT_MAX);
    assert(slot < BREADCRUMBS_PER_SHARD_MAX);
    if (crumbs->page == NULL || crumbs->page->shards[shard].blamed[slot].is_there == 0)
        return NULL;
    return &crumbs->page->shards[shard].blamed[slot];
}

void breadcrumbs_pick_up_blamed(struct breadcrumbs *crumbs, uint32_t shard, uint32_t slot)
{
    assert(shard < BREADCRUMBS_SHARD_COUNT_MAX);
    assert(slot < BREADCRUMBS_PER_SHARD_MAX);
    if (crumbs->page != NULL)
        clear(&crumbs->page->shards[shard].blamed[slot]);
}

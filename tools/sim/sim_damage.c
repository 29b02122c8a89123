#include "tools/sim/sim_damage.h"

#include <fcntl.h>

#include "runtime/sim_disk.h"

/*
 * After an orderly stop the log ends in a watermark that vouches for all before it, so
 * damage to any block that holds an acknowledged event must be refused. The exception is
 * a log whose last segment was full, or that was left by a life which was killed: nothing
 * vouches for its last write, which then looks torn. What may be missing is checked to be
 * the last (sim_check.c), and the rest of the run goes on without it.
 */
enum damage_kind {
    DAMAGE_FLIP,  /* one bit */
    DAMAGE_ZERO,  /* never written: a lost write */
    DAMAGE_STALE, /* the block before, once more: misdirected or stale */
    DAMAGE_NOISE, /* a sector of garbage */
    DAMAGE_COUNT,
};

static const char *const KIND_NAMES[] = {"one bit flipped", "zeros", "another block's bytes",
                                         "a sector of noise"};

enum { PICK_COUNT_MAX = 32, SECTOR_SIZE = 512, EXIT_CORRUPT = 74 };

/* An event in the log, by chance; SIM_NONE when none was met. */
static uint32_t pick_event(const struct sim_check *check, struct rng *rng)
{
    for (uint32_t i = 0; i < PICK_COUNT_MAX && check->model->item_count > 0; i++) {
        uint32_t number = (uint32_t)rng_below(rng, check->model->item_count);

        if (check->census.found[number].count == 1 &&
            check->census.found[number].location.bits != 0)
            return number;
    }
    return SIM_NONE;
}

static void spoil(enum damage_kind kind, char *block, const char *before, struct rng *rng)
{
    uint64_t sector = rng_below(rng, SEGMENT_BLOCK_SIZE / SECTOR_SIZE) * SECTOR_SIZE;

    switch (kind) {
    case DAMAGE_FLIP:
        block[rng_below(rng, SEGMENT_BLOCK_SIZE)] ^= (char)(1 << rng_below(rng, 8));
        break;
    case DAMAGE_ZERO:
        memset(block, 0, SEGMENT_BLOCK_SIZE);
        break;
    case DAMAGE_STALE:
        memcpy(block, before, SEGMENT_BLOCK_SIZE);
        break;
    case DAMAGE_NOISE:
        for (uint32_t i = 0; i < SECTOR_SIZE; i++)
            block[sector + i] = (char)rng_next(rng);
        break;
    case DAMAGE_COUNT:
        assert(false);
    }
}

/* Two blocks of the file: the one before offset, and the one at offset. */
static void read_blocks(struct disk *disk, const char *path, char *blocks, uint64_t offset)
{
    int fd = disk_open(disk, path, O_RDONLY, 0);
    int64_t size;

    assert(fd >= 0);
    assert(offset >= SEGMENT_BLOCK_SIZE);
    size = disk_read(disk, fd, blocks, 2 * SEGMENT_BLOCK_SIZE, offset - SEGMENT_BLOCK_SIZE);
    assert(size == 2 * SEGMENT_BLOCK_SIZE);
    disk_close(disk, fd);
}

static void write_block(struct disk *disk, const char *path, const char *block, uint64_t offset)
{
    int fd = disk_open(disk, path, O_WRONLY, 0);
    int64_t size;
    int r;

    assert(fd >= 0);
    size = disk_write(disk, fd, block, SEGMENT_BLOCK_SIZE, offset);
    assert(size == SEGMENT_BLOCK_SIZE);
    r = disk_sync(disk, fd);
    assert(r == 0);
    disk_close(disk, fd);
}

/* True when the start is refused as it should be. */
static bool is_refused(struct sim_server *server, struct sim_check *check, struct sim_story *story,
                       uint32_t number)
{
    int exit_code = 0;
    bool is_read;

    /* The reader of the log must not be fooled either: what it gives out is what was sent. */
    check->may_lack_last = true;
    is_read = sim_check_log(check);
    if (!sim_server_try_start(server, &exit_code)) {
        if (exit_code != EXIT_CORRUPT)
            sim_story_fail(story, number, "damage is refused with exit code %d instead of 74: %s",
                           exit_code, server->text);
        return true;
    }
    if (!is_read)
        sim_story_fail(story, number, "a damaged log is refused by readers, not by the server");
    sim_server_kill(server);
    return false;
}

static bool damage_log(struct sim_server *server, struct sim_check *check, struct sim_story *story,
                       enum damage_kind kind)
{
    static char blocks[2 * SEGMENT_BLOCK_SIZE];
    static char spoilt[SEGMENT_BLOCK_SIZE];
    struct disk *disk = sim_host_disk(server->host);
    uint32_t number = pick_event(check, &server->world->rng);
    struct journal_location location;
    uint64_t offset;
    char path[64];
    bool refused;

    if (number == SIM_NONE)
        return false;
    location = check->census.found[number].location;
    offset = journal_location_offset(location) / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
    snprintf(path, sizeof(path), SIM_SERVER_DATA "/log-%02u/%016llx.seg",
             journal_location_log(location), (unsigned long long)journal_location_seq(location));
    read_blocks(disk, path, blocks, offset);
    memcpy(spoilt, blocks + SEGMENT_BLOCK_SIZE, SEGMENT_BLOCK_SIZE);
    spoil(kind, spoilt, blocks, &server->world->rng);
    sim_story_tell(story, number, 1, "damage where event %u is: %s", number, KIND_NAMES[kind]);
    write_block(disk, path, spoilt, offset);
    refused = is_refused(server, check, story, number);
    if (refused)
        write_block(disk, path, blocks + SEGMENT_BLOCK_SIZE, offset);
    return refused;
}

static void damage_superblock(struct sim_server *server, struct sim_story *story)
{
    static const char path[] = SIM_SERVER_DATA "/superblock";
    uint64_t offset = rng_below(&server->world->rng, SEGMENT_BLOCK_SIZE);
    int exit_code = 0;

    if (sim_disk_flip(server->host->disk, path, offset, 1) < 0)
        return;
    sim_story_tell(story, SIM_NO_NUMBER, 0, "a bit of the superblock is flipped");
    if (!sim_server_try_start(server, &exit_code))
        sim_story_fail(story, SIM_NO_NUMBER,
                       "one bad copy of the superblock ends the start with %d: %s", exit_code,
                       server->text);
    sim_server_kill(server);
}

uint32_t sim_damage_at_rest(struct sim_server *server, struct sim_check *check,
                            struct sim_story *story)
{
    uint32_t count = 0;

    assert(!server->is_running);
    for (uint32_t kind = 0; kind < DAMAGE_COUNT; kind++) {
        if (!damage_log(server, check, story, kind))
            return count; /* the last write, for which nothing vouches: it is gone now */
        count++;
    }
    check->may_lack_last = false;
    (void)sim_check_log(check);
    damage_superblock(server, story);
    return count;
}

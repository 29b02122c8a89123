/*
 * One copy, at offset 4096 * n for n in 0..3; the rest of its 4 KiB is zero.
 *
 *     offset  size
 *          0     8  magic "weirsupr"
 *          8     4  format version, 1
 *         12     4  number of the copy, 0..3
 *         16     8  version of the contents, +1 per change
 *         24    16  uuid
 *         40     4  partition count
 *         44     4  log count
 *         48     4  boot generation
 *         52     4  CRC-32C of bytes 0..51
 *
 * Version v+1 goes to copies 0 and 1, sync, then 2 and 3, sync. A crash leaves at
 * least two equal copies at every moment: 2 and 3 are old until 0 and 1 are
 * durable. A version that is in one copy only never counted, so the older pair
 * wins over it. After a complete change any two copies may be lost.
 *
 * That holds only if all four are equal before. So a start first repairs those that
 * an earlier crash left behind, with the contents that count, and syncs; else a second
 * crash could hit the only two that agree.
 *
 * A directory that holds logs but no superblock is refused: making a new one
 * would start the boot generations again, and with them the fencing of old work.
 */
#include "store/superblock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/crc32c.h"

static const uint64_t SUPERBLOCK_MAGIC = 0x7270757372696577; /* "weirsupr" */

enum {
    SUPERBLOCK_FORMAT_VERSION = 1,
    SUPERBLOCK_SIZE = SUPERBLOCK_COPY_COUNT * SUPERBLOCK_COPY_SIZE,
    PATH_SIZE = SUPERBLOCK_PATH_SIZE_MAX + DISK_NAME_SIZE_MAX,
    COPY_AGREE_COUNT = 2,
    FILE_MODE = 0600,
    DIRECTORY_MODE = 0700,
};

struct copy {
    uint64_t magic;
    uint32_t format_version;
    uint32_t index;
    uint64_t version;
    uint8_t uuid[SEGMENT_UUID_SIZE];
    uint32_t partition_count;
    uint32_t log_count;
    uint32_t boot_generation;
    uint32_t crc;
};

static_assert(sizeof(struct copy) == 56, "on disk");
static_assert(offsetof(struct copy, crc) == 52, "on disk");

PRINTF_LIKE(2, 3) static void say(char *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, SUPERBLOCK_TEXT_SIZE, format, arguments);
    va_end(arguments);
}

/* "<data_path>/<name>" into path[PATH_SIZE]; data_path was measured before. */
static void join(char *path, const char *data_path, const char *name)
{
    int size = snprintf(path, PATH_SIZE, "%s/%s", data_path, name);

    assert(size > 0);
    assert(size < PATH_SIZE);
}

static void encode(const struct superblock *superblock, uint32_t index, char *sector)
{
    struct copy copy = {
        .magic = SUPERBLOCK_MAGIC,
        .format_version = SUPERBLOCK_FORMAT_VERSION,
        .index = index,
        .version = superblock->version,
        .partition_count = superblock->partition_count,
        .log_count = superblock->log_count,
        .boot_generation = superblock->boot_generation,
    };

    assert(index < SUPERBLOCK_COPY_COUNT);
    memcpy(copy.uuid, superblock->uuid, sizeof(copy.uuid));
    copy.crc = crc32c(0, &copy, offsetof(struct copy, crc));
    memset(sector, 0, SUPERBLOCK_COPY_SIZE);
    memcpy(sector, &copy, sizeof(copy));
}

static bool decode(const char *sector, uint32_t index, struct copy *ret_copy)
{
    struct copy copy;

    memcpy(&copy, sector, sizeof(copy));
    if (copy.magic != SUPERBLOCK_MAGIC || copy.format_version != SUPERBLOCK_FORMAT_VERSION ||
        copy.index != index || copy.crc != crc32c(0, &copy, offsetof(struct copy, crc)))
        return false;
    *ret_copy = copy;
    return true;
}

/*
 * Everything but the number of the copy is the same. The version alone is not
 * enough: a change that a crash cut off after one copy is repeated under the same
 * version, perhaps with other contents.
 */
static bool agree(const struct copy *a, const struct copy *b)
{
    return a->version == b->version && memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0 &&
           a->partition_count == b->partition_count && a->log_count == b->log_count &&
           a->boot_generation == b->boot_generation;
}

/* What was found beside the copies that count. best is NULL when none do. */
static void note_copies(const struct copy *copies, const bool *valid, const struct copy *best)
{
    for (uint32_t i = 0; i < SUPERBLOCK_COPY_COUNT; i++) {
        if (best == NULL)
            SOMETIMES("damage: no two copies of the superblock agree");
        else if (!valid[i])
            SOMETIMES("a bad copy of the superblock is survived");
        else if (copies[i].version > best->version)
            SOMETIMES("a superblock that is there once does not count");
        else if (copies[i].version < best->version)
            SOMETIMES("an older pair of superblock copies is left behind");
    }
}

/*
 * The highest version that two copies hold; false when no version is there twice.
 * ret_stale tells which copies hold something else.
 */
static bool choose(const char *sectors, struct superblock *superblock, bool *ret_stale)
{
    struct copy copies[SUPERBLOCK_COPY_COUNT];
    bool valid[SUPERBLOCK_COPY_COUNT];
    const struct copy *best = NULL;

    for (uint32_t i = 0; i < SUPERBLOCK_COPY_COUNT; i++)
        valid[i] = decode(sectors + (size_t)i * SUPERBLOCK_COPY_SIZE, i, &copies[i]);
    for (uint32_t i = 0; i < SUPERBLOCK_COPY_COUNT; i++) {
        uint32_t agree_count = 0;

        for (uint32_t j = 0; valid[i] && j < SUPERBLOCK_COPY_COUNT; j++)
            agree_count += valid[j] && agree(&copies[i], &copies[j]);
        if (agree_count >= COPY_AGREE_COUNT && (best == NULL || copies[i].version > best->version))
            best = &copies[i];
    }
    note_copies(copies, valid, best);
    if (best == NULL)
        return false;
    superblock->version = best->version;
    memcpy(superblock->uuid, best->uuid, sizeof(superblock->uuid));
    superblock->partition_count = best->partition_count;
    superblock->log_count = best->log_count;
    superblock->boot_generation = best->boot_generation;
    for (uint32_t i = 0; i < SUPERBLOCK_COPY_COUNT; i++)
        ret_stale[i] = !valid[i] || !agree(&copies[i], best);
    return true;
}

MUST_USE static int write_copy(struct disk *disk, int fd, const struct superblock *superblock,
                               uint32_t index)
{
    char sector[SUPERBLOCK_COPY_SIZE];
    int64_t size;

    encode(superblock, index, sector);
    size = disk_write(disk, fd, sector, sizeof(sector), (uint64_t)index * sizeof(sector));
    if (size < 0)
        return (int)size;
    return size == (int64_t)sizeof(sector) ? 0 : -EIO;
}

/* Writes copies first and first + 1, then syncs. */
MUST_USE static int write_pair(struct disk *disk, int fd, const struct superblock *superblock,
                               uint32_t first)
{
    int r = write_copy(disk, fd, superblock, first);

    if (r == 0)
        r = write_copy(disk, fd, superblock, first + 1);
    if (r < 0 || MUTANT("superblock_no_sync"))
        return r;
    return disk_sync(disk, fd);
}

/* Brings the stale copies to what the others hold. Does nothing when there are none. */
MUST_USE static int repair(struct disk *disk, int fd, const struct superblock *superblock,
                           const bool *stale)
{
    bool is_repaired = false;

    for (uint32_t i = 0; i < SUPERBLOCK_COPY_COUNT; i++) {
        int r = stale[i] ? write_copy(disk, fd, superblock, i) : 0;

        if (r < 0)
            return r;
        is_repaired = is_repaired || stale[i];
    }
    if (!is_repaired)
        return 0;
    SOMETIMES("copies of the superblock are repaired");
    return disk_sync(disk, fd);
}

MUST_USE static int write_all(struct disk *disk, int fd, const struct superblock *superblock)
{
    int r = write_pair(disk, fd, superblock, 0);

    if (r < 0)
        return r;
    SOMETIMES("the first pair of superblock copies is written");
    return write_pair(disk, fd, superblock, 2);
}

/* Sees whether a directory holds logs. */
struct log_finder {
    struct disk_visitor visitor;
    bool found;
};

static int visit_name(struct disk_visitor *visitor, const char *name)
{
    struct log_finder *finder = container_of(visitor, struct log_finder, visitor);

    if (strncmp(name, "log-", 4) == 0)
        finder->found = true;
    return 0;
}

/* Makes the superblock of a new directory, under a temporary name until it is whole. */
MUST_USE static int create(const struct superblock_config *config, const char *path,
                           struct superblock *superblock, char *text)
{
    struct disk *disk = config->disk;
    struct log_finder finder = {.visitor = {.visit = visit_name}};
    char temporary[PATH_SIZE];
    int fd;
    int r;

    r = disk_list(disk, config->data_path, &finder.visitor);
    if (r < 0) {
        say(text, "cannot list %s: %s (error %d)", config->data_path, strerrordesc_np(-r), -r);
        return r;
    }
    if (finder.found) {
        SOMETIMES("damage: there are logs but no superblock");
        say(text, "%s is missing, but there are logs beside it", path);
        return -EBADMSG;
    }
    r = rng_secret(config->rng, superblock->uuid, sizeof(superblock->uuid));
    if (r < 0)
        return r;
    superblock->version = 1;
    superblock->partition_count =
        config->partition_count != 0 ? config->partition_count : SUPERBLOCK_PARTITION_COUNT_DEFAULT;
    superblock->log_count = config->log_count;
    superblock->boot_generation = 0;
    join(temporary, config->data_path, "superblock.tmp");
    fd = disk_open(disk, temporary, O_RDWR | O_CREAT | O_TRUNC, FILE_MODE);
    if (fd < 0) {
        say(text, "cannot make %s: %s (error %d)", temporary, strerrordesc_np(-fd), -fd);
        return fd;
    }
    r = write_all(disk, fd, superblock);
    disk_close(disk, fd);
    if (r == 0)
        r = disk_rename(disk, temporary, path);
    if (r == 0)
        r = disk_sync_directory(disk, config->data_path);
    if (r < 0)
        say(text, "cannot write %s: %s (error %d)", path, strerrordesc_np(-r), -r);
    return r;
}

/* Reads an open superblock file. 0, -EBADMSG or another -errno. */
MUST_USE static int load(struct disk *disk, int fd, struct superblock *superblock, bool *ret_stale)
{
    char *sectors = NULL;
    uint64_t done = 0;
    int r;

    r = memory_map(SUPERBLOCK_SIZE, &sectors);
    if (r < 0)
        return r;
    /* A copy that was not read must not count as damaged: another, older one might win. */
    while (done < SUPERBLOCK_SIZE) {
        int64_t size = disk_read(disk, fd, sectors + done, SUPERBLOCK_SIZE - done, done);

        if (size < 0)
            r = (int)size;
        if (size <= 0)
            break;
        done += (uint64_t)size;
    }
    if (r == 0 && !choose(sectors, superblock, ret_stale))
        r = -EBADMSG;
    memory_unmap(&sectors, SUPERBLOCK_SIZE);
    return r;
}

/* Loads or makes the superblock, then makes the next boot generation durable. */
MUST_USE static int start(const struct superblock_config *config, struct superblock *superblock,
                          char *text)
{
    struct disk *disk = config->disk;
    bool stale[SUPERBLOCK_COPY_COUNT] = {false};
    char path[PATH_SIZE];
    int fd;
    int r;

    join(path, config->data_path, "superblock");
    fd = disk_open(disk, path, O_RDWR, 0);
    if (fd == -ENOENT) {
        r = create(config, path, superblock, text);
        if (r < 0)
            return r;
        SOMETIMES("a data directory gets its superblock");
        fd = disk_open(disk, path, O_RDWR, 0);
    }
    if (fd < 0) {
        say(text, "cannot open %s: %s (error %d)", path, strerrordesc_np(-fd), -fd);
        return fd;
    }
    /* What an earlier process wrote and did not sync must not be read as durable. */
    r = disk_sync(disk, fd);
    if (r == 0)
        r = disk_sync_directory(disk, config->data_path);
    if (r == 0)
        r = load(disk, fd, superblock, stale);
    if (r == -EBADMSG)
        say(text, "%s: fewer than two of the four copies agree", path);
    if (r == 0)
        r = repair(disk, fd, superblock, stale);
    if (r == 0) {
        superblock->version++;
        superblock->boot_generation++;
        if (superblock->log_count > config->log_count && !MUTANT("larger_start_forgotten"))
            SOMETIMES("a log of an earlier, larger start is kept");
        else
            superblock->log_count = config->log_count;
        r = write_all(disk, fd, superblock);
    }
    if (r < 0)
        SOMETIMES("a superblock that cannot be read or written ends a start");
    if (r < 0 && text[0] == 0)
        say(text, "cannot read or write %s: %s (error %d)", path, strerrordesc_np(-r), -r);
    disk_close(disk, fd);
    return r;
}

/* Makes the directory, and its name durable: what it will hold must not vanish with it. */
MUST_USE static int make_directory(struct disk *disk, const char *data_path)
{
    char parent[SUPERBLOCK_PATH_SIZE_MAX];
    size_t size = strlen(data_path);
    int r = disk_make_directory(disk, data_path, DIRECTORY_MODE);

    if (r < 0 && r != -EEXIST)
        return r;
    while (size > 1 && data_path[size - 1] == '/')
        size--;
    while (size > 0 && data_path[size - 1] != '/')
        size--;
    memcpy(parent, data_path, size);
    parent[size] = 0;
    return disk_sync_directory(disk, size == 0 ? "." : parent);
}

int superblock_open(const struct superblock_config *config, struct superblock *ret_superblock,
                    char *text)
{
    struct disk *disk = config->disk;
    struct superblock superblock = {.lock_fd = -1};
    char path[PATH_SIZE];
    int fd;
    int r;

    assert(config->log_count > 0);
    assert(config->log_count <= SEGMENT_LOG_MAX + 1);
    assert(config->partition_count <= JOURNAL_PARTITION_MAX + 1);
    text[0] = 0;
    if (strlen(config->data_path) >= SUPERBLOCK_PATH_SIZE_MAX) {
        say(text, "the path of the data directory is too long");
        return -ENAMETOOLONG;
    }
    r = make_directory(disk, config->data_path);
    if (r < 0) {
        say(text, "cannot make %s: %s (error %d)", config->data_path, strerrordesc_np(-r), -r);
        return r;
    }
    join(path, config->data_path, "lock");
    fd = disk_open(disk, path, O_RDWR | O_CREAT, FILE_MODE);
    if (fd < 0) {
        say(text, "cannot open %s: %s (error %d)", path, strerrordesc_np(-fd), -fd);
        return fd;
    }
    r = disk_lock(disk, fd);
    if (r < 0)
        say(text, r == -EWOULDBLOCK ? "%s is held by another process (error %d)" : "%s: error %d",
            path, -r);
    else
        r = start(config, &superblock, text);
    if (r < 0) {
        disk_close(disk, fd);
        return r;
    }
    superblock.lock_fd = fd;
    *ret_superblock = superblock;
    return 0;
}

void superblock_close(struct superblock *superblock, struct disk *disk)
{
    assert(superblock->lock_fd >= 0);
    disk_close(disk, superblock->lock_fd);
    superblock->lock_fd = -1;
}

int superblock_read(struct disk *disk, const char *data_path, struct superblock *ret_superblock)
{
    bool stale[SUPERBLOCK_COPY_COUNT];
    struct superblock superblock = {.lock_fd = -1};
    char path[PATH_SIZE];
    int fd;
    int r;

    if (strlen(data_path) >= SUPERBLOCK_PATH_SIZE_MAX)
        return -ENAMETOOLONG;
    join(path, data_path, "superblock");
    fd = disk_open(disk, path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    r = load(disk, fd, &superblock, stale);
    disk_close(disk, fd);
    if (r == 0)
        *ret_superblock = superblock;
    return r;
}

/*
 * Fuzz segment: arbitrary bytes as the files of a log, given to recovery and salvage.
 *
 * The input is cut into up to three segment files. So that the fuzzer gets past the
 * CRCs, a first byte with its lowest bit set makes every block's CRC right (and the
 * records' with the second bit). Whatever the bytes: no crash, no wrong access;
 * recovery twice gives the same; after a salvage the log opens.
 */
#include <fcntl.h>

#include "runtime/sim_disk.h"
#include "store/crc32c.h"
#include "store/journal_tool.h"
#include "store/recovery.h"
#include "store/superblock.h"

enum { FILES_MAX = 3, FILE_BLOCKS_MAX = 6, FLAG_BLOCKS = 1, FLAG_RECORDS = 2, FLAG_SALVAGE = 4 };

static uint64_t group_hash;

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    (void)visitor;
    for (uint32_t i = 0; i < group->record_count; i++) {
        const struct journal_record_view *record = &group->records[i];

        group_hash = group_hash * 31 +
                     crc32c((uint32_t)record->lsn, record->payload.data, record->payload.size);
    }
    return 0;
}

static void fix_records(char *block)
{
    for (uint32_t i = 0; i + SEGMENT_RECORD_HEADER_SIZE <= SEGMENT_PAYLOAD_SIZE;) {
        struct segment_record_header header;
        uint64_t size;

        memcpy(&header, block + i, sizeof(header));
        size = segment_record_size(header.payload_size);
        if (header.type == 0 || size > SEGMENT_PAYLOAD_SIZE - i)
            return;
        header.payload_crc = crc32c(segment_record_crc_begin(&header), block + i + sizeof(header),
                                    header.payload_size);
        header.header_crc = crc32c(0, &header, offsetof(struct segment_record_header, header_crc));
        memcpy(block + i, &header, sizeof(header));
        i += (uint32_t)size;
    }
}

static void fix_block(char *block, uint8_t flags)
{
    struct segment_trailer trailer;

    memcpy(&trailer, block + SEGMENT_PAYLOAD_SIZE, sizeof(trailer));
    if (trailer.segment_seq == 0 || trailer.payload_size > SEGMENT_PAYLOAD_SIZE)
        return;
    if ((flags & FLAG_RECORDS) != 0 && (trailer.flags & SEGMENT_BLOCK_HEADER) == 0)
        fix_records(block);
    segment_block_seal(block, &trailer);
}

/* Files carry the directory's uuid, which the input cannot know. */
static void adopt(char *block, const uint8_t *uuid)
{
    struct segment_header header;
    struct segment_trailer trailer;
    uint32_t crc = crc32c(0, block, SEGMENT_BLOCK_SIZE - 4);

    memcpy(&header, block, sizeof(header));
    memcpy(&trailer, block + SEGMENT_PAYLOAD_SIZE, sizeof(trailer));
    if (trailer.crc != crc || trailer.payload_size > SEGMENT_PAYLOAD_SIZE ||
        trailer.segment_seq == 0)
        return;
    memcpy(header.uuid, uuid, sizeof(header.uuid));
    memcpy(block, &header, sizeof(header));
    segment_block_seal(block, &trailer);
}

static void write_file(struct disk *disk, uint64_t seq, const uint8_t *uuid, const uint8_t *data,
                       size_t size, uint8_t flags)
{
    static char file[FILE_BLOCKS_MAX * SEGMENT_BLOCK_SIZE];
    char name[SEGMENT_NAME_SIZE];
    char path[64];
    uint64_t file_size = min_u64(round_up_u64(size, SEGMENT_BLOCK_SIZE), sizeof(file));
    int64_t written;
    int fd;

    memset(file, 0, sizeof(file));
    memcpy(file, data, min_u64(size, sizeof(file)));
    for (uint64_t i = 0; (flags & FLAG_BLOCKS) != 0 && i < file_size; i += SEGMENT_BLOCK_SIZE)
        fix_block(file + i, flags);
    adopt(file, uuid);
    segment_name_format(name, seq, "seg");
    snprintf(path, sizeof(path), "d/log-00/%s", name);
    fd = disk_open(disk, path, O_RDWR | O_CREAT, 0600);
    assert(fd >= 0);
    written = file_size == 0 ? 0 : disk_write(disk, fd, file, file_size, 0);
    assert(written == (int64_t)file_size);
    disk_close(disk, fd);
}

static int recover(struct disk *disk, const struct superblock *superblock, bool read_only)
{
    static char text[RECOVERY_TEXT_SIZE];
    struct recovery_visitor visitor = {.on_group = on_group};
    struct recovered *recovered = NULL;
    struct recovery_config config = {.disk = disk,
                                     .data_path = "d",
                                     .superblock = superblock,
                                     .visitor = &visitor,
                                     .read_only = read_only};
    int r;

    group_hash = 0;
    r = recovery_run(&config, &recovered, text);
    assert((r == 0) == (text[0] == 0));
    recovered_free(&recovered);
    return r;
}

/* After a salvage that worked the log opens. */
static void salvage(struct disk *disk, struct rng *rng)
{
    static char text[JOURNAL_TOOL_TEXT_SIZE];
    struct journal_tool_visitor tool = {.on_loss = NULL};
    struct journal_tool_summary summary;
    uint32_t count = 0;
    int r = journal_tool_salvage(disk, rng, "d", 1, &tool, &count, text);

    if (r < 0)
        return;
    r = journal_tool_verify(disk, "d", &summary, text);
    if (r < 0)
        fprintf(stderr, "%s\n", text);
    assert(r == 0);
}

static void try_files(struct disk *disk, const uint8_t *data, size_t size, uint8_t flags)
{
    struct superblock superblock;
    struct superblock_config config = {.disk = disk, .data_path = "d", .log_count = 1};
    static char text[SUPERBLOCK_TEXT_SIZE];
    struct rng rng;
    uint64_t hash;
    int first;
    int r;

    rng_init_seed(&rng, 0);
    config.rng = &rng;
    r = superblock_open(&config, &superblock, text);
    assert(r == 0);
    r = disk_make_directory(disk, "d/log-00", 0700);
    assert(r == 0);
    for (uint64_t seq = 1; seq <= FILES_MAX && size > 0; seq++) {
        size_t part = min_u64(size, FILE_BLOCKS_MAX * SEGMENT_BLOCK_SIZE);

        write_file(disk, seq, superblock.uuid, data, part, flags);
        data += part;
        size -= part;
    }
    first = recover(disk, &superblock, true);
    hash = group_hash;
    r = recover(disk, &superblock, false);
    assert(r == first && group_hash == hash);
    r = recover(disk, &superblock, false);
    assert(r == first && group_hash == hash);
    superblock_close(&superblock, disk);
    if ((flags & FLAG_SALVAGE) != 0)
        salvage(disk, &rng);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim_world *world;
    struct sim_host *host;

    if (size < 1)
        return 0;
    world = sim_world_new(1);
    host = sim_host_new(world, "host");
    try_files(sim_host_disk(host), data + 1, size - 1, data[0]);
    sim_host_kill(host);
    sim_world_free(&world);
    return 0;
}

#include "runtime/sim_file.h"

#include "runtime/sim_faults.h"
#include "runtime/sim_world.h"

/*
 * A block has at most two versions: what readers see and what the medium holds.
 * Versions between two unsynced writes are not kept; a crash that would have
 * caught one shows as a torn block at worst, so nothing is promised that a real
 * disk would break.
 *
 * Bytes beyond the size are always zero in data, so that growing needs no work.
 */
enum { BLOCK_CAPACITY_MIN = 16 };

static void file_check(const struct sim_file *file)
{
    assert(file->ref_count > 0);
    assert(file->in_use_count <= file->ref_count);
    assert(file->size <= INT64_MAX);
}

struct sim_file *sim_file_new(uint64_t number, const char *directory_path)
{
    struct sim_file *file = sim_alloc(sizeof(*file));

    file->number = number;
    file->ref_count = 1;
    file->lock_fd = -1;
    list_init(&file->link);
    list_init(&file->dirty);
    if (directory_path != NULL) {
        size_t size = strlen(directory_path) + 1;

        file->directory_path = sim_alloc(size);
        memcpy(file->directory_path, directory_path, size);
    }
    return file;
}

struct sim_file *sim_file_ref(struct sim_file *file)
{
    file_check(file);
    file->ref_count++;
    return file;
}

static void free_block(struct sim_block **block)
{
    if (*block == NULL)
        return;
    list_remove(&(*block)->dirty_link);
    free((*block)->base);
    free(*block);
    *block = NULL;
}

void sim_file_unref(struct sim_file **file)
{
    struct sim_file *f = *file;

    if (f == NULL)
        return;
    file_check(f);
    *file = NULL;
    if (--f->ref_count > 0)
        return;
    for (uint64_t i = 0; i < f->block_capacity; i++)
        free_block(&f->blocks[i]);
    list_remove(&f->link);
    free(f->blocks);
    free(f->directory_path);
    free(f);
}

static struct sim_block *block_at(const struct sim_file *file, uint64_t index)
{
    return index < file->block_capacity ? file->blocks[index] : NULL;
}

static struct sim_block *make_block(struct sim_file *file, uint64_t index)
{
    struct sim_block *block;

    if (index >= file->block_capacity) {
        uint64_t capacity = max_u64(file->block_capacity, BLOCK_CAPACITY_MIN);

        while (capacity <= index)
            capacity *= 2;
        file->blocks = realloc(file->blocks, capacity * sizeof(struct sim_block *));
        assert(file->blocks != NULL);
        memset(file->blocks + file->block_capacity, 0,
               (capacity - file->block_capacity) * sizeof(struct sim_block *));
        file->block_capacity = capacity;
    }
    assert(file->blocks[index] == NULL);
    block = sim_alloc(sizeof(*block));
    list_init(&block->dirty_link);
    block->index = index;
    file->blocks[index] = block;
    return block;
}

static void make_dirty(struct sim_file *file, struct sim_block *block, uint64_t sequence)
{
    if (block->base == NULL) {
        block->base = sim_alloc(SIM_BLOCK_SIZE);
        memcpy(block->base, block->data, SIM_BLOCK_SIZE);
        block->dirty_sequence = sequence;
        list_push_back(&file->dirty, &block->dirty_link);
    } else if (block->sync_failed) {
        block->sync_failed = false;
        block->dirty_sequence = sequence;
    }
}

static void make_clean(struct sim_block *block)
{
    free(block->base);
    block->base = NULL;
    block->sync_failed = false;
    list_remove(&block->dirty_link);
}

static bool is_zero(const char *data, uint64_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Copies count bytes, which are within the size: of the medium, or as readers see them. */
static void copy_out(const struct sim_file *file, char *data, uint64_t count, uint64_t offset,
                     bool from_medium)
{
    uint64_t done = 0;

    while (done < count) {
        const struct sim_block *block = block_at(file, (offset + done) / SIM_BLOCK_SIZE);
        uint64_t from = (offset + done) % SIM_BLOCK_SIZE;
        uint64_t part = min_u64(count - done, SIM_BLOCK_SIZE - from);

        if (block == NULL)
            memset(data + done, 0, part);
        else if (from_medium && block->base != NULL)
            memcpy(data + done, block->base + from, part);
        else
            memcpy(data + done, block->data + from, part);
        done += part;
    }
}

uint64_t sim_file_read(const struct sim_file *file, char *data, uint64_t size, uint64_t offset)
{
    uint64_t count = offset >= file->size ? 0 : min_u64(size, file->size - offset);

    file_check(file);
    copy_out(file, data, count, offset, false);
    return count;
}

uint64_t sim_file_read_medium(const struct sim_file *file, char *data, uint64_t size,
                              uint64_t offset)
{
    uint64_t end = file->durable_size;
    uint64_t count = offset >= end ? 0 : min_u64(size, end - offset);

    file_check(file);
    copy_out(file, data, count, offset, true);
    return count;
}

static void write_block(struct sim_file *file, uint64_t offset, const char *data, uint64_t size,
                        uint64_t sequence, bool durable)
{
    uint64_t index = offset / SIM_BLOCK_SIZE;
    uint64_t from = offset % SIM_BLOCK_SIZE;
    struct sim_block *block = block_at(file, index);

    assert(size > 0);
    assert(from + size <= SIM_BLOCK_SIZE);
    if (block == NULL && is_zero(data, size))
        return;
    if (block == NULL)
        block = make_block(file, index);
    if (!durable)
        make_dirty(file, block, sequence);
    memcpy(block->data + from, data, size);
    if (durable && block->base != NULL) {
        memcpy(block->base + from, data, size);
        if (size == SIM_BLOCK_SIZE)
            make_clean(block);
    }
}

/* Puts the size on the medium; what was cut off before can no longer come back. */
static void commit_size(struct sim_file *file)
{
    uint64_t end = round_up_u64(file->size, SIM_BLOCK_SIZE) / SIM_BLOCK_SIZE;
    struct list_node *node = file->dirty.next;

    while (file->durable_size > file->size && node != &file->dirty) {
        struct sim_block *block = container_of(node, struct sim_block, dirty_link);

        node = node->next;
        if (block->index >= end)
            make_clean(block);
    }
    file->durable_size = file->size;
}

void sim_file_write(struct sim_file *file, const char *data, uint64_t size, uint64_t offset,
                    uint64_t sequence, bool durable)
{
    uint64_t done = 0;

    file_check(file);
    assert(file->directory_path == NULL);
    while (done < size) {
        uint64_t part = min_u64(size - done, SIM_BLOCK_SIZE - (offset + done) % SIM_BLOCK_SIZE);

        write_block(file, offset + done, data + done, part, sequence, durable);
        done += part;
    }
    file->size = max_u64(file->size, offset + size);
    if (durable)
        commit_size(file);
}

void sim_file_write_torn(struct sim_file *file, struct rng *rng, const char *data, uint64_t size,
                         uint64_t offset, uint64_t sequence)
{
    uint64_t done = 0;

    file_check(file);
    while (done < size) {
        uint64_t part = min_u64(size - done, SIM_BLOCK_SIZE - (offset + done) % SIM_BLOCK_SIZE);
        uint64_t choice = rng_below(rng, 3);

        if (choice == 1)
            sim_file_write(file, data + done, part, offset + done, sequence, false);
        for (uint64_t i = 0; choice == 2 && i < part; i += SIM_SECTOR_SIZE) {
            uint64_t sector = min_u64(SIM_SECTOR_SIZE, part - i);

            if (rng_chance(rng, 1, 2))
                sim_file_write(file, data + done + i, sector, offset + done + i, sequence, false);
        }
        done += part;
    }
}

void sim_file_truncate(struct sim_file *file, uint64_t size, uint64_t sequence)
{
    file_check(file);
    assert(file->directory_path == NULL);
    for (uint64_t i = size / SIM_BLOCK_SIZE; i < file->block_capacity; i++) {
        struct sim_block *block = file->blocks[i];
        uint64_t from = i == size / SIM_BLOCK_SIZE ? size % SIM_BLOCK_SIZE : 0;

        if (block == NULL)
            continue;
        make_dirty(file, block, sequence);
        memset(block->data + from, 0, SIM_BLOCK_SIZE - from);
    }
    file->size = size;
}

void sim_file_sync(struct sim_file *file, uint64_t sequence)
{
    struct list_node *node = file->dirty.next;

    file_check(file);
    while (node != &file->dirty) {
        struct sim_block *block = container_of(node, struct sim_block, dirty_link);

        node = node->next;
        if (!block->sync_failed && block->dirty_sequence <= sequence)
            make_clean(block);
    }
    commit_size(file);
}

void sim_file_sync_fail(struct sim_file *file, struct rng *rng)
{
    struct list_node *node = file->dirty.next;

    file_check(file);
    while (node != &file->dirty) {
        struct sim_block *block = container_of(node, struct sim_block, dirty_link);

        node = node->next;
        if (block->sync_failed)
            continue;
        if (rng_chance(rng, 1, 2))
            make_clean(block);
        else
            block->sync_failed = true;
    }
}

/* Each sector is old, new or, where these two differ, garbage: what was at rest is safe. */
static void tear(struct sim_block *block, const struct sim_crash *crash)
{
    assert(block->base != NULL);
    for (uint32_t from = 0; from < SIM_BLOCK_SIZE; from += SIM_SECTOR_SIZE) {
        if (memcmp(block->data + from, block->base + from, SIM_SECTOR_SIZE) == 0)
            continue;
        if (sim_fault_strikes(crash->garbage, crash->rng)) {
            rng_fill(crash->rng, block->data + from, SIM_SECTOR_SIZE);
            crash->stats->garbage_count++;
        } else if (rng_chance(crash->rng, 1, 2)) {
            memcpy(block->data + from, block->base + from, SIM_SECTOR_SIZE);
        }
    }
}

static void settle_block(struct sim_block *block, const struct sim_crash *crash,
                         enum sim_crash_mode mode)
{
    struct sim_crash_stats *stats = crash->stats;

    assert(block->base != NULL); /* only dirty blocks are settled */
    if (mode == SIM_CRASH_MIXED)
        mode = (enum sim_crash_mode)(SIM_CRASH_KEEP + rng_below(crash->rng, 3));
    if (block->sync_failed)
        mode = SIM_CRASH_DROP;

    switch (mode) {
    case SIM_CRASH_KEEP:
        stats->kept_count++;
        break;
    case SIM_CRASH_DROP:
        stats->dropped_count++;
        memcpy(block->data, block->base, SIM_BLOCK_SIZE);
        break;
    case SIM_CRASH_TEAR:
        stats->torn_count++;
        tear(block, crash);
        break;
    case SIM_CRASH_MIXED:
        assert(false);
        break;
    }
    make_clean(block);
}

/* The size that the medium holds after a crash: the old one, the new one, or one on the way up. */
static uint64_t settle_size(const struct sim_file *file, struct rng *rng, enum sim_crash_mode mode)
{
    uint64_t step;

    if (file->size == file->durable_size || mode == SIM_CRASH_KEEP)
        return file->size;
    if (mode == SIM_CRASH_DROP || rng_chance(rng, 1, 3))
        return file->durable_size;
    if (file->size < file->durable_size || rng_chance(rng, 1, 2))
        return file->size;
    step = (file->size - file->durable_size) / SIM_BLOCK_SIZE;
    return file->durable_size + rng_below(rng, step + 1) * SIM_BLOCK_SIZE;
}

void sim_file_crash(struct sim_file *file, const struct sim_crash *crash)
{
    uint64_t size = settle_size(file, crash->rng, crash->mode);

    file_check(file);
    if (size != file->size)
        crash->stats->size_lost_count++;
    while (!list_is_empty(&file->dirty)) {
        struct sim_block *block = container_of(file->dirty.next, struct sim_block, dirty_link);
        bool was_cut_off = (block->index + 1) * SIM_BLOCK_SIZE > file->size;

        /* If a cut is undone, so is what it did to the blocks behind it. */
        if (size > file->size && was_cut_off)
            settle_block(block, crash, SIM_CRASH_DROP);
        else
            settle_block(block, crash, crash->mode);
    }
    if (size < file->size) {
        sim_file_truncate(file, size, 0);
        sim_file_sync(file, UINT64_MAX);
    }
    file->size = size;
    file->durable_size = size;
}

static void copy_block(const struct sim_block *block, struct sim_file *copy)
{
    struct sim_block *other = make_block(copy, block->index);

    memcpy(other->data, block->data, SIM_BLOCK_SIZE);
    if (block->base == NULL)
        return;
    make_dirty(copy, other, block->dirty_sequence);
    memcpy(other->base, block->base, SIM_BLOCK_SIZE);
    other->sync_failed = block->sync_failed;
}

void sim_file_copy(const struct sim_file *file, struct sim_file *copy)
{
    struct list_node *node = file->dirty.next;

    file_check(file);
    assert(copy->block_capacity == 0);
    /* First the dirty ones in their order: a crash settles them in that order. */
    for (; node != &file->dirty; node = node->next)
        copy_block(container_of(node, struct sim_block, dirty_link), copy);
    for (uint64_t i = 0; i < file->block_capacity; i++) {
        if (file->blocks[i] != NULL && file->blocks[i]->base == NULL)
            copy_block(file->blocks[i], copy);
    }
    copy->size = file->size;
    copy->durable_size = file->durable_size;
}

void sim_file_extend(struct sim_file *file, uint64_t size, bool durable)
{
    file_check(file);
    assert(file->directory_path == NULL);
    file->size = max_u64(file->size, size);
    if (durable)
        commit_size(file);
}

/* Wrong bytes within one block. */
static void damage_block(struct sim_file *file, const char *data, uint64_t size, uint64_t offset,
                         bool seen)
{
    uint64_t from = offset % SIM_BLOCK_SIZE;
    struct sim_block *block = block_at(file, offset / SIM_BLOCK_SIZE);

    assert(size > 0);
    assert(from + size <= SIM_BLOCK_SIZE);
    if (block == NULL)
        block = make_block(file, offset / SIM_BLOCK_SIZE);
    if (seen) {
        memcpy(block->data + from, data, size);
    } else if (block->base == NULL) {
        /* Clean for every sync to come, and yet not the same. */
        make_dirty(file, block, 0);
        block->sync_failed = true;
    }
    if (block->base != NULL)
        memcpy(block->base + from, data, size);
}

void sim_file_damage(struct sim_file *file, const char *data, uint64_t size, uint64_t offset,
                     bool seen)
{
    uint64_t done = 0;

    file_check(file);
    assert(offset + size <= file->size);
    while (done < size) {
        uint64_t part = min_u64(size - done, SIM_BLOCK_SIZE - (offset + done) % SIM_BLOCK_SIZE);

        damage_block(file, data + done, part, offset + done, seen);
        done += part;
    }
}

void sim_file_forget(struct sim_file *file, uint64_t size, uint64_t offset)
{
    file_check(file);
    assert(size > 0);
    for (uint64_t i = offset / SIM_BLOCK_SIZE; i <= (offset + size - 1) / SIM_BLOCK_SIZE; i++) {
        struct sim_block *block = block_at(file, i);

        if (block != NULL && block->base != NULL)
            block->sync_failed = true;
    }
}

void sim_file_write_back_flipped(struct sim_file *file, uint64_t offset, uint8_t mask)
{
    uint64_t from = offset % SIM_BLOCK_SIZE;
    struct sim_block *block = block_at(file, offset / SIM_BLOCK_SIZE);

    file_check(file);
    assert(offset < file->size);
    assert(mask != 0);
    if (block == NULL)
        block = make_block(file, offset / SIM_BLOCK_SIZE);
    make_dirty(file, block, 0);
    block->sync_failed = true;
    memcpy(block->base, block->data, SIM_BLOCK_SIZE);
    block->base[from] = (char)(block->base[from] ^ (char)mask);
}

void sim_file_flip(struct sim_file *file, uint64_t offset, uint8_t mask)
{
    struct sim_block *block = block_at(file, offset / SIM_BLOCK_SIZE);
    uint64_t from = offset % SIM_BLOCK_SIZE;

    file_check(file);
    assert(offset < file->size);
    assert(mask != 0);
    if (block == NULL)
        block = make_block(file, offset / SIM_BLOCK_SIZE);
    block->data[from] = (char)(block->data[from] ^ (char)mask);
    if (block->base != NULL)
        block->base[from] = (char)(block->base[from] ^ (char)mask);
}

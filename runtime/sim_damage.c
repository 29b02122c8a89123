#include "runtime/sim_damage.h"

#include "runtime/sim_disk_private.h"

/*
 * Every kind ends in the same two things: bytes that are not what they should be,
 * and a note. The note names files by a search through all names, since damage is
 * rare and a file need not know what it is called.
 */
static const char *const kind_names[] = {
    [SIM_DAMAGE_WRITE_LOST] = "lost",       [SIM_DAMAGE_WRITE_MISDIRECTED] = "misdirected",
    [SIM_DAMAGE_WRITE_FLIPPED] = "flipped", [SIM_DAMAGE_SYNC_LIED] = "lied",
    [SIM_DAMAGE_READ_FLIPPED] = "misread",
};

/* A name of file; "" when it has none. Borrowed. */
static const char *name_of(const struct sim_disk *sd, const struct sim_file *file)
{
    for (uint32_t i = 0; i < sd->names.count; i++) {
        if (sd->names.entries[i].file == file)
            return sd->names.entries[i].path;
    }
    return "";
}

static struct sim_damage *note(struct sim_disk *sd, int fd, enum sim_damage_kind kind,
                               const struct sim_file *file)
{
    struct sim_damage *damage = &sd->damages[sd->damage_count++ % SIM_DAMAGE_COUNT_MAX];
    const char *path = name_of(sd, file);

    *damage = (struct sim_damage){.kind = kind};
    memcpy(damage->path, path, strlen(path) + 1);
    sim_host_trace(sd->host, kind_names[kind], fd, (int64_t)file->number, sd->damage_count);
    return damage;
}

static void put(struct sim_disk *sd, const struct sim_write *write, const char *data, bool durable)
{
    sim_file_write(write->file, data, write->size, write->offset, ++sd->write_sequence, durable);
}

/* The medium keeps what it had; a file that grew has zeroes there. */
static void lose(struct sim_disk *sd, const struct sim_write *write)
{
    if (write->direct) {
        sim_file_extend(write->file, write->offset + write->size, write->durable);
        return;
    }
    put(sd, write, write->data, false);
    sim_file_forget(write->file, write->size, write->offset);
}

/* A file that takes bytes which are not for it, the write's own one time in two; or NULL. */
static struct sim_file *choose_victim(struct sim_disk *sd, const struct sim_write *write)
{
    struct sim_file *chosen = NULL;
    uint64_t count = 0;

    if (write->file->size > 0 && sim_world_coin(sd->host->world))
        return write->file;
    for (struct list_node *node = sd->files.next; node != &sd->files; node = node->next) {
        struct sim_file *file = container_of(node, struct sim_file, link);

        if (file->directory_path != NULL || file->in_use_count == 0 || file->size == 0)
            continue;
        if (rng_below(&sd->host->world->rng, ++count) == 0)
            chosen = file;
    }
    return chosen;
}

/* Where in the victim: whole blocks away from where it belongs. UINT64_MAX for nowhere. */
static uint64_t choose_place(struct sim_disk *sd, const struct sim_write *write,
                             const struct sim_file *victim)
{
    uint64_t from = write->offset % SIM_BLOCK_SIZE;
    uint64_t block_count = sim_disk_space_of(victim->size) / SIM_BLOCK_SIZE;
    uint64_t block = rng_below(&sd->host->world->rng, block_count);

    if (victim == write->file && block == write->offset / SIM_BLOCK_SIZE)
        block = (block + 1) % block_count;
    if (victim == write->file && block == write->offset / SIM_BLOCK_SIZE)
        return UINT64_MAX;
    return block * SIM_BLOCK_SIZE + from < victim->size ? block * SIM_BLOCK_SIZE + from
                                                        : UINT64_MAX;
}

static void misdirect(struct sim_disk *sd, const struct sim_write *write, struct sim_damage *damage)
{
    struct sim_file *victim;
    const char *path;
    uint64_t place;

    lose(sd, write);
    victim = choose_victim(sd, write);
    if (victim == NULL)
        return;
    place = choose_place(sd, write, victim);
    if (place == UINT64_MAX)
        return;
    path = name_of(sd, victim);
    memcpy(damage->other_path, path, strlen(path) + 1);
    damage->other_offset = place;
    damage->other_size = min_u64(write->size, victim->size - place);
    sim_file_damage(victim, write->data, damage->other_size, place, write->direct);
    sim_host_trace(sd->host, "went to", write->fd, (int64_t)victim->number, place);
}

static void flip(struct sim_disk *sd, const struct sim_write *write, uint64_t at, uint8_t mask)
{
    char *copy;

    if (!write->direct) {
        put(sd, write, write->data, false);
        sim_file_write_back_flipped(write->file, write->offset + at, mask);
        return;
    }
    copy = sim_alloc(write->size);
    memcpy(copy, write->data, write->size);
    copy[at] = (char)(copy[at] ^ (char)mask);
    put(sd, write, copy, write->durable);
    free(copy);
}

void sim_damage_write(struct sim_disk *sd, const struct sim_write *write)
{
    struct sim_faults *faults = &sd->host->faults;
    struct rng *rng = &sd->host->world->rng;
    struct sim_damage *damage;

    assert(write->size > 0);
    assert(write->direct || !write->durable);
    if (sim_disk_strikes(sd, &faults->write_lost)) {
        damage = note(sd, write->fd, SIM_DAMAGE_WRITE_LOST, write->file);
        lose(sd, write);
    } else if (sim_disk_strikes(sd, &faults->write_misdirected)) {
        damage = note(sd, write->fd, SIM_DAMAGE_WRITE_MISDIRECTED, write->file);
        misdirect(sd, write, damage);
    } else if (sim_disk_strikes(sd, &faults->write_flipped)) {
        uint64_t at = rng_below(rng, write->size);

        damage = note(sd, write->fd, SIM_DAMAGE_WRITE_FLIPPED, write->file);
        flip(sd, write, at, (uint8_t)(1U << rng_below(rng, 8)));
        damage->offset = write->offset + at;
        damage->size = 1;
        return;
    } else if (write->durable && sim_disk_strikes(sd, &faults->sync_lies)) {
        damage = note(sd, write->fd, SIM_DAMAGE_SYNC_LIED, write->file);
        put(sd, write, write->data, false);
    } else {
        put(sd, write, write->data, write->durable);
        return;
    }
    damage->offset = write->offset;
    damage->size = write->size;
}

bool sim_damage_sync(struct sim_disk *sd, int fd, const struct sim_file *file)
{
    bool is_directory = file->directory_path != NULL;
    bool is_needed = is_directory
                         ? sd->change_count > 0
                         : !list_is_empty(&file->dirty) || file->size != file->durable_size;

    if (!is_needed || !sim_disk_strikes(sd, &sd->host->faults.sync_lies))
        return false;
    note(sd, fd, SIM_DAMAGE_SYNC_LIED, file);
    return true;
}

void sim_damage_read(struct sim_disk *sd, int fd, const struct sim_file *file, char *data,
                     uint64_t size, uint64_t offset)
{
    struct rng *rng = &sd->host->world->rng;
    struct sim_damage *damage;
    uint64_t at;

    if (size == 0 || !sim_disk_strikes(sd, &sd->host->faults.read_flipped))
        return;
    at = rng_below(rng, size);
    data[at] = (char)(data[at] ^ (char)(1U << rng_below(rng, 8)));
    damage = note(sd, fd, SIM_DAMAGE_READ_FLIPPED, file);
    damage->offset = offset + at;
    damage->size = 1;
}

#include "runtime/sim_disk_private.h"

/*
 * What checkers look at: the medium beneath a running server, and copies on which
 * recovery can be tried while the server goes on. Nothing here draws or traces, so a
 * run is the same with these looks and without.
 *
 * A copy keeps every order that chance depends on: of files, names, changes and
 * dirty blocks.
 */

const struct sim_damage *sim_disk_last_damage(const struct sim_disk *sd)
{
    sim_disk_check(sd);
    if (sd->damage_count == 0)
        return NULL;
    return &sd->damages[(sd->damage_count - 1) % SIM_DAMAGE_COUNT_MAX];
}

/* True when every directory above path (normal) would survive a crash. */
static bool is_reachable(const struct sim_disk *sd, const char *path)
{
    char above[SIM_PATH_SIZE_MAX];
    char *slash;

    memcpy(above, path, strlen(path) + 1);
    while ((slash = strrchr(above, '/')) != NULL && slash != above) {
        *slash = '\0';
        if (sim_names_find(&sd->durable_names, above) == NULL)
            return false;
    }
    return true;
}

int64_t sim_disk_read_medium(const struct sim_disk *sd, const char *path, char *data, uint64_t size,
                             uint64_t offset)
{
    char normal[SIM_PATH_SIZE_MAX];
    const struct sim_file *file;
    int r;

    sim_disk_check(sd);
    assert(size <= INT64_MAX);
    r = sim_path_normalise(path, normal);
    if (r < 0)
        return r;
    file = sim_names_find(&sd->durable_names, normal);
    if (file == NULL || !is_reachable(sd, normal))
        return -ENOENT;
    if (file->directory_path != NULL)
        return -EISDIR;
    return (int64_t)sim_file_read_medium(file, data, size, offset);
}

/* The file of copy that is the counterpart of file: both lists have the same order. */
static struct sim_file *counterpart(const struct sim_disk *sd, const struct sim_disk *copy,
                                    const struct sim_file *file)
{
    const struct list_node *here = sd->files.next;
    struct list_node *there = copy->files.next;

    while (here != &file->link) {
        assert(here != &sd->files);
        here = here->next;
        there = there->next;
    }
    return container_of(there, struct sim_file, link);
}

/* Copies of all files, each with one reference that is not a name's. */
static void copy_files(const struct sim_disk *sd, struct sim_disk *copy)
{
    for (const struct list_node *node = sd->files.next; node != &sd->files; node = node->next) {
        const struct sim_file *file = container_of(node, const struct sim_file, link);
        struct sim_file *other = sim_disk_make_file(copy, file->directory_path);

        other->number = file->number;
        sim_file_copy(file, other);
    }
}

static void copy_names(const struct sim_disk *sd, struct sim_disk *copy)
{
    for (uint32_t i = 0; i < sd->names.count; i++) {
        const struct sim_name *name = &sd->names.entries[i];

        sim_disk_link_name(copy, name->path, counterpart(sd, copy, name->file));
    }
    for (uint32_t i = 0; i < sd->durable_names.count; i++) {
        const struct sim_name *name = &sd->durable_names.entries[i];

        sim_names_set(&copy->durable_names, name->path, counterpart(sd, copy, name->file));
    }
}

static void copy_changes(const struct sim_disk *sd, struct sim_disk *copy)
{
    if (sd->change_count == 0)
        return;
    copy->changes = realloc(copy->changes, sd->change_count * sizeof(struct sim_change));
    assert(copy->changes != NULL);
    copy->change_capacity = sd->change_count;
    copy->change_count = sd->change_count;
    for (uint32_t i = 0; i < sd->change_count; i++) {
        copy->changes[i] = sd->changes[i];
        if (sd->changes[i].file != NULL)
            copy->changes[i].file = sim_file_ref(counterpart(sd, copy, sd->changes[i].file));
    }
}

/* Lets go of the references of copy_files(): a file that only a descriptor held goes away. */
static void release_files(struct sim_disk *copy)
{
    struct list_node *node = copy->files.next;

    while (node != &copy->files) {
        struct sim_file *file = container_of(node, struct sim_file, link);

        node = node->next;
        sim_file_unref(&file);
    }
}

static void empty(struct sim_disk *sd)
{
    assert(sd->host->fd_count == 0);
    assert(sd->names.count == 1); /* the root */
    sim_disk_drop_changes(sd);
    sim_names_clear(&sd->names);
    sim_names_clear(&sd->durable_names);
    assert(list_is_empty(&sd->files));
    sd->used = 0;
}

void sim_disk_clone(const struct sim_disk *sd, struct sim_host *host)
{
    struct sim_disk *copy = host->disk;

    sim_disk_check(sd);
    assert(copy != sd);
    empty(copy);
    copy_files(sd, copy);
    copy_names(sd, copy);
    copy_changes(sd, copy);
    release_files(copy);
    copy->file_count = sd->file_count;
    copy->write_sequence = sd->write_sequence;
    copy->capacity = sd->capacity;
    copy->damage_count = sd->damage_count;
    memcpy(copy->damages, sd->damages, sizeof(copy->damages));
}

void sim_disk_clone_medium(const struct sim_disk *sd, struct sim_host *host)
{
    sim_disk_clone(sd, host);
    sim_disk_drop_unsynced(host->disk);
}

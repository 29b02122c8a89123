#include "runtime/sim_disk_private.h"

#include <fcntl.h>

/*
 * Two maps of names stand beside each other: the one that calls see and the one
 * on the medium. Each change of the first is remembered in order until the sync
 * of its directory applies it to the second. A crash applies some of the rest:
 * in half of the crashes a prefix, as a journalling file system would, else each
 * change by itself, which POSIX allows. Changes name files, not paths, so any
 * subset of them makes sense; a name whose directory was lost goes with it.
 */
enum { CHANGE_CAPACITY_MIN = 16 };

#define DEFAULT_CAPACITY ((uint64_t)1 << 40)

static void use(struct sim_disk *sd, struct sim_file *file)
{
    if (file->in_use_count++ == 0)
        sd->used += sim_disk_space_of(file->size);
}

static void unuse(struct sim_disk *sd, struct sim_file *file)
{
    assert(file->in_use_count > 0);
    if (--file->in_use_count > 0)
        return;
    assert(sd->used >= sim_disk_space_of(file->size));
    sd->used -= sim_disk_space_of(file->size);
}

void sim_disk_link_name(struct sim_disk *sd, const char *path, struct sim_file *file)
{
    struct sim_file *old = sim_names_find(&sd->names, path);

    if (old != NULL)
        unuse(sd, old);
    sim_names_set(&sd->names, path, file);
    use(sd, file);
}

static void unlink_name(struct sim_disk *sd, const char *path)
{
    struct sim_file *old = sim_names_find(&sd->names, path);

    assert(old != NULL);
    unuse(sd, old);
    sim_names_remove(&sd->names, path);
}

/* Remembers that path no longer means removed and that new_path means file; each may be NULL. */
static void add_change(struct sim_disk *sd, const char *path, const struct sim_file *removed,
                       const char *new_path, struct sim_file *file)
{
    struct sim_change *change;

    assert(removed != NULL || file != NULL);
    assert(sd->change_count < SIM_CHANGE_COUNT_MAX);
    if (sd->change_count == sd->change_capacity) {
        uint32_t capacity =
            sd->change_capacity == 0 ? CHANGE_CAPACITY_MIN : sd->change_capacity * 2;

        sd->changes = realloc(sd->changes, capacity * sizeof(struct sim_change));
        assert(sd->changes != NULL);
        sd->change_capacity = capacity;
    }
    change = &sd->changes[sd->change_count++];
    *change = (struct sim_change){.file = NULL};
    if (removed != NULL) {
        change->removed_number = removed->number;
        memcpy(change->path, path, strlen(path) + 1);
    }
    if (file != NULL) {
        change->file = sim_file_ref(file);
        memcpy(change->new_path, new_path, strlen(new_path) + 1);
    }
}

static void apply_change(struct sim_disk *sd, const struct sim_change *change)
{
    const struct sim_file *old = sim_names_find(&sd->durable_names, change->path);

    /* A later change of the same path may have come first, with another directory's sync. */
    if (change->removed_number != 0 && old != NULL && old->number == change->removed_number)
        sim_names_remove(&sd->durable_names, change->path);
    if (change->file != NULL)
        sim_names_set(&sd->durable_names, change->new_path, change->file);
}

static bool is_directory(const struct sim_disk *sd, const char *path)
{
    const struct sim_file *file = sim_names_find(&sd->names, path);

    return path[0] == '\0' || (file != NULL && file->directory_path != NULL);
}

/* Normal path, and 0 if its parent is there. */
static int resolve(const struct sim_disk *sd, const char *path, char ret_normal[SIM_PATH_SIZE_MAX])
{
    char parent[SIM_PATH_SIZE_MAX];
    int r;

    r = sim_path_normalise(path, ret_normal);
    if (r < 0)
        return r;
    sim_path_parent(ret_normal, parent);
    return is_directory(sd, parent) ? 0 : -ENOENT;
}

struct sim_file *sim_disk_make_file(struct sim_disk *sd, const char *directory_path)
{
    struct sim_file *file = sim_file_new(++sd->file_count, directory_path);

    list_push_back(&sd->files, &file->link);
    return file;
}

struct sim_disk *sim_disk_new(struct sim_host *host)
{
    struct sim_disk *sd = sim_alloc(sizeof(*sd));
    struct sim_file *root;

    sd->disk.vtable = &sim_disk_vtable;
    sd->host = host;
    sd->capacity = DEFAULT_CAPACITY;
    list_init(&sd->files);
    sim_names_init(&sd->names);
    sim_names_init(&sd->durable_names);
    root = sim_disk_make_file(sd, "");
    sim_names_set(&sd->durable_names, "", root);
    sim_disk_link_name(sd, "", root);
    sim_file_unref(&root);
    return sd;
}

void sim_disk_drop_changes(struct sim_disk *sd)
{
    for (uint32_t i = 0; i < sd->change_count; i++)
        sim_file_unref(&sd->changes[i].file);
    sd->change_count = 0;
}

void sim_disk_free(struct sim_disk **sd)
{
    if (*sd == NULL)
        return;
    sim_disk_check(*sd);
    sim_disk_drop_changes(*sd);
    /* Nobody uses a file any more, however many names a lying sync has left it. */
    for (struct list_node *node = (*sd)->files.next; node != &(*sd)->files; node = node->next)
        container_of(node, struct sim_file, link)->in_use_count = 0;
    sim_names_clear(&(*sd)->names);
    sim_names_clear(&(*sd)->durable_names);
    assert(list_is_empty(&(*sd)->files));
    free((*sd)->changes);
    free((*sd)->mapped);
    free(*sd);
    *sd = NULL;
}

void sim_disk_set_capacity(struct sim_disk *sd, uint64_t capacity)
{
    sim_disk_check(sd);
    sd->capacity = capacity;
}

int sim_disk_flip(struct sim_disk *sd, const char *path, uint64_t offset, uint8_t mask)
{
    char normal[SIM_PATH_SIZE_MAX];
    struct sim_file *file;
    int r;

    sim_disk_check(sd);
    r = resolve(sd, path, normal);
    if (r < 0)
        return r;
    file = sim_names_find(&sd->names, normal);
    if (file == NULL || file->directory_path != NULL)
        return -ENOENT;
    if (offset >= file->size)
        return -EINVAL;
    sim_file_flip(file, offset, mask);
    return 0;
}

uint64_t sim_disk_hash(const struct sim_disk *sd)
{
    char data[SIM_BLOCK_SIZE];
    uint64_t sum = 0;

    /* A sum over the names, so that the order in which they were made does not count. */
    for (uint32_t i = 0; i < sd->names.count; i++) {
        const struct sim_name *name = &sd->names.entries[i];
        uint64_t words[3] = {sim_hash(name->path, strlen(name->path)), name->file->size, 0};

        for (uint64_t offset = 0; offset < name->file->size; offset += sizeof(data)) {
            uint64_t size = sim_file_read(name->file, data, sizeof(data), offset);

            words[2] = (words[2] << 1 | words[2] >> 63) ^ sim_hash(data, size);
        }
        sum += sim_hash(words, sizeof(words));
    }
    return sum;
}

static void settle_names(struct sim_disk *sd)
{
    struct rng *rng = &sd->host->world->rng;
    bool in_order = rng_chance(rng, 1, 2);
    uint64_t prefix = rng_below(rng, (uint64_t)sd->change_count + 1);

    for (uint32_t i = 0; i < sd->change_count; i++) {
        bool kept = in_order ? i < prefix : rng_chance(rng, 1, 2);

        if (kept) {
            sd->stats.name_kept_count++;
            apply_change(sd, &sd->changes[i]);
        } else {
            sd->stats.name_lost_count++;
        }
    }
    sim_disk_drop_changes(sd);
}

/* Forgets durable names whose directory did not survive. Depth needs repetition. */
static void drop_orphans(struct sim_disk *sd)
{
    struct sim_names *names = &sd->durable_names;
    bool found = true;

    assert(sim_names_find(names, "") != NULL);
    while (found) {
        found = false;
        for (uint32_t i = 0; i < names->count; i++) {
            char parent[SIM_PATH_SIZE_MAX];

            sim_path_parent(names->entries[i].path, parent);
            if (sim_names_find(names, parent) != NULL)
                continue;
            sim_names_remove(names, names->entries[i].path);
            found = true;
            break;
        }
    }
}

static void settle_files(struct sim_disk *sd, const struct sim_crash *crash)
{
    drop_orphans(sd);
    sim_names_clear(&sd->names);
    sd->used = 0;
    for (struct list_node *node = sd->files.next; node != &sd->files; node = node->next) {
        struct sim_file *file = container_of(node, struct sim_file, link);

        file->in_use_count = 0;
        sim_file_crash(file, crash);
    }
    for (uint32_t i = 0; i < sd->durable_names.count; i++) {
        const struct sim_name *name = &sd->durable_names.entries[i];

        sim_disk_link_name(sd, name->path, name->file);
    }
}

void sim_disk_crash(struct sim_disk *sd)
{
    struct rng *rng = &sd->host->world->rng;
    struct sim_crash crash = {.mode = SIM_CRASH_MIXED,
                              .garbage = &sd->host->faults.crash_garbage,
                              .rng = rng,
                              .stats = &sd->stats};

    sim_disk_check(sd);
    if (++sd->crash_count % 2 == 0 && sd->mapped != NULL)
        memset(sd->mapped, 0, sd->mapped_size);
    if (rng_chance(rng, 1, 5))
        crash.mode = (enum sim_crash_mode)(SIM_CRASH_KEEP + rng_below(rng, 3));
    settle_names(sd);
    settle_files(sd, &crash);
    sim_host_trace(sd->host, "settled", -1, (int64_t)sd->used, sim_disk_hash(sd));
}

void sim_disk_drop_unsynced(struct sim_disk *sd)
{
    struct sim_fault never = {.chance_ppm = 0};
    struct sim_crash_stats stats = sd->stats;
    struct sim_crash crash = {
        .mode = SIM_CRASH_DROP, .garbage = &never, .rng = &sd->host->world->rng, .stats = &stats};

    sim_disk_check(sd);
    sim_disk_drop_changes(sd);
    settle_files(sd, &crash);
}

/* Makes a file that its name holds. */
static struct sim_file *create(struct sim_disk *sd, const char *path, const char *directory_path)
{
    struct sim_file *file = sim_disk_make_file(sd, directory_path);
    struct sim_file *borrowed = file;

    assert(sim_names_find(&sd->names, path) == NULL);
    sim_disk_link_name(sd, path, file);
    add_change(sd, NULL, NULL, path, file);
    sim_file_unref(&file);
    return borrowed;
}

/* What open(2) says about path, short of making it. */
static int check_open(const struct sim_disk *sd, const struct sim_file *file, int flags)
{
    bool wants_write = (flags & O_ACCMODE) != O_RDONLY;

    if ((flags & O_DIRECT) != 0 && sd->host->faults.direct_refused)
        return -EINVAL;
    if (file == NULL)
        return (flags & O_CREAT) != 0 ? 0 : -ENOENT;
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
        return -EEXIST;
    if (file->directory_path != NULL)
        return wants_write ? -EISDIR : 0;
    return (flags & O_DIRECTORY) != 0 ? -ENOTDIR : 0;
}

int sim_disk_open(struct sim_disk *sd, const char *path, int flags)
{
    char normal[SIM_PATH_SIZE_MAX];
    enum fate fate = sim_disk_begin(sd);
    struct sim_file *file;
    int fd;
    int r;

    if (!fate_has_effect(fate) || sim_disk_strikes(sd, &sd->host->faults.name_error))
        return -EIO;
    r = resolve(sd, path, normal);
    if (r < 0)
        return r;
    file = sim_names_find(&sd->names, normal);
    r = check_open(sd, file, flags);
    if (r < 0)
        return r;
    fd = sim_host_fd_add(sd->host, SIM_FD_FILE);
    if (fd < 0)
        return fd;
    if (file == NULL)
        file = create(sd, normal, NULL);
    if ((flags & O_TRUNC) != 0 && file->directory_path == NULL && file->size > 0)
        sim_disk_resize(sd, file, 0);

    sd->host->fds[fd].file = sim_file_ref(file);
    use(sd, file);
    sd->host->fds[fd].open_flags = flags;
    if (fate == FATE_GO_ON)
        return fd;
    sim_host_fd_close(sd->host, fd);
    return -EIO;
}

void sim_disk_let_go(struct sim_disk *sd, int fd, struct sim_file **file)
{
    sim_disk_check(sd);
    assert((*file)->in_use_count > 0);
    if ((*file)->lock_fd == fd)
        (*file)->lock_fd = -1;
    unuse(sd, *file);
    sim_file_unref(file);
}

int sim_disk_rename(struct sim_disk *sd, const char *path, const char *new_path)
{
    char from[SIM_PATH_SIZE_MAX];
    char to[SIM_PATH_SIZE_MAX];
    enum fate fate = sim_disk_begin(sd);
    struct sim_file *file;
    int r;

    if (!fate_has_effect(fate) || sim_disk_strikes(sd, &sd->host->faults.name_error))
        return -EIO;
    r = resolve(sd, path, from);
    if (r < 0)
        return r;
    r = resolve(sd, new_path, to);
    if (r < 0)
        return r;
    file = sim_names_find(&sd->names, from);
    if (file == NULL)
        return -ENOENT;
    if (file->directory_path != NULL)
        return -EBUSY;
    if (is_directory(sd, to))
        return -EISDIR;
    if (strcmp(from, to) != 0) {
        sim_disk_link_name(sd, to, file);
        unlink_name(sd, from);
        add_change(sd, from, file, to, file);
    }
    return fate == FATE_GO_ON ? 0 : -EIO;
}

int sim_disk_unlink(struct sim_disk *sd, const char *path)
{
    char normal[SIM_PATH_SIZE_MAX];
    enum fate fate = sim_disk_begin(sd);
    struct sim_file *file;
    int r;

    if (!fate_has_effect(fate) || sim_disk_strikes(sd, &sd->host->faults.name_error))
        return -EIO;
    r = resolve(sd, path, normal);
    if (r < 0)
        return r;
    if (is_directory(sd, normal))
        return -EISDIR;
    file = sim_names_find(&sd->names, normal);
    if (file == NULL)
        return -ENOENT;
    add_change(sd, normal, file, NULL, NULL);
    unlink_name(sd, normal);
    return fate == FATE_GO_ON ? 0 : -EIO;
}

void sim_disk_sync_names(struct sim_disk *sd, const char *directory)
{
    uint32_t left_count = 0;

    for (uint32_t i = 0; i < sd->change_count; i++) {
        struct sim_change *change = &sd->changes[i];
        char parent[SIM_PATH_SIZE_MAX];

        sim_path_parent(change->file != NULL ? change->new_path : change->path, parent);
        if (strcmp(parent, directory) != 0) {
            sd->changes[left_count++] = *change;
            continue;
        }
        apply_change(sd, change);
        sim_file_unref(&change->file);
    }
    sd->change_count = left_count;
}

int sim_disk_sync_directory(struct sim_disk *sd, const char *path)
{
    char normal[SIM_PATH_SIZE_MAX];
    enum fate fate = sim_disk_begin(sd);
    int r;

    if (!fate_has_effect(fate) || sim_disk_strikes(sd, &sd->host->faults.sync_error))
        return -EIO;
    r = sim_path_normalise(path, normal);
    if (r < 0)
        return r;
    if (!is_directory(sd, normal))
        return sim_names_find(&sd->names, normal) == NULL ? -ENOENT : -ENOTDIR;
    if (fate == FATE_GO_ON && sim_damage_sync(sd, -1, sim_names_find(&sd->names, normal)))
        return 0;
    sim_disk_sync_names(sd, normal);
    return fate == FATE_GO_ON ? 0 : -EIO;
}

int sim_disk_make_directory(struct sim_disk *sd, const char *path)
{
    char normal[SIM_PATH_SIZE_MAX];
    enum fate fate = sim_disk_begin(sd);
    int r;

    if (!fate_has_effect(fate) || sim_disk_strikes(sd, &sd->host->faults.name_error))
        return -EIO;
    r = resolve(sd, path, normal);
    if (r < 0)
        return r;
    if (sim_names_find(&sd->names, normal) != NULL)
        return -EEXIST;
    create(sd, normal, normal);
    return fate == FATE_GO_ON ? 0 : -EIO;
}

/* Copies the names in directory, in drawn order, so that the visitor may change them. */
static char (*copy_names(const struct sim_disk *sd, const char *directory,
                         uint32_t *ret_count))[SIM_PATH_SIZE_MAX]
{
    char(*copies)[SIM_PATH_SIZE_MAX] = sim_alloc((size_t)sd->names.count * SIM_PATH_SIZE_MAX);
    uint32_t count = 0;

    for (uint32_t i = 0; i < sd->names.count; i++) {
        const char *path = sd->names.entries[i].path;
        char parent[SIM_PATH_SIZE_MAX];
        uint64_t other;

        sim_path_parent(path, parent);
        if (path[0] == '\0' || strcmp(parent, directory) != 0)
            continue;
        other = rng_below(&sd->host->world->rng, (uint64_t)count + 1);
        memcpy(copies[count++], copies[other], SIM_PATH_SIZE_MAX);
        memcpy(copies[other], path, SIM_PATH_SIZE_MAX);
    }
    *ret_count = count;
    return copies;
}

int sim_disk_list(struct sim_disk *sd, const char *path, struct disk_visitor *visitor)
{
    char normal[SIM_PATH_SIZE_MAX];
    char(*copies)[SIM_PATH_SIZE_MAX];
    uint32_t count;
    int r;

    if (sim_disk_begin(sd) != FATE_GO_ON || sim_disk_strikes(sd, &sd->host->faults.name_error))
        return -EIO;
    r = sim_path_normalise(path, normal);
    if (r < 0)
        return r;
    if (!is_directory(sd, normal))
        return sim_names_find(&sd->names, normal) == NULL ? -ENOENT : -ENOTDIR;

    copies = copy_names(sd, normal, &count);
    for (uint32_t i = 0; i < count && r >= 0; i++)
        r = visitor->visit(visitor, sim_path_base(copies[i]));
    free(copies);
    return r < 0 ? r : 0;
}

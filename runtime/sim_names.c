#include "runtime/sim_names.h"

#include <errno.h>

#include "runtime/sim_trace.h"

/*
 * A flat table searched by hash: a simulated disk has some hundred names at most
 * and is asked about them seldom. The order of the entries depends only on the
 * order of the calls, so whoever walks the table does so repeatably.
 */
enum { CAPACITY_MIN = 16 };

static void names_check(const struct sim_names *names)
{
    assert(names->count <= names->capacity);
    assert(names->capacity <= SIM_NAME_COUNT_MAX);
}

void sim_names_init(struct sim_names *names)
{
    *names = (struct sim_names){.count = 0};
}

void sim_names_clear(struct sim_names *names)
{
    names_check(names);
    for (uint32_t i = 0; i < names->count; i++)
        sim_file_unref(&names->entries[i].file);
    free(names->entries);
    sim_names_init(names);
}

static struct sim_name *find(const struct sim_names *names, const char *path)
{
    uint64_t hash = sim_hash(path, strlen(path));

    names_check(names);
    for (uint32_t i = 0; i < names->count; i++) {
        if (names->entries[i].hash == hash && strcmp(names->entries[i].path, path) == 0)
            return &names->entries[i];
    }
    return NULL;
}

struct sim_file *sim_names_find(const struct sim_names *names, const char *path)
{
    const struct sim_name *name = find(names, path);

    return name == NULL ? NULL : name->file;
}

void sim_names_set(struct sim_names *names, const char *path, struct sim_file *file)
{
    struct sim_name *name = find(names, path);
    size_t size = strlen(path) + 1;

    assert(size <= SIM_PATH_SIZE_MAX);
    sim_file_ref(file);
    if (name != NULL) {
        sim_file_unref(&name->file);
        name->file = file;
        return;
    }
    if (names->count == names->capacity) {
        uint32_t capacity = names->capacity == 0 ? CAPACITY_MIN : names->capacity * 2;

        names->entries = realloc(names->entries, capacity * sizeof(struct sim_name));
        assert(names->entries != NULL);
        names->capacity = capacity;
    }
    name = &names->entries[names->count++];
    name->hash = sim_hash(path, size - 1);
    name->file = file;
    memcpy(name->path, path, size);
}

void sim_names_remove(struct sim_names *names, const char *path)
{
    struct sim_name *name = find(names, path);

    if (name == NULL)
        return;
    sim_file_unref(&name->file);
    names->count--;
    *name = names->entries[names->count];
}

/* Adds one component to what is there, or takes one away for "..". */
static int append(char *normal, size_t *size, const char *part, size_t part_size)
{
    if (part_size == 0 || (part_size == 1 && part[0] == '.'))
        return 0;
    if (part_size == 2 && part[0] == '.' && part[1] == '.') {
        while (*size > 0 && normal[*size - 1] != '/')
            (*size)--;
        *size -= *size > 0;
        return 0;
    }
    if (*size + part_size + 2 > SIM_PATH_SIZE_MAX)
        return -ENAMETOOLONG;
    if (*size > 0)
        normal[(*size)++] = '/';
    memcpy(normal + *size, part, part_size);
    *size += part_size;
    return 0;
}

int sim_path_normalise(const char *path, char ret_normal[SIM_PATH_SIZE_MAX])
{
    char normal[SIM_PATH_SIZE_MAX];
    size_t size = 0;

    assert(path != NULL);
    if (path[0] == '\0')
        return -ENOENT;
    while (*path != '\0') {
        size_t part_size = strcspn(path, "/");
        int r = append(normal, &size, path, part_size);

        if (r < 0)
            return r;
        path += part_size;
        path += *path == '/';
    }
    normal[size] = '\0';
    memcpy(ret_normal, normal, size + 1);
    return 0;
}

void sim_path_parent(const char *path, char ret_parent[SIM_PATH_SIZE_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);

    assert(size < SIM_PATH_SIZE_MAX);
    memcpy(ret_parent, path, size);
    ret_parent[size] = '\0';
}

const char *sim_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    assert(path != NULL);
    return slash == NULL ? path : slash + 1;
}

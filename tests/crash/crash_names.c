#include "tests/crash/crash_names.h"

#include <assert.h>
#include <string.h>

static struct crash_name *find(const struct crash_names *names, const char *path)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (strcmp(names->entries[i].path, path) == 0)
            return (struct crash_name *)(uintptr_t)&names->entries[i];
    return NULL;
}

uint32_t crash_names_find(const struct crash_names *names, const char *path)
{
    const struct crash_name *name = find(names, path);

    return name == NULL ? CRASH_FILE_NONE : name->file;
}

void crash_names_set(struct crash_names *names, const char *path, uint32_t file)
{
    struct crash_name *name = find(names, path);

    assert(path[0] == '/');
    assert(strlen(path) < CRASH_PATH_SIZE_MAX);
    if (name == NULL) {
        assert(names->count < CRASH_NAME_COUNT_MAX);
        name = &names->entries[names->count++];
        memset(name->path, 0, sizeof(name->path));
        memcpy(name->path, path, strlen(path));
    }
    name->file = file;
}

void crash_names_remove(struct crash_names *names, const char *path)
{
    struct crash_name *name = find(names, path);

    if (name != NULL)
        *name = names->entries[--names->count];
}

void crash_names_parent(const char *path, char ret_parent[CRASH_PATH_SIZE_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t size;

    assert(slash != NULL);
    assert(strlen(path) < CRASH_PATH_SIZE_MAX);
    size = slash == path ? 1 : (size_t)(slash - path);
    memmove(ret_parent, path, size);
    ret_parent[size] = '\0';
}

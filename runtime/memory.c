#include "runtime/memory.h"

#include <errno.h>
#include <sys/mman.h>

#include "runtime/sim_point.h"

int memory_map(size_t size, char **ret_memory)
{
    void *memory;

    assert(size > 0);
    if (FAILPOINT("no memory can be mapped"))
        return -ENOMEM;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    *ret_memory = memory;
    return 0;
}

int memory_grow(char **memory, size_t size, size_t new_size)
{
    void *grown;

    assert(*memory != NULL);
    assert(new_size >= size);
    if (FAILPOINT("no memory can be mapped for what has grown"))
        return -ENOMEM;
    memory_unpoison(*memory, size);
    grown = mremap(*memory, size, new_size, MREMAP_MAYMOVE);
    if (grown == MAP_FAILED)
        return -ENOMEM;
    *memory = grown;
    return 0;
}

void memory_unmap(char **memory, size_t size)
{
    int r;

    if (*memory == NULL)
        return;
    /* The next mapping at this address must not inherit the poison. */
    memory_unpoison(*memory, size);
    r = munmap(*memory, size);
    assert(r == 0);
    *memory = NULL;
}

int memory_map_objects(size_t size, void *ret_memory)
{
    char *memory = NULL;
    int r = memory_map(size, &memory);

    if (r == 0)
        memcpy(ret_memory, &memory, sizeof(memory));
    return r;
}

void memory_unmap_objects(void *memory, size_t size)
{
    char *bytes = memory;

    memory_unmap(&bytes, size);
}

void memory_drop_pages(char *memory, size_t size)
{
    int r;

    assert((uintptr_t)memory % MEMORY_PAGE_SIZE == 0);
    assert(size > 0);
    r = madvise(memory, size, MADV_DONTNEED);
    assert(r == 0);
}

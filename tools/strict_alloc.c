#include "tools/strict_alloc.h"

#include <errno.h>
#include <malloc.h>
#include <unistd.h>

#include "actors/message_types.h"
#include "runtime/memory.h"
#include "runtime/shard.h"

/*
 * The allocator's entry points are defined here, so the linker prefers them for the
 * whole process, libraries included; each passes on to glibc's own name for it.
 * free() needs no hook: what is freed was allocated. Nothing here may allocate.
 */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STRICT_ALLOC_OFF 1
#endif
#endif
#if MEMORY_ASAN || defined(__SANITIZE_THREAD__) || defined(STRICT_ALLOC_OFF)

bool strict_alloc_arm(void)
{
    return false;
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool armed; /* written before the threads start */

bool strict_alloc_arm(void)
{
    armed = true;
    return true;
}

static void check(size_t size)
{
    uint16_t message_type;
    char line[160];
    int line_size;

    if (likely(!armed) || !shard_is_running(&message_type) || message_type == MSG_KEEPER_RECOVERED)
        return;
    armed = false; /* what follows may allocate */
    line_size = snprintf(line, sizeof(line),
                         "weir: allocation of %zu bytes on a running shard, message type %u\n",
                         size, message_type);
    if (line_size <= 0 || write(STDERR_FILENO, line, (size_t)line_size) != line_size)
        abort(); /* untold */
    abort();
}

void *malloc(size_t size)
{
    check(size);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    check(count * size);
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    check(size);
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
    check(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    check(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    void *memory;

    check(size);
    memory = __libc_memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *ret_memory = memory;
    return 0;
}

#endif

#include "runtime/fd_guard.h"

#include <sys/resource.h>

#include "runtime/memory.h"

enum { FD_COUNT_MAX = 1 << 22 }; /* descriptors beyond are not guarded */

static bool is_guarded(const struct fd_guard *guard, int fd)
{
    return fd >= 0 && (uint32_t)fd < guard->fd_count && !guard->blind;
}

int fd_guard_init(struct fd_guard *guard)
{
    struct rlimit limit = {.rlim_max = FD_COUNT_MAX};
    char *memory = NULL;
    int r;

    r = getrlimit(RLIMIT_NOFILE, &limit);
    assert(r == 0);
    *guard = (struct fd_guard){.fd_count = (uint32_t)min_u64(limit.rlim_max, FD_COUNT_MAX)};
    r = memory_map(guard->fd_count * sizeof(uint16_t), &memory);
    if (r < 0)
        return r;
    guard->op_counts = (uint16_t *)(void *)memory;
    return 0;
}

void fd_guard_deinit(struct fd_guard *guard)
{
    char *memory = (char *)guard->op_counts;

    memory_unmap(&memory, guard->fd_count * sizeof(uint16_t));
    guard->op_counts = NULL;
}

void fd_guard_enter(struct fd_guard *guard, int fd)
{
    if (!is_guarded(guard, fd))
        return;
    assert(guard->op_counts[fd] < UINT16_MAX);
    guard->op_counts[fd]++;
}

void fd_guard_leave(struct fd_guard *guard, int fd)
{
    if (!is_guarded(guard, fd))
        return;
    assert(guard->op_counts[fd] > 0);
    guard->op_counts[fd]--;
}

void fd_guard_check(const struct fd_guard *guard, int fd)
{
    assert(!is_guarded(guard, fd) || guard->op_counts[fd] == 0);
}

void fd_guard_blind(struct fd_guard *guard)
{
    guard->blind = true;
}

#include "runtime/io_uring_setup.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include "runtime/capability.h"
#include "runtime/memory.h"
#include "runtime/recv_ring.h"

/*
 * What one ring is asked to be, and what it costs. A kernel charges the memory of
 * a ring to the user's locked memory unless CAP_IPC_LOCK exempts him; measured on
 * 6.18, which charges exactly the three mappings summed below. The receive buffers
 * are ordinary memory and not charged.
 */
enum { IO_RINGS_HEADER_SIZE_MAX = 320 }; /* the kernel's struct io_rings before the entries */

static uint32_t value_or(uint32_t value, uint32_t default_value)
{
    return value != 0 ? value : default_value;
}

struct io_uring_config io_uring_sizes(const struct io_uring_config *config)
{
    struct io_uring_config result = {
        .entries = value_or(config->entries, IO_URING_ENTRIES_DEFAULT),
        .cq_entries = value_or(config->cq_entries, IO_URING_CQ_ENTRIES_DEFAULT),
        .recv_buffer_count =
            value_or(config->recv_buffer_count, IO_URING_RECV_BUFFER_COUNT_DEFAULT),
        .recv_buffer_size = value_or(config->recv_buffer_size, IO_URING_RECV_BUFFER_SIZE_DEFAULT),
    };

    assert(is_power_of_two(result.entries));
    assert(is_power_of_two(result.cq_entries));
    assert(result.entries <= IO_URING_ENTRIES_MAX);
    assert(result.cq_entries <= IO_URING_CQ_ENTRIES_MAX);
    assert(result.entries <= result.cq_entries);
    return result;
}

void io_uring_params_fill(const struct io_uring_config *config, struct io_uring_params *ret_params)
{
    *ret_params = (struct io_uring_params){
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP,
        .cq_entries = io_uring_sizes(config).cq_entries,
    };
}

int io_uring_setup_ring(const struct io_uring_config *config, struct io_uring *ret_ring)
{
    struct io_uring_params params;

    io_uring_params_fill(config, &params);
    return io_uring_queue_init_params(io_uring_sizes(config).entries, ret_ring, &params);
}

uint64_t io_uring_memlock_need(const struct io_uring_config *config)
{
    struct io_uring_config sizes = io_uring_sizes(config);
    uint64_t rings = IO_RINGS_HEADER_SIZE_MAX +
                     (uint64_t)sizes.cq_entries * sizeof(struct io_uring_cqe) +
                     (uint64_t)sizes.entries * sizeof(uint32_t);
    uint64_t submissions = (uint64_t)sizes.entries * sizeof(struct io_uring_sqe);

    /* Three mappings, each in whole pages; the receive buffers themselves are not locked. */
    return round_up_u64(rings, MEMORY_PAGE_SIZE) + round_up_u64(submissions, MEMORY_PAGE_SIZE) +
           recv_ring_locked_size(sizes.recv_buffer_count);
}

uint64_t io_uring_memlock_limit(void)
{
    struct rlimit limit;

    if (capability_is_effective(CAP_IPC_LOCK) || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return UINT64_MAX;
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

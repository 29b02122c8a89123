/*
 * Io probe: can this process use io_uring, and if not, why, and what helps?
 *
 * Where io_uring is refused the kernel says EPERM, ENOSYS or ENOMEM, each of which
 * has several causes with different remedies. io_probe_run() tries the real thing
 * (the shards' flags, a no-op through the ring, then all rings at once), gathers
 * what the system says about itself, and io_probe_diagnose() names the one cause
 * and its fix. Start-up only.
 */
#pragma once

#include "runtime/io_uring_setup.h"

enum { IO_PROBE_TEXT_SIZE = 1024, IO_PROBE_RING_COUNT_MAX = 64 };

enum io_probe_cause {
    IO_PROBE_USABLE,
    IO_PROBE_SYSCTL,         /* kernel.io_uring_disabled */
    IO_PROBE_SECCOMP,        /* a system call filter, mostly a container's */
    IO_PROBE_MEMLOCK,        /* RLIMIT_MEMLOCK */
    IO_PROBE_DESCRIPTORS,    /* RLIMIT_NOFILE, or the system's table is full */
    IO_PROBE_KERNEL_OLD,     /* before 6.1 */
    IO_PROBE_KERNEL_WITHOUT, /* built without io_uring, or not Linux underneath */
    IO_PROBE_UNKNOWN,        /* none of these; the text says where to look */
};

/* How far the attempt came. */
enum io_probe_step {
    IO_PROBE_SETUP,    /* io_uring_setup() of one small ring */
    IO_PROBE_REGISTER, /* io_uring_register() */
    IO_PROBE_ENTER,    /* io_uring_enter() with a no-op, and its completion */
    IO_PROBE_RINGS,    /* every shard's ring at its full size */
    IO_PROBE_DONE,
};

enum io_probe_container {
    IO_PROBE_NO_CONTAINER,
    IO_PROBE_DOCKER,
    IO_PROBE_PODMAN,
    IO_PROBE_KUBERNETES,
};

/* What the diagnosis is made from. */
struct io_probe_facts {
    enum io_probe_step step;
    int error;        /* the positive errno of that step, 0 when done */
    int sysctl;       /* kernel.io_uring_disabled: 0, 1, 2; -1 when there is none */
    int seccomp_mode; /* of /proc/self/status; 2 is a filter, -1 unknown */
    uint32_t kernel_major;
    uint32_t kernel_minor;
    bool privileged; /* CAP_SYS_ADMIN or member of kernel.io_uring_group */
    uint32_t ring_count;
    uint64_t memlock_need;  /* bytes, of all rings together */
    uint64_t memlock_limit; /* bytes, UINT64_MAX: not limited for us */
    enum io_probe_container container;
};

/* The finding. */
struct io_probe {
    enum io_probe_cause cause;
    struct io_probe_facts facts;
    char text[IO_PROBE_TEXT_SIZE]; /* one paragraph: what failed, the cause, the exact fix */
};

/*
 * Tries ring_count rings of this configuration and gives them back. 0 when all
 * worked, else -errno; *ret_probe is filled in either case.
 */
MUST_USE int io_probe_run(const struct io_uring_config *config, uint32_t ring_count,
                          struct io_probe *ret_probe);

/* Names the cause that fits the facts. Pure; what io_probe_run() ends with. */
void io_probe_diagnose(const struct io_probe_facts *facts, struct io_probe *ret_probe);

/*
 * True when another backend would help: io_uring itself is refused (ENOSYS, EPERM,
 * EACCES, EINVAL). Want of memory or descriptors would only hit the next one.
 */
bool io_probe_may_fall_back(const struct io_probe *probe);

/* The cause as a word for metrics and --json: "usable", "sysctl", "seccomp" ... Static. */
const char *io_probe_cause_name(enum io_probe_cause cause);

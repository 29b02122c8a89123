/*
 * Sim host: one machine of a simulated world, running at most one process.
 *
 *            sim_host_start()       sim_host_die(), or sim_host_crash_after() is over
 *     DOWN ------------------> UP ------------------------------> DYING
 *      ^                        |                                   |
 *      +--- sim_host_crash() or sim_host_kill() --------------------+
 *
 * A host begins UP. The disk stays for the life of the host; descriptors and
 * sockets belong to the process and go with it. In DYING nothing completes any
 * more and every disk call answers -EIO: whoever drives the world sees
 * sim_host_is_up() turn false and calls sim_host_crash().
 */
#pragma once

#include "runtime/sim_faults.h"
#include "runtime/sim_world.h"

struct disk;
struct sim_disk;
struct sim_file;
struct sim_socket;

enum {
    SIM_HOST_NAME_SIZE_MAX = 32,
    SIM_FD_COUNT_MAX = 1 << 16,
    SIM_FD_FIRST = 3, /* a process is born with three */
};

enum sim_host_state {
    SIM_HOST_UP,
    SIM_HOST_DYING,
    SIM_HOST_DOWN,
};

enum sim_fd_kind {
    SIM_FD_FREE,
    SIM_FD_FILE,
    SIM_FD_SOCKET,
};

/* One descriptor. Private to runtime/sim_*.c and io_sim.c. */
struct sim_fd {
    enum sim_fd_kind kind;
    uint32_t armed_count; /* operations that must end before it may be closed */
    int32_t open_flags;
    struct sim_file *file;
    struct sim_socket *socket;
};

/* The fields in the first group are for callers to set; the rest is read-only. */
struct sim_host {
    struct sim_faults faults;
    uint32_t fd_count_max;         /* open descriptors; one more is -EMFILE */
    uint32_t socket_buffer_size;   /* bytes that wait in one direction of a connection */
    uint32_t receive_buffer_size;  /* of backends made after the change */
    uint32_t receive_buffer_count; /* likewise */
    /* Operations that a backend hands over in one turn, up to its io_wait(); 0: any number. */
    uint32_t ring_size;
    bool wait_drives_world; /* io_wait() steps the world until something completes */
    /* Several sends on one socket mix their segments; else, as io.h says, they are a bug. */
    bool sends_may_overlap;

    struct sim_world *world;
    char name[SIM_HOST_NAME_SIZE_MAX];
    uint32_t index;
    enum sim_host_state state;
    struct list_node link; /* world->hosts */
    struct list_node ios;  /* struct io_sim.link */
    uint32_t io_count;     /* made so far, over all lives */
    struct sim_disk *disk;
    struct sim_fd *fds;
    uint32_t fd_capacity;
    uint32_t fd_count;
    uint32_t fd_free_min;     /* no descriptor below is free */
    uint64_t disk_call_count; /* blocking and asynchronous */
    uint64_t dying_call;      /* the disk call that the host dies in; 0: none */
    uint64_t hang_until_ns;   /* when the latest of what hangs goes on, or the process ended */
    uint64_t hang_used;       /* bytes on the disk when that was last so */
};

/*
 * A part of the process stands still for so long, for a reason that is not its own. What hangs
 * may go on sooner, as a shard does that is woken up.
 */
void sim_host_hang(struct sim_host *host, uint64_t duration_ns);

/* A machine with an empty disk, up. Freed with its world. */
struct sim_host *sim_host_new(struct sim_world *world, const char *name);

/* Frees the host with its disk and nulls the pointer. Its backends must have been freed. */
void sim_host_free(struct sim_host **host);

/* The host's disk, for blocking calls. Lives as long as the host. */
struct disk *sim_host_disk(struct sim_host *host);

/*
 * Power cut. Backends die: nothing completes any more, their operations' memory
 * may go once this has returned; io_free() them. Writes in flight are done in
 * part, what was not synced is kept, lost or torn, peers see a reset later. The
 * host is down until sim_host_start().
 */
void sim_host_crash(struct sim_host *host);

/*
 * The process ends, by SIGKILL or by itself: as sim_host_crash(), but what was
 * written stays in the page cache, and peers see the sockets close.
 */
void sim_host_kill(struct sim_host *host);

/* Switches a host that is down on again: empty descriptor table, the disk as it was left. */
void sim_host_start(struct sim_host *host);

/* True while the process can run. */
static inline bool sim_host_is_up(const struct sim_host *host)
{
    return host->state == SIM_HOST_UP;
}

/*
 * Makes the host die inside the disk call number call_count from now (1: the
 * next), blocking or asynchronous: that call is done wholly, partly or not at
 * all and every later one answers -EIO. 0 takes it back.
 */
void sim_host_crash_after(struct sim_host *host, uint64_t call_count);

/*
 * The process ends at this very place in its code: the host is DYING from now on, and
 * what the code still does has no effect. Whoever drives the world then calls
 * sim_host_kill() or sim_host_crash(). A host that is not UP stays as it is.
 */
void sim_host_die(struct sim_host *host);

/*
 * Counts one disk call: 0 to go on, 1 when the host dies in it, -EIO when it is
 * dead already. For sim_disk.c and io_sim.c.
 */
MUST_USE int sim_host_enter_disk(struct sim_host *host);

/* Gives the lowest free descriptor, zeroed but for its kind, or -EMFILE. */
MUST_USE int sim_host_fd_add(struct sim_host *host, enum sim_fd_kind kind);

/* The descriptor's record, or NULL when it is not open or of another kind. */
struct sim_fd *sim_host_fd(const struct sim_host *host, int fd, enum sim_fd_kind kind);

/* close(2): lets go of file or socket. It must be open, with no operation armed. */
void sim_host_fd_close(struct sim_host *host, int fd);

/* Adds an event of this host to the world's trace. */
void sim_host_trace(const struct sim_host *host, const char *what, int fd, int64_t value,
                    uint64_t detail);

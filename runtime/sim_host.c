#include "runtime/sim_host.h"

#include <errno.h>

#include "runtime/io_sim.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_socket.h"

/*
 * The order in which a process dies matters: first its operations (a write in
 * flight may reach the disk in part, and borrows memory that is about to go),
 * then its descriptors, with them sockets and locks, then what the disk had not
 * made durable.
 */
enum { FD_CAPACITY_MIN = 64 };

static void host_check(const struct sim_host *host)
{
    assert(host->world != NULL);
    assert(host->disk != NULL);
    assert(host->fd_count <= host->fd_capacity);
    assert(host->fd_count_max <= SIM_FD_COUNT_MAX);
}

struct sim_host *sim_host_new(struct sim_world *world, const char *name)
{
    struct sim_host *host = sim_alloc(sizeof(*host));
    int size;

    sim_faults_init(&host->faults);
    host->fd_count_max = 4096;
    host->socket_buffer_size = 256 * 1024;
    host->receive_buffer_size = 4096;
    host->receive_buffer_count = 256;
    host->world = world;
    size = snprintf(host->name, sizeof(host->name), "%s", name);
    assert(size > 0);
    assert(size < SIM_HOST_NAME_SIZE_MAX);
    host->index = world->host_count++;
    list_init(&host->link);
    list_init(&host->ios);
    list_push_back(&world->hosts, &host->link);
    host->fd_capacity = FD_CAPACITY_MIN;
    host->fd_free_min = SIM_FD_FIRST;
    host->fds = sim_alloc(FD_CAPACITY_MIN * sizeof(struct sim_fd));
    host->disk = sim_disk_new(host);
    return host;
}

static void close_all(struct sim_host *host)
{
    for (uint32_t fd = SIM_FD_FIRST; fd < host->fd_capacity; fd++) {
        if (host->fds[fd].kind == SIM_FD_FREE)
            continue;
        host->fds[fd].armed_count = 0;
        sim_host_fd_close(host, (int)fd);
    }
    assert(host->fd_count == 0);
}

void sim_host_free(struct sim_host **host)
{
    if (*host == NULL)
        return;
    host_check(*host);
    assert(list_is_empty(&(*host)->ios));
    close_all(*host);
    sim_disk_free(&(*host)->disk);
    list_remove(&(*host)->link);
    free((*host)->fds);
    free(*host);
    *host = NULL;
}

struct disk *sim_host_disk(struct sim_host *host)
{
    host_check(host);
    return &host->disk->disk;
}

void sim_host_hang(struct sim_host *host, uint64_t duration_ns)
{
    uint64_t until_ns = host->world->mono_ns + duration_ns;

    host_check(host);
    if (until_ns <= host->hang_until_ns)
        return;
    host->hang_until_ns = until_ns;
    host->hang_used = host->disk->used;
}

static void end_process(struct sim_host *host)
{
    host_check(host);
    assert(host->state != SIM_HOST_DOWN);
    while (!list_is_empty(&host->ios))
        io_sim_die(container_of(host->ios.next, struct io_sim, link));
    host->dying_call = 0;
    host->hang_until_ns = min_u64(host->hang_until_ns, host->world->mono_ns);
}

void sim_host_crash(struct sim_host *host)
{
    sim_host_trace(host, "crash", -1, 0, 0);
    end_process(host);
    host->state = SIM_HOST_DOWN;
    for (uint32_t fd = SIM_FD_FIRST; fd < host->fd_capacity; fd++) {
        if (host->fds[fd].kind == SIM_FD_SOCKET)
            sim_socket_vanish(host->fds[fd].socket);
    }
    close_all(host);
    sim_disk_crash(host->disk);
}

void sim_host_kill(struct sim_host *host)
{
    sim_host_trace(host, "kill", -1, 0, 0);
    end_process(host);
    host->state = SIM_HOST_DOWN;
    close_all(host);
}

void sim_host_start(struct sim_host *host)
{
    host_check(host);
    assert(host->state == SIM_HOST_DOWN);
    assert(host->fd_count == 0);
    host->state = SIM_HOST_UP;
    sim_host_trace(host, "start", -1, 0, 0);
}

void sim_host_crash_after(struct sim_host *host, uint64_t call_count)
{
    host_check(host);
    assert(host->state == SIM_HOST_UP);
    host->dying_call = call_count == 0 ? 0 : host->disk_call_count + call_count;
}

void sim_host_die(struct sim_host *host)
{
    host_check(host);
    if (host->state != SIM_HOST_UP)
        return;
    host->state = SIM_HOST_DYING;
    sim_host_trace(host, "dying", -1, 0, 0);
}

int sim_host_enter_disk(struct sim_host *host)
{
    host_check(host);
    if (host->state != SIM_HOST_UP)
        return -EIO;
    host->disk_call_count++;
    if (host->dying_call == 0 || host->disk_call_count < host->dying_call)
        return 0;
    sim_host_die(host);
    return 1;
}

int sim_host_fd_add(struct sim_host *host, enum sim_fd_kind kind)
{
    uint32_t fd = host->fd_free_min;

    host_check(host);
    assert(kind != SIM_FD_FREE);
    if (host->fd_count >= host->fd_count_max)
        return -EMFILE;
    while (fd < host->fd_capacity && host->fds[fd].kind != SIM_FD_FREE)
        fd++;
    if (fd == host->fd_capacity) {
        struct sim_fd *fds = realloc(host->fds, 2 * fd * sizeof(struct sim_fd));

        assert(fds != NULL);
        memset(fds + fd, 0, fd * sizeof(struct sim_fd));
        host->fds = fds;
        host->fd_capacity = 2 * fd;
    }
    host->fds[fd] = (struct sim_fd){.kind = kind};
    host->fd_count++;
    host->fd_free_min = fd + 1;
    return (int)fd;
}

struct sim_fd *sim_host_fd(const struct sim_host *host, int fd, enum sim_fd_kind kind)
{
    assert(kind != SIM_FD_FREE);
    if (fd < SIM_FD_FIRST || (uint32_t)fd >= host->fd_capacity)
        return NULL;
    return host->fds[fd].kind == kind ? &host->fds[fd] : NULL;
}

void sim_host_fd_close(struct sim_host *host, int fd)
{
    struct sim_fd *record = &host->fds[fd];

    host_check(host);
    assert(record->kind != SIM_FD_FREE);
    assert(record->armed_count == 0);

    if (record->kind == SIM_FD_FILE)
        sim_disk_let_go(host->disk, fd, &record->file);
    else
        sim_socket_close(&record->socket);
    *record = (struct sim_fd){.kind = SIM_FD_FREE};
    host->fd_count--;
    host->fd_free_min = (uint32_t)min_u64(host->fd_free_min, (uint64_t)fd);
}

void sim_host_trace(const struct sim_host *host, const char *what, int fd, int64_t value,
                    uint64_t detail)
{
    struct sim_trace_entry entry = {
        .mono_ns = host->world->mono_ns,
        .host = host->name,
        .what = what,
        .fd = fd,
        .value = value,
        .detail = detail,
    };

    sim_trace_add(&host->world->trace, &entry);
}

/*
 * Io: everything a shard asks of the kernel while it runs.
 *
 * An operation is a struct io_op that the caller owns and that must stay where
 * it is, idle, until armed, and armed until its last completion. One function
 * arms one kind of operation; io_reap() calls op->on_done for each completion on
 * the shard's own thread. Backends: io_uring (production) and io_sim (the
 * simulator). Only the shard's thread may call anything here but io_wake().
 *
 *     IDLE --io_<kind>()--> ARMED --completion without more--> IDLE
 *                             |  ^                               ^
 *                 io_cancel() v  | completion with more           |
 *                         CANCELLING ----------------------------/
 *
 * While a multishot operation (accept, recv, poll) stays armed its completions have
 * more set; for accept and recv a success always has, and what ends the operation is
 * an error, a cancel or, for recv, 0 at the end of the stream. A kernel that ends one
 * early is re-armed by the backend, unseen.
 *
 * on_done may arm its operation again (when it is idle), cancel, release buffers, and
 * leave io_reap() by longjmp(): the completion counts as delivered.
 *
 * Order of teardown for a socket: io_shutdown() or io_cancel() the armed
 * operations, wait for their completions, then io_close(). Closing a descriptor
 * under an armed operation is a bug and asserts.
 */
#pragma once

#include <sys/socket.h>

#include "runtime/list.h"

struct actor;
struct io;
struct io_op;

enum { IO_OP_MAGIC = 0x10095a7e };

/* What an operation does. The comment says what result.value holds on success. */
enum io_op_type {
    IO_NONE,
    IO_ACCEPT,   /* multishot: a connected descriptor */
    IO_RECV,     /* multishot: byte count, 0 at end of stream; data in result */
    IO_SEND,     /* all bytes sent, or an error: short sends are continued by the backend */
    IO_CONNECT,  /* 0 */
    IO_SHUTDOWN, /* 0 */
    IO_CLOSE,    /* 0 */
    IO_READ,     /* byte count, may be short */
    IO_WRITE,    /* byte count, may be short: the caller decides (the journal rewrites) */
    IO_POLL,     /* multishot: revents */
    IO_OPEN,     /* a descriptor */
    IO_RENAME,   /* 0 */
    IO_UNLINK,   /* 0 */
    IO_FSYNC,    /* 0 */
    IO_CANCEL,   /* internal to backends */
};

enum io_op_state {
    IO_OP_IDLE,
    IO_OP_ARMED,
    IO_OP_CANCELLING,
};

/* What a completion says. Borrowed for the call of on_done. */
struct io_result {
    int32_t value; /* >= 0 as listed above, or -errno; -ECANCELED after io_cancel() */
    bool more;     /* the operation stays armed (multishot only) */
    /* IO_RECV with value > 0: value bytes at data, the caller's until io_buffer_release(). */
    const char *data;
    uint32_t buffer_index;
};

/*
 * Owned by the caller, embedded by value. on_done is set by io_op_init() or by
 * actor_op_init(); the rest is private to runtime/io*.c and runtime/actor.c.
 * The memory must stay mapped until the backend is closed: a completion finds
 * its operation by address and is believed only if the generation matches.
 */
struct io_op {
    uint32_t magic;
    uint16_t generation; /* counts armings; stale completions do not match */
    uint8_t type;        /* enum io_op_type */
    uint8_t state;       /* enum io_op_state */
    int32_t fd;
    uint32_t owner_incarnation;
    void (*on_done)(struct io_op *op, const struct io_result *result);
    struct actor *owner;
    struct list_node *owner_ops; /* head of the owner's armed operations, or NULL */
    struct list_node owner_link;
    struct list_node backend_link; /* backend's: starved receives, in-flight lists */
    union {
        struct {
            void *data;
            uint64_t offset;
            uint32_t size;
            uint32_t done; /* backend's progress on a short send */
        } rw;
        struct {
            const char *path;     /* borrowed until completion */
            const char *new_path; /* rename: the target */
            int32_t flags;
            uint32_t mode;
        } file;
        struct {
            const struct sockaddr *address; /* borrowed until completion */
            socklen_t size;
        } connect;
        int32_t how;     /* shutdown */
        uint32_t events; /* poll */
    } as;
    uint32_t flags; /* write: IO_WRITE_DURABLE; fsync: IO_FSYNC_DATA */
};

enum {
    IO_WRITE_DURABLE = 1, /* the completion means: on stable storage (RWF_DSYNC) */
    IO_FSYNC_DATA = 2,    /* fdatasync instead of fsync */
};

/* The offset of what has none: pipes, terminals, standard error. */
#define IO_OFFSET_STREAM UINT64_MAX

/* Counters for metrics; owned by the shard's thread. */
struct io_stats {
    uint64_t enter_count;      /* system calls made to submit or wait */
    uint64_t submit_count;     /* operations handed over */
    uint64_t completion_count; /* completions reaped */
    uint64_t stale_count;      /* completions whose generation did not match */
    uint64_t overflow_count;   /* completion queue overflows seen */
    uint64_t starved_count;    /* receives parked for want of a buffer */
    uint64_t buffer_size;      /* bytes in one receive buffer */
    uint64_t buffer_count;
};

/* One backend; each backend embeds struct io first. */
struct io_vtable {
    const char *name; /* "uring", "sim" */
    void (*submit)(struct io *io, struct io_op *op);
    void (*cancel)(struct io *io, struct io_op *target);
    uint32_t (*reap)(struct io *io, uint32_t completion_count_max);
    int (*wait)(struct io *io, uint64_t timeout_ns);
    void (*wake)(struct io *io);
    void (*buffer_release)(struct io *io, uint32_t buffer_index);
    int (*listen)(struct io *io, const struct sockaddr *address, socklen_t size, int backlog);
    int (*probe_address)(struct io *io, const struct sockaddr *address, socklen_t size);
    int (*socket)(struct io *io, int family);
    int (*local_address)(struct io *io, int fd, struct sockaddr_storage *ret_address);
    int (*peer_address)(struct io *io, int fd, struct sockaddr_storage *ret_address);
    void (*close_now)(struct io *io, int fd);
    int (*enable)(struct io *io);
    void (*free)(struct io **io);
};

struct io {
    const struct io_vtable *vtable;
    struct io_stats stats;
    uint32_t armed_count; /* operations in flight */
};

/*
 * Makes op idle, answering to on_done. Memory that held an operation before goes on
 * counting generations, so that a completion meant for the earlier one is recognised;
 * other memory must be zeroed.
 */
void io_op_init(struct io_op *op,
                void (*on_done)(struct io_op *op, const struct io_result *result));

/* True while a completion is still to come. */
static inline bool io_op_is_armed(const struct io_op *op)
{
    return op->state != IO_OP_IDLE;
}

/* Accepts connections until cancelled or failed (-EMFILE ends it: arm again later). */
void io_accept(struct io *io, struct io_op *op, int fd);

/*
 * Receives until end of stream, error or cancel. Each completion with bytes lends
 * one receive buffer; while none is free the operation waits inside the backend
 * and goes on when one is released. Bytes not read stay in the kernel: to apply
 * back-pressure keep the buffer, or cancel.
 */
void io_recv(struct io *io, struct io_op *op, int fd);

/* Returns a receive buffer. */
void io_buffer_release(struct io *io, uint32_t buffer_index);

/* Sends all size bytes; borrows data until completion. One send in flight per socket. */
void io_send(struct io *io, struct io_op *op, int fd, const void *data, uint32_t size);

/* Connects; borrows address until completion. */
void io_connect(struct io *io, struct io_op *op, int fd, const struct sockaddr *address,
                socklen_t size);

/* shutdown(2) with SHUT_RD, SHUT_WR or SHUT_RDWR. */
void io_shutdown(struct io *io, struct io_op *op, int fd, int how);

/* close(2). No other operation may be armed on fd. */
void io_close(struct io *io, struct io_op *op, int fd);

/*
 * Reads at offset, or at the file position with IO_OFFSET_STREAM; borrows data until
 * completion. O_DIRECT alignment is the caller's.
 */
void io_read(struct io *io, struct io_op *op, int fd, void *data, uint32_t size, uint64_t offset);

/* Writes likewise; flags 0 or IO_WRITE_DURABLE. */
void io_write(struct io *io, struct io_op *op, int fd, const void *data, uint32_t size,
              uint64_t offset, uint32_t flags);

/* Reports poll(2) events until cancelled. */
void io_poll(struct io *io, struct io_op *op, int fd, uint32_t events);

/* openat(2) with absolute or working-directory paths; borrows path until completion. */
void io_open(struct io *io, struct io_op *op, const char *path, int flags, uint32_t mode);

/* rename(2) and unlink(2); durable only after io_fsync() of the directory. */
void io_rename(struct io *io, struct io_op *op, const char *path, const char *new_path);
void io_unlink(struct io *io, struct io_op *op, const char *path);

/* fsync(2), or fdatasync(2) with IO_FSYNC_DATA. Never retry a failed one: stop. */
void io_fsync(struct io *io, struct io_op *op, int fd, uint32_t flags);

/*
 * Asks an armed operation to end soon. Its own completion still comes, with
 * -ECANCELED or with what happened first, from io_reap() and never from inside this
 * call; there is no other answer. Repeating it, or cancelling an idle operation,
 * does nothing.
 */
void io_cancel(struct io *io, struct io_op *target);

/* Calls on_done for at most completion_count_max completions that are there; returns the count. */
uint32_t io_reap(struct io *io, uint32_t completion_count_max);

/*
 * Hands over what was armed and waits until a completion is there, io_wake() was
 * called, or timeout_ns is over; 0 does not wait, UINT64_MAX waits without end.
 * 0, or -errno when the backend itself is broken.
 */
MUST_USE int io_wait(struct io *io, uint64_t timeout_ns);

/* Makes the present or next io_wait() return. The one call for other threads. */
void io_wake(struct io *io);

/* A listening TCP socket (SO_REUSEADDR, SO_REUSEPORT, TCP_NODELAY): descriptor or -errno. */
MUST_USE int io_listen(struct io *io, const struct sockaddr *address, socklen_t size, int backlog);

/* 0 when nobody listens on the address yet, else -errno. io_listen() would share it silently. */
MUST_USE int io_probe_address(struct io *io, const struct sockaddr *address, socklen_t size);

/* A TCP socket for io_connect() (TCP_NODELAY): descriptor or -errno. */
MUST_USE int io_socket(struct io *io, int family);

/* The socket's own address, and its peer's. 0 or -errno. */
MUST_USE int io_local_address(struct io *io, int fd, struct sockaddr_storage *ret_address);
MUST_USE int io_peer_address(struct io *io, int fd, struct sockaddr_storage *ret_address);

/* Closes at once, for a descriptor that never had an operation (refused accepts). */
void io_close_now(struct io *io, int fd);

/* Called once by the thread that will run the shard, before its first turn. 0 or -errno. */
MUST_USE int io_enable(struct io *io);

/* Ends all operations without further completions, frees the backend, nulls the pointer. */
void io_free(struct io **io);

/* For backends: counts the completion, makes op idle unless result->more, calls on_done. */
void io_op_complete(struct io *io, struct io_op *op, const struct io_result *result);

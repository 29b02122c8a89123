#include "runtime/io_uring_entry.h"

#include <sys/uio.h>

#include "runtime/recv_ring.h"

/*
 * One flat switch over the kinds of operation. A receive asks for POLL_FIRST: it
 * waits for bytes before it takes a buffer, so that an idle connection survives
 * a time without buffers. A send asks the kernel to go on by itself after a part.
 */
enum { GENERATION_SHIFT = 48 };
static_assert(_Alignof(struct io_op) > IO_URING_KIND_MASK, "the kind needs free low bits");

uint64_t io_uring_entry_user_data(const struct io_op *op)
{
    uint64_t address = (uint64_t)(uintptr_t)op;
    uint64_t kind =
        op->type == IO_ACCEPT || op->type == IO_OPEN ? IO_URING_KIND_GIVES_FD : IO_URING_KIND_PLAIN;

    assert((address >> GENERATION_SHIFT) == 0);
    assert((address & IO_URING_KIND_MASK) == 0);
    return (uint64_t)op->generation << GENERATION_SHIFT | address | kind;
}

struct io_op *io_uring_entry_find(uint64_t user_data)
{
    uint64_t address = user_data & ((1ULL << GENERATION_SHIFT) - 1) & ~(uint64_t)IO_URING_KIND_MASK;
    struct io_op *op = (struct io_op *)(uintptr_t)address;

    assert(op != NULL);
    if (op->magic != IO_OP_MAGIC || op->generation != (uint16_t)(user_data >> GENERATION_SHIFT) ||
        op->state == IO_OP_IDLE)
        return NULL;
    return op;
}

static void fill_transfer(const struct io_op *op, struct io_uring_sqe *sqe)
{
    char *data = op->as.rw.data;

    switch ((enum io_op_type)op->type) {
    case IO_SEND:
        io_uring_prep_send(sqe, op->fd, data + op->as.rw.done, op->as.rw.size - op->as.rw.done,
                           MSG_NOSIGNAL | MSG_WAITALL);
        return;
    case IO_READ:
        io_uring_prep_read(sqe, op->fd, data, op->as.rw.size, op->as.rw.offset);
        return;
    case IO_WRITE:
        io_uring_prep_write(sqe, op->fd, data, op->as.rw.size, op->as.rw.offset);
        sqe->rw_flags = (op->flags & IO_WRITE_DURABLE) != 0 ? RWF_DSYNC : 0;
        return;
    case IO_RECV:
        io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = RECV_RING_GROUP;
        return;
    case IO_NONE:
    case IO_ACCEPT:
    case IO_CONNECT:
    case IO_SHUTDOWN:
    case IO_CLOSE:
    case IO_POLL:
    case IO_OPEN:
    case IO_RENAME:
    case IO_UNLINK:
    case IO_FSYNC:
    case IO_CANCEL:
        break;
    }
    assert(false);
}

void io_uring_entry_fill(const struct io_op *op, struct io_uring_sqe *sqe)
{
    switch ((enum io_op_type)op->type) {
    case IO_RECV:
    case IO_SEND:
    case IO_READ:
    case IO_WRITE:
        fill_transfer(op, sqe);
        break;
    case IO_ACCEPT:
        io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC);
        break;
    case IO_CONNECT:
        io_uring_prep_connect(sqe, op->fd, op->as.connect.address, op->as.connect.size);
        break;
    case IO_SHUTDOWN:
        io_uring_prep_shutdown(sqe, op->fd, op->as.how);
        break;
    case IO_CLOSE:
        io_uring_prep_close(sqe, op->fd);
        break;
    case IO_POLL:
        io_uring_prep_poll_multishot(sqe, op->fd, op->as.events);
        break;
    case IO_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, op->as.file.path, op->as.file.flags | O_CLOEXEC,
                             op->as.file.mode);
        break;
    case IO_RENAME:
        io_uring_prep_renameat(sqe, AT_FDCWD, op->as.file.path, AT_FDCWD, op->as.file.new_path, 0);
        break;
    case IO_UNLINK:
        io_uring_prep_unlinkat(sqe, AT_FDCWD, op->as.file.path, 0);
        break;
    case IO_FSYNC:
        io_uring_prep_fsync(sqe, op->fd,
                            (op->flags & IO_FSYNC_DATA) != 0 ? IORING_FSYNC_DATASYNC : 0);
        break;
    case IO_NONE:
    case IO_CANCEL:
        assert(false);
        break;
    }
    io_uring_sqe_set_data64(sqe, io_uring_entry_user_data(op));
}

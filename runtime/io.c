#include "runtime/io.h"

/*
 * The front of every backend: fills in the operation, moves it to ARMED, counts
 * it and hands it to the backend's vtable. All that callers can get wrong is
 * asserted here, once, so that each backend may trust what it is given and both
 * punish the same mistakes.
 *
 * Life of an operation: arm() makes it ARMED and links it to its owner's list;
 * io_op_complete() is the only way back to IDLE, before on_done is called, so
 * that on_done may arm the same operation again or leave by longjmp().
 */
static_assert(sizeof(struct io_op) <= 176, "an operation is part of every idle connection");
static_assert(sizeof(((struct io_op *)0)->generation) == 2, "16 bits of user_data hold it");

enum { FSYNC_FLAGS_ALL = IO_FSYNC_DATA, WRITE_FLAGS_ALL = IO_WRITE_DURABLE };

static void op_check(const struct io_op *op)
{
    assert(op->magic == IO_OP_MAGIC);
    assert(op->state <= IO_OP_CANCELLING);
    assert(op->on_done != NULL);
}

/* First half of arming: the caller then fills in op->as and calls submit(). */
static void prepare(struct io *io, struct io_op *op, enum io_op_type type, int fd)
{
    op_check(op);
    assert(io != NULL);
    assert(op->state == IO_OP_IDLE);
    assert(list_is_empty(&op->backend_link));

    op->type = (uint8_t)type;
    op->fd = fd;
    op->flags = 0;
    op->generation++;
}

static void submit(struct io *io, struct io_op *op)
{
    op->state = IO_OP_ARMED;
    if (op->owner_ops != NULL)
        list_push_back(op->owner_ops, &op->owner_link);
    io->armed_count++;
    io->stats.submit_count++;
    io->vtable->submit(io, op);
}

void io_op_init(struct io_op *op, void (*on_done)(struct io_op *op, const struct io_result *result))
{
    uint16_t generation = 0;

    assert(op != NULL);
    assert(on_done != NULL);
    /* Goes on counting where the slot's previous user stopped: his completions stay stale. */
    if (op->magic == IO_OP_MAGIC)
        generation = op->generation;
    *op = (struct io_op){
        .magic = IO_OP_MAGIC, .generation = generation, .fd = -1, .on_done = on_done};
    list_init(&op->owner_link);
    list_init(&op->backend_link);
}

void io_op_complete(struct io *io, struct io_op *op, const struct io_result *result)
{
    op_check(op);
    assert(op->state != IO_OP_IDLE);
    assert(io->armed_count > 0);

    io->stats.completion_count++;
    if (!result->more) {
        assert(list_is_empty(&op->backend_link));
        op->state = IO_OP_IDLE;
        io->armed_count--;
        list_remove(&op->owner_link);
    }
    op->on_done(op, result);
}

void io_accept(struct io *io, struct io_op *op, int fd)
{
    assert(fd >= 0);
    prepare(io, op, IO_ACCEPT, fd);
    submit(io, op);
}

void io_recv(struct io *io, struct io_op *op, int fd)
{
    assert(fd >= 0);
    prepare(io, op, IO_RECV, fd);
    submit(io, op);
}

void io_buffer_release(struct io *io, uint32_t buffer_index)
{
    assert(buffer_index < io->stats.buffer_count);
    io->vtable->buffer_release(io, buffer_index);
}

void io_send(struct io *io, struct io_op *op, int fd, const void *data, uint32_t size)
{
    assert(fd >= 0);
    assert(data != NULL);
    assert(size > 0);
    prepare(io, op, IO_SEND, fd);
    /* One union serves read, write and send; a send never writes through it. */
    op->as.rw.data = (void *)(uintptr_t)data;
    op->as.rw.offset = 0;
    op->as.rw.size = size;
    op->as.rw.done = 0;
    submit(io, op);
}

void io_connect(struct io *io, struct io_op *op, int fd, const struct sockaddr *address,
                socklen_t size)
{
    assert(fd >= 0);
    assert(address != NULL);
    assert(size > 0);
    prepare(io, op, IO_CONNECT, fd);
    op->as.connect.address = address;
    op->as.connect.size = size;
    submit(io, op);
}

void io_shutdown(struct io *io, struct io_op *op, int fd, int how)
{
    assert(fd >= 0);
    assert(how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR);
    prepare(io, op, IO_SHUTDOWN, fd);
    op->as.how = how;
    submit(io, op);
}

void io_close(struct io *io, struct io_op *op, int fd)
{
    assert(fd >= 0);
    prepare(io, op, IO_CLOSE, fd);
    submit(io, op);
}

void io_read(struct io *io, struct io_op *op, int fd, void *data, uint32_t size, uint64_t offset)
{
    assert(fd >= 0);
    assert(data != NULL);
    assert(size > 0);
    prepare(io, op, IO_READ, fd);
    op->as.rw.data = data;
    op->as.rw.offset = offset;
    op->as.rw.size = size;
    op->as.rw.done = 0;
    submit(io, op);
}

void io_write(struct io *io, struct io_op *op, int fd, const void *data, uint32_t size,
              uint64_t offset, uint32_t flags)
{
    assert(fd >= 0);
    assert(data != NULL);
    assert(size > 0);
    assert((flags & ~(uint32_t)WRITE_FLAGS_ALL) == 0);
    prepare(io, op, IO_WRITE, fd);
    op->as.rw.data = (void *)(uintptr_t)data;
    op->as.rw.offset = offset;
    op->as.rw.size = size;
    op->as.rw.done = 0;
    op->flags = flags;
    submit(io, op);
}

void io_poll(struct io *io, struct io_op *op, int fd, uint32_t events)
{
    assert(fd >= 0);
    assert(events != 0);
    prepare(io, op, IO_POLL, fd);
    op->as.events = events;
    submit(io, op);
}

void io_open(struct io *io, struct io_op *op, const char *path, int flags, uint32_t mode)
{
    assert(path != NULL);
    prepare(io, op, IO_OPEN, -1);
    op->as.file.path = path;
    op->as.file.new_path = NULL;
    op->as.file.flags = flags;
    op->as.file.mode = mode;
    submit(io, op);
}

void io_rename(struct io *io, struct io_op *op, const char *path, const char *new_path)
{
    assert(path != NULL);
    assert(new_path != NULL);
    prepare(io, op, IO_RENAME, -1);
    op->as.file.path = path;
    op->as.file.new_path = new_path;
    op->as.file.flags = 0;
    op->as.file.mode = 0;
    submit(io, op);
}

void io_unlink(struct io *io, struct io_op *op, const char *path)
{
    assert(path != NULL);
    prepare(io, op, IO_UNLINK, -1);
    op->as.file.path = path;
    op->as.file.new_path = NULL;
    op->as.file.flags = 0;
    op->as.file.mode = 0;
    submit(io, op);
}

void io_fsync(struct io *io, struct io_op *op, int fd, uint32_t flags)
{
    assert(fd >= 0);
    assert((flags & ~(uint32_t)FSYNC_FLAGS_ALL) == 0);
    prepare(io, op, IO_FSYNC, fd);
    op->flags = flags;
    submit(io, op);
}

void io_cancel(struct io *io, struct io_op *target)
{
    op_check(target);
    if (target->state != IO_OP_ARMED)
        return;
    target->state = IO_OP_CANCELLING;
    io->vtable->cancel(io, target);
}

uint32_t io_reap(struct io *io, uint32_t completion_count_max)
{
    assert(io != NULL);
    assert(completion_count_max > 0);
    return io->vtable->reap(io, completion_count_max);
}

int io_wait(struct io *io, uint64_t timeout_ns)
{
    assert(io != NULL);
    return io->vtable->wait(io, timeout_ns);
}

void io_wake(struct io *io)
{
    assert(io != NULL);
    io->vtable->wake(io);
}

int io_listen(struct io *io, const struct sockaddr *address, socklen_t size, int backlog)
{
    assert(address != NULL);
    assert(backlog > 0);
    return io->vtable->listen(io, address, size, backlog);
}

int io_probe_address(struct io *io, const struct sockaddr *address, socklen_t size)
{
    return io->vtable->probe_address != NULL ? io->vtable->probe_address(io, address, size) : 0;
}

int io_socket(struct io *io, int family)
{
    assert(family == AF_INET || family == AF_INET6);
    return io->vtable->socket(io, family);
}

int io_local_address(struct io *io, int fd, struct sockaddr_storage *ret_address)
{
    assert(fd >= 0);
    assert(ret_address != NULL);
    return io->vtable->local_address(io, fd, ret_address);
}

int io_peer_address(struct io *io, int fd, struct sockaddr_storage *ret_address)
{
    assert(fd >= 0);
    assert(ret_address != NULL);
    return io->vtable->peer_address(io, fd, ret_address);
}

void io_close_now(struct io *io, int fd)
{
    assert(fd >= 0);
    io->vtable->close_now(io, fd);
}

int io_enable(struct io *io)
{
    assert(io != NULL);
    return io->vtable->enable(io);
}

void io_free(struct io **io)
{
    assert(io != NULL);
    if (*io == NULL)
        return;
    (*io)->vtable->free(io);
    assert(*io == NULL);
}

#include "tests/crash/io_recorder.h"

#include <assert.h>
#include <string.h>

/*
 * An operation's on_done is exchanged for ours while it is armed and given back before
 * it is called, which hides the recorder from owner and backend. All of this happens
 * on the shard's thread, or on the boot thread before there is one.
 */
enum { PENDING_COUNT_MAX = 256 };

struct pending {
    struct io_op *op; /* NULL: free */
    void (*on_done)(struct io_op *op, const struct io_result *result);
    bool is_open;
    uint32_t number; /* in the log, but for an open */
    struct write_log_open call;
};

struct io_recorder {
    struct io *io; /* NULL: not attached */
    struct io_vtable vtable;
    const struct io_vtable *inner;
    struct write_log *log;
    void (*on_send)(const char *data, uint32_t size);
    struct pending pending[PENDING_COUNT_MAX];
};

static struct io_recorder recorders[IO_RECORDER_COUNT_MAX]; /* attached by the boot thread */
static __thread struct io_recorder *reaping; /* whose completions this thread reaps */

static struct io_recorder *recorder_of(const struct io *io)
{
    for (uint32_t i = 0; i < IO_RECORDER_COUNT_MAX; i++)
        if (recorders[i].io == io)
            return &recorders[i];
    assert(false);
    return NULL;
}

static struct pending *find(struct io_recorder *recorder, const struct io_op *op)
{
    for (uint32_t i = 0; i < PENDING_COUNT_MAX; i++)
        if (recorder->pending[i].op == op)
            return &recorder->pending[i];
    assert(false);
    return NULL;
}

static void on_done(struct io_op *op, const struct io_result *result)
{
    struct pending *slot = find(reaping, op);
    struct pending pending = *slot;
    struct write_log *log = reaping->log;

    slot->op = NULL;
    op->on_done = pending.on_done;
    if (pending.is_open)
        write_log_open_end(log, &pending.call, result->value);
    else
        write_log_complete(log, pending.number, result->value);
    op->on_done(op, result);
}

static void watch(struct io_recorder *recorder, struct io_op *op, struct pending pending)
{
    struct pending *slot = find(recorder, NULL);

    pending.op = op;
    pending.on_done = op->on_done;
    *slot = pending;
    op->on_done = on_done;
}

/* Notes what op is about to do. */
static void record(struct io_recorder *recorder, struct io_op *op)
{
    struct write_log *log = recorder->log;
    uint32_t number = WRITE_LOG_NONE;

    switch ((enum io_op_type)op->type) {
    case IO_WRITE:
        number = write_log_write(log, op->fd, op->as.rw.data, op->as.rw.size, op->as.rw.offset,
                                 (op->flags & IO_WRITE_DURABLE) != 0);
        break;
    case IO_FSYNC:
        number = write_log_sync(log, op->fd);
        break;
    case IO_RENAME:
        number = write_log_rename(log, op->as.file.path, op->as.file.new_path);
        break;
    case IO_UNLINK:
        number = write_log_unlink(log, op->as.file.path);
        break;
    case IO_OPEN:
        watch(recorder, op,
              (struct pending){.is_open = true,
                               .call =
                                   write_log_open_begin(log, op->as.file.path, op->as.file.flags)});
        return;
    case IO_CLOSE:
        write_log_close(log, op->fd);
        return;
    case IO_SEND:
        recorder->on_send(op->as.rw.data, op->as.rw.size);
        return;
    case IO_NONE:
    case IO_ACCEPT:
    case IO_RECV:
    case IO_CONNECT:
    case IO_SHUTDOWN:
    case IO_READ:
    case IO_POLL:
    case IO_CANCEL:
        return;
    }
    if (number != WRITE_LOG_NONE)
        watch(recorder, op, (struct pending){.number = number});
}

static void on_submit(struct io *io, struct io_op *op)
{
    struct io_recorder *recorder = recorder_of(io);

    record(recorder, op);
    recorder->inner->submit(io, op);
}

static uint32_t on_reap(struct io *io, uint32_t completion_count_max)
{
    reaping = recorder_of(io);
    return reaping->inner->reap(io, completion_count_max);
}

static void on_free(struct io **io)
{
    struct io_recorder *recorder = recorder_of(*io);

    (*io)->vtable = recorder->inner;
    memset(recorder, 0, sizeof(*recorder));
    io_free(io);
}

void io_recorder_attach(struct io *io, struct write_log *log,
                        void (*on_send)(const char *data, uint32_t size))
{
    struct io_recorder *recorder = recorder_of(NULL);

    recorder->io = io;
    recorder->inner = io->vtable;
    recorder->vtable = *io->vtable;
    recorder->vtable.submit = on_submit;
    recorder->vtable.reap = on_reap;
    recorder->vtable.free = on_free;
    recorder->log = log;
    recorder->on_send = on_send;
    io->vtable = &recorder->vtable;
}

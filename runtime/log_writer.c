#include "runtime/log_writer.h"

#include <errno.h>

#include "runtime/shard.h"

/*
 * Lines leave the log in log_writer_hand_over(), at the end of a turn, when the
 * one operation is idle. A short write goes on where it stopped, an interrupted one
 * is repeated at once. Where somebody who shares standard error made it non-blocking,
 * a kernel may say EAGAIN when it is full (6.18 waits by itself for pipes and
 * terminals): the rest is tried again every LOG_WRITER_RETRY_MS, without end, as a
 * blocking one would keep a write for ever. Meanwhile the log fills, then counts
 * what it drops. Any other failure loses what was in flight: it is counted when the
 * next lines are taken, and the first line after them says how many are missing.
 */

static const uint64_t AT_THE_END = UINT64_MAX; /* of a stream: no offset */

static void write_rest(struct log_writer *writer)
{
    assert(writer->done < writer->size);
    io_write(writer->shard->io, &writer->op, 2, writer->buffer + writer->done,
             writer->size - writer->done, AT_THE_END, 0);
}

static void on_written(struct io_op *op, const struct io_result *result)
{
    struct log_writer *writer = container_of(op, struct log_writer, op);

    if (result->value > 0)
        writer->done += (uint32_t)result->value;
    assert(writer->done <= writer->size);
    if (writer->done == writer->size)
        return;
    if (result->value > 0 || result->value == -EINTR)
        write_rest(writer);
    else if (result->value == -EAGAIN)
        timer_start(&writer->shard->timers, &writer->timer,
                    writer->shard->clock.mono_ns + (uint64_t)LOG_WRITER_RETRY_MS * 1000000);
}

static void on_retry(struct timer *timer)
{
    write_rest(container_of(timer, struct log_writer, timer));
}

/* Gives up what a failed write has left. */
static void forget_rest(struct log_writer *writer)
{
    uint32_t line_count = 0;

    for (uint32_t i = writer->done; i < writer->size; i++)
        line_count += writer->buffer[i] == '\n';
    writer->done = writer->size;
    if (line_count > 0)
        log_count_lost(&writer->shard->log, line_count);
}

void log_writer_init(struct log_writer *writer, struct shard *shard)
{
    assert(shard != NULL);
    writer->shard = shard;
    writer->size = 0;
    writer->done = 0;
    io_op_init(&writer->op, on_written);
    timer_init(&writer->timer, on_retry);
}

void log_writer_hand_over(struct log_writer *writer)
{
    struct shard *shard = writer->shard;
    const struct runtime_config *config = runtime_settings(shard->runtime);

    if (shard->log.size == 0 || io_op_is_armed(&writer->op) || writer->timer.armed)
        return;
    forget_rest(writer);
    writer->size = (uint32_t)log_take(&shard->log, writer->buffer, sizeof(writer->buffer));
    writer->done = writer->size;
    if (writer->size == 0)
        return;
    if (config->hooks != NULL && config->hooks->log_out != NULL) {
        config->hooks->log_out(config->hooks, shard->index, writer->buffer, writer->size);
    } else if (!config->simulated) {
        writer->done = 0;
        write_rest(writer);
    }
}

bool log_writer_cancel(struct log_writer *writer)
{
    timer_stop(&writer->shard->timers, &writer->timer);
    if (!io_op_is_armed(&writer->op))
        return true;
    io_cancel(writer->shard->io, &writer->op);
    return false;
}

void log_writer_finish(struct log_writer *writer)
{
    assert(writer->done <= writer->size);
    if (!io_op_is_armed(&writer->op) && writer->done < writer->size)
        log_write_now((struct slice){writer->buffer + writer->done, writer->size - writer->done});
    writer->done = writer->size;
    log_flush_now(&writer->shard->log);
}

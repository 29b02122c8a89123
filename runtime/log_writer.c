#include "runtime/log_writer.h"

#include "runtime/shard.h"

/*
 * Lines leave the log in log_writer_hand_over(), at the end of a turn, when the
 * one operation is idle. A short write goes on where it stopped; a failed one
 * loses what was in flight: there is nobody left to tell.
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
    if (result->value > 0 && writer->done < writer->size)
        write_rest(writer);
}

void log_writer_init(struct log_writer *writer, struct shard *shard)
{
    assert(shard != NULL);
    writer->shard = shard;
    writer->size = 0;
    writer->done = 0;
    io_op_init(&writer->op, on_written);
}

void log_writer_hand_over(struct log_writer *writer)
{
    struct shard *shard = writer->shard;
    const struct runtime_config *config = runtime_settings(shard->runtime);

    if (shard->log.size == 0 || io_op_is_armed(&writer->op))
        return;
    writer->size = (uint32_t)log_take(&shard->log, writer->buffer, sizeof(writer->buffer));
    writer->done = 0;
    if (writer->size == 0)
        return;
    if (config->hooks != NULL && config->hooks->log_out != NULL)
        config->hooks->log_out(config->hooks, shard->index, writer->buffer, writer->size);
    else if (!config->simulated)
        write_rest(writer);
}

bool log_writer_cancel(struct log_writer *writer)
{
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

#include "store/read_writer.h"

#include <errno.h>

#include "runtime/sim_point.h"

/*
 * A step is one transaction: all logs in turn until the batch is full or nothing is left, then
 * the places, then the commit. Only then does the writer believe that it has read what it
 * read: after any error the follower goes back to what is committed.
 *
 * A file that vanishes while it is looked for is no error: the journal drops segments at any
 * time. It is tried again at once, a few times.
 */
enum { RACE_COUNT_MAX = 16 };
static const uint64_t NS_PER_MS = 1000000;

/* Where an error came from decides what it means. */
enum source {
    SOURCE_LOGS,
    SOURCE_DATABASE,
};

int read_writer_init(struct read_writer *writer, const struct read_writer_config *config,
                     char *text)
{
    int r;

    assert(config->log_count <= READ_LOG_COUNT_MAX);
    memset(writer, 0, sizeof(*writer));
    writer->backend = config->backend;
    writer->retain_ms = config->retain_ms;
    writer->log_count = config->log_count;
    writer->projection.backend = config->backend;
    clock_init(&writer->clock, config->clock_source);
    r = config->backend->vtable->load_places(config->backend, writer->committed, config->log_count);
    if (r < 0) {
        snprintf(text, READ_MODEL_TEXT_SIZE, "the read model's positions cannot be read: %s",
                 strerrordesc_np(-r));
        return r;
    }
    memcpy(writer->batch, writer->committed, sizeof(writer->batch));
    r = log_follower_init(&writer->follower, config->disk, config->data_path, config->uuid,
                          config->unsafe_storage, writer->committed, config->log_count);
    if (r < 0)
        snprintf(text, READ_MODEL_TEXT_SIZE, "no memory to read the logs with");
    return r;
}

void read_writer_deinit(struct read_writer *writer)
{
    log_follower_deinit(&writer->follower);
}

void read_writer_advance(struct read_writer *writer, uint32_t log, uint64_t lsn)
{
    log_follower_advance(&writer->follower, log, lsn);
}

bool read_writer_agrees(const struct read_writer *writer, uint32_t log, uint64_t lsn)
{
    assert(log < writer->log_count);
    return writer->committed[log].next_lsn <= lsn + 1;
}

/* ---- one batch ---- */

/* What a batch has taken so far, and how it went wrong, if it did. */
struct batch {
    uint32_t record_count;
    uint64_t byte_count;
    enum source source; /* of an error */
    bool is_full;
};

MUST_USE static int apply_group(struct read_writer *writer, const struct log_follower_group *group,
                                struct batch *batch)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < group->count; i++) {
        r = projection_apply(&writer->projection, &group->records[i]);
        batch->byte_count += group->records[i].payload.size;
    }
    batch->record_count += group->count;
    batch->is_full =
        batch->record_count >= READ_BATCH_RECORDS_MAX || batch->byte_count >= READ_BATCH_BYTES_MAX;
    return r;
}

/* Reads one log as far as it goes. 0 or -errno. */
MUST_USE static int read_log(struct read_writer *writer, uint32_t log, struct batch *batch)
{
    struct log_follower_group group;
    int r = 1;

    while (r == 1 && !batch->is_full) {
        batch->source = SOURCE_LOGS;
        r = log_follower_next(&writer->follower, log, &group);
        if (r != 1)
            break;
        batch->source = SOURCE_DATABASE;
        r = apply_group(writer, &group, batch);
        if (r == 0)
            r = 1;
    }
    return r < 0 ? r : 0;
}

/* Reads the logs that may be read now. 0 or -errno. */
MUST_USE static int read_logs(struct read_writer *writer, struct batch *batch)
{
    uint32_t log = 0;
    int r = 1;

    while (r == 1 && !batch->is_full) {
        batch->source = SOURCE_LOGS;
        r = log_follower_pick(&writer->follower, writer->turn % writer->log_count, &log);
        if (r != 1)
            break;
        r = read_log(writer, log, batch);
        if (r == 0)
            r = 1;
    }
    return r < 0 ? r : 0;
}

/*
 * Places move without records too: where a log's records are gone, up to where it ends perhaps,
 * and then no record would ever bring the new place along.
 */
MUST_USE static int put_places(struct read_writer *writer)
{
    struct read_backend *backend = writer->backend;
    int r = 0;

    for (uint32_t log = 0; r == 0 && log < writer->log_count; log++) {
        const struct read_place *place = log_follower_place(&writer->follower, log);

        writer->batch[log] = *place;
        if (place->next_lsn != writer->committed[log].next_lsn)
            r = backend->vtable->put_place(backend, place);
    }
    return r;
}

/* Reads, writes and commits one batch. 0 or -errno. */
MUST_USE static int run_batch(struct read_writer *writer, struct batch *batch)
{
    struct read_backend *backend = writer->backend;
    int r;

    writer->turn++;
    batch->source = SOURCE_DATABASE;
    r = backend->vtable->begin(backend);
    if (r == 0)
        r = read_logs(writer, batch);
    if (r == 0) {
        batch->source = SOURCE_DATABASE;
        r = put_places(writer);
    }
    if (r == 0)
        r = backend->vtable->commit(backend);
    if (r == 0) {
        memcpy(writer->committed, writer->batch, writer->log_count * sizeof(writer->batch[0]));
        writer->committed_skipped = writer->follower.skipped_count;
        writer->record_count += batch->record_count;
        return 0;
    }
    backend->vtable->roll_back(backend);
    memcpy(writer->batch, writer->committed, writer->log_count * sizeof(writer->batch[0]));
    log_follower_return(&writer->follower, writer->committed);
    writer->follower.skipped_count = writer->committed_skipped;
    return r;
}

/* ---- steps ---- */

static enum read_step fail(struct read_writer *writer, int error, enum source source)
{
    bool is_over = source == SOURCE_DATABASE && error == -EBADMSG;

    writer->due_ns = writer->clock.mono_ns + READ_RETRY_MS * NS_PER_MS;
    if (source == SOURCE_LOGS)
        snprintf(writer->text, sizeof(writer->text), "the logs cannot be followed: %.400s",
                 writer->follower.text[0] != 0 ? writer->follower.text : strerrordesc_np(-error));
    else if (is_over)
        snprintf(writer->text, sizeof(writer->text),
                 "the read model is damaged: stop weir and run `weir migrate --rebuild` to make it "
                 "anew from the logs");
    else
        snprintf(writer->text, sizeof(writer->text), "the read model cannot be written: %s",
                 strerrordesc_np(-error));
    return is_over ? READ_STEP_ENDED : READ_STEP_FAILED;
}

static enum read_step retain(struct read_writer *writer)
{
    struct read_backend *backend = writer->backend;
    bool more = false;
    int r;

    if (writer->retain_ms == 0 || writer->clock.mono_ns < writer->retain_due_ns)
        return READ_STEP_IDLE;
    r = backend->vtable->retain(backend, writer->projection.before_ms, &more);
    if (r < 0)
        return fail(writer, r, SOURCE_DATABASE);
    if (more)
        return READ_STEP_MORE;
    writer->retain_due_ns = writer->clock.mono_ns + READ_RETAIN_PERIOD_MS * NS_PER_MS;
    return READ_STEP_IDLE;
}

enum read_step read_writer_step(struct read_writer *writer)
{
    struct batch batch = {.record_count = 0};
    enum read_step step;
    int r = 0;

    clock_update(&writer->clock);
    if (writer->clock.unix_ms > writer->retain_ms && writer->retain_ms != 0)
        writer->projection.before_ms = writer->clock.unix_ms - writer->retain_ms;
    for (uint32_t i = 0; i < RACE_COUNT_MAX && log_follower_lag(&writer->follower) != 0; i++) {
        batch = (struct batch){.record_count = 0};
        r = run_batch(writer, &batch);
        if (batch.source != SOURCE_LOGS || (r != -ENOENT && r != -EAGAIN))
            break;
        SOMETIMES("a segment goes while the read model looks for it");
    }
    if (r < 0)
        return fail(writer, r, batch.source);
    writer->text[0] = 0;
    step = retain(writer);
    if (step == READ_STEP_FAILED || step == READ_STEP_ENDED)
        return step;
    writer->due_ns = writer->retain_ms != 0 ? writer->retain_due_ns : UINT64_MAX;
    return step == READ_STEP_MORE || log_follower_lag(&writer->follower) != 0 ? READ_STEP_MORE
                                                                              : READ_STEP_IDLE;
}

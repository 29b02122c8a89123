#include "actors/scrape.h"

#include <stdarg.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/memory.h"
#include "runtime/sim_point.h"

/*
 *     home: copies its own block --COPY--> every other shard copies its own
 *     home <--COPIED-- ... all: tells the connection, whose on_reply renders the sum
 *
 * The blocks of a scrape are the shards' to write until COPIED, then home's. Few
 * scrapes may run at once: their memory is shards times 76 KiB each.
 *
 * Breakers come and go, and a registry of series does not change: they are copied beside
 * the block and written behind the rest.
 */

/* What the route keeps in an exchange. */
struct scrape_note {
    struct scrape_request *request;
};

static struct scrape *scrape_of(struct actor *self)
{
    return ACTOR_CAST(self, struct scrape, SCRAPE_MAGIC);
}

/* What one shard is asked for. */
struct scrape_block {
    struct metrics metrics;
    struct breakers_samples breakers;
};

static size_t block_stride(void)
{
    return round_up_u64(sizeof(struct scrape_block), MEMORY_PAGE_SIZE);
}

static size_t blocks_size(const struct scrape *scrape)
{
    return block_stride() * scrape->home->app->shard_count * SCRAPE_REQUEST_COUNT_MAX;
}

static struct scrape_block *block_at(const struct scrape_request *request, uint32_t shard)
{
    const struct scrape *scrape = request->home;
    size_t index = (size_t)(request - scrape->requests) * scrape->home->app->shard_count + shard;

    return (struct scrape_block *)(void *)(scrape->blocks + index * block_stride());
}

/* Numbers that are kept elsewhere come in just before they are copied. */
static void copy_block(struct app_shard *home, struct scrape_block *block)
{
    struct metrics *metrics = &home->shard->metrics;
    const struct intake_metrics *series = &home->app->metrics.intake;
    struct dedup_stats stats;

    dedup_stats(home->intake.dedup, &stats);
    metrics_set(metrics, series->dedup_entries, stats.entry_count);
    metrics_set(metrics, series->dedup_evicted, stats.evicted_early_count);
    metrics_set(metrics, series->dedup_window,
                dedup_window_ms_effective(home->intake.dedup, home->shard->clock.unix_ms) *
                    1000000);
    read_watch_export(&home->read_watch);
    incidents_export(&home->incidents);
    shard_update_metrics(home->shard);
    memcpy(&block->metrics, metrics, sizeof(block->metrics));
    breakers_sample(&home->breakers, &block->breakers);
}

static void answer(struct scrape_request *request)
{
    struct scrape *scrape = request->home;

    request->is_decided = true;
    if (request->abandoned)
        request->is_used = false;
    else
        outbox_send(&scrape->outbox, &scrape->actor, request->connection, MSG_SCRAPE_ANSWER,
                    request->token, request);
}

static int receive(struct actor *self, const struct message *msg)
{
    struct scrape *scrape = scrape_of(self);
    struct scrape_request *request;

    switch (msg->type) {
    case MSG_SCRAPE_COPY:
        request = outbox_lent(msg);
        copy_block(scrape->home, block_at(request, self->shard->index));
        outbox_send(&scrape->outbox, self, msg->from, MSG_SCRAPE_COPIED, 0, request);
        return ACTOR_OK;
    case MSG_SCRAPE_COPIED:
        request = outbox_lent(msg);
        assert(request->home == scrape);
        assert(request->waiting_count > 0);
        if (--request->waiting_count == 0)
            answer(request);
        return ACTOR_OK;
    case MSG_TIMER:
        return outbox_on_timer(&scrape->outbox, self, msg->as.timer.timer) ? ACTOR_OK
                                                                           : ACTOR_UNHANDLED;
    case MSG_STOP:
        return ACTOR_STOP;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    outbox_init(&scrape_of(self)->outbox, self);
    return 0;
}

const struct actor_type scrape_type = {
    .name = "scrape",
    .start = start,
    .receive = receive,
    .mailbox_max = 1024,
};

int scrape_init(struct scrape *scrape, struct app_shard *home)
{
    memset(scrape, 0, sizeof(*scrape));
    scrape->home = home;
    for (uint32_t i = 0; i < SCRAPE_REQUEST_COUNT_MAX; i++)
        scrape->requests[i].home = scrape;
    return memory_map(blocks_size(scrape), &scrape->blocks);
}

void scrape_deinit(struct scrape *scrape)
{
    if (scrape->blocks == NULL)
        return; /* nor is there a home, when a start ended before scrape_init() */
    memory_unmap(&scrape->blocks, blocks_size(scrape));
}

/* --- the route ------------------------------------------------------------ */

int scrape_on_head(struct exchange *x)
{
    (void)x;
    return EXCHANGE_READ_BODY;
}

static struct scrape_request *acquire(struct scrape *scrape)
{
    for (uint32_t i = 0; i < SCRAPE_REQUEST_COUNT_MAX; i++) {
        struct scrape_request *request = &scrape->requests[i];

        if (request->is_used)
            continue;
        request->is_used = true;
        request->is_decided = false;
        request->abandoned = false;
        return request;
    }
    return NULL;
}

int scrape_on_request(struct exchange *x)
{
    struct app_shard *home = app_shard_of(x);
    struct scrape *scrape = &home->scrape;
    struct app *app = home->app;
    struct exchange_problem_options retry = {.retry_after_s = 1};
    struct scrape_request *request = FAILPOINT("no scrape is free") ? NULL : acquire(scrape);

    if (request == NULL)
        return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    request->connection = x->actor->id;
    request->token = x->token;
    EXCHANGE_NOTE(x, struct scrape_note)->request = request;
    request->waiting_count = app->shard_count - 1;
    copy_block(home, block_at(request, home->shard->index));
    for (uint32_t i = 0; i < app->shard_count; i++)
        if (i != home->shard->index)
            outbox_send(&scrape->outbox, &scrape->actor, app->shards[i].scrape.actor.id,
                        MSG_SCRAPE_COPY, 0, request);
    if (request->waiting_count == 0)
        answer(request);
    return EXCHANGE_PENDING;
}

/* Adds at *size what there is room for. */
PRINTF_LIKE(4, 5)
static void add_text(char *text, size_t capacity, size_t *size, const char *format, ...)
{
    va_list arguments;
    int added;

    va_start(arguments, format);
    added = vsnprintf(text + *size, capacity - *size, format, arguments);
    va_end(arguments);
    assert(added >= 0);
    assert((size_t)added < capacity - *size); /* SCRAPE_TEXT_SIZE_MAX has room for all of it */
    *size += (size_t)added;
}

/* The first breakers by name, the others as one. Returns the size. */
static int64_t write_breakers(const struct scrape_request *request, char *text, size_t capacity)
{
    uint32_t shard_count = request->home->home->app->shard_count;
    uint32_t named = 0, other_count = 0, other_sum = 0;
    size_t size = 0;

    add_text(text, capacity, &size,
             "# HELP weir_breaker_state Of each project and destination: 0 closed, 1 open, 2 "
             "half-open.\n# TYPE weir_breaker_state gauge\n");
    for (uint32_t i = 0; i < shard_count; i++) {
        const struct breakers_samples *samples = &block_at(request, i)->breakers;

        other_count += samples->other_count;
        other_sum += samples->other_sum;
        for (uint32_t n = 0; n < samples->count; n++) {
            if (named++ < BREAKERS_SAMPLE_MAX) {
                add_text(text, capacity, &size, "weir_breaker_state{name=\"%s\"} %u\n",
                         samples->samples[n].name, samples->samples[n].state);
            } else {
                other_count++;
                other_sum += samples->samples[n].state;
            }
        }
    }
    if (other_count > 0)
        add_text(text, capacity, &size, "weir_breaker_state{name=\"other\"} %u\n", other_sum);
    return (int64_t)size;
}

int scrape_on_reply(struct exchange *x, const struct message *msg)
{
    struct scrape_note *note = EXCHANGE_NOTE(x, struct scrape_note);
    struct scrape_request *request = note->request;
    struct app_shard *home = app_shard_of(x);
    const struct metrics *blocks[SHARD_COUNT_MAX];
    struct response response = {
        .status = 200, .content_type = SLICE_LITERAL("text/plain; version=0.0.4; charset=utf-8")};
    struct exchange_problem_options retry = {.retry_after_s = 1};
    struct buffer *text = NULL;
    int64_t size;
    int r;

    if (msg->type != MSG_SCRAPE_ANSWER || request == NULL)
        return EXCHANGE_PENDING;
    for (uint32_t i = 0; i < home->app->shard_count; i++)
        blocks[i] = &block_at(request, i)->metrics;
    r = buffer_acquire(home->buffers, SCRAPE_TEXT_SIZE_MAX, &text);
    if (r < 0) {
        r = exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    } else {
        size = metrics_render(home->app->registry, blocks, home->app->shard_count, text->data,
                              text->capacity);
        assert(size >= 0); /* METRICS_SERIES_MAX lines fit */
        size += write_breakers(request, text->data + size, text->capacity - (size_t)size);
        response.body = (struct slice){text->data, (size_t)size};
        r = exchange_respond(x, &response);
        buffer_unref(&text);
    }
    request->is_used = false;
    note->request = NULL;
    return r;
}

void scrape_on_abandon(struct exchange *x)
{
    struct scrape_note *note = EXCHANGE_NOTE(x, struct scrape_note);

    if (note->request == NULL)
        return;
    if (note->request->is_decided)
        note->request->is_used = false;
    else
        note->request->abandoned = true;
    note->request = NULL;
}

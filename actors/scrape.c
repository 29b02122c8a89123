#include "actors/scrape.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/memory.h"
#include "runtime/sim_point.h"

/*
 *     home: copies its own block --COPY--> every other shard copies its own
 *     home <--COPIED-- ... all: tells the connection, whose on_reply renders the sum
 *
 * The blocks of a scrape are the shards' to write until COPIED, then home's. Few
 * scrapes may run at once: their memory is shards times 64 KiB each.
 */

/* What the route keeps in an exchange. */
struct scrape_note {
    struct scrape_request *request;
};

static struct scrape *scrape_of(struct actor *self)
{
    return ACTOR_CAST(self, struct scrape, SCRAPE_MAGIC);
}

static size_t block_stride(void)
{
    return round_up_u64(sizeof(struct metrics), MEMORY_PAGE_SIZE);
}

static size_t blocks_size(const struct scrape *scrape)
{
    return block_stride() * scrape->home->app->shard_count * SCRAPE_REQUEST_COUNT_MAX;
}

static struct metrics *block_at(const struct scrape_request *request, uint32_t shard)
{
    const struct scrape *scrape = request->home;
    size_t index = (size_t)(request - scrape->requests) * scrape->home->app->shard_count + shard;

    return (struct metrics *)(void *)(scrape->blocks + index * block_stride());
}

/* Numbers that are kept elsewhere come in just before they are copied. */
static void copy_block(struct app_shard *home, struct metrics *block)
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
    shard_update_metrics(home->shard);
    memcpy(block, metrics, sizeof(*block));
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
        blocks[i] = block_at(request, i);
    r = buffer_acquire(home->buffers, SCRAPE_TEXT_SIZE_MAX, &text);
    if (r < 0) {
        r = exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    } else {
        size = metrics_render(home->app->registry, blocks, home->app->shard_count, text->data,
                              text->capacity);
        assert(size >= 0); /* METRICS_SERIES_MAX lines fit */
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

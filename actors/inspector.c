/*
 *     home: its own block --INSPECT_DO--> every other shard fills its block
 *     home <--INSPECT_DONE-- ... all: tells the connection
 *
 * A block is its shard's to write until DONE, then home's. Examinations of one shard are
 * carried out one after the other, a part each millisecond: they share the auditor.
 */
#include "actors/inspector.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/memory.h"
#include "runtime/sim_point.h"

static struct inspector *inspector_of(struct actor *self)
{
    return ACTOR_CAST(self, struct inspector, INSPECTOR_MAGIC);
}

static size_t block_stride(void)
{
    return round_up_u64(sizeof(struct inspection_block), MEMORY_PAGE_SIZE);
}

uint64_t inspector_memory_size(uint32_t shard_count)
{
    return block_stride() * shard_count * INSPECTION_COUNT_MAX;
}

static struct inspection_block *block_at(const struct inspection *inspection, uint32_t shard)
{
    const struct inspector *home = inspection->home;
    size_t index = (size_t)(inspection - home->inspections) * home->home->app->shard_count + shard;

    assert(shard < home->home->app->shard_count);
    return (struct inspection_block *)(void *)(home->blocks + index * block_stride());
}

/* --- at home ------------------------------------------------------------------------- */

static void on_part_done(struct inspection *inspection)
{
    struct inspector *home = inspection->home;

    assert(inspection->is_used);
    assert(inspection->waiting_count > 0);
    if (--inspection->waiting_count > 0)
        return;
    inspection->is_decided = true;
    if (inspection->abandoned)
        inspection->is_used = false;
    else
        outbox_send(&home->outbox, &home->actor, inspection->connection, MSG_INSPECT_ANSWER,
                    inspection->token, inspection);
}

struct inspection *inspection_acquire(struct inspector *home, struct exchange *exchange)
{
    for (uint32_t i = 0; i < INSPECTION_COUNT_MAX; i++) {
        struct inspection *inspection = &home->inspections[i];

        if (inspection->is_used || FAILPOINT("no inspection is free"))
            continue;
        *inspection = (struct inspection){
            .home = home,
            .connection = exchange->actor->id,
            .token = exchange->token,
            .is_used = true,
        };
        return inspection;
    }
    return NULL;
}

void inspection_release(struct inspection **inspection)
{
    assert((*inspection)->is_decided);
    (*inspection)->is_used = false;
    *inspection = NULL;
}

void inspection_abandon(struct inspection **inspection)
{
    if ((*inspection)->is_decided)
        (*inspection)->is_used = false;
    else
        (*inspection)->abandoned = true;
    *inspection = NULL;
}

const struct shard_view *inspection_view(const struct inspection *inspection, uint32_t shard)
{
    assert(inspection->is_decided);
    assert(inspection->kind == INSPECTION_RUNTIME);
    return &block_at(inspection, shard)->view;
}

const struct examination *inspection_examination(const struct inspection *inspection,
                                                 uint32_t shard)
{
    assert(inspection->is_decided);
    assert(inspection->kind == INSPECTION_DOCTOR);
    return &block_at(inspection, shard)->examination;
}

/* --- on each shard ------------------------------------------------------------------- */

static void finish_part(struct inspector *inspector, struct inspection *inspection)
{
    if (inspection->home == inspector)
        on_part_done(inspection);
    else
        outbox_send(&inspector->outbox, &inspector->actor, inspection->home->actor.id,
                    MSG_INSPECT_DONE, 0, inspection);
}

static void do_part(struct inspector *inspector, struct inspection *inspection)
{
    struct inspection_block *block = block_at(inspection, inspector->actor.shard->index);

    block->inspection = inspection;
    switch (inspection->kind) {
    case INSPECTION_RUNTIME:
        shard_view_take(inspector->home, &inspection->filter, &block->view);
        finish_part(inspector, inspection);
        return;
    case INSPECTION_DOCTOR:
        examination_begin(&block->examination, inspector->home);
        list_push_back(&inspector->examinations, &block->examination.link);
        actor_timer_start(&inspector->actor, &inspector->timer, INSPECTION_STEP_MS);
        return;
    }
}

void inspection_submit(struct inspection *inspection)
{
    struct inspector *home = inspection->home;
    struct app *app = home->home->app;

    inspection->waiting_count = app->shard_count;
    for (uint32_t i = 0; i < app->shard_count; i++)
        if (i != home->actor.shard->index)
            outbox_send(&home->outbox, &home->actor, app->shards[i].inspector.actor.id,
                        MSG_INSPECT_DO, 0, inspection);
    do_part(home, inspection);
}

static void on_step(struct inspector *inspector)
{
    struct examination *first;

    if (list_is_empty(&inspector->examinations))
        return;
    first = container_of(inspector->examinations.next, struct examination, link);
    if (examination_step(first, inspector->home)) {
        list_remove(&first->link);
        finish_part(inspector,
                    container_of(first, struct inspection_block, examination)->inspection);
    }
    if (!list_is_empty(&inspector->examinations))
        actor_timer_start(&inspector->actor, &inspector->timer, INSPECTION_STEP_MS);
}

/* --- the actor ------------------------------------------------------------------------ */

static int receive(struct actor *self, const struct message *msg)
{
    struct inspector *inspector = inspector_of(self);

    switch (msg->type) {
    case MSG_INSPECT_DO:
        do_part(inspector, outbox_lent(msg));
        return ACTOR_OK;
    case MSG_INSPECT_DONE:
        on_part_done(outbox_lent(msg));
        return ACTOR_OK;
    case MSG_TIMER:
        if (!outbox_on_timer(&inspector->outbox, self, msg->as.timer.timer))
            on_step(inspector);
        return ACTOR_OK;
    case MSG_STOP:
        return ACTOR_STOP;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct inspector *inspector = inspector_of(self);

    outbox_init(&inspector->outbox, self);
    actor_timer_init(self, &inspector->timer);
    list_init(&inspector->examinations);
    return 0;
}

const struct actor_type inspector_type = {
    .name = "inspector",
    .start = start,
    .receive = receive,
    .mailbox_max = 1024,
};

int inspector_init(struct inspector *inspector, struct app_shard *home)
{
    memset(inspector, 0, sizeof(*inspector));
    inspector->home = home;
    return memory_map(inspector_memory_size(home->app->shard_count), &inspector->blocks);
}

void inspector_deinit(struct inspector *inspector)
{
    if (inspector->blocks != NULL)
        memory_unmap(&inspector->blocks, inspector_memory_size(inspector->home->app->shard_count));
}

#include <errno.h>

#include "actors/app.h"
#include "actors/job_desk.h"
#include "runtime/sim_point.h"

/*
 * What the log says of jobs becomes true here, once it is durable and again after a start: jobs,
 * facts about them, settings of queues. All the table's changes of state come through apply();
 * what only follows from it (metrics, cached bodies, who is woken) is left out in recovery.
 */

static struct app *app_of(const struct job_desk *desk)
{
    return desk->home->app;
}

/* What the table is told in recovery is of no matter: it goes by the log then. */
static uint64_t apply_time(const struct job_desk *desk, const struct durable_fact *fact)
{
    /* The boot thread must not read the shard's clock. */
    return fact->is_recovery ? desk->anchor_unix_ms : job_desk_now(desk);
}

static void count_fact(struct job_desk *desk, const struct job_fact_header *header)
{
    const struct job_metrics *series = &app_of(desk)->metrics.jobs;
    struct metrics *metrics = &desk->home->shard->metrics;

    switch ((enum job_fact_kind)header->kind) {
    case JOB_FACT_COMPLETED:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_COMPLETED], 1);
        break;
    case JOB_FACT_RETRY:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_FAILED], 1);
        break;
    case JOB_FACT_DEAD:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_DEAD], 1);
        metrics_add(metrics, series->dead[header->reason], 1);
        metrics_add(metrics, series->letters[header->reason], 1);
        break;
    case JOB_FACT_CANCELLED:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_CANCELLED], 1);
        break;
    case JOB_FACT_REPLAYED:
        metrics_add(metrics, series->outcome[JOB_OUTCOME_REPLAYED], 1);
        break;
    case JOB_FACT_PROGRESS:
    case JOB_FACT_DROPPED:
    case JOB_FACT_BLAMED:
    case JOB_FACT_KIND_COUNT:
        break;
    }
}

MUST_USE static int apply_job(struct job_desk *desk, const struct durable_fact *fact)
{
    struct job_image image;
    struct job_ref ref;
    int r = job_image_decode(fact->payload, &image);

    if (r < 0)
        return r;
    r = job_table_apply_job(desk->table, &image, fact->location, fact->size,
                            apply_time(desk, fact));
    if (r < 0 || fact->is_recovery)
        return r;
    if ((image.header.flags & JOB_FLAG_CARRIED) != 0)
        return 0;
    metrics_add(&desk->home->shard->metrics,
                app_of(desk)->metrics.jobs.outcome[JOB_OUTCOME_ENQUEUED], 1);
    if (job_table_find(desk->table, image.header.id_low, &ref))
        job_table_set_cache(desk->table, ref,
                            job_body_cache_put(&desk->bodies, image.header.id_low, fact->payload));
    return 0;
}

MUST_USE static int apply_fact(struct job_desk *desk, const struct durable_fact *fact)
{
    struct job_fact decoded;
    int r = job_fact_decode(fact->payload, &decoded);

    if (r < 0)
        return r;
    job_table_apply_fact(desk->table, &decoded, fact->location, apply_time(desk, fact));
    if (fact->is_recovery)
        return 0;
    count_fact(desk, &decoded.header);
    job_handlers_on_fact(&desk->handlers, decoded.header.id_low,
                         (enum job_fact_kind)decoded.header.kind);
    return 0;
}

MUST_USE static int apply_queue(struct job_desk *desk, const struct durable_fact *fact)
{
    struct job_queue_record record;
    struct job_queue *queue;
    int r = job_queue_record_decode(fact->payload, &record);

    if (r < 0)
        return r;
    queue = job_table_queue(desk->table, record.org, record.project, record.kind, true);
    if (queue == NULL)
        return -ENOSPC;
    if (fact->is_recovery && MUTANT("job_settings_lost_on_recovery"))
        return 0;
    job_table_apply_queue(desk->table, queue, &record.settings, fact->location);
    return 0;
}

static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    switch (fact->type) {
    case RECORD_JOB:
        return apply_job(desk, fact);
    case RECORD_JOB_FACT:
        return apply_fact(desk, fact);
    case RECORD_JOB_QUEUE:
        return apply_queue(desk, fact);
    default:
        return -EPROTO;
    }
}

/* Both kinds of record begin with the id. */
static void expect(struct durable *self, const struct journal_record_view *record, bool is_near)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);
    uint64_t id_low;

    static_assert(offsetof(struct job_image_header, id_low) == 0, "its first word");
    static_assert(offsetof(struct job_fact_header, id_low) == 0, "its first word");
    if (record->type == RECORD_JOB_QUEUE || record->payload.size < sizeof(id_low))
        return;
    memcpy(&id_low, record->payload.data, sizeof(id_low));
    job_table_expect(desk->table, id_low, is_near);
}

/*
 * A million jobs take their places: too long for a turn of the shard. Its clock is not this
 * thread's to read; what became due since the process began is found by the first look.
 */
static void settle(struct durable *self)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    desk->live_count = job_table_resume(desk->table, desk->anchor_unix_ms);
}

static void resume(struct durable *self)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    desk->is_resumed = true;
    if (desk->live_count > 0)
        log_event(&desk->home->shard->log, LOG_INFO, "jobs", "jobs go on",
                  LOG_NUMBER("live", desk->live_count),
                  LOG_NUMBER("shard", desk->home->shard->index));
    actor_timer_start(&desk->actor, &desk->tidy_timer, JOB_TIDY_MS);
    job_handlers_blame(desk);
    job_desk_wake(desk);
}

static void carry(struct durable *self, uint32_t log, uint64_t seq)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    job_carrier_carry(&desk->carrier, desk, log, seq);
}

static void on_room(struct durable *self)
{
    struct job_desk *desk = container_of(self, struct job_desk, durable);

    job_carrier_on_room(&desk->carrier, desk);
}

static uint64_t live_bytes(struct durable *self)
{
    struct job_table_stats stats;

    job_table_stats(container_of(self, struct job_desk, durable)->table, &stats);
    return stats.live_bytes;
}

const struct durable_type job_durable_type = {
    .name = "jobs",
    .record_first = RECORD_JOB,
    .record_last = RECORD_JOB_QUEUE,
    .version_max = JOB_RECORD_VERSION,
    .apply = apply,
    .expect = expect,
    .settle = settle,
    .resume = resume,
    .carry_up_to = carry,
    .live_bytes = live_bytes,
    .on_room = on_room,
};

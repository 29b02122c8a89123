#include "tools/sim/sim_job_queues.h"

void sim_job_queue_change(struct sim_job_queue *queue, const struct sim_job_settings *settings)
{
    assert(!queue->is_changing);
    queue->changing = *settings;
    queue->is_changing = true;
}

void sim_job_queue_changed(struct sim_job_queue *queue, uint64_t tick, uint32_t life)
{
    assert(queue->is_changing);
    queue->is_changing = false;
    queue->settings = queue->changing;
    queue->since_tick = tick;
    /* A change that was lost in an earlier life cannot come any more. */
    if (queue->is_doubtful && queue->doubt_life != life)
        queue->is_doubtful = false;
}

void sim_job_queue_refused(struct sim_job_queue *queue)
{
    assert(queue->is_changing);
    queue->is_changing = false;
}

void sim_job_queue_in_doubt(struct sim_job_queue *queue, uint32_t life)
{
    assert(queue->is_changing);
    queue->is_changing = false;
    queue->is_doubtful = true;
    queue->doubt_life = life;
}

static uint32_t limit_of(const struct sim_job_settings *settings)
{
    return settings->concurrency == 0 ? UINT32_MAX : settings->concurrency;
}

uint32_t sim_job_queue_concurrency(const struct sim_job_queue *queue, uint64_t tick)
{
    uint32_t limit = limit_of(&queue->settings);

    if (queue->is_doubtful || queue->since_tick > tick)
        return UINT32_MAX;
    return queue->is_changing && limit_of(&queue->changing) > limit ? limit_of(&queue->changing)
                                                                    : limit;
}

bool sim_job_queue_is_paused(const struct sim_job_queue *queue, uint64_t tick)
{
    return !queue->is_doubtful && !queue->is_changing && queue->settings.is_paused &&
           queue->since_tick < tick;
}

bool sim_job_queue_is_draining(const struct sim_job_queue *queue, uint64_t tick)
{
    return !queue->is_doubtful && !queue->is_changing && queue->settings.is_draining &&
           queue->since_tick < tick;
}

bool sim_job_queue_may_be_full(const struct sim_job_queue *queue, uint64_t tick)
{
    return queue->is_doubtful || queue->settings.depth_max != 0 || queue->since_tick > tick ||
           (queue->is_changing && queue->changing.depth_max != 0);
}

bool sim_job_queue_may_be_draining(const struct sim_job_queue *queue, uint64_t tick)
{
    return queue->is_doubtful || queue->settings.is_draining || queue->since_tick > tick ||
           (queue->is_changing && queue->changing.is_draining);
}

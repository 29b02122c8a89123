#include "actors/job_internal.h"

#include "actors/app.h"
#include "runtime/sim_point.h"

/*
 * As job_commands.c does it for clients, without all that only clients ask for: no batch,
 * no flow, no unique key (the caller's own facts say what has happened already).
 */

/* The image as the table admits it; slices are the wish's. */
static void fill_image(const struct job_desk *desk, const struct job_wish *wish,
                       const struct job_internal *job, struct job_image *ret_image)
{
    uint64_t now_ms = job_desk_now(desk);

    *ret_image =
        (struct job_image){.header = {.id_low = job->id.id_low,
                                      .created_ms = now_ms,
                                      .due_ms = now_ms + wish->delay_ms,
                                      .timeout_ms = wish->timeout_ms,
                                      .state = wish->delay_ms > 0 ? JOB_SCHEDULED : JOB_QUEUED,
                                      .priority = wish->priority,
                                      .max_attempts = wish->max_attempts},
                           .sections = {
                               [JOB_SECTION_ORG] = wish->org,
                               [JOB_SECTION_PROJECT] = wish->project,
                               [JOB_SECTION_KIND] = wish->kind,
                               [JOB_SECTION_KEY] = wish->key,
                               [JOB_SECTION_CORRELATION] = wish->correlation,
                               [JOB_SECTION_PAYLOAD] = wish->payload,
                           }};
}

enum job_admission job_internal_prepare(struct job_internal *job, struct job_desk *desk,
                                        const struct job_wish *wish,
                                        struct journal_record *ret_record)
{
    struct job_queue *queue =
        job_table_queue(desk->table, wish->org, wish->project, wish->kind, true);
    struct job_image image;
    enum job_admission admission;

    assert(desk->is_resumed);
    assert(job_desk_of_project(desk->home, wish->org, wish->project) == desk);
    if (queue == NULL)
        return JOB_QUEUE_FULL;
    memset(job, 0, sizeof(*job));
    job->id = job_id_make(job_desk_now(desk), queue->partition, rng_next(&desk->home->shard->rng));
    fill_image(desk, wish, job, &image);
    if (buffer_acquire(desk->home->buffers, job_image_size(&image), &job->encoded) < 0) {
        SOMETIMES("a job of our own finds no buffer");
        return JOB_TABLE_FULL;
    }
    admission = job_table_admit(desk->table, queue, &image, job_desk_now(desk), &job->ref);
    if (admission != JOB_ADMITTED) {
        buffer_unref(&job->encoded);
        return admission;
    }
    job->desk = desk;
    job->part = (struct slice){job->encoded->data, job_image_encode(&image, job->encoded->data)};
    job_desk_fill_record(desk, job->ref, RECORD_JOB, &job->part, ret_record);
    return JOB_ADMITTED;
}

void job_internal_withdraw(struct job_internal *job)
{
    assert(job->desk != NULL);
    job_table_withdraw(job->desk->table, job->ref);
    buffer_unref(&job->encoded);
    job->desk = NULL;
}

void job_internal_done(struct job_internal *job, enum durable_outcome outcome)
{
    struct job_desk *desk = job->desk;

    if (desk == NULL)
        return;
    buffer_unref(&job->encoded);
    job->desk = NULL;
    if (outcome == DURABLE_DONE)
        job_desk_wake(desk);
}

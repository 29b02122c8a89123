#include "actors/job_step.h"

#include "actors/app.h"
#include "runtime/sim_point.h"

/*
 * A job is claimed for its fact first, so that nobody else writes one meanwhile. Where a fact
 * finds no memory or no journal the claim is given back, and the table names the job again.
 */

static void on_step_done(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_step *it = container_of(step, struct job_step, step);
    struct job_desk *desk = it->desk;
    void *slot = it;

    if (outcome == DURABLE_DONE && it->crumb != 0)
        breadcrumbs_pick_up_blamed(&desk->home->app->breadcrumbs, desk->home->shard->index,
                                   it->crumb - 1);
    pool_release(&desk->steps, &slot);
    if (outcome == DURABLE_DONE)
        job_desk_wake(desk);
}

/* Writes a fact about a job that has been claimed for it; gives the claim back if it cannot. */
static void write_step(struct job_desk *desk, struct job_ref ref, struct job_fact_header header,
                       struct slice text, uint32_t crumb)
{
    struct job_step *it = FAILPOINT("no job step is free") ? NULL : pool_acquire(&desk->steps);
    struct job_fact fact = {.header = header, .text = text};

    if (it == NULL) {
        job_table_unclaim(desk->table, ref); /* the table names it again */
        return;
    }
    assert(text.size <= JOB_STEP_TEXT_MAX);
    memset(it, 0, offsetof(struct job_step, bytes));
    it->desk = desk;
    it->ref = ref;
    it->crumb = crumb;
    it->part = (struct slice){it->bytes, job_fact_encode(&fact, it->bytes)};
    job_desk_fill_record(desk, ref, RECORD_JOB_FACT, &it->part, &it->record);
    it->step = (struct durable_step){
        .on_done = on_step_done,
        .records = &it->record,
        .record_count = 1,
        .flags = JOURNAL_IMPORTANT,
    };
    if (!durable_commit_later(&desk->home->keeper.durables, &it->step)) {
        void *slot = it;

        job_table_unclaim(desk->table, ref);
        pool_release(&desk->steps, &slot);
    }
}

static void write_fact(struct job_desk *desk, struct job_ref ref, struct job_fact_header header,
                       struct slice text)
{
    write_step(desk, ref, header, text, 0);
}

void job_step_write_blame(struct job_desk *desk, struct job_ref ref, struct job_fact_header header,
                          struct slice text, uint32_t slot)
{
    write_step(desk, ref, header, text, slot + 1);
}

/* Its lease is over: nobody answered for it. */
static void expire(struct job_desk *desk, struct job_ref ref)
{
    static const struct slice text =
        SLICE_INITIALIZER("the lease expired: its worker did not answer");
    struct job_fact_header header;
    struct job_view view;

    job_table_view(desk->table, ref, &view);
    job_command_judge_failure(desk, &view, true, 0, JOB_DEAD_LEASE_EXPIRED, &header);
    if (job_table_claim(desk->table, view.id_low, true, view.epoch, (enum job_fact_kind)header.kind,
                        &ref) == JOB_CLAIMED)
        write_fact(desk, ref, header, text);
}

static void kill_job(struct job_desk *desk, struct job_ref ref, enum job_dead_reason reason,
                     struct slice text)
{
    struct job_fact_header header = {
        .at_ms = job_desk_now(desk), .kind = JOB_FACT_DEAD, .reason = (uint8_t)reason};
    struct job_view view;

    job_table_view(desk->table, ref, &view);
    header.id_low = view.id_low;
    header.link = view.epoch;
    header.attempt = view.attempt;
    header.crash_count = view.crash_count;
    if (job_table_claim(desk->table, view.id_low, false, 0, JOB_FACT_DEAD, &ref) == JOB_CLAIMED)
        write_fact(desk, ref, header, text);
}

void job_step_do_due(struct job_desk *desk)
{
    static const struct slice text = SLICE_INITIALIZER("the deadline has passed");
    struct job_ref ref;

    for (uint32_t i = 0; i < JOB_DUE_MAX; i++) {
        switch (job_table_due(desk->table, job_desk_now(desk), &ref)) {
        case JOB_DUE_NONE:
            return;
        case JOB_DUE_READY:
            break;
        case JOB_DUE_EXPIRED:
            SOMETIMES("a lease expires");
            expire(desk, ref);
            break;
        case JOB_DUE_DEADLINE:
            SOMETIMES("a job's deadline passes");
            kill_job(desk, ref, JOB_DEAD_DEADLINE, text);
            break;
        }
    }
}

void job_step_do_failed(struct job_desk *desk)
{
    static const struct slice text = SLICE_INITIALIZER("a job that it comes after has failed");
    struct job_ref ref;

    for (uint32_t i = 0; i < JOB_DUE_MAX; i++) {
        ref = job_table_next_failed(desk->table);
        if (ref.index == JOB_REF_NONE.index)
            return;
        SOMETIMES("a job fails with one that it comes after");
        kill_job(desk, ref, JOB_DEAD_DEPENDENCY, text);
    }
}

void job_step_drop_dead(struct job_desk *desk)
{
    struct job_fact_header header = {.at_ms = job_desk_now(desk), .kind = JOB_FACT_DROPPED};
    struct job_view view;

    for (uint32_t i = 0; i < JOB_DUE_MAX; i++) {
        struct job_ref ref = job_table_expired_dead(desk->table, job_desk_now(desk));

        if (ref.index == JOB_REF_NONE.index)
            return;
        job_table_view(desk->table, ref, &view);
        header.id_low = view.id_low;
        if (job_table_claim(desk->table, view.id_low, false, 0, JOB_FACT_DROPPED, &ref) !=
            JOB_CLAIMED)
            return;
        SOMETIMES("a dead letter is dropped by age");
        write_fact(desk, ref, header, (struct slice){NULL, 0});
    }
}

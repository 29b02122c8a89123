/*
 * Edges are in two lists: that of the earlier job, in both directions, those that were
 * followed before those that were not; and that of the later job, which has at most
 * JOB_AFTER_COUNT_MAX. A chain of jobs that fail is worked off one at a time: each is
 * written DEAD, applied, and only then are its own edges followed.
 */
#include "store/job_flow.h"

#include <errno.h>

#include "runtime/sim_point.h"
#include "store/job_table_internals.h"

struct edge {
    uint32_t earlier;
    uint32_t later;
    uint32_t next; /* of the earlier job */
    uint32_t previous;
    uint32_t next_after; /* of the later job */
    bool is_followed;
};

static uint32_t edge_count_of(uint32_t job_count)
{
    return 2 * job_count + JOB_AFTER_COUNT_MAX;
}

int job_flow_init(struct job_table *table, uint32_t job_count_max)
{
    return job_pool_init(&table->edges, sizeof(struct edge), edge_count_of(job_count_max));
}

int job_flow_extend(struct job_table *table, uint32_t job_count_max)
{
    return job_pool_grow(&table->edges, edge_count_of(job_count_max));
}

bool job_flow_has_places(const struct job_table *table, uint32_t count)
{
    return count <= table->edges.item_count_max - table->edges.count;
}

static struct edge *edge_at(const struct job_table *table, uint32_t edge)
{
    return job_pool_at(&table->edges, edge);
}

bool job_flow_has_room(const struct job_table *table, uint32_t count)
{
    return (uint64_t)table->edges.count + count <= edge_count_of(table->config.job_count_max);
}

bool job_flow_has_work(const struct job_table *table)
{
    return table->resolving_first != 0;
}

bool job_flow_is_needed(const struct job_table *table, uint32_t index)
{
    const struct job_extra *extra = job_extra_of(table, job_at(table, index));

    return extra != NULL && (extra->first_dependent != 0 || extra->is_resolving);
}

/* True when those that come after it must know that it did not complete. */
static bool has_failed(const struct job *job)
{
    if (MUTANT("job_failure_not_passed_on"))
        return false;
    return job->state == JOB_DEAD || job->state == JOB_CANCELLED ||
           (job->state == JOB_PENDING && job_has(job, JOB_BIT_FAILED));
}

/* --- edges -------------------------------------------------------------------- */

static void add_edge(struct job_table *table, uint32_t earlier, uint32_t later)
{
    struct job_extra *from = job_extra_make(table, earlier), *to = job_extra_make(table, later);
    uint32_t at = job_pool_acquire(&table->edges);
    struct edge *edge;

    assert(at != 0);
    edge = edge_at(table, at);
    *edge = (struct edge){.earlier = earlier,
                          .later = later,
                          .previous = from->last_dependent,
                          .next_after = to->first_after};
    to->first_after = at;
    if (from->last_dependent == 0)
        from->first_dependent = at;
    else
        edge_at(table, from->last_dependent)->next = at;
    from->last_dependent = at;
    if (from->unresolved == 0)
        from->unresolved = at;
    to->after_pending++;
}

static void unlink_from_earlier(struct job_table *table, uint32_t at)
{
    struct edge *edge = edge_at(table, at);
    struct job_extra *from = job_extra_of(table, job_at(table, edge->earlier));

    if (from->unresolved == at)
        from->unresolved = edge->next;
    if (edge->previous == 0)
        from->first_dependent = edge->next;
    else
        edge_at(table, edge->previous)->next = edge->next;
    if (edge->next == 0)
        from->last_dependent = edge->previous;
    else
        edge_at(table, edge->next)->previous = edge->previous;
}

static void unlink_from_later(struct job_table *table, uint32_t at)
{
    struct edge *edge = edge_at(table, at);
    uint32_t *link = &job_extra_of(table, job_at(table, edge->later))->first_after;

    while (*link != at)
        link = &edge_at(table, *link)->next_after;
    *link = edge->next_after;
}

/* An ended job that nobody needs any more goes its way. */
static void release_earlier(struct job_table *table, uint32_t index)
{
    struct job_extra *extra = job_extra_of(table, job_at(table, index));

    if (extra->first_dependent != 0 || extra->is_resolving)
        return;
    if (extra->is_held) {
        extra->is_held = false;
        job_retire(table, index);
        return;
    }
    job_extra_trim(table, index);
}

static void remove_edge(struct job_table *table, uint32_t at)
{
    uint32_t earlier = edge_at(table, at)->earlier;

    unlink_from_earlier(table, at);
    unlink_from_later(table, at);
    job_pool_release(&table->edges, at);
    release_earlier(table, earlier);
}

/* The entry of a job that has not been read back yet: job_make_room() has seen to its place. */
static uint32_t expect_job(struct job_table *table, uint64_t id_low, uint32_t queue)
{
    uint32_t index = job_make(table, id_low, queue);

    assert(index != 0);
    SOMETIMES("recovery reads a job before one that it comes after");
    return index;
}

int job_flow_attach(struct job_table *table, uint32_t index, const struct job_image *image)
{
    struct job_extra *extra;

    if (image->header.on_failure == JOB_ON_FAILURE_NONE)
        return 0;
    if (!job_flow_has_places(table, image->after_count))
        return -ENOSPC;
    extra = job_extra_make(table, index);
    extra->on_failure = image->header.on_failure;
    extra->after_failed = image->header.after_failed_count;
    for (uint32_t i = 0; i < image->after_count; i++) {
        uint64_t id_low = job_image_after(image, i);
        uint32_t earlier = job_lookup(table, id_low);

        if (earlier == 0 && !table->is_recovering)
            continue;
        if (earlier == 0)
            earlier = expect_job(table, id_low, job_at(table, index)->queue);
        if (earlier == index)
            return -EBADMSG;
        add_edge(table, earlier, index);
        if (job_is_terminal(job_at(table, earlier)))
            job_flow_tell(table, earlier);
    }
    return 0;
}

void job_flow_end_waiting(struct job_table *table, uint32_t index)
{
    struct job_extra *extra = job_extra_of(table, job_at(table, index));

    if (extra == NULL)
        return;
    for (uint32_t i = 0; i <= JOB_AFTER_COUNT_MAX && extra->first_after != 0; i++)
        remove_edge(table, extra->first_after);
    assert(extra->first_after == 0);
    extra->after_pending = 0;
    extra->after_failed = 0;
    extra->on_failure = JOB_ON_FAILURE_NONE;
}

void job_flow_forget(struct job_table *table, uint32_t index)
{
    struct job_extra *extra = job_extra_of(table, job_at(table, index));

    if (extra == NULL)
        return;
    extra->is_held = false;
    assert(!extra->is_resolving);
    while (extra->first_dependent != 0) {
        uint32_t at = extra->first_dependent;
        struct edge *edge = edge_at(table, at);
        struct job *later = job_at(table, edge->later);
        uint32_t later_index = edge->later;

        if (!edge->is_followed)
            job_extra_of(table, later)->after_pending--;
        unlink_from_earlier(table, at);
        unlink_from_later(table, at);
        job_pool_release(&table->edges, at);
        if (later->state == JOB_WAITING)
            job_flow_settle(table, later_index);
    }
}

/* --- following ------------------------------------------------------------------ */

void job_flow_tell(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_of(table, job);

    if (extra == NULL || extra->unresolved == 0 || extra->is_resolving)
        return;
    if (job->state == JOB_CANCELLED && MUTANT("job_parent_not_released"))
        return;
    extra->is_resolving = true;
    if (table->resolving_first == 0)
        table->resolving_first = index;
    else
        job_extra_of(table, job_at(table, table->resolving_last))->resolving_next = index;
    table->resolving_last = index;
}

/* The first of the ended jobs has told everybody. */
static void end_telling(struct job_table *table)
{
    uint32_t index = table->resolving_first;
    struct job_extra *extra = job_extra_of(table, job_at(table, index));

    table->resolving_first = extra->resolving_next;
    if (table->resolving_first == 0)
        table->resolving_last = 0;
    extra->resolving_next = 0;
    extra->is_resolving = false;
    release_earlier(table, index);
}

static void follow(struct job_table *table, uint32_t at)
{
    struct edge *edge = edge_at(table, at);
    struct job *earlier = job_at(table, edge->earlier), *later = job_at(table, edge->later);
    struct job_extra *extra = job_extra_of(table, later);
    uint32_t later_index = edge->later;

    job_extra_of(table, earlier)->unresolved = edge->next;
    edge->is_followed = true;
    assert(extra->after_pending > 0);
    extra->after_pending--;
    if (has_failed(earlier))
        extra->after_failed++;
    /* It is ready since the last of them has ended. */
    if (earlier->when_ms > later->when_ms &&
        (later->state == JOB_WAITING || later->state == JOB_PENDING))
        job_set_when(later, earlier->when_ms);
    if (!has_failed(earlier))
        remove_edge(table, at);
    if (later->state == JOB_WAITING)
        job_flow_settle(table, later_index);
}

void job_flow_work(struct job_table *table, uint32_t step_max)
{
    for (uint32_t i = 0; i < step_max && table->resolving_first != 0; i++) {
        const struct job *job = job_at(table, table->resolving_first);
        uint32_t edge = job_extra_of(table, job)->unresolved;

        if (edge == 0)
            end_telling(table);
        else
            follow(table, edge);
    }
}

void job_flow_settle(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_extra *extra = job_extra_of(table, job);
    uint64_t when_ms = job->when_ms;

    assert(job->state == JOB_WAITING);
    if (table->is_recovering || job_has(job, JOB_BIT_FAILED))
        return;
    if (extra != NULL && extra->on_failure == JOB_ON_FAILURE_FAIL && extra->after_failed > 0) {
        SOMETIMES("a job fails because one that it comes after did");
        job_set(job, JOB_BIT_FAILED | JOB_BIT_LINKED);
        job_list_push_back(table, &table->failed, index);
        return;
    }
    if (extra != NULL && extra->after_pending > 0 && !MUTANT("job_child_too_early"))
        return;
    job_leave(table, index);
    if (when_ms > table->now_ms)
        job_enter_scheduled(table, index, when_ms);
    else
        job_enter_queued(table, index, when_ms, false);
}

uint32_t job_table_after(const struct job_table *table, struct job_ref ref, uint64_t *ret_ids)
{
    const struct job_extra *extra = job_extra_of(table, job_at(table, ref.index));
    uint32_t count = 0;

    if (extra == NULL)
        return 0;
    for (uint32_t at = extra->first_after; at != 0; at = edge_at(table, at)->next_after) {
        if (edge_at(table, at)->is_followed)
            continue;
        assert(count < JOB_AFTER_COUNT_MAX);
        ret_ids[count++] = job_at(table, edge_at(table, at)->earlier)->id_low;
    }
    return count;
}

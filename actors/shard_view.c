/*
 * The tree comes from supervisor_visit() in order, so actors of one kind come one after the
 * other and a line only has to look at the one before. What is written is bounded by the
 * bounds of the view: whoever provides the buffer multiplies the sizes in the header.
 */
#include "actors/shard_view.h"

#include "actors/app.h"
#include "actors/ranked_merge.h"
#include "contracts/json_member.h"

#define KEY(writer, literal) json_writer_key(writer, SLICE_LITERAL(literal))

/* --- the tree -------------------------------------------------------------------- */

struct tree_visitor {
    struct supervisor_visitor visitor;
    struct shard_view *view;
    uint64_t now_ns;
};

/* The line that this actor belongs to, blank when it is its first; NULL: no line is left. */
static struct shard_view_actor *line_of(struct shard_view *view,
                                        const struct supervisor_entry *entry)
{
    struct shard_view_actor *line = view->actors;

    if (view->actor_count > 0)
        line += view->actor_count - 1;
    if (line->type == entry->type_name && line->name == entry->name && line->depth == entry->depth)
        return line;
    if (view->actor_count == SHARD_VIEW_ACTOR_COUNT_MAX)
        return NULL;
    line = &view->actors[view->actor_count++];
    *line = (struct shard_view_actor){
        .name = entry->name,
        .type = entry->type_name,
        .state = actor_state_name(entry->state),
        .depth = entry->depth,
    };
    return line;
}

static void visit(struct supervisor_visitor *visitor, const struct supervisor_entry *entry)
{
    struct tree_visitor *tree = container_of(visitor, struct tree_visitor, visitor);
    struct shard_view_actor *line = line_of(tree->view, entry);
    uint64_t uptime_ns = tree->now_ns - min_u64(tree->now_ns, entry->started_ns);

    if (line == NULL) {
        tree->view->left_out_count++;
        return;
    }
    if (line->state != actor_state_name(entry->state))
        line->state = NULL;
    line->count++;
    line->mailbox_count += entry->mailbox_count;
    line->restart_count += entry->restart_count;
    line->child_count += entry->child_count;
    line->uptime_ms = max_u64(line->uptime_ms, uptime_ns / 1000000);
}

/* --- queues ---------------------------------------------------------------------- */

static bool is_shown(const struct shard_view_filter *filter, const struct job_queue *queue)
{
    if (filter->project_size == 0)
        return true;
    return slice_equal((struct slice){queue->project, queue->project_size},
                       (struct slice){filter->project, filter->project_size}) &&
           slice_equal((struct slice){queue->org, queue->org_size},
                       (struct slice){filter->org, filter->org_size});
}

static uint64_t depth_of(const struct job_queue *queue)
{
    uint64_t depth = 0;

    for (uint32_t i = JOB_SCHEDULED; i <= JOB_LEASED; i++)
        depth += queue->counts[i];
    return depth;
}

/* Keeps the deepest, in order. */
static void insert(const struct job_queue **queues, uint32_t *count, const struct job_queue *queue)
{
    uint32_t at;

    if (*count < SHARD_VIEW_QUEUE_COUNT_MAX)
        at = (*count)++;
    else if (depth_of(queue) > depth_of(queues[SHARD_VIEW_QUEUE_COUNT_MAX - 1]))
        at = SHARD_VIEW_QUEUE_COUNT_MAX - 1;
    else
        return;
    for (; at > 0 && depth_of(queue) > depth_of(queues[at - 1]); at--)
        queues[at] = queues[at - 1];
    queues[at] = queue;
}

static void copy_queue(struct job_desk *desk, const struct job_queue *queue,
                       struct shard_view_queue *line)
{
    job_desk_show_queue(desk, queue, &line->view);
    line->org_size = queue->org_size;
    line->project_size = queue->project_size;
    line->kind_size = queue->kind_size;
    memcpy(line->org, queue->org, queue->org_size);
    memcpy(line->project, queue->project, queue->project_size);
    memcpy(line->kind, queue->kind, queue->kind_size);
}

static void take_queues(struct job_desk *desk, const struct shard_view_filter *filter,
                        struct shard_view *view)
{
    const struct job_queue *deepest[SHARD_VIEW_QUEUE_COUNT_MAX];

    view->queue_total = job_table_queue_count(desk->table);
    for (uint32_t i = 0; i < view->queue_total; i++) {
        const struct job_queue *queue = job_table_queue_at(desk->table, i);

        if (is_shown(filter, queue))
            insert(deepest, &view->queue_count, queue);
    }
    for (uint32_t i = 0; i < view->queue_count; i++) {
        view->queue_depths[i] = depth_of(deepest[i]);
        copy_queue(desk, deepest[i], &view->queues[i]);
    }
}

/* --- taking ---------------------------------------------------------------------- */

static void take_journal(const struct keeper *keeper, struct shard_view *view)
{
    const struct journal *journal = keeper->logs[0].journal;

    view->log_count = keeper->log_count;
    view->has_failed = keeper->has_failed;
    view->carrying_count = keeper->retirement.asked_count;
    view->is_open = journal != NULL;
    if (journal == NULL)
        return;
    view->is_low = journal_is_low(journal);
    journal_stats(journal, &view->journal);
}

static void take_handlers(const struct job_handlers *handlers, struct shard_view *view)
{
    view->handler_count = handlers->handler_count;
    for (uint32_t i = 0; i < handlers->handler_count; i++)
        view->handlers[i] = (struct shard_view_handler){
            .kind = handlers->handlers[i]->type->kind,
            .run_count = handlers->handlers[i]->run_count,
            .concurrency = handlers->handlers[i]->concurrency,
        };
}

void shard_view_take(struct app_shard *home, const struct shard_view_filter *filter,
                     struct shard_view *ret_view)
{
    struct tree_visitor tree = {
        .visitor = {.visit = visit}, .view = ret_view, .now_ns = home->shard->clock.mono_ns};
    struct job_desk *desk = &home->jobs;

    memset(ret_view, 0, sizeof(*ret_view));
    ret_view->shard = home->shard->index;
    ret_view->timer_count = home->shard->timers.armed_count;
    ret_view->waiting_workers = desk->waiting_count;
    ret_view->oldest_ready_ms = job_desk_oldest_ready_ms(desk);
    supervisor_visit(&home->root, &tree.visitor);
    take_journal(&home->keeper, ret_view);
    job_table_stats(desk->table, &ret_view->jobs);
    take_queues(desk, filter, ret_view);
    take_handlers(&desk->handlers, ret_view);
    breakers_view_take(&home->breakers, (struct slice){filter->org, filter->org_size},
                       (struct slice){filter->project, filter->project_size},
                       home->shard->clock.unix_ms, &ret_view->breakers);
}

/* --- writing --------------------------------------------------------------------- */

static void write_seconds(struct json_writer *writer, struct slice name, uint64_t ms)
{
    json_writer_key(writer, name);
    json_writer_double(writer, (double)ms / 1000);
}

static void write_actor(const struct shard_view_actor *line, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    json_member_string(writer, SLICE_LITERAL("name"), slice_of(line->name));
    json_member_string(writer, SLICE_LITERAL("type"), slice_of(line->type));
    json_member_u64(writer, SLICE_LITERAL("depth"), line->depth);
    json_member_string(writer, SLICE_LITERAL("state"),
                       line->state != NULL ? slice_of(line->state) : SLICE_LITERAL("mixed"));
    json_member_u64(writer, SLICE_LITERAL("count"), line->count);
    json_member_u64(writer, SLICE_LITERAL("mailbox"), line->mailbox_count);
    json_member_u64(writer, SLICE_LITERAL("restarts"), line->restart_count);
    json_member_u64(writer, SLICE_LITERAL("children"), line->child_count);
    write_seconds(writer, SLICE_LITERAL("uptime_seconds"), line->uptime_ms);
    json_writer_end_object(writer);
}

/* Of the shard in JOB_SCHEDULED and above, or of a queue. */
static void write_counts(const uint32_t counts[JOB_STATE_COUNT], struct json_writer *writer)
{
    KEY(writer, "counts");
    json_writer_begin_object(writer);
    for (uint32_t i = JOB_SCHEDULED; i < JOB_STATE_COUNT; i++)
        json_member_u64(writer, slice_of(job_state_name((enum job_state)i)), counts[i]);
    json_writer_end_object(writer);
}

static void write_jobs(const struct shard_view *view, struct json_writer *writer)
{
    const struct job_table_stats *jobs = &view->jobs;

    KEY(writer, "jobs");
    json_writer_begin_object(writer);
    write_counts(jobs->counts, writer);
    json_member_u64(writer, SLICE_LITERAL("accepted"), jobs->accepted_count);
    json_member_u64(writer, SLICE_LITERAL("dropped"), jobs->dropped_count);
    json_member_u64(writer, SLICE_LITERAL("limit"), jobs->job_count_max);
    json_member_u64(writer, SLICE_LITERAL("queues"), view->queue_total);
    json_member_u64(writer, SLICE_LITERAL("timers"), jobs->timer_count);
    json_member_u64(writer, SLICE_LITERAL("live_bytes"), jobs->live_bytes);
    json_member_u64(writer, SLICE_LITERAL("memory_bytes"), jobs->memory_bytes);
    json_member_u64(writer, SLICE_LITERAL("waiting_workers"), view->waiting_workers);
    write_seconds(writer, SLICE_LITERAL("oldest_ready_seconds"), view->oldest_ready_ms);
    json_writer_end_object(writer);
}

static void write_journal(const struct shard_view *view, struct json_writer *writer)
{
    const struct journal_stats *journal = &view->journal;
    const char *state = "recovering";

    if (view->is_open)
        state = view->is_low ? "low" : "open";
    if (view->has_failed)
        state = "failed";
    KEY(writer, "journal");
    json_writer_begin_object(writer);
    json_member_string(writer, SLICE_LITERAL("state"), slice_of(state));
    json_member_u64(writer, SLICE_LITERAL("logs"), view->log_count);
    json_member_u64(writer, SLICE_LITERAL("durable_lsn"), journal->durable_lsn);
    json_member_u64(writer, SLICE_LITERAL("next_lsn"), journal->next_lsn);
    json_member_u64(writer, SLICE_LITERAL("segments"), journal->segment_count);
    json_member_u64(writer, SLICE_LITERAL("segment_bytes"), journal->segment_bytes);
    json_member_u64(writer, SLICE_LITERAL("spare_segments"), journal->spare_count);
    json_member_u64(writer, SLICE_LITERAL("flushes"), journal->flush_count);
    json_member_u64(writer, SLICE_LITERAL("carrying"), view->carrying_count);
    json_writer_end_object(writer);
}

static void write_handlers(const struct shard_view *view, struct json_writer *writer)
{
    KEY(writer, "handlers");
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < view->handler_count; i++) {
        json_writer_begin_object(writer);
        json_member_string(writer, SLICE_LITERAL("kind"), view->handlers[i].kind);
        json_member_u64(writer, SLICE_LITERAL("running"), view->handlers[i].run_count);
        json_member_u64(writer, SLICE_LITERAL("concurrency"), view->handlers[i].concurrency);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

void shard_view_write(const struct shard_view *view, struct json_writer *writer)
{
    assert(view->actor_count <= SHARD_VIEW_ACTOR_COUNT_MAX);
    json_writer_begin_object(writer);
    json_member_u64(writer, SLICE_LITERAL("index"), view->shard);
    KEY(writer, "tree");
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < view->actor_count; i++)
        write_actor(&view->actors[i], writer);
    json_writer_end_array(writer);
    json_member_u64(writer, SLICE_LITERAL("actors_left_out"), view->left_out_count);
    json_member_u64(writer, SLICE_LITERAL("timers"), view->timer_count);
    write_jobs(view, writer);
    write_handlers(view, writer);
    KEY(writer, "breakers");
    breakers_view_write_totals(&view->breakers, writer);
    write_journal(view, writer);
    json_writer_end_object(writer);
}

static void write_queue(const struct shard_view_queue *line, struct json_writer *writer)
{
    const struct job_queue_view *view = &line->view;

    json_writer_begin_object(writer);
    json_member_string(writer, SLICE_LITERAL("org"), (struct slice){line->org, line->org_size});
    json_member_string(writer, SLICE_LITERAL("project"),
                       (struct slice){line->project, line->project_size});
    json_member_string(writer, SLICE_LITERAL("kind"), (struct slice){line->kind, line->kind_size});
    write_counts(view->counts, writer);
    write_seconds(writer, SLICE_LITERAL("oldest_ready_seconds"), view->oldest_ready_ms);
    json_member_u64(writer, SLICE_LITERAL("waiting_workers"), view->waiter_count);
    json_member_boolean(writer, SLICE_LITERAL("paused"),
                        (view->settings.flags & JOB_QUEUE_PAUSED) != 0);
    json_member_boolean(writer, SLICE_LITERAL("draining"),
                        (view->settings.flags & JOB_QUEUE_DRAINING) != 0);
    json_writer_end_object(writer);
}

void shard_view_write_queues(const struct shard_view *const *views, uint32_t view_count,
                             struct json_writer *writer)
{
    struct ranked_list lists[SHARD_COUNT_MAX];
    struct ranked_place places[SHARD_VIEW_QUEUE_COUNT_MAX];
    uint32_t count;

    assert(view_count <= SHARD_COUNT_MAX);
    for (uint32_t i = 0; i < view_count; i++)
        lists[i] = (struct ranked_list){views[i]->queue_depths, views[i]->queue_count};
    count = ranked_merge(lists, view_count, places, SHARD_VIEW_QUEUE_COUNT_MAX);
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < count; i++)
        write_queue(&views[places[i].list]->queues[places[i].index], writer);
    json_writer_end_array(writer);
}

void shard_view_write_breakers(const struct shard_view *const *views, uint32_t view_count,
                               struct json_writer *writer)
{
    const struct breakers_view *breakers[SHARD_COUNT_MAX];

    assert(view_count <= SHARD_COUNT_MAX);
    for (uint32_t i = 0; i < view_count; i++)
        breakers[i] = &views[i]->breakers;
    breakers_view_write(breakers, view_count, writer);
}

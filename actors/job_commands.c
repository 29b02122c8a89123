/*
 * What changes jobs: each command asks the table, writes its facts as one group, and is
 * answered when they have been applied.
 *
 * A request of many jobs is enqueued as a whole or not at all, so the first refusal
 * withdraws what was admitted before it. Completions are each on their own: one that is
 * stale does not keep the others from being written.
 */
#include "actors/job_desk.h"

#include <errno.h>

#include "actors/app.h"
#include "contracts/queue_spec.h"
#include "runtime/retry.h"
#include "runtime/sim_point.h"

/* Of queues that set none: 8 attempts, 1 s doubling to 5 minutes, full jitter. */
const struct job_queue_retry JOB_RETRY_DEFAULT = {
    .base_ms = 1000,
    .cap_ms = 300000,
    .factor = 2,
    .jitter = RETRY_JITTER_FULL,
    .max_attempts = 8,
    .is_set = 1,
};

static void refuse(struct job_desk *desk, struct job_request *request, enum problem_code code)
{
    request->code = (uint16_t)code;
    job_desk_decide(desk, request);
}

static enum problem_code problem_of_commit(int result)
{
    switch (result) {
    case JOURNAL_NO_SPACE:
        return PROBLEM_STORAGE_FULL;
    case JOURNAL_STOPPED:
        return PROBLEM_STORAGE_FAILED;
    case -EMSGSIZE:
        return PROBLEM_PAYLOAD_TOO_LARGE;
    default:
        return PROBLEM_OVERLOADED;
    }
}

/*
 * Commits the request's first record_count records. When the journal is full the request
 * waits its turn: their number is bounded. JOURNAL_OK, or why nothing was written.
 */
MUST_USE static int commit(struct job_desk *desk, struct job_request *request, uint32_t count,
                           uint32_t flags,
                           void (*on_done)(struct durable_step *, enum durable_outcome))
{
    struct durable_set *set = &desk->home->keeper.durables;
    int r;

    request->step = (struct durable_step){
        .on_done = on_done, .records = request->records, .record_count = count, .flags = flags};
    r = durable_commit(set, &request->step);
    if (r != JOURNAL_FULL)
        return r;
    SOMETIMES("a job request waits for room in the journal");
    return durable_commit_later(set, &request->step) ? JOURNAL_OK : JOURNAL_STOPPED;
}

static struct slice org_of(const struct job_request *request)
{
    return (struct slice){request->org, request->org_size};
}

static struct slice project_of(const struct job_request *request)
{
    return (struct slice){request->project, request->project_size};
}

/* --- enqueue -------------------------------------------------------------------- */

/* The header as it will be, but for what the table decides. */
static void complete_header(struct job_desk *desk, const struct job_request *request,
                            struct job_item *item)
{
    struct job_image_header *header = &item->image.header;
    uint64_t now_ms = job_desk_now(desk);
    uint64_t due_ms = item->run_at_ms;

    if (item->delay_ms > 0)
        due_ms = now_ms + item->delay_ms;
    header->created_ms = now_ms;
    header->id_low = item->id.id_low;
    header->state = due_ms > now_ms ? JOB_SCHEDULED : JOB_QUEUED;
    header->due_ms = due_ms;
    if (item->image.after_count > 0)
        header->state = JOB_WAITING;
    if (item->deadline_in_ms > 0)
        header->deadline_ms = now_ms + item->deadline_in_ms;
    if (header->unique == JOB_UNIQUE_THROTTLE || header->unique == JOB_UNIQUE_IDEMPOTENCY)
        header->unique_until_ms = now_ms + item->unique_window_ms;
    if (header->unique == JOB_UNIQUE_DEBOUNCE) {
        header->unique_until_ms =
            item->unique_window_ms > 0 ? now_ms + item->unique_window_ms : UINT64_MAX;
        header->state = JOB_SCHEDULED;
        header->due_ms = now_ms + header->unique_wait_ms;
    }
    for (uint32_t i = 0; i < item->image.after_count; i++)
        memcpy((char *)(uintptr_t)item->encoded.data + sizeof(*header) + i * sizeof(uint64_t),
               &request->items[item->after_items[i]].id.id_low, sizeof(uint64_t));
}

/* A debounced job gets the new payload under its own id; how long it may wait stays as it was. */
static void take_over(struct job_desk *desk, struct job_item *item)
{
    struct job_image_header *header = &item->image.header;
    struct job_image_header old;

    job_table_describe(desk->table, item->ref, &old);
    header->id_low = old.id_low;
    header->created_ms = old.created_ms;
    header->unique_until_ms = old.unique_until_ms;
    header->attempt = old.attempt;
    if (header->due_ms > old.unique_until_ms)
        header->due_ms = old.unique_until_ms;
    item->id = (struct job_id){old.created_ms, old.id_low, item->id.partition};
}

static void withdraw(struct job_desk *desk, struct job_request *request, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (request->items[i].status == JOB_ITEM_DONE)
            job_table_withdraw(desk->table, request->items[i].ref);
}

/* The item further up in this very request that is the same job, or NULL. */
static const struct job_item *find_twin(const struct job_request *request, uint32_t n,
                                        struct job_ref ref)
{
    for (uint32_t i = 0; i < n; i++)
        if (request->items[i].status == JOB_ITEM_DONE && request->items[i].ref.index == ref.index)
            return &request->items[i];
    return NULL;
}

static void name_item(struct job_desk *desk, struct job_item *item, uint32_t partition)
{
    struct job_view view;

    job_table_view(desk->table, item->ref, &view);
    item->id = (struct job_id){view.created_ms, view.id_low, partition};
    item->state = (uint8_t)view.state;
}

/* PROBLEM_NONE with the item's status set, or why the whole request is refused. */
static enum problem_code admit(struct job_desk *desk, struct job_request *request, uint32_t n)
{
    struct job_item *item = &request->items[n];
    const struct job_item *twin;

    item->queue = job_table_queue(desk->table, org_of(request), project_of(request),
                                  item->image.sections[JOB_SECTION_KIND], true);
    if (item->queue == NULL)
        return PROBLEM_QUOTA_EXCEEDED;
    item->id.partition = item->queue->partition;
    complete_header(desk, request, item);
    switch (
        job_table_admit(desk->table, item->queue, &item->image, job_desk_now(desk), &item->ref)) {
    case JOB_ADMITTED:
        item->status = JOB_ITEM_DONE;
        return PROBLEM_NONE;
    case JOB_REPLACES:
        SOMETIMES("a debounced job gets a new payload");
        item->status = JOB_ITEM_DONE;
        take_over(desk, item);
        return PROBLEM_NONE;
    case JOB_DUPLICATE:
        SOMETIMES("a job is there already");
        item->status = JOB_ITEM_DUPLICATE;
        name_item(desk, item, item->queue->partition);
        return PROBLEM_NONE;
    case JOB_IN_FLIGHT:
        twin = find_twin(request, n, item->ref);
        if (twin == NULL) {
            SOMETIMES("a job is being enqueued by another request");
            return PROBLEM_IN_FLIGHT;
        }
        item->status = JOB_ITEM_DUPLICATE;
        item->id = twin->id; /* the table does not know its times before it is applied */
        item->state = twin->state;
        return PROBLEM_NONE;
    case JOB_CONFLICT:
        return PROBLEM_IDEMPOTENCY_CONFLICT;
    case JOB_TABLE_FULL:
        return PROBLEM_OVERLOADED;
    case JOB_QUEUE_FULL:
        return PROBLEM_QUEUE_FULL;
    case JOB_QUEUE_CLOSED:
        return PROBLEM_QUEUE_CLOSED;
    }
    return PROBLEM_INTERNAL_ERROR;
}

static void on_enqueued(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_request *request = container_of(step, struct job_request, step);
    struct job_desk *desk = request->owner;

    if (outcome == DURABLE_UNKNOWN) {
        refuse(desk, request, PROBLEM_STORAGE_FAILED);
        return;
    }
    for (uint32_t i = 0; i < request->item_count; i++) {
        struct job_item *item = &request->items[i];
        struct job_view view;

        if (!job_table_find(desk->table, item->id.id_low, &item->ref))
            continue; /* finished and forgotten already: state stays what it was */
        job_table_view(desk->table, item->ref, &view);
        item->state = (uint8_t)view.state;
    }
    job_desk_decide(desk, request);
    job_desk_wake(desk);
}

/* Has the places in the table that the request's ids need brought near, all at a time. */
static void expect(const struct job_desk *desk, const struct job_request *request, uint32_t count)
{
    for (uint32_t step = 0; step < 2; step++)
        for (uint32_t i = 0; i < count; i++)
            job_table_expect(desk->table, request->items[i].id.id_low, step == 1);
}

void job_command_enqueue(struct job_desk *desk, struct job_request *request)
{
    enum problem_code code = PROBLEM_NONE;
    uint32_t count = 0;
    int r;

    for (uint32_t i = 0; i < request->item_count; i++)
        request->items[i].id =
            job_id_make(job_desk_now(desk), 0, rng_next(&desk->home->shard->rng));
    expect(desk, request, request->item_count);
    for (uint32_t i = 0; i < request->item_count; i++) {
        struct job_item *item = &request->items[i];

        code = admit(desk, request, i);
        if (code != PROBLEM_NONE) {
            withdraw(desk, request, i);
            refuse(desk, request, code);
            return;
        }
        if (item->status != JOB_ITEM_DONE)
            continue;
        item->state = item->image.header.state;
        memcpy((char *)(uintptr_t)item->encoded.data, &item->image.header,
               offsetof(struct job_image_header, after_count));
        *(struct slice *)(uintptr_t)request->records[count].parts = item->encoded;
        job_desk_fill_record(desk, item->ref, RECORD_JOB, request->records[count].parts,
                             &request->records[count]);
        count++;
    }
    if (count == 0) {
        job_desk_decide(desk, request);
        return;
    }
    r = commit(desk, request, count, 0, on_enqueued);
    if (r == JOURNAL_OK)
        return;
    SOMETIMES("jobs find no room in the journal");
    withdraw(desk, request, request->item_count);
    refuse(desk, request, problem_of_commit(r));
}

/* --- complete and fail ------------------------------------------------------------ */

/* The policy of the job's queue, or the server's; attempts as they are in force. */
static void fill_policy(const struct job_view *view, struct retry_policy *ret_policy)
{
    const struct job_queue_retry *own = &view->queue->settings.retry;
    const struct job_queue_retry *retry = own->is_set != 0 ? own : &JOB_RETRY_DEFAULT;

    *ret_policy = (struct retry_policy){
        .max_attempts = view->max_attempts,
        .base_ms = retry->base_ms,
        .cap_ms = retry->cap_ms,
        .factor = retry->factor,
        .jitter = (enum retry_jitter)retry->jitter,
        .jitter_percent = retry->jitter == RETRY_JITTER_PROPORTIONAL ? JOB_JITTER_PERCENT : 0,
    };
    assert(retry_policy_is_sound(ret_policy));
}

void job_command_judge_failure(struct job_desk *desk, const struct job_view *view,
                               bool is_retryable, uint64_t retry_after_ms,
                               enum job_dead_reason last_reason, struct job_fact_header *ret_header)
{
    struct retry_policy policy;
    uint64_t delay_ms = 0;

    fill_policy(view, &policy);
    *ret_header = (struct job_fact_header){
        .id_low = view->id_low,
        .at_ms = job_desk_now(desk),
        .attempt = (uint8_t)min_u64((uint64_t)view->attempt + 1, JOB_ATTEMPTS_MAX),
        .crash_count = view->crash_count,
        .kind = JOB_FACT_RETRY,
        .link = view->epoch,
    };
    switch (retry_decide(&policy, ret_header->attempt, is_retryable, retry_after_ms,
                         &desk->home->shard->rng, &delay_ms)) {
    case RETRY_LATER:
        ret_header->due_ms = ret_header->at_ms + delay_ms;
        return;
    case RETRY_EXHAUSTED:
        ret_header->kind = JOB_FACT_DEAD;
        ret_header->reason = (uint8_t)last_reason;
        return;
    case RETRY_NOT_RETRYABLE:
        ret_header->kind = JOB_FACT_DEAD;
        ret_header->reason = JOB_DEAD_NOT_RETRYABLE;
        return;
    }
}

static enum job_item_status status_of(enum job_claim claim)
{
    switch (claim) {
    case JOB_CLAIMED:
        return JOB_ITEM_DONE;
    case JOB_CLAIM_UNKNOWN:
        return JOB_ITEM_UNKNOWN;
    case JOB_CLAIM_STALE:
        return JOB_ITEM_STALE;
    case JOB_CLAIM_BUSY:
        return JOB_ITEM_BUSY;
    case JOB_CLAIM_REPEATED:
        return JOB_ITEM_DUPLICATE;
    case JOB_CLAIM_TERMINAL:
    case JOB_CLAIM_DLQ_FULL:
        return JOB_ITEM_TERMINAL;
    }
    return JOB_ITEM_NONE;
}

/* The job when it belongs to the request's project. */
static bool find(struct job_desk *desk, const struct job_request *request, struct job_item *item,
                 struct job_view *ret_view)
{
    if (!job_table_find(desk->table, item->id.id_low, &item->ref))
        return false;
    job_table_view(desk->table, item->ref, ret_view);
    item->state = (uint8_t)ret_view->state;
    if (MUTANT("job_of_any_tenant"))
        return true;
    return slice_equal((struct slice){ret_view->queue->org, ret_view->queue->org_size},
                       org_of(request)) &&
           slice_equal((struct slice){ret_view->queue->project, ret_view->queue->project_size},
                       project_of(request));
}

/* What this item is to say; claims the job for it. */
static enum job_claim claim(struct job_desk *desk, struct job_item *item,
                            const struct job_view *view, struct job_fact_header *ret_header)
{
    enum job_claim result;

    *ret_header = (struct job_fact_header){
        .id_low = view->id_low,
        .at_ms = job_desk_now(desk),
        .link = item->epoch,
        .kind = JOB_FACT_COMPLETED,
        .attempt = (uint8_t)min_u64((uint64_t)view->attempt + 1, JOB_ATTEMPTS_MAX),
        .crash_count = view->crash_count,
    };
    if (item->is_failure)
        job_command_judge_failure(desk, view, item->is_retryable, item->retry_after_ms,
                                  JOB_DEAD_ATTEMPTS, ret_header);
    result = job_table_claim(desk->table, view->id_low, true, item->epoch,
                             (enum job_fact_kind)ret_header->kind, &item->ref);
    if (result == JOB_CLAIM_DLQ_FULL) {
        SOMETIMES("there is no room for one more dead letter");
        job_command_judge_postponed(desk, ret_header);
        result = job_table_claim(desk->table, view->id_low, true, item->epoch, JOB_FACT_RETRY,
                                 &item->ref);
    }
    return result;
}

/* No room for a dead letter: the attempt is not counted and the job comes again later. */
void job_command_judge_postponed(struct job_desk *desk, struct job_fact_header *header)
{
    header->kind = JOB_FACT_RETRY;
    header->reason = JOB_DEAD_NONE;
    header->attempt--;
    header->due_ms = job_desk_now(desk) + JOB_DLQ_FULL_RETRY_MS;
}

static void after_finish(struct job_desk *desk, struct job_request *request)
{
    if (request->operation == JOB_LEASE) {
        request->stage = 1;
        job_delivery_lease(desk, request);
    } else {
        job_desk_decide(desk, request);
    }
    job_desk_wake(desk);
}

static void on_finished(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_request *request = container_of(step, struct job_request, step);
    struct job_desk *desk = request->owner;
    uint32_t count = request->operation == JOB_LEASE ? request->finish_count : request->item_count;

    if (outcome == DURABLE_UNKNOWN) {
        refuse(desk, request, PROBLEM_STORAGE_FAILED);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct job_view view;

        if (request->items[i].status == JOB_ITEM_DONE &&
            job_table_find(desk->table, request->items[i].id.id_low, &request->items[i].ref)) {
            job_table_view(desk->table, request->items[i].ref, &view);
            request->items[i].state = (uint8_t)view.state;
            request->items[i].when_ms = view.when_ms;
            request->items[i].attempt = view.attempt;
            request->items[i].max_attempts = view.max_attempts;
        }
    }
    after_finish(desk, request);
}

static void unclaim(struct job_desk *desk, struct job_request *request, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (request->items[i].status == JOB_ITEM_DONE)
            job_table_unclaim(desk->table, request->items[i].ref);
}

/* Puts the claimed item's fact behind the records so far. */
static void add_fact(struct job_desk *desk, struct job_request *request, struct job_item *item,
                     const struct job_fact_header *header, uint32_t n)
{
    struct job_fact fact = {.header = *header, .text = item->text};
    char *bytes = (char *)(uintptr_t)item->encoded.data;

    fact.header.text_size = (uint32_t)item->text.size;
    memcpy(bytes, &fact.header, sizeof(fact.header)); /* the text stands behind it already */
    *(struct slice *)(uintptr_t)request->records[n].parts = item->encoded;
    job_desk_fill_record(desk, item->ref, RECORD_JOB_FACT, request->records[n].parts,
                         &request->records[n]);
}

void job_command_finish(struct job_desk *desk, struct job_request *request, uint32_t count)
{
    uint32_t fact_count = 0;
    int r;

    expect(desk, request, count);
    for (uint32_t i = 0; i < count; i++) {
        struct job_item *item = &request->items[i];
        struct job_fact_header header;
        struct job_view view;

        if (!find(desk, request, item, &view)) {
            item->status = JOB_ITEM_UNKNOWN;
            continue;
        }
        item->status = (uint8_t)status_of(claim(desk, item, &view, &header));
        if (item->status == JOB_ITEM_DONE)
            add_fact(desk, request, item, &header, fact_count++);
    }
    if (fact_count == 0) {
        after_finish(desk, request);
        return;
    }
    r = commit(desk, request, fact_count, JOURNAL_IMPORTANT, on_finished);
    if (r == JOURNAL_OK)
        return;
    SOMETIMES("a completion finds no room in the journal");
    unclaim(desk, request, count);
    refuse(desk, request, problem_of_commit(r));
}

/* --- extend and cancel -------------------------------------------------------------- */

static void on_progress(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_request *request = container_of(step, struct job_request, step);

    if (outcome == DURABLE_UNKNOWN)
        request->code = PROBLEM_STORAGE_FAILED;
    job_desk_decide(request->owner, request);
}

/* The lease is longer from now on; what progress says is written first. */
void job_command_extend(struct job_desk *desk, struct job_request *request)
{
    struct job_item *item = &request->items[0];
    struct job_fact_header header = {.kind = JOB_FACT_PROGRESS, .at_ms = job_desk_now(desk)};
    struct job_view view;
    int r;

    if (!find(desk, request, item, &view)) {
        item->status = JOB_ITEM_UNKNOWN;
        job_desk_decide(desk, request);
        return;
    }
    item->status =
        (uint8_t)status_of(job_table_extend(desk->table, view.id_low, item->epoch,
                                            job_desk_now(desk), request->lease_ms, &item->when_ms));
    job_desk_wake(desk);
    if (item->status != JOB_ITEM_DONE || item->text.size == 0 ||
        job_table_claim(desk->table, view.id_low, true, item->epoch, JOB_FACT_PROGRESS,
                        &item->ref) != JOB_CLAIMED) {
        job_desk_decide(desk, request);
        return;
    }
    header.id_low = view.id_low;
    header.attempt = view.attempt;
    header.crash_count = view.crash_count;
    add_fact(desk, request, item, &header, 0);
    r = commit(desk, request, 1, 0, on_progress);
    if (r == JOURNAL_OK)
        return;
    job_table_unclaim(desk->table, item->ref);
    refuse(desk, request, problem_of_commit(r));
}

void job_command_cancel(struct job_desk *desk, struct job_request *request)
{
    struct job_item *item = &request->items[0];
    struct job_fact_header header = {.kind = JOB_FACT_CANCELLED, .at_ms = job_desk_now(desk)};
    struct job_view view;
    int r;

    if (!find(desk, request, item, &view)) {
        item->status = JOB_ITEM_UNKNOWN;
        job_desk_decide(desk, request);
        return;
    }
    item->status = (uint8_t)status_of(
        job_table_claim(desk->table, view.id_low, false, 0, JOB_FACT_CANCELLED, &item->ref));
    if (item->status != JOB_ITEM_DONE) {
        job_desk_decide(desk, request);
        return;
    }
    SOMETIMES("a job is cancelled");
    if (MUTANT("job_cancel_not_written")) {
        job_table_unclaim(desk->table, item->ref);
        job_desk_decide(desk, request);
        return;
    }
    header.id_low = view.id_low;
    header.attempt = view.attempt;
    header.crash_count = view.crash_count;
    add_fact(desk, request, item, &header, 0);
    r = commit(desk, request, 1, JOURNAL_IMPORTANT, on_finished);
    if (r == JOURNAL_OK)
        return;
    job_table_unclaim(desk->table, item->ref);
    refuse(desk, request, problem_of_commit(r));
}

/* --- queues --------------------------------------------------------------------------- */

void job_desk_show_queue(struct job_desk *desk, const struct job_queue *queue,
                         struct job_queue_view *ret_view)
{
    const struct list_node *node;

    ret_view->settings = queue->settings;
    memcpy(ret_view->counts, queue->counts, sizeof(ret_view->counts));
    ret_view->accepted_count = queue->accepted_count;
    ret_view->oldest_ready_ms = job_table_oldest_ready_ms(desk->table, queue, job_desk_now(desk));
    ret_view->waiter_count = 0;
    for (node = queue->waiters.next; node != &queue->waiters; node = node->next)
        ret_view->waiter_count++;
}

static struct slice kind_of(const struct job_request *request)
{
    return (struct slice){request->kind, request->kind_size};
}

void job_command_get_queue(struct job_desk *desk, struct job_request *request)
{
    struct job_queue *queue =
        job_table_queue(desk->table, org_of(request), project_of(request), kind_of(request), false);

    if (queue == NULL)
        request->code = PROBLEM_NOT_FOUND;
    else
        job_desk_show_queue(desk, queue, &request->queue_view);
    job_desk_decide(desk, request);
}

/* --- lists of them ----------------------------------------------------------------------- */

/* Negative, 0 or positive, as their bytes. */
static int compare_kinds(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, min_u64(a.size, b.size));

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static bool is_before(const struct job_queue *a, const struct job_queue *b)
{
    return compare_kinds((struct slice){a->kind, a->kind_size},
                         (struct slice){b->kind, b->kind_size}) < 0;
}

/* Of the request's project, behind where its list begins, and not of the server's own kinds. */
static bool is_listed(const struct job_request *request, const struct job_queue *queue)
{
    static const struct slice reserved = SLICE_INITIALIZER("weir.");
    struct slice kind = {queue->kind, queue->kind_size};

    if (!slice_equal((struct slice){queue->project, queue->project_size}, project_of(request)) ||
        !slice_equal((struct slice){queue->org, queue->org_size}, org_of(request)))
        return false;
    if (kind.size >= reserved.size && memcmp(kind.data, reserved.data, reserved.size) == 0)
        return false;
    return request->kind_size == 0 || compare_kinds(kind, kind_of(request)) > 0;
}

/* Keeps the count_max that come first, in order. */
static void insert(const struct job_queue **queues, uint32_t *count, uint32_t count_max,
                   const struct job_queue *queue)
{
    uint32_t at;

    if (*count < count_max)
        at = (*count)++;
    else if (is_before(queue, queues[count_max - 1]))
        at = count_max - 1;
    else
        return;
    for (; at > 0 && is_before(queue, queues[at - 1]); at--)
        queues[at] = queues[at - 1];
    queues[at] = queue;
}

void job_command_list_queues(struct job_desk *desk, struct job_request *request)
{
    const struct job_queue *queues[JOB_QUEUE_LIST_MAX + 1];
    struct job_queue_line *lines = (struct job_queue_line *)(void *)request->answer->data;
    uint32_t count = 0;

    assert(request->limit > 0);
    assert(request->limit <= JOB_QUEUE_LIST_MAX);
    for (uint32_t i = 0; i < job_table_queue_count(desk->table); i++) {
        const struct job_queue *queue = job_table_queue_at(desk->table, i);

        if (is_listed(request, queue))
            insert(queues, &count, request->limit + 1u, queue);
    }
    request->line_count = (uint16_t)min_u64(count, request->limit);
    request->has_more = count > request->limit;
    for (uint32_t i = 0; i < request->line_count; i++) {
        job_desk_show_queue(desk, queues[i], &lines[i].view);
        lines[i].kind_size = queues[i]->kind_size;
        memcpy(lines[i].kind, queues[i]->kind, queues[i]->kind_size);
    }
    job_desk_decide(desk, request);
}

/* --- changing their settings --------------------------------------------------------------- */

static void begin_queue_changes(struct job_desk *desk);

static void on_queue_set(struct durable_step *step, enum durable_outcome outcome)
{
    struct job_request *request = container_of(step, struct job_request, step);
    struct job_desk *desk = request->owner;

    assert(desk->queue_change_count > 0);
    desk->queue_change_count--;
    if (outcome == DURABLE_UNKNOWN)
        refuse(desk, request, PROBLEM_STORAGE_FAILED);
    else
        job_command_get_queue(desk, request);
    begin_queue_changes(desk);
    job_desk_wake(desk);
}

size_t job_command_encode_queue(const struct job_queue *queue,
                                const struct job_queue_settings *settings, char *bytes)
{
    const struct job_queue_record record = {
        .settings = *settings,
        .org = {queue->org, queue->org_size},
        .project = {queue->project, queue->project_size},
        .kind = {queue->kind, queue->kind_size},
    };

    return job_queue_record_encode(&record, bytes);
}

static void set_flag(const struct job_request *request, uint16_t given, uint32_t flag,
                     struct job_queue_settings *settings)
{
    if ((request->given & given) != 0)
        settings->flags = (settings->flags & ~flag) | (request->settings.flags & flag);
}

/* The queue's settings with those that the request gives. */
static struct job_queue_settings merge_settings(const struct job_queue *queue,
                                                const struct job_request *request)
{
    struct job_queue_settings settings = queue->settings;
    uint32_t given = request->given;

    if ((given & QUEUE_GIVES_CONCURRENCY) != 0)
        settings.concurrency = request->settings.concurrency;
    if ((given & QUEUE_GIVES_KEY_CONCURRENCY) != 0)
        settings.key_concurrency = request->settings.key_concurrency;
    if ((given & QUEUE_GIVES_RATE) != 0)
        settings.rate_per_s = request->settings.rate_per_s;
    if ((given & QUEUE_GIVES_BURST) != 0)
        settings.burst = request->settings.burst;
    if ((given & QUEUE_GIVES_TIMEOUT) != 0)
        settings.timeout_ms = request->settings.timeout_ms;
    if ((given & QUEUE_GIVES_DEPTH) != 0)
        settings.depth_max = request->settings.depth_max;
    if ((given & QUEUE_GIVES_RETRY) != 0)
        settings.retry = request->settings.retry;
    set_flag(request, QUEUE_GIVES_PAUSED, JOB_QUEUE_PAUSED, &settings);
    set_flag(request, QUEUE_GIVES_DRAINING, JOB_QUEUE_DRAINING, &settings);
    return settings;
}

/* JOURNAL_OK when the change is on its way, else it has been refused. */
MUST_USE static int begin_queue_change(struct job_desk *desk, struct job_request *request)
{
    struct job_queue *queue =
        job_table_queue(desk->table, org_of(request), project_of(request), kind_of(request), true);
    struct slice *part = (struct slice *)(uintptr_t)request->records[0].parts;
    struct job_queue_settings settings;
    int r;

    if (queue == NULL) {
        refuse(desk, request, PROBLEM_QUOTA_EXCEEDED);
        return JOURNAL_FULL;
    }
    settings = merge_settings(queue, request);
    part->size = job_command_encode_queue(queue, &settings, (char *)(uintptr_t)part->data);
    request->records[0] = (struct journal_record){
        .partition = queue->partition,
        .type = RECORD_JOB_QUEUE,
        .version = JOB_RECORD_VERSION,
        .parts = part,
        .part_count = 1,
    };
    r = commit(desk, request, 1, JOURNAL_IMPORTANT, on_queue_set);
    if (r != JOURNAL_OK)
        refuse(desk, request, problem_of_commit(r));
    return r;
}

/* One after the other, each on what the one before has made of the settings. */
static void begin_queue_changes(struct job_desk *desk)
{
    while (desk->queue_change_count == 0 && !list_is_empty(&desk->queue_changes)) {
        struct list_node *node = list_pop_front(&desk->queue_changes);

        if (begin_queue_change(desk, container_of(node, struct job_request, link)) == JOURNAL_OK)
            desk->queue_change_count++;
    }
}

void job_command_set_queue(struct job_desk *desk, struct job_request *request)
{
    if (desk->queue_change_count > 0)
        SOMETIMES("settings of a queue wait for those before them");
    list_push_back(&desk->queue_changes, &request->link);
    begin_queue_changes(desk);
}

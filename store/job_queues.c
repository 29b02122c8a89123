/*
 * Queues and projects are found by a keyed hash of their names and never go away: their
 * number is bounded, and a queue that was used once will be used again.
 *
 * Permits: a lease takes one of its queue and one of its project. What waits for the
 * project's is remembered there, so that the end of any of its leases wakes exactly the
 * queues that were refused.
 */
#include "contracts/job_kinds.h"
#include "contracts/siphash.h"
#include "runtime/retry.h"
#include "runtime/sim_point.h"
#include "store/job_id.h"
#include "store/job_table_internals.h"

static uint64_t hash_names(const struct job_table *table, struct slice org, struct slice project,
                           struct slice kind)
{
    char bytes[3 * (JOB_NAME_SIZE_MAX + 1)];
    const struct slice names[] = {org, project, kind};
    size_t size = 0;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert(names[i].size <= JOB_NAME_SIZE_MAX);
        bytes[size++] = (char)names[i].size;
        if (names[i].size > 0)
            memcpy(bytes + size, names[i].data, names[i].size);
        size += names[i].size;
    }
    return siphash_64(table->config.hash_key, (struct slice){bytes, size});
}

/* --- projects ------------------------------------------------------------------ */

static bool is_tenant(const struct job_tenant *tenant, struct slice org, struct slice project)
{
    return slice_equal((struct slice){tenant->org, tenant->org_size}, org) &&
           slice_equal((struct slice){tenant->project, tenant->project_size}, project);
}

/* Its index, made when it is not there; JOB_TENANT_SLOT_COUNT_MAX when there are too many. */
static uint32_t tenant_index(struct job_table *table, struct slice org, struct slice project)
{
    uint64_t hash = hash_names(table, org, project, SLICE_LITERAL(""));
    uint32_t *head = &table->tenant_heads[hash % JOB_QUEUE_BUCKETS];
    uint32_t tenant_limit =
        (uint32_t)(table->is_recovering ? JOB_TENANT_SLOT_COUNT_MAX : JOB_TENANT_COUNT_MAX);
    struct job_tenant *tenant;

    for (uint32_t at = *head; at != 0; at = table->tenants[at - 1].next)
        if (is_tenant(&table->tenants[at - 1], org, project))
            return at - 1;
    if (table->tenant_count >= tenant_limit)
        return JOB_TENANT_SLOT_COUNT_MAX;
    tenant = &table->tenants[table->tenant_count++];
    tenant->next = *head;
    *head = table->tenant_count;
    tenant->org_size = (uint8_t)org.size;
    tenant->project_size = (uint8_t)project.size;
    memcpy(tenant->org, org.data, org.size);
    memcpy(tenant->project, project.data, project.size);
    list_init(&tenant->blocked);
    return table->tenant_count - 1;
}

/* --- queues --------------------------------------------------------------------- */

static bool is_queue(const struct job_queue *queue, struct slice org, struct slice project,
                     struct slice kind)
{
    return slice_equal((struct slice){queue->kind, queue->kind_size}, kind) &&
           slice_equal((struct slice){queue->project, queue->project_size}, project) &&
           slice_equal((struct slice){queue->org, queue->org_size}, org);
}

/* A kind that the product knows runs as it always has, until somebody sets something else. */
static void set_defaults(struct job_queue *queue, struct slice kind)
{
    const struct job_kind *known = job_kind_find(kind);

    if (known == NULL)
        return;
    queue->settings.timeout_ms = known->timeout_ms;
    queue->settings.retry = (struct job_queue_retry){
        .base_ms = known->base_ms,
        .cap_ms = known->cap_ms,
        .factor = known->factor,
        .jitter = known->has_jitter ? RETRY_JITTER_FULL : RETRY_JITTER_NONE,
        .max_attempts = known->max_attempts,
        .is_set = 1,
    };
}

static void init_queue(struct job_queue *queue, struct slice org, struct slice project,
                       struct slice kind)
{
    queue->org_size = (uint8_t)org.size;
    queue->project_size = (uint8_t)project.size;
    queue->kind_size = (uint8_t)kind.size;
    memcpy(queue->org, org.data, org.size);
    memcpy(queue->project, project.data, project.size);
    memcpy(queue->kind, kind.data, kind.size);
    list_init(&queue->waiters);
    list_init(&queue->ready_link);
    list_init(&queue->wake_link);
    set_defaults(queue, kind);
}

struct job_queue *job_table_queue(struct job_table *table, struct slice org, struct slice project,
                                  struct slice kind, bool make)
{
    uint32_t *head = &table->queue_heads[hash_names(table, org, project, kind) % JOB_QUEUE_BUCKETS];
    uint32_t queue_limit =
        (uint32_t)(table->is_recovering ? JOB_QUEUE_SLOT_COUNT_MAX : JOB_QUEUE_COUNT_MAX);
    struct job_queue *queue;
    uint32_t tenant;

    for (uint32_t at = *head; at != 0; at = table->queues[at - 1].hash_next)
        if (is_queue(&table->queues[at - 1], org, project, kind))
            return &table->queues[at - 1];
    if (!make || table->queue_count >= queue_limit)
        return NULL;
    tenant = tenant_index(table, org, project);
    if (tenant == JOB_TENANT_SLOT_COUNT_MAX)
        return NULL;
    queue = &table->queues[table->queue_count];
    init_queue(queue, org, project, kind);
    queue->index = table->queue_count++;
    queue->tenant = tenant;
    queue->partition = job_partition(org, project, table->config.partition_count);
    queue->hash_next = *head;
    *head = queue->index + 1;
    return queue;
}

struct job_queue *job_table_queue_at(const struct job_table *table, uint32_t n)
{
    assert(n < table->queue_count);
    return &table->queues[n];
}

uint32_t job_table_queue_count(const struct job_table *table)
{
    return table->queue_count;
}

void job_table_apply_queue(struct job_table *table, struct job_queue *queue,
                           const struct job_queue_settings *settings,
                           struct journal_location location)
{
    assert(queue == &table->queues[queue->index]);
    queue->settings = *settings;
    queue->settings_location = location;
    job_queue_wake(table, queue);
}

uint64_t job_table_oldest_ready_ms(const struct job_table *table, const struct job_queue *queue,
                                   uint64_t now_ms)
{
    uint64_t oldest_ms = now_ms;

    for (uint32_t i = 0; i < JOB_PRIORITY_COUNT; i++)
        if (queue->first[i] != 0)
            oldest_ms = min_u64(oldest_ms, job_at(table, queue->first[i])->when_ms);
    return now_ms - oldest_ms;
}

/* --- permits ---------------------------------------------------------------------- */

/* Moves all members of one list to the end of another, however many there are. */
static void move_all(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

void job_queue_wake(struct job_table *table, struct job_queue *queue)
{
    if (queue->ready_count == 0)
        return;
    /* It may stand among those blocked at its project's limit. */
    list_remove(&queue->wake_link);
    list_push_back(&table->ready, &queue->wake_link);
}

struct job_queue *job_table_next_ready(struct job_table *table)
{
    struct list_node *node;

    while ((node = list_pop_front(&table->ready)) != NULL) {
        struct job_queue *queue = container_of(node, struct job_queue, wake_link);

        if (queue->ready_count > 0)
            return queue;
    }
    return NULL;
}

bool job_queue_has_permit(struct job_table *table, struct job_queue *queue)
{
    struct job_tenant *tenant = &table->tenants[queue->tenant];
    uint32_t concurrency = queue->settings.concurrency;

    if (concurrency != 0 && queue->permit_count >= concurrency &&
        !MUTANT("job_concurrency_ignored")) {
        SOMETIMES("a queue is at its concurrency");
        return false;
    }
    if (table->config.tenant_concurrency == 0 ||
        tenant->permit_count < table->config.tenant_concurrency)
        return true;
    SOMETIMES("a project is at its concurrency");
    if (list_is_empty(&queue->wake_link))
        list_push_back(&tenant->blocked, &queue->wake_link);
    return false;
}

void job_queue_take_permit(struct job_table *table, struct job_queue *queue)
{
    queue->permit_count++;
    table->tenants[queue->tenant].permit_count++;
}

void job_queue_give_permit(struct job_table *table, struct job_queue *queue)
{
    struct job_tenant *tenant = &table->tenants[queue->tenant];

    assert(queue->permit_count > 0);
    assert(tenant->permit_count > 0);
    if (MUTANT("job_permit_lost"))
        return;
    queue->permit_count--;
    tenant->permit_count--;
    job_queue_wake(table, queue);
    /* One alone would not do: it may have no use for the permit any more. */
    move_all(&table->ready, &tenant->blocked);
}

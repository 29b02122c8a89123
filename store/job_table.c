/*
 * One entry of 56 bytes per job, found by its id through a linear hash table (4 bytes),
 * with at most one place in the due heap (4 bytes). next and previous of an entry serve
 * whatever list its state has; while it is SCHEDULED or LEASED they are its place in the
 * heap and its delivery number. What few jobs ask for (serial and unique keys, deadlines,
 * texts in facts of their own, the jobs it comes after) is in struct job_extra.
 *
 * The files are listed in job_table_internals.h. This one holds the table as a whole and
 * its entries.
 */
#include "store/job_table.h"

#include <errno.h>

#include "runtime/memory.h"
#include "store/job_flow.h"
#include "store/job_heap.h"
#include "store/job_id.h"
#include "store/job_keys.h"
#include "store/job_table_internals.h"
#include "store/job_unique.h"

void job_table_enter(struct job_table *table, uint64_t now_ms)
{
    assert(table->magic == JOB_TABLE_MAGIC);
    assert(table->by_id.item_count == table->jobs.count);
    assert(table->extras.count <= table->jobs.count);
    assert(table->heap_count <= 2 * (uint64_t)table->jobs.count);
    assert(table->dead_claimed_count <= table->jobs.count);
    table->now_ms = max_u64(table->now_ms, job_time(now_ms));
    table->change_count++;
}

/* --- the table ------------------------------------------------------------------- */

/* Of the due heap, for so many jobs. */
static size_t heap_size(uint32_t job_count)
{
    return 2 * (size_t)job_count * sizeof(uint32_t);
}

MUST_USE static int reserve_all(struct job_table *table)
{
    uint32_t count = table->room;
    int r = job_pool_init(&table->jobs, sizeof(struct job), count);

    if (r == 0)
        r = job_pool_init(&table->extras, sizeof(struct job_extra), count);
    if (r == 0)
        r = job_buckets_init(&table->by_id, count);
    if (r == 0)
        r = job_unique_init(table, count);
    if (r == 0)
        r = job_keys_init(table, count);
    if (r == 0)
        r = job_flow_init(table, count);
    if (r == 0)
        r = memory_map_objects(heap_size(count), &table->heap);
    if (r == 0)
        r = memory_map_objects(JOB_QUEUE_SLOT_COUNT_MAX * sizeof(struct job_queue), &table->queues);
    if (r == 0)
        r = memory_map_objects(JOB_TENANT_SLOT_COUNT_MAX * sizeof(struct job_tenant),
                               &table->tenants);
    return r;
}

/* Moves the due heap to where it has room for so many jobs. */
MUST_USE static int extend_heap(struct job_table *table, uint32_t count)
{
    char *memory = (void *)table->heap;
    int r = memory_grow(&memory, heap_size(table->room), heap_size(count));

    table->heap = (void *)memory;
    return r;
}

MUST_USE static int extend_all(struct job_table *table, uint32_t count)
{
    int r = job_pool_grow(&table->jobs, count);

    if (r == 0)
        r = job_pool_grow(&table->extras, count);
    if (r == 0)
        r = job_buckets_extend(&table->by_id, count);
    if (r == 0)
        r = job_buckets_extend(&table->by_unique, count);
    if (r == 0)
        r = job_keys_extend(table, count);
    if (r == 0)
        r = job_flow_extend(table, count);
    if (r == 0)
        r = extend_heap(table, count);
    if (r == 0)
        table->room = count;
    return r;
}

int job_make_room(struct job_table *table, uint32_t after_count)
{
    assert(table->is_recovering);
    while (table->jobs.item_count_max - table->jobs.count <= after_count ||
           !job_flow_has_places(table, after_count)) {
        uint64_t count = min_u64(2 * (uint64_t)table->room, JOB_COUNT_MAX);
        int r = count == table->room ? -ENOSPC : extend_all(table, (uint32_t)count);

        if (r != 0)
            return r;
    }
    return 0;
}

int job_table_new(const struct job_table_config *config, struct job_table **ret_table)
{
    struct job_table *table = NULL;
    int r;

    assert(config->job_count_max <= JOB_COUNT_MAX);
    r = memory_map_objects(sizeof(*table), &table);
    if (r != 0)
        return r;
    table->magic = JOB_TABLE_MAGIC;
    table->config = *config;
    table->is_recovering = true;
    if (table->config.job_count_max == 0)
        table->config.job_count_max = JOB_COUNT_DEFAULT;
    table->room = table->config.job_count_max;
    if (table->config.partition_count == 0)
        table->config.partition_count = JOB_PARTITION_COUNT_MAX;
    list_init(&table->ready);
    r = reserve_all(table);
    if (r != 0) {
        job_table_free(&table);
        return r;
    }
    *ret_table = table;
    return 0;
}

void job_table_free(struct job_table **table)
{
    struct job_table *it = *table;

    if (it == NULL)
        return;
    assert(it->magic == JOB_TABLE_MAGIC);
    memory_unmap_objects(it->tenants, JOB_TENANT_SLOT_COUNT_MAX * sizeof(struct job_tenant));
    memory_unmap_objects(it->queues, JOB_QUEUE_SLOT_COUNT_MAX * sizeof(struct job_queue));
    memory_unmap_objects(it->heap, heap_size(it->room));
    job_buckets_deinit(&it->by_id);
    job_buckets_deinit(&it->by_unique);
    job_buckets_deinit(&it->by_key);
    job_pool_deinit(&it->jobs);
    job_pool_deinit(&it->extras);
    job_pool_deinit(&it->keys);
    job_pool_deinit(&it->edges);
    memory_unmap_objects(it, sizeof(*it));
    *table = NULL;
}

/* --- entries ----------------------------------------------------------------------- */

/* Ids are random already; those of a test need not be. */
static uint64_t hash_id(uint64_t id_low)
{
    return (id_low ^ id_low >> 31) * 0x9e3779b97f4a7c15 >> 20;
}

uint32_t job_lookup(const struct job_table *table, uint64_t id_low)
{
    uint32_t at = *job_buckets_head(&table->by_id, hash_id(id_low));

    while (at != 0 && job_at(table, at)->id_low != id_low)
        at = job_at(table, at)->hash_next;
    return at;
}

static void push_id(struct job_table *table, uint32_t index)
{
    uint32_t *head = job_buckets_head(&table->by_id, hash_id(job_at(table, index)->id_low));

    job_at(table, index)->hash_next = *head;
    *head = index;
}

static void remake_ids(struct job_table *table, uint64_t bucket_count)
{
    job_buckets_remake(&table->by_id, bucket_count);
    for (uint32_t i = 1; i <= table->jobs.used; i++)
        if (job_at(table, i)->state != JOB_FREE)
            push_id(table, i);
}

void job_ids_settle(struct job_table *table)
{
    remake_ids(table, table->by_id.item_count);
}

void job_table_expect(const struct job_table *table, uint64_t id_low, bool is_near)
{
    const uint32_t *head = job_buckets_head(&table->by_id, hash_id(id_low));

    if (!is_near)
        __builtin_prefetch(head);
    else if (*head != 0)
        __builtin_prefetch(job_at(table, *head));
}

static void add_id(struct job_table *table, uint32_t index)
{
    uint32_t *old, at;

    push_id(table, index);
    if (table->is_recovering) {
        if (job_buckets_crowd(&table->by_id))
            remake_ids(table, 2 * (uint64_t)table->by_id.bucket_count);
        return;
    }
    old = job_buckets_grow(&table->by_id);
    if (old == NULL)
        return;
    at = *old;
    *old = 0;
    while (at != 0) {
        uint32_t next = job_at(table, at)->hash_next;

        push_id(table, at);
        at = next;
    }
}

static void remove_id(struct job_table *table, uint32_t index)
{
    uint32_t *at = job_buckets_head(&table->by_id, hash_id(job_at(table, index)->id_low));

    while (*at != index) {
        assert(*at != 0);
        at = &job_at(table, *at)->hash_next;
    }
    *at = job_at(table, index)->hash_next;
    job_buckets_shrink(&table->by_id);
}

uint32_t job_make(struct job_table *table, uint64_t id_low, uint32_t queue)
{
    uint32_t index = job_pool_acquire(&table->jobs);
    struct job *job;

    if (index == 0)
        return 0;
    job = job_at(table, index);
    job->id_low = id_low;
    job_set_queue(job, queue);
    job->state = JOB_PENDING;
    table->counts[JOB_PENDING]++;
    table->queues[queue].counts[JOB_PENDING]++;
    add_id(table, index);
    return index;
}

struct job_extra *job_extra_make(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);

    if (job->extra == 0) {
        job->extra = job_pool_acquire(&table->extras);
        assert(job->extra != 0);
        job_extra_of(table, job)->job = index;
    }
    return job_extra_of(table, job);
}

void job_extra_trim(struct job_table *table, uint32_t index)
{
    static const struct job_extra empty;
    struct job *job = job_at(table, index);
    size_t from = sizeof(empty.job);

    if (job->extra == 0 || memcmp((const char *)job_extra_of(table, job) + from,
                                  (const char *)&empty + from, sizeof(empty) - from) != 0)
        return;
    job_pool_release(&table->extras, job->extra);
    job->extra = 0;
}

void job_note_text(struct job_table *table, uint32_t index, enum job_text text,
                   struct journal_location location, uint64_t size)
{
    struct job_extra *extra = job_extra_make(table, index);
    uint64_t units = (size + SEGMENT_RECORD_HEADER_SIZE + JOB_SIZE_UNIT - 1) / JOB_SIZE_UNIT;

    table->live_bytes -= extra->text_units[text] * (uint64_t)JOB_SIZE_UNIT;
    extra->texts[text] = location;
    extra->text_units[text] = location.bits == 0 ? 0 : (uint16_t)min_u64(units, UINT16_MAX);
    table->live_bytes += extra->text_units[text] * (uint64_t)JOB_SIZE_UNIT;
}

/* What the texts in its JOB take at most. */
static uint64_t texts_size_max(uint8_t texts)
{
    static const uint32_t sizes[JOB_TEXT_COUNT] = {
        [JOB_TEXT_FIRST_ERROR] = JOB_TEXT_SIZE_MAX,
        [JOB_TEXT_LAST_ERROR] = JOB_TEXT_SIZE_MAX,
        [JOB_TEXT_RESULT] = JOB_RESULT_SIZE_MAX,
        [JOB_TEXT_PROGRESS] = JOB_PROGRESS_SIZE_MAX,
    };
    uint64_t size = 0;

    for (uint32_t i = 0; i < JOB_TEXT_COUNT; i++)
        size += (texts >> i & 1) != 0 ? sizes[i] : 0;
    return size;
}

/* Written again it is no larger than this, and has neither serial key nor correlation. */
void job_note_no_payload(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    const struct job_queue *queue = job_queue_of(table, job);
    const struct job_extra *extra = job_extra_of(table, job);
    uint64_t size = SEGMENT_RECORD_HEADER_SIZE + sizeof(struct job_image_header) + queue->org_size +
                    queue->project_size + queue->kind_size;
    uint64_t units;

    assert(job_is_terminal(job));
    if (extra != NULL)
        size += texts_size_max(extra->job_texts);
    units = (size + JOB_SIZE_UNIT - 1) / JOB_SIZE_UNIT;
    if (units >= job->units)
        return;
    table->live_bytes -= (job->units - units) * JOB_SIZE_UNIT;
    job->units = (uint16_t)units;
}

void job_note_no_texts(struct job_table *table, uint32_t index)
{
    if (job_at(table, index)->extra == 0)
        return;
    for (uint32_t i = 0; i < JOB_TEXT_COUNT; i++)
        job_note_text(table, index, (enum job_text)i, JOURNAL_LOCATION_NONE, 0);
    job_extra_of(table, job_at(table, index))->job_texts = 0;
}

void job_forget(struct job_table *table, uint32_t index)
{
    struct job *job = job_at(table, index);
    struct job_queue *queue = job_queue_of(table, job);

    assert(job->state == JOB_PENDING || job_is_terminal(job));
    assert(!job_has(job, JOB_BIT_LINKED));
    job_set_timer(table, index, 0);
    job_unique_drop(table, index);
    job_flow_end_waiting(table, index);
    job_flow_forget(table, index);
    job_note_no_texts(table, index);
    table->live_bytes -= job->units * (uint64_t)JOB_SIZE_UNIT;
    if (!job_has(job, JOB_BIT_REPLAYED)) {
        table->counts[job->state]--;
        queue->counts[job->state]--;
        table->dropped_count += job->state == JOB_PENDING ? 0 : 1;
        queue->dropped_count += job->state == JOB_PENDING ? 0 : 1;
    }
    remove_id(table, index);
    if (job->extra != 0)
        job_pool_release(&table->extras, job->extra);
    job_pool_release(&table->jobs, index);
}

/*
 * Four children per node: half the levels of a binary heap, and the children of a node
 * are in one cache line. Each entry's place is kept in the job, so that any entry can be
 * taken out.
 */
#include "store/job_heap.h"

#include "store/job_table_internals.h"

enum { ARITY = 4 };

static struct job *job_of(const struct job_table *table, uint32_t entry)
{
    return job_at(table, entry / 2);
}

/* Where the job keeps the place of this entry. */
static uint32_t *place_of(const struct job_table *table, uint32_t entry)
{
    struct job *job = job_of(table, entry);

    if (entry % 2 == JOB_HEAP_STATE)
        return &job->heap_index;
    assert(job->extra != 0);
    return &job_extra_of(table, job)->timer_index;
}

uint64_t job_heap_time(const struct job_table *table, uint32_t entry)
{
    struct job *job = job_of(table, entry);

    return entry % 2 == JOB_HEAP_STATE ? job->when_ms : job_extra_of(table, job)->timer_ms;
}

/* Jobs that are due at the same time: those of one key must keep their order. */
static bool is_older(const struct job_table *table, uint32_t a, uint32_t b)
{
    const struct job *left = job_of(table, a), *right = job_of(table, b);
    const struct job_extra *x = job_extra_of(table, left), *y = job_extra_of(table, right);
    uint64_t order_x = x != NULL ? x->order : 0, order_y = y != NULL ? y->order : 0;

    if (left->created_ms != right->created_ms)
        return left->created_ms < right->created_ms;
    if (order_x != order_y)
        return order_x < order_y;
    return a < b;
}

bool job_heap_is_before(const struct job_table *table, uint32_t a, uint32_t b)
{
    uint64_t time_a = job_heap_time(table, a), time_b = job_heap_time(table, b);

    return time_a != time_b ? time_a < time_b : is_older(table, a, b);
}

static void put(struct job_table *table, uint32_t place, uint32_t entry)
{
    table->heap[place] = entry;
    *place_of(table, entry) = place + 1;
}

static void sift_up(struct job_table *table, uint32_t place, uint32_t entry)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / ARITY;

        if (!job_heap_is_before(table, entry, table->heap[parent]))
            break;
        put(table, place, table->heap[parent]);
        place = parent;
    }
    put(table, place, entry);
}

static uint32_t first_child(const struct job_table *table, uint32_t place)
{
    uint64_t from = (uint64_t)place * ARITY + 1;
    uint64_t to = min_u64(from + ARITY, table->heap_count);
    uint64_t best = from;

    for (uint64_t child = from + 1; child < to; child++)
        if (job_heap_is_before(table, table->heap[child], table->heap[best]))
            best = child;
    return best < to ? (uint32_t)best : 0;
}

static void sift_down(struct job_table *table, uint32_t place, uint32_t entry)
{
    for (;;) {
        uint32_t child = first_child(table, place);

        if (child == 0 || !job_heap_is_before(table, table->heap[child], entry))
            break;
        put(table, place, table->heap[child]);
        place = child;
    }
    put(table, place, entry);
}

void job_heap_add(struct job_table *table, uint32_t entry)
{
    assert(*place_of(table, entry) == 0);
    assert(table->heap_count < 2 * (uint64_t)table->room);
    table->heap_count++;
    if (table->heap_count > table->heap_count_seen)
        table->heap_count_seen = table->heap_count;
    sift_up(table, table->heap_count - 1, entry);
}

void job_heap_remove(struct job_table *table, uint32_t entry)
{
    uint32_t place = *place_of(table, entry) - 1;
    uint32_t last;

    assert(job_heap_has(table, entry));
    last = table->heap[--table->heap_count];
    *place_of(table, entry) = 0;
    if (last == entry)
        return;
    put(table, place, last);
    job_heap_update(table, last);
}

void job_heap_update(struct job_table *table, uint32_t entry)
{
    uint32_t place = *place_of(table, entry) - 1;

    assert(job_heap_has(table, entry));
    if (place > 0 && job_heap_is_before(table, entry, table->heap[(place - 1) / ARITY]))
        sift_up(table, place, entry);
    else
        sift_down(table, place, entry);
}

uint32_t job_heap_first(const struct job_table *table)
{
    return table->heap_count == 0 ? 0 : table->heap[0];
}

bool job_heap_has(const struct job_table *table, uint32_t entry)
{
    uint32_t place = *place_of(table, entry) - 1;

    return place < table->heap_count && table->heap[place] == entry;
}

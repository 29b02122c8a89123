/*
 * A death is nearly always the latest, so its place is looked for from the end of the
 * list. Reading the log back brings carried letters in any order; they are sorted once.
 */
#include "store/job_dead.h"

static void place_of(const struct job_table *table, uint32_t index,
                     struct job_dead_place *ret_place)
{
    const struct job *job = job_at(table, index);
    const struct job_extra *extra = job_extra_of(table, job);

    *ret_place = (struct job_dead_place){
        .dead_ms = job->when_ms,
        .created_ms = job->created_ms,
        .order = extra != NULL ? extra->order : 0,
        .id_low = job->id_low,
    };
}

static bool is_before(const struct job_table *table, uint32_t a, uint32_t b)
{
    struct job_dead_place place_a, place_b;

    place_of(table, a, &place_a);
    place_of(table, b, &place_b);
    return job_dead_place_compare(&place_a, &place_b) < 0;
}

void job_dead_add(struct job_table *table, uint32_t index)
{
    uint32_t previous = table->dead.last;

    assert(job_at(table, index)->state == JOB_DEAD);
    if (!table->is_recovering)
        for (uint32_t i = 0; i < JOB_DEAD_STEP_MAX && previous != 0; i++) {
            if (!is_before(table, index, previous))
                break;
            previous = job_at(table, previous)->previous;
        }
    job_list_insert_after(table, &table->dead, previous, index);
    job_set(job_at(table, index), JOB_BIT_LINKED);
}

void job_dead_sort(struct job_table *table)
{
    uint32_t count = table->dead.count;
    uint32_t at = job_list_sort(table, table->dead.first, is_before);

    table->dead = (struct job_list){.first = 0};
    while (at != 0) {
        uint32_t next = job_at(table, at)->next;

        job_list_push_back(table, &table->dead, at);
        at = next;
    }
    assert(table->dead.count == count);
}

void job_table_dead_place(const struct job_table *table, struct job_ref ref,
                          struct job_dead_place *ret_place)
{
    assert(job_at(table, ref.index)->state == JOB_DEAD);
    place_of(table, ref.index, ret_place);
}

int job_dead_place_compare(const struct job_dead_place *a, const struct job_dead_place *b)
{
    const uint64_t words_a[] = {a->dead_ms, a->created_ms, a->order, a->id_low};
    const uint64_t words_b[] = {b->dead_ms, b->created_ms, b->order, b->id_low};

    for (uint32_t i = 0; i < ARRAY_COUNT(words_a); i++)
        if (words_a[i] != words_b[i])
            return words_a[i] < words_b[i] ? -1 : 1;
    return 0;
}

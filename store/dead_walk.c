/*
 * The anchor is the last letter seen that nobody takes away. When it is gone after all the
 * walk begins at the front again, and passes over what lies at or before `from`.
 */
#include "store/dead_walk.h"

#include "runtime/sim_point.h"

static struct job_ref find_anchor(const struct dead_walk *walk, const struct job_table *table)
{
    struct job_view view;
    struct job_ref ref;

    if (walk->anchor_id == 0)
        return JOB_REF_NONE;
    if (job_table_find(table, walk->anchor_id, &ref)) {
        job_table_view(table, ref, &view);
        if (view.state == JOB_DEAD && !view.is_replayed && view.when_ms == walk->anchor_ms)
            return ref;
    }
    SOMETIMES("a walk through dead letters loses its place");
    return JOB_REF_NONE;
}

enum dead_step dead_walk_next(struct dead_walk *walk, const struct job_table *table,
                              const struct dead_filter *filter, uint32_t *steps_left,
                              struct job_ref *ret_ref)
{
    struct job_ref ref = job_table_next_dead(table, find_anchor(walk, table));

    for (; ref.index != JOB_REF_NONE.index; ref = job_table_next_dead(table, ref)) {
        struct job_dead_place place;
        struct job_view view;
        bool is_wanted;

        if (*steps_left == 0)
            return DEAD_STEP_PAUSE;
        (*steps_left)--;
        job_table_view(table, ref, &view);
        job_table_dead_place(table, ref, &place);
        is_wanted =
            job_dead_place_compare(&place, &walk->from) > 0 && dead_filter_takes(filter, &view);
        if (job_dead_place_compare(&place, &walk->from) > 0)
            walk->from = place;
        if (!view.is_committing && !(is_wanted && walk->takes_away)) {
            walk->anchor_id = view.id_low;
            walk->anchor_ms = view.when_ms;
        }
        if (is_wanted) {
            *ret_ref = ref;
            return DEAD_STEP_LETTER;
        }
    }
    return DEAD_STEP_END;
}

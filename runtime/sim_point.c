#include "runtime/sim_point.h"

/* The linker makes these two for every section whose name is a C identifier. */
extern struct sim_point *const __start_sim_points[];
extern struct sim_point *const __stop_sim_points[];

struct sim_point_hook *sim_point_hook_installed;

void sim_point_install(struct sim_point_hook *hook)
{
    assert(hook == NULL || hook->on_hit != NULL);
    sim_point_hook_installed = hook;
}

struct sim_point *const *sim_point_all(size_t *ret_count)
{
    /* One that no test of this file's own could miss: the section is never empty. */
    SOMETIMES("the points of a binary are listed");
    *ret_count = (size_t)(__stop_sim_points - __start_sim_points);
    return __start_sim_points;
}

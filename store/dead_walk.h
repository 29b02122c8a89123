/*
 * Dead walk: goes through the dead letters of a table, a part at a time, while letters
 * come and go.
 *
 * It remembers two things between parts: the place of the last letter that it has seen,
 * behind which it goes on, and a letter that is likely to stay, from which it finds that
 * place again without going through all those before it.
 */
#pragma once

#include "store/dead_filter.h"

/* Zeroed: from the beginning. Only the first two are the caller's to set. */
struct dead_walk {
    struct job_dead_place from; /* it goes on behind this place */
    bool takes_away;            /* the letters given are going to leave the list */
    uint64_t anchor_id;         /* 0: none */
    uint64_t anchor_ms;         /* when it died */
};

enum dead_step {
    DEAD_STEP_LETTER, /* *ret_ref is one that the filter takes */
    DEAD_STEP_PAUSE,  /* step_max is used up: go on later */
    DEAD_STEP_END,    /* there are no more */
};

/*
 * The next letter. Looks at no more than *steps_left letters, and counts them off. A letter
 * about which a fact is just being written is given too: a claim tells.
 */
MUST_USE enum dead_step dead_walk_next(struct dead_walk *walk, const struct job_table *table,
                                       const struct dead_filter *filter, uint32_t *steps_left,
                                       struct job_ref *ret_ref);

/*
 * Between the highest rate that was held and the lowest that was not there is always the
 * limit, if the target is steady. It need not be: so the number of tries is bounded, and
 * a rate that was held is never doubted later. A try that says nothing about the target is
 * repeated, since the machine may have been busy for a moment; then it is taken as a miss,
 * and remembered as such.
 */
#include "tools/load/load_limit.h"

static const double RATE_MIN = 1;
static const double RATE_MAX = 5e6;

static void load_limit_check(const struct load_limit *limit)
{
    assert(limit->rate_first >= RATE_MIN);
    assert(limit->precision > 0);
    assert(limit->missed == 0 || limit->held < limit->missed);
    assert(limit->try_count <= LOAD_LIMIT_TRY_COUNT_MAX);
}

void load_limit_init(struct load_limit *limit, double rate_first, double precision)
{
    *limit = (struct load_limit){.rate_first = rate_first, .precision = precision};
    load_limit_check(limit);
}

static double choose(const struct load_limit *limit)
{
    if (limit->repeat_count > 0)
        return limit->rate;
    if (limit->missed > 0)
        /* Nothing held so far: the limit may be far below. */
        return limit->held > 0 ? (limit->held + limit->missed) / 2 : limit->missed / 4;
    return limit->held > 0 ? limit->held * 2 : limit->rate_first;
}

bool load_limit_next(struct load_limit *limit, double *ret_rate)
{
    bool is_found = limit->repeat_count == 0 && limit->held > 0 && limit->missed > 0 &&
                    limit->missed - limit->held <= limit->precision * limit->missed;
    double rate = choose(limit);

    load_limit_check(limit);
    if (is_found || limit->try_count == LOAD_LIMIT_TRY_COUNT_MAX || rate < RATE_MIN ||
        rate > RATE_MAX)
        return false;
    /* Whole numbers read better, where they make no difference. */
    if (rate > 100)
        rate = (double)(uint64_t)rate;
    limit->rate = rate;
    limit->try_count++;
    *ret_rate = rate;
    return true;
}

void load_limit_note(struct load_limit *limit, enum load_limit_outcome outcome)
{
    if (outcome == LOAD_LIMIT_UNKNOWN && limit->repeat_count < LOAD_LIMIT_REPEAT_COUNT_MAX) {
        limit->repeat_count++;
        return;
    }
    limit->repeat_count = 0;
    switch (outcome) {
    case LOAD_LIMIT_HELD:
        limit->held = limit->rate;
        break;
    case LOAD_LIMIT_MISSED:
    case LOAD_LIMIT_UNKNOWN:
        limit->missed = limit->rate;
        limit->is_generator_limit = outcome == LOAD_LIMIT_UNKNOWN;
        break;
    }
    load_limit_check(limit);
}

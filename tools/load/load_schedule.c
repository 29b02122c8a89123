/*
 * A profile is a rate r(t); R(t), its integral, is how many arrivals there are by t. An
 * even schedule starts number i when R(t) = i, a Poisson process when R(t) is the sum of
 * i exponential gaps of mean 1. So each arrival is a position on the axis of R, and t is
 * R turned around, at that position p:
 *
 *     constant   t = p / r
 *     ramp       R(t) = a t + k t^2 / 2  gives  t = 2 p / (a + sqrt(a^2 + 2 k p))
 *     steps      each step is constant, and covers positions of its own
 *
 * The form of the ramp has no division by k, so that it also holds for hardly any slope.
 */
#include "tools/load/load_schedule.h"

#include <math.h>
#include <stdlib.h>

static const double NS = 1e9;

static void load_schedule_check(const struct load_schedule *schedule)
{
    assert(schedule->profile.rate_first >= LOAD_RATE_MIN);
    assert(schedule->profile.rate_last >= LOAD_RATE_MIN);
    assert(schedule->profile.step_count != 1);
    assert(schedule->profile.step_count <= LOAD_STEP_COUNT_MAX);
}

/* A decimal number within the bounds, up to end. */
static bool parse_one(const char *text, const char *end, double *ret_rate)
{
    char *stop;
    double rate;

    if (end == text || *text == '.' || strspn(text, "0123456789.") < (size_t)(end - text))
        return false;
    rate = strtod(text, &stop);
    if (stop != end || !(rate >= LOAD_RATE_MIN) || !(rate <= LOAD_RATE_MAX))
        return false;
    *ret_rate = rate;
    return true;
}

bool load_rate_parse(const char *text, double *ret_first, double *ret_last)
{
    const char *dots = strstr(text, "..");
    const char *end = text + strlen(text);
    double first, last;

    if (dots == NULL) {
        if (!parse_one(text, end, &first))
            return false;
        last = first;
    } else {
        char head[32];
        size_t size = (size_t)(dots - text);

        /* strtod() would take the first dot for that of a fraction. */
        if (size >= sizeof(head))
            return false;
        memcpy(head, text, size);
        head[size] = '\0';
        if (!parse_one(head, head + size, &first) || !parse_one(dots + 2, end, &last))
            return false;
    }
    *ret_first = first;
    *ret_last = last;
    return true;
}

void load_schedule_init(struct load_schedule *schedule, const struct load_profile *profile,
                        enum load_arrivals arrivals, uint64_t seed)
{
    *schedule = (struct load_schedule){.profile = *profile, .arrivals = arrivals};
    rng_init_seed(&schedule->rng, seed);
    load_schedule_check(schedule);
}

/* The position of the next arrival. */
static double advance(struct load_schedule *schedule)
{
    if (schedule->arrivals == LOAD_ARRIVALS_CONSTANT)
        return (double)schedule->index++;
    /* 53 bits, above 0: the logarithm is finite. */
    schedule->position -= log(((double)(rng_next(&schedule->rng) >> 11) + 1) / 9007199254740993.0);
    return schedule->position;
}

static double constant_time(double rate, double position)
{
    return position * NS / rate;
}

static double ramp_time(const struct load_profile *profile, double position)
{
    double a = profile->rate_first;
    double k = (profile->rate_last - a) / ((double)profile->duration_ns / NS);
    double square = a * a + 2 * k * position;

    /* A falling ramp ends where it would pass 0: nothing arrives there. */
    if (square < 0)
        return INFINITY;
    return 2 * position / (a + sqrt(square)) * NS;
}

static double step_time(struct load_schedule *schedule, double position)
{
    const struct load_profile *profile = &schedule->profile;
    double length_s = (double)profile->duration_ns / NS / profile->step_count;

    while (schedule->step < profile->step_count) {
        double rate = profile->rate_first + (profile->rate_last - profile->rate_first) *
                                                schedule->step / (profile->step_count - 1);
        double inside = position - schedule->step_first;

        if (inside < rate * length_s)
            return (schedule->step * length_s + inside / rate) * NS;
        schedule->step_first += rate * length_s;
        schedule->step++;
    }
    return INFINITY;
}

bool load_schedule_next(struct load_schedule *schedule, uint64_t *ret_due_ns)
{
    const struct load_profile *profile = &schedule->profile;
    double position = advance(schedule);
    double due;

    load_schedule_check(schedule);
    if (profile->rate_first == profile->rate_last)
        due = constant_time(profile->rate_first, position);
    else if (profile->step_count == 0)
        due = ramp_time(profile, position);
    else
        due = step_time(schedule, position);
    if (due >= (double)profile->duration_ns)
        return false;
    *ret_due_ns = (uint64_t)due;
    return true;
}

double load_profile_mean(const struct load_profile *profile)
{
    return (profile->rate_first + profile->rate_last) / 2;
}

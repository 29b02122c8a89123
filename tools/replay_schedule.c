#include "tools/replay_schedule.h"

bool replay_speed_parse(const char *text, double *ret_speed)
{
    double speed;
    char *end;

    if (strcmp(text, "max") == 0) {
        *ret_speed = 0;
        return true;
    }
    /* strtod() would also take signs, exponents, hexadecimal numbers, inf and nan. */
    if (*text == '\0' || text[strspn(text, "0123456789.")] != '\0')
        return false;
    speed = strtod(text, &end);
    if (*end != '\0' || !(speed > 0) || speed > REPLAY_SPEED_MAX)
        return false;
    *ret_speed = speed;
    return true;
}

void replay_schedule_init(struct replay_schedule *schedule, double speed, uint64_t gap_max_ms)
{
    assert(speed >= 0);
    assert(speed <= REPLAY_SPEED_MAX);
    *schedule = (struct replay_schedule){.speed = speed, .gap_max_ms = gap_max_ms};
}

uint64_t replay_schedule_next(struct replay_schedule *schedule, int64_t unix_ms)
{
    if (!schedule->has_events) {
        schedule->has_events = true;
        schedule->first_ms = schedule->last_ms = unix_ms;
        return 0;
    }
    if (unix_ms < schedule->first_ms)
        schedule->first_ms = unix_ms;
    if (unix_ms > schedule->last_ms) {
        uint64_t gap_ms = (uint64_t)unix_ms - (uint64_t)schedule->last_ms;

        schedule->last_ms = unix_ms;
        gap_ms = min_u64(gap_ms, schedule->gap_max_ms);
        if (schedule->speed > 0)
            schedule->due_ns += (double)gap_ms * 1e6 / schedule->speed;
    }
    assert(schedule->first_ms <= schedule->last_ms);
    /* Beyond two centuries nobody is left to see the difference. */
    return schedule->due_ns < 9e18 ? (uint64_t)schedule->due_ns : (uint64_t)9e18;
}

int64_t replay_schedule_shift_ms(const struct replay_schedule *whole, int64_t start_ms)
{
    int64_t span_ms = whole->last_ms - whole->first_ms;
    int64_t due_ms = whole->due_ns < 9e18 ? (int64_t)(whole->due_ns / 1e6) : INT64_MAX / 1000000;

    if (!whole->has_events)
        return 0;
    /* Slower than real time, the first events would otherwise occur after they are sent. */
    return start_ms + (due_ms < span_ms ? due_ms : span_ms) - whole->last_ms;
}

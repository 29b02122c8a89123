#include "store/incident_verdict.h"

#include <string.h>

/*
 * Ratios are compared as products of whole numbers. With a baseline b of 60 minutes, the mean
 * of 5 is b/12, so "count is p percent of it" is count * 12 * 100 = b * p; with windows of 15
 * minutes the mean is b/4.
 */

enum {
    SPIKE_PARTS = SPIKE_BASELINE_MINUTES / SPIKE_WINDOW_MINUTES,
    DROP_PARTS = DROP_BASELINE_MINUTES / DROP_WINDOW_MINUTES,
};

static_assert(SPIKE_PARTS == 12, "of the baseline");
static_assert(DROP_PARTS == 4, "of the baseline");

static uint64_t spike_count(const struct minute_ring *ring, int64_t minute, int64_t floor)
{
    int64_t first = minute - SPIKE_WINDOW_MINUTES;

    return minute_ring_sum(ring, first > floor ? first : floor + 1, minute);
}

void incident_measure(const struct minute_ring *ring, uint32_t minute, uint32_t floor,
                      struct spike_measure *ret_measure)
{
    int64_t before = (int64_t)minute - SPIKE_WINDOW_MINUTES;

    ret_measure->minute = minute;
    ret_measure->floor = floor;
    ret_measure->count = spike_count(ring, minute, floor);
    ret_measure->baseline = minute_ring_sum(ring, before - SPIKE_BASELINE_MINUTES, before - 1);
    ret_measure->has_history = minute_ring_sum(ring, (int64_t)minute - SPIKE_HISTORY_MINUTES,
                                               before - SPIKE_BASELINE_MINUTES) > 0;
}

void incident_judge_spike(const struct spike_measure *measure, const struct incident_rules *rules,
                          struct incident_verdict *ret_verdict)
{
    uint64_t baseline = measure->baseline;
    uint64_t scaled = measure->count * SPIKE_PARTS * 100;

    *ret_verdict =
        (struct incident_verdict){.count = measure->count, .severity = INCIDENT_SEVERITY_WARN};
    if (rules->spike_is_off || measure->count < rules->spike_count)
        return;
    if (baseline == 0 || !measure->has_history) {
        ret_verdict->is_breach = true;
        ret_verdict->rule = INCIDENT_RULE_NEW_ERROR;
        ret_verdict->severity = INCIDENT_SEVERITY_ERROR;
        return;
    }
    ret_verdict->is_breach = scaled >= baseline * rules->spike_percent;
    ret_verdict->rule = INCIDENT_RULE_ERROR_SPIKE;
    ret_verdict->baseline_milli = baseline * 1000 / SPIKE_PARTS;
    if (scaled >= baseline * rules->spike_critical_percent)
        ret_verdict->severity = INCIDENT_SEVERITY_CRITICAL;
    else if (scaled >= baseline * rules->spike_error_percent)
        ret_verdict->severity = INCIDENT_SEVERITY_ERROR;
}

static void judge_drop(const struct minute_ring *ring, const struct incident_rules *rules,
                       int64_t minute, int64_t floor, struct incident_verdict *verdict)
{
    int64_t first = minute - DROP_WINDOW_MINUTES;
    uint64_t baseline = minute_ring_sum(ring, first - DROP_BASELINE_MINUTES, first - 1), scaled;

    verdict->count = minute_ring_sum(ring, first, minute - 1);
    if (rules->drop_is_off || first < floor || baseline < rules->drop_baseline ||
        verdict->count > rules->drop_count)
        return;
    scaled = verdict->count * DROP_PARTS * 100;
    verdict->is_breach = scaled <= baseline * rules->drop_percent;
    verdict->rule = INCIDENT_RULE_SIGNUP_DROP;
    verdict->baseline_milli = baseline * 1000 / DROP_PARTS;
    if (scaled <= baseline * rules->drop_critical_percent)
        verdict->severity = INCIDENT_SEVERITY_CRITICAL;
    else if (scaled <= baseline * rules->drop_error_percent)
        verdict->severity = INCIDENT_SEVERITY_ERROR;
}

void incident_judge(const struct minute_ring *ring, enum series_what what,
                    const struct incident_rules *rules, uint32_t minute, uint32_t floor,
                    struct incident_verdict *ret_verdict)
{
    struct spike_measure measure;

    memset(ret_verdict, 0, sizeof(*ret_verdict));
    ret_verdict->severity = INCIDENT_SEVERITY_WARN;
    switch (what) {
    case SERIES_ERRORS:
        incident_measure(ring, minute, floor, &measure);
        incident_judge_spike(&measure, rules, ret_verdict);
        return;
    case SERIES_SIGNUPS:
        judge_drop(ring, rules, minute, floor, ret_verdict);
        return;
    case SERIES_OVERFLOW:
        ret_verdict->count = minute > floor ? minute_ring_count(ring, minute) : 0;
        ret_verdict->is_breach = ret_verdict->count > 0;
        ret_verdict->rule = INCIDENT_RULE_OVERFLOW;
        return;
    }
}

bool incident_is_confirmed(const struct minute_ring *ring, enum series_what what,
                           const struct incident_rules *rules, uint32_t minute, uint32_t floor)
{
    struct incident_verdict verdict;

    if (what == SERIES_OVERFLOW)
        return true; /* it is about weir itself: nothing to wait for */
    for (uint32_t i = 0; i <= rules->pending_minutes; i++) {
        if (i > minute)
            return false;
        incident_judge(ring, what, rules, minute - i, floor, &verdict);
        if (!verdict.is_breach)
            return false;
    }
    return true;
}

int64_t incident_last_active_ms(const struct minute_ring *ring, enum series_what what,
                                const struct incident_rules *rules, uint32_t last)
{
    uint64_t least = 1;

    assert(what != SERIES_SIGNUPS);
    if (what == SERIES_ERRORS)
        least = ((uint64_t)rules->spike_count * ACTIVITY_PERCENT + 99) / 100;
    if (last > ring->head)
        last = ring->head;
    for (uint32_t minute = last; minute > 0 && ring->head - minute < MINUTE_RING_COUNT; minute--)
        if (minute_ring_count(ring, minute) > 0 && spike_count(ring, minute, 0) >= least)
            return minute_ring_last_ms(ring, minute);
    return 0;
}

bool incident_drop_goes_on(const struct minute_ring *ring, const struct incident_rules *rules,
                           uint32_t minute, uint64_t expected_milli)
{
    uint64_t count =
        minute_ring_sum(ring, (int64_t)minute - DROP_WINDOW_MINUTES, (int64_t)minute - 1);

    return count <= rules->drop_count && count * 100 * 1000 <= expected_milli * rules->drop_percent;
}

static bool is_beyond(const struct minute_ring *ring, enum series_what what,
                      const struct incident_rules *rules, uint32_t minute)
{
    struct incident_verdict verdict;

    if (what == SERIES_ERRORS)
        return spike_count(ring, minute, 0) >= rules->spike_count;
    incident_judge(ring, what, rules, minute, 0, &verdict);
    return verdict.is_breach;
}

uint32_t incident_flap_changes(const struct minute_ring *ring, enum series_what what,
                               const struct incident_rules *rules, uint32_t minute)
{
    bool was_beyond, is_now;
    uint32_t changes = 0;

    if (minute < FLAP_EVALUATION_COUNT)
        return 0;
    was_beyond = is_beyond(ring, what, rules, minute - FLAP_EVALUATION_COUNT);
    for (uint32_t i = FLAP_EVALUATION_COUNT - 1; i > 0; i--) {
        is_now = is_beyond(ring, what, rules, minute - i);
        changes += is_now != was_beyond;
        was_beyond = is_now;
    }
    return changes;
}

/*
 * Incident verdict: whether a series breaks a rule in a given minute.
 *
 * Pure functions of the series' minutes and the project's rules: no clock, no state. What
 * they count, with m for the minute in question:
 *
 *     error spike   window    m-5 .. m      5 minutes and the current one, so that a window is
 *                                           never shorter than 5 minutes
 *                   baseline  m-65 .. m-6   the hour before; a twelfth of it is to be expected
 *                   history   m-96 .. m-65  any event there: there is an hour to compare with.
 *                                           Else, and when the hour was empty, the count alone
 *                                           decides, and the rule is called new_error
 *     signup drop   window    m-15 .. m-1   at the tick with which minute m begins
 *                   baseline  m-75 .. m-16  a quarter of it is to be expected
 *     overflow      one event in m
 *
 * The baseline never includes the window, and a quarter of the rules' numbers is not enough
 * to tell a drop from the normal rate: it must also be a real one (drop_percent).
 */
#pragma once

#include "store/incident_record.h"
#include "store/minute_ring.h"

enum {
    SPIKE_WINDOW_MINUTES = 5,
    SPIKE_BASELINE_MINUTES = 60,
    SPIKE_HISTORY_MINUTES = 96,
    DROP_WINDOW_MINUTES = 15,
    DROP_BASELINE_MINUTES = 60,
    FLAP_EVALUATION_COUNT = 20, /* minutes that are looked at */
    FLAP_ENTER_CHANGES = 4,
    FLAP_LEAVE_CHANGES = 1,
    ACTIVITY_PERCENT = 10, /* of a threshold: so much keeps an incident alive */
};

/* What is counted in a series. */
enum series_what {
    SERIES_ERRORS,
    SERIES_SIGNUPS,
    SERIES_OVERFLOW,
};

/* What the rule for spikes compares, of one minute. */
struct spike_measure {
    uint32_t minute; /* 0: not measured */
    uint32_t floor;
    bool has_history;
    uint64_t count;
    uint64_t baseline;
};

/* What is wrong, when something is. */
struct incident_verdict {
    bool is_breach;
    enum incident_rule rule;
    enum incident_severity severity;
    uint64_t count;          /* in the window */
    uint64_t baseline_milli; /* thousandths of what was to be expected there; 0: unknown */
};

/*
 * The verdict for this minute. Minutes up to floor do not count for the window of a spike,
 * nor may that of a drop begin before its end: they belong to an incident that was resolved
 * then. floor 0: none was.
 */
void incident_judge(const struct minute_ring *ring, enum series_what what,
                    const struct incident_rules *rules, uint32_t minute, uint32_t floor,
                    struct incident_verdict *ret_verdict);

/*
 * The two halves of that for errors. An event in the minute that was measured adds one to its
 * count and changes nothing else, so a flood need not be measured again event by event.
 */
void incident_measure(const struct minute_ring *ring, uint32_t minute, uint32_t floor,
                      struct spike_measure *ret_measure);

/* The second half: what the rules say to what was measured. */
void incident_judge_spike(const struct spike_measure *measure, const struct incident_rules *rules,
                          struct incident_verdict *ret_verdict);

/* True when the minutes up to this one are all in breach, rules->pending_minutes of them. */
MUST_USE bool incident_is_confirmed(const struct minute_ring *ring, enum series_what what,
                                    const struct incident_rules *rules, uint32_t minute,
                                    uint32_t floor);

/*
 * When it was last active, up to this minute: the newest event with a tenth of the threshold
 * in its window. 0: never, as far as the ring reaches. Not for signups.
 */
int64_t incident_last_active_ms(const struct minute_ring *ring, enum series_what what,
                                const struct incident_rules *rules, uint32_t last);

/* True when signups are still missing at the tick of this minute: expected is the header's. */
MUST_USE bool incident_drop_goes_on(const struct minute_ring *ring,
                                    const struct incident_rules *rules, uint32_t minute,
                                    uint64_t expected_milli);

/* How often the threshold was crossed in the FLAP_EVALUATION_COUNT minutes before this one. */
MUST_USE uint32_t incident_flap_changes(const struct minute_ring *ring, enum series_what what,
                                        const struct incident_rules *rules, uint32_t minute);

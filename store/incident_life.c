#include "store/incident_table_internals.h"

#include "runtime/sim_point.h"

/*
 * Two things lead to a decision: an event, which can only make the minutes worse that have it
 * in their window, and a tick, at the beginning of each minute, for what is about absence.
 *
 * An event at an instant before the clock (others overtook it, or its sender was cut off for
 * a while) is judged in the minutes it belongs to; what opens then opens in the past, and what
 * was due since is done at once, with the time at which it was due.
 *
 * Whether it is the event itself or the catching up after a restart that finds the breach, it
 * is found in the same minute, because both look at the same minutes in the same way. Only the
 * instant differs: that of the event that broke the rule, or of the last one of its minute.
 */

static struct incident *incident_of(const struct incident_table *table,
                                    const struct incident_series *series)
{
    return series->incident == SLOT_NONE ? NULL : &table->incidents[series->incident];
}

static const struct incident_rules *rules_of(const struct incident_table *table,
                                             const struct incident_series *series)
{
    return incident_rules_of(&table->projects[series->project]);
}

/* Minutes up to this one belong to an incident that was resolved then. 0: to none. */
static uint32_t floor_of(const struct incident *incident)
{
    if (incident == NULL || incident->header.status != INCIDENT_RESOLVED)
        return 0;
    return minute_of(incident->header.resolved_ms);
}

static bool is_flapping(const struct incident *incident)
{
    return (incident->header.flags & INCIDENT_FLAG_FLAPPING) != 0;
}

/* --- opening -------------------------------------------------------------------- */

static void open_new(struct incident_table *table, struct incident_series *series,
                     const struct incident_verdict *verdict, int64_t at_ms)
{
    uint32_t slot = incident_slot_acquire(table, series);
    struct incident_image_header *header;

    if (slot == SLOT_NONE) {
        SOMETIMES("there are too many incidents");
        table->stats.refused++;
        return;
    }
    if (series->incident != SLOT_NONE)
        incident_slot_detach(table, series->incident);
    series->incident = slot;
    header = &table->incidents[slot].header;
    header->opened_ms = at_ms;
    header->reopened_ms = at_ms;
    header->last_seen_ms = at_ms;
    header->rule = (uint8_t)verdict->rule;
    header->severity = (uint8_t)verdict->severity;
    header->window_count = verdict->count;
    header->baseline_milli = verdict->baseline_milli;
    series->active_ms = at_ms;
    table->stats.open++;
    incident_push_change(table, slot, INCIDENT_CAUSE_OPENED, at_ms, true, (struct slice){NULL, 0});
    incident_watch(table, series);
}

static void reopen(struct incident_table *table, struct incident_series *series,
                   struct incident *incident, const struct incident_verdict *verdict, int64_t at_ms)
{
    struct incident_image_header *header = &incident->header;

    SOMETIMES("an incident is reopened");
    header->status = INCIDENT_OPEN;
    header->resolved_ms = 0;
    header->reopened_ms = at_ms;
    header->reopen_count++;
    header->severity = (uint8_t)verdict->severity;
    header->last_seen_ms = at_ms;
    header->window_count = verdict->count;
    header->baseline_milli = verdict->baseline_milli;
    series->active_ms = at_ms;
    table->stats.open++;
    incident_push_change(table, series->incident, INCIDENT_CAUSE_REOPENED, at_ms,
                         !is_flapping(incident), (struct slice){NULL, 0});
    incident_watch(table, series);
}

/* The rule is broken in the minute of at_ms. */
static void on_breach(struct incident_table *table, struct incident_series *series,
                      const struct incident_verdict *verdict, int64_t at_ms)
{
    const struct incident_rules *rules = rules_of(table, series);
    struct incident *incident = incident_of(table, series);
    struct incident_image_header *header;

    if (incident == NULL) {
        if (incident_is_confirmed(&series->ring, (enum series_what)series->what, rules,
                                  minute_of(at_ms), 0))
            open_new(table, series, verdict, at_ms);
        return;
    }
    header = &incident->header;
    if (header->status != INCIDENT_RESOLVED) {
        if (verdict->severity <= header->severity || at_ms < header->reopened_ms)
            return;
        header->severity = (uint8_t)verdict->severity;
        header->window_count = verdict->count;
        header->baseline_milli = verdict->baseline_milli;
        incident_push_change(table, series->incident, INCIDENT_CAUSE_ESCALATED, at_ms,
                             !is_flapping(incident), (struct slice){NULL, 0});
        return;
    }
    if (at_ms <= header->resolved_ms ||
        !incident_is_confirmed(&series->ring, (enum series_what)series->what, rules,
                               minute_of(at_ms), floor_of(incident)))
        return;
    if (at_ms - header->resolved_ms <= (int64_t)rules->reopen_minutes * MINUTE_MS)
        reopen(table, series, incident, verdict, at_ms);
    else
        open_new(table, series, verdict, at_ms);
}

/* Judges one minute with events; at_ms 0: the instant of its newest event. */
static void judge_minute(struct incident_table *table, struct incident_series *series,
                         uint32_t minute, int64_t at_ms)
{
    const struct incident *incident = incident_of(table, series);
    uint32_t floor = floor_of(incident);
    struct incident_verdict verdict;

    if (minute <= floor || minute_ring_count(&series->ring, minute) == 0)
        return;
    incident_judge(&series->ring, (enum series_what)series->what, rules_of(table, series), minute,
                   floor, &verdict);
    if (verdict.is_breach)
        on_breach(table, series, &verdict,
                  at_ms != 0 ? at_ms : minute_ring_last_ms(&series->ring, minute));
}

/* The newest minute, of which there is a measure already: one event more. */
static void judge_again(struct incident_table *table, struct incident_series *series, int64_t at_ms)
{
    const struct incident *incident = incident_of(table, series);
    struct incident_verdict verdict;

    series->measure.count++;
    if (incident != NULL && incident->header.status != INCIDENT_RESOLVED &&
        incident->header.severity == INCIDENT_SEVERITY_CRITICAL)
        return; /* it cannot become worse */
    incident_judge_spike(&series->measure, rules_of(table, series), &verdict);
    if (verdict.is_breach)
        on_breach(table, series, &verdict, at_ms);
}

void incident_life_on_event(struct incident_table *table, struct incident_series *series,
                            int64_t at_ms)
{
    uint32_t first = minute_of(at_ms), floor = floor_of(incident_of(table, series)), last;

    if (series->what == SERIES_SIGNUPS)
        return; /* it is about their absence: see tick() */
    if (series->what == SERIES_ERRORS && first == series->ring.head && first > floor) {
        if (series->measure.minute == first && series->measure.floor == floor) {
            judge_again(table, series, at_ms);
            return;
        }
        incident_measure(&series->ring, first, floor, &series->measure);
        series->measure.count--; /* this event is judged like all that follow */
        judge_again(table, series, at_ms);
        return;
    }
    series->measure.minute = 0; /* what was before the newest minute has changed */
    judge_minute(table, series, first, at_ms);
    last = first + SPIKE_WINDOW_MINUTES;
    if (last > series->ring.head)
        last = series->ring.head;
    for (uint32_t minute = first + 1; minute <= last; minute++)
        judge_minute(table, series, minute, 0);
}

/* --- what happens by itself -------------------------------------------------------- */

static void judge_drop(struct incident_table *table, struct incident_series *series,
                       uint32_t minute)
{
    const struct incident_rules *rules = rules_of(table, series);
    const struct incident *incident = incident_of(table, series);
    int64_t at_ms = (int64_t)minute * MINUTE_MS;
    struct incident_verdict verdict;

    incident_judge(&series->ring, SERIES_SIGNUPS, rules, minute, floor_of(incident), &verdict);
    if (verdict.is_breach)
        on_breach(table, series, &verdict, at_ms);
    incident = incident_of(table, series);
    if (incident != NULL && incident->header.status != INCIDENT_RESOLVED &&
        (verdict.is_breach ||
         incident_drop_goes_on(&series->ring, rules, minute, incident->header.baseline_milli)))
        series->active_ms = at_ms;
}

static void judge_flapping(struct incident_table *table, struct incident_series *series,
                           uint32_t minute)
{
    struct incident *incident = incident_of(table, series);
    uint32_t changes;
    bool notify;

    if (series->what == SERIES_OVERFLOW)
        return;
    changes = incident_flap_changes(&series->ring, (enum series_what)series->what,
                                    rules_of(table, series), minute);
    notify = incident->header.status != INCIDENT_RESOLVED;
    if (!is_flapping(incident) && changes >= FLAP_ENTER_CHANGES) {
        SOMETIMES("an incident flaps");
        incident->header.flags |= INCIDENT_FLAG_FLAPPING;
        incident_push_change(table, series->incident, INCIDENT_CAUSE_FLAPPING,
                             (int64_t)minute * MINUTE_MS, notify, (struct slice){NULL, 0});
    } else if (is_flapping(incident) && changes <= FLAP_LEAVE_CHANGES) {
        SOMETIMES("an incident has settled");
        incident->header.flags &= (uint8_t)~INCIDENT_FLAG_FLAPPING;
        incident_push_change(table, series->incident, INCIDENT_CAUSE_SETTLED,
                             (int64_t)minute * MINUTE_MS, notify, (struct slice){NULL, 0});
    }
}

static int64_t last_seen_ms(const struct incident_series *series)
{
    return series->what == SERIES_SIGNUPS ? series->active_ms : series->last_ms;
}

/* The time of the newest event is written once a minute, not with each. */
static void note_seen(struct incident_table *table, struct incident_series *series, uint32_t minute)
{
    struct incident *incident = incident_of(table, series);

    if (incident->header.status == INCIDENT_RESOLVED ||
        last_seen_ms(series) < incident->header.last_seen_ms + MINUTE_MS)
        return;
    incident->header.last_seen_ms = last_seen_ms(series);
    incident_push_change(table, series->incident, INCIDENT_CAUSE_SEEN, (int64_t)minute * MINUTE_MS,
                         false, (struct slice){NULL, 0});
}

static void tick(struct incident_table *table, struct incident_series *series, uint32_t minute)
{
    series->ticked_minute = minute;
    if (series->what == SERIES_SIGNUPS)
        judge_drop(table, series, minute);
    if (series->incident == SLOT_NONE)
        return;
    /* Of what is past, the minutes look different now: others have come since. */
    if (!table->is_catching_up)
        judge_flapping(table, series, minute);
    note_seen(table, series, minute);
}

/* When its incident is resolved if nothing more happens; INT64_MAX: not by itself. */
static int64_t resolve_due_ms(const struct incident_table *table,
                              const struct incident_series *series, int64_t clock_ms)
{
    const struct incident *incident = incident_of(table, series);
    const struct incident_rules *rules = rules_of(table, series);
    int64_t active_ms;

    /* Somebody is at it, or it would only come back: it stays. */
    if (incident == NULL || incident->header.status != INCIDENT_OPEN || is_flapping(incident))
        return INT64_MAX;
    active_ms = series->what == SERIES_SIGNUPS
                    ? series->active_ms
                    : incident_last_active_ms(&series->ring, (enum series_what)series->what, rules,
                                              minute_of(clock_ms));
    if (active_ms < incident->header.reopened_ms)
        active_ms = incident->header.reopened_ms;
    return active_ms + (int64_t)rules->resolve_minutes * MINUTE_MS;
}

static void resolve(struct incident_table *table, struct incident_series *series, int64_t at_ms)
{
    struct incident *incident = incident_of(table, series);

    SOMETIMES("an incident is resolved by itself");
    incident->header.status = INCIDENT_RESOLVED;
    incident->header.resolved_ms = at_ms;
    if (last_seen_ms(series) > incident->header.last_seen_ms)
        incident->header.last_seen_ms = last_seen_ms(series);
    table->stats.open--;
    incident_push_change(table, series->incident, INCIDENT_CAUSE_AUTO_RESOLVED, at_ms, true,
                         (struct slice){NULL, 0});
}

/* When a resolved one can neither come back nor keep minutes for itself; INT64_MAX: never. */
static int64_t release_due_ms(const struct incident_table *table,
                              const struct incident_series *series)
{
    const struct incident *incident = incident_of(table, series);
    uint32_t minutes = rules_of(table, series)->reopen_minutes;

    if (incident == NULL || incident->header.status != INCIDENT_RESOLVED)
        return INT64_MAX;
    if (minutes <= INCIDENT_CATCH_UP_MINUTES)
        minutes = INCIDENT_CATCH_UP_MINUTES + 1;
    return incident->header.resolved_ms + (int64_t)minutes * MINUTE_MS + 1;
}

static void release(struct incident_table *table, struct incident_series *series)
{
    incident_slot_detach(table, series->incident);
    series->incident = SLOT_NONE;
    if (series->what != SERIES_SIGNUPS)
        incident_unwatch(table, series);
}

/*
 * A leap of days: after the first few hours of it there are no events left that a tick could
 * count, and all that depends on them has happened. Signups that are missing still are.
 */
static void skip_empty_minutes(struct incident_series *series, int64_t clock_ms)
{
    uint32_t last = minute_of(clock_ms);

    if (series->ticked_minute <= series->ring.head + INCIDENT_JUMP_MINUTES_MAX ||
        series->ticked_minute + 1 >= last)
        return;
    SOMETIMES("a stream leaps over hours");
    series->ticked_minute = last - 1;
    series->active_ms = (int64_t)series->ticked_minute * MINUTE_MS;
}

bool incident_life_step(struct incident_table *table, struct incident_series *series,
                        int64_t clock_ms)
{
    while (!list_is_empty(&series->watch)) {
        int64_t tick_ms, resolve_ms, release_ms;

        skip_empty_minutes(series, clock_ms);
        tick_ms = ((int64_t)series->ticked_minute + 1) * MINUTE_MS;
        resolve_ms = resolve_due_ms(table, series, clock_ms);
        release_ms = release_due_ms(table, series);
        series->due_ms = tick_ms < resolve_ms ? tick_ms : resolve_ms;
        if (release_ms < series->due_ms)
            series->due_ms = release_ms;
        if (series->due_ms > clock_ms)
            return true;
        if (incident_change_room(table) < 2)
            return false;
        if (release_ms == series->due_ms)
            release(table, series);
        else if (resolve_ms == series->due_ms)
            resolve(table, series, resolve_ms);
        else
            tick(table, series, series->ticked_minute + 1);
    }
    return true;
}

/* Signups: when were they last missing, of the minutes whose ticks are not made again? */
static void find_active(const struct incident_table *table, struct incident_series *series,
                        uint32_t first)
{
    const struct incident *incident = incident_of(table, series);
    const struct incident_rules *rules = rules_of(table, series);

    series->active_ms = incident->header.reopened_ms;
    for (uint32_t minute = first; minute <= series->ticked_minute; minute++)
        if (incident_drop_goes_on(&series->ring, rules, minute, incident->header.baseline_milli) &&
            (int64_t)minute * MINUTE_MS > series->active_ms)
            series->active_ms = (int64_t)minute * MINUTE_MS;
}

bool incident_life_is_recent(const struct incident_table *table,
                             const struct incident_series *series)
{
    return series->received_ms + INCIDENT_RECENT_MS >= table->recovered_ms;
}

/* The first minute that is judged again; 1 at the least. */
static uint32_t first_undecided(const struct incident_table *table,
                                const struct incident_series *series, uint32_t last)
{
    if (incident_life_is_recent(table, series) && series->ring.head < last && series->ring.head > 0)
        last = series->ring.head;
    return last > INCIDENT_CATCH_UP_MINUTES ? last - INCIDENT_CATCH_UP_MINUTES : 1;
}

void incident_life_catch_up(struct incident_table *table, struct incident_series *series)
{
    uint32_t last = minute_of(incident_stream_of(table, series)->clock_ms);
    uint32_t first = first_undecided(table, series, last);

    if (series->what == SERIES_SIGNUPS || series->incident != SLOT_NONE) {
        incident_watch(table, series);
        series->ticked_minute = first - 1;
    }
    /* What its record says has been decided; ticks before that would only repeat it. */
    if (series->incident != SLOT_NONE) {
        uint32_t known = minute_of(incident_of(table, series)->header.changed_ms);

        if (series->what != SERIES_SIGNUPS || known > last)
            known = last;
        if (known > series->ticked_minute)
            series->ticked_minute = known;
        if (series->what == SERIES_SIGNUPS)
            find_active(table, series, first);
    }
    table->is_catching_up = true;
    for (uint32_t minute = first; minute <= last && minute <= series->ring.head; minute++) {
        /* What was due before the minute comes first: an incident may end, another begin. */
        if (!incident_life_step(table, series, (int64_t)minute * MINUTE_MS))
            SOMETIMES("catching up waits for room");
        if (series->what != SERIES_SIGNUPS)
            judge_minute(table, series, minute, 0);
    }
    if (!list_is_empty(&series->watch))
        (void)incident_life_step(table, series, (int64_t)last * MINUTE_MS);
    table->is_catching_up = false;
}

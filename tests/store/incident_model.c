#include "tests/store/incident_model.h"

#include <string.h>

/*
 * Written from the requirements and not from the table: every minute is kept for ever, every
 * series is ticked at every minute, counts are sums over what is asked for, and ratios are
 * compared as floating-point numbers.
 */

void incident_model_init(struct incident_model *model, int64_t base_ms,
                         const struct incident_rules *rules)
{
    memset(model, 0, sizeof(*model));
    model->rules = *rules;
    model->base = minute_of(base_ms);
    for (uint32_t i = 0; i < MODEL_SERIES_MAX; i++) {
        model->series[i].what = i == 0 ? SERIES_SIGNUPS : SERIES_ERRORS;
        model->series[i].incident = -1;
    }
}

static uint64_t count(const struct incident_model *model, const struct model_series *series,
                      int64_t first, int64_t last)
{
    uint64_t sum = 0;

    for (int64_t minute = first; minute <= last; minute++)
        if (minute >= model->base && minute < model->base + MODEL_MINUTES_MAX)
            sum += series->counts[minute - model->base];
    return sum;
}

static struct model_incident *latest(struct incident_model *model, struct model_series *series)
{
    return series->incident < 0 ? NULL : &model->incidents[series->incident];
}

static bool is_open(const struct model_incident *incident)
{
    return incident != NULL && incident->header.status != INCIDENT_RESOLVED;
}

static int64_t floor_of(const struct model_incident *incident)
{
    return incident == NULL || is_open(incident) ? 0 : incident->header.resolved_ms / MINUTE_MS;
}

/* The rules, from the words of the requirements. */
static bool breaks(const struct incident_model *model, const struct model_series *series, int64_t m,
                   int64_t floor, enum incident_rule *ret_rule,
                   enum incident_severity *ret_severity)
{
    const struct incident_rules *rules = &model->rules;
    double ratio;

    if (series->what == SERIES_ERRORS) {
        uint64_t window = count(model, series, m - 5 > floor ? m - 5 : floor + 1, m);
        uint64_t hour = count(model, series, m - 65, m - 6);

        if (window < rules->spike_count)
            return false;
        *ret_rule = INCIDENT_RULE_NEW_ERROR;
        *ret_severity = INCIDENT_SEVERITY_ERROR;
        if (hour == 0 || count(model, series, m - 96, m - 65) == 0)
            return true;
        *ret_rule = INCIDENT_RULE_ERROR_SPIKE;
        ratio = (double)window / ((double)hour / 12);
        *ret_severity = ratio >= rules->spike_critical_percent / 100.0 ? INCIDENT_SEVERITY_CRITICAL
                        : ratio >= rules->spike_error_percent / 100.0  ? INCIDENT_SEVERITY_ERROR
                                                                       : INCIDENT_SEVERITY_WARN;
        return ratio >= rules->spike_percent / 100.0;
    }
    {
        uint64_t window = count(model, series, m - 15, m - 1);
        uint64_t hour = count(model, series, m - 75, m - 16);

        if (m - 15 < floor || window > rules->drop_count || hour < rules->drop_baseline)
            return false;
        ratio = (double)window / ((double)hour / 4);
        *ret_rule = INCIDENT_RULE_SIGNUP_DROP;
        *ret_severity = ratio <= rules->drop_critical_percent / 100.0 ? INCIDENT_SEVERITY_CRITICAL
                        : ratio <= rules->drop_error_percent / 100.0  ? INCIDENT_SEVERITY_ERROR
                                                                      : INCIDENT_SEVERITY_WARN;
        return ratio <= rules->drop_percent / 100.0;
    }
}

static void note(struct model_incident *incident, enum incident_cause cause)
{
    incident->causes[cause]++;
}

/* Thousandths of the signups that the last hour makes expect in a quarter of one. */
static uint64_t expected(const struct incident_model *model, const struct model_series *series,
                         int64_t at_ms)
{
    int64_t m = at_ms / MINUTE_MS;

    return series->what == SERIES_ERRORS ? 0 : count(model, series, m - 75, m - 16) * 1000 / 4;
}

static void on_breach(struct incident_model *model, struct model_series *series, int64_t at_ms,
                      enum incident_rule rule, enum incident_severity severity, int64_t floor)
{
    struct model_incident *incident = latest(model, series);
    enum incident_rule rule_then;
    enum incident_severity severity_then;

    if (is_open(incident)) {
        if (severity > incident->header.severity && at_ms >= incident->header.reopened_ms) {
            incident->header.severity = (uint8_t)severity;
            incident->header.baseline_milli = expected(model, series, at_ms);
            note(incident, INCIDENT_CAUSE_ESCALATED);
        }
        return;
    }
    for (int64_t i = 1; i <= model->rules.pending_minutes; i++)
        if (!breaks(model, series, at_ms / MINUTE_MS - i, floor, &rule_then, &severity_then))
            return;
    if (incident != NULL &&
        at_ms - incident->header.resolved_ms <= (int64_t)model->rules.reopen_minutes * MINUTE_MS) {
        incident->header.status = INCIDENT_OPEN;
        incident->header.resolved_ms = 0;
        incident->header.reopened_ms = at_ms;
        incident->header.reopen_count++;
        incident->header.severity = (uint8_t)severity;
        incident->header.last_seen_ms = at_ms;
        note(incident, INCIDENT_CAUSE_REOPENED);
        incident->told += (incident->header.flags & INCIDENT_FLAG_FLAPPING) == 0;
    } else {
        series->incident = (int32_t)model->incident_count++;
        assert(model->incident_count < MODEL_INCIDENTS_MAX);
        incident = &model->incidents[series->incident];
        incident->series = (uint32_t)(series - model->series);
        incident->header = (struct incident_image_header){.opened_ms = at_ms,
                                                          .reopened_ms = at_ms,
                                                          .last_seen_ms = at_ms,
                                                          .rule = (uint8_t)rule,
                                                          .severity = (uint8_t)severity};
        note(incident, INCIDENT_CAUSE_OPENED);
        incident->told++;
    }
    incident->header.baseline_milli = expected(model, series, at_ms);
    series->active_ms = at_ms;
}

static void judge(struct incident_model *model, struct model_series *series, int64_t minute,
                  int64_t at_ms)
{
    int64_t floor = floor_of(latest(model, series));
    enum incident_severity severity;
    enum incident_rule rule;

    if (minute <= floor || count(model, series, minute, minute) == 0)
        return;
    if (breaks(model, series, minute, floor, &rule, &severity))
        on_breach(model, series, at_ms, rule, severity, floor);
}

/* --- what happens by itself ------------------------------------------------------------ */

static int64_t resolve_due(struct incident_model *model, struct model_series *series,
                           int64_t clock_ms)
{
    struct model_incident *incident = latest(model, series);
    int64_t active_ms = series->active_ms, last = clock_ms / MINUTE_MS;

    if (!is_open(incident) || incident->header.status != INCIDENT_OPEN ||
        (incident->header.flags & INCIDENT_FLAG_FLAPPING) != 0)
        return INT64_MAX;
    if (series->what == SERIES_ERRORS) {
        uint64_t least = (model->rules.spike_count + 9) / 10;

        active_ms = 0;
        if (last > series->head)
            last = series->head;
        for (int64_t m = last; m > (int64_t)series->head - 128 && active_ms == 0; m--)
            if (count(model, series, m, m) > 0 && count(model, series, m - 5, m) >= least)
                active_ms = series->lasts[m - model->base];
    }
    if (active_ms < incident->header.reopened_ms)
        active_ms = incident->header.reopened_ms;
    return active_ms + (int64_t)model->rules.resolve_minutes * MINUTE_MS;
}

static bool is_beyond(const struct incident_model *model, const struct model_series *series,
                      int64_t minute)
{
    enum incident_severity severity;
    enum incident_rule rule;

    if (series->what == SERIES_ERRORS)
        return count(model, series, minute - 5, minute) >= model->rules.spike_count;
    return breaks(model, series, minute, 0, &rule, &severity);
}

static void tick(struct incident_model *model, struct model_series *series, int64_t minute)
{
    struct model_incident *incident;
    enum incident_severity severity;
    enum incident_rule rule;
    uint32_t changes = 0;
    int64_t floor = floor_of(latest(model, series));

    if (series->what == SERIES_SIGNUPS && series->is_known) {
        uint64_t window = count(model, series, minute - 15, minute - 1);
        bool is_broken = breaks(model, series, minute, floor, &rule, &severity);

        if (is_broken)
            on_breach(model, series, minute * MINUTE_MS, rule, severity, floor);
        incident = latest(model, series);
        if (is_open(incident) && (is_broken || (window <= model->rules.drop_count &&
                                                window * 100000 <= incident->header.baseline_milli *
                                                                       model->rules.drop_percent)))
            series->active_ms = minute * MINUTE_MS;
    }
    incident = latest(model, series);
    if (incident == NULL)
        return;
    for (int64_t i = 19; i > 0; i--)
        changes += is_beyond(model, series, minute - i) != is_beyond(model, series, minute - i - 1);
    if ((incident->header.flags & INCIDENT_FLAG_FLAPPING) == 0 && changes >= 4) {
        incident->header.flags |= INCIDENT_FLAG_FLAPPING;
        note(incident, INCIDENT_CAUSE_FLAPPING);
    } else if ((incident->header.flags & INCIDENT_FLAG_FLAPPING) != 0 && changes <= 1) {
        incident->header.flags &= (uint8_t)~INCIDENT_FLAG_FLAPPING;
        note(incident, INCIDENT_CAUSE_SETTLED);
    }
}

static void step(struct incident_model *model, struct model_series *series)
{
    for (;;) {
        struct model_incident *incident = latest(model, series);
        int64_t tick_ms = ((int64_t)series->ticked + 1) * MINUTE_MS;
        int64_t due_ms = resolve_due(model, series, model->clock_ms);
        int64_t gone_ms = INT64_MAX;

        if (incident != NULL && !is_open(incident))
            gone_ms =
                incident->header.resolved_ms + 1 +
                (int64_t)(model->rules.reopen_minutes > 32 ? model->rules.reopen_minutes : 32) *
                    MINUTE_MS;
        if (tick_ms > model->clock_ms && due_ms > model->clock_ms && gone_ms > model->clock_ms)
            return;
        if (gone_ms <= tick_ms && gone_ms <= due_ms) {
            series->incident = -1;
        } else if (due_ms <= tick_ms) {
            incident->header.status = INCIDENT_RESOLVED;
            incident->header.resolved_ms = due_ms;
            incident->header.last_seen_ms =
                series->what == SERIES_ERRORS ? series->last_ms : series->active_ms;
            note(incident, INCIDENT_CAUSE_AUTO_RESOLVED);
        } else {
            series->ticked++;
            tick(model, series, series->ticked);
        }
    }
}

static void advance(struct incident_model *model, int64_t clock_ms)
{
    if (clock_ms <= model->clock_ms)
        return;
    model->clock_ms = clock_ms;
    for (uint32_t i = 0; i < MODEL_SERIES_MAX; i++) {
        if (model->series[i].ticked == 0)
            model->series[i].ticked = minute_of(clock_ms);
        step(model, &model->series[i]);
    }
}

/* --- from outside ------------------------------------------------------------------------ */

bool incident_model_is_late(const struct incident_model *model, int64_t at_ms)
{
    return at_ms < model->newest_ms - 5 * MINUTE_MS;
}

void incident_model_event(struct incident_model *model, uint32_t number, int64_t at_ms,
                          uint64_t received_ms)
{
    struct model_series *series = &model->series[number];
    uint32_t minute = minute_of(at_ms);

    if (incident_model_is_late(model, at_ms))
        return;
    if (at_ms >= model->newest_ms) {
        model->newest_ms = at_ms;
        model->anchor_ms = received_ms;
    }
    advance(model, at_ms);
    assert(minute >= model->base && minute < model->base + MODEL_MINUTES_MAX);
    series->is_known = true;
    series->counts[minute - model->base]++;
    if (at_ms > series->lasts[minute - model->base])
        series->lasts[minute - model->base] = at_ms;
    if (at_ms > series->last_ms)
        series->last_ms = at_ms;
    if (minute > series->head)
        series->head = minute;
    if (series->what == SERIES_SIGNUPS)
        return;
    judge(model, series, minute, at_ms);
    for (uint32_t m = minute + 1; m <= minute + 5 && m <= series->head; m++)
        judge(model, series, m, series->lasts[m - model->base]);
}

static int64_t clock_at(const struct incident_model *model, uint64_t now_ms)
{
    int64_t clock_ms = model->newest_ms;

    if (now_ms > model->anchor_ms + 500)
        clock_ms += (int64_t)(now_ms - model->anchor_ms - 500);
    return clock_ms > model->clock_ms ? clock_ms : model->clock_ms;
}

void incident_model_pass(struct incident_model *model, uint64_t now_ms)
{
    if (model->newest_ms > 0)
        advance(model, clock_at(model, now_ms));
}

bool incident_model_move(struct incident_model *model, uint32_t number, enum incident_status status,
                         uint64_t now_ms)
{
    struct model_series *series = &model->series[number];
    struct model_incident *incident = latest(model, series);
    struct incident_image_header *header;

    if (incident == NULL || incident->header.status == status ||
        (incident->header.status == INCIDENT_RESOLVED && status == INCIDENT_INVESTIGATING))
        return false;
    header = &incident->header;
    if (status == INCIDENT_RESOLVED) {
        header->resolved_ms = clock_at(model, now_ms);
        header->flags = 0;
    } else if (header->status == INCIDENT_RESOLVED) {
        header->resolved_ms = 0;
        header->reopen_count++;
    }
    if (status == INCIDENT_OPEN) {
        header->reopened_ms = clock_at(model, now_ms);
        series->active_ms = header->reopened_ms;
    }
    header->status = (uint8_t)status;
    note(incident, INCIDENT_CAUSE_CHANGED);
    return true;
}

/*
 * Incident model: what the incident table should decide, said as plainly as possible.
 *
 * It keeps every minute for ever and looks at all series all the time: no ring, no timers, no
 * memory to run out of, no restart. One stream; rules are those of the whole model.
 */
#pragma once

#include "store/incident_verdict.h"

enum {
    MODEL_SERIES_MAX = 8,
    MODEL_MINUTES_MAX = 20000,
    MODEL_INCIDENTS_MAX = 2000,
};

struct model_incident {
    uint32_t series;
    struct incident_image_header header; /* what of it is meaningful to a model */
    uint32_t causes[INCIDENT_CAUSE_COUNT];
    uint32_t told; /* how often it opened or reopened, but for when it flapped */
};

struct model_series {
    enum series_what what;
    bool is_known;
    uint32_t counts[MODEL_MINUTES_MAX]; /* from the base on */
    int64_t lasts[MODEL_MINUTES_MAX];
    int64_t last_ms;
    uint32_t head; /* minute of the newest event */
    uint32_t ticked;
    int64_t active_ms;
    int32_t incident; /* the latest, -1: none */
};

struct incident_model {
    struct incident_rules rules;
    uint32_t base; /* the first minute */
    int64_t newest_ms, clock_ms;
    uint64_t anchor_ms;
    struct model_series series[MODEL_SERIES_MAX];
    struct model_incident incidents[MODEL_INCIDENTS_MAX];
    uint32_t incident_count;
};

/* Series 0 is that of signups, the others are errors. */
void incident_model_init(struct incident_model *model, int64_t base_ms,
                         const struct incident_rules *rules);

/* True when an event of that instant is too late to count. */
bool incident_model_is_late(const struct incident_model *model, int64_t at_ms);

void incident_model_event(struct incident_model *model, uint32_t series, int64_t at_ms,
                          uint64_t received_ms);
void incident_model_pass(struct incident_model *model, uint64_t now_ms);

/* A person changes the status of the series' latest incident. False: it may not be. */
bool incident_model_move(struct incident_model *model, uint32_t series, enum incident_status status,
                         uint64_t now_ms);

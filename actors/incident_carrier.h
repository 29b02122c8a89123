/*
 * Incident carrier: writes incidents and rules again whose records are in segments about to go.
 *
 * Memory has all there is to say of them. One that is changing will have its record elsewhere
 * in a moment: it is left alone, and the end of that leads here again, as does the end of each
 * step. When nothing is left there durable_carried() tells whoever has asked. Part of the actor
 * in incidents.h.
 */
#pragma once

#include "actors/incident_step.h"

/* Up to where. */
struct incident_carry {
    uint32_t log;
    uint64_t seq; /* 0: nothing */
};

/* Private to incident_carrier.c; embedded in the incidents. */
struct incident_carrier {
    struct list_node steps;
    struct timer timer;
    struct incident_carry incidents;
    struct incident_carry rules;
};

/* Once, before the actor starts. */
void incident_carrier_init(struct incident_carrier *carrier);

/* Once per start of the actor. */
void incident_carrier_start(struct incident_carrier *carrier);

/* Begins with the incidents in this log's segments up to seq. */
void incident_carrier_carry(struct incident_carrier *carrier, uint32_t log, uint64_t seq);

/* The same for rules. */
void incident_carrier_carry_rules(struct incident_carrier *carrier, uint32_t log, uint64_t seq);

/* Something has ended, or there is room: goes on with what is left. */
void incident_carrier_go_on(struct incident_carrier *carrier);

/* True when timer was the carrier's, after going on. */
bool incident_carrier_on_timer(struct incident_carrier *carrier, const struct timer *timer);

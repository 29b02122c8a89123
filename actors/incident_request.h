/*
 * Incident request: what one HTTP request wants done with incidents or their rules.
 *
 * An errand (actors/errand.h) from incident_change_routes.c to the shard that keeps the
 * project's series, where incident_commands.c carries it out.
 */
#pragma once

#include "actors/errand.h"
#include "contracts/incident_spec.h"
#include "store/durable.h"
#include "store/incident_record.h"

enum {
    INCIDENT_REQUEST_COUNT_MAX = 64, /* per shard, in flight */
    INCIDENT_ANSWER_SIZE_MAX = 8192,
};

struct incidents;

enum incident_operation {
    INCIDENT_MOVE,
    INCIDENT_GET_RULES,
    INCIDENT_PUT_RULES,
};

/* One request. The first group is filled by the routes between acquire and submit. */
struct incident_request {
    struct errand errand;
    uint8_t operation; /* enum incident_operation */
    uint8_t actor_size;
    uint8_t status; /* MOVE: enum incident_status */
    char actor[INCIDENT_ACTOR_SIZE_MAX];
    struct job_id id;                /* MOVE */
    struct incident_rules_spec spec; /* PUT_RULES */

    /* Private to incident*.c. */
    uint64_t sequence; /* of the change that it waits for */
    uint32_t slot;
    struct incident_rules_record rules;
    struct slice part;
    struct journal_record record;
    struct durable_step step;
    char text[INCIDENT_ANSWER_SIZE_MAX];
};

/* Of the errands of incidents. */
extern const struct errand_type incident_request_type;

/* A blank request for this exchange, or NULL when too many are in flight: 503. */
MUST_USE struct incident_request *incident_request_acquire(struct incidents *home,
                                                           struct exchange *exchange);

/* Hands it to the owner of the project's series. */
void incident_request_submit(struct incident_request *request);

/* What the errand is part of. */
static inline struct incident_request *incident_request_of(struct errand *errand)
{
    return container_of(errand, struct incident_request, errand);
}

/*
 * Incident request: what one HTTP request wants done with incidents or their rules.
 *
 * incident_change_routes.c fills it on the shard that received the request (home); the shard
 * that keeps the project's series (owner) carries it out and gives it back decided. Between
 * submit and the answer it is lent: only the owner touches it.
 *
 *     FILLING --submit--> LENT --decided--> DECIDED --release--> free
 *                           \--the connection is gone: abandoned, freed when it comes back
 */
#pragma once

#include "contracts/incident_spec.h"
#include "contracts/problem.h"
#include "http/exchange.h"
#include "store/durable.h"
#include "store/incident_record.h"

enum {
    INCIDENT_REQUEST_MAGIC = 0x494e5251,
    INCIDENT_REQUEST_COUNT_MAX = 64, /* per shard, in flight */
    INCIDENT_ANSWER_SIZE_MAX = 8192,
};

struct incidents;

enum incident_operation {
    INCIDENT_MOVE,
    INCIDENT_GET_RULES,
    INCIDENT_PUT_RULES,
};

enum incident_request_phase {
    INCIDENT_REQUEST_FILLING,
    INCIDENT_REQUEST_LENT,
    INCIDENT_REQUEST_DECIDED,
};

/* One request. The first group is filled by the routes between acquire and submit. */
struct incident_request {
    uint32_t magic;
    uint8_t phase;     /* enum incident_request_phase */
    uint8_t operation; /* enum incident_operation */
    uint8_t org_size;
    uint8_t project_size;
    uint8_t actor_size;
    uint8_t status; /* MOVE: enum incident_status */
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char actor[INCIDENT_ACTOR_SIZE_MAX];
    struct job_id id;                /* MOVE */
    struct incident_rules_spec spec; /* PUT_RULES */

    /* Result: PROBLEM_NONE, or why it was refused; else the answer is JSON. */
    uint16_t code;
    struct slice answer;

    /* Private to incident*.c. */
    bool abandoned;
    struct incidents *home;
    struct incidents *owner;
    struct actor_id connection;
    uint64_t token;
    uint64_t sequence; /* of the change that it waits for */
    uint32_t slot;
    struct list_node link;
    struct incident_rules_record rules;
    struct slice part;
    struct journal_record record;
    struct durable_step step;
    char text[INCIDENT_ANSWER_SIZE_MAX];
};

/* A blank request for this exchange, or NULL when too many are in flight: 503. */
MUST_USE struct incident_request *incident_request_acquire(struct incidents *home,
                                                           struct exchange *exchange);

/*
 * Hands it to the owner of the project's series. The answer is MSG_INCIDENT_ANSWER to the
 * connection, with the exchange's token.
 */
void incident_request_submit(struct incident_request *request);

/* A request has come home. For incidents.c. */
void incident_request_came_back(struct incident_request *request);

/* Gives a request back, or has that done when it comes back; nulls the pointer. */
void incident_request_release(struct incident_request **request);

/*
 * Incident change routes: what people decide about incidents and their rules, over HTTP.
 *
 *     PATCH /v1/incidents/{id}      scope ingest: {"status": "open|investigating|resolved"}
 *                                   200 with the incident, 404, 409 incident_status, 422
 *     GET   /v1/incident-rules      scope read: the rules of the key's project   200
 *     PUT   /v1/incident-rules      scope admin: changes, incident_spec.h        200, 409, 422
 *
 * A PATCH to the status that the incident has already is answered 200 and changes nothing.
 * Resolved incidents can be opened again, unless their series has another one by now; they
 * cannot be investigated before that. A change is on stable storage when it is answered.
 */
#pragma once

#include "http/router.h"

/* PATCH: scope ingest. */
int incident_change_on_head(struct exchange *exchange);

/* PATCH: asks the owner for the change. */
int incident_change_on_request(struct exchange *exchange);

/* GET of the rules: scope read. */
int incident_rules_get_on_head(struct exchange *exchange);

/* GET of the rules. */
int incident_rules_get_on_request(struct exchange *exchange);

/* PUT of the rules: scope admin. */
int incident_rules_put_on_head(struct exchange *exchange);

/* PUT of the rules: what the body gives. */
int incident_rules_put_on_request(struct exchange *exchange);

/* The owner has decided. */
int incident_change_on_reply(struct exchange *exchange, const struct message *msg);

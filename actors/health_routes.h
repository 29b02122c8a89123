/*
 * Health routes: what probes, proxies and clients ask about the process.
 *
 * /livez and /healthz answer 200 while the loop turns; /readyz says whether a
 * request is worth sending, and why not; /v1/capabilities says what is accepted.
 */
#pragma once

#include "http/router.h"

/* All of them: open to everybody, no body expected. */
int health_on_head(struct exchange *exchange);

/* GET /livez. */
int health_live_on_request(struct exchange *exchange);

/* GET /healthz, with the fields of the system that went before. */
int health_on_request(struct exchange *exchange);

/* GET /readyz: 200, or 503 with the reasons. */
int health_ready_on_request(struct exchange *exchange);

/* GET /v1/capabilities. */
int health_capabilities_on_request(struct exchange *exchange);

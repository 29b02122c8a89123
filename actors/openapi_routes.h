/*
 * OpenAPI routes: GET /openapi.json, the description of all endpoints. Open to everybody:
 * it says nothing that is not in the documentation.
 */
#pragma once

#include "http/router.h"

/* No body is expected. */
int openapi_on_head(struct exchange *exchange);

/* GET /openapi.json. */
int openapi_on_request(struct exchange *exchange);

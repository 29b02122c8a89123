/*
 * OpenAPI: the description of all endpoints, as clients and their generators read it.
 *
 * Written by hand in contracts/openapi/ as one part per subject, put together by merge.py
 * when the binary is built. That it says what the server does is kept true by
 * tests/actors/test_openapi.c, which compares it with the route table, and by the end-to-end
 * cases, which hold every answer that they get against it.
 */
#pragma once

#include "runtime/base.h"

/* The whole document, OpenAPI 3.1 in JSON. Static. */
struct slice openapi_document(void);

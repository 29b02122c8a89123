/*
 * Metrics routes: numbers of the caller's project.
 *
 *     GET /v1/metrics/overview   scope read: incidents, errors, signups, models      200
 *     GET /v1/metrics/trends     metric=errors|signups, period=1h|24h|7d,
 *                                environment: a value for each minute or hour        200
 *
 * A trend of an hour has 60 values of a minute, one of a day 24 and one of a week 168 of an
 * hour; the last is of the minute or hour that has begun. See store/sqlite_metrics.c for what a
 * rate is.
 */
#pragma once

#include "http/router.h"

/* GET /v1/metrics/overview. */
int metrics_overview_on_request(struct exchange *exchange);

/* GET /v1/metrics/trends. */
int metrics_trends_on_request(struct exchange *exchange);

/*
 * SQLite queries: the read queries of read_model.h, in SQL.
 *
 * Each runs in a read transaction of the caller's, so that all its statements see one
 * state, and under the session's time limit.
 */
#pragma once

#include "store/sqlite_session.h"

/* Answers the query, but does not call on_done. Any result but READ_BUSY. */
MUST_USE enum read_result sqlite_query_run(struct sqlite_session *session,
                                           struct read_query *query);

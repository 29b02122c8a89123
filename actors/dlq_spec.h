/*
 * DLQ spec: what a client asks of dead letters, read and checked.
 *
 *     {"ids": [1..100 ids] | "filter": {"org"?, "project"?, "origin"?, "reason"?, "since"?,
 *      "until"?, "id"?}, "rate"?: letters per second, "dry_run"?: false}
 *
 * One of ids and filter is needed; an empty filter means every letter. Conditions of a
 * filter are strings, the same as in the query of a list.
 */
#pragma once

#include "actors/dead_letters.h"
#include "contracts/issue.h"
#include "contracts/json_reader.h"

/* Borrows nothing. */
struct dlq_spec {
    struct dead_selection selection;
    uint32_t rate_per_s;
    bool is_dry_run;
};

enum dlq_spec_result {
    DLQ_SPEC_OK,
    DLQ_SPEC_INVALID,  /* well-formed JSON, but issues were added */
    DLQ_SPEC_BAD_JSON, /* the reader says why */
};

/* Reads a whole body. Nothing of *ret_spec is meaningful unless DLQ_SPEC_OK. */
MUST_USE enum dlq_spec_result dlq_spec_read(struct slice body, uint32_t depth_max,
                                            struct issue_list *issues,
                                            struct json_reader *ret_reader,
                                            struct dlq_spec *ret_spec);

/*
 * Reads the conditions in a query, and id, into *ret_selection; other parameters are not looked
 * at. NULL, or what is wrong; static text, with the name of the parameter in *ret_name.
 */
const char *dlq_spec_read_query(struct slice query, struct dead_selection *ret_selection,
                                struct slice *ret_name);

/*
 * Incident spec: what a client wants changed about incidents, validated.
 *
 *     PATCH of an incident   {"status": "open|investigating|resolved"}
 *
 *     PUT of the rules       {"error_spike"?: {"enabled"?, "count"?, "percent"?,
 *                                              "error_percent"?, "critical_percent"?},
 *                             "signup_drop"?: {"enabled"?, "count"?, "baseline"?, "percent"?,
 *                                              "error_percent"?, "critical_percent"?},
 *                             "pending_minutes"?, "resolve_minutes"?, "reopen_minutes"?}
 *
 * Percentages are of what was to be expected: a spike of 300 is three times that, a drop of 25
 * a quarter. What is left out, or null, stays as it is. Members of other names are refused.
 */
#pragma once

#include "contracts/issue.h"
#include "contracts/json_reader.h"
#include "runtime/base.h"

/* X(NAME, group, "member", min, max): the numbers of the rules, bit by bit of `given`. */
#define INCIDENT_RULE_NUMBERS(X)                                                                   \
    X(SPIKE_COUNT, 0, "count", 1, 1000000000)                                                      \
    X(SPIKE_PERCENT, 0, "percent", 1, 1000000)                                                     \
    X(SPIKE_ERROR_PERCENT, 0, "error_percent", 1, 1000000)                                         \
    X(SPIKE_CRITICAL_PERCENT, 0, "critical_percent", 1, 1000000)                                   \
    X(DROP_COUNT, 1, "count", 0, 1000000000)                                                       \
    X(DROP_BASELINE, 1, "baseline", 1, 1000000000)                                                 \
    X(DROP_PERCENT, 1, "percent", 0, 100)                                                          \
    X(DROP_ERROR_PERCENT, 1, "error_percent", 0, 100)                                              \
    X(DROP_CRITICAL_PERCENT, 1, "critical_percent", 0, 100)                                        \
    X(PENDING_MINUTES, 2, "pending_minutes", 0, 60)                                                \
    X(RESOLVE_MINUTES, 2, "resolve_minutes", 5, 60)                                                \
    X(REOPEN_MINUTES, 2, "reopen_minutes", 0, 60)

#define INCIDENT_RULE_NUMBER_ENUM(name, group, text, min, max) INCIDENT_GIVES_##name,
enum incident_rule_number {
    INCIDENT_RULE_NUMBERS(INCIDENT_RULE_NUMBER_ENUM) INCIDENT_RULE_NUMBER_COUNT
};
#undef INCIDENT_RULE_NUMBER_ENUM

/* Only what given names is meaningful: bit n for number n. */
struct incident_rules_spec {
    uint32_t given;
    bool gives_spike_enabled;
    bool gives_drop_enabled;
    bool spike_enabled;
    bool drop_enabled;
    uint32_t numbers[INCIDENT_RULE_NUMBER_COUNT];
};

enum incident_spec_result {
    INCIDENT_SPEC_OK,
    INCIDENT_SPEC_INVALID,  /* well-formed JSON, but issues were added */
    INCIDENT_SPEC_BAD_JSON, /* the reader says why */
};

/* Reads the body of a PATCH; *ret_status is a number of names[0..name_count). */
MUST_USE enum incident_spec_result
incident_spec_read_status(struct slice body, const struct slice *names, uint32_t name_count,
                          struct issue_list *issues, struct json_reader *ret_reader,
                          uint32_t *ret_status);

/* Reads the body of a PUT of rules. Nothing of *ret_spec is meaningful unless OK. */
MUST_USE enum incident_spec_result incident_spec_read_rules(struct slice body,
                                                            struct issue_list *issues,
                                                            struct json_reader *ret_reader,
                                                            struct incident_rules_spec *ret_spec);

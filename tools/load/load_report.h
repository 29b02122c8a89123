/*
 * Load report: what came of a run, for people and for scripts.
 *
 * The JSON object has the members that scripts may rely on, in one line:
 * {"url","rate","duration_s","connections","sent","ok","status":{},"errors":{},
 * "throughput_per_s","latency_us":{"corrected":{"p50","p90","p99","p999","max"},
 * "uncorrected":{...}},"schedule_error_us":{"p99"},"valid","why":[]}, and more.
 */
#pragma once

#include <stdio.h>

#include "contracts/json_writer.h"
#include "tools/load/load_limit.h"
#include "tools/load/load_scenario.h"
#include "tools/load/load_tally.h"

enum { LOAD_REPORT_JSON_SIZE = 64 * 1024 };

/* What was asked for. Texts are borrowed for the call. */
struct load_report {
    const char *url;
    const char *rate_text; /* "2000", "100..5000", "max"; NULL: the scenario's own */
    enum load_scenario_kind scenario;
    enum load_arrivals arrivals;
    double rate; /* the mean; 0 for max and own rhythms */
    double duration_s;
    double warmup_s;
    uint32_t connection_count;
    uint32_t batch_count;
    const struct load_tally *tally;
    const struct load_verdict *verdict;
    const struct load_limit *limit; /* of --find-limit, else NULL */
    uint64_t limit_us;              /* the bound that p99 was held below */
};

/* Writes the object as one value. */
void load_report_json(const struct load_report *report, struct json_writer *writer);

/* Writes lines for people. */
void load_report_text(const struct load_report *report, FILE *stream);

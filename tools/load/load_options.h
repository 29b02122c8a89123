/*
 * Load options: the command line of `weir load`, checked and made into numbers.
 */
#pragma once

#include "tools/load/load_payload.h"
#include "tools/load/load_scenario.h"
#include "tools/load/load_target.h"
#include "tools/options.h"

/* What the user wants. Texts borrow the command line. */
struct load_options {
    struct options raw;
    struct load_target target;
    struct load_scenario_config scenario;
    struct load_payload_config payload;
    const char *headers[LOAD_HEADER_COUNT_MAX];
    const char *rate_text; /* NULL: the scenario's own rhythm */
    char *body;            /* of --body-file; owned */
    bool is_open_loop;
    bool is_json;
    bool wants_demo_key; /* events for this machine, and no key was given */
    uint32_t connection_count;
    uint32_t queue_count_max;
    uint64_t warmup_ns;
    uint64_t timeout_ns;
    uint64_t spin_ns;
    uint64_t limit_ns; /* --find-limit; 0: not asked for */
    int32_t core;      /* -1: any */
    const char *ca_path;
    const char *connect; /* HOST[:PORT] to connect to instead; NULL: that of the URL */
    const char *hgrm_path;
    const char *hgrm_uncorrected_path;
    const char *html_path;
};

/*
 * Reads the command line. True to go on; false to return *ret_exit_code at once. In either
 * case it ends with load_options_deinit().
 */
MUST_USE bool load_options_init(struct load_options *options, int argc, char **argv,
                                int *ret_exit_code);

/* Frees what was read from files. */
void load_options_deinit(struct load_options *options);

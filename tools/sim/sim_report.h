/*
 * Sim report: what a campaign prints when it is over, for people and for programs.
 *
 * The summary comes first and the reports of failures last, where the eye and `tail`
 * look: each ends with the command that replays it.
 */
#pragma once

#include "tools/sim/sim_campaign.h"

/* How to print. */
struct sim_report_style {
    bool as_json;
    bool wants_points; /* every point, not only those never met */
    bool is_single;    /* one seed was asked for: its own hash counts */
    uint32_t faults;   /* that might be drawn: they decide which points can be met */
};

/* Prints the summary of campaign and its failures. False when stream failed. */
MUST_USE bool sim_report_print(const struct sim_campaign *campaign,
                               const struct sim_report_style *style, FILE *stream);

/* How many sometimes() points were never met of those that the faults make possible. */
uint32_t sim_report_missing_count(const struct sim_campaign *campaign, uint32_t faults);

/* True when the place of the mutant was met in some seed. */
bool sim_report_met_mutant(const struct sim_campaign *campaign, const char *name);

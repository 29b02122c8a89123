/*
 * Load HTML: the report of a run as one file, plots included, for any browser.
 *
 * Latency by percentile, corrected and uncorrected, and over time answers, failures and
 * latency. The plots are SVG inside the page; nothing is loaded and no script runs.
 */
#pragma once

#include "tools/load/load_report.h"

/* Writes the file. 0 or -errno. */
MUST_USE int load_html_write(const struct load_report *report, const char *path);

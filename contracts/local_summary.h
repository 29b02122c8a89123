/*
 * Local summary: a summary of an incident without any model.
 *
 * Counts what the brief holds and says so in fixed sentences. Deterministic: the same brief
 * gives the same bytes. It has no confidence, which is null, and its evidence ends with a
 * line that says where the summary comes from.
 */
#pragma once

#include "contracts/incident_brief.h"
#include "contracts/json_writer.h"
#include "runtime/base.h"

/* Stands wherever the model of a summary does; raised when what it says changes. */
#define LOCAL_SUMMARY_MODEL "weir-local-summary-1"

enum { LOCAL_SUMMARY_SIZE_MAX = 8 * 1024 };

/*
 * Writes the summary as one value of the shape of contracts/summary_output.h, at most
 * LOCAL_SUMMARY_SIZE_MAX bytes.
 */
void local_summary_write(const struct incident_brief *brief, struct json_writer *writer);

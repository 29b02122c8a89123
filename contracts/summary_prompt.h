/*
 * Summary prompt: what a model is asked about an incident.
 *
 * A system text, a user text made of the incident's brief, and, when an answer was not
 * accepted, another user text that says why. Name and SHA-256 of the texts are recorded
 * with every run; whoever changes a text or how its parts are laid out raises the number in
 * the name. The same brief gives the same prompt, to the last byte.
 */
#pragma once

#include "contracts/incident_brief.h"
#include "contracts/json_writer.h"
#include "contracts/sha256.h"
#include "contracts/summary_output.h"
#include "runtime/base.h"

enum {
    /* Of what summary_prompt_write() writes. */
    SUMMARY_PROMPT_SIZE_MAX = 64 * 1024,
    /* Of what summary_prompt_write_repair() writes. */
    SUMMARY_REPAIR_SIZE_MAX = SUMMARY_EXPLAINED_SIZE_MAX + 256,
};

/* "incident-summary-1". Static. */
struct slice summary_prompt_name(void);

/* The system text. Static. */
struct slice summary_prompt_system(void);

/* SHA-256 of all texts of the prompt, without what is put into them. */
void summary_prompt_sha256(uint8_t ret_digest[SHA256_SIZE]);

/* Writes the user text, verbatim. */
void summary_prompt_write(const struct incident_brief *brief, struct json_writer *writer);

/* Writes what the model is told about an answer that has problems, verbatim. */
void summary_prompt_write_repair(const struct summary_output *output, struct json_writer *writer);

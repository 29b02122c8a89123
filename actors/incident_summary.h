/*
 * Incident summary: the handler of jobs of the kind incident.summarize.
 *
 *     {"incident_id": "..."}, of the job's own project
 *
 *                      no server: local summary ---------------------------------> completed
 *     input --there--> breaker lets it --> call --valid--------------------------> completed
 *       |                 |                 |  ^ \--not of the shape: at most twice
 *       |                 |                 |  \----- repair: told what is wrong
 *       |                 |                 |--cut off, filtered, refused, 4xx ---> dead
 *       |                 |                 \--5xx, 429, no answer, bad answer,
 *       |                 |                    still not of the shape ------------> tried again
 *       |                 \--open: parked, no attempt is used
 *       |--no such incident ------------------------------------------------------> dead
 *       \--read model behind or away: parked, no attempt is used
 *
 * An attempt has a deadline over all its calls, each call one of its own; when either is
 * over, the connection is closed. Retry-After is honoured. An answer that was cut off at
 * max_tokens is never asked for again with the same bound: an operator raises it and replays.
 *
 * Each outcome of an attempt is recorded as an AI_RUN in the group of the job's own fact, so
 * both are true or neither. A process that dies while the model answers leaves nothing; the job
 * is run again, and its one run is recorded then. The result of the job:
 * {"run_id", "incident_id", "model", "prompt", "confidence"}.
 *
 * One per shard; it runs inside the desk and the HTTP client.
 */
#pragma once

#include "actors/ai_run_draft.h"
#include "actors/job_call.h"
#include "actors/model_chat.h"
#include "actors/summary_input.h"
#include "contracts/incident_brief.h"
#include "contracts/summary_output.h"

enum {
    INCIDENT_SUMMARY_RESULT_SIZE_MAX = 4096,
    INCIDENT_SUMMARY_LEASE_MS = 120000,
};

struct app_shard;
struct incident_summaries;

/* One summary in the making. Private to incident_summary.c. */
struct incident_summary {
    struct job_call call;
    struct incident_summaries *owner;
    struct summary_input *input;
    uint64_t ends_ms; /* the attempt's deadline, on the desk's clock */
    struct model_chat chat;
    struct ai_run_draft draft;
};

/* Private to incident_summary.c; embedded in the app_shard. */
struct incident_summaries {
    struct job_calls calls;
    const struct ai_model *model;
    struct summary_inputs inputs;
    uint8_t prompt_sha256[SHA256_SIZE];
    /* Scratch of one call of a function. */
    struct incident_brief brief;
    struct summary_output output;
};

/*
 * Reserves the memory and registers the handler at the shard's desk, which there must be, as
 * must app->ai_model. 0 or -errno. Start-up only.
 */
MUST_USE int incident_summaries_init(struct incident_summaries *summaries, struct app_shard *home);

/* Frees what incident_summaries_init() made. */
void incident_summaries_deinit(struct incident_summaries *summaries);

/* At a time, on each shard. */
uint32_t incident_summaries_concurrency(int64_t total, uint32_t shard_count);

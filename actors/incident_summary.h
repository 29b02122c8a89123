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

#include "actors/ai_model.h"
#include "actors/job_call.h"
#include "actors/summary_input.h"
#include "contracts/chat_completion.h"
#include "contracts/incident_brief.h"
#include "contracts/summary_output.h"
#include "contracts/summary_prompt.h"

enum {
    INCIDENT_SUMMARY_REPAIR_COUNT_MAX = 2,
    INCIDENT_SUMMARY_RESULT_SIZE_MAX = 4096,
    INCIDENT_SUMMARY_LEASE_MS = 120000,
    INCIDENT_SUMMARY_KEY_SIZE = UUID_TEXT_SIZE + 16,
    INCIDENT_SUMMARY_SHOWN_SIZE_MAX = 16384, /* of a bad answer, when its model sees it again */
};

struct app_shard;
struct incident_summaries;

/* One summary in the making. Private to incident_summary.c. */
struct incident_summary {
    struct job_call call;
    struct incident_summaries *owner;
    struct summary_input *input;
    uint32_t repair_count;
    uint64_t ends_ms;       /* the attempt's deadline, on the desk's clock */
    struct buffer *prompt;  /* the user's text */
    struct buffer *answer;  /* what the model said last, to be shown to it again */
    struct buffer *repair;  /* what was wrong with it */
    struct buffer *request; /* the body on its way */
    struct buffer *output;  /* the summary, when it is valid */
    struct buffer *record;  /* the AI_RUN */
    struct slice part;
    struct ai_run_attempt attempt;
    struct ai_run_image image; /* header and attempts of what was recorded before */
    bool has_confidence;
    double confidence;
    uint32_t incident_id_size;
    uint32_t answered_size;
    uint32_t problems_size;
    char incident_id[SUMMARY_INPUT_ID_SIZE_MAX];
    char answered[CHAT_NAME_SIZE_MAX]; /* the model that says to have answered */
    char problems[SUMMARY_EXPLAINED_SIZE_MAX];
    char idempotency_key[INCIDENT_SUMMARY_KEY_SIZE];
    struct header headers[AI_MODEL_HEADER_COUNT_MAX + 1];
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

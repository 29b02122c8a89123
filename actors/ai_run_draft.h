/*
 * AI run draft: what an attempt at the work of a model comes to, until it is on record.
 *
 *     begin --> reserve --> continue: what earlier attempts came to
 *           --> note what a call has used, the problems of an answer, or the output
 *           --> end --> write: an AI_RUN in the group of the fact about the job
 *
 * The record is made when that fact is about to be written, for only then is it known whether
 * a failure is the last one. A draft whose attempt is parked is never written: there was none.
 */
#pragma once

#include "actors/ai_model.h"
#include "actors/job_run.h"
#include "contracts/chat_completion.h"
#include "contracts/summary_output.h"
#include "http/client.h"
#include "runtime/buffer.h"
#include "store/ai_run_record.h"

/* Read-only for others, but for the incident's id, which they set. */
struct ai_run_draft {
    const struct ai_model *model;
    const uint8_t *prompt_sha256;
    struct ai_run_attempt attempt;
    struct ai_run_image image; /* header and attempts of what was recorded before */
    bool has_confidence;
    double confidence;
    struct buffer *output; /* the summary, when it is valid */
    struct buffer *record;
    struct slice part; /* of record */
    uint32_t incident_id_size;
    uint32_t answered_size;
    uint32_t problems_size;
    char incident_id[AI_RUN_NAME_SIZE_MAX];
    char answered[CHAT_NAME_SIZE_MAX]; /* the model that says to have answered */
    char problems[SUMMARY_EXPLAINED_SIZE_MAX];
};

/* An attempt begins; draft is zeroed. Borrows model and prompt_sha256 (SHA256_SIZE bytes). */
void ai_run_draft_begin(struct ai_run_draft *draft, const struct ai_model *model,
                        const uint8_t *prompt_sha256, uint8_t number, uint64_t now_ms);

/* Gets room for output and record. False: there is none; ai_run_draft_release() all the same. */
MUST_USE bool ai_run_draft_reserve(struct ai_run_draft *draft, struct buffer_pool *buffers);

/* Gives that room back. A zeroed draft is accepted. */
void ai_run_draft_release(struct ai_run_draft *draft);

/* The run's image so far, an AI_RUN's payload: its sums and attempts go on. Empty: there is none.
 */
void ai_run_draft_continue(struct ai_run_draft *draft, struct slice payload);

/* A call has ended, whatever came of it. now_ms is on the clock of the attempt's times. */
void ai_run_draft_note_call(struct ai_run_draft *draft, const struct http_client_result *result,
                            uint64_t now_ms);

/* What the call has used, whether its answer is any good or not, and who answered. */
void ai_run_draft_note_usage(struct ai_run_draft *draft, const struct chat_response *response,
                             uint64_t cost_micro_usd);

/* The answer is the process's own: no call, no model but the one that was asked. */
void ai_run_draft_note_local(struct ai_run_draft *draft);

/* The answer is not of the shape; output has problems. */
void ai_run_draft_note_problems(struct ai_run_draft *draft, const struct summary_output *output);

/* The answer is what was asked for. Needs ai_run_draft_reserve(). */
void ai_run_draft_set_output(struct ai_run_draft *draft, const struct summary_output *output);

/* The attempt is over. */
void ai_run_draft_end(struct ai_run_draft *draft, enum ai_run_error error, uint64_t now_ms);

/*
 * Makes the record that goes with fact, whose text is error unless it says COMPLETED;
 * revision_known is that of the run's latest image. Once. False: there was no telling what the
 * run is about, and there is no record. The parts of *ret_record lie in the draft.
 */
MUST_USE bool ai_run_draft_write(struct ai_run_draft *draft, const struct job_run *run,
                                 const struct job_fact_header *fact, struct slice error,
                                 uint32_t revision_known, struct journal_record *ret_record);

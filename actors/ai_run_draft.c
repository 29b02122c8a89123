#include "actors/ai_run_draft.h"

#include "contracts/json_string.h"
#include "contracts/summary_prompt.h"
#include "store/record_types.h"

/*
 * Sums that lack a part are unknown and stay so: a number that is too low would look like a
 * good one.
 */

void ai_run_draft_begin(struct ai_run_draft *draft, const struct ai_model *model,
                        const uint8_t *prompt_sha256, uint8_t number, uint64_t now_ms)
{
    assert(draft->record == NULL);
    draft->model = model;
    draft->prompt_sha256 = prompt_sha256;
    draft->attempt.started_ms = now_ms;
    draft->attempt.number = number;
}

bool ai_run_draft_reserve(struct ai_run_draft *draft, struct buffer_pool *buffers)
{
    return buffer_acquire(buffers, SUMMARY_WRITTEN_SIZE_MAX, &draft->output) == 0 &&
           buffer_acquire(buffers, AI_RUN_RECORD_SIZE_MAX, &draft->record) == 0;
}

void ai_run_draft_release(struct ai_run_draft *draft)
{
    buffer_unref(&draft->output);
    buffer_unref(&draft->record);
}

void ai_run_draft_continue(struct ai_run_draft *draft, struct slice payload)
{
    if (payload.size == 0 || ai_run_decode(payload, &draft->image) < 0)
        memset(&draft->image, 0, sizeof(draft->image));
    /* They borrow from the payload, and all of them are written anew. */
    memset(draft->image.sections, 0, sizeof(draft->image.sections));
}

/* --- as the attempt goes ------------------------------------------------------------------- */

static uint64_t milliseconds_between(uint64_t begin_ns, uint64_t end_ns)
{
    return end_ns > begin_ns ? (end_ns - begin_ns) / 1000000 : 0;
}

void ai_run_draft_note_call(struct ai_run_draft *draft, const struct http_client_result *result,
                            uint64_t now_ms)
{
    draft->attempt.http_status = (uint16_t)result->status;
    if (draft->attempt.first_byte_ms == 0 && result->first_byte_ns != 0)
        draft->attempt.first_byte_ms =
            now_ms - milliseconds_between(result->first_byte_ns, result->done_ns);
}

static uint32_t add_tokens(uint32_t sum, uint32_t tokens)
{
    if (sum == CHAT_TOKENS_UNKNOWN || tokens == CHAT_TOKENS_UNKNOWN)
        return CHAT_TOKENS_UNKNOWN;
    return (uint32_t)min_u64((uint64_t)sum + tokens, CHAT_TOKENS_UNKNOWN - 1);
}

static void note_answered(struct ai_run_draft *draft, const struct json_value *model)
{
    size_t written = 0;

    draft->answered_size = 0;
    if (model->type != JSON_STRING)
        return;
    (void)!json_string_decode(model, draft->answered, sizeof(draft->answered), &written);
    if (!ai_model_is_told(draft->model, (struct slice){draft->answered, written}))
        draft->answered_size = (uint32_t)written;
}

void ai_run_draft_note_usage(struct ai_run_draft *draft, const struct chat_response *response,
                             uint64_t cost_micro_usd)
{
    struct ai_run_attempt *attempt = &draft->attempt;

    attempt->input_tokens = add_tokens(attempt->input_tokens, response->input_tokens);
    attempt->output_tokens = add_tokens(attempt->output_tokens, response->output_tokens);
    attempt->cached_tokens = add_tokens(attempt->cached_tokens, response->cached_tokens);
    attempt->reasoning_tokens = add_tokens(attempt->reasoning_tokens, response->reasoning_tokens);
    if (cost_micro_usd == TOKEN_COST_UNKNOWN || attempt->cost_micro_usd == TOKEN_COST_UNKNOWN)
        attempt->cost_micro_usd = TOKEN_COST_UNKNOWN;
    else
        attempt->cost_micro_usd += cost_micro_usd;
    attempt->finish = (uint8_t)response->finish;
    note_answered(draft, &response->model);
}

void ai_run_draft_note_local(struct ai_run_draft *draft)
{
    struct slice name = draft->model->name;

    assert(name.size <= sizeof(draft->answered));
    memcpy(draft->answered, name.data, name.size);
    draft->answered_size = (uint32_t)name.size;
    draft->attempt.finish = CHAT_FINISH_STOP;
}

void ai_run_draft_note_problems(struct ai_run_draft *draft, const struct summary_output *output)
{
    draft->attempt.validation = AI_RUN_INVALID;
    draft->problems_size = (uint32_t)summary_output_explain(output, draft->problems);
}

void ai_run_draft_set_output(struct ai_run_draft *draft, const struct summary_output *output)
{
    struct json_writer writer;
    struct slice text;
    bool fits;

    json_writer_init(&writer, draft->output->data, draft->output->capacity);
    summary_output_write(output, &writer);
    fits = json_writer_finish(&writer, &text);
    assert(fits);
    draft->output->size = (uint32_t)text.size;
    draft->has_confidence = output->has_confidence;
    draft->confidence = output->confidence;
    draft->attempt.validation = AI_RUN_VALID;
    draft->problems_size = 0;
}

void ai_run_draft_end(struct ai_run_draft *draft, enum ai_run_error error, uint64_t now_ms)
{
    draft->attempt.ended_ms = now_ms;
    draft->attempt.error = (uint8_t)error;
}

/* --- the record ------------------------------------------------------------------------------ */

static enum ai_run_state state_after(enum job_fact_kind kind)
{
    if (kind == JOB_FACT_COMPLETED)
        return AI_RUN_SUCCEEDED;
    return kind == JOB_FACT_RETRY ? AI_RUN_QUEUED : AI_RUN_FAILED;
}

static uint32_t confidence_ppm(const struct ai_run_draft *draft)
{
    if (!draft->has_confidence)
        return AI_RUN_CONFIDENCE_UNKNOWN;
    return (uint32_t)(draft->confidence * 1000000 + 0.5);
}

static void fill_header(struct ai_run_draft *draft, const struct job_run *run,
                        const struct job_fact_header *fact, uint32_t revision_known)
{
    struct ai_run_header *header = &draft->image.header;
    enum ai_run_state state = state_after((enum job_fact_kind)fact->kind);

    header->id_low = run->id_low;
    header->created_ms = run->created_ms;
    header->written_ms = fact->at_ms;
    /* What there was before may not have been read, when the attempt ended early. */
    header->revision = 1 + (uint32_t)max_u64(header->revision, revision_known);
    header->max_tokens = draft->model->max_tokens;
    header->temperature_milli = draft->model->temperature_milli;
    header->confidence_ppm =
        state == AI_RUN_SUCCEEDED ? confidence_ppm(draft) : AI_RUN_CONFIDENCE_UNKNOWN;
    header->state = (uint8_t)state;
    memcpy(header->prompt_sha256, draft->prompt_sha256, SHA256_SIZE);
    ai_run_add_attempt(&draft->image, &draft->attempt);
}

static void fill_sections(struct ai_run_draft *draft, const struct job_run *run, struct slice error)
{
    const struct ai_model *model = draft->model;
    const struct job_queue *queue = run->queue;
    struct slice *sections = draft->image.sections;
    bool is_done = draft->image.header.state == AI_RUN_SUCCEEDED;

    sections[AI_RUN_SECTION_ORG] = (struct slice){queue->org, queue->org_size};
    sections[AI_RUN_SECTION_PROJECT] = (struct slice){queue->project, queue->project_size};
    sections[AI_RUN_SECTION_KIND] = (struct slice){queue->kind, queue->kind_size};
    sections[AI_RUN_SECTION_INCIDENT] = (struct slice){draft->incident_id, draft->incident_id_size};
    sections[AI_RUN_SECTION_PROVIDER] = model->origin;
    sections[AI_RUN_SECTION_MODEL] = model->name;
    sections[AI_RUN_SECTION_ANSWERED] = (struct slice){draft->answered, draft->answered_size};
    sections[AI_RUN_SECTION_PROMPT] = summary_prompt_name();
    sections[AI_RUN_SECTION_SCHEMA] = SLICE_LITERAL(SUMMARY_SCHEMA_NAME);
    sections[AI_RUN_SECTION_PRICES] = model->price_table;
    sections[AI_RUN_SECTION_CORRELATION] = run->image.sections[JOB_SECTION_CORRELATION];
    sections[AI_RUN_SECTION_ERROR] = is_done ? (struct slice){NULL, 0} : error;
    sections[AI_RUN_SECTION_PROBLEMS] = (struct slice){draft->problems, draft->problems_size};
    sections[AI_RUN_SECTION_OUTPUT] = is_done
                                          ? (struct slice){draft->output->data, draft->output->size}
                                          : (struct slice){NULL, 0};
}

bool ai_run_draft_write(struct ai_run_draft *draft, const struct job_run *run,
                        const struct job_fact_header *fact, struct slice error,
                        uint32_t revision_known, struct journal_record *ret_record)
{
    if (draft->record == NULL || draft->incident_id_size == 0)
        return false;
    fill_header(draft, run, fact, revision_known);
    fill_sections(draft, run, error);
    assert(ai_run_size(&draft->image) <= draft->record->capacity);
    draft->part =
        (struct slice){draft->record->data, ai_run_encode(&draft->image, draft->record->data)};
    *ret_record = (struct journal_record){
        .partition = run->partition,
        .type = RECORD_AI_RUN,
        .version = AI_RUN_RECORD_VERSION,
        .parts = &draft->part,
        .part_count = 1,
    };
    return true;
}

#include "actors/job_routes.h"

#include "actors/job_routes_internals.h"
#include "contracts/json_string.h"
#include "contracts/lease_spec.h"
#include "contracts/utf8.h"
#include "runtime/sim_point.h"

/*
 * A lease that waits is worth nothing to a worker that is gone, so it ends with its
 * connection, and also when only the worker's side of it was closed: a job must not be
 * leased to a process that was killed while it waited.
 *
 * Of an error JOB_TEXT_SIZE_MAX bytes are kept, and cut rather than refused: a worker that
 * failed has better things to do than to shorten its stack trace.
 */

enum { OUTCOME_SIZE_MAX = LEASE_SPEC_RESULT_SIZE_MAX + 64 * 1024 };

static_assert((int)LEASE_SPEC_LIMIT_MAX == (int)JOB_LEASE_LIMIT_MAX, "limit");
static_assert((int)LEASE_SPEC_FINISH_COUNT_MAX == (int)JOB_BATCH_MAX, "outcomes");
static_assert((int)LEASE_SPEC_WAIT_MS_MAX <= UINT16_MAX, "exchange.wait_ms");
static_assert((int)LEASE_SPEC_WAIT_MS_MAX == (int)JOB_LEASE_WAIT_MS_MAX, "wait");
static_assert((int)LEASE_SPEC_LEASE_MS_MIN == (int)JOB_LEASE_MS_MIN, "lease");
static_assert((int)LEASE_SPEC_LEASE_MS_MAX == (int)JOB_LEASE_MS_MAX, "lease");
static_assert((int)LEASE_SPEC_LEASE_MS_DEFAULT == (int)JOB_LEASE_MS_DEFAULT, "lease");
static_assert((int)LEASE_SPEC_RESULT_SIZE_MAX == (int)JOB_RESULT_SIZE_MAX, "result");
static_assert((int)LEASE_SPEC_PROGRESS_SIZE_MAX == (int)JOB_PROGRESS_SIZE_MAX, "progress");

int job_outcome_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_INGEST, JOB_NEEDS_RESERVE, OUTCOME_SIZE_MAX,
                          OUTCOME_SIZE_MAX);
}

int job_outcomes_on_head(struct exchange *x)
{
    const struct settings *settings = app_shard_of(x)->app->settings;

    return job_check_head(x, KEY_SCOPE_INGEST, JOB_NEEDS_RESERVE, settings->batch_bytes,
                          settings->batch_decoded_bytes);
}

int job_get_on_head(struct exchange *x)
{
    return job_check_head(x, KEY_SCOPE_READ, JOB_NEEDS_NOTHING, 0, 0);
}

/* --- outcomes ---------------------------------------------------------------------- */

/* Decodes an error and cuts it, without splitting a character. False: no buffer. */
MUST_USE static bool take_error(struct exchange *x, const struct json_value *error,
                                struct buffer **texts, struct slice *ret_text)
{
    struct slice text;
    size_t size, room;

    if (!error->has_escapes) {
        text = json_string_body(error);
        *ret_text = (struct slice){text.data, utf8_cut(text, JOB_TEXT_SIZE_MAX)};
        return true;
    }
    if (*texts == NULL && buffer_acquire(app_shard_of(x)->buffers, x->body.size, texts) < 0)
        return false;
    room = (*texts)->capacity - (*texts)->size;
    ret_text->data = (*texts)->data + (*texts)->size;
    size = json_string_decode(error, (*texts)->data + (*texts)->size,
                              (size_t)min_u64(room, JOB_TEXT_SIZE_MAX), &ret_text->size);
    if (size > ret_text->size)
        SOMETIMES("a long error is cut");
    (*texts)->size += (uint32_t)ret_text->size;
    return true;
}

/* False: no buffer. An id that is none is left 0, which no job has. */
MUST_USE static bool fill_finish(struct exchange *x, const struct finish_spec *finish,
                                 struct buffer **texts, struct job_item *item)
{
    item->epoch = finish->epoch;
    item->is_failure = finish->is_failure;
    item->is_retryable = finish->is_retryable;
    item->retry_after_ms = finish->retry_after_ms;
    item->text = finish->result;
    return !finish->is_failure || take_error(x, &finish->error, texts, &item->text);
}

/* False: no buffer. */
MUST_USE static bool fill_finishes(struct exchange *x, const struct finish_spec *finishes,
                                   uint32_t count, struct buffer **texts)
{
    struct job_request *request = EXCHANGE_NOTE(x, struct job_note)->request;

    for (uint32_t i = 0; i < count; i++) {
        if (!job_id_parse(finishes[i].id, &request->items[i].id))
            memset(&request->items[i].id, 0, sizeof(request->items[i].id));
        if (!fill_finish(x, &finishes[i], texts, &request->items[i]))
            return false;
    }
    return true;
}

int job_finish_on_request(struct exchange *x)
{
    struct finish_spec finishes[LEASE_SPEC_FINISH_COUNT_MAX];
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct buffer *texts = NULL;
    struct issue_list issues;
    struct json_reader reader;
    uint32_t count = 0;
    int r = EXCHANGE_READ_BODY;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (
        finish_spec_read_list(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, finishes, &count)) {
    case LEASE_SPEC_OK:
        break;
    case LEASE_SPEC_INVALID:
        return job_refuse_issues(x, &issues);
    case LEASE_SPEC_BAD_JSON:
        return job_refuse_json(x, &reader);
    }
    r = job_begin(x, JOB_FINISH, count);
    if (r != EXCHANGE_READ_BODY)
        return r;
    note->request->is_batch = true;
    note->request->item_count = (uint16_t)count;
    r = fill_finishes(x, finishes, count, &texts) ? job_submit(x) : job_refuse_overloaded(x);
    buffer_unref(&texts);
    return r;
}

/* The one item of a request about the job in the path; an id that is none is 404. */
static int begin_one(struct exchange *x, enum job_operation operation)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct job_id id;
    int r;

    if (!job_id_parse(x->params[0], &id))
        return exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
    r = job_begin(x, operation, 1);
    if (r != EXCHANGE_READ_BODY)
        return r;
    note->request->item_count = 1;
    note->request->items[0].id = id;
    return EXCHANGE_READ_BODY;
}

static int finish_one(struct exchange *x, bool is_failure)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct buffer *texts = NULL;
    struct finish_spec finish;
    struct issue_list issues;
    struct json_reader reader;
    int r;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (finish_spec_read(x->body, JSON_DEPTH_DEFAULT, is_failure, &issues, &reader, &finish)) {
    case LEASE_SPEC_OK:
        break;
    case LEASE_SPEC_INVALID:
        return job_refuse_issues(x, &issues);
    case LEASE_SPEC_BAD_JSON:
        return job_refuse_json(x, &reader);
    }
    r = begin_one(x, JOB_FINISH);
    if (r != EXCHANGE_READ_BODY)
        return r;
    r = fill_finish(x, &finish, &texts, &note->request->items[0]) ? job_submit(x)
                                                                  : job_refuse_overloaded(x);
    buffer_unref(&texts);
    return r;
}

int job_complete_on_request(struct exchange *x)
{
    return finish_one(x, false);
}

int job_fail_on_request(struct exchange *x)
{
    return finish_one(x, true);
}

/* --- leases ------------------------------------------------------------------------- */

static int begin_lease(struct exchange *x, const struct lease_spec *lease,
                       const struct finish_spec *finishes, struct buffer **texts)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    int r = job_begin(x, JOB_LEASE, lease->finish_count + lease->limit);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (!job_take_kind(x, note->request)) {
        job_request_release(&note->request);
        return job_refuse(x, SLICE_LITERAL("the path names no kind of job"));
    }
    note->request->finish_count = (uint16_t)lease->finish_count;
    note->request->limit = (uint16_t)lease->limit;
    note->request->wait_ms = lease->wait_ms;
    note->request->lease_ms = lease->lease_ms;
    x->wait_ms = (uint16_t)lease->wait_ms;
    x->ends_with_peer = true;
    return fill_finishes(x, finishes, lease->finish_count, texts) ? job_submit(x)
                                                                  : job_refuse_overloaded(x);
}

int job_lease_on_request(struct exchange *x)
{
    struct finish_spec finishes[LEASE_SPEC_FINISH_COUNT_MAX];
    struct buffer *texts = NULL;
    struct lease_spec lease;
    struct issue_list issues;
    struct json_reader reader;
    int r;

    issue_list_init(&issues);
    switch (lease_spec_read(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, &lease, finishes)) {
    case LEASE_SPEC_OK:
        break;
    case LEASE_SPEC_INVALID:
        return job_refuse_issues(x, &issues);
    case LEASE_SPEC_BAD_JSON:
        return job_refuse_json(x, &reader);
    }
    r = begin_lease(x, &lease, finishes, &texts);
    buffer_unref(&texts);
    return r;
}

int job_extend_on_request(struct exchange *x)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct extend_spec extend;
    struct issue_list issues;
    struct json_reader reader;
    int r;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    switch (extend_spec_read(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, &extend)) {
    case LEASE_SPEC_OK:
        break;
    case LEASE_SPEC_INVALID:
        return job_refuse_issues(x, &issues);
    case LEASE_SPEC_BAD_JSON:
        return job_refuse_json(x, &reader);
    }
    r = begin_one(x, JOB_EXTEND);
    if (r != EXCHANGE_READ_BODY)
        return r;
    note->request->lease_ms = extend.lease_ms;
    note->request->items[0].epoch = extend.epoch;
    note->request->items[0].text = extend.progress;
    return job_submit(x);
}

/* --- without a lease ------------------------------------------------------------------ */

int job_cancel_on_request(struct exchange *x)
{
    int r = begin_one(x, JOB_CANCEL);

    return r == EXCHANGE_READ_BODY ? job_submit(x) : r;
}

int job_get_on_request(struct exchange *x)
{
    int r = begin_one(x, JOB_GET);

    return r == EXCHANGE_READ_BODY ? job_submit(x) : r;
}

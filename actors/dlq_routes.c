/*
 * What was asked becomes a dead_request, which goes round the shards and comes back with
 * the answer; a page and a letter are JSON by then. A key's own project is put into the
 * filter before anything else is looked at, so whatever else is asked stays within it.
 */
#include "actors/dlq_routes.h"

#include "actors/app.h"
#include "actors/auth.h"
#include "actors/dlq_spec.h"
#include "actors/message_types.h"
#include "contracts/json_writer.h"
#include "http/media_type.h"
#include "http/url.h"
#include "runtime/sim_point.h"

enum {
    BODY_SIZE_MAX = 65536,
    ANSWER_SIZE_MAX = 1024, /* of all but pages and letters */
    LOCATION_SIZE_MAX = 96,
    DETAIL_SIZE_MAX = 256,
};

/* What these routes keep in an exchange. */
struct dlq_note {
    struct dead_request *request;
    struct auth auth;
};

#define KEY(writer, literal) json_writer_key(writer, SLICE_LITERAL(literal))

int dlq_on_head(struct exchange *x)
{
    struct exchange_problem_options retry = {.retry_after_s = 1};
    struct exchange_problem_options accept = {
        .field = {SLICE_LITERAL("accept"), SLICE_LITERAL("application/json")}};
    struct media_type type;
    int r = auth_check(x, KEY_SCOPE_ADMIN, &EXCHANGE_NOTE(x, struct dlq_note)->auth);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (app_shard_of(x)->phase == APP_RECOVERING)
        return exchange_problem(x, PROBLEM_RECOVERING, &retry);
    if (x->request->content_type.data != NULL &&
        (media_type_parse(x->request->content_type, &type) != MEDIA_TYPE_OK ||
         !media_type_is(&type, SLICE_LITERAL("application/json"))))
        return exchange_problem(x, PROBLEM_UNSUPPORTED_MEDIA_TYPE, &accept);
    x->body_size_max = BODY_SIZE_MAX;
    x->decoded_size_max = BODY_SIZE_MAX;
    return EXCHANGE_READ_BODY;
}

/* --- asking ---------------------------------------------------------------------- */

static int refuse_overloaded(struct exchange *x)
{
    struct exchange_problem_options retry = {.retry_after_s = 1};

    return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
}

/*
 * Puts the caller's project into the filter. False: another one was asked for, which such
 * a caller may not see.
 */
MUST_USE static bool restrict_filter(const struct auth *auth, struct dead_filter *filter)
{
    struct slice org, project;

    if (auth->key == NULL)
        return true;
    org = key_org(auth->key);
    project = key_project(auth->key);
    if ((filter->org_size > 0 &&
         !slice_equal((struct slice){filter->org, filter->org_size}, org)) ||
        (filter->project_size > 0 &&
         !slice_equal((struct slice){filter->project, filter->project_size}, project)))
        return false;
    return dead_filter_set(filter, DEAD_FIELD_ORG, org) == NULL &&
           dead_filter_set(filter, DEAD_FIELD_PROJECT, project) == NULL;
}

/* A request in the note. EXCHANGE_READ_BODY, or what became of the exchange instead. */
static int begin(struct exchange *x, enum dead_operation operation,
                 const struct dead_selection *selection)
{
    struct dlq_note *note = EXCHANGE_NOTE(x, struct dlq_note);
    struct dead_request *request = dead_request_acquire(&app_shard_of(x)->dead_letters, x);

    assert(note->request == NULL);
    if (request == NULL)
        return refuse_overloaded(x);
    request->operation = (uint8_t)operation;
    if (selection != NULL)
        request->selection = *selection;
    if (!restrict_filter(&note->auth, &request->selection.filter)) {
        SOMETIMES("a key asks for the dead letters of another project");
        dead_request_release(&request);
        return exchange_problem(x, PROBLEM_FORBIDDEN, NULL);
    }
    note->request = request;
    return EXCHANGE_READ_BODY;
}

static int submit(struct exchange *x)
{
    struct dlq_note *note = EXCHANGE_NOTE(x, struct dlq_note);

    if (dead_request_submit(note->request) == 0)
        return EXCHANGE_PENDING;
    dead_request_release(&note->request);
    return refuse_overloaded(x);
}

/* Which list its cursors are of: that of the letters which are meant; a query names one id. */
static void seal_request(struct dead_request *request)
{
    const struct dead_selection *selection = &request->selection;
    const struct dead_filter *filter = &selection->filter;
    const uint64_t numbers[] = {
        filter->since_ms,    filter->until_ms,         filter->reason,
        selection->id_count, selection->ids[0].id_low,
    };
    const struct slice things[] = {
        SLICE_INITIALIZER("dead letters"),        {filter->org, filter->org_size},
        {filter->project, filter->project_size},  {filter->kind, filter->kind_size},
        {(const char *)numbers, sizeof(numbers)},
    };
    struct cursor_seal *seal = &request->seal;

    assert(selection->id_count <= 1);
    memcpy(seal->key, request->home->home->app->cursor_key, sizeof(seal->key));
    for (uint32_t i = 0; i < ARRAY_COUNT(things); i++)
        seal->filter = cursor_filter_add(seal, seal->filter, things[i]);
}

/* The place behind which the page begins; absent: the very first. False for a bad cursor. */
static bool read_cursor(const struct exchange *x, struct dead_request *request)
{
    char text[CURSOR_TEXT_SIZE];
    struct cursor cursor;
    struct slice found;

    if (!url_query_text(x->request->query, SLICE_LITERAL("cursor"), text, sizeof(text), &found))
        return false;
    if (found.data == NULL)
        return true;
    if (!cursor_read(&request->seal, found, &cursor))
        return false;
    request->begin =
        (struct job_dead_place){cursor.words[0], cursor.words[1], cursor.words[2], cursor.words[3]};
    return true;
}

static int refuse_parameter(struct exchange *x, struct slice name, const char *rule)
{
    char detail[DETAIL_SIZE_MAX];
    int size = snprintf(detail, sizeof(detail), "%.*s %s", (int)name.size, name.data, rule);
    struct exchange_problem_options options = {.detail = {detail, (size_t)size}};

    return exchange_problem(x, PROBLEM_INVALID_PARAMETER, &options);
}

int dlq_list_on_request(struct exchange *x)
{
    struct dlq_note *note = EXCHANGE_NOTE(x, struct dlq_note);
    uint64_t limit = DEAD_PAGE_LIMIT_DEFAULT;
    struct dead_selection selection;
    struct slice name;
    const char *rule = dlq_spec_read_query(x->request->query, &selection, &name);
    int r;

    if (rule != NULL)
        return refuse_parameter(x, name, rule);
    if (!url_query_number(x->request->query, SLICE_LITERAL("limit"), 1, DEAD_PAGE_LIMIT_MAX,
                          &limit))
        return refuse_parameter(x, SLICE_LITERAL("limit"), "must be a whole number from 1 to 100");
    r = begin(x, DEAD_LIST, &selection);
    if (r != EXCHANGE_READ_BODY)
        return r;
    note->request->limit = (uint16_t)limit;
    seal_request(note->request);
    if (!read_cursor(x, note->request)) {
        dead_request_release(&note->request);
        return exchange_problem(x, PROBLEM_INVALID_CURSOR, NULL);
    }
    return submit(x);
}

/* A request about what the path names; an id that is none is 404. */
static int ask_one(struct exchange *x, enum dead_operation operation)
{
    struct job_id id;
    int r;

    if (!job_id_parse(x->params[0], &id))
        return exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
    r = begin(x, operation, NULL);
    if (r != EXCHANGE_READ_BODY)
        return r;
    EXCHANGE_NOTE(x, struct dlq_note)->request->id = id;
    return submit(x);
}

int dlq_get_on_request(struct exchange *x)
{
    return ask_one(x, DEAD_GET);
}

int dlq_drop_on_request(struct exchange *x)
{
    return ask_one(x, DEAD_DROP);
}

int dlq_progress_on_request(struct exchange *x)
{
    return ask_one(x, DEAD_PROGRESS);
}

int dlq_stop_on_request(struct exchange *x)
{
    return ask_one(x, DEAD_STOP);
}

int dlq_replays_on_request(struct exchange *x)
{
    int r = begin(x, DEAD_REPLAYS, NULL);

    return r == EXCHANGE_READ_BODY ? submit(x) : r;
}

static int refuse_json(struct exchange *x, const struct json_reader *reader)
{
    char detail[DETAIL_SIZE_MAX];
    struct slice text = json_error_text(json_reader_error(reader));
    int size = snprintf(detail, sizeof(detail), "%.*s, at byte %zu", (int)text.size, text.data,
                        json_reader_offset(reader));
    struct exchange_problem_options options = {.detail = {detail, (size_t)size}};

    return exchange_problem(x, problem_of_json_error(json_reader_error(reader)), &options);
}

/*
 * The replay's own id: it says where the replay lives, and when it began. A caller with one
 * project has it where its letters are; any other on the shard that was asked.
 */
static struct job_id make_id(struct exchange *x, const struct dead_filter *filter)
{
    struct app_shard *home = app_shard_of(x);
    uint32_t partition = home->shard->index;

    if (dead_filter_is_of_project(filter))
        partition = job_partition((struct slice){filter->org, filter->org_size},
                                  (struct slice){filter->project, filter->project_size},
                                  home->app->superblock.partition_count);
    return job_id_make(job_desk_now(&home->jobs), partition, rng_next(&home->shard->rng));
}

/* Letters that die from now on are not meant. */
static void set_limits(struct dead_request *request)
{
    struct dead_filter *filter = &request->selection.filter;
    uint64_t end_ms = request->id.created_ms + 1;

    filter->until_ms = filter->until_ms != 0 ? min_u64(filter->until_ms, end_ms) : end_ms;
}

int dlq_replay_on_request(struct exchange *x)
{
    struct dlq_note *note = EXCHANGE_NOTE(x, struct dlq_note);
    struct exchange_problem_options options = {.issues = NULL};
    struct issue_list issues;
    struct json_reader reader;
    struct dlq_spec spec;
    int r;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    issue_list_init(&issues);
    options.issues = &issues;
    switch (dlq_spec_read(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, &spec)) {
    case DLQ_SPEC_OK:
        break;
    case DLQ_SPEC_INVALID:
        return exchange_problem(x, PROBLEM_UNPROCESSABLE, &options);
    case DLQ_SPEC_BAD_JSON:
        return refuse_json(x, &reader);
    }
    r = begin(x, spec.is_dry_run ? DEAD_COUNT : DEAD_REPLAY, &spec.selection);
    if (r != EXCHANGE_READ_BODY)
        return r;
    note->request->rate_per_s = spec.rate_per_s;
    note->request->id = make_id(x, &note->request->selection.filter);
    set_limits(note->request);
    return submit(x);
}

void dlq_on_abandon(struct exchange *x)
{
    struct dlq_note *note = EXCHANGE_NOTE(x, struct dlq_note);

    if (note->request != NULL)
        dead_request_abandon(&note->request);
}

/* --- answering --------------------------------------------------------------------- */

static void write_count(struct json_writer *writer, struct slice name, uint64_t value)
{
    json_writer_key(writer, name);
    json_writer_u64(writer, value);
}

static int respond(struct exchange *x, const struct json_writer *writer, struct response *response)
{
    bool fits = json_writer_finish(writer, &response->body);

    assert(fits);
    return exchange_respond(x, response);
}

static int answer_replay(struct exchange *x, const struct dead_request *request)
{
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    char text[ANSWER_SIZE_MAX], location[LOCATION_SIZE_MAX], id[UUID_TEXT_SIZE];
    struct json_writer writer;
    int size;

    job_id_format(request->replay.id, id);
    json_writer_init(&writer, text, sizeof(text));
    dead_replay_write(&request->replay, &writer);
    if (request->operation == DEAD_REPLAY) {
        size =
            snprintf(location, sizeof(location), "/v1/admin/dlq/replays/%.*s", (int)sizeof(id), id);
        response.status = 202;
        response.fields[0].name = SLICE_LITERAL("location");
        response.fields[0].value = (struct slice){location, (size_t)size};
        response.field_count = 1;
    }
    return respond(x, &writer, &response);
}

/* {"name":value} */
static int answer_dropped(struct exchange *x, const struct dead_request *request)
{
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    char text[ANSWER_SIZE_MAX], id[UUID_TEXT_SIZE];
    struct json_writer writer;

    job_id_format(request->id, id);
    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    KEY(&writer, "id");
    json_writer_string(&writer, (struct slice){id, sizeof(id)});
    KEY(&writer, "dropped");
    json_writer_boolean(&writer, true);
    json_writer_end_object(&writer);
    return respond(x, &writer, &response);
}

static int answer_count(struct exchange *x, const struct dead_request *request)
{
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    char text[ANSWER_SIZE_MAX];
    struct json_writer writer;

    json_writer_init(&writer, text, sizeof(text));
    json_writer_begin_object(&writer);
    write_count(&writer, SLICE_LITERAL("matching"), request->count);
    json_writer_end_object(&writer);
    return respond(x, &writer, &response);
}

static int answer(struct exchange *x, const struct dead_request *request)
{
    struct response response = {
        .status = 200, .content_type = SLICE_LITERAL("application/json"), .body = request->body};
    struct exchange_problem_options options = {0};

    if (request->code != PROBLEM_NONE) {
        if (problem_status(request->code) == 503 || request->code == PROBLEM_JOB_BUSY)
            options.retry_after_s = 1;
        return exchange_problem(x, request->code, &options);
    }
    switch ((enum dead_operation)request->operation) {
    case DEAD_LIST:
    case DEAD_GET:
    case DEAD_REPLAYS:
        return exchange_respond(x, &response);
    case DEAD_DROP:
        return answer_dropped(x, request);
    case DEAD_COUNT:
        return answer_count(x, request);
    case DEAD_REPLAY:
    case DEAD_PROGRESS:
    case DEAD_STOP:
        return answer_replay(x, request);
    case DEAD_BATCH:
        break;
    }
    return exchange_problem(x, PROBLEM_INTERNAL_ERROR, NULL);
}

int dlq_on_reply(struct exchange *x, const struct message *msg)
{
    struct dlq_note *note = EXCHANGE_NOTE(x, struct dlq_note);
    int r;

    if (msg->type != MSG_DEAD_ANSWER || note->request == NULL)
        return EXCHANGE_PENDING;
    r = answer(x, note->request);
    dead_request_release(&note->request);
    return r;
}

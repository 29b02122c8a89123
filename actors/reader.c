#include "actors/reader.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "contracts/sha256.h"
#include "runtime/sim_point.h"

/*
 * A cursor is good for one list with one filter: what was asked for, the scope included, is
 * hashed into its seal, limit and the cursor itself left out. The key of the seal comes from
 * the admin token, the one secret that outlives a restart: so do cursors.
 *
 * The read model keeps the memory of a question until it has answered. A shard therefore
 * stops only when all answers are in, which takes READ_SLOW_MS at most; a connection that
 * goes away leaves its request behind, to be released when its answer comes.
 */

enum {
    RETRY_AFTER_S = 1,
    RETRY_AFTER_OFF_S = 60, /* it will be there after another start at the earliest */
    LIMIT_DEFAULT = 20,
    PARAMETER_LIMIT = 0,
    PARAMETER_CURSOR = 1,
};

static_assert((int)READ_LIMIT_MAX == 100, "the rule says so");
static_assert((int)SHA256_SIZE >= (int)SIPHASH_KEY_SIZE, "a digest makes a key");

static struct reader *reader_of(struct actor *self)
{
    return ACTOR_CAST(self, struct reader, READER_MAGIC);
}

static void free_request(struct reader_request *request)
{
    void *slot = request;

    buffer_unref(&request->body);
    pool_release(&request->home->requests, &slot);
}

bool reader_is_idle(const struct reader *reader)
{
    return pool_used_count(&reader->requests) == 0;
}

/* The last answer has come: the actor may stop. */
static void end_stopping(struct reader *reader)
{
    if (reader->is_stopping && reader_is_idle(reader) && actor_is_running(&reader->actor))
        outbox_send(&reader->outbox, &reader->actor, reader->actor.id, MSG_READ_STOPPED, 0, NULL);
}

static void on_done(struct read_query *query, enum read_result result)
{
    struct reader_request *request = container_of(query, struct reader_request, query);
    struct reader *reader = request->home;

    assert(!request->is_decided);
    request->result = result;
    request->is_decided = true;
    if (request->is_abandoned || !actor_is_running(&reader->actor)) {
        SOMETIMES("the answer of the read model comes when nobody waits any more");
        free_request(request);
        end_stopping(reader);
        return;
    }
    outbox_send(&reader->outbox, &reader->actor, request->connection, MSG_READ_ANSWER,
                request->token, request);
}

static int receive(struct actor *self, const struct message *msg)
{
    struct reader *reader = reader_of(self);

    switch (msg->type) {
    case MSG_READ_STOPPED:
        return reader_is_idle(reader) ? ACTOR_STOP : ACTOR_OK;
    case MSG_TIMER:
        return outbox_on_timer(&reader->outbox, self, msg->as.timer.timer) ? ACTOR_OK
                                                                           : ACTOR_UNHANDLED;
    case MSG_STOP:
        reader->is_stopping = true;
        return reader_is_idle(reader) ? ACTOR_STOP : ACTOR_OK;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct reader *reader = reader_of(self);

    outbox_init(&reader->outbox, self);
    reader->is_stopping = false;
    return 0;
}

const struct actor_type reader_type = {
    .name = "reader",
    .start = start,
    .receive = receive,
    .mailbox_max = 4096,
};

int reader_init(struct reader *reader, struct app_shard *home)
{
    memset(reader, 0, sizeof(*reader));
    reader->home = home;
    return pool_init(&reader->requests, "reader requests", sizeof(struct reader_request),
                     READER_REQUEST_COUNT_MAX);
}

void reader_deinit(struct reader *reader)
{
    pool_abandon(&reader->requests);
}

/* --- asking ---------------------------------------------------------------------- */

int reader_on_head(struct exchange *x)
{
    struct reader_note *note = EXCHANGE_NOTE(x, struct reader_note);
    struct exchange_problem_options retry = {.retry_after_s = RETRY_AFTER_S};
    int r = auth_check(x, KEY_SCOPE_READ, &note->auth);

    if (r != EXCHANGE_READ_BODY)
        return r;
    assert(note->auth.key != NULL); /* the admin token has no scope but admin */
    if (app_shard_of(x)->phase == APP_RECOVERING)
        return exchange_problem(x, PROBLEM_RECOVERING, &retry);
    return EXCHANGE_READ_BODY;
}

static int refuse_overloaded(struct exchange *x)
{
    struct exchange_problem_options retry = {.retry_after_s = RETRY_AFTER_S};

    return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
}

/* Why there is nothing to read. */
static int refuse_unavailable(struct exchange *x)
{
    struct app *app = app_shard_of(x)->app;
    struct exchange_problem_options options = {.retry_after_s = RETRY_AFTER_S};
    struct read_model_info info = {.state = READ_MODEL_OFF};

    if (app->read_model != NULL)
        read_model_info(app->read_model, &info);
    switch (info.state) {
    case READ_MODEL_OFF:
        options.retry_after_s = RETRY_AFTER_OFF_S;
        options.detail = SLICE_LITERAL("the read model is off: [store] read_model");
        break;
    case READ_MODEL_REFUSED:
        options.retry_after_s = RETRY_AFTER_OFF_S;
        options.detail = SLICE_LITERAL("the read model cannot be used: GET /readyz says why");
        break;
    case READ_MODEL_STARTING:
    case READ_MODEL_RUNNING:
    case READ_MODEL_FAILED:
        options.detail = SLICE_LITERAL("the read model cannot answer now");
        break;
    }
    return exchange_problem(x, PROBLEM_READ_MODEL_UNAVAILABLE, &options);
}

static struct reader_request *acquire(struct exchange *x)
{
    struct reader_note *note = EXCHANGE_NOTE(x, struct reader_note);
    struct app_shard *home = app_shard_of(x);
    struct reader *reader = &home->reader;
    struct reader_request *request =
        FAILPOINT("no reader request is free") ? NULL : pool_acquire(&reader->requests);
    void *slot = request;

    if (request == NULL)
        return NULL;
    memset(request, 0, sizeof(*request));
    request->home = reader;
    if (buffer_acquire(home->buffers, READER_ANSWER_SIZE, &request->body) < 0) {
        pool_release(&reader->requests, &slot);
        return NULL;
    }
    request->connection = x->actor->id;
    request->token = x->token;
    note->request = request;
    return request;
}

/* The scope is the key's, whatever else was asked. */
static void set_scope(struct reader_request *request, const struct record_key *key)
{
    struct slice org = key_org(key), project = key_project(key);

    memcpy(request->org, org.data, org.size);
    memcpy(request->project, project.data, project.size);
    request->query.scope =
        (struct read_scope){{request->org, org.size}, {request->project, project.size}};
}

static uint64_t add_number(const struct cursor_seal *seal, uint64_t filter, uint64_t number)
{
    return cursor_filter_add(seal, filter, (struct slice){(const char *)&number, sizeof(number)});
}

/* Everything that decides which rows there are, and in which order. */
static void seal_query(const struct exchange *x, struct reader_request *request,
                       const struct reader_parameters *parameters,
                       const struct parameter_value *values)
{
    struct cursor_seal *seal = &request->query.seal;
    bool has_id = strchr(x->route->pattern, '{') != NULL;

    memcpy(seal->key, request->home->home->app->cursor_key, sizeof(seal->key));
    seal->filter = cursor_filter_add(seal, seal->filter, request->query.scope.org);
    seal->filter = cursor_filter_add(seal, seal->filter, request->query.scope.project);
    if (has_id)
        seal->filter = cursor_filter_add(seal, seal->filter, x->params[0]);
    for (uint32_t i = parameters->has_page ? READER_PAGE_PARAMETER_COUNT : 0; i < parameters->count;
         i++) {
        seal->filter = add_number(seal, seal->filter, values[i].is_given);
        seal->filter = add_number(seal, seal->filter, values[i].number);
        seal->filter = cursor_filter_add(seal, seal->filter, values[i].text);
    }
}

/* The issues may borrow from the request. */
static int refuse_parameters(struct exchange *x, const struct issue_list *issues)
{
    struct reader_note *note = EXCHANGE_NOTE(x, struct reader_note);
    struct exchange_problem_options options = {.issues = issues};
    int r = exchange_problem(x, PROBLEM_INVALID_PARAMETER, &options);

    free_request(note->request);
    note->request = NULL;
    return r;
}

int reader_refuse(struct exchange *x, const struct parameter *parameter, const char *rule)
{
    struct issue issue = {.kind = ISSUE_RULE,
                          .index = ISSUE_NO_INDEX,
                          .key = {.type = JSON_STRING, .raw = parameter->name},
                          .rule = slice_of(rule)};
    struct issue_list issues;

    issue_list_init(&issues);
    issue_list_add(&issues, &issue);
    return refuse_parameters(x, &issues);
}

int reader_begin(struct exchange *x, enum read_query_type type,
                 const struct reader_parameters *parameters, struct parameter_value *ret_values,
                 struct reader_request **ret_request)
{
    struct reader_request *request = acquire(x);
    struct issue_list issues;

    if (request == NULL)
        return refuse_overloaded(x);
    issue_list_init(&issues);
    if (!parameters_read(x->request->query, parameters->list, parameters->count, request->texts,
                         sizeof(request->texts), &issues, ret_values))
        return refuse_parameters(x, &issues);
    set_scope(request, EXCHANGE_NOTE(x, struct reader_note)->auth.key);
    request->query.type = type;
    request->query.on_done = on_done;
    request->query.limit = LIMIT_DEFAULT;
    request->query.now_ms = app_shard_of(x)->shard->clock.unix_ms;
    if (parameters->has_page) {
        assert(parameters->count >= READER_PAGE_PARAMETER_COUNT);
        if (ret_values[PARAMETER_LIMIT].is_given)
            request->query.limit = (uint32_t)ret_values[PARAMETER_LIMIT].number;
        request->query.cursor = ret_values[PARAMETER_CURSOR].text;
    }
    seal_query(x, request, parameters, ret_values);
    *ret_request = request;
    return EXCHANGE_READ_BODY;
}

void reader_restrict(struct reader_request *request, const struct parameter_value *project)
{
    struct read_scope *scope = &request->query.scope;

    if (!project->is_given || slice_equal(project->text, scope->project))
        return;
    SOMETIMES("a key asks for the rows of another project");
    *scope = (struct read_scope){SLICE_LITERAL(""), SLICE_LITERAL("")}; /* nobody's */
}

struct slice reader_keep_id(struct reader_request *request, struct slice text)
{
    size_t size = text.size <= UUID_TEXT_SIZE ? text.size : 0;

    memcpy(request->path_text, text.data, size);
    return (struct slice){request->path_text, size};
}

/* Starts the question. EXCHANGE_PENDING, or what became of the exchange instead. */
static int ask(struct exchange *x, struct reader_request *request)
{
    enum read_result result;

    request->is_decided = false;
    request->query.answer = request->body->data;
    request->query.answer_max = request->body->capacity;
    result = read_query_start(&app_shard_of(x)->read_port, &request->query);
    if (result == READ_OK)
        return EXCHANGE_PENDING;
    free_request(request);
    EXCHANGE_NOTE(x, struct reader_note)->request = NULL;
    return result == READ_BUSY ? refuse_overloaded(x) : refuse_unavailable(x);
}

int reader_submit(struct exchange *x)
{
    return ask(x, EXCHANGE_NOTE(x, struct reader_note)->request);
}

/* --- answering -------------------------------------------------------------------- */

/* Once more with a larger buffer. EXCHANGE_PENDING, or what became of the exchange instead. */
static int ask_again(struct exchange *x, struct reader_request *request)
{
    struct buffer *larger = NULL;

    SOMETIMES("an answer of the read model needs a larger buffer");
    if (request->body->capacity >= READER_ANSWER_SIZE_MAX)
        return exchange_problem(x, PROBLEM_INTERNAL_ERROR, NULL);
    if (buffer_acquire(app_shard_of(x)->buffers, READER_ANSWER_SIZE_MAX, &larger) < 0)
        return refuse_overloaded(x);
    buffer_unref(&request->body);
    request->body = larger;
    return ask(x, request);
}

static int answer(struct exchange *x, struct reader_request *request)
{
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    struct exchange_problem_options retry = {.retry_after_s = RETRY_AFTER_S};

    switch (request->result) {
    case READ_OK:
        response.body = (struct slice){request->body->data, request->query.answer_size};
        return exchange_respond(x, &response);
    case READ_NOT_FOUND:
        return exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
    case READ_BAD_CURSOR:
        return exchange_problem(x, PROBLEM_INVALID_CURSOR, NULL);
    case READ_TOO_BIG:
        return ask_again(x, request);
    case READ_TIMEOUT:
        return exchange_problem(x, PROBLEM_QUERY_TIMEOUT, &retry);
    case READ_BUSY:
        return refuse_overloaded(x);
    case READ_UNAVAILABLE:
        break;
    }
    return refuse_unavailable(x);
}

int reader_on_reply(struct exchange *x, const struct message *msg)
{
    struct reader_note *note = EXCHANGE_NOTE(x, struct reader_note);
    struct reader_request *request = note->request;
    struct reader *reader = &app_shard_of(x)->reader;
    int r;

    if (msg->type != MSG_READ_ANSWER || request == NULL)
        return EXCHANGE_PENDING;
    assert(request->is_decided);
    r = answer(x, request);
    if (r != EXCHANGE_PENDING && note->request != NULL) {
        free_request(request);
        note->request = NULL;
        end_stopping(reader);
    }
    return r;
}

void reader_on_abandon(struct exchange *x)
{
    struct reader_note *note = EXCHANGE_NOTE(x, struct reader_note);
    struct reader_request *request = note->request;

    if (request == NULL)
        return;
    SOMETIMES("a connection goes before the read model has answered");
    if (request->is_decided)
        free_request(request);
    else
        request->is_abandoned = true;
    note->request = NULL;
}

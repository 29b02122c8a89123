#include "actors/lookup.h"

#include "actors/app.h"
#include "actors/auth.h"
#include "actors/message_types.h"
#include "contracts/json_string.h"
#include "contracts/uuid.h"
#include "runtime/sim_point.h"

/*
 *     home: start -> look here -> next shard -> ... -> home: decided
 *                       ^   \--buffer too small--> home: grow --+
 *                       +---------------------------------------+
 *
 * Candidates are collected before the first read, because the index may change
 * while a read is under way. The 128-bit key of the record settles whether it is
 * the event: it covers project and id, so no other tenant's event is ever found.
 */

/* What the route keeps in an exchange. */
struct lookup_note {
    struct lookup_request *request;
    struct auth auth;
};

static struct lookup *lookup_of(struct actor *self)
{
    return ACTOR_CAST(self, struct lookup, LOOKUP_MAGIC);
}

static void look_here(struct lookup_request *request);
static void read_next(struct lookup_request *request);

static void free_request(struct lookup_request *request)
{
    struct lookup *lookup = request->home;
    void *slot = request;

    buffer_unref(&request->buffer);
    pool_release(&lookup->requests, &slot);
}

/* Tells the connection; when that cannot be done now, tries again by asking itself. */
static void answer(struct lookup_request *request)
{
    struct lookup *lookup = request->home;

    request->is_decided = true;
    if (request->abandoned)
        free_request(request);
    else
        outbox_send(&lookup->outbox, &lookup->actor, request->connection, MSG_LOOKUP_ANSWER,
                    request->token, request);
}

static void come_home(struct lookup_request *request)
{
    struct lookup *home = request->home;
    bool is_home = request->at == home;

    if (request->result == LOOKUP_NEEDS_ROOM && is_home) {
        SOMETIMES("an event is larger than the buffer of its lookup");
        if (buffer_grow(&request->buffer, request->size_needed) < 0) {
            request->result = LOOKUP_FAILED;
        } else {
            look_here(request);
            return;
        }
    }
    if (is_home)
        answer(request);
    else
        outbox_send(&request->at->outbox, &request->at->actor, home->actor.id, MSG_LOOKUP_FOUND, 0,
                    request);
}

/* Nothing (more) on this shard: to the next one, or home. */
static void move_on(struct lookup_request *request)
{
    struct lookup *at = request->at;
    struct app *app = at->home->app;

    if (request->shards_left == 0) {
        SOMETIMES("a lookup finds nothing on any shard");
        request->result = LOOKUP_NOT_FOUND;
        come_home(request);
        return;
    }
    request->shards_left--;
    request->shard_index = (request->shard_index + 1) % app->shard_count;
    outbox_send(&at->outbox, &at->actor, app->shards[request->shard_index].lookup.actor.id,
                MSG_LOOKUP_FIND, 0, request);
}

/* The key covers the project only, and another organisation may have one of that name. */
static bool is_of_org(const struct lookup_request *request, struct slice envelope)
{
    struct json_value org;

    return json_find_member(envelope, SLICE_LITERAL("org_id"), &org) &&
           json_string_equal(&org, (struct slice){request->org, request->org_size});
}

static bool is_wanted(const struct lookup_request *request, const struct journal_record_view *view,
                      struct slice *ret_envelope)
{
    struct record_event header;

    return view->type == RECORD_EVENT &&
           event_record_decode(view->version, view->payload, &header, ret_envelope) &&
           memcmp(header.key, request->key.words, sizeof(header.key)) == 0 &&
           is_of_org(request, *ret_envelope);
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct lookup_request *request = container_of(read, struct lookup_request, read);
    struct slice envelope;

    switch (result) {
    case JOURNAL_READ_OK:
        if (is_wanted(request, view, &envelope)) {
            request->envelope = envelope;
            request->result = LOOKUP_FOUND;
            come_home(request);
            return;
        }
        break;
    case JOURNAL_READ_GONE:
        SOMETIMES("a lookup meets a dropped segment");
        break;
    case JOURNAL_READ_TOO_BIG:
        request->size_needed = read->size_needed;
        request->result = LOOKUP_NEEDS_ROOM;
        come_home(request);
        return;
    case JOURNAL_READ_CORRUPT:
        SOMETIMES("damage: a lookup meets a damaged record");
        request->result = LOOKUP_FAILED;
        come_home(request);
        return;
    case JOURNAL_READ_ERROR:
        SOMETIMES("a lookup meets a disk that cannot read");
        request->result = LOOKUP_FAILED;
        come_home(request);
        return;
    }
    read_next(request);
}

static void read_next(struct lookup_request *request)
{
    if (request->candidate_next == request->candidate_count) {
        move_on(request);
        return;
    }
    request->read.on_done = on_read;
    request->read.location = request->candidates[request->candidate_next++];
    request->read.buffer = request->buffer->data;
    request->read.buffer_size = request->buffer->capacity;
    journal_read_start(request->at->home->keeper.reader, &request->read);
}

static void look_here(struct lookup_request *request)
{
    struct keeper *keeper = &request->at->home->keeper;
    struct event_index_search search;
    struct journal_location location;

    request->result = LOOKUP_SEARCHING;
    request->candidate_count = 0;
    request->candidate_next = 0;
    for (uint32_t i = 0; i < keeper->log_count; i++) {
        event_index_find(keeper->logs[i].index, (uint32_t)request->key.words[0], &search);
        while (request->candidate_count < LOOKUP_CANDIDATE_COUNT_MAX &&
               event_index_next(&search, &location))
            request->candidates[request->candidate_count++] = location;
    }
    read_next(request);
}

static int receive(struct actor *self, const struct message *msg)
{
    struct lookup *lookup = lookup_of(self);
    struct lookup_request *request;

    switch (msg->type) {
    case MSG_LOOKUP_FIND:
        SOMETIMES("a lookup goes on at another shard");
        request = outbox_lent(msg);
        request->at = lookup;
        look_here(request);
        return ACTOR_OK;
    case MSG_LOOKUP_FOUND:
        request = outbox_lent(msg);
        assert(request->home == lookup);
        if (request->result == LOOKUP_NEEDS_ROOM)
            SOMETIMES("a lookup comes home for a larger buffer");
        if (request->result == LOOKUP_NEEDS_ROOM &&
            buffer_grow(&request->buffer, request->size_needed) == 0) {
            outbox_send(&lookup->outbox, self,
                        lookup->home->app->shards[request->shard_index].lookup.actor.id,
                        MSG_LOOKUP_FIND, 0, request);
            return ACTOR_OK;
        }
        if (request->result == LOOKUP_NEEDS_ROOM)
            request->result = LOOKUP_FAILED;
        answer(request);
        return ACTOR_OK;
    case MSG_TIMER:
        return outbox_on_timer(&lookup->outbox, self, msg->as.timer.timer) ? ACTOR_OK
                                                                           : ACTOR_UNHANDLED;
    case MSG_STOP:
        return ACTOR_STOP;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    outbox_init(&lookup_of(self)->outbox, self);
    return 0;
}

const struct actor_type lookup_type = {
    .name = "lookup",
    .start = start,
    .receive = receive,
    .mailbox_max = 65536,
};

int lookup_init(struct lookup *lookup, struct app_shard *home)
{
    memset(lookup, 0, sizeof(*lookup));
    lookup->home = home;
    return pool_init(&lookup->requests, "lookup requests", sizeof(struct lookup_request),
                     LOOKUP_REQUEST_COUNT_MAX);
}

void lookup_deinit(struct lookup *lookup)
{
    pool_abandon(&lookup->requests);
}

/* --- the route ------------------------------------------------------------ */

int lookup_on_head(struct exchange *x)
{
    struct lookup_note *note = EXCHANGE_NOTE(x, struct lookup_note);
    struct app_shard *home = app_shard_of(x);
    struct exchange_problem_options retry = {.retry_after_s = 1};
    int r = auth_check(x, KEY_SCOPE_READ, &note->auth);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (home->phase == APP_RECOVERING)
        return exchange_problem(x, PROBLEM_RECOVERING, &retry);
    return EXCHANGE_READ_BODY;
}

int lookup_on_request(struct exchange *x)
{
    struct lookup_note *note = EXCHANGE_NOTE(x, struct lookup_note);
    struct app_shard *home = app_shard_of(x);
    struct lookup *lookup = &home->lookup;
    struct exchange_problem_options retry = {.retry_after_s = 1};
    struct lookup_request *request;
    uint8_t id[UUID_SIZE];

    if (!uuid_parse(x->params[0], id))
        return exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
    request = FAILPOINT("no lookup request is free") ? NULL : pool_acquire(&lookup->requests);
    if (request == NULL)
        return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    memset(request, 0, sizeof(*request));
    if (buffer_acquire(home->buffers, LOOKUP_BUFFER_SIZE, &request->buffer) < 0) {
        void *slot = request;

        pool_release(&lookup->requests, &slot);
        return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    }
    request->home = lookup;
    request->at = lookup;
    request->connection = x->actor->id;
    request->token = x->token;
    request->org_size = (uint8_t)key_org(note->auth.key).size;
    memcpy(request->org, key_org(note->auth.key).data, request->org_size);
    request->shard_index = home->shard->index;
    request->shards_left = home->app->shard_count - 1;
    intake_key(home->app->hash_key, key_org(note->auth.key), key_project(note->auth.key),
               (struct slice){(const char *)id, sizeof(id)}, true, &request->key);
    note->request = request;
    look_here(request);
    return EXCHANGE_PENDING;
}

int lookup_on_reply(struct exchange *x, const struct message *msg)
{
    struct lookup_note *note = EXCHANGE_NOTE(x, struct lookup_note);
    struct lookup_request *request = note->request;
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    int r;

    if (msg->type != MSG_LOOKUP_ANSWER || request == NULL)
        return EXCHANGE_PENDING;
    assert(request->is_decided);
    switch (request->result) {
    case LOOKUP_FOUND:
        response.body = request->envelope;
        r = exchange_respond(x, &response);
        break;
    case LOOKUP_NOT_FOUND:
        r = exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
        break;
    case LOOKUP_SEARCHING:
    case LOOKUP_NEEDS_ROOM:
    case LOOKUP_FAILED:
    default:
        r = exchange_problem(x, PROBLEM_INTERNAL_ERROR, NULL);
        break;
    }
    free_request(request);
    note->request = NULL;
    return r;
}

void lookup_on_abandon(struct exchange *x)
{
    struct lookup_note *note = EXCHANGE_NOTE(x, struct lookup_note);

    if (note->request == NULL)
        return;
    SOMETIMES("a lookup's connection went before its answer");
    if (note->request->is_decided)
        free_request(note->request);
    else
        note->request->abandoned = true;
    note->request = NULL;
}

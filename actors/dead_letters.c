/*
 * Both ways a request is lent by message, also to the shard that it is on: each part of it
 * begins in a turn of its own, so none can hold a shard up or nest without end.
 *
 * A stop waits for what is in flight: the buffers that reads and steps hold must be back
 * before the shard ends. Connections are gone by then, and with them all requests that
 * somebody waits for.
 */
#include "actors/dead_letters.h"

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/memory.h"
#include "runtime/sim_point.h"

static struct dead_letters *letters_of(struct actor *self)
{
    return ACTOR_CAST(self, struct dead_letters, DEAD_LETTERS_MAGIC);
}

static void request_check(const struct dead_request *request)
{
    assert(request->magic == DEAD_REQUEST_MAGIC);
    assert(request->home != NULL);
    assert(request->operation <= DEAD_BATCH);
}

/* --- requests ------------------------------------------------------------------ */

struct dead_request *dead_request_acquire(struct dead_letters *home, struct exchange *exchange)
{
    struct dead_request *request =
        FAILPOINT("no request for dead letters is free") ? NULL : pool_acquire(&home->requests);

    if (request == NULL)
        return NULL;
    memset(request, 0, sizeof(*request));
    request->magic = DEAD_REQUEST_MAGIC;
    request->code = PROBLEM_NONE;
    request->home = home;
    request->at = home;
    request->connection = exchange->actor->id;
    request->token = exchange->token;
    list_init(&request->link);
    return request;
}

static void free_request(struct dead_request *request)
{
    struct dead_letters *home = request->home;
    void *slot = request;

    assert(request->owner == NULL);
    buffer_unref(&request->answer);
    request->magic = 0;
    pool_release(&home->requests, &slot);
}

void dead_request_release(struct dead_request **request)
{
    request_check(*request);
    free_request(*request);
    *request = NULL;
}

void dead_request_abandon(struct dead_request **request)
{
    struct dead_request *it = *request;

    request_check(it);
    *request = NULL;
    if (it->is_decided) {
        free_request(it);
        return;
    }
    SOMETIMES("a connection goes while its request for dead letters is away");
    it->abandoned = true;
}

uint32_t dead_letters_shard_of(const struct dead_letters *letters, uint32_t partition)
{
    return partition % letters->home->app->shard_count;
}

void dead_request_send(struct dead_request *request, uint32_t shard)
{
    struct dead_letters *from = request->at;

    assert(shard < from->home->app->shard_count);
    request->at = &from->home->app->shards[shard].dead_letters;
    outbox_send(&from->outbox, &from->actor, request->at->actor.id, MSG_DEAD_DO, 0, request);
}

void dead_request_begin_round(struct dead_request *request)
{
    const struct app *app = request->at->home->app;
    const struct dead_filter *filter = &request->selection.filter;
    uint32_t first = 0;

    request->walk = (struct dead_walk){.from = request->begin};
    request->shards_left = app->shard_count - 1;
    if (dead_filter_is_of_project(filter)) {
        first = dead_letters_shard_of(
            request->at, job_partition((struct slice){filter->org, filter->org_size},
                                       (struct slice){filter->project, filter->project_size},
                                       app->superblock.partition_count));
        request->shards_left = 0;
    }
    dead_request_send(request, first);
}

bool dead_request_move_on(struct dead_request *request)
{
    uint32_t next = request->at->home->shard->index + 1;

    if (request->shards_left == 0)
        return false;
    SOMETIMES("a request for dead letters goes on at another shard");
    request->shards_left--;
    dead_request_send(request, next);
    return true;
}

/* Room for a page or a letter; less than wished for a page is enough. */
MUST_USE static int acquire_answer(struct dead_request *request, uint64_t size)
{
    struct buffer_pool *buffers = request->home->home->buffers;
    int r;

    buffer_unref(&request->answer);
    r = buffer_acquire(buffers, size, &request->answer);
    if (r < 0 && size > DEAD_LETTER_SIZE && request->operation == DEAD_LIST)
        r = buffer_acquire(buffers, DEAD_LETTER_SIZE, &request->answer);
    return r;
}

/* The JSON begins where the letters will follow. */
static void begin_answer(struct dead_request *request)
{
    json_writer_init(&request->writer, request->answer->data, request->answer->capacity);
    if (request->operation == DEAD_GET)
        return;
    json_writer_begin_object(&request->writer);
    json_writer_key(&request->writer, request->operation == DEAD_LIST
                                          ? SLICE_LITERAL("dead_letters")
                                          : SLICE_LITERAL("replays"));
    json_writer_begin_array(&request->writer);
}

int dead_request_submit(struct dead_request *request)
{
    bool is_list = request->operation == DEAD_LIST || request->operation == DEAD_REPLAYS;
    bool is_one = request->operation == DEAD_GET || request->operation == DEAD_DROP ||
                  request->operation == DEAD_PROGRESS || request->operation == DEAD_STOP;

    request_check(request);
    if (is_list || request->operation == DEAD_GET) {
        int r = acquire_answer(request, is_list ? DEAD_PAGE_SIZE : DEAD_LETTER_SIZE);

        if (r < 0)
            return r;
        begin_answer(request);
    }
    if (request->operation == DEAD_LIST && request->selection.id_count > 0) {
        request->id = request->selection.ids[0]; /* a page of one that is known */
        request->pick_count = 1;
        request->stage = 1;
    }
    if (is_one || request->stage == 1)
        dead_request_send(request, dead_letters_shard_of(request->at, request->id.partition));
    else
        dead_request_begin_round(request);
    return 0;
}

/* At home with an answer: to whoever waits for it. */
static void decide(struct dead_request *request)
{
    struct dead_letters *home = request->home;

    request_check(request);
    if (request->owner != NULL) {
        dead_replays_on_visit(request->owner);
        return;
    }
    if (request->answer_size_needed > 0 && !request->abandoned) {
        uint32_t size = request->answer_size_needed;

        SOMETIMES("a dead letter needs a larger answer");
        request->answer_size_needed = 0;
        if (acquire_answer(request, size) == 0) {
            begin_answer(request);
            dead_request_send(request, dead_letters_shard_of(home, request->id.partition));
            return;
        }
        request->code = PROBLEM_OVERLOADED;
    }
    request->is_decided = true;
    if (request->abandoned)
        free_request(request);
    else
        outbox_send(&home->outbox, &home->actor, request->connection, MSG_DEAD_ANSWER,
                    request->token, request);
}

void dead_request_come_home(struct dead_request *request)
{
    struct dead_letters *from = request->at;

    request_check(request);
    request->at = request->home;
    outbox_send(&from->outbox, &from->actor, request->home->actor.id, MSG_DEAD_DONE, 0, request);
}

bool dead_letters_find(const struct dead_letters *letters, const struct dead_filter *filter,
                       struct job_id id, struct job_ref *ret_ref)
{
    struct job_table *table = letters->home->jobs.table;
    struct job_view view;

    if (!job_table_find(table, id.id_low, ret_ref))
        return false;
    job_table_view(table, *ret_ref, &view);
    return view.state == JOB_DEAD && view.created_ms == id.created_ms &&
           dead_filter_takes(filter, &view);
}

/* --- the actor ------------------------------------------------------------------ */

void dead_letters_begin_flight(struct dead_letters *letters)
{
    letters->flight_count++;
}

void dead_letters_end_flight(struct dead_letters *letters)
{
    assert(letters->flight_count > 0);
    letters->flight_count--;
    if (letters->flight_count == 0 && letters->is_stopping && actor_is_running(&letters->actor))
        outbox_send(&letters->outbox, &letters->actor, letters->actor.id, MSG_DEAD_STOPPED, 0,
                    NULL);
}

static void do_part(struct dead_letters *letters, struct dead_request *request)
{
    request_check(request);
    assert(request->at == letters);
    if (!letters->is_resumed) {
        SOMETIMES("a request for dead letters comes before they were read back");
        request->code = PROBLEM_RECOVERING;
        dead_request_come_home(request);
        return;
    }
    switch ((enum dead_operation)request->operation) {
    case DEAD_LIST:
        if (request->stage == 0)
            dead_pages_select(request);
        else
            dead_pages_describe(request);
        return;
    case DEAD_GET:
        dead_pages_describe(request);
        return;
    case DEAD_DROP:
        dead_pages_drop(request);
        return;
    case DEAD_COUNT:
        dead_pages_count(request);
        return;
    case DEAD_REPLAY:
        if (request->stage == 0)
            dead_pages_count(request);
        else
            dead_replays_begin(request);
        return;
    case DEAD_PROGRESS:
        dead_replays_show(request);
        return;
    case DEAD_REPLAYS:
        dead_replays_list(request);
        return;
    case DEAD_STOP:
        dead_replays_stop(request);
        return;
    case DEAD_BATCH:
        dead_replayer_take(letters, request);
        return;
    }
}

static int receive(struct actor *self, const struct message *msg)
{
    struct dead_letters *letters = letters_of(self);

    switch (msg->type) {
    case MSG_DEAD_DO:
        do_part(letters, outbox_lent(msg));
        return ACTOR_OK;
    case MSG_DEAD_DONE:
        decide(outbox_lent(msg));
        return ACTOR_OK;
    case MSG_DEAD_WORK:
        letters->replayer.will_work = false;
        dead_replayer_work(letters);
        return ACTOR_OK;
    case MSG_TIMER:
        if (outbox_on_timer(&letters->outbox, self, msg->as.timer.timer) ||
            dead_replays_on_timer(letters, msg->as.timer.timer))
            return ACTOR_OK;
        return ACTOR_UNHANDLED;
    case MSG_DEAD_STOPPED:
        return letters->flight_count == 0 ? ACTOR_STOP : ACTOR_OK;
    case MSG_STOP:
        letters->is_stopping = true;
        return letters->flight_count == 0 ? ACTOR_STOP : ACTOR_OK;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct dead_letters *letters = letters_of(self);

    outbox_init(&letters->outbox, self);
    dead_replays_start(letters);
    return 0;
}

const struct actor_type dead_letters_type = {
    .name = "dead_letters",
    .start = start,
    .receive = receive,
    .mailbox_max = 4096,
};

static size_t replays_size(void)
{
    return round_up_u64(DEAD_REPLAY_SLOT_COUNT_MAX * sizeof(struct dead_replay), MEMORY_PAGE_SIZE);
}

int dead_letters_init(struct dead_letters *letters, struct app_shard *home)
{
    char *memory = NULL;
    int r;

    memset(letters, 0, sizeof(*letters));
    letters->home = home;
    letters->durable.type = &durable_replay_type;
    dead_replayer_init(letters);
    r = memory_map(replays_size(), &memory);
    if (r < 0)
        return r;
    letters->replays = (struct dead_replay *)(void *)memory;
    return pool_init(&letters->requests, "requests for dead letters", sizeof(struct dead_request),
                     DEAD_REQUEST_COUNT_MAX);
}

void dead_letters_deinit(struct dead_letters *letters)
{
    char *memory = (char *)letters->replays;

    if (memory == NULL)
        return;
    memory_unmap(&memory, replays_size());
    letters->replays = NULL;
    pool_abandon(&letters->requests);
}

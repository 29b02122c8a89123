/*
 * Replays of dead letters: what was asked, how fast, how far.
 *
 *     asked -> counted (every shard) -> REPLAY written -> 202
 *                                          |
 *     after a start: counted again --------+--> batch, batch, ... shard by shard
 *                                                   |  \--no room: a second later again
 *                                                   v
 *                                            REPLAY written again, with what came of it
 *
 * A replay lives on the shard that its id names, and sends its one request round: to a
 * shard with so many letters as its pace allows, and to the next shard when that one has no
 * more. It holds no list of letters. What it means are those that had died before it began;
 * those replayed are no dead letters any more, so after a crash it begins at the first shard
 * again and passes over nothing. `done` is then what is not there any more: letters replayed,
 * and those that an operator or their age has removed meanwhile.
 *
 * Who wants it to stop waits until its request is at home and what came of it is durable; what
 * it has not reached stays a dead letter. Ended replays are remembered until their places are
 * needed. One whose records are in two logs, since the number of shards was changed while it
 * was running, is forgotten only for those who ask: if the log with its end let that go before
 * the other one its beginning, a start would find it running, and replay what was to stay. Its
 * end is carried forward until the logs of earlier starts have gone.
 *
 * A shard begins no more than DEAD_REPLAY_COUNT_MAX at a time. A start may find those of many
 * shards on one, all running: each has been promised an end, so there are places for all of them.
 */
#include <errno.h>

#include "actors/app.h"
#include "actors/dead_letters.h"
#include "contracts/json_member.h"
#include "runtime/sim_point.h"

enum {
    ROOM_MS = 1000,      /* until what had no room is tried again */
    RECOVERING_MS = 100, /* until a shard that was not ready is asked again */
    VIEW_SIZE = 256      /* of a replay as it is shown, at most */
};

static const uint64_t NS_PER_S = 1000000000;
static const uint64_t NS_PER_MS = 1000000;

static bool is_running(const struct dead_replay *replay)
{
    return replay->is_used && replay->record.ended_ms == 0;
}

static void go_on(struct dead_replay *replay);

/* --- the record ------------------------------------------------------------------ */

static void fill_names(struct record_replay *record, const struct dead_filter *filter)
{
    record->reason = filter->reason;
    record->org_size = filter->org_size;
    record->project_size = filter->project_size;
    record->kind_size = filter->kind_size;
    memcpy(record->org, filter->org, filter->org_size);
    memcpy(record->project, filter->project, filter->project_size);
    memcpy(record->kind, filter->kind, filter->kind_size);
    record->since_ms = filter->since_ms;
    record->until_ms = filter->until_ms;
}

static void read_selection(const struct record_replay *record, struct slice payload,
                           struct dead_selection *selection)
{
    struct dead_filter *filter = &selection->filter;

    memset(selection, 0, sizeof(*selection));
    filter->reason = record->reason;
    filter->org_size = record->org_size;
    filter->project_size = record->project_size;
    filter->kind_size = record->kind_size;
    memcpy(filter->org, record->org, record->org_size);
    memcpy(filter->project, record->project, record->project_size);
    memcpy(filter->kind, record->kind, record->kind_size);
    filter->since_ms = record->since_ms;
    filter->until_ms = record->until_ms;
    selection->id_count = record->id_count;
    for (uint32_t i = 0; i < record->id_count; i++) {
        struct record_replay_id id = record_replay_id(payload, i);

        selection->ids[i] = (struct job_id){id.created_ms, id.id_low, id.partition};
    }
}

static size_t encode(struct dead_replay *replay)
{
    const struct dead_selection *selection = &replay->visit.selection;
    char *at = replay->bytes;

    memcpy(at, &replay->record, sizeof(replay->record));
    at += sizeof(replay->record);
    for (uint32_t i = 0; i < selection->id_count; i++) {
        struct record_replay_id id = {.created_ms = selection->ids[i].created_ms,
                                      .id_low = selection->ids[i].id_low,
                                      .partition = selection->ids[i].partition};

        memcpy(at, &id, sizeof(id));
        at += sizeof(id);
    }
    return (size_t)(at - replay->bytes);
}

/* --- places ------------------------------------------------------------------------- */

static struct dead_replay *find(struct dead_letters *letters, uint64_t id_low)
{
    for (uint32_t i = 0; i < letters->replay_end; i++)
        if (letters->replays[i].is_used && letters->replays[i].record.id_low == id_low)
            return &letters->replays[i];
    return NULL;
}

/* The replay that ended first, and about which nothing is being written; NULL: there is none. */
static struct dead_replay *find_ended(struct dead_letters *letters)
{
    struct dead_replay *oldest = NULL;

    for (uint32_t i = 0; i < letters->replay_end; i++) {
        struct dead_replay *replay = &letters->replays[i];

        if (replay->is_used && !replay->is_forgotten && replay->record.ended_ms != 0 &&
            !replay->is_writing &&
            (oldest == NULL || replay->record.ended_ms < oldest->record.ended_ms))
            oldest = replay;
    }
    return oldest;
}

/* Forgets ended replays until there are no more than count_max. False: too many are running. */
MUST_USE static bool forget_ended(struct dead_letters *letters, uint32_t count_max)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < letters->replay_end; i++)
        count += letters->replays[i].is_used && !letters->replays[i].is_forgotten;
    for (; count > count_max; count--) {
        struct dead_replay *oldest = find_ended(letters);

        if (oldest == NULL)
            return false;
        SOMETIMES("a replay of dead letters is forgotten for another");
        oldest->is_forgotten = true;
        if (!oldest->is_scattered || letters->old_logs_gone)
            oldest->is_used = false;
        else
            SOMETIMES("the end of a replay of dead letters is kept because of another log");
    }
    return true;
}

/* The place of one whose end is kept, when there is no other; NULL: there is none. */
static struct dead_replay *take_forgotten(struct dead_letters *letters)
{
    for (uint32_t i = 0; i < letters->replay_end; i++) {
        struct dead_replay *replay = &letters->replays[i];

        if (!replay->is_forgotten || replay->is_writing)
            continue;
        replay->is_used = false;
        return replay;
    }
    return NULL;
}

/* A place, so that no more than count_max are used; NULL: all are, by replays that are running. */
static struct dead_replay *find_place(struct dead_letters *letters, uint32_t count_max)
{
    struct dead_replay *replay;

    assert(count_max > 0 && count_max <= DEAD_REPLAY_SLOT_COUNT_MAX);
    if (!forget_ended(letters, count_max - 1))
        return NULL;
    for (uint32_t i = 0; i < letters->replay_end; i++)
        if (!letters->replays[i].is_used)
            return &letters->replays[i];
    if (letters->replay_end == DEAD_REPLAY_SLOT_COUNT_MAX)
        return take_forgotten(letters);
    replay = &letters->replays[letters->replay_end++];
    replay->letters = letters;
    if (letters->is_resumed) /* else all get theirs when everything has been read back */
        actor_timer_init(&letters->actor, &replay->timer);
    return replay;
}

/* Makes the place one of this replay, that has yet to begin. */
static void take_place(struct dead_replay *replay, uint32_t partition)
{
    struct dead_letters *letters = replay->letters;

    replay->is_used = true;
    replay->is_scattered = false;
    replay->is_forgotten = false;
    replay->is_counted = false;
    replay->partition = partition;
    replay->location = JOURNAL_LOCATION_NONE;
    replay->size = 0;
    replay->is_end_written = false;
    replay->shard = 0;
    replay->batch_ns = 0;
    replay->next_ns = 0;
    replay->is_away = false;
    replay->starter = NULL;
    replay->stopper = NULL;
    memset(&replay->record, 0, sizeof(replay->record));
    memset(&replay->visit, 0, sizeof(replay->visit));
    replay->visit.magic = DEAD_REQUEST_MAGIC;
    replay->visit.home = letters;
    replay->visit.at = letters;
    replay->visit.owner = replay;
    list_init(&replay->visit.link);
}

static void show(const struct dead_replay *replay, struct dead_replay_view *ret_view)
{
    const struct record_replay *record = &replay->record;

    *ret_view = (struct dead_replay_view){
        .id = {record->began_ms, record->id_low, replay->partition},
        .total = record->total,
        .done = record->done,
        .failed = record->failed,
        .began_ms = record->began_ms,
        .ended_ms = record->ended_ms,
        .rate_per_s = record->rate_per_s,
        .is_stopped = record->is_stopped != 0,
    };
}

void dead_replay_write(const struct dead_replay_view *view, struct json_writer *writer)
{
    bool is_over = view->ended_ms != 0;
    char id[UUID_TEXT_SIZE];

    job_id_format(view->id, id);
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("id"));
    json_writer_string(writer, (struct slice){id, sizeof(id)});
    json_writer_key(writer, SLICE_LITERAL("state"));
    json_writer_string(writer, view->is_stopped ? SLICE_LITERAL("stopped")
                               : is_over        ? SLICE_LITERAL("completed")
                                                : SLICE_LITERAL("running"));
    json_member_u64(writer, SLICE_LITERAL("total"), view->total);
    json_member_u64(writer, SLICE_LITERAL("done"), view->done);
    json_member_u64(writer, SLICE_LITERAL("failed"), view->failed);
    json_member_u64(writer, SLICE_LITERAL("rate"), view->rate_per_s);
    json_writer_key(writer, SLICE_LITERAL("began_at"));
    json_writer_time(writer, (int64_t)view->began_ms);
    json_writer_key(writer, SLICE_LITERAL("ended_at"));
    if (is_over)
        json_writer_time(writer, (int64_t)view->ended_ms);
    else
        json_writer_null(writer);
    json_writer_end_object(writer);
}

/* --- writing -------------------------------------------------------------------------- */

static void carry_on(struct dead_letters *letters);
MUST_USE static bool write_replay(struct dead_replay *replay);

/* Whoever wanted it to end hears of it. */
static void answer_stopper(struct dead_replay *replay, enum problem_code code)
{
    struct dead_request *stopper = replay->stopper;

    if (stopper == NULL || !actor_is_running(&replay->letters->actor))
        return;
    replay->stopper = NULL;
    stopper->code = (uint16_t)code;
    show(replay, &stopper->replay);
    dead_request_come_home(stopper);
}

/* It ended, perhaps while something else about it was being written. */
static void write_end(struct dead_replay *replay)
{
    if (replay->record.ended_ms == 0 || replay->is_end_written || replay->is_writing)
        return;
    if (write_replay(replay))
        return;
    /* The journal has stopped: the next start finds what is left to do. */
    SOMETIMES("a replay of dead letters ends with the journal");
    answer_stopper(replay, PROBLEM_STORAGE_FAILED);
}

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct dead_replay *replay = container_of(step, struct dead_replay, step);
    struct dead_letters *letters = replay->letters;
    struct dead_request *starter = replay->starter;

    replay->is_writing = false;
    replay->starter = NULL;
    if (outcome == DURABLE_DONE && actor_is_running(&letters->actor)) {
        if (starter != NULL) {
            show(replay, &starter->replay);
            dead_request_come_home(starter);
            go_on(replay);
        }
        if (replay->is_end_written)
            answer_stopper(replay, PROBLEM_NONE);
        write_end(replay);
        carry_on(letters);
    } else if (actor_is_running(&letters->actor)) {
        if (starter != NULL) {
            starter->code = PROBLEM_STORAGE_FAILED;
            dead_request_come_home(starter);
        }
        answer_stopper(replay, PROBLEM_STORAGE_FAILED);
    }
    dead_letters_end_flight(letters);
}

/* Writes what the replay is now. False: the journal has stopped. */
static bool write_replay(struct dead_replay *replay)
{
    struct dead_letters *letters = replay->letters;

    assert(!replay->is_writing);
    replay->record_part = (struct slice){replay->bytes, encode(replay)};
    replay->journal_record = (struct journal_record){
        .partition = replay->partition,
        .type = RECORD_REPLAY,
        .version = REPLAY_RECORD_VERSION,
        .parts = &replay->record_part,
        .part_count = 1,
    };
    replay->step = (struct durable_step){
        .on_done = on_written, .records = &replay->journal_record, .record_count = 1};
    replay->is_writing = true;
    replay->is_end_written = replay->record.ended_ms != 0;
    dead_letters_begin_flight(letters);
    if (durable_commit_later(&letters->home->keeper.durables, &replay->step))
        return true;
    replay->is_writing = false;
    dead_letters_end_flight(letters);
    return false;
}

/* --- beginning ------------------------------------------------------------------------ */

/* From the first letter of a shard on. */
static void begin_batches(struct dead_replay *replay)
{
    replay->visit.walk = (struct dead_walk){.takes_away = true};
    replay->visit.id_next = 0;
}

static void refuse(struct dead_request *request, enum problem_code code)
{
    request->code = (uint16_t)code;
    dead_request_come_home(request);
}

void dead_replays_begin(struct dead_request *request)
{
    struct dead_letters *letters = request->at;
    enum problem_code code = keeper_admit(&letters->home->keeper);
    struct dead_replay *replay = NULL;
    uint64_t now_ms = job_desk_now(&letters->home->jobs);

    if (code == PROBLEM_NONE && !letters->is_stopping)
        replay = find_place(letters, DEAD_REPLAY_COUNT_MAX);
    if (replay == NULL) {
        refuse(request, code != PROBLEM_NONE ? code : PROBLEM_OVERLOADED);
        return;
    }
    take_place(replay, request->id.partition);
    fill_names(&replay->record, &request->selection.filter);
    replay->visit.selection = request->selection;
    replay->record.id_low = request->id.id_low;
    replay->record.began_ms = request->id.created_ms;
    replay->record.total = request->count;
    replay->record.rate_per_s = request->rate_per_s;
    replay->record.id_count = request->selection.id_count;
    replay->is_counted = true;
    begin_batches(replay);
    if (request->count == 0)
        replay->record.ended_ms = now_ms;
    replay->starter = request;
    if (write_replay(replay))
        return;
    replay->is_used = false;
    replay->starter = NULL;
    refuse(request, PROBLEM_STORAGE_FAILED);
}

/* Durable; and of a caller that has but one project, a replay of this one. */
static bool is_visible(const struct dead_replay *replay, const struct dead_filter *filter)
{
    const struct record_replay *record = &replay->record;

    if (!replay->is_used || replay->is_forgotten || replay->location.bits == 0)
        return false;
    return !dead_filter_is_of_project(filter) ||
           (slice_equal((struct slice){filter->org, filter->org_size},
                        (struct slice){record->org, record->org_size}) &&
            slice_equal((struct slice){filter->project, filter->project_size},
                        (struct slice){record->project, record->project_size}));
}

void dead_replays_show(struct dead_request *request)
{
    const struct dead_replay *replay = find(request->at, request->id.id_low);

    if (replay != NULL && is_visible(replay, &request->selection.filter))
        show(replay, &request->replay);
    else
        request->code = PROBLEM_NOT_FOUND;
    dead_request_come_home(request);
}

void dead_replays_list(struct dead_request *request)
{
    const struct dead_letters *letters = request->at;
    const struct json_writer *writer = &request->writer;
    struct dead_replay_view view;
    bool fits;

    static_assert(DEAD_REPLAY_SLOT_COUNT_MAX * VIEW_SIZE <= DEAD_PAGE_SIZE,
                  "what all shards admit fits");
    for (uint32_t i = 0; i < letters->replay_end; i++) {
        if (!is_visible(&letters->replays[i], &request->selection.filter))
            continue;
        if (writer->capacity - writer->size < VIEW_SIZE + DEAD_PAGE_TAIL_SIZE)
            break; /* more than were ever admitted at a time, after many changes of the shards */
        show(&letters->replays[i], &view);
        dead_replay_write(&view, &request->writer);
    }
    if (dead_request_move_on(request))
        return;
    json_writer_end_array(&request->writer);
    json_writer_end_object(&request->writer);
    fits = json_writer_finish(&request->writer, &request->body);
    assert(fits);
    dead_request_come_home(request);
}

/* --- going on -------------------------------------------------------------------------- */

static uint64_t now_ns(const struct dead_replay *replay)
{
    return replay->letters->home->shard->clock.mono_ns;
}

static void go_on_in(struct dead_replay *replay, uint64_t delay_ms)
{
    actor_timer_start(&replay->letters->actor, &replay->timer, delay_ms);
}

/* A tenth of a second's worth at a time: an even pace, and few messages. */
static uint16_t batch_size(const struct dead_replay *replay)
{
    uint64_t size = replay->record.rate_per_s / 10;

    return (uint16_t)min_u64(max_u64(size, 1), DEAD_BATCH_MAX);
}

static void end(struct dead_replay *replay)
{
    const struct record_replay *record = &replay->record;

    replay->record.ended_ms = job_desk_now(&replay->letters->home->jobs);
    /* It may be waiting for its pace, and its place may have another before that is over. */
    actor_timer_stop(&replay->letters->actor, &replay->timer);
    SOMETIMES("a replay of dead letters ends");
    log_event(&replay->letters->home->shard->log, LOG_INFO, "dead_letters",
              "a replay of dead letters has ended", LOG_NUMBER("done", record->done),
              LOG_NUMBER("failed", record->failed), LOG_NUMBER("total", record->total));
    write_end(replay);
}

static void send_batch(struct dead_replay *replay)
{
    struct dead_request *visit = &replay->visit;

    visit->limit = batch_size(replay);
    visit->code = PROBLEM_NONE;
    visit->done_count = 0;
    visit->failed_count = 0;
    visit->taken_count = 0;
    visit->at_end = false;
    visit->must_wait = false;
    visit->operation = DEAD_BATCH;
    replay->is_away = true;
    replay->batch_ns = now_ns(replay);
    dead_request_send(visit, replay->shard);
}

static void go_on(struct dead_replay *replay)
{
    const struct dead_letters *letters = replay->letters;
    uint64_t wait_ns = replay->next_ns > now_ns(replay) ? replay->next_ns - now_ns(replay) : 0;

    if (!is_running(replay) || letters->is_stopping || letters->home->phase == APP_DRAINING)
        return; /* the next start goes on */
    if (!replay->is_counted) {
        replay->visit.operation = DEAD_COUNT;
        replay->visit.code = PROBLEM_NONE;
        replay->visit.count = 0;
        replay->is_away = true;
        dead_request_begin_round(&replay->visit);
        return;
    }
    if (wait_ns > 0) {
        go_on_in(replay, (wait_ns + NS_PER_MS - 1) / NS_PER_MS);
        return;
    }
    send_batch(replay);
}

/* What it has not reached stays a dead letter. */
static void stop(struct dead_replay *replay)
{
    SOMETIMES("a replay of dead letters is stopped");
    replay->record.is_stopped = 1;
    end(replay);
}

void dead_replays_stop(struct dead_request *request)
{
    struct dead_replay *replay = find(request->at, request->id.id_low);

    if (replay == NULL || !is_visible(replay, &request->selection.filter)) {
        refuse(request, PROBLEM_NOT_FOUND);
        return;
    }
    if (replay->stopper != NULL) {
        refuse(request, PROBLEM_OVERLOADED); /* somebody else is waiting for just that */
        return;
    }
    if (!is_running(replay)) {
        show(replay, &request->replay);
        dead_request_come_home(request);
        return;
    }
    replay->stopper = request;
    if (!replay->is_away)
        stop(replay);
}

static void on_counted(struct dead_replay *replay)
{
    struct record_replay *record = &replay->record;
    uint64_t left = min_u64(replay->visit.count, record->total);

    if (replay->stopper != NULL) {
        stop(replay);
        return;
    }
    if (replay->visit.code != PROBLEM_NONE) {
        go_on_in(replay, RECOVERING_MS);
        return;
    }
    SOMETIMES("a replay of dead letters goes on after a start");
    record->done = record->total - left;
    record->failed = 0;
    replay->is_counted = true;
    replay->shard = 0;
    begin_batches(replay);
    go_on(replay);
}

static void on_batch(struct dead_replay *replay)
{
    struct dead_request *visit = &replay->visit;
    uint64_t cost_ns = NS_PER_S / replay->record.rate_per_s;

    if (visit->code != PROBLEM_NONE || visit->must_wait)
        SOMETIMES("a replay of dead letters waits for room");
    replay->record.done += visit->done_count;
    replay->record.failed += visit->failed_count;
    if (replay->stopper != NULL) {
        stop(replay);
        return;
    }
    replay->next_ns = max_u64(replay->next_ns, replay->batch_ns) +
                      cost_ns * (visit->done_count + visit->failed_count);
    if (visit->code != PROBLEM_NONE || visit->must_wait) {
        go_on_in(replay, visit->must_wait ? ROOM_MS : RECOVERING_MS);
        return;
    }
    if (visit->at_end) {
        replay->shard++;
        begin_batches(replay);
    }
    if (replay->shard == replay->letters->home->app->shard_count)
        end(replay);
    else
        go_on(replay);
}

void dead_replays_on_visit(struct dead_replay *replay)
{
    assert(is_running(replay));
    assert(replay->is_away);
    replay->is_away = false;
    if (replay->visit.operation == DEAD_COUNT)
        on_counted(replay);
    else
        on_batch(replay);
}

bool dead_replays_on_timer(struct dead_letters *letters, const struct timer *timer)
{
    for (uint32_t i = 0; i < letters->replay_end; i++)
        if (timer == &letters->replays[i].timer) {
            go_on(&letters->replays[i]);
            return true;
        }
    return false;
}

/* --- durable --------------------------------------------------------------------------- */

static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct dead_letters *letters = container_of(self, struct dead_letters, durable);
    struct record_replay record;
    struct dead_replay *replay;

    if (!record_replay_decode(fact->payload, &record))
        return -EBADMSG;
    replay = find(letters, record.id_low);
    if (replay == NULL) {
        replay = find_place(letters, DEAD_REPLAY_SLOT_COUNT_MAX);
        if (replay == NULL)
            return -ENOSPC;
        take_place(replay, fact->partition);
    }
    if (replay->location.bits != 0 &&
        journal_location_log(replay->location) != journal_location_log(fact->location))
        replay->is_scattered = true;
    replay->location = fact->location;
    replay->size = fact->size;
    if (!fact->is_recovery)
        return 0; /* memory may be further than what was written */
    replay->record = record;
    replay->is_end_written = record.ended_ms != 0;
    read_selection(&record, fact->payload, &replay->visit.selection);
    return 0;
}

static void init_timers(struct dead_letters *letters)
{
    for (uint32_t i = 0; i < letters->replay_end; i++)
        actor_timer_init(&letters->actor, &letters->replays[i].timer);
}

static void resume(struct durable *self)
{
    struct dead_letters *letters = container_of(self, struct dead_letters, durable);

    letters->is_resumed = true;
    init_timers(letters);
    if (!forget_ended(letters, DEAD_REPLAY_COUNT_MAX))
        SOMETIMES("a start finds more replays of dead letters than a shard begins");
    for (uint32_t i = 0; i < letters->replay_end; i++)
        if (is_running(&letters->replays[i]))
            go_on(&letters->replays[i]);
}

/* Those whose end was kept, but for what is being written just now. */
static void drop_forgotten(struct dead_letters *letters)
{
    for (uint32_t i = 0; i < letters->replay_end; i++) {
        struct dead_replay *replay = &letters->replays[i];

        if (replay->is_used && replay->is_forgotten && !replay->is_writing)
            replay->is_used = false;
    }
}

void dead_replays_old_logs_gone(struct dead_letters *letters)
{
    letters->old_logs_gone = true;
    drop_forgotten(letters);
}

/* Writes what is left in the segments again; answers when nothing is. */
static void carry_on(struct dead_letters *letters)
{
    bool is_done = true;

    if (letters->carry_seq == 0)
        return;
    if (letters->old_logs_gone)
        drop_forgotten(letters);
    for (uint32_t i = 0; i < letters->replay_end; i++) {
        struct dead_replay *replay = &letters->replays[i];

        if (!replay->is_used || replay->location.bits == 0 ||
            journal_location_log(replay->location) != letters->carry_log ||
            journal_location_seq(replay->location) > letters->carry_seq)
            continue;
        is_done = false;
        if (!replay->is_writing && !write_replay(replay))
            return; /* the journal has stopped: nobody waits for an answer */
    }
    if (!is_done)
        return;
    letters->carry_seq = 0;
    durable_carried(&letters->durable);
}

static void carry(struct durable *self, uint32_t log, uint64_t seq)
{
    struct dead_letters *letters = container_of(self, struct dead_letters, durable);

    letters->carry_log = log;
    letters->carry_seq = seq;
    carry_on(letters);
}

static uint64_t live_bytes(struct durable *self)
{
    const struct dead_letters *letters = container_of(self, struct dead_letters, durable);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < letters->replay_end; i++)
        if (letters->replays[i].is_used)
            sum += letters->replays[i].size;
    return sum;
}

const struct durable_type durable_replay_type = {
    .name = "replays",
    .record_first = RECORD_REPLAY,
    .record_last = RECORD_REPLAY,
    .version_max = REPLAY_RECORD_VERSION,
    .apply = apply,
    .resume = resume,
    .carry_up_to = carry,
    .live_bytes = live_bytes,
};

void dead_replays_start(struct dead_letters *letters)
{
    if (letters->is_resumed) /* before that recovery's thread has the replays */
        init_timers(letters);
}

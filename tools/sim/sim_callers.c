#include "tools/sim/sim_callers.h"

#include <arpa/inet.h>

#include "runtime/io_sim.h"
#include "tools/sim/sim_server.h"

/*
 * An order is never sent a second time, for nobody could tell the two; a schedule is, since
 * its name says which it is. Schedules need the scope admin, so they are the second project's.
 */
enum {
    PICK_COUNT_MAX = 12,
    SETTLE_REST_MS = 1000,
    QUEUE_STATE_COUNT = 4, /* in which a job is alive */
};

static const uint64_t RETRY_AFTER_NS = 1000000000;

static void on_done(struct sim_http_request *request);
static void on_rest_over(struct sim_event *event);

static uint32_t draw(const struct sim_callers *callers, uint32_t below)
{
    return (uint32_t)rng_below(&callers->world->rng, below);
}

NORETURN static void fail(const struct sim_caller *caller, uint32_t order, const char *why)
{
    uint32_t number = order == SIM_JOB_NONE ? SIM_NO_NUMBER : sim_call_number(order);
    char text[80];

    sim_answer_describe(&caller->request, text, sizeof(text));
    sim_story_fail(caller->callers->story, number, "caller %u is told %s: %s", caller->index, text,
                   why);
}

static void check(const struct sim_caller *caller, uint32_t order, const char *why)
{
    if (why != NULL)
        fail(caller, order, why);
}

/* --- machines and clients ---------------------------------------------------------- */

void sim_callers_init(struct sim_callers *callers, const struct sim_callers_spec *spec,
                      struct sim_driver *driver, struct sim_story *story,
                      struct sim_call_model *model, const struct sim_keys *keys)
{
    int r;

    assert(spec->caller_count <= SIM_CALLER_COUNT_MAX);
    memset(callers, 0, sizeof(*callers));
    callers->spec = *spec;
    callers->world = driver->world;
    callers->driver = driver;
    callers->story = story;
    callers->model = model;
    callers->keys = keys;
    if (spec->caller_count == 0)
        return;
    sim_call_peer_init(&callers->peer, driver, story, model);
    callers->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(SIM_SERVER_PORT)};
    callers->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    callers->host = sim_host_new(callers->world, "callers");
    r = io_sim_new(callers->host, &callers->io);
    assert(r == 0);
    sim_driver_add_io(driver, callers->io);
    for (uint32_t i = 0; i < spec->caller_count; i++) {
        struct sim_caller *caller = &callers->callers[i];

        caller->callers = callers;
        caller->index = i;
        caller->rest_over.on_due = on_rest_over;
        caller->request.on_done = on_done;
        sim_http_client_init(&caller->http, callers->world, callers->io,
                             (struct sockaddr *)&callers->address, sizeof(callers->address));
    }
}

void sim_callers_deinit(struct sim_callers *callers)
{
    if (callers->spec.caller_count == 0)
        return;
    sim_driver_remove_io(callers->driver, callers->io);
    io_free(&callers->io);
    for (uint32_t i = 0; i < callers->spec.caller_count; i++) {
        sim_http_client_deinit(&callers->callers[i].http);
        sim_world_unschedule(callers->world, &callers->callers[i].rest_over);
    }
    sim_call_peer_deinit(&callers->peer);
}

/* --- sending ---------------------------------------------------------------------- */

static bool has_second_tenant(const struct sim_callers *callers)
{
    return callers->keys->keys[0].state == SIM_KEY_LIVE;
}

static const char *key_of(const struct sim_callers *callers, uint32_t tenant)
{
    return tenant == 0 ? SIM_SERVER_DEMO_KEY : callers->keys->keys[0].secret;
}

static void send_request(struct sim_caller *caller, const char *method, const char *path,
                         const char *key)
{
    int size = snprintf(caller->data, sizeof(caller->data),
                        "%s %s HTTP/1.1\r\nhost: sim\r\nx-api-key: %s\r\ncontent-type: "
                        "application/json\r\ncontent-length: %zu\r\n\r\n%s",
                        method, path, key, strlen(caller->body), caller->body);

    assert(size < (int)sizeof(caller->data));
    caller->request.data = caller->data;
    caller->request.size = (uint32_t)size;
    caller->is_asking = true;
    caller->asked_ns = caller->callers->world->mono_ns;
    caller->callers->request_count++;
    sim_http_client_submit(&caller->http, &caller->request);
}

/* Asks about one job; no body. */
static void send_about(struct sim_caller *caller, enum sim_caller_asks asks, uint32_t call,
                       const char *method, const char *what)
{
    struct sim_callers *callers = caller->callers;
    const struct sim_call_job *it = &callers->model->calls[call];
    char path[96];

    caller->asks = asks;
    caller->call = call;
    caller->order = it->order;
    caller->body[0] = '\0';
    snprintf(path, sizeof(path), "/v1/jobs/%s%s", it->id, what);
    sim_story_tell(callers->story, sim_call_number(it->order), 1, "caller %u: %s %s%s",
                   caller->index, method, it->id, what);
    send_request(caller, method, path,
                 key_of(callers, callers->model->orders[it->order].spec.tenant));
}

static void write_payload(const struct sim_callers *callers, uint32_t order, char *text,
                          size_t size)
{
    const struct sim_call_spec *spec = &callers->model->orders[order].spec;

    snprintf(text, size,
             "\"kind\":\"http.request\",\"max_attempts\":%u,\"payload\":{\"url\":"
             "\"http://%s/call/%u\",\"timeout_ms\":%u,\"body\":{\"n\":%u}}",
             spec->max_attempts, sim_call_host(spec->destination), order, spec->timeout_ms, order);
}

static void send_order(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;
    const struct sim_call_spec *spec = &callers->model->orders[caller->order].spec;
    char payload[SIM_CALLER_BODY_SIZE_MAX - 64], path[48];

    write_payload(callers, caller->order, payload, sizeof(payload));
    sim_call_send(callers->model, caller->order);
    sim_story_tell(callers->story, sim_call_number(caller->order), 1,
                   "caller %u orders %s %u: project %u, to %s, %u attempts of %u ms", caller->index,
                   spec->is_schedule ? "a call each minute," : "call", caller->order, spec->tenant,
                   sim_call_host(spec->destination), spec->max_attempts, spec->timeout_ms);
    if (!spec->is_schedule) {
        caller->asks = SIM_CALLER_ASK_ORDER;
        snprintf(caller->body, sizeof(caller->body), "{%s}", payload);
        send_request(caller, "POST", "/v1/jobs", key_of(callers, spec->tenant));
        return;
    }
    caller->asks = SIM_CALLER_ASK_SCHEDULE;
    snprintf(caller->body, sizeof(caller->body), "{\"cron\":\"* * * * *\",%s}", payload);
    snprintf(path, sizeof(path), "/v1/schedules/s%u", caller->order);
    send_request(caller, "PUT", path, key_of(callers, spec->tenant));
}

/* --- what to ask ------------------------------------------------------------------- */

static bool is_full(const struct sim_callers *callers)
{
    return callers->model->order_count >= callers->spec.order_count_max;
}

static void ask_order(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;
    bool may_schedule = callers->schedule_count < callers->spec.schedule_count_max;
    struct sim_call_spec spec = {
        .tenant = has_second_tenant(callers) && sim_world_coin(callers->world),
        .destination = (uint8_t)draw(callers, SIM_CALL_DESTINATION_COUNT),
        .max_attempts = (uint8_t)(1 + draw(callers, 5)),
        .timeout_ms = 200 + draw(callers, callers->spec.timeout_ms_max),
    };

    if (spec.tenant == 1 && may_schedule && draw(callers, 20) == 0) {
        spec.is_schedule = true;
        callers->schedule_count++;
    }
    caller->order = sim_call_add(callers->model, &spec);
    send_order(caller);
}

/* A call by chance; SIM_JOB_NONE when there is none. */
static uint32_t pick_call(const struct sim_callers *callers, bool wants_dead)
{
    for (uint32_t i = 0; i < PICK_COUNT_MAX && callers->model->call_count > 0; i++) {
        uint32_t call = draw(callers, callers->model->call_count);

        if (!wants_dead || callers->model->calls[call].end == SIM_JOB_DEAD)
            return call;
    }
    return SIM_JOB_NONE;
}

static void ask_letters(struct sim_caller *caller)
{
    caller->asks = SIM_CALLER_ASK_LETTERS;
    caller->body[0] = '\0';
    sim_story_tell(caller->callers->story, SIM_NO_NUMBER, 0, "caller %u reads dead letters",
                   caller->index);
    send_request(caller, "GET",
                 draw(caller->callers, 2) == 0
                     ? "/v1/admin/dlq?limit=5"
                     : "/v1/admin/dlq?limit=100&origin=job:http.request&reason=not_retryable",
                 SIM_SERVER_ADMIN_TOKEN);
}

static void ask_replay(struct sim_caller *caller, uint32_t call)
{
    struct sim_callers *callers = caller->callers;
    const struct sim_call_job *it = &callers->model->calls[call];

    caller->asks = SIM_CALLER_ASK_REPLAY;
    caller->call = call;
    caller->order = it->order;
    sim_call_replay(callers->model, call);
    sim_story_tell(callers->story, sim_call_number(it->order), 1, "caller %u has %s replayed",
                   caller->index, it->id);
    snprintf(caller->body, sizeof(caller->body), "{\"ids\":[\"%s\"],\"rate\":%u}", it->id,
             1 + draw(callers, 100));
    send_request(caller, "POST", "/v1/admin/dlq/replay", SIM_SERVER_ADMIN_TOKEN);
}

static void ask_replay_look(struct sim_caller *caller, uint32_t replay)
{
    char path[96];

    caller->asks = SIM_CALLER_ASK_REPLAY_LOOK;
    caller->replay = replay;
    caller->body[0] = '\0';
    snprintf(path, sizeof(path), "/v1/admin/dlq/replays/%s", caller->callers->replays[replay].id);
    send_request(caller, "GET", path, SIM_SERVER_ADMIN_TOKEN);
}

static void ask_busy(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;
    uint32_t drawn = draw(callers, 100), call = pick_call(callers, false), dead;

    if (call != SIM_JOB_NONE && drawn < callers->spec.replay_percent &&
        callers->replay_count < SIM_CALLER_REPLAY_COUNT_MAX - SIM_CALLER_COUNT_MAX) {
        dead = pick_call(callers, true);
        if (dead != SIM_JOB_NONE)
            ask_replay(caller, dead);
        else
            ask_letters(caller);
        return;
    }
    if (call != SIM_JOB_NONE && (drawn < 40 || is_full(callers))) {
        if (draw(callers, 100) < callers->spec.cancel_percent) {
            sim_call_cancel(callers->model, call);
            send_about(caller, SIM_CALLER_ASK_CANCEL, call, "POST", "/cancel");
        } else {
            send_about(caller, SIM_CALLER_ASK_LOOK, call, "GET", "");
        }
        return;
    }
    if (!is_full(callers))
        ask_order(caller);
    else
        ask_letters(caller);
}

/* --- the end ----------------------------------------------------------------------- */

static void ask_letter(struct sim_caller *caller, uint32_t call)
{
    const struct sim_callers *callers = caller->callers;
    const struct sim_call_job *it = &callers->model->calls[call];
    char path[96];

    caller->asks = SIM_CALLER_ASK_LETTER;
    caller->call = call;
    caller->order = it->order;
    caller->body[0] = '\0';
    snprintf(path, sizeof(path), "/v1/admin/dlq/%s", it->id);
    send_request(caller, "GET", path, SIM_SERVER_ADMIN_TOKEN);
}

static void ask_queue(struct sim_caller *caller)
{
    const struct sim_callers *callers = caller->callers;

    caller->asks = SIM_CALLER_ASK_QUEUE;
    caller->tenant = has_second_tenant(callers) && callers->empty_count % 2 == 1;
    caller->body[0] = '\0';
    send_request(caller, "GET", "/v1/queues/http.request", key_of(callers, caller->tenant));
}

static void ask_unschedule(struct sim_caller *caller)
{
    const struct sim_callers *callers = caller->callers;
    char path[48];

    caller->asks = SIM_CALLER_ASK_UNSCHEDULE;
    caller->order = callers->cursor;
    caller->body[0] = '\0';
    snprintf(path, sizeof(path), "/v1/schedules/s%u", caller->order);
    sim_story_tell(callers->story, sim_call_number(caller->order), 1, "caller %u deletes %s",
                   caller->index, path);
    send_request(caller, "DELETE", path,
                 key_of(callers, callers->model->orders[caller->order].spec.tenant));
}

static void ask_schedule(struct sim_caller *caller)
{
    const struct sim_callers *callers = caller->callers;
    char path[48];

    caller->asks = SIM_CALLER_ASK_SCHEDULE_LOOK;
    caller->order = callers->cursor;
    caller->body[0] = '\0';
    snprintf(path, sizeof(path), "/v1/schedules/s%u", caller->order);
    send_request(caller, "GET", path,
                 key_of(callers, callers->model->orders[caller->order].spec.tenant));
}

/* A schedule that was accepted must have made a job before it goes. */
static bool stop_next_schedule(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;

    for (; callers->cursor < callers->model->order_count; callers->cursor++) {
        const struct sim_call_order *order = &callers->model->orders[callers->cursor];

        if (!order->spec.is_schedule || order->refused_count == order->send_count)
            continue;
        if (order->is_accepted && order->call_count == 0)
            ask_schedule(caller); /* and waits */
        else
            ask_unschedule(caller);
        return true;
    }
    return false;
}

static void enter(struct sim_callers *callers, enum sim_callers_stage stage)
{
    callers->stage = stage;
    callers->cursor = 0;
    callers->empty_count = 0;
}

static void finish(struct sim_callers *callers)
{
    for (uint32_t i = 0; i < callers->model->order_count; i++) {
        const char *why = sim_call_settled(callers->model, i);

        if (why != NULL)
            sim_story_fail(callers->story, sim_call_number(i), "order %u: %s", i, why);
    }
    enter(callers, SIM_CALLERS_SETTLED);
}

/* Asks a letter that was to be replayed as which job it was. False: all have been asked. */
static bool follow_next_letter(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;

    for (; callers->cursor < callers->model->call_count; callers->cursor++)
        if (callers->model->calls[callers->cursor].is_replaying) {
            ask_letter(caller, callers->cursor);
            return true;
        }
    return false;
}

/* The first call, from a place by chance, that nobody has seen end; or SIM_JOB_NONE. */
static uint32_t pick_live(const struct sim_callers *callers)
{
    uint32_t count = callers->model->call_count, begin = count > 0 ? draw(callers, count) : 0;

    for (uint32_t i = 0; i < count; i++)
        if (callers->model->calls[(begin + i) % count].end == SIM_JOB_LIVE)
            return (begin + i) % count;
    return SIM_JOB_NONE;
}

/* False: nothing is live any more. */
static bool drain(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;
    uint32_t call = pick_live(callers);

    if (callers->empty_count >= 2 * SIM_JOB_TENANT_COUNT)
        return false;
    if (call != SIM_JOB_NONE && sim_world_coin(callers->world))
        send_about(caller, SIM_CALLER_ASK_LOOK, call, "GET", "");
    else
        ask_queue(caller);
    return true;
}

/* True while somebody has yet to be told what became of a schedule of his. */
static bool is_scheduling(const struct sim_callers *callers)
{
    for (uint32_t i = 0; i < callers->spec.caller_count; i++)
        if (callers->callers[i].asks == SIM_CALLER_ASK_SCHEDULE)
            return true;
    return false;
}

static void ask_settling(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;

    if (is_scheduling(callers)) {
        ask_queue(caller); /* who deletes a schedule before it is there would find it later */
        return;
    }
    if (callers->stage == SIM_CALLERS_STOPPING) {
        if (stop_next_schedule(caller))
            return;
        enter(callers, SIM_CALLERS_REPLAYING);
    }
    if (callers->stage == SIM_CALLERS_REPLAYING) {
        if (callers->cursor < callers->replay_count) {
            ask_replay_look(caller, callers->cursor);
            return;
        }
        enter(callers, SIM_CALLERS_FOLLOWING);
    }
    if (callers->stage == SIM_CALLERS_FOLLOWING) {
        if (follow_next_letter(caller))
            return;
        enter(callers, SIM_CALLERS_DRAINING);
    }
    if (callers->stage == SIM_CALLERS_DRAINING) {
        if (drain(caller))
            return;
        enter(callers, SIM_CALLERS_LOOKING);
    }
    if (callers->cursor < callers->model->call_count)
        send_about(caller, SIM_CALLER_ASK_LOOK, callers->cursor, "GET", "");
    else
        finish(callers);
}

void sim_callers_settle(struct sim_callers *callers)
{
    assert(callers->stage == SIM_CALLERS_BUSY);
    callers->is_paused = false;
    callers->peer.is_calm = true;
    enter(callers, callers->spec.caller_count > 0 ? SIM_CALLERS_STOPPING : SIM_CALLERS_SETTLED);
}

/* --- answers ------------------------------------------------------------------------ */

static bool is_passing(enum sim_reply reply)
{
    return reply == SIM_REPLY_LOST || reply == SIM_REPLY_UNAVAILABLE || reply == SIM_REPLY_UNKNOWN;
}

static bool is_text(struct slice value, const char *text)
{
    return slice_equal(value, slice_of(text));
}

/* True when it is to be sent again. */
static bool judge_order(struct sim_caller *caller, enum sim_reply reply)
{
    struct sim_callers *callers = caller->callers;
    bool is_schedule = caller->asks == SIM_CALLER_ASK_SCHEDULE;
    uint32_t offset = 0;

    if (reply == SIM_REPLY_ACCEPTED) {
        callers->accepted_count++;
        check(caller, caller->order,
              sim_call_accepted(callers->model, caller->order,
                                sim_answer_value(&caller->request, "id", &offset)));
        return false;
    }
    if (!is_passing(reply))
        fail(caller, caller->order, "this is no answer to a sound order");
    if (reply == SIM_REPLY_UNAVAILABLE)
        sim_call_refused(callers->model, caller->order);
    else
        callers->unknown_count++;
    return is_schedule && callers->stage == SIM_CALLERS_BUSY;
}

static void read_look(const struct sim_caller *caller, struct sim_call_look *ret_look)
{
    const struct sim_http_request *answer = &caller->request;
    uint32_t at[5] = {0};
    struct slice state = sim_answer_value(answer, "state", &at[0]);

    *ret_look = (struct sim_call_look){
        .attempt = (uint32_t)sim_answer_number(answer, "attempt", &at[1], 0),
        .max_attempts = (uint32_t)sim_answer_number(answer, "max_attempts", &at[2], 0),
        .status = (uint32_t)sim_answer_number(answer, "status", &at[3], 0),
        .reason = sim_answer_value(answer, "dead_reason", &at[4]),
        .asked_ns = caller->asked_ns,
    };
    if (is_text(state, "completed"))
        ret_look->end = SIM_JOB_COMPLETED;
    else if (is_text(state, "dead"))
        ret_look->end = SIM_JOB_DEAD;
    else if (is_text(state, "cancelled"))
        ret_look->end = SIM_JOB_CANCELLED;
    else if (!is_text(state, "scheduled") && !is_text(state, "queued") && !is_text(state, "leased"))
        fail(caller, caller->order, "a job without a state");
}

static void judge_look(struct sim_caller *caller, enum sim_reply reply)
{
    struct sim_callers *callers = caller->callers;
    bool is_last = callers->stage == SIM_CALLERS_LOOKING;
    struct sim_call_look look;
    struct slice run_at;
    uint32_t offset = 0;

    if (is_passing(reply))
        return;
    callers->cursor += is_last;
    if (reply == SIM_REPLY_NOT_FOUND) {
        check(caller, caller->order, sim_call_called_unknown(callers->model, caller->call));
        return;
    }
    if (reply != SIM_REPLY_ACCEPTED)
        fail(caller, caller->order, "this is no answer to who looks at a job");
    read_look(caller, &look);
    run_at = sim_answer_value(&caller->request, "run_at", &offset);
    sim_story_tell(callers->story, sim_call_number(caller->order), 1,
                   "its end is %u, attempt %u of %u, status %u, reason \"%.*s\", run at %.*s",
                   look.end, look.attempt, look.max_attempts, look.status, (int)look.reason.size,
                   look.reason.size > 0 ? look.reason.data : "", (int)run_at.size,
                   run_at.size > 0 ? run_at.data : "");
    check(caller, caller->order, sim_call_looked(callers->model, caller->call, &look));
    if (is_last && look.end == SIM_JOB_LIVE)
        fail(caller, caller->order, "a call has not come to its end");
}

static void judge_replay(struct sim_caller *caller, enum sim_reply reply)
{
    struct sim_callers *callers = caller->callers;
    struct sim_caller_replay *replay = &callers->replays[callers->replay_count];
    uint32_t offset = 0;
    struct slice id = sim_answer_value(&caller->request, "id", &offset);

    if (is_passing(reply) || reply == SIM_REPLY_CONFLICT)
        return;
    if (reply != SIM_REPLY_ACCEPTED || id.size != SIM_JOB_ID_SIZE)
        fail(caller, caller->order, "this is no answer to who wants a letter replayed");
    replay->call = caller->call;
    memcpy(replay->id, id.data, id.size);
    replay->id[id.size] = '\0';
    callers->replay_count++;
}

static void judge_replay_look(struct sim_caller *caller, enum sim_reply reply)
{
    struct sim_callers *callers = caller->callers;
    const struct sim_caller_replay *replay = &callers->replays[caller->replay];
    uint32_t order = callers->model->calls[replay->call].order, offset = 0;
    uint64_t done;

    if (is_passing(reply))
        return;
    if (reply == SIM_REPLY_NOT_FOUND) {
        callers->cursor++; /* only the latest are remembered */
        return;
    }
    if (reply != SIM_REPLY_ACCEPTED)
        fail(caller, order, "this is no answer to who looks at a replay");
    if (!sim_answer_has(&caller->request, "\"state\":\"completed\""))
        return;
    callers->cursor++;
    callers->replay_total++;
    done = sim_answer_number(&caller->request, "done", &offset, 0);
    sim_story_tell(callers->story, sim_call_number(order), 1,
                   "the replay %s of %s is over: %llu done", replay->id,
                   callers->model->calls[replay->call].id, (unsigned long long)done);
    if (done > 0)
        sim_call_replayed(callers->model, replay->call);
}

static void judge_letter(struct sim_caller *caller, enum sim_reply reply)
{
    struct sim_callers *callers = caller->callers;
    uint32_t offset = 0;
    struct slice id = sim_answer_value(&caller->request, "replayed_as", &offset);

    if (is_passing(reply))
        return;
    if (reply != SIM_REPLY_ACCEPTED && reply != SIM_REPLY_NOT_FOUND)
        fail(caller, caller->order, "this is no answer to who reads a dead letter");
    callers->cursor++;
    sim_story_tell(callers->story, sim_call_number(caller->order), 1,
                   "the letter %s was replayed as %.*s", callers->model->calls[caller->call].id,
                   id.size > 0 ? (int)id.size : 7, id.size > 0 ? id.data : "nothing");
    check(caller, caller->order, sim_call_replayed_as(callers->model, caller->call, id));
}

static void judge_schedule(struct sim_caller *caller, enum sim_reply reply)
{
    const struct sim_http_request *answer = &caller->request;
    uint32_t at[3] = {0};
    struct slice next = sim_answer_value(answer, "next_at", &at[0]);
    struct slice last = sim_answer_value(answer, "last_at", &at[1]);
    struct slice error = sim_answer_value(answer, "error", &at[2]);

    if (reply != SIM_REPLY_ACCEPTED && !is_passing(reply))
        fail(caller, caller->order, "this is no answer to who looks at a schedule");
    sim_story_tell(caller->callers->story, sim_call_number(caller->order), 1,
                   "the schedule is due at %.*s, was at %.*s, error %.*s", (int)next.size,
                   next.data, (int)last.size, last.data, (int)error.size, error.data);
}

static void judge_queue(struct sim_caller *caller, enum sim_reply reply)
{
    static const char *const states[QUEUE_STATE_COUNT] = {"scheduled", "waiting", "queued",
                                                          "leased"};
    struct sim_callers *callers = caller->callers;
    uint64_t live = 0;

    if (is_passing(reply))
        return;
    if (reply != SIM_REPLY_ACCEPTED && reply != SIM_REPLY_NOT_FOUND)
        fail(caller, SIM_JOB_NONE, "this is no answer to who looks at a queue");
    for (uint32_t i = 0; i < QUEUE_STATE_COUNT && reply == SIM_REPLY_ACCEPTED; i++) {
        uint32_t offset = 0;
        uint64_t count = sim_answer_number(&caller->request, states[i], &offset, 0);

        if (count > 0)
            sim_story_tell(callers->story, SIM_NO_NUMBER, 0, "calls of project %u: %llu %s",
                           caller->tenant, (unsigned long long)count, states[i]);
        live += count;
    }
    callers->empty_count = live == 0 ? callers->empty_count + 1 : 0;
}

/* True when the same is to be asked again. */
static bool judge(struct sim_caller *caller)
{
    enum sim_reply reply = sim_answer_reply(&caller->request);

    switch (caller->asks) {
    case SIM_CALLER_ASK_ORDER:
    case SIM_CALLER_ASK_SCHEDULE:
        return judge_order(caller, reply);
    case SIM_CALLER_ASK_UNSCHEDULE:
        if (reply == SIM_REPLY_ACCEPTED || reply == SIM_REPLY_NOT_FOUND)
            caller->callers->cursor++;
        else if (!is_passing(reply))
            fail(caller, caller->order, "this is no answer to who deletes a schedule");
        return false;
    case SIM_CALLER_ASK_SCHEDULE_LOOK:
        judge_schedule(caller, reply);
        return false;
    case SIM_CALLER_ASK_LOOK:
        judge_look(caller, reply);
        return false;
    case SIM_CALLER_ASK_CANCEL:
        if (reply == SIM_REPLY_NOT_FOUND)
            check(caller, caller->order,
                  sim_call_called_unknown(caller->callers->model, caller->call));
        return false;
    case SIM_CALLER_ASK_LETTERS:
        if (reply != SIM_REPLY_ACCEPTED && !is_passing(reply))
            fail(caller, SIM_JOB_NONE, "this is no answer to who reads dead letters");
        return false;
    case SIM_CALLER_ASK_LETTER:
        judge_letter(caller, reply);
        return false;
    case SIM_CALLER_ASK_REPLAY:
        judge_replay(caller, reply);
        return false;
    case SIM_CALLER_ASK_REPLAY_LOOK:
        judge_replay_look(caller, reply);
        return false;
    case SIM_CALLER_ASK_QUEUE:
        judge_queue(caller, reply);
        return false;
    case SIM_CALLER_ASK_NOTHING:
        break;
    }
    fail(caller, SIM_JOB_NONE, "nothing was asked");
}

static void ask_new(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;

    caller->is_asking = false;
    caller->asks = SIM_CALLER_ASK_NOTHING;
    if (callers->is_paused || callers->stage == SIM_CALLERS_SETTLED)
        return;
    callers->model->now_ns = callers->world->mono_ns;
    if (draw(callers, callers->spec.drop_odds) == 0)
        sim_http_client_drop(&caller->http);
    if (callers->stage == SIM_CALLERS_BUSY)
        ask_busy(caller);
    else if (caller->index == 0)
        ask_settling(caller);
}

static void rest(struct sim_caller *caller)
{
    struct sim_callers *callers = caller->callers;
    uint64_t rest_ns = sim_range_draw(&callers->spec.rest_ns, &callers->world->rng);
    bool is_refused =
        !caller->request.lost && (caller->request.status == 429 || caller->request.status == 503);

    if (is_refused)
        rest_ns += RETRY_AFTER_NS;
    if (callers->stage == SIM_CALLERS_FOLLOWING || callers->stage == SIM_CALLERS_LOOKING)
        rest_ns = callers->spec.rest_ns.min;
    else if (callers->stage != SIM_CALLERS_BUSY)
        rest_ns += (uint64_t)SETTLE_REST_MS * 1000000;
    sim_world_schedule(callers->world, &caller->rest_over, rest_ns);
}

static void on_done(struct sim_http_request *request)
{
    struct sim_caller *caller = container_of(request, struct sim_caller, request);
    struct sim_callers *callers = caller->callers;
    bool is_about_one = caller->asks != SIM_CALLER_ASK_LETTERS &&
                        caller->asks != SIM_CALLER_ASK_QUEUE &&
                        caller->asks != SIM_CALLER_ASK_REPLAY_LOOK;
    char text[80];

    callers->model->now_ns = callers->world->mono_ns;
    sim_answer_describe(request, text, sizeof(text));
    sim_story_tell(callers->story, is_about_one ? sim_call_number(caller->order) : SIM_NO_NUMBER,
                   is_about_one, "caller %u is told %s %.*s", caller->index, text,
                   request->lost ? 0 : (int)min_u64(request->body_size, 120), request->body);
    if (!judge(caller))
        caller->asks = SIM_CALLER_ASK_NOTHING;
    rest(caller);
}

static void on_rest_over(struct sim_event *event)
{
    struct sim_caller *caller = container_of(event, struct sim_caller, rest_over);

    if (caller->asks == SIM_CALLER_ASK_NOTHING)
        ask_new(caller);
    else
        send_order(caller);
}

void sim_callers_start(struct sim_callers *callers)
{
    callers->is_paused = false;
    for (uint32_t i = 0; i < callers->spec.caller_count; i++)
        if (!callers->callers[i].is_asking)
            ask_new(&callers->callers[i]);
}

bool sim_callers_are_quiet(const struct sim_callers *callers)
{
    for (uint32_t i = 0; i < callers->spec.caller_count; i++)
        if (callers->callers[i].is_asking)
            return false;
    return true;
}

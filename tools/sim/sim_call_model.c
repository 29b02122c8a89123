#include "tools/sim/sim_call_model.h"

/*
 * As in sim_model.c nothing is clever: each rule stands next to the sentence it enforces.
 *
 * The breaker of http.request: five failures in a row open it for half a minute, then one
 * probe goes out at a time. Seen from the peer, some more may be under way when it opens,
 * and a call on a connection that was kept may come twice for one failure.
 */
enum {
    CALLS_AT_A_TIME = 16, /* to one destination, of one project */
    FAILURES_TO_OPEN = 5,
    STRAYS_MAX = 2 * (CALLS_AT_A_TIME + FAILURES_TO_OPEN) + 4,
    CRASHES_TO_BLAME = 3,
};

static const uint64_t OPEN_NS = 29000000000; /* of the 30 s that are promised */
static const uint64_t MINUTE_NS = 60000000000;
static const uint64_t ON_THE_WAY_NS = 500000000; /* of a request in a network without delays */

void sim_call_model_init(struct sim_call_model *model)
{
    memset(model, 0, sizeof(*model));
}

static struct sim_call_order *order_at(struct sim_call_model *model, uint32_t order)
{
    assert(order < model->order_count);
    return &model->orders[order];
}

static struct sim_call_job *call_at(struct sim_call_model *model, uint32_t call)
{
    assert(call < model->call_count);
    return &model->calls[call];
}

struct sim_call_line *sim_call_line_of(struct sim_call_model *model, uint32_t order)
{
    const struct sim_call_spec *spec = &order_at(model, order)->spec;

    return &model->lines[spec->tenant * SIM_CALL_DESTINATION_COUNT + spec->destination];
}

uint32_t sim_call_find(const struct sim_call_model *model, struct slice id)
{
    for (uint32_t i = model->call_count; i-- > 0 && id.size == SIM_JOB_ID_SIZE;)
        if (memcmp(model->calls[i].id, id.data, SIM_JOB_ID_SIZE) == 0)
            return i;
    return SIM_JOB_NONE;
}

/* --- orders ---------------------------------------------------------------------- */

uint32_t sim_call_add(struct sim_call_model *model, const struct sim_call_spec *spec)
{
    assert(model->order_count < SIM_CALL_ORDER_COUNT_MAX);
    assert(spec->tenant < SIM_JOB_TENANT_COUNT);
    assert(spec->destination < SIM_CALL_DESTINATION_COUNT);
    model->orders[model->order_count] = (struct sim_call_order){.spec = *spec};
    return model->order_count++;
}

void sim_call_send(struct sim_call_model *model, uint32_t order)
{
    struct sim_call_order *it = order_at(model, order);

    if (it->send_count++ > 0)
        return;
    it->sent_ns = model->now_ns;
    it->sent_life = model->life;
}

void sim_call_refused(struct sim_call_model *model, uint32_t order)
{
    struct sim_call_order *it = order_at(model, order);

    assert(it->refused_count < it->send_count);
    it->refused_count++;
}

/* How many jobs may have been made of it by now. A world begins with a whole minute. */
static uint64_t calls_max(const struct sim_call_model *model, const struct sim_call_order *order)
{
    uint64_t count = 1;

    if (order->spec.is_schedule && model->clock_jumps)
        return UINT64_MAX;
    if (order->spec.is_schedule)
        count = model->now_ns / MINUTE_NS - order->sent_ns / MINUTE_NS;
    return count + order->replay_count;
}

/* A job that was not known before. */
static const char *add_call(struct sim_call_model *model, uint32_t order, struct slice id,
                            uint32_t *ret_call)
{
    struct sim_call_order *it = order_at(model, order);

    if (id.size != SIM_JOB_ID_SIZE)
        return "a job without an id";
    if (model->call_count == SIM_CALL_COUNT_MAX)
        return "more jobs are made than can have been asked for";
    *ret_call = model->call_count;
    model->calls[model->call_count] = (struct sim_call_job){.order = order};
    memcpy(model->calls[model->call_count++].id, id.data, SIM_JOB_ID_SIZE);
    it->call_count++;
    if (it->call_count <= calls_max(model, it))
        return NULL;
    if (it->spec.is_schedule)
        return "a schedule makes more jobs than there were minutes";
    return it->replay_count > 0 ? "a dead letter is replayed twice" : "a job is there twice";
}

const char *sim_call_accepted(struct sim_call_model *model, uint32_t order, struct slice id)
{
    uint32_t call = sim_call_find(model, id);

    order_at(model, order)->is_accepted = true;
    if (order_at(model, order)->spec.is_schedule)
        return NULL;
    if (call == SIM_JOB_NONE)
        return add_call(model, order, id, &call);
    return model->calls[call].order == order ? NULL : "a job has the id of another one";
}

/* --- looking --------------------------------------------------------------------- */

static const char *judge_dead(const struct sim_call_model *model, const struct sim_call_job *call,
                              const struct sim_call_look *look)
{
    const struct sim_call_order *order = &model->orders[call->order];

    if (slice_equal(look->reason, SLICE_LITERAL("attempts_exhausted")))
        return look->attempt == look->max_attempts ? NULL
                                                   : "a job is exhausted, and has attempts left";
    /* A shard that stands still renews no lease. */
    if (slice_equal(look->reason, SLICE_LITERAL("lease_expired")))
        return !model->is_exact && look->attempt == look->max_attempts
                   ? NULL
                   : "the lease of a call has run out";
    if (slice_equal(look->reason, SLICE_LITERAL("not_retryable")))
        return call->was_refused ? NULL : "a job is given up, and the peer never refused it";
    if (slice_equal(look->reason, SLICE_LITERAL("poison")))
        return model->life - order->sent_life >= CRASHES_TO_BLAME
                   ? NULL
                   : "a job is blamed for more crashes than there were";
    return "a job is dead without a reason";
}

const char *sim_call_looked(struct sim_call_model *model, uint32_t call,
                            const struct sim_call_look *look)
{
    struct sim_call_job *it = call_at(model, call);
    const struct sim_call_spec *spec = &order_at(model, it->order)->spec;
    const char *why = NULL;
    /* An answer that was long on its way may be older than the end that another one told. */
    bool may_differ =
        it->end == SIM_JOB_LIVE || (look->end == SIM_JOB_LIVE && look->asked_ns <= it->end_ns);

    if (it->is_replaying)
        return NULL; /* a letter that is replayed is gone, or remembered as cancelled */
    if (!may_differ && look->end != it->end && !model->forgets)
        return "a job that had ended is in another state now";
    if (spec->max_attempts != 0 && look->max_attempts != spec->max_attempts)
        return "a job has another number of attempts than was asked for";
    if (look->end == SIM_JOB_LIVE && look->attempt >= look->max_attempts && !model->dead_limit)
        return "a job goes on, and has no attempt left";
    if (look->attempt > look->max_attempts)
        return "a job was tried more often than was asked for";
    if (look->end == SIM_JOB_COMPLETED && !it->was_taken)
        return "a job is completed, and the peer never took it";
    if (look->end == SIM_JOB_COMPLETED && look->status != 200)
        return "a completed job does not say what the peer answered";
    if (look->end == SIM_JOB_CANCELLED && !it->cancel_asked && !model->forgets)
        return "a job is cancelled, and nobody asked for it";
    if (look->end == SIM_JOB_DEAD)
        why = judge_dead(model, it, look);
    if (look->end != SIM_JOB_LIVE && it->end == SIM_JOB_LIVE) {
        it->end = (uint8_t)look->end;
        it->end_ns = model->now_ns;
    }
    return why;
}

const char *sim_call_called_unknown(const struct sim_call_model *model, uint32_t call)
{
    assert(call < model->call_count);
    if (model->forgets || model->calls[call].is_replaying)
        return NULL;
    return "a job that is there is not found";
}

void sim_call_cancel(struct sim_call_model *model, uint32_t call)
{
    call_at(model, call)->cancel_asked = true;
    sim_call_line_of(model, call_at(model, call)->order)->cancel_count++;
}

void sim_call_replay(struct sim_call_model *model, uint32_t call)
{
    struct sim_call_job *it = call_at(model, call);

    if (!it->is_replaying)
        order_at(model, it->order)->replay_count++;
    it->is_replaying = true;
}

void sim_call_replayed(struct sim_call_model *model, uint32_t call)
{
    struct sim_call_job *it = call_at(model, call);

    /* After a start a letter that is not there any more counts as done, whoever did it. */
    if (it->was_replayed || model->forgets)
        return;
    it->was_replayed = true;
    order_at(model, it->order)->replayed_count++;
}

const char *sim_call_replayed_as(struct sim_call_model *model, uint32_t call, struct slice id)
{
    uint32_t made = sim_call_find(model, id), order = call_at(model, call)->order;
    const char *why = NULL;

    if (id.size == 0)
        return model->calls[call].was_replayed ? "a letter was replayed, and does not say as what"
                                               : NULL;
    if (made == SIM_JOB_NONE)
        why = add_call(model, order, id, &made);
    if (why != NULL)
        return why;
    if (model->calls[made].order != order)
        return "a letter was replayed as a job of another order";
    if (made == call || model->calls[made].is_replay)
        return "a letter was replayed as a job that was there already";
    model->calls[made].is_replay = true;
    return NULL;
}

/* --- arriving -------------------------------------------------------------------- */

/* The line of a process: what was before says nothing of its breaker. */
static void note_life(const struct sim_call_model *model, struct sim_call_line *line)
{
    if (line->life == model->life)
        return;
    line->life = model->life;
    line->since_ns = model->now_ns;
    line->arrival_count = 0;
    line->failed_count = 0;
    line->cancel_count = 0;
    line->open_ns = 0;
    line->out_count = 0;
}

/* True when the server cannot have given it up yet. */
static bool is_surely_out(const struct sim_call_model *model, const struct sim_call_out *out)
{
    const struct sim_call_order *order = &model->orders[model->calls[out->call].order];
    uint64_t timeout_ns = (uint64_t)order->spec.timeout_ms * 1000000;

    /* What comes soon after a start may have been sent by the process that is gone. */
    return model->is_exact && out->life == model->life &&
           out->ns > model->life_ns + ON_THE_WAY_NS &&
           model->now_ns + model->slack_ns < out->ns + timeout_ns &&
           !model->calls[out->call].cancel_asked;
}

static const char *judge_line(const struct sim_call_model *model, const struct sim_call_line *line,
                              uint32_t call)
{
    bool is_probe = line->open_ns != 0 && model->now_ns > line->open_ns + model->slack_ns;
    uint64_t probes_max = (model->now_ns - line->since_ns) / OPEN_NS + 1;

    for (uint32_t i = 0; i < line->out_count; i++) {
        if (!is_surely_out(model, &line->outs[i]))
            continue;
        if (line->outs[i].call == call)
            return "a job is carried out twice at a time";
        if (is_probe && line->outs[i].is_probe && line->cancel_count == 0)
            return "a breaker that must be open lets two calls out at a time";
    }
    if (model->is_exact && line->arrival_count > STRAYS_MAX + 2 * (probes_max + line->cancel_count))
        return "a peer that fails is called on and on";
    return NULL;
}

static void note_arrival(struct sim_call_model *model, struct sim_call_line *line, uint32_t call,
                         uint32_t connection)
{
    if (model->now_ns > line->since_ns + model->slack_ns)
        line->arrival_count++;
    if (line->out_count == SIM_CALL_OUT_COUNT_MAX)
        return; /* one rule less for this one */
    line->outs[line->out_count++] = (struct sim_call_out){
        .call = call,
        .connection = connection,
        .life = model->life,
        .ns = model->now_ns,
        .is_probe = line->open_ns != 0 && model->now_ns > line->open_ns + model->slack_ns,
    };
}

const char *sim_call_arrived(struct sim_call_model *model, uint32_t order, uint32_t destination,
                             struct slice id, uint32_t connection, uint32_t *ret_call)
{
    struct sim_call_line *line;
    const char *why = NULL;

    if (order >= model->order_count || model->orders[order].send_count == 0)
        return "a call arrives that nobody ordered";
    if (model->orders[order].refused_count == model->orders[order].send_count)
        return "a call arrives whose order was refused";
    if (model->orders[order].spec.destination != destination)
        return "a call arrives at another destination than its own";
    *ret_call = sim_call_find(model, id);
    if (*ret_call == SIM_JOB_NONE)
        why = add_call(model, order, id, ret_call);
    if (why != NULL)
        return why;
    if (model->calls[*ret_call].order != order)
        return "a call arrives with the id of another job";
    if (model->calls[*ret_call].end != SIM_JOB_LIVE &&
        model->now_ns > model->calls[*ret_call].end_ns + model->slack_ns)
        return "a call arrives whose job had ended";
    line = sim_call_line_of(model, order);
    note_life(model, line);
    why = judge_line(model, line, *ret_call);
    note_arrival(model, line, *ret_call, connection);
    return why;
}

/* The peer was well, or says so: the breaker may be closed. */
static void note_success(const struct sim_call_model *model, struct sim_call_line *line)
{
    line->since_ns = model->now_ns;
    line->arrival_count = 0;
    line->failed_count = 0;
    line->open_ns = 0;
}

static void note_failure(const struct sim_call_model *model, struct sim_call_line *line)
{
    if (model->now_ns <= line->since_ns + model->slack_ns)
        return; /* a success may still be under way */
    if (++line->failed_count == FAILURES_TO_OPEN)
        line->open_ns = model->now_ns;
}

void sim_call_answered(struct sim_call_model *model, uint32_t call, uint32_t connection,
                       enum sim_call_answer answer)
{
    struct sim_call_job *it = call_at(model, call);
    struct sim_call_line *line = sim_call_line_of(model, it->order);

    note_life(model, line);
    it->was_taken |= answer == SIM_CALL_GOOD;
    it->was_refused |= answer == SIM_CALL_NEVER;
    if (answer == SIM_CALL_GOOD || answer == SIM_CALL_NEVER || answer == SIM_CALL_WAITING)
        note_success(model, line);
    else if (answer != SIM_CALL_CLOSED && !it->cancel_asked)
        note_failure(model, line);
    for (uint32_t i = 0; i < line->out_count; i++) {
        if (line->outs[i].call != call || line->outs[i].connection != connection)
            continue;
        line->outs[i] = line->outs[--line->out_count];
        return;
    }
}

/* --- the end ---------------------------------------------------------------------- */

const char *sim_call_settled(const struct sim_call_model *model, uint32_t order)
{
    const struct sim_call_order *it = &model->orders[order];

    assert(order < model->order_count);
    if (!it->is_accepted)
        return NULL;
    if (it->call_count < 1 + it->replayed_count)
        return it->spec.is_schedule ? "a schedule has made no job, or a letter none that replays it"
                                    : "a letter was replayed, and no job came of it";
    return NULL;
}

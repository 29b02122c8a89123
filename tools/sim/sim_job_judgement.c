#include "tools/sim/sim_job_judgement.h"

#include "tools/sim/sim_job_check.h"
#include "tools/sim/sim_job_worker.h"

/*
 * A rule of the model is a reason to end the run; what follows here is which rule an answer
 * is a matter of. The jobs of an answer are told apart by their ids: an object begins where
 * {"id":" stands, and what its payload holds is known.
 */

NORETURN static void fail(const struct sim_job_client *client, uint32_t job, const char *why)
{
    char text[80];

    sim_answer_describe(&client->request, text, sizeof(text));
    if (job == SIM_JOB_NONE)
        sim_story_fail(client->crew->story, SIM_NO_NUMBER, "crew %u is told %s: %s", client->index,
                       text, why);
    sim_job_check_tell(client->crew, job);
    if (client->crew->model->other != SIM_JOB_NONE)
        sim_job_check_tell(client->crew, client->crew->model->other);
    if (client->crew->model->other != SIM_JOB_NONE)
        sim_story_fail(client->crew->story, sim_job_number(job),
                       "crew %u is told %s: %s (job %u after job %u)", client->index, text, why,
                       job, client->crew->model->other);
    sim_story_fail(client->crew->story, sim_job_number(job), "crew %u is told %s: %s (job %u)",
                   client->index, text, why, job);
}

static void check(const struct sim_job_client *client, uint32_t job, const char *why)
{
    if (why != NULL)
        fail(client, job, why);
}

static bool is_passing(enum sim_reply reply)
{
    return reply == SIM_REPLY_LOST || reply == SIM_REPLY_UNAVAILABLE || reply == SIM_REPLY_UNKNOWN;
}

static bool has_code(const struct sim_job_client *client, const char *code)
{
    uint32_t offset = 0;
    struct slice value = sim_answer_value(&client->request, "code", &offset);

    return value.size == strlen(code) && memcmp(value.data, code, value.size) == 0;
}

static bool is_text(struct slice value, const char *text)
{
    return value.size == strlen(text) && memcmp(value.data, text, value.size) == 0;
}

/* --- jobs that were made -------------------------------------------------------- */

static bool reads_true(const struct sim_http_request *answer, const char *member)
{
    char text[40];

    snprintf(text, sizeof(text), "\"%s\":true", member);
    return sim_answer_has(answer, text);
}

/* The n-th object of the answer, as an answer of its own; its body is empty when there is none. */
static struct sim_http_request take_object(const struct sim_http_request *answer, uint32_t n)
{
    static const char opening[] = "{\"id\":\"";
    struct sim_http_request object = {.status = answer->status};
    const char *at = answer->body, *end = answer->body + answer->body_size;

    for (uint32_t i = 0;; i++) {
        const char *next = memmem(at, (size_t)(end - at), opening, sizeof(opening) - 1);

        if (i > n) {
            object.body = at - 1;
            object.body_size = (uint32_t)((next != NULL ? next : end) - object.body);
            return object;
        }
        if (next == NULL)
            return object;
        at = next + 1;
    }
}

/* The n-th line of an answer to an enqueue: flows put a name, single ones the kind before the id.
 */
static struct sim_http_request take_line(const struct sim_job_client *client, uint32_t n)
{
    static const char closing[] = "}";
    const struct sim_http_request *answer = &client->request;
    struct sim_http_request line = {.status = answer->status, .body = answer->body};
    const char *end = answer->body + answer->body_size;

    for (uint32_t i = 0; i <= n; i++) {
        const char *next = memmem(line.body, (size_t)(end - line.body), closing, 1);

        if (next == NULL) {
            line.body_size = 0;
            return line;
        }
        line.body_size = (uint32_t)(next - line.body);
        if (i < n)
            line.body = next + 1;
    }
    return line;
}

static void judge_accepted(struct sim_job_client *client)
{
    struct sim_job_crew *crew = client->crew;

    for (uint32_t i = 0; i < client->count; i++) {
        struct sim_http_request line = take_line(client, i);
        uint32_t job = client->job + i, offset = 0;
        struct slice id = sim_answer_value(&line, "id", &offset);
        char name[24];

        snprintf(name, sizeof(name), "\"name\":\"n%u\"", job);
        if (client->form == SIM_JOB_FORM_FLOW && !sim_answer_has(&line, name))
            fail(client, job, "the jobs of a flow are answered in another order");
        check(client, job,
              sim_job_accepted(crew->model, job, id, reads_true(&line, "duplicate"), &client->ask));
        if (!reads_true(&line, "duplicate"))
            sim_job_check_is_durable(crew, job, id);
    }
    crew->accepted_count += client->count;
    crew->empty_count = 0; /* no queue is known to be empty */
}

/* Whether one of the jobs explains the refusal. */
static bool any_job(const struct sim_job_client *client,
                    bool (*may_be)(const struct sim_job_model *model, uint32_t job))
{
    for (uint32_t i = 0; i < client->count; i++)
        if (may_be(client->crew->model, client->job + i))
            return true;
    return false;
}

static bool any_queue(const struct sim_job_client *client,
                      bool (*may_be)(const struct sim_job_queue *queue, uint64_t tick))
{
    const struct sim_job_model *model = client->crew->model;

    for (uint32_t i = 0; i < client->count; i++)
        if (may_be(&model->queues[model->jobs[client->job + i].spec.queue], client->ask.tick))
            return true;
    return false;
}

static void refuse_all(const struct sim_job_client *client)
{
    for (uint32_t i = 0; i < client->count; i++)
        sim_job_refused(client->crew->model, client->job + i);
}

/* True when they have to be sent again. */
static bool judge_enqueue(struct sim_job_client *client, enum sim_reply reply)
{
    struct sim_job_crew *crew = client->crew;

    switch (reply) {
    case SIM_REPLY_ACCEPTED:
        judge_accepted(client);
        return false;
    case SIM_REPLY_LOST:
    case SIM_REPLY_UNKNOWN:
        crew->unknown_count++;
        for (uint32_t i = 0; i < client->count; i++)
            sim_job_unknown(crew->model, client->job + i);
        return client->repeats;
    case SIM_REPLY_IN_FLIGHT:
        if (!any_job(client, sim_job_may_be_in_flight))
            fail(client, client->job, "nothing of it can be in flight");
        refuse_all(client);
        return client->repeats;
    case SIM_REPLY_CONFLICT:
        if (!has_code(client, "idempotency_conflict") || !any_job(client, sim_job_may_conflict))
            fail(client, client->job, "nobody can have stored another body under this key");
        refuse_all(client);
        return false;
    case SIM_REPLY_UNAVAILABLE:
        if (has_code(client, "queue_full") && !any_queue(client, sim_job_queue_may_be_full))
            fail(client, client->job, "its queue has no bound");
        if (has_code(client, "queue_closed") && !any_queue(client, sim_job_queue_may_be_draining))
            fail(client, client->job, "its queue is open");
        refuse_all(client);
        /* While the operator rests, too, no limit is lifted. */
        return client->repeats && !(crew->is_paused && (has_code(client, "queue_full") ||
                                                        has_code(client, "queue_closed")));
    case SIM_REPLY_NOT_FOUND:
    case SIM_REPLY_UNAUTHORIZED:
    case SIM_REPLY_BAD:
    case SIM_REPLY_STRANGE:
        break;
    }
    fail(client, client->job, "this is no answer to sound jobs");
}

/* --- outcomes ---------------------------------------------------------------------- */

static enum sim_job_outcome outcome_of(const struct sim_job_client *client, struct slice status)
{
    if (is_text(status, "completed"))
        return SIM_JOB_OUTCOME_COMPLETED;
    if (is_text(status, "failed"))
        return SIM_JOB_OUTCOME_FAILED;
    if (is_text(status, "duplicate"))
        return SIM_JOB_OUTCOME_DUPLICATE;
    if (is_text(status, "stale_epoch"))
        return SIM_JOB_OUTCOME_STALE;
    if (is_text(status, "not_found"))
        return SIM_JOB_OUTCOME_NOT_FOUND;
    if (!is_text(status, "busy"))
        fail(client, SIM_JOB_NONE, "an outcome without a status");
    return SIM_JOB_OUTCOME_BUSY;
}

/* One outcome is known now: the model's word, and what the worker makes of it. */
static void conclude(struct sim_job_client *client, const struct sim_job_finish *finish,
                     enum sim_job_outcome outcome)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t job = crew->model->leases[finish->lease].job;

    check(client, job, sim_job_finished(crew->model, finish, outcome, &client->ask));
    switch (outcome) {
    case SIM_JOB_OUTCOME_COMPLETED:
    case SIM_JOB_OUTCOME_FAILED:
        crew->ended_count++;
        sim_job_check_outcome_is_durable(crew, finish);
        sim_job_let_go(client, finish->lease);
        return;
    case SIM_JOB_OUTCOME_DUPLICATE:
    case SIM_JOB_OUTCOME_STALE:
    case SIM_JOB_OUTCOME_NOT_FOUND:
        sim_job_let_go(client, finish->lease);
        return;
    case SIM_JOB_OUTCOME_UNKNOWN:
        crew->unknown_count++;
        return; /* and says it again, perhaps */
    case SIM_JOB_OUTCOME_BUSY:
    case SIM_JOB_OUTCOME_REFUSED:
        return;
    }
}

static void conclude_all(struct sim_job_client *client, enum sim_job_outcome outcome)
{
    for (uint32_t i = 0; i < client->finish_count; i++)
        conclude(client, &client->finishes[i], outcome);
}

/* The statuses in the objects from first on. */
static void judge_statuses(struct sim_job_client *client, uint32_t first)
{
    for (uint32_t i = 0; i < client->finish_count; i++) {
        struct sim_http_request object = take_object(&client->request, first + i);
        uint32_t job = client->crew->model->leases[client->finishes[i].lease].job, offset = 0;

        if (!is_text(sim_answer_value(&object, "id", &offset), client->crew->model->jobs[job].id))
            fail(client, job, "outcomes are answered in another order");
        conclude(client, &client->finishes[i],
                 outcome_of(client, sim_answer_value(&object, "status", &offset)));
    }
}

static void judge_finish_many(struct sim_job_client *client, enum sim_reply reply)
{
    if (reply == SIM_REPLY_ACCEPTED)
        judge_statuses(client, 0);
    else if (reply == SIM_REPLY_UNAVAILABLE)
        conclude_all(client, SIM_JOB_OUTCOME_REFUSED);
    else if (is_passing(reply))
        conclude_all(client, SIM_JOB_OUTCOME_UNKNOWN);
    else
        fail(client, SIM_JOB_NONE, "this is no answer to sound outcomes");
}

/* What a request about one job is told when it did not go well; never returns for what cannot be.
 */
static enum sim_job_outcome refusal_of(const struct sim_job_client *client, enum sim_reply reply)
{
    if (reply == SIM_REPLY_UNAVAILABLE)
        return SIM_JOB_OUTCOME_REFUSED;
    if (is_passing(reply))
        return SIM_JOB_OUTCOME_UNKNOWN;
    if (reply == SIM_REPLY_NOT_FOUND)
        return SIM_JOB_OUTCOME_NOT_FOUND;
    if (reply == SIM_REPLY_CONFLICT && has_code(client, "stale_epoch"))
        return SIM_JOB_OUTCOME_STALE;
    if (reply == SIM_REPLY_CONFLICT && has_code(client, "job_busy"))
        return SIM_JOB_OUTCOME_BUSY;
    fail(client, client->job, "this is no answer to a sound request about a job");
}

static void judge_finish(struct sim_job_client *client, enum sim_reply reply)
{
    const struct sim_job_finish *finish = &client->finishes[0];
    enum sim_job_outcome outcome = SIM_JOB_OUTCOME_COMPLETED;

    if (reply != SIM_REPLY_ACCEPTED)
        outcome = refusal_of(client, reply);
    else if (reads_true(&client->request, "duplicate"))
        outcome = SIM_JOB_OUTCOME_DUPLICATE;
    else if (finish->is_failure)
        outcome = SIM_JOB_OUTCOME_FAILED;
    conclude(client, finish, outcome);
}

static void judge_extend(struct sim_job_client *client, enum sim_reply reply)
{
    struct sim_job_model *model = client->crew->model;
    enum sim_job_outcome outcome;

    if (reply == SIM_REPLY_ACCEPTED) {
        check(client, client->job,
              sim_job_extended(model, client->lease, client->lease_s * 1000, &client->ask));
        return;
    }
    outcome = refusal_of(client, reply);
    if (outcome == SIM_JOB_OUTCOME_STALE)
        check(client, client->job, sim_job_called_stale(model, client->lease, false));
    if (outcome == SIM_JOB_OUTCOME_NOT_FOUND)
        check(client, client->job, sim_job_called_unknown(model, client->job));
}

static void judge_false(struct sim_job_client *client, enum sim_reply reply)
{
    if (reply == SIM_REPLY_ACCEPTED)
        fail(client, client->job, "a lease that there never was is taken for one");
    if (refusal_of(client, reply) == SIM_JOB_OUTCOME_NOT_FOUND)
        check(client, client->job, sim_job_called_unknown(client->crew->model, client->job));
}

/* --- leases --------------------------------------------------------------------------- */

/* True when the filler is what was sent, byte for byte. */
static bool has_own_filler(const struct sim_http_request *object, const struct sim_job_spec *spec,
                           uint32_t job)
{
    uint32_t offset = 0;
    struct slice filler = sim_answer_value(object, "filler", &offset);

    if (filler.data == NULL || filler.size != spec->filler_size)
        return false;
    for (uint32_t i = 0; i < filler.size; i++)
        if (filler.data[i] != sim_job_filler(job, i))
            return false;
    return true;
}

static void judge_leased(struct sim_job_client *client, const struct sim_http_request *object)
{
    struct sim_job_crew *crew = client->crew;
    uint32_t at[6] = {0}, lease = 0;
    struct sim_job_leased leased = {
        .id = sim_answer_value(object, "id", &at[0]),
        .job = (uint32_t)sim_answer_number(object, "job", &at[1], SIM_JOB_NONE),
        .queue = (uint8_t)client->queue,
        .epoch = sim_answer_number(object, "epoch", &at[2], 0),
        .attempt = (uint32_t)sim_answer_number(object, "attempt", &at[3], 0),
        .max_attempts = (uint32_t)sim_answer_number(object, "max_attempts", &at[4], 0),
        .failed_dependencies =
            (uint32_t)sim_answer_number(object, "failed_dependencies", &at[5], 0),
        .lease_ms = client->lease_s * 1000,
    };
    uint32_t offset = 0;
    char key[32];

    if (leased.job >= crew->model->job_count)
        fail(client, SIM_JOB_NONE, "a job is run that nobody sent");
    sim_story_tell(crew->story, sim_job_number(leased.job), 1,
                   "crew %u is given job %u, attempt %u, epoch %llx", client->index, leased.job,
                   leased.attempt, (unsigned long long)leased.epoch);
    check(client, leased.job, sim_job_lease(crew->model, &leased, &client->ask, &lease));
    if (!has_own_filler(object, &crew->model->jobs[leased.job].spec, leased.job))
        fail(client, leased.job, "a job is run with another payload");
    snprintf(key, sizeof(key), "key %u", crew->model->jobs[leased.job].spec.key);
    if (crew->model->jobs[leased.job].spec.key != 0 &&
        !is_text(sim_answer_value(object, "key", &offset), key))
        fail(client, leased.job, "a job is run with another key");
    assert(client->held_count < SIM_JOB_HELD_COUNT_MAX);
    client->held[client->held_count++] = lease;
    crew->leased_count++;
}

static void judge_lease(struct sim_job_client *client, enum sim_reply reply)
{
    uint32_t count = 0;

    sim_job_lease_answered(client->crew->model, client->queue);
    /* What it had been given may have run out before its body was read, and is not in it. */
    if (client->crew->model->now_ns - client->ask.ns >= (uint64_t)client->lease_s * 1000000000)
        sim_job_lease_lost(client->crew->model, client->queue);
    if (reply != SIM_REPLY_ACCEPTED) {
        if (!is_passing(reply))
            fail(client, SIM_JOB_NONE, "this is no answer to who asks for jobs");
        sim_job_lease_lost(client->crew->model, client->queue);
        /* A refused lease may come after outcomes that were written. */
        conclude_all(client, SIM_JOB_OUTCOME_UNKNOWN);
        return;
    }
    while (take_object(&client->request, count).body_size > 0)
        count++;
    if (count < client->finish_count || count - client->finish_count > client->limit)
        fail(client, SIM_JOB_NONE, "a lease of another number of jobs than was asked for");
    client->found_nothing = count == 0;
    judge_statuses(client, count - client->finish_count);
    for (uint32_t i = 0; i < count - client->finish_count; i++) {
        struct sim_http_request object = take_object(&client->request, i);

        judge_leased(client, &object);
    }
}

/* --- looking ----------------------------------------------------------------------------- */

static void read_look(const struct sim_job_client *client, struct sim_job_look *ret_look)
{
    const struct sim_http_request *answer = &client->request;
    uint32_t at[5] = {0};
    struct slice state = sim_answer_value(answer, "state", &at[0]);

    *ret_look = (struct sim_job_look){
        .attempt = (uint8_t)sim_answer_number(answer, "attempt", &at[1], 0),
        .max_attempts = (uint8_t)sim_answer_number(answer, "max_attempts", &at[2], 0),
        .has_result = sim_answer_has(answer, "\"result\":"),
        .result_job = (uint32_t)sim_answer_number(answer, "of", &at[3], SIM_JOB_NONE),
        .result_epoch = sim_answer_number(answer, "under", &at[4], 0),
        .is_waiting = is_text(state, "waiting"),
    };
    if (is_text(state, "completed"))
        ret_look->end = SIM_JOB_COMPLETED;
    else if (is_text(state, "dead"))
        ret_look->end = SIM_JOB_DEAD;
    else if (is_text(state, "cancelled"))
        ret_look->end = SIM_JOB_CANCELLED;
    else if (!is_text(state, "waiting") && !is_text(state, "scheduled") &&
             !is_text(state, "queued") && !is_text(state, "leased"))
        fail(client, client->job, "a job without a state");
    /* "of" also stands in what was said on the way. */
    if (ret_look->end != SIM_JOB_COMPLETED)
        ret_look->has_result = false;
}

/* True when it has to be asked again. */
static bool judge_get(struct sim_job_client *client, enum sim_reply reply)
{
    struct sim_job_crew *crew = client->crew;
    struct sim_job_look look;

    if (is_passing(reply))
        return crew->stage == SIM_JOB_CREW_LOOKING;
    if (reply == SIM_REPLY_NOT_FOUND) {
        check(client, client->job, sim_job_called_unknown(crew->model, client->job));
        return false;
    }
    if (reply != SIM_REPLY_ACCEPTED)
        fail(client, client->job, "this is no answer to who looks at a job");
    read_look(client, &look);
    check(client, client->job, sim_job_looked(crew->model, client->job, &look, &client->ask));
    if (look.end == SIM_JOB_COMPLETED && !look.has_result)
        fail(client, client->job, "a completed job has lost its result");
    if (crew->stage == SIM_JOB_CREW_LOOKING && look.end == SIM_JOB_LIVE)
        fail(client, client->job, "a job has not come to its end");
    return false;
}

static void judge_cancel(struct sim_job_client *client, enum sim_reply reply)
{
    struct sim_job_model *model = client->crew->model;

    if (is_passing(reply))
        return;
    if (reply == SIM_REPLY_ACCEPTED)
        check(client, client->job, sim_job_cancelled(model, client->job, &client->ask));
    else if (reply == SIM_REPLY_NOT_FOUND)
        check(client, client->job, sim_job_called_unknown(model, client->job));
    else if (has_code(client, "job_ended"))
        check(client, client->job, sim_job_called_ended(model, client->job));
    else if (!has_code(client, "job_busy"))
        fail(client, client->job, "this is no answer to who cancels a job");
}

/* --- queues ----------------------------------------------------------------------------------- */

static const char *const STATES[] = {"scheduled", "waiting",   "queued", "leased",
                                     "completed", "cancelled", "dead"};
enum { LIVE_STATE_COUNT = 4 };

static bool has_job(const struct sim_job_model *model, uint32_t queue, uint64_t tick)
{
    for (uint32_t i = 0; i < model->job_count; i++)
        if (model->jobs[i].spec.queue == queue && model->jobs[i].there_tick != 0 &&
            model->jobs[i].there_tick < tick)
            return true;
    return false;
}

static void judge_numbers(struct sim_job_client *client)
{
    const struct sim_http_request *answer = &client->request;
    struct sim_job_crew *crew = client->crew;
    const struct sim_job_queue *queue = &crew->model->queues[client->queue];
    uint64_t live = 0, all = 0, accepted, concurrency;
    uint32_t at = 0;

    concurrency = sim_answer_number(answer, "concurrency", &at, UINT64_MAX);
    for (uint32_t i = 0; i < ARRAY_COUNT(STATES); i++) {
        uint32_t offset = 0;
        uint64_t count = sim_answer_number(answer, STATES[i], &offset, UINT64_MAX);

        if (count == UINT64_MAX)
            fail(client, SIM_JOB_NONE, "a queue does not say how many jobs are in a state");
        live += i < LIVE_STATE_COUNT ? count : 0;
        all += count;
    }
    at = 0;
    accepted = sim_answer_number(answer, "accepted", &at, 0);
    sim_story_tell(crew->story, SIM_NO_NUMBER, 0, "queue %u: %llu live, %llu in all", client->queue,
                   (unsigned long long)live, (unsigned long long)all);
    if (accepted < all || (accepted > all && !crew->model->forgets))
        fail(client, SIM_JOB_NONE, "a queue's jobs are not as many as were accepted");
    if (!queue->is_doubtful && !queue->is_changing && queue->since_tick < client->ask.tick &&
        concurrency != queue->settings.concurrency)
        fail(client, SIM_JOB_NONE, "a queue has another concurrency than was set");
    if (crew->stage == SIM_JOB_CREW_WORKING)
        crew->empty_count = live == 0 ? crew->empty_count + 1 : 0;
}

static void judge_queue_get(struct sim_job_client *client, enum sim_reply reply)
{
    struct sim_job_crew *crew = client->crew;

    if (is_passing(reply)) {
        crew->empty_count = 0; /* that queue's turn is over */
        return;
    }
    if (reply == SIM_REPLY_ACCEPTED) {
        judge_numbers(client);
        return;
    }
    if (reply != SIM_REPLY_NOT_FOUND)
        fail(client, SIM_JOB_NONE, "this is no answer to who looks at a queue");
    if (has_job(crew->model, client->queue, client->ask.tick) && !crew->model->forgets)
        fail(client, SIM_JOB_NONE, "a queue that had jobs is not there");
    if (crew->stage == SIM_JOB_CREW_WORKING)
        crew->empty_count++;
}

static void judge_queue_set(struct sim_job_client *client, enum sim_reply reply)
{
    struct sim_job_crew *crew = client->crew;
    struct sim_job_queue *queue = &crew->model->queues[client->queue];

    if (reply == SIM_REPLY_ACCEPTED) {
        sim_job_queue_changed(queue, sim_job_model_tick(crew->model), crew->model->life);
        /* One that was sent before may be answered only now. */
        if (crew->stage == SIM_JOB_CREW_OPENING &&
            client->queue == SIM_JOB_KIND_COUNT + crew->cursor && client->opens_queue)
            crew->cursor++;
    } else if (reply == SIM_REPLY_UNAVAILABLE) {
        sim_job_queue_refused(queue);
    } else if (is_passing(reply)) {
        sim_job_queue_in_doubt(queue, crew->model->life);
    } else {
        fail(client, SIM_JOB_NONE, "this is no answer to who changes a queue");
    }
}

/* --- all ---------------------------------------------------------------------------------------
 */

bool sim_job_judge(struct sim_job_client *client)
{
    enum sim_reply reply = sim_answer_reply(&client->request);

    switch (client->asks) {
    case SIM_JOB_ASK_ENQUEUE:
        return judge_enqueue(client, reply);
    case SIM_JOB_ASK_LEASE:
        judge_lease(client, reply);
        return false;
    case SIM_JOB_ASK_FINISH:
        judge_finish(client, reply);
        return false;
    case SIM_JOB_ASK_FINISH_MANY:
        judge_finish_many(client, reply);
        return false;
    case SIM_JOB_ASK_FINISH_FALSE:
        judge_false(client, reply);
        return false;
    case SIM_JOB_ASK_EXTEND:
        judge_extend(client, reply);
        return false;
    case SIM_JOB_ASK_CANCEL:
        judge_cancel(client, reply);
        return false;
    case SIM_JOB_ASK_GET:
        return judge_get(client, reply);
    case SIM_JOB_ASK_FOREIGN:
        if (!is_passing(reply) && reply != SIM_REPLY_NOT_FOUND)
            fail(client, client->job, "the job belongs to another project");
        return false;
    case SIM_JOB_ASK_QUEUE_SET:
        judge_queue_set(client, reply);
        return false;
    case SIM_JOB_ASK_QUEUE_GET:
        judge_queue_get(client, reply);
        return false;
    case SIM_JOB_ASK_BAD:
        if (!is_passing(reply) && reply != SIM_REPLY_BAD)
            fail(client, SIM_JOB_NONE, "the request was bad");
        return false;
    case SIM_JOB_ASK_NOTHING:
        break;
    }
    fail(client, SIM_JOB_NONE, "nothing was asked");
}

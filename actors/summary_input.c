#include "actors/summary_input.h"

#include "actors/app.h"
#include "runtime/sim_point.h"

/*
 *     READING --on_read--> ASKING --on_answer--> done list --on_wake--> told --leave--> free
 *        \                    \                     \-- left before --> free
 *         \--------------------\--- left before: in flight, thrown away when it comes
 */

static void release(struct summary_input *input)
{
    struct summary_inputs *inputs = input->inputs;
    void *slot = input;

    assert(!input->is_in_flight);
    assert(!input->is_wanted);
    buffer_unref(&input->record);
    pool_release(&inputs->pool, &slot);
}

/* Whatever was in flight has come. True when that matters to anybody. */
static bool land(struct summary_input *input)
{
    assert(input->is_in_flight);
    input->is_in_flight = false;
    if (input->is_wanted)
        return true;
    SOMETIMES("the input of a summary comes when nobody wants it any more");
    release(input);
    return false;
}

static void tell(struct summary_input *input, enum read_result result)
{
    struct summary_inputs *inputs = input->inputs;

    input->result = result;
    list_push_back(&inputs->done, &input->link);
    job_handler_wake(inputs->handler);
}

/* --- the read model ------------------------------------------------------------------------- */

static void ask(struct summary_input *input, uint32_t event_count);

static void on_answer(struct read_query *query, enum read_result result)
{
    struct summary_input *input = container_of(query, struct summary_input, query);

    if (!land(input))
        return;
    if (result == READ_TOO_BIG && query->limit > SUMMARY_INPUT_EVENTS_FEW) {
        SOMETIMES("the events of an incident are too large to be summarised all");
        ask(input, SUMMARY_INPUT_EVENTS_FEW);
        return;
    }
    if (result == READ_OK)
        input->answer = (struct slice){input->text, query->answer_size};
    tell(input, result);
}

static void ask(struct summary_input *input, uint32_t event_count)
{
    struct app_shard *home = input->inputs->home;
    struct journal_location after = input->query.after;
    struct slice id = input->query.incident.id;
    enum read_result result;

    input->query = (struct read_query){
        .on_done = on_answer,
        .type = READ_INCIDENT_BRIEF,
        .scope = {{input->org, input->name_sizes[0]}, {input->project, input->name_sizes[1]}},
        .incident = {.id = id},
        .limit = event_count,
        .now_ms = home->shard->clock.unix_ms,
        .after = after,
        .deadline_ns = home->shard->clock.mono_ns + SUMMARY_INPUT_WAIT_MS * UINT64_C(1000000),
        .answer = input->text,
        .answer_max = sizeof(input->text),
    };
    input->is_in_flight = true;
    result = input->inputs->ask(&home->read_port, &input->query);
    if (result == READ_OK)
        return;
    input->is_in_flight = false;
    tell(input, result);
}

/* --- the run so far ----------------------------------------------------------------------------
 */

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct summary_input *input = container_of(read, struct summary_input, read);

    if (!land(input))
        return;
    if (result == JOURNAL_READ_OK)
        input->previous = view->payload;
    else
        SOMETIMES("the run of an earlier attempt cannot be read");
    ask(input, SUMMARY_INPUT_EVENTS);
}

/* False: there is no buffer. */
MUST_USE static bool read_previous(struct summary_input *input, struct journal_location location)
{
    struct app_shard *home = input->inputs->home;

    if (buffer_acquire(home->buffers, AI_RUNS_READ_SIZE, &input->record) < 0)
        return false;
    memset(&input->read, 0, sizeof(input->read));
    input->read.on_done = on_read;
    input->read.location = location;
    input->read.buffer = input->record->data;
    input->read.buffer_size = input->record->capacity;
    input->is_in_flight = true;
    journal_read_start(home->keeper.reader, &input->read);
    return true;
}

/* --- from outside ------------------------------------------------------------------------------
 */

static struct slice keep(struct slice text, char *memory, size_t size_max)
{
    assert(text.size <= size_max);
    memcpy(memory, text.data, text.size);
    return (struct slice){memory, text.size};
}

struct summary_input *summary_input_start(struct summary_inputs *inputs,
                                          const struct summary_wish *wish)
{
    struct summary_input *input =
        FAILPOINT("no input of a summary is free") ? NULL : pool_acquire(&inputs->pool);

    if (input == NULL)
        return NULL;
    memset(input, 0, offsetof(struct summary_input, text));
    input->inputs = inputs;
    input->is_wanted = true;
    list_init(&input->link);
    input->name_sizes[0] = (uint8_t)keep(wish->org, input->org, sizeof(input->org)).size;
    input->name_sizes[1] =
        (uint8_t)keep(wish->project, input->project, sizeof(input->project)).size;
    input->query.after = wish->after;
    input->query.incident.id = keep(wish->incident_id, input->id, sizeof(input->id));
    if (wish->previous.bits == 0) {
        ask(input, SUMMARY_INPUT_EVENTS);
        return input;
    }
    if (read_previous(input, wish->previous))
        return input;
    input->is_wanted = false;
    release(input);
    return NULL;
}

void summary_input_leave(struct summary_input **input)
{
    struct summary_input *it = *input;

    *input = NULL;
    if (it == NULL)
        return;
    assert(it->is_wanted);
    it->is_wanted = false;
    list_remove(&it->link);
    if (!it->is_in_flight)
        release(it);
}

void summary_inputs_on_wake(struct summary_inputs *inputs)
{
    struct list_node *node;

    while ((node = list_pop_front(&inputs->done)) != NULL)
        inputs->on_done(container_of(node, struct summary_input, link));
}

int summary_inputs_init(struct summary_inputs *inputs, struct app_shard *home,
                        struct job_handler *handler, uint32_t count)
{
    inputs->home = home;
    inputs->handler = handler;
    inputs->ask = read_query_start;
    list_init(&inputs->done);
    return pool_init(&inputs->pool, "inputs of summaries", sizeof(struct summary_input), 2 * count);
}

void summary_inputs_deinit(struct summary_inputs *inputs)
{
    pool_abandon(&inputs->pool);
}

#include "tests/sim/weir_model.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_calls.h"

/*
 * Requests and queries come with a connection or a port that knows nothing of a test: so the one
 * world that a test has is remembered here.
 *
 * The read model is replaced at its door, between the start and the first turn of the shards, in
 * each life of the process. What it is asked for is checked each time.
 */
static struct weir_model *current;

/* --- the model's server --------------------------------------------------- */

void weir_model_say(struct peer_connection *connection, const struct weir_model_turn *turn)
{
    static char body[16384], head[1024];

    cr_assert(not(turn->hangs));
    if (turn->content != NULL)
        snprintf(body, sizeof(body),
                 "{\"id\":\"chat-1\",\"model\":\"model-b\",\"choices\":[{\"message\":{\"role\":"
                 "\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"%s\"}],\"usage\":{"
                 "\"prompt_tokens\":1000,\"completion_tokens\":100,\"prompt_tokens_details\":{"
                 "\"cached_tokens\":400}}}",
                 turn->content, turn->finish != NULL ? turn->finish : "stop");
    else
        snprintf(body, sizeof(body), "%s", turn->body != NULL ? turn->body : "");
    snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\n%sContent-Length: %zu\r\n\r\n", turn->status,
             turn->fields != NULL ? turn->fields : "", strlen(body));
    peer_send(connection, head);
    peer_send(connection, body);
}

static void on_request(struct peer_connection *connection, struct slice head, struct slice body)
{
    uint64_t index = current->away.peer->request_count - 1;
    const struct weir_model_turn *turn;

    cr_assert(le(u32, 1, current->turn_count));
    cr_assert(le(u32, current->turn_count, WEIR_MODEL_TURN_COUNT_MAX));
    turn = &current->script[min_u64(index, current->turn_count - 1)];
    weir_away_note(&current->away, head, body);
    if (!turn->hangs)
        weir_model_say(connection, turn);
}

/* --- the read model ------------------------------------------------------- */

enum read_result weir_model_answer_query(struct read_query *query)
{
    static const char brief[] =
        "{\"incident\":{\"id\":\"i1\",\"title\":\"Error spike: X on /y\",\"status\":\"open\","
        "\"severity\":\"error\",\"environment\":\"prod\",\"rule\":\"error_spike\"},"
        "\"events\":[{\"occurred_at\":\"2026-11-21T10:00:00.000Z\",\"event_type\":\"error\","
        "\"severity\":\"error\",\"error_code\":\"X\",\"route\":\"/y\",\"status_code\":500}],"
        "\"event_count\":35}";

    memcpy(query->answer, brief, sizeof(brief) - 1);
    query->answer_size = sizeof(brief) - 1;
    query->on_done(query, READ_OK);
    return READ_OK;
}

static enum read_result on_query(struct read_port *port, struct read_query *query)
{
    (void)port;
    cr_assert(eq(int, query->type, READ_INCIDENT_BRIEF));
    cr_assert(slice_equal(query->scope.org, SLICE_LITERAL("org_demo")));
    cr_assert(slice_equal(query->scope.project, SLICE_LITERAL("proj_demo")));
    cr_assert(ne(u64, query->after.bits, 0));
    return current->answer_query(query);
}

/* --- the server under test ------------------------------------------------ */

void weir_model_begin(struct weir_model *model, uint64_t seed)
{
    struct settings *settings = &model->weir.process.settings;

    current = model;
    weir_begin(&model->weir, seed, 1);
    weir_away_begin(&model->away, &model->weir, on_request);
    settings->ai_base_url = "http://" WEIR_AWAY_HOST "/v1/";
    settings->ai_model = "model-a";
    settings->ai_price_table = "test-1";
    settings->ai_price_input = 1000000;
    settings->ai_price_cached = 500000;
    settings->ai_price_output = 2000000;
    memset(model->script, 0, sizeof(model->script));
    model->script[0] = (struct weir_model_turn){.status = 200, .content = WEIR_MODEL_GOOD};
    model->turn_count = 1;
    model->answer_query = weir_model_answer_query;
    weir_client_init(&model->client, &model->weir, 0, NULL);
}

void weir_model_start(struct weir_model *model)
{
    weir_start(&model->weir);
    model->weir.process.app.shards[0].incident_summaries.inputs.ask = on_query;
    weir_run_until_ready(&model->weir);
}

void weir_model_end(struct weir_model *model)
{
    weir_away_end(&model->away);
    weir_end(&model->weir);
}

void weir_model_enqueue(struct weir_model *model, const char *incident,
                        char ret_id[WEIR_ID_SIZE + 1])
{
    char body[512];

    snprintf(body, sizeof(body),
             "{\"kind\":\"incident.summarize\",\"payload\":{\"incident_id\":\"%s\"}}", incident);
    weir_enqueue(&model->client, NULL, body, ret_id);
}

/* --- what is on record ---------------------------------------------------- */

struct ai_runs *weir_model_runs(struct weir_model *model)
{
    return &model->weir.process.app.shards[0].ai_runs;
}

uint64_t weir_model_id_low(const char *id)
{
    struct job_id parsed;

    cr_assert(job_id_parse(slice_of(id), &parsed));
    return parsed.id_low;
}

struct journal_location weir_model_find_run(struct weir_model *model, const char *id)
{
    return ai_runs_find(weir_model_runs(model), weir_model_id_low(id));
}

void weir_model_read_run(struct weir_model *model, const char *id)
{
    struct journal_location location = weir_model_find_run(model, id);
    struct app *app = &model->weir.process.app;
    struct journal_record_view view;

    cr_assert(ne(u64, location.bits, 0), "there is no run");
    cr_assert(eq(int,
                 journal_read_blocking(app->disk, app->settings->data, location, model->record,
                                       sizeof(model->record), &view),
                 0));
    cr_assert(eq(int, view.type, RECORD_AI_RUN));
    cr_assert(eq(int, ai_run_decode(view.payload, &model->image), 0));
}

bool weir_model_section_is(const struct weir_model *model, enum ai_run_section section,
                           const char *text)
{
    return slice_equal(model->image.sections[section], slice_of(text));
}

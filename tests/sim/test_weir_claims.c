#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_point.h"
#include "tests/sim/weir_fixture.h"

/*
 * One request with an Idempotency-Key and an event id whose owners are different shards,
 * sent again to a third shard, while shards stand still at the worst moments.
 */
enum {
    CLAIM_OWNER = 0, /* has the first request's connection, too */
    EVENT_OWNER = 1,
    OTHER_SHARD = 2, /* has the second request's connection */
    SHARD_COUNT = 3,
    TRY_COUNT_MAX = 1000,
    BODY_SIZE = 512,
    DEDUP_ENTRY_COUNT = 1024,
    BATCH_COUNT = 64,
};

static const uint64_t LONG_NS = 5000000000;

static struct weir weir;
static struct weir_client first, second;
static char event_id[WEIR_ID_SIZE + 1];
static char claim[32];
static char body[BODY_SIZE];
static const struct weir_call CALL = {.path = "/v1/events", .idempotency_key = claim};
static uint32_t refused_count;

static bool on_hit(struct sim_point_hook *hook, struct sim_point *point)
{
    (void)hook;
    refused_count += strcmp(point->name, "an idempotent request comes again before all its events "
                                         "are committed") == 0;
    return false;
}

static uint32_t owner_of(struct slice name, bool is_event)
{
    struct dedup_key key;

    intake_key(weir.process.app.hash_key, SLICE_LITERAL("org_demo"), SLICE_LITERAL("proj_demo"),
               name, is_event, &key);
    return (uint32_t)(key.words[1] % SHARD_COUNT);
}

static uint32_t owner_of_id(const char *id)
{
    uint8_t bytes[UUID_SIZE];

    cr_assert(uuid_parse((struct slice){id, WEIR_ID_SIZE}, bytes));
    return owner_of((struct slice){(const char *)bytes, UUID_SIZE}, true);
}

/* Names that belong to the shards that the story needs. */
static void choose_names(void)
{
    uint32_t number = 0;

    do {
        cr_assert(lt(u32, number, TRY_COUNT_MAX));
        weir_write_id(event_id, number++);
    } while (owner_of_id(event_id) != EVENT_OWNER);
    do {
        cr_assert(lt(u32, number, TRY_COUNT_MAX));
        snprintf(claim, sizeof(claim), "claim-%u", number++);
    } while (owner_of((struct slice){claim, strlen(claim)}, false) != CLAIM_OWNER);
    weir_write_event(body, sizeof(body), 1, event_id);
}

/* Connects until the connection is one of this shard. */
static void connect_to(struct weir_client *client, uint32_t index, uint32_t shard)
{
    const struct http_server *http = &weir.process.app.shards[shard].http;
    uint32_t before = http->connection_count;

    weir_client_init(client, &weir, index, NULL);
    for (uint32_t i = 0; i < TRY_COUNT_MAX && http->connection_count == before; i++) {
        sim_http_client_drop(&client->http);
        cr_assert(eq(int, weir_run_for(&weir, 200), SIM_REACHED));
        (void)weir_ask(client, &(struct weir_call){.method = "GET", .path = "/livez"}, "");
    }
    cr_assert(eq(u32, http->connection_count, before + 1));
}

static void send_to(struct weir_client *client)
{
    client->is_answered = false;
    weir_client_call(client, &CALL, body);
}

static bool is_first_appending(void)
{
    return weir.process.app.shards[CLAIM_OWNER].intake.appending_count > 0;
}

static bool is_second_answered(void)
{
    return second.is_answered;
}

static bool is_first_answered(void)
{
    return first.is_answered;
}

TestSuite(weir_claims, .timeout = 60);

Test(weir_claims, are_not_answered_again_before_the_first_request_is_committed_everywhere)
{
    struct sim_point_hook hook = {on_hit};

    weir_begin(&weir, 1, SHARD_COUNT);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    choose_names();
    connect_to(&first, 0, CLAIM_OWNER);
    connect_to(&second, 1, OTHER_SHARD);
    sim_point_install(&hook);

    /* The owner of the event tells the second request what it knows, then stands still. */
    send_to(&first);
    cr_assert(eq(int, weir_run_until(&weir, is_first_appending), SIM_REACHED));
    sim_driver_pause(&weir.driver, weir.server, CLAIM_OWNER, LONG_NS);
    send_to(&second);
    cr_assert(eq(int, weir_run_for(&weir, 200), SIM_REACHED));
    sim_driver_pause(&weir.driver, weir.server, EVENT_OWNER, LONG_NS);
    /* The owner of the key commits it, and only then hears of the second request. */
    sim_driver_pause(&weir.driver, weir.server, CLAIM_OWNER, 0);
    cr_assert(eq(int, weir_run_until(&weir, is_second_answered), SIM_REACHED));
    cr_assert(not(first.is_answered));
    cr_assert(eq(u16, second.request.status, 409), "%.*s", (int)second.request.body_size,
              second.request.body);
    cr_assert(weir_answer_has(&second.request, "in_flight"));
    cr_assert(eq(u32, refused_count, 1));

    cr_assert(eq(int, weir_run_until(&weir, is_first_answered), SIM_REACHED));
    cr_assert(eq(u16, first.request.status, 202));
    cr_assert(eq(u32, weir_ask(&second, &CALL, body), 202));
    cr_assert(weir_answer_has(&second.request, "\"duplicate\":true"));
    cr_assert(eq(u32, weir_ask(&second, &(struct weir_call){.path = "/v1/events"}, body), 202));
    cr_assert(weir_answer_has(&second.request, "\"duplicate\":true"));
    sim_point_install(NULL);
    weir_stop(&weir);
    weir_end(&weir);
}

/* Other ids take all the places that the owner of the event has. */
static void fill_up_event_owner(uint32_t number)
{
    static char batch[WEIR_REQUEST_SIZE_MAX - 1024];
    char id[WEIR_ID_SIZE + 1];
    size_t used = 0;

    for (uint32_t count = 0; count < 2 * DEDUP_ENTRY_COUNT;) {
        weir_write_id(id, ++number);
        if (owner_of_id(id) != EVENT_OWNER)
            continue;
        used += (size_t)snprintf(batch + used, sizeof(batch) - used, "%s",
                                 count % BATCH_COUNT == 0 ? "{\"events\":[" : ",");
        used += weir_write_event(batch + used, sizeof(batch) - used, 2, id);
        if (++count % BATCH_COUNT != 0)
            continue;
        snprintf(batch + used, sizeof(batch) - used, "]}");
        used = 0;
        cr_assert(eq(u32, weir_ask(&second, &(struct weir_call){.path = "/v1/events/batch"}, batch),
                     202));
    }
}

Test(weir_claims, are_answered_again_when_a_batch_brought_an_event_twice_that_is_forgotten)
{
    char batch[2 * BODY_SIZE + 32];
    const struct weir_call call = {.path = "/v1/events/batch", .idempotency_key = claim};

    weir_begin(&weir, 2, SHARD_COUNT);
    weir.process.settings.dedup_entries = DEDUP_ENTRY_COUNT;
    weir_start(&weir);
    weir_run_until_ready(&weir);
    choose_names();
    weir_client_init(&first, &weir, 0, NULL);
    weir_client_init(&second, &weir, 1, NULL);
    snprintf(batch, sizeof(batch), "{\"events\":[%s,%s]}", body, body);
    cr_assert(eq(u32, weir_ask(&first, &call, batch), 202));
    fill_up_event_owner(TRY_COUNT_MAX);
    cr_assert(eq(u32, weir_ask(&first, &call, batch), 202));
    cr_assert(eq(u32, weir_ask(&first, &(struct weir_call){.path = "/v1/events"}, body), 202));
    cr_assert(weir_answer_has(&first.request, "\"duplicate\":false"), "it is not forgotten");
    weir_stop(&weir);
    weir_end(&weir);
}

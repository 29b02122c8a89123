#include "http/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "tests/http/client_scene.h"

/*
 * Ends that are no answers: a call is cancelled, whoever is told cancels, starts again or
 * panics, the client stops, the peer resets or dies.
 */

TestSuite(client_end, .init = scene_begin, .fini = scene_end);

/* --- cancelled ------------------------------------------------------------------ */

static void cancel_after(uint64_t delay_ms)
{
    struct fixture_call *c = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");

    if (delay_ms > 0)
        client_fixture_run_for(fixture, delay_ms);
    http_client_cancel(&c->call);
    cr_assert(not(http_client_is_open(&c->call)));
    http_client_cancel(&c->call);
    memset(&c->call, 0xa5, sizeof(c->call));
    client_fixture_run_for(fixture, 30000);
    memset(&c->call, 0, sizeof(c->call));
    cr_assert(eq(u32, c->done_count, 0));
    cr_assert(eq(u32, fixture->client.call_count, 0));
    cr_assert(eq(u32, fixture->client.connection_count, 0));
}

Test(client_end, forgets_a_cancelled_call_at_once_wherever_it_is)
{
    is_silent = true;
    fixture->names[0].delay_ms = 10;
    cancel_after(0);
    cancel_after(5);
    cancel_after(1000);
    make_deaf("93.184.216.50");
    fixture->names[0].address_count = 0;
    client_fixture_add_address(&fixture->names[0], "93.184.216.50");
    client_fixture_run_for(fixture, 120000);
    cancel_after(500);
}

Test(client_end, forgets_a_cancelled_call_that_waits)
{
    struct fixture_call *waiting;

    is_silent = true;
    for (uint32_t i = 0; i < fixture->config.connections_per_host_max; i++)
        (void)client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    waiting = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    http_client_cancel(&waiting->call);
    answer_held();
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, peer->request_count, fixture->config.connections_per_host_max));
    cr_assert(eq(u32, waiting->done_count, 0));
}

/* --- by whoever is told --------------------------------------------------------- */

static struct fixture_call *other_call;

static void cancel_other(struct fixture_call *c)
{
    (void)c;
    http_client_cancel(&other_call->call);
}

Test(client_end, lets_who_is_told_cancel_one_who_is_about_to_be)
{
    struct fixture_call *first =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");

    other_call = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");
    first->on_told = cancel_other;
    client_fixture_go(first);
    client_fixture_go(other_call);
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, first->done_count, 1));
    cr_assert(eq(u32, other_call->done_count, 0));
}

static void start_again(struct fixture_call *c)
{
    if (c->done_count < 1000)
        client_fixture_go(c);
}

Test(client_end, lets_who_is_told_start_again_without_holding_up_the_shard)
{
    struct fixture_call *hopeless =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");
    struct fixture_call *steady =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://example.com/");

    hopeless->on_told = start_again;
    steady->on_told = start_again;
    client_fixture_go(hopeless);
    client_fixture_go(steady);
    client_fixture_run_for(fixture, 60000);
    cr_assert(eq(u32, hopeless->done_count, 1000));
    cr_assert(eq(u32, steady->done_count, 1000));
    cr_assert(eq(u32, peer->connection_count, 1));
}

static void panic(struct fixture_call *c)
{
    (void)c;
    actor_panic("on_done");
}

Test(client_end, tells_all_others_when_a_caller_panics_and_goes_on)
{
    struct fixture_call *waiting;
    struct fixture_call *bad;

    is_silent = true;
    waiting = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    bad = client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://127.0.0.1/");
    bad->on_told = panic;
    client_fixture_go(bad);
    client_fixture_run_for(fixture, 100);
    cr_assert(eq(u32, bad->done_count, 1));
    assert_outcome(waiting, HTTP_CLIENT_CANCELLED, HTTP_CLIENT_SENDING);
    cr_assert(eq(u32, fixture->log_line_count, 1));
    is_silent = false;
    assert_outcome(run("http://example.com/"), HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
}

Test(client_end, tells_all_even_when_one_panics_in_the_end_of_another)
{
    struct fixture_call *calls[5];

    is_silent = true;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        calls[i] = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
        calls[i]->on_told = i % 2 == 0 ? panic : NULL;
    }
    client_fixture_run_for(fixture, 100);
    http_client_cancel(&calls[0]->call);
    calls[0]->call.url = SLICE_LITERAL("http://127.0.0.1/");
    client_fixture_go(calls[0]);
    client_fixture_run_for(fixture, 5000);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        cr_assert(eq(u32, calls[i]->done_count, 1), "call %zu", i);
    is_silent = false;
    assert_outcome(run("http://example.com/"), HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
}

/* --- with the client ------------------------------------------------------------ */

Test(client_end, tells_open_calls_that_it_stops)
{
    struct fixture_call *calls[40];

    is_silent = true;
    fixture->names[0].delay_ms = 10;
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        calls[i] = client_fixture_call(fixture, HTTP_METHOD_GET,
                                       i % 2 == 0 ? "http://example.com/" : "http://" HOST "/");
    client_fixture_run_for(fixture, 5);
    client_fixture_stop(fixture);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        cr_assert(eq(u32, calls[i]->done_count, 1));
        cr_assert(eq(int, calls[i]->call.result.outcome, HTTP_CLIENT_CANCELLED));
    }
}

/* --- with the peer -------------------------------------------------------------- */

Test(client_end, tells_a_reset_from_an_end)
{
    struct fixture_call *c;

    is_silent = true;
    c = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    fixture->away->faults.reset.once_count = 1;
    answer_held();
    client_fixture_until_done(fixture, c);
    assert_outcome(c, HTTP_CLIENT_CLOSED_EARLY, HTTP_CLIENT_SENDING);
    cr_assert(eq(int, c->call.result.error, -ECONNRESET));
}

Test(client_end, survives_the_death_of_its_peer)
{
    struct fixture_call *c;

    is_silent = true;
    c = client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 100);
    sim_driver_remove_io(&fixture->driver, fixture->away_io);
    sim_host_kill(fixture->away);
    client_fixture_until_done(fixture, c);
    cr_assert(eq(int, c->call.result.outcome, HTTP_CLIENT_CLOSED_EARLY));
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/http/http_fixture.h"

/* What a handler may ask for while its answer is awaited: more time, a peer that is there. */
enum { SEED_COUNT = 20 };

TestSuite(connection_wait, .timeout = 100);

Test(connection_wait, gives_a_handler_the_time_it_asked_for_and_no_more)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct raw_answer answer;
        struct fixture *f;
        struct raw_client *client;

        options.limits.answer_timeout_ms = 700;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        f->held = true;
        raw_client_post(client, "/patient", "", "late", 4);
        fixture_run_for(f, 700 + FIXTURE_PATIENCE_MS - 10);
        cr_assert(eq(sz, client->in_size, 0), "seed %lu", seed);
        fixture_until_closed(f, client);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 503), "seed %lu", seed);
        cr_assert(eq(u32, f->abandon_count, 1), "seed %lu", seed);
        f->held = false;
        fixture_run_for(f, 100);
        fixture_end(&f);
    }
}

Test(connection_wait, gives_the_next_request_no_more_than_others)
{
    struct fixture_options options = fixture_options(1);
    struct raw_answer answer;
    struct fixture *f;
    struct raw_client *client;

    options.limits.answer_timeout_ms = 700;
    f = fixture_begin(&options);
    client = fixture_connect(f);
    raw_client_post(client, "/patient", "", "first", 5);
    fixture_until_answers(f, client, 1);
    cr_assert(raw_client_next_is(client, 200, "first"));
    f->held = true;
    raw_client_post(client, "/slow", "", "second", 6);
    fixture_run_for(f, 800);
    cr_assert(raw_client_next(client, false, &answer));
    cr_assert(eq(u32, answer.status, 503));
    f->held = false;
    fixture_run_for(f, 100);
    fixture_end(&f);
}

Test(connection_wait, ends_with_a_peer_that_closes_its_side_where_the_handler_wants_it)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);

        f->held = true;
        raw_client_post(client, "/attended", "", "gone", 4);
        fixture_run_for(f, 50);
        cr_assert(eq(u32, f->abandon_count, 0), "seed %lu", seed);
        raw_client_finish(client);
        fixture_until_closed(f, client);
        cr_assert(eq(u32, f->abandon_count, 1), "seed %lu", seed);
        cr_assert(eq(sz, client->in_size, 0), "seed %lu", seed);
        f->held = false;
        fixture_run_for(f, 100);
        fixture_end(&f);
    }
}

Test(connection_wait, still_answers_other_requests_of_a_peer_that_closed_its_side)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);

    raw_client_post(client, "/attended", "", "first", 5);
    fixture_until_answers(f, client, 1);
    cr_assert(raw_client_next_is(client, 200, "first"));
    raw_client_post(client, "/slow", "", "last", 4);
    raw_client_finish(client);
    fixture_until_closed(f, client);
    cr_assert(raw_client_next_is(client, 200, "last"));
    fixture_end(&f);
}

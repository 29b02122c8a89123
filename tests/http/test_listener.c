#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/http/http_fixture.h"

/*
 * Who gets in when there is no more room: the connection limit, descriptors that run
 * out, accepts that fail, and the end.
 */
enum { SEED_COUNT = 60, LIMIT = 8 };

TestSuite(listener, .timeout = 100);

static struct fixture *begin_small(uint64_t seed)
{
    struct fixture_options options = fixture_options(seed);

    options.limits.connection_count_max = LIMIT;
    return fixture_begin(&options);
}

static void connect_some(struct fixture *f, struct raw_client **clients, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        clients[i] = fixture_connect(f);
}

static uint32_t count_ended(struct raw_client **clients, uint32_t count)
{
    uint32_t ended_count = 0;

    for (uint32_t i = 0; i < count; i++)
        ended_count += clients[i]->saw_end || clients[i]->saw_reset || clients[i]->refused;
    return ended_count;
}

Test(listener, keeps_as_many_idle_connections_as_the_limit_says)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *clients[LIMIT];

        connect_some(f, clients, LIMIT);
        fixture_run_for(f, 1000);
        cr_assert(eq(u32, count_ended(clients, LIMIT), 0), "seed %lu", seed);
        cr_assert(eq(u32, fixture_connection_count(f), LIMIT), "seed %lu", seed);
        cr_assert(eq(u64, fixture_metric(f, f->metrics.connections_evicted), 0));
        fixture_end(&f);
    }
}

Test(listener, closes_the_longest_idle_connection_to_make_room)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *clients[LIMIT + 2];

        for (uint32_t i = 0; i < LIMIT; i++) {
            clients[i] = fixture_connect(f);
            fixture_run_for(f, 10);
        }
        raw_client_ask(clients[0], "GET", "/hello", ""); /* now clients[1] is idle longest */
        fixture_run_for(f, 100);
        connect_some(f, clients + LIMIT, 2);
        raw_client_ask(clients[LIMIT], "GET", "/hello", "");
        fixture_until_answers(f, clients[LIMIT], 1);
        fixture_run_for(f, 20);
        cr_assert(eq(u32, count_ended(clients, LIMIT + 2), 2), "seed %lu", seed);
        cr_assert(clients[1]->saw_end, "seed %lu", seed);
        cr_assert(clients[2]->saw_end, "seed %lu", seed);
        cr_assert(not(clients[1]->saw_reset), "seed %lu", seed);
        cr_assert(eq(u32, fixture_connection_count(f), LIMIT), "seed %lu", seed);
        cr_assert(eq(u64, fixture_metric(f, f->metrics.connections_evicted), 2));
        fixture_end(&f);
    }
}

Test(listener, lets_clients_wait_when_all_connections_are_busy)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *clients[2 * LIMIT];

        f->held = true;
        connect_some(f, clients, LIMIT);
        for (uint32_t i = 0; i < LIMIT; i++)
            raw_client_post(clients[i], "/slow", "", "busy", 4);
        fixture_run_for(f, 200);
        for (uint32_t i = LIMIT; i < 2 * LIMIT; i++) {
            clients[i] = fixture_connect(f);
            raw_client_ask(clients[i], "GET", "/hello", "");
        }
        for (uint32_t i = 0; i < 20; i++) {
            fixture_run_for(f, 30);
            cr_assert(le(u32, fixture_connection_count(f), LIMIT + 1), "seed %lu", seed);
        }
        cr_assert(eq(u32, count_ended(clients, 2 * LIMIT), 0), "seed %lu", seed);
        f->held = false;
        for (uint32_t i = 0; i < 2 * LIMIT; i++) {
            fixture_until_answers(f, clients[i], 1);
            cr_assert(raw_client_next_is(clients[i], 200, i < LIMIT ? "busy" : "hello"));
        }
        fixture_end(&f);
    }
}

Test(listener, accepts_again_although_the_cancelled_accept_ends_late)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *clients[LIMIT];
        struct raw_client *late;

        f->held = true;
        f->server->faults.completion_latency_ns = (struct sim_range){0, 200000000};
        connect_some(f, clients, LIMIT);
        for (uint32_t i = 0; i < LIMIT; i++)
            raw_client_post(clients[i], "/slow", "", "busy", 4);
        fixture_run_for(f, 1000);
        late = fixture_connect(f);
        raw_client_ask(late, "GET", "/hello", "");
        fixture_run_for(f, 1000);
        f->held = false;
        fixture_until_answers(f, late, 1);
        cr_assert(raw_client_next_is(late, 200, "hello"), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(listener, lets_everybody_ask_in_a_rush)
{
    enum { COUNT = 6 * LIMIT };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *clients[COUNT];

        for (uint32_t i = 0; i < COUNT; i++) {
            clients[i] = fixture_connect(f);
            raw_client_post(clients[i], "/slow", "", "asked", 5);
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            fixture_until_answers(f, clients[i], 1);
            cr_assert(raw_client_next_is(clients[i], 200, "asked"), "seed %lu, %u", seed, i);
        }
        cr_assert(lt(u64, 0, fixture_metric(f, f->metrics.connections_evicted)));
        fixture_end(&f);
    }
}

Test(listener, refuses_what_was_accepted_beyond_the_spare_slots)
{
    enum { COUNT = LIMIT + HTTP_CONNECTION_SPARE_COUNT + 50 };

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *clients[COUNT];
        uint32_t ended_count, refused_count;

        f->held = true;
        /* A cancel takes so long that all of them are accepted first. */
        f->server->faults.completion_latency_ns = (struct sim_range){0, 100000};
        connect_some(f, clients, COUNT);
        for (uint32_t i = 0; i < COUNT; i++)
            raw_client_post(clients[i], "/slow", "", "held", 4);
        fixture_run_for(f, 1000);
        ended_count = count_ended(clients, COUNT);
        refused_count = (uint32_t)fixture_metric(f, f->metrics.accept_failures);
        cr_assert(eq(u32, ended_count, refused_count), "seed %lu", seed);
        cr_assert(le(u32, fixture_connection_count(f), LIMIT + HTTP_CONNECTION_SPARE_COUNT));
        f->held = false;
        fixture_run_for(f, 2000);
        for (uint32_t i = 0; i < COUNT; i++)
            cr_assert(raw_client_answer_count(clients[i]) == 1 || clients[i]->in_size == 0);
        fixture_end(&f);
    }
}

Test(listener, goes_on_after_descriptors_ran_out)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *clients[12];

        options.fd_count_max = 5; /* the listener's and four more */
        f = fixture_begin(&options);
        f->held = true;
        connect_some(f, clients, ARRAY_COUNT(clients));
        for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++)
            raw_client_post(clients[i], "/slow", "", "asked", 5);
        fixture_run_for(f, 500);
        cr_assert(eq(u32, fixture_connection_count(f), 4), "seed %lu", seed);
        cr_assert(lt(u64, 0, fixture_metric(f, f->metrics.accept_failures)), "seed %lu", seed);
        cr_assert(lt(u32, 0, f->shards[0].no_descriptor_count), "seed %lu", seed);
        f->held = false;
        for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++) {
            fixture_until_answers(f, clients[i], 1);
            cr_assert(raw_client_next_is(clients[i], 200, "asked"), "seed %lu, %u", seed, i);
        }
        /* Idle ones have made room; nobody waited until their time was over. */
        cr_assert(lt(u64, f->world->mono_ns, SIM_START_MONO_NS + 3000000000), "seed %lu", seed);
        cr_assert(lt(u64, 0, fixture_metric(f, f->metrics.connections_evicted)), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(listener, goes_on_after_an_accept_failed)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *clients[20];
        uint32_t served_count = 0;

        f->server->faults.accept_error.chance_ppm = SIM_PPM / 2;
        connect_some(f, clients, ARRAY_COUNT(clients));
        for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++)
            raw_client_ask(clients[i], "GET", "/hello", "");
        fixture_run_for(f, 200);
        for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++)
            served_count += raw_client_answer_count(clients[i]);
        cr_assert(eq(u32, served_count + count_ended(clients, ARRAY_COUNT(clients)), 20),
                  "seed %lu", seed);
        cr_assert(lt(u32, 2, served_count), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(listener, lets_nobody_in_after_the_stop)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *busy = fixture_connect(f);
        struct raw_client *late;

        f->held = true;
        raw_client_post(busy, "/slow", "", "busy", 4);
        fixture_run_for(f, 20);
        fixture_stop(f);
        fixture_run_for(f, 300);
        late = fixture_connect(f);
        fixture_run_for(f, 20);
        cr_assert(late->refused, "seed %lu", seed);
        f->held = false;
        fixture_until_stopped(f);
        cr_assert(eq(int, sim_driver_run_for(&f->driver, 10000000), SIM_REACHED));
        cr_assert(raw_client_next_is(busy, 200, "busy"), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(listener, stops_while_it_is_paused_or_pausing)
{
    for (uint64_t seed = 1; seed <= 2 * SEED_COUNT; seed++) {
        struct fixture *f = begin_small(seed);
        struct raw_client *clients[2 * LIMIT];

        f->held = true;
        f->server->faults.completion_latency_ns = (struct sim_range){0, seed % 2 * 5000000};
        connect_some(f, clients, ARRAY_COUNT(clients));
        for (uint32_t i = 0; i < ARRAY_COUNT(clients); i++)
            raw_client_post(clients[i], "/slow", "", "busy", 4);
        for (uint64_t i = rng_below(&f->world->rng, 300); i > 0; i--)
            cr_assert(eq(int, sim_driver_run_for(&f->driver, 100000), SIM_REACHED));
        fixture_stop(f);
        f->held = false;
        fixture_until_stopped(f);
        fixture_end(&f);
    }
}

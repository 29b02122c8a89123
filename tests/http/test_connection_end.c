#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <zlib.h>

#include "tests/http/http_fixture.h"

/*
 * How connections end: time-outs, peers that leave or do not read, handlers that
 * fail, the stop of the server, buffers that run out. fixture_end() asserts each
 * time that nothing is left and that what handlers took was given back once.
 */
enum { SEED_COUNT = 60 };

TestSuite(connection_end, .timeout = 100);

static bool next_status_is(struct raw_client *client, uint32_t status)
{
    struct raw_answer answer;

    return raw_client_next(client, false, &answer) && answer.status == status;
}

/* --- time-outs ----------------------------------------------------------------- */

Test(connection_end, answers_408_when_the_head_does_not_come_in_time)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);

        fixture_run_for(f, 100);
        raw_client_send_text(client, "GET /hello HTTP/1.1\r\n");
        for (uint32_t i = 0; i < 9; i++) {
            fixture_run_for(f, 100);
            raw_client_send_text(client, "X"); /* a byte now and then does not help */
        }
        cr_assert(not(client->saw_end), "seed %lu", seed);
        fixture_run_for(f, 110);
        cr_assert(client->saw_end, "seed %lu", seed);
        cr_assert(next_status_is(client, 408), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_end, answers_408_when_the_body_stalls)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);

        if (seed % 2 == 0)
            raw_client_send_text(client,
                                 "POST /admit HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
        else
            raw_client_send_text(
                client,
                "POST /admit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n");
        for (uint32_t i = 0; i < 5; i++) {
            fixture_run_for(f, 1900);
            raw_client_send_text(client, "x");
        }
        fixture_run_for(f, 1900);
        cr_assert(not(client->saw_end), "seed %lu", seed);
        fixture_run_for(f, 200);
        cr_assert(client->saw_end, "seed %lu", seed);
        cr_assert(next_status_is(client, 408), "seed %lu", seed);
        cr_assert(eq(u32, f->abandon_count, 1), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_end, closes_an_idle_connection_without_a_word)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *fresh = fixture_connect(f);
    struct raw_client *used = fixture_connect(f);

    fixture_run_for(f, 5000);
    raw_client_ask(used, "GET", "/hello", "");
    fixture_run_for(f, 900);
    cr_assert(not(fresh->saw_end));
    fixture_run_for(f, 200);
    cr_assert(fresh->saw_end);
    cr_assert(eq(sz, fresh->in_size, 0));
    fixture_run_for(f, 4700);
    cr_assert(not(used->saw_end));
    fixture_run_for(f, 400);
    cr_assert(used->saw_end);
    cr_assert(raw_client_next_is(used, 200, "hello"));
    cr_assert(eq(sz, raw_client_unread_size(used), 0));
    cr_assert(eq(u32, fixture_connection_count(f), 0));
    fixture_end(&f);
}

static struct fixture *begin_narrow(uint64_t seed)
{
    struct fixture_options options = fixture_options(seed);

    options.socket_buffer_size = 8192;
    return fixture_begin(&options);
}

Test(connection_end, gives_a_slow_reader_its_time_but_not_for_ever)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_narrow(seed);
        struct raw_client *slow = fixture_connect(f);
        struct raw_client *stuck = fixture_connect(f);

        raw_client_pause_reading(slow, true);
        raw_client_pause_reading(stuck, true);
        raw_client_ask(slow, "GET", "/large", "");
        raw_client_ask(stuck, "GET", "/large", "");
        fixture_run_for(f, 2900);
        cr_assert(eq(u32, fixture_connection_count(f), 2), "seed %lu", seed);
        raw_client_pause_reading(slow, false);
        fixture_until_answers(f, slow, 1);
        fixture_run_for(f, 150);
        cr_assert(eq(u32, fixture_connection_count(f), 1), "seed %lu", seed);
        raw_client_ask(slow, "GET", "/hello", "");
        fixture_until_answers(f, slow, 2);
        fixture_end(&f);
    }
}

/* An answer that the network cannot hold, yet too small to stop pipelining. */
static void ask_for_more_than_fits(struct fixture *f, struct raw_client *client)
{
    static char body[30000];

    raw_client_pause_reading(client, true);
    raw_client_post(client, "/echo", "", body, sizeof(body));
    fixture_run_for(f, 50);
    cr_assert(eq(sz, client->out_sent, client->out_size));
}

/* The client reads nothing and the connection ends all the same, within this time. */
static void ends_within(struct fixture *f, struct raw_client *client, uint64_t ms)
{
    fixture_run_for(f, ms);
    cr_assert(eq(u32, fixture_connection_count(f), 0), "seed %lu", f->options.seed);
    raw_client_pause_reading(client, false);
    fixture_end(&f);
}

Test(connection_end, gives_a_large_answer_as_many_write_time_outs_as_it_is_long)
{
    struct fixture_options options = fixture_options(1);
    struct fixture *f;
    struct raw_client *client;

    options.socket_buffer_size = 65536;
    f = fixture_begin(&options);
    client = fixture_connect(f);
    fixture_run_for(f, 10);
    /* About 64 KiB in 700 ms: a piece of 256 KiB in just less than the write time-out. */
    f->server->faults.split.chance_ppm = 0;
    f->server->faults.net_latency_ns = (struct sim_range){700000000, 700000000};
    raw_client_ask(client, "GET", "/large", "");
    fixture_until_answers(f, client, 1);
    cr_assert(next_status_is(client, 200));
    cr_assert(lt(u64, SIM_START_MONO_NS + 9000000000, f->world->mono_ns));
    /* And is idle as long as others, from the last byte on. */
    fixture_run_for(f, 5200);
    cr_assert(not(client->saw_end));
    f->server->faults.net_latency_ns = (struct sim_range){10000, 200000};
    fixture_run_for(f, 1500);
    cr_assert(client->saw_end);
    fixture_end(&f);
}

Test(connection_end, ends_though_the_peer_reads_nothing_and_stops_in_a_head)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_narrow(seed);
        struct raw_client *client = fixture_connect(f);

        ask_for_more_than_fits(f, client);
        raw_client_send_text(client, "GET /hel");
        ends_within(f, client, 4600);
    }
}

Test(connection_end, ends_though_the_peer_reads_nothing_and_stops_in_a_body)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_narrow(seed);
        struct raw_client *client = fixture_connect(f);

        ask_for_more_than_fits(f, client);
        raw_client_ask(client, "POST", "/admit", "Content-Length: 5\r\n");
        ends_within(f, client, 5600);
    }
}

Test(connection_end, ends_though_the_peer_reads_nothing_while_an_answer_is_awaited)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_narrow(seed);
        struct raw_client *client = fixture_connect(f);

        f->held = seed % 2 == 0;
        ask_for_more_than_fits(f, client);
        raw_client_post(client, "/slow", "Connection: close\r\n", "a", 1);
        fixture_run_for(f, 1000);
        f->held = false;
        ends_within(f, client, 4600);
    }
}

Test(connection_end, ends_though_the_peer_pipelines_and_reads_nothing)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_narrow(seed);
        struct raw_client *client = fixture_connect(f);

        raw_client_pause_reading(client, true);
        for (uint32_t i = 0; i < 2000; i++)
            raw_client_ask(client, "GET", "/hello", "");
        ends_within(f, client, 3600);
    }
}

Test(connection_end, does_not_blame_the_peer_for_a_head_it_has_sent)
{
    struct fixture *f = begin_narrow(1);
    struct raw_client *client = fixture_connect(f);

    raw_client_pause_reading(client, true);
    for (uint32_t i = 0; i < 4; i++)
        raw_client_ask(client, "GET", "/large", "");
    fixture_run_for(f, 2500); /* longer than a head may take, shorter than a write */
    raw_client_pause_reading(client, false);
    fixture_until_answers(f, client, 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert(next_status_is(client, 200));
    fixture_end(&f);
}

Test(connection_end, lingers_for_a_peer_that_does_not_close_but_only_so_long)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);

        client->stays_open = true;
        raw_client_ask(client, "GET", "/close", "");
        for (uint32_t i = 0; i < 4; i++) {
            fixture_run_for(f, 100);
            raw_client_send_text(client, "and so on"); /* thrown away */
        }
        cr_assert(client->saw_end, "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "bye"), "seed %lu", seed);
        cr_assert(eq(u32, fixture_connection_count(f), 1), "seed %lu", seed);
        fixture_run_for(f, 120);
        cr_assert(eq(u32, fixture_connection_count(f), 0), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_end, answers_503_when_the_handler_does_not_answer_in_time)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;
        struct raw_answer answer;

        options.limits.answer_timeout_ms = 700;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        f->held = true;
        raw_client_post(client, "/slow", "", "late", 4);
        raw_client_ask(client, "GET", "/hello", "");
        fixture_run_for(f, 690);
        cr_assert(eq(sz, client->in_size, 0), "seed %lu", seed);
        fixture_until_closed(f, client);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 503), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(ne(ptr, memmem(answer.body.data, answer.body.size, "\"outcome\":\"unknown\"", 19),
                     NULL));
        cr_assert(eq(u32, f->abandon_count, 1), "seed %lu", seed);
        f->held = false; /* the answer that comes now finds nobody */
        fixture_run_for(f, 100);
        cr_assert(eq(u32, f->given_count, 0), "seed %lu", seed);
        cr_assert(eq(u32, f->request_count, 1), "seed %lu", seed);
        fixture_end(&f);
    }
}

/* --- peers that leave ------------------------------------------------------------ */

Test(connection_end, gives_everything_back_when_the_peer_leaves_at_any_moment)
{
    enum { COUNT = 40 };
    uint32_t abandon_count = 0;

    for (uint64_t seed = 1; seed <= 4 * SEED_COUNT; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;

        options.shard_count = 1 + seed % 2;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        f->held = seed % 3 == 0;
        client->piece_size_max = (uint32_t)(seed % 4) * 100;
        for (uint32_t i = 0; i < COUNT; i++) {
            if (rng_below(&f->world->rng, 3) == 0)
                raw_client_post_chunked(client, "/admit", "", "chunked", 7, 3);
            else
                raw_client_post(client, "/slow", "", "slow", 4);
        }
        for (uint64_t steps = rng_below(&f->world->rng, 400); steps > 0; steps--)
            cr_assert(eq(int, sim_driver_run_for(&f->driver, 100000), SIM_REACHED));
        if (seed % 5 == 0)
            f->server->faults.reset.always = true;
        raw_client_drop(client);
        fixture_run_for(f, 50);
        f->server->faults.reset.always = false;
        f->held = false;
        fixture_run_for(f, 100);
        cr_assert(eq(u32, fixture_connection_count(f), 0), "seed %lu", seed);
        cr_assert(eq(u64, fixture_buffer_used(f), 0), "seed %lu", seed);
        abandon_count += f->abandon_count;
        fixture_end(&f);
    }
    cr_assert(lt(u32, SEED_COUNT / 4, abandon_count));
}

Test(connection_end, answers_a_peer_that_has_shut_its_sending_side)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);

        client->piece_size_max = (uint32_t)(seed % 3) * 50;
        raw_client_ask(client, "GET", "/hello", "");
        raw_client_post(client, "/slow", "", "waited", 6);
        raw_client_post_chunked(client, "/echo", "", "chunked", 7, 3);
        raw_client_ask(client, "GET", "/large", "");
        raw_client_post(client, "/slow", "", "last", 4);
        raw_client_finish(client);
        fixture_until_closed(f, client);
        cr_assert(raw_client_next_is(client, 200, "hello"), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "waited"), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "chunked"), "seed %lu", seed);
        cr_assert(next_status_is(client, 200), "seed %lu", seed);
        cr_assert(raw_client_next_is(client, 200, "last"), "seed %lu", seed);
        cr_assert(eq(sz, raw_client_unread_size(client), 0));
        cr_assert(not(client->saw_reset));
        fixture_end(&f);
    }
}

Test(connection_end, does_not_answer_what_the_peer_did_not_finish)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: a\r\n",
        "POST /admit HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123456789",
        "POST /admit HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    };

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);

        raw_client_send_text(client, requests[seed % ARRAY_COUNT(requests)]);
        raw_client_finish(client);
        fixture_until_closed(f, client);
        cr_assert(eq(sz, client->in_size, 0), "seed %lu", seed);
        cr_assert(eq(u32, f->request_count, 0), "seed %lu", seed);
        cr_assert(eq(u32, f->abandon_count, seed % ARRAY_COUNT(requests) == 0 ? 0 : 1));
        fixture_end(&f);
    }
}

/* --- handlers that fail ------------------------------------------------------------ */

static const char *const BROKEN[] = {"/panic", "/panic-head", "/panic-reply",
                                     "/fail",  "/fail-head",  "/fail-reply"};

Test(connection_end, loses_only_the_connection_whose_handler_fails)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *bystander;

        options.receive_buffer_count = 4;
        f = fixture_begin(&options);
        bystander = fixture_connect(f);
        for (uint32_t i = 0; i < 12; i++) {
            struct raw_client *client = fixture_connect(f);

            raw_client_ask(client, "GET", "/hello", "");
            raw_client_post(client, BROKEN[i % ARRAY_COUNT(BROKEN)], "", "body", 4);
            raw_client_ask(client, "GET", "/hello", "");
            raw_client_post(bystander, "/slow", "", "fine", 4);
            fixture_until_closed(f, client);
            fixture_until_answers(f, bystander, i + 1);
            cr_assert(raw_client_next_is(bystander, 200, "fine"), "seed %lu, %u", seed, i);
            fixture_run_for(f, 2);
            cr_assert(eq(u32, fixture_lent_count(f), 0), "seed %lu, %u", seed, i);
        }
        cr_assert(eq(u32, f->abandon_count, 12), "seed %lu", seed);
        cr_assert(lt(u32, 0, f->log_line_count), "seed %lu", seed);
        fixture_run_for(f, 10);
        cr_assert(eq(u32, fixture_connection_count(f), 1), "seed %lu", seed);
        cr_assert(eq(u64, fixture_buffer_used(f), 0), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_end, gives_the_decompressed_body_back_when_its_handler_panics)
{
    struct fixture *f = fixture_begin_seed(1);
    unsigned char packed[256];
    uLongf packed_size = sizeof(packed);

    cr_assert(eq(int, compress2(packed, &packed_size, (const unsigned char *)"body", 4, 9), Z_OK));
    for (uint32_t i = 0; i < 10; i++) {
        struct raw_client *client = fixture_connect(f);

        raw_client_post(client, BROKEN[i % 2 * 3], "Content-Encoding: deflate\r\n",
                        (const char *)packed, packed_size);
        fixture_until_closed(f, client);
        fixture_run_for(f, 2);
        cr_assert(eq(u64, fixture_buffer_used(f), 0));
    }
    fixture_end(&f);
}

/* --- the server stops ---------------------------------------------------------------- */

Test(connection_end, closes_idle_connections_at_once_when_the_server_stops)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *fresh = fixture_connect(f);
        struct raw_client *used = fixture_connect(f);

        raw_client_ask(used, "GET", "/hello", "");
        fixture_until_answers(f, used, 1);
        fixture_run_for(f, 2);
        fixture_stop(f);
        fixture_until_stopped(f);
        cr_assert(lt(u64, f->world->mono_ns, SIM_START_MONO_NS + 1000000000), "seed %lu", seed);
        cr_assert(eq(int, sim_driver_run_for(&f->driver, 10000000), SIM_REACHED));
        cr_assert(fresh->saw_end);
        cr_assert(used->saw_end);
        cr_assert(not(used->saw_reset));
        fixture_end(&f);
    }
}

Test(connection_end, finishes_what_is_in_flight_when_the_server_stops)
{
    for (uint64_t seed = 1; seed <= 2 * SEED_COUNT; seed++) {
        struct fixture *f = begin_narrow(seed);
        struct raw_client *pending = fixture_connect(f);
        struct raw_client *sending = fixture_connect(f);
        struct raw_client *asking = fixture_connect(f);
        struct raw_client *reading = fixture_connect(f);
        struct raw_answer answer;

        f->held = true;
        raw_client_pause_reading(reading, true);
        raw_client_post(pending, "/slow", "", "in flight", 9);
        raw_client_send_text(sending,
                             "POST /admit HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
        raw_client_send_text(asking, "GET /hello HTTP/1.1\r\nHo");
        raw_client_ask(reading, "GET", "/large", seed % 2 == 0 ? "Connection: close\r\n" : "");
        fixture_run_for(f, 20);
        fixture_stop(f);
        fixture_run_for(f, 20);
        cr_assert(eq(u32, fixture_connection_count(f), 4), "seed %lu", seed);
        raw_client_send_text(sending, "dy");
        raw_client_send_text(asking, "st: a\r\n\r\n");
        raw_client_pause_reading(reading, false);
        f->held = false;
        fixture_until_stopped(f);
        cr_assert(eq(int, sim_driver_run_for(&f->driver, 10000000), SIM_REACHED));
        cr_assert(raw_client_next(pending, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 200), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(raw_client_next(sending, false, &answer), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(raw_client_next(asking, false, &answer), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(raw_client_next(reading, false, &answer), "seed %lu", seed);
        cr_assert(eq(sz, answer.body.size, FIXTURE_LARGE_SIZE), "seed %lu", seed);
        cr_assert(eq(u32, f->given_count, 2), "seed %lu", seed);
        cr_assert(lt(u64, f->world->mono_ns, SIM_START_MONO_NS + 1000000000), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_end, answers_the_first_of_many_pipelined_requests_when_the_server_stops)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = fixture_begin_seed(seed);
        struct raw_client *client = fixture_connect(f);
        struct raw_answer answer;

        f->held = true;
        for (uint32_t i = 0; i < 10; i++)
            raw_client_post(client, "/slow", "", "next", 4);
        fixture_run_for(f, 10);
        fixture_stop(f);
        f->held = false;
        fixture_until_stopped(f);
        cr_assert(eq(int, sim_driver_run_for(&f->driver, 10000000), SIM_REACHED));
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(eq(sz, raw_client_unread_size(client), 0), "seed %lu", seed);
        cr_assert(eq(u32, f->request_count, 1), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_end, stops_though_a_handler_never_answers)
{
    struct fixture *f = fixture_begin_seed(1);
    struct raw_client *client = fixture_connect(f);

    f->held = true;
    raw_client_post(client, "/slow", "", "never", 5);
    fixture_run_for(f, 10);
    fixture_stop(f);
    fixture_until_stopped(f);
    cr_assert(eq(u32, f->abandon_count, 1));
    fixture_end(&f);
}

/* --- buffers run out ------------------------------------------------------------------- */

/* Four buffers for input; the answers' class is apart. */
static struct fixture *begin_poor(uint64_t seed, uint32_t small_count)
{
    struct fixture_options options = fixture_options(seed);

    options.buffers[0] = (struct buffer_class){1024, small_count};
    options.buffers[1] = (struct buffer_class){4096, 4};
    options.buffer_class_count = 2;
    return fixture_begin(&options);
}

static void occupy(struct fixture *f, struct raw_client *clients[4])
{
    for (uint32_t i = 0; i < 4; i++) {
        clients[i] = fixture_connect(f);
        raw_client_send_text(clients[i],
                             "POST /admit HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
    }
    fixture_run_for(f, 10);
    cr_assert(eq(u64, fixture_buffer_used(f), 4 * 4096));
}

Test(connection_end, answers_503_when_no_buffer_is_free_for_a_request)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_poor(seed, 8);
        struct raw_client *clients[4];
        struct raw_client *head, *body, *whole;

        f->laptop->faults.split.chance_ppm = 0;
        occupy(f, clients);
        head = fixture_connect(f);
        body = fixture_connect(f);
        whole = fixture_connect(f);
        raw_client_send_text(head, "GET /hello HTTP/1.1\r\n");
        raw_client_send_text(body,
                             "POST /admit HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
        raw_client_ask(whole, "GET", "/hello", "");
        fixture_until_closed(f, head);
        fixture_until_closed(f, body);
        fixture_until_answers(f, whole, 1);
        cr_assert(next_status_is(head, 503), "seed %lu", seed);
        cr_assert(next_status_is(body, 503), "seed %lu", seed);
        cr_assert(raw_client_next_is(whole, 200, "hello"), "seed %lu", seed);
        cr_assert(eq(u32, f->abandon_count, 1), "seed %lu", seed);
        for (uint32_t i = 0; i < 4; i++) {
            raw_client_send_text(clients[i], "dy");
            fixture_until_answers(f, clients[i], 1);
            cr_assert(raw_client_next_is(clients[i], 200, "body"), "seed %lu", seed);
        }
        raw_client_send_text(whole, "GET /hello HTTP/1.1\r\n");
        fixture_run_for(f, 5);
        raw_client_send_text(whole, "Host: a\r\n\r\n");
        fixture_until_answers(f, whole, 2);
        cr_assert(raw_client_next_is(whole, 200, "hello"), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_end, closes_without_an_answer_when_there_is_no_buffer_for_one)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin_poor(seed, 1);
        struct raw_client *clients[4];
        struct raw_client *reader, *other;

        f->laptop->faults.split.chance_ppm = 0;
        f->held = true;
        f->server->faults.net_latency_ns = (struct sim_range){20000000, 20000000};
        occupy(f, clients);
        reader = fixture_connect(f);
        raw_client_ask(reader, "GET", "/hello", ""); /* its answer holds the one small buffer */
        fixture_run_for(f, 5);
        other = fixture_connect(f);
        raw_client_post(other, seed % 2 == 0 ? "/admit" : "/slow", "", "other", 5);
        fixture_run_for(f, 5);
        f->held = false;
        fixture_until_closed(f, other);
        fixture_until_answers(f, reader, 1);
        cr_assert(eq(sz, other->in_size, 0), "seed %lu", seed);
        cr_assert(raw_client_next_is(reader, 200, "hello"), "seed %lu", seed);
        cr_assert(eq(u32, f->abandon_count, 1), "seed %lu", seed);
        cr_assert(eq(u32, f->log_line_count, 0), "seed %lu", seed); /* overload is no failure */
        fixture_end(&f);
    }
}

Test(connection_end, answers_503_when_no_buffer_is_free_to_decompress)
{
    struct fixture *f = begin_poor(1, 8);
    struct raw_client *clients[4];
    struct raw_client *client;
    unsigned char packed[256];
    uLongf packed_size = sizeof(packed);

    cr_assert(eq(int, compress2(packed, &packed_size, (const unsigned char *)"body", 4, 9), Z_OK));
    f->laptop->faults.split.chance_ppm = 0;
    occupy(f, clients);
    client = fixture_connect(f);
    fixture_run_for(f, 5);
    client->piece_size_max = 0;
    raw_client_post(client, "/echo", "Content-Encoding: deflate\r\n", (const char *)packed,
                    packed_size);
    fixture_run_for(f, 20);
    cr_assert(next_status_is(client, 503));
    fixture_end(&f);
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/http/http_fixture.h"

/*
 * Much at once: a pipeline longer than any buffer, a thousand connections, receive
 * buffers that run out. Memory stays bounded and everybody is answered.
 */
TestSuite(connection_load, .timeout = 100);

/*
 * What one connection may hold however much is pipelined: two buffers for output and one
 * for input, which may be the next larger one when a cancelled receive ends late.
 */
enum { HELD_MAX = 2 * 65536 + 262144 };

static uint64_t run_and_watch(struct fixture *f, struct raw_client *client, uint32_t count)
{
    uint64_t used_max = 0;

    for (uint32_t i = 0; i < 100000 && raw_client_answer_count(client) < count; i++) {
        fixture_run_for(f, 1);
        used_max = max_u64(used_max, fixture_buffer_used(f));
    }
    cr_assert(eq(u32, raw_client_answer_count(client), count), "seed %lu", f->options.seed);
    return used_max;
}

Test(connection_load, bounds_what_a_huge_pipeline_may_occupy_and_answers_all_of_it)
{
    enum { COUNT = 8000 };

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;
        char text[FIXTURE_SLOW_SIZE_MAX];

        options.socket_buffer_size = 32768;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        for (uint32_t i = 0; i < COUNT; i++) {
            size_t size = (size_t)snprintf(text, sizeof(text), "number %u", i);

            raw_client_post(client, i % 64 == 63 ? "/slow" : "/echo", "", text, size);
        }
        cr_assert(le(u64, run_and_watch(f, client, COUNT), HELD_MAX), "seed %lu", seed);
        for (uint32_t i = 0; i < COUNT; i++) {
            (void)snprintf(text, sizeof(text), "number %u", i);
            cr_assert(raw_client_next_is(client, 200, text), "seed %lu, %u", seed, i);
        }
        fixture_end(&f);
    }
}

Test(connection_load, stops_receiving_while_an_answer_is_awaited_and_the_input_is_long)
{
    enum { COUNT = 5000 };

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;

        options.socket_buffer_size = 16384;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        f->held = true;
        raw_client_post(client, "/slow", "", "first", 5);
        for (uint32_t i = 0; i < COUNT; i++)
            raw_client_ask(client, "GET", "/hello", "");
        fixture_run_for(f, 1000);
        /* The rest waits in the client's machine. */
        cr_assert(le(sz, client->out_sent,
                     HTTP_INPUT_PIPELINED_MAX + 2 * options.receive_buffer_size +
                         2 * options.socket_buffer_size),
                  "seed %lu", seed);
        cr_assert(le(u64, fixture_buffer_used(f), HELD_MAX));
        cr_assert(eq(u32, fixture_lent_count(f), 0));
        f->held = false;
        cr_assert(le(u64, run_and_watch(f, client, COUNT + 1), HELD_MAX), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_load, stops_answering_while_the_peer_does_not_read)
{
    enum { COUNT = 5000 };

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client;

        options.socket_buffer_size = 16384;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        raw_client_pause_reading(client, true);
        for (uint32_t i = 0; i < COUNT; i++)
            raw_client_ask(client, "GET", "/hello", "");
        fixture_run_for(f, 2000);
        cr_assert(lt(u32, f->request_count, 1000), "seed %lu", seed);
        cr_assert(le(u64, fixture_buffer_used(f), HELD_MAX));
        raw_client_pause_reading(client, false);
        cr_assert(le(u64, run_and_watch(f, client, COUNT), HELD_MAX), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_load, serves_a_thousand_connections)
{
    enum { COUNT = 1000 };
    static struct raw_client *clients[COUNT];

    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;

        options.shard_count = 2;
        options.limits.connection_count_max = COUNT;
        options.receive_buffer_count = 16; /* they have to take turns */
        options.buffers[0].count = 2 * COUNT;
        options.buffers[1].count = COUNT;
        f = fixture_begin(&options);
        for (uint32_t i = 0; i < COUNT; i++) {
            clients[i] = fixture_connect(f);
            clients[i]->piece_size_max = i % 4 == 0 ? 30 : 0;
        }
        for (uint32_t round = 1; round <= 3; round++) {
            for (uint32_t i = 0; i < COUNT; i++)
                raw_client_post(clients[i], (i + round) % 2 == 0 ? "/slow" : "/echo", "",
                                "one of many", 11);
            for (uint32_t i = 0; i < COUNT; i++) {
                fixture_until_answers(f, clients[i], round);
                cr_assert(raw_client_next_is(clients[i], 200, "one of many"), "seed %lu, %u", seed,
                          i);
            }
        }
        cr_assert(eq(u32, fixture_connection_count(f), COUNT));
        cr_assert(eq(u64, fixture_metric(f, f->metrics.connections), COUNT));
        fixture_run_for(f, 10);
        cr_assert(eq(u64, fixture_buffer_used(f), 0));
        cr_assert(eq(u32, fixture_lent_count(f), 0));
        fixture_end(&f);
    }
}

Test(connection_load, keeps_an_answer_though_no_buffer_is_free_for_what_is_pipelined_behind_it)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fixture_options options = fixture_options(seed);
        struct fixture *f;
        struct raw_client *client, *other;
        struct raw_answer answer;

        options.buffers[0] = (struct buffer_class){1024, 4};
        options.buffers[1] = (struct buffer_class){4096, 1};
        options.buffer_class_count = 2;
        f = fixture_begin(&options);
        other = fixture_connect(f);
        raw_client_send_text(other, "GET /hello HTTP/1.1\r\nHost"); /* has the only one for input */
        fixture_run_for(f, 5);
        client = fixture_connect(f);
        f->held = true;
        f->laptop->faults.split.chance_ppm = 0;
        raw_client_send_text(client,
                             "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst");
        fixture_run_for(f, 5);
        for (uint32_t i = 0; i < 100; i++)
            raw_client_ask(client, "GET", "/hello", "");
        fixture_run_for(f, 20);
        f->held = false;
        fixture_until_closed(f, client);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 200), "seed %lu", seed);
        cr_assert(answer.says_close, "seed %lu", seed);
        cr_assert(eq(sz, raw_client_unread_size(client), 0), "seed %lu", seed);
        raw_client_send_text(other, ": a\r\n\r\n");
        fixture_until_answers(f, other, 1);
        fixture_end(&f);
    }
}

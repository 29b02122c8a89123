#include "http/connection_tls.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "tests/http/http_fixture.h"
#include "tests/http/tls_fixture.h"

/*
 * Connections with TLS in the simulated world, both ends: handshakes that go wrong, ends,
 * bounds, what is shared. That requests are answered the same as without TLS is in
 * test_connection_property.c. fixture_end() asserts each time that nothing is left.
 */
enum { SEED_COUNT = 40, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };

TestSuite(connection_tls, .timeout = 100);

static struct fixture_options tls_options(uint64_t seed)
{
    struct fixture_options options = fixture_options(seed);

    options.is_tls = true;
    return options;
}

static struct fixture *begin(uint64_t seed)
{
    struct fixture_options options = tls_options(seed);

    return fixture_begin(&options);
}

static uint64_t handshakes(const struct fixture *f, enum tls_outcome outcome)
{
    return fixture_metric(f, f->metrics.tls_handshakes[outcome]);
}

static uint64_t truncated(const struct fixture *f)
{
    return fixture_metric(f, f->metrics.tls_truncated);
}

static void ask_and_hear(struct fixture *f, struct raw_client *client)
{
    raw_client_ask(client, "GET", "/hello", "");
    fixture_until_answers(f, client, raw_client_answer_count(client) + 1);
    cr_assert(raw_client_next_is(client, 200, "hello"), "seed %lu", f->options.seed);
}

/* --- handshakes ------------------------------------------------------------------ */

Test(connection_tls, serves_whatever_the_pieces)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = tls_options(seed);
        struct raw_client *client;
        struct fixture *f;

        options.receive_buffer_size = seed % 3 == 0 ? 16 : 4096;
        options.socket_buffer_size = seed % 4 == 0 ? 300 : 65536;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        client->piece_size_max = (uint32_t)(seed % 7);
        ask_and_hear(f, client);
        ask_and_hear(f, client);
        cr_assert(eq(u64, handshakes(f, TLS_OUTCOME_FULL), 1), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_tls, gives_a_large_answer_and_takes_a_large_body)
{
    static char body[FIXTURE_UPLOAD_SIZE_MAX];

    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *client = fixture_connect(f);
        struct raw_answer answer;

        raw_client_ask(client, "GET", "/large", "");
        raw_client_post(client, "/upload", "", body, sizeof(body));
        fixture_until_answers(f, client, 2);
        cr_assert(raw_client_next(client, false, &answer));
        cr_assert(eq(sz, answer.body.size, FIXTURE_LARGE_SIZE));
        cr_assert(raw_client_next_is(client, 200, "1048576 0"));
        fixture_end(&f);
    }
}

Test(connection_tls, gives_a_slow_handshake_the_time_of_a_head)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *mute = fixture_connect_plain(f);
        struct raw_client *slow = fixture_connect_plain(f);

        raw_client_send_text(slow, "\x16\x03\x01");
        for (uint32_t i = 0; i < 9; i++) {
            fixture_run_for(f, 100);
            raw_client_send_text(slow, "\x01"); /* a byte now and then does not help */
        }
        cr_assert(not(mute->saw_end), "seed %lu", seed);
        fixture_run_for(f, 200);
        cr_assert(mute->saw_end, "seed %lu", seed);
        cr_assert(slow->saw_end || slow->saw_reset, "seed %lu", seed);
        cr_assert(
            eq(u64, handshakes(f, TLS_OUTCOME_TIMEOUT) + handshakes(f, TLS_OUTCOME_FAILED), 2),
            "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_tls, answers_plain_http_in_plain_text)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *client = fixture_connect_plain(f);
        struct raw_answer answer;

        client->piece_size_max = (uint32_t)(seed % 5);
        raw_client_post(client, "/echo", "", "0123456789", 10);
        fixture_until_closed(f, client);
        cr_assert(raw_client_next(client, false, &answer), "seed %lu", seed);
        cr_assert(eq(u32, answer.status, 400));
        cr_assert(answer.says_close);
        cr_assert(ne(ptr, memmem(answer.body.data, answer.body.size, "tls_required", 12), NULL));
        cr_assert(eq(u64, handshakes(f, TLS_OUTCOME_PLAIN), 1));
        cr_assert(eq(u32, f->request_count, 0));
        fixture_end(&f);
    }
}

Test(connection_tls, ends_what_speaks_something_else)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *client = fixture_connect_plain(f);
        char noise[600];

        rng_fill(&f->world->rng, noise, sizeof(noise));
        noise[0] = (char)(noise[0] | (char)0x80);
        client->piece_size_max = (uint32_t)(seed % 100);
        raw_client_send(client, noise, sizeof(noise));
        fixture_until_closed(f, client);
        cr_assert(
            eq(u64, handshakes(f, TLS_OUTCOME_FAILED) + handshakes(f, TLS_OUTCOME_TIMEOUT), 1),
            "seed %lu", seed);
        fixture_end(&f);
    }
}

/* What the server has said so far, into TLS; what that has to say, to the server. */
static void relay(struct raw_client *client, struct tls_client *tls, size_t *fed)
{
    char wire[TLS_CLIENT_WIRE_SIZE];
    size_t size;

    *fed += tls_client_feed(tls, client->in + *fed, client->in_size - *fed);
    while ((size = tls_client_take_wire(tls, wire, sizeof(wire))) > 0)
        raw_client_send(client, wire, size);
}

/* Counts the answers among the plain bytes. */
static uint32_t count_hellos(struct raw_client *client, struct tls_client *tls, size_t *fed)
{
    struct slice plain;
    uint32_t count = 0;

    do {
        relay(client, tls, fed);
        plain = tls_client_plain(tls);
        for (size_t i = 4; i < plain.size; i++)
            count += memcmp(plain.data + i - 4, "hello", 5) == 0;
        if (plain.size > 0)
            tls_client_plain_taken(tls, plain.size);
    } while (plain.size > 0);
    return count;
}

/* As RFC 7918 permits it: the requests come with the client's last flight. */
Test(connection_tls, takes_requests_that_come_before_the_handshake_is_over)
{
    static const char request[] = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
    static struct tls_client tls;
    uint32_t answer_count = 0;

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        uint8_t secret[TLS_CLIENT_SEED_SIZE] = {(uint8_t)seed};
        struct raw_client *client = fixture_connect_plain(f);
        char wire[TLS_CLIENT_WIRE_SIZE];
        size_t fed = 0, size = 0;

        client->piece_size_max = seed % 2 == 0 ? 0 : 100;
        tls_client_start(&tls, tls_fixture_trust(), SLICE_LITERAL(TLS_FIXTURE_NAME), NULL,
                         UINT64_C(1750000000000), secret);
        relay(client, &tls, &fed);
        fixture_run_for(f, 100);
        fed += tls_client_feed(&tls, client->in, client->in_size);
        size = tls_client_take_wire(&tls, wire, sizeof(wire));
        tls.engine.eng.application_data = 1;
        tls.engine.eng.record_type_out = RECORD_DATA;
        for (uint32_t i = 0; i < 3; i++) {
            cr_assert(
                eq(sz, tls_client_write(&tls, request, sizeof(request) - 1), sizeof(request) - 1));
            size += tls_client_take_wire(&tls, wire + size, sizeof(wire) - size);
        }
        tls.engine.eng.application_data = 0;
        tls.engine.eng.record_type_out = RECORD_HANDSHAKE;
        raw_client_send(client, wire, size);
        fixture_run_for(f, 100);
        answer_count = count_hellos(client, &tls, &fed);
        cr_assert(eq(u32, answer_count, 3), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_tls, drops_a_connection_whose_record_is_damaged_and_says_nothing_of_it)
{
    static const char record[] = "\x17\x03\x03\x00\x20................................";

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *client = fixture_connect(f);

        ask_and_hear(f, client);
        if (seed % 2 == 0) /* with an answer on the way */
            raw_client_ask(client, "GET", "/large", "");
        if (seed % 4 == 1) /* with one awaited */
            raw_client_post(client, "/slow", "", "abc", 3);
        raw_client_send_wire(client, record, sizeof(record) - 1);
        raw_client_ask(client, "GET", "/hello", "");
        fixture_until_closed(f, client);
        cr_assert(le(u32, f->request_count, 3), "seed %lu", seed);
        cr_assert(eq(u64, handshakes(f, TLS_OUTCOME_FAILED), 0), "seed %lu", seed);
        fixture_end(&f);
    }
}

/* --- ends ------------------------------------------------------------------------ */

Test(connection_tls, says_farewell_before_it_closes)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *asked = fixture_connect(f);
        struct raw_client *idle = fixture_connect(f);

        asked->stays_open = true;
        idle->stays_open = true;
        ask_and_hear(f, idle);
        raw_client_ask(asked, "GET", "/close", "");
        fixture_until_closed(f, asked);
        cr_assert(raw_client_next_is(asked, 200, "bye"), "seed %lu", seed);
        cr_assert(tls_engine_has_farewell(&asked->tls->engine.eng), "seed %lu", seed);
        cr_assert(not(idle->saw_end));
        fixture_until_closed(f, idle);
        cr_assert(tls_engine_has_farewell(&idle->tls->engine.eng), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_tls, says_farewell_to_idle_ones_when_the_server_stops)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *idle = fixture_connect(f);
        struct raw_client *busy = fixture_connect(f);

        ask_and_hear(f, idle);
        raw_client_post(busy, "/slow", "", "abc", 3);
        while (f->taken_count == 0)
            fixture_run_for(f, 1);
        fixture_stop(f);
        fixture_until_stopped(f);
        cr_assert(tls_engine_has_farewell(&idle->tls->engine.eng), "seed %lu", seed);
        cr_assert(raw_client_next_is(busy, 200, "abc"), "seed %lu", seed);
        cr_assert(tls_engine_has_farewell(&busy->tls->engine.eng), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_tls, answers_a_farewell_and_ends)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *client = fixture_connect(f);

        client->stays_open = true;
        ask_and_hear(f, client);
        raw_client_farewell(client);
        fixture_until_closed(f, client);
        cr_assert(client->saw_farewell, "seed %lu", seed);
        cr_assert(eq(u64, truncated(f), 0), "seed %lu", seed);
        cr_assert(eq(u32, fixture_connection_count(f), 0), "seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_tls, counts_an_end_without_a_farewell)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *client = fixture_connect(f);

        ask_and_hear(f, client);
        raw_client_send_text(client,
                             "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx");
        raw_client_finish(client);
        fixture_until_closed(f, client);
        cr_assert(eq(u64, truncated(f), 1), "seed %lu", seed);
        cr_assert(eq(u32, f->request_count, 1), "half a request was taken, seed %lu", seed);
        fixture_end(&f);
    }
}

Test(connection_tls, ends_a_peer_that_does_not_read)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct fixture_options options = tls_options(seed);
        struct raw_client *client;
        struct fixture *f;

        options.socket_buffer_size = 20000;
        f = fixture_begin(&options);
        client = fixture_connect(f);
        ask_and_hear(f, client);
        raw_client_pause_reading(client, true);
        raw_client_ask(client, "GET", "/large", "");
        fixture_run_for(f, 2900);
        cr_assert(eq(u32, fixture_connection_count(f), 1), "seed %lu", seed);
        fixture_run_for(f, 200);
        cr_assert(eq(u32, fixture_connection_count(f), 0), "seed %lu", seed);
        fixture_end(&f);
    }
}

/* The write time-out is for a part of an answer, however small the records are. */
Test(connection_tls, ends_a_peer_that_reads_a_record_now_and_then)
{
    struct fixture_options options = tls_options(1);
    struct raw_client *client;
    struct fixture *f;

    options.socket_buffer_size = 2000;
    f = fixture_begin(&options);
    client = fixture_connect(f);
    ask_and_hear(f, client);
    raw_client_ask(client, "GET", "/large", "");
    for (uint32_t i = 0; i < 60 && fixture_connection_count(f) > 0; i++) {
        raw_client_pause_reading(client, true);
        fixture_run_for(f, 300);
        raw_client_pause_reading(client, false);
        fixture_run_for(f, 0);
    }
    cr_assert(eq(u32, fixture_connection_count(f), 0));
    cr_assert(lt(sz, client->in_size, FIXTURE_LARGE_SIZE));
    fixture_end(&f);
}

Test(connection_tls, leaves_nothing_wherever_the_server_stops)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct fixture_options options = tls_options(seed);
        struct fixture *f;

        options.shard_count = 1 + seed % 2;
        f = fixture_begin(&options);
        for (uint32_t i = 0; i < 4; i++) {
            struct raw_client *client = fixture_connect(f);

            client->piece_size_max = 200;
            client->pause_ns_max = 500000;
            raw_client_ask(client, "GET", i % 2 == 0 ? "/hello" : "/large", "");
        }
        cr_assert(eq(int, sim_driver_run_for(&f->driver, rng_below(&f->world->rng, 5000000)),
                     SIM_REACHED));
        fixture_end(&f);
    }
}

/* --- bounds ---------------------------------------------------------------------- */

Test(connection_tls, closes_the_longest_idle_one_at_its_limit)
{
    struct fixture_options options = tls_options(1);
    struct raw_client *clients[5];
    struct fixture *f;

    options.tls_limits.connection_count_max = 4;
    f = fixture_begin(&options);
    for (uint32_t i = 0; i < 5; i++) {
        clients[i] = fixture_connect(f);
        ask_and_hear(f, clients[i]);
        fixture_run_for(f, CONNECTION_EVICT_IDLE_MS + 1);
    }
    cr_assert(clients[0]->saw_end);
    cr_assert(tls_engine_has_farewell(&clients[0]->tls->engine.eng));
    for (uint32_t i = 1; i < 5; i++)
        cr_assert(not(clients[i]->saw_end), "client %u", i);
    cr_assert(eq(u64, fixture_metric(f, f->metrics.connections_evicted), 1));
    fixture_end(&f);
}

Test(connection_tls, ends_a_connection_when_no_buffer_is_left_for_what_it_must_keep)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = tls_options(seed);
        struct fixture *f;

        options.buffers[0].count = 2;
        options.buffers[1].count = 1;
        options.buffer_class_count = 2;
        f = fixture_begin(&options);
        for (uint32_t i = 0; i < 8; i++) {
            struct raw_client *client = fixture_connect(f);

            client->piece_size_max = 100;
            for (uint32_t j = 0; j < 20; j++)
                raw_client_post(client, "/echo", "", "0123456789", 10);
        }
        fixture_run_for(f, 3000);
        fixture_end(&f);
    }
}

/* --- what is shared ---------------------------------------------------------------- */

static struct raw_client *connect_again(struct fixture *f, const struct raw_client *first)
{
    struct raw_client *client = fixture_connect_plain(f);
    br_ssl_session_parameters session;

    tls_client_session(first->tls, &session);
    raw_client_start_tls(client, tls_fixture_trust(), TLS_FIXTURE_NAME, &session);
    return client;
}

Test(connection_tls, resumes_a_session_on_any_shard)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture_options options = tls_options(seed);
        struct raw_client *first;
        struct fixture *f;

        options.shard_count = 2;
        f = fixture_begin(&options);
        first = fixture_connect(f);
        ask_and_hear(f, first);
        fixture_run_for(f, 10);
        for (uint32_t i = 0; i < 6; i++)
            ask_and_hear(f, connect_again(f, first));
        cr_assert(eq(u64, handshakes(f, TLS_OUTCOME_FULL), 1), "seed %lu", seed);
        cr_assert(eq(u64, handshakes(f, TLS_OUTCOME_RESUMED), 6), "seed %lu", seed);
        fixture_end(&f);
    }
}

static void give_identity(struct fixture *f)
{
    for (uint32_t i = 0; i < f->options.shard_count; i++) {
        uint64_t words[1] = {(uintptr_t)tls_fixture_identity()};

        cr_assert(eq(int,
                     runtime_post(f->runtime, f->listeners[i], MSG_LISTENER_IDENTITY, 0, words,
                                  sizeof(words)),
                     SEND_OK));
    }
    fixture_run_for(f, 10);
}

Test(connection_tls, takes_another_identity_while_it_serves)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture *f = begin(seed);
        struct raw_client *kept = fixture_connect(f);
        struct raw_client *late = fixture_connect(f);

        ask_and_hear(f, kept);
        late->piece_size_max = 10; /* in the middle of its handshake */
        late->pause_ns_max = 1000000;
        fixture_run_for(f, 1);
        give_identity(f);
        ask_and_hear(f, kept);
        ask_and_hear(f, late);
        ask_and_hear(f, connect_again(f, kept));
        cr_assert(eq(u64, handshakes(f, TLS_OUTCOME_RESUMED), 0), "seed %lu", seed);
        give_identity(f);
        fixture_end(&f);
    }
}

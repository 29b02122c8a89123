#include "http/tls_server.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "http/tls_client.h"
#include "tests/http/tls_fixture.h"

/*
 * Both engines in one process, their wires pumped by hand: whole, in pieces of every size,
 * cut at every byte. The client is ours too; other peers are in tests/e2e/test_tls.py.
 */
enum {
    WIRE_SIZE_MAX = 256 * 1024,
    TEXT_SIZE = 40000,
    TURN_COUNT_MAX = 1000000,
    SESSION_COUNT = 16,
    RECORD_HANDSHAKE = 22,
    RECORD_DATA = 23,
};

static struct tls_server server;
static struct tls_client client;
static struct tls_identity *identity;
static struct tls_server_sessions sessions;
static uint64_t now_ns;
static size_t piece_size;
static char text[TEXT_SIZE];

static const uint64_t UNIX_MS = UINT64_C(1750000000000);

static void setup(void)
{
    identity = tls_fixture_identity();
    now_ns = 1;
    piece_size = SIZE_MAX;
    cr_assert(eq(int, tls_server_sessions_init(&sessions, SESSION_COUNT, 1000), 0));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i * 7 % 26);
}

static void teardown(void)
{
    tls_server_sessions_deinit(&sessions);
    tls_identity_unref(&identity);
}

TestSuite(tls_server, .init = setup, .fini = teardown, .timeout = 60);

static br_ssl_engine_context *ours(void)
{
    return tls_server_engine(&server);
}

static void begin(const br_ssl_session_parameters *session)
{
    static uint8_t count;
    uint8_t seed[TLS_SERVER_SEED_SIZE] = {1};

    seed[1] = ++count;
    tls_server_start(&server, identity, &sessions, &now_ns, seed);
    seed[2] = 2;
    tls_client_start(&client, tls_fixture_trust(), SLICE_LITERAL(TLS_FIXTURE_NAME), session,
                     UNIX_MS, seed);
}

/* Moves a piece of what one end has to say to the other; false when it has nothing. */
static bool move(br_ssl_engine_context *from, br_ssl_engine_context *to)
{
    struct slice wire = tls_engine_wire(from);
    size_t size = min_u64(wire.size, piece_size);

    if (size == 0 || tls_engine_error(to) != 0)
        return false;
    if (to == ours())
        size = tls_server_feed(&server, wire.data, size);
    else
        size = tls_engine_feed(to, wire.data, size);
    if (size > 0)
        tls_engine_wire_sent(from, size);
    return size > 0;
}

/* Until neither end has anything to say. */
static void pump(void)
{
    for (uint32_t i = 0; i < TURN_COUNT_MAX; i++) {
        bool has_moved = move(&client.engine.eng, ours());

        if (!move(ours(), &client.engine.eng) && !has_moved)
            return;
    }
    cr_assert(false, "they never stop");
}

/* Sends text from one end; what comes out of the other must be it. */
static void carry(br_ssl_engine_context *from, br_ssl_engine_context *to)
{
    size_t written = 0, read = 0;

    while (read < sizeof(text)) {
        struct slice plain;

        written += tls_engine_write(from, text + written, sizeof(text) - written);
        pump();
        plain = tls_engine_plain(to);
        cr_assert(lt(sz, 0, plain.size));
        cr_assert(le(sz, read + plain.size, written));
        cr_assert(eq(int, memcmp(plain.data, text + read, plain.size), 0));
        read += plain.size;
        tls_engine_plain_taken(to, plain.size);
    }
}

static void assert_open(bool is_resumed)
{
    cr_assert(tls_engine_is_open(ours()), "error %d", tls_engine_error(ours()));
    cr_assert(tls_client_is_open(&client), "error %d", tls_client_error(&client));
    cr_assert(eq(int, server.is_resumed, is_resumed));
}

Test(tls_server, speaks_with_our_client_in_pieces_of_any_size)
{
    static const size_t SIZES[] = {1, 2, 3, 4, 5, 6, 7, 13, 64, 100, 1000, 16384, SIZE_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(SIZES); i++) {
        piece_size = SIZES[i];
        begin(NULL);
        pump();
        assert_open(false);
        carry(&client.engine.eng, ours());
        carry(ours(), &client.engine.eng);
        cr_assert(eq(str, (char *)br_ssl_engine_get_selected_protocol(ours()), "http/1.1"));
    }
}

/* Feeds all of wire, cut once; what is said to it stays in the engine. */
static void feed_cut(const char *wire, size_t size, size_t cut)
{
    cr_assert(eq(sz, tls_server_feed(&server, wire, cut), cut));
    cr_assert(not(tls_engine_is_open(ours())));
    cr_assert(eq(sz, tls_server_feed(&server, wire + cut, size - cut), size - cut));
}

Test(tls_server, takes_a_flight_of_the_handshake_cut_anywhere)
{
    struct slice hello;
    size_t size;

    begin(NULL);
    size = tls_engine_wire(&client.engine.eng).size;
    cr_assert(lt(sz, 100, size));
    for (size_t cut = 0; cut <= size; cut++) {
        begin(NULL);
        hello = tls_engine_wire(&client.engine.eng);
        feed_cut(hello.data, hello.size, cut);
        cr_assert(eq(int, tls_engine_error(ours()), 0), "cut at %zu", cut);
        cr_assert(lt(sz, 0, tls_engine_wire(ours()).size), "cut at %zu", cut);
    }
}

/* Moves all that one end has to say to the other, and no answers. */
static void move_all(br_ssl_engine_context *from, br_ssl_engine_context *to)
{
    while (move(from, to))
        continue;
}

/* Lets our client write although its handshake is not over. */
static void set_early(bool is_early)
{
    client.engine.eng.application_data = is_early;
    client.engine.eng.record_type_out = is_early ? RECORD_DATA : RECORD_HANDSHAKE;
}

/*
 * Some clients send as soon as they have said their last word of the handshake (RFC 7918).
 * Ours does not by itself.
 */
Test(tls_server, takes_what_a_client_sends_before_the_handshake_is_over)
{
    struct slice wire;

    begin(NULL);
    move_all(&client.engine.eng, ours());
    move_all(ours(), &client.engine.eng);
    move_all(&client.engine.eng, ours());
    cr_assert(not(tls_client_is_open(&client)));
    set_early(true);
    cr_assert(eq(sz, tls_client_write(&client, text, 100), 100));
    wire = tls_engine_wire(&client.engine.eng);
    cr_assert(eq(sz, tls_server_feed(&server, wire.data, wire.size), 0));
    set_early(false);
    for (uint32_t i = 0; i < 2; i++) { /* cipher spec and last word, each in a record */
        cr_assert(eq(sz, tls_server_feed(&server, wire.data, wire.size), 0));
        cr_assert(move(ours(), &client.engine.eng));
    }
    cr_assert(tls_engine_is_open(ours()));
    cr_assert(eq(sz, tls_server_feed(&server, wire.data, wire.size), wire.size));
    tls_engine_wire_sent(&client.engine.eng, wire.size);
    cr_assert(tls_client_is_open(&client));
    cr_assert(eq(sz, tls_engine_plain(ours()).size, 100));
    cr_assert(eq(int, memcmp(tls_engine_plain(ours()).data, text, 100), 0));
}

Test(tls_server, resumes_a_session)
{
    br_ssl_session_parameters session;

    begin(NULL);
    pump();
    assert_open(false);
    tls_client_session(&client, &session);
    for (uint32_t i = 0; i < 3; i++) {
        begin(&session);
        pump();
        assert_open(true);
        carry(&client.engine.eng, ours());
    }
}

Test(tls_server, makes_a_full_handshake_when_the_session_is_over)
{
    br_ssl_session_parameters session;

    begin(NULL);
    pump();
    tls_client_session(&client, &session);
    now_ns += 1000 * UINT64_C(1000000) - 1;
    begin(&session);
    pump();
    assert_open(true);
    now_ns++;
    begin(&session);
    pump();
    assert_open(false);
}

Test(tls_server, makes_a_full_handshake_when_its_sessions_were_cleared)
{
    br_ssl_session_parameters session;

    begin(NULL);
    pump();
    tls_client_session(&client, &session);
    tls_server_sessions_clear(&sessions);
    begin(&session);
    pump();
    assert_open(false);
}

Test(tls_server, fails_when_the_client_changes_its_mind_about_the_secret)
{
    br_ssl_session_parameters session;

    begin(NULL);
    pump();
    tls_client_session(&client, &session);
    session.master_secret[0] ^= 1;
    begin(&session);
    pump();
    cr_assert(not(tls_engine_is_open(ours())));
    cr_assert(not(tls_client_is_open(&client)));
}

Test(tls_server, refuses_older_versions_with_an_alert)
{
    static const char protocol_version[] = "\x15\x03\x03\x00\x02\x02\x46";
    struct slice hello, alert;

    begin(NULL);
    br_ssl_engine_set_versions(&client.engine.eng, BR_TLS10, BR_TLS11);
    cr_assert(eq(int, br_ssl_client_reset(&client.engine, TLS_FIXTURE_NAME, 0), 1));
    hello = tls_engine_wire(&client.engine.eng);
    cr_assert(eq(sz, tls_server_feed(&server, hello.data, hello.size), hello.size));
    alert = tls_engine_wire(ours());
    cr_assert(slice_equal(alert, SLICE_LITERAL(protocol_version)));
    tls_engine_wire_sent(ours(), alert.size);
    cr_assert(ge(int, tls_engine_error(ours()), BR_ERR_SEND_FATAL_ALERT));
    cr_assert(not(tls_engine_is_open(ours())));
}

static void assert_refuses_suite(uint16_t suite)
{
    begin(NULL);
    br_ssl_engine_set_suites(&client.engine.eng, &suite, 1);
    cr_assert(eq(int, br_ssl_client_reset(&client.engine, TLS_FIXTURE_NAME, 0), 1));
    pump();
    cr_assert(not(tls_engine_is_open(ours())), "suite %04x", suite);
    cr_assert(ne(int, tls_engine_error(ours()), 0), "suite %04x", suite);
}

Test(tls_server, refuses_suites_without_forward_secrecy_or_with_cbc)
{
    assert_refuses_suite(BR_TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256);
    assert_refuses_suite(BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256);
    assert_refuses_suite(BR_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA);
    assert_refuses_suite(BR_TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA);
    assert_refuses_suite(BR_TLS_RSA_WITH_AES_128_GCM_SHA256);
}

Test(tls_server, refuses_a_client_that_wants_another_protocol)
{
    const char *protocols[] = {"h2"};

    begin(NULL);
    br_ssl_engine_set_protocol_names(&client.engine.eng, protocols, 1);
    cr_assert(eq(int, br_ssl_client_reset(&client.engine, TLS_FIXTURE_NAME, 0), 1));
    pump();
    cr_assert(eq(int, tls_client_error(&client),
                 BR_ERR_RECV_FATAL_ALERT + BR_ALERT_NO_APPLICATION_PROTOCOL));
}

Test(tls_server, refuses_to_renegotiate_and_stays_open)
{
    begin(NULL);
    br_ssl_engine_remove_flags(&client.engine.eng, BR_OPT_NO_RENEGOTIATION);
    pump();
    assert_open(false);
    cr_assert(eq(int, br_ssl_engine_renegotiate(&client.engine.eng), 1));
    pump();
    cr_assert(eq(int, tls_engine_error(ours()), 0));
    cr_assert(tls_engine_is_open(ours()));
    cr_assert(
        eq(int, tls_client_error(&client), BR_ERR_RECV_FATAL_ALERT + BR_ALERT_NO_RENEGOTIATION));
}

Test(tls_server, answers_a_farewell)
{
    begin(NULL);
    pump();
    cr_assert(not(tls_engine_has_farewell(ours())));
    br_ssl_engine_close(&client.engine.eng);
    cr_assert(move(&client.engine.eng, ours()));
    cr_assert(tls_engine_has_farewell(ours()));
    cr_assert(not(tls_engine_is_finished(ours())));
    pump();
    cr_assert(tls_engine_is_finished(ours()));
    cr_assert(tls_client_is_finished(&client));
}

Test(tls_server, says_farewell_once)
{
    begin(NULL);
    tls_server_close(&server); /* too early: nothing to say */
    pump();
    assert_open(false);
    tls_server_close(&server);
    tls_server_close(&server);
    pump();
    cr_assert(tls_client_is_finished(&client));
    cr_assert(tls_engine_is_finished(ours()));
}

Test(tls_server, gives_nothing_of_a_record_that_was_changed)
{
    for (size_t at = 0; at < 60; at++) {
        char wire[256];
        struct slice record;

        begin(NULL);
        pump();
        cr_assert(eq(sz, tls_engine_write(&client.engine.eng, text, 30), 30));
        record = tls_engine_wire(&client.engine.eng);
        cr_assert(le(sz, record.size, sizeof(wire)));
        if (at >= record.size)
            break;
        memcpy(wire, record.data, record.size);
        wire[at] = (char)(wire[at] ^ 1);
        (void)!tls_server_feed(&server, wire, record.size);
        cr_assert(eq(sz, tls_engine_plain(ours()).size, 0), "byte %zu", at);
    }
}

Test(tls_server, survives_a_client_whose_first_flights_are_damaged)
{
    uint32_t failed_count = 0;

    for (size_t at = 0; at < 400; at++) {
        struct slice wire;
        char copy[1024];

        if (at == 1 || at == 2)
            continue; /* the version of the first record, which nobody checks */
        begin(NULL);
        wire = tls_engine_wire(&client.engine.eng);
        cr_assert(le(sz, wire.size, sizeof(copy)));
        if (at >= wire.size)
            break;
        memcpy(copy, wire.data, wire.size);
        copy[at] = (char)(copy[at] ^ 0x80);
        (void)!tls_server_feed(&server, copy, wire.size);
        tls_engine_wire_sent(&client.engine.eng, wire.size);
        pump();
        cr_assert(not(tls_engine_is_open(ours())), "byte %zu", at);
        failed_count++;
    }
    cr_assert(lt(u32, 100, failed_count));
}

Test(tls_server_sessions, keeps_a_bounded_number)
{
    struct tls_server_sessions few;
    br_ssl_session_parameters parameters = {.session_id_len = TLS_SERVER_SESSION_ID_SIZE};
    uint32_t found_count = 0;

    cr_assert(eq(int, tls_server_sessions_init(&few, 8, 1000), 0));
    for (uint32_t i = 0; i < 100; i++) {
        memcpy(parameters.session_id, &i, sizeof(i));
        parameters.master_secret[0] = (unsigned char)i;
        tls_server_sessions_put(&few, &parameters, i + 1);
        cr_assert(tls_server_sessions_get(&few, i + 1, &parameters), "the newest is there");
    }
    for (uint32_t i = 0; i < 100; i++) {
        memcpy(parameters.session_id, &i, sizeof(i));
        if (!tls_server_sessions_get(&few, 100, &parameters))
            continue;
        cr_assert(eq(int, parameters.master_secret[0], i));
        cr_assert(ge(u32, i, 84), "an older one stayed in the place of a newer one");
        found_count++;
    }
    cr_assert(eq(u32, found_count, 8));
    tls_server_sessions_deinit(&few);
}

Test(tls_server_sessions, keeps_nothing_when_there_is_no_room)
{
    struct tls_server_sessions none;
    br_ssl_session_parameters parameters = {.session_id_len = TLS_SERVER_SESSION_ID_SIZE};

    cr_assert(eq(int, tls_server_sessions_init(&none, 0, 1000), 0));
    tls_server_sessions_put(&none, &parameters, 1);
    cr_assert(not(tls_server_sessions_get(&none, 1, &parameters)));
    tls_server_sessions_clear(&none);
    tls_server_sessions_deinit(&none);
}

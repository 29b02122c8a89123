#include "http/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "tests/http/client_scene.h"

/*
 * The way to a peer: which addresses a call may go to, and what becomes of it when a name,
 * an address, a descriptor or TLS is not there.
 */

TestSuite(client_reach, .init = scene_begin, .fini = scene_end);

/* One GET of a name with two addresses before that of the peer, which answers. */
static void run_past(const char *first, const char *second)
{
    struct fixture_name *name = client_fixture_name(fixture, "many.example", first);

    client_fixture_add_address(name, second);
    client_fixture_add_address(name, HOST);
    assert_outcome(run("http://many.example/"), HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
}

/* --- addresses ------------------------------------------------------------------ */

Test(client_reach, refuses_addresses_that_only_we_can_reach)
{
    static const char *const URLS[] = {
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fd00:ec2::254]/",
        "http://192.168.1.1:8080/",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://metadata.internal/x",
        "http://localhost/",
    };

    client_fixture_name(fixture, "metadata.internal", "169.254.169.254");
    client_fixture_name(fixture, "localhost", "127.0.0.1");
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++)
        assert_outcome(run(URLS[i]), HTTP_CLIENT_ADDRESS_REFUSED, HTTP_CLIENT_RESOLVING);
    cr_assert(eq(u64, fixture->client.stats.connect_count, 0));
}

Test(client_reach, does_not_ask_a_resolver_what_another_might_read_as_an_address)
{
    static const char *const URLS[] = {"http://2130706433/", "http://0x7f000001/",
                                       "http://0x7f.1/",     "http://0177.0.0.1/",
                                       "http://127.1/",      "http://127.0.0.1./"};

    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++)
        assert_outcome(run(URLS[i]), HTTP_CLIENT_RESOLVE_FAILED, HTTP_CLIENT_RESOLVING);
    cr_assert(eq(u64, fixture->client.resolver.lookup_count, 0));
}

Test(client_reach, leaves_out_the_addresses_that_are_refused)
{
    run_past("10.0.0.1", "fd00::1");
    cr_assert(eq(u64, fixture->client.stats.connect_count, 1));
}

Test(client_reach, checks_again_what_a_name_means_now)
{
    struct fixture_name *name = &fixture->names[0];

    assert_outcome(run("http://example.com/"), HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    name->address_count = 0;
    client_fixture_add_address(name, "127.0.0.1");
    client_fixture_run_for(fixture, 120000);
    assert_outcome(run("http://example.com/"), HTTP_CLIENT_ADDRESS_REFUSED, HTTP_CLIENT_RESOLVING);
}

Test(client_reach, goes_where_the_calls_own_policy_permits)
{
    static const struct address_policy neighbours = {.allow_private = true};
    struct fixture_call *c =
        client_fixture_prepare(fixture, HTTP_METHOD_GET, "http://inside.example/");
    struct peer *inside = client_fixture_peer(fixture, "10.0.0.200", 80);

    inside->on_request = on_request;
    client_fixture_name(fixture, "inside.example", "10.0.0.200");
    c->call.policy = &neighbours;
    client_fixture_go(c);
    client_fixture_until_done(fixture, c);
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    /* The kept connection is not for a call that may not go there. */
    assert_outcome(run("http://inside.example/"), HTTP_CLIENT_ADDRESS_REFUSED,
                   HTTP_CLIENT_RESOLVING);
    cr_assert(eq(u32, inside->request_count, 1));
}

/* --- the way there -------------------------------------------------------------- */

Test(client_reach, tells_a_name_that_is_not_from_one_that_cannot_be_asked_for)
{
    struct fixture_name *name = client_fixture_name(fixture, "broken.example", NULL);

    name->status = RESOLVER_FAILED;
    assert_outcome(run("http://nowhere.example/"), HTTP_CLIENT_RESOLVE_FAILED,
                   HTTP_CLIENT_RESOLVING);
    assert_outcome(run("http://broken.example/"), HTTP_CLIENT_RESOLVE_FAILED,
                   HTTP_CLIENT_RESOLVING);
}

Test(client_reach, says_when_nobody_listens)
{
    struct fixture_call *c = run("http://93.184.216.99/");

    assert_outcome(c, HTTP_CLIENT_CONNECT_FAILED, HTTP_CLIENT_CONNECTING);
    cr_assert(eq(int, c->call.result.error, -ECONNREFUSED));
}

Test(client_reach, tries_one_address_after_the_other)
{
    run_past("93.184.216.1", "2606:4700::1");
    cr_assert(eq(u64, fixture->client.stats.connect_count, 2));
}

Test(client_reach, goes_on_to_the_next_address_when_one_takes_too_long)
{
    struct fixture_name *name = client_fixture_name(fixture, "slow.example", "93.184.216.50");
    struct fixture_call *c;

    make_deaf("93.184.216.50");
    client_fixture_add_address(name, HOST);
    c = run("http://slow.example/");
    assert_outcome(c, HTTP_CLIENT_RESPONSE, HTTP_CLIENT_RECEIVING);
    assert_took(c, fixture->config.connect_timeout_ms);
}

Test(client_reach, says_that_the_last_address_took_too_long)
{
    struct fixture_call *c;

    make_deaf("93.184.216.50");
    c = run("http://93.184.216.50/");
    assert_outcome(c, HTTP_CLIENT_CONNECT_FAILED, HTTP_CLIENT_CONNECTING);
    cr_assert(eq(int, c->call.result.error, -ETIMEDOUT));
    assert_took(c, fixture->config.connect_timeout_ms);
}

Test(client_reach, says_when_descriptors_have_run_out)
{
    struct fixture_call *c;

    fixture->home->fd_count_max = fixture->home->fd_count;
    c = run("http://example.com/");
    assert_outcome(c, HTTP_CLIENT_NO_CAPACITY, HTTP_CLIENT_CONNECTING);
    cr_assert(eq(int, c->call.result.error, -EMFILE));
}

Test(client_reach, does_not_speak_https_without_tls)
{
    (void)client_fixture_peer(fixture, HOST, 443);
    assert_outcome(run("https://example.com/"), HTTP_CLIENT_TLS_FAILED, HTTP_CLIENT_SECURING);
}

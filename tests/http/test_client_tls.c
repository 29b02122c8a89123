#include "http/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/resolver_dns.h"
#include "http/tls_client.h"
#include "tests/http/real_shard.h"

/*
 * The client, the ring, c-ares' hosts file and BearSSL against OpenSSL, as Python's ssl
 * has it: tls_server.py says which kinds of servers there are. TEST_TLS_SERVER in the
 * environment is its path.
 */
enum { KIND_COUNT_MAX = 16, LARGE_SIZE = 200000 };

struct kind {
    char name[16];
    unsigned port;
};

static struct real_shard shard;
static struct real_call call;
static struct resolver_dns *dns;
static struct trust_store *trust;
static char directory[] = "/tmp/weir-tls-XXXXXX";
static struct kind kinds[KIND_COUNT_MAX];
static uint32_t kind_count;
static pid_t server;
static int server_input;

static char *path_of(const char *file)
{
    static char path[64];

    snprintf(path, sizeof(path), "%s/%s", directory, file);
    return path;
}

static void read_kinds(FILE *stream)
{
    struct kind *kind = &kinds[0];

    while (fscanf(stream, "%15s %u", kind->name, &kind->port) == 2) {
        if (strcmp(kind->name, "ready") == 0)
            return;
        kind = &kinds[++kind_count];
        cr_assert(kind_count < KIND_COUNT_MAX);
    }
    cr_assert(false, "the server did not start");
}

static void start_server(const char *option)
{
    const char *script = getenv("TEST_TLS_SERVER");
    int in[2], out[2];
    FILE *stream;

    if (script == NULL)
        cr_skip_test("TEST_TLS_SERVER is not set");
    cr_assert(pipe(in) == 0);
    cr_assert(pipe(out) == 0);
    server = fork();
    cr_assert(server >= 0);
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        execlp("python3", "python3", "-W", "ignore", script, directory, option, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    server_input = in[1];
    stream = fdopen(out[0], "r");
    read_kinds(stream);
    fclose(stream);
}

static void begin_with(const char *option)
{
    struct resolver_dns_config config = {.servers = "127.0.0.1:1"};
    FILE *hosts;

    cr_assert(mkdtemp(directory) != NULL);
    start_server(option);
    hosts = fopen(path_of("hosts"), "w");
    fputs("127.0.0.1 good.test another.good.test\n", hosts);
    fclose(hosts);
    config.hosts_path = path_of("hosts");
    cr_assert(resolver_dns_new(&config, &dns) == 0);
    cr_assert(trust_store_new(&trust) == 0);
    cr_assert(trust_store_add_file(trust, path_of("ca.pem")) == 1);
    real_shard_init(&shard);
    shard.backend = resolver_dns_backend(dns);
    shard.config.trust = trust;
    shard.config.tls_timeout_ms = 1000;
    real_shard_start(&shard);
}

static void end(void)
{
    char command[64];

    real_shard_end(&shard);
    resolver_dns_free(&dns);
    trust_store_free(&trust);
    close(server_input);
    waitpid(server, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    cr_assert(system(command) == 0);
}

static void begin(void)
{
    begin_with(NULL);
}

static void begin_peers(void)
{
    begin_with("--peers");
}

TestSuite(client_tls, .init = begin, .fini = end, .timeout = 60);
TestSuite(client_tls_peers, .init = begin_peers, .fini = end, .timeout = 60);

static const struct http_client_result *get(const char *kind, const char *path)
{
    static char url[128];
    unsigned port = 0;

    for (uint32_t i = 0; i < kind_count; i++)
        if (strcmp(kinds[i].name, kind) == 0)
            port = kinds[i].port;
    snprintf(url, sizeof(url), "https://good.test:%u%s", port, path);
    real_shard_call(&shard, &call, HTTP_METHOD_GET, url);
    return &call.call.result;
}

static void assert_refused(const char *kind, int tls_error, const char *name)
{
    const struct http_client_result *result = get(kind, "/hello");

    cr_assert(eq(int, result->outcome, HTTP_CLIENT_TLS_FAILED), "%s", kind);
    cr_assert(eq(int, result->tls_error, tls_error), "%s", kind);
    cr_assert(slice_equal(tls_engine_error_name(result->tls_error), slice_of(name)), "%s", kind);
    cr_assert(eq(int, result->stage, HTTP_CLIENT_SECURING));
    cr_assert(eq(u32, result->status, 0));
}

static void assert_answer(enum http_client_outcome outcome, unsigned status, const char *body)
{
    cr_assert(eq(int, call.call.result.outcome, outcome), "tls error %d, error %d",
              call.call.result.tls_error, call.call.result.error);
    cr_assert(eq(u32, call.call.result.status, status));
    cr_assert(eq(str, call.body, (char *)body));
}

Test(client_tls, speaks_with_a_server_that_is_who_it_says)
{
    (void)get("good", "/hello");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "hello");
    cr_assert(call.call.result.secured_ns > call.call.result.connected_ns);
    cr_assert(call.call.result.first_byte_ns > call.call.result.secured_ns);
    (void)get("rsa", "/hello");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "hello");
}

Test(client_tls, keeps_a_secured_connection)
{
    for (int i = 0; i < 5; i++) {
        (void)get("good", "/hello");
        assert_answer(HTTP_CLIENT_RESPONSE, 200, "hello");
        cr_assert(eq(int, call.call.result.was_reused, i > 0));
    }
    cr_assert(eq(u64, shard.client.stats.handshake_count, 1));
}

Test(client_tls, refuses_a_certificate_that_has_expired)
{
    assert_refused("expired", BR_ERR_X509_EXPIRED, "certificate_expired");
}

Test(client_tls, refuses_a_certificate_for_another_name)
{
    assert_refused("other", BR_ERR_X509_BAD_SERVER_NAME, "wrong_host");
}

Test(client_tls, refuses_a_certificate_that_nobody_vouches_for)
{
    assert_refused("self", BR_ERR_X509_NOT_TRUSTED, "not_trusted");
}

Test(client_tls, refuses_an_address_that_the_certificate_does_not_name)
{
    static char url[64];

    snprintf(url, sizeof(url), "https://127.0.0.1:%u/hello", kinds[0].port);
    real_shard_call(&shard, &call, HTTP_METHOD_GET, url);
    cr_assert(eq(int, call.call.result.outcome, HTTP_CLIENT_TLS_FAILED));
    cr_assert(eq(int, call.call.result.tls_error, BR_ERR_X509_BAD_SERVER_NAME));
}

Test(client_tls, does_not_take_a_name_below_for_the_name_itself)
{
    static char url[64];

    snprintf(url, sizeof(url), "https://another.good.test:%u/hello", kinds[0].port);
    real_shard_call(&shard, &call, HTTP_METHOD_GET, url);
    cr_assert(eq(int, call.call.result.tls_error, BR_ERR_X509_BAD_SERVER_NAME));
}

Test(client_tls, fails_with_servers_that_it_has_no_version_in_common_with)
{
    cr_assert(eq(int, get("modern", "/hello")->outcome, HTTP_CLIENT_TLS_FAILED));
    cr_assert(call.call.result.tls_error != 0);
    cr_assert(eq(int, get("old", "/hello")->outcome, HTTP_CLIENT_TLS_FAILED));
    cr_assert(call.call.result.tls_error != 0);
    cr_assert(eq(int, get("client", "/hello")->outcome, HTTP_CLIENT_TLS_FAILED));
    cr_assert(call.call.result.tls_error != 0);
}

Test(client_tls, fails_with_a_server_that_speaks_something_else)
{
    cr_assert(eq(int, get("chatty", "/hello")->outcome, HTTP_CLIENT_TLS_FAILED));
    cr_assert(call.call.result.tls_error != 0);
}

Test(client_tls, does_not_wait_long_for_a_handshake)
{
    const struct http_client_result *result = get("mute", "/hello");

    cr_assert(eq(int, result->outcome, HTTP_CLIENT_TIMED_OUT));
    cr_assert(eq(int, result->stage, HTTP_CLIENT_SECURING));
    cr_assert(result->done_ns - result->connected_ns >= UINT64_C(1000000000));
}

Test(client_tls, tells_an_answer_that_was_cut_from_one_that_ended)
{
    (void)get("good", "/until-close");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "all of it");
    (void)get("good", "/cut");
    assert_answer(HTTP_CLIENT_CLOSED_EARLY, 200, "perhaps all");
    (void)get("good", "/half");
    assert_answer(HTTP_CLIENT_CLOSED_EARLY, 200, "half");
}

Test(client_tls, sends_and_receives_what_fills_many_records)
{
    static char body[200 * 1000];
    static char url[64];

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i % 23);
    call.call.body = (struct slice){body, sizeof(body)};
    snprintf(url, sizeof(url), "https://good.test:%u/echo", kinds[0].port);
    for (int i = 0; i < 3; i++) {
        real_shard_call(&shard, &call, HTTP_METHOD_POST, url);
        cr_assert(eq(int, call.call.result.outcome, HTTP_CLIENT_RESPONSE));
        cr_assert(eq(sz, call.body_size, sizeof(body)));
        cr_assert(memcmp(call.body, body, sizeof(body)) == 0);
    }
    call.call.body.size = 0;
    (void)get("good", "/large");
    cr_assert(eq(sz, call.body_size, 200000));
    cr_assert(eq(u64, shard.client.stats.handshake_count, 1));
}

Test(client_tls, resumes_a_session)
{
    (void)get("good", "/reused");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "False");
    (void)get("good", "/until-close");
    (void)get("good", "/reused");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "True");
    cr_assert(not(call.call.result.was_reused));
    /* Another port is another host. */
    (void)get("rsa", "/reused");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "False");
}

Test(client_tls, serves_many_at_once)
{
    static struct real_call calls[24];
    static char url[64];

    snprintf(url, sizeof(url), "https://good.test:%u/large", kinds[0].port);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        real_shard_begin_call(&shard, &calls[i], HTTP_METHOD_GET, url);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
        real_shard_run(&shard, &calls[i].done_count, 1);
        cr_assert(eq(int, calls[i].call.result.outcome, HTTP_CLIENT_RESPONSE));
        cr_assert(eq(sz, calls[i].body_size, 200000));
    }
}

Test(client_tls, speaks_plain_http_to_the_kernel_too)
{
    static char url[64];

    snprintf(url, sizeof(url), "http://good.test:%u/echo", kinds[kind_count - 1].port);
    call.call.body = SLICE_LITERAL("bytes");
    for (int i = 0; i < 3; i++) {
        real_shard_call(&shard, &call, HTTP_METHOD_POST, url);
        assert_answer(HTTP_CLIENT_RESPONSE, 200, "bytes");
    }
    cr_assert(eq(u64, shard.client.stats.reused_count, 2));
    (void)snprintf(url, sizeof(url), "http://good.test:%u/half", kinds[kind_count - 1].port);
    real_shard_call(&shard, &call, HTTP_METHOD_GET, url);
    assert_answer(HTTP_CLIENT_CLOSED_EARLY, 200, "half");
}

Test(client_tls, leaves_nothing_when_it_stops_in_the_middle)
{
    static struct real_call calls[8];
    static char url[64];

    snprintf(url, sizeof(url), "https://good.test:%u/large", kinds[0].port);
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        real_shard_begin_call(&shard, &calls[i], HTTP_METHOD_GET, url);
    for (int turn = 0; turn < 6; turn++)
        (void)shard_turn(runtime_shard(shard.runtime, 0), true);
}

/* --- the trust store ----------------------------------------------------------------- */

/* --- servers that others use ---------------------------------------------------- */

static void need_nginx(void)
{
    for (uint32_t i = 0; i < kind_count; i++)
        if (strcmp(kinds[i].name, "nginx") == 0 && kinds[i].port == 0)
            cr_skip_test("NGINX IS MISSING");
}

Test(client_tls_peers, speaks_with_nginx)
{
    need_nginx();
    (void)get("nginx", "/hello");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "hello");
    (void)get("nginx", "/large");
    cr_assert(eq(int, call.call.result.outcome, HTTP_CLIENT_RESPONSE));
    cr_assert(call.call.result.was_reused);
    cr_assert(eq(sz, call.call.result.body.size, LARGE_SIZE));
}

Test(client_tls_peers, resumes_a_session_of_nginx)
{
    need_nginx();
    (void)get("nginx", "/reused");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, ".");
    (void)get("nginx", "/close");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "bye");
    (void)get("nginx", "/reused");
    cr_assert(not(call.call.result.was_reused));
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "r");
}

Test(client_tls_peers, refuses_nginx_with_a_certificate_that_is_no_good)
{
    need_nginx();
    assert_refused("nginx-expired", BR_ERR_X509_EXPIRED, "certificate_expired");
    assert_refused("nginx-other", BR_ERR_X509_BAD_SERVER_NAME, "wrong_host");
    assert_refused("nginx-self", BR_ERR_X509_NOT_TRUSTED, "not_trusted");
}

Test(client_tls_peers, speaks_with_openssl_s_server)
{
    (void)get("sserver", "/hello");
    assert_answer(HTTP_CLIENT_RESPONSE, 200, "hello");
    (void)get("sserver", "/large");
    cr_assert(eq(int, call.call.result.outcome, HTTP_CLIENT_RESPONSE));
    cr_assert(eq(sz, call.call.result.body.size, LARGE_SIZE));
}

Test(client_tls_peers, does_not_take_half_an_answer_of_openssl_s_server_for_a_whole_one)
{
    (void)get("sserver", "/half");
    cr_assert(eq(int, call.call.result.outcome, HTTP_CLIENT_CLOSED_EARLY));
    cr_assert(eq(u32, call.call.result.status, 200));
}

Test(client_tls_peers, refuses_openssl_s_server_with_a_certificate_that_is_no_good)
{
    assert_refused("sserver-expired", BR_ERR_X509_EXPIRED, "certificate_expired");
    assert_refused("sserver-other", BR_ERR_X509_BAD_SERVER_NAME, "wrong_host");
    assert_refused("sserver-self", BR_ERR_X509_NOT_TRUSTED, "not_trusted");
}

Test(trust_store, reads_the_authorities_of_the_system)
{
    struct trust_store *store = NULL;
    size_t count;
    int r;

    cr_assert(trust_store_new(&store) == 0);
    r = trust_store_add_file(store, TRUST_STORE_SYSTEM_PATH);
    if (r == -ENOENT)
        cr_skip_test("no " TRUST_STORE_SYSTEM_PATH);
    cr_assert(r > 50);
    cr_assert(trust_store_anchors(store, &count) != NULL);
    cr_assert(eq(sz, count, (size_t)r));
    trust_store_free(&store);
    cr_assert(store == NULL);
    trust_store_free(&store);
}

static int add_text(struct trust_store *store, const char *text)
{
    char path[] = "/tmp/weir-pem-XXXXXX";
    int fd = mkstemp(path);
    int r;

    cr_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    r = trust_store_add_file(store, path);
    unlink(path);
    return r;
}

Test(trust_store, refuses_files_that_hold_no_certificate)
{
    struct trust_store *store = NULL;
    size_t count;

    cr_assert(trust_store_new(&store) == 0);
    cr_assert(eq(int, trust_store_add_file(store, "/nonexistent/ca.pem"), -ENOENT));
    cr_assert(eq(int, add_text(store, ""), -EBADMSG));
    cr_assert(eq(int, add_text(store, "hello\n"), -EBADMSG));
    cr_assert(eq(int,
                 add_text(store, "-----BEGIN PRIVATE KEY-----\nAAAA\n"
                                 "-----END PRIVATE KEY-----\n"),
                 -EBADMSG));
    cr_assert(eq(int,
                 add_text(store, "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                 "-----END CERTIFICATE-----\n"),
                 -EBADMSG));
    cr_assert(eq(int,
                 add_text(store, "-----BEGIN CERTIFICATE-----\n!!!!\n"
                                 "-----END CERTIFICATE-----\n"),
                 -EBADMSG));
    cr_assert(eq(int, add_text(store, "-----BEGIN CERTIFICATE-----\nAAAA\n"), -EBADMSG));
    (void)trust_store_anchors(store, &count);
    cr_assert(eq(sz, count, 0));
    trust_store_free(&store);
}

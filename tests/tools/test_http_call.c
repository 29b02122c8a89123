#include "tools/http_call.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_COUNT_MAX = 4, TIMEOUT_MS = 20000 };

/*
 * A server of canned answers: each connection reads one request per answer, as far as the
 * empty line and Content-Length go, sends the answer, and is closed after the last one of its
 * own. NULL closes without an answer.
 */
static struct {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *answers[ANSWER_COUNT_MAX][ANSWER_COUNT_MAX]; /* of connection, of request */
    int connection_count;
    char last_request[8192];
} server;

static bool read_request(int fd)
{
    size_t size = 0;

    while (size < sizeof(server.last_request) - 1) {
        ssize_t n = recv(fd, server.last_request + size, sizeof(server.last_request) - 1 - size, 0);
        const char *end, *length;

        if (n <= 0)
            return false;
        size += (size_t)n;
        server.last_request[size] = '\0';
        end = strstr(server.last_request, "\r\n\r\n");
        length = strstr(server.last_request, "content-length: ");
        if (end != NULL && size >= (size_t)(end + 4 - server.last_request) +
                                       (length != NULL ? strtoul(length + 16, NULL, 10) : 0))
            return true;
    }
    return false;
}

static void *serve(void *unused)
{
    (void)unused;
    for (int c = 0; c < server.connection_count; c++) {
        int fd = accept(server.fd, NULL, NULL);

        for (int a = 0; a < ANSWER_COUNT_MAX && server.answers[c][a] != NULL; a++)
            if (read_request(fd))
                (void)!send(fd, server.answers[c][a], strlen(server.answers[c][a]), MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

static struct http_call *call;
static struct http_call_answer answer;
static const struct http_call_request GET = {.method = "GET", .path = "/x"};

static void start(int connection_count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    char url[64];

    server.connection_count = connection_count;
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(eq(int, bind(server.fd, (struct sockaddr *)&address, sizeof(address)), 0));
    cr_assert(eq(int, listen(server.fd, 8), 0));
    cr_assert(eq(int, getsockname(server.fd, (struct sockaddr *)&address, &size), 0));
    server.port = ntohs(address.sin_port);
    cr_assert(eq(int, pthread_create(&server.thread, NULL, serve, NULL), 0));
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/api/", server.port);
    cr_assert(eq(int, http_call_new(url, TIMEOUT_MS, &call), 0));
}

static void stop(void)
{
    http_call_free(&call);
    pthread_join(server.thread, NULL);
    close(server.fd);
}

static bool body_is(const char *text)
{
    return slice_equal(answer.body, slice_of(text));
}

#define OK_HELLO "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

Test(http_call, keeps_the_connection_for_the_next_call)
{
    server.answers[0][0] = OK_HELLO;
    server.answers[0][1] = "HTTP/1.1 204 No Content\r\n\r\n";
    start(1);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(eq(u32, answer.status, 200));
    cr_assert(body_is("hello"));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(eq(u32, answer.status, 204));
    cr_assert(eq(sz, answer.body.size, 0));
    stop();
}

Test(http_call, sends_what_was_asked_for)
{
    struct http_call_request request = {.method = "POST",
                                        .path = "/v1/events?partial=true",
                                        .content_type = "application/json",
                                        .api_key = "secret",
                                        .body = SLICE_LITERAL("{\"a\":1}")};

    server.answers[0][0] = "HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-type: text/plain\r\n"
                           "content-length: 0\r\n\r\n";
    start(1);
    cr_assert(eq(int, http_call_send(call, &request, &answer), 0));
    cr_assert(eq(u64, answer.retry_after_s, 7));
    cr_assert(slice_equal(answer.content_type, SLICE_LITERAL("text/plain")));
    stop();
    cr_assert(eq(
        int, strncmp(server.last_request, "POST /api/v1/events?partial=true HTTP/1.1\r\n", 43), 0));
    cr_assert(ne(ptr, strstr(server.last_request, "\r\nx-api-key: secret\r\n"), NULL));
    cr_assert(ne(ptr, strstr(server.last_request, "\r\ncontent-length: 7\r\n"), NULL));
    cr_assert(ne(ptr, strstr(server.last_request, "\r\n\r\n{\"a\":1}"), NULL));
}

Test(http_call, reads_chunked_bodies_and_those_until_the_end)
{
    server.answers[0][0] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                           "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: v\r\n\r\n";
    server.answers[0][1] = "HTTP/1.1 200 OK\r\n\r\nall of it";
    start(1);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(body_is("hello world"));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(body_is("all of it"));
    stop();
}

Test(http_call, passes_over_interim_answers)
{
    server.answers[0][0] =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\na: b\r\n\r\n" OK_HELLO;
    start(1);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(eq(u32, answer.status, 200));
    cr_assert(body_is("hello"));
    stop();
}

Test(http_call, opens_a_kept_connection_again_that_was_closed)
{
    server.answers[0][0] = OK_HELLO;
    server.answers[1][0] = OK_HELLO;
    start(2);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(body_is("hello"));
    stop();
}

Test(http_call, does_not_send_twice_over_a_fresh_connection)
{
    start(1);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -ECONNRESET));
    stop();
}

Test(http_call, connects_anew_after_connection_close)
{
    server.answers[0][0] = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab";
    server.answers[1][0] = OK_HELLO;
    start(2);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(body_is("ab"));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), 0));
    cr_assert(body_is("hello"));
    stop();
}

Test(http_call, refuses_answers_that_break_off_or_are_not_http)
{
    server.answers[0][0] = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello";
    server.answers[1][0] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    server.answers[2][0] = "220 mail.example.org ESMTP\r\n\r\n";
    server.answers[3][0] = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    start(4);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -ECONNRESET));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -EPROTO));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -EPROTO));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -EMSGSIZE));
    stop();
}

Test(http_call, says_that_nobody_listens)
{
    char text[256];

    start(0);
    pthread_join(server.thread, NULL);
    close(server.fd);
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -ECONNREFUSED));
    cr_assert(http_call_is_unreachable(-ECONNREFUSED));
    http_call_describe(call, -ECONNREFUSED, text, sizeof(text));
    cr_assert(ne(ptr, strstr(text, "cannot reach http://127.0.0.1:"), NULL));
    http_call_free(&call);
}

Test(http_call, gives_up_on_a_silent_server)
{
    char url[64];

    /* Nobody accepts, but the kernel completes the connection. */
    start(0);
    http_call_free(&call);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", server.port);
    cr_assert(eq(int, http_call_new(url, 100, &call), 0));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -ETIMEDOUT));
    stop();
}

Test(http_call, refuses_values_that_would_end_their_line)
{
    struct http_call_request request = GET;

    cr_assert(eq(int, http_call_new("http://127.0.0.1:9", TIMEOUT_MS, &call), 0));
    request.api_key = "a\r\nx: y";
    cr_assert(eq(int, http_call_send(call, &request, &answer), -EINVAL));
    request.api_key = NULL;
    request.path = "/a HTTP/1.1\r\nx: y";
    cr_assert(eq(int, http_call_send(call, &request, &answer), -EINVAL));
    http_call_free(&call);
}

Test(http_call, wants_to_know_whom_to_trust_before_it_speaks_https)
{
    char text[256] = "";

    cr_assert(eq(int, http_call_new("https://127.0.0.1", TIMEOUT_MS, &call), 0));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -ENOKEY));
    cr_assert(eq(int, http_call_trust(call, "/nowhere/ca.pem", text, sizeof(text)), -ENOENT));
    cr_assert(eq(str, text, "/nowhere/ca.pem: No such file or directory"));
    cr_assert(eq(int, http_call_send(call, &GET, &answer), -ENOKEY));
    http_call_free(&call);
}

Test(http_call, takes_only_http_urls)
{
    cr_assert(eq(int, http_call_new("ftp://127.0.0.1", TIMEOUT_MS, &call), -EINVAL));
    cr_assert(eq(int, http_call_new("127.0.0.1:3000", TIMEOUT_MS, &call), -EINVAL));
    cr_assert(eq(int, http_call_new("http://", TIMEOUT_MS, &call), -EINVAL));
    cr_assert(eq(int, http_call_new("http://a?b=c", TIMEOUT_MS, &call), -EINVAL));
}

Test(http_call, knows_loopback_by_name_and_address)
{
    static const struct {
        const char *url;
        bool is_loopback;
    } CASES[] = {{"http://localhost:1", true},  {"http://127.0.0.1", true},
                 {"http://127.9.9.9", true},    {"http://[::1]:3000", true},
                 {"http://127.example", false}, {"http://10.0.0.1", false},
                 {"http://example.org", false}, {"http://localhost.example", false}};

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        cr_assert(eq(int, http_call_new(CASES[i].url, TIMEOUT_MS, &call), 0));
        cr_assert(eq(int, http_call_is_loopback(call), CASES[i].is_loopback), "%s", CASES[i].url);
        http_call_free(&call);
    }
}

Test(http_call, explains_a_refusal_with_its_first_issue)
{
    struct http_call_answer refusal = {
        .status = 400,
        .body = SLICE_LITERAL(
            "{\"title\":\"Invalid event format\",\"code\":\"invalid_event\",\"details\":[{"
            "\"pointer\":\"/message\",\"message\":\"Required\"}]}")};
    char text[256];

    http_call_describe_refusal(&refusal, text, sizeof(text));
    cr_assert(eq(str, text, "400 Invalid event format (invalid_event): /message Required"));
    refusal.body = SLICE_LITERAL("<html>");
    http_call_describe_refusal(&refusal, text, sizeof(text));
    cr_assert(eq(str, text, "400 without a reason (no code)"));
}

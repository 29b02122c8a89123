#include "tests/crash/crash_load.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "runtime/rng.h"

/*
 * Blocking sockets and one request at a time per client: what matters is that several
 * requests share a write, that some are larger than a block, and that every answer is
 * waited for. The answer's ids need not be read here: the recorder has seen them go out.
 */
enum {
    CLIENT_COUNT_MAX = 8,
    REQUEST_SIZE_MAX = 256 * 1024,
    ANSWER_SIZE_MAX = 64 * 1024,
    ANSWER_WAIT_S = 20,
    BATCH_COUNT_MAX = 8,
};

/* One thread. */
struct client {
    const struct crash_load *load;
    pthread_t thread;
    uint32_t index;
    struct rng rng;
    int fd;
    bool is_good;
    char request[REQUEST_SIZE_MAX];
    char body[REQUEST_SIZE_MAX];
    char answer[ANSWER_SIZE_MAX + 1];
};

static size_t write_event(char *data, size_t size, uint32_t number, bool has_id,
                          uint32_t padding_size)
{
    char id[CRASH_ID_SIZE + 1];
    int written;

    crash_ledger_write_id(number, id);
    written = snprintf(data, size,
                       "{%s%s%s\"event_type\":\"error\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
                       "\"message\":\"number %u.%.*s\",\"attributes\":{\"error_code\":\"E%u\"}}",
                       has_id ? "\"event_id\":\"" : "", has_id ? id : "", has_id ? "\"," : "",
                       number, (int)padding_size, crash_ledger_padding(), number % 7);
    assert(written > 0);
    assert((size_t)written < size);
    return (size_t)written;
}

static bool send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* Reads one answer with its body; false when it does not come. */
static bool read_answer(struct client *client)
{
    size_t used = 0;

    for (;;) {
        const char *head_end, *length;
        ssize_t n = recv(client->fd, client->answer + used, ANSWER_SIZE_MAX - used, 0);

        if (n <= 0)
            return false;
        used += (size_t)n;
        client->answer[used] = '\0';
        head_end = strstr(client->answer, "\r\n\r\n");
        length = strcasestr(client->answer, "content-length: ");
        if (head_end != NULL && length != NULL &&
            used >= (size_t)(head_end + 4 - client->answer) + strtoul(length + 16, NULL, 10))
            return true;
    }
}

static size_t write_body(struct client *client, uint32_t first, uint32_t count, bool has_id,
                         uint32_t padding_size)
{
    char *body = client->body;
    size_t used = 0;

    if (count == 1)
        return write_event(body, REQUEST_SIZE_MAX, first, has_id, padding_size);
    used += (size_t)snprintf(body, REQUEST_SIZE_MAX, "{\"events\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            body[used++] = ',';
        used += write_event(body + used, REQUEST_SIZE_MAX - used, first + i, has_id, padding_size);
    }
    return used + (size_t)snprintf(body + used, REQUEST_SIZE_MAX - used, "]}");
}

static bool call(struct client *client)
{
    struct crash_ledger *ledger = client->load->ledger;
    uint32_t count = rng_chance(&client->rng, 1, 4)
                         ? 2 + (uint32_t)rng_below(&client->rng, BATCH_COUNT_MAX - 1)
                         : 1;
    bool has_id = !rng_chance(&client->rng, 1, 8);
    /* Small ones share a block; large ones take several, which can be torn apart. */
    uint32_t padding_size = (uint32_t)rng_below(
        &client->rng, rng_chance(&client->rng, 1, 3) ? (count > 1 ? 4000 : 14000) : 200);
    uint32_t first = crash_ledger_send(ledger, client->index, count, padding_size);
    size_t body_size = write_body(client, first, count, has_id, padding_size);
    int head_size = snprintf(client->request, REQUEST_SIZE_MAX,
                             "POST /v1/events%s HTTP/1.1\r\nhost: test\r\n"
                             "x-api-key: dev-api-key-12345\r\n"
                             "content-type: application/json\r\ncontent-length: %zu\r\n\r\n",
                             count > 1 ? "/batch" : "", body_size);

    if (!send_all(client->fd, client->request, (size_t)head_size) ||
        !send_all(client->fd, client->body, body_size) || !read_answer(client)) {
        fprintf(stderr, "crash load: no answer for event %u\n", first);
        return false;
    }
    if (strncmp(client->answer, "HTTP/1.1 202", 12) != 0) {
        fprintf(stderr, "crash load: event %u: %.300s\n", first, client->answer);
        return false;
    }
    for (uint32_t i = first; i < first + count; i++) {
        /* The recorder has read the ids of the client's choice in the answer. */
        if (has_id && !crash_ledger_is_acknowledged(ledger, i)) {
            fprintf(stderr, "crash load: the recorder has not seen event %u acknowledged\n", i);
            return false;
        }
        crash_ledger_acknowledge(ledger, i);
    }
    return true;
}

static bool open_connection(struct client *client)
{
    static const struct timeval PATIENCE = {.tv_sec = ANSWER_WAIT_S};
    static const int YES = 1; /* or the body waits for the acknowledgement of the head */

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return client->fd >= 0 &&
           setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &YES, sizeof(YES)) == 0 &&
           setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &PATIENCE, sizeof(PATIENCE)) == 0 &&
           setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &PATIENCE, sizeof(PATIENCE)) == 0 &&
           connect(client->fd, (const struct sockaddr *)&client->load->address,
                   sizeof(client->load->address)) == 0;
}

static void *run(void *argument)
{
    struct client *client = argument;

    client->is_good = open_connection(client);
    for (uint32_t i = 0; i < client->load->request_count && client->is_good; i++)
        client->is_good = call(client);
    if (client->fd >= 0)
        close(client->fd);
    return NULL;
}

bool crash_load_run(const struct crash_load *load)
{
    struct client *clients = calloc(load->client_count, sizeof(*clients));
    bool is_good = true;

    assert(load->client_count <= CLIENT_COUNT_MAX);
    if (clients == NULL)
        abort();
    for (uint32_t i = 0; i < load->client_count; i++) {
        clients[i].load = load;
        clients[i].index = i;
        rng_init_seed(&clients[i].rng, load->seed * CLIENT_COUNT_MAX + i);
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < load->client_count; i++) {
        pthread_join(clients[i].thread, NULL);
        is_good &= clients[i].is_good;
    }
    free(clients);
    return is_good;
}

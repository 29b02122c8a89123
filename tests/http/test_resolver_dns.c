#include "http/resolver_dns.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/http/real_shard.h"

/*
 * A name server of our own, in a process of its own, on 127.0.0.1. The first label of a
 * name says what it does:
 *
 *     one     A 192.0.2.1, TTL 60          six     AAAA 2001:db8::1 only
 *     many    16 A records                 empty   no record
 *     none    NXDOMAIN                     broken  SERVFAIL
 *     mute    no answer                    late    no answer to the first question
 *     lie     an answer to another question first
 *     big     truncated by UDP, whole by TCP
 */
enum { PORT_TRIES_MAX = 64, PACKET_SIZE = 4096, FLAG_TRUNCATED = 0x02, TYPE_A = 1, TYPE_AAAA = 28 };

static struct real_shard shard;
static struct resolver_dns *dns;
static pid_t server;
static char server_text[32];

struct question {
    char label[64];
    uint16_t type;
    size_t end; /* of the packet with the question */
};

static bool read_question(const uint8_t *packet, size_t size, struct question *question)
{
    size_t at = 12;

    if (size < 17)
        return false;
    memset(question, 0, sizeof(*question));
    memcpy(question->label, packet + 13, packet[12]);
    while (packet[at] != 0)
        at += packet[at] + (size_t)1;
    question->type = (uint16_t)(packet[at + 1] << 8 | packet[at + 2]);
    question->end = at + 5;
    return true;
}

static size_t add_record(uint8_t *packet, size_t size, uint16_t type, uint8_t last)
{
    uint8_t record[28] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last};
    uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = last};
    size_t record_size = 16;

    if (type == TYPE_AAAA) {
        record[11] = 16;
        memcpy(record + 12, ip6, 16);
        record_size = 28;
    }
    memcpy(packet + size, record, record_size);
    packet[7]++;
    return size + record_size;
}

static bool is(const struct question *question, const char *label)
{
    return strcmp(question->label, label) == 0;
}

/* Makes the answer in place; its size, 0 for none. */
static size_t answer(uint8_t *packet, size_t size, bool by_tcp)
{
    static int late_count;
    struct question question;
    int count = 0;

    if (!read_question(packet, size, &question) || is(&question, "mute"))
        return 0;
    if (is(&question, "late") && late_count++ < 2)
        return 0;
    size = question.end;
    packet[2] = 0x84;
    packet[3] = is(&question, "none") ? 0x83 : is(&question, "broken") ? 0x82 : 0x80;
    packet[6] = packet[7] = packet[8] = packet[9] = packet[10] = packet[11] = 0;
    if (is(&question, "big") && !by_tcp)
        packet[2] |= FLAG_TRUNCATED;
    else if (question.type == TYPE_A &&
             (is(&question, "one") || is(&question, "late") || is(&question, "lie")))
        count = 1;
    else if (question.type == TYPE_A && (is(&question, "many") || is(&question, "big")))
        count = 16;
    else if (question.type == TYPE_AAAA && is(&question, "six"))
        count = 1;
    for (int i = 0; i < count; i++)
        size = add_record(packet, size, question.type, (uint8_t)(i + 1));
    return size;
}

static void serve_udp(int fd)
{
    uint8_t packet[PACKET_SIZE];
    struct sockaddr_in from;
    socklen_t from_size = sizeof(from);
    ssize_t size = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&from, &from_size);
    size_t answer_size = size > 0 ? answer(packet, (size_t)size, false) : 0;

    if (answer_size == 0)
        return;
    if (memcmp(packet + 13, "lie", 3) == 0) {
        packet[0] ^= 0xff;
        (void)!sendto(fd, packet, answer_size, 0, (struct sockaddr *)&from, from_size);
        packet[0] ^= 0xff;
    }
    (void)!sendto(fd, packet, answer_size, 0, (struct sockaddr *)&from, from_size);
}

static void *serve_connection(void *argument)
{
    int fd = (int)(intptr_t)argument;
    uint8_t packet[PACKET_SIZE + 2];
    size_t size;

    while (recv(fd, packet, 2, MSG_WAITALL) == 2) {
        size = (size_t)(packet[0] << 8 | packet[1]);
        if (recv(fd, packet + 2, size, MSG_WAITALL) != (ssize_t)size)
            break;
        size = answer(packet + 2, size, true);
        packet[0] = (uint8_t)(size >> 8);
        packet[1] = (uint8_t)size;
        /* In two parts, so that the client must be able to wait for the rest. */
        (void)!send(fd, packet, 10, MSG_NOSIGNAL);
        (void)!send(fd, packet + 10, size - 8, MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

static void *serve_tcp(void *argument)
{
    while (true) {
        int fd = accept((int)(intptr_t)argument, NULL, NULL);
        pthread_t thread;

        if (fd < 0 || pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) != 0)
            return NULL;
    }
}

/* One port for both protocols. A port that is free for one may be taken for the other. */
static void bind_both(int *ret_tcp, int *ret_udp, struct sockaddr_in *ret_address)
{
    for (int i = 0; i < PORT_TRIES_MAX; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t size = sizeof(address);

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *ret_tcp = socket(AF_INET, SOCK_STREAM, 0);
        *ret_udp = socket(AF_INET, SOCK_DGRAM, 0);
        cr_assert(eq(int, bind(*ret_udp, (struct sockaddr *)&address, size), 0));
        cr_assert(eq(int, getsockname(*ret_udp, (struct sockaddr *)&address, &size), 0));
        if (bind(*ret_tcp, (struct sockaddr *)&address, size) == 0) {
            *ret_address = address;
            return;
        }
        close(*ret_udp);
        close(*ret_tcp);
    }
    cr_fatal("no port is free for both protocols");
}

static void start_server(void)
{
    struct sockaddr_in address;
    int tcp, udp;
    pthread_t thread;

    bind_both(&tcp, &udp, &address);
    cr_assert(eq(int, listen(tcp, 16), 0));
    snprintf(server_text, sizeof(server_text), "127.0.0.1:%u", ntohs(address.sin_port));
    server = fork();
    cr_assert(ge(int, server, 0));
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (pthread_create(&thread, NULL, serve_tcp, (void *)(intptr_t)tcp) != 0)
            _exit(1);
        while (true)
            serve_udp(udp);
    }
    close(udp);
    close(tcp);
}

static void stop_server(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static void begin(void)
{
    struct resolver_dns_config config = {
        .timeout_ms = 200, .servers = server_text, .hosts_path = "/nonexistent"};

    start_server();
    cr_assert(eq(int, resolver_dns_new(&config, &dns), 0));
    real_shard_init(&shard);
    shard.backend = resolver_dns_backend(dns);
    real_shard_start(&shard);
}

static void end(void)
{
    real_shard_end(&shard);
    resolver_dns_free(&dns);
    stop_server();
}

TestSuite(resolver_dns, .init = begin, .fini = end, .timeout = 60);

struct ask {
    struct resolver_query query;
    uint32_t count;
    enum resolver_status status;
    uint32_t address_count;
    char first[ADDRESS_TEXT_SIZE];
};

static void take(struct ask *ask, const struct resolver_answer *answer_given)
{
    ask->count++;
    ask->status = answer_given->status;
    ask->address_count = answer_given->address_count;
    if (answer_given->address_count > 0)
        (void)address_format(&answer_given->addresses[0], ask->first);
}

static void on_answer(struct resolver_query *query, const struct resolver_answer *answer_given)
{
    take(container_of(query, struct ask, query), answer_given);
    io_wake(shard.client.actor.shard->io); /* or the turn waits for the next event */
}

static void begin_ask(struct ask *ask, const char *name)
{
    struct resolver_answer at_once;

    memset(ask, 0, sizeof(*ask));
    ask->query.on_answer = on_answer;
    if (resolver_find(&shard.client.resolver, &ask->query, slice_of(name), &at_once))
        take(ask, &at_once);
}

static struct ask ask(const char *name)
{
    static struct ask a;

    begin_ask(&a, name);
    real_shard_run(&shard, &a.count, 1);
    return a;
}

Test(resolver_dns, finds_addresses_of_both_families)
{
    struct ask one = ask("one.example");
    struct ask six = ask("six.example");

    cr_assert(eq(int, one.status, RESOLVER_FOUND));
    cr_assert(eq(u32, one.address_count, 1));
    cr_assert(eq(str, one.first, "192.0.2.1:0"));
    cr_assert(eq(int, six.status, RESOLVER_FOUND));
    cr_assert(eq(str, six.first, "[2001:db8::1]:0"));
}

Test(resolver_dns, bounds_the_addresses_of_a_name)
{
    cr_assert(eq(u32, ask("many.example").address_count, RESOLVER_ADDRESS_COUNT_MAX));
}

Test(resolver_dns, tells_a_name_that_is_not_from_one_that_cannot_be_asked_for)
{
    cr_assert(eq(int, ask("none.example").status, RESOLVER_NOT_FOUND));
    cr_assert(eq(int, ask("empty.example").status, RESOLVER_NOT_FOUND));
    cr_assert(eq(int, ask("broken.example").status, RESOLVER_FAILED));
}

Test(resolver_dns, asks_again_when_a_question_is_lost)
{
    cr_assert(eq(str, ask("late.example").first, "192.0.2.1:0"));
}

Test(resolver_dns, gives_up_on_a_server_that_does_not_answer)
{
    cr_assert(eq(int, ask("mute.example").status, RESOLVER_FAILED));
}

Test(resolver_dns, passes_over_an_answer_to_another_question)
{
    cr_assert(eq(str, ask("lie.example").first, "192.0.2.1:0"));
}

Test(resolver_dns, asks_by_tcp_for_an_answer_that_was_cut)
{
    cr_assert(eq(u32, ask("big.example").address_count, RESOLVER_ADDRESS_COUNT_MAX));
}

Test(resolver_dns, looks_up_many_names_at_once)
{
    static struct ask asks[300];
    char name[32];
    uint32_t full_count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(asks); i++) {
        snprintf(name, sizeof(name), "one.n%zu.example", i);
        begin_ask(&asks[i], name);
    }
    for (size_t i = 0; i < ARRAY_COUNT(asks); i++) {
        real_shard_run(&shard, &asks[i].count, 1);
        if (asks[i].status == RESOLVER_FULL)
            full_count++;
        else
            cr_assert(eq(int, asks[i].status, RESOLVER_FOUND), "name %zu", i);
    }
    cr_assert(eq(u32, full_count, ARRAY_COUNT(asks) - RESOLVER_DNS_LOOKUP_COUNT_MAX));
}

Test(resolver_dns, gives_its_memory_back)
{
    char name[32];

    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "%s.n%d.example", i % 2 == 0 ? "one" : "none", i);
        (void)ask(name);
    }
    cr_assert(eq(int, ask("one.last.example").status, RESOLVER_FOUND));
}

Test(resolver_dns, settles_what_is_open_when_its_owner_ends)
{
    static struct ask asks[8];

    for (size_t i = 0; i < ARRAY_COUNT(asks); i++) {
        char name[32];

        snprintf(name, sizeof(name), "mute.n%zu.example", i);
        begin_ask(&asks[i], name);
    }
    real_shard_end(&shard);
    for (size_t i = 0; i < ARRAY_COUNT(asks); i++)
        cr_assert(eq(int, asks[i].status, RESOLVER_FAILED));
    real_shard_start(&shard);
    cr_assert(eq(str, ask("one.example").first, "192.0.2.1:0"));
}

Test(resolver_dns, fails_at_once_when_nobody_listens)
{
    stop_server();
    cr_assert(eq(int, ask("one.example").status, RESOLVER_FAILED));
    start_server();
}

Test(resolver_dns, never_goes_beyond_this_machine_for_localhost)
{
    struct ask a = ask("localhost");

    cr_assert(eq(u32, a.address_count, 2));
    cr_assert(eq(str, a.first, "127.0.0.1:0"));
    cr_assert(eq(str, ask("one.localhost").first, "127.0.0.1:0"));
    cr_assert(eq(str, ask("one.notlocalhost").first, "192.0.2.1:0"));
}

Test(resolver_dns_alone, prefers_the_hosts_file, .timeout = 60)
{
    char path[] = "/tmp/weir-hosts-XXXXXX";
    int fd = mkstemp(path);
    struct resolver_dns_config config = {
        .timeout_ms = 200, .servers = server_text, .hosts_path = path};

    cr_assert(eq(i64, write(fd, "192.0.2.77 one.example\n", 23), 23));
    close(fd);
    start_server();
    cr_assert(eq(int, resolver_dns_new(&config, &dns), 0));
    unlink(path);
    real_shard_init(&shard);
    shard.backend = resolver_dns_backend(dns);
    real_shard_start(&shard);
    cr_assert(eq(str, ask("ONE.example").first, "192.0.2.77:0"));
    cr_assert(eq(str, ask("one.other.example").first, "192.0.2.1:0"));
    end();
}

Test(resolver_dns_alone, refuses_servers_that_are_none, .timeout = 60)
{
    struct resolver_dns_config config = {.servers = "not an address"};

    cr_assert(eq(int, resolver_dns_new(&config, &dns), -EINVAL));
}

Test(resolver_dns_alone, reads_the_machines_own_settings, .timeout = 60)
{
    struct resolver_dns_config config = {0};

    cr_assert(eq(int, resolver_dns_new(&config, &dns), 0));
    resolver_dns_free(&dns);
    cr_assert(eq(ptr, dns, NULL));
    resolver_dns_free(&dns);
}

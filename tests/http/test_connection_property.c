#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <zlib.h>

#include "tests/http/http_fixture.h"

/*
 * Drawn sequences of requests, cuts, pauses and ends on several connections at once,
 * held against what must come: on a connection that stays, every complete request
 * gets exactly one answer, the right one, in order; on one that ends, a prefix of
 * them. fixture_end() adds that nothing is left.
 */
enum {
    SEED_COUNT = 300,
    TLS_SEED_COUNT = 100,
    CLIENT_COUNT = 6,
    REQUEST_COUNT_MAX = 40,
    BODY_SIZE_MAX = 6000,
    TEXT_SIZE_MAX = 64,
};

TestSuite(connection_property, .timeout = 110);

/* What one request must be answered with; status 0: the connection just ends. */
struct expectation {
    uint32_t status;
    bool is_head;
    bool closes;
    size_t body_size;
    char *body; /* NULL: any */
};

enum fate {
    FATE_STAYS,    /* open until the end */
    FATE_FINISHES, /* shuts its sending side after the last request */
    FATE_DROPS,    /* walks away at a drawn moment */
    FATE_RESETS,   /* the network breaks the connection at a drawn moment */
};

struct player {
    struct raw_client *client;
    enum fate fate;
    bool is_over; /* a request that closes was sent, nothing may follow */
    uint32_t count;
    struct expectation expected[REQUEST_COUNT_MAX];
};

static struct player players[CLIENT_COUNT];

static struct expectation *expect(struct player *p, uint32_t status, const char *body, size_t size)
{
    struct expectation *e = &p->expected[p->count++];

    *e = (struct expectation){.status = status, .body_size = size};
    if (body != NULL) {
        e->body = malloc(size + 1);
        cr_assert(ne(ptr, e->body, NULL));
        memcpy(e->body, body, size);
    }
    return e;
}

static size_t draw_body(struct rng *rng, char body[BODY_SIZE_MAX], size_t size_max)
{
    size_t size = rng_below(rng, rng_below(rng, 4) == 0 ? size_max + 1 : min_u64(size_max, 50) + 1);

    for (size_t i = 0; i < size; i++)
        body[i] = (char)rng_below(rng, 256);
    return size;
}

static void ask_echo(struct player *p, struct rng *rng, const char *path, size_t size_max)
{
    static const char *const fields[] = {"", "X-Some: field\r\n", "Expect: 100-continue\r\n"};
    char body[BODY_SIZE_MAX];
    size_t size = draw_body(rng, body, size_max);
    const char *field = fields[rng_below(rng, ARRAY_COUNT(fields))];

    if (rng_below(rng, 2) == 0)
        raw_client_post(p->client, path, field, body, size);
    else
        raw_client_post_chunked(p->client, path, field, body, size, 1 + rng_below(rng, size + 1));
    expect(p, 200, body, size);
}

static void ask_compressed(struct player *p, struct rng *rng)
{
    unsigned char packed[2 * BODY_SIZE_MAX];
    uLongf packed_size = sizeof(packed);
    char body[BODY_SIZE_MAX];
    size_t size = draw_body(rng, body, BODY_SIZE_MAX);

    cr_assert(eq(int, compress2(packed, &packed_size, (unsigned char *)body, size, 1), Z_OK));
    if (rng_below(rng, 4) == 0) {
        packed[packed_size - 1] ^= 1; /* the checksum */
        expect(p, 400, NULL, 0);
    } else {
        expect(p, 200, body, size);
    }
    raw_client_post(p->client, "/echo", "Content-Encoding: deflate\r\n", (char *)packed,
                    packed_size);
}

static void ask_last(struct player *p, struct rng *rng)
{
    struct expectation *e;

    p->is_over = true;
    switch (rng_below(rng, 7)) {
    case 0:
        raw_client_send_text(p->client, "bad\r\n\r\n");
        e = expect(p, 400, NULL, 0);
        break;
    case 1:
        raw_client_ask(p->client, "POST", "/guarded", "Content-Length: 3000\r\n");
        e = expect(p, 401, NULL, 0);
        break;
    case 2:
        raw_client_post_chunked(p->client, "/admit", "", (char[1500]){0}, 1500, 700);
        e = expect(p, 413, NULL, 0);
        break;
    case 3:
        raw_client_ask(p->client, "GET", "/hello", "Connection: close\r\n");
        e = expect(p, 200, "hello", 5);
        break;
    case 4:
        raw_client_post(p->client, "/panic", "", "body", 4);
        e = expect(p, 0, NULL, 0);
        break;
    case 5:
        raw_client_post(p->client, "/fail-reply", "", "body", 4);
        e = expect(p, 0, NULL, 0);
        break;
    default:
        raw_client_send_text(p->client, "GET /hello HTTP/1.0\r\n\r\n");
        e = expect(p, 200, "hello", 5);
        break;
    }
    e->closes = true;
}

static void ask(struct player *p, struct rng *rng)
{
    switch (rng_below(rng, 10)) {
    case 0:
        raw_client_ask(p->client, "GET", "/hello", "");
        expect(p, 200, "hello", 5);
        break;
    case 1:
        raw_client_ask(p->client, "HEAD", "/hello", "");
        expect(p, 200, "", 0)->is_head = true;
        break;
    case 2:
    case 3:
        ask_echo(p, rng, "/echo", BODY_SIZE_MAX);
        break;
    case 4:
    case 5:
        ask_echo(p, rng, "/slow", FIXTURE_SLOW_SIZE_MAX);
        break;
    case 6:
        ask_echo(p, rng, "/admit", FIXTURE_ADMIT_SIZE_MAX);
        break;
    case 7:
        ask_compressed(p, rng);
        break;
    case 8:
        raw_client_ask(p->client, "GET", "/nowhere", "");
        expect(p, 404, NULL, 0);
        break;
    default:
        if (rng_below(rng, 4) == 0) {
            ask_last(p, rng);
        } else {
            raw_client_ask(p->client, "PUT", "/things", "");
            expect(p, 405, NULL, 0);
        }
        break;
    }
}

static void begin_player(struct fixture *f, struct player *p)
{
    struct rng *rng = &f->world->rng;

    memset(p, 0, sizeof(*p));
    p->client = fixture_connect(f);
    p->fate = (enum fate)rng_below(rng, 4);
    p->client->piece_size_max = rng_below(rng, 2) == 0 ? 0 : 1 + (uint32_t)rng_below(rng, 800);
    p->client->pause_ns_max = rng_below(rng, 2) * 100000;
}

/* One thing that a client does. */
static void act(struct fixture *f, struct player *p)
{
    struct rng *rng = &f->world->rng;

    if (p->client->state >= RAW_CLIENT_CLOSING)
        return;
    switch (rng_below(rng, 12)) {
    case 0:
        raw_client_pause_reading(p->client, true);
        break;
    case 1:
        raw_client_pause_reading(p->client, false);
        break;
    case 2:
        if (p->fate == FATE_DROPS && rng_below(rng, 10) == 0)
            raw_client_drop(p->client);
        break;
    default:
        if (!p->is_over && p->count < REQUEST_COUNT_MAX)
            ask(p, rng);
        break;
    }
}

static bool matches(const struct expectation *e, const struct raw_answer *answer)
{
    if (e->status != answer->status || e->closes != answer->says_close)
        return false;
    return e->body == NULL || slice_equal(answer->body, (struct slice){e->body, e->body_size});
}

/* Reads all that came; asserts that it is a prefix of what was expected. Its length. */
static uint32_t read_answers(struct fixture *f, struct player *p)
{
    struct raw_answer answer;
    uint32_t count = 0;

    while (raw_client_next(p->client, count < p->count && p->expected[count].is_head, &answer)) {
        if (answer.status == 100)
            continue;
        cr_assert(lt(u32, count, p->count), "seed %lu: an answer too many", f->options.seed);
        cr_assert(matches(&p->expected[count], &answer), "seed %lu: answer %u of %u: %.*s, not %u",
                  f->options.seed, count, p->count, (int)answer.head.size, answer.head.data,
                  p->expected[count].status);
        count++;
    }
    return count;
}

static void judge(struct fixture *f, struct player *p)
{
    uint32_t count = read_answers(f, p);
    uint32_t due_count = p->count;

    if (due_count > 0 && p->expected[due_count - 1].status == 0)
        due_count--; /* its handler fails */
    if (p->fate == FATE_STAYS || p->fate == FATE_FINISHES) {
        /* A handler that fails takes along what was not sent yet, a part of an answer too. */
        if (due_count == p->count) {
            cr_assert(eq(u32, count, due_count), "seed %lu, fate %d", f->options.seed, p->fate);
            cr_assert(eq(sz, raw_client_unread_size(p->client), 0), "seed %lu", f->options.seed);
        }
        cr_assert(eq(int, p->client->saw_end || p->client->saw_reset,
                     p->is_over || p->fate == FATE_FINISHES),
                  "seed %lu", f->options.seed);
    }
    cr_assert(le(u32, count, due_count), "seed %lu", f->options.seed);
    for (uint32_t i = 0; i < p->count; i++)
        free(p->expected[i].body);
}

static void play(uint64_t seed, bool is_tls)
{
    struct fixture_options options = fixture_options(seed);
    struct fixture *f;
    uint32_t count;

    options.is_tls = is_tls;
    options.shard_count = 1 + seed % 2;
    options.receive_buffer_size = seed % 5 == 0 ? 128 : 4096;
    options.receive_buffer_count = seed % 3 == 0 ? 3 : 64;
    options.socket_buffer_size = seed % 4 == 0 ? 2000 : 65536;
    options.limits.idle_timeout_ms = 60000;
    options.limits.write_timeout_ms = 60000;
    options.limits.body_timeout_ms = 60000;
    options.limits.header_timeout_ms = 60000;
    f = fixture_begin(&options);
    count = 1 + (uint32_t)rng_below(&f->world->rng, CLIENT_COUNT);
    for (uint32_t i = 0; i < count; i++)
        begin_player(f, &players[i]);
    for (uint32_t round = 0; round < 150; round++) {
        struct player *p = &players[rng_below(&f->world->rng, count)];

        act(f, p);
        f->laptop->faults.reset.chance_ppm = p->fate == FATE_RESETS && count == 1 ? 2000 : 0;
        cr_assert(eq(int,
                     sim_driver_run_for(&f->driver, rng_below(&f->world->rng, 2) *
                                                        rng_below(&f->world->rng, 2000000)),
                     SIM_REACHED));
    }
    f->laptop->faults.reset.chance_ppm = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (players[i].client->state >= RAW_CLIENT_CLOSING)
            continue;
        raw_client_pause_reading(players[i].client, false);
        if (players[i].fate == FATE_FINISHES)
            raw_client_finish(players[i].client);
    }
    fixture_run_for(f, 5000);
    for (uint32_t i = 0; i < count; i++)
        judge(f, &players[i]);
    fixture_end(&f);
}

Test(connection_property, answers_every_complete_request_once_and_in_order)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++)
        play(seed, false);
}

Test(connection_property, does_so_over_tls)
{
    for (uint64_t seed = 1; seed <= TLS_SEED_COUNT; seed++)
        play(seed, true);
}

#include "http/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/http/client_scene.h"

/*
 * Anything may happen: random answers, faults and cancels, by a seed that decides it all.
 */

enum { SWARM_SEED_COUNT = 40, SWARM_CALL_COUNT = 60 };

TestSuite(client_swarm, .init = scene_begin, .fini = scene_end);

static const char *const SWARM_ANSWERS[] = {
    OK,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    ("HTTP/1.1 100 Continue\r\n\r\n" OK),
    "HTTP/1.1 200 OK\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi",
    "nonsense",
    "",
};

static void answer_by_lot(struct peer_connection *c, struct slice head, struct slice body)
{
    struct rng *rng = &fixture->world->rng;
    uint64_t kind = rng_below(rng, ARRAY_COUNT(SWARM_ANSWERS) * 2);

    (void)head;
    (void)body;
    if (rng_chance(rng, 1, 8))
        return;
    peer_send(c, SWARM_ANSWERS[kind < ARRAY_COUNT(SWARM_ANSWERS) ? kind : 0]);
    if (kind == 4 || rng_chance(rng, 1, 4))
        peer_close(c);
}

static uint32_t right_count;

static void check_told(struct fixture_call *c)
{
    const struct http_client_result *result = &c->call.result;

    if (result->outcome != HTTP_CLIENT_RESPONSE)
        return;
    cr_assert(eq(u32, result->status, 200));
    cr_assert(eq(str, c->body, "hi"), "seed %lu", fixture->seed);
    right_count++;
}

static void swarm(uint64_t seed)
{
    fixture = client_fixture_new(seed);
    fixture->config.connection_count_max = 6;
    fixture->config.connections_per_host_max = 3;
    fixture->config.idle_timeout_ms = 300;
    fixture->home->receive_buffer_size = 64;
    fixture->home->receive_buffer_count = 8;
    client_fixture_start(fixture);
    scene_begin_with(fixture);
    for (uint32_t i = 1; i < 4; i++)
        client_fixture_peer(fixture, HOST, (uint16_t)(80 + i));
    for (uint32_t i = 0; i < 4; i++)
        fixture->peers[i]->on_request = answer_by_lot;
    sim_faults_draw(&fixture->home->faults, &fixture->world->rng, 50000);
    sim_faults_draw(&fixture->away->faults, &fixture->world->rng, 50000);
    fixture->away->faults.accept_error = (struct sim_fault){0};
    for (uint32_t i = 0; i < SWARM_CALL_COUNT; i++) {
        struct fixture_call *c = call_port((uint32_t)rng_below(&fixture->world->rng, 4));

        c->on_told = check_told;
        client_fixture_run_for(fixture, rng_below(&fixture->world->rng, 200));
        if (rng_chance(&fixture->world->rng, 1, 10))
            http_client_cancel(&fixture->calls[rng_below(&fixture->world->rng, i + 1)]->call);
    }
    if (rng_chance(&fixture->world->rng, 1, 2))
        client_fixture_run_for(fixture, 60000);
    client_fixture_end(&fixture);
}

Test(client_swarm, ends_every_call_once_and_leaves_nothing_whatever_happens, .timeout = 100)
{
    client_fixture_end(&fixture);
    for (uint64_t seed = 100; seed < 100 + SWARM_SEED_COUNT; seed++)
        swarm(seed);
    cr_assert(lt(u32, SWARM_SEED_COUNT, right_count));
}

static uint64_t hash_of_run(uint64_t seed)
{
    uint64_t hash;

    scene_begin_with(client_fixture_begin(seed));
    for (int i = 0; i < 20; i++)
        (void)client_fixture_call(fixture, HTTP_METHOD_GET, "http://example.com/");
    client_fixture_run_for(fixture, 1000);
    hash = fixture->world->trace.hash;
    client_fixture_end(&fixture);
    return hash;
}

Test(client_swarm, does_the_same_again_with_the_same_seed)
{
    client_fixture_end(&fixture);
    cr_assert(eq(u64, hash_of_run(7), hash_of_run(7)));
    cr_assert(ne(u64, hash_of_run(7), hash_of_run(8)));
}

#include "tests/sim/weir_away.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/io_sim.h"

/* What has_requests() asks about: the goal of a world has no memory of its own. */
static const struct weir_away *watched;
static uint32_t wanted_count;

void weir_away_begin(struct weir_away *away, struct weir *weir,
                     void (*on_request)(struct peer_connection *connection, struct slice head,
                                        struct slice body))
{
    away->weir = weir;
    away->host = sim_host_new(weir->world, "away");
    cr_assert(eq(int, io_sim_new(away->host, &away->io), 0));
    sim_driver_add_io(&weir->driver, away->io);
    away->peer = peer_new(weir->world, away->io, WEIR_AWAY_HOST, 80);
    away->peer->on_request = on_request;
}

void weir_away_end(struct weir_away *away)
{
    if (away->weir->process.is_running)
        weir_kill(away->weir);
    sim_driver_remove_io(&away->weir->driver, away->io);
    io_free(&away->io);
    peer_free(&away->peer);
}

void weir_away_note(struct weir_away *away, struct slice head, struct slice body)
{
    size_t size = min_u64(head.size + body.size, sizeof(away->last_request) - 1);
    uint32_t n = away->peer->request_count - 1;

    memcpy(away->last_request, head.data, size); /* the body stands behind its head */
    away->last_request[size] = '\0';
    away->request_ns[n % WEIR_AWAY_TIME_COUNT] = away->weir->world->mono_ns;
}

static bool has_requests(void)
{
    return watched->peer->request_count >= wanted_count;
}

void weir_away_run_until(struct weir_away *away, uint32_t request_count)
{
    watched = away;
    wanted_count = request_count;
    cr_assert(eq(int, weir_run_until(away->weir, has_requests), SIM_REACHED), "%s",
              away->weir->process.text);
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_point.h"
#include "tests/sim/weir_fixture.h"

/*
 * Leases whose bodies must be read from the log, since a start has left the cache empty:
 * between taking a job and having its body there is time for other commands.
 */

enum { JOB_COUNT = 3, STUCK_NS = 400000000 };

static struct weir weir;
static struct weir_client worker, other;
static char ids[JOB_COUNT][WEIR_ID_SIZE + 1];
static bool is_answered;
static bool is_read;

TestSuite(weir_leases, .timeout = 60);

static void on_answer(struct weir_client *client)
{
    cr_assert(eq(u32, client->request.status, 200), "%.*s", (int)client->request.body_size,
              client->answer);
    is_answered = true;
}

static bool has_answer(void)
{
    return is_answered;
}

/* The disk gets stuck at the first body. */
static bool on_point(struct sim_point_hook *hook, struct sim_point *point)
{
    (void)hook;
    if (is_read || strcmp(point->name, "a job's body is read from the log") != 0)
        return false;
    is_read = true;
    weir.server->faults.disk_stuck.once_count = 1;
    return false;
}

static bool is_reading(void)
{
    return is_read;
}

/* A server that has just been started on jobs of an earlier start; a lease that is stuck. */
static void begin(uint64_t seed, uint32_t shard_count, const char *lease)
{
    static struct sim_point_hook hook = {.on_hit = on_point};
    struct weir_call enqueue = {.path = "/v1/jobs"};
    struct weir_call take = {.path = "/v1/jobs/a/lease"};
    uint32_t offset;

    weir_begin(&weir, seed, shard_count);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    weir_client_init(&other, &weir, 0, NULL);
    weir_client_init(&worker, &weir, 1, on_answer);
    for (uint32_t i = 0; i < JOB_COUNT; i++) {
        offset = 0;
        cr_assert(eq(u32, weir_ask(&other, &enqueue, "{\"kind\":\"a\",\"payload\":[1]}"), 202));
        cr_assert(weir_answer_string(&other.request, "id", &offset, ids[i], sizeof(ids[i])));
    }
    sim_http_client_drop(&other.http);
    weir_kill(&weir);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    is_answered = false;
    is_read = false;
    weir.server->faults.stuck_ns = (struct sim_range){STUCK_NS, STUCK_NS};
    sim_point_install(&hook);
    weir_client_call(&worker, &take, lease);
    cr_assert(eq(int, weir_run_until(&weir, is_reading), SIM_REACHED), "seed %lu", seed);
    cr_assert(not(is_answered));
}

static uint32_t act(const char *id, const char *verb, const char *body)
{
    char path[64 + WEIR_ID_SIZE];
    struct weir_call call = {.path = path};

    snprintf(path, sizeof(path), "/v1/jobs/%s/%s", id, verb);
    return weir_ask(&other, &call, body);
}

static void end(void)
{
    sim_point_install(NULL);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_leases, do_not_hold_a_job_that_was_cancelled_while_its_body_was_read)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        begin(seed, (uint32_t)(seed % 2) + 1, "{\"limit\":10,\"lease_seconds\":3600}");
        cr_assert(eq(u32, act(ids[0], "cancel", "{}"), 200), "seed %lu", seed);
        cr_assert(not(is_answered), "seed %lu", seed);
        cr_assert(eq(int, weir_run_until(&weir, has_answer), SIM_REACHED));
        cr_assert(not(weir_answer_has(&worker.request, ids[0])), "seed %lu", seed);
        for (uint32_t i = 1; i < JOB_COUNT; i++)
            cr_assert(weir_answer_has(&worker.request, ids[i]), "seed %lu", seed);
        end();
    }
}

Test(weir_leases, go_on_waiting_when_their_only_job_was_cancelled_while_its_body_was_read)
{
    struct weir_call enqueue = {.path = "/v1/jobs"};
    char id[WEIR_ID_SIZE + 1];
    uint32_t offset = 0;

    begin(5, 2, "{\"limit\":1,\"wait_seconds\":20}");
    for (uint32_t i = 0; i < JOB_COUNT; i++)
        cr_assert(eq(u32, act(ids[JOB_COUNT - 1 - i], "cancel", "{}"), 200));
    cr_assert(eq(int, weir_run_for(&weir, STUCK_NS / 1000000), SIM_REACHED));
    cr_assert(not(is_answered));
    cr_assert(eq(u32, weir_ask(&other, &enqueue, "{\"kind\":\"a\"}"), 202));
    cr_assert(weir_answer_string(&other.request, "id", &offset, id, sizeof(id)));
    cr_assert(eq(int, weir_run_until(&weir, has_answer), SIM_REACHED));
    cr_assert(weir_answer_has(&worker.request, id));
    end();
}

/* Waits with so many leases, and asks with one more client: seeds 612 and 694 of builds gone. */
Test(weir_leases, that_wait_leave_requests_for_others)
{
    enum { WAITING_COUNT = 40 };
    static struct weir_client waiting[WAITING_COUNT];
    struct weir_call enqueue = {.path = "/v1/jobs"};
    struct weir_call take = {.path = "/v1/jobs/a/lease"};

    weir_begin(&weir, 612, 2);
    weir.process.settings.requests_in_flight = 8;
    weir_start(&weir);
    weir_run_until_ready(&weir);
    weir_client_init(&other, &weir, 0, NULL);
    for (uint32_t i = 0; i < WAITING_COUNT; i++) {
        weir_client_init(&waiting[i], &weir, i + 1, NULL);
        weir_client_call(&waiting[i], &take, "{\"wait_seconds\":30}");
    }
    cr_assert(eq(int, weir_run_for(&weir, 1000), SIM_REACHED));
    for (uint32_t i = 0; i < WAITING_COUNT; i++)
        cr_assert(eq(u32, weir_ask(&other, &enqueue, "{\"kind\":\"b\"}"), 202));
    weir_stop(&weir);
    weir_end(&weir);
}

/*
 * A lease that waits stands in the timers of the project's shard, and its request belongs to
 * the shard of its connection: seeds 1210, 3621, 5986, 7079 of a build that is gone.
 */
Test(weir_leases, that_wait_are_gone_with_their_process)
{
    enum { WAITING_COUNT = 24 };
    static struct weir_client waiting[WAITING_COUNT];
    struct weir_call enqueue = {.path = "/v1/jobs"};

    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct weir_call take = {.path = "/v1/jobs/a/lease"};

        weir_begin(&weir, seed, 2 + (uint32_t)seed % 4);
        weir_start(&weir);
        weir_run_until_ready(&weir);
        for (uint32_t i = 0; i < WAITING_COUNT; i++) {
            weir_client_init(&waiting[i], &weir, i, NULL);
            weir_client_call(&waiting[i], &take, "{\"wait_seconds\":1}");
            cr_assert(eq(int, weir_run_for(&weir, 1), SIM_REACHED));
        }
        weir_client_init(&other, &weir, WAITING_COUNT, NULL);
        cr_assert(eq(int, weir_run_for(&weir, 975 + seed), SIM_REACHED));
        cr_assert(eq(u32, weir_ask(&other, &enqueue, "{\"kind\":\"b\"}"), 202));
        weir_kill(&weir);
        weir_start(&weir);
        weir_run_until_ready(&weir);
        weir_stop(&weir);
        weir_end(&weir);
    }
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>

#include "runtime/sim_point.h"
#include "tests/sim/weir_fixture.h"

/*
 * What a client is told that sends a request again: the same as the first time, but
 * for "duplicate". And what is counted then. Found by simulation; each was wrong once.
 */
enum {
    SEED_COUNT = 6,
    READER_COUNT = 6, /* connections, so that each shard is asked */
    EVENT_COUNT = 12, /* ids, so that each shard owns some */
    TIME_TEXT_SIZE = 40,
};

/* The segment whose removal a test wants to be stuck. */
struct removal {
    uint32_t log;
    uint64_t seq;
    bool is_awaited;
    bool is_stuck;
};

static struct weir weir;
static struct weir_client clients[READER_COUNT];
static struct weir_census census;
static struct removal removal;

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    for (uint32_t i = 0; i < READER_COUNT; i++)
        weir_client_init(&clients[i], &weir, i, NULL);
    weir_start(&weir);
    weir_run_until_ready(&weir);
}

static uint64_t outcome_count(enum event_status status)
{
    return weir_metric(&weir, weir.process.app.metrics.intake.outcome[status]);
}

/* Sends event number over a connection of the test's choice and takes received_at. */
static bool send_event(struct weir_client *client, uint32_t number, char *received_at)
{
    struct weir_call call = {.path = "/v1/events"};
    char id[WEIR_ID_SIZE + 1], body[512];
    uint32_t offset = 0;

    weir_write_id(id, number);
    weir_write_event(body, sizeof(body), number, id);
    cr_assert(eq(u32, weir_ask(client, &call, body), 202), "seed %lu", weir.seed);
    cr_assert(
        weir_answer_string(&client->request, "received_at", &offset, received_at, TIME_TEXT_SIZE),
        "seed %lu: %.*s", weir.seed, (int)client->request.body_size, client->request.body);
    return weir_answer_has(&client->request, "\"duplicate\":true");
}

TestSuite(weir_repeat, .timeout = 60);

Test(weir_repeat, counts_events_of_a_repeated_request_as_accepted_once)
{
    static const char *const bodies[] = {"/v1/events", "/v1/events/batch"};

    for (uint32_t is_batch = 0; is_batch < 2; is_batch++) {
        struct weir_call call = {.path = bodies[is_batch], .idempotency_key = "once"};
        uint64_t event_count = is_batch ? 2 : 1;
        char body[2048];
        size_t used = 0;

        begin(1 + is_batch, 3);
        if (is_batch)
            used += (size_t)snprintf(body, sizeof(body), "{\"events\":[");
        used += weir_write_event(body + used, sizeof(body) - used, 1, NULL);
        if (is_batch) {
            body[used++] = ',';
            used += weir_write_event(body + used, sizeof(body) - used, 2, NULL);
            snprintf(body + used, sizeof(body) - used, "]}");
        }
        for (uint32_t i = 0; i < 3; i++) {
            cr_assert(eq(u32, weir_ask(&clients[i], &call, body), 202));
            cr_expect(eq(int, weir_answer_has(&clients[i].request, "\"duplicate\":true"), i > 0));
            cr_expect(eq(u64, outcome_count(EVENT_ACCEPTED), event_count), "repetition %u", i);
            cr_expect(eq(u64, outcome_count(EVENT_DUPLICATE), i * event_count), "repetition %u", i);
        }
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_repeat, tells_the_first_time_of_arrival_whichever_shard_owns_the_id)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, 3);
        /* A round of turns takes long: the owner learns of the id some milliseconds later. */
        weir.driver.turn_ns = (struct sim_range){7000000, 7000000};
        for (uint32_t number = 0; number < EVENT_COUNT; number++) {
            char first[TIME_TEXT_SIZE], again[TIME_TEXT_SIZE];

            cr_assert(not(send_event(&clients[number % READER_COUNT], number, first)));
            for (uint32_t i = 0; i < READER_COUNT; i++) {
                cr_assert(send_event(&clients[i], number, again));
                cr_assert(eq(str, again, first), "seed %lu: event %u", seed, number);
            }
        }
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_repeat, tells_the_first_time_of_arrival_when_the_clock_was_set_back_or_the_process_killed)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char first[EVENT_COUNT][TIME_TEXT_SIZE], again[TIME_TEXT_SIZE];

        begin(seed, 2);
        for (uint32_t number = 0; number < EVENT_COUNT; number++)
            cr_assert(not(send_event(&clients[number % READER_COUNT], number, first[number])));
        sim_world_jump_unix(weir.world, -3600000);
        cr_assert(eq(int, weir_run_for(&weir, 50), SIM_REACHED));
        for (uint32_t number = 0; number < EVENT_COUNT; number++) {
            cr_assert(send_event(&clients[number % READER_COUNT], number, again));
            cr_assert(eq(str, again, first[number]), "seed %lu: event %u", seed, number);
        }
        weir_kill(&weir);
        weir_start(&weir);
        weir_run_until_ready(&weir);
        for (uint32_t i = 0; i < READER_COUNT; i++)
            sim_http_client_drop(&clients[i].http);
        for (uint32_t number = 0; number < EVENT_COUNT; number++) {
            cr_assert(send_event(&clients[number % READER_COUNT], number, again));
            cr_assert(eq(str, again, first[number]), "seed %lu: event %u", seed, number);
        }
        weir_stop(&weir);
        weir_end(&weir);
    }
}

static bool is_named(uint32_t log, uint64_t seq)
{
    struct disk *disk = sim_host_disk(weir.server);
    char path[64];
    int fd;

    snprintf(path, sizeof(path), SIM_SERVER_DATA "/log-%02u/%016lx.seg", log, seq);
    fd = disk_open(disk, path, O_RDONLY, 0);
    if (fd >= 0)
        disk_close(disk, fd);
    return fd != -ENOENT;
}

/* The disk gets stuck between the removal of the segment and the sync that makes it durable. */
static bool on_point(struct sim_point_hook *hook, struct sim_point *point)
{
    (void)hook;
    if (!removal.is_awaited || removal.is_stuck || point->kind != SIM_POINT_SOMETIMES ||
        strcmp(point->name, "a name is changed and not yet durable") != 0 ||
        is_named(removal.log, removal.seq))
        return false;
    removal.is_stuck = true;
    weir.server->faults.disk_stuck.once_count = 1;
    return false;
}

/*
 * Sends events until the removal is stuck, all over one connection, so that one log grows.
 * Returns their number; *ret_first is the first of those in the segment.
 */
static uint32_t send_until_stuck(uint64_t seq, uint32_t *ret_first)
{
    enum { SENT_MAX = 500 };
    struct sim_point_hook hook = {.on_hit = on_point};
    char received_at[TIME_TEXT_SIZE];
    uint32_t count = 0;

    removal = (struct removal){.seq = seq};
    sim_point_install(&hook);
    for (; !removal.is_stuck && count < SENT_MAX; count++) {
        cr_assert(not(send_event(&clients[0], count, received_at)), "seed %lu", weir.seed);
        /* The next segment gets its name when this one is begun. */
        if (removal.is_awaited || (!is_named(0, seq + 1) && !is_named(1, seq + 1)))
            continue;
        removal.log = !is_named(0, seq + 1);
        removal.is_awaited = true;
        *ret_first = count + 2;
    }
    sim_point_install(NULL);
    cr_assert(removal.is_stuck, "seed %lu: nothing was dropped", weir.seed);
    return count;
}

Test(weir_repeat, takes_no_id_as_new_before_its_dropped_record_is_durably_gone)
{
    enum { SEGMENT = 128 << 10, DROPPED_SEQ = 4, AGAIN_COUNT = 12 };
    uint32_t back_count = 0;

    for (uint64_t seed = 1; seed <= 2 * SEED_COUNT; seed++) {
        char received_at[TIME_TEXT_SIZE];
        uint32_t first = 0, count;

        weir_begin(&weir, seed, 2);
        for (uint32_t i = 0; i < READER_COUNT; i++)
            weir_client_init(&clients[i], &weir, i, NULL);
        weir.process.settings.segment_bytes = SEGMENT;
        weir.process.settings.reserve_bytes = SEGMENT;
        weir.process.settings.retain_bytes = 4 * SEGMENT;
        weir.server->faults.stuck_ns = (struct sim_range){60000000000, 60000000000};
        weir_start(&weir);
        weir_run_until_ready(&weir);
        count = send_until_stuck(DROPPED_SEQ, &first);
        cr_assert(eq(int, weir_run_for(&weir, 10), SIM_REACHED));
        for (uint32_t number = first; number < first + AGAIN_COUNT; number++)
            cr_expect(send_event(&clients[number % READER_COUNT], number, received_at),
                      "seed %lu: event %u is new again", seed, number);
        weir_crash(&weir);
        back_count += is_named(removal.log, DROPPED_SEQ);
        weir_census(&weir, &census);
        for (uint32_t number = 0; number < count; number++)
            cr_expect(le(u32, census.events[number].count, 1),
                      "seed %lu: event %u is there %u times", seed, number,
                      census.events[number].count);
        weir_end(&weir);
    }
    cr_expect(back_count > 0, "no power cut has brought a segment back");
}

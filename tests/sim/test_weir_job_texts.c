#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/job_carrier.h"
#include "runtime/sim_point.h"
#include "tests/sim/weir_calls.h"

/*
 * The result of a job that has ended stands in the log, and is read there by who asks. Here
 * the disk is stuck at that read until the segment is gone: what still is needed of it was
 * carried forward meanwhile. Found by seed 682 of a build that is gone.
 */
enum { STUCK_MS = 20000, EVENT_COUNT_MAX = 2000, RUN_MS_MAX = 60000, SEED_COUNT_MAX = 16 };

static struct weir weir;
static struct weir_client client, reader;
static bool is_answered;
static bool has_moved;

static bool on_point(struct sim_point_hook *hook, struct sim_point *point)
{
    (void)hook;
    has_moved |= strcmp(point->name, "a job's text is carried forward while it is read") == 0;
    return false;
}

static void on_answer(struct weir_client *from)
{
    cr_assert(eq(u32, from->request.status, 200));
    is_answered = true;
}

static bool has_answer(void)
{
    return is_answered;
}

static void ask(const char *path, const char *body, uint32_t status)
{
    struct weir_call call = {.path = path};

    cr_assert(eq(u32, weir_ask(&client, &call, body), status), "%.*s",
              (int)client.request.body_size, client.request.body);
}

/* A job of the kind a that has completed with a result. */
static void make_job(char id[WEIR_ID_SIZE + 1])
{
    uint32_t offset = 0;
    char path[96], epoch[32], body[128];

    ask("/v1/jobs", "{\"kind\":\"a\"}", 202);
    cr_assert(weir_answer_string(&client.request, "id", &offset, id, WEIR_ID_SIZE + 1));
    ask("/v1/jobs/a/lease", "{}", 200);
    offset = 0;
    cr_assert(weir_answer_string(&client.request, "epoch", &offset, epoch, sizeof(epoch)));
    snprintf(path, sizeof(path), "/v1/jobs/%s/complete", id);
    snprintf(body, sizeof(body), "{\"epoch\":\"%s\",\"result\":{\"answer\":42}}", epoch);
    ask(path, body, 200);
}

static uint64_t carried_count(void)
{
    return weir_metric(&weir, weir.process.app.metrics.jobs.carried);
}

/* Events fill segment after segment, until the job has been written again, and then some. */
static void fill_log(void)
{
    uint32_t after_count = 0;

    for (uint32_t i = 0; i < EVENT_COUNT_MAX && after_count < 300; i++) {
        weir_send_filler(&client, "error", i);
        after_count += carried_count() > 0;
    }
    cr_assert(eq(u32, after_count, 300), "nothing was carried forward");
}

TestSuite(weir_job_texts, .timeout = 60);

/* A world whose log lets go of segments soon. */
static void begin(uint64_t seed)
{
    weir_begin(&weir, seed, 1);
    weir.process.settings.segment_bytes = 128 << 10;
    weir.process.settings.retain_bytes = 512 << 10;
    weir_client_init(&client, &weir, 0, NULL);
}

static void start(void)
{
    weir_start(&weir);
    weir_run_until_ready(&weir);
}

/* The segment is overwritten under the read or removed: has_moved says which. */
static void read_while_the_segment_goes(uint64_t seed)
{
    char id[WEIR_ID_SIZE + 1], path[96];
    struct weir_call get = {.method = "GET", .path = path};

    is_answered = false;
    begin(seed);
    weir.process.settings.answer_timeout_ms = STUCK_MS * 2;
    weir_client_init(&reader, &weir, 1, on_answer);
    start();
    make_job(id);
    snprintf(path, sizeof(path), "/v1/jobs/%s", id);
    cr_assert(eq(u32, weir_ask(&client, &get, ""), 200));       /* the segment's file stays open */
    cr_assert(eq(int, weir_run_for(&weir, 2000), SIM_REACHED)); /* nothing else is under way */
    weir.server->faults.stuck_ns =
        (struct sim_range){(uint64_t)STUCK_MS * 1000000, (uint64_t)STUCK_MS * 1000000};
    weir.server->faults.disk_stuck.once_count = 1;
    weir_client_call(&reader, &get, "");
    cr_assert(eq(int, weir_run_for(&weir, 5), SIM_REACHED));
    cr_assert(zero(u32, weir.server->faults.disk_stuck.once_count));
    fill_log();
    cr_assert(not(is_answered));
    cr_assert(eq(int, weir_run_until(&weir, has_answer), SIM_REACHED));
    cr_expect(weir_answer_has(&reader.request, "\"result\":{\"answer\":42}"), "%.*s",
              (int)reader.request.body_size, reader.request.body);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_job_texts, are_found_again_when_they_are_carried_forward_while_they_are_read)
{
    struct sim_point_hook hook = {.on_hit = on_point};

    sim_point_install(&hook);
    for (uint64_t seed = 682; !has_moved && seed < 682 + SEED_COUNT_MAX; seed++)
        read_while_the_segment_goes(seed);
    cr_expect(has_moved);
    sim_point_install(NULL);
}

/* No segment goes meanwhile: a disk that is well again is not to be waited for any longer. */
Test(weir_job_texts, are_carried_forward_soon_after_the_disk_could_not_read_them)
{
    char id[WEIR_ID_SIZE + 1];

    begin(20688);
    start();
    make_job(id);
    weir.server->faults.read_error.always = true;
    for (uint32_t i = 0; i < 400; i++)
        weir_send_filler(&client, "deploy", i);
    cr_assert(zero(u64, carried_count()));
    weir.server->faults.read_error.always = false;
    cr_assert(eq(int, weir_run_for(&weir, 2 * JOB_CARRIER_DISK_MS), SIM_REACHED));
    cr_expect(eq(u64, carried_count(), 1));
    weir_stop(&weir);
    weir_end(&weir);
}

/* Of the appends of a carrier the second one finds no room, while the first is written. */
struct room_hook {
    struct sim_point_hook hook;
    uint64_t waits_ns;   /* when a job began to wait for room; 0: none has */
    uint64_t carried_ns; /* when all had been carried */
};

static bool on_room_point(struct sim_point_hook *hook, struct sim_point *point)
{
    struct room_hook *room = container_of(hook, struct room_hook, hook);

    if (strcmp(point->name, "a job carried forward waits for room") == 0)
        room->waits_ns = weir.world->mono_ns;
    if (strcmp(point->name, "jobs are carried out of a segment") == 0 && room->waits_ns != 0 &&
        room->carried_ns == 0)
        room->carried_ns = weir.world->mono_ns;
    return strcmp(point->name, "staging is full") == 0 && room->waits_ns == 0;
}

/* Found by seed 50113 of a build that is gone: 20 segments came while one job waited. */
Test(weir_job_texts, are_carried_forward_as_soon_as_the_journal_has_room)
{
    struct room_hook room = {.hook = {.on_hit = on_room_point}};
    char id[WEIR_ID_SIZE + 1];

    begin(50113);
    start();
    for (uint32_t i = 0; i < 20; i++)
        make_job(id);
    sim_point_install(&room.hook);
    for (uint32_t i = 0; i < 400 && room.carried_ns == 0; i++)
        weir_send_filler(&client, "deploy", i);
    sim_point_install(NULL);
    cr_assert(ne(u64, room.carried_ns, 0));
    cr_expect(lt(u64, room.carried_ns - room.waits_ns, (uint64_t)JOB_CARRIER_ROOM_MS * 1000000));
    cr_expect(lt(u64, 1, carried_count()));
    weir_stop(&weir);
    weir_end(&weir);
}

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netinet/in.h>

#include "actors/app.h"
#include "runtime/io_sim.h"
#include "runtime/sim_disk.h"
#include "tests/sim/sim_driver.h"
#include "tests/sim/sim_http_client.h"

/*
 * The real server, unchanged, on a simulated machine: shards, connections, intake,
 * journal and recovery in one process, decided by one seed. Clients send events and
 * repeat what was lost with the same id; the machine is cut off at a drawn moment,
 * in the middle of writes; after the restart every acknowledged event must be in
 * the journal, and none twice.
 */
enum {
    CLIENT_COUNT = 8,
    EVENT_COUNT = 40, /* per client */
    EVENT_TOTAL = CLIENT_COUNT * EVENT_COUNT,
    STEP_COUNT_MAX = 4000000,
    REQUEST_SIZE_MAX = 1024,
};

struct sender {
    struct sim_http_client client;
    struct sim_http_request request;
    uint32_t index;
    uint32_t next; /* the event that is being sent */
    char data[REQUEST_SIZE_MAX];
};

static struct {
    struct sim_world *world;
    struct sim_host *server;
    struct sim_host *laptop;
    struct io *laptop_io;
    struct sim_driver driver;
    struct settings settings;
    struct app app;
    uint32_t shard_count;
    bool is_running;
    struct sender senders[CLIENT_COUNT];
    struct sim_goal goal;
    uint32_t goal_count;
    uint32_t acknowledged_count;
    uint32_t duplicate_count;
    uint32_t refused_count;
    uint32_t lost_count;
    bool acknowledged[EVENT_TOTAL];
    uint8_t stored[EVENT_TOTAL];
} run;

static struct sockaddr_in address;

static void fill_settings(void)
{
    struct settings *s = &run.settings;

    memset(s, 0, sizeof(*s));
    s->data = "/data";
    s->listen.items[0] = "127.0.0.1:3000";
    s->listen.count = 1;
    s->demo = true;
    s->drain_timeout_ms = 15000;
    s->connections = 64;
    s->head_bytes = 65536;
    s->event_bytes = 1 << 20;
    s->batch_bytes = 5 << 20;
    s->batch_decoded_bytes = 20 << 20;
    s->batch_events = 100;
    s->requests_in_flight = 256;
    s->header_timeout_ms = 10000;
    s->body_timeout_ms = 5000;
    s->idle_timeout_ms = 75000;
    s->write_timeout_ms = 30000;
    s->answer_timeout_ms = 10000;
    s->queue_delay_ms = 500;
    s->event_index_entries = 65536;
    s->segment_bytes = 1 << 20;
    s->writes_in_flight = 2;
    s->reserve_bytes = 1 << 20;
    s->dedup_window_ms = 86400000;
    s->dedup_entries = 4096;
}

static void start_server(void)
{
    struct app_config config = {
        .settings = &run.settings,
        .disk = sim_host_disk(run.server),
        .clock_source = &run.world->clock_source,
        .shard_count = run.shard_count,
        .log_level = LOG_WARN,
        .simulated = true,
        .seed = rng_next(&run.world->rng),
        .admin_token = SLICE_LITERAL("the-token"),
        .version = "test",
        .commit = "test",
        .io_new = sim_driver_io_new,
        .app = &run.app,
    };
    char text[APP_TEXT_SIZE] = "";
    int exit_code = 0;

    memset(&run.app, 0, sizeof(run.app));
    sim_driver_name_host(run.server);
    cr_assert(eq(int, app_new(&config, text, &exit_code), 0), "%s", text);
    runtime_freeze_metrics(run.app.runtime);
    sim_driver_add_runtime(&run.driver, run.server, run.app.runtime);
    cr_assert(eq(int, app_recover(&run.app, text, &exit_code), 0), "%s", text);
    run.is_running = true;
}

/* After a crash: everything that was the process goes. */
static void bury_server(void)
{
    sim_driver_remove_runtime(&run.driver, run.app.runtime);
    app_abandon(&run.app);
    run.is_running = false;
}

static void crash_server(void)
{
    sim_host_crash(run.server);
    bury_server();
    sim_host_start(run.server);
}

static void send_event(struct sender *sender)
{
    uint32_t number = sender->index * EVENT_COUNT + sender->next;
    char body[512];
    int body_size = snprintf(body, sizeof(body),
                             "{\"event_type\":\"error\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
                             "\"message\":\"number %u\",\"event_id\":"
                             "\"00000000-0000-4000-8000-%012x\",\"attributes\":{\"error_code\":"
                             "\"E%u\"}}",
                             number, number, number % 7);
    int size = snprintf(sender->data, sizeof(sender->data),
                        "POST /v1/events HTTP/1.1\r\nhost: sim\r\nx-api-key: dev-api-key-12345\r\n"
                        "content-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                        body_size, body);

    cr_assert(lt(int, size, REQUEST_SIZE_MAX));
    sender->request.data = sender->data;
    sender->request.size = (uint32_t)size;
    sim_http_client_submit(&sender->client, &sender->request);
}

static void on_answer(struct sim_http_request *request)
{
    struct sender *sender = container_of(request, struct sender, request);
    uint32_t number = sender->index * EVENT_COUNT + sender->next;

    if (request->lost) {
        run.lost_count++;
    } else if (request->status == 202) {
        if (!run.acknowledged[number])
            run.acknowledged_count++;
        run.acknowledged[number] = true;
        run.duplicate_count +=
            memmem(request->body, request->body_size, "\"duplicate\":true", 16) != NULL;
        sender->next++;
    } else {
        /* Recovering, in flight, or the demo key is not there yet: the same again. */
        cr_assert(request->status == 503 || request->status == 409 || request->status == 401,
                  "status %u: %.*s", request->status, (int)request->body_size, request->body);
        run.refused_count++;
    }
    if (sender->next < EVENT_COUNT)
        send_event(sender);
}

static bool is_reached(struct sim_goal *goal)
{
    (void)goal;
    return run.acknowledged_count >= run.goal_count;
}

static enum sim_outcome run_until(uint32_t acknowledged_count)
{
    run.goal_count = acknowledged_count;
    return sim_driver_run(&run.driver, &run.goal, STEP_COUNT_MAX);
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    memset(&run, 0, sizeof(run));
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(3000)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fill_settings();
    run.world = sim_world_new(seed);
    run.server = sim_host_new(run.world, "server");
    run.laptop = sim_host_new(run.world, "laptop");
    run.shard_count = shard_count;
    run.goal.reached = is_reached;
    sim_driver_init(&run.driver, run.world);
    cr_assert(eq(int, io_sim_new(run.laptop, &run.laptop_io), 0));
    sim_driver_add_io(&run.driver, run.laptop_io);
    start_server();
    for (uint32_t i = 0; i < CLIENT_COUNT; i++) {
        struct sender *sender = &run.senders[i];

        sim_http_client_init(&sender->client, run.world, run.laptop_io, (struct sockaddr *)&address,
                             sizeof(address));
        sender->index = i;
        sender->request.on_done = on_answer;
        send_event(sender);
    }
}

static void end(void)
{
    if (run.is_running) {
        sim_host_kill(run.server);
        bury_server();
    }
    io_free(&run.laptop_io);
    for (uint32_t i = 0; i < CLIENT_COUNT; i++)
        sim_http_client_deinit(&run.senders[i].client);
    sim_world_free(&run.world);
}

static int count_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    (void)visitor;
    for (uint32_t i = 0; i < group->record_count; i++) {
        const struct journal_record_view *record = &group->records[i];
        const char *id;
        uint32_t number;

        if (record->type != RECORD_EVENT)
            continue;
        id = memmem(record->payload.data, record->payload.size, "4000-8000-", 10);
        cr_assert(id != NULL);
        cr_assert(eq(int, sscanf(id + 10, "%12x", &number), 1));
        cr_assert(lt(u32, number, EVENT_TOTAL));
        run.stored[number]++;
    }
    return 0;
}

/* Reads the log of a server that is down: every acknowledged event once, no event twice. */
static void check_journal(uint64_t seed)
{
    struct recovery_visitor visitor = {.on_group = count_group};
    struct recovered *recovered = NULL;
    struct superblock superblock;
    struct recovery_config config = {
        .disk = sim_host_disk(run.server),
        .data_path = "/data",
        .superblock = &superblock,
        .visitor = &visitor,
        .read_only = true,
    };
    char text[RECOVERY_TEXT_SIZE];

    memset(run.stored, 0, sizeof(run.stored));
    cr_assert(eq(int, superblock_read(config.disk, "/data", &superblock), 0));
    cr_assert(eq(int, recovery_run(&config, &recovered, text), 0), "seed %lu: %s", seed, text);
    for (uint32_t i = 0; i < EVENT_TOTAL; i++) {
        cr_assert(le(u8, run.stored[i], 1), "seed %lu: event %u is there %u times", seed, i,
                  run.stored[i]);
        if (run.acknowledged[i])
            cr_assert(eq(u8, run.stored[i], 1), "seed %lu: event %u is lost", seed, i);
    }
    recovered_free(&recovered);
}

static uint64_t crash_in_the_middle(uint64_t seed)
{
    uint32_t crash_count = 1 + (uint32_t)(seed % 3);
    uint64_t hash;

    begin(seed, 1 + (uint32_t)(seed % 3));
    for (uint32_t i = 0; i < crash_count; i++) {
        uint32_t until = 1 + (uint32_t)rng_below(&run.world->rng, EVENT_TOTAL - 40);

        cr_assert(eq(int, run_until(until), SIM_REACHED), "seed %lu", seed);
        crash_server();
        check_journal(seed);
        run.shard_count = 1 + (uint32_t)rng_below(&run.world->rng, 3); /* may change */
        start_server();
    }
    cr_assert(eq(int, run_until(EVENT_TOTAL), SIM_REACHED), "seed %lu", seed);
    crash_server();
    check_journal(seed);
    hash = run.world->trace.hash ^ sim_disk_hash(run.server->disk);
    end();
    return hash;
}

TestSuite(weir, .timeout = 110);

Test(weir, acknowledges_every_event_once)
{
    begin(1, 2);
    cr_assert(eq(int, run_until(EVENT_TOTAL), SIM_REACHED));
    cr_expect(eq(u32, run.lost_count, 0));
    crash_server();
    check_journal(1);
    end();
}

Test(weir, keeps_every_acknowledged_event_through_crashes)
{
    uint32_t lost_count = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        crash_in_the_middle(seed);
        lost_count += run.lost_count;
    }
    cr_expect(gt(u32, lost_count, 40)); /* else the crashes did not interrupt anything */
}

Test(weir, does_the_same_again_for_the_same_seed)
{
    uint64_t hash = crash_in_the_middle(77);

    cr_expect(eq(u64, crash_in_the_middle(77), hash));
    cr_expect(ne(u64, crash_in_the_middle(78), hash));
}

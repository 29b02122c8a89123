#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_disk.h"
#include "store/read_rebuild.h"
#include "store/sqlite_disk_vfs.h"
#include "store/sqlite_session.h"
#include "tests/sim/weir_load.h"

/*
 * The read model of the real server, on a disk that forgets and fails, in a process that is
 * killed and cut off: when the faults have ceased it holds each event of the log, and so
 * each that was acknowledged, exactly once, and can find it. One that was refused, because
 * a flush had failed, is made anew as an operator would.
 */
enum {
    EVENT_TOTAL_MAX = 600,
    LIFE_COUNT = 3, /* of the process, before the faults cease */
    SEED_COUNT = 25,
};

static struct weir weir;
static struct weir_load load;
static struct weir_census census;
static struct sqlite_disk_vfs *vfs;
static uint32_t goal_count;
static uint32_t refused_count;

static bool is_reached(void)
{
    return load.acknowledged_count >= goal_count;
}

static uint32_t draw(uint32_t below)
{
    return (uint32_t)rng_below(&weir.world->rng, below);
}

static void draw_weather(struct sim_faults *faults)
{
    sim_faults_draw(faults, &weir.world->rng, 2000);
    faults->write_error.chance_ppm /= 10;
    faults->sync_error.chance_ppm /= 10;
    faults->name_error.chance_ppm /= 10;
    faults->read_error.chance_ppm /= 10;
    faults->disk_stuck.chance_ppm = 0;
}

static void info(struct read_model_info *ret_info)
{
    read_model_info(weir.process.app.read_model, ret_info);
}

/* Waits until the read model is up to date, or says that it never will be. */
static bool is_followed(void)
{
    struct read_model_info now = {.state = READ_MODEL_STARTING};

    for (uint32_t i = 0; i < 6000; i++) {
        cr_assert(eq(int, weir_run_for(&weir, 10), SIM_REACHED), "seed %lu: %s", weir.seed,
                  weir.process.text);
        info(&now);
        if (now.state == READ_MODEL_RUNNING && now.lag_records == 0)
            return true;
        if (now.state == READ_MODEL_REFUSED)
            return false;
    }
    cr_assert(false, "seed %lu: state %d, %lu records behind: %s", weir.seed, now.state,
              now.lag_records, now.text);
    return false;
}

/* What `weir migrate --rebuild` does. */
static void rebuild(void)
{
    struct superblock superblock;
    struct read_rebuild_result result;
    char text[READ_MODEL_TEXT_SIZE];
    struct read_rebuild_config config = {
        .disk = sim_host_disk(weir.server),
        .data_path = "/data",
        .superblock = &superblock,
        .clock_source = &weir.world->clock_source,
        .vfs = sqlite_disk_vfs_name(vfs),
    };

    cr_assert(eq(int, superblock_read(config.disk, "/data", &superblock), 0));
    cr_assert(eq(int, read_rebuild(&config, &result, text), 0), "seed %lu: %s", weir.seed, text);
}

/* The events of the read model of a server that is down are those of its log. */
static void compare(void)
{
    struct sqlite_session session = {.db = NULL};
    struct sqlite_session_config config = {
        .path = "/data/read-model/read-model.db",
        .vfs = sqlite_disk_vfs_name(vfs),
        .exclusive = true,
        .clock_source = &weir.world->clock_source,
    };
    static uint32_t seen[WEIR_EVENT_COUNT_MAX];
    int64_t found = 0;
    sqlite3_stmt *row;
    int r;

    memset(seen, 0, sizeof(seen));
    cr_assert(eq(int, sqlite_session_open(&session, &config), 0));
    cr_assert(eq(int, sqlite_session_prepare(&session, "SELECT message FROM events", &row), 0));
    while ((r = sqlite_step(row)) == 1) {
        struct slice message = sqlite_slice(row, 0);
        char text[64];

        snprintf(text, sizeof(text), "%.*s", (int)message.size, message.data);
        seen[strtoul(text + strlen("number "), NULL, 10)]++;
    }
    cr_assert(eq(int, r, 0));
    for (uint32_t n = 0; n < WEIR_EVENT_COUNT_MAX; n++)
        cr_assert(eq(u32, seen[n], census.events[n].count), "seed %lu: event %u", weir.seed, n);
    cr_assert(eq(int,
                 sqlite_session_number(&session,
                                       "SELECT count(*) FROM event_search WHERE event_search"
                                       " MATCH 'message : number'",
                                       &found),
                 0));
    cr_assert(eq(i64, found, census.event_count), "seed %lu", weir.seed);
    cr_assert(eq(
        int, sqlite_session_number(&session, "SELECT sum(value) FROM metric_minutes", &found), 0));
    cr_assert(eq(i64, found, census.event_count), "seed %lu", weir.seed);
    sqlite_session_close(&session);
}

static uint64_t draw_calls(void)
{
    return 1 + draw(2000);
}

/* One life of the process under faults. */
static void live(void)
{
    draw_weather(&weir.server->faults);
    draw_weather(&weir.laptop->faults);
    weir.process.shard_count = 1 + draw(3);
    weir_start_in_weather(&weir, draw_calls, NULL);
    weir_load_start(&load);
    goal_count = load.acknowledged_count + 1 + draw(load.event_count / 2);
    weir_end_life(&weir, weir_run_for(&weir, draw(5000)));
}

static void stop_and_look(void)
{
    weir_stop(&weir);
    weir_census(&weir, &census);
    weir_load_check(&load, &census);
}

static void run_seed(uint64_t seed)
{
    bool is_whole;

    weir_begin(&weir, seed, 1);
    weir.process.settings.read_model = SETTINGS_READ_MODEL_SQLITE;
    weir.process.settings.segment_bytes = (uint64_t)(256 << draw(3)) << 10;
    weir_load_init(&load, &weir, 1 + draw(8), 100 + draw(EVENT_TOTAL_MAX));
    load.batch_max = sim_world_coin(weir.world) ? 1 : 1 + draw(WEIR_LOAD_BATCH_MAX);
    for (uint32_t life = 0; life < LIFE_COUNT; life++)
        live();
    weir_calm(&weir);
    weir_start(&weir);
    weir_load_start(&load);
    goal_count = load.event_count;
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED), "seed %lu: %s", seed,
              weir.process.text);
    is_whole = is_followed();
    stop_and_look();
    cr_assert(eq(u32, census.event_count, load.event_count), "seed %lu", seed);
    cr_assert(
        eq(int, sqlite_disk_vfs_new(sim_host_disk(weir.server), &weir.world->clock_source, 1, &vfs),
           0));
    if (!is_whole) {
        refused_count++;
        rebuild();
    }
    compare();
    sqlite_disk_vfs_free(&vfs);
    weir_end(&weir);
}

TestSuite(weir_read_model, .timeout = 110);

Test(weir_read_model, holds_what_was_acknowledged_when_the_faults_have_ceased)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++)
        run_seed(seed);
    cr_expect(lt(u32, refused_count, SEED_COUNT / 2), "%u", refused_count);
}

Test(weir_read_model, is_the_same_again_for_the_same_seed)
{
    uint64_t hashes[2];

    for (uint32_t i = 0; i < 2; i++) {
        weir_begin(&weir, 77, 2);
        weir.process.settings.read_model = SETTINGS_READ_MODEL_SQLITE;
        weir_load_init(&load, &weir, 4, 200);
        weir_start(&weir);
        weir_load_start(&load);
        goal_count = load.event_count;
        cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED));
        cr_assert(is_followed());
        weir_stop(&weir);
        hashes[i] = weir.world->trace.hash ^ sim_disk_hash(weir.server->disk);
        weir_end(&weir);
    }
    cr_assert(eq(u64, hashes[0], hashes[1]));
}

Test(weir_read_model, does_without_when_it_is_off)
{
    struct read_model_info now;

    weir_begin(&weir, 5, 1);
    weir_load_init(&load, &weir, 1, 10);
    weir_start(&weir);
    weir_load_start(&load);
    goal_count = load.event_count;
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED));
    info(&now);
    cr_assert(eq(int, now.state, READ_MODEL_OFF));
    weir_stop(&weir);
    weir_end(&weir);
}

#include "tools/sim/sim_weather.h"

#include "runtime/sim_disk.h"

/*
 * One table says which kind of fault belongs to which group and how often it may
 * strike at most. Errors that end the process are rare, or no life would last.
 *
 * Sudden changes come as gusts: the wall clock jumps, a client machine loses its
 * power, a shard stands still, the disk is full and later not.
 */
struct fault_kind {
    size_t offset;
    enum sim_fault_group group;
    uint32_t ppm_max;
};

#define KIND(field, group, ppm)                                                                    \
    {                                                                                              \
        offsetof(struct sim_faults, field), SIM_FAULT_##group, ppm                                 \
    }

static const struct fault_kind KINDS[] = {
    KIND(read_error, DISK, 1000),
    KIND(write_error, DISK, 1000),
    KIND(sync_error, DISK, 1000),
    KIND(name_error, DISK, 1000),
    KIND(read_short, DISK, 3000),
    KIND(write_short, DISK, 15000),
    KIND(op_interrupted, DISK, 3000),
    KIND(write_no_space, SPACE, 1000),
    KIND(disk_stuck, SLOW, 2000),
    KIND(connect_refused, NET, 3000),
    KIND(accept_error, NET, 3000),
    KIND(reset, NET, 3000),
    KIND(stall, NET, 3000),
    KIND(recv_starved, MEMORY, 20000),
    KIND(completions_held, MEMORY, 50000),
};

static const struct fault_kind DAMAGES[] = {
    KIND(write_lost, DAMAGE, 5000),    KIND(write_misdirected, DAMAGE, 5000),
    KIND(write_flipped, DAMAGE, 5000), KIND(sync_lies, DAMAGE, 200000),
    KIND(read_flipped, DAMAGE, 5000),
};

enum {
    FAILPOINT_PPM_MAX = 2000,
    FAILPOINT_STORM_PPM_MAX = 30000, /* in one life of so many: */
    FAILPOINT_STORM_ODDS = 4,
    STUCK_STORM_PPM_MAX = 50000,
    STUCK_STORM_ODDS = 4,
    SOUND_DISK_ODDS = 4, /* one run in so many has a disk that does what it is told */
    EDGE_PPM_MAX = 2000,
    CLOCK_JUMP_MS_MAX = 3600000,
    GUST_KIND_COUNT = 5,
};

static const uint64_t PAUSE_NS_MAX = 60000000000;
static const uint64_t STUCK_NS_MAX = 30000000000;

static struct rng *rng_of(const struct sim_weather *weather)
{
    return &weather->server->world->rng;
}

static uint64_t draw_small(const struct sim_weather *weather, uint64_t max)
{
    return sim_world_draw_small(weather->server->world, max);
}

static void on_gust(struct sim_event *event);

void sim_weather_init(struct sim_weather *weather, uint32_t allowed_groups,
                      struct sim_server *server, struct sim_workload *workload,
                      struct sim_job_crew *crew, struct sim_story *story)
{
    memset(weather, 0, sizeof(*weather));
    weather->server = server;
    weather->workload = workload;
    weather->crew = crew;
    weather->story = story;
    weather->gust.on_due = on_gust;
    weather->capacity = server->host->disk->capacity;
    for (uint32_t i = 0; i < SIM_FAULT_GROUP_COUNT; i++)
        weather->groups |= (uint32_t)sim_world_coin(server->world) << i;
    weather->groups &= allowed_groups;
    for (uint32_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        if (sim_world_coin(server->world) && (allowed_groups >> KINDS[i].group & 1) != 0)
            weather->kinds |= (uint64_t)1 << i;
    if (rng_below(rng_of(weather), SOUND_DISK_ODDS) == 0)
        for (uint32_t i = 0; i < ARRAY_COUNT(KINDS); i++)
            if (KINDS[i].group == SIM_FAULT_DISK)
                weather->kinds &= ~((uint64_t)1 << i);
    weather->gust_ns_max = 50000000 + rng_below(rng_of(weather), 5000000000);
}

bool sim_weather_fails_reads(const struct sim_weather *weather)
{
    static const size_t offsets[] = {
        offsetof(struct sim_faults, read_error), offsetof(struct sim_faults, read_short),
        offsetof(struct sim_faults, op_interrupted), offsetof(struct sim_faults, name_error)};

    for (uint32_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        for (uint32_t n = 0; n < ARRAY_COUNT(offsets); n++)
            if (KINDS[i].offset == offsets[n] && (weather->kinds >> i & 1) != 0)
                return true;
    return false;
}

static struct sim_fault *fault_of(struct sim_faults *faults, const struct fault_kind *kind)
{
    return (struct sim_fault *)(void *)((char *)faults + kind->offset);
}

/* The faults of one machine. */
static void draw_faults(struct sim_weather *weather, struct sim_host *host)
{
    struct sim_faults *faults = &host->faults;
    bool is_slow = sim_weather_has(weather, SIM_FAULT_SLOW);

    sim_faults_init(faults);
    for (uint32_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        if ((weather->kinds >> i & 1) != 0)
            fault_of(faults, &KINDS[i])->chance_ppm =
                (uint32_t)rng_below(rng_of(weather), KINDS[i].ppm_max + 1);
    if (is_slow) {
        faults->disk_latency_ns.max = faults->disk_latency_ns.min + draw_small(weather, 50000000);
        faults->completion_latency_ns.max = draw_small(weather, 1000000);
        faults->stuck_ns = (struct sim_range){0, 1 + draw_small(weather, STUCK_NS_MAX)};
        if (rng_below(rng_of(weather), STUCK_STORM_ODDS) == 0) {
            faults->disk_stuck.chance_ppm =
                (uint32_t)rng_below(rng_of(weather), STUCK_STORM_PPM_MAX);
            faults->stuck_ns.max = STUCK_NS_MAX;
        }
    }
    if (sim_weather_has(weather, SIM_FAULT_NET)) {
        faults->net_latency_ns.max = faults->net_latency_ns.min + draw_small(weather, 50000000);
        faults->stall_ns = (struct sim_range){0, 1 + draw_small(weather, 10000000000)};
    }
    host->ring_size = 0;
    if (sim_weather_has(weather, SIM_FAULT_MEMORY) && sim_world_coin(weather->server->world))
        host->ring_size = 2 + (uint32_t)draw_small(weather, 64);
}

static void await_gust(struct sim_weather *weather)
{
    sim_world_schedule(weather->server->world, &weather->gust,
                       1 + draw_small(weather, weather->gust_ns_max));
}

void sim_weather_rise(struct sim_weather *weather)
{
    draw_faults(weather, weather->server->host);
    for (uint32_t i = 0; i < SIM_CLIENT_HOST_COUNT; i++)
        draw_faults(weather, weather->workload->hosts[i].host);
    for (uint32_t i = 0; i < SIM_JOB_HOST_COUNT; i++)
        draw_faults(weather, weather->crew->hosts[i].host);
    for (uint32_t i = 0; i < SIM_WEATHER_OTHER_COUNT && weather->others[i] != NULL; i++)
        draw_faults(weather, weather->others[i]);
    weather->failpoint_ppm = 0;
    if (sim_weather_has(weather, SIM_FAULT_MEMORY))
        weather->failpoint_ppm = (uint32_t)draw_small(
            weather, rng_below(rng_of(weather), FAILPOINT_STORM_ODDS) == 0 ? FAILPOINT_STORM_PPM_MAX
                                                                           : FAILPOINT_PPM_MAX);
    weather->edge_ppm = 0;
    if (sim_weather_has(weather, SIM_FAULT_KILL))
        weather->edge_ppm = (uint32_t)draw_small(weather, EDGE_PPM_MAX);
    sim_world_unschedule(weather->server->world, &weather->gust);
    await_gust(weather);
}

static void set_capacity(struct sim_weather *weather, uint64_t capacity)
{
    sim_disk_set_capacity(weather->server->host->disk, capacity);
}

void sim_weather_calm(struct sim_weather *weather)
{
    sim_world_unschedule(weather->server->world, &weather->gust);
    sim_faults_init(&weather->server->host->faults);
    weather->server->host->ring_size = 0;
    for (uint32_t i = 0; i < SIM_CLIENT_HOST_COUNT; i++)
        sim_faults_init(&weather->workload->hosts[i].host->faults);
    for (uint32_t i = 0; i < SIM_JOB_HOST_COUNT; i++)
        sim_faults_init(&weather->crew->hosts[i].host->faults);
    for (uint32_t i = 0; i < SIM_WEATHER_OTHER_COUNT && weather->others[i] != NULL; i++)
        sim_faults_init(&weather->others[i]->faults);
    weather->failpoint_ppm = 0;
    weather->edge_ppm = 0;
    set_capacity(weather, weather->capacity);
    for (uint32_t i = 0; i < weather->server->app.shard_count; i++)
        sim_driver_pause(weather->server->driver, weather->server->host, i, 0);
}

void sim_weather_damage(struct sim_weather *weather)
{
    struct sim_faults *faults = &weather->server->host->faults;

    for (uint32_t i = 0; i < ARRAY_COUNT(DAMAGES); i++)
        if (sim_world_coin(weather->server->world))
            fault_of(faults, &DAMAGES[i])->chance_ppm =
                1 + (uint32_t)rng_below(rng_of(weather), DAMAGES[i].ppm_max);
}

/* --- gusts ---------------------------------------------------------------- */

static void jump(struct sim_weather *weather)
{
    struct sim_world *world = weather->server->world;
    int64_t goal_ms = (int64_t)rng_below(&world->rng, 2 * CLOCK_JUMP_MS_MAX) - CLOCK_JUMP_MS_MAX;

    sim_story_tell(weather->story, SIM_NO_NUMBER, 0, "the wall clock is now %lld ms off",
                   (long long)goal_ms);
    sim_world_jump_unix(world, goal_ms - world->unix_skew_ms);
}

static void pause_shard(struct sim_weather *weather)
{
    const struct sim_server *server = weather->server;
    uint64_t duration_ns = draw_small(weather, PAUSE_NS_MAX);
    uint32_t shard;

    if (!server->is_running)
        return;
    shard = (uint32_t)rng_below(rng_of(weather), server->app.shard_count);
    sim_story_tell(weather->story, SIM_NO_NUMBER, 0, "shard %u stands still for %llu ms", shard,
                   (unsigned long long)duration_ns / 1000000);
    sim_driver_pause(server->driver, server->host, shard, duration_ns);
    sim_host_hang(server->host, duration_ns);
}

static void change_space(struct sim_weather *weather)
{
    struct sim_disk *disk = weather->server->host->disk;
    uint64_t left = draw_small(weather, 8 * weather->server->settings.segment_bytes);

    if (disk->capacity == weather->capacity) {
        sim_story_tell(weather->story, SIM_NO_NUMBER, 0, "the disk has only %llu bytes left",
                       (unsigned long long)left);
        set_capacity(weather, disk->used + left);
    } else {
        sim_story_tell(weather->story, SIM_NO_NUMBER, 0, "the disk has space again");
        set_capacity(weather, weather->capacity);
    }
}

static void on_gust(struct sim_event *event)
{
    struct sim_weather *weather = container_of(event, struct sim_weather, gust);

    switch (rng_below(rng_of(weather), GUST_KIND_COUNT)) {
    case 0:
        if (sim_weather_has(weather, SIM_FAULT_CLOCK))
            jump(weather);
        break;
    case 1:
        if (sim_weather_has(weather, SIM_FAULT_PAUSE))
            pause_shard(weather);
        break;
    case 2:
        if (!sim_weather_has(weather, SIM_FAULT_NET))
            break;
        if (sim_world_coin(weather->server->world))
            sim_workload_cut_off(weather->workload);
        else
            sim_job_crew_cut_off(weather->crew);
        break;
    default:
        if (sim_weather_has(weather, SIM_FAULT_SPACE))
            change_space(weather);
        break;
    }
    await_gust(weather);
}

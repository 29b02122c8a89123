#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/retirement.h"
#include "store/log_position.h"
#include "tests/sim/weir_load.h"

/*
 * A toy durable in the real server, on every shard: slots that hold a number. Slot n is of
 * partition n, so another number of shards gives it to another shard. One slot is set once
 * and never again; the others change all the time, so nearly all that is in the log is of
 * no use any more. After any end of the process each slot must hold the number that was
 * last said to be durable, or one that was on its way.
 */
enum {
    RECORD_TOY = 200,
    SLOT_COUNT = 40,
    HELD_SLOT = 5,
    SHARD_COUNT = 4,
    PAYLOAD_SIZE_MAX = 29000, /* two do not fit into a segment */
    SEED_COUNT = 12,
};

/* The payload begins with it; filler follows. */
struct toy_fact {
    uint64_t number;
    uint64_t slot;
};

struct toy_slot {
    struct toy *toy;
    uint64_t number; /* 0: never set */
    uint32_t size;   /* of its record */
    struct journal_location location;
    bool is_busy; /* a fact about it is on its way */
    struct durable_step step;
    struct journal_record record;
    struct slice part;
    char payload[PAYLOAD_SIZE_MAX];
};

struct toy {
    struct durable durable;
    struct app_shard *home;
    struct timer timer;
    uint32_t carry_log;
    uint64_t carry_seq;  /* 0: nothing to carry */
    uint64_t oldest_seq; /* when it was asked */
    uint64_t carried_count;
    struct toy_slot slots[SLOT_COUNT];
};

static struct weir weir;
static struct weir_load load;
static struct weir_census census;
static struct toy toys[SHARD_COUNT];
/* What survives the process: the highest number tried, and the highest said to be durable. */
static uint64_t tried[SLOT_COUNT], durable_numbers[SLOT_COUNT];
static uint64_t durable_count, goal_count;
static uint32_t payload_size;
static bool is_quiet, is_resumed_wrong;

/* Times that segments went while the toys were asked what they need of others. */
static uint32_t gone_meanwhile_count;

static void carry_on(struct toy *toy);

static void on_done(struct durable_step *step, enum durable_outcome outcome)
{
    struct toy_slot *slot = container_of(step, struct toy_slot, step);
    uint32_t n = (uint32_t)(slot - slot->toy->slots);

    slot->is_busy = false;
    if (outcome != DURABLE_DONE)
        return;
    durable_count++;
    durable_numbers[n] = max_u64(durable_numbers[n], slot->number);
    carry_on(slot->toy);
}

static void fill(struct toy_slot *slot, uint64_t number)
{
    struct toy_fact fact = {number, (uint64_t)(slot - slot->toy->slots)};

    slot->is_busy = true;
    memset(slot->payload, 'x', payload_size);
    memcpy(slot->payload, &fact, sizeof(fact));
    slot->part = (struct slice){slot->payload, payload_size};
    slot->record = (struct journal_record){.partition = (uint32_t)fact.slot,
                                           .type = RECORD_TOY,
                                           .version = 1,
                                           .parts = &slot->part,
                                           .part_count = 1};
    slot->step =
        (struct durable_step){.on_done = on_done, .records = &slot->record, .record_count = 1};
}

/* Facts come only to the shard that has their partition, and never go back. */
static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct toy *toy = container_of(self, struct toy, durable);
    struct toy_fact said;
    struct toy_slot *slot;

    memcpy(&said, fact->payload.data, sizeof(said));
    cr_assert(lt(u64, said.slot, SLOT_COUNT));
    cr_assert(eq(u32, fact->partition, (uint32_t)said.slot));
    cr_assert(eq(u32, fact->partition % toy->home->app->shard_count, toy->home->shard->index));
    slot = &toy->slots[said.slot];
    cr_assert(fact->is_recovery || said.number >= slot->number, "seed %lu: slot %lu went back",
              weir.seed, said.slot);
    slot->number = said.number;
    slot->size = fact->size;
    slot->location = fact->location;
    return 0;
}

static bool is_up_to(const struct toy_slot *slot, uint32_t log, uint64_t seq)
{
    return slot->number != 0 && journal_location_log(slot->location) == log &&
           journal_location_seq(slot->location) <= seq;
}

static uint64_t oldest_seq(const struct toy *toy)
{
    return journal_oldest_seq(toy->home->keeper.logs[0].journal);
}

static void carry_on(struct toy *toy)
{
    bool is_left = false;

    if (toy->carry_seq == 0)
        return;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        struct toy_slot *slot = &toy->slots[i];

        if (!is_up_to(slot, toy->carry_log, toy->carry_seq))
            continue;
        is_left = true;
        if (slot->is_busy)
            continue;
        fill(slot, slot->number);
        if (!durable_commit_later(&toy->home->keeper.durables, &slot->step))
            slot->is_busy = false;
        toy->carried_count++;
    }
    if (is_left)
        return;
    gone_meanwhile_count += oldest_seq(toy) > toy->oldest_seq;
    toy->carry_seq = 0;
    durable_carried(&toy->durable);
}

static void carry(struct durable *self, uint32_t log, uint64_t seq)
{
    struct toy *toy = container_of(self, struct toy, durable);

    cr_assert(zero(u64, toy->carry_seq));
    toy->carry_log = log;
    toy->carry_seq = seq;
    toy->oldest_seq = oldest_seq(toy);
    if (rng_below(&weir.world->rng, 2) == 0) /* or at the next timer */
        carry_on(toy);
}

static void set_some(struct toy *toy)
{
    uint32_t shard_count = toy->home->app->shard_count;

    for (uint32_t n = toy->home->shard->index; n < SLOT_COUNT; n += shard_count) {
        struct toy_slot *slot = &toy->slots[n];

        if (slot->is_busy || is_quiet || (n == HELD_SLOT && tried[n] > 0) ||
            rng_below(&weir.world->rng, 2) == 0)
            continue;
        fill(slot, ++tried[n]);
        if (durable_commit(&toy->home->keeper.durables, &slot->step) != JOURNAL_OK)
            slot->is_busy = false;
    }
}

static void on_timer(struct timer *timer)
{
    struct toy *toy = container_of(timer, struct toy, timer);

    set_some(toy);
    carry_on(toy);
    timer_start(&toy->home->shard->timers, &toy->timer, toy->home->shard->clock.mono_ns + 1000000);
}

static void resume(struct durable *self)
{
    struct toy *toy = container_of(self, struct toy, durable);
    uint32_t shard_count = toy->home->app->shard_count;

    for (uint32_t n = toy->home->shard->index; n < SLOT_COUNT; n += shard_count)
        is_resumed_wrong |=
            toy->slots[n].number < durable_numbers[n] || toy->slots[n].number > tried[n];
    timer_init(&toy->timer, on_timer);
    on_timer(&toy->timer);
}

static uint64_t live_bytes(struct durable *self)
{
    struct toy *toy = container_of(self, struct toy, durable);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < SLOT_COUNT; i++)
        sum += toy->slots[i].size;
    return sum;
}

static const struct durable_type toy_type = {
    .name = "toys",
    .record_first = RECORD_TOY,
    .record_last = RECORD_TOY,
    .version_max = 1,
    .apply = apply,
    .resume = resume,
    .carry_up_to = carry,
    .live_bytes = live_bytes,
};

static void add_toys(struct sim_server *server)
{
    memset(toys, 0, sizeof(toys));
    for (uint32_t i = 0; i < server->app.shard_count; i++) {
        toys[i].durable.type = &toy_type;
        toys[i].home = &server->app.shards[i];
        for (uint32_t n = 0; n < SLOT_COUNT; n++)
            toys[i].slots[n].toy = &toys[i];
        durable_add(&server->app.shards[i].keeper.durables, &toys[i].durable);
    }
}

static bool is_reached(void)
{
    return durable_count >= goal_count || is_resumed_wrong;
}

static void run_steps(uint64_t count)
{
    goal_count = durable_count + count;
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED), "seed %lu", weir.seed);
    cr_assert(not(is_resumed_wrong), "seed %lu: a fact is lost, or was never said", weir.seed);
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir.process.on_new = add_toys;
    weir.process.settings.segment_bytes = 64 << 10;
    weir.process.settings.reserve_bytes = 64 << 10;
    weir.process.settings.retain_bytes = 0;
    memset(tried, 0, sizeof(tried));
    memset(durable_numbers, 0, sizeof(durable_numbers));
    durable_count = 0;
    gone_meanwhile_count = 0;
    payload_size = 400;
    is_quiet = false;
    is_resumed_wrong = false;
}

static void end_process(uint32_t way)
{
    if (way == 0)
        weir_crash(&weir);
    else if (way == 1)
        weir_kill(&weir);
    else
        weir_stop(&weir);
}

static uint64_t reclaimed_count(void)
{
    return weir_metric(&weir, weir.process.app.metrics.journal.dropped[JOURNAL_DROP_RECLAIMED]);
}

/* What the disk may take: twice what is alive and some segments per log, ready ones included. */
static uint64_t disk_bound(uint32_t log_count)
{
    uint64_t live = SLOT_COUNT * segment_record_size(payload_size);

    return 2 * live + log_count * 16 * weir.process.settings.segment_bytes;
}

TestSuite(weir_durable, .timeout = 110);

Test(weir_durable, keeps_the_disk_in_proportion_to_what_is_alive)
{
    begin(1, 1);
    weir_start(&weir);
    for (uint32_t i = 0; i < 40; i++) {
        run_steps(500); /* 220 KiB each */
        cr_assert(lt(u64, weir_disk_used(&weir), disk_bound(1)), "round %u", i);
    }
    cr_assert(lt(u64, 80, reclaimed_count()));
    cr_assert(eq(u64, tried[HELD_SLOT], 1)); /* carried from segment to segment all the time */
    cr_assert(eq(u64, toys[0].slots[HELD_SLOT].number, 1));
    weir_stop(&weir);
    weir_start(&weir);
    run_steps(1);
    weir_end(&weir);
}

/*
 * A name that is changed takes about as long as a segment that is filled. What is alive is written
 * again all the time, and the log may hold some segments more: those that come meanwhile.
 */
Test(weir_durable, keeps_the_disk_in_proportion_where_segments_wait_for_their_names)
{
    uint64_t bound;

    begin(1, 1);
    payload_size = 8000;
    weir.process.host->faults.disk_latency_ns = (struct sim_range){10000000, 30000000};
    bound = disk_bound(1) + 8 * weir.process.settings.segment_bytes;
    weir_start(&weir);
    for (uint32_t i = 0; i < 400; i++) {
        run_steps(20);
        cr_assert(lt(u64, weir_disk_used(&weir), bound), "round %u", i);
    }
    cr_assert(lt(u64, 80, reclaimed_count()));
    cr_assert(lt(u32, 20, gone_meanwhile_count), "what goes next is carried while others go");
    weir_stop(&weir);
    weir_end(&weir);
}

/* The simulator: what lives may make the logs as large as it will (seed 50824). */
Test(weir_durable, leaves_behind_how_much_is_alive_when_the_process_is_killed)
{
    uint64_t kept_bytes;

    begin(1, 1);
    weir_start(&weir);
    run_steps(500);
    kept_bytes = sim_server_kept_bytes(&weir.process);
    cr_assert(le(u64, JOURNAL_LIVE_FACTOR * segment_record_size(payload_size), kept_bytes));
    weir_kill(&weir);
    cr_assert(eq(u64, weir.process.kept_bytes, kept_bytes));
    weir_end(&weir);
}

Test(weir_durable, loses_no_fact_whatever_ends_the_process_and_however_many_shards_go_on)
{
    static const uint32_t SHARD_COUNTS[] = {4, 3, 2, 4, 1, 3, 4};

    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin(seed, SHARD_COUNTS[0]);
        for (uint32_t i = 0; i < ARRAY_COUNT(SHARD_COUNTS); i++) {
            weir.process.shard_count = SHARD_COUNTS[i];
            weir_start(&weir);
            run_steps(300 + rng_below(&weir.world->rng, 2500));
            cr_assert(lt(u64, weir_disk_used(&weir), disk_bound(SHARD_COUNT)), "seed %lu", seed);
            end_process((uint32_t)rng_below(&weir.world->rng, 3));
        }
        weir_start(&weir);
        run_steps(1);
        weir_end(&weir);
    }
}

/* All facts of another shard's log are carried into the logs of those that have them now. */
Test(weir_durable, leaves_nothing_in_the_logs_of_shards_that_are_gone)
{
    begin(1, 4);
    weir_start(&weir);
    run_steps(3000);
    weir_kill(&weir);
    weir.process.shard_count = 1;
    is_quiet = true;
    weir_start(&weir);
    cr_assert(eq(int, weir_run_for(&weir, 10000), SIM_REACHED));
    cr_assert(not(is_resumed_wrong));
    cr_assert(lt(u64, 0, toys[0].carried_count));
    for (uint32_t n = 0; n < SLOT_COUNT; n++) {
        uint32_t log = journal_location_log(toys[0].slots[n].location);
        struct keeper_log *entry = keeper_find_log(&weir.process.app.shards[0].keeper, log);

        cr_assert(ge(u64, journal_location_seq(toys[0].slots[n].location),
                     journal_oldest_seq(entry->journal)),
                  "slot %u", n);
    }
    for (uint32_t log = 1; log < 4; log++) {
        struct journal_stats stats;

        journal_stats(weir.process.app.shards[0].keeper.logs[log].journal, &stats);
        cr_assert(eq(u64, stats.segment_count, 1), "log %u", log); /* it knows the position */
        cr_assert(eq(u64, stats.segment_bytes, LOG_POSITION_SIZE), "log %u", log);
    }
    cr_assert(zero(u32, weir.process.app.shards[0].keeper.old_log_count));
    weir_stop(&weir);
    is_quiet = false;
    weir.process.shard_count = 4;
    weir_start(&weir);
    run_steps(1000);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_durable, does_not_give_up_a_segment_with_events_before_its_time)
{
    begin(3, 2);
    weir_start(&weir);
    weir_load_init(&load, &weir, 4, 400);
    load.batch_max = 5;
    weir_load_start(&load);
    run_steps(8000);
    cr_assert(eq(u32, load.acknowledged_count, 400));
    cr_assert(zero(u64, reclaimed_count()));
    weir_stop(&weir);
    weir_start(&weir); /* and remembers it when the records have been read back */
    run_steps(4000);
    cr_assert(zero(u64, reclaimed_count()));
    weir_stop(&weir);
    weir_census(&weir, &census);
    weir_load_check(&load, &census);
    weir_end(&weir);
}

/* Once nothing new comes, what is alive must come to rest. */
static void expect_rest(void)
{
    weir_start(&weir);
    run_steps(1500);
    is_quiet = true;
    cr_assert(eq(int, weir_run_for(&weir, 5000), SIM_REACHED));
    toys[0].carried_count = 0;
    cr_assert(eq(int, weir_run_for(&weir, 120000), SIM_REACHED));
    cr_assert(zero(u64, toys[0].carried_count));
    weir_stop(&weir);
    weir_end(&weir);
}

/* Half of each segment is waste, and the log larger than twice what is alive for ever. */
Test(weir_durable, does_not_carry_for_ever_when_segments_hold_little)
{
    begin(1, 1);
    payload_size = PAYLOAD_SIZE_MAX;
    expect_rest();
}

Test(weir_durable, does_not_carry_for_ever_when_more_is_alive_than_may_be_retained)
{
    begin(1, 1);
    payload_size = 10000;
    weir.process.settings.retain_bytes = 192 << 10;
    expect_rest();
}

static void ask_early(struct sim_server *server)
{
    struct keeper_log *entry = &server->app.shards[0].keeper.logs[0];

    add_toys(server);
    /* As if shard 0 had been quicker and its first segment were going; one never answers. */
    entry->retiring_seq = 1;
    entry->carrying_seq = 1;
    entry->asked_count = 2;
    retirement_on_asked(&server->app.shards[1].keeper, 0, 1);
    cr_assert(eq(u64, server->app.shards[1].keeper.retirement.asked_seqs[0], 1));
}

Test(weir_durable, answers_later_when_it_is_asked_before_it_has_recovered)
{
    begin(1, 2);
    weir.process.on_new = ask_early;
    weir_start(&weir);
    cr_assert(eq(u32, weir.process.app.shards[0].keeper.logs[0].asked_count, 2));
    weir_run_until_ready(&weir);
    run_steps(3);
    cr_assert(eq(u32, weir.process.app.shards[0].keeper.logs[0].asked_count, 1));
    cr_assert(zero(u64, weir.process.app.shards[1].keeper.retirement.asked_seqs[0]));
    weir_kill(&weir);
    weir_end(&weir);
}

Test(weir_durable, refuses_to_start_when_nobody_owns_what_is_in_the_log)
{
    int exit_code = 0;

    begin(1, 1);
    weir_start(&weir);
    run_steps(3);
    weir_kill(&weir);
    weir.process.on_new = NULL;
    cr_assert(not(weir_try_start(&weir, &exit_code)));
    cr_assert(eq(int, exit_code, 74));
    weir.process.on_new = add_toys;
    weir_start(&weir);
    run_steps(1);
    weir_end(&weir);
}

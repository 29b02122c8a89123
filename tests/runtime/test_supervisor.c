#include "runtime/supervisor.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

#include "runtime/internals.h"
#include "tests/support/probe.h"

/* Most tests: a root supervisor over the probes a, b, c; sender is an orphan that sends. */
static struct probe sender, a, b, c;
static struct supervisor root, inner;
static struct supervisor_child_spec children[3];
static struct supervisor_child_spec inner_children[2];
static struct supervisor_spec spec = {.name = "root", .children = children, .child_count = 3};
static struct supervisor_spec inner_spec = {
    .name = "inner", .children = inner_children, .child_count = 1};

static struct supervisor_child_spec child_spec(struct probe *probe, const char *name)
{
    probe->name = name[0];
    return (struct supervisor_child_spec){
        .name = name, .actor = &probe->actor, .type = &probe_type, .type_magic = PROBE_MAGIC};
}

static void setup(void)
{
    test_shards_new(1);
    children[0] = child_spec(&a, "a");
    children[1] = child_spec(&b, "b");
    children[2] = child_spec(&c, "c");
}

static void teardown(void)
{
    test_shards_free();
}

static void start_root(void)
{
    cr_assert(eq(int, supervisor_spawn(test_shard(0), &root, &spec, ACTOR_ID_NONE), 0));
    cr_assert(eq(int, probe_spawn(&sender, 0, ACTOR_ID_NONE), 0));
    probe_events_clear();
}

static void tell(struct probe *probe, uint16_t type)
{
    cr_assert(eq(int, probe_send(&sender, probe->actor.id, type, 0), SEND_OK));
    test_shards_settle();
}

static void expect_events(const char *expected)
{
    cr_expect(eq(str, probe_events, (char *)expected));
    probe_events_clear();
}

TestSuite(supervisor, .init = setup, .fini = teardown, .timeout = 30);

Test(supervisor, starts_children_from_the_left_and_stops_them_from_the_right)
{
    cr_assert(eq(int, supervisor_spawn(test_shard(0), &root, &spec, ACTOR_ID_NONE), 0));
    expect_events("+a+b+c");
    runtime_stop(test_shards.runtime);
    test_shards_settle();
    expect_events("-c-b-a");
    cr_expect(eq(int, shard_turn(test_shard(0), false), false));
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), 0));
}

Test(supervisor, waits_for_one_child_before_it_stops_the_next)
{
    c.ignores_stop = true;
    start_root();
    actor_stop(test_shard(0), root.actor.id);
    test_shards_settle();
    cr_expect(eq(u32, c.stop_count, 1));
    cr_expect(eq(u32, b.stop_count, 0));
    tell(&c, PROBE_QUIT);
    expect_events("-c-b-a");
}

Test(supervisor, restarts_by_type_and_reason_as_the_table_says)
{
    static const struct {
        enum supervisor_restart restart;
        uint16_t message;
        bool restarted;
    } CASES[] = {
        {RESTART_PERMANENT, PROBE_QUIT, true},   {RESTART_PERMANENT, PROBE_FAIL, true},
        {RESTART_PERMANENT, PROBE_PANIC, true},  {RESTART_PERMANENT, MSG_STOP, true},
        {RESTART_TRANSIENT, PROBE_QUIT, false},  {RESTART_TRANSIENT, PROBE_FAIL, true},
        {RESTART_TRANSIENT, PROBE_PANIC, true},  {RESTART_TRANSIENT, MSG_STOP, false},
        {RESTART_TEMPORARY, PROBE_QUIT, false},  {RESTART_TEMPORARY, PROBE_FAIL, false},
        {RESTART_TEMPORARY, PROBE_PANIC, false}, {RESTART_TEMPORARY, MSG_STOP, false},
    };

    for (uint32_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct actor_id id;

        children[1].restart = CASES[i].restart;
        start_root();
        id = b.actor.id;
        tell(&b, CASES[i].message);
        cr_expect(eq(int, shard_actor(test_shard(0), id) == &b.actor, CASES[i].restarted),
                  "case %u", i);
        expect_events(CASES[i].restarted ? "-b+b" : "-b");
        cr_expect(eq(u32, supervisor_child_count(&root), CASES[i].restarted ? 3 : 2));
        test_shards_free();
        memset(&root, 0, sizeof(root));
        memset(&sender, 0, sizeof(sender));
        memset(&a, 0, sizeof(a));
        memset(&b, 0, sizeof(b));
        memset(&c, 0, sizeof(c));
        setup();
    }
}

Test(supervisor, one_for_all_stops_the_others_from_the_right_and_starts_all_from_the_left)
{
    spec.strategy = SUPERVISE_ONE_FOR_ALL;
    start_root();
    tell(&b, PROBE_PANIC);
    expect_events("-b-c-a+a+b+c");
    cr_expect(eq(u32, a.actor.restart_count, 1));
}

Test(supervisor, rest_for_one_leaves_those_to_the_left_alone)
{
    spec.strategy = SUPERVISE_REST_FOR_ONE;
    start_root();
    tell(&b, PROBE_FAIL);
    expect_events("-b-c+b+c");
    cr_expect(eq(u32, a.start_count, 1));
}

Test(supervisor, never_restarts_a_temporary_child_even_when_a_sibling_dies)
{
    spec.strategy = SUPERVISE_ONE_FOR_ALL;
    children[2].restart = RESTART_TEMPORARY;
    start_root();
    tell(&a, PROBE_FAIL);
    expect_events("-a-c-b+a+b");
    cr_expect(eq(u32, supervisor_child_count(&root), 2));
    cr_expect(eq(u32, c.free_count, 1));
}

Test(supervisor, starts_a_transient_child_again_with_its_group_although_it_had_ended_normally)
{
    spec.strategy = SUPERVISE_ONE_FOR_ALL;
    children[2].restart = RESTART_TRANSIENT;
    start_root();
    tell(&c, PROBE_QUIT);
    expect_events("-c");
    tell(&a, PROBE_FAIL);
    expect_events("-a-b+a+b+c");
}

Test(supervisor, widens_a_group_restart_when_a_child_further_left_fails_meanwhile)
{
    spec.strategy = SUPERVISE_REST_FOR_ONE;
    c.ignores_stop = true;
    start_root();
    tell(&b, PROBE_FAIL);
    expect_events("-b");
    tell(&a, PROBE_FAIL);
    expect_events("-a");
    tell(&c, PROBE_QUIT);
    expect_events("-c+a+b+c");
}

Test(supervisor, keeps_the_id_and_the_mailbox_of_a_restarted_child)
{
    struct actor_id id;

    start_root();
    id = b.actor.id;
    cr_assert(eq(int, probe_send(&sender, id, PROBE_PANIC, 1), SEND_OK));
    cr_assert(eq(int, probe_send(&sender, id, PROBE_NOTE, 2), SEND_OK));
    cr_assert(eq(int, probe_send(&sender, id, PROBE_NOTE, 3), SEND_OK));
    test_shards_settle();
    cr_expect(eq(u64, b.actor.id.bits, id.bits));
    cr_assert(eq(u32, b.seen_count, 3));
    cr_expect(eq(u64, b.seen[2], 3));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_CRASHED], 1));
}

Test(supervisor, gives_a_message_again_until_it_has_brought_the_child_down_three_times)
{
    children[1].type = &probe_stubborn_type;
    start_root();
    cr_assert(eq(int, probe_send(&sender, b.actor.id, PROBE_PANIC, 13), SEND_OK));
    cr_assert(eq(int, probe_send(&sender, b.actor.id, PROBE_NOTE, 14), SEND_OK));
    test_shards_settle();
    cr_assert(eq(u32, b.seen_count, 4));
    cr_expect(eq(u64, b.seen[2], 13));
    cr_expect(eq(u64, b.seen[3], 14));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_POISON], 1));
    cr_expect(eq(u64, test_shards.last_dead.token, 13));
    cr_expect(test_log_has("attempts=3"));
    cr_expect(eq(u32, pool_used_count(&test_shard(0)->internals->messages), 0));
}

Test(supervisor, gives_up_at_one_restart_more_than_its_intensity)
{
    start_root();
    for (uint32_t i = 0; i < 5; i++)
        tell(&a, PROBE_FAIL);
    cr_expect(eq(int, a.actor.state, ACTOR_RUNNING));
    probe_events_clear();
    tell(&a, PROBE_FAIL);
    expect_events("-a-c-b");
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
    cr_expect(test_log_has("too many restarts"));
    cr_expect(eq(u32, a.start_count, 6));
}

Test(supervisor, forgets_restarts_that_are_older_than_its_period)
{
    spec.intensity = 2;
    spec.period_ms = 1000;
    start_root();
    for (uint32_t i = 0; i < 20; i++) {
        tell(&a, PROBE_FAIL);
        test_shards_advance_ms(501);
    }
    cr_expect(eq(int, a.actor.state, ACTOR_RUNNING));
    tell(&a, PROBE_FAIL);
    tell(&a, PROBE_FAIL);
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
}

Test(supervisor, without_intensity_gives_up_at_the_first_restart)
{
    spec.intensity = INTENSITY_NONE;
    start_root();
    tell(&a, PROBE_FAIL);
    expect_events("-a-c-b");
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
}

static void put_inner_into_root(void)
{
    inner_children[0] = child_spec(&b, "b");
    supervisor_init(&inner, &inner_spec);
    children[1] = (struct supervisor_child_spec){.name = "inner",
                                                 .actor = &inner.actor,
                                                 .type = &supervisor_type,
                                                 .type_magic = SUPERVISOR_MAGIC};
}

Test(supervisor, escalates_so_that_restarts_multiply_by_level)
{
    spec.intensity = 3;
    inner_spec.intensity = 2;
    put_inner_into_root();
    start_root();
    while (runtime_exit_code(test_shards.runtime) == 0)
        tell(&b, PROBE_PANIC);
    cr_expect(eq(u32, b.start_count, (3 + 1) * (2 + 1)));
    cr_expect(
        eq(u64,
           test_shard(0)->internals->counters.escalations +
               metrics_value(&test_shard(0)->metrics, test_shards.runtime->series.escalations),
           3 + 2));
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
}

Test(supervisor, does_not_restart_a_transient_supervisor_that_gave_up)
{
    put_inner_into_root();
    inner_spec.intensity = INTENSITY_NONE;
    children[1].restart = RESTART_TRANSIENT;
    start_root();
    tell(&b, PROBE_FAIL);
    expect_events("-b");
    cr_expect(eq(u32, supervisor_child_count(&root), 2));
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), 0));
}

Test(supervisor, stops_a_tree_in_reverse_order_at_every_level)
{
    static struct probe d;

    put_inner_into_root();
    inner_children[1] = child_spec(&d, "d");
    inner_spec.child_count = 2;
    start_root();
    actor_stop(test_shard(0), root.actor.id);
    test_shards_settle();
    expect_events("-c-d-b-a");
}

Test(supervisor, kills_a_child_that_does_not_stop_within_five_seconds)
{
    b.ignores_stop = true;
    start_root();
    actor_stop(test_shard(0), root.actor.id);
    test_shards_settle();
    test_shards_advance_ms(4999);
    expect_events("-c");
    test_shards_advance_ms(1);
    expect_events("-b-a");
    cr_expect(test_log_has("killed"));
}

Test(supervisor, gives_each_child_the_time_its_spec_says)
{
    b.ignores_stop = true;
    c.ignores_stop = true;
    children[1].shutdown_ms = 200;
    children[2].shutdown_ms = SHUTDOWN_KILL;
    start_root();
    actor_stop(test_shard(0), root.actor.id);
    test_shards_settle();
    expect_events("-c");
    cr_expect(eq(u32, c.stop_count, 0));
    test_shards_advance_ms(199);
    expect_events("");
    test_shards_advance_ms(1);
    expect_events("-b-a");
}

Test(supervisor, waits_without_end_for_a_child_with_infinite_time)
{
    c.ignores_stop = true;
    children[2].shutdown_ms = SHUTDOWN_INFINITY;
    start_root();
    actor_stop(test_shard(0), root.actor.id);
    test_shards_advance_ms(20000);
    expect_events("");
    tell(&c, PROBE_QUIT);
    expect_events("-c-b-a");
}

Test(supervisor, that_is_killed_takes_its_children_along)
{
    put_inner_into_root();
    children[1].shutdown_ms = 100;
    b.ignores_stop = true;
    inner_children[0].shutdown_ms = SHUTDOWN_INFINITY;
    start_root();
    actor_stop(test_shard(0), root.actor.id);
    test_shards_settle();
    test_shards_advance_ms(99);
    expect_events("-c");
    test_shards_advance_ms(1);
    expect_events("-b-a");
    cr_expect(eq(u32, test_shard(0)->internals->actors.used_count, 1));
}

Test(supervisor, reports_the_error_of_a_child_that_cannot_start_and_stops_the_others)
{
    b.start_result = -EADDRINUSE;
    cr_expect(eq(int, supervisor_spawn(test_shard(0), &root, &spec, ACTOR_ID_NONE), -EADDRINUSE));
    test_shards_settle();
    expect_events("+a-b-a");
    cr_expect(test_log_has("did not start"));
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
    cr_expect(eq(u32, c.start_count, 0));
}

Test(supervisor, whose_first_child_cannot_start_does_not_start_itself)
{
    a.start_result = -EADDRINUSE;
    cr_expect(eq(int, supervisor_spawn(test_shard(0), &root, &spec, ACTOR_ID_NONE), -EADDRINUSE));
    cr_expect(eq(u32, test_shard(0)->internals->actors.used_count, 0));
}

Test(supervisor, counts_restarts_whose_start_fails_and_goes_on_until_one_succeeds)
{
    start_root();
    b.start_fails = 3;
    tell(&b, PROBE_FAIL);
    cr_expect(eq(u32, b.start_count, 5));
    cr_expect(eq(int, b.actor.state, ACTOR_RUNNING));
    cr_expect(eq(u32, root.restart_total, 4));
    b.start_fails = 3;
    tell(&b, PROBE_FAIL);
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
}

Test(supervisor, restarts_the_whole_group_anew_when_one_of_it_fails_to_start)
{
    spec.strategy = SUPERVISE_ONE_FOR_ALL;
    start_root();
    b.start_fails = 1;
    tell(&c, PROBE_FAIL);
    expect_events("-c-b-a+a-b-a+a+b+c");
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), 0));
}

Test(supervisor, waits_between_restarts_as_the_back_off_says)
{
    static const uint64_t DELAYS_MS[] = {100, 200, 400, 800, 1000, 1000, 1000};

    children[1].backoff = (struct backoff){.min_ms = 100, .max_ms = 1000, .healthy_ms = 5000};
    spec.intensity = INTENSITY_NONE;
    start_root();
    for (uint32_t i = 0; i < sizeof(DELAYS_MS) / sizeof(DELAYS_MS[0]); i++) {
        tell(&b, PROBE_FAIL);
        test_shards_advance_ms(DELAYS_MS[i] - 1);
        cr_assert(eq(u32, b.start_count, i + 1));
        test_shards_advance_ms(1);
        cr_assert(eq(u32, b.start_count, i + 2));
    }
    test_shards_advance_ms(5000);
    tell(&b, PROBE_FAIL);
    test_shards_advance_ms(100);
    cr_expect(eq(u32, b.start_count, 9));
    cr_expect(eq(u32, a.start_count, 1));
}

Test(supervisor, keeps_mail_for_a_child_in_back_off_until_its_mailbox_is_full)
{
    children[1].backoff = (struct backoff){.min_ms = 100, .max_ms = 1000};
    children[1].type = &probe_small_type;
    start_root();
    tell(&b, PROBE_FAIL);
    for (uint64_t i = 0; i < 4; i++)
        cr_assert(eq(int, probe_send(&sender, b.actor.id, PROBE_NOTE, i), SEND_OK));
    cr_expect(eq(int, probe_send(&sender, b.actor.id, PROBE_NOTE, 4), SEND_FULL));
    test_shards_advance_ms(99);
    cr_expect(eq(u32, b.seen_count, 1));
    test_shards_advance_ms(1);
    cr_expect(eq(u32, b.seen_count, 5));
}

Test(supervisor, that_stops_lets_a_child_in_back_off_go)
{
    children[1].backoff = (struct backoff){.min_ms = 100, .max_ms = 1000};
    c.ignores_stop = true;
    start_root();
    tell(&b, PROBE_FAIL);
    cr_assert(eq(int, probe_send(&sender, b.actor.id, PROBE_NOTE, 1), SEND_OK));
    actor_stop(test_shard(0), root.actor.id);
    test_shards_advance_ms(150);
    cr_expect(eq(u32, b.start_count, 1));
    tell(&c, PROBE_QUIT);
    cr_expect(eq(u32, b.free_count, 1));
    cr_expect(eq(u64, test_shards.dead_by_reason[DEAD_LETTER_ACTOR_GONE], 1));
    cr_expect(eq(u32, a.free_count, 1));
}

Test(supervisor, logs_each_failure_once_with_actor_reason_and_error)
{
    start_root();
    tell(&b, PROBE_FAIL);
    cr_expect(eq(u32, test_log_count("an actor ended"), 1));
    cr_expect(test_log_has("reason=error"));
    cr_expect(test_log_has("Protocol error"));
    tell(&b, PROBE_PANIC);
    cr_expect(eq(u32, test_log_count("an actor ended"), 2));
    cr_expect(test_log_has("told to"));
}

static struct probe many[1000];
static struct supervisor_child_spec many_child = {
    .name = "many", .type = &probe_type, .type_magic = PROBE_MAGIC, .restart = RESTART_TEMPORARY};
static struct supervisor_spec many_spec = {.name = "pool",
                                           .strategy = SUPERVISE_SIMPLE_ONE_FOR_ONE,
                                           .children = &many_child,
                                           .child_count = 1};

static void start_many(void)
{
    cr_assert(eq(int, supervisor_spawn(test_shard(0), &root, &many_spec, ACTOR_ID_NONE), 0));
    cr_assert(eq(int, probe_spawn(&sender, 0, ACTOR_ID_NONE), 0));
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert(eq(int, supervisor_start_child(&root, &many[i].actor), 0));
}

Test(supervisor, of_dynamic_children_lets_each_go_on_its_own)
{
    start_many();
    cr_expect(eq(u32, supervisor_child_count(&root), 1000));
    tell(&many[500], PROBE_QUIT);
    tell(&many[501], PROBE_PANIC);
    cr_expect(eq(u32, supervisor_child_count(&root), 998));
    cr_expect(eq(u32, many[500].free_count, 1));
    cr_expect(eq(int, supervisor_start_child(&root, &many[500].actor), 0));
    tell(&many[500], PROBE_NOTE);
    cr_expect(eq(u32, supervisor_child_count(&root), 999));
}

Test(supervisor, of_dynamic_children_stops_all_at_once_and_kills_the_rest_in_time)
{
    for (uint32_t i = 0; i < 1000; i += 10)
        many[i].ignores_stop = true;
    start_many();
    actor_stop(test_shard(0), root.actor.id);
    test_shards_settle();
    cr_expect(eq(u32, supervisor_child_count(&root), 100));
    cr_expect(eq(int, supervisor_start_child(&root, &many[1].actor), -ESHUTDOWN));
    test_shards_advance_ms(4999);
    cr_expect(eq(u32, supervisor_child_count(&root), 100));
    test_shards_advance_ms(1);
    cr_expect(eq(u32, supervisor_child_count(&root), 0));
    cr_expect(eq(int, shard_turn(test_shard(0), false), false));
}

Test(supervisor, of_dynamic_children_restarts_permanent_ones_and_counts)
{
    many_child.restart = RESTART_PERMANENT;
    start_many();
    for (uint32_t i = 0; i < 5; i++)
        tell(&many[i], PROBE_FAIL);
    cr_expect(eq(u32, many[4].start_count, 2));
    cr_expect(eq(u32, supervisor_child_count(&root), 1000));
    tell(&many[6], PROBE_FAIL);
    cr_expect(eq(u32, supervisor_child_count(&root), 0));
    cr_expect(eq(int, runtime_exit_code(test_shards.runtime), SHARD_EXIT_SOFTWARE));
}

Test(supervisor, writes_few_lines_about_many_failures_and_says_how_many)
{
    start_many();
    for (uint32_t i = 0; i < 500; i++)
        cr_assert(eq(int, probe_send(&sender, many[i].actor.id, PROBE_FAIL, 0), SEND_OK));
    test_shards_settle();
    cr_expect(eq(u32, test_log_count("an actor ended"), SUPERVISOR_LOG_LINES_MAX));
    test_shards_advance_ms(1000);
    tell(&many[600], PROBE_FAIL);
    cr_expect(test_log_has("unsaid=490"));
}

struct names {
    struct supervisor_visitor visitor;
    char text[64];
};

static void note_name(struct supervisor_visitor *visitor, const struct supervisor_entry *entry)
{
    struct names *names = container_of(visitor, struct names, visitor);
    size_t size = strlen(names->text);

    (void)snprintf(names->text + size, sizeof(names->text) - size, "%u%s%s ", entry->depth,
                   entry->name, entry->state == ACTOR_RUNNING ? "" : "!");
}

Test(supervisor, shows_its_tree_to_a_visitor)
{
    struct names names = {.visitor.visit = note_name};

    put_inner_into_root();
    children[2].backoff = (struct backoff){.min_ms = 100, .max_ms = 100};
    start_root();
    tell(&c, PROBE_FAIL);
    supervisor_visit(&root, &names.visitor);
    cr_expect(eq(str, names.text, "0root 1a 1inner 2b 1c! "));
}

Test(supervisor, survives_any_order_of_failures_with_nothing_lost)
{
    static struct supervisor_spec strategies[] = {
        {.name = "one", .strategy = SUPERVISE_ONE_FOR_ONE},
        {.name = "all", .strategy = SUPERVISE_ONE_FOR_ALL},
        {.name = "rest", .strategy = SUPERVISE_REST_FOR_ONE},
    };
    static const uint16_t MESSAGES[] = {PROBE_NOTE, PROBE_QUIT,  PROBE_FAIL, PROBE_PANIC,
                                        PROBE_ARM,  PROBE_TIMER, PROBE_NOTE, PROBE_NOTE};
    struct probe *probes[] = {&a, &b, &c};
    struct rng rng;

    rng_init_seed(&rng, 7);
    for (uint32_t round = 0; round < 300; round++) {
        spec = strategies[round % 3];
        spec.children = children;
        spec.child_count = 3;
        spec.intensity = SUPERVISOR_INTENSITY_MAX;
        for (uint32_t i = 0; i < 3; i++)
            children[i].restart = (enum supervisor_restart)rng_below(&rng, 3);
        start_root();
        for (uint32_t step = 0; step < 60; step++) {
            struct probe *probe = probes[rng_below(&rng, 3)];
            uint16_t type = MESSAGES[rng_below(&rng, 8)];

            if (type == PROBE_ARM &&
                (probe->actor.state != ACTOR_RUNNING || io_op_is_armed(&probe->op)))
                type = PROBE_NOTE;
            (void)!probe_send(&sender, probe->actor.id, type, 3);
            if (rng_chance(&rng, 1, 3))
                (void)test_shards_turn();
            if (type == PROBE_ARM)
                test_shards_settle();
        }
        actor_stop(test_shard(0), root.actor.id);
        test_shards_settle();
        cr_assert(eq(int, root.actor.state, ACTOR_GONE));
        cr_assert(eq(u32, test_shard(0)->internals->actors.used_count, 1));
        cr_assert(eq(u32, pool_used_count(&test_shard(0)->internals->messages), 0));
        cr_assert(eq(u32, test_shard(0)->io->armed_count, 0));
        cr_assert(eq(u64, test_shard(0)->timers.armed_count, 0));
        test_shards_free();
        memset(&sender, 0, sizeof(sender));
        test_shards_new(1);
    }
}

Test(supervisor, refuses_a_back_off_for_children_that_restart_together, .signal = SIGABRT)
{
    spec.strategy = SUPERVISE_ONE_FOR_ALL;
    children[1].backoff = (struct backoff){.min_ms = 1, .max_ms = 1};
    supervisor_init(&root, &spec);
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_point.h"
#include "tests/sim/weir_load.h"

/*
 * API keys through power cuts: a creation that was answered works after the next
 * start, on every shard; a revocation that was answered stays. Small segments and
 * constant load let retention copy the keys' records forward all the time, also while
 * they are being changed.
 */
enum {
    SEED_COUNT = 30,
    ADMIN_COUNT = 4,
    KEY_COUNT = 36, /* per admin; all together more than TENANT_COPY_COUNT_MAX */
    CHECKER_COUNT = 6,
};

enum key_state {
    KEY_UNKNOWN, /* not answered yet */
    KEY_LIVE,
    KEY_REVOKING, /* asked for, not answered */
    KEY_REVOKED,
};

struct key {
    enum key_state state;
    char id[WEIR_ID_SIZE + 1];
    char secret[TENANT_SECRET_SIZE_MAX];
};

/* Creates and revokes its own keys, one after the other. */
struct admin {
    struct weir_client client;
    struct sim_event rest_over;
    struct key keys[KEY_COUNT];
    uint32_t key_count; /* asked for so far */
    uint32_t at;        /* the key that is being changed */
};

/* Asks with each key, over connections of its own. */
struct checker {
    struct weir_client client;
    uint32_t at;                /* counts through all keys */
    enum key_state asked_state; /* when the request was sent */
    bool is_done;
};

static struct weir weir;
static struct weir_load load;
static struct admin admins[ADMIN_COUNT];
static struct checker checkers[CHECKER_COUNT];
static uint32_t change_count; /* answered */
static uint32_t goal_count;
static bool admins_must_rest;
static bool admins_only_create;

static_assert((int)ADMIN_COUNT * KEY_COUNT > (int)TENANT_COPY_COUNT_MAX, "");

static bool is_reached(void)
{
    return change_count >= goal_count;
}

static void send_change(struct admin *admin)
{
    struct key *key = &admin->keys[admin->at];
    struct weir_call call = {.path = "/v1/admin/keys", .key = WEIR_ADMIN_TOKEN_TEXT};
    char path[64], body[128] = "";

    if (key->state == KEY_UNKNOWN) {
        snprintf(body, sizeof(body), "{\"org_id\":\"org\",\"project_id\":\"project %u\"}",
                 admin->client.index);
    } else {
        key->state = KEY_REVOKING;
        snprintf(path, sizeof(path), "/v1/admin/keys/%s", key->id);
        call.path = path;
        call.method = "DELETE";
    }
    weir_client_call(&admin->client, &call, body);
}

static void choose_change(struct admin *admin)
{
    struct rng *rng = &weir.world->rng;
    uint32_t live = (uint32_t)rng_below(rng, KEY_COUNT);

    for (uint32_t i = 0; i < KEY_COUNT && !admins_only_create; i++) {
        uint32_t at = (live + i) % KEY_COUNT;

        if (admin->keys[at].state != KEY_LIVE || rng_below(rng, 2) == 0)
            continue;
        admin->at = at;
        return;
    }
    for (admin->at = 0; admin->at < KEY_COUNT; admin->at++)
        if (admin->keys[admin->at].state == KEY_UNKNOWN)
            return;
    admin->at = KEY_COUNT;
}

static void on_rest_over(struct sim_event *event)
{
    struct admin *admin = container_of(event, struct admin, rest_over);

    if (admin->at < KEY_COUNT && admin->keys[admin->at].state != KEY_REVOKING)
        choose_change(admin);
    if (admin->at < KEY_COUNT)
        send_change(admin);
}

static void on_change_answer(struct weir_client *client)
{
    struct admin *admin = container_of(client, struct admin, client);
    struct key *key = &admin->keys[admin->at];
    const struct sim_http_request *answer = &client->request;
    uint32_t offset = 0;

    if (!answer->lost && answer->status == 201) {
        cr_assert(weir_answer_string(answer, "id", &offset, key->id, sizeof(key->id)));
        cr_assert(weir_answer_string(answer, "key", &offset, key->secret, sizeof(key->secret)));
        key->state = KEY_LIVE;
        change_count++;
    } else if (!answer->lost && answer->status == 200) {
        key->state = KEY_REVOKED;
        change_count++;
    } else if (!answer->lost) {
        cr_assert(eq(u16, answer->status, 503), "seed %lu: %.*s", weir.seed, (int)answer->body_size,
                  answer->body);
    }
    if (!admins_must_rest)
        sim_world_schedule(weir.world, &admin->rest_over, rng_below(&weir.world->rng, 10000000));
}

static struct key *key_at(uint32_t at)
{
    return &admins[at / KEY_COUNT].keys[at % KEY_COUNT];
}

static void ask(struct checker *checker)
{
    struct weir_call call = {.method = "GET",
                             .path = "/v1/events/00000000-0000-4000-8000-ffffffffffff"};

    while (checker->at < ADMIN_COUNT * KEY_COUNT && key_at(checker->at)->state == KEY_UNKNOWN)
        checker->at++;
    checker->is_done = checker->at == ADMIN_COUNT * KEY_COUNT;
    if (checker->is_done)
        return;
    checker->asked_state = key_at(checker->at)->state;
    call.key = key_at(checker->at)->secret;
    weir_client_call(&checker->client, &call, "");
}

static void on_check_answer(struct weir_client *client)
{
    struct checker *checker = container_of(client, struct checker, client);
    const struct sim_http_request *answer = &client->request;
    const struct key *key = key_at(checker->at);

    if (answer->lost || answer->status == 503) {
        ask(checker);
        return;
    }
    if (key->state == KEY_LIVE)
        cr_assert(eq(u16, answer->status, 404), "seed %lu: key %u is lost: %.*s", weir.seed,
                  checker->at, (int)answer->body_size, answer->body);
    if (checker->asked_state == KEY_REVOKED)
        cr_assert(weir_answer_has(answer, "revoked_api_key"),
                  "seed %lu: the revocation of key %u is lost: %u %.*s", weir.seed, checker->at,
                  answer->status, (int)answer->body_size, answer->body);
    if (key->state != KEY_LIVE)
        cr_assert(answer->status == 404 || weir_answer_has(answer, "revoked_api_key"),
                  "seed %lu: key %u: %.*s", weir.seed, checker->at, (int)answer->body_size,
                  answer->body);
    checker->at++;
    /* Another connection comes to another shard. */
    if (rng_below(&weir.world->rng, 4) == 0)
        sim_http_client_drop(&client->http);
    ask(checker);
}

static bool are_checkers_done(void)
{
    for (uint32_t i = 0; i < CHECKER_COUNT; i++)
        if (!checkers[i].is_done)
            return false;
    return true;
}

static void check_keys(void)
{
    for (uint32_t i = 0; i < CHECKER_COUNT; i++) {
        checkers[i].at = 0;
        ask(&checkers[i]);
    }
    cr_assert(eq(int, weir_run_until(&weir, are_checkers_done), SIM_REACHED), "seed %lu",
              weir.seed);
}

static void begin(uint64_t seed, bool with_retention)
{
    weir_begin(&weir, seed, 1 + (uint32_t)(seed % 3));
    if (with_retention) {
        weir.process.settings.segment_bytes = 128 << 10;
        weir.process.settings.reserve_bytes = 128 << 10;
        weir.process.settings.retain_bytes = 512 << 10;
    }
    weir_start(&weir);
    weir_load_init(&load, &weir, 6, 12000);
    load.batch_max = with_retention ? 30 : 5;
    load.payload_size = with_retention ? 1000 : 0;
    weir_load_start(&load);
    memset(admins, 0, sizeof(admins));
    memset(checkers, 0, sizeof(checkers));
    change_count = 0;
    admins_must_rest = false;
    admins_only_create = false;
    for (uint32_t i = 0; i < ADMIN_COUNT; i++) {
        weir_client_init(&admins[i].client, &weir, i, on_change_answer);
        admins[i].rest_over.on_due = on_rest_over;
        send_change(&admins[i]);
    }
    for (uint32_t i = 0; i < CHECKER_COUNT; i++)
        weir_client_init(&checkers[i].client, &weir, i, on_check_answer);
}

static void run_until(uint32_t count)
{
    goal_count = count;
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED), "seed %lu: %u changes",
              weir.seed, change_count);
}

static void change_and_crash(uint64_t seed, bool with_retention)
{
    begin(seed, with_retention);
    for (uint32_t i = 0; i < 4 && change_count < 60; i++) {
        run_until(change_count + 1 + (uint32_t)rng_below(&weir.world->rng, 20));
        if (sim_world_coin(weir.world))
            weir_crash(&weir);
        else
            weir_kill(&weir);
        weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
        weir_start(&weir);
        check_keys();
    }
    admins_must_rest = true;
    weir_stop(&weir);
    weir_start(&weir);
    check_keys();
    weir_end(&weir);
}

/* --- a copy that finds no room -------------------------------------------- */

/* Lets the staging be full from the drop of a segment on, until the copy of its keys waits. */
struct blockade {
    struct sim_point_hook hook;
    bool is_dropping, is_over;
    uint64_t used_then, used_now; /* of the disk: when the copy waits, and when it is made */
};

static struct blockade blockade;

static bool on_hit(struct sim_point_hook *hook, struct sim_point *point)
{
    assert(hook == &blockade.hook);
    if (strcmp(point->name, "a segment is dropped: too many bytes") == 0)
        blockade.is_dropping = true;
    if (strcmp(point->name, "a copy of keys waits for room") == 0 && blockade.used_then == 0) {
        blockade.is_over = true;
        blockade.used_then = weir_disk_used(&weir);
    }
    if (strcmp(point->name, "keys are copied forward before retention") == 0 &&
        blockade.used_then != 0 && blockade.used_now == 0)
        blockade.used_now = weir_disk_used(&weir);
    return blockade.is_dropping && !blockade.is_over && strcmp(point->name, "staging is full") == 0;
}

static bool is_copied(void)
{
    return blockade.used_now != 0;
}

TestSuite(weir_keys, .timeout = 110);

Test(weir_keys, keep_what_was_answered_through_crashes)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT / 2; seed++)
        change_and_crash(seed, false);
}

Test(weir_keys, keep_what_was_answered_while_they_are_copied_forward)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++)
        change_and_crash(seed, true);
}

Test(weir_keys, are_copied_forward_some_at_a_time)
{
    begin(1, true);
    admins_only_create = true;
    load.is_paused = true;
    run_until(ADMIN_COUNT * KEY_COUNT);
    weir_stop(&weir);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t enough = load.acknowledged_count + 1500;

        /* The start before left all keys in a few segments; this one drops those. */
        weir_start(&weir);
        weir_load_start(&load);
        while (load.acknowledged_count < enough)
            cr_assert(eq(int, weir_run_for(&weir, 1), SIM_REACHED));
        load.is_paused = true; /* there are not events for ever */
        check_keys();
        cr_assert(
            lt(u64, 4,
               weir_metric(&weir, weir.process.app.metrics.journal.dropped[JOURNAL_DROP_BYTES])));
        weir_crash(&weir);
    }
    weir_end(&weir);
}

static bool is_copied_or_all_sent(void)
{
    return is_copied() || load.acknowledged_count == load.event_count;
}

Test(weir_keys, are_copied_forward_as_soon_as_there_is_room_again)
{
    uint32_t waited_count = 0;

    /* Only a copy that comes while something is in hand can find the staging full. */
    for (uint64_t seed = 1; seed <= SEED_COUNT && waited_count < 2; seed++) {
        blockade = (struct blockade){.hook = {on_hit}};
        begin(seed, true);
        sim_point_install(&blockade.hook);
        cr_assert(eq(int, weir_run_until(&weir, is_copied_or_all_sent), SIM_REACHED));
        sim_point_install(NULL);
        /* Intake did not write many segments meanwhile, with the oldest one waiting to go. */
        if (is_copied()) {
            waited_count++;
            cr_assert(le(u64, blockade.used_now,
                         blockade.used_then + 4 * weir.process.settings.segment_bytes));
        }
        weir_end(&weir);
    }
    cr_assert(lt(u32, 0, waited_count));
}

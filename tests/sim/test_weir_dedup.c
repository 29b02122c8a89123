#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_fixture.h"

/*
 * Once each, whoever asks how often: Idempotency-Keys and event ids through races
 * between connections on several shards, lost answers, power cuts and starts with
 * another number of shards.
 */
enum {
    CLIENT_COUNT = 8,
    SEED_COUNT = 30,
    CLAIM_COUNT = 12, /* per client */
    CLAIM_EVENT_COUNT_MAX = 6,
    RACE_ID_COUNT = 48,
    RACE_BATCH_MAX = 5,
    ID_TEXT_SIZE = WEIR_ID_SIZE + 1,
};

static struct weir weir;
static struct weir_census census;
static uint32_t done_count;
static uint32_t lost_count;
static uint32_t goal_count;

static bool is_reached(void)
{
    return done_count >= goal_count;
}

static void run_until(uint32_t count)
{
    goal_count = count;
    cr_assert(eq(int, weir_run_until(&weir, is_reached), SIM_REACHED), "seed %lu: %u of %u done",
              weir.seed, done_count, count);
}

/* A power cut or a kill after a drawn part of the work; another number of shards then. */
static void interrupt_at(uint32_t count)
{
    run_until(count);
    if (sim_world_coin(weir.world))
        weir_crash(&weir);
    else
        weir_kill(&weir);
    weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
    weir_start(&weir);
}

/* --- Idempotency-Key ------------------------------------------------------ */

/* One request with a key: the server chooses the ids. */
struct claim {
    uint32_t first_number;
    uint32_t event_count;
    bool is_batch;
    bool is_answered;
    char ids[CLAIM_EVENT_COUNT_MAX][ID_TEXT_SIZE];
};

struct claimer {
    struct weir_client client;
    struct sim_event rest_over;
    struct claim claims[CLAIM_COUNT];
    uint32_t at;     /* the claim that is being sent */
    uint32_t unseen; /* claims from here on were not sent yet */
    char body[4096];
};

static struct claimer claimers[CLIENT_COUNT];
static uint32_t replay_count;

static void send_claim(struct claimer *claimer)
{
    const struct claim *claim = &claimer->claims[claimer->at];
    struct weir_call call = {.path = claim->is_batch ? "/v1/events/batch" : "/v1/events"};
    size_t size = sizeof(claimer->body), used = 0;
    char key[32];

    snprintf(key, sizeof(key), "key-%u-%u", claimer->client.index, claimer->at);
    call.idempotency_key = key;
    if (claim->is_batch)
        used += (size_t)snprintf(claimer->body, size, "{\"events\":[");
    for (uint32_t i = 0; i < claim->event_count; i++) {
        if (i > 0)
            claimer->body[used++] = ',';
        used += weir_write_event(claimer->body + used, size - used, claim->first_number + i, NULL);
    }
    if (claim->is_batch)
        snprintf(claimer->body + used, size - used, "]}");
    weir_client_call(&claimer->client, &call, claimer->body);
}

/* Takes the ids of the first answer, compares those of a later one. */
static void check_answer(struct claim *claim, const struct sim_http_request *answer)
{
    char ids[CLAIM_EVENT_COUNT_MAX][ID_TEXT_SIZE] = {0};
    const char *at = memmem(answer->body, answer->body_size,
                            claim->is_batch ? "\"event_ids\":[\"" : "\"event_id\":\"",
                            claim->is_batch ? 14 : 12);
    uint64_t seed = weir.seed;

    cr_assert(at != NULL, "seed %lu: %.*s", seed, (int)answer->body_size, answer->body);
    at += claim->is_batch ? 14 : 12;
    for (uint32_t i = 0; i < claim->event_count; i++, at += WEIR_ID_SIZE + 3)
        memcpy(ids[i], at, WEIR_ID_SIZE);
    if (claim->is_answered) {
        cr_assert(eq(int, memcmp(ids, claim->ids, sizeof(ids)), 0), "seed %lu: other ids: %.*s",
                  seed, (int)answer->body_size, answer->body);
        cr_assert(weir_answer_has(answer, "\"duplicate\":true"), "seed %lu", seed);
    }
    memcpy(claim->ids, ids, sizeof(ids));
    replay_count += claim->is_answered;
    claim->is_answered = true;
}

static void rest(struct sim_event *event)
{
    sim_world_schedule(weir.world, event, 500000 + rng_below(&weir.world->rng, 10000000));
}

static void on_claim_answer(struct weir_client *client)
{
    struct claimer *claimer = container_of(client, struct claimer, client);
    const struct sim_http_request *answer = &client->request;
    struct claim *claim = &claimer->claims[claimer->at];

    lost_count += answer->lost;
    if (answer->lost || answer->status == 503 || answer->status == 409) {
        if (!answer->lost && answer->status == 409)
            cr_assert(weir_answer_has(answer, "in_flight"), "seed %lu: %.*s", weir.seed,
                      (int)answer->body_size, answer->body);
        rest(&claimer->rest_over);
        return;
    }
    cr_assert(eq(u16, answer->status, 202), "seed %lu: %.*s", weir.seed, (int)answer->body_size,
              answer->body);
    done_count += !claim->is_answered;
    check_answer(claim, answer);
    if (claimer->at == claimer->unseen)
        claimer->unseen++;
    /* An old one again now and then, a new one else. */
    if (claimer->unseen == CLAIM_COUNT || rng_below(&weir.world->rng, 3) == 0)
        claimer->at = (uint32_t)rng_below(&weir.world->rng, claimer->unseen);
    else
        claimer->at = claimer->unseen;
    rest(&claimer->rest_over);
}

static void on_claim_rest_over(struct sim_event *event)
{
    send_claim(container_of(event, struct claimer, rest_over));
}

static void begin_claims(uint64_t seed)
{
    struct rng *rng;
    uint32_t number = 0;

    weir_begin(&weir, seed, 1 + (uint32_t)(seed % 3));
    weir_start(&weir);
    done_count = 0;
    rng = &weir.world->rng;
    memset(claimers, 0, sizeof(claimers));
    for (uint32_t i = 0; i < CLIENT_COUNT; i++) {
        weir_client_init(&claimers[i].client, &weir, i, on_claim_answer);
        claimers[i].rest_over.on_due = on_claim_rest_over;
        for (uint32_t j = 0; j < CLAIM_COUNT; j++) {
            struct claim *claim = &claimers[i].claims[j];

            claim->is_batch = sim_world_coin(weir.world);
            claim->event_count =
                claim->is_batch ? 1 + (uint32_t)rng_below(rng, CLAIM_EVENT_COUNT_MAX) : 1;
            claim->first_number = number;
            number += claim->event_count;
        }
        send_claim(&claimers[i]);
    }
}

static void check_claims(void)
{
    uint32_t stored_claim_count = 0;

    weir_census(&weir, &census);
    for (uint32_t i = 0; i < CLIENT_COUNT * CLAIM_COUNT; i++) {
        const struct claim *claim = &claimers[i / CLAIM_COUNT].claims[i % CLAIM_COUNT];
        const struct weir_stored *first = &census.events[claim->first_number];

        stored_claim_count += first->count;
        for (uint32_t j = 0; j < claim->event_count; j++) {
            const struct weir_stored *stored = &census.events[claim->first_number + j];

            cr_assert(le(u32, stored->count, 1), "seed %lu: claim %u twice", weir.seed, i);
            cr_assert(eq(u32, stored->count, first->count), "seed %lu: claim %u torn", weir.seed,
                      i);
            if (!claim->is_answered)
                continue;
            cr_assert(eq(u32, stored->count, 1), "seed %lu: claim %u lost", weir.seed, i);
            cr_assert(eq(int, strcmp(stored->id, claim->ids[j]), 0), "seed %lu: claim %u",
                      weir.seed, i);
        }
    }
    cr_assert(eq(u32, census.claim_count, stored_claim_count), "seed %lu", weir.seed);
}

/* --- races for event ids -------------------------------------------------- */

/*
 * Number 2 * id is the first variant of an id's body, number 2 * id + 1 the second.
 * Whichever is accepted first wins for ever.
 */
struct racer {
    struct weir_client client;
    struct sim_event rest_over;
    uint32_t ids[RACE_BATCH_MAX];
    uint32_t id_count;
    uint32_t variant;
    char body[4096];
};

static struct racer racers[CLIENT_COUNT];
static int32_t winners[RACE_ID_COUNT]; /* variant that was acknowledged; -1: none yet */
static uint32_t first_counts[RACE_ID_COUNT];
static uint32_t conflict_count;
static uint32_t in_flight_count;
static uint32_t race_batch_max;
static bool race_is_over;

static void send_race(struct racer *racer)
{
    struct weir_call call = {.path = racer->id_count > 1 ? "/v1/events/batch" : "/v1/events"};
    size_t size = sizeof(racer->body), used = 0;
    char id[ID_TEXT_SIZE];

    if (racer->id_count > 1)
        used += (size_t)snprintf(racer->body, size, "{\"events\":[");
    for (uint32_t i = 0; i < racer->id_count; i++) {
        weir_write_id(id, racer->ids[i]);
        if (i > 0)
            racer->body[used++] = ',';
        used += weir_write_event(racer->body + used, size - used,
                                 2 * racer->ids[i] + racer->variant, id);
    }
    if (racer->id_count > 1)
        snprintf(racer->body + used, size - used, "]}");
    weir_client_call(&racer->client, &call, racer->body);
}

static void choose_race(struct racer *racer)
{
    struct rng *rng = &weir.world->rng;

    /* All run along the same few ids, so that they meet. */
    racer->id_count = 1 + (uint32_t)rng_below(rng, race_batch_max);
    racer->variant = rng_below(rng, 4) == 0;
    for (uint32_t i = 0; i < racer->id_count; i++)
        racer->ids[i] = (done_count / 4 + (uint32_t)rng_below(rng, 8)) % RACE_ID_COUNT;
}

static void win(const struct racer *racer, uint32_t id)
{
    cr_assert(winners[id] < 0 || winners[id] == (int32_t)racer->variant,
              "seed %lu: both bodies of %u were accepted", weir.seed, id);
    winners[id] = (int32_t)racer->variant;
}

static void on_race_answer(struct weir_client *client)
{
    struct racer *racer = container_of(client, struct racer, client);
    const struct sim_http_request *answer = &client->request;

    lost_count += answer->lost;
    if (answer->lost || answer->status == 503) {
        rest(&racer->rest_over);
        return;
    }
    if (answer->status == 409 && weir_answer_has(answer, "in_flight")) {
        in_flight_count++;
        rest(&racer->rest_over);
        return;
    }
    if (answer->status == 409) {
        cr_assert(weir_answer_has(answer, "event_id_conflict"), "seed %lu: %.*s", weir.seed,
                  (int)answer->body_size, answer->body);
        conflict_count++;
    } else {
        cr_assert(eq(u16, answer->status, 202), "seed %lu: %.*s", weir.seed, (int)answer->body_size,
                  answer->body);
        for (uint32_t i = 0; i < racer->id_count; i++)
            win(racer, racer->ids[i]);
        if (racer->id_count == 1)
            first_counts[racer->ids[0]] += weir_answer_has(answer, "\"duplicate\":false");
    }
    done_count++;
    choose_race(racer);
    if (!race_is_over)
        send_race(racer);
}

static void on_race_rest_over(struct sim_event *event)
{
    send_race(container_of(event, struct racer, rest_over));
}

static void begin_race(uint64_t seed, uint32_t batch_max)
{
    weir_begin(&weir, seed, 1 + (uint32_t)(seed % 3));
    weir_start(&weir);
    done_count = 0;
    race_is_over = false;
    race_batch_max = batch_max;
    memset(racers, 0, sizeof(racers));
    memset(first_counts, 0, sizeof(first_counts));
    for (uint32_t i = 0; i < RACE_ID_COUNT; i++)
        winners[i] = -1;
    for (uint32_t i = 0; i < CLIENT_COUNT; i++) {
        weir_client_init(&racers[i].client, &weir, i, on_race_answer);
        racers[i].rest_over.on_due = on_race_rest_over;
        choose_race(&racers[i]);
        send_race(&racers[i]);
    }
}

static void check_race(void)
{
    weir_census(&weir, &census);
    for (uint32_t id = 0; id < RACE_ID_COUNT; id++) {
        const struct weir_stored *variants = &census.events[2 * id];

        cr_assert(le(u32, variants[0].count + variants[1].count, 1),
                  "seed %lu: id %u is stored %u and %u times", weir.seed, id, variants[0].count,
                  variants[1].count);
        cr_assert(le(u32, first_counts[id], 1), "seed %lu: id %u was new twice", weir.seed, id);
        if (winners[id] >= 0)
            cr_assert(eq(u32, variants[winners[id]].count, 1), "seed %lu: id %u is lost", weir.seed,
                      id);
    }
}

/* --- tests ---------------------------------------------------------------- */

TestSuite(weir_dedup, .timeout = 110);

Test(weir_dedup, answers_a_repeated_idempotency_key_with_the_same_ids)
{
    replay_count = 0;
    lost_count = 0;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin_claims(seed);
        for (uint32_t i = 0; i < 3; i++) {
            interrupt_at(done_count +
                         (uint32_t)rng_below(&weir.world->rng, CLIENT_COUNT * CLAIM_COUNT / 3));
        }
        run_until(CLIENT_COUNT * CLAIM_COUNT);
        cr_assert(eq(int, weir_run_for(&weir, 200), SIM_REACHED)); /* some more repetitions */
        weir_crash(&weir);
        check_claims();
        weir_end(&weir);
    }
    cr_expect(lt(u32, 100, replay_count));
    cr_expect(lt(u32, 100, lost_count));
}

Test(weir_dedup, stores_an_id_once_whoever_wins_the_race)
{
    conflict_count = 0;
    in_flight_count = 0;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin_race(seed, seed % 2 == 0 ? RACE_BATCH_MAX : 1);
        run_until(400);
        weir_stop(&weir);
        check_race();
        weir_end(&weir);
    }
    cr_expect(lt(u32, 100, conflict_count));
    cr_expect(lt(u32, 100, in_flight_count));
}

Test(weir_dedup, stores_an_id_once_through_crashes)
{
    lost_count = 0;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        begin_race(seed, seed % 2 == 0 ? RACE_BATCH_MAX : 1);
        for (uint32_t i = 0; i < 3; i++)
            interrupt_at(done_count + 1 + (uint32_t)rng_below(&weir.world->rng, 150));
        run_until(500);
        weir_crash(&weir);
        check_race();
        weir_end(&weir);
    }
    cr_expect(lt(u32, 100, lost_count));
}

Test(weir_dedup, refuses_another_body_after_a_restart)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        begin_race(seed, 1);
        run_until(300);
        race_is_over = true;
        cr_assert(eq(int, weir_run_for(&weir, 200), SIM_REACHED)); /* the last ones end */
        weir_stop(&weir);
        check_race();
        weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 3);
        weir_start(&weir);
        weir_run_until_ready(&weir);
        for (uint32_t id = 0; id < RACE_ID_COUNT; id++) {
            struct racer *racer = &racers[0];
            uint32_t conflicts = conflict_count;

            if (winners[id] < 0)
                continue;
            racer->ids[0] = id;
            racer->id_count = 1;
            racer->variant = winners[id] == 0;
            send_race(racer);
            run_until(done_count + 1);
            cr_assert(eq(u32, conflict_count, conflicts + 1), "seed %lu: id %u", seed, id);
        }
        weir_stop(&weir);
        check_race();
        weir_end(&weir);
    }
}

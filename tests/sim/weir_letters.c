#include "tests/sim/weir_letters.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_calls.h"

/*
 * A job is its number: project * WEIR_LETTERS_JOB_COUNT and its place in the project. Workers
 * take all that they are given and end it in one request, with an error or with a result.
 *
 * A shard that recovers, or has its hands full, says 503: who looks at letters and replays, or
 * for the jobs they have become, asks again until it has decided.
 */
enum {
    LEASE_COUNT_MAX = 100, /* the limit in LEASE_BODY */
    DECIDE_COUNT_MAX = 200,
    REPLAY_LOOK_COUNT_MAX = 2000,
    OUTCOMES_SIZE = 16384,
};

#define LEASE_BODY "{\"limit\":100}"

static const uint64_t DECIDE_REST_MS = 20;
static const uint64_t REPLAY_LOOK_REST_MS = 10;

/* A job as a worker is given it. */
struct leased {
    char id[WEIR_ID_SIZE + 1];
    uint64_t number;
    char epoch[32];
};

/* --- asking --------------------------------------------------------------- */

static uint32_t ask_with(struct weir_letters *letters, const char *key, const char *method,
                         const char *path, const char *body)
{
    struct weir_call call = {.method = method, .path = path, .key = key};

    return weir_ask(letters->client, &call, body);
}

uint32_t weir_letters_ask(struct weir_letters *letters, const char *method, const char *path,
                          const char *body)
{
    return ask_with(letters, WEIR_ADMIN_TOKEN_TEXT, method, path, body);
}

uint32_t weir_letters_ask_as(struct weir_letters *letters, uint32_t project, const char *method,
                             const char *path, const char *body)
{
    return ask_with(letters, letters->keys[project], method, path, body);
}

uint32_t weir_letters_ask_for(struct weir_letters *letters, const char *method, const char *id)
{
    char path[64];

    snprintf(path, sizeof(path), "/v1/admin/dlq/%s", id);
    return weir_letters_ask(letters, method, path, "");
}

/* Asks until it is answered with a status that the server has made up its mind about. */
static uint32_t ask_until_decided(struct weir_letters *letters, const char *key, const char *method,
                                  const char *path, const char *body)
{
    uint32_t status = 503;

    for (uint32_t i = 0; i < DECIDE_COUNT_MAX && status == 503; i++) {
        status = ask_with(letters, key, method, path, body);
        if (status == 503)
            weir_let_pass(letters->weir, DECIDE_REST_MS);
    }
    return status;
}

uint64_t weir_letters_number(const struct weir_letters *letters, const char *name)
{
    uint32_t offset = 0;
    uint64_t number = 0;

    cr_assert(weir_answer_number(&letters->client->request, name, &offset, &number),
              "seed %lu: no %s in %s", letters->weir->seed, name, letters->client->answer);
    return number;
}

/* --- the world ------------------------------------------------------------ */

void weir_letters_begin(struct weir_letters *letters, struct weir *weir, struct weir_client *client)
{
    memset(letters, 0, sizeof(*letters));
    letters->weir = weir;
    letters->client = client;
    weir_client_init(client, weir, 0, NULL);
    weir_start_ready(weir);
    for (uint32_t i = 0; i < WEIR_LETTERS_PROJECT_COUNT; i++) {
        char name[16];

        snprintf(name, sizeof(name), "project%u", i);
        weir_make_key(client, "org", name, "\"ingest\",\"read\",\"admin\"", letters->keys[i]);
    }
}

void weir_letters_restart(struct weir_letters *letters)
{
    sim_http_client_drop(&letters->client->http); /* its connection has gone */
    weir_start_ready(letters->weir);
}

/* --- jobs ----------------------------------------------------------------- */

void weir_letters_enqueue(struct weir_letters *letters, uint32_t project, uint32_t begin,
                          uint32_t end, const char *kind)
{
    char body[4096];
    size_t size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");

    for (uint32_t i = begin; i < end; i++) {
        size += (size_t)snprintf(body + size, sizeof(body) - size,
                                 "%s{\"kind\":\"%s\",\"payload\":{\"number\":%u},"
                                 "\"max_attempts\":1%s}",
                                 i > begin ? "," : "", kind, project * WEIR_LETTERS_JOB_COUNT + i,
                                 i < WEIR_LETTERS_KEYED_COUNT ? ",\"key\":\"k\"" : "");
        cr_assert(lt(u64, size, sizeof(body)));
    }
    snprintf(body + size, sizeof(body) - size, "]}");
    cr_assert(eq(u32, weir_letters_ask_as(letters, project, "POST", "/v1/jobs/batch", body), 202),
              "%s", letters->client->answer);
}

/* The jobs in the answer to a lease. */
static uint32_t read_leased(const struct weir_letters *letters,
                            struct leased ret_leased[LEASE_COUNT_MAX])
{
    const struct sim_http_request *answer = &letters->client->request;
    uint32_t offset = 0, count = 0;
    char id[WEIR_ID_SIZE + 1];

    while (weir_answer_string(answer, "id", &offset, id, sizeof(id))) {
        struct leased *it = &ret_leased[count++];

        cr_assert(le(u32, count, LEASE_COUNT_MAX));
        memcpy(it->id, id, sizeof(it->id));
        cr_assert(weir_answer_number(answer, "number", &offset, &it->number));
        cr_assert(lt(u64, it->number, WEIR_LETTERS_TOTAL));
        cr_assert(weir_answer_string(answer, "epoch", &offset, it->epoch, sizeof(it->epoch)));
    }
    return count;
}

/* All of them end in one request: with an error or with a result. */
static void end_leased(struct weir_letters *letters, uint32_t project, const struct leased *leased,
                       uint32_t count, bool is_error)
{
    char body[OUTCOMES_SIZE], outcome[32] = "\"result\":1";
    size_t size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");

    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (is_error)
            snprintf(outcome, sizeof(outcome), "\"error\":\"error %lu\"", leased[i].number);
        size += (size_t)snprintf(body + size, sizeof(body) - size,
                                 "%s{\"id\":\"%s\",\"epoch\":\"%s\",%s}", i > 0 ? "," : "",
                                 leased[i].id, leased[i].epoch, outcome);
        cr_assert(lt(u64, size, sizeof(body)));
    }
    snprintf(body + size, sizeof(body) - size, "]}");
    cr_assert(
        eq(u32, weir_letters_ask_as(letters, project, "POST", "/v1/jobs/complete", body), 200));
}

uint32_t weir_letters_fail(struct weir_letters *letters, uint32_t project, const char *kind)
{
    struct leased leased[LEASE_COUNT_MAX];
    char path[64];
    uint32_t count;

    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", kind);
    cr_assert(eq(u32, weir_letters_ask_as(letters, project, "POST", path, LEASE_BODY), 200));
    count = read_leased(letters, leased);
    for (uint32_t i = 0; i < count; i++)
        memcpy(letters->ids[leased[i].number], leased[i].id, sizeof(leased[i].id));
    end_leased(letters, project, leased, count, true);
    return count;
}

static void check_job(const struct weir_letters *letters, const struct leased *job,
                      bool seen[WEIR_LETTERS_TOTAL], uint64_t *last_keyed)
{
    uint64_t seed = letters->weir->seed;

    cr_assert(not(seen[job->number]), "seed %lu: %lu twice", seed, job->number);
    cr_assert(ne(int, strcmp(job->id, letters->ids[job->number]), 0));
    seen[job->number] = true;
    if (job->number % WEIR_LETTERS_JOB_COUNT >= WEIR_LETTERS_KEYED_COUNT)
        return;
    cr_assert(ge(u64, job->number, *last_keyed), "seed %lu: %lu after %lu", seed, job->number,
              *last_keyed);
    *last_keyed = job->number;
}

void weir_letters_check_jobs(struct weir_letters *letters)
{
    bool seen[WEIR_LETTERS_TOTAL] = {false};
    struct leased leased[LEASE_COUNT_MAX];
    uint32_t count = 0, found;

    for (uint32_t project = 0; project < WEIR_LETTERS_PROJECT_COUNT; project++) {
        uint64_t last_keyed = 0;

        do {
            cr_assert(eq(u32,
                         ask_until_decided(letters, letters->keys[project], "POST",
                                           "/v1/jobs/mail/lease", LEASE_BODY),
                         200));
            found = read_leased(letters, leased);
            for (uint32_t i = 0; i < found; i++)
                check_job(letters, &leased[i], seen, &last_keyed);
            end_leased(letters, project, leased, found, false);
            count += found;
        } while (found > 0);
    }
    cr_assert(eq(u32, count, WEIR_LETTERS_TOTAL), "seed %lu", letters->weir->seed);
}

/* --- dead letters --------------------------------------------------------- */

void weir_letters_make(struct weir_letters *letters)
{
    for (uint32_t project = 0; project < WEIR_LETTERS_PROJECT_COUNT; project++) {
        uint32_t count = 0;

        weir_letters_enqueue(letters, project, 0, WEIR_LETTERS_JOB_COUNT, "mail");
        while (count < WEIR_LETTERS_JOB_COUNT)
            count += weir_letters_fail(letters, project, "mail");
        cr_assert(eq(u32, count, WEIR_LETTERS_JOB_COUNT));
    }
}

uint32_t weir_letters_count(struct weir_letters *letters, const char *query)
{
    char path[256];

    snprintf(path, sizeof(path), "/v1/admin/dlq?limit=100%s", query);
    cr_assert(eq(u32, ask_until_decided(letters, WEIR_ADMIN_TOKEN_TEXT, "GET", path, ""), 200));
    return weir_answer_count(&letters->client->request, "\",\"origin\":\"");
}

/* --- replays -------------------------------------------------------------- */

void weir_letters_begin_replay(struct weir_letters *letters, const char *body,
                               char ret_path[WEIR_LETTERS_PATH_SIZE])
{
    char id[WEIR_ID_SIZE + 1];
    uint32_t offset = 0;

    cr_assert(eq(u32, weir_letters_ask(letters, "POST", "/v1/admin/dlq/replay", body), 202),
              "seed %lu: %s", letters->weir->seed, letters->client->answer);
    cr_assert(weir_answer_string(&letters->client->request, "id", &offset, id, sizeof(id)));
    snprintf(ret_path, WEIR_LETTERS_PATH_SIZE, "/v1/admin/dlq/replays/%s", id);
}

bool weir_letters_is_replay_over(struct weir_letters *letters, const char *path)
{
    cr_assert(eq(u32, ask_until_decided(letters, WEIR_ADMIN_TOKEN_TEXT, "GET", path, ""), 200),
              "seed %lu", letters->weir->seed);
    return weir_answer_has(&letters->client->request, "\"state\":\"completed\"");
}

void weir_letters_finish_replay(struct weir_letters *letters, const char *path)
{
    for (uint32_t i = 0; i < REPLAY_LOOK_COUNT_MAX && !weir_letters_is_replay_over(letters, path);
         i++)
        weir_let_pass(letters->weir, REPLAY_LOOK_REST_MS);
    cr_assert(weir_letters_is_replay_over(letters, path), "seed %lu: %s", letters->weir->seed,
              letters->client->answer);
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/dead_letters.h"
#include "tests/sim/weir_fixture.h"

/*
 * Dead letters in the real server: several projects on several shards, replays that are cut
 * off by power cuts and kills at every point, pages read while letters come and go. Each job
 * carries a number in its payload, by which it is known again as the job that replays it.
 */
enum {
    PROJECT_COUNT = 3,
    JOB_COUNT = 12,  /* per project */
    KEYED_COUNT = 6, /* the first of them have one serial key */
    TOTAL = PROJECT_COUNT * JOB_COUNT,
    BODY_SIZE = 32768,
    SECRET_SIZE = 128,
    ID_SIZE = 40,
    POINT_COUNT = 48, /* where a replay is cut off */
    SEED_COUNT = 12,
};

struct project {
    char name[16];
    char key[SECRET_SIZE];
};

struct letter {
    char id[ID_SIZE];
    uint32_t project;
};

static struct weir weir;
static struct weir_client client;
static struct project projects[PROJECT_COUNT];
static struct letter letters[TOTAL]; /* by number */
static char body[BODY_SIZE];
static char answer_text[SIM_HTTP_BODY_SIZE_MAX + 1];

/* --- asking ----------------------------------------------------------------------- */

static const char *answer(void)
{
    memcpy(answer_text, client.request.body, client.request.body_size);
    answer_text[client.request.body_size] = '\0';
    return answer_text;
}

static uint32_t ask_as(const char *key, const char *method, const char *path, const char *data)
{
    struct weir_call call = {.method = method, .path = path, .key = key};

    return weir_ask(&client, &call, data);
}

static uint32_t ask(const char *method, const char *path, const char *data)
{
    return ask_as(WEIR_ADMIN_TOKEN_TEXT, method, path, data);
}

/* Asks until it is answered with a status that the server has made up its mind about. */
static uint32_t ask_until_decided(const char *key, const char *method, const char *path,
                                  const char *data)
{
    uint32_t status = 503;

    for (uint32_t i = 0; i < 200 && status == 503; i++) {
        status = ask_as(key, method, path, data);
        if (status == 503)
            cr_assert(eq(int, weir_run_for(&weir, 20), SIM_REACHED));
    }
    return status;
}

/* The number that follows "name": in the answer, from *at on, which is moved behind it. */
static bool next_number(const char **at, const char *name, uint64_t *ret_number)
{
    char wanted[32];
    const char *found;

    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    found = strstr(*at, wanted);
    if (found == NULL)
        return false;
    *at = found + strlen(wanted);
    *ret_number = strtoul(*at, NULL, 10);
    return true;
}

static uint64_t number_of(const char *name)
{
    const char *at = answer();
    uint64_t number = UINT64_MAX;

    cr_assert(next_number(&at, name, &number), "seed %lu: no %s in %s", weir.seed, name, at);
    return number;
}

static bool next_string(const char **at, const char *name, char *ret_text, size_t size)
{
    char wanted[32];
    const char *found, *end;

    snprintf(wanted, sizeof(wanted), "\"%s\":\"", name);
    found = strstr(*at, wanted);
    if (found == NULL)
        return false;
    found += strlen(wanted);
    end = strchr(found, '"');
    cr_assert(lt(u64, (size_t)(end - found), size));
    memcpy(ret_text, found, (size_t)(end - found));
    ret_text[end - found] = '\0';
    *at = end;
    return true;
}

/* --- the world ---------------------------------------------------------------------- */

static void make_projects(void)
{
    for (uint32_t i = 0; i < PROJECT_COUNT; i++) {
        const char *at;

        snprintf(projects[i].name, sizeof(projects[i].name), "project%u", i);
        snprintf(body, sizeof(body),
                 "{\"org_id\":\"org\",\"project_id\":\"%s\",\"scopes\":[\"ingest\",\"read\","
                 "\"admin\"]}",
                 projects[i].name);
        cr_assert(eq(int, ask("POST", "/v1/admin/keys", body), 201));
        at = answer();
        cr_assert(next_string(&at, "key", projects[i].key, SECRET_SIZE));
    }
}

static void begin(uint64_t seed, uint32_t shard_count)
{
    weir_begin(&weir, seed, shard_count);
    weir_client_init(&client, &weir, 0, NULL);
    weir_start(&weir);
    weir_run_until_ready(&weir);
}

/* The client finds out that its connection has gone. */
static void restart(void)
{
    static const struct weir_call call = {.method = "GET", .path = "/livez"};

    weir_start(&weir);
    weir_run_until_ready(&weir);
    client.is_answered = false;
    weir_client_call(&client, &call, "");
    for (uint32_t ms = 0; ms < 10000 && !client.is_answered; ms++)
        cr_assert(eq(int, weir_run_for(&weir, 1), SIM_REACHED));
    cr_assert(client.is_answered);
}

/* Enqueues jobs from..to of a project; the first KEYED_COUNT have a serial key. */
static void enqueue(uint32_t project, uint32_t from, uint32_t to, const char *kind)
{
    size_t size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");

    for (uint32_t i = from; i < to; i++)
        size += (size_t)snprintf(body + size, sizeof(body) - size,
                                 "%s{\"kind\":\"%s\",\"payload\":{\"number\":%u},"
                                 "\"max_attempts\":1%s}",
                                 i > from ? "," : "", kind, project * JOB_COUNT + i,
                                 i < KEYED_COUNT ? ",\"key\":\"k\"" : "");
    snprintf(body + size, sizeof(body) - size, "]}");
    cr_assert(eq(int, ask_as(projects[project].key, "POST", "/v1/jobs/batch", body), 202), "%s",
              answer());
}

/* Leases what there is, and fails it; gives how many there were. */
static uint32_t fail_leased(uint32_t project, const char *kind)
{
    char path[64], id[ID_SIZE], epoch[32];
    uint32_t count = 0;
    uint64_t number;
    size_t size;
    const char *at;

    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", kind);
    cr_assert(eq(int, ask_as(projects[project].key, "POST", path, "{\"limit\":100}"), 200));
    size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");
    for (at = answer(); next_string(&at, "id", id, sizeof(id)); count++) {
        cr_assert(next_number(&at, "number", &number));
        cr_assert(next_string(&at, "epoch", epoch, sizeof(epoch)));
        size += (size_t)snprintf(body + size, sizeof(body) - size,
                                 "%s{\"id\":\"%s\",\"epoch\":\"%s\",\"error\":\"error %lu\"}",
                                 count > 0 ? "," : "", id, epoch, number);
        memcpy(letters[number].id, id, sizeof(id));
        letters[number].project = project;
    }
    snprintf(body + size, sizeof(body) - size, "]}");
    if (count > 0)
        cr_assert(eq(int, ask_as(projects[project].key, "POST", "/v1/jobs/complete", body), 200));
    return count;
}

/* All of them are dead letters. */
static void make_letters(void)
{
    for (uint32_t project = 0; project < PROJECT_COUNT; project++) {
        uint32_t count = 0;

        enqueue(project, 0, JOB_COUNT, "mail");
        while (count < JOB_COUNT)
            count += fail_leased(project, "mail");
        cr_assert(eq(u32, count, JOB_COUNT));
    }
}

static uint32_t count_letters(const char *query)
{
    char path[256], id[ID_SIZE];
    const char *at;
    uint32_t count = 0;

    snprintf(path, sizeof(path), "/v1/admin/dlq?limit=100%s", query);
    cr_assert(eq(int, ask_until_decided(WEIR_ADMIN_TOKEN_TEXT, "GET", path, ""), 200));
    for (at = answer(); next_string(&at, "id", id, sizeof(id));)
        if (strncmp(at, "\",\"origin\"", 10) == 0)
            count++;
    return count;
}

/* Asks for a replay; path is that of its progress. */
static void begin_replay(const char *what, char path[96])
{
    char id[ID_SIZE];
    const char *at;

    cr_assert(eq(int, ask("POST", "/v1/admin/dlq/replay", what), 202), "seed %lu: %s", weir.seed,
              answer());
    at = answer();
    cr_assert(next_string(&at, "id", id, sizeof(id)));
    snprintf(path, 96, "/v1/admin/dlq/replays/%s", id);
}

static bool is_replay_over(const char *path)
{
    cr_assert(eq(int, ask_until_decided(WEIR_ADMIN_TOKEN_TEXT, "GET", path, ""), 200), "seed %lu",
              weir.seed);
    return strstr(answer(), "\"state\":\"completed\"") != NULL;
}

static void finish_replay(const char *path)
{
    for (uint32_t i = 0; i < 2000 && !is_replay_over(path); i++)
        cr_assert(eq(int, weir_run_for(&weir, 10), SIM_REACHED), "seed %lu", weir.seed);
    cr_assert(is_replay_over(path), "seed %lu: %s", weir.seed, answer());
}

/*
 * Works off all jobs: each number comes exactly once, not under the id of its letter, and those
 * of a serial key in their order.
 */
static void check_jobs(const char *kind)
{
    bool seen[TOTAL] = {false};
    char path[64], id[ID_SIZE], epoch[32];
    uint32_t count = 0;

    snprintf(path, sizeof(path), "/v1/jobs/%s/lease", kind);
    for (uint32_t project = 0; project < PROJECT_COUNT; project++) {
        uint64_t last_keyed = 0, number;
        uint32_t found;

        do {
            const char *at;
            size_t size;

            cr_assert(eq(int,
                         ask_until_decided(projects[project].key, "POST", path, "{\"limit\":100}"),
                         200));
            size = (size_t)snprintf(body, sizeof(body), "{\"jobs\":[");
            found = 0;
            for (at = answer(); next_string(&at, "id", id, sizeof(id)); found++) {
                cr_assert(next_number(&at, "number", &number));
                cr_assert(next_string(&at, "epoch", epoch, sizeof(epoch)));
                cr_assert(not(seen[number]), "seed %lu: %lu twice", weir.seed, number);
                cr_assert(strcmp(id, letters[number].id) != 0);
                seen[number] = true;
                if (number % JOB_COUNT < KEYED_COUNT) {
                    cr_assert(number >= last_keyed, "seed %lu: %lu after %lu", weir.seed, number,
                              last_keyed);
                    last_keyed = number;
                }
                size += (size_t)snprintf(body + size, sizeof(body) - size,
                                         "%s{\"id\":\"%s\",\"epoch\":\"%s\",\"result\":1}",
                                         found > 0 ? "," : "", id, epoch);
            }
            snprintf(body + size, sizeof(body) - size, "]}");
            if (found > 0)
                cr_assert(
                    eq(int, ask_as(projects[project].key, "POST", "/v1/jobs/complete", body), 200));
            count += found;
        } while (found > 0);
    }
    cr_assert(eq(u32, count, TOTAL), "seed %lu", weir.seed);
}

TestSuite(weir_dlq, .timeout = 300);

/* --- dying ---------------------------------------------------------------------------- */

Test(weir_dlq, a_job_dies_with_its_first_and_last_error_and_their_times)
{
    char id[ID_SIZE], epoch[32], first_at[32], dead_at[32], path[96];
    const char *at;

    begin(1, 2);
    make_projects();
    cr_assert(eq(int,
                 ask_as(projects[0].key, "PUT", "/v1/queues/mail",
                        "{\"retry\":{\"base_ms\":1000,\"cap_ms\":1000,\"max_attempts\":3}}"),
                 200));
    cr_assert(eq(int,
                 ask_as(projects[0].key, "POST", "/v1/jobs",
                        "{\"kind\":\"mail\",\"key\":\"k\",\"payload\":{\"number\":7}}"),
                 202));
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        cr_assert(
            eq(int, ask_as(projects[0].key, "POST", "/v1/jobs/mail/lease", "{\"wait_seconds\":10}"),
               200));
        at = answer();
        cr_assert(next_string(&at, "id", id, sizeof(id)));
        cr_assert(next_string(&at, "epoch", epoch, sizeof(epoch)));
        snprintf(path, sizeof(path), "/v1/jobs/%s/fail", id);
        snprintf(body, sizeof(body), "{\"epoch\":\"%s\",\"error\":\"error %u\"}", epoch, attempt);
        cr_assert(eq(int, ask_as(projects[0].key, "POST", path, body), 200));
        cr_expect(eq(u32, count_letters(""), attempt == 2 ? 1 : 0));
    }
    for (uint32_t start = 0; start < 2; start++) {
        snprintf(path, sizeof(path), "/v1/admin/dlq/%s", id);
        cr_assert(eq(int, ask("GET", path, ""), 200));
        cr_expect(strstr(answer(), "\"origin\":\"job:mail\"") != NULL);
        snprintf(body, sizeof(body),
                 "\"reason\":\"attempts_exhausted\",\"key\":\"k\",\"attempts\":3,"
                 "\"last_epoch\":\"%s\",\"first_error\":\"error 0\",\"last_error\":\"error 2\"",
                 epoch);
        cr_expect(strstr(answer(), body) != NULL, "%s", answer());
        cr_expect(strstr(answer(), "\"payload\":{\"number\":7}") != NULL);
        at = answer();
        cr_assert(next_string(&at, "first_failed_at", first_at, sizeof(first_at)));
        cr_assert(next_string(&at, "dead_at", dead_at, sizeof(dead_at)));
        cr_expect(strcmp(first_at, dead_at) < 0);
        weir_crash(&weir);
        restart();
    }
    weir_end(&weir);
}

Test(weir_dlq, jobs_are_put_off_while_there_is_no_room_for_dead_letters)
{
    struct weir *it = &weir;

    weir_begin(it, 2, 1);
    it->process.settings.job_dead = 3; /* and one more: it is divided by the shards */
    weir_client_init(&client, it, 0, NULL);
    weir_start(it);
    weir_run_until_ready(it);
    make_projects();
    enqueue(0, KEYED_COUNT, JOB_COUNT, "mail");
    cr_assert(eq(u32, fail_leased(0, "mail"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, count_letters(""), 4));
    cr_assert(eq(int, ask_as(projects[0].key, "GET", "/v1/queues/mail", ""), 200));
    cr_expect(eq(u64, number_of("dead"), 4));
    cr_expect(eq(u64, number_of("scheduled"), 2)); /* the source is held up, nothing is lost */
    cr_assert(eq(int, weir_run_for(it, 65000), SIM_REACHED));
    cr_assert(eq(u32, fail_leased(0, "mail"), 2));
    cr_expect(eq(u32, count_letters(""), 4));
    for (uint32_t i = KEYED_COUNT; i < JOB_COUNT; i++) {
        char path[96];

        snprintf(path, sizeof(path), "/v1/admin/dlq/%s", letters[i].id);
        (void)ask("DELETE", path, "");
    }
    cr_assert(eq(int, weir_run_for(it, 65000), SIM_REACHED));
    cr_assert(eq(u32, fail_leased(0, "mail"), 2));
    cr_expect(eq(u32, count_letters(""), 2));
    weir_stop(it);
    weir_end(it);
}

/* --- looking -------------------------------------------------------------------------- */

Test(weir_dlq, filters_let_through_what_they_say_on_all_shards)
{
    char path[96];

    begin(3, 4);
    make_projects();
    make_letters();
    enqueue(1, KEYED_COUNT, JOB_COUNT, "report");
    cr_assert(eq(u32, fail_leased(1, "report"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, count_letters(""), TOTAL + JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, count_letters("&origin=job:mail"), TOTAL));
    cr_expect(eq(u32, count_letters("&origin=job:report"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, count_letters("&project=project2"), JOB_COUNT));
    cr_expect(eq(u32, count_letters("&org=org&project=project1"), 2 * JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, count_letters("&org=other"), 0));
    cr_expect(eq(u32, count_letters("&reason=poison"), 0));
    cr_expect(eq(u32, count_letters("&since=2100-01-01T00:00:00Z"), 0));
    cr_expect(eq(u32, count_letters("&until=2000-01-01T00:00:00Z"), 0));
    cr_assert(eq(int,
                 ask("POST", "/v1/admin/dlq/replay",
                     "{\"filter\":{\"project\":\"project1\"},\"dry_run\":true}"),
                 200));
    cr_expect(eq(u64, number_of("matching"), 2 * JOB_COUNT - KEYED_COUNT));
    begin_replay("{\"filter\":{\"origin\":\"job:report\"},\"rate\":10000}", path);
    finish_replay(path);
    cr_expect(eq(u64, number_of("done"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, count_letters(""), TOTAL));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_dlq, pages_neither_skip_nor_repeat_while_letters_come_and_go)
{
    char cursor[96] = "", path[256], id[ID_SIZE], cut[ID_SIZE];
    bool seen[TOTAL] = {false};
    uint32_t count = 0, pages = 0;

    begin(4, 4);
    make_projects();
    make_letters();
    do {
        const char *at;

        snprintf(path, sizeof(path), "/v1/admin/dlq?limit=5%s%s",
                 cursor[0] != '\0' ? "&cursor=" : "", cursor);
        cr_assert(eq(int, ask("GET", path, ""), 200));
        cut[0] = '\0';
        for (at = answer(); next_string(&at, "id", id, sizeof(id));)
            for (uint32_t i = 0; i < TOTAL; i++)
                if (strcmp(letters[i].id, id) == 0) {
                    cr_assert(not(seen[i]), "%u is shown twice", i);
                    seen[i] = true;
                    count++;
                    memcpy(cut, id, sizeof(cut));
                }
        at = answer();
        if (!next_string(&at, "next_cursor", cursor, sizeof(cursor)))
            break;
        /* The last one shown goes, with the place that the cursor names; a new one comes. */
        snprintf(path, sizeof(path), "/v1/admin/dlq/%s", cut);
        cr_assert(eq(int, ask("DELETE", path, ""), 200));
        cr_assert(eq(int, ask("DELETE", path, ""), 404));
        cr_assert(eq(int,
                     ask_as(projects[0].key, "POST", "/v1/jobs",
                            "{\"kind\":\"other\",\"payload\":{\"number\":0},\"max_attempts\":1}"),
                     202));
        memcpy(cut, letters[0].id, sizeof(cut));
        cr_assert(eq(u32, fail_leased(0, "other"), 1));
        memcpy(letters[0].id, cut, sizeof(cut)); /* fail_leased() noted the new one there */
    } while (++pages < 100);
    cr_expect(eq(u32, count, TOTAL));
    weir_stop(&weir);
    weir_end(&weir);
}

/* --- replaying --------------------------------------------------------------------------- */

/* Cuts the process off, in one way or the other. */
static void cut_off(void)
{
    if (rng_below(&weir.world->rng, 2) == 0)
        weir_crash(&weir);
    else
        weir_kill(&weir);
}

Test(weir_dlq, a_replay_that_is_cut_off_anywhere_makes_one_job_of_each_letter)
{
    for (uint32_t point = 0; point < POINT_COUNT; point++) {
        char path[96];

        begin(100 + point, 1 + point % 4);
        make_projects();
        make_letters();
        begin_replay("{\"filter\":{\"origin\":\"job:mail\"},\"rate\":500}", path);
        cr_assert(eq(u64, number_of("total"), TOTAL));
        /* 36 letters at 500 a second take 72 ms. */
        cr_assert(eq(int, weir_run_for(&weir, point * 2), SIM_REACHED));
        cut_off();
        restart();
        finish_replay(path);
        cr_assert(eq(u64, number_of("total"), TOTAL));
        cr_assert(eq(u64, number_of("done"), TOTAL), "seed %lu: %s", weir.seed, answer());
        cr_assert(eq(u32, count_letters(""), 0), "seed %lu", weir.seed);
        check_jobs("mail");
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_dlq, a_replay_goes_on_through_many_ends_and_changes_of_the_number_of_shards)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char path[96];
        uint32_t ends = 0;

        begin(200 + seed, 3);
        make_projects();
        make_letters();
        begin_replay("{\"filter\":{},\"rate\":100}", path);
        while (!is_replay_over(path) && ends < 40) {
            uint64_t ms = rng_below(&weir.world->rng, 60);

            cr_assert(eq(int, weir_run_for(&weir, ms), SIM_REACHED));
            if (rng_below(&weir.world->rng, 3) == 0)
                weir_stop(&weir);
            else
                cut_off();
            weir.process.shard_count = 1 + (uint32_t)rng_below(&weir.world->rng, 4);
            restart();
            ends++;
        }
        cr_assert(is_replay_over(path), "seed %lu", weir.seed);
        cr_assert(eq(u32, count_letters(""), 0), "seed %lu", weir.seed);
        check_jobs("mail");
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_dlq, replaying_twice_at_the_same_time_is_replaying_once)
{
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        char path[96], other[96], third[96];

        begin(300 + seed, 2);
        make_projects();
        make_letters();
        begin_replay("{\"filter\":{},\"rate\":2000}", path);
        begin_replay("{\"filter\":{},\"rate\":10000}", other);
        begin_replay("{\"filter\":{\"project\":\"project0\"},\"rate\":10000}", third);
        finish_replay(path);
        finish_replay(other);
        finish_replay(third);
        begin_replay("{\"filter\":{}}", path);
        cr_assert(is_replay_over(path));
        cr_assert(eq(u64, number_of("total"), 0));
        check_jobs("mail");
        weir_stop(&weir);
        weir_end(&weir);
    }
}

Test(weir_dlq, ids_that_are_named_are_replayed_and_no_others)
{
    char path[96], what[256];

    begin(5, 4);
    make_projects();
    make_letters();
    snprintf(what, sizeof(what), "{\"ids\":[\"%s\",\"%s\",\"%s\",\"%s\"]}", letters[1].id,
             letters[JOB_COUNT].id, letters[TOTAL - 1].id, letters[1].id);
    begin_replay(what, path);
    cr_expect(eq(u64, number_of("total"), 3));
    finish_replay(path);
    cr_expect(eq(u64, number_of("done"), 3));
    cr_expect(eq(u32, count_letters(""), TOTAL - 3));
    begin_replay(what, path);
    cr_expect(eq(u64, number_of("total"), 0));
    snprintf(path, sizeof(path), "/v1/admin/dlq/%s", letters[1].id);
    cr_assert(eq(int, ask("GET", path, ""), 200));
    cr_expect(strstr(answer(), "\"replayed_as\":\"") != NULL);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_dlq, a_replay_takes_the_time_that_its_rate_says)
{
    char path[96];
    uint32_t tenths = 0;

    begin(6, 2);
    make_projects();
    make_letters();
    begin_replay("{\"filter\":{},\"rate\":10}", path);
    while (!is_replay_over(path) && tenths < 100) {
        cr_assert(number_of("done") <= tenths + 2, "%s after %u tenths", answer(), tenths);
        cr_assert(eq(int, weir_run_for(&weir, 100), SIM_REACHED));
        tenths++;
    }
    cr_expect(tenths >= TOTAL - 2);
    cr_expect(tenths <= TOTAL + 2);
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_dlq, letters_that_die_after_it_began_are_not_replayed)
{
    char path[96];

    begin(7, 2);
    make_projects();
    make_letters();
    begin_replay("{\"filter\":{},\"rate\":100}", path);
    /* What it makes fails again at once, all the time. */
    for (uint32_t i = 0; i < 200 && !is_replay_over(path); i++) {
        for (uint32_t project = 0; project < PROJECT_COUNT; project++)
            (void)fail_leased(project, "mail");
        cr_assert(eq(int, weir_run_for(&weir, 10), SIM_REACHED));
    }
    cr_assert(is_replay_over(path));
    cr_expect(eq(u64, number_of("done"), TOTAL));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_dlq, only_the_latest_replays_are_remembered)
{
    char first[96], path[96];

    begin(8, 1);
    begin_replay("{\"filter\":{}}", first);
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX - 1; i++)
        begin_replay("{\"filter\":{}}", path);
    cr_expect(is_replay_over(first));
    cr_assert(eq(int, weir_run_for(&weir, 10), SIM_REACHED));
    begin_replay("{\"filter\":{}}", path);
    cr_expect(eq(int, ask("GET", first, ""), 404));
    weir_crash(&weir);
    restart();
    cr_expect(is_replay_over(path));
    weir_stop(&weir);
    weir_end(&weir);
}

/* How many replays of this state are listed. */
static uint32_t count_replays(const char *state)
{
    char wanted[32];
    uint32_t count = 0;

    cr_assert(eq(int, ask("GET", "/v1/admin/dlq/replays", ""), 200));
    snprintf(wanted, sizeof(wanted), "\"state\":\"%s\"", state);
    for (const char *at = strstr(answer(), wanted); at != NULL; at = strstr(at + 1, wanted))
        count++;
    return count;
}

Test(weir_dlq, a_start_with_fewer_shards_goes_on_with_the_replays_of_all_of_them)
{
    enum { PER_PROJECT = 9, ALL = 2 * PER_PROJECT };
    char paths[ALL][96], path[96], what[96];

    static_assert((int)ALL > (int)DEAD_REPLAY_COUNT_MAX, "one shard alone would not begin them");
    begin(10, 3);
    make_projects();
    make_letters();
    for (uint32_t i = 0; i < ALL; i++) {
        snprintf(what, sizeof(what),
                 "{\"filter\":{\"org\":\"org\",\"project\":\"project%u\"},\"rate\":1}", i % 2);
        begin_replay(what, paths[i]);
    }
    cr_assert(eq(u32, count_replays("running"), ALL));
    weir_crash(&weir);
    weir.process.shard_count = 1;
    restart();
    for (uint32_t i = 0; i < ALL; i++)
        finish_replay(paths[i]);
    cr_expect(eq(u32, count_letters(""), JOB_COUNT)); /* of the third project */
    begin_replay("{\"filter\":{}}", path);
    finish_replay(path);
    cr_expect(eq(u32, count_replays("completed"), DEAD_REPLAY_COUNT_MAX));
    cr_expect(eq(u32, count_letters(""), 0));
    check_jobs("mail");
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_dlq, a_replay_takes_the_place_of_one_that_was_stopped_while_it_waited)
{
    char paths[DEAD_REPLAY_COUNT_MAX][96];

    begin(11, 1);
    make_projects();
    make_letters();
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX; i++)
        begin_replay("{\"filter\":{},\"rate\":1}", paths[i]);
    cr_assert(eq(int, weir_run_for(&weir, 900), SIM_REACHED));
    cr_assert(eq(u32, count_replays("running"), DEAD_REPLAY_COUNT_MAX));
    cr_assert(eq(int, ask("DELETE", paths[0], ""), 200), "%s", answer());
    /* The second that the first one waited for is over before the next one has begun. */
    weir.server->faults.stuck_ns = (struct sim_range){500000000, 500000000};
    weir.server->faults.disk_stuck.always = true;
    begin_replay("{\"filter\":{},\"rate\":1}", paths[0]);
    weir_calm(&weir);
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX; i++)
        finish_replay(paths[i]);
    cr_expect(eq(u32, count_letters(""), 0));
    check_jobs("mail");
    weir_stop(&weir);
    weir_end(&weir);
}

/* --- carried forward ------------------------------------------------------------------------ */

/* An event that takes a place in the log, and opens no incident. */
static void send_filler(uint32_t number)
{
    char event[4096], filler[3000];

    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    snprintf(event, sizeof(event),
             "{\"event_type\":\"deploy\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
             "\"message\":\"number %u.\",\"attributes\":{\"filler\":\"%s\"}}",
             number, filler);
    cr_assert(eq(int, ask_as(NULL, "POST", "/v1/events", event), 202), "%s", answer());
}

/*
 * Events fill segment after segment, until all there was before has been written again. They are
 * deploys: so many errors would open an incident, whose job dies here, where nothing can be read.
 */
static void fill_log(void)
{
    uint64_t carried = weir_metric(&weir, weir.process.app.metrics.jobs.carried);

    for (uint32_t i = 0; i < 3000; i++) {
        send_filler(i);
        if (weir_metric(&weir, weir.process.app.metrics.jobs.carried) >= carried + TOTAL)
            return;
    }
    cr_assert(false, "nothing is carried forward");
}

/* Until the first log has let all go that it holds now. */
static void fill_first_log(void)
{
    const struct journal *journal = weir.process.app.shards[0].keeper.logs[0].journal;
    uint64_t seq = journal_active_seq(journal);

    for (uint32_t i = 0; i < 3000 && journal_oldest_seq(journal) <= seq; i++)
        send_filler(i);
    cr_assert(lt(u64, seq, journal_oldest_seq(journal)));
}

Test(weir_dlq, a_replay_that_was_stopped_and_forgotten_stays_so_when_its_end_has_gone_first)
{
    char paths[PROJECT_COUNT][96], what[96], path[96];
    uint32_t left;

    weir_begin(&weir, 12, PROJECT_COUNT);
    weir.process.settings.segment_bytes = 128 << 10;
    weir.process.settings.retain_bytes = 1536 << 10;
    weir_client_init(&client, &weir, 0, NULL);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    make_projects();
    make_letters();
    for (uint32_t i = 0; i < PROJECT_COUNT; i++) {
        snprintf(what, sizeof(what),
                 "{\"filter\":{\"org\":\"org\",\"project\":\"project%u\"},\"rate\":1}", i);
        begin_replay(what, paths[i]);
    }
    weir_crash(&weir);
    weir.process.shard_count = 1;
    restart();
    for (uint32_t i = 0; i < PROJECT_COUNT; i++)
        cr_assert(eq(int, ask("DELETE", paths[i], ""), 200), "%s", answer());
    left = count_letters("");
    cr_assert(lt(u32, 0, left));
    for (uint32_t i = 0; i < DEAD_REPLAY_COUNT_MAX; i++) {
        begin_replay("{\"filter\":{\"origin\":\"job:none\"}}", path);
        finish_replay(path);
    }
    for (uint32_t i = 0; i < PROJECT_COUNT; i++)
        cr_expect(eq(int, ask("GET", paths[i], ""), 404));
    fill_first_log();
    weir_crash(&weir);
    restart();
    weir_let_pass(&weir, 2000 * JOB_COUNT);
    cr_expect(eq(u32, count_letters(""), left), "what was stopped has gone on");
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_dlq, letters_that_were_carried_forward_are_read_and_replayed_as_they_were)
{
    struct weir_call call = {.path = "/v1/jobs", .idempotency_key = "once"};
    static const char once[] = "{\"kind\":\"once\",\"payload\":{\"number\":0},\"max_attempts\":1}";
    static const char alone[] = "{\"kind\":\"alone\",\"payload\":{\"number\":1},"
                                "\"max_attempts\":1,\"unique\":\"u\"}";
    char path[96], first[ID_SIZE], again[ID_SIZE], kept[2][ID_SIZE];
    const char *at;

    weir_begin(&weir, 9, 1);
    weir.process.settings.segment_bytes = 128 << 10;
    weir.process.settings.retain_bytes = 512 << 10;
    weir_client_init(&client, &weir, 0, NULL);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    make_projects();
    call.key = projects[0].key;
    cr_assert(eq(int, weir_ask(&client, &call, once), 202));
    at = answer();
    cr_assert(next_string(&at, "id", first, sizeof(first)));
    cr_assert(eq(u32, fail_leased(0, "once"), 1));
    cr_assert(eq(int, ask_as(projects[0].key, "POST", "/v1/jobs", alone), 202));
    cr_assert(eq(u32, fail_leased(0, "alone"), 1));
    memcpy(kept[0], letters[0].id, ID_SIZE);
    memcpy(kept[1], letters[1].id, ID_SIZE);
    make_letters();
    fill_log();
    weir_crash(&weir);
    restart();
    fill_log();
    cr_assert(eq(u32, count_letters(""), TOTAL + 2));
    cr_expect(strstr(answer(), "unreadable") == NULL);
    cr_expect(strstr(answer(), "\"key\":\"k\"") != NULL);
    snprintf(path, sizeof(path), "/v1/admin/dlq/%s", kept[1]);
    cr_assert(eq(int, ask("GET", path, ""), 200));
    cr_expect(strstr(answer(), "\"first_error\":\"error 1\",\"last_error\":\"error 1\"") != NULL);
    cr_expect(strstr(answer(), "\"payload\":{\"number\":1}") != NULL);
    /* Another one with its unique key lives: the letter has to stay. */
    cr_assert(eq(int, ask_as(projects[0].key, "POST", "/v1/jobs", alone), 202));
    cr_expect(strstr(answer(), "\"duplicate\":false") != NULL);
    begin_replay("{\"filter\":{\"origin\":\"job:alone\"}}", path);
    finish_replay(path);
    cr_expect(eq(u64, number_of("failed"), 1));
    /* The idempotency key goes with the replay. */
    begin_replay("{\"filter\":{\"origin\":\"job:once\"}}", path);
    finish_replay(path);
    cr_expect(eq(u64, number_of("done"), 1));
    cr_assert(eq(int, weir_ask(&client, &call, once), 202));
    at = answer();
    cr_assert(next_string(&at, "id", again, sizeof(again)));
    cr_expect(strstr(answer(), "\"duplicate\":true") != NULL);
    cr_expect(strcmp(first, again) != 0);
    begin_replay("{\"filter\":{\"origin\":\"job:mail\"},\"rate\":5000}", path);
    finish_replay(path);
    check_jobs("mail");
    weir_stop(&weir);
    weir_end(&weir);
}

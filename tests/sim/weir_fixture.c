#include "tests/sim/weir_fixture.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "runtime/io_sim.h"
#include "runtime/sim_disk.h"

/*
 * What tests add to tools/sim: assertions that name the seed, clients that ask one thing
 * and wait for the answer, and a census of the log. The server itself and the ways in
 * which its process ends are sim_server.c's.
 */

enum { START_COUNT_MAX = 20 }; /* into faults */

static const uint64_t STOP_LIMIT_MS = 60000; /* of simulated time, for an orderly stop */
static const uint64_t READY_LIMIT_MS = 120000;
static const uint64_t ANSWER_LIMIT_MS = 60000;

void weir_begin(struct weir *weir, uint64_t seed, uint32_t shard_count)
{
    memset(weir, 0, sizeof(*weir));
    weir->seed = seed;
    weir->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(SIM_SERVER_PORT)};
    weir->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    weir->world = sim_world_new(seed);
    weir->server = sim_host_new(weir->world, "server");
    weir->laptop = sim_host_new(weir->world, "laptop");
    list_init(&weir->clients);
    sim_driver_init(&weir->driver, weir->world);
    sim_server_init(&weir->process, &weir->driver, weir->server);
    weir->process.shard_count = shard_count;
    cr_assert(eq(int, io_sim_new(weir->laptop, &weir->laptop_io), 0));
    sim_driver_add_io(&weir->driver, weir->laptop_io);
}

void weir_end(struct weir *weir)
{
    struct list_node *node;

    sim_server_deinit(&weir->process);
    io_free(&weir->laptop_io);
    while ((node = list_pop_front(&weir->clients)) != NULL)
        sim_http_client_deinit(&container_of(node, struct weir_client, link)->http);
    sim_world_free(&weir->world);
}

/* --- starting and ending -------------------------------------------------- */

bool weir_try_start(struct weir *weir, int *ret_exit_code)
{
    cr_assert(not(weir->process.is_running));
    return sim_server_try_start(&weir->process, ret_exit_code);
}

void weir_start(struct weir *weir)
{
    int exit_code = 0;

    cr_assert(weir_try_start(weir, &exit_code), "seed %lu: the start failed with %d: %s",
              weir->seed, exit_code, weir->process.text);
}

void weir_start_ready(struct weir *weir)
{
    weir_start(weir);
    weir_run_until_ready(weir);
}

void weir_crash(struct weir *weir)
{
    sim_server_crash(&weir->process);
}

void weir_kill(struct weir *weir)
{
    sim_server_kill(&weir->process);
}

void weir_bury(struct weir *weir)
{
    cr_assert(ne(int, sim_server_bury(&weir->process), 0), "seed %lu", weir->seed);
}

void weir_calm(struct weir *weir)
{
    sim_faults_init(&weir->server->faults);
    sim_faults_init(&weir->laptop->faults);
}

void weir_start_in_weather(struct weir *weir, uint64_t (*draw_calls)(void), void (*on_failed)(void))
{
    int exit_code = 0;

    for (uint32_t i = 0; i < START_COUNT_MAX; i++) {
        if (rng_below(&weir->world->rng, 4) == 0)
            sim_host_crash_after(weir->server, draw_calls());
        if (weir_try_start(weir, &exit_code))
            return;
        sim_host_crash_after(weir->server, 0);
        if (on_failed != NULL)
            on_failed();
    }
    weir_calm(weir);
    weir_start(weir);
}

void weir_end_life(struct weir *weir, enum sim_outcome outcome)
{
    switch (outcome) {
    case SIM_ENDED:
        weir_bury(weir);
        break;
    case SIM_HOST_DIED:
        weir_crash(weir);
        break;
    case SIM_REACHED:
        if (sim_world_coin(weir->world))
            weir_crash(weir);
        else
            weir_kill(weir);
        break;
    case SIM_STEPS_OVER:
    case SIM_QUIET:
        cr_assert(false, "seed %lu: outcome %d", weir->seed, outcome);
    }
    sim_host_crash_after(weir->server, 0);
}

int weir_try_stop(struct weir *weir)
{
    enum sim_server_stop stop;
    int exit_code = 0;

    stop = sim_server_try_stop(&weir->process, STOP_LIMIT_MS, &exit_code);
    cr_assert(stop == SIM_SERVER_STOPPED || stop == SIM_SERVER_FAILED,
              "seed %lu: still not stopped after %lu ms", weir->seed, STOP_LIMIT_MS);
    return exit_code;
}

void weir_stop(struct weir *weir)
{
    cr_assert(eq(int, weir_try_stop(weir), 0), "seed %lu", weir->seed);
}

/* --- driving -------------------------------------------------------------- */

static bool is_goal_reached(struct sim_goal *goal)
{
    return container_of(goal, struct weir, goal)->is_reached();
}

enum sim_outcome weir_run_until(struct weir *weir, bool (*is_reached)(void))
{
    weir->goal.reached = is_goal_reached;
    weir->is_reached = is_reached;
    return sim_driver_run(&weir->driver, &weir->goal, WEIR_STEP_COUNT_MAX);
}

enum sim_outcome weir_run_for(struct weir *weir, uint64_t duration_ms)
{
    return sim_driver_run_for(&weir->driver, duration_ms * 1000000);
}

void weir_let_pass(struct weir *weir, uint64_t duration_ms)
{
    cr_assert(eq(int, weir_run_for(weir, duration_ms), SIM_REACHED), "seed %lu: %s", weir->seed,
              weir->process.text);
}

void weir_run_until_ready(struct weir *weir)
{
    for (uint64_t ms = 0; ms < READY_LIMIT_MS && !sim_server_is_ready(&weir->process); ms++) {
        enum sim_outcome outcome = weir_run_for(weir, 1);

        cr_assert(eq(int, outcome, SIM_REACHED), "seed %lu", weir->seed);
    }
    cr_assert(sim_server_is_ready(&weir->process), "seed %lu", weir->seed);
}

/* --- clients -------------------------------------------------------------- */

static void on_done(struct sim_http_request *request)
{
    struct weir_client *client = container_of(request, struct weir_client, request);

    if (client->on_answer != NULL) {
        client->on_answer(client);
        return;
    }
    client->is_answered = true;
    if (!request->lost) {
        memcpy(client->answer, request->body, request->body_size);
        client->answer[request->body_size] = '\0';
    }
    request->body = client->answer; /* others' answers may come before the caller looks */
}

void weir_client_init(struct weir_client *client, struct weir *weir, uint32_t index,
                      void (*on_answer)(struct weir_client *client))
{
    sim_http_client_init(&client->http, weir->world, weir->laptop_io,
                         (struct sockaddr *)&weir->address, sizeof(weir->address));
    client->weir = weir;
    list_init(&client->link);
    list_push_back(&weir->clients, &client->link);
    client->index = index;
    client->on_answer = on_answer;
    client->request = (struct sim_http_request){.on_done = on_done, .data = client->data};
}

void weir_client_call(struct weir_client *client, const struct weir_call *call, const char *body)
{
    size_t body_size = strlen(body);
    char claim[320] = "";
    int size;

    if (call->idempotency_key != NULL)
        snprintf(claim, sizeof(claim), "idempotency-key: %s\r\n", call->idempotency_key);
    size = snprintf(client->data, sizeof(client->data),
                    "%s %s HTTP/1.1\r\nhost: sim\r\nx-api-key: %s\r\n%s%scontent-type: %s\r\n"
                    "content-length: %zu\r\n\r\n%s",
                    call->method != NULL ? call->method : "POST", call->path,
                    call->key != NULL ? call->key : WEIR_DEMO_KEY, claim,
                    call->expects_continue ? "expect: 100-continue\r\n" : "",
                    call->content_type != NULL ? call->content_type : "application/json", body_size,
                    body);
    cr_assert(lt(int, size, WEIR_REQUEST_SIZE_MAX));
    client->request.size = (uint32_t)size;
    sim_http_client_submit(&client->http, &client->request);
}

uint32_t weir_ask(struct weir_client *client, const struct weir_call *call, const char *body)
{
    struct weir *weir = client->weir;

    cr_assert(client->on_answer == NULL);
    client->is_answered = false;
    weir_client_call(client, call, body);
    for (uint64_t i = 0; i < ANSWER_LIMIT_MS * 10 && !client->is_answered; i++)
        cr_assert(eq(int, sim_driver_run_for(&weir->driver, 100000), SIM_REACHED), "seed %lu: %s",
                  weir->seed, weir->process.text);
    cr_assert(client->is_answered, "seed %lu: %s is not answered", weir->seed, call->path);
    cr_assert(not(client->request.lost), "seed %lu: %s is lost", weir->seed, call->path);
    return client->request.status;
}

void weir_write_id(char id[WEIR_ID_SIZE + 1], uint32_t number)
{
    snprintf(id, WEIR_ID_SIZE + 1, "00000000-0000-4000-8000-%012x", number);
}

uint32_t weir_write_event(char *data, size_t size, uint32_t number, const char *id)
{
    int written = snprintf(data, size,
                           "{\"event_type\":\"error\",\"occurred_at\":\"2025-01-01T00:00:00Z\","
                           "\"message\":\"number %u.\"%s%s%s,\"attributes\":{\"error_code\":"
                           "\"E%u\"}}",
                           number, id != NULL ? ",\"event_id\":\"" : "", id != NULL ? id : "",
                           id != NULL ? "\"" : "", number % 7);

    cr_assert(lt(u64, (uint64_t)written, (uint64_t)size));
    return (uint32_t)written;
}

bool weir_answer_has(const struct sim_http_request *request, const char *text)
{
    return memmem(request->body, request->body_size, text, strlen(text)) != NULL;
}

/* The first byte of the value of "name" that begins like this; NULL when there is none. */
static const char *find_value(const struct sim_http_request *request, const char *name,
                              const char *begin, uint32_t offset)
{
    char wanted[64];
    size_t wanted_size = (size_t)snprintf(wanted, sizeof(wanted), "\"%s\":%s", name, begin);
    const char *found;

    if (offset > request->body_size)
        return NULL;
    found = memmem(request->body + offset, request->body_size - offset, wanted, wanted_size);
    return found != NULL ? found + wanted_size : NULL;
}

bool weir_answer_string(const struct sim_http_request *request, const char *name, uint32_t *offset,
                        char *value, size_t value_size)
{
    const char *begin = find_value(request, name, "\"", *offset), *end;

    if (begin == NULL)
        return false;
    end = memchr(begin, '"', (size_t)(request->body + request->body_size - begin));
    if (end == NULL || (size_t)(end - begin) >= value_size)
        return false;
    memcpy(value, begin, (size_t)(end - begin));
    value[end - begin] = '\0';
    *offset = (uint32_t)(end - request->body);
    return true;
}

bool weir_answer_number(const struct sim_http_request *request, const char *name, uint32_t *offset,
                        uint64_t *ret_number)
{
    const char *begin = find_value(request, name, "", *offset), *at = begin;
    uint64_t number = 0;

    if (begin == NULL)
        return false;
    for (; at < request->body + request->body_size && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    if (at == begin)
        return false;
    *ret_number = number;
    *offset = (uint32_t)(at - request->body);
    return true;
}

uint32_t weir_answer_count(const struct sim_http_request *request, const char *text)
{
    const char *at = request->body, *end = request->body + request->body_size;
    uint32_t count = 0;

    while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        at += strlen(text);
        count++;
    }
    return count;
}

/* --- reading the log ------------------------------------------------------ */

struct census_visitor {
    struct recovery_visitor visitor;
    struct weir_census *census;
};

static void count_event(struct weir_census *census, const struct recovery_group *group,
                        struct slice payload)
{
    static const char name[] = "\"event_id\":\"";
    const char *message = memmem(payload.data, payload.size, "\"number ", 8);
    const char *id = memmem(payload.data, payload.size, name, sizeof(name) - 1);
    struct weir_stored *stored;
    unsigned long number;

    cr_assert(message != NULL);
    cr_assert(id != NULL);
    number = strtoul(message + 8, NULL, 10);
    cr_assert(lt(u64, number, WEIR_EVENT_COUNT_MAX));
    stored = &census->events[number];
    stored->count++;
    stored->group = census->group_count;
    stored->position = census->event_count++;
    stored->log = group->log;
    stored->boot_generation = group->boot_generation;
    memcpy(stored->id, id + sizeof(name) - 1, WEIR_ID_SIZE);
    stored->id[WEIR_ID_SIZE] = '\0';
}

static int count_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    struct weir_census *census = container_of(visitor, struct census_visitor, visitor)->census;
    struct record_event event;
    struct slice envelope;

    for (uint32_t i = 0; i < group->record_count; i++) {
        const struct journal_record_view *record = &group->records[i];

        census->claim_count += record->type == RECORD_CLAIM;
        census->key_count += record->type == RECORD_KEY;
        if (record->type == RECORD_EVENT &&
            event_record_decode(record->version, record->payload, &event, &envelope))
            count_event(census, group, envelope);
    }
    census->group_count++;
    return 0;
}

void weir_census(struct weir *weir, struct weir_census *ret_census)
{
    struct census_visitor visitor = {.visitor = {.on_group = count_group}, .census = ret_census};
    struct recovered *recovered = NULL;
    struct superblock superblock;
    struct recovery_config config = {
        .disk = sim_host_disk(weir->server),
        .data_path = "/data",
        .superblock = &superblock,
        .visitor = &visitor.visitor,
        .read_only = true,
    };
    char text[RECOVERY_TEXT_SIZE];
    int r;

    cr_assert(not(weir->process.is_running), "the log of a running server changes");
    memset(ret_census, 0, sizeof(*ret_census));
    r = superblock_read(config.disk, "/data", &superblock);
    if (r == -ENOENT)
        return; /* the very first start did not come so far */
    cr_assert(eq(int, r, 0), "seed %lu", weir->seed);
    cr_assert(eq(int, recovery_run(&config, &recovered, text), 0), "seed %lu: %s", weir->seed,
              text);
    recovered_free(&recovered);
}

uint64_t weir_metric(struct weir *weir, struct metric metric)
{
    return sim_server_metric(&weir->process, metric);
}

uint64_t weir_disk_used(const struct weir *weir)
{
    return weir->server->disk->used;
}

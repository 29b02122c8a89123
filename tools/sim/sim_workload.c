#include "tools/sim/sim_workload.h"

#include <arpa/inet.h>

#include "runtime/io_sim.h"
#include "tools/sim/sim_judgement.h"

/*
 * Client 0 is also the administrator: one at a time changes keys. Every fourth client
 * uses the second tenant's key once there is one, and the last quarter of the clients
 * lives on the second machine, which now and then loses its power.
 */
enum {
    GIVE_UP_ODDS = 40,  /* one refused attempt in so many is the last one */
    KEY_ODDS = 4,       /* one unit in so many has an Idempotency-Key */
    PICK_COUNT_MAX = 8, /* tries to find an acknowledged unit by chance */
    ITEM_SPARE_COUNT = 2 * SIM_BATCH_COUNT_MAX,
    BAD_KIND_COUNT = 6,
    ADMIN_ODDS = 8, /* one turn of the administrator in so many is about keys */
};

static const uint64_t RETRY_AFTER_NS = 1000000000;
static const uint64_t BACK_OFF_NS = 50000000; /* for each attempt there was */
static const uint64_t BACK_OFF_NS_MAX = 5000000000;

/* What is asked how often, out of 100; the first that exceeds the draw. */
static const struct {
    uint32_t below;
    enum sim_ask ask;
} MIX[] = {
    {60, SIM_ASK_UNIT},          {66, SIM_ASK_AGAIN},       {70, SIM_ASK_OTHER_BODY},
    {77, SIM_ASK_SHARED},        {80, SIM_ASK_ANONYMOUS},   {82, SIM_ASK_KEY_MISUSED},
    {88, SIM_ASK_GET},           {90, SIM_ASK_GET_FOREIGN}, {91, SIM_ASK_GET_NOTHING},
    {94, SIM_ASK_BAD},           {95, SIM_ASK_READYZ},      {98, SIM_ASK_ADMIN_TRY},
    {100, SIM_ASK_ADMIN_CREATE},
};

static const char *const FORM_NAMES[] = {"event", "batch", "lines", "partial batch"};

static void on_done(struct sim_http_request *request);
static void on_rest_over(struct sim_event *event);

static uint32_t draw(const struct sim_workload *workload, uint32_t below)
{
    return (uint32_t)rng_below(&workload->world->rng, below);
}

/* --- machines and clients ------------------------------------------------- */

static void connect_client(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;

    sim_http_client_init(&client->http, workload->world, workload->hosts[client->host].io,
                         (struct sockaddr *)&workload->address, sizeof(workload->address));
    client->http.split_ppm = draw(workload, workload->spec.split_ppm_max + 1);
    client->http.pause_ns.max = rng_below(&workload->world->rng, workload->spec.pause_ns_max + 1);
}

static void switch_on(struct sim_workload *workload, struct sim_client_host *host)
{
    int r = io_sim_new(host->host, &host->io);

    assert(r == 0);
    sim_driver_add_io(workload->driver, host->io);
}

void sim_workload_init(struct sim_workload *workload, const struct sim_workload_spec *spec,
                       struct sim_driver *driver, struct sim_story *story, struct sim_model *model,
                       struct sim_check *check)
{
    static const char *const names[SIM_CLIENT_HOST_COUNT] = {"laptop", "phone"};

    assert(spec->client_count > 0);
    assert(spec->client_count <= SIM_CLIENT_COUNT_MAX);
    memset(workload, 0, sizeof(*workload));
    workload->spec = *spec;
    workload->world = driver->world;
    workload->driver = driver;
    workload->story = story;
    workload->model = model;
    workload->check = check;
    workload->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(SIM_SERVER_PORT)};
    workload->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check->census.shared_count = spec->shared_count;
    for (uint8_t tenant = 0; tenant < SIM_TENANT_COUNT && spec->shared_count > 0; tenant++)
        (void)sim_model_add(model, SIM_ITEM_NAMED, spec->shared_count, tenant);
    for (uint32_t i = 0; i < SIM_CLIENT_HOST_COUNT; i++) {
        workload->hosts[i].host = sim_host_new(workload->world, names[i]);
        switch_on(workload, &workload->hosts[i]);
    }
    for (uint32_t i = 0; i < spec->client_count; i++) {
        struct sim_client *client = &workload->clients[i];

        client->workload = workload;
        client->index = i;
        client->host = i * 4 >= spec->client_count * 3 && i > 0;
        client->unit = SIM_NONE;
        client->rest_over.on_due = on_rest_over;
        client->request.on_done = on_done;
        connect_client(client);
    }
}

void sim_workload_deinit(struct sim_workload *workload)
{
    for (uint32_t i = 0; i < SIM_CLIENT_HOST_COUNT; i++) {
        sim_driver_remove_io(workload->driver, workload->hosts[i].io);
        io_free(&workload->hosts[i].io);
    }
    for (uint32_t i = 0; i < workload->spec.client_count; i++) {
        sim_http_client_deinit(&workload->clients[i].http);
        sim_world_unschedule(workload->world, &workload->clients[i].rest_over);
    }
}

/* --- asking --------------------------------------------------------------- */

static const char *key_of(const struct sim_workload *workload, uint32_t tenant)
{
    return tenant == 0 ? SIM_SERVER_DEMO_KEY : workload->keys.keys[0].secret;
}

/* An acknowledged unit, by chance; SIM_NONE when none was met. */
static uint32_t pick_unit(const struct sim_workload *workload, bool with_key)
{
    const struct sim_model *model = workload->model;

    for (uint32_t i = 0; i < PICK_COUNT_MAX && model->unit_count > 0; i++) {
        uint32_t unit = draw(workload, model->unit_count);

        if (model->units[unit].is_acknowledged && (!with_key || model->units[unit].key != SIM_NONE))
            return unit;
    }
    return SIM_NONE;
}

/* Sends the items that the client is set to, and tells model and story. */
static void send_items(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;
    const struct sim_item *item = &workload->model->items[client->number];
    struct sim_call call = {.path = "/v1/events", .key = key_of(workload, item->tenant)};
    char key[32] = "";

    sim_client_write_items(client, workload->check);
    if (client->form != SIM_FORM_SINGLE)
        call.path = "/v1/events/batch";
    if (client->form == SIM_FORM_PARTIAL)
        call.path = "/v1/events/batch?partial=true";
    if (client->form == SIM_FORM_LINES)
        call.content_type = "application/x-ndjson";
    if (client->key_number != SIM_NONE) {
        snprintf(key, sizeof(key), "key-%u", client->key_number);
        call.idempotency_key = key;
        sim_model_send(workload->model, client->key_number, client->ask == SIM_ASK_KEY_MISUSED);
    }
    workload->model->now_ns = workload->world->mono_ns;
    for (uint32_t i = 0; i < client->count; i++)
        sim_model_send(workload->model, client->number + i, client->variant);
    client->sent_life = workload->life;
    sim_judge_note(client);
    sim_story_tell(workload->story, client->number, client->count,
                   "client %u sends %s %u..%u, body %u%s%s, attempt %u", client->index,
                   FORM_NAMES[client->form], client->number, client->number + client->count - 1,
                   client->variant, key[0] != '\0' ? ", " : "", key, client->attempt_count + 1);
    workload->request_count++;
    sim_client_send(client, &call);
}

/* Sends a request without items. */
static void send_plain(struct sim_client *client, const struct sim_call *call)
{
    sim_story_tell(client->workload->story, SIM_NO_NUMBER, 0, "client %u: %s %s", client->index,
                   call->method != NULL ? call->method : "POST", call->path);
    client->workload->request_count++;
    sim_client_send(client, call);
}

static void begin_unit(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;
    struct sim_model *model = workload->model;
    const struct sim_unit *last = client->unit == SIM_NONE ? NULL : &model->units[client->unit];
    uint32_t previous = last != NULL && last->is_acknowledged ? client->unit : SIM_NONE;
    uint8_t tenant = client->index % 4 == 1 && workload->keys.keys[0].state == SIM_KEY_LIVE;

    client->form = SIM_FORM_SINGLE;
    client->count = 1;
    client->variant = 0;
    client->key_number = SIM_NONE;
    if (workload->spec.batch_count_max > 1 && draw(workload, 3) != 0) {
        client->form = SIM_FORM_BATCH + draw(workload, 3);
        client->count = 1 + draw(workload, workload->spec.batch_count_max);
        /* The bounds are where mistakes live. */
        if (draw(workload, 4) == 0)
            client->count = sim_world_coin(workload->world) ? 1 : workload->spec.batch_count_max;
    }
    client->number = sim_model_add(model, SIM_ITEM_NAMED, client->count, tenant);
    if (client->form != SIM_FORM_PARTIAL && draw(workload, KEY_ODDS) == 0)
        client->key_number = sim_model_add(model, SIM_ITEM_KEY, 1, tenant);
    client->unit =
        sim_model_add_unit(model, client->number, client->count, client->key_number, previous);
    model->units[client->unit].form = (uint8_t)client->form;
    model->units[client->unit].is_divisible = client->form == SIM_FORM_PARTIAL;
    workload->unit_count++;
    send_items(client);
}

/* Sets the client to what an acknowledged unit was. */
static void take_unit(struct sim_client *client, uint32_t unit)
{
    const struct sim_unit *u = &client->workload->model->units[unit];

    client->number = u->first;
    client->count = u->count;
    client->key_number = u->key;
    client->form = u->form;
    client->variant = 0;
}

static void ask_about_unit(struct sim_client *client, uint32_t unit)
{
    struct sim_workload *workload = client->workload;

    take_unit(client, unit);
    if (client->ask == SIM_ASK_OTHER_BODY) {
        client->number += draw(workload, client->count);
        client->count = 1;
        client->form = SIM_FORM_SINGLE;
        client->key_number = SIM_NONE;
        client->variant = 1;
    } else if (client->ask == SIM_ASK_KEY_MISUSED) {
        client->number = sim_model_misuse(workload->model, unit);
        client->count = 1;
        client->form = SIM_FORM_SINGLE;
    }
    send_items(client);
}

static void ask_single(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;
    uint8_t tenant =
        workload->keys.keys[0].state == SIM_KEY_LIVE && sim_world_coin(workload->world);

    client->form = SIM_FORM_SINGLE;
    client->count = 1;
    client->key_number = SIM_NONE;
    client->variant = 0;
    if (client->ask == SIM_ASK_SHARED) {
        client->number =
            tenant * workload->spec.shared_count + draw(workload, workload->spec.shared_count);
        client->variant = draw(workload, SIM_VARIANT_COUNT);
    } else {
        client->number = sim_model_add(workload->model, SIM_ITEM_ANONYMOUS, 1, tenant);
    }
    send_items(client);
}

static void ask_get(struct sim_client *client, uint32_t unit)
{
    struct sim_workload *workload = client->workload;
    struct sim_call call = {.method = "GET", .key = SIM_SERVER_DEMO_KEY};
    char id[SIM_ID_SIZE + 1] = "00000000-0000-4000-8000-ffffffffffff";
    char path[64];
    uint32_t tenant = 0;

    if (client->ask != SIM_ASK_GET_NOTHING) {
        take_unit(client, unit);
        client->number += draw(workload, client->count);
        tenant = workload->model->items[client->number].tenant;
        sim_census_write_id(&workload->check->census, client->number, id);
        if (client->ask == SIM_ASK_GET_FOREIGN)
            tenant = 1 - tenant;
        call.key = key_of(workload, tenant);
    }
    snprintf(path, sizeof(path), "/v1/events/%s", id);
    call.path = path;
    client->body[0] = '\0';
    send_plain(client, &call);
}

static void ask_bad(struct sim_client *client)
{
    static const char *const bodies[] = {"{", "{}", "", "[1,2]", "{\"event_type\":\"error\"}"};
    struct sim_workload *workload = client->workload;
    struct sim_call call = {.path = "/v1/events", .key = SIM_SERVER_DEMO_KEY};
    uint32_t kind = draw(workload, BAD_KIND_COUNT);

    client->count = 0;
    client->key_number = SIM_NONE;
    if (kind == 0)
        call.key = "no such key";
    if (kind == 1)
        call.content_type = "text/plain";
    if (kind < ARRAY_COUNT(bodies)) {
        snprintf(client->body, sizeof(client->body), "%s", bodies[kind]);
        send_plain(client, &call);
        return;
    }
    /* A batch with one bad event stores nothing, the sound one included. */
    client->count = 1;
    client->variant = 0;
    client->number = sim_model_add(workload->model, SIM_ITEM_NAMED, 1, 0);
    client->form = SIM_FORM_BATCH;
    sim_client_write_items(client, workload->check);
    memcpy(client->body + strlen(client->body) - 2, ",{}]}", sizeof(",{}]}"));
    sim_model_send(workload->model, client->number, 0);
    sim_story_tell(workload->story, client->number, 1,
                   "client %u sends event %u in a batch with a bad one", client->index,
                   client->number);
    call.path = "/v1/events/batch";
    workload->request_count++;
    sim_client_send(client, &call);
}

static void ask_admin(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;
    struct sim_keys *keys = &workload->keys;
    struct sim_call call = {.path = "/v1/admin/keys", .key = SIM_SERVER_ADMIN_TOKEN};
    enum sim_key_state from = sim_world_coin(workload->world) ? SIM_KEY_LIVE : SIM_KEY_REVOKING;
    uint32_t old = sim_keys_find(keys, from, 1 + draw(workload, SIM_KEY_COUNT_MAX - 1));
    uint32_t fresh = sim_keys_find(keys, SIM_KEY_NONE, 0);
    char path[96];

    if (fresh != SIM_KEY_COUNT_MAX &&
        (fresh == 0 || old == SIM_KEY_COUNT_MAX || old == 0 || draw(workload, 3) != 0)) {
        client->ask = SIM_ASK_ADMIN_CREATE;
        client->number = fresh;
        keys->keys[fresh].state = SIM_KEY_CREATING;
        snprintf(client->body, sizeof(client->body),
                 "{\"org_id\":\"%s\",\"project_id\":\"%s\",\"scopes\":[\"ingest\",\"read\","
                 "\"admin\"]}",
                 workload->check->census.orgs[SIM_TENANT_COUNT - 1],
                 workload->check->census.projects[SIM_TENANT_COUNT - 1]);
    } else if (old != SIM_KEY_COUNT_MAX && old != 0) {
        client->ask = SIM_ASK_ADMIN_REVOKE;
        client->number = old;
        keys->keys[old].state = SIM_KEY_REVOKING;
        snprintf(path, sizeof(path), "/v1/admin/keys/%s", keys->keys[old].id);
        call.path = path;
        call.method = "DELETE";
        client->body[0] = '\0';
    } else {
        client->ask = SIM_ASK_READYZ;
        call = (struct sim_call){.method = "GET", .path = "/readyz", .key = ""};
        client->body[0] = '\0';
    }
    send_plain(client, &call);
}

static void ask_key(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;
    struct sim_call call = {.method = "GET",
                            .path = "/v1/events/00000000-0000-4000-8000-ffffffffffff"};
    uint32_t start = draw(workload, SIM_KEY_COUNT_MAX);

    client->number = sim_keys_find(
        &workload->keys, sim_world_coin(workload->world) ? SIM_KEY_LIVE : SIM_KEY_REVOKED, start);
    client->body[0] = '\0';
    if (client->number == SIM_KEY_COUNT_MAX) {
        client->ask = SIM_ASK_GET_NOTHING;
        call.key = SIM_SERVER_DEMO_KEY;
    } else {
        client->variant = workload->keys.keys[client->number].state;
        call.key = workload->keys.keys[client->number].secret;
    }
    send_plain(client, &call);
}

static enum sim_ask draw_ask(const struct sim_client *client)
{
    const struct sim_workload *workload = client->workload;
    uint32_t drawn = draw(workload, 100);
    uint32_t i = 0;

    if (client->index == 0 && workload->keys.keys[0].state == SIM_KEY_NONE)
        return SIM_ASK_ADMIN_CREATE;
    while (drawn >= MIX[i].below)
        i++;
    if (client->index == 0 && draw(workload, ADMIN_ODDS) == 0)
        return SIM_ASK_ADMIN_CREATE;
    if (workload->spec.keys_only)
        return client->index == 0 && i % 2 == 0 ? SIM_ASK_ADMIN_CREATE : SIM_ASK_GET_NOTHING;
    if (MIX[i].ask == SIM_ASK_SHARED && workload->spec.shared_count == 0)
        return SIM_ASK_UNIT;
    if (MIX[i].ask == SIM_ASK_ADMIN_CREATE && client->index != 0)
        return SIM_ASK_ADMIN_TRY;
    return MIX[i].ask;
}

/* True when there is no room in the model for one more of anything. */
static bool is_full(const struct sim_workload *workload)
{
    return workload->model->item_count + ITEM_SPARE_COUNT > SIM_ITEM_COUNT_MAX ||
           workload->model->unit_count + 1 > SIM_UNIT_COUNT_MAX;
}

static void ask_new(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;
    uint32_t unit;

    client->is_asking = false;
    client->attempt_count = 0;
    client->count = 0;
    client->payload_size = workload->spec.payload_size;
    if (workload->is_paused || is_full(workload))
        return;
    if (draw(workload, workload->spec.drop_odds) == 0)
        sim_http_client_drop(&client->http);
    client->ask = draw_ask(client);
    unit = pick_unit(workload, client->ask == SIM_ASK_KEY_MISUSED);
    switch (client->ask) {
    case SIM_ASK_AGAIN:
    case SIM_ASK_OTHER_BODY:
    case SIM_ASK_KEY_MISUSED:
        if (unit != SIM_NONE) {
            ask_about_unit(client, unit);
            return;
        }
        client->ask = SIM_ASK_UNIT;
        begin_unit(client);
        return;
    case SIM_ASK_GET_FOREIGN:
        if (unit == SIM_NONE || workload->keys.keys[0].state != SIM_KEY_LIVE)
            client->ask = SIM_ASK_GET_NOTHING;
        ask_get(client, unit);
        return;
    case SIM_ASK_GET:
        if (unit == SIM_NONE)
            client->ask = SIM_ASK_GET_NOTHING;
        ask_get(client, unit);
        return;
    case SIM_ASK_GET_NOTHING:
        ask_get(client, SIM_NONE);
        return;
    case SIM_ASK_SHARED:
    case SIM_ASK_ANONYMOUS:
        ask_single(client);
        return;
    case SIM_ASK_BAD:
        ask_bad(client);
        return;
    case SIM_ASK_ADMIN_CREATE:
    case SIM_ASK_ADMIN_REVOKE:
        ask_admin(client);
        return;
    case SIM_ASK_ADMIN_TRY:
        ask_key(client);
        return;
    case SIM_ASK_READYZ:
        client->body[0] = '\0';
        send_plain(client, &(struct sim_call){.method = "GET", .path = "/readyz", .key = ""});
        return;
    case SIM_ASK_UNIT:
        begin_unit(client);
        return;
    }
}

/* --- answers -------------------------------------------------------------- */

static void rest(struct sim_client *client)
{
    struct sim_workload *workload = client->workload;

    uint64_t rest_ns = sim_range_draw(&workload->spec.rest_ns, &workload->world->rng);

    /* As Retry-After asks for. */
    if (!client->request.lost && (client->request.status == 429 || client->request.status == 503))
        rest_ns += RETRY_AFTER_NS;
    /* Who is put off again and again asks less and less often. */
    if (client->ask == SIM_ASK_UNIT)
        rest_ns += min_u64(client->attempt_count * BACK_OFF_NS, BACK_OFF_NS_MAX);
    sim_world_schedule(workload->world, &client->rest_over, rest_ns);
}

/* The client's unit has come to an end, good or bad. */
static void end_unit(struct sim_client *client, bool is_acknowledged)
{
    struct sim_workload *workload = client->workload;

    workload->model->units[client->unit].is_acknowledged = is_acknowledged;
    workload->acknowledged_unit_count += is_acknowledged;
    workload->acknowledged_count += is_acknowledged ? client->count : 0;
    workload->given_up_count += !is_acknowledged;
}

static void on_done(struct sim_http_request *request)
{
    struct sim_client *client = container_of(request, struct sim_client, request);
    struct sim_workload *workload = client->workload;
    char text[80];

    workload->model->now_ns = workload->world->mono_ns;
    sim_client_describe(client, text, sizeof(text));
    sim_story_tell(workload->story, client->count > 0 ? client->number : SIM_NO_NUMBER,
                   client->count, "client %u is told %s", client->index, text);
    if (sim_judge(client) == SIM_NEXT_AGAIN) {
        if (workload->gives_up_never || draw(workload, GIVE_UP_ODDS) != 0) {
            rest(client);
            return;
        }
        end_unit(client, false);
    } else if (client->ask == SIM_ASK_UNIT) {
        end_unit(client, true);
    }
    client->ask = SIM_ASK_READYZ; /* nothing to be asked again */
    rest(client);
}

static void on_rest_over(struct sim_event *event)
{
    struct sim_client *client = container_of(event, struct sim_client, rest_over);

    if (client->ask == SIM_ASK_UNIT)
        send_items(client);
    else
        ask_new(client);
}

void sim_workload_start(struct sim_workload *workload)
{
    workload->is_paused = false;
    for (uint32_t i = 0; i < workload->spec.client_count; i++)
        if (!workload->clients[i].is_asking)
            ask_new(&workload->clients[i]);
}

bool sim_workload_is_quiet(const struct sim_workload *workload)
{
    for (uint32_t i = 0; i < workload->spec.client_count; i++)
        if (workload->clients[i].is_asking)
            return false;
    return true;
}

void sim_workload_cut_off(struct sim_workload *workload)
{
    struct sim_client_host *host = &workload->hosts[SIM_CLIENT_HOST_COUNT - 1];

    sim_story_tell(workload->story, SIM_NO_NUMBER, 0, "the %s loses its power", host->host->name);
    sim_host_crash(host->host);
    sim_driver_remove_io(workload->driver, host->io);
    io_free(&host->io);
    sim_host_start(host->host);
    switch_on(workload, host);
    for (uint32_t i = 0; i < workload->spec.client_count; i++) {
        struct sim_client *client = &workload->clients[i];

        if (workload->hosts[client->host].host != host->host)
            continue;
        sim_http_client_deinit(&client->http);
        connect_client(client);
        if (!client->is_asking || sim_event_is_pending(&client->rest_over))
            continue;
        client->request.lost = true;
        on_done(&client->request);
    }
}

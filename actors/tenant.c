#include "actors/tenant.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "contracts/uuid.h"
#include "runtime/sim_point.h"

/*
 * The way of a change, from the shard that got the request (home):
 *
 *     home --CHANGE--> shard 0 --append--> durable --APPLY--> every other shard
 *     home <--CHANGED-- shard 0 <----------APPLIED------------'
 *
 * Shard 0 applies a change at the moment it hands it to the others, and messages
 * between two shards keep their order, so all rings see the same sequence and give
 * a key the same slot: what else is kept per key (its rate) is found by slot.
 */

static struct tenant *tenant_of(struct actor *self)
{
    return ACTOR_CAST(self, struct tenant, TENANT_MAGIC);
}

static struct tenant *writer_of(const struct tenant *tenant)
{
    return &tenant->home->app->shards[0].tenant;
}

static void free_request(struct tenant_request *request)
{
    struct tenant *tenant = request->home;
    void *slot = request;

    memset(request->secret, 0, sizeof(request->secret));
    pool_release(&tenant->requests, &slot);
}

struct tenant_request *tenant_acquire(struct tenant *tenant, const struct exchange *exchange)
{
    struct tenant_request *request = NULL;

    /* The one of the demo, which nobody asked for, is always there. */
    if (exchange == NULL || !FAILPOINT("no key request is free"))
        request = pool_acquire(&tenant->requests);
    if (request == NULL)
        return NULL;
    memset(request, 0, sizeof(*request));
    request->home = tenant;
    request->code = PROBLEM_NONE;
    if (exchange != NULL) {
        request->connection = exchange->actor->id;
        request->token = exchange->token;
    }
    return request;
}

void tenant_release(struct tenant_request **request)
{
    if ((*request)->is_decided || !(*request)->is_submitted) {
        free_request(*request);
    } else {
        SOMETIMES("the connection went before a key was changed");
        (*request)->abandoned = true;
    }
    *request = NULL;
}

static void set_secret(struct tenant_request *request, const char *secret, size_t size)
{
    size_t prefix_size = min_u64(size, 11);

    assert(size <= sizeof(request->secret));
    memcpy(request->secret, secret, size);
    request->secret_size = (uint8_t)size;
    sha256((struct slice){request->secret, size}, request->record.hash);
    memcpy(request->record.prefix, secret, prefix_size);
    request->record.prefix_size = (uint8_t)prefix_size;
}

int tenant_draw_secret(struct tenant *tenant, struct tenant_request *request)
{
    static const char hex[] = "0123456789abcdef";
    char secret[5 + 2 * TENANT_SECRET_BYTES] = "weir_";
    uint8_t random_bytes[TENANT_SECRET_BYTES];
    int r = rng_secret(&tenant->actor.shard->rng, random_bytes, sizeof(random_bytes));

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < TENANT_SECRET_BYTES; i++) {
        secret[5 + 2 * i] = hex[random_bytes[i] >> 4];
        secret[6 + 2 * i] = hex[random_bytes[i] & 15];
    }
    set_secret(request, secret, sizeof(secret));
    return 0;
}

/* --- at home -------------------------------------------------------------- */

static void decide(struct tenant_request *request)
{
    struct tenant *home = request->home;

    request->is_decided = true;
    if (request->abandoned || request->connection.bits == 0)
        free_request(request);
    else
        outbox_send(&home->outbox, &home->actor, request->connection, MSG_TENANT_ANSWER,
                    request->token, request);
}

void tenant_submit(struct tenant_request *request)
{
    struct tenant *home = request->home;

    request->is_submitted = true;
    outbox_send(&home->outbox, &home->actor, writer_of(home)->actor.id, MSG_TENANT_CHANGE, 0,
                request);
}

/* --- on shard 0 ----------------------------------------------------------- */

static void finish_change(struct tenant *writer, struct tenant_request *request)
{
    outbox_send(&writer->outbox, &writer->actor, request->home->actor.id, MSG_TENANT_CHANGED, 0,
                request);
}

static void apply(struct tenant *tenant, const struct tenant_request *request)
{
    int r = keyring_apply(&tenant->keyring, &request->record, request->append.location.bits);

    assert(r == 0); /* shard 0 counted before it appended */
    keeper_try_ready(&tenant->home->keeper);
}

static void try_copy(struct tenant *tenant);

static void on_durable(struct journal_append *append, enum journal_outcome outcome)
{
    struct tenant_request *request = container_of(append, struct tenant_request, append);
    struct tenant *writer = writer_of(request->home);
    struct app *app = writer->home->app;

    assert(writer->changing_count > 0);
    writer->changing_count--;
    if (request->operation == TENANT_CREATE)
        writer->creating_count--;
    if (outcome == JOURNAL_OUTCOME_UNKNOWN) {
        SOMETIMES("the outcome of a key's change is unknown");
        request->code = PROBLEM_STORAGE_FAILED;
        finish_change(writer, request);
        return;
    }
    apply(writer, request);
    request->waiting_count = app->shard_count - 1;
    for (uint32_t i = 1; i < app->shard_count; i++)
        outbox_send(&writer->outbox, &writer->actor, app->shards[i].tenant.actor.id,
                    MSG_TENANT_APPLY, 0, request);
    if (request->waiting_count == 0)
        finish_change(writer, request);
    if (writer->copy_waits && writer->changing_count == 0)
        try_copy(writer);
}

/* Completes the record of a revocation, and checks what only shard 0 can. */
static enum problem_code prepare(struct tenant *writer, struct tenant_request *request)
{
    uint16_t slot;

    switch (request->operation) {
    case TENANT_CREATE:
        if (writer->keyring.count + writer->creating_count >= KEYRING_KEY_COUNT_MAX)
            return PROBLEM_QUOTA_EXCEEDED;
        return PROBLEM_NONE;
    case TENANT_REVOKE:
        SOMETIMES("a key is revoked");
        slot =
            keyring_find_id(&writer->keyring, (struct slice){request->record.id, UUID_TEXT_SIZE});
        if (slot == KEYRING_NO_SLOT)
            return PROBLEM_NOT_FOUND;
        request->record = writer->keyring.keys[slot].record;
        if (request->record.revoked_ms == 0)
            request->record.revoked_ms = writer->actor.shard->clock.unix_ms;
        return PROBLEM_NONE;
    }
    return PROBLEM_INTERNAL_ERROR;
}

static void on_change(struct tenant *writer, struct tenant_request *request)
{
    int r;

    request->code = prepare(writer, request);
    if (request->code != PROBLEM_NONE) {
        finish_change(writer, request);
        return;
    }
    request->part = (struct slice){(const char *)&request->record, sizeof(request->record)};
    request->journal_record = (struct journal_record){
        .type = RECORD_KEY, .version = RECORD_VERSION, .parts = &request->part, .part_count = 1};
    request->append.on_durable = on_durable;
    r = keeper_append(&writer->home->keeper, &request->append, &request->journal_record, 1,
                      JOURNAL_IMPORTANT);
    if (r == JOURNAL_OK) {
        writer->changing_count++;
        if (request->operation == TENANT_CREATE)
            writer->creating_count++;
        return;
    }
    SOMETIMES("a key's change finds no room");
    request->code = r == JOURNAL_NO_SPACE ? PROBLEM_STORAGE_FULL : PROBLEM_OVERLOADED;
    finish_change(writer, request);
}

/* --- copying forward ------------------------------------------------------ */

static bool is_up_to(const struct keyring_key *key, uint64_t seq)
{
    struct journal_location location = {key->location};

    return location.bits != 0 && journal_location_seq(location) <= seq;
}

static void on_copied(struct journal_append *append, enum journal_outcome outcome)
{
    struct tenant *tenant = container_of(append, struct tenant, copy_append);

    if (outcome == JOURNAL_OUTCOME_UNKNOWN)
        return; /* the process is ending */
    for (uint32_t i = 0; i < tenant->copy_count; i++) {
        struct keyring_key *key = &tenant->keyring.keys[tenant->copy_slots[i]];

        assert(is_up_to(key, tenant->copy_seq)); /* changes after the copy come after it */
        key->location = tenant->copy_records[i].location.bits;
    }
    try_copy(tenant);
}

/* Chooses the next keys to be copied; there may be none left. */
static void fill_copy(struct tenant *tenant)
{
    tenant->copy_count = 0;
    for (uint32_t i = 0; i < tenant->keyring.count; i++) {
        struct keyring_key *key = &tenant->keyring.keys[i];
        uint32_t n = tenant->copy_count;

        if (!is_up_to(key, tenant->copy_seq))
            continue;
        if (n == TENANT_COPY_COUNT_MAX)
            return;
        tenant->copy_slots[n] = (uint16_t)i;
        tenant->copy_parts[n] = (struct slice){(const char *)&key->record, sizeof(key->record)};
        tenant->copy_records[n] = (struct journal_record){.type = RECORD_KEY,
                                                          .version = RECORD_VERSION,
                                                          .parts = &tenant->copy_parts[n],
                                                          .part_count = 1};
        tenant->copy_count++;
    }
}

/*
 * A change that is in the journal but not in the keyring yet must not be followed by a
 * copy of the key as it was: recovery would take that for the last word, and a
 * revocation would be undone. So the copy waits until the keyring is up to date.
 */
static void try_copy(struct tenant *tenant)
{
    int r;

    tenant->copy_wants_room = false;
    tenant->copy_waits = tenant->changing_count > 0;
    if (tenant->copy_waits) {
        SOMETIMES("a copy of keys waits for a change in flight");
        return;
    }
    fill_copy(tenant);
    if (tenant->copy_count == 0) {
        SOMETIMES("keys are copied forward before retention");
        keeper_keys_copied(&tenant->home->keeper, TENANT_LOG, tenant->copy_seq);
        return;
    }
    tenant->copy_append.on_durable = on_copied;
    r = keeper_append(&tenant->home->keeper, &tenant->copy_append, tenant->copy_records,
                      tenant->copy_count, JOURNAL_IMPORTANT);
    assert(r >= 0);
    tenant->copy_wants_room = r == JOURNAL_FULL || r == JOURNAL_NO_SPACE;
    if (tenant->copy_wants_room)
        SOMETIMES("a copy of keys waits for room");
}

/* Not by a timer: until the copy is made the log grows, whatever its bound, as fast as it can. */
void tenant_on_room(struct tenant *tenant)
{
    if (tenant->copy_wants_room)
        try_copy(tenant);
}

bool tenant_copy_forward(struct tenant *tenant, uint32_t log, uint64_t seq)
{
    bool any = false;

    assert(log == TENANT_LOG);
    for (uint32_t i = 0; i < tenant->keyring.count; i++)
        any |= is_up_to(&tenant->keyring.keys[i], seq);
    if (!any)
        return false;
    tenant->copy_seq = seq;
    try_copy(tenant);
    return true;
}

uint64_t tenant_live_bytes(const struct tenant *tenant)
{
    return tenant->keyring.count * segment_record_size(sizeof(struct record_key));
}

/* --- the demo ------------------------------------------------------------- */

bool tenant_is_ready(struct tenant *tenant)
{
    return !tenant->home->app->settings->demo ||
           keyring_find(&tenant->keyring, SLICE_LITERAL(TENANT_DEMO_SECRET)) != KEYRING_NO_SLOT;
}

void tenant_on_open(struct tenant *tenant)
{
    static const char org[] = "org_demo";
    static const char project[] = "proj_demo";
    struct tenant_request *request;
    uint8_t random_bytes[UUID_SIZE];

    if (!tenant->home->app->settings->demo || tenant->home->shard->index != 0)
        return;
    if (keyring_find(&tenant->keyring, SLICE_LITERAL(TENANT_DEMO_SECRET)) != KEYRING_NO_SLOT)
        return;
    request = tenant_acquire(tenant, NULL);
    assert(request != NULL);
    request->operation = TENANT_CREATE;
    rng_fill(&tenant->actor.shard->rng, random_bytes, sizeof(random_bytes));
    uuid_format_v4(random_bytes, request->record.id);
    set_secret(request, TENANT_DEMO_SECRET, sizeof(TENANT_DEMO_SECRET) - 1);
    memcpy(request->record.org, org, sizeof(org) - 1);
    request->record.org_size = sizeof(org) - 1;
    memcpy(request->record.project, project, sizeof(project) - 1);
    request->record.project_size = sizeof(project) - 1;
    request->record.scopes = KEY_SCOPE_INGEST | KEY_SCOPE_READ;
    request->record.created_ms = tenant->actor.shard->clock.unix_ms;
    tenant_submit(request);
}

/* --- the actor ------------------------------------------------------------ */

static int receive(struct actor *self, const struct message *msg)
{
    struct tenant *tenant = tenant_of(self);
    struct tenant_request *request;

    switch (msg->type) {
    case MSG_TENANT_CHANGE:
        on_change(tenant, outbox_lent(msg));
        return ACTOR_OK;
    case MSG_TENANT_APPLY:
        SOMETIMES("a shard hears of a key's change");
        apply(tenant, outbox_lent(msg));
        outbox_send(&tenant->outbox, self, msg->from, MSG_TENANT_APPLIED, 0, outbox_lent(msg));
        return ACTOR_OK;
    case MSG_TENANT_APPLIED:
        request = outbox_lent(msg);
        assert(request->waiting_count > 0);
        if (--request->waiting_count == 0)
            finish_change(tenant, request);
        return ACTOR_OK;
    case MSG_TENANT_CHANGED:
        decide(outbox_lent(msg));
        return ACTOR_OK;
    case MSG_TIMER:
        return outbox_on_timer(&tenant->outbox, self, msg->as.timer.timer) ? ACTOR_OK
                                                                           : ACTOR_UNHANDLED;
    case MSG_STOP:
        return ACTOR_STOP;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct tenant *tenant = tenant_of(self);

    outbox_init(&tenant->outbox, self);
    return 0;
}

const struct actor_type tenant_type = {
    .name = "tenant",
    .start = start,
    .receive = receive,
    .mailbox_max = 4096,
};

int tenant_init(struct tenant *tenant, struct app_shard *home)
{
    int r;

    memset(tenant, 0, sizeof(*tenant));
    tenant->home = home;
    r = keyring_init(&tenant->keyring, &home->shard->rng);
    if (r < 0)
        return r;
    return pool_init(&tenant->requests, "tenant requests", sizeof(struct tenant_request),
                     TENANT_REQUEST_COUNT_MAX);
}

void tenant_deinit(struct tenant *tenant)
{
    pool_abandon(&tenant->requests);
}

#include "actors/intake_request.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * The life of a request, after its handler has filled it:
 *
 *     RESERVING --all new or duplicate--> APPENDING --durable--> COMMITTING --> DECIDED
 *         |  \--nothing new to store------------------------------------------> DECIDED
 *         |--conflict, in flight, table full--> RELEASING --------------------> DECIDED (refused)
 *         |--Idempotency-Key seen before--> RELEASING --> REPLAYING ----------> DECIDED
 *         |      (and an event still in flight, so the first is not over: refused)
 *     (staging full: PARKED --room--> APPENDING, in order of arrival)
 *     APPENDING --no space, failed--> RELEASING ------------------------------> DECIDED (refused)
 *
 * Each step concerns the shards that own some of the ids. The home shard does its
 * own entries at once and lends the request to each other owner by message; it
 * goes on when all have answered. With one shard, or without ids chosen by the
 * client, no message is sent and a request is in the journal before
 * intake_request_submit() returns.
 *
 * Why the events of a request are appended to the shard that received them and
 * not to the shard of their partition: a batch must be stored as a whole or not
 * at all, and only one log can promise that. The record carries its partition;
 * whoever consumes the logs routes by it.
 *
 * A reservation that nobody commits would block its id for ever, so every path
 * out of RESERVING leads through COMMITTING or RELEASING.
 */

static struct app *app_of(const struct intake *intake)
{
    return intake->home->app;
}

static void request_check(const struct intake_request *request)
{
    assert(request->magic == INTAKE_REQUEST_MAGIC);
    assert(request->home != NULL);
    assert(request->phase <= INTAKE_DECIDED);
    assert(request->entries != NULL);
}

/* kind, size of org, org, size of project, project, name: no two are the same bytes */
void intake_key(const uint8_t hash_key[SIPHASH_KEY_SIZE], struct slice org, struct slice project,
                struct slice name, bool is_event, struct dedup_key *ret_key)
{
    char text[3 + 2 * TENANT_NAME_SIZE_MAX + IDEMPOTENCY_KEY_SIZE_MAX];
    char *at = text;
    uint8_t hash[SIPHASH_128_SIZE];

    assert(org.size <= TENANT_NAME_SIZE_MAX);
    assert(project.size <= TENANT_NAME_SIZE_MAX);
    assert(name.size <= IDEMPOTENCY_KEY_SIZE_MAX);
    if (MUTANT("lookup_ignores_tenant"))
        org.size = project.size = 0;
    *at++ = is_event ? 'e' : 'i';
    *at++ = (char)org.size;
    memcpy(at, org.data, org.size);
    at += org.size;
    *at++ = (char)project.size;
    memcpy(at, project.data, project.size);
    at += project.size;
    memcpy(at, name.data, name.size);
    at += name.size;
    siphash_128(hash_key, (struct slice){text, (size_t)(at - text)}, hash);
    memcpy(ret_key->words, hash, sizeof(ret_key->words));
}

void intake_request_identify(struct intake *intake, struct intake_entry *entry,
                             const struct record_key *key, struct slice name, bool is_event)
{
    struct app *app = app_of(intake);
    uint8_t id_bytes[UUID_SIZE];

    /* Two spellings of one UUID are one id. */
    if (is_event && uuid_parse(name, id_bytes))
        name = (struct slice){(const char *)id_bytes, sizeof(id_bytes)};
    intake_key(app->hash_key, key_org(key), key_project(key), name, is_event, &entry->key);
    entry->owner = (uint32_t)(entry->key.words[1] % app->shard_count);
}

struct intake_request *intake_request_acquire(struct intake *intake, struct exchange *exchange)
{
    struct intake_request *request =
        FAILPOINT("no intake request is free") ? NULL : pool_acquire(&intake->requests);

    if (request == NULL) {
        SOMETIMES("too many requests are in flight");
        return NULL;
    }
    memset(request, 0, sizeof(*request));
    request->magic = INTAKE_REQUEST_MAGIC;
    request->phase = INTAKE_FILLING;
    request->code = PROBLEM_NONE;
    request->home = intake;
    request->connection = exchange->actor->id;
    request->token = exchange->token;
    request->received_ms = intake->actor.shard->clock.unix_ms;
    request->entries = &request->inline_entry;
    request->entry_count = 1;
    request->records = request->inline_records;
    list_init(&request->queue_link);
    list_init(&request->fold_link);
    metrics_set(&intake->actor.shard->metrics, app_of(intake)->metrics.intake.in_flight,
                pool_used_count(&intake->requests));
    return request;
}

int intake_request_make_room(struct intake_request *request, uint32_t count)
{
    size_t entries_size = sizeof(struct intake_entry) * (size_t)count;
    size_t records_size = sizeof(struct journal_record) * ((size_t)count + 1);
    int r;

    assert(request->phase == INTAKE_FILLING);
    if (count <= 1)
        return 0;
    r = buffer_acquire(request->home->home->buffers, entries_size + records_size, &request->work);
    if (r < 0)
        return r;
    memset(request->work->data, 0, entries_size);
    request->entries = (struct intake_entry *)(void *)request->work->data;
    request->records = (struct journal_record *)(void *)(request->work->data + entries_size);
    return 0;
}

static void free_request(struct intake_request *request)
{
    struct intake *intake = request->home;
    void *slot = request;

    buffer_unref(&request->work);
    buffer_unref(&request->envelopes);
    buffer_unref(&request->claim_lines);
    list_remove(&request->queue_link);
    request->magic = 0;
    pool_release(&intake->requests, &slot);
    metrics_set(&intake->actor.shard->metrics, app_of(intake)->metrics.intake.in_flight,
                pool_used_count(&intake->requests));
}

void intake_request_release(struct intake_request **request)
{
    request_check(*request);
    assert((*request)->phase == INTAKE_DECIDED || (*request)->phase == INTAKE_FILLING);
    free_request(*request);
    *request = NULL;
}

void intake_request_abandon(struct intake_request **request)
{
    request_check(*request);
    if ((*request)->phase == INTAKE_DECIDED || (*request)->phase == INTAKE_FILLING) {
        SOMETIMES("a request's connection went when it was decided");
        free_request(*request);
    } else {
        SOMETIMES("a request's connection went before it was decided");
        (*request)->abandoned = true;
    }
    *request = NULL;
}

/* --- deciding ------------------------------------------------------------- */

void intake_request_tell(struct intake_request *request)
{
    struct intake *intake = request->home;
    struct message *msg = NULL;

    if (!FAILPOINT("no message is free for an answer"))
        msg = actor_message(&intake->actor, request->connection, MSG_INTAKE_ANSWER);
    if (msg != NULL) {
        msg->token = request->token;
        msg->flags |= MESSAGE_DROPPABLE;
        switch (actor_send(&intake->actor, &msg)) {
        case SEND_OK:
            return;
        case SEND_DEAD: /* its release has abandoned the request, or will */
            SOMETIMES("an answer finds its connection gone");
            return;
        case SEND_FULL:
            actor_message_release(&intake->actor, &msg);
            break;
        }
    }
    SOMETIMES("an answer cannot be sent now and waits");
    list_push_back(&intake->unanswered, &request->queue_link);
    actor_timer_start(&intake->actor, &intake->retry_timer, OUTBOX_RETRY_MS);
}

/* What a refusal of the whole request means for an event that was sound itself. */
static enum event_status refused_status(enum problem_code code)
{
    if (code == PROBLEM_DEDUP_FULL)
        return EVENT_QUOTA;
    if (code == PROBLEM_IN_FLIGHT || problem_status(code) == 503)
        return EVENT_RETRY;
    return EVENT_INVALID;
}

static void count_outcomes(const struct intake_request *request)
{
    const struct intake_metrics *series = &app_of(request->home)->metrics.intake;
    struct metrics *metrics = &request->home->actor.shard->metrics;

    for (uint32_t i = 0; i < request->entry_count; i++) {
        enum event_status status = request->entries[i].status;

        if (request->code != PROBLEM_NONE && status <= EVENT_DUPLICATE)
            status = refused_status(request->code);
        else if (request->is_replay && status == EVENT_ACCEPTED)
            status = EVENT_DUPLICATE; /* the first time it was counted as accepted */
        metrics_add(metrics, series->outcome[status], 1);
    }
}

static void decide(struct intake_request *request)
{
    request->phase = INTAKE_DECIDED;
    count_outcomes(request);
    if (!request->abandoned)
        intake_request_tell(request);
    else if (!MUTANT("request_leak"))
        free_request(request);
}

/* --- the steps at an owner ------------------------------------------------ */

static void reserve_entry(struct intake *owner, struct intake_entry *entry, uint64_t received_ms)
{
    struct dedup_found found = {JOURNAL_LOCATION_NONE, 0};

    entry->verdict = (uint8_t)dedup_reserve(owner->dedup, entry->key, (uint32_t)entry->body_hash,
                                            received_ms, &found);
    if (entry->verdict == DEDUP_NEW) {
        entry->is_reserved = true;
        return;
    }
    entry->location = found.location;
    entry->received_ms = found.received_unix_ms;
}

static void settle_entry(struct intake *owner, struct intake_entry *entry, bool commit)
{
    if (!entry->is_reserved)
        return;
    if (commit)
        dedup_commit(owner->dedup, entry->key, entry->location);
    else if (!MUTANT("reservation_never_released"))
        dedup_release(owner->dedup, entry->key);
    entry->is_reserved = false;
}

/* The shard that counts the request's events. */
static uint32_t folding_shard(const struct intake_request *request)
{
    return request->project_partition % app_of(request->home)->shard_count;
}

/* Those that are too old to count are marked before they are written. */
static void judge_age(const struct intake *owner, struct intake_request *request)
{
    for (uint32_t i = 0; i < request->entry_count; i++) {
        struct intake_entry *entry = &request->entries[i];

        if (entry->is_old && incidents_is_late(&owner->home->incidents, &entry->header))
            entry->header.flags |= RECORD_EVENT_LATE;
    }
}

/* Does the request's present step for the entries that this shard owns. */
bool intake_request_do_step(struct intake *owner, struct intake_request *request)
{
    uint32_t self = owner->home->shard->index;

    for (uint32_t i = 0; i <= request->entry_count; i++) {
        struct intake_entry *entry =
            i < request->entry_count ? &request->entries[i] : &request->claim;

        if (!entry->is_claim || entry->owner != self)
            continue;
        if (request->phase == INTAKE_RESERVING)
            /* Not the owner's time: a duplicate is told that of the first answer. */
            reserve_entry(owner, entry, request->received_ms);
        else
            settle_entry(owner, entry, request->phase == INTAKE_COMMITTING);
    }
    if (!request->has_series || folding_shard(request) != self)
        return true;
    if (request->phase == INTAKE_RESERVING && request->has_old)
        judge_age(owner, request);
    if (request->phase != INTAKE_COMMITTING || MUTANT("incident_event_not_counted"))
        return true;
    return incidents_fold(&owner->home->incidents, request);
}

void intake_request_folded(struct intake *owner, struct intake_request *request)
{
    request_check(request);
    assert(request->phase == INTAKE_COMMITTING);
    assert(list_is_empty(&request->fold_link));
    if (request->home != owner) {
        outbox_send(&owner->outbox, &owner->actor, request->home->actor.id, MSG_INTAKE_DEDUP_DONE,
                    0, request);
        return;
    }
    assert(request->waiting_count > 0);
    if (--request->waiting_count == 0)
        intake_request_advance(request);
}

/* --- the home shard ------------------------------------------------------- */

/* Which shards own something that the step concerns, as a bit set. */
static uint64_t concerned_shards(const struct intake_request *request)
{
    uint64_t shards = 0;

    for (uint32_t i = 0; i <= request->entry_count; i++) {
        const struct intake_entry *entry =
            i < request->entry_count ? &request->entries[i] : &request->claim;

        if (!entry->is_claim)
            continue;
        if (request->phase == INTAKE_RESERVING || entry->is_reserved)
            shards |= (uint64_t)1 << entry->owner;
    }
    if ((request->phase == INTAKE_RESERVING && request->has_old) ||
        (request->phase == INTAKE_COMMITTING && request->has_series))
        shards |= (uint64_t)1 << folding_shard(request);
    return shards;
}

static void start_step(struct intake_request *request, enum intake_phase phase)
{
    struct intake *intake = request->home;
    struct app *app = app_of(intake);
    uint64_t shards;

    request->phase = (uint8_t)phase;
    shards = concerned_shards(request);
    assert(request->waiting_count == 0);
    for (uint32_t i = 0; i < app->shard_count; i++) {
        if ((shards >> i & 1) == 0 || i == intake->home->shard->index)
            continue;
        request->waiting_count++;
    }
    if (request->waiting_count > 0)
        SOMETIMES("a request concerns ids of another shard");
    /* Ours comes first: the others may answer only in later turns. */
    if (!intake_request_do_step(intake, request))
        request->waiting_count++;
    for (uint32_t i = 0; i < app->shard_count && request->waiting_count > 0; i++)
        if ((shards >> i & 1) != 0 && i != intake->home->shard->index)
            outbox_send(&intake->outbox, &intake->actor, app->shards[i].intake.actor.id,
                        MSG_INTAKE_DEDUP, 0, request);
    if (request->waiting_count == 0)
        intake_request_advance(request);
}

static void refuse(struct intake_request *request, enum problem_code code)
{
    if (request->code == PROBLEM_NONE)
        request->code = (uint16_t)code;
}

/* The entry of the same request that has the same id and comes first, or NULL. */
static const struct intake_entry *earlier_twin(const struct intake_request *request, uint32_t index)
{
    const struct intake_entry *entry = &request->entries[index];

    for (uint32_t i = 0; i < index; i++) {
        const struct intake_entry *other = &request->entries[i];

        if (other->is_claim && other->key.words[0] == entry->key.words[0] &&
            other->key.words[1] == entry->key.words[1])
            return other;
    }
    return NULL;
}

static void reject_entry(struct intake_request *request, struct intake_entry *entry,
                         enum event_status status, enum problem_code code)
{
    entry->status = (uint8_t)status;
    entry->code = (uint8_t)code;
    if (!request->is_partial)
        refuse(request, code);
}

static void judge_entry(struct intake_request *request, uint32_t index)
{
    struct intake_entry *entry = &request->entries[index];
    const struct intake_entry *twin;

    if (entry->status != EVENT_ACCEPTED)
        return; /* invalid, in a partial batch */
    if (!entry->is_claim) {
        request->new_count++;
        return;
    }
    switch ((enum dedup_result)entry->verdict) {
    case DEDUP_NEW:
        request->new_count++;
        return;
    case DEDUP_DUPLICATE:
        SOMETIMES("a duplicate is recognised");
        entry->status = EVENT_DUPLICATE;
        return;
    case DEDUP_FULL:
        SOMETIMES("an event is refused: the strict table is full");
        reject_entry(request, entry, EVENT_QUOTA, PROBLEM_DEDUP_FULL);
        return;
    case DEDUP_CONFLICT:
    case DEDUP_IN_FLIGHT:
        break;
    }
    if (entry->verdict == DEDUP_CONFLICT && MUTANT("conflict_is_stored")) {
        request->new_count++;
        return;
    }
    twin = earlier_twin(request, index);
    if (twin != NULL && twin->body_hash == entry->body_hash) {
        SOMETIMES("a batch brings an event twice");
        entry->status = EVENT_DUPLICATE;
        entry->received_ms = request->received_ms;
    } else if (entry->verdict == DEDUP_CONFLICT) {
        SOMETIMES("the same id with another body is refused");
        reject_entry(request, entry, EVENT_INVALID, PROBLEM_EVENT_ID_CONFLICT);
    } else {
        SOMETIMES("a duplicate is answered while the first is in flight");
        reject_entry(request, entry, EVENT_RETRY, PROBLEM_IN_FLIGHT);
    }
}

/*
 * True while the first request with this key is durable and not yet committed everywhere: the
 * owner of an event still holds it for that request. Told 202 now, the client could send the
 * event again and be told that it is in flight.
 */
static bool is_first_in_flight(const struct intake_request *request)
{
    for (uint32_t i = 0; i < request->entry_count; i++)
        if (request->entries[i].is_claim && request->entries[i].verdict == DEDUP_IN_FLIGHT &&
            earlier_twin(request, i) == NULL)
            return true;
    return false;
}

/* The Idempotency-Key's own verdict. True when the first answer is to be given again. */
static bool judge_claim(struct intake_request *request)
{
    if (!request->has_claim)
        return false;
    switch ((enum dedup_result)request->claim.verdict) {
    case DEDUP_NEW:
        return false;
    case DEDUP_DUPLICATE:
        if (is_first_in_flight(request)) {
            SOMETIMES("an idempotent request comes again before all its events are committed");
            refuse(request, PROBLEM_IN_FLIGHT);
            return false;
        }
        SOMETIMES("an idempotent request is replayed");
        return true;
    case DEDUP_CONFLICT:
        SOMETIMES("an idempotency key with another request is refused");
        refuse(request, PROBLEM_IDEMPOTENCY_CONFLICT);
        return false;
    case DEDUP_IN_FLIGHT:
        SOMETIMES("an idempotent request comes again while in flight");
        refuse(request, PROBLEM_IN_FLIGHT);
        return false;
    case DEDUP_FULL:
        refuse(request, PROBLEM_DEDUP_FULL);
        return false;
    }
    return false;
}

/* --- appending ------------------------------------------------------------ */

static void on_durable(struct journal_append *append, enum journal_outcome outcome);

/* The lines of the answer, for whoever repeats the request. 0 or -ENOBUFS. */
MUST_USE static int write_claim_lines(struct intake_request *request)
{
    size_t size = sizeof(struct record_claim_event) * (size_t)request->entry_count;
    struct record_claim_event *lines;
    int r = buffer_acquire(request->home->home->buffers, size, &request->claim_lines);

    if (r < 0)
        return r;
    lines = (struct record_claim_event *)(void *)request->claim_lines->data;
    memset(lines, 0, size);
    for (uint32_t i = 0; i < request->entry_count; i++) {
        memcpy(lines[i].event_id, request->entries[i].event_id, UUID_TEXT_SIZE);
        lines[i].status = request->entries[i].status;
        lines[i].code = record_claim_code(request->entries[i].code);
    }
    request->claim_lines->size = (uint32_t)size;
    memcpy(request->claim_header.key, request->claim.key.words, sizeof(request->claim_header.key));
    request->claim_header.received_ms = request->received_ms;
    request->claim_header.body_hash = request->claim.body_hash;
    request->claim_header.event_count = request->entry_count;
    request->claim_header.key_size = request->idempotency_size;
    request->claim_header.is_batch = request->is_batch;
    request->claim_parts[0] =
        (struct slice){(const char *)&request->claim_header, sizeof(request->claim_header)};
    request->claim_parts[1] = (struct slice){request->idempotency, request->idempotency_size};
    request->claim_parts[2] = (struct slice){request->claim_lines->data, size};
    return 0;
}

static uint32_t fill_records(struct intake_request *request)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < request->entry_count; i++) {
        struct intake_entry *entry = &request->entries[i];

        if (entry->status != EVENT_ACCEPTED && !MUTANT("refused_is_stored"))
            continue;
        memcpy(entry->header.key, entry->key.words, sizeof(entry->header.key));
        entry->header.received_ms = request->received_ms;
        entry->header.body_hash = entry->body_hash;
        entry->header.flags |= entry->is_claim ? RECORD_EVENT_CLIENT_ID : 0;
        entry->parts[0] = (struct slice){(const char *)&entry->header, sizeof(entry->header)};
        entry->parts[1] =
            (struct slice){request->envelopes->data + entry->envelope_offset, entry->envelope_size};
        request->records[count++] = (struct journal_record){.partition = entry->partition,
                                                            .type = RECORD_EVENT,
                                                            .version = EVENT_RECORD_VERSION,
                                                            .parts = entry->parts,
                                                            .part_count = 2};
    }
    if (request->has_claim)
        request->records[count++] = (struct journal_record){.type = RECORD_CLAIM,
                                                            .version = RECORD_VERSION,
                                                            .parts = request->claim_parts,
                                                            .part_count = 3};
    return count;
}

static void park(struct intake_request *request)
{
    SOMETIMES("a request waits for room in the journal");
    request->phase = INTAKE_PARKED;
    list_push_back(&request->home->parked, &request->queue_link);
}

/* False when there is still no room and the request is parked at the end of the line. */
bool intake_request_append(struct intake_request *request)
{
    struct intake *intake = request->home;
    enum problem_code code = PROBLEM_NONE;
    int r = 0;

    if (request->phase != INTAKE_PARKED && !list_is_empty(&intake->parked)) {
        SOMETIMES("a request waits behind others");
        park(request); /* behind those that came first */
        return true;
    }
    request->phase = INTAKE_APPENDING;
    if (request->has_claim && request->claim_lines == NULL)
        r = write_claim_lines(request);
    if (r == 0) {
        uint32_t count = fill_records(request);

        request->append.on_durable = on_durable;
        request->appended_ns = intake->actor.shard->clock.mono_ns;
        r = keeper_append(&intake->home->keeper, &request->append, request->records, count, 0);
    }
    switch (r) {
    case JOURNAL_OK:
        if (intake->appending_count++ == 0)
            intake->progress_ns = request->appended_ns;
        return true;
    case JOURNAL_FULL: /* what is in the journal already will make room and call on_room */
        park(request);
        return false;
    case -ENOBUFS:
        SOMETIMES("no buffer is left for the lines of a claim");
        code = PROBLEM_OVERLOADED;
        break;
    case JOURNAL_NO_SPACE:
        SOMETIMES("a request is refused: the disk is full");
        code = PROBLEM_STORAGE_FULL;
        break;
    case JOURNAL_STOPPED:
        SOMETIMES("a request is refused: the journal has ended");
        code = PROBLEM_STORAGE_FAILED;
        break;
    case -EMSGSIZE:
        code = PROBLEM_PAYLOAD_TOO_LARGE;
        break;
    default:
        code = PROBLEM_STORAGE_FAILED;
        break;
    }
    refuse(request, code);
    start_step(request, INTAKE_RELEASING);
    return true;
}

static void on_durable(struct journal_append *append, enum journal_outcome outcome)
{
    struct intake_request *request = container_of(append, struct intake_request, append);
    struct intake *intake = request->home;
    uint32_t record = 0;

    request_check(request);
    assert(request->phase == INTAKE_APPENDING);
    assert(intake->appending_count > 0);
    intake->appending_count--;
    intake->progress_ns = intake->actor.shard->clock.mono_ns;
    intake_observe_delay(intake, intake->progress_ns - request->appended_ns);
    if (outcome == JOURNAL_OUTCOME_UNKNOWN) {
        SOMETIMES("a request is answered with outcome unknown");
        refuse(request, PROBLEM_STORAGE_FAILED);
        start_step(request, INTAKE_RELEASING);
        return;
    }
    for (uint32_t i = 0; i < request->entry_count; i++) {
        struct intake_entry *entry = &request->entries[i];

        if (entry->status != EVENT_ACCEPTED)
            continue;
        entry->location = request->records[record++].location;
        if (MUTANT("index_wrong_location"))
            entry->location = request->records[0].location;
        keeper_index(&intake->home->keeper, (uint32_t)entry->key.words[0], entry->location);
    }
    if (request->has_claim)
        request->claim.location = request->records[record].location;
    start_step(request, INTAKE_COMMITTING);
}

/* --- the first answer again ----------------------------------------------- */

/* Takes the lines of the CLAIM record that was read. False when it is not what it should be. */
static bool take_claim(struct intake_request *request, const struct journal_record_view *view)
{
    const struct record_claim *claim = (const void *)view->payload.data;
    size_t lines_size, head_size;

    if (view->type != RECORD_CLAIM || view->payload.size < sizeof(*claim))
        return false;
    lines_size = (size_t)claim->event_count * sizeof(struct record_claim_event);
    head_size = sizeof(*claim) + claim->key_size;
    if (view->payload.size != head_size + lines_size)
        return false;
    if (memcmp(claim->key, request->claim.key.words, sizeof(claim->key)) != 0)
        return false;
    request->received_ms = claim->received_ms;
    request->entry_count = claim->event_count;
    memmove(request->claim_lines->data, view->payload.data + head_size, lines_size);
    request->claim_lines->size = (uint32_t)lines_size;
    return true;
}

static void on_claim_read(struct journal_read *read, enum journal_read_result result,
                          const struct journal_record_view *view)
{
    struct intake_request *request = container_of(read, struct intake_request, read);

    request_check(request);
    assert(request->phase == INTAKE_REPLAYING);
    if (result == JOURNAL_READ_TOO_BIG &&
        buffer_grow(&request->claim_lines, read->size_needed) == 0) {
        SOMETIMES("a first answer is larger than its buffer");
        read->buffer = request->claim_lines->data;
        read->buffer_size = request->claim_lines->capacity;
        journal_read_start(request->home->home->keeper.reader, read);
        return;
    }
    if (result != JOURNAL_READ_OK || !take_claim(request, view)) {
        SOMETIMES("a first answer cannot be read back");
        request->entry_count = 0;
        refuse(request, PROBLEM_OVERLOADED);
    }
    decide(request);
}

static void replay(struct intake_request *request)
{
    request->phase = INTAKE_REPLAYING;
    buffer_unref(&request->claim_lines);
    if (buffer_acquire(request->home->home->buffers, JOURNAL_READ_BUFFER_SIZE_MIN,
                       &request->claim_lines) < 0) {
        refuse(request, PROBLEM_OVERLOADED);
        decide(request);
        return;
    }
    request->read.on_done = on_claim_read;
    request->read.location = request->claim.location;
    request->read.buffer = request->claim_lines->data;
    request->read.buffer_size = request->claim_lines->capacity;
    journal_read_start(request->home->home->keeper.reader, &request->read);
}

/* All owners have done the present step: the next one. */
void intake_request_advance(struct intake_request *request)
{
    bool is_replay;

    request_check(request);
    assert(request->waiting_count == 0);
    switch ((enum intake_phase)request->phase) {
    case INTAKE_RESERVING:
        is_replay = judge_claim(request);
        request->is_replay = is_replay;
        for (uint32_t i = 0; i < request->entry_count && !is_replay; i++)
            judge_entry(request, i);
        if (is_replay || request->code != PROBLEM_NONE)
            start_step(request, INTAKE_RELEASING);
        else if (request->new_count > 0 || request->has_claim)
            (void)intake_request_append(request);
        else
            decide(request);
        return;
    case INTAKE_COMMITTING:
        decide(request);
        return;
    case INTAKE_RELEASING:
        if (request->is_replay)
            replay(request);
        else
            decide(request);
        return;
    case INTAKE_FILLING:
    case INTAKE_PARKED:
    case INTAKE_APPENDING:
    case INTAKE_REPLAYING:
    case INTAKE_DECIDED:
        break;
    }
    assert(false && "a phase without a next step");
}

void intake_request_submit(struct intake_request *request)
{
    request_check(request);
    assert(request->phase == INTAKE_FILLING);
    start_step(request, INTAKE_RESERVING);
}

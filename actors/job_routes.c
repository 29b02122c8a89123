#include "actors/job_routes.h"

#include <errno.h>

#include "actors/job_routes_internals.h"
#include "contracts/flow_spec.h"
#include "contracts/json_string.h"
#include "contracts/sha256.h"
#include "contracts/siphash.h"
#include "http/media_type.h"
#include "runtime/sim_point.h"

/*
 * A body is read and checked as a whole before the desk hears of it, so a refused request
 * has stored nothing. What the desk gets are job_items, whose slices point into the body;
 * job_request_submit() copies what they point to. Only keys written with escapes, and a
 * flow's names, which the answer needs when the body is long gone, are kept in buffers of
 * their own.
 *
 * Unique keys are stored as hashes, so the key of that hash must outlive the process, and
 * must not be known outside: it comes from the data directory's own identity.
 */

enum {
    JOB_BODY_SLACK = 64 * 1024, /* of a body, beside its payload */
    UNIQUE_TEXT_SIZE_MAX = 6 + 3 * JOB_NAME_SIZE_MAX + JOB_KEY_SIZE_MAX,
};

static_assert((int)JOB_SPEC_COUNT_MAX == (int)JOB_BATCH_MAX, "jobs of a batch");
static_assert((int)JOB_SPEC_COUNT_MAX == (int)JOB_FLOW_JOBS_MAX, "jobs of a flow");
static_assert((int)JOB_SPEC_KIND_SIZE_MAX == (int)JOB_NAME_SIZE_MAX, "kind");
static_assert((int)JOB_SPEC_KEY_SIZE_MAX == (int)JOB_KEY_SIZE_MAX, "serial key");
static_assert((int)JOB_SPEC_KEY_SIZE_MAX >= (int)IDEMPOTENCY_KEY_SIZE_MAX, "unique text");
static_assert((int)JOB_SPEC_PRIORITY_MAX + 1 == (int)JOB_PRIORITY_COUNT, "priority");
static_assert((int)JOB_SPEC_PRIORITY_DEFAULT == (int)JOB_PRIORITY_DEFAULT, "priority");
static_assert((int)JOB_SPEC_ATTEMPTS_MAX == (int)JOB_ATTEMPTS_MAX, "attempts");
static_assert((int)JOB_SPEC_AFTER_COUNT_MAX == (int)JOB_AFTER_COUNT_MAX, "after");
static_assert((int)TENANT_NAME_SIZE_MAX <= (int)JOB_NAME_SIZE_MAX, "tenant names");
static_assert((int)EXCHANGE_CORRELATION_SIZE_MAX <= (int)JOB_CORRELATION_SIZE_MAX, "correlation");

static_assert((int)SHA256_SIZE >= (int)SIPHASH_KEY_SIZE, "a digest makes a key");

static const uint8_t BODY_HASH_KEY[SIPHASH_KEY_SIZE]; /* fixed: the hash is stored */

/* --- what all routes share ------------------------------------------------------ */

static uint32_t retry_after(struct exchange *x)
{
    return INTAKE_RETRY_AFTER_S + (uint32_t)rng_below(&app_shard_of(x)->shard->rng, 2);
}

/* EXCHANGE_READ_BODY when the journal is there for what the route needs. */
static int admit(struct exchange *x, enum job_need need)
{
    enum problem_code code = keeper_admit(&app_shard_of(x)->keeper);
    struct exchange_problem_options options = {.retry_after_s = retry_after(x)};

    if (need != JOB_NEEDS_ROOM && code == PROBLEM_STORAGE_FULL)
        code = PROBLEM_NONE;
    if (need == JOB_NEEDS_NOTHING && code == PROBLEM_STORAGE_FAILED)
        code = PROBLEM_NONE;
    return code == PROBLEM_NONE ? EXCHANGE_READ_BODY : exchange_problem(x, code, &options);
}

static int check_media_type(struct exchange *x)
{
    struct exchange_problem_options options = {
        .field = {SLICE_LITERAL("accept"), SLICE_LITERAL("application/json")}};
    struct media_type type;

    if (x->request->content_type.data == NULL)
        return EXCHANGE_READ_BODY;
    switch (media_type_parse(x->request->content_type, &type)) {
    case MEDIA_TYPE_OK:
        if (media_type_is(&type, SLICE_LITERAL("application/json")))
            return EXCHANGE_READ_BODY;
        break;
    case MEDIA_TYPE_UNSUPPORTED_CHARSET:
        return exchange_problem(x, PROBLEM_UNSUPPORTED_CHARSET, &options);
    case MEDIA_TYPE_BAD:
        break;
    }
    return exchange_problem(x, PROBLEM_UNSUPPORTED_MEDIA_TYPE, &options);
}

int job_check_head(struct exchange *x, uint32_t scope, enum job_need need, uint64_t body_size_max,
                   uint64_t decoded_size_max)
{
    struct exchange_problem_options options = {
        .detail = SLICE_LITERAL("the admin token belongs to no project; use a project's key")};
    struct auth *auth = &EXCHANGE_NOTE(x, struct job_note)->auth;
    int r = auth_check(x, scope, auth);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (auth->key == NULL)
        return exchange_problem(x, PROBLEM_FORBIDDEN, &options);
    r = admit(x, need);
    if (r == EXCHANGE_READ_BODY)
        r = check_media_type(x);
    x->body_size_max = body_size_max;
    x->decoded_size_max = decoded_size_max;
    return r;
}

int job_begin(struct exchange *x, enum job_operation operation, uint32_t item_count)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct slice org = key_org(note->auth.key), project = key_project(note->auth.key);
    struct job_request *request = job_request_acquire(&app_shard_of(x)->jobs, x);

    assert(note->request == NULL);
    if (request == NULL)
        return job_refuse_overloaded(x);
    note->request = request;
    request->operation = (uint8_t)operation;
    request->org_size = (uint8_t)org.size;
    request->project_size = (uint8_t)project.size;
    memcpy(request->org, org.data, org.size);
    memcpy(request->project, project.data, project.size);
    if (item_count > 0 && job_request_make_room(request, item_count) < 0)
        return job_refuse_overloaded(x);
    return EXCHANGE_READ_BODY;
}

int job_submit(struct exchange *x)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    int r = job_request_submit(note->request);

    if (r == 0)
        return EXCHANGE_PENDING;
    if (r != -EMSGSIZE)
        return job_refuse_overloaded(x);
    job_request_release(&note->request);
    buffer_unref(&note->names);
    return exchange_problem(x, PROBLEM_PAYLOAD_TOO_LARGE, NULL);
}

int job_refuse_json(struct exchange *x, const struct json_reader *reader)
{
    char detail[192];
    struct slice text = json_error_text(json_reader_error(reader));
    int size = snprintf(detail, sizeof(detail), "%.*s, at byte %zu", (int)text.size, text.data,
                        json_reader_offset(reader));
    struct exchange_problem_options options = {.detail = {detail, (size_t)size}};

    return exchange_problem(x, problem_of_json_error(json_reader_error(reader)), &options);
}

int job_refuse_issues(struct exchange *x, const struct issue_list *issues)
{
    struct exchange_problem_options options = {.issues = issues, .array_key = job_spec_array_key()};

    return exchange_problem(x, PROBLEM_INVALID_JOB, &options);
}

int job_refuse(struct exchange *x, struct slice detail)
{
    struct exchange_problem_options options = {.detail = detail};

    return exchange_problem(x, PROBLEM_UNPROCESSABLE, &options);
}

int job_refuse_overloaded(struct exchange *x)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    struct exchange_problem_options options = {
        .detail = SLICE_LITERAL("too many requests are in flight"),
        .retry_after_s = retry_after(x),
    };

    SOMETIMES("no room is left for a job request");
    if (note->request != NULL)
        job_request_release(&note->request);
    buffer_unref(&note->names);
    return exchange_problem(x, PROBLEM_OVERLOADED, &options);
}

bool job_take_kind(struct exchange *x, struct job_request *request)
{
    if (!job_kind_is_valid(x->params[0]))
        return false;
    memcpy(request->kind, x->params[0].data, x->params[0].size);
    request->kind_size = (uint8_t)x->params[0].size;
    return true;
}

void job_on_abandon(struct exchange *x)
{
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);

    if (note->request != NULL)
        job_request_abandon(&note->request);
    buffer_unref(&note->names);
}

/* --- from specs to items --------------------------------------------------------- */

/* Jobs on their way from the body into a request. */
struct assembly {
    struct exchange *x;
    struct job_request *request;
    struct buffer *specs; /* holds flow */
    struct buffer *texts; /* keys that were written with escapes; NULL while there are none */
    struct flow_spec *flow;
    uint32_t body_hash;
};

/* The decoded text of a key. False: no buffer. */
MUST_USE static bool decode_text(struct assembly *assembly, const struct json_value *string,
                                 struct slice *ret_text)
{
    struct exchange *x = assembly->x;
    size_t written;

    if (!string->has_escapes) {
        *ret_text = json_string_body(string);
        return true;
    }
    /* What is decoded never exceeds what was written. */
    if (assembly->texts == NULL &&
        buffer_acquire(app_shard_of(x)->buffers, x->body.size, &assembly->texts) < 0)
        return false;
    ret_text->data = assembly->texts->data + assembly->texts->size;
    ret_text->size =
        json_string_decode(string, assembly->texts->data + assembly->texts->size,
                           assembly->texts->capacity - assembly->texts->size, &written);
    assert(ret_text->size == written);
    assembly->texts->size += (uint32_t)written;
    return true;
}

static char *append(char *at, struct slice part)
{
    assert(part.size <= UINT8_MAX);
    *at++ = (char)part.size;
    memcpy(at, part.data, part.size);
    return at + part.size;
}

/*
 * The hash under which a key is remembered; scope 'i' is Idempotency-Key, which is the
 * project's, 'u' is "unique", which is the kind's.
 */
static void hash_unique(const struct assembly *assembly, const struct job_item *item, char scope,
                        uint8_t index, struct slice key, uint64_t ret_hash[2])
{
    static const char purpose[] = "weir: unique keys of jobs";
    const struct job_request *request = assembly->request;
    const struct superblock *superblock = &app_shard_of(assembly->x)->app->superblock;
    char text[UNIQUE_TEXT_SIZE_MAX], secret[sizeof(purpose) + SEGMENT_UUID_SIZE];
    uint8_t hash_key[SHA256_SIZE];
    char *at = text;

    memcpy(secret, purpose, sizeof(purpose));
    memcpy(secret + sizeof(purpose), superblock->uuid, SEGMENT_UUID_SIZE);
    sha256((struct slice){secret, sizeof(secret)}, hash_key);
    *at++ = scope;
    *at++ = (char)index;
    at = append(at, (struct slice){request->org, request->org_size});
    at = append(at, (struct slice){request->project, request->project_size});
    if (scope != 'i')
        at = append(at, item->image.sections[JOB_SECTION_KIND]);
    at = append(at, key);
    siphash_128(hash_key, (struct slice){text, (size_t)(at - text)}, (uint8_t *)ret_hash);
    if (ret_hash[0] == 0 && ret_hash[1] == 0)
        ret_hash[0] = 1; /* 0 0 is no key */
}

/* False: no buffer. */
MUST_USE static bool fill_unique(struct assembly *assembly, const struct job_spec *spec,
                                 uint8_t index, struct job_item *item)
{
    static const uint8_t uniques[] = {
        [JOB_SPEC_UNIQUE_SINGLETON] = JOB_UNIQUE_SINGLETON,
        [JOB_SPEC_UNIQUE_THROTTLE] = JOB_UNIQUE_THROTTLE,
        [JOB_SPEC_UNIQUE_DEBOUNCE] = JOB_UNIQUE_DEBOUNCE,
        [JOB_SPEC_UNIQUE_NONE] = JOB_UNIQUE_NONE,
    };
    struct slice key = assembly->x->request->idempotency_key;
    struct job_image_header *header = &item->image.header;

    if (key.data != NULL) {
        header->unique = JOB_UNIQUE_IDEMPOTENCY;
        header->body_hash = assembly->body_hash;
        item->unique_window_ms = app_shard_of(assembly->x)->app->settings->dedup_window_ms;
        hash_unique(assembly, item, 'i', index, key, header->unique_key);
        return true;
    }
    header->unique = uniques[spec->unique];
    if (spec->unique == JOB_SPEC_UNIQUE_NONE)
        return true;
    if (!decode_text(assembly, &spec->unique_key, &key))
        return false;
    hash_unique(assembly, item, 'u', 0, key, header->unique_key);
    if (spec->unique == JOB_SPEC_UNIQUE_DEBOUNCE) {
        header->unique_wait_ms = (uint32_t)spec->unique_ms;
        item->unique_window_ms = spec->unique_wait_max_ms;
    } else {
        item->unique_window_ms = spec->unique_ms;
    }
    return true;
}

/* False: no buffer. */
MUST_USE static bool fill_item(struct assembly *assembly, const struct job_spec *spec,
                               uint8_t index, struct job_item *item)
{
    static const uint8_t on_failures[] = {
        [JOB_SPEC_ON_FAILURE_FAIL] = JOB_ON_FAILURE_FAIL,
        [JOB_SPEC_ON_FAILURE_CONTINUE] = JOB_ON_FAILURE_CONTINUE,
        [JOB_SPEC_ON_FAILURE_IGNORE] = JOB_ON_FAILURE_IGNORE,
        [JOB_SPEC_ON_FAILURE_NONE] = JOB_ON_FAILURE_NONE,
    };
    struct slice *sections = item->image.sections;

    memcpy(item->kind, spec->kind, spec->kind_size);
    sections[JOB_SECTION_KIND] = (struct slice){item->kind, spec->kind_size};
    sections[JOB_SECTION_PAYLOAD] = spec->payload;
    sections[JOB_SECTION_CORRELATION] = exchange_correlation(assembly->x);
    item->image.header.priority = spec->priority;
    item->image.header.max_attempts = spec->max_attempts;
    item->image.header.timeout_ms = spec->timeout_ms;
    item->image.header.on_failure = on_failures[spec->on_failure];
    item->delay_ms = spec->delay_ms;
    item->run_at_ms = spec->run_at_ms;
    item->deadline_in_ms = spec->deadline_ms;
    if (spec->key.type != JSON_ABSENT &&
        !decode_text(assembly, &spec->key, &sections[JOB_SECTION_KEY]))
        return false;
    return fill_unique(assembly, spec, index, item);
}

/* False: no buffer. */
MUST_USE static bool fill_items(struct assembly *assembly)
{
    struct flow_spec *flow = assembly->flow;
    struct job_request *request = assembly->request;

    request->item_count = (uint16_t)flow->count;
    for (uint32_t i = 0; i < flow->count; i++) {
        uint32_t from = request->is_flow ? flow->order[i] : i;
        struct job_item *item = &request->items[i];

        if (!fill_item(assembly, &flow->specs[from], (uint8_t)i, item))
            return false;
        if (!request->is_flow)
            continue;
        item->image.after_count = flow->specs[from].after_count;
        for (uint32_t n = 0; n < item->image.after_count; n++)
            item->after_items[n] = flow->place[flow->after[from][n]];
    }
    return true;
}

/* Keeps a flow's names, as they were written, for the answer. False: no buffer. */
MUST_USE static bool keep_names(struct assembly *assembly)
{
    struct job_note *note = EXCHANGE_NOTE(assembly->x, struct job_note);
    const struct flow_spec *flow = assembly->flow;
    size_t size = sizeof(struct job_names);
    struct job_names *names;

    for (uint32_t i = 0; i < flow->count; i++)
        size += sizeof(uint16_t) + flow->specs[i].name.raw.size;
    if (buffer_acquire(app_shard_of(assembly->x)->buffers, size, &note->names) < 0)
        return false;
    names = (struct job_names *)(void *)note->names->data;
    names->count = (uint8_t)flow->count;
    memcpy(names->places, flow->place, sizeof(names->places));
    note->names->size = sizeof(*names);
    for (uint32_t i = 0; i < flow->count; i++) {
        struct slice name = flow->specs[i].name.raw;
        uint16_t name_size = (uint16_t)name.size;
        char *at = note->names->data + note->names->size;

        memcpy(at, &name_size, sizeof(name_size));
        memcpy(at + sizeof(name_size), name.data, name.size);
        note->names->size += (uint32_t)(sizeof(name_size) + name.size);
    }
    return true;
}

/* What one issue list cannot say: bounds that settings have, and what does not go together. */
static int check_specs(struct exchange *x, const struct flow_spec *flow)
{
    struct exchange_problem_options options = {
        .detail = SLICE_LITERAL("the payload of a job is too large"),
        .has_limit = true,
        .limit = app_shard_of(x)->app->settings->job_payload_bytes,
    };

    for (uint32_t i = 0; i < flow->count; i++) {
        if (flow->specs[i].payload.size > options.limit)
            return exchange_problem(x, PROBLEM_PAYLOAD_TOO_LARGE, &options);
        if (x->request->idempotency_key.data != NULL &&
            flow->specs[i].unique != JOB_SPEC_UNIQUE_NONE)
            return job_refuse(x, SLICE_LITERAL("one of Idempotency-Key and unique, not both"));
    }
    return EXCHANGE_READ_BODY;
}

static uint32_t hash_body(const struct exchange *x)
{
    uint64_t parts[2] = {siphash_64(BODY_HASH_KEY, x->request->target),
                         siphash_64(BODY_HASH_KEY, x->body)};

    return (uint32_t)siphash_64(BODY_HASH_KEY, (struct slice){(const char *)parts, sizeof(parts)});
}

static int assemble(struct assembly *assembly, bool is_batch, bool is_flow)
{
    struct exchange *x = assembly->x;
    struct job_note *note = EXCHANGE_NOTE(x, struct job_note);
    int r = check_specs(x, assembly->flow);

    if (r == EXCHANGE_READ_BODY)
        r = auth_take_quota(x, &note->auth, assembly->flow->count,
                            app_shard_of(x)->app->metrics.jobs.outcome[JOB_OUTCOME_QUOTA]);
    if (r == EXCHANGE_READ_BODY)
        r = job_begin(x, JOB_ENQUEUE, assembly->flow->count);
    if (r != EXCHANGE_READ_BODY)
        return r;
    assembly->request = note->request;
    assembly->request->is_batch = is_batch;
    assembly->request->is_flow = is_flow;
    if (x->request->idempotency_key.data != NULL)
        assembly->body_hash = hash_body(x);
    if (!fill_items(assembly) || (is_flow && !keep_names(assembly)))
        return job_refuse_overloaded(x);
    return job_submit(x);
}

static int refuse_cycle(struct exchange *x, const struct flow_spec *flow)
{
    char detail[FLOW_SPEC_CYCLE_SIZE_MAX + 64];
    int size = snprintf(detail, sizeof(detail), "each of these comes after the next: %.*s",
                        (int)flow->cycle_size, flow->cycle);
    struct exchange_problem_options options = {.detail = {detail, (size_t)size}};

    SOMETIMES("a flow is refused for its cycle");
    return exchange_problem(x, PROBLEM_FLOW_CYCLE, &options);
}

/* Reads the body as one job, a batch or a flow, and hands it on. */
static int enqueue(struct exchange *x, bool is_batch, bool is_flow)
{
    struct assembly assembly = {.x = x};
    enum job_spec_result result;
    struct issue_list issues;
    struct json_reader reader;
    struct flow_spec *flow;
    int r = EXCHANGE_READ_BODY;

    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    if (buffer_acquire(app_shard_of(x)->buffers, sizeof(*flow), &assembly.specs) < 0)
        return job_refuse_overloaded(x);
    flow = (struct flow_spec *)(void *)assembly.specs->data;
    flow->count = 1;
    flow->cycle_size = 0;
    assembly.flow = flow;
    issue_list_init(&issues);
    if (is_flow)
        result = flow_spec_read(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, flow);
    else if (is_batch)
        result = job_spec_read_list(x->body, JSON_DEPTH_DEFAULT, false, &issues, &reader,
                                    flow->specs, &flow->count);
    else
        result = job_spec_read(x->body, JSON_DEPTH_DEFAULT, &issues, &reader, &flow->specs[0]);
    switch (result) {
    case JOB_SPEC_OK:
        r = assemble(&assembly, is_batch, is_flow);
        break;
    case JOB_SPEC_INVALID:
        r = flow->cycle_size > 0 ? refuse_cycle(x, flow) : job_refuse_issues(x, &issues);
        break;
    case JOB_SPEC_TRUNCATED:
    case JOB_SPEC_BAD_JSON:
        r = job_refuse_json(x, &reader);
        break;
    }
    buffer_unref(&assembly.texts);
    buffer_unref(&assembly.specs);
    return r;
}

/* --- routes ------------------------------------------------------------------------ */

static int check_enqueue_head(struct exchange *x, uint64_t body_size_max, uint64_t decoded_size_max)
{
    int r = job_check_head(x, KEY_SCOPE_INGEST, JOB_NEEDS_ROOM, body_size_max, decoded_size_max);

    if (r == EXCHANGE_READ_BODY && x->request->idempotency_key.data != NULL &&
        (x->request->idempotency_key.size == 0 ||
         x->request->idempotency_key.size > IDEMPOTENCY_KEY_SIZE_MAX))
        return exchange_problem(x, PROBLEM_INVALID_IDEMPOTENCY_KEY, NULL);
    return r;
}

int job_enqueue_on_head(struct exchange *x)
{
    uint64_t size_max = app_shard_of(x)->app->settings->job_payload_bytes + JOB_BODY_SLACK;

    return check_enqueue_head(x, size_max, size_max);
}

int job_batch_on_head(struct exchange *x)
{
    const struct settings *settings = app_shard_of(x)->app->settings;

    return check_enqueue_head(x, settings->batch_bytes, settings->batch_decoded_bytes);
}

int job_enqueue_on_request(struct exchange *x)
{
    return enqueue(x, false, false);
}

int job_batch_on_request(struct exchange *x)
{
    return enqueue(x, true, false);
}

int job_flow_on_request(struct exchange *x)
{
    return enqueue(x, true, true);
}

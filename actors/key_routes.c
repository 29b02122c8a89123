#include "actors/key_routes.h"

#include "actors/app.h"
#include "actors/auth.h"
#include "actors/message_types.h"
#include "contracts/json_string.h"
#include "contracts/json_writer.h"
#include "http/media_type.h"
#include "http/url.h"

/*
 * Lists come from the shard's own copy of the keyring; changes are a request to the
 * tenant actor of shard 0 and are answered when every shard knows them. The secret
 * is drawn here, shown once in the answer to the creation, and stored nowhere: the
 * record holds its SHA-256.
 *
 * The cursor of a list is the slot of the next key: slots are never reused, so a
 * page neither skips nor repeats a key whatever is created meanwhile.
 */

enum {
    KEY_BODY_SIZE_MAX = 4096,
    KEY_TEXT_SIZE_MAX = 1024, /* of one key in an answer */
    KEY_LIST_LIMIT_DEFAULT = 20,
    KEY_LIST_LIMIT_MAX = 100,
    KEY_QUERY_SIZE_MAX = 64,
};

static const uint64_t KEY_RATE_MAX = 100000000;

/* What these routes keep in an exchange. */
struct key_note {
    struct tenant_request *request;
    struct auth auth;
};

static const struct {
    struct slice name;
    uint32_t bit;
} SCOPES[] = {
    {SLICE_INITIALIZER("ingest"), KEY_SCOPE_INGEST},
    {SLICE_INITIALIZER("read"), KEY_SCOPE_READ},
    {SLICE_INITIALIZER("admin"), KEY_SCOPE_ADMIN},
};

int key_on_head(struct exchange *x)
{
    struct exchange_problem_options retry = {.retry_after_s = 1};
    int r = auth_check(x, KEY_SCOPE_ADMIN, &EXCHANGE_NOTE(x, struct key_note)->auth);

    if (r != EXCHANGE_READ_BODY)
        return r;
    if (app_shard_of(x)->phase == APP_RECOVERING)
        return exchange_problem(x, PROBLEM_RECOVERING, &retry);
    x->body_size_max = KEY_BODY_SIZE_MAX;
    x->decoded_size_max = KEY_BODY_SIZE_MAX;
    return EXCHANGE_READ_BODY;
}

/* True when the caller may see and change keys of this organisation. */
static bool may_manage(const struct auth *auth, struct slice org)
{
    return auth->key == NULL || slice_equal(key_org(auth->key), org);
}

static void write_key(const struct record_key *key, struct slice secret, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("id"));
    json_writer_string(writer, (struct slice){key->id, UUID_TEXT_SIZE});
    if (secret.size > 0) {
        json_writer_key(writer, SLICE_LITERAL("key"));
        json_writer_string(writer, secret);
    }
    json_writer_key(writer, SLICE_LITERAL("prefix"));
    json_writer_string(writer, (struct slice){key->prefix, key->prefix_size});
    json_writer_key(writer, SLICE_LITERAL("org_id"));
    json_writer_string(writer, key_org(key));
    json_writer_key(writer, SLICE_LITERAL("project_id"));
    json_writer_string(writer, key_project(key));
    json_writer_key(writer, SLICE_LITERAL("scopes"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < ARRAY_COUNT(SCOPES); i++)
        if ((key->scopes & SCOPES[i].bit) != 0)
            json_writer_string(writer, SCOPES[i].name);
    json_writer_end_array(writer);
    json_writer_key(writer, SLICE_LITERAL("rate_per_second"));
    json_writer_u64(writer, key->rate_per_s);
    json_writer_key(writer, SLICE_LITERAL("burst"));
    json_writer_u64(writer, key->burst);
    json_writer_key(writer, SLICE_LITERAL("created_at"));
    json_writer_time(writer, (int64_t)key->created_ms);
    json_writer_key(writer, SLICE_LITERAL("revoked_at"));
    if (key->revoked_ms > 0)
        json_writer_time(writer, (int64_t)key->revoked_ms);
    else
        json_writer_null(writer);
    json_writer_end_object(writer);
}

/* --- reading the body ----------------------------------------------------- */

static int refuse_body(struct exchange *x, const char *detail)
{
    struct exchange_problem_options options = {.detail = slice_of(detail)};

    return exchange_problem(x, PROBLEM_UNPROCESSABLE, &options);
}

/* The decoded text of a name: 1 to TENANT_NAME_SIZE_MAX bytes without control characters. */
static bool read_name(const struct json_value *value, char name[TENANT_NAME_SIZE_MAX],
                      uint8_t *ret_size)
{
    size_t size, written;

    if (value->type != JSON_STRING)
        return false;
    size = json_string_decode(value, name, TENANT_NAME_SIZE_MAX, &written);
    if (size == 0 || size != written)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == '|')
            return false;
    *ret_size = (uint8_t)size;
    return true;
}

static bool read_scopes(struct slice body, uint32_t *ret_scopes)
{
    struct json_reader reader;
    struct json_value value;
    enum json_result r;

    if (!json_find_member(body, SLICE_LITERAL("scopes"), &value)) {
        *ret_scopes = KEY_SCOPE_INGEST | KEY_SCOPE_READ;
        return true;
    }
    if (value.type != JSON_ARRAY)
        return false;
    *ret_scopes = 0;
    json_reader_init(&reader, value.raw, JSON_DEPTH_DEFAULT);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && json_reader_next_element(&reader) == JSON_OK) {
        struct json_value item;
        bool is_known = false;

        r = json_reader_read(&reader, &item);
        for (uint32_t i = 0; r == JSON_OK && i < ARRAY_COUNT(SCOPES); i++)
            if (json_string_equal(&item, SCOPES[i].name)) {
                *ret_scopes |= SCOPES[i].bit;
                is_known = true;
            }
        if (!is_known)
            return false;
    }
    return *ret_scopes != 0;
}

/* A non-negative integer member up to KEY_RATE_MAX; 0 when absent. */
static bool read_count(struct slice body, struct slice name, uint64_t *ret_count)
{
    struct json_value value;
    uint64_t count = 0;

    *ret_count = 0;
    if (!json_find_member(body, name, &value) || value.type == JSON_NULL)
        return true;
    if (value.type != JSON_NUMBER || !value.is_integer || value.raw.size > 9)
        return false;
    for (size_t i = 0; i < value.raw.size; i++) {
        if (value.raw.data[i] < '0' || value.raw.data[i] > '9')
            return false;
        count = count * 10 + (uint64_t)(value.raw.data[i] - '0');
    }
    *ret_count = count;
    return count <= KEY_RATE_MAX;
}

/* NULL when the record is filled in, else what is wrong with the body. */
static const char *read_record(struct slice body, struct record_key *record)
{
    struct json_value value;

    if (!json_find_member(body, SLICE_LITERAL("org_id"), &value) ||
        !read_name(&value, record->org, &record->org_size))
        return "org_id is a string of 1 to 64 bytes without control characters or |";
    if (!json_find_member(body, SLICE_LITERAL("project_id"), &value) ||
        !read_name(&value, record->project, &record->project_size))
        return "project_id is a string of 1 to 64 bytes without control characters or |";
    if (!read_scopes(body, &record->scopes))
        return "scopes is a list of ingest, read and admin";
    if (!read_count(body, SLICE_LITERAL("rate_per_second"), &record->rate_per_s))
        return "rate_per_second is a whole number of events, up to 100000000";
    if (!read_count(body, SLICE_LITERAL("burst"), &record->burst))
        return "burst is a whole number of events, up to 100000000";
    return NULL;
}

/* --- requests ------------------------------------------------------------- */

static int submit(struct exchange *x, struct tenant_request *request)
{
    EXCHANGE_NOTE(x, struct key_note)->request = request;
    tenant_submit(request);
    return EXCHANGE_PENDING;
}

int key_create_on_request(struct exchange *x)
{
    struct key_note *note = EXCHANGE_NOTE(x, struct key_note);
    struct tenant *tenant = &app_shard_of(x)->tenant;
    struct exchange_problem_options retry = {.retry_after_s = 1};
    struct exchange_problem_options accept = {
        .field = {SLICE_LITERAL("accept"), SLICE_LITERAL("application/json")}};
    struct record_key record = {0};
    struct media_type type;
    struct tenant_request *request;
    struct json_reader reader;
    struct json_value document;
    uint8_t random_bytes[UUID_SIZE];
    const char *detail;
    int r;

    if (x->request->content_type.data != NULL &&
        (media_type_parse(x->request->content_type, &type) != MEDIA_TYPE_OK ||
         !media_type_is(&type, SLICE_LITERAL("application/json"))))
        return exchange_problem(x, PROBLEM_UNSUPPORTED_MEDIA_TYPE, &accept);
    if (x->body.size == 0)
        return exchange_problem(x, PROBLEM_EMPTY_BODY, NULL);
    if (json_read_document(x->body, JSON_DEPTH_DEFAULT, &reader, &document) != JSON_OK)
        return exchange_problem(x, problem_of_json_error(json_reader_error(&reader)), NULL);
    if (document.type != JSON_OBJECT)
        return refuse_body(x, "the body is an object");
    detail = read_record(document.raw, &record);
    if (detail != NULL)
        return refuse_body(x, detail);
    if (!may_manage(&note->auth, key_org(&record)))
        return exchange_problem(x, PROBLEM_FORBIDDEN, NULL);
    request = tenant_acquire(tenant, x);
    if (request == NULL)
        return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    request->operation = TENANT_CREATE;
    request->record = record;
    request->record.created_ms = tenant->actor.shard->clock.unix_ms;
    rng_fill(&tenant->actor.shard->rng, random_bytes, sizeof(random_bytes));
    uuid_format_v4(random_bytes, request->record.id);
    r = tenant_draw_secret(tenant, request);
    if (r < 0) {
        tenant_release(&request);
        return r;
    }
    return submit(x, request);
}

int key_revoke_on_request(struct exchange *x)
{
    struct key_note *note = EXCHANGE_NOTE(x, struct key_note);
    struct tenant *tenant = &app_shard_of(x)->tenant;
    struct exchange_problem_options retry = {.retry_after_s = 1};
    uint16_t slot = keyring_find_id(&tenant->keyring, x->params[0]);
    struct tenant_request *request;

    if (slot == KEYRING_NO_SLOT ||
        !may_manage(&note->auth, key_org(&tenant->keyring.keys[slot].record)))
        return exchange_problem(x, PROBLEM_NOT_FOUND, NULL);
    request = tenant_acquire(tenant, x);
    if (request == NULL)
        return exchange_problem(x, PROBLEM_OVERLOADED, &retry);
    request->operation = TENANT_REVOKE;
    request->record = tenant->keyring.keys[slot].record;
    return submit(x, request);
}

static void write_list(const struct keyring *keyring, const struct auth *auth, uint64_t cursor,
                       uint64_t limit, struct json_writer *writer)
{
    char next[KEY_QUERY_SIZE_MAX];
    uint64_t i, count = 0;

    json_writer_begin_object(writer);
    json_writer_key(writer, SLICE_LITERAL("keys"));
    json_writer_begin_array(writer);
    for (i = cursor; i < keyring->count && count < limit; i++) {
        if (!may_manage(auth, key_org(&keyring->keys[i].record)))
            continue;
        write_key(&keyring->keys[i].record, (struct slice){NULL, 0}, writer);
        count++;
    }
    json_writer_end_array(writer);
    json_writer_key(writer, SLICE_LITERAL("next_cursor"));
    if (i < keyring->count) {
        int size = snprintf(next, sizeof(next), "%llu", (unsigned long long)i);

        json_writer_string(writer, (struct slice){next, (size_t)size});
    } else {
        json_writer_null(writer);
    }
    json_writer_end_object(writer);
}

int key_list_on_request(struct exchange *x)
{
    struct app_shard *home = app_shard_of(x);
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    uint64_t limit = KEY_LIST_LIMIT_DEFAULT, cursor = 0;
    struct buffer *body = NULL;
    struct json_writer writer;
    bool fits;
    int r;

    if (!url_query_number(x->request->query, SLICE_LITERAL("limit"), 1, KEY_LIST_LIMIT_MAX, &limit))
        return exchange_problem(x, PROBLEM_INVALID_PARAMETER, NULL);
    if (!url_query_number(x->request->query, SLICE_LITERAL("cursor"), 0, KEYRING_KEY_COUNT_MAX,
                          &cursor))
        return exchange_problem(x, PROBLEM_INVALID_CURSOR, NULL);
    r = buffer_acquire(home->buffers, (limit + 1) * KEY_TEXT_SIZE_MAX, &body);
    if (r < 0)
        return r;
    json_writer_init(&writer, body->data, body->capacity);
    write_list(&home->tenant.keyring, &EXCHANGE_NOTE(x, struct key_note)->auth, cursor, limit,
               &writer);
    fits = json_writer_finish(&writer, &response.body);
    assert(fits);
    r = exchange_respond(x, &response);
    buffer_unref(&body);
    return r;
}

int key_on_reply(struct exchange *x, const struct message *msg)
{
    struct key_note *note = EXCHANGE_NOTE(x, struct key_note);
    struct tenant_request *request = note->request;
    struct response response = {.status = 200, .content_type = SLICE_LITERAL("application/json")};
    struct exchange_problem_options options = {0};
    struct json_writer writer;
    char text[KEY_TEXT_SIZE_MAX];
    bool fits;
    int r;

    if (msg->type != MSG_TENANT_ANSWER || request == NULL)
        return EXCHANGE_PENDING;
    if (request->code != PROBLEM_NONE) {
        if (problem_status(request->code) == 503)
            options.retry_after_s = 1;
        r = exchange_problem(x, request->code, &options);
    } else {
        struct slice secret = {request->secret, request->secret_size};

        json_writer_init(&writer, text, sizeof(text));
        write_key(&request->record, secret, &writer);
        fits = json_writer_finish(&writer, &response.body);
        assert(fits);
        if (request->operation == TENANT_CREATE)
            response.status = 201;
        r = exchange_respond(x, &response);
    }
    tenant_release(&note->request);
    return r;
}

void key_on_abandon(struct exchange *x)
{
    struct key_note *note = EXCHANGE_NOTE(x, struct key_note);

    if (note->request != NULL)
        tenant_release(&note->request);
}

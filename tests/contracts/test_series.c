#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/series.h"

static const uint8_t HASH_KEY[SIPHASH_KEY_SIZE] = {1, 2, 3};
static struct series_scope scope = {HASH_KEY, 7};
static struct raw_event event;
static char buffer[FINGERPRINT_SIZE_MAX + 1];

/* attributes is JSON, or NULL for none. */
static void read_event(const char *type, const char *environment, const char *attributes)
{
    static char text[1 << 16];
    struct issue_list issues;
    struct json_reader reader;
    enum raw_event_result result;

    snprintf(text, sizeof(text),
             "{\"event_type\":\"%s\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\","
             "\"environment\":\"%s\"%s%s}",
             type, environment, attributes != NULL ? ",\"attributes\":" : "",
             attributes != NULL ? attributes : "");
    issue_list_init(&issues);
    result = raw_event_read_document(slice_of(text), JSON_DEPTH_DEFAULT, &issues, &reader, &event);
    assert(result == RAW_EVENT_OK);
}

static const char *text_of(const char *type, const char *attributes)
{
    read_event(type, "prod", attributes);
    buffer[series_text_write(&event, buffer)] = '\0';
    return buffer;
}

struct key {
    uint64_t words[2];
};

static struct key key_of(const char *attributes)
{
    struct key key;

    read_event("error", "prod", attributes);
    cr_assert(series_key(&scope, &event, key.words));
    return key;
}

static bool is_same(struct key a, struct key b)
{
    return a.words[0] == b.words[0] && a.words[1] == b.words[1];
}

TestSuite(series, .timeout = 60);

Test(series, of_errors_and_signups_are_called_as_the_seed_calls_them)
{
    cr_expect(eq(str,
                 (char *)text_of("error", "{\"error_code\":\"TIMEOUT\",\"route\":\"/api/pay\"}"),
                 "TIMEOUT|/api/pay|prod"));
    cr_expect(eq(str, (char *)text_of("error", NULL), "unknown|unknown|prod"));
    cr_expect(eq(str, (char *)text_of("signup", NULL), "signup|prod"));
}

Test(series, is_none_for_events_that_are_not_counted)
{
    static const char *const TYPES[] = {"http_request", "deploy", "feedback", "custom"};
    uint64_t key[2];

    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++) {
        read_event(TYPES[i], "prod", NULL);
        cr_expect(not(series_key(&scope, &event, key)));
    }
}

Test(series, differs_by_project_environment_and_what_is_counted)
{
    uint64_t keys[5][2];

    read_event("error", "prod", NULL);
    cr_assert(series_key(&scope, &event, keys[0]));
    read_event("error", "dev", NULL);
    cr_assert(series_key(&scope, &event, keys[1]));
    read_event("signup", "prod", NULL);
    cr_assert(series_key(&scope, &event, keys[2]));
    series_overflow_key(&scope, EVENT_ENVIRONMENT_PROD, keys[3]);
    scope.project++;
    read_event("error", "prod", NULL);
    cr_assert(series_key(&scope, &event, keys[4]));
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            cr_expect(ne(int, memcmp(keys[i], keys[j], sizeof(keys[i])), 0), "%d and %d", i, j);
}

/* Defect 12 of the seed: ids in routes make a group of each request. */
Test(series, leaves_ids_out_of_routes)
{
    static const char *const ROUTES[][2] = {
        {"/api/users/12345", "unknown|/api/users/{id}|prod"},
        {"/api/users/1/orders/2", "unknown|/api/users/{id}/orders/{id}|prod"},
        {"/u/550e8400-e29b-41d4-a716-446655440000/x", "unknown|/u/{id}/x|prod"},
        {"/blobs/9f86d081884c7d65", "unknown|/blobs/{id}|prod"},
        {"/search?q=1&page=2", "unknown|/search|prod"},
        {"/a#7", "unknown|/a|prod"},
        {"/1", "unknown|/{id}|prod"},
        {"7/", "unknown|{id}/|prod"},
        {"/v1/events", "unknown|/v1/events|prod"},
        {"/deadbeef/facade", "unknown|/deadbeef/facade|prod"},
        {"GET /api/products/:id", "unknown|GET /api/products/:id|prod"},
        {"/a//b/", "unknown|/a//b/|prod"},
        {"", "unknown||prod"},
    };
    char attributes[256];

    for (size_t i = 0; i < ARRAY_COUNT(ROUTES); i++) {
        snprintf(attributes, sizeof(attributes), "{\"route\":\"%s\"}", ROUTES[i][0]);
        cr_expect(eq(str, (char *)text_of("error", attributes), (char *)ROUTES[i][1]));
    }
    cr_expect(is_same(key_of("{\"route\":\"/u/1\"}"), key_of("{\"route\":\"/u/22?x=3\"}")));
    cr_expect(not(is_same(key_of("{\"route\":\"/u/1\"}"), key_of("{\"route\":\"/u/x\"}"))));
}

Test(series, survives_a_route_of_nothing_but_one_digit_ids)
{
    char attributes[600] = "{\"route\":\"";
    size_t size = strlen(attributes);

    for (int i = 0; i < 128; i++, size += 2)
        memcpy(attributes + size, "/7", 2);
    memcpy(attributes + size, "\"}", 3);
    cr_expect(le(sz, strlen(text_of("error", attributes)), FINGERPRINT_SIZE_MAX));
    cr_expect(is_same(key_of(attributes), key_of(attributes)));
}

/* Defect 12, second half: with a separator that may stand in a field, two groups become one. */
Test(series, keeps_fields_apart_whatever_they_contain)
{
    cr_expect(not(is_same(key_of("{\"error_code\":\"a|b\",\"route\":\"c\"}"),
                          key_of("{\"error_code\":\"a\",\"route\":\"b|c\"}"))));
    cr_expect(not(is_same(key_of("{\"error_code\":\"a\",\"route\":\"\"}"),
                          key_of("{\"error_code\":\"\",\"route\":\"a\"}"))));
    cr_expect(not(is_same(key_of("{\"fingerprint\":[\"a\",\"b\"]}"),
                          key_of("{\"fingerprint\":[\"ab\",\"\"]}"))));
}

Test(series, keeps_a_million_random_pairs_apart)
{
    static const char ALPHABET[] = {'a', 'b', '|', '/'};
    char texts[4][16];
    uint64_t state = 88172645463325252, keys[2][2];

    read_event("error", "prod", NULL);
    for (uint32_t round = 0; round < 1000000; round++) {
        for (int i = 0; i < 4; i++) {
            size_t size;

            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            size = state % 4;
            texts[i][0] = '"';
            for (size_t j = 0; j < size; j++)
                texts[i][1 + j] = ALPHABET[state >> (8 + 2 * j) & 3];
            memcpy(texts[i] + 1 + size, "\"", 2);
        }
        for (int i = 0; i < 2; i++) {
            event.error_code =
                (struct json_value){.type = JSON_STRING, .raw = slice_of(texts[2 * i])};
            event.route =
                (struct json_value){.type = JSON_STRING, .raw = slice_of(texts[2 * i + 1])};
            cr_assert(series_key(&scope, &event, keys[i]));
        }
        if ((memcmp(keys[0], keys[1], sizeof(keys[0])) == 0) !=
            (strcmp(texts[0], texts[2]) == 0 && strcmp(texts[1], texts[3]) == 0))
            cr_fatal("%s, %s and %s, %s", texts[0], texts[1], texts[2], texts[3]);
    }
}

Test(series, is_what_the_client_says)
{
    cr_expect(eq(str, (char *)text_of("error", "{\"fingerprint\":\"checkout\",\"route\":\"/a\"}"),
                 "checkout|prod"));
    cr_expect(eq(str, (char *)text_of("error", "{\"fingerprint\":[\"db\",\"shard 7\"]}"),
                 "db|shard 7|prod"));
    cr_expect(
        eq(str,
           (char *)text_of("error", "{\"error_code\":\"E\",\"route\":\"/a/1\",\"fingerprint\":"
                                    "[\"{{ default }}\",\"eu\"]}"),
           "E|/a/{id}|eu|prod"));
    cr_expect(is_same(key_of("{\"error_code\":\"E\",\"fingerprint\":\"{{default}}\"}"),
                      key_of("{\"error_code\":\"E\"}")));
}

Test(series, ignores_what_is_no_fingerprint)
{
    static const char *const WRONG[] = {
        "7",
        "null",
        "{}",
        "[]",
        "[1]",
        "[\"a\",null]",
        "[\"a\",[\"b\"]]",
        "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]",
        "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"{{ default }}\"]",
    };
    struct key plain = key_of("{\"error_code\":\"E\"}");
    char attributes[256];

    for (size_t i = 0; i < ARRAY_COUNT(WRONG); i++) {
        snprintf(attributes, sizeof(attributes), "{\"error_code\":\"E\",\"fingerprint\":%s}",
                 WRONG[i]);
        cr_expect(is_same(key_of(attributes), plain), "%s", WRONG[i]);
    }
}

Test(series, cuts_its_text_but_never_its_key)
{
    static char attributes[4096];
    char longest[256];
    struct key first;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    snprintf(attributes, sizeof(attributes), "{\"fingerprint\":[\"%s\",\"%s\",\"%s\"]}", longest,
             longest, longest);
    first = key_of(attributes);
    cr_expect(eq(sz, strlen(text_of("error", attributes)), FINGERPRINT_SIZE_MAX));
    snprintf(attributes, sizeof(attributes), "{\"fingerprint\":[\"%s\",\"%s\",\"%sy\"]}", longest,
             longest, longest);
    cr_expect(not(is_same(key_of(attributes), first)));
}

Test(series, gives_projects_numbers_that_do_not_run_together)
{
    uint64_t a = series_project(HASH_KEY, SLICE_LITERAL("ab"), SLICE_LITERAL("c"));

    cr_expect(ne(u64, a, series_project(HASH_KEY, SLICE_LITERAL("a"), SLICE_LITERAL("bc"))));
    cr_expect(ne(u64, a, 0));
}

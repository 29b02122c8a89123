#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/fingerprint.h"

static struct raw_event event;
static char buffer[4096];

/* attributes is JSON, or NULL for none. */
static void read_event(const char *type, const char *attributes)
{
    static char text[1 << 16];
    struct issue_list issues;
    struct json_reader reader;
    enum raw_event_result result;

    snprintf(text, sizeof(text),
             "{\"event_type\":\"%s\",\"occurred_at\":\"2025-01-15T11:59:00Z\",\"message\":\"m\","
             "\"environment\":\"prod\"%s%s}",
             type, attributes != NULL ? ",\"attributes\":" : "",
             attributes != NULL ? attributes : "");
    issue_list_init(&issues);
    result = raw_event_read_document(slice_of(text), JSON_DEPTH_DEFAULT, &issues, &reader, &event);
    assert(result == RAW_EVENT_OK);
}

static const char *fingerprint(void)
{
    buffer[fingerprint_write(&event, buffer)] = '\0';
    return buffer;
}

static const char *partition_key(void)
{
    size_t size = partition_key_write(&event, SLICE_LITERAL("org_123"), SLICE_LITERAL("proj_456"),
                                      buffer, sizeof(buffer) - 1);

    buffer[size] = '\0';
    return buffer;
}

TestSuite(fingerprint, .timeout = 10);

Test(fingerprint, names_errors_by_code_route_and_environment)
{
    read_event("error", "{\"error_code\":\"TIMEOUT\",\"route\":\"/api/checkout\"}");
    cr_expect(eq(str, (char *)fingerprint(), "TIMEOUT|/api/checkout|prod"));
    cr_expect(eq(str, (char *)partition_key(), "org_123|proj_456|TIMEOUT|/api/checkout"));
}

Test(fingerprint, calls_missing_and_null_unknown_but_keeps_the_empty_string)
{
    read_event("error", NULL);
    cr_expect(eq(str, (char *)fingerprint(), "unknown|unknown|prod"));
    read_event("error", "{\"error_code\":null}");
    cr_expect(eq(str, (char *)fingerprint(), "unknown|unknown|prod"));
    cr_expect(eq(str, (char *)partition_key(), "org_123|proj_456|unknown|unknown"));
    read_event("error", "{\"error_code\":\"\",\"route\":\"\"}");
    cr_expect(eq(str, (char *)fingerprint(), "||prod"));
}

Test(fingerprint, names_other_events_by_type_and_environment)
{
    read_event("signup", "{\"error_code\":\"X\"}");
    cr_expect(eq(str, (char *)fingerprint(), "signup|prod"));
    cr_expect(eq(str, (char *)partition_key(), "org_123|proj_456|signup"));
    read_event("deploy", NULL);
    cr_expect(eq(str, (char *)fingerprint(), "deploy|prod"));
}

Test(fingerprint, writes_other_types_as_javascript_does)
{
    static const char *const CASES[][2] = {
        {"500", "500"},
        {"1.0", "1"},
        {"1e3", "1000"},
        {"-0", "0"},
        {"1e999", "Infinity"},
        {"true", "true"},
        {"false", "false"},
        {"{\"a\":1}", "[object Object]"},
        {"[]", ""},
        {"[null]", ""},
        {"[1]", "1"},
        {"[1,\"a\",null,true,{}]", "1,a,,true,[object Object]"},
        {"[[1,2],[],null]", "1,2,,"},
        {"[[],[]]", ","},
        {"[[[[3]]],4]", "3,4"},
        {"[\"a,b\",[1e3]]", "a,b,1000"},
        {"\"\\u00e9\\n\"", "\xc3\xa9\n"},
        {"\"a|b\"", "a|b"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char attributes[256];
        char expected[256];

        snprintf(attributes, sizeof(attributes), "{\"error_code\":%s}", CASES[i][0]);
        snprintf(expected, sizeof(expected), "%s|unknown|prod", CASES[i][1]);
        read_event("error", attributes);
        cr_expect(eq(str, (char *)fingerprint(), expected));
    }
}

Test(fingerprint, cuts_long_parts_without_letting_them_meet)
{
    static char attributes[1 << 15];
    static char first[FINGERPRINT_SIZE_MAX + 1];
    char name[600];

    for (int last = 'a'; last <= 'b'; last++) {
        memset(name, 'x', sizeof(name));
        name[sizeof(name) - 1] = (char)last;
        snprintf(attributes, sizeof(attributes), "{\"error_code\":\"%.*s\",\"route\":[\"%.*s\"]}",
                 (int)sizeof(name), name, (int)sizeof(name), name);
        read_event("error", attributes);
        cr_expect(eq(sz, strlen(fingerprint()), 2 * FINGERPRINT_PART_SIZE_MAX + 6));
        if (last == 'a')
            memcpy(first, buffer, strlen(buffer) + 1);
        else
            cr_expect(ne(str, first, (char *)fingerprint()));
    }
    cr_expect(eq(int, strncmp(fingerprint(), "xxxx", 4), 0));
    cr_expect(eq(chr, fingerprint()[FINGERPRINT_PART_SIZE_MAX - 33], '~'));
}

Test(fingerprint, keeps_a_part_of_exactly_the_bound_whole)
{
    char attributes[512];
    char name[FINGERPRINT_PART_SIZE_MAX];

    memset(name, 'x', sizeof(name));
    snprintf(attributes, sizeof(attributes), "{\"error_code\":\"%.*s\"}", (int)sizeof(name), name);
    read_event("error", attributes);
    cr_expect(eq(sz, strlen(fingerprint()), FINGERPRINT_PART_SIZE_MAX + 13));
    cr_expect(eq(ptr, strchr(fingerprint(), '~'), NULL));
}

Test(fingerprint, says_when_the_key_does_not_fit)
{
    struct slice org_id = SLICE_LITERAL("o");
    size_t size = sizeof("o|o|deploy") - 1;

    read_event("deploy", NULL);
    cr_expect(eq(sz, partition_key_write(&event, org_id, org_id, buffer, size - 1), 0));
    cr_expect(eq(sz, partition_key_write(&event, org_id, org_id, buffer, size), size));
    cr_expect(ge(sz, partition_key_size_max(org_id, org_id), size));
}

Test(fingerprint, counts_errors_and_signups)
{
    cr_expect(slice_equal(metric_name(EVENT_TYPE_ERROR), SLICE_LITERAL("error_count")));
    cr_expect(slice_equal(metric_name(EVENT_TYPE_SIGNUP), SLICE_LITERAL("signup_count")));
    cr_expect(eq(sz, metric_name(EVENT_TYPE_DEPLOY).size, 0));
    cr_expect(eq(sz, metric_name(EVENT_TYPE_HTTP_REQUEST).size, 0));
    cr_expect(eq(sz, metric_name(EVENT_TYPE_FEEDBACK).size, 0));
    cr_expect(eq(sz, metric_name(EVENT_TYPE_CUSTOM).size, 0));
}

Test(fingerprint, floors_instants_to_minutes)
{
    cr_expect(eq(i64, metric_bucket(1736944496789), 1736944440000));
    cr_expect(eq(i64, metric_bucket(1736944440000), 1736944440000));
    cr_expect(eq(i64, metric_bucket(0), 0));
    cr_expect(eq(i64, metric_bucket(-1), -60000));
    cr_expect(eq(i64, metric_bucket(-60000), -60000));
}

Test(fingerprint, places_keys_where_kafka_does)
{
    static const struct {
        const char *key;
        uint32_t hash;
        uint32_t partition_of_3;
    } CASES[] = {
        {"org_123|proj_456|TIMEOUT|/api/checkout", 1866863162, 2},
        {"org_123|proj_456|signup", 1276051749, 0},
        {"org_demo|proj_demo|PAYMENT_FAILED|/api/checkout", 976791758, 2},
        {"org_demo|proj_demo|signup", 377684073, 0},
        {"org_demo|proj_demo|http_request", 787164380, 2},
        {"org_demo|proj_demo|deploy", 1393929413, 2},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        cr_expect(eq(u32, murmur2(slice_of(CASES[i].key)) & 0x7fffffff, CASES[i].hash), "%s",
                  CASES[i].key);
        cr_expect(eq(u32, partition_of(slice_of(CASES[i].key), 3), CASES[i].partition_of_3), "%s",
                  CASES[i].key);
    }
}

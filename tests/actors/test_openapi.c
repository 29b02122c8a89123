#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/app.h"
#include "contracts/json_reader.h"
#include "contracts/json_string.h"
#include "contracts/openapi.h"

/*
 * The document against the route table, in both directions: a route without its description
 * fails, and so does a description without its route. What the answers look like is held
 * against the document by the end-to-end cases (tests/e2e/openapi.py).
 */

enum { NAME_SIZE_MAX = 128, DEPTH_MAX = JSON_DEPTH_MAX };

static struct slice document;

static void setup(void)
{
    struct json_reader reader;
    struct json_value value;

    document = openapi_document();
    cr_assert(eq(int, json_read_document(document, DEPTH_MAX, &reader, &value), JSON_OK));
}

TestSuite(openapi, .init = setup, .timeout = 60);

/* The member, which must be there. */
static struct slice get(struct slice object, const char *name)
{
    struct json_value value;

    cr_assert(json_find_member(object, slice_of(name), &value), "no member %s in %.*s", name,
              (int)min_u64(object.size, 200), object.data);
    return value.raw;
}

static bool has(struct slice object, const char *name)
{
    struct json_value value;

    return json_find_member(object, slice_of(name), &value);
}

static void put_text(const struct json_value *value, char text[NAME_SIZE_MAX])
{
    struct slice found;

    cr_assert(json_string_text(value, text, NAME_SIZE_MAX - 1, &found));
    memmove(text, found.data, found.size);
    text[found.size] = '\0';
}

/* Lower case, as the document has it. */
static void put_method(enum http_method method, char text[NAME_SIZE_MAX])
{
    struct slice name = http_method_name(method);

    for (size_t i = 0; i < name.size; i++)
        text[i] = (char)(name.data[i] | 0x20);
    text[name.size] = '\0';
}

static struct slice operation_of(const struct route *route)
{
    char method[NAME_SIZE_MAX];

    put_method(route->method, method);
    return get(get(get(document, "paths"), route->pattern), method);
}

static bool is_route(const char *path, const char *method)
{
    char name[NAME_SIZE_MAX];

    for (uint32_t i = 0; i < APP_ROUTE_COUNT; i++) {
        put_method(APP_ROUTES[i].method, name);
        if (strcmp(APP_ROUTES[i].pattern, path) == 0 && strcmp(name, method) == 0)
            return true;
    }
    return false;
}

/* One member after the other of an object. */
struct walk {
    struct json_reader reader;
    struct json_value value;
    char name[NAME_SIZE_MAX];
};

static void walk_begin(struct walk *walk, struct slice object)
{
    json_reader_init(&walk->reader, object, DEPTH_MAX);
    cr_assert(eq(int, json_reader_enter_object(&walk->reader), JSON_OK));
}

static bool walk_next(struct walk *walk)
{
    struct json_value key;

    if (json_reader_next_member(&walk->reader, &key) != JSON_OK)
        return false;
    put_text(&key, walk->name);
    return json_reader_read(&walk->reader, &walk->value) == JSON_OK;
}

/* What "#/a/b" means. */
static struct slice resolve(const char *reference)
{
    struct slice at = document;
    char name[NAME_SIZE_MAX];

    cr_assert(strncmp(reference, "#/", 2) == 0, "%s", reference);
    for (reference += 2; *reference != '\0';) {
        size_t size = strcspn(reference, "/");

        memcpy(name, reference, size);
        name[size] = '\0';
        at = get(at, name);
        reference += size + (reference[size] == '/');
    }
    return at;
}

static struct slice follow(struct slice object)
{
    char reference[NAME_SIZE_MAX];
    struct json_value value;

    if (!json_find_member(object, SLICE_LITERAL("$ref"), &value))
        return object;
    put_text(&value, reference);
    return resolve(reference);
}

Test(openapi, says_that_it_is_openapi_3_1)
{
    cr_expect(slice_equal(get(document, "openapi"), SLICE_LITERAL("\"3.1.0\"")));
    cr_expect(has(get(document, "info"), "version"));
}

Test(openapi, describes_every_route)
{
    for (uint32_t i = 0; i < APP_ROUTE_COUNT; i++) {
        struct slice operation = operation_of(&APP_ROUTES[i]);

        cr_expect(has(operation, "summary"), "%s", APP_ROUTES[i].pattern);
        cr_expect(has(operation, "operationId"), "%s", APP_ROUTES[i].pattern);
        cr_expect(has(operation, "tags"), "%s", APP_ROUTES[i].pattern);
    }
}

Test(openapi, describes_no_route_that_is_not_there)
{
    struct walk paths, methods;
    uint32_t count = 0;

    walk_begin(&paths, get(document, "paths"));
    while (walk_next(&paths)) {
        walk_begin(&methods, paths.value.raw);
        while (walk_next(&methods)) {
            cr_expect(is_route(paths.name, methods.name), "%s %s", methods.name, paths.name);
            count++;
        }
    }
    cr_expect(eq(u32, count, APP_ROUTE_COUNT));
}

/* True when one of the operation's parameters is this part of the path. */
static bool has_path_parameter(struct slice operation, struct slice name)
{
    struct json_reader reader;
    struct json_value item, value;
    char text[NAME_SIZE_MAX];

    if (!json_find_member(operation, SLICE_LITERAL("parameters"), &value))
        return false;
    json_reader_init(&reader, value.raw, DEPTH_MAX);
    cr_assert(eq(int, json_reader_enter_array(&reader), JSON_OK));
    while (json_reader_next_element(&reader) == JSON_OK &&
           json_reader_read(&reader, &item) == JSON_OK) {
        struct slice parameter = follow(item.raw);

        if (!slice_equal(get(parameter, "in"), SLICE_LITERAL("\"path\"")) ||
            !json_find_member(parameter, SLICE_LITERAL("name"), &value))
            continue;
        put_text(&value, text);
        if (slice_equal(slice_of(text), name))
            return slice_equal(get(parameter, "required"), SLICE_LITERAL("true"));
    }
    return false;
}

Test(openapi, describes_what_stands_in_braces_in_a_path)
{
    for (uint32_t i = 0; i < APP_ROUTE_COUNT; i++) {
        const char *at = APP_ROUTES[i].pattern;

        while ((at = strchr(at, '{')) != NULL) {
            struct slice name = {at + 1, strcspn(at + 1, "}")};

            cr_expect(has_path_parameter(operation_of(&APP_ROUTES[i]), name), "%s: %.*s",
                      APP_ROUTES[i].pattern, (int)name.size, name.data);
            at++;
        }
    }
}

static bool is_status(uint32_t status)
{
#define X(number, reason) number,
    static const uint32_t ALL[] = {
#include "http/response_statuses.inc"
    };
#undef X

    for (uint32_t i = 0; i < ARRAY_COUNT(ALL); i++)
        if (ALL[i] == status)
            return true;
    return false;
}

Test(openapi, names_only_statuses_that_the_server_sends)
{
    for (uint32_t i = 0; i < APP_ROUTE_COUNT; i++) {
        struct walk responses;
        uint32_t good_count = 0;

        walk_begin(&responses, get(operation_of(&APP_ROUTES[i]), "responses"));
        while (walk_next(&responses)) {
            uint32_t status = (uint32_t)strtoul(responses.name, NULL, 10);

            cr_expect(has(follow(responses.value.raw), "description"));
            if (strcmp(responses.name, "default") == 0)
                continue;
            cr_expect(is_status(status), "%s: %u", APP_ROUTES[i].pattern, status);
            good_count += status >= 200 && status < 300;
        }
        cr_expect(good_count > 0, "%s", APP_ROUTES[i].pattern);
    }
}

/* A route of a project is open to nobody by mistake; that each needs its scope is seen e2e. */
Test(openapi, gives_every_route_its_scope_but_those_for_probes)
{
    static const char *const OPEN[] = {
        "/livez", "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/capabilities",
    };

    for (uint32_t i = 0; i < APP_ROUTE_COUNT; i++) {
        struct slice operation = operation_of(&APP_ROUTES[i]);
        bool is_open = false;

        for (uint32_t n = 0; n < ARRAY_COUNT(OPEN); n++)
            is_open = is_open || strcmp(APP_ROUTES[i].pattern, OPEN[n]) == 0;
        cr_expect(eq(int, has(operation, "x-weir-scope"), !is_open), "%s", APP_ROUTES[i].pattern);
        if (is_open) {
            cr_expect(slice_equal(get(operation, "security"), SLICE_LITERAL("[]")));
            continue;
        }
        cr_expect(get(operation, "security").size > 2);
        cr_expect(has(get(operation, "responses"), "401"));
        cr_expect(has(get(operation, "responses"), "403"));
        cr_expect(has(get(operation, "responses"), "503"));
    }
}

Test(openapi, gives_each_operation_an_id_of_its_own)
{
    for (uint32_t i = 0; i < APP_ROUTE_COUNT; i++)
        for (uint32_t n = 0; n < i; n++)
            cr_expect(not(slice_equal(get(operation_of(&APP_ROUTES[i]), "operationId"),
                                      get(operation_of(&APP_ROUTES[n]), "operationId"))),
                      "%s", APP_ROUTES[i].pattern);
}

Test(openapi, refers_only_to_what_is_there)
{
    static const struct slice mark = SLICE_INITIALIZER("\"$ref\":\"");
    char reference[NAME_SIZE_MAX];
    uint32_t count = 0;

    for (size_t i = 0; i + mark.size < document.size; i++) {
        size_t size = 0;

        if (memcmp(document.data + i, mark.data, mark.size) != 0)
            continue;
        i += mark.size;
        while (i + size < document.size && document.data[i + size] != '"')
            size++;
        cr_assert(lt(sz, size, sizeof(reference)));
        memcpy(reference, document.data + i, size);
        reference[size] = '\0';
        cr_expect(resolve(reference).size > 0);
        count++;
    }
    cr_expect(count > APP_ROUTE_COUNT);
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/router.h"

static const struct route ROUTES[] = {
    {.method = HTTP_METHOD_GET, .pattern = "/"},
    {.method = HTTP_METHOD_GET, .pattern = "/v1/events"},
    {.method = HTTP_METHOD_POST, .pattern = "/v1/events"},
    {.method = HTTP_METHOD_POST, .pattern = "/v1/events/batch"},
    {.method = HTTP_METHOD_GET, .pattern = "/v1/events/{id}"},
    {.method = HTTP_METHOD_POST, .pattern = "/v1/jobs/{kind}/lease"},
    {.method = HTTP_METHOD_DELETE, .pattern = "/v1/jobs/{kind}/of/{owner}"},
};

static const struct router router = {ROUTES, ARRAY_COUNT(ROUTES)};
static struct slice params[ROUTE_PARAM_COUNT_MAX];
static uint32_t route_index;

static enum route_result find(enum http_method method, const char *path)
{
    params[0] = params[1] = (struct slice){NULL, 0};
    route_index = UINT32_MAX;
    return router_find(&router, method, slice_of(path), &route_index, params);
}

static bool param_is(uint32_t index, const char *text)
{
    return slice_equal(params[index], slice_of(text));
}

TestSuite(router, .timeout = 5);

Test(router, finds_a_literal_path_by_its_method)
{
    cr_assert(eq(int, find(HTTP_METHOD_GET, "/v1/events"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 1));
    cr_assert(eq(int, find(HTTP_METHOD_POST, "/v1/events"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 2));
    cr_assert(eq(int, find(HTTP_METHOD_GET, "/"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 0));
}

Test(router, gives_each_named_segment_as_it_came)
{
    cr_assert(eq(int, find(HTTP_METHOD_GET, "/v1/events/a%20b"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 4));
    cr_assert(param_is(0, "a%20b"));
    cr_assert(eq(int, find(HTTP_METHOD_DELETE, "/v1/jobs/mail/of/me"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 6));
    cr_assert(param_is(0, "mail"));
    cr_assert(param_is(1, "me"));
}

Test(router, sets_the_parameter_although_the_path_is_spelled_like_the_pattern)
{
    cr_assert(eq(int, find(HTTP_METHOD_GET, "/v1/events/{id}"), ROUTE_FOUND));
    cr_assert(param_is(0, "{id}"));
}

Test(router, does_not_match_a_named_segment_with_nothing)
{
    cr_assert(eq(int, find(HTTP_METHOD_GET, "/v1/events/"), ROUTE_NOT_FOUND));
    cr_assert(eq(int, find(HTTP_METHOD_POST, "/v1/jobs//lease"), ROUTE_NOT_FOUND));
}

Test(router, wants_the_whole_path_and_no_more)
{
    static const char *const paths[] = {
        "",
        "*",
        "/v1",
        "/v1/",
        "/v1/events/a/b",
        "//v1/events",
        "/v1/eventss",
        "/v1/event",
        "/v1/jobs/mail/lease/",
        "v1/events",
        "/V1/events",
    };

    for (uint32_t i = 0; i < ARRAY_COUNT(paths); i++)
        cr_assert(eq(int, find(HTTP_METHOD_POST, paths[i]), ROUTE_NOT_FOUND), "%s", paths[i]);
}

Test(router, prefers_the_route_that_stands_first)
{
    cr_assert(eq(int, find(HTTP_METHOD_POST, "/v1/events/batch"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 3));
    cr_assert(eq(int, find(HTTP_METHOD_GET, "/v1/events/batch"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 4));
}

Test(router, serves_head_by_the_get_route)
{
    cr_assert(eq(int, find(HTTP_METHOD_HEAD, "/v1/events/x"), ROUTE_FOUND));
    cr_assert(eq(u32, route_index, 4));
    cr_assert(eq(int, find(HTTP_METHOD_HEAD, "/v1/jobs/mail/lease"), ROUTE_METHOD_NOT_ALLOWED));
}

Test(router, tells_an_unknown_path_from_a_method_that_is_not_served)
{
    cr_assert(eq(int, find(HTTP_METHOD_PUT, "/v1/events"), ROUTE_METHOD_NOT_ALLOWED));
    cr_assert(eq(int, find(HTTP_METHOD_UNKNOWN, "/v1/events"), ROUTE_METHOD_NOT_ALLOWED));
    cr_assert(eq(int, find(HTTP_METHOD_PUT, "/v2/events"), ROUTE_NOT_FOUND));
}

static bool allows(const char *path, const char *expected)
{
    char text[64];
    size_t size = router_allowed(&router, slice_of(path), text, sizeof(text));

    return slice_equal((struct slice){text, size}, slice_of(expected));
}

Test(router, says_what_a_path_does_serve)
{
    cr_assert(allows("/v1/events", "GET, HEAD, POST"));
    cr_assert(allows("/v1/events/batch", "POST, GET, HEAD"));
    cr_assert(allows("/v1/jobs/a/lease", "POST"));
    cr_assert(allows("/nowhere", ""));
}

static const struct route TWICE[] = {
    {.method = HTTP_METHOD_GET, .pattern = "/a"},
    {.method = HTTP_METHOD_HEAD, .pattern = "/a"},
    {.method = HTTP_METHOD_GET, .pattern = "/{x}"},
    {.method = HTTP_METHOD_POST, .pattern = "/{x}"},
    {.method = HTTP_METHOD_PUT, .pattern = "/a"},
    {.method = HTTP_METHOD_PATCH, .pattern = "/a"},
    {.method = HTTP_METHOD_DELETE, .pattern = "/a"},
    {.method = HTTP_METHOD_OPTIONS, .pattern = "/a"},
};

Test(router, names_each_allowed_method_once)
{
    const struct router twice = {TWICE, ARRAY_COUNT(TWICE)};
    char text[64];
    size_t size = router_allowed(&twice, SLICE_LITERAL("/a"), text, sizeof(text));

    cr_assert(slice_equal((struct slice){text, size},
                          SLICE_LITERAL("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")));
}

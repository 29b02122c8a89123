#include "http/router.h"

/*
 * Linear over a small table: the busiest routes stand first and a mismatch is
 * one comparison of a length and a few bytes, cheaper than any clever structure
 * for a few dozen entries.
 */

/* The next segment of *rest without its slash; false at the end. */
static bool next_segment(struct slice *rest, struct slice *ret_segment)
{
    const char *slash;
    size_t size;

    if (rest->size == 0 || rest->data[0] != '/')
        return false;
    rest->data++;
    rest->size--;
    slash = memchr(rest->data, '/', rest->size);
    size = slash != NULL ? (size_t)(slash - rest->data) : rest->size;
    *ret_segment = (struct slice){rest->data, size};
    rest->data += size;
    rest->size -= size;
    return true;
}

static bool match_pattern(const char *pattern, struct slice path,
                          struct slice ret_params[ROUTE_PARAM_COUNT_MAX])
{
    struct slice pattern_rest = slice_of(pattern);
    struct slice pattern_segment, path_segment;
    uint32_t param_count = 0;

    if (slice_equal(pattern_rest, path) && memchr(path.data, '{', path.size) == NULL)
        return true;
    while (next_segment(&pattern_rest, &pattern_segment)) {
        if (!next_segment(&path, &path_segment))
            return false;
        if (pattern_segment.size > 0 && pattern_segment.data[0] == '{') {
            if (path_segment.size == 0)
                return false;
            assert(param_count < ROUTE_PARAM_COUNT_MAX);
            ret_params[param_count++] = path_segment;
        } else if (!slice_equal(pattern_segment, path_segment)) {
            return false;
        }
    }
    return path.size == 0;
}

/* False when the path differs before the pattern's first parameter: that settles most routes. */
static bool begins_alike(const char *pattern, struct slice path)
{
    for (size_t i = 0; pattern[i] != '{'; i++) {
        if (pattern[i] == '\0')
            return i == path.size;
        if (i == path.size || pattern[i] != path.data[i])
            return false;
    }
    return true;
}

static bool serves(const struct route *route, enum http_method method)
{
    return route->method == method ||
           (method == HTTP_METHOD_HEAD && route->method == HTTP_METHOD_GET);
}

enum route_result router_find(const struct router *router, enum http_method method,
                              struct slice path, uint32_t *ret_index,
                              struct slice ret_params[ROUTE_PARAM_COUNT_MAX])
{
    enum route_result result = ROUTE_NOT_FOUND;

    assert(router->count <= ROUTE_COUNT_MAX);
    for (uint32_t i = 0; i < router->count; i++) {
        if (!begins_alike(router->routes[i].pattern, path) ||
            !match_pattern(router->routes[i].pattern, path, ret_params))
            continue;
        if (serves(&router->routes[i], method)) {
            *ret_index = i;
            return ROUTE_FOUND;
        }
        result = ROUTE_METHOD_NOT_ALLOWED;
    }
    return result;
}

/* Adds a method that is not in *seen yet; returns the size of the text. */
static size_t append_method(char *text, size_t text_size, size_t used, enum http_method method,
                            uint32_t *seen)
{
    struct slice name = http_method_name(method);
    size_t separator_size = used > 0 ? 2 : 0;

    if ((*seen >> method & 1) != 0)
        return used;
    *seen |= UINT32_C(1) << method;
    assert(used + separator_size + name.size <= text_size);
    memcpy(text + used, ", ", separator_size);
    memcpy(text + used + separator_size, name.data, name.size);
    return used + separator_size + name.size;
}

size_t router_allowed(const struct router *router, struct slice path, char *text, size_t text_size)
{
    struct slice params[ROUTE_PARAM_COUNT_MAX];
    size_t used = 0;
    uint32_t seen = 0;

    assert(text_size >= ROUTER_ALLOWED_SIZE_MAX);
    for (uint32_t i = 0; i < router->count; i++) {
        const struct route *route = &router->routes[i];

        if (!match_pattern(route->pattern, path, params))
            continue;
        used = append_method(text, text_size, used, route->method, &seen);
        if (route->method == HTTP_METHOD_GET)
            used = append_method(text, text_size, used, HTTP_METHOD_HEAD, &seen);
    }
    return used;
}

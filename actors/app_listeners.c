#include "actors/app_listeners.h"

#include <errno.h>

#include "actors/app_failure.h"

/*
 * Every shard has a socket of its own on every address (SO_REUSEPORT), from which the
 * kernel gives it its share of the connections. That they may share an address is what
 * makes it necessary to look first whether somebody else has it.
 */

/* The port at the end of "ADDRESS:PORT", of which *text keeps the address. False: none. */
static bool cut_port(struct slice *text, uint16_t *ret_port)
{
    const char *end = text->data + text->size;
    const char *colon = memrchr(text->data, ':', text->size);
    uint32_t port = 0;

    if (colon == NULL || colon + 1 == end)
        return false;
    for (const char *p = colon + 1; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        port = port * 10 + (uint32_t)(*p - '0');
        if (port > UINT16_MAX)
            return false;
    }
    text->size = (size_t)(colon - text->data);
    *ret_port = (uint16_t)port;
    return true;
}

/* An IP literal with a port, as a socket address. False when it is not one. */
static bool parse_address(struct slice text, struct sockaddr_storage *ret_address,
                          socklen_t *ret_size)
{
    struct address address;
    uint16_t port;

    if (!cut_port(&text, &port))
        return false;
    if (text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']') {
        text.data++;
        text.size -= 2;
    }
    /* Read with any port: 0, by which the kernel is to choose one, cannot be connected to. */
    if (text.size == 0 || address_parse(text, memchr(text.data, ':', text.size) != NULL, 1,
                                        &address) != ADDRESS_LITERAL)
        return false;
    address = address_with_port(&address, port);
    memset(ret_address, 0, sizeof(*ret_address));
    *ret_size = address_size(&address);
    memcpy(ret_address, &address.as, *ret_size);
    return true;
}

/*
 * The address must be ours alone. The sockets of a process that was just killed are
 * closed a little after its end, when the kernel has taken its rings apart.
 */
MUST_USE static int wait_for_address(struct app *app, const struct sockaddr_storage *address,
                                     socklen_t size)
{
    int r;

    for (uint32_t i = 0; i < START_TRY_COUNT_MAX; i++) {
        r = io_probe_address(app->shards[0].shard->io, (const struct sockaddr *)address, size);
        if (r != -EADDRINUSE)
            return r;
        clock_sleep_ms(START_TRY_MS);
    }
    return r;
}

/* Every shard listens on the address; a port of 0 is chosen once, by shard 0. */
static int listen_on(struct app *app, struct slice where, bool is_tls, char *text,
                     int *ret_exit_code)
{
    struct sockaddr_storage address;
    socklen_t size;
    int r;

    if (!parse_address(where, &address, &size))
        return app_fail(text, ret_exit_code, APP_EXIT_CONFIG,
                        "server.listen%s: \"%.*s\" is not ADDRESS:PORT with a numeric address",
                        is_tls ? "_tls" : "", (int)where.size, where.data);
    r = wait_for_address(app, &address, size);
    if (r < 0)
        return app_fail(text, ret_exit_code, APP_EXIT_UNAVAILABLE, "cannot listen on %.*s: %s%s",
                        (int)where.size, where.data, strerror(-r),
                        r == -EADDRINUSE
                            ? " (another process listens there; choose another port with "
                              "--listen)"
                            : "");
    for (uint32_t i = 0; i < app->shard_count; i++) {
        struct app_shard *home = &app->shards[i];
        int fd;

        if (home->listener_count == SETTINGS_LISTEN_COUNT_MAX)
            return app_fail(text, ret_exit_code, APP_EXIT_CONFIG,
                            "server.listen: at most %d addresses", SETTINGS_LISTEN_COUNT_MAX);
        fd = io_listen(home->shard->io, (struct sockaddr *)&address, size, LISTENER_BACKLOG);
        if (fd < 0)
            return app_fail(text, ret_exit_code, APP_EXIT_UNAVAILABLE, "cannot listen on %.*s: %s",
                            (int)where.size, where.data, strerror(-fd));
        r = io_local_address(home->shard->io, fd, &address);
        assert(r == 0);
        listener_init(&home->listeners[home->listener_count++], &home->http, fd, is_tls);
    }
    return 0;
}

static int listen_on_list(struct app *app, const struct config_list *list, bool is_tls, char *text,
                          int *ret_exit_code)
{
    for (uint32_t i = 0; i < list->count; i++) {
        int r = listen_on(app, slice_of(list->items[i]), is_tls, text, ret_exit_code);

        if (r < 0)
            return r;
    }
    return 0;
}

int app_listeners_open(struct app *app, char *text, int *ret_exit_code)
{
    int r = listen_on_list(app, &app->settings->listen, false, text, ret_exit_code);

    if (r == 0)
        r = listen_on_list(app, &app->settings->listen_tls, true, text, ret_exit_code);
    if (r == 0 && app->shards[0].listener_count == 0)
        return app_fail(text, ret_exit_code, APP_EXIT_CONFIG, "server.listen is empty");
    return r;
}

int app_listeners_address(struct app *app, uint32_t index, struct address *ret_address)
{
    const struct app_shard *home = &app->shards[0];
    struct sockaddr_storage bound;
    int r;

    assert(index < home->listener_count);
    r = io_local_address(home->shard->io, home->listeners[index].fd, &bound);
    if (r < 0)
        return r;
    memcpy(&ret_address->as, &bound, sizeof(ret_address->as));
    return 0;
}

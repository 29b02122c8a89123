/*
 * Only what stands before the path is read by the strict parser of URLs; the path may have
 * {{places}} in it. The host is looked up once, before the run, by the system's resolver:
 * a run measures the target, not the name server. The first address that takes a
 * connection is used for all of them.
 */
#include "tools/load/load_target.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

PRINTF_LIKE(2, 3)
static bool complain(char message[LOAD_TARGET_MESSAGE_SIZE], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, LOAD_TARGET_MESSAGE_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

bool load_target_parse(struct load_target *target, const char *text,
                       char message[LOAD_TARGET_MESSAGE_SIZE])
{
    size_t size = strlen(text), prefix = 0;
    const char *slashes = strstr(text, "://");

    *target = (struct load_target){0};
    if (size >= sizeof(target->text))
        return complain(message, "the URL is longer than %d bytes", LOAD_URL_SIZE_MAX - 1);
    memcpy(target->text, text, size + 1);
    if (slashes != NULL)
        prefix = (size_t)(slashes - text) + 3;
    prefix += strcspn(text + prefix, "/?#");
    if (slashes == NULL || url_parse((struct slice){target->text, prefix}, &target->url) != URL_OK)
        return complain(message, "--url needs http[s]://HOST[:PORT][/PATH], not \"%s\"", text);
    target->target = (struct slice){target->text + prefix, size - prefix};
    for (size_t i = 0; i < target->target.size; i++)
        if ((unsigned char)target->target.data[i] <= ' ' || target->target.data[i] == 0x7f ||
            target->target.data[i] == '#')
            return complain(message, "--url: neither blanks nor # may stand in a path");
    if (target->target.size > 0 && target->target.data[0] == '?')
        return complain(message, "--url: write the slash before the question mark");
    target->has_path = target->target.size > 1;
    if (target->target.size == 0)
        target->target = SLICE_LITERAL("/");
    return true;
}

/* 0, or -errno when nobody takes the connection. */
static int try_address(const struct addrinfo *item, uint64_t timeout_ms)
{
    int fd = socket(item->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0, r = 0;
    socklen_t size = sizeof(error);

    if (fd < 0)
        return -errno;
    if (connect(fd, item->ai_addr, item->ai_addrlen) < 0)
        r = -errno;
    if (r == -EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int ready = poll(&wait, 1, (int)min_u64(timeout_ms, INT32_MAX));

        r = ready == 0 ? -ETIMEDOUT : 0;
        if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0)
            r = -error;
    }
    close(fd);
    return r;
}

static bool set_address(struct load_target *target, const struct addrinfo *item)
{
    if (item->ai_addrlen > sizeof(target->address.as))
        return false;
    memcpy(&target->address.as, item->ai_addr, item->ai_addrlen);
    return true;
}

bool load_target_reach(struct load_target *target, const char *elsewhere, uint64_t timeout_ms,
                       char message[LOAD_TARGET_MESSAGE_SIZE])
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    struct slice name = target->url.host;
    uint16_t number = target->url.port;
    char host[256], port[8];
    bool is_ip6;
    int r;

    if (elsewhere != NULL && url_parse_authority(slice_of(elsewhere), target->url.port, &name,
                                                 &number, &is_ip6) != URL_OK)
        return complain(message, "--connect needs HOST[:PORT], not \"%s\"", elsewhere);
    snprintf(host, sizeof(host), "%.*s", (int)name.size, name.data);
    snprintf(port, sizeof(port), "%u", number);
    r = getaddrinfo(host, port, &hints, &list);
    if (r != 0)
        return complain(message, "cannot find %s: %s", host, gai_strerror(r));
    r = -EHOSTUNREACH;
    for (const struct addrinfo *item = list; item != NULL && r < 0; item = item->ai_next) {
        r = try_address(item, timeout_ms);
        if (r == 0 && !set_address(target, item))
            r = -EAFNOSUPPORT;
    }
    freeaddrinfo(list);
    if (r < 0)
        return complain(message, "cannot reach %s port %s: %s", host, port, strerror(-r));
    return true;
}

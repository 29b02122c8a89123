#include "tools/load/load_target.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct load_target target;
static char message[LOAD_TARGET_MESSAGE_SIZE];

static bool parse(const char *text)
{
    return load_target_parse(&target, text, message);
}

Test(load_target, takes_a_url_apart)
{
    cr_assert(parse("https://example.com:8443/a/{{uuid}}?b={{pick:x|y}}"));
    cr_assert(eq(int, target.url.scheme, URL_SCHEME_HTTPS));
    cr_assert(slice_equal(target.url.authority, SLICE_LITERAL("example.com:8443")));
    cr_assert(eq(u16, target.url.port, 8443));
    cr_assert(slice_equal(target.target, SLICE_LITERAL("/a/{{uuid}}?b={{pick:x|y}}")));
    cr_assert(target.has_path);
}

Test(load_target, tells_a_server_from_a_path_on_it)
{
    cr_assert(parse("http://127.0.0.1:3000"));
    cr_assert(not(target.has_path));
    cr_assert(slice_equal(target.target, SLICE_LITERAL("/")));
    cr_assert(parse("http://127.0.0.1:3000/"));
    cr_assert(not(target.has_path));
    cr_assert(parse("http://127.0.0.1:3000/x"));
    cr_assert(target.has_path);
}

Test(load_target, knows_this_machine)
{
    cr_assert(parse("http://localhost/"));
    cr_assert(url_is_loopback(&target.url));
    cr_assert(parse("http://127.9.9.9/"));
    cr_assert(url_is_loopback(&target.url));
    cr_assert(parse("http://[::1]:80/"));
    cr_assert(url_is_loopback(&target.url));
    cr_assert(parse("http://localhost.example.com/"));
    cr_assert(not(url_is_loopback(&target.url)));
    cr_assert(parse("http://127.example.com/"));
    cr_assert(not(url_is_loopback(&target.url)));
}

Test(load_target, refuses_what_is_no_url_and_says_so)
{
    static char too_long[LOAD_URL_SIZE_MAX + 10];
    const char *const texts[] = {"",
                                 "localhost:80",
                                 "ftp://h/",
                                 "http://",
                                 "http://h:0/",
                                 "http://h/a b",
                                 "http://h/#x",
                                 "http://h?x",
                                 "http://u@h/",
                                 too_long};

    memset(too_long, 'a', sizeof(too_long) - 1);
    memcpy(too_long, "http://h/", 9);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        message[0] = '\0';
        cr_assert(not(parse(texts[i])), "%s", texts[i]);
        cr_assert(ne(str, message, ""));
    }
}

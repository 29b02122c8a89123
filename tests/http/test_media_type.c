#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/media_type.h"
#include "tests/http/guarded.h"

static struct media_type type;

static enum media_type_result parse(const char *text)
{
    return media_type_parse((struct slice){guarded_copy(text, strlen(text)), strlen(text)}, &type);
}

Test(media_type, takes_the_forms_that_clients_send)
{
    static const char *const ROWS[] = {
        "application/json",
        "Application/JSON",
        "  application/json\t",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ; Charset=\"utf-8\" ; q=1",
        "application/json;",
        "application/json;; a=b",
        "application/json; profile=\"a;b=\\\"c\\\"\"",
    };

    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        cr_expect(eq(int, parse(ROWS[i]), MEDIA_TYPE_OK), "%s", ROWS[i]);
        cr_expect(media_type_is(&type, SLICE_LITERAL("application/json")), "%s", ROWS[i]);
    }
}

Test(media_type, refuses_malformed_ones)
{
    static const char *const ROWS[] = {
        "",
        " ",
        "json",
        "application",
        "application/",
        "/json",
        "application /json",
        "application/ json",
        "application/json charset=utf-8",
        "application/json, text/plain",
        "application/json; charset",
        "application/json; charset=",
        "application/json; charset =utf-8",
        "application/json; charset= utf-8",
        "application/json; charset=\"utf-8",
        "application/json; charset=\"utf-8\\",
        "application/json; charset=utf-8 x",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; =a",
        "application/json/x",
        "application/json; a=\"\x01\"",
    };

    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++)
        cr_expect(eq(int, parse(ROWS[i]), MEDIA_TYPE_BAD), "%s", ROWS[i]);
}

Test(media_type, supports_no_charset_but_utf_8)
{
    cr_expect(eq(int, parse("a/b; charset=latin1"), MEDIA_TYPE_UNSUPPORTED_CHARSET));
    cr_expect(eq(int, parse("a/b; charset=utf8"), MEDIA_TYPE_UNSUPPORTED_CHARSET));
    cr_expect(eq(int, parse("a/b; charset=\"\""), MEDIA_TYPE_UNSUPPORTED_CHARSET));
    cr_expect(eq(int, parse("a/b; x=latin1"), MEDIA_TYPE_OK));
    cr_expect(not(type.has_charset));
}

Test(media_type, matches_a_list_and_suffixes)
{
    static const struct slice LIST[] = {{"application/json", 16},
                                        {"application/x-ndjson", 20},
                                        {"application/cloudevents+json", 28}};

    cr_assert(eq(int, parse("application/CloudEvents+JSON; charset=utf-8"), MEDIA_TYPE_OK));
    cr_expect(eq(int, media_type_match(&type, LIST, ARRAY_COUNT(LIST)), 2));
    cr_expect(media_type_has_suffix(&type, SLICE_LITERAL("json")));
    cr_expect(not(media_type_has_suffix(&type, SLICE_LITERAL("son"))));
    cr_expect(not(media_type_has_suffix(&type, SLICE_LITERAL("cloudevents+json"))));
    cr_assert(eq(int, parse("application/jsonx"), MEDIA_TYPE_OK));
    cr_expect(eq(int, media_type_match(&type, LIST, ARRAY_COUNT(LIST)), MEDIA_TYPE_NO_MATCH));
}

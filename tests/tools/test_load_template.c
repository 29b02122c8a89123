#include "tools/load/load_template.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/uuid.h"

static struct load_template template;
static struct load_values values;
static char message[LOAD_TEMPLATE_MESSAGE_SIZE];
static char text[4096];

static bool compile(const char *source)
{
    load_values_init(&values, 5);
    return load_template_compile(&template, slice_of(source), message);
}

static char *render(void)
{
    size_t size = load_template_render(&template, &values, text);

    cr_assert(le(sz, size, template.size_max));
    text[size] = '\0';
    return text;
}

Test(load_template, leaves_text_without_places_alone)
{
    cr_assert(compile("{\"a\": {\"b\": {}}} }}"));
    cr_assert(template.is_fixed);
    cr_assert(eq(str, render(), "{\"a\": {\"b\": {}}} }}"));
    cr_assert(compile(""));
    cr_assert(template.is_fixed);
    cr_assert(eq(str, render(), ""));
}

Test(load_template, fills_in_the_number_of_the_request_and_the_time)
{
    cr_assert(compile("{{seq}} at {{now}}"));
    cr_assert(not(template.is_fixed));
    values.seq = 0;
    values.unix_ms = 1736942400123;
    cr_assert(eq(str, render(), "0 at 2025-01-15T12:00:00.123Z"));
    values.seq = UINT64_MAX;
    values.unix_ms = 1736942400124;
    cr_assert(eq(str, render(), "18446744073709551615 at 2025-01-15T12:00:00.124Z"));
}

Test(load_template, makes_uuids_that_differ)
{
    char first[UUID_TEXT_SIZE + 1];

    cr_assert(compile("{{uuid}}"));
    memcpy(first, render(), sizeof(first));
    cr_assert(uuid_is_valid(slice_of(first)));
    cr_assert(eq(chr, first[14], '4'));
    cr_assert(ne(str, render(), first));
}

Test(load_template, keeps_random_numbers_in_their_range)
{
    bool seen[3] = {false};

    cr_assert(compile("{{random:18446744073709551612..18446744073709551614}}"));
    for (int i = 0; i < 200; i++)
        seen[strtoull(render(), NULL, 10) - 18446744073709551612u] = true;
    cr_assert(seen[0]);
    cr_assert(seen[1]);
    cr_assert(seen[2]);
    cr_assert(compile("{{random:7..7}}/{{random}}"));
    cr_assert(eq(int, strncmp(render(), "7/", 2), 0));
}

Test(load_template, picks_each_choice_even_an_empty_one)
{
    int counts[3] = {0};

    cr_assert(compile("<{{pick:a||long}}>"));
    for (int i = 0; i < 300; i++) {
        const char *got = render();

        counts[0] += strcmp(got, "<a>") == 0;
        counts[1] += strcmp(got, "<>") == 0;
        counts[2] += strcmp(got, "<long>") == 0;
    }
    cr_assert(eq(int, counts[0] + counts[1] + counts[2], 300));
    cr_assert(ge(int, counts[0], 60));
    cr_assert(ge(int, counts[1], 60));
    cr_assert(ge(int, counts[2], 60));
}

Test(load_template, is_decided_by_its_seed)
{
    char first[64];

    cr_assert(compile("{{uuid}} {{random}}"));
    memcpy(first, render(), sizeof(first));
    cr_assert(compile("{{uuid}} {{random}}"));
    cr_assert(eq(str, render(), first));
}

Test(load_template, refuses_what_it_does_not_know)
{
    static const char *const TEXTS[] = {
        "{{}}",         "{{name}}",        "{{uuid",          "a {{ uuid }} b",   "{{random:}}",
        "{{random:5}}", "{{random:9..5}}", "{{random:1..x}}", "{{random:-1..5}}", "{{{{uuid}}"};

    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        message[0] = '\0';
        cr_assert(not(compile(TEXTS[i])), "%s", TEXTS[i]);
        cr_assert(ne(str, message, ""));
    }
}

Test(load_template, bounds_the_number_of_places)
{
    char many[LOAD_TEMPLATE_SEGMENT_COUNT_MAX * 7 + 8] = "";

    for (int i = 0; i < LOAD_TEMPLATE_SEGMENT_COUNT_MAX; i++)
        memcpy(many + i * 7, "{{seq}}", 8);
    cr_assert(compile(many));
    memcpy(many + LOAD_TEMPLATE_SEGMENT_COUNT_MAX * 7, "!", 2);
    cr_assert(not(compile(many)));
}

Test(load_template, takes_a_literal_as_it_stands)
{
    load_template_literal(&template, SLICE_LITERAL("{{uuid}}"));
    cr_assert(template.is_fixed);
    cr_assert(eq(str, render(), "{{uuid}}"));
}

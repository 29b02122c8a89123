/*
 * Everything is built on one primitive, the run: what lies between two backslashes
 * is borrowed as it is, an escape becomes one to four bytes. The reader has already
 * proved that every escape is whole and every surrogate paired.
 */
#include "contracts/json_string.h"

#include "contracts/utf8.h"

static uint32_t hex4(const char *digits)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++) {
        char digit = digits[i];

        unit = unit << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    assert(unit <= 0xffff);
    return unit;
}

/* rest begins with "\u"; takes six or twelve bytes off it. */
static size_t decode_unicode_escape(struct slice *rest, char scratch[4])
{
    uint32_t code_point;
    size_t taken = 6;

    assert(rest->size >= 6);
    code_point = hex4(rest->data + 2);
    if (code_point >= 0xd800 && code_point <= 0xdbff) {
        assert(rest->size >= 12);
        code_point = 0x10000 + ((code_point - 0xd800) << 10) + (hex4(rest->data + 8) - 0xdc00);
        taken = 12;
    }
    rest->data += taken;
    rest->size -= taken;
    return utf8_encode(code_point, scratch);
}

static char decode_short_escape(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

struct slice json_string_next_run(struct slice *rest, char scratch[4])
{
    struct slice run = {rest->data, 0};

    if (rest->size == 0)
        return run;
    if (rest->data[0] != '\\') {
        const char *backslash = memchr(rest->data, '\\', rest->size);

        run.size = backslash == NULL ? rest->size : (size_t)(backslash - rest->data);
        rest->data += run.size;
        rest->size -= run.size;
        return run;
    }
    assert(rest->size >= 2);
    run.data = scratch;
    if (rest->data[1] == 'u') {
        run.size = decode_unicode_escape(rest, scratch);
        return run;
    }
    scratch[0] = decode_short_escape(rest->data[1]);
    run.size = 1;
    rest->data += 2;
    rest->size -= 2;
    return run;
}

bool json_string_equal_decoded(const struct json_value *string, struct slice text)
{
    struct slice rest = json_string_body(string);
    struct slice run;
    char scratch[4];

    while ((run = json_string_next_run(&rest, scratch)).size > 0) {
        if (run.size > text.size || memcmp(run.data, text.data, run.size) != 0)
            return false;
        text.data += run.size;
        text.size -= run.size;
    }
    return text.size == 0;
}

bool json_string_same(const struct json_value *a, const struct json_value *b)
{
    struct slice rest_a = json_string_body(a);
    struct slice rest_b = json_string_body(b);
    struct slice run_a = {NULL, 0};
    struct slice run_b = {NULL, 0};
    char scratch_a[4];
    char scratch_b[4];

    if (!a->has_escapes)
        return json_string_equal(b, rest_a);
    if (!b->has_escapes)
        return json_string_equal(a, rest_b);
    for (;;) {
        size_t size;

        if (run_a.size == 0)
            run_a = json_string_next_run(&rest_a, scratch_a);
        if (run_b.size == 0)
            run_b = json_string_next_run(&rest_b, scratch_b);
        size = (size_t)min_u64(run_a.size, run_b.size);
        if (size == 0)
            return run_a.size == run_b.size;
        if (memcmp(run_a.data, run_b.data, size) != 0)
            return false;
        run_a = (struct slice){run_a.data + size, run_a.size - size};
        run_b = (struct slice){run_b.data + size, run_b.size - size};
    }
}

size_t json_string_decode(const struct json_value *string, char *buffer, size_t capacity,
                          size_t *ret_written)
{
    struct slice rest = json_string_body(string);
    struct slice run;
    size_t size = 0;
    size_t written = 0;
    char scratch[4];

    while ((run = json_string_next_run(&rest, scratch)).size > 0) {
        /* Once a run was cut nothing may follow it, or the text would have a hole. */
        if (written == size) {
            size_t fits = utf8_cut(run, capacity - written);

            if (fits > 0)
                memcpy(buffer + written, run.data, fits);
            written += fits;
        }
        size += run.size;
    }
    assert(written <= capacity);
    *ret_written = written;
    return size;
}

bool json_string_text(const struct json_value *string, char *buffer, size_t capacity,
                      struct slice *ret_text)
{
    size_t written;

    if (!string->has_escapes) {
        *ret_text = json_string_body(string);
        return true;
    }
    if (json_string_decode(string, buffer, capacity, &written) > capacity)
        return false;
    *ret_text = (struct slice){buffer, written};
    return true;
}

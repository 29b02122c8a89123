/*
 * A template is compiled into segments: pieces of the text as it stands, and places.
 * Filling in walks over the segments and writes one after the other; its time is that of
 * copying, plus 20 to 50 ns for each place. The time is formatted once per millisecond.
 */
#include "tools/load/load_template.h"

#include <stdio.h>

#include "contracts/uuid.h"
#include "tools/options.h"

enum {
    NUMBER_SIZE_MAX = 20,
    RANDOM_MAX_DEFAULT = 999999999,
};

void load_values_init(struct load_values *values, uint64_t seed)
{
    *values = (struct load_values){.now_ms = UINT64_MAX};
    rng_init_seed(&values->rng, seed);
}

/* --- compiling ------------------------------------------------------------ */

static bool complain(char message[LOAD_TEMPLATE_MESSAGE_SIZE], const char *why, struct slice text)
{
    snprintf(message, LOAD_TEMPLATE_MESSAGE_SIZE, "%s: %.*s", why, (int)min_u64(text.size, 60),
             text.data);
    return false;
}

static bool add(struct load_template *template, const struct load_segment *segment, size_t size_max,
                char message[LOAD_TEMPLATE_MESSAGE_SIZE])
{
    if (template->segment_count == LOAD_TEMPLATE_SEGMENT_COUNT_MAX)
        return complain(message, "too many places", segment->text);
    template->segments[template->segment_count++] = *segment;
    template->size_max += size_max;
    template->is_fixed = template->is_fixed && segment->kind == LOAD_SEGMENT_LITERAL;
    return true;
}

/* "5..10" */
static bool parse_range(struct slice text, struct load_segment *segment)
{
    char copy[64];
    char *dots;

    if (text.size >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    dots = strstr(copy, "..");
    if (dots == NULL)
        return false;
    *dots = '\0';
    return option_parse_number(copy, &segment->min) &&
           option_parse_number(dots + 2, &segment->max) && segment->min <= segment->max &&
           segment->max < UINT64_MAX;
}

/* Counts the choices; gives the size of the longest. */
static size_t measure_picks(struct load_segment *segment)
{
    size_t longest = 0, size = 0;

    segment->pick_count = 1;
    for (size_t i = 0; i < segment->text.size; i++) {
        bool is_bar = segment->text.data[i] == '|';

        size = is_bar ? 0 : size + 1;
        segment->pick_count += is_bar;
        longest = max_u64(longest, size);
    }
    return longest;
}

static bool starts_with(struct slice text, struct slice head)
{
    return text.size >= head.size && memcmp(text.data, head.data, head.size) == 0;
}

/* What stands between the braces. */
static bool add_place(struct load_template *template, struct slice name,
                      char message[LOAD_TEMPLATE_MESSAGE_SIZE])
{
    static const struct slice RANDOM = SLICE_INITIALIZER("random:");
    static const struct slice PICK = SLICE_INITIALIZER("pick:");
    struct load_segment segment = {.kind = LOAD_SEGMENT_RANDOM, .max = RANDOM_MAX_DEFAULT};
    size_t size_max = NUMBER_SIZE_MAX;

    if (slice_equal(name, SLICE_LITERAL("uuid"))) {
        segment.kind = LOAD_SEGMENT_UUID;
        size_max = UUID_TEXT_SIZE;
    } else if (slice_equal(name, SLICE_LITERAL("now"))) {
        segment.kind = LOAD_SEGMENT_NOW;
        size_max = TIMESTAMP_TEXT_SIZE;
    } else if (slice_equal(name, SLICE_LITERAL("seq"))) {
        segment.kind = LOAD_SEGMENT_SEQ;
    } else if (starts_with(name, RANDOM)) {
        if (!parse_range((struct slice){name.data + RANDOM.size, name.size - RANDOM.size},
                         &segment))
            return complain(message, "a range is two numbers, as in {{random:5..10}}, not", name);
    } else if (starts_with(name, PICK)) {
        segment.kind = LOAD_SEGMENT_PICK;
        segment.text = (struct slice){name.data + PICK.size, name.size - PICK.size};
        size_max = measure_picks(&segment);
    } else if (!slice_equal(name, SLICE_LITERAL("random"))) {
        return complain(message,
                        "there is no such place to fill in; known are uuid, now, seq, "
                        "random and pick",
                        name);
    }
    return add(template, &segment, size_max, message);
}

bool load_template_compile(struct load_template *template, struct slice text,
                           char message[LOAD_TEMPLATE_MESSAGE_SIZE])
{
    const char *at = text.data;
    const char *end = text.data + text.size;

    *template = (struct load_template){.is_fixed = true};
    while (at < end) {
        const char *open = memmem(at, (size_t)(end - at), "{{", 2);
        const char *stop = open == NULL ? end : open;
        struct load_segment literal = {.text = {at, (size_t)(stop - at)}};
        const char *close;

        if (stop > at && !add(template, &literal, literal.text.size, message))
            return false;
        if (open == NULL)
            return true;
        close = memmem(open + 2, (size_t)(end - open) - 2, "}}", 2);
        if (close == NULL)
            return complain(message, "the braces are not closed",
                            (struct slice){open, (size_t)(end - open)});
        if (!add_place(template, (struct slice){open + 2, (size_t)(close - open) - 2}, message))
            return false;
        at = close + 2;
    }
    return true;
}

void load_template_literal(struct load_template *template, struct slice text)
{
    *template = (struct load_template){
        .segments = {{.text = text}}, .segment_count = 1, .size_max = text.size, .is_fixed = true};
}

/* --- filling in ----------------------------------------------------------- */

static size_t write_number(uint64_t number, char *buffer)
{
    char digits[NUMBER_SIZE_MAX];
    size_t size = 0;

    do {
        digits[NUMBER_SIZE_MAX - ++size] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(buffer, digits + NUMBER_SIZE_MAX - size, size);
    return size;
}

static size_t write_uuid(struct load_values *values, char *buffer)
{
    uint64_t bits[2] = {rng_next(&values->rng), rng_next(&values->rng)};
    uint8_t bytes[UUID_SIZE];

    memcpy(bytes, bits, sizeof(bytes));
    uuid_format_v4(bytes, buffer);
    return UUID_TEXT_SIZE;
}

/* Many requests start in the same millisecond. */
static size_t write_now(struct load_values *values, char *buffer)
{
    if (values->now_ms != values->unix_ms) {
        timestamp_format((int64_t)values->unix_ms, values->now);
        values->now_ms = values->unix_ms;
    }
    memcpy(buffer, values->now, TIMESTAMP_TEXT_SIZE);
    return TIMESTAMP_TEXT_SIZE;
}

static size_t write_pick(const struct load_segment *segment, uint64_t chosen, char *buffer)
{
    const char *at = segment->text.data;
    const char *end = at + segment->text.size;
    const char *bar;

    for (; chosen > 0; chosen--)
        at = (const char *)memchr(at, '|', (size_t)(end - at)) + 1;
    bar = memchr(at, '|', (size_t)(end - at));
    end = bar == NULL ? end : bar;
    memcpy(buffer, at, (size_t)(end - at));
    return (size_t)(end - at);
}

static size_t write_segment(const struct load_segment *segment, struct load_values *values,
                            char *buffer)
{
    switch (segment->kind) {
    case LOAD_SEGMENT_LITERAL:
        memcpy(buffer, segment->text.data, segment->text.size);
        return segment->text.size;
    case LOAD_SEGMENT_UUID:
        return write_uuid(values, buffer);
    case LOAD_SEGMENT_NOW:
        return write_now(values, buffer);
    case LOAD_SEGMENT_SEQ:
        return write_number(values->seq, buffer);
    case LOAD_SEGMENT_RANDOM:
        return write_number(segment->min + rng_below(&values->rng, segment->max - segment->min + 1),
                            buffer);
    case LOAD_SEGMENT_PICK:
        return write_pick(segment, rng_below(&values->rng, segment->pick_count), buffer);
    }
    assert(false);
    return 0;
}

size_t load_template_render(const struct load_template *template, struct load_values *values,
                            char *buffer)
{
    size_t size = 0;

    for (uint32_t i = 0; i < template->segment_count; i++)
        size += write_segment(&template->segments[i], values, buffer + size);
    assert(size <= template->size_max);
    return size;
}

/*
 * Both texts are built from parts, and a part is what JavaScript's template literal
 * makes of a value. Arrays are the one odd case: Array.prototype.join() puts commas
 * between elements, writes null as nothing, and calls itself for nested arrays, so
 * [[1,2],[],null] becomes "1,2,,". No level adds brackets, hence a walk that knows
 * only its depth prints the same, without recursion.
 */
#include "contracts/fingerprint.h"

#include "contracts/json_number.h"
#include "contracts/json_string.h"
#include "contracts/siphash.h"
#include "contracts/utf8.h"

enum { HASH_SUFFIX_SIZE = 1 + 2 * SIPHASH_128_SIZE }; /* "~" and the digits */

/* A part under construction; cut once it would grow beyond its bound. */
struct part {
    char text[FINGERPRINT_PART_SIZE_MAX];
    size_t size;
    bool is_cut;
};

static void append(struct part *part, struct slice text)
{
    size_t room = sizeof(part->text) - part->size;
    size_t fits;

    assert(part->size <= sizeof(part->text));
    if (part->is_cut || text.size == 0)
        return;
    fits = utf8_cut(text, room);
    memcpy(part->text + part->size, text.data, fits);
    part->size += fits;
    part->is_cut = fits < text.size;
}

static void append_string(struct part *part, const struct json_value *value)
{
    struct slice rest = json_string_body(value);
    struct slice run;
    char scratch[4];

    while ((run = json_string_next_run(&rest, scratch)).size > 0)
        append(part, run);
}

/* A number too long to be converted stands for itself. */
static void append_number(struct part *part, const struct json_value *value)
{
    char text[JSON_NUMBER_TEXT_SIZE];
    size_t size = json_number_format(value->raw, text);

    append(part, size > 0 ? (struct slice){text, size} : value->raw);
}

/* A value inside of an array, which is none itself. */
static void append_element(struct part *part, const struct json_value *value)
{
    switch (value->type) {
    case JSON_STRING:
        append_string(part, value);
        break;
    case JSON_NUMBER:
        append_number(part, value);
        break;
    case JSON_BOOLEAN:
        append(part, value->is_true ? SLICE_LITERAL("true") : SLICE_LITERAL("false"));
        break;
    case JSON_OBJECT:
        append(part, SLICE_LITERAL("[object Object]"));
        break;
    case JSON_NULL:
    case JSON_ABSENT:
    case JSON_ARRAY:
        break;
    }
}

/* The array was validated when the event was read; here nothing can go wrong. */
static void append_array(struct part *part, struct slice raw)
{
    struct json_reader reader;
    struct json_value value;
    enum json_type type;
    enum json_result result;
    uint32_t depth = 1;
    bool is_first = true;

    json_reader_init(&reader, raw, JSON_DEPTH_MAX);
    result = json_reader_enter_array(&reader);
    assert(result == JSON_OK);
    while (depth > 0 && !part->is_cut) {
        result = json_reader_next_element(&reader);
        if (result == JSON_END) {
            depth--;
            is_first = false;
            continue;
        }
        if (!is_first)
            append(part, SLICE_LITERAL(","));
        is_first = false;
        result = json_reader_peek(&reader, &type);
        assert(result == JSON_OK);
        if (type == JSON_ARRAY) {
            result = json_reader_enter_array(&reader);
            depth++;
            is_first = true;
        } else {
            result = json_reader_read(&reader, &value);
            append_element(part, &value);
        }
        assert(result == JSON_OK);
    }
}

/* Replaces the end of a part that was cut by a hash of the whole value. */
static void append_hash(struct part *part, struct slice raw)
{
    static const uint8_t KEY[SIPHASH_KEY_SIZE] = {0}; /* only distinguishes, protects nothing */
    static const char HEX[] = "0123456789abcdef";
    uint8_t hash[SIPHASH_128_SIZE];

    siphash_128(KEY, raw, hash);
    part->size = utf8_cut((struct slice){part->text, part->size},
                          FINGERPRINT_PART_SIZE_MAX - HASH_SUFFIX_SIZE);
    part->text[part->size++] = '~';
    for (int i = 0; i < SIPHASH_128_SIZE; i++) {
        part->text[part->size++] = HEX[hash[i] >> 4];
        part->text[part->size++] = HEX[hash[i] & 15];
    }
    assert(part->size <= sizeof(part->text));
}

static void build_part(const struct json_value *value, struct part *part)
{
    part->size = 0;
    part->is_cut = false;
    if (value->type == JSON_ABSENT || value->type == JSON_NULL)
        append(part, SLICE_LITERAL("unknown"));
    else if (value->type == JSON_ARRAY)
        append_array(part, value->raw);
    else
        append_element(part, value);
    if (unlikely(part->is_cut))
        append_hash(part, value->raw);
}

size_t fingerprint_part_write(const struct json_value *value,
                              char ret_text[FINGERPRINT_PART_SIZE_MAX])
{
    struct part part;

    /* What nearly all are: a short string that stands for itself. */
    if (value->type == JSON_STRING && !value->has_escapes &&
        value->raw.size - 2 <= FINGERPRINT_PART_SIZE_MAX) {
        struct slice body = json_string_body(value);

        memcpy(ret_text, body.data, body.size);
        return body.size;
    }
    build_part(value, &part);
    memcpy(ret_text, part.text, part.size);
    return part.size;
}

static size_t join(char *text, const struct slice *pieces, size_t piece_count)
{
    size_t size = 0;

    for (size_t i = 0; i < piece_count; i++) {
        if (i > 0)
            text[size++] = '|';
        if (pieces[i].size > 0)
            memcpy(text + size, pieces[i].data, pieces[i].size);
        size += pieces[i].size;
    }
    return size;
}

size_t fingerprint_write(const struct raw_event *event, char ret_text[FINGERPRINT_SIZE_MAX])
{
    struct part error_code;
    struct part route;
    struct slice environment = event_environment_name(event->environment);

    if (event->type != EVENT_TYPE_ERROR)
        return join(ret_text, (struct slice[]){event_type_name(event->type), environment}, 2);
    build_part(&event->error_code, &error_code);
    build_part(&event->route, &route);
    return join(
        ret_text,
        (struct slice[]){{error_code.text, error_code.size}, {route.text, route.size}, environment},
        3);
}

size_t partition_key_write(const struct raw_event *event, struct slice org_id,
                           struct slice project_id, char *text, size_t capacity)
{
    char error_code[FINGERPRINT_PART_SIZE_MAX], route[FINGERPRINT_PART_SIZE_MAX];
    struct slice pieces[4] = {org_id, project_id};
    size_t piece_count = 3;
    size_t size = 0;

    if (event->type == EVENT_TYPE_ERROR) {
        pieces[2] =
            (struct slice){error_code, fingerprint_part_write(&event->error_code, error_code)};
        pieces[3] = (struct slice){route, fingerprint_part_write(&event->route, route)};
        piece_count = 4;
    } else {
        pieces[2] = event_type_name(event->type);
    }
    for (size_t i = 0; i < piece_count; i++)
        size += pieces[i].size + (i > 0);
    if (size > capacity)
        return 0;
    return join(text, pieces, piece_count);
}

struct slice metric_name(enum event_type type)
{
    switch (type) {
    case EVENT_TYPE_ERROR:
        return SLICE_LITERAL("error_count");
    case EVENT_TYPE_SIGNUP:
        return SLICE_LITERAL("signup_count");
    case EVENT_TYPE_HTTP_REQUEST:
    case EVENT_TYPE_DEPLOY:
    case EVENT_TYPE_FEEDBACK:
    case EVENT_TYPE_CUSTOM:
    case EVENT_TYPE_COUNT:
        break;
    }
    return (struct slice){NULL, 0};
}

int64_t metric_bucket(int64_t unix_ms)
{
    int64_t into = unix_ms % METRIC_BUCKET_MS;

    return unix_ms - into - (into < 0 ? METRIC_BUCKET_MS : 0);
}

uint32_t murmur2(struct slice bytes)
{
    const uint32_t multiplier = 0x5bd1e995;
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t left = bytes.size;
    uint32_t hash = 0x9747b28c ^ (uint32_t)bytes.size;

    for (; left >= 4; at += 4, left -= 4) {
        uint32_t word;

        memcpy(&word, at, sizeof(word));
        word *= multiplier;
        word ^= word >> 24;
        word *= multiplier;
        hash *= multiplier;
        hash ^= word;
    }
    if (left > 0) {
        for (size_t i = 0; i < left; i++)
            hash ^= (uint32_t)at[i] << (8 * i);
        hash *= multiplier;
    }
    hash ^= hash >> 13;
    hash *= multiplier;
    return hash ^ hash >> 15;
}

uint32_t partition_of(struct slice key, uint32_t partition_count)
{
    assert(partition_count > 0);
    return (murmur2(key) & 0x7fffffff) % partition_count;
}

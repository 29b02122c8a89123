#include "contracts/series.h"

#include "contracts/json_string.h"
#include "contracts/utf8.h"

/*
 * An error's group is a list of parts: code and route, or what the client gave. Both the
 * key and the text are made from that list. In the key, before the parts, stands all that
 * has a fixed size; each part follows its size. Keys of ordinary errors are those of the
 * two parts of the default, whether the client asked for the default or not.
 *
 * Templates work on a part as it is after cutting, so a route beyond
 * FINGERPRINT_PART_SIZE_MAX keeps a hash of all of it at its end.
 */

enum {
    HEX_ID_SIZE_MIN = 8, /* shorter ones are words more often than not: "cafe", "deadbeef" is */
    KEY_SIZE_MAX = 16 + (SERIES_PART_COUNT_MAX + 1) * (FINGERPRINT_PART_SIZE_MAX + 2),
};

/* What is counted: the second byte of a key's text. */
enum {
    COUNT_ERRORS = 'e',
    COUNT_SIGNUPS = 's',
    COUNT_OVERFLOW = 'o',
};

struct parts {
    char bytes[(SERIES_PART_COUNT_MAX + 1) * FINGERPRINT_PART_SIZE_MAX];
    uint32_t sizes[SERIES_PART_COUNT_MAX + 1];
    uint32_t count;
    size_t size;
};

/* --- routes ------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Letters alone are a name, whatever their number: only digits make it an id. */
static bool is_id(struct slice segment)
{
    size_t digit_count = 0, hex_count = 0, dash_count = 0;

    for (size_t i = 0; i < segment.size; i++) {
        digit_count += is_digit(segment.data[i]);
        hex_count += is_hex(segment.data[i]);
        dash_count += segment.data[i] == '-';
    }
    if (digit_count == 0)
        return false;
    if (digit_count == segment.size)
        return true;
    if (hex_count == segment.size)
        return segment.size >= HEX_ID_SIZE_MIN;
    return segment.size == UUID_TEXT_SIZE && dash_count == 4 && hex_count + 4 == segment.size;
}

/* Turns a route into its template, in place; never longer than it was, but for short ids. */
static size_t make_template(char *text, size_t size, size_t capacity)
{
    static const char ID[] = "{id}";
    char out[2 * FINGERPRINT_PART_SIZE_MAX + 8];
    size_t at = 0, written = 0;

    assert(size <= FINGERPRINT_PART_SIZE_MAX);
    while (at < size && text[at] != '?' && text[at] != '#') {
        size_t end = at;
        struct slice segment;

        while (end < size && text[end] != '/' && text[end] != '?' && text[end] != '#')
            end++;
        segment = (struct slice){text + at, end - at};
        if (is_id(segment))
            segment = (struct slice){ID, sizeof(ID) - 1};
        /* A one-digit id grows by three bytes: at most 256 / 2 of them. */
        if (written + segment.size + 1 > sizeof(out))
            break;
        if (segment.size > 0)
            memcpy(out + written, segment.data, segment.size);
        written += segment.size;
        at = end;
        if (at < size && text[at] == '/') {
            out[written++] = '/';
            at++;
        }
    }
    written = utf8_cut((struct slice){out, written}, capacity);
    memcpy(text, out, written);
    return written;
}

/* True when the route has anything that a template would leave out. Most have not. */
static bool is_template(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (is_digit(text[i]) || text[i] == '?' || text[i] == '#')
            return false;
    return true;
}

/* --- parts -------------------------------------------------------------------- */

static char *next_part(struct parts *parts)
{
    assert(parts->count < ARRAY_COUNT(parts->sizes));
    assert(parts->size + FINGERPRINT_PART_SIZE_MAX <= sizeof(parts->bytes));
    return parts->bytes + parts->size;
}

static void end_part(struct parts *parts, size_t size)
{
    assert(size <= FINGERPRINT_PART_SIZE_MAX);
    parts->sizes[parts->count++] = (uint32_t)size;
    parts->size += size;
}

size_t series_route_write(const struct raw_event *event, char ret_text[FINGERPRINT_PART_SIZE_MAX])
{
    size_t size = fingerprint_part_write(&event->route, ret_text);

    return is_template(ret_text, size) ? size
                                       : make_template(ret_text, size, FINGERPRINT_PART_SIZE_MAX);
}

static void add_defaults(const struct raw_event *event, struct parts *parts)
{
    end_part(parts, fingerprint_part_write(&event->error_code, next_part(parts)));
    end_part(parts, series_route_write(event, next_part(parts)));
}

static bool is_default(const struct json_value *value)
{
    return json_string_equal(value, SLICE_LITERAL("{{ default }}")) ||
           json_string_equal(value, SLICE_LITERAL("{{default}}"));
}

/* False when the list has become too long. */
static bool add_override(const struct raw_event *event, const struct json_value *value,
                         struct parts *parts)
{
    if (value->type != JSON_STRING)
        return false;
    if (is_default(value)) {
        if (parts->count + 2 > SERIES_PART_COUNT_MAX)
            return false;
        add_defaults(event, parts);
        return true;
    }
    if (parts->count == SERIES_PART_COUNT_MAX)
        return false;
    end_part(parts, fingerprint_part_write(value, next_part(parts)));
    return true;
}

/* False when the client gave none that can be used. */
static bool add_overrides(const struct raw_event *event, struct parts *parts)
{
    struct json_reader reader;
    struct json_value value;

    if (event->fingerprint.type == JSON_STRING)
        return add_override(event, &event->fingerprint, parts);
    if (event->fingerprint.type != JSON_ARRAY)
        return false;
    json_reader_init(&reader, event->fingerprint.raw, JSON_DEPTH_MAX);
    if (json_reader_enter_array(&reader) != JSON_OK)
        return false;
    while (json_reader_next_element(&reader) == JSON_OK)
        if (json_reader_read(&reader, &value) != JSON_OK || !add_override(event, &value, parts))
            return false;
    return parts->count > 0;
}

static void find_parts(const struct raw_event *event, struct parts *parts)
{
    parts->count = 0;
    parts->size = 0;
    if (likely(event->fingerprint.type == JSON_ABSENT))
        add_defaults(event, parts);
    else if (!add_overrides(event, parts)) {
        parts->count = 0;
        parts->size = 0;
        add_defaults(event, parts);
    }
}

/* --- keys and texts ------------------------------------------------------------- */

uint64_t series_project(const uint8_t hash_key[SIPHASH_KEY_SIZE], struct slice org,
                        struct slice project)
{
    char text[2 * UINT8_MAX + 2];
    uint64_t hash;

    assert(org.size <= UINT8_MAX);
    assert(project.size <= UINT8_MAX);
    text[0] = (char)org.size;
    memcpy(text + 1, org.data, org.size);
    text[1 + org.size] = (char)project.size;
    memcpy(text + 2 + org.size, project.data, project.size);
    hash = siphash_64(hash_key, (struct slice){text, org.size + project.size + 2});
    return hash == 0 ? 1 : hash;
}

/* Hashes what stands in text up to at; never 0, 0. */
static void hash_key(const struct series_scope *scope, const char *text, const char *at,
                     uint64_t ret_key[2])
{
    uint8_t hash[SIPHASH_128_SIZE];

    siphash_128(scope->hash_key, (struct slice){text, (size_t)(at - text)}, hash);
    memcpy(ret_key, hash, sizeof(hash));
    if ((ret_key[0] | ret_key[1]) == 0)
        ret_key[0] = 1;
}

static char *begin_key(const struct series_scope *scope, char what,
                       enum event_environment environment, char *text)
{
    assert(scope->project != 0);
    text[0] = SERIES_VERSION;
    text[1] = what;
    text[2] = (char)environment;
    memcpy(text + 3, &scope->project, sizeof(scope->project));
    return text + 3 + sizeof(scope->project);
}

/* Writes one part behind its size; returns where the next one goes. */
static char *put_part(char *at, const char *bytes, size_t size)
{
    uint16_t size_on_paper = (uint16_t)size;

    memcpy(at, &size_on_paper, sizeof(size_on_paper));
    memcpy(at + sizeof(size_on_paper), bytes, size);
    return at + sizeof(size_on_paper) + size;
}

static char *put_overrides(const struct raw_event *event, char *at)
{
    struct parts parts;
    size_t from = 0;

    find_parts(event, &parts);
    for (uint32_t i = 0; i < parts.count; i++) {
        at = put_part(at, parts.bytes + from, parts.sizes[i]);
        from += parts.sizes[i];
    }
    return at;
}

bool series_key(const struct series_scope *scope, const struct raw_event *event,
                uint64_t ret_key[2])
{
    char text[KEY_SIZE_MAX], part[FINGERPRINT_PART_SIZE_MAX], *at;

    if (event->type == EVENT_TYPE_SIGNUP) {
        at = begin_key(scope, COUNT_SIGNUPS, event->environment, text);
        hash_key(scope, text, at, ret_key);
        return true;
    }
    if (event->type != EVENT_TYPE_ERROR)
        return false;
    at = begin_key(scope, COUNT_ERRORS, event->environment, text);
    if (likely(event->fingerprint.type == JSON_ABSENT)) {
        at = put_part(at, part, fingerprint_part_write(&event->error_code, part));
        at = put_part(at, part, series_route_write(event, part));
    } else {
        at = put_overrides(event, at);
    }
    hash_key(scope, text, at, ret_key);
    return true;
}

void series_overflow_key(const struct series_scope *scope, enum event_environment environment,
                         uint64_t ret_key[2])
{
    char text[16];

    hash_key(scope, text, begin_key(scope, COUNT_OVERFLOW, environment, text), ret_key);
}

size_t series_text_write(const struct raw_event *event, char ret_text[FINGERPRINT_SIZE_MAX])
{
    struct slice environment = event_environment_name(event->environment);
    size_t room = FINGERPRINT_SIZE_MAX - 1 - environment.size, size = 0, from = 0;
    struct parts parts;

    if (event->type != EVENT_TYPE_ERROR)
        return fingerprint_write(event, ret_text);
    find_parts(event, &parts);
    for (uint32_t i = 0; i < parts.count && size < room; i++) {
        size_t fits;

        if (i > 0)
            ret_text[size++] = '|';
        fits = utf8_cut((struct slice){parts.bytes + from, parts.sizes[i]}, room - size);
        memcpy(ret_text + size, parts.bytes + from, fits);
        size += fits;
        from += parts.sizes[i];
    }
    ret_text[size++] = '|';
    memcpy(ret_text + size, environment.data, environment.size);
    return size + environment.size;
}

/*
 * Why this is not the C library's: glibc keeps one zone for the whole process, set by
 * an environment variable behind a lock, allocates whenever it changes, and answers
 * for a gap or an overlap with whatever tm_isdst made it guess. GLib's GTimeZone
 * allocates and reads files when first asked for a zone. Here many zones are used at
 * once, nothing after start-up may allocate, and a schedule must know a gap from an
 * overlap. RFC 8536 (now RFC 9636) describes the file; it is small:
 *
 *     header     "TZif", version (NUL, '2', '3', '4'), 15 reserved bytes, six counts,
 *                big-endian: isut, isstd, leap, time, type, char
 *     block      transition times    time x 4 bytes     ascending
 *                transition types    time x 1           index of the type from then on
 *                types               type x 6           offset (4), is_dst, char index
 *                characters          char x 1           abbreviations, each with a NUL
 *                leap seconds        leap x 8           refused here
 *                standard/wall       isstd x 1          0 or 1, isstd is 0 or type
 *                UT/local            isut x 1           the same
 *     header     again, from version 2 on
 *     block      again, with times of 8 bytes (and leap seconds of 12)
 *     footer     '\n', rule, '\n'
 *
 * The standard/wall and UT/local flags matter only to programs that apply a POSIX rule
 * to another zone's table; they are checked and forgotten.
 *
 * Questions about local time walk over the spans around it, from the earliest instant
 * whose local time could be that to the latest: no offset differs from UTC by more
 * than the bounds, so these are two days, which real zones fill with two spans and a
 * forged table with no more than it has entries.
 */
#include "contracts/time_zone.h"

enum { HEADER_SIZE = 44, TYPE_SIZE = 6 };

/* Transitions must be sane for offsets to be added: RFC 8536 asks for -2^59 and above. */
#define TRANSITION_MIN (-(INT64_C(1) << 59))
#define TRANSITION_MAX (INT64_C(1) << 59)

static_assert(sizeof(struct time_zone) <= 8192, "zones are embedded in bounded tables");
static_assert(TIME_ZONE_TYPE_COUNT_MAX <= 256, "a type's index is one byte");
static_assert(TIME_ZONE_CHAR_COUNT_MAX <= 256, "an abbreviation's index is one byte");

struct header {
    uint8_t version; /* 1 to 4 */
    uint32_t isut_count;
    uint32_t isstd_count;
    uint32_t leap_count;
    uint32_t transition_count;
    uint32_t type_count;
    uint32_t char_count;
};

static void check(const struct time_zone *zone)
{
    assert(zone->transition_count <= TIME_ZONE_TRANSITION_COUNT_MAX);
    assert(zone->type_count >= 1);
    assert(zone->type_count <= TIME_ZONE_TYPE_COUNT_MAX);
}

bool time_zone_name_is_valid(struct slice name)
{
    char before = '/'; /* so that a slash at the beginning is the second of two */

    if (name.size == 0 || name.size > TIME_ZONE_NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char byte = name.data[i];

        if (byte == '/' ? before == '/' : !time_zone_byte_is_abbrev(byte) && byte != '_')
            return false;
        before = byte;
    }
    return before != '/';
}

struct slice time_zone_result_text(enum time_zone_result result)
{
    switch (result) {
    case TIME_ZONE_OK:
        return SLICE_LITERAL("ok");
    case TIME_ZONE_BAD:
        return SLICE_LITERAL("not a valid TZif file");
    case TIME_ZONE_TOO_BIG:
        return SLICE_LITERAL("a TZif file with more in it than any known zone has");
    case TIME_ZONE_UNKNOWN_VERSION:
        return SLICE_LITERAL("a TZif file of a version above 4");
    case TIME_ZONE_LEAP_SECONDS:
        return SLICE_LITERAL("a TZif file that counts leap seconds, which Unix time does not");
    }
    assert(false && "an enum time_zone_result");
    return SLICE_LITERAL("");
}

/* ---- The binary part ---- */

static uint64_t read_big_endian(const char *at, size_t size)
{
    uint64_t value = 0;

    assert(size <= 8);
    for (size_t i = 0; i < size; i++)
        value = value << 8 | (unsigned char)at[i];
    return value;
}

/* Consumes size bytes of bytes. NULL, and nothing consumed, when there are fewer. */
static const char *take(struct slice *bytes, uint64_t size)
{
    const char *at = bytes->data;

    if (size > bytes->size)
        return NULL;
    bytes->data += size;
    bytes->size -= size;
    return at;
}

static enum time_zone_result read_header(struct slice *bytes, struct header *ret_header)
{
    const char *at = take(bytes, HEADER_SIZE);
    uint32_t counts[6];

    if (at == NULL || memcmp(at, "TZif", 4) != 0)
        return TIME_ZONE_BAD;
    if (at[4] != '\0' && (at[4] < '2' || at[4] > '4'))
        return at[4] > '4' && at[4] <= '9' ? TIME_ZONE_UNKNOWN_VERSION : TIME_ZONE_BAD;
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
        counts[i] = (uint32_t)read_big_endian(at + 20 + 4 * i, 4);
    *ret_header = (struct header){
        .version = at[4] == '\0' ? 1 : (uint8_t)(at[4] - '0'),
        .isut_count = counts[0],
        .isstd_count = counts[1],
        .leap_count = counts[2],
        .transition_count = counts[3],
        .type_count = counts[4],
        .char_count = counts[5],
    };
    return TIME_ZONE_OK;
}

/* How many bytes follow the header, when its times have time_size bytes each. */
static uint64_t block_size(const struct header *header, uint64_t time_size)
{
    return header->transition_count * (time_size + 1) + header->type_count * (uint64_t)TYPE_SIZE +
           header->char_count + header->leap_count * (time_size + 4) + header->isstd_count +
           header->isut_count;
}

static enum time_zone_result check_counts(const struct header *header)
{
    if (header->leap_count != 0)
        return TIME_ZONE_LEAP_SECONDS;
    if (header->type_count == 0 || header->char_count == 0)
        return TIME_ZONE_BAD;
    if (header->isut_count != 0 && header->isut_count != header->type_count)
        return TIME_ZONE_BAD;
    if (header->isstd_count != 0 && header->isstd_count != header->type_count)
        return TIME_ZONE_BAD;
    if (header->transition_count > TIME_ZONE_TRANSITION_COUNT_MAX ||
        header->type_count > TIME_ZONE_TYPE_COUNT_MAX ||
        header->char_count > TIME_ZONE_CHAR_COUNT_MAX)
        return TIME_ZONE_TOO_BIG;
    return TIME_ZONE_OK;
}

static bool read_transitions(const char *times, const char *types, size_t time_size,
                             struct time_zone *zone)
{
    for (uint32_t i = 0; i < zone->transition_count; i++) {
        uint64_t bits = read_big_endian(times + i * time_size, time_size);
        int64_t time = time_size == 4 ? (int32_t)(uint32_t)bits : (int64_t)bits;
        uint8_t type = (uint8_t)types[i];

        if (time < TRANSITION_MIN || time > TRANSITION_MAX)
            return false;
        if (i > 0 && time <= zone->transitions[i - 1])
            return false;
        if (type >= zone->type_count)
            return false;
        zone->transitions[i] = time;
        zone->transition_types[i] = type;
    }
    return true;
}

/* True when an abbreviation stands at the index, with its NUL. */
static bool abbrev_is_valid(const struct time_zone *zone, uint32_t index, uint32_t char_count)
{
    uint32_t size = 0;

    while (index + size < char_count && time_zone_byte_is_abbrev(zone->chars[index + size]))
        size++;
    return size > 0 && size <= TIME_ZONE_ABBREV_SIZE_MAX && index + size < char_count &&
           zone->chars[index + size] == '\0';
}

static bool read_types(const char *at, uint32_t char_count, struct time_zone *zone)
{
    for (uint32_t i = 0; i < zone->type_count; i++, at += TYPE_SIZE) {
        int32_t offset_s = (int32_t)(uint32_t)read_big_endian(at, 4);
        uint8_t is_dst = (uint8_t)at[4];
        uint8_t abbrev_index = (uint8_t)at[5];

        if (offset_s < TIME_ZONE_OFFSET_S_MIN || offset_s > TIME_ZONE_OFFSET_S_MAX || is_dst > 1)
            return false;
        if (!abbrev_is_valid(zone, abbrev_index, char_count))
            return false;
        zone->types[i] = (struct time_zone_type){offset_s, is_dst == 1, abbrev_index};
    }
    return true;
}

/* A type given in UT must be given in standard time too. */
static bool flags_are_valid(const char *isstd, const char *isut, const struct header *header)
{
    for (uint32_t i = 0; i < header->isstd_count; i++)
        if ((uint8_t)isstd[i] > 1)
            return false;
    for (uint32_t i = 0; i < header->isut_count; i++)
        if ((uint8_t)isut[i] > 1 || (isut[i] == 1 && (header->isstd_count == 0 || isstd[i] == 0)))
            return false;
    return true;
}

static enum time_zone_result read_block(struct slice *bytes, const struct header *header,
                                        size_t time_size, struct time_zone *zone)
{
    enum time_zone_result result = check_counts(header);
    const char *times;
    const char *transition_types;
    const char *types;
    const char *chars;
    const char *isstd;
    const char *isut;

    if (result != TIME_ZONE_OK)
        return result;
    if (block_size(header, time_size) > bytes->size)
        return TIME_ZONE_BAD;
    times = take(bytes, header->transition_count * time_size);
    transition_types = take(bytes, header->transition_count);
    types = take(bytes, header->type_count * TYPE_SIZE);
    chars = take(bytes, header->char_count);
    isstd = take(bytes, header->isstd_count);
    isut = take(bytes, header->isut_count);
    zone->transition_count = header->transition_count;
    zone->type_count = header->type_count;
    memcpy(zone->chars, chars, header->char_count);
    if (!read_transitions(times, transition_types, time_size, zone) ||
        !read_types(types, header->char_count, zone) || !flags_are_valid(isstd, isut, header))
        return TIME_ZONE_BAD;
    return TIME_ZONE_OK;
}

/* All of bytes is "\n", a rule or nothing, "\n". */
static bool read_footer(struct slice bytes, struct time_zone *zone)
{
    struct slice text;

    if (bytes.size < 2 || bytes.data[0] != '\n' || bytes.data[bytes.size - 1] != '\n')
        return false;
    text = (struct slice){bytes.data + 1, bytes.size - 2};
    zone->has_rule = text.size > 0;
    return !zone->has_rule || time_zone_rule_parse(text, &zone->rule);
}

enum time_zone_result time_zone_parse(struct slice bytes, struct time_zone *ret_zone)
{
    struct time_zone zone = {.transition_count = 0};
    struct header header;
    enum time_zone_result result;
    uint8_t version;

    if (bytes.size > TIME_ZONE_FILE_SIZE_MAX)
        return TIME_ZONE_TOO_BIG;
    result = read_header(&bytes, &header);
    if (result != TIME_ZONE_OK)
        return result;
    version = header.version;
    if (version > 1) {
        if (take(&bytes, block_size(&header, 4)) == NULL)
            return TIME_ZONE_BAD;
        result = read_header(&bytes, &header);
        if (result != TIME_ZONE_OK)
            return result;
        if (header.version != version)
            return TIME_ZONE_BAD;
    }
    result = read_block(&bytes, &header, version > 1 ? 8 : 4, &zone);
    if (result != TIME_ZONE_OK)
        return result;
    if (version > 1 ? !read_footer(bytes, &zone) : bytes.size != 0)
        return TIME_ZONE_BAD;
    check(&zone);
    *ret_zone = zone;
    return TIME_ZONE_OK;
}

void time_zone_utc(struct time_zone *ret_zone)
{
    *ret_zone = (struct time_zone){
        .type_count = 1,
        .chars = "UTC",
        .has_rule = true,
        .rule = {.std_abbrev = "UTC"},
    };
    check(ret_zone);
}

/* ---- Spans ---- */

/* The index of the last transition at or before unix_s, which is not before the first. */
static uint32_t transition_at(const struct time_zone *zone, int64_t unix_s)
{
    uint32_t low = 0;
    uint32_t high = zone->transition_count;

    assert(zone->transition_count > 0);
    assert(zone->transitions[0] <= unix_s);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (zone->transitions[middle] <= unix_s)
            low = middle;
        else
            high = middle;
    }
    return low;
}

struct time_zone_span time_zone_span_at(const struct time_zone *zone, int64_t unix_s)
{
    struct time_zone_span span = {.begin_s = INT64_MIN, .end_s = INT64_MAX};
    const struct time_zone_type *type = &zone->types[0];
    uint32_t count = zone->transition_count;

    check(zone);
    if (zone->has_rule && (count == 0 || unix_s >= zone->transitions[count - 1])) {
        span = time_zone_rule_span_at(&zone->rule, unix_s);
        if (count > 0 && span.begin_s < zone->transitions[count - 1])
            span.begin_s = zone->transitions[count - 1];
        return span;
    }
    if (count > 0 && unix_s < zone->transitions[0]) {
        span.end_s = zone->transitions[0];
    } else if (count > 0) {
        uint32_t i = transition_at(zone, unix_s);

        type = &zone->types[zone->transition_types[i]];
        span.begin_s = zone->transitions[i];
        span.end_s = i + 1 < count ? zone->transitions[i + 1] : INT64_MAX;
    }
    span.offset_s = type->offset_s;
    span.is_dst = type->is_dst;
    span.abbrev = slice_of(zone->chars + type->abbrev_index);
    return span;
}

int32_t time_zone_offset_at(const struct time_zone *zone, int64_t unix_s)
{
    return time_zone_span_at(zone, unix_s).offset_s;
}

/* ---- Local time ---- */

int64_t time_zone_reach(const struct time_zone *zone, int64_t local_s)
{
    int64_t at = local_s - TIME_ZONE_OFFSET_S_MAX; /* no clock shows local_s before this */

    for (;;) {
        struct time_zone_span span = time_zone_span_at(zone, at);
        int64_t reached_s = local_s - span.offset_s;

        reached_s = reached_s > at ? reached_s : at;
        if (reached_s < span.end_s)
            return reached_s;
        at = span.end_s;
        assert(at <= local_s - TIME_ZONE_OFFSET_S_MIN);
    }
}

int64_t time_zone_latest_local(const struct time_zone *zone, int64_t unix_s)
{
    struct time_zone_span span = time_zone_span_at(zone, unix_s);
    int64_t latest_s = unix_s + span.offset_s;

    /* Before this nothing later can have been shown, whatever the offset was. */
    while (span.begin_s > latest_s - TIME_ZONE_OFFSET_S_MAX) {
        int64_t local_s;

        span = time_zone_span_at(zone, span.begin_s - 1);
        assert(span.end_s <= unix_s);
        local_s = span.end_s - 1 + span.offset_s;
        latest_s = local_s > latest_s ? local_s : latest_s;
    }
    return latest_s;
}

/* Fills ret_instants for a local time that the clock jumps over at transition_s. */
static void fill_gap(const struct time_zone *zone, int64_t local_s, int64_t transition_s,
                     struct time_zone_instants *ret_instants)
{
    ret_instants->earlier_s = local_s - time_zone_offset_at(zone, transition_s);
    ret_instants->later_s = local_s - time_zone_offset_at(zone, transition_s - 1);
    ret_instants->transition_s = transition_s;
    assert(ret_instants->earlier_s < transition_s);
    assert(ret_instants->later_s >= transition_s);
}

enum time_zone_local time_zone_to_unix(const struct time_zone *zone, const struct civil_time *local,
                                       struct time_zone_instants *ret_instants)
{
    uint32_t count = 0;
    int64_t local_s;

    check(zone);
    if (!civil_time_is_valid(local))
        return TIME_ZONE_NO_DATE;
    local_s = civil_time_seconds(local);
    for (int64_t at = local_s - TIME_ZONE_OFFSET_S_MAX; at <= local_s - TIME_ZONE_OFFSET_S_MIN;) {
        struct time_zone_span span = time_zone_span_at(zone, at);
        int64_t shown_s = local_s - span.offset_s;

        if (shown_s >= at && shown_s < span.end_s) {
            ret_instants->earlier_s = count == 0 ? shown_s : ret_instants->earlier_s;
            ret_instants->later_s = shown_s;
            count++;
        }
        at = span.end_s;
    }
    if (count == 0) {
        fill_gap(zone, local_s, time_zone_reach(zone, local_s), ret_instants);
        return TIME_ZONE_GAP;
    }
    ret_instants->transition_s = ret_instants->earlier_s;
    return count == 1 ? TIME_ZONE_UNIQUE : TIME_ZONE_OVERLAP;
}

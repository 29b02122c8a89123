/*
 * Zone fixture: TZif files to test with, and what must hold in any zone.
 *
 * zone_read_file() gives those of the system (package tzdata). zone_write() makes
 * small ones, whose single bytes a test then spoils. zone_assert_sane_at() aborts when
 * the answers about one instant contradict each other; nothing here needs Criterion,
 * so that fuzzers can use it.
 */
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include "contracts/time_zone.h"

enum { ZONE_HEADER_SIZE = 44, ZONE_WRITTEN_SIZE_MAX = 4096 };

/* What zone_write() makes a file of; times have 4 bytes in version 1, else 8. */
struct zone_source {
    char version; /* 0, '2', '3' ... */
    uint32_t transition_count;
    const int64_t *transitions;
    const char *transition_types;
    uint32_t type_count;
    const struct time_zone_type *types;
    struct slice chars;
    struct slice isstd;
    struct slice isut;
    const char *footer; /* without the line ends; not for version 1 */
};

static inline char *zone_put_number(char *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (char)(value >> (8 * (size - 1 - i)) & 0xff);
    return at + size;
}

static inline char *zone_put_bytes(char *at, const char *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

static inline char *zone_put_header(char *at, const struct zone_source *source)
{
    memset(at, 0, ZONE_HEADER_SIZE);
    memcpy(at, "TZif", 4);
    at[4] = source->version;
    zone_put_number(at + 20, source->isut.size, 4);
    zone_put_number(at + 24, source->isstd.size, 4);
    zone_put_number(at + 32, source->transition_count, 4);
    zone_put_number(at + 36, source->type_count, 4);
    zone_put_number(at + 40, source->chars.size, 4);
    return at + ZONE_HEADER_SIZE;
}

/* Borrows ret_bytes as long as the slice is used. From version 2 on the first block is empty. */
static inline struct slice zone_write(const struct zone_source *source,
                                      char ret_bytes[ZONE_WRITTEN_SIZE_MAX])
{
    struct zone_source nothing = {.version = source->version};
    size_t time_size = source->version == 0 ? 4 : 8;
    char *at = ret_bytes;

    if (source->version != 0)
        at = zone_put_header(at, &nothing);
    at = zone_put_header(at, source);
    for (uint32_t i = 0; i < source->transition_count; i++)
        at = zone_put_number(at, (uint64_t)source->transitions[i], time_size);
    at = zone_put_bytes(at, source->transition_types, source->transition_count);
    for (uint32_t i = 0; i < source->type_count; i++) {
        at = zone_put_number(at, (uint32_t)source->types[i].offset_s, 4);
        *at++ = (char)source->types[i].is_dst;
        *at++ = (char)source->types[i].abbrev_index;
    }
    at = zone_put_bytes(at, source->chars.data, source->chars.size);
    at = zone_put_bytes(at, source->isstd.data, source->isstd.size);
    at = zone_put_bytes(at, source->isut.data, source->isut.size);
    if (source->version != 0) {
        *at++ = '\n';
        at = zone_put_bytes(at, source->footer, strlen(source->footer));
        *at++ = '\n';
    }
    assert(at <= ret_bytes + ZONE_WRITTEN_SIZE_MAX);
    return (struct slice){ret_bytes, (size_t)(at - ret_bytes)};
}

/* A file without a table: the rule holds for all time. */
static inline struct slice zone_write_rule(const char *rule, char ret_bytes[ZONE_WRITTEN_SIZE_MAX])
{
    static const struct time_zone_type TYPE = {0, false, 0};
    struct zone_source source = {
        .version = '3',
        .type_count = 1,
        .types = &TYPE,
        .chars = {"UTC", 4},
        .footer = rule,
    };

    return zone_write(&source, ret_bytes);
}

/* The bytes of a file, at most size of them; 0 when it cannot be read. */
static inline size_t zone_read_path(const char *path, char *ret_bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, ret_bytes, size);

    if (fd >= 0)
        close(fd);
    return count < 0 ? 0 : (size_t)count;
}

/* The same of a zone of the system, which package tzdata brings. */
static inline size_t zone_read_file(const char *name, char *ret_bytes, size_t size)
{
    char path[256];

    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    return zone_read_path(path, ret_bytes, size);
}

static inline bool zone_abbrev_is_sane(struct slice abbrev)
{
    for (size_t i = 0; i < abbrev.size; i++)
        if (abbrev.data[i] <= ' ' || abbrev.data[i] > 'z')
            return false;
    return abbrev.size >= 1 && abbrev.size <= TIME_ZONE_ABBREV_SIZE_MAX;
}

/* The span around the instant, whichever it is, contains it and abuts on the next one. */
static inline void zone_assert_span_at(const struct time_zone *zone, int64_t unix_s)
{
    struct time_zone_span span = time_zone_span_at(zone, unix_s);

    assert(span.begin_s <= unix_s);
    assert(span.end_s > unix_s || span.end_s == INT64_MAX);
    assert(span.offset_s >= TIME_ZONE_OFFSET_S_MIN);
    assert(span.offset_s <= TIME_ZONE_OFFSET_S_MAX);
    assert(zone_abbrev_is_sane(span.abbrev));
    assert(time_zone_offset_at(zone, unix_s) == span.offset_s);
    if (span.begin_s != INT64_MIN)
        assert(time_zone_span_at(zone, span.begin_s - 1).end_s == span.begin_s);
    if (span.end_s != INT64_MAX)
        assert(time_zone_span_at(zone, span.end_s).begin_s == span.end_s);
}

/* The above, and local time and back. unix_s lies in the years 0001 to 9998. */
static inline void zone_assert_sane_at(const struct time_zone *zone, int64_t unix_s)
{
    int64_t local_s = unix_s + time_zone_offset_at(zone, unix_s);
    int64_t latest_s = time_zone_latest_local(zone, unix_s);
    struct civil_time local = civil_time_of(local_s);
    struct time_zone_instants instants;

    zone_assert_span_at(zone, unix_s);
    switch (time_zone_to_unix(zone, &local, &instants)) {
    case TIME_ZONE_UNIQUE:
        assert(instants.earlier_s == unix_s);
        assert(instants.later_s == unix_s);
        break;
    case TIME_ZONE_OVERLAP:
        assert(instants.earlier_s < instants.later_s);
        assert(instants.earlier_s <= unix_s);
        assert(instants.later_s >= unix_s);
        assert(instants.later_s + time_zone_offset_at(zone, instants.later_s) == local_s);
        break;
    case TIME_ZONE_GAP:
    case TIME_ZONE_NO_DATE:
        assert(false && "what a clock has shown exists");
    }
    assert(instants.transition_s == instants.earlier_s);
    /* Before it, when the clock jumps over it first and then falls back to it. */
    assert(time_zone_reach(zone, local_s) <= instants.earlier_s);
    assert(latest_s >= local_s);
    assert(time_zone_reach(zone, latest_s) <= unix_s);
    assert(time_zone_reach(zone, latest_s + 1) > unix_s);
}

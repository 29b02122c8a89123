/*
 * Time zone fixture: the one zone that a test looks at, and how it gets there.
 *
 * load() takes it from the system's files (package tzdata), load_rule() from a rule alone.
 */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/time_zone.h"
#include "tests/support/zone_fixture.h"

/* 1800-01-01 and 2200-01-01. */
#define YEAR_1800 INT64_C(-5364662400)
#define YEAR_2200 INT64_C(7258118400)

/* Zones with every kind of history. */
static const char *const PLACES[] = {
    "Europe/Berlin",    "America/New_York",  "Australia/Lord_Howe", "Asia/Kolkata",
    "America/St_Johns", "Africa/Casablanca", "Pacific/Apia",        "Europe/Dublin",
    "America/Nuuk",     "Asia/Gaza",         "America/Santiago",    "Africa/Monrovia",
    "Asia/Manila",      "Antarctica/Troll",  "America/Juneau",      "UTC",
};

static char file[65536];
static struct time_zone zone;

/* The zone of that name, from the system's files. */
static inline void load(const char *name)
{
    size_t size = zone_read_file(name, file, sizeof(file));

    cr_assert(lt(sz, 0, size), "%s: is package tzdata installed?", name);
    cr_assert(eq(int, time_zone_parse((struct slice){file, size}, &zone), TIME_ZONE_OK), "%s",
              name);
}

/* The zone of a rule alone; what parsing it gave. */
static inline enum time_zone_result load_rule(const char *rule)
{
    return time_zone_parse(zone_write_rule(rule, file), &zone);
}

static inline bool span_is(struct time_zone_span span, int32_t offset_s, bool is_dst,
                           const char *abbrev)
{
    return span.offset_s == offset_s && span.is_dst == is_dst &&
           slice_equal(span.abbrev, slice_of(abbrev));
}

/* Unix seconds. */
static inline int64_t utc(int year, int month, int day, int hour, int minute)
{
    struct civil_time time = {year,          (uint8_t)month,  (uint8_t)day,
                              (uint8_t)hour, (uint8_t)minute, 0};

    return civil_time_seconds(&time);
}

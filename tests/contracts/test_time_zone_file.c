#include "contracts/time_zone.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/contracts/time_zone_fixture.h"
#include "tests/support/guarded_text.h"

/* The bytes of a file: all versions, and what is refused, of files made by hand or damaged. */

TestSuite(time_zone_file, .timeout = 60);

/* ---- Files made by hand ---- */

static const int64_t TRANSITIONS[] = {-1000000, 0, 1000000};
static const struct time_zone_type TYPES[] = {{3600, false, 0}, {7200, true, 4}, {-3600, false, 9}};

/* Standard time, then daylight saving, then an hour behind UTC. */
static struct zone_source good_source(char version)
{
    return (struct zone_source){
        .version = version,
        .transition_count = 3,
        .transitions = TRANSITIONS,
        .transition_types = "\0\1\2",
        .type_count = 3,
        .types = TYPES,
        .chars = {"CET\0CEST\0-01", 13},
        .isstd = {"\1\1\0", 3},
        .isut = {"\1\0\0", 3},
        .footer = "",
    };
}

static enum time_zone_result parse_source(const struct zone_source *source)
{
    return time_zone_parse(zone_write(source, file), &zone);
}

Test(time_zone_file, reads_all_versions)
{
    static const char VERSIONS[] = {'\0', '2', '3', '4'};

    for (size_t i = 0; i < ARRAY_COUNT(VERSIONS); i++) {
        struct zone_source source = good_source(VERSIONS[i]);

        cr_assert(eq(int, parse_source(&source), TIME_ZONE_OK), "%zu", i);
        cr_expect(span_is(time_zone_span_at(&zone, INT64_MIN), 3600, false, "CET"));
        cr_expect(span_is(time_zone_span_at(&zone, -1), 3600, false, "CET"));
        cr_expect(span_is(time_zone_span_at(&zone, 0), 7200, true, "CEST"));
        cr_expect(span_is(time_zone_span_at(&zone, 999999), 7200, true, "CEST"));
        cr_expect(span_is(time_zone_span_at(&zone, INT64_MAX), -3600, false, "-01"));
        zone_assert_sane_at(&zone, 0);
    }
}

Test(time_zone_file, uses_the_rule_only_behind_the_table)
{
    struct zone_source source = good_source('2');

    source.footer = "CET-1CEST,M3.5.0,M10.5.0/3";
    cr_assert(eq(int, parse_source(&source), TIME_ZONE_OK));
    cr_expect(span_is(time_zone_span_at(&zone, 999999), 7200, true, "CEST"));
    cr_expect(span_is(time_zone_span_at(&zone, 1000000), 3600, false, "CET"));
    cr_expect(eq(i64, time_zone_span_at(&zone, 1000000).begin_s, 1000000));
    cr_expect(span_is(time_zone_span_at(&zone, utc(2100, 7, 1, 0, 0)), 7200, true, "CEST"));
}

Test(time_zone_file, uses_the_wide_times_and_only_skips_the_narrow_ones)
{
    struct zone_source narrow = good_source(0);
    struct zone_source wide = good_source('2');
    int64_t far[] = {-5000000000, 0, 5000000000};
    char other[ZONE_WRITTEN_SIZE_MAX];
    struct slice first = zone_write(&narrow, file);
    struct slice second;

    /* Nonsense in the narrow block, but of the length that its header gives. */
    file[4] = '2';
    memset(file + ZONE_HEADER_SIZE, 0xff, first.size - ZONE_HEADER_SIZE);
    wide.transitions = far;
    second = zone_write(&wide, other);
    memcpy(file + first.size, second.data + ZONE_HEADER_SIZE, second.size - ZONE_HEADER_SIZE);
    first.size += second.size - ZONE_HEADER_SIZE;
    cr_assert(eq(int, time_zone_parse(first, &zone), TIME_ZONE_OK));
    cr_expect(eq(i64, time_zone_span_at(&zone, 1).end_s, 5000000000));
}

Test(time_zone_file, refuses_a_table_that_breaks_a_rule)
{
    static const int64_t EQUAL[] = {0, 0, 1};
    static const int64_t DESCENDING[] = {0, 2, 1};
    static const int64_t TOO_EARLY[] = {-(INT64_C(1) << 59) - 1, 0, 1};
    static const int64_t TOO_LATE[] = {0, 1, (INT64_C(1) << 59) + 1};
    static const struct time_zone_type TOO_FAR_EAST[] = {{93600, false, 0}};
    static const struct time_zone_type TOO_FAR_WEST[] = {{-90000, false, 0}};
    static const struct time_zone_type LEAST[] = {{INT32_MIN, false, 0}};
    static const struct time_zone_type NO_ABBREV[] = {{0, false, 13}};
    static const struct time_zone_type EMPTY_ABBREV[] = {{0, false, 3}};
    struct zone_source good = good_source('2');
    struct zone_source bad[20];
    size_t count = 0;

    cr_assert(eq(int, parse_source(&good), TIME_ZONE_OK));
    bad[count] = good;
    bad[count++].transitions = EQUAL;
    bad[count] = good;
    bad[count++].transitions = DESCENDING;
    bad[count] = good;
    bad[count++].transitions = TOO_EARLY;
    bad[count] = good;
    bad[count++].transitions = TOO_LATE;
    bad[count] = good;
    bad[count++].transition_types = "\0\3\0";
    bad[count] = good;
    bad[count++].chars = (struct slice){"CET\0CEST\0-01", 12}; /* the last NUL */
    bad[count] = good;
    bad[count++].chars = (struct slice){"C T\0CEST\0-01", 13};
    bad[count] = good;
    bad[count++].chars = (struct slice){"CET\0CEST\0-1\xff", 13};
    bad[count] = good;
    bad[count++].chars = (struct slice){"ABCDEFGHIJKLMNOP", 17};
    bad[count] = good;
    bad[count++].isstd = (struct slice){"\1\1", 2};
    bad[count] = good;
    bad[count++].isut = (struct slice){"\1\0", 2};
    bad[count] = good;
    bad[count++].isstd = (struct slice){"\1\2\0", 3};
    bad[count] = good;
    bad[count++].isut = (struct slice){"\2\0\0", 3};
    bad[count] = good;
    bad[count++].isut = (struct slice){"\0\0\1", 3}; /* UT but not standard */
    bad[count] = good;
    bad[count++].isstd = (struct slice){NULL, 0}; /* the same */
    for (size_t i = 0; i < count; i++)
        cr_expect(eq(int, parse_source(&bad[i]), TIME_ZONE_BAD), "%zu", i);

    const struct time_zone_type *types[] = {TOO_FAR_EAST, TOO_FAR_WEST, LEAST, NO_ABBREV,
                                            EMPTY_ABBREV};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct zone_source source = good;

        source.transition_count = 0;
        source.isstd.size = 0;
        source.isut.size = 0;
        source.type_count = 1;
        source.types = types[i];
        cr_expect(eq(int, parse_source(&source), TIME_ZONE_BAD), "%zu", i);
    }
}

/* The file with one byte set; at an offset from the second header. */
static enum time_zone_result parse_spoilt(size_t offset, char value)
{
    struct zone_source source = good_source('2');
    struct slice bytes = zone_write(&source, file);

    file[ZONE_HEADER_SIZE + offset] = value;
    return time_zone_parse(bytes, &zone);
}

Test(time_zone_file, refuses_headers_that_lie)
{
    struct zone_source source = good_source('2');
    struct slice bytes;

    cr_expect(eq(int, parse_spoilt(0, 'T'), TIME_ZONE_OK));
    cr_expect(eq(int, parse_spoilt(0, 'X'), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(4, '3'), TIME_ZONE_BAD)); /* two versions in one file */
    cr_expect(eq(int, parse_spoilt(4, '5'), TIME_ZONE_UNKNOWN_VERSION));
    cr_expect(eq(int, parse_spoilt(4, '1'), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(31, 1), TIME_ZONE_LEAP_SECONDS));
    cr_expect(eq(int, parse_spoilt(34, 2), TIME_ZONE_TOO_BIG)); /* 515 transitions */
    cr_expect(eq(int, parse_spoilt(35, 2), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(35, 4), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(32, (char)0xff), TIME_ZONE_TOO_BIG));
    cr_expect(eq(int, parse_spoilt(39, 0), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(43, 0), TIME_ZONE_BAD));
    cr_expect(eq(int, parse_spoilt(43, (char)129), TIME_ZONE_TOO_BIG));
    cr_expect(eq(int, parse_spoilt(44 + 27 + 3 + 4, 2), TIME_ZONE_BAD)); /* is_dst */

    /* A first block that claims to be longer than the file, by each of its counts. */
    for (size_t i = 0; i < 6; i++) {
        bytes = zone_write(&source, file);
        memset(file + 20 + 4 * i, 0xff, 4);
        cr_expect(eq(int, time_zone_parse(bytes, &zone), TIME_ZONE_BAD), "%zu", i);
    }
    bytes = zone_write(&source, file);
    bytes.size++;
    cr_expect(eq(int, time_zone_parse(bytes, &zone), TIME_ZONE_BAD));
    bytes.size = TIME_ZONE_FILE_SIZE_MAX + 1;
    cr_expect(eq(int, time_zone_parse(bytes, &zone), TIME_ZONE_TOO_BIG));
}

Test(time_zone_file, refuses_too_many_types_and_takes_the_most_there_may_be)
{
    static struct time_zone_type types[TIME_ZONE_TYPE_COUNT_MAX + 1];
    static int64_t transitions[TIME_ZONE_TRANSITION_COUNT_MAX];
    static char zeros[TIME_ZONE_TRANSITION_COUNT_MAX];
    static char bytes[16384];
    struct zone_source source = {.version = 0,
                                 .transition_count = TIME_ZONE_TRANSITION_COUNT_MAX,
                                 .transitions = transitions,
                                 .transition_types = zeros,
                                 .type_count = TIME_ZONE_TYPE_COUNT_MAX,
                                 .types = types,
                                 .chars = {"UTC", 4}};

    for (int i = 0; i < TIME_ZONE_TRANSITION_COUNT_MAX; i++)
        transitions[i] = i;
    cr_assert(eq(int, time_zone_parse(zone_write(&source, bytes), &zone), TIME_ZONE_OK));
    cr_expect(eq(i64, time_zone_span_at(&zone, 300).end_s, 301));
    zone_assert_sane_at(&zone, 300);
    source.type_count++;
    cr_expect(eq(int, time_zone_parse(zone_write(&source, bytes), &zone), TIME_ZONE_TOO_BIG));
}

/* ---- Damage ---- */

Test(time_zone_file, refuses_every_cut_of_a_file)
{
    static const char *const CUT[] = {"Europe/Berlin", "Asia/Kolkata", "UTC"};
    struct guarded_text guarded;

    guarded_text_init(&guarded);
    for (size_t i = 0; i < ARRAY_COUNT(CUT); i++) {
        size_t full_size = zone_read_file(CUT[i], file, sizeof(file));

        cr_assert(lt(sz, ZONE_HEADER_SIZE, full_size));
        for (size_t size = 0; size < full_size; size++) {
            struct slice cut = guarded_text_put(&guarded, (struct slice){file, size});
            enum time_zone_result result = time_zone_parse(cut, &zone);

            cr_assert(eq(int, result, TIME_ZONE_BAD), "%s, %zu bytes", CUT[i], size);
        }
    }
}

/* Whatever is accepted in spite of the damage is a zone like any other. */
Test(time_zone_file, survives_damage_to_every_byte)
{
    static const char *const DAMAGED[] = {"Europe/Berlin", "Australia/Lord_Howe"};
    static const uint8_t FLIPS[] = {0x01, 0x10, 0x80, 0xff};
    struct guarded_text guarded;
    size_t accepted_count = 0;
    size_t refused_count = 0;

    guarded_text_init(&guarded);
    for (size_t i = 0; i < ARRAY_COUNT(DAMAGED); i++) {
        size_t size = zone_read_file(DAMAGED[i], file, sizeof(file));

        for (size_t k = 0; k < size * ARRAY_COUNT(FLIPS); k++) {
            char *byte = &file[k / ARRAY_COUNT(FLIPS)];
            char before = *byte;
            struct slice bytes;

            *byte = (char)(*byte ^ FLIPS[k % ARRAY_COUNT(FLIPS)]);
            bytes = guarded_text_put(&guarded, (struct slice){file, size});
            *byte = before;
            if (time_zone_parse(bytes, &zone) != TIME_ZONE_OK) {
                refused_count++;
                continue;
            }
            accepted_count++;
            zone_assert_span_at(&zone, INT64_MIN);
            zone_assert_span_at(&zone, INT64_MAX);
            for (int64_t at = YEAR_1800; at < YEAR_2200; at += 500000017)
                zone_assert_sane_at(&zone, at);
        }
    }
    cr_expect(lt(sz, 0, accepted_count));
    cr_expect(lt(sz, 0, refused_count));
}

Test(time_zone_file, leaves_the_zone_alone_when_it_refuses)
{
    struct time_zone before;

    time_zone_utc(&zone);
    before = zone;
    cr_assert(eq(int, load_rule("CET-1CEST,J1"), TIME_ZONE_BAD));
    cr_expect(eq(int, memcmp(&before, &zone, sizeof(zone)), 0));
}

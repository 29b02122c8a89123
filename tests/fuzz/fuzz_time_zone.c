/*
 * Whatever is accepted as a zone answers for any instant without contradiction: spans
 * contain what they were asked for and abut, and local time leads back. Walked are
 * the spans from 1800 on, and instants made from the input. A name that is accepted
 * stays below its directory.
 */
#include "tests/support/zone_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SPANS_MAX = 64 };

static const int64_t YEAR_1800 = -5364662400;

static void check_name(struct slice name)
{
    if (!time_zone_name_is_valid(name))
        return;
    assert(name.size > 0);
    assert(name.size <= TIME_ZONE_NAME_SIZE_MAX);
    assert(name.data[0] != '/');
    assert(name.data[name.size - 1] != '/');
    assert(memchr(name.data, '.', name.size) == NULL);
    assert(memchr(name.data, '\0', name.size) == NULL);
    assert(memmem(name.data, name.size, "//", 2) == NULL);
}

/* Around both ends of each span that civil time can tell. */
static void check_spans(const struct time_zone *zone)
{
    int64_t at = YEAR_1800;

    for (int i = 0; i < SPANS_MAX && at < CIVIL_SECONDS_MAX - INT64_C(400000000); i++) {
        zone_assert_sane_at(zone, at);
        zone_assert_sane_at(zone, at - 1);
        zone_assert_sane_at(zone, at + 3599);
        at = time_zone_span_at(zone, at).end_s;
    }
}

static void check_instants(const struct time_zone *zone, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + sizeof(int64_t) <= size && i < 256; i += sizeof(int64_t)) {
        int64_t at;

        memcpy(&at, data + i, sizeof(at));
        zone_assert_span_at(zone, at);
        zone_assert_sane_at(zone, at % INT64_C(60000000000));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct time_zone zone;
    struct slice bytes = {(const char *)data, size};

    check_name(bytes);
    if (time_zone_parse(bytes, &zone) != TIME_ZONE_OK)
        return 0;
    zone_assert_span_at(&zone, INT64_MIN);
    zone_assert_span_at(&zone, INT64_MAX);
    check_spans(&zone);
    check_instants(&zone, data, size);
    return 0;
}

#include "http/retry_after.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110. */
#define EXAMPLE_MS UINT64_C(784111777000)

enum { UNTOUCHED = 12345 };

static uint64_t delay_of(const char *value, uint64_t unix_ms)
{
    uint64_t delay_ms = UNTOUCHED;

    cr_assert(retry_after_parse(slice_of(value), unix_ms, &delay_ms), "%s", value);
    return delay_ms;
}

Test(retry_after, reads_seconds)
{
    cr_assert(eq(u64, delay_of("120", EXAMPLE_MS), 120000));
    cr_assert(eq(u64, delay_of("0", EXAMPLE_MS), 0));
    cr_assert(eq(u64, delay_of("  7\t", EXAMPLE_MS), 7000));
    cr_assert(eq(u64, delay_of("007", EXAMPLE_MS), 7000));
}

Test(retry_after, cuts_a_wait_that_nobody_would_sit_through)
{
    cr_assert(eq(u64, delay_of("99999999999999999999999999999999", 0), RETRY_AFTER_MS_MAX));
    cr_assert(eq(u64, delay_of("18446744073709551616", 0), RETRY_AFTER_MS_MAX));
    cr_assert(eq(u64, delay_of("Fri, 31 Dec 9999 23:59:59 GMT", 0), RETRY_AFTER_MS_MAX));
}

Test(retry_after, reads_all_three_forms_of_a_date)
{
    cr_assert(eq(u64, delay_of("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_MS - 90000), 90000));
    cr_assert(eq(u64, delay_of("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE_MS - 90000), 90000));
    cr_assert(eq(u64, delay_of("Sun Nov  6 08:49:37 1994", EXAMPLE_MS - 90000), 90000));
    cr_assert(eq(u64, delay_of("Wed Nov 16 08:49:37 1994", EXAMPLE_MS), 10 * 86400 * 1000));
}

Test(retry_after, counts_from_now_to_the_millisecond)
{
    cr_assert(eq(u64, delay_of("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_MS - 1), 1));
    cr_assert(eq(u64, delay_of("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_MS), 0));
    cr_assert(eq(u64, delay_of("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_MS + 1), 0));
    cr_assert(eq(u64, delay_of("Thu, 01 Jan 1970 00:00:00 GMT", EXAMPLE_MS), 0));
}

Test(retry_after, takes_two_digits_of_a_year_for_the_nearest_century_not_too_far_ahead)
{
    /* In 1994, 45 is 1945 and 44 is 1944, which are past; 43 would be 2043 only after 1993. */
    cr_assert(eq(u64, delay_of("Sunday, 06-Nov-45 08:49:37 GMT", EXAMPLE_MS), 0));
    /* In 2099, 00 is 2000 and not 2100: the years 2050 to 2149 would be meant otherwise. */
    cr_assert(eq(u64, delay_of("Saturday, 01-Jan-00 00:00:00 GMT", UINT64_C(4070908800000)), 0));
}

Test(retry_after, lets_a_leap_second_be_the_next_second)
{
    cr_assert(eq(u64, delay_of("Sat, 31 Dec 2016 23:59:60 GMT", UINT64_C(1483228799000)), 1000));
}

Test(retry_after, refuses_everything_else_and_writes_nothing)
{
    static const char *const BAD[] = {"",
                                      "  ",
                                      "-1",
                                      "+1",
                                      "1.5",
                                      "1 2",
                                      "120s",
                                      "soon",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 06 Nov 1994 08:49:37 GMT.",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "Sun, 31 Nov 1994 08:49:37 GMT",
                                      "Tue, 29 Feb 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:00:00 GMT",
                                      "Sun, 06 Nov 1994 08:60:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:61 GMT",
                                      "sun, 06 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 nov 1994 08:49:37 GMT",
                                      "Sun,06 Nov 1994 08:49:37 GMT",
                                      "Sunday, 06-Nov-1994 08:49:37 GMT",
                                      "Sun Nov 6 08:49:37 1994",
                                      "Sun Nov  6 08:49:37 94",
                                      "S",
                                      "Sun",
                                      "Sun,",
                                      "Sunday,",
                                      "1994-11-06T08:49:37Z"};
    uint64_t delay_ms = UNTOUCHED;

    for (size_t i = 0; i < ARRAY_COUNT(BAD); i++)
        cr_assert(not(retry_after_parse(slice_of(BAD[i]), 0, &delay_ms)), "%s", BAD[i]);
    cr_assert(eq(u64, delay_ms, UNTOUCHED));
}

Test(retry_after, refuses_every_date_that_is_cut_short)
{
    static const char *const DATES[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    uint64_t delay_ms;

    for (size_t i = 0; i < ARRAY_COUNT(DATES); i++)
        for (size_t size = 0; size < strlen(DATES[i]); size++)
            cr_assert(not(retry_after_parse((struct slice){DATES[i], size}, 0, &delay_ms)), "%.*s",
                      (int)size, DATES[i]);
}

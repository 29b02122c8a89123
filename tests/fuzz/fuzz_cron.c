/*
 * The first line is a schedule, the second, if there is one, the rule of a zone such
 * as "CET-1CEST,M3.5.0,M10.5.0/3". Runs ascend, the same one is found from anywhere
 * before it, counting agrees with iterating, and each run has a reason: the clock
 * shows what the schedule says, or has just jumped over it.
 */
#include "contracts/cron.h"
#include "tests/support/zone_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUNS_MAX = 40 };

static bool is_shown(const struct cron *cron, int64_t local_s)
{
    struct civil_time time = civil_time_of(local_s);
    unsigned stars = 1U << CRON_DAY_OF_MONTH | 1U << CRON_DAY_OF_WEEK;
    bool by_day = (cron->days >> time.day & 1) != 0;
    bool by_weekday = (cron->weekdays >> civil_weekday(civil_day_of(local_s)) & 1) != 0;

    if ((cron->seconds >> time.second & 1) == 0 || (cron->minutes >> time.minute & 1) == 0 ||
        (cron->hours >> time.hour & 1) == 0 || (cron->months >> time.month & 1) == 0)
        return false;
    return (cron->stars & stars) != 0 ? by_day && by_weekday : by_day || by_weekday;
}

static void check_run(const struct cron *cron, const struct time_zone *zone, int64_t after_s,
                      int64_t run_s)
{
    bool is_interval = (cron->stars & (1U << CRON_MINUTE | 1U << CRON_HOUR)) != 0;
    int64_t local_s = run_s + time_zone_offset_at(zone, run_s);
    int64_t found_s;

    assert(run_s > after_s);
    if (is_interval)
        assert(is_shown(cron, local_s));
    else
        assert(is_shown(cron, local_s) || time_zone_latest_local(zone, run_s - 1) < local_s - 1);
    if (cron_next(cron, zone, run_s - 1, &found_s) != CRON_OK)
        assert(false && "a run is found from the second before it");
    assert(found_s == run_s);
    if (cron_next(cron, zone, after_s + (run_s - 1 - after_s) / 2, &found_s) != CRON_OK)
        assert(false && "a run is found from half-way");
    assert(found_s == run_s);
}

static void check_runs(const struct cron *cron, const struct time_zone *zone, int64_t begin_s)
{
    uint32_t count = 0;
    int64_t after_s = begin_s;
    int64_t run_s;

    while (count < RUNS_MAX && cron_next(cron, zone, after_s, &run_s) == CRON_OK) {
        check_run(cron, zone, after_s, run_s);
        after_s = run_s;
        count++;
    }
    assert(cron_count_missed(cron, zone, begin_s, after_s, RUNS_MAX) == count);
}

static void read_zone(struct slice rule, struct time_zone *ret_zone)
{
    static char bytes[ZONE_WRITTEN_SIZE_MAX];
    char text[128];

    time_zone_utc(ret_zone);
    if (rule.size >= sizeof(text) || memchr(rule.data, '\0', rule.size) != NULL)
        return;
    memcpy(text, rule.data, rule.size);
    text[rule.size] = '\0';
    if (time_zone_parse(zone_write_rule(text, bytes), ret_zone) != TIME_ZONE_OK)
        time_zone_utc(ret_zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct time_zone zone;
    const uint8_t *line_end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t line_size = line_end == NULL ? size : (size_t)(line_end - data);
    struct cron_error error;
    struct cron cron;

    if (cron_parse((struct slice){(const char *)data, line_size}, &cron, &error) != CRON_OK) {
        assert(error.result != CRON_OK);
        assert(error.field <= CRON_FIELD_COUNT);
        assert(error.offset <= line_size);
        return 0;
    }
    time_zone_utc(&zone);
    if (line_end != NULL)
        read_zone((struct slice){(const char *)line_end + 1, size - line_size - 1}, &zone);
    check_runs(&cron, &zone, 1711670400);           /* 2024-03-29 */
    check_runs(&cron, &zone, 1729814400);           /* 2024-10-25 */
    check_runs(&cron, &zone, 4133894400);           /* 2100-12-31 */
    check_runs(&cron, &zone, INT64_C(-2208988800)); /* 1900-01-01 */
    check_runs(&cron, &zone, CIVIL_SECONDS_MAX - 100000000);
    return 0;
}

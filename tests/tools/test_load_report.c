#include "tools/load/load_report.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <unistd.h>

#include "tools/load/load_html.h"

static const uint64_t MS = 1000000, SECOND = 1000000000;

static struct load_tally tally;
static struct load_verdict verdict;
static struct load_report report;
static char text[LOAD_REPORT_JSON_SIZE];

static void answer(uint64_t intended_ns, uint64_t sent_ns, uint64_t done_ns, unsigned status)
{
    struct load_ticket ticket = {
        .intended_ns = intended_ns, .sent_ns = sent_ns, .event_count = 2, .is_measured = true};

    tally.sent++;
    load_tally_answer(&tally, &ticket, status, done_ns);
}

static void setup(void)
{
    struct load_ticket late = {.intended_ns = SECOND, .sent_ns = SECOND, .is_measured = true};

    load_tally_init(&tally, SECOND, 3 * SECOND, true);
    for (uint64_t i = 0; i < 98; i++)
        answer(SECOND + i * 20 * MS, SECOND + i * 20 * MS, SECOND + i * 20 * MS + MS, 202);
    answer(2 * SECOND, 2 * SECOND + 3 * MS, 2 * SECOND + 5 * MS, 503);
    tally.sent++;
    load_tally_fail(&tally, &late, LOAD_ERROR_CONNECT, 2 * SECOND);
    load_tally_schedule_error(&tally, 12345);
    tally.connects = 4;
    tally.bytes_out = 1000;
    tally.bytes_in = 2000;
    tally.wall_ns = 2 * SECOND;
    tally.cpu_ns = SECOND / 10;
    tally.spin_ns = SECOND / 2;
    load_tally_finish(&tally, 3 * SECOND);
    load_tally_judge(&tally, &verdict);
    report = (struct load_report){
        .url = "http://h/<&\"",
        .rate_text = "50",
        .scenario = LOAD_SCENARIO_NORMAL,
        .rate = 50,
        .duration_s = 2,
        .warmup_s = 1,
        .connection_count = 4,
        .batch_count = 2,
        .tally = &tally,
        .verdict = &verdict,
    };
}

TestSuite(load_report, .init = setup);

static char *json(void)
{
    struct json_writer writer;
    struct slice written;

    json_writer_init(&writer, text, sizeof(text) - 1);
    load_report_json(&report, &writer);
    cr_assert(json_writer_finish(&writer, &written));
    text[written.size] = '\0';
    return text;
}

Test(load_report, has_the_members_that_scripts_rely_on)
{
    cr_assert(
        eq(str, json(),
           "{\"url\":\"http://h/<&\\\"\",\"rate\":50,\"scenario\":\"normal\",\"loop\":\"open\","
           "\"arrivals\":\"constant\",\"duration_s\":2,\"warmup_s\":1,\"connections\":4,"
           "\"batch\":2,\"sent\":100,\"ok\":98,\"events\":196,\"skipped\":0,"
           "\"status\":{\"202\":98,\"503\":1},\"errors\":{\"connect\":1},"
           "\"throughput_per_s\":49,\"latency_us\":{"
           "\"corrected\":{\"p50\":1000,\"p75\":1000,\"p90\":1000,\"p99\":5000,\"p999\":5000,"
           "\"p9999\":5000,\"max\":5000,\"mean\":1040.424},"
           "\"uncorrected\":{\"p50\":1000,\"p75\":1000,\"p90\":1000,\"p99\":2000,\"p999\":2000,"
           "\"p9999\":2000,\"max\":2000,\"mean\":1010.101}},"
           "\"schedule_error_us\":{\"p50\":12,\"p99\":12,\"max\":12},"
           "\"generator\":{\"cpu_percent\":5,\"spin_percent\":25,\"connects\":4,"
           "\"answers_per_connect\":24.75,\"bytes_out\":1000,\"bytes_in\":2000},"
           "\"valid\":true,\"why\":[]}"));
}

Test(load_report, says_why_a_run_is_void)
{
    tally.skipped = 3;
    load_tally_judge(&tally, &verdict);
    cr_assert(strstr(json(), "\"valid\":false,\"why\":[\"3 sends were skipped: the target fell "
                             "too far behind\"]") != NULL);
}

Test(load_report, names_a_limit_that_was_found)
{
    struct load_limit limit = {.held = 4000, .missed = 4200, .try_count = 9};

    report.limit = &limit;
    report.limit_us = 10000;
    cr_assert(strstr(json(), "\"limit\":{\"rate\":4000,\"missed\":4200,\"p99_us_below\":10000,"
                             "\"tries\":9,\"limited_by\":\"target\"}}") != NULL);
}

static char *read_all(FILE *file)
{
    size_t size;

    rewind(file);
    size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    return text;
}

Test(load_report, tells_people_the_same)
{
    FILE *file = tmpfile();
    const char *got;

    load_report_text(&report, file);
    got = read_all(file);
    cr_assert(strstr(got, "  99 %            5.00 ms      2.00 ms\n") != NULL, "%s", got);
    cr_assert(strstr(got, "sent 100, answered 99: 202 x 98, 503 x 1; errors: connect x 1") != NULL);
    cr_assert(strstr(got, "49/s answered with success, 196 events; 4 connections opened") != NULL);
    cr_assert(strstr(got, "VOID") == NULL);
}

Test(load_report, draws_a_page_with_three_plots_and_escapes_what_is_not_ours)
{
    char path[] = "/tmp/weir-load-report-XXXXXX";
    int fd = mkstemp(path);
    const char *got;

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(int, load_html_write(&report, path), 0));
    got = read_all(fdopen(fd, "r"));
    unlink(path);
    cr_assert(strstr(got, "<h1>http://h/&lt;&amp;&quot;</h1>") != NULL);
    for (int i = 0; i < 3; i++) {
        got = strstr(got, "<svg ");
        cr_assert(got != NULL);
        got++;
    }
    cr_assert(strstr(got, "nan") == NULL);
    cr_assert(strstr(got, "inf") == NULL);
    cr_assert(strstr(got, "</body></html>") != NULL);
}

Test(load_report, splits_the_run_into_intervals)
{
    cr_assert(eq(u32, tally.interval_count, 2));
    cr_assert(eq(u64, tally.intervals[0].answered, 50));
    cr_assert(eq(u64, tally.intervals[1].answered, 49));
    cr_assert(eq(u64, tally.intervals[1].failed, 1));
    cr_assert(eq(u64, tally.intervals[0].p99_us, 1000));
    cr_assert(eq(u64, tally.intervals[1].max_us, 5000));
}

Test(load_tally, judges_a_run_by_skips_processor_time_and_lateness)
{
    load_tally_init(&tally, 0, SECOND, true);
    answer(0, 0, MS, 200);
    tally.wall_ns = SECOND;
    tally.cpu_ns = 800 * MS;
    load_tally_schedule_error(&tally, 100 * 1000);
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 0));
    tally.cpu_ns = 801 * MS;
    load_tally_schedule_error(&tally, 101 * 1000);
    tally.skipped = 1;
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 3));
    tally.is_open_loop = false;
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 2));
}

Test(load_tally, does_not_count_a_run_without_a_single_success)
{
    load_tally_init(&tally, 0, SECOND, true);
    answer(0, 0, MS, 500);
    load_tally_judge(&tally, &verdict);
    cr_assert(eq(u32, verdict.why_count, 1));
    cr_assert(eq(str, verdict.why[0], "no request was answered with success"));
}

Test(load_tally, gives_a_timed_out_request_the_time_that_it_waited)
{
    struct load_ticket ticket = {.intended_ns = 0, .sent_ns = 100 * MS, .is_measured = true};

    load_tally_init(&tally, 0, SECOND, true);
    load_tally_fail(&tally, &ticket, LOAD_ERROR_TIMEOUT, 600 * MS);
    load_tally_fail(&tally, &ticket, LOAD_ERROR_CLOSED, 600 * MS);
    cr_assert(eq(u64, tally.corrected.total_count, 1));
    cr_assert(eq(u64, tally.corrected.max, 600000));
    cr_assert(eq(u64, tally.uncorrected.max, 500000));
    cr_assert(eq(u64, load_tally_failed(&tally), 2));
}

/*
 * Load: `weir load`, from the command line to the report.
 *
 *     load_options -> load_target -> load_payload
 *         -> load_run (scenario -> schedule -> desk -> connections) -> load_tally
 *         -> load_report, load_html, histogram files
 *
 * --find-limit repeats the run at the rates that load_limit asks for, and reports the
 * last one that the target held.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "actors/tenant.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/load/load_html.h"
#include "tools/load/load_limit.h"
#include "tools/load/load_options.h"
#include "tools/load/load_report.h"
#include "tools/load/load_run.h"

enum {
    REACH_TIMEOUT_MS = 5000,
    LIMIT_DELAY_FACTOR = 20, /* a try ends early when a request waits for so many bounds */
    TRY_NAME_SIZE = 64,
};

static const double LIMIT_PRECISION = 0.05;
static const double LIMIT_FAILED_SHARE_MAX = 0.001;

/* One command. */
struct load {
    struct load_options options;
    struct trust_store *trust;
    struct load_payload *payload;
    struct load_tally *tally;
    struct load_tally *best; /* of --find-limit: the highest rate that was held */
    struct load_verdict verdict;
    struct load_run_result result;
    const volatile sig_atomic_t *is_interrupted;
    bool shows_progress;
};

/* --- set-up --------------------------------------------------------------- */

static int pin(int32_t core)
{
    cpu_set_t set;

    if (core < 0)
        return COMMAND_DONE;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        return command_fail("load", COMMAND_FAILED, "--core: %s", strerror(errno));
    return COMMAND_DONE;
}

static int open_trust(struct load *load)
{
    const char *path = load->options.ca_path;
    int r;

    if (load->options.target.url.scheme != URL_SCHEME_HTTPS)
        return COMMAND_DONE;
    if (trust_store_new(&load->trust) < 0)
        return command_fail("load", COMMAND_FAILED, "start: out of memory");
    r = trust_store_add_file(load->trust, TRUST_STORE_SYSTEM_PATH);
    if (r < 0 && path == NULL)
        return command_fail("load", COMMAND_FAILED, "%s: %s", TRUST_STORE_SYSTEM_PATH,
                            strerror(-r));
    r = path == NULL ? 0 : trust_store_add_file(load->trust, path);
    return r < 0 ? command_fail("load", COMMAND_FAILED, "%s: %s", path, strerror(-r))
                 : COMMAND_DONE;
}

static int open_payload(struct load *load)
{
    struct load_payload_config config = load->options.payload;
    char message[LOAD_TEMPLATE_MESSAGE_SIZE];
    int r;

    if (load->options.wants_demo_key) {
        fputs("weir load: no --key and no WEIR_API_KEY: using the demo key\n", stderr);
        config.key = TENANT_DEMO_SECRET;
    }
    r = load_payload_new(&config, message, &load->payload);
    if (r == -EINVAL)
        return command_fail("load", COMMAND_BAD_USAGE, "the request: %s", message);
    return r < 0 ? command_fail("load", COMMAND_FAILED, "start: %s", strerror(-r)) : COMMAND_DONE;
}

static int open_target(struct load *load)
{
    char message[LOAD_TARGET_MESSAGE_SIZE];

    if (!load_target_reach(&load->options.target, load->options.connect, REACH_TIMEOUT_MS, message))
        return command_fail("load", COMMAND_UNAVAILABLE, "target: %s", message);
    load->tally = malloc(sizeof(*load->tally));
    load->best = malloc(sizeof(*load->best));
    if (load->tally == NULL || load->best == NULL)
        return command_fail("load", COMMAND_FAILED, "start: out of memory");
    return COMMAND_DONE;
}

/* --- one run -------------------------------------------------------------- */

/* Runs with that profile. 0 or an exit code. */
static int run_once(struct load *load, const struct load_scenario_config *scenario,
                    uint64_t delay_ns_max, const char *name)
{
    const struct load_options *options = &load->options;
    bool is_timed = scenario->has_rate;
    struct load_run_config config = {
        .desk = {.scenario = *scenario,
                 .is_open_loop = options->is_open_loop,
                 .warmup_ns = options->warmup_ns,
                 .end_ns = scenario->profile.duration_ns,
                 .queue_count_max = options->queue_count_max},
        .payload = load->payload,
        .address = options->target.address,
        .trust = load->trust,
        .name = options->target.url.host,
        .answers_head = strcmp(options->payload.method, "HEAD") == 0,
        .connection_count = options->connection_count,
        .timeout_ns = options->timeout_ns,
        .spin_ns = options->spin_ns,
        .delay_ns_max = delay_ns_max,
        .shows_progress = load->shows_progress,
        .progress_name = name,
        .is_interrupted = load->is_interrupted,
    };
    int r;

    /* A rhythm of its own is over with its last answer, not when the clock says so. */
    load_tally_init(load->tally, options->warmup_ns,
                    is_timed ? scenario->profile.duration_ns : options->warmup_ns,
                    options->is_open_loop);
    r = load_run(&config, load->tally, &load->result);
    if (r == -EPERM || r == -ENOSYS || r == -EACCES)
        return command_fail("load", COMMAND_NOT_PERMITTED, "io_uring: %s", strerror(-r));
    if (r < 0)
        return command_fail("load", COMMAND_FAILED, "io_uring: %s", strerror(-r));
    load_tally_judge(load->tally, &load->verdict);
    return COMMAND_DONE;
}

static void explain_failures(const struct load *load)
{
    const struct load_tally *tally = load->tally;

    if (tally->error_counts[LOAD_ERROR_CONNECT] > 0 && load->result.connect_error < 0)
        fprintf(stderr, "weir load: connections failed, the last one: %s\n",
                strerror(-load->result.connect_error));
    if (tally->error_counts[LOAD_ERROR_TLS] > 0 && load->result.tls_error != 0) {
        struct slice name = tls_engine_error_name(load->result.tls_error);

        fprintf(stderr, "weir load: TLS failed, the last time: %.*s\n", (int)name.size, name.data);
    }
    if (load->result.was_interrupted)
        fputs("weir load: interrupted\n", stderr);
}

/* --- reports -------------------------------------------------------------- */

static int write_hgrm(const char *path, const struct hdr_histogram *histogram)
{
    char text[HDR_HISTOGRAM_TEXT_SIZE];
    int size = hdr_histogram_render(histogram, 1000, text, sizeof(text));
    FILE *file = fopen(path, "we");
    bool is_written;

    assert(size > 0);
    if (file == NULL)
        return command_fail("load", COMMAND_CORRUPT, "%s: %s", path, strerror(errno));
    is_written = fwrite(text, 1, (size_t)size, file) == (size_t)size;
    is_written = fclose(file) == 0 && is_written;
    return is_written ? COMMAND_DONE
                      : command_fail("load", COMMAND_CORRUPT, "%s: not written", path);
}

static struct load_report report_of(const struct load *load, const struct load_tally *tally)
{
    const struct load_options *options = &load->options;
    const struct load_scenario_config *scenario = &options->scenario;

    return (struct load_report){
        .url = options->target.text,
        .rate_text = options->rate_text,
        .scenario = scenario->kind,
        .arrivals = scenario->arrivals,
        .rate =
            options->is_open_loop && scenario->has_rate ? load_profile_mean(&scenario->profile) : 0,
        .duration_s = (double)(scenario->profile.duration_ns - options->warmup_ns) / 1e9,
        .warmup_s = (double)options->warmup_ns / 1e9,
        .connection_count = options->connection_count,
        .batch_count = scenario->batch_count,
        .tally = tally,
        .verdict = &load->verdict,
    };
}

/* Files first: what is printed last is what one reads. */
static int write_files(const struct load *load, const struct load_report *report)
{
    const struct load_options *options = &load->options;
    int r = COMMAND_DONE;

    if (options->hgrm_path != NULL)
        r = write_hgrm(options->hgrm_path, &report->tally->corrected);
    if (r == COMMAND_DONE && options->hgrm_uncorrected_path != NULL)
        r = write_hgrm(options->hgrm_uncorrected_path, &report->tally->uncorrected);
    if (r == COMMAND_DONE && options->html_path != NULL &&
        load_html_write(report, options->html_path) < 0)
        r = command_fail("load", COMMAND_CORRUPT, "%s: not written", options->html_path);
    return r;
}

/* 0 or an exit code. */
static int print_result(const struct load *load, const struct load_report *report)
{
    char text[LOAD_REPORT_JSON_SIZE];
    struct json_writer writer;
    struct slice json;

    if (!load->options.is_json) {
        load_report_text(report, stdout);
        return COMMAND_DONE;
    }
    json_writer_init(&writer, text, sizeof(text));
    load_report_json(report, &writer);
    if (!json_writer_finish(&writer, &json))
        return command_fail("load", COMMAND_FAILED, "report: too long");
    printf("%.*s\n", (int)json.size, json.data);
    return COMMAND_DONE;
}

static int run_and_report(struct load *load)
{
    struct load_report report;
    int r = run_once(load, &load->options.scenario, 0, "weir load");

    if (r != COMMAND_DONE)
        return r;
    explain_failures(load);
    report = report_of(load, load->tally);
    r = write_files(load, &report);
    if (r == COMMAND_DONE)
        r = print_result(load, &report);
    if (r == COMMAND_DONE && (load->verdict.why_count > 0 || load->result.was_interrupted))
        r = COMMAND_FAILED;
    return r;
}

/* --- --find-limit --------------------------------------------------------- */

/* A rate was held when nearly all was answered with success, and p99 is below the bound. */
static enum load_limit_outcome judge_try(const struct load *load)
{
    const struct load_tally *tally = load->tally;
    double failed = (double)(tally->sent - min_u64(tally->ok, tally->sent));
    uint64_t p99_us = hdr_histogram_percentile(&tally->corrected, 99);
    bool is_slow = load->result.was_overrun || tally->skipped > 0 || tally->ok == 0 ||
                   failed > LIMIT_FAILED_SHARE_MAX * (double)tally->sent ||
                   p99_us * 1000 >= load->options.limit_ns;

    if (load->verdict.why_count == 0)
        return is_slow ? LOAD_LIMIT_MISSED : LOAD_LIMIT_HELD;
    /* A generator that was late makes a target look slow. */
    if (load_tally_cpu_percent(tally) > LOAD_CPU_PERCENT_MAX ||
        hdr_histogram_percentile(&tally->schedule_error, 99) > LOAD_SCHEDULE_ERROR_US_MAX)
        return LOAD_LIMIT_UNKNOWN;
    return LOAD_LIMIT_MISSED;
}

static void say_try(const struct load *load, double rate, enum load_limit_outcome outcome)
{
    static const char *const WORDS[] = {"held", "missed", "not measured"};

    fprintf(stderr, "weir load: %.6g/s %s: p99 %llu us, %.6g/s answered\n", rate, WORDS[outcome],
            (unsigned long long)hdr_histogram_percentile(&load->tally->corrected, 99),
            load_tally_throughput(load->tally));
}

/* All tries. 0 or an exit code; the tally of the best one is in load->best. */
static int try_rates(struct load *load, struct load_limit *limit)
{
    double rate;

    while (!*load->is_interrupted && load_limit_next(limit, &rate)) {
        struct load_scenario_config scenario = load->options.scenario;
        enum load_limit_outcome outcome;
        char name[TRY_NAME_SIZE];
        int r;

        scenario.profile.rate_first = scenario.profile.rate_last = rate;
        snprintf(name, sizeof(name), "try %u: %.6g/s", limit->try_count, rate);
        r = run_once(load, &scenario, LIMIT_DELAY_FACTOR * load->options.limit_ns, name);
        if (r != COMMAND_DONE)
            return r;
        outcome = judge_try(load);
        say_try(load, rate, outcome);
        load_limit_note(limit, outcome);
        if (outcome == LOAD_LIMIT_HELD)
            memcpy(load->best, load->tally, sizeof(*load->best));
    }
    return COMMAND_DONE;
}

static int find_limit(struct load *load)
{
    struct load_scenario_config *scenario = &load->options.scenario;
    struct load_report report;
    struct load_limit limit;
    char rate_text[32];
    int r;

    load_limit_init(&limit, scenario->profile.rate_first, LIMIT_PRECISION);
    r = try_rates(load, &limit);
    if (r != COMMAND_DONE)
        return r;
    if (limit.held == 0) {
        explain_failures(load);
        return command_fail("load", COMMAND_FAILED, "--find-limit: no rate was held");
    }
    snprintf(rate_text, sizeof(rate_text), "%.6g", limit.held);
    scenario->profile.rate_first = scenario->profile.rate_last = limit.held;
    load->options.rate_text = rate_text;
    load_tally_judge(load->best, &load->verdict);
    report = report_of(load, load->best);
    report.limit = &limit;
    report.limit_us = load->options.limit_ns / 1000;
    r = write_files(load, &report);
    if (r == COMMAND_DONE)
        r = print_result(load, &report);
    if (!load->options.is_json)
        printf("limit: %s/s with p99 below %.6g ms%s\n", rate_text,
               (double)load->options.limit_ns / 1e6,
               limit.is_generator_limit ? "; above, the generator was the limit" : "");
    return r == COMMAND_DONE && *load->is_interrupted ? COMMAND_FAILED : r;
}

static void close_all(struct load *load)
{
    load_payload_free(&load->payload);
    trust_store_free(&load->trust);
    free(load->tally);
    free(load->best);
    load_options_deinit(&load->options);
}

int command_load(int argc, char **argv)
{
    struct load load = {.shows_progress = isatty(STDERR_FILENO) == 1};
    int r;

    if (!load_options_init(&load.options, argc, argv, &r)) {
        load_options_deinit(&load.options);
        return r;
    }
    r = pin(load.options.core);
    if (r == COMMAND_DONE)
        r = open_trust(&load);
    if (r == COMMAND_DONE)
        r = open_payload(&load);
    if (r == COMMAND_DONE)
        r = open_target(&load);
    load.is_interrupted = interrupt_catch();
    if (r == COMMAND_DONE)
        r = load.options.limit_ns > 0 ? find_limit(&load) : run_and_report(&load);
    close_all(&load);
    return r;
}

/*
 * The same figures twice. JSON has all of them in microseconds and whole words; the text
 * has those that one looks for first, with three digits, and says in words what a reader
 * would otherwise have to know: what "corrected" means, that a closed loop is too kind in
 * the tail, and why a run is void.
 */
#include "tools/load/load_report.h"

struct level {
    const char *name; /* in JSON */
    const char *title;
    double percentile;
};

static const struct level LEVELS[] = {
    {"p50", "50 %", 50},         {"p75", "75 %", 75},      {"p90", "90 %", 90},
    {"p99", "99 %", 99},         {"p999", "99.9 %", 99.9}, {"p9999", "99.99 %", 99.99},
    {"max", "the longest", 100},
};

static double reuse_of(const struct load_tally *tally)
{
    return tally->connects == 0 ? 0 : (double)tally->answered / (double)tally->connects;
}

/* --- for scripts ---------------------------------------------------------- */

static void put_u64(struct json_writer *writer, const char *name, uint64_t value)
{
    json_writer_key(writer, slice_of(name));
    json_writer_u64(writer, value);
}

/* Three digits after the point are more than a run can tell. */
static void put_double(struct json_writer *writer, const char *name, double value)
{
    json_writer_key(writer, slice_of(name));
    json_writer_double(writer, (double)(int64_t)(value * 1000 + 0.5) / 1000);
}

static void put_text(struct json_writer *writer, const char *name, const char *value)
{
    json_writer_key(writer, slice_of(name));
    json_writer_string(writer, slice_of(value));
}

static void put_latency(struct json_writer *writer, const char *name,
                        const struct hdr_histogram *histogram)
{
    json_writer_key(writer, slice_of(name));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < ARRAY_COUNT(LEVELS); i++)
        put_u64(writer, LEVELS[i].name, hdr_histogram_percentile(histogram, LEVELS[i].percentile));
    put_double(writer, "mean", hdr_histogram_mean(histogram));
    json_writer_end_object(writer);
}

static void put_counts(struct json_writer *writer, const struct load_tally *tally)
{
    json_writer_key(writer, SLICE_LITERAL("status"));
    json_writer_begin_object(writer);
    for (uint32_t status = 0; status < LOAD_STATUS_COUNT; status++) {
        char name[8];

        if (tally->status_counts[status] == 0)
            continue;
        snprintf(name, sizeof(name), "%u", status);
        put_u64(writer, name, tally->status_counts[status]);
    }
    json_writer_end_object(writer);
    json_writer_key(writer, SLICE_LITERAL("errors"));
    json_writer_begin_object(writer);
    for (uint32_t i = 0; i < LOAD_ERROR_COUNT; i++)
        if (tally->error_counts[i] > 0)
            put_u64(writer, load_error_name((enum load_error)i), tally->error_counts[i]);
    json_writer_end_object(writer);
}

static void put_verdict(struct json_writer *writer, const struct load_verdict *verdict)
{
    json_writer_key(writer, SLICE_LITERAL("valid"));
    json_writer_boolean(writer, verdict->why_count == 0);
    json_writer_key(writer, SLICE_LITERAL("why"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < verdict->why_count; i++)
        json_writer_string(writer, slice_of(verdict->why[i]));
    json_writer_end_array(writer);
}

static void put_plan(const struct load_report *report, struct json_writer *writer)
{
    put_text(writer, "url", report->url);
    json_writer_key(writer, SLICE_LITERAL("rate"));
    if (report->rate > 0)
        json_writer_double(writer, report->rate);
    else if (report->rate_text != NULL)
        json_writer_string(writer, slice_of(report->rate_text));
    else
        json_writer_null(writer);
    put_text(writer, "scenario", load_scenario_name(report->scenario));
    put_text(writer, "loop", report->tally->is_open_loop ? "open" : "closed");
    put_text(writer, "arrivals",
             report->arrivals == LOAD_ARRIVALS_POISSON ? "poisson" : "constant");
    put_double(writer, "duration_s", report->duration_s);
    put_double(writer, "warmup_s", report->warmup_s);
    put_u64(writer, "connections", report->connection_count);
    put_u64(writer, "batch", report->batch_count);
}

static void put_limit(const struct load_report *report, struct json_writer *writer)
{
    const struct load_limit *limit = report->limit;

    json_writer_key(writer, SLICE_LITERAL("limit"));
    json_writer_begin_object(writer);
    put_double(writer, "rate", limit->held);
    put_double(writer, "missed", limit->missed);
    put_u64(writer, "p99_us_below", report->limit_us);
    put_u64(writer, "tries", limit->try_count);
    put_text(writer, "limited_by", limit->is_generator_limit ? "generator" : "target");
    json_writer_end_object(writer);
}

void load_report_json(const struct load_report *report, struct json_writer *writer)
{
    const struct load_tally *tally = report->tally;

    json_writer_begin_object(writer);
    put_plan(report, writer);
    put_u64(writer, "sent", tally->sent);
    put_u64(writer, "ok", tally->ok);
    put_u64(writer, "events", tally->events);
    put_u64(writer, "skipped", tally->skipped);
    put_counts(writer, tally);
    put_double(writer, "throughput_per_s", load_tally_throughput(tally));
    json_writer_key(writer, SLICE_LITERAL("latency_us"));
    json_writer_begin_object(writer);
    put_latency(writer, "corrected", &tally->corrected);
    put_latency(writer, "uncorrected", &tally->uncorrected);
    json_writer_end_object(writer);
    json_writer_key(writer, SLICE_LITERAL("schedule_error_us"));
    json_writer_begin_object(writer);
    put_u64(writer, "p50", hdr_histogram_percentile(&tally->schedule_error, 50));
    put_u64(writer, "p99", hdr_histogram_percentile(&tally->schedule_error, 99));
    put_u64(writer, "max", tally->schedule_error.max);
    json_writer_end_object(writer);
    json_writer_key(writer, SLICE_LITERAL("generator"));
    json_writer_begin_object(writer);
    put_double(writer, "cpu_percent", load_tally_cpu_percent(tally));
    put_double(writer, "spin_percent",
               tally->wall_ns == 0 ? 0 : (double)tally->spin_ns * 100 / (double)tally->wall_ns);
    put_u64(writer, "connects", tally->connects);
    put_double(writer, "answers_per_connect", reuse_of(tally));
    put_u64(writer, "bytes_out", tally->bytes_out);
    put_u64(writer, "bytes_in", tally->bytes_in);
    json_writer_end_object(writer);
    put_verdict(writer, report->verdict);
    if (report->limit != NULL)
        put_limit(report, writer);
    json_writer_end_object(writer);
}

/* --- for people ----------------------------------------------------------- */

/* 7 us, 1.23 ms, 4.56 s: three digits. */
static void write_time(char text[16], uint64_t us)
{
    if (us < 1000)
        snprintf(text, 16, "%llu us", (unsigned long long)us);
    else if (us < 1000000)
        snprintf(text, 16, "%.*f ms", us < 10000 ? 2 : us < 100000 ? 1 : 0, (double)us / 1e3);
    else
        snprintf(text, 16, "%.*f s", us < 10000000 ? 2 : 1, (double)us / 1e6);
}

static void print_plan(const struct load_report *report, FILE *stream)
{
    fprintf(stream, "%s: ", report->url);
    if (!report->tally->is_open_loop)
        fputs("as fast as it answers (closed loop)", stream);
    else if (report->rate_text != NULL)
        fprintf(stream, "%s/s, %s", report->rate_text,
                report->arrivals == LOAD_ARRIVALS_POISSON ? "poisson" : "constant");
    else
        fputs("in its own rhythm", stream);
    if (report->scenario != LOAD_SCENARIO_REQUEST)
        fprintf(stream, ", %s", load_scenario_name(report->scenario));
    if (report->batch_count > 1)
        fprintf(stream, ", batches of %u", report->batch_count);
    fprintf(stream, ", %u connections, %.6g s", report->connection_count, report->duration_s);
    if (report->warmup_s > 0)
        fprintf(stream, " after %.6g s of warm-up", report->warmup_s);
    fputs("\n\n", stream);
}

static void print_latencies(const struct load_tally *tally, FILE *stream)
{
    fputs("latency        corrected  uncorrected\n", stream);
    for (uint32_t i = 0; i < ARRAY_COUNT(LEVELS); i++) {
        char corrected[16], uncorrected[16];

        write_time(corrected, hdr_histogram_percentile(&tally->corrected, LEVELS[i].percentile));
        write_time(uncorrected,
                   hdr_histogram_percentile(&tally->uncorrected, LEVELS[i].percentile));
        fprintf(stream, "  %-11s %11s  %11s\n", LEVELS[i].title, corrected, uncorrected);
    }
    fputs(tally->is_open_loop
              ? "  corrected: from when a request was meant to start\n\n"
              : "  closed loop: a target that stalls is asked less, so the tail is too kind\n\n",
          stream);
}

static void print_counts(const struct load_tally *tally, FILE *stream)
{
    const char *separator = "";

    fprintf(stream, "sent %llu, answered %llu: ", (unsigned long long)tally->sent,
            (unsigned long long)tally->answered);
    for (uint32_t status = 0; status < LOAD_STATUS_COUNT; status++) {
        if (tally->status_counts[status] == 0)
            continue;
        fprintf(stream, "%s%u x %llu", separator, status,
                (unsigned long long)tally->status_counts[status]);
        separator = ", ";
    }
    fputs("; errors: ", stream);
    separator = "";
    for (uint32_t i = 0; i < LOAD_ERROR_COUNT; i++) {
        if (tally->error_counts[i] == 0)
            continue;
        fprintf(stream, "%s%s x %llu", separator, load_error_name((enum load_error)i),
                (unsigned long long)tally->error_counts[i]);
        separator = ", ";
    }
    fprintf(stream, "%s\n", load_tally_failed(tally) == 0 ? "none" : "");
    fprintf(stream, "%.6g/s answered with success", load_tally_throughput(tally));
    if (tally->events > 0)
        fprintf(stream, ", %llu events", (unsigned long long)tally->events);
    fprintf(stream, "; %llu connections opened, %.6g answers each\n",
            (unsigned long long)tally->connects, reuse_of(tally));
}

void load_report_text(const struct load_report *report, FILE *stream)
{
    const struct load_tally *tally = report->tally;
    char p50[16], p99[16];

    print_plan(report, stream);
    print_latencies(tally, stream);
    print_counts(tally, stream);
    fprintf(stream, "generator: %.0f %% of its core", load_tally_cpu_percent(tally));
    if (tally->is_open_loop) {
        write_time(p50, hdr_histogram_percentile(&tally->schedule_error, 50));
        write_time(p99, hdr_histogram_percentile(&tally->schedule_error, 99));
        fprintf(stream, " and %.0f %% waiting awake; sends late by %s at p50, %s at p99",
                tally->wall_ns == 0 ? 0 : (double)tally->spin_ns * 100 / (double)tally->wall_ns,
                p50, p99);
    }
    fputs("\n", stream);
    for (uint32_t i = 0; i < report->verdict->why_count; i++)
        fprintf(stream, "%s%s\n", i == 0 ? "VOID: " : "      ", report->verdict->why[i]);
}

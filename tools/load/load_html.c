/*
 * A plot maps values to a rectangle of the page. Axes of latency are logarithmic, because
 * the tail is what one looks for; so is that of percentiles, in the distance to 100 %.
 */
#include "tools/load/load_html.h"

#include <errno.h>
#include <math.h>

enum {
    PLOT_WIDTH = 860,
    PLOT_HEIGHT = 260,
    MARGIN_LEFT = 70,
    MARGIN_RIGHT = 40,
    MARGIN_BOTTOM = 40,
    MARGIN_TOP = 30,
    TICK_COUNT = 8,
};

static const char CORRECTED[] = "#c2410c", UNCORRECTED[] = "#2563eb", MIDDLE[] = "#15803d",
                  FAILED[] = "#b91c1c";

/* x and y are mapped evenly; whoever wants a logarithm takes it first. */
struct plot {
    FILE *file;
    double x_min, x_max;
    double y_min, y_max;
};

static double place_x(const struct plot *plot, double x)
{
    return MARGIN_LEFT + (x - plot->x_min) / (plot->x_max - plot->x_min) * PLOT_WIDTH;
}

static double place_y(const struct plot *plot, double y)
{
    return MARGIN_TOP + PLOT_HEIGHT - (y - plot->y_min) / (plot->y_max - plot->y_min) * PLOT_HEIGHT;
}

static void put_escaped(FILE *file, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            fputc(*text, file);
        }
}

static void begin_plot(const struct plot *plot, const char *title)
{
    fprintf(plot->file,
            "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n"
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"frame\"/>\n",
            title, MARGIN_LEFT + PLOT_WIDTH + MARGIN_RIGHT,
            MARGIN_TOP + PLOT_HEIGHT + MARGIN_BOTTOM, title, MARGIN_LEFT, MARGIN_TOP, PLOT_WIDTH,
            PLOT_HEIGHT);
}

static void put_x_tick(const struct plot *plot, double x, const char *label)
{
    double at = place_x(plot, x);

    fprintf(plot->file,
            "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" class=\"grid\"/>"
            "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
            at, at, MARGIN_TOP, MARGIN_TOP + PLOT_HEIGHT, at, MARGIN_TOP + PLOT_HEIGHT + 18, label);
}

static void put_y_tick(const struct plot *plot, double y, const char *label)
{
    double at = place_y(plot, y);

    fprintf(plot->file,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            MARGIN_LEFT, MARGIN_LEFT + PLOT_WIDTH, at, at, MARGIN_LEFT - 6, at + 4, label);
}

/* Powers of ten of microseconds, y being the logarithm. */
static void put_latency_ticks(const struct plot *plot)
{
    static const char *const LABELS[] = {"1 us",   "10 us", "100 us", "1 ms",  "10 ms",
                                         "100 ms", "1 s",   "10 s",   "100 s", "1000 s"};

    for (uint32_t power = 0; power < ARRAY_COUNT(LABELS); power++)
        if (power >= plot->y_min && power <= plot->y_max)
            put_y_tick(plot, power, LABELS[power]);
}

static void put_legend(const struct plot *plot, uint32_t position, const char *color,
                       const char *label)
{
    int x = MARGIN_LEFT + 10 + (int)position * 160;

    fprintf(plot->file,
            "<rect x=\"%d\" y=\"8\" width=\"14\" height=\"4\" fill=\"%s\"/>"
            "<text x=\"%d\" y=\"15\">%s</text>\n",
            x, color, x + 20, label);
}

static void begin_line(const struct plot *plot, const char *color)
{
    fprintf(plot->file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\"%s points=\"",
            color, color == UNCORRECTED ? " stroke-dasharray=\"5 4\"" : "");
}

static void put_point(const struct plot *plot, double x, double y)
{
    fprintf(plot->file, "%.1f,%.1f ", place_x(plot, x), place_y(plot, y));
}

static void end_line(const struct plot *plot)
{
    fputs("\"/>\n", plot->file);
}

static double log_us(uint64_t us)
{
    return log10((double)max_u64(us, 1));
}

/* --- latency by percentile ------------------------------------------------ */

static void put_percentiles(const struct plot *plot, const struct hdr_histogram *histogram,
                            const char *color)
{
    struct hdr_percentiles percentiles;
    struct hdr_percentiles_row row;

    begin_line(plot, color);
    hdr_percentiles_init(&percentiles, histogram);
    while (hdr_percentiles_next(&percentiles, &row)) {
        double x = row.percentile >= 100 ? plot->x_max : log10(100 / (100 - row.percentile));

        put_point(plot, fmin(x, plot->x_max), log_us(row.value));
    }
    end_line(plot);
}

static void plot_percentiles(const struct load_tally *tally, FILE *file)
{
    static const char *const LABELS[] = {"0 %",     "90 %",     "99 %",     "99.9 %",
                                         "99.99 %", "99.999 %", "99.9999 %"};
    struct plot plot = {
        .file = file,
        .x_max = fmax(1, fmin(6, ceil(log10((double)max_u64(tally->corrected.total_count, 1))))),
        .y_min = floor(log_us(min_u64(tally->corrected.min, tally->uncorrected.min))),
        .y_max = floor(log_us(max_u64(tally->corrected.max, tally->uncorrected.max))) + 1,
    };

    begin_plot(&plot, "Latency by percentile");
    for (uint32_t i = 0; i < ARRAY_COUNT(LABELS) && i <= plot.x_max; i++)
        put_x_tick(&plot, i, LABELS[i]);
    put_latency_ticks(&plot);
    put_percentiles(&plot, &tally->corrected, CORRECTED);
    put_percentiles(&plot, &tally->uncorrected, UNCORRECTED);
    put_legend(&plot, 0, CORRECTED, "corrected");
    put_legend(&plot, 1, UNCORRECTED, "uncorrected");
    fputs("</svg>\n", file);
}

/* --- over time ------------------------------------------------------------ */

static double second_of(const struct load_tally *tally, uint32_t interval)
{
    return (interval + 0.5) * (double)tally->interval_ns / 1e9;
}

static void put_time_ticks(const struct plot *plot)
{
    double step = pow(10, ceil(log10(plot->x_max / TICK_COUNT)));
    char label[32];

    if (plot->x_max / step < TICK_COUNT / 2.0)
        step /= 2;
    for (double x = 0; x <= plot->x_max; x += step) {
        snprintf(label, sizeof(label), "%.6g s", x);
        put_x_tick(plot, x, label);
    }
}

/* The next of 1, 2, 4, 8 times a power of ten: quarters of it read well. */
static double round_up(double value)
{
    double unit = pow(10, floor(log10(value)));

    if (value <= unit)
        return unit;
    return unit * (value <= 2 * unit ? 2 : value <= 4 * unit ? 4 : value <= 8 * unit ? 8 : 10);
}

static void plot_rates(const struct load_tally *tally, FILE *file)
{
    double seconds = (double)tally->interval_ns / 1e9;
    struct plot plot = {.file = file, .x_max = tally->interval_count * seconds, .y_max = 1};
    char label[32];

    for (uint32_t i = 0; i < tally->interval_count; i++)
        plot.y_max = fmax(
            plot.y_max, (double)max_u64(tally->intervals[i].answered, tally->intervals[i].failed) *
                            1.02 / seconds);
    plot.y_max = round_up(plot.y_max);
    begin_plot(&plot, "Answers per second");
    put_time_ticks(&plot);
    for (uint32_t i = 0; i <= 4; i++) {
        snprintf(label, sizeof(label), "%.4g", plot.y_max * i / 4);
        put_y_tick(&plot, plot.y_max * i / 4, label);
    }
    begin_line(&plot, MIDDLE);
    for (uint32_t i = 0; i < tally->interval_count; i++)
        put_point(&plot, second_of(tally, i), (double)tally->intervals[i].answered / seconds);
    end_line(&plot);
    begin_line(&plot, FAILED);
    for (uint32_t i = 0; i < tally->interval_count; i++)
        put_point(&plot, second_of(tally, i), (double)tally->intervals[i].failed / seconds);
    end_line(&plot);
    put_legend(&plot, 0, MIDDLE, "answers");
    put_legend(&plot, 1, FAILED, "failures");
    fputs("</svg>\n", file);
}

enum line { LINE_P50, LINE_P99, LINE_MAX };

static uint64_t value_of(const struct load_interval *interval, enum line line)
{
    switch (line) {
    case LINE_P50:
        return interval->p50_us;
    case LINE_P99:
        return interval->p99_us;
    case LINE_MAX:
        return interval->max_us;
    }
    assert(false);
    return 0;
}

static void put_interval_line(const struct plot *plot, const struct load_tally *tally,
                              enum line line, const char *color)
{
    begin_line(plot, color);
    for (uint32_t i = 0; i < tally->interval_count; i++)
        if (tally->intervals[i].max_us > 0)
            put_point(plot, second_of(tally, i), log_us(value_of(&tally->intervals[i], line)));
    end_line(plot);
}

static void plot_latencies(const struct load_tally *tally, FILE *file)
{
    struct plot plot = {
        .file = file,
        .x_max = tally->interval_count * (double)tally->interval_ns / 1e9,
        .y_min = floor(log_us(tally->corrected.min)),
        .y_max = floor(log_us(tally->corrected.max)) + 1,
    };

    begin_plot(&plot, "Corrected latency over time");
    put_time_ticks(&plot);
    put_latency_ticks(&plot);
    put_interval_line(&plot, tally, LINE_MAX, FAILED);
    put_interval_line(&plot, tally, LINE_P99, CORRECTED);
    put_interval_line(&plot, tally, LINE_P50, MIDDLE);
    put_legend(&plot, 0, MIDDLE, "p50");
    put_legend(&plot, 1, CORRECTED, "p99");
    put_legend(&plot, 2, FAILED, "the longest");
    fputs("</svg>\n", file);
}

/* --- the page ------------------------------------------------------------- */

static const char HEAD[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>weir load</title>\n<style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;"
    "color:#111;background:#fff}\nh1{font-size:20px}h2{font-size:16px;margin-top:2em}\n"
    "pre{background:#f4f4f5;padding:1em;overflow:auto;font-size:13px}\n"
    "svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}\n"
    ".frame{fill:none;stroke:#888}.grid{stroke:#ddd}.void{color:#b91c1c;font-weight:600}\n"
    "</style></head><body>\n";

/* The report as on the terminal. */
static int put_text_report(const struct load_report *report, FILE *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);

    if (memory == NULL)
        return -errno;
    load_report_text(report, memory);
    if (fclose(memory) != 0 || text == NULL) {
        free(text);
        return -ENOMEM;
    }
    fputs("<pre>", file);
    put_escaped(file, text);
    fputs("</pre>\n", file);
    free(text);
    return 0;
}

int load_html_write(const struct load_report *report, const char *path)
{
    const struct load_tally *tally = report->tally;
    FILE *file = fopen(path, "we");
    int r;

    if (file == NULL)
        return -errno;
    fputs(HEAD, file);
    fputs("<h1>", file);
    put_escaped(file, report->url);
    fputs("</h1>\n", file);
    for (uint32_t i = 0; i < report->verdict->why_count; i++) {
        fputs("<p class=\"void\">Void: ", file);
        put_escaped(file, report->verdict->why[i]);
        fputs("</p>\n", file);
    }
    r = put_text_report(report, file);
    if (tally->corrected.total_count > 0)
        plot_percentiles(tally, file);
    if (tally->interval_count > 0 && tally->corrected.total_count > 0) {
        plot_rates(tally, file);
        plot_latencies(tally, file);
    }
    fputs("</body></html>\n", file);
    if (ferror(file) != 0)
        r = -EIO;
    if (fclose(file) != 0 && r == 0)
        r = -errno;
    return r;
}

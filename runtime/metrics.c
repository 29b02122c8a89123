#include "runtime/metrics.h"

#include <errno.h>
#include <stdarg.h>

#include "runtime/memory.h"
#include "runtime/text_writer.h"

/*
 * A block is one array of words. A counter or gauge has one word; a histogram with
 * n bounds has n + 2: a count per bucket (each observation counted once, the sums
 * that Prometheus wants are made when rendering), the +Inf bucket, the sum. A
 * struct metric is the index of the first word, so that adding is one indexed add;
 * only observe and render look the series up.
 *
 *     registry: series 0        series 1                       series 2
 *     block:    [counter]       [b0][b1][b2][+Inf][sum]        [gauge] ...
 *     metric:    0               1                              6
 */

enum { NS_DIGITS = 9, INDEX_SIZE = 2 * METRICS_SERIES_MAX };

const uint64_t METRICS_REQUEST_NS[METRICS_REQUEST_BOUNDS] = {
    100000,   250000,   500000,    1000000,   2500000,   5000000,    10000000,
    25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000,
};
const uint64_t METRICS_FLUSH_NS[METRICS_FLUSH_BOUNDS] = {
    50000,   100000,   200000,   300000,   500000,    1000000,   2000000,
    5000000, 10000000, 20000000, 50000000, 100000000, 500000000, 1000000000,
};
const uint64_t METRICS_COUNTS[METRICS_COUNT_BOUNDS] = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
};

struct series {
    enum metric_kind kind;
    enum metric_unit unit;
    const char *name;
    const char *labels;
    const char *help;
    const uint64_t *bounds;
    uint32_t bound_count;
    uint32_t value_index;
};

struct metrics_registry {
    struct series series[METRICS_SERIES_MAX];
    uint16_t series_of_value[METRICS_VALUES_MAX];
    uint16_t by_name[INDEX_SIZE]; /* 1 + the first series of a name; 0 is free */
    uint16_t by_labels[INDEX_SIZE];
    uint32_t series_count;
    uint32_t value_count;
    bool frozen;
    struct text_writer labels;
    char label_text[METRICS_TEXT_SIZE_MAX];
};

static_assert(METRICS_SERIES_MAX <= UINT16_MAX, "series_of_value holds an index");

static const char *const KIND_NAMES[] = {"counter", "gauge", "gauge", "histogram"};

int metrics_registry_new(struct metrics_registry **ret_registry)
{
    struct metrics_registry *registry;
    char *memory = NULL;
    int r;

    r = memory_map(sizeof(*registry), &memory);
    if (r < 0)
        return r;
    registry = (struct metrics_registry *)(void *)memory;
    text_writer_init(&registry->labels, registry->label_text, sizeof(registry->label_text));
    *ret_registry = registry;
    return 0;
}

void metrics_registry_free(struct metrics_registry **registry)
{
    char *memory = (char *)*registry;

    memory_unmap(&memory, sizeof(**registry));
    *registry = NULL;
}

static uint32_t value_count_of(const struct series *series)
{
    return series->kind == METRIC_HISTOGRAM ? series->bound_count + 2 : 1;
}

/* FNV-1a, going on from hash. */
static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    return hash;
}

/* Where the index has the series of this name, and of these labels if any are given. */
static uint16_t *place_of(const struct metrics_registry *registry, uint16_t *index,
                          const char *name, const char *labels)
{
    uint32_t hash = hash_text(2166136261u, name);

    if (labels != NULL)
        hash = hash_text(hash, labels);
    for (;; hash++) {
        uint16_t *place = &index[hash % INDEX_SIZE];
        const struct series *other;

        if (*place == 0)
            return place;
        other = &registry->series[*place - 1];
        if (strcmp(other->name, name) == 0 &&
            (labels == NULL || strcmp(other->labels, labels) == 0))
            return place;
    }
}

/* One name has one kind, one unit and one place in the text, else scrapers refuse it all. */
static void index_series(struct metrics_registry *registry, const struct series *series)
{
    uint16_t *first = place_of(registry, registry->by_name, series->name, NULL);
    uint16_t *place = place_of(registry, registry->by_labels, series->name, series->labels);

    assert(series->name[0] != '\0');
    assert(series->help[0] != '\0');
    assert(*place == 0);
    *place = (uint16_t)(registry->series_count + 1);
    if (*first == 0) {
        *first = *place;
        return;
    }
    assert(registry->series[*first - 1].kind == series->kind);
    assert(registry->series[*first - 1].unit == series->unit);
    assert(strcmp(registry->series[registry->series_count - 1].name, series->name) == 0);
}

static struct metric add(struct metrics_registry *registry, struct series series)
{
    uint32_t value_count = value_count_of(&series);

    assert(!registry->frozen);
    assert(registry->series_count < METRICS_SERIES_MAX);
    assert(registry->value_count + value_count <= METRICS_VALUES_MAX);
    index_series(registry, &series);
    series.value_index = registry->value_count;
    registry->series_of_value[series.value_index] = (uint16_t)registry->series_count;
    registry->series[registry->series_count++] = series;
    registry->value_count += value_count;
    return (struct metric){series.value_index};
}

struct metric metrics_add_series(struct metrics_registry *registry, enum metric_kind kind,
                                 enum metric_unit unit, const char *name, const char *labels,
                                 const char *help)
{
    assert(kind != METRIC_HISTOGRAM);
    return add(registry, (struct series){
                             .kind = kind,
                             .unit = unit,
                             .name = name,
                             .labels = labels,
                             .help = help,
                         });
}

struct metric metrics_add_histogram(struct metrics_registry *registry, enum metric_unit unit,
                                    const char *name, const char *labels, const char *help,
                                    const uint64_t *bounds, uint32_t bound_count)
{
    assert(bound_count > 0);
    assert(bound_count <= METRICS_BUCKETS_MAX);
    for (uint32_t i = 1; i < bound_count; i++)
        assert(bounds[i - 1] < bounds[i]);
    return add(registry, (struct series){
                             .kind = METRIC_HISTOGRAM,
                             .unit = unit,
                             .name = name,
                             .labels = labels,
                             .help = help,
                             .bounds = bounds,
                             .bound_count = bound_count,
                         });
}

const char *metrics_text(struct metrics_registry *registry, const char *format, ...)
{
    struct text_writer *labels = &registry->labels;
    char *text = labels->data + labels->size;
    va_list arguments;
    int size;

    assert(!registry->frozen);
    va_start(arguments, format);
    size = vsnprintf(text, labels->capacity - labels->size, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    assert((size_t)size < labels->capacity - labels->size);
    labels->size += (size_t)size + 1;
    return text;
}

void metrics_freeze(struct metrics_registry *registry)
{
    assert(!registry->frozen);
    registry->frozen = true;
}

void metrics_init(struct metrics *metrics, const struct metrics_registry *registry)
{
    metrics->registry = registry;
    memset(metrics->values, 0, sizeof(metrics->values));
}

static const struct series *series_of(const struct metrics_registry *registry, struct metric metric)
{
    const struct series *series;

    assert(metric.series < registry->value_count);
    series = &registry->series[registry->series_of_value[metric.series]];
    assert(series->value_index == metric.series);
    return series;
}

void metrics_add(struct metrics *metrics, struct metric metric, uint64_t amount)
{
    assert(metric.series < METRICS_VALUES_MAX);
    metrics->values[metric.series] += amount;
}

void metrics_set(struct metrics *metrics, struct metric metric, uint64_t value)
{
    assert(metric.series < METRICS_VALUES_MAX);
    metrics->values[metric.series] = value;
}

void metrics_observe(struct metrics *metrics, struct metric metric, uint64_t value)
{
    const struct series *series = series_of(metrics->registry, metric);
    uint64_t *buckets = &metrics->values[metric.series];
    uint32_t first = 0;
    uint32_t count = series->bound_count;

    assert(series->kind == METRIC_HISTOGRAM);
    /* Halves the range in which the first bound >= value may lie, without a jump to mispredict. */
    while (count > 0) {
        uint32_t half = count / 2;
        bool above = series->bounds[first + half] < value;

        first = above ? first + half + 1 : first;
        count = above ? count - half - 1 : half;
    }
    buckets[first]++;
    buckets[series->bound_count + 1] += value;
}

static uint64_t observation_count(const struct metrics *metrics, const struct series *series)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i <= series->bound_count; i++)
        count += metrics->values[series->value_index + i];
    return count;
}

uint64_t metrics_value(const struct metrics *metrics, struct metric metric)
{
    const struct series *series = series_of(metrics->registry, metric);

    if (series->kind == METRIC_HISTOGRAM)
        return observation_count(metrics, series);
    return metrics->values[metric.series];
}

/* The blocks of one scrape. */
struct scrape {
    const struct metrics *const *blocks;
    uint32_t block_count;
};

/* One word of all blocks together: the sum, or the largest as signed number. */
static uint64_t merged_value(const struct scrape *scrape, const struct series *series,
                             uint32_t offset)
{
    uint64_t merged = 0;

    for (uint32_t i = 0; i < scrape->block_count; i++) {
        uint64_t value = scrape->blocks[i]->values[series->value_index + offset];

        if (series->kind != METRIC_GAUGE_MAX)
            merged += value;
        else if (i == 0 || (int64_t)value > (int64_t)merged)
            merged = value;
    }
    return merged;
}

/* Nanoseconds as decimal seconds without zeroes at the end: 2500000 is 0.0025. */
static void put_seconds(struct text_writer *writer, uint64_t ns)
{
    uint64_t fraction = ns % 1000000000;
    uint32_t digit_count = NS_DIGITS;

    text_writer_u64(writer, ns / 1000000000);
    if (fraction == 0)
        return;
    while (fraction % 10 == 0) {
        fraction /= 10;
        digit_count--;
    }
    text_writer_char(writer, '.');
    text_writer_padded(writer, fraction, digit_count);
}

static void put_value(struct text_writer *writer, const struct series *series, uint64_t value)
{
    bool is_gauge = series->kind == METRIC_GAUGE || series->kind == METRIC_GAUGE_MAX;

    if (is_gauge && (int64_t)value < 0) {
        text_writer_char(writer, '-');
        value = 0 - value;
    }
    if (series->unit == METRIC_UNIT_SECONDS)
        put_seconds(writer, value);
    else
        text_writer_u64(writer, value);
}

static void put_plain(struct text_writer *writer, const struct series *series, uint64_t value)
{
    text_writer_text(writer, series->name);
    if (series->labels[0] != '\0') {
        text_writer_char(writer, '{');
        text_writer_text(writer, series->labels);
        text_writer_char(writer, '}');
    }
    text_writer_char(writer, ' ');
    put_value(writer, series, value);
    text_writer_char(writer, '\n');
}

/* The start of one line of a histogram, up to and with the blank before its value. */
static void put_part_name(struct text_writer *writer, const struct series *series,
                          const char *suffix, bool is_bucket, uint32_t bucket)
{
    bool has_labels = series->labels[0] != '\0';

    text_writer_text(writer, series->name);
    text_writer_text(writer, suffix);
    if (has_labels || is_bucket)
        text_writer_char(writer, '{');
    text_writer_text(writer, series->labels);
    if (is_bucket) {
        text_writer_text(writer, has_labels ? ",le=\"" : "le=\"");
        if (bucket < series->bound_count)
            put_value(writer, series, series->bounds[bucket]);
        else
            text_writer_text(writer, "+Inf");
        text_writer_char(writer, '"');
    }
    if (has_labels || is_bucket)
        text_writer_char(writer, '}');
    text_writer_char(writer, ' ');
}

static void put_histogram(struct text_writer *writer, const struct series *series,
                          const struct scrape *scrape)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i <= series->bound_count; i++) {
        count += merged_value(scrape, series, i);
        put_part_name(writer, series, "_bucket", true, i);
        text_writer_u64(writer, count);
        text_writer_char(writer, '\n');
    }
    put_part_name(writer, series, "_sum", false, 0);
    put_value(writer, series, merged_value(scrape, series, series->bound_count + 1));
    text_writer_char(writer, '\n');
    put_part_name(writer, series, "_count", false, 0);
    text_writer_u64(writer, count);
    text_writer_char(writer, '\n');
}

static void put_header(struct text_writer *writer, const struct series *series)
{
    text_writer_put(writer, SLICE_LITERAL("# HELP "));
    text_writer_text(writer, series->name);
    text_writer_char(writer, ' ');
    for (const char *help = series->help; *help != '\0'; help++) {
        if (*help == '\\')
            text_writer_put(writer, SLICE_LITERAL("\\\\"));
        else if (*help == '\n')
            text_writer_put(writer, SLICE_LITERAL("\\n"));
        else
            text_writer_char(writer, *help);
    }
    text_writer_put(writer, SLICE_LITERAL("\n# TYPE "));
    text_writer_text(writer, series->name);
    text_writer_char(writer, ' ');
    text_writer_text(writer, KIND_NAMES[series->kind]);
    text_writer_char(writer, '\n');
}

int64_t metrics_render(const struct metrics_registry *registry, const struct metrics *const *blocks,
                       uint32_t block_count, char *text, size_t text_size)
{
    struct scrape scrape = {blocks, block_count};
    const char *headed_name = "";
    struct text_writer writer;

    assert(block_count > 0);
    text_writer_init(&writer, text, text_size);
    for (uint32_t i = 0; i < registry->series_count && !writer.overflowed; i++) {
        const struct series *series = &registry->series[i];
        uint64_t value = merged_value(&scrape, series, 0);

        if (series->kind == METRIC_COUNTER && series->labels[0] != '\0' && value == 0)
            continue;
        if (strcmp(headed_name, series->name) != 0)
            put_header(&writer, series);
        headed_name = series->name;
        if (series->kind == METRIC_HISTOGRAM)
            put_histogram(&writer, series, &scrape);
        else
            put_plain(&writer, series, value);
    }
    return writer.overflowed ? -EMSGSIZE : (int64_t)writer.size;
}

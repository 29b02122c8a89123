#include "runtime/metrics.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>

static struct metrics_registry *registry;
static struct metrics shard_a, shard_b;
static const struct metrics *const blocks[] = {&shard_a, &shard_b};
static char text[64 * 1024];

static void setup(void)
{
    cr_assert(eq(int, metrics_registry_new(&registry), 0));
}

static void freeze(void)
{
    metrics_freeze(registry);
    metrics_init(&shard_a, registry);
    metrics_init(&shard_b, registry);
}

static char *render(void)
{
    int64_t size = metrics_render(registry, blocks, 2, text, sizeof(text) - 1);

    cr_assert(ge(i64, size, 0));
    text[size] = '\0';
    return text;
}

static struct metric counter(const char *name, const char *labels)
{
    return metrics_add_series(registry, METRIC_COUNTER, METRIC_UNIT_NONE, name, labels, "Help.");
}

TestSuite(metrics, .init = setup, .timeout = 10);

Test(metrics, sums_counters_over_the_shards)
{
    struct metric requests = counter("weir_requests_total", "");

    freeze();
    metrics_add(&shard_a, requests, 3);
    metrics_add(&shard_b, requests, 4);

    cr_expect(eq(u64, metrics_value(&shard_a, requests), 3));
    cr_expect(eq(str, render(),
                 "# HELP weir_requests_total Help.\n"
                 "# TYPE weir_requests_total counter\n"
                 "weir_requests_total 7\n"));
}

Test(metrics, heads_a_name_once_and_leaves_out_labelled_zeroes)
{
    struct metric get = counter("weir_requests_total", "method=\"GET\"");

    (void)counter("weir_requests_total", "method=\"PUT\"");
    (void)counter("weir_other_total", "a=\"b\"");
    (void)counter("weir_plain_total", "");
    freeze();
    metrics_add(&shard_b, get, 1);

    cr_expect(eq(str, render(),
                 "# HELP weir_requests_total Help.\n"
                 "# TYPE weir_requests_total counter\n"
                 "weir_requests_total{method=\"GET\"} 1\n"
                 "# HELP weir_plain_total Help.\n"
                 "# TYPE weir_plain_total counter\n"
                 "weir_plain_total 0\n"));
}

Test(metrics, lets_one_shard_lower_what_another_raised)
{
    struct metric depth =
        metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_depth", "", "Depth.");

    freeze();
    metrics_add(&shard_a, depth, 5);
    metrics_add(&shard_b, depth, (uint64_t)-7);

    cr_expect(ne(ptr, strstr(render(), "\nweir_depth -2\n"), NULL));
}

Test(metrics, shows_the_largest_of_the_shards)
{
    struct metric lag = metrics_add_series(registry, METRIC_GAUGE_MAX, METRIC_UNIT_SECONDS,
                                           "weir_lag_seconds", "", "Lag.");

    freeze();
    metrics_set(&shard_a, lag, 1500000000);
    metrics_set(&shard_b, lag, 20);

    cr_expect(
        ne(ptr, strstr(render(), "# TYPE weir_lag_seconds gauge\nweir_lag_seconds 1.5\n"), NULL));
}

Test(metrics, renders_nanoseconds_as_exact_seconds)
{
    static const struct {
        uint64_t ns;
        const char *seconds;
    } values[] = {
        {0, " 0\n"},          {1, " 0.000000001\n"},           {2500000, " 0.0025\n"},
        {1000000000, " 1\n"}, {61000000010, " 61.00000001\n"}, {0 - (uint64_t)500000000, " -0.5\n"},
    };
    struct metric age = metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_SECONDS,
                                           "weir_age_seconds", "", "Age.");

    freeze();
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        metrics_set(&shard_a, age, values[i].ns);
        cr_expect(ne(ptr, strstr(render(), values[i].seconds), NULL), "%s", values[i].seconds);
    }
}

Test(metrics, counts_an_observation_on_the_bound_inside_it)
{
    static const uint64_t bounds[] = {100000, 1000000, 5000000};
    struct metric duration =
        metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "weir_duration_seconds",
                              "route=\"/x\"", "Duration.", bounds, ARRAY_COUNT(bounds));

    freeze();
    metrics_observe(&shard_a, duration, 0);
    metrics_observe(&shard_a, duration, 100000);
    metrics_observe(&shard_b, duration, 100001);
    metrics_observe(&shard_b, duration, 5000000);
    metrics_observe(&shard_b, duration, 5000001);

    cr_expect(eq(u64, metrics_value(&shard_b, duration), 3));
    cr_expect(eq(str, render(),
                 "# HELP weir_duration_seconds Duration.\n"
                 "# TYPE weir_duration_seconds histogram\n"
                 "weir_duration_seconds_bucket{route=\"/x\",le=\"0.0001\"} 2\n"
                 "weir_duration_seconds_bucket{route=\"/x\",le=\"0.001\"} 3\n"
                 "weir_duration_seconds_bucket{route=\"/x\",le=\"0.005\"} 4\n"
                 "weir_duration_seconds_bucket{route=\"/x\",le=\"+Inf\"} 5\n"
                 "weir_duration_seconds_sum{route=\"/x\"} 0.010200002\n"
                 "weir_duration_seconds_count{route=\"/x\"} 5\n"));
}

Test(metrics, finds_the_bucket_as_a_linear_search_would)
{
    for (uint32_t count = 1; count <= METRICS_COUNT_BOUNDS; count++) {
        const char *name = metrics_text(registry, "weir_h%u", count);
        struct metric h = metrics_add_histogram(registry, METRIC_UNIT_NONE, name, "", "H.",
                                                METRICS_COUNTS, count);

        for (uint64_t value = 0; value < 5000; value++) {
            uint32_t expected = 0;

            metrics_init(&shard_a, registry);
            metrics_observe(&shard_a, h, value);
            while (expected < count && METRICS_COUNTS[expected] < value)
                expected++;
            cr_assert(eq(u64, shard_a.values[h.series + expected], 1));
            value += value > 64 ? 37 : 0;
        }
    }
}

Test(metrics, keeps_series_apart_in_one_block)
{
    struct metric before = counter("weir_before_total", "");
    struct metric middle = metrics_add_histogram(registry, METRIC_UNIT_NONE, "weir_middle", "",
                                                 "M.", METRICS_COUNTS, METRICS_COUNT_BOUNDS);
    struct metric after = counter("weir_after_total", "");

    freeze();
    metrics_observe(&shard_a, middle, UINT64_MAX / 2);
    metrics_observe(&shard_a, middle, 0);

    cr_expect(eq(u64, metrics_value(&shard_a, before), 0));
    cr_expect(eq(u64, metrics_value(&shard_a, after), 0));
    cr_expect(ne(ptr, strstr(render(), "weir_middle_bucket{le=\"1\"} 1\n"), NULL));
    cr_expect(ne(ptr, strstr(text, "weir_middle_sum 9223372036854775807\n"), NULL));
}

Test(metrics, escapes_the_help_text)
{
    (void)metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_x", "", "a\\b\nc");
    freeze();

    cr_expect(eq(str, render(), "# HELP weir_x a\\\\b\\nc\n# TYPE weir_x gauge\nweir_x 0\n"));
}

Test(metrics, keeps_built_labels)
{
    struct metric metric[3];

    for (uint32_t i = 0; i < 3; i++)
        metric[i] = counter("weir_shard_total", metrics_text(registry, "shard=\"%u\"", i));
    freeze();
    for (uint32_t i = 0; i < 3; i++)
        metrics_add(&shard_a, metric[i], i + 1);

    cr_expect(
        ne(ptr, strstr(render(), "{shard=\"0\"} 1\nweir_shard_total{shard=\"1\"} 2\n"), NULL));
}

Test(metrics, says_when_the_text_does_not_fit_at_any_size)
{
    size_t size;

    (void)counter("weir_requests_total", "");
    (void)metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "weir_d_seconds", "a=\"b\"", "D.",
                                METRICS_REQUEST_NS, METRICS_REQUEST_BOUNDS);
    freeze();
    size = strlen(render());
    for (size_t i = 0; i < size; i++)
        cr_assert(eq(i64, metrics_render(registry, blocks, 2, text, i), -EMSGSIZE));
    cr_expect(eq(i64, metrics_render(registry, blocks, 2, text, size), (int64_t)size));
}

Test(metrics, standard_bounds_ascend)
{
    (void)metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "a", "", "A.", METRICS_REQUEST_NS,
                                METRICS_REQUEST_BOUNDS);
    (void)metrics_add_histogram(registry, METRIC_UNIT_SECONDS, "b", "", "B.", METRICS_FLUSH_NS,
                                METRICS_FLUSH_BOUNDS);
    cr_expect(eq(u64, METRICS_REQUEST_NS[METRICS_REQUEST_BOUNDS - 1], 2500000000u));
    cr_expect(eq(u64, METRICS_FLUSH_NS[METRICS_FLUSH_BOUNDS - 1], 1000000000u));
}

Test(metrics, aborts_when_a_name_comes_again_later, .signal = SIGABRT)
{
    (void)counter("weir_a_total", "x=\"1\"");
    (void)counter("weir_b_total", "");
    (void)counter("weir_a_total", "x=\"2\"");
}

Test(metrics, aborts_when_a_series_comes_twice, .signal = SIGABRT)
{
    (void)counter("weir_a_total", "x=\"1\"");
    (void)counter("weir_a_total", "x=\"2\"");
    (void)counter("weir_a_total", "x=\"1\"");
}

Test(metrics, aborts_when_a_name_has_two_kinds, .signal = SIGABRT)
{
    (void)counter("weir_a_total", "x=\"1\"");
    (void)metrics_add_series(registry, METRIC_GAUGE, METRIC_UNIT_NONE, "weir_a_total", "x=\"2\"",
                             "A.");
}

Test(metrics, aborts_on_a_series_after_the_freeze, .signal = SIGABRT)
{
    freeze();
    (void)counter("weir_a_total", "");
}

Test(metrics, aborts_on_an_observation_of_a_counter, .signal = SIGABRT)
{
    struct metric metric = counter("weir_a_total", "");

    freeze();
    metrics_observe(&shard_a, metric, 1);
}

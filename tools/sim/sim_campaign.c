/*
 * One loop waits for news from workers, for signals and for the next look at the
 * clock. All that is counted is counted here, when a worker hands a seed back, so
 * nothing is shared without turns and nothing has to be atomic.
 */
#include "tools/sim/sim_campaign.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { LOOK_INTERVAL_MS = 200, CLOCK_FACTOR = 20 };

#define ONE(member) +1
static_assert(sizeof(struct sim_run_result) ==
                  (1 + (0 SIM_CAMPAIGN_NUMBERS(ONE))) * sizeof(uint64_t),
              "a new number of struct sim_run_result has to be in SIM_CAMPAIGN_NUMBERS");
#undef ONE

static void campaign_check(const struct sim_campaign *campaign)
{
    const struct sim_campaign_options *options = &campaign->options;

    assert(options->seed_begin < options->seed_end);
    assert(options->task.run_seed != NULL);
    assert(options->task.run.trace == NULL || options->seed_end - options->seed_begin == 1);
    assert(options->failure_count_max >= 1);
    assert(options->failure_count_max <= SIM_CAMPAIGN_FAILURE_COUNT_MAX);
    assert(campaign->failure_count <= options->failure_count_max);
    assert(campaign->worker_count <= SIM_CAMPAIGN_JOB_COUNT_MAX);
    assert(campaign->seed_next <= options->seed_end);
}

/* --- points --------------------------------------------------------------- */

static int compare_points(const void *a, const void *b)
{
    const struct sim_campaign_point *left = a, *right = b;

    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    return strcmp(left->name, right->name);
}

static uint32_t find_point(const struct sim_campaign *campaign, const struct sim_point *place)
{
    for (uint32_t i = 0; i < campaign->point_count; i++) {
        const struct sim_campaign_point *point = &campaign->points[i];

        assert(point->name != NULL);
        if (point->kind == place->kind && strcmp(point->name, place->name) == 0)
            return i;
    }
    return campaign->point_count;
}

/* The one place that no run can meet: it is in sim_point_all(), so that a list is never empty. */
static bool is_of_listing(const struct sim_point *place)
{
    return strcmp(place->name, "the points of a binary are listed") == 0;
}

/*
 * Makes points out of places, and the way from the one to the other; the entry after
 * the last point is for the place that does not count. 0 or -ENOMEM.
 */
static int merge_places(struct sim_campaign *campaign)
{
    struct sim_point *const *places;
    size_t count;

    places = sim_point_all(&count);
    assert(count <= SIM_WORKER_PLACE_COUNT_MAX);
    campaign->points = calloc(count + 1, sizeof(*campaign->points));
    campaign->place_points = calloc(count + 1, sizeof(*campaign->place_points));
    if (campaign->points == NULL || campaign->place_points == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (!is_of_listing(places[i]) && find_point(campaign, places[i]) == campaign->point_count)
            campaign->points[campaign->point_count++] =
                (struct sim_campaign_point){.name = places[i]->name, .kind = places[i]->kind};
    qsort(campaign->points, campaign->point_count, sizeof(*campaign->points), compare_points);
    for (size_t i = 0; i < count; i++)
        campaign->place_points[i] = find_point(campaign, places[i]);
    return 0;
}

static void add_points(struct sim_campaign *campaign, const uint64_t *hit_counts)
{
    bool met[SIM_WORKER_PLACE_COUNT_MAX] = {false};
    size_t count;

    (void)sim_point_all(&count);
    for (size_t i = 0; i < count; i++) {
        uint32_t point = campaign->place_points[i];

        campaign->points[point].hit_count += hit_counts[i];
        met[point] |= hit_counts[i] > 0;
    }
    for (uint32_t i = 0; i < campaign->point_count; i++)
        campaign->points[i].seed_count += met[i] ? 1 : 0;
}

/* --- results -------------------------------------------------------------- */

static void add_result(struct sim_campaign *campaign, uint64_t seed,
                       const struct sim_run_result *result)
{
    const uint64_t pair[] = {seed, result->hash};

#define ADD(member)                                                                                \
    campaign->sum.member += result->member;                                                        \
    campaign->max.member = max_u64(campaign->max.member, result->member);
    SIM_CAMPAIGN_NUMBERS(ADD)
#undef ADD
    campaign->hash += sim_hash(pair, sizeof(pair));
    campaign->done_count++;
    if (campaign->hashes != NULL)
        campaign->hashes[seed - campaign->options.seed_begin] = result->hash;
}

/* Keeps the failure in its place by seed; the largest seed goes when there are too many. */
static int add_failure(struct sim_campaign *campaign, uint64_t seed, const struct sim_story *story)
{
    struct sim_campaign_failure *failure = malloc(sizeof(*failure));
    uint32_t at = campaign->failure_count;

    if (failure == NULL)
        return -ENOMEM;
    failure->seed = seed;
    memcpy(failure->what, story->what, sizeof(failure->what));
    memcpy(failure->report, story->failure, sizeof(failure->report));
    for (; at > 0 && campaign->failures[at - 1]->seed > seed; at--)
        campaign->failures[at] = campaign->failures[at - 1];
    campaign->failures[at] = failure;
    campaign->failure_count++;
    if (campaign->failure_count > campaign->options.failure_count_max)
        free(campaign->failures[--campaign->failure_count]);
    return 0;
}

/* The seed after which none is of interest any more. */
static uint64_t seed_last(const struct sim_campaign *campaign)
{
    if (campaign->failure_count < campaign->options.failure_count_max)
        return campaign->options.seed_end - 1;
    return campaign->failures[campaign->failure_count - 1]->seed;
}

/* --- workers -------------------------------------------------------------- */

/* Gives the worker the next seed, if there is one. 0 or -errno. */
static int assign_next(struct sim_campaign *campaign, uint32_t index)
{
    if (campaign->seed_next > seed_last(campaign) || campaign->was_interrupted)
        return 0;
    campaign->worker_begin_ns[index] = campaign->clock.mono_ns;
    campaign->worker_begin_cpu_ns[index] = sim_worker_cpu_ns(&campaign->workers[index]);
    return sim_worker_assign(&campaign->workers[index], campaign->seed_next++);
}

static int on_failure(struct sim_campaign *campaign, const struct sim_worker *worker)
{
    int r = add_failure(campaign, worker->seed, &worker->share->story);

    for (uint32_t i = 0; i < campaign->worker_count; i++)
        if (campaign->workers[i].is_busy && campaign->workers[i].seed > seed_last(campaign))
            sim_worker_end(&campaign->workers[i]);
    return r;
}

/* The worker has something to tell. 0 or -errno. */
static int on_news(struct sim_campaign *campaign, uint32_t index)
{
    struct sim_worker *worker = &campaign->workers[index];
    enum sim_worker_news news = sim_worker_hear(worker);
    int r = 0;

    add_points(campaign, worker->share->hit_counts);
    switch (news) {
    case SIM_WORKER_DONE:
        add_result(campaign, worker->seed, &worker->share->result);
        break;
    case SIM_WORKER_FAILED:
    case SIM_WORKER_DIED:
        r = on_failure(campaign, worker);
        break;
    }
    return r < 0 ? r : assign_next(campaign, index);
}

/* A run that gets little of a busy machine is slow, not hanging; one that waits is. */
static bool is_hanging(const struct sim_campaign *campaign, uint32_t index, uint64_t limit_ns)
{
    uint64_t used_ns = sim_worker_cpu_ns(&campaign->workers[index]);

    return used_ns > campaign->worker_begin_cpu_ns[index] + limit_ns ||
           campaign->clock.mono_ns - campaign->worker_begin_ns[index] > CLOCK_FACTOR * limit_ns;
}

/* Ends the runs that take too long. 0 or -errno. */
static int end_hanging(struct sim_campaign *campaign)
{
    uint64_t limit_ms = campaign->options.seed_timeout_ms;
    int r = 0;

    for (uint32_t i = 0; r == 0 && limit_ms > 0 && i < campaign->worker_count; i++) {
        struct sim_worker *worker = &campaign->workers[i];

        if (!worker->is_busy || !is_hanging(campaign, i, limit_ms * 1000000))
            continue;
        sim_worker_end_hanging(worker, limit_ms);
        r = on_failure(campaign, worker);
        if (r == 0)
            r = assign_next(campaign, i);
    }
    return r;
}

static bool is_any_busy(const struct sim_campaign *campaign)
{
    for (uint32_t i = 0; i < campaign->worker_count; i++)
        if (campaign->workers[i].is_busy)
            return true;
    return false;
}

/* --- the loop ------------------------------------------------------------- */

static void look_at_clock(struct sim_campaign *campaign)
{
    clock_update(&campaign->clock);
    campaign->wall_ns = campaign->clock.mono_ns - campaign->begin_ns;
}

/* Waits for the next thing to happen. 0, -EINTR after a signal, or -errno. */
static int wait_once(struct sim_campaign *campaign)
{
    struct pollfd fds[SIM_CAMPAIGN_JOB_COUNT_MAX + 1];
    uint32_t count = campaign->worker_count;
    int r;

    for (uint32_t i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = campaign->workers[i].is_busy ? campaign->workers[i].fd : -1,
                                 .events = POLLIN};
    fds[count] = (struct pollfd){.fd = campaign->signal_fd, .events = POLLIN};
    r = poll(fds, count + 1, LOOK_INTERVAL_MS);
    if (r < 0 && errno != EINTR)
        return -errno;
    look_at_clock(campaign);
    if (r > 0 && fds[count].revents != 0) {
        campaign->was_interrupted = true;
        return -EINTR;
    }
    /* News of one worker may end another: its event is then of the past. */
    for (uint32_t i = 0; r > 0 && i < count; i++)
        if (fds[i].revents != 0 && campaign->workers[i].is_busy) {
            int error = on_news(campaign, i);

            if (error < 0)
                return error;
        }
    return end_hanging(campaign);
}

static void tell_watch(const struct sim_campaign *campaign)
{
    if (campaign->options.watch != NULL)
        campaign->options.watch->on_progress(campaign->options.watch, campaign);
}

static int run_loop(struct sim_campaign *campaign)
{
    uint64_t told_ns = campaign->begin_ns;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < campaign->worker_count; i++)
        r = assign_next(campaign, i);
    while (r == 0 && is_any_busy(campaign)) {
        r = wait_once(campaign);
        campaign_check(campaign);
        if (campaign->clock.mono_ns - told_ns >= LOOK_INTERVAL_MS * 1000000ULL) {
            told_ns = campaign->clock.mono_ns;
            tell_watch(campaign);
        }
    }
    return r;
}

/* Takes SIGINT and SIGTERM as news instead of as an end. 0 or -errno. */
static int catch_signals(struct sim_campaign *campaign, sigset_t *ret_before)
{
    sigset_t caught;

    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigprocmask(SIG_BLOCK, &caught, ret_before); /* fails only when used wrongly */
    campaign->signal_fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    return campaign->signal_fd < 0 ? -errno : 0;
}

/* Signals that came meanwhile have done their work; they must not strike afterwards. */
static void release_signals(struct sim_campaign *campaign, const sigset_t *before)
{
    struct signalfd_siginfo info;

    if (campaign->signal_fd >= 0) {
        while (read(campaign->signal_fd, &info, sizeof(info)) == sizeof(info))
            campaign->was_interrupted = true;
        close(campaign->signal_fd);
        campaign->signal_fd = -1;
    }
    sigprocmask(SIG_SETMASK, before, NULL);
}

int sim_campaign_run(struct sim_campaign *campaign)
{
    sigset_t before;
    int r;

    campaign_check(campaign);
    assert(campaign->seed_next == campaign->options.seed_begin);
    clock_init(&campaign->clock, &clock_source_system);
    campaign->begin_ns = campaign->clock.mono_ns;
    r = catch_signals(campaign, &before);
    if (r == 0)
        r = run_loop(campaign);
    for (uint32_t i = 0; i < campaign->worker_count; i++)
        sim_worker_end(&campaign->workers[i]);
    look_at_clock(campaign);
    release_signals(campaign, &before);
    tell_watch(campaign);
    return r;
}

/* --- life ----------------------------------------------------------------- */

static uint32_t count_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    return (uint32_t)CPU_COUNT(&set);
}

int sim_campaign_new(const struct sim_campaign_options *options, struct sim_campaign **ret_campaign)
{
    struct sim_campaign *campaign = calloc(1, sizeof(*campaign));
    uint64_t seed_count = options->seed_end - options->seed_begin;
    uint64_t jobs = options->job_count > 0 ? options->job_count : count_processors();
    int r;

    if (campaign == NULL)
        return -ENOMEM;
    campaign->options = *options;
    campaign->seed_next = options->seed_begin;
    campaign->signal_fd = -1;
    campaign_check(campaign);
    assert(!options->wants_hashes || seed_count <= SIM_CAMPAIGN_HASH_COUNT_MAX);
    r = merge_places(campaign);
    if (r == 0 && options->wants_hashes) {
        campaign->hashes = calloc(seed_count, sizeof(*campaign->hashes));
        r = campaign->hashes != NULL ? 0 : -ENOMEM;
    }
    jobs = min_u64(min_u64(jobs, seed_count), SIM_CAMPAIGN_JOB_COUNT_MAX);
    while (r == 0 && campaign->worker_count < jobs) {
        r = sim_worker_init(&campaign->workers[campaign->worker_count], &campaign->options.task);
        campaign->worker_count += r == 0 ? 1 : 0;
    }
    if (r < 0)
        sim_campaign_free(&campaign);
    else
        *ret_campaign = campaign;
    return r;
}

void sim_campaign_free(struct sim_campaign **campaign)
{
    struct sim_campaign *c = *campaign;

    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->worker_count; i++)
        sim_worker_deinit(&c->workers[i]);
    for (uint32_t i = 0; i < c->failure_count; i++)
        free(c->failures[i]);
    free(c->hashes);
    free(c->points);
    free(c->place_points);
    free(c);
    *campaign = NULL;
}

/*
 * One table and one log at a time, kept in static variables: each test is a process of
 * its own. Records get locations of 64 to a segment, in the order in which they are
 * applied, so that a test can let the oldest segment go.
 */
#include "job_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>

enum { RECORDS_PER_SEGMENT = 64 };

struct job_table *table;
uint64_t now_ms;
struct job_logged *job_log;
uint32_t job_log_count;
uint64_t job_log_oldest_seq = 1;

static uint32_t job_log_room;
static uint64_t next_id;
static uint64_t next_record;
static struct job_table_config config_used;

struct job_table_config job_fixture_config(void)
{
    return (struct job_table_config){
        .job_count_max = 4096,
        .finished_count_max = 64,
        .finished_ms = 3600000,
        .dead_count_max = 16,
        .dead_ms = 86400000,
        .retry = {.max_attempts = 8},
    };
}

void job_fixture_new(const struct job_table_config *config)
{
    job_fixture_end();
    config_used = *config;
    cr_assert(eq(int, job_table_new(config, &table), 0));
    now_ms = T0;
    cr_assert(eq(u32, job_table_resume(table, now_ms), 0));
}

void job_fixture_end(void)
{
    job_table_free(&table);
    free(job_log);
    job_log = NULL;
    job_log_count = 0;
    job_log_room = 0;
    next_id = 0;
    next_record = 0;
    job_log_oldest_seq = 1;
}

struct journal_location job_fixture_location(uint32_t log)
{
    next_record++;
    return journal_location_make(log, 1 + next_record / RECORDS_PER_SEGMENT,
                                 4096 + next_record % RECORDS_PER_SEGMENT * 512);
}

struct job_image job_fixture_image(const struct job_ask *ask, uint64_t id)
{
    struct job_image image = {
        .header = {.id_low = id,
                   .created_ms = now_ms,
                   .deadline_ms = ask->deadline_ms,
                   .timeout_ms = ask->timeout_ms,
                   .priority = ask->priority,
                   .max_attempts = ask->max_attempts,
                   .unique = ask->unique,
                   .unique_key = {ask->unique_key * 0x9e3779b97f4a7c15, ask->unique_key},
                   .unique_until_ms = ask->unique_until_ms,
                   .body_hash = ask->body_hash,
                   .on_failure = ask->on_failure,
                   .state = JOB_QUEUED},
        .after = ask->after,
        .after_count = ask->after_count,
    };

    if (ask->delay_ms > 0) {
        image.header.state = JOB_SCHEDULED;
        image.header.due_ms = now_ms + ask->delay_ms;
    }
    if (ask->after_count > 0)
        image.header.state = JOB_WAITING;
    image.sections[JOB_SECTION_ORG] = SLICE_LITERAL("o");
    image.sections[JOB_SECTION_PROJECT] = slice_of(ask->project == NULL ? "p" : ask->project);
    image.sections[JOB_SECTION_KIND] = slice_of(ask->kind == NULL ? "mail" : ask->kind);
    image.sections[JOB_SECTION_KEY] = slice_of(ask->key == NULL ? "" : ask->key);
    return image;
}

struct job_queue *job_fixture_queue(const char *kind)
{
    return job_table_queue(table, SLICE_LITERAL("o"), SLICE_LITERAL("p"), slice_of(kind), true);
}

enum job_admission job_fixture_admit(const struct job_ask *ask, uint64_t id,
                                     struct job_ref *ret_ref)
{
    struct job_image image = job_fixture_image(ask, id);
    struct job_queue *queue =
        job_table_queue(table, image.sections[JOB_SECTION_ORG], image.sections[JOB_SECTION_PROJECT],
                        image.sections[JOB_SECTION_KIND], true);

    return job_table_admit(table, queue, &image, now_ms, ret_ref);
}

static struct job_logged *log_next(void)
{
    if (job_log_count == job_log_room) {
        job_log_room = job_log_room == 0 ? 64 : 2 * job_log_room;
        job_log = realloc(job_log, job_log_room * sizeof(*job_log));
        cr_assert(job_log != NULL);
    }
    memset(&job_log[job_log_count], 0, sizeof(*job_log));
    return &job_log[job_log_count++];
}

void job_fixture_apply_job(const struct job_image *image, uint32_t log)
{
    struct job_logged *logged = log_next();

    logged->image = *image;
    for (uint32_t i = 0; i < image->after_count; i++)
        logged->after[i] = job_image_after(image, i);
    logged->location = job_fixture_location(log);
    cr_assert(eq(int, job_table_apply_job(table, image, logged->location, 300, now_ms), 0));
}

uint64_t job_fixture_enqueue(const struct job_ask *ask)
{
    uint64_t id = ++next_id;
    struct job_image image = job_fixture_image(ask, id);
    struct job_ref ref;

    cr_assert(eq(int, job_fixture_admit(ask, id, &ref), JOB_ADMITTED));
    job_fixture_apply_job(&image, 0);
    return id;
}

void job_fixture_apply(struct job_fact fact, uint32_t log)
{
    struct job_logged *logged = log_next();

    if (fact.header.at_ms == 0)
        fact.header.at_ms = now_ms;
    logged->is_fact = true;
    logged->fact = fact;
    logged->location = job_fixture_location(log);
    job_table_apply_fact(table, &fact, logged->location, now_ms);
}

enum job_claim job_fixture_do(uint64_t id, bool has_epoch, uint64_t epoch, struct job_fact fact)
{
    struct job_ref ref;
    enum job_claim claim =
        job_table_claim(table, id, has_epoch, epoch, (enum job_fact_kind)fact.header.kind, &ref);

    if (claim != JOB_CLAIMED)
        return claim;
    fact.header.id_low = id;
    job_fixture_apply(fact, 0);
    return claim;
}

uint64_t job_fixture_take(const char *kind, uint32_t lease_ms)
{
    uint64_t retry_ms;
    struct job_view view;
    struct job_ref ref;

    ref = job_table_take(table, job_fixture_queue(kind), now_ms, lease_ms, &retry_ms);
    if (ref.index == 0)
        return 0;
    job_table_view(table, ref, &view);
    return view.id_low;
}

struct job_view job_fixture_view(uint64_t id)
{
    struct job_view view;
    struct job_ref ref;

    cr_assert(job_table_find(table, id, &ref));
    job_table_view(table, ref, &view);
    return view;
}

enum job_state job_fixture_state(uint64_t id)
{
    struct job_ref ref;

    return job_table_find(table, id, &ref) ? job_fixture_view(id).state : JOB_FREE;
}

uint32_t job_fixture_due(void)
{
    uint32_t count = 0;
    struct job_ref ref;

    while (job_table_due(table, now_ms, &ref) != JOB_DUE_NONE)
        count++;
    return count;
}

uint32_t job_fixture_audit(void)
{
    uint64_t oldest_seq[SEGMENT_LOG_MAX + 1] = {job_log_oldest_seq};
    bool done = false;
    uint32_t count = job_table_audit(table, UINT32_MAX, oldest_seq, &done);

    cr_assert(done);
    return count;
}

struct job_table *job_fixture_recover(const struct job_table_config *config)
{
    struct job_table *other = NULL;

    cr_assert(eq(int, job_table_new(config, &other), 0));
    for (uint32_t i = 0; i < job_log_count; i++) {
        struct job_logged *logged = &job_log[i];
        struct job_image image = logged->image;

        image.after = logged->after;
        if (logged->is_fact)
            job_table_apply_fact(other, &logged->fact, logged->location, now_ms);
        else
            cr_assert(
                eq(int, job_table_apply_job(other, &image, logged->location, 300, now_ms), 0));
    }
    job_table_resume(other, now_ms);
    return other;
}

void job_fixture_restart(void)
{
    struct job_table *other = job_fixture_recover(&config_used);

    job_table_free(&table);
    table = other;
}

/* The same bytes where they outlive the table. */
static struct slice keep_name(const char *data, size_t size)
{
    static char names[16][JOB_NAME_SIZE_MAX + 1];

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (names[i][0] == '\0')
            memcpy(names[i], data, size);
        if (slice_equal(slice_of(names[i]), (struct slice){data, size}))
            return slice_of(names[i]);
    }
    cr_assert(false, "too many names");
    return SLICE_LITERAL("");
}

void job_fixture_carry(uint64_t id, const char *key, uint32_t log)
{
    struct job_view view = job_fixture_view(id);
    struct job_image image = {.after = NULL};
    uint64_t after[JOB_AFTER_COUNT_MAX];

    job_table_describe(table, view.ref, &image.header);
    image.after_count = job_table_after(table, view.ref, after);
    image.after = after;
    image.sections[JOB_SECTION_ORG] = keep_name(view.queue->org, view.queue->org_size);
    image.sections[JOB_SECTION_PROJECT] = keep_name(view.queue->project, view.queue->project_size);
    image.sections[JOB_SECTION_KIND] = keep_name(view.queue->kind, view.queue->kind_size);
    image.sections[JOB_SECTION_KEY] = slice_of(key == NULL ? "" : key);
    job_fixture_apply_job(&image, log);
}

void job_fixture_drop_segment(void)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < job_log_count; i++)
        if (journal_location_seq(job_log[i].location) > job_log_oldest_seq)
            job_log[kept++] = job_log[i];
    job_log_count = kept;
    job_log_oldest_seq++;
}

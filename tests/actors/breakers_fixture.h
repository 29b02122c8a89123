/*
 * Breakers fixture: a shard of which only what breakers touch is there, which is a table
 * with jobs, a clock that the test sets and a log that keeps what is appended until the
 * test says that it is durable.
 *
 * A suite takes breakers_fixture_begin() and breakers_fixture_end() as its .init and .fini.
 * The names are short because each line of a test is made of them.
 */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "actors/app.h"
#include "runtime/policy_presets.h"
#include "tests/store/job_fixture.h"

enum { IN_FLIGHT_MAX = 64, LEASE_MS = 60000, FAILURES = 5, OPEN_MS = 30000 };

struct fake_log {
    struct durable_writer writer;
    struct journal_append *appends[IN_FLIGHT_MAX];
    uint32_t in_flight;
    uint32_t append_count;
    uint32_t carried_count;
    uint64_t segment; /* that is written to */
    int answer;       /* of append() */
    char last[BREAKERS_RECORD_SIZE_MAX];
    size_t last_size;
};

static struct fake_log journal;
static struct app *app;
static struct app_shard *home;
static struct breakers *breakers;

/* The policy that destinations have when nobody says otherwise. */
static inline const struct breaker_policy *usual(void)
{
    return &policy_presets_default()->breaker;
}

/* Of durable_writer: takes one record, which is on its way until settle(). */
static inline int fake_append(struct durable_writer *self, struct journal_append *append,
                              struct journal_record *records, uint32_t count, uint32_t flags)
{
    (void)self;
    (void)flags;
    if (journal.answer != JOURNAL_OK)
        return journal.answer;
    cr_assert(lt(u32, journal.in_flight, IN_FLIGHT_MAX));
    cr_assert(eq(u32, count, 1));
    cr_assert(eq(u8, records[0].type, RECORD_BREAKER));
    cr_assert(eq(u32, records[0].part_count, 1));
    records[0].location =
        journal_location_make(0, journal.segment, 4096 + 512 * ++journal.append_count);
    journal.last_size = records[0].parts[0].size;
    cr_assert(le(sz, journal.last_size, sizeof(journal.last)));
    memcpy(journal.last, records[0].parts[0].data, journal.last_size);
    journal.appends[journal.in_flight++] = append;
    return JOURNAL_OK;
}

/* Likewise: log 0 was carried up to segment 7. */
static inline void fake_carried(struct durable_writer *self, uint32_t log, uint64_t seq)
{
    (void)self;
    cr_assert(eq(u32, log, 0));
    cr_assert(eq(u64, seq, 7));
    journal.carried_count++;
}

/* All that is on its way arrives, and what is appended because of that. */
static inline void settle(void)
{
    while (journal.in_flight > 0) {
        struct journal_append *first = journal.appends[0];

        journal.in_flight--;
        memmove(journal.appends, journal.appends + 1,
                journal.in_flight * sizeof(journal.appends[0]));
        first->on_durable(first, JOURNAL_DURABLE);
    }
}

/* Breakers that know nothing, on a shard at now_ms. */
static inline void begin_process(void)
{
    app = calloc(1, sizeof(*app));
    home = calloc(1, sizeof(*home));
    cr_assert(app != NULL);
    cr_assert(home != NULL);
    home->app = app;
    home->shard = calloc(1, sizeof(*home->shard));
    cr_assert(home->shard != NULL);
    home->shard->clock.unix_ms = now_ms;
    home->jobs.table = table;
    app->superblock.partition_count = 64;
    journal.writer = (struct durable_writer){.append = fake_append, .on_carried = fake_carried};
    durable_set_init(&home->keeper.durables, &journal.writer);
    breakers = &home->breakers;
    cr_assert(eq(int, breakers_init(breakers, home), 0));
    durable_add(&home->keeper.durables, &breakers->durable);
}

/* Takes it all down; what was in memory is lost. */
static inline void end_process(void)
{
    breakers_deinit(breakers);
    free(home->shard);
    free(home);
    free(app);
}

/* The .init of a suite: a journal at segment 7, a table without jobs, a process. */
static inline void breakers_fixture_begin(void)
{
    struct job_table_config config = job_fixture_config();

    memset(&journal, 0, sizeof(journal));
    journal.segment = 7;
    job_fixture_new(&config);
    begin_process();
}

/* Its .fini. */
static inline void breakers_fixture_end(void)
{
    end_process();
    job_fixture_end();
}

/* The process ends and another one reads back the record of this payload. */
static inline int restart_with(struct slice payload)
{
    struct journal_record_view record = {
        .type = RECORD_BREAKER,
        .version = BREAKERS_RECORD_VERSION,
        .location = journal_location_make(0, 7, 8192),
        .payload = payload,
    };

    end_process();
    journal.in_flight = 0;
    begin_process();
    return durable_recover(&home->keeper.durables, &record);
}

/* Lets time pass. */
static inline void pass(uint64_t duration_ms)
{
    now_ms += duration_ms;
    home->shard->clock.unix_ms = now_ms;
}

/* The one for this destination of project p. */
static inline struct breakers_entry *peer(const char *origin)
{
    return breakers_get(breakers, SLICE_LITERAL("o"), SLICE_LITERAL("p"), slice_of(origin), now_ms);
}

/* As an enum breaker_state. */
static inline uint32_t state_of(const struct breakers_entry *entry)
{
    return (uint32_t)breaker_state(&entry->breaker);
}

/* One call that is admitted and ends so. */
static inline void call(struct breakers_entry *entry, const struct breaker_policy *policy,
                        enum breakers_result result)
{
    uint32_t generation;

    cr_assert(breakers_admit(breakers, entry, policy, now_ms, &generation));
    breakers_end(breakers, entry, policy, now_ms, generation, result);
}

/* As many failures as it takes. */
static inline void open_it(struct breakers_entry *entry)
{
    for (uint32_t i = 0; i < FAILURES; i++)
        call(entry, usual(), BREAKERS_FAILURE);
    cr_assert(eq(u32, state_of(entry), BREAKER_OPEN));
}

/* Asks for a call, which is then out. */
static inline bool is_admitted(struct breakers_entry *entry, const struct breaker_policy *policy)
{
    uint32_t generation;

    return breakers_admit(breakers, entry, policy, now_ms, &generation);
}

/* A job is leased, asks, is not admitted and goes back until it is told to come. */
static inline uint64_t park_one(struct breakers_entry *entry)
{
    uint64_t id, due_ms;

    job_fixture_enqueue(&(struct job_ask){.kind = NULL});
    id = job_fixture_take("mail", LEASE_MS);
    cr_assert(ne(u64, id, 0));
    cr_assert(not(is_admitted(entry, usual())));
    due_ms = breakers_park(breakers, entry, usual(), id, now_ms);
    job_table_return(table, job_fixture_view(id).ref, now_ms, due_ms);
    cr_assert(eq(int, job_fixture_state(id), JOB_SCHEDULED));
    cr_assert(eq(u64, job_fixture_view(id).when_ms, due_ms));
    return id;
}

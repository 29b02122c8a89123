/* A complete durable actor to copy. HACKING.md, "Add a durable actor", walks through it. */
#include <errno.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "store/durable.h"

enum { RECORD_COUNTED = 200 };

struct record_counted { /* on disk */
    uint32_t letter;
    uint32_t amount;
};

struct counter {
    struct durable durable;
    uint64_t sums[26];
};

struct counter_request { /* a command on its way: lives until on_done */
    struct durable_step step;
    struct journal_record record;
    struct slice part;
    struct record_counted fact;
    bool is_answered;
};

/* The only place that changes the state: recovery comes through here, too. */
static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct record_counted counted;

    if (fact->payload.size != sizeof(counted))
        return -EBADMSG;
    memcpy(&counted, fact->payload.data, sizeof(counted));
    if (counted.letter >= 26)
        return -EBADMSG;
    container_of(self, struct counter, durable)->sums[counted.letter] += counted.amount;
    return 0;
}

static const struct durable_type counter_type = {.name = "counter",
                                                 .record_first = RECORD_COUNTED,
                                                 .record_last = RECORD_COUNTED,
                                                 .version_max = 1,
                                                 .apply = apply};

/* Effects belong here: now it is true, whatever happens. */
static void on_counted(struct durable_step *step, enum durable_outcome outcome)
{
    container_of(step, struct counter_request, step)->is_answered = outcome == DURABLE_DONE;
}

/* Decides what the command means, and changes nothing. */
static int counter_add(struct counter *counter, struct counter_request *request, char letter)
{
    if (letter < 'a' || letter > 'z')
        return -EINVAL;
    request->fact = (struct record_counted){(uint32_t)(letter - 'a'), 1};
    request->part = (struct slice){(char *)&request->fact, sizeof(request->fact)};
    request->record = (struct journal_record){
        .type = RECORD_COUNTED, .version = 1, .parts = &request->part, .part_count = 1};
    request->step = (struct durable_step){
        .on_done = on_counted, .records = &request->record, .record_count = 1};
    return durable_commit(counter->durable.set, &request->step);
}

static int append(struct durable_writer *writer, struct journal_append *append,
                  struct journal_record *records, uint32_t count, uint32_t flags)
{
    (void)writer, (void)append, (void)records, (void)flags;
    return count == 1 ? JOURNAL_OK : JOURNAL_FULL;
}

Test(durable_example, counts_what_is_durable_and_knows_it_after_a_start)
{
    struct durable_writer writer = {.append = append};
    struct durable_set set, set_after;
    struct counter counter = {.durable.type = &counter_type};
    struct counter after = {.durable.type = &counter_type};
    struct counter_request request = {.is_answered = false};
    struct journal_record_view record = {.type = RECORD_COUNTED, .version = 1};

    durable_set_init(&set, &writer);
    durable_add(&set, &counter.durable);
    cr_assert(eq(int, counter_add(&counter, &request, 'C'), -EINVAL));
    cr_assert(eq(int, counter_add(&counter, &request, 'c'), JOURNAL_OK));
    cr_assert(not(request.is_answered));
    request.step.append.on_durable(&request.step.append, JOURNAL_DURABLE);
    cr_assert(request.is_answered);
    record.payload = request.part; /* another process reads the log */
    durable_set_init(&set_after, &writer);
    durable_add(&set_after, &after.durable);
    cr_assert(eq(int, durable_recover(&set_after, &record), 1));
    cr_assert(eq(u64, counter.sums[2], 1));
    cr_assert(eq(u64, after.sums[2], 1));
}

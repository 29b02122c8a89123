/*
 * One table says of each check what it is called, what holds, what is wrong when it does
 * not, and how the numbers of several shards become one: most are added up, ages are not.
 *
 * A queue in which workers wait although a job may be leased is a lost wake-up. One that is
 * seen so in passing may be served in a moment, so only one seen both at the beginning and at
 * the end counts.
 */
#include "actors/examination.h"

#include "actors/app.h"
#include "runtime/sim_point.h"

enum {
    NEAR_PERCENT = 90,         /* of a bound: a warning */
    AUDIT_TIME_MS_MAX = 20000, /* the commands wait for 30 s */
    LATE_MS = 1000,            /* of what is due: nobody is that slow */
    LATE_MS_MAX = 10000,
    CARRY_MS = 60000, /* without an answer about a segment that is to go */
    CARRY_MS_MAX = 600000,
    READ_MODEL_LAG_MS = 60000, /* then somebody waits for it */
    MAILBOX_NEAR = 1024,       /* messages that wait in one mailbox */
};

static const uint64_t NS_PER_MS = 1000000;

/* How one check is shown. */
struct examination_text {
    const char *name;
    const char *rule; /* what holds */
    const char *warning;
    const char *failure;
    const char *numbers[EXAMINATION_NUMBER_COUNT]; /* NULL: not used */
    bool is_age; /* the largest of the shards counts, not the sum */
};

static const struct examination_text TEXTS[EXAMINATION_CHECK_COUNT] = {
    [EXAMINE_RECOVERED] = {.name = "recovered",
                           .rule = "every shard has read its log back",
                           .failure = "a shard has not read its log back yet",
                           .numbers = {"shards"}},
    [EXAMINE_JOURNAL] = {.name = "journal",
                         .rule = "the logs take appends",
                         .warning = "the disk is full but for the reserve",
                         .failure = "a log takes no appends any more",
                         .numbers = {"logs", "durable_records"}},
    [EXAMINE_SEGMENTS] = {.name = "segments",
                          .rule = "spare segments are ready",
                          .warning = "no spare segment is ready",
                          .numbers = {"segments", "segment_bytes", "spare"}},
    [EXAMINE_RETIREMENT] = {.name = "retirement",
                            .rule = "old segments are let go",
                            .warning = "a segment has waited for over a minute to be let go",
                            .failure = "a segment has waited for over ten minutes to be let go",
                            .numbers = {"waiting_ms"},
                            .is_age = true},
    [EXAMINE_FACTS] = {.name = "facts",
                       .rule = "no fact waits for room in a log",
                       .warning = "facts wait for room in a log",
                       .numbers = {"in_flight"}},
    [EXAMINE_ACCOUNTING] = {.name = "accounting",
                            .rule = "accepted = in a state + dropped",
                            .failure = "accepted is not what is in a state and what was dropped",
                            .numbers = {"accepted", "in_state", "dropped"}},
    [EXAMINE_QUEUES] = {.name = "queues",
                        .rule = "queues add up to the same",
                        .failure = "queues add up to something else",
                        .numbers = {"accepted", "in_state", "dropped"}},
    [EXAMINE_PERMITS] = {.name = "permits",
                         .rule = "leases = permits of queues = permits of projects",
                         .failure = "a permit is held by no lease, or a lease holds none",
                         .numbers = {"leases", "of_queues", "of_projects"}},
    [EXAMINE_RUNS] = {.name = "runs",
                      .rule =
                          "runs inside of the process = runs of handlers, each within its bound",
                      .failure = "runs inside of the process are not those of the handlers",
                      .numbers = {"runs", "of_handlers", "concurrency"}},
    [EXAMINE_BREAKERS] = {.name = "breakers",
                          .rule = "calls and parked jobs belong to breakers",
                          .failure = "calls or parked jobs do not belong to breakers",
                          .numbers = {"breakers", "calls", "parked"}},
    [EXAMINE_PROBES] = {.name = "probes",
                        .rule = "breakers are probed when their open time is over",
                        .warning = "jobs wait at open breakers, and none has come to probe",
                        .numbers = {"open", "unprobed"}},
    [EXAMINE_DUE] = {.name = "due",
                     .rule = "whatever waits for a time is in the due heap",
                     .failure = "jobs were not in the due heap",
                     .numbers = {"timers", "mismatches"}},
    [EXAMINE_LISTS] = {.name = "lists",
                       .rule = "ready jobs and dead letters stand in their lists",
                       .failure = "jobs do not stand where they must",
                       .numbers = {"mismatches"}},
    [EXAMINE_LOCATIONS] = {.name = "locations",
                           .rule = "the records of jobs are in segments that are there",
                           .failure = "records of jobs are in segments that are gone",
                           .numbers = {"mismatches"}},
    [EXAMINE_FLOWS] = {.name = "flows",
                       .rule = "jobs that wait for others have some to wait for",
                       .failure = "jobs wait for nothing",
                       .numbers = {"waiting", "mismatches"}},
    [EXAMINE_KEYS] = {.name = "keys",
                      .rule = "serial keys are held by jobs that run, and by no other",
                      .failure = "serial keys are held by the wrong jobs",
                      .numbers = {"mismatches"}},
    [EXAMINE_SUMS] = {.name = "counters",
                      .rule = "counters equal a scan of all jobs",
                      .warning = "not compared: jobs changed during each scan",
                      .failure = "counters are not what a scan of all jobs gives",
                      .numbers = {"compared", "mismatches"}},
    [EXAMINE_HISTORY] = {.name = "audit",
                         .rule = "the auditor has found nothing since the start",
                         .failure = "the auditor has found mismatches since the start",
                         .numbers = {"rounds", "mismatches"}},
    [EXAMINE_LATENESS] = {.name = "lateness",
                          .rule = "what is due is done",
                          .warning = "what is due is done late",
                          .failure = "what is due is not done",
                          .numbers = {"late_ms"},
                          .is_age = true},
    [EXAMINE_WAKING] = {.name = "waking",
                        .rule = "no worker waits where a job may be leased",
                        .failure = "workers wait where jobs may be leased",
                        .numbers = {"waiting_workers", "queues"}},
    [EXAMINE_JOB_ROOM] = {.name = "job_room",
                          .rule = "there is room for jobs",
                          .warning = "little room is left for jobs",
                          .failure = "there is no room for jobs",
                          .numbers = {"jobs", "limit"}},
    [EXAMINE_DEAD_ROOM] = {.name = "dead_room",
                           .rule = "there is room for dead letters",
                           .warning = "little room is left for dead letters",
                           .failure = "there is no room for dead letters: jobs come again instead",
                           .numbers = {"dead", "limit"}},
    [EXAMINE_QUEUE_ROOM] = {.name = "queue_room",
                            .rule = "there is room for queues",
                            .warning = "little room is left for queues",
                            .failure = "there is no room for queues",
                            .numbers = {"queues", "limit"}},
    [EXAMINE_PARKED_ROOM] = {.name = "parked_room",
                             .rule = "there is room for parked jobs",
                             .warning = "little room is left for parked jobs: when their peer is "
                                        "well, others are not called and come later",
                             .numbers = {"parked", "limit"}},
    [EXAMINE_DEDUP_ROOM] = {.name = "dedup_room",
                            .rule = "there is room for ids of events",
                            .warning = "little room is left for ids of events: the window shrinks",
                            .numbers = {"ids", "limit"}},
    [EXAMINE_INDEX_ROOM] = {.name = "index_room",
                            .rule = "there is room in the index of events",
                            .warning = "little room is left in the index: segments go early",
                            .numbers = {"events", "limit"}},
    [EXAMINE_MAILBOXES] = {.name = "mailboxes",
                           .rule = "no mailbox is filling up",
                           .warning = "a mailbox is filling up",
                           .numbers = {"fullest"},
                           .is_age = true},
    [EXAMINE_RESTARTS] = {.name = "restarts",
                          .rule = "no actor has been restarted",
                          .warning = "actors have been restarted",
                          .numbers = {"restarts"}},
    [EXAMINE_READ_MODEL] = {.name = "read_model",
                            .rule = "the read model follows the logs, or is off",
                            .warning = "the read model is behind, or fails and is tried again: "
                                       "GET /readyz says more",
                            .failure = "the read model is refused: GET /readyz says what to do",
                            .numbers = {"lag_records", "lag_ms", "skipped"}},
};

static void set(struct examination *examination, enum examination_check check,
                enum examination_status status, uint64_t first, uint64_t second, uint64_t third)
{
    assert(check < EXAMINATION_CHECK_COUNT);
    assert(status != EXAMINATION_WARN || TEXTS[check].warning != NULL);
    assert(status != EXAMINATION_FAIL || TEXTS[check].failure != NULL);
    examination->results[check] =
        (struct examination_result){.status = status, .numbers = {first, second, third}};
}

static enum examination_status fail_unless(bool holds)
{
    return holds ? EXAMINATION_OK : EXAMINATION_FAIL;
}

static enum examination_status warn_unless(bool holds)
{
    return holds ? EXAMINATION_OK : EXAMINATION_WARN;
}

/* --- what holds at any instant ------------------------------------------------------ */

static void look_at_journal(struct examination *examination, struct app_shard *home)
{
    const struct keeper *keeper = &home->keeper;
    const struct retirement *retirement = &keeper->retirement;
    const struct durable_set *durables = &keeper->durables;
    bool is_open = keeper->is_open && keeper->logs[0].journal != NULL;
    enum examination_status status = fail_unless(is_open && !keeper->has_failed);
    struct journal_stats journal = {0};
    uint64_t waiting_ms = 0;

    set(examination, EXAMINE_RECOVERED, fail_unless(home->jobs.is_resumed), 1, 0, 0);
    if (is_open)
        journal_stats(keeper->logs[0].journal, &journal);
    if (is_open && status == EXAMINATION_OK)
        status = warn_unless(!journal_is_low(keeper->logs[0].journal));
    set(examination, EXAMINE_JOURNAL, status, keeper->log_count, journal.durable_lsn, 0);
    set(examination, EXAMINE_SEGMENTS, warn_unless(journal.spare_count > 0), journal.segment_count,
        journal.segment_bytes, journal.spare_count);
    if (retirement->asked_count > 0)
        waiting_ms = (home->shard->clock.mono_ns - retirement->since_ns) / NS_PER_MS;
    status = warn_unless(waiting_ms < CARRY_MS);
    if (waiting_ms >= CARRY_MS_MAX)
        status = EXAMINATION_FAIL;
    set(examination, EXAMINE_RETIREMENT, status, waiting_ms, 0, 0);
    set(examination, EXAMINE_FACTS, warn_unless(list_is_empty(&durables->waiting)),
        durables->step_count, 0, 0);
}

static void look_at_sums(struct examination *examination, const struct job_table *table)
{
    struct job_table_sums sums;

    job_table_sums(table, &sums);
    set(examination, EXAMINE_ACCOUNTING,
        fail_unless(sums.accepted_count == sums.state_count + sums.dropped_count),
        sums.accepted_count, sums.state_count, sums.dropped_count);
    set(examination, EXAMINE_QUEUES,
        fail_unless(sums.queue_accepted_count == sums.accepted_count &&
                    sums.queue_state_count == sums.state_count &&
                    sums.queue_dropped_count == sums.dropped_count),
        sums.queue_accepted_count, sums.queue_state_count, sums.queue_dropped_count);
    set(examination, EXAMINE_PERMITS,
        fail_unless(sums.leased_count == sums.queue_permit_count &&
                    sums.leased_count == sums.project_permit_count),
        sums.leased_count, sums.queue_permit_count, sums.project_permit_count);
}

/* Near its bound; full, where that is worse. */
static void look_at_room(struct examination *examination, enum examination_check check,
                         uint64_t count, uint64_t count_max)
{
    enum examination_status status = warn_unless(count * 100 < count_max * NEAR_PERCENT);

    if (count >= count_max && TEXTS[check].failure != NULL)
        status = EXAMINATION_FAIL;
    set(examination, check, status, count, count_max, 0);
}

static uint64_t sum_of(const uint32_t counts[JOB_STATE_COUNT])
{
    uint64_t sum = 0;

    for (uint32_t i = JOB_PENDING; i < JOB_STATE_COUNT; i++)
        sum += counts[i];
    return sum;
}

static void look_at_rooms(struct examination *examination, struct app_shard *home)
{
    struct job_table_stats jobs;
    struct dedup_stats dedup;
    uint64_t event_count = 0, event_count_max = 0, finished_count;

    job_table_stats(home->jobs.table, &jobs);
    /* What has ended makes room for what comes. */
    finished_count = (uint64_t)jobs.counts[JOB_COMPLETED] + jobs.counts[JOB_CANCELLED];
    look_at_room(examination, EXAMINE_JOB_ROOM, sum_of(jobs.counts) - finished_count,
                 jobs.job_count_max);
    look_at_room(examination, EXAMINE_DEAD_ROOM, jobs.counts[JOB_DEAD], jobs.dead_count_max);
    look_at_room(examination, EXAMINE_QUEUE_ROOM, job_table_queue_count(home->jobs.table),
                 JOB_QUEUE_COUNT_MAX);
    dedup_stats(home->intake.dedup, &dedup);
    look_at_room(examination, EXAMINE_DEDUP_ROOM, dedup.entry_count, dedup.entry_count_max);
    for (uint32_t i = 0; i < home->keeper.log_count; i++) {
        event_count += event_index_count(home->keeper.logs[i].index);
        event_count_max += event_index_capacity(home->keeper.logs[i].index);
    }
    look_at_room(examination, EXAMINE_INDEX_ROOM, event_count, event_count_max);
}

struct actor_visitor {
    struct supervisor_visitor visitor;
    uint64_t fullest;
    uint64_t restart_count;
};

static void visit(struct supervisor_visitor *visitor, const struct supervisor_entry *entry)
{
    struct actor_visitor *actors = container_of(visitor, struct actor_visitor, visitor);

    actors->fullest = max_u64(actors->fullest, entry->mailbox_count);
    actors->restart_count += entry->restart_count;
}

/* There is one for all shards: the first speaks for it. */
static void look_at_read_model(struct examination *examination, struct app_shard *home)
{
    struct read_model_info info = {.state = READ_MODEL_OFF};
    enum examination_status status;

    if (home->shard->index == 0)
        read_model_info(home->app->read_model, &info);
    status = warn_unless(info.state != READ_MODEL_FAILED && info.lag_ms < READ_MODEL_LAG_MS);
    if (info.state == READ_MODEL_REFUSED)
        status = EXAMINATION_FAIL;
    set(examination, EXAMINE_READ_MODEL, status, info.lag_records, info.lag_ms,
        info.skipped_records);
}

static void look_at_actors(struct examination *examination, struct app_shard *home)
{
    struct actor_visitor actors = {.visitor = {.visit = visit}};

    supervisor_visit(&home->root, &actors.visitor);
    set(examination, EXAMINE_MAILBOXES, warn_unless(actors.fullest < MAILBOX_NEAR), actors.fullest,
        0, 0);
    set(examination, EXAMINE_RESTARTS, warn_unless(actors.restart_count == 0), actors.restart_count,
        0, 0);
}

static void look_at_lateness(struct examination *examination, struct job_desk *desk)
{
    uint64_t now_ms = job_desk_now(desk), due_ms = job_table_next_due_ms(desk->table);
    uint64_t late_ms = now_ms > due_ms ? now_ms - due_ms : 0;
    enum examination_status status = warn_unless(late_ms < LATE_MS);

    if (late_ms >= LATE_MS_MAX)
        status = EXAMINATION_FAIL;
    set(examination, EXAMINE_LATENESS, status, late_ms, 0, 0);
}

/* Each run leads one call at most. */
static void look_at_handlers(struct examination *examination, struct app_shard *home)
{
    const struct job_handlers *handlers = &home->jobs.handlers;
    uint64_t run_count = 0, concurrency = 0;
    struct breakers_audit breakers;
    bool is_within = true;

    for (uint32_t i = 0; i < handlers->handler_count; i++) {
        const struct job_handler *handler = handlers->handlers[i];

        run_count += handler->run_count;
        concurrency += handler->concurrency;
        is_within &= handler->run_count <= handler->concurrency;
    }
    set(examination, EXAMINE_RUNS, fail_unless(is_within && run_count == handlers->runs.count),
        handlers->runs.count, run_count, concurrency);
    breakers_forget_late(&home->breakers, home->shard->clock.unix_ms);
    breakers_audit(&home->breakers, home->shard->clock.unix_ms, &breakers);
    set(examination, EXAMINE_BREAKERS,
        fail_unless(breakers.mismatch_count == 0 && breakers.call_count <= handlers->runs.count),
        breakers.count, breakers.call_count, breakers.parked_count);
    set(examination, EXAMINE_PROBES, warn_unless(breakers.unprobed_count == 0), breakers.open_count,
        breakers.unprobed_count, 0);
    look_at_room(examination, EXAMINE_PARKED_ROOM, breakers.parked_count, BREAKERS_PARKED_MAX);
}

/* Queues in which workers wait although a job may be leased. */
static uint32_t count_unserved(struct job_desk *desk)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < job_table_queue_count(desk->table); i++) {
        struct job_queue *queue = job_table_queue_at(desk->table, i);

        if (!list_is_empty(&queue->waiters) &&
            job_table_is_ready(desk->table, queue, job_desk_now(desk)))
            count++;
    }
    return count;
}

/* --- the scan ------------------------------------------------------------------------ */

void examination_begin(struct examination *examination, struct app_shard *home)
{
    struct job_audit_tally *before = &examination->before;

    memset(examination, 0, sizeof(*examination));
    list_init(&examination->link);
    examination->began_ns = home->shard->clock.mono_ns;
    look_at_journal(examination, home);
    look_at_rooms(examination, home);
    look_at_actors(examination, home);
    look_at_handlers(examination, home);
    look_at_read_model(examination, home);
    if (!home->jobs.is_resumed)
        return;
    examination->unserved_before = count_unserved(&home->jobs);
    job_table_audit_tally(home->jobs.table, before);
    examination->rounds_wanted = before->round_count + (before->is_between ? 1 : 2);
}

static void set_mismatches(struct examination *examination, const struct job_table *table,
                           const struct job_audit_tally *now)
{
    const struct job_audit_tally *before = &examination->before;
    uint64_t found[JOB_CHECK_COUNT], all = 0;
    enum examination_status sums;
    struct job_table_stats stats;

    for (uint32_t i = 0; i < JOB_CHECK_COUNT; i++) {
        found[i] = now->mismatch_counts[i] - before->mismatch_counts[i];
        all += now->mismatch_counts[i];
    }
    job_table_stats(table, &stats);
    set(examination, EXAMINE_DUE, fail_unless(found[JOB_CHECK_DUE] == 0), stats.timer_count,
        found[JOB_CHECK_DUE], 0);
    set(examination, EXAMINE_LISTS, fail_unless(found[JOB_CHECK_LISTS] == 0),
        found[JOB_CHECK_LISTS], 0, 0);
    set(examination, EXAMINE_LOCATIONS, fail_unless(found[JOB_CHECK_LOCATIONS] == 0),
        found[JOB_CHECK_LOCATIONS], 0, 0);
    set(examination, EXAMINE_FLOWS, fail_unless(found[JOB_CHECK_FLOWS] == 0),
        stats.counts[JOB_WAITING], found[JOB_CHECK_FLOWS], 0);
    set(examination, EXAMINE_KEYS, fail_unless(found[JOB_CHECK_KEYS] == 0), found[JOB_CHECK_KEYS],
        0, 0);
    sums = warn_unless(now->compared_count > before->compared_count);
    if (found[JOB_CHECK_SUMS] > 0)
        sums = EXAMINATION_FAIL;
    set(examination, EXAMINE_SUMS, sums, now->compared_count > before->compared_count ? 1 : 0,
        found[JOB_CHECK_SUMS], 0);
    set(examination, EXAMINE_HISTORY, fail_unless(all == 0), now->round_count, all, 0);
}

static void finish(struct examination *examination, struct app_shard *home,
                   const struct job_audit_tally *now)
{
    struct job_desk *desk = &home->jobs;
    uint32_t unserved = count_unserved(desk);

    if (examination->unserved_before == 0)
        unserved = 0;
    set(examination, EXAMINE_WAKING, fail_unless(unserved == 0), desk->waiting_count, unserved, 0);
    look_at_sums(examination, desk->table);
    look_at_lateness(examination, desk);
    set_mismatches(examination, desk->table, now);
}

bool examination_step(struct examination *examination, struct app_shard *home)
{
    uint64_t took_ns = home->shard->clock.mono_ns - examination->began_ns;
    struct job_audit_tally now;
    bool is_compared;

    if (!home->jobs.is_resumed)
        return true;
    /* Later rounds are for tables that one step sees as a whole, whatever goes on. */
    job_desk_audit(&home->jobs,
                   examination->try_count == 0 ? EXAMINATION_STEP_MAX : JOB_AUDIT_STEP_MAX);
    job_table_audit_tally(home->jobs.table, &now);
    is_compared = now.compared_count > examination->before.compared_count;
    if (now.round_count >= examination->rounds_wanted && !is_compared &&
        ++examination->try_count < EXAMINATION_TRY_COUNT_MAX) {
        SOMETIMES("an examination begins another round");
        examination->rounds_wanted = now.round_count + 1;
    }
    if (now.round_count < examination->rounds_wanted && took_ns < AUDIT_TIME_MS_MAX * NS_PER_MS)
        return false;
    finish(examination, home, &now);
    return true;
}

/* --- as JSON -------------------------------------------------------------------------- */

struct slice examination_status_name(enum examination_status status)
{
    static const struct slice NAMES[] = {
        [EXAMINATION_OK] = SLICE_INITIALIZER("ok"),
        [EXAMINATION_WARN] = SLICE_INITIALIZER("warn"),
        [EXAMINATION_FAIL] = SLICE_INITIALIZER("fail"),
    };

    assert(status < ARRAY_COUNT(NAMES));
    return NAMES[status];
}

static enum examination_status worst_of(const struct examination *const *examinations,
                                        uint32_t count, uint32_t check)
{
    enum examination_status worst = EXAMINATION_OK;

    for (uint32_t i = 0; i < count; i++)
        if (examinations[i]->results[check].status > worst)
            worst = examinations[i]->results[check].status;
    return worst;
}

enum examination_status examination_status_of(const struct examination *const *examinations,
                                              uint32_t count)
{
    enum examination_status worst = EXAMINATION_OK;

    for (uint32_t check = 0; check < EXAMINATION_CHECK_COUNT; check++) {
        enum examination_status status = worst_of(examinations, count, check);

        if (status > worst)
            worst = status;
    }
    return worst;
}

static void write_numbers(const struct examination *const *examinations, uint32_t count,
                          uint32_t check, struct json_writer *writer)
{
    const struct examination_text *text = &TEXTS[check];

    json_writer_key(writer, SLICE_LITERAL("numbers"));
    json_writer_begin_object(writer);
    for (uint32_t n = 0; n < EXAMINATION_NUMBER_COUNT && text->numbers[n] != NULL; n++) {
        uint64_t number = 0;

        for (uint32_t i = 0; i < count; i++) {
            uint64_t part = examinations[i]->results[check].numbers[n];

            number = text->is_age ? max_u64(number, part) : number + part;
        }
        json_writer_key(writer, slice_of(text->numbers[n]));
        json_writer_u64(writer, number);
    }
    json_writer_end_object(writer);
}

static void write_shards(const struct examination *const *examinations, uint32_t count,
                         uint32_t check, struct json_writer *writer)
{
    json_writer_key(writer, SLICE_LITERAL("shards"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < count; i++)
        if (examinations[i]->results[check].status != EXAMINATION_OK)
            json_writer_u64(writer, i);
    json_writer_end_array(writer);
}

static const char *detail_of(uint32_t check, enum examination_status status)
{
    switch (status) {
    case EXAMINATION_WARN:
        return TEXTS[check].warning;
    case EXAMINATION_FAIL:
        return TEXTS[check].failure;
    case EXAMINATION_OK:
        break;
    }
    return TEXTS[check].rule;
}

void examination_write(const struct examination *const *examinations, uint32_t count,
                       struct json_writer *writer)
{
    json_writer_begin_array(writer);
    for (uint32_t check = 0; check < EXAMINATION_CHECK_COUNT; check++) {
        enum examination_status status = worst_of(examinations, count, check);

        json_writer_begin_object(writer);
        json_writer_key(writer, SLICE_LITERAL("name"));
        json_writer_string(writer, slice_of(TEXTS[check].name));
        json_writer_key(writer, SLICE_LITERAL("status"));
        json_writer_string(writer, examination_status_name(status));
        json_writer_key(writer, SLICE_LITERAL("detail"));
        json_writer_string(writer, slice_of(detail_of(check, status)));
        write_numbers(examinations, count, check, writer);
        write_shards(examinations, count, check, writer);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

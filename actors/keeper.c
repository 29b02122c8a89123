#include "actors/keeper.h"

#include <errno.h>

#include "actors/app.h"
#include "actors/message_types.h"
#include "runtime/sim_point.h"
#include "store/recovery.h"

/*
 *     WAITING --MSG_KEEPER_RECOVERED--> OPEN --MSG_STOP--> STOPPING --all logs stopped--> gone
 *                                        \--write error--> the process ends with exit code 74
 *
 * Log n belongs to shard n modulo the number of shards. A shard's first log is its
 * own and is written; further ones exist only when an earlier start had more
 * shards, and shrink away by retention.
 */

static struct keeper *keeper_of(struct actor *self)
{
    return ACTOR_CAST(self, struct keeper, KEEPER_MAGIC);
}

static struct app *app_of(const struct keeper *keeper)
{
    return keeper->home->app;
}

static struct keeper_log *log_of(struct journal_owner *owner)
{
    return container_of(owner, struct keeper_log, owner);
}

static void on_failed(struct journal_owner *owner, int error, const char *text)
{
    struct keeper *keeper = log_of(owner)->keeper;

    keeper->has_failed = true;
    breadcrumbs_forgive(&app_of(keeper)->breadcrumbs); /* the disk is to blame, and no job */
    durable_stop(&keeper->durables);                   /* there will never be room again */
    log_event(&keeper->home->shard->log, LOG_ERROR, "journal", text, LOG_NUMBER("errno", -error),
              LOG_NUMBER("log", log_of(owner)->log));
    runtime_fail(app_of(keeper)->runtime, APP_EXIT_IO, text);
}

/* The last segment with records that an earlier start wrote to this log; 0: there is none. */
static uint64_t newest_old_seq(const struct recovered_log *log)
{
    for (uint32_t i = log->segment_count; i > 0; i--)
        if (log->segments[i - 1].last_lsn >= log->segments[i - 1].first_lsn)
            return log->segments[i - 1].seq;
    return 0;
}

/* Other logs have nothing of earlier starts any more: what was kept because of it need not be. */
static void tell_old_logs_gone(struct keeper *keeper)
{
    assert(keeper->old_log_count == 0);
    job_desk_old_logs_gone(&keeper->home->jobs);
    dead_replays_old_logs_gone(&keeper->home->dead_letters);
}

/* Only this start's shards write, each to its own log: in others is what earlier ones wrote. */
static void note_old_logs(struct keeper *keeper, const struct recovered *recovered)
{
    for (uint32_t i = 0; i < recovered->log_count; i++) {
        if (i == keeper->logs[0].log)
            continue;
        keeper->old_seqs[i] = newest_old_seq(&recovered->logs[i]);
        keeper->old_log_count += keeper->old_seqs[i] != 0;
    }
    if (keeper->old_log_count == 0)
        tell_old_logs_gone(keeper);
}

static void forget_segment(struct keeper *keeper, uint32_t log, uint64_t oldest_seq)
{
    if (keeper->old_seqs[log] != 0 && keeper->old_seqs[log] < oldest_seq) {
        SOMETIMES("the last segment that an earlier start wrote to another log goes");
        keeper->old_seqs[log] = 0;
        if (--keeper->old_log_count == 0)
            tell_old_logs_gone(keeper);
    }
    dedup_drop_segments(keeper->home->intake.dedup, log, oldest_seq);
    journal_reader_drop_segments(keeper->reader, log, oldest_seq);
}

static void tell_dropped(struct keeper *keeper, uint32_t log, uint64_t oldest_seq)
{
    struct app *app = app_of(keeper);

    forget_segment(keeper, log, oldest_seq);
    for (uint32_t i = 0; i < app->shard_count; i++)
        if (i != keeper->home->shard->index)
            outbox_send_words(&keeper->outbox, &keeper->actor, app->shards[i].keeper.actor.id,
                              MSG_KEEPER_DROPPED, log, oldest_seq);
}

/* Everybody has what he needs of the segment. */
static void retire_done(struct keeper_log *entry)
{
    uint64_t seq = entry->retiring_seq;

    assert(seq != 0);
    entry->retiring_seq = 0;
    event_index_drop_segments(entry->index, seq + 1);
    segment_marks_drop(&entry->events, seq + 1);
    journal_retire_done(entry->journal, seq);
}

void keeper_keys_copied(struct keeper *keeper, uint32_t log, uint64_t seq)
{
    struct keeper_log *entry = keeper_find_log(keeper, log);

    assert(entry != NULL);
    assert(entry->carrying_seq == seq);
    assert(entry->asked_count == 0);
    entry->asked_count = app_of(keeper)->shard_count;
    retirement_ask(keeper, log, seq);
}

/* A shard has answered; the last one lets the first of the segments go, if it is its turn. */
static void on_carried(struct keeper *keeper, uint32_t log, uint64_t seq)
{
    struct keeper_log *entry = keeper_find_log(keeper, log);

    assert(entry != NULL);
    assert(entry->carrying_seq == seq);
    assert(entry->asked_count > 0);
    if (--entry->asked_count > 0)
        return;
    entry->carrying_seq = 0;
    entry->carried_seq = seq;
    assert(entry->retiring_seq <= seq);
    if (entry->retiring_seq != 0)
        retire_done(entry);
    else
        SOMETIMES("what goes next is carried while others go");
}

/*
 * Its ids are forgotten everywhere, and not a moment sooner: until the removal is durable a
 * power cut can bring the segment back, beside whatever was taken as new meanwhile.
 */
static void on_retired(struct journal_owner *owner, uint64_t seq)
{
    struct keeper_log *entry = log_of(owner);

    if (!entry->keeper->is_stopping)
        tell_dropped(entry->keeper, entry->log, seq + 1);
}

/* Has what is needed of the log's segments up to seq written again. */
static void begin_carrying(struct keeper_log *entry, uint64_t seq)
{
    struct keeper *keeper = entry->keeper;

    entry->carrying_seq = seq;
    /* Later: this may be in the middle of an append, where nothing else may be appended. */
    outbox_send_words(&keeper->outbox, &keeper->actor, keeper->actor.id, MSG_KEEPER_RETIRE,
                      entry->log, seq);
}

/*
 * Those that have to go after the ones that were carried are carried while these go: a log that
 * is written as fast as the disk can would else grow meanwhile, each time by more.
 */
static void on_retire(struct journal_owner *owner, const struct journal_segment *segment,
                      uint64_t run_last_seq)
{
    struct keeper_log *entry = log_of(owner);

    assert(run_last_seq >= segment->seq);
    assert(entry->retiring_seq == 0);
    entry->retiring_seq = segment->seq;
    if (entry->carrying_seq == 0 && run_last_seq > entry->carried_seq)
        begin_carrying(entry, run_last_seq);
    if (segment->seq > entry->carried_seq)
        return;
    SOMETIMES("a segment goes with those before it");
    retire_done(entry);
}

static void begin_retirement(struct keeper *keeper, uint32_t log, uint64_t seq)
{
    if (log == TENANT_LOG && !MUTANT("keys_not_copied_forward") &&
        tenant_copy_forward(&keeper->home->tenant, log, seq))
        return;
    keeper_keys_copied(keeper, log, seq);
}

static bool is_spent(struct journal_owner *owner, const struct journal_segment *oldest)
{
    const struct keeper_log *entry = log_of(owner);

    return entry->keeper->is_open && !segment_marks_has_oldest(&entry->events, oldest->seq);
}

/* What is carried forward comes into the shard's own log, whichever it was in. */
static uint64_t live_bytes(struct journal_owner *owner)
{
    const struct keeper_log *entry = log_of(owner);
    const struct keeper *keeper = entry->keeper;
    uint64_t key_bytes = 0;

    if (entry != &keeper->logs[0])
        return 0;
    if (entry->log == TENANT_LOG)
        key_bytes = tenant_live_bytes(&keeper->home->tenant);
    return key_bytes + durable_live_bytes(&keeper->durables);
}

static uint64_t own_bit(const struct keeper *keeper)
{
    return (uint64_t)1 << keeper->home->shard->index;
}

/* Notes a change here and tells the others, whose /readyz speaks for the process. */
static void set_full(struct keeper *keeper, bool is_full)
{
    struct app *app = app_of(keeper);
    uint32_t self = keeper->home->shard->index;

    if (((keeper->full_shards & own_bit(keeper)) != 0) == is_full)
        return;
    if (is_full)
        SOMETIMES("intake says that the disk is full");
    else
        SOMETIMES("intake says that there is room again");
    keeper->full_shards ^= own_bit(keeper);
    log_event(&keeper->home->shard->log, is_full ? LOG_WARN : LOG_INFO, "journal",
              is_full ? "the disk is full: intake answers 503 until there is room"
                      : "there is room on the disk again",
              LOG_NUMBER("shard", self));
    for (uint32_t i = 0; i < app->shard_count; i++)
        if (i != self)
            outbox_send_words(&keeper->outbox, &keeper->actor, app->shards[i].keeper.actor.id,
                              MSG_KEEPER_SPACE, self, is_full);
}

/* Who has no room for the message is left out: a listener without descriptors asks again. */
static void ask_to_yield(struct keeper *keeper, uint32_t shard)
{
    struct actor_id to = app_of(keeper)->shards[shard].keeper.actor.id;
    struct message *msg = actor_message(&keeper->actor, to, MSG_KEEPER_YIELD);

    if (msg == NULL)
        return;
    msg->flags |= MESSAGE_DROPPABLE;
    if (actor_send(&keeper->actor, &msg) == SEND_FULL)
        actor_message_release(&keeper->actor, &msg);
}

void keeper_yield_descriptors(struct keeper *keeper)
{
    journal_reader_yield(keeper->reader);
    for (uint32_t i = 0; i < app_of(keeper)->shard_count; i++)
        if (i != keeper->home->shard->index)
            ask_to_yield(keeper, i);
}

static void on_room(struct journal_owner *owner)
{
    struct keeper *keeper = log_of(owner)->keeper;

    if (!journal_is_low(log_of(owner)->journal) && !MUTANT("full_disk_for_ever"))
        set_full(keeper, false);
    if (log_of(owner) != &keeper->logs[0] || MUTANT("on_room_never_called"))
        return;
    /* What lets a segment go comes first: it makes room for the others. */
    tenant_on_room(&keeper->home->tenant);
    durable_on_room(&keeper->durables);
    intake_on_room(&keeper->home->intake);
}

static void on_stopped(struct journal_owner *owner)
{
    struct keeper_log *entry = log_of(owner);

    entry->is_stopped = true;
    outbox_send(&entry->keeper->outbox, &entry->keeper->actor, entry->keeper->actor.id,
                MSG_KEEPER_STOPPED, 0, NULL);
}

static void on_turn_end(struct turn_hook *hook)
{
    struct keeper *keeper = container_of(hook, struct keeper, flush_hook);

    if (!keeper->is_open)
        return;
    if (journal_needs_flush(keeper->logs[0].journal))
        journal_flush(keeper->logs[0].journal);
    read_model_publish(app_of(keeper)->read_model, keeper->logs[0].log,
                       journal_durable_lsn(keeper->logs[0].journal));
}

/* Notes what must stay until its time is over. */
static void mark_segment(struct keeper_log *entry, const struct journal_record *records,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (records[i].type != RECORD_EVENT && records[i].type != RECORD_CLAIM)
            continue;
        segment_marks_add(&entry->events, journal_active_seq(entry->journal));
        return;
    }
}

void keeper_note_event(struct keeper *keeper, struct journal_location location)
{
    struct keeper_log *entry = keeper_find_log(keeper, journal_location_log(location));

    assert(entry != NULL);
    segment_marks_add(&entry->events, journal_location_seq(location));
}

int keeper_append(struct keeper *keeper, struct journal_append *append,
                  struct journal_record *records, uint32_t count, uint32_t flags)
{
    int r;

    if (!keeper->is_open)
        return JOURNAL_STOPPED;
    r = journal_append(keeper->logs[0].journal, append, records, count, flags);
    if (r == JOURNAL_OK)
        mark_segment(&keeper->logs[0], records, count);
    if (r == JOURNAL_NO_SPACE)
        set_full(keeper, true);
    return r;
}

static int write_durable(struct durable_writer *writer, struct journal_append *append,
                         struct journal_record *records, uint32_t count, uint32_t flags)
{
    return keeper_append(container_of(writer, struct keeper, writer), append, records, count,
                         flags);
}

static void on_durables_carried(struct durable_writer *writer, uint32_t log, uint64_t seq)
{
    retirement_on_carried(container_of(writer, struct keeper, writer), log, seq);
}

void keeper_index(struct keeper *keeper, uint32_t hash, struct journal_location location)
{
    struct keeper_log *entry = &keeper->logs[0];

    if (event_index_add(entry->index, hash, location) == EVENT_INDEX_ADDED)
        return;
    /* No room to find one more event: the oldest ones go, as they would by size or age. */
    SOMETIMES("the event index is full");
    if (entry->retiring_seq == 0)
        (void)journal_retire_oldest(entry->journal, JOURNAL_DROP_ENTRIES);
    if (event_index_add(entry->index, hash, location) != EVENT_INDEX_ADDED)
        metrics_add(&keeper->home->shard->metrics, app_of(keeper)->metrics.unindexed, 1);
}

struct keeper_log *keeper_find_log(struct keeper *keeper, uint32_t log)
{
    for (uint32_t i = 0; i < keeper->log_count; i++)
        if (keeper->logs[i].log == log)
            return &keeper->logs[i];
    return NULL;
}

enum problem_code keeper_admit(const struct keeper *keeper)
{
    if (keeper->has_failed)
        return PROBLEM_STORAGE_FAILED;
    if (keeper->home->phase == APP_RECOVERING)
        return PROBLEM_RECOVERING;
    if ((keeper->full_shards & own_bit(keeper)) != 0) {
        SOMETIMES("a request meets a disk that is known to be full");
        return PROBLEM_STORAGE_FULL;
    }
    return PROBLEM_NONE;
}

bool keeper_disk_is_low(const struct keeper *keeper)
{
    return keeper->full_shards != 0;
}

/* One address serves all shards, so one that is not ready makes the process not ready. */
bool keeper_is_recovering(const struct keeper *keeper)
{
    uint64_t all = UINT64_MAX >> (SHARD_COUNT_MAX - app_of(keeper)->shard_count);

    assert((keeper->ready_shards & ~all) == 0);
    return keeper->ready_shards != all;
}

void keeper_try_ready(struct keeper *keeper)
{
    struct app_shard *home = keeper->home;

    if (home->phase != APP_RECOVERING || !keeper->is_open || !tenant_is_ready(&home->tenant))
        return;
    home->phase = APP_READY;
    keeper->ready_shards |= own_bit(keeper);
    for (uint32_t i = 0; i < home->app->shard_count; i++)
        if (i != home->shard->index)
            outbox_send_words(&keeper->outbox, &keeper->actor, home->app->shards[i].keeper.actor.id,
                              MSG_KEEPER_READY, home->shard->index, 0);
    log_event(&home->shard->log, LOG_INFO, "keeper", "ready",
              LOG_NUMBER("shard", home->shard->index));
}

/* 0, or -errno: then the process cannot go on. */
MUST_USE static int open_log(struct keeper *keeper, struct keeper_log *entry,
                             const struct recovered_log *position)
{
    struct app *app = app_of(keeper);
    const struct settings *settings = app->settings;
    struct shard *shard = keeper->home->shard;
    struct journal_config config = {
        .io = shard->io,
        .disk = app->disk,
        .clock = &shard->clock,
        .timers = &shard->timers,
        .metrics = &shard->metrics,
        .series = &app->metrics.journal,
        .owner = &entry->owner,
        .data_path = settings->data,
        .log = entry->log,
        .boot_generation = app->superblock.boot_generation,
        .uuid = app->superblock.uuid,
        .segment_bytes = settings->segment_bytes,
        .batch_bytes = app->journal_batch_bytes,
        .writes_in_flight = (uint32_t)settings->writes_in_flight,
        .reserve_bytes = settings->reserve_bytes / app->shard_count,
        .retain_bytes = settings->retain_bytes / app->shard_count,
        .retain_ms = (uint64_t)settings->retain_hours * 3600000,
        .sealed = entry != &keeper->logs[0],
        .unsafe_storage = settings->unsafe_storage,
    };

    return journal_open(&config, position, &entry->journal);
}

static int on_recovered(struct keeper *keeper, const struct recovered *recovered)
{
    struct shard *shard = keeper->home->shard;

    for (uint32_t i = 0; i < keeper->log_count; i++) {
        struct keeper_log *entry = &keeper->logs[i];
        int r;

        assert(entry->log < recovered->log_count);
        r = open_log(keeper, entry, &recovered->logs[entry->log]);
        if (r == 0 && i > 0)
            SOMETIMES("a log of an earlier, larger start is read");
        if (r < 0) {
            log_event(&shard->log, LOG_ERROR, "journal", "the log could not be opened",
                      LOG_NUMBER("log", entry->log), LOG_NUMBER("errno", -r));
            runtime_fail(app_of(keeper)->runtime,
                         r == -ENOSPC ? APP_EXIT_CANNOT_CREATE : APP_EXIT_IO,
                         r == -ENOSPC ? "no space for the journal's first segment"
                                      : "the journal could not be opened");
            return ACTOR_OK;
        }
    }
    keeper->is_open = true;
    durable_resume(&keeper->durables);
    note_old_logs(keeper, recovered);
    retirement_open(keeper);
    tenant_on_open(&keeper->home->tenant);
    keeper_try_ready(keeper);
    return ACTOR_OK;
}

static bool all_stopped(const struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->log_count; i++)
        if (keeper->logs[i].journal != NULL && !keeper->logs[i].is_stopped)
            return false;
    return true;
}

static int on_stop(struct keeper *keeper)
{
    keeper->is_stopping = true;
    durable_stop(&keeper->durables);
    journal_reader_stop(keeper->reader);
    for (uint32_t i = 0; i < keeper->log_count; i++)
        if (keeper->logs[i].journal != NULL)
            journal_stop(keeper->logs[i].journal);
    return all_stopped(keeper) ? ACTOR_STOP : ACTOR_OK;
}

static int receive(struct actor *self, const struct message *msg)
{
    struct keeper *keeper = keeper_of(self);

    switch (msg->type) {
    case MSG_KEEPER_RECOVERED:
        return on_recovered(keeper, outbox_lent(msg));
    case MSG_KEEPER_DRAIN:
        keeper->home->phase = APP_DRAINING;
        http_server_drain(&keeper->home->http);
        job_desk_drain(&keeper->home->jobs);
        return ACTOR_OK;
    case MSG_KEEPER_DROPPED:
        SOMETIMES("a shard hears that a peer dropped a segment");
        forget_segment(keeper, (uint32_t)msg->as.words[0], msg->as.words[1]);
        return ACTOR_OK;
    case MSG_KEEPER_SPACE:
        SOMETIMES("a shard hears of a peer's full disk");
        if (msg->as.words[1] != 0)
            keeper->full_shards |= (uint64_t)1 << msg->as.words[0];
        else
            keeper->full_shards &= ~((uint64_t)1 << msg->as.words[0]);
        return ACTOR_OK;
    case MSG_KEEPER_READY:
        keeper->ready_shards |= (uint64_t)1 << msg->as.words[0];
        return ACTOR_OK;
    case MSG_KEEPER_YIELD:
        journal_reader_yield(keeper->reader);
        return ACTOR_OK;
    case MSG_KEEPER_RETIRE:
        if (!keeper->is_stopping)
            begin_retirement(keeper, (uint32_t)msg->as.words[0], msg->as.words[1]);
        return ACTOR_OK;
    case MSG_KEEPER_CARRY:
        retirement_on_asked(keeper, (uint32_t)msg->as.words[0], msg->as.words[1]);
        return ACTOR_OK;
    case MSG_KEEPER_CARRIED:
        if (!keeper->is_stopping)
            on_carried(keeper, (uint32_t)msg->as.words[0], msg->as.words[1]);
        return ACTOR_OK;
    case MSG_KEEPER_STOPPED:
        return keeper->is_stopping && all_stopped(keeper) ? ACTOR_STOP : ACTOR_OK;
    case MSG_TIMER:
        return outbox_on_timer(&keeper->outbox, self, msg->as.timer.timer) ? ACTOR_OK
                                                                           : ACTOR_UNHANDLED;
    case MSG_STOP:
        return on_stop(keeper);
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct keeper *keeper = keeper_of(self);

    outbox_init(&keeper->outbox, self);
    return 0;
}

/*
 * At the end of its time a log is still being written, nobody knows how far; or read, because a
 * disk does not answer: whoever asked was killed, and its buffers are not given back.
 */
static void release(struct actor *self)
{
    const struct keeper *keeper = keeper_of(self);

    if (keeper->is_stopping && !all_stopped(keeper)) {
        SOMETIMES("the time to stop is over with a log being written");
        runtime_fail(app_of(keeper)->runtime, APP_EXIT_IO,
                     "the journal was still being written when the time to stop was over");
    }
    if (keeper->is_stopping && !journal_reader_is_idle(keeper->reader)) {
        SOMETIMES("the time to stop is over with a log being read");
        runtime_fail(app_of(keeper)->runtime, APP_EXIT_IO,
                     "the journal was still being read when the time to stop was over");
    }
}

const struct actor_type keeper_type = {
    .name = "keeper",
    .start = start,
    .receive = receive,
    .release = release,
    .mailbox_max = 4096,
};

static uint32_t power_of_two_below(uint64_t value)
{
    uint32_t result = 1024;

    while ((uint64_t)result * 2 <= value && result < (uint32_t)EVENT_INDEX_ENTRIES_MAX)
        result *= 2;
    return result;
}

int keeper_init(struct keeper *keeper, struct app_shard *home)
{
    struct app *app = home->app;
    uint32_t log_count = app->superblock.log_count;
    uint32_t entries = power_of_two_below((uint64_t)app->settings->event_index_entries / log_count);
    int r = 0;

    memset(keeper, 0, sizeof(*keeper));
    keeper->home = home;
    keeper->flush_hook.on_turn_end = on_turn_end;
    keeper->writer.append = write_durable;
    keeper->writer.on_carried = on_durables_carried;
    durable_set_init(&keeper->durables, &keeper->writer);
    keeper->logs = calloc(log_count / app->shard_count + 1, sizeof(*keeper->logs));
    if (keeper->logs == NULL)
        return -ENOMEM;
    for (uint32_t log = home->shard->index; log < log_count && r == 0; log += app->shard_count) {
        struct keeper_log *entry = &keeper->logs[keeper->log_count++];

        entry->keeper = keeper;
        entry->log = log;
        entry->owner.on_failed = on_failed;
        entry->owner.is_spent = is_spent;
        entry->owner.live_bytes = live_bytes;
        entry->owner.on_retire = on_retire;
        entry->owner.on_retired = on_retired;
        entry->owner.on_room = on_room;
        entry->owner.on_stopped = on_stopped;
        r = event_index_new(log, entries, &entry->index);
        if (r == 0)
            r = segment_marks_init(&entry->events);
    }
    if (r < 0)
        return r;
    assert(keeper->logs[0].log == home->shard->index);
    shard_add_turn_hook(home->shard, &keeper->flush_hook);
    return journal_reader_new(home->shard->io, app->disk, app->settings->data,
                              app->settings->unsafe_storage, &keeper->reader);
}

void keeper_deinit(struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->log_count; i++) {
        if (keeper->logs[i].journal != NULL)
            journal_free(&keeper->logs[i].journal);
        event_index_free(&keeper->logs[i].index);
        segment_marks_deinit(&keeper->logs[i].events);
    }
    free(keeper->logs);
    keeper->logs = NULL;
    keeper->log_count = 0;
    journal_reader_free(&keeper->reader);
}

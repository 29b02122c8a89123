#include "actors/ai_runs.h"

#include <errno.h>

#include "actors/app.h"
#include "runtime/memory.h"
#include "runtime/sim_point.h"

/*
 * A record is carried byte for byte: its revision says which of two images is the later one,
 * so it does not matter that another image of the run may be on its way meanwhile.
 *
 * Slots have memory of their own, and what they write waits for room by itself: only a disk that
 * fails to read has to be tried again by the clock.
 */

static void work(struct ai_runs *runs);

static struct ai_runs *runs_of(struct durable *durable)
{
    return container_of(durable, struct ai_runs, durable);
}

struct journal_location ai_runs_find(const struct ai_runs *runs, uint64_t id_low)
{
    const struct ai_run_entry *entry = ai_run_table_find(&runs->table, id_low);

    return entry != NULL ? entry->location : JOURNAL_LOCATION_NONE;
}

uint32_t ai_runs_revision(const struct ai_runs *runs, uint64_t id_low)
{
    const struct ai_run_entry *entry = ai_run_table_find(&runs->table, id_low);

    return entry != NULL ? entry->revision : 0;
}

/* --- carrying forward --------------------------------------------------------------------- */

static void release_slot(struct ai_runs_slot *slot)
{
    assert(slot->is_busy);
    slot->is_busy = false;
    slot->runs->busy_count--;
}

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct ai_runs_slot *slot = container_of(step, struct ai_runs_slot, step);

    release_slot(slot);
    if (outcome == DURABLE_DONE)
        work(slot->runs);
}

/* Waits for room by itself. */
static void write_slot(struct ai_runs_slot *slot)
{
    struct ai_runs *runs = slot->runs;

    slot->step = (struct durable_step){
        .on_done = on_written,
        .records = &slot->record,
        .record_count = 1,
        .flags = JOURNAL_IMPORTANT,
    };
    if (durable_commit_later(&runs->home->keeper.durables, &slot->step))
        return;
    runs->is_stopped = true;
    release_slot(slot);
}

/* Written one by one each record would stand in a block of its own: see job_carrier.c. */
static void write_when_all_are_read(struct ai_runs *runs)
{
    for (uint32_t i = 0; i < AI_RUNS_CARRY_SLOT_COUNT; i++)
        if (runs->slots[i].is_busy && !runs->slots[i].is_read)
            return;
    for (uint32_t i = 0; i < AI_RUNS_CARRY_SLOT_COUNT; i++)
        if (runs->slots[i].is_busy)
            write_slot(&runs->slots[i]);
    work(runs); /* when none of them could be read, nobody else goes on */
}

/*
 * What is gone or damaged is not needed any more by anybody: the read model has it, or nobody. A
 * disk may be well again soon: not for ever, since no segment goes meanwhile.
 */
static void give_up(struct ai_runs_slot *slot, enum journal_read_result result)
{
    struct ai_runs *runs = slot->runs;
    struct ai_run_entry *entry = ai_run_table_find(&runs->table, slot->id_low);

    if (result == JOURNAL_READ_ERROR && runs->try_count < AI_RUNS_DISK_TRY_MAX) {
        SOMETIMES("an AI run to be carried forward is read again later");
        runs->has_unread = true;
        release_slot(slot);
        return;
    }
    SOMETIMES("an AI run to be carried forward cannot be read");
    log_event(&runs->home->shard->log, LOG_ERROR, "ai",
              "an AI run cannot be read and goes with its segment",
              LOG_NUMBER("result", (uint64_t)result));
    if (entry != NULL && journal_location_log(entry->location) == runs->carry_log &&
        journal_location_seq(entry->location) <= runs->carry_seq)
        ai_run_table_forget(&runs->table, entry);
    release_slot(slot);
}

/* On a damaged disk there may be another record in its place. */
static bool is_record_of(const struct journal_record_view *view, uint64_t id_low)
{
    struct ai_run_image image;

    return view->type == RECORD_AI_RUN && ai_run_decode(view->payload, &image) == 0 &&
           image.header.id_low == id_low;
}

static void on_read(struct journal_read *read, enum journal_read_result result,
                    const struct journal_record_view *view)
{
    struct ai_runs_slot *slot = container_of(read, struct ai_runs_slot, read);
    struct ai_runs *runs = slot->runs;

    if (result == JOURNAL_READ_OK && !is_record_of(view, slot->id_low))
        result = JOURNAL_READ_CORRUPT;
    if (result == JOURNAL_READ_OK) {
        slot->is_read = true;
        slot->part = view->payload;
        slot->record = (struct journal_record){
            .partition = view->partition,
            .type = RECORD_AI_RUN,
            .version = view->version,
            .parts = &slot->part,
            .part_count = 1,
        };
    } else {
        give_up(slot, result);
    }
    write_when_all_are_read(runs);
}

static void start_slot(struct ai_runs *runs, const struct ai_run_entry *entry)
{
    struct ai_runs_slot *slot = runs->slots;

    assert(runs->busy_count < AI_RUNS_CARRY_SLOT_COUNT);
    while (slot->is_busy)
        slot++;
    slot->is_busy = true;
    slot->is_read = false;
    slot->id_low = entry->id_low;
    runs->busy_count++;
    memset(&slot->read, 0, sizeof(slot->read));
    slot->read.on_done = on_read;
    slot->read.location = entry->location;
    slot->read.buffer = slot->memory;
    slot->read.buffer_size = AI_RUNS_READ_SIZE;
    journal_read_start(runs->home->keeper.reader, &slot->read);
}

/* As old as what the read model lets go. */
static bool is_too_old(const struct ai_runs *runs, const struct ai_run_entry *entry)
{
    uint64_t now_ms = runs->home->shard->clock.unix_ms;
    uint64_t retain_ms = (uint64_t)runs->home->app->settings->read_model_days * 86400000;

    return retain_ms != 0 && now_ms > retain_ms && entry->created_ms < now_ms - retain_ms;
}

/* Looks at entries until all slots are busy. True when the end of the table is reached. */
static bool walk(struct ai_runs *runs)
{
    while (runs->busy_count < AI_RUNS_CARRY_SLOT_COUNT) {
        struct ai_run_entry *entry =
            ai_run_table_next_up_to(&runs->table, &runs->cursor, runs->carry_log, runs->carry_seq);

        if (entry == NULL)
            return true;
        if (is_too_old(runs, entry)) {
            SOMETIMES("an AI run is too old to be carried forward");
            ai_run_table_forget(&runs->table, entry);
            continue;
        }
        runs->has_found_any = true;
        start_slot(runs, entry);
    }
    return false;
}

/* No segment goes meanwhile: soon at first, and a disk that goes on failing is asked less often. */
static void wait_for_disk(struct ai_runs *runs)
{
    struct shard *shard = runs->home->shard;
    uint64_t ms = (uint64_t)AI_RUNS_DISK_MS << min_u64(runs->try_count, 16);

    timer_start(&shard->timers, &runs->timer,
                shard->clock.mono_ns + min_u64(ms, AI_RUNS_DISK_MS_MAX) * 1000000);
}

/* Slots are filled, and all of them written, before the next are: see job_carrier.c. */
static void work(struct ai_runs *runs)
{
    if (runs->carry_seq == 0 || runs->is_stopped || runs->busy_count > 0)
        return;
    if (runs->has_unread) {
        wait_for_disk(runs);
        return;
    }
    if (!walk(runs) || runs->busy_count > 0)
        return;
    if (runs->has_found_any) {
        runs->has_found_any = false;
        runs->cursor = 1;
        if (!walk(runs) || runs->busy_count > 0)
            return;
    }
    runs->try_count = 0;
    SOMETIMES("all AI runs are carried out of old segments");
    runs->carry_seq = 0;
    durable_carried(&runs->durable);
}

/* The disk is tried again, from the first entry on. */
static void on_timer(struct timer *timer)
{
    struct ai_runs *runs = container_of(timer, struct ai_runs, timer);

    runs->try_count++;
    runs->has_unread = false;
    runs->has_found_any = false;
    runs->cursor = 1;
    work(runs);
}

static void carry(struct durable *self, uint32_t log, uint64_t seq)
{
    struct ai_runs *runs = runs_of(self);

    assert(runs->carry_seq == 0);
    assert(seq != 0);
    runs->carry_log = log;
    runs->carry_seq = seq;
    runs->cursor = 1;
    runs->has_found_any = false;
    runs->has_unread = false;
    work(runs);
}

/* --- facts --------------------------------------------------------------------------------- */

static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct ai_run_image image;
    struct ai_runs *runs = runs_of(self);
    int r = ai_run_decode(fact->payload, &image);

    if (r < 0)
        return r;
    ai_run_table_apply(&runs->table, &image.header, fact->location, fact->size);
    return 0;
}

static uint64_t live_bytes(struct durable *self)
{
    return runs_of(self)->table.live_bytes;
}

static const struct durable_type durable_ai_run_type = {
    .name = "ai_runs",
    .record_first = RECORD_AI_RUN,
    .record_last = RECORD_AI_RUN,
    .version_max = AI_RUN_RECORD_VERSION,
    .apply = apply,
    .carry_up_to = carry,
    .live_bytes = live_bytes,
};

/* --- start-up -------------------------------------------------------------------------------- */

int ai_runs_init(struct ai_runs *runs, struct app_shard *home)
{
    int r;

    memset(runs, 0, sizeof(*runs));
    runs->home = home;
    runs->durable.type = &durable_ai_run_type;
    timer_init(&runs->timer, on_timer);
    r = ai_run_table_init(&runs->table, (uint32_t)home->app->settings->ai_runs);
    if (r == 0)
        r = memory_map(AI_RUNS_CARRY_SLOT_COUNT * (size_t)AI_RUNS_READ_SIZE, &runs->memory);
    for (uint32_t i = 0; r == 0 && i < AI_RUNS_CARRY_SLOT_COUNT; i++) {
        runs->slots[i].runs = runs;
        runs->slots[i].memory = runs->memory + i * (size_t)AI_RUNS_READ_SIZE;
    }
    return r;
}

void ai_runs_deinit(struct ai_runs *runs)
{
    if (runs->home != NULL)
        timer_stop(&runs->home->shard->timers, &runs->timer);
    ai_run_table_deinit(&runs->table);
    memory_unmap(&runs->memory, AI_RUNS_CARRY_SLOT_COUNT * (size_t)AI_RUNS_READ_SIZE);
}

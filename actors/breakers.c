#include "actors/breakers.h"

#include <errno.h>

#include "actors/app.h"
#include "contracts/siphash.h"
#include "runtime/policy_presets.h"
#include "runtime/sim_point.h"

/*
 * The state in memory is ahead of the log: a change counts at once, its record follows.
 * Changes that come while a record is on its way are written once it has arrived, so there
 * is one record per destination in flight and the last one tells the truth.
 *
 * The parked of a destination are a list in order of the time at which they come by
 * themselves, which only grows; those whose time has passed are at its head and are
 * forgotten when somebody looks. Whether one still waits as it was told is asked of the table.
 */

enum {
    VICTIM_LOOK_MAX = 64,
    WAITING_LOOK_MAX = 64, /* of the parked of one destination, for one that still waits */
};

static struct app *app_of(const struct breakers *breakers)
{
    return breakers->home->app;
}

static struct slice org_of(const struct breakers_entry *entry)
{
    return (struct slice){entry->org, entry->org_size};
}

static struct slice project_of(const struct breakers_entry *entry)
{
    return (struct slice){entry->project, entry->project_size};
}

static struct slice origin_of(const struct breakers_entry *entry)
{
    return (struct slice){entry->origin, entry->origin_size};
}

/* --- the table -------------------------------------------------------------------------- */

static struct list_node *bucket_of(struct breakers *breakers, struct slice org,
                                   struct slice project, struct slice origin)
{
    const uint8_t *key = app_of(breakers)->hash_key;
    uint64_t hash =
        siphash_64(key, org) * 3 + siphash_64(key, project) * 5 + siphash_64(key, origin);

    return &breakers->buckets[hash % BREAKERS_COUNT_MAX];
}

static struct breakers_entry *find(struct breakers *breakers, struct slice org,
                                   struct slice project, struct slice origin)
{
    struct list_node *head = bucket_of(breakers, org, project, origin);

    for (struct list_node *node = head->next; node != head; node = node->next) {
        struct breakers_entry *entry = container_of(node, struct breakers_entry, bucket_link);

        if (slice_equal(origin_of(entry), origin) && slice_equal(project_of(entry), project) &&
            slice_equal(org_of(entry), org))
            return entry;
    }
    return NULL;
}

/* Its record is needed no longer. */
static void forget_record(struct breakers *breakers, struct breakers_entry *entry)
{
    assert(breakers->live_bytes >= entry->record_size);
    breakers->live_bytes -= entry->record_size;
    entry->record_size = 0;
    entry->location.bits = 0;
}

static struct breakers_parked *parked_at(struct breakers *breakers, uint32_t number)
{
    assert(number > 0);
    return pool_at(&breakers->parked, number - 1);
}

static void pop_parked(struct breakers *breakers, struct breakers_entry *entry)
{
    struct breakers_parked *parked = parked_at(breakers, entry->parked_first);
    void *slot = parked;

    assert(entry->parked_count > 0);
    entry->parked_count--;
    entry->parked_first = parked->next;
    if (entry->parked_first == 0)
        entry->parked_last = 0;
    pool_release(&breakers->parked, &slot);
}

static void forget(struct breakers *breakers, struct breakers_entry *entry)
{
    void *slot = entry;

    assert(entry->call_count == 0);
    assert(!entry->is_writing);
    SOMETIMES("a destination makes room for another");
    while (entry->parked_first != 0)
        pop_parked(breakers, entry);
    forget_record(breakers, entry);
    list_remove(&entry->bucket_link);
    list_remove(&entry->recent_link);
    list_remove(&entry->dirty_link);
    pool_release(&breakers->entries, &slot);
}

/* The one to go: used longest ago, closed if one of the first of these is. */
static struct breakers_entry *find_victim(struct breakers *breakers)
{
    struct breakers_entry *victim = NULL;
    struct list_node *node = breakers->recent.next;

    for (uint32_t i = 0; node != &breakers->recent; node = node->next) {
        struct breakers_entry *entry = container_of(node, struct breakers_entry, recent_link);

        if (entry->call_count > 0 || entry->is_writing)
            continue;
        if (victim == NULL)
            victim = entry;
        if (breaker_state(&entry->breaker) == BREAKER_CLOSED && entry->parked_first == 0)
            return entry;
        if (++i == VICTIM_LOOK_MAX)
            break;
    }
    assert(victim != NULL); /* there are fewer calls and writes than entries */
    return victim;
}

static const struct breaker_policy *default_policy(void)
{
    return &policy_presets_default()->breaker;
}

static struct breakers_entry *make(struct breakers *breakers, struct slice org,
                                   struct slice project, struct slice origin, uint64_t now_ms)
{
    struct breakers_entry *entry = pool_acquire(&breakers->entries);

    if (entry == NULL) {
        forget(breakers, find_victim(breakers));
        entry = pool_acquire(&breakers->entries);
        assert(entry != NULL);
    }
    memset(entry, 0, sizeof(*entry));
    list_init(&entry->bucket_link);
    list_init(&entry->recent_link);
    list_init(&entry->dirty_link);
    entry->since_ms = now_ms;
    entry->org_size = (uint8_t)org.size;
    entry->project_size = (uint8_t)project.size;
    entry->origin_size = (uint16_t)origin.size;
    memcpy(entry->org, org.data, org.size);
    memcpy(entry->project, project.data, project.size);
    memcpy(entry->origin, origin.data, origin.size);
    breaker_init(&entry->breaker, default_policy(), now_ms,
                 (uint16_t)pool_index(&breakers->entries, entry));
    list_push_back(bucket_of(breakers, org, project, origin), &entry->bucket_link);
    list_push_back(&breakers->recent, &entry->recent_link);
    return entry;
}

struct breakers_entry *breakers_get(struct breakers *breakers, struct slice org,
                                    struct slice project, struct slice origin, uint64_t now_ms)
{
    struct breakers_entry *entry;

    assert(org.size <= JOB_NAME_SIZE_MAX);
    assert(project.size <= JOB_NAME_SIZE_MAX);
    assert(origin.size <= BREAKERS_ORIGIN_SIZE_MAX);
    entry = find(breakers, org, project, origin);
    if (entry == NULL)
        return make(breakers, org, project, origin, now_ms);
    list_remove(&entry->recent_link);
    list_push_back(&breakers->recent, &entry->recent_link);
    return entry;
}

/* --- records ------------------------------------------------------------------------------- */

static void write_dirty(struct breakers *breakers);

static bool rests_on_carried(const struct breakers *breakers, const struct breakers_entry *entry)
{
    return entry->location.bits != 0 &&
           journal_location_log(entry->location) == breakers->carry_log &&
           journal_location_seq(entry->location) <= breakers->carry_seq;
}

static void mark_dirty(struct breakers *breakers, struct breakers_entry *entry)
{
    if (list_is_empty(&entry->dirty_link) && !entry->is_writing)
        list_push_back(&breakers->dirty, &entry->dirty_link);
    else if (entry->is_writing)
        entry->is_changed = true;
}

/* Writes again what lies in the segments; when nothing does, says so. */
static void carry_on(struct breakers *breakers)
{
    struct list_node *node;
    bool is_left = false;

    if (breakers->carry_seq == 0)
        return;
    for (node = breakers->recent.next; node != &breakers->recent; node = node->next) {
        struct breakers_entry *entry = container_of(node, struct breakers_entry, recent_link);

        if (!rests_on_carried(breakers, entry))
            continue;
        is_left = true;
        if (!entry->is_writing && list_is_empty(&entry->dirty_link))
            list_push_back(&breakers->dirty, &entry->dirty_link);
    }
    if (is_left)
        return;
    breakers->carry_seq = 0;
    durable_carried(&breakers->durable);
}

static void on_written(struct durable_step *step, enum durable_outcome outcome)
{
    struct breakers_write *write = container_of(step, struct breakers_write, step);
    struct breakers *breakers = write->breakers;
    struct breakers_entry *entry = write->entry;
    void *slot = write;

    entry->is_writing = false;
    if (entry->is_changed && outcome == DURABLE_DONE)
        mark_dirty(breakers, entry);
    pool_release(&breakers->writes, &slot);
    if (outcome == DURABLE_UNKNOWN)
        return;
    carry_on(breakers);
    write_dirty(breakers);
}

static void fill_write(struct breakers_write *write)
{
    const struct breakers_entry *entry = write->entry;
    struct breakers_record record = {
        .at_ms = entry->since_ms,
        .origin_size = entry->origin_size,
        .org_size = entry->org_size,
        .project_size = entry->project_size,
    };
    char *end = write->bytes + sizeof(record);

    breaker_save(&entry->breaker, &record.saved);
    memcpy(write->bytes, &record, sizeof(record));
    memcpy(end, entry->org, entry->org_size);
    end += entry->org_size;
    memcpy(end, entry->project, entry->project_size);
    end += entry->project_size;
    memcpy(end, entry->origin, entry->origin_size);
    end += entry->origin_size;
    write->part = (struct slice){write->bytes, (size_t)(end - write->bytes)};
}

static void write_entry(struct breakers *breakers, struct breakers_entry *entry,
                        struct breakers_write *write)
{
    void *slot = write;

    memset(write, 0, offsetof(struct breakers_write, bytes));
    write->breakers = breakers;
    write->entry = entry;
    fill_write(write);
    write->record = (struct journal_record){
        .partition = job_partition(org_of(entry), project_of(entry),
                                   app_of(breakers)->superblock.partition_count),
        .type = RECORD_BREAKER,
        .version = BREAKERS_RECORD_VERSION,
        .parts = &write->part,
        .part_count = 1,
    };
    write->step =
        (struct durable_step){.on_done = on_written, .records = &write->record, .record_count = 1};
    entry->is_changed = false;
    entry->is_writing = true;
    if (durable_commit_later(&breakers->home->keeper.durables, &write->step))
        return;
    entry->is_writing = false; /* the journal has stopped, the process ends */
    pool_release(&breakers->writes, &slot);
}

/* As many as there is room for; the others when a write has ended. */
static void write_dirty(struct breakers *breakers)
{
    while (!list_is_empty(&breakers->dirty)) {
        struct breakers_write *write =
            FAILPOINT("no breaker write is free") ? NULL : pool_acquire(&breakers->writes);

        if (write == NULL)
            return;
        write_entry(
            breakers,
            container_of(list_pop_front(&breakers->dirty), struct breakers_entry, dirty_link),
            write);
    }
}

/* The breaker has been asked or told; writes down a change of its state. */
static void note_change(struct breakers *breakers, struct breakers_entry *entry,
                        enum breaker_state before, uint64_t now_ms)
{
    if (breaker_state(&entry->breaker) == before)
        return;
    entry->since_ms = now_ms;
    mark_dirty(breakers, entry);
    write_dirty(breakers);
}

/* --- calls -------------------------------------------------------------------------------------
 */

bool breakers_admit(struct breakers *breakers, struct breakers_entry *entry,
                    const struct breaker_policy *policy, uint64_t now_ms, uint32_t *ret_generation)
{
    enum breaker_state before = breaker_state(&entry->breaker);
    bool is_admitted;

    if (entry->call_count >= BREAKERS_CALLS_MAX)
        return false;
    is_admitted =
        breaker_admit(&entry->breaker, policy, now_ms, ret_generation) == BREAKER_ADMITTED;
    entry->call_count += is_admitted;
    note_change(breakers, entry, before, now_ms);
    return is_admitted;
}

/* Those at the head whose time has passed, count_max of them at most. Returns how many. */
static uint32_t forget_late(struct breakers *breakers, struct breakers_entry *entry,
                            uint64_t now_ms, uint32_t count_max)
{
    uint32_t count = 0;

    while (count < count_max && entry->parked_first != 0 &&
           parked_at(breakers, entry->parked_first)->due_ms <= now_ms) {
        pop_parked(breakers, entry);
        count++;
    }
    return count;
}

void breakers_forget_late(struct breakers *breakers, uint64_t now_ms)
{
    uint32_t left = BREAKERS_FORGET_MAX;

    for (struct list_node *node = breakers->recent.next; node != &breakers->recent;
         node = node->next)
        left -= forget_late(breakers, container_of(node, struct breakers_entry, recent_link),
                            now_ms, left);
}

uint64_t breakers_park(struct breakers *breakers, struct breakers_entry *entry,
                       const struct breaker_policy *policy, uint64_t id_low, uint64_t now_ms)
{
    uint64_t next_ms = breaker_next_ms(&entry->breaker, policy, now_ms);
    uint64_t due_ms = now_ms + BREAKERS_PARK_MS;
    struct breakers_parked *parked;

    if (next_ms > now_ms && next_ms != BREAKER_AT_NEXT_RESULT && entry->prober_ms <= now_ms) {
        entry->prober_ms = next_ms;
        return next_ms;
    }
    (void)forget_late(breakers, entry, now_ms, UINT32_MAX);
    entry->line_us = max_u64(entry->line_us + BREAKERS_LINE_US, due_ms * 1000);
    due_ms = entry->line_us / 1000;
    parked = FAILPOINT("no place among the parked") ? NULL : pool_acquire(&breakers->parked);
    if (parked == NULL)
        return due_ms;
    *parked = (struct breakers_parked){.id_low = id_low, .due_ms = due_ms};
    if (entry->parked_last == 0)
        entry->parked_first = pool_index(&breakers->parked, parked) + 1;
    else
        parked_at(breakers, entry->parked_last)->next = pool_index(&breakers->parked, parked) + 1;
    entry->parked_last = pool_index(&breakers->parked, parked) + 1;
    entry->parked_count++;
    return due_ms;
}

/* True when the job still waits as it was told to. */
static bool still_waits(const struct breakers *breakers, const struct breakers_parked *parked,
                        struct job_ref *ret_ref)
{
    struct job_table *table = breakers->home->jobs.table;
    struct job_view view;

    if (!job_table_find(table, parked->id_low, ret_ref))
        return false;
    job_table_view(table, *ret_ref, &view);
    return view.state == JOB_SCHEDULED && view.when_ms == parked->due_ms && !view.is_committing;
}

/* Lets the first of those that still wait come at due_ms. False: nobody waits. */
static bool call_parked(struct breakers *breakers, struct breakers_entry *entry, uint64_t now_ms,
                        uint64_t due_ms)
{
    struct job_table *table = breakers->home->jobs.table;

    while (entry->parked_first != 0) {
        struct breakers_parked parked = *parked_at(breakers, entry->parked_first);
        struct job_ref ref;

        pop_parked(breakers, entry);
        if (!still_waits(breakers, &parked, &ref))
            continue;
        job_table_reschedule(table, ref, now_ms, due_ms);
        return true;
    }
    return false;
}

/* Somebody must come when the open time is over. */
static void appoint_prober(struct breakers *breakers, struct breakers_entry *entry,
                           const struct breaker_policy *policy, uint64_t now_ms)
{
    uint64_t next_ms = breaker_next_ms(&entry->breaker, policy, now_ms);

    if (entry->prober_ms <= now_ms && call_parked(breakers, entry, now_ms, next_ms))
        entry->prober_ms = next_ms;
}

void breakers_end(struct breakers *breakers, struct breakers_entry *entry,
                  const struct breaker_policy *policy, uint64_t now_ms, uint32_t generation,
                  enum breakers_result result)
{
    enum breaker_state before = breaker_state(&entry->breaker);

    assert(entry->call_count > 0);
    entry->call_count--;
    if (result == BREAKERS_NOTHING)
        breaker_release(&entry->breaker, generation);
    else if (breaker_on_result(&entry->breaker, policy, now_ms, generation,
                               result == BREAKERS_SUCCESS))
        SOMETIMES("a result changes a breaker");
    note_change(breakers, entry, before, now_ms);
    switch (breaker_state(&entry->breaker)) {
    case BREAKER_OPEN:
        appoint_prober(breakers, entry, policy, now_ms);
        break;
    case BREAKER_HALF_OPEN:
        (void)call_parked(breakers, entry, now_ms, now_ms);
        break;
    case BREAKER_CLOSED:
        if (call_parked(breakers, entry, now_ms, now_ms) &&
            entry->call_count + 1 < BREAKERS_CALLS_MAX)
            (void)call_parked(breakers, entry, now_ms, now_ms);
        break;
    }
}

/* --- durable ------------------------------------------------------------------------------------
 */

bool breakers_record_decode(struct slice payload, struct breakers_record *ret_record,
                            struct slice *ret_org, struct slice *ret_project,
                            struct slice *ret_origin)
{
    const char *names = payload.data + sizeof(*ret_record);

    if (payload.size < sizeof(*ret_record))
        return false;
    memcpy(ret_record, payload.data, sizeof(*ret_record));
    *ret_org = (struct slice){names, ret_record->org_size};
    *ret_project = (struct slice){names + ret_org->size, ret_record->project_size};
    *ret_origin =
        (struct slice){names + ret_org->size + ret_project->size, ret_record->origin_size};
    return ret_org->size <= JOB_NAME_SIZE_MAX && ret_project->size <= JOB_NAME_SIZE_MAX &&
           ret_origin->size <= BREAKERS_ORIGIN_SIZE_MAX &&
           payload.size ==
               sizeof(*ret_record) + ret_org->size + ret_project->size + ret_origin->size;
}

/* In recovery the state becomes what it was; later only its place in the log is news. */
static int apply(struct durable *self, const struct durable_fact *fact)
{
    struct breakers *breakers = container_of(self, struct breakers, durable);
    struct slice org, project, origin;
    struct breakers_record record;
    struct breakers_entry *entry;
    struct breaker saved;
    int r;

    if (!breakers_record_decode(fact->payload, &record, &org, &project, &origin))
        return -EBADMSG;
    breaker_init(&saved, default_policy(), record.at_ms, 0);
    r = breaker_load(&saved, &record.saved);
    if (r < 0)
        return r;
    entry = fact->is_recovery ? breakers_get(breakers, org, project, origin, record.at_ms)
                              : find(breakers, org, project, origin);
    if (entry == NULL)
        return 0; /* it made room while its record was written */
    if (fact->is_recovery) {
        entry->breaker = saved;
        entry->since_ms = record.at_ms;
    }
    forget_record(breakers, entry);
    if (breaker_state(&saved) == BREAKER_CLOSED)
        return 0;
    entry->location = fact->location;
    entry->record_size = fact->size;
    breakers->live_bytes += fact->size;
    return 0;
}

static void carry(struct durable *self, uint32_t log, uint64_t seq)
{
    struct breakers *breakers = container_of(self, struct breakers, durable);

    assert(breakers->carry_seq == 0);
    breakers->carry_log = log;
    breakers->carry_seq = seq;
    carry_on(breakers);
    write_dirty(breakers);
}

static uint64_t live_bytes(struct durable *self)
{
    return container_of(self, struct breakers, durable)->live_bytes;
}

static const struct durable_type durable_breaker_type = {
    .name = "breakers",
    .record_first = RECORD_BREAKER,
    .record_last = RECORD_BREAKER,
    .version_max = BREAKERS_RECORD_VERSION,
    .apply = apply,
    .carry_up_to = carry,
    .live_bytes = live_bytes,
};

/* --- audit
 * ---------------------------------------------------------------------------------------- */

/* True when its probe should have come long ago and there is a job that could be it. */
static bool is_unprobed(const struct breakers *breakers, const struct breakers_entry *entry,
                        uint64_t now_ms)
{
    uint32_t number = entry->parked_first;
    struct breaker_view view;

    breaker_look(&entry->breaker, &view);
    if (view.state != BREAKER_OPEN ||
        max_u64(view.until_ms, entry->prober_ms) + BREAKERS_LATE_MS >= now_ms)
        return false;
    for (uint32_t i = 0; i < WAITING_LOOK_MAX && number != 0; i++) {
        const struct breakers_parked *parked = pool_at(&breakers->parked, number - 1);
        struct job_ref ref;

        if (still_waits(breakers, parked, &ref))
            return true;
        number = parked->next;
    }
    return false;
}

static uint32_t count_mismatches(const struct breakers_entry *entry)
{
    return (uint32_t)(entry->call_count > BREAKERS_CALLS_MAX) +
           ((entry->parked_first == 0) != (entry->parked_count == 0)) +
           ((entry->parked_last == 0) != (entry->parked_count == 0)) +
           ((entry->record_size == 0) != (entry->location.bits == 0));
}

void breakers_audit(const struct breakers *breakers, uint64_t now_ms,
                    struct breakers_audit *ret_audit)
{
    struct breakers_audit audit = {.count = 0};
    uint64_t live = 0;

    for (const struct list_node *node = breakers->recent.next; node != &breakers->recent;
         node = node->next) {
        const struct breakers_entry *entry = container_of(node, struct breakers_entry, recent_link);

        audit.count++;
        audit.open_count += breaker_state(&entry->breaker) == BREAKER_OPEN;
        audit.call_count += entry->call_count;
        audit.parked_count += entry->parked_count;
        audit.mismatch_count += count_mismatches(entry);
        audit.unprobed_count += is_unprobed(breakers, entry, now_ms);
        live += entry->record_size;
    }
    audit.mismatch_count += (uint32_t)(audit.count != pool_used_count(&breakers->entries)) +
                            (audit.parked_count != pool_used_count(&breakers->parked)) +
                            (live != breakers->live_bytes);
    *ret_audit = audit;
}

/* --- numbers
 * ---------------------------------------------------------------------------------------- */

static size_t add_name(char *name, size_t size, struct slice text)
{
    for (size_t i = 0; i < text.size && size < BREAKERS_NAME_SIZE_MAX - 1; i++) {
        char c = text.data[i];

        name[size++] = (char)(c > ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '_');
    }
    return size;
}

void breakers_sample(const struct breakers *breakers, struct breakers_samples *ret_samples)
{
    memset(ret_samples, 0, offsetof(struct breakers_samples, samples));
    for (uint32_t i = 0; i < breakers->entries.touched_count; i++) {
        const struct breakers_entry *entry = pool_at(&breakers->entries, i);
        enum breaker_state state = breaker_state(&entry->breaker);
        struct breakers_sample *sample;
        size_t size;

        if (entry->bucket_link.next == NULL || list_is_empty(&entry->bucket_link))
            continue;
        if (ret_samples->count == BREAKERS_SAMPLE_MAX) {
            ret_samples->other_count++;
            ret_samples->other_sum += (uint32_t)state;
            continue;
        }
        sample = &ret_samples->samples[ret_samples->count++];
        size = add_name(sample->name, 0, project_of(entry));
        size = add_name(sample->name, size, SLICE_LITERAL("/"));
        size = add_name(sample->name, size, origin_of(entry));
        sample->name[size] = '\0';
        sample->state = (uint32_t)state;
    }
}

/* --- start-up
 * ---------------------------------------------------------------------------------------- */

int breakers_init(struct breakers *breakers, struct app_shard *home)
{
    int r;

    memset(breakers, 0, sizeof(*breakers));
    breakers->home = home;
    breakers->durable.type = &durable_breaker_type;
    list_init(&breakers->recent);
    list_init(&breakers->dirty);
    for (uint32_t i = 0; i < BREAKERS_COUNT_MAX; i++)
        list_init(&breakers->buckets[i]);
    r = pool_init(&breakers->entries, "breakers", sizeof(struct breakers_entry),
                  BREAKERS_COUNT_MAX);
    if (r == 0)
        r = pool_init(&breakers->parked, "parked jobs", sizeof(struct breakers_parked),
                      BREAKERS_PARKED_MAX);
    if (r == 0)
        r = pool_init(&breakers->writes, "breaker writes", sizeof(struct breakers_write),
                      BREAKERS_WRITE_COUNT);
    return r;
}

void breakers_deinit(struct breakers *breakers)
{
    pool_abandon(&breakers->entries);
    pool_abandon(&breakers->parked);
    pool_abandon(&breakers->writes);
}

#include "store/schedule_table.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/crc32c.h"
#include "store/schedule_due.h"

/*
 * A thousand schedules are a thousand words of each array: walking them takes about a
 * microsecond, which no request and no timer notices, and there is nothing to keep in
 * order. Entries are given out lowest first, so that `end` stays low.
 */

struct schedule_table {
    struct schedule *slots; /* SCHEDULE_SLOT_COUNT_MAX, mapped */
    uint64_t next_ms[SCHEDULE_SLOT_COUNT_MAX];
    struct journal_location locations[SCHEDULE_SLOT_COUNT_MAX]; /* NONE: FREE or NEW */
    uint32_t sizes[SCHEDULE_SLOT_COUNT_MAX];                    /* of the records, in the log */
    uint32_t hashes[SCHEDULE_SLOT_COUNT_MAX];                   /* 0: FREE */
    uint32_t end;
    uint32_t count;
    uint64_t live_bytes;
    uint64_t revision_max;
};

static const size_t SLOTS_SIZE = sizeof(struct schedule) * SCHEDULE_SLOT_COUNT_MAX;

static void table_check(const struct schedule_table *table)
{
    assert(table->slots != NULL);
    assert(table->end <= SCHEDULE_SLOT_COUNT_MAX);
    assert(table->count <= table->end);
}

int schedule_table_new(struct schedule_table **ret_table)
{
    struct schedule_table *table = calloc(1, sizeof(*table));
    char *memory = NULL;
    int r;

    if (table == NULL)
        return -ENOMEM;
    r = memory_map(SLOTS_SIZE, &memory);
    if (r < 0) {
        free(table);
        return r;
    }
    table->slots = (struct schedule *)(void *)memory;
    *ret_table = table;
    return 0;
}

void schedule_table_free(struct schedule_table **table)
{
    char *memory;

    if (*table == NULL)
        return;
    memory = (char *)(*table)->slots;
    memory_unmap(&memory, SLOTS_SIZE);
    free(*table);
    *table = NULL;
}

/* --- finding ----------------------------------------------------------------- */

/* Never 0. The names cannot be made by clients to collide usefully: a walk compares them. */
static uint32_t hash_of(struct slice org, struct slice project, struct slice name)
{
    uint32_t hash = crc32c(0, org.data, org.size);

    hash = crc32c(hash, project.data, project.size);
    hash = crc32c(hash, name.data, name.size);
    return hash == 0 ? 1 : hash;
}

/* The entry of this name in any state but FREE, or NULL. */
static struct schedule *find_any(const struct schedule_table *table, struct slice org,
                                 struct slice project, struct slice name)
{
    uint32_t hash = hash_of(org, project, name);

    for (uint32_t i = 0; i < table->end; i++) {
        struct schedule *schedule = &table->slots[i];

        if (table->hashes[i] == hash &&
            slice_equal(schedule_text(schedule, SCHEDULE_SECTION_ORG), org) &&
            slice_equal(schedule_text(schedule, SCHEDULE_SECTION_PROJECT), project) &&
            slice_equal(schedule_text(schedule, SCHEDULE_SECTION_NAME), name))
            return schedule;
    }
    return NULL;
}

struct schedule *schedule_table_find(const struct schedule_table *table, struct slice org,
                                     struct slice project, struct slice name)
{
    struct schedule *schedule = find_any(table, org, project, name);

    table_check(table);
    if (schedule == NULL || (schedule->state == SCHEDULE_GONE && !schedule->is_committing))
        return NULL;
    return schedule;
}

struct schedule *schedule_table_at(const struct schedule_table *table, uint32_t index)
{
    assert(index < SCHEDULE_SLOT_COUNT_MAX);
    return &table->slots[index];
}

uint32_t schedule_table_end(const struct schedule_table *table)
{
    return table->end;
}

uint32_t schedule_table_count(const struct schedule_table *table)
{
    return table->count;
}

/* --- entries ------------------------------------------------------------------- */

static bool is_counted(const struct schedule *schedule)
{
    return schedule->state == SCHEDULE_NEW || schedule->state == SCHEDULE_LIVE;
}

static void set_state(struct schedule_table *table, struct schedule *schedule,
                      enum schedule_state state)
{
    table->count -= is_counted(schedule);
    schedule->state = (uint8_t)state;
    table->count += is_counted(schedule);
}

/* A blank entry, or NULL. */
static struct schedule *take_slot(struct schedule_table *table)
{
    struct schedule *schedule;
    uint32_t i = 0;

    while (i < table->end && table->hashes[i] != 0)
        i++;
    if (i == SCHEDULE_SLOT_COUNT_MAX)
        return NULL;
    if (i == table->end)
        table->end++;
    schedule = &table->slots[i];
    memset(schedule, 0, offsetof(struct schedule, record));
    schedule->index = i;
    table->next_ms[i] = SCHEDULE_NEVER_MS;
    return schedule;
}

static void set_location(struct schedule_table *table, const struct schedule *schedule,
                         struct journal_location location, uint32_t size)
{
    table->live_bytes -= table->sizes[schedule->index];
    table->locations[schedule->index] = location;
    table->sizes[schedule->index] = size;
    table->live_bytes += size;
}

static void free_slot(struct schedule_table *table, struct schedule *schedule)
{
    assert(schedule->zone == NULL);
    set_location(table, schedule, JOURNAL_LOCATION_NONE, 0);
    set_state(table, schedule, SCHEDULE_FREE);
    table->hashes[schedule->index] = 0;
    table->next_ms[schedule->index] = SCHEDULE_NEVER_MS;
    while (table->end > 0 && table->hashes[table->end - 1] == 0)
        table->end--;
}

/* Names that stay there until the first record is applied. */
static void name_slot(struct schedule_table *table, struct schedule *schedule, struct slice org,
                      struct slice project, struct slice name)
{
    const struct slice names[] = {org, project, name};
    char *at = schedule->record;

    for (uint32_t i = 0; i < ARRAY_COUNT(names); i++) {
        memcpy(at, names[i].data, names[i].size);
        schedule->image.sections[i] = (struct slice){at, names[i].size};
        at += names[i].size;
    }
    table->hashes[schedule->index] = hash_of(org, project, name);
}

struct schedule *schedule_table_claim(struct schedule_table *table, struct slice org,
                                      struct slice project, struct slice name)
{
    struct schedule *schedule = find_any(table, org, project, name);

    table_check(table);
    if ((schedule == NULL || !is_counted(schedule)) && table->count >= SCHEDULE_COUNT_MAX)
        return NULL;
    if (schedule == NULL) {
        schedule = take_slot(table);
        if (schedule == NULL)
            return NULL;
        name_slot(table, schedule, org, project, name);
        set_state(table, schedule, SCHEDULE_NEW);
    }
    assert(!schedule->is_committing);
    schedule->is_committing = true;
    return schedule;
}

void schedule_table_withdraw(struct schedule_table *table, struct schedule *schedule)
{
    table_check(table);
    assert(schedule->is_committing);
    schedule->is_committing = false;
    if (schedule->state == SCHEDULE_NEW)
        free_slot(table, schedule);
}

uint64_t schedule_table_next_revision(struct schedule_table *table)
{
    return ++table->revision_max;
}

/* --- facts ------------------------------------------------------------------------ */

/* The entry that this image is about; a new one if need be. NULL: no room. */
static struct schedule *entry_of(struct schedule_table *table, const struct schedule_image *image)
{
    const struct slice *sections = image->sections;
    struct schedule *schedule =
        find_any(table, sections[SCHEDULE_SECTION_ORG], sections[SCHEDULE_SECTION_PROJECT],
                 sections[SCHEDULE_SECTION_NAME]);

    if (schedule != NULL)
        return schedule;
    schedule = take_slot(table);
    if (schedule != NULL)
        name_slot(table, schedule, sections[SCHEDULE_SECTION_ORG],
                  sections[SCHEDULE_SECTION_PROJECT], sections[SCHEDULE_SECTION_NAME]);
    return schedule;
}

/* Takes the record's bytes over. */
static void take_image(struct schedule *schedule, struct slice payload)
{
    const struct slice *sections = schedule->image.sections;
    struct cron_error error;
    int r;

    assert(payload.size <= sizeof(schedule->record));
    memmove(schedule->record, payload.data, payload.size);
    schedule->record_size = (uint32_t)payload.size;
    r = schedule_image_decode((struct slice){schedule->record, payload.size}, &schedule->image);
    assert(r == 0);
    if ((schedule->image.header.flags & SCHEDULE_FLAG_DELETED) != 0)
        return;
    r = (int)cron_parse(sections[SCHEDULE_SECTION_CRON], &schedule->cron, &error);
    assert(r == CRON_OK);
}

int schedule_table_apply(struct schedule_table *table, struct slice payload,
                         struct journal_location location, uint32_t size,
                         struct schedule **ret_schedule)
{
    struct schedule_image image;
    struct schedule *schedule;
    struct journal_location before;
    int r = schedule_image_decode(payload, &image);

    table_check(table);
    if (r < 0)
        return r;
    schedule = entry_of(table, &image);
    if (schedule == NULL)
        return -ENOSPC;
    schedule->is_committing = false;
    *ret_schedule = NULL;
    table->revision_max = max_u64(table->revision_max, image.header.revision);
    before = table->locations[schedule->index];
    if (before.bits != 0 && journal_location_log(before) != journal_location_log(location))
        schedule->is_scattered = true;
    if (before.bits != 0 && schedule->image.header.revision > image.header.revision) {
        SOMETIMES("recovery meets an image of a schedule that is out of date");
        return 0;
    }
    take_image(schedule, payload);
    set_location(table, schedule, location, size);
    table->next_ms[schedule->index] = SCHEDULE_NEVER_MS;
    if ((image.header.flags & SCHEDULE_FLAG_DELETED) != 0)
        set_state(table, schedule, SCHEDULE_GONE);
    else
        set_state(table, schedule, SCHEDULE_LIVE);
    *ret_schedule = schedule;
    return 0;
}

void schedule_table_forget(struct schedule_table *table, struct schedule *schedule)
{
    table_check(table);
    assert(schedule->state == SCHEDULE_GONE);
    if (!schedule->is_scattered)
        free_slot(table, schedule);
}

void schedule_table_resume(struct schedule_table *table)
{
    for (uint32_t i = table->end; i-- > 0;)
        if (table->slots[i].state == SCHEDULE_GONE)
            schedule_table_forget(table, &table->slots[i]);
}

uint32_t schedule_table_find_up_to(const struct schedule_table *table, uint32_t index, uint32_t log,
                                   uint64_t seq)
{
    for (uint32_t i = index; i < table->end; i++) {
        struct journal_location location = table->locations[i];

        if (location.bits != 0 && journal_location_log(location) == log &&
            journal_location_seq(location) <= seq)
            return i;
    }
    return SCHEDULE_SLOT_COUNT_MAX;
}

uint64_t schedule_table_live_bytes(const struct schedule_table *table)
{
    return table->live_bytes;
}

/* --- time --------------------------------------------------------------------------- */

void schedule_table_set_next(struct schedule_table *table, const struct schedule *schedule,
                             uint64_t next_ms)
{
    assert(schedule->state == SCHEDULE_LIVE);
    table->next_ms[schedule->index] = next_ms;
}

uint64_t schedule_table_next(const struct schedule_table *table, const struct schedule *schedule)
{
    return table->next_ms[schedule->index];
}

uint64_t schedule_table_earliest(const struct schedule_table *table)
{
    uint64_t earliest = SCHEDULE_NEVER_MS;

    for (uint32_t i = 0; i < table->end; i++)
        earliest = min_u64(earliest, table->next_ms[i]);
    return earliest;
}

struct schedule *schedule_table_due(const struct schedule_table *table, uint32_t index,
                                    uint64_t now_ms)
{
    for (uint32_t i = index; i < table->end; i++)
        if (table->next_ms[i] <= now_ms && !table->slots[i].is_committing)
            return &table->slots[i];
    return NULL;
}

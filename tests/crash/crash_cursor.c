#include "tests/crash/crash_cursor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/*
 * The base holds the effects that are certain; pending those that are not, in the order
 * in which they were handed over. A certain effect goes to the base at once unless an
 * earlier, uncertain one touches the same bytes: then it waits behind it, so that a
 * state always applies effects in their order.
 */
enum { SECTOR_SIZE = 512 };

static const struct write_log_op *op_at(const struct crash_cursor *cursor, uint32_t number)
{
    assert(number < cursor->log->op_count);
    return &cursor->log->ops[number];
}

void crash_cursor_init(struct crash_cursor *cursor, const struct write_log *log, uint32_t flaws)
{
    memset(cursor, 0, sizeof(*cursor));
    cursor->log = log;
    cursor->flaws = flaws;
    crash_disk_copy(&cursor->base, &log->initial);
}

void crash_cursor_deinit(struct crash_cursor *cursor)
{
    crash_disk_deinit(&cursor->base);
}

/* --- bytes ---------------------------------------------------------------- */

static uint64_t end_of(const struct write_log_op *op)
{
    return op->kind == WRITE_LOG_RESIZE ? UINT64_MAX : op->offset + op->size;
}

static bool overlap(const struct write_log_op *a, const struct write_log_op *b)
{
    return a->file == b->file && a->offset < end_of(b) && b->offset < end_of(a);
}

static void apply(struct crash_disk *cd, const struct write_log_op *op)
{
    if (op->kind == WRITE_LOG_RESIZE)
        crash_disk_resize(cd, op->file, op->offset);
    else
        crash_disk_put(cd, op->file, op->data, op->size, op->offset);
}

/* Moves what is certain and waits for nobody into the base. */
static void settle(struct crash_cursor *cursor)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < cursor->pending_count; i++) {
        const struct crash_pending pending = cursor->pending[i];
        bool must_wait = !pending.is_settled;

        for (uint32_t j = 0; j < kept && !must_wait; j++)
            must_wait = overlap(op_at(cursor, cursor->pending[j].op), op_at(cursor, pending.op));
        if (must_wait)
            cursor->pending[kept++] = pending;
        else
            apply(&cursor->base, op_at(cursor, pending.op));
    }
    cursor->pending_count = kept;
}

static void begin_effect(struct crash_cursor *cursor, uint32_t number)
{
    assert(cursor->pending_count < CRASH_PENDING_COUNT_MAX);
    cursor->pending[cursor->pending_count++] = (struct crash_pending){.op = number};
}

static void end_effect(struct crash_cursor *cursor, uint32_t number)
{
    const struct write_log_op *op = op_at(cursor, number);
    bool is_certain = op->durable && op->result == (int64_t)op->size &&
                      (cursor->flaws & CRASH_FLAW_NO_DURABLE_WRITES) == 0;

    for (uint32_t i = 0; i < cursor->pending_count; i++)
        if (cursor->pending[i].op == number)
            cursor->pending[i].is_settled = is_certain;
    settle(cursor);
}

static void sync_file(struct crash_cursor *cursor, const struct write_log_op *sync)
{
    for (uint32_t i = 0; i < cursor->pending_count; i++) {
        const struct write_log_op *op = op_at(cursor, cursor->pending[i].op);

        if (op->file == sync->file && op->completed < sync->submitted)
            cursor->pending[i].is_settled = true;
    }
    settle(cursor);
}

/* --- names ---------------------------------------------------------------- */

static struct crash_directory *directory_of(struct crash_cursor *cursor, const char *path)
{
    struct crash_directory *directory;

    for (uint32_t i = 0; i < cursor->directory_count; i++)
        if (strcmp(cursor->directories[i].path, path) == 0)
            return &cursor->directories[i];
    assert(cursor->directory_count < CRASH_DIRECTORY_COUNT_MAX);
    directory = &cursor->directories[cursor->directory_count++];
    memcpy(directory->path, path, strlen(path) + 1);
    return directory;
}

static struct crash_directory *directory_of_op(struct crash_cursor *cursor,
                                               const struct write_log_op *op)
{
    char parent[CRASH_PATH_SIZE_MAX];

    crash_names_parent(op->path, parent);
    return directory_of(cursor, parent);
}

static void apply_name(struct crash_disk *cd, const struct write_log_op *op)
{
    char parent[CRASH_PATH_SIZE_MAX];
    uint32_t directory;

    crash_names_parent(op->path, parent);
    directory = crash_names_find(&cd->names, parent);
    if (strcmp(parent, "/") != 0 && directory == CRASH_FILE_NONE)
        return; /* the directory itself is not there */
    write_log_op_name(op, &cd->names);
}

static bool is_completed(const struct crash_cursor *cursor, uint32_t number)
{
    return op_at(cursor, number)->completed < cursor->position;
}

static void begin_name(struct crash_cursor *cursor, uint32_t number)
{
    const struct write_log_op *op = op_at(cursor, number);
    struct crash_directory *directory = directory_of_op(cursor, op);

    if (op->kind == WRITE_LOG_CREATE || op->kind == WRITE_LOG_MAKE_DIRECTORY)
        crash_disk_add_file(&cursor->base, op->file, op->kind == WRITE_LOG_MAKE_DIRECTORY);
    assert(directory->count < CRASH_PENDING_NAME_COUNT_MAX);
    directory->ops[directory->count++] = number;
}

/* Completed names stand in the order of their completion, before those in flight. */
static void end_name(struct crash_cursor *cursor, uint32_t number)
{
    struct crash_directory *directory = directory_of_op(cursor, op_at(cursor, number));
    uint32_t from = 0;
    uint32_t to = 0;

    while (directory->ops[from] != number)
        from++;
    assert(from < directory->count);
    while (to < from && is_completed(cursor, directory->ops[to]))
        to++;
    memmove(&directory->ops[to + 1], &directory->ops[to], (from - to) * sizeof(directory->ops[0]));
    directory->ops[to] = number;
}

static void sync_directory(struct crash_cursor *cursor, const struct write_log_op *sync)
{
    struct crash_directory *directory = directory_of(cursor, sync->path);
    uint32_t count = 0;

    if ((cursor->flaws & CRASH_FLAW_NO_DIRECTORY_SYNC) != 0)
        return;
    while (count < directory->count &&
           op_at(cursor, directory->ops[count])->completed < sync->submitted)
        apply_name(&cursor->base, op_at(cursor, directory->ops[count++]));
    directory->count -= count;
    memmove(&directory->ops[0], &directory->ops[count],
            directory->count * sizeof(directory->ops[0]));
}

/* --- moving on ------------------------------------------------------------ */

/* A call that failed changed nothing. The recorded server is not given failing disks. */
static void forget(struct crash_cursor *cursor, const struct write_log_op *op, uint32_t number)
{
    assert(op->kind != WRITE_LOG_WRITE && op->kind != WRITE_LOG_SYNC);
    for (uint32_t i = 0; i < cursor->directory_count; i++) {
        struct crash_directory *directory = &cursor->directories[i];

        for (uint32_t j = 0; j < directory->count; j++) {
            if (directory->ops[j] != number)
                continue;
            directory->count--;
            memmove(&directory->ops[j], &directory->ops[j + 1],
                    (directory->count - j) * sizeof(directory->ops[0]));
            return;
        }
    }
}

/* The flaw: a sync of a file has no effect when a rename of the file comes later. */
static bool is_sync_late(const struct crash_cursor *cursor, const struct write_log_op *sync)
{
    if ((cursor->flaws & CRASH_FLAW_RENAME_BEFORE_SYNC) == 0)
        return false;
    for (uint32_t i = 0; i < cursor->log->op_count; i++) {
        const struct write_log_op *op = op_at(cursor, i);

        if (op->kind == WRITE_LOG_RENAME && op->file == sync->file &&
            op->submitted > sync->submitted)
            return true;
    }
    return false;
}

static void pass(struct crash_cursor *cursor, const struct write_log_entry *entry)
{
    const struct write_log_op *op = op_at(cursor, entry->op);

    if (entry->is_completion && op->result < 0) {
        forget(cursor, op, entry->op);
        return;
    }
    switch (op->kind) {
    case WRITE_LOG_WRITE:
    case WRITE_LOG_RESIZE:
        if (entry->is_completion)
            end_effect(cursor, entry->op);
        else
            begin_effect(cursor, entry->op);
        break;
    case WRITE_LOG_CREATE:
    case WRITE_LOG_MAKE_DIRECTORY:
    case WRITE_LOG_RENAME:
    case WRITE_LOG_UNLINK:
        if (entry->is_completion)
            end_name(cursor, entry->op);
        else
            begin_name(cursor, entry->op);
        break;
    case WRITE_LOG_SYNC:
        if (entry->is_completion && !is_sync_late(cursor, op))
            sync_file(cursor, op);
        break;
    case WRITE_LOG_SYNC_DIRECTORY:
        if (entry->is_completion)
            sync_directory(cursor, op);
        break;
    case WRITE_LOG_MARK:
        break;
    }
}

static bool is_at_mark(const struct crash_cursor *cursor)
{
    const struct write_log_entry *entry = &cursor->log->entries[cursor->position];

    return op_at(cursor, entry->op)->kind == WRITE_LOG_MARK;
}

bool crash_cursor_next(struct crash_cursor *cursor)
{
    if (cursor->position >= cursor->log->entry_count)
        return false;
    pass(cursor, &cursor->log->entries[cursor->position++]);
    while (cursor->position < cursor->log->entry_count && is_at_mark(cursor))
        cursor->position++;
    return true;
}

/* --- choosing ------------------------------------------------------------- */

/* Two names in flight at the end of the list may have come in either order. */
static bool can_swap(const struct crash_cursor *cursor, const struct crash_directory *directory)
{
    return directory->count >= 2 && !is_completed(cursor, directory->ops[directory->count - 2]);
}

uint64_t crash_cursor_state_count(const struct crash_cursor *cursor)
{
    uint64_t count = 1;

    for (uint32_t i = 0; i < cursor->pending_count && count < UINT32_MAX; i++)
        count *= cursor->pending[i].is_settled ? 1 : 2;
    for (uint32_t i = 0; i < cursor->directory_count && count < UINT32_MAX; i++)
        count *= cursor->directories[i].count + 1;
    return count < UINT32_MAX ? count : UINT64_MAX;
}

void crash_choice_number(const struct crash_cursor *cursor, uint64_t n,
                         struct crash_choice *ret_choice)
{
    memset(ret_choice, 0, sizeof(*ret_choice));
    for (uint32_t i = 0; i < cursor->pending_count; i++) {
        ret_choice->fates[i] = CRASH_PRESENT;
        if (cursor->pending[i].is_settled)
            continue;
        ret_choice->fates[i] = n % 2 == 0 ? CRASH_ABSENT : CRASH_PRESENT;
        n /= 2;
    }
    for (uint32_t i = 0; i < cursor->directory_count; i++) {
        ret_choice->names[i] = (uint8_t)(n % (cursor->directories[i].count + 1));
        n /= cursor->directories[i].count + 1;
    }
}

void crash_choice_all(const struct crash_cursor *cursor, struct crash_choice *ret_choice)
{
    memset(ret_choice, 0, sizeof(*ret_choice));
    for (uint32_t i = 0; i < cursor->pending_count; i++)
        ret_choice->fates[i] = CRASH_PRESENT;
    for (uint32_t i = 0; i < cursor->directory_count; i++)
        ret_choice->names[i] = (uint8_t)cursor->directories[i].count;
}

void crash_choice_alone(const struct crash_cursor *cursor, uint32_t n,
                        struct crash_choice *ret_choice)
{
    crash_choice_number(cursor, 0, ret_choice);
    /* A write alone is only visible in a file that has its name. */
    for (uint32_t i = 0; i < cursor->directory_count; i++)
        ret_choice->names[i] = (uint8_t)cursor->directories[i].count;
    assert(n < cursor->pending_count);
    ret_choice->fates[n] = CRASH_PRESENT;
}

void crash_choice_random(const struct crash_cursor *cursor, struct rng *rng,
                         struct crash_choice *ret_choice)
{
    crash_choice_number(cursor, 0, ret_choice);
    for (uint32_t i = 0; i < cursor->pending_count; i++) {
        const struct write_log_op *op = op_at(cursor, cursor->pending[i].op);

        if (cursor->pending[i].is_settled)
            continue;
        if (op->kind == WRITE_LOG_WRITE && rng_chance(rng, 1, 2))
            ret_choice->fates[i] =
                (uint8_t)(CRASH_SIZE_ONLY + rng_below(rng, CRASH_FATE_COUNT - CRASH_SIZE_ONLY));
        else
            ret_choice->fates[i] = (uint8_t)rng_below(rng, CRASH_SIZE_ONLY);
    }
    for (uint32_t i = 0; i < cursor->directory_count; i++) {
        uint32_t count = cursor->directories[i].count;

        ret_choice->names[i] = (uint8_t)(rng_chance(rng, 1, 2) ? count : rng_below(rng, count + 1));
        ret_choice->swap_last[i] =
            can_swap(cursor, &cursor->directories[i]) && rng_chance(rng, 1, 2);
    }
}

bool crash_cursor_has_torn(const struct crash_cursor *cursor)
{
    for (uint32_t i = 0; i < cursor->pending_count; i++)
        if (!cursor->pending[i].is_settled &&
            op_at(cursor, cursor->pending[i].op)->kind == WRITE_LOG_WRITE)
            return true;
    return false;
}

/* --- building ------------------------------------------------------------- */

/* The unit that a torn write keeps or loses as a whole. */
static uint64_t unit_of(enum crash_fate fate)
{
    return fate == CRASH_FIRST_BLOCKS || fate == CRASH_SOME_BLOCKS ? CRASH_BLOCK_SIZE : SECTOR_SIZE;
}

static void apply_torn(struct crash_disk *cd, const struct write_log_op *op, enum crash_fate fate,
                       struct rng *rng)
{
    uint64_t unit = unit_of(fate);
    uint64_t end = op->offset + op->size;
    uint64_t first = op->offset / unit;
    uint64_t count = (end + unit - 1) / unit - first;
    uint64_t cut = rng_below(rng, count + 1);

    for (uint64_t i = 0; i < count; i++) {
        uint64_t from = max_u64(op->offset, (first + i) * unit);
        uint64_t to = min_u64(end, (first + i + 1) * unit);
        bool is_first = fate == CRASH_FIRST_BLOCKS || fate == CRASH_FIRST_SECTORS;

        if (is_first ? i < cut : rng_chance(rng, 1, 2))
            crash_disk_put(cd, op->file, op->data + (from - op->offset), to - from, from);
    }
}

static void build_data(struct crash_disk *cd, const struct write_log_op *op, enum crash_fate fate,
                       struct rng *rng)
{
    switch (fate) {
    case CRASH_ABSENT:
        return;
    case CRASH_PRESENT:
        apply(cd, op);
        return;
    case CRASH_SIZE_ONLY:
        crash_disk_put(cd, op->file, NULL, op->size, op->offset);
        return;
    case CRASH_FIRST_BLOCKS:
    case CRASH_SOME_BLOCKS:
    case CRASH_FIRST_SECTORS:
    case CRASH_SOME_SECTORS:
        apply_torn(cd, op, fate, rng);
        return;
    case CRASH_FATE_COUNT:
        assert(false);
    }
}

static void build_names(const struct crash_cursor *cursor, const struct crash_choice *choice,
                        struct crash_disk *cd)
{
    for (uint32_t i = 0; i < cursor->directory_count; i++) {
        const struct crash_directory *directory = &cursor->directories[i];

        assert(choice->names[i] <= directory->count);
        for (uint32_t j = 0; j < choice->names[i]; j++) {
            uint32_t k = j;

            if (choice->swap_last[i] && j + 2 >= directory->count)
                k = j + 2 == directory->count ? j + 1 : j - 1;
            apply_name(cd, op_at(cursor, directory->ops[k]));
        }
    }
}

void crash_cursor_build(const struct crash_cursor *cursor, const struct crash_choice *choice,
                        struct rng *rng, struct crash_disk *ret_state)
{
    crash_disk_copy(ret_state, &cursor->base);
    for (uint32_t i = 0; i < cursor->pending_count; i++)
        build_data(ret_state, op_at(cursor, cursor->pending[i].op),
                   (enum crash_fate)choice->fates[i], rng);
    build_names(cursor, choice, ret_state);
}

/* Adds a line on an operation; what does not fit is left out. */
static void add_line(const struct crash_cursor *cursor, uint32_t number, const char *fate,
                     char *text, size_t text_size)
{
    size_t used = strlen(text);
    char line[512];

    write_log_describe(cursor->log, op_at(cursor, number)->submitted, line, sizeof(line));
    snprintf(text + used, text_size - used, "#   %-13s %s\n", fate, line);
}

void crash_choice_describe(const struct crash_cursor *cursor, const struct crash_choice *choice,
                           char *text, size_t text_size)
{
    static const char *const fates[CRASH_FATE_COUNT] = {
        "absent",      "present",       "size only",    "first blocks",
        "some blocks", "first sectors", "some sectors",
    };

    text[0] = '\0';
    for (uint32_t i = 0; i < cursor->pending_count; i++)
        add_line(cursor, cursor->pending[i].op,
                 cursor->pending[i].is_settled ? "certain" : fates[choice->fates[i]], text,
                 text_size);
    for (uint32_t i = 0; i < cursor->directory_count; i++) {
        const struct crash_directory *directory = &cursor->directories[i];

        for (uint32_t j = 0; j < directory->count; j++)
            add_line(cursor, directory->ops[j],
                     j >= choice->names[i]      ? "absent"
                     : choice->swap_last[i] > 0 ? "present, swapped"
                                                : "present",
                     text, text_size);
    }
}

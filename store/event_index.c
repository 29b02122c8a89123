/*
 * One ring of 8-byte entries for the whole log, oldest segment first, and a ring of
 * runs that says which stretch belongs to which segment. Segments leave at the
 * front as they are retired, so nothing ever moves.
 *
 *     runs     seq 5: start 0, 3 entries, sorted | seq 6: start 3 ... | seq 9 (open)
 *     entries  [h,o][h,o][h,o] [h,o][h,o] ...                           ^tail
 *
 * Sorting is by least significant digit, four passes of 8 bits over the hash, to and
 * fro between the ring and a scratch of the same size as the segment, so that the
 * result ends where it began and equal hashes keep their order. It is cut into small
 * steps, SORT_STEP entries with each addition: a segment is sorted long before the next
 * one is full, and no single call is long. While a segment is being sorted the
 * search must see all of it, in either place: passes copy, so the source of the present
 * pass is whole. A finished pass makes its target the source.
 */
#include "store/event_index.h"

#include <errno.h>

#include "runtime/memory.h"

struct entry {
    uint32_t hash;
    uint32_t offset8; /* offset / 8 */
};

static_assert(sizeof(struct entry) == 8, "the bound that is promised");

enum {
    SORT_STEP = 16,
    RADIX = 256,
    PASS_COUNT = 4,
    /* The smallest record takes a header, so a segment holds at most this many. */
    RUN_ENTRIES_MAX = SEGMENT_SIZE_MAX / SEGMENT_RECORD_HEADER_SIZE,
};

/* The entries of one segment. */
struct run {
    uint64_t seq;
    uint64_t start; /* running number of the first entry */
    uint32_t count;
    bool sorted;
};

/* A sort on its way. */
struct sort {
    bool active;
    bool scattering; /* else counting */
    uint32_t run;    /* index in the ring of runs */
    uint32_t pass;
    uint32_t position;
    uint32_t starts[RADIX];
};

struct event_index {
    uint32_t log;
    struct entry *entries;
    struct entry *scratch;
    struct run *runs; /* ring of EVENT_INDEX_SEGMENTS_MAX */
    uint64_t entry_mask;
    uint64_t start; /* running number of the oldest entry */
    uint64_t end;
    uint32_t run_head;
    uint32_t run_count;
    struct sort sort;
};

static void index_check(const struct event_index *index)
{
    assert(index->end - index->start <= index->entry_mask + 1);
    assert(index->run_count <= EVENT_INDEX_SEGMENTS_MAX);
    assert(index->run_head < EVENT_INDEX_SEGMENTS_MAX);
}

static size_t entries_size(const struct event_index *index)
{
    return (size_t)(index->entry_mask + 1) * sizeof(struct entry);
}

static size_t scratch_size(const struct event_index *index)
{
    return min_u64(index->entry_mask + 1, RUN_ENTRIES_MAX) * sizeof(struct entry);
}

int event_index_new(uint32_t log, uint32_t entry_count_max, struct event_index **ret_index)
{
    struct event_index *index;
    char *entries = NULL;
    char *scratch = NULL;
    char *runs = NULL;
    int r;

    if (entry_count_max == 0)
        entry_count_max = EVENT_INDEX_ENTRIES_DEFAULT;
    if (!is_power_of_two(entry_count_max) || entry_count_max > EVENT_INDEX_ENTRIES_MAX ||
        log > SEGMENT_LOG_MAX)
        return -EINVAL;
    index = calloc(1, sizeof(*index));
    if (index == NULL)
        return -ENOMEM;
    index->log = log;
    index->entry_mask = entry_count_max - 1;
    r = memory_map(entries_size(index), &entries);
    if (r == 0)
        r = memory_map(scratch_size(index), &scratch);
    if (r == 0)
        r = memory_map(EVENT_INDEX_SEGMENTS_MAX * sizeof(struct run), &runs);
    index->entries = (struct entry *)(void *)entries;
    index->scratch = (struct entry *)(void *)scratch;
    index->runs = (struct run *)(void *)runs;
    if (r < 0) {
        event_index_free(&index);
        return r;
    }
    *ret_index = index;
    return 0;
}

void event_index_free(struct event_index **index)
{
    struct event_index *self = *index;
    char *memory;

    if (self == NULL)
        return;
    memory = (char *)self->entries;
    memory_unmap(&memory, entries_size(self));
    memory = (char *)self->scratch;
    memory_unmap(&memory, scratch_size(self));
    memory = (char *)self->runs;
    memory_unmap(&memory, EVENT_INDEX_SEGMENTS_MAX * sizeof(struct run));
    free(self);
    *index = NULL;
}

/* The n-th run, the oldest first. */
static struct run *run_at(const struct event_index *index, uint32_t n)
{
    return &index->runs[(index->run_head + n) % EVENT_INDEX_SEGMENTS_MAX];
}

static struct entry *ring_at(const struct event_index *index, uint64_t number)
{
    return &index->entries[number & index->entry_mask];
}

/* Where the i-th entry of the run is read from, given how far its sorting has come. */
static const struct entry *source_at(const struct event_index *index, const struct run *run,
                                     uint32_t i)
{
    const struct sort *sort = &index->sort;

    if (sort->active && run == &index->runs[sort->run] && sort->pass % 2 == 1)
        return &index->scratch[i];
    return ring_at(index, run->start + i);
}

static void begin_sort(struct event_index *index, uint32_t run)
{
    index->sort = (struct sort){.active = true, .run = run};
}

/* Looks for a sealed run that is not sorted, oldest first. */
static void find_sort(struct event_index *index)
{
    for (uint32_t n = 0; n + 1 < index->run_count; n++) {
        struct run *run = run_at(index, n);

        if (!run->sorted) {
            begin_sort(index, (uint32_t)(run - index->runs));
            return;
        }
    }
}

static void end_counting(struct sort *sort)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < RADIX; i++) {
        uint32_t count = sort->starts[i];

        sort->starts[i] = sum;
        sum += count;
    }
    sort->scattering = true;
    sort->position = 0;
}

/* One step of at most count entries: first count a pass's digits, then scatter. */
static void sort_step(struct event_index *index, uint32_t count)
{
    struct sort *sort = &index->sort;
    struct run *run = &index->runs[sort->run];
    uint32_t end = (uint32_t)min_u64(run->count, (uint64_t)sort->position + count);
    uint32_t shift = sort->pass * 8;

    for (; sort->position < end; sort->position++) {
        const struct entry *entry = source_at(index, run, sort->position);
        uint32_t digit = entry->hash >> shift & (RADIX - 1);

        if (!sort->scattering)
            sort->starts[digit]++;
        else if (sort->pass % 2 == 0)
            index->scratch[sort->starts[digit]++] = *entry;
        else
            *ring_at(index, run->start + sort->starts[digit]++) = *entry;
    }
    if (sort->position < run->count)
        return;
    if (!sort->scattering) {
        end_counting(sort);
        return;
    }
    sort->pass++;
    sort->scattering = false;
    sort->position = 0;
    memset(sort->starts, 0, sizeof(sort->starts));
    if (sort->pass == PASS_COUNT) {
        run->sorted = true;
        sort->active = false;
    }
}

bool event_index_work(struct event_index *index, uint32_t entry_count_max)
{
    uint32_t done = 0;

    index_check(index);
    while (done < entry_count_max) {
        if (!index->sort.active)
            find_sort(index);
        if (!index->sort.active)
            return false;
        sort_step(index, SORT_STEP);
        done += SORT_STEP;
    }
    return true;
}

/* Opens a run for a later segment. False when there are as many as there can be. */
static bool open_run(struct event_index *index, uint64_t seq)
{
    if (index->run_count == EVENT_INDEX_SEGMENTS_MAX)
        return false;
    *run_at(index, index->run_count) = (struct run){.seq = seq, .start = index->end};
    index->run_count++;
    if (!index->sort.active)
        find_sort(index);
    return true;
}

enum event_index_result event_index_add(struct event_index *index, uint32_t hash,
                                        struct journal_location location)
{
    uint64_t seq = journal_location_seq(location);
    struct run *run;

    index_check(index);
    assert(journal_location_log(location) == index->log);
    if (index->end - index->start == index->entry_mask + 1)
        return EVENT_INDEX_FULL;
    if (index->run_count == 0 || run_at(index, index->run_count - 1)->seq != seq) {
        assert(index->run_count == 0 || run_at(index, index->run_count - 1)->seq < seq);
        if (!open_run(index, seq))
            return EVENT_INDEX_FULL;
    }
    run = run_at(index, index->run_count - 1);
    assert(run->count < RUN_ENTRIES_MAX);
    *ring_at(index, index->end) =
        (struct entry){.hash = hash, .offset8 = (uint32_t)(journal_location_offset(location) / 8)};
    index->end++;
    run->count++;
    if (index->sort.active)
        sort_step(index, SORT_STEP);
    return EVENT_INDEX_ADDED;
}

void event_index_drop_segments(struct event_index *index, uint64_t oldest_seq)
{
    index_check(index);
    while (index->run_count > 0 && run_at(index, 0)->seq < oldest_seq) {
        if (index->sort.active && index->sort.run == index->run_head)
            index->sort.active = false;
        index->start += run_at(index, 0)->count;
        index->run_head = (index->run_head + 1) % EVENT_INDEX_SEGMENTS_MAX;
        index->run_count--;
    }
}

void event_index_find(const struct event_index *index, uint32_t hash,
                      struct event_index_search *ret_search)
{
    index_check(index);
    *ret_search = (struct event_index_search){
        .index = index, .hash = hash, .segment_count_left = index->run_count};
}

/* One past the last entry of a sorted run whose hash is not greater. */
static uint32_t bisect(const struct event_index *index, const struct run *run, uint32_t hash)
{
    uint32_t low = 0;
    uint32_t high = run->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (source_at(index, run, middle)->hash <= hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool event_index_next(struct event_index_search *search, struct journal_location *ret_location)
{
    const struct event_index *index = search->index;

    while (search->segment_count_left > 0) {
        const struct run *run = run_at(index, search->segment_count_left - 1);

        if (!search->entered) {
            search->entry_count_left = run->sorted ? bisect(index, run, search->hash) : run->count;
            search->entered = true;
        }
        while (search->entry_count_left > 0) {
            const struct entry *entry = source_at(index, run, --search->entry_count_left);

            if (entry->hash == search->hash) {
                *ret_location =
                    journal_location_make(index->log, run->seq, (uint64_t)entry->offset8 * 8);
                return true;
            }
            if (run->sorted)
                break;
        }
        search->segment_count_left--;
        search->entered = false;
    }
    return false;
}

uint64_t event_index_count(const struct event_index *index)
{
    return index->end - index->start;
}

uint64_t event_index_capacity(const struct event_index *index)
{
    return (uint64_t)index->entry_mask + 1;
}

uint64_t event_index_oldest_seq(const struct event_index *index)
{
    return index->run_count > 0 ? run_at(index, 0)->seq : 0;
}

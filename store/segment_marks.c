/*
 * A log keeps fewer segments than the ring has places, so overrunning it takes a log
 * that its journal refuses to open; until then every segment counts as marked.
 */
#include "store/segment_marks.h"

#include "runtime/memory.h"
#include "store/journal.h"

static_assert((int)SEGMENT_MARKS_MAX == (int)JOURNAL_SEGMENT_COUNT_MAX, "one bound");

static const size_t RING_SIZE = SEGMENT_MARKS_MAX * sizeof(uint64_t);

static uint64_t mark_at(const struct segment_marks *marks, uint32_t n)
{
    assert(n < marks->count);
    return marks->seqs[(marks->first + n) % SEGMENT_MARKS_MAX];
}

int segment_marks_init(struct segment_marks *marks)
{
    char *memory;
    int r = memory_map(RING_SIZE, &memory);

    if (r < 0)
        return r;
    *marks = (struct segment_marks){.seqs = (uint64_t *)(void *)memory};
    return 0;
}

void segment_marks_deinit(struct segment_marks *marks)
{
    char *memory = (char *)marks->seqs;

    memory_unmap(&memory, RING_SIZE);
    *marks = (struct segment_marks){.seqs = NULL};
}

void segment_marks_add(struct segment_marks *marks, uint64_t seq)
{
    uint64_t newest = marks->count > 0 ? mark_at(marks, marks->count - 1) : 0;

    assert(seq >= newest);
    if (seq == newest)
        return;
    if (marks->count == SEGMENT_MARKS_MAX) {
        marks->is_overrun = true;
        return;
    }
    marks->count++;
    marks->seqs[(marks->first + marks->count - 1) % SEGMENT_MARKS_MAX] = seq;
}

void segment_marks_drop(struct segment_marks *marks, uint64_t oldest_seq)
{
    while (marks->count > 0 && mark_at(marks, 0) < oldest_seq) {
        marks->first = (marks->first + 1) % SEGMENT_MARKS_MAX;
        marks->count--;
    }
}

bool segment_marks_has_oldest(const struct segment_marks *marks, uint64_t seq)
{
    assert(marks->is_overrun || marks->count == 0 || mark_at(marks, 0) >= seq);
    return marks->is_overrun || (marks->count > 0 && mark_at(marks, 0) == seq);
}

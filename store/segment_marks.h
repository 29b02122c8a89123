/*
 * Segment marks: which segments of one log hold records of some kind.
 *
 * The owner of a log marks a segment when such a record goes into it, in recovery too,
 * and forgets marks when segments are dropped. Both only ever move on to higher
 * numbers, so the marks are a queue; marking the newest one again is free.
 */
#pragma once

#include "runtime/base.h"

/* Private to segment_marks.c; embedded by value. */
struct segment_marks {
    uint64_t *seqs; /* ring of SEGMENT_MARKS_MAX */
    uint32_t first;
    uint32_t count;
    bool is_overrun; /* more than fit: all count as marked */
};

/* As many as a log can have segments. */
enum { SEGMENT_MARKS_MAX = 65536 };

/* Reserves the memory, touched when used. 0 or -ENOMEM. Start-up only. */
MUST_USE int segment_marks_init(struct segment_marks *marks);

/* Frees it. A zeroed one is accepted. */
void segment_marks_deinit(struct segment_marks *marks);

/* Marks the segment; seq must not be below one that is marked. */
void segment_marks_add(struct segment_marks *marks, uint64_t seq);

/* Forgets the marks of all segments below oldest_seq. */
void segment_marks_drop(struct segment_marks *marks, uint64_t oldest_seq);

/* True when the oldest segment, seq, is marked: no mark below it may be left. */
bool segment_marks_has_oldest(const struct segment_marks *marks, uint64_t seq);

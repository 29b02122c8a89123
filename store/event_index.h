/*
 * Event index: finds retained records of one log by a 32-bit hash of their id.
 *
 * 8 bytes per record: hash and offset, grouped by segment. Locations must be added
 * in ascending order, as the journal gives them out; the first one of a later
 * segment seals the one before, whose entries are then sorted a little with each
 * further addition. Sorted segments are searched by bisection, the rest linearly.
 * A hash is a candidate only: the caller reads the record and compares the id.
 * Memory is reserved at start, touched when used. One thread.
 */
#pragma once

#include "store/segment.h"

enum {
    EVENT_INDEX_ENTRIES_DEFAULT = 32 << 20,
    EVENT_INDEX_ENTRIES_MAX = 1 << 30,
    EVENT_INDEX_SEGMENTS_MAX = 65536, /* a power of two; equals JOURNAL_SEGMENT_COUNT_MAX */
};

enum event_index_result {
    EVENT_INDEX_ADDED,
    EVENT_INDEX_FULL, /* not added: drop the oldest segment, JOURNAL_DROP_ENTRIES, and add again */
};

struct event_index;

/* Position of a search. Private to event_index.c. Invalid after any change of the index. */
struct event_index_search {
    const struct event_index *index;
    uint32_t hash;
    uint32_t segment_count_left;
    uint32_t entry_count_left; /* in the present segment, still to look at */
    bool entered;              /* the present segment has been bisected */
};

/* Reserves memory for entry_count_max (a power of two; 0: default) of log. 0 or -errno. */
MUST_USE int event_index_new(uint32_t log, uint32_t entry_count_max,
                             struct event_index **ret_index);

/* Frees it and nulls the pointer. NULL is accepted. */
void event_index_free(struct event_index **index);

/* Adds one record. location must be in this log and after every one added before. */
MUST_USE enum event_index_result event_index_add(struct event_index *index, uint32_t hash,
                                                 struct journal_location location);

/* Forgets all entries in segments before oldest_seq. */
void event_index_drop_segments(struct event_index *index, uint64_t oldest_seq);

/* Sorts at most entry_count_max more entries; true while there is more to sort. */
bool event_index_work(struct event_index *index, uint32_t entry_count_max);

/* Starts a search for hash, newest first. */
void event_index_find(const struct event_index *index, uint32_t hash,
                      struct event_index_search *ret_search);

/* The next candidate: true with *ret_location, false when there is no more. */
MUST_USE bool event_index_next(struct event_index_search *search,
                               struct journal_location *ret_location);

/* Entries in use. */
uint64_t event_index_count(const struct event_index *index);

/* Entries that there is room for. */
uint64_t event_index_capacity(const struct event_index *index);

/* The segment of the oldest entry, 0 when empty. */
uint64_t event_index_oldest_seq(const struct event_index *index);

/*
 * Slot index: finds a slot of a table by a 64-bit key that is already a hash.
 *
 * Open addressing with linear probing, at most half full; what is removed leaves no trace,
 * so chains stay short however long it lives. Memory comes at start.
 */
#pragma once

#include "runtime/base.h"

#define SLOT_NONE UINT32_MAX

/* One entry; key 0: empty. Private to slot_index.c. */
struct slot_index_entry {
    uint64_t key;
    uint32_t slot;
};

/* Private to slot_index.c; embedded by value. */
struct slot_index {
    struct slot_index_entry *entries;
    uint32_t mask;
    uint32_t count;
    uint32_t count_max;
};

/* Makes room for count_max keys. 0 or -ENOMEM. Start-up only. */
MUST_USE int slot_index_init(struct slot_index *index, uint32_t count_max);

/* Makes room for count_max keys instead, no fewer than before. 0 or -ENOMEM. Start-up only. */
MUST_USE int slot_index_grow(struct slot_index *index, uint32_t count_max);

/* Frees what init made. */
void slot_index_deinit(struct slot_index *index);

/* The slot of this key, or SLOT_NONE. */
MUST_USE uint32_t slot_index_find(const struct slot_index *index, uint64_t key);

/* Adds a key that is not there; there must be room. */
void slot_index_add(struct slot_index *index, uint64_t key, uint32_t slot);

/* Removes a key that is there. */
void slot_index_remove(struct slot_index *index, uint64_t key);

/* Bytes that it takes for so many keys. */
uint64_t slot_index_bytes(uint32_t count_max);

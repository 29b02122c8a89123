#include "store/slot_index.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Removal moves later members of the chain back into the gap ("backward shift"), as in Knuth's
 * algorithm R: an entry may move when its home is not between the gap and itself. Key 0 is
 * kept under another number, since an entry with key 0 is an empty one.
 */

static uint64_t key_of(uint64_t key)
{
    return key == 0 ? UINT64_MAX : key;
}

static uint32_t size_for(uint32_t count_max)
{
    uint32_t size = 16;

    while (size < count_max * (uint64_t)2)
        size *= 2;
    return size;
}

uint64_t slot_index_bytes(uint32_t count_max)
{
    return size_for(count_max) * sizeof(struct slot_index_entry);
}

int slot_index_init(struct slot_index *index, uint32_t count_max)
{
    uint32_t size = size_for(count_max);

    assert(count_max > 0);
    assert(count_max < UINT32_MAX / 4);
    *index = (struct slot_index){.mask = size - 1, .count_max = count_max};
    index->entries = calloc(size, sizeof(*index->entries));
    return index->entries == NULL ? -ENOMEM : 0;
}

void slot_index_deinit(struct slot_index *index)
{
    free(index->entries);
    index->entries = NULL;
}

static uint32_t find_entry(const struct slot_index *index, uint64_t key)
{
    uint32_t at = (uint32_t)key & index->mask;

    while (index->entries[at].key != key && index->entries[at].key != 0)
        at = (at + 1) & index->mask;
    return at;
}

uint32_t slot_index_find(const struct slot_index *index, uint64_t key)
{
    const struct slot_index_entry *entry = &index->entries[find_entry(index, key_of(key))];

    return entry->key == 0 ? SLOT_NONE : entry->slot;
}

void slot_index_add(struct slot_index *index, uint64_t key, uint32_t slot)
{
    uint32_t at = find_entry(index, key_of(key));

    assert(index->count < index->count_max);
    assert(index->entries[at].key == 0);
    index->entries[at] = (struct slot_index_entry){key_of(key), slot};
    index->count++;
}

int slot_index_grow(struct slot_index *index, uint32_t count_max)
{
    struct slot_index grown;
    int r;

    assert(count_max >= index->count_max);
    r = slot_index_init(&grown, count_max);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i <= index->mask; i++)
        if (index->entries[i].key != 0)
            slot_index_add(&grown, index->entries[i].key, index->entries[i].slot);
    slot_index_deinit(index);
    *index = grown;
    return 0;
}

void slot_index_remove(struct slot_index *index, uint64_t key)
{
    uint32_t gap = find_entry(index, key_of(key)), at = gap;

    assert(index->entries[gap].key != 0);
    for (;;) {
        uint32_t home;

        at = (at + 1) & index->mask;
        if (index->entries[at].key == 0)
            break;
        home = (uint32_t)index->entries[at].key & index->mask;
        if (((at - home) & index->mask) < ((at - gap) & index->mask))
            continue;
        index->entries[gap] = index->entries[at];
        gap = at;
    }
    index->entries[gap] = (struct slot_index_entry){0};
    index->count--;
}

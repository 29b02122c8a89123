/*
 * Two arrays. entries is a ring in order of arrival: head is the oldest, and what
 * leaves early in the middle becomes a hole that is passed over when the head gets
 * there. slots is an open-addressing table of entry numbers (index + 1, 0: empty),
 * twice as many as entries, probed linearly; a removal shifts later members of the
 * run back, so there are no tombstones and a lookup ends at the first empty slot.
 *
 *     slots    .  3  .  .  1  2  .  .  .          (entry number)
 *     entries  [ h ][ e ][ e ][   ][   ]...       h: hole
 *                ^head          ^head + used
 *
 * The low half of the key is the home slot: the caller's hash is keyed, so a sender
 * cannot choose where it lands.
 *
 * received_ms keeps 32 bits of the time, enough to tell ages up to 49 days; the
 * largest window is 30. An age that seems to be more than that comes from a clock
 * that was set back, and counts as 0.
 */
#include "store/dedup.h"

#include <errno.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"

/* 32 bytes. location 0: reserved. A hole has key 0 0 and the hole flag in location. */
struct entry {
    struct dedup_key key;
    struct journal_location location;
    uint32_t body_hash;
    uint32_t received_ms;
};

static_assert(sizeof(struct entry) == 32, "the bound that is promised");

struct dedup {
    struct entry *entries; /* ring of entry_count_max */
    uint32_t *slots;       /* 2 * entry_count_max */
    uint32_t entry_count_max;
    uint32_t slot_mask;
    uint32_t head;
    uint32_t used;       /* entries between head and tail, holes included */
    uint32_t live_count; /* without holes */
    uint64_t window_ms;
    bool strict;
    uint64_t evicted_early_count;
    uint64_t expired_count;
    uint64_t early_unix_ms;                   /* when the latest entry had to go early; 0: never */
    uint64_t early_age_ms;                    /* and how old it was */
    uint64_t oldest_seq[SEGMENT_LOG_MAX + 1]; /* by log: segments before it are gone */
};

static const uint64_t HOLE = UINT64_MAX;

static void dedup_check(const struct dedup *dedup)
{
    assert(dedup->live_count <= dedup->used);
    assert(dedup->used <= dedup->entry_count_max);
    assert(dedup->head < dedup->entry_count_max);
}

int dedup_new(const struct dedup_config *config, struct dedup **ret_dedup)
{
    uint32_t count_max =
        config->entry_count_max != 0 ? config->entry_count_max : DEDUP_ENTRY_COUNT_DEFAULT;
    struct dedup *dedup;
    char *entries = NULL;
    char *slots = NULL;
    int r;

    if (!is_power_of_two(count_max) || count_max > DEDUP_ENTRY_COUNT_MAX ||
        config->window_ms > DEDUP_WINDOW_MS_MAX)
        return -EINVAL;
    dedup = calloc(1, sizeof(*dedup));
    if (dedup == NULL)
        return -ENOMEM;
    r = memory_map((size_t)count_max * sizeof(struct entry), &entries);
    if (r == 0)
        r = memory_map((size_t)count_max * 2 * sizeof(uint32_t), &slots);
    if (r < 0) {
        memory_unmap(&entries, (size_t)count_max * sizeof(struct entry));
        free(dedup);
        return r;
    }
    dedup->entries = (struct entry *)(void *)entries;
    dedup->slots = (uint32_t *)(void *)slots;
    dedup->entry_count_max = count_max;
    dedup->slot_mask = count_max * 2 - 1;
    dedup->window_ms = config->window_ms != 0 ? config->window_ms : DEDUP_WINDOW_MS_DEFAULT;
    dedup->strict = config->strict;
    *ret_dedup = dedup;
    return 0;
}

void dedup_free(struct dedup **dedup)
{
    struct dedup *self = *dedup;
    char *entries;
    char *slots;

    if (self == NULL)
        return;
    dedup_check(self);
    entries = (char *)self->entries;
    slots = (char *)self->slots;
    memory_unmap(&entries, (size_t)self->entry_count_max * sizeof(struct entry));
    memory_unmap(&slots, (size_t)self->entry_count_max * 2 * sizeof(uint32_t));
    free(self);
    *dedup = NULL;
}

static uint64_t age_ms(const struct entry *entry, uint64_t now_unix_ms)
{
    uint32_t age = (uint32_t)now_unix_ms - entry->received_ms;

    return age > DEDUP_WINDOW_MS_MAX + 86400000 ? 0 : age;
}

static bool is_hole(const struct entry *entry)
{
    return entry->location.bits == HOLE;
}

static bool is_reserved(const struct entry *entry)
{
    return entry->location.bits == 0;
}

/* True when the entry no longer counts: its window is over or its record is gone. */
static bool is_over(const struct dedup *dedup, const struct entry *entry, uint64_t now_unix_ms)
{
    struct journal_location location = entry->location;

    if (is_reserved(entry))
        return false;
    if (MUTANT("dedup_window_too_short") && age_ms(entry, now_unix_ms) >= dedup->window_ms / 2)
        return true;
    return age_ms(entry, now_unix_ms) >= dedup->window_ms ||
           journal_location_seq(location) < dedup->oldest_seq[journal_location_log(location)];
}

static uint32_t home_slot(const struct dedup *dedup, struct dedup_key key)
{
    return (uint32_t)key.words[0] & dedup->slot_mask;
}

static struct entry *entry_in(const struct dedup *dedup, uint32_t slot)
{
    return &dedup->entries[dedup->slots[slot] - 1];
}

/* The slot that holds key, or the empty one where it would go. */
static uint32_t find_slot(const struct dedup *dedup, struct dedup_key key)
{
    uint32_t slot = home_slot(dedup, key);

    while (dedup->slots[slot] != 0) {
        const struct entry *entry = entry_in(dedup, slot);

        if (entry->key.words[0] == key.words[0] && entry->key.words[1] == key.words[1])
            return slot;
        slot = (slot + 1) & dedup->slot_mask;
    }
    return slot;
}

/* Empties slot and closes the gap in its run. */
static void clear_slot(struct dedup *dedup, uint32_t slot)
{
    uint32_t gap = slot;
    uint32_t next = (slot + 1) & dedup->slot_mask;

    assert(dedup->slots[slot] != 0);
    while (dedup->slots[next] != 0 && !MUTANT("dedup_gap_left_open")) {
        uint32_t home = home_slot(dedup, entry_in(dedup, next)->key);

        /* A member may move back to the gap only if its home is not after the gap. */
        if (((next - home) & dedup->slot_mask) >= ((next - gap) & dedup->slot_mask)) {
            dedup->slots[gap] = dedup->slots[next];
            gap = next;
        }
        next = (next + 1) & dedup->slot_mask;
    }
    dedup->slots[gap] = 0;
}

/* Passes over holes at the old end. */
static void trim_holes(struct dedup *dedup)
{
    while (dedup->used > 0 && is_hole(&dedup->entries[dedup->head])) {
        dedup->head = (dedup->head + 1) & (dedup->entry_count_max - 1);
        dedup->used--;
    }
}

/* Takes the entry in slot out; it leaves a hole in the ring. */
static void remove_at(struct dedup *dedup, uint32_t slot)
{
    struct entry *entry = entry_in(dedup, slot);

    clear_slot(dedup, slot);
    *entry = (struct entry){.location = {HOLE}};
    dedup->live_count--;
    trim_holes(dedup);
}

/* Drops at most entry_count_max entries whose window is over; returns how many. */
static uint32_t expire(struct dedup *dedup, uint64_t now_unix_ms, uint32_t entry_count_max)
{
    uint32_t count = 0;

    dedup_check(dedup);
    while (count < entry_count_max && dedup->used > 0) {
        struct entry *oldest = &dedup->entries[dedup->head];

        if (!is_over(dedup, oldest, now_unix_ms))
            break;
        SOMETIMES("a deduplication entry expires");
        remove_at(dedup, find_slot(dedup, oldest->key));
        dedup->expired_count++;
        count++;
    }
    return count;
}

/*
 * Makes room for one entry, at the price of the oldest if need be. False when there
 * is none. A full ring whose oldest entry is still in flight is turned by one: its tail
 * is where its head is, so the entry becomes the newest without being moved.
 */
static bool make_room(struct dedup *dedup, uint64_t now_unix_ms)
{
    (void)expire(dedup, now_unix_ms, DEDUP_EXPIRE_STEP_MAX);
    for (uint32_t step = 0; step < DEDUP_EXPIRE_STEP_MAX; step++) {
        struct entry *oldest = &dedup->entries[dedup->head];

        if (dedup->used < dedup->entry_count_max)
            return true;
        if (is_reserved(oldest)) {
            SOMETIMES("a full table turns past an entry in flight");
            dedup->head = (dedup->head + 1) & (dedup->entry_count_max - 1);
            trim_holes(dedup);
            continue;
        }
        if (dedup->strict && !is_over(dedup, oldest, now_unix_ms)) {
            SOMETIMES("a strict table is full");
            return false;
        }
        if (!is_over(dedup, oldest, now_unix_ms)) {
            SOMETIMES("an entry must go before its window is over");
            dedup->evicted_early_count++;
            dedup->early_unix_ms = now_unix_ms;
            dedup->early_age_ms = age_ms(oldest, now_unix_ms);
        }
        remove_at(dedup, find_slot(dedup, oldest->key));
    }
    return dedup->used < dedup->entry_count_max;
}

static void add(struct dedup *dedup, const struct entry *entry)
{
    uint32_t index = (dedup->head + dedup->used) & (dedup->entry_count_max - 1);
    uint32_t slot = find_slot(dedup, entry->key);

    assert(dedup->used < dedup->entry_count_max);
    assert(dedup->slots[slot] == 0);
    dedup->entries[index] = *entry;
    dedup->slots[slot] = index + 1;
    dedup->used++;
    dedup->live_count++;
}

/*
 * The full time again, from its low 32 bits. It may lie ahead: the wall clock can have been
 * set back since.
 */
static uint64_t received_unix_ms(const struct entry *entry, uint64_t now_unix_ms)
{
    uint32_t ahead = entry->received_ms - (uint32_t)now_unix_ms;

    return now_unix_ms - age_ms(entry, now_unix_ms) + (age_ms(entry, now_unix_ms) == 0 ? ahead : 0);
}

/* What a key that is there means for one who brings it. */
static enum dedup_result judge(const struct entry *entry, uint32_t body_hash, uint64_t now_unix_ms,
                               struct dedup_found *ret_found)
{
    ret_found->location = entry->location;
    ret_found->received_unix_ms = received_unix_ms(entry, now_unix_ms);
    if (entry->body_hash != body_hash && !MUTANT("body_not_compared"))
        return DEDUP_CONFLICT;
    if (is_reserved(entry) && !MUTANT("dedup_claim_before_durable"))
        return DEDUP_IN_FLIGHT;
    return DEDUP_DUPLICATE;
}

enum dedup_result dedup_find(const struct dedup *dedup, struct dedup_key key, uint32_t body_hash,
                             uint64_t now_unix_ms, struct dedup_found *ret_found)
{
    uint32_t slot = find_slot(dedup, key);

    dedup_check(dedup);
    if (dedup->slots[slot] == 0 || is_over(dedup, entry_in(dedup, slot), now_unix_ms))
        return DEDUP_NEW;
    return judge(entry_in(dedup, slot), body_hash, now_unix_ms, ret_found);
}

enum dedup_result dedup_reserve(struct dedup *dedup, struct dedup_key key, uint32_t body_hash,
                                uint64_t now_unix_ms, struct dedup_found *ret_found)
{
    uint32_t slot = find_slot(dedup, key);

    dedup_check(dedup);
    if (dedup->slots[slot] != 0) {
        if (!is_over(dedup, entry_in(dedup, slot), now_unix_ms))
            return judge(entry_in(dedup, slot), body_hash, now_unix_ms, ret_found);
        SOMETIMES("an id is used again after its window");
        remove_at(dedup, slot);
        dedup->expired_count++;
    }
    if ((dedup->strict && FAILPOINT("the deduplication table is full")) ||
        !make_room(dedup, now_unix_ms))
        return DEDUP_FULL;
    add(dedup,
        &(struct entry){.key = key, .body_hash = body_hash, .received_ms = (uint32_t)now_unix_ms});
    return DEDUP_NEW;
}

void dedup_commit(struct dedup *dedup, struct dedup_key key, struct journal_location location)
{
    uint32_t slot = find_slot(dedup, key);

    dedup_check(dedup);
    assert(dedup->slots[slot] != 0);
    assert(is_reserved(entry_in(dedup, slot)));
    assert(location.bits != 0 && location.bits != HOLE);
    entry_in(dedup, slot)->location = location;
}

void dedup_release(struct dedup *dedup, struct dedup_key key)
{
    uint32_t slot = find_slot(dedup, key);

    dedup_check(dedup);
    assert(dedup->slots[slot] != 0);
    assert(is_reserved(entry_in(dedup, slot)));
    remove_at(dedup, slot);
}

void dedup_insert_recovered(struct dedup *dedup, struct dedup_key key, uint32_t body_hash,
                            struct journal_location location, uint64_t received_unix_ms)
{
    uint32_t slot = find_slot(dedup, key);
    bool strict = dedup->strict;
    bool room;

    dedup_check(dedup);
    assert(location.bits != 0 && location.bits != HOLE);
    if (dedup->slots[slot] != 0) {
        uint32_t earlier = (uint32_t)received_unix_ms - entry_in(dedup, slot)->received_ms;

        SOMETIMES("recovery finds an id twice");
        /* Logs are read one after the other: the later acceptance may have come first. */
        if (earlier > INT32_MAX && !is_over(dedup, entry_in(dedup, slot), received_unix_ms))
            return;
        remove_at(dedup, slot);
    }
    /* What was accepted before is not refused now: the oldest go, as when not strict. */
    dedup->strict = false;
    room = make_room(dedup, received_unix_ms);
    dedup->strict = strict;
    assert(room);
    add(dedup, &(struct entry){.key = key,
                               .location = location,
                               .body_hash = body_hash,
                               .received_ms = (uint32_t)received_unix_ms});
}

void dedup_drop_segments(struct dedup *dedup, uint32_t log, uint64_t oldest_seq)
{
    dedup_check(dedup);
    assert(log <= SEGMENT_LOG_MAX);
    dedup->oldest_seq[log] = max_u64(dedup->oldest_seq[log], oldest_seq);
}

uint64_t dedup_window_ms_effective(const struct dedup *dedup, uint64_t now_unix_ms)
{
    if (dedup->early_unix_ms == 0 || now_unix_ms - dedup->early_unix_ms >= dedup->window_ms)
        return dedup->window_ms;
    return min_u64(dedup->window_ms, dedup->early_age_ms);
}

void dedup_stats(const struct dedup *dedup, struct dedup_stats *ret_stats)
{
    *ret_stats = (struct dedup_stats){
        .entry_count = dedup->live_count,
        .entry_count_max = dedup->entry_count_max,
        .evicted_early_count = dedup->evicted_early_count,
        .expired_count = dedup->expired_count,
    };
}

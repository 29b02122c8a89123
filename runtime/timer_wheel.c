#include "runtime/timer_wheel.h"

/*
 * A tick is written in base 64: level n of the wheel is its digit n.
 *
 *      digit   5      4      3      2      1      0
 *      one is  12.4d  4.66h  4.37m  4.1s   64ms   1ms
 *
 * A node rests at the level of the highest digit in which its deadline differs
 * from now_tick, in the slot of the deadline's digit there. Hence, at every level,
 * the occupied slots lie ahead of the present digit, and everything on a lower
 * level comes before everything on a higher one: the next event is the first
 * occupied slot of the lowest level that has any. When the wheel comes to a slot
 * above level 0, its nodes now agree with now_tick in that digit, and each is put
 * to a lower level: it cascades. A node moves at most five times in its life.
 *
 * Deadlines that differ beyond digit 5 also rest on the top level, which is a
 * ring: they are looked at once per turn of it, about every two years.
 *
 *     start --> slot --(slot reached, level > 0)--> cascading --> lower slot, or due
 *       |        +-----(slot reached, level 0)----> due --> fired
 *       +--(deadline already past)--> late --(next advance)--> due
 *
 * All that is known stands in the wheel itself: a callback that leaves by longjmp
 * leaves it whole, and the next advance goes on where this one was. now_tick does
 * not move while anything is cascading, so that a million timers with one deadline
 * are moved in portions without disturbing the order.
 *
 * A node out of its slot keeps its slot_index. Unlinking always recomputes that
 * slot's bit from the slot's list, which is right whether or not it was there.
 */

enum {
    DIGIT_BITS = 6,
    TOP_LEVEL = TIMER_LEVEL_COUNT - 1,
    TICK_NS = 1000000,
};

static const uint64_t DIGIT_MASK = TIMER_SLOT_COUNT - 1;

static_assert(TIMER_SLOT_COUNT == 1 << DIGIT_BITS, "a digit names a slot");
static_assert(sizeof(struct timer) <= 64, "the budget of an armed timer");

static void timer_wheel_check(const struct timer_wheel *wheel)
{
    assert(wheel->slots[0][0].next != NULL);
    assert(wheel->armed_count > 0 || list_is_empty(&wheel->due));
}

static uint32_t digit_at(uint64_t tick, uint32_t level)
{
    return (uint32_t)((tick >> (level * DIGIT_BITS)) & DIGIT_MASK);
}

static uint64_t bit_of(uint32_t slot)
{
    return (uint64_t)1 << slot;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t mono_ns)
{
    for (uint32_t level = 0; level < TIMER_LEVEL_COUNT; level++) {
        for (uint32_t slot = 0; slot < TIMER_SLOT_COUNT; slot++)
            list_init(&wheel->slots[level][slot]);
        wheel->occupied[level] = 0;
    }
    list_init(&wheel->cascading);
    list_init(&wheel->due);
    list_init(&wheel->late);
    wheel->now_tick = mono_ns / TICK_NS;
    wheel->armed_count = 0;
}

void timer_init(struct timer *timer, void (*on_fire)(struct timer *timer))
{
    assert(on_fire != NULL);
    *timer = (struct timer){.on_fire = on_fire};
    list_init(&timer->link);
}

/* Puts an unlinked timer whose deadline lies ahead into its slot. */
static void insert(struct timer_wheel *wheel, struct timer *timer)
{
    uint64_t difference = timer->deadline_tick ^ wheel->now_tick;
    uint32_t level;
    uint32_t slot;

    assert(timer->deadline_tick > wheel->now_tick);
    level = (uint32_t)(63 - __builtin_clzll(difference)) / DIGIT_BITS;
    if (level > TOP_LEVEL)
        level = TOP_LEVEL;
    slot = digit_at(timer->deadline_tick, level);
    timer->slot_index = (uint16_t)(level * TIMER_SLOT_COUNT + slot);
    list_push_back(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= bit_of(slot);
}

static void unlink_timer(struct timer_wheel *wheel, struct timer *timer)
{
    uint32_t level = timer->slot_index / TIMER_SLOT_COUNT;
    uint32_t slot = timer->slot_index % TIMER_SLOT_COUNT;

    assert(level < TIMER_LEVEL_COUNT);
    list_remove(&timer->link);
    if (list_is_empty(&wheel->slots[level][slot]))
        wheel->occupied[level] &= ~bit_of(slot);
}

void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns)
{
    uint64_t deadline_tick = deadline_ns / TICK_NS + (deadline_ns % TICK_NS != 0);

    timer_wheel_check(wheel);
    assert(timer->on_fire != NULL);
    if (timer->armed)
        unlink_timer(wheel, timer);
    else
        wheel->armed_count++;
    timer->armed = true;
    timer->deadline_tick = max_u64(deadline_tick, wheel->now_tick);
    if (timer->deadline_tick > wheel->now_tick)
        insert(wheel, timer);
    else
        list_push_back(&wheel->late, &timer->link);
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (!timer->armed)
        return;
    timer_wheel_check(wheel);
    assert(wheel->armed_count > 0);
    unlink_timer(wheel, timer);
    timer->armed = false;
    wheel->armed_count--;
}

/* Moves all members of from behind those of to. */
static void splice_back(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

/* The tick of the next occupied slot, UINT64_MAX when all are empty. */
static uint64_t next_slot_tick(const struct timer_wheel *wheel, uint32_t *ret_level)
{
    for (uint32_t level = 0; level < TIMER_LEVEL_COUNT; level++) {
        uint64_t occupied = wheel->occupied[level];
        uint32_t now_digit = digit_at(wheel->now_tick, level);
        uint64_t ahead = occupied & ~(bit_of(now_digit) | (bit_of(now_digit) - 1));
        uint32_t shift = level * DIGIT_BITS;
        uint64_t turn_start = (wheel->now_tick >> shift >> DIGIT_BITS) << DIGIT_BITS << shift;
        uint64_t turn_ticks = 0;

        if (occupied == 0)
            continue;
        assert(ahead != 0 || level == TOP_LEVEL);
        if (ahead == 0) {
            /* Only in the next turn of the top level. */
            ahead = occupied;
            turn_ticks = (uint64_t)TIMER_SLOT_COUNT << shift;
        }
        *ret_level = level;
        return turn_start + turn_ticks + ((uint64_t)__builtin_ctzll(ahead) << shift);
    }
    return UINT64_MAX;
}

/* Takes the slot that now_tick has reached: to due from level 0, else to cascading. */
static void empty_slot(struct timer_wheel *wheel, uint32_t level)
{
    uint32_t slot = digit_at(wheel->now_tick, level);

    assert((wheel->occupied[level] & bit_of(slot)) != 0);
    assert(list_is_empty(&wheel->cascading));
    splice_back(level == 0 ? &wheel->due : &wheel->cascading, &wheel->slots[level][slot]);
    wheel->occupied[level] &= ~bit_of(slot);
}

/* Puts cascading nodes to their new places while moves are left; gives the moves left. */
static uint32_t cascade(struct timer_wheel *wheel, uint32_t moves_left)
{
    while (moves_left > 0 && !list_is_empty(&wheel->cascading)) {
        struct list_node *node = list_pop_front(&wheel->cascading);
        struct timer *timer = container_of(node, struct timer, link);

        assert(timer->deadline_tick >= wheel->now_tick);
        if (timer->deadline_tick == wheel->now_tick)
            list_push_back(&wheel->due, node);
        else
            insert(wheel, timer);
        moves_left--;
    }
    return moves_left;
}

/* Brings everything that expires up to target_tick into due, in order. */
static void collect(struct timer_wheel *wheel, uint64_t target_tick)
{
    uint32_t moves_left = cascade(wheel, TIMER_MOVE_MAX);

    while (moves_left > 0) {
        uint32_t level = 0;
        uint64_t tick = next_slot_tick(wheel, &level);

        if (tick > target_tick) {
            wheel->now_tick = target_tick;
            return;
        }
        assert(tick > wheel->now_tick);
        wheel->now_tick = tick;
        empty_slot(wheel, level);
        moves_left = cascade(wheel, moves_left - 1);
    }
}

uint32_t timer_wheel_advance(struct timer_wheel *wheel, uint64_t mono_ns, uint32_t fire_count_max)
{
    uint64_t target_tick = mono_ns / TICK_NS;
    uint32_t fire_count = 0;

    timer_wheel_check(wheel);
    assert(target_tick >= wheel->now_tick);
    splice_back(&wheel->due, &wheel->late);
    collect(wheel, target_tick);
    while (fire_count < fire_count_max && !list_is_empty(&wheel->due)) {
        struct timer *timer = container_of(wheel->due.next, struct timer, link);

        assert(timer->armed);
        assert(timer->deadline_tick <= target_tick);
        list_remove(&timer->link);
        timer->armed = false;
        wheel->armed_count--;
        fire_count++;
        timer->on_fire(timer);
    }
    return fire_count;
}

uint64_t timer_wheel_next_ns(const struct timer_wheel *wheel)
{
    uint32_t level = 0;
    uint64_t tick;

    if (!list_is_empty(&wheel->due) || !list_is_empty(&wheel->late) ||
        !list_is_empty(&wheel->cascading))
        return wheel->now_tick * TICK_NS;
    tick = next_slot_tick(wheel, &level);
    return tick > UINT64_MAX / TICK_NS ? UINT64_MAX : tick * TICK_NS;
}

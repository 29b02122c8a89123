#include "runtime/sim_world.h"

#include "runtime/sim_host.h"

/*
 * The queue is a binary heap of borrowed events; each knows its own slot, so
 * taking one out of the middle costs no search. Events for the same instant are
 * ordered by a drawn number: completion order is part of what a seed decides.
 */
enum { HEAP_CAPACITY_MIN = 256 };

static void world_check(const struct sim_world *world)
{
    assert(world->mono_ns >= SIM_START_MONO_NS);
    assert(world->heap_count <= world->heap_capacity);
    assert(world->heap_capacity <= SIM_EVENT_COUNT_MAX);
}

static void read_clock(const struct clock_source *source, uint64_t *ret_mono_ns,
                       uint64_t *ret_unix_ms)
{
    const struct sim_world *world = container_of(source, struct sim_world, clock_source);
    int64_t unix_ms = (int64_t)(SIM_START_UNIX_MS + world->mono_ns / 1000000U);

    assert(unix_ms + world->unix_skew_ms > 0);
    *ret_mono_ns = world->mono_ns;
    *ret_unix_ms = (uint64_t)(unix_ms + world->unix_skew_ms);
}

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size);

    assert(size > 0);
    assert(memory != NULL);
    return memory;
}

struct sim_world *sim_world_new(uint64_t seed)
{
    struct sim_world *world = sim_alloc(sizeof(*world));

    world->clock_source.read = read_clock;
    world->seed = seed;
    world->mono_ns = SIM_START_MONO_NS;
    world->port_next = 32768;
    rng_init_seed(&world->rng, seed);
    sim_trace_init(&world->trace);
    list_init(&world->hosts);
    list_init(&world->listeners);
    world->heap_capacity = HEAP_CAPACITY_MIN;
    world->heap = sim_alloc(HEAP_CAPACITY_MIN * sizeof(struct sim_event *));
    return world;
}

void sim_world_free(struct sim_world **world)
{
    if (*world == NULL)
        return;
    world_check(*world);
    while (!list_is_empty(&(*world)->hosts)) {
        struct sim_host *host = container_of((*world)->hosts.next, struct sim_host, link);

        sim_host_free(&host);
    }
    assert(list_is_empty(&(*world)->listeners));
    free((*world)->heap);
    free(*world);
    *world = NULL;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->due_ns != b->due_ns)
        return a->due_ns < b->due_ns;
    return a->tie < b->tie;
}

static void place(struct sim_world *world, struct sim_event *event, uint32_t index)
{
    world->heap[index] = event;
    event->slot = index + 1;
}

static void sift_up(struct sim_world *world, struct sim_event *event, uint32_t index)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;

        if (!is_before(event, world->heap[parent]))
            break;
        place(world, world->heap[parent], index);
        index = parent;
    }
    place(world, event, index);
}

static void sift_down(struct sim_world *world, struct sim_event *event, uint32_t index)
{
    for (;;) {
        uint32_t child = index * 2 + 1;

        if (child >= world->heap_count)
            break;
        if (child + 1 < world->heap_count && is_before(world->heap[child + 1], world->heap[child]))
            child++;
        if (!is_before(world->heap[child], event))
            break;
        place(world, world->heap[child], index);
        index = child;
    }
    place(world, event, index);
}

static void grow(struct sim_world *world)
{
    uint32_t capacity = world->heap_capacity * 2;
    struct sim_event **heap;

    assert(capacity <= SIM_EVENT_COUNT_MAX);
    heap = realloc(world->heap, capacity * sizeof(struct sim_event *));
    assert(heap != NULL);
    world->heap = heap;
    world->heap_capacity = capacity;
}

void sim_world_schedule(struct sim_world *world, struct sim_event *event, uint64_t delay_ns)
{
    world_check(world);
    assert(event->on_due != NULL);
    assert(event->slot == 0);
    assert(delay_ns < UINT64_MAX - world->mono_ns);

    event->due_ns = world->mono_ns + delay_ns;
    event->tie = rng_next(&world->rng);
    if (world->heap_count == world->heap_capacity)
        grow(world);
    sift_up(world, event, world->heap_count++);
}

void sim_world_unschedule(struct sim_world *world, struct sim_event *event)
{
    struct sim_event *last;
    uint32_t index;

    if (event->slot == 0)
        return;
    index = event->slot - 1;
    assert(index < world->heap_count);
    assert(world->heap[index] == event);

    event->slot = 0;
    last = world->heap[--world->heap_count];
    if (last == event)
        return;
    if (index > 0 && is_before(last, world->heap[(index - 1) / 2]))
        sift_up(world, last, index);
    else
        sift_down(world, last, index);
}

uint64_t sim_world_next_ns(const struct sim_world *world)
{
    if (world->heap_count == 0)
        return UINT64_MAX;
    return max_u64(world->heap[0]->due_ns, world->mono_ns);
}

uint64_t sim_world_step(struct sim_world *world)
{
    world_check(world);
    for (uint32_t count = 0; count < SIM_STEP_EVENT_COUNT_MAX; count++) {
        struct sim_event *event;

        if (world->heap_count == 0 || world->heap[0]->due_ns > world->mono_ns)
            break;
        event = world->heap[0];
        sim_world_unschedule(world, event);
        world->event_count++;
        event->on_due(event);
    }
    return sim_world_next_ns(world);
}

void sim_world_advance_to(struct sim_world *world, uint64_t mono_ns)
{
    world_check(world);
    assert(mono_ns >= world->mono_ns);
    assert(mono_ns != UINT64_MAX);
    world->mono_ns = mono_ns;
}

void sim_world_jump_unix(struct sim_world *world, int64_t delta_ms)
{
    struct sim_trace_entry entry = {
        .mono_ns = world->mono_ns,
        .host = "world",
        .what = "jump",
        .fd = -1,
        .value = delta_ms,
    };

    world_check(world);
    world->unix_skew_ms += delta_ms;
    sim_trace_add(&world->trace, &entry);
}

void sim_world_trace_to(struct sim_world *world, FILE *file)
{
    world_check(world);
    world->trace.file = file;
}

bool sim_world_coin(struct sim_world *world)
{
    return (rng_next(&world->rng) >> 63) != 0;
}

uint64_t sim_world_draw_small(struct sim_world *world, uint64_t max)
{
    return rng_below(&world->rng, 1 + rng_below(&world->rng, max));
}

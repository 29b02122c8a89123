#include "store/durable.h"

#include <errno.h>

#include "runtime/sim_point.h"

/*
 * A step, from its commit to its end:
 *
 *     durable_commit() --taken--> in flight --durable--> each fact applied --> on_done
 *        \--refused--> the caller's again            \--journal failed--> on_done(UNKNOWN)
 *
 *     durable_commit_later() --full--> waiting --room--> in flight
 *                                          \--durable_stop()--> on_done(UNKNOWN)
 *
 * The journal acknowledges groups in the order of their LSN, which is the order of their
 * appends: so facts are applied in the order in which recovery will read them. What waits
 * is important by definition and can only lack room in the staging, never on a full disk
 * alone; while it waits nobody overtakes it.
 */

static void check(const struct durable_set *set)
{
    assert(set->writer != NULL);
    assert(set->owner_count <= DURABLE_OWNERS_MAX);
    assert(set->carry_left <= set->owner_count + 1);
    assert((set->carry_left > 0) <= (set->carry_seq > 0));
}

static struct durable *owner_of(const struct durable_set *set, uint8_t type)
{
    uint8_t number = set->by_type[type];

    return number == 0 ? NULL : set->owners[number - 1];
}

void durable_set_init(struct durable_set *set, struct durable_writer *writer)
{
    memset(set, 0, sizeof(*set));
    set->writer = writer;
    list_init(&set->waiting);
}

void durable_add(struct durable_set *set, struct durable *owner)
{
    const struct durable_type *type = owner->type;

    check(set);
    assert(set->owner_count < DURABLE_OWNERS_MAX);
    assert(type->apply != NULL);
    assert(type->record_first > 0 && type->record_first <= type->record_last);
    owner->set = set;
    owner->is_carrying = false;
    set->owners[set->owner_count++] = owner;
    for (uint32_t i = type->record_first; i <= type->record_last; i++) {
        assert(set->by_type[i] == 0);
        set->by_type[i] = (uint8_t)set->owner_count;
    }
}

/* --- steps ------------------------------------------------------------------ */

/* A fact that has been checked by whoever committed it: it must be true now. */
static void apply(struct durable_set *set, const struct journal_record *record)
{
    struct durable *owner = owner_of(set, record->type);
    struct durable_fact fact = {
        .type = record->type,
        .version = record->version,
        .partition = record->partition,
        .payload = record->part_count > 0 ? record->parts[0] : (struct slice){NULL, 0},
        .location = record->location,
    };
    int r;

    fact.size = (uint32_t)segment_record_size(fact.payload.size);
    r = owner->type->apply(owner, &fact);
    assert(r == 0);
}

/* What the step's records need in memory is brought near for all of them at a time. */
static void expect(struct durable_set *set, const struct durable_step *step, bool is_near)
{
    for (uint32_t i = 0; i < step->record_count; i++) {
        const struct journal_record *record = &step->records[i];
        struct journal_record_view view = {
            .type = record->type,
            .version = record->version,
            .payload = record->part_count > 0 ? record->parts[0] : (struct slice){NULL, 0},
        };

        durable_expect(set, &view, is_near);
    }
}

static void on_durable(struct journal_append *append, enum journal_outcome outcome)
{
    struct durable_step *step = container_of(append, struct durable_step, append);
    struct durable_set *set = step->set;

    check(set);
    assert(set->step_count > 0);
    set->step_count--;
    if (outcome == JOURNAL_OUTCOME_UNKNOWN) {
        SOMETIMES("a durable step ends with the journal");
        step->on_done(step, DURABLE_UNKNOWN);
        return;
    }
    if (step->record_count > 1) {
        expect(set, step, false);
        expect(set, step, true);
    }
    for (uint32_t i = 0; i < step->record_count; i++)
        apply(set, &step->records[i]);
    step->on_done(step, DURABLE_DONE);
}

MUST_USE static int append(struct durable_set *set, struct durable_step *step)
{
    int r = set->writer->append(set->writer, &step->append, step->records, step->record_count,
                                step->flags);

    if (r == JOURNAL_OK)
        set->step_count++;
    return r;
}

static void prepare(struct durable_set *set, struct durable_step *step)
{
    assert(step->on_done != NULL);
    assert(step->record_count > 0);
    for (uint32_t i = 0; i < step->record_count; i++) {
        assert(step->records[i].part_count <= 1);
        assert(owner_of(set, step->records[i].type) != NULL);
    }
    step->set = set;
    step->append.on_durable = on_durable;
    list_init(&step->link);
}

int durable_commit(struct durable_set *set, struct durable_step *step)
{
    check(set);
    if (set->is_stopped)
        return JOURNAL_STOPPED;
    if (!list_is_empty(&set->waiting)) {
        SOMETIMES("a durable step comes while others wait for room");
        return JOURNAL_FULL;
    }
    prepare(set, step);
    return append(set, step);
}

bool durable_commit_later(struct durable_set *set, struct durable_step *step)
{
    int r = JOURNAL_FULL;

    check(set);
    if (set->is_stopped)
        return false;
    prepare(set, step);
    step->flags |= JOURNAL_IMPORTANT;
    if (list_is_empty(&set->waiting))
        r = append(set, step);
    if (r == JOURNAL_FULL || r == JOURNAL_NO_SPACE) {
        SOMETIMES("a durable step waits for room");
        list_push_back(&set->waiting, &step->link);
        return true;
    }
    return r == JOURNAL_OK;
}

/* True when nothing waits any more. */
MUST_USE static bool commit_waiting(struct durable_set *set)
{
    struct list_node *node;

    while ((node = list_pop_front(&set->waiting)) != NULL) {
        int r = append(set, container_of(node, struct durable_step, link));

        if (r != JOURNAL_OK) {
            assert(r > 0); /* it was only ever refused for lack of room */
            list_push_front(&set->waiting, node);
            return false;
        }
    }
    return true;
}

void durable_on_room(struct durable_set *set)
{
    check(set);
    if (set->is_stopped || !commit_waiting(set))
        return;
    for (uint32_t i = 0; i < set->owner_count; i++)
        if (set->owners[i]->type->on_room != NULL)
            set->owners[i]->type->on_room(set->owners[i]);
}

void durable_stop(struct durable_set *set)
{
    struct list_node *node;

    check(set);
    set->is_stopped = true;
    while ((node = list_pop_front(&set->waiting)) != NULL) {
        struct durable_step *step = container_of(node, struct durable_step, link);

        SOMETIMES("a durable step waits for room until the end");
        step->on_done(step, DURABLE_UNKNOWN);
    }
}

bool durable_is_idle(const struct durable_set *set)
{
    return set->step_count == 0 && list_is_empty(&set->waiting);
}

/* --- recovery ---------------------------------------------------------------- */

int durable_recover(struct durable_set *set, const struct journal_record_view *record)
{
    struct durable *owner = owner_of(set, record->type);
    struct durable_fact fact = {
        .type = record->type,
        .version = record->version,
        .partition = record->partition,
        .payload = record->payload,
        .location = record->location,
        .size = (uint32_t)segment_record_size(record->payload.size),
        .is_recovery = true,
    };
    int r;

    check(set);
    if (owner == NULL)
        return 0;
    if (record->version == 0 || record->version > owner->type->version_max)
        return -EPROTO;
    r = owner->type->apply(owner, &fact);
    assert(r <= 0);
    return r < 0 ? r : 1;
}

void durable_expect(struct durable_set *set, const struct journal_record_view *record, bool is_near)
{
    struct durable *owner = owner_of(set, record->type);

    if (owner != NULL && owner->type->expect != NULL)
        owner->type->expect(owner, record, is_near);
}

void durable_settle(struct durable_set *set)
{
    check(set);
    for (uint32_t i = 0; i < set->owner_count; i++)
        if (set->owners[i]->type->settle != NULL)
            set->owners[i]->type->settle(set->owners[i]);
}

void durable_resume(struct durable_set *set)
{
    check(set);
    for (uint32_t i = 0; i < set->owner_count; i++)
        if (set->owners[i]->type->resume != NULL)
            set->owners[i]->type->resume(set->owners[i]);
}

/* --- carrying forward -------------------------------------------------------- */

/* The one who asked is told when nobody is left; it may ask about another segment at once. */
static void answer_carry(struct durable_set *set)
{
    uint32_t log = set->carry_log;
    uint64_t seq = set->carry_seq;

    set->carry_seq = 0;
    set->writer->on_carried(set->writer, log, seq);
}

void durable_carry(struct durable_set *set, uint32_t log, uint64_t seq)
{
    uint32_t owner_count = set->owner_count;

    check(set);
    assert(seq > 0);
    assert(!durable_is_carrying(set));
    set->carry_log = log;
    set->carry_seq = seq;
    /* One more, that nobody's answer from inside carry_up_to() is the last while others are not
     * asked. */
    set->carry_left = 1;
    for (uint32_t i = 0; i < owner_count; i++) {
        struct durable *owner = set->owners[i];

        if (owner->type->carry_up_to == NULL)
            continue;
        owner->is_carrying = true;
        set->carry_left++;
        owner->type->carry_up_to(owner, log, seq);
    }
    if (--set->carry_left == 0)
        answer_carry(set);
}

bool durable_is_carrying(const struct durable_set *set)
{
    return set->carry_seq != 0;
}

void durable_carried(struct durable *owner)
{
    struct durable_set *set = owner->set;

    assert(owner->is_carrying);
    assert(set->carry_left > 0);
    owner->is_carrying = false;
    if (--set->carry_left == 0)
        answer_carry(set);
}

uint64_t durable_live_bytes(const struct durable_set *set)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < set->owner_count; i++)
        if (set->owners[i]->type->live_bytes != NULL)
            sum += set->owners[i]->type->live_bytes(set->owners[i]);
    return sum;
}

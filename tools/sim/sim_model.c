#include "tools/sim/sim_model.h"

/*
 * Nothing here is clever, on purpose: what it says must be plain to see. Each rule
 * stands next to the sentence it enforces.
 */

static struct sim_item *item_at(struct sim_model *model, uint32_t number)
{
    assert(number < model->item_count);
    return &model->items[number];
}

uint32_t sim_model_add(struct sim_model *model, enum sim_item_kind kind, uint32_t count,
                       uint8_t tenant)
{
    uint32_t first = model->item_count;

    assert(count > 0);
    assert(count <= SIM_ITEM_COUNT_MAX - first);
    for (uint32_t i = 0; i < count; i++)
        model->items[first + i] = (struct sim_item){.kind = kind, .tenant = tenant};
    model->item_count += count;
    return first;
}

uint32_t sim_model_add_unit(struct sim_model *model, uint32_t first, uint32_t count, uint32_t key,
                            uint32_t previous)
{
    assert(model->unit_count < SIM_UNIT_COUNT_MAX);
    assert(first + count <= model->item_count);
    assert(key == SIM_NONE || key >= first + count);
    model->units[model->unit_count] = (struct sim_unit){
        .first = first, .count = count, .key = key, .misuse = SIM_NONE, .previous = previous};
    return model->unit_count++;
}

uint32_t sim_model_misuse(struct sim_model *model, uint32_t unit)
{
    struct sim_unit *u = &model->units[unit];

    assert(unit < model->unit_count);
    assert(u->key != SIM_NONE);
    if (u->misuse == SIM_NONE)
        u->misuse = sim_model_add(model, SIM_ITEM_NAMED, 1, item_at(model, u->key)->tenant);
    assert(u->misuse > u->key);
    return u->misuse;
}

/* Attempts that may have stored this variant, or may yet; own ones excluded by the caller. */
static uint32_t possible_count(const struct sim_item *item, uint32_t variant)
{
    return (uint32_t)item->open_counts[variant] + item->unknown_counts[variant];
}

void sim_model_send(struct sim_model *model, uint32_t number, uint32_t variant)
{
    struct sim_item *item = item_at(model, number);

    assert(variant < SIM_VARIANT_COUNT);
    if (possible_count(item, 0) + possible_count(item, 1) == 0)
        item->open_ns = model->now_ns;
    item->open_counts[variant]++;
    item->send_count++;
    item->was_sent[variant] = true;
}

/* From now on exactly one copy is known; attempts in doubt can only meet it. */
static void set_stored(struct sim_item *item, uint32_t variant)
{
    item->stored_count = 1;
    item->stored_variant = (uint8_t)variant;
    memset(item->unknown_counts, 0, sizeof(item->unknown_counts));
}

static const char *answer_new(const struct sim_model *model, struct sim_item *item,
                              uint32_t variant)
{
    bool repeats = item->kind == SIM_ITEM_ANONYMOUS || model->is_forgetful;

    if (item->may_be_told_late && item->stored_variant == variant) {
        item->may_be_told_late = false;
        if (model->is_forgetful)
            item->unknown_counts[variant]++; /* or it is stored once more */
        return NULL;
    }
    if (item->stored_count > 0 && !repeats)
        return "an id that was stored before is accepted as new";
    if (!repeats) {
        set_stored(item, variant);
        return NULL;
    }
    if (item->kind == SIM_ITEM_NAMED && item->stored_count > 0 && item->stored_ns != 0 &&
        model->now_ns - item->stored_ns < model->window_ns)
        return "an id is accepted as new again, and its window is not over";
    item->stored_ns = item->open_ns;
    item->stored_count++;
    item->stored_variant = (uint8_t)variant;
    return NULL;
}

static const char *answer_duplicate(const struct sim_model *model, struct sim_item *item,
                                    uint32_t variant)
{
    if (item->kind == SIM_ITEM_ANONYMOUS)
        return "an event whose id the server chose is called a duplicate";
    if (item->stored_count > 0 && item->stored_variant == variant)
        return NULL;
    if (model->is_forgetful)
        return item->was_sent[variant] ? NULL : "a duplicate of what was never sent";
    if (item->stored_count > 0)
        return "a duplicate, but another body is stored";
    if (possible_count(item, variant) == 0)
        return "a duplicate of what nobody can have stored";
    set_stored(item, variant);
    item->may_be_told_late = item->open_counts[variant] > 0;
    return NULL;
}

static const char *answer_stored(const struct sim_model *model, struct sim_item *item,
                                 uint32_t variant)
{
    if (item->kind == SIM_ITEM_ANONYMOUS || item->stored_count == 0)
        return answer_new(model, item, variant);
    if (item->stored_variant != variant && !model->is_forgetful)
        return "accepted, but another body is stored";
    if (model->is_forgetful)
        item->unknown_counts[variant]++; /* it may have been stored once more */
    return NULL;
}

bool sim_model_may_conflict(const struct sim_model *model, uint32_t number, uint32_t variant)
{
    const struct sim_item *item = &model->items[number];
    uint32_t other = 1 - variant;

    assert(number < model->item_count);
    if (model->is_forgetful)
        return item->was_sent[other];
    if (item->stored_count > 0)
        return item->stored_variant == other;
    return possible_count(item, other) > 0;
}

bool sim_model_may_be_in_flight(const struct sim_model *model, uint32_t number, uint32_t variant)
{
    const struct sim_item *item = &model->items[number];

    assert(number < model->item_count);
    if (item->kind == SIM_ITEM_ANONYMOUS)
        return false;
    if (item->stored_count > 0 && !model->is_forgetful)
        return false;
    return possible_count(item, variant) > 1; /* one of them is the asker's own */
}

const char *sim_model_answer(struct sim_model *model, uint32_t number, uint32_t variant,
                             enum sim_answer answer)
{
    struct sim_item *item = item_at(model, number);
    bool may_conflict = sim_model_may_conflict(model, number, variant);
    bool may_be_in_flight = sim_model_may_be_in_flight(model, number, variant);

    assert(variant < SIM_VARIANT_COUNT);
    assert(item->open_counts[variant] > 0);
    item->open_counts[variant]--;
    switch (answer) {
    case SIM_ANSWER_NEW:
        return answer_new(model, item, variant);
    case SIM_ANSWER_DUPLICATE:
        return answer_duplicate(model, item, variant);
    case SIM_ANSWER_STORED:
        return answer_stored(model, item, variant);
    case SIM_ANSWER_CONFLICT:
        return may_conflict ? NULL : "a conflict with a body that nobody can have stored";
    case SIM_ANSWER_IN_FLIGHT:
        return may_be_in_flight ? NULL : "in flight, but nothing of it can be under way";
    case SIM_ANSWER_REFUSED:
        return NULL;
    case SIM_ANSWER_UNKNOWN:
        if (item->stored_count == 0 || item->kind == SIM_ITEM_ANONYMOUS || model->is_forgetful)
            item->unknown_counts[variant]++;
        return NULL;
    }
    return "an answer that does not exist";
}

const char *sim_model_note_time(struct sim_model *model, uint32_t number, const char *text,
                                size_t size)
{
    struct sim_item *item = item_at(model, number);

    if (size == 0 || size >= sizeof(item->received_at))
        return "received_at is no time";
    if (item->kind == SIM_ITEM_ANONYMOUS || model->is_forgetful)
        return NULL;
    if (item->received_at[0] == '\0') {
        memcpy(item->received_at, text, size);
        item->received_at[size] = '\0';
        return NULL;
    }
    if (strlen(item->received_at) != size || memcmp(item->received_at, text, size) != 0)
        return "received_at is not that of the first acceptance";
    return NULL;
}

void sim_model_expect(const struct sim_model *model, uint32_t number,
                      struct sim_expectation *ret_expectation)
{
    const struct sim_item *item = &model->items[number];
    struct sim_expectation expectation = {.count_min = item->stored_count};

    assert(number < model->item_count);
    expectation.count_max = item->stored_count;
    for (uint32_t i = 0; i < SIM_VARIANT_COUNT; i++) {
        expectation.variants[i] = possible_count(item, i) > 0;
        expectation.count_max += possible_count(item, i);
    }
    if (item->stored_count > 0)
        expectation.variants[item->stored_variant] = true;
    if (item->kind != SIM_ITEM_ANONYMOUS && !model->is_forgetful) {
        expectation.count_max = expectation.count_max > 0;
        /* A copy is known: what is still open can only be told of it. */
        if (item->stored_count > 0)
            expectation.variants[1 - item->stored_variant] = false;
    }
    if (model->is_forgetful)
        for (uint32_t i = 0; i < SIM_VARIANT_COUNT; i++)
            expectation.variants[i] = item->was_sent[i];
    *ret_expectation = expectation;
}

void sim_model_settle(struct sim_model *model, uint32_t number, uint32_t count, uint32_t variant)
{
    struct sim_item *item = item_at(model, number);

    assert(variant < SIM_VARIANT_COUNT);
    item->stored_count = (uint16_t)count;
    if (count > 0)
        item->stored_variant = (uint8_t)variant;
    else
        item->received_at[0] = '\0';
    if (count == 0)
        item->stored_ns = 0;
    item->may_be_told_late = count > 0 && item->open_counts[variant] > 0;
    memset(item->unknown_counts, 0, sizeof(item->unknown_counts));
}

void sim_model_doubt(struct sim_model *model, uint32_t number, uint32_t count, uint32_t variant)
{
    assert(count > 0);
    sim_model_settle(model, number, count - 1, variant);
    model->items[number].unknown_counts[variant] = 1;
}

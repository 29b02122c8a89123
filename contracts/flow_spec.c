/*
 * Names go into a small open hash table, so that resolving takes no longer for a sender who
 * makes all names alike but for their ends. The order comes from passes over the jobs as they
 * were sent, each taking those whose "after" is in order already; what is left over when a
 * pass takes none contains a cycle, which a walk along "after" must run into.
 */
#include "contracts/flow_spec.h"

#include "contracts/json_string.h"
#include "contracts/siphash.h"

enum {
    SLOT_COUNT = 256,
    NO_JOB = 255,
    CYCLE_NAME_COUNT_MAX = 6, /* spelled out; what is between is left out */
};

static_assert((int)JOB_SPEC_COUNT_MAX < (int)NO_JOB, "a job's index fits a byte");
static_assert((int)JOB_SPEC_COUNT_MAX * 2 < (int)SLOT_COUNT, "the table is never full");
static_assert((int)CYCLE_NAME_COUNT_MAX * (JOB_SPEC_NAME_SIZE_MAX + 4) + 8 +
                      JOB_SPEC_NAME_SIZE_MAX <=
                  (int)FLOW_SPEC_CYCLE_SIZE_MAX,
              "a cycle is never cut within a name");

static const uint8_t NAME_KEY[SIPHASH_KEY_SIZE]; /* 100 names at most: nobody gains by a clash */

struct name_table {
    uint8_t slots[SLOT_COUNT]; /* index of specs, or NO_JOB */
};

static uint32_t hash_name(const struct json_value *name)
{
    char scratch[JOB_SPEC_NAME_SIZE_MAX];
    struct slice text;

    if (!json_string_text(name, scratch, sizeof(scratch), &text))
        return 0; /* longer than any name that is in the table */
    return (uint32_t)siphash_64(NAME_KEY, text) % SLOT_COUNT;
}

/* The slot where the name is, or would be. */
static uint32_t find_slot(const struct name_table *table, const struct flow_spec *flow,
                          const struct json_value *name)
{
    uint32_t slot = hash_name(name);

    while (table->slots[slot] != NO_JOB &&
           !json_string_same(&flow->specs[table->slots[slot]].name, name))
        slot = (slot + 1) % SLOT_COUNT;
    return slot;
}

static void refuse(struct issue_list *issues, uint32_t index, const char *quoted_key,
                   const struct json_value *value, const char *rule)
{
    issue_list_add(issues,
                   &(struct issue){.kind = ISSUE_RULE,
                                   .index = (int32_t)index,
                                   .key = {.type = JSON_STRING, .raw = slice_of(quoted_key)},
                                   .value = *value,
                                   .rule = slice_of(rule)});
}

/* False when a name occurs twice. */
static bool collect_names(struct name_table *table, const struct flow_spec *flow,
                          struct issue_list *issues)
{
    bool is_valid = true;

    memset(table->slots, NO_JOB, sizeof(table->slots));
    for (uint32_t i = 0; i < flow->count; i++) {
        const struct json_value *name = &flow->specs[i].name;
        uint32_t slot = find_slot(table, flow, name);

        if (table->slots[slot] != NO_JOB) {
            issue_list_begin_event(issues);
            refuse(issues, i, "\"name\"", name, "must be the name of one job only");
            is_valid = false;
            continue;
        }
        table->slots[slot] = (uint8_t)i;
    }
    return is_valid;
}

/* Resolves one job's "after". False when an issue was added. */
static bool resolve(const struct name_table *table, struct flow_spec *flow, uint32_t index,
                    struct issue_list *issues)
{
    bool seen[JOB_SPEC_COUNT_MAX] = {false};
    struct json_reader reader;
    struct json_value name;
    uint32_t count = 0;
    bool is_valid = true;
    enum json_result r;

    if (flow->specs[index].after_count == 0)
        return true;
    issue_list_begin_event(issues);
    json_reader_init(&reader, flow->specs[index].after, JSON_DEPTH_MAX);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && json_reader_next_element(&reader) == JSON_OK) {
        uint8_t job;

        r = json_reader_read(&reader, &name);
        assert(r == JSON_OK);
        job = table->slots[find_slot(table, flow, &name)];
        if (job == NO_JOB || seen[job]) {
            refuse(issues, index, "\"after\"", &name,
                   job == NO_JOB ? "must name jobs of this flow" : "must name each job once");
            is_valid = false;
            continue;
        }
        seen[job] = true;
        flow->after[index][count++] = job;
    }
    return is_valid;
}

/* Gives order and place; how many jobs it got to. */
static uint32_t sort(struct flow_spec *flow, bool is_placed[JOB_SPEC_COUNT_MAX])
{
    uint32_t placed_count = 0;
    bool progress = true;

    while (progress) {
        progress = false;
        for (uint32_t i = 0; i < flow->count; i++) {
            uint32_t n = 0;

            while (n < flow->specs[i].after_count && is_placed[flow->after[i][n]])
                n++;
            if (is_placed[i] || n < flow->specs[i].after_count)
                continue;
            is_placed[i] = true;
            flow->order[placed_count] = (uint8_t)i;
            flow->place[i] = (uint8_t)placed_count++;
            progress = true;
        }
    }
    return placed_count;
}

static void append(struct flow_spec *flow, struct slice text)
{
    size_t room = sizeof(flow->cycle) - flow->cycle_size;
    size_t size = (size_t)min_u64(text.size, room);

    memcpy(flow->cycle + flow->cycle_size, text.data, size);
    flow->cycle_size += (uint32_t)size;
}

static void append_name(struct flow_spec *flow, uint32_t index)
{
    char scratch[JOB_SPEC_NAME_SIZE_MAX];
    struct slice text;
    bool fits = json_string_text(&flow->specs[index].name, scratch, sizeof(scratch), &text);

    assert(fits);
    append(flow, text);
}

/* Follows "after" among the jobs that could not be placed until one comes a second time. */
static void describe_cycle(struct flow_spec *flow, const bool is_placed[JOB_SPEC_COUNT_MAX])
{
    uint8_t step[JOB_SPEC_COUNT_MAX], walk[JOB_SPEC_COUNT_MAX];
    uint32_t at = 0, count = 0;

    memset(step, NO_JOB, sizeof(step));
    while (is_placed[at])
        at++;
    while (step[at] == NO_JOB) {
        uint32_t n = 0;

        step[at] = (uint8_t)count;
        walk[count++] = (uint8_t)at;
        while (is_placed[flow->after[at][n]])
            n++;
        assert(n < flow->specs[at].after_count);
        at = flow->after[at][n];
    }
    for (uint32_t i = step[at]; i < count; i++) {
        if (i - step[at] == CYCLE_NAME_COUNT_MAX) {
            append(flow, SLICE_LITERAL("... -> "));
            break;
        }
        append_name(flow, walk[i]);
        append(flow, SLICE_LITERAL(" -> "));
    }
    append_name(flow, at);
}

enum job_spec_result flow_spec_read(struct slice body, uint32_t depth_max,
                                    struct issue_list *issues, struct json_reader *ret_reader,
                                    struct flow_spec *ret_flow)
{
    bool is_placed[JOB_SPEC_COUNT_MAX] = {false};
    struct name_table table;
    bool is_valid;
    enum job_spec_result result;

    ret_flow->cycle_size = 0;
    result = job_spec_read_list(body, depth_max, true, issues, ret_reader, ret_flow->specs,
                                &ret_flow->count);
    if (result != JOB_SPEC_OK)
        return result;
    is_valid = collect_names(&table, ret_flow, issues);
    for (uint32_t i = 0; i < ret_flow->count; i++)
        is_valid = resolve(&table, ret_flow, i, issues) && is_valid;
    if (!is_valid)
        return JOB_SPEC_INVALID;
    if (sort(ret_flow, is_placed) == ret_flow->count)
        return JOB_SPEC_OK;
    describe_cycle(ret_flow, is_placed);
    assert(ret_flow->cycle_size > 0);
    return JOB_SPEC_INVALID;
}

/*
 * An id that is no job's id names no letter: in a query or a filter it is refused, for it is
 * surely a slip of the pen; a list of ids is refused as a whole for the same reason.
 */
#include "actors/dlq_spec.h"

#include "contracts/json_string.h"
#include "contracts/members.h"
#include "http/url.h"

enum { TEXT_SIZE_MAX = 128 };

enum spec_member {
    SPEC_IDS,
    SPEC_FILTER,
    SPEC_RATE,
    SPEC_DRY_RUN,
};

static const struct slice SPEC_NAMES[] = {
    [SPEC_IDS] = MEMBER_NAME("ids"),
    [SPEC_FILTER] = MEMBER_NAME("filter"),
    [SPEC_RATE] = MEMBER_NAME("rate"),
    [SPEC_DRY_RUN] = MEMBER_NAME("dry_run"),
};

/* The conditions, in the order of enum dead_field, and one more. */
enum { FILTER_ID = DEAD_FIELD_COUNT };

static const struct slice FILTER_NAMES[] = {
    [DEAD_FIELD_ORG] = MEMBER_NAME("org"),
    [DEAD_FIELD_PROJECT] = MEMBER_NAME("project"),
    [DEAD_FIELD_ORIGIN] = MEMBER_NAME("origin"),
    [DEAD_FIELD_REASON] = MEMBER_NAME("reason"),
    [DEAD_FIELD_SINCE] = MEMBER_NAME("since"),
    [DEAD_FIELD_UNTIL] = MEMBER_NAME("until"),
    [FILTER_ID] = MEMBER_NAME("id"),
};

static const char ID_RULE[] = "must be the id of a dead letter";
static const char IDS_RULE[] = "must be 1 to 100 ids of dead letters";

static bool add_id(struct dead_selection *selection, struct slice text)
{
    struct job_id id;

    if (selection->id_count == REPLAY_ID_COUNT_MAX || !job_id_parse(text, &id))
        return false;
    for (uint32_t i = 0; i < selection->id_count; i++)
        if (selection->ids[i].id_low == id.id_low)
            return true; /* twice is once */
    selection->ids[selection->id_count++] = id;
    return true;
}

static bool add_ids(struct dead_selection *selection, struct slice list)
{
    struct json_reader reader;
    struct json_value value;
    enum json_result r;

    json_reader_init(&reader, list, JSON_DEPTH_DEFAULT);
    r = json_reader_enter_array(&reader);
    while (r == JSON_OK && json_reader_next_element(&reader) == JSON_OK) {
        char text[TEXT_SIZE_MAX];
        struct slice id;

        r = json_reader_read(&reader, &value);
        if (r != JSON_OK || value.type != JSON_STRING ||
            !json_string_text(&value, text, sizeof(text), &id) || !add_id(selection, id))
            return false;
    }
    return selection->id_count > 0;
}

static void read_ids(struct members *members, struct dlq_spec *spec)
{
    const struct json_value *list = &members->values[SPEC_IDS];

    if (list->type != JSON_ARRAY || !add_ids(&spec->selection, list->raw))
        members_refuse(members, SPEC_IDS, IDS_RULE);
}

static void read_filter(struct members *members, struct dlq_spec *spec)
{
    struct members filter;

    if (members->values[SPEC_FILTER].type != JSON_OBJECT) {
        members_refuse(members, SPEC_FILTER, "must be an object");
        return;
    }
    members_init(&filter, FILTER_NAMES, ARRAY_COUNT(FILTER_NAMES), members->issues, ISSUE_NO_INDEX);
    members_read_value(&filter, SLICE_LITERAL("filter"), &members->values[SPEC_FILTER]);
    for (uint32_t n = 0; n < ARRAY_COUNT(FILTER_NAMES); n++) {
        char scratch[TEXT_SIZE_MAX];
        const char *rule = NULL;
        struct slice text;

        if (!members_text(&filter, n, scratch, sizeof(scratch),
                          "must be a string of 1 to 128 bytes", &text))
            continue;
        if (n == FILTER_ID)
            rule = add_id(&spec->selection, text) ? NULL : ID_RULE;
        else
            rule = dead_filter_set(&spec->selection.filter, (enum dead_field)n, text);
        if (rule != NULL)
            members_refuse(&filter, n, rule);
    }
    members->is_valid = members->is_valid && filter.is_valid;
}

enum dlq_spec_result dlq_spec_read(struct slice body, uint32_t depth_max, struct issue_list *issues,
                                   struct json_reader *ret_reader, struct dlq_spec *ret_spec)
{
    struct members members;
    uint64_t rate = DEAD_RATE_DEFAULT;

    memset(ret_spec, 0, sizeof(*ret_spec));
    members_init(&members, SPEC_NAMES, ARRAY_COUNT(SPEC_NAMES), issues, ISSUE_NO_INDEX);
    if (members_read_document(&members, body, depth_max, ret_reader) != JSON_OK)
        return DLQ_SPEC_BAD_JSON;
    if (members_has(&members, SPEC_IDS))
        read_ids(&members, ret_spec);
    if (members_has(&members, SPEC_IDS) && members_has(&members, SPEC_FILTER))
        members_refuse(&members, SPEC_FILTER, "does not go together with ids");
    else if (members_has(&members, SPEC_FILTER))
        read_filter(&members, ret_spec);
    else if (!members_has(&members, SPEC_IDS))
        members_require(&members, SPEC_FILTER, "object");
    members_integer(&members, SPEC_RATE, 1, DEAD_RATE_MAX, "must be a whole number from 1 to 10000",
                    &rate);
    members_boolean(&members, SPEC_DRY_RUN, &ret_spec->is_dry_run);
    ret_spec->rate_per_s = (uint32_t)rate;
    return members.is_valid ? DLQ_SPEC_OK : DLQ_SPEC_INVALID;
}

const char *dlq_spec_read_query(struct slice query, struct dead_selection *ret_selection,
                                struct slice *ret_name)
{
    memset(ret_selection, 0, sizeof(*ret_selection));
    for (uint32_t n = 0; n <= FILTER_ID; n++) {
        char buffer[TEXT_SIZE_MAX];
        const char *rule = NULL;
        struct slice text;

        *ret_name = n == FILTER_ID ? SLICE_LITERAL("id") : dead_field_name((enum dead_field)n);
        if (!url_query_text(query, *ret_name, buffer, sizeof(buffer), &text))
            return "is too long, or not encoded as a URL needs it";
        if (text.data == NULL)
            continue;
        if (n == FILTER_ID)
            rule = add_id(ret_selection, text) ? NULL : ID_RULE;
        else
            rule = dead_filter_set(&ret_selection->filter, (enum dead_field)n, text);
        if (rule != NULL)
            return rule;
    }
    return NULL;
}

#include "contracts/incident_spec.h"

#include "contracts/members.h"

/*
 * Two levels: the numbers of a rule in its object, those of all rules beside it. Each number
 * is a row of INCIDENT_RULE_NUMBERS, whose group says where it stands.
 */

enum { GROUP_SPIKE, GROUP_DROP, GROUP_ALL, GROUP_COUNT };

struct number_row {
    uint32_t group;
    struct slice name; /* with quotes */
    uint64_t min;
    uint64_t max;
    const char *rule;
};

#define NUMBER_ROW(id, group, text, min, max)                                                      \
    {group, SLICE_INITIALIZER("\"" text "\""), min, max,                                           \
     "must be a whole number from " #min " to " #max},
static const struct number_row ROWS[] = {INCIDENT_RULE_NUMBERS(NUMBER_ROW)};
#undef NUMBER_ROW

static const struct slice STATUS_MEMBERS[] = {MEMBER_NAME("status")};

static const struct slice ENABLED = MEMBER_NAME("enabled");
static const struct slice GROUP_NAMES[] = {
    [GROUP_SPIKE] = SLICE_INITIALIZER("error_spike"),
    [GROUP_DROP] = SLICE_INITIALIZER("signup_drop"),
};
static const struct slice GROUP_MEMBERS[] = {
    [GROUP_SPIKE] = MEMBER_NAME("error_spike"),
    [GROUP_DROP] = MEMBER_NAME("signup_drop"),
};

enum incident_spec_result incident_spec_read_status(struct slice body, const struct slice *names,
                                                    uint32_t name_count, struct issue_list *issues,
                                                    struct json_reader *ret_reader,
                                                    uint32_t *ret_status)
{
    struct members members;

    members_init(&members, STATUS_MEMBERS, ARRAY_COUNT(STATUS_MEMBERS), issues, ISSUE_NO_INDEX);
    if (members_read_document(&members, body, JSON_DEPTH_DEFAULT, ret_reader) != JSON_OK)
        return INCIDENT_SPEC_BAD_JSON;
    if (members_require(&members, 0, "string"))
        members_option(&members, 0, names, name_count, ret_status);
    return members.is_valid ? INCIDENT_SPEC_OK : INCIDENT_SPEC_INVALID;
}

/* The names of a group's numbers, in the order of the rows; returns how many. */
static uint32_t collect_names(uint32_t group, struct slice names[MEMBER_COUNT_MAX])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < ARRAY_COUNT(ROWS); i++)
        if (ROWS[i].group == group)
            names[count++] = ROWS[i].name;
    assert(count < MEMBER_COUNT_MAX);
    return count;
}

static void read_numbers(struct members *members, uint32_t group, struct incident_rules_spec *spec)
{
    uint32_t n = 0;
    uint64_t value;

    for (uint32_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        if (ROWS[i].group != group)
            continue;
        if (members_integer(members, n++, ROWS[i].min, ROWS[i].max, ROWS[i].rule, &value)) {
            spec->given |= 1u << i;
            spec->numbers[i] = (uint32_t)value;
        }
    }
}

/* One rule's object. True when nothing in it is wrong. */
static bool read_group(const struct json_value *value, uint32_t group, struct issue_list *issues,
                       struct incident_rules_spec *spec)
{
    bool *gives = group == GROUP_SPIKE ? &spec->gives_spike_enabled : &spec->gives_drop_enabled;
    bool *enabled = group == GROUP_SPIKE ? &spec->spike_enabled : &spec->drop_enabled;
    struct slice names[MEMBER_COUNT_MAX];
    uint32_t count = collect_names(group, names);
    struct members members;

    names[count] = ENABLED;
    members_init(&members, names, count + 1, issues, ISSUE_NO_INDEX);
    members_read_value(&members, GROUP_NAMES[group], value);
    if (!members.is_valid)
        return false;
    read_numbers(&members, group, spec);
    *gives = members_boolean(&members, count, enabled);
    return members.is_valid;
}

enum incident_spec_result incident_spec_read_rules(struct slice body, struct issue_list *issues,
                                                   struct json_reader *ret_reader,
                                                   struct incident_rules_spec *ret_spec)
{
    struct slice names[MEMBER_COUNT_MAX];
    uint32_t count = collect_names(GROUP_ALL, names);
    struct members members;
    bool is_valid = true;

    memset(ret_spec, 0, sizeof(*ret_spec));
    names[count + GROUP_SPIKE] = GROUP_MEMBERS[GROUP_SPIKE];
    names[count + GROUP_DROP] = GROUP_MEMBERS[GROUP_DROP];
    members_init(&members, names, count + ARRAY_COUNT(GROUP_MEMBERS), issues, ISSUE_NO_INDEX);
    if (members_read_document(&members, body, JSON_DEPTH_DEFAULT, ret_reader) != JSON_OK)
        return INCIDENT_SPEC_BAD_JSON;
    if (!members.is_valid)
        return INCIDENT_SPEC_INVALID;
    read_numbers(&members, GROUP_ALL, ret_spec);
    for (uint32_t group = GROUP_SPIKE; group <= GROUP_DROP; group++)
        if (members_has(&members, count + group))
            is_valid &= read_group(&members.values[count + group], group, issues, ret_spec);
    return is_valid && members.is_valid ? INCIDENT_SPEC_OK : INCIDENT_SPEC_INVALID;
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/incident_spec.h"

static struct issue_list issues;
static struct json_reader reader;
static struct incident_rules_spec spec;

static enum incident_spec_result read_rules(const char *text)
{
    issue_list_init(&issues);
    return incident_spec_read_rules(slice_of(text), &issues, &reader, &spec);
}

static enum incident_spec_result read_status(const char *text, uint32_t *ret_status)
{
    static const struct slice names[] = {SLICE_INITIALIZER("open"), SLICE_INITIALIZER("resolved")};

    issue_list_init(&issues);
    return incident_spec_read_status(slice_of(text), names, ARRAY_COUNT(names), &issues, &reader,
                                     ret_status);
}

Test(incident_spec, takes_a_status)
{
    uint32_t status = 9;

    cr_assert(eq(int, read_status("{\"status\":\"resolved\"}", &status), INCIDENT_SPEC_OK));
    cr_assert(eq(u32, status, 1));
}

Test(incident_spec, takes_no_other_status)
{
    static const char *const wrong[] = {"{}",
                                        "{\"status\":null}",
                                        "{\"status\":\"closed\"}",
                                        "{\"status\":1}",
                                        "{\"status\":\"open\",\"severity\":\"warn\"}",
                                        "[]",
                                        "{\"status\":\"open\",\"status\":\"open\"}"};
    uint32_t status;

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        cr_assert(eq(int, read_status(wrong[i], &status), INCIDENT_SPEC_INVALID), "%s", wrong[i]);
        cr_assert(lt(u32, 0, issues.count), "%s", wrong[i]);
    }
    cr_assert(eq(int, read_status("{\"status\":\"open\"", &status), INCIDENT_SPEC_BAD_JSON));
}

Test(incident_spec, says_which_rules_are_given)
{
    cr_assert(eq(int,
                 read_rules("{\"error_spike\":{\"count\":5,\"enabled\":false,\"percent\":null},"
                            "\"signup_drop\":{\"baseline\":7,\"critical_percent\":0},"
                            "\"resolve_minutes\":60}"),
                 INCIDENT_SPEC_OK));
    cr_assert(eq(u32, spec.given,
                 1u << INCIDENT_GIVES_SPIKE_COUNT | 1u << INCIDENT_GIVES_DROP_BASELINE |
                     1u << INCIDENT_GIVES_DROP_CRITICAL_PERCENT |
                     1u << INCIDENT_GIVES_RESOLVE_MINUTES));
    cr_assert(eq(u32, spec.numbers[INCIDENT_GIVES_SPIKE_COUNT], 5));
    cr_assert(eq(u32, spec.numbers[INCIDENT_GIVES_DROP_BASELINE], 7));
    cr_assert(eq(u32, spec.numbers[INCIDENT_GIVES_DROP_CRITICAL_PERCENT], 0));
    cr_assert(eq(u32, spec.numbers[INCIDENT_GIVES_RESOLVE_MINUTES], 60));
    cr_assert(spec.gives_spike_enabled);
    cr_assert(not(spec.spike_enabled));
    cr_assert(not(spec.gives_drop_enabled));
}

Test(incident_spec, takes_nothing_for_no_change)
{
    cr_assert(eq(int, read_rules("{}"), INCIDENT_SPEC_OK));
    cr_assert(eq(u32, spec.given, 0));
    cr_assert(eq(int, read_rules("{\"error_spike\":null,\"signup_drop\":{}}"), INCIDENT_SPEC_OK));
    cr_assert(eq(u32, spec.given, 0));
}

Test(incident_spec, refuses_rules_out_of_bounds_or_of_other_names)
{
    static const char *const wrong[] = {
        "{\"resolve_minutes\":4}",
        "{\"resolve_minutes\":61}",
        "{\"pending_minutes\":1.5}",
        "{\"reopen_minutes\":\"5\"}",
        "{\"error_spike\":{\"count\":0}}",
        "{\"error_spike\":{\"count\":1000000001}}",
        "{\"error_spike\":{\"baseline\":1}}",
        "{\"error_spike\":{\"enabled\":\"yes\"}}",
        "{\"error_spike\":[]}",
        "{\"signup_drop\":{\"percent\":101}}",
        "{\"count\":5}",
        "7",
    };

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        cr_assert(eq(int, read_rules(wrong[i]), INCIDENT_SPEC_INVALID), "%s", wrong[i]);
        cr_assert(lt(u32, 0, issues.count), "%s", wrong[i]);
    }
    cr_assert(eq(int, read_rules("{"), INCIDENT_SPEC_BAD_JSON));
    cr_assert(eq(int, read_rules("{} {}"), INCIDENT_SPEC_BAD_JSON));
}

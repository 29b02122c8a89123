#include "tools/sim/sim_fault_list.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static uint32_t parse(const char *text)
{
    uint32_t faults = UINT32_MAX;
    struct slice bad;

    cr_assert(sim_fault_list_parse(text, &faults, &bad), "%s", text);
    return faults;
}

static const char *write_list(uint32_t faults)
{
    static char text[SIM_FAULT_LIST_SIZE_MAX];

    sim_fault_list_write(faults, text);
    return text;
}

Test(sim_fault_list, reads_names_and_sets)
{
    cr_assert(eq(u32, parse("all"), SIM_FAULTS_ALL));
    cr_assert(eq(u32, parse("none"), 0));
    cr_assert(eq(u32, parse("disk,crash"), 1U << SIM_FAULT_DISK | 1U << SIM_FAULT_CRASH));
    cr_assert(eq(u32, parse("none,net"), 1U << SIM_FAULT_NET));
}

Test(sim_fault_list, takes_away_what_has_a_minus)
{
    uint32_t but_damage = SIM_FAULTS_ALL & ~(1U << SIM_FAULT_DAMAGE);

    cr_assert(eq(u32, parse("all,-damage"), but_damage));
    cr_assert(eq(u32, parse("-damage"), but_damage));
    cr_assert(eq(u32, parse("disk,net,-disk"), 1U << SIM_FAULT_NET));
    cr_assert(eq(u32, parse("-all"), 0));
}

Test(sim_fault_list, counts_words_from_left_to_right)
{
    cr_assert(eq(u32, parse("-disk,all"), SIM_FAULTS_ALL));
    cr_assert(eq(u32, parse("all,none"), SIM_FAULTS_ALL));
}

Test(sim_fault_list, names_the_word_that_it_does_not_know)
{
    static const struct {
        const char *text, *bad;
    } CASES[] = {{"disc", "disc"},
                 {"disk,fire,net", "fire"},
                 {"", ""},
                 {"disk,", ""},
                 {",disk", ""},
                 {"disk,,net", ""},
                 {"-", "-"},
                 {"all,-fire", "-fire"},
                 {"Disk", "Disk"},
                 {"disk ,net", "disk "},
                 {"--disk", "--disk"}};
    uint32_t faults = 7;

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct slice bad = {0};

        cr_assert(not(sim_fault_list_parse(CASES[i].text, &faults, &bad)), "%s", CASES[i].text);
        cr_assert(slice_equal(bad, slice_of(CASES[i].bad)), "%s", CASES[i].text);
        cr_assert(eq(u32, faults, 7));
    }
}

Test(sim_fault_list, writes_what_reads_back_the_same)
{
    for (uint32_t faults = 0; faults <= SIM_FAULTS_ALL; faults++)
        cr_assert(eq(u32, parse(write_list(faults)), faults), "%s", write_list(faults));
}

Test(sim_fault_list, writes_the_shorter_form)
{
    cr_assert(eq(str, (char *)write_list(SIM_FAULTS_ALL), "all"));
    cr_assert(eq(str, (char *)write_list(0), "none"));
    cr_assert(eq(str, (char *)write_list(1U << SIM_FAULT_NET), "net"));
    cr_assert(
        eq(str, (char *)write_list(SIM_FAULTS_ALL & ~(1U << SIM_FAULT_DAMAGE)), "all,-damage"));
}

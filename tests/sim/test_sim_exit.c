#include "tools/sim/sim_exit.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "runtime/sim_point.h"
#include "runtime/supervisor.h"
#include "tests/sim/weir_fixture.h"

enum { CLIENT_COUNT = 4 };

static const uint32_t MEMORY = 1U << SIM_FAULT_MEMORY;
static const uint32_t ALL = SIM_FAULTS_ALL;

static struct weir weir;
static struct weir_client clients[CLIENT_COUNT];
static uint32_t strike_count;

/* Every connection that is accepted ends its listener. */
static bool on_hit(struct sim_point_hook *hook, struct sim_point *point)
{
    (void)hook;
    if (strcmp(point->name, SIM_EXIT_LISTENER_FAILS) != 0)
        return false;
    strike_count++;
    return true;
}

static void ask_again(struct weir_client *client)
{
    weir_client_call(client, &(struct weir_call){.method = "GET", .path = "/livez"}, "");
    sim_http_client_drop(&client->http);
}

TestSuite(sim_exit, .timeout = 60);

Test(sim_exit, explains_that_a_root_gives_up_by_the_listeners_that_failed)
{
    struct sim_point_hook hook = {on_hit};
    enum sim_outcome outcome = SIM_REACHED;
    int exit_code;

    weir_begin(&weir, 1, 1);
    weir_start(&weir);
    weir_run_until_ready(&weir);
    sim_point_install(&hook);
    for (uint32_t i = 0; i < CLIENT_COUNT; i++) {
        weir_client_init(&clients[i], &weir, i, ask_again);
        ask_again(&clients[i]);
    }
    while (outcome == SIM_REACHED)
        outcome = weir_run_for(&weir, 100);
    sim_point_install(NULL);
    cr_assert(eq(int, outcome, SIM_ENDED));
    exit_code = sim_server_bury(&weir.process);
    cr_assert(eq(int, exit_code, 70), "%s", weir.process.text);
    cr_assert(sim_exit_is_explained(exit_code, MEMORY, strike_count), "%u strikes", strike_count);
    weir_end(&weir);
}

Test(sim_exit, explains_no_root_that_gives_up_without_reason)
{
    cr_assert(sim_exit_is_explained(70, MEMORY, SUPERVISOR_INTENSITY_DEFAULT + 1));
    cr_assert(not(sim_exit_is_explained(70, MEMORY, SUPERVISOR_INTENSITY_DEFAULT)));
    cr_assert(not(sim_exit_is_explained(70, ALL & ~MEMORY, SUPERVISOR_INTENSITY_DEFAULT + 1)));
}

Test(sim_exit, explains_a_broken_disk_by_faults_of_the_disk_only)
{
    for (int exit_code = 73; exit_code <= 74; exit_code++) {
        cr_assert(sim_exit_is_explained(exit_code, 1U << SIM_FAULT_DISK, 0));
        cr_assert(sim_exit_is_explained(exit_code, 1U << SIM_FAULT_SPACE, 0));
        cr_assert(not(sim_exit_is_explained(exit_code, 1U << SIM_FAULT_NET, 0)));
        cr_assert(not(sim_exit_is_explained(exit_code, 0, 0)));
    }
}

Test(sim_exit, explains_no_other_code)
{
    for (int exit_code = 1; exit_code < 256; exit_code++)
        if (exit_code != 70 && exit_code != 73 && exit_code != 74)
            cr_assert(not(sim_exit_is_explained(exit_code, ALL, 1000)), "%d", exit_code);
}

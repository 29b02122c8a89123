#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tools/sim/sim_model.h"

/*
 * The model must refuse what a correct server cannot say; a model that allows everything
 * would make every simulation pass.
 */
static struct sim_model model;
static uint32_t event;

static void setup(void)
{
    memset(&model, 0, sizeof(model));
    event = sim_model_add(&model, SIM_ITEM_NAMED, 1, 0);
}

static const char *ask(uint32_t variant, enum sim_answer answer)
{
    sim_model_send(&model, event, variant);
    return sim_model_answer(&model, event, variant, answer);
}

static struct sim_expectation expect(void)
{
    struct sim_expectation expectation;

    sim_model_expect(&model, event, &expectation);
    return expectation;
}

TestSuite(sim_model, .init = setup, .timeout = 5);

Test(sim_model, lets_an_id_be_new_once)
{
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
    cr_expect(eq(ptr, (void *)ask(0, SIM_ANSWER_DUPLICATE), NULL));
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
}

Test(sim_model, wants_what_was_acknowledged_to_be_there_once_with_its_body)
{
    cr_assert(eq(ptr, (void *)ask(1, SIM_ANSWER_NEW), NULL));
    cr_expect(eq(u32, expect().count_min, 1));
    cr_expect(eq(u32, expect().count_max, 1));
    cr_expect(expect().variants[1]);
    cr_expect(not(expect().variants[0]));
}

Test(sim_model, wants_nothing_of_what_was_refused)
{
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_REFUSED), NULL));
    cr_expect(eq(u32, expect().count_max, 0));
}

Test(sim_model, leaves_open_what_nobody_answered_until_the_log_tells)
{
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_UNKNOWN), NULL));
    cr_expect(eq(u32, expect().count_min, 0));
    cr_expect(eq(u32, expect().count_max, 1));

    sim_model_settle(&model, event, 0, 0);
    cr_expect(eq(u32, expect().count_max, 0));
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_DUPLICATE), NULL));
}

Test(sim_model, believes_a_duplicate_only_of_what_somebody_sent)
{
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_DUPLICATE), NULL));
    setup();
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_UNKNOWN), NULL));
    cr_expect(eq(ptr, (void *)ask(0, SIM_ANSWER_DUPLICATE), NULL));
    cr_expect(eq(u32, expect().count_min, 1));
}

Test(sim_model, believes_a_conflict_only_with_another_body)
{
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_CONFLICT), NULL));
    cr_expect(eq(ptr, (void *)ask(1, SIM_ANSWER_CONFLICT), NULL));
}

Test(sim_model, believes_in_flight_only_while_something_is)
{
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_IN_FLIGHT), NULL));
    sim_model_send(&model, event, 0);
    cr_expect(eq(ptr, (void *)ask(0, SIM_ANSWER_IN_FLIGHT), NULL));
    cr_assert(eq(ptr, (void *)sim_model_answer(&model, event, 0, SIM_ANSWER_NEW), NULL));
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_IN_FLIGHT), NULL));
}

Test(sim_model, allows_the_first_answer_to_come_after_that_of_its_duplicate)
{
    sim_model_send(&model, event, 0);
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_DUPLICATE), NULL));
    cr_expect(eq(ptr, (void *)sim_model_answer(&model, event, 0, SIM_ANSWER_NEW), NULL));
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
}

Test(sim_model, lets_a_server_forget_after_the_window_and_not_before)
{
    model.is_forgetful = true;
    model.window_ns = 1000;
    model.now_ns = 5000;
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
    model.now_ns = 5999;
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
    model.now_ns = 7000;
    cr_expect(eq(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
}

Test(sim_model, wants_the_time_of_the_first_acceptance_again)
{
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
    cr_assert(eq(ptr, (void *)sim_model_note_time(&model, event, "12:00", 5), NULL));
    cr_expect(eq(ptr, (void *)sim_model_note_time(&model, event, "12:00", 5), NULL));
    cr_expect(ne(ptr, (void *)sim_model_note_time(&model, event, "12:01", 5), NULL));
    cr_expect(ne(ptr, (void *)sim_model_note_time(&model, event, "", 0), NULL));
}

Test(sim_model, lets_a_key_be_misused_by_one_request_only)
{
    uint32_t key = sim_model_add(&model, SIM_ITEM_KEY, 1, 1);
    uint32_t unit = sim_model_add_unit(&model, event, 1, key, SIM_NONE);
    uint32_t misuse = sim_model_misuse(&model, unit);

    cr_expect(lt(u32, key, misuse));
    cr_expect(eq(u32, sim_model_misuse(&model, unit), misuse));
    cr_expect(eq(u32, model.items[misuse].kind, SIM_ITEM_NAMED));
    cr_expect(eq(u32, model.items[misuse].tenant, 1));
}

Test(sim_model, gives_a_key_that_was_lost_to_whoever_sends_it_first)
{
    event = sim_model_add(&model, SIM_ITEM_KEY, 1, 0);
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_STORED), NULL));
    cr_expect(ne(ptr, (void *)ask(1, SIM_ANSWER_STORED), NULL));
    sim_model_settle(&model, event, 0, 0);

    cr_assert(eq(ptr, (void *)ask(1, SIM_ANSWER_STORED), NULL));
    cr_expect(eq(ptr, (void *)ask(1, SIM_ANSWER_STORED), NULL));
    cr_expect(ne(ptr, (void *)ask(1, SIM_ANSWER_CONFLICT), NULL));
    cr_expect(eq(ptr, (void *)ask(0, SIM_ANSWER_CONFLICT), NULL));
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_STORED), NULL));
}

Test(sim_model, counts_each_event_without_an_id)
{
    event = sim_model_add(&model, SIM_ITEM_ANONYMOUS, 1, 0);
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_NEW), NULL));
    cr_assert(eq(ptr, (void *)ask(0, SIM_ANSWER_UNKNOWN), NULL));
    cr_expect(eq(u32, expect().count_min, 2));
    cr_expect(eq(u32, expect().count_max, 3));
    cr_expect(ne(ptr, (void *)ask(0, SIM_ANSWER_DUPLICATE), NULL));
}

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tools/sim/sim_call_model.h"

/*
 * What the model of calls must refuse: wrong behaviour is planted, one for each rule,
 * beside the right one.
 */
static struct sim_call_model model;
static uint32_t connection;

enum { TIMEOUT_MS = 10000, SLACK_MS = 2000 };

static const struct slice NOTHING = {NULL, 0};
static const struct sim_call_spec PLAIN = {.max_attempts = 3, .timeout_ms = TIMEOUT_MS};

static void setup(void)
{
    sim_call_model_init(&model);
    model.life = 1;
    model.is_exact = true;
    model.slack_ns = (uint64_t)SLACK_MS * 1000000;
    model.now_ns = 1000000000;
}

static void pass_ms(uint64_t ms)
{
    model.now_ns += ms * 1000000;
}

static struct slice id_of(uint32_t n)
{
    static char texts[8][SIM_JOB_ID_SIZE + 1];
    static uint32_t turn;
    char *text = texts[turn++ % ARRAY_COUNT(texts)];

    snprintf(text, SIM_JOB_ID_SIZE + 1, "01941f29-0000-7000-8000-%012x", n);
    return (struct slice){text, SIM_JOB_ID_SIZE};
}

/* An order that is accepted as the n-th job. */
static uint32_t order_as(const struct sim_call_spec *spec, uint32_t n)
{
    uint32_t order = sim_call_add(&model, spec);

    sim_call_send(&model, order);
    cr_assert(eq(ptr, (void *)sim_call_accepted(&model, order, id_of(n)), NULL));
    return order;
}

static bool arrives(uint32_t order, uint32_t n, uint32_t *ret_call)
{
    return sim_call_arrived(&model, order, 0, id_of(n), ++connection, ret_call) == NULL;
}

/* Arrives, and is answered so. */
static uint32_t call(uint32_t order, uint32_t n, enum sim_call_answer answer)
{
    uint32_t it = 0;

    cr_assert(arrives(order, n, &it));
    sim_call_answered(&model, it, connection, answer);
    return it;
}

static bool may_look_asked_at(uint64_t asked_ns, uint32_t it, enum sim_job_end end,
                              uint32_t attempt, const char *reason)
{
    struct sim_call_look look = {.end = end,
                                 .attempt = attempt,
                                 .max_attempts = 3,
                                 .status = end == SIM_JOB_COMPLETED ? 200 : 0,
                                 .reason = slice_of(reason),
                                 .asked_ns = asked_ns};

    return sim_call_looked(&model, it, &look) == NULL;
}

static bool may_look(uint32_t it, enum sim_job_end end, uint32_t attempt, const char *reason)
{
    return may_look_asked_at(model.now_ns, it, end, attempt, reason);
}

static bool becomes(uint32_t letter, struct slice id)
{
    return sim_call_replayed_as(&model, letter, id) == NULL;
}

TestSuite(sim_call_model, .init = setup, .timeout = 5);

Test(sim_call_model, knows_who_ordered_what)
{
    uint32_t order = order_as(&PLAIN, 1), it, refused = sim_call_add(&model, &PLAIN);

    cr_expect(arrives(order, 1, &it));
    cr_expect(not(arrives(7, 2, &it)), "nobody ordered it");
    cr_expect(not(arrives(refused, 2, &it)), "nobody sent it");
    sim_call_send(&model, refused);
    sim_call_refused(&model, refused);
    cr_expect(not(arrives(refused, 2, &it)), "it was refused");
    cr_expect(ne(ptr, (void *)sim_call_arrived(&model, order, 1, id_of(1), 9, &it), NULL));
    order = order_as(&PLAIN, 3);
    cr_expect(not(arrives(order, 1, &it)), "the id is another's");
}

Test(sim_call_model, wants_one_job_of_one_order)
{
    uint32_t order = order_as(&PLAIN, 1), it;

    cr_expect(not(arrives(order, 2, &it)));
}

Test(sim_call_model, wants_one_job_of_one_letter_however_often_it_is_replayed)
{
    uint32_t order = order_as(&PLAIN, 1), it = call(order, 1, SIM_CALL_NEVER);

    cr_assert(may_look(it, SIM_JOB_DEAD, 1, "not_retryable"));
    sim_call_replay(&model, it);
    sim_call_replay(&model, it);
    sim_call_replayed(&model, it);
    cr_expect(ne(ptr, (void *)sim_call_settled(&model, order), NULL), "it has to come");
    cr_expect(arrives(order, 2, &it));
    cr_expect(eq(ptr, (void *)sim_call_settled(&model, order), NULL));
    cr_expect(not(arrives(order, 3, &it)));
}

Test(sim_call_model, knows_a_job_from_its_letter_that_never_came_to_the_peer)
{
    uint32_t order = order_as(&PLAIN, 1), it = call(order, 1, SIM_CALL_NEVER), made;

    sim_call_replay(&model, it);
    sim_call_replayed(&model, it);
    cr_assert(becomes(it, id_of(2)));
    cr_expect(eq(ptr, (void *)sim_call_settled(&model, order), NULL));
    made = sim_call_find(&model, id_of(2));
    cr_assert(ne(u32, made, SIM_JOB_NONE));
    cr_expect(may_look(made, SIM_JOB_DEAD, 3, "attempts_exhausted"));
    cr_expect(ne(ptr, (void *)sim_call_called_unknown(&model, made), NULL), "it must be there");
    cr_expect(not(arrives(order, 3, &made)), "there is one already");
}

Test(sim_call_model, believes_a_letter_only_a_job_of_its_own)
{
    uint32_t order = order_as(&PLAIN, 1), it = call(order, 1, SIM_CALL_NEVER), made;

    order_as(&PLAIN, 9);
    sim_call_replay(&model, it);
    cr_expect(becomes(it, NOTHING), "no replay said that it is done");
    sim_call_replayed(&model, it);
    cr_expect(not(becomes(it, NOTHING)));
    cr_expect(not(becomes(it, id_of(1))), "that is itself");
    cr_expect(not(becomes(it, id_of(9))), "that is of another order");
    cr_assert(arrives(order, 2, &made));
    cr_expect(not(becomes(it, id_of(3))), "one has come already");
    setup();
    it = call(order_as(&PLAIN, 1), 1, SIM_CALL_NEVER);
    sim_call_replay(&model, it);
    cr_assert(becomes(it, id_of(2)));
    cr_expect(not(becomes(it, id_of(2))), "another letter has become it");
}

Test(sim_call_model, lets_a_letter_be_gone_where_jobs_are_forgotten)
{
    uint32_t it = call(order_as(&PLAIN, 1), 1, SIM_CALL_NEVER);

    model.forgets = true;
    sim_call_replay(&model, it);
    sim_call_replayed(&model, it);
    cr_expect(becomes(it, NOTHING));
}

Test(sim_call_model, wants_a_job_of_a_schedule_each_minute_and_no_more)
{
    struct sim_call_spec spec = PLAIN;
    uint32_t order, it;

    spec.is_schedule = true;
    order = sim_call_add(&model, &spec);
    sim_call_send(&model, order);
    cr_assert(eq(ptr, (void *)sim_call_accepted(&model, order, (struct slice){NULL, 0}), NULL));
    cr_expect(ne(ptr, (void *)sim_call_settled(&model, order), NULL));
    pass_ms(59000);
    cr_expect(arrives(order, 1, &it));
    cr_expect(not(arrives(order, 2, &it)));
    setup();
    order = sim_call_add(&model, &spec);
    sim_call_send(&model, order);
    cr_expect(not(arrives(order, 1, &it)), "the minute is not over");
}

Test(sim_call_model, believes_no_end_that_the_peer_did_not_see)
{
    uint32_t it = call(order_as(&PLAIN, 1), 1, SIM_CALL_FAILED);

    cr_expect(not(may_look(it, SIM_JOB_COMPLETED, 1, "")));
    cr_expect(not(may_look(it, SIM_JOB_CANCELLED, 1, "")));
    cr_expect(not(may_look(it, SIM_JOB_DEAD, 1, "attempts_exhausted")));
    cr_expect(not(may_look(it, SIM_JOB_DEAD, 1, "not_retryable")));
    cr_expect(not(may_look(it, SIM_JOB_DEAD, 1, "poison")));
    cr_expect(not(may_look(it, SIM_JOB_LIVE, 3, "")), "no attempt is left");
}

Test(sim_call_model, sees_no_end_revert_and_no_call_after_it)
{
    uint32_t order = order_as(&PLAIN, 1), it = call(order, 1, SIM_CALL_GOOD);

    cr_assert(may_look(it, SIM_JOB_COMPLETED, 1, ""));
    pass_ms(1);
    cr_expect(not(may_look(it, SIM_JOB_LIVE, 1, "")));
    cr_expect(ne(ptr, (void *)sim_call_called_unknown(&model, it), NULL));
    pass_ms(SLACK_MS + 1);
    cr_expect(not(arrives(order, 1, &it)));
}

Test(sim_call_model, knows_that_an_answer_may_be_older_than_the_end)
{
    uint32_t it = call(order_as(&PLAIN, 1), 1, SIM_CALL_GOOD);
    uint64_t before_ns = model.now_ns;

    pass_ms(1000);
    cr_assert(may_look(it, SIM_JOB_COMPLETED, 1, ""));
    pass_ms(1000);
    cr_expect(may_look_asked_at(before_ns, it, SIM_JOB_LIVE, 1, ""));
    cr_expect(not(may_look_asked_at(before_ns, it, SIM_JOB_DEAD, 3, "attempts_exhausted")),
              "there is one end only");
    cr_expect(not(may_look(it, SIM_JOB_LIVE, 1, "")), "it was asked after the end");
}

Test(sim_call_model, lets_a_job_be_carried_out_once_at_a_time)
{
    uint32_t order = order_as(&PLAIN, 1), it;

    cr_assert(arrives(order, 1, &it));
    pass_ms(1000);
    cr_expect(not(arrives(order, 1, &it)));
    pass_ms(TIMEOUT_MS);
    cr_expect(arrives(order, 1, &it), "the first has been given up");
    model.life++;
    cr_expect(arrives(order, 1, &it), "of another process");
}

Test(sim_call_model, knows_that_a_request_may_arrive_when_its_sender_is_gone)
{
    uint32_t order = order_as(&PLAIN, 1), it;

    model.life++;
    model.life_ns = model.now_ns;
    pass_ms(1);
    cr_assert(arrives(order, 1, &it), "sent before the start");
    pass_ms(1);
    cr_expect(arrives(order, 1, &it), "sent again by the process that runs now");
    pass_ms(1000);
    cr_assert(arrives(order, 1, &it));
    pass_ms(1);
    cr_expect(not(arrives(order, 1, &it)), "both are of this process");
}

/* So many failures in a row, that the server knows of. */
static void fail_often(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        pass_ms(SLACK_MS + 1);
        (void)call(order_as(&PLAIN, 100 + i), 100 + i, SIM_CALL_FAILED);
    }
}

Test(sim_call_model, lets_one_probe_out_at_a_time_when_a_breaker_must_be_open)
{
    uint32_t it;

    (void)call(order_as(&PLAIN, 1), 1, SIM_CALL_FAILED);
    fail_often(5);
    pass_ms(31000);
    cr_assert(arrives(order_as(&PLAIN, 2), 2, &it));
    pass_ms(10);
    cr_expect(not(arrives(order_as(&PLAIN, 3), 3, &it)));
    setup();
    (void)call(order_as(&PLAIN, 1), 1, SIM_CALL_FAILED);
    fail_often(4);
    pass_ms(31000);
    cr_assert(arrives(order_as(&PLAIN, 2), 2, &it));
    cr_expect(arrives(order_as(&PLAIN, 3), 3, &it), "it may be closed");
}

Test(sim_call_model, wants_few_calls_to_a_peer_that_fails)
{
    uint32_t it, count = 0;

    (void)call(order_as(&PLAIN, 1), 1, SIM_CALL_FAILED);
    pass_ms(SLACK_MS + 1);
    for (uint32_t order = order_as(&PLAIN, 2); arrives(order, 2, &it) && count < 1000; count++)
        sim_call_answered(&model, it, connection, SIM_CALL_FAILED);
    cr_expect(lt(u32, 20, count));
    cr_expect(lt(u32, count, 100));
}

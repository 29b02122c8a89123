#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "contracts/job_kinds.h"
#include "runtime/retry.h"
#include "tests/store/job_fixture.h"

static void setup(void)
{
    struct job_table_config config = job_fixture_config();

    job_fixture_new(&config);
}

TestSuite(job_queues, .init = setup, .fini = job_fixture_end, .timeout = 60);

/* --- what a queue begins with ------------------------------------------------------- */

Test(job_queues, begins_with_what_its_kind_asks_for)
{
    for (uint32_t i = 0; i < job_kind_count(); i++) {
        const struct job_kind *kind = job_kind_at(i);
        struct job_ask ask = {.kind = kind->name.data};
        struct job_view view = job_fixture_view(job_fixture_enqueue(&ask));
        const struct job_queue_settings *settings = &view.queue->settings;

        cr_expect(eq(u8, view.max_attempts, 3));
        cr_expect(eq(u32, settings->timeout_ms, 15 * 60 * 1000));
        cr_expect(eq(u8, settings->retry.is_set, 1));
        cr_expect(eq(u32, settings->retry.base_ms, kind->base_ms));
        cr_expect(eq(u32, settings->retry.cap_ms, kind->cap_ms));
        cr_expect(eq(u8, settings->retry.factor, kind->factor));
        cr_expect(eq(u8, settings->retry.jitter,
                     kind->has_jitter ? RETRY_JITTER_FULL : RETRY_JITTER_NONE));
    }
}

Test(job_queues, begins_without_settings_when_the_kind_is_the_users_own)
{
    const struct job_queue_settings none = {0};

    cr_assert(eq(int, memcmp(&job_fixture_queue("mail")->settings, &none, sizeof(none)), 0));
}

Test(job_queues, lets_the_job_and_what_was_set_go_before_the_kind)
{
    struct job_ask ask = {.kind = "triage.ticket", .max_attempts = 7};
    struct job_queue *queue = job_fixture_queue("triage.ticket");
    struct job_queue_settings settings = queue->settings;

    cr_expect(eq(u8, job_fixture_view(job_fixture_enqueue(&ask)).max_attempts, 7));
    settings.retry.max_attempts = 5;
    settings.timeout_ms = 0;
    job_table_apply_queue(table, queue, &settings, job_fixture_location(0));
    ask.max_attempts = 0;
    cr_expect(eq(u8, job_fixture_view(job_fixture_enqueue(&ask)).max_attempts, 5));
    cr_expect(zero(u32, job_fixture_queue("triage.ticket")->settings.timeout_ms));
}

/* --- the key of a request ------------------------------------------------------------- */

Test(job_queues, looks_the_key_of_a_request_up_in_the_whole_project)
{
    struct job_ask ask = {.kind = "mail",
                          .unique = JOB_UNIQUE_IDEMPOTENCY,
                          .unique_key = 5,
                          .unique_until_ms = T0 + 1000,
                          .body_hash = 7};
    struct job_ref ref;
    uint64_t first = job_fixture_enqueue(&ask);

    ask.kind = "sms";
    ask.body_hash = 8;
    cr_assert(eq(int, job_fixture_admit(&ask, first + 1, &ref), JOB_CONFLICT));
    cr_expect(eq(u64, job_fixture_view(first).ref.index, ref.index));
    ask.body_hash = 7;
    cr_assert(eq(int, job_fixture_admit(&ask, first + 1, &ref), JOB_DUPLICATE));
    ask.project = "q";
    cr_assert(eq(int, job_fixture_admit(&ask, first + 1, &ref), JOB_ADMITTED));
    job_table_withdraw(table, ref);
    cr_expect(eq(u32, job_fixture_audit(), 0));
}

Test(job_queues, gives_the_key_of_a_request_to_the_next_kind_when_its_window_is_over)
{
    struct job_ask ask = {.kind = "mail",
                          .unique = JOB_UNIQUE_IDEMPOTENCY,
                          .unique_key = 5,
                          .unique_until_ms = T0 + 1000,
                          .body_hash = 7};
    struct job_ref ref;
    uint64_t next;

    job_fixture_enqueue(&ask);
    now_ms = T0 + 1000;
    ask.kind = "sms";
    ask.body_hash = 8;
    ask.unique_until_ms = T0 + 9000;
    next = job_fixture_enqueue(&ask);
    ask.kind = "mail";
    cr_assert(eq(int, job_fixture_admit(&ask, next + 1, &ref), JOB_DUPLICATE));
    cr_expect(eq(u32, job_fixture_view(next).ref.index, ref.index));
    job_fixture_restart();
    cr_assert(eq(int, job_fixture_admit(&ask, next + 1, &ref), JOB_DUPLICATE));
    cr_expect(eq(u32, job_fixture_view(next).ref.index, ref.index));
}

Test(job_queues, keeps_other_unique_keys_apart_by_kind)
{
    struct job_ask ask = {.kind = "mail", .unique = JOB_UNIQUE_SINGLETON, .unique_key = 5};

    cr_expect(ne(u64, job_fixture_enqueue(&ask), 0));
    ask.kind = "sms";
    cr_expect(ne(u64, job_fixture_enqueue(&ask), 0));
}

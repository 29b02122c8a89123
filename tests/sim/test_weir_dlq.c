#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_calls.h"
#include "tests/sim/weir_letters.h"

/*
 * Dead letters in the real server: jobs of several projects on several shards that die, are
 * listed and shown, dropped and carried forward.
 */
enum {
    JOB_COUNT = WEIR_LETTERS_JOB_COUNT,
    KEYED_COUNT = WEIR_LETTERS_KEYED_COUNT,
    TOTAL = WEIR_LETTERS_TOTAL,
};

static struct weir weir;
static struct weir_client client;
static struct weir_letters letters;

TestSuite(weir_dlq, .timeout = 300);

/* --- dying ---------------------------------------------------------------- */

Test(weir_dlq, a_job_dies_with_its_first_and_last_error_and_their_times)
{
    char id[WEIR_ID_SIZE + 1], epoch[32], first_at[32], dead_at[32], path[96], text[256];
    uint32_t offset;

    weir_begin(&weir, 1, 2);
    weir_letters_begin(&letters, &weir, &client);
    cr_assert(
        eq(u32,
           weir_letters_ask_as(&letters, 0, "PUT", "/v1/queues/mail",
                               "{\"retry\":{\"base_ms\":1000,\"cap_ms\":1000,\"max_attempts\":3}}"),
           200));
    weir_enqueue(&client, letters.keys[0],
                 "{\"kind\":\"mail\",\"key\":\"k\",\"payload\":{\"number\":7}}", id);
    snprintf(path, sizeof(path), "/v1/jobs/%s/fail", id);
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        cr_assert(eq(u32,
                     weir_letters_ask_as(&letters, 0, "POST", "/v1/jobs/mail/lease",
                                         "{\"wait_seconds\":10}"),
                     200));
        offset = 0;
        cr_assert(weir_answer_string(&client.request, "epoch", &offset, epoch, sizeof(epoch)));
        snprintf(text, sizeof(text), "{\"epoch\":\"%s\",\"error\":\"error %u\"}", epoch, attempt);
        cr_assert(eq(u32, weir_letters_ask_as(&letters, 0, "POST", path, text), 200));
        cr_expect(eq(u32, weir_letters_count(&letters, ""), attempt == 2 ? 1 : 0));
    }
    for (uint32_t start = 0; start < 2; start++) {
        cr_assert(eq(u32, weir_letters_ask_for(&letters, "GET", id), 200));
        cr_expect(weir_answer_has(&client.request, "\"origin\":\"job:mail\""));
        snprintf(text, sizeof(text),
                 "\"reason\":\"attempts_exhausted\",\"key\":\"k\",\"attempts\":3,"
                 "\"last_epoch\":\"%s\",\"first_error\":\"error 0\",\"last_error\":\"error 2\"",
                 epoch);
        cr_expect(weir_answer_has(&client.request, text), "%s", client.answer);
        cr_expect(weir_answer_has(&client.request, "\"payload\":{\"number\":7}"));
        offset = 0;
        cr_assert(weir_answer_string(&client.request, "first_failed_at", &offset, first_at,
                                     sizeof(first_at)));
        cr_assert(
            weir_answer_string(&client.request, "dead_at", &offset, dead_at, sizeof(dead_at)));
        cr_expect(strcmp(first_at, dead_at) < 0);
        weir_crash(&weir);
        weir_letters_restart(&letters);
    }
    weir_end(&weir);
}

Test(weir_dlq, jobs_are_put_off_while_there_is_no_room_for_dead_letters)
{
    weir_begin(&weir, 2, 1);
    weir.process.settings.job_dead = 3; /* and one more: it is divided by the shards */
    weir_letters_begin(&letters, &weir, &client);
    weir_letters_enqueue(&letters, 0, KEYED_COUNT, JOB_COUNT, "mail");
    cr_assert(eq(u32, weir_letters_fail(&letters, 0, "mail"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, weir_letters_count(&letters, ""), 4));
    cr_assert(eq(u32, weir_letters_ask_as(&letters, 0, "GET", "/v1/queues/mail", ""), 200));
    cr_expect(eq(u64, weir_letters_number(&letters, "dead"), 4));
    /* The source is held up, nothing is lost. */
    cr_expect(eq(u64, weir_letters_number(&letters, "scheduled"), 2));
    weir_let_pass(&weir, 65000);
    cr_assert(eq(u32, weir_letters_fail(&letters, 0, "mail"), 2));
    cr_expect(eq(u32, weir_letters_count(&letters, ""), 4));
    for (uint32_t i = KEYED_COUNT; i < JOB_COUNT; i++)
        (void)weir_letters_ask_for(&letters, "DELETE", letters.ids[i]);
    weir_let_pass(&weir, 65000);
    cr_assert(eq(u32, weir_letters_fail(&letters, 0, "mail"), 2));
    cr_expect(eq(u32, weir_letters_count(&letters, ""), 2));
    weir_stop(&weir);
    weir_end(&weir);
}

/* --- looking -------------------------------------------------------------- */

Test(weir_dlq, filters_let_through_what_they_say_on_all_shards)
{
    char path[WEIR_LETTERS_PATH_SIZE];

    weir_begin(&weir, 3, 4);
    weir_letters_begin(&letters, &weir, &client);
    weir_letters_make(&letters);
    weir_letters_enqueue(&letters, 1, KEYED_COUNT, JOB_COUNT, "report");
    cr_assert(eq(u32, weir_letters_fail(&letters, 1, "report"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, weir_letters_count(&letters, ""), TOTAL + JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, weir_letters_count(&letters, "&origin=job:mail"), TOTAL));
    cr_expect(eq(u32, weir_letters_count(&letters, "&origin=job:report"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, weir_letters_count(&letters, "&project=project2"), JOB_COUNT));
    cr_expect(eq(u32, weir_letters_count(&letters, "&org=org&project=project1"),
                 2 * JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, weir_letters_count(&letters, "&org=other"), 0));
    cr_expect(eq(u32, weir_letters_count(&letters, "&reason=poison"), 0));
    cr_expect(eq(u32, weir_letters_count(&letters, "&since=2100-01-01T00:00:00Z"), 0));
    cr_expect(eq(u32, weir_letters_count(&letters, "&until=2000-01-01T00:00:00Z"), 0));
    cr_assert(eq(u32,
                 weir_letters_ask(&letters, "POST", "/v1/admin/dlq/replay",
                                  "{\"filter\":{\"project\":\"project1\"},\"dry_run\":true}"),
                 200));
    cr_expect(eq(u64, weir_letters_number(&letters, "matching"), 2 * JOB_COUNT - KEYED_COUNT));
    weir_letters_begin_replay(&letters, "{\"filter\":{\"origin\":\"job:report\"},\"rate\":10000}",
                              path);
    weir_letters_finish_replay(&letters, path);
    cr_expect(eq(u64, weir_letters_number(&letters, "done"), JOB_COUNT - KEYED_COUNT));
    cr_expect(eq(u32, weir_letters_count(&letters, ""), TOTAL));
    weir_stop(&weir);
    weir_end(&weir);
}

Test(weir_dlq, pages_neither_skip_nor_repeat_while_letters_come_and_go)
{
    char cursor[96] = "", path[256], id[WEIR_ID_SIZE + 1], cut[WEIR_ID_SIZE + 1];
    bool seen[TOTAL] = {false};
    uint32_t count = 0, pages = 0;

    weir_begin(&weir, 4, 4);
    weir_letters_begin(&letters, &weir, &client);
    weir_letters_make(&letters);
    do {
        uint32_t offset = 0;

        snprintf(path, sizeof(path), "/v1/admin/dlq?limit=5%s%s",
                 cursor[0] != '\0' ? "&cursor=" : "", cursor);
        cr_assert(eq(u32, weir_letters_ask(&letters, "GET", path, ""), 200));
        cut[0] = '\0';
        while (weir_answer_string(&client.request, "id", &offset, id, sizeof(id)))
            for (uint32_t i = 0; i < TOTAL; i++)
                if (strcmp(letters.ids[i], id) == 0) {
                    cr_assert(not(seen[i]), "%u is shown twice", i);
                    seen[i] = true;
                    count++;
                    memcpy(cut, id, sizeof(cut));
                }
        offset = 0;
        if (!weir_answer_string(&client.request, "next_cursor", &offset, cursor, sizeof(cursor)))
            break;
        /* The last one shown goes, with the place that the cursor names; a new one comes. */
        cr_assert(eq(u32, weir_letters_ask_for(&letters, "DELETE", cut), 200));
        cr_assert(eq(u32, weir_letters_ask_for(&letters, "DELETE", cut), 404));
        weir_enqueue(&client, letters.keys[0],
                     "{\"kind\":\"other\",\"payload\":{\"number\":0},\"max_attempts\":1}", id);
        memcpy(cut, letters.ids[0], sizeof(cut));
        cr_assert(eq(u32, weir_letters_fail(&letters, 0, "other"), 1));
        memcpy(letters.ids[0], cut, sizeof(cut)); /* where the new one was noted */
    } while (++pages < 100);
    cr_expect(eq(u32, count, TOTAL));
    weir_stop(&weir);
    weir_end(&weir);
}

/* --- carried forward ------------------------------------------------------ */

/*
 * Events fill segment after segment, until all there was before has been written again. They are
 * deploys: so many errors would open an incident, whose job dies here, where nothing can be read.
 */
static void fill_log(void)
{
    uint64_t carried = weir_metric(&weir, weir.process.app.metrics.jobs.carried);

    for (uint32_t i = 0; i < 3000; i++) {
        weir_send_filler(&client, "deploy", i);
        if (weir_metric(&weir, weir.process.app.metrics.jobs.carried) >= carried + TOTAL)
            return;
    }
    cr_assert(false, "nothing is carried forward");
}

Test(weir_dlq, letters_that_were_carried_forward_are_read_and_replayed_as_they_were)
{
    struct weir_call call = {.path = "/v1/jobs", .idempotency_key = "once"};
    static const char once[] = "{\"kind\":\"once\",\"payload\":{\"number\":0},\"max_attempts\":1}";
    static const char alone[] = "{\"kind\":\"alone\",\"payload\":{\"number\":1},"
                                "\"max_attempts\":1,\"unique\":\"u\"}";
    char path[WEIR_LETTERS_PATH_SIZE];
    char first[WEIR_ID_SIZE + 1], again[WEIR_ID_SIZE + 1], kept[WEIR_ID_SIZE + 1];
    uint32_t offset = 0;

    weir_begin(&weir, 9, 1);
    weir.process.settings.segment_bytes = 128 << 10;
    weir.process.settings.retain_bytes = 512 << 10;
    weir_letters_begin(&letters, &weir, &client);
    call.key = letters.keys[0];
    cr_assert(eq(u32, weir_ask(&client, &call, once), 202));
    cr_assert(weir_answer_string(&client.request, "id", &offset, first, sizeof(first)));
    cr_assert(eq(u32, weir_letters_fail(&letters, 0, "once"), 1));
    weir_enqueue(&client, letters.keys[0], alone, kept);
    cr_assert(eq(u32, weir_letters_fail(&letters, 0, "alone"), 1));
    weir_letters_make(&letters);
    fill_log();
    weir_crash(&weir);
    weir_letters_restart(&letters);
    fill_log();
    cr_assert(eq(u32, weir_letters_count(&letters, ""), TOTAL + 2));
    cr_expect(not(weir_answer_has(&client.request, "unreadable")));
    cr_expect(weir_answer_has(&client.request, "\"key\":\"k\""));
    cr_assert(eq(u32, weir_letters_ask_for(&letters, "GET", kept), 200));
    cr_expect(
        weir_answer_has(&client.request, "\"first_error\":\"error 1\",\"last_error\":\"error 1\""));
    cr_expect(weir_answer_has(&client.request, "\"payload\":{\"number\":1}"));
    /* Another one with its unique key lives: the letter has to stay. */
    weir_enqueue(&client, letters.keys[0], alone, again);
    cr_expect(weir_answer_has(&client.request, "\"duplicate\":false"));
    weir_letters_begin_replay(&letters, "{\"filter\":{\"origin\":\"job:alone\"}}", path);
    weir_letters_finish_replay(&letters, path);
    cr_expect(eq(u64, weir_letters_number(&letters, "failed"), 1));
    /* The idempotency key goes with the replay. */
    weir_letters_begin_replay(&letters, "{\"filter\":{\"origin\":\"job:once\"}}", path);
    weir_letters_finish_replay(&letters, path);
    cr_expect(eq(u64, weir_letters_number(&letters, "done"), 1));
    cr_assert(eq(u32, weir_ask(&client, &call, once), 202));
    offset = 0;
    cr_assert(weir_answer_string(&client.request, "id", &offset, again, sizeof(again)));
    cr_expect(weir_answer_has(&client.request, "\"duplicate\":true"));
    cr_expect(strcmp(first, again) != 0);
    weir_letters_begin_replay(&letters, "{\"filter\":{\"origin\":\"job:mail\"},\"rate\":5000}",
                              path);
    weir_letters_finish_replay(&letters, path);
    weir_letters_check_jobs(&letters);
    weir_stop(&weir);
    weir_end(&weir);
}

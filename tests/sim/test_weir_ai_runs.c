#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tests/sim/weir_calls.h"
#include "tests/sim/weir_model.h"

/*
 * AI runs as durable records: carried out of segments before these go, together, and read again
 * when the disk fails meanwhile; found by the next start; forgotten when they are damaged or too
 * old. How they come about, and what they say, is in test_weir_summary.c.
 *
 * To have old segments reclaimed, the log is filled with jobs that nobody needs any more.
 */
static struct weir_model model;

static void begin(uint64_t seed)
{
    weir_model_begin(&model, seed);
    weir_model_start(&model);
}

/* The first summary of the world, and with it a run. */
static void make_run(char ret_id[WEIR_ID_SIZE + 1])
{
    weir_model_enqueue(&model, "i1", ret_id);
    weir_away_run_until(&model.away, 1);
    weir_let_pass(&model.weir, 100);
}

/* Jobs of a worker's, large enough that few of them fill a segment; cancelled at once. */
static void fill_log(uint32_t job_count)
{
    static char body[60000];
    int size = snprintf(body, sizeof(body), "{\"kind\":\"filler\",\"payload\":\"");

    memset(body + size, 'x', sizeof(body) - 100 - (size_t)size);
    snprintf(body + sizeof(body) - 100, 100, "\"}");
    for (uint32_t i = 0; i < job_count; i++) {
        char id[WEIR_ID_SIZE + 1];

        weir_enqueue(&model.client, NULL, body, id);
        weir_cancel_job(&model.client, id);
    }
}

TestSuite(weir_ai_runs, .timeout = 350);

Test(weir_ai_runs, is_still_on_record_when_the_segment_it_was_written_to_has_gone)
{
    struct journal_location before;
    char id[WEIR_ID_SIZE + 1];

    begin(18);
    make_run(id);
    before = weir_model_find_run(&model, id);
    for (uint32_t i = 0; i < 20 && weir_model_find_run(&model, id).bits == before.bits; i++) {
        fill_log(20);
        weir_let_pass(&model.weir, 5000);
    }
    cr_assert(ne(u64, weir_model_find_run(&model, id).bits, before.bits));
    weir_model_read_run(&model, id);
    cr_assert(eq(u32, model.image.header.revision, 1));
    cr_assert(eq(int, model.image.header.state, AI_RUN_SUCCEEDED));
    weir_stop(&model.weir);
    weir_model_start(&model);
    cr_assert(eq(u32, ai_run_table_count(&weir_model_runs(&model)->table), 1));
    weir_model_read_run(&model, id);
    cr_assert(weir_model_section_is(&model, AI_RUN_SECTION_INCIDENT, "i1"));
    weir_model_end(&model);
}

/* No segment goes before the run that it has could be read, or all hope for that is gone. */
Test(weir_ai_runs, is_still_on_record_when_the_disk_fails_while_it_is_carried)
{
    struct journal_location before;
    char id[WEIR_ID_SIZE + 1];

    begin(25);
    make_run(id);
    before = weir_model_find_run(&model, id);
    model.weir.server->faults.read_error.always = true;
    for (uint32_t i = 0; i < 10; i++) {
        fill_log(20);
        weir_let_pass(&model.weir, 1000);
    }
    cr_assert(lt(u32, 2, weir_model_runs(&model)->try_count));
    cr_assert(eq(u64, weir_model_find_run(&model, id).bits, before.bits));
    sim_faults_init(&model.weir.server->faults);
    weir_let_pass(&model.weir, 5000);
    cr_assert(lt(u64, journal_location_seq(before),
                 journal_location_seq(weir_model_find_run(&model, id))));
    cr_assert(eq(u32, weir_model_runs(&model)->try_count, 0));
    weir_model_read_run(&model, id);
    weir_model_end(&model);
}

/* The log grows meanwhile, however little the disk failed. */
Test(weir_ai_runs, is_carried_soon_after_the_disk_could_not_read_it)
{
    struct journal_location before;
    char id[WEIR_ID_SIZE + 1];

    begin(87528);
    make_run(id);
    before = weir_model_find_run(&model, id);
    model.weir.server->faults.read_error.always = true;
    for (uint32_t i = 0; i < 200 && !weir_model_runs(&model)->has_unread; i++)
        fill_log(1);
    cr_assert(weir_model_runs(&model)->has_unread);
    sim_faults_init(&model.weir.server->faults);
    weir_let_pass(&model.weir, 20 * AI_RUNS_DISK_MS);
    cr_assert(lt(u64, journal_location_seq(before),
                 journal_location_seq(weir_model_find_run(&model, id))));
    weir_model_end(&model);
}

/* As after damage: a log that was cut and written to again has another record there. */
Test(weir_ai_runs, is_not_taken_from_the_record_of_another)
{
    char id[WEIR_ID_SIZE + 1], other[WEIR_ID_SIZE + 1];
    struct journal_location before;

    begin(83939);
    weir_model_enqueue(&model, "i1", id);
    weir_model_enqueue(&model, "i1", other);
    weir_away_run_until(&model.away, 2);
    weir_let_pass(&model.weir, 1000);
    before = weir_model_find_run(&model, other);
    ai_run_table_find(&weir_model_runs(&model)->table, weir_model_id_low(id))->location = before;
    for (uint32_t i = 0; i < 20 && weir_model_find_run(&model, other).bits == before.bits; i++) {
        fill_log(20);
        weir_let_pass(&model.weir, 5000);
    }
    cr_assert(lt(u64, journal_location_seq(before),
                 journal_location_seq(weir_model_find_run(&model, other))));
    cr_assert(eq(u64, weir_model_find_run(&model, id).bits, JOURNAL_LOCATION_NONE.bits));
    weir_model_end(&model);
}

/* One by one in blocks of their own they would make the log the larger the more it is reclaimed. */
Test(weir_ai_runs, stands_in_a_block_with_others_when_it_was_carried)
{
    enum { RUN_COUNT = 32 };

    static char ids[RUN_COUNT][WEIR_ID_SIZE + 1];
    uint64_t blocks[RUN_COUNT];
    struct journal_location before;
    uint32_t block_count = 0;

    begin(23);
    for (uint32_t i = 0; i < RUN_COUNT; i++)
        weir_model_enqueue(&model, "i1", ids[i]);
    weir_away_run_until(&model.away, RUN_COUNT);
    weir_let_pass(&model.weir, 1000);
    before = weir_model_find_run(&model, ids[RUN_COUNT - 1]);
    for (uint32_t i = 0; i < 20; i++) {
        if (weir_model_find_run(&model, ids[RUN_COUNT - 1]).bits != before.bits)
            break;
        fill_log(20);
        weir_let_pass(&model.weir, 5000);
    }
    for (uint32_t i = 0; i < RUN_COUNT; i++) {
        struct journal_location location = weir_model_find_run(&model, ids[i]);
        uint32_t known = 0;

        cr_assert(lt(u64, journal_location_seq(before), journal_location_seq(location)));
        blocks[block_count] = journal_location_offset(location) / SEGMENT_BLOCK_SIZE;
        while (blocks[known] != blocks[block_count])
            known++;
        block_count += known == block_count;
    }
    cr_assert(lt(u32, block_count, RUN_COUNT / 2));
    weir_model_end(&model);
}

Test(weir_ai_runs, goes_from_the_log_when_it_is_older_than_what_is_kept)
{
    char id[WEIR_ID_SIZE + 1];

    begin(19);
    model.weir.process.settings.read_model_days = 1;
    make_run(id);
    weir_let_pass(&model.weir, 25 * 3600000);
    for (uint32_t i = 0; i < 20 && ai_run_table_count(&weir_model_runs(&model)->table) > 0; i++) {
        fill_log(20);
        weir_let_pass(&model.weir, 5000);
    }
    cr_assert(zero(u32, ai_run_table_count(&weir_model_runs(&model)->table)));
    cr_assert(zero(u64, weir_model_runs(&model)->table.live_bytes));
    weir_model_end(&model);
}

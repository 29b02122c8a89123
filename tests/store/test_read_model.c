#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "read_fixture.h"
#include "tests/support/test_shards.h"

/* One that asks, and what it was told. */
struct asker {
    struct read_query query;
    uint32_t answer_count;
    enum read_result result;
    char answer[8192];
};

static struct read_fixture fixture;
static struct read_model *model;
static struct read_port ports[2];
static struct asker askers[READ_QUEUE_MAX + 1];

static void setup(void)
{
    read_fixture_begin(&fixture, 21);
    test_shards_new(2);
    read_fixture_add(&fixture, 50);
}

static void teardown(void)
{
    read_model_free(&model);
    test_shards_free();
    read_fixture_end(&fixture);
}

TestSuite(read_model, .init = setup, .fini = teardown, .timeout = 60);

/* Makes one that believes the log to be durable up to lsn. */
static void start(uint64_t lsn)
{
    struct read_model_config config = {
        .disk = fixture.log.disk,
        .data_path = "data",
        .uuid = fixture.log.superblock.uuid,
        .log_count = 1,
        .clock_source = &test_shards.clock_source,
    };

    cr_assert(eq(int, read_model_new(&config, &model), 0));
    for (uint32_t i = 0; i < 2; i++)
        read_port_init(&ports[i], model, test_shard(i), NULL);
    cr_assert(eq(int, read_model_start(model, &lsn), 0));
}

static enum read_model_state state(void)
{
    struct read_model_info info;

    read_model_info(model, &info);
    return info.state;
}

static void on_done(struct read_query *query, enum read_result result)
{
    struct asker *asker = container_of(query, struct asker, query);

    asker->answer_count++;
    asker->result = result;
    asker->answer[query->answer_size] = '\0';
}

/* Searches for event 7, which is one of project p1. */
static enum read_result ask(struct asker *asker, uint32_t shard)
{
    asker->query = (struct read_query){
        .on_done = on_done,
        .type = READ_SEARCH,
        .scope = {SLICE_LITERAL("org"), SLICE_LITERAL("p1")},
        .search = {.text = SLICE_LITERAL("7")},
        .limit = 10,
        .answer = asker->answer,
        .answer_max = sizeof(asker->answer) - 1,
        .after = asker->query.after,
        .deadline_ns = asker->query.deadline_ns,
    };
    return read_query_start(&ports[shard], &asker->query);
}

Test(read_model, answers_on_the_shard_that_asked)
{
    start(50);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(eq(int, ask(&askers[i], i), READ_OK));
        cr_assert(eq(u32, askers[i].answer_count, 0), "never from inside the call");
    }
    test_shards_settle();
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(eq(u32, askers[i].answer_count, 1));
        cr_assert(eq(int, askers[i].result, READ_OK));
        cr_assert(ne(ptr, strstr(askers[i].answer, "number 7 of \\\"many\\\" timeouts"), NULL),
                  "%s", askers[i].answer);
    }
}

Test(read_model, shows_nothing_of_another_project)
{
    start(50);
    cr_assert(eq(int, ask(&askers[0], 0), READ_OK));
    askers[0].query.scope.project = SLICE_LITERAL("p0");
    test_shards_settle();
    cr_assert(eq(int, askers[0].result, READ_OK));
    cr_assert(ne(ptr, strstr(askers[0].answer, "\"total\":0"), NULL), "%s", askers[0].answer);
}

Test(read_model, lets_a_query_wait_for_the_record_that_it_wants)
{
    start(20);
    askers[0].query.after = fixture.appends[40].location;
    askers[1].query.after = fixture.appends[10].location;
    cr_assert(eq(int, ask(&askers[0], 0), READ_OK));
    cr_assert(eq(int, ask(&askers[1], 1), READ_OK));
    test_shards_settle();
    cr_assert(eq(u32, askers[0].answer_count, 0));
    cr_assert(eq(u32, askers[1].answer_count, 1), "nobody waits behind one that waits");
    read_model_publish(model, 0, 40);
    test_shards_settle();
    cr_assert(eq(u32, askers[0].answer_count, 0), "the record is the 41st");
    read_model_publish(model, 0, 41);
    test_shards_settle();
    cr_assert(eq(u32, askers[0].answer_count, 1));
    cr_assert(eq(int, askers[0].result, READ_OK));
}

/* Retention has taken all that there was, before anybody read it. */
Test(read_model, lets_no_query_wait_for_a_record_that_is_gone)
{
    fixture.log.config.sealed = true;
    fixture.log.config.retain_bytes = 1;
    read_fixture_crash(&fixture, true);
    fixture_run(&fixture.log, 200);
    cr_assert(not(fixture_exists(&fixture.log, "log-00/0000000000000001.seg")));
    start(50);
    askers[0].query.after = fixture.appends[49].location;
    cr_assert(eq(int, ask(&askers[0], 0), READ_OK));
    test_shards_settle();
    cr_assert(eq(u32, askers[0].answer_count, 1));
    cr_assert(eq(int, askers[0].result, READ_OK));
    cr_assert(ne(ptr, strstr(askers[0].answer, "\"total\":0"), NULL), "the event is gone, too");
}

Test(read_model, ends_a_query_that_waits_too_long)
{
    start(20);
    askers[0].query.after = fixture.appends[40].location;
    askers[1].query.after = fixture.appends[40].location;
    askers[1].query.deadline_ns = test_shards.mono_ns + 100000000;
    cr_assert(eq(int, ask(&askers[0], 0), READ_OK));
    cr_assert(eq(int, ask(&askers[1], 0), READ_OK));
    test_shards_advance_ms(101);
    cr_assert(eq(u32, askers[1].answer_count, 1));
    cr_assert(eq(int, askers[1].result, READ_TIMEOUT));
    cr_assert(eq(u32, askers[0].answer_count, 0));
    test_shards_advance_ms(READ_SLOW_MS);
    cr_assert(eq(int, askers[0].result, READ_TIMEOUT));
}

Test(read_model, takes_no_more_queries_than_it_may)
{
    uint32_t answered = 0;

    start(50);
    for (uint32_t i = 0; i < READ_QUEUE_MAX; i++)
        cr_assert(eq(int, ask(&askers[i], 0), READ_OK));
    cr_assert(eq(int, ask(&askers[READ_QUEUE_MAX], 0), READ_BUSY));
    test_shards_settle();
    for (uint32_t i = 0; i < READ_QUEUE_MAX; i++)
        answered += askers[i].answer_count;
    cr_assert(eq(u32, answered, READ_QUEUE_MAX));
    cr_assert(eq(u32, askers[READ_QUEUE_MAX].answer_count, 0));
    cr_assert(eq(int, ask(&askers[READ_QUEUE_MAX], 0), READ_OK));
    test_shards_settle();
}

Test(read_model, says_how_far_behind_it_is)
{
    struct read_model_info info;

    start(20);
    test_shards_settle();
    read_model_info(model, &info);
    cr_assert(eq(u64, info.lag_records, 0));
    cr_assert(eq(u64, info.lag_ms, 0));
    cr_assert(eq(u64, info.projected_records, 20));
    cr_assert(info.file_bytes > 0);
    read_model_publish(model, 0, 50);
    read_model_info(model, &info);
    cr_assert(eq(u64, info.lag_records, 30));
}

Test(read_model, refuses_rows_of_records_that_the_log_does_not_have)
{
    struct read_model_info info;

    start(50);
    test_shards_settle();
    cr_assert(eq(int, state(), READ_MODEL_RUNNING));
    read_model_free(&model);
    test_shards_free();
    test_shards_new(2);
    start(49);
    cr_assert(eq(int, state(), READ_MODEL_REFUSED));
    read_model_info(model, &info);
    cr_assert(ne(ptr, strstr(info.text, "weir migrate --rebuild"), NULL), "%s", info.text);
    cr_assert(eq(int, ask(&askers[0], 0), READ_UNAVAILABLE));
}

Test(read_model, opens_its_file_later_when_the_disk_fails_at_first)
{
    fixture.log.host->faults.name_error.always = true;
    start(50);
    cr_assert(eq(int, state(), READ_MODEL_FAILED));
    cr_assert(eq(int, ask(&askers[0], 0), READ_OK));
    test_shards_settle();
    cr_assert(eq(int, askers[0].result, READ_UNAVAILABLE));
    fixture.log.host->faults.name_error.always = false;
    test_shards_advance_ms(10000);
    cr_assert(eq(int, state(), READ_MODEL_RUNNING));
    cr_assert(eq(int, ask(&askers[0], 0), READ_OK));
    test_shards_settle();
    cr_assert(eq(int, askers[0].result, READ_OK));
}

Test(read_model, is_unavailable_when_there_is_none)
{
    struct read_model_info info;

    read_port_init(&ports[0], NULL, test_shard(0), NULL);
    read_model_publish(NULL, 0, 1);
    read_model_info(NULL, &info);
    cr_assert(eq(int, info.state, READ_MODEL_OFF));
    cr_assert(eq(int, ask(&askers[0], 0), READ_UNAVAILABLE));
}

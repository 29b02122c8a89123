#include "runtime/log_writer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "runtime/internals.h"
#include "tests/support/test_shards.h"

/*
 * A shard that writes its log to descriptor 2, of which the test decides what each
 * write brings. What has arrived is kept.
 */

static char arrived[TEST_LOG_SIZE];
static size_t arrived_size;

static void setup(void)
{
    test_shards_new(1);
    (void)test_shards_turn(); /* nothing of the start is left */
    test_shards.hooks.log_out = NULL;
    test_shards.runtime->config.simulated = false;
    arrived_size = 0;
}

static void teardown(void)
{
    test_shards.runtime->config.simulated = true;
    test_shards_free();
}

TestSuite(log_writer, .init = setup, .fini = teardown, .timeout = 30);

static struct log *log_of_shard(void)
{
    return &test_shard(0)->log;
}

static bool is_writing(void)
{
    return !list_is_empty(&test_shards.ios[0].armed);
}

/* The write in flight ends with value; SIZE_MAX: with all it was given. */
static void end_write(int32_t value)
{
    struct io_op *op;

    cr_assert(is_writing());
    op = container_of(test_shards.ios[0].armed.next, struct io_op, backend_link);
    cr_assert(eq(int, op->type, IO_WRITE));
    cr_assert(eq(int, op->fd, 2));
    if (value > (int32_t)op->as.rw.size)
        value = (int32_t)op->as.rw.size;
    if (value > 0)
        memcpy(arrived + arrived_size, op->as.rw.data, (size_t)value);
    arrived_size += value > 0 ? (size_t)value : 0;
    arrived[arrived_size] = '\0';
    cr_assert(test_io_complete(0, &(struct io_result){.value = value}));
}

static uint32_t count_of(const char *text)
{
    uint32_t count = 0;

    for (const char *at = strstr(arrived, text); at != NULL; at = strstr(at + 1, text))
        count++;
    return count;
}

static void say(const char *text)
{
    log_event(log_of_shard(), LOG_INFO, "test", text);
    (void)test_shards_turn();
}

Test(log_writer, goes_on_after_short_and_interrupted_writes)
{
    say("one");
    end_write(5);
    end_write(-EINTR);
    end_write(-EINTR);
    say("two");
    end_write(3);
    end_write(-EINTR);
    end_write(INT32_MAX);
    (void)test_shards_turn();
    end_write(INT32_MAX);
    cr_expect(eq(u32, count_of("one"), 1));
    cr_expect(eq(u32, count_of("two"), 1));
    cr_expect(eq(u32, count_of("\n"), 2));
    cr_expect(eq(u64, log_of_shard()->dropped_count, 0));
    cr_expect(not(is_writing()));
}

Test(log_writer, waits_for_a_full_pipe_that_does_not_block)
{
    say("one");
    end_write(4);
    for (int i = 0; i < 50; i++) {
        end_write(-EAGAIN);
        (void)test_shards_turn();
        cr_assert(not(is_writing()), "it waits");
        say("later"); /* does not overtake */
        cr_assert(not(is_writing()));
        test_shards_advance_ms(LOG_WRITER_RETRY_MS + 1);
    }
    end_write(INT32_MAX);
    (void)test_shards_turn();
    end_write(INT32_MAX);
    cr_expect(eq(u32, count_of("one"), 1));
    cr_expect(eq(u32, count_of("later"), 50));
    cr_expect(lt(ptr, strstr(arrived, "one"), strstr(arrived, "later")));
    cr_expect(eq(u64, log_of_shard()->dropped_count, 0));
}

Test(log_writer, says_how_many_lines_an_error_has_taken)
{
    log_event(log_of_shard(), LOG_INFO, "test", "one");
    log_event(log_of_shard(), LOG_INFO, "test", "two");
    say("three");
    end_write(2);
    end_write(-ENOSPC);
    (void)test_shards_turn();
    cr_expect(not(is_writing()), "nothing is repeated that failed");
    say("four");
    end_write(INT32_MAX);
    say("five");
    end_write(INT32_MAX);
    cr_expect(eq(u64, log_of_shard()->dropped_count, 3));
    cr_expect(eq(u32, count_of("four"), 1));
    cr_expect(eq(u32, count_of("dropped_lines=3"), 1));
}

Test(log_writer, leaves_what_waits_to_the_end)
{
    struct log_writer *writer = &test_shard(0)->internals->log_writer;

    say("one");
    end_write(-EAGAIN);
    cr_expect(log_writer_cancel(writer));
    test_shards_advance_ms(2 * LOG_WRITER_RETRY_MS);
    cr_expect(not(is_writing()));
    cr_expect(lt(u32, writer->done, writer->size), "log_writer_finish() writes it");
}

#include "runtime/log.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <unistd.h>

static struct clock clock_of_test = {.unix_ms = 1767323045678};
static struct log log_of_test;
static char taken[LOG_BUFFER_SIZE + 1];

static void setup(void)
{
    log_init(&log_of_test, &clock_of_test, LOG_INFO, LOG_FORMAT_JSON);
}

static char *take(void)
{
    taken[log_take(&log_of_test, taken, LOG_BUFFER_SIZE)] = '\0';
    return taken;
}

TestSuite(log, .init = setup, .timeout = 10);

Test(log, writes_one_json_object_per_line)
{
    log_event(&log_of_test, LOG_WARN, "journal", "segment full", LOG_NUMBER("lsn", -5),
              LOG_TEXT("path", SLICE_LITERAL("a/b")));

    cr_expect(eq(str, take(),
                 "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"warn\",\"msg\":\"segment "
                 "full\",\"component\":\"journal\",\"lsn\":-5,\"path\":\"a/b\"}\n"));
}

Test(log, writes_a_line_without_fields)
{
    log_event(&log_of_test, LOG_INFO, "app", "ready");
    log_line(&log_of_test, LOG_ERROR, "app", "gone", NULL);

    cr_expect(eq(str, take(),
                 "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"msg\":\"ready\","
                 "\"component\":\"app\"}\n"
                 "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"error\",\"msg\":\"gone\","
                 "\"component\":\"app\"}\n"));
}

Test(log, drops_lines_below_its_level)
{
    log_event(&log_of_test, LOG_DEBUG, "app", "noise");

    cr_expect(eq(u32, log_of_test.size, 0));
    cr_expect(eq(u64, log_of_test.dropped_count, 0));
}

Test(log, escapes_whatever_could_forge_a_line)
{
    log_event(&log_of_test, LOG_INFO, "x", "m",
              LOG_TEXT("v", SLICE_LITERAL("a\"b\\c\nd\re\tf\x01g\x7fh\xc2\x9b"
                                          "31m")));

    cr_expect(ne(
        ptr, strstr(take(), "\"v\":\"a\\\"b\\\\c\\nd\\re\\tf\\u0001g\\u007fh\\u009b31m\"}"), NULL));
}

Test(log, keeps_utf8_and_replaces_what_is_not)
{
    /* é, €, an emoji; a lone continuation, an overlong slash, a surrogate, a cut character. */
    log_event(&log_of_test, LOG_INFO, "x", "m",
              LOG_TEXT("good", SLICE_LITERAL("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")),
              LOG_TEXT("lone", SLICE_LITERAL("\x80|")),
              LOG_TEXT("overlong", SLICE_LITERAL("\xc0\xaf|")),
              LOG_TEXT("surrogate", SLICE_LITERAL("\xed\xa0\x80|")),
              LOG_TEXT("cut", SLICE_LITERAL("\xe2\x82")));

    cr_expect(ne(ptr, strstr(take(), "\"good\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""), NULL));
    cr_expect(ne(ptr, strstr(taken, "\"lone\":\"\xef\xbf\xbd|\""), NULL));
    cr_expect(ne(ptr, strstr(taken, "\"overlong\":\"\xef\xbf\xbd\xef\xbf\xbd|\""), NULL));
    cr_expect(
        ne(ptr, strstr(taken, "\"surrogate\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\""), NULL));
    cr_expect(ne(ptr, strstr(taken, "\"cut\":\"\xef\xbf\xbd\xef\xbf\xbd\"}"), NULL));
}

Test(log, knows_the_calendar)
{
    static const struct {
        uint64_t unix_ms;
        const char *text;
    } days[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868799999, "2000-02-29T23:59:59.999Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {1735689599999, "2024-12-31T23:59:59.999Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(days); i++) {
        clock_of_test.unix_ms = days[i].unix_ms;
        log_event(&log_of_test, LOG_INFO, "x", "m");
        cr_expect(eq(int, strncmp(take() + 7, days[i].text, 24), 0), "%s", days[i].text);
    }
}

Test(log, cuts_a_long_value_and_stays_one_valid_object)
{
    static char text[3 * LOG_LINE_SIZE_MAX];

    /* Every length around the bound, of a character that must not be split. */
    for (size_t i = 0; i + 3 <= sizeof(text); i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    for (size_t size = LOG_LINE_SIZE_MAX - 300; size < LOG_LINE_SIZE_MAX + 300; size += 3) {
        const char *end;

        log_event(&log_of_test, LOG_INFO, "component", "msg", LOG_NUMBER("pad", (int64_t)size),
                  LOG_TEXT("text", ((struct slice){text, size / 3 * 3})), LOG_NUMBER("last", 1));
        end = take() + strlen(taken);
        cr_assert(le(sz, strlen(taken), LOG_LINE_SIZE_MAX));
        if (strstr(taken, "\"last\":1}\n") == NULL)
            cr_assert(eq(int, memcmp(end - 15, "\"truncated\":1}\n", 15), 0));
        cr_assert(strstr(taken, "\xac\"") != NULL || strstr(taken, "\"text\"") == NULL);
    }
}

Test(log, cuts_a_message_that_is_longer_than_a_line)
{
    static char msg[2 * LOG_LINE_SIZE_MAX];

    memset(msg, '\n', sizeof(msg) - 1);
    log_event(&log_of_test, LOG_INFO, "x", msg, LOG_NUMBER("n", 1));

    cr_expect(le(sz, strlen(take()), LOG_LINE_SIZE_MAX));
    cr_expect(ne(ptr, strstr(taken, "\\n\",\"truncated\":1}\n"), NULL));
}

Test(log, counts_dropped_lines_and_says_so_when_there_is_room_again)
{
    uint64_t fitted = 0;

    while (log_of_test.dropped_count == 0) {
        log_event(&log_of_test, LOG_INFO, "x", "filling");
        fitted++;
    }
    log_event(&log_of_test, LOG_INFO, "x", "filling");
    cr_expect(eq(u64, log_of_test.dropped_count, 2));
    cr_expect(lt(u64, 500, fitted));
    (void)!take();
    log_event(&log_of_test, LOG_INFO, "x", "room");
    cr_expect(ne(ptr, strstr(take(), "\"dropped_lines\":2}\n"), NULL));
    log_event(&log_of_test, LOG_INFO, "x", "room");
    cr_expect(eq(ptr, strstr(take(), "dropped"), NULL));
    cr_expect(eq(u64, log_of_test.dropped_count, 2));
}

Test(log, hands_out_whole_lines_only)
{
    size_t first_size;
    size_t whole_size;

    log_event(&log_of_test, LOG_INFO, "x", "one");
    first_size = log_of_test.size;
    log_event(&log_of_test, LOG_INFO, "x", "three");
    whole_size = log_of_test.size;

    cr_expect(eq(sz, log_take(&log_of_test, taken, first_size - 1), 0));
    cr_expect(eq(sz, log_take(&log_of_test, taken, whole_size - 1), first_size));
    cr_expect(eq(sz, log_take(&log_of_test, taken, sizeof(taken)), whole_size - first_size));
    cr_expect(eq(sz, log_take(&log_of_test, taken, sizeof(taken)), 0));
}

Test(log, writes_text_for_people)
{
    log_of_test.format = LOG_FORMAT_TEXT;
    log_event(&log_of_test, LOG_INFO, "http", "listening\non",
              LOG_TEXT("address", SLICE_LITERAL("127.0.0.1:3000")), LOG_NUMBER("shards", 2),
              LOG_TEXT("why", SLICE_LITERAL("a b=\"c\"")), LOG_TEXT("none", SLICE_LITERAL("")));

    cr_expect(eq(str, take(),
                 "2026-01-02T03:04:05.678Z INFO  http: listening\\non address=127.0.0.1:3000 "
                 "shards=2 why=\"a b=\\\"c\\\"\" none=\"\"\n"));
}

Test(log, flushes_to_standard_error_even_when_it_is_not_ready)
{
    int ends[2];

    cr_assert(eq(int, pipe2(ends, O_NONBLOCK), 0));
    cr_assert(ge(int, dup2(ends[1], STDERR_FILENO), 0));
    log_event(&log_of_test, LOG_INFO, "x", "one");
    log_flush_now(&log_of_test);

    cr_expect(eq(u32, log_of_test.size, 0));
    cr_expect(lt(i64, 50, read(ends[0], taken, sizeof(taken))));
    close(ends[0]);
    close(ends[1]);
    close(STDERR_FILENO);
    log_event(&log_of_test, LOG_INFO, "x", "nobody listens");
    log_flush_now(&log_of_test);
    cr_expect(eq(u32, log_of_test.size, 0));
}

#include <errno.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "http/response_head.h"
#include "http/response_parser.h"
#include "tests/http/guarded.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define API_BLOCK                                                                                  \
    "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"                                 \
    "Referrer-Policy: no-referrer\r\n"                                                             \
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"                      \
    "Cache-Control: no-store\r\n"

static struct response_head head;
static char buffer[2048];
static size_t size;

static void setup(void)
{
    head = (struct response_head){
        .status = 202,
        .framing = RESPONSE_CONTENT_LENGTH,
        .keep_alive = true,
        .date = {DATE, HTTP_DATE_SIZE},
    };
}

TestSuite(response_head, .init = setup);

static bool wrote(const char *text)
{
    int r = response_head_write(&head, buffer, sizeof(buffer), &size);

    cr_assert(eq(int, r, 0));
    return slice_equal((struct slice){buffer, size}, slice_of(text));
}

Test(response_head, writes_every_part_in_order)
{
    static const struct header EXTRA[] = {{{"Retry-After", 11}, {"2", 1}}, {{"Allow", 5}, {"", 0}}};

    head.status = 429;
    head.keep_alive = false;
    head.content_type = SLICE_LITERAL("application/problem+json");
    head.content_length = 1234567;
    head.correlation_id = SLICE_LITERAL("c-1");
    head.extra = EXTRA;
    head.extra_count = ARRAY_COUNT(EXTRA);
    cr_expect(wrote("HTTP/1.1 429 Too Many Requests\r\nDate: " DATE "\r\n"
                    "Content-Type: application/problem+json\r\nContent-Length: 1234567\r\n"
                    "Connection: close\r\n" API_BLOCK "x-correlation-id: c-1\r\n"
                    "Retry-After: 2\r\nAllow: \r\n\r\n"));
}

Test(response_head, leaves_out_what_is_not_given)
{
    cr_expect(
        wrote("HTTP/1.1 202 Accepted\r\nDate: " DATE "\r\nContent-Length: 0\r\n" API_BLOCK "\r\n"));
    head.status = 204;
    head.framing = RESPONSE_NO_BODY;
    cr_expect(wrote("HTTP/1.1 204 No Content\r\nDate: " DATE "\r\n" API_BLOCK "\r\n"));
    head.status = 200;
    head.framing = RESPONSE_CHUNKED;
    cr_expect(wrote("HTTP/1.1 200 OK\r\nDate: " DATE "\r\nTransfer-Encoding: chunked\r\n" API_BLOCK
                    "\r\n"));
    head.framing = RESPONSE_CONTENT_LENGTH;
    head.speaks_1_0 = true;
    head.content_length = UINT64_MAX;
    cr_expect(wrote("HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Length: 18446744073709551615\r\n"
                    "Connection: keep-alive\r\n" API_BLOCK "\r\n"));
}

Test(response_head, lets_the_console_load_its_own_files)
{
    head.policy = RESPONSE_POLICY_PAGE;
    cr_assert(eq(int, response_head_write(&head, buffer, sizeof(buffer), &size), 0));
    cr_expect(ne(ptr, memmem(buffer, size, "default-src 'self'", 18), NULL));
    cr_expect(ne(ptr, memmem(buffer, size, "frame-ancestors 'none'", 22), NULL));
    cr_expect(ne(ptr, memmem(buffer, size, "nosniff", 7), NULL));
}

Test(response_head, refuses_every_control_byte_wherever_the_caller_gives_text)
{
    struct header extra = {{"X", 1}, {"", 0}};

    for (int c = 0; c < 256; c++) {
        bool is_control = (c < 32 && c != '\t') || c == 127;
        char text[] = "a-value-that-is-long-enough-for-vectors";
        struct slice value = {text, sizeof(text) - 1};
        int wanted = is_control ? -EINVAL : 0;

        text[20] = (char)c;
        setup();
        head.content_type = value;
        cr_expect(eq(int, response_head_write(&head, buffer, sizeof(buffer), &size), wanted));
        setup();
        head.correlation_id = value;
        cr_expect(eq(int, response_head_write(&head, buffer, sizeof(buffer), &size), wanted));
        setup();
        extra.value = value;
        head.extra = &extra;
        head.extra_count = 1;
        cr_expect(eq(int, response_head_write(&head, buffer, sizeof(buffer), &size), wanted));
    }
}

Test(response_head, refuses_extra_names_that_are_not_tokens)
{
    static const char *const NAMES[] = {"", "a b", "a:", "a\r\nb", "\xc3\xa9"};
    struct header extra = {.value = {"v", 1}};

    head.extra = &extra;
    head.extra_count = 1;
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        extra.name = slice_of(NAMES[i]);
        cr_expect(eq(int, response_head_write(&head, buffer, sizeof(buffer), &size), -EINVAL));
    }
}

Test(response_head, needs_exactly_its_size_and_never_writes_beyond)
{
    size_t exact;
    size_t untouched = 7;
    char *area;

    head.content_type = SLICE_LITERAL("application/json");
    head.correlation_id = SLICE_LITERAL("c-1");
    cr_assert(eq(int, response_head_write(&head, buffer, sizeof(buffer), &exact), 0));
    cr_expect(le(sz, exact, RESPONSE_HEAD_FIXED_SIZE + 16 + 3));
    area = guarded_copy(buffer, exact);
    cr_expect(eq(int, response_head_write(&head, area, exact, &size), 0));
    for (size_t smaller = 0; smaller < exact; smaller++)
        cr_assert(eq(int, response_head_write(&head, area, smaller, &untouched), -ENOBUFS));
    cr_expect(eq(sz, untouched, 7));
}

Test(response_head, every_status_gives_a_head_that_a_client_can_parse)
{
    static struct http_response response;
    struct response_parser parser;
    int status_count = 0;

    for (unsigned status = 0; status < 700; status++) {
        if (response_reason(status).data == NULL)
            continue;
        status_count++;
        head.status = status;
        cr_assert(eq(int, response_head_write(&head, buffer, sizeof(buffer), &size), 0));
        cr_expect(le(sz, size, RESPONSE_HEAD_FIXED_SIZE));
        response_parser_init(&parser, REQUEST_HEAD_SIZE_MAX, false);
        cr_assert(eq(int, response_parser_feed(&parser, buffer, size, &response), HTTP_PARSE_DONE));
        cr_expect(eq(u32, response.status, status));
        cr_expect(slice_equal(response.reason, response_reason(status)));
        cr_expect(eq(sz, response.head_size, size));
    }
    cr_expect(ge(int, status_count, 40));
    cr_expect(eq(ptr, (void *)response_reason(299).data, NULL));
    cr_expect(slice_equal(response_continue(), SLICE_LITERAL("HTTP/1.1 100 Continue\r\n\r\n")));
}

Test(response_head, dates_agree_with_the_c_library)
{
    static const char *const DAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char date[HTTP_DATE_SIZE + 1] = "";
    char wanted[64];

    for (int64_t seconds = 0; seconds < 253402300800; seconds += 86400 * 13 + 3661) {
        time_t time = (time_t)seconds;
        struct tm tm;

        cr_assert(ne(ptr, gmtime_r(&time, &tm), NULL));
        snprintf(wanted, sizeof(wanted), "%s, %02d %s %04d %02d:%02d:%02d GMT", DAYS[tm.tm_wday],
                 tm.tm_mday, MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        http_date_write((uint64_t)seconds * 1000 + 999, date);
        cr_assert(eq(str, date, wanted));
    }
    http_date_write(951782400000, date);
    cr_expect(eq(str, date, "Tue, 29 Feb 2000 00:00:00 GMT"));
    http_date_write(253402300799999, date);
    cr_expect(eq(str, date, "Fri, 31 Dec 9999 23:59:59 GMT"));
}

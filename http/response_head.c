/*
 * The order of a head, of which all but the bracketed is always there:
 *
 *     status line, Date, [Content-Type], [framing], [Connection],
 *     policy block, [x-correlation-id], [extra fields], empty line
 *
 * It is written in two straight passes: one adds up the exact size and checks
 * what the caller gave, one copies. So a head is written whole or not at all, and
 * the copying needs no checks.
 */
#include "http/response_head.h"

#include <errno.h>

enum { STATUS_MIN = 100, STATUS_COUNT = 500, LENGTH_DIGIT_COUNT_MAX = 20 };

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

#define COMMON_SECURITY                                                                            \
    "X-Content-Type-Options: nosniff\r\n"                                                          \
    "X-Frame-Options: DENY\r\n"                                                                    \
    "Referrer-Policy: no-referrer\r\n"

static const struct slice POLICIES[] = {
    [RESPONSE_POLICY_API] =
        TEXT(COMMON_SECURITY "Content-Security-Policy: default-src 'none'; frame-ancestors "
                             "'none'\r\nCache-Control: no-store\r\n"),
    [RESPONSE_POLICY_PAGE] =
        TEXT(COMMON_SECURITY "Content-Security-Policy: default-src 'self'; img-src 'self' data:; "
                             "base-uri 'none'; form-action 'self'; frame-ancestors "
                             "'none'\r\nCache-Control: no-cache\r\n"),
};

static const struct slice STATUS_LINES[STATUS_COUNT] = {
#define X(status, reason) [status - STATUS_MIN] = TEXT("HTTP/1.1 " #status " " reason "\r\n"),
#include "http/response_statuses.inc"
#undef X
};

static const size_t REASON_OFFSET = sizeof("HTTP/1.1 200 ") - 1;

/* What a header costs beside its name and value: ": " and CRLF. */
enum { FIELD_OVERHEAD = 4 };

static const struct slice DATE_NAME = TEXT("Date");
static const struct slice CONTENT_TYPE_NAME = TEXT("Content-Type");
static const struct slice CORRELATION_ID_NAME = TEXT("x-correlation-id");
static const struct slice CONTENT_LENGTH_PREFIX = TEXT("Content-Length: ");
static const struct slice CHUNKED_LINE = TEXT("Transfer-Encoding: chunked\r\n");
static const struct slice CLOSE_LINE = TEXT("Connection: close\r\n");
static const struct slice KEEP_ALIVE_LINE = TEXT("Connection: keep-alive\r\n");
static const struct slice CONTINUE_HEAD = TEXT("HTTP/1.1 100 Continue\r\n\r\n");

static struct slice status_line(unsigned status)
{
    if (status < STATUS_MIN || status >= STATUS_MIN + STATUS_COUNT)
        return (struct slice){NULL, 0};
    return STATUS_LINES[status - STATUS_MIN];
}

struct slice response_reason(unsigned status)
{
    struct slice line = status_line(status);

    if (line.data == NULL)
        return line;
    assert(line.size > REASON_OFFSET + 2);
    return (struct slice){line.data + REASON_OFFSET, line.size - REASON_OFFSET - 2};
}

struct slice response_continue(void)
{
    return CONTINUE_HEAD;
}

static void response_head_check(const struct response_head *head)
{
    assert(status_line(head->status).data != NULL);
    assert(head->date.size == HTTP_DATE_SIZE);
    assert(head->policy <= RESPONSE_POLICY_PAGE);
    assert(head->extra != NULL || head->extra_count == 0);
    assert(head->framing != RESPONSE_UNTIL_CLOSE || !head->keep_alive);
    assert(head->framing != RESPONSE_CHUNKED || !head->speaks_1_0);
}

static inline char *append(char *at, struct slice text)
{
    memcpy(at, text.data, text.size);
    return at + text.size;
}

static inline char *append_field(char *at, struct slice name, struct slice value)
{
    at = append(at, name);
    memcpy(at, ": ", 2);
    at += 2;
    if (value.size > 0)
        at = append(at, value);
    memcpy(at, "\r\n", 2);
    return at + 2;
}

/* The decimal digits of number, ending at end; returns where they start. */
static char *format_backwards(uint64_t number, char *end)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

/* Adds a field's size; -EINVAL when its value could end the line. */
MUST_USE static inline int measure_field(struct slice name, struct slice value, size_t *size)
{
    assert(name.size > 0);
    if (!header_value_is_valid(value))
        return -EINVAL;
    *size += name.size + value.size + FIELD_OVERHEAD;
    return 0;
}

/* Adds the sizes of what the caller gave as text. */
MUST_USE static int measure_fields(const struct response_head *head, size_t *size)
{
    int r = measure_field(DATE_NAME, head->date, size);

    if (r == 0 && head->content_type.size > 0)
        r = measure_field(CONTENT_TYPE_NAME, head->content_type, size);
    if (r == 0 && head->correlation_id.size > 0)
        r = measure_field(CORRELATION_ID_NAME, head->correlation_id, size);
    for (size_t i = 0; r == 0 && i < head->extra_count; i++) {
        if (!header_name_is_valid(head->extra[i].name))
            return -EINVAL;
        r = measure_field(head->extra[i].name, head->extra[i].value, size);
    }
    return r;
}

/* The Connection line that the peer needs to be told, or nothing. */
static struct slice connection_line(const struct response_head *head)
{
    if (!head->keep_alive)
        return CLOSE_LINE;
    return head->speaks_1_0 ? KEEP_ALIVE_LINE : (struct slice){NULL, 0};
}

int response_head_write(const struct response_head *head, char *buffer, size_t buffer_size,
                        size_t *ret_size)
{
    char digits[LENGTH_DIGIT_COUNT_MAX];
    struct slice length = {NULL, 0};
    struct slice connection = connection_line(head);
    struct slice status = status_line(head->status);
    struct slice policy = POLICIES[head->policy];
    size_t size = status.size + policy.size + connection.size + 2;
    char *at = buffer;
    int r;

    response_head_check(head);
    r = measure_fields(head, &size);
    if (r < 0)
        return r;
    if (head->framing == RESPONSE_CONTENT_LENGTH) {
        length.data = format_backwards(head->content_length, digits + sizeof(digits));
        length.size = (size_t)(digits + sizeof(digits) - length.data);
        size += CONTENT_LENGTH_PREFIX.size + length.size + 2;
    } else if (head->framing == RESPONSE_CHUNKED) {
        size += CHUNKED_LINE.size;
    }
    if (size > buffer_size)
        return -ENOBUFS;

    at = append(at, status);
    at = append_field(at, DATE_NAME, head->date);
    if (head->content_type.size > 0)
        at = append_field(at, CONTENT_TYPE_NAME, head->content_type);
    if (length.size > 0) {
        at = append(at, CONTENT_LENGTH_PREFIX);
        at = append(at, length);
        at = append(at, (struct slice)TEXT("\r\n"));
    } else if (head->framing == RESPONSE_CHUNKED) {
        at = append(at, CHUNKED_LINE);
    }
    if (connection.size > 0)
        at = append(at, connection);
    at = append(at, policy);
    if (head->correlation_id.size > 0)
        at = append_field(at, CORRELATION_ID_NAME, head->correlation_id);
    for (size_t i = 0; i < head->extra_count; i++)
        at = append_field(at, head->extra[i].name, head->extra[i].value);
    at = append(at, (struct slice)TEXT("\r\n"));
    assert((size_t)(at - buffer) == size);
    *ret_size = size;
    return 0;
}

static void write_two_digits(char *at, unsigned number)
{
    assert(number < 100);
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
}

/*
 * The calendar arithmetic counts from 1 March of year 0, so that the leap day is
 * the last of its year and months have lengths that a line fits: month m starts
 * at day (153 m + 2) / 5. An era is 400 years or 146,097 days; 1970-01-01 is day
 * 719,468.
 */
void http_date_write(uint64_t unix_ms, char *ret_date)
{
    static const char DAYS[] = "ThuFriSatSunMonTueWed"; /* 1970 began with a Thursday */
    static const char MONTHS[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    uint64_t seconds = unix_ms / 1000;
    unsigned of_day = (unsigned)(seconds % 86400);
    uint64_t days = seconds / 86400;
    uint64_t shifted = days + 719468;
    unsigned of_era = (unsigned)(shifted % 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * of_year + 2) / 153; /* 0 is March */
    unsigned day = of_year - (153 * month + 2) / 5 + 1;
    unsigned year = (unsigned)(shifted / 146097 * 400) + year_of_era + (month >= 10 ? 1 : 0);

    assert(ret_date != NULL);
    assert(unix_ms < 253402300800000); /* the year 10000 */
    memcpy(ret_date, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_SIZE);
    memcpy(ret_date, DAYS + days % 7 * 3, 3);
    write_two_digits(ret_date + 5, day);
    memcpy(ret_date + 8, MONTHS + (size_t)month * 3, 3);
    write_two_digits(ret_date + 12, year / 100);
    write_two_digits(ret_date + 14, year % 100);
    write_two_digits(ret_date + 17, of_day / 3600);
    write_two_digits(ret_date + 20, of_day / 60 % 60);
    write_two_digits(ret_date + 23, of_day % 60);
}

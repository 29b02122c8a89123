#include "runtime/log.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "runtime/text_writer.h"

/*
 * A line is composed on the stack and then copied whole into the buffer, or
 * counted as dropped: what is taken out is always whole lines.
 *
 * Composing keeps LINE_RESERVE bytes free for what must follow: the mark of a
 * cut, the number of dropped lines, the closing brace. Hence a line that is too
 * long is still one valid JSON object.
 *
 *     {"ts":"2026-01-02T03:04:05.678Z","level":"info","msg":"...","component":"...","k":"v","n":1}
 *     2026-01-02T03:04:05.678Z INFO  component: msg k=v n=1
 *
 * In text form a value is quoted when it holds anything but plain visible ASCII,
 * and control bytes are escaped in both forms: no value can forge a line.
 */

enum {
    LINE_RESERVE = 96,
    FLUSH_WAIT_MS = 1000, /* how long a stuck reader of stderr may hold up the process */
};

static const char *const LEVEL_NAMES[] = {"debug", "info", "warn", "error"};
static const char *const LEVEL_TAGS[] = {" DEBUG ", " INFO  ", " WARN  ", " ERROR "};

static void log_check(const struct log *log)
{
    assert(log->clock != NULL);
    assert(log->size <= LOG_BUFFER_SIZE);
    assert(log->level <= LOG_ERROR);
}

void log_init(struct log *log, const struct clock *clock, enum log_level level,
              enum log_format format)
{
    log->clock = clock;
    log->level = level;
    log->format = format;
    log->size = 0;
    log->dropped_count = 0;
    log->dropped_unsaid_count = 0;
    log_check(log);
}

/* Howard Hinnant's days-to-civil: years begin in March, so the leap day comes last. */
static void put_time(struct text_writer *line, uint64_t unix_ms)
{
    uint64_t days = unix_ms / 86400000 + 719468;
    uint64_t era = days / 146097;
    uint64_t day_of_era = days % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month = (5 * day_of_year + 2) / 153;
    uint64_t day = day_of_year - (153 * month + 2) / 5 + 1;
    uint64_t month_of_year = month < 10 ? month + 3 : month - 9;
    uint64_t year = year_of_era + era * 400 + (month_of_year <= 2);

    text_writer_padded(line, year % 10000, 4);
    text_writer_char(line, '-');
    text_writer_padded(line, month_of_year, 2);
    text_writer_char(line, '-');
    text_writer_padded(line, day, 2);
    text_writer_char(line, 'T');
    text_writer_padded(line, unix_ms / 3600000 % 24, 2);
    text_writer_char(line, ':');
    text_writer_padded(line, unix_ms / 60000 % 60, 2);
    text_writer_char(line, ':');
    text_writer_padded(line, unix_ms / 1000 % 60, 2);
    text_writer_char(line, '.');
    text_writer_padded(line, unix_ms % 1000, 3);
    text_writer_char(line, 'Z');
}

/* The size of the well-formed UTF-8 character that text starts with; 0 when there is none. */
static size_t character_size(struct slice text)
{
    const unsigned char *byte = (const unsigned char *)text.data;
    size_t size = byte[0] < 0x80 ? 1 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;

    if (size == 1)
        return 1;
    if (byte[0] < 0xc2 || byte[0] > 0xf4 || size > text.size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    /* The second byte also tells overlong forms, surrogates and values above U+10FFFF. */
    if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
        (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f))
        return 0;
    return size;
}

static void put_control(struct text_writer *line, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    char escape[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};

    switch (byte) {
    case '\n':
        text_writer_put(line, SLICE_LITERAL("\\n"));
        break;
    case '\r':
        text_writer_put(line, SLICE_LITERAL("\\r"));
        break;
    case '\t':
        text_writer_put(line, SLICE_LITERAL("\\t"));
        break;
    default:
        text_writer_put(line, (struct slice){escape, sizeof(escape)});
        break;
    }
}

/* Appends text as the inside of a JSON string, whole characters only, as far as they fit. */
static void put_escaped(struct text_writer *line, struct slice text)
{
    while (text.size > 0 && !line->overflowed) {
        unsigned char first = (unsigned char)text.data[0];
        size_t size = character_size(text);

        if (size == 0) {
            text_writer_put(line, SLICE_LITERAL("\xef\xbf\xbd"));
            size = 1;
        } else if (first < 0x20 || first == 0x7f) {
            put_control(line, first);
        } else if (first == 0xc2 && (unsigned char)text.data[1] < 0xa0) {
            /* U+0080 to U+009F: terminals obey them like escape sequences. */
            put_control(line, (unsigned char)text.data[1]);
        } else if (first == '"' || first == '\\') {
            char escape[] = {'\\', (char)first};

            text_writer_put(line, (struct slice){escape, 2});
        } else {
            text_writer_put(line, (struct slice){text.data, size});
        }
        text.data += size;
        text.size -= size;
    }
}

static bool needs_quotes(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];

        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\\' || byte == '=')
            return true;
    }
    return text.size == 0;
}

/* Appends text in quotes, cut to what fits; false when not even the quotes do. */
static bool put_quoted(struct text_writer *line, struct slice text)
{
    struct text_writer inside;

    if (line->capacity - line->size < 2) {
        line->overflowed = true;
        return false;
    }
    text_writer_char(line, '"');
    text_writer_init(&inside, line->data + line->size, line->capacity - line->size - 1);
    put_escaped(&inside, text);
    line->size += inside.size;
    text_writer_char(line, '"');
    line->overflowed |= inside.overflowed;
    return true;
}

/* Appends a value; false when it did not fit and what was appended is worthless. */
static bool put_value(struct text_writer *line, const struct log_field *field, bool quoted)
{
    if (field->kind == LOG_FIELD_TEXT && quoted)
        return put_quoted(line, field->text);
    if (field->kind == LOG_FIELD_TEXT)
        text_writer_put(line, field->text);
    else
        text_writer_i64(line, field->number);
    return !line->overflowed;
}

/* Appends key and value, or nothing and sets overflowed. Nothing is put behind a cut. */
static void put_field(struct text_writer *line, enum log_format format,
                      const struct log_field *field)
{
    size_t size_before = line->size;
    bool quoted = format == LOG_FORMAT_JSON || needs_quotes(field->text);

    assert(field->key != NULL);
    if (line->overflowed)
        return;
    text_writer_text(line, format == LOG_FORMAT_JSON ? ",\"" : " ");
    text_writer_text(line, field->key);
    text_writer_text(line, format == LOG_FORMAT_JSON ? "\":" : "=");
    if (line->overflowed || !put_value(line, field, quoted))
        line->size = size_before;
}

static void put_json_start(struct text_writer *line, uint64_t unix_ms, enum log_level level,
                           const char *msg)
{
    text_writer_put(line, SLICE_LITERAL("{\"ts\":\""));
    put_time(line, unix_ms);
    text_writer_put(line, SLICE_LITERAL("\",\"level\":\""));
    text_writer_text(line, LEVEL_NAMES[level]);
    text_writer_put(line, SLICE_LITERAL("\",\"msg\":"));
    (void)put_quoted(line, slice_of(msg));
}

static void put_text_start(struct text_writer *line, uint64_t unix_ms, enum log_level level,
                           const char *component, const char *msg)
{
    put_time(line, unix_ms);
    text_writer_text(line, LEVEL_TAGS[level]);
    text_writer_text(line, component);
    text_writer_put(line, SLICE_LITERAL(": "));
    put_escaped(line, slice_of(msg));
}

/* Composes the line; gives its size. */
static size_t compose(const struct log *log, enum log_level level, const char *component,
                      const char *msg, const struct log_field *fields, char *ret_line)
{
    struct text_writer line;
    bool cut;

    text_writer_init(&line, ret_line, LOG_LINE_SIZE_MAX - LINE_RESERVE);
    if (log->format == LOG_FORMAT_JSON) {
        struct log_field component_field = LOG_TEXT("component", slice_of(component));

        put_json_start(&line, log->clock->unix_ms, level, msg);
        put_field(&line, log->format, &component_field);
    } else {
        put_text_start(&line, log->clock->unix_ms, level, component, msg);
    }
    for (; fields != NULL && fields->kind != LOG_FIELD_END; fields++)
        put_field(&line, log->format, fields);

    cut = line.overflowed;
    line.overflowed = false;
    line.capacity = LOG_LINE_SIZE_MAX;
    if (cut)
        put_field(&line, log->format, &LOG_NUMBER("truncated", 1));
    if (log->dropped_unsaid_count > 0)
        put_field(&line, log->format, &LOG_NUMBER("dropped_lines", log->dropped_unsaid_count));
    text_writer_text(&line, log->format == LOG_FORMAT_JSON ? "}\n" : "\n");
    assert(!line.overflowed);
    return line.size;
}

void log_line(struct log *log, enum log_level level, const char *component, const char *msg,
              const struct log_field *fields)
{
    char line[LOG_LINE_SIZE_MAX];
    size_t size;

    log_check(log);
    assert(level <= LOG_ERROR);
    if (level < log->level)
        return;
    size = compose(log, level, component, msg, fields, line);
    if (size > LOG_BUFFER_SIZE - log->size) {
        log->dropped_count++;
        log->dropped_unsaid_count++;
        return;
    }
    memcpy(log->buffer + log->size, line, size);
    log->size += (uint32_t)size;
    log->dropped_unsaid_count = 0;
}

size_t log_take(struct log *log, char *data, size_t size)
{
    size_t taken = min_u64(size, log->size);

    log_check(log);
    while (taken > 0 && log->buffer[taken - 1] != '\n')
        taken--;
    if (taken == 0)
        return 0;
    memcpy(data, log->buffer, taken);
    log->size -= (uint32_t)taken;
    memmove(log->buffer, log->buffer + taken, log->size);
    return taken;
}

void log_count_lost(struct log *log, uint32_t line_count)
{
    log_check(log);
    assert(line_count > 0);
    log->dropped_count += line_count;
    log->dropped_unsaid_count += line_count;
}

void log_write_now(struct slice lines)
{
    size_t done = 0;

    while (done < lines.size) {
        ssize_t r = write(STDERR_FILENO, lines.data + done, lines.size - done);
        struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};

        if (r >= 0)
            done += (size_t)r;
        else if (errno == EAGAIN && poll(&writable, 1, FLUSH_WAIT_MS) == 1)
            continue;
        else if (errno != EINTR)
            break; /* Nobody can be told that nobody listens. */
    }
}

void log_flush_now(struct log *log)
{
    log_check(log);
    log_write_now((struct slice){log->buffer, log->size});
    log->size = 0;
}

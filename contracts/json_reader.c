/*
 * The scanners below take a position at < end and return the position behind what
 * they recognised, or NULL after fail() has recorded the error; so a chain of them
 * is a chain of "at = scan(...); if (at == NULL) return NULL". Only the public
 * functions touch the cursor.
 *
 * Truncation needs care in four places, and each asks "could more bytes still make
 * this valid?" before it says bad: a literal whose beginning matches, a number that
 * ends behind '-', '.', 'e' or a sign, an escape that breaks off (including a high
 * surrogate whose partner has not arrived) and a UTF-8 sequence cut in the middle.
 *
 * A container that is read as a whole is scanned by a loop with an explicit stack
 * of closing brackets, one byte per level, so hostile nesting costs no recursion.
 *
 * In compact JSON there is no white space and most strings are shorter than 32
 * bytes, so both common cases take one compare and one vector load respectively.
 * Values are put together in locals whose address stays here, so that they live in
 * registers: a struct filled byte by byte and then copied stalls on its own stores.
 */
#include "contracts/json_reader.h"

#include "contracts/json_scan.h"
#include "contracts/json_string.h"
#include "contracts/utf8.h"

/* '{' + 2 is '}' and '[' + 2 is ']' in ASCII: the closing bracket is arithmetic. */
enum { CLOSER_DISTANCE = 2 };

static_assert('{' + CLOSER_DISTANCE == '}' && '[' + CLOSER_DISTANCE == ']',
              "brackets are two apart in ASCII");

static void reader_check(const struct json_reader *reader)
{
    assert(reader->start <= reader->cursor && reader->cursor <= reader->end);
    assert(reader->depth <= reader->depth_max);
}

/* Records the first error and where it was found; returns NULL for the caller to return. */
static const char *fail(struct json_reader *reader, const char *at, enum json_error error)
{
    assert(error != JSON_ERROR_NONE);
    assert(reader->error == JSON_ERROR_NONE);
    reader->error = error;
    reader->cursor = at;
    return NULL;
}

static enum json_result result_of_error(const struct json_reader *reader)
{
    assert(reader->error != JSON_ERROR_NONE);
    return reader->error == JSON_ERROR_TRUNCATED ? JSON_TRUNCATED : JSON_BAD;
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex(char byte)
{
    char lower = (char)(byte | 0x20);

    return is_digit(byte) || (lower >= 'a' && lower <= 'f');
}

/* Indented texts have long runs of white space; they are skipped in blocks. */
__attribute__((noinline)) static const char *skip_space_run(const char *at, const char *end)
{
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(' ');
    const __m128i newline = _mm_set1_epi8('\n');
    const __m128i carriage = _mm_set1_epi8('\r');
    const __m128i tab = _mm_set1_epi8('\t');

    while (end - at >= 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i blank =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, space), _mm_cmpeq_epi8(block, newline)),
                         _mm_or_si128(_mm_cmpeq_epi8(block, carriage), _mm_cmpeq_epi8(block, tab)));
        unsigned mask = (unsigned)_mm_movemask_epi8(blank) ^ 0xffffu;

        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    }
#endif
    while (at < end && is_space(*at))
        at++;
    return at;
}

static inline const char *skip_space(const char *at, const char *end)
{
    if (likely(at < end) && likely((unsigned char)*at > ' '))
        return at;
    return skip_space_run(at, end);
}

/* The next byte that is not white space; NULL and truncated when there is none. */
static inline const char *next_token(struct json_reader *reader, const char *at)
{
    at = skip_space(at, reader->end);
    if (unlikely(at == reader->end))
        return fail(reader, at, JSON_ERROR_TRUNCATED);
    return at;
}

/* at is behind "\u"; gives the unit of the four digits there. */
static const char *scan_hex4(struct json_reader *reader, const char *at, uint32_t *ret_unit)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++, at++) {
        if (at == reader->end)
            return fail(reader, at, JSON_ERROR_TRUNCATED);
        if (!is_hex(*at))
            return fail(reader, at, JSON_ERROR_ESCAPE);
        unit = unit << 4 | (uint32_t)(is_digit(*at) ? *at - '0' : (*at | 0x20) - 'a' + 10);
    }
    *ret_unit = unit;
    return at;
}

/* at is behind the high half of a pair; the low half must follow as "\uDC00".."\uDFFF". */
static const char *scan_low_surrogate(struct json_reader *reader, const char *at)
{
    const char *begin = at;
    uint32_t unit;

    for (int i = 0; i < 2; i++, at++) {
        if (at == reader->end)
            return fail(reader, at, JSON_ERROR_TRUNCATED);
        if (*at != "\\u"[i])
            return fail(reader, begin, JSON_ERROR_SURROGATE);
    }
    at = scan_hex4(reader, at, &unit);
    if (at == NULL)
        return NULL;
    if (unit < 0xdc00 || unit > 0xdfff)
        return fail(reader, begin, JSON_ERROR_SURROGATE);
    return at;
}

/* at is the backslash. */
static const char *scan_escape(struct json_reader *reader, const char *at)
{
    const char *begin = at;
    uint32_t unit;

    at++;
    if (at == reader->end)
        return fail(reader, at, JSON_ERROR_TRUNCATED);
    switch (*at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 1;
    case 'u':
        break;
    default:
        return fail(reader, at, JSON_ERROR_ESCAPE);
    }
    at = scan_hex4(reader, at + 1, &unit);
    if (at == NULL || unit < 0xd800 || unit > 0xdfff)
        return at;
    if (unit >= 0xdc00)
        return fail(reader, begin, JSON_ERROR_SURROGATE);
    return scan_low_surrogate(reader, at);
}

/* at is the first byte of a multi-byte sequence; takes all that follow on. */
static const char *scan_multibyte(struct json_reader *reader, const char *at)
{
    do {
        int length = utf8_sequence(at, (size_t)(reader->end - at));

        if (length == UTF8_TRUNCATED)
            return fail(reader, reader->end, JSON_ERROR_TRUNCATED);
        if (length == UTF8_BAD)
            return fail(reader, at, JSON_ERROR_UTF8);
        at += length;
    } while (at < reader->end && (signed char)*at < 0);
    return at;
}

/* at is the opening quote. */
static inline const char *scan_string(struct json_reader *reader, const char *at,
                                      bool *ret_has_escapes)
{
    bool has_escapes = false;

    assert(*at == '"');
    at++;
    for (;;) {
        at = json_scan_plain(at, reader->end);
        if (unlikely(at == reader->end))
            return fail(reader, at, JSON_ERROR_TRUNCATED);
        if (likely(*at == '"'))
            break;
        if (*at == '\\') {
            has_escapes = true;
            at = scan_escape(reader, at);
        } else if ((signed char)*at < 0) {
            at = scan_multibyte(reader, at);
        } else {
            at = fail(reader, at, JSON_ERROR_CONTROL);
        }
        if (at == NULL)
            return NULL;
    }
    *ret_has_escapes = has_escapes;
    return at + 1;
}

/* One digit at least; at may be the end. */
static const char *scan_digits(struct json_reader *reader, const char *at)
{
    if (at == reader->end)
        return fail(reader, at, JSON_ERROR_TRUNCATED);
    if (!is_digit(*at))
        return fail(reader, at, JSON_ERROR_NUMBER);
    do {
        at++;
    } while (at < reader->end && is_digit(*at));
    return at;
}

/* at is behind the integer part and is '.', 'e' or 'E'. */
static const char *scan_fraction_and_exponent(struct json_reader *reader, const char *at)
{
    if (*at == '.') {
        at = scan_digits(reader, at + 1);
        if (at == NULL)
            return NULL;
    }
    if (at < reader->end && (*at | 0x20) == 'e') {
        at++;
        if (at < reader->end && (*at == '+' || *at == '-'))
            at++;
        at = scan_digits(reader, at);
    }
    return at;
}

/* at is '-' or a digit. */
static const char *scan_number(struct json_reader *reader, const char *at, bool *ret_is_integer)
{
    const char *first_digit;

    if (*at == '-')
        at++;
    first_digit = at;
    at = scan_digits(reader, at);
    if (at == NULL)
        return NULL;
    if (*first_digit == '0' && at - first_digit > 1)
        return fail(reader, first_digit, JSON_ERROR_NUMBER);
    *ret_is_integer = true;
    if (at < reader->end && (*at == '.' || (*at | 0x20) == 'e')) {
        *ret_is_integer = false;
        at = scan_fraction_and_exponent(reader, at);
    }
    return at;
}

static const char *scan_literal(struct json_reader *reader, const char *at, struct slice literal)
{
    size_t left = (size_t)(reader->end - at);
    size_t size = left < literal.size ? left : literal.size;

    if (memcmp(at, literal.data, size) != 0)
        return fail(reader, at, JSON_ERROR_VALUE);
    if (size < literal.size)
        return fail(reader, reader->end, JSON_ERROR_TRUNCATED);
    return at + size;
}

/* Scans a value that is no container and fills in all of *value but raw. */
static inline const char *scan_scalar(struct json_reader *reader, const char *at,
                                      struct json_value *value)
{
    bool has_escapes = false;
    bool is_integer = false;

    switch (*at) {
    case '"':
        value->type = JSON_STRING;
        at = scan_string(reader, at, &has_escapes);
        value->has_escapes = has_escapes;
        return at;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        value->type = JSON_NUMBER;
        at = scan_number(reader, at, &is_integer);
        value->is_integer = is_integer;
        return at;
    case 't':
        value->type = JSON_BOOLEAN;
        value->is_true = true;
        return scan_literal(reader, at, SLICE_LITERAL("true"));
    case 'f':
        value->type = JSON_BOOLEAN;
        return scan_literal(reader, at, SLICE_LITERAL("false"));
    case 'n':
        value->type = JSON_NULL;
        return scan_literal(reader, at, SLICE_LITERAL("null"));
    default:
        return fail(reader, at, JSON_ERROR_VALUE);
    }
}

/* From a member's name, which at must begin, to its value. */
static inline const char *scan_key(struct json_reader *reader, const char *at,
                                   struct json_value *key)
{
    const char *begin = at;
    bool has_escapes = false;

    if (unlikely(*at != '"'))
        return fail(reader, at, JSON_ERROR_KEY);
    at = scan_string(reader, at, &has_escapes);
    if (unlikely(at == NULL))
        return NULL;
    key->type = JSON_STRING;
    key->has_escapes = has_escapes;
    key->raw = (struct slice){begin, (size_t)(at - begin)};
    at = next_token(reader, at);
    if (unlikely(at == NULL))
        return NULL;
    if (unlikely(*at != ':'))
        return fail(reader, at, JSON_ERROR_COLON);
    return next_token(reader, at + 1);
}

/* at is an opening bracket; returns the position behind the one that closes it. */
static const char *scan_container(struct json_reader *reader, const char *at)
{
    struct json_value ignored = {0};
    char closers[JSON_DEPTH_MAX];
    uint32_t depth = 0;
    uint32_t depth_left = reader->depth_max - reader->depth;

    assert(depth_left <= JSON_DEPTH_MAX);
    while (at != NULL) {
        if (*at == '{' || *at == '[') {
            if (depth == depth_left)
                return fail(reader, at, JSON_ERROR_DEPTH);
            closers[depth++] = (char)(*at + CLOSER_DISTANCE);
            at = next_token(reader, at + 1);
            if (at == NULL)
                return NULL;
            if (*at != closers[depth - 1]) {
                if (closers[depth - 1] == '}')
                    at = scan_key(reader, at, &ignored);
                continue;
            }
        } else {
            at = scan_scalar(reader, at, &ignored);
            if (at == NULL || (at = next_token(reader, at)) == NULL)
                return NULL;
        }
        /* Behind a value, or at the bracket of an empty container: close what ends here. */
        while (*at == closers[depth - 1]) {
            at++;
            depth--;
            if (depth == 0)
                return at;
            at = next_token(reader, at);
            if (at == NULL)
                return NULL;
        }
        if (*at != ',')
            return fail(reader, at, JSON_ERROR_SEPARATOR);
        at = next_token(reader, at + 1);
        if (at != NULL && closers[depth - 1] == '}')
            at = scan_key(reader, at, &ignored);
    }
    return NULL;
}

void json_reader_init_at(struct json_reader *reader, struct slice text, size_t offset,
                         uint32_t depth_max)
{
    /* An empty slice may have no data; arithmetic on NULL is avoided. */
    const char *start = text.data != NULL ? text.data : "";

    assert(depth_max >= 1 && depth_max <= JSON_DEPTH_MAX);
    assert(offset <= text.size);
    *reader = (struct json_reader){
        .start = start,
        .cursor = start + offset,
        .end = start + text.size,
        .depth_max = depth_max,
    };
}

void json_reader_init(struct json_reader *reader, struct slice text, uint32_t depth_max)
{
    json_reader_init_at(reader, text, 0, depth_max);
}

static enum json_type type_of_first_byte(char byte)
{
    switch (byte) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOLEAN;
    case 'n':
        return JSON_NULL;
    default:
        return byte == '-' || is_digit(byte) ? JSON_NUMBER : JSON_ABSENT;
    }
}

enum json_result json_reader_peek(struct json_reader *reader, enum json_type *ret_type)
{
    const char *at;
    enum json_type type;

    reader_check(reader);
    if (reader->error != JSON_ERROR_NONE || (at = next_token(reader, reader->cursor)) == NULL)
        return result_of_error(reader);
    type = type_of_first_byte(*at);
    if (type == JSON_ABSENT) {
        fail(reader, at, JSON_ERROR_VALUE);
        return JSON_BAD;
    }
    reader->cursor = at;
    *ret_type = type;
    return JSON_OK;
}

enum json_result json_reader_read(struct json_reader *reader, struct json_value *ret_value)
{
    struct json_value value = {0};
    const char *begin;
    const char *at;

    reader_check(reader);
    if (unlikely(reader->error != JSON_ERROR_NONE) ||
        unlikely((begin = next_token(reader, reader->cursor)) == NULL))
        return result_of_error(reader);
    if (*begin == '{' || *begin == '[') {
        value.type = *begin == '{' ? JSON_OBJECT : JSON_ARRAY;
        at = scan_container(reader, begin);
    } else {
        at = scan_scalar(reader, begin, &value);
    }
    if (unlikely(at == NULL))
        return result_of_error(reader);
    value.raw = (struct slice){begin, (size_t)(at - begin)};
    reader->cursor = at;
    reader->is_first = false;
    *ret_value = value;
    return JSON_OK;
}

static enum json_result enter(struct json_reader *reader, char opener)
{
    const char *at;

    reader_check(reader);
    if (unlikely(reader->error != JSON_ERROR_NONE) ||
        unlikely((at = next_token(reader, reader->cursor)) == NULL))
        return result_of_error(reader);
    if (unlikely(*at != opener)) {
        fail(reader, at, JSON_ERROR_VALUE);
        return JSON_BAD;
    }
    if (unlikely(reader->depth == reader->depth_max)) {
        fail(reader, at, JSON_ERROR_DEPTH);
        return JSON_BAD;
    }
    reader->cursor = at + 1;
    reader->depth++;
    reader->is_first = true;
    return JSON_OK;
}

enum json_result json_reader_enter_object(struct json_reader *reader)
{
    return enter(reader, '{');
}

enum json_result json_reader_enter_array(struct json_reader *reader)
{
    return enter(reader, '[');
}

/* The bracket that closes a container, or the comma and what is behind it. */
static inline enum json_result next(struct json_reader *reader, char closer, const char **ret_at)
{
    const char *at;

    reader_check(reader);
    assert(reader->depth > 0);
    if (unlikely(reader->error != JSON_ERROR_NONE) ||
        unlikely((at = next_token(reader, reader->cursor)) == NULL))
        return result_of_error(reader);
    if (*at == closer) {
        reader->cursor = at + 1;
        reader->depth--;
        reader->is_first = false;
        return JSON_END;
    }
    if (!reader->is_first) {
        if (unlikely(*at != ',')) {
            fail(reader, at, JSON_ERROR_SEPARATOR);
            return JSON_BAD;
        }
        at = next_token(reader, at + 1);
        if (unlikely(at == NULL))
            return JSON_TRUNCATED;
    }
    reader->is_first = false;
    *ret_at = at;
    return JSON_OK;
}

enum json_result json_reader_next_member(struct json_reader *reader, struct json_value *ret_key)
{
    struct json_value key = {0};
    const char *at = NULL;
    enum json_result result = next(reader, '}', &at);

    if (result != JSON_OK)
        return result;
    at = scan_key(reader, at, &key);
    if (unlikely(at == NULL))
        return result_of_error(reader);
    reader->cursor = at;
    *ret_key = key;
    return JSON_OK;
}

enum json_result json_reader_next_element(struct json_reader *reader)
{
    const char *at = NULL;
    enum json_result result = next(reader, ']', &at);

    if (result != JSON_OK)
        return result;
    reader->cursor = at;
    return JSON_OK;
}

enum json_result json_reader_finish(struct json_reader *reader)
{
    const char *at;

    reader_check(reader);
    if (reader->error != JSON_ERROR_NONE)
        return result_of_error(reader);
    assert(reader->depth == 0);
    at = skip_space(reader->cursor, reader->end);
    if (at != reader->end) {
        fail(reader, at, JSON_ERROR_TRAILING);
        return JSON_BAD;
    }
    reader->cursor = at;
    return JSON_OK;
}

size_t json_reader_offset(const struct json_reader *reader)
{
    reader_check(reader);
    return (size_t)(reader->cursor - reader->start);
}

struct slice json_reader_since(const struct json_reader *reader, size_t begin)
{
    reader_check(reader);
    assert(begin <= json_reader_offset(reader));
    return (struct slice){reader->start + begin, json_reader_offset(reader) - begin};
}

enum json_error json_reader_error(const struct json_reader *reader)
{
    return reader->error;
}

struct slice json_error_text(enum json_error error)
{
    static const struct slice TEXTS[] = {
#define JSON_ERROR_TEXT(name, text) [JSON_ERROR_##name] = {text, sizeof(text) - 1},
        JSON_ERRORS(JSON_ERROR_TEXT)
#undef JSON_ERROR_TEXT
    };

    assert(error < ARRAY_COUNT(TEXTS));
    return TEXTS[error];
}

struct slice json_type_name(enum json_type type)
{
    static const struct slice NAMES[] = {
        [JSON_ABSENT] = {"undefined", 9}, [JSON_NULL] = {"null", 4},
        [JSON_BOOLEAN] = {"boolean", 7},  [JSON_NUMBER] = {"number", 6},
        [JSON_STRING] = {"string", 6},    [JSON_ARRAY] = {"array", 5},
        [JSON_OBJECT] = {"object", 6},
    };

    assert(type < ARRAY_COUNT(NAMES));
    return NAMES[type];
}

enum json_result json_read_document(struct slice text, uint32_t depth_max,
                                    struct json_reader *ret_reader, struct json_value *ret_value)
{
    struct json_value value;
    enum json_result result;

    json_reader_init(ret_reader, text, depth_max);
    result = json_reader_read(ret_reader, &value);
    if (result == JSON_OK)
        result = json_reader_finish(ret_reader);
    if (result == JSON_OK)
        *ret_value = value;
    return result;
}

bool json_find_member(struct slice object, struct slice name, struct json_value *ret_value)
{
    struct json_reader reader;
    struct json_value key;
    struct json_value value;
    enum json_result result;
    bool is_found = false;

    json_reader_init(&reader, object, JSON_DEPTH_MAX);
    result = json_reader_enter_object(&reader);
    while (result == JSON_OK) {
        result = json_reader_next_member(&reader, &key);
        if (result != JSON_OK)
            break;
        result = json_reader_read(&reader, &value);
        if (result == JSON_OK && json_string_equal(&key, name)) {
            *ret_value = value;
            is_found = true;
        }
    }
    assert(result == JSON_END);
    return is_found;
}

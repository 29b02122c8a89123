/*
 * The order of the members differs from kind to kind because it did in the
 * validator that clients have seen until now; only "pointer" is ours, and last.
 *
 * What is quoted back is cut to ISSUE_TEXT_SIZE_MAX bytes: an answer must not grow
 * with the request. A name too long to quote is left out of the path, which then
 * leads to the object that has it.
 */
#include "contracts/issue.h"

#include "contracts/json_string.h"
#include "contracts/utf8.h"

#define KEY(writer, literal) json_writer_key(writer, SLICE_LITERAL(literal))
#define MEMBER(writer, literal, text)                                                              \
    do {                                                                                           \
        KEY(writer, literal);                                                                      \
        json_writer_string(writer, text);                                                          \
    } while (0)

static void list_check(const struct issue_list *list)
{
    assert(list->count <= ISSUE_COUNT_MAX);
    assert(list->event_begin <= list->count);
}

void issue_list_init(struct issue_list *list)
{
    list->count = 0;
    list->omitted_count = 0;
    list->event_begin = 0;
}

void issue_list_begin_event(struct issue_list *list)
{
    list_check(list);
    list->event_begin = list->count;
}

void issue_list_add(struct issue_list *list, const struct issue *issue)
{
    list_check(list);
    if (list->count == ISSUE_COUNT_MAX ||
        list->count - list->event_begin == ISSUE_PER_EVENT_COUNT_MAX) {
        list->omitted_count++;
        return;
    }
    list->items[list->count++] = *issue;
}

struct slice issue_code(const struct issue *issue)
{
    static const struct slice CODES[] = {
        [ISSUE_TYPE] = {"invalid_type", 12},
        [ISSUE_OPTION] = {"invalid_enum_value", 18},
        [ISSUE_DATETIME] = {"invalid_string", 14},
        [ISSUE_UUID] = {"invalid_string", 14},
        [ISSUE_STRING_EMPTY] = {"too_small", 9},
        [ISSUE_DUPLICATE_KEY] = {"duplicate_key", 13},
        [ISSUE_ARRAY_EMPTY] = {"too_small", 9},
        [ISSUE_ARRAY_TOO_BIG] = {"too_big", 7},
        [ISSUE_RULE] = {"custom", 6},
        [ISSUE_UNKNOWN_KEY] = {"unrecognized_keys", 17},
    };

    assert(issue->kind < ARRAY_COUNT(CODES));
    return CODES[issue->kind];
}

static bool has_quotable_key(const struct issue *issue)
{
    return issue->key.type == JSON_STRING && issue->key.raw.size - 2 <= ISSUE_TEXT_SIZE_MAX;
}

/* The options as 'a' | 'b', inside a string value that is begun. */
static void write_option_pieces(const struct issue *issue, struct json_writer *writer)
{
    for (size_t i = 0; i < issue->option_count; i++) {
        json_writer_string_piece(writer, i == 0 ? SLICE_LITERAL("'") : SLICE_LITERAL(" | '"));
        json_writer_string_piece(writer, issue->options[i]);
        json_writer_string_piece(writer, SLICE_LITERAL("'"));
    }
}

static void write_expected_pieces(const struct issue *issue, struct json_writer *writer)
{
    if (issue->options != NULL)
        write_option_pieces(issue, writer);
    else
        json_writer_string_piece(writer, issue->expected);
}

/* The received string, cut, inside a string value that is begun. */
static void write_received_pieces(const struct issue *issue, struct json_writer *writer)
{
    char text[ISSUE_TEXT_SIZE_MAX];
    size_t written;
    size_t size = json_string_decode(&issue->value, text, sizeof(text), &written);

    json_writer_string_piece(writer, (struct slice){text, written});
    if (size > written)
        json_writer_string_piece(writer, SLICE_LITERAL("\xe2\x80\xa6"));
}

static void write_path(const struct issue *issue, struct slice array_key,
                       struct json_writer *writer)
{
    KEY(writer, "path");
    json_writer_begin_array(writer);
    if (issue->index != ISSUE_NO_INDEX) {
        if (array_key.size > 0)
            json_writer_string(writer, array_key);
        json_writer_u64(writer, (uint64_t)issue->index);
    }
    if (issue->parent.size > 0)
        json_writer_string(writer, issue->parent);
    if (has_quotable_key(issue))
        json_writer_raw(writer, issue->key.raw);
    json_writer_end_array(writer);
}

/* RFC 6901: '~' and '/' of a name are written as "~0" and "~1". */
static void write_pointer_token(struct slice text, struct json_writer *writer)
{
    size_t begin = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '~' && text.data[i] != '/')
            continue;
        json_writer_string_piece(writer, (struct slice){text.data + begin, i - begin});
        json_writer_string_piece(writer,
                                 text.data[i] == '~' ? SLICE_LITERAL("~0") : SLICE_LITERAL("~1"));
        begin = i + 1;
    }
    json_writer_string_piece(writer, (struct slice){text.data + begin, text.size - begin});
}

static void write_pointer(const struct issue *issue, struct slice array_key,
                          struct json_writer *writer)
{
    char text[ISSUE_TEXT_SIZE_MAX];
    size_t size;

    KEY(writer, "pointer");
    json_writer_begin_string(writer);
    if (issue->index != ISSUE_NO_INDEX) {
        if (array_key.size > 0) {
            json_writer_string_piece(writer, SLICE_LITERAL("/"));
            write_pointer_token(array_key, writer);
        }
        size = (size_t)snprintf(text, sizeof(text), "/%d", issue->index);
        json_writer_string_piece(writer, (struct slice){text, size});
    }
    if (issue->parent.size > 0) {
        json_writer_string_piece(writer, SLICE_LITERAL("/"));
        write_pointer_token(issue->parent, writer);
    }
    if (has_quotable_key(issue)) {
        size_t decoded_size = json_string_decode(&issue->key, text, sizeof(text), &size);

        assert(decoded_size == size);
        json_writer_string_piece(writer, SLICE_LITERAL("/"));
        write_pointer_token((struct slice){text, size}, writer);
    }
    json_writer_end_string(writer);
}

static void write_type(const struct issue *issue, struct slice array_key,
                       struct json_writer *writer)
{
    struct slice received = json_type_name(issue->received);
    bool has_options = issue->options != NULL;

    if (!has_options)
        MEMBER(writer, "code", issue_code(issue));
    KEY(writer, "expected");
    json_writer_begin_string(writer);
    write_expected_pieces(issue, writer);
    json_writer_end_string(writer);
    MEMBER(writer, "received", received);
    if (has_options)
        MEMBER(writer, "code", issue_code(issue));
    write_path(issue, array_key, writer);
    KEY(writer, "message");
    json_writer_begin_string(writer);
    if (issue->received == JSON_ABSENT) {
        json_writer_string_piece(writer, SLICE_LITERAL("Required"));
    } else {
        json_writer_string_piece(writer, SLICE_LITERAL("Expected "));
        write_expected_pieces(issue, writer);
        json_writer_string_piece(writer, SLICE_LITERAL(", received "));
        json_writer_string_piece(writer, received);
    }
    json_writer_end_string(writer);
}

static void write_option(const struct issue *issue, struct slice array_key,
                         struct json_writer *writer)
{
    KEY(writer, "received");
    json_writer_begin_string(writer);
    write_received_pieces(issue, writer);
    json_writer_end_string(writer);
    MEMBER(writer, "code", issue_code(issue));
    KEY(writer, "options");
    json_writer_begin_array(writer);
    for (size_t i = 0; i < issue->option_count; i++)
        json_writer_string(writer, issue->options[i]);
    json_writer_end_array(writer);
    write_path(issue, array_key, writer);
    KEY(writer, "message");
    json_writer_begin_string(writer);
    json_writer_string_piece(writer, SLICE_LITERAL("Invalid enum value. Expected "));
    write_option_pieces(issue, writer);
    json_writer_string_piece(writer, SLICE_LITERAL(", received '"));
    write_received_pieces(issue, writer);
    json_writer_string_piece(writer, SLICE_LITERAL("'"));
    json_writer_end_string(writer);
}

static void write_rule(const struct issue *issue, struct slice array_key,
                       struct json_writer *writer)
{
    assert(issue->rule.size > 0);
    MEMBER(writer, "code", issue_code(issue));
    write_path(issue, array_key, writer);
    KEY(writer, "message");
    json_writer_begin_string(writer);
    json_writer_string_piece(writer, issue->rule);
    if (issue->value.type == JSON_STRING) {
        json_writer_string_piece(writer, SLICE_LITERAL(", received '"));
        write_received_pieces(issue, writer);
        json_writer_string_piece(writer, SLICE_LITERAL("'"));
    }
    json_writer_end_string(writer);
}

/* bound is "minimum" or "maximum"; type is what has the size. */
static void write_size(const struct issue *issue, struct slice array_key, struct slice bound,
                       struct slice type, struct json_writer *writer)
{
    char message[ISSUE_TEXT_SIZE_MAX];
    uint32_t limit = issue->kind == ISSUE_ARRAY_TOO_BIG ? issue->limit : 1;
    bool is_string = issue->kind == ISSUE_STRING_EMPTY;
    int size = snprintf(message, sizeof(message), "%s must contain at %s %u %s(s)",
                        is_string ? "String" : "Array",
                        issue->kind == ISSUE_ARRAY_TOO_BIG ? "most" : "least", limit,
                        is_string ? "character" : "element");

    assert(size > 0 && (size_t)size < sizeof(message));
    MEMBER(writer, "code", issue_code(issue));
    json_writer_key(writer, bound);
    json_writer_u64(writer, limit);
    MEMBER(writer, "type", type);
    KEY(writer, "inclusive");
    json_writer_boolean(writer, true);
    KEY(writer, "exact");
    json_writer_boolean(writer, false);
    MEMBER(writer, "message", ((struct slice){message, (size_t)size}));
    write_path(issue, array_key, writer);
}

void issue_write(const struct issue *issue, struct slice array_key, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    switch (issue->kind) {
    case ISSUE_TYPE:
        write_type(issue, array_key, writer);
        break;
    case ISSUE_OPTION:
        write_option(issue, array_key, writer);
        break;
    case ISSUE_DATETIME:
        MEMBER(writer, "code", issue_code(issue));
        MEMBER(writer, "validation", SLICE_LITERAL("datetime"));
        MEMBER(writer, "message", SLICE_LITERAL("Invalid datetime"));
        write_path(issue, array_key, writer);
        break;
    case ISSUE_UUID:
        MEMBER(writer, "validation", SLICE_LITERAL("uuid"));
        MEMBER(writer, "code", issue_code(issue));
        MEMBER(writer, "message", SLICE_LITERAL("Invalid uuid"));
        write_path(issue, array_key, writer);
        break;
    case ISSUE_DUPLICATE_KEY:
        MEMBER(writer, "code", issue_code(issue));
        write_path(issue, array_key, writer);
        MEMBER(writer, "message", SLICE_LITERAL("Duplicate key"));
        break;
    case ISSUE_UNKNOWN_KEY:
        MEMBER(writer, "code", issue_code(issue));
        write_path(issue, array_key, writer);
        MEMBER(writer, "message", SLICE_LITERAL("Unrecognized key"));
        break;
    case ISSUE_RULE:
        write_rule(issue, array_key, writer);
        break;
    case ISSUE_STRING_EMPTY:
        write_size(issue, array_key, SLICE_LITERAL("minimum"), SLICE_LITERAL("string"), writer);
        break;
    case ISSUE_ARRAY_EMPTY:
        write_size(issue, array_key, SLICE_LITERAL("minimum"), SLICE_LITERAL("array"), writer);
        break;
    case ISSUE_ARRAY_TOO_BIG:
        write_size(issue, array_key, SLICE_LITERAL("maximum"), SLICE_LITERAL("array"), writer);
        break;
    }
    write_pointer(issue, array_key, writer);
    json_writer_end_object(writer);
}

uint32_t issue_list_write(const struct issue_list *list, struct slice array_key,
                          size_t reserve_size, struct json_writer *writer)
{
    uint32_t written_count = 0;

    list_check(list);
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < list->count && !writer->overflowed; i++) {
        struct json_writer before = *writer;

        issue_write(&list->items[i], array_key, writer);
        if (writer->overflowed || writer->capacity - writer->size < reserve_size) {
            *writer = before;
            break;
        }
        written_count++;
    }
    json_writer_end_array(writer);
    return list->count - written_count + list->omitted_count;
}

/*
 * RFC 9110 8.3.1: type "/" subtype *( OWS ";" OWS [ name "=" ( token / quoted ) ] ).
 * An empty parameter ("a/b;") is allowed by that grammar. Whitespace around "/"
 * and "=" is not.
 */
#include "http/media_type.h"

#include "http/char_class.h"
#include "http/headers.h"

/* Takes the token at *text, which may be empty, off its front. */
static struct slice take_token(struct slice *text)
{
    const char *end = text->data + text->size;
    struct slice token = {text->data,
                          (size_t)(char_skip(text->data, end, CHAR_TOKEN) - text->data)};

    assert(token.size <= text->size);
    text->data += token.size;
    text->size -= token.size;
    return token;
}

static bool take_char(struct slice *text, char c)
{
    if (text->size == 0 || text->data[0] != c)
        return false;
    text->data++;
    text->size--;
    return true;
}

/*
 * Takes what follows the opening quote, with the closing one. *ret_value is the
 * inside with its backslashes: no charset name needs one.
 */
static bool take_quoted(struct slice *text, struct slice *ret_value)
{
    struct slice inside = {text->data, 0};

    while (text->size > 0 && text->data[0] != '"') {
        size_t step = text->data[0] == '\\' ? 2 : 1;

        if (step > text->size || !char_is(text->data[step - 1], CHAR_FIELD_VALUE))
            return false;
        text->data += step;
        text->size -= step;
        inside.size += step;
    }
    *ret_value = inside;
    return take_char(text, '"');
}

/* Takes one "; name=value"; an empty name means that there was only the ';'. */
static bool take_parameter(struct slice *text, struct slice *ret_name, struct slice *ret_value)
{
    *text = header_text_trim(*text);
    if (!take_char(text, ';'))
        return false;
    *text = header_text_trim(*text);
    *ret_name = take_token(text);
    *ret_value = (struct slice){NULL, 0};
    if (ret_name->size == 0)
        return text->size == 0 || text->data[0] == ';';
    if (!take_char(text, '='))
        return false;
    if (take_char(text, '"'))
        return take_quoted(text, ret_value);
    *ret_value = take_token(text);
    return ret_value->size > 0;
}

enum media_type_result media_type_parse(struct slice text, struct media_type *ret_type)
{
    struct media_type parsed = {0};
    bool is_utf8 = true;
    struct slice name;
    struct slice value;

    text = header_text_trim(text);
    if (text.size == 0)
        return MEDIA_TYPE_BAD;
    parsed.essence.data = text.data;
    parsed.type = take_token(&text);
    if (parsed.type.size == 0 || !take_char(&text, '/'))
        return MEDIA_TYPE_BAD;
    parsed.subtype = take_token(&text);
    if (parsed.subtype.size == 0)
        return MEDIA_TYPE_BAD;
    parsed.essence.size = parsed.type.size + 1 + parsed.subtype.size;
    while (text.size > 0) {
        if (!take_parameter(&text, &name, &value))
            return MEDIA_TYPE_BAD;
        if (!header_text_equal(name, SLICE_LITERAL("charset")))
            continue;
        if (parsed.has_charset)
            return MEDIA_TYPE_BAD;
        parsed.has_charset = true;
        is_utf8 = header_text_equal(value, SLICE_LITERAL("utf-8"));
    }
    if (!is_utf8)
        return MEDIA_TYPE_UNSUPPORTED_CHARSET;
    assert(parsed.essence.size >= 3);
    *ret_type = parsed;
    return MEDIA_TYPE_OK;
}

bool media_type_is(const struct media_type *media_type, struct slice lower_essence)
{
    assert(media_type->essence.size >= 3);
    return header_text_equal(media_type->essence, lower_essence);
}

bool media_type_has_suffix(const struct media_type *media_type, struct slice lower_suffix)
{
    struct slice tail = media_type->subtype;

    assert(lower_suffix.size > 0);
    if (tail.size <= lower_suffix.size + 1)
        return false;
    tail.data += tail.size - lower_suffix.size;
    tail.size = lower_suffix.size;
    return tail.data[-1] == '+' && header_text_equal(tail, lower_suffix);
}

int media_type_match(const struct media_type *media_type, const struct slice *lower_essences,
                     size_t count)
{
    assert(count <= INT16_MAX);
    for (size_t i = 0; i < count; i++) {
        if (media_type_is(media_type, lower_essences[i]))
            return (int)i;
    }
    return MEDIA_TYPE_NO_MATCH;
}

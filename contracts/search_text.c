#include "contracts/search_text.h"

#include "contracts/utf8.h"

/*
 * One pass. What a letter is, the index decides when it splits a term into its words; here it
 * matters only that a term has one, since one without would find nothing, and with it
 * everything that must be there together with it.
 */

/* What separates words; everything else that is no letter is left to the index's own rules. */
static bool is_space(char c)
{
    return (unsigned char)c <= ' ' || c == '\x7f';
}

/*
 * Blocks of Unicode that hold marks and pictures: a word of nothing else has nothing that an
 * index keeps. One that is missing here finds nothing, which is no worse than what was typed.
 */
static const struct {
    uint32_t first;
    uint32_t last;
} MARKS[] = {
    {0x80, 0xa9},       {0xab, 0xb1},       {0xb4, 0xb4},       {0xb6, 0xb8},     {0xbb, 0xbb},
    {0xbf, 0xbf},       {0xd7, 0xd7},       {0xf7, 0xf7},       {0x0300, 0x036f}, {0x2000, 0x206f},
    {0x20a0, 0x20cf},   {0x2190, 0x245f},   {0x2500, 0x2775},   {0x2794, 0x2bff}, {0x3000, 0x3004},
    {0x3008, 0x3020},   {0xfe00, 0xfe6f},   {0xff01, 0xff0f},   {0xff1a, 0xff20}, {0xffe0, 0xffff},
    {0x1f000, 0x1f0ff}, {0x1f300, 0x1faff}, {0xe0000, 0xe01ef},
};

static uint32_t decode(const char *at, int size)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = (uint8_t)at[0] & masks[size];

    for (int i = 1; i < size; i++)
        point = point << 6 | ((uint8_t)at[i] & 0x3fu);
    return point;
}

static bool is_mark(uint32_t point)
{
    if (point < 0x80)
        return !(point >= '0' && point <= '9') && !((point | 0x20) >= 'a' && (point | 0x20) <= 'z');
    for (uint32_t i = 0; i < ARRAY_COUNT(MARKS); i++)
        if (point >= MARKS[i].first && point <= MARKS[i].last)
            return true;
    return false;
}

/* True when there is a letter or digit in it. */
static bool has_word(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        int size = utf8_sequence(text.data + i, text.size - i);

        if (size <= 0)
            return true; /* not ours to judge */
        if (!is_mark(decode(text.data + i, size)))
            return true;
        i += (size_t)size;
    }
    return false;
}

/* Takes the bytes up to a quote, or up to a space when in no phrase; the star is left out. */
static struct search_term take_term(struct slice *text, bool is_phrase)
{
    struct search_term term = {.text = {text->data, 0}};
    size_t i = 0;

    while (i < text->size && text->data[i] != '"' && text->data[i] != '\0' &&
           (is_phrase || !is_space(text->data[i])))
        i++;
    term.text.size = i;
    if (is_phrase && i < text->size)
        i++; /* what ended it */
    if (is_phrase && i < text->size && text->data[i] == '*') {
        term.is_prefix = true;
        i++;
    }
    *text = (struct slice){text->data + i, text->size - i};
    while (!is_phrase && term.text.size > 0 && term.text.data[term.text.size - 1] == '*') {
        term.is_prefix = true;
        term.text.size--;
    }
    return term;
}

uint32_t search_text_read(struct slice text, struct search_term ret_terms[SEARCH_TERM_COUNT_MAX])
{
    uint32_t count = 0;

    while (text.size > 0) {
        bool is_phrase = text.data[0] == '"';
        struct search_term term;

        if (is_phrase || is_space(text.data[0])) {
            text.data++;
            text.size--;
        }
        if (!is_phrase && (text.size == 0 || is_space(text.data[0]) || text.data[0] == '"'))
            continue;
        term = take_term(&text, is_phrase);
        if (!has_word(term.text))
            continue;
        if (count < SEARCH_TERM_COUNT_MAX)
            ret_terms[count] = term;
        count++;
    }
    return count;
}

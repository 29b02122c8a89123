/*
 * Load template: text with places that are filled anew for each request.
 *
 *     {{uuid}}          a random UUID (version 4)
 *     {{now}}           the time, 2025-01-15T12:00:00.000Z
 *     {{seq}}           0, 1, 2 ...: one number per request
 *     {{random}}        a number from 0 to 999999999
 *     {{random:5..10}}  a number from 5 to 10
 *     {{pick:a|b|c}}    one of these, by chance
 *
 * Anything else between double braces is an error. Compiled once; filling in copies
 * pieces and allocates nothing.
 */
#pragma once

#include "contracts/timestamp.h"
#include "runtime/rng.h"

enum {
    LOAD_TEMPLATE_SEGMENT_COUNT_MAX = 128,
    LOAD_TEMPLATE_MESSAGE_SIZE = 128,
};

enum load_segment_kind {
    LOAD_SEGMENT_LITERAL,
    LOAD_SEGMENT_UUID,
    LOAD_SEGMENT_NOW,
    LOAD_SEGMENT_SEQ,
    LOAD_SEGMENT_RANDOM,
    LOAD_SEGMENT_PICK,
};

/* Private to load_template.c. */
struct load_segment {
    enum load_segment_kind kind;
    uint32_t pick_count;
    struct slice text; /* of a literal; the choices of a pick */
    uint64_t min;
    uint64_t max;
};

/* Embedded by value; borrows the text that it was made of. size_max and is_fixed may be read. */
struct load_template {
    struct load_segment segments[LOAD_TEMPLATE_SEGMENT_COUNT_MAX];
    uint32_t segment_count;
    size_t size_max; /* of what is made of it */
    bool is_fixed;   /* nothing is to be filled in */
};

/* What the places are filled with. seq and unix_ms are set by the owner before each request. */
struct load_values {
    struct rng rng;
    uint64_t seq;
    uint64_t unix_ms;
    uint64_t now_ms; /* of the text below; private to load_template.c */
    char now[TIMESTAMP_TEXT_SIZE];
};

/* Makes values of a seed. */
void load_values_init(struct load_values *values, uint64_t seed);

/* Borrows text. False: message says why. */
MUST_USE bool load_template_compile(struct load_template *template, struct slice text,
                                    char message[LOAD_TEMPLATE_MESSAGE_SIZE]);

/* A template that is text as it stands, braces or not. */
void load_template_literal(struct load_template *template, struct slice text);

/* Writes the filled text into buffer, which has room for size_max bytes; its size. */
size_t load_template_render(const struct load_template *template, struct load_values *values,
                            char *buffer);

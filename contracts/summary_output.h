/*
 * Summary output: what a model, or the local summariser, says about an incident.
 *
 *     {"title": "...", "impact": "...", "likely_causes": ["..."], "evidence": ["..."],
 *      "next_steps": ["..."], "confidence": 0.8 or null}
 *
 * The whole text must be one such object: all six members, no others, none twice. Nothing is
 * cut out of a longer text, guessed or filled in; above all not the confidence, which is
 * null when the model does not know. Texts are bounded and free of control characters other
 * than line feed and tab, since people read them in terminals, too.
 *
 * What is wrong is kept with its place, so that a model can be told: see
 * summary_output_explain().
 */
#pragma once

#include "contracts/json_reader.h"
#include "contracts/json_writer.h"
#include "runtime/base.h"

enum {
    SUMMARY_DEPTH_MAX = 32,
    SUMMARY_TEXT_SIZE_MAX = 65536, /* of what is read */
    SUMMARY_TITLE_SIZE_MAX = 200,  /* bytes of UTF-8, as the others */
    SUMMARY_IMPACT_SIZE_MAX = 1000,
    SUMMARY_ITEM_COUNT_MAX = 10, /* per list */
    SUMMARY_ITEM_SIZE_MAX = 400,
    SUMMARY_PROBLEM_COUNT_MAX = 16,
    SUMMARY_KEY_SIZE_MAX = 64, /* of an unknown member's name that is quoted back */
    /* Of what is written: a quote, backslash or line feed takes two bytes. */
    SUMMARY_WRITTEN_SIZE_MAX = 2 * (SUMMARY_TITLE_SIZE_MAX + SUMMARY_IMPACT_SIZE_MAX +
                                    3 * SUMMARY_ITEM_COUNT_MAX * SUMMARY_ITEM_SIZE_MAX) +
                               512,
    SUMMARY_EXPLAINED_SIZE_MAX = SUMMARY_PROBLEM_COUNT_MAX * (2 * SUMMARY_KEY_SIZE_MAX + 128) + 64,
};

/* The name of this shape in records: raised when it changes. */
#define SUMMARY_SCHEMA_NAME "incident-summary-output-1"

enum summary_list {
    SUMMARY_CAUSES,
    SUMMARY_EVIDENCE,
    SUMMARY_STEPS,
    SUMMARY_LIST_COUNT,
};

/* X(name, text): what may be wrong with a place of the text. */
#define SUMMARY_RULES(X)                                                                           \
    X(JSON, "is not JSON")                                                                         \
    X(OBJECT, "must be one object and nothing else")                                               \
    X(TOO_LARGE, "must be at most 64 KiB")                                                         \
    X(REQUIRED, "is required")                                                                     \
    X(REPEATED, "occurs twice")                                                                    \
    X(UNKNOWN, "is not a member of the answer")                                                    \
    X(TITLE, "must be a string of 1 to 200 bytes that is not blank")                               \
    X(IMPACT, "must be a string of 1 to 1000 bytes that is not blank")                             \
    X(LIST, "must be an array of at most 10 strings")                                              \
    X(ITEM, "must be a string of 1 to 400 bytes that is not blank")                                \
    X(CONTROL, "must not contain control characters")                                              \
    X(CONFIDENCE, "must be a number from 0 to 1, or null")

enum summary_rule {
#define SUMMARY_RULE_ENUM(name, text) SUMMARY_RULE_##name,
    SUMMARY_RULES(SUMMARY_RULE_ENUM)
#undef SUMMARY_RULE_ENUM
        SUMMARY_RULE_COUNT,
};

enum { SUMMARY_NO_INDEX = -1 };

/* One thing that is wrong. key borrows from the text, or is static; empty: the whole. */
struct summary_problem {
    enum summary_rule rule;
    int32_t index; /* in the list key, or SUMMARY_NO_INDEX */
    struct slice key;
    enum json_error error; /* SUMMARY_RULE_JSON */
    size_t offset;         /* the same: the byte */
};

/* Strings are JSON values that borrow from the text. */
struct summary_output {
    struct json_value title;
    struct json_value impact;
    struct json_value lists[SUMMARY_LIST_COUNT][SUMMARY_ITEM_COUNT_MAX];
    uint32_t list_counts[SUMMARY_LIST_COUNT];
    bool has_confidence; /* false: null */
    double confidence;
    /* What is wrong; the other members are undefined when there is something. */
    uint32_t problem_count;
    struct summary_problem problems[SUMMARY_PROBLEM_COUNT_MAX];
};

/* True when text is such an object. Else *ret_output has problems, and only they may be read. */
MUST_USE bool summary_output_read(struct slice text, struct summary_output *ret_output);

/*
 * Writes a valid output as one value: all members in the order above, at most
 * SUMMARY_WRITTEN_SIZE_MAX bytes.
 */
void summary_output_write(const struct summary_output *output, struct json_writer *writer);

/*
 * Writes the problems for the model that made them, a line "- <JSON pointer>: <rule>" for
 * each, and returns the size, at most SUMMARY_EXPLAINED_SIZE_MAX.
 */
size_t summary_output_explain(const struct summary_output *output,
                              char ret_text[SUMMARY_EXPLAINED_SIZE_MAX]);

/* The member's name, such as "likely_causes". Static. */
struct slice summary_list_name(enum summary_list list);

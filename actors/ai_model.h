/*
 * AI model: who is asked about incidents, as the section [ai] says.
 *
 * Made once at start, read by all shards. Without a base_url there is no server to ask, and
 * summaries are made by the process itself (contracts/local_summary.h).
 *
 * The key is read from its file at the start and stays in a page of its own that is left out
 * of core dumps. It goes into one header field of requests to base_url, and nowhere else: no
 * log line, error or record is ever made from it or from what the server says of it.
 */
#pragma once

#include "contracts/token_price.h"
#include "http/headers.h"
#include "runtime/base.h"

struct settings;

enum {
    AI_MODEL_URL_SIZE_MAX = 2048,
    AI_MODEL_ORIGIN_SIZE_MAX = 128, /* as it is recorded */
    AI_MODEL_NAME_SIZE_MAX = 128,
    AI_MODEL_KEY_SIZE_MAX = 2048,
    AI_MODEL_HEADER_COUNT_MAX = 3,
    AI_MODEL_ERROR_SIZE_MAX = 256,
};

/* Read-only once made. The slices borrow from the settings, or from the struct itself. */
struct ai_model {
    bool is_local;       /* no server: the next three are not there */
    struct slice url;    /* of chat/completions */
    struct slice origin; /* "https://models.example:443" */
    struct slice key;    /* empty: none is sent */
    struct slice name;   /* of the model that is asked for */
    uint32_t max_tokens;
    uint32_t temperature_milli;
    struct token_price price;
    struct slice price_table;
    struct header headers[AI_MODEL_HEADER_COUNT_MAX];
    uint32_t header_count;
    char url_text[AI_MODEL_URL_SIZE_MAX];
    char origin_text[AI_MODEL_ORIGIN_SIZE_MAX];
    char *secret; /* private to ai_model.c */
};

/* NULL, or what is wrong with the section, naming the keys; static text. Reads no file. */
const char *ai_model_check(const struct settings *settings);

/*
 * Makes it from settings that were checked, which are borrowed. 0; or -errno when the key's
 * file cannot be read or holds no key, with the reason in ret_error. Start-up only.
 */
MUST_USE int ai_model_init(struct ai_model *model, const struct settings *settings,
                           char ret_error[AI_MODEL_ERROR_SIZE_MAX]);

/* Forgets the key. A zeroed one is accepted. */
void ai_model_deinit(struct ai_model *model);

/* True when the key occurs in text: then the text is not to be kept or shown. */
bool ai_model_is_told(const struct ai_model *model, struct slice text);

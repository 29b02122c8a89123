/*
 * Config internals: what the sources of a configuration share.
 *
 * Private to config*.c. A source finds a key and calls config_assign(); an error
 * names the place by the source's struct config_origin.
 */
#pragma once

#include "runtime/config.h"

#define CONFIG_NOT_FOUND UINT32_MAX

/* Who gave a value; a greater one wins over a smaller one. */
enum config_rank {
    CONFIG_RANK_DEFAULT,
    CONFIG_RANK_FILE,
    CONFIG_RANK_ENVIRONMENT_ALIAS, /* DATABASE_URL */
    CONFIG_RANK_ENVIRONMENT,       /* WEIR_STORE_URL */
    CONFIG_RANK_COMMAND_LINE,
};

/* Where a value comes from, for errors and config_source(). */
struct config_origin {
    enum config_rank rank;
    const char *name; /* of the file, the variable, the option */
    uint32_t line;    /* of the file; else 0 */
};

struct config_key_state {
    enum config_rank rank;
    uint32_t line;
    const char *source;
};

struct config {
    const struct config_key *keys;
    uint32_t key_count;
    char *base;
    struct config_key_state states[CONFIG_KEY_COUNT_MAX];
    size_t text_size;
    char text[CONFIG_TEXT_SIZE_MAX];
};

/* Asserts what must hold between any two calls. */
static inline void config_check(const struct config *config)
{
    assert(config->key_count > 0);
    assert(config->key_count <= CONFIG_KEY_COUNT_MAX);
    assert(config->text_size <= CONFIG_TEXT_SIZE_MAX);
}

/* The index of a key, or CONFIG_NOT_FOUND. */
uint32_t config_find_key(const struct config *config, const char *section, const char *name);

/* Gives a key its value, or adds to a list. 0, or -EINVAL with *ret_error written. */
MUST_USE int config_assign(struct config *config, uint32_t key_index,
                           const struct config_origin *origin, const char *value,
                           struct config_error *ret_error);

/* Writes "PLACE: why" to error. Gives -EINVAL, so that the caller can return it. */
int config_refuse(struct config_error *error, const struct config_origin *origin, const char *why);

/* As config_refuse(): the value is not what the key expects. A secret is not quoted. */
int config_refuse_value(struct config_error *error, const struct config_origin *origin,
                        const struct config_key *key, const char *value);

/* As config_refuse(): the key is already set on first_line. */
int config_refuse_second(struct config_error *error, const struct config_origin *origin,
                         const struct config_key *key, uint32_t first_line);

/* As config_refuse(): there is no such section or key; says which one may be meant. */
int config_refuse_name(struct config_error *error, const struct config_origin *origin,
                       const struct config *config, const char *section, const char *name);

#include "runtime/config.h"

#include <ctype.h>
#include <errno.h>

#include "runtime/config_internals.h"
#include "runtime/text_writer.h"

/*
 * Two passes, because the order of variables means nothing: first the names that
 * the replaced systems used (DATABASE_URL), then WEIR_<SECTION>_<KEY>, which wins.
 * A WEIR_ name that is no setting is refused: a typing error must not look like a
 * setting that has no effect.
 */

static const char ENVIRONMENT_PREFIX[] = "WEIR_";
static const char *const IGNORED_ALWAYS[] = {"WEIR_ADMIN_TOKEN", NULL};

/* Compares as names of variables are written: in capitals, with _ for what is no letter. */
static bool part_matches(const char *variable, size_t size, const char *part)
{
    if (strlen(part) != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)part[i];
        char expected = isalnum(byte) ? (char)toupper(byte) : '_';

        if (variable[i] != expected)
            return false;
    }
    return true;
}

static bool variable_matches(struct slice variable, const struct config_key *key)
{
    size_t prefix_size = sizeof(ENVIRONMENT_PREFIX) - 1;
    size_t section_size = strlen(key->section);
    const char *section = variable.data + prefix_size;

    if (variable.size < prefix_size + section_size + 2 || section[section_size] != '_')
        return false;
    return part_matches(section, section_size, key->section) &&
           part_matches(section + section_size + 1, variable.size - prefix_size - section_size - 1,
                        key->name);
}

static bool is_listed(struct slice variable, const char *const *names)
{
    for (; names != NULL && *names != NULL; names++)
        if (slice_equal(variable, slice_of(*names)))
            return true;
    return false;
}

static uint32_t find_variable(const struct config *config, struct slice variable,
                              enum config_rank rank)
{
    for (uint32_t i = 0; i < config->key_count; i++) {
        const struct config_key *key = &config->keys[i];

        if (rank == CONFIG_RANK_ENVIRONMENT && variable_matches(variable, key))
            return i;
        if (rank == CONFIG_RANK_ENVIRONMENT_ALIAS && key->environment != NULL &&
            slice_equal(variable, slice_of(key->environment)))
            return i;
    }
    return CONFIG_NOT_FOUND;
}

static bool has_prefix(struct slice variable)
{
    return variable.size >= sizeof(ENVIRONMENT_PREFIX) - 1 &&
           memcmp(variable.data, ENVIRONMENT_PREFIX, sizeof(ENVIRONMENT_PREFIX) - 1) == 0;
}

/* One NAME=VALUE; names are looked up as this rank writes them. */
static int read_variable(struct config *config, const char *entry, enum config_rank rank,
                         const char *const *ignored, struct config_error *error)
{
    struct slice variable = {entry, strcspn(entry, "=")};
    char name[64];
    struct config_origin origin = {.rank = rank, .name = name};
    struct text_writer writer;
    uint32_t key_index;

    if (entry[variable.size] != '=' || is_listed(variable, IGNORED_ALWAYS) ||
        is_listed(variable, ignored))
        return 0;
    if (rank == CONFIG_RANK_ENVIRONMENT && !has_prefix(variable))
        return 0;
    text_writer_init(&writer, name, sizeof(name) - 1);
    text_writer_put(&writer, (struct slice){entry, min_u64(variable.size, sizeof(name) - 1)});
    name[writer.size] = '\0';
    key_index = find_variable(config, variable, rank);
    if (key_index != CONFIG_NOT_FOUND)
        return config_assign(config, key_index, &origin, entry + variable.size + 1, error);
    if (rank == CONFIG_RANK_ENVIRONMENT &&
        find_variable(config, variable, CONFIG_RANK_ENVIRONMENT_ALIAS) == CONFIG_NOT_FOUND)
        return config_refuse(error, &origin, "no setting has this name (WEIR_<SECTION>_<KEY>)");
    return 0;
}

int config_read_environment(struct config *config, const char *const *environment,
                            const char *const *ignored, struct config_error *ret_error)
{
    static const enum config_rank RANKS[] = {CONFIG_RANK_ENVIRONMENT_ALIAS,
                                             CONFIG_RANK_ENVIRONMENT};

    config_check(config);
    for (size_t pass = 0; pass < ARRAY_COUNT(RANKS); pass++) {
        for (const char *const *entry = environment; *entry != NULL; entry++) {
            int r = read_variable(config, *entry, RANKS[pass], ignored, ret_error);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

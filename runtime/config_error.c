#include "runtime/config_internals.h"

#include <errno.h>

#include "runtime/config_value.h"
#include "runtime/text_writer.h"

/*
 * What a user reads when a setting is wrong: the place, the key, what was expected
 * and what stood there, in one line.
 *
 *     weir.conf:12: [server] shards: expected a whole number from 1 to 64, got "many"
 *     weir.conf:13: [server] has no key "shard"; did you mean "shards"?
 *     environment: WEIR_SERVER_SHARDS: [server] shards: expected ...
 *     --shards: [server] shards: expected ...
 */

static void start_error(struct text_writer *writer, struct config_error *error)
{
    text_writer_init(writer, error->text, sizeof(error->text) - 1);
}

/* Ends the text; gives -EINVAL, so that a caller can return it. */
static int end_error(struct text_writer *writer)
{
    writer->data[writer->size] = '\0';
    return -EINVAL;
}

static void put_quoted(struct text_writer *writer, const char *text)
{
    text_writer_char(writer, '"');
    text_writer_put(writer, (struct slice){text, strnlen(text, 64)});
    text_writer_text(writer, strlen(text) > 64 ? "...\"" : "\"");
}

static void put_place(struct text_writer *writer, const struct config_origin *origin)
{
    bool is_environment =
        origin->rank == CONFIG_RANK_ENVIRONMENT || origin->rank == CONFIG_RANK_ENVIRONMENT_ALIAS;

    text_writer_text(writer, is_environment ? "environment: " : "");
    text_writer_text(writer, origin->name);
    if (origin->line > 0) {
        text_writer_char(writer, ':');
        text_writer_u64(writer, origin->line);
    }
    text_writer_text(writer, ": ");
}

static void put_key(struct text_writer *writer, const struct config_key *key)
{
    text_writer_char(writer, '[');
    text_writer_text(writer, key->section);
    text_writer_text(writer, "] ");
    text_writer_text(writer, key->name);
}

int config_refuse(struct config_error *error, const struct config_origin *origin, const char *why)
{
    struct text_writer writer;

    start_error(&writer, error);
    put_place(&writer, origin);
    text_writer_text(&writer, why);
    return end_error(&writer);
}

int config_refuse_value(struct config_error *error, const struct config_origin *origin,
                        const struct config_key *key, const char *value)
{
    struct text_writer writer;

    start_error(&writer, error);
    put_place(&writer, origin);
    put_key(&writer, key);
    text_writer_text(&writer, ": expected ");
    config_value_expected(key, &writer);
    text_writer_text(&writer, ", got ");
    if (key->secret)
        text_writer_text(&writer, "something else (it is a secret and not shown)");
    else
        put_quoted(&writer, value);
    return end_error(&writer);
}

int config_refuse_second(struct config_error *error, const struct config_origin *origin,
                         const struct config_key *key, uint32_t first_line)
{
    struct text_writer writer;

    start_error(&writer, error);
    put_place(&writer, origin);
    put_key(&writer, key);
    text_writer_text(&writer, " is already set on line ");
    text_writer_u64(&writer, first_line);
    return end_error(&writer);
}

static bool has_section(const struct config *config, const char *section)
{
    for (uint32_t i = 0; i < config->key_count; i++)
        if (strcmp(config->keys[i].section, section) == 0)
            return true;
    return false;
}

static bool is_near(const char *a, const char *b)
{
    enum { NAME_SIZE_MAX = 48, DISTANCE_MAX = 2 };
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    size_t row[NAME_SIZE_MAX + 1];

    if (a_size > NAME_SIZE_MAX || b_size > NAME_SIZE_MAX)
        return false;
    /* Levenshtein's distance, one row at a time. */
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = min_u64(replaced, min_u64(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_size] <= DISTANCE_MAX;
}

/* A name of the table that the user may have meant, or NULL. */
static const char *nearest_name(const struct config *config, const char *section, const char *name)
{
    bool section_known = has_section(config, section);

    for (uint32_t i = 0; i < config->key_count; i++) {
        const struct config_key *key = &config->keys[i];

        if (!section_known && is_near(section, key->section))
            return key->section;
        if (section_known && strcmp(section, key->section) == 0 && is_near(name, key->name))
            return key->name;
    }
    return NULL;
}

int config_refuse_name(struct config_error *error, const struct config_origin *origin,
                       const struct config *config, const char *section, const char *name)
{
    const char *meant = nearest_name(config, section, name);
    struct text_writer writer;

    start_error(&writer, error);
    put_place(&writer, origin);
    if (section[0] == '\0') {
        put_quoted(&writer, name);
        text_writer_text(&writer, " stands before any [section]");
        return end_error(&writer);
    }
    if (has_section(config, section)) {
        text_writer_char(&writer, '[');
        text_writer_text(&writer, section);
        text_writer_text(&writer, "] has no key ");
        put_quoted(&writer, name);
    } else {
        text_writer_text(&writer, "unknown section ");
        put_quoted(&writer, section);
    }
    if (meant != NULL) {
        text_writer_text(&writer, "; did you mean ");
        put_quoted(&writer, meant);
        text_writer_char(&writer, '?');
    }
    return end_error(&writer);
}

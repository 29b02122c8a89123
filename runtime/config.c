#include "runtime/config.h"

#include <errno.h>

#include "runtime/config_internals.h"
#include "runtime/config_value.h"
#include "runtime/memory.h"
#include "runtime/text_writer.h"

/*
 * One function, config_assign(), gives every key its value, whatever the source;
 * the sources (config_file.c, config_environment.c, config_set() here) only differ
 * in how they find the key and in how an error names the place. Texts are copied
 * into the config's own memory, because the destination keeps pointers to them.
 *
 * The order of sources is the order of calls. For each key the config remembers
 * the rank of the source in force: a list given again by the same rank grows, by
 * another one it starts anew, and a plain key given twice by the file is a mistake
 * that nobody should have to find by experiment.
 */

enum { SOURCE_SIZE_MAX = 1024 };

uint32_t config_find_key(const struct config *config, const char *section, const char *name)
{
    for (uint32_t i = 0; i < config->key_count; i++)
        if (strcmp(config->keys[i].section, section) == 0 &&
            strcmp(config->keys[i].name, name) == 0)
            return i;
    return CONFIG_NOT_FOUND;
}

/* A copy that lives as long as the config, or NULL when the memory is used up. */
static char *keep_text(struct config *config, struct slice text)
{
    char *kept = config->text + config->text_size;

    if (text.size >= CONFIG_TEXT_SIZE_MAX - config->text_size)
        return NULL;
    memcpy(kept, text.data, text.size);
    kept[text.size] = '\0';
    config->text_size += text.size + 1;
    return kept;
}

static const char *keep_source(struct config *config, const struct config_origin *origin)
{
    char memory[SOURCE_SIZE_MAX];
    struct text_writer writer;

    switch (origin->rank) {
    case CONFIG_RANK_DEFAULT:
        return "default";
    case CONFIG_RANK_ENVIRONMENT_ALIAS:
    case CONFIG_RANK_ENVIRONMENT:
        return "environment";
    case CONFIG_RANK_FILE:
    case CONFIG_RANK_COMMAND_LINE:
        break;
    }
    text_writer_init(&writer, memory, sizeof(memory));
    text_writer_text(&writer, origin->name);
    if (origin->line > 0) {
        text_writer_char(&writer, ':');
        text_writer_u64(&writer, origin->line);
    }
    return keep_text(config, (struct slice){writer.data, writer.size});
}

static bool has_control_byte(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' && *text != '\t')
            return true;
    return false;
}

int config_assign(struct config *config, uint32_t key_index, const struct config_origin *origin,
                  const char *value, struct config_error *error)
{
    const struct config_key *key = &config->keys[key_index];
    struct config_key_state *state = &config->states[key_index];
    char *destination = config->base + key->offset;
    const char *source;
    char *kept;

    if (key->kind != CONFIG_LIST && origin->rank == CONFIG_RANK_FILE &&
        state->rank == CONFIG_RANK_FILE)
        return config_refuse_second(error, origin, key, state->line);
    if (has_control_byte(value))
        return config_refuse(error, origin, "the value holds a control character");
    source = keep_source(config, origin);
    kept = keep_text(config, slice_of(value));
    if (source == NULL || kept == NULL)
        return config_refuse(error, origin, "more text than a configuration may hold (1 MiB)");

    if (key->kind == CONFIG_LIST && (state->rank != origin->rank || value[0] == '\0'))
        ((struct config_list *)(void *)destination)->count = 0;
    if (config_value_parse(key, kept, destination) < 0)
        return config_refuse_value(error, origin, key, value);
    *state = (struct config_key_state){origin->rank, origin->line, source};
    return 0;
}

static const char *default_of(const struct config_key *key)
{
    if (key->default_text != NULL)
        return key->default_text;
    switch (key->kind) {
    case CONFIG_BOOL:
        return "false";
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return "0";
    case CONFIG_CHOICE:
    case CONFIG_TEXT:
    case CONFIG_LIST:
        break;
    }
    return "";
}

int config_new(const struct config_key *keys, uint32_t key_count, char *base,
               struct config **ret_config)
{
    struct config_origin origin = {.rank = CONFIG_RANK_DEFAULT, .name = "default"};
    struct config_error error;
    struct config *config;
    char *memory = NULL;
    int r;

    r = memory_map(sizeof(*config), &memory);
    if (r < 0)
        return r;
    config = (struct config *)(void *)memory;
    config->keys = keys;
    config->key_count = key_count;
    config->base = base;
    config_check(config);
    for (uint32_t i = 0; i < key_count; i++) {
        assert(config_find_key(config, keys[i].section, keys[i].name) == i);
        if (keys[i].kind == CONFIG_LIST)
            ((struct config_list *)(void *)(base + keys[i].offset))->count = 0;
        r = config_assign(config, i, &origin, default_of(&keys[i]), &error);
        assert(r == 0);
    }
    *ret_config = config;
    return 0;
}

void config_free(struct config **config)
{
    char *memory = (char *)*config;

    memory_unmap(&memory, sizeof(**config));
    *config = NULL;
}

int config_set(struct config *config, const char *option, const char *section, const char *name,
               const char *value, struct config_error *ret_error)
{
    struct config_origin origin = {.rank = CONFIG_RANK_COMMAND_LINE, .name = option};
    uint32_t key_index = config_find_key(config, section, name);

    config_check(config);
    assert(key_index != CONFIG_NOT_FOUND);
    return config_assign(config, key_index, &origin, value, ret_error);
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

bool config_same(const struct config *a, const struct config *b, uint32_t key_index)
{
    const struct config_key *key = &a->keys[key_index];
    const void *value_a = a->base + key->offset;
    const void *value_b = b->base + key->offset;

    assert(a->keys == b->keys);
    assert(key_index < a->key_count);
    switch (key->kind) {
    case CONFIG_BOOL:
        return *(const bool *)value_a == *(const bool *)value_b;
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return *(const uint64_t *)value_a == *(const uint64_t *)value_b;
    case CONFIG_CHOICE:
        return *(const uint32_t *)value_a == *(const uint32_t *)value_b;
    case CONFIG_TEXT:
        return strcmp(*(const char *const *)value_a, *(const char *const *)value_b) == 0;
    case CONFIG_LIST:
        return same_list(value_a, value_b);
    }
    return false;
}

const char *config_source(const struct config *config, uint32_t key_index)
{
    assert(key_index < config->key_count);
    return config->states[key_index].source;
}

static void print_value(const struct config_key *key, const char *destination,
                        struct text_writer *writer)
{
    struct text_writer hidden = *writer;

    if (!key->secret) {
        config_value_print(key, destination, writer);
        return;
    }
    /* Printed and taken back: whether anything is there, for every kind alike. */
    config_value_print(key, destination, &hidden);
    text_writer_text(writer, hidden.size > writer->size ? "********" : "");
    if (hidden.overflowed)
        writer->overflowed = true;
}

int64_t config_print(const struct config *config, char *text, size_t text_size)
{
    const char *section = "";
    struct text_writer writer;

    config_check(config);
    text_writer_init(&writer, text, text_size);
    for (uint32_t i = 0; i < config->key_count && !writer.overflowed; i++) {
        const struct config_key *key = &config->keys[i];

        if (strcmp(section, key->section) != 0) {
            text_writer_text(&writer, i > 0 ? "\n[" : "[");
            text_writer_text(&writer, key->section);
            text_writer_text(&writer, "]\n");
            section = key->section;
        }
        if (key->help != NULL) {
            text_writer_text(&writer, "; ");
            text_writer_text(&writer, key->help);
            text_writer_char(&writer, '\n');
        }
        text_writer_text(&writer, key->name);
        text_writer_text(&writer, " = ");
        print_value(key, config->base + key->offset, &writer);
        text_writer_text(&writer, " ; ");
        text_writer_text(&writer, config->states[i].source);
        text_writer_char(&writer, '\n');
    }
    return writer.overflowed ? -EMSGSIZE : (int64_t)writer.size;
}

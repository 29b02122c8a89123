/*
 * Config: settings from defaults, a file, the environment and the command line.
 *
 * A table of keys says for each setting its section, name, kind, bounds, default
 * and where in the caller's struct the value goes. Sources are read in this order
 * and a later one wins: defaults (config_new), file, environment, command line. A
 * list given again by the same source grows; given by a later source it is replaced.
 * Every mistake names the source, the line and the key. Start-up and reload only.
 *
 *     static const struct config_key KEYS[] = {
 *         {.section = "server", .name = "drain_timeout",
 *          CONFIG_DURATION_AT(struct settings, drain_timeout_ms),
 *          .default_text = "15s", .help = "How long a stop may take."},
 *     };
 *
 * INI as inih reads it: [section], key = value, lines that start with ; or # are
 * comments, so is what follows " ;" behind a value. A list may be given on several
 * lines; an empty value empties it.
 */
#pragma once

#include "runtime/base.h"

enum {
    CONFIG_KEY_COUNT_MAX = 512,
    CONFIG_FILE_SIZE_MAX = 256 * 1024,
    CONFIG_LINE_SIZE_MAX = 16 * 1024,
    CONFIG_TEXT_SIZE_MAX = 1024 * 1024, /* all values of one config together */
    CONFIG_LIST_COUNT_MAX = 64,
    CONFIG_ERROR_SIZE_MAX = 512,
};

/* How the text of a value is read and printed. */
enum config_kind {
    CONFIG_BOOL,     /* true, yes, on, 1, false, no, off, 0 */
    CONFIG_INTEGER,  /* decimal */
    CONFIG_SIZE,     /* bytes: a number with B, KiB, MiB, GiB, TiB, or none */
    CONFIG_DURATION, /* milliseconds: a number with ms, s, m, h, d; bare only 0 */
    CONFIG_TEXT,     /* as it stands; empty is allowed */
    CONFIG_CHOICE,   /* one of choices; the value is its index */
    CONFIG_LIST,     /* texts divided by blanks or commas */
};

/* Destination of a CONFIG_LIST. The texts live as long as the config. */
struct config_list {
    const char *items[CONFIG_LIST_COUNT_MAX];
    uint32_t count;
};

/* One setting. Static; only what differs from zero need be written. */
struct config_key {
    const char *section;
    const char *name;
    enum config_kind kind;   /* kind and offset: by a CONFIG_*_AT() below */
    size_t offset;           /* of the value in the caller's struct */
    int64_t min, max;        /* of integer, size, duration; both 0: no bounds but >= 0 */
    const char *choices;     /* "auto|uring|epoll" */
    const char *environment; /* another name it answers to (DATABASE_URL), or NULL */
    const char *default_text;
    const char *help; /* one sentence */
    bool secret;      /* never printed */
    bool reloadable;  /* takes effect on reload; for the caller, see config_same() */
};

/* Offset of a member, refused by the compiler unless the member has that type. */
#define CONFIG_OFFSET(struct_type, member, member_type)                                            \
    (offsetof(struct_type, member) +                                                               \
     sizeof(char[__builtin_types_compatible_p(__typeof__(((struct_type *)0)->member), member_type) \
                     ? 1                                                                           \
                     : -1]) -                                                                      \
     1)
#define CONFIG_BOOL_AT(struct_type, member)                                                        \
    .kind = CONFIG_BOOL, .offset = CONFIG_OFFSET(struct_type, member, bool)
#define CONFIG_INTEGER_AT(struct_type, member)                                                     \
    .kind = CONFIG_INTEGER, .offset = CONFIG_OFFSET(struct_type, member, int64_t)
#define CONFIG_SIZE_AT(struct_type, member)                                                        \
    .kind = CONFIG_SIZE, .offset = CONFIG_OFFSET(struct_type, member, uint64_t)
#define CONFIG_DURATION_AT(struct_type, member)                                                    \
    .kind = CONFIG_DURATION, .offset = CONFIG_OFFSET(struct_type, member, uint64_t)
#define CONFIG_TEXT_AT(struct_type, member)                                                        \
    .kind = CONFIG_TEXT, .offset = CONFIG_OFFSET(struct_type, member, const char *)
#define CONFIG_CHOICE_AT(struct_type, member)                                                      \
    .kind = CONFIG_CHOICE, .offset = CONFIG_OFFSET(struct_type, member, uint32_t)
#define CONFIG_LIST_AT(struct_type, member)                                                        \
    .kind = CONFIG_LIST, .offset = CONFIG_OFFSET(struct_type, member, struct config_list)

/* Why a source was refused, one line without a newline: "weir.conf:3: [server] shards: ...". */
struct config_error {
    char text[CONFIG_ERROR_SIZE_MAX];
};

struct config;

/*
 * A config over keys[0..key_count), with every default written to the struct at
 * base. Borrows keys and base for its life; the texts in the struct live as long
 * as the config. 0 or -ENOMEM. A default that its own kind refuses is a bug and aborts.
 */
MUST_USE int config_new(const struct config_key *keys, uint32_t key_count, char *base,
                        struct config **ret_config);

/* Frees it with all texts and nulls the pointer. NULL is accepted. */
void config_free(struct config **config);

/*
 * Reads a file. 0; -EINVAL for an unknown section or key, a bad value, a key given
 * twice or bad syntax; -EFBIG; -errno when it cannot be read. *ret_error is
 * written on any error, and the struct is then half set: throw both away.
 */
MUST_USE int config_read_file(struct config *config, const char *path,
                              struct config_error *ret_error);

/* config_read_file() on a terminated text; name stands for the file in errors. */
MUST_USE int config_read_text(struct config *config, const char *name, const char *text,
                              struct config_error *ret_error);

/*
 * Reads WEIR_<SECTION>_<KEY> and the keys' own environment names out of environment
 * (NULL-terminated NAME=VALUE, like environ); the WEIR_ name wins over the other. A
 * WEIR_ name that is no key is an error, except WEIR_ADMIN_TOKEN and the names in
 * ignored (NULL-terminated, or NULL). 0 or -EINVAL.
 */
MUST_USE int config_read_environment(struct config *config, const char *const *environment,
                                     const char *const *ignored, struct config_error *ret_error);

/*
 * Sets one key from the command line; option ("--listen") stands for the source in
 * errors. Last one wins, lists grow. 0 or -EINVAL. An unknown key is a bug and aborts.
 */
MUST_USE int config_set(struct config *config, const char *option, const char *section,
                        const char *name, const char *value, struct config_error *ret_error);

/* True when both, over the same keys, hold the same value for this one: reload's question. */
MUST_USE bool config_same(const struct config *a, const struct config *b, uint32_t key_index);

/* Where the value in force comes from: "default", "weir.conf:12", "environment", "--listen". */
const char *config_source(const struct config *config, uint32_t key_index);

/*
 * Prints the settings in force as an INI file, each with its help and source; a
 * secret that is set is masked. What is not masked, config_read_text() reads back.
 * Returns the size, or -EMSGSIZE when text_size is too small.
 */
MUST_USE int64_t config_print(const struct config *config, char *text, size_t text_size);

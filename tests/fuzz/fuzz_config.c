/*
 * No text crashes the reader; a refusal says something; what was accepted prints,
 * and the print is accepted.
 */
#include "runtime/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_SIZE_MAX = 4096 };

struct settings {
    struct config_list listen;
    int64_t shards;
    bool demo;
    uint32_t io;
    uint64_t drain_timeout_ms;
    uint64_t body_max;
    const char *url;
    const char *password;
};

static const struct config_key KEYS[] = {
    {.section = "server", .name = "listen", CONFIG_LIST_AT(struct settings, listen)},
    {.section = "server",
     .name = "shards",
     CONFIG_INTEGER_AT(struct settings, shards),
     .min = -5,
     .max = 64},
    {.section = "server", .name = "demo", CONFIG_BOOL_AT(struct settings, demo)},
    {.section = "server",
     .name = "io",
     CONFIG_CHOICE_AT(struct settings, io),
     .choices = "auto|uring|epoll",
     .default_text = "auto"},
    {.section = "server",
     .name = "drain_timeout",
     CONFIG_DURATION_AT(struct settings, drain_timeout_ms),
     .max = 3600000},
    {.section = "limits", .name = "body_max", CONFIG_SIZE_AT(struct settings, body_max)},
    {.section = "store", .name = "url", CONFIG_TEXT_AT(struct settings, url)},
    {.section = "store",
     .name = "password",
     CONFIG_TEXT_AT(struct settings, password),
     .secret = true},
};

static struct settings settings;
static char printed[64 * 1024];

/* Reads text into a fresh config; prints it when it is accepted. */
static bool read_and_print(const char *text)
{
    struct config_error error = {.text = ""};
    struct config *config = NULL;
    int64_t size = 0;
    int r;

    r = config_new(KEYS, ARRAY_COUNT(KEYS), (char *)&settings, &config);
    assert(r == 0);
    r = config_read_text(config, "f", text, &error);
    assert(r == 0 || error.text[0] == 'f');
    if (r == 0) {
        size = config_print(config, printed, sizeof(printed) - 1);
        assert(size > 0);
        printed[size] = '\0';
    }
    config_free(&config);
    return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[INPUT_SIZE_MAX + 1];
    bool accepted;

    if (size > INPUT_SIZE_MAX)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (read_and_print(text)) {
        accepted = read_and_print(printed);
        assert(accepted);
    }
    return 0;
}

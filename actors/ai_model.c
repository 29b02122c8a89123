#include "actors/ai_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "actors/settings.h"
#include "contracts/chat_completion.h"
#include "contracts/local_summary.h"
#include "http/url.h"
#include "runtime/memory.h"

/*
 * What the settings say is checked once, by ai_model_check(), before anything is made of it;
 * after that only the key's file can be wrong.
 *
 * The page of the secret holds "Bearer " and the key, so that the header field needs no copy.
 */

#define PATH "/chat/completions"
#define SCHEME "Bearer "

enum {
    SCHEME_SIZE = sizeof(SCHEME) - 1,
    TEMPERATURE_DIGITS = 3, /* behind the point */
};

static_assert(SCHEME_SIZE + AI_MODEL_KEY_SIZE_MAX + 2 <= MEMORY_PAGE_SIZE, "one page");

/* --- settings ------------------------------------------------------------------------------ */

/* "0.7": at most three digits behind the point. */
MUST_USE static bool read_temperature(const char *text, uint32_t *ret_milli)
{
    uint32_t milli = 0, digits_left = TEMPERATURE_DIGITS;
    bool has_point = false, has_digit = false;

    for (; *text != '\0'; text++) {
        if (*text == '.' && !has_point) {
            has_point = true;
            continue;
        }
        if (*text < '0' || *text > '9' || (has_point && digits_left == 0))
            return false;
        milli = milli * 10 + (uint32_t)(*text - '0');
        if (milli > CHAT_TEMPERATURE_MILLI_MAX)
            return false;
        digits_left -= has_point;
        has_digit = true;
    }
    for (; digits_left > 0; digits_left--)
        milli *= 10;
    *ret_milli = milli;
    return has_digit && milli <= CHAT_TEMPERATURE_MILLI_MAX;
}

/* Without slashes at its end. */
static struct slice base_of(const struct settings *settings)
{
    struct slice base = slice_of(settings->ai_base_url);

    while (base.size > 0 && base.data[base.size - 1] == '/')
        base.size--;
    return base;
}

const char *ai_model_check(const struct settings *settings)
{
    char origin[AI_MODEL_ORIGIN_SIZE_MAX];
    struct slice base = base_of(settings), text;
    uint32_t milli;
    struct url url;

    if (!read_temperature(settings->ai_temperature, &milli))
        return "[ai] temperature is a number from 0 to 2 with at most three decimals";
    if (settings->ai_call_timeout_ms > settings->ai_deadline_ms)
        return "[ai] call_timeout is above deadline";
    if (strlen(settings->ai_price_table) > AI_MODEL_NAME_SIZE_MAX)
        return "[ai] price_table has more than 128 bytes";
    if (base.size == 0)
        return settings->ai_api_key_file[0] != '\0' ? "[ai] api_key_file is set without base_url"
                                                    : NULL;
    if (base.size + sizeof(PATH) > AI_MODEL_URL_SIZE_MAX || url_parse(base, &url) != URL_OK ||
        url.query.data != NULL || !url_origin_write(&url, origin, sizeof(origin), &text))
        return "[ai] base_url is not an http or https URL without a query";
    if (settings->ai_model[0] == '\0')
        return "[ai] model is missing: which model of base_url is to be asked";
    if (strlen(settings->ai_model) > AI_MODEL_NAME_SIZE_MAX)
        return "[ai] model has more than 128 bytes";
    return NULL;
}

/* --- the key --------------------------------------------------------------------------------- */

MUST_USE static int64_t read_file(const char *path, char *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t count;
    int r = 0;

    if (fd < 0)
        return -errno;
    do {
        count = read(fd, bytes, size);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        r = -errno;
    close(fd);
    return r < 0 ? r : count;
}

/* What may stand in a header field; no blanks within. */
static bool is_key(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f)
            return false;
    return text.size > 0 && text.size <= AI_MODEL_KEY_SIZE_MAX;
}

MUST_USE static int read_key(struct ai_model *model, const char *path,
                             char ret_error[AI_MODEL_ERROR_SIZE_MAX])
{
    char *key;
    int64_t size;
    int r = memory_map(MEMORY_PAGE_SIZE, &model->secret);

    if (r < 0)
        return r;
    /* What is not to be in a core dump need not be there; if it cannot be helped, it is. */
    (void)!madvise(model->secret, MEMORY_PAGE_SIZE, MADV_DONTDUMP);
    memcpy(model->secret, SCHEME, SCHEME_SIZE);
    key = model->secret + SCHEME_SIZE;
    size = read_file(path, key, AI_MODEL_KEY_SIZE_MAX + 2);
    if (size < 0) {
        snprintf(ret_error, AI_MODEL_ERROR_SIZE_MAX, "[ai] api_key_file cannot be read: %s",
                 strerror((int)-size));
        return (int)size;
    }
    while (size > 0 && (key[size - 1] == '\n' || key[size - 1] == '\r' || key[size - 1] == ' '))
        size--;
    model->key = (struct slice){key, (size_t)size};
    if (is_key(model->key))
        return 0;
    snprintf(ret_error, AI_MODEL_ERROR_SIZE_MAX,
             "[ai] api_key_file must hold one key of at most %d characters, and nothing else",
             AI_MODEL_KEY_SIZE_MAX);
    return -EINVAL;
}

bool ai_model_is_told(const struct ai_model *model, struct slice text)
{
    return model->key.size > 0 && text.size > 0 &&
           memmem(text.data, text.size, model->key.data, model->key.size) != NULL;
}

/* --- making it ------------------------------------------------------------------------------- */

static void add_header(struct ai_model *model, struct slice name, struct slice value)
{
    assert(model->header_count < AI_MODEL_HEADER_COUNT_MAX);
    model->headers[model->header_count++] = (struct header){name, value};
}

static void set_server(struct ai_model *model, struct slice base)
{
    struct url url;
    bool is_valid;
    int size =
        snprintf(model->url_text, sizeof(model->url_text), "%.*s" PATH, (int)base.size, base.data);

    assert(size > 0);
    assert((size_t)size < sizeof(model->url_text));
    model->url = (struct slice){model->url_text, (size_t)size};
    is_valid =
        url_parse(model->url, &url) == URL_OK &&
        url_origin_write(&url, model->origin_text, sizeof(model->origin_text), &model->origin);
    assert(is_valid);
    add_header(model, SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json"));
    add_header(model, SLICE_LITERAL("Accept"), SLICE_LITERAL("application/json"));
}

int ai_model_init(struct ai_model *model, const struct settings *settings,
                  char ret_error[AI_MODEL_ERROR_SIZE_MAX])
{
    struct slice base = base_of(settings);
    bool is_valid;
    int r;

    memset(model, 0, sizeof(*model));
    assert(ai_model_check(settings) == NULL);
    is_valid = read_temperature(settings->ai_temperature, &model->temperature_milli);
    assert(is_valid);
    model->price_table = slice_of(settings->ai_price_table);
    model->price = (struct token_price){
        .is_set = model->price_table.size > 0,
        .input = (uint64_t)settings->ai_price_input,
        .cached = (uint64_t)settings->ai_price_cached,
        .output = (uint64_t)settings->ai_price_output,
    };
    model->is_local = base.size == 0;
    if (model->is_local) {
        model->name = SLICE_LITERAL(LOCAL_SUMMARY_MODEL);
        model->origin = SLICE_LITERAL("local");
        model->temperature_milli = 0;
        model->price = (struct token_price){.is_set = true};
        model->price_table = (struct slice){"", 0};
        return 0;
    }
    model->name = slice_of(settings->ai_model);
    model->max_tokens = (uint32_t)settings->ai_max_tokens;
    set_server(model, base);
    if (settings->ai_api_key_file[0] == '\0')
        return 0;
    r = read_key(model, settings->ai_api_key_file, ret_error);
    if (r < 0)
        return r;
    add_header(model, SLICE_LITERAL("Authorization"),
               (struct slice){model->secret, SCHEME_SIZE + model->key.size});
    return 0;
}

void ai_model_deinit(struct ai_model *model)
{
    if (model->secret != NULL)
        explicit_bzero(model->secret, MEMORY_PAGE_SIZE);
    memory_unmap(&model->secret, MEMORY_PAGE_SIZE);
    model->key = (struct slice){NULL, 0};
}

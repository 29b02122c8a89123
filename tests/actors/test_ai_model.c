#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "actors/ai_model.h"
#include "actors/settings.h"
#include "contracts/local_summary.h"

static struct settings settings;
static struct config *config;
static struct ai_model model;
static char error[AI_MODEL_ERROR_SIZE_MAX];
static char path[] = "/tmp/test_ai_model_XXXXXX";

static void setup(void)
{
    int fd;

    cr_assert(
        eq(int, config_new(SETTINGS_KEYS, SETTINGS_KEY_COUNT, (char *)&settings, &config), 0));
    settings.ai_base_url = "https://Models.Example/v1/";
    settings.ai_model = "m";
    fd = mkstemp(path);
    cr_assert(ge(int, fd, 0));
    close(fd);
}

static void teardown(void)
{
    ai_model_deinit(&model);
    unlink(path);
    config_free(&config);
}

TestSuite(ai_model, .init = setup, .fini = teardown, .timeout = 10);

static void write_key(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "w");

    cr_assert(ne(ptr, file, NULL));
    cr_assert(eq(sz, fwrite(bytes, 1, size, file), size));
    fclose(file);
    settings.ai_api_key_file = path;
}

Test(ai_model, is_local_by_default)
{
    settings.ai_base_url = "";
    settings.ai_model = "";
    cr_assert(eq(ptr, (void *)ai_model_check(&settings), NULL));
    cr_assert(eq(int, ai_model_init(&model, &settings, error), 0));
    cr_assert(model.is_local);
    cr_assert(slice_equal(model.name, SLICE_LITERAL(LOCAL_SUMMARY_MODEL)));
    cr_assert(slice_equal(model.origin, SLICE_LITERAL("local")));
    cr_assert(model.price.is_set);
    cr_assert(zero(u64, model.price.input));
}

Test(ai_model, knows_where_to_ask_and_who_that_is)
{
    cr_assert(eq(int, ai_model_init(&model, &settings, error), 0));
    cr_assert(not(model.is_local));
    cr_assert(slice_equal(model.url, SLICE_LITERAL("https://Models.Example/v1/chat/completions")));
    cr_assert(slice_equal(model.origin, SLICE_LITERAL("https://models.example:443")));
    cr_assert(eq(u32, model.temperature_milli, 700));
    cr_assert(eq(u32, model.max_tokens, 1024));
    cr_assert(not(model.price.is_set));
    cr_assert(eq(u32, model.header_count, 2));
}

Test(ai_model, has_prices_when_their_table_has_a_name)
{
    settings.ai_price_table = "2026-11";
    settings.ai_price_input = 5;
    settings.ai_price_output = 7;
    cr_assert(eq(int, ai_model_init(&model, &settings, error), 0));
    cr_assert(model.price.is_set);
    cr_assert(eq(u64, model.price.input, 5));
    cr_assert(eq(u64, model.price.output, 7));
    cr_assert(slice_equal(model.price_table, SLICE_LITERAL("2026-11")));
}

Test(ai_model, reads_a_temperature_of_at_most_three_decimals)
{
    static const struct {
        const char *text;
        uint32_t milli;
    } good[] = {{"0", 0},      {"0.7", 700}, {"1", 1000},    {"2", 2000},
                {"2.0", 2000}, {".5", 500},  {"0.125", 125}, {"1.", 1000}};
    static const char *const bad[] = {"",       ".",   "2.001", "3",  "-1",
                                      "0.1234", "1e0", "0,7",   " 1", "99999999999"};

    for (uint32_t i = 0; i < ARRAY_COUNT(good); i++) {
        settings.ai_temperature = good[i].text;
        cr_assert(eq(ptr, (void *)ai_model_check(&settings), NULL), "%s", good[i].text);
        cr_assert(eq(int, ai_model_init(&model, &settings, error), 0));
        cr_assert(eq(u32, model.temperature_milli, good[i].milli), "%s", good[i].text);
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++) {
        settings.ai_temperature = bad[i];
        cr_assert(ne(ptr, (void *)ai_model_check(&settings), NULL), "%s", bad[i]);
    }
}

Test(ai_model, refuses_settings_that_cannot_work)
{
    static const char *const urls[] = {"ftp://x",          "models.example", "https://",
                                       "https://x/v1?a=b", "https://u@x/",   "https://x y/"};

    for (uint32_t i = 0; i < ARRAY_COUNT(urls); i++) {
        settings.ai_base_url = urls[i];
        cr_assert(ne(ptr, (void *)ai_model_check(&settings), NULL), "%s", urls[i]);
    }
    settings.ai_base_url = "http://127.0.0.1:11434/v1";
    cr_assert(eq(ptr, (void *)ai_model_check(&settings), NULL));
    settings.ai_model = "";
    cr_assert(ne(ptr, (void *)ai_model_check(&settings), NULL));
    settings.ai_model = "m";
    settings.ai_deadline_ms = settings.ai_call_timeout_ms - 1;
    cr_assert(ne(ptr, (void *)ai_model_check(&settings), NULL));
    settings.ai_deadline_ms = settings.ai_call_timeout_ms;
    settings.ai_base_url = "";
    settings.ai_api_key_file = "/key";
    cr_assert(ne(ptr, (void *)ai_model_check(&settings), NULL));
}

Test(ai_model, sends_the_key_of_its_file)
{
    write_key("sk-canary-1234\r\n\n", 17);
    cr_assert(eq(int, ai_model_init(&model, &settings, error), 0), "%s", error);
    cr_assert(eq(u32, model.header_count, 3));
    cr_assert(slice_equal(model.headers[2].name, SLICE_LITERAL("Authorization")));
    cr_assert(slice_equal(model.headers[2].value, SLICE_LITERAL("Bearer sk-canary-1234")));
    cr_assert(ai_model_is_told(&model, SLICE_LITERAL("your key sk-canary-1234 is wrong")));
    cr_assert(not(ai_model_is_told(&model, SLICE_LITERAL("your key sk-canary-123 is wrong"))));
    cr_assert(not(ai_model_is_told(&model, SLICE_LITERAL(""))));
}

Test(ai_model, refuses_a_file_that_holds_no_key_and_does_not_show_it)
{
    static char large[AI_MODEL_KEY_SIZE_MAX + 10];

    memset(large, 'k', sizeof(large));
    write_key("", 0);
    cr_assert(eq(int, ai_model_init(&model, &settings, error), -EINVAL));
    ai_model_deinit(&model);
    write_key("sk-canary 1234", 14);
    cr_assert(eq(int, ai_model_init(&model, &settings, error), -EINVAL));
    cr_assert(eq(ptr, strstr(error, "canary"), NULL));
    ai_model_deinit(&model);
    write_key("sk-canary\nX-Injected: 1", 23);
    cr_assert(eq(int, ai_model_init(&model, &settings, error), -EINVAL));
    ai_model_deinit(&model);
    write_key(large, sizeof(large));
    cr_assert(eq(int, ai_model_init(&model, &settings, error), -EINVAL));
    ai_model_deinit(&model);
    write_key(large, AI_MODEL_KEY_SIZE_MAX);
    cr_assert(eq(int, ai_model_init(&model, &settings, error), 0));
    ai_model_deinit(&model);
    settings.ai_api_key_file = "/nonexistent/key";
    cr_assert(eq(int, ai_model_init(&model, &settings, error), -ENOENT));
    cr_assert(strstr(error, "api_key_file") != NULL);
}

Test(ai_model, is_told_nothing_without_a_key)
{
    cr_assert(eq(int, ai_model_init(&model, &settings, error), 0));
    cr_assert(not(ai_model_is_told(&model, SLICE_LITERAL("anything"))));
}

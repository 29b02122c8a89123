#include "runtime/config.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

struct settings {
    struct config_list listen;
    int64_t shards;
    bool demo;
    uint32_t io;
    uint64_t drain_timeout_ms;
    uint64_t body_max;
    const char *url;
    const char *password;
    int64_t offset;
};

static const struct config_key KEYS[] = {
    {.section = "server",
     .name = "listen",
     CONFIG_LIST_AT(struct settings, listen),
     .default_text = "127.0.0.1:3000",
     .help = "Addresses to listen on."},
    {.section = "server",
     .name = "shards",
     CONFIG_INTEGER_AT(struct settings, shards),
     .min = 1,
     .max = 64,
     .default_text = "2"},
    {.section = "server", .name = "demo", CONFIG_BOOL_AT(struct settings, demo)},
    {.section = "server",
     .name = "io",
     CONFIG_CHOICE_AT(struct settings, io),
     .choices = "auto|uring|epoll",
     .default_text = "auto"},
    {.section = "server",
     .name = "drain_timeout",
     CONFIG_DURATION_AT(struct settings, drain_timeout_ms),
     .max = 3600000,
     .default_text = "15s",
     .reloadable = true},
    {.section = "limits",
     .name = "body_max",
     CONFIG_SIZE_AT(struct settings, body_max),
     .default_text = "1MiB"},
    {.section = "store",
     .name = "url",
     CONFIG_TEXT_AT(struct settings, url),
     .environment = "DATABASE_URL"},
    {.section = "store",
     .name = "password",
     CONFIG_TEXT_AT(struct settings, password),
     .secret = true},
    {.section = "store",
     .name = "offset",
     CONFIG_INTEGER_AT(struct settings, offset),
     .min = -10,
     .max = 10},
};

static struct settings settings;
static struct config *config;
static struct config_error error;
static char text[8192];

static void setup(void)
{
    cr_assert(eq(int, config_new(KEYS, ARRAY_COUNT(KEYS), (char *)&settings, &config), 0));
}

static void teardown(void)
{
    config_free(&config);
    cr_expect(eq(ptr, config, NULL));
}

static void read_good(const char *file)
{
    error.text[0] = '\0';
    cr_assert(eq(int, config_read_text(config, "weir.conf", file, &error), 0), "%s", error.text);
}

/* The error of a file that must be refused. */
static char *error_of(const char *file)
{
    struct settings thrown_away;
    struct config *other = NULL;

    error.text[0] = '\0';
    cr_assert(eq(int, config_new(KEYS, ARRAY_COUNT(KEYS), (char *)&thrown_away, &other), 0));
    cr_expect(eq(int, config_read_text(other, "weir.conf", file, &error), -EINVAL));
    config_free(&other);
    return error.text;
}

static char *print(void)
{
    int64_t size = config_print(config, text, sizeof(text) - 1);

    cr_assert(ge(i64, size, 0));
    text[size] = '\0';
    return text;
}

TestSuite(config, .init = setup, .fini = teardown, .timeout = 60);

Test(config, starts_with_the_defaults)
{
    cr_expect(eq(u32, settings.listen.count, 1));
    cr_expect(eq(str, (char *)settings.listen.items[0], "127.0.0.1:3000"));
    cr_expect(eq(i64, settings.shards, 2));
    cr_expect(not(settings.demo));
    cr_expect(eq(u32, settings.io, 0));
    cr_expect(eq(u64, settings.drain_timeout_ms, 15000));
    cr_expect(eq(u64, settings.body_max, 1024 * 1024));
    cr_expect(eq(str, (char *)settings.url, ""));
    cr_expect(eq(str, (char *)config_source(config, 1), "default"));
}

Test(config, reads_every_kind_from_a_file)
{
    read_good("\xef\xbb\xbf; comment\n"
              "[server]\n"
              "listen = 0.0.0.0:80, [::1]:81\n"
              "listen = 127.0.0.1:82\t127.0.0.1:83\n"
              "  shards=64\r\n"
              "demo = Yes ; inline\n"
              "io: uring\n"
              "drain_timeout = 2 m\n"
              "\n"
              "# another\n"
              "[limits]\n"
              "body_max = 300KiB\n"
              "[store]\n"
              "url = postgres://u@h/d?a=b;c\n"
              "offset = -10");

    cr_assert(eq(u32, settings.listen.count, 4));
    cr_expect(eq(str, (char *)settings.listen.items[0], "0.0.0.0:80"));
    cr_expect(eq(str, (char *)settings.listen.items[1], "[::1]:81"));
    cr_expect(eq(str, (char *)settings.listen.items[3], "127.0.0.1:83"));
    cr_expect(eq(i64, settings.shards, 64));
    cr_expect(settings.demo);
    cr_expect(eq(u32, settings.io, 1));
    cr_expect(eq(u64, settings.drain_timeout_ms, 120000));
    cr_expect(eq(u64, settings.body_max, 300 * 1024));
    cr_expect(eq(str, (char *)settings.url, "postgres://u@h/d?a=b;c"));
    cr_expect(eq(i64, settings.offset, -10));
    cr_expect(eq(str, (char *)config_source(config, 1), "weir.conf:5"));
}

Test(config, empties_a_list_by_an_empty_value)
{
    read_good("[server]\nlisten = a b\nlisten =\nlisten = c\n");

    cr_assert(eq(u32, settings.listen.count, 1));
    cr_expect(eq(str, (char *)settings.listen.items[0], "c"));
}

Test(config, names_file_line_and_key_of_a_mistake)
{
    cr_expect(eq(str, error_of("[server]\n\nshards = many\n"),
                 "weir.conf:3: [server] shards: expected a whole number from 1 to 64, got "
                 "\"many\""));
    cr_expect(eq(str, error_of("[server]\nshard = 1\n"),
                 "weir.conf:2: [server] has no key \"shard\"; did you mean \"shards\"?"));
    cr_expect(eq(str, error_of("[server]\nfrobnicate = 1\n"),
                 "weir.conf:2: [server] has no key \"frobnicate\""));
    cr_expect(eq(str, error_of("[sever]\nshards = 1\n"),
                 "weir.conf:2: unknown section \"sever\"; did you mean \"server\"?"));
    cr_expect(
        eq(str, error_of("shards = 1\n"), "weir.conf:1: \"shards\" stands before any [section]"));
    cr_expect(eq(str, error_of("[server]\nshards = 1\ndemo = 1\nshards = 2\n"),
                 "weir.conf:4: [server] shards is already set on line 2"));
    cr_expect(eq(str, error_of("[server]\nio = poll\n"),
                 "weir.conf:2: [server] io: expected one of auto|uring|epoll, got \"poll\""));
    cr_expect(eq(str, error_of("[server]\ndrain_timeout = 2h\n"),
                 "weir.conf:2: [server] drain_timeout: expected a time with its unit, such as 15s "
                 "or 250ms, from 0ms to 1h, got \"2h\""));
    cr_expect(eq(str, error_of("[server]\nshards 3\n"),
                 "weir.conf:2: neither [section] nor key = value"));
    cr_expect(eq(str, error_of("[server\nshards = 3\n"),
                 "weir.conf:1: neither [section] nor key = value"));
    cr_expect(eq(str, error_of("[server]\nshards = 0\nio = poll\n"),
                 "weir.conf:2: [server] shards: expected a whole number from 1 to 64, got \"0\""));
}

Test(config, never_shows_a_secret_in_an_error_or_in_print)
{
    static const struct config_key SECRET[] = {
        {.section = "a", .name = "b", CONFIG_SIZE_AT(struct settings, body_max), .secret = true},
    };
    struct settings other_settings;
    struct config *other = NULL;

    cr_assert(eq(int, config_new(SECRET, 1, (char *)&other_settings, &other), 0));
    cr_assert(eq(int, config_set(other, "--b", "a", "b", "hunter2", &error), -EINVAL));
    cr_expect(eq(ptr, strstr(error.text, "hunter2"), NULL));
    config_free(&other);

    cr_expect(ne(ptr, strstr(print(), "\npassword =  ; default\n"), NULL));
    read_good("[store]\npassword = hunter2\n");
    cr_expect(ne(ptr, strstr(print(), "\npassword = ******** ; weir.conf:2\n"), NULL));
    cr_expect(eq(ptr, strstr(text, "hunter2"), NULL));
}

Test(config, takes_the_environment_over_the_file_and_the_command_line_over_both)
{
    static const char *const environment[] = {
        "PATH=/bin",
        "WEIR_SERVER_LISTEN=e1 e2",
        "WEIR_SERVER_DRAIN_TIMEOUT=7s",
        "WEIR_SERVER_SHARDS=5",
        NULL,
    };

    read_good("[server]\nlisten = f1\nshards = 4\ndrain_timeout = 6s\nio = epoll\n");
    cr_assert(eq(int, config_read_environment(config, environment, NULL, &error), 0));
    cr_assert(eq(int, config_set(config, "--shards", "server", "shards", "6", &error), 0));
    cr_assert(eq(int, config_set(config, "--listen", "server", "listen", "c1", &error), 0));
    cr_assert(eq(int, config_set(config, "--listen", "server", "listen", "c2", &error), 0));

    cr_expect(eq(i64, settings.shards, 6));
    cr_expect(eq(u64, settings.drain_timeout_ms, 7000));
    cr_expect(eq(u32, settings.io, 2));
    cr_assert(eq(u32, settings.listen.count, 2));
    cr_expect(eq(str, (char *)settings.listen.items[0], "c1"));
    cr_expect(eq(str, (char *)config_source(config, 0), "--listen"));
    cr_expect(eq(str, (char *)config_source(config, 4), "environment"));
}

Test(config, answers_to_the_old_names_but_prefers_its_own)
{
    static const char *const old[] = {"DATABASE_URL=old", NULL};
    static const char *const both[] = {"WEIR_STORE_URL=new", "DATABASE_URL=old", NULL};

    cr_assert(eq(int, config_read_environment(config, old, NULL, &error), 0));
    cr_expect(eq(str, (char *)settings.url, "old"));
    cr_assert(eq(int, config_read_environment(config, both, NULL, &error), 0));
    cr_expect(eq(str, (char *)settings.url, "new"));
}

Test(config, refuses_a_variable_that_is_no_setting)
{
    static const char *const unknown[] = {"WEIR_SERVER_SHARD=5", NULL};
    static const char *const bad[] = {"WEIR_SERVER_SHARDS=0", NULL};
    static const char *const ignored[] = {"WEIR_MINE", NULL};
    static const char *const fine[] = {"WEIR_ADMIN_TOKEN=x", "WEIR_MINE=y", "WEIR=z", NULL};

    cr_expect(eq(int, config_read_environment(config, unknown, NULL, &error), -EINVAL));
    cr_expect(eq(str, error.text,
                 "environment: WEIR_SERVER_SHARD: no setting has this name "
                 "(WEIR_<SECTION>_<KEY>)"));
    cr_expect(eq(int, config_read_environment(config, bad, NULL, &error), -EINVAL));
    cr_expect(eq(str, error.text,
                 "environment: WEIR_SERVER_SHARDS: [server] shards: expected a whole number from "
                 "1 to 64, got \"0\""));
    cr_expect(eq(int, config_read_environment(config, fine, ignored, &error), 0));
    cr_expect(eq(int, config_read_environment(config, fine, NULL, &error), -EINVAL));
}

Test(config, names_the_option_of_a_bad_command_line)
{
    cr_expect(eq(int, config_set(config, "--shards", "server", "shards", "65", &error), -EINVAL));
    cr_expect(eq(str, error.text,
                 "--shards: [server] shards: expected a whole number from 1 to 64, got \"65\""));
    cr_expect(eq(i64, settings.shards, 2));
}

Test(config, refuses_numbers_that_do_not_fit_or_are_not_meant)
{
    static const char *const bad[] = {
        "[limits]\nbody_max = 18446744073709551616\n",
        "[limits]\nbody_max = 9223372036854775808\n",
        "[limits]\nbody_max = 8388608TiB\n",
        "[limits]\nbody_max = -1\n",
        "[limits]\nbody_max = 1.5MiB\n",
        "[limits]\nbody_max = 1MB\n",
        "[limits]\nbody_max = MiB\n",
        "[limits]\nbody_max =\n",
        "[server]\ndrain_timeout = 15\n",
        "[server]\ndrain_timeout = 15 s s\n",
        "[server]\nshards = 0x10\n",
        "[server]\nshards = +3\n",
        "[server]\nshards = 3 4\n",
        "[server]\nshards = --3\n",
        "[server]\ndemo = maybe\n",
        "[server]\nio =\n",
        "[server]\nio = auto|uring\n",
        "[store]\noffset = -11\n",
        "[store]\noffset = -\n",
        "[store]\nurl = a\x01b\n",
    };

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        cr_expect(eq(int, strncmp(error_of(bad[i]), "weir.conf:2: ", 13), 0), "%s", bad[i]);
}

Test(config, accepts_numbers_at_their_limits)
{
    read_good("[limits]\nbody_max = 9223372036854775807\n[server]\ndrain_timeout = 0\n");
    cr_expect(eq(u64, settings.body_max, INT64_MAX));
    cr_expect(eq(u64, settings.drain_timeout_ms, 0));
}

Test(config, bounds_the_list_the_line_and_the_text)
{
    static char big[3 * 1024 * 1024];
    size_t size;

    size = (size_t)snprintf(big, sizeof(big), "[server]\nlisten =");
    for (int i = 0; i <= CONFIG_LIST_COUNT_MAX; i++)
        size += (size_t)snprintf(big + size, sizeof(big) - size, " a");
    cr_expect(
        eq(int, strncmp(error_of(big), "weir.conf:2: [server] listen: expected a list of", 48), 0));

    size = (size_t)snprintf(big, sizeof(big), "[store]\nurl = ");
    memset(big + size, 'x', CONFIG_LINE_SIZE_MAX);
    big[size + CONFIG_LINE_SIZE_MAX] = '\0';
    cr_expect(eq(str, error_of(big), "weir.conf:2: the line is too long (16 KiB at most)"));
    big[CONFIG_LINE_SIZE_MAX] = '\0';
    read_good(big);
    cr_expect(eq(sz, strlen(settings.url), CONFIG_LINE_SIZE_MAX - size));

    /* Few long lines: strict checks of strings look at all that is left for each line. */
    size = (size_t)snprintf(big, sizeof(big), "[server]\n");
    while (size + CONFIG_LINE_SIZE_MAX < sizeof(big)) {
        size += (size_t)snprintf(big + size, sizeof(big) - size, "listen =\nlisten = ");
        memset(big + size, 'x', CONFIG_LINE_SIZE_MAX / 2);
        size += CONFIG_LINE_SIZE_MAX / 2;
        big[size++] = '\n';
    }
    big[size] = '\0';
    cr_expect(ne(ptr, strstr(error_of(big), "more text than a configuration may hold"), NULL));
}

Test(config, prints_what_it_can_read_again)
{
    static char again[sizeof(text)];

    read_good("[server]\nlisten = a b c\nshards = 7\ndemo = on\nio = epoll\n"
              "drain_timeout = 90s\n[limits]\nbody_max = 1536MiB\n[store]\nurl = x=y\n"
              "offset = -3\n");
    memcpy(again, print(), sizeof(again));
    cr_expect(
        ne(ptr, strstr(text, "[server]\n; Addresses to listen on.\nlisten = a b c ; "), NULL));
    cr_expect(ne(ptr, strstr(text, "drain_timeout = 90s ; weir.conf:6\n"), NULL));
    cr_expect(ne(ptr, strstr(text, "body_max = 1536MiB ; weir.conf:8\n"), NULL));

    config_free(&config);
    setup();
    read_good(again);
    cr_expect(eq(u32, settings.listen.count, 3));
    cr_expect(eq(i64, settings.shards, 7));
    cr_expect(settings.demo);
    cr_expect(eq(u32, settings.io, 2));
    cr_expect(eq(u64, settings.drain_timeout_ms, 90000));
    cr_expect(eq(u64, settings.body_max, 1536ull * 1024 * 1024));
    cr_expect(eq(str, (char *)settings.url, "x=y"));
    cr_expect(eq(i64, settings.offset, -3));
    cr_expect(eq(i64, config_print(config, text, 100), -EMSGSIZE));
}

Test(config, tells_what_a_reload_would_change)
{
    struct settings fresh_settings;
    struct config *fresh = NULL;

    cr_assert(eq(int, config_new(KEYS, ARRAY_COUNT(KEYS), (char *)&fresh_settings, &fresh), 0));
    for (uint32_t i = 0; i < ARRAY_COUNT(KEYS); i++)
        cr_expect(config_same(config, fresh, i));
    read_good("[server]\nlisten = 127.0.0.1:3000 b\ndemo = 1\nio = epoll\n[store]\nurl = x\n");
    cr_expect(not(config_same(config, fresh, 0)));
    cr_expect(config_same(config, fresh, 1));
    cr_expect(not(config_same(config, fresh, 2)));
    cr_expect(not(config_same(config, fresh, 3)));
    cr_expect(not(config_same(config, fresh, 6)));
    config_free(&fresh);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert(ge(int, fd, 0));
    cr_assert(eq(i64, write(fd, bytes, size), (int64_t)size));
    close(fd);
}

Test(config, reads_a_file_and_says_when_it_cannot)
{
    static char huge[CONFIG_FILE_SIZE_MAX + 1];
    char path[] = "/tmp/weir-test-config-XXXXXX";
    char expected[128];

    close(mkstemp(path));
    write_file(path, "[server]\nshards = 9\n", 20);
    cr_expect(eq(int, config_read_file(config, path, &error), 0));
    cr_expect(eq(i64, settings.shards, 9));

    memset(huge, '\n', sizeof(huge));
    write_file(path, huge, sizeof(huge));
    cr_expect(eq(int, config_read_file(config, path, &error), -EFBIG));
    write_file(path, huge, sizeof(huge) - 1);
    cr_expect(eq(int, config_read_file(config, path, &error), 0));
    write_file(path, "[server]\n\0", 10);
    cr_expect(eq(int, config_read_file(config, path, &error), -EINVAL));
    unlink(path);

    cr_expect(eq(int, config_read_file(config, path, &error), -ENOENT));
    snprintf(expected, sizeof(expected), "%s: No such file or directory", path);
    cr_expect(eq(str, error.text, expected));
    cr_expect(eq(int, config_read_file(config, "/", &error), -EISDIR));
}

Test(config, aborts_on_a_default_that_its_kind_refuses, .signal = SIGABRT)
{
    static const struct config_key BAD[] = {
        {.section = "a",
         .name = "b",
         CONFIG_INTEGER_AT(struct settings, shards),
         .min = 1,
         .max = 2,
         .default_text = "3"},
    };
    struct config *other = NULL;

    (void)!config_new(BAD, 1, (char *)&settings, &other);
}

Test(config, aborts_on_an_option_without_a_key, .signal = SIGABRT)
{
    (void)!config_set(config, "--x", "server", "x", "1", &error);
}

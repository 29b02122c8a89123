/*
 * Serve: runs the server on this machine until a signal or a failure ends it.
 *
 *     options, settings -> limits -> io_uring probe -> app_new -> threads
 *     -> app_recover (answers are 503 meanwhile) -> wait for a signal
 *     -> drain -> join -> exit code
 *
 * The boot thread does the blocking parts and then sleeps until a signal comes. The
 * first SIGTERM or SIGINT drains; a second one ends the process at once, which
 * loses nothing that was acknowledged. SIGHUP reads the settings again and says what
 * is wrong with them, or that a restart would bring them into force: the certificate and
 * its key are all that changes in a running process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#include "actors/app.h"
#include "actors/app_bounds.h"
#include "actors/app_listeners.h"
#include "runtime/crash_report.h"
#include "runtime/io_probe.h"
#include "runtime/io_uring.h"
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/strict_alloc.h"
#include "tools/version.h"

enum {
    DESCRIPTORS_BESIDE_CONNECTIONS = 256, /* files, rings, listeners, and those on their way out */
    SIGNAL_WAIT_MS = 200,                 /* how soon a failed runtime is noticed */
    TEXT_SIZE_MAX = 64 * 1024,
    CERTIFICATE_DAYS_LEFT = 14, /* when a warning is due */
    HOUR_MS = 3600000,
    DAY_MS = 24 * HOUR_MS,
};

static const struct option_spec OPTIONS[] = {
    {.name = "config", .kind = OPTION_TEXT, .argument = "FILE", .help = "settings, INI format"},
    {.name = "data",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .help = "the data directory (default ./weir-data)"},
    {.name = "listen",
     .kind = OPTION_TEXT,
     .argument = "ADDR:PORT",
     .repeatable = true,
     .help = "where to listen (default 127.0.0.1:3000); repeatable"},
    {.name = "listen-tls",
     .kind = OPTION_TEXT,
     .argument = "ADDR:PORT",
     .repeatable = true,
     .help = "where to listen for https, with the certificate of [tls]; repeatable"},
    {.name = "role",
     .kind = OPTION_CHOICE,
     .argument = "all|api|worker",
     .help = "what this process does (default all)"},
    {.name = "shards",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .max = SHARD_COUNT_MAX,
     .help = "threads (default: one per processor)"},
    {.name = "io",
     .kind = OPTION_CHOICE,
     .argument = "auto|uring|epoll",
     .help = "I/O backend (default auto); epoll is not built yet"},
    {.name = "demo",
     .kind = OPTION_FLAG,
     .help = "make the key dev-api-key-12345 for org_demo/proj_demo and send events of an "
             "invented shop with it ([demo] traffic); loopback only"},
    {.name = "unsafe-storage",
     .kind = OPTION_FLAG,
     .help = "go on where the file system cannot keep what is acknowledged"},
    {.name = "log-format",
     .kind = OPTION_CHOICE,
     .argument = "json|text",
     .help = "log lines for machines or for people (default json)"},
    {.name = "log-level",
     .kind = OPTION_CHOICE,
     .argument = "debug|info|warn|error",
     .help = "lines below are dropped (default info)"},
    {.name = "strict-alloc", .kind = OPTION_FLAG, .help = "abort on any allocation after start"},
    {.name = "print-config", .kind = OPTION_FLAG, .help = "show the settings in force and exit"},
    {.name = "print-limits",
     .kind = OPTION_FLAG,
     .help = "show the sum of all bounds in memory and exit"},
};

static const struct command_spec COMMAND = {
    .name = "serve",
    .summary = "run the server",
    .details = "Takes events in over HTTP and answers 202 once they are on stable storage. "
               "Every setting can be given in the file, by the environment as "
               "WEIR_<SECTION>_<KEY>, or here; the later wins. SIGTERM or Ctrl-C drains and "
               "ends; a second one ends at once.",
    .example = "weir serve --demo\n"
               "weir serve --config /etc/weir.ini --data /var/lib/weir --listen 0.0.0.0:3000",
    .options = OPTIONS,
    .option_count = ARRAY_COUNT(OPTIONS),
};

/* WEIR_ names that other commands and tests use. */
static const char *const IGNORED_NAMES[] = {"WEIR_API_KEY", "WEIR_URL", NULL};

/* The process; large, and one of it. */
static struct app app;
static struct settings settings;
static struct clock boot_clock;
static struct log boot_log;

/* What went wrong: for people before the log is set up, a line of the log afterwards. */
PRINTF_LIKE(1, 2)
static void complain(const char *format, ...)
{
    char text[APP_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (boot_log.clock == NULL) {
        fprintf(stderr, "weir serve: %s\n", text);
        return;
    }
    clock_update(&boot_clock);
    log_line(&boot_log, LOG_ERROR, "serve", text, NULL);
    log_flush_now(&boot_log);
}

/* One line of the boot thread in the log, in the log's own format. */
static void say(enum log_level level, const char *msg, const struct log_field *fields)
{
    clock_update(&boot_clock);
    log_line(&boot_log, level, "serve", msg, fields);
    log_flush_now(&boot_log);
}

#define SAY(level, msg, ...)                                                                       \
    say(level, msg, (const struct log_field[]){__VA_ARGS__, {.kind = LOG_FIELD_END}})

/* --- settings ------------------------------------------------------------- */

/* Options whose name on the command line is a key of [server]. */
static int set_from_options(struct config *config, const struct options *options,
                            struct config_error *error)
{
    static const struct {
        const char *option;
        const char *key;
    } names[] = {
        {"data", "data"},
        {"listen", "listen"},
        {"listen-tls", "listen_tls"},
        {"role", "role"},
        {"shards", "shards"},
        {"io", "io"},
        {"log-format", "log_format"},
        {"log-level", "log_level"},
        {"unsafe-storage", "unsafe_storage"},
        {"demo", "demo"},
        {"strict-alloc", "strict_alloc"},
    };
    char source[64];
    int r = 0;

    for (uint32_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(source, sizeof(source), "--%s", names[i].option);
        for (uint32_t j = 0; j < options_count(options, names[i].option) && r == 0; j++) {
            const char *value = options_at(options, names[i].option, j);

            r = config_set(config, source, "server", names[i].key, value != NULL ? value : "true",
                           error);
        }
    }
    return r;
}

/* Defaults, file, environment, command line. 0 or an exit code. */
static int load_settings(const struct options *options, struct settings *target,
                         struct config **ret_config)
{
    const char *path = options_text(options, "config", NULL);
    const char *problem;
    struct config_error error;
    struct config *config;
    int r = config_new(SETTINGS_KEYS, SETTINGS_KEY_COUNT, (char *)target, &config);

    if (r < 0) {
        complain("out of memory");
        return COMMAND_FAILED;
    }
    *ret_config = config;
    if (path != NULL)
        r = config_read_file(config, path, &error);
    if (r == 0)
        r = config_read_environment(config, (const char *const *)environ, IGNORED_NAMES, &error);
    if (r == 0)
        r = set_from_options(config, options, &error);
    if (r < 0) {
        complain("%s", error.text);
        return COMMAND_BAD_CONFIG;
    }
    problem = settings_check(target);
    if (problem != NULL) {
        complain("%s", problem);
        return COMMAND_BAD_CONFIG;
    }
    return COMMAND_DONE;
}

static uint32_t choose_shard_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (settings.shards > 0)
        return (uint32_t)settings.shards;
    return processors < 1 ? 1 : (uint32_t)min_u64((uint64_t)processors, SHARD_COUNT_MAX);
}

static int print_config(const struct config *config)
{
    static char text[TEXT_SIZE_MAX];
    int64_t size = config_print(config, text, sizeof(text));

    assert(size >= 0);
    fwrite(text, 1, (size_t)size, stdout);
    return COMMAND_DONE;
}

static int print_limits(uint32_t shard_count)
{
    static char text[TEXT_SIZE_MAX];
    struct io_uring_config ring = io_uring_sizes(&(struct io_uring_config){0});
    struct limits lines;
    int size;

    limits_init(&lines);
    app_bounds_add_limits(&settings, shard_count, &lines);
    limits_add(&lines, "receive buffers", (uint64_t)ring.recv_buffer_count * shard_count,
               ring.recv_buffer_size);
    limits_add(&lines, "locked for rings (RLIMIT_MEMLOCK)", shard_count,
               io_uring_memlock_need(&ring));
    size = limits_render(&lines, text, sizeof(text));
    assert(size >= 0);
    fputs(text, stdout);
    return COMMAND_DONE;
}

/* --- the machine ---------------------------------------------------------- */

/* Raises the limit of descriptors to what the connections need, as far as allowed. */
static void fit_descriptors(void)
{
    uint64_t wanted = (uint64_t)settings.connections + DESCRIPTORS_BESIDE_CONNECTIONS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = min_u64(wanted, limit.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
            return;
    }
    if (limit.rlim_cur >= wanted)
        return;
    settings.connections = limit.rlim_cur > DESCRIPTORS_BESIDE_CONNECTIONS * 2
                               ? (int64_t)limit.rlim_cur - DESCRIPTORS_BESIDE_CONNECTIONS
                               : (int64_t)limit.rlim_cur / 2;
    SAY(LOG_WARN,
        "the limit of open files allows fewer connections: raise ulimit -n or LimitNOFILE=",
        LOG_NUMBER("open_files", limit.rlim_cur), LOG_NUMBER("connections", settings.connections));
}

/* True when the shards can have their rings; else the reason has been printed. */
static bool probe_io(uint32_t shard_count)
{
    struct io_uring_config ring = {0};
    struct io_probe probe;

    if (io_probe_run(&ring, shard_count, &probe) == 0)
        return true;
    complain("%s", probe.text);
    return false;
}

static int new_io(struct runtime *owner, uint32_t index, struct io **ret_io)
{
    struct io_uring_config ring = {0};

    (void)owner;
    (void)index;
    return io_uring_new(&ring, ret_io);
}

/* --- running -------------------------------------------------------------- */

static void say_progress(struct app *self, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)self;
    SAY(LOG_INFO, "reading the journal back", LOG_NUMBER("done_bytes", done_bytes),
        LOG_NUMBER("total_bytes", total_bytes));
}

/* Says so when clients will not take the certificate, or soon will not any more. */
static void look_at_certificate(void)
{
    uint64_t end_ms = app_identity_end_ms(&app);

    clock_update(&boot_clock);
    if (end_ms == 0 || end_ms > boot_clock.unix_ms + (uint64_t)CERTIFICATE_DAYS_LEFT * DAY_MS)
        return;
    if (end_ms <= boot_clock.unix_ms)
        say(LOG_WARN, "the certificate has expired: clients will refuse it", NULL);
    else
        SAY(LOG_WARN, "the certificate expires soon",
            LOG_NUMBER("hours", (end_ms - boot_clock.unix_ms) / HOUR_MS));
}

static void say_ready(void)
{
    for (uint32_t i = 0; i < app.shards[0].listener_count; i++) {
        struct address address;
        char text[ADDRESS_TEXT_SIZE];

        if (app_listeners_address(&app, i, &address) < 0)
            continue;
        address_format(&address, text);
        SAY(LOG_INFO, "listening", LOG_TEXT("address", slice_of(text)),
            LOG_NUMBER("shards", app.shard_count), LOG_NUMBER("events", app.recovered_event_count));
        printf("weir serve: listening on http%s://%s, %u shard%s, %llu events on record\n",
               app.shards[0].listeners[i].is_tls ? "s" : "", text, app.shard_count,
               app.shard_count == 1 ? "" : "s", (unsigned long long)app.recovered_event_count);
    }
    look_at_certificate();
    if (settings.demo)
        printf("weir serve: demo: organisation org_demo, project proj_demo, key "
               "dev-api-key-12345, loopback only; do not use it for anything real\n");
    if (demo_traffic_is_wanted(&app.shards[0]))
        puts("weir serve: demo: events of an invented shop come by themselves, a burst of errors "
             "first; WEIR_DEMO_TRAFFIC=false: none");
    printf("weir serve: admin token: %s\n",
           getenv("WEIR_ADMIN_TOKEN") != NULL ? "from WEIR_ADMIN_TOKEN" : "in <data>/admin.token");
    fflush(stdout);
}

/* A second signal: nothing that was acknowledged needs us. */
static void on_second_signal(int number)
{
    _exit(128 + number);
}

static void fill_stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

/* The settings are good: takes over what can be. */
static void reload(const struct settings *fresh)
{
    char text[APP_TEXT_SIZE];

    if (app_reload_identity(&app, fresh->tls_certificate, fresh->tls_key, text) < 0) {
        SAY(LOG_ERROR, "SIGHUP: the certificate is refused, the one in force stays",
            LOG_TEXT("reason", slice_of(text)));
        return;
    }
    say(LOG_INFO,
        settings.listen_tls.count > 0
            ? "SIGHUP: the certificate is read again; a restart brings other settings into force"
            : "SIGHUP: the settings are good; a restart brings them into force",
        NULL);
    look_at_certificate();
}

/* Checks the settings as they are now; the running process keeps those it has. */
static void on_hangup(const struct options *options)
{
    static struct settings fresh;
    struct config *config = NULL;

    if (load_settings(options, &fresh, &config) == COMMAND_DONE)
        reload(&fresh);
    else
        say(LOG_ERROR, "SIGHUP: the settings are refused, those in force stay", NULL);
    config_free(&config);
}

/* Sleeps until the first stop signal, or until the runtime has failed. */
static void wait_for_end(const struct options *options, const sigset_t *signals)
{
    const struct timespec patience = {.tv_nsec = SIGNAL_WAIT_MS * 1000000L};

    while (runtime_exit_code(app.runtime) == 0) {
        int number = sigtimedwait(signals, NULL, &patience);

        if (number == SIGHUP)
            on_hangup(options);
        else if (number > 0)
            return;
    }
}

static void drain(const sigset_t *signals)
{
    struct sigaction action = {.sa_handler = on_second_signal};

    SAY(LOG_INFO, "stopping: finishing what is in flight; a second signal ends at once",
        LOG_NUMBER("drain_timeout_ms", settings.drain_timeout_ms));
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    app_drain(&app);
}

/* From threads to joined threads; an exit code. */
static int run_threads(const struct options *options)
{
    char text[APP_TEXT_SIZE];
    sigset_t signals;
    int exit_code, r;

    fill_stop_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before the threads: they inherit it */
    r = runtime_start(app.runtime);
    if (r < 0) {
        complain("the threads could not be started: %s", strerror(-r));
        return COMMAND_FAILED;
    }
    app.on_progress = say_progress;
    r = app_recover(&app, text, &exit_code);
    if (r < 0) {
        complain("%s", text);
        runtime_fail(app.runtime, exit_code, "recovery failed");
    } else {
        say_ready();
        wait_for_end(options, &signals);
        if (runtime_exit_code(app.runtime) == 0)
            drain(&signals);
    }
    runtime_join(app.runtime);
    return runtime_exit_code(app.runtime);
}

static int run_app(const struct options *options, uint32_t shard_count)
{
    const char *token = getenv("WEIR_ADMIN_TOKEN");
    struct app_config config = {
        .settings = &settings,
        .disk = disk_posix(),
        .clock_source = &clock_source_system,
        .shard_count = shard_count,
        .log_level = (enum log_level)settings.log_level,
        .log_format = (enum log_format)settings.log_format,
        .admin_token = token != NULL ? slice_of(token) : (struct slice){NULL, 0},
        .version = version_number,
        .commit = version_commit,
        .io_new = new_io,
        .app = &app,
    };
    char text[APP_TEXT_SIZE];
    int exit_code = COMMAND_FAILED;
    int r = app_new(&config, text, &exit_code);

    if (r < 0)
        complain("%s", text);
    else
        exit_code = run_threads(options);
    if (exit_code == 0)
        app_free(&app);
    else
        read_model_free(&app.read_model); /* a database is closed whatever the end */
    return exit_code;
}

int command_serve(int argc, char **argv)
{
    struct config *config = NULL;
    struct options options;
    uint32_t shard_count;
    int exit_code;

    if (!command_begin(&COMMAND, argc, argv, &options, &exit_code))
        return exit_code;
    exit_code = load_settings(&options, &settings, &config);
    if (exit_code != COMMAND_DONE)
        goto done;
    shard_count = choose_shard_count();
    if (options_has(&options, "print-config")) {
        exit_code = print_config(config);
        goto done;
    }
    if (options_has(&options, "print-limits")) {
        exit_code = print_limits(shard_count);
        goto done;
    }
    clock_init(&boot_clock, &clock_source_system);
    log_init(&boot_log, &boot_clock, (enum log_level)settings.log_level,
             (enum log_format)settings.log_format);
    fit_descriptors();
    exit_code = crash_report_install(version_number, CRASH_REPORT_BESIDE_SANITIZER) < 0
                    ? COMMAND_FAILED
                    : COMMAND_DONE;
    if (settings.strict_alloc && !strict_alloc_arm())
        complain("--strict-alloc does nothing in this build: the sanitizer owns malloc");
    if (exit_code == COMMAND_DONE && !probe_io(shard_count))
        exit_code = COMMAND_NOT_PERMITTED;
    if (exit_code == COMMAND_DONE)
        exit_code = run_app(&options, shard_count);
done:
    config_free(&config);
    return exit_code;
}

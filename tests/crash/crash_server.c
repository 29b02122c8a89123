#include "tests/crash/crash_server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "actors/app_listeners.h"
#include "runtime/io_uring.h"
#include "tests/crash/disk_recorder.h"
#include "tests/crash/io_recorder.h"

/*
 * As run_app() and run_threads() in tools/serve.c, with settings of a very small server:
 * segments of 256 KiB of which few are kept, so that a few hundred requests go through
 * switches, spares, retention and recycling.
 */
enum { READY_WAIT_COUNT_MAX = 20000, EXIT_UNSUITABLE = 73, DATA_PATH_SIZE = 600 };

static struct app app;
static struct settings settings;
static struct config *settings_config;
static struct disk_recorder disk;
static struct crash_ledger *ledger;
static char data_path[DATA_PATH_SIZE];
static int ring_error;

static void on_send(const char *data, uint32_t size)
{
    crash_ledger_read_answer(ledger, data, size);
}

static int new_io(struct runtime *runtime, uint32_t index, struct io **ret_io)
{
    static const struct io_uring_config SIZES = {
        .entries = 64, .cq_entries = 256, .recv_buffer_count = 64};

    (void)runtime;
    (void)index;
    ring_error = io_uring_new(&SIZES, ret_io);
    if (ring_error == 0)
        io_recorder_attach(*ret_io, ledger->log, on_send);
    return ring_error;
}

static void make_small(struct settings *s, const struct crash_server_config *config)
{
    snprintf(data_path, sizeof(data_path), "%s/data", config->root);
    s->data = data_path;
    s->listen.items[0] = "127.0.0.1:0";
    s->listen.count = 1;
    s->demo = true;
    s->demo_traffic = false;
    s->connections = 16;
    s->requests_in_flight = 64;
    s->event_index_entries = 65536;
    s->dedup_entries = 32768;
    s->writes_in_flight = config->writes_in_flight;
    s->segment_bytes = 256 << 10;
    s->reserve_bytes = 256 << 10;
    s->retain_bytes = config->retain_bytes;
}

/* A shard says in /readyz what it knows; here its phase is enough, and is one word. */
static bool is_ready(void)
{
    for (uint32_t i = 0; i < app.shard_count; i++)
        if (__atomic_load_n((const uint32_t *)&app.shards[i].phase, __ATOMIC_ACQUIRE) != APP_READY)
            return false;
    return true;
}

static bool wait_until_ready(void)
{
    for (uint32_t i = 0; i < READY_WAIT_COUNT_MAX && runtime_exit_code(app.runtime) == 0; i++) {
        if (is_ready())
            return true;
        clock_sleep_ms(1);
    }
    return false;
}

enum crash_server_result crash_server_start(const struct crash_server_config *config, char *text)
{
    struct app_config app_config = {
        .settings = &settings,
        .disk = &disk.disk,
        .clock_source = &clock_source_system,
        .shard_count = config->shard_count,
        .log_level = LOG_ERROR,
        .log_format = LOG_FORMAT_TEXT,
        .version = "test",
        .commit = "test",
        .io_new = new_io,
        .app = &app,
    };
    int exit_code = 0;
    int r;

    static_assert(sizeof(app.shards[0].phase) == sizeof(uint32_t), "read as one word");
    ledger = config->ledger;
    ring_error = 0;
    memset(&app, 0, sizeof(app));
    memset(&settings, 0, sizeof(settings));
    r = config_new(SETTINGS_KEYS, SETTINGS_KEY_COUNT, (char *)&settings, &settings_config);
    assert(r == 0);
    make_small(&settings, config);
    disk_recorder_init(&disk, disk_posix(), ledger->log);
    r = app_new(&app_config, text, &exit_code);
    if (r < 0)
        return exit_code == EXIT_UNSUITABLE || ring_error < 0 ? CRASH_SERVER_UNAVAILABLE
                                                              : CRASH_SERVER_FAILED;
    r = runtime_start(app.runtime);
    assert(r == 0);
    if (app_recover(&app, text, &exit_code) < 0)
        return CRASH_SERVER_FAILED;
    if (!wait_until_ready()) {
        snprintf(text, APP_TEXT_SIZE, "the server is not ready in time");
        return CRASH_SERVER_FAILED;
    }
    return CRASH_SERVER_OK;
}

struct sockaddr_in crash_server_address(void)
{
    struct address address;
    int r = app_listeners_address(&app, 0, &address);

    assert(r == 0);
    return address.as.ip4;
}

bool crash_server_stop(void)
{
    bool is_good;

    app_drain(&app);
    runtime_join(app.runtime);
    is_good = runtime_exit_code(app.runtime) == 0;
    if (is_good)
        app_free(&app);
    config_free(&settings_config);
    return is_good;
}

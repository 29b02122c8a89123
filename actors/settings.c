#include "actors/settings.h"

#include "contracts/json_reader.h"
#include "http/address_policy.h"
#include "http/request_parser.h"
#include "runtime/shard.h"
#include "store/dedup.h"
#include "store/event_index.h"
#include "store/job_table.h"
#include "store/journal.h"

/*
 * One row per key: where it goes, its bounds, its default, what it means. The help
 * texts are what `weir serve --print-config` shows beside each value.
 */

#define SECOND_MS 1000
#define DAY_MS 86400000
#define KIB 1024
#define MIB (1024 * 1024)
#define GIB ((int64_t)1024 * MIB)

const struct config_key SETTINGS_KEYS[] = {
    {.section = "server",
     .name = "data",
     CONFIG_TEXT_AT(struct settings, data),
     .default_text = "./weir-data",
     .help = "The data directory."},
    {.section = "server",
     .name = "listen",
     CONFIG_LIST_AT(struct settings, listen),
     .default_text = "127.0.0.1:3000",
     .help = "Addresses to listen on, ADDR:PORT; empty when listen_tls has some."},
    {.section = "server",
     .name = "listen_tls",
     CONFIG_LIST_AT(struct settings, listen_tls),
     .default_text = "",
     .help = "Addresses to listen on for https, ADDR:PORT; needs [tls]."},
    {.section = "server",
     .name = "shards",
     CONFIG_INTEGER_AT(struct settings, shards),
     .min = 0,
     .max = SHARD_COUNT_MAX,
     .default_text = "0",
     .help = "Threads, each with its own ring and log; 0: one per processor."},
    {.section = "server",
     .name = "io",
     CONFIG_CHOICE_AT(struct settings, io),
     .choices = "auto|uring|epoll",
     .default_text = "auto",
     .help = "I/O backend; epoll is not built yet."},
    {.section = "server",
     .name = "role",
     CONFIG_CHOICE_AT(struct settings, role),
     .choices = "all|api|worker",
     .default_text = "all",
     .help = "What this process does; only all is built yet."},
    {.section = "server",
     .name = "drain_timeout",
     CONFIG_DURATION_AT(struct settings, drain_timeout_ms),
     .min = 0,
     .max = DAY_MS,
     .default_text = "15s",
     .help = "How long requests in flight may take to end at a stop."},
    {.section = "server",
     .name = "demo",
     CONFIG_BOOL_AT(struct settings, demo),
     .default_text = "false",
     .help = "Make the demo key; loopback only."},
    {.section = "server",
     .name = "unsafe_storage",
     CONFIG_BOOL_AT(struct settings, unsafe_storage),
     .default_text = "false",
     .help = "Go on where the file system cannot keep what is acknowledged."},
    {.section = "server",
     .name = "strict_alloc",
     CONFIG_BOOL_AT(struct settings, strict_alloc),
     .default_text = "false",
     .help = "Abort on any allocation after the start."},
    {.section = "server",
     .name = "log_level",
     CONFIG_CHOICE_AT(struct settings, log_level),
     .choices = "debug|info|warn|error",
     .default_text = "info",
     .help = "Log lines below are dropped."},
    {.section = "server",
     .name = "log_format",
     CONFIG_CHOICE_AT(struct settings, log_format),
     .choices = "json|text",
     .default_text = "json",
     .help = "For machines or for people."},

    {.section = "limits",
     .name = "connections",
     CONFIG_INTEGER_AT(struct settings, connections),
     .min = 1,
     .max = 1000000,
     .default_text = "16384",
     .help = "Open connections; beyond it the longest idle one is closed."},
    {.section = "limits",
     .name = "requests_in_flight",
     CONFIG_INTEGER_AT(struct settings, requests_in_flight),
     .min = 1,
     .max = 1000000,
     .default_text = "8192",
     .help = "Intake requests that may wait for the disk."},
    {.section = "limits",
     .name = "head_bytes",
     CONFIG_SIZE_AT(struct settings, head_bytes),
     .min = 1 * KIB,
     .max = 1 * MIB,
     .default_text = "64KiB",
     .help = "Request line and headers together."},
    {.section = "limits",
     .name = "event_bytes",
     CONFIG_SIZE_AT(struct settings, event_bytes),
     .min = 1 * KIB,
     .max = 8 * MIB,
     .default_text = "1MiB",
     .help = "One event."},
    {.section = "limits",
     .name = "batch_bytes",
     CONFIG_SIZE_AT(struct settings, batch_bytes),
     .min = 1 * KIB,
     .max = 20 * MIB,
     .default_text = "5MiB",
     .help = "A batch on the wire."},
    {.section = "limits",
     .name = "batch_decoded_bytes",
     CONFIG_SIZE_AT(struct settings, batch_decoded_bytes),
     .min = 1 * KIB,
     .max = 20 * MIB,
     .default_text = "20MiB",
     .help = "A batch after decompression."},
    {.section = "limits",
     .name = "batch_events",
     CONFIG_INTEGER_AT(struct settings, batch_events),
     .min = 1,
     .max = 10000,
     .default_text = "100",
     .help = "Events in a batch."},
    {.section = "limits",
     .name = "header_timeout",
     CONFIG_DURATION_AT(struct settings, header_timeout_ms),
     .min = 10,
     .max = DAY_MS,
     .default_text = "10s",
     .help = "From the first byte of a request to its empty line."},
    {.section = "limits",
     .name = "body_timeout",
     CONFIG_DURATION_AT(struct settings, body_timeout_ms),
     .min = 10,
     .max = DAY_MS,
     .default_text = "5s",
     .help = "Without a byte of an announced body."},
    {.section = "limits",
     .name = "idle_timeout",
     CONFIG_DURATION_AT(struct settings, idle_timeout_ms),
     .min = 10,
     .max = DAY_MS,
     .default_text = "75s",
     .help = "Between two requests of a connection."},
    {.section = "limits",
     .name = "write_timeout",
     CONFIG_DURATION_AT(struct settings, write_timeout_ms),
     .min = 10,
     .max = DAY_MS,
     .default_text = "30s",
     .help = "Without the client taking its answer."},
    {.section = "limits",
     .name = "answer_timeout",
     CONFIG_DURATION_AT(struct settings, answer_timeout_ms),
     .min = 10,
     .max = DAY_MS,
     .default_text = "10s",
     .help = "What a request may wait for the disk; then 503, outcome unknown."},
    {.section = "limits",
     .name = "queue_delay",
     CONFIG_DURATION_AT(struct settings, queue_delay_ms),
     .min = 1,
     .max = 60 * SECOND_MS,
     .default_text = "500ms",
     .help = "When requests wait longer than this for the disk, new ones get 503."},
    {.section = "limits",
     .name = "events_per_second",
     CONFIG_INTEGER_AT(struct settings, events_per_second),
     .min = 0,
     .max = 100000000,
     .default_text = "0",
     .help = "Rate of a key that has none of its own; 0: no limit."},
    {.section = "limits",
     .name = "events_burst",
     CONFIG_INTEGER_AT(struct settings, events_burst),
     .min = 0,
     .max = 100000000,
     .default_text = "0",
     .help = "Events at once; 0: two seconds' worth of the rate."},
    {.section = "limits",
     .name = "event_index_entries",
     CONFIG_INTEGER_AT(struct settings, event_index_entries),
     .min = 1024,
     .max = EVENT_INDEX_ENTRIES_MAX,
     .default_text = "33554432",
     .help = "Events that GET can find, 8 bytes each; more drop the oldest segment."},

    {.section = "journal",
     .name = "segment_bytes",
     CONFIG_SIZE_AT(struct settings, segment_bytes),
     .min = 1 * MIB,
     .max = SEGMENT_SIZE_MAX,
     .default_text = "64MiB",
     .help = "Size of one file of the log."},
    {.section = "journal",
     .name = "writes_in_flight",
     CONFIG_INTEGER_AT(struct settings, writes_in_flight),
     .min = 1,
     .max = JOURNAL_WRITES_IN_FLIGHT_MAX,
     .default_text = "2",
     .help = "Batches that may be on their way to the disk at once."},
    {.section = "journal",
     .name = "reserve_bytes",
     CONFIG_SIZE_AT(struct settings, reserve_bytes),
     .min = 1 * MIB,
     .max = 64 * GIB,
     .default_text = "64MiB",
     .help = "Kept free for what must be written when the disk is full."},
    {.section = "journal",
     .name = "retain_bytes",
     CONFIG_SIZE_AT(struct settings, retain_bytes),
     .default_text = "16GiB",
     .max = 1024 * 1024 * GIB,
     .help = "Older segments are dropped beyond this; 0: no limit."},
    {.section = "journal",
     .name = "retain_hours",
     CONFIG_INTEGER_AT(struct settings, retain_hours),
     .max = 87600,
     .default_text = "168",
     .help = "Segments older than this are dropped; 0: never."},

    {.section = "dedup",
     .name = "window",
     CONFIG_DURATION_AT(struct settings, dedup_window_ms),
     .min = 60 * SECOND_MS,
     .max = (int64_t)30 * DAY_MS,
     .default_text = "24h",
     .help = "How long an event_id or Idempotency-Key is remembered."},
    {.section = "dedup",
     .name = "entries",
     CONFIG_INTEGER_AT(struct settings, dedup_entries),
     .min = 1024,
     .max = DEDUP_ENTRY_COUNT_MAX,
     .default_text = "4194304",
     .help = "Ids remembered, per process; a power of two."},
    {.section = "dedup",
     .name = "strict",
     CONFIG_BOOL_AT(struct settings, dedup_strict),
     .default_text = "false",
     .help = "When full, answer 429 instead of forgetting the oldest ids early."},

    {.section = "store",
     .name = "read_model",
     CONFIG_CHOICE_AT(struct settings, read_model),
     .choices = "sqlite|off",
     .default_text = "sqlite",
     .help = "Where lists and searches come from: a file in the data directory, or nowhere."},
    {.section = "store",
     .name = "retain_days",
     CONFIG_INTEGER_AT(struct settings, read_model_days),
     .max = 36500,
     .default_text = "30",
     .help = "Rows of the read model that are older go; 0: never."},

    {.section = "jobs",
     .name = "count",
     CONFIG_INTEGER_AT(struct settings, job_count),
     .min = 1024,
     .max = JOB_COUNT_MAX,
     .default_text = "16777216",
     .help = "Jobs kept, ended ones included; about 64 bytes of memory each, when used."},
    {.section = "jobs",
     .name = "finished",
     CONFIG_INTEGER_AT(struct settings, job_finished),
     .min = 0,
     .max = JOB_COUNT_MAX,
     .default_text = "262144",
     .help = "Completed and cancelled jobs that GET still finds."},
    {.section = "jobs",
     .name = "finished_for",
     CONFIG_DURATION_AT(struct settings, job_finished_ms),
     .min = 1 * SECOND_MS,
     .max = (int64_t)365 * DAY_MS,
     .default_text = "24h",
     .help = "And for how long at most."},
    {.section = "jobs",
     .name = "dead",
     CONFIG_INTEGER_AT(struct settings, job_dead),
     .min = 1,
     .max = JOB_COUNT_MAX,
     .default_text = "1048576",
     .help = "Dead letters kept; when full, jobs are retried each minute instead of dying."},
    {.section = "jobs",
     .name = "dead_for",
     CONFIG_DURATION_AT(struct settings, job_dead_ms),
     .min = 60 * SECOND_MS,
     .max = (int64_t)3650 * DAY_MS,
     .default_text = "720h",
     .help = "Age at which a dead letter is dropped."},
    {.section = "jobs",
     .name = "project_concurrency",
     CONFIG_INTEGER_AT(struct settings, job_tenant_concurrency),
     .min = 0,
     .max = 1000000,
     .default_text = "0",
     .help = "Jobs of one project leased at a time; 0: no limit."},
    {.section = "jobs",
     .name = "payload_bytes",
     CONFIG_SIZE_AT(struct settings, job_payload_bytes),
     .min = 1 * KIB,
     .max = JOB_PAYLOAD_SIZE_MAX,
     .default_text = "256KiB",
     .help = "Payload of one job."},
    {.section = "jobs",
     .name = "cache_bytes",
     CONFIG_SIZE_AT(struct settings, job_cache_bytes),
     .min = 1 * MIB,
     .max = 64 * GIB,
     .default_text = "64MiB",
     .help = "Memory for the newest jobs' payloads; older ones are read from the log."},
    {.section = "jobs",
     .name = "http_concurrency",
     CONFIG_INTEGER_AT(struct settings, job_http_concurrency),
     .min = 1,
     .max = 65536,
     .default_text = "256",
     .help = "Jobs of the kind http.request that run at a time."},
    {.section = "jobs",
     .name = "http_allow_private",
     CONFIG_BOOL_AT(struct settings, job_http_allow_private),
     .default_text = "false",
     .help = "Let http.request reach loopback and private networks."},
    {.section = "jobs",
     .name = "http_allow",
     CONFIG_LIST_AT(struct settings, job_http_allow),
     .default_text = "",
     .help = "Networks that http.request may reach although they are not public, ADDRESS/BITS."},
    {.section = "jobs",
     .name = "zoneinfo",
     CONFIG_TEXT_AT(struct settings, zoneinfo),
     .environment = "TZDIR",
     .default_text = "/usr/share/zoneinfo",
     .help = "Where the time zones of schedules are read from."},

    {.section = "tls",
     .name = "certificate",
     CONFIG_TEXT_AT(struct settings, tls_certificate),
     .default_text = "",
     .help = "PEM file of the server's certificate, then those it is signed with; SIGHUP reads it "
             "again."},
    {.section = "tls",
     .name = "key",
     CONFIG_TEXT_AT(struct settings, tls_key),
     .default_text = "",
     .help = "PEM file of its private key: RSA or EC, without a passphrase."},
    {.section = "tls",
     .name = "connections",
     CONFIG_INTEGER_AT(struct settings, tls_connections),
     .min = 1,
     .max = 1000000,
     .default_text = "4096",
     .help = "Open connections with TLS, of those of [limits]; 40 KiB of memory each, when used."},
    {.section = "tls",
     .name = "sessions",
     CONFIG_INTEGER_AT(struct settings, tls_sessions),
     .min = 0,
     .max = 16777216,
     .default_text = "16384",
     .help = "Sessions that clients may resume; 0: none."},
    {.section = "tls",
     .name = "session_lifetime",
     CONFIG_DURATION_AT(struct settings, tls_session_lifetime_ms),
     .min = 1 * SECOND_MS,
     .max = DAY_MS,
     .default_text = "1h",
     .help = "How long after its handshake a session may be resumed."},
};

const uint32_t SETTINGS_KEY_COUNT = ARRAY_COUNT(SETTINGS_KEYS);

/* What a job may have besides its payload: result, errors, progress, key, names, ids. */
enum { JOB_SEGMENT_ROOM = 256 * 1024 };

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0;
}

static bool are_loopback(const struct config_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (!is_loopback(list->items[i]))
            return false;
    return true;
}

/* Every one must be a network, and there must be room for it. */
static bool networks_are_valid(const struct config_list *list)
{
    struct address_policy policy = {0};

    for (uint32_t i = 0; i < list->count; i++)
        if (address_policy_allow(&policy, slice_of(list->items[i])) < 0)
            return false;
    return true;
}

const char *settings_check(const struct settings *settings)
{
    if (settings->data[0] == '\0')
        return "[server] data is empty";
    if (settings->listen.count > SETTINGS_LISTEN_COUNT_MAX)
        return "[server] listen has more than 8 addresses";
    if (settings->listen_tls.count > SETTINGS_LISTEN_COUNT_MAX)
        return "[server] listen_tls has more than 8 addresses";
    if (settings->listen.count + settings->listen_tls.count > SETTINGS_LISTEN_COUNT_MAX)
        return "[server] listen and listen_tls have more than 8 addresses together";
    if (settings->listen.count + settings->listen_tls.count == 0)
        return "[server] listen and listen_tls are both empty";
    if (settings->demo &&
        (!are_loopback(&settings->listen) || !are_loopback(&settings->listen_tls)))
        return "[server] demo publishes a well-known key: with it, listen on 127.0.0.1 only";
    if ((settings->tls_certificate[0] == '\0') != (settings->tls_key[0] == '\0'))
        return "[tls] certificate and key go together: one of them is not set";
    if (settings->listen_tls.count > 0 && settings->tls_certificate[0] == '\0')
        return "[server] listen_tls needs [tls] certificate and key";
    if (settings->listen_tls.count == 0 && settings->tls_certificate[0] != '\0')
        return "[tls] certificate is set and nothing listens for https: set [server] listen_tls";
    if (settings->io == SETTINGS_IO_EPOLL)
        return "[server] io = epoll is not built yet; use auto or uring";
    if (settings->role != 0)
        return "[server] role: only all is built yet";
    if (settings->event_bytes > settings->batch_decoded_bytes)
        return "[limits] event_bytes is above batch_decoded_bytes";
    if (!is_power_of_two((uint64_t)settings->dedup_entries))
        return "[dedup] entries is not a power of two";
    if (!networks_are_valid(&settings->job_http_allow))
        return "[jobs] http_allow is a list of at most 32 networks such as 10.1.0.0/16";
    if (settings->segment_bytes % SEGMENT_BLOCK_SIZE != 0)
        return "[journal] segment_bytes is not a multiple of 4096";
    if (settings->batch_decoded_bytes + settings->batch_bytes > settings->segment_bytes &&
        settings->event_bytes * 2 > settings->segment_bytes)
        return "[journal] segment_bytes cannot hold an event of event_bytes";
    if (settings->job_payload_bytes * 2 + JOB_SEGMENT_ROOM > settings->segment_bytes)
        return "[journal] segment_bytes cannot hold a job of payload_bytes with all it has to say";
    return NULL;
}

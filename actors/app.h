/*
 * App: the product, wired.
 *
 * One struct app per process (per simulated machine), one struct app_shard per
 * shard. Start-up is a sequence of calls, so that the command line and the
 * simulator run the very same code:
 *
 *     app_new()       data directory locked, shards made, supervision trees up (app_shard.h)
 *     runtime_start() threads (or the simulator steps the shards)
 *     app_recover()   boot thread: the journal is read back, answers are 503 meanwhile
 *     ... serving ...
 *     app_drain()     stop accepting, finish what is in flight, close the journals
 *     app_free()
 */
#pragma once

#include "actors/ai_metrics.h"
#include "actors/ai_model.h"
#include "actors/app_failure.h"
#include "actors/app_shard.h"
#include "runtime/breadcrumbs.h"
#include "runtime/disk.h"
#include "store/recovery.h"
#include "store/superblock.h"

enum {
    START_TRY_COUNT_MAX = 20, /* for what a process that was just killed still holds */
    START_TRY_MS = 100,
};

/* Series that belong to no single part. */
struct app_metrics {
    struct http_metrics http;
    struct journal_metrics journal;
    struct intake_metrics intake;
    struct job_metrics jobs;
    struct ai_metrics ai;
    struct schedule_metrics schedules;
    struct incident_metrics incidents;
    struct read_model_metrics read_model;
    struct metric unindexed;
    struct metric build_info;
    struct metric io_backend;
};

/* Read-only after app_new(), except through the functions below. */
struct app {
    const struct settings *settings; /* borrowed */
    struct disk *disk;               /* borrowed */
    struct runtime *runtime;
    struct metrics_registry *registry;
    struct app_metrics metrics;
    struct superblock superblock;
    struct recovered *recovered;   /* lent to the keepers by app_recover() */
    struct read_model *read_model; /* NULL: off */
    struct app_shard *shards;
    uint32_t shard_count;
    uint8_t
        hash_key[SIPHASH_KEY_SIZE]; /* of dedup and event index, from the uuid of the directory */
    uint8_t admin_token_hash[SHA256_SIZE];
    uint8_t cursor_key[SIPHASH_KEY_SIZE]; /* of the cursors of lists, from the admin token */
    struct token_bucket *buckets;         /* one per keyring slot, shared by all shards */
    struct breadcrumbs breadcrumbs;       /* each shard has its part */
    struct trust_store *trust;            /* NULL: no https call can be made */
    struct tls_identity *identity;        /* until the shards have their copies; NULL: no https */
    uint64_t identity_end_ms;             /* 0: no https */
    struct actor_id *tls_listeners;       /* one of each shard */
    struct ai_model ai_model;
    char user_agent[64];
    bool is_simulated;
    uint64_t journal_batch_bytes; /* of one write to a log; 0: the default */
    const char *version;
    const char *commit;
    uint64_t recovered_event_count;
    /* Told about the progress of app_recover(), on the boot thread. May be NULL. */
    void (*on_progress)(struct app *app, uint64_t done_bytes, uint64_t total_bytes);
};

/* How to make an app: what differs between the real machine and a simulated one. */
struct app_config {
    const struct settings *settings;
    struct disk *disk;
    const struct clock_source *clock_source;
    struct runtime_hooks *hooks; /* or NULL */
    uint32_t shard_count;
    enum log_level log_level;
    enum log_format log_format;
    bool simulated;
    uint64_t journal_batch_bytes; /* of one write to a log; 0: the default. Simulations draw it */
    uint64_t seed;
    struct slice admin_token; /* empty: made, or read from <data>/admin.token */
    const char *version;
    const char *commit;
    int (*io_new)(struct runtime *runtime, uint32_t index, struct io **ret_io);
    struct app *app; /* filled in: memory is the caller's, zeroed */
};

/*
 * Sets everything up to the point where shards can run. 0; or -errno with the
 * reason in text (APP_TEXT_SIZE bytes) and an exit code in *ret_exit_code.
 */
MUST_USE int app_new(const struct app_config *config, char *text, int *ret_exit_code);

/* Reads the journal back and hands it to the shards. Blocking: boot thread only. Results as
 * app_new(). */
MUST_USE int app_recover(struct app *app, char *text, int *ret_exit_code);

/* Starts the orderly end; returns at once. */
void app_drain(struct app *app);

/*
 * Reads certificate and key again and gives them to the shards: handshakes from then on are
 * made with them. 0; or -errno with the reason in text (APP_TEXT_SIZE bytes), and nothing
 * has changed; -EAGAIN: for some shards only, do it again. While shards run, from the
 * boot thread; not in the simulator.
 */
MUST_USE int app_reload_identity(struct app *app, const char *certificate_path,
                                 const char *key_path, char *text);

/* When the certificate in force ends, in Unix time; 0 without TLS. */
uint64_t app_identity_end_ms(const struct app *app);

/* Frees everything. Every shard's loop must have ended. */
void app_free(struct app *app);

/* The same for a process that died with requests in flight: only the simulator's can. */
void app_abandon(struct app *app);

/* The route table. */
extern const struct route APP_ROUTES[];
extern const uint32_t APP_ROUTE_COUNT;

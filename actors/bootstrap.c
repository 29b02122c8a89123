#include "actors/bootstrap.h"

#include <errno.h>
#include <fcntl.h>

#include "actors/message_types.h"
#include "runtime/sim_point.h"

/*
 * Recovery meets four kinds of records. An EVENT goes into the index of its log
 * and, when the client chose its id, into the dedup table of the shard that owns
 * the id; a CLAIM into the dedup table; a KEY into every shard's keyring. Their
 * keyed hashes are stored with them, so nothing is parsed or hashed again. All
 * others are facts of a durable actor on the shard that has their partition.
 */

enum {
    TOKEN_BYTES = 32,
    PATH_SIZE_MAX = 1100,
    PROGRESS_STEP_PERCENT = 10,
};

/* --- the data directory --------------------------------------------------- */

/* The hash key follows from the directory's uuid: hashes that are stored stay right. */
static void derive_hash_key(struct app *app)
{
    char seed[16 + SEGMENT_UUID_SIZE] = "weir hash key  ";
    uint8_t digest[SHA256_SIZE];

    memcpy(seed + 16, app->superblock.uuid, SEGMENT_UUID_SIZE);
    sha256((struct slice){seed, sizeof(seed)}, digest);
    memcpy(app->hash_key, digest, sizeof(app->hash_key));
}

static enum app_exit exit_code_of(int error)
{
    return error == -EBADMSG || error == -EIO ? APP_EXIT_IO : APP_EXIT_CANNOT_CREATE;
}

/* Writes a fresh token to path. 0 or -errno. */
MUST_USE static int make_token(struct app *app, struct rng *rng, const char *path,
                               char token[2 * TOKEN_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t secret[TOKEN_BYTES];
    char line[2 * TOKEN_BYTES + 1];
    int64_t written;
    int fd, r = rng_secret(rng, secret, sizeof(secret));

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < TOKEN_BYTES; i++) {
        token[2 * i] = hex[secret[i] >> 4];
        token[2 * i + 1] = hex[secret[i] & 15];
    }
    memcpy(line, token, 2 * TOKEN_BYTES);
    line[2 * TOKEN_BYTES] = '\n';
    fd = disk_open(app->disk, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return fd;
    written = disk_write(app->disk, fd, line, sizeof(line), 0);
    r = written == (int64_t)sizeof(line) ? disk_sync(app->disk, fd) : -EIO;
    disk_close(app->disk, fd);
    return r < 0 ? r : disk_sync_directory(app->disk, app->settings->data);
}

/* The stored token, or a new one. 0 or -errno. */
MUST_USE static int read_or_make_token(struct app *app, struct rng *rng,
                                       char token[2 * TOKEN_BYTES])
{
    char path[PATH_SIZE_MAX];
    int64_t size;
    int fd;

    snprintf(path, sizeof(path), "%s/admin.token", app->settings->data);
    fd = disk_open(app->disk, path, O_RDONLY, 0);
    if (fd == -ENOENT)
        return make_token(app, rng, path, token);
    if (fd < 0)
        return fd;
    size = disk_read(app->disk, fd, token, (size_t)2 * TOKEN_BYTES, 0);
    disk_close(app->disk, fd);
    /* Shorter: a crash fell into its making; nobody can have used it. */
    return size == 2 * TOKEN_BYTES ? 0 : make_token(app, rng, path, token);
}

/* Tries O_DIRECT for real: some file systems refuse it only at open. 0 or -errno. */
MUST_USE static int probe_direct(struct app *app)
{
    char path[PATH_SIZE_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/direct.probe", app->settings->data);
    fd = disk_open(app->disk, path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (fd < 0)
        return fd;
    disk_close(app->disk, fd);
    return disk_unlink(app->disk, path);
}

/* The directory must be there, on storage that keeps what it acknowledges. Results as app_new(). */
MUST_USE static int check_storage(struct app *app, char *text, int *ret_exit_code)
{
    const char *path = app->settings->data;
    int r = disk_make_directory(app->disk, path, 0700);

    if (r < 0 && r != -EEXIST)
        return app_fail(text, ret_exit_code, APP_EXIT_CANNOT_CREATE,
                        "the data directory %.300s cannot be made: %s", path, strerror(-r));
    if (app->settings->unsafe_storage)
        return 0;
    if (disk_is_volatile(app->disk, path))
        return app_fail(text, ret_exit_code, APP_EXIT_CANNOT_CREATE,
                        "the data directory %.300s is on a file system in memory (tmpfs): nothing "
                        "there survives a restart of the machine. Choose a disk with --data, or go "
                        "on with --unsafe-storage",
                        path);
    r = probe_direct(app);
    if (r == -EINVAL)
        return app_fail(text, ret_exit_code, APP_EXIT_CANNOT_CREATE,
                        "the file system of the data directory %.300s does not support O_DIRECT. "
                        "Choose another disk with --data, or go on with --unsafe-storage",
                        path);
    if (r < 0)
        return app_fail(text, ret_exit_code, APP_EXIT_CANNOT_CREATE,
                        "the data directory %.300s cannot be used: %s", path, strerror(-r));
    return 0;
}

/* Cursors stay good over restarts, for as long as the token stays the same. */
static void derive_cursor_key(struct app *app)
{
    static const char PURPOSE[] = "cursor";
    char text[sizeof(PURPOSE) + SHA256_SIZE];
    uint8_t digest[SHA256_SIZE];

    memcpy(text, PURPOSE, sizeof(PURPOSE));
    memcpy(text + sizeof(PURPOSE), app->admin_token_hash, SHA256_SIZE);
    sha256((struct slice){text, sizeof(text)}, digest);
    memcpy(app->cursor_key, digest, sizeof(app->cursor_key));
}

/* The admin token: that of the configuration, or the one that is kept. Results as app_new(). */
MUST_USE static int open_token(struct app *app, const struct app_config *config, struct rng *rng,
                               char *text, int *ret_exit_code)
{
    char token[2 * TOKEN_BYTES];
    struct slice given = config->admin_token;
    int r = 0;

    if (given.size == 0) {
        r = read_or_make_token(app, rng, token);
        given = (struct slice){token, sizeof(token)};
    }
    if (r < 0)
        return app_fail(text, ret_exit_code, exit_code_of(r), "%.300s/admin.token: %s",
                        app->settings->data, strerror(-r));
    sha256(given, app->admin_token_hash);
    derive_cursor_key(app);
    return 0;
}

int bootstrap_open(struct app *app, const struct app_config *config, char *text, int *ret_exit_code)
{
    struct superblock_config superblock_config = {
        .disk = app->disk,
        .data_path = app->settings->data,
        .log_count = app->shard_count,
    };
    char reason[SUPERBLOCK_TEXT_SIZE];
    struct rng rng;
    int r = 0;

    if (config->simulated)
        rng_init_seed(&rng, config->seed);
    else
        r = rng_init_system(&rng);
    if (r < 0)
        return app_fail(text, ret_exit_code, APP_EXIT_FAILED, "the kernel gave no randomness");
    r = check_storage(app, text, ret_exit_code);
    if (r < 0)
        return r;
    superblock_config.rng = &rng;
    r = superblock_open(&superblock_config, &app->superblock, reason);
    for (uint32_t i = 1; r == -EWOULDBLOCK && i < START_TRY_COUNT_MAX; i++) {
        clock_sleep_ms(START_TRY_MS); /* the holder may be a process that is just ending */
        r = superblock_open(&superblock_config, &app->superblock, reason);
    }
    if (r < 0)
        return app_fail(text, ret_exit_code, exit_code_of(r), "%s", reason);
    derive_hash_key(app);
    return open_token(app, config, &rng, text, ret_exit_code);
}

/* --- recovery ------------------------------------------------------------- */

struct app_recovery {
    struct recovery_visitor visitor;
    struct app *app;
    uint64_t said_percent;
    uint64_t event_count;
    uint64_t unindexed_count;
};

static struct intake *owner_of(struct app *app, struct dedup_key key)
{
    uint64_t owner = key.words[1];

    if (MUTANT("dedup_wrong_owner"))
        owner %= app->superblock.log_count;
    return &app->shards[owner % app->shard_count].intake;
}

static struct keeper *keeper_of_log(struct app *app, const struct journal_record_view *record)
{
    return &app->shards[journal_location_log(record->location) % app->shard_count].keeper;
}

MUST_USE static int recover_event(struct app_recovery *recovery,
                                  const struct journal_record_view *record)
{
    struct app *app = recovery->app;
    uint32_t log = journal_location_log(record->location);
    struct keeper *keeper = keeper_of_log(app, record);
    struct record_event header;
    struct slice envelope;
    struct dedup_key key;

    if (!event_record_decode(record->version, record->payload, &header, &envelope))
        return record->version > EVENT_RECORD_VERSION ? -EPROTO : -EBADMSG;
    memcpy(key.words, header.key, sizeof(key.words));
    recovery->event_count++;
    keeper_note_event(keeper, record->location);
    if (event_index_add(keeper_find_log(keeper, log)->index, (uint32_t)key.words[0],
                        record->location) != EVENT_INDEX_ADDED) {
        SOMETIMES("recovery finds the event index full");
        recovery->unindexed_count++;
    }
    if (event_record_has_series(&header) && !MUTANT("incident_minutes_lost_on_recovery"))
        incidents_recover(incidents_of_partition(&app->shards[0], header.partition), &header,
                          record->location);
    if ((header.flags & RECORD_EVENT_CLIENT_ID) != 0 && !MUTANT("dedup_claim_lost_on_recovery"))
        intake_recover_claim(owner_of(app, key), key, header.body_hash, record->location,
                             header.received_ms);
    return 0;
}

MUST_USE static int recover_claim(struct app_recovery *recovery,
                                  const struct journal_record_view *record)
{
    const struct record_claim *header = (const void *)record->payload.data;
    struct dedup_key key;

    if (record->payload.size < sizeof(*header))
        return -EBADMSG;
    memcpy(key.words, header->key, sizeof(key.words));
    SOMETIMES("recovery finds an idempotent request");
    keeper_note_event(keeper_of_log(recovery->app, record), record->location);
    if (!MUTANT("idempotency_claim_not_recovered"))
        intake_recover_claim(owner_of(recovery->app, key), key, header->body_hash, record->location,
                             header->received_ms);
    return 0;
}

MUST_USE static int recover_key(struct app_recovery *recovery,
                                const struct journal_record_view *record)
{
    struct app *app = recovery->app;
    struct record_key key;
    int r = 0;

    if (record->payload.size != sizeof(key))
        return -EBADMSG;
    memcpy(&key, record->payload.data, sizeof(key));
    if (key.org_size > TENANT_NAME_SIZE_MAX || key.project_size > TENANT_NAME_SIZE_MAX ||
        key.prefix_size > sizeof(key.prefix))
        return -EBADMSG;
    if (key.revoked_ms != 0)
        SOMETIMES("recovery finds a revoked key");
    if (MUTANT("revoked_key_forgotten_on_recovery"))
        key.revoked_ms = 0;
    for (uint32_t i = 0; i < app->shard_count && r == 0; i++)
        r = keyring_apply(&app->shards[i].tenant.keyring, &key, record->location.bits);
    return r;
}

/* A record that no durable actor knows is from a newer version: refuse, never skip. */
MUST_USE static int recover_fact(struct app_recovery *recovery,
                                 const struct journal_record_view *record)
{
    struct app *app = recovery->app;
    struct keeper *keeper = &app->shards[record->partition % app->shard_count].keeper;
    int r = durable_recover(&keeper->durables, record);

    if (r == 0)
        return -EPROTO;
    return r < 0 ? r : 0;
}

MUST_USE static int recover_record(struct app_recovery *recovery,
                                   const struct journal_record_view *record)
{
    bool is_known = record->version == RECORD_VERSION;

    switch (record->type) {
    case RECORD_EVENT:
        return recover_event(recovery, record);
    case RECORD_CLAIM:
        return is_known ? recover_claim(recovery, record) : -EPROTO;
    case RECORD_KEY:
        return is_known ? recover_key(recovery, record) : -EPROTO;
    default:
        return recover_fact(recovery, record);
    }
}

/* A table of millions is far from the processor: many records wait for it once. */
static void expect_records(const struct app *app, const struct recovery_group *group, bool is_near)
{
    for (uint32_t i = 0; i < group->record_count; i++) {
        uint32_t shard = group->records[i].partition % app->shard_count;

        durable_expect(&app->shards[shard].keeper.durables, &group->records[i], is_near);
    }
}

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    struct app_recovery *recovery = container_of(visitor, struct app_recovery, visitor);
    int r = 0;

    if (group->record_count > 1) {
        expect_records(recovery->app, group, false);
        expect_records(recovery->app, group, true);
    }
    for (uint32_t i = 0; i < group->record_count && r == 0; i++)
        r = recover_record(recovery, &group->records[i]);
    return r;
}

static void on_progress(struct recovery_visitor *visitor, uint64_t done_bytes, uint64_t total_bytes)
{
    struct app_recovery *recovery = container_of(visitor, struct app_recovery, visitor);
    uint64_t percent = total_bytes > 0 ? done_bytes * 100 / total_bytes : 100;

    if (percent < recovery->said_percent + PROGRESS_STEP_PERCENT || percent >= 100)
        return;
    recovery->said_percent = percent;
    if (recovery->app->on_progress != NULL)
        recovery->app->on_progress(recovery->app, done_bytes, total_bytes);
}

/* All that has been read back is durable. 0 or -errno. */
MUST_USE static int start_read_model(struct app *app)
{
    uint64_t durable_lsns[SEGMENT_LOG_MAX + 1];

    if (app->read_model == NULL)
        return 0;
    for (uint32_t log = 0; log < app->recovered->log_count; log++)
        durable_lsns[log] = app->recovered->logs[log].next_lsn - 1;
    return read_model_start(app->read_model, durable_lsns);
}

int app_recover(struct app *app, char *text, int *ret_exit_code)
{
    struct app_recovery recovery = {
        .visitor = {.on_group = on_group, .on_progress = on_progress},
        .app = app,
    };
    struct recovery_config config = {
        .disk = app->disk,
        .data_path = app->settings->data,
        .superblock = &app->superblock,
        .visitor = &recovery.visitor,
        .unsafe_storage = app->settings->unsafe_storage,
    };
    char reason[RECOVERY_TEXT_SIZE];
    int r = recovery_run(&config, &app->recovered, reason);

    if (r < 0) {
        SOMETIMES("a start ends because a log cannot be read");
        return app_fail(text, ret_exit_code, APP_EXIT_IO, "%s",
                        reason[0] != '\0' ? reason : "the journal could not be read back");
    }
    for (uint32_t i = 0; i < app->shard_count; i++)
        durable_settle(&app->shards[i].keeper.durables);
    app->recovered_event_count = recovery.event_count;
    r = start_read_model(app);
    if (r < 0)
        return app_fail(text, ret_exit_code, APP_EXIT_FAILED,
                        "the read model could not be started");
    for (uint32_t i = 0; i < app->shard_count; i++) {
        uint64_t lent = (uint64_t)(uintptr_t)app->recovered;

        if (runtime_post(app->runtime, app->shards[i].keeper.actor.id, MSG_KEEPER_RECOVERED, 0,
                         &lent, sizeof(lent)) == SEND_FULL)
            return app_fail(text, ret_exit_code, APP_EXIT_IO,
                            "a shard does not take the recovered state");
    }
    return 0;
}

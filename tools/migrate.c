/*
 * Migrate: `weir migrate`, for the read model of a server that is stopped.
 *
 * A start migrates by itself; this is for who wants that done before, as a step of a deployment,
 * or the rows made anew. What it does is store/read_rebuild's; here it is only put into words.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "contracts/json_writer.h"
#include "runtime/clock.h"
#include "store/read_rebuild.h"
#include "tools/commands.h"
#include "tools/options.h"

enum { TEXT_SIZE = SUPERBLOCK_PATH_SIZE_MAX + READ_MODEL_TEXT_SIZE, JSON_SIZE = 2048 };
static const uint64_t NS_PER_MS = 1000000;

static const struct option_spec OPTIONS[] = {
    {.name = "data",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .help = "the data directory (default ./weir-data)"},
    {.name = "rebuild",
     .kind = OPTION_FLAG,
     .help = "make the read model anew from the logs, whatever it is now"},
    {.name = "json", .kind = OPTION_FLAG, .help = "print one JSON object"},
};

static const struct command_spec MIGRATE = {
    .name = "migrate",
    .summary = "bring the read model to the schema of this version, once, and exit",
    .details = "No server may be running on the directory. A start does the same by itself.\n"
               "A rebuild has what the logs still hold: rows whose records retention has dropped\n"
               "are not made again. Until it is complete the old read model stays.",
    .example = "weir migrate --data ./weir-data --rebuild",
    .options = OPTIONS,
    .option_count = ARRAY_COUNT(OPTIONS),
};

/* One run. */
struct migrate {
    struct read_rebuild_visitor visitor;
    struct options options;
    struct disk *disk;
    const char *data;
    struct superblock superblock;
    int lock_fd; /* or -1 */
    struct clock clock;
    uint64_t began_ns;
    uint64_t said_ns;
    bool is_watched; /* stderr is a terminal */
};

static int exit_code_of(int error)
{
    assert(error < 0);
    if (error == -EBADMSG || error == -EIO)
        return COMMAND_CORRUPT;
    return error == -ENOMEM ? COMMAND_FAILED : COMMAND_BAD_DATA_DIR;
}

/* Makes sure that no server runs on the directory, as long as this one does. 0 or an exit code. */
static int lock_directory(struct migrate *migrate)
{
    char path[SUPERBLOCK_PATH_SIZE_MAX + 8];
    char text[TEXT_SIZE];
    int r;

    snprintf(path, sizeof(path), "%s/lock", migrate->data);
    r = disk_open(migrate->disk, path, O_RDWR | O_CREAT, 0600);
    if (r >= 0) {
        migrate->lock_fd = r;
        r = disk_lock(migrate->disk, migrate->lock_fd);
    }
    if (r == 0)
        return COMMAND_DONE;
    if (r == -EWOULDBLOCK)
        snprintf(text, sizeof(text), "%s is in use: stop the server first", migrate->data);
    else
        snprintf(text, sizeof(text), "%s: %s", path, strerror(-r));
    return command_fail("migrate", COMMAND_BAD_DATA_DIR, "%s", text);
}

/* Reads the options, opens the directory. True to go on; false to return *ret_exit_code. */
static bool begin(struct migrate *migrate, int argc, char **argv, int *ret_exit_code)
{
    char text[TEXT_SIZE];
    int r;

    if (!command_begin(&MIGRATE, argc, argv, &migrate->options, ret_exit_code))
        return false;
    migrate->disk = disk_posix();
    migrate->data = options_text(&migrate->options, "data", "./weir-data");
    if (strlen(migrate->data) >= SUPERBLOCK_PATH_SIZE_MAX) {
        *ret_exit_code = command_usage_error(&MIGRATE, "the path of --data is too long");
        return false;
    }
    r = superblock_read(migrate->disk, migrate->data, &migrate->superblock);
    if (r < 0) {
        snprintf(text, sizeof(text),
                 r == -ENOENT ? "%s is no data directory: it has no superblock"
                              : "%s/superblock cannot be read",
                 migrate->data);
        *ret_exit_code = command_fail("migrate", exit_code_of(r), "%s", text);
        return false;
    }
    *ret_exit_code = lock_directory(migrate);
    return *ret_exit_code == COMMAND_DONE;
}

static void on_progress(struct read_rebuild_visitor *visitor, uint64_t done, uint64_t total)
{
    struct migrate *migrate = container_of(visitor, struct migrate, visitor);

    clock_update(&migrate->clock);
    if (!migrate->is_watched || migrate->clock.mono_ns - migrate->said_ns < 500 * NS_PER_MS)
        return;
    migrate->said_ns = migrate->clock.mono_ns;
    fprintf(stderr, "\rweir migrate: %llu of %llu records (%llu %%)", (unsigned long long)done,
            (unsigned long long)total, (unsigned long long)(total == 0 ? 100 : done * 100 / total));
}

static void print_json(const struct migrate *migrate, const struct read_rebuild_result *result,
                       double seconds)
{
    char data[JSON_SIZE];
    struct json_writer writer;
    struct slice json;

    json_writer_init(&writer, data, sizeof(data));
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("rebuilt"));
    json_writer_boolean(&writer, options_has(&migrate->options, "rebuild"));
    json_writer_key(&writer, SLICE_LITERAL("migrations"));
    json_writer_u64(&writer, result->migrated);
    json_writer_key(&writer, SLICE_LITERAL("records"));
    json_writer_u64(&writer, result->record_count);
    json_writer_key(&writer, SLICE_LITERAL("unknown_records"));
    json_writer_u64(&writer, result->unreadable_count);
    json_writer_key(&writer, SLICE_LITERAL("bytes"));
    json_writer_u64(&writer, result->file_bytes);
    json_writer_key(&writer, SLICE_LITERAL("seconds"));
    json_writer_double(&writer, seconds);
    json_writer_end_object(&writer);
    if (json_writer_finish(&writer, &json))
        printf("%.*s\n", (int)json.size, json.data);
}

static void print_result(const struct migrate *migrate, const struct read_rebuild_result *result,
                         double seconds)
{
    if (migrate->is_watched && migrate->said_ns != 0)
        fputc('\n', stderr);
    if (options_has(&migrate->options, "json"))
        print_json(migrate, result, seconds);
    else if (options_has(&migrate->options, "rebuild"))
        printf("rebuilt from %llu records in %.1f s: %llu bytes\n",
               (unsigned long long)result->record_count, seconds,
               (unsigned long long)result->file_bytes);
    else if (result->migrated > 0)
        printf("%u migrations run\n", result->migrated);
    else
        printf("nothing to do: the schema is that of this version\n");
}

static int run(struct migrate *migrate)
{
    struct read_rebuild_config config = {
        .disk = migrate->disk,
        .data_path = migrate->data,
        .superblock = &migrate->superblock,
        .clock_source = &clock_source_system,
        .visitor = &migrate->visitor,
        .unsafe_storage = true, /* through the page cache, on any file system */
    };
    struct read_rebuild_result result;
    char text[READ_MODEL_TEXT_SIZE];
    int r;

    migrate->visitor.on_progress = on_progress;
    migrate->is_watched = isatty(STDERR_FILENO) == 1;
    clock_init(&migrate->clock, &clock_source_system);
    migrate->began_ns = migrate->clock.mono_ns;
    if (options_has(&migrate->options, "rebuild"))
        r = read_rebuild(&config, &result, text);
    else
        r = read_migrate(&config, &result, text);
    if (r < 0)
        return command_fail("migrate", exit_code_of(r), "%s", text);
    clock_update(&migrate->clock);
    print_result(migrate, &result,
                 (double)(migrate->clock.mono_ns - migrate->began_ns) / 1000000000);
    return fflush(stdout) == 0
               ? COMMAND_DONE
               : command_fail("migrate", COMMAND_CORRUPT, "the output could not be written");
}

int command_migrate(int argc, char **argv)
{
    struct migrate migrate = {.lock_fd = -1};
    int exit_code = COMMAND_DONE;

    if (begin(&migrate, argc, argv, &exit_code))
        exit_code = run(&migrate);
    if (migrate.lock_fd >= 0)
        disk_close(migrate.disk, migrate.lock_fd);
    return exit_code;
}

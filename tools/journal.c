/*
 * Journal: `weir journal inspect|verify|dump`, from outside of the process that may
 * have the directory open. What they find is store/journal_tool's; here it is only
 * put into words. Results go to stdout, as text or with --json as one object; dump
 * always prints one object per line.
 */
#include <errno.h>

#include "contracts/json_member.h"
#include "contracts/uuid.h"
#include "runtime/clock.h"
#include "runtime/rng.h"
#include "store/journal_tool.h"
#include "store/superblock.h"
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/record_dump.h"

enum {
    JSON_SIZE = 4096, /* of one object that is not a record */
    STATE_SIZE = 128,
};

#define DATA_OPTION                                                                                \
    {                                                                                              \
        .name = "data", .kind = OPTION_TEXT, .argument = "DIR",                                    \
        .help = "the data directory (default ./weir-data)"                                         \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        .name = "json", .kind = OPTION_FLAG, .help = "print one JSON object"                       \
    }

static const struct option_spec INSPECT_OPTIONS[] = {DATA_OPTION, JSON_OPTION};

static const struct option_spec VERIFY_OPTIONS[] = {
    DATA_OPTION,
    {.name = "salvage",
     .kind = OPTION_FLAG,
     .help = "make a damaged directory usable: keep what is intact, set the rest aside as "
             ".broken; no server may be running on it"},
    JSON_OPTION,
};

static const struct option_spec DUMP_OPTIONS[] = {
    DATA_OPTION,
    {.name = "type",
     .kind = OPTION_CHOICE,
     .argument = "event|claim|key|job|job_fact|job_queue|schedule|breaker|replay|incident|ai_run|"
                 "incident_rules",
     .help = "only records of this type"},
    {.name = "partition",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = JOURNAL_PARTITION_MAX,
     .help = "only records of this partition"},
    {.name = "log",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .max = SEGMENT_LOG_MAX,
     .help = "only records of this log"},
    {.name = "from",
     .kind = OPTION_NUMBER,
     .argument = "LSN",
     .help = "only records from this LSN on; each log counts its own"},
    {.name = "limit",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .min = 1,
     .help = "stop after N records"},
};

static const struct command_spec INSPECT = {
    .name = "journal inspect",
    .summary = "show superblock and segments",
    .details = "Reads only; the directory may be in use.",
    .example = "weir journal inspect --data ./weir-data",
    .options = INSPECT_OPTIONS,
    .option_count = ARRAY_COUNT(INSPECT_OPTIONS),
};

static const struct command_spec VERIFY = {
    .name = "journal verify",
    .summary = "check every block and record",
    .details = "Exit code 0 when a start would succeed, 74 when it would be refused. Without\n"
               "--salvage it reads only, and the directory may be in use.",
    .example = "weir journal verify --data ./weir-data",
    .options = VERIFY_OPTIONS,
    .option_count = ARRAY_COUNT(VERIFY_OPTIONS),
};

static const struct command_spec DUMP = {
    .name = "journal dump",
    .summary = "print every record as one JSON object per line",
    .details = "Reads only; the directory may be in use. `weir replay` takes the output back.",
    .example = "weir journal dump --data ./weir-data --type event --limit 10",
    .options = DUMP_OPTIONS,
    .option_count = ARRAY_COUNT(DUMP_OPTIONS),
};

/* One run. */
struct journal_command {
    struct journal_tool_visitor visitor;
    const struct command_spec *command;
    struct options options;
    struct disk *disk;
    const char *data;
    struct superblock superblock;
    bool as_json;
    struct json_writer writer; /* of the object printed at the end */
    uint64_t count;            /* segments, records or losses visited */
    char *buffer;              /* for dump: one record */
    size_t buffer_size;
};

static struct journal_command *command_of(struct journal_tool_visitor *visitor)
{
    return container_of(visitor, struct journal_command, visitor);
}

static int fail(const struct journal_command *command, int exit_code, const char *text)
{
    return command_fail(command->command->name, exit_code, "%s", text);
}

/* The exit code for an error of the journal's tools. */
static int exit_code_of(int error)
{
    assert(error < 0);
    if (error == -EBADMSG || error == -EIO)
        return COMMAND_CORRUPT;
    return error == -ENOMEM ? COMMAND_FAILED : COMMAND_BAD_DATA_DIR;
}

/* Reads the options and the superblock. True to go on; false to return *ret_exit_code. */
static bool begin(struct journal_command *command, const struct command_spec *spec, int argc,
                  char **argv, int *ret_exit_code)
{
    char text[SUPERBLOCK_PATH_SIZE_MAX + JOURNAL_TOOL_TEXT_SIZE];
    int r;

    command->command = spec;
    if (!command_begin(spec, argc, argv, &command->options, ret_exit_code))
        return false;
    command->disk = disk_posix();
    command->data = options_text(&command->options, "data", "./weir-data");
    if (strlen(command->data) >= SUPERBLOCK_PATH_SIZE_MAX) {
        *ret_exit_code = command_usage_error(spec, "the path of --data is too long");
        return false;
    }
    r = superblock_read(command->disk, command->data, &command->superblock);
    if (r == 0)
        return true;
    if (r == -ENOENT)
        snprintf(text, sizeof(text), "%s is no data directory: it has no superblock",
                 command->data);
    else if (r == -EBADMSG)
        snprintf(text, sizeof(text), "%s/superblock: fewer than two copies agree", command->data);
    else
        snprintf(text, sizeof(text), "%s/superblock: %s", command->data, strerror(-r));
    *ret_exit_code = fail(command, exit_code_of(r), text);
    return false;
}

static void write_text(struct json_writer *writer, struct slice name, const char *text)
{
    json_writer_key(writer, name);
    json_writer_string(writer, slice_of(text));
}

/* Prints the finished document of the writer. */
static void print_written(const struct json_writer *writer)
{
    struct slice json;
    bool fits = json_writer_finish(writer, &json);

    assert(fits);
    fwrite(json.data, 1, json.size, stdout);
}

/* 0, or the exit code when stdout could not take it all. */
static int finish_output(const struct journal_command *command)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return COMMAND_DONE;
    return fail(command, COMMAND_CORRUPT, "the output could not be written");
}

/* --- inspect -------------------------------------------------------------- */

static void describe_state(const struct journal_tool_segment *segment, char *text, size_t size)
{
    if (!segment->begun)
        snprintf(text, size, "no header yet, or a damaged one");
    else
        snprintf(text, size, "%s%s%s", journal_tool_end_name(segment->end),
                 segment->group_cut ? ", inside a group" : "",
                 segment->follows_gap ? ", after a gap" : "");
}

static void print_segment(const struct journal_tool_segment *segment, const char *state)
{
    char created[TIMESTAMP_TEXT_SIZE];

    timestamp_format((int64_t)segment->created_unix_ms, created);
    printf("%-5u%016llx  %6u %12llu %12llu %10llu %12llu  %.*s  %s\n", segment->log,
           (unsigned long long)segment->seq, segment->boot_generation,
           (unsigned long long)segment->first_lsn, (unsigned long long)segment->last_lsn,
           (unsigned long long)segment->record_count, (unsigned long long)segment->size,
           TIMESTAMP_TEXT_SIZE, segment->begun ? created : "-                       ", state);
}

static void print_segment_json(const struct journal_tool_segment *segment, const char *state,
                               bool is_first)
{
    char data[JSON_SIZE];
    struct json_writer writer;

    json_writer_init(&writer, data, sizeof(data));
    json_writer_begin_object(&writer);
    json_member_u64(&writer, SLICE_LITERAL("log"), segment->log);
    json_member_u64(&writer, SLICE_LITERAL("seq"), segment->seq);
    json_member_u64(&writer, SLICE_LITERAL("bytes"), segment->size);
    json_writer_key(&writer, SLICE_LITERAL("begun"));
    json_writer_boolean(&writer, segment->begun);
    if (segment->begun) {
        json_member_u64(&writer, SLICE_LITERAL("boot_generation"), segment->boot_generation);
        json_member_u64(&writer, SLICE_LITERAL("previous_seq"), segment->previous_seq);
        json_member_u64(&writer, SLICE_LITERAL("first_lsn"), segment->first_lsn);
        json_member_u64(&writer, SLICE_LITERAL("last_lsn"), segment->last_lsn);
        json_member_u64(&writer, SLICE_LITERAL("durable_lsn"), segment->durable_lsn);
        json_member_u64(&writer, SLICE_LITERAL("blocks"), segment->block_count);
        json_member_u64(&writer, SLICE_LITERAL("groups"), segment->group_count);
        json_member_u64(&writer, SLICE_LITERAL("records"), segment->record_count);
        json_writer_key(&writer, SLICE_LITERAL("created_at"));
        json_writer_time(&writer, (int64_t)segment->created_unix_ms);
    }
    write_text(&writer, SLICE_LITERAL("state"), state);
    json_writer_end_object(&writer);
    if (!is_first)
        putchar(',');
    print_written(&writer);
}

static int on_segment(struct journal_tool_visitor *visitor,
                      const struct journal_tool_segment *segment)
{
    struct journal_command *command = command_of(visitor);
    char state[STATE_SIZE];

    describe_state(segment, state, sizeof(state));
    if (command->as_json)
        print_segment_json(segment, state, command->count == 0);
    else
        print_segment(segment, state);
    command->count++;
    return 0;
}

static void print_superblock(const struct superblock *superblock)
{
    char uuid[UUID_TEXT_SIZE];

    uuid_format(superblock->uuid, uuid);
    printf("uuid %.*s, partitions %u, logs %u, starts %u\n\n", UUID_TEXT_SIZE, uuid,
           superblock->partition_count, superblock->log_count, superblock->boot_generation);
    printf("%-5s%-16s  %6s %12s %12s %10s %12s  %-24s  %s\n", "LOG", "SEGMENT", "START",
           "FIRST LSN", "LAST LSN", "RECORDS", "BYTES", "CREATED", "ENDS WITH");
}

static void print_superblock_json(const struct superblock *superblock)
{
    char data[JSON_SIZE], uuid[UUID_TEXT_SIZE];
    struct json_writer writer;

    uuid_format(superblock->uuid, uuid);
    json_writer_init(&writer, data, sizeof(data));
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("uuid"));
    json_writer_string(&writer, (struct slice){uuid, sizeof(uuid)});
    json_member_u64(&writer, SLICE_LITERAL("version"), superblock->version);
    json_member_u64(&writer, SLICE_LITERAL("partition_count"), superblock->partition_count);
    json_member_u64(&writer, SLICE_LITERAL("log_count"), superblock->log_count);
    json_member_u64(&writer, SLICE_LITERAL("boot_generation"), superblock->boot_generation);
    json_writer_end_object(&writer);
    fputs("{\"superblock\":", stdout);
    print_written(&writer);
    fputs(",\"segments\":[", stdout);
}

static int inspect(struct journal_command *command)
{
    char text[JOURNAL_TOOL_TEXT_SIZE] = "";
    int r;

    command->as_json = options_has(&command->options, "json");
    if (command->as_json)
        print_superblock_json(&command->superblock);
    else
        print_superblock(&command->superblock);
    command->visitor.on_segment = on_segment;
    r = journal_tool_inspect(command->disk, command->data, &command->visitor, text);
    if (command->as_json)
        fputs("]}\n", stdout);
    if (r < 0)
        return fail(command, exit_code_of(r), text);
    return finish_output(command);
}

/* --- verify --------------------------------------------------------------- */

static void on_loss(struct journal_tool_visitor *visitor, const struct journal_tool_loss *loss)
{
    struct journal_command *command = command_of(visitor);

    command->count++;
    if (!command->as_json) {
        printf("log %u: lost LSN %llu to %llu\n", loss->log, (unsigned long long)loss->lsn_first,
               (unsigned long long)loss->lsn_last);
        return;
    }
    json_writer_begin_object(&command->writer);
    json_member_u64(&command->writer, SLICE_LITERAL("log"), loss->log);
    json_member_u64(&command->writer, SLICE_LITERAL("first_lsn"), loss->lsn_first);
    json_member_u64(&command->writer, SLICE_LITERAL("last_lsn"), loss->lsn_last);
    json_writer_end_object(&command->writer);
}

/* 0, or an exit code with text saying why. */
static int salvage(struct journal_command *command, char *text)
{
    uint32_t salvaged_count = 0;
    struct clock clock;
    struct rng rng;
    int r;

    if (rng_init_system(&rng) < 0) {
        snprintf(text, JOURNAL_TOOL_TEXT_SIZE, "the kernel gives no random numbers");
        return COMMAND_FAILED;
    }
    if (command->as_json) {
        json_writer_key(&command->writer, SLICE_LITERAL("lost"));
        json_writer_begin_array(&command->writer);
    }
    clock_init(&clock, &clock_source_system);
    command->visitor.on_loss = on_loss;
    r = journal_tool_salvage(command->disk, &rng, command->data, clock.unix_ms, &command->visitor,
                             &salvaged_count, text);
    if (command->as_json) {
        json_writer_end_array(&command->writer);
        json_member_u64(&command->writer, SLICE_LITERAL("salvaged_logs"), salvaged_count);
    } else if (r == 0) {
        printf("salvaged %u log%s\n", salvaged_count, salvaged_count == 1 ? "" : "s");
    }
    return r < 0 ? exit_code_of(r) : 0;
}

static void report_clean(struct journal_command *command,
                         const struct journal_tool_summary *summary)
{
    struct json_writer *writer = &command->writer;

    if (!command->as_json) {
        printf("clean: logs %u, segments %llu, records %llu in %llu groups, %llu bytes",
               summary->log_count, (unsigned long long)summary->segment_count,
               (unsigned long long)summary->record_count, (unsigned long long)summary->group_count,
               (unsigned long long)summary->byte_count);
        if (summary->torn_block_count > 0)
            printf("; %llu torn blocks after the end would be cut at the next start",
                   (unsigned long long)summary->torn_block_count);
        putchar('\n');
        return;
    }
    json_member_u64(writer, SLICE_LITERAL("logs"), summary->log_count);
    json_member_u64(writer, SLICE_LITERAL("segments"), summary->segment_count);
    json_member_u64(writer, SLICE_LITERAL("groups"), summary->group_count);
    json_member_u64(writer, SLICE_LITERAL("records"), summary->record_count);
    json_member_u64(writer, SLICE_LITERAL("bytes"), summary->byte_count);
    json_member_u64(writer, SLICE_LITERAL("torn_blocks"), summary->torn_block_count);
}

/* The end of the object, and the reason of a failure. Gives the exit code. */
static int report_end(struct journal_command *command, int exit_code, const char *text)
{
    struct slice json;

    if (command->as_json) {
        json_writer_key(&command->writer, SLICE_LITERAL("ok"));
        json_writer_boolean(&command->writer, exit_code == COMMAND_DONE);
        if (exit_code != COMMAND_DONE)
            write_text(&command->writer, SLICE_LITERAL("error"), text);
        json_writer_end_object(&command->writer);
        if (json_writer_finish(&command->writer, &json))
            printf("%.*s\n", (int)json.size, json.data);
        else
            exit_code = fail(command, COMMAND_FAILED, "too much was lost to list it as JSON");
    }
    if (exit_code != COMMAND_DONE)
        return fail(command, exit_code, text);
    return finish_output(command);
}

static int verify(struct journal_command *command)
{
    static char data[1 << 20];
    struct journal_tool_summary summary = {0};
    char text[JOURNAL_TOOL_TEXT_SIZE] = "";
    int exit_code = COMMAND_DONE;

    command->as_json = options_has(&command->options, "json");
    json_writer_init(&command->writer, data, sizeof(data));
    if (command->as_json)
        json_writer_begin_object(&command->writer);
    if (options_has(&command->options, "salvage"))
        exit_code = salvage(command, text);
    if (exit_code == COMMAND_DONE) {
        int r = journal_tool_verify(command->disk, command->data, &summary, text);

        if (r == 0)
            report_clean(command, &summary);
        exit_code = r < 0 ? exit_code_of(r) : COMMAND_DONE;
    }
    return report_end(command, exit_code, text);
}

/* --- dump ----------------------------------------------------------------- */

static bool is_wanted(const struct journal_command *command,
                      const struct journal_record_view *record)
{
    const struct options *options = &command->options;
    const char *type = options_text(options, "type", NULL);

    return (type == NULL || slice_equal(record_dump_type(record), slice_of(type))) &&
           options_number(options, "partition", record->partition) == record->partition &&
           options_number(options, "log", journal_location_log(record->location)) ==
               journal_location_log(record->location) &&
           options_number(options, "from", 0) <= record->lsn;
}

static int on_record(struct journal_tool_visitor *visitor, uint32_t boot_generation,
                     const struct journal_record_view *record)
{
    struct journal_command *command = command_of(visitor);
    size_t size = record_dump_size_max(record->payload.size);
    struct json_writer writer;
    struct slice json;

    (void)boot_generation;
    if (!is_wanted(command, record))
        return 0;
    if (size > command->buffer_size) {
        char *buffer = realloc(command->buffer, size);

        if (buffer == NULL)
            return -ENOMEM;
        command->buffer = buffer;
        command->buffer_size = size;
    }
    json_writer_init(&writer, command->buffer, command->buffer_size);
    record_dump_write(record, &writer);
    if (!json_writer_finish(&writer, &json))
        return -EOVERFLOW;
    fwrite(json.data, 1, json.size, stdout);
    putchar('\n');
    command->count++;
    /* Not an error, but the only way to end the reading. */
    return command->count == options_number(&command->options, "limit", UINT64_MAX) ? -ECANCELED
                                                                                    : 0;
}

static int dump(struct journal_command *command)
{
    char text[JOURNAL_TOOL_TEXT_SIZE] = "";
    int r;

    command->visitor.on_record = on_record;
    r = journal_tool_dump(command->disk, command->data, &command->visitor, text);
    free(command->buffer);
    if (r < 0 && r != -ECANCELED)
        return fail(command, exit_code_of(r), text[0] != '\0' ? text : strerror(-r));
    return finish_output(command);
}

int command_journal(int argc, char **argv)
{
    static const struct command_action ACTIONS[] = {
        {"inspect", &INSPECT}, {"verify", &VERIFY}, {"dump", &DUMP}};
    static int (*const RUN[])(struct journal_command * command) = {inspect, verify, dump};
    struct journal_command command = {0};
    int exit_code = COMMAND_DONE;
    uint32_t action = command_find_action(ACTIONS, ARRAY_COUNT(ACTIONS), argc, argv, &exit_code);

    if (action == ARRAY_COUNT(ACTIONS))
        return exit_code;
    if (begin(&command, ACTIONS[action].command, argc - 1, argv + 1, &exit_code))
        exit_code = RUN[action](&command);
    return exit_code;
}

#include "tools/sim/sim_check.h"

#include <fcntl.h>

#include "runtime/sim_disk.h"
#include "store/incident_record.h"
#include "store/record.h"
#include "store/recovery.h"
#include "store/segment_pool.h"

/*
 * That recovery itself tells the truth is what the proof on the medium is for: it parses
 * nothing but block trailers, and looks for the text of the event where the server says
 * that it is.
 */
enum {
    SCAN_BLOCK_COUNT = 3, /* a record's first bytes lie in as many blocks at most */
    TORN_SUFFIX_SIZE = 5,
    /* Per log: active, being made, being dropped, and what comes while others are dropped. */
    BOUND_SLACK_SEGMENTS = 16,
    SPARE_SEGMENTS = 2, /* journal.h: the default */
    /* Per log, at rest: the active one, the one after it, and what no whole segment makes. */
    REST_SLACK_SEGMENTS = 3,
};

/* So long after a hang a log may still be larger than it ought to be. */
static const uint64_t RECOVERED_NS = 60000000000;

/* Private to find_doubts(). */
struct sim_gap {
    uint64_t seq; /* UINT64_MAX: none */
    uint64_t block;
    uint64_t looked_seq;
};

#define NO_BLOCK UINT64_MAX

void sim_check_init(struct sim_check *check, struct sim_server *server, struct sim_model *model,
                    struct sim_story *story)
{
    memset(check, 0, sizeof(*check));
    check->server = server;
    check->model = model;
    check->story = story;
    check->census.server = server;
    check->census.model = model;
    check->census.story = story;
    check->census.orgs[0] = "org_demo";
    check->census.orgs[1] = "org two";
    check->census.projects[0] = "proj_demo";
    check->census.projects[1] = "project two";
}

/* --- on the medium -------------------------------------------------------- */

/* Where the running server believes the event is; false when it does not say. */
static bool locate(const struct sim_check *check, uint32_t number,
                   struct journal_location *ret_location)
{
    const struct app *app = &check->server->app;
    uint32_t tenant = check->model->items[number].tenant;
    char id[SIM_ID_SIZE + 1];
    uint8_t bytes[UUID_SIZE];
    struct dedup_key key;
    struct dedup_found found = {.received_unix_ms = 0};
    const struct intake *owner;
    bool is_uuid;

    sim_census_write_id(&check->census, number, id);
    is_uuid = uuid_parse((struct slice){id, SIM_ID_SIZE}, bytes);
    assert(is_uuid);
    intake_key(app->hash_key, slice_of(check->census.orgs[tenant]),
               slice_of(check->census.projects[tenant]),
               (struct slice){(const char *)bytes, sizeof(bytes)}, true, &key);
    owner = &app->shards[key.words[1] % app->shard_count].intake;
    if (dedup_find(owner->dedup, key, 0, owner->actor.shard->clock.unix_ms, &found) == DEDUP_NEW)
        return false;
    *ret_location = found.location;
    return found.location.bits != 0;
}

static void write_path(struct journal_location location, char *path, size_t size)
{
    snprintf(path, size, SIM_SERVER_DATA "/log-%02u/%016llx.seg", journal_location_log(location),
             (unsigned long long)journal_location_seq(location));
}

bool sim_check_is_on_medium(const struct sim_check *check, struct journal_location location,
                            const char *text)
{
    static char blocks[SCAN_BLOCK_COUNT * SEGMENT_BLOCK_SIZE];
    static char stream[SCAN_BLOCK_COUNT * SEGMENT_PAYLOAD_SIZE];
    uint64_t offset = journal_location_offset(location);
    uint64_t first = offset / SEGMENT_BLOCK_SIZE * SEGMENT_BLOCK_SIZE;
    uint64_t skip = offset - first;
    char path[64];
    int64_t size;

    write_path(location, path, sizeof(path));
    size = sim_disk_read_medium(check->server->host->disk, path, blocks, sizeof(blocks), first);
    if (size < SEGMENT_BLOCK_SIZE)
        return false;
    for (int64_t i = 0; i < size / SEGMENT_BLOCK_SIZE; i++)
        memcpy(stream + i * SEGMENT_PAYLOAD_SIZE, blocks + i * SEGMENT_BLOCK_SIZE,
               SEGMENT_PAYLOAD_SIZE);
    return memmem(stream + skip, (size_t)(size / SEGMENT_BLOCK_SIZE) * SEGMENT_PAYLOAD_SIZE - skip,
                  text, strlen(text)) != NULL;
}

/* True when the medium holds the text of this item at the location. */
static bool is_item_on_medium(const struct sim_check *check, uint32_t number,
                              struct journal_location location)
{
    char text[32];

    snprintf(text, sizeof(text),
             check->model->items[number].kind == SIM_ITEM_KEY ? "key-%u" : "\"number %u.", number);
    return sim_check_is_on_medium(check, location, text);
}

void sim_check_is_durable(struct sim_check *check, uint32_t number)
{
    struct journal_location location;

    assert(check->model->items[number].kind == SIM_ITEM_NAMED);
    if (!check->server->is_running || !sim_host_is_up(check->server->host))
        return; /* whoever reads the log next will tell */
    if (!locate(check, number, &location)) {
        if (check->model->is_forgetful)
            return;
        sim_story_fail(check->story, number,
                       "event %u is acknowledged, and the server does not know where it is",
                       number);
    }
    if (!check->may_lack_last && !check->may_lack_old &&
        !is_item_on_medium(check, number, location))
        sim_story_fail(check->story, number,
                       "event %u is acknowledged and not on the medium (log %u, segment %llu, "
                       "offset %llu)",
                       number, journal_location_log(location),
                       (unsigned long long)journal_location_seq(location),
                       (unsigned long long)journal_location_offset(location));
    check->acknowledged[number] = location;
}

/* --- comparing ------------------------------------------------------------ */

static void compare_item(struct sim_check *check, uint32_t number)
{
    const struct sim_found *found = &check->census.found[number];
    struct sim_expectation expected;

    sim_model_expect(check->model, number, &expected);
    if (found->count > expected.count_max)
        sim_story_fail(check->story, number,
                       "event %u is in the log %u times, at most %u can have been stored", number,
                       found->count, expected.count_max);
    /* Retention forgets an id only when its record cannot come back. */
    if (found->count > 1 && check->may_lack_old && !check->may_lack_last &&
        check->model->items[number].kind != SIM_ITEM_ANONYMOUS)
        sim_story_fail(check->story, number,
                       "event %u is in the log %u times: its id was forgotten too early", number,
                       found->count);
    if (found->count > 0 && !expected.variants[found->variant])
        sim_story_fail(check->story, number,
                       "event %u is stored with body %u, which was refused or never sent", number,
                       found->variant);
    if (found->count < expected.count_min && !check->may_lack_old && !check->may_lack_last)
        sim_story_fail(check->story, number,
                       "event %u was acknowledged and is lost: %u times in the log instead of %u",
                       number, found->count, expected.count_min);
}

/* What was acknowledged last in its log may be lost when its write was: nothing before it. */
static void compare_lost(const struct sim_check *check, uint32_t number)
{
    struct journal_location lost = check->acknowledged[number];

    if (check->census.found[number].count > 0 || lost.bits == 0)
        return;
    for (uint32_t i = 0; i < check->model->item_count; i++)
        if (check->census.found[i].count > 0 &&
            journal_location_log(check->census.found[i].location) == journal_location_log(lost) &&
            check->census.found[i].location.bits > lost.bits)
            sim_story_fail(check->story, number,
                           "event %u was acknowledged and is lost, though event %u after it in "
                           "log %u is there",
                           number, i, journal_location_log(lost));
}

/* The unit's items are there together, in one group, with their claim, or not at all. */
static void compare_unit(const struct sim_check *check, const struct sim_unit *unit)
{
    const struct sim_found *first = &check->census.found[unit->first];

    if (unit->is_divisible)
        return;
    for (uint32_t i = 1; i < unit->count; i++) {
        const struct sim_found *found = first + i;

        if ((found->count == 0) != (first->count == 0) ||
            (found->count == 1 && found->group != first->group))
            sim_story_fail(check->story, unit->first + i,
                           "event %u is apart from event %u of the same request", unit->first + i,
                           unit->first);
    }
    if (unit->key == SIM_NONE)
        return;
    if ((check->census.found[unit->key].count == 0) != (first->count == 0) ||
        (first->count > 0 && check->census.found[unit->key].group != first->group))
        sim_story_fail(check->story, unit->first,
                       "event %u is apart from its Idempotency-Key %u (%u and %u times there)",
                       unit->first, unit->key, first->count, check->census.found[unit->key].count);
}

/* What one sender sent stands in the order in which it was sent. */
static void compare_order(const struct sim_check *check, const struct sim_unit *unit)
{
    const struct sim_unit *before;
    const struct sim_found *found = &check->census.found[unit->first];
    const struct sim_found *earlier;

    if (unit->previous == SIM_NONE)
        return;
    before = &check->model->units[unit->previous];
    earlier = &check->census.found[before->first];
    if (!before->is_acknowledged || found->count != 1 || earlier->count != 1)
        return;
    if ((found->log == earlier->log || found->boot_generation != earlier->boot_generation) &&
        found->position < earlier->position)
        sim_story_fail(check->story, unit->first,
                       "event %u stands before event %u, which the same sender sent first",
                       unit->first, before->first);
}

/* The first block of the segment that the medium does not hold as readers see it, or NO_BLOCK. */
static uint64_t find_gap(const struct sim_check *check, uint32_t log, uint64_t seq)
{
    static char seen[SEGMENT_BLOCK_SIZE], held[SEGMENT_BLOCK_SIZE];
    struct disk *disk = sim_host_disk(check->server->host);
    uint64_t gap = NO_BLOCK;
    char path[64];
    int fd;

    write_path(journal_location_make(log, seq, 0), path, sizeof(path));
    fd = disk_open(disk, path, O_RDONLY, 0);
    assert(fd >= 0);
    for (uint64_t block = 0; block < SEGMENT_BLOCK_COUNT_MAX && gap == NO_BLOCK; block++) {
        uint64_t offset = block * SEGMENT_BLOCK_SIZE;
        int64_t size = disk_read(disk, fd, seen, sizeof(seen), offset);

        if (size <= 0)
            break;
        if (sim_disk_read_medium(check->server->host->disk, path, held, sizeof(held), offset) !=
                size ||
            memcmp(seen, held, (size_t)size) != 0)
            gap = block;
    }
    disk_close(disk, fd);
    return gap;
}

/* True when part of the record lies behind the gap of its log. */
static bool is_behind_gap(const struct sim_check *check, uint32_t number, const struct sim_gap *gap)
{
    const struct sim_found *found = &check->census.found[number];
    uint64_t offset = journal_location_offset(found->location);
    uint64_t last = offset / SEGMENT_BLOCK_SIZE +
                    (offset % SEGMENT_BLOCK_SIZE + SEGMENT_RECORD_HEADER_SIZE + found->size - 1) /
                        SEGMENT_PAYLOAD_SIZE;

    if (journal_location_seq(found->location) != gap->seq)
        return journal_location_seq(found->location) > gap->seq;
    /* A block in its midst may not be full. */
    last += check->model->items[number].stored_count == 0;
    return last >= gap->block;
}

/*
 * What was found is stored, but only as far as the medium holds the log without a gap, and
 * only whole groups: a process that was killed may leave behind what only the page cache
 * has, and a power cut may take that away, and with it all that comes later in the log.
 * Only the segment that was written last, and the one before, can be concerned.
 */
static void find_doubts(struct sim_check *check)
{
    static struct sim_gap gaps[SEGMENT_LOG_MAX + 1];
    uint64_t last_seqs[SEGMENT_LOG_MAX + 1] = {0};

    for (uint32_t i = 0; i < check->model->item_count; i++) {
        struct journal_location location = check->census.found[i].location;
        uint32_t log = journal_location_log(location);

        if (check->census.found[i].count > 0)
            last_seqs[log] = max_u64(last_seqs[log], journal_location_seq(location));
        if (check->census.found[i].count > 0 && last_seqs[log] > 0)
            gaps[log] = (struct sim_gap){.seq = UINT64_MAX};
    }
    for (uint32_t i = 0; i < check->model->item_count; i++) {
        const struct sim_found *found = &check->census.found[i];
        uint32_t log = journal_location_log(found->location);
        uint64_t seq = journal_location_seq(found->location);
        uint64_t block;

        if (found->count == 0 || seq + 2 <= last_seqs[log] || gaps[log].looked_seq == seq)
            continue;
        gaps[log].looked_seq = seq;
        block = find_gap(check, log, seq);
        if (block != NO_BLOCK && seq <= gaps[log].seq)
            gaps[log] = (struct sim_gap){.seq = seq, .block = block, .looked_seq = seq};
    }
    memset(check->is_group_in_doubt, 0, min_u64(check->census.group_count, SIM_GROUP_COUNT_MAX));
    for (uint32_t i = 0; i < check->model->item_count; i++) {
        const struct sim_found *found = &check->census.found[i];

        assert(found->group < SIM_GROUP_COUNT_MAX);
        if (found->count > 0 &&
            is_behind_gap(check, i, &gaps[journal_location_log(found->location)]))
            check->is_group_in_doubt[found->group] = true;
    }
}

static void settle(struct sim_check *check)
{
    struct sim_model *model = check->model;

    if (!check->may_lack_last)
        find_doubts(check);
    for (uint32_t i = 0; i < model->item_count; i++) {
        const struct sim_found *found = &check->census.found[i];

        if (found->count == 0)
            check->acknowledged[i] = JOURNAL_LOCATION_NONE;
        if (found->count > 0 && !check->may_lack_last && check->is_group_in_doubt[found->group]) {
            if (model->items[i].stored_count > 0 && !model->is_forgetful)
                sim_story_fail(check->story, i,
                               "event %u was acknowledged, and only the page cache has it", i);
            sim_model_doubt(model, i, found->count, found->variant);
        } else if (found->count == 0 && check->may_lack_old && model->items[i].stored_count > 0) {
            /* A dropped segment whose name is not durably gone may come back. */
            sim_model_doubt(model, i, 1, model->items[i].stored_variant);
        } else {
            sim_model_settle(model, i, found->count, found->variant);
        }
    }
}

bool sim_check_log(struct sim_check *check)
{
    struct sim_model *model = check->model;
    char text[RECOVERY_TEXT_SIZE];
    int r;

    assert(!check->server->is_running);
    r = sim_census_read(&check->census, true, text);
    if (r < 0 && check->may_lack_last)
        return false;
    if (r < 0)
        sim_story_fail(check->story, SIM_NO_NUMBER, "the log cannot be read: error %d: %s", -r,
                       text);
    check->check_count++;
    for (uint32_t i = 0; i < model->item_count; i++) {
        compare_item(check, i);
        if (check->may_lack_last && !check->may_lack_old)
            compare_lost(check, i);
    }
    /* What was forgotten or lost may have come again, each part by itself. */
    for (uint32_t i = 0; i < model->unit_count && !model->is_forgetful && !check->may_lack_last;
         i++) {
        compare_unit(check, &model->units[i]);
        compare_order(check, &model->units[i]);
    }
    settle(check);
    sim_story_tell(check->story, SIM_NO_NUMBER, 0,
                   "the log holds %u events and %u records of incidents in %u groups",
                   check->census.found_count, check->census.incident_count,
                   check->census.group_count);
    return true;
}

void sim_check_incidents(struct sim_check *check, bool was_orderly)
{
    const struct sim_census *census = &check->census;

    check->has_summary_job |= census->summary_job_count > 0;
    if (!was_orderly || check->may_lack_last)
        return;
    for (uint32_t i = 0; i < census->series_count && !check->reads_fail; i++)
        if (census->series[i].event_count >= INCIDENT_RULES_DEFAULT.spike_count &&
            !census->series[i].is_blurred && census->series[i].incident_count == 0)
            sim_story_fail(check->story, SIM_NO_NUMBER, "%u errors in one minute and no incident",
                           census->series[i].event_count);
    /* A job that has ended may be gone with its segment before anybody looks. */
    if (census->incident_count > 0 && !check->has_summary_job && !check->may_lack_old &&
        check->lone_incident_count == 0)
        sim_story_fail(check->story, SIM_NO_NUMBER, "incidents, and no job to summarise one");
}

void sim_check_recovery_repeats(struct sim_check *check)
{
    struct sim_disk *disk = check->server->host->disk;
    char text[RECOVERY_TEXT_SIZE];
    uint64_t log_hash, disk_hash;
    int r;

    assert(!check->server->is_running);
    r = sim_census_read(&check->census, false, text);
    log_hash = check->census.log_hash;
    disk_hash = sim_disk_hash(disk);
    if (r == 0)
        r = sim_census_read(&check->census, false, text);
    if (r < 0)
        sim_story_fail(check->story, SIM_NO_NUMBER, "recovery fails: error %d: %s", -r, text);
    if (check->census.log_hash != log_hash)
        sim_story_fail(check->story, SIM_NO_NUMBER, "a second recovery reads another log");
    if (sim_disk_hash(disk) != disk_hash)
        sim_story_fail(check->story, SIM_NO_NUMBER, "a second recovery changes the disk again");
}

void sim_check_leaks(const struct sim_check *check)
{
    const struct app *app = &check->server->app;

    assert(check->server->is_running);
    for (uint32_t i = 0; i < app->shard_count; i++) {
        const struct app_shard *shard = &app->shards[i];
        uint64_t intake_count = pool_used_count(&shard->intake.requests);
        uint64_t lookup_count = pool_used_count(&shard->lookup.requests);
        uint64_t buffer_count = buffer_pool_used(shard->buffers);

        if (intake_count + lookup_count + buffer_count > 0)
            sim_story_fail(check->story, SIM_NO_NUMBER,
                           "shard %u keeps what nobody needs: %llu intake requests, %llu lookups, "
                           "%llu buffers",
                           i, (unsigned long long)intake_count, (unsigned long long)lookup_count,
                           (unsigned long long)buffer_count);
    }
}

void sim_check_accounting(const struct sim_check *check, bool was_orderly)
{
    const struct sim_server *server = check->server;

    if (server->boot_generation == 0 || check->may_lack_old || check->may_lack_last)
        return;
    if (server->accepted_count > check->census.life_count)
        sim_story_fail(check->story, SIM_NO_NUMBER,
                       "the server counted %llu accepted events, the log of that life holds %u",
                       (unsigned long long)server->accepted_count, check->census.life_count);
    if (was_orderly && server->accepted_count != check->census.life_count)
        sim_story_fail(check->story, SIM_NO_NUMBER,
                       "the server counted %llu accepted events before an orderly stop, the log "
                       "of that life holds %u",
                       (unsigned long long)server->accepted_count, check->census.life_count);
}

/* --- the disk's bound ----------------------------------------------------- */

struct torn_visitor {
    struct disk_visitor visitor;
    struct disk *disk;
    const char *directory;
    uint64_t size;
};

static int on_entry(struct disk_visitor *visitor, const char *name)
{
    struct torn_visitor *torn = container_of(visitor, struct torn_visitor, visitor);
    size_t name_size = strlen(name);
    char path[128];
    uint64_t size = 0;
    int fd;

    if (name_size < TORN_SUFFIX_SIZE || strcmp(name + name_size - TORN_SUFFIX_SIZE, ".torn") != 0)
        return 0;
    snprintf(path, sizeof(path), "%s/%s", torn->directory, name);
    fd = disk_open(torn->disk, path, O_RDONLY, 0);
    if (fd < 0)
        return 0;
    if (disk_size(torn->disk, fd, &size) == 0)
        torn->size += round_up_u64(size, SEGMENT_BLOCK_SIZE);
    disk_close(torn->disk, fd);
    return 0;
}

/* What recovery has put aside in the logs. */
static uint64_t torn_size(const struct sim_check *check, uint32_t log_count)
{
    struct torn_visitor torn = {.visitor = {.visit = on_entry},
                                .disk = sim_host_disk(check->server->host)};

    for (uint32_t log = 0; log < log_count; log++) {
        char directory[64];

        snprintf(directory, sizeof(directory), SIM_SERVER_DATA "/log-%02u", log);
        torn.directory = directory;
        if (disk_list(torn.disk, directory, &torn.visitor) < 0)
            continue;
    }
    return torn.size;
}

/* Of one log, in bytes: what is ready for it, the reserve, and slack_count more. */
static uint64_t beside_records(const struct settings *settings, uint64_t slack_count)
{
    uint64_t reserve = settings->reserve_bytes / settings->segment_bytes + 1;

    return (SPARE_SEGMENTS + reserve + slack_count) * settings->segment_bytes;
}

static void check_used(const struct sim_check *check, uint64_t bound, const char *when)
{
    uint64_t used = check->server->host->disk->used;

    if (used > bound)
        sim_story_fail(check->story, SIM_NO_NUMBER,
                       "the disk holds %llu bytes%s, the bound is %llu", (unsigned long long)used,
                       when, (unsigned long long)bound);
}

/*
 * No segment goes while what is needed of it is read from a disk that hangs, or while a shard that
 * may need it stands still; and what comes is written all the same, until the disk is full. So
 * what the disk holds at the end of a hang is nobody's fault. From then on it may grow no more
 * than in any other weather, and some time later the logs must have their size again. Beyond that
 * they hold what was alive in the latest process: two thousand incidents take more than all the
 * rest of a small log.
 */
void sim_check_disk_bound(struct sim_check *check)
{
    const struct settings *settings = &check->server->settings;
    const struct sim_host *host = check->server->host;
    uint32_t log_count = check->census.log_count;
    uint64_t bound = settings->retain_bytes * log_count;

    if (settings->retain_bytes == 0)
        return;
    if (host->hang_until_ns != 0 && host->world->mono_ns - host->hang_until_ns < RECOVERED_NS)
        bound = max_u64(bound, host->hang_used);
    bound += log_count * beside_records(settings, BOUND_SLACK_SEGMENTS) +
             check->server->kept_bytes + torn_size(check, log_count) + settings->segment_bytes;
    check_used(check, bound, "");
}

void sim_check_disk_at_rest(const struct sim_check *check)
{
    const struct settings *settings = &check->server->settings;
    const struct app *app = &check->server->app;
    uint32_t log_count = (uint32_t)max_u64(check->census.log_count, app->shard_count);

    assert(check->server->is_running);
    if (settings->retain_bytes == 0)
        return;
    check_used(check,
               log_count *
                       (settings->retain_bytes +
                        beside_records(settings, SEGMENT_POOL_RECYCLE_MAX + REST_SLACK_SEGMENTS)) +
                   sim_server_kept_bytes(check->server) + torn_size(check, log_count) +
                   settings->segment_bytes,
               " at rest");
}

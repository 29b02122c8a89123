#include "journal_fixture.h"

#include <errno.h>
#include <fcntl.h>

/*
 * One turn is what a shard's loop does for the journal: world, clock, completions,
 * timers, flush; then time moves on to the next thing that is due. A crash frees the
 * journal and the backend while the host is down, as the end of a process would.
 */

static void payload_fill(char *data, size_t size, uint64_t id)
{
    struct rng rng;

    rng_init_seed(&rng, id * 7919 + 17);
    rng_fill(&rng, data, size);
}

static void on_failed(struct journal_owner *owner, int error, const char *text)
{
    struct fixture *fixture = container_of(owner, struct fixture, owner);

    fixture->failed = true;
    fixture->failure = error;
    snprintf(fixture->text, sizeof(fixture->text), "%s", text);
}

static void on_room(struct journal_owner *owner)
{
    container_of(owner, struct fixture, owner)->room_count++;
}

static void on_stopped(struct journal_owner *owner)
{
    container_of(owner, struct fixture, owner)->stopped = true;
}

static void on_retire(struct journal_owner *owner, const struct journal_segment *segment,
                      uint64_t run_last_seq)
{
    struct fixture *fixture = container_of(owner, struct fixture, owner);

    fixture->retired_count++;
    assert(run_last_seq >= segment->seq);
    assert(run_last_seq < journal_active_seq(fixture->journal));
    fixture->run_last_seq = max_u64(fixture->run_last_seq, run_last_seq);
    fixture->run_max = max_u64(fixture->run_max, run_last_seq - segment->seq + 1);
    journal_retire_done(fixture->journal, segment->seq);
}

static bool is_same(const struct fixture_group *group, const struct recovery_group *seen)
{
    const char *payload = group->payload;

    if (group->lsn_first != seen->lsn_first || group->count != seen->record_count)
        return false;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct journal_record_view *view = &seen->records[i];
        size_t size = group->parts[i][0].size + group->parts[i][1].size;

        if (view->payload.size != size || memcmp(view->payload.data, payload, size) != 0 ||
            view->type != group->records[i].type || view->lsn != group->lsn_first + i ||
            view->partition != group->records[i].partition ||
            view->location.bits != group->records[i].location.bits)
            return false;
        payload += size;
    }
    return true;
}

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *seen)
{
    struct fixture *fixture = container_of(visitor, struct fixture, visitor);

    fixture->recovered_lsns[fixture->recovered_count++] = seen->lsn_first;
    while (fixture->recovered_count == 1 && fixture->match_index < fixture->group_count &&
           fixture->groups[fixture->match_index]->lsn_first < seen->lsn_first) {
        fixture->match_index++;
        fixture->skipped_count++;
    }
    if (fixture->match_index >= fixture->group_count ||
        !is_same(fixture->groups[fixture->match_index], seen))
        fixture->mismatch_count++;
    fixture->match_index++;
    return 0;
}

void fixture_init(struct fixture *fixture, uint64_t seed)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->world = sim_world_new(seed);
    fixture->host = sim_host_new(fixture->world, "server");
    fixture->host->receive_buffer_count = 16;
    fixture->disk = sim_host_disk(fixture->host);
    rng_init_seed(&fixture->rng, seed + 1000);
    fixture->recovered_lsns = calloc(FIXTURE_GROUPS_MAX, sizeof(uint64_t));
    fixture->owner = (struct journal_owner){
        .on_failed = on_failed, .on_room = on_room, .on_stopped = on_stopped};
    fixture->visitor.on_group = on_group;
    fixture->config = (struct journal_config){
        .segment_bytes = 64 * SEGMENT_BLOCK_SIZE,
        .batch_bytes = 8 * SEGMENT_BLOCK_SIZE,
        .writes_in_flight = 2,
        .reserve_bytes = 64 * SEGMENT_BLOCK_SIZE,
        .spare_segments = 2,
    };
}

static void free_group(struct fixture_group *group)
{
    free(group->payload);
    free(group);
}

void fixture_deinit(struct fixture *fixture)
{
    if (fixture->io != NULL || fixture->journal != NULL)
        fixture_crash(fixture, true);
    recovered_free(&fixture->recovered);
    for (uint32_t i = 0; i < fixture->group_count; i++)
        free_group(fixture->groups[i]);
    free(fixture->recovered_lsns);
    sim_world_free(&fixture->world);
}

int fixture_recover(struct fixture *fixture)
{
    struct rng secret;
    struct superblock_config superblock = {
        .disk = fixture->disk, .rng = &secret, .data_path = "data", .log_count = 1};
    struct recovery_config recovery = {
        .disk = fixture->disk,
        .data_path = "data",
        .superblock = &fixture->superblock,
        .visitor = &fixture->visitor,
    };
    int r;

    rng_init_seed(&secret, 99);
    fixture->recovered_count = 0;
    fixture->mismatch_count = 0;
    fixture->match_index = 0;
    fixture->skipped_count = 0;
    recovered_free(&fixture->recovered);
    r = superblock_open(&superblock, &fixture->superblock, fixture->text);
    if (r < 0)
        return r;
    return recovery_run(&recovery, &fixture->recovered, fixture->text);
}

int fixture_open(struct fixture *fixture)
{
    int r = fixture_recover(fixture);

    fixture->failed = false;
    fixture->stopped = false;
    if (r < 0)
        return r;
    /* What was not recovered never was; what was is committed. */
    for (uint32_t i = fixture->match_index; i < fixture->group_count; i++) {
        if (fixture->groups[i]->acked || i < fixture->committed_count)
            fixture->lost_count++;
        free_group(fixture->groups[i]);
    }
    if (fixture->match_index < fixture->group_count)
        fixture->group_count = fixture->match_index;
    fixture->committed_count = fixture->group_count;
    if (io_sim_new(fixture->host, &fixture->io) < 0)
        return -EIO;
    clock_init(&fixture->clock, &fixture->world->clock_source);
    timer_wheel_init(&fixture->wheel, fixture->clock.mono_ns);
    fixture->config.io = fixture->io;
    fixture->config.disk = fixture->disk;
    fixture->config.clock = &fixture->clock;
    fixture->config.timers = &fixture->wheel;
    fixture->config.owner = &fixture->owner;
    fixture->config.data_path = "data";
    fixture->config.boot_generation = fixture->superblock.boot_generation;
    fixture->config.uuid = fixture->superblock.uuid;
    if (fixture->config.retain_bytes != 0 || fixture->owner.is_spent != NULL)
        fixture->owner.on_retire = on_retire;
    return journal_open(&fixture->config, &fixture->recovered->logs[0], &fixture->journal);
}

static void on_durable(struct journal_append *append, enum journal_outcome outcome)
{
    struct fixture_group *group = container_of(append, struct fixture_group, append);
    struct fixture *fixture = group->fixture;

    if (outcome == JOURNAL_OUTCOME_UNKNOWN) {
        group->unknown = true;
        return;
    }
    assert(append->lsn_first == fixture->last_acked_lsn + 1 || fixture->last_acked_lsn == 0 ||
           append->lsn_first <= fixture->last_acked_lsn + 1);
    assert(append->lsn_last <= journal_durable_lsn(fixture->journal));
    fixture->last_acked_lsn = append->lsn_last;
    group->acked = true;
}

int fixture_append(struct fixture *fixture, uint32_t count, uint32_t size_max, uint32_t flags)
{
    struct fixture_group *group = calloc(1, sizeof(*group));
    size_t total = 0;
    size_t sizes[FIXTURE_RECORDS_MAX];
    char *payload;
    int r;

    assert(count <= FIXTURE_RECORDS_MAX);
    assert(fixture->group_count < FIXTURE_GROUPS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        sizes[i] = fixture->exact ? size_max : rng_below(&fixture->rng, (uint64_t)size_max + 1);
        total += sizes[i];
    }
    group->id = ++fixture->id_next;
    group->count = count;
    group->fixture = fixture;
    group->payload = malloc(total + 1);
    payload_fill(group->payload, total, group->id);
    payload = group->payload;
    for (uint32_t i = 0; i < count; i++) {
        size_t cut = rng_below(&fixture->rng, sizes[i] + 1);

        group->parts[i][0] = (struct slice){payload, cut};
        group->parts[i][1] = (struct slice){payload + cut, sizes[i] - cut};
        group->records[i] = (struct journal_record){
            .type = (uint8_t)(1 + group->id % 255),
            .version = 1,
            .partition = (uint32_t)(group->id % 64),
            .mailbox = group->id,
            .parts = group->parts[i],
            .part_count = 2,
        };
        payload += sizes[i];
    }
    group->append.on_durable = on_durable;
    r = journal_append(fixture->journal, &group->append, group->records, count, flags);
    if (r != JOURNAL_OK) {
        free_group(group);
        return r;
    }
    group->lsn_first = group->append.lsn_first;
    fixture->groups[fixture->group_count++] = group;
    return r;
}

static void turn(struct fixture *fixture)
{
    uint64_t next_ns = sim_world_step(fixture->world);

    clock_update(&fixture->clock);
    (void)io_reap(fixture->io, 64);
    (void)timer_wheel_advance(&fixture->wheel, fixture->clock.mono_ns, 64);
    if (fixture->journal != NULL)
        journal_flush(fixture->journal);
    if (io_sim_ready_count(fixture->io) > 0)
        return;
    next_ns = min_u64(sim_world_next_ns(fixture->world), timer_wheel_next_ns(&fixture->wheel));
    if (next_ns != UINT64_MAX)
        sim_world_advance_to(fixture->world, max_u64(next_ns, fixture->world->mono_ns));
}

void fixture_run(struct fixture *fixture, uint32_t step_count)
{
    for (uint32_t i = 0; i < step_count && sim_host_is_up(fixture->host); i++)
        turn(fixture);
}

static bool is_settled(const struct fixture *fixture)
{
    for (uint32_t i = fixture->committed_count; i < fixture->group_count; i++) {
        if (!fixture->groups[i]->acked && !fixture->groups[i]->unknown)
            return false;
    }
    return true;
}

bool fixture_settle(struct fixture *fixture)
{
    for (uint32_t i = 0; i < 20000 && sim_host_is_up(fixture->host); i++) {
        if (is_settled(fixture))
            return true;
        turn(fixture);
    }
    return is_settled(fixture);
}

void fixture_stop(struct fixture *fixture)
{
    journal_stop(fixture->journal);
    for (uint32_t i = 0; i < 20000 && !fixture->stopped && sim_host_is_up(fixture->host); i++)
        turn(fixture);
    assert(fixture->stopped || fixture->failed || !sim_host_is_up(fixture->host));
    fixture_crash(fixture, true);
}

void fixture_crash(struct fixture *fixture, bool kill)
{
    if (kill && sim_host_is_up(fixture->host))
        sim_host_kill(fixture->host);
    else
        sim_host_crash(fixture->host);
    /* The process is gone: freeing its memory closes nothing on a host that is down. */
    journal_reader_free(&fixture->reader);
    journal_free(&fixture->journal);
    if (fixture->io != NULL)
        io_free(&fixture->io);
    sim_host_start(fixture->host);
    fixture->last_acked_lsn = 0;
}

static int open_file(struct fixture *fixture, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "data/%s", name);
    return disk_open(fixture->disk, path, O_RDWR, 0);
}

void fixture_flip(struct fixture *fixture, const char *name, uint64_t offset, uint8_t mask)
{
    char path[128];
    int r;

    snprintf(path, sizeof(path), "data/%s", name);
    r = sim_disk_flip(fixture->host->disk, path, offset, mask);
    assert(r == 0);
}

void fixture_read(struct fixture *fixture, const char *name, uint64_t offset, char *data,
                  uint64_t size)
{
    int fd = open_file(fixture, name);
    int64_t count = disk_read(fixture->disk, fd, data, size, offset);

    assert(count == (int64_t)size);
    disk_close(fixture->disk, fd);
}

void fixture_write(struct fixture *fixture, const char *name, uint64_t offset, const char *data,
                   uint64_t size)
{
    char path[128];
    int fd;
    int64_t count;
    int r;

    snprintf(path, sizeof(path), "data/%s", name);
    fd = disk_open(fixture->disk, path, O_RDWR | O_CREAT, 0600);
    count = disk_write(fixture->disk, fd, data, size, offset);
    r = disk_sync(fixture->disk, fd);
    assert(count == (int64_t)size);
    assert(r == 0);
    r = disk_sync_directory(fixture->disk, "data/log-00");
    assert(r == 0);
    disk_close(fixture->disk, fd);
}

uint64_t fixture_size(struct fixture *fixture, const char *name)
{
    int fd = open_file(fixture, name);
    uint64_t size = 0;
    int r = disk_size(fixture->disk, fd, &size);

    assert(r == 0);
    disk_close(fixture->disk, fd);
    return size;
}

bool fixture_exists(struct fixture *fixture, const char *name)
{
    int fd = open_file(fixture, name);

    if (fd < 0)
        return false;
    disk_close(fixture->disk, fd);
    return true;
}

void fixture_remove(struct fixture *fixture, const char *name)
{
    char path[128];
    int r;

    snprintf(path, sizeof(path), "data/%s", name);
    r = disk_unlink(fixture->disk, path);
    assert(r == 0);
    r = disk_sync_directory(fixture->disk, "data/log-00");
    assert(r == 0);
}

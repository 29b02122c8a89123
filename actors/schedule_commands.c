/*
 * What requests want of the schedules that this shard keeps: each command is decided from
 * memory or written first, and answered when what it wrote has been applied.
 *
 * Only one record of a schedule is on its way at a time. A change that meets another, or a
 * run, waits for it in `waiting`, and is then decided from the start: the schedule may have
 * gone or come meanwhile. So does one whose time zone has to be read.
 */
#include "actors/schedules.h"

#include "actors/app.h"
#include "contracts/json_member.h"
#include "runtime/sim_point.h"

static struct slice name_of(const struct schedule_request *request)
{
    return (struct slice){request->name, request->name_size};
}

void schedules_decide(struct schedules *schedules, struct schedule_request *request)
{
    zone_cache_put(&schedules->zones, &request->zone);
    errand_decide(&request->errand);
}

static void refuse(struct schedules *schedules, struct schedule_request *request,
                   enum problem_code code)
{
    request->errand.code = (uint16_t)code;
    schedules_decide(schedules, request);
}

static void refuse_fault(struct schedules *schedules, struct schedule_request *request,
                         enum schedule_fault fault)
{
    request->fault = (uint8_t)fault;
    refuse(schedules, request, PROBLEM_INVALID_SCHEDULE);
}

static struct schedule *find(const struct schedules *schedules,
                             const struct schedule_request *request)
{
    return schedule_table_find(schedules->table, errand_org(&request->errand),
                               errand_project(&request->errand), name_of(request));
}

MUST_USE static struct schedule *claim(struct schedules *schedules,
                                       const struct schedule_request *request)
{
    return schedule_table_claim(schedules->table, errand_org(&request->errand),
                                errand_project(&request->errand), name_of(request));
}

/* --- answers ---------------------------------------------------------------------- */

static void write_job_of(const struct schedules *schedules, const struct schedule *schedule,
                         struct json_writer *writer)
{
    const struct schedule_image_header *header = &schedule->image.header;
    char id[UUID_TEXT_SIZE];

    json_writer_key(writer, SLICE_LITERAL("last_job"));
    if (header->last_job_low == 0) {
        json_writer_null(writer);
        return;
    }
    job_id_format((struct job_id){header->last_job_ms, header->last_job_low,
                                  job_partition(schedule_text(schedule, SCHEDULE_SECTION_ORG),
                                                schedule_text(schedule, SCHEDULE_SECTION_PROJECT),
                                                schedules->home->app->superblock.partition_count)},
                  id);
    json_writer_string(writer, (struct slice){id, sizeof(id)});
}

/* What its owner asked for. */
static void write_wish(const struct schedule *schedule, bool with_payload,
                       struct json_writer *writer)
{
    const struct schedule_image_header *header = &schedule->image.header;

    json_member_string(writer, SLICE_LITERAL("name"),
                       schedule_text(schedule, SCHEDULE_SECTION_NAME));
    json_member_string(writer, SLICE_LITERAL("cron"),
                       schedule_text(schedule, SCHEDULE_SECTION_CRON));
    json_member_string(writer, SLICE_LITERAL("timezone"),
                       schedule_text(schedule, SCHEDULE_SECTION_ZONE));
    json_member_string(writer, SLICE_LITERAL("kind"),
                       schedule_text(schedule, SCHEDULE_SECTION_KIND));
    if (with_payload) {
        json_writer_key(writer, SLICE_LITERAL("payload"));
        json_writer_raw(writer, schedule_text(schedule, SCHEDULE_SECTION_PAYLOAD));
    }
    if (schedule_text(schedule, SCHEDULE_SECTION_KEY).size > 0)
        json_member_string(writer, SLICE_LITERAL("key"),
                           schedule_text(schedule, SCHEDULE_SECTION_KEY));
    json_member_u64(writer, SLICE_LITERAL("priority"), header->priority);
    if (header->max_attempts > 0)
        json_member_u64(writer, SLICE_LITERAL("max_attempts"), header->max_attempts);
    if (header->timeout_ms > 0) {
        json_writer_key(writer, SLICE_LITERAL("timeout_seconds"));
        json_writer_double(writer, header->timeout_ms / 1000.0);
    }
    json_member_string(writer, SLICE_LITERAL("missed"),
                       schedule_missed_name((enum schedule_missed)header->missed));
    json_writer_key(writer, SLICE_LITERAL("paused"));
    json_writer_boolean(writer, (header->flags & SCHEDULE_FLAG_PAUSED) != 0);
}

static void write_schedule(const struct schedules *schedules, const struct schedule *schedule,
                           bool with_payload, struct json_writer *writer)
{
    const struct schedule_image_header *header = &schedule->image.header;
    uint64_t next_ms = schedule_table_next(schedules->table, schedule);

    json_writer_begin_object(writer);
    write_wish(schedule, with_payload, writer);
    json_member_time_or_null(writer, SLICE_LITERAL("next_at"),
                             next_ms == SCHEDULE_NEVER_MS ? 0 : (int64_t)next_ms);
    json_member_time_or_null(writer, SLICE_LITERAL("last_at"), (int64_t)header->last_ms);
    write_job_of(schedules, schedule, writer);
    json_writer_key(writer, SLICE_LITERAL("runs"));
    json_writer_begin_object(writer);
    json_member_u64(writer, SLICE_LITERAL("fired"), header->fired_count);
    json_member_u64(writer, SLICE_LITERAL("missed"), header->missed_count);
    json_member_u64(writer, SLICE_LITERAL("skipped"), header->skipped_count);
    json_writer_end_object(writer);
    json_member_time(writer, SLICE_LITERAL("created_at"), (int64_t)header->created_ms);
    json_member_time(writer, SLICE_LITERAL("updated_at"), (int64_t)header->updated_ms);
    if (schedule->zone == NULL || schedule->zone->state == ZONE_MISSING)
        json_member_string(writer, SLICE_LITERAL("error"),
                           SLICE_LITERAL("the time zone cannot be read"));
    json_writer_end_object(writer);
}

static void answer(struct schedules *schedules, struct schedule_request *request,
                   const struct json_writer *writer)
{
    bool fits = json_writer_finish(writer, &request->errand.answer);

    assert(fits);
    schedules_decide(schedules, request);
}

static void answer_schedule(struct schedules *schedules, struct schedule_request *request,
                            const struct schedule *schedule)
{
    struct json_writer writer;

    json_writer_init(&writer, request->text->data, request->text->capacity);
    write_schedule(schedules, schedule, true, &writer);
    answer(schedules, request, &writer);
}

/* --- looking ------------------------------------------------------------------------ */

static void get(struct schedules *schedules, struct schedule_request *request)
{
    const struct schedule *schedule = find(schedules, request);

    if (schedule == NULL || schedule->state != SCHEDULE_LIVE)
        refuse(schedules, request, PROBLEM_NOT_FOUND);
    else
        answer_schedule(schedules, request, schedule);
}

static bool is_theirs(const struct schedule *schedule, const struct errand *errand)
{
    return schedule->state == SCHEDULE_LIVE &&
           slice_equal(schedule_text(schedule, SCHEDULE_SECTION_ORG), errand_org(errand)) &&
           slice_equal(schedule_text(schedule, SCHEDULE_SECTION_PROJECT), errand_project(errand));
}

/* The cursor is the place of the next one in the table: it stays where it is while it lives. */
static void list(struct schedules *schedules, struct schedule_request *request)
{
    uint32_t end = schedule_table_end(schedules->table), count = 0, i;
    struct json_writer writer;
    char cursor[16];

    json_writer_init(&writer, request->text->data, request->text->capacity);
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("schedules"));
    json_writer_begin_array(&writer);
    for (i = request->cursor; i < end; i++) {
        const struct schedule *schedule = schedule_table_at(schedules->table, i);

        if (!is_theirs(schedule, &request->errand))
            continue;
        if (count == request->limit || writer.capacity - writer.size < 2 * SCHEDULE_TEXT_SIZE_MAX)
            break;
        write_schedule(schedules, schedule, false, &writer);
        count++;
    }
    json_writer_end_array(&writer);
    json_writer_key(&writer, SLICE_LITERAL("next_cursor"));
    if (i < end) {
        int size = snprintf(cursor, sizeof(cursor), "%u", i);

        json_writer_string(&writer, (struct slice){cursor, (size_t)size});
    } else {
        json_writer_null(&writer);
    }
    json_writer_end_object(&writer);
    answer(schedules, request, &writer);
}

/* --- changing ------------------------------------------------------------------------- */

static void wait(struct schedules *schedules, struct schedule_request *request)
{
    list_push_back(&schedules->waiting, &request->errand.link);
}

static void on_changed(struct durable_step *step, enum durable_outcome outcome)
{
    struct schedule_request *request = container_of(step, struct schedule_request, step);
    struct schedules *schedules = container_of(request->errand.owner, struct schedules, errands);
    struct schedule *schedule = request->schedule;
    struct json_writer writer;

    schedules->commit_count--;
    if (outcome == DURABLE_UNKNOWN) {
        refuse(schedules, request, PROBLEM_STORAGE_FAILED);
        return;
    }
    if (request->operation == SCHEDULE_PUT) {
        struct zone *before = schedule->zone;

        schedule->zone = request->zone;
        request->zone = before; /* given back with the request */
        schedules_settle(schedules, schedule);
        answer_schedule(schedules, request, schedule);
    } else {
        json_writer_init(&writer, request->text->data, request->text->capacity);
        json_writer_begin_object(&writer);
        json_member_string(&writer, SLICE_LITERAL("name"), name_of(request));
        json_writer_key(&writer, SLICE_LITERAL("deleted"));
        json_writer_boolean(&writer, true);
        json_writer_end_object(&writer);
        answer(schedules, request, &writer);
    }
    schedules_go_on(schedules);
}

/* Claims the name, writes the record in part. Every outcome decides the request. */
static void commit(struct schedules *schedules, struct schedule_request *request, uint32_t flags)
{
    struct durable_set *set = &schedules->home->keeper.durables;
    int r;

    request->record = (struct journal_record){
        .partition = job_partition(errand_org(&request->errand), errand_project(&request->errand),
                                   schedules->home->app->superblock.partition_count),
        .type = RECORD_SCHEDULE,
        .version = SCHEDULE_RECORD_VERSION,
        .parts = &request->part,
        .part_count = 1,
    };
    request->step = (struct durable_step){
        .on_done = on_changed, .records = &request->record, .record_count = 1, .flags = flags};
    r = durable_commit(set, &request->step);
    if (r == JOURNAL_FULL) {
        SOMETIMES("a schedule's change waits for room in the journal");
        r = durable_commit_later(set, &request->step) ? JOURNAL_OK : JOURNAL_STOPPED;
    }
    if (r == JOURNAL_OK) {
        schedules->commit_count++;
        return;
    }
    SOMETIMES("a schedule's change finds no room in the journal");
    schedule_table_withdraw(schedules->table, request->schedule);
    refuse(schedules, request, errand_problem_of_commit(r));
    schedules_go_on(schedules);
}

/* False when it has been decided, or waits. */
MUST_USE static bool take_zone(struct schedules *schedules, struct schedule_request *request,
                               struct slice name)
{
    if (request->zone == NULL)
        request->zone = zone_cache_get(&schedules->zones, name);
    if (request->zone == NULL) {
        refuse(schedules, request, PROBLEM_QUOTA_EXCEEDED);
        return false;
    }
    switch ((enum zone_state)request->zone->state) {
    case ZONE_READY:
        return true;
    case ZONE_WANTED:
        SOMETIMES("a schedule waits for its time zone");
        wait(schedules, request);
        return false;
    case ZONE_MISSING:
        if (zone_is_unknown(request->zone))
            refuse_fault(schedules, request, SCHEDULE_FAULT_ZONE);
        else
            refuse(schedules, request, PROBLEM_OVERLOADED);
        return false;
    case ZONE_FREE:
        break;
    }
    assert(false && "a zone in use");
    return false;
}

/*
 * The head of the schedule as it will be. What is replaced keeps its history. What was due
 * before now is settled: a change makes no runs up. And so is what has run, should the clock
 * have gone back a little since; after a greater jump the owner's word is to count.
 */
static void complete_head(struct schedules *schedules, const struct schedule *before,
                          struct schedule_image_header *header)
{
    uint64_t now_ms = schedules_now(schedules);

    header->revision = schedule_table_next_revision(schedules->table);
    header->created_ms = now_ms;
    header->updated_ms = now_ms;
    header->settled_ms = now_ms;
    if (before->state != SCHEDULE_LIVE)
        return;
    header->created_ms = before->image.header.created_ms;
    header->last_ms = before->image.header.last_ms;
    header->last_job_ms = before->image.header.last_job_ms;
    header->last_job_low = before->image.header.last_job_low;
    header->fired_count = before->image.header.fired_count;
    header->missed_count = before->image.header.missed_count;
    header->skipped_count = before->image.header.skipped_count;
    if (header->last_ms > now_ms && header->last_ms - now_ms <= SCHEDULE_STEP_BACK_MS_MAX)
        header->settled_ms = header->last_ms;
}

static void put(struct schedules *schedules, struct schedule_request *request)
{
    struct schedule *schedule = find(schedules, request);
    struct schedule_image image;
    struct cron_error error;
    struct cron cron;
    int r;

    if (schedule != NULL && schedule->is_committing) {
        SOMETIMES("a schedule's change waits for another record of it");
        wait(schedules, request);
        return;
    }
    request->part = (struct slice){request->image->data, request->image->size};
    r = schedule_image_decode(request->part, &image);
    assert(r == 0);
    if (!take_zone(schedules, request, image.sections[SCHEDULE_SECTION_ZONE]))
        return;
    r = (int)cron_parse(image.sections[SCHEDULE_SECTION_CRON], &cron, &error);
    assert(r == CRON_OK);
    if (schedule_next_ms(&cron, &request->zone->rules, schedules_now(schedules)) ==
        SCHEDULE_NEVER_MS) {
        refuse_fault(schedules, request, SCHEDULE_FAULT_NEVER);
        return;
    }
    request->schedule = claim(schedules, request);
    if (request->schedule == NULL) {
        SOMETIMES("a shard has all the schedules that it may have");
        refuse(schedules, request, PROBLEM_QUOTA_EXCEEDED);
        return;
    }
    request->is_new = request->schedule->state != SCHEDULE_LIVE;
    complete_head(schedules, request->schedule, &image.header);
    memcpy(request->image->data, &image.header, sizeof(image.header));
    commit(schedules, request, 0);
}

static void remove_it(struct schedules *schedules, struct schedule_request *request)
{
    struct schedule *schedule = find(schedules, request);
    struct schedule_image image = {
        .header = {.flags = SCHEDULE_FLAG_DELETED},
        .sections = {
            [SCHEDULE_SECTION_ORG] = errand_org(&request->errand),
            [SCHEDULE_SECTION_PROJECT] = errand_project(&request->errand),
            [SCHEDULE_SECTION_NAME] = name_of(request),
        }};

    if (schedule == NULL) {
        refuse(schedules, request, PROBLEM_NOT_FOUND);
        return;
    }
    if (schedule->is_committing) {
        wait(schedules, request);
        return;
    }
    request->schedule = claim(schedules, request);
    assert(request->schedule == schedule);
    image.header.revision = schedule_table_next_revision(schedules->table);
    image.header.updated_ms = schedules_now(schedules);
    request->part =
        (struct slice){request->tombstone, schedule_image_encode(&image, request->tombstone)};
    commit(schedules, request, JOURNAL_IMPORTANT);
}

void schedules_do(struct schedules *schedules, struct schedule_request *request)
{
    assert(request->errand.owner == &schedules->errands);
    if (!schedules->is_resumed) {
        refuse(schedules, request, PROBLEM_RECOVERING);
        return;
    }
    switch ((enum schedule_operation)request->operation) {
    case SCHEDULE_PUT:
        put(schedules, request);
        return;
    case SCHEDULE_DELETE:
        remove_it(schedules, request);
        return;
    case SCHEDULE_GET:
        get(schedules, request);
        return;
    case SCHEDULE_LIST:
        list(schedules, request);
        return;
    }
}

#include "actors/app.h"
#include "actors/incidents.h"
#include "contracts/json_member.h"
#include "runtime/sim_point.h"
#include "store/slot_index.h"

/*
 * A change of status is decided at once and answered when its record, and those of all
 * decisions before it, are durable. Rules are a fact of their own: they are in force when they
 * are durable, and what has been decided before that stays decided.
 */

static uint64_t number_of(const struct incidents *incidents, const struct incident_request *request)
{
    return series_project(incidents->home->app->hash_key, errand_org(&request->errand),
                          errand_project(&request->errand));
}

/* --- answers' JSON ------------------------------------------------------------------- */

static void write_incident(struct json_writer *writer, const struct incident_image *image,
                           uint32_t partition)
{
    const struct incident_image_header *header = &image->header;
    char id[UUID_TEXT_SIZE];

    job_id_format(incident_image_id(header, partition), id);
    json_writer_begin_object(writer);
    json_member_string(writer, SLICE_LITERAL("id"), (struct slice){id, sizeof(id)});
    json_member_string(writer, SLICE_LITERAL("org_id"), image->sections[INCIDENT_SECTION_ORG]);
    json_member_string(writer, SLICE_LITERAL("project_id"),
                       image->sections[INCIDENT_SECTION_PROJECT]);
    json_member_string(writer, SLICE_LITERAL("environment"),
                       event_environment_name((enum event_environment)header->environment));
    json_member_string(writer, SLICE_LITERAL("rule"), incident_rule_name(header->rule));
    json_member_string(writer, SLICE_LITERAL("fingerprint"),
                       image->sections[INCIDENT_SECTION_FINGERPRINT]);
    json_member_string(writer, SLICE_LITERAL("status"), incident_status_name(header->status));
    json_member_string(writer, SLICE_LITERAL("severity"), incident_severity_name(header->severity));
    json_member_string(writer, SLICE_LITERAL("title"), image->sections[INCIDENT_SECTION_TITLE]);
    json_member_string(writer, SLICE_LITERAL("rule_title"),
                       image->sections[INCIDENT_SECTION_TITLE]);
    json_member_time_or_null(writer, SLICE_LITERAL("opened_at"), header->opened_ms);
    json_member_time_or_null(writer, SLICE_LITERAL("last_seen_at"), header->last_seen_ms);
    json_member_time_or_null(writer, SLICE_LITERAL("resolved_at"), header->resolved_ms);
    json_member_time_or_null(writer, SLICE_LITERAL("reopened_at"), header->reopened_ms);
    json_member_u64(writer, SLICE_LITERAL("reopen_count"), header->reopen_count);
    json_member_boolean(writer, SLICE_LITERAL("flapping"),
                        (header->flags & INCIDENT_FLAG_FLAPPING) != 0);
    json_member_time_or_null(writer, SLICE_LITERAL("updated_at"), (int64_t)header->written_ms);
    json_member_u64(writer, SLICE_LITERAL("window_count"), header->window_count);
    json_writer_key(writer, SLICE_LITERAL("baseline"));
    json_writer_double(writer, (double)header->baseline_milli / 1000);
    json_member_u64(writer, SLICE_LITERAL("revision"), header->revision);
    json_writer_end_object(writer);
}

static void write_spike(struct json_writer *writer, const struct incident_rules *rules)
{
    json_writer_key(writer, SLICE_LITERAL("error_spike"));
    json_writer_begin_object(writer);
    json_member_boolean(writer, SLICE_LITERAL("enabled"), !rules->spike_is_off);
    json_member_u64(writer, SLICE_LITERAL("count"), rules->spike_count);
    json_member_u64(writer, SLICE_LITERAL("percent"), rules->spike_percent);
    json_member_u64(writer, SLICE_LITERAL("error_percent"), rules->spike_error_percent);
    json_member_u64(writer, SLICE_LITERAL("critical_percent"), rules->spike_critical_percent);
    json_writer_end_object(writer);
}

static void write_drop(struct json_writer *writer, const struct incident_rules *rules)
{
    json_writer_key(writer, SLICE_LITERAL("signup_drop"));
    json_writer_begin_object(writer);
    json_member_boolean(writer, SLICE_LITERAL("enabled"), !rules->drop_is_off);
    json_member_u64(writer, SLICE_LITERAL("count"), rules->drop_count);
    json_member_u64(writer, SLICE_LITERAL("baseline"), rules->drop_baseline);
    json_member_u64(writer, SLICE_LITERAL("percent"), rules->drop_percent);
    json_member_u64(writer, SLICE_LITERAL("error_percent"), rules->drop_error_percent);
    json_member_u64(writer, SLICE_LITERAL("critical_percent"), rules->drop_critical_percent);
    json_writer_end_object(writer);
}

/* record NULL: the project has none of its own. */
static void write_rules(struct json_writer *writer, const struct incident_rules_record *record)
{
    const struct incident_rules *rules = record != NULL ? &record->rules : &INCIDENT_RULES_DEFAULT;

    json_writer_begin_object(writer);
    write_spike(writer, rules);
    write_drop(writer, rules);
    json_member_u64(writer, SLICE_LITERAL("pending_minutes"), rules->pending_minutes);
    json_member_u64(writer, SLICE_LITERAL("resolve_minutes"), rules->resolve_minutes);
    json_member_u64(writer, SLICE_LITERAL("reopen_minutes"), rules->reopen_minutes);
    json_member_boolean(writer, SLICE_LITERAL("is_default"), record == NULL);
    json_member_time_or_null(writer, SLICE_LITERAL("updated_at"),
                             record != NULL ? (int64_t)record->updated_ms : 0);
    json_writer_end_object(writer);
}

static void begin_answer(struct incident_request *request, struct json_writer *writer)
{
    json_writer_init(writer, request->text, sizeof(request->text));
}

static void end_answer(struct incident_request *request, struct json_writer *writer)
{
    bool fits = json_writer_finish(writer, &request->errand.answer);

    assert(fits);
    errand_decide(&request->errand);
}

static void answer_incident(struct incidents *incidents, struct incident_request *request)
{
    struct incident_image image;
    struct json_writer writer;

    /* One that nobody has changed may have made room for another meanwhile. */
    request->slot = incident_table_find(incidents->table, request->id.id_low);
    if (request->slot == SLOT_NONE) {
        errand_refuse(&request->errand, PROBLEM_NOT_FOUND);
        return;
    }
    incident_table_current(incidents->table, request->slot, &image);
    begin_answer(request, &writer);
    json_writer_begin_object(&writer);
    json_writer_key(&writer, SLICE_LITERAL("incident"));
    write_incident(&writer, &image, incident_table_partition(incidents->table, request->slot));
    json_writer_end_object(&writer);
    end_answer(request, &writer);
}

static void answer_rules(struct incidents *incidents, struct incident_request *request)
{
    const struct incident_project_rules *rules =
        incident_table_rules(incidents->table, number_of(incidents, request));
    struct json_writer writer;

    begin_answer(request, &writer);
    write_rules(&writer, rules != NULL ? &rules->record : NULL);
    end_answer(request, &writer);
}

/* --- status ---------------------------------------------------------------------------- */

void incidents_answer(struct incidents *incidents, struct incident_request *request,
                      bool is_durable)
{
    if (is_durable)
        answer_incident(incidents, request);
    else
        errand_refuse(&request->errand, PROBLEM_STORAGE_FAILED);
}

static void move(struct incidents *incidents, struct incident_request *request)
{
    switch (incident_table_move(incidents->table, request->id.id_low, number_of(incidents, request),
                                (enum incident_status)request->status,
                                (struct slice){request->actor, request->actor_size},
                                incidents_now(incidents), &request->slot)) {
    case INCIDENT_MOVED:
    case INCIDENT_UNMOVED: /* what made it so may not be durable yet */
        incidents_wait(incidents, request);
        incidents_go_on(incidents);
        return;
    case INCIDENT_UNKNOWN:
        errand_refuse(&request->errand, PROBLEM_NOT_FOUND);
        return;
    case INCIDENT_ILLEGAL:
        SOMETIMES("an incident must not be moved so");
        errand_refuse(&request->errand, PROBLEM_INCIDENT_STATUS);
        return;
    case INCIDENT_CLOGGED:
        SOMETIMES("a move of an incident finds no room");
        errand_refuse(&request->errand, PROBLEM_OVERLOADED);
        return;
    }
}

/* --- rules ------------------------------------------------------------------------------- */

static void set_numbers(const struct incident_rules_spec *spec, struct incident_rules *rules)
{
    uint32_t *const words[] = {
        [INCIDENT_GIVES_SPIKE_COUNT] = &rules->spike_count,
        [INCIDENT_GIVES_SPIKE_PERCENT] = &rules->spike_percent,
        [INCIDENT_GIVES_SPIKE_ERROR_PERCENT] = &rules->spike_error_percent,
        [INCIDENT_GIVES_SPIKE_CRITICAL_PERCENT] = &rules->spike_critical_percent,
        [INCIDENT_GIVES_DROP_COUNT] = &rules->drop_count,
        [INCIDENT_GIVES_DROP_BASELINE] = &rules->drop_baseline,
        [INCIDENT_GIVES_DROP_PERCENT] = &rules->drop_percent,
        [INCIDENT_GIVES_DROP_ERROR_PERCENT] = &rules->drop_error_percent,
        [INCIDENT_GIVES_DROP_CRITICAL_PERCENT] = &rules->drop_critical_percent,
    };
    uint8_t *const minutes[] = {&rules->pending_minutes, &rules->resolve_minutes,
                                &rules->reopen_minutes};

    static_assert(ARRAY_COUNT(words) + ARRAY_COUNT(minutes) == INCIDENT_RULE_NUMBER_COUNT,
                  "every number has its place");
    for (uint32_t i = 0; i < INCIDENT_RULE_NUMBER_COUNT; i++) {
        if ((spec->given >> i & 1) == 0)
            continue;
        if (i < ARRAY_COUNT(words))
            *words[i] = spec->numbers[i];
        else
            *minutes[i - ARRAY_COUNT(words)] = (uint8_t)spec->numbers[i];
    }
    if (spec->gives_spike_enabled)
        rules->spike_is_off = !spec->spike_enabled;
    if (spec->gives_drop_enabled)
        rules->drop_is_off = !spec->drop_enabled;
}

/* The rules as they will be. False when the numbers do not fit together. */
MUST_USE static bool fill_rules(struct incidents *incidents, struct incident_request *request)
{
    const struct incident_project_rules *before =
        incident_table_rules(incidents->table, number_of(incidents, request));
    struct incident_rules_record *record = &request->rules;

    memset(record, 0, sizeof(*record));
    record->rules = before != NULL ? before->record.rules : INCIDENT_RULES_DEFAULT;
    record->revision = before != NULL ? before->record.revision + 1 : 1;
    record->updated_ms = incidents_now(incidents);
    record->project = number_of(incidents, request);
    record->org_size = request->errand.org_size;
    record->project_size = request->errand.project_size;
    memcpy(record->org, request->errand.org, record->org_size);
    memcpy(record->project_name, request->errand.project, record->project_size);
    set_numbers(&request->spec, &record->rules);
    return incident_rules_are_valid(&record->rules);
}

static void on_put(struct durable_step *step, enum durable_outcome outcome)
{
    struct incident_request *request = container_of(step, struct incident_request, step);
    struct incidents *incidents = container_of(request->errand.owner, struct incidents, errands);

    incidents->commit_count--;
    if (outcome == DURABLE_UNKNOWN)
        errand_refuse(&request->errand, PROBLEM_STORAGE_FAILED);
    else
        answer_rules(incidents, request);
    incidents_go_on(incidents);
}

static void put_rules(struct incidents *incidents, struct incident_request *request)
{
    uint32_t partition =
        job_partition(errand_org(&request->errand), errand_project(&request->errand),
                      incidents->home->app->superblock.partition_count);
    int r;

    /* One change after the other: the second must see what the first has made. */
    if (incidents->commit_count > 0) {
        SOMETIMES("rules are changed twice at a time");
        errand_refuse(&request->errand, PROBLEM_IN_FLIGHT);
        return;
    }
    if (!fill_rules(incidents, request)) {
        errand_refuse(&request->errand, PROBLEM_UNPROCESSABLE);
        return;
    }
    if (!incident_table_takes_rules(incidents->table, request->rules.project, partition)) {
        errand_refuse(&request->errand, PROBLEM_QUOTA_EXCEEDED);
        return;
    }
    request->part = (struct slice){(const char *)&request->rules, sizeof(request->rules)};
    request->record = (struct journal_record){.partition = partition,
                                              .type = RECORD_INCIDENT_RULES,
                                              .version = INCIDENT_RULES_RECORD_VERSION,
                                              .parts = &request->part,
                                              .part_count = 1};
    request->step =
        (struct durable_step){.on_done = on_put, .records = &request->record, .record_count = 1};
    r = durable_commit(&incidents->home->keeper.durables, &request->step);
    if (r == JOURNAL_OK)
        incidents->commit_count++;
    else
        errand_refuse(&request->errand, errand_problem_of_commit(r));
}

void incidents_do(struct incidents *incidents, struct incident_request *request)
{
    if (!incidents->is_resumed || incidents->is_behind || incidents->is_stopping) {
        errand_refuse(&request->errand, PROBLEM_RECOVERING);
        return;
    }
    switch ((enum incident_operation)request->operation) {
    case INCIDENT_MOVE:
        move(incidents, request);
        return;
    case INCIDENT_GET_RULES:
        answer_rules(incidents, request);
        return;
    case INCIDENT_PUT_RULES:
        put_rules(incidents, request);
        return;
    }
}

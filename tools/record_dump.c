/*
 * Record dump: reads the payloads that store/record.h lays out. The journal has
 * checked the bytes; a payload that is too short for its type, or JSON that is none,
 * is treated as one of a version that is not known here, never trusted.
 */
#include "tools/record_dump.h"

#include <inttypes.h>

#include "actors/breakers.h"
#include "contracts/json_member.h"
#include "contracts/json_reader.h"
#include "store/ai_run_record.h"
#include "store/incident_record.h"
#include "store/job_id.h"
#include "store/job_record.h"
#include "store/record.h"
#include "store/schedule_record.h"

enum {
    FIXED_SIZE_MAX = 4096, /* of an object without the parts that grow with the payload */
    GROWTH_MAX = 6,        /* bytes that one of the payload becomes at most */
    SERIES_TEXT_SIZE = 32,
    ID_END_SIZE = 17, /* of a job's id: what a JOB_FACT knows of it */
};

size_t record_dump_size_max(size_t payload_size)
{
    return FIXED_SIZE_MAX + payload_size * GROWTH_MAX;
}

struct slice record_dump_type(const struct journal_record_view *record)
{
    switch (record->type) {
    case RECORD_EVENT:
        return SLICE_LITERAL("event");
    case RECORD_CLAIM:
        return SLICE_LITERAL("claim");
    case RECORD_KEY:
        return SLICE_LITERAL("key");
    case RECORD_JOB:
        return SLICE_LITERAL("job");
    case RECORD_JOB_FACT:
        return SLICE_LITERAL("job_fact");
    case RECORD_JOB_QUEUE:
        return SLICE_LITERAL("job_queue");
    case RECORD_SCHEDULE:
        return SLICE_LITERAL("schedule");
    case RECORD_BREAKER:
        return SLICE_LITERAL("breaker");
    case RECORD_REPLAY:
        return SLICE_LITERAL("replay");
    case RECORD_INCIDENT:
        return SLICE_LITERAL("incident");
    case RECORD_AI_RUN:
        return SLICE_LITERAL("ai_run");
    case RECORD_INCIDENT_RULES:
        return SLICE_LITERAL("incident_rules");
    default:
        return SLICE_LITERAL("unknown");
    }
}

/* 32 hexadecimal digits. */
static void write_series(const uint64_t series[2], struct json_writer *writer)
{
    char text[SERIES_TEXT_SIZE + 1];

    snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, series[0], series[1]);
    json_member_string(writer, SLICE_LITERAL("series"), (struct slice){text, SERIES_TEXT_SIZE});
}

/* False when the payload is none of this version. */
static bool write_event(uint8_t version, struct slice payload, struct json_writer *writer)
{
    struct record_event event;
    struct json_reader reader;
    struct json_value document;
    struct slice envelope;

    if (!event_record_decode(version, payload, &event, &envelope))
        return false;
    if (json_read_document(envelope, JSON_DEPTH_MAX, &reader, &document) != JSON_OK)
        return false;
    json_member_time(writer, SLICE_LITERAL("received_at"), (int64_t)event.received_ms);
    json_writer_key(writer, SLICE_LITERAL("client_id"));
    json_writer_boolean(writer, (event.flags & RECORD_EVENT_CLIENT_ID) != 0);
    if (event_record_has_series(&event)) {
        write_series(event.series, writer);
        json_writer_key(writer, SLICE_LITERAL("late"));
        json_writer_boolean(writer, (event.flags & RECORD_EVENT_LATE) != 0);
    }
    json_writer_key(writer, SLICE_LITERAL("event"));
    json_writer_raw(writer, document.raw);
    return true;
}

static void write_claim_event(const struct record_claim_event *event, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    /* An event that was refused before it got an id has none. */
    if (event->event_id[0] != '\0')
        json_member_string(writer, SLICE_LITERAL("event_id"),
                           (struct slice){event->event_id, UUID_TEXT_SIZE});
    json_member_string(writer, SLICE_LITERAL("status"), record_status_name(event->status));
    if (event->code != 0)
        json_member_string(writer, SLICE_LITERAL("code"),
                           problem_code_name(record_claim_problem(event->code)));
    json_writer_end_object(writer);
}

/* False when the payload is none of this version. */
static bool write_claim(struct slice payload, struct json_writer *writer)
{
    struct record_claim claim;
    const char *cursor;

    if (payload.size < sizeof(claim))
        return false;
    memcpy(&claim, payload.data, sizeof(claim));
    if (claim.project_size > sizeof(claim.project) || claim.event_count > payload.size ||
        sizeof(claim) + claim.key_size + claim.event_count * sizeof(struct record_claim_event) !=
            payload.size)
        return false;
    cursor = payload.data + sizeof(claim);
    json_member_time(writer, SLICE_LITERAL("received_at"), (int64_t)claim.received_ms);
    json_member_string(writer, SLICE_LITERAL("key"), (struct slice){cursor, claim.key_size});
    json_member_string(writer, SLICE_LITERAL("project_id"),
                       (struct slice){claim.project, claim.project_size});
    json_writer_key(writer, SLICE_LITERAL("batch"));
    json_writer_boolean(writer, claim.is_batch != 0);
    json_writer_key(writer, SLICE_LITERAL("events"));
    json_writer_begin_array(writer);
    cursor += claim.key_size;
    for (uint32_t i = 0; i < claim.event_count; i++) {
        struct record_claim_event event;

        memcpy(&event, cursor + i * sizeof(event), sizeof(event));
        write_claim_event(&event, writer);
    }
    json_writer_end_array(writer);
    return true;
}

static void write_scopes(uint32_t scopes, struct json_writer *writer)
{
    json_writer_key(writer, SLICE_LITERAL("scopes"));
    json_writer_begin_array(writer);
    if ((scopes & KEY_SCOPE_INGEST) != 0)
        json_writer_string(writer, SLICE_LITERAL("ingest"));
    if ((scopes & KEY_SCOPE_READ) != 0)
        json_writer_string(writer, SLICE_LITERAL("read"));
    if ((scopes & KEY_SCOPE_ADMIN) != 0)
        json_writer_string(writer, SLICE_LITERAL("admin"));
    json_writer_end_array(writer);
}

/* False when the payload is none of this version. */
static bool write_api_key(struct slice payload, struct json_writer *writer)
{
    struct record_key key;

    if (payload.size != sizeof(key))
        return false;
    memcpy(&key, payload.data, sizeof(key));
    if (key.org_size > sizeof(key.org) || key.project_size > sizeof(key.project) ||
        key.prefix_size > sizeof(key.prefix))
        return false;
    json_member_time(writer, SLICE_LITERAL("received_at"),
                     (int64_t)(key.revoked_ms > 0 ? key.revoked_ms : key.created_ms));
    json_member_string(writer, SLICE_LITERAL("id"), (struct slice){key.id, UUID_TEXT_SIZE});
    json_member_string(writer, SLICE_LITERAL("prefix"),
                       (struct slice){key.prefix, key.prefix_size});
    json_member_string(writer, SLICE_LITERAL("org_id"), (struct slice){key.org, key.org_size});
    json_member_string(writer, SLICE_LITERAL("project_id"),
                       (struct slice){key.project, key.project_size});
    write_scopes(key.scopes, writer);
    json_member_u64(writer, SLICE_LITERAL("rate_per_second"), key.rate_per_s);
    json_member_u64(writer, SLICE_LITERAL("burst"), key.burst);
    json_member_time(writer, SLICE_LITERAL("created_at"), (int64_t)key.created_ms);
    if (key.revoked_ms > 0)
        json_member_time(writer, SLICE_LITERAL("revoked_at"), (int64_t)key.revoked_ms);
    return true;
}

/* --- jobs ------------------------------------------------------------------ */

/* Texts of the kind that was checked when it came in; a string when it is none after all. */
static void write_json(struct json_writer *writer, struct slice name, struct slice text)
{
    struct json_reader reader;
    struct json_value document;

    if (text.size == 0)
        return;
    json_writer_key(writer, name);
    if (json_read_document(text, JSON_DEPTH_MAX, &reader, &document) == JSON_OK)
        json_writer_raw(writer, document.raw);
    else
        json_writer_string(writer, text);
}

static void write_if_any(struct json_writer *writer, struct slice name, struct slice text)
{
    if (text.size > 0)
        json_member_string(writer, name, text);
}

static void write_time_if_any(struct json_writer *writer, struct slice name, uint64_t unix_ms)
{
    if (unix_ms > 0)
        json_member_time(writer, name, (int64_t)unix_ms);
}

static void write_number_if_any(struct json_writer *writer, struct slice name, uint64_t number)
{
    if (number > 0)
        json_member_u64(writer, name, number);
}

/* The last two groups of the id's text: they alone name the job. */
static void write_id_end(struct json_writer *writer, uint64_t id_low)
{
    char text[UUID_TEXT_SIZE];

    job_id_format((struct job_id){.id_low = id_low}, text);
    json_writer_string(writer, (struct slice){text + UUID_TEXT_SIZE - ID_END_SIZE, ID_END_SIZE});
}

static void write_job_head(const struct job_image_header *job, uint32_t partition,
                           struct json_writer *writer)
{
    static const char *const UNIQUES[] = {"none", "singleton", "throttle", "debounce",
                                          "idempotency"};
    char id[UUID_TEXT_SIZE];

    job_id_format((struct job_id){job->created_ms, job->id_low, partition}, id);
    json_member_string(writer, SLICE_LITERAL("id"), (struct slice){id, sizeof(id)});
    json_member_string(writer, SLICE_LITERAL("state"), slice_of(job_state_name(job->state)));
    if (job->reason != JOB_DEAD_NONE)
        json_member_string(writer, SLICE_LITERAL("reason"),
                           slice_of(job_dead_reason_name(job->reason)));
    json_member_time(writer, SLICE_LITERAL("created_at"), (int64_t)job->created_ms);
    write_time_if_any(writer, SLICE_LITERAL("due_at"), job->due_ms);
    write_time_if_any(writer, SLICE_LITERAL("ended_at"), job->ended_ms);
    write_time_if_any(writer, SLICE_LITERAL("deadline"), job->deadline_ms);
    write_time_if_any(writer, SLICE_LITERAL("first_failed_at"), job->first_failed_ms);
    json_member_u64(writer, SLICE_LITERAL("priority"), job->priority);
    json_member_u64(writer, SLICE_LITERAL("attempt"), job->attempt);
    write_number_if_any(writer, SLICE_LITERAL("max_attempts"), job->max_attempts);
    write_number_if_any(writer, SLICE_LITERAL("crash_count"), job->crash_count);
    write_number_if_any(writer, SLICE_LITERAL("timeout_ms"), job->timeout_ms);
    if (job->unique != JOB_UNIQUE_NONE)
        json_member_string(writer, SLICE_LITERAL("unique"), slice_of(UNIQUES[job->unique]));
    write_time_if_any(writer, SLICE_LITERAL("unique_until"), job->unique_until_ms);
    if ((job->flags & JOB_FLAG_CARRIED) != 0) {
        json_writer_key(writer, SLICE_LITERAL("carried"));
        json_writer_boolean(writer, true);
    }
    if ((job->flags & (JOB_FLAG_REPLAYED | JOB_FLAG_IS_REPLAY)) != 0) {
        json_writer_key(writer, (job->flags & JOB_FLAG_REPLAYED) != 0 ? SLICE_LITERAL("replayed_as")
                                                                      : SLICE_LITERAL("replay_of"));
        write_id_end(writer, job->link);
    }
}

/* False when the payload is none of this version. */
static bool write_job(const struct journal_record_view *record, struct json_writer *writer)
{
    struct job_image job;
    const struct slice *sections = job.sections;

    if (record->partition >= JOB_PARTITION_COUNT_MAX || job_image_decode(record->payload, &job) < 0)
        return false;
    write_job_head(&job.header, record->partition, writer);
    json_member_string(writer, SLICE_LITERAL("org_id"), sections[JOB_SECTION_ORG]);
    json_member_string(writer, SLICE_LITERAL("project_id"), sections[JOB_SECTION_PROJECT]);
    json_member_string(writer, SLICE_LITERAL("kind"), sections[JOB_SECTION_KIND]);
    write_if_any(writer, SLICE_LITERAL("key"), sections[JOB_SECTION_KEY]);
    write_if_any(writer, SLICE_LITERAL("correlation_id"), sections[JOB_SECTION_CORRELATION]);
    if (job.after_count > 0) {
        json_writer_key(writer, SLICE_LITERAL("after"));
        json_writer_begin_array(writer);
        for (uint32_t i = 0; i < job.after_count; i++)
            write_id_end(writer, job_image_after(&job, i));
        json_writer_end_array(writer);
    }
    write_json(writer, SLICE_LITERAL("payload"), sections[JOB_SECTION_PAYLOAD]);
    write_if_any(writer, SLICE_LITERAL("first_error"), sections[JOB_SECTION_FIRST_ERROR]);
    write_if_any(writer, SLICE_LITERAL("last_error"), sections[JOB_SECTION_LAST_ERROR]);
    write_json(writer, SLICE_LITERAL("result"), sections[JOB_SECTION_RESULT]);
    write_json(writer, SLICE_LITERAL("progress"), sections[JOB_SECTION_PROGRESS]);
    return true;
}

/* False when the payload is none of this version. */
static bool write_job_fact(struct slice payload, struct json_writer *writer)
{
    struct job_fact fact;

    if (job_fact_decode(payload, &fact) < 0)
        return false;
    json_writer_key(writer, SLICE_LITERAL("id_end"));
    write_id_end(writer, fact.header.id_low);
    json_member_string(writer, SLICE_LITERAL("fact"), slice_of(job_fact_name(fact.header.kind)));
    json_member_time(writer, SLICE_LITERAL("at"), (int64_t)fact.header.at_ms);
    json_member_u64(writer, SLICE_LITERAL("attempt"), fact.header.attempt);
    write_time_if_any(writer, SLICE_LITERAL("due_at"), fact.header.due_ms);
    write_number_if_any(writer, SLICE_LITERAL("crash_count"), fact.header.crash_count);
    if (fact.header.reason != JOB_DEAD_NONE)
        json_member_string(writer, SLICE_LITERAL("reason"),
                           slice_of(job_dead_reason_name(fact.header.reason)));
    if (fact.header.kind == JOB_FACT_REPLAYED) {
        json_writer_key(writer, SLICE_LITERAL("replayed_as"));
        write_id_end(writer, fact.header.link);
    }
    if (fact.header.kind == JOB_FACT_COMPLETED)
        write_json(writer, SLICE_LITERAL("result"), fact.text);
    else if (fact.header.kind == JOB_FACT_PROGRESS)
        write_json(writer, SLICE_LITERAL("progress"), fact.text);
    else
        write_if_any(writer, SLICE_LITERAL("error"), fact.text);
    return true;
}

/* False when the payload is none of this version. */
static bool write_job_queue(struct slice payload, struct json_writer *writer)
{
    struct job_queue_record record;
    const struct job_queue_settings *settings = &record.settings;

    if (job_queue_record_decode(payload, &record) < 0)
        return false;
    json_member_string(writer, SLICE_LITERAL("org_id"), record.org);
    json_member_string(writer, SLICE_LITERAL("project_id"), record.project);
    json_member_string(writer, SLICE_LITERAL("kind"), record.kind);
    json_writer_key(writer, SLICE_LITERAL("paused"));
    json_writer_boolean(writer, (settings->flags & JOB_QUEUE_PAUSED) != 0);
    json_writer_key(writer, SLICE_LITERAL("draining"));
    json_writer_boolean(writer, (settings->flags & JOB_QUEUE_DRAINING) != 0);
    json_member_u64(writer, SLICE_LITERAL("concurrency"), settings->concurrency);
    json_member_u64(writer, SLICE_LITERAL("key_concurrency"), settings->key_concurrency);
    json_member_u64(writer, SLICE_LITERAL("rate_per_second"), settings->rate_per_s);
    json_member_u64(writer, SLICE_LITERAL("burst"), settings->burst);
    json_member_u64(writer, SLICE_LITERAL("timeout_ms"), settings->timeout_ms);
    json_member_u64(writer, SLICE_LITERAL("depth_max"), settings->depth_max);
    if (settings->retry.is_set != 0) {
        json_member_u64(writer, SLICE_LITERAL("retry_base_ms"), settings->retry.base_ms);
        json_member_u64(writer, SLICE_LITERAL("retry_cap_ms"), settings->retry.cap_ms);
        json_member_u64(writer, SLICE_LITERAL("retry_factor"), settings->retry.factor);
        json_member_u64(writer, SLICE_LITERAL("retry_jitter"), settings->retry.jitter);
        json_member_u64(writer, SLICE_LITERAL("max_attempts"), settings->retry.max_attempts);
    }
    return true;
}

/* --- schedules --------------------------------------------------------------- */

static void write_schedule_head(const struct schedule_image_header *head, uint32_t partition,
                                struct json_writer *writer)
{
    char id[UUID_TEXT_SIZE];

    json_member_time(writer, SLICE_LITERAL("created_at"), (int64_t)head->created_ms);
    json_member_time(writer, SLICE_LITERAL("updated_at"), (int64_t)head->updated_ms);
    json_member_time(writer, SLICE_LITERAL("settled_at"), (int64_t)head->settled_ms);
    write_time_if_any(writer, SLICE_LITERAL("last_at"), head->last_ms);
    if (head->last_job_low > 0) {
        job_id_format((struct job_id){head->last_job_ms, head->last_job_low, partition}, id);
        json_member_string(writer, SLICE_LITERAL("last_job"), (struct slice){id, sizeof(id)});
    }
    json_member_u64(writer, SLICE_LITERAL("fired"), head->fired_count);
    json_member_u64(writer, SLICE_LITERAL("missed"), head->missed_count);
    json_member_u64(writer, SLICE_LITERAL("skipped"), head->skipped_count);
    write_number_if_any(writer, SLICE_LITERAL("catch_up_left"), head->catch_up_left);
    json_member_string(writer, SLICE_LITERAL("policy"),
                       schedule_missed_name((enum schedule_missed)head->missed));
    json_writer_key(writer, SLICE_LITERAL("paused"));
    json_writer_boolean(writer, (head->flags & SCHEDULE_FLAG_PAUSED) != 0);
    json_member_u64(writer, SLICE_LITERAL("priority"), head->priority);
    write_number_if_any(writer, SLICE_LITERAL("max_attempts"), head->max_attempts);
    write_number_if_any(writer, SLICE_LITERAL("timeout_ms"), head->timeout_ms);
}

/* False when the payload is none of this version. */
static bool write_schedule(const struct journal_record_view *record, struct json_writer *writer)
{
    struct schedule_image schedule;
    const struct slice *sections = schedule.sections;

    if (record->partition >= JOB_PARTITION_COUNT_MAX ||
        schedule_image_decode(record->payload, &schedule) < 0)
        return false;
    json_member_string(writer, SLICE_LITERAL("org_id"), sections[SCHEDULE_SECTION_ORG]);
    json_member_string(writer, SLICE_LITERAL("project_id"), sections[SCHEDULE_SECTION_PROJECT]);
    json_member_string(writer, SLICE_LITERAL("name"), sections[SCHEDULE_SECTION_NAME]);
    json_member_u64(writer, SLICE_LITERAL("revision"), schedule.header.revision);
    if ((schedule.header.flags & SCHEDULE_FLAG_DELETED) != 0) {
        json_writer_key(writer, SLICE_LITERAL("deleted"));
        json_writer_boolean(writer, true);
        return true;
    }
    json_member_string(writer, SLICE_LITERAL("cron"), sections[SCHEDULE_SECTION_CRON]);
    json_member_string(writer, SLICE_LITERAL("timezone"), sections[SCHEDULE_SECTION_ZONE]);
    json_member_string(writer, SLICE_LITERAL("kind"), sections[SCHEDULE_SECTION_KIND]);
    write_if_any(writer, SLICE_LITERAL("key"), sections[SCHEDULE_SECTION_KEY]);
    write_json(writer, SLICE_LITERAL("payload"), sections[SCHEDULE_SECTION_PAYLOAD]);
    write_schedule_head(&schedule.header, record->partition, writer);
    return true;
}

/* --- replays of dead letters --------------------------------------------------- */

/* False when the payload is none of this version. */
static bool write_replay(const struct journal_record_view *record, struct json_writer *writer)
{
    struct record_replay replay;
    char id[UUID_TEXT_SIZE];

    if (record->partition >= JOB_PARTITION_COUNT_MAX ||
        !record_replay_decode(record->payload, &replay))
        return false;
    job_id_format((struct job_id){replay.began_ms, replay.id_low, record->partition}, id);
    json_member_string(writer, SLICE_LITERAL("id"), (struct slice){id, sizeof(id)});
    json_member_time(writer, SLICE_LITERAL("began_at"), (int64_t)replay.began_ms);
    write_time_if_any(writer, SLICE_LITERAL("ended_at"), replay.ended_ms);
    write_number_if_any(writer, SLICE_LITERAL("is_stopped"), replay.is_stopped);
    json_member_u64(writer, SLICE_LITERAL("rate_per_second"), replay.rate_per_s);
    json_member_u64(writer, SLICE_LITERAL("total"), replay.total);
    json_member_u64(writer, SLICE_LITERAL("done"), replay.done);
    json_member_u64(writer, SLICE_LITERAL("failed"), replay.failed);
    write_if_any(writer, SLICE_LITERAL("org_id"), (struct slice){replay.org, replay.org_size});
    write_if_any(writer, SLICE_LITERAL("project_id"),
                 (struct slice){replay.project, replay.project_size});
    write_if_any(writer, SLICE_LITERAL("kind"), (struct slice){replay.kind, replay.kind_size});
    if (replay.reason != JOB_DEAD_NONE)
        json_member_string(writer, SLICE_LITERAL("reason"),
                           slice_of(job_dead_reason_name(replay.reason)));
    write_time_if_any(writer, SLICE_LITERAL("since"), replay.since_ms);
    write_time_if_any(writer, SLICE_LITERAL("until"), replay.until_ms);
    json_writer_key(writer, SLICE_LITERAL("ids"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < replay.id_count; i++) {
        struct record_replay_id letter = record_replay_id(record->payload, i);

        job_id_format((struct job_id){letter.created_ms, letter.id_low, letter.partition}, id);
        json_writer_string(writer, (struct slice){id, sizeof(id)});
    }
    json_writer_end_array(writer);
    return true;
}

/* --- breakers ------------------------------------------------------------------ */

/* False when the payload is none of this version. */
static bool write_breaker(struct slice payload, struct json_writer *writer)
{
    struct slice org, project, origin;
    struct breakers_record record;

    if (!breakers_record_decode(payload, &record, &org, &project, &origin) ||
        record.saved.bytes[4] > BREAKER_HALF_OPEN)
        return false;
    json_member_time(writer, SLICE_LITERAL("at"), (int64_t)record.at_ms);
    json_member_string(writer, SLICE_LITERAL("org_id"), org);
    json_member_string(writer, SLICE_LITERAL("project_id"), project);
    json_member_string(writer, SLICE_LITERAL("origin"), origin);
    json_member_string(writer, SLICE_LITERAL("state"),
                       breaker_state_name((enum breaker_state)record.saved.bytes[4]));
    return true;
}

/* False when the payload is none of this version. */
static bool write_incident(const struct journal_record_view *record, struct json_writer *writer)
{
    static const struct slice names[] = {
        [INCIDENT_SECTION_ORG] = SLICE_INITIALIZER("org_id"),
        [INCIDENT_SECTION_PROJECT] = SLICE_INITIALIZER("project_id"),
        [INCIDENT_SECTION_FINGERPRINT] = SLICE_INITIALIZER("fingerprint"),
        [INCIDENT_SECTION_TITLE] = SLICE_INITIALIZER("title"),
        [INCIDENT_SECTION_ACTOR] = SLICE_INITIALIZER("actor"),
    };
    const struct incident_image_header *header;
    struct incident_image image;
    char id[UUID_TEXT_SIZE];

    if (record->partition >= JOB_PARTITION_COUNT_MAX ||
        incident_image_decode(record->payload, &image) < 0)
        return false;
    header = &image.header;
    job_id_format(incident_image_id(header, record->partition), id);
    json_member_string(writer, SLICE_LITERAL("id"), (struct slice){id, sizeof(id)});
    json_member_u64(writer, SLICE_LITERAL("revision"), header->revision);
    for (uint32_t i = 0; i < INCIDENT_SECTION_COUNT; i++)
        json_member_string(writer, names[i], image.sections[i]);
    json_member_string(writer, SLICE_LITERAL("environment"),
                       event_environment_name((enum event_environment)header->environment));
    json_member_string(writer, SLICE_LITERAL("rule"), incident_rule_name(header->rule));
    json_member_string(writer, SLICE_LITERAL("status"), incident_status_name(header->status));
    json_member_string(writer, SLICE_LITERAL("severity"), incident_severity_name(header->severity));
    json_member_string(writer, SLICE_LITERAL("cause"), incident_cause_name(header->cause));
    json_writer_key(writer, SLICE_LITERAL("flapping"));
    json_writer_boolean(writer, (header->flags & INCIDENT_FLAG_FLAPPING) != 0);
    write_series(header->series, writer);
    json_member_time(writer, SLICE_LITERAL("opened_at"), header->opened_ms);
    json_member_time(writer, SLICE_LITERAL("last_seen_at"), header->last_seen_ms);
    if (header->resolved_ms != 0)
        json_member_time(writer, SLICE_LITERAL("resolved_at"), header->resolved_ms);
    json_member_u64(writer, SLICE_LITERAL("reopen_count"), header->reopen_count);
    return true;
}

/* False when the payload is none of this version. */
static bool write_incident_rules(struct slice payload, struct json_writer *writer)
{
    struct incident_rules_record record;

    if (incident_rules_decode(payload, &record) < 0)
        return false;
    json_member_time(writer, SLICE_LITERAL("updated_at"), (int64_t)record.updated_ms);
    json_member_u64(writer, SLICE_LITERAL("revision"), record.revision);
    json_member_string(writer, SLICE_LITERAL("org_id"),
                       (struct slice){record.org, record.org_size});
    json_member_string(writer, SLICE_LITERAL("project_id"),
                       (struct slice){record.project_name, record.project_size});
    json_member_u64(writer, SLICE_LITERAL("spike_count"), record.rules.spike_count);
    json_member_u64(writer, SLICE_LITERAL("spike_percent"), record.rules.spike_percent);
    json_member_u64(writer, SLICE_LITERAL("drop_count"), record.rules.drop_count);
    json_member_u64(writer, SLICE_LITERAL("drop_baseline"), record.rules.drop_baseline);
    json_member_u64(writer, SLICE_LITERAL("resolve_minutes"), record.rules.resolve_minutes);
    return true;
}

/* A number of tokens, left out when nobody counted them. */
static void write_tokens(struct json_writer *writer, struct slice name, uint32_t tokens)
{
    if (tokens != CHAT_TOKENS_UNKNOWN)
        json_member_u64(writer, name, tokens);
}

static void write_attempt(const struct ai_run_attempt *attempt, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    json_member_u64(writer, SLICE_LITERAL("attempt"), attempt->number);
    write_time_if_any(writer, SLICE_LITERAL("started_at"), attempt->started_ms);
    write_time_if_any(writer, SLICE_LITERAL("first_byte_at"), attempt->first_byte_ms);
    write_time_if_any(writer, SLICE_LITERAL("ended_at"), attempt->ended_ms);
    json_member_u64(writer, SLICE_LITERAL("calls"), attempt->call_count);
    json_member_u64(writer, SLICE_LITERAL("http_status"), attempt->http_status);
    write_tokens(writer, SLICE_LITERAL("input_tokens"), attempt->input_tokens);
    write_tokens(writer, SLICE_LITERAL("output_tokens"), attempt->output_tokens);
    write_tokens(writer, SLICE_LITERAL("cached_tokens"), attempt->cached_tokens);
    write_tokens(writer, SLICE_LITERAL("reasoning_tokens"), attempt->reasoning_tokens);
    if (attempt->cost_micro_usd != TOKEN_COST_UNKNOWN)
        json_member_u64(writer, SLICE_LITERAL("cost_micro_usd"), attempt->cost_micro_usd);
    json_member_string(writer, SLICE_LITERAL("finish_reason"), chat_finish_name(attempt->finish));
    json_member_string(writer, SLICE_LITERAL("error"), ai_run_error_name(attempt->error));
    json_member_string(writer, SLICE_LITERAL("validation"),
                       ai_run_validation_name(attempt->validation));
    json_writer_end_object(writer);
}

/* All but the output, which comes as the JSON that it is. */
static const struct slice AI_RUN_NAMES[AI_RUN_SECTION_OUTPUT] = {
    [AI_RUN_SECTION_ORG] = SLICE_INITIALIZER("org_id"),
    [AI_RUN_SECTION_PROJECT] = SLICE_INITIALIZER("project_id"),
    [AI_RUN_SECTION_KIND] = SLICE_INITIALIZER("kind"),
    [AI_RUN_SECTION_INCIDENT] = SLICE_INITIALIZER("incident_id"),
    [AI_RUN_SECTION_PROVIDER] = SLICE_INITIALIZER("provider"),
    [AI_RUN_SECTION_MODEL] = SLICE_INITIALIZER("model"),
    [AI_RUN_SECTION_ANSWERED] = SLICE_INITIALIZER("model_answered"),
    [AI_RUN_SECTION_PROMPT] = SLICE_INITIALIZER("prompt"),
    [AI_RUN_SECTION_SCHEMA] = SLICE_INITIALIZER("schema"),
    [AI_RUN_SECTION_PRICES] = SLICE_INITIALIZER("price_table"),
    [AI_RUN_SECTION_CORRELATION] = SLICE_INITIALIZER("correlation_id"),
    [AI_RUN_SECTION_ERROR] = SLICE_INITIALIZER("error"),
    [AI_RUN_SECTION_PROBLEMS] = SLICE_INITIALIZER("problems"),
};

/* False when the payload is none of this version. */
static bool write_ai_run(const struct journal_record_view *record, struct json_writer *writer)
{
    const struct ai_run_header *header;
    struct ai_run_image image;
    char id[UUID_TEXT_SIZE];

    if (record->partition >= JOB_PARTITION_COUNT_MAX || ai_run_decode(record->payload, &image) < 0)
        return false;
    header = &image.header;
    job_id_format(ai_run_id(header, record->partition), id);
    json_member_string(writer, SLICE_LITERAL("id"), (struct slice){id, sizeof(id)});
    json_member_u64(writer, SLICE_LITERAL("revision"), header->revision);
    json_member_string(writer, SLICE_LITERAL("state"), ai_run_state_name(header->state));
    for (uint32_t i = 0; i < ARRAY_COUNT(AI_RUN_NAMES); i++)
        write_if_any(writer, AI_RUN_NAMES[i], image.sections[i]);
    json_member_time(writer, SLICE_LITERAL("at"), (int64_t)header->written_ms);
    json_member_u64(writer, SLICE_LITERAL("input_tokens"), header->input_tokens);
    json_member_u64(writer, SLICE_LITERAL("output_tokens"), header->output_tokens);
    if (header->cost_micro_usd != TOKEN_COST_UNKNOWN)
        json_member_u64(writer, SLICE_LITERAL("cost_micro_usd"), header->cost_micro_usd);
    json_member_u64(writer, SLICE_LITERAL("repairs"), header->repair_count);
    json_writer_key(writer, SLICE_LITERAL("attempts"));
    json_writer_begin_array(writer);
    for (uint32_t i = 0; i < header->attempt_count; i++)
        write_attempt(&image.attempts[i], writer);
    json_writer_end_array(writer);
    if (image.sections[AI_RUN_SECTION_OUTPUT].size > 0) {
        json_writer_key(writer, SLICE_LITERAL("output"));
        json_writer_raw(writer, image.sections[AI_RUN_SECTION_OUTPUT]);
    }
    return true;
}

/* False when type, version or payload are not known here. */
static bool write_payload(const struct journal_record_view *record, struct json_writer *writer)
{
    static_assert((int)JOB_RECORD_VERSION == (int)RECORD_VERSION, "one check for all but events");
    if (record->type != RECORD_EVENT && record->version != RECORD_VERSION)
        return false;
    switch (record->type) {
    case RECORD_EVENT:
        return write_event(record->version, record->payload, writer);
    case RECORD_CLAIM:
        return write_claim(record->payload, writer);
    case RECORD_KEY:
        return write_api_key(record->payload, writer);
    case RECORD_JOB:
        return write_job(record, writer);
    case RECORD_JOB_FACT:
        return write_job_fact(record->payload, writer);
    case RECORD_JOB_QUEUE:
        return write_job_queue(record->payload, writer);
    case RECORD_SCHEDULE:
        return write_schedule(record, writer);
    case RECORD_BREAKER:
        return write_breaker(record->payload, writer);
    case RECORD_REPLAY:
        return write_replay(record, writer);
    case RECORD_INCIDENT:
        return write_incident(record, writer);
    case RECORD_AI_RUN:
        return write_ai_run(record, writer);
    case RECORD_INCIDENT_RULES:
        return write_incident_rules(record->payload, writer);
    default:
        return false;
    }
}

void record_dump_write(const struct journal_record_view *record, struct json_writer *writer)
{
    json_writer_begin_object(writer);
    json_member_u64(writer, SLICE_LITERAL("log"), journal_location_log(record->location));
    json_member_u64(writer, SLICE_LITERAL("lsn"), record->lsn);
    json_member_u64(writer, SLICE_LITERAL("partition"), record->partition);
    json_member_string(writer, SLICE_LITERAL("type"), record_dump_type(record));
    if (!write_payload(record, writer)) {
        json_member_u64(writer, SLICE_LITERAL("type_number"), record->type);
        json_member_u64(writer, SLICE_LITERAL("version"), record->version);
        json_member_u64(writer, SLICE_LITERAL("size"), record->payload.size);
    }
    json_writer_end_object(writer);
}

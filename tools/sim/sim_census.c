#include "tools/sim/sim_census.h"

#include <errno.h>

#include "contracts/job_kinds.h"
#include "store/incident_table.h"
#include "store/job_record.h"
#include "store/record.h"
#include "store/recovery.h"

/*
 * Events are recognised by their message, "number N.V.": the number of the item and its
 * variant. Id, project and filler follow from the number, so that nothing in a record can
 * be wrong unnoticed.
 */

void sim_census_write_id(const struct sim_census *census, uint32_t number, char id[SIM_ID_SIZE + 1])
{
    if (number < 2 * census->shared_count)
        number %= census->shared_count;
    snprintf(id, SIM_ID_SIZE + 1, "00000000-0000-4000-8000-%012x", number);
}

char sim_census_filler(uint32_t number, uint32_t index)
{
    return "0123456789abcdef"[(number + index) % 16];
}

struct log_reader {
    struct recovery_visitor visitor;
    struct sim_census *census;
};

/* Payload of an event: what it says it is. False when it was never sent. */
static bool recognise(struct slice envelope, uint32_t *ret_number, uint32_t *ret_variant)
{
    static const char name[] = "\"message\":\"number ";
    const char *at = memmem(envelope.data, envelope.size, name, sizeof(name) - 1);
    char *end;

    if (at == NULL)
        return false;
    *ret_number = (uint32_t)strtoul(at + sizeof(name) - 1, &end, 10);
    *ret_variant = *end == '.' ? (uint32_t)strtoul(end + 1, NULL, 10) : SIM_VARIANT_COUNT;
    return *ret_variant < SIM_VARIANT_COUNT;
}

static bool has_text(struct slice envelope, const char *name, const char *value)
{
    char text[128];
    int size = snprintf(text, sizeof(text), "\"%s\":\"%s\"", name, value);

    return memmem(envelope.data, envelope.size, text, (size_t)size) != NULL;
}

/* True when the filler, if there is one, is what was sent, byte for byte. */
static bool has_own_filler(struct slice envelope, uint32_t number)
{
    static const char name[] = "\"filler\":\"";
    const char *end = envelope.data + envelope.size;
    const char *at = memmem(envelope.data, envelope.size, name, sizeof(name) - 1);
    uint32_t index = 0;

    if (at == NULL)
        return true;
    at += sizeof(name) - 1;
    while (at + index < end && at[index] == sim_census_filler(number, index))
        index++;
    return at + index < end && at[index] == '"';
}

static struct sim_series *series_of(struct sim_census *census, const uint64_t key[2])
{
    uint32_t i = 0;

    while (i < census->series_count &&
           (census->series[i].key[0] != key[0] || census->series[i].key[1] != key[1]))
        i++;
    assert(i < SIM_SERIES_COUNT_MAX);
    if (i == census->series_count) {
        census->series[i] = (struct sim_series){.key = {key[0], key[1]}};
        census->series_count++;
    }
    return &census->series[i];
}

static void read_event(struct sim_census *census, const struct recovery_group *group,
                       const struct journal_record_view *record)
{
    struct record_event event;
    struct slice envelope = {NULL, 0};
    const struct sim_item *item;
    struct sim_found *found;
    uint32_t number, variant;
    char id[SIM_ID_SIZE + 1];

    if (!event_record_decode(record->version, record->payload, &event, &envelope) ||
        !recognise(envelope, &number, &variant) || number >= census->model->item_count)
        sim_story_fail(census->story, SIM_NO_NUMBER, "the log holds an event nobody sent: %.*s",
                       (int)min_u64(envelope.size, 300), envelope.data);
    item = &census->model->items[number];
    sim_census_write_id(census, number, id);
    if (item->kind == SIM_ITEM_NAMED && !has_text(envelope, "event_id", id))
        sim_story_fail(census->story, number, "event %u is stored under another id", number);
    if (!has_text(envelope, "project_id", census->projects[item->tenant]))
        sim_story_fail(census->story, number, "event %u is stored for another project", number);
    if (!has_own_filler(envelope, number))
        sim_story_fail(census->story, number, "event %u is stored with other bytes", number);
    found = &census->found[number];
    *found = (struct sim_found){
        .count = found->count + 1,
        .group = census->group_count,
        .position = census->found_count++,
        .log = group->log,
        .boot_generation = group->boot_generation,
        .variant = variant,
        .location = record->location,
        .size = (uint32_t)record->payload.size,
    };
    census->life_count += group->boot_generation == census->server->boot_generation;
    if (event_record_has_series(&event) && (event.flags & RECORD_EVENT_LATE) == 0) {
        struct sim_series *series = series_of(census, event.series);

        series->event_count++;
        series->is_blurred |=
            (int64_t)event.received_ms + INCIDENT_FUTURE_MS_MAX < event.occurred_ms;
    }
}

static void read_incident(struct sim_census *census, const struct journal_record_view *record)
{
    struct incident_image image;

    if (incident_image_decode(record->payload, &image) < 0)
        sim_story_fail(census->story, SIM_NO_NUMBER, "the log holds an incident that is none");
    series_of(census, image.header.series)->incident_count++;
    census->incident_count++;
}

static void read_job(struct sim_census *census, const struct journal_record_view *record)
{
    struct job_image image;

    if (job_image_decode(record->payload, &image) == 0 &&
        slice_equal(image.sections[JOB_SECTION_KIND], SLICE_LITERAL(JOB_KIND_SUMMARIZE)))
        census->summary_job_count++;
}

/* The number of the first event that the claim answers for; every one has a client's id. */
static bool read_claim_event(const struct journal_record_view *record,
                             const struct record_claim *claim, uint32_t *ret_number)
{
    static const char prefix[] = "00000000-0000-4000-8000-";
    struct record_claim_event line;
    char id[SIM_ID_SIZE + 1] = "";
    size_t offset = sizeof(*claim) + claim->key_size;

    if (claim->event_count == 0 || record->payload.size < offset + sizeof(line))
        return false;
    memcpy(&line, record->payload.data + offset, sizeof(line));
    memcpy(id, line.event_id, SIM_ID_SIZE);
    *ret_number = (uint32_t)strtoul(id + sizeof(prefix) - 1, NULL, 16);
    return strncmp(id, prefix, sizeof(prefix) - 1) == 0;
}

static void read_claim(struct sim_census *census, const struct journal_record_view *record)
{
    struct record_claim claim;
    char text[IDEMPOTENCY_KEY_SIZE_MAX + 1];
    char *end = text;
    uint32_t number = SIM_NONE, event;

    memcpy(&claim, record->payload.data, sizeof(claim));
    memcpy(text, record->payload.data + sizeof(claim), claim.key_size);
    text[claim.key_size] = '\0';
    if (strncmp(text, "key-", 4) == 0)
        number = (uint32_t)strtoul(text + 4, &end, 10);
    if (*end != '\0' || number >= census->model->item_count)
        sim_story_fail(census->story, SIM_NO_NUMBER, "the log holds a claim nobody made: %s", text);
    if (!read_claim_event(record, &claim, &event) || event >= census->model->item_count)
        sim_story_fail(census->story, number, "claim %u names an event nobody sent", number);
    census->found[number].count++;
    census->found[number].group = census->group_count;
    census->found[number].variant = event > number; /* see sim_model_misuse() */
    census->found[number].location = record->location;
    census->found[number].size = (uint32_t)record->payload.size;
}

static int on_group(struct recovery_visitor *visitor, const struct recovery_group *group)
{
    struct sim_census *census = container_of(visitor, struct log_reader, visitor)->census;

    for (uint32_t i = 0; i < group->record_count; i++) {
        const struct journal_record_view *record = &group->records[i];

        census->log_hash =
            census->log_hash * 31 + sim_hash(record->payload.data, record->payload.size);
        if (record->type == RECORD_EVENT)
            read_event(census, group, record);
        else if (record->type == RECORD_CLAIM)
            read_claim(census, record);
        else if (record->type == RECORD_INCIDENT)
            read_incident(census, record);
        else if (record->type == RECORD_JOB)
            read_job(census, record);
    }
    census->group_count++;
    return 0;
}

int sim_census_read(struct sim_census *census, bool read_only, char *text)
{
    struct log_reader reader = {.visitor = {.on_group = on_group}, .census = census};
    struct recovered *recovered = NULL;
    struct superblock superblock;
    struct recovery_config config = {
        .disk = sim_host_disk(census->server->host),
        .data_path = SIM_SERVER_DATA,
        .superblock = &superblock,
        .visitor = &reader.visitor,
        .read_only = read_only,
    };
    int r;

    memset(census->found, 0, sizeof(census->found[0]) * census->model->item_count);
    census->found_count = 0;
    census->life_count = 0;
    census->group_count = 0;
    census->log_hash = 0;
    census->series_count = 0;
    census->incident_count = 0;
    census->summary_job_count = 0;
    text[0] = '\0';
    r = superblock_read(config.disk, SIM_SERVER_DATA, &superblock);
    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        census->log_count = superblock.log_count;
        r = recovery_run(&config, &recovered, text);
    }
    recovered_free(&recovered);
    return r;
}

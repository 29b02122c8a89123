#include "store/incident_record.h"

#include <errno.h>

#include "store/record_layout.h"

/*
 *     struct incident_image_header, sections (store/record_layout.h) in the order of
 *     enum incident_section
 *
 * One check serves both ways.
 */

static const struct record_section_bounds SECTIONS[INCIDENT_SECTION_COUNT] = {
    [INCIDENT_SECTION_ORG] = {1, JOB_NAME_SIZE_MAX},
    [INCIDENT_SECTION_PROJECT] = {1, JOB_NAME_SIZE_MAX},
    [INCIDENT_SECTION_FINGERPRINT] = {1, FINGERPRINT_SIZE_MAX},
    [INCIDENT_SECTION_TITLE] = {1, INCIDENT_TITLE_SIZE_MAX},
    [INCIDENT_SECTION_ACTOR] = {0, INCIDENT_ACTOR_SIZE_MAX},
};

#define NAME_ENTRY(name, text) SLICE_INITIALIZER(text),
static const struct slice RULE_NAMES[] = {INCIDENT_RULES(NAME_ENTRY)};
static const struct slice STATUS_NAMES[] = {INCIDENT_STATUSES(NAME_ENTRY)};
static const struct slice SEVERITY_NAMES[] = {INCIDENT_SEVERITIES(NAME_ENTRY)};
static const struct slice CAUSE_NAMES[] = {INCIDENT_CAUSES(NAME_ENTRY)};
#undef NAME_ENTRY

const struct incident_rules INCIDENT_RULES_DEFAULT = {
    .spike_count = 30,
    .spike_percent = 300,
    .spike_error_percent = 500,
    .spike_critical_percent = 1000,
    .drop_count = 10,
    .drop_baseline = 40,
    .drop_percent = 50,
    .drop_error_percent = 25,
    .drop_critical_percent = 10,
    .pending_minutes = 0,
    .resolve_minutes = 15,
    .reopen_minutes = 30,
};

static bool times_are_valid(const struct incident_image_header *header)
{
    const int64_t times[] = {header->opened_ms, header->reopened_ms, header->last_seen_ms,
                             header->resolved_ms, header->changed_ms};

    for (uint32_t i = 0; i < ARRAY_COUNT(times); i++)
        if (times[i] < 0 || (uint64_t)times[i] > RECORD_TIME_MS_MAX)
            return false;
    return header->created_ms <= RECORD_TIME_MS_MAX && header->written_ms <= RECORD_TIME_MS_MAX &&
           header->opened_ms > 0 && header->reopened_ms >= header->opened_ms;
}

static bool header_is_valid(const struct incident_image_header *header)
{
    if (header->id_low == 0 || header->id_low > JOB_ID_LOW_MAX || header->revision == 0)
        return false;
    if ((header->series[0] | header->series[1]) == 0 || header->project == 0)
        return false;
    if (header->rule >= INCIDENT_RULE_COUNT || header->status >= INCIDENT_STATUS_COUNT ||
        header->severity >= INCIDENT_SEVERITY_COUNT || header->cause >= INCIDENT_CAUSE_COUNT ||
        header->environment >= EVENT_ENVIRONMENT_COUNT)
        return false;
    if ((header->flags & ~(INCIDENT_FLAG_FLAPPING | INCIDENT_FLAG_NOTIFY)) != 0 ||
        !record_is_zero(header->reserved, sizeof(header->reserved)) ||
        !record_is_zero(header->reserved_2, sizeof(header->reserved_2)))
        return false;
    return times_are_valid(header) &&
           (header->status == INCIDENT_RESOLVED) == (header->resolved_ms != 0);
}

static bool image_is_valid(const struct incident_image *image)
{
    return header_is_valid(&image->header) &&
           record_sections_fit(image->sections, SECTIONS, INCIDENT_SECTION_COUNT);
}

uint64_t incident_image_size(const struct incident_image *image)
{
    return sizeof(image->header) + record_sections_size(image->sections, INCIDENT_SECTION_COUNT);
}

uint64_t incident_image_encode(const struct incident_image *image, char *buffer)
{
    struct incident_image_header header = image->header;

    assert(image_is_valid(image));
    for (uint32_t i = 0; i < INCIDENT_SECTION_COUNT; i++)
        header.sizes[i] = (uint16_t)image->sections[i].size;
    memcpy(buffer, &header, sizeof(header));
    return sizeof(header) +
           record_sections_write(image->sections, INCIDENT_SECTION_COUNT, buffer + sizeof(header));
}

int incident_image_decode(struct slice payload, struct incident_image *ret_image)
{
    struct incident_image image;
    uint32_t sizes[INCIDENT_SECTION_COUNT];

    if (payload.size < sizeof(image.header))
        return -EBADMSG;
    memcpy(&image.header, payload.data, sizeof(image.header));
    for (uint32_t i = 0; i < INCIDENT_SECTION_COUNT; i++)
        sizes[i] = image.header.sizes[i];
    if (!record_sections_read(payload, sizeof(image.header), sizes, INCIDENT_SECTION_COUNT,
                              image.sections) ||
        !image_is_valid(&image))
        return -EBADMSG;
    *ret_image = image;
    return 0;
}

struct job_id incident_image_id(const struct incident_image_header *header, uint32_t partition)
{
    return (struct job_id){header->created_ms, header->id_low, partition};
}

static struct slice name_of(const struct slice *names, uint32_t count, uint32_t number)
{
    return number < count ? names[number] : SLICE_LITERAL("unknown");
}

struct slice incident_rule_name(uint32_t rule)
{
    return name_of(RULE_NAMES, ARRAY_COUNT(RULE_NAMES), rule);
}

struct slice incident_status_name(uint32_t status)
{
    return name_of(STATUS_NAMES, ARRAY_COUNT(STATUS_NAMES), status);
}

struct slice incident_severity_name(uint32_t severity)
{
    return name_of(SEVERITY_NAMES, ARRAY_COUNT(SEVERITY_NAMES), severity);
}

struct slice incident_cause_name(uint32_t cause)
{
    return name_of(CAUSE_NAMES, ARRAY_COUNT(CAUSE_NAMES), cause);
}

/* --- rules -------------------------------------------------------------------- */

static bool percents_are_valid(const struct incident_rules *rules)
{
    const uint32_t percents[] = {rules->spike_percent,          rules->spike_error_percent,
                                 rules->spike_critical_percent, rules->drop_percent,
                                 rules->drop_error_percent,     rules->drop_critical_percent};

    for (uint32_t i = 0; i < ARRAY_COUNT(percents); i++)
        if (percents[i] > INCIDENT_PERCENT_MAX)
            return false;
    return rules->spike_percent > 0 && rules->drop_percent <= 100 &&
           rules->spike_error_percent <= rules->spike_critical_percent &&
           rules->drop_critical_percent <= rules->drop_error_percent;
}

bool incident_rules_are_valid(const struct incident_rules *rules)
{
    if (rules->spike_count == 0 || rules->spike_count > INCIDENT_COUNT_MAX ||
        rules->drop_count > INCIDENT_COUNT_MAX || rules->drop_baseline == 0 ||
        rules->drop_baseline > INCIDENT_COUNT_MAX)
        return false;
    if (rules->reserved_2 != 0 || rules->pending_minutes > INCIDENT_PENDING_MINUTES_MAX ||
        rules->resolve_minutes < INCIDENT_RESOLVE_MINUTES_MIN ||
        rules->resolve_minutes > INCIDENT_RESOLVE_MINUTES_MAX ||
        rules->reopen_minutes > INCIDENT_REOPEN_MINUTES_MAX)
        return false;
    return rules->spike_is_off <= 1 && rules->drop_is_off <= 1 && percents_are_valid(rules) &&
           record_is_zero(rules->reserved, sizeof(rules->reserved));
}

int incident_rules_decode(struct slice payload, struct incident_rules_record *ret_record)
{
    struct incident_rules_record record;

    if (payload.size != sizeof(record))
        return -EBADMSG;
    memcpy(&record, payload.data, sizeof(record));
    if (record.revision == 0 || record.project == 0 || record.updated_ms > RECORD_TIME_MS_MAX ||
        !incident_rules_are_valid(&record.rules))
        return -EBADMSG;
    if (record.org_size == 0 || record.org_size > sizeof(record.org) || record.project_size == 0 ||
        record.project_size > sizeof(record.project_name) ||
        !record_is_zero(record.reserved, sizeof(record.reserved)))
        return -EBADMSG;
    *ret_record = record;
    return 0;
}

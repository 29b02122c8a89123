#include "store/schedule_record.h"

#include <errno.h>

#include "store/job_id.h"
#include "store/record_layout.h"

/*
 *     struct schedule_image_header, sections (store/record_layout.h) in the order of
 *     enum schedule_section
 *
 * One check serves both ways.
 */

static const struct record_section_bounds SECTIONS[SCHEDULE_SECTION_COUNT] = {
    [SCHEDULE_SECTION_ORG] = {1, JOB_NAME_SIZE_MAX},
    [SCHEDULE_SECTION_PROJECT] = {1, JOB_NAME_SIZE_MAX},
    [SCHEDULE_SECTION_NAME] = {1, SCHEDULE_SPEC_NAME_SIZE_MAX},
    [SCHEDULE_SECTION_CRON] = {1, CRON_TEXT_SIZE_MAX},
    [SCHEDULE_SECTION_ZONE] = {1, TIME_ZONE_NAME_SIZE_MAX},
    [SCHEDULE_SECTION_KIND] = {1, JOB_NAME_SIZE_MAX},
    [SCHEDULE_SECTION_KEY] = {0, JOB_KEY_SIZE_MAX},
    [SCHEDULE_SECTION_PAYLOAD] = {1, SCHEDULE_SPEC_PAYLOAD_SIZE_MAX},
};

/* Of a removed one: no more than its names. */
static const struct record_section_bounds REMOVED_SECTIONS[SCHEDULE_SECTION_COUNT] = {
    [SCHEDULE_SECTION_ORG] = {1, JOB_NAME_SIZE_MAX},
    [SCHEDULE_SECTION_PROJECT] = {1, JOB_NAME_SIZE_MAX},
    [SCHEDULE_SECTION_NAME] = {1, SCHEDULE_SPEC_NAME_SIZE_MAX},
};

static bool times_are_valid(const struct schedule_image_header *header)
{
    const uint64_t times[] = {header->created_ms, header->updated_ms, header->settled_ms,
                              header->last_ms, header->last_job_ms};

    for (uint32_t i = 0; i < ARRAY_COUNT(times); i++)
        if (times[i] > RECORD_TIME_MS_MAX)
            return false;
    return true;
}

static bool header_is_valid(const struct schedule_image_header *header)
{
    if (header->revision == 0 || !record_is_zero(header->reserved, sizeof(header->reserved)) ||
        !times_are_valid(header))
        return false;
    if ((header->flags & ~(SCHEDULE_FLAG_PAUSED | SCHEDULE_FLAG_DELETED)) != 0)
        return false;
    if (header->missed >= SCHEDULE_MISSED_COUNT || header->priority >= JOB_PRIORITY_COUNT)
        return false;
    return header->catch_up_left <= CRON_MISSED_COUNT_MAX && header->last_job_low <= JOB_ID_LOW_MAX;
}

static bool sections_are_valid(const struct schedule_image *image)
{
    const struct slice *sections = image->sections;
    struct cron_error error;
    struct cron cron;

    if ((image->header.flags & SCHEDULE_FLAG_DELETED) != 0)
        return record_sections_fit(sections, REMOVED_SECTIONS, SCHEDULE_SECTION_COUNT);
    return record_sections_fit(sections, SECTIONS, SCHEDULE_SECTION_COUNT) &&
           time_zone_name_is_valid(sections[SCHEDULE_SECTION_ZONE]) &&
           cron_parse(sections[SCHEDULE_SECTION_CRON], &cron, &error) == CRON_OK;
}

uint64_t schedule_image_size(const struct schedule_image *image)
{
    return sizeof(image->header) + record_sections_size(image->sections, SCHEDULE_SECTION_COUNT);
}

uint64_t schedule_image_encode(const struct schedule_image *image, char *buffer)
{
    struct schedule_image_header header = image->header;

    assert(header_is_valid(&header));
    assert(sections_are_valid(image));
    for (uint32_t i = 0; i < SCHEDULE_SECTION_COUNT; i++)
        header.sizes[i] = (uint32_t)image->sections[i].size;
    memcpy(buffer, &header, sizeof(header));
    return sizeof(header) +
           record_sections_write(image->sections, SCHEDULE_SECTION_COUNT, buffer + sizeof(header));
}

int schedule_image_decode(struct slice payload, struct schedule_image *ret_image)
{
    struct schedule_image image;

    if (payload.size < sizeof(image.header))
        return -EBADMSG;
    memcpy(&image.header, payload.data, sizeof(image.header));
    if (!header_is_valid(&image.header) ||
        !record_sections_read(payload, sizeof(image.header), image.header.sizes,
                              SCHEDULE_SECTION_COUNT, image.sections) ||
        !sections_are_valid(&image))
        return -EBADMSG;
    *ret_image = image;
    return 0;
}

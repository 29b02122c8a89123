#include "store/schedule_record.h"

#include <errno.h>

#include "store/job_id.h"

/*
 *     struct schedule_image_header, the sections one after the other in the order of
 *     enum schedule_section
 *
 * Nothing is padded; a payload ends where its sizes say, to the byte. It may lie at any
 * address, so the head is copied out before it is looked at. One check serves both ways.
 */

static const uint32_t SECTION_SIZE_MAX[SCHEDULE_SECTION_COUNT] = {
    [SCHEDULE_SECTION_ORG] = JOB_NAME_SIZE_MAX,
    [SCHEDULE_SECTION_PROJECT] = JOB_NAME_SIZE_MAX,
    [SCHEDULE_SECTION_NAME] = SCHEDULE_SPEC_NAME_SIZE_MAX,
    [SCHEDULE_SECTION_CRON] = CRON_TEXT_SIZE_MAX,
    [SCHEDULE_SECTION_ZONE] = TIME_ZONE_NAME_SIZE_MAX,
    [SCHEDULE_SECTION_KIND] = JOB_NAME_SIZE_MAX,
    [SCHEDULE_SECTION_KEY] = JOB_KEY_SIZE_MAX,
    [SCHEDULE_SECTION_PAYLOAD] = SCHEDULE_SPEC_PAYLOAD_SIZE_MAX,
};

/* The latest instant that has a date: the end of year 9999. */
static const uint64_t TIME_MS_MAX = UINT64_C(253402300799999);

static bool times_are_valid(const struct schedule_image_header *header)
{
    const uint64_t times[] = {header->created_ms, header->updated_ms, header->settled_ms,
                              header->last_ms, header->last_job_ms};

    for (uint32_t i = 0; i < ARRAY_COUNT(times); i++)
        if (times[i] > TIME_MS_MAX)
            return false;
    return true;
}

static bool header_is_valid(const struct schedule_image_header *header)
{
    uint8_t reserved = 0;

    for (uint32_t i = 0; i < ARRAY_COUNT(header->reserved); i++)
        reserved |= header->reserved[i];
    if (header->revision == 0 || reserved != 0 || !times_are_valid(header))
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
    bool is_deleted = (image->header.flags & SCHEDULE_FLAG_DELETED) != 0;
    struct cron_error error;
    struct cron cron;

    for (uint32_t i = 0; i < SCHEDULE_SECTION_COUNT; i++) {
        bool may_be_empty = i == SCHEDULE_SECTION_KEY;
        bool is_name = i <= SCHEDULE_SECTION_NAME;

        if (sections[i].size > SECTION_SIZE_MAX[i])
            return false;
        if (is_deleted && !is_name && sections[i].size > 0)
            return false;
        if (sections[i].size == 0 && !may_be_empty && (is_name || !is_deleted))
            return false;
    }
    if (is_deleted)
        return true;
    return time_zone_name_is_valid(sections[SCHEDULE_SECTION_ZONE]) &&
           cron_parse(sections[SCHEDULE_SECTION_CRON], &cron, &error) == CRON_OK;
}

uint64_t schedule_image_size(const struct schedule_image *image)
{
    uint64_t size = sizeof(image->header);

    for (uint32_t i = 0; i < SCHEDULE_SECTION_COUNT; i++)
        size += image->sections[i].size;
    return size;
}

uint64_t schedule_image_encode(const struct schedule_image *image, char *buffer)
{
    struct schedule_image whole = *image;
    char *at = buffer + sizeof(whole.header);

    for (uint32_t i = 0; i < SCHEDULE_SECTION_COUNT; i++) {
        const struct slice *section = &image->sections[i];

        whole.header.sizes[i] = (uint32_t)section->size;
        if (section->size > 0)
            memcpy(at, section->data, section->size);
        at += section->size;
    }
    assert(header_is_valid(&whole.header));
    assert(sections_are_valid(&whole));
    memcpy(buffer, &whole.header, sizeof(whole.header));
    return (uint64_t)(at - buffer);
}

int schedule_image_decode(struct slice payload, struct schedule_image *ret_image)
{
    struct schedule_image image;
    uint64_t size = sizeof(image.header);

    if (payload.size < sizeof(image.header))
        return -EBADMSG;
    memcpy(&image.header, payload.data, sizeof(image.header));
    if (!header_is_valid(&image.header))
        return -EBADMSG;
    for (uint32_t i = 0; i < SCHEDULE_SECTION_COUNT; i++) {
        if (image.header.sizes[i] > payload.size - size)
            return -EBADMSG;
        image.sections[i] = (struct slice){payload.data + size, image.header.sizes[i]};
        size += image.header.sizes[i];
    }
    if (size != payload.size || !sections_are_valid(&image))
        return -EBADMSG;
    *ret_image = image;
    return 0;
}

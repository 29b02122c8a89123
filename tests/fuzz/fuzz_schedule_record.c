/*
 * Fuzz schedule_record: arbitrary bytes as the payload of a SCHEDULE.
 *
 * What is accepted must encode to the very same bytes. A schedule that is not removed then
 * does what is due until nothing is, at an instant taken from its own times: settled_ms must
 * grow with each step and not pass that instant, and a backlog must end within its bound.
 */
#include "store/schedule_due.h"

static char buffer[SCHEDULE_RECORD_SIZE_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_due(const struct schedule_image *image)
{
    struct schedule_image_header header = image->header;
    uint64_t now_ms = header.updated_ms;
    struct schedule_due due;
    struct time_zone zone;
    struct cron_error error;
    struct cron cron;

    time_zone_utc(&zone);
    require(cron_parse(image->sections[SCHEDULE_SECTION_CRON], &cron, &error) == CRON_OK);
    for (uint32_t i = 0; i <= CRON_MISSED_COUNT_MAX; i++) {
        schedule_due_at(&header, &cron, &zone, now_ms, &due);
        if (!due.is_due)
            return;
        require(due.settled_ms > header.settled_ms);
        require(due.settled_ms <= now_ms);
        require(due.fires || due.missed_count > 0);
        header.settled_ms = due.settled_ms;
        header.catch_up_left = due.catch_up_left;
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice payload = {(const char *)data, size};
    struct schedule_image image;

    if (schedule_image_decode(payload, &image) < 0)
        return 0;
    require(schedule_image_size(&image) == size);
    require(size <= SCHEDULE_RECORD_SIZE_MAX);
    require(schedule_image_encode(&image, buffer) == size);
    require(memcmp(buffer, data, size) == 0);
    if ((image.header.flags & SCHEDULE_FLAG_DELETED) == 0)
        check_due(&image);
    return 0;
}

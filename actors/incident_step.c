#include "actors/incident_step.h"

#include "actors/incidents.h"
#include "runtime/sim_point.h"
#include "store/record_types.h"

struct incident_step *incident_step_begin(struct incidents *incidents)
{
    struct incident_step *it =
        FAILPOINT("no incident step is free") ? NULL : pool_acquire(&incidents->steps);

    if (it == NULL)
        return NULL;
    memset(it, 0, offsetof(struct incident_step, bytes));
    it->owner = incidents;
    list_init(&it->link);
    return it;
}

void incident_step_free(struct incident_step *it)
{
    struct incidents *incidents = it->owner;
    void *slot = it;

    assert(it->job.desk == NULL);
    assert(!it->is_reading);
    list_remove(&it->link);
    buffer_unref(&it->buffer);
    pool_release(&incidents->steps, &slot);
}

void incident_step_fill(struct incident_step *it, const struct incident_image *image,
                        uint32_t partition)
{
    it->part = (struct slice){it->bytes, incident_image_encode(image, it->bytes)};
    it->records[0] = (struct journal_record){.partition = partition,
                                             .type = RECORD_INCIDENT,
                                             .version = INCIDENT_RECORD_VERSION,
                                             .parts = &it->part,
                                             .part_count = 1};
}

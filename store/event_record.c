#include "store/event_record.h"

#include <string.h>

/*
 * The head grew at its end, so one copy serves all versions. A payload may lie at any
 * address, hence the copy.
 */

bool event_record_decode(uint8_t version, struct slice payload, struct record_event *ret_event,
                         struct slice *ret_envelope)
{
    size_t size = version == 1 ? (size_t)EVENT_RECORD_V1_SIZE : sizeof(*ret_event);

    if (version == 0 || version > EVENT_RECORD_VERSION || payload.size < size)
        return false;
    memset(ret_event, 0, sizeof(*ret_event));
    memcpy(ret_event, payload.data, size);
    *ret_envelope = (struct slice){payload.data + size, payload.size - size};
    return true;
}

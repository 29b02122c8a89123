/*
 * Event record: what the log says about an event, byte for byte.
 *
 *     EVENT    struct record_event, then the envelope (JSON, to the end)
 *
 * The head tells everything that must be known without reading JSON: under which key the
 * event is found, when it happened, and to which series it belongs (contracts/series.h).
 * Version 1 ends after `reserved`; of what it lacks the envelope knows the truth.
 */
#pragma once

#include "runtime/base.h"

enum { EVENT_RECORD_VERSION = 2 };

enum {
    RECORD_EVENT_CLIENT_ID = 1, /* the client chose event_id: it is a dedup claim */
    RECORD_EVENT_LATE = 2,      /* too old for its series when it came: stored, not counted */
};

/*
 * key is the keyed hash of (project, event_id), by which the event is found and
 * deduplicated; its hash key follows from the data directory's uuid, so recovery
 * need not hash again. series and project are hashed with it, too.
 */
struct record_event {
    uint64_t key[2];
    uint64_t received_ms;
    uint64_t body_hash; /* SipHash-64 of what the client decided; see event_routes.c */
    uint32_t flags;     /* RECORD_EVENT_* */
    uint8_t event_type; /* enum event_type; this one and the rest are 0 in version 1 */
    uint8_t environment;
    uint8_t severity;
    uint8_t reserved;
    int64_t occurred_ms;
    uint64_t series[2]; /* 0, 0: it counts for no series */
    uint64_t project;   /* of organisation and project; not 0 */
    uint32_t partition; /* of the project: which shard keeps its incidents */
    uint32_t reserved_2;
};

static_assert(sizeof(struct record_event) == 80, "on disk");
static_assert(offsetof(struct record_event, flags) == 32, "on disk");
static_assert(offsetof(struct record_event, occurred_ms) == 40, "on disk");
static_assert(offsetof(struct record_event, project) == 64, "on disk");

enum { EVENT_RECORD_V1_SIZE = 40 };

/* True when the event counts for a series. */
static inline bool event_record_has_series(const struct record_event *event)
{
    return (event->series[0] | event->series[1]) != 0;
}

/*
 * Reads an EVENT of any known version; *ret_envelope borrows payload. What version 1 does not
 * know is 0. False when payload is too short, or of a version that is not known.
 */
MUST_USE bool event_record_decode(uint8_t version, struct slice payload,
                                  struct record_event *ret_event, struct slice *ret_envelope);

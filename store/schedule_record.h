/*
 * Schedule record: what the log says about a cron schedule, byte for byte.
 *
 *     SCHEDULE   a schedule as a whole, as it is from now on: written when it is made,
 *                changed or removed, with each run, and before its segment goes.
 *
 * Little-endian. Its revision grows with each change, so that of images of the same
 * schedule in several logs (the number of shards may have changed) the latest is known.
 * A removed one is an image with the flag DELETED and no more than its names. Encoding
 * and decoding only; what one encodes the other accepts: encoding asserts what decoding
 * checks. What is reserved is 0.
 */
#pragma once

#include "contracts/schedule_spec.h"
#include "store/job_record.h"

enum {
    SCHEDULE_RECORD_VERSION = 1,
    SCHEDULE_FLAG_PAUSED = 1,  /* it does not run */
    SCHEDULE_FLAG_DELETED = 2, /* there is no such schedule any more */
};

/* The variable parts, in the order in which they follow the header. */
enum schedule_section {
    SCHEDULE_SECTION_ORG,
    SCHEDULE_SECTION_PROJECT,
    SCHEDULE_SECTION_NAME,
    SCHEDULE_SECTION_CRON,
    SCHEDULE_SECTION_ZONE,
    SCHEDULE_SECTION_KIND, /* this one and the rest are of its jobs */
    SCHEDULE_SECTION_KEY,
    SCHEDULE_SECTION_PAYLOAD,
    SCHEDULE_SECTION_COUNT,
};

/* On disk: the head of a SCHEDULE; the sections follow. Times are unix ms. */
struct schedule_image_header {
    uint64_t revision; /* not 0; greater than that of any change before it on the shard */
    uint64_t created_ms;
    uint64_t updated_ms;  /* when it was last made or replaced */
    uint64_t settled_ms;  /* what was due up to here has run, or never will */
    uint64_t last_ms;     /* the due time of the last run; 0: none yet */
    uint64_t last_job_ms; /* the id of its job: created_ms, id_low */
    uint64_t last_job_low;
    uint64_t fired_count;
    uint64_t missed_count;  /* due while nobody was there, and not made up for */
    uint64_t skipped_count; /* refused by the queue */
    uint32_t timeout_ms;    /* of its jobs; 0: the queue's */
    uint16_t catch_up_left; /* FIRE_ALL: runs of the backlog that may still follow; 0: no backlog */
    uint8_t missed;         /* enum schedule_missed */
    uint8_t priority;
    uint8_t max_attempts; /* 0: the queue's */
    uint8_t flags;
    uint8_t reserved[6];
    uint32_t sizes[SCHEDULE_SECTION_COUNT];
};

static_assert(sizeof(struct schedule_image_header) == 128, "on disk");
static_assert(offsetof(struct schedule_image_header, timeout_ms) == 80, "on disk");
static_assert(offsetof(struct schedule_image_header, flags) == 89, "on disk");
static_assert(offsetof(struct schedule_image_header, sizes) == 96, "on disk");

enum {
    SCHEDULE_RECORD_SIZE_MAX = 128 + 3 * JOB_NAME_SIZE_MAX + SCHEDULE_SPEC_NAME_SIZE_MAX +
                               CRON_TEXT_SIZE_MAX + TIME_ZONE_NAME_SIZE_MAX + JOB_KEY_SIZE_MAX +
                               SCHEDULE_SPEC_PAYLOAD_SIZE_MAX,
};

/* A SCHEDULE, decoded or to be encoded; slices are borrowed. */
struct schedule_image {
    struct schedule_image_header header;
    struct slice sections[SCHEDULE_SECTION_COUNT];
};

/* Bytes that schedule_image_encode() will write, at most SCHEDULE_RECORD_SIZE_MAX. */
uint64_t schedule_image_size(const struct schedule_image *image);

/*
 * Writes the payload of a SCHEDULE to at least schedule_image_size() bytes; returns its
 * size. The image must be one that schedule_image_decode() accepts, but for header.sizes.
 */
uint64_t schedule_image_encode(const struct schedule_image *image, char *buffer);

/*
 * Reads a SCHEDULE's payload; *ret_image borrows it. 0, or -EBADMSG when it is not one:
 * sizes and numbers, the cron text and the form of the zone's name are all checked.
 */
MUST_USE int schedule_image_decode(struct slice payload, struct schedule_image *ret_image);

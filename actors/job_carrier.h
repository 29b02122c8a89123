/*
 * Job carrier: writes the jobs again that still live in segments about to be dropped.
 *
 * It walks the whole table in small steps, several jobs at a time on their way: read
 * what there is of the job, put it together as one JOB, append. A job about which a fact
 * is just being written is left for the next round: its JOB must not come after that fact
 * in the log and say what was true before. Rounds end when one leaves nothing.
 */
#pragma once

#include "runtime/buffer.h"
#include "runtime/timer_wheel.h"
#include "store/durable.h"
#include "store/job_table.h"
#include "store/journal_reader.h"

enum {
    JOB_CARRIER_SLOT_COUNT = 64,
    JOB_CARRIER_STEP_MAX = 16384, /* entries looked at per turn */
    JOB_CARRIER_AGAIN_MS = 1,
    JOB_CARRIER_ROOM_MS = 10,       /* for memory: requests give it back soon */
    JOB_CARRIER_DISK_MS = 1000,     /* until one that could not be read is tried again, */
    JOB_CARRIER_DAMAGED_MS = 60000, /* and until one that is damaged or gone is */
};

struct job_desk;

/* The records that a job's image is put together from. */
enum job_carrier_part {
    JOB_CARRIER_BODY,
    JOB_CARRIER_FIRST_ERROR,
    JOB_CARRIER_LAST_ERROR,
    JOB_CARRIER_RESULT,
    JOB_CARRIER_PROGRESS,
    JOB_CARRIER_PART_COUNT,
};

/* One job, or the settings of one queue, on its way. */
struct job_carrier_slot {
    struct job_desk *desk;
    bool is_busy;
    bool is_read;    /* waits for the others */
    bool is_written; /* its record is on its way into the log */
    uint8_t part;    /* enum job_carrier_part being read */
    struct job_ref ref;
    uint64_t id_low;
    struct buffer *records[JOB_CARRIER_PART_COUNT];
    struct slice payloads[JOB_CARRIER_PART_COUNT];
    uint8_t types[JOB_CARRIER_PART_COUNT];
    struct journal_location locations[JOB_CARRIER_PART_COUNT]; /* as they were read */
    struct buffer *image;
    struct journal_read read;
    struct journal_record record;
    struct slice record_part;
    struct durable_step step;
};

/* Private to job_carrier.c; embedded in the desk. */
struct job_carrier {
    struct job_carrier_slot slots[JOB_CARRIER_SLOT_COUNT];
    struct timer timer;
    struct job_ref cursor;
    uint32_t queue_cursor;
    uint32_t log;
    uint64_t seq; /* 0: nothing to carry */
    uint32_t busy_count;
    bool is_stopping;
    bool is_walking;
    bool is_writing;
    bool wants_room;       /* in the journal; job_carrier_on_room() goes on */
    bool at_end;           /* the cursor has seen the whole table in this round */
    bool left_any;         /* in this round */
    uint64_t disk_ms;      /* until one that could not be read is tried again */
    uint32_t unread_count; /* in this round; of the first one the log tells */
};

/* Once, before the actor starts. */
void job_carrier_init(struct job_carrier *carrier, struct job_desk *desk);

/* Once per start of the actor. */
void job_carrier_start(struct job_carrier *carrier, struct job_desk *desk);

/* Begins with this log's segments up to seq; ends with durable_carried(). */
void job_carrier_carry(struct job_carrier *carrier, struct job_desk *desk, uint32_t log,
                       uint64_t seq);

/* The journal has room again. */
void job_carrier_on_room(struct job_carrier *carrier, struct job_desk *desk);

/* Ends it. True when nothing of it is under way any more: call again until then. */
MUST_USE bool job_carrier_stop(struct job_carrier *carrier);

/* True when timer was the carrier's, after going on. */
bool job_carrier_on_timer(struct job_carrier *carrier, struct job_desk *desk,
                          const struct timer *timer);

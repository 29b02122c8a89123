/*
 * Breakers: who may be called, and who waits for that.
 *
 * One struct breaker (runtime/breaker.h) per project and destination, an origin such as
 * "https://example.com:443". A call is admitted by breakers_admit() and brought back by
 * breakers_end(). Who is not admitted parks: the job is told until when to rest, and is
 * remembered here, so that it is called earlier when there is room again.
 *
 *     closed     up to BREAKERS_CALLS_MAX calls at a time; each that ends lets two of those
 *                that are parked come, so that a peer that has just healed is not run over
 *     open       one of them comes when the open time is over: the probe
 *     half-open  as many as the policy lets out; the others park
 *
 * Parked jobs that nobody calls come by themselves after BREAKERS_PARK_MS, one behind the
 * other, so neither a lost wake-up nor a full list of the parked costs more than time.
 *
 * The table is bounded; a new destination takes the place of the one that was used longest
 * ago, of a closed one if it can. State is durable: a record is written when a breaker changes
 * its state, and carried forward unless it says CLOSED, which is what an unknown one is. On
 * disk, RECORD_BREAKER, little-endian:
 *
 *      0  u64   unix ms since when it is in this state
 *      8  32 B  struct breaker_saved
 *     40  u16   size of the origin
 *     42  u8    size of the organisation
 *     43  u8    size of the project
 *     44  4 B   0
 *     48        organisation, project, origin
 *
 * One per shard; one thread.
 */
#pragma once

#include "runtime/breaker.h"
#include "runtime/list.h"
#include "runtime/pool.h"
#include "store/durable.h"
#include "store/job_table.h"

enum {
    BREAKERS_COUNT_MAX = 4096,    /* per shard */
    BREAKERS_PARKED_MAX = 262144, /* remembered, per shard */
    BREAKERS_ORIGIN_SIZE_MAX = 272,
    BREAKERS_CALLS_MAX = 16, /* at a time, to one destination for one project */
    BREAKERS_PARK_MS = 300000,
    BREAKERS_LINE_US = 500, /* between two parked ones that come by themselves */
    BREAKERS_WRITE_COUNT = 16,
    BREAKERS_RECORD_VERSION = 1,
    BREAKERS_NAME_SIZE_MAX = 128, /* of a series */
    BREAKERS_SAMPLE_MAX = 64,     /* named series */
    BREAKERS_FORGET_MAX = 4096,   /* of the parked, at each look for those that have come */
    BREAKERS_LATE_MS = 10000,     /* a probe is late that comes later than this */
};

struct app_shard;
struct breakers;

/* On disk. */
struct breakers_record {
    uint64_t at_ms;
    struct breaker_saved saved;
    uint16_t origin_size;
    uint8_t org_size;
    uint8_t project_size;
    uint8_t reserved[4];
};

static_assert(sizeof(struct breakers_record) == 48, "on disk");
static_assert(offsetof(struct breakers_record, origin_size) == 40, "on disk");

enum {
    BREAKERS_RECORD_SIZE_MAX =
        sizeof(struct breakers_record) + 2 * JOB_NAME_SIZE_MAX + BREAKERS_ORIGIN_SIZE_MAX,
};

/* One destination of one project. Private to breakers.c. */
struct breakers_entry {
    struct breaker breaker;
    struct list_node bucket_link;
    struct list_node recent_link;
    struct list_node dirty_link;
    struct journal_location location; /* of its record, if that is needed */
    uint64_t since_ms;                /* it is in its state */
    uint64_t prober_ms;               /* one of those parked comes then */
    uint64_t line_us;                 /* when the last of them comes by itself */
    uint32_t record_size;
    uint32_t call_count;
    uint32_t parked_first; /* indexes + 1 */
    uint32_t parked_last;
    uint32_t parked_count;
    bool is_writing;
    bool is_changed; /* since the record on its way was filled */
    uint16_t origin_size;
    uint8_t org_size;
    uint8_t project_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char origin[BREAKERS_ORIGIN_SIZE_MAX];
};

/* A job that waits. */
struct breakers_parked {
    uint64_t id_low;
    uint64_t due_ms;
    uint32_t next;
    uint32_t reserved;
};

/* One record on its way. */
struct breakers_write {
    struct breakers *breakers;
    struct breakers_entry *entry;
    struct durable_step step;
    struct journal_record record;
    struct slice part;
    char bytes[BREAKERS_RECORD_SIZE_MAX];
};

/* A breaker as metrics show it. */
struct breakers_sample {
    char name[BREAKERS_NAME_SIZE_MAX]; /* terminated; no character that has to be escaped */
    uint32_t state;                    /* enum breaker_state */
};

/* What one shard has to show: the first ones by name, the others summed up. */
struct breakers_samples {
    uint32_t count;
    uint32_t other_count;
    uint32_t other_sum;
    struct breakers_sample samples[BREAKERS_SAMPLE_MAX];
};

/* Private to breakers.c; embedded in the app_shard. */
struct breakers {
    struct durable durable;
    struct app_shard *home;
    struct pool entries;
    struct pool parked;
    struct pool writes;
    struct list_node buckets[BREAKERS_COUNT_MAX];
    struct list_node recent; /* the one used longest ago comes first */
    struct list_node dirty;  /* to be written */
    uint64_t live_bytes;
    uint32_t carry_log;
    uint64_t carry_seq; /* 0: nothing is being carried */
};

/* Reserves the tables. 0 or -errno. Start-up only; the durable is added by the caller. */
MUST_USE int breakers_init(struct breakers *breakers, struct app_shard *home);

/* Frees what breakers_init() made. */
void breakers_deinit(struct breakers *breakers);

/* The destination of the queue's project, made when it is not there. origin fits. */
struct breakers_entry *breakers_get(struct breakers *breakers, struct slice org,
                                    struct slice project, struct slice origin, uint64_t now_ms);

/*
 * True when a call may be made: *ret_generation is to be brought back to breakers_end(). The
 * policy (borrowed) is as breaker_admit() wants it.
 */
MUST_USE bool breakers_admit(struct breakers *breakers, struct breakers_entry *entry,
                             const struct breaker_policy *policy, uint64_t now_ms,
                             uint32_t *ret_generation);

/* After false: the job's place among the parked. Until when it is to rest. */
uint64_t breakers_park(struct breakers *breakers, struct breakers_entry *entry,
                       const struct breaker_policy *policy, uint64_t id_low, uint64_t now_ms);

enum breakers_result {
    BREAKERS_SUCCESS,
    BREAKERS_FAILURE,
    BREAKERS_NOTHING, /* learned of the peer */
};

/* An admitted call has ended; some of those parked may come now. The caller wakes the desk. */
void breakers_end(struct breakers *breakers, struct breakers_entry *entry,
                  const struct breaker_policy *policy, uint64_t now_ms, uint32_t generation,
                  enum breakers_result result);

/* Reads a RECORD_BREAKER; the names borrow payload. False when it is none of this version. */
MUST_USE bool breakers_record_decode(struct slice payload, struct breakers_record *ret_record,
                                     struct slice *ret_org, struct slice *ret_project,
                                     struct slice *ret_origin);

/* The parked whose time has passed have come: forgets the first of them, a bounded part. */
void breakers_forget_late(struct breakers *breakers, uint64_t now_ms);

/* What can be seen of all of them at once. */
struct breakers_audit {
    uint32_t count;
    uint32_t open_count;
    uint32_t call_count;
    uint32_t parked_count;
    uint32_t mismatch_count; /* what is not as it must be: 0 */
    uint32_t unprobed_count; /* open too long: a job waits, and none has come as the probe */
};

/* Looks at each of them. On the shard's thread. */
void breakers_audit(const struct breakers *breakers, uint64_t now_ms,
                    struct breakers_audit *ret_audit);

/* What there is to show to metrics, in an order that stays. */
void breakers_sample(const struct breakers *breakers, struct breakers_samples *ret_samples);

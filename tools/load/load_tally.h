/*
 * Load tally: everything that is counted in a run, and whether the run counts.
 *
 * Two latencies are kept of each request: from when it was meant to start (corrected),
 * which is what a client would have seen that does not wait for others, and from when it
 * was sent (uncorrected), which is what most tools show and what hides a stall, because
 * a stalled tool sends nothing. A request that timed out is in both with the time that it
 * waited: left out, it would make the tail look better than it was. Other failures have
 * no latency and are counted.
 *
 * Times are nanoseconds since the beginning of the run. Pure. Large: 740 KiB.
 */
#pragma once

#include "runtime/hdr_histogram.h"

enum {
    LOAD_STATUS_COUNT = 600,
    LOAD_INTERVAL_COUNT_MAX = 600,
    LOAD_WHY_COUNT_MAX = 4,
    LOAD_WHY_SIZE = 160,
    LOAD_CPU_PERCENT_MAX = 80,        /* of its core, for the generator not to be the limit */
    LOAD_SCHEDULE_ERROR_US_MAX = 100, /* at p99 */
};

enum load_error {
    LOAD_ERROR_CONNECT,  /* no connection */
    LOAD_ERROR_TLS,      /* no secure one */
    LOAD_ERROR_CLOSED,   /* the connection ended before the answer did */
    LOAD_ERROR_PROTOCOL, /* the answer is not HTTP/1.1 */
    LOAD_ERROR_TIMEOUT,  /* no whole answer in time */
    LOAD_ERROR_COUNT,
};

/* One request under way. Times 0 as long as they have not come. */
struct load_ticket {
    uint64_t intended_ns;
    uint64_t sent_ns;
    uint32_t event_count;
    uint16_t mix;         /* enum load_mix */
    uint16_t batch_count; /* events that are asked for */
    bool is_measured;     /* not of the warm-up */
    bool is_prompt;       /* it did not have to wait for a connection */
};

/* A part of the run, by the time of the answers; for the plots. */
struct load_interval {
    uint64_t answered;
    uint64_t failed;
    uint64_t p50_us; /* corrected, as are the others */
    uint64_t p99_us;
    uint64_t max_us;
};

/* Public and read-only. Only what was measured, so without the warm-up. */
struct load_tally {
    struct hdr_histogram corrected; /* microseconds */
    struct hdr_histogram uncorrected;
    struct hdr_histogram schedule_error;
    struct hdr_histogram window; /* corrected, of the present interval */
    uint64_t status_counts[LOAD_STATUS_COUNT];
    uint64_t error_counts[LOAD_ERROR_COUNT];
    uint64_t sent;
    uint64_t answered; /* with whatever status */
    uint64_t ok;       /* 200 to 299 */
    uint64_t events;   /* that the answers of 200 to 299 are about */
    uint64_t skipped;  /* meant to be sent, but not sent */
    uint64_t begin_ns; /* the end of the warm-up */
    uint64_t end_ns;   /* of the schedule, or of the last answer if that is later */
    uint64_t interval_ns;
    uint32_t interval_count;
    struct load_interval current;
    struct load_interval intervals[LOAD_INTERVAL_COUNT_MAX];
    /* These are added by whoever runs the load, before load_tally_judge(). */
    uint64_t connects; /* connections that were opened, with those of the warm-up */
    uint64_t bytes_out;
    uint64_t bytes_in;
    uint64_t cpu_ns;  /* of the generator's thread, without spin_ns; by load_meter */
    uint64_t spin_ns; /* of it, spent waiting for the next send with open eyes */
    uint64_t wall_ns; /* over which these two were measured */
    bool is_open_loop;
};

/* Why a run does not count; none: it does. */
struct load_verdict {
    uint32_t why_count;
    char why[LOAD_WHY_COUNT_MAX][LOAD_WHY_SIZE];
};

/* "timeout": for reports. Static. */
const char *load_error_name(enum load_error error);

/* Empty, for a run that measures from begin_ns to end_ns. */
void load_tally_init(struct load_tally *tally, uint64_t begin_ns, uint64_t end_ns,
                     bool is_open_loop);

/* A request was sent so much later than it was meant to be, through our own fault. */
void load_tally_schedule_error(struct load_tally *tally, uint64_t error_ns);

/* Its answer is complete. */
void load_tally_answer(struct load_tally *tally, const struct load_ticket *ticket, unsigned status,
                       uint64_t now_ns);

/* It has failed. */
void load_tally_fail(struct load_tally *tally, const struct load_ticket *ticket,
                     enum load_error error, uint64_t now_ns);

/* Nothing more comes: closes the last interval. */
void load_tally_finish(struct load_tally *tally, uint64_t now_ns);

/* Decides whether the run counts. */
void load_tally_judge(const struct load_tally *tally, struct load_verdict *ret_verdict);

/* All failures together. */
uint64_t load_tally_failed(const struct load_tally *tally);

/* Answers of 200 to 299 per second, and the share of its core in percent, without spinning. */
double load_tally_throughput(const struct load_tally *tally);
double load_tally_cpu_percent(const struct load_tally *tally);

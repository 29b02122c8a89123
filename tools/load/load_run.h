/*
 * Load run: one run of the generator from the first connection to the last answer.
 *
 * One thread, one ring, a loop of named phases. Between two sends that are far apart it
 * sleeps in the kernel until shortly before the next one, then waits with open eyes: a
 * sleeping thread wakes up tens of microseconds late, and a virtual machine later still.
 * The price is processor time: spin_us before each send, so all of one core from about
 * 1/spin_us sends a second on. It is not counted as the generator's work. Whoever else wants the
 * core goes first: the kernel's own work for the disk or the network may have to wait for its next
 * tick otherwise, and the target would seem slow.
 */
#pragma once

#include <signal.h>

#include "tools/load/load_connection.h"
#include "tools/load/load_desk.h"
#include "tools/load/load_payload.h"

enum {
    LOAD_CONNECTION_COUNT_MAX = 10000,
    LOAD_SPIN_US_DEFAULT = 150,
    LOAD_SPIN_US_MAX = 10000,
};

/* Everything is borrowed for the call. */
struct load_run_config {
    struct load_desk_config desk;
    struct load_payload *payload;
    struct address address;
    const struct trust_store *trust; /* NULL: http */
    struct slice name;               /* of the server, for https */
    bool answers_head;               /* requests are HEAD */
    uint32_t connection_count;
    uint64_t timeout_ns;       /* of one request, and of all that waits at the end */
    uint64_t spin_ns;          /* how long before a send not to sleep any more */
    uint64_t delay_ns_max;     /* end the run when a request waits longer; 0: never */
    bool shows_progress;       /* on stderr */
    const char *progress_name; /* what the line begins with */
    const volatile sig_atomic_t *is_interrupted;
};

/* What a run ended with, beside the tally. */
struct load_run_result {
    bool was_interrupted;
    bool was_overrun;  /* delay_ns_max was passed */
    int connect_error; /* -errno of the last connection that failed, or 0 */
    int tls_error;     /* BearSSL's number likewise */
};

/*
 * Runs; tally has been made with the desk's times. 0 and *ret_result, whatever the target
 * did; or -errno when the ring or memory cannot be had.
 */
MUST_USE int load_run(const struct load_run_config *config, struct load_tally *tally,
                      struct load_run_result *ret_result);

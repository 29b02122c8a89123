/*
 * Load payload: the bytes of the requests that are sent.
 *
 * Everything that can be is made before the run: a request without places to fill in
 * is one text that all connections send from. Else it is filled into the connection's
 * buffer, head and body. No I/O; allocates when it is made.
 */
#pragma once

#include "tools/load/load_scenario.h"
#include "tools/load/load_template.h"

enum {
    LOAD_HEADER_COUNT_MAX = 32,
    LOAD_HEAD_SIZE_MAX = 16 * 1024,
    LOAD_BODY_SIZE_MAX = 64 << 20,
};

/* Borrowed while the payload is made, but for body. */
struct load_payload_config {
    struct slice authority;     /* the Host */
    struct slice target;        /* path and query; for events what /v1/events is appended to */
    const char *method;         /* of the request of the command line; not of events */
    const char *const *headers; /* "Name: value" */
    uint32_t header_count;
    const char *key;   /* X-API-Key; NULL: none */
    struct slice body; /* borrowed for the life of the payload */
    bool sends_events; /* what the scenario asks for, to the intake of weir */
    bool event_ids;    /* events bring ids of their own */
    bool has_places;   /* fill places in target, headers and body */
    bool closes;       /* ask for the connection to be closed after each answer */
    uint64_t seed;
};

struct load_payload;

/* Makes it. 0; -EINVAL: message says why; -ENOMEM. */
MUST_USE int load_payload_new(const struct load_payload_config *config,
                              char message[LOAD_TEMPLATE_MESSAGE_SIZE],
                              struct load_payload **ret_payload);

/* Frees it and nulls the pointer. NULL is accepted. */
void load_payload_free(struct load_payload **payload);

/* True when all requests are the same: *ret_request, for the life of the payload. */
MUST_USE bool load_payload_is_fixed(const struct load_payload *payload, struct slice *ret_request);

/* Room that load_payload_render() needs. */
size_t load_payload_size_max(const struct load_payload *payload);

/*
 * Writes the request that arrival asks for, sent at unix_ms, into buffer. Gives it, and how
 * many events it carries.
 */
struct slice load_payload_render(struct load_payload *payload, const struct load_arrival *arrival,
                                 uint64_t unix_ms, char *buffer, uint32_t *ret_event_count);

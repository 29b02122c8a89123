/*
 * Load target: the URL taken apart, and the address that answers there.
 *
 * The path may have places to fill in (load_template.h), so it is not read as strictly as
 * a server would.
 */
#pragma once

#include "http/address.h"
#include "http/url.h"

enum {
    LOAD_URL_SIZE_MAX = 4096,
    LOAD_TARGET_MESSAGE_SIZE = 256,
};

/* Public and read-only. Slices borrow text. */
struct load_target {
    char text[LOAD_URL_SIZE_MAX];
    struct url url;      /* of scheme and authority */
    struct slice target; /* path and query as they are sent; "/" when there is none */
    bool has_path;       /* anything beyond "/" was given */
    struct address address;
};

/* Reads text, which is copied. False: message says why. */
MUST_USE bool load_target_parse(struct load_target *target, const char *text,
                                char message[LOAD_TARGET_MESSAGE_SIZE]);

/*
 * Looks the host up and sets address to the first of its addresses that takes a
 * connection within timeout_ms. elsewhere, HOST[:PORT] or NULL, is looked up instead of the
 * host of the URL. Blocks. False: message says why.
 */
MUST_USE bool load_target_reach(struct load_target *target, const char *elsewhere,
                                uint64_t timeout_ms, char message[LOAD_TARGET_MESSAGE_SIZE]);

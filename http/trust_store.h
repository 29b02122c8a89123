/*
 * Trust store: the certificate authorities whose word we take for who a server is.
 *
 * Read once, at start, from files of PEM certificates, such as the one that Debian's
 * ca-certificates keeps. Read-only from then on, shared by all shards. A certificate that
 * is no authority is trusted as a server's own.
 */
#pragma once

#include <bearssl.h>

#include "runtime/base.h"

#define TRUST_STORE_SYSTEM_PATH "/etc/ssl/certs/ca-certificates.crt"

enum {
    TRUST_STORE_ANCHOR_COUNT_MAX = 1024,
    TRUST_STORE_FILE_SIZE_MAX = 16 << 20,
    TRUST_STORE_CERTIFICATE_SIZE_MAX = 64 * 1024,
};

struct trust_store;

/* An empty store. 0 or -ENOMEM. Start-up only. */
MUST_USE int trust_store_new(struct trust_store **ret_store);

/*
 * Adds the certificates of a file. How many; those of a kind that BearSSL cannot use are
 * left out. Or -errno of reading; -EBADMSG for a file that is no PEM, or one with a
 * certificate that is broken; -ENOSPC for too many; -EFBIG; -ENOMEM. Start-up only.
 */
MUST_USE int trust_store_add_file(struct trust_store *store, const char *path);

/* Frees it and nulls the pointer. NULL is accepted. */
void trust_store_free(struct trust_store **store);

/* Borrows the anchors, *ret_count of them. */
const br_x509_trust_anchor *trust_store_anchors(const struct trust_store *store, size_t *ret_count);

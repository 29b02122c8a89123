/*
 * TLS identity: who a server says it is: a chain of certificates and the key of the first.
 *
 * Read from PEM files: the certificate file has the server's own certificate first, then
 * those that lead to an authority's, each signed by the next; the key is RSA of 2048 to
 * 4096 bits or EC on P-256, P-384 or P-521, without a passphrase. A whole one lies in
 * one mapping that is wiped when the last reference goes. Counts are not atomic: every
 * shard has a copy of its own.
 */
#pragma once

#include <bearssl.h>

#include "runtime/base.h"

enum {
    TLS_IDENTITY_CERTIFICATE_COUNT_MAX = 8,
    TLS_IDENTITY_CHAIN_SIZE_MAX = 32 * 1024, /* of all certificates, DER */
    TLS_IDENTITY_FILE_SIZE_MAX = 256 * 1024,
    TLS_IDENTITY_RSA_BITS_MIN = 2048,
    TLS_IDENTITY_RSA_BITS_MAX = 4096,
};

/* Opaque but for tls_server.c, which hands the parts to BearSSL. */
struct tls_identity {
    uint32_t ref_count;
    uint32_t certificate_count;
    int key_type;             /* BR_KEYTYPE_RSA or BR_KEYTYPE_EC */
    unsigned issuer_key_type; /* of whoever signed the first certificate */
    uint64_t not_before_ms;   /* Unix time */
    uint64_t not_after_ms;
    br_rsa_private_key rsa;
    br_ec_private_key ec;
    br_x509_certificate certificates[TLS_IDENTITY_CERTIFICATE_COUNT_MAX];
    size_t chain_size;
    unsigned char key_data[3 * BR_X509_BUFSIZE_SIG];
    unsigned char chain[TLS_IDENTITY_CHAIN_SIZE_MAX];
};

/*
 * Reads the files and checks that they belong together. 0; or a negative errno and, in
 * text, a sentence that names the file. An identity that is not valid now is given all
 * the same: the caller may want to say so. Blocks and allocates: not in a shard.
 */
MUST_USE int tls_identity_load(const char *certificate_path, const char *key_path,
                               struct tls_identity **ret_identity, char *text, size_t text_size);

/* A copy of its own, with one reference. 0 or -ENOMEM. Not in a shard. */
MUST_USE int tls_identity_copy(const struct tls_identity *identity,
                               struct tls_identity **ret_identity);

/* One more reference. */
struct tls_identity *tls_identity_ref(struct tls_identity *identity);

/* Drops one and nulls the pointer; the last one wipes the identity. NULL is accepted. */
void tls_identity_unref(struct tls_identity **identity);

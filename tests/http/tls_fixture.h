/*
 * TLS fixture: an identity for tests, "weir.test", and the trust in it.
 *
 * The certificate is for the key whose number is SHA-256 of a sentence in tls_fixture.c,
 * so there is nothing secret about it, and it is good from 2000 to 2100.
 */
#pragma once

#include "http/tls_identity.h"
#include "http/trust_store.h"

#define TLS_FIXTURE_NAME "weir.test"

enum { TLS_FIXTURE_TEXT_SIZE = 4096 };

/* The files' contents; certificate and key borrow the buffers. */
void tls_fixture_texts(char certificate[TLS_FIXTURE_TEXT_SIZE], char key[TLS_FIXTURE_TEXT_SIZE]);

/* A new reference to an identity of its own. */
struct tls_identity *tls_fixture_identity(void);

/* Trusts it; borrowed, one for the process. */
const struct trust_store *tls_fixture_trust(void);

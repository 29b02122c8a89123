/*
 * Auth: who asks, decided on the request's head before its body is read.
 *
 * `X-API-Key: <key>` or `Authorization: Bearer <key>`; the admin token stands for
 * the scope admin and belongs to no project.
 */
#pragma once

#include "actors/keyring.h"
#include "http/exchange.h"

/* Who it is; borrowed from the shard's keyring, whose keys never move. */
struct auth {
    const struct record_key *key; /* NULL: the admin token */
    uint16_t slot;                /* of the key; KEYRING_NO_SLOT for the admin token */
};

/*
 * Checks the credentials of the request and one needed scope (KEY_SCOPE_*).
 * EXCHANGE_READ_BODY with *ret_auth, EXCHANGE_ANSWERED after a 401, 403 or 503, or
 * a negative errno. Only in on_head and on_request.
 */
MUST_USE int auth_check(struct exchange *exchange, uint32_t scope, struct auth *ret_auth);

/*
 * Takes count events or jobs from the key's rate. EXCHANGE_READ_BODY, EXCHANGE_ANSWERED
 * after a 429, which refused counts, or a negative errno.
 */
MUST_USE int auth_take_quota(struct exchange *exchange, const struct auth *auth, uint32_t count,
                             struct metric refused);

/*
 * Sim keys: what is known of the API keys that the workload makes and revokes.
 *
 *     NONE --asked--> CREATING --answered--> LIVE --asked--> REVOKING --answered--> REVOKED
 *                        \--lost or refused--> NONE            (asked again until answered)
 *
 * A key that is LIVE must work, one that is REVOKED must never work again, whatever
 * happens to the process in between.
 */
#pragma once

#include "runtime/base.h"

enum {
    SIM_KEY_COUNT_MAX = 24,
    SIM_KEY_SECRET_SIZE_MAX = 96,
    SIM_KEY_ID_SIZE_MAX = 48,
};

enum sim_key_state {
    SIM_KEY_NONE,
    SIM_KEY_CREATING,
    SIM_KEY_LIVE,
    SIM_KEY_REVOKING,
    SIM_KEY_REVOKED,
};

struct sim_key {
    enum sim_key_state state;
    char id[SIM_KEY_ID_SIZE_MAX];
    char secret[SIM_KEY_SECRET_SIZE_MAX];
};

/* keys[0] is the second tenant's own: never revoked. Zeroed is empty. */
struct sim_keys {
    struct sim_key keys[SIM_KEY_COUNT_MAX];
};

/* Notes a creation's answer. False when id or secret are not what they should be. */
bool sim_key_set_live(struct sim_key *key, struct slice id, struct slice secret);

/* The first key from start on, going round, in this state; SIM_KEY_COUNT_MAX when none. */
uint32_t sim_keys_find(const struct sim_keys *keys, enum sim_key_state state, uint32_t start);

#include "tools/sim/sim_keys.h"

bool sim_key_set_live(struct sim_key *key, struct slice id, struct slice secret)
{
    if (id.size == 0 || id.size >= sizeof(key->id) || secret.size == 0 ||
        secret.size >= sizeof(key->secret))
        return false;
    memcpy(key->id, id.data, id.size);
    key->id[id.size] = '\0';
    memcpy(key->secret, secret.data, secret.size);
    key->secret[secret.size] = '\0';
    key->state = SIM_KEY_LIVE;
    return true;
}

uint32_t sim_keys_find(const struct sim_keys *keys, enum sim_key_state state, uint32_t start)
{
    for (uint32_t i = 0; i < SIM_KEY_COUNT_MAX; i++) {
        uint32_t at = (start + i) % SIM_KEY_COUNT_MAX;

        if (keys->keys[at].state == state)
            return at;
    }
    return SIM_KEY_COUNT_MAX;
}

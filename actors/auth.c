#include "actors/auth.h"

#include "actors/app.h"
#include "contracts/sha256.h"
#include "http/headers.h"
#include "runtime/sim_point.h"
#include "runtime/token_bucket.h"

/*
 * The admin token is compared by the SHA-256 of what came, in constant time: the
 * comparison then says nothing about the token itself.
 */

static bool digest_equal(const uint8_t a[SHA256_SIZE], const uint8_t b[SHA256_SIZE])
{
    uint8_t difference = 0;

    for (uint32_t i = 0; i < SHA256_SIZE; i++)
        difference |= (uint8_t)(a[i] ^ b[i]);
    return difference == 0;
}

/* The secret that the request brings, empty when none. */
static struct slice find_secret(const struct http_request *request)
{
    static const struct slice scheme = SLICE_INITIALIZER("bearer ");
    struct slice value = request->authorization;

    if (request->api_key.data != NULL)
        return request->api_key;
    if (value.size > scheme.size &&
        header_text_equal((struct slice){value.data, scheme.size}, scheme))
        return header_text_trim((struct slice){value.data + scheme.size, value.size - scheme.size});
    return (struct slice){NULL, 0};
}

static bool is_admin_token(const struct app *app, struct slice secret)
{
    uint8_t digest[SHA256_SIZE];

    sha256(secret, digest);
    return digest_equal(digest, app->admin_token_hash);
}

int auth_check(struct exchange *exchange, uint32_t scope, struct auth *ret_auth)
{
    struct app_shard *home = app_shard_of(exchange);
    struct slice secret = find_secret(exchange->request);
    struct exchange_problem_options retry = {.retry_after_s = 1};
    const struct record_key *key;
    uint16_t slot;

    if (secret.size == 0)
        return exchange_problem(exchange, PROBLEM_MISSING_API_KEY, NULL);
    slot = keyring_find(&home->tenant.keyring, secret);
    if (slot == KEYRING_NO_SLOT) {
        if (is_admin_token(home->app, secret)) {
            *ret_auth = (struct auth){NULL, KEYRING_NO_SLOT};
            return scope == KEY_SCOPE_ADMIN
                       ? EXCHANGE_READ_BODY
                       : exchange_problem(exchange, PROBLEM_FORBIDDEN_SCOPE, NULL);
        }
        /* Its key may not have been read back yet, nor will it be when the server stops first. */
        if (!home->keeper.is_open || !tenant_is_ready(&home->tenant)) {
            SOMETIMES("a request comes before its key was read back");
            return exchange_problem(exchange, PROBLEM_RECOVERING, &retry);
        }
        return exchange_problem(exchange, PROBLEM_INVALID_API_KEY, NULL);
    }
    key = &home->tenant.keyring.keys[slot].record;
    if (key->revoked_ms != 0) {
        SOMETIMES("a revoked key is refused");
        return exchange_problem(exchange, PROBLEM_REVOKED_API_KEY, NULL);
    }
    if ((key->scopes & scope) == 0)
        return exchange_problem(exchange, PROBLEM_FORBIDDEN_SCOPE, NULL);
    *ret_auth = (struct auth){key, slot};
    return EXCHANGE_READ_BODY;
}

int auth_take_quota(struct exchange *exchange, const struct auth *auth, uint32_t count,
                    struct metric refused)
{
    struct app_shard *home = app_shard_of(exchange);
    const struct settings *settings = home->app->settings;
    struct exchange_problem_options options = {0};
    uint64_t rate =
        auth->key->rate_per_s > 0 ? auth->key->rate_per_s : (uint64_t)settings->events_per_second;
    uint64_t burst = auth->key->burst > 0 ? auth->key->burst : (uint64_t)settings->events_burst;
    uint32_t burst_max;
    uint64_t wait_ns;

    if (rate == 0)
        return EXCHANGE_READ_BODY;
    if (burst == 0)
        burst = rate * 2;
    burst_max = (uint32_t)min_u64(burst, TOKEN_BUCKET_BURST_MAX);
    if (token_bucket_take(&home->app->buckets[auth->slot], home->shard->clock.mono_ns,
                          (uint32_t)min_u64(count, burst_max), rate, burst_max, &wait_ns))
        return EXCHANGE_READ_BODY;
    SOMETIMES("the rate of a key is used up");
    metrics_add(&home->shard->metrics, refused, count);
    options.retry_after_s = (uint32_t)((wait_ns + 999999999) / 1000000000);
    if (options.retry_after_s == 0)
        options.retry_after_s = 1;
    options.detail = SLICE_LITERAL("the key's rate of events and jobs is used up");
    return exchange_problem(exchange, PROBLEM_RATE_LIMITED, &options);
}

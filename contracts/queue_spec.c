#include "contracts/queue_spec.h"

#include "contracts/members.h"
#include "runtime/policy_presets.h"

/*
 * What was given is noted bit by bit, so that a change of one setting leaves the others as
 * they are, and 0 can be told from nothing.
 *
 * A preset is copied into the settings, so that a queue stays what it was made when the
 * next version of the server has other presets. One with a schedule of its own has no place
 * there: a queue keeps a growing delay, not a list.
 */

enum queue_member {
    QUEUE_CONCURRENCY,
    QUEUE_KEY_CONCURRENCY,
    QUEUE_RATE,
    QUEUE_BURST,
    QUEUE_TIMEOUT,
    QUEUE_DEPTH,
    QUEUE_PAUSED,
    QUEUE_DRAINING,
    QUEUE_RETRY,
};

static const struct slice QUEUE_NAMES[] = {
    [QUEUE_CONCURRENCY] = MEMBER_NAME("concurrency"),
    [QUEUE_KEY_CONCURRENCY] = MEMBER_NAME("key_concurrency"),
    [QUEUE_RATE] = MEMBER_NAME("rate_per_second"),
    [QUEUE_BURST] = MEMBER_NAME("burst"),
    [QUEUE_TIMEOUT] = MEMBER_NAME("timeout_seconds"),
    [QUEUE_DEPTH] = MEMBER_NAME("max_depth"),
    [QUEUE_PAUSED] = MEMBER_NAME("paused"),
    [QUEUE_DRAINING] = MEMBER_NAME("draining"),
    [QUEUE_RETRY] = MEMBER_NAME("retry"),
};

enum retry_member {
    RETRY_BASE,
    RETRY_CAP,
    RETRY_FACTOR,
    RETRY_JITTER,
    RETRY_ATTEMPTS,
    RETRY_PRESET,
};

static const struct slice RETRY_NAMES[] = {
    [RETRY_BASE] = MEMBER_NAME("base_ms"),          [RETRY_CAP] = MEMBER_NAME("cap_ms"),
    [RETRY_FACTOR] = MEMBER_NAME("factor"),         [RETRY_JITTER] = MEMBER_NAME("jitter"),
    [RETRY_ATTEMPTS] = MEMBER_NAME("max_attempts"), [RETRY_PRESET] = MEMBER_NAME("preset"),
};

static const struct slice JITTERS[] = {
    [RETRY_JITTER_NONE] = SLICE_INITIALIZER("none"),
    [RETRY_JITTER_PROPORTIONAL] = SLICE_INITIALIZER("proportional"),
    [RETRY_JITTER_FULL] = SLICE_INITIALIZER("full"),
};

static const char COUNT_RULE[] = "must be a whole number from 0 to 1000000";
static const char DELAY_RULE[] = "must be a whole number from 0 to 86400000";

struct slice queue_spec_jitter_name(enum retry_jitter jitter)
{
    assert((uint32_t)jitter < ARRAY_COUNT(JITTERS));
    return JITTERS[jitter];
}

static void give_count(struct members *members, uint32_t n, uint64_t max, const char *rule,
                       uint32_t bit, struct queue_spec *spec, uint32_t *ret_count)
{
    uint64_t value;

    if (!members_integer(members, n, 0, max, rule, &value))
        return;
    *ret_count = (uint32_t)value;
    spec->given |= (uint16_t)bit;
}

static void give_boolean(struct members *members, uint32_t n, uint32_t bit, struct queue_spec *spec,
                         bool *ret_value)
{
    if (members_boolean(members, n, ret_value))
        spec->given |= (uint16_t)bit;
}

/* Members beside it would make it another policy than the one it names. */
static void copy_preset(struct members *retry, struct queue_spec *spec)
{
    const struct policy_preset *preset;
    char scratch[64];
    uint32_t count;
    struct slice name;

    if (!members_text(retry, RETRY_PRESET, scratch, sizeof(scratch), "must be a preset's name",
                      &name))
        return;
    for (uint32_t n = RETRY_BASE; n < RETRY_PRESET; n++)
        if (members_has(retry, n)) {
            members_refuse(retry, n, "goes without preset");
            return;
        }
    preset = policy_presets_find(name);
    if (preset == NULL || preset->retry.schedule_count > 0 || preset->retry.factor > UINT8_MAX) {
        members_refuse(retry, RETRY_PRESET,
                       preset == NULL ? "must be a preset's name"
                                      : "must be a preset whose waits grow by a factor");
        return;
    }
    spec->retry_preset = (uint8_t)(preset - policy_presets_all(&count) + 1);
    spec->retry_base_ms = preset->retry.base_ms;
    spec->retry_cap_ms = preset->retry.cap_ms;
    spec->retry_factor = (uint8_t)preset->retry.factor;
    spec->retry_jitter = (uint8_t)preset->retry.jitter;
    spec->retry_max_attempts =
        (uint8_t)min_u64(preset->retry.max_attempts, QUEUE_SPEC_ATTEMPTS_MAX);
}

/* A policy is one whole: base_ms, cap_ms and max_attempts are not left to chance. */
static void check_own_retry(struct members *retry, struct queue_spec *spec)
{
    uint64_t base_ms = 0, cap_ms = 0, factor = 2, attempts = 0;
    uint32_t jitter = RETRY_JITTER_NONE;

    if (members_require(retry, RETRY_BASE, "number"))
        members_integer(retry, RETRY_BASE, 0, QUEUE_SPEC_DELAY_MS_MAX, DELAY_RULE, &base_ms);
    if (members_require(retry, RETRY_CAP, "number") &&
        members_integer(retry, RETRY_CAP, 0, QUEUE_SPEC_DELAY_MS_MAX, DELAY_RULE, &cap_ms) &&
        cap_ms < base_ms)
        members_refuse(retry, RETRY_CAP, "must not be below base_ms");
    members_integer(retry, RETRY_FACTOR, 1, QUEUE_SPEC_FACTOR_MAX,
                    "must be a whole number from 1 to 10", &factor);
    members_option(retry, RETRY_JITTER, JITTERS, ARRAY_COUNT(JITTERS), &jitter);
    if (members_require(retry, RETRY_ATTEMPTS, "number"))
        members_integer(retry, RETRY_ATTEMPTS, 1, QUEUE_SPEC_ATTEMPTS_MAX,
                        "must be a whole number from 1 to 255", &attempts);
    spec->retry_base_ms = (uint32_t)base_ms;
    spec->retry_cap_ms = (uint32_t)cap_ms;
    spec->retry_factor = (uint8_t)factor;
    spec->retry_jitter = (uint8_t)jitter;
    spec->retry_max_attempts = (uint8_t)attempts;
}

static void check_retry(struct members *members, struct queue_spec *spec)
{
    struct members retry;

    if (!members_has(members, QUEUE_RETRY))
        return;
    if (members->values[QUEUE_RETRY].type != JSON_OBJECT) {
        members_refuse(members, QUEUE_RETRY, "must be an object");
        return;
    }
    members_init(&retry, RETRY_NAMES, ARRAY_COUNT(RETRY_NAMES), members->issues, ISSUE_NO_INDEX);
    members_read_value(&retry, SLICE_LITERAL("retry"), &members->values[QUEUE_RETRY]);
    if (members_has(&retry, RETRY_PRESET))
        copy_preset(&retry, spec);
    else
        check_own_retry(&retry, spec);
    members->is_valid = members->is_valid && retry.is_valid;
    spec->given |= QUEUE_GIVES_RETRY;
}

enum queue_spec_result queue_spec_read(struct slice body, uint32_t depth_max,
                                       struct issue_list *issues, struct json_reader *ret_reader,
                                       struct queue_spec *ret_spec)
{
    struct members members;
    uint64_t timeout_ms;

    *ret_spec = (struct queue_spec){0};
    members_init(&members, QUEUE_NAMES, ARRAY_COUNT(QUEUE_NAMES), issues, ISSUE_NO_INDEX);
    if (members_read_document(&members, body, depth_max, ret_reader) != JSON_OK)
        return QUEUE_SPEC_BAD_JSON;
    give_count(&members, QUEUE_CONCURRENCY, QUEUE_SPEC_CONCURRENCY_MAX, COUNT_RULE,
               QUEUE_GIVES_CONCURRENCY, ret_spec, &ret_spec->concurrency);
    give_count(&members, QUEUE_KEY_CONCURRENCY, QUEUE_SPEC_CONCURRENCY_MAX, COUNT_RULE,
               QUEUE_GIVES_KEY_CONCURRENCY, ret_spec, &ret_spec->key_concurrency);
    give_count(&members, QUEUE_RATE, QUEUE_SPEC_CONCURRENCY_MAX, COUNT_RULE, QUEUE_GIVES_RATE,
               ret_spec, &ret_spec->rate_per_s);
    give_count(&members, QUEUE_BURST, QUEUE_SPEC_CONCURRENCY_MAX, COUNT_RULE, QUEUE_GIVES_BURST,
               ret_spec, &ret_spec->burst);
    give_count(&members, QUEUE_DEPTH, QUEUE_SPEC_DEPTH_MAX,
               "must be a whole number from 0 to 1073741824", QUEUE_GIVES_DEPTH, ret_spec,
               &ret_spec->depth_max);
    if (members_seconds(&members, QUEUE_TIMEOUT, 0, QUEUE_SPEC_TIMEOUT_MS_MAX,
                        "must be a number of seconds from 0 to 86400", &timeout_ms)) {
        ret_spec->timeout_ms = (uint32_t)timeout_ms;
        ret_spec->given |= QUEUE_GIVES_TIMEOUT;
        if (timeout_ms > 0 && timeout_ms < 1000)
            members_refuse(&members, QUEUE_TIMEOUT, "must be 0, or at least 1");
    }
    give_boolean(&members, QUEUE_PAUSED, QUEUE_GIVES_PAUSED, ret_spec, &ret_spec->paused);
    give_boolean(&members, QUEUE_DRAINING, QUEUE_GIVES_DRAINING, ret_spec, &ret_spec->draining);
    check_retry(&members, ret_spec);
    return members.is_valid ? QUEUE_SPEC_OK : QUEUE_SPEC_INVALID;
}

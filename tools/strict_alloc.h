/*
 * Strict alloc: proof that a running shard never allocates.
 *
 * When armed, any allocation by a thread inside shard_turn() writes what was going
 * on and aborts. The one exception is the message with which a shard opens its log:
 * that is still the start.
 */
#pragma once

#include "runtime/base.h"

/* Arms it for the process. False when this build cannot: a sanitizer owns malloc. */
MUST_USE bool strict_alloc_arm(void);

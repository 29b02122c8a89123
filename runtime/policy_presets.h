/*
 * Policy presets: supervisor policies by name, as data.
 *
 * Each says how one kind of work is retried, when its peer is left alone, how many run
 * at a time and for how long. A preset is a starting point: copy it, change what
 * differs, ask whether it is sound. They reproduce what the systems did that weir
 * replaces, measured in what a user sees; where those had nothing, so has the preset.
 *
 *      name                   tries  waits between them         of what it is
 *      default                  8    1 s x2 to 300 s, full      weir's own
 *      ai-job                   3    5 s, 10 s                  copilot: ai_jobs
 *      order-integration        3    1 s, 2 s                   watch store: to ServiceNow
 *      pg-boss                  3    none                       OpsDesk: pg-boss 10.4 as it is
 *      bullmq                   1    -                          helpdesk: BullMQ as it is
 *      helpdesk-sla-monitor     2    60 s                       helpdesk.sla-monitor
 *      helpdesk-escalation      3    5 s, 10 s                  helpdesk.escalation
 *      helpdesk-assignment      3    5 s, 10 s                  helpdesk.assignment
 *      helpdesk-notification    5    5 s, 10 s, 20 s, 40 s      helpdesk.notification
 *      opsdesk-webhook          3    5 min, 30 min              OpsDesk: deliveries
 *      webhook                 10    5 s to 24 h, +-20 %        Standard Webhooks' example
 *
 * With more tries than the original made, waits go on as it would have: ai-job up to 120 s,
 * opsdesk-webhook with 120 min and 360 min. "bullmq" is what the helpdesk's two queues had
 * of which no options are known. webhook waits 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
 * 20 h and 24 h, or what a subscriber's Retry-After says, up to 24 h.
 *
 *     breaker of             opens at                     for               closes after
 *     default                5 failures in a row, or      30 s              1 probe
 *                            half of the last 20 calls
 *     order-integration      5 in a row within 30 s       60 s              3 probes at once
 *     webhook                as default                   30 s x2 to 900 s  3, one by one
 *                                                         and up to 20 %
 *
 * "Retries" of the helpdesk's table are BullMQ's `attempts`, the first included. Two
 * things differ on purpose: with a breaker, work that it holds back waits and uses no
 * attempt (the order integration sent it to the dead letters); and its sleeps between
 * attempts hold up nobody else.
 */
#pragma once

#include "runtime/breaker.h"
#include "runtime/retry.h"

/* One kind of work. Static and immutable. */
struct policy_preset {
    const char *name;
    struct retry_policy retry;
    struct breaker_policy breaker; /* all 0: none */
    uint32_t concurrency;          /* at a time; 0: only what the mailbox bounds */
    uint32_t lease_ms;             /* how long without a sign of life */
    uint32_t deadline_ms;          /* how long in all, for one attempt */
};

/* The preset called name, exactly; NULL if there is none. */
MUST_USE const struct policy_preset *policy_presets_find(struct slice name);

/* The one for work that names none: "default". */
const struct policy_preset *policy_presets_default(void);

/* All of them, in the order above, to which none but the last may be added: *ret_count. */
const struct policy_preset *policy_presets_all(uint32_t *ret_count);

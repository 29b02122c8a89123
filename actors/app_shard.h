/*
 * App shard: one shard's share of the product, every part of it and who looks after them.
 *
 * Its supervision tree, started from the first to the last, stopped from the last to the
 * first:
 *
 *     root (rest_for_one)
 *      |- keeper       the journal: flushing, retention, end of the process on failure
 *      |- tenant       API keys; on shard 0 the one that changes them
 *      |- scrape       numbers of all shards for /metrics
 *      |- inspector    how all shards are, for operators
 *      |- lookup       GET /v1/events/{id}
 *      |- reader       what is asked of the read model
 *      |- client       HTTP requests of ours
 *      |- jobs         the jobs of the projects that this shard owns, and their handlers
 *      |- schedules    their cron schedules
 *      |- incidents    what becomes of their events: series, rules, incidents
 *      |- dead_letters jobs that are dead: shown, replayed, removed
 *      |- intake       POST /v1/events: dedup, append, acknowledge
 *      |- connections  (simple_one_for_one, temporary)
 *      |- listener...  one per address
 *      |- demo_traffic on shard 0 of a demo: events for who looks for the first time
 */
#pragma once

#include "actors/ai_runs.h"
#include "actors/breakers.h"
#include "actors/dead_letters.h"
#include "actors/demo_traffic.h"
#include "actors/http_request.h"
#include "actors/incident_summary.h"
#include "actors/incidents.h"
#include "actors/inspector.h"
#include "actors/intake.h"
#include "actors/job_desk.h"
#include "actors/keeper.h"
#include "actors/lookup.h"
#include "actors/read_watch.h"
#include "actors/reader.h"
#include "actors/schedules.h"
#include "actors/scrape.h"
#include "actors/settings.h"
#include "actors/tenant.h"
#include "http/client.h"
#include "http/listener.h"
#include "http/resolver_dns.h"
#include "http/server.h"
#include "runtime/shard.h"
#include "store/read_model.h"

struct app;

enum { APP_CHILD_COUNT_MAX = 14 + SETTINGS_LISTEN_COUNT_MAX };

/* Readiness of the process, as far as recovery and draining go. */
enum app_phase {
    APP_RECOVERING,
    APP_READY,
    APP_DRAINING,
};

/* Each part is touched only by its shard's thread once threads run. */
struct app_shard {
    struct app *app;
    struct shard *shard;
    enum app_phase phase; /* this shard's view */
    struct buffer_pool *buffers;
    struct http_server http;
    struct supervisor root;
    struct supervisor_spec root_spec;
    struct supervisor_child_spec children[APP_CHILD_COUNT_MAX];
    struct keeper keeper;
    struct tenant tenant;
    struct scrape scrape;
    struct inspector inspector;
    struct lookup lookup;
    struct reader reader;
    struct resolver_dns *dns; /* NULL when simulated: only addresses can be reached */
    struct http_client client;
    struct breakers breakers;
    struct job_desk jobs;
    struct ai_runs ai_runs;
    struct incident_summaries incident_summaries;
    struct http_requests http_requests;
    struct schedules schedules;
    struct incidents incidents;
    struct dead_letters dead_letters;
    struct read_port read_port;
    struct read_watch read_watch;
    struct intake intake;
    struct demo_traffic demo_traffic;
    struct listener listeners[SETTINGS_LISTEN_COUNT_MAX];
    uint32_t listener_count;
};

/*
 * Makes all parts of shard index of app, whose runtime, metrics and read model must be there.
 * 0 or -errno: app_shard_deinit() is then still right. Start-up only.
 */
MUST_USE int app_shard_init(struct app_shard *home, struct app *app, uint32_t index);

/* Spawns the tree, once the listeners are open. 0 or -errno. */
MUST_USE int app_shard_start(struct app_shard *home);

/* After an orderly end: asserts that nothing is left in any pool. */
void app_shard_check_idle(const struct app_shard *home);

/*
 * Gives all parts' memory back but the keeper's: keeper_deinit() comes first, on every shard.
 * The loop must have ended, or never begun.
 */
void app_shard_deinit(struct app_shard *home);

/* From what a handler has at hand to its shard's share. */
static inline struct app_shard *app_shard_of(struct exchange *exchange)
{
    return container_of(exchange->server, struct app_shard, http);
}

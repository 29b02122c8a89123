#include "actors/demo_traffic.h"

#include <stdarg.h>

#include "actors/app_listeners.h"
#include "contracts/timestamp.h"
#include "runtime/sim_point.h"

/*
 * A single timer waits for the nearest deadline. When it is due an event is written and sent,
 * and the source draws its next deadline from then on. After a failure that is one too many, all
 * wait.
 *
 *     waiting --due--> call open --answered, or not in time--> waiting
 *        ^                 |
 *        +---- looks again every 10 ms
 *
 * The answer's callback runs inside the client and only counts. A source that was late because
 * another one's call took long is sent once, late; nothing is made up for. Texts are ours, so
 * they are written into JSON as they are.
 */

enum {
    LOOK_AGAIN_MS = 10, /* while a call is open */
    READY_LOOK_MS = 100,
    CALL_TIMEOUT_MS = 5000,
    ANSWER_SIZE_MAX = 4096,
    BURST_GAP_MS_MIN = 50,
    BURST_GAP_MS_SPREAD = 100,
};

static const uint64_t NS_PER_MS = 1000000;

/* Of each source: the first deadline, the shortest time between two, and what is drawn on top. */
static const struct {
    uint32_t first_ms;
    uint32_t period_ms;
    uint32_t spread_ms;
} RHYTHMS[DEMO_SOURCE_COUNT] = {
    [DEMO_NORMAL] = {1000, 5000, 2000},
    [DEMO_ERROR] = {60000, 420000, 300000},
    [DEMO_DEPLOY] = {1800000, 7200000, 7200000},
    [DEMO_BURST] = {8000, 900000, 300000},
};

struct demo_error {
    const char *code;
    const char *route;
    const char *severity;
    const char *message;
};

static const struct demo_error ERRORS[] = {
    {"DB_TIMEOUT", "/api/users", "error", "The database did not answer in time"},
    {"PAYMENT_FAILED", "/api/checkout", "error", "The payment provider declined the request"},
    {"AUTH_SERVICE_DOWN", "/api/auth/verify", "critical", "The auth service cannot be reached"},
    {"RATE_LIMIT_EXCEEDED", "/api/search", "warn", "Too many searches at a time"},
    {"OOM_WORKER", "/api/reports/generate", "critical", "A report worker ran out of memory"},
};

/* One of them per burst, in turn: an incident is about one code on one route. */
static const struct demo_error BURSTS[] = {
    {"REDIS_CLUSTER_FAILOVER", "/api/critical-path", "critical",
     "The Redis cluster has no primary"},
    {"API_GATEWAY_TIMEOUT", "/api/critical-path", "critical", "The gateway timed out"},
    {"DB_CONNECTION_POOL_EXHAUSTED", "/api/critical-path", "critical",
     "No database connection is free"},
};

/* A request is drawn by weight. */
static const struct {
    uint32_t weight;
    const char *method;
    const char *route;
} REQUESTS[] = {
    {30, "GET", "/api/products"}, {20, "GET", "/api/products/:id"}, {15, "GET", "/api/cart"},
    {10, "POST", "/api/cart"},    {5, "POST", "/api/checkout"},     {10, "GET", "/api/users/me"},
    {10, "GET", "/api/search"},
};

static struct demo_traffic *traffic_of(struct actor *self)
{
    return ACTOR_CAST(self, struct demo_traffic, DEMO_TRAFFIC_MAGIC);
}

static uint32_t draw(struct demo_traffic *traffic, uint32_t below)
{
    return (uint32_t)rng_below(&traffic->actor.shard->rng, below);
}

/* --- events --------------------------------------------------------------- */

/* The event as JSON in traffic->body. rest: what follows message, with its comma. */
PRINTF_LIKE(4, 5)
static void write_event(struct demo_traffic *traffic, const char *type, const char *severity,
                        const char *rest, ...)
{
    char time[TIMESTAMP_TEXT_SIZE];
    va_list arguments;
    int size, added;

    timestamp_format((int64_t)traffic->actor.shard->clock.unix_ms, time);
    size = snprintf(traffic->body, sizeof(traffic->body),
                    "{\"event_type\":\"%s\",\"occurred_at\":\"%.*s\",\"environment\":\"prod\","
                    "\"severity\":\"%s\",",
                    type, TIMESTAMP_TEXT_SIZE, time, severity);
    assert(size > 0);
    assert((size_t)size < sizeof(traffic->body));
    va_start(arguments, rest);
    added = vsnprintf(traffic->body + size, sizeof(traffic->body) - (size_t)size, rest, arguments);
    va_end(arguments);
    assert(added > 0);
    assert((size_t)(size + added) < sizeof(traffic->body));
    traffic->call.body = (struct slice){traffic->body, (size_t)(size + added)};
}

static void write_request(struct demo_traffic *traffic)
{
    uint32_t total = 0, drawn, chance = draw(traffic, 100), status = 200, i = 0;

    for (uint32_t k = 0; k < ARRAY_COUNT(REQUESTS); k++)
        total += REQUESTS[k].weight;
    for (drawn = draw(traffic, total); drawn >= REQUESTS[i].weight; i++)
        drawn -= REQUESTS[i].weight;
    assert(i < ARRAY_COUNT(REQUESTS));
    if (chance < 2)
        status = 500;
    else if (chance < 7)
        status = 404;
    write_event(traffic, "http_request", status == 500 ? "error" : "info",
                "\"message\":\"%s %s %u\",\"attributes\":{\"method\":\"%s\",\"route\":\"%s\","
                "\"status_code\":%u,\"response_time_ms\":%u}}",
                REQUESTS[i].method, REQUESTS[i].route, status, REQUESTS[i].method,
                REQUESTS[i].route, status, 50 + draw(traffic, 200));
}

static void write_normal(struct demo_traffic *traffic)
{
    static const char *const methods[] = {"email", "google", "github", "apple"};
    static const char *const words[] = {"I like the new search", "Checkout takes too long",
                                        "Please add a dark theme", "The app is fast today"};
    uint32_t chance = draw(traffic, 10);

    if (chance < 7)
        write_request(traffic);
    else if (chance < 9)
        write_event(traffic, "signup", "info",
                    "\"message\":\"A user signed up\",\"attributes\":{\"method\":\"%s\"}}",
                    methods[draw(traffic, ARRAY_COUNT(methods))]);
    else
        write_event(traffic, "feedback", "info",
                    "\"message\":\"%s\",\"attributes\":{\"rating\":%u}}",
                    words[draw(traffic, ARRAY_COUNT(words))], 1 + draw(traffic, 5));
}

static void write_error(struct demo_traffic *traffic, const struct demo_error *error)
{
    write_event(traffic, "error", error->severity,
                "\"message\":\"%s\",\"attributes\":{\"error_code\":\"%s\",\"route\":\"%s\","
                "\"status_code\":500}}",
                error->message, error->code, error->route);
}

static void write_next(struct demo_traffic *traffic, enum demo_source source)
{
    switch (source) {
    case DEMO_NORMAL:
        write_normal(traffic);
        return;
    case DEMO_ERROR:
        write_error(traffic, &ERRORS[draw(traffic, ARRAY_COUNT(ERRORS))]);
        return;
    case DEMO_DEPLOY:
        write_event(traffic, "deploy", "info",
                    "\"message\":\"Deployed v2.%u.%u\",\"attributes\":{\"service\":\"shop\"}}",
                    draw(traffic, 20), draw(traffic, 10));
        return;
    case DEMO_BURST:
        write_error(traffic, &BURSTS[traffic->burst % ARRAY_COUNT(BURSTS)]);
        return;
    case DEMO_SOURCE_COUNT:
        break;
    }
    assert(false);
}

/* --- sending -------------------------------------------------------------- */

static void note(struct demo_traffic *traffic, bool is_accepted, struct slice reason)
{
    if (is_accepted) {
        traffic->sent_count++;
        traffic->failures = 0;
        return;
    }
    SOMETIMES("an event of the demo is refused");
    traffic->refused_count++;
    traffic->failures++;
    if (traffic->failures >= DEMO_TRAFFIC_FAILURE_COUNT_MAX)
        traffic->paused_until_ns =
            traffic->actor.shard->clock.mono_ns + DEMO_TRAFFIC_PAUSE_MS * NS_PER_MS;
    if (traffic->failures == 1)
        log_event(&traffic->actor.shard->log, LOG_WARN, "demo",
                  "an event of the demo was not accepted", LOG_TEXT("outcome", reason),
                  LOG_NUMBER("status", traffic->call.result.status));
}

static void on_done(struct http_client_call *call)
{
    struct demo_traffic *traffic = container_of(call, struct demo_traffic, call);
    const struct http_client_result *result = &call->result;

    note(traffic, result->outcome == HTTP_CLIENT_RESPONSE && result->status == 202,
         http_client_outcome_name(result->outcome));
}

static void send_next(struct demo_traffic *traffic, enum demo_source source)
{
    static const struct header headers[] = {
        {SLICE_INITIALIZER("X-API-Key"), SLICE_INITIALIZER(TENANT_DEMO_SECRET)},
        {SLICE_INITIALIZER("Content-Type"), SLICE_INITIALIZER("application/json")},
    };
    struct http_client_call *call = &traffic->call;

    assert(!http_client_is_open(call));
    write_next(traffic, source);
    call->method = HTTP_METHOD_POST;
    call->url = slice_of(traffic->url);
    call->headers = headers;
    call->header_count = ARRAY_COUNT(headers);
    call->timeout_ms = CALL_TIMEOUT_MS;
    call->body_size_max = ANSWER_SIZE_MAX;
    call->policy = &traffic->policy;
    call->on_done = on_done;
    call->result = (struct http_client_result){0};
    if (http_client_start(&traffic->home->client, call) < 0)
        note(traffic, false, SLICE_LITERAL("not_started"));
}

/* --- when ----------------------------------------------------------------- */

static void set_due(struct demo_traffic *traffic, enum demo_source source, uint64_t delay_ms)
{
    traffic->due_ns[source] = traffic->actor.shard->clock.mono_ns + delay_ms * NS_PER_MS;
}

static void begin(struct demo_traffic *traffic)
{
    traffic->is_begun = true;
    for (uint32_t i = 0; i < DEMO_SOURCE_COUNT; i++)
        set_due(traffic, (enum demo_source)i, RHYTHMS[i].first_ms);
}

static enum demo_source nearest(const struct demo_traffic *traffic)
{
    enum demo_source found = DEMO_NORMAL;

    for (uint32_t i = 1; i < DEMO_SOURCE_COUNT; i++)
        if (traffic->due_ns[i] < traffic->due_ns[found])
            found = (enum demo_source)i;
    return found;
}

/* After an event of the source was sent. */
static void plan_next(struct demo_traffic *traffic, enum demo_source source)
{
    uint64_t delay_ms = RHYTHMS[source].period_ms + draw(traffic, RHYTHMS[source].spread_ms + 1);

    if (source == DEMO_BURST && ++traffic->burst_sent < DEMO_TRAFFIC_BURST_SIZE) {
        delay_ms = BURST_GAP_MS_MIN + draw(traffic, BURST_GAP_MS_SPREAD + 1);
    } else if (source == DEMO_BURST) {
        traffic->burst_sent = 0;
        traffic->burst++;
    }
    set_due(traffic, source, delay_ms);
}

/* In milliseconds, until there may be something to do. */
static uint64_t step(struct demo_traffic *traffic)
{
    uint64_t now_ns = traffic->actor.shard->clock.mono_ns;
    enum demo_source source;
    uint64_t due_ns;

    if (http_client_is_open(&traffic->call))
        return LOOK_AGAIN_MS;
    if (traffic->home->phase != APP_READY || !tenant_is_ready(&traffic->home->tenant))
        return READY_LOOK_MS;
    if (!traffic->is_begun)
        begin(traffic);
    source = nearest(traffic);
    due_ns = max_u64(traffic->due_ns[source], traffic->paused_until_ns);
    if (due_ns > now_ns)
        return (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    send_next(traffic, source);
    plan_next(traffic, source);
    return LOOK_AGAIN_MS;
}

/* --- the actor ------------------------------------------------------------ */

static int receive(struct actor *self, const struct message *msg)
{
    struct demo_traffic *traffic = traffic_of(self);

    switch (msg->type) {
    case MSG_TIMER:
        if (msg->as.timer.timer != &traffic->timer)
            return ACTOR_UNHANDLED;
        actor_timer_start(self, &traffic->timer, step(traffic));
        return ACTOR_OK;
    case MSG_STOP:
        return ACTOR_STOP;
    default:
        return ACTOR_UNHANDLED;
    }
}

static int start(struct actor *self)
{
    struct demo_traffic *traffic = traffic_of(self);
    struct address address;
    char text[ADDRESS_TEXT_SIZE];
    int r = app_listeners_address(traffic->home->app, 0, &address);

    if (r < 0)
        return r;
    address_format(&address, text);
    snprintf(traffic->url, sizeof(traffic->url), "http://%s/v1/events", text);
    traffic->is_begun = false;
    traffic->burst_sent = 0;
    traffic->failures = 0;
    traffic->paused_until_ns = 0;
    actor_timer_init(self, &traffic->timer);
    actor_timer_start(self, &traffic->timer, READY_LOOK_MS);
    return 0;
}

static void release(struct actor *self)
{
    struct demo_traffic *traffic = traffic_of(self);

    if (http_client_is_open(&traffic->call))
        http_client_cancel(&traffic->call);
}

const struct actor_type demo_traffic_type = {
    .name = "demo_traffic",
    .start = start,
    .receive = receive,
    .release = release,
};

bool demo_traffic_is_wanted(const struct app_shard *home)
{
    const struct settings *settings = home->app->settings;

    return settings->demo && settings->demo_traffic && home->shard->index == 0 &&
           settings->listen.count > 0;
}

void demo_traffic_init(struct demo_traffic *traffic, struct app_shard *home)
{
    memset(traffic, 0, sizeof(*traffic));
    traffic->home = home;
    traffic->policy.allow_private = true;
}

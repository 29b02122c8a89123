/*
 * Sim callers: clients that have the server itself do jobs: http.request, at once, each minute,
 * and once more when they died.
 *
 * Each of them asks one thing after another, drawn by the world's seed: orders calls, makes
 * schedules of calls, looks at jobs, cancels them, reads dead letters and has them replayed. The
 * model (sim_call_model.h) is told of each request and each answer, and the peer
 * (sim_call_peer.h) of each call that arrives; what a correct server cannot have done ends
 * the run.
 *
 * At the end of a run the first caller settles what there is, the peer being calm:
 *
 *     BUSY --sim_callers_settle()--> STOPPING --schedules deleted--> REPLAYING --replays over-->
 *     FOLLOWING --letters say as which jobs--> DRAINING --nothing live--> LOOKING
 *     --all seen, and ended--> SETTLED
 */
#pragma once

#include <netinet/in.h>

#include "tools/sim/sim_answer.h"
#include "tools/sim/sim_call_peer.h"
#include "tools/sim/sim_keys.h"

enum {
    SIM_CALLER_COUNT_MAX = 4,
    SIM_CALLER_BODY_SIZE_MAX = 1024,
    SIM_CALLER_REQUEST_SIZE_MAX = SIM_CALLER_BODY_SIZE_MAX + 512,
    SIM_CALLER_REPLAY_COUNT_MAX = 48,
};

/* What a run draws. caller_count 0: there are no calls, and no peer. */
struct sim_callers_spec {
    uint32_t caller_count;
    uint32_t order_count_max;
    uint32_t schedule_count_max;
    uint32_t timeout_ms_max;
    uint32_t cancel_percent; /* of looks */
    uint32_t replay_percent;
    uint32_t drop_odds;
    struct sim_range rest_ns;
};

enum sim_callers_stage {
    SIM_CALLERS_BUSY,
    SIM_CALLERS_STOPPING,
    SIM_CALLERS_REPLAYING,
    SIM_CALLERS_FOLLOWING,
    SIM_CALLERS_DRAINING,
    SIM_CALLERS_LOOKING,
    SIM_CALLERS_SETTLED,
};

/* What a request is about. */
enum sim_caller_asks {
    SIM_CALLER_ASK_NOTHING,
    SIM_CALLER_ASK_ORDER,
    SIM_CALLER_ASK_SCHEDULE,
    SIM_CALLER_ASK_SCHEDULE_LOOK,
    SIM_CALLER_ASK_UNSCHEDULE,
    SIM_CALLER_ASK_LOOK,
    SIM_CALLER_ASK_CANCEL,
    SIM_CALLER_ASK_LETTERS,
    SIM_CALLER_ASK_LETTER,
    SIM_CALLER_ASK_REPLAY,
    SIM_CALLER_ASK_REPLAY_LOOK,
    SIM_CALLER_ASK_QUEUE,
};

/* A replay that the server has begun. */
struct sim_caller_replay {
    uint32_t call; /* whose letter */
    char id[SIM_JOB_ID_SIZE + 1];
};

struct sim_callers;

/* One client. Private to sim_callers.c. */
struct sim_caller {
    struct sim_http_client http;
    struct sim_http_request request;
    struct sim_callers *callers;
    struct sim_event rest_over;
    uint32_t index;
    bool is_asking; /* a request is out, or a rest is on */
    enum sim_caller_asks asks;
    uint32_t order;
    uint32_t call;
    uint32_t replay;
    uint32_t tenant;   /* QUEUE */
    uint64_t asked_ns; /* when the request went out */
    char data[SIM_CALLER_REQUEST_SIZE_MAX];
    char body[SIM_CALLER_BODY_SIZE_MAX];
};

/* One run's callers. Large; the first group may be read. */
struct sim_callers {
    struct sim_callers_spec spec;
    enum sim_callers_stage stage;
    bool is_paused; /* nobody begins anything new */
    uint64_t request_count;
    uint64_t accepted_count;
    uint64_t unknown_count;
    uint64_t replay_total;
    struct sim_call_peer peer;

    struct sim_world *world;
    struct sim_driver *driver;
    struct sim_story *story;
    struct sim_call_model *model;
    const struct sim_keys *keys; /* the second tenant's is keys[0] */
    struct sockaddr_in address;
    struct sim_host *host;
    struct io *io;
    uint32_t cursor;      /* STOPPING, REPLAYING, FOLLOWING, LOOKING: the next one */
    uint32_t empty_count; /* DRAINING: queues in a row that were empty */
    uint32_t schedule_count;
    uint32_t replay_count;
    struct sim_caller_replay replays[SIM_CALLER_REPLAY_COUNT_MAX];
    struct sim_caller callers[SIM_CALLER_COUNT_MAX];
};

/* Makes clients, their machine and the peer; draws from the world. Borrows all. */
void sim_callers_init(struct sim_callers *callers, const struct sim_callers_spec *spec,
                      struct sim_driver *driver, struct sim_story *story,
                      struct sim_call_model *model, const struct sim_keys *keys);

/* Takes everything out of the world. */
void sim_callers_deinit(struct sim_callers *callers);

/* Everybody who rests begins to ask. */
void sim_callers_start(struct sim_callers *callers);

/* True when nobody has an open request. */
bool sim_callers_are_quiet(const struct sim_callers *callers);

/* From now on everything is brought to its end, see above. Call sim_callers_start() then. */
void sim_callers_settle(struct sim_callers *callers);

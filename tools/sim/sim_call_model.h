/*
 * Sim call model: what a perfect server may do with jobs that it carries out itself.
 *
 * A client orders a call, by a job of the kind http.request or by a schedule of such jobs; the
 * number of the order stands in the URL. Each job the server makes of it is a call, known by
 * its id, which comes to the peer as Idempotency-Key:
 *
 *     ORDER --job, or each minute of a schedule, or a replay of a dead letter--> CALL
 *     CALL  --arrives, answered or not, arrives again...--> completed, dead: never again
 *
 * Those who order and the peer tell the model what they see, and it says whether a server
 * that keeps its promises could have done so. As in sim_job_model.h nothing is known but what
 * can be seen from outside; a call that was sent long ago may arrive only now (slack_ns).
 *
 * A line is what one breaker is about: the calls of one project to one destination. In a
 * world in which nothing is delayed (is_exact) it can be told from outside that a breaker
 * must be open: then calls must be rare, and come one at a time.
 */
#pragma once

#include "tools/sim/sim_job_model.h"

enum {
    SIM_CALL_ORDER_COUNT_MAX = 768,
    SIM_CALL_COUNT_MAX = 2048,
    SIM_CALL_DESTINATION_COUNT = 2,
    SIM_CALL_LINE_COUNT = SIM_JOB_TENANT_COUNT * SIM_CALL_DESTINATION_COUNT,
    SIM_CALL_OUT_COUNT_MAX = 256, /* calls of a line that the peer has not done with */
};

/* What a client asks for. */
struct sim_call_spec {
    uint8_t tenant;
    uint8_t destination;
    uint8_t max_attempts;
    bool is_schedule; /* each minute */
    uint32_t timeout_ms;
};

/* One order. May be read. */
struct sim_call_order {
    struct sim_call_spec spec;
    uint32_t send_count;
    uint32_t refused_count;
    uint32_t call_count;     /* ids that were seen */
    uint32_t replay_count;   /* of its calls that somebody wanted replayed */
    uint32_t replayed_count; /* of its calls that the server says are */
    uint64_t sent_ns;
    uint32_t sent_life;
    bool is_accepted;
};

/* One job of the server. May be read. */
struct sim_call_job {
    uint32_t order;
    char id[SIM_JOB_ID_SIZE + 1];
    uint8_t end;       /* enum sim_job_end, as somebody was told */
    bool is_replaying; /* somebody asked for it: nothing is said of the letter any more */
    bool was_refused;  /* the peer said that it will never take it */
    bool was_taken;    /* the peer said that all is well */
    bool cancel_asked;
    bool was_replayed; /* a replay that is over says so */
    bool is_replay;    /* a letter says that this has become of it */
    uint64_t end_ns;
};

/* One request that the peer has not done with. */
struct sim_call_out {
    uint32_t call;
    uint32_t connection; /* the peer's number of it */
    uint32_t life;
    uint64_t ns;
    bool is_probe;
};

/* Private to sim_call_model.c, but for the outs. */
struct sim_call_line {
    uint32_t life;
    uint64_t since_ns;      /* the latest answer that was no failure */
    uint32_t arrival_count; /* since then, and slack_ns */
    uint32_t failed_count;  /* likewise: failures that the peer knows of */
    uint64_t open_ns;       /* the breaker is surely open or half open since; 0: perhaps not */
    uint32_t cancel_count;
    uint32_t out_count;
    struct sim_call_out outs[SIM_CALL_OUT_COUNT_MAX];
};

/* Zeroed, but for sim_call_model_init(). */
struct sim_call_model {
    /* What the run allows. */
    bool forgets;
    bool dead_limit;
    bool clock_jumps;
    bool is_exact;     /* nothing is delayed but by the server itself */
    uint64_t slack_ns; /* that a call may be under way */

    uint64_t now_ns;  /* kept by the caller */
    uint32_t life;    /* kept by the caller: counts the server's processes */
    uint64_t life_ns; /* kept by the caller: when this one began */
    uint32_t order_count;
    uint32_t call_count;
    struct sim_call_order orders[SIM_CALL_ORDER_COUNT_MAX];
    struct sim_call_job calls[SIM_CALL_COUNT_MAX];
    struct sim_call_line lines[SIM_CALL_LINE_COUNT];
};

/* A world without calls. */
void sim_call_model_init(struct sim_call_model *model);

/* Adds an order that will be sent; its number. There must be room. */
uint32_t sim_call_add(struct sim_call_model *model, const struct sim_call_spec *spec);

/* It goes out; then what came of it. The order was refused: nothing is stored of that. */
void sim_call_send(struct sim_call_model *model, uint32_t order);
void sim_call_refused(struct sim_call_model *model, uint32_t order);

/* The functions that follow return NULL, or why a correct server cannot have done so. */

/* It was accepted; id is empty for a schedule. */
const char *sim_call_accepted(struct sim_call_model *model, uint32_t order, struct slice id);

/* What GET says of a call. */
struct sim_call_look {
    enum sim_job_end end;
    uint32_t attempt;
    uint32_t max_attempts;
    uint32_t status; /* of its result; 0: there is none */
    struct slice reason;
    uint64_t asked_ns; /* when the request went out */
};

/* GET said so of the call, or that there is no such job. */
const char *sim_call_looked(struct sim_call_model *model, uint32_t call,
                            const struct sim_call_look *look);
const char *sim_call_called_unknown(const struct sim_call_model *model, uint32_t call);

/* Somebody wants the call cancelled, or its letter replayed. */
void sim_call_cancel(struct sim_call_model *model, uint32_t call);
void sim_call_replay(struct sim_call_model *model, uint32_t call);

/* A replay that is over says that a job has been made of the letter. */
void sim_call_replayed(struct sim_call_model *model, uint32_t call);

/*
 * A letter that was to be replayed says as which job it was; id is empty when it does not, or
 * is gone. That is how a job is known that came to its end before it came to the peer.
 */
const char *sim_call_replayed_as(struct sim_call_model *model, uint32_t call, struct slice id);

/* --- what the peer sees ------------------------------------------------------- */

/* A request has come whole to this destination, on this connection. *ret_call is its call. */
const char *sim_call_arrived(struct sim_call_model *model, uint32_t order, uint32_t destination,
                             struct slice id, uint32_t connection, uint32_t *ret_call);

/* How the peer is done with a request. */
enum sim_call_answer {
    SIM_CALL_GOOD,    /* 2xx */
    SIM_CALL_NEVER,   /* 4xx: not to be tried again */
    SIM_CALL_FAILED,  /* 5xx */
    SIM_CALL_CLOSED,  /* the connection, without an answer: it may be sent again at once */
    SIM_CALL_WAITING, /* 429: tried again, and the peer is well */
    SIM_CALL_LEFT,    /* not at all: the server has ended the connection */
};

/* It answers what has arrived of the call on this connection, or will not. */
void sim_call_answered(struct sim_call_model *model, uint32_t call, uint32_t connection,
                       enum sim_call_answer answer);

/* The line of an order. */
struct sim_call_line *sim_call_line_of(struct sim_call_model *model, uint32_t order);

/* The call with this id; SIM_JOB_NONE. */
uint32_t sim_call_find(const struct sim_call_model *model, struct slice id);

/* At the end of all: an order that was accepted has been carried out as often as it must be. */
const char *sim_call_settled(const struct sim_call_model *model, uint32_t order);

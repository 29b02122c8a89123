/*
 * Errand: one HTTP request's way to the shard that keeps what its project has, and back.
 *
 * The routes fill it on the shard that received the request (home); the actor of the same kind
 * on the project's shard (owner) carries it out and gives it back decided. Between submit and
 * the answer it is lent: only the owner touches it.
 *
 *     FILLING --submit--> LENT --decide--> DECIDED --release--> free
 *                           \--the connection is gone: abandoned, freed when it comes back
 *
 * Embedded in what is asked for, with all that this needs: incident_request.h,
 * schedule_request.h. A struct errands is part of each actor that sends or receives them.
 */
#pragma once

#include "actors/outbox.h"
#include "contracts/problem.h"
#include "http/exchange.h"
#include "runtime/pool.h"
#include "store/job_record.h"

enum { ERRAND_MAGIC = 0x45525244 };

struct errand;

/* What is the same for all errands of a kind. */
struct errand_type {
    const char *name; /* of the pool */
    size_t size;      /* of what it is embedded in */
    uint32_t count_max;
    uint16_t message_do;     /* to the owner */
    uint16_t message_done;   /* back home */
    uint16_t message_answer; /* to the connection, with the exchange's token */
    /* Begins with what is asked for, at the owner; ends with errand_decide(). */
    void (*carry_out)(struct errand *errand);
    /* At home: gives back what the errand holds, then its slot of errands.pool. */
    void (*free)(struct errand *errand);
};

/* Where errands of a kind leave from and arrive. Private to errand.c but for pool. */
struct errands {
    const struct errand_type *type;
    struct actor *actor; /* that it is part of */
    struct outbox outbox;
    struct pool pool; /* of this shard's connections */
};

enum errand_phase {
    ERRAND_FILLING,
    ERRAND_LENT,
    ERRAND_DECIDED,
};

struct errand {
    uint32_t magic;
    uint8_t phase;     /* enum errand_phase */
    bool is_abandoned; /* home's: nobody waits any more */
    uint8_t org_size;
    uint8_t project_size;
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];

    /* Result: PROBLEM_NONE, or why it was refused; else the answer is JSON. */
    uint16_t code;
    struct slice answer;

    struct errands *home;
    struct errands *owner;
    struct actor_id connection;
    uint64_t token;
    struct list_node link; /* the owner's, while the errand waits there */
};

/* Reserves the slots. 0 or -errno. Start-up only. */
MUST_USE int errands_init(struct errands *errands, const struct errand_type *type,
                          struct actor *actor);

/* Frees what errands_init() made. */
void errands_deinit(struct errands *errands);

/* Once per start of the actor. */
void errands_start(struct errands *errands);

/* True when timer was of the errands, after going on. */
bool errands_on_timer(struct errands *errands, const struct timer *timer);

/* A message of the type's message_do or message_done. */
void errands_on_message(struct errands *errands, const struct message *msg);

/* True when every errand of this shard has been answered. */
bool errands_is_idle(const struct errands *errands);

/* Makes zeroed memory, a slot of home's pool, an errand for this exchange. */
void errand_begin(struct errand *errand, struct errands *home, struct exchange *exchange);

/* Hands it to its owner. The answer is the type's message_answer to the connection. */
void errand_submit(struct errand *errand, struct errands *owner);

/* The owner is done with it, its result is there: back home. */
void errand_decide(struct errand *errand);

/* As errand_decide(), with a refusal. */
void errand_refuse(struct errand *errand, enum problem_code code);

/* The problem of a commit that the journal refused: not JOURNAL_OK. */
MUST_USE enum problem_code errand_problem_of_commit(int result);

/* Gives it back, or has that done when it comes back; nulls the pointer. */
void errand_release(struct errand **errand);

/* The organisation that it is about. */
static inline struct slice errand_org(const struct errand *errand)
{
    return (struct slice){errand->org, errand->org_size};
}

/* And the project. */
static inline struct slice errand_project(const struct errand *errand)
{
    return (struct slice){errand->project, errand->project_size};
}

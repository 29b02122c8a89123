/*
 * Supervisor: an actor that starts other actors, and starts them again.
 *
 * Semantics are those of Erlang/OTP. Children are started from left to right and
 * stopped from right to left, each waited for. When a child ends:
 *
 *     permanent   always started again
 *     transient   started again unless it ended normally or by a shutdown
 *     temporary   never started again, not even when a sibling takes all others down
 *
 * The strategy says who else is stopped and started with it. More than intensity
 * restarts within the period: the supervisor stops all its children and ends with a
 * shutdown, which its own supervisor treats like any other end; a root that gives up
 * fails the process. So what is restarted at most is the product of the levels.
 * A child with a back-off waits before each restart and is not counted in the
 * intensity: it is meant for things outside that may be gone for hours.
 *
 * A restarted child keeps its id, its memory and its mailbox. Each failure is logged
 * here, once, and nowhere else.
 */
#pragma once

#include "runtime/actor.h"
#include "runtime/backoff.h"

enum {
    SUPERVISOR_MAGIC = 0x50be5150,
    SUPERVISOR_CHILDREN_MAX = 64, /* in a spec; dynamic children have no bound of their own */
    SUPERVISOR_INTENSITY_DEFAULT = 5,
    SUPERVISOR_INTENSITY_MAX = 64,
    SUPERVISOR_DEPTH_MAX = 16,
    SUPERVISOR_LOG_LINES_MAX = 10, /* failures logged per second, the rest as a number */
};

enum supervisor_strategy {
    SUPERVISE_ONE_FOR_ONE,
    SUPERVISE_ONE_FOR_ALL,
    SUPERVISE_REST_FOR_ONE,       /* the one that ended and those to its right */
    SUPERVISE_SIMPLE_ONE_FOR_ONE, /* any number of children of one kind, started later */
};

enum supervisor_restart {
    RESTART_PERMANENT,
    RESTART_TRANSIENT,
    RESTART_TEMPORARY,
};

/* shutdown_ms: how long a child may take to stop before it is killed. */
enum {
    SHUTDOWN_DEFAULT = 0, /* 5 s; for a supervisor: for ever */
    SHUTDOWN_KILL = -1,   /* not asked at all */
    SHUTDOWN_INFINITY = -2,
};

/* intensity: restarts within the period that are not too many. */
enum {
    INTENSITY_DEFAULT = 0, /* SUPERVISOR_INTENSITY_DEFAULT */
    INTENSITY_NONE = -1,   /* the first restart is one too many */
};

struct supervisor;

/* One child, or for SIMPLE_ONE_FOR_ONE the kind of all. Static; NULL and 0 are defaults. */
struct supervisor_child_spec {
    const char *name;
    struct actor *actor;                                  /* zeroed memory, or: */
    struct actor *(*make)(struct supervisor *supervisor); /* gives it at each first start */
    const struct actor_type *type;
    uint32_t type_magic;
    enum supervisor_restart restart;
    int32_t shutdown_ms;    /* or one of SHUTDOWN_* */
    struct backoff backoff; /* only for the two one-for-one strategies */
};

/* What a supervisor is to do. Static. */
struct supervisor_spec {
    const char *name;
    enum supervisor_strategy strategy;
    int32_t intensity;  /* or one of INTENSITY_* */
    uint32_t period_ms; /* 0 means 30000 */
    const struct supervisor_child_spec *children;
    uint32_t child_count;
};

enum supervisor_mode {
    SUPERVISOR_STARTING,
    SUPERVISOR_WATCHING,
    SUPERVISOR_RESTARTING, /* stopping, from the right, those to be restarted together */
    SUPERVISOR_STOPPING,
};

/* Private to supervisor.c; embedded by value. */
struct supervisor {
    struct actor actor;
    const struct supervisor_spec *spec;
    enum supervisor_mode mode;
    uint32_t restart_from; /* RESTARTING: the leftmost child that takes part */
    struct actor *children[SUPERVISOR_CHILDREN_MAX];
    struct list_node dynamic; /* SIMPLE_ONE_FOR_ONE: through children_link */
    uint32_t dynamic_count;
    int start_error; /* of the first child that could not be started */
    bool gave_up;    /* too many restarts */
    bool brutal;     /* being killed: children are killed too */
    bool dynamic_stopping;
    struct timer kill_timer; /* SIMPLE_ONE_FOR_ONE: shutdown time of all children */
    uint64_t restarts_ns[SUPERVISOR_INTENSITY_MAX]; /* ring of the latest */
    uint32_t restart_total;
    uint64_t log_second;
    uint32_t log_lines;
    uint64_t log_unsaid;
};

/* The type to name in a spec whose child is itself a supervisor (SUPERVISOR_MAGIC). */
extern const struct actor_type supervisor_type;

/* Says what to do to a zeroed supervisor that is to be a child of another. Borrows spec. */
void supervisor_init(struct supervisor *supervisor, const struct supervisor_spec *spec);

/*
 * Starts a supervisor and its children, under parent (ACTOR_ID_NONE: as the shard's
 * root). Borrows spec. 0, or -errno: what the first child that could not start
 * answered. Those that had been started are then stopped by the loop; a caller that
 * gives up altogether calls runtime_free().
 */
MUST_USE int supervisor_spawn(struct shard *shard, struct supervisor *supervisor,
                              const struct supervisor_spec *spec, struct actor_id parent);

/*
 * SIMPLE_ONE_FOR_ONE: starts child, zeroed but for its own fields. From any actor of
 * the same shard. 0, -ESHUTDOWN when the supervisor is stopping, or as actor_spawn();
 * on an error the memory is the caller's again.
 */
MUST_USE int supervisor_start_child(struct supervisor *supervisor, struct actor *child);

/* Children that exist now, in whatever state. */
uint32_t supervisor_child_count(const struct supervisor *supervisor);

/* One actor of the tree as shown to the operator; valid during the visit. */
struct supervisor_entry {
    const char *name;
    const char *type_name;
    struct actor_id id;
    enum actor_state state;
    uint32_t depth;
    uint32_t mailbox_count;
    uint32_t restart_count;
    uint32_t child_count; /* of a supervisor */
    uint64_t started_ns;
};

/* Called for each actor; embedded in whatever collects. */
struct supervisor_visitor {
    void (*visit)(struct supervisor_visitor *visitor, const struct supervisor_entry *entry);
};

/* Visits the supervisor, then its children from left to right, each with its own. */
void supervisor_visit(const struct supervisor *supervisor, struct supervisor_visitor *visitor);

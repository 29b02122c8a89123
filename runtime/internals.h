/*
 * Internals: what the files of the actor runtime share with each other.
 *
 * Only actor.c, shard.c, runtime.c, dead_letter.c, supervisor.c and their tests
 * include this. Everything belongs to the shard's thread, but for the inboxes,
 * doorbell and heartbeat, which say so themselves.
 */
#pragma once

#include <pthread.h>
#include <setjmp.h>

#include "runtime/actor_table.h"
#include "runtime/inbox.h"
#include "runtime/log_writer.h"
#include "runtime/shard.h"
#include "runtime/trace.h"
#include "runtime/watchdog.h"

enum {
    RUNTIME_TYPES_MAX = 96, /* kinds of actor; row 0 counts all that are not registered */
    RUNTIME_TYPE_OTHER = 0,
    RUNTIME_METRICS_PERIOD_NS = 100000000,
    SHARD_LOG_FINISH_TURNS_MAX = 100,
};

/* What is counted per type and shard since the last shard_update_metrics(). */
struct type_counters {
    uint64_t handled;
    uint64_t unhandled;
    uint64_t full; /* answered SEND_FULL: still the sender's */
    uint64_t dead;
    uint64_t restarts;
    uint64_t slow;
    uint64_t depth; /* present, not since; wraps never: pushes minus pops */
};

/* What is counted per shard since the last shard_update_metrics(). */
struct shard_counters {
    uint64_t turns;
    uint64_t parks;
    uint64_t wakes;
    uint64_t stale_completions;
    uint64_t escalations;
    uint64_t dead_letters[DEAD_LETTER_REASON_COUNT];
};

/* One shard's private part. */
struct shard_internals {
    /* The panic guard: where actor_panic() goes, and what was going on. */
    jmp_buf *guard;
    struct actor *current;
    struct message *in_hand; /* from the mailbox, being handled */
    const char *panic_text;
    struct trace trace;

    struct list_node turn_hooks;

    /* Run queue and its slices. */
    struct list_node run_queue;
    uint64_t now_ns; /* the latest reading in this turn */
    uint64_t activation_started_ns;
    uint64_t run_started_ns;
    uint64_t activation_count;
    uint64_t checked_activation; /* the activation in which now_ns was read */
    uint32_t messages_to_check;  /* handled until the clock is read again */

    /* What is left of this turn's bounds; a phase resumed after a panic goes on with them. */
    uint32_t reap_left;
    uint32_t run_left;
    uint32_t exchange_at; /* run_left at which inboxes and outboxes are looked at again */
    uint32_t timers_left;

    struct actor_table actors;
    struct pool messages;
    uint64_t outbound_dirty; /* bit n: shard n has unpublished messages from us */
    uint32_t drained_count;  /* messages from other shards since the last wait */
    bool inbound_blocked;    /* an inbox was left because the message pool is empty */
    bool stop_seen;
    bool ended;

    struct type_counters types[RUNTIME_TYPES_MAX];
    struct shard_counters counters;
    struct io_stats io_stats_seen;
    uint64_t stalls_seen;
    uint64_t metrics_updated_ns;

    uint64_t dead_letter_second;
    uint32_t dead_letter_lines;
    uint64_t dead_letter_unsaid;

    struct doorbell doorbell;
    struct heartbeat heartbeat;
    struct log_writer log_writer;
};

/* The series the runtime itself keeps. */
struct runtime_series {
    struct metric handled[RUNTIME_TYPES_MAX];
    struct metric unhandled[RUNTIME_TYPES_MAX];
    struct metric full[RUNTIME_TYPES_MAX];
    struct metric dead[RUNTIME_TYPES_MAX];
    struct metric restarts[RUNTIME_TYPES_MAX];
    struct metric slow[RUNTIME_TYPES_MAX];
    struct metric depth[RUNTIME_TYPES_MAX];
    struct metric dead_letters[DEAD_LETTER_REASON_COUNT];
    struct metric escalations;
    struct metric stalls;
    struct metric stale_completions;
    struct metric actors;
    struct metric messages_used;
    struct metric timers_armed;
    struct metric timer_lateness;
    struct metric turns;
    struct metric turn_time;
    struct metric parks;
    struct metric wakes;
    struct metric io_enters;
    struct metric io_completions;
    struct metric io_overflows;
    struct metric io_starved;
};

struct runtime {
    struct runtime_config config;
    uint32_t shard_count;
    struct shard *shards[SHARD_COUNT_MAX];
    struct inbox *inboxes; /* [to * (shard_count + 1) + from]; from == shard_count: boot thread */
    struct message *inbox_slots;
    size_t inboxes_size;
    size_t inbox_slots_size;

    const struct actor_type *types[RUNTIME_TYPES_MAX]; /* set-up only */
    uint32_t type_count;
    struct runtime_series series;
    bool frozen;

    /* Any thread; atomic. */
    int exit_code;
    const char *unsaid_failure;
    uint32_t stop_wanted;

    /* The boot thread's. */
    pthread_t threads[SHARD_COUNT_MAX];
    uint32_t thread_count;
    struct watchdog *watchdog;
    pthread_mutex_t start_mutex;
    pthread_cond_t start_changed;
    uint32_t started_count; /* under start_mutex, as is the next */
    int start_error;
};

/* The shard whose loop or set-up this thread is in, or NULL. */
extern _Thread_local struct shard *shard_of_thread;

/* The ring that carries messages from shard (or shard_count: the boot thread) to shard. */
static inline struct inbox *runtime_inbox(struct runtime *runtime, uint32_t to, uint32_t from)
{
    return &runtime->inboxes[(size_t)to * (runtime->shard_count + 1) + from];
}

/* Adds the series that every runtime has; the per-type ones follow at the freeze. */
void runtime_add_series(struct runtime *runtime);

/* True once runtime_stop() was called. */
bool runtime_stop_is_wanted(const struct runtime *runtime);

/* The row of counters for this type; registers it while the registry is open. */
uint16_t runtime_type_index(struct runtime *runtime, const struct actor_type *type);

/* Puts actor at the end of the run queue, unless it is there. */
void shard_schedule(struct shard *shard, struct actor *actor);

/* True when the running actor, or all actors together, had their share of this turn. */
bool shard_slice_is_over(struct shard *shard, const struct actor *actor);

/* Notes that a completion, timer or end was delivered: is its handler slow? */
void shard_count_callback(struct shard *shard, const struct actor *actor);

/* Counts one timer of an actor that fires now. */
void shard_count_timer(struct shard *shard, const struct timer *timer);

/* Sets up a zeroed shard: everything but its backend, which is set. 0 or -errno. */
MUST_USE int shard_init(struct shard *shard, struct runtime *runtime, uint32_t index);

/* Gives back what shard_init() acquired and frees the backend. */
void shard_deinit(struct shard *shard);

/* After the last turn: tries for a bounded time to get the log out. */
void shard_finish_log(struct shard *shard);

/* Makes visible what was sent to the peer and wakes it if it sleeps. */
void shard_publish(struct shard *shard, uint32_t peer_index);

/* The actor with this id in whatever state, or NULL. */
struct actor *shard_find(struct shard *shard, struct actor_id id);

/* Ends a running actor because it said so; because it failed. */
void actor_end_normally(struct actor *actor);
void actor_crash(struct actor *actor, enum exit_reason reason, int error, const char *text);

/* The next steps of an actor that is ending; may leave by longjmp. */
void actor_continue_end(struct actor *actor);

/* Calls receive() with a message that is not from the mailbox and acts on the verdict, which it
 * gives back; may leave by longjmp. */
int actor_deliver(struct actor *actor, const struct message *msg);

/* Makes dead letters of everything in the mailbox. */
void actor_drop_mail(struct actor *actor);

/* Between activations: takes in, now and then, what came from other shards. Calls no handler. */
void shard_exchange(struct shard *shard);

/* One activation of an actor from the run queue; may leave by longjmp. */
void actor_activate(struct actor *actor);

/* Puts a message from another shard where it belongs. False: leave it in the ring. */
bool actor_accept(struct shard *shard, const struct message *msg);

/* After actor_panic() came back to the loop: crashes whoever was running. */
void actor_settle_panic(struct shard *shard);

/*
 * Starts a DOWN actor again, same id, next incarnation. 0, or what start() answered:
 * then the actor is on its way to another MSG_EXIT, so the result may be left alone.
 */
int actor_restart(struct actor *actor);

/* Lets a DOWN actor go: dead letters, stale id, type->free. */
void actor_discard(struct actor *actor);

/* Asks a running actor to stop; any other state: nothing. */
void actor_request_stop(struct actor *actor);

/* Ends a running actor without asking it. */
void actor_kill(struct actor *actor);

#include "runtime/actor.h"

#include <errno.h>

#include "runtime/internals.h"

/*
 * Life of an actor: start, what it is called with, its end. How messages get to it
 * stands in delivery.c.
 *
 *     begin_end()            STOPPING or CRASHED; timers stopped, operations cancelled
 *     actor_continue_end()   from the run queue: no operation armed any more?
 *                            -> DOWN, release(), tell the supervisor, discard unless kept
 *
 * The supervisor's receive() is called on the way and may panic. So the actor is put
 * back into the run queue before, and each step is noted before it is taken: after a
 * panic the next activation goes on behind the step that failed.
 */

_Thread_local struct shard *shard_of_thread;

static void actor_check(const struct actor *actor)
{
    assert(actor->magic == ACTOR_MAGIC);
    assert(actor->shard != NULL);
    assert(actor->state != ACTOR_NEW);
    assert(actor->state != ACTOR_GONE);
}

const char *actor_state_name(enum actor_state state)
{
    switch (state) {
    case ACTOR_NEW:
        return "new";
    case ACTOR_RUNNING:
        return "running";
    case ACTOR_STOPPING:
        return "stopping";
    case ACTOR_CRASHED:
        return "crashed";
    case ACTOR_DOWN:
        return "down";
    case ACTOR_GONE:
        return "gone";
    }
    return "unknown";
}

const char *exit_reason_name(enum exit_reason reason)
{
    switch (reason) {
    case EXIT_NORMAL:
        return "normal";
    case EXIT_SHUTDOWN:
        return "shutdown";
    case EXIT_ERROR:
        return "error";
    case EXIT_PANIC:
        return "panic";
    case EXIT_KILLED:
        return "killed";
    }
    return "unknown";
}

void actor_panic(const char *text)
{
    struct shard *shard = shard_of_thread;

    /* Outside of every handler there is nobody to crash but the process. */
    assert(shard != NULL);
    assert(shard->internals->guard != NULL);
    assert(shard->internals->current != NULL);
    shard->internals->panic_text = text;
    _longjmp(*shard->internals->guard, 1);
}

static int run_start(struct actor *self)
{
    return self->type->start(self);
}

static int run_release(struct actor *self)
{
    if (self->type->release != NULL)
        self->type->release(self);
    return 0;
}

/*
 * Calls with a panic guard of its own, because the caller may be inside the handler
 * of another actor, which a panic in here must not unwind. Gives what call gave, or
 * -ENOTRECOVERABLE after a panic.
 */
static int call_guarded(struct actor *self, int (*call)(struct actor *self))
{
    struct shard_internals *internals = self->shard->internals;
    struct shard *outer_shard = shard_of_thread;
    struct actor *outer_actor = internals->current;
    jmp_buf *outer_guard = internals->guard;
    jmp_buf guard;
    volatile int r = -ENOTRECOVERABLE;

    shard_of_thread = self->shard;
    internals->current = self;
    internals->guard = &guard;
    if (_setjmp(guard) == 0)
        r = call(self);
    else
        self->exit_text = internals->panic_text;
    internals->guard = outer_guard;
    internals->current = outer_actor;
    shard_of_thread = outer_shard;
    assert(r <= 0);
    return r;
}

/* A release() that panics has released what it could; the end goes on. */
static void release(struct actor *self)
{
    const char *text = self->exit_text;
    int r = call_guarded(self, run_release);

    assert(r == 0 || r == -ENOTRECOVERABLE);
    self->exit_text = text;
}

static void stop_timers(struct actor *self)
{
    while (!list_is_empty(&self->timers)) {
        struct timer *timer = container_of(self->timers.next, struct timer, owner_link);

        actor_timer_stop(self, timer);
    }
}

/* A close is left alone: it ends by itself, and half a close is a lost descriptor. */
static void cancel_ops(struct actor *self)
{
    for (struct list_node *node = self->ops.next; node != &self->ops; node = node->next) {
        struct io_op *op = container_of(node, struct io_op, owner_link);

        if (op->type != IO_CLOSE)
            io_cancel(self->shard->io, op);
    }
}

static void begin_end(struct actor *self, enum actor_state state, enum exit_reason reason,
                      int error, const char *text)
{
    actor_check(self);
    assert(self->state == ACTOR_RUNNING);
    assert(state == ACTOR_STOPPING || state == ACTOR_CRASHED);
    self->state = (uint8_t)state;
    self->exit_reason = (uint8_t)reason;
    self->exit_error = error;
    self->exit_text = text;
    self->exit_untold = true;
    self->restart_wanted = false;
    stop_timers(self);
    cancel_ops(self);
    shard_schedule(self->shard, self);
}

void actor_end_normally(struct actor *self)
{
    begin_end(self, ACTOR_STOPPING, self->stop_wanted ? EXIT_SHUTDOWN : EXIT_NORMAL, 0, NULL);
}

void actor_crash(struct actor *self, enum exit_reason reason, int error, const char *text)
{
    begin_end(self, ACTOR_CRASHED, reason, error, text);
}

static void begin_life(struct actor *self)
{
    self->state = ACTOR_RUNNING;
    self->incarnation++;
    self->stop_wanted = false;
    self->stop_delivered = false;
    self->started_ns = self->shard->clock.mono_ns;
}

static void init_actor(struct shard *shard, struct actor *self, const struct actor_type *type,
                       uint32_t type_magic, struct actor_id supervisor)
{
    self->magic = ACTOR_MAGIC;
    self->type_magic = type_magic;
    self->type = type;
    self->type_index = runtime_type_index(shard->runtime, type);
    self->shard = shard;
    self->supervisor = supervisor;
    self->restart_count = 0;
    self->backoff_count = 0;
    self->restart_wanted = false;
    self->exit_untold = false;
    self->exit_text = NULL;
    mailbox_init(&self->mailbox, type->mailbox_max > 0 ? type->mailbox_max : MAILBOX_DEFAULT);
    list_init(&self->run_link);
    list_init(&self->ops);
    list_init(&self->timers);
    list_init(&self->children_link);
}

/* Undoes a start that failed before anything outlives it; the memory is the caller's again. */
static void abandon(struct actor *self)
{
    stop_timers(self);
    release(self);
    list_remove(&self->run_link);
    actor_drop_mail(self);
    actor_table_remove(&self->shard->internals->actors, self->id);
    self->state = ACTOR_NEW;
}

int actor_spawn(struct shard *shard, struct actor *self, const struct actor_type *type,
                uint32_t type_magic, struct actor_id supervisor)
{
    int r;

    assert(type->start != NULL);
    assert(type->receive != NULL);
    assert(self->state == ACTOR_NEW || self->state == ACTOR_GONE);
    init_actor(shard, self, type, type_magic, supervisor);
    r = actor_table_add(&shard->internals->actors, self, &self->id);
    if (r < 0)
        return r;
    begin_life(self);
    r = call_guarded(self, run_start);
    if (r < 0 && list_is_empty(&self->ops)) {
        abandon(self);
        return r;
    }
    if (r < 0)
        actor_crash(self, r == -ENOTRECOVERABLE ? EXIT_PANIC : EXIT_ERROR, r, self->exit_text);
    if (actor_id_is_none(supervisor) && actor_id_is_none(shard->root))
        shard->root = self->id;
    return 0;
}

int actor_restart(struct actor *self)
{
    int r;

    actor_check(self);
    assert(self->state == ACTOR_DOWN);
    assert(list_is_empty(&self->ops));
    self->restart_count++;
    self->restart_wanted = false;
    self->exit_untold = false;
    self->exit_text = NULL;
    self->shard->internals->types[self->type_index].restarts++;
    begin_life(self);
    r = call_guarded(self, run_start);
    if (r < 0)
        actor_crash(self, r == -ENOTRECOVERABLE ? EXIT_PANIC : EXIT_ERROR, r, self->exit_text);
    else if (mailbox_count(&self->mailbox) > 0)
        shard_schedule(self->shard, self);
    return r;
}

/* Nobody above: the shard ends with its root, the process with a root that failed. */
static void end_root(struct actor *self)
{
    struct shard *shard = self->shard;

    if (!actor_id_equal(shard->root, self->id))
        return;
    if (self->exit_reason == EXIT_ERROR || self->exit_reason == EXIT_PANIC)
        runtime_fail(shard->runtime, SHARD_EXIT_SOFTWARE,
                     self->exit_text != NULL ? self->exit_text : "the root actor failed");
    shard_end(shard);
}

static void tell_supervisor(struct actor *self)
{
    struct actor *supervisor = shard_find(self->shard, self->supervisor);
    struct message msg = {
        .type = MSG_EXIT,
        .flags = MESSAGE_SYSTEM,
        .from = self->id,
        .to = self->supervisor,
        .as.exit = {.id = self->id,
                    .reason = self->exit_reason,
                    .error = self->exit_error,
                    .text = self->exit_text},
    };

    if (actor_id_is_none(self->supervisor))
        end_root(self);
    else if (supervisor != NULL && supervisor->state == ACTOR_RUNNING)
        (void)actor_deliver(supervisor, &msg);
}

void actor_discard(struct actor *self)
{
    void (*free_actor)(struct actor *) = self->type->free;

    actor_check(self);
    assert(self->state == ACTOR_DOWN);
    assert(list_is_empty(&self->ops));
    assert(list_is_empty(&self->timers));
    mailbox_close(&self->mailbox);
    actor_drop_mail(self);
    list_remove(&self->run_link);
    list_remove(&self->children_link);
    actor_table_remove(&self->shard->internals->actors, self->id);
    self->state = ACTOR_GONE;
    if (free_actor != NULL)
        free_actor(self);
}

void actor_continue_end(struct actor *self)
{
    actor_check(self);
    if (self->state != ACTOR_DOWN) {
        if (!list_is_empty(&self->ops))
            return;
        shard_schedule(self->shard, self);
        self->state = ACTOR_DOWN;
        release(self);
    }
    shard_schedule(self->shard, self);
    if (self->exit_untold) {
        self->exit_untold = false;
        tell_supervisor(self);
    }
    if (self->state != ACTOR_DOWN)
        return;
    list_remove(&self->run_link);
    if (!self->restart_wanted)
        actor_discard(self);
}

void actor_request_stop(struct actor *self)
{
    actor_check(self);
    if (self->state != ACTOR_RUNNING || self->stop_wanted)
        return;
    self->stop_wanted = true;
    shard_schedule(self->shard, self);
}

void actor_stop(struct shard *shard, struct actor_id id)
{
    struct actor *actor = shard_find(shard, id);

    if (actor != NULL)
        actor_request_stop(actor);
}

void actor_kill(struct actor *self)
{
    actor_check(self);
    if (self->state == ACTOR_RUNNING)
        begin_end(self, ACTOR_STOPPING, EXIT_KILLED, 0, NULL);
}

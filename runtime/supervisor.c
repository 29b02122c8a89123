#include "runtime/supervisor.h"

#include <errno.h>

#include "runtime/internals.h"
#include "runtime/sim_point.h"

/*
 *     STARTING --all children started--> WATCHING <--all started again-- RESTARTING
 *         |                                 | \--one for all, rest for one--^   |
 *         |                                 |                                  |
 *         +--a child cannot start--+        +--asked to stop, too many restarts+
 *                                  v        v
 *                                  STOPPING --last child gone--> ends
 *
 * Everything is driven by MSG_EXIT: a supervisor never waits, it asks one child to
 * stop and goes on when that child's end is reported. RESTARTING and STOPPING look at
 * the children from the right: the first that is still there decides whether to ask,
 * or to go on waiting; when none is left the mode's second half follows.
 *
 * The child whose end is being reported is DOWN and still held by the caller, who lets
 * it go after receive() unless restart_wanted is set or it runs again. So here it is
 * forgotten or restarted, never discarded. A child that is DOWN for longer (back-off, or
 * to the right of one that failed to start again) is parked and ours to discard.
 *
 * A restart that fails at once is reported as another end of that child, so restarts
 * need no loop of their own: they count, and too many end in STOPPING.
 */

enum {
    SHUTDOWN_MS_DEFAULT = 5000,
    PERIOD_MS_DEFAULT = 30000,
};

static int advance(struct supervisor *self);

static void supervisor_check(const struct supervisor *self)
{
    assert(self->actor.magic == ACTOR_MAGIC);
    assert(self->spec != NULL);
    assert(self->restart_from <= self->spec->child_count);
}

static bool is_simple(const struct supervisor *self)
{
    return self->spec->strategy == SUPERVISE_SIMPLE_ONE_FOR_ONE;
}

/* Which child this is; SIMPLE_ONE_FOR_ONE has one spec for all. */
static uint32_t index_of(const struct supervisor *self, const struct actor *child)
{
    uint32_t index = 0;

    if (is_simple(self))
        return 0;
    while (index < self->spec->child_count && self->children[index] != child)
        index++;
    assert(index < self->spec->child_count);
    return index;
}

static const struct supervisor_child_spec *spec_of(const struct supervisor *self,
                                                   const struct actor *child)
{
    return &self->spec->children[index_of(self, child)];
}

static void forget(struct supervisor *self, struct actor *child)
{
    child->restart_wanted = false;
    if (!is_simple(self)) {
        self->children[index_of(self, child)] = NULL;
        return;
    }
    assert(self->dynamic_count > 0);
    list_remove(&child->children_link);
    self->dynamic_count--;
}

static void stop_timer_of(struct supervisor *self, struct actor *child)
{
    if (child->stop_timer.armed)
        actor_timer_stop(&self->actor, &child->stop_timer);
}

/* A parked child goes for good. */
static void drop_parked(struct supervisor *self, struct actor *child)
{
    assert(child->state == ACTOR_DOWN);
    stop_timer_of(self, child);
    forget(self, child);
    actor_discard(child);
}

/* True when one more failure may be logged in this second. */
static bool take_log_line(struct supervisor *self)
{
    uint64_t second = self->actor.shard->clock.mono_ns / 1000000000;

    if (second != self->log_second) {
        self->log_second = second;
        self->log_lines = 0;
    }
    if (self->log_lines >= SUPERVISOR_LOG_LINES_MAX) {
        self->log_unsaid++;
        return false;
    }
    self->log_lines++;
    return true;
}

static enum log_level level_of(const struct supervisor *self, const struct message_exit *end)
{
    switch (end->reason) {
    case EXIT_ERROR:
    case EXIT_PANIC:
        return LOG_ERROR;
    case EXIT_KILLED:
        return LOG_WARN;
    case EXIT_NORMAL:
    case EXIT_SHUTDOWN:
        break;
    }
    return self->mode == SUPERVISOR_WATCHING && !is_simple(self) ? LOG_INFO : LOG_DEBUG;
}

static const char *describe_error(const struct message_exit *end)
{
    const char *text = end->text;

    if (text == NULL && end->error < 0)
        text = strerrordesc_np(-end->error);
    return text != NULL ? text : "";
}

static void log_end(struct supervisor *self, const struct actor *child, const char *name,
                    const struct message_exit *end)
{
    enum log_level level = level_of(self, end);

    if (level == LOG_DEBUG && self->actor.shard->log.level > LOG_DEBUG)
        return;
    if (!take_log_line(self))
        return;
    log_event(&self->actor.shard->log, level, "supervisor", "an actor ended",
              LOG_TEXT("supervisor", slice_of(self->spec->name)), LOG_TEXT("actor", slice_of(name)),
              LOG_NUMBER("actor_id", child->id.bits),
              LOG_TEXT("reason", slice_of(exit_reason_name(end->reason))),
              LOG_TEXT("error", slice_of(describe_error(end))),
              LOG_NUMBER("restarts", child->restart_count), LOG_NUMBER("unsaid", self->log_unsaid));
    self->log_unsaid = 0;
}

static void log_start_failure(struct supervisor *self, const char *name, int error)
{
    const char *text = strerrordesc_np(-error);

    log_event(&self->actor.shard->log, LOG_ERROR, "supervisor", "an actor did not start",
              LOG_TEXT("supervisor", slice_of(self->spec->name)), LOG_TEXT("actor", slice_of(name)),
              LOG_TEXT("error", slice_of(text != NULL ? text : "")));
}

static int start_child(struct supervisor *self, uint32_t index)
{
    const struct supervisor_child_spec *spec = &self->spec->children[index];
    struct actor *child = spec->actor != NULL ? spec->actor : spec->make(self);
    int r;

    assert(self->children[index] == NULL);
    if (child == NULL)
        return -ENOMEM;
    r = actor_spawn(self->actor.shard, child, spec->type, spec->type_magic, self->actor.id);
    if (r == 0) {
        self->children[index] = child;
        return 0;
    }
    if (spec->make != NULL && spec->type->free != NULL)
        spec->type->free(child);
    return r;
}

static void kill_child(struct actor *child)
{
    struct supervisor *below;

    if (child->type != &supervisor_type) {
        actor_kill(child);
        return;
    }
    below = ACTOR_CAST(child, struct supervisor, SUPERVISOR_MAGIC);
    if (child->state != ACTOR_RUNNING)
        return;
    below->brutal = true;
    below->mode = SUPERVISOR_STOPPING;
    if (advance(below) != ACTOR_OK)
        actor_kill(child);
}

static uint64_t shutdown_ms_of(const struct supervisor_child_spec *spec)
{
    if (spec->shutdown_ms == SHUTDOWN_INFINITY)
        return UINT64_MAX;
    if (spec->shutdown_ms > 0)
        return (uint64_t)spec->shutdown_ms;
    assert(spec->shutdown_ms == SHUTDOWN_DEFAULT);
    return spec->type == &supervisor_type ? UINT64_MAX : SHUTDOWN_MS_DEFAULT;
}

/* Asks a running child to stop, or kills it; its MSG_EXIT follows. */
static void stop_child(struct supervisor *self, struct actor *child)
{
    const struct supervisor_child_spec *spec = spec_of(self, child);

    if (self->brutal || spec->shutdown_ms == SHUTDOWN_KILL) {
        kill_child(child);
        return;
    }
    if (child->stop_wanted && child->stop_timer.armed)
        return; /* asked before, and its time is running */
    actor_request_stop(child);
    if (shutdown_ms_of(spec) == UINT64_MAX)
        return;
    actor_timer_init(&self->actor, &child->stop_timer);
    actor_timer_start(&self->actor, &child->stop_timer, shutdown_ms_of(spec));
}

/* From the right down to first: true when none is left but those that are parked. */
static bool stop_from_right(struct supervisor *self, uint32_t first)
{
    for (uint32_t i = self->spec->child_count; i-- > first;) {
        struct actor *child = self->children[i];

        if (child == NULL || child->state == ACTOR_DOWN)
            continue;
        if (child->state == ACTOR_RUNNING)
            stop_child(self, child);
        return false;
    }
    return true;
}

static void give_up(struct supervisor *self)
{
    SOMETIMES("a supervisor gives up");
    self->gave_up = true;
    self->mode = SUPERVISOR_STOPPING;
    self->actor.shard->internals->counters.escalations++;
    log_event(&self->actor.shard->log, LOG_ERROR, "supervisor", "too many restarts: giving up",
              LOG_TEXT("supervisor", slice_of(self->spec->name)),
              LOG_NUMBER("restarts", self->restart_total));
}

/* All that take part are down: start them, from the left, until one fails. */
static int start_again(struct supervisor *self)
{
    self->mode = SUPERVISOR_WATCHING;
    for (uint32_t i = self->restart_from; i < self->spec->child_count; i++) {
        struct actor *child = self->children[i];
        int r = 0;

        if (child != NULL && actor_restart(child) < 0)
            return ACTOR_OK; /* its end will be reported and everything begins anew */
        if (child == NULL && self->spec->children[i].restart != RESTART_TEMPORARY)
            r = start_child(self, i);
        if (r < 0) {
            log_start_failure(self, self->spec->children[i].name, r);
            give_up(self);
            return advance(self);
        }
    }
    return ACTOR_OK;
}

static int end_self(struct supervisor *self)
{
    if (self->start_error < 0)
        return self->start_error;
    if (self->gave_up && actor_id_is_none(self->actor.supervisor))
        runtime_fail(self->actor.shard->runtime, SHARD_EXIT_SOFTWARE,
                     "the root supervisor gave up");
    self->actor.stop_wanted = true; /* its end is a shutdown */
    return ACTOR_STOP;
}

static void drop_all_parked(struct supervisor *self)
{
    for (uint32_t i = self->spec->child_count; i-- > 0;) {
        if (self->children[i] != NULL)
            drop_parked(self, self->children[i]);
    }
}

/* All at once: there is no order among them. */
static void stop_dynamic(struct supervisor *self, bool kill)
{
    struct list_node *node = self->dynamic.next;

    while (node != &self->dynamic) {
        struct actor *child = container_of(node, struct actor, children_link);

        node = node->next;
        if (child->state == ACTOR_DOWN)
            drop_parked(self, child);
        else if (kill)
            kill_child(child);
        else
            actor_request_stop(child);
    }
}

static int advance_dynamic(struct supervisor *self)
{
    const struct supervisor_child_spec *spec = &self->spec->children[0];
    bool kill = self->brutal || spec->shutdown_ms == SHUTDOWN_KILL;

    if (!self->dynamic_stopping || self->brutal) {
        stop_dynamic(self, kill);
        if (!self->dynamic_stopping && !kill && shutdown_ms_of(spec) != UINT64_MAX)
            actor_timer_start(&self->actor, &self->kill_timer, shutdown_ms_of(spec));
        self->dynamic_stopping = true;
    }
    return self->dynamic_count == 0 ? end_self(self) : ACTOR_OK;
}

/* The next step of RESTARTING or STOPPING; the supervisor's verdict. */
static int advance(struct supervisor *self)
{
    if (self->mode == SUPERVISOR_RESTARTING)
        return stop_from_right(self, self->restart_from) ? start_again(self) : ACTOR_OK;
    assert(self->mode == SUPERVISOR_STOPPING);
    if (is_simple(self))
        return advance_dynamic(self);
    if (!stop_from_right(self, 0))
        return ACTOR_OK;
    drop_all_parked(self);
    return end_self(self);
}

/* Notes one restart. False when it is one too many. */
static bool count_restart(struct supervisor *self)
{
    uint64_t now_ns = self->actor.shard->clock.mono_ns;
    uint64_t period_ms = self->spec->period_ms != 0 ? self->spec->period_ms : PERIOD_MS_DEFAULT;
    uint32_t max = SUPERVISOR_INTENSITY_DEFAULT;
    uint64_t *oldest;

    if (self->spec->intensity == INTENSITY_NONE)
        return false;
    if (self->spec->intensity > 0)
        max = (uint32_t)self->spec->intensity;
    oldest = &self->restarts_ns[self->restart_total % max];
    if (self->restart_total >= max && now_ns - *oldest <= period_ms * 1000000)
        return false;
    *oldest = now_ns;
    self->restart_total++;
    return true;
}

static bool is_restart_due(const struct supervisor_child_spec *spec, enum exit_reason reason)
{
    switch (spec->restart) {
    case RESTART_PERMANENT:
        return true;
    case RESTART_TRANSIENT:
        return reason != EXIT_NORMAL && reason != EXIT_SHUTDOWN;
    case RESTART_TEMPORARY:
        break;
    }
    return false;
}

static void park_for_backoff(struct supervisor *self, struct actor *child,
                             const struct backoff *backoff)
{
    struct shard *shard = self->actor.shard;
    uint64_t lived_ns = shard->clock.mono_ns - child->started_ns;

    if (lived_ns >= backoff_healthy_ms(backoff) * 1000000)
        child->backoff_count = 0;
    child->restart_wanted = true;
    actor_timer_init(&self->actor, &child->stop_timer);
    actor_timer_start(&self->actor, &child->stop_timer,
                      backoff_delay_ms(backoff, child->backoff_count, &shard->rng));
    if (child->backoff_count < UINT8_MAX)
        child->backoff_count++;
}

/* Stops and starts together: child and, by the strategy, its siblings. */
static int restart_group(struct supervisor *self, struct actor *child)
{
    uint32_t index = index_of(self, child);

    if (self->spec->strategy == SUPERVISE_ONE_FOR_ALL)
        index = 0;
    if (self->mode == SUPERVISOR_RESTARTING && self->restart_from < index)
        index = self->restart_from;
    child->restart_wanted = true;
    self->restart_from = index;
    self->mode = SUPERVISOR_RESTARTING;
    return advance(self);
}

static int restart_child(struct supervisor *self, struct actor *child)
{
    const struct supervisor_child_spec *spec = spec_of(self, child);

    if (spec->backoff.min_ms > 0) {
        park_for_backoff(self, child, &spec->backoff);
        return ACTOR_OK;
    }
    SOMETIMES("a supervisor starts a child again");
    if (!count_restart(self)) {
        forget(self, child);
        give_up(self);
        return advance(self);
    }
    if (self->spec->strategy == SUPERVISE_ONE_FOR_ALL ||
        self->spec->strategy == SUPERVISE_REST_FOR_ONE)
        return restart_group(self, child);
    /* A failure comes back as another end of this child. */
    actor_restart(child);
    return ACTOR_OK;
}

/* A child that was to be stopped with the others, or ended meanwhile of its own. */
static int on_exit_while_restarting(struct supervisor *self, struct actor *child,
                                    const struct message_exit *end)
{
    const struct supervisor_child_spec *spec = spec_of(self, child);

    if (index_of(self, child) >= self->restart_from) {
        if (spec->restart == RESTART_TEMPORARY)
            forget(self, child);
        else
            child->restart_wanted = true;
        return advance(self);
    }
    if (is_restart_due(spec, end->reason))
        return restart_child(self, child);
    forget(self, child);
    return ACTOR_OK;
}

static int on_child_exit(struct supervisor *self, const struct message_exit *end)
{
    struct actor *child = shard_find(self->actor.shard, end->id);
    const struct supervisor_child_spec *spec;

    assert(child != NULL);
    assert(child->state == ACTOR_DOWN);
    spec = spec_of(self, child);
    stop_timer_of(self, child);
    log_end(self, child, spec->name != NULL ? spec->name : child->type->name, end);
    switch (self->mode) {
    case SUPERVISOR_STARTING:
        break;
    case SUPERVISOR_WATCHING:
        if (is_restart_due(spec, end->reason))
            return restart_child(self, child);
        forget(self, child);
        return ACTOR_OK;
    case SUPERVISOR_RESTARTING:
        return on_exit_while_restarting(self, child, end);
    case SUPERVISOR_STOPPING:
        forget(self, child);
        return advance(self);
    }
    assert(false);
    return ACTOR_OK;
}

/* The time to stop is over, or the back-off. */
static int on_timer(struct supervisor *self, struct timer *timer)
{
    struct actor *child;

    if (timer == &self->kill_timer) {
        SOMETIMES("connections are killed when the time to drain is over");
        stop_dynamic(self, true);
        return ACTOR_OK;
    }
    child = container_of(timer, struct actor, stop_timer);
    if (child->state != ACTOR_DOWN) {
        SOMETIMES("a child is killed when its time to stop is over");
        kill_child(child);
    } else if (self->mode == SUPERVISOR_WATCHING) {
        actor_restart(child);
    }
    return ACTOR_OK;
}

static int on_stop(struct supervisor *self)
{
    self->mode = SUPERVISOR_STOPPING;
    return advance(self);
}

static void check_spec(const struct supervisor_spec *spec)
{
    assert(spec->child_count <= SUPERVISOR_CHILDREN_MAX);
    assert(spec->intensity <= SUPERVISOR_INTENSITY_MAX);
    assert(spec->strategy != SUPERVISE_SIMPLE_ONE_FOR_ONE || spec->child_count == 1);
    for (uint32_t i = 0; i < spec->child_count; i++) {
        const struct supervisor_child_spec *child = &spec->children[i];

        assert(child->backoff.min_ms == 0 || spec->strategy == SUPERVISE_ONE_FOR_ONE ||
               spec->strategy == SUPERVISE_SIMPLE_ONE_FOR_ONE);
        assert(child->type != NULL);
        assert(spec->strategy == SUPERVISE_SIMPLE_ONE_FOR_ONE ||
               (child->actor != NULL) != (child->make != NULL));
    }
}

static int supervisor_start(struct actor *actor)
{
    struct supervisor *self = ACTOR_CAST(actor, struct supervisor, SUPERVISOR_MAGIC);
    uint32_t started = 0;
    int r = 0;

    check_spec(self->spec);
    self->mode = SUPERVISOR_STARTING;
    self->restart_from = 0;
    self->start_error = 0;
    self->gave_up = false;
    self->brutal = false;
    self->dynamic_stopping = false;
    self->restart_total = 0;
    list_init(&self->dynamic);
    actor_timer_init(actor, &self->kill_timer);
    while (!is_simple(self) && r == 0 && started < self->spec->child_count) {
        r = start_child(self, started);
        if (r == 0)
            started++;
    }
    self->mode = SUPERVISOR_WATCHING;
    if (r == 0)
        return 0;
    log_start_failure(self, self->spec->children[started].name, r);
    self->start_error = r;
    self->mode = SUPERVISOR_STOPPING;
    /* With children to stop first, the failure is reported when they are gone. */
    return advance(self);
}

static int supervisor_receive(struct actor *actor, const struct message *msg)
{
    struct supervisor *self = ACTOR_CAST(actor, struct supervisor, SUPERVISOR_MAGIC);

    supervisor_check(self);
    switch (msg->type) {
    case MSG_EXIT:
        return on_child_exit(self, &msg->as.exit);
    case MSG_TIMER:
        return on_timer(self, msg->as.timer.timer);
    case MSG_STOP:
        return on_stop(self);
    default:
        return ACTOR_UNHANDLED;
    }
}

const struct actor_type supervisor_type = {
    .name = "supervisor",
    .start = supervisor_start,
    .receive = supervisor_receive,
};

void supervisor_init(struct supervisor *self, const struct supervisor_spec *spec)
{
    check_spec(spec);
    self->spec = spec;
}

int supervisor_spawn(struct shard *shard, struct supervisor *self,
                     const struct supervisor_spec *spec, struct actor_id parent)
{
    int r;

    supervisor_init(self, spec);
    r = actor_spawn(shard, &self->actor, &supervisor_type, SUPERVISOR_MAGIC, parent);
    return r < 0 ? r : self->start_error;
}

int supervisor_start_child(struct supervisor *self, struct actor *child)
{
    const struct supervisor_child_spec *spec = &self->spec->children[0];
    int r;

    supervisor_check(self);
    assert(is_simple(self));
    if (self->actor.state != ACTOR_RUNNING || self->mode != SUPERVISOR_WATCHING)
        return -ESHUTDOWN;
    if (FAILPOINT("no actor can be started"))
        return -EAGAIN;
    r = actor_spawn(self->actor.shard, child, spec->type, spec->type_magic, self->actor.id);
    if (r < 0)
        return r;
    list_push_back(&self->dynamic, &child->children_link);
    self->dynamic_count++;
    return 0;
}

uint32_t supervisor_child_count(const struct supervisor *self)
{
    uint32_t count = self->dynamic_count;

    for (uint32_t i = 0; i < self->spec->child_count; i++)
        count += self->children[i] != NULL;
    return count;
}

static void visit_actor(const struct actor *actor, const char *name, uint32_t depth,
                        struct supervisor_visitor *visitor);

static void visit_children(const struct supervisor *self, uint32_t depth,
                           struct supervisor_visitor *visitor)
{
    for (uint32_t i = 0; i < self->spec->child_count; i++) {
        if (self->children[i] != NULL)
            visit_actor(self->children[i], self->spec->children[i].name, depth, visitor);
    }
    if (!is_simple(self) || self->dynamic_count == 0)
        return;
    for (const struct list_node *node = self->dynamic.next; node != &self->dynamic;
         node = node->next)
        visit_actor(container_of(node, struct actor, children_link), self->spec->children[0].name,
                    depth, visitor);
}

/* Recursion is as deep as the tree of supervisors, which is static and small. */
static void visit_actor(const struct actor *actor, const char *name, uint32_t depth,
                        struct supervisor_visitor *visitor)
{
    const struct supervisor *below = NULL;

    assert(depth < SUPERVISOR_DEPTH_MAX);
    if (actor->type == &supervisor_type)
        below = container_of(actor, struct supervisor, actor);
    visitor->visit(visitor, &(struct supervisor_entry){
                                .name = name != NULL ? name : actor->type->name,
                                .type_name = actor->type->name,
                                .id = actor->id,
                                .state = (enum actor_state)actor->state,
                                .depth = depth,
                                .mailbox_count = mailbox_count(&actor->mailbox),
                                .restart_count = actor->restart_count,
                                .child_count = below != NULL ? supervisor_child_count(below) : 0,
                                .started_ns = actor->started_ns,
                            });
    if (below != NULL && below->actor.state != ACTOR_DOWN)
        visit_children(below, depth + 1, visitor);
}

void supervisor_visit(const struct supervisor *self, struct supervisor_visitor *visitor)
{
    supervisor_check(self);
    visit_actor(&self->actor, self->spec->name, 0, visitor);
}

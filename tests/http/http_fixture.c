#include "tests/http/http_fixture.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "runtime/io_sim.h"
#include "tests/http/tls_fixture.h"

/*
 * The routes do what real handlers do with an exchange: keep something in the
 * note, send a message and answer when one comes back, refuse on the head, fail.
 * take() and give() keep the account that fixture_end() checks.
 */
enum {
    MSG_WORK = MSG_ACTORS, /* to a helper: struct work */
    MSG_DONE,              /* from a helper, the same */
    HELPER_TICK_MS = 1,
    WORK_NS_MAX = 3000000,
    STEP_COUNT_MAX = 3000000,
    SHUTDOWN_MS = 5000,
    STOP_MS_MAX = 60000,
    TEXT_SIZE_MAX = 128,
};

struct note {
    bool holds;
    bool is_settled; /* given back, or abandoned: nothing may come after that */
    uint32_t size;
    char text[FIXTURE_SLOW_SIZE_MAX];
};

struct work {
    uint32_t size;
    char text[FIXTURE_SLOW_SIZE_MAX];
};

static struct sockaddr_in address;

static struct fixture_shard *shard_of(const struct exchange *x)
{
    return container_of(x->server, struct fixture_shard, http);
}

static struct fixture *fixture_of(const struct exchange *x)
{
    return shard_of(x)->fixture;
}

/* --- the account ------------------------------------------------------------ */

static void take(struct exchange *x)
{
    struct note *note = EXCHANGE_NOTE(x, struct note);

    assert(!note->holds);
    note->holds = true;
    fixture_of(x)->taken_count++;
}

static void give(struct exchange *x)
{
    struct note *note = EXCHANGE_NOTE(x, struct note);

    assert(note->holds);
    note->holds = false;
    note->is_settled = true;
    fixture_of(x)->given_count++;
}

static void on_abandon(struct exchange *x)
{
    struct note *note = EXCHANGE_NOTE(x, struct note);

    fixture_of(x)->stale_count += note->is_settled;
    fixture_of(x)->abandon_count += note->holds; /* nothing, when the body was still to come */
    note->holds = false;
    note->is_settled = true;
}

/* --- handlers ---------------------------------------------------------------- */

static int respond_text(struct exchange *x, struct slice text)
{
    struct response response = {
        .status = 200, .content_type = SLICE_LITERAL("text/plain"), .body = text};

    return exchange_respond(x, &response);
}

static int read_nothing(struct exchange *x)
{
    (void)x;
    return EXCHANGE_READ_BODY;
}

static int read_echo(struct exchange *x)
{
    x->body_size_max = FIXTURE_ECHO_SIZE_MAX;
    x->decoded_size_max = FIXTURE_DECODED_SIZE_MAX;
    return EXCHANGE_READ_BODY;
}

static int read_upload(struct exchange *x)
{
    x->body_size_max = FIXTURE_UPLOAD_SIZE_MAX;
    x->decoded_size_max = FIXTURE_UPLOAD_SIZE_MAX;
    return EXCHANGE_READ_BODY;
}

static int read_slow(struct exchange *x)
{
    x->body_size_max = FIXTURE_SLOW_SIZE_MAX;
    x->decoded_size_max = FIXTURE_SLOW_SIZE_MAX;
    return EXCHANGE_READ_BODY;
}

static int read_admitted(struct exchange *x)
{
    take(x);
    x->body_size_max = FIXTURE_ADMIT_SIZE_MAX;
    x->decoded_size_max = FIXTURE_ADMIT_SIZE_MAX;
    return EXCHANGE_READ_BODY;
}

static int on_hello(struct exchange *x)
{
    fixture_of(x)->request_count++;
    return respond_text(x, SLICE_LITERAL("hello"));
}

static int on_empty(struct exchange *x)
{
    struct response response = {.status = 204};

    return exchange_respond(x, &response);
}

static int on_large(struct exchange *x)
{
    static char text[FIXTURE_LARGE_SIZE];

    fixture_of(x)->request_count++;
    memset(text, 'L', sizeof(text));
    return respond_text(x, (struct slice){text, sizeof(text)});
}

static int on_close(struct exchange *x)
{
    struct response response = {.status = 200,
                                .content_type = SLICE_LITERAL("text/plain"),
                                .body = SLICE_LITERAL("bye"),
                                .close = true};

    return exchange_respond(x, &response);
}

static int on_echo(struct exchange *x)
{
    fixture_of(x)->request_count++;
    return respond_text(x, x->body);
}

static int on_upload(struct exchange *x)
{
    char text[TEXT_SIZE_MAX];
    uint64_t sum = 0;
    int size;

    fixture_of(x)->request_count++;
    for (size_t i = 0; i < x->body.size; i++)
        sum = sum * 31 + (unsigned char)x->body.data[i];
    size = snprintf(text, sizeof(text), "%zu %lu", x->body.size, sum);
    return respond_text(x, (struct slice){text, (size_t)size});
}

static int on_admitted(struct exchange *x)
{
    int r = respond_text(x, x->body);

    fixture_of(x)->request_count++;
    if (r >= 0)
        give(x);
    return r;
}

static int on_item(struct exchange *x)
{
    char text[TEXT_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "%.*s %.*s", (int)x->params[0].size, x->params[0].data,
                        (int)x->params[1].size, x->params[1].data);

    fixture_of(x)->request_count++;
    return respond_text(x, (struct slice){text, (size_t)size});
}

static int refuse_all(struct exchange *x)
{
    return exchange_problem(x, PROBLEM_MISSING_API_KEY, NULL);
}

static int refuse_busy(struct exchange *x)
{
    struct exchange_problem_options options = {.retry_after_s = 7};

    return exchange_problem(x, PROBLEM_OVERLOADED, &options);
}

static int panic_on_head(struct exchange *x)
{
    take(x);
    actor_panic("the head is too much");
}

static int panic_on_request(struct exchange *x)
{
    (void)x;
    actor_panic("the request is too much");
}

static int panic_on_reply(struct exchange *x, const struct message *msg)
{
    (void)x;
    (void)msg;
    actor_panic("the reply is too much");
}

static int fail_on_head(struct exchange *x)
{
    take(x);
    return -EIO;
}

static int fail_on_request(struct exchange *x)
{
    (void)x;
    return -EIO;
}

static int fail_on_reply(struct exchange *x, const struct message *msg)
{
    (void)x;
    (void)msg;
    return -EIO;
}

static int on_slow(struct exchange *x)
{
    struct fixture *f = fixture_of(x);
    uint32_t home = (x->server->shard->index + 1) % f->options.shard_count;
    struct note *note = EXCHANGE_NOTE(x, struct note);
    struct message *msg = actor_message(x->actor, f->shards[home].helper.actor.id, MSG_WORK);
    struct work *work;

    f->request_count++;
    if (msg == NULL)
        return exchange_problem(x, PROBLEM_OVERLOADED, NULL);
    work = MESSAGE_AS(msg, struct work);
    msg->token = x->token;
    msg->size = sizeof(*work);
    assert(x->body.size <= FIXTURE_SLOW_SIZE_MAX);
    work->size = (uint32_t)x->body.size;
    if (x->body.size > 0)
        memcpy(work->text, x->body.data, x->body.size);
    if (actor_send(x->actor, &msg) == SEND_FULL) {
        actor_message_release(x->actor, &msg);
        return exchange_problem(x, PROBLEM_OVERLOADED, NULL);
    }
    take(x);
    note->size = (uint32_t)x->body.size;
    if (x->body.size > 0)
        memcpy(note->text, x->body.data, x->body.size);
    return EXCHANGE_PENDING;
}

/* As on_slow(), but the answer may come late. */
static int on_patient(struct exchange *x)
{
    x->wait_ms = FIXTURE_PATIENCE_MS;
    return on_slow(x);
}

/* As on_slow(), but for the peer alone that is there to the end. */
static int on_attended(struct exchange *x)
{
    x->ends_with_peer = true;
    return on_slow(x);
}

static int on_slow_reply(struct exchange *x, const struct message *msg)
{
    const struct work *work = MESSAGE_AS_CONST(msg, struct work);
    const struct note *note = EXCHANGE_NOTE(x, struct note);
    int r;

    assert(msg->type == MSG_DONE);
    assert(work->size == note->size);
    assert(memcmp(work->text, note->text, note->size) == 0);
    r = respond_text(x, (struct slice){work->text, work->size});
    if (r >= 0)
        give(x);
    return r;
}

static const struct route ROUTES[] = {
    {HTTP_METHOD_GET, "/hello", read_nothing, on_hello, NULL, NULL},
    {HTTP_METHOD_POST, "/echo", read_echo, on_echo, NULL, NULL},
    {HTTP_METHOD_POST, "/slow", read_slow, on_slow, on_slow_reply, on_abandon},
    {HTTP_METHOD_POST, "/patient", read_slow, on_patient, on_slow_reply, on_abandon},
    {HTTP_METHOD_POST, "/attended", read_slow, on_attended, on_slow_reply, on_abandon},
    {HTTP_METHOD_POST, "/upload", read_upload, on_upload, NULL, NULL},
    {HTTP_METHOD_POST, "/admit", read_admitted, on_admitted, NULL, on_abandon},
    {HTTP_METHOD_POST, "/guarded", refuse_all, on_echo, NULL, NULL},
    {HTTP_METHOD_POST, "/busy", refuse_busy, on_echo, NULL, NULL},
    {HTTP_METHOD_POST, "/panic", read_admitted, panic_on_request, NULL, on_abandon},
    {HTTP_METHOD_POST, "/panic-head", panic_on_head, on_echo, NULL, on_abandon},
    {HTTP_METHOD_POST, "/panic-reply", read_slow, on_slow, panic_on_reply, on_abandon},
    {HTTP_METHOD_POST, "/fail", read_admitted, fail_on_request, NULL, on_abandon},
    {HTTP_METHOD_POST, "/fail-head", fail_on_head, on_echo, NULL, on_abandon},
    {HTTP_METHOD_POST, "/fail-reply", read_slow, on_slow, fail_on_reply, on_abandon},
    {HTTP_METHOD_GET, "/empty", read_nothing, on_empty, NULL, NULL},
    {HTTP_METHOD_GET, "/large", read_nothing, on_large, NULL, NULL},
    {HTTP_METHOD_GET, "/close", read_nothing, on_close, NULL, NULL},
    {HTTP_METHOD_GET, "/items/{item}/parts/{part}", read_nothing, on_item, NULL, NULL},
    {HTTP_METHOD_GET, "/things", read_nothing, on_hello, NULL, NULL},
    {HTTP_METHOD_POST, "/things", read_echo, on_echo, NULL, NULL},
    {HTTP_METHOD_DELETE, "/things", read_nothing, on_empty, NULL, NULL},
};

static const struct router router = {ROUTES, ARRAY_COUNT(ROUTES)};

/* --- the helper -------------------------------------------------------------- */

static struct fixture_helper *helper_of(struct actor *self)
{
    return ACTOR_CAST(self, struct fixture_helper, FIXTURE_HELPER_MAGIC);
}

static bool send_answer(struct fixture_helper *helper, const struct fixture_work *work)
{
    struct message *msg = actor_message(&helper->actor, work->connection, MSG_DONE);
    struct work *done;

    if (msg == NULL)
        return false;
    done = MESSAGE_AS(msg, struct work);
    msg->token = work->token;
    msg->flags |= MESSAGE_DROPPABLE;
    msg->size = sizeof(*done);
    done->size = work->size;
    memcpy(done->text, work->text, sizeof(done->text));
    if (actor_send(&helper->actor, &msg) != SEND_FULL)
        return true;
    actor_message_release(&helper->actor, &msg);
    return false;
}

/* Answers what is due; the rest closes up. */
static void work_off(struct fixture_helper *helper)
{
    uint64_t now_ns = helper->actor.shard->clock.mono_ns;
    uint32_t kept_count = 0;

    for (uint32_t i = 0; i < helper->work_count; i++) {
        bool is_due = !helper->fixture->held && helper->work[i].due_ns <= now_ns;

        if (!is_due || !send_answer(helper, &helper->work[i]))
            helper->work[kept_count++] = helper->work[i];
        else if (helper->fixture->twice)
            (void)send_answer(helper, &helper->work[i]);
    }
    helper->work_count = kept_count;
}

static int receive_helper(struct actor *self, const struct message *msg)
{
    struct fixture_helper *helper = helper_of(self);
    const struct work *work = MESSAGE_AS_CONST(msg, struct work);
    struct fixture_work *kept = &helper->work[helper->work_count];

    switch (msg->type) {
    case MSG_TIMER:
        work_off(helper);
        break;
    case MSG_WORK:
        assert(helper->work_count < FIXTURE_WORK_COUNT_MAX);
        helper->work_count++;
        kept->connection = msg->from;
        kept->token = msg->token;
        kept->due_ns = self->shard->clock.mono_ns + rng_below(&self->shard->rng, WORK_NS_MAX);
        kept->size = work->size;
        memcpy(kept->text, work->text, sizeof(kept->text));
        break;
    default:
        return ACTOR_UNHANDLED;
    }
    if (helper->work_count > 0)
        actor_timer_start(self, &helper->timer, HELPER_TICK_MS);
    return ACTOR_OK;
}

static int start_helper(struct actor *self)
{
    struct fixture_helper *helper = helper_of(self);

    actor_timer_init(self, &helper->timer);
    helper->work_count = 0;
    return 0;
}

static const struct actor_type helper_type = {
    .name = "helper",
    .start = start_helper,
    .receive = receive_helper,
    .mailbox_max = FIXTURE_WORK_COUNT_MAX,
};

/* --- the server -------------------------------------------------------------- */

static void start_tree(struct fixture_shard *home)
{
    connection_supervise(&home->http, SHUTDOWN_MS);
    home->children[0] = (struct supervisor_child_spec){.name = "helper",
                                                       .actor = &home->helper.actor,
                                                       .type = &helper_type,
                                                       .type_magic = FIXTURE_HELPER_MAGIC};
    home->children[1] = (struct supervisor_child_spec){.name = "connections",
                                                       .actor = &home->http.supervisor.actor,
                                                       .type = &supervisor_type,
                                                       .type_magic = SUPERVISOR_MAGIC,
                                                       .shutdown_ms = SHUTDOWN_INFINITY};
    home->children[2] = (struct supervisor_child_spec){.name = "listener",
                                                       .actor = &home->listener.actor,
                                                       .type = &listener_type,
                                                       .type_magic = LISTENER_MAGIC};
    home->root_spec = (struct supervisor_spec){.name = "root",
                                               .strategy = SUPERVISE_REST_FOR_ONE,
                                               .children = home->children,
                                               .child_count = 3};
    cr_assert(eq(
        int, supervisor_spawn(home->http.shard, &home->root, &home->root_spec, ACTOR_ID_NONE), 0));
}

static void add_tls(struct fixture_shard *home)
{
    struct tls_identity *identity = tls_fixture_identity();

    cr_assert(eq(
        int, http_server_add_tls(&home->http, &home->fixture->options.tls_limits, &identity), 0));
}

static void share_sessions(struct fixture *f)
{
    for (uint32_t i = 0; i < f->options.shard_count; i++) {
        f->listeners[i] = f->shards[i].listener.actor.id;
        http_server_share_sessions(&f->shards[i].http, f->listeners, f->options.shard_count);
    }
}

static void on_no_descriptor(struct http_server *server)
{
    container_of(server, struct fixture_shard, http)->no_descriptor_count++;
}

static void start_shard(struct fixture *f, uint32_t index)
{
    struct fixture_shard *home = &f->shards[index];
    struct shard *shard = runtime_shard(f->runtime, index);
    int fd;

    home->fixture = f;
    home->helper.fixture = f;
    cr_assert(eq(int,
                 buffer_pool_new(f->options.buffers, f->options.buffer_class_count, &home->buffers),
                 0));
    cr_assert(eq(int,
                 http_server_init(&home->http, shard, &router, &f->options.limits, &f->metrics,
                                  home->buffers),
                 0));
    home->http.on_no_descriptor = on_no_descriptor;
    fd = io_listen(shard->io, (struct sockaddr *)&address, sizeof(address), LISTENER_BACKLOG);
    cr_assert(ge(int, fd, 0));
    if (f->options.is_tls)
        add_tls(home);
    listener_init(&home->listener, &home->http, fd, f->options.is_tls);
    start_tree(home);
}

static void on_log(struct runtime_hooks *hooks, uint32_t shard_index, const char *data, size_t size)
{
    struct fixture *f = container_of(hooks, struct fixture, hooks);

    assert(shard_index < f->options.shard_count);
    for (size_t i = 0; i < size; i++)
        f->log_line_count += data[i] == '\n';
}

static void start_server(struct fixture *f)
{
    struct runtime_config config = {
        .shard_count = f->options.shard_count,
        .actor_count_max = f->options.limits.connection_count_max + 128,
        .message_count_max = 8192,
        .inbox_capacity = 256,
        .clock_source = &f->world->clock_source,
        .log_level = LOG_ERROR,
        .simulated = true,
        .seed = rng_next(&f->world->rng),
        .hooks = &f->hooks,
        .io_new = sim_driver_io_new,
    };

    f->hooks.log_out = on_log;
    cr_assert(eq(int, metrics_registry_new(&f->registry), 0));
    http_metrics_register(&f->metrics, f->registry, &router);
    config.registry = f->registry;
    sim_driver_name_host(f->server);
    cr_assert(eq(int, runtime_new(&config, &f->runtime), 0));
    f->shards = calloc(f->options.shard_count, sizeof(*f->shards));
    for (uint32_t i = 0; i < f->options.shard_count; i++)
        start_shard(f, i);
    if (f->options.is_tls)
        share_sessions(f);
    runtime_freeze_metrics(f->runtime);
    sim_driver_add_runtime(&f->driver, f->server, f->runtime);
}

struct fixture_options fixture_options(uint64_t seed)
{
    return (struct fixture_options){
        .seed = seed,
        .shard_count = 1,
        .limits = {.connection_count_max = 64,
                   .head_size_max = 16384,
                   .header_timeout_ms = 1000,
                   .body_timeout_ms = 2000,
                   .idle_timeout_ms = 6000,
                   .write_timeout_ms = 3000,
                   .linger_timeout_ms = 500},
        .buffers = {{1024, 256}, {4096, 256}, {65536, 64}, {262144, 16}, {2 << 20, 4}},
        .buffer_class_count = 5,
        .receive_buffer_size = 4096,
        .receive_buffer_count = 64,
        .fd_count_max = 4096,
        .socket_buffer_size = 256 * 1024,
        .tls_limits = {.connection_count_max = 64,
                       .session_count = 64,
                       .session_lifetime_ms = 10000},
    };
}

struct fixture *fixture_begin(const struct fixture_options *options)
{
    struct fixture *f = calloc(1, sizeof(*f));

    cr_assert(le(u32, options->shard_count, FIXTURE_SHARD_COUNT_MAX));
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(3000)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->options = *options;
    list_init(&f->clients);
    f->world = sim_world_new(options->seed);
    f->server = sim_host_new(f->world, "server");
    f->laptop = sim_host_new(f->world, "laptop");
    f->server->receive_buffer_size = options->receive_buffer_size;
    f->server->receive_buffer_count = options->receive_buffer_count;
    f->server->fd_count_max = options->fd_count_max;
    f->server->socket_buffer_size = options->socket_buffer_size;
    f->laptop->socket_buffer_size = options->socket_buffer_size;
    sim_driver_init(&f->driver, f->world);
    cr_assert(eq(int, io_sim_new(f->laptop, &f->laptop_io), 0));
    sim_driver_add_io(&f->driver, f->laptop_io);
    start_server(f);
    return f;
}

struct fixture *fixture_begin_seed(uint64_t seed)
{
    struct fixture_options options = fixture_options(seed);

    return fixture_begin(&options);
}

struct raw_client *fixture_connect(struct fixture *f)
{
    struct raw_client *client = fixture_connect_plain(f);

    if (f->options.is_tls)
        raw_client_start_tls(client, tls_fixture_trust(), TLS_FIXTURE_NAME, NULL);
    return client;
}

struct raw_client *fixture_connect_plain(struct fixture *f)
{
    struct raw_client *client =
        raw_client_new(f->world, f->laptop_io, (struct sockaddr *)&address, sizeof(address));

    list_push_back(&f->clients, &client->link);
    return client;
}

/* --- goals ------------------------------------------------------------------- */

void fixture_run_for(struct fixture *f, uint64_t duration_ms)
{
    enum sim_outcome outcome = sim_driver_run_for(&f->driver, duration_ms * 1000000);

    cr_assert(eq(int, outcome, SIM_REACHED), "seed %lu", f->options.seed);
}

static bool has_answers(struct sim_goal *goal)
{
    struct fixture *f = container_of(goal, struct fixture, goal);

    return raw_client_answer_count(f->goal_client) >= f->goal_count;
}

static bool is_closed(struct sim_goal *goal)
{
    struct fixture *f = container_of(goal, struct fixture, goal);

    return f->goal_client->saw_end || f->goal_client->saw_reset || f->goal_client->refused;
}

static void run_until(struct fixture *f, struct raw_client *client)
{
    enum sim_outcome outcome;

    f->goal_client = client;
    outcome = sim_driver_run(&f->driver, &f->goal, STEP_COUNT_MAX);
    cr_assert(eq(int, outcome, SIM_REACHED), "seed %lu: %u answers, end %d, reset %d, tls error %d",
              f->options.seed, raw_client_answer_count(client), client->saw_end, client->saw_reset,
              client->tls_error);
}

void fixture_until_answers(struct fixture *f, struct raw_client *client, uint32_t count)
{
    f->goal.reached = has_answers;
    f->goal_count = count;
    run_until(f, client);
}

void fixture_until_closed(struct fixture *f, struct raw_client *client)
{
    f->goal.reached = is_closed;
    run_until(f, client);
}

void fixture_stop(struct fixture *f)
{
    for (uint32_t i = 0; i < f->options.shard_count; i++)
        http_server_drain(&f->shards[i].http);
    runtime_stop(f->runtime);
}

void fixture_until_stopped(struct fixture *f)
{
    enum sim_outcome outcome = SIM_REACHED;

    /* Nothing wakes a shard that sleeps without a timer; now and then it gets a turn anyway. */
    for (uint32_t i = 0; i < STOP_MS_MAX && outcome == SIM_REACHED; i++)
        outcome = sim_driver_run_for(&f->driver, 1000000);
    cr_assert(eq(int, outcome, SIM_ENDED), "seed %lu", f->options.seed);
    f->has_ended = true;
    sim_driver_remove_runtime(&f->driver, f->runtime);
}

/* --- what can be asked -------------------------------------------------------- */

uint32_t fixture_connection_count(const struct fixture *f)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < f->options.shard_count; i++)
        count += f->shards[i].http.connection_count;
    return count;
}

uint64_t fixture_buffer_used(const struct fixture *f)
{
    uint64_t used = 0;

    for (uint32_t i = 0; i < f->options.shard_count; i++)
        used += buffer_pool_used(f->shards[i].buffers);
    return used;
}

uint32_t fixture_lent_count(const struct fixture *f)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < f->options.shard_count; i++) {
        const struct io_sim *sim =
            container_of(runtime_shard(f->runtime, i)->io, struct io_sim, io);

        count += sim->buffer_count - sim->free_buffer_count;
    }
    return count;
}

uint64_t fixture_metric(const struct fixture *f, struct metric metric)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < f->options.shard_count; i++)
        sum += metrics_value(&runtime_shard(f->runtime, i)->metrics, metric);
    return sum;
}

uint64_t fixture_answered(const struct fixture *f, enum http_method method, const char *pattern,
                          uint32_t status)
{
    uint32_t index = 0;

    while (index < router.count &&
           (ROUTES[index].method != method || strcmp(ROUTES[index].pattern, pattern) != 0))
        index++;
    return fixture_metric(f, f->metrics.requests[index][http_status_index(status)]);
}

/* --- the end ------------------------------------------------------------------ */

static void check_nothing_is_left(const struct fixture *f)
{
    uint64_t seed = f->options.seed;

    cr_assert(eq(u32, fixture_connection_count(f), 0), "seed %lu", seed);
    cr_assert(eq(u64, fixture_buffer_used(f), 0), "seed %lu", seed);
    cr_assert(eq(u32, fixture_lent_count(f), 0), "seed %lu", seed);
    cr_assert(eq(u32, f->server->fd_count, 0), "seed %lu", seed);
    cr_assert(eq(u32, f->taken_count, f->given_count + f->abandon_count), "seed %lu", seed);
    cr_assert(eq(u32, f->stale_count, 0), "seed %lu", seed);
    for (uint32_t i = 0; i < f->options.shard_count; i++) {
        cr_assert(eq(u32, pool_used_count(&f->shards[i].http.connections), 0), "seed %lu", seed);
        cr_assert(list_is_empty(&f->shards[i].http.idle), "seed %lu", seed);
        cr_assert(list_is_empty(&f->shards[i].http.tls.idle), "seed %lu", seed);
        if (f->options.is_tls)
            cr_assert(eq(u32, pool_used_count(&f->shards[i].http.tls.connections), 0), "seed %lu",
                      seed);
    }
}

static void free_all(struct fixture *f)
{
    struct list_node *node;

    io_free(&f->laptop_io);
    while ((node = list_pop_front(&f->clients)) != NULL) {
        struct raw_client *client = container_of(node, struct raw_client, link);

        raw_client_free(&client);
    }
    runtime_free(&f->runtime);
    for (uint32_t i = 0; i < f->options.shard_count; i++) {
        http_server_deinit(&f->shards[i].http);
        buffer_pool_free(&f->shards[i].buffers);
    }
    metrics_registry_free(&f->registry);
    sim_world_free(&f->world);
    free(f->shards);
    free(f);
}

void fixture_end(struct fixture **fixture)
{
    struct fixture *f = *fixture;

    f->held = false;
    if (!f->has_ended) {
        fixture_stop(f);
        fixture_until_stopped(f);
    }
    check_nothing_is_left(f);
    free_all(f);
    *fixture = NULL;
}

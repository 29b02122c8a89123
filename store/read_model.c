#include "store/read_model.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/memory.h"
#include "runtime/sim_point.h"
#include "store/bell.h"
#include "store/read_writer.h"
#include "store/sqlite_backend.h"
#include "store/sqlite_disk_vfs.h"

/*
 *     shards                      writer thread                 query thread
 *     publish: durable[log] ---->  steps until idle
 *              writer_bell         projected[log] --query_bell-->
 *     start:   submitted  ------------------------------------->  ready, one after the other
 *              query_bell                                         |  waits for projected[log]
 *     hook:    done  <--------------------------------------------+
 *                                                     io_wake()
 *
 * Shards take no lock here: what they hand over goes through atomic words and two stacks,
 * of queries to be run and of queries that have ended, each taken as a whole by its reader.
 *
 * The writer gathers: after it was woken it lets PACE_MS pass, so that a trickle of
 * events does not become a trickle of transactions; but not when a query waits for what it
 * has yet to write; and longer after records that put no row, as those of most jobs, of which
 * there may be very many. Both threads are nicer than the shards, which may have every processor.
 *
 * In the simulator one thread is all of them: a port's hook makes the steps.
 */
enum {
    PACE_MS = 10,
    PACE_ROWLESS_MS = 100,
    WRITER_NICE = 15,
    QUERY_NICE = 5,
    TEXT_SLOT_COUNT = 8,
    REOPEN_MS = 5000,
    PORT_COUNT_MAX = SHARD_COUNT_MAX,
};
static const uint64_t NS_PER_MS = 1000000;

struct read_model {
    struct read_model_config config;
    uint8_t uuid[SEGMENT_UUID_SIZE];
    bool is_started;

    /* Any thread stores, any loads: atomic. */
    uint64_t durable[READ_LOG_COUNT_MAX]; /* LSN, by log */
    uint32_t in_flight;                   /* queries that were taken and have not ended */
    struct read_query *submitted;         /* newest first */
    bool is_hurried;                      /* a query waits for the writer */
    bool is_stopping;

    /* The writer stores, any thread loads: atomic. */
    uint64_t projected[READ_LOG_COUNT_MAX];    /* LSN, by log */
    uint64_t projected_at[READ_LOG_COUNT_MAX]; /* location bits of the last record, by log */
    uint64_t record_count;
    uint64_t skipped_count;
    uint64_t file_bytes;
    uint64_t current_ns; /* when it was last up to date */
    enum read_model_state state;
    uint32_t text_slot; /* of texts: the present one */
    char texts[TEXT_SLOT_COUNT][READ_MODEL_TEXT_SIZE];

    /* The writer's, once there are threads. */
    struct read_writer writer;
    bool has_writer;
    bool may_write;           /* false: refused, or damaged */
    uint64_t retry_ns;        /* after a failure: not before this */
    uint64_t measured_count;  /* of records, when file_bytes was looked up */
    uint64_t paced_row_count; /* that of the projection, when the writer waited last */

    /* Opened by the boot thread or the writer, then atomic; each thread calls its own functions. */
    struct read_backend *backend;
    struct sqlite_disk_vfs *vfs; /* without threads: over config.disk; else NULL */

    /* The query thread's. */
    struct list_node ready; /* struct read_query.link */
    struct clock query_clock;

    struct bell writer_bell;
    struct bell pace_bell;
    struct bell query_bell;
    pthread_t writer_thread;
    pthread_t query_thread;
    bool has_writer_thread;
    bool has_query_thread;

    struct read_port *ports[PORT_COUNT_MAX];
    uint32_t port_count;
};

/* ---- state ---- */

/* Only one thread at a time calls it: boot, then the writer. */
static void set_state(struct read_model *self, enum read_model_state state, const char *text)
{
    uint32_t slot = (__atomic_load_n(&self->text_slot, __ATOMIC_RELAXED) + 1) % TEXT_SLOT_COUNT;

    snprintf(self->texts[slot], sizeof(self->texts[slot]), "%s", text);
    /* Release: pairs with the acquire in read_model_info(); a slot is reused much later. */
    __atomic_store_n(&self->text_slot, slot, __ATOMIC_RELEASE);
    __atomic_store_n(&self->state, state, __ATOMIC_RELEASE);
}

static enum read_model_state get_state(const struct read_model *self)
{
    /* Acquire: pairs with the release in set_state(). */
    return __atomic_load_n(&self->state, __ATOMIC_ACQUIRE);
}

static bool is_stopping(const struct read_model *self)
{
    /* Acquire: pairs with the release in read_model_free(). */
    return __atomic_load_n(&self->is_stopping, __ATOMIC_ACQUIRE);
}

static uint64_t lag_of(const struct read_model *self)
{
    uint64_t lag = 0;

    /* Relaxed: numbers for people. */
    for (uint32_t log = 0; log < self->config.log_count; log++) {
        uint64_t durable = __atomic_load_n(&self->durable[log], __ATOMIC_RELAXED);
        uint64_t projected = __atomic_load_n(&self->projected[log], __ATOMIC_RELAXED);

        lag += durable > projected ? durable - projected : 0;
    }
    return lag;
}

void read_model_info(struct read_model *read_model, struct read_model_info *ret_info)
{
    uint64_t mono_ns;
    uint64_t unix_ms;
    uint64_t current_ns;
    uint32_t slot;

    if (read_model == NULL) {
        *ret_info = (struct read_model_info){.state = READ_MODEL_OFF};
        return;
    }
    read_model->config.clock_source->read(read_model->config.clock_source, &mono_ns, &unix_ms);
    slot = __atomic_load_n(&read_model->text_slot, __ATOMIC_ACQUIRE);
    current_ns = __atomic_load_n(&read_model->current_ns, __ATOMIC_RELAXED);
    *ret_info = (struct read_model_info){
        .state = get_state(read_model),
        .lag_records = lag_of(read_model),
        .projected_records = __atomic_load_n(&read_model->record_count, __ATOMIC_RELAXED),
        .skipped_records = __atomic_load_n(&read_model->skipped_count, __ATOMIC_RELAXED),
        .file_bytes = __atomic_load_n(&read_model->file_bytes, __ATOMIC_RELAXED),
    };
    if (ret_info->lag_records != 0 && mono_ns > current_ns)
        ret_info->lag_ms = (mono_ns - current_ns) / NS_PER_MS;
    memcpy(ret_info->text, read_model->texts[slot], sizeof(ret_info->text));
}

/* ---- the writer ---- */

static uint64_t now_ns(const struct read_model *self)
{
    uint64_t mono_ns;
    uint64_t unix_ms;

    self->config.clock_source->read(self->config.clock_source, &mono_ns, &unix_ms);
    return mono_ns;
}

/* Opens the database and finds its places; sets the state when that fails. */
static void open_backend(struct read_model *self)
{
    const struct read_model_config *config = &self->config;
    struct sqlite_backend_config backend = {
        .disk = config->disk,
        .data_path = config->data_path,
        .uuid = self->uuid,
        .clock_source = config->clock_source,
        .vfs = self->vfs == NULL ? NULL : sqlite_disk_vfs_name(self->vfs),
        .may_migrate = true,
    };
    struct read_writer_config writer = {
        .disk = config->disk,
        .data_path = config->data_path,
        .uuid = self->uuid,
        .log_count = config->log_count,
        .unsafe_storage = config->unsafe_storage,
        .clock_source = config->clock_source,
        .retain_ms = config->retain_ms,
    };
    char text[READ_MODEL_TEXT_SIZE];
    uint32_t migrated = 0;
    int r = sqlite_backend_open(&backend, &writer.backend, &migrated, text);

    if (r == 0) {
        r = read_writer_init(&self->writer, &writer, text);
        if (r < 0)
            writer.backend->vtable->close(&writer.backend);
    }
    /* Release: pairs with the acquire in find_runnable(). */
    __atomic_store_n(&self->backend, writer.backend, __ATOMIC_RELEASE);
    self->has_writer = r == 0;
    self->may_write = r != -EPROTO && r != -EBADMSG;
    if (r < 0)
        set_state(self, self->may_write ? READ_MODEL_FAILED : READ_MODEL_REFUSED, text);
}

/* What is durable reaches the follower; what the database holds reaches the others. */
static void exchange_progress(struct read_model *self)
{
    struct read_writer *writer = &self->writer;
    bool moved = false;

    for (uint32_t log = 0; log < self->config.log_count; log++) {
        const struct read_place *place = &writer->committed[log];
        uint64_t last = place->next_lsn == 0 ? 0 : place->next_lsn - 1;

        /* Acquire: pairs with the release in read_model_publish(). */
        read_writer_advance(writer, log, __atomic_load_n(&self->durable[log], __ATOMIC_ACQUIRE));
        if (__atomic_load_n(&self->projected[log], __ATOMIC_RELAXED) == last)
            continue;
        /* Release: pairs with the acquire in is_projected(). */
        __atomic_store_n(&self->projected_at[log], place->last.bits, __ATOMIC_RELEASE);
        __atomic_store_n(&self->projected[log], last, __ATOMIC_RELAXED);
        moved = true;
    }
    __atomic_store_n(&self->record_count, writer->record_count, __ATOMIC_RELAXED);
    __atomic_store_n(&self->skipped_count, writer->committed_skipped, __ATOMIC_RELAXED);
    if (moved && self->config.has_threads)
        bell_ring(&self->query_bell);
}

/* Compares the database with the logs, once both are known. */
static bool check_places(struct read_model *self)
{
    char text[READ_MODEL_TEXT_SIZE];

    for (uint32_t log = 0; log < self->config.log_count; log++) {
        uint64_t durable = __atomic_load_n(&self->durable[log], __ATOMIC_ACQUIRE);

        if (read_writer_agrees(&self->writer, log, durable))
            continue;
        SOMETIMES("the read model holds more than the logs");
        snprintf(text, sizeof(text),
                 "the read model holds records of log-%02u that the log has not: stop weir and run "
                 "`weir migrate --rebuild` to make it anew from the logs",
                 log);
        set_state(self, READ_MODEL_REFUSED, text);
        self->may_write = false;
        return false;
    }
    set_state(self, READ_MODEL_RUNNING, "");
    return true;
}

/* Looks up how large the file is, when it may have changed. */
static void measure(struct read_model *self)
{
    if (self->measured_count == self->writer.record_count && self->file_bytes != 0)
        return;
    self->measured_count = self->writer.record_count;
    __atomic_store_n(&self->file_bytes, self->backend->vtable->size(self->backend),
                     __ATOMIC_RELAXED);
}

/* One thing there is to do. *ret_due_ns: when to come again at the latest, if it is idle. */
static bool write_step(struct read_model *self, uint64_t *ret_due_ns)
{
    struct read_writer *writer = &self->writer;
    enum read_step step;

    *ret_due_ns = UINT64_MAX;
    if (!self->may_write)
        return false;
    *ret_due_ns = self->retry_ns;
    if (now_ns(self) < self->retry_ns)
        return false;
    if (!self->has_writer) {
        self->retry_ns = now_ns(self) + REOPEN_MS * NS_PER_MS;
        *ret_due_ns = self->retry_ns;
        open_backend(self);
        return self->has_writer && check_places(self);
    }
    self->retry_ns = 0;
    exchange_progress(self);
    step = read_writer_step(writer);
    exchange_progress(self);
    *ret_due_ns = writer->due_ns;
    switch (step) {
    case READ_STEP_MORE:
        break;
    case READ_STEP_IDLE:
        __atomic_store_n(&self->current_ns, writer->clock.mono_ns, __ATOMIC_RELAXED);
        measure(self);
        break;
    case READ_STEP_FAILED:
        set_state(self, READ_MODEL_FAILED, writer->text);
        self->retry_ns = writer->due_ns;
        return false;
    case READ_STEP_ENDED:
        SOMETIMES("the read model turns out to be damaged");
        set_state(self, READ_MODEL_REFUSED, writer->text);
        self->may_write = false;
        return false;
    }
    if (get_state(self) != READ_MODEL_RUNNING)
        set_state(self, READ_MODEL_RUNNING, "");
    return step == READ_STEP_MORE;
}

static void be_nice(const char *name, int nice)
{
    pthread_setname_np(pthread_self(), name);
    /* Of this thread alone, as Linux has it. Without it everything is as right, but less fast. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}

/* Lets others' records gather, unless somebody waits for them. */
static void pace(struct read_model *self)
{
    uint64_t row_count = self->writer.projection.row_count;
    uint64_t pace_ms = row_count == self->paced_row_count ? PACE_ROWLESS_MS : PACE_MS;

    self->paced_row_count = row_count;
    /* Acquire: pairs with the release in find_runnable(). */
    if (!__atomic_exchange_n(&self->is_hurried, false, __ATOMIC_ACQ_REL))
        bell_wait(&self->pace_bell, now_ns(self) + pace_ms * NS_PER_MS);
}

static void *run_writer(void *argument)
{
    struct read_model *self = argument;
    uint64_t due_ns;

    be_nice("weir-projection", WRITER_NICE);
    while (!is_stopping(self)) {
        if (write_step(self, &due_ns))
            continue;
        bell_wait(&self->writer_bell, due_ns);
        if (!is_stopping(self))
            pace(self);
    }
    return NULL;
}

/* ---- queries ---- */

/* Gives the query back to its shard. */
static void finish_query(struct read_model *self, struct read_query *query, enum read_result result)
{
    struct read_port *port = query->port;

    __atomic_fetch_sub(&self->in_flight, 1, __ATOMIC_RELAXED);
    query->result = result;
    query->next_done = __atomic_load_n(&port->done, __ATOMIC_RELAXED);
    /*
     * Release: pairs with the acquire in on_turn_end(), which reads the answer. The query is the
     * shard's from here on.
     */
    while (!__atomic_compare_exchange_n(&port->done, &query->next_done, query, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    io_wake(port->shard->io);
}

/* Takes over what the shards have handed in, in the order in which they did. */
static void take_submitted(struct read_model *self)
{
    /* Acquire: pairs with the release in read_query_start(). */
    struct read_query *query = __atomic_exchange_n(&self->submitted, NULL, __ATOMIC_ACQUIRE);
    struct list_node *first = &self->ready;

    while (query != NULL) {
        struct read_query *next = query->next_done;

        /* As the last before first: what was handed in earlier comes before it. */
        list_init(&query->link);
        list_push_back(first, &query->link);
        first = &query->link;
        query = next;
    }
}

static bool is_projected(const struct read_model *self, struct journal_location location)
{
    uint32_t log = journal_location_log(location);

    if (location.bits == 0)
        return true;
    if (log >= self->config.log_count)
        return false;
    /* Acquire: pairs with the release in exchange_progress(). */
    return location.bits <= __atomic_load_n(&self->projected_at[log], __ATOMIC_ACQUIRE);
}

static void hurry(struct read_model *self)
{
    /* Pairs with the exchange in pace(). */
    __atomic_store_n(&self->is_hurried, true, __ATOMIC_RELEASE);
    if (!self->config.has_threads)
        return;
    bell_ring(&self->writer_bell);
    bell_ring(&self->pace_bell);
}

/* The instant at which the query ends in any case. */
static uint64_t end_of(const struct read_query *query)
{
    return min_u64(query->deadline_ns, query->started_ns + READ_SLOW_MS * NS_PER_MS);
}

/* The first query that can be answered now, taken off the list; its result if it needs no running.
 * *ret_due_ns: when the next one of the others is over. */
static struct read_query *find_runnable(struct read_model *self, enum read_result *ret_result,
                                        uint64_t *ret_due_ns)
{
    enum read_model_state state = get_state(self);
    /* Acquire: pairs with the release in open_backend(). */
    const struct read_backend *backend = __atomic_load_n(&self->backend, __ATOMIC_ACQUIRE);

    *ret_due_ns = UINT64_MAX;
    for (struct list_node *node = self->ready.next; node != &self->ready; node = node->next) {
        struct read_query *query = container_of(node, struct read_query, link);

        *ret_result = READ_OK;
        if (state == READ_MODEL_REFUSED || backend == NULL)
            *ret_result = READ_UNAVAILABLE;
        else if (end_of(query) <= self->query_clock.mono_ns)
            *ret_result = READ_TIMEOUT;
        else if (!is_projected(self, query->after)) {
            hurry(self);
            *ret_due_ns = min_u64(*ret_due_ns, end_of(query));
            continue;
        }
        list_remove(node);
        return query;
    }
    return NULL;
}

/* Answers one query. False when none can be answered now. */
static bool query_step(struct read_model *self, uint64_t *ret_due_ns)
{
    enum read_result result;
    struct read_query *query;

    take_submitted(self);
    clock_update(&self->query_clock);
    query = find_runnable(self, &result, ret_due_ns);
    if (query == NULL)
        return false;
    if (result == READ_OK)
        result = self->backend->vtable->query(self->backend, query, end_of(query));
    finish_query(self, query, result);
    return true;
}

static void *run_queries(void *argument)
{
    struct read_model *self = argument;
    uint64_t due_ns;

    be_nice("weir-queries", QUERY_NICE);
    while (!is_stopping(self)) {
        if (!query_step(self, &due_ns))
            bell_wait(&self->query_bell, due_ns);
    }
    return NULL;
}

/* ---- shards ---- */

/* There is something to do for who writes. */
static void wake_writer(struct read_model *self)
{
    if (get_state(self) == READ_MODEL_REFUSED)
        return;
    if (self->config.has_threads)
        bell_ring(&self->writer_bell);
    else if (self->port_count > 0)
        io_wake(self->ports[0]->shard->io);
}

void read_model_publish(struct read_model *read_model, uint32_t log, uint64_t lsn)
{
    if (read_model == NULL || log >= read_model->config.log_count)
        return;
    if (__atomic_load_n(&read_model->durable[log], __ATOMIC_RELAXED) >= lsn)
        return;
    /* Release: pairs with the acquire in exchange_progress(); the records are on disk. */
    __atomic_store_n(&read_model->durable[log], lsn, __ATOMIC_RELEASE);
    wake_writer(read_model);
}

/* Hands the answers that have come to those who asked. */
static void give_answers(struct read_port *port)
{
    /* Acquire: pairs with the release in finish_query(). */
    struct read_query *query = __atomic_exchange_n(&port->done, NULL, __ATOMIC_ACQUIRE);
    struct read_query *first = NULL;

    while (query != NULL) {
        struct read_query *next = query->next_done;

        query->next_done = first;
        first = query;
        query = next;
    }
    while (first != NULL) {
        query = first;
        first = query->next_done;
        if (port->series != NULL) {
            metrics_add(&port->shard->metrics, port->series->queries[query->result], 1);
            metrics_observe(&port->shard->metrics, port->series->query_duration,
                            port->shard->clock.mono_ns - query->started_ns);
        }
        query->on_done(query, query->result);
    }
}

static void on_turn_end(struct turn_hook *hook)
{
    struct read_port *port = container_of(hook, struct read_port, hook);
    struct read_model *self = port->read_model;

    if (!self->config.has_threads && self->ports[0] == port)
        while (read_model_step(self))
            ;
    if (__atomic_load_n(&port->done, __ATOMIC_RELAXED) != NULL)
        give_answers(port);
}

void read_port_init(struct read_port *port, struct read_model *read_model, struct shard *shard,
                    const struct read_model_metrics *series)
{
    *port = (struct read_port){
        .hook = {.on_turn_end = on_turn_end},
        .read_model = read_model,
        .shard = shard,
        .series = series,
    };
    if (read_model == NULL)
        return;
    assert(read_model->port_count < PORT_COUNT_MAX);
    read_model->ports[read_model->port_count++] = port;
    shard_add_turn_hook(shard, &port->hook);
}

enum read_result read_query_start(struct read_port *port, struct read_query *query)
{
    struct read_model *self = port->read_model;

    assert(query->on_done != NULL);
    assert(query->answer_max > 0);
    if (self == NULL || get_state(self) == READ_MODEL_REFUSED)
        return READ_UNAVAILABLE;
    if (__atomic_add_fetch(&self->in_flight, 1, __ATOMIC_RELAXED) > READ_QUEUE_MAX) {
        __atomic_fetch_sub(&self->in_flight, 1, __ATOMIC_RELAXED);
        return READ_BUSY;
    }
    query->port = port;
    query->started_ns = port->shard->clock.mono_ns;
    query->answer_size = 0;
    if (query->deadline_ns == 0)
        query->deadline_ns = UINT64_MAX;
    query->next_done = __atomic_load_n(&self->submitted, __ATOMIC_RELAXED);
    /* Release: pairs with the acquire in take_submitted(), which reads the query. */
    while (!__atomic_compare_exchange_n(&self->submitted, &query->next_done, query, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    if (self->config.has_threads)
        bell_ring(&self->query_bell);
    else
        wake_writer(self);
    return READ_OK;
}

bool read_model_step(struct read_model *read_model)
{
    uint64_t due_ns;
    bool wrote;

    assert(!read_model->config.has_threads);
    wrote = read_model->is_started && write_step(read_model, &due_ns);
    return query_step(read_model, &due_ns) || wrote;
}

/* ---- life ---- */

int read_model_new(const struct read_model_config *config, struct read_model **ret_read_model)
{
    struct read_model *self;
    char *memory = NULL;
    int r = memory_map(sizeof(*self), &memory);

    assert(config->log_count <= READ_LOG_COUNT_MAX);
    if (r < 0)
        return r;
    self = (struct read_model *)(void *)memory;
    self->config = *config;
    memcpy(self->uuid, config->uuid, sizeof(self->uuid));
    list_init(&self->ready);
    clock_init(&self->query_clock, config->clock_source);
    self->current_ns = self->query_clock.mono_ns;
    bell_init(&self->writer_bell);
    bell_init(&self->pace_bell);
    bell_init(&self->query_bell);
    self->state = READ_MODEL_STARTING;
    if (!config->has_threads)
        r = sqlite_disk_vfs_new(config->disk, config->clock_source, config->seed, &self->vfs);
    if (r < 0) {
        read_model_free(&self);
        return r;
    }
    open_backend(self);
    *ret_read_model = self;
    return 0;
}

int read_model_start(struct read_model *read_model, const uint64_t *durable_lsns)
{
    struct read_model *self = read_model;
    int r = 0;

    assert(!self->is_started);
    self->is_started = true;
    for (uint32_t log = 0; log < self->config.log_count; log++)
        read_model_publish(self, log, durable_lsns[log]);
    if (self->has_writer)
        (void)check_places(self); /* or it is refused, which its state says */
    if (!self->config.has_threads)
        return 0;
    r = pthread_create(&self->writer_thread, NULL, run_writer, self);
    self->has_writer_thread = r == 0;
    if (r == 0) {
        r = pthread_create(&self->query_thread, NULL, run_queries, self);
        self->has_query_thread = r == 0;
    }
    return -r;
}

void read_model_free(struct read_model **read_model)
{
    struct read_model *self = *read_model;
    char *memory = (char *)self;

    if (self == NULL)
        return;
    /* Release: pairs with the acquire in is_stopping(). */
    __atomic_store_n(&self->is_stopping, true, __ATOMIC_RELEASE);
    bell_ring(&self->writer_bell);
    bell_ring(&self->pace_bell);
    bell_ring(&self->query_bell);
    if (self->has_query_thread)
        pthread_join(self->query_thread, NULL);
    if (self->has_writer_thread)
        pthread_join(self->writer_thread, NULL);
    if (self->has_writer)
        read_writer_deinit(&self->writer);
    if (self->backend != NULL)
        self->backend->vtable->close(&self->backend);
    sqlite_disk_vfs_free(&self->vfs);
    bell_deinit(&self->writer_bell);
    bell_deinit(&self->pace_bell);
    bell_deinit(&self->query_bell);
    memory_unmap(&memory, sizeof(*self));
    *read_model = NULL;
}

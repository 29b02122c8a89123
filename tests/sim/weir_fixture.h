/*
 * Weir fixture: the real server, unchanged, on a simulated machine.
 *
 * Shards, connections, intake, journal and recovery run in one process, decided by
 * one seed; clients run on a second machine. A test begins a world, starts the
 * server, sends requests, lets faults strike, ends the process in one of four ways
 * and reads the log of the server that is down:
 *
 *     weir_begin() -> weir_start() -> requests, faults, weir_run*() -+
 *                         ^                                          |
 *                         +-- weir_crash() power cut, torn writes ---+
 *                         +-- weir_kill()  SIGKILL, page cache stays-+
 *                         +-- weir_bury()  after exit code 74 -------+
 *                         +-- weir_stop()  SIGTERM: checks leaks ----+
 *                                                                    v
 *                                                   weir_census() -> weir_end()
 *
 * Test events carry a number in their message ("number 17"), by which the census
 * recognises them. Assertions name the seed.
 */
#pragma once

#include <netinet/in.h>

#include "tools/sim/sim_driver.h"
#include "tools/sim/sim_http_client.h"
#include "tools/sim/sim_server.h"

enum {
    WEIR_EVENT_COUNT_MAX = 16384,
    WEIR_REQUEST_SIZE_MAX = 65536,
    WEIR_ID_SIZE = 36,
    WEIR_STEP_COUNT_MAX = 4000000,
};

#define WEIR_DEMO_KEY SIM_SERVER_DEMO_KEY
#define WEIR_ADMIN_TOKEN_TEXT SIM_SERVER_ADMIN_TOKEN

/* A server with its world. Tests have one, static; fields may be read, settings changed. */
struct weir {
    uint64_t seed;
    struct sim_world *world;
    struct sim_host *server;
    struct sim_host *laptop;
    struct io *laptop_io;
    struct sim_driver driver;
    struct sim_server process; /* its settings and shard_count are of the next start */
    struct sockaddr_in address;
    struct sim_goal goal;
    bool (*is_reached)(void);
    struct list_node clients; /* struct weir_client.link */
};

/* One connection's worth of client; requests are sent one after the other. */
struct weir_client {
    struct sim_http_client http;
    struct sim_http_request request;
    struct weir *weir;
    struct list_node link;
    uint32_t index;
    bool is_answered;                              /* of weir_ask() */
    void (*on_answer)(struct weir_client *client); /* reads client->request; or NULL */
    char data[WEIR_REQUEST_SIZE_MAX];
    char answer[SIM_HTTP_BODY_SIZE_MAX + 1]; /* to weir_ask(), terminated */
};

/* What a request says besides its body. NULL leaves a header out. */
struct weir_call {
    const char *method; /* NULL: POST */
    const char *path;
    const char *key;          /* NULL: the demo key */
    const char *content_type; /* NULL: application/json */
    const char *idempotency_key;
    bool expects_continue;
};

/* One event as the log has it. */
struct weir_stored {
    uint32_t count;    /* how often */
    uint32_t group;    /* its record group, counted over the whole log */
    uint32_t position; /* in the order of recovery */
    uint32_t log;
    uint32_t boot_generation;
    char id[WEIR_ID_SIZE + 1];
};

/* All of the log. */
struct weir_census {
    struct weir_stored events[WEIR_EVENT_COUNT_MAX];
    uint32_t event_count; /* records, those twice there included */
    uint32_t claim_count;
    uint32_t key_count;
    uint32_t group_count;
};

/* A world with two machines, settings of a small server, nothing running. */
void weir_begin(struct weir *weir, uint64_t seed, uint32_t shard_count);

/* Ends the process if there is one, the clients and the world. */
void weir_end(struct weir *weir);

/* Starts the server; recovery is over when it returns, asserts that it went well. */
void weir_start(struct weir *weir);

/* The same, and drives the world until every shard is ready. */
void weir_start_ready(struct weir *weir);

/*
 * The same as weir_start() for a start that may fail: true when it went well. Otherwise nothing
 * runs, *ret_exit_code says why, and the host may be dying.
 */
bool weir_try_start(struct weir *weir, int *ret_exit_code);

/*
 * Starts until a start does not fail, every fourth of them, as it is drawn, into a power cut
 * after so many calls as draw_calls says. on_failed looks at what a failed one has left; it
 * may be NULL. When twenty have failed the faults cease.
 */
void weir_start_in_weather(struct weir *weir, uint64_t (*draw_calls)(void),
                           void (*on_failed)(void));

/* All faults of both machines cease. */
void weir_calm(struct weir *weir);

/*
 * Ends a life of the process the way it came: outcome is that of running it until then.
 * What still lives is killed, or loses its power, as it is drawn.
 */
void weir_end_life(struct weir *weir, enum sim_outcome outcome);

/* Power cut and restart of the machine. */
void weir_crash(struct weir *weir);

/* SIGKILL: what was written stays. */
void weir_kill(struct weir *weir);

/* After the shards have ended by themselves with an exit code: the process is gone. */
void weir_bury(struct weir *weir);

/*
 * SIGTERM: drains, asserts that the shards end in time with exit code 0 and that
 * nothing is left in any pool.
 */
void weir_stop(struct weir *weir);

/* The same for a stop that may take too long: the exit code, 0 when all was in order. */
MUST_USE int weir_try_stop(struct weir *weir);

/* Drives the world until is_reached, or what came in between. */
MUST_USE enum sim_outcome weir_run_until(struct weir *weir, bool (*is_reached)(void));

/* Drives the world for so long. */
MUST_USE enum sim_outcome weir_run_for(struct weir *weir, uint64_t duration_ms);

/* The same; asserts that nothing comes in between. */
void weir_let_pass(struct weir *weir, uint64_t duration_ms);

/* Drives the world until every shard is ready; asserts that it comes to that. */
void weir_run_until_ready(struct weir *weir);

/* A client of the laptop. on_answer NULL: for weir_ask() only. */
void weir_client_init(struct weir_client *client, struct weir *weir, uint32_t index,
                      void (*on_answer)(struct weir_client *client));

/* Sends a request; body may be "". on_answer is called when its fate is known. */
void weir_client_call(struct weir_client *client, const struct weir_call *call, const char *body);

/*
 * Sends a request and drives the world until it is answered; asserts that it is. The
 * answer is in client->request until this client asks again. For clients that were
 * initialised without an on_answer.
 */
uint32_t weir_ask(struct weir_client *client, const struct weir_call *call, const char *body);

/* Writes one raw event with this number; id NULL lets the server choose. Returns its size. */
uint32_t weir_write_event(char *data, size_t size, uint32_t number, const char *id);

/* The event id that tests give number. */
void weir_write_id(char id[WEIR_ID_SIZE + 1], uint32_t number);

/* True when the answer's body contains text. */
bool weir_answer_has(const struct sim_http_request *request, const char *text);

/* Copies the value that follows "name":" in the answer, from *offset on. False when none. */
bool weir_answer_string(const struct sim_http_request *request, const char *name, uint32_t *offset,
                        char *value, size_t value_size);

/* Reads the number that follows "name": in the answer, from *offset on. False when none. */
bool weir_answer_number(const struct sim_http_request *request, const char *name, uint32_t *offset,
                        uint64_t *ret_number);

/* How often text is in the answer's body. */
uint32_t weir_answer_count(const struct sim_http_request *request, const char *text);

/* Reads the log of a server that is down into *ret_census. */
void weir_census(struct weir *weir, struct weir_census *ret_census);

/* The sum of a counter or gauge over all shards. */
uint64_t weir_metric(struct weir *weir, struct metric metric);

/* What the data directory takes on disk. */
uint64_t weir_disk_used(const struct weir *weir);

/*
 * Sim server: the real server, unchanged, as a process on a simulated machine.
 *
 *            sim_server_try_start()                sim_server_crash() power cut
 *     DOWN -------------------------> RUNNING ---> sim_server_kill()  SIGKILL
 *      ^                                           sim_server_bury()  it ended by itself
 *      |                                           sim_server_try_stop() SIGTERM
 *      +------------------------------------------------+
 *
 * The machine is switched on again at once in all four cases; its disk stays as the
 * end left it. Settings begin with the product's defaults made small, because a
 * crash is worth more in a run of a thousand events over four segments than in one
 * that never leaves its first.
 */
#pragma once

#include "actors/app.h"
#include "tools/sim/sim_driver.h"

#define SIM_SERVER_DATA "/data"
#define SIM_SERVER_DEMO_KEY "dev-api-key-12345"
#define SIM_SERVER_ADMIN_TOKEN "the-token"

enum { SIM_SERVER_PORT = 3000 };

/* How an orderly stop went. */
enum sim_server_stop {
    SIM_SERVER_STOPPED,   /* exit code 0, everything given back */
    SIM_SERVER_FAILED,    /* another exit code, in ret_exit_code; it has been buried */
    SIM_SERVER_HANGS,     /* still running when its time was over */
    SIM_SERVER_HOST_DIED, /* the host died meanwhile: crash or kill it */
};

/* One machine that runs the server. The first group is of the next start. */
struct sim_server {
    struct settings settings;
    uint32_t shard_count;
    uint64_t journal_batch_bytes; /* of one write to a log; 0: the default */

    struct sim_world *world;
    struct sim_host *host;
    struct sim_driver *driver;
    struct config *config; /* owns what settings point to */
    struct app app;
    bool is_running;
    /* Incidents have the jobs of summaries though no read model is there to make them from. */
    bool keeps_summaries;
    char text[APP_TEXT_SIZE]; /* why the latest start failed, or the latest error line */
    struct runtime_hooks hooks;
    /* The process is there, recovery has not begun: a test's durables go in here. May be NULL. */
    void (*on_new)(struct sim_server *server);
    /* Of the latest process, written down when it ended. */
    uint64_t accepted_count;  /* events, by its own metric */
    uint32_t boot_generation; /* 0: the start failed */
    /* Likewise, but of the latest one that came to run: see sim_server_kept_bytes(). */
    uint64_t kept_bytes;
};

/* A server that is down on host. Borrows all but settings. */
void sim_server_init(struct sim_server *server, struct sim_driver *driver, struct sim_host *host);

/* Ends the process if there is one and forgets the settings. */
void sim_server_deinit(struct sim_server *server);

/*
 * Starts; recovery is over when it returns. False when the start failed: then nothing
 * runs, *ret_exit_code and text say why, and the machine has been restarted.
 */
MUST_USE bool sim_server_try_start(struct sim_server *server, int *ret_exit_code);

/* Power cut and restart of the machine. */
void sim_server_crash(struct sim_server *server);

/* SIGKILL: what was written stays. */
void sim_server_kill(struct sim_server *server);

/* After the shards have ended by themselves: the process goes. Gives its exit code. */
int sim_server_bury(struct sim_server *server);

/* SIGTERM: drains and drives the world until the process is gone, for limit_ms at most. */
MUST_USE enum sim_server_stop sim_server_try_stop(struct sim_server *server, uint64_t limit_ms,
                                                  int *ret_exit_code);

/* True when every shard is ready. */
bool sim_server_is_ready(const struct sim_server *server);

/* The sum of a counter or gauge over all shards. */
uint64_t sim_server_metric(const struct sim_server *server, struct metric metric);

/*
 * What retention leaves alone beyond retain_bytes, in all logs together, while the process is
 * there: it is needed, or room to write it again.
 */
uint64_t sim_server_kept_bytes(const struct sim_server *server);

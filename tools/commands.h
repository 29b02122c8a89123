/*
 * Commands: the subcommands of weir, one file each, and their exit codes.
 *
 * Each gets the arguments from its own name on: argv[0] is "replay" in
 * `weir replay --speed max FILE`. They print results to stdout and everything
 * else to stderr, and return the exit code of the process.
 */
#pragma once

/* What scripts may rely on; the numbers from 64 up are those of <sysexits.h>. */
enum command_exit {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1,
    COMMAND_BAD_USAGE = 2,
    COMMAND_UNAVAILABLE = 69,   /* a needed service cannot be reached */
    COMMAND_BAD_DATA_DIR = 73,  /* the data directory is unusable or locked */
    COMMAND_CORRUPT = 74,       /* I/O error or corruption */
    COMMAND_TRY_AGAIN = 75,     /* it may work later */
    COMMAND_NOT_PERMITTED = 77, /* for example io_uring forbidden and no fallback */
    COMMAND_BAD_CONFIG = 78,
};

/* Runs the server until it is told to stop. */
int command_serve(int argc, char **argv);

/* Sends events from a file or standard input to a running server. */
int command_replay(int argc, char **argv);

/* Puts a target under load and measures it. */
int command_load(int argc, char **argv);

/* Creates, lists and revokes API keys of a running server. */
int command_keys(int argc, char **argv);

/* Lists, shows, replays and drops dead letters of a running server. */
int command_dlq(int argc, char **argv);

/* Has a running server examine itself. */
int command_doctor(int argc, char **argv);

/* Looks into the journal of a data directory. */
int command_journal(int argc, char **argv);

/* Brings the read model of a data directory to this schema, or makes it anew. */
int command_migrate(int argc, char **argv);

/* Runs the real server in a simulated world with faults, from seeds. */
int command_sim(int argc, char **argv);

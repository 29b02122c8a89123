/*
 * Weir letters: jobs of several projects that die, and the replays that make jobs of them again.
 *
 * Each job carries a number in its payload, by which it is known again as the job that replays
 * it; the first ones of a project have one serial key. One client asks for everybody: as the
 * operator, who looks through the dead letters of all, or as a project, for its own jobs.
 *
 *     weir_begin(), settings -> weir_letters_begin() -> weir_letters_make() -> requests, replays
 *
 * weir_letters_restart() goes on after an end of the process, of which weir_fixture.h has four.
 */
#pragma once

#include "tests/sim/weir_fixture.h"

enum {
    WEIR_LETTERS_PROJECT_COUNT = 3,
    WEIR_LETTERS_JOB_COUNT = 12,  /* per project */
    WEIR_LETTERS_KEYED_COUNT = 6, /* the first of them have one serial key */
    WEIR_LETTERS_TOTAL = WEIR_LETTERS_PROJECT_COUNT * WEIR_LETTERS_JOB_COUNT,
    WEIR_LETTERS_PATH_SIZE = 96, /* of a replay */
};

/* Tests have one, static; fields may be read. */
struct weir_letters {
    struct weir *weir;
    struct weir_client *client;
    char keys[WEIR_LETTERS_PROJECT_COUNT][TENANT_SECRET_SIZE_MAX];
    char ids[WEIR_LETTERS_TOTAL][WEIR_ID_SIZE + 1]; /* of what died last, by its number */
};

/*
 * After weir_begin(): starts the server, and makes project0, project1, ... of the organisation
 * "org". Borrows both; the client, which this initialises, keeps the last answer.
 */
void weir_letters_begin(struct weir_letters *letters, struct weir *weir,
                        struct weir_client *client);

/* The next start, after any end of the process. */
void weir_letters_restart(struct weir_letters *letters);

/* Asks as the operator. Returns the status. */
uint32_t weir_letters_ask(struct weir_letters *letters, const char *method, const char *path,
                          const char *body);

/* The same as a project. */
uint32_t weir_letters_ask_as(struct weir_letters *letters, uint32_t project, const char *method,
                             const char *path, const char *body);

/* The same as the operator, for the dead letter with this id. */
uint32_t weir_letters_ask_for(struct weir_letters *letters, const char *method, const char *id);

/* The number "name" in the last answer; asserts that it is there. */
uint64_t weir_letters_number(const struct weir_letters *letters, const char *name);

/* Enqueues the jobs begin..end-1 of a project, which have one attempt each. */
void weir_letters_enqueue(struct weir_letters *letters, uint32_t project, uint32_t begin,
                          uint32_t end, const char *kind);

/*
 * Leases what there is of this kind, up to a hundred, and fails each with "error " and its number.
 * Returns how many they were, and remembers their ids.
 */
uint32_t weir_letters_fail(struct weir_letters *letters, uint32_t project, const char *kind);

/* Makes a dead letter of each number: jobs of the kind "mail". */
void weir_letters_make(struct weir_letters *letters);

/* How many dead letters are listed, up to a hundred. query is "" or goes on: "&project=project0".
 */
uint32_t weir_letters_count(struct weir_letters *letters, const char *query);

/* Asks for a replay of what this body says. The path is that of its progress. */
void weir_letters_begin_replay(struct weir_letters *letters, const char *body,
                               char ret_path[WEIR_LETTERS_PATH_SIZE]);

/* Looks at the progress of a replay, which stays the last answer. */
bool weir_letters_is_replay_over(struct weir_letters *letters, const char *path);

/* Drives the world until the replay is over; asserts that it comes to that. */
void weir_letters_finish_replay(struct weir_letters *letters, const char *path);

/*
 * Works off all jobs of the kind "mail": asserts that each number comes exactly once, not under
 * the id of its letter, and those of a serial key in their order.
 */
void weir_letters_check_jobs(struct weir_letters *letters);

/*
 * Weir model: the server under test with a model of somebody else's, which makes its incident
 * summaries.
 *
 * The model's server is a weir_away that answers from a script. The read model, which says what
 * there is to summarise, is off; what stands for it has every incident, unless a test answers
 * the server's queries itself. There is one shard.
 *
 *     weir_model_begin() -> weir_model_start() -> requests, faults -+-> weir_model_end()
 *                               ^                                   |
 *                               +-- weir_stop(), weir_kill() ... ---+
 */
#pragma once

#include "tests/sim/weir_away.h"

enum { WEIR_MODEL_TURN_COUNT_MAX = 8 };

/* A summary of the shape that was asked for, with a confidence of 0.75; as JSON string body. */
#define WEIR_MODEL_GOOD                                                                            \
    "{\\\"title\\\":\\\"Checkout fails\\\",\\\"impact\\\":\\\"All payments\\\","                   \
    "\\\"likely_causes\\\":[\\\"c\\\"],\\\"evidence\\\":[],\\\"next_steps\\\":[],"                 \
    "\\\"confidence\\\":0.75}"

/* One answer of the model's server. NULL leaves a part out. */
struct weir_model_turn {
    unsigned status;
    const char *fields;  /* more header fields */
    const char *content; /* of the message, as JSON string body; NULL: the body is `body` */
    const char *finish;  /* why the message ends there; NULL: "stop" */
    const char *body;
    bool hangs; /* nothing is answered */
};

/*
 * Tests have one, static; fields may be read. The script and answer_query may be changed at any
 * time, settings for the next start.
 */
struct weir_model {
    struct weir weir;
    struct weir_client client;
    struct weir_away away;
    struct weir_model_turn script[WEIR_MODEL_TURN_COUNT_MAX]; /* by request; the last one stays */
    uint32_t turn_count;                                      /* at least 1 */
    /* As read_query_start() would; begins as weir_model_answer_query(). */
    enum read_result (*answer_query)(struct read_query *query);
    struct ai_run_image image; /* of weir_model_read_run(); its sections are in record */
    char record[AI_RUNS_READ_SIZE] __attribute__((aligned(4096)));
};

/*
 * A world with a model's server that says WEIR_MODEL_GOOD, and settings of ours that name it;
 * nothing of ours is running.
 */
void weir_model_begin(struct weir_model *model, uint64_t seed);

/* Ends the process, if it runs, and the world. */
void weir_model_end(struct weir_model *model);

/* Starts our server, and drives the world until it is ready. */
void weir_model_start(struct weir_model *model);

/* Answers a request now, whatever the script says; turn must not be one that hangs. */
void weir_model_say(struct peer_connection *connection, const struct weir_model_turn *turn);

/* Answers a query now: the incident is an error spike, of whose 35 events one is told. */
enum read_result weir_model_answer_query(struct read_query *query);

/* Enqueues a job that summarises this incident, and gives its id. */
void weir_model_enqueue(struct weir_model *model, const char *incident,
                        char ret_id[WEIR_ID_SIZE + 1]);

/* The AI runs of the shard, while the process runs. */
struct ai_runs *weir_model_runs(struct weir_model *model);

/* What the run of this job is known by among them. */
uint64_t weir_model_id_low(const char *id);

/* Where the latest image of the job's run lies; JOURNAL_LOCATION_NONE when there is none. */
struct journal_location weir_model_find_run(struct weir_model *model, const char *id);

/* Reads that image from the log into model->image; asserts that it is there. */
void weir_model_read_run(struct weir_model *model, const char *id);

/* True when this section of the image that was read last is text. */
bool weir_model_section_is(const struct weir_model *model, enum ai_run_section section,
                           const char *text);

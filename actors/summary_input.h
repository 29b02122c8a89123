/*
 * Summary input: gets what a summary is made from, for the handler of such jobs.
 *
 *     previous image of the run, if any (log) --> incident and events (read model) --> told
 *
 * The answer of the read model comes outside of any actor and cannot be called off. So what is
 * in flight lies in a slot of its own, which outlives the run that wanted it: a run that ends
 * leaves its slot, and whatever comes then is thrown away.
 */
#pragma once

#include "actors/ai_runs.h"
#include "actors/job_handler.h"
#include "runtime/pool.h"
#include "store/read_model.h"

enum {
    SUMMARY_INPUT_ANSWER_SIZE = 256 * 1024,
    SUMMARY_INPUT_EVENTS = 50,
    SUMMARY_INPUT_EVENTS_FEW = 10, /* when so many do not fit */
    SUMMARY_INPUT_WAIT_MS = 5000,  /* for the read model to catch up */
    SUMMARY_INPUT_ID_SIZE_MAX = AI_RUN_NAME_SIZE_MAX,
};

struct incident_summary;
struct summary_input;
struct summary_inputs;

/* What is wanted. Everything borrowed for the call of summary_input_start(). */
struct summary_wish {
    struct slice org;
    struct slice project;
    struct slice incident_id;
    struct journal_location after;    /* the read model must know this record */
    struct journal_location previous; /* image of the run so far, or JOURNAL_LOCATION_NONE */
};

/* One on its way, or told. The results are borrowed until summary_input_leave(). */
struct summary_input {
    struct incident_summary *owner; /* set by who started it */
    enum read_result result;
    struct slice answer;   /* READ_OK: what READ_INCIDENT_BRIEF says */
    struct slice previous; /* the payload of an AI_RUN; empty: there is none, or it is lost */

    struct summary_inputs *inputs; /* private to summary_input.c from here on */
    bool is_wanted;
    bool is_in_flight;
    struct journal_location previous_location;
    struct journal_read read;
    struct read_query query;
    struct list_node link;
    struct buffer *record;
    uint8_t name_sizes[2];
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char id[SUMMARY_INPUT_ID_SIZE_MAX];
    char text[SUMMARY_INPUT_ANSWER_SIZE];
};

/* All of a shard; embedded in its handler's struct. */
struct summary_inputs {
    struct app_shard *home;
    struct job_handler *handler; /* woken when there is something to tell */
    /* The result is there; inside the desk. Set by the owner. */
    void (*on_done)(struct summary_input *input);
    /* read_query_start(); tests of what comes behind it put their own here. */
    enum read_result (*ask)(struct read_port *port, struct read_query *query);
    struct pool pool;
    struct list_node done;
};

/* Room for count at a time, and as many that nobody wants any more. 0 or -errno. Start-up only. */
MUST_USE int summary_inputs_init(struct summary_inputs *inputs, struct app_shard *home,
                                 struct job_handler *handler, uint32_t count);

/* Frees the memory. Queries must be over, or never be answered. */
void summary_inputs_deinit(struct summary_inputs *inputs);

/* Begins; on_done() is called once, later, unless it is left before. NULL: no room now. */
MUST_USE struct summary_input *summary_input_start(struct summary_inputs *inputs,
                                                   const struct summary_wish *wish);

/* It is not wanted any more, or has been used; nulls the pointer. NULL is accepted. */
void summary_input_leave(struct summary_input **input);

/* The handler was woken: tells what there is to tell. */
void summary_inputs_on_wake(struct summary_inputs *inputs);

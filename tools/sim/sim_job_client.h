/*
 * Sim job client: one client of the jobs interface: producer, worker, operator.
 *
 * Knows the product's HTTP interface and nothing of its insides. What to ask next is
 * sim_job_crew.c's business, whether an answer can be true sim_job_judgement.c's.
 */
#pragma once

#include "tools/sim/sim_answer.h"
#include "tools/sim/sim_job_leases.h"

enum {
    SIM_JOB_CLIENT_BODY_SIZE_MAX = 57344,
    SIM_JOB_CLIENT_REQUEST_SIZE_MAX = SIM_JOB_CLIENT_BODY_SIZE_MAX + 1024,
    SIM_JOB_HELD_COUNT_MAX = 24,  /* leases that a worker holds */
    SIM_JOB_PAST_COUNT_MAX = 8,   /* leases that it had, for what a confused one would say */
    SIM_JOB_BATCH_COUNT_MAX = 24, /* jobs of one request */
    SIM_JOB_LEASE_LIMIT_MAX = 12, /* jobs of one lease */
    SIM_JOB_TEXT_SIZE_MAX = 512,  /* of a job in a body, without its filler */
};

/* What a request is about. */
enum sim_job_asks {
    SIM_JOB_ASK_NOTHING,
    SIM_JOB_ASK_ENQUEUE,      /* new jobs */
    SIM_JOB_ASK_LEASE,        /* jobs to work on, perhaps with outcomes of others */
    SIM_JOB_ASK_FINISH,       /* the outcome of one */
    SIM_JOB_ASK_FINISH_MANY,  /* of several */
    SIM_JOB_ASK_FINISH_FALSE, /* the outcome of one, under an epoch that there never was */
    SIM_JOB_ASK_EXTEND,
    SIM_JOB_ASK_CANCEL,
    SIM_JOB_ASK_GET,
    SIM_JOB_ASK_FOREIGN, /* another project's job: seen, finished, cancelled */
    SIM_JOB_ASK_QUEUE_SET,
    SIM_JOB_ASK_QUEUE_GET,
    SIM_JOB_ASK_BAD, /* something that must be refused */
};

/* How jobs are enqueued. */
enum sim_job_form {
    SIM_JOB_FORM_SINGLE,
    SIM_JOB_FORM_BATCH,
    SIM_JOB_FORM_FLOW,
};

struct sim_job_crew;

/* One client. Private to sim_job_*.c. */
struct sim_job_client {
    struct sim_http_client http;
    struct sim_http_request request;
    struct sim_job_crew *crew;
    struct sim_event rest_over;
    uint32_t index;
    uint32_t host;
    bool is_asking; /* a request is out, or a rest is on */
    bool repeats;   /* jobs: with an Idempotency-Key, until they are accepted */

    enum sim_job_asks asks;
    enum sim_job_form form;
    struct sim_job_ask ask;
    uint32_t job;   /* ENQUEUE: the first; else the one that it is about */
    uint32_t count; /* of jobs */
    uint32_t queue; /* LEASE, QUEUE_* */
    uint32_t lease; /* EXTEND, FINISH_FALSE */
    uint32_t lease_s;
    uint32_t wait_s;
    uint32_t limit;
    uint32_t finish_count;
    struct sim_job_finish finishes[SIM_JOB_HELD_COUNT_MAX];
    struct sim_job_settings settings;
    bool opens_queue; /* QUEUE_SET: for the end of the run */
    uint32_t attempt_count;
    bool found_nothing; /* LEASE: there was no job */

    uint32_t held_count;
    uint32_t held[SIM_JOB_HELD_COUNT_MAX];
    uint32_t past_count;
    uint32_t past[SIM_JOB_PAST_COUNT_MAX];
    char data[SIM_JOB_CLIENT_REQUEST_SIZE_MAX];
    char body[SIM_JOB_CLIENT_BODY_SIZE_MAX];
};

/* The name of a queue's kind. */
const char *sim_job_kind(uint32_t queue);

/* The byte at index of the filler that the job carries. */
char sim_job_filler(uint32_t job, uint32_t index);

/* Write client->body for what the client is set to. */
void sim_job_client_write_jobs(struct sim_job_client *client, const struct sim_job_model *model);
void sim_job_client_write_lease(struct sim_job_client *client, const struct sim_job_model *model);
void sim_job_client_write_finishes(struct sim_job_client *client,
                                   const struct sim_job_model *model);
/* One finish, or (EXTEND) a longer lease; epoch as given. */
void sim_job_client_write_finish(struct sim_job_client *client, const struct sim_job_model *model,
                                 uint64_t epoch);
void sim_job_client_write_extend(struct sim_job_client *client, const struct sim_job_model *model);
void sim_job_client_write_settings(struct sim_job_client *client);

/* Sends it with the body; on_done of the request comes later. claim: Idempotency-Key, or NULL. */
void sim_job_client_send(struct sim_job_client *client, const char *method, const char *path,
                         const char *key, const char *claim);

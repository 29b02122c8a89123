/*
 * Job routes, internals: what job_routes.c, job_worker_routes.c, queue_routes.c and
 * job_answers.c share; its head, and the refusals, with the routes of errands too.
 */
#pragma once

#include "actors/app.h"
#include "actors/auth.h"
#include "actors/job_request.h"
#include "contracts/issue.h"
#include "contracts/json_reader.h"

/* What these routes keep in an exchange. */
struct job_note {
    struct job_request *request;
    struct buffer *names; /* of a flow's jobs, see struct job_names; else NULL */
    struct auth auth;     /* until on_request is done */
};

/* Head of the names of a flow: then, job by job, a size of two bytes and that many of JSON. */
struct job_names {
    uint8_t count;
    uint8_t places[JOB_BATCH_MAX]; /* which item of the request the n-th job became */
};

/* What a route wants of the journal. */
enum job_need {
    JOB_NEEDS_NOTHING, /* it only looks */
    JOB_NEEDS_RESERVE, /* it lets jobs end: allowed though the disk is low */
    JOB_NEEDS_ROOM,    /* it makes something new */
};

/*
 * The first part of every on_head: credentials, admission, media type and limits.
 * EXCHANGE_READ_BODY, or EXCHANGE_ANSWERED, or a negative errno.
 */
MUST_USE int job_check_head(struct exchange *exchange, uint32_t scope, enum job_need need,
                            uint64_t body_size_max, uint64_t decoded_size_max);

/*
 * A request for the caller's project with room for item_count items, in the note.
 * EXCHANGE_READ_BODY, or EXCHANGE_ANSWERED after a 503, or a negative errno.
 */
MUST_USE int job_begin(struct exchange *exchange, enum job_operation operation,
                       uint32_t item_count);

/* Hands the note's request to its owner: EXCHANGE_PENDING, or as job_begin(). */
MUST_USE int job_submit(struct exchange *exchange);

/* Answers 400 for a body that is not JSON. */
MUST_USE int job_refuse_json(struct exchange *exchange, const struct json_reader *reader);

/* Answers 422 with the issues. */
MUST_USE int job_refuse_issues(struct exchange *exchange, const struct issue_list *issues);

/* Answers 422 with this reason. */
MUST_USE int job_refuse(struct exchange *exchange, struct slice detail);

/* Answers 503, with the reason for people; nulls what the note holds. */
MUST_USE int job_refuse_overloaded(struct exchange *exchange);

/* The kind in the path, into request->kind. False when it is not one. */
MUST_USE bool job_take_kind(struct exchange *exchange, struct job_request *request);

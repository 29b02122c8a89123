/*
 * Message types of this floor. What each carries is a lent pointer, valid until
 * the answer that is named beside it.
 */
#pragma once

#include "runtime/message.h"

enum {
    MSG_INTAKE_DEDUP = MSG_ACTORS, /* struct intake_request *: do its step for your entries */
    MSG_INTAKE_DEDUP_DONE,         /* the answer */
    MSG_INTAKE_ANSWER,             /* to a connection: the request at token is decided */
    MSG_INTAKE_PEER_DRAINED,       /* a shard has no request in flight any more */
    MSG_LOOKUP_FIND,               /* struct lookup_request *: look in your logs */
    MSG_LOOKUP_FOUND,              /* the answer */
    MSG_LOOKUP_ANSWER,             /* to a connection */
    MSG_TENANT_CHANGE,             /* struct tenant_request *: to shard 0 */
    MSG_TENANT_APPLY,              /* struct tenant_request *: to every shard */
    MSG_TENANT_APPLIED,            /* the answer */
    MSG_TENANT_CHANGED,            /* the answer to CHANGE */
    MSG_TENANT_ANSWER,             /* to a connection */
    MSG_SCRAPE_COPY,               /* struct scrape_request *: copy your numbers */
    MSG_SCRAPE_COPIED,             /* the answer */
    MSG_SCRAPE_ANSWER,             /* to a connection */
    MSG_KEEPER_RECOVERED,          /* struct recovered *: open your logs */
    MSG_KEEPER_DRAIN,              /* readyz says so from now on */
    MSG_KEEPER_DROPPED,            /* words: log, oldest sequence number that is left */
    MSG_KEEPER_SPACE,              /* words: shard, whether it finds the disk full */
    MSG_KEEPER_READY,              /* words: shard that is ready, 0 */
    MSG_KEEPER_YIELD,              /* a shard has no descriptor: close one that you can spare */
    MSG_KEEPER_STOPPED,            /* to itself: one more log has stopped */
    MSG_KEEPER_RETIRE,             /* to itself: words: log, sequence number of what shall go */
    MSG_KEEPER_CARRY,              /* words: log, seq: carry forward what you need of it */
    MSG_KEEPER_CARRIED,            /* the answer: log, seq */
    MSG_JOB_DO,                    /* struct job_request *: to the desk that keeps the project */
    MSG_JOB_DONE,                  /* the answer */
    MSG_JOB_ANSWER,                /* to a connection */
    MSG_JOB_FORGET,                /* struct job_request *: nobody waits for this lease any more */
    MSG_JOB_FORGOTTEN,             /* the answer */
    MSG_DEAD_DO,                   /* struct dead_request *: your part of it */
    MSG_DEAD_DONE,                 /* the answer, to its home */
    MSG_DEAD_ANSWER,               /* to a connection */
    MSG_DEAD_WORK,                 /* to itself: go on with the batch at hand */
    MSG_DEAD_STOPPED,              /* to itself: nothing is in flight any more */
    MSG_INSPECT_DO,                /* struct inspection *: fill your block */
    MSG_INSPECT_DONE,              /* the answer */
    MSG_INSPECT_ANSWER,            /* to a connection */
    MSG_SCHEDULE_DO,               /* struct errand * of schedules: to the project's shard */
    MSG_SCHEDULE_DONE,             /* the answer */
    MSG_SCHEDULE_ANSWER,           /* to a connection */
    MSG_READ_ANSWER,               /* struct reader_request *, to a connection */
    MSG_READ_STOPPED,              /* to itself: no question is under way any more */
    MSG_INCIDENT_DO,               /* struct errand * of incidents: to the project's shard */
    MSG_INCIDENT_DONE,             /* the answer */
    MSG_INCIDENT_ANSWER,           /* to a connection */
};

/*
 * Incident writer: brings what has been decided about incidents into the log.
 *
 * Changes go there in the order in which they were decided, but for one thing: a new
 * incident's texts have to be read first, and incidents that are known do not wait for that.
 * Changes of one and the same incident never overtake each other. What waits for a change
 * waits until it and all before it are durable.
 *
 *     change --texts are known----------------------> WRITING --applied--> done
 *        \---new---> READING its newest event --------/
 *                    |   ^   \--gone, damaged, or cannot be read for long
 *                    \---/ cannot be read now   \--> given up: forgotten, counted
 *
 * The job of an incident that opens stands in its group. When its queue does not want it, or
 * the server has no room for it, the incident stands alone, and that is counted and logged.
 * Part of the actor in incidents.h, which it tells of each end by incidents_go_on().
 */
#pragma once

#include "actors/incident_step.h"

/* Of the event that an incident's texts come from, INCIDENT_RETRY_MS apart: ten seconds. */
enum { INCIDENT_READ_TRY_MAX = 100 };

/* Private to incident_writer.c; embedded in the incidents. */
struct incident_writer {
    struct list_node steps; /* changes being written, the oldest first */
    uint64_t taken;         /* changes up to this one have left the table */
    uint64_t settled;       /* and up to this one they are durable, or given up */
    uint32_t unread_count;  /* steps that wait for their next try to read */
    bool is_dead;           /* the journal takes nothing more */
    bool has_summaries;     /* who opens has a job to summarise it; set by the owner */
};

/* Once, before the actor starts. */
void incident_writer_init(struct incident_writer *writer);

/* Takes changes out of the table and begins with them, as many as there is room for. */
void incident_writer_take_changes(struct incident_writer *writer);

/* Reads again for those whose events could not be read, when it is time. */
void incident_writer_read_again(struct incident_writer *writer);

/* Lets go of steps that have ended, in order: what they were is settled. */
void incident_writer_settle(struct incident_writer *writer);

/* True when the change with this sequence is settled. */
static inline bool incident_writer_has_settled(const struct incident_writer *writer,
                                               uint64_t sequence)
{
    return sequence <= writer->settled;
}

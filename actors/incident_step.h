/*
 * Incident step: a record of incidents or their rules on its way into the log.
 *
 * Memory for all that takes its time there: the texts being read, the record's bytes, the job
 * in its group, the commit. incident_writer.c writes what has been decided with it,
 * incident_carrier.c what is there already. Their number is bounded: who finds none waits.
 */
#pragma once

#include "actors/job_internal.h"
#include "store/incident_table.h"
#include "store/journal_reader.h"

enum { INCIDENT_STEP_COUNT_MAX = 64 };

struct incidents;

/* One of them. Private to incident_step.c, incident_writer.c and incident_carrier.c. */
struct incident_step {
    struct incidents *owner;
    struct list_node link; /* incident_writer.steps or incident_carrier.steps */
    uint32_t slot;         /* of the incident; SLOT_NONE: rules */
    struct slice part;
    struct journal_record records[2];
    struct durable_step step;

    /* Of the writer. */
    bool is_reading; /* or waits to read again */
    bool is_done;
    uint8_t try_count;
    uint64_t again_ns; /* when, monotonic; 0: a read is in flight, or none is wanted */
    struct incident_change change;
    struct journal_read read;
    struct buffer *buffer;   /* of read */
    struct job_internal job; /* zeroed: none */

    char bytes[INCIDENT_RECORD_SIZE_MAX];
};

/* A blank step, in no list, or NULL when too many are under way. */
MUST_USE struct incident_step *incident_step_begin(struct incidents *incidents);

/* Gives it back; takes it out of its list. */
void incident_step_free(struct incident_step *it);

/* Encodes the record of an incident, which has this partition, as the step's first. */
void incident_step_fill(struct incident_step *it, const struct incident_image *image,
                        uint32_t partition);

/*
 * Incident texts: what a new incident is about, in words, from the record of its newest event.
 *
 * The title is the rule's, with the error's code and the route that it happened on, or the
 * environment: "Error spike: PAYMENT_DECLINED on POST /checkout". Codes and routes are the
 * client's: each is cut to 110 bytes between characters, and has no line breaks any more. Pure.
 */
#pragma once

#include "store/incident_record.h"
#include "store/journal_reader.h"

/* The sections of a record. They borrow what follows and the record of the event. */
struct incident_texts {
    struct slice sections[INCIDENT_SECTION_COUNT]; /* ACTOR: empty */
    char org[JOB_NAME_SIZE_MAX];
    char project[JOB_NAME_SIZE_MAX];
    char fingerprint[FINGERPRINT_SIZE_MAX];
    char title[INCIDENT_TITLE_SIZE_MAX];
};

/* Makes the texts. False when the record is not that of an event that can be read. */
MUST_USE bool incident_texts_read(const struct journal_record_view *view, enum incident_rule rule,
                                  struct incident_texts *ret_texts);
